import {
  type Image,
  type InstanceTypeSpecification,
  ReplaceImageInstanceTypeSpecificationCommand,
} from '@aws-sdk/client-ec2';
import { describeImages } from '../aws/describe.ts';
import { placeName, StepError } from '../aws/errors.ts';
import { instanceTypesOf } from '../image.ts';
import type { Plan, TargetPlan } from '../plan/plan.ts';

/**
 * Gives the target AMI the source's list of instance types, which registering doesn't take and AWS doesn't say that
 * copying keeps. Gives the image as it is then.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceImageInstanceTypeSpecification.html
 * @throws StepError
 */
export async function allowInstanceTypes(plan: Plan, { target: { place } }: TargetPlan, image: Image): Promise<Image> {
  const { InstanceTypeSpecification } = plan.source.image;
  if (instanceTypesOf(image) === instanceTypesOf(plan.source.image)) return image;
  try {
    await place.ec2(
      new ReplaceImageInstanceTypeSpecificationCommand({
        ImageId: image.ImageId,
        InstanceTypeSpecification: {
          SupportedInstanceTypes: namesOf(InstanceTypeSpecification?.SupportedInstanceTypes),
          UnsupportedInstanceTypes: namesOf(InstanceTypeSpecification?.UnsupportedInstanceTypes),
        },
      }),
    );
    const [changed] = await describeImages(place, [image.ImageId ?? '']);
    return changed ?? image;
  } catch (error) {
    throw new StepError(`Setting the instance types of ${image.ImageId} in ${placeName(place)}`, error);
  }
}

function namesOf(types: InstanceTypeSpecification['SupportedInstanceTypes']): string[] | undefined {
  return types?.flatMap(({ InstanceType }) => InstanceType ?? []);
}
