import type {
  BlockDeviceMapping,
  CopyImageRequest,
  CreateImageRequest,
  DeleteSnapshotReturnCode,
  DeregisterImageRequest,
  DescribeImageAttributeRequest,
  DescribeImagesRequest,
  Image,
  LaunchPermission,
  ModifyImageAttributeRequest,
  RegisterImageRequest,
  Tag,
} from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import {
  canSeeImage,
  canUseSnapshot,
  findImage,
  findKeyByArn,
  findSnapshot,
  type Key,
  type SimImage,
  type SimSnapshot,
  shownOf,
} from '../world.ts';
import {
  answerDryRun,
  arnOf,
  authorize,
  type Ec2Call,
  type FilterFields,
  type Handler,
  matches,
  newId,
  pageOf,
  showLate,
  tagsFor,
} from './call.ts';
import { advance, beginSnapshot, destinationKey, keyFailure } from './copy.ts';
import { isAllowed, isHidden } from './settings.ts';
import { isLocked, removeSnapshot, usersOf } from './snapshots.ts';

const idPattern = /^ami-([0-9a-f]{8}|[0-9a-f]{17})$/;

function checkId(id: string): void {
  if (!idPattern.test(id) || /^ami-(0+|1+)$/.test(id))
    throw new Refusal('InvalidAMIID.Malformed', `Invalid id: "${id}"`);
}

