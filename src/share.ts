import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { openSessions } from './aws/credentials.ts';
import { errorMessage, explainLine, placeName, rootCode } from './aws/errors.ts';
import { openWatchers, type Watcher } from './aws/wait.ts';
import { snapshotIdsOf } from './image.ts';
import type { Request } from './inputs.ts';
import { newLeaseId, sortLeases, takeLease, thisReader } from './lease.ts';
import { openLedger } from './ledger.ts';
import { type Plan, planOf, type TargetPlan } from './plan/plan.ts';
import { openFindings, ProblemsError } from './plan/problem.ts';
import { resolve } from './plan/resolve.ts';
import type { Report, TargetRecord } from './report/outputs.ts';
import { openLog } from './report/progress.ts';
import type { Run } from './run.ts';
import { cleanUpSource, cleanUpTarget } from './steps/clean-up.ts';
import { copySnapshots } from './steps/copy.ts';
import { copyImage } from './steps/copy-image.ts';
import { createImage } from './steps/create.ts';
import { type MadeGrants, openKeys } from './steps/key-access.ts';
import { findRival, finish, register } from './steps/register.ts';
import { discard, removeImage, replace } from './steps/remove.ts';
import { openSupplies, type Supply } from './steps/supply.ts';
import { verify } from './steps/verify.ts';

/**
 * Shares the AMI: inputs → resolve → plan → encrypt → share → each target: copy → register → verify → clean up.
 * Gives what became of each target; a target that fails leaves the others running.
 * @throws ProblemsError when something stands in the way, before anything is changed
 */
export async function share(request: Request, cancelled: AbortSignal): Promise<Report> {
  const log = openLog();
  const ledger = openLedger();
  const stop = new AbortController();
  const signal = AbortSignal.any([cancelled, stop.signal]);
  const asked: Run = {
    request,
    leaseId: newLeaseId(),
    ledger,
    log,
    signal,
    leftBehind: [],
    stop: (why) => stop.abort(why),
  };
  const { run, plan } = await create(asked, await prepare(asked));

  const reused = plan.targets.filter(({ reuse }) => reuse !== undefined);
  for (const { target, reuse } of reused) log.line(placeName(target.place), `${reuse?.ImageId} is there already`);
  const outcome = await execute(run, plan);
  return { sourceAmiId: plan.source.image.ImageId ?? '', ...outcome, seconds: log.elapsedSeconds() };
}

type Prepared = Readonly<{ run: Run; plan: Plan }>;

async function prepare(run: Run): Promise<Prepared> {
  return { run, plan: await run.log.group('Reading accounts, keys and the source AMI', () => makePlan(run)) };
}

/** Makes the AMI first where an instance was named, once everything else was found right; then plans with the AMI. */
async function create(asked: Run, foreseen: Prepared): Promise<Prepared> {
  const { image } = asked.request;
  if (image.by !== 'instance') return foreseen;
  const { place } = foreseen.plan.source;
  const watcher = openWatchers(asked.request.pollSeconds)(place);
  const id = await createImage(place, asked.request, image.id, image.noReboot, watcher, asked.log);
  return prepare({ ...asked, request: { ...asked.request, image: { by: 'id', id } } });
}

/** Reads AWS and plans; the first write comes after it. */
async function makePlan(run: Run): Promise<Plan> {
  const { request, signal, log } = run;
  const { credentials, source } = request;
  const sessions = openSessions({ stsRegion: source.region, ...credentials }, signal);
  const findings = openFindings(signal);
  const resolved = await resolve(request, sessions, findings, signal, (account) => {
    if (request.maskAccountIds) log.mask(account);
  });
  const plan = resolved && planOf(request, resolved, run.leaseId, thisReader(request.run), findings);
  for (const warning of findings.warnings) log.warn(warning);
  if (plan === undefined || findings.problems.length > 0) throw new ProblemsError(findings.problems);
  log.line(placeName(plan.source.place), describe(plan));
  return plan;
}

