import { hasForm, isWellFormed } from '../ids.ts';
import { Refusal } from '../refusal.ts';
import { findSnapshot, isOver, type SimImage, type SimSnapshot } from '../world.ts';
import { deletedLate, type Ec2Call } from './call.ts';
import { advance } from './copy.ts';

/*
 * What a snapshot is, to those that have it.
 */

/** Whether it can be a snapshot's ID; one of a snapshot that is there can, whatever it looks like. */
export function isSnapshotId(call: Ec2Call, id: string, region = call.region): boolean {
  return (
    hasForm('snap', id) &&
    (!call.rules.structuredIds || isWellFormed(id) || findSnapshot(call.world, region, id) !== undefined)
  );
}

/** @throws Refusal as recorded: other words for what has not the form of an ID than for what has no inner structure */
export function requireSnapshotId(call: Ec2Call, id: string): void {
  if (isSnapshotId(call, id)) return;
  if (hasForm('snap', id)) throw new Refusal('InvalidSnapshotID.Malformed', `Invalid id: "${id}"`);
  throw new Refusal(
    'InvalidParameterValue',
    `Value (${id}) for parameter snapshotId is invalid. Expected: 'snap-...'.`,
  );
}

export function snapshotNotFound(id: string): Refusal {
  return new Refusal('InvalidSnapshot.NotFound', `The snapshot '${id}' does not exist.`);
}

/** A snapshot of the caller's own that can be seen by now. */
export function ownSnapshot(call: Ec2Call, id: string): SimSnapshot {
  const snapshot = call.here.snapshots.get(id) ?? deletedLate(call, id);
  const now = call.world.clock.now();
  if (snapshot === undefined || snapshot.visibleAt > now) throw snapshotNotFound(id);
  return advance(snapshot, now);
}

/** The images that a snapshot is part of, or was until a while ago. */
export function usersOf({ here, timings, world }: Ec2Call, id: string): SimImage[] {
  const now = world.clock.now();
  return [...here.images.values()].filter(
    ({ data, deregisteredAt }) =>
      !isOver(deregisteredAt, timings.freedAfterSeconds, now) &&
      data.BlockDeviceMappings.some(({ Ebs }) => Ebs?.SnapshotId === id),
  );
}

export function isLocked({ lock }: SimSnapshot): boolean {
  return lock !== undefined && lock !== 'expired';
}

/** Deletes a snapshot; what is left of it, its account may see or feel for a while. */
export function removeSnapshot({ here, world }: Ec2Call, snapshot: SimSnapshot): void {
  snapshot.deletedAt = world.clock.now();
  here.snapshots.delete(snapshot.data.SnapshotId);
  here.deletedSnapshots.set(snapshot.data.SnapshotId, snapshot);
}

/**
 * Deleted snapshots that are still described. One that was pending is deleted only when it completes:
 * https://docs.aws.amazon.com/ebs/latest/userguide/ebs-deleting-snapshot.html
 */
export function lingering({ here, timings, rules, world }: Ec2Call): SimSnapshot[] {
  const now = world.clock.now();
  return [...here.deletedSnapshots.values()].filter((snapshot) => {
    const { making, deletedAt } = advance(snapshot, now);
    return !isOver(deletedAt, timings.goneAfterSeconds, now) || (rules.deletesPendingLate && making !== undefined);
  });
}
