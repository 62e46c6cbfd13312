import {
  DescribeImagesCommand,
  type DescribeImagesRequest,
  DescribeLockedSnapshotsCommand,
  DescribeSnapshotsCommand,
  type Filter,
  GetImageAncestryCommand,
  type Image,
  type ImageRecycleBinInfo,
  ListImagesInRecycleBinCommand,
  type LockedSnapshotsInfo,
  type Snapshot,
} from '@aws-sdk/client-ec2';
import { joined } from '../join.ts';
import { partsOf } from '../parts.ts';
import type { Place } from './clients.ts';
import { errorMessage, isAbsent } from './errors.ts';
import { retried } from './retry.ts';

/**
 * So long after a change, what reads it may still see it as it was, and so looks again
 * (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html).
 */
export const changedMs = 10_000;

/** So long, what is missing of what was made a moment ago (itself, a tag, a field) may be yet to come: the same page. */
export const unseenMs = 300_000;

/** So many IDs go into one call. */
const idsPerCall = 200;

/** The snapshots of `ids` that are there; those that are not (yet) are left out. */
export async function describeSnapshots(place: Place, ids: readonly string[]): Promise<Snapshot[]> {
  return byIds(ids, async (SnapshotIds) => {
    const { Snapshots } = await place.ec2(new DescribeSnapshotsCommand({ SnapshotIds }));
    return Snapshots ?? [];
  });
}

/** Those of the account's own snapshots `ids` that a lock keeps from being deleted; an expired one doesn't. */
export async function lockedSnapshots(place: Place, ids: readonly string[]): Promise<LockedSnapshotsInfo[]> {
  const found = await byIds(ids, async (SnapshotIds) =>
    pages(async (NextToken) => {
      const page = await place.ec2(new DescribeLockedSnapshotsCommand({ SnapshotIds, NextToken }));
      return { items: page.Snapshots ?? [], next: page.NextToken };
    }),
  );
  return found.filter(({ LockState }) => LockState !== 'expired');
}

/** The images of `ids` that are there and visible; those that are not are left out. */
export async function describeImages(place: Place, ids: readonly string[]): Promise<Image[]> {
  return byIds(ids, async (ImageIds) => {
    const { Images } = await place.ec2(
      new DescribeImagesCommand({ ImageIds, IncludeDeprecated: true, IncludeDisabled: true }),
    );
    return Images ?? [];
  });
}

/** Whether all of the AMIs and snapshots among resources are there. @throws AwsCallError */
export async function areThere(place: Place, ids: readonly string[]): Promise<boolean> {
  const asked = (prefix: string) => ids.filter((id) => id.startsWith(prefix));
  const [images, snapshots] = await joined<[Image[], Snapshot[]]>([
    describeImages(place, asked('ami-')),
    describeSnapshots(place, asked('snap-')),
  ]);
  const there = images.filter(({ State }) => State !== 'deregistered');
  return there.length === asked('ami-').length && snapshots.length === asked('snap-').length;
}

/** AWS may not see for some calls what was there long before; by so many, two looks apart, it is gone if they agree. */
const goneAfterTries = 3;

/**
 * Takes something off a resource that was seen before; one that is gone has none of it any more. That AWS doesn't find it may
 * pass (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html), and only a look tells whether it is gone.
 * @throws AWS's refusal, when the resource is there all the same
 */
export function takeOff(place: Place, id: string, act: () => Promise<unknown>): Promise<void> {
  const wait = (count: number) => Math.min(500 * 2 ** (count - 1), 10_000);
  return retried({ place, on: isAbsent, forMs: unseenMs, wait }, async (count) => {
    try {
      await act();
    } catch (error) {
      const isGone = isAbsent(error) && count >= goneAfterTries && !(await areThere(place, [id]));
      if (!isGone) throw error;
    }
  });
}

async function byIds<T>(ids: readonly string[], describe: (ids: string[]) => Promise<T[]>): Promise<T[]> {
  const found: T[] = [];
  for (const some of partsOf(ids, idsPerCall)) found.push(...(await withThoseThere(some, describe)));
  return found;
}

/**
 * What `act` gives with those of `ids` that are there; nothing where none is. One unknown ID fails the whole call, which
 * names it: it is made again without that one.
 */
export async function withThoseThere<T>(ids: readonly string[], act: (ids: string[]) => Promise<T[]>): Promise<T[]> {
  for (let rest = [...ids]; rest.length > 0; ) {
    try {
      return await act(rest);
    } catch (error) {
      if (!isAbsent(error)) throw error;
      const known = rest.filter((id) => !errorMessage(error).includes(id));
      rest = known.length < rest.length ? known : [];
    }
  }
  return [];
}

/**
 * Pairs of an AMI and what it comes from, from an image back to its root, as far as AWS tells.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-ancestry.html
 */
export async function ancestryOf(place: Place, id: string): Promise<[string, string][]> {
  const { ImageAncestryEntries = [] } = await place.ec2(new GetImageAncestryCommand({ ImageId: id }));
  return ImageAncestryEntries.flatMap(({ ImageId = '', SourceImageId }) =>
    SourceImageId ? [[ImageId, SourceImageId] as [string, string]] : [],
  );
}

