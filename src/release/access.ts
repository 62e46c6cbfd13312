import { DeleteTagsCommand, type Tag } from '@aws-sdk/client-ec2';
import { RevokeGrantCommand } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { describeImages, takeOff } from '../aws/describe.ts';
import { hasCode, placeName, StepError } from '../aws/errors.ts';
import { changePolicy, type Policy, sidsOf, withoutStatements } from '../aws/key-policy.ts';
import { regionOfKey } from '../aws/kms.ts';
import { changeShares, readShares, readTags } from '../aws/shares.ts';
import { idsOf, snapshotIdsOf } from '../image.ts';
import { joined } from '../join.ts';
import { sharesOf, shareTags } from '../lease.ts';
import type { LedgerState } from '../ledger.ts';
import { type Given, grantsOn, statedOn } from '../operations/given.ts';
import { whileFull } from '../operations/limits.ts';
import { counted } from '../words.ts';
import { findEncryptedCopies } from './encrypted-copies.ts';
import { tellForeignGrants } from './foreign-grants.ts';
import type { Attempt, Notes } from './notes.ts';
import type { KnownGrant, Leases, Releasing } from './releasing.ts';

/*
 * What lets others in: grants, statements in key policies, shares. What a run that died shared of the source's own is taken
 * back only from accounts that the same run gave the use of a key (operations/given.ts). So both go after the shares.
 */

type Noted = Readonly<{ leases: Leases; attempt: Attempt; notes: Notes }>;

/** Takes back, in one region of the source account, what the leases that have ended let others do. */
export async function releaseAccess(place: Place, releasing: Releasing, noted: Noted): Promise<void> {
  const { state, grants, keyAccess } = releasing;
  const { leases, attempt } = noted;
  const keys = state.grantKeys.filter((keyArn) => regionOfKey(keyArn) === place.region);
  const unsure = grants === undefined || leases.dead.size > 0 || grants.some(({ grantId }) => grantId === undefined);
  const named = await joined(
    (unsure ? keys : []).map((keyArn) =>
      attempt(`Looking for grants on ${keyArn}`, () => grantsOn(place, keyArn, state.imageId)),
    ),
  );
  const own = new Set(grants?.map(({ grantId }) => grantId));
  const found = named
    .flatMap((grants) => grants ?? [])
    .filter(({ lease, grantId }) => leases.gone.includes(lease) && !own.has(grantId));
  const known = leases.dead.size === 0 ? found : [...found, ...(await statedBy(place, keys, { releasing, ...noted }))];
  const shares = unshareAll(place, { releasing, given: known, ...noted });
  // Until the shares are taken back, the grants and statements tell whose they are.
  if (leases.dead.size > 0) await shares;
  await joined([
    shares,
    ...[...Map.groupBy(found, ({ keyArn }) => keyArn)].map(([keyArn, ofKey]) =>
      attempt(`Revoking grants on ${keyArn}`, async () => {
        for (const { grantId } of ofKey) await revoke(place, keyArn, grantId);
        return `revoked ${counted(ofKey.length, 'grant')} that an earlier run left on ${keyArn}`;
      }),
    ),
    ...(keyAccess === 'policy' ? keys : []).map((keyArn) =>
      attempt(`Restoring the policy of ${keyArn}`, () =>
        restorePolicy(place, keyArn, { releasing, gone: leases.gone }),
      ),
    ),
    tellForeignGrants({ keys, found }, { releasing, ...noted }),
  ]);
}

/** Revokes the grants whose IDs are known. */
export async function revokeKnown(
  source: (region: string) => Place,
  grants: readonly KnownGrant[],
): Promise<string | undefined> {
  const known = grants.flatMap(({ keyArn, grantId }) => (grantId === undefined ? [] : [{ keyArn, grantId }]));
  await joined(known.map(({ keyArn, grantId }) => revoke(source(regionOfKey(keyArn)), keyArn, grantId)));
  return known.length === 0 ? undefined : `revoked ${counted(known.length, 'grant')}`;
}

