import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { describeImages } from '../aws/describe.ts';
import { isDenied, placeName, StepError } from '../aws/errors.ts';
import {
  type Difference,
  differences,
  differenceText,
  extrasDifferences,
  keyDifferences,
  tagDifferences,
} from '../image.ts';
import { allowancesOf } from '../plan/earlier.ts';
import type { Plan, TargetPlan } from '../plan/plan.ts';
import { readExtras } from '../plan/source.ts';
import type { Run } from '../run.ts';

/** Compares a target AMI with the source, attribute by attribute, and its snapshots' keys with the one asked for. @throws StepError */
export async function verify(
  run: Run,
  plan: Plan,
  targetPlan: TargetPlan,
  image: Image,
  snapshots: Iterable<Snapshot>,
): Promise<void> {
  const { target } = targetPlan;
  const found = [
    ...differences(plan.source.image, image, allowancesOf(run.request, plan.source, target.place)),
    ...descriptionDifferences(targetPlan, image),
    ...keyDifferences(target.kmsKeyArn, image, snapshots),
    ...(await uefiDifferences(run, plan, target.place, image)),
    ...(await lackingTags(targetPlan, image)),
  ];
  if (found.length === 0) return;
  const list = found.map(differenceText).join('; ');
  throw new StepError(
    `Comparing ${image.ImageId} in ${placeName(target.place)} with ${plan.source.image.ImageId}`,
    new Error(list),
  );
}

/** AWS doesn't say whether CopyImage keeps an image's UEFI variables; so they are read back. */
async function uefiDifferences(run: Run, { source }: Plan, place: TargetPlan['target']['place'], image: Image) {
  if (source.extras.uefiData === undefined) return [];
  try {
    return extrasDifferences(source.extras, await readExtras(place, image));
  } catch (error) {
    if (!isDenied(error)) throw error;
    run.log.warn(
      `${placeName(place)}: the UEFI variables of ${image.ImageId} were not compared, because the target role may not take ec2:DescribeImageAttribute`,
    );
    return [];
  }
}

function descriptionDifferences({ description = '', adopt }: TargetPlan, image: Image): Difference[] {
  const { Description: here = '' } = image;
  // What another run began was described by it.
  return adopt !== undefined || here === description
    ? []
    : [{ field: 'Description', source: description || 'none', target: here || 'not set', asked: true }];
}

/** Tags of a new image may be seen later than the image. */
const tagLooksSeconds = [0, 1, 3];

async function lackingTags({ target: { place }, tags }: TargetPlan, image: Image): Promise<Difference[]> {
  let lacking: Difference[] = [];
  for (const seconds of tagLooksSeconds) {
    await place.sleep(seconds * 1000);
    const [seen] = seconds === 0 ? [image] : await describeImages(place, [image.ImageId ?? '']);
    lacking = tagDifferences(tags, seen ?? image);
    if (lacking.length === 0) break;
  }
  return lacking;
}
