import type { Image } from '@aws-sdk/client-ec2';
import type { Problem } from '../alike.ts';
import { describeImages } from '../aws/describe.ts';
import { placeName, StepError } from '../aws/errors.ts';
import { lookedFor } from '../aws/retry.ts';
import type { Result } from '../outcome.ts';
import { failureOf, hasFailed } from '../plan/boot.ts';
import { recallOf } from '../plan/recalled.ts';
import type { Scope } from '../run.ts';

/** What another run has just made may not be seen yet. */
const looksSeconds = [0, 2, 4];

/**
 * Ends what would have an AMI published that another run has removed, recalled or seen fail since this one began: one that is
 * used again is looked at once more. @throws StepError
 */
export async function refuseUnfit({ place }: Scope, { id = '', reused, cameUp }: Result): Promise<void> {
  if (reused !== true) return;
  const doing = `Looking again at ${id} in ${placeName(place)}`;
  const look = async () => (await describeImages(place, [id]))[0];
  const image = await lookedFor(place, looksSeconds, look).catch((error: unknown) => {
    throw new StepError(doing, error);
  });
  const unfit = whyUnfit(id, image, cameUp === true);
  if (unfit !== undefined) throw new StepError(doing, new Error(unfit.what), unfit.remedy);
}

function whyUnfit(id: string, image: Image | undefined, cameUp: boolean): Omit<Problem, 'where'> | undefined {
  if (image === undefined || image.State === 'deregistered')
    return { what: `${id} was deregistered since this run began`, remedy: 'run it again, and it makes the AMI anew' };
  const recalled = recallOf(image);
  if (recalled !== undefined) return recalled;
  if (image.State === 'disabled')
    return {
      what: `${id} was disabled since this run began`,
      remedy: `enable it (aws ec2 enable-image --image-id ${id}), or share another AMI`,
    };
  return hasFailed(image) && !cameUp ? failureOf(image) : undefined;
}
