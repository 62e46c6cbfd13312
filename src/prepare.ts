import { apply } from './apply.ts';
import { placeName } from './aws/errors.ts';
import { check } from './check/check.ts';
import { checkExpected, checkRoom, differing } from './check/expected.ts';
import type { Host } from './host.ts';
import type { Request } from './inputs.ts';
import { readerOf } from './lease.ts';
import { type Accounts, openAccounts } from './observe/accounts.ts';
import { awaitScan } from './observe/await-scan.ts';
import { observe } from './observe/observe.ts';
import { openRun } from './open-run.ts';
import type { Outcomes } from './outcome.ts';
import { approvedOf } from './plan/approved.ts';
import type { Plan } from './plan/decided.ts';
import { digestOf } from './plan/digest.ts';
import { holdingBack, isStopped, leftOutOf } from './plan/left-out.ts';
import { planOf } from './plan/plan.ts';
import { type Findings, openFindings } from './plan/problem.ts';
import { recallOf } from './plan/recalled.ts';
import { describePlan, type PlanRecord, planLines, planRecord, withOutcomes } from './report/plan.ts';
import type { Log } from './report/progress.ts';
import { ProblemsError, StoppedError } from './report/stopped.ts';
import type { Checked, Prepared } from './run.ts';

/** What is asked of a run, and how it is told to stop. */
export type Asked = Readonly<{
  host: Host;
  request: Request;
  log: Log;
  leaseId: string;
  signal: AbortSignal;
  stop: (why: Error) => void;
}>;

/**
 * Observes, plans, checks, and shows the plan; the first write comes after it.
 * @throws ProblemsError
 */
export async function prepare({ host, request, log, leaseId, signal }: Asked): Promise<Prepared> {
  const every = new Map(
    request.targets.flatMap((one) => (one.everyRegion === undefined ? [] : [[placeName(one), `${one.account}/*`]])),
  );
  const mendsTarget = (targets: readonly string[]) => {
    if (!request.allRegions) return undefined;
    return `or leave it out by exclude-targets: ${targets.map((one) => every.get(one) ?? one).join(', ')}`;
  };
  const findings = openFindings(signal, { mendsTarget });
  const prepared = await log.group('Reading accounts, keys and the source AMI', async () => {
    const accounts = openAccounts(host, request, findings);
    await awaitScan(request, accounts, { log, signal });
    const { plan, checked } = await settle({ host, request, leaseId, accounts, findings });
    const told = tellFindings(log, findings, checked);
    const record = plan && planRecord(request, plan, told);
    if (plan === undefined || checked === undefined || record === undefined || isStopped(request, plan, findings))
      throw new ProblemsError(told.problems, record);
    for (const { target, problems } of plan.leftOut)
      for (const { what } of problems) log.line(placeName(target), `left out: ${what}`);
    log.line(placeName(plan.source.place), describePlan(plan));
    return { accounts, plan, record, source: plan.source, checked };
  });
  await log.group('The plan', async () => {
    for (const { where, what } of planLines(prepared.record)) log.line(where, what);
  });
  return prepared;
}

/** Tells what was found that stops nothing, and gives all that was. */
function tellFindings(log: Log, findings: Findings, checked: Checked | undefined) {
  const { problems } = findings;
  const warnings = findings.warnings();
  for (const warning of warnings) log.warn(warning);
  // It is asked as soon as it can be: no run need be warned of that.
  const unasked = checked?.unasked ?? [];
  for (const what of unasked) log.line('unasked', what);
  return { problems, warnings, unasked };
}

type Settling = Pick<Asked, 'host' | 'request' | 'leaseId'> & Readonly<{ accounts: Accounts; findings: Findings }>;

/**
 * The plan, and what AWS said of it; planned anew as long as more targets are found that are left out. Whatever goes wrong
 * on the way, what was found is told.
 */
async function settle(settling: Settling): Promise<Readonly<{ plan?: Plan; checked?: Checked }>> {
  const { host, request, leaseId, accounts, findings } = settling;
  const { region } = request.source;
  const observed = await findings.attempt(region, 'reading', () => observe(request, accounts, findings));
  if (observed === undefined) return {};
  const recalled = recallOf(observed.source.image);
  if (recalled !== undefined) findings.add(placeName(observed.source.place), recalled.what, recalled.remedy);
  const reader = readerOf(host, request.run, observed.at);
  for (;;) {
    const leftOut = leftOutOf(request, findings);
    const isSettled = () => leftOutOf(request, findings).length === leftOut.length;
    const planner = { request, leaseId, reader, leftOut };
    const plan = await findings.attempt(region, 'planning', async () => planOf(observed, planner, findings));
    if (plan === undefined) return {};
    if (!isSettled()) continue;
    const checking = { request, leaseId, plan, accounts, findings, files: host.files };
    const checked = await findings.attempt(region, 'asking AWS beforehand', () => check(checking));
    if (!isSettled()) continue;
    checkExpected(checking);
    checkRoom(checking);
    tellHeldBack(request, plan, findings);
    return checked === undefined ? { plan } : { plan, checked };
  }
}

/** Says that what waits for all targets isn't done, because of targets that are left out. */
function tellHeldBack({ publication, onExisting }: Request, { leftOut }: Plan, findings: Findings): void {
  const { ssmParameter, launchTemplate, retain } = publication;
  const waits = [ssmParameter, launchTemplate, retain].some((one) => one !== undefined) || onExisting === 'replace';
  if (!waits) return;
  for (const place of holdingBack(leftOut))
    findings.warn(
      place,
      'is left out and not optional, so no SSM parameter is set, no launch template gets a version, and no older AMI is removed',
    );
}

/** What is to be done, and what became of the operations that the plan could not be made without. */
export type Begun = Readonly<{ prepared: Prepared; created: Outcomes }>;

/**
 * Makes the AMI where an instance was named, since the rest can't be planned without; it is planned again with the AMI.
 * @throws StoppedError where it can't be made; ProblemsError where it stands in the way
 */
export async function create(asked: Asked, foreseen: Prepared): Promise<Begun> {
  const { operations } = foreseen.plan;
  const begun = operations.findIndex(({ kind }) => kind === 'lease');
  const first = foreseen.source.instanceId === undefined ? [] : operations.slice(0, begun);
  if (first.length === 0) return { prepared: foreseen, created: new Map() };
  const created = await apply(openRun({ ...asked, ...foreseen }).run, first);
  const { approved } = foreseen.record;
  const withCreated = (record: PlanRecord): PlanRecord => {
    const before = withOutcomes(foreseen.record, created).operations.slice(0, first.length);
    return { ...record, approved, operations: [...before, ...record.operations] };
  };
  const last = created.get(first.at(-1)?.id ?? '');
  if (last?.is !== 'done') throw new StoppedError(last?.error, withOutcomes(foreseen.record, created));
  const id = last.result.id ?? '';
  const request: Request = { ...asked.request, image: { by: 'id', id }, expectPlan: undefined };
  try {
    const prepared = await prepare({ ...asked, request });
    // What was approved is the instance, with all that was planned for it then.
    const now = approvedOf(asked.request, prepared.plan);
    const different = asked.request.expectPlan && differing({ digest: digestOf(approved), approved }, now);
    if (different) throw new ProblemsError([different], prepared.record);
    return { prepared: { ...prepared, record: withCreated(prepared.record) }, created };
  } catch (error) {
    if (!(error instanceof ProblemsError)) throw error;
    throw new ProblemsError(error.problems, error.plan && withCreated(error.plan), id);
  }
}
