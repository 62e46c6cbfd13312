import { CreateTagsCommand, DeleteTagsCommand, type Image, type Snapshot } from '@aws-sdk/client-ec2';
import { RevokeGrantCommand } from '@aws-sdk/client-kms';
import type { Place } from './aws/clients.ts';
import { describeImages, ownImages, ownSnapshots } from './aws/describe.ts';
import { errorMessage, hasCode, isDenied, placeName } from './aws/errors.ts';
import { changePolicy, type Policy, withoutStatements } from './aws/key-policy.ts';
import { listGrants, regionOfKey } from './aws/kms.ts';
import { changeShares, readTags } from './aws/shares.ts';
import { idsOf, snapshotIdsOf } from './image.ts';
import type { KeyAccess } from './inputs/settings.ts';
import { joined } from './join.ts';
import { dropLeases, endLease, leasesOf, type Reader, sharesOf, shareTags, sortLeases } from './lease.ts';
import type { LedgerState } from './ledger.ts';
import { grantName } from './operations/allow.ts';
import { deleteSnapshot, removeImage } from './operations/remove.ts';
import { counted } from './report/words.ts';
import { endedLease, tagKeys, tagValue } from './tags.ts';

/*
 * What runs made for a time is taken back: by owners, which are leases, and by what is there that is theirs. The end of a
 * run, its post step, the next run on the AMI and a sweep are this one function. Access goes first. What a live run needs
 * is left alone, and doing it again does nothing more.
 */

export type Releasing = Readonly<{
  /** The source account, by region. */
  source: (region: string) => Place;
  sourceRegion: string;
  /** The targets in which something of the owners may be. */
  targets: readonly Place[];
  /** What the owner that ends has written down; other owners are told by their leases alone. */
  state: LedgerState;
  /** The grants that the owner knows of; undefined where only the saved state tells of them. */
  grants: readonly KnownGrant[] | undefined;
  keyAccess: KeyAccess;
  /** The keys whose policies the owner has put a statement into; undefined where only the saved state tells of them. */
  stated: readonly string[] | undefined;
  keepIntermediates: boolean;
  reader: () => Reader;
  /** Whether an AMI may have given its name up for one that did not come to be. */
  superseding: boolean;
  /** The targets, as `account/region`, whose AMIs are there and right. */
  ready: ReadonlySet<string>;
  /** Whether there is time to wait until the lease of an earlier attempt expires. */
  patient: boolean;
  /** Whether this is the last look: before it, the leases stay, and tell whose what is left is. */
  isLast: boolean;
}>;

/** A grant that was asked for, with its ID once AWS has told it. */
export type KnownGrant = Readonly<{ keyArn: string; grantId: string | undefined }>;

/**
 * What was taken back, and what could not be, each as a sentence; what stays since another run needs it; and what goes on,
 * since its own run had no time left.
 */
export type ReleaseReport = Readonly<Record<'done' | 'failed' | 'stays' | 'goesOn', readonly string[]>>;

export const nothing: ReleaseReport = { done: [], failed: [], stays: [], goesOn: [] };

/** Something that failed, and the resource whose end makes it good. */
type Failure = Readonly<{ what: string; resource?: string }>;
type Notes = { done: string[]; failed: Failure[]; gone: Set<string>; stays: string[]; goesOn: string[] };

const noNotes = (): Notes => ({ done: [], failed: [], gone: new Set(), stays: [], goesOn: [] });

/** The result of `act`, or undefined after a note. A text tells what was done. */
type Attempt = <T>(what: string, act: () => Promise<T>, resource?: string) => Promise<T | undefined>;

function noting(notes: Notes, account: string): Attempt {
  return async (what, act, resource) => {
    try {
      const result = await act();
      if (typeof result === 'string') notes.done.push(result);
      return result;
    } catch (error) {
      const failure = { what: `${what} in ${account}: ${errorMessage(error)}` };
      notes.failed.push(resource === undefined ? failure : { ...failure, resource });
      return undefined;
    }
  };
}

/** Whoever ends while others seem to live looks again so much later: a mark of their end is seen late at times. */
const secondLookMs = 3000;

