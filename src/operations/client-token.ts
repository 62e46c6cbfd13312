import { sha256 } from '../sha256.ts';

/**
 * A client token of this run's own: the SDK would fill in a fresh one for every send, so that a repeated request made
 * a second copy. At most 64 ASCII characters: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
 */
export function clientToken(leaseId: string, ...parts: string[]): string {
  return sha256([leaseId, ...parts].join(' '));
}
