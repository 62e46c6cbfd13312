import { DescribeImageAttributeCommand, type Image, type Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages, describeSnapshots } from '../aws/describe.ts';
import { AwsCallError, errorMessage, isDenied, isRead, isTransient, placeName, StepError } from '../aws/errors.ts';
import { lookedFor } from '../aws/retry.ts';
import {
  type Difference,
  describedAs,
  differenceText,
  extrasDifferences,
  instanceTypesOf,
  isMissing,
  notSet,
  snapshotIdsOf,
  tagDifferences,
} from '../image.ts';
import { readExtras } from '../observe/source.ts';
import type { Result } from '../outcome.ts';
import type { Expected, Verify } from '../plan/operation.ts';
import type { Run, Scope } from '../run.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { carryOver, imdsCommand, instanceTypesCommand } from './carry-over.ts';
import { differencesOf } from './compare.ts';
import { onceSeen } from './patiently.ts';
import { type Asking, asksForUsers, dryRun, type Question } from './question.ts';
import { refuseRecalled } from './recalled.ts';
import { removeImage } from './remove.ts';
import { defaultEncryption } from './settings.ts';

/**
 * Completes what was made, and compares it with the source, attribute by attribute, and its snapshots' keys with the one
 * asked for. An AMI that came out otherwise than the source is nobody's to use, and goes again. @throws StepError
 */
export async function verify({ image: ref, expected }: Verify, scope: Scope): Promise<Result> {
  const { run, place } = scope;
  const made = 'madeBy' in ref ? scope.resultOf(ref.madeBy) : undefined;
  if (made?.image === undefined) throw new Error('there is no image to compare');
  if (made.reused) return made;
  let { image } = made;
  try {
    image = await carryOver(place, run.source.image, image);
    const verified = await compareAgain(run, place, { image, snapshots: made.snapshots, expected });
    await refuseRecalled(run);
    run.log.line(placeName(place), `${image.ImageId} is available and verified`);
    return { id: image.ImageId ?? '', ...verified };
  } catch (error) {
    // Told to stop, the run knows nothing against it: a later one compares it again.
    if (!place.signal.aborted) await (saysNothing(error) ? leave : removeOwn)(run, place, image);
    throw error;
  }
}

/** AWS doesn't show what should have told whether an AMI is right. */
class UnreadError extends Error {
  override name = 'UnreadError';
}

/** Whether a look failed, or a call of which nobody knows what became: that says nothing against an AMI. */
function saysNothing(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at instanceof UnreadError) return true;
    if (at instanceof AwsCallError) return isRead(at.action) || isTransient(at);
  }
  return false;
}

/** Leaves an AMI that could not be verified: a later run compares it, and uses it if it is right. */
async function leave(run: Run, place: Place, { ImageId = '' }: Image): Promise<void> {
  run.ledger.write({ finished: [...(run.ledger.state?.finished ?? []), ImageId] });
  run.log.warn(
    `${placeName(place)}: ${ImageId} stays, though it could not be verified: do not use it. A later run compares it, and uses it if it is right`,
  );
}

/** A difference is looked at again for a minute, and what is missing for five: AWS may show what was set only then. */
const looksSeconds = [0, 1, 2, 4, 8, 15, 30];
const missingLooksSeconds = [30, 30, 60, 60, 60];

/** The image and its snapshots once all is as it should be. @throws StepError that names every difference */
async function compareAgain(
  run: Run,
  place: Place,
  { image, snapshots, expected }: Omit<Made, 'snapshots'> & { snapshots: Made['snapshots'] | undefined },
): Promise<Pick<Made, 'image' | 'snapshots'>> {
  const doing = `Comparing ${image.ImageId} in ${placeName(place)} with ${run.source.imageId}`;
  let found: Difference[] | undefined;
  const look = async () => {
    // The first look is at what is known already.
    const isFirst = found === undefined;
    const [seen = image] = isFirst ? [image] : await describeImages(place, [image.ImageId ?? '']);
    const parts = (isFirst ? snapshots : undefined) ?? (await readParts(place, seen));
    found = await unlike(run, place, { image: seen, snapshots: parts, expected });
    return found.length === 0 ? { image: seen, snapshots: parts } : undefined;
  };
  try {
    const verified = await lookedFor(place, looksSeconds, look);
    if (verified !== undefined) return verified;
    const late = found?.every(isMissing) ? await lookedFor(place, missingLooksSeconds, look) : undefined;
    if (late !== undefined) return late;
  } catch (error) {
    throw place.signal.aborted ? error : new StepError(doing, error);
  }
  throw new StepError(doing, new Error((found ?? []).map(differenceText).join('; ')));
}