function describe({ source, encryptedCopies, targets }: Plan): string {
  const { image, snapshots } = source;
  const gib = snapshots.reduce((sum, { sizeGiB }) => sum + sizeGiB, 0);
  const made = targets.filter(({ reuse }) => reuse === undefined).length;
  const regions = encryptedCopies.map(({ place }) => place.region).join(', ');
  const first = regions === '' ? '' : `, by an encrypted copy in the source account (${regions})`;
  return `${image.ImageId} (${image.Name}): ${snapshots.length} snapshots, ${gib} GiB, to ${made} of ${targets.length} targets${first}`;
}

type Outcome = Pick<Report, 'targets' | 'cleanUp'>;

/** Makes what the plan says, and takes back what was temporary, however it ends. */
async function execute(run: Run, plan: Plan): Promise<Outcome> {
  const { request, ledger, leaseId } = run;
  const { place, image } = plan.source;
  const imageId = image.ImageId ?? '';
  const reader = thisReader(request.run);
  const leftOver = sortLeases(image, leaseId, reader).dead.length > 0;
  if (plan.targets.every(({ reuse }) => reuse !== undefined) && !leftOver) {
    return {
      targets: plan.targets.map((target) => recordOf(target, target.reuse, 'reused', 0)),
      cleanUp: { done: [], failed: [] },
    };
  }
  const regions = plan.encryptedCopies.map(({ place }) => place.region).filter((region) => region !== place.region);
  ledger.write({ account: plan.source.account, imageId, leaseId, regions, grantKeys: ownKeys(plan) });
  const lease = await takeLease(
    place,
    imageId,
    leaseId,
    { ...request.run, regions },
    (message) => run.log.warn(message),
    () => ledger.write({ leased: true }),
  );
  const made: MadeGrants = [];
  let targets: TargetRecord[] = [];
  try {
    targets = await makeTargets(run, plan, made);
  } finally {
    lease.stop();
  }
  return { targets, cleanUp: await takeBack(run, plan, made, targets) };
}

/** The keys that grants and policy statements of ours may be on, dead runs' ones too. */
function ownKeys({ source, encryptedCopies }: Plan): string[] {
  const keys = source.snapshots.flatMap(({ kmsKeyArn, obstacle }) => (obstacle === undefined ? (kmsKeyArn ?? []) : []));
  const given = source.kmsKeyArn === undefined ? [] : [source.kmsKeyArn];
  return [...new Set([...keys, ...given, ...encryptedCopies.map(({ kmsKeyArn }) => kmsKeyArn)])];
}

async function makeTargets(run: Run, plan: Plan, made: MadeGrants): Promise<TargetRecord[]> {
  const watchers = openWatchers(run.request.pollSeconds);
  const supply = openSupplies(run, plan, openKeys(run, plan, made), watchers);
  run.ledger.write({ targets: unfinishedByRole(plan) });
  return Promise.all(
    plan.targets.map((targetPlan) => makeTarget(run, plan, targetPlan, supply, watchers(targetPlan.target.place))),
  );
}

function unfinishedByRole(plan: Plan): Record<string, string[]> {
  const toMake = plan.targets.filter(({ reuse }) => reuse === undefined);
  const byRole = Map.groupBy(toMake, ({ target }) => target.roleArn ?? '');
  return Object.fromEntries(
    [...byRole].map(([role, targets]) => [role, targets.map(({ target }) => placeName(target.place))]),
  );
}

/** One target, an island: it fails by itself, in its record. */
async function makeTarget(
  run: Run,
  plan: Plan,
  targetPlan: TargetPlan,
  supplyOf: (targetPlan: TargetPlan) => Supply,
  watcher: Watcher,
): Promise<TargetRecord> {
  const started = Date.now();
  const { target, reuse } = targetPlan;
  const seconds = () => (Date.now() - started) / 1000;
  try {
    await discard(run, targetPlan);
    if (reuse !== undefined) {
      await replace(run, targetPlan);
      return recordOf(targetPlan, reuse, 'reused', seconds());
    }
    const { image, snapshots } = await make(run, plan, targetPlan, supplyOf(targetPlan), watcher);
    await accept(run, plan, targetPlan, image, snapshots);
    await finish(run, targetPlan, [
      ...(targetPlan.route === 'copy' ? [image.ImageId ?? ''] : []),
      ...snapshotIdsOf(image),
    ]);
    run.log.line(placeName(target.place), `${image.ImageId} is available and verified`);
    await replace(run, targetPlan);
    return recordOf(targetPlan, image, 'created', seconds(), snapshots);
  } catch (error) {
    const beaten = !run.signal.aborted && rootCode(error) === 'InvalidAMIName.Duplicate';
    const rival = beaten ? await findRival(plan, targetPlan, watcher).catch(() => undefined) : undefined;
    if (rival !== undefined) {
      run.log.line(placeName(target.place), `another run made ${rival.ImageId} meanwhile`);
      return recordOf(targetPlan, rival, 'reused', seconds());
    }
    const message = explainLine(error);
    run.log.line(placeName(target.place), `failed: ${message}`);
    if (run.request.failFast && !run.signal.aborted)
      run.stop(new Error(`stopped, because ${placeName(target.place)} failed (fail-fast)`));
    return { ...recordOf(targetPlan, undefined, 'failed', seconds()), error: message };
  }
}

