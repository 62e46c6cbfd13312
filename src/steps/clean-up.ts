import { DeleteTagsCommand, type Image, type Snapshot } from '@aws-sdk/client-ec2';
import { ListGrantsCommand, RevokeGrantCommand } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { describeImages, ownImages, ownSnapshots } from '../aws/describe.ts';
import { errorMessage, hasCode, placeName } from '../aws/errors.ts';
import { changePolicy, withoutStatements } from '../aws/key-policy.ts';
import { regionOfKey } from '../aws/kms.ts';
import { changeShares, readTags } from '../aws/shares.ts';
import { idsOf, snapshotIdsOf } from '../image.ts';
import type { KeyAccess } from '../inputs/settings.ts';
import {
  dropLeases,
  endLease,
  type LeaseRecord,
  leasesOf,
  type Reader,
  sharesOf,
  shareTags,
  sortLeases,
} from '../lease.ts';
import type { LedgerState, ShareEntry } from '../ledger.ts';
import { counted } from '../report/words.ts';
import { tagKeys } from '../tags.ts';
import { grantName, type MadeGrants } from './key-access.ts';
import { deleteSnapshot, removeImage } from './remove.ts';

export type CleanUpOptions = Readonly<{
  /** The grants that this run made or may have made; undefined where only the ledger knows of them. */
  made: MadeGrants | undefined;
  keyAccess: KeyAccess;
  keepIntermediates: boolean;
  reader: Reader;
  /** Whether the leases go too; until then, what is left can still be told to be this run's. */
  dropLeases: boolean | Promise<boolean>;
}>;

/** What was taken back, and what could not be, each as a sentence. */
export type CleanUpReport = { done: string[]; failed: string[] };

/** The result of `act`, or undefined after a line in the report. A text tells what was done. */
type Attempt = <T>(what: string, act: () => Promise<T>) => Promise<T | undefined>;

function reporting(report: CleanUpReport, account: string): Attempt {
  return async (what, act) => {
    try {
      const result = await act();
      if (typeof result === 'string') report.done.push(result);
      return result;
    } catch (error) {
      report.failed.push(`${what} in ${account}: ${errorMessage(error)}`);
      return undefined;
    }
  };
}

/**
 * Takes back what a run has in the source account: grants and shares first, for they are access, then the encrypted
 * copies, last the lease. The same for runs that died: their leases tell what was theirs. Nothing that a live run needs
 * is touched. Doing it again does nothing more. Never throws: each failure is in the report, and then the lease is left,
 * so that the next run on this AMI finds what is still to do.
 * @param at the source account's places, by region
 */
export async function cleanUpSource(
  at: (region: string) => Place,
  sourceRegion: string,
  state: LedgerState,
  options: CleanUpOptions,
): Promise<CleanUpReport> {
  const report: CleanUpReport = { done: [], failed: [] };
  const attempt = reporting(report, state.account);
  const place = at(sourceRegion);
  const { imageId, leaseId } = state;
  const revoked = attempt('Revoking grants', () => revokeKnown(at, options.made ?? []));
  const read = () => attempt(`Reading ${imageId}`, async () => (await describeImages(place, [imageId]))[0] ?? null);
  // A run knows that it holds its lease; of one that died, only a look can tell.
  let image = options.made === undefined ? await read() : undefined;
  if (image === undefined || leasesOf(image?.Tags).some(({ id, expiresAt }) => id === leaseId && expiresAt > 0)) {
    if (state.leased)
      await attempt(`Ending the lease on ${imageId}`, () => endLease(place, imageId, leaseId, state.regions));
    image = await read();
  }
  await revoked;
  // Not knowing the leases, nothing that others may need is touched.
  if (image === undefined) return report;
  const { live, dead } = sortLeases(image ?? undefined, leaseId, options.reader);
  const leases = { gone: [leaseId, ...dead.map(({ id }) => id)], dead, live };
  const regions = new Set([sourceRegion, ...state.regions, ...dead.flatMap((lease) => lease.regions)]);
  await Promise.all([...regions].map((region) => cleanUpRegion(at(region), state, options, leases, attempt)));
  // Should anything be left, the lease stays, and tells the next run on this AMI what is still to do.
  if (report.failed.length === 0 && image !== null && (await options.dropLeases))
    await attempt(`Removing leases from ${imageId}`, () =>
      dropLeases(place, imageId, [...(state.leased ? [leaseId] : []), ...dead.map(({ id }) => id)]),
    );
  return report;
}

