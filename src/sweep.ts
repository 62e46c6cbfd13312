import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from './aws/clients.ts';
import { describeSnapshots, ownImages, ownSnapshots, visibleImages } from './aws/describe.ts';
import { placeName } from './aws/errors.ts';
import type { Host } from './host.ts';
import { snapshotIdsOf } from './image.ts';
import type { Request } from './inputs.ts';
import { leasesOf, leaseTagKeys, newLeaseId, readerOf, sortLeases } from './lease.ts';
import { emptyLedger } from './ledger.ts';
import { type Accounts, openAccounts } from './observe/accounts.ts';
import { describeKey } from './observe/key.ts';
import { hubKey } from './observe/observe.ts';
import { keyObstacle } from './observe/source.ts';
import { endedCopyMs } from './plan/earlier.ts';
import { openFindings } from './plan/problem.ts';
import { nothing, type ReleaseReport, release, releaseFrom } from './release.ts';
import type { Report } from './report/outputs.ts';
import { openLog } from './report/progress.ts';
import { endedLease, tagKeys, tagValue } from './tags.ts';

/*
 * A run takes back what runs on the same AMI left that died. Where no run will come by that AMI again, a sweep does it: of
 * every AMI in the source region, and in the targets that the inputs name. By the leases, and where a lease is not to be
 * found (it couldn't be written, or its AMI is gone) by age.
 */

/** No job lasts longer: https://docs.github.com/actions/reference/limits */
const longestJobMs = 5 * 24 * 3_600_000;

/** Takes back what dead runs left, and makes nothing. Never touches what a live run needs. */
export async function sweep(host: Host, request: Request, signal: AbortSignal): Promise<Report> {
  const log = openLog(host);
  const findings = openFindings(signal, host.clock.now);
  const accounts = openAccounts(host, request, findings);
  const { account } = await accounts.openSource();
  const source = accounts.source(request.source.region);
  // A run takes its lease before it begins a copy: of the copies that are seen first, the leases are seen after.
  const targets = await Promise.all(
    request.targets.map(async (target) => {
      if ((await accounts.openTarget(target, target.roleArn)) === undefined) return undefined;
      const place = accounts.target(target);
      return { place, copies: await findings.attempt(placeName(place), 'looking for copies', () => begun(place)) };
    }),
  );
  const intermediates = await made(source, tagKeys.intermediate);
  const leased = await visibleImages(source, { Name: 'tag-key', Values: [leaseTagKeys] });
  const reader = readerOf(host, request.run);
  const isOld = (since: number) => reader.now - since > longestJobMs;
  const sorted = leased.map((image) => ({ image, ...sortLeases(image, '', reader) }));
  const live = new Set(sorted.flatMap((one) => [...one.live, ...one.outdated].map(({ id }) => id)));
  const dead = new Set(sorted.flatMap((one) => one.dead.map(({ id }) => id)));

  const swept = await Promise.all(
    targets.map(async (target) => {
      // By its age alone, no AMI is removed that may be in use: its tag may not have been taken off.
      const left = (target?.copies ?? []).filter(({ lease, since, isAvailable }) =>
        lease === endedLease
          ? reader.now - since > endedCopyMs
          : dead.has(lease) || (!live.has(lease) && isOld(since) && !isAvailable),
      );
      const leases = [...new Set(left.map(({ lease }) => lease))];
      const finished = (target?.copies ?? []).filter((one) => !left.includes(one)).map(({ id }) => id);
      return target === undefined || leases.length === 0 ? [] : [await releaseFrom(target.place, leases, finished)];
    }),
  );
  const problems = findings.problems.map(({ where, what }) => `${where}: ${what}`);
  const reports: ReleaseReport[] = [...swept.flat(), { ...nothing, failed: problems }];
  // While anything is left in a target, the leases stay, so that the next sweep still knows whose it is.
  const dropLeases = reports.every(({ failed }) => failed.length === 0);

  const abandoned = sorted.filter((one) => one.dead.length > 0).map(({ image }) => image);
  const known = new Set(leased.map(({ ImageId }) => ImageId));
  const unleased = intermediates.filter(({ sourceAmi, since }) => !known.has(sourceAmi) && isOld(since));
  const images: Image[] = [...abandoned, ...new Set(unleased.map(({ sourceAmi }) => sourceAmi))].map((one) =>
    typeof one === 'string' ? { ImageId: one } : one,
  );
  for (const image of images) {
    const regions = [...new Set(leasesOf(image.Tags).flatMap((lease) => lease.regions))];
    reports.push(
      await release({
        source: accounts.source,
        sourceRegion: source.region,
        targets: [],
        state: {
          ...emptyLedger,
          ...{ account, imageId: image.ImageId ?? '', leaseId: newLeaseId(), regions },
          grantKeys: await keysOf({ request, account, accounts }, image, regions),
        },
        grants: undefined,
        stated: [],
        keyAccess: request.source.keyAccess,
        keepIntermediates: request.keepIntermediates,
        reader: () => readerOf(host, request.run),
        superseding: false,
        ready: new Set(),
        patient: false,
        isLast: dropLeases,
      }),
    );
  }
  const done = reports.flatMap((report) => report.done);
  for (const what of done) log.line('sweep', what);
  if (done.length === 0)
    log.line('sweep', `nothing was left in ${placeName(source)} and ${request.targets.length} targets`);
  const cleanUp = { done, failed: reports.flatMap((report) => report.failed) };
  return {
    ...{ swept: true, sourceAmiId: '', plan: undefined, targets: [], failures: [], timeline: [] },
    cleanUp,
    seconds: log.elapsedSeconds(),
  };
}

