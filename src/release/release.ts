import type { Image } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages } from '../aws/describe.ts';
import { placeName } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import { joined } from '../join.ts';
import {
  dropLeases,
  endLease,
  isWithin,
  type LeaseRecord,
  leasesOf,
  leaseTagKey,
  longestJobMs,
  sortLeases,
  targetMarks,
} from '../lease.ts';
import type { ReleaseReport } from '../outcome.ts';
import { releaseAccess, revokeKnown } from './access.ts';
import { findEncryptedCopies, releaseCopies } from './encrypted-copies.ts';
import { tellForeignGrants } from './foreign-grants.ts';
import { knownLeft } from './known-left.ts';
import { type Attempt, addAllowed, type Notes, noNotes, noting, notingTagged, reportOf } from './notes.ts';
import type { Leases, Releasing } from './releasing.ts';
import { releaseTarget } from './target.ts';

/*
 * What runs made for a time is taken back: by owners, which are leases, and by what is there that is theirs. The end of a
 * run, its post step, the next run on the AMI and a sweep are this one function. Access goes first. What a live run needs
 * is left alone, and so is whatever isn't proven to be ours; doing it again does nothing more.
 */

/** Whoever ends while others seem to live looks again so much later: a mark of their end is seen late at times. */
const secondLookMs = 3000;
/** Where a lease is waited for, the looks come to be so far apart. */
const longestPauseMs = 30_000;

/** Never throws: each failure is in the report, and then the lease is left, so that the next run finds what is to do. */
export async function release(releasing: Releasing): Promise<ReleaseReport> {
  const { state, source, sourceRegion } = releasing;
  const notes = noNotes();
  const attempt = noting(notes, state.account);
  const place = source(sourceRegion);
  const revokeOwn = () => attempt('Revoking grants', () => revokeKnown(source, releasing.grants ?? []));
  const first = await endAndRead(releasing, attempt);
  if (first === undefined) return releaseBlindly(releasing, revokeOwn, notes);
  let leases = sorted(first, releasing);
  let targets = inTargets(releasing, leases, notes);
  const sharesEnd = accessBy(releasing, leases, notes);
  // By its grants, whoever comes next knows what of the source's own a run that is killed here had shared.
  if (sharesSource(state, first)) await sharesEnd;
  await joined([sharesEnd, revokeOwn()]);
  const until = releasing.patient ? leases.awaitedUntil : 0;
  let pauseMs = secondLookMs;
  let isToLook = leases.live.length > 0;
  while (isToLook) {
    await place.sleep(pauseMs).catch(() => undefined);
    const again = await attempt(`Reading ${state.imageId}`, () => read(place, state.imageId));
    const later = again === undefined ? leases : sorted(again, releasing);
    const ended = new Map([...later.dead].filter(([id]) => !leases.dead.has(id)));
    if (ended.size > 0) {
      const former = targets;
      const more = inTargets(releasing, { ...later, dead: ended }, notes);
      targets = joined([former, more]).then((both) => both.flat());
      await accessBy(releasing, later, notes);
    }
    leases = later;
    pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    isToLook = leases.awaitedUntil > 0 && place.awsNow() < until && !place.signal.aborted;
  }
  // Whether copies go on is known then, and so whether the encrypted copy that they read from may go.
  if (state.keepPending) await targets;
  const unseen = new Set<string>();
  await inRegions(releasing, leases, async (region) => {
    const attempt = attemptIn(region, releasing, notes);
    if (!(await releaseCopies(source(region), { releasing, leases, notes, attempt }))) unseen.add(region);
  });
  const finished = (await targets).every(Boolean);
  tellTorn(releasing, leases, notes);
  const report = reportOf(notes);
  // By the lease, the next run knows that there is something to take over.
  const goesOn = report.goesOn.length > 0 || (state.keepPending && releasing.grants === undefined);
  if (report.failed.length === 0 && !goesOn && finished && first !== null && releasing.isLast)
    await attempt(`Removing leases from ${state.imageId}`, () =>
      dropLeases(place, state.imageId, [
        ...(state.leased ? [state.leaseId] : []),
        ...settled(releasing, leases, unseen),
      ]),
    );
  return reportOf(notes);
}

/** Not knowing the leases, nothing that others may need is touched. */
async function releaseBlindly(
  releasing: Releasing,
  revokeOwn: () => Promise<unknown>,
  notes: Notes,
): Promise<ReleaseReport> {
  const keys = [...new Set((releasing.grants ?? []).map(({ keyArn }) => keyArn))];
  const leases = sorted(null, releasing);
  await joined<[unknown, unknown]>([revokeOwn(), tellForeignGrants({ keys, found: [] }, { releasing, leases, notes })]);
  notes.failed.push(...knownLeft(releasing).map((what) => ({ what })));
  return reportOf(notes);
}

/** Whether the run shared what isn't this action's own; of an AMI that is gone, nobody knows. */
function sharesSource({ shares, imageId }: Releasing['state'], image: Image | null): boolean {
  const own = new Set(image === null ? [] : [imageId, ...snapshotIdsOf(image)]);
  return shares.some(({ resources }) => image === null || resources.some((id) => own.has(id)));
}

/** Tells what only a run that sets all of it can mend; the lease of the run that died stays until then. */
function tellTorn({ state: { imageId }, torn, hasSet }: Releasing, { dead }: Leases, notes: Notes): void {
  for (const { setting, runId, id } of dead.values()) {
    if (setting === undefined || setting === hasSet) continue;
    const what = `run ${runId} on ${imageId} died as it set SSM parameters and launch templates, which may name different AMIs now. What to do: run it again with its inputs, which sets all of them; or, where a later run on another AMI has, take the tag ${leaseTagKey(id)} off ${imageId}`;
    if (torn === 'failed') notes.failed.push({ what });
    else notes.warned.push(what);
  }
}

