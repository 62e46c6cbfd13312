import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { isDenied, placeName, StepError } from '../aws/errors.ts';
import { differences, keyDifferences } from '../image.ts';
import type { Plan, TargetPlan } from '../plan/plan.ts';
import { readExtras } from '../plan/source.ts';
import type { Run } from '../run.ts';

/** Compares a target AMI with the source, attribute by attribute, and its snapshots' keys with the one asked for. @throws StepError */
export async function verify(
  run: Run,
  plan: Plan,
  { target }: TargetPlan,
  image: Image,
  snapshots: Iterable<Snapshot>,
): Promise<void> {
  const found = [
    ...differences(plan.source.image, image),
    ...keyDifferences(target.kmsKeyArn, image, snapshots),
    ...(await uefiDifferences(run, plan, target.place, image)),
  ];
  if (found.length === 0) return;
  const list = found
    .map(({ field, source, target }) => `${field} is ${target}, but ${source} in the source`)
    .join('; ');
  throw new StepError(
    `Comparing ${image.ImageId} in ${placeName(target.place)} with ${plan.source.image.ImageId}`,
    new Error(list),
  );
}

/** AWS doesn't say whether CopyImage keeps an image's UEFI variables; so they are read back. */
async function uefiDifferences(run: Run, { source }: Plan, place: TargetPlan['target']['place'], image: Image) {
  const there = source.extras.uefiData;
  if (there === undefined) return [];
  try {
    const { uefiData: here } = await readExtras(place, image);
    // They are long and unreadable, so only the fact is told.
    return here === there
      ? []
      : [{ field: 'UefiData', source: 'of its own', target: here === undefined ? 'not set' : 'another' }];
  } catch (error) {
    if (!isDenied(error)) throw error;
    run.log.warn(
      `${placeName(place)}: the UEFI variables of ${image.ImageId} were not compared, because the target role may not take ec2:DescribeImageAttribute`,
    );
    return [];
  }
}
