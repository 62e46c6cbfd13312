import type { Image } from '@aws-sdk/client-ec2';
import { isEncryptedCopy } from '../encrypted-copy.ts';
import { recalledTag, tagKeys, tagValue } from '../tags.ts';
import { listed } from '../words.ts';
import { isRejected } from './boot.ts';
import { madeAt, type Tie } from './evidence.ts';
import type { Locks, UsageReports, Use, Users } from './facts.ts';
import { removalObstacle } from './removal.ts';
import { type Ask, judgeReports, lastingUses, type Sharing } from './usage-report.ts';

/**
 * AMIs of a lineage in a target: the newest, those that go, and those that would go if nothing held them.
 */
export type Retention = Readonly<{
  keep: readonly Image[];
  remove: readonly Image[];
  held: readonly Readonly<{ image: Image; why: string }>[];
  /** Those of them that came into use after this action's own protection was lifted from them. */
  protect: readonly Image[];
  /** Those of them of which AWS is to be asked who uses them. */
  ask: readonly Ask[];
  /** Of those that go although others may launch them: the usage report that shows that nobody does, by the AMI's ID. */
  reports: ReadonlyMap<string, string>;
}>;

export type RetentionFacts = Readonly<{
  /** How many stay, the run's own among them. */
  count: number;
  /** For how many days an AMI's successor must have been published before it goes. */
  days: number;
  /** AWS's time, in ms since the epoch. */
  now: number;
  /** AMIs that bear the tag of the lineage. */
  existing: readonly Image[];
  reused: Image | undefined;
  users: Users | undefined;
  /** Undefined where they aren't read. */
  reports: UsageReports | undefined;
  /** What the inputs say of AMIs that others may launch. */
  sharing: Sharing;
  locks: Locks;
  /** Whether this action's own protections may be lifted. */
  mayLift: boolean;
  /** How sure it is that each was made by this action. */
  tie: (image: Image) => Tie;
}>;

/** What is told and counted of a lineage, newest first: what is pending, disabled or recalled, and what a run is making, isn't. */
function settledOf({ existing, reused }: Pick<RetentionFacts, 'existing' | 'reused'>): Image[] {
  return existing
    .filter(({ ImageId, State }) => ImageId !== reused?.ImageId && State === 'available')
    .filter((image) => tagValue(image, tagKeys.lease) === undefined && !isEncryptedCopy(image))
    .filter((image) => tagValue(image, recalledTag) === undefined)
    .sort((a, b) => (b.CreationDate ?? '').localeCompare(a.CreationDate ?? ''));
}

/**
 * Which of `existing` go: what has `count` newer ones, or failed its boot test, once its successor has been published for so
 * many days. The AMI that is to be made, or reused, counts as the newest. What isn't proven to be this action's doesn't
 * count: it stays, and takes the place of none that does.
 */
export function planRetention(facts: RetentionFacts): Retention & Readonly<{ foreign: readonly Image[] }> {
  const { count, tie } = facts;
  const { foreign = [], others = [] } = Object.groupBy(settledOf(facts), (image) =>
    tie(image).is === 'foreign' ? 'foreign' : 'others',
  );
  const counted = others.filter((image) => tie(image).is === 'proven' && !isRejected(image));
  const keep = newestOf(counted, facts, count - 1);
  const beyond = others
    .filter((one) => !keep.includes(one))
    .map((image) => ({ image, ...verdictOn(image, facts, counted) }));
  return {
    keep,
    remove: beyond.flatMap(({ image, why }) => (why === undefined ? [image] : [])),
    held: beyond.flatMap(({ image, why }) => (why === undefined ? [] : [{ image, why }])),
    protect: beyond.flatMap(({ image }) => (isToProtect(image, facts) ? [image] : [])),
    ask: beyond.flatMap(({ image, replaces }) => (replaces === undefined ? [] : [{ image, replaces }])),
    reports: new Map(beyond.flatMap(({ image, id }) => (id === undefined ? [] : [[idOf(image), id]]))),
    foreign,
  };
}

/**
 * The newest by AWS's times; and, as one that is published again is newer than what came after it, the newest by publication.
 * That is told by a tag, which others may write: it keeps more, and takes the place of none.
 */
function newestOf(counted: readonly Image[], facts: RetentionFacts, count: number): Image[] {
  const byPublication = counted.toSorted((a, b) => sinceWhen(b, facts) - sinceWhen(a, facts));
  return [...new Set([...counted.slice(0, count), ...byPublication.slice(0, count)])];
}

function isToProtect(image: Image, { users, sharing, tie }: RetentionFacts): boolean {
  const isLifted = !(image.DeregistrationProtection ?? 'disabled').startsWith('enabled');
  const isOurs = tie(image).is === 'proven' && tagValue(image, tagKeys.protection) !== undefined;
  return isOurs && isLifted && lastingUses(usesOf(image, users), sharing).length > 0;
}

/** What uses an AMI, as far as that is known. */
function usesOf(image: Image, users: Users | undefined): readonly Use[] {
  return users?.get(idOf(image)) ?? [];
}

function idOf({ ImageId = '' }: Image): string {
  return ImageId;
}

type Succession = Pick<RetentionFacts, 'existing' | 'reused' | 'tie'>;

/**
 * The AMIs that get a successor when a run's own is published, and that no run has said so of: those before it; and where an
 * older one is used again, as in a rollback, those that are published now.
 */
