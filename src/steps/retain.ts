import type { Image } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { errorMessage, placeName } from '../aws/errors.ts';
import type { TargetPlan } from '../plan/plan.ts';
import { usersOf } from '../plan/publish.ts';
import type { Run } from '../run.ts';
import { removeImage } from './remove.ts';

/**
 * Deregisters what is beyond the newest of the lineage, and deletes its snapshots. An AMI that something uses stays, and so
 * does one that AWS lets not be removed; where it can't be told what uses them, all stay. A failure here isn't the target's: its AMI
 * is ready. Gives what was removed.
 */
export async function retain(run: Run, { target, retained }: TargetPlan): Promise<string[]> {
  if (retained === undefined) return [];
  const { place } = target;
  for (const { image, why } of retained.held) tell(run, place, `${nameOf(image)} stays: ${why}`);
  if (retained.remove.length === 0) return [];
  const removed: string[] = [];
  try {
    const users = await usersOf(
      place,
      retained.remove.map(({ ImageId }) => ImageId ?? ''),
      (what) => run.log.warn(`${placeName(place)}: ${what}`),
    );
    for (const image of retained.remove) {
      run.signal.throwIfAborted();
      const what = nameOf(image);
      const used = users.get(image.ImageId ?? '');
      if (used !== undefined) tell(run, place, `${what} stays: it is used by ${used.join(', ')}`);
      else if (await removeOne(run, place, image, what)) removed.push(what);
    }
  } catch (error) {
    run.log.warn(`${placeName(place)}: older AMIs stay, because what uses them is not known: ${errorMessage(error)}`);
  }
  return removed;
}

function nameOf({ ImageId, Name }: Image): string {
  return `${ImageId} (${Name})`;
}

function tell(run: Run, place: Place, what: string): void {
  run.log.line(placeName(place), what);
}

async function removeOne(run: Run, place: Place, image: Image, what: string): Promise<boolean> {
  try {
    await removeImage(place, image);
    tell(run, place, `removed ${what}, which retain leaves no room for`);
    return true;
  } catch (error) {
    // A lock that could not be read, a rule of the organization: AWS's words say which.
    run.log.warn(`${placeName(place)}: ${what} could not be removed: ${errorMessage(error)}`);
    return false;
  }
}