const notFound = (id: string) => new Refusal('InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`);

/** The image as it is by `now`: a copy is available when its snapshots are completed, and failed when one fails. */
export function advanceImage(image: SimImage, now: number): SimImage {
  const { making, data } = image;
  if (making === undefined) return image;
  const snapshots = making.snapshots.map((snapshot) => advance(snapshot, now));
  const failed = snapshots.find(({ data }) => data.State === 'error');
  if (failed !== undefined) {
    const words = failed.data.StateMessage ?? '';
    const more = words.includes('not accessible') ? '. You must have DescribeKey permissions on the default key' : '';
    data.State = 'failed';
    data.StateReason = {
      Code: 'Client.InternalError',
      Message: `AMI snapshot copy failed with error: ${words}${more}`,
    };
    delete image.making;
  } else if (snapshots.every(({ data }) => data.State === 'completed') && now >= making.endsAt) {
    data.State = 'available';
    for (const { Ebs } of data.BlockDeviceMappings) {
      const snapshot = snapshots.find(({ data }) => data.SnapshotId === Ebs?.SnapshotId);
      if (Ebs !== undefined && snapshot !== undefined) Ebs.Encrypted = snapshot.data.Encrypted;
    }
    delete image.making;
  }
  return image;
}

/** An image of the caller's own that is there and can be seen. */
export function ownImage(call: Ec2Call, id: string): SimImage {
  checkId(id);
  const image = call.here.images.get(id);
  const now = call.world.clock.now();
  if (image === undefined || image.visibleAt > now) throw notFound(id);
  if (image.deregisteredAt !== undefined)
    throw new Refusal('InvalidAMIID.Unavailable', `The image ID '${id}' is no longer available`);
  return advanceImage(image, now);
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html; a name is taken from the call on. */
function checkName(call: Ec2Call, name: string): void {
  if (!/^[\w()[\] ./'@-]{3,128}$/.test(name)) {
    throw new Refusal(
      'InvalidAMIName.Malformed',
      "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_'",
    );
  }
  for (const { data, deregisteredAt } of call.here.images.values()) {
    if (data.Name === name && deregisteredAt === undefined) {
      throw new Refusal('InvalidAMIName.Duplicate', `AMI name ${name} is already in use by AMI ${data.ImageId}`);
    }
  }
}

function checkDescription(description: string | undefined): void {
  if ((description ?? '').length > 255) {
    throw new Refusal(
      'InvalidParameterValue',
      `Value (${description}) for parameter description is invalid. It exceeds 255 characters`,
    );
  }
  if (!/^[\x20-\x7e]*$/.test(description ?? '')) {
    throw new Refusal('InvalidParameterValue', 'Character sets beyond ASCII are not supported.');
  }
}

function newImage(
  call: Ec2Call,
  { ImageId = newId('ami'), ...data }: Partial<Image> & { Name: string; BlockDeviceMappings: BlockDeviceMapping[] },
  tags: readonly Tag[],
): SimImage {
  const now = call.world.clock.now();
  const image: SimImage = {
    data: {
      ...data,
      ImageId,
      OwnerId: call.caller.account,
      ImageType: 'machine',
      Public: false,
      Hypervisor: 'xen',
      RootDeviceType: 'ebs',
      CreationDate: new Date(now).toISOString(),
      ImageLocation: `${call.caller.account}/${data.Name}`,
      Tags: [...tags],
    },
    formerTags: [],
    visibleAt: now + call.timings.visibleAfterSeconds * 1000,
    launch: new Set(),
    uefiData: undefined,
    billing: [],
    othersTags: new Map(),
  };
  showLate(call, image.formerTags, { value: [], seconds: call.timings.tagsVisibleAfterSeconds });
  call.here.images.set(image.data.ImageId, image);
  return image;
}

export const registerImage: Handler<RegisterImageRequest> = async (call, input) => {
  const { Name = '', RootDeviceName, BlockDeviceMappings = [] } = input;
  checkDescription(input.Description);
  for (const { Ebs, DeviceName } of BlockDeviceMappings) {
    if (DeviceName === undefined)
      throw new Refusal('MissingParameter', 'The request must contain the parameter deviceName');
    if (Ebs?.KmsKeyId !== undefined)
      throw new Refusal(
        'InvalidParameter',
        'Parameter kmsKeyId is invalid. You cannot specify a KMS key in a block device mapping.',
      );
    if (Ebs?.SnapshotId !== undefined && Ebs.Encrypted !== undefined) {
      throw new Refusal(
        'InvalidParameter',
        'Parameter encrypted is invalid. You cannot specify the encrypted flag if specifying a snapshot id in a block device mapping.',
      );
    }
    checkVolume(Ebs);
  }
  const root = BlockDeviceMappings.find(
    ({ DeviceName, Ebs }) => DeviceName === (RootDeviceName ?? '/dev/sda1') && Ebs?.SnapshotId !== undefined,
  );
  if (root === undefined)
    throw new Refusal('InvalidBlockDeviceMapping', 'No root snapshot specified in device mapping.');
  const used = BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);
  await authorize(call, 'RegisterImage', [arnOf(call, 'ami-*'), ...used.map((id) => arnOf(call, id))], false);
  const tags = await tagsFor(call, 'RegisterImage', input.TagSpecifications, 'image', ['image']);
  answerDryRun(input.DryRun);
  const snapshots = new Map(used.map((id) => [id, registrable(call, id)]));
  checkName(call, Name);
  const mappings = BlockDeviceMappings.map(({ DeviceName, VirtualName, NoDevice, Ebs }): BlockDeviceMapping => {
    if (Ebs === undefined)
      return {
        DeviceName,
        ...(VirtualName !== undefined && { VirtualName }),
        ...(NoDevice !== undefined && { NoDevice }),
      };
    const snapshot = Ebs.SnapshotId === undefined ? undefined : snapshots.get(Ebs.SnapshotId);
    return {
      DeviceName,
      Ebs: {
        DeleteOnTermination: true,
        VolumeType: 'standard',
        ...Ebs,
        VolumeSize: Ebs.VolumeSize ?? snapshot?.data.VolumeSize,
        Encrypted: snapshot?.data.Encrypted ?? Ebs.Encrypted ?? false,
        ...(Ebs.VolumeType === 'gp3' && { Iops: Ebs.Iops ?? 3000, Throughput: Ebs.Throughput ?? 125 }),
      },
    };
  });
  const image = newImage(
    call,
    {
      Name,
      ...(input.Description && { Description: input.Description }),
      // What is left out has the defaults of 2006.
      Architecture: input.Architecture ?? 'i386',
      VirtualizationType: (input.VirtualizationType as Image['VirtualizationType']) ?? 'paravirtual',
      RootDeviceName: RootDeviceName ?? '/dev/sda1',
      EnaSupport: input.EnaSupport ?? false,
      ...(input.SriovNetSupport && { SriovNetSupport: input.SriovNetSupport }),
      ...(input.BootMode && { BootMode: input.BootMode }),
      ...(input.TpmSupport && { TpmSupport: input.TpmSupport }),
      ...(input.ImdsSupport && { ImdsSupport: input.ImdsSupport }),
      ...(input.KernelId && { KernelId: input.KernelId }),
      ...(input.RamdiskId && { RamdiskId: input.RamdiskId }),
      // Billing isn't carried by snapshots: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-billing-info.html
      PlatformDetails: 'Linux/UNIX',
      UsageOperation: 'RunInstances',
      State: call.timings.registerSeconds > 0 ? 'pending' : 'available',
      BlockDeviceMappings: mappings,
    },
    tags,
  );
  image.uefiData = input.UefiData;
  if (call.timings.registerSeconds > 0) {
    const endsAt = call.world.clock.now() + call.timings.registerSeconds * 1000;
    image.making = { snapshots: [...snapshots.values()], endsAt };
  }
  return { ImageId: image.data.ImageId };
};

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

function checkVolume(ebs: BlockDeviceMapping['Ebs']): void {
  if (ebs === undefined) return;
  const { VolumeType = 'standard', VolumeSize, Iops, Throughput, SnapshotId } = ebs;
  const range = sizes[VolumeType];
  if (range === undefined) throw new Refusal('InvalidParameterValue', `Invalid volume type: ${VolumeType}`);
  if (VolumeSize === undefined && SnapshotId === undefined)
    throw new Refusal('MissingParameter', 'The request must contain the parameter size or snapshotId');
  if (VolumeSize !== undefined && (VolumeSize < range[0] || VolumeSize > range[1])) {
    throw new Refusal('InvalidParameterValue', `Volume of ${VolumeSize}GiB is invalid for volume type ${VolumeType}`);
  }
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

/** A snapshot that an image can be registered from: the caller's own, and completed. */
function registrable(call: Ec2Call, id: string): SimSnapshot {
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
  if (advance(snapshot, now).data.State !== 'completed') {
    throw new Refusal('IncorrectState', `Snapshot is in invalid state - ${snapshot.data.State}`);
  }
  return snapshot;
}

export const copyImage: Handler<CopyImageRequest> = async (call, input) => {
  const { Name = '', SourceImageId = '', SourceRegion = '', ClientToken } = input;
  checkId(SourceImageId);
  checkDescription(input.Description);
  if ((ClientToken ?? '').length > 64) throw new Refusal('InvalidParameterValue', 'Invalid client token');
  // Without a token of the caller's, the SDK makes one up; either way the same token gives the same image.
  const request = JSON.stringify({ ...input, ClientToken: undefined });
  const earlier = [...call.here.images.values()].find(
    ({ clientToken }) => ClientToken !== undefined && clientToken?.token === ClientToken,
  );
  if (earlier !== undefined && input.DryRun !== true) {
    if (earlier.clientToken?.request !== request) {
      throw new Refusal('IdempotentParameterMismatch', 'The client token has already been used with other parameters.');
    }
    return { ImageId: earlier.data.ImageId };
  }
  const key = await destinationKey(call, input.Encrypted, input.KmsKeyId);
  const source = findImage(call.world, SourceRegion, SourceImageId);
  const used = source?.data.BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []) ?? [];
  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/copy-ami-permissions.html
  await authorize(
    call,
    'CopyImage',
    [
      arnOf(call, SourceImageId, SourceRegion),
      arnOf(call, 'ami-*'),
      ...used.map((id) => arnOf(call, id, SourceRegion)),
    ],
    false,
  );
  if (
    source === undefined ||
    source.visibleAt > call.world.clock.now() ||
    source.deregisteredAt !== undefined ||
    !canSeeImage(source, call.caller.account) ||
    isHidden(call, source.data)
  ) {
    throw notFound(SourceImageId);
  }
  const imageTags = await tagsFor(call, 'CopyImage', input.TagSpecifications, 'image', ['image', 'snapshot']);
  const snapshotTags = await tagsFor(call, 'CopyImage', input.TagSpecifications, 'snapshot', ['image', 'snapshot']);
  // What is copied takes ec2:CreateTags as what is given does.
  const copied = { ResourceType: 'image' as const, Tags: source.data.Tags };
  if (input.CopyImageTags === true) await tagsFor(call, 'CopyImage', [copied], 'image', ['image']);
  answerDryRun(input.DryRun);
  const backing = new Map(used.map((id) => [id, findSnapshot(call.world, SourceRegion, id)]));
  refuseCopy(call, source, [...backing.values()]);
  const failures = new Map<SimSnapshot, string | undefined>();
  for (const snapshot of backing.values())
    if (snapshot !== undefined) failures.set(snapshot, await keyFailure(call, snapshot, key));
  // From here on nothing is waited for: of several that ask for a name at once, one gets it.
  checkName(call, Name);
  const ImageId = newId('ami');
  const mappings: BlockDeviceMapping[] = [];
  const snapshots: SimSnapshot[] = [];
  for (const mapping of source.data.BlockDeviceMappings) {
    const snapshot = backing.get(mapping.Ebs?.SnapshotId ?? '');
    if (snapshot === undefined) {
      mappings.push(structuredClone(mapping));
      continue;
    }
    const copy = beginSnapshot(call, {
      source: snapshot,
      sizeGiB: snapshot.data.VolumeSize ?? 1,
      key: key ?? sameKey(call, snapshot),
      failure: failures.get(snapshot),
      tags: snapshotTags,
      description: copyDescription(call, { ImageId, SourceImageId, snapshot }),
      counts: false,
    });
    snapshots.push(copy);
    mappings.push({
      ...mapping,
      Ebs: {
        ...mapping.Ebs,
        SnapshotId: copy.data.SnapshotId,
        Encrypted: key !== undefined || snapshot.data.Encrypted === true,
      },
    });
  }
  const kept = structuredClone(source.data) as Partial<SimImage['data']>;
  for (const field of notCopied) delete kept[field];
  const image = newImage(
    call,
    {
      ...kept,
      ImageId,
      Name,
      Description: input.Description ?? `[Copied ${SourceImageId} from ${SourceRegion}] ${source.data.Name}`,
      State: 'pending',
      BlockDeviceMappings: mappings,
      SourceImageId,
      SourceImageRegion: SourceRegion,
    },
    input.CopyImageTags === true
      ? [...imageTags, ...source.data.Tags.filter(({ Key }) => !imageTags.some((tag) => tag.Key === Key))]
      : imageTags,
  );
  image.uefiData = source.uefiData;
  image.billing = source.billing;
  const now = call.world.clock.now();
  image.making = {
    snapshots,
    endsAt: now + call.timings.baseSeconds * 1000,
    namesAt: now + call.timings.namesSnapshotsAfterSeconds * 1000,
  };
  if (ClientToken !== undefined) image.clientToken = { token: ClientToken, request };
  return { ImageId: image.data.ImageId };
};

/**
 * What is the source's alone. `SourceInstanceId` "only appears if the AMI was created using CreateImage"; of the others
 * AWS doesn't say that a copy keeps them: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html
 */
const notCopied = [
  'OwnerId',
  'ImageOwnerAlias',
  'Tags',
  'State',
  'SourceInstanceId',
  'InstanceTypeSpecification',
  'DeprecationTime',
  'DeregistrationProtection',
  'LastLaunchedTime',
] as const;

/** In the words that were recorded; the task is told by its time. */
function copyDescription(
  call: Ec2Call,
  { ImageId, SourceImageId, snapshot }: Readonly<{ ImageId: string; SourceImageId: string; snapshot: SimSnapshot }>,
): string {
  const created = call.world.clock.now().toLocaleString('en-US');
  return `Copied for DestinationAmi ${ImageId} from SourceAmi ${SourceImageId} for SourceSnapshot ${snapshot.data.SnapshotId}. Task created on ${created}.`;
}

function sameKey(call: Ec2Call, { data }: SimSnapshot): Key | undefined {
  return data.KmsKeyId === undefined ? undefined : findKeyByArn(call.world, data.KmsKeyId);
}

/** What AWS refuses at the call: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html */
function refuseCopy(call: Ec2Call, source: SimImage, snapshots: readonly (SimSnapshot | undefined)[]): void {
  const { account } = call.caller;
  if (advanceImage(source, call.world.clock.now()).data.State !== 'available')
    throw new Refusal('InvalidAMIID.Unavailable', `The image ID '${source.data.ImageId}' is not available`);
  if (source.data.OwnerId !== account) {
    if (source.billing.length > 0) {
      throw new Refusal(
        'InvalidRequest',
        'Images with EC2 BillingProduct codes cannot be copied to another AWS account',
      );
    }
    if (source.data.ProductCodes?.some(({ ProductCodeType }) => ProductCodeType === 'marketplace')) {
      throw new Refusal('InvalidRequest', 'Images from AWS Marketplace cannot be copied to another AWS account.');
    }
  }
  if (snapshots.some((snapshot) => snapshot === undefined || !canUseSnapshot(snapshot, account))) {
    throw new Refusal('InvalidRequest', 'You do not have permission to access the storage of this ami');
  }
}

export const createImage: Handler<CreateImageRequest> = async (call, input) => {
  const { InstanceId = '', Name = '' } = input;
  const instance = call.here.instances.get(InstanceId);
  if (instance === undefined)
    throw new Refusal('InvalidInstanceID.NotFound', `The instance ID '${InstanceId}' does not exist`);
  checkDescription(input.Description);
  await authorize(call, 'CreateImage', [arnOf(call, InstanceId), arnOf(call, 'ami-*'), arnOf(call, 'snap-*')], false);
  const imageTags = await tagsFor(call, 'CreateImage', input.TagSpecifications, 'image', ['image', 'snapshot']);
  const snapshotTags = await tagsFor(call, 'CreateImage', input.TagSpecifications, 'snapshot', ['image', 'snapshot']);
  answerDryRun(input.DryRun);
  const invalid = (why: string) =>
    new Refusal('InvalidParameterValue', `Invalid value '${InstanceId}' for instanceId. ${why}`);
  if (!['running', 'stopping', 'stopped'].includes(instance.state))
    throw invalid("Instance is not in state 'running' or 'stopping' or 'stopped'");
  const root = instance.volumes.find(({ mapping }) => mapping.DeviceName === instance.image.RootDeviceName);
  if (instance.image.RootDeviceType === 'instance-store' || root?.volumeId === undefined)
    throw invalid(`Instance does not have a volume attached at root (${instance.image.RootDeviceName})`);
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
      tags: snapshotTags,
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
    imageTags,
  );
  image.making = { snapshots, endsAt: call.world.clock.now() + call.timings.baseSeconds * 1000 };
  return { ImageId: image.data.ImageId };
};

export const deregisterImage: Handler<DeregisterImageRequest> = async (call, input) => {
  // Permission comes before existence: https://stratus-red-team.cloud/attack-techniques/AWS/aws.discovery.ec2-download-user-data/
  checkId(input.ImageId ?? '');
  await authorize(call, 'DeregisterImage', [arnOf(call, input.ImageId ?? '')], false);
  const image = ownImage(call, input.ImageId ?? '');
  answerDryRun(input.DryRun);
  if ((image.data.DeregistrationProtection ?? 'disabled') !== 'disabled') {
    throw new Refusal('OperationNotPermitted', `The image ${image.data.ImageId} is protected from deregistration.`);
  }
  if (image.data.Tags.some(({ Key }) => Key === 'aws:backup:source-resource')) {
    throw new Refusal(
      'AuthFailure',
      'This image is managed by AWS Backup and cannot be deleted via EC2 APIs. To delete this image, please use the AWS Backup APIs, CLI, or console.',
    );
  }
  image.deregisteredAt = call.world.clock.now();
  const ids = image.data.BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);
  if (input.DeleteAssociatedSnapshots !== true) return { Return: true };
  return { Return: true, DeleteSnapshotResults: await Promise.all(ids.map((id) => deleteAssociated(call, id))) };
};

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSnapshotReturnCode.html */
async function deleteAssociated(call: Ec2Call, id: string): Promise<DeleteSnapshotReturnCode> {
  const snapshot = call.here.snapshots.get(id);
  if (usersOf(call, id).length > 0 || snapshot === undefined) return { SnapshotId: id, ReturnCode: 'skipped' };
  try {
    await authorize(call, 'DeleteSnapshot', [arnOf(call, id)], false);
  } catch {
    return { SnapshotId: id, ReturnCode: 'missing-permissions' };
  }
  if (isLocked(snapshot)) return { SnapshotId: id, ReturnCode: 'client-error' };
  removeSnapshot(call, snapshot);
  return { SnapshotId: id, ReturnCode: 'success' };
}

