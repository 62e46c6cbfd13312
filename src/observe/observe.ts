import { DescribeAvailabilityZonesCommand, type Image, type Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { lackOf } from '../aws/denial.ts';
import {
  ancestryOf,
  describeSnapshots,
  imagesWith,
  lockedSnapshots,
  ownImages,
  ownSnapshots,
} from '../aws/describe.ts';
import { AwsCallError, errorMessage, isDenied, placeName } from '../aws/errors.ts';
import { verdictOf } from '../aws/verdict.ts';
import { isEncryptedCopy } from '../encrypted-copy.ts';
import { type ImageExtras, idsOf, imageIdsOf, isImageDescription, isImageName, snapshotIdsOf } from '../image.ts';
import { isLineage } from '../inputs/publication.ts';
import { runValues } from '../inputs/reader.ts';
import type { TargetRequest } from '../inputs/targets.ts';
import type { Request } from '../inputs.ts';
import { joined } from '../join.ts';
import { isRejected } from '../plan/boot.ts';
import { checkFilled } from '../plan/creation-tags.ts';
import { isOfEncryptedCopy } from '../plan/evidence.ts';
import type { Hub, Intermediates, Locks, Observed, Source, Target, Users } from '../plan/facts.ts';
import type { Findings } from '../plan/problem.ts';
import { replacedFilter, replacedOn } from '../plan/replaced.ts';
import { partitionOf } from '../regions.ts';
import { isMarked, tagKeys, tagValue } from '../tags.ts';
import { fill, needsSourceImage, type TemplateValues } from '../template.ts';
import { type Accounts, roleOf } from './accounts.ts';
import { readBootSite } from './boot.ts';
import { resolveKey } from './key.ts';
import { readLaunchTemplate } from './launch-template.ts';
import { checkParameter } from './parameter.ts';
import { checkScan } from './scan.ts';
import { type Observing, readExtras, resolveSource } from './source.ts';
import { usageReportsOn } from './usage-reports.ts';
import { usersOf, whereKnown } from './users.ts';

/**
 * Reads AWS: who each role is, what each key is, what the source AMI and its snapshots are, what an earlier run left.
 * What can't be read, or can't work, goes into `findings`; then the result is undefined or lacks targets.
 */
export async function observe(request: Request, accounts: Accounts, findings: Findings): Promise<Observed | undefined> {
  const observing: Observing = { request, accounts, findings };
  let at = 0;
  const source = findings
    .attempt('source account', 'assuming the source role', () => accounts.openSource())
    .then((caller) => {
      if (caller === undefined) return undefined;
      at = accounts.source(request.source.region).awsNow();
      return resolveScanned(observing);
    });
  // Targets don't wait for the source unless their own values name it.
  const [found, targets] = await joined<[Source | undefined, Target[]]>([source, observeTargets(observing, source)]);
  if (found === undefined) return undefined;
  const hubs = await observeHubs(observing, found);
  const regions = new Set([found.place.region, ...hubs.keys()]);
  const intermediates = await joined([...regions].map((region) => readIntermediates(observing, found, region)));
  return { at, source: found, targets, hubs, intermediates: new Map(intermediates) };
}

/** What each target is and holds, without those of which that can't be read. */
export async function observeTargets(observing: Observing, source: Promise<Source | undefined>): Promise<Target[]> {
  const targets = await joined(observing.request.targets.map((target) => observeTarget(observing, target, source)));
  return targets.filter((target) => target !== undefined);
}

/** The source AMI, judged by its scan; what an instance holds is scanned once there is an AMI of it. */
async function resolveScanned(observing: Observing): Promise<Source | undefined> {
  const { request, accounts, findings } = observing;
  const source = await resolveSource(observing, 'share');
  if (source !== undefined && source.instanceId === undefined && request.scan !== undefined)
    await checkScan(accounts.source(source.place.region), source.image, { scan: request.scan, findings });
  return source;
}

/** Encrypted copies that are kept, or that another run makes, are used again. */
export async function readIntermediates(
  { accounts, findings }: Pick<Observing, 'accounts' | 'findings'>,
  { imageId, instanceId }: Source,
  region: string,
): Promise<[string, Intermediates]> {
  const place = accounts.source(region);
  const ofSource = { Name: `tag:${tagKeys.sourceAmi}`, Values: [imageId] };
  const mark = { Name: 'tag-key', Values: [tagKeys.intermediate] };
  const none: Intermediates = { images: [], snapshots: [] };
  if (instanceId !== undefined) return [region, none];
  const found = await findings.attempt(placeName(place), 'looking for encrypted copies', async () => {
    const images = await ownImages(place, ofSource, mark);
    return { images, snapshots: await ownSnapshots(place, ofSource, mark) };
  });
  return [region, found ?? none];
}

/**
 * The hubs of topology `regional-hub`: one in each region that has several targets of other accounts. Where there is one
 * target alone, or the source itself, a hub would save no transfer.
 */
async function observeHubs({ request, accounts, findings }: Observing, source: Source): Promise<Map<string, Hub>> {
  if (request.topology !== 'regional-hub') return new Map();
  const abroad = request.targets.filter(
    ({ account, region }) => account !== source.account && region !== source.place.region,
  );
  const regions = [...Map.groupBy(abroad, ({ region }) => region)].filter(([, targets]) => targets.length > 1);
  const hubs = await Promise.all(
    regions.map(async ([region]): Promise<[string, Hub][]> => {
      const place = accounts.source(region);
      const key = hubKey(request, source.account, region);
      if (key === undefined) {
        findings.add(
          placeName(place),
          'topology regional-hub needs a key of the source account in this region',
          'deploy templates/source-hub.yaml there; or give hub-kms-key, such as alias/golden-{region}; or make source-kms-key an alias that each region has, or a multi-Region key',
        );
        return [];
      }
      const kmsKeyArn = await resolveKey(place, { key, input: 'hub-kms-key' }, findings);
      return kmsKeyArn === undefined ? [] : [[region, { place: { account: source.account, region }, kmsKeyArn }]];
    }),
  );
  return new Map(hubs.flat());
}

/** The key in a hub's region: as it is given, or what source-kms-key is called there. */
export function hubKey(
  { hubKmsKey, source, run }: Pick<Request, 'hubKmsKey' | 'source' | 'run'>,
  account: string,
  region: string,
): string | undefined {
  if (hubKmsKey !== undefined) return fill(hubKmsKey, { region, account, ...runValues(run) });
  const key = source.kmsKey ?? '';
  // A multi-Region key has its ID everywhere, and an ARN in each region: https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html
  if (/^mrk-|^alias\//.test(key)) return key;
  const arn = /^(arn:[^:]+:kms:)[^:]+(:\d+:(?:alias\/.+|key\/mrk-.+))$/.exec(key);
  return arn === null ? undefined : `${arn[1]}${region}${arn[2]}`;
}

async function observeTarget(
  all: Observing,
  target: TargetRequest,
  source: Promise<Source | undefined>,
): Promise<Target | undefined> {
  const { request, accounts } = all;
  const findings = all.findings.about([placeName(target)]);
  const observing: Observing = { request, accounts, findings };
  const { account, region, everyRegion } = target;
  if (everyRegion?.problem !== undefined) {
    const { where, what, remedy } = everyRegion.problem;
    findings.add(where, what, remedy);
    return undefined;
  }
  let values: Partial<TemplateValues> = { account, region, ...runValues(request.run) };
  if ([target.roleArn ?? '', target.kmsKey].some(needsSourceImage)) {
    const image = (await source)?.image;
    if (image === undefined) return undefined;
    values = { ...values, name: image.Name ?? '', 'source-ami': image.ImageId ?? '' };
  }
  const roleArn = target.roleArn === undefined ? undefined : fill(target.roleArn, values);
  const caller = await accounts.openTarget({ account, region }, roleArn);
  if (caller === undefined) return undefined;
  const place = accounts.target({ account, region });
  const [kmsKeyArn, read] = await joined<[string | undefined, Found | undefined]>([
    resolveKey(place, { key: fill(target.kmsKey, values), input: 'target-kms-key' }, findings),
    source.then((found) => found && readTarget(observing, { target, place, roleArn, source: found })),
  ]);
  if (read === undefined || kmsKeyArn === undefined) return undefined;
  const principalArn = roleArn ?? caller.arn;
  return { request: target, place: { account, region }, roleArn, principalArn, kmsKeyArn, ...read };
}

/** Where a target is to be, and of what. */
type Origin = Readonly<{ target: TargetRequest; place: Place; roleArn: string | undefined; source: Source }>;
/** What a target has of itself, and what is there already. */
type Found = Omit<Target, 'request' | 'place' | 'roleArn' | 'principalArn' | 'kmsKeyArn'>;

async function readTarget({ request, findings }: Observing, origin: Origin): Promise<Found | undefined> {
  const { target, place, roleArn, source } = origin;
  const { image } = source;
  const where = placeName(place);
  const { account, region } = target;
  const values: TemplateValues = {
    ...{ account, region, ...runValues(request.run) },
    ...{ name: image.Name ?? '', 'source-ami': image.ImageId ?? '' },
  };
  const name = fill(target.amiName, values);
  // Without its source AMI, a name that holds that one's is left as it was asked for.
  if (source.unread === undefined && !isImageName(name)) {
    findings.add(
      where,
      `${JSON.stringify(name)} cannot name an AMI`,
      "give a target-ami-name of 3 to 128 letters, digits, spaces and ()[]./-'@_",
    );
  }
  const description = request.description === undefined ? undefined : fill(request.description, values);
  if (description !== undefined && !isImageDescription(description)) {
    findings.add(
      where,
      'the description cannot be given to an AMI',
      'give a target-ami-description of at most 255 ASCII characters',
    );
  }
  const role = roleOf(place, roleArn);
  const tags = Object.fromEntries(Object.entries(target.tags).map(([tag, value]) => [tag, fill(value, values)]));
  checkFilled(tags, 'tags', { findings, where });
  const lineage = request.publication.lineage && fill(request.publication.lineage, values);
  if (lineage !== undefined && !isLineage.fits(lineage))
    findings.add(where, `${JSON.stringify(lineage)} cannot be a lineage`, `correct lineage: ${isLineage.expected}`);
  const earlier = await findings.attempt(where, 'looking for what is there already', () =>
    findEarlier(place, source, { name, lineage, request, role, findings }),
  );
  const mayGo = earlier === undefined ? [] : mayGoOf(request, earlier).flatMap(snapshotIdsOf);
  const locks = await readLocks(place, { role, findings }, [...new Set(mayGo)]);
  const users = earlier && (await readUsers(place, earlier, { request, findings }));
  const reports = users && (await readReports(place, users, { request, findings }));
  const zones = await readZones(place, { request, findings });
  const { boot } = request.publication;
  const bootSite = boot && (await readBootSite(place, { boot, image, values, findings }));
  const references = await readReferences(place, values, { request, role, findings });
  if (earlier === undefined) return undefined;
  return {
    name,
    description,
    tags,
    grantKeyTo: request.publication.grantKeyTo.map((principal) => fill(principal, values)),
    lineage,
    ...references,
    bootSite,
    locks,
    users,
    reports,
    zones,
    ...earlier,
  };
}

/** What is to name the AMI: the SSM parameter, and the launch template where that needs a version. */
async function readReferences(
  place: Place,
  values: TemplateValues,
  { request: { publication }, role, findings }: Asked & Readonly<{ role: string }>,
): Promise<Pick<Target, 'ssmParameter' | 'launchTemplate'>> {
  const where = placeName(place);
  const { ssmParameter: named, launchTemplate: asked } = publication;
  const ssmParameter = named && fill(named, values);
  if (ssmParameter !== undefined)
    await findings.attempt(where, `reading the SSM parameter ${ssmParameter}`, () =>
      checkParameter(place, ssmParameter, findings),
    );
  if (asked === undefined) return { ssmParameter, launchTemplate: undefined };
  const template = { ...asked, template: fill(asked.template, values), parameter: ssmParameter };
  const launchTemplate = await findings.attempt(where, `reading the launch template ${template.template}`, () =>
    readLaunchTemplate(place, template, { role, findings }),
  );
  return { ssmParameter, launchTemplate };
}

/** What this run may remove of the AMIs that are there. */
function mayGoOf({ onExisting }: Request, { existing, made, namesake }: Earlier): Image[] {
  const failed = namesake !== undefined && isRejected(namesake) ? [namesake] : [];
  return [...(onExisting === 'replace' ? existing : []), ...made, ...failed];
}

type Telling = Readonly<{ findings: Findings }>;

/** What can do without being known: why it isn't, and what that means, is a warning. */
type Reading<T> = Readonly<{ action: string; resources: readonly string[]; without: string; read: () => Promise<T> }>;

async function readOrWarn<T>(
  place: Place,
  { role, findings }: Telling & Readonly<{ role: string }>,
  { action, resources, without, read }: Reading<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof AwsCallError)) throw error;
    const { is, words } = verdictOf(error);
    const { what, remedy } = lackOf({ role, side: 'target', action, resources, words });
    const failed = is === 'may not' ? what : `${action} failed (${words})`;
    const mending = is === 'may not' ? `. What to do: ${remedy}` : '';
    findings.warn(placeName(place), `${failed}: ${without}${mending}`);
    return undefined;
  }
}

