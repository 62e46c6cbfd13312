import type {
  BlockDeviceMapping,
  EbsBlockDevice,
  Image,
  RegisterImageRequest,
  Snapshot,
  Tag,
} from '@aws-sdk/client-ec2';

/** What DescribeImages doesn't tell of an image: its UEFI variables, readable by its owner alone. */
export type ImageExtras = Readonly<{ uefiData: string | undefined }>;

/** Graviton boots by UEFI, whether the image says so or not: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-boot.html */
export function hasUefi({ BootMode, Architecture }: Image): boolean {
  return BootMode === 'uefi' || BootMode === 'uefi-preferred' || (BootMode === undefined && Architecture === 'arm64');
}

/** The snapshots of an image, each once, in the order of its devices. */
export function snapshotIdsOf(image: Image): string[] {
  const ids = (image.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => (Ebs?.SnapshotId ? [Ebs.SnapshotId] : []));
  return [...new Set(ids)];
}

/** The IDs of snapshots; AWS always tells them. */
export function imageIdsOf(images: readonly Image[]): string[] {
  return images.flatMap(({ ImageId }) => ImageId ?? []);
}

export function idsOf(snapshots: readonly Snapshot[]): string[] {
  return snapshots.flatMap(({ SnapshotId }) => (SnapshotId === undefined ? [] : [SnapshotId]));
}

/** What snapshots come to together. */
export function totalGiB(snapshots: readonly Readonly<{ sizeGiB: number }>[]): number {
  return snapshots.reduce((sum, { sizeGiB }) => sum + sizeGiB, 0);
}

/** Which snapshot of `copy` stands for which of `source`: an image's copy has the same devices. */
export function matchSnapshots(source: Image, copy: Image): Map<string, string> {
  const byDevice = new Map(
    (copy.BlockDeviceMappings ?? []).map(({ DeviceName, Ebs }) => [DeviceName, Ebs?.SnapshotId]),
  );
  const matched = new Map<string, string>();
  for (const { DeviceName, Ebs } of source.BlockDeviceMappings ?? []) {
    const id = byDevice.get(DeviceName);
    if (Ebs?.SnapshotId && id !== undefined) matched.set(Ebs.SnapshotId, id);
  }
  return matched;
}

/** The gibibytes that the volumes of an image have. */
export function sizeGiB(image: Image): number {
  return (image.BlockDeviceMappings ?? []).reduce((sum, { Ebs }) => sum + (Ebs?.VolumeSize ?? 0), 0);
}

export type RegistrationOptions = Readonly<{
  source: Image;
  extras: ImageExtras;
  name: string;
  description: string | undefined;
  /** The snapshot in the target for each of the source's. */
  copies: ReadonlyMap<string, string>;
  tags: Tag[];
}>;

/**
 * The RegisterImage request that makes the source's equal. Built from an allowlist, so that a new field of
 * DescribeImages never breaks it; and nothing is left to RegisterImage's own defaults, which are of 2006 (i386,
 * paravirtual, no ENA). https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html
 */
export function registrationOf(options: RegistrationOptions): RegisterImageRequest {
  const { source, extras, name, description, copies, tags } = options;
  return {
    Name: name,
    ...(description && { Description: description }),
    Architecture: source.Architecture,
    VirtualizationType: source.VirtualizationType,
    RootDeviceName: source.RootDeviceName,
    EnaSupport: source.EnaSupport ?? false,
    ...(source.SriovNetSupport && { SriovNetSupport: source.SriovNetSupport }),
    ...(source.BootMode && { BootMode: source.BootMode }),
    ...(source.TpmSupport && { TpmSupport: source.TpmSupport }),
    ...(source.ImdsSupport && { ImdsSupport: source.ImdsSupport }),
    ...(extras.uefiData && { UefiData: extras.uefiData }),
    // Kernel and RAM disk IDs are of one region, and only paravirtual images have them.
    BlockDeviceMappings: (source.BlockDeviceMappings ?? []).map((mapping) => mappingOf(mapping, copies)),
    TagSpecifications: [{ ResourceType: 'image', Tags: tags }],
  };
}

