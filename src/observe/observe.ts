import type { Request } from '../inputs.ts';
import { joined } from '../join.ts';
import type { Observed, Source, Target } from '../plan/facts.ts';
import type { Findings } from '../plan/problem.ts';
import type { Accounts } from './accounts.ts';
import { observeSupplies, type Supplies } from './intermediates.ts';
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
  const supplies = source.then((found) => found && observeSupplies(observing, found));
  // Targets don't wait for the source unless their own values name it.
  const targets = observeTargets(observing, source);
  const [found, supplied, there] = await joined<[Source | undefined, Supplies | undefined, Target[]]>([
    source,
    supplies,
    targets,
  ]);
  return found && supplied && { at, source: found, targets: there, ...supplied };
}

/** The source AMI, judged by its scan; what an instance holds is scanned once there is an AMI of it. */
async function resolveScanned(observing: Observing): Promise<Source | undefined> {
  const { request, accounts, findings } = observing;
  const source = await resolveSource(observing, 'share');
  if (source !== undefined && source.instanceId === undefined && request.scan !== undefined)
    await checkScan(accounts.source(source.place.region), source.image, { scan: request.scan, findings });
  return source;
}