async function readLocks(
  place: Place,
  telling: Telling & Readonly<{ role: string }>,
  ids: readonly string[],
): Promise<Locks> {
  const locks = await readOrWarn(place, telling, {
    ...{ action: 'ec2:DescribeLockedSnapshots', resources: ['*'] },
    without: 'an AMI is deregistered even where a snapshot of it is locked, which then stays',
    read: () => lockedSnapshots(place, ids),
  });
  return new Map((locks ?? []).map((lock) => [lock.SnapshotId ?? '', lock]));
}

type Asked = Telling & Readonly<{ request: Request }>;

/** What uses the AMIs of the lineage, of which retain or replace may remove some; undefined where that can't be told. */
async function readUsers(
  place: Place,
  { made, namesake }: Earlier,
  { request: { publication, onExisting }, findings }: Asked,
): Promise<Target['users']> {
  const { retain } = publication;
  const named = made.filter(
    (image) => image.ImageId === namesake?.ImageId && (onExisting === 'replace' || isRejected(image)),
  );
  // What can't be read is told before the first AMI has to go.
  const ids = imageIdsOf(retain === undefined ? named : made);
  const where = placeName(place);
  try {
    return await usersOf(
      place,
      ids,
      whereKnown((what) => findings.warn(where, what)),
    );
  } catch (error) {
    place.signal.throwIfAborted();
    // Which permission is lacking is asked beside this.
    findings.warn(where, `older AMIs stay, because what uses them is not known: ${errorMessage(error)}`);
    return undefined;
  }
}