/** The AMIs that the Recycle Bin keeps here, whatever rule put them there. */
export function imagesInBin(place: Place): Promise<ImageRecycleBinInfo[]> {
  return pages(async (NextToken) => {
    const page = await place.ec2(new ListImagesInRecycleBinCommand({ NextToken }));
    return { items: page.Images ?? [], next: page.NextToken };
  });
}

/** The account's own images that all of `filters` fit, deprecated and disabled ones too. */
export function ownImages(place: Place, ...filters: Filter[]): Promise<Image[]> {
  return imagesOf(place, ['self'], ...filters);
}

/** The account's own images that have one of these snapshots. */
export async function imagesWith(place: Place, snapshotIds: string[]): Promise<Image[]> {
  if (snapshotIds.length === 0) return [];
  return ownImages(place, { Name: 'block-device-mapping.snapshot-id', Values: snapshotIds });
}

/** Those of `owners` that the account may see: `self`, account IDs, and AWS's aliases of owners. */
export function imagesOf(place: Place, owners: readonly string[], ...filters: Filter[]): Promise<Image[]> {
  return listImages(place, { Owners: [...owners] }, filters);
}

/** Those that others have shared with the account. */
export function sharedImages(place: Place, ...filters: Filter[]): Promise<Image[]> {
  return listImages(place, { ExecutableUsers: ['self'] }, filters);
}

/** Those among all images that the account may see, public ones too. */
export function visibleImages(place: Place, ...filters: Filter[]): Promise<Image[]> {
  return listImages(place, {}, filters);
}

/** Whose images are listed, or who may launch them. */
type Whose = Pick<DescribeImagesRequest, 'Owners' | 'ExecutableUsers'>;

async function listImages(place: Place, whose: Whose, Filters: Filter[]): Promise<Image[]> {
  const found = await byFilters(Filters, async (Filters, NextToken) => {
    const page = await place.ec2(
      new DescribeImagesCommand({ ...whose, Filters, IncludeDeprecated: true, IncludeDisabled: true, NextToken }),
    );
    return { items: page.Images ?? [], next: page.NextToken };
  });
  const fitting = found.filter((image) => Filters.every((filter) => fits(filter, image, { name: image.Name })));
  // One may fit several parts of a list of values.
  return [...new Map(fitting.map((image) => [image.ImageId, image])).values()];
}

/** So many values a filter takes: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html */
export const valuesPerFilter = 200;

/** All pages of a list, whose longest filter is asked for in parts where it has too many values. */
async function byFilters<T>(
  filters: Filter[],
  read: (filters: Filter[], token: string | undefined) => Promise<{ items: T[]; next: string | undefined }>,
): Promise<T[]> {
  const long = filters.find(({ Values = [] }) => Values.length > valuesPerFilter);
  if (long === undefined) return pages((token) => read(filters, token));
  const { Name, Values = [] } = long;
  const others = filters.filter((one) => one !== long);
  const found: T[] = [];
  for (const part of partsOf(Values, valuesPerFilter))
    found.push(...(await byFilters([...others, { Name, Values: part }], read)));
  return found;
}

/** The account's own snapshots that `filter` finds. */
export async function ownSnapshots(place: Place, ...filters: Filter[]): Promise<Snapshot[]> {
  const found = await byFilters(filters, async (Filters, NextToken) => {
    const page = await place.ec2(new DescribeSnapshotsCommand({ OwnerIds: ['self'], Filters, NextToken }));
    return { items: page.Snapshots ?? [], next: page.NextToken };
  });
  const fitting = found.filter((snapshot) => filters.every((filter) => fits(filter, snapshot, {})));
  return [...new Map(fitting.map((snapshot) => [snapshot.SnapshotId, snapshot])).values()];
}

/**
 * What is found is removed at times, so it isn't taken on trust that an endpoint has filtered: tags and names are looked at
 * again. A tag's value is compared as it stands: what others claim by a tag goes into filters too, and by `*` it would stand
 * for anything.
 */
function fits(
  { Name = '', Values = [] }: Filter,
  { Tags = [] }: Image | Snapshot,
  fields: Record<string, unknown>,
): boolean {
  const tag = Name.startsWith('tag:') ? Name.slice('tag:'.length) : undefined;
  const actual =
    tag !== undefined
      ? Tags.filter(({ Key }) => Key === tag).map(({ Value }) => Value)
      : Name === 'tag-key'
        ? Tags.map(({ Key }) => Key)
        : Name in fields
          ? [fields[Name]]
          : undefined;
  const isLike = tag === undefined ? matches : (value: string, text: string) => value === text;
  return actual === undefined || Values.some((pattern) => actual.some((value) => isLike(pattern, String(value ?? ''))));
}

/** As EC2's filters match: `*` stands for any characters and `?` for one; a backslash takes either literally. */
function matches(pattern: string, text: string): boolean {
  const expression = pattern.replace(/\\?[\s\S]/g, (part) => {
    if (part === '*') return '[\\s\\S]*';
    if (part === '?') return '[\\s\\S]';
    return part.slice(-1).replace(/[^\w\s]/, '\\$&');
  });
  return new RegExp(`^${expression}$`).test(text);
}

/** The items of all pages of a list. */
export async function pages<T>(
  read: (token: string | undefined) => Promise<{ items: T[]; next: string | undefined }>,
): Promise<T[]> {
  const all: T[] = [];
  for (let token: string | undefined; ; ) {
    const { items, next } = await read(token);
    all.push(...items);
    if (!next) return all;
    token = next;
  }
}
