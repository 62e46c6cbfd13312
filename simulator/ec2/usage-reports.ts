import type {
  CreateImageUsageReportRequest,
  DeleteImageUsageReportRequest,
  DescribeImageUsageReportEntriesRequest,
  DescribeImageUsageReportsRequest,
  ImageUsageReport,
  ImageUsageReportEntry,
} from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import { type SimImage, type SimUsageReport, usageReportOf } from '../world.ts';
import { arnOf, authorize, authorizeOn, type Ec2Call, type Handler } from './call.ts';
import { visibleImage } from './describe-images.ts';
import { checkFilters, type Filterable, matches, pageOf } from './filters.ts';
import { requireImageId } from './image.ts';
import { authorizeCreation } from './tags.ts';

/* https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/your-ec2-ami-usage.html; the codes of its refusals stand nowhere. */

const types = ['ec2:Instance', 'ec2:LaunchTemplate', 'imagebuilder:ImageRecipe', 'imagebuilder:ContainerRecipe'];

/** "Instance activity from the past 24 hours and launch template activity from the past few days might not appear". */
const lateMs: Readonly<Record<string, number>> = { 'ec2:Instance': 86_400_000, 'ec2:LaunchTemplate': 3 * 86_400_000 };

function checkTypes({ ResourceTypes = [] }: CreateImageUsageReportRequest): void {
  if (ResourceTypes.length === 0)
    throw new Refusal('MissingParameter', 'The request must contain the parameter ResourceTypes');
  for (const { ResourceType = '', ResourceTypeOptions = [] } of ResourceTypes) {
    if (!types.includes(ResourceType))
      throw new Refusal('InvalidParameterValue', `Invalid resource type: ${ResourceType}`);
    for (const { OptionName, OptionValues = [] } of ResourceTypeOptions) {
      const depths = OptionValues.map(Number);
      const isDepth = depths.length === 1 && depths.every((one) => Number.isInteger(one) && one >= 1 && one <= 10_000);
      if (OptionName !== 'version-depth' || ResourceType !== 'ec2:LaunchTemplate' || !isDepth)
        throw new Refusal('InvalidParameterValue', `Invalid option ${OptionName} for ${ResourceType}`);
    }
  }
}

/** The caller's reports that AWS hasn't deleted: it keeps them for 30 days. */
function reportsOf({ here, caller, world }: Ec2Call): SimUsageReport[] {
  const now = world.clock.now();
  return [...here.usageReports.values()].filter(({ owner, expiresAt }) => owner === caller.account && expiresAt > now);
}

