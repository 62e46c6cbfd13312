import type { Image } from '@aws-sdk/client-ec2';
import { placeName, type Where } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import type { Request } from '../inputs.ts';
import { tagKeys, tagValue } from '../tags.ts';
import type { Locks } from './facts.ts';
import { type Deregister, type Operation, told } from './operation.ts';

/**
 * Why AWS lets an AMI of ours not be deregistered, now or, where it `mayWait`, in some later run, or its snapshots not be
 * deleted, and what ends that in its region. It must be known beforehand: the AMI goes first, and a locked snapshot would
 * then be left without it.
 */
export function removalObstacle(
  image: Image,
  locks: Locks,
  { mayWait, mayLift = true }: Readonly<{ mayWait: boolean; mayLift?: boolean }>,
): { why: string; remedy(region: string): string } | undefined {
  const { ImageId, DeregistrationProtection: protection = 'disabled' } = image;
  const isLiftable = mayLift && isOwnProtection(image);
  // What has a cooldown goes a day later at best.
  const blocks = isLiftable ? protection !== 'enabled-without-cooldown' && !mayWait : protection !== 'disabled';
  if (blocks && !protection.startsWith('enabled'))
    return {
      why: `its protection from deregistration is lifted, and in its cooldown (${protection})`,
      remedy: () => 'wait until that is over, a day at most',
    };
  if (blocks)
    return {
      why: `it is protected from deregistration (${protection})`,
      remedy: (region) =>
        `take the protection off: aws ec2 disable-image-deregistration-protection --region ${region} --image-id ${ImageId}`,
    };
  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/deregister-ami.html
  if (tagValue(image, 'aws:backup:source-resource') !== undefined)
    return {
      why: 'it is managed by AWS Backup, and EC2 deregisters no such AMI',
      remedy: () => 'delete its recovery point in the backup vault',
    };
  const lock = snapshotIdsOf(image).flatMap((id) => locks.get(id) ?? [])[0];
  if (lock === undefined) return undefined;
  const { SnapshotId, LockState, LockExpiresOn } = lock;
  const until = LockExpiresOn === undefined ? '' : ` until ${LockExpiresOn.toISOString()}`;
  return {
    why: `its snapshot ${SnapshotId} is locked (${LockState}${until})`,
    // https://docs.aws.amazon.com/ebs/latest/userguide/snapshot-lock-concepts.html
    remedy: (region) =>
      LockState === 'compliance'
        ? 'wait until the lock expires: in compliance mode nobody can take it off'
        : `unlock it: aws ec2 unlock-snapshot --region ${region} --snapshot-id ${SnapshotId}`,
  };
}

type Removal = Pick<Operation, 'place' | 'after' | 'why'> &
  Readonly<{
    island?: string;
    until?: string;
    extras?: Deregister['extras'] | undefined;
    report?: string | undefined;
    /** Whether its protection may be lifted, where it is this action's. */
    mayLift?: boolean;
  }>;

/** An AMI that goes; all but one that only gives its name up with its snapshots. */
export function deregistering(
  image: Image,
  reason: Deregister['reason'],
  { extras, until, report, mayLift = false, ...removal }: Removal,
): Operation {
  const id = image.ImageId ?? '';
  const of = [id, ...(reason === 'name' ? [] : snapshotIdsOf(image))];
  return {
    ...told({ ...removal, id: removalId(image, removal.place), of }),
    ...{ kind: 'deregister', image, reason, until, report, extras: extras ?? { uefiData: undefined } },
    lifts: mayLift && isOwnProtection(image),
  };
}

/** What AWS tells of the protections that are asked for: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html */
export const protectionStates = {
  off: 'disabled',
  on: 'enabled-without-cooldown',
  'on-with-cooldown': 'enabled-with-cooldown',
} as const;

/**
 * Whether an AMI's protection is in force, and the one that its tag says is this action's. AWS keeps no more of whose it is. So
 * a share lifts it only where its own inputs ask for protection: then those who run it have the action see to that.
 */
export function isOwnProtection({ DeregistrationProtection = 'disabled', ...image }: Image): boolean {
  const mark = tagValue(image, tagKeys.protection);
  return (mark === 'on' || mark === 'on-with-cooldown') && protectionStates[mark] === DeregistrationProtection;
}

/** Whether a share may lift protections that are its own. */
export function mayLift({ publication }: Pick<Request, 'publication'>): boolean {
  return publication.deregistrationProtection !== 'off';
}

/** Names the operation that deregisters an AMI. */
export function removalId({ ImageId }: Image, place: Where): string {
  return `deregister ${ImageId} in ${placeName(place)}`;
}
