import { DescribeSnapshotAttributeCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { isAbsent } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import { joined } from '../join.ts';
import type { Users } from '../plan/facts.ts';
import type { Copy } from './copies.ts';

/** What still runs on a recalled AMI, would launch it, or may read it: a record of the output `in-use`. */
export type InUse = Readonly<{
  account: string;
  region: string;
  amiId: string;
  by: string;
  /** What ends it, for a shell. */
  command: string;
}>;

/** What uses the AMIs of a target, each with the command that ends it. @throws AwsCallError */
export async function inUseOf(place: Place, copies: readonly Copy[], users: Users): Promise<InUse[]> {
  const { account, region } = place;
  const used = copies.flatMap(({ id }) =>
    (users.get(id) ?? []).map(({ by }) => ({
      account,
      region,
      amiId: id,
      by,
      command: commandFor(by, { id, region }),
    })),
  );
  const shared = await joined(copies.map((copy) => sharesOf(place, copy)));
  return [...used, ...shared.flat()];
}

/** The accounts that may read the snapshots of an AMI, and so make another of it. */
async function sharesOf(place: Place, { id, image }: Copy): Promise<InUse[]> {
  const { account, region } = place;
  const shares = await joined(
    snapshotIdsOf(image).map(async (SnapshotId): Promise<InUse[]> => {
      const command = new DescribeSnapshotAttributeCommand({ SnapshotId, Attribute: 'createVolumePermission' });
      const { CreateVolumePermissions = [] } = await place.ec2(command).catch((error: unknown) => {
        if (isAbsent(error)) return { CreateVolumePermissions: [] };
        throw error;
      });
      const names = CreateVolumePermissions.flatMap(({ UserId, Group }) => UserId ?? Group ?? []);
      if (names.length === 0) return [];
      const by = `${SnapshotId}, which is shared with ${names.join(', ')}`;
      const reset = `aws ec2 reset-snapshot-attribute --region ${region} --snapshot-id ${SnapshotId} --attribute createVolumePermission`;
      return [{ account, region, amiId: id, by, command: reset }];
    }),
  );
  return shares.flat();
}

/** One word for a shell, whatever somebody named a resource. */
function quoted(text: string): string {
  return /^[\w./:@=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** By what a user is called, as `usersOf` names it: the command that ends the use. */
const commands: readonly (readonly [RegExp, (name: string, at: Readonly<{ id: string }>) => string])[] = [
  [/^(i-[0-9a-f]+)$/, (name) => `ec2 terminate-instances --instance-ids ${name}`],
  [
    /^(lt-[0-9a-f]+)$/,
    (name) =>
      `ec2 create-launch-template-version --launch-template-id ${name} --source-version '$Latest' --launch-template-data ImageId=REPLACEMENT`,
  ],
  [
    /^the launch configuration (.+)$/,
    (name) => `autoscaling delete-launch-configuration --launch-configuration-name ${quoted(name)}`,
  ],
  [
    /^the Auto Scaling group (.+)$/,
    (name) => `autoscaling start-instance-refresh --auto-scaling-group-name ${quoted(name)}`,
  ],
  [
    /^arn:[^:]+:ssm:[^:]*:\d+:parameter(\/.+)$/,
    (name) => `ssm put-parameter --overwrite --name ${quoted(name)} --value REPLACEMENT`,
  ],
  [
    /^(arn:[^:]+:imagebuilder:.+:image-recipe\/.+)$/,
    (name) => `imagebuilder delete-image-recipe --image-recipe-arn ${quoted(name)}`,
  ],
  [
    /^(arn:[^:]+:imagebuilder:.+:container-recipe\/.+)$/,
    (name) => `imagebuilder delete-container-recipe --container-recipe-arn ${quoted(name)}`,
  ],
  [/^(others)/, (_, { id }) => `ec2 reset-image-attribute --image-id ${id} --attribute launchPermission`],
];

function commandFor(by: string, { id, region }: Readonly<{ id: string; region: string }>): string {
  for (const [pattern, command] of commands) {
    const [, name] = pattern.exec(by) ?? [];
    if (name === undefined) continue;
    const [service, ...rest] = command(name, { id }).split(' ');
    const [action, ...options] = rest;
    return `aws ${service} ${action} --region ${region} ${options.join(' ')}`;
  }
  return '';
}
