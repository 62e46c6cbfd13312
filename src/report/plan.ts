import type { Problem } from '../alike.ts';
import { placeName } from '../aws/errors.ts';
import { totalGiB } from '../image.ts';
import type { Request } from '../inputs.ts';
import type { Outcome, Outcomes } from '../outcome.ts';
import { approvedOf } from '../plan/approved.ts';
import { isMaking, type Plan, type TargetPlan } from '../plan/decided.ts';
import type { Approved } from '../plan/digest.ts';
import { type Estimate, encryptedBy, estimate } from '../plan/estimate.ts';
import type { Kind, Operation } from '../plan/operation.ts';
import { counted } from '../words.ts';
import { copyingTime, costsOf } from './costs.ts';

/** An operation as it is told: what is done where, to what, after what and why; and, at the end, what became of it. */
export type OperationRecord = Readonly<{
  id: string;
  kind: Kind;
  account: string;
  region: string;
  of: readonly string[];
  kmsKeyArn: string | null;
  after: readonly string[];
  why: string;
  /**
   * `not needed`: there was nothing to do by then, since another run did it, or uses what was to go. `not possible`: AWS
   * doesn't let it be done, a warning says why, and the run goes on without. `undone`: it was done, and is as before again,
   * since another of its target failed.
   */
  outcome: 'planned' | 'done' | 'not needed' | 'not possible' | 'undone' | 'failed' | 'not begun';
}>;

/** What an encrypted copy that this run makes, and each of its snapshots, bears beside the action's own tags. */
type PlannedIntermediate = Readonly<{
  account: string;
  region: string;
  tags: Readonly<Record<string, string>>;
  /** With keep-intermediates; else it goes at the end of the run. */
  stays: boolean;
}>;

export type PlannedTarget = Readonly<{
  account: string;
  region: string;
  /** `await`: an AMI of this source that is being made is waited for, and then used if it is right. */
  action: 'create' | 'reuse' | 'await';
  route: 'register' | 'copy';
  amiName: string;
  kmsKeyArn: string;
  /** The region of the source account that is copied from. */
  from: string;
  volumes: number;
  sizeGiB: number;
  /** The AMI that is used again. */
  reuses: string | null;
  /** Copies of an earlier run that are taken over. */
  adopts: readonly string[];
  /** AMIs that are deregistered once the new one is ready: replaced, and beyond `retain` unless something uses or holds them. */
  replaces: readonly string[];
  removes: readonly string[];
  /** AMIs that retain leaves no room for and that stay all the same. */
  keeps: readonly Readonly<{ amiId: string; amiName: string; why: string }>[];
}>;

/** The output `plan`; its schema is schemas/plan.schema.json. */
export type PlanRecord = Readonly<{
  version: 2;
  dryRun: boolean;
  topology: Request['topology'];
  source: Readonly<{
    account: string;
    region: string;
    /** Null where the AMI is yet to be made, of an instance; so are its snapshots' IDs. */
    amiId: string | null;
    amiName: string;
    snapshots: readonly Readonly<{ id: string | null; sizeGiB: number; kmsKeyArn: string | null }>[];
  }>;
  targets: readonly PlannedTarget[];
  /** Images are picked by tags: so it is told what encrypted copies bear as long as they are there. */
  intermediates: readonly PlannedIntermediate[];
  operations: readonly OperationRecord[];
  /** What a person approves of it: the output plan-digest is of it. */
  approved: Approved;
  estimate: Estimate;
  problems: readonly Problem[];
  warnings: readonly string[];
  /** What could not be asked beforehand, such as permissions on what isn't there yet. */
  unasked: readonly string[];
}>;

/** What is to be done, as data. */
export function planRecord(
  request: Request,
  plan: Plan,
  told: Pick<PlanRecord, 'problems' | 'warnings' | 'unasked'>,
): PlanRecord {
  const { source } = plan;
  const known = source.instanceId === undefined;
  return {
    version: 2,
    dryRun: request.dryRun,
    topology: request.topology,
    source: {
      account: source.account,
      region: source.place.region,
      amiId: known ? source.imageId : null,
      amiName: source.image.Name ?? '',
      snapshots: source.snapshots.map(({ id, sizeGiB, kmsKeyArn }) => ({
        id: known ? id : null,
        sizeGiB,
        kmsKeyArn: kmsKeyArn ?? null,
      })),
    },
    targets: plan.targets.map((target) => plannedTarget(plan, target)),
    intermediates: plan.encryptedCopies
      .filter((copy) => encryptedBy(copy, source.snapshots).length > 0)
      .map(({ place, tags }) => ({ ...place, tags, stays: request.keepIntermediates })),
    operations: plan.operations.map(operationRecord),
    approved: approvedOf(request, plan),
    estimate: estimate(request, plan),
    ...told,
  };
}