/** The usage reports on AMIs of the lineage that others may launch; undefined where they aren't asked for or can't be read. */
async function readReports(
  place: Place,
  users: Users,
  { request: { publication }, findings }: Asked,
): Promise<Target['reports']> {
  if (publication.retainShared === 'keep') return undefined;
  const shared = [...users].filter(([, uses]) => uses.some(({ others }) => others !== undefined)).map(([id]) => id);
  try {
    return await usageReportsOn(place, shared);
  } catch (error) {
    place.signal.throwIfAborted();
    const why = `AMIs that others may launch stay, because usage reports can't be read: ${errorMessage(error)}`;
    findings.warn(placeName(place), why);
    return undefined;
  }
}

/** The zones for fast snapshot restore. One list may serve targets of several regions: each takes its own. */
async function readZones(place: Place, { request: { publication }, findings }: Asked): Promise<string[]> {
  const { fastSnapshotRestore: asked } = publication;
  const here = asked === 'all' ? asked : asked.filter((zone) => zone.slice(0, -1) === place.region);
  if (here.length === 0) return [];
  const where = placeName(place);
  const there = await findings.attempt(where, 'reading the availability zones', async () => {
    const { AvailabilityZones = [] } = await place.ec2(
      new DescribeAvailabilityZonesCommand({
        Filters: [
          { Name: 'state', Values: ['available'] },
          { Name: 'zone-type', Values: ['availability-zone'] },
        ],
      }),
    );
    return AvailabilityZones.flatMap(({ ZoneName }) => ZoneName ?? []);
  });
  if (there === undefined || here === 'all') return there ?? [];
  const unknown = here.filter((zone) => !there.includes(zone));
  if (unknown.length > 0)
    findings.add(
      where,
      `account ${place.account} has no availability zone ${unknown.join(', ')}; it has ${there.join(', ')}`,
      'correct fast-snapshot-restore',
    );
  return here;
}

