import type { BlockDeviceMapping, DescribeImagesRequest, Image } from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import { canSeeImage, findImage, isOver, type SimImage, shownOf } from '../world.ts';
import { authorizeOn, type Ec2Call, type Handler } from './call.ts';
import { checkFilters, type Filterable, matches, pageOf } from './filters.ts';
import { advanceImage, endCooldown, imageNotFound, requireImageId } from './image.ts';
import { isAllowed, isHidden } from './settings.ts';

const ofDevices =
  (field: (mapping: BlockDeviceMapping) => unknown) =>
  ({ BlockDeviceMappings = [] }: Image): (string | undefined)[] =>
    BlockDeviceMappings.map((mapping) => {
      const value = field(mapping);
      return value === undefined ? undefined : String(value);
    });

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html */
const filterable: Filterable<Image> = {
  complete: true,
  tags: ({ Tags }) => Tags,
  fields: {
    name: ({ Name }) => [Name],
    state: ({ State }) => [State],
    'state-reason-code': ({ StateReason }) => [StateReason?.Code],
    'state-reason-message': ({ StateReason }) => [StateReason?.Message],
    'image-id': ({ ImageId }) => [ImageId],
    'image-type': ({ ImageType }) => [ImageType],
    'image-allowed': ({ ImageAllowed }) => [String(ImageAllowed)],
    'image-watermark-key': ({ ImageWatermarks = [] }) => ImageWatermarks.map(({ WatermarkKey }) => WatermarkKey),
    'owner-id': ({ OwnerId }) => [OwnerId],
    'owner-alias': ({ ImageOwnerAlias }) => [ImageOwnerAlias],
    architecture: ({ Architecture }) => [Architecture],
    description: ({ Description }) => [Description],
    'ena-support': ({ EnaSupport }) => [String(EnaSupport === true)],
    'free-tier-eligible': ({ FreeTierEligible }) => [String(FreeTierEligible)],
    hypervisor: ({ Hypervisor }) => [Hypervisor],
    'is-public': (image) => [String(image.Public)],
    'kernel-id': ({ KernelId }) => [KernelId],
    'manifest-location': ({ ImageLocation }) => [ImageLocation],
    platform: ({ Platform }) => [Platform],
    'product-code': ({ ProductCodes = [] }) => ProductCodes.map(({ ProductCodeId }) => ProductCodeId),
    'product-code.type': ({ ProductCodes = [] }) => ProductCodes.map(({ ProductCodeType }) => ProductCodeType),
    'ramdisk-id': ({ RamdiskId }) => [RamdiskId],
    'virtualization-type': ({ VirtualizationType }) => [VirtualizationType],
    'root-device-type': ({ RootDeviceType }) => [RootDeviceType],
    'root-device-name': ({ RootDeviceName }) => [RootDeviceName],
    'creation-date': ({ CreationDate }) => [CreationDate],
    'source-image-id': ({ SourceImageId }) => [SourceImageId],
    'source-image-region': ({ SourceImageRegion }) => [SourceImageRegion],
    'source-instance-id': ({ SourceInstanceId }) => [SourceInstanceId],
    'sriov-net-support': ({ SriovNetSupport }) => [SriovNetSupport],
    'block-device-mapping.snapshot-id': ofDevices(({ Ebs }) => Ebs?.SnapshotId),
    'block-device-mapping.device-name': ofDevices(({ DeviceName }) => DeviceName),
    'block-device-mapping.delete-on-termination': ofDevices(({ Ebs }) => Ebs?.DeleteOnTermination),
    'block-device-mapping.volume-size': ofDevices(({ Ebs }) => Ebs?.VolumeSize),
    'block-device-mapping.volume-type': ofDevices(({ Ebs }) => Ebs?.VolumeType),
    'block-device-mapping.encrypted': ofDevices(({ Ebs }) => Ebs?.Encrypted),
  },
};

export const describeImages: Handler<DescribeImagesRequest> = async (call, input) => {
  const { ImageIds, Filters, MaxResults } = input;
  for (const id of ImageIds ?? []) requireImageId(call, id);
  checkFilters(Filters, filterable);
  if (ImageIds !== undefined && MaxResults !== undefined)
    throw new Refusal(
      'InvalidParameterCombination',
      'The parameter imageIdsSet cannot be used with the parameter maxResults',
    );
  const images = await authorizeOn(call, 'DescribeImages', {
    dryRun: input.DryRun,
    find: () => candidates(call, input),
  });
  const found = images
    .filter((image) => isAsked(call, image, input))
    .map((image) => shownImage(call, image))
    .filter((image) => matches(image, Filters, filterable));
  if (ImageIds !== undefined) return { Images: found };
  const { items, more } = pageOf(call, found, input);
  return { Images: items, ...more };
};