const filterFields: FilterFields<Image> = {
  name: ({ Name }) => [Name],
  state: ({ State }) => [State],
  'image-id': ({ ImageId }) => [ImageId],
  'owner-id': ({ OwnerId }) => [OwnerId],
  architecture: ({ Architecture }) => [Architecture],
  description: ({ Description }) => [Description],
  'is-public': (image) => [String(image.Public)],
  'virtualization-type': ({ VirtualizationType }) => [VirtualizationType],
  'root-device-type': ({ RootDeviceType }) => [RootDeviceType],
  'root-device-name': ({ RootDeviceName }) => [RootDeviceName],
  'creation-date': ({ CreationDate }) => [CreationDate],
  'source-image-id': ({ SourceImageId }) => [SourceImageId],
  'source-image-region': ({ SourceImageRegion }) => [SourceImageRegion],
  'block-device-mapping.snapshot-id': ({ BlockDeviceMappings }) =>
    (BlockDeviceMappings ?? []).map(({ Ebs }) => Ebs?.SnapshotId),
  'block-device-mapping.device-name': ({ BlockDeviceMappings }) =>
    (BlockDeviceMappings ?? []).map(({ DeviceName }) => DeviceName),
};

export const describeImages: Handler<DescribeImagesRequest> = async (call, input) => {
  const { ImageIds, Owners, ExecutableUsers, Filters, MaxResults, NextToken } = input;
  await authorize(call, 'DescribeImages', ['*'], input.DryRun);
  for (const id of ImageIds ?? []) checkId(id);
  if (ImageIds !== undefined && MaxResults !== undefined) {
    throw new Refusal(
      'InvalidParameterCombination',
      'The parameter imageIdsSet cannot be used with the parameter maxResults',
    );
  }
  const { account } = call.caller;
  const now = call.world.clock.now();
  const candidates = ImageIds === undefined ? allImages(call, Owners) : ImageIds.flatMap((id) => imageById(call, id));
  const owners = Owners?.map((owner) => (owner === 'self' ? account : owner));
  const found = candidates
    .filter((image) => image.visibleAt <= now && image.deregisteredAt === undefined && canSeeImage(image, account))
    .filter(({ data }) => !isHidden(call, data))
    .filter(
      ({ data, launch }) =>
        ExecutableUsers === undefined ||
        ExecutableUsers.some((user) =>
          user === 'self' ? launch.has(account) : user === 'all' && data.Public === true,
        ),
    )
    .map((image) => shown(call, advanceImage(image, now)))
    .filter(
      ({ OwnerId, ImageOwnerAlias, State }) =>
        (owners === undefined || [OwnerId, ImageOwnerAlias].some((owner) => owners.includes(owner ?? ''))) &&
        (State !== 'disabled' || input.IncludeDisabled === true || ImageIds !== undefined),
    )
    .filter((image) => matches(image, Filters, filterFields));
  const { items, next } = pageOf(found, MaxResults, NextToken);
  return { Images: items, ...(next && { NextToken: next }) };
};

