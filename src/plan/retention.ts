import type { Image } from '@aws-sdk/client-ec2';
import { isEncryptedCopy } from '../encrypted-copy.ts';
import { tagKeys, tagValue } from '../tags.ts';
import type { Tie } from './evidence.ts';
import type { Locks } from './facts.ts';
import { removalObstacle } from './removal.ts';

/**
 * What AMIs of one image have in common over the times that it is baked: the source AMI's name, with every run of digits
 * (dates, versions, build numbers) as one. `golden-2026-11-23-v7` and `golden-2026-12-01-v8` are of one lineage.
 */
export function lineageOf({ Name = '' }: Image): string {
  return Name.replace(/\d+/g, '#');
}

/**
 * AMIs of a lineage in a target: the newest, those that go, and those that would go if nothing held them.
 */
export type Retention = Readonly<{
  keep: readonly Image[];
  remove: readonly Image[];
  held: readonly Readonly<{ image: Image; why: string }>[];
}>;

export type RetentionFacts = Readonly<{
  count: number;
  lineage: string;
  /** The name that the new AMI gets, by which AMIs without the lineage's tag are told. */
  name: string;
  /** AMIs that this action made. */
  existing: readonly Image[];
  reused: Image | undefined;
  /** What uses each; undefined where that can't be told, and then all stay. */
  users: ReadonlyMap<string, readonly string[]> | undefined;
  locks: Locks;
  /** The source AMIs that are still there, by their IDs. */
  origins: ReadonlyMap<string, Image>;
  /** How sure it is that each was made by this action. */
  tie: (image: Image) => Tie;
}>;

/**
 * Which of `existing` are of the lineage and beyond its newest `count`. The AMI that is to be made, or reused, counts as
 * the newest. What isn't proven to be this action's doesn't count: it stays, and takes the place of none that does.
 */
export function planRetention(facts: RetentionFacts): Retention & Readonly<{ foreign: readonly Image[] }> {
  const { count, lineage, name, existing, reused, tie } = facts;
  const tagged = existing
    .filter(({ ImageId, State }) => ImageId !== reused?.ImageId && (State === 'available' || State === 'disabled'))
    .filter((image) => lineageIn(image, facts) === lineage || lineageOf(image) === lineageOf({ Name: name }))
    // An AMI bears a lease while it is being made.
    .filter((image) => tagValue(image, tagKeys.lease) === undefined && !isEncryptedCopy(image))
    .sort((a, b) => (b.CreationDate ?? '').localeCompare(a.CreationDate ?? ''));
  const { foreign = [], others = [] } = Object.groupBy(tagged, (image) =>
    tie(image).is === 'foreign' ? 'foreign' : 'others',
  );
  const keep = others.filter((image) => tie(image).is === 'proven').slice(0, count - 1);
  const beyond = others.filter((one) => !keep.includes(one)).map((image) => ({ image, why: whyKept(image, facts) }));
  return {
    keep,
    remove: beyond.flatMap(({ image, why }) => (why === undefined ? [image] : [])),
    held: beyond.flatMap(({ image, why }) => (why === undefined ? [] : [{ image, why }])),
    foreign,
  };
}

/** By the source AMI's name, which nobody can change, as long as that is there; else by the tag that it was given. */
function lineageIn(image: Image, { origins }: RetentionFacts): string {
  const origin = origins.get(tagValue(image, tagKeys.sourceAmi) ?? '');
  return origin === undefined ? (tagValue(image, tagKeys.lineage) ?? lineageOf(image)) : lineageOf(origin);
}

function whyKept(image: Image, { users, locks, tie }: RetentionFacts): string | undefined {
  const tied = tie(image);
  if (tied.is !== 'proven') return tied.why;
  const obstacle = removalObstacle(image, locks)?.why;
  if (obstacle !== undefined || users === undefined) return obstacle ?? 'what uses it is not known';
  const using = users.get(image.ImageId ?? '');
  return using === undefined ? undefined : `it is used by ${using.join(', ')}`;
}