/** Which accounts statements of dead runs let use the keys. */
async function statedBy(
  place: Place,
  keys: readonly string[],
  { releasing, leases, attempt }: Noted & Readonly<{ releasing: Releasing }>,
): Promise<Given[]> {
  if (releasing.keyAccess !== 'policy') return [];
  const dead = [...leases.dead.keys()];
  const stated = await joined(
    keys.map((keyArn) => attempt(`Reading the policy of ${keyArn}`, () => statedOn(place, keyArn, dead))),
  );
  return stated.flatMap((given) => given ?? []);
}

/** @throws StepError where it isn't known whether all statements are out of it */
async function restorePolicy(
  place: Place,
  keyArn: string,
  { releasing, gone }: Readonly<{ releasing: Releasing; gone: readonly string[] }>,
): Promise<string | undefined> {
  const { state, stated, unproven, isLast } = releasing;
  const change = (policy: Policy) => {
    if (withoutStatements(policy, [state.leaseId]) !== policy) unproven.delete(keyArn);
    return withoutStatements(policy, gone);
  };
  const isSure = !(stated ?? state.grantKeys).includes(keyArn);
  const changed = await changePolicy(place, keyArn, { change, isSure });
  if (isLast && unproven.has(keyArn)) throw unprovenError(place, keyArn, state.leaseId);
  return changed ? `took the statements out of the policy of ${keyArn} again` : undefined;
}

/**
 * What was put as the run was told to stop may be shown, and be in force, minutes later:
 * https://docs.aws.amazon.com/kms/latest/developerguide/programming-eventual-consistency.html
 */
function unprovenError({ region }: Place, keyArn: string, leaseId: string): StepError {
  const sids = sidsOf(leaseId).join(' and ');
  const of = `--region ${region} --key-id ${keyArn} --policy-name default`;
  return new StepError(
    `Seeing that ${sids} are out of it`,
    new Error('these statements were put there, and KMS, which may be minutes late, has not shown them since'),
    `look after some minutes: aws kms get-key-policy ${of} --query Policy --output text. If they stand there, run it again, or take them out by hand: aws kms put-key-policy ${of} --policy file://policy.json`,
  );
}

async function revoke(place: Place, keyArn: string, grantId: string): Promise<void> {
  try {
    await whileFull({ place }, () => place.kms(new RevokeGrantCommand({ KeyId: keyArn, GrantId: grantId })));
  } catch (error) {
    // Revoked by an earlier try whose answer was lost.
    if (!hasCode(error, 'NotFoundException', 'InvalidGrantIdException')) throw error;
  }
}

type Unsharing = Noted & Readonly<{ releasing: Releasing; given: readonly Given[] }>;

/** Takes back what the leases that have ended share and no live one does, by what was written down and what is proven. */
async function unshareAll(place: Place, unsharing: Unsharing): Promise<void> {
  const { releasing, leases, attempt, notes } = unsharing;
  const { state } = releasing;
  const written = state.shares.filter(({ region }) => region === place.region);
  const shared = await attempt(`Looking for shares in ${place.region}`, async () => {
    const copies = await findEncryptedCopies(place, state.imageId);
    const own = new Set([
      ...copies.images.flatMap((image) => [image.ImageId ?? '', ...snapshotIdsOf(image)]),
      ...idsOf(copies.snapshots),
    ]);
    const source = leases.dead.size > 0 ? await sourceResources(place, state.imageId) : [];
    return { own, ids: new Set([...written.flatMap(({ resources }) => resources), ...own, ...source]) };
  });
  if (shared === undefined) return;
  const ids = [...shared.ids];
  const tags = await attempt(`Reading the shares of ${ids.join(', ')}`, () => readTags(place, ids));
  const taken = await joined(
    [...(tags ?? [])].map(async ([id, resourceTags]) => {
      const { accounts, keys } = await takenOff(place, { id, tags: resourceTags, own: shared.own, written }, unsharing);
      return attempt(`Taking back shares of ${id}`, () => unshare(place, id, { accounts, keys }), id);
    }),
  );
  const count = taken.reduce<number>((sum, one) => sum + (one ?? 0), 0);
  if (count > 0) notes.done.push(`took back ${counted(count, 'share')}`);
}