/** Never throws: each failure is in the report, and then the lease is left, so that the next run finds what is to do. */
export async function release(releasing: Releasing): Promise<ReleaseReport> {
  const { state, source, sourceRegion } = releasing;
  const notes = noNotes();
  const attempt = noting(notes, state.account);
  const place = source(sourceRegion);
  const revoked = attempt('Revoking grants', () => revokeKnown(source, releasing.grants ?? []));
  const first = await endAndRead(releasing, attempt);
  await revoked;
  // Not knowing the leases, nothing that others may need is touched.
  if (first === undefined) return reportOf(notes);
  let leases = sorted(first, releasing);
  const inTargets = (of: Pick<Leases, 'gone' | 'live'>) =>
    joined(releasing.targets.map((target) => releaseTarget(target, releasing, { leases: of, notes })));
  let targets = inTargets(leases);
  await releaseAccess(releasing, leases, { attempt, notes });
  if (leases.live.length > 0) {
    const wait = releasing.patient ? leases.outdatedUntil - releasing.reader().now : 0;
    await place.sleep(Math.max(secondLookMs, wait)).catch(() => undefined);
    const again = await attempt(`Reading ${state.imageId}`, () => read(place, state.imageId));
    const later = again === undefined ? leases : sorted(again, releasing);
    const ended = later.gone.filter((id) => !leases.gone.includes(id));
    if (ended.length > 0) {
      targets = joined([targets, inTargets({ gone: ended, live: later.live })]).then((both) => both.flat());
      await releaseAccess(releasing, later, { attempt, notes });
    }
    leases = later;
  }
  // Whether copies go on is known then, and so whether the encrypted copy that they read from may go.
  if (state.keepPending) await targets;
  const copies = await joined(
    [...regionsOf(releasing, leases)].map((region) =>
      releaseCopies(source(region), { releasing, leases, notes, attempt }),
    ),
  );
  const finished = (await targets).every(Boolean) && copies.every(Boolean);
  const report = reportOf(notes);
  // By the lease, the next run knows that there is something to take over.
  const goesOn = report.goesOn.length > 0 || (state.keepPending && releasing.grants === undefined);
  if (report.failed.length === 0 && !goesOn && finished && first !== null && releasing.isLast)
    await attempt(`Removing leases from ${state.imageId}`, () =>
      dropLeases(place, state.imageId, [...(state.leased ? [state.leaseId] : []), ...leases.dead]),
    );
  return reportOf(notes);
}

function reportOf({ done, failed, gone, stays, goesOn }: Notes): ReleaseReport {
  // What was to be taken off a resource that is gone is gone with it.
  const real = failed.filter(({ resource }) => resource === undefined || !gone.has(resource));
  return { done, failed: real.map(({ what }) => what), stays, goesOn };
}

/** Whose leases there are: those that have ended, the owner's own among them, and those that others live by. */
type Leases = Readonly<{
  gone: readonly string[];
  dead: readonly string[];
  live: readonly string[];
  /** When the last lease of an earlier attempt expires that is among them; 0 where there is none. */
  outdatedUntil: number;
  regions: readonly string[];
}>;

function sorted(image: Image | null, { state, reader }: Releasing): Leases {
  const { live, outdated, dead } = sortLeases(image ?? undefined, state.leaseId, reader());
  const ids = (leases: readonly { id: string }[]) => leases.map(({ id }) => id);
  return {
    gone: [state.leaseId, ...ids(dead)],
    dead: ids(dead),
    live: ids([...live, ...outdated]),
    outdatedUntil: Math.max(0, ...outdated.map(({ expiresAt }) => expiresAt)),
    regions: dead.flatMap(({ regions }) => regions),
  };
}

function regionsOf({ sourceRegion, state }: Releasing, { regions }: Leases): Set<string> {
  return new Set([sourceRegion, ...state.regions, ...regions]);
}

async function read(place: Place, imageId: string): Promise<Image | null> {
  return (await describeImages(place, [imageId]))[0] ?? null;
}