const lateTagsMs = 3000;

type Earlier = Pick<
  Target,
  'existing' | 'existingExtras' | 'namesake' | 'earlierCopies' | 'replaced' | 'used' | 'made' | 'parts' | 'ancestry'
>;

/** What is in the target already: AMIs of this source, whoever has the name, and copies that a run left. */
async function findEarlier(
  place: Place,
  { imageId, extras }: Source,
  { name, lineage, request, ...telling }: Asked & Readonly<{ name: string; lineage: string | undefined; role: string }>,
): Promise<Earlier> {
  const ofSource = { Name: `tag:${tagKeys.sourceAmi}`, Values: [imageId] };
  const look = () => Promise.all([ownImages(place, ofSource), ownImages(place, { Name: 'name', Values: [name] })]);
  const ours = { Name: 'tag-key', Values: [tagKeys.sourceAmi] };
  const [first, made] = await joined<[[Image[], Image[]], Image[]]>([
    look(),
    lineage === undefined
      ? Promise.resolve([])
      : ownImages(place, { Name: `tag:${tagKeys.lineage}`, Values: [lineage] }, ours),
  ]);
  // An AMI that was made a moment ago may show its name before its tags.
  const untagged = first[1].some(({ Tags = [], State }) => Tags.length === 0 && State !== 'disabled');
  if (untagged) await place.sleep(lateTagsMs);
  const [tagged, namesakes] = untagged ? await look() : first;
  // One of the two reads may be a moment older than the other: what either saw is there.
  const own = namesakes.filter((image) => tagValue(image, tagKeys.sourceAmi) === imageId);
  const found = [...new Map([...tagged, ...own].map((image) => [image.ImageId, image])).values()];
  // The encrypted copy of a run in the source account bears the tag too, and is no target.
  const existing = found
    .filter((image) => image.ImageId !== imageId && !isEncryptedCopy(image))
    .sort((a, b) => (b.CreationDate ?? '').localeCompare(a.CreationDate ?? ''));
  const needsExtras = extras.uefiData !== undefined || request.onExisting === 'replace';
  const isFormer = (image: Image) =>
    isRejected(image) || (request.onExisting === 'replace' && made.some(isSame(image)));
  const former = namesakes.filter((image) => isFormer(image) && !existing.some(isSame(image)));
  const [earlierCopies, marked] = await joined<[Snapshot[], Snapshot[]]>([
    ownSnapshots(place, ofSource),
    ownSnapshots(place, replacedFilter),
  ]);
  const replaced = replacedOn(imageId, marked);
  const mayGo = lineage !== undefined || request.onExisting === 'replace' ? [...existing, ...made] : [];
  return {
    existing,
    existingExtras: needsExtras ? await readAllExtras(place, [...existing, ...former]) : new Map(),
    namesake: existing.find(({ Name }) => Name === name) ?? namesakes[0],
    made: made.filter(({ ImageId }) => ImageId !== imageId),
    earlierCopies,
    replaced,
    used: new Set(
      (await imagesWith(place, idsOf([...earlierCopies, ...replaced].filter(isMarked)))).flatMap(snapshotIdsOf),
    ),
    parts: await readParts(place, [...existing, ...made, ...former], earlierCopies),
    ancestry: await readAncestry(place, telling, mayGo),
  };
}