type Made = Readonly<{ id: string; sourceAmi: string; lease: string; since: number; isAvailable: boolean }>;

/** What bears the lease of the run that began it, and the snapshots of AMIs that gave their name up to one. */
async function begun(place: Place): Promise<Made[]> {
  return (await Promise.all([made(place, tagKeys.lease), made(place, tagKeys.superseded)])).flat();
}

/** The account's images and snapshots with a tag of ours. */
async function made(place: Place, key: string): Promise<Made[]> {
  const filter = { Name: 'tag-key', Values: [key] };
  const [images, snapshots] = await Promise.all([ownImages(place, filter), ownSnapshots(place, filter)]);
  const origin = (resource: Image | Snapshot, since: Date | string | undefined): Omit<Made, 'id' | 'isAvailable'> => ({
    sourceAmi: tagValue(resource, tagKeys.sourceAmi) ?? '',
    lease: tagValue(resource, key) ?? '',
    since: new Date(since ?? place.clock.now()).getTime(),
  });
  return [
    ...images.map((image) => ({
      ...{ id: image.ImageId ?? '', isAvailable: image.State === 'available' },
      ...origin(image, image.CreationDate),
    })),
    ...snapshots.map((snapshot) => ({
      ...{ id: snapshot.SnapshotId ?? '', isAvailable: false },
      ...origin(snapshot, snapshot.StartTime),
    })),
  ];
}

/** The keys that runs on the image may have made grants on. */
async function keysOf(
  { request, account, accounts }: Readonly<{ request: Request; account: string; accounts: Accounts }>,
  image: Image,
  regions: readonly string[],
): Promise<string[]> {
  const place = accounts.source(request.source.region);
  const snapshots = await describeSnapshots(place, snapshotIdsOf(image));
  const own = [...new Set(snapshots.flatMap(({ KmsKeyId }) => KmsKeyId ?? []))];
  const usable = await Promise.all(own.map(async (arn) => ((await keyObstacle(place, arn)) === undefined ? arn : [])));
  const named = [
    { place, key: request.source.kmsKey },
    ...regions.map((region) => ({ place: accounts.source(region), key: hubKey(request, account, region) })),
  ];
  const given = await Promise.all(
    named.map(async ({ place, key }) => (key === undefined ? [] : ((await describeKey(place, key)).Arn ?? []))),
  );
  return [...new Set([...usable, ...given].flat())];
}
