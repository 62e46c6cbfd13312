import { CreateTagsCommand, DeleteTagsCommand, type Image, RegisterImageCommand, type Tag } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages, describeSnapshots } from '../aws/describe.ts';
import { errorMessage, hasCode, isDenied, isTransient, placeName } from '../aws/errors.ts';
import { registrationOf, snapshotIdsOf } from '../image.ts';
import { joined } from '../join.ts';
import { usersOf } from '../observe/users.ts';
import type { Result } from '../outcome.ts';
import { tieOfImage } from '../plan/evidence.ts';
import type { Deregister } from '../plan/operation.ts';
import { retried } from '../retry.ts';
import type { Scope } from '../run.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { carryOver } from './carry-over.ts';
import { type Asking, dryRun, type Question } from './question.ts';
import { deleteSnapshot, deletion, deregisterImage, deregistration } from './remove.ts';
import { findNamed } from './rival.ts';

const reasons: Readonly<Record<Deregister['reason'], string>> = {
  vain: 'which an earlier try made in vain',
  left: 'which an earlier run left half-made',
  name: 'whose name the new AMI takes over',
  replaced: 'which is replaced',
  retain: 'which retain leaves no room for',
};

export function asksToDeregister({ image, reason }: Deregister, { leaseId }: Asking): Question[] {
  const Resources = snapshotIdsOf(image);
  const command = new CreateTagsCommand({ Resources, Tags: [markOf(reason, leaseId)] });
  return [
    ...(Resources.length > 0 && reason === 'name' ? [dryRun(command)] : []),
    deregistration(image.ImageId ?? ''),
    ...Resources.slice(0, 1).map((id) => deletion(id)),
  ];
}

function markOf(reason: Deregister['reason'], leaseId: string): Tag {
  return { Key: tagKeys[reason === 'name' ? 'superseded' : 'lease'], Value: leaseId };
}

/**
 * Deregisters an AMI of ours and deletes its snapshots. One whose name alone is wanted goes only when nothing is left to do
 * but to register the new one, and its snapshots stay until that one is right: AWS gives a name once in an account and region.
 */
export async function deregister({ image, reason }: Deregister, { run, place }: Scope): Promise<Result> {
  const where = placeName(place);
  const what = `${image.ImageId} (${image.Name})`;
  if (reason === 'retain' && !(await mayRetire({ image, what }, { run, place }))) return { undone: 'not needed' };
  try {
    await mark(place, snapshotIdsOf(image), markOf(reason, run.leaseId));
    await deregisterImage(place, image);
  } catch (error) {
    if (reason !== 'retain') throw error;
    // A lock that could not be read, a rule of the organization: AWS's words say which. The target is none the worse.
    run.log.warn(`${where}: ${what} could not be removed: ${errorMessage(error)}`);
    return { undone: 'not possible' };
  }
  run.log.line(where, `deregistered ${what}, ${reasons[reason]}`);
  if (reason === 'retain') await deleteOrTell({ image, what }, { run, place });
  else if (reason !== 'name') await Promise.all(snapshotIdsOf(image).map((id) => deleteSnapshot(place, id)));
  return { id: image.ImageId ?? '' };
}

/** Deletes the snapshots of an AMI that is gone; those that AWS lets not go are the user's from then on. */
async function deleteOrTell(
  { image, what }: Readonly<{ image: Image; what: string }>,
  { run, place }: Pick<Scope, 'run' | 'place'>,
): Promise<void> {
  await joined(
    snapshotIdsOf(image).map(async (id) => {
      try {
        await deleteSnapshot(place, id);
      } catch (error) {
        run.log.warn(`${placeName(place)}: ${id} of ${what} could not be deleted: ${errorMessage(error)}`);
        await place.ec2(new DeleteTagsCommand({ Resources: [id], Tags: [{ Key: tagKeys.lease }] }));
      }
    }),
  );
}

