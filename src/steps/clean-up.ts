import { DeleteTagsCommand, type Image, type Snapshot } from '@aws-sdk/client-ec2';
import { ListGrantsCommand, RevokeGrantCommand } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { describeImages, ownImages, ownSnapshots } from '../aws/describe.ts';
import { errorMessage, hasCode, placeName } from '../aws/errors.ts';
import { changeShares, readTags } from '../aws/shares.ts';
import { isEncryptedCopy } from '../encrypted-copy.ts';
import { snapshotIdsOf } from '../image.ts';
import type { KeyAccess } from '../inputs.ts';
import { dropLeases, endLease, type Reader, sharesOf, shareTags, sortLeases } from '../lease.ts';
import type { LedgerState } from '../ledger.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { grantName, type MadeGrants } from './key-access.ts';
import { changePolicy, withoutStatements } from './key-policy.ts';
import { deleteSnapshot, removeImage } from './remove.ts';

export type CleanUpOptions = Readonly<{
  /** The grants that this run made or may have made; undefined where only the ledger knows of them. */
  made: MadeGrants | undefined;
  keyAccess: KeyAccess;
  keepIntermediates: boolean;
  reader: Reader;
}>;

/** What was taken back, and what could not be, each as a sentence. */
export type CleanUpReport = { done: string[]; failed: string[] };

/**
 * Takes back what a run has in the source account: grants and shares first, for they are access, then the encrypted
 * copy, last the lease. The same for runs that died: their leases tell what was theirs. Nothing that a live run needs is
 * touched. Doing it again does nothing more. Never throws: each failure is in the report, and then the lease is left,
 * so that the next run on this AMI finds what is still to do.
 */
export async function cleanUpSource(place: Place, state: LedgerState, options: CleanUpOptions): Promise<CleanUpReport> {
  const report: CleanUpReport = { done: [], failed: [] };
  /** The result of `act`, or undefined after a line in the report. A text tells what was done. */
  const attempt = async <T>(what: string, act: () => Promise<T>): Promise<T | undefined> => {
    try {
      const result = await act();
      if (typeof result === 'string') report.done.push(result);
      return result;
    } catch (error) {
      report.failed.push(`${what} in ${placeName(place)}: ${errorMessage(error)}`);
      return undefined;
    }
  };
  const { imageId, leaseId, grantKeys } = state;
  const made = options.made ?? [];
  const revoked = attempt('Revoking grants', () => revokeKnown(place, made));
  if (state.leased) await attempt(`Ending the lease on ${imageId}`, () => endLease(place, imageId, leaseId));
  const [, images, copies] = await Promise.all([
    revoked,
    attempt(`Reading ${imageId}`, () => describeImages(place, [imageId])),
    attempt('Looking for encrypted copies', () => findEncryptedCopies(place, imageId)),
  ]);
  // Not knowing the leases, nothing that others may need is touched.
  if (images === undefined || copies === undefined) return report;
  const { live, dead } = sortLeases(images[0], leaseId, options.reader);
  const gone = [leaseId, ...dead.map(({ id }) => id)];

  const unsure = options.made === undefined || dead.length > 0 || made.some(({ grantId }) => grantId === undefined);
  const shared = new Set([
    ...state.shares.flatMap(({ resources }) => resources),
    ...[...images, ...copies].flatMap((image) => [image.ImageId ?? '', ...snapshotIdsOf(image)]),
  ]);
  await Promise.all([
    ...(unsure ? grantKeys : []).map((keyArn) =>
      attempt(`Revoking grants on ${keyArn}`, () => revokeByName(place, keyArn, imageId, gone)),
    ),
    ...(options.keyAccess === 'policy' ? grantKeys : []).map((keyArn) =>
      attempt(`Restoring the policy of ${keyArn}`, () => restorePolicy(place, keyArn, gone)),
    ),
    attempt(`Taking back shares of ${[...shared].join(', ')}`, () => unshare(place, [...shared], state, gone)),
  ]);
  if (live.length === 0 && !options.keepIntermediates) {
    const removals = copies.map((copy) =>
      attempt(`Removing the encrypted copy ${copy.ImageId}`, async () => {
        await removeImage(place, copy);
        return `removed the encrypted copy ${copy.ImageId}`;
      }),
    );
    await Promise.all(removals);
    await attempt('Removing what is left of encrypted copies', () => removeLoose(place, imageId, copies));
  }
  // Should anything be left, the lease stays, and tells the next run on this AMI what is still to do.
  if (report.failed.length === 0)
    await attempt(`Removing leases from ${imageId}`, () => dropLeases(place, imageId, gone));
  return report;
}

