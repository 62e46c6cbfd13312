import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { placeName, type Where } from '../aws/errors.ts';
import {
  type Allowances,
  type Difference,
  differences,
  differenceText,
  extrasDifferences,
  idsOf,
  snapshotDifferences,
  snapshotIdsOf,
} from '../image.ts';
import type { Request } from '../inputs.ts';
import { type LeaseRecord, longestJobMs, type Reader, sortLeases } from '../lease.ts';
import { endedLease, tagKeys, tagValue } from '../tags.ts';
import { isMaking, type TargetPlan } from './decided.ts';
import { isSince, madeAt, originDifferences, originOf } from './evidence.ts';
import type { Source, SourceSnapshot, Target } from './facts.ts';
import type { Findings } from './problem.ts';
import { isOver, replacedByOf } from './replaced.ts';

/* What earlier runs left in a target: AMIs to use again, copies to take over, and what is of no use any more. */

/** Other runs, by their leases on the source AMI, and since when each makes things. */
export type Holders = Readonly<
  Record<'living' | 'outdated' | 'dead', ReadonlyMap<string, number>> & {
    now: number;
    /** The workflow run, where this is a later attempt of it: GitHub re-runs only what has ended. */
    reruns: string | undefined;
  }
>;

/** A run's own lease is neither alive nor dead. */
export function holdersOf({ image }: Source, { leaseId, reader, request: { run } }: Holding): Holders {
  const { live, outdated, dead } = sortLeases(image, leaseId, reader);
  const known = (leases: readonly LeaseRecord[]) => new Map(leases.map(({ id, since }) => [id, since]));
  const reruns = run.runAttempt > 1 && run.runUrl !== '' ? run.runUrl : undefined;
  return { living: known(live), outdated: known(outdated), dead: known(dead), now: reader.now, reruns };
}

type Holding = Readonly<{ leaseId: string; reader: Reader; request: Request }>;

/**
 * Whether a resource bears the lease of a run that is at work no more, or that was given up: it may be taken over. A lease
 * that isn't found says nothing as long as its run may be at work.
 */
export function isOrphan(resource: Image | Snapshot, { living, outdated, dead, now, reruns }: Holders): boolean {
  const holder = tagValue(resource, tagKeys.lease);
  if (holder === undefined || living.has(holder)) return false;
  const since = outdated.get(holder) ?? dead.get(holder);
  if (since !== undefined) return isSince(resource, since);
  const isEnded = holder === endedLease || (reruns !== undefined && tagValue(resource, tagKeys.run) === reruns);
  return isEnded || now - (madeAt(resource) ?? now) > longestJobMs;
}

/** Whether a resource bears the lease of a run that is, or may be, at work: then it is not removed. */
export function isHeld(resource: Image | Snapshot, holders: Holders): boolean {
  return isAtWork(tagValue(resource, tagKeys.lease), holders);
}

function isAtWork(lease = '', { living, outdated }: Holders): boolean {
  return living.has(lease) || outdated.has(lease);
}

/** What is compared, by whom, and who is told. */
type Comparing = Readonly<{ request: Request; source: Source; findings: Findings }>;

/**
 * An AMI that is what this run would make: of this source, alike, and under the right key. Of several, the one with the
 * asked name; where none has it, the choice is the user's. Unless any such AMI may be reused, only one that this
 * very workflow run made is as good as a new one.
 */
export function findReusable(comparing: Comparing, target: Target): Image | undefined {
  const { request, findings } = comparing;
  const same = target.existing.filter((image) => whyUnlike(comparing, target, image) === '');
  const candidates = same.filter((image) => mayUse(request, image));
  const named = candidates.find(({ Name }) => Name === target.name);
  if (named === undefined && request.onExisting === 'reuse' && same.length > 1) {
    const list = same.map(({ ImageId, Name }) => `${ImageId} (${Name})`).join(', ');
    findings.add(
      placeName(target.place),
      `several AMIs of this source are there, all alike: ${list}`,
      'name one of them in target-ami-name, deregister the others, or set on-existing to replace',
    );
  }
  return named ?? candidates[0];
}

/** Whether this very workflow run made it: an earlier attempt, job or step. */
export function isOwn({ run: { runUrl } }: Request, image: Image): boolean {
  return runUrl !== '' && tagValue(image, tagKeys.run) === runUrl;
}

/**
 * An AMI of this source under the asked name that is being made: RegisterImage's and CopyImage's begin as `pending`, at
 * times for minutes, and can't be compared before they are available.
 */
export function findMaking({ request }: Comparing, { namesake, existing }: Target): Image | undefined {
  const making = existing.find(({ ImageId, State }) => State === 'pending' && ImageId === namesake?.ImageId);
  return making !== undefined && mayUse(request, making) ? making : undefined;
}

/** Whether an AMI of this source that is there may be used again: any, or one of this workflow run. */
export function mayUse(request: Request, image: Image): boolean {
  return request.onExisting === 'reuse' || isOwn(request, image);
}

/** Why an AMI isn't what this run would make; empty where it is. */
export function whyUnlike(comparing: Omit<Comparing, 'findings'>, target: Target, image: Image): string {
  if (image.State !== 'available') return `it is ${image.State}`;
  return unlikeness(comparing, target, image).map(differenceText).join('; ');
}

/** In what an AMI isn't what this run would make, as far as a copy has it from its source. */
export function unlikeness(
  { request, source }: Omit<Comparing, 'findings'>,
  target: Target,
  image: Image,
): Difference[] {
  const allowed = allowancesOf(request, source, target.place);
  const extras = target.existingExtras.get(image.ImageId ?? '');
  return [
    ...differences(source.image, image, allowed),
    ...originDifferences(source.image, image, target.parts.values()),
    ...snapshotDifferences(target.kmsKeyArn, image, target.parts.values()),
    ...(extras === undefined ? [] : extrasDifferences(source.extras, extras)),
  ];
}

