import type { Place } from '../aws/clients.ts';
import { errorMessage, placeName } from '../aws/errors.ts';
import type { TargetPlan } from '../plan/plan.ts';
import { usersOf } from '../plan/publish.ts';
import type { Run } from '../run.ts';
import { removeImage } from './remove.ts';

/**
 * Deregisters what is beyond the newest of the lineage, and deletes its snapshots. An AMI that something uses stays, and so
 * does one that is protected; where it can't be told what uses them, all stay. A failure here isn't the target's: its AMI
 * is ready. Gives what was removed.
 */
export async function retain(run: Run, { target, retained }: TargetPlan): Promise<string[]> {
  if (retained === undefined || retained.remove.length === 0) return [];
  const { place } = target;
  const removed: string[] = [];
  try {
    const users = await usersOf(
      place,
      retained.remove.map(({ ImageId }) => ImageId ?? ''),
      (what) => run.log.warn(`${placeName(place)}: ${what}`),
    );
    for (const image of retained.remove) {
      run.signal.throwIfAborted();
      const what = `${image.ImageId} (${image.Name})`;
      const used = users.get(image.ImageId ?? '');
      const protection = image.DeregistrationProtection ?? 'disabled';
      if (used !== undefined) tell(run, place, `${what} stays: it is used by ${used.join(', ')}`);
      else if (protection !== 'disabled')
        tell(run, place, `${what} stays: its deregistration protection is ${protection}`);
      else if (await removeOne(run, place, image, what)) removed.push(what);
    }
  } catch (error) {
    run.log.warn(`${placeName(place)}: older AMIs stay, because what uses them is not known: ${errorMessage(error)}`);
  }
  return removed;
}

function tell(run: Run, place: Place, what: string): void {
  run.log.line(placeName(place), what);
}

async function removeOne(
  run: Run,
  place: Place,
  image: Parameters<typeof removeImage>[1],
  what: string,
): Promise<boolean> {
  try {
    await removeImage(place, image);
    tell(run, place, `removed ${what}, which retain leaves no room for`);
    return true;
  } catch (error) {
    // A locked snapshot, a backup's AMI, a rule of the organization: AWS's words say which.
    run.log.warn(`${placeName(place)}: ${what} could not be removed: ${errorMessage(error)}`);
    return false;
  }
}
