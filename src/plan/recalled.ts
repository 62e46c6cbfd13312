import type { Image } from '@aws-sdk/client-ec2';
import type { Problem } from '../alike.ts';
import { recalledTag, tagValue } from '../tags.ts';

/** Why an AMI that was recalled isn't shared, and what ends that; undefined of any other. */
export function recallOf(image: Image): Omit<Problem, 'where'> | undefined {
  const reason = tagValue(image, recalledTag);
  if (reason === undefined) return undefined;
  return {
    what: `${image.ImageId} was recalled: ${reason}`,
    remedy: 'share another AMI; or, if that is over, give it again by the action recall (restore: true)',
  };
}
