import type { Request } from '../inputs.ts';
import { joined } from '../join.ts';
import type { Observed, Source, Target } from '../plan/facts.ts';
import type { Findings } from '../plan/problem.ts';
import type { Accounts } from './accounts.ts';
import { observeHubs, readIntermediates } from './intermediates.ts';
import { checkScan } from './scan.ts';
import { type Observing, resolveSource } from './source.ts';
import { observeTargets } from './target.ts';

/**
 * Reads AWS: who each role is, what each key is, what the source AMI and its snapshots are, what an earlier run left.
 * What can't be read, or can't work, goes into `findings`; then the result is undefined or lacks targets.
 */
export async function observe(request: Request, accounts: Accounts, findings: Findings): Promise<Observed | undefined> {
  const observing: Observing = { request, accounts, findings };
  let at = 0;
  const source = findings
    .attempt('source account', 'assuming the source role', () => accounts.openSource())
    .then((caller) => {
      if (caller === undefined) return undefined;
      at = accounts.source(request.source.region).awsNow();
      return resolveScanned(observing);
    });
  // Targets don't wait for the source unless their own values name it.
  const [found, targets] = await joined<[Source | undefined, Target[]]>([source, observeTargets(observing, source)]);
  if (found === undefined) return undefined;
  const hubs = await observeHubs(observing, found);
  const regions = new Set([found.place.region, ...hubs.keys()]);
  const intermediates = await joined([...regions].map((region) => readIntermediates(observing, found, region)));
  return { at, source: found, targets, hubs, intermediates: new Map(intermediates) };
}

/** The source AMI, judged by its scan; what an instance holds is scanned once there is an AMI of it. */
async function resolveScanned(observing: Observing): Promise<Source | undefined> {
  const { request, accounts, findings } = observing;
  const source = await resolveSource(observing, 'share');
  if (source !== undefined && source.instanceId === undefined && request.scan !== undefined)
    await checkScan(accounts.source(source.place.region), source.image, { scan: request.scan, findings });
  return source;
}
