import type { BlockDeviceMapping, CreateImageRequest } from '@aws-sdk/client-ec2';
import { newId } from '../ids.ts';
import { Refusal } from '../refusal.ts';
import { findKeyByArn, type Instance, type SimSnapshot } from '../world.ts';
import type { Handler } from './call.ts';
import { beginSnapshot } from './copy.ts';
import { checkDescription, checkName, newImage } from './image.ts';
import { authorizeCreation } from './tags.ts';

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html */
export const createImage: Handler<CreateImageRequest> = async (call, input) => {
  const { InstanceId = '', Name = '' } = input;
  const instance = call.here.instances.get(InstanceId);
  if (instance === undefined)
    throw new Refusal('InvalidInstanceID.NotFound', `The instance ID '${InstanceId}' does not exist`);
  checkDescription(input.Description);
  const tagsOf = await authorizeCreation(call, 'CreateImage', {
    resources: [InstanceId, 'ami-*', 'snap-*'],
    specifications: input.TagSpecifications,
    dryRun: input.DryRun,
  });
  requireImaging(instance);
  checkName(call, Name);
  const ImageId = newId('ami');
  const snapshots: SimSnapshot[] = [];
  const mappings = instance.volumes.map(({ mapping, keyArn }): BlockDeviceMapping => {
    if (mapping.Ebs === undefined) return mapping;
    const snapshot = beginSnapshot(call, {
      source: undefined,
      sizeGiB: mapping.Ebs.VolumeSize ?? 8,
      key: keyArn === undefined ? undefined : findKeyByArn(call.world, keyArn),
      failure: undefined,
      tags: tagsOf('snapshot'),
      description: `Created by CreateImage(${InstanceId}) for ${ImageId}`,
      counts: false,
    });
    snapshots.push(snapshot);
    return { ...mapping, Ebs: { ...mapping.Ebs, SnapshotId: snapshot.data.SnapshotId } };
  });
  const image = newImage(
    call,
    {
      ...instance.image,
      ImageId,
      Name,
      ...(input.Description && { Description: input.Description }),
      State: 'pending',
      BlockDeviceMappings: mappings,
      SourceInstanceId: InstanceId,
      // "The source AMI ID is the ID of the AMI used to launch the instance", of the same region.
      // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-ancestry.html
      ...(instance.imageId !== undefined && { SourceImageId: instance.imageId, SourceImageRegion: call.region }),
    },
    tagsOf('image'),
  );
  const now = call.world.clock.now();
  const scan = instance.scanOf?.(now);
  if (scan !== undefined) image.scan = scan;
  image.making = { snapshots, endsAt: now + call.timings.baseSeconds * 1000 };
  return { ImageId };
};

function requireImaging({ id, state, volumes, image }: Instance): void {
  const invalid = (why: string) => new Refusal('InvalidParameterValue', `Invalid value '${id}' for instanceId. ${why}`);
  if (!['running', 'stopping', 'stopped'].includes(state))
    throw invalid("Instance is not in state 'running' or 'stopping' or 'stopped'");
  const root = volumes.find(({ mapping }) => mapping.DeviceName === image.RootDeviceName);
  if (image.RootDeviceType === 'instance-store' || root?.volumeId === undefined)
    throw invalid(`Instance does not have a volume attached at root (${image.RootDeviceName})`);
}