/** The snapshots of an image; those of a new one are seen late at times. */
async function readParts(place: Place, image: Image): Promise<Snapshot[]> {
  const ids = snapshotIdsOf(image);
  const look = async () => {
    const found = await describeSnapshots(place, ids);
    return found.length === ids.length ? found : undefined;
  };
  const found = await lookedFor(place, [...looksSeconds, ...missingLooksSeconds], look);
  if (found === undefined) throw new UnreadError(`not all of ${ids.join(', ')} are seen`);
  return found;
}

const withoutImds =
  "if AWS doesn't copy that the AMI requires IMDSv2, it cannot be set, and the copy is given up as soon as that shows";

export function asksToVerify({ image: ref, expected }: Verify, asking: Asking): Question[] {
  const { source } = asking;
  const isCopied = 'madeBy' in ref && asking.operation(ref.madeBy)?.kind === 'copy-image';
  const { image: ImageId } = asking.standIns;
  const without = 'the UEFI variables of the AMI are not compared';
  const uefi = new DescribeImageAttributeCommand({ ImageId, Attribute: 'uefiData' });
  return [
    ...(instanceTypesOf(source.image) === undefined ? [] : [dryRun(instanceTypesCommand(ImageId, source.image))]),
    ...(isCopied && source.image.ImdsSupport === 'v2.0' ? [dryRun(imdsCommand(ImageId), withoutImds)] : []),
    ...(source.extras.uefiData === undefined ? [] : [dryRun(uefi, without)]),
    ...defaultEncryption(source.image, expected.key),
    ...asksForUsers(asking),
  ];
}

/** Removes the image unless another run has taken it over meanwhile. That it can't be removed hides no cause. */
async function removeOwn(run: Run, place: Place, image: Image): Promise<void> {
  try {
    const [seen] = await describeImages(place, [image.ImageId ?? '']);
    const holder = seen && tagValue(seen, tagKeys.lease);
    if (holder === undefined || holder === run.leaseId) await removeImage(place, image, run.log.warn);
  } catch (failure) {
    run.leave(place, `${image.ImageId} in ${placeName(place)}, which differs: ${errorMessage(failure)}`);
  }
}

type Made = Readonly<{ image: Image; snapshots: NonNullable<Result['snapshots']>; expected: Expected }>;

/** In what an AMI isn't what it was to be. */
async function unlike(run: Run, place: Place, { image, snapshots, expected }: Made): Promise<Difference[]> {
  return [
    ...differencesOf(run, place, { image, snapshots, key: expected.key }),
    ...(await uefiDifferences(run, place, image)),
    ...descriptionDifferences(expected, image),
    ...tagDifferences(expected.tags, image),
  ];
}

/** AWS doesn't say whether CopyImage keeps an image's UEFI variables; so they are read back. */
export async function uefiDifferences({ source, log }: Run, place: Place, image: Image): Promise<Difference[]> {
  if (source.extras.uefiData === undefined) return [];
  try {
    return extrasDifferences(source.extras, await onceSeen(place, () => readExtras(place, image)));
  } catch (error) {
    if (!isDenied(error)) throw error;
    log.warn(
      `${placeName(place)}: the UEFI variables of ${image.ImageId} were not compared, because the target role is not allowed to call ec2:DescribeImageAttribute`,
    );
    return [];
  }
}

function descriptionDifferences({ description }: Expected, image: Image): Difference[] {
  const here = describedAs(image) ?? '';
  return description === undefined || here === description || image.Description === description
    ? []
    : [{ field: 'Description', source: description || 'none', target: here || notSet, asked: true }];
}
