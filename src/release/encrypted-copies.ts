import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { imagesWith, ownImages, ownSnapshots } from '../aws/describe.ts';
import { placeName } from '../aws/errors.ts';
import { idsOf, snapshotIdsOf } from '../image.ts';
import { joined } from '../join.ts';
import { deleteSnapshot, removeImage } from '../operations/remove.ts';
import { tieOfEncryptedCopy, tieOfEncryptedSnapshot } from '../plan/evidence.ts';
import { tagKeys } from '../tags.ts';
import type { Attempt, Notes } from './notes.ts';
import type { Leases, Releasing } from './releasing.ts';

/** Encrypted copies of an image, and snapshots of such copies: those that no image names (any more) too. */
export async function findEncryptedCopies(
  place: Place,
  imageId: string,
): Promise<{ images: Image[]; snapshots: Snapshot[] }> {
  const ofSource = { Name: `tag:${tagKeys.sourceAmi}`, Values: [imageId] };
  const intermediate = { Name: 'tag-key', Values: [tagKeys.intermediate] };
  const [images, snapshots] = await joined<[Image[], Snapshot[]]>([
    ownImages(place, ofSource, intermediate),
    ownSnapshots(place, ofSource, intermediate),
  ]);
  return {
    images: images.filter((image) => tieOfEncryptedCopy(image, imageId).is === 'proven'),
    snapshots: snapshots.filter((snapshot) => tieOfEncryptedSnapshot(snapshot, imageId).is === 'proven'),
  };
}

type Copies = Readonly<{ releasing: Releasing; leases: Leases; notes: Notes; attempt: Attempt }>;

/** Removes the encrypted copies in a region unless somebody needs them. Gives whether they could be looked for. */
export async function releaseCopies(place: Place, { releasing, leases, notes, attempt }: Copies): Promise<boolean> {
  const { state, keepIntermediates } = releasing;
  const found = await attempt(`Looking for encrypted copies in ${place.region}`, () =>
    findEncryptedCopies(place, state.imageId),
  );
  if (found === undefined) return false;
  const ids = [
    ...found.images.flatMap(({ ImageId }) => ImageId ?? []),
    ...(found.images.length > 0 ? [] : idsOf(found.snapshots)),
  ];
  if (keepIntermediates || ids.length === 0) return true;
  const what = `${ids.join(', ')} in ${placeName(place)} stays`;
  if (leases.live.length > 0) {
    notes.stays.push(`${what}: another run on ${state.imageId} uses it, and takes it back`);
    return true;
  }
  if (state.keepPending && (notes.goesOn.length > 0 || releasing.grants === undefined)) {
    notes.goesOn.push(
      `${what}, since copies read from it. What to do: nothing, the next run on ${state.imageId} or a sweep takes it back`,
    );
    return true;
  }
  const gone = (removed: readonly string[]) => {
    for (const id of removed) notes.gone.add(id);
  };
  await joined(
    found.images.map((copy) =>
      attempt(`Removing the encrypted copy ${copy.ImageId}`, async () => {
        await removeImage(place, copy, (what) => notes.stays.push(what));
        gone([copy.ImageId ?? '', ...snapshotIdsOf(copy)]);
        return `removed the encrypted copy ${copy.ImageId}`;
      }),
    ),
  );
  const removed = new Set(found.images.flatMap(snapshotIdsOf));
  const others = idsOf(found.snapshots).filter((id) => !removed.has(id));
  await attempt(`Deleting ${others.join(', ')}`, () => deleteLoose(place, others, gone));
  return true;
}

/** Deletes what no AMI has: a copy of the AMI that somebody else keeps is theirs. */
async function deleteLoose(
  place: Place,
  ids: string[],
  gone: (ids: readonly string[]) => void,
): Promise<string | undefined> {
  const used = new Set((await imagesWith(place, ids)).flatMap(snapshotIdsOf));
  const loose = ids.filter((id) => !used.has(id));
  await joined(loose.map((id) => deleteSnapshot(place, id)));
  gone(loose);
  return loose.length === 0 ? undefined : `deleted ${loose.join(', ')}`;
}
