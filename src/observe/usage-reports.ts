import {
  DescribeImageUsageReportEntriesCommand,
  DescribeImageUsageReportsCommand,
  type ImageUsageReportEntry,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { pages } from '../aws/describe.ts';
import { partsOf } from '../parts.ts';
import type { UsageReport, UsageReports } from '../plan/facts.ts';

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageUsageReports.html */
const idsPerCall = 200;

/** Asks which usage reports there are on images. */
export function reportsOn(ids: readonly string[], NextToken?: string): DescribeImageUsageReportsCommand {
  return new DescribeImageUsageReportsCommand({ ImageIds: [...ids], NextToken });
}

/** Asks what usage reports on images say. */
export function entriesOn(ids: readonly string[], NextToken?: string): DescribeImageUsageReportEntriesCommand {
  return new DescribeImageUsageReportEntriesCommand({ ImageIds: [...ids], NextToken });
}

/**
 * The usage reports on images of the account and region, whoever asked for them, and which other accounts use the image by
 * each: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/your-ec2-ami-usage.html
 * @throws AwsCallError where it can't be told, so that nothing is taken for unused
 */
export async function usageReportsOn(place: Place, ids: readonly string[]): Promise<UsageReports> {
  const found: UsageReport[] = [];
  for (const some of partsOf(ids, idsPerCall)) {
    const reports = await pages(async (NextToken) => {
      const page = await place.ec2(reportsOn(some, NextToken));
      return { items: page.ImageUsageReports ?? [], next: page.NextToken };
    });
    const hasEntries = reports.some(({ State }) => State === 'available');
    // A report that became available between the two calls counts as pending still.
    const entries = hasEntries
      ? await pages(async (NextToken) => {
          const page = await place.ec2(entriesOn(some, NextToken));
          return { items: page.ImageUsageReportEntries ?? [], next: page.NextToken };
        })
      : [];
    found.push(...reports.map((report) => ({ report, usedBy: usersIn(place, entries, report.ReportId) })));
  }
  return Map.groupBy(found, ({ report }) => report.ImageId ?? '');
}

/** The other accounts that use the image by a report; what its own account uses is looked at as it is now. */
function usersIn({ account }: Place, entries: readonly ImageUsageReportEntry[], id: string | undefined): string[] {
  const using = entries.filter(
    ({ ReportId, AccountId, UsageCount }) => ReportId === id && AccountId !== account && UsageCount !== 0,
  );
  return [...new Set(using.map(({ AccountId }) => AccountId ?? 'an account that AWS does not name'))];
}
