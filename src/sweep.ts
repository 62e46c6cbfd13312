import type { Image, Instance, Snapshot } from '@aws-sdk/client-ec2';
import { problemLine } from './alike.ts';
import type { Place } from './aws/clients.ts';
import { describeSnapshots, ownImages, ownSnapshots, visibleImages } from './aws/describe.ts';
import { errorMessage, placeName } from './aws/errors.ts';
import type { Host } from './host.ts';
import { snapshotIdsOf } from './image.ts';
import type { SweepRequest } from './inputs/sweep.ts';
import type { TargetRequest } from './inputs/targets.ts';
import { joined } from './join.ts';
import { leasesOf, leaseTagKeys, longestJobMs, newLeaseId, readerOf, sortLeases, unreadableLeases } from './lease.ts';
import { emptyLedger } from './ledger.ts';
import { type Accounts, openAccounts } from './observe/accounts.ts';
import { hubKey } from './observe/intermediates.ts';
import { describeKey } from './observe/key.ts';
import { keyObstacle } from './observe/source.ts';
import { leasedInstancesIfAny } from './operations/instances.ts';
import type { ReleaseReport } from './outcome.ts';
import { afterHalf, ending } from './patience.ts';
import { endedCopyMs } from './plan/earlier.ts';
import { madeAt, tieOfEncryptedCopy, tieOfEncryptedSnapshot } from './plan/evidence.ts';
import { type Findings, openFindings } from './plan/problem.ts';
import { replacedByOf } from './plan/replaced.ts';
import { findEncryptedCopies } from './release/encrypted-copies.ts';
import { nothing } from './release/notes.ts';
import { release } from './release/release.ts';
import { releaseFrom } from './release/target.ts';
import { type Log, openLog } from './report/progress.ts';
import type { Swept } from './report/sweep.ts';
import { endedLease, tagKeys, tagValue } from './tags.ts';

/*
 * A run takes back what runs on the same AMI left that died. Where no run will come by that AMI again, a sweep does it: of
 * every AMI in the source region, and in the targets that the inputs name. By the leases, and where a lease is not to be
 * found (it couldn't be written, or its AMI is gone) by AWS's times.
 */

/** Takes back what dead runs left, and makes nothing. Never touches what a live run needs, or what isn't proven to be ours. */
export function sweep(host: Host, request: SweepRequest, whole: AbortSignal): Promise<Swept> {
  return ending(whole, (signal) => sweepUntil(host, request, signal));
}

async function sweepUntil(host: Host, request: SweepRequest, signal: AbortSignal): Promise<Swept> {
  const log = openLog(host);
  // A target that doesn't answer is one that can't be reached, and leaves time for the others.
  const late = afterHalf(host, request);
  const findings = openFindings(signal, { late: () => late });
  const accounts = openAccounts(host, request, findings);
  const { account } = await accounts.openSource();
  const sweeping: Sweeping = { host, request, accounts, account, source: accounts.source(request.source.region), log };
  // A run takes its lease before it begins a copy: of the copies that are seen first, the leases are seen after.
  const targets = await lookAtTargets(sweeping, findings);
  const owners = await readOwners(sweeping);
  const swept = await joined(
    targets.map(async ({ target, looked }): Promise<ReleaseReport[]> => {
      const name = placeName(target);
      const failed = findings.of(name).map((problem) => `${name}: ${problemLine([problem])}`);
      const done = looked === undefined ? [] : await sweepTarget(looked, owners);
      const all: ReleaseReport[] = [...done, { ...nothing, failed }];
      return target.optional ? all.map((one) => ({ ...one, failed: [], allowed: one.failed })) : all;
    }),
  );
  const reports = swept.flat();
  // While anything is left in a target, the leases stay, so that the next sweep still knows whose it is.
  const isLast = reports.every(({ failed, allowed }) => failed.length === 0 && allowed.length === 0);
  for (const image of owners.abandoned) reports.push(await sweepSource(sweeping, image, isLast));
  const all = (kind: keyof ReleaseReport) => reports.flatMap((report) => report[kind]);
  for (const what of [...all('done'), ...all('stays'), ...all('foreign'), ...all('unknown'), ...owners.foreign])
    log.line('sweep', what);
  for (const what of all('warned')) log.warn(what);
  if (all('done').length === 0)
    log.line('sweep', `nothing was left in ${placeName(sweeping.source)} and ${request.targets.length} targets`);
  return { done: all('done'), failed: all('failed'), allowed: all('allowed') };
}

type Looking = Readonly<{
  host: Host;
  request: Pick<SweepRequest, 'run'>;
  accounts: Accounts;
  source: Place;
  log: Log;
}>;
type Sweeping = Looking & Readonly<{ request: SweepRequest; account: string }>;

/**
 * Something that bears the mark of a run, with what it claims by it: on which source AMI the run was, and since when it
 * bears the mark at the earliest.
 */
