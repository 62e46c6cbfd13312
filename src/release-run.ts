import { errorMessage, placeName } from './aws/errors.ts';
import { joined } from './join.ts';
import { readerOf } from './lease.ts';
import type { Left, OpenRun } from './open-run.ts';
import type { Outcome, Outcomes, ReleaseReport } from './outcome.ts';
import { isMaking, type Plan } from './plan/decided.ts';
import { hasReference } from './plan/references.ts';
import { nothing } from './release/notes.ts';
import { release } from './release/release.ts';
import type { KnownGrant } from './release/releasing.ts';
import type { Run } from './run.ts';
import { TimeOutError } from './time.ts';

/** Whether the plan makes anything that has to be taken back. */
function takesLease({ operations }: Plan): boolean {
  return operations.some(({ kind }) => kind === 'lease');
}

/** Writes down, before the first write, where the run makes what has to be taken back. */
export function begin(run: Run, plan: Plan): void {
  const { source, encryptedCopies, targets, operations } = plan;
  if (!takesLease(plan) && !targets.some(({ target }) => hasReference(target))) return;
  const regions = encryptedCopies.map(({ place }) => place.region).filter((region) => region !== source.place.region);
  const boots = operations.filter(({ kind }) => kind === 'boot').map(({ place }) => placeName(place));
  const touched = targets.filter(
    (one) => isMaking(one) || hasReference(one.target) || boots.includes(placeName(one.target.place)),
  );
  run.hold(run.accounts.keepUp());
  const byRole = Map.groupBy(touched, ({ target }) => target.roleArn ?? '');
  run.ledger.write({
    ...{ account: source.account, region: source.place.region, regions, grantKeys: plan.keys },
    ...{ imageId: source.imageId, leaseId: run.leaseId },
    // Where the AMI can't be tagged, there is no lease that tells it.
    since: run.accounts.source(source.place.region).awsNow(),
    boots: boots.length > 0,
    targets: Object.fromEntries(
      [...byRole].map(([role, targets]) => [role, targets.map(({ target }) => placeName(target.place))]),
    ),
  });
}

/** How long the clean-up may take where the run wasn't told to stop. */
const cleanUpMinutes = 10;

/** Takes back what the run, and those that died before it, made for a time. */
export async function end(
  { run, leases, left, regranted }: OpenRun,
  plan: Plan,
  outcomes: Outcomes,
): Promise<ReleaseReport> {
  // A renewal of a lease that is under way would put it back.
  await joined(leases.map((lease) => lease.stop()));
  const report = takesLease(plan) ? await releaseRun({ run, regranted }, plan, outcomes) : nothing;
  const failed = [...needed(run, [...left, ...failedRemovals(outcomes)]), ...report.failed];
  for (const what of [...report.done, ...report.stays, ...report.goesOn, ...report.unknown])
    run.log.line('clean-up', what);
  for (const what of report.warned) run.log.warn(what);
  for (const what of failed) run.log.line('clean-up', `left behind: ${what}`);
  for (const what of report.allowed) warnOfRest(run, what);
  // What a call that was cut off made may be seen only later; post looks again.
  const stays = [...report.stays, ...report.allowed];
  const asPlanned = [...outcomes.values()].every(({ is }) => is === 'done') && stays.length === 0;
  if (failed.length === 0 && asPlanned && !run.signal.aborted) quietly(run, () => run.ledger.clear());
  else if (failed.length === 0 && run.ledger.state !== undefined)
    quietly(run, () => run.ledger.write({ isSettled: true }));
  return { ...report, failed };
}

/** That the state can't be written any more makes nothing that is there less so: post looks for what isn't. */
function quietly({ log }: Run, write: () => void): void {
  try {
    write();
  } catch (error) {
    log.warn(`the saved state could not be written: ${errorMessage(error)}`);
  }
}