/**
 * The dead leases that tell of nothing any more: whose targets and regions were all seen to, and whose SSM parameters and
 * launch templates were all set, or by which nothing goes for their age.
 */
function settled(
  { reached, source, sourceRegion, hasSet }: Releasing,
  { dead }: Leases,
  unseen: ReadonlySet<string>,
): string[] {
  const now = source(sourceRegion).awsNow();
  const isOver = (lease: LeaseRecord) =>
    (isWithin(lease, reached) &&
      (lease.setting === undefined || lease.setting === hasSet) &&
      !lease.regions.some((region) => unseen.has(region))) ||
    now - lease.since > longestJobMs;
  return [...dead.values()].filter(isOver).map(({ id }) => id);
}

function sorted(image: Image | null, { state, reader, source, sourceRegion, hasSet }: Releasing): Leases {
  const now = source(sourceRegion).awsNow();
  const { live, outdated, dead } = sortLeases(image ?? undefined, state.leaseId, reader(now));
  // Should such a run die, what it left half set is this owner's to mend, which comes after it.
  const alike = live.filter(({ setting }) => setting !== undefined && setting === hasSet);
  return {
    gone: [state.leaseId, ...dead.map(({ id }) => id)],
    dead: new Map(dead.map((lease) => [lease.id, lease])),
    live: [...live, ...outdated].map(({ id }) => id),
    awaitedUntil: Math.max(0, ...[...outdated, ...alike].map(({ expiresAt }) => expiresAt)),
    regions: dead.flatMap(({ regions }) => regions),
  };
}

/** Does something in each region of the source account in which the leases' runs may have made something. */
function inRegions<T>(
  { sourceRegion, state }: Releasing,
  { regions }: Leases,
  act: (region: string) => Promise<T>,
): Promise<T[]> {
  return joined([...new Set([sourceRegion, ...state.regions, ...regions])].map(act));
}

/** Whether the run itself makes something in a region; of others, only a tag says that anything was made there. */
function isKnown(region: string, { sourceRegion, state }: Releasing): boolean {
  return region === sourceRegion || state.regions.includes(region);
}

function attemptIn(region: string, releasing: Releasing, notes: Notes): Attempt {
  return (isKnown(region, releasing) ? noting : notingTagged)(notes, releasing.state.account);
}

function accessBy(releasing: Releasing, leases: Leases, notes: Notes): Promise<unknown> {
  return inRegions(releasing, leases, (region) => {
    const attempt = attemptIn(region, releasing, notes);
    return releaseAccess(releasing.source(region), releasing, { leases, attempt, notes });
  });
}

/** Removes what the leases' runs began in the targets. Gives of each whether it is all gone. */
function inTargets(releasing: Releasing, leases: Leases, notes: Notes): Promise<boolean[]> {
  const { state, targets, optional, superseding, ready, patient, grants, isLast } = releasing;
  let known: Promise<ReadonlyMap<string, string>> | undefined;
  const parents = () => {
    known ??= parentsOf(releasing, leases, notes);
    return known;
  };
  const dead = [...leases.dead].map(([id, { since }]): [string, number] => [id, since]);
  const gone = new Map([[state.leaseId, state.since], ...dead]);
  const owners = {
    state,
    gone,
    othersLive: leases.live.length > 0,
    superseding,
    // Neither a run that is cancelled has it, nor post before its last look.
    mayWait: isLast && (patient || state.keepPending || grants === undefined),
    isLast,
    isSweep: false,
    parents,
  };
  return joined(
    targets.map(async (target) => {
      const where = placeName(target);
      const own = optional?.has(where) ? noNotes() : notes;
      const isGone = await releaseTarget(target, { ...owners, ready: ready.has(where) }, own);
      if (own === notes) return isGone;
      addAllowed(notes, own);
      return isGone && own.failed.length === 0;
    }),
  );
}

/** The encrypted copies that are there, each with the AMI that it is of. */
async function parentsOf(releasing: Releasing, leases: Leases, notes: Notes): Promise<ReadonlyMap<string, string>> {
  const { imageId } = releasing.state;
  const found = await inRegions(releasing, leases, (region) =>
    attemptIn(
      region,
      releasing,
      notes,
    )(`Looking for encrypted copies in ${region}`, () => findEncryptedCopies(releasing.source(region), imageId)),
  );
  const images = found.flatMap((copies) => copies?.images ?? []);
  return new Map(images.map(({ ImageId = '' }) => [ImageId, imageId]));
}

async function read(place: Place, imageId: string): Promise<Image | null> {
  return (await describeImages(place, [imageId]))[0] ?? null;
}

/** Marks the owner's lease as ended, and reads who else there is. Null where the AMI is gone; undefined where it can't be read. */
async function endAndRead(
  { source, sourceRegion, state, grants, reached }: Releasing,
  attempt: Attempt,
): Promise<Image | null | undefined> {
  const place = source(sourceRegion);
  const { imageId, leaseId, since, regions } = state;
  const look = () => attempt(`Reading ${imageId}`, () => read(place, imageId));
  // A run knows that it holds its lease; of one that died, only a look can tell.
  const image = grants === undefined ? await look() : undefined;
  const isHeld = leasesOf(image?.Tags).some(({ id, expiresAt }) => id === leaseId && expiresAt > 0);
  if (image !== undefined && !isHeld) return image;
  if (state.leased)
    await attempt(`Ending the lease on ${imageId}`, () =>
      endLease(place, imageId, { id: leaseId, since, targets: targetMarks(reached), regions }),
    );
  return look();
}
