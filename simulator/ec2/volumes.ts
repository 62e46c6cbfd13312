import type {
  CreateSnapshotRequest,
  CreateVolumeRequest,
  DeleteVolumeRequest,
  DescribeVolumesRequest,
  Tag,
} from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import { findKeyByArn } from '../world.ts';
import { answerDryRun, arnOf, authorize, type FilterFields, type Handler, matches, newId, tagsFor } from './call.ts';
import { beginSnapshot, destinationKey } from './copy.ts';

/*
 * Volumes: those of the scenario's instances, and those that somebody makes to have a snapshot of.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html
 */

export const createVolume: Handler<CreateVolumeRequest> = async (call, input) => {
  const { AvailabilityZone = '', Size, VolumeType = 'gp2', Encrypted, KmsKeyId } = input;
  if (input.SnapshotId !== undefined)
    throw new Refusal('UnsupportedOperation', 'the simulator makes empty volumes only');
  if (Size === undefined)
    throw new Refusal('MissingParameter', 'The request must contain the parameter size or snapshotId');
  if (!new RegExp(`^${call.region}[a-z]$`).test(AvailabilityZone))
    throw new Refusal('InvalidZone.NotFound', `The zone '${AvailabilityZone}' does not exist.`);
  await authorize(call, 'CreateVolume', [arnOf(call, 'vol-*')], false);
  const key = await destinationKey(call, Encrypted, KmsKeyId);
  const tags = await tagsFor(call, 'CreateVolume', input.TagSpecifications, 'volume', ['volume']);
  answerDryRun(input.DryRun);
  const id = newId('vol');
  const keyArn = key?.metadata.Arn;
  call.here.volumes.set(id, { id, zone: AvailabilityZone, sizeGiB: Size, type: VolumeType, tags, keyArn });
  return { VolumeId: id, AvailabilityZone, Size, VolumeType, State: 'creating', Tags: tags };
};

export const deleteVolume: Handler<DeleteVolumeRequest> = async (call, input) => {
  const { VolumeId = '' } = input;
  await authorize(call, 'DeleteVolume', [arnOf(call, VolumeId)], input.DryRun);
  if (!call.here.volumes.delete(VolumeId)) throw notFound(VolumeId);
  return {};
};

/** A snapshot keeps the volume's key: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshot.html */
export const createSnapshot: Handler<CreateSnapshotRequest> = async (call, input) => {
  const { VolumeId = '', Description = '' } = input;
  await authorize(call, 'CreateSnapshot', [arnOf(call, VolumeId), arnOf(call, 'snap-*')], false);
  const tags = await tagsFor(call, 'CreateSnapshot', input.TagSpecifications, 'snapshot', ['snapshot']);
  answerDryRun(input.DryRun);
  const volume = call.here.volumes.get(VolumeId);
  if (volume === undefined) throw notFound(VolumeId);
  const { data } = beginSnapshot(call, {
    source: undefined,
    sizeGiB: volume.sizeGiB,
    key: volume.keyArn === undefined ? undefined : findKeyByArn(call.world, volume.keyArn),
    failure: undefined,
    tags,
    description: Description,
    counts: false,
  });
  data.VolumeId = VolumeId;
  return { ...data };
};

type Listed = { VolumeId: string; Tags?: Tag[] };

const filterFields: FilterFields<Listed> = { 'volume-id': ({ VolumeId }) => [VolumeId] };

export const describeVolumes: Handler<DescribeVolumesRequest> = async (call, input) => {
  await authorize(call, 'DescribeVolumes', ['*'], input.DryRun);
  const attached = [...call.here.instances.values()]
    .flatMap(({ volumes }) => volumes)
    .flatMap(({ volumeId, keyArn, mapping: { Ebs } }) => {
      if (volumeId === undefined) return [];
      const { VolumeSize, VolumeType, Iops, Throughput } = Ebs ?? {};
      const size = { Size: VolumeSize, VolumeType, Iops, Throughput };
      return [{ VolumeId: volumeId, State: 'in-use', ...size, Encrypted: keyArn !== undefined, KmsKeyId: keyArn }];
    });
  const free = [...call.here.volumes.values()].map(({ id, zone, sizeGiB, type, tags, keyArn }) => ({
    VolumeId: id,
    State: 'available',
    Size: sizeGiB,
    VolumeType: type,
    AvailabilityZone: zone,
    Tags: tags,
    Encrypted: keyArn !== undefined,
    KmsKeyId: keyArn,
  }));
  const all = new Map([...attached, ...free].map((volume) => [volume.VolumeId, volume]));
  const asked = (input.VolumeIds ?? [...all.keys()]).map((id) => {
    const volume = all.get(id);
    if (volume === undefined) throw notFound(id);
    return volume;
  });
  return { Volumes: asked.filter((volume) => matches(volume as Listed, input.Filters, filterFields)) };
};

function notFound(id: string): Refusal {
  return new Refusal('InvalidVolume.NotFound', `The volume '${id}' does not exist.`);
}
