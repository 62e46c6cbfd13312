import { describeImages } from '../aws/describe.ts';
import { placeName, StepError } from '../aws/errors.ts';
import { recallOf } from '../plan/recalled.ts';
import type { Run } from '../run.ts';

/** Targets that are ready at about the same time take one look. */
const freshMs = 5000;
const looks = new WeakMap<Run, { at: number; look: Promise<void> }>();

/**
 * Ends what would have an AMI used whose source was recalled since the run began: copies take long, and a recall finds none
 * that isn't there yet. @throws StepError that says why it was recalled
 */
export function refuseRecalled(run: Run): Promise<void> {
  const now = run.host.clock.now();
  const known = looks.get(run);
  if (known !== undefined && now - known.at < freshMs) return known.look;
  const look = lookAgain(run);
  looks.set(run, { at: now, look });
  return look;
}

async function lookAgain({ accounts, source, signal }: Run): Promise<void> {
  const place = accounts.source(source.place.region).until(signal);
  const doing = `Looking again at ${source.imageId} in ${placeName(place)}`;
  const [image] = await describeImages(place, [source.imageId]).catch((error: unknown) => {
    throw new StepError(doing, error);
  });
  const recalled = image && recallOf(image);
  if (recalled !== undefined) throw new StepError(doing, new Error(recalled.what), recalled.remedy);
}
