import { explainLine, placeName } from './aws/errors.ts';
import { openWatchers } from './aws/wait.ts';
import type { Host } from './host.ts';
import { totalGiB } from './image.ts';
import type { Request } from './inputs.ts';
import { newLeaseId, readerOf, sortLeases, takeLease } from './lease.ts';
import { openLedger } from './ledger.ts';
import { openCallers } from './plan/callers.ts';
import { type Plan, planOf } from './plan/plan.ts';
import { preflight } from './plan/preflight.ts';
import { openFindings, ProblemsError } from './plan/problem.ts';
import { resolve } from './plan/resolve.ts';
import type { Report, TargetRecord } from './report/outputs.ts';
import { type PlanRecord, planLines, planRecord } from './report/plan.ts';
import { openLog } from './report/progress.ts';
import { openTimeline } from './report/timeline.ts';
import { counted } from './report/words.ts';
import type { Run } from './run.ts';
import { cleanUpSource, cleanUpTarget } from './steps/clean-up.ts';
import { createImage } from './steps/create.ts';
import { type MadeGrants, openKeys } from './steps/key-access.ts';
import { promote } from './steps/promote.ts';
import { replace } from './steps/remove.ts';
import { retain } from './steps/retain.ts';
import { openSupplies } from './steps/supply.ts';
import { makeTarget, recordOf } from './target.ts';

/**
 * Shares the AMI: inputs → resolve → plan → preflight → encrypt → share → each target: copy → register → verify → publish →
 * clean up. Gives what became of each target; a target that fails leaves the others running.
 * @throws ProblemsError when something stands in the way, before anything is changed but for the AMI of an instance
 */
export async function share(host: Host, request: Request, cancelled: AbortSignal): Promise<Report> {
  const log = openLog(host);
  const stop = new AbortController();
  const asked: Run = {
    host,
    request,
    leaseId: newLeaseId(),
    ledger: openLedger(host.runner.saveState, host.files),
    log,
    timeline: openTimeline(host.clock.now),
    signal: AbortSignal.any([cancelled, stop.signal]),
    stop: (why) => stop.abort(why),
    leftBehind: [],
  };
  const foreseen = await prepare(asked);
  const { run, plan, record } = request.dryRun ? foreseen : await create(asked, foreseen);
  const outcome = request.dryRun ? planned(plan) : await execute(run, plan).catch((error) => notBegun(plan, error));
  // Whatever still waits, such as for a copy that no target needs any more, waits in vain.
  stop.abort(new Error('the run has ended'));
  return {
    sourceAmiId: record.source.amiId ?? '',
    plan: record,
    ...outcome,
    timeline: run.timeline.spans,
    seconds: log.elapsedSeconds(),
  };
}

type Prepared = Readonly<{ run: Run; plan: Plan; record: PlanRecord }>;

async function prepare(run: Run): Promise<Prepared> {
  const prepared = await run.log.group('Reading accounts, keys and the source AMI', () => makePlan(run));
  await run.log.group('The plan', async () => {
    for (const { where, what } of planLines(prepared.record)) run.log.line(where, what);
  });
  return { run, ...prepared };
}

/** Makes the AMI first where an instance was named, once everything else was found right; then plans with the AMI. */
async function create(asked: Run, foreseen: Prepared): Promise<Prepared> {
  const { image } = asked.request;
  const { place, instanceId } = foreseen.plan.source;
  if (image.by !== 'instance' || instanceId === undefined) return foreseen;
  const watcher = openWatchers(asked.request.pollSeconds)(place);
  const id = await createImage(place, asked.request, instanceId, image.noReboot, watcher, asked.log);
  try {
    return await prepare({ ...asked, request: { ...asked.request, image: { by: 'id', id } } });
  } catch (error) {
    throw error instanceof ProblemsError ? new ProblemsError(error.problems, error.plan, id) : error;
  }
}

