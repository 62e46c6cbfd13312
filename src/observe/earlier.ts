import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { ancestryOf, describeSnapshots, imagesWith, ownImages, ownSnapshots } from '../aws/describe.ts';
import { isDenied } from '../aws/errors.ts';
import { isEncryptedCopy } from '../encrypted-copy.ts';
import { type ImageExtras, idsOf, snapshotIdsOf } from '../image.ts';
import { joined } from '../join.ts';
import { isRejected } from '../plan/boot.ts';
import { isOfEncryptedCopy } from '../plan/evidence.ts';
import type { Source, Target } from '../plan/facts.ts';
import { replacedFilter, replacedOn } from '../plan/replaced.ts';
import { partitionOf } from '../regions.ts';
import { isMarked, tagKeys, tagValue } from '../tags.ts';
import { readExtras } from './source.ts';
import { type Asked, readOrWarn, type Telling } from './telling.ts';

/** So long after an AMI, its tags may be seen. */
const lateTagsMs = 3000;

/** What there is in a target of the source, of the lineage, and by the name. */
export type Earlier = Pick<
  Target,
  'existing' | 'existingExtras' | 'namesake' | 'earlierCopies' | 'replaced' | 'used' | 'made' | 'parts' | 'ancestry'
>;

/** What is in the target already: AMIs of this source, whoever has the name, and copies that a run left. */
export async function findEarlier(
  place: Place,
  { imageId, extras }: Source,
  { name, lineage, request, ...telling }: Asked & Readonly<{ name: string; lineage: string | undefined; role: string }>,
): Promise<Earlier> {
  const ofSource = { Name: `tag:${tagKeys.sourceAmi}`, Values: [imageId] };
  const look = () =>
    joined<[Image[], Image[], Snapshot[], Snapshot[]]>([
      ownImages(place, ofSource),
      ownImages(place, { Name: 'name', Values: [name] }),
      ownSnapshots(place, ofSource),
      ownSnapshots(place, replacedFilter),
    ]);
  const ours = { Name: 'tag-key', Values: [tagKeys.sourceAmi] };
  const [first, made] = await joined<[Awaited<ReturnType<typeof look>>, Image[]]>([
    look(),
    lineage === undefined
      ? Promise.resolve([])
      : ownImages(place, { Name: `tag:${tagKeys.lineage}`, Values: [lineage] }, ours),
  ]);
  // An AMI that was made a moment ago may show its name before its tags.
  const untagged = first[1].some(({ Tags = [], State }) => Tags.length === 0 && State !== 'disabled');
  if (untagged) await place.sleep(lateTagsMs);
  const [tagged, namesakes, earlierCopies, marked] = untagged ? await look() : first;
  // One of the two reads may be a moment older than the other: what either saw is there.
  const own = namesakes.filter((image) => tagValue(image, tagKeys.sourceAmi) === imageId);
  const found = [...new Map([...tagged, ...own].map((image) => [image.ImageId, image])).values()];
  // The encrypted copy of a run in the source account bears the tag too, and is no target.
  const existing = found
    .filter((image) => image.ImageId !== imageId && !isEncryptedCopy(image))
    .sort((a, b) => (b.CreationDate ?? '').localeCompare(a.CreationDate ?? ''));
  const needsExtras = extras.uefiData !== undefined || request.onExisting === 'replace';
  const isFormer = (image: Image) =>
    isRejected(image) || (request.onExisting === 'replace' && made.some(isSame(image)));
  const former = namesakes.filter((image) => isFormer(image) && !existing.some(isSame(image)));
  const replaced = replacedOn(imageId, marked);
  const mayGo = lineage !== undefined || request.onExisting === 'replace' ? [...existing, ...made] : [];
  return {
    existing,
    existingExtras: needsExtras ? await readAllExtras(place, [...existing, ...former]) : new Map(),
    namesake: existing.find(({ Name }) => Name === name) ?? namesakes[0],
    made: made.filter(({ ImageId }) => ImageId !== imageId),
    earlierCopies,
    replaced,
    used: new Set(
      (await imagesWith(place, idsOf([...earlierCopies, ...replaced].filter(isMarked)))).flatMap(snapshotIdsOf),
    ),
    parts: await readParts(place, [...existing, ...made, ...former], earlierCopies),
    ancestry: await readAncestry(place, telling, mayGo),
  };
}

const isSame =
  ({ ImageId }: Image) =>
  (other: Image): boolean =>
    other.ImageId === ImageId;

/** The snapshots of images: those that are known, and those that don't bear the tags (any more). */
async function readParts(
  place: Place,
  images: readonly Image[],
  known: readonly Snapshot[],
): Promise<Map<string, Snapshot>> {
  const byId = new Map(known.map((snapshot) => [snapshot.SnapshotId ?? '', snapshot]));
  const missing = [...new Set(images.flatMap(snapshotIdsOf))].filter((id) => !byId.has(id));
  for (const snapshot of await describeSnapshots(place, missing)) byId.set(snapshot.SnapshotId ?? '', snapshot);
  return byId;
}

/** What AWS says that images come from which were copied from an encrypted copy. */
async function readAncestry(
  place: Place,
  telling: Telling & Readonly<{ role: string }>,
  images: readonly Image[],
): Promise<Map<string, string>> {
  const copied = images.filter(isOfEncryptedCopy);
  const pairs = await readOrWarn(place, telling, {
    ...{ action: 'ec2:GetImageAncestry', resources: [`arn:${partitionOf(place.region)}:ec2:*::image/*`] },
    without: 'AMIs that were copied through an encrypted copy stay',
    read: () => joined(copied.map(({ ImageId = '' }) => ancestryOf(place, ImageId))),
  });
  return new Map((pairs ?? []).flat());
}

async function readAllExtras(place: Place, images: readonly Image[]): Promise<Map<string, ImageExtras>> {
  const read = images
    .filter(({ State }) => State === 'available')
    .map(async (image) => {
      try {
        return [[image.ImageId ?? '', await readExtras(place, image)] as const];
      } catch (error) {
        // Verification says so where it matters.
        if (isDenied(error)) return [];
        throw error;
      }
    });
  return new Map((await Promise.all(read)).flat());
}
