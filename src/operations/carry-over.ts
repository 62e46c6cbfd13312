import {
  type Image,
  type InstanceTypeSpecification,
  ModifyImageAttributeCommand,
  ReplaceImageInstanceTypeSpecificationCommand,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages } from '../aws/describe.ts';
import { isDenied, placeName, StepError } from '../aws/errors.ts';
import { instanceTypesOf } from '../image.ts';
import { onceSeen, patiently } from './patiently.ts';

/**
 * Gives an AMI what registering doesn't take, or what AWS doesn't say that copying keeps of `source`: the list of instance
 * types, and that instances take IMDSv2 alone. Gives the image as it is then.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceImageInstanceTypeSpecification.html
 * @throws StepError
 */
export async function carryOver(place: Place, source: Image, image: Image): Promise<Image> {
  const { ImageId = '' } = image;
  const steps: [what: string, needed: boolean, act: () => Promise<unknown>][] = [
    [
      'Setting the instance types',
      instanceTypesOf(image) !== instanceTypesOf(source),
      () => patiently(place, () => place.ec2(instanceTypesCommand(ImageId, source))),
    ],
    [
      'Setting IMDSv2',
      lacksImds(source, image),
      // Where that isn't allowed, verification names the difference.
      () => patiently(place, () => place.ec2(imdsCommand(ImageId))).catch(unlessDenied),
    ],
  ];
  const due = steps.filter(([, needed]) => needed);
  for (const [what, , act] of due) {
    try {
      await onceSeen(place, act);
    } catch (error) {
      throw new StepError(`${what} of ${ImageId} in ${placeName(place)}`, error);
    }
  }
  const [changed] = due.length === 0 ? [] : await describeImages(place, [ImageId]);
  return changed ?? image;
}

function lacksImds(source: Image, image: Image): boolean {
  return source.ImdsSupport === 'v2.0' && image.ImdsSupport !== 'v2.0';
}

/**
 * Sees that what a pending copy lacks can be set once it is there: else hours of copying would be in vain. Whether AWS copies
 * that instances take IMDSv2 alone, it says nowhere; so this is asked only where the copy shows that it doesn't.
 * @throws StepError where setting it is denied, and stays so
 */
export async function askToCarryOver(place: Place, source: Image, copy: Image): Promise<void> {
  if (!lacksImds(source, copy)) return;
  const { ImageId = '' } = copy;
  const command = imdsCommand(ImageId);
  command.input.DryRun = true;
  try {
    await patiently(place, () => place.ec2(command));
  } catch (error) {
    if (!isDenied(error)) return;
    // A copy's attributes may be shown late.
    const [now] = await describeImages(place, [ImageId]).catch(() => []);
    if (now === undefined || !lacksImds(source, now)) return;
    const what = `${ImageId} in ${placeName(place)}, a copy that does not have instances take IMDSv2 alone`;
    throw new StepError(`Asking whether that can be set on ${what}`, error);
  }
}

function unlessDenied(error: unknown): void {
  if (!isDenied(error)) throw error;
}

/** Has instances of an image take IMDSv2 only. */
export function imdsCommand(ImageId: string): ModifyImageAttributeCommand {
  return new ModifyImageAttributeCommand({ ImageId, ImdsSupport: { Value: 'v2.0' } });
}

/** Has an image be for the instance types that the source is for. */
export function instanceTypesCommand(ImageId: string, { InstanceTypeSpecification: specification }: Image) {
  const names = (types: InstanceTypeSpecification['SupportedInstanceTypes']) =>
    types?.flatMap(({ InstanceType }) => InstanceType ?? []);
  return new ReplaceImageInstanceTypeSpecificationCommand({
    ImageId,
    InstanceTypeSpecification: {
      SupportedInstanceTypes: names(specification?.SupportedInstanceTypes),
      UnsupportedInstanceTypes: names(specification?.UnsupportedInstanceTypes),
    },
  });
}
