import { DescribeInstancesCommand, type Image, type Instance } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { hasCode } from '../aws/errors.ts';
import { runValues } from '../inputs/reader.ts';
import type { Request } from '../inputs.ts';

/** One name for one instance in one workflow run, so that a re-run finds the AMI that it made. */
export function createdImageName(request: Request, instanceId: string): string {
  const { date, 'run-id': runId } = runValues(request.run);
  return `${instanceId} ${runId || date}`;
}

/** What the instance's AMI will be, as far as it can be foreseen: enough to check everything before it is made. */
export async function foreseeImage(place: Place, request: Request, instanceId: string): Promise<Image | undefined> {
  const instance = await findInstance(place, instanceId);
  if (instance === undefined) return undefined;
  const { Architecture, VirtualizationType, RootDeviceName, RootDeviceType } = instance;
  return {
    ImageId: instanceId,
    Name: createdImageName(request, instanceId),
    OwnerId: place.account,
    State: 'available',
    Architecture,
    VirtualizationType,
    RootDeviceName,
    RootDeviceType,
    BlockDeviceMappings: [],
  };
}

async function findInstance(place: Place, instanceId: string): Promise<Instance | undefined> {
  try {
    const { Reservations } = await place.ec2(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
    return Reservations?.[0]?.Instances?.[0];
  } catch (error) {
    if (hasCode(error, 'InvalidInstanceID.NotFound')) return undefined;
    throw error;
  }
}
