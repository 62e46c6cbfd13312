import {
  DescribeImageAttributeCommand,
  DescribeSnapshotAttributeCommand,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
  type Tag,
} from '@aws-sdk/client-ec2';
import type { Place } from './clients.ts';
import { describeImages, describeSnapshots } from './describe.ts';

/*
 * A snapshot is shared by createVolumePermission, an image by launchPermission; both are lists of accounts. The
 * resource's ID tells which it is.
 */

/** Accounts in one request: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html */
const accountsPerCall = 500;

const isImage = (id: string): boolean => id.startsWith('ami-');

/** The accounts that a snapshot or an image is shared with. */
export async function readShares(place: Place, id: string): Promise<Set<string>> {
  const permissions = isImage(id)
    ? (await place.ec2(new DescribeImageAttributeCommand({ ImageId: id, Attribute: 'launchPermission' })))
        .LaunchPermissions
    : (await place.ec2(new DescribeSnapshotAttributeCommand({ SnapshotId: id, Attribute: 'createVolumePermission' })))
        .CreateVolumePermissions;
  return new Set((permissions ?? []).flatMap(({ UserId }) => UserId ?? []));
}

/** Adds accounts to those that a snapshot or an image is shared with, or removes them. Doing it again changes nothing. */
export async function changeShares(
  place: Place,
  id: string,
  change: Readonly<{ Add: readonly string[] } | { Remove: readonly string[] }>,
): Promise<void> {
  const [kind, accounts] = 'Add' in change ? (['Add', change.Add] as const) : (['Remove', change.Remove] as const);
  for (let start = 0; start < accounts.length; start += accountsPerCall) {
    const users = { [kind]: accounts.slice(start, start + accountsPerCall).map((UserId) => ({ UserId })) };
    await (isImage(id)
      ? place.ec2(new ModifyImageAttributeCommand({ ImageId: id, LaunchPermission: users }))
      : place.ec2(
          new ModifySnapshotAttributeCommand({
            SnapshotId: id,
            Attribute: 'createVolumePermission',
            CreateVolumePermission: users,
          }),
        ));
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
