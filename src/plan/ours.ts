import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { placeName } from '../aws/errors.ts';
import { isMarked } from '../tags.ts';
import {
  type Known,
  type Tie,
  tieOfEncryptedCopy,
  tieOfEncryptedSnapshot,
  tieOfImage,
  tieOfSnapshot,
} from './evidence.ts';
import type { Intermediates, Observed, Source, Target } from './facts.ts';
import type { Findings } from './problem.ts';

/* What was found by its tags, without what isn't this action's; that is left alone, and told. */

/** What is this action's in a target; `tie` tells how sure that is of an AMI. */
export type Own = Readonly<{ target: Target; tie: (image: Image) => Tie }>;

/** What a target holds of this source that is ours. */
export function ownIn(target: Target, copies: Known['parents'], findings: Findings): Own {
  const { place, existing, earlierCopies, replaced, ancestry, parts } = target;
  const known: Known = { snapshots: parts, parents: new Map([...ancestry, ...copies]) };
  const tie = (image: Image) => tieOfImage(image, known);
  const isProven = (id: string | undefined, tied: Tie): boolean => {
    if (tied.is !== 'proven') leave(findings, placeName(place), { id, why: tied.why });
    return tied.is === 'proven';
  };
  const images = existing.filter((image) => tie(image).is !== 'foreign' || isProven(image.ImageId, tie(image)));
  const ofOurs = (snapshots: readonly Snapshot[]) =>
    snapshots.filter(isMarked).filter((copy) => isProven(copy.SnapshotId, tieOfSnapshot(copy, known)));
  const own = { earlierCopies: ofOurs(earlierCopies), replaced: ofOurs(replaced) };
  return { target: { ...target, existing: images, ...own }, tie };
}

/** Says that something which bears our tags is not touched. */
export function leave(
  findings: Findings,
  where: string,
  { id = '', why }: Readonly<{ id: string | undefined; why: string }>,
): void {
  findings.warn(where, `${id} bears tags of this action, but ${why}; so it is left alone`);
}

/** The encrypted copies that are there, by region, without what only bears their tags. */
export function ownIntermediates(
  { source, intermediates }: Pick<Observed, 'source' | 'intermediates'>,
  findings: Findings,
): ReadonlyMap<string, Intermediates> {
  return new Map(
    [...intermediates].map(([region, { images, snapshots }]) => {
      const where = placeName({ account: source.account, region });
      const judged = <T extends Image | Snapshot>(all: readonly T[], tieOf: (one: T, imageId: string) => Tie): T[] =>
        all.filter((one) => {
          const tied = tieOf(one, source.imageId);
          const id = 'ImageId' in one ? one.ImageId : (one as Snapshot).SnapshotId;
          if (tied.is !== 'proven') leave(findings, where, { id, why: tied.why });
          return tied.is === 'proven';
        });
      return [
        region,
        { images: judged(images, tieOfEncryptedCopy), snapshots: judged(snapshots, tieOfEncryptedSnapshot) },
      ] as const;
    }),
  );
}

/** By its ID, each encrypted copy that is there, with the AMI that it is of. */
export function copiesOf({ imageId }: Source, own: ReadonlyMap<string, Intermediates>): Known['parents'] {
  const images = [...own.values()].flatMap(({ images }) => images);
  return new Map(images.map(({ ImageId = '' }) => [ImageId, imageId]));
}