/** Marks the owner's lease as ended, and reads who else there is. Null where the AMI is gone; undefined where it can't be read. */
async function endAndRead(
  { source, sourceRegion, state, grants }: Releasing,
  attempt: Attempt,
): Promise<Image | null | undefined> {
  const place = source(sourceRegion);
  const { imageId, leaseId } = state;
  const look = () => attempt(`Reading ${imageId}`, () => read(place, imageId));
  // A run knows that it holds its lease; of one that died, only a look can tell.
  const image = grants === undefined ? await look() : undefined;
  const isHeld = leasesOf(image?.Tags).some(({ id, expiresAt }) => id === leaseId && expiresAt > 0);
  if (image !== undefined && !isHeld) return image;
  if (state.leased)
    await attempt(`Ending the lease on ${imageId}`, () =>
      endLease(place, imageId, { id: leaseId, regions: state.regions }),
    );
  return look();
}

/** Takes back what lets others in: grants, statements, shares. */
async function releaseAccess(
  releasing: Releasing,
  leases: Leases,
  noted: Readonly<{ attempt: Attempt; notes: Notes }>,
): Promise<void> {
  await joined(
    [...regionsOf(releasing, leases)].map((region) =>
      releaseAccessIn(releasing.source(region), releasing, { leases, ...noted }),
    ),
  );
}

async function releaseAccessIn(
  place: Place,
  { state, grants, keyAccess, stated }: Releasing,
  { leases, attempt, notes }: Readonly<{ leases: Leases; attempt: Attempt; notes: Notes }>,
): Promise<void> {
  const { gone, dead } = leases;
  const { region } = place;
  const keys = state.grantKeys.filter((keyArn) => regionOfKey(keyArn) === region);
  const unsure = grants === undefined || dead.length > 0 || grants.some(({ grantId }) => grantId === undefined);
  const written = state.shares.filter((entry) => entry.region === region);
  const shared = attempt(`Looking for shares in ${region}`, async () => {
    const copies = await findEncryptedCopies(place, state.imageId);
    return new Set([
      ...written.flatMap(({ resources }) => resources),
      ...copies.images.flatMap((image) => [image.ImageId ?? '', ...snapshotIdsOf(image)]),
      ...idsOf(copies.snapshots),
      // What a run that died may have shared.
      ...(dead.length > 0 ? await sourceResources(place, state.imageId) : []),
    ]);
  });
  await joined([
    ...(unsure ? keys : []).map((keyArn) =>
      attempt(`Revoking grants on ${keyArn}`, () => revokeByName(place, keyArn, { imageId: state.imageId, gone })),
    ),
    ...(keyAccess === 'policy' ? keys : []).map((keyArn) =>
      attempt(`Restoring the policy of ${keyArn}`, () =>
        restorePolicy(place, keyArn, { gone, isSure: !(stated ?? keys).includes(keyArn) }),
      ),
    ),
    shared.then((ids) =>
      unshareAll(place, [...(ids ?? [])], { written, leaseId: state.leaseId, gone, attempt, notes }),
    ),
  ]);
}

/** The source AMI and its snapshots. */
async function sourceResources(place: Place, imageId: string): Promise<string[]> {
  const image = await read(place, imageId);
  return image === null ? [] : [imageId, ...snapshotIdsOf(image)];
}

/** Encrypted copies of the image, and snapshots of such copies: those that no image names (any more) too. */
async function findEncryptedCopies(place: Place, imageId: string): Promise<{ images: Image[]; snapshots: Snapshot[] }> {
  const ofSource = { Name: `tag:${tagKeys.sourceAmi}`, Values: [imageId] };
  const intermediate = { Name: 'tag-key', Values: [tagKeys.intermediate] };
  const [images, snapshots] = await joined<[Image[], Snapshot[]]>([
    ownImages(place, ofSource, intermediate),
    ownSnapshots(place, ofSource, intermediate),
  ]);
  return { images, snapshots };
}

type Copies = Readonly<{ releasing: Releasing; leases: Leases; notes: Notes; attempt: Attempt }>;

