import type { DescribeInstancesRequest, DescribeRegionsRequest, Image, ImageCriterion } from '@aws-sdk/client-ec2';
import { wildcard } from '../iam.ts';
import { Refusal } from '../refusal.ts';
import type { Instance, Settings } from '../world.ts';
import { authorize, authorizeOn, type Ec2Call, type Handler } from './call.ts';
import { checkFilters, type Filterable, matches, pageOf } from './filters.ts';

type ListedRegion = Readonly<{ RegionName: string; Endpoint: string; OptInStatus: string }>;

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html */
const regionFilters: Filterable<ListedRegion> = {
  complete: true,
  fields: {
    'region-name': ({ RegionName }) => [RegionName],
    endpoint: ({ Endpoint }) => [Endpoint],
    'opt-in-status': ({ OptInStatus }) => [OptInStatus],
  },
};

export const describeRegions: Handler<DescribeRegionsRequest> = async (call, input) => {
  await authorize(call, 'DescribeRegions', { dryRun: input.DryRun });
  const account = call.world.accounts[call.caller.account];
  const enabled = [...(account?.regions.keys() ?? [])].map((RegionName) => ({
    RegionName,
    Endpoint: `ec2.${RegionName}.amazonaws.com`,
    OptInStatus: 'opt-in-not-required',
  }));
  const off = [...(account?.notOptedIn ?? [])].map((RegionName) => ({
    RegionName,
    Endpoint: `ec2.${RegionName}.amazonaws.com`,
    OptInStatus: 'not-opted-in',
  }));
  const all = input.AllRegions === true ? [...enabled, ...off] : enabled;
  checkFilters(input.Filters, regionFilters);
  return {
    Regions: all.filter(
      (region) =>
        (input.RegionNames?.includes(region.RegionName) ?? true) && matches(region, input.Filters, regionFilters),
    ),
  };
};

/** Some of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html */
const instanceFilters: Filterable<Instance> = {
  complete: false,
  fields: {
    'image-id': ({ imageId }) => [imageId],
    'instance-id': ({ id }) => [id],
    'instance-state-name': ({ state }) => [state],
  },
};

export const describeInstances: Handler<DescribeInstancesRequest> = async (call, input) => {
  const { InstanceIds, Filters } = input;
  checkFilters(Filters, instanceFilters);
  const asked = await authorizeOn(call, 'DescribeInstances', {
    dryRun: input.DryRun,
    find: () => InstanceIds?.map((id) => instanceOf(call, id)) ?? [...call.here.instances.values()],
  });
  const reservations = asked
    .filter((instance) => matches(instance, Filters, instanceFilters))
    .map((instance) => ({ OwnerId: call.caller.account, Instances: [shownInstance(instance)] }));
  if (InstanceIds !== undefined) return { Reservations: reservations };
  const { items, more } = pageOf(call, reservations, input);
  return { Reservations: items, ...more };
};

function instanceOf(call: Ec2Call, id: string): Instance {
  const instance = call.here.instances.get(id);
  if (instance === undefined) throw new Refusal('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
  return instance;
}

function shownInstance({ id, imageId, image, state, volumes }: Instance) {
  const { Architecture, VirtualizationType, RootDeviceName, RootDeviceType = 'ebs', BootMode } = image;
  const { EnaSupport, SriovNetSupport, TpmSupport, PlatformDetails, UsageOperation, ProductCodes } = image;
  const byDefault = Architecture === 'arm64' ? 'uefi' : 'legacy-bios';
  return {
    InstanceId: id,
    ...(imageId !== undefined && { ImageId: imageId }),
    State: { Name: state },
    Architecture,
    VirtualizationType,
    RootDeviceName,
    RootDeviceType,
    ...{ EnaSupport, SriovNetSupport, TpmSupport, PlatformDetails, UsageOperation, ProductCodes, BootMode },
    CurrentInstanceBootMode: BootMode === 'uefi-preferred' ? 'uefi' : (BootMode ?? byDefault),
    BlockDeviceMappings: volumes.flatMap(({ mapping: { DeviceName, Ebs }, volumeId: VolumeId }) =>
      VolumeId === undefined
        ? []
        : [{ DeviceName, Ebs: { VolumeId, DeleteOnTermination: Ebs?.DeleteOnTermination, Status: 'attached' } }],
    ),
  };
}

export const getEbsEncryptionByDefault: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetEbsEncryptionByDefault', { dryRun: input.DryRun });
  return { EbsEncryptionByDefault: call.here.settings.encryptionByDefault };
};