async function releaseRun(
  { run, regranted }: Pick<OpenRun, 'run' | 'regranted'>,
  plan: Plan,
  outcomes: Outcomes,
): Promise<ReleaseReport> {
  const { host, request, accounts, ledger } = run;
  const signal = host.clock.after(cleanUpMinutes * 60_000);
  const keepPending = run.signal.reason instanceof TimeOutError;
  const { state } = ledger;
  if (state === undefined) return nothing;
  const right = rightIn(outcomes);
  const finished = [...new Set([...state.finished, ...right.map(({ id }) => id)])];
  quietly(run, () => ledger.write({ keepPending, finished }));
  const unproven = new Set(state.unshown);
  const report = await release({
    source: (region) => accounts.source(region).until(signal),
    sourceRegion: plan.source.place.region,
    targets: plan.targets.map(({ target }) => accounts.target(target.place).until(signal)),
    reached: plan.targets.map(({ target }) => placeName(target.place)),
    optional: optionalIn(request),
    state: { ...state, keepPending, finished },
    grants: [...grantsOf(outcomes), ...regranted.map((keyArn) => ({ keyArn, grantId: undefined }))],
    stated: statedIn(outcomes),
    unproven,
    keyAccess: request.source.keyAccess,
    keepIntermediates: request.keepIntermediates,
    reader: (now) => readerOf(host, request.run, now),
    ready: new Set(right.map(({ where }) => where)),
    torn: 'warned',
    hasSet: setIn(outcomes),
    superseding: [...outcomes.values()].some(mayLeaveParts),
    patient: !run.signal.aborted,
    isLast: true,
  });
  // Of what was seen to go, post knows.
  if (state.unshown.length > 0) quietly(run, () => ledger.write({ unshown: [...unproven] }));
  return report;
}

/** The grants that were asked for; of one whose call failed, it isn't known whether it was made. */
function grantsOf(outcomes: Outcomes): KnownGrant[] {
  return [...outcomes.values()].flatMap((outcome) => {
    const { operation } = outcome;
    if (operation.kind !== 'allow' || operation.by !== 'grant' || outcome.is === 'not begun') return [];
    const grantId = outcome.is === 'done' ? outcome.result.grantId : undefined;
    return [{ keyArn: operation.key, grantId, account: operation.principalArn.split(':')[4] }];
  });
}

/** The keys whose policies were changed, or may have been. */
function statedIn(outcomes: Outcomes): string[] {
  return [...outcomes.values()].flatMap(({ operation, is }) =>
    operation.kind === 'allow' && operation.by === 'policy' && is !== 'not begun' ? [operation.key] : [],
  );
}

/** Whether an AMI may be gone of which snapshots are left. */
function mayLeaveParts({ operation, is }: Outcome): boolean {
  return operation.kind === 'deregister' && (operation.reason === 'name' || is === 'failed');
}

/** The mark of the SSM parameters and launch templates, where all of them are set. */
function setIn(outcomes: Outcomes): string | undefined {
  const all = [...outcomes.values()];
  const settle = all.filter(({ operation }) => operation.kind === 'ready' && operation.settled.length > 0);
  if (!settle.every(({ is }) => is === 'done')) return undefined;
  const [mark] = all.flatMap(({ operation }) => (operation.kind === 'lease' ? (operation.references ?? []) : []));
  return mark;
}

/** The AMIs that are right, whatever came after, and where each is. */
function rightIn(outcomes: Outcomes): { id: string; where: string }[] {
  return [...outcomes.values()].flatMap((outcome) => {
    const { kind, place } = outcome.operation;
    if (outcome.is !== 'done' || (kind !== 'verify' && kind !== 'reuse')) return [];
    return [{ id: outcome.result.id ?? '', where: placeName(place) }];
  });
}

/** Removals that belong to no island: what failed of them stays. */
function failedRemovals(outcomes: Outcomes): Left[] {
  return [...outcomes.values()].flatMap((outcome) => {
    const { operation } = outcome;
    const removes = ['deregister', 'delete', 'untag'].includes(operation.kind) && operation.island === undefined;
    if (!removes || outcome.is !== 'failed') return [];
    const { place, of, why } = operation;
    return [{ place, what: `${of.join(', ')} in ${placeName(place)} (${why}): ${errorMessage(outcome.error)}` }];
  });
}

/** What stays in places that the others can't do without; in an optional target, it is a warning. */
function needed(run: Run, left: readonly Left[]): string[] {
  const optional = optionalIn(run.request);
  const { rest = [], warned = [] } = Object.groupBy(left, ({ place }) =>
    optional.has(placeName(place)) ? 'warned' : 'rest',
  );
  for (const { what } of warned) warnOfRest(run, what);
  return rest.map(({ what }) => what);
}

function optionalIn({ targets }: Run['request']): Set<string> {
  return new Set(targets.filter(({ optional }) => optional).map(placeName));
}

function warnOfRest({ log }: Run, what: string): void {
  log.warn(`left behind in an optional target: ${what}`);
}