/** Removes the encrypted copies in a region unless somebody needs them. Gives whether the leases have nothing more to tell. */
async function releaseCopies(place: Place, { releasing, leases, notes, attempt }: Copies): Promise<boolean> {
  const { state, keepIntermediates } = releasing;
  const { keepPending } = state;
  const found = await attempt(`Looking for encrypted copies in ${place.region}`, () =>
    findEncryptedCopies(place, state.imageId),
  );
  if (found === undefined) return false;
  const ids = [
    ...found.images.flatMap(({ ImageId }) => ImageId ?? []),
    ...(found.images.length > 0 ? [] : idsOf(found.snapshots)),
  ];
  if (keepIntermediates || ids.length === 0) return true;
  if (leases.live.length > 0) {
    notes.stays.push(
      `${ids.join(', ')} in ${placeName(place)} stays: another run on ${state.imageId} uses it, and takes it back`,
    );
    return true;
  }
  if (keepPending && (notes.goesOn.length > 0 || releasing.grants === undefined)) {
    notes.goesOn.push(
      `${ids.join(', ')} in ${placeName(place)} stays, since copies read from it. What to do: nothing, the next run on ${state.imageId} or a sweep takes it back`,
    );
    return false;
  }
  const gone = (removed: readonly string[]) => {
    for (const id of removed) notes.gone.add(id);
  };
  await joined(
    found.images.map((copy) =>
      attempt(`Removing the encrypted copy ${copy.ImageId}`, async () => {
        await removeImage(place, copy);
        gone([copy.ImageId ?? '', ...snapshotIdsOf(copy)]);
        return `removed the encrypted copy ${copy.ImageId}`;
      }),
    ),
  );
  const removed = new Set(found.images.flatMap(snapshotIdsOf));
  const loose = idsOf(found.snapshots).filter((id) => !removed.has(id));
  if (loose.length > 0)
    await attempt(`Deleting ${loose.join(', ')}`, async () => {
      await joined(loose.map((id) => deleteSnapshot(place, id)));
      gone(loose);
      return `deleted ${loose.join(', ')}`;
    });
  return true;
}

async function restorePolicy(
  place: Place,
  keyArn: string,
  { gone, isSure }: Readonly<{ gone: readonly string[]; isSure: boolean }>,
): Promise<string | undefined> {
  const change = (policy: Policy) => withoutStatements(policy, gone);
  const changed = await changePolicy(place, keyArn, { change, isSure });
  return changed ? `took the statements out of the policy of ${keyArn} again` : undefined;
}

async function revokeKnown(
  source: (region: string) => Place,
  grants: readonly KnownGrant[],
): Promise<string | undefined> {
  const known = grants.flatMap(({ keyArn, grantId }) => (grantId === undefined ? [] : [{ keyArn, grantId }]));
  await joined(known.map(({ keyArn, grantId }) => revoke(source(regionOfKey(keyArn)), keyArn, grantId)));
  return known.length === 0 ? undefined : `revoked ${counted(known.length, 'grant')}`;
}

