import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { lockedSnapshots, ownImages, ownSnapshots } from '../aws/describe.ts';
import { isDenied, placeName } from '../aws/errors.ts';
import { isEncryptedCopy } from '../encrypted-copy.ts';
import { type ImageExtras, isImageDescription, isImageName, snapshotIdsOf } from '../image.ts';
import { runValues } from '../inputs/reader.ts';
import type { TargetRequest } from '../inputs/targets.ts';
import type { Request } from '../inputs.ts';
import { joined } from '../join.ts';
import { leasesOf } from '../lease.ts';
import { tagKeys } from '../tags.ts';
import { fill, needsSourceImage, type TemplateValues } from '../template.ts';
import type { Callers } from './callers.ts';
import { resolveKey } from './key.ts';
import { readOrWarn, roleOf } from './probe.ts';
import type { Findings } from './problem.ts';
import { checkParameter } from './publish.ts';
import type { Locks } from './removal.ts';
import { readExtras, resolveSource, type Source } from './source.ts';

export type Target = Readonly<{
  request: TargetRequest;
  place: Place;
  /** The same principal in another region, such as the source keys'. */
  at: (region: string) => Place;
  /** The role that was assumed, if one was. */
  roleArn: string | undefined;
  /** What grants on the source key are made to. */
  principalArn: string;
  kmsKeyArn: string;
  name: string;
  description: string | undefined;
  tags: Readonly<Record<string, string>>;
  /** Principals that are given a grant on the target key, to stay. */
  grantKeyTo: readonly string[];
  /** The SSM parameter that is to hold the AMI's ID. */
  ssmParameter: string | undefined;
  /** AMIs of this source that are there already, newest first. */
  existing: readonly Image[];
  /** What DescribeImages doesn't tell of them, by ID, where the source has it and it may be read. */
  existingExtras: ReadonlyMap<string, ImageExtras>;
  /** The AMI that has the name already, whatever its source. */
  namesake: Image | undefined;
  /** With `retain`: the AMIs that this action made here, of whatever source. */
  made: readonly Image[];
  /** Which snapshots of the AMIs that this run may remove are locked. */
  locks: Locks;
  /** Copies of this source's snapshots that an earlier run left, in whatever state. */
  earlierCopies: readonly Snapshot[];
}>;

/** The source account in another region, with the key that copies for the targets there are to be under. */
export type Hub = Readonly<{ place: Place; kmsKeyArn: string }>;

export type Resolved = Readonly<{
  source: Source;
  targets: readonly Target[];
  /** By region. */
  hubs: ReadonlyMap<string, Hub>;
}>;

/**
 * Reads AWS: who each role is, what each key is, what the source AMI and its snapshots are, what an earlier run left.
 * What can't be read, or can't work, goes into `findings`; then the result is undefined or lacks targets.
 */
export async function resolve(request: Request, callers: Callers, findings: Findings): Promise<Resolved | undefined> {
  const source = findings
    .attempt('source account', 'taking on the source role', () => callers.source())
    .then((caller) => caller && resolveSource(request, caller.at, findings));
  // Targets don't wait for the source unless their own values name it.
  const [found, ...targets] = await joined<[Source | undefined, ...(Target | undefined)[]]>([
    source,
    ...request.targets.map((target) => resolveTarget(request, target, callers, source, findings)),
  ]);
  if (found === undefined) return undefined;
  const known = targets.filter((target) => target !== undefined);
  return { source: found, targets: known, hubs: await resolveHubs(request, found, findings) };
}

/**
 * The hubs of topology `regional-hub`: one in each region that has several targets of other accounts. Where there is one
 * target alone, or the source itself, a hub would save no transfer.
 */
async function resolveHubs(request: Request, source: Source, findings: Findings): Promise<Map<string, Hub>> {
  if (request.topology !== 'regional-hub') return new Map();
  const abroad = request.targets.filter(
    ({ account, region }) => account !== source.account && region !== source.place.region,
  );
  const regions = [...Map.groupBy(abroad, ({ region }) => region)].filter(([, targets]) => targets.length > 1);
  const hubs = await Promise.all(
    regions.map(async ([region]): Promise<[string, Hub][]> => {
      const place = source.at(region);
      const key = hubKey(request, source.account, region);
      if (key === undefined) {
        findings.add(
          placeName(place),
          'topology regional-hub needs a key of the source account in this region',
          'give hub-kms-key, such as alias/golden-{region}; or make source-kms-key an alias that each region has, or a multi-Region key',
        );
        return [];
      }
      const kmsKeyArn = await resolveKey(place, key, 'hub-kms-key', findings);
      return kmsKeyArn === undefined ? [] : [[region, { place, kmsKeyArn }]];
    }),
  );
  return new Map(hubs.flat());
}

