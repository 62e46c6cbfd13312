import type { Image } from '@aws-sdk/client-ec2';
import { placeName } from '../aws/errors.ts';
import { imageIdsOf } from '../image.ts';
import { tagKeys, tagValue } from '../tags.ts';
import type { Common } from './decided.ts';
import { tieToLineage } from './evidence.ts';
import { heldToLineage } from './lineage.ts';
import { leave, type Own } from './ours.ts';
import type { Planning } from './planning.ts';
import { mayLift } from './removal.ts';
import { formerOf, isPublishedAgain, planRetention, type Retention } from './retention.ts';

/* A lineage in a target: which of its AMIs go, and what says since when each was published. */

export function retentionOf(
  { request, holders, findings }: Planning,
  own: Own,
  { reused, going }: Readonly<{ reused: Image | undefined; going: readonly Image[] }>,
): Retention | undefined {
  const { retain, retainDays: days } = request.publication;
  const { target, tie } = own;
  const { place, made, users, reports, locks } = target;
  if (retain === undefined) return undefined;
  const gone = new Set(going.map(({ ImageId }) => ImageId));
  const existing = made.filter(({ ImageId }) => !gone.has(ImageId));
  const read = { existing, reused, users, reports, locks, tie: lineageTieOf(own) };
  const asked = { count: retain, days, sharing: request.publication, mayLift: mayLift(request) };
  const facts = { ...asked, now: holders.now, ...read };
  const { foreign, ...retention } = planRetention(facts);
  for (const one of foreign) leave(findings, placeName(place), whyLeft(one, tie));
  return retention;
}

/** What says when AMIs of the lineage were published; undefined where all is said. */
export function marksOf(
  { findings }: Planning,
  own: Own,
  { reused, going }: Readonly<{ reused: Image | undefined; going: readonly Image[] }>,
): Common['marks'] {
  const { lineage, made } = own.target;
  if (lineage === undefined) return undefined;
  const gone = new Set(going.map(({ ImageId }) => ImageId));
  const existing = made.filter(({ ImageId }) => !gone.has(ImageId));
  const succession = { existing, reused, tie: lineageTieOf(own) };
  const former = imageIdsOf(formerOf(succession));
  const isOf = (image: Image) =>
    tagValue(image, tagKeys.lineage) === lineage &&
    tieToLineage(image, lineage, { snapshots: own.target.parts }).is === 'proven';
  if (reused !== undefined && !isOf(reused)) {
    findings.warn(
      placeName(own.target.place),
      `${reused.ImageId} was not made as one of the lineage ${lineage}, so retain does not count it later`,
    );
    return undefined;
  }
  const isSaid =
    reused !== undefined && tagValue(reused, tagKeys.published) !== undefined && !isPublishedAgain(succession);
  const isBack = reused !== undefined && tagValue(reused, tagKeys.superseded) !== undefined;
  return isSaid && former.length === 0 ? undefined : { former, isSaid, isBack };
}

/** How sure it is that an AMI was made by this action, and as one of the lineage. */
export function lineageTieOf({ target: { lineage = '', parts }, tie }: Own): Own['tie'] {
  return (image) => heldToLineage(image, tie(image), { lineage, snapshots: parts });
}

export function whyLeft(image: Image, tie: Own['tie']): { id: string | undefined; why: string } {
  const tied = tie(image);
  return { id: image.ImageId, why: tied.is === 'proven' ? '' : tied.why };
}