function isPending({ world }: Ec2Call, { readyAt }: SimUsageReport): boolean {
  return readyAt > world.clock.now();
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImageUsageReport.html */
export const createImageUsageReport: Handler<CreateImageUsageReportRequest> = async (call, input) => {
  const { ImageId = '', ResourceTypes, AccountIds, ClientToken } = input;
  requireImageId(call, ImageId);
  checkTypes(input);
  let image: SimImage | undefined;
  const tagsOf = await authorizeCreation(call, 'CreateImageUsageReport', {
    resources: [ImageId, 'amiur-*'],
    specifications: input.TagSpecifications,
    dryRun: input.DryRun,
    find: () => {
      image = ownImage(call, ImageId);
    },
  });
  const request = JSON.stringify({ ImageId, ResourceTypes, AccountIds });
  const same = reportsOf(call).find(
    ({ clientToken }) => clientToken !== undefined && clientToken.token === ClientToken,
  );
  if (same !== undefined && same.clientToken?.request !== request)
    throw new Refusal('IdempotentParameterMismatch', 'The client token was used with other parameters.');
  if (same !== undefined) return { ReportId: same.data.ReportId };
  if (reportsOf(call).some((one) => one.data.ImageId === ImageId && isPending(call, one)))
    throw new Refusal('ResourceLimitExceeded', `A usage report on ${ImageId} is already pending.`);
  const now = call.world.clock.now();
  const made = usageReportOf({
    imageId: ImageId,
    owner: call.caller.account,
    at: now,
    tags: tagsOf('image-usage-report'),
  });
  const asked = new Set(ResourceTypes?.map(({ ResourceType }) => ResourceType));
  const counted = (image?.usedElsewhere ?? []).filter(
    ({ type, account, since }) =>
      asked.has(type) &&
      since <= now - (lateMs[type] ?? 0) &&
      (AccountIds === undefined || AccountIds.includes(account)),
  );
  const about = { ReportId: made.data.ReportId, ImageId, ReportCreationTime: new Date(now) };
  call.here.usageReports.set(made.data.ReportId, {
    ...made,
    data: { ...made.data, ...(ResourceTypes && { ResourceTypes }), ...(AccountIds && { AccountIds }) },
    readyAt: now + call.timings.usageReportSeconds * 1000,
    entries: counted.map(({ account, type, count }) => ({
      ...about,
      ...{ AccountId: account, ResourceType: type, UsageCount: count },
    })),
    ...(ClientToken !== undefined && { clientToken: { token: ClientToken, request } }),
  });
  return { ReportId: made.data.ReportId };
};

function ownImage(call: Ec2Call, id: string): SimImage {
  const image = visibleImage(call, id);
  if (image.data.OwnerId === call.caller.account) return image;
  throw new Refusal('InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`);
}

const reportFilters: Filterable<ImageUsageReport> = {
  complete: true,
  fields: { state: ({ State }) => [State], 'creation-time': ({ CreationTime }) => [CreationTime?.toISOString()] },
  tags: ({ Tags }) => Tags,
};

type Naming = Readonly<{ ImageIds?: string[] | undefined; ReportIds?: string[] | undefined }>;

function named(call: Ec2Call, { ImageIds = [], ReportIds = [] }: Naming): SimUsageReport[] {
  for (const id of ImageIds) requireImageId(call, id);
  return reportsOf(call).filter(
    ({ data: { ImageId, ReportId } }) =>
      (ImageIds.length === 0 || ImageIds.includes(ImageId)) && (ReportIds.length === 0 || ReportIds.includes(ReportId)),
  );
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageUsageReports.html */
export const describeImageUsageReports: Handler<DescribeImageUsageReportsRequest> = async (call, input) => {
  await authorize(call, 'DescribeImageUsageReports', { dryRun: input.DryRun });
  checkFilters(input.Filters, reportFilters);
  const all = named(call, input).map((report): ImageUsageReport => {
    const State = isPending(call, report) ? 'pending' : report.failure === undefined ? 'available' : 'error';
    return { ...report.data, State, ...(State === 'error' && { StateReason: report.failure }) };
  });
  const { items, more } = pageOf(
    call,
    all.filter((one) => matches(one, input.Filters, reportFilters)),
    input,
  );
  return { ImageUsageReports: items, ...more };
};

const entryFilters: Filterable<ImageUsageReportEntry> = {
  complete: true,
  fields: { 'account-id': ({ AccountId }) => [AccountId], 'resource-type': ({ ResourceType }) => [ResourceType] },
};

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageUsageReportEntries.html */
export const describeImageUsageReportEntries: Handler<DescribeImageUsageReportEntriesRequest> = async (call, input) => {
  await authorize(call, 'DescribeImageUsageReportEntries', { dryRun: input.DryRun });
  checkFilters(input.Filters, entryFilters);
  const all = named(call, input)
    .filter((report) => !isPending(call, report) && report.failure === undefined)
    .flatMap(({ entries }) => entries);
  const { items, more } = pageOf(
    call,
    all.filter((one) => matches(one, input.Filters, entryFilters)),
    input,
  );
  return { ImageUsageReportEntries: items, ...more };
};

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteImageUsageReport.html */
export const deleteImageUsageReport: Handler<DeleteImageUsageReportRequest> = async (call, input) => {
  const { ReportId = '' } = input;
  await authorizeOn(call, 'DeleteImageUsageReport', {
    resources: [arnOf(call, ReportId)],
    dryRun: input.DryRun,
    find: () => {
      if (!reportsOf(call).some(({ data }) => data.ReportId === ReportId))
        throw new Refusal('InvalidImageUsageReportId.NotFound', `The image usage report '${ReportId}' does not exist`);
    },
  });
  call.here.usageReports.delete(ReportId);
  return { Return: true };
};