/** Reads AWS, plans, and asks AWS what it would refuse; the first write comes after it. */
async function makePlan(run: Run): Promise<{ plan: Plan; record: PlanRecord }> {
  const { host, request, log } = run;
  const findings = openFindings(run.signal);
  const callers = openCallers(host, request, findings);
  const resolved = await resolve(request, callers, findings);
  const plan = resolved && planOf(request, resolved, run.leaseId, readerOf(host, request.run), findings);
  if (plan !== undefined) await preflight(request, plan, findings);
  const warnings = findings.warnings();
  for (const warning of warnings) log.warn(warning);
  const record = plan && planRecord(request, plan, findings.problems, warnings);
  if (plan === undefined || record === undefined || findings.problems.length > 0)
    throw new ProblemsError(findings.problems, record);
  log.line(placeName(plan.source.place), describe(plan));
  return { plan, record };
}

function describe({ source, encryptedCopies, targets }: Plan): string {
  const { image, snapshots } = source;
  const made = targets.filter(({ reuse }) => reuse === undefined).length;
  const regions = encryptedCopies.map(({ place }) => place.region).join(', ');
  const first = regions === '' ? '' : `, by an encrypted copy in the source account (${regions})`;
  return `${image.ImageId} (${image.Name}): ${counted(snapshots.length, 'snapshot')}, ${totalGiB(snapshots)} GiB, to ${made} of ${counted(targets.length, 'target')}${first}`;
}

type Outcome = Pick<Report, 'targets' | 'failures' | 'cleanUp'>;

/** What a dry run reports: nothing was changed. */
function planned({ targets }: Plan): Outcome {
  return {
    targets: targets.map((target) => recordOf(target, target.reuse, target.reuse ? 'reused' : 'planned', 0)),
    failures: [],
    cleanUp: { done: [], failed: [] },
  };
}

/** What is reported where the run failed before any target was begun. */
function notBegun({ targets }: Plan, error: unknown): Outcome {
  const why = explainLine(error);
  return {
    targets: targets.map((target) => ({ ...recordOf(target, undefined, 'failed', 0), error: why })),
    failures: [],
    cleanUp: { done: [], failed: [] },
  };
}

/** Makes what the plan says, and takes back what was temporary, however it ends. */
async function execute(run: Run, plan: Plan): Promise<Outcome> {
  const { host, request, ledger, leaseId } = run;
  const { place, image } = plan.source;
  const imageId = image.ImageId ?? '';
  const regions = plan.encryptedCopies.map(({ place }) => place.region).filter((region) => region !== place.region);
  const undo = { account: plan.source.account, imageId, leaseId, regions, grantKeys: ownKeys(plan) };
  const leftOver = sortLeases(image, leaseId, readerOf(host, request.run)).dead.length > 0;
  // Where every AMI is there, nothing is made in the source account, and nobody needs to know of this run.
  const idle = plan.targets.every(({ reuse }) => reuse !== undefined) && !leftOver;
  if (!idle || plan.targets.some(({ target }) => target.ssmParameter !== undefined))
    ledger.write({ ...undo, targets: placesByRole(plan) });
  const lease = idle
    ? undefined
    : await takeLease({
        place,
        imageId,
        id: leaseId,
        run: request.run,
        regions,
        machine: host.machine,
        warn: run.log.warn,
        beforeWrite: () => ledger.write({ leased: true }),
      });
  if (!idle && lease === undefined) ledger.write({ leased: false });
  const made: MadeGrants = [];
  let targets: TargetRecord[] = [];
  let failures: string[] = [];
  try {
    targets = await makeTargets(run, plan, made);
    failures = await conclude(run, plan, targets);
  } finally {
    await lease?.stop();
  }
  if (idle) {
    if (run.leftBehind.length === 0) ledger.clear();
    return { targets, failures, cleanUp: { done: [], failed: [...run.leftBehind] } };
  }
  return { targets, failures, cleanUp: await takeBack(run, plan, made, targets) };
}

/** The keys that grants and policy statements of ours may be on, dead runs' ones too. */
function ownKeys({ source, encryptedCopies }: Plan): string[] {
  const keys = source.snapshots.flatMap(({ kmsKeyArn, obstacle }) => (obstacle === undefined ? (kmsKeyArn ?? []) : []));
  const given = source.kmsKeyArn === undefined ? [] : [source.kmsKeyArn];
  return [...new Set([...keys, ...given, ...encryptedCopies.map(({ kmsKeyArn }) => kmsKeyArn)])];
}