/** The images that are described: those named, or all, that are there to be seen. */
function candidates(call: Ec2Call, { ImageIds, Owners }: DescribeImagesRequest): SimImage[] {
  const all = ImageIds === undefined ? allImages(call, Owners) : ImageIds.flatMap((id) => imageById(call, id));
  return all.filter((image) => isVisible(call, image));
}

function isVisible(call: Ec2Call, image: SimImage): boolean {
  const now = call.world.clock.now();
  const isGone = isOver(image.deregisteredAt, call.timings.goneAfterSeconds, now);
  return (
    image.visibleAt <= now && !isGone && canSeeImage(image, call.caller.account, now) && !isHidden(call, image.data)
  );
}

function isAsked(call: Ec2Call, image: SimImage, input: DescribeImagesRequest): boolean {
  const { ImageIds, Owners, ExecutableUsers, IncludeDisabled } = input;
  const { account } = call.caller;
  const { OwnerId, State, ImageOwnerAlias = OwnerId } = image.data;
  const names = [OwnerId, ImageOwnerAlias, ...(OwnerId === account ? ['self'] : [])];
  const owned = Owners?.some((owner) => names.includes(owner)) ?? true;
  const executable = ExecutableUsers?.some((user) => mayLaunch(image, user === 'self' ? account : user)) ?? true;
  return owned && executable && (State !== 'disabled' || IncludeDisabled === true || ImageIds !== undefined);
}

function mayLaunch({ data, launch }: SimImage, user: string): boolean {
  return user === 'all' ? data.Public === true : launch.has(user);
}

function allImages(call: Ec2Call, owners: string[] | undefined): SimImage[] {
  if (owners?.length === 1 && (owners[0] === 'self' || owners[0] === call.caller.account))
    return [...call.here.images.values()];
  return Object.values(call.world.accounts).flatMap(({ regions }) => [
    ...(regions.get(call.region)?.images.values() ?? []),
  ]);
}

/** An unknown ID is an error; one of another account's private image, or of one deregistered, gives nothing. As recorded. */
function imageById(call: Ec2Call, id: string): SimImage[] {
  const image = findImage(call.world, call.region, id);
  const isNew = image?.data.OwnerId === call.caller.account && image.visibleAt > call.world.clock.now();
  if (image === undefined || isNew || isHidden(call, image.data)) throw imageNotFound(id);
  return [image];
}

/** An image that the caller can see. */
export function visibleImage(call: Ec2Call, id: string): SimImage {
  requireImageId(call, id);
  const [image] = imageById(call, id).filter((one) => isVisible(call, one));
  if (image === undefined) throw imageNotFound(id);
  return image;
}

/**
 * An image as reads show it by now, to its owner: the attributes that reads have seen, with those that AWS tells of
 * every image, as recorded.
 */
export function ownView(call: Ec2Call, image: SimImage): Image {
  const now = call.world.clock.now();
  const { data, formerData, tagsLate, making } = advanceImage(image, now);
  const { StateReason: _, ...attributes } = shownOf<Image>(data, formerData, now);
  const { State, StateReason, BlockDeviceMappings } = data;
  const tags = shownOf(data.Tags, tagsLate.read, now);
  return {
    FreeTierEligible: true,
    DeregistrationProtection: 'disabled',
    ...attributes,
    State,
    ...(StateReason && { StateReason }),
    BlockDeviceMappings: (making?.namesAt ?? 0) > now ? unnamed(BlockDeviceMappings) : BlockDeviceMappings,
    ...tagged(tags),
  };
}

/** Tags are left out where there are none, as recorded. */
function tagged(Tags: Image['Tags']): Pick<Image, 'Tags'> {
  return { Tags: Tags?.length === 0 ? undefined : Tags };
}

/** Others than the owner see neither tags nor deregistration protection. */
function shownImage(call: Ec2Call, image: SimImage): Image {
  endCooldown(image, call.world.clock.now());
  const { scan } = image;
  const isScanned = scan !== undefined && scan.at <= call.world.clock.now();
  const view = { ...ownView(call, image), ...(isScanned && { ScanResults: scan.results }) };
  const { account } = call.caller;
  const audit = call.here.settings.allowedImages.state === 'audit-mode' && { ImageAllowed: isAllowed(call, view) };
  if (view.OwnerId === account) return { ...view, ...audit };
  const { DeregistrationProtection: _, ...rest } = view;
  return { ...rest, ...tagged(image.othersTags.get(account)?.Tags), ...audit };
}

/** The devices of an AMI that doesn't name its snapshots yet. */
function unnamed(mappings: readonly BlockDeviceMapping[]): BlockDeviceMapping[] {
  return mappings.map(({ Ebs, ...mapping }) => {
    const { SnapshotId: _, ...rest } = Ebs ?? {};
    return Ebs === undefined ? mapping : { ...mapping, Ebs: rest };
  });
}