type Leases = Readonly<{ gone: readonly string[]; live: readonly LeaseRecord[]; dead: readonly LeaseRecord[] }>;

async function cleanUpRegion(
  place: Place,
  state: LedgerState,
  options: CleanUpOptions,
  { gone, live, dead }: Leases,
  attempt: Attempt,
): Promise<void> {
  const { imageId } = state;
  const { region } = place;
  const copies = await attempt(`Looking for encrypted copies in ${region}`, () => findEncryptedCopies(place, imageId));
  if (copies === undefined) return;
  const keys = state.grantKeys.filter((keyArn) => regionOfKey(keyArn) === region);
  const { made } = options;
  const unsure = made === undefined || dead.length > 0 || made.some(({ grantId }) => grantId === undefined);
  const written = state.shares.filter((entry) => entry.region === region);
  const shared = new Set([
    ...written.flatMap(({ resources }) => resources),
    ...copies.images.flatMap((image) => [image.ImageId ?? '', ...snapshotIdsOf(image)]),
    ...copies.snapshots.map(({ SnapshotId }) => SnapshotId ?? ''),
    ...(dead.length > 0 ? await sourceResources(place, state, attempt) : []),
  ]);
  await Promise.all([
    ...(unsure ? keys : []).map((keyArn) =>
      attempt(`Revoking grants on ${keyArn}`, () => revokeByName(place, keyArn, imageId, gone)),
    ),
    ...(options.keyAccess === 'policy' ? keys : []).map((keyArn) =>
      attempt(`Restoring the policy of ${keyArn}`, () => restorePolicy(place, keyArn, gone)),
    ),
    attempt(`Taking back shares of ${[...shared].join(', ')}`, () => unshare(place, [...shared], written, gone)),
  ]);
  if (live.length > 0 || options.keepIntermediates) return;
  await Promise.all(
    copies.images.map((copy) =>
      attempt(`Removing the encrypted copy ${copy.ImageId}`, async () => {
        await removeImage(place, copy);
        return `removed the encrypted copy ${copy.ImageId}`;
      }),
    ),
  );
  const removed = new Set(copies.images.flatMap(snapshotIdsOf));
  const loose = idsOf(copies.snapshots).filter((id) => !removed.has(id));
  await attempt(`Deleting ${loose.join(', ')}`, async () => {
    await Promise.all(loose.map((id) => deleteSnapshot(place, id)));
    return loose.length === 0 ? undefined : `deleted ${loose.join(', ')}`;
  });
}

/** The source AMI and its snapshots, which a run that died may have shared. */
async function sourceResources(place: Place, { imageId }: LedgerState, attempt: Attempt): Promise<string[]> {
  const image = await attempt(`Reading ${imageId}`, async () => (await describeImages(place, [imageId]))[0]);
  return image === undefined ? [] : [imageId, ...snapshotIdsOf(image)];
}

/** Encrypted copies of the image, and snapshots of such copies: those that no image names (any more) too. */
async function findEncryptedCopies(place: Place, imageId: string): Promise<{ images: Image[]; snapshots: Snapshot[] }> {
  const ofSource = { Name: `tag:${tagKeys.sourceAmi}`, Values: [imageId] };
  const intermediate = { Name: 'tag-key', Values: [tagKeys.intermediate] };
  const [images, snapshots] = await Promise.all([
    ownImages(place, ofSource, intermediate),
    ownSnapshots(place, ofSource, intermediate),
  ]);
  return { images, snapshots };
}

async function restorePolicy(place: Place, keyArn: string, leases: readonly string[]): Promise<string | undefined> {
  const changed = await changePolicy(place, keyArn, (policy) => withoutStatements(policy, leases));
  return changed ? `took the statement out of the policy of ${keyArn} again` : undefined;
}

async function revokeKnown(at: (region: string) => Place, made: MadeGrants): Promise<string | undefined> {
  const known = made.flatMap(({ keyArn, grantId }) =>
    grantId === undefined ? [] : [revoke(at(regionOfKey(keyArn)), keyArn, grantId)],
  );
  await Promise.all(known);
  return known.length === 0 ? undefined : `revoked ${counted(known.length, 'grant')}`;
}

