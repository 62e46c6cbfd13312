import type { Instance } from '@aws-sdk/client-ec2';
import { statement } from '../aws/denial.ts';
import { errorCode, errorMessage, explain } from '../aws/errors.ts';

/* What came of launching an AMI, by what AWS says of it. */

/**
 * `up`: it came up. `failed`: it didn't, and the AMI, or its key, is why. `elsewhere`: it could not be launched here, or
 * like this, which says nothing against the AMI; another try may do. `never`: nor will any other.
 */
export type Verdict = Readonly<
  | { is: 'up' }
  | { is: 'failed'; why: string; byKey: boolean }
  | { is: 'elsewhere' | 'never'; why: string; remedy?: string | undefined }
>;

/**
 * What another subnet, zone or type may mend: capacity, quotas, addresses, what a zone doesn't have.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
 */
const passing =
  /^(Insufficient\w*|Unsupported\w*|\w*LimitExceeded|InvalidSubnet.*|VolumeTypeNotAvailable\w*|.*Capacity\w*)$/;

/** Of another type AWS may say otherwise, as where one is "not eligible for Free Tier": https://github.com/aws/karpenter-provider-aws/pull/9004 */
const ofType = /\binstance types?\b/i;

/** The account's own standing: no try mends it. */
const standing = ['PendingVerification', 'OptInRequired', 'Blocked', 'UnauthorizedOperation'];

/**
 * Words for a key that can't be used, in a code, a message or a reason; EC2 has them in any of these, and older ones beside
 * the new: https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html
 */
const ofKey = /KMSKey|\bKMS\b|kms:|customer (?:master|managed) key|\bCMK\b|key ID is not accessible/;

/** What a launch that AWS refused says of the AMI. */
export function refusalVerdict(error: unknown): Verdict {
  const code = errorCode(error).replace(/^(Client|Server)\./, '');
  const why = errorMessage(error);
  if (ofKey.test(code) || (ofKey.test(why) && !standing.includes(code))) return { is: 'failed', why, byKey: true };
  if (/^Invalid(AMIID|Snapshot)/.test(code)) return { is: 'failed', why, byKey: false };
  const mayPass = passing.test(code) || (/^InvalidParameter/.test(code) && ofType.test(why));
  return mayPass ? { is: 'elsewhere', why } : neverBy(error);
}

/** What a call that failed, which no other launch mends, says of the test. */
export function neverBy(error: unknown): Verdict {
  const { message, remedy } = explain(error);
  return { is: 'never', why: message, remedy };
}

/** What an instance says of the AMI that has ended by itself, or was stopped. */
export function endVerdict({ StateReason, StateTransitionReason = '', State }: Instance): Verdict {
  const { Code = '', Message = '' } = StateReason ?? {};
  const words = [...new Set([Code, Message, StateTransitionReason])].filter((one) => one !== '');
  const told = words.filter((one) => !words.some((other) => other !== one && other.startsWith(one))).join('; ');
  const all = words.join(' ');
  const why = `the instance is ${State?.Name ?? 'gone'}: ${told === '' ? 'AWS says not why' : told}`;
  // A key that can't be used shows as an internal error of the client's:
  // https://repost.aws/knowledge-center/encrypted-volumes-ec2-auto-scaling
  if (/Client\.InternalError/.test(all) || ofKey.test(all)) return { is: 'failed', why, byKey: true };
  if (/Server\.|\w+LimitExceeded|InsufficientInstanceCapacity/.test(all)) return { is: 'elsewhere', why };
  if (/Client\.UserInitiatedShutdown|User initiated/.test(all))
    return { is: 'elsewhere', why: `somebody ended it: ${why}` };
  return { is: 'failed', why, byKey: false };
}

/**
 * What launching under a key takes of whoever launches.
 * https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
 */
export function keyRemedy(role: string, keyArn: string): string {
  const use = [
    'Decrypt',
    'DescribeKey',
    'GenerateDataKeyWithoutPlaintext',
    'ReEncryptFrom',
    'ReEncryptTo',
    'CreateGrant',
  ];
  const allowed = statement(
    use.map((operation) => `kms:${operation}`),
    [keyArn],
  );
  return `see that ${keyArn} is enabled and that ${role} may use it; add to its policy: ${allowed}, and to the policy of the key the same with "Resource":"*" and the role as its principal, unless that leaves it to IAM`;
}
