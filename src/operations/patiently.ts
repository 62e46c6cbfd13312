import type { Place } from '../aws/clients.ts';
import { unseenMs } from '../aws/describe.ts';
import { hasCode, isDenied, isUnseen } from '../aws/errors.ts';
import { retried } from '../aws/retry.ts';

/**
 * What is done to a resource of ours is tried again for so long: policies go by its tags, which come into force late after a
 * tagged creation (https://github.com/hashicorp/packer/issues/8591), and an image that was deregistered may still seem to use
 * its snapshots (https://github.com/boto/boto3/issues/3019).
 */
const patienceMs = 120_000;

/** The result of `act` on what this run has made, which AWS may not see yet. @throws AWS's last refusal */
export function onceSeen<T>(place: Place, act: () => Promise<T>): Promise<T> {
  return retried({ place, on: isUnseen, forMs: unseenMs, wait: (count) => Math.min(500 * count, 10_000) }, act);
}

/** The result of `act`, which is tried again while AWS's refusal may pass. @throws AWS's last refusal */
export function patiently<T>(place: Place, act: () => Promise<T>): Promise<T> {
  const on = (error: unknown) => isDenied(error) || hasCode(error, 'InvalidSnapshot.InUse');
  return retried({ place, on, forMs: patienceMs, wait: (count) => Math.min(500 * 2 ** (count - 1), 10_000) }, act);
}