function mappingOf(mapping: BlockDeviceMapping, copies: ReadonlyMap<string, string>): BlockDeviceMapping {
  const { DeviceName, VirtualName, NoDevice, Ebs } = mapping;
  if (Ebs === undefined) {
    return { DeviceName, ...(VirtualName && { VirtualName }), ...(NoDevice !== undefined && { NoDevice }) };
  }
  const { SnapshotId, Encrypted, VolumeType, VolumeSize, Iops, Throughput, DeleteOnTermination, EbsCardIndex } = Ebs;
  return {
    DeviceName,
    Ebs: {
      // Encrypted is refused beside a snapshot, whose own it is; a new volume needs it. KmsKeyId is refused for both.
      ...(SnapshotId
        ? { SnapshotId: copies.get(SnapshotId) ?? missing(SnapshotId) }
        : { Encrypted: Encrypted ?? false }),
      ...(VolumeSize !== undefined && { VolumeSize }),
      ...(VolumeType && { VolumeType }),
      // DescribeImages tells IOPS of gp2 volumes too, where RegisterImage refuses them.
      ...(Iops !== undefined && takesIops(VolumeType) && { Iops }),
      ...(Throughput !== undefined && VolumeType === 'gp3' && { Throughput }),
      ...(DeleteOnTermination !== undefined && { DeleteOnTermination }),
      ...(EbsCardIndex !== undefined && { EbsCardIndex }),
    },
  };
}

function takesIops(volumeType: string | undefined): boolean {
  return volumeType === 'io1' || volumeType === 'io2' || volumeType === 'gp3';
}

function missing(snapshotId: string): never {
  throw new Error(`there is no copy of ${snapshotId}`);
}

/** One attribute that came out otherwise than it went in, or than it was asked for. */
export type Difference = Readonly<{ field: string; source: string; target: string; asked?: true }>;

/** In place of a value that isn't there, or that nothing tells. */
export const notSet = 'not set';
const notKnown = 'not known';

/** Whether an attribute isn't otherwise, but missing: what was made a moment ago may show it only later. */
export function isMissing({ target }: Difference): boolean {
  return target === notSet || target === notKnown;
}

/** `VolumeSize is 9, but 8 in the source`. */
export function differenceText({ field, source, target, asked }: Difference): string {
  return asked
    ? `${field} is ${target}, but ${source} was asked for`
    : `${field} is ${target}, but ${source} in the source`;
}

// What a copy must have as the source has it.
const comparedFields = [
  'Architecture',
  'VirtualizationType',
  'RootDeviceName',
  'RootDeviceType',
  'EnaSupport',
  'SriovNetSupport',
  'BootMode',
  'TpmSupport',
  'ImdsSupport',
  'ImageWatermarks',
  'InstanceTypeSpecification',
] as const satisfies readonly (keyof Image)[];

// Registering from snapshots loses what AWS bills by.
const billingFields = [
  'Platform',
  'PlatformDetails',
  'UsageOperation',
  'ProductCodes',
] as const satisfies readonly (keyof Image)[];

// Their IDs are of one region; only paravirtual images have them.
const regionalFields = ['KernelId', 'RamdiskId'] as const satisfies readonly (keyof Image)[];

// What is the target's own: IDs, owner, names, dates, states, settings; and what AWS works out itself.
type NotCompared =
  | 'ImageId'
  | 'ImageLocation'
  | 'Name'
  | 'Description'
  | 'Tags'
  | 'OwnerId'
  | 'ImageOwnerAlias'
  | 'CreationDate'
  | 'State'
  | 'StateReason'
  | 'Public'
  | 'SourceInstanceId'
  | 'SourceImageId'
  | 'SourceImageRegion'
  | 'DeprecationTime'
  | 'DeregistrationProtection'
  | 'LastLaunchedTime'
  | 'ImageAllowed'
  | 'PublicSsmParameterName'
  | 'ImageType'
  | 'Hypervisor'
  | 'FreeTierEligible'
  | 'ScanResults';
