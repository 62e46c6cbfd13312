import { describeImages } from '../aws/describe.ts';
import { placeName, StepError } from '../aws/errors.ts';
import type { Result } from '../outcome.ts';
import { failureOf, hasFailed } from '../plan/boot.ts';
import type { Scope } from '../run.ts';

/**
 * Ends what would have an AMI published that another run has seen fail since this one began: one that is used again is
 * looked at once more, unless this run has seen it boot. @throws StepError
 */
export async function refuseFailed({ place }: Scope, { id = '', reused, cameUp }: Result): Promise<void> {
  if (reused !== true || cameUp === true) return;
  const doing = `Looking again at ${id} in ${placeName(place)}`;
  const [image] = await describeImages(place, [id]).catch((error: unknown) => {
    throw new StepError(doing, error);
  });
  if (image === undefined || !hasFailed(image)) return;
  const { what, remedy } = failureOf(image);
  throw new StepError(doing, new Error(what), remedy);
}
