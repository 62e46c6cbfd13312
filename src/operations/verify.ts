import { DescribeImageAttributeCommand, type Image } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages, describeSnapshots } from '../aws/describe.ts';
import { errorMessage, isDenied, placeName, StepError } from '../aws/errors.ts';
import {
  type Difference,
  describedAs,
  differenceText,
  extrasDifferences,
  instanceTypesOf,
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
import { type Asking, asksForUsers, dryRun, type Question } from './question.ts';
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
    const snapshots = made.snapshots ?? (await describeSnapshots(place, snapshotIdsOf(image)));
    await compare(run, place, { image, snapshots, expected });
    run.log.line(placeName(place), `${image.ImageId} is available and verified`);
    return { id: image.ImageId ?? '', image, snapshots };
  } catch (error) {
    // Told to stop, the run knows nothing against it: a later one compares it again.
    if (!place.signal.aborted)
      await removeOwn(run, place, image).catch((failure: unknown) =>
        run.leave(`${image.ImageId} in ${placeName(place)}, which differs: ${errorMessage(failure)}`),
      );
    throw error;
  }
}

const withoutImds =
  'should AWS not copy that the AMI takes IMDSv2 only, it cannot be set, and the AMI is removed again';

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

/** Removes the image unless another run has taken it over meanwhile. */
async function removeOwn({ leaseId }: Run, place: Place, image: Image): Promise<void> {
  const [seen] = await describeImages(place, [image.ImageId ?? '']);
  const holder = seen && tagValue(seen, tagKeys.lease);
  if (holder === undefined || holder === leaseId) await removeImage(place, image);
}

type Made = Readonly<{ image: Image; snapshots: NonNullable<Result['snapshots']>; expected: Expected }>;

/** @throws StepError that names every difference */
export async function compare(run: Run, place: Place, { image, snapshots, expected }: Made): Promise<void> {
  const found = [
    ...differencesOf(run, place, { image, snapshots, key: expected.key }),
    ...(await uefiDifferences(run, place, image)),
    ...descriptionDifferences(expected, image),
    ...(await lackingTags(place, expected, image)),
  ];
  if (found.length === 0) return;
  throw new StepError(
    `Comparing ${image.ImageId} in ${placeName(place)} with ${run.source.imageId}`,
    new Error(found.map(differenceText).join('; ')),
  );
}

/** AWS doesn't say whether CopyImage keeps an image's UEFI variables; so they are read back. */
export async function uefiDifferences({ source, log }: Run, place: Place, image: Image): Promise<Difference[]> {
  if (source.extras.uefiData === undefined) return [];
  try {
    return extrasDifferences(source.extras, await readExtras(place, image));
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
    : [{ field: 'Description', source: description || 'none', target: here || 'not set', asked: true }];
}

/** Tags of a new image may be seen later than the image. */
const tagLooksSeconds = [0, 1, 3];

async function lackingTags(place: Place, { tags }: Expected, image: Image): Promise<Difference[]> {
  let lacking: Difference[] = [];
  for (const seconds of tagLooksSeconds) {
    if (seconds > 0) await place.sleep(seconds * 1000);
    const [seen] = seconds === 0 ? [image] : await describeImages(place, [image.ImageId ?? '']);
    lacking = tagDifferences(tags, seen ?? image);
    if (lacking.length === 0) break;
  }
  return lacking;
}
