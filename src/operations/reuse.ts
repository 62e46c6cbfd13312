import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeSnapshots } from '../aws/describe.ts';
import { placeName, StepError } from '../aws/errors.ts';
import { differenceText, snapshotIdsOf } from '../image.ts';
import type { Result } from '../outcome.ts';
import { failureOf, hasFailed } from '../plan/boot.ts';
import { originDifferences, tieOfImage } from '../plan/evidence.ts';
import type { Reuse } from '../plan/operation.ts';
import { bootId } from '../plan/target-operations.ts';
import type { Run, Scope } from '../run.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { differencesOf } from './compare.ts';
import { uefiDifferences } from './verify.ts';

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
  const { snapshots, why } = await judge(run, place, { image: made, key: expected.key });
  if (why !== '')
    throw new StepError(
      `Using ${id} in ${where}, which another run made`,
      new Error(why),
      'choose another target-ami-name, or set on-existing to replace',
    );
  run.log.line(where, `${id} is available and right`);
  return { id, image: made, snapshots, reused: true };
}

/** Why an AMI that was made meanwhile isn't what this run would make, empty where it is; with its snapshots. */
export async function judge(
  run: Run,
  place: Place,
  { image, key }: Readonly<{ image: Image; key: string }>,
): Promise<{ snapshots: Snapshot[]; why: string }> {
  const snapshots = await describeSnapshots(place, snapshotIdsOf(image));
  const known = new Map(snapshots.map((snapshot) => [snapshot.SnapshotId ?? '', snapshot]));
  const tied = tieOfImage(image, { snapshots: known, parents: new Map() });
  if (tied.is === 'foreign') return { snapshots, why: tied.why };
  if (tagValue(image, tagKeys.sourceAmi) !== run.source.imageId)
    return { snapshots, why: `it is not of ${run.source.imageId}` };
  if (hasFailed(image) && run.operation(bootId(place)) === undefined) return { snapshots, why: failureOf(image).what };
  const found = [
    ...differencesOf(run, place, { image, snapshots, key }),
    // Of what a run has made itself, it knows the copies by their IDs.
    ...originDifferences(run.source.image, image, snapshots),
    ...(await uefiDifferences(run, place, image)),
  ];
  return { snapshots, why: found.length === 0 ? '' : `it differs: ${found.map(differenceText).join('; ')}` };
}