function operationRecord({ id, kind, place, of, kmsKeyArn, after, why }: Operation): OperationRecord {
  return { id, kind, ...place, of, kmsKeyArn: kmsKeyArn ?? null, after, why, outcome: 'planned' };
}

/** The plan with what became of each operation. */
export function withOutcomes(record: PlanRecord, outcomes: Outcomes | undefined): PlanRecord {
  return {
    ...record,
    operations: record.operations.map((one) => ({ ...one, outcome: outcomeOf(outcomes?.get(one.id)) })),
  };
}

function outcomeOf(outcome: Outcome | undefined): OperationRecord['outcome'] {
  if (outcome === undefined) return 'planned';
  return (outcome.is === 'done' && outcome.result.undone) || outcome.is;
}

function plannedTarget({ source }: Plan, plan: TargetPlan): PlannedTarget {
  const { target, replace, retained } = plan;
  const ids = (images: readonly { ImageId?: string | undefined }[]) => images.flatMap(({ ImageId }) => ImageId ?? []);
  const takenOver =
    plan.action === 'register'
      ? plan.copies.map(({ takeOver }) => takeOver)
      : plan.action === 'copy'
        ? [plan.takeOver]
        : [];
  const image = isMaking(plan) ? undefined : plan.image;
  return {
    ...target.place,
    action: isMaking(plan) ? 'create' : plan.action,
    route: plan.route,
    amiName: image?.Name ?? target.name,
    kmsKeyArn: target.kmsKeyArn,
    from: (isMaking(plan) ? plan.from?.place.region : undefined) ?? source.place.region,
    volumes: source.snapshots.length,
    sizeGiB: totalGiB(source.snapshots),
    reuses: image?.ImageId ?? null,
    adopts: takenOver.filter((id) => id !== undefined),
    replaces: ids(replace),
    removes: ids(retained?.remove ?? []),
    keeps: (retained?.held ?? []).map(({ image: { ImageId = '', Name = '' }, why }) => ({
      amiId: ImageId,
      amiName: Name,
      why,
    })),
  };
}

/** What is removed, used again or launched is told with its reason. */
const explained: ReadonlySet<Kind> = new Set([
  ...(['deregister', 'delete', 'untag', 'reuse', 'boot', 'ask-usage', 'template-version'] as const),
]);

/** So many operations go into the log; the output has them all. */
const toldOperations = 200;

/** The plan for the log: a line an operation, then what it comes to. */
export function planLines(record: PlanRecord): { where: string; what: string }[] {
  const { operations, targets, intermediates, estimate, topology } = record;
  const lines = operations.slice(0, toldOperations).map(({ id, kind, account, region, of, kmsKeyArn, why }) => ({
    where: placeName({ account, region }),
    // What is done to nothing waits for others, and its ID says for which.
    what: `${of.length === 0 ? id : `${kind} ${of.join(', ')}`}${kmsKeyArn === null ? '' : ` (key ${kmsKeyArn})`}${explained.has(kind) ? `: ${why}` : ''}`,
  }));
  const kept = targets.flatMap(({ account, region, keeps }) =>
    keeps.map(({ amiId, amiName, why }) => ({
      where: placeName({ account, region }),
      what: `${amiId} (${amiName}) stays: ${why}`,
    })),
  );
  const borne = intermediates.map(({ account, region, tags, stays }) => ({
    where: placeName({ account, region }),
    what: `the encrypted copy bears ${tagList(tags)}, ${stays ? 'and stays' : 'until the end of the run'}`,
  }));
  const costs = [...costsOf(estimate, topology), ...copyingTime(estimate)];
  const more = operations.length - lines.length;
  return [
    ...lines,
    ...borne,
    ...kept.slice(0, toldOperations),
    ...(more > 0 ? [{ where: '…', what: `${more} operations more; the file of plan-file has them all` }] : []),
    { where: 'by estimate', what: costs.length === 0 ? 'nothing is copied' : costs.join('; ') },
  ];
}

function tagList(tags: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(tags).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? "no tags but the action's own" : `the tags ${pairs.join(', ')}`;
}

/** The plan in a line. */
export function describePlan({ source, encryptedCopies, targets, leftOut }: Plan): string {
  const { image, snapshots } = source;
  const made = targets.filter(isMaking).length;
  const regions = encryptedCopies.map(({ place }) => place.region).join(', ');
  const first = regions === '' ? '' : `, by an encrypted copy in the source account (${regions})`;
  return `${image.ImageId} (${image.Name}): ${counted(snapshots.length, 'snapshot')}, ${totalGiB(snapshots)} GiB, to ${made} of ${counted(targets.length + leftOut.length, 'target')}${first}`;
}
