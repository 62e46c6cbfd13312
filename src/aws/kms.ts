import type { GrantOperation } from '@aws-sdk/client-kms';

/**
 * What copying a snapshot out of another account takes on its key, and no more: the data key is decrypted, and EBS
 * gets a grant of its own to do so. https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
 */
export const keyOperations = [
  'DescribeKey',
  'Decrypt',
  'ReEncryptFrom',
  'CreateGrant',
] as const satisfies readonly GrantOperation[];

/** Keys never leave their region, and an ARN names it. */
export function regionOfKey(keyArn: string): string {
  return keyArn.split(':')[3] ?? '';
}
