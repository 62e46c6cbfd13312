import { DeleteSnapshotCommand, DeregisterImageCommand, type Image } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages, describeSnapshots } from '../aws/describe.ts';
import { errorMessage, hasCode, isDenied, placeName } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import type { TargetPlan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { finish } from './register.ts';

/** Deregisters an image of ours and deletes its snapshots; what is gone already is no error. */
export async function removeImage(place: Place, image: Image): Promise<void> {
  await deregister(place, image);
  await Promise.all(snapshotIdsOf(image).map((id) => deleteSnapshot(place, id)));
}

/** Deregisters an image of ours; one that is gone already is no error. */
export async function deregister(place: Place, image: Image): Promise<void> {
  try {
    await place.ec2(new DeregisterImageCommand({ ImageId: image.ImageId }));
  } catch (error) {
    if (hasCode(error, 'InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable')) return;
    // What is gone has no tags any more, and policies deny what they go by: only a look tells.
    if (!isDenied(error) || (await isImageThere(place, image))) throw error;
  }
}

async function isImageThere(place: Place, { ImageId = '' }: Image): Promise<boolean> {
  const [image] = await describeImages(place, [ImageId]);
  return image !== undefined && image.State !== 'deregistered';
}

/** An image that was deregistered a moment ago may still seem to use its snapshots. */
const inUseTries = 5;

/** Deletes a snapshot of ours; one that is gone already is no error. */
export async function deleteSnapshot(place: Place, id: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await place.ec2(new DeleteSnapshotCommand({ SnapshotId: id }));
      return;
    } catch (error) {
      if (hasCode(error, 'InvalidSnapshot.NotFound')) return;
      if (isDenied(error) && (await describeSnapshots(place, [id])).length === 0) return;
      if (!hasCode(error, 'InvalidSnapshot.InUse') || tries === inUseTries) throw error;
      await place.sleep(500 * tries);
    }
  }
}

/** Removes what dead runs left in a target, and the leases that they left on what they had finished. */
export async function discard(run: Run, plan: TargetPlan): Promise<void> {
  const { place } = plan.target;
  await Promise.all([
    ...plan.discardImages.map((image) => removeImage(place, image)),
    ...plan.discard.map((id) => deleteSnapshot(place, id)),
  ]);
  await finish(run, plan, plan.untag);
  const gone = [...plan.discardImages.map(({ ImageId }) => ImageId ?? ''), ...plan.discard];
  if (gone.length > 0)
    run.log.line(placeName(place), `removed ${gone.join(', ')}, which an earlier run left half-made`);
}

/** Removes the AMIs that the new one replaces. The new one is there and right, so a failure here is not the target's. */
export async function replace(run: Run, plan: TargetPlan): Promise<void> {
  const { place } = plan.target;
  for (const image of plan.replace) {
    const what = `${image.ImageId} (${image.Name})`;
    try {
      await removeImage(place, image);
      run.log.line(placeName(place), `deregistered ${what}, which is replaced`);
    } catch (error) {
      run.leftBehind.push(`${what} in ${placeName(place)}, which is replaced: ${errorMessage(error)}`);
    }
  }
}