const isSame =
  ({ ImageId }: Image) =>
  (other: Image): boolean =>
    other.ImageId === ImageId;

/** The snapshots of images: those that are known, and those that don't bear the tags (any more). */
async function readParts(
  place: Place,
  images: readonly Image[],
  known: readonly Snapshot[],
): Promise<Map<string, Snapshot>> {
  const byId = new Map(known.map((snapshot) => [snapshot.SnapshotId ?? '', snapshot]));
  const missing = [...new Set(images.flatMap(snapshotIdsOf))].filter((id) => !byId.has(id));
  for (const snapshot of await describeSnapshots(place, missing)) byId.set(snapshot.SnapshotId ?? '', snapshot);
  return byId;
}

/** What AWS says that images come from which were copied from an encrypted copy. */
async function readAncestry(
  place: Place,
  telling: Telling & Readonly<{ role: string }>,
  images: readonly Image[],
): Promise<Map<string, string>> {
  const copied = images.filter(isOfEncryptedCopy);
  const pairs = await readOrWarn(place, telling, {
    ...{ action: 'ec2:GetImageAncestry', resources: [`arn:${partitionOf(place.region)}:ec2:*::image/*`] },
    without: 'AMIs that were copied through an encrypted copy stay',
    read: () => joined(copied.map(({ ImageId = '' }) => ancestryOf(place, ImageId))),
  });
  return new Map((pairs ?? []).flat());
}

async function readAllExtras(place: Place, images: readonly Image[]): Promise<Map<string, ImageExtras>> {
  const read = images
    .filter(({ State }) => State === 'available')
    .map(async (image) => {
      try {
        return [[image.ImageId ?? '', await readExtras(place, image)] as const];
      } catch (error) {
        // Verification says so where it matters.
        if (isDenied(error)) return [];
        throw error;
      }
    });
  return new Map((await Promise.all(read)).flat());
}
