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
      source.ImdsSupport === 'v2.0' && image.ImdsSupport !== 'v2.0',
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