function allImages(call: Ec2Call, owners: string[] | undefined): SimImage[] {
  if (owners?.length === 1 && (owners[0] === 'self' || owners[0] === call.caller.account))
    return [...call.here.images.values()];
  return Object.values(call.world.accounts).flatMap(({ regions }) => [
    ...(regions.get(call.region)?.images.values() ?? []),
  ]);
}

/**
 * The image of an ID, where the caller can see it. An unknown ID is an error; one of another account's private image
 * gives nothing, and no error.
 */
export function imageById(call: Ec2Call, id: string): SimImage[] {
  checkId(id);
  const image = findImage(call.world, call.region, id);
  if (image === undefined || (image.data.OwnerId === call.caller.account && image.visibleAt > call.world.clock.now()))
    throw notFound(id);
  if (image.deregisteredAt !== undefined)
    throw new Refusal('InvalidAMIID.Unavailable', `The image ID '${id}' is no longer available`);
  if (isHidden(call, image.data)) throw notFound(id);
  return [image];
}

/** Others than the owner see neither tags nor deregistration protection. */
function shown(call: Ec2Call, image: SimImage): Image {
  const { othersTags } = image;
  const { account } = call.caller;
  const now = call.world.clock.now();
  const data = { ...image.data, Tags: shownOf(image.data.Tags, image.formerTags, now) };
  if ((image.making?.namesAt ?? 0) > now) data.BlockDeviceMappings = unnamed(data);
  const audit = call.here.settings.allowedImages.state === 'audit-mode' && { ImageAllowed: isAllowed(call, data) };
  if (data.OwnerId === account) return { ...data, ...audit };
  const { Tags: _, DeregistrationProtection: __, ...rest } = data;
  return { ...rest, ...othersTags.get(account), ...audit };
}

