import type { BlockDeviceMapping, EbsBlockDevice, Image, RegisterImageRequest } from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import { findSnapshot, type SimSnapshot } from '../world.ts';
import type { Ec2Call, Handler } from './call.ts';
import { advance } from './copy.ts';
import { checkDescription, checkName, newImage } from './image.ts';
import { authorizeCreation } from './tags.ts';

/** Of a volume whose mapping names no type, as recorded. */
const defaultType = 'gp2';
const defaultRoot = '/dev/sda1';

type Snapshots = ReadonlyMap<string, SimSnapshot>;

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html */
export const registerImage: Handler<RegisterImageRequest> = async (call, input) => {
  const { Name = '', RootDeviceName = defaultRoot, BlockDeviceMappings = [] } = input;
  checkDescription(input.Description);
  for (const mapping of BlockDeviceMappings) checkMapping(mapping);
  const root = BlockDeviceMappings.find(({ DeviceName }) => DeviceName === RootDeviceName);
  if (root?.Ebs?.SnapshotId === undefined)
    throw new Refusal('InvalidBlockDeviceMapping', 'No root snapshot specified in device mapping.');
  const used = BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);
  const find = (): Snapshots => new Map(used.map((id) => [id, ownedSnapshot(call, id)]));
  // A denial names images first, as recorded.
  const tagsOf = await authorizeCreation(call, 'RegisterImage', {
    resources: ['ami-*', ...used],
    specifications: input.TagSpecifications,
    dryRun: input.DryRun,
    find,
    blind: true,
  });
  const snapshots = find();
  for (const snapshot of snapshots.values()) requireCompleted(snapshot);
  checkName(call, Name);
  const isPending = call.timings.registerSeconds > 0;
  const image = newImage(
    call,
    {
      ...attributesOf(input),
      Name,
      RootDeviceName,
      State: isPending ? 'pending' : 'available',
      BlockDeviceMappings: BlockDeviceMappings.map((mapping) => mappingOf(mapping, snapshots)),
    },
    tagsOf('image'),
  );
  image.uefiData = input.UefiData;
  if (isPending) {
    const endsAt = call.world.clock.now() + call.timings.registerSeconds * 1000;
    image.making = { snapshots: [...snapshots.values()], endsAt };
  }
  return { ImageId: image.data.ImageId };
};

/** What an image gets from the request: what is left out has the defaults of 2006, or isn't there. */
function attributesOf(input: RegisterImageRequest): Partial<Image> {
  const { Architecture = 'i386', VirtualizationType = 'paravirtual', Description, EnaSupport, BootMode } = input;
  const given = {
    Description: Description || undefined,
    EnaSupport: EnaSupport || undefined,
    SriovNetSupport: input.SriovNetSupport,
    BootMode,
    TpmSupport: input.TpmSupport,
    ImdsSupport: input.ImdsSupport,
    KernelId: input.KernelId,
    RamdiskId: input.RamdiskId,
  };
  return {
    ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<Image>),
    Architecture,
    VirtualizationType: VirtualizationType as NonNullable<Image['VirtualizationType']>,
    // Billing isn't carried by snapshots: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-billing-info.html
    PlatformDetails: 'Linux/UNIX',
    UsageOperation: 'RunInstances',
  };
}

function mappingOf({ Ebs, ...device }: BlockDeviceMapping, snapshots: Snapshots): BlockDeviceMapping {
  if (Ebs === undefined) return device;
  const snapshot = snapshots.get(Ebs.SnapshotId ?? '')?.data;
  return {
    ...device,
    Ebs: {
      DeleteOnTermination: true,
      VolumeType: defaultType,
      ...Ebs,
      VolumeSize: Ebs.VolumeSize ?? snapshot?.VolumeSize,
      Encrypted: snapshot?.Encrypted ?? Ebs.Encrypted ?? false,
      ...(Ebs.VolumeType === 'gp3' && { Iops: Ebs.Iops ?? 3000, Throughput: Ebs.Throughput ?? 125 }),
    },
  };
}

function checkMapping({ DeviceName, Ebs }: BlockDeviceMapping): void {
  if (DeviceName === undefined)
    throw new Refusal('MissingParameter', 'The request must contain the parameter deviceName');
  if (Ebs === undefined) return;
  if (Ebs.KmsKeyId !== undefined)
    throw new Refusal(
      'InvalidParameter',
      'Parameter kmsKeyId is invalid. You cannot specify a KMS key in a block device mapping.',
    );
  if (Ebs.SnapshotId !== undefined && Ebs.Encrypted !== undefined)
    throw new Refusal(
      'InvalidParameter',
      'Parameter encrypted is invalid. You cannot specify the encrypted flag if specifying a snapshot id in a block device mapping.',
    );
  checkVolume(Ebs);
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html
const sizes: Readonly<Record<string, readonly [number, number]>> = {
  standard: [1, 1024],
  gp2: [1, 16_384],
  gp3: [1, 65_536],
  io1: [4, 16_384],
  io2: [4, 65_536],
  st1: [125, 16_384],
  sc1: [125, 16_384],
};

function checkVolume(ebs: EbsBlockDevice): void {
  checkSize(ebs);
  checkRates(ebs);
}

function checkSize({ VolumeType = defaultType, VolumeSize, SnapshotId }: EbsBlockDevice): void {
  const range = sizes[VolumeType];
  if (range === undefined) throw new Refusal('InvalidParameterValue', `Invalid volume type: ${VolumeType}`);
  if (VolumeSize === undefined && SnapshotId === undefined)
    throw new Refusal('MissingParameter', 'The request must contain the parameter size or snapshotId');
  if (VolumeSize !== undefined && (VolumeSize < range[0] || VolumeSize > range[1])) {
    throw new Refusal('InvalidParameterValue', `Volume of ${VolumeSize}GiB is invalid for volume type ${VolumeType}`);
  }
}

function checkRates({ VolumeType = defaultType, Iops, Throughput }: EbsBlockDevice): void {
  if (Iops !== undefined && !['io1', 'io2', 'gp3'].includes(VolumeType)) {
    throw new Refusal('InvalidParameterCombination', `The parameter iops is not supported for ${VolumeType} volumes.`);
  }
  if (Iops === undefined && ['io1', 'io2'].includes(VolumeType))
    throw new Refusal('MissingParameter', `The parameter iops must be specified for ${VolumeType} volumes.`);
  if (Throughput !== undefined && VolumeType !== 'gp3') {
    throw new Refusal(
      'InvalidParameterCombination',
      `The parameter throughput is not supported for ${VolumeType} volumes.`,
    );
  }
}

/** A snapshot that an image can be registered from: the caller's own. */
function ownedSnapshot(call: Ec2Call, id: string): SimSnapshot {
  const snapshot = findSnapshot(call.world, call.region, id);
  const now = call.world.clock.now();
  if (snapshot === undefined || snapshot.visibleAt > now) {
    throw new Refusal('InvalidSnapshotID.NotFound', `The snapshot ID '${id}' does not exist`);
  }
  if (snapshot.data.OwnerId !== call.caller.account) {
    throw new Refusal(
      'InvalidParameterValue',
      `Invalid value '${id}' for snapshotId. Snapshot does not belong to ${call.caller.account}`,
    );
  }
  return advance(snapshot, now);
}

function requireCompleted({ data: { State } }: SimSnapshot): void {
  if (State !== 'completed') throw new Refusal('IncorrectState', `Snapshot is in invalid state - ${State}`);
}
