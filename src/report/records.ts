import { problemLine } from '../alike.ts';
import { explainLine, placeName } from '../aws/errors.ts';
import { idsOf, snapshotIdsOf } from '../image.ts';
import type { TargetRequest } from '../inputs/targets.ts';
import type { Outcome, Outcomes, ReleaseReport } from '../outcome.ts';
import { isMaking, type Plan, type TargetPlan } from '../plan/decided.ts';
import type { Operation } from '../plan/operation.ts';
import { referencesIsland } from '../plan/references.ts';
import type { LaunchTemplates, RemovedAmi, Report, TargetRecord } from './outputs.ts';
import { type PlanRecord, withOutcomes } from './plan.ts';
import type { Log } from './progress.ts';
import { failedRecord } from './stopped.ts';
import type { Span } from './timeline.ts';

/* What became of the operations, told by target. */

/** A plan, and how it is shown. */
type Shown = Readonly<{ plan: Plan; record: PlanRecord }>;

/** What a dry run reports: nothing was changed. */
export function planned({ plan, record }: Shown, asked: readonly TargetRequest[], log: Log): Report {
  const targets = recordsOf(plan, asked, (target) => {
    const reused = target.action === 'reuse' ? { id: target.image.ImageId ?? '', image: target.image } : undefined;
    return recordOf(target, { made: reused, status: reused ? 'reused' : 'planned', seconds: 0 });
  });
  return {
    ...{ sourceAmiId: record.source.amiId ?? '', plan: withOutcomes(record, undefined), targets, failures: [] },
    ...{ cleanUp: { done: [], failed: [] }, timeline: [], seconds: log.elapsedSeconds() },
  };
}

/** What a run was asked for, and what became of it. */
type Ended = Readonly<{
  asked: readonly TargetRequest[];
  outcomes: Outcomes;
  created: Outcomes;
  cleanUp: ReleaseReport;
  pictures: NonNullable<Report['pictures']>;
}>;

export function reportOf(
  { plan, record }: Shown,
  { asked, outcomes, created, cleanUp, pictures }: Ended,
  log: Log,
): Report {
  const byIsland = Map.groupBy(outcomes.values(), ({ operation }) => operation.island);
  const start = Math.min(...[...outcomes.values()].map(({ from }) => from));
  // It comes after what waits for all targets, and so is of no island.
  const unpublished = [...outcomes.values()].filter(
    (outcome) => outcome.operation.kind === 'published' && outcome.is === 'failed' && !outcome.ended,
  );
  const failures = [...referenceFailures([...outcomes.values()], cleanUp, log), ...cleanUp.goesOn];
  return {
    sourceAmiId: record.source.amiId ?? '',
    plan: withOutcomes(record, new Map([...created, ...outcomes])),
    targets: recordsOf(plan, asked, (target) => {
      const where = placeName(target.target.place);
      const own = [
        ...(byIsland.get(where) ?? []),
        ...unpublished.filter(({ operation }) => placeName(operation.place) === where),
      ];
      return outcomeOf(target, own, start);
    }),
    failures,
    // The plan has its own.
    warnings: log.warned().filter((one) => !record.warnings.includes(one)),
    cleanUp,
    timeline: timelineOf(outcomes),
    pictures,
    launchTemplates: templatesOf(outcomes),
    removed: removedIn(outcomes),
    seconds: log.elapsedSeconds(),
  };
}

/** The AMIs that went for the run's own, each with those of its snapshots that are gone. */
function removedIn(outcomes: Outcomes): RemovedAmi[] {
  const byId = new Map<string, RemovedAmi>();
  for (const outcome of outcomes.values()) {
    if (outcome.is !== 'done' || outcome.result.removed === undefined || outcome.result.undone !== undefined) continue;
    const { amiId, snapshotIds } = outcome.result.removed;
    const { account, region } = outcome.operation.place;
    const key = `${account}/${region}/${amiId}`;
    const known = byId.get(key)?.snapshotIds ?? [];
    byId.set(key, { account, region, amiId, snapshotIds: [...known, ...snapshotIds] });
  }
  return [...byId.values()];
}

/** A record for each target that was asked for, in that order; one that was left out has failed. */
function recordsOf(
  { targets, leftOut }: Plan,
  asked: readonly TargetRequest[],
  tell: (target: TargetPlan) => TargetRecord,
): TargetRecord[] {
  const byPlace = new Map([
    ...targets.map((target) => [placeName(target.target.place), tell(target)] as const),
    ...leftOut.map(({ target, problems }) => [placeName(target), failedRecord(target, problemLine(problems))] as const),
  ]);
  return asked.flatMap((target) => byPlace.get(placeName(target)) ?? []);
}