export const getEbsDefaultKmsKeyId: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetEbsDefaultKmsKeyId', { dryRun: input.DryRun });
  return { KmsKeyId: call.here.settings.defaultKey };
};

export const getSnapshotBlockPublicAccessState: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetSnapshotBlockPublicAccessState', { dryRun: input.DryRun });
  return { State: call.here.settings.snapshotBlockPublicAccess };
};

export const getImageBlockPublicAccessState: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetImageBlockPublicAccessState', { dryRun: input.DryRun });
  return { ImageBlockPublicAccessState: call.here.settings.imageBlockPublicAccess };
};

export const getAllowedImagesSettings: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetAllowedImagesSettings', { dryRun: input.DryRun });
  const { state, managedBy = 'account' } = call.here.settings.allowedImages;
  return { State: state, ManagedBy: managedBy, ImageCriteria: criteriaOf(call.here.settings) };
};

function criteriaOf({ allowedImages: { providers, criteria = [] } }: Settings): ImageCriterion[] {
  return [...(providers === undefined ? [] : [{ ImageProviders: [...providers] }]), ...criteria];
}

/**
 * Whether Allowed AMIs keeps an image from the caller, here; audit mode only marks what it would keep.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-allowed-amis.html#how-allowed-amis-works
 */
export function isHidden(call: Ec2Call, image: Image): boolean {
  return call.here.settings.allowedImages.state === 'enabled' && !isAllowed(call, image);
}

export function isAllowed(call: Ec2Call, image: Image): boolean {
  return (
    image.OwnerId === call.caller.account ||
    criteriaOf(call.here.settings).some((one) => meets(image, one, call.world.clock.now()))
  );
}

function meets(image: Image, criterion: ImageCriterion, now: number): boolean {
  const { ImageProviders, ImageNames, MarketplaceProductCodes, ImageWatermarks } = criterion;
  const { CreationDateCondition: creation, DeprecationTimeCondition: deprecation, ScanResultCondition } = criterion;
  const codes = (image.ProductCodes ?? []).map(({ ProductCodeId }) => ProductCodeId ?? '');
  const deprecatedDays = image.DeprecationTime === undefined ? 0 : daysSince(image.DeprecationTime, now);
  const conditions = [
    ImageProviders?.some((provider) => provider === image.OwnerId || provider === image.ImageOwnerAlias),
    ImageNames?.some((name) => wildcard(name).test(image.Name ?? '')),
    MarketplaceProductCodes?.some((code) => codes.includes(code)),
    creation && daysSince(image.CreationDate, now) <= (creation.MaximumDaysSinceCreated ?? Number.POSITIVE_INFINITY),
    deprecation && deprecatedDays <= (deprecation.MaximumDaysSinceDeprecated ?? Number.POSITIVE_INFINITY),
    ImageWatermarks?.some(({ WatermarkKey = '*', SourceImageRegion = '*' }) =>
      image.ImageWatermarks?.some(
        (mark) =>
          wildcard(WatermarkKey).test(mark.WatermarkKey ?? '') &&
          wildcard(SourceImageRegion).test(mark.SourceImageRegion ?? ''),
      ),
    ),
    // No image here has ever been scanned.
    ScanResultCondition && false,
  ];
  return conditions.every((met) => met !== false);
}

function daysSince(time: string | undefined, now: number): number {
  return Math.max(0, (now - Date.parse(time ?? '')) / 86_400_000);
}
