import type { Image } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { ancestryOf, describeImages, describeSnapshots, ownImages } from '../aws/describe.ts';
import { explainLine, isDenied, isUnknownAction } from '../aws/errors.ts';
import { isEncryptedCopy } from '../encrypted-copy.ts';
import { snapshotIdsOf } from '../image.ts';
import type { RecallRequest } from '../inputs/recall.ts';
import { joined } from '../join.ts';
import { isOfEncryptedCopy, type Known, tieOfImage, tieToLineage } from '../plan/evidence.ts';
import { whyUnfit, whyUnpublished } from '../plan/lineage.ts';
import { tagKeys, tagValue } from '../tags.ts';

/* Which AMIs of a target are meant, and which take their place. */

/** An AMI in a target that this action made; with the keys of its snapshots. */
export type Copy = Readonly<{ image: Image; id: string; sourceAmi: string; keys: readonly string[] }>;

export type Copies = Readonly<{
  /** Those that are meant. */
  meant: readonly Copy[];
  /**
   * What bears tags of ours, or is named by the inputs, and isn't proven to be this action's; with the reason. It is a
   * failure where the inputs name it, or where what may prove it can't be read.
   */
  left: readonly Readonly<{ id: string; sourceAmi: string | null; why: string; isFailure: boolean }>[];
  /** The AMI that takes the place of one that is meant; undefined where there is none. */
  replacementOf(copy: Copy): Copy | undefined;
}>;

/** What is known before the targets are read. */
export type Meant = Pick<RecallRequest, 'sourceImages' | 'targetImages' | 'replacement'> &
  Readonly<{
    /** The encrypted copies in the source account, with the AMIs that they are of. */
    parents: Known['parents'];
    /** Source AMIs that bear the mark of a recall: no copy of theirs takes the place of another. */
    recalledSources: ReadonlySet<string>;
  }>;

/** The AMIs in a target that are meant, by their tags and by what proves these. @throws AwsCallError */
export async function findCopies(place: Place, meant: Meant): Promise<Copies> {
  const tagged = await ownImages(place, { Name: 'tag-key', Values: [tagKeys.sourceAmi] });
  const named = (await describeImages(place, meant.targetImages)).filter(({ OwnerId }) => OwnerId === place.account);
  const all = [...new Map([...tagged, ...named].map((image) => [image.ImageId, image])).values()].filter(
    (image) => !isEncryptedCopy(image) && image.State !== 'deregistered' && image.State !== 'failed',
  );
  const isNamed = ({ ImageId = '' }: Image) => meant.targetImages.includes(ImageId);
  const isMeant = (image: Image) =>
    isNamed(image) ||
    (!meant.sourceImages.includes(image.ImageId ?? '') && meant.sourceImages.includes(sourceOf(image)));
  const { chosen = [], others = [] } = Object.groupBy(all, (image) => (isMeant(image) ? 'chosen' : 'others'));
  const lineages = new Set(chosen.flatMap((image) => tagValue(image, tagKeys.lineage) ?? []));
  const candidates = others.filter((image) => mayReplace(image, meant, lineages));
  const known = await readKnown(place, [...chosen, ...candidates], meant.parents);
  const isProven = (image: Image) => tieOfImage(image, known).is === 'proven';
  const good = candidates
    .filter(isProven)
    .toSorted((a, b) => (b.CreationDate ?? '').localeCompare(a.CreationDate ?? ''));
  return {
    meant: chosen.filter(isProven).map((image) => copyOf(image, known)),
    left: chosen.flatMap((image) => {
      const tied = tieOfImage(image, known);
      if (tied.is === 'proven') return [];
      const id = image.ImageId ?? '';
      const unread = known.unread.get(id);
      const sourceAmi = sourceOf(image) || null;
      return [{ id, sourceAmi, why: unread ?? tied.why, isFailure: isNamed(image) || unread !== undefined }];
    }),
    replacementOf({ image }) {
      const lineage = tagValue(image, tagKeys.lineage);
      const isOfLineage = (one: Image) =>
        lineage !== undefined &&
        tagValue(one, tagKeys.lineage) === lineage &&
        tieToLineage(one, lineage, known).is === 'proven';
      const found = good.find((one) => meant.replacement !== undefined || isOfLineage(one));
      return found && copyOf(found, known);
    },
  };
}

const sourceOf = (image: Image): string => tagValue(image, tagKeys.sourceAmi) ?? '';

function copyOf(image: Image, { snapshots }: Pick<Known, 'snapshots'>): Copy {
  const keys = snapshotIdsOf(image).flatMap((id) => snapshots.get(id)?.KmsKeyId ?? []);
  return { image, id: image.ImageId ?? '', sourceAmi: sourceOf(image), keys: [...new Set(keys)] };
}

/**
 * Whether an AMI may take another's place: it is of the asked source, or of a lineage; one of a lineage is published; and it
 * neither failed its boot test nor is recalled.
 */
function mayReplace(image: Image, { replacement, recalledSources }: Meant, lineages: ReadonlySet<string>): boolean {
  const lineage = tagValue(image, tagKeys.lineage);
  const why = lineage === undefined ? whyUnfit(image) : whyUnpublished(image);
  if (why !== undefined || recalledSources.has(sourceOf(image))) return false;
  return replacement === undefined ? lineages.has(lineage ?? '') : sourceOf(image) === replacement;
}

/** What proves the tags of images; by the images' IDs, why some of it can't be read. */
async function readKnown(
  place: Place,
  images: readonly Image[],
  parents: Known['parents'],
): Promise<Known & { unread: ReadonlyMap<string, string> }> {
  const parts = await describeSnapshots(place, [...new Set(images.flatMap(snapshotIdsOf))]);
  const unproven = images.filter(
    (image) => isOfEncryptedCopy(image) && parents.get(image.SourceImageId ?? '') !== sourceOf(image),
  );
  const unread = new Map<string, string>();
  const ancestry = await joined(
    unproven.map(async ({ ImageId = '' }) => {
      try {
        return await ancestryOf(place, ImageId);
      } catch (error) {
        if (!isDenied(error) && !isUnknownAction(error)) throw error;
        unread.set(ImageId, explainLine(error));
        return [];
      }
    }),
  );
  return {
    snapshots: new Map(parts.map((part) => [part.SnapshotId ?? '', part])),
    parents: new Map([...ancestry.flat(), ...parents]),
    unread,
  };
}
