import type { DescribeRegionsRequest, Image, ImageCriterion } from '@aws-sdk/client-ec2';
import { wildcard } from '../iam.ts';
import type { Settings } from '../world.ts';
import { authorize, type Ec2Call, type Handler } from './call.ts';
import { checkFilters, type Filterable, matches } from './filters.ts';

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
