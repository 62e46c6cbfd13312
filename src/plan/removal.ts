import type { Image } from '@aws-sdk/client-ec2';
import { placeName, type Where } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import { tagKeys, tagValue } from '../tags.ts';
import type { Locks } from './facts.ts';
import { type Deregister, type Operation, told } from './operation.ts';

/**
 * Why AWS lets an AMI of ours not be deregistered, now or, where it `mayWait`, in some later run, or its snapshots not be deleted, and what ends that. It must be known
 * beforehand: the AMI goes first, and a locked snapshot would then be left without it.
 */
export function removalObstacle(
  image: Image,
  locks: Locks,
  { mayWait }: Readonly<{ mayWait: boolean }>,
): { why: string; remedy: string } | undefined {
  const { ImageId, DeregistrationProtection: protection = 'disabled' } = image;
  const isLiftable = isOwnProtection(image);
  // What has a cooldown goes a day later at best.
  const blocks = isLiftable ? protection !== 'enabled-without-cooldown' && !mayWait : protection !== 'disabled';
  if (blocks && !protection.startsWith('enabled'))
    return {
      why: `its protection from deregistration is lifted, and in its cooldown (${protection})`,
      remedy: 'wait until that is over, a day at most',
    };
  if (blocks)
    return {
      why: `it is protected from deregistration (${protection})`,
      remedy: `take the protection off: aws ec2 disable-image-deregistration-protection --image-id ${ImageId}`,
    };
  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/deregister-ami.html
  if (tagValue(image, 'aws:backup:source-resource') !== undefined)
    return {
      why: 'it is managed by AWS Backup, and EC2 deregisters no such AMI',
      remedy: `delete its recovery point in the backup vault`,
    };
  const lock = snapshotIdsOf(image).flatMap((id) => locks.get(id) ?? [])[0];
  if (lock === undefined) return undefined;
  const { SnapshotId, LockState, LockExpiresOn } = lock;
  const until = LockExpiresOn === undefined ? '' : ` until ${LockExpiresOn.toISOString()}`;
  return {
    why: `its snapshot ${SnapshotId} is locked (${LockState}${until})`,
    // https://docs.aws.amazon.com/ebs/latest/userguide/snapshot-lock-concepts.html
    remedy:
      LockState === 'compliance'
        ? 'wait until the lock expires: in compliance mode nobody can take it off'
        : `unlock it: aws ec2 unlock-snapshot --snapshot-id ${SnapshotId}`,
  };
}

type Removal = Pick<Operation, 'place' | 'after' | 'why'> &
  Readonly<{ island?: string; until?: string; extras?: Deregister['extras'] | undefined; report?: string | undefined }>;

/** An AMI that goes; all but one that only gives its name up with its snapshots. */
export function deregistering(
  image: Image,
  reason: Deregister['reason'],
  { extras, until, report, ...removal }: Removal,
): Operation {
  const id = image.ImageId ?? '';
  const of = [id, ...(reason === 'name' ? [] : snapshotIdsOf(image))];
  return {
    ...told({ ...removal, id: removalId(image, removal.place), of }),
    ...{ kind: 'deregister', image, reason, until, report, extras: extras ?? { uefiData: undefined } },
  };
}

/** Whether an AMI's protection is this action's own, and in force. */
export function isOwnProtection({ DeregistrationProtection = 'disabled', ...image }: Image): boolean {
  return DeregistrationProtection.startsWith('enabled') && tagValue(image, tagKeys.protection) !== undefined;
}

/** Names the operation that deregisters an AMI. */
export function removalId({ ImageId }: Image, place: Where): string {
  return `deregister ${ImageId} in ${placeName(place)}`;
}
