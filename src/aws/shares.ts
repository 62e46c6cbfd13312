import {
  DescribeImageAttributeCommand,
  DescribeSnapshotAttributeCommand,
  type DescribeSnapshotAttributeResult,
  type ImageAttribute,
  type LaunchPermission,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
  type Tag,
} from '@aws-sdk/client-ec2';
import { joined } from '../join.ts';
import { partsOf } from '../parts.ts';
import { type Ec2Command, type Place, sendEc2 } from './clients.ts';
import { describeImages, describeSnapshots } from './describe.ts';
import { isDenied } from './errors.ts';

/*
 * A snapshot is shared by createVolumePermission, an image by launchPermission; both are lists of accounts. The
 * resource's ID tells which it is.
 */

/** Accounts in one request: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html */
const accountsPerCall = 500;

const isImage = (id: string): boolean => id.startsWith('ami-');

const launchPermissionsQuery = (ImageId: string) =>
  new DescribeImageAttributeCommand({ ImageId, Attribute: 'launchPermission' });

/** Asks whom a snapshot or an image is shared with. */
export function sharesQuery(id: string): Ec2Command {
  return isImage(id)
    ? launchPermissionsQuery(id)
    : new DescribeSnapshotAttributeCommand({ SnapshotId: id, Attribute: 'createVolumePermission' });
}

/** Who may launch an image: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageAttribute.html */
export async function launchPermissionsOf({ ec2 }: Place, ImageId: string): Promise<LaunchPermission[]> {
  return (await ec2(launchPermissionsQuery(ImageId))).LaunchPermissions ?? [];
}

/** The accounts that a snapshot or an image is shared with. */
export async function readShares(place: Place, id: string): Promise<Set<string>> {
  const found: ImageAttribute & DescribeSnapshotAttributeResult = await sendEc2(place, sharesQuery(id));
  const permissions = found.LaunchPermissions ?? found.CreateVolumePermissions ?? [];
  return new Set(permissions.flatMap(({ UserId }) => UserId ?? []));
}

type ShareChange = Readonly<{ Add: readonly string[] } | { Remove: readonly string[] }>;

/** Shares a snapshot or an image with accounts, or takes that back. */
export function sharing(id: string, change: ShareChange): Ec2Command {
  const users = (accounts: readonly string[]) => accounts.map((UserId) => ({ UserId }));
  const permissions = 'Add' in change ? { Add: users(change.Add) } : { Remove: users(change.Remove) };
  return isImage(id)
    ? new ModifyImageAttributeCommand({ ImageId: id, LaunchPermission: permissions })
    : new ModifySnapshotAttributeCommand({
        ...{ SnapshotId: id, Attribute: 'createVolumePermission', CreateVolumePermission: permissions },
      });
}

/**
 * Adds accounts to those that a snapshot or an image is shared with, or removes them. Doing it again changes nothing.
 * A policy may limit whom a snapshot is shared with (ec2:Add/userId). That key has one value, so no statement on it need
 * fit a call that names several accounts: where such a call is denied, each account has a call of its own.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
 */
export async function changeShares(place: Place, id: string, change: ShareChange): Promise<void> {
  const accounts = 'Add' in change ? change.Add : change.Remove;
  const send = (some: readonly string[]) =>
    sendEc2(place, sharing(id, 'Add' in change ? { Add: some } : { Remove: some }));
  for (const some of partsOf(accounts, accountsPerCall)) {
    try {
      await send(some);
    } catch (error) {
      const [first = '', ...others] = some;
      if (others.length === 0 || !isDenied(error)) throw error;
      // A role that may not share at all is told by the first.
      await send([first]);
      await joined(others.map((account) => send([account])));
    }
  }
}

/** The tags of the snapshots and images of `ids` that are there. */
export async function readTags(place: Place, ids: readonly string[]): Promise<Map<string, readonly Tag[]>> {
  const [snapshots, images] = await Promise.all([
    describeSnapshots(
      place,
      ids.filter((id) => !isImage(id)),
    ),
    describeImages(place, ids.filter(isImage)),
  ]);
  return new Map([
    ...snapshots.map(({ SnapshotId, Tags }) => [SnapshotId ?? '', Tags ?? []] as const),
    ...images.map(({ ImageId, Tags }) => [ImageId ?? '', Tags ?? []] as const),
  ]);
}