/** The devices of an AMI that doesn't name its snapshots yet. */
function unnamed({ BlockDeviceMappings }: SimImage['data']): BlockDeviceMapping[] {
  return BlockDeviceMappings.map(({ Ebs, ...mapping }) => {
    const { SnapshotId: _, ...rest } = Ebs ?? {};
    return Ebs === undefined ? mapping : { ...mapping, Ebs: rest };
  });
}

export const describeImageAttribute: Handler<DescribeImageAttributeRequest> = async (call, input) => {
  const { ImageId = '', Attribute } = input;
  checkId(ImageId);
  await authorize(call, 'DescribeImageAttribute', [arnOf(call, ImageId)], false);
  const image = findImage(call.world, call.region, ImageId);
  if (image === undefined || image.deregisteredAt !== undefined || image.visibleAt > call.world.clock.now())
    throw notFound(ImageId);
  if (image.data.OwnerId !== call.caller.account)
    throw new Refusal('AuthFailure', `Not authorized for image:${ImageId}`);
  answerDryRun(input.DryRun);
  switch (Attribute) {
    case 'launchPermission':
      return { ImageId, LaunchPermissions: [...image.launch].map(launchPermissionOf) };
    case 'uefiData':
      return { ImageId, ...(image.uefiData !== undefined && { UefiData: { Value: image.uefiData } }) };
    case 'description':
      return { ImageId, Description: { Value: image.data.Description ?? '' } };
    case 'blockDeviceMapping':
      throw new Refusal('AuthFailure', 'Unauthorized attempt to access restricted resource');
    default:
      throw new Refusal(
        'InvalidParameterValue',
        `Value (${Attribute}) for parameter attribute is not supported by the simulator.`,
      );
  }
};

