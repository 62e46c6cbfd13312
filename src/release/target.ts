import { CreateTagsCommand, DeleteTagsCommand, type Image, type Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { ancestryOf, describeSnapshots, imagesWith, ownImages, ownSnapshots, withThoseThere } from '../aws/describe.ts';
import { errorMessage, explainLine, hasCode, isDenied, isUnknownAction, placeName, StepError } from '../aws/errors.ts';
import { idsOf, snapshotIdsOf } from '../image.ts';
import { joined } from '../join.ts';
import type { LedgerState } from '../ledger.ts';
import { isLaunchedBy, leasedInstances, leasedInstancesIfAny, terminate } from '../operations/instances.ts';
import { deleteEach, removeImage } from '../operations/remove.ts';
import { restoreFormer } from '../operations/restore.ts';
import type { ReleaseReport } from '../outcome.ts';
import { isOfEncryptedCopy, mayBePartOf, type Tie, tieOfImage, tieOfSnapshot, tieToLease } from '../plan/evidence.ts';
import { isOver, replacedByOf, replacedFilter, replacedOn, staysUntil } from '../plan/replaced.ts';
import { endedLease, tagKeys, tagValue } from '../tags.ts';
import { type Notes, noNotes, reportOf } from './notes.ts';

/** Whose work in a target is taken back. */
export type Owners = Readonly<{
  state: Pick<LedgerState, 'imageId' | 'leaseId' | 'keepPending' | 'finished' | 'boots'>;
  /** The leases that have ended, and since when each of their runs makes things. */
  gone: ReadonlyMap<string, number>;
  /** Whether others' runs live, which may wait for what a dead one was making. */
  othersLive: boolean;
  /** Whether an AMI may be gone of which snapshots are left, by a run that replaced it. */
  superseding: boolean;
  /** Whether the target's AMI is there and right. */
  ready: boolean;
  /** Whether there is time to see what bears a dead run's lease only since reads are late. */
  mayWait: boolean;
  /** Whether nobody will look again. */
  isLast: boolean;
  isSweep: boolean;
  /** What encrypted copies that are there come from. */
  parents: () => Promise<ReadonlyMap<string, string>>;
}>;

/** What was found of the owners in a target. */
type Found = Readonly<{ images: readonly Image[]; snapshots: readonly Snapshot[] }>;

/** Removes what the owners began in one target and did not finish. Gives whether it is all gone. Never throws. */
export async function releaseTarget(place: Place, owners: Owners, notes: Notes): Promise<boolean> {
  const { state, gone, superseding, isLast, ready, isSweep } = owners;
  const where = placeName(place);
  const isFinished = (id = '') => state.finished.includes(id);
  try {
    const others = [...gone.keys()].some((id) => id !== state.leaseId);
    // What a dead run launched, nothing but a look tells.
    const allEnded = !(state.boots || others) || (await endInstances(place, owners, notes));
    const replaced = superseding || others ? await findReplaced(place, owners, notes) : [];
    const { found, spared } = await findBegun(place, owners, notes);
    // Without the former AMI, the new one is all that there is: a later run compares it, and uses it if it is right.
    // That the tag was taken off may be seen late: only the last look removes an AMI.
    const stay = replaced.length > 0 || !isLast;
    const halfMade = stay ? [] : found.images.filter(({ ImageId }) => !isFinished(ImageId));
    for (const image of halfMade) {
      await removeImage(place, image, (what) => notes.stays.push(what));
      notes.done.push(`removed ${image.ImageId} in ${where}`);
    }
    const isFree = (one: Snapshot) => {
      const by = replacedByOf(one);
      return ready || (isSweep && found.images.length === 0 && by !== undefined && isOver(by, place.awsNow()));
    };
    const isLost = isLast && !ready && found.images.length === 0;
    const back = isLost ? await giveBack(place, replaced, notes) : [];
    const left = replaced.filter((one) => !back.includes(one));
    await releaseReplaced(place, left, { images: found.images, isFree, notes });
    // What bears a lease that has ended would be taken for half-made by the next that looks.
    await untagFinished(
      place,
      found.images.flatMap(({ ImageId = '' }) => (isFinished(ImageId) ? [ImageId] : [])),
    );
    const removed = new Set(halfMade.flatMap(snapshotIdsOf));
    const copies = found.snapshots.filter(({ SnapshotId = '' }) => !removed.has(SnapshotId) && !isFinished(SnapshotId));
    await releaseCopies(place, copies, { keepPending: state.keepPending, notes });
    return !spared && allEnded;
  } catch (error) {
    notes.failed.push({ what: `Removing half-made copies in ${where}: ${explainLine(error)}` });
    return false;
  }
}

/**
 * Ends the instances of boot tests that the owners launched; what only bears their tags is left alone. One that can't be
 * ended is told, and keeps nothing else from being taken back. Gives whether all are.
 */
async function endInstances(place: Place, { state, gone }: Owners, notes: Notes): Promise<boolean> {
  const where = placeName(place);
  const look = state.boots ? leasedInstances : leasedInstancesIfAny;
  const failed = (error: unknown) => void notes.failed.push({ what: explainLine(error) });
  const found = await look(place, [...gone.keys()], state.imageId).catch((error: unknown) =>
    failed(new StepError(`Looking for instances of boot tests in ${where}`, error)),
  );
  let allEnded = found !== undefined;
  for (const instance of found ?? []) {
    const { InstanceId = '' } = instance;
    if (isLaunchedBy(instance, tagValue(instance, tagKeys.lease) ?? '', place)) {
      try {
        await terminate(place, InstanceId);
        notes.done.push(`ended ${InstanceId} in ${where}`);
      } catch (error) {
        failed(error);
        allEnded = false;
      }
    } else notes.stays.push(`${InstanceId} in ${where} is left alone: its client token is not one of the action's`);
  }
  return allEnded;
}

/** Removes what runs on an image that died began in one target, but for what is finished. Never throws. */
export async function releaseFrom(
  place: Place,
  {
    imageId,
    gone,
    finished,
    parents,
  }: Readonly<{ imageId: string; finished: readonly string[] }> & Pick<Owners, 'gone' | 'parents'>,
): Promise<ReleaseReport> {
  const notes = noNotes();
  const state = { imageId, leaseId: '', keepPending: false, finished, boots: false };
  const swept = { superseding: true, ready: false, mayWait: true, isLast: true, isSweep: true, othersLive: false };
  await releaseTarget(place, { ...swept, state, gone, parents }, notes);
  return reportOf(notes);
}

/** That another run has taken a lease off, or put its own in its place, is seen so much later at most. */
const settleMs = 30_000;

/** What bears the owners' leases and is proven to be theirs; and whether a dead run's was spared for one that lives. */
async function findBegun(place: Place, owners: Owners, notes: Notes): Promise<{ found: Found; spared: boolean }> {
  const { state, gone, othersLive, mayWait } = owners;
  const leaseOf = (one: Image | Snapshot) => tagValue(one, tagKeys.lease) ?? '';
  const isOwn = (one: Image | Snapshot) => leaseOf(one) === state.leaseId;
  let { images, snapshots } = await leased(place, owners);
  // An AMI that a dead run was making may be what one that lives waits for.
  const mayServe = othersLive && !images.every(isOwn);
  const ofDead = [...images, ...snapshots].some((one) => !isOwn(one) && gone.has(leaseOf(one)));
  const spared = mayServe || (ofDead && !mayWait);
  if (ofDead && !spared) {
    // It may be a finished AMI's by now, of a run that has just ended.
    await place.sleep(settleMs);
    ({ images, snapshots } = await leased(place, owners));
  }
  const isProven = provenIn(place, notes);
  const isTheirs = (one: Image | Snapshot) =>
    isProven('ImageId' in one ? one.ImageId : (one as Snapshot).SnapshotId, tieToLease(one, gone.get(leaseOf(one)))) &&
    (!spared || isOwn(one));
  const claims = { images: images.filter(isTheirs), snapshots: snapshots.filter(isTheirs) };
  return { found: await proven(place, claims, { owners, notes }), spared };
}

/** What bears the owners' leases. */
async function leased(place: Place, { state: { imageId, keepPending }, gone }: Owners): Promise<Found> {
  // Copies that go on may bear the mark already.
  const ofLease = { Name: `tag:${tagKeys.lease}`, Values: [...gone.keys(), ...(keepPending ? [endedLease] : [])] };
  const ofSource = { Name: `tag:${tagKeys.sourceAmi}`, Values: [imageId] };
  const [images, snapshots] = await joined<[Image[], Snapshot[]]>([
    ownImages(place, ofLease, ofSource),
    ownSnapshots(place, ofLease, ofSource),
  ]);
  return { images, snapshots };
}

/** Whether what bears tags of ours is proven; what isn't is told. */
function provenIn(place: Place, notes: Notes): (id: string | undefined, tied: Tie) => boolean {
  return (id, tied) => {
    if (tied.is === 'proven') return true;
    const told = `${id} in ${placeName(place)} is left alone: ${tied.why}`;
    if (tied.is === 'unknown') notes.failed.push({ what: `${told}; the next run that makes the AMI sees to it` });
    else notes[tied.is === 'claimed' ? 'stays' : 'foreign'].push(told);
    return false;
  };
}

/** What is proven to be ours; what isn't is told. */
async function proven(
  place: Place,
  { images, snapshots }: Found,
  { owners, notes }: Readonly<{ owners: Owners; notes: Notes }>,
): Promise<Found> {
  if (images.length + snapshots.length === 0) return { images, snapshots };
  const parts = await describeSnapshots(place, images.flatMap(snapshotIdsOf));
  const known = new Map(parts.map((part) => [part.SnapshotId ?? '', part]));
  const parents = new Map(await owners.parents());
  for (const { ImageId = '' } of images.filter(isOfEncryptedCopy))
    for (const [child, parent] of await ancestryOf(place, ImageId).catch(unlessUntold)) parents.set(child, parent);
  const isProven = provenIn(place, notes);
  return {
    images: images.filter((image) => isProven(image.ImageId, tieOfImage(image, { snapshots: known, parents }))),
    snapshots: snapshots.filter((one) => isProven(one.SnapshotId, tieOfSnapshot(one, { parents }))),
  };
}

/** Then there is no proof, and what needs one is told. */
function unlessUntold(error: unknown): [] {
  if (isDenied(error) || isUnknownAction(error) || hasCode(error, 'InvalidAMIID.NotFound')) return [];
  throw error;
}

/** The snapshots of AMIs that runs of these leases have deregistered, where no AMI has them any more. */
async function findReplaced(place: Place, { state, gone }: Owners, notes: Notes): Promise<Snapshot[]> {
  const marked = replacedOn(state.imageId, await ownSnapshots(place, replacedFilter)).filter((one) =>
    gone.has(replacedByOf(one)?.lease ?? ''),
  );
  const isProven = provenIn(place, notes);
  const ours = marked.filter((one) => isProven(one.SnapshotId, tieOfSnapshot(one, { parents: new Map() })));
  const used = new Set((await imagesWith(place, idsOf(ours))).flatMap(snapshotIdsOf));
  // Its AMI is still there.
  const kept = idsOf(ours).filter((id) => used.has(id));
  if (kept.length > 0) await place.ec2(new DeleteTagsCommand({ Resources: kept, Tags: [{ Key: tagKeys.replacedBy }] }));
  return ours.filter(({ SnapshotId = '' }) => !used.has(SnapshotId));
}

/** Gives back the AMIs that were deregistered for new ones that nobody made, where that can be; gives their snapshots. */
async function giveBack(place: Place, replaced: readonly Snapshot[], notes: Notes): Promise<Snapshot[]> {
  const where = placeName(place);
  try {
    const { told, parts } = await restoreFormer(place, replaced);
    for (const what of told)
      notes.warned.push(
        `${what} in ${where}, which a run that died had deregistered for its name, is back from the Recycle Bin, as it was`,
      );
    return parts;
  } catch (error) {
    notes.failed.push({ what: `Restoring an AMI from the Recycle Bin in ${where}: ${explainLine(error)}` });
    return [];
  }
}

/** The snapshots of an AMI that was deregistered go where they are free to; else they are told, with the new AMI. */
async function releaseReplaced(
  place: Place,
  replaced: readonly Snapshot[],
  { images, isFree, notes }: Readonly<{ images: readonly Image[]; isFree: (one: Snapshot) => boolean; notes: Notes }>,
): Promise<void> {
  const where = placeName(place);
  const { free = [], left = [] } = Object.groupBy(replaced, (one) => (isFree(one) ? 'free' : 'left'));
  await deleteAll(place, idsOf(free), notes);
  for (const [until, ids] of Map.groupBy(left, untilOf)) {
    const made = images.map(({ ImageId }) => `, with ${ImageId}, which replaces it`).join('');
    notes.failed.push({
      what: `${idsOf(ids).join(', ')} in ${where} stay, of an AMI that was deregistered${made}: ${until}`,
    });
  }
}

function untilOf(snapshot: Snapshot): string {
  const by = replacedByOf(snapshot);
  return by === undefined ? '' : staysUntil(by);
}

/** Deletes snapshots; one that can't be is told, and hides none of the others. */
async function deleteAll(place: Place, ids: readonly string[], notes: Notes): Promise<void> {
  const where = placeName(place);
  const gone = await deleteEach(place, ids, (id, error) => {
    notes.failed.push({ what: `Deleting ${id} in ${where}: ${errorMessage(error)}` });
  });
  if (gone.length > 0) notes.done.push(`deleted ${gone.join(', ')} in ${where}`);
}

/** Deletes copies that no AMI has; those that go on after a time-out are marked for a run that takes them over. */
async function releaseCopies(
  place: Place,
  copies: readonly Snapshot[],
  { keepPending, notes }: Readonly<{ keepPending: boolean; notes: Notes }>,
): Promise<void> {
  const where = placeName(place);
  const users = await imagesWith(place, idsOf(copies));
  const usersOfOne = ({ SnapshotId = '' }: Snapshot) =>
    users.filter((user) => snapshotIdsOf(user).includes(SnapshotId));
  const loose = copies.filter((copy) => usersOfOne(copy).length === 0);
  const going = keepPending ? loose.filter(({ State }) => State === 'pending' || State === 'completed') : [];
  const Tags = [{ Key: tagKeys.lease, Value: endedLease }];
  // What was deleted a moment ago may still be found.
  const there = await withThoseThere(idsOf(going), async (Resources) => {
    await place.ec2(new CreateTagsCommand({ Resources, Tags }));
    return Resources;
  });
  const kept = going.filter(({ SnapshotId = '' }) => there.includes(SnapshotId));
  if (kept.length > 0) {
    const far = kept.map(({ SnapshotId, Progress }) => `${SnapshotId} (${Progress || '0%'})`).join(', ');
    notes.goesOn.push(
      `${far} in ${where} go on being copied. What to do: run it again within a day, and it takes them over`,
    );
  }
  const useless = idsOf(loose.filter((one) => !going.includes(one)));
  await deleteAll(place, useless, notes);
  // A snapshot by CopyImage that is in another image than the one it was made with is somebody else's by now.
  const isFinished = (copy: Snapshot) => usersOfOne(copy).some((user) => mayBePartOf(copy, user));
  await untagFinished(place, idsOf(copies.filter(isFinished)));
}

/** Takes the lease off what is finished. Where that isn't allowed, it stays, as a warning told when it was finished. */
async function untagFinished(place: Place, Resources: string[]): Promise<void> {
  try {
    await withThoseThere(Resources, async (some) => {
      await place.ec2(new DeleteTagsCommand({ Resources: some, Tags: [{ Key: tagKeys.lease }] }));
      return some;
    });
  } catch (error) {
    if (!isDenied(error)) throw error;
  }
}
