import { DeleteSnapshotCommand, DeleteTagsCommand, DeregisterImageCommand, type Image } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages, describeSnapshots, imagesWith } from '../aws/describe.ts';
import { errorMessage, hasCode, isDenied, placeName } from '../aws/errors.ts';
import { idsOf, snapshotIdsOf } from '../image.ts';
import { joined } from '../join.ts';
import type { Result } from '../outcome.ts';
import type { Delete, Untag } from '../plan/operation.ts';
import type { Run, Scope } from '../run.ts';
import { tagKeys } from '../tags.ts';
import { removing } from './limits.ts';
import { onceSeen } from './patiently.ts';
import { type Asking, dryRun, type Question } from './question.ts';

/**
 * Deregisters an image of ours and deletes its snapshots; what is gone already is no error. A snapshot that somebody else's AMI
 * has by now stays with that, and is told.
 */
export async function removeImage(place: Place, image: Image, tell: (what: string) => void): Promise<void> {
  await deregisterImage(place, image);
  await joined(
    snapshotIdsOf(image).map(async (id) => {
      try {
        await deleteSnapshot(place, id);
      } catch (error) {
        const users = isInUse(error) ? await imagesWith(place, [id]) : [];
        const others = users.flatMap(({ ImageId = '' }) => (ImageId === image.ImageId ? [] : [ImageId]));
        if (others.length === 0) throw error;
        tell(`${id} of ${image.ImageId} in ${placeName(place)} stays: ${others.join(', ')} has it by now`);
      }
    }),
  );
}

/** Deregisters an image of ours; one that is gone already is no error. */
export function deregisterImage(place: Place, image: Image): Promise<void> {
  return removing(place, async () => {
    try {
      await place.ec2(new DeregisterImageCommand({ ImageId: image.ImageId }));
    } catch (error) {
      if (hasCode(error, 'InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable')) return;
      // What is gone has no tags any more, and policies deny what they go by: only a look tells.
      if (!isDenied(error) || (await isImageThere(place, image))) throw error;
    }
  });
}

async function isImageThere(place: Place, { ImageId = '' }: Image): Promise<boolean> {
  const [image] = await describeImages(place, [ImageId]);
  return image !== undefined && image.State !== 'deregistered';
}

/** Deletes a snapshot of ours; one that is gone already is no error. */
export function deleteSnapshot(place: Place, id: string): Promise<void> {
  return removing(place, async () => {
    try {
      await place.ec2(new DeleteSnapshotCommand({ SnapshotId: id }));
    } catch (error) {
      if (hasCode(error, 'InvalidSnapshot.NotFound')) return;
      if (isDenied(error) && (await describeSnapshots(place, [id])).length === 0) return;
      throw error;
    }
  });
}

/** Whether AWS deletes no snapshot since an AMI has it; where ours is gone, that is somebody else's. */
export function isInUse(error: unknown): boolean {
  return hasCode(error, 'InvalidSnapshot.InUse');
}

/**
 * Deletes snapshots, each whatever becomes of the others, and gives those that went. A failure is for `failed` to tell, or to
 * throw.
 */
export async function deleteEach(
  place: Place,
  ids: readonly string[],
  failed: (id: string, error: unknown) => unknown,
): Promise<string[]> {
  const gone = await joined(
    ids.map(async (id) => {
      try {
        await deleteSnapshot(place, id);
        return [id];
      } catch (error) {
        await failed(id, error);
        return [];
      }
    }),
  );
  return gone.flat();
}

type Kept = Readonly<{ of: string; mayStay: (error: unknown) => boolean }>;

/**
 * Deletes the snapshots of an AMI that is gone, and gives those that went. Those that AWS lets not go, where they may stay,
 * are the user's from then on.
 */
export function deleteOrTell(
  ids: readonly string[],
  { of, mayStay }: Kept,
  { run, place }: Pick<Scope, 'run' | 'place'>,
): Promise<string[]> {
  return deleteEach(place, ids, (id, error) => {
    if (!mayStay(error)) throw error;
    run.log.warn(`${placeName(place)}: ${id} of ${of} could not be deleted: ${errorMessage(error)}`);
    const Tags = [tagKeys.lease, tagKeys.replacedBy].map((Key) => ({ Key }));
    return place.ec2(new DeleteTagsCommand({ Resources: [id], Tags }));
  });
}

/**
 * Deletes a snapshot that came to nothing; that it can't be deleted is told at the end, and hides no cause. Where there was
 * no time for it, the clean-up does it, by its lease.
 */
export async function discard({ leave }: Run, place: Place, id: string): Promise<void> {
  await deleteSnapshot(place, id).catch((error: unknown) => {
    if (!place.signal.aborted)
      leave(place, `${id} in ${placeName(place)}, which came to nothing: ${errorMessage(error)}`);
  });
}

/** What is lost where a target's role can't take back what it has made. */
export const halfMade = 'what the run has made here stays if it fails or is cancelled';

export function deletion(SnapshotId: string, without?: string): Question {
  return dryRun(new DeleteSnapshotCommand({ SnapshotId }), without);
}

export function deregistration(ImageId: string, without?: string): Question {
  return dryRun(new DeregisterImageCommand({ ImageId }), without);
}

export function asksToUntag({ resources }: Untag, { standIns }: Asking): Question[] {
  const Resources = resources.length > 0 ? [...resources] : Object.values(standIns);
  const command = untagCommand(Resources);
  return [dryRun(command, `the tag ${tagKeys.lease} stays on the copies`)];
}

function untagCommand(Resources: string[]): DeleteTagsCommand {
  return new DeleteTagsCommand({ Resources, Tags: [{ Key: tagKeys.lease }] });
}

/** Deletes snapshots that no AMI has. */
export async function remove({ snapshotIds, superseded, why }: Delete, { run, place }: Scope): Promise<Result> {
  const gone = await deleteOrTell(
    snapshotIds,
    { of: superseded ?? 'an earlier AMI', mayStay: isInUse },
    { run, place },
  );
  if (gone.length > 0) run.log.line(placeName(place), `deleted ${gone.join(', ')}: ${why}`);
  return superseded === undefined ? {} : { removed: { amiId: superseded, snapshotIds: gone } };
}

/** Takes the lease off: from now on these are parts of a finished AMI. */
export async function untag({ resources, finishes }: Untag, { run, place, resultOf }: Scope): Promise<Result> {
  const made = finishes === undefined ? undefined : resultOf(finishes);
  // Another run's image that is used is finished, too: should that run die, it is not half-made.
  const finished = made === undefined ? [] : [made.id ?? '', ...idsOf(made.snapshots ?? [])];
  const Resources = [...resources, ...finished].filter(Boolean);
  if (Resources.length === 0) return { undone: 'not needed' };
  try {
    await onceSeen(place, () => place.ec2(untagCommand(Resources)));
  } catch (error) {
    // The AMI is there and right all the same.
    if (!isDenied(error)) throw error;
    run.log.warn(`the tag ${tagKeys.lease} stays on ${Resources.join(', ')}: ${errorMessage(error)}`);
    // By the tag alone, it would read as half-made.
    run.ledger.write({ finished: [...(run.ledger.state?.finished ?? []), ...Resources] });
    return { undone: 'not possible' };
  }
  return {};
}
