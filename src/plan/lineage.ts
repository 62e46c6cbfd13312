import type { Image } from '@aws-sdk/client-ec2';
import { isEncryptedCopy } from '../encrypted-copy.ts';
import { recalledTag, tagKeys, tagValue } from '../tags.ts';
import { hasFailed } from './boot.ts';
import { type Known, madeAt, type Tie, tieOfImage, tieToLineage } from './evidence.ts';

/* What a target has of a lineage, and which source AMI is the newest of it: by evidence, never by tags alone. */

/** Whether an AMI was made by this action, and as one of the lineage. */
export function tieInLineage(image: Image, lineage: string, known: Known): Tie {
  return heldToLineage(image, tieOfImage(image, known), { lineage, snapshots: known.snapshots });
}

/** What is tied to this action, held to the lineage as well. */
export function heldToLineage(
  image: Image,
  tied: Tie,
  { lineage, snapshots }: Pick<Known, 'snapshots'> & Readonly<{ lineage: string }>,
): Tie {
  return tied.is === 'proven' ? tieToLineage(image, lineage, { snapshots }) : tied;
}

/** Whether an AMI says that it is of the lineage. */
export function claimsLineage(image: Image, lineage: string): boolean {
  return tagValue(image, tagKeys.lineage) === lineage && !isEncryptedCopy(image);
}

/** Those of `images` that are proven to be of the lineage, newest first. */
export function membersOf(lineage: string, images: readonly Image[], known: Known): Image[] {
  return images
    .filter((image) => claimsLineage(image, lineage) && tieInLineage(image, lineage, known).is === 'proven')
    .toSorted((a, b) => (madeAt(b) ?? 0) - (madeAt(a) ?? 0));
}

/** Why an AMI is nothing to launch by, in words that follow its ID; undefined where it is. */
export function whyUnfit(image: Image): string | undefined {
  const recalled = tagValue(image, recalledTag);
  if (recalled !== undefined) return `was recalled: ${recalled}`;
  if (image.State !== 'available') return `is ${image.State}`;
  if (tagValue(image, tagKeys.lease) !== undefined) return 'bears the lease of a run';
  return hasFailed(image) ? 'failed its boot test' : undefined;
}

/** The same of an AMI of a lineage, which is published, too. */
export function whyUnpublished(image: Image): string | undefined {
  const isPublished = tagValue(image, tagKeys.published) !== undefined;
  return whyUnfit(image) ?? (isPublished ? undefined : 'was never published');
}

/**
 * The source AMI that was made last, of those that published AMIs come from; undefined where each was recalled. Where AWS
 * doesn't tell when it was made (it may be gone), its first copy stands for it: an old bake that is shared again is no new one.
 */
export function newestSource(
  published: readonly Image[],
  sources: ReadonlyMap<string | undefined, Image>,
): string | undefined {
  const bySource = Map.groupBy(published, (image) => tagValue(image, tagKeys.sourceAmi) ?? '');
  const made = ([id, copies]: [string, Image[]]): number =>
    madeAt(sources.get(id) ?? {}) ?? Math.min(...copies.map((copy) => madeAt(copy) ?? 0));
  const isRecalled = (id: string) => tagValue(sources.get(id) ?? {}, recalledTag) !== undefined;
  const [newest] = [...bySource].filter(([id]) => !isRecalled(id)).toSorted((a, b) => made(b) - made(a));
  return newest?.[0];
}
