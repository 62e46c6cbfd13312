import type { Image, ImageCriterion, ImageWatermark, ImageWatermarkFilterResponse } from '@aws-sdk/client-ec2';

/** Whether Allowed AMIs lets an account see another's image; `unknown` where that depends on what can't be read here. */
type Admission = 'allowed' | 'hidden' | 'unknown';

/** So many criteria AWS takes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImageCriterionRequest.html */
export const mostCriteria = 10;

/**
 * What Allowed AMIs, where it is on, makes of an image of another account: it is allowed that fits any criterion, and it
 * fits a criterion that meets all conditions of it.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-allowed-amis.html#how-allowed-amis-criteria-are-evaluated
 */
export function admissionOf(image: Image, criteria: readonly ImageCriterion[], now: Date): Admission {
  const verdicts = criteria.map((criterion) => admissionBy(criterion, image, now));
  if (verdicts.includes('allowed')) return 'allowed';
  // AWS doesn't say what no criteria at all come to.
  return verdicts.includes('unknown') || verdicts.length === 0 ? 'unknown' : 'hidden';
}

function admissionBy(criterion: ImageCriterion, image: Image, now: Date): Admission {
  const { ImageProviders, ImageNames, MarketplaceProductCodes, ImageWatermarks } = criterion;
  const { CreationDateCondition: creation, DeprecationTimeCondition: deprecation } = criterion;
  const met: boolean[] = [];
  if (ImageProviders !== undefined)
    met.push(ImageProviders.some((one) => one === image.OwnerId || one === image.ImageOwnerAlias));
  if (ImageNames !== undefined) met.push(ImageNames.some((pattern) => fits(image.Name, pattern)));
  if (MarketplaceProductCodes !== undefined)
    met.push(
      (image.ProductCodes ?? []).some(
        ({ ProductCodeType, ProductCodeId = '' }) =>
          ProductCodeType === 'marketplace' && MarketplaceProductCodes.includes(ProductCodeId),
      ),
    );
  if (creation !== undefined) met.push(within(creation.MaximumDaysSinceCreated, image.CreationDate, now));
  // An image that isn't deprecated, or will be only later, meets it.
  if (deprecation !== undefined)
    met.push(
      image.DeprecationTime === undefined || within(deprecation.MaximumDaysSinceDeprecated, image.DeprecationTime, now),
    );
  if (ImageWatermarks !== undefined)
    met.push(ImageWatermarks.some((filter) => (image.ImageWatermarks ?? []).some((mark) => bears(mark, filter, now))));
  if (met.includes(false)) return 'hidden';
  // Only Amazon Inspector knows its scans; and a criterion that nothing is read of has a condition newer than this action.
  return criterion.ScanResultCondition !== undefined || met.length === 0 ? 'unknown' : 'allowed';
}

/** Whether one watermark meets all that a filter says. */
function bears(mark: ImageWatermark, filter: ImageWatermarkFilterResponse, now: Date): boolean {
  return (
    fits(mark.WatermarkKey, filter.WatermarkKey) &&
    fits(mark.SourceImageRegion, filter.SourceImageRegion) &&
    within(filter.MaximumDaysSinceSourceImageCreated, mark.SourceImageCreationTime, now) &&
    within(filter.MaximumDaysSinceWatermarkCreated, mark.WatermarkCreationTime, now)
  );
}

/** `*` and `?` stand for any characters and for any one. */
function fits(value: string | undefined, pattern: string | undefined): boolean {
  if (pattern === undefined) return true;
  const expression = pattern
    .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${expression}$`, 's').test(value ?? '');
}

const dayMs = 86_400_000;

function within(days: number | undefined, time: string | Date | undefined, now: Date): boolean {
  return days === undefined || (time !== undefined && now.getTime() - new Date(time).getTime() <= days * dayMs);
}

/** The criteria that allow an account's images besides what `criteria` allow; undefined where AWS takes no more. */
export function criteriaWith(account: string, criteria: readonly ImageCriterion[]): ImageCriterion[] | undefined {
  // `none` stands alone: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImageCriterionRequest.html
  const kept = criteria.filter(({ ImageProviders }) => ImageProviders?.includes('none') !== true);
  return kept.length < mostCriteria ? [...kept, { ImageProviders: [account] }] : undefined;
}