type Compared = (typeof comparedFields | typeof billingFields | typeof regionalFields)[number] | 'BlockDeviceMappings';
/** A field that AWS adds to images doesn't compile until it is said here whether copies must have it. */
const everyFieldIsClassified: Exclude<keyof Image, Compared | NotCompared> extends never ? true : false = true;
void everyFieldIsClassified;

const comparedVolumeFields = [
  'VolumeType',
  'VolumeSize',
  'Iops',
  'Throughput',
  'DeleteOnTermination',
  'EbsCardIndex',
] as const;

/** What two images need not have in common. */
export type Allowances = Readonly<{
  /** The billing is lost, and that is meant. */
  lostBilling: boolean;
  /** They are in two regions. */
  otherRegion: boolean;
}>;

/** Attribute by attribute and device by device, in what `target` differs from `source`. */
export function differences(source: Image, target: Image, { lostBilling, otherRegion }: Allowances): Difference[] {
  const fields = [...comparedFields, ...(lostBilling ? [] : billingFields), ...(otherRegion ? [] : regionalFields)];
  const found = fields.flatMap((field) => compared(field, counted(source, field), counted(target, field)));
  const here = new Map((target.BlockDeviceMappings ?? []).map((mapping) => [mapping.DeviceName, mapping]));
  for (const mapping of source.BlockDeviceMappings ?? []) {
    found.push(...deviceDifferences(mapping, here.get(mapping.DeviceName)));
    here.delete(mapping.DeviceName);
  }
  for (const name of here.keys()) found.push(...compared(`BlockDeviceMappings[${name}]`, undefined, 'there'));
  return found;
}

/** The difference in one field, if there is one. */
function compared(field: string, there: unknown, here: unknown): Difference[] {
  return there === here ? [] : [{ field, source: show(there), target: show(here) }];
}

/** In what a device of the target, `here`, differs from the source's of the same name. */
function deviceDifferences(there: BlockDeviceMapping, here: BlockDeviceMapping | undefined): Difference[] {
  const name = `BlockDeviceMappings[${there.DeviceName}]`;
  if (here === undefined) return compared(name, 'there', undefined);
  return [
    ...compared(`${name}.VirtualName`, there.VirtualName, here.VirtualName),
    ...compared(`${name}.NoDevice`, there.NoDevice !== undefined, here.NoDevice !== undefined),
    ...compared(`${name}.Ebs`, there.Ebs !== undefined, here.Ebs !== undefined),
    ...(there.Ebs && here.Ebs ? volumeDifferences(`${name}.Ebs`, there.Ebs, here.Ebs) : []),
  ];
}

function volumeDifferences(name: string, there: EbsBlockDevice, here: EbsBlockDevice): Difference[] {
  const stated = comparedVolumeFields.filter((field) => isStated(there, field));
  // The snapshot's own key tells more (snapshotDifferences); that the mapping says nothing of encryption says nothing.
  const encrypted = there.SnapshotId !== undefined || (there.Encrypted ?? false);
  return [
    ...stated.flatMap((field) => compared(`${name}.${field}`, there[field], here[field])),
    ...compared(`${name}.Encrypted`, encrypted, here.Encrypted ?? (here.SnapshotId ? encrypted : false)),
    ...compared(`${name}.SnapshotId`, there.SnapshotId !== undefined, here.SnapshotId !== undefined),
  ];
}

/** UEFI variables are long and unreadable, so only the fact is told. */
export function extrasDifferences(source: ImageExtras, target: ImageExtras): Difference[] {
  if (source.uefiData === target.uefiData) return [];
  const told = (uefiData: string | undefined, other: string) => (uefiData === undefined ? notSet : other);
  return [{ field: 'UefiData', source: told(source.uefiData, 'of its own'), target: told(target.uefiData, 'another') }];
}

/** A text as the SDK reads it: nothing but spaces and line ends is no text (@aws-sdk/xml-builder, parseXML). */
function asRead(text = ''): string {
  return text.trim() === '' && text.includes('\n') ? '' : text;
}