async function findEncryptedCopies(place: Place, imageId: string): Promise<Image[]> {
  const ofSource = await ownImages(place, { Name: `tag:${tagKeys.sourceAmi}`, Values: [imageId] });
  return ofSource.filter(isEncryptedCopy);
}

async function restorePolicy(place: Place, keyArn: string, leases: readonly string[]): Promise<string | undefined> {
  const changed = await changePolicy(place, keyArn, (policy) => withoutStatements(policy, leases));
  return changed ? `took the statement out of the policy of ${keyArn} again` : undefined;
}

async function revokeKnown(place: Place, made: MadeGrants): Promise<string | undefined> {
  const known = made.flatMap(({ keyArn, grantId }) => (grantId === undefined ? [] : [revoke(place, keyArn, grantId)]));
  await Promise.all(known);
  return known.length === 0 ? undefined : `revoked ${count(known.length, 'grant')}`;
}

async function revokeByName(
  place: Place,
  keyArn: string,
  imageId: string,
  leases: readonly string[],
): Promise<string | undefined> {
  const names = new Set(leases.map((id) => grantName(imageId, id)));
  let revoked = 0;
  for (let Marker: string | undefined; ; ) {
    const page = await place.kms(new ListGrantsCommand({ KeyId: keyArn, Limit: 100, Marker }));
    for (const { GrantId, Name } of page.Grants ?? []) {
      if (GrantId === undefined || Name === undefined || !names.has(Name)) continue;
      await revoke(place, keyArn, GrantId);
      revoked += 1;
    }
    if (!page.Truncated)
      return revoked === 0 ? undefined : `revoked ${count(revoked, 'grant')} that an earlier run left on ${keyArn}`;
    Marker = page.NextMarker;
  }
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
  state: LedgerState,
  gone: readonly string[],
): Promise<string | undefined> {
  let removed = 0;
  for (const [id, resourceTags] of await readTags(place, ids)) {
    const byLease = sharesOf(resourceTags);
    const written = state.shares.filter(({ resources }) => resources.includes(id)).flatMap(({ accounts }) => accounts);
    const theirs = new Set([...byLease].filter(([lease]) => !gone.includes(lease)).flatMap(([, accounts]) => accounts));
    const ours = new Set([...written, ...gone.flatMap((lease) => byLease.get(lease) ?? [])]);
    const toRemove = [...ours].filter((account) => !theirs.has(account));
    await changeShares(place, id, 'Remove', toRemove);
    const tags = gone.flatMap((lease) => shareTags(lease, byLease.get(lease) ?? []));
    if (tags.length > 0)
      await place.ec2(new DeleteTagsCommand({ Resources: [id], Tags: tags.map(({ Key }) => ({ Key })) }));
    removed += toRemove.length;
  }
  return removed === 0 ? undefined : `took back ${count(removed, 'share')}`;
}

/** Snapshots of encrypted copies whose image is gone already, or did not name them yet. Copies in targets bear their key. */
async function removeLoose(place: Place, imageId: string, removed: readonly Image[]): Promise<string | undefined> {
  const known = new Set(removed.flatMap(snapshotIdsOf));
  const loose = (await ownSnapshots(place, { Name: `tag:${tagKeys.sourceAmi}`, Values: [imageId] })).filter(
    (snapshot) => tagValue(snapshot, tagKeys.kmsKey) === undefined && !known.has(snapshot.SnapshotId ?? ''),
  );
  await Promise.all(loose.map(({ SnapshotId }) => deleteSnapshot(place, SnapshotId ?? '')));
  return loose.length === 0 ? undefined : `deleted ${idsOf(loose).join(', ')}`;
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

function idsOf(snapshots: readonly Snapshot[]): string[] {
  return snapshots.flatMap(({ SnapshotId }) => (SnapshotId === undefined ? [] : [SnapshotId]));
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