type Made = Readonly<{ id: string; sourceAmi: string; lease: string; since: number; isAvailable: boolean }>;
type Looked = Readonly<{ place: Place; made: readonly Made[] }>;

/** What bears the lease of the run that began it, and the snapshots of AMIs that one deregistered. */
function lookAtTargets(
  { request, accounts }: Sweeping,
  findings: Findings,
): Promise<{ target: TargetRequest; looked: Looked | undefined }[]> {
  const look = async (target: TargetRequest): Promise<Looked | undefined> => {
    const own = findings.about([placeName(target)]);
    const problem = target.everyRegion?.problem;
    if (problem !== undefined) {
      own.add(problem.where, problem.what, problem.remedy);
      return undefined;
    }
    if ((await accounts.openTarget(target, target.roleArn)) === undefined) return undefined;
    const place = accounts.target(target);
    const made = await own.attempt(placeName(place), 'looking for copies', () =>
      joined([madeIn(place), launchedIn(place)]),
    );
    return made && { place, made: made.flat() };
  };
  return joined(request.targets.map(async (target) => ({ target, looked: await look(target) })));
}

/** The instances with a lease. */
async function launchedIn(place: Place): Promise<Made[]> {
  return (await leasedInstancesIfAny(place, 'any')).map((one) => launchOf(one, place.awsNow()));
}

/** What an instance claims by its lease, and since when as far as AWS says. */
export function launchOf(one: Instance, now: number): Made {
  return {
    id: one.InstanceId ?? '',
    sourceAmi: tagValue(one, tagKeys.sourceAmi) ?? '',
    lease: tagValue(one, tagKeys.lease) ?? '',
    since: one.LaunchTime?.getTime() ?? now,
    isAvailable: false,
  };
}

/** The account's images and snapshots with the mark of a run. */
async function madeIn(place: Place): Promise<Made[]> {
  const [images, snapshots] = await joined<[Image[], Snapshot[]]>([
    ownImages(place, { Name: 'tag-key', Values: [tagKeys.lease] }),
    ownSnapshots(place, { Name: 'tag-key', Values: [tagKeys.lease, tagKeys.replacedBy] }),
  ]);
  return [...images, ...snapshots].flatMap((one) => madeOf(one, place.awsNow()));
}

/** What an image or a snapshot claims by the marks of runs, and since when as far as AWS says. */
export function madeOf(one: Image | Snapshot, now: number): Made[] {
  const lease = tagValue(one, tagKeys.lease);
  const replaced = isImage(one) ? undefined : replacedByOf(one);
  const base = { id: idOf(one), isAvailable: isImage(one) && one.State === 'available' };
  const sourceAmi = tagValue(one, tagKeys.sourceAmi) ?? '';
  return [
    ...(lease === undefined ? [] : [{ ...base, sourceAmi, lease, since: madeAt(one) ?? now }]),
    ...(replaced === undefined
      ? []
      : [{ ...base, sourceAmi: replaced.imageId, lease: replaced.lease, since: replaced.at }]),
  ];
}

const isImage = (one: Image | Snapshot): one is Image => 'ImageId' in one;
const idOf = (one: Image | Snapshot): string => (isImage(one) ? one.ImageId : one.SnapshotId) ?? '';

/** Whose work there may be, by the leases on AMIs of the source region and by AWS's times. */
export type Owners = Readonly<{
  /** Since when the run of a lease makes things, where it has ended; undefined where it may be at work. */
  endedSince: (made: Made) => number | undefined;
  /** AMIs on which runs died; of those that are gone, the ID alone. */
  abandoned: readonly Image[];
  /** The encrypted copies of an AMI that are there, each with the AMI that it is of. */
  parents: (imageId: string) => Promise<ReadonlyMap<string, string>>;
  /** What only bears the tags of encrypted copies. */
  foreign: readonly string[];
}>;