/** The key in a hub's region: as it is given, or what source-kms-key is called there. */
export function hubKey({ hubKmsKey, source, run }: Request, account: string, region: string): string | undefined {
  if (hubKmsKey !== undefined) return fill(hubKmsKey, { region, account, ...runValues(run) });
  const key = source.kmsKey ?? '';
  // A multi-Region key has its ID everywhere, and an ARN in each region: https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html
  if (/^mrk-|^alias\//.test(key)) return key;
  const arn = /^(arn:[^:]+:kms:)[^:]+(:\d+:(?:alias\/.+|key\/mrk-.+))$/.exec(key);
  return arn === null ? undefined : `${arn[1]}${region}${arn[2]}`;
}

async function resolveTarget(
  request: Request,
  target: TargetRequest,
  callers: Callers,
  source: Promise<Source | undefined>,
  findings: Findings,
): Promise<Target | undefined> {
  const { account, region } = target;
  let values: Partial<TemplateValues> = { account, region, ...runValues(request.run) };
  if ([target.roleArn ?? '', target.kmsKey].some(needsSourceImage)) {
    const image = (await source)?.image;
    if (image === undefined) return undefined;
    values = { ...values, name: image.Name ?? '', 'source-ami': image.ImageId ?? '' };
  }
  const roleArn = target.roleArn === undefined ? undefined : fill(target.roleArn, values);
  const caller = await callers.target(target, roleArn);
  if (caller === undefined) return undefined;
  const place = caller.at(region);
  const [kmsKeyArn, read] = await joined<[string | undefined, Found | undefined]>([
    resolveKey(place, fill(target.kmsKey, values), 'target-kms-key', findings),
    source.then((found) => found && readTarget(request, { target, place, roleArn, source: found }, findings)),
  ]);
  if (read === undefined || kmsKeyArn === undefined) return undefined;
  return {
    request: target,
    place,
    at: caller.at,
    roleArn,
    principalArn: roleArn ?? caller.arn,
    kmsKeyArn,
    ...read,
  };
}

/** Where a target is to be, and of what. */
type Origin = Readonly<{ target: TargetRequest; place: Place; roleArn: string | undefined; source: Source }>;
/** What a target has of itself, and what is there already. */
type Found = Omit<Target, 'request' | 'place' | 'at' | 'roleArn' | 'principalArn' | 'kmsKeyArn'>;

async function readTarget(
  request: Request,
  { target, place, roleArn, source }: Origin,
  findings: Findings,
): Promise<Found | undefined> {
  const { image } = source;
  const where = placeName(place);
  const { account, region } = target;
  const values: TemplateValues = {
    ...{ account, region, ...runValues(request.run) },
    ...{ name: image.Name ?? '', 'source-ami': image.ImageId ?? '' },
  };
  const name = fill(target.amiName, values);
  if (!isImageName(name)) {
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
  const earlier = await findings.attempt(where, 'looking for what is there already', () =>
    findEarlier(place, source, name, request.publication.retain !== undefined),
  );
  const mayGo = [
    ...(request.onExisting === 'replace' ? (earlier?.existing ?? []) : []),
    ...(earlier?.made ?? []),
  ].flatMap(snapshotIdsOf);
  const locks = await readLocks(place, roleOf(place, roleArn), [...new Set(mayGo)], findings);
  const { ssmParameter } = request.publication;
  const parameter = ssmParameter && fill(ssmParameter, values);
  if (parameter !== undefined)
    await findings.attempt(where, `reading the SSM parameter ${parameter}`, () =>
      checkParameter(place, parameter, findings),
    );
  if (earlier === undefined) return undefined;
  return {
    name,
    description,
    tags: Object.fromEntries(Object.entries(target.tags).map(([tag, value]) => [tag, fill(value, values)])),
    grantKeyTo: request.publication.grantKeyTo.map((principal) => fill(principal, values)),
    ssmParameter: parameter,
    locks,
    ...earlier,
  };
}

async function readLocks(place: Place, role: string, ids: readonly string[], findings: Findings): Promise<Locks> {
  const found = await readOrWarn(place, role, findings, {
    action: 'DescribeLockedSnapshots',
    without: 'an AMI is deregistered even where a snapshot of it is locked, which then stays',
    call: () => lockedSnapshots(place, ids),
  });
  return new Map((found ?? []).map((lock) => [lock.SnapshotId ?? '', lock]));
}

const lateTagsMs = 3000;

/** What is in the target already: AMIs of this source, whoever has the name, and copies that a run left. */
async function findEarlier(
  place: Place,
  { image: source, account: sourceAccount, extras }: Source,
  name: string,
  retains: boolean,
): Promise<Pick<Target, 'existing' | 'existingExtras' | 'namesake' | 'earlierCopies' | 'made'>> {
  const ofSource = { Name: `tag:${tagKeys.sourceAmi}`, Values: [source.ImageId ?? ''] };
  const look = () => Promise.all([ownImages(place, ofSource), ownImages(place, { Name: 'name', Values: [name] })]);
  const [first, made] = await Promise.all([
    look(),
    retains ? ownImages(place, { Name: 'tag-key', Values: [tagKeys.sourceAmi] }) : [],
  ]);
  // An AMI that was made a moment ago may show its name before its tags.
  const untagged = first[1].some(({ Tags = [], State }) => Tags.length === 0 && State !== 'disabled');
  if (untagged) await place.sleep(lateTagsMs);
  const [found, namesakes] = untagged ? await look() : first;
  // The encrypted copy of a run in the source account bears the tag too, and is no target.
  const existing = found
    .filter((image) => image.ImageId !== source.ImageId && !isEncryptedCopy(image))
    .sort((a, b) => (b.CreationDate ?? '').localeCompare(a.CreationDate ?? ''));
  // Whoever began copies has a lease on the source AMI, where it can be tagged; with no lease and no AMI there are none.
  const untouched = source.OwnerId === sourceAccount && leasesOf(source.Tags).length === 0 && existing.length === 0;
  const earlierCopies = untouched ? [] : await ownSnapshots(place, ofSource);
  return {
    existing,
    existingExtras: extras.uefiData === undefined ? new Map() : await readAllExtras(place, existing),
    namesake: namesakes[0],
    made: made.filter(({ ImageId }) => ImageId !== source.ImageId),
    earlierCopies,
  };
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
