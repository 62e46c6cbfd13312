import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from './aws/clients.ts';
import { describeSnapshots, ownImages, ownSnapshots, visibleImages } from './aws/describe.ts';
import { placeName } from './aws/errors.ts';
import type { Host } from './host.ts';
import { snapshotIdsOf } from './image.ts';
import type { Request } from './inputs.ts';
import { leasesOf, leaseTagKeys, newLeaseId, readerOf, sortLeases } from './lease.ts';
import { openCallers } from './plan/callers.ts';
import { describeKey } from './plan/key.ts';
import { openFindings } from './plan/problem.ts';
import { hubKey } from './plan/resolve.ts';
import { keyObstacle } from './plan/source.ts';
import type { Report } from './report/outputs.ts';
import { openLog } from './report/progress.ts';
import { type CleanUpReport, cleanUpSource, cleanUpTarget } from './steps/clean-up.ts';
import { tagKeys, tagValue } from './tags.ts';

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
  const findings = openFindings(signal);
  const callers = openCallers(host, request, findings);
  const { account, at } = await callers.source();
  const source = at(request.source.region);
  // A run takes its lease before it begins a copy: of the copies that are seen first, the leases are seen after.
  const targets = await Promise.all(
    request.targets.map(async (target) => {
      const caller = await callers.target(target, target.roleArn);
      const place = caller?.at(target.region);
      return (
        place && { place, copies: await findings.attempt(placeName(place), 'looking for copies', () => begun(place)) }
      );
    }),
  );
  const intermediates = await made(source, tagKeys.intermediate);
  const leased = await visibleImages(source, { Name: 'tag-key', Values: [leaseTagKeys] });
  const reader = readerOf(host, request.run);
  const isOld = (since: number) => reader.now - since > longestJobMs;
  const sorted = leased.map((image) => ({ image, ...sortLeases(image, '', reader) }));
  const live = new Set(sorted.flatMap((one) => one.live.map(({ id }) => id)));
  const dead = new Set(sorted.flatMap((one) => one.dead.map(({ id }) => id)));

  const swept = await Promise.all(
    targets.map(async (target) => {
      const left = (target?.copies ?? []).filter(
        ({ lease, since }) => dead.has(lease) || (!live.has(lease) && isOld(since)),
      );
      const leases = [...new Set(left.map(({ lease }) => lease))];
      return target === undefined || leases.length === 0 ? [] : [await cleanUpTarget(target.place, leases)];
    }),
  );
  const problems = findings.problems.map(({ where, what }) => `${where}: ${what}`);
  const reports: CleanUpReport[] = [...swept.flat(), { done: [], failed: problems }];
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
      await cleanUpSource(
        at,
        source.region,
        {
          account,
          imageId: image.ImageId ?? '',
          leaseId: newLeaseId(),
          leased: false,
          grantKeys: await keysOf(request, at, account, image, regions),
          shares: [],
          regions,
          targets: {},
          promotions: [],
        },
        {
          made: undefined,
          keyAccess: request.source.keyAccess,
          keepIntermediates: request.keepIntermediates,
          reader,
          dropLeases,
        },
      ),
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

type Made = Readonly<{ sourceAmi: string; lease: string; since: number }>;

/** What bears the lease of the run that began it. */
function begun(place: Place): Promise<Made[]> {
  return made(place, tagKeys.lease);
}

/** The account's images and snapshots with a tag of ours. */
async function made(place: Place, key: string): Promise<Made[]> {
  const filter = { Name: 'tag-key', Values: [key] };
  const [images, snapshots] = await Promise.all([ownImages(place, filter), ownSnapshots(place, filter)]);
  const origin = (resource: Image | Snapshot, since: Date | string | undefined): Made => ({
    sourceAmi: tagValue(resource, tagKeys.sourceAmi) ?? '',
    lease: tagValue(resource, tagKeys.lease) ?? '',
    since: new Date(since ?? place.clock.now()).getTime(),
  });
  return [
    ...images.map((image) => origin(image, image.CreationDate)),
    ...snapshots.map((snapshot) => origin(snapshot, snapshot.StartTime)),
  ];
}

/** The keys that runs on the image may have made grants on. */
async function keysOf(
  request: Request,
  at: (region: string) => Place,
  account: string,
  image: Image,
  regions: readonly string[],
): Promise<string[]> {
  const place = at(request.source.region);
  const snapshots = await describeSnapshots(place, snapshotIdsOf(image));
  const own = [...new Set(snapshots.flatMap(({ KmsKeyId }) => KmsKeyId ?? []))];
  const usable = await Promise.all(own.map(async (arn) => ((await keyObstacle(place, arn)) === undefined ? arn : [])));
  const named = [
    { place, key: request.source.kmsKey },
    ...regions.map((region) => ({ place: at(region), key: hubKey(request, account, region) })),
  ];
  const given = await Promise.all(
    named.map(async ({ place, key }) => (key === undefined ? [] : ((await describeKey(place, key)).Arn ?? []))),
  );
  return [...new Set([...usable, ...given].flat())];
}
