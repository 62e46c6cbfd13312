import {
  type CreateImageRequest,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  type Image,
  type Instance,
  type Snapshot,
  type Volume,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { hasCode, placeName } from '../aws/errors.ts';
import { runValues } from '../inputs/reader.ts';
import type { Request } from '../inputs.ts';
import type { Create } from '../plan/operation.ts';
import type { Findings } from '../plan/problem.ts';
import { instanceTag, tagKeys, tagValue, toTags } from '../tags.ts';

/** One name for one instance in one workflow run, so that a re-run finds the AMI that it made. */
export function createdImageName(request: Request, instanceId: string): string {
  const { date, 'run-id': runId } = runValues(request.run);
  return `${instanceId} ${runId || date}`;
}

/** The CreateImage request that makes the instance's AMI. */
export function creationOf(request: Request, { instanceId, noReboot, tags }: Create): CreateImageRequest {
  const Tags = toTags({
    ...tags,
    [instanceTag]: instanceId,
    [tagKeys.run]: request.run.runUrl,
    [tagKeys.commit]: request.run.sha,
  });
  return {
    InstanceId: instanceId,
    Name: createdImageName(request, instanceId),
    NoReboot: noReboot,
    TagSpecifications: [
      { ResourceType: 'image', Tags },
      { ResourceType: 'snapshot', Tags },
    ],
  };
}

/** Whether an AMI that an earlier try made of the instance came to nothing: it has the name, and is of no use. */
export function isFailedTry(image: Image, instanceId: string): boolean {
  const isOfInstance = image.SourceInstanceId === instanceId && tagValue(image, instanceTag) === instanceId;
  return isOfInstance && (image.State === 'failed' || image.State === 'error');
}

/** An AMI that is yet to be made, with its snapshots. What stands for their IDs reads as no ID, and none may go to AWS. */
export type ForeseenImage = Readonly<{ image: Image; snapshots: readonly Snapshot[] }>;

/**
 * What AWS takes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html names running and stopped,
 * and its refusal stopping besides ("Instance is not in state 'running' or 'stopping' or 'stopped'").
 */
const imageableStates = ['running', 'stopping', 'stopped'];

/**
 * What the instance's AMI and its snapshots will be, so that all that AWS would refuse of them is found before the
 * instance is rebooted. Null after a finding that says why there can be none.
 */
export async function foreseeImage(
  place: Place,
  { request, findings }: Readonly<{ request: Request; findings: Findings }>,
  instanceId: string,
): Promise<ForeseenImage | null> {
  const where = placeName(place);
  const instance = await findInstance(place, instanceId);
  if (instance === undefined) {
    findings.add(where, `there is no instance ${instanceId}`, 'check instance-id, source-region and source-role-arn');
    return null;
  }
  const state = instance.State?.Name ?? 'in no known state';
  if (!imageableStates.includes(state)) {
    findings.add(
      where,
      `${instanceId} is ${state}; AWS makes an AMI only of an instance that is running or stopped`,
      state === 'pending' ? 'wait until it is running' : 'name another instance',
    );
    return null;
  }
  const volumes = await volumesOf(place, instance);
  const { RootDeviceName, RootDeviceType } = instance;
  if ((RootDeviceType ?? 'ebs') === 'ebs' && !volumes.has(RootDeviceName ?? '')) {
    findings.add(
      where,
      `${instanceId} has no volume at its root device ${RootDeviceName}`,
      'attach its root volume again',
    );
    return null;
  }
  return {
    image: imageOf(instance, volumes, { Name: createdImageName(request, instanceId), OwnerId: place.account }),
    snapshots: [...volumes.values()].map((volume) => ({
      SnapshotId: snapshotOf(volume),
      OwnerId: place.account,
      State: 'completed',
      VolumeSize: volume.Size,
      // A volume's snapshot is encrypted as the volume is: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption.html
      Encrypted: volume.Encrypted,
      KmsKeyId: volume.KmsKeyId,
    })),
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

/** The volumes of an instance, by device. */
async function volumesOf(place: Place, { BlockDeviceMappings = [] }: Instance): Promise<Map<string, Volume>> {
  const VolumeIds = BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.VolumeId ?? []);
  // Without IDs, AWS would tell all volumes of the account.
  const { Volumes = [] } = VolumeIds.length === 0 ? {} : await place.ec2(new DescribeVolumesCommand({ VolumeIds }));
  const byId = new Map(Volumes.map((volume) => [volume.VolumeId, volume]));
  return new Map(
    BlockDeviceMappings.flatMap(({ DeviceName = '', Ebs }) => {
      const volume = byId.get(Ebs?.VolumeId);
      return volume === undefined ? [] : [[DeviceName, volume]];
    }),
  );
}

function snapshotOf({ VolumeId }: Volume): string {
  return `the snapshot of ${VolumeId}`;
}

/** The AMI as DescribeImages would tell it, but for instance-store devices, which DescribeInstances doesn't tell. */
function imageOf(
  instance: Instance,
  volumes: ReadonlyMap<string, Volume>,
  own: Pick<Image, 'Name' | 'OwnerId'>,
): Image {
  const { InstanceId, BlockDeviceMappings = [], BootMode, CurrentInstanceBootMode } = instance;
  const { Architecture, VirtualizationType, RootDeviceName, RootDeviceType, ProductCodes } = instance;
  const { EnaSupport, SriovNetSupport, TpmSupport, PlatformDetails, UsageOperation } = instance;
  return {
    ImageId: InstanceId,
    ...own,
    State: 'available',
    ...{ Architecture, VirtualizationType, RootDeviceName, RootDeviceType, ProductCodes },
    ...{ EnaSupport, SriovNetSupport, PlatformDetails, UsageOperation },
    // The instance's: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/set-ami-boot-mode.html
    BootMode: BootMode ?? CurrentInstanceBootMode,
    TpmSupport: TpmSupport === 'v2.0' ? TpmSupport : undefined,
    BlockDeviceMappings: BlockDeviceMappings.flatMap(({ DeviceName = '', Ebs }) => {
      const volume = volumes.get(DeviceName);
      if (volume === undefined) return [];
      const { VolumeType, Size: VolumeSize, Iops, Throughput, Encrypted } = volume;
      const { DeleteOnTermination } = Ebs ?? {};
      return [
        {
          DeviceName,
          Ebs: {
            SnapshotId: snapshotOf(volume),
            ...{ VolumeType, VolumeSize, Iops, Throughput, Encrypted, DeleteOnTermination },
          },
        },
      ];
    }),
  };
}
