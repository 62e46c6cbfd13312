import { DescribeRegionsCommand } from '@aws-sdk/client-ec2';
import { placeName } from '../aws/errors.ts';
import type { Host } from '../host.ts';
import type { Reach } from '../inputs/reach.ts';
import type { EnabledRegions, TargetRequest } from '../inputs/targets.ts';
import { joined } from '../join.ts';
import { afterHalf, ending } from '../patience.ts';
import { openFindings } from '../plan/problem.ts';
import { openAccounts } from './accounts.ts';

/** Two calls take less than a second, and some more where AWS throttles those for a thousand accounts. */
const answerMs = 120_000;

type Enabled = NonNullable<ReturnType<EnabledRegions['get']>>;

/**
 * The regions that each account of `target-regions: all` has enabled, as its own role reads them in the source region; or
 * why they could not be read. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
 */
export function readEnabledRegions(host: Host, request: Reach, whole: AbortSignal): Promise<EnabledRegions> {
  return ending(whole, (signal) => readEnabled(host, request, signal));
}

async function readEnabled(host: Host, request: Reach, signal: AbortSignal): Promise<EnabledRegions> {
  // Nothing begins before the last account has answered.
  const late = afterHalf(host, request, answerMs);
  const findings = openFindings(signal, { late: () => late });
  const accounts = openAccounts(host, request, findings);
  const enabledIn = async (target: TargetRequest): Promise<string[] | undefined> => {
    if ((await accounts.openTarget(target, target.roleArn)) === undefined) return undefined;
    const where = placeName(target);
    return findings.about([where]).attempt(where, 'reading the regions that the account has enabled', async () => {
      const { Regions = [] } = await accounts.target(target).ec2(new DescribeRegionsCommand({}));
      // AWS tells no others unless it is asked for them; an emulator may.
      const enabled = Regions.filter(({ OptInStatus }) => OptInStatus !== 'not-opted-in');
      return enabled.flatMap(({ RegionName }) => RegionName ?? []);
    });
  };
  const read = request.targets
    .filter(({ everyRegion }) => everyRegion !== undefined)
    .map(async (target): Promise<readonly [string, Enabled]> => {
      const regions = await enabledIn(target);
      const [problem = { where: placeName(target), what: 'its regions could not be read', remedy: '' }] = findings.of(
        placeName(target),
      );
      if (regions !== undefined) return [target.account, { regions }];
      const why = `target-regions: all reads an account's regions by this role, in the source region ${target.region}, even if that is no target`;
      const remedy = [problem.remedy, why].filter(Boolean).join('; ');
      return [target.account, { problem: { ...problem, remedy } }];
    });
  return new Map(await joined(read));
}
