import type { Image } from '@aws-sdk/client-ec2';
import { sha256 } from './sha256.ts';

/*
 * The encrypted copy in the source account has one name for one source AMI under one key. AMI names are unique in an
 * account and region, so the name is the lock: no two runs make two copies, and each finds the other's.
 */

const prefix = 'share-encrypted-ami/';

export function encryptedCopyName(imageId: string, kmsKeyArn: string): string {
  return `${prefix}${imageId}/${sha256(kmsKeyArn).slice(0, 12)}`;
}

/** Whether `image` has the name of an encrypted copy of the AMI `imageId`, under whatever key. */
export function isNamedEncryptedCopy({ Name = '' }: Image, imageId: string): boolean {
  return Name.startsWith(`${prefix}${imageId}/`);
}

/** Whether `image` is an encrypted copy that a run made on the way, rather than an AMI for anybody's use. */
export function isEncryptedCopy(image: Image): boolean {
  return image.Name?.startsWith(prefix) ?? false;
}
