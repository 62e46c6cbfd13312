import { createHash } from 'node:crypto';

/**
 * A client token of this run's own: the SDK would fill in a fresh one for every send, so that a repeated request made
 * a second copy. At most 64 ASCII characters: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
 */
export function clientToken(leaseId: string, ...parts: string[]): string {
  return createHash('sha256')
    .update([leaseId, ...parts].join(' '))
    .digest('hex');
}