export function formerOf(facts: Succession): Image[] {
  const { tie } = facts;
  return settledOf(facts).filter(
    (image) =>
      (!isNewer(image, facts) || tagValue(image, tagKeys.published) !== undefined) &&
      tie(image).is === 'proven' &&
      !isRejected(image) &&
      tagValue(image, tagKeys.superseded) === undefined,
  );
}

/** Whether an AMI was made after the one that is used again, or at the same time. */
function isNewer(image: Image, { reused }: Pick<Succession, 'reused'>): boolean {
  return reused !== undefined && (madeAt(image) ?? 0) >= (madeAt(reused) ?? 0);
}

/** Whether the AMI that is used again was published before, and another one after it: then it is published anew. */
export function isPublishedAgain(facts: Succession): boolean {
  const isSuperseded = tagValue(facts.reused ?? {}, tagKeys.superseded) !== undefined;
  return isSuperseded || formerOf(facts).some((one) => isNewer(one, facts));
}

/** Why an AMI stays, and the usage reports to replace where AWS is asked who uses it; or the `id` of the one by which it goes. */
type Verdict = Readonly<{ why?: string; id?: string; replaces?: readonly string[] | undefined }>;

function verdictOn(image: Image, facts: RetentionFacts, counted: readonly Image[]): Verdict {
  const { now, users, reports } = facts;
  const held = whyHeld(image, facts);
  if (held !== undefined) return { why: held };
  const successor = successorOf(image, facts, counted);
  const since = successor === undefined ? now : publishedAfter(image, facts, successor);
  const early = whyTooEarly(image, facts, { since, made: madeAt(successor ?? {}) });
  if (early !== undefined) return { why: early };
  // What is left of its uses is that it is shared.
  if (usesOf(image, users).length === 0) return {};
  return judgeReports({ since, now, reports: reports && (reports.get(idOf(image)) ?? []) });
}

/** What holds an AMI however long its successor has been published, and whatever a usage report says. */
function whyHeld(image: Image, { users, sharing, locks, mayLift, tie }: RetentionFacts): string | undefined {
  const tied = tie(image);
  if (tied.is !== 'proven') return tied.why;
  const obstacle = removalObstacle(image, locks, { mayWait: true, mayLift })?.why;
  if (obstacle !== undefined || users === undefined) return obstacle ?? 'what uses it is not known';
  const lasting = lastingUses(usesOf(image, users), sharing);
  return lasting.length === 0 ? undefined : `it is used by ${listed(lasting.map(({ by }) => by))}`;
}

/** By when its successor was published, and made: why an AMI that nothing uses stays for now. */
function whyTooEarly(
  { LastLaunchedTime = '' }: Image,
  { days, now }: RetentionFacts,
  { since, made }: Readonly<{ since: number | undefined; made: number | undefined }>,
): string | undefined {
  if (Date.parse(LastLaunchedTime) > (since ?? made ?? now))
    return `it was launched at ${LastLaunchedTime}, after its successor was published`;
  if (days === 0 || now - (since ?? now) >= days * dayMs) return undefined;
  if (since === undefined) return 'nothing says since when its successor has been published';
  return `its successor has been published for ${Math.floor((now - since) / dayMs)} of ${days} days`;
}

const dayMs = 86_400_000;

/** What the tag of an AMI says came after it, and when. */
function supersededBy(image: Image): Readonly<{ id: string; at: number | undefined }> {
  const [id = '', time] = tagValue(image, tagKeys.superseded)?.split(' ') ?? [];
  return { id, at: timeOf(time) };
}

/**
 * What came after an AMI: the one that its tag names, where that is there and was published later; else the first that was, or
 * the run's own, which is undefined where it is yet to be made. Whoever may tag can name a successor that is gone, so that one
 * says nothing.
 */
function successorOf(image: Image, facts: RetentionFacts, counted: readonly Image[]): Image | undefined {
  const since = sinceWhen(image, facts);
  const { id } = supersededBy(image);
  const isLater = (other: Image) => sinceWhen(other, facts) > since;
  const named = counted.concat(facts.reused ?? []).find((other) => other.ImageId === id && isLater(other));
  const later = counted.filter(isLater);
  return named ?? later.toSorted((a, b) => sinceWhen(a, facts) - sinceWhen(b, facts))[0] ?? facts.reused;
}

/** Since when an AMI is published, or where nothing tells, made. */
function sinceWhen(image: Image, facts: RetentionFacts): number {
  return publishedAt(image, facts) ?? madeAt(image) ?? 0;
}

/** Since when what came after an AMI has been published, by the tags of both; undefined where nothing tells. */
function publishedAfter(image: Image, facts: RetentionFacts, successor: Image): number | undefined {
  const { id, at } = supersededBy(image);
  const since = publishedAt(successor, facts) ?? (id === successor.ImageId ? at : undefined);
  // Tags can say less than AWS knows: nothing comes after an AMI before both are made.
  return since && Math.max(since, at ?? 0, madeAt(successor) ?? 0, madeAt(image) ?? 0);
}

/** Since when an AMI is published, by its tag; not before AWS says that it was made. Undefined where nothing tells. */
function publishedAt(image: Image, facts: RetentionFacts): number | undefined {
  if (image.ImageId === facts.reused?.ImageId && isPublishedAgain(facts)) return facts.now;
  const told = timeOf(tagValue(image, tagKeys.published));
  return told && Math.max(told, madeAt(image) ?? 0);
}

function timeOf(text = ''): number | undefined {
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}