function outcomeOf(target: TargetPlan, outcomes: readonly Outcome[], start: number): TargetRecord {
  const seconds = (Math.max(start, ...outcomes.map(({ to }) => to)) - start) / 1000;
  const right = outcomes.find(({ is, operation }) => is === 'done' && ['verify', 'reuse'].includes(operation.kind));
  const made = right?.is === 'done' ? right.result : undefined;
  const failure = failureOf(outcomes) ?? outcomes.find(({ is }) => is === 'not begun');
  // An AMI that is right but could not be published is there all the same.
  if (failure !== undefined && failure.is !== 'done')
    return { ...recordOf(target, { made, status: 'failed', seconds }), error: explainLine(failure.error) };
  return recordOf(target, { made, status: made?.reused || !isMaking(target) ? 'reused' : 'created', seconds });
}

/** What failed by itself comes before what ended with it. */
function failureOf(outcomes: readonly Outcome[]): Extract<Outcome, { is: 'failed' }> | undefined {
  const failed = outcomes.filter((outcome) => outcome.is === 'failed');
  return failed.find(({ ended }) => !ended) ?? failed[0];
}

type Told = Readonly<{ made: Result | undefined; status: TargetRecord['status']; seconds: number }>;
type Result = Extract<Outcome, { is: 'done' }>['result'];

/** What is told of a target; without snapshots, those that its image names. */
function recordOf({ target }: TargetPlan, { made, status, seconds }: Told): TargetRecord {
  const { account, region, optional } = target.request;
  const image = made?.image;
  return {
    account,
    region,
    amiId: image?.ImageId ?? null,
    amiName: image?.Name ?? target.name,
    snapshotIds: made?.snapshots ? idsOf(made.snapshots) : image ? snapshotIdsOf(image) : [],
    // As it was read, where it was.
    kmsKeyArn: made?.snapshots?.[0]?.KmsKeyId ?? target.kmsKeyArn,
    status,
    seconds: Math.round(seconds * 10) / 10,
    ...(optional && { optional }),
  };
}

/**
 * SSM parameters and launch templates are set for all targets or for none; an optional target's by themselves, so that
 * their failure is a warning.
 */
function referenceFailures(all: readonly Outcome[], { failed }: ReleaseReport, log: Log): string[] {
  const set = all.filter(({ operation: { kind } }) => ['ready', 'parameter', 'template-version'].includes(kind));
  const { common = [], own = [] } = Object.groupBy(set, ({ operation: { island = referencesIsland } }) =>
    island === referencesIsland ? 'common' : 'own',
  );
  for (const { operation, ...end } of own)
    if (end.is === 'failed' && !end.ended) log.warn(`${operation.island} (optional): ${explainLine(end.error)}`);
  const failure = failureOf(common);
  if (failure !== undefined) {
    const end = failed.length === 0 ? 'hold what they held before' : 'could not all be set, nor, it may be, put back';
    return [`The ${wordsFor(common)} ${end}. ${explainLine(failure.error)}`];
  }
  if (common.some(({ is }) => is === 'not begun'))
    log.warn(`the ${wordsFor(common)} hold what they held before, because not all could be set`);
  return [];
}

/** What is as before where not all could be set. */
function wordsFor(outcomes: readonly Outcome[]): string {
  const has = (kind: Operation['kind']) => outcomes.some(({ operation }) => operation.kind === kind);
  const parameters = has('parameter') ? ['SSM parameters'] : [];
  const templates = has('template-version') ? ['launch templates'] : [];
  return [...parameters, ...templates].join(' and ');
}

/** The versions of launch templates that have the AMIs, by account and region. */
function templatesOf(outcomes: Outcomes): LaunchTemplates {
  const templates: LaunchTemplates = {};
  for (const outcome of outcomes.values()) {
    if (outcome.is !== 'done' || outcome.result.template === undefined || outcome.result.undone === 'undone') continue;
    const { account, region } = outcome.operation.place;
    templates[account] = { ...templates[account], [region]: outcome.result.template };
  }
  return templates;
}

/** What the chart shows: the steps that take their time. */
const steps: Readonly<Record<string, string>> = {
  encrypt: 'encrypt',
  await: 'encrypt',
  copy: 'copy',
  'copy-image': 'copy',
  register: 'register',
  verify: 'register',
  boot: 'boot',
  publish: 'publish',
};

/** A span for each step in each place, from the first operation's begin to the last one's end. */
function timelineOf(outcomes: Outcomes): Span[] {
  const begun = [...outcomes.values()].filter(
    ({ is, operation }) => is !== 'not begun' && Object.hasOwn(steps, operation.kind),
  );
  const groups = Map.groupBy(begun, ({ operation }) => `${placeName(operation.place)} ${steps[operation.kind]}`);
  return [...groups.values()].map((group) => {
    const [first] = group;
    return {
      place: first === undefined ? '' : placeName(first.operation.place),
      step: steps[first?.operation.kind ?? ''] ?? '',
      from: Math.min(...group.map(({ from }) => from)),
      to: Math.max(...group.map(({ to }) => to)),
    };
  });
}