/** The tags that `image` was to have and has not, or has otherwise. */
export function tagDifferences(asked: readonly Tag[], image: Image): Difference[] {
  const actual = new Map((image.Tags ?? []).map(({ Key, Value }) => [Key, Value]));
  return asked
    .filter(({ Key, Value }) => actual.get(Key) !== asRead(Value))
    .map(({ Key, Value }) => ({
      field: `the tag ${Key}`,
      source: show(Value),
      target: show(actual.get(Key)),
      asked: true,
    }));
}

/** The snapshots of `image` that are not under the key, or not known to be; and those that nothing can be launched from. */
export function snapshotDifferences(kmsKeyArn: string, image: Image, snapshots: Iterable<Snapshot>): Difference[] {
  const known = new Map([...snapshots].map((snapshot) => [snapshot.SnapshotId, snapshot]));
  return snapshotIdsOf(image).flatMap((id) => {
    const { KmsKeyId = notKnown, StorageTier } = known.get(id) ?? {};
    const differs = (field: string, source: string, target: string): Difference[] =>
      source === target ? [] : [{ field: `${field} of ${id}`, source, target, asked: true }];
    return [
      ...differs('the key', kmsKeyArn, KmsKeyId),
      // Those of a disabled AMI may be archived, and stay so when it is enabled again; an archived one must be restored
      // first: https://docs.aws.amazon.com/ebs/latest/userguide/snapshot-archive.html
      ...differs('the storage tier', 'standard', StorageTier || 'standard'),
    ];
  });
}

/** An attribute as it counts: absent, empty and off are one, and lists have no order. */
function counted(image: Image, field: Exclude<Compared, 'BlockDeviceMappings'>): unknown {
  switch (field) {
    case 'ProductCodes':
      return listed(image.ProductCodes?.map(({ ProductCodeId }) => ProductCodeId));
    case 'ImageWatermarks':
      return listed(image.ImageWatermarks?.map(({ WatermarkKey }) => WatermarkKey));
    case 'InstanceTypeSpecification':
      return instanceTypesOf(image);
    case 'RootDeviceType':
      return image.RootDeviceType ?? 'ebs';
    case 'PlatformDetails':
      return image.PlatformDetails || 'Linux/UNIX';
    case 'UsageOperation':
      return image.UsageOperation || 'RunInstances';
    default:
      return image[field] || undefined;
  }
}

/** Whether a mapping states a field that a copy is given: what it leaves open, the copy's default may fill in. */
function isStated(ebs: EbsBlockDevice, field: (typeof comparedVolumeFields)[number]): boolean {
  if (ebs[field] === undefined) return false;
  if (field === 'Iops') return takesIops(ebs.VolumeType);
  return field !== 'Throughput' || ebs.VolumeType === 'gp3';
}

/** The instance types that an image is for, or not for, as one text; undefined where it is for all. */
export function instanceTypesOf({ InstanceTypeSpecification: specification }: Image): string | undefined {
  const { SupportedInstanceTypes = [], UnsupportedInstanceTypes = [] } = specification ?? {};
  return listed([
    ...SupportedInstanceTypes.map(({ InstanceType }) => InstanceType),
    ...UnsupportedInstanceTypes.map(({ InstanceType }) => `not ${InstanceType}`),
  ]);
}

function listed(items: readonly (string | undefined)[] = []): string | undefined {
  return items.toSorted().join(', ') || undefined;
}

function show(value: unknown): string {
  return value === undefined ? notSet : String(value);
}

/** Whether AWS could have given a text to an AMI as its ID; it refuses a call that names any other. */
export function isImageId(text: string): boolean {
  return /^ami-([0-9a-f]{8}|[0-9a-f]{17})$/.test(text);
}

/** AMI names: 3 to 128 characters. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html */
export function isImageName(name: string): boolean {
  return /^[\w()[\] ./'@-]{3,128}$/.test(name);
}

/** What somebody wrote of an image: that of a copy without a description is AWS's own text. */
export function describedAs({ Description = '' }: Image): string | undefined {
  return Description === '' || /^\[Copied ami-[0-9a-f]+ from [a-z0-9-]+\]/.test(Description) ? undefined : Description;
}

/** AMI descriptions: at most 255 characters, ASCII. */
export function isImageDescription(description: string): boolean {
  return /^[\x20-\x7e]{0,255}$/.test(description);
}
