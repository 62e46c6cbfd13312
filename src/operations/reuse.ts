import { describeSnapshots } from '../aws/describe.ts';
import { placeName, StepError } from '../aws/errors.ts';
import { differenceText, snapshotIdsOf } from '../image.ts';
import type { Result } from '../outcome.ts';
import type { Reuse } from '../plan/operation.ts';
import type { Scope } from '../run.ts';
import { differencesOf } from './compare.ts';
import { type Asking, asksForUsers, type Question } from './question.ts';
import { uefiDifferences } from './verify.ts';

/** With `retain`, what uses the older AMIs must be known. */
export function asksToReuse(_: Reuse, asking: Asking): Question[] {
  return asksForUsers(asking);
}

/** Uses an AMI that is there; one that was waited for is compared first, and refused if it came out otherwise. @throws StepError */
export async function reuse(
  { image, waits, expected, after }: Reuse,
  { run, place, resultOf }: Scope,
): Promise<Result> {
  const id = image.ImageId ?? '';
  const where = placeName(place);
  if (!waits) {
    run.log.line(where, `${id} is there already`);
    return { id, image, reused: true };
  }
  const made = resultOf(after[0] ?? '')?.image ?? image;
  const snapshots = await describeSnapshots(place, snapshotIdsOf(made));
  const found = [
    ...differencesOf(run, place, { image: made, snapshots, key: expected.key }),
    ...(await uefiDifferences(run, place, made)),
  ];
  if (found.length > 0)
    throw new StepError(
      `Using ${id} in ${where}, which another run made`,
      new Error(`it differs: ${found.map(differenceText).join('; ')}`),
      'choose another target-ami-name, or set on-existing to replace',
    );
  run.log.line(where, `${id} is available and right`);
  return { id, image: made, snapshots, reused: true };
}
