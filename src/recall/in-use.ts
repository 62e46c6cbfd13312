import { DescribeSnapshotAttributeCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { isAbsent } from '../aws/errors.ts';
import { listGrants } from '../aws/kms.ts';
import { snapshotIdsOf } from '../image.ts';
import { joined } from '../join.ts';
import { launchGrantName } from '../operations/publish.ts';
import type { InUse } from '../outcome.ts';
import type { Users } from '../plan/facts.ts';
import { listed } from '../words.ts';
import { aws, commandFor } from './commands.ts';
import type { Copy } from './copies.ts';

/** A use in words, and the command that ends it. */
type Told = Readonly<{ by: string; command: string }>;

type Used = Readonly<{
  copies: readonly Copy[];
  /** Those that are deregistered: whom they were shared with is of no matter. */
  gone: ReadonlySet<string>;
  users: Users;
}>;

/** A kind of use: what is looked for, and how that is read of one AMI. */
type Look = Readonly<{ what: string; read: (copy: Copy) => Promise<Told[]> }>;

/** What is looked at to tell who uses the AMIs of an account and region; one may fail without the others. */
export function looksAt(
  place: Place,
  { copies, gone, users }: Used,
): readonly Readonly<{ what: string; read: () => Promise<InUse[]> }>[] {
  const { account, region } = place;
  const granted = grantsOf(place);
  const usesOf = async ({ id }: Copy): Promise<Told[]> => {
    const uses = (users.get(id) ?? []).filter(({ others }) => others === undefined || !gone.has(id));
    return joined(uses.map(async ({ by }) => ({ by, command: await commandFor(place, by, id) })));
  };
  const looks: readonly Look[] = [
    { what: 'how each use of the AMIs can be ended', read: usesOf },
    { what: 'whom their snapshots are shared with', read: (copy) => sharesOf(place, copy) },
    {
      what: 'grants on their keys',
      read: async ({ id, keys }) => (gone.has(id) ? [] : (await joined(keys.map(granted))).flat()),
    },
  ];
  return looks.map(({ what, read }) => ({
    what,
    read: async () => {
      const all = await joined(
        copies.map(async (copy) =>
          (await read(copy)).map((one): InUse => ({ account, region, amiId: copy.id, ...one })),
        ),
      );
      return all.flat();
    },
  }));
}

/** The accounts that may read the snapshots of an AMI, and so make another of it. */
async function sharesOf(place: Place, { image }: Copy): Promise<Told[]> {
  const shares = await joined(
    snapshotIdsOf(image).map(async (SnapshotId): Promise<Told[]> => {
      const command = new DescribeSnapshotAttributeCommand({ SnapshotId, Attribute: 'createVolumePermission' });
      const { CreateVolumePermissions = [] } = await place.ec2(command).catch((error: unknown) => {
        if (isAbsent(error)) return { CreateVolumePermissions: [] };
        throw error;
      });
      const names = CreateVolumePermissions.flatMap(({ UserId, Group }) => UserId ?? Group ?? []);
      if (names.length === 0) return [];
      const reset = `ec2 reset-snapshot-attribute --snapshot-id ${SnapshotId} --attribute createVolumePermission`;
      return [{ by: `${SnapshotId}, which is shared with ${listed(names)}`, command: aws(place, reset) }];
    }),
  );
  return shares.flat();
}

/** Whom `grant-key-to` has let use a key, each key asked about once. */
function grantsOf(place: Place): (keyArn: string) => Promise<Told[]> {
  const known = new Map<string, Promise<Told[]>>();
  const read = async (keyArn: string): Promise<Told[]> => {
    const grants = await listGrants(place, keyArn);
    return grants.flatMap(({ Name, GrantId, GranteePrincipal }) => {
      if (Name !== launchGrantName) return [];
      const by = `${GranteePrincipal}, who may use its key ${keyArn} by a grant, for every AMI under it`;
      return [{ by, command: aws(place, `kms revoke-grant --key-id ${keyArn} --grant-id ${GrantId}`) }];
    });
  };
  return (keyArn) => {
    const grants = known.get(keyArn) ?? read(keyArn);
    known.set(keyArn, grants);
    return grants;
  };
}