/** Makes the AMI by the plan's route. */
async function make(
  run: Run,
  plan: Plan,
  targetPlan: TargetPlan,
  supply: Supply,
  watcher: Watcher,
): Promise<{ image: Image; snapshots: Snapshot[] }> {
  if (targetPlan.route === 'copy') return copyImage(run, plan, targetPlan, supply, watcher);
  const copied = await copySnapshots(run, plan, targetPlan, supply, watcher);
  return {
    image: await register(run, plan, targetPlan, await supply.extras(), copied, watcher),
    snapshots: [...copied.values()],
  };
}

/** Verifies what was made; an AMI that came out otherwise than the source is nobody's to use, and goes again. */
async function accept(
  run: Run,
  plan: Plan,
  targetPlan: TargetPlan,
  image: Image,
  snapshots: readonly Snapshot[],
): Promise<void> {
  const { place } = targetPlan.target;
  try {
    verify(plan, targetPlan, image, snapshots);
  } catch (error) {
    await removeImage(place, image).catch((failure: unknown) =>
      run.leftBehind.push(`${image.ImageId} in ${placeName(place)}, which differs: ${errorMessage(failure)}`),
    );
    throw error;
  }
}

function recordOf(
  { target }: TargetPlan,
  image: Image | undefined,
  status: TargetRecord['status'],
  seconds: number,
  snapshots?: Iterable<Snapshot>,
): TargetRecord {
  const { account, region } = target.request;
  return {
    account,
    region,
    amiId: image?.ImageId ?? null,
    amiName: image?.Name ?? target.name,
    snapshotIds: snapshots
      ? [...snapshots].map(({ SnapshotId }) => SnapshotId ?? '')
      : image
        ? snapshotIdsOf(image)
        : [],
    kmsKeyArn: target.kmsKeyArn,
    status,
    seconds: Math.round(seconds * 10) / 10,
  };
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
  const signal = AbortSignal.timeout(cleanUpMinutes * 60_000);
  const { request } = run;
  const options = {
    made,
    keyAccess: request.source.keyAccess,
    keepIntermediates: request.keepIntermediates,
    reader: thisReader(request.run),
    dropLeases: true,
  };
  // A copy that a dead run began may have been seen too late to be taken over; its lease tells it now.
  const dead = sortLeases(plan.source.image, run.leaseId, options.reader).dead.map(({ id }) => id);
  const swept = plan.targets.map((targetPlan, index) => {
    const leases = records[index]?.status === 'created' ? dead : [run.leaseId, ...dead];
    return leases.length === 0 ? undefined : cleanUpTarget(targetPlan.target.place.until(signal), leases);
  });
  const [source, ...targets] = await Promise.all([
    cleanUpSource((region) => plan.source.at(region).until(signal), plan.source.place.region, state, options),
    ...swept,
  ]);
  const reports = [source, ...targets].filter((report) => report !== undefined);
  const done = reports.flatMap((report) => report.done);
  const failed = [...run.leftBehind, ...reports.flatMap((report) => report.failed)];
  for (const what of done) run.log.line('clean-up', what);
  for (const what of failed) run.log.warn(`left behind: ${what}`);
  // What a call that was cut off made may be seen only later; post looks again.
  if (failed.length === 0 && !run.signal.aborted) run.ledger.clear();
  return { done, failed };
}