/** The source AMI and its snapshots. */
async function sourceResources(place: Place, imageId: string): Promise<string[]> {
  const [image] = await describeImages(place, [imageId]);
  return image === undefined ? [] : [imageId, ...snapshotIdsOf(image)];
}

type Shared = Readonly<{
  id: string;
  tags: readonly Tag[];
  /** Resources that are this action's: whoever they are shared with, it was by a run. */
  own: ReadonlySet<string>;
  written: LedgerState['shares'];
}>;

/** The accounts that a resource is not to be shared with any more, and the tags that said so. */
async function takenOff(
  place: Place,
  { id, tags, own, written }: Shared,
  { releasing, leases: { gone, live }, given, notes }: Unsharing,
): Promise<{ accounts: string[]; keys: { Key: string | undefined }[] }> {
  const byLease = sharesOf(tags);
  const where = placeName(place);
  const noted = written.filter(({ resources }) => resources.includes(id)).flatMap(({ accounts }) => accounts);
  const isProven = (lease: string, account: string): boolean =>
    own.has(id) ||
    (lease === releasing.state.leaseId && noted.includes(account)) ||
    given.some((one) => one.lease === lease && one.account === account);
  const tagged = gone.flatMap((lease) => (byLease.get(lease) ?? []).map((account) => ({ lease, account })));
  const unproven = tagged.filter(({ lease, account }) => !isProven(lease, account));
  await tellUnproven(place, id, {
    accounts: unproven.map(({ account }) => account).filter((one) => !noted.includes(one)),
    notes,
  });
  const proven = tagged.filter((one) => !unproven.includes(one)).map(({ account }) => account);
  const ours = [...new Set([...noted, ...proven])];
  const theirs = new Set(live.flatMap((lease) => byLease.get(lease) ?? []));
  const needed = ours.filter((account) => theirs.has(account));
  if (needed.length > 0)
    notes.stays.push(`${id} in ${where} stays shared with ${needed.join(', ')}: another run needs it`);
  // What was tagged a moment ago may not be read yet.
  const taggedBy = (lease: string) => byLease.get(lease) ?? (lease === releasing.state.leaseId ? noted : []);
  const done = gone.filter((lease) => !unproven.some((one) => one.lease === lease));
  return {
    accounts: ours.filter((account) => !theirs.has(account)),
    keys: done.flatMap((lease) => shareTags(lease, taggedBy(lease))).map(({ Key }) => ({ Key })),
  };
}

async function tellUnproven(
  place: Place,
  id: string,
  { accounts, notes }: Readonly<{ accounts: readonly string[]; notes: Notes }>,
): Promise<void> {
  if (accounts.length === 0) return;
  const shared = await readShares(place, id).catch(() => new Set(accounts));
  const still = [...new Set(accounts)].filter((account) => shared.has(account));
  if (still.length > 0)
    notes.stays.push(
      `${id} in ${placeName(place)} stays shared with ${still.join(', ')}: a tag says that a run which died shared it, and nothing else does, so it is left alone. What to do: if nobody needs it, take it back`,
    );
}

async function unshare(
  place: Place,
  id: string,
  { accounts, keys }: Readonly<{ accounts: readonly string[]; keys: { Key: string | undefined }[] }>,
): Promise<number> {
  // Another run that finishes at the same time may remove it, and its shares with it.
  await takeOff(place, id, async () => {
    await whileFull({ place }, () => changeShares(place, id, { Remove: accounts }));
    if (keys.length > 0) await place.ec2(new DeleteTagsCommand({ Resources: [id], Tags: keys }));
  });
  return accounts.length;
}