/** What a target AMI need not have as the source has it. */
export function allowancesOf(request: Request, source: Source, { region }: Where): Allowances {
  return {
    lostBilling: request.route === 'register' && request.allowLostBilling,
    otherRegion: region !== source.place.region,
  };
}

/** An image that a run which has died was copying. */
export function findPending(target: Target, holders: Holders): string | undefined {
  return target.existing.find((image) => {
    const copied = image.State === 'pending' || image.State === 'available';
    return copied && image.Name === target.name && isOrphan(image, holders);
  })?.ImageId;
}

/** Images that a run which has died was copying in vain. */
export function findFailed(target: Target, holders: Holders): Image[] {
  return target.existing.filter(
    (image) => (image.State === 'failed' || image.State === 'error') && isOrphan(image, holders),
  );
}

/** So long a copy that outlived its run's time-out waits for a run that takes it over. */
export const endedCopyMs = 24 * 3_600_000;

/** What is to be copied, and what of earlier copies is of no use. */
export type PlannedCopies = Readonly<{
  copies: readonly Readonly<{ source: SourceSnapshot; takeOver: string | undefined }>[];
  discard: readonly string[];
  untag: readonly string[];
}>;

/**
 * A copy for each snapshot; one that an earlier run began is taken over, unless it is part of an AMI, failed, under
 * another key, or another live run's. A copy bears its run's lease until its AMI is registered: what bears none is
 * finished, and not this action's to touch.
 */
export function planCopies(
  { source, holders }: Readonly<{ source: Source; holders: Holders }>,
  target: Target,
  needed: boolean,
): PlannedCopies {
  const { now } = holders;
  const used = new Set([...target.used, ...target.existing.flatMap(snapshotIdsOf)]);
  const isUsed = ({ SnapshotId = '' }: Snapshot) => used.has(SnapshotId);
  const orphans = target.earlierCopies.filter((copy) => isOrphan(copy, holders));
  const free = orphans.filter((copy) => !isUsed(copy));
  const taken = new Set<string>();
  const copies = (needed ? source.snapshots : []).map((snapshot) => {
    const [best] = free
      .filter((copy) => isUsable(copy, target) && tagValue(copy, tagKeys.sourceSnapshot) === snapshot.id)
      .sort((a, b) => rank(a) - rank(b));
    if (best?.SnapshotId !== undefined) taken.add(best.SnapshotId);
    return { source: snapshot, takeOver: best?.SnapshotId };
  });
  // An AMI that is being made may name no snapshots yet: these may be its.
  const making = target.existing.some(({ State }) => State === 'pending');
  // Others' runs may be waiting for what a time-out left; it goes when it is old.
  const useless = (making ? [] : free).filter(
    (copy) =>
      !isHeld(copy, holders) &&
      (tagValue(copy, tagKeys.lease) !== endedLease || now - (madeAt(copy) ?? now) > endedCopyMs),
  );
  return {
    copies,
    discard: idsOf(useless).filter((id) => !taken.has(id)),
    untag: idsOf(orphans.filter(isUsed)),
  };
}

/** Since when there is what a run takes over, if it takes anything over. */
export function takenOverSince(plans: readonly TargetPlan[]): number | undefined {
  const times = plans.filter(isMaking).flatMap((plan) => {
    const ids = plan.action === 'register' ? plan.copies.map(({ takeOver }) => takeOver) : [plan.takeOver];
    const { earlierCopies, existing } = plan.target;
    const taken = [
      ...earlierCopies.filter(({ SnapshotId }) => SnapshotId !== undefined && ids.includes(SnapshotId)),
      ...existing.filter(({ ImageId }) => ImageId !== undefined && ids.includes(ImageId)),
    ];
    return taken.flatMap((one) => madeAt(one) ?? []);
  });
  return times.length === 0 ? undefined : Math.min(...times);
}

/** The snapshots of AMIs that runs on this source AMI deregistered which are at work no more. */
export function findReplaced({ replaced, used, existing }: Target, holders: Holders): string[] {
  const inAmis = new Set([...used, ...existing.flatMap(snapshotIdsOf)]);
  const free = replaced.filter((one) => {
    const by = replacedByOf(one);
    if (by === undefined || isAtWork(by.lease, holders)) return false;
    return holders.dead.has(by.lease) || isOver(by, holders.now);
  });
  return idsOf(free).filter((id) => !inAmis.has(id));
}

/** How much of a copy that is taken over is yet to be copied: 0 to 1, by what AWS told of its progress. */
export function shareLeft({ earlierCopies }: Target, id: string): number {
  const { State, Progress = '' } = earlierCopies.find(({ SnapshotId }) => SnapshotId === id) ?? {};
  // "The progress of the snapshot, as a percentage": https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html
  return State === 'completed' ? 0 : 1 - (Number.parseInt(Progress, 10) || 0) / 100;
}

function isUsable(copy: Snapshot, target: Target): boolean {
  return (
    (copy.State === 'pending' || copy.State === 'completed') &&
    copy.StorageTier !== 'archive' &&
    tagValue(copy, tagKeys.kmsKey) === target.kmsKeyArn &&
    originOf(copy)?.lineage === target.lineage
  );
}

/** The furthest of several comes first: the oldest that is completed, else the oldest. */
function rank(copy: Snapshot): number {
  return (copy.State === 'completed' ? 0 : 1e15) + (copy.StartTime?.getTime() ?? 0);
}