/** Should the run be killed from here on, a later one knows by the mark that no AMI will need the snapshots. */
async function mark(place: Place, Resources: string[], tag: Tag): Promise<void> {
  if (Resources.length === 0) return;
  try {
    await place.ec2(new CreateTagsCommand({ Resources, Tags: [tag] }));
  } catch (error) {
    // Another run may have removed it meanwhile.
    if (hasCode(error, 'InvalidSnapshot.NotFound')) return;
    if (tag.Key === tagKeys.superseded || !(isDenied(error) || hasCode(error, 'TagLimitExceeded'))) throw error;
  }
}

/** Whether nothing uses an AMI that retain leaves no room for by now; where that can't be told, it stays. */
async function mayRetire(
  { image, what }: Readonly<{ image: Image; what: string }>,
  { run, place }: Pick<Scope, 'run' | 'place'>,
): Promise<boolean> {
  const where = placeName(place);
  const id = image.ImageId ?? '';
  const warn = (text: string) => run.log.warn(`${where}: ${text}`);
  try {
    const used = (await usersOf(place, [id], warn)).get(id);
    if (used !== undefined) run.log.line(where, `${what} stays: it is used by ${used.join(', ')}`);
    return used === undefined;
  } catch (error) {
    warn(`older AMIs stay, because what uses them is not known: ${errorMessage(error)}`);
    return false;
  }
}

/**
 * Gives back an AMI that had to give its name up for one that did not come to be: it is registered again of its snapshots,
 * under an ID of its own.
 */
export async function restore(
  { image, reason, until, extras }: Deregister,
  { run, place, resultOf }: Scope,
): Promise<boolean> {
  if (reason !== 'name' || resultOf(until ?? '') !== undefined) return false;
  const snapshots = snapshotIdsOf(image);
  const what = `${image.ImageId} (${image.Name}) in ${placeName(place)} had to give its name up`;
  try {
    const [there] = await describeImages(place, [image.ImageId ?? '']);
    if (there === undefined || there.State === 'deregistered') await registerAgain();
    await place.ec2(new DeleteTagsCommand({ Resources: snapshots, Tags: [{ Key: tagKeys.superseded }] }));
    return true;
  } catch (failure) {
    run.leave(`${what}, and could not be registered again; ${snapshots.join(', ')} stay: ${errorMessage(failure)}`);
    return false;
  }

  async function isNew(named: Image): Promise<boolean> {
    if (tagValue(named, tagKeys.lease) !== run.leaseId) return false;
    const parts = await describeSnapshots(place, snapshotIdsOf(named));
    const known = new Map(parts.map((part) => [part.SnapshotId ?? '', part]));
    return tieOfImage(named, { snapshots: known, parents: new Map() }).is === 'proven';
  }

  async function registerAgain(): Promise<void> {
    // The new one may have been registered all the same.
    const named = await findNamed(place, image.Name ?? '', false);
    if (named !== undefined && (await isNew(named))) await deregisterImage(place, named);
    const registration = registrationOf({
      source: image,
      extras,
      name: image.Name ?? '',
      description: image.Description,
      copies: new Map(snapshots.map((id) => [id, id])),
      tags: (image.Tags ?? []).filter(({ Key }) => !Key?.startsWith('aws:')),
    });
    const on = (error: unknown) => hasCode(error, 'InvalidAMIName.Duplicate') || isTransient(error);
    const ImageId = await retried({ place, on, tries: 6, wait: (count) => 1000 * count }, async () => {
      try {
        return (await place.ec2(new RegisterImageCommand(registration))).ImageId ?? '';
      } catch (error) {
        // It may be there by a request whose answer was lost.
        const there = on(error) ? await findNamed(place, image.Name ?? '', true) : undefined;
        if (there?.ImageId === undefined || !snapshotIdsOf(there).every((id) => snapshots.includes(id))) throw error;
        return there.ImageId;
      }
    });
    await run.watcher(place).image(ImageId);
    await carryOver(place, image, { ImageId, ImdsSupport: image.ImdsSupport });
    run.log.warn(`${what}, and is registered again as ${ImageId}, without its launch permissions and its deprecation`);
  }
}
