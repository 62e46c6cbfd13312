import type { Image, ImageUsageReport, LaunchPermission } from '@aws-sdk/client-ec2';
import type { Publication } from '../inputs/publication.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { listed } from '../words.ts';
import type { UsageReport, Use } from './facts.ts';

/*
 * AMIs that others may launch: with `retain-shared: by-report`, AWS's usage reports tell whether they do.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/your-ec2-ami-usage.html
 */

/** What the inputs say of AMIs that others may launch. */
export type Sharing = Pick<Publication, 'retainShared' | 'launchPermissions'>;

/**
 * A report is asked for so long after the AMI's successor was published: it misses instances of the last 24 hours and launch
 * templates of the last few days.
 */
const lateDays = 3;
const dayMs = 86_400_000;

/** The versions of a launch template that a report looks at; without this, the last 20. */
const versionDepth = '10000';

/** All that a report can be asked about: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImageUsageResourceTypeRequest.html */
export const reportedTypes: NonNullable<ImageUsageReport['ResourceTypes']> = [
  { ResourceType: 'ec2:Instance' },
  {
    ResourceType: 'ec2:LaunchTemplate',
    ResourceTypeOptions: [{ OptionName: 'version-depth', OptionValues: [versionDepth] }],
  },
  { ResourceType: 'imagebuilder:ImageRecipe' },
  { ResourceType: 'imagebuilder:ContainerRecipe' },
];

/** Whom a launch permission names. */
export function launcherName(permission: LaunchPermission): string {
  const { UserId, OrganizationArn, OrganizationalUnitArn, Group } = permission;
  return UserId ?? OrganizationArn ?? OrganizationalUnitArn ?? Group ?? JSON.stringify(permission);
}

/**
 * The uses that keep an AMI whatever a report says. With `by-report`, sharing it is none of them if launch-permissions, as it
 * is now, names everybody whom it is shared with: any other permission may be somebody else's.
 */
export function lastingUses(uses: readonly Use[], { retainShared, launchPermissions }: Sharing): Use[] {
  if (retainShared === 'keep') return [...uses];
  const named = launchPermissions.map(launcherName);
  return uses.flatMap((use) => {
    if (use.others === undefined) return [use];
    const strangers = use.others.filter((one) => !named.includes(one));
    return strangers.length === 0
      ? []
      : [{ ...use, by: `others, whom launch-permissions doesn't name (${listed(strangers)})` }];
  });
}

/** A report that lets an AMI go; or why the AMI stays, and the reports to replace where another one is to be asked for. */
type Reported = Readonly<{ id: string }> | Readonly<{ why: string; replaces?: readonly string[] | undefined }>;

type Asked = Readonly<{
  /** Since when the AMI's successor has been published; `now` likewise, in ms since the epoch. */
  since: number | undefined;
  now: number;
  /** Undefined where they can't be read. */
  reports: readonly UsageReport[] | undefined;
}>;

/** What the reports on a shared AMI say; a report counts that this action asked for, in full and late enough. */
export function judgeReports({ since, now, reports }: Asked): Reported {
  if (since === undefined)
    return { why: 'others may launch it, and nothing says since when its successor is published' };
  const due = since + lateDays * dayMs;
  if (now < due)
    return {
      why: `others may launch it, and a usage report is asked for ${lateDays} days after its successor was published`,
    };
  if (reports === undefined) return { why: 'others may launch it, and usage reports could not be read' };
  if (reports.some(({ report }) => report.State !== 'available' && report.State !== 'error'))
    return { why: 'others may launch it, and AWS is still making the usage report, which a later run reads' };
  const ours = reports.filter(({ report }) => tagValue(report, tagKeys.sourceAmi) !== undefined);
  const replaces = ours.flatMap(({ report }) => report.ReportId ?? []);
  const fitting = ours.filter(({ report }) => isComplete(report) && askedAt(report) >= due);
  const newest = fitting.toSorted((a, b) => askedAt(b.report) - askedAt(a.report))[0];
  const asking = 'another usage report is asked for, which a later run reads';
  if (newest === undefined) {
    const reason = ours.find(({ report }) => report.State === 'error')?.report.StateReason;
    const failed = reason === undefined ? '' : `the last usage report failed (${reason}); `;
    return { why: `others may launch it: ${failed}a usage report is asked for, which a later run reads`, replaces };
  }
  const { report, usedBy } = newest;
  if (usedBy.length > 0)
    return {
      why: `it is used in ${listed(usedBy)}, says the usage report of ${report.CreationTime?.toISOString()}; ${asking}`,
      replaces,
    };
  return report.ReportId === undefined ? { why: 'its usage report has no ID' } : { id: report.ReportId };
}

/** Whether a report is there and shows no use, read again just before the AMI goes. */
export function showsNoUse(reports: readonly UsageReport[], id: string): boolean {
  return reports.some(({ report, usedBy }) => report.ReportId === id && isComplete(report) && usedBy.length === 0);
}

function askedAt({ CreationTime }: ImageUsageReport): number {
  return CreationTime?.getTime() ?? 0;
}

/** Whether a report is available, of all accounts, and of all that can use an AMI: a tag may be on any report. */
function isComplete({ State, AccountIds = [], ResourceTypes = [] }: ImageUsageReport): boolean {
  const hasAll = reportedTypes.every(({ ResourceType, ResourceTypeOptions = [] }) => {
    const told = ResourceTypes.find((one) => one.ResourceType === ResourceType);
    return told !== undefined && ResourceTypeOptions.every((option) => hasOption(told.ResourceTypeOptions, option));
  });
  return State === 'available' && AccountIds.length === 0 && hasAll;
}

type Options = NonNullable<(typeof reportedTypes)[number]['ResourceTypeOptions']>;

function hasOption(told: Options = [], { OptionName, OptionValues = [] }: Options[number]): boolean {
  return told.some(
    (one) => one.OptionName === OptionName && OptionValues.every((value) => one.OptionValues?.includes(value)),
  );
}

/** What a report is asked about. */
export type Ask = Readonly<{ image: Image; replaces: readonly string[] }>;
