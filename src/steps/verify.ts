import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { placeName, StepError } from '../aws/errors.ts';
import { differences, keyDifferences } from '../image.ts';
import type { Plan, TargetPlan } from '../plan/plan.ts';

/** Compares a target AMI with the source, attribute by attribute, and its snapshots' keys with the one asked for. @throws StepError */
export function verify(plan: Plan, { target }: TargetPlan, image: Image, snapshots: Iterable<Snapshot>): void {
  const found = [...differences(plan.source.image, image), ...keyDifferences(target.kmsKeyArn, image, snapshots)];
  if (found.length === 0) return;
  const list = found
    .map(({ field, source, target }) => `${field} is ${target}, but ${source} in the source`)
    .join('; ');
  throw new StepError(
    `Comparing ${image.ImageId} in ${placeName(target.place)} with ${plan.source.image.ImageId}`,
    new Error(list),
  );
}