/** Reads the leases on the AMIs of the source region, and what else tells whose work there may be. */
export async function readOwners({ host, request, accounts, source, log }: Looking): Promise<Owners> {
  const marked = { Name: 'tag-key', Values: [tagKeys.intermediate] };
  const intermediates = [...(await ownImages(source, marked)), ...(await ownSnapshots(source, marked))];
  const copies = intermediates.map((one) => {
    const sourceAmi = tagValue(one, tagKeys.sourceAmi) ?? '';
    const tie = isImage(one) ? tieOfEncryptedCopy(one, sourceAmi) : tieOfEncryptedSnapshot(one, sourceAmi);
    return { id: idOf(one), sourceAmi, since: madeAt(one) ?? source.awsNow(), tie };
  });
  const leased = await visibleImages(source, { Name: 'tag-key', Values: [leaseTagKeys] });
  const reader = readerOf(host, request.run, source.awsNow());
  const sorted = new Map(leased.map((image) => [image.ImageId ?? '', { image, ...sortLeases(image, '', reader) }]));
  for (const { image } of sorted.values())
    for (const tag of unreadableLeases(image.Tags, reader.now))
      log.warn(`the tag ${tag} of ${image.ImageId} reads as no run's lease, and is left alone`);
  const isOld = (since: number) => reader.now - since > longestJobMs;
  const atWork = new Set(
    [...sorted.values()].flatMap(({ live, outdated }) => [...live, ...outdated]).map(({ id }) => id),
  );
  const proven = copies.filter(({ tie }) => tie.is === 'proven');
  const unleased = proven.filter(({ sourceAmi, since }) => !sorted.has(sourceAmi) && isOld(since));
  return {
    endedSince({ lease, sourceAmi, since, isAvailable }) {
      if (lease === endedLease) return reader.now - since > endedCopyMs ? 0 : undefined;
      // Whatever AMI it is on: a tag on the resource says which.
      if (atWork.has(lease)) return undefined;
      const ended = sorted.get(sourceAmi)?.dead.find(({ id }) => id === lease);
      if (ended !== undefined) return ended.since;
      // By its age alone, no AMI is removed that may be in use: its tag may not have been taken off.
      return isOld(since) && !isAvailable ? 0 : undefined;
    },
    abandoned: [
      ...[...sorted.values()].flatMap(({ image, dead }) => (dead.length > 0 ? [image] : [])),
      ...[...new Set(unleased.map(({ sourceAmi }) => sourceAmi))].map((ImageId) => ({ ImageId })),
    ],
    async parents(imageId) {
      const regions = sorted.get(imageId)?.dead.flatMap((lease) => lease.regions) ?? [];
      const places = [source, ...[...new Set(regions)].map(accounts.source)];
      // Only a tag says that there are any in other regions.
      const found = await joined(places.map((place) => findEncryptedCopies(place, imageId).catch(() => undefined)));
      const images = found.flatMap((copies) => copies?.images ?? []);
      return new Map(images.map(({ ImageId = '' }) => [ImageId, imageId]));
    },
    foreign: copies.flatMap(({ id, tie }) =>
      tie.is === 'proven' ? [] : [`${id} in ${placeName(source)} is left alone: ${tie.why}`],
    ),
  };
}

function sweepTarget({ place, made }: Looked, { endedSince, parents }: Owners): Promise<ReleaseReport[]> {
  const left = made.filter((one) => endedSince(one) !== undefined);
  const finished = made.filter((one) => !left.includes(one)).map(({ id }) => id);
  const byImage = [...Map.groupBy(left, ({ sourceAmi }) => sourceAmi)];
  return joined(
    byImage.map(([imageId, ofImage]) => {
      const gone = new Map(ofImage.map((one) => [one.lease, endedSince(one) ?? 0]));
      return releaseFrom(place, { imageId, gone, finished, parents: () => parents(imageId) });
    }),
  );
}

/** Takes back what runs that died on an image left in the source account. */
async function sweepSource(sweeping: Sweeping, image: Image, isLast: boolean): Promise<ReleaseReport> {
  const { host, request, accounts, account } = sweeping;
  const regions = [...new Set(leasesOf(image.Tags).flatMap((lease) => lease.regions))];
  return release({
    source: accounts.source,
    sourceRegion: request.source.region,
    targets: [],
    reached: request.targets.map(placeName),
    state: {
      ...emptyLedger,
      ...{ account, imageId: image.ImageId ?? '', leaseId: newLeaseId() },
      grantKeys: await keysOf(sweeping, image, regions),
    },
    grants: undefined,
    stated: [],
    unproven: new Set(),
    keyAccess: request.source.keyAccess,
    keepIntermediates: request.keepIntermediates,
    reader: (now) => readerOf(host, request.run, now),
    superseding: false,
    torn: 'failed',
    ready: new Set(),
    patient: false,
    isLast,
  });
}

/** The keys that runs on the image may have made grants on. */
async function keysOf(
  { request, account, accounts, source, log }: Sweeping,
  image: Image,
  regions: readonly string[],
): Promise<string[]> {
  const snapshots = await describeSnapshots(source, snapshotIdsOf(image));
  const own = [...new Set(snapshots.flatMap(({ KmsKeyId }) => KmsKeyId ?? []))];
  const usable = await joined(own.map(async (arn) => ((await keyObstacle(source, arn)) === undefined ? [arn] : [])));
  const given = request.source.kmsKey;
  const named = given === undefined ? [] : [(await describeKey(source, given)).Arn ?? []];
  // Only a tag says that anything was made there.
  const hubs = await joined(
    regions.map(async (region) => {
      const key = hubKey(request, account, region);
      if (key === undefined) return [];
      try {
        return (await describeKey(accounts.source(region), key)).Arn ?? [];
      } catch (error) {
        log.line(
          'sweep',
          `the key ${key} in ${region}, which a lease names, could not be read: ${errorMessage(error)}`,
        );
        return [];
      }
    }),
  );
  return [...new Set([...usable, ...named, ...hubs].flat())];
}
