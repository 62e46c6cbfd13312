import type { DescribeInstancesRequest, DescribeRegionsRequest, Image, ImageCriterion } from '@aws-sdk/client-ec2';
import { wildcard } from '../iam.ts';
import { Refusal } from '../refusal.ts';
import type { Settings } from '../world.ts';
import { authorize, type Ec2Call, type Handler } from './call.ts';

export const describeRegions: Handler<DescribeRegionsRequest> = async (call, input) => {
  await authorize(call, 'DescribeRegions', ['*'], input.DryRun);
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
  return {
    Regions: all.filter(({ RegionName }) => input.RegionNames === undefined || input.RegionNames.includes(RegionName)),
  };
};

export const describeInstances: Handler<DescribeInstancesRequest> = async (call, input) => {
  await authorize(call, 'DescribeInstances', ['*'], input.DryRun);
  for (const { Name } of input.Filters ?? [])
    if (Name !== 'image-id') throw new Refusal('InvalidParameterValue', `The filter '${Name}' is invalid`);
  const images = input.Filters?.find(({ Name }) => Name === 'image-id')?.Values;
  const ids = [...call.here.instances.values()].filter(
    ({ imageId }) => images === undefined || images.includes(imageId ?? ''),
  );
  const instances = (input.InstanceIds ?? ids.map(({ id }) => id)).map((id) => {
    const instance = call.here.instances.get(id);
    if (instance === undefined)
      throw new Refusal('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
    const { Architecture, VirtualizationType, RootDeviceName, RootDeviceType = 'ebs', BootMode } = instance.image;
    const { EnaSupport, SriovNetSupport, TpmSupport, PlatformDetails, UsageOperation, ProductCodes } = instance.image;
    const byDefault = Architecture === 'arm64' ? 'uefi' : 'legacy-bios';
    return {
      InstanceId: id,
      ...(instance.imageId !== undefined && { ImageId: instance.imageId }),
      State: { Name: instance.state },
      Architecture,
      VirtualizationType,
      RootDeviceName,
      RootDeviceType,
      ...{ EnaSupport, SriovNetSupport, TpmSupport, PlatformDetails, UsageOperation, ProductCodes, BootMode },
      CurrentInstanceBootMode: BootMode === 'uefi-preferred' ? 'uefi' : (BootMode ?? byDefault),
      BlockDeviceMappings: instance.volumes.flatMap(({ mapping: { DeviceName, Ebs }, volumeId: VolumeId }) =>
        VolumeId === undefined
          ? []
          : [{ DeviceName, Ebs: { VolumeId, DeleteOnTermination: Ebs?.DeleteOnTermination, Status: 'attached' } }],
      ),
    };
  });
  return { Reservations: instances.map((instance) => ({ OwnerId: call.caller.account, Instances: [instance] })) };
};

export const getEbsEncryptionByDefault: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetEbsEncryptionByDefault', ['*'], input.DryRun);
  return { EbsEncryptionByDefault: call.here.settings.encryptionByDefault };
};

export const getEbsDefaultKmsKeyId: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetEbsDefaultKmsKeyId', ['*'], input.DryRun);
  return { KmsKeyId: call.here.settings.defaultKey };
};

export const getSnapshotBlockPublicAccessState: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetSnapshotBlockPublicAccessState', ['*'], input.DryRun);
  return { State: call.here.settings.snapshotBlockPublicAccess };
};

export const getImageBlockPublicAccessState: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetImageBlockPublicAccessState', ['*'], input.DryRun);
  return { ImageBlockPublicAccessState: call.here.settings.imageBlockPublicAccess };
};

export const getAllowedImagesSettings: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetAllowedImagesSettings', ['*'], input.DryRun);
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