export const modifyImageAttribute: Handler<ModifyImageAttributeRequest> = async (call, input) => {
  checkId(input.ImageId ?? '');
  await authorize(call, 'ModifyImageAttribute', [arnOf(call, input.ImageId ?? '')], false);
  const image = ownImage(call, input.ImageId ?? '');
  answerDryRun(input.DryRun);
  const { LaunchPermission, Description, ImdsSupport } = input;
  const given = [LaunchPermission, Description, ImdsSupport].filter((one) => one !== undefined);
  if (given.length === 0) throw new Refusal('InvalidParameterCombination', 'No attributes specified.');
  if (given.length > 1)
    throw new Refusal('InvalidParameterCombination', 'Fields for multiple attribute types specified');
  if (Description !== undefined) image.data.Description = Description.Value;
  if (LaunchPermission !== undefined) changeLaunch(call, image, LaunchPermission);
  return {};
};

/** Who may launch, as the member of a launch permission that it was given by. */
function launchPermissionOf(name: string): LaunchPermission {
  if (name === 'all') return { Group: 'all' };
  if (/:organization\//.test(name)) return { OrganizationArn: name };
  return /:ou\//.test(name) ? { OrganizationalUnitArn: name } : { UserId: name };
}

function changeLaunch(
  call: Ec2Call,
  image: SimImage,
  { Add = [], Remove = [] }: NonNullable<ModifyImageAttributeRequest['LaunchPermission']>,
): void {
  for (const { UserId, Group, OrganizationArn, OrganizationalUnitArn } of [...Add, ...Remove]) {
    const fine =
      /^\d{12}$/.test(UserId ?? '') ||
      Group === 'all' ||
      OrganizationArn !== undefined ||
      OrganizationalUnitArn !== undefined;
    if (!fine)
      throw new Refusal(
        'InvalidAMIAttributeItemValue',
        `Invalid attribute item value "${UserId}" for userId item type.`,
      );
  }
  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-intro.html: not with encrypted volumes
  const isEncrypted = image.data.BlockDeviceMappings.some(({ Ebs }) => Ebs?.Encrypted === true);
  if (isEncrypted && Add.some(({ Group }) => Group === 'all'))
    throw new Refusal('InvalidParameter', 'Images with encrypted snapshots cannot be made public.');
  if (Add.length > 0) {
    const managed = image.data.BlockDeviceMappings.some(({ Ebs }) => {
      const keyArn = Ebs?.SnapshotId === undefined ? undefined : call.here.snapshots.get(Ebs.SnapshotId)?.data.KmsKeyId;
      return keyArn !== undefined && findKeyByArn(call.world, keyArn)?.metadata.KeyManager === 'AWS';
    });
    if (managed)
      throw new Refusal(
        'InvalidParameter',
        "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.",
      );
  }
  const nameOf = (one: (typeof Add)[number]) =>
    one.UserId ?? one.OrganizationArn ?? one.OrganizationalUnitArn ?? one.Group ?? '';
  for (const one of Add) image.launch.add(nameOf(one));
  for (const one of Remove) image.launch.delete(nameOf(one));
}