async function revokeByName(
  place: Place,
  keyArn: string,
  { imageId, gone }: Readonly<{ imageId: string; gone: readonly string[] }>,
): Promise<string | undefined> {
  const names = new Set(gone.map((id) => grantName(imageId, id)));
  // All are read before one is revoked: a page must not move while it is read.
  const found = (await listGrants(place, keyArn)).flatMap(({ GrantId, Name }) =>
    GrantId !== undefined && Name !== undefined && names.has(Name) ? [GrantId] : [],
  );
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

type Unsharing = Pick<LedgerState, 'leaseId'> &
  Readonly<{ written: LedgerState['shares']; gone: readonly string[]; attempt: Attempt; notes: Notes }>;

/** Removes what the leases in `gone` share and no other does, by the tags on the resources and by what was written down. */
async function unshareAll(place: Place, ids: readonly string[], unsharing: Unsharing): Promise<void> {
  if (ids.length === 0) return;
  const { written, leaseId, gone, attempt, notes } = unsharing;
  const tags = await attempt(`Reading the shares of ${ids.join(', ')}`, () => readTags(place, ids));
  const taken = await joined(
    [...(tags ?? [])].map(async ([id, resourceTags]) => {
      const byLease = sharesOf(resourceTags);
      const own = written.filter(({ resources }) => resources.includes(id)).flatMap(({ accounts }) => accounts);
      const theirs = new Set(
        [...byLease].filter(([lease]) => !gone.includes(lease)).flatMap(([, accounts]) => accounts),
      );
      const ours = new Set([...own, ...gone.flatMap((lease) => byLease.get(lease) ?? [])]);
      const accounts = [...ours].filter((account) => !theirs.has(account));
      const needed = [...ours].filter((account) => theirs.has(account));
      if (needed.length > 0)
        notes.stays.push(`${id} in ${placeName(place)} stays shared with ${needed.join(', ')}: another run needs it`);
      // What was tagged a moment ago may not be read yet.
      const taggedBy = (lease: string) => byLease.get(lease) ?? (lease === leaseId ? own : []);
      const keys = gone.flatMap((lease) => shareTags(lease, taggedBy(lease))).map(({ Key }) => ({ Key }));
      const done = await attempt(`Taking back shares of ${id}`, () => unshare(place, id, { accounts, keys }), id);
      return done ?? 0;
    }),
  );
  const count = taken.reduce((sum, one) => sum + one, 0);
  if (count > 0) await attempt('Taking back shares', async () => `took back ${counted(count, 'share')}`);
}

async function unshare(
  place: Place,
  id: string,
  { accounts, keys }: Readonly<{ accounts: readonly string[]; keys: { Key: string | undefined }[] }>,
): Promise<number> {
  try {
    await changeShares(place, id, { Remove: accounts });
    if (keys.length > 0) await place.ec2(new DeleteTagsCommand({ Resources: [id], Tags: keys }));
  } catch (error) {
    // Another run that finishes at the same time has removed it, and its shares with it.
    if (!hasCode(error, 'InvalidSnapshot.NotFound', 'InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable')) throw error;
  }
  return accounts.length;
}

/**
 * The snapshots of an AMI that gave its name up: nobody needs them where the new AMI is right; nor where there is none
 * either, once their run is swept. Else they are told.
 */
async function releaseSuperseded(
  place: Place,
  superseded: readonly string[],
  { images, deletes, notes }: Readonly<{ images: readonly Image[]; deletes: boolean; notes: Notes }>,
): Promise<void> {
  if (superseded.length === 0) return;
  const where = placeName(place);
  if (deletes) {
    await joined(superseded.map((id) => deleteSnapshot(place, id)));
    notes.done.push(`deleted ${superseded.join(', ')} in ${where}`);
    return;
  }
  const both = [...superseded, ...images.map(({ ImageId }) => ImageId)].join(', ');
  notes.failed.push({
    what: `${both} in ${where}, of an AMI that gave its name up and the new one: the next run that makes the AMI sees to them`,
  });
}

type OfTarget = Readonly<{
  state: Pick<LedgerState, 'imageId' | 'leaseId' | 'keepPending' | 'finished'>;
}> &
  Pick<Releasing, 'superseding' | 'ready' | 'isLast'>;

/** The snapshots of all AMIs that have one of these. */
async function usedOf(place: Place, snapshotIds: string[]): Promise<Set<string>> {
  const users = await ownImages(place, { Name: 'block-device-mapping.snapshot-id', Values: snapshotIds });
  return new Set(users.flatMap(snapshotIdsOf));
}

/** The snapshots of an AMI that gave its name up to a run of these leases, where no AMI has them any more. */
async function findSuperseded(place: Place, leases: readonly string[]): Promise<string[]> {
  const marked = idsOf(await ownSnapshots(place, { Name: `tag:${tagKeys.superseded}`, Values: [...leases] }));
  if (marked.length === 0) return [];
  const used = await usedOf(place, marked);
  // An AMI that is there gives nothing up.
  const kept = marked.filter((id) => used.has(id));
  if (kept.length > 0) await place.ec2(new DeleteTagsCommand({ Resources: kept, Tags: [{ Key: tagKeys.superseded }] }));
  return marked.filter((id) => !used.has(id));
}

/** Removes what the leases began in one target and did not finish. Gives whether it is all gone. */
async function releaseTarget(
  place: Place,
  { state, superseding, ready, isLast }: OfTarget,
  { leases, notes }: Readonly<{ leases: Pick<Leases, 'gone' | 'live'>; notes: Notes }>,
): Promise<boolean> {
  const where = placeName(place);
  const { keepPending, finished: known } = state;
  const isSweep = state.imageId === '';
  // Copies that go on may bear the mark already.
  const ofLease = { Name: `tag:${tagKeys.lease}`, Values: [...leases.gone, ...(keepPending ? [endedLease] : [])] };
  try {
    const others = leases.gone.some((id) => id !== state.leaseId);
    const superseded = superseding || others ? await findSuperseded(place, leases.gone) : [];
    const found = await joined<[Image[], Snapshot[]]>([ownImages(place, ofLease), ownSnapshots(place, ofLease)]);
    // An AMI that a dead run was making may be what one that lives waits for.
    const isOwn = (one: Image | Snapshot) => tagValue(one, tagKeys.lease) === state.leaseId;
    const spared = leases.live.length > 0 && !found[0].every(isOwn);
    const isOurs = (one: Image | Snapshot) =>
      (!spared || isOwn(one)) && (!keepPending || isOwn(one) || tagValue(one, tagKeys.sourceAmi) === state.imageId);
    const images = found[0].filter(isOurs);
    const snapshots = found[1].filter(isOurs);
    // Without the former AMI, the new one is all that there is: a later run compares it, and uses it if it is right.
    // That the tag was taken off may be seen late: only the last look removes an AMI.
    const stay = superseded.length > 0 || !isLast;
    const halfMade = stay ? [] : images.filter(({ ImageId = '' }) => !known.includes(ImageId));
    for (const image of halfMade) {
      await removeImage(place, image);
      notes.done.push(`removed ${image.ImageId} in ${where}`);
    }
    await releaseSuperseded(place, superseded, {
      images,
      deletes: ready.has(where) || (isSweep && images.length === 0),
      notes,
    });
    // What bears a lease that has ended would be taken for half-made by the next that looks.
    await untagFinished(
      place,
      images.flatMap(({ ImageId = '' }) => (known.includes(ImageId) ? [ImageId] : [])),
    );
    const removed = new Set(halfMade.flatMap(snapshotIdsOf));
    const copies = snapshots.filter(({ SnapshotId = '' }) => !removed.has(SnapshotId) && !known.includes(SnapshotId));
    if (copies.length === 0) return !spared;
    const used = await usedOf(place, idsOf(copies));
    const loose = copies.filter(({ SnapshotId = '' }) => !used.has(SnapshotId));
    const kept = keepPending ? loose.filter(({ State }) => State === 'pending' || State === 'completed') : [];
    if (kept.length > 0) {
      const Tags = [{ Key: tagKeys.lease, Value: endedLease }];
      await place.ec2(new CreateTagsCommand({ Resources: idsOf(kept), Tags }));
      const far = kept.map(({ SnapshotId, Progress }) => `${SnapshotId} (${Progress || '0%'})`).join(', ');
      notes.goesOn.push(
        `${far} in ${where} go on being copied. What to do: run it again within a day, and it takes them over`,
      );
    }
    const going = idsOf(loose.filter((one) => !kept.includes(one)));
    await joined(going.map((id) => deleteSnapshot(place, id)));
    if (going.length > 0) notes.done.push(`deleted ${going.join(', ')} in ${where}`);
    const finished = idsOf(copies).filter((id) => used.has(id));
    await untagFinished(place, finished);
    return !spared;
  } catch (error) {
    notes.failed.push({ what: `Removing half-made copies in ${where}: ${errorMessage(error)}` });
    return false;
  }
}

/** Takes the lease off what is finished. Where that isn't allowed, it stays, as a warning told when it was finished. */
async function untagFinished(place: Place, Resources: string[]): Promise<void> {
  if (Resources.length === 0) return;
  try {
    await place.ec2(new DeleteTagsCommand({ Resources, Tags: [{ Key: tagKeys.lease }] }));
  } catch (error) {
    if (!isDenied(error)) throw error;
  }
}

/** Removes what the runs of `leases` began in one target and did not finish, but for what is `finished`. Never throws. */
export async function releaseFrom(
  place: Place,
  leases: readonly string[],
  finished: readonly string[],
): Promise<ReleaseReport> {
  const notes = noNotes();
  const state = { imageId: '', leaseId: '', keepPending: false, finished };
  await releaseTarget(
    place,
    { state, superseding: true, ready: new Set(), isLast: true },
    { leases: { gone: leases, live: [] }, notes },
  );
  return reportOf(notes);
}
