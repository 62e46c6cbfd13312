import type {
  CreateSnapshotRequest,
  CreateVolumeRequest,
  DeleteVolumeRequest,
  DescribeVolumesRequest,
  Volume as ListedVolume,
  VolumeType,
} from '@aws-sdk/client-ec2';
import { newId } from '../ids.ts';
import { Refusal } from '../refusal.ts';
import { findKeyByArn, type Volume } from '../world.ts';
import { arnOf, authorizeOn, type Ec2Call, type Handler } from './call.ts';
import { beginSnapshot, destinationKey } from './copy.ts';
import { checkFilters, type Filterable, matches, pageOf } from './filters.ts';
import { checkDescription } from './image.ts';
import { instancesIn } from './instance.ts';
import { looking } from './instances.ts';
import { authorizeCreation } from './tags.ts';

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
  const key = await destinationKey(call, Encrypted, KmsKeyId);
  const tagsOf = await authorizeCreation(call, 'CreateVolume', {
    resources: ['vol-*'],
    specifications: input.TagSpecifications,
    dryRun: input.DryRun,
  });
  const tags = tagsOf('volume');
  const id = newId('vol');
  const keyArn = key?.metadata.Arn;
  call.here.volumes.set(id, { id, zone: AvailabilityZone, sizeGiB: Size, type: VolumeType, tags, keyArn });
  return { VolumeId: id, AvailabilityZone, Size, VolumeType, State: 'creating', Tags: tags };
};

export const deleteVolume: Handler<DeleteVolumeRequest> = async (call, input) => {
  const { VolumeId = '' } = input;
  await authorizeOn(call, 'DeleteVolume', {
    resources: [arnOf(call, VolumeId)],
    dryRun: input.DryRun,
    find: () => volumeOf(call, VolumeId),
  });
  call.here.volumes.delete(VolumeId);
  return {};
};

function volumeOf(call: Ec2Call, id: string): Volume {
  const volume = call.here.volumes.get(id);
  if (volume === undefined) throw notFound(id);
  return volume;
}

/** A snapshot keeps the volume's key: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshot.html */
export const createSnapshot: Handler<CreateSnapshotRequest> = async (call, input) => {
  const { VolumeId = '', Description = '' } = input;
  checkDescription(Description);
  const tagsOf = await authorizeCreation(call, 'CreateSnapshot', {
    resources: [VolumeId, 'snap-*'],
    specifications: input.TagSpecifications,
    dryRun: input.DryRun,
    find: () => volumeOf(call, VolumeId),
    blind: true,
  });
  const tags = tagsOf('snapshot');
  const volume = volumeOf(call, VolumeId);
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

/** Some of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVolumes.html */
const filterable: Filterable<ListedVolume> = {
  complete: false,
  fields: { 'volume-id': ({ VolumeId }) => [VolumeId], status: ({ State }) => [State] },
  tags: ({ Tags }) => Tags,
};

export const describeVolumes: Handler<DescribeVolumesRequest> = async (call, input) => {
  const { VolumeIds, Filters } = input;
  checkFilters(Filters, filterable);
  const all = allVolumes(call);
  const asked = await authorizeOn(call, 'DescribeVolumes', {
    dryRun: input.DryRun,
    find: () =>
      VolumeIds?.map((id) => {
        const volume = all.find(({ VolumeId }) => VolumeId === id);
        if (volume === undefined) throw notFound(id);
        return volume;
      }) ?? all,
  });
  const found = asked.filter((volume) => matches(volume, Filters, filterable));
  if (VolumeIds !== undefined) return { Volumes: found };
  const { items, more } = pageOf(call, found, input);
  return { Volumes: items, ...more };
};

/** Those of instances, and those that none has. */
function allVolumes(call: Ec2Call): ListedVolume[] {
  const { here } = call;
  const attached = instancesIn(looking(call))
    .flatMap(({ volumes, launched }) => volumes.map((volume) => ({ ...volume, tags: launched?.volumeTags ?? [] })))
    .flatMap(({ volumeId, keyArn, tags, mapping: { Ebs } }): ListedVolume[] => {
      if (volumeId === undefined) return [];
      const { VolumeSize, VolumeType, Iops, Throughput } = Ebs ?? {};
      const size = { Size: VolumeSize, VolumeType, Iops, Throughput };
      const encryption = { Encrypted: keyArn !== undefined, KmsKeyId: keyArn };
      return [{ VolumeId: volumeId, State: 'in-use', ...size, ...encryption, Tags: tags }];
    });
  const free = [...here.volumes.values()].map(
    ({ id, zone, sizeGiB, type, tags, keyArn }): ListedVolume => ({
      VolumeId: id,
      State: 'available',
      Size: sizeGiB,
      VolumeType: type as VolumeType,
      AvailabilityZone: zone,
      Tags: [...tags],
      Encrypted: keyArn !== undefined,
      KmsKeyId: keyArn,
    }),
  );
  return [...attached, ...free];
}

function notFound(id: string): Refusal {
  return new Refusal('InvalidVolume.NotFound', `The volume '${id}' does not exist.`);
}