/** The targets in which something is made or set, for post. */
function placesByRole({ targets }: Plan): Record<string, string[]> {
  const touched = targets.filter(({ reuse, target }) => reuse === undefined || target.ssmParameter !== undefined);
  const byRole = Map.groupBy(touched, ({ target }) => target.roleArn ?? '');
  return Object.fromEntries(
    [...byRole].map(([role, targets]) => [role, targets.map(({ target }) => placeName(target.place))]),
  );
}

async function makeTargets(run: Run, plan: Plan, made: MadeGrants): Promise<TargetRecord[]> {
  const watchers = openWatchers(run.request.pollSeconds);
  const keys = openKeys(run, plan, made);
  const supply = openSupplies(run, plan, keys, watchers);
  const records = await Promise.all(
    plan.targets.map((targetPlan) => makeTarget(run, plan, targetPlan, supply, watchers(targetPlan.target.place))),
  );
  await keys.close();
  return records;
}

/**
 * What waits for all targets: the SSM parameters, all or none; then the older AMIs, which the parameters named until now,
 * replaced ones and those that there is no room for.
 * Gives what failed of it.
 */
async function conclude(run: Run, plan: Plan, records: readonly TargetRecord[]): Promise<string[]> {
  const ready = plan.targets.flatMap((targetPlan, index) => {
    const record = records[index];
    return record?.amiId == null || record.status === 'failed' ? [] : [{ targetPlan, amiId: record.amiId }];
  });
  const promoted = ready.filter(({ targetPlan }) => targetPlan.target.ssmParameter !== undefined);
  if (run.signal.aborted) return [];
  if (promoted.length > 0 && ready.length < records.length) {
    run.log.warn('the SSM parameters were left as they are, because not every target is ready');
    return [];
  }
  try {
    await promote(run, promoted);
  } catch (error) {
    return [`The SSM parameters hold what they held before. ${explainLine(error)}`];
  }
  await Promise.all(
    ready.map(async ({ targetPlan }) => {
      await replace(run, targetPlan);
      await retain(run, targetPlan);
    }),
  );
  return [];
}

/** How long the clean-up may take where the run wasn't told to stop. */
const cleanUpMinutes = 10;

/** Takes back what this run made for the time being, in the source account and in targets that failed. */
async function takeBack(
  run: Run,
  plan: Plan,
  made: MadeGrants,
  records: readonly TargetRecord[],
): Promise<Report['cleanUp']> {
  const state = run.ledger.state;
  if (state === undefined) return { done: [], failed: [] };
  const { host, request } = run;
  const signal = host.clock.after(cleanUpMinutes * 60_000);
  const options = {
    made,
    keyAccess: request.source.keyAccess,
    keepIntermediates: request.keepIntermediates,
    reader: readerOf(host, request.run),
  };
  // A copy that a dead run began may have been seen too late to be taken over; its lease tells it now.
  const dead = sortLeases(plan.source.image, run.leaseId, options.reader).dead.map(({ id }) => id);
  const swept = plan.targets.map((targetPlan, index) => {
    const leases = records[index]?.status === 'created' ? dead : [run.leaseId, ...dead];
    return leases.length === 0 ? undefined : cleanUpTarget(targetPlan.target.place.until(signal), leases);
  });
  // While anything is left in a target, the lease stays, so that the next run still knows whose it is.
  const dropLeases = Promise.all(swept).then((reports) => reports.every((one) => (one?.failed ?? []).length === 0));
  const [source, ...targets] = await Promise.all([
    cleanUpSource((region) => plan.source.at(region).until(signal), plan.source.place.region, state, {
      ...options,
      dropLeases,
    }),
    ...swept,
  ]);
  const reports = [source, ...targets].filter((report) => report !== undefined);
  const done = reports.flatMap((report) => report.done);
  const failed = [...run.leftBehind, ...reports.flatMap((report) => report.failed)];
  for (const what of done) run.log.line('clean-up', what);
  for (const what of failed) run.log.line('clean-up', `left behind: ${what}`);
  // What a call that was cut off made may be seen only later; post looks again.
  if (failed.length === 0 && !run.signal.aborted) run.ledger.clear();
  return { done, failed };
}