async function revokeByName(
  place: Place,
  keyArn: string,
  imageId: string,
  leases: readonly string[],
): Promise<string | undefined> {
  const names = new Set(leases.map((id) => grantName(imageId, id)));
  const found: string[] = [];
  for (let Marker: string | undefined; ; ) {
    const page = await place.kms(new ListGrantsCommand({ KeyId: keyArn, Limit: 100, Marker }));
    for (const { GrantId, Name } of page.Grants ?? []) {
      if (GrantId === undefined || Name === undefined || !names.has(Name)) continue;
      found.push(GrantId);
    }
    if (!page.Truncated) break;
    Marker = page.NextMarker;
  }
  // Only now: a page must not move while it is read.
  for (const GrantId of found) await revoke(place, keyArn, GrantId);
  return found.length === 0
    ? undefined
    : `revoked ${counted(found.length, 'grant')} that an earlier run left on ${keyArn}`;
}

async function revoke(place: Place, keyArn: string, grantId: string): Promise<void> {
  try {
    await place.kms(new RevokeGrantCommand({ KeyId: keyArn, GrantId: grantId }));
  } catch (error) {
    // Revoked by an earlier try whose answer was lost.
    if (!hasCode(error, 'NotFoundException', 'InvalidGrantIdException')) throw error;
  }
}

/** Removes what the leases in `gone` share and no other does, by the tags on the resources and by the ledger. */
async function unshare(
  place: Place,
  ids: readonly string[],
  shares: readonly ShareEntry[],
  gone: readonly string[],
): Promise<string | undefined> {
  let removed = 0;
  for (const [id, resourceTags] of await readTags(place, ids)) {
    const byLease = sharesOf(resourceTags);
    const written = shares.filter(({ resources }) => resources.includes(id)).flatMap(({ accounts }) => accounts);
    const theirs = new Set([...byLease].filter(([lease]) => !gone.includes(lease)).flatMap(([, accounts]) => accounts));
    const ours = new Set([...written, ...gone.flatMap((lease) => byLease.get(lease) ?? [])]);
    const toRemove = [...ours].filter((account) => !theirs.has(account));
    const tags = gone.flatMap((lease) => shareTags(lease, byLease.get(lease) ?? []));
    try {
      await changeShares(place, id, 'Remove', toRemove);
      if (tags.length > 0)
        await place.ec2(new DeleteTagsCommand({ Resources: [id], Tags: tags.map(({ Key }) => ({ Key })) }));
    } catch (error) {
      // Another run that finishes at the same time has removed it, and its shares with it.
      if (!hasCode(error, 'InvalidSnapshot.NotFound', 'InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable')) throw error;
    }
    removed += toRemove.length;
  }
  return removed === 0 ? undefined : `took back ${counted(removed, 'share')}`;
}

/** Removes what the runs of `leases` began in one target and did not finish. Never throws. */
export async function cleanUpTarget(place: Place, leases: readonly string[]): Promise<CleanUpReport> {
  const report: CleanUpReport = { done: [], failed: [] };
  const ofLease = { Name: `tag:${tagKeys.lease}`, Values: [...leases] };
  try {
    const [images, snapshots] = await Promise.all([ownImages(place, ofLease), ownSnapshots(place, ofLease)]);
    for (const image of images) {
      await removeImage(place, image);
      report.done.push(`removed ${image.ImageId} in ${placeName(place)}`);
    }
    const removed = new Set(images.flatMap(snapshotIdsOf));
    const copies = idsOf(snapshots).filter((id) => !removed.has(id));
    if (copies.length === 0) return report;
    const users = await ownImages(place, { Name: 'block-device-mapping.snapshot-id', Values: copies });
    const used = new Set(users.flatMap(snapshotIdsOf));
    const loose = copies.filter((id) => !used.has(id));
    await Promise.all(loose.map((id) => deleteSnapshot(place, id)));
    if (loose.length > 0) report.done.push(`deleted ${loose.join(', ')} in ${placeName(place)}`);
    const finished = copies.filter((id) => used.has(id));
    if (finished.length > 0)
      await place.ec2(new DeleteTagsCommand({ Resources: finished, Tags: [{ Key: tagKeys.lease }] }));
  } catch (error) {
    report.failed.push(`Removing half-made copies in ${placeName(place)}: ${errorMessage(error)}`);
  }
  return report;
}
