import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { CopyImageCommand, EC2Client } from '@aws-sdk/client-ec2';
import { keyArnOf, tagList } from '../../simulator/scenario.ts';
import { sourceAccount, sourceRegion, targetAccount, targetRegion } from '../../simulator/scenarios/standard.ts';
import { notLate, regionOf, type SimImage, type SimSnapshot } from '../../simulator/world.ts';
import { handlerOf, type Simulator } from '../in-process.ts';
import { attributesOf } from '../shared-case.ts';
import { type House, type Job, recordsOf } from './house.ts';

/*
 * What others have, with tags of ours on it: whoever may tag can write those, and copies of our AMIs carry them along. A
 * test puts such resources into the world, watches them, and looks whether a run left them alone and said so.
 */

export const prefix = 'share-encrypted-ami:';

export type Tags = Readonly<Record<string, string>>;
export type Place = readonly [account: string, region: string];
export const source: Place = [sourceAccount, sourceRegion];
export const target: Place = [targetAccount, targetRegion];

export type ForeignSnapshot = Readonly<{
  tags?: Tags;
  /** By alias; without, it is not encrypted. */
  key?: string;
  sharedWith?: readonly string[];
  /** What AWS tells of it; unless given, CreateSnapshot made it of a volume of 8 GiB some weeks ago. */
  data?: Partial<SimSnapshot['data']>;
}>;

export type ForeignImage = Readonly<{
  name: string;
  tags?: Tags;
  launchers?: readonly string[];
  data?: Partial<SimImage['data']>;
  snapshot?: ForeignSnapshot;
}>;

const longAgo = '2026-11-01T00:00:00.000Z';

const newId = (kind: string): string => `${kind}-0${randomBytes(8).toString('hex')}`;

/** What CopySnapshot and CopyImage give their snapshots in place of a volume. */
export const copied = { VolumeId: 'vol-ffffffff' };

export function putSnapshot(
  { world }: Simulator,
  [account, region]: Place,
  { tags, key, sharedWith, data }: ForeignSnapshot,
): SimSnapshot {
  const snapshot: SimSnapshot = {
    data: {
      SnapshotId: newId('snap'),
      OwnerId: account,
      State: 'completed',
      Progress: '100%',
      StartTime: new Date(longAgo),
      CompletionTime: new Date(longAgo),
      VolumeId: newId('vol'),
      VolumeSize: 8,
      Description: 'nightly backup',
      Encrypted: key !== undefined,
      ...(key !== undefined && { KmsKeyId: keyArnOf(account, region, key) }),
      StorageTier: 'standard',
      ...data,
      Tags: tagList(tags),
    },
    tagsLate: notLate(),
    visibleAt: 0,
    shares: new Set(sharedWith),
    sharesLate: notLate(),
    publicShare: false,
  };
  regionOf(world, account, region).snapshots.set(snapshot.data.SnapshotId, snapshot);
  return snapshot;
}

/** An AMI of one volume, alike to the golden ones of the scenarios unless `data` says otherwise. */
export function putImage(simulator: Simulator, place: Place, given: ForeignImage): SimImage {
  const [account, region] = place;
  const { name, tags, launchers, data, snapshot = {} } = given;
  const id = newId('ami');
  const made = `Created by CreateImage(i-0123456789abcdef0) for ${id}`;
  const { data: disk } = putSnapshot(simulator, place, { ...snapshot, data: { Description: made, ...snapshot.data } });
  const image: SimImage = {
    data: {
      ...{ ImageId: id, OwnerId: account, Name: name, State: 'available', ImageLocation: `${account}/${name}` },
      ...{ Architecture: 'x86_64', VirtualizationType: 'hvm', RootDeviceName: '/dev/xvda', RootDeviceType: 'ebs' },
      ...{ EnaSupport: true, Hypervisor: 'xen', ImageType: 'machine', Public: false },
      ...{ PlatformDetails: 'Linux/UNIX', UsageOperation: 'RunInstances', CreationDate: longAgo },
      BlockDeviceMappings: [
        {
          DeviceName: '/dev/xvda',
          Ebs: {
            ...{ DeleteOnTermination: true, VolumeType: 'gp3', Iops: 3000, Throughput: 125 },
            ...{ VolumeSize: disk.VolumeSize, Encrypted: disk.Encrypted, SnapshotId: disk.SnapshotId },
          },
        },
      ],
      ...data,
      Tags: tagList(tags),
    },
    tagsLate: notLate(),
    formerData: [],
    visibleAt: 0,
    launch: new Set(launchers),
    launchLate: notLate(),
    uefiData: undefined,
    billing: [],
    othersTags: new Map(),
  };
  regionOf(simulator.world, account, region).images.set(id, image);
  return image;
}

/** Puts tags on a resource that is there, as CreateTags would. */
export function tag({ data }: SimImage | SimSnapshot, tags: Tags): void {
  data.Tags = [...data.Tags.filter(({ Key = '' }) => !(Key in tags)), ...tagList(tags)];
}

/** `copy-image --copy-image-tags` by an administrator, who is the case's ambient principal. */
export async function copyWithTags(simulator: Simulator, id: string, name: string): Promise<SimImage> {
  const { AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '', AWS_SESSION_TOKEN = '' } = simulator.env;
  const ec2 = new EC2Client({
    ...{ requestHandler: handlerOf(simulator), region: targetRegion, maxAttempts: 1 },
    credentials: {
      ...{ accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY },
      sessionToken: AWS_SESSION_TOKEN,
    },
  });
  const { ImageId = '' } = await ec2.send(
    new CopyImageCommand({ Name: name, SourceImageId: id, SourceRegion: targetRegion, CopyImageTags: true }),
  );
  await simulator.clock.sleep(3_600_000);
  simulator.snapshotOfState();
  const image = regionOf(simulator.world, ...target).images.get(ImageId);
  if (image === undefined) throw new Error(`no ${ImageId}`);
  return image;
}

/** The source AMI of a case. */
export function goldenOf({ world }: Simulator, id: string): SimImage {
  const image = regionOf(world, ...source).images.get(id);
  if (image === undefined) throw new Error(`no ${id}`);
  return image;
}

export function snapshotIdsOf({ data }: SimImage): string[] {
  return data.BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);
}

/** A snapshot of an image. */
export function diskOf({ world }: Simulator, image: SimImage, index = 0): SimSnapshot {
  const id = snapshotIdsOf(image)[index] ?? '';
  const regions = Object.values(world.accounts).flatMap((account) => [...account.regions.values()]);
  const snapshot = regions.map(({ snapshots }) => snapshots.get(id)).find((one) => one !== undefined);
  if (snapshot === undefined) throw new Error(`no ${id}`);
  return snapshot;
}

export type Watched = Readonly<{
  ids: readonly string[];
  /** What has changed since, and the calls that took, changed or copied one of them: a line each. */
  changes(): string[];
}>;

/**
 * Watches images with their snapshots, and snapshots. A run has to write to its own source AMI, which `source` names: of
 * that one, and its snapshots, only what they are at the end counts, but for the tags that leases take.
 */
export function watch(simulator: Simulator, resources: readonly (SimImage | SimSnapshot)[], source?: string): Watched {
  const ids = [...new Set(resources.flatMap(idsOf))];
  const own = source === undefined ? [] : [source, ...snapshotIdsOf(goldenOf(simulator, source))];
  const look = () => new Map(ids.map((id) => [id, stateOf(simulator, id, own.includes(id))]));
  const before = look();
  const begun = simulator.calls.length;
  return {
    ids,
    changes() {
      simulator.snapshotOfState();
      const now = look();
      const named = ids.filter((id) => !own.includes(id));
      return [
        ...ids.flatMap((id) => differences(id, before.get(id) ?? {}, now.get(id) ?? {})),
        ...simulator.calls
          .slice(begun)
          .filter(({ mutating, outcome }) => mutating && outcome === 'ok')
          .flatMap(({ action, account, request }) => {
            const text = JSON.stringify(request);
            return named.filter((id) => text.includes(id)).map((id) => `${action} by ${account} names ${id}`);
          }),
      ];
    },
  };
}

/** The ID of a snapshot, or those of an image and its snapshots. */
export function idsOf(resource: SimImage | SimSnapshot): string[] {
  return 'launch' in resource ? [resource.data.ImageId, ...snapshotIdsOf(resource)] : [resource.data.SnapshotId];
}

type State = Readonly<Record<string, unknown>>;

function differences(id: string, before: State, now: State): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])]
    .map((field) => [field, JSON.stringify(before[field]), JSON.stringify(now[field])] as const)
    .filter(([, was, is]) => was !== is)
    .slice(0, 2)
    .map(([field, was, is]) => `${field} of ${id}: ${was} became ${is}`);
}

/** All that AWS keeps of a resource; of the source AMI not what leases write and take off. */
function stateOf({ world }: Simulator, id: string, isSource: boolean): State {
  for (const { regions } of Object.values(world.accounts))
    for (const { images, snapshots } of regions.values()) {
      const image = images.get(id);
      if (image !== undefined)
        return image.deregisteredAt === undefined ? fieldsOf(image.data, image.launch, isSource) : {};
      const snapshot = snapshots.get(id);
      if (snapshot !== undefined) return fieldsOf(snapshot.data, snapshot.shares, isSource);
    }
  return {};
}

function fieldsOf(data: SimImage['data'] | SimSnapshot['data'], users: ReadonlySet<string>, isSource: boolean): State {
  const tags = data.Tags.filter(({ Key = '' }) => !isSource || !/:(lease|shares):/.test(Key));
  const sorted = tags.map(({ Key, Value }) => `${Key}=${Value}`).sort();
  return { ...structuredClone(data), Tags: sorted, sharedWith: [...users].sort() };
}

/** Of these, which a job doesn't say are left: each, or the AMI that it is part of, in a line of the log or a warning. */
export function untoldOf(simulator: Simulator, steps: readonly Job['main'][], ids: readonly string[]): string[] {
  const lines = steps
    .flatMap(({ log, annotations }) => [...log.split('\n'), ...annotations.map(({ message }) => message)])
    .filter((line) => /\b(left|stays?)\b/.test(line));
  const images = Object.values(simulator.world.accounts)
    .flatMap(({ regions }) => [...regions.values()])
    .flatMap((region) => [...region.images.values()]);
  const namesOf = (id: string) => [
    id,
    ...images.filter((image) => snapshotIdsOf(image).includes(id)).map(({ data }) => data.ImageId),
  ];
  return ids.filter((id) => !lines.some((line) => namesOf(id).some((name) => line.includes(name))));
}

/** What of a run's AMIs isn't as it ought to be, next to what others have: a line each. */
export function flawsOf({ simulator }: House, { main }: Job, { amiId, foreign }: Made): string[] {
  const golden = goldenOf(simulator, amiId);
  return recordsOf(main).flatMap(({ account, region, amiId: id, kmsKeyArn, snapshotIds }) => {
    const place = regionOf(simulator.world, account, region);
    const image = place.images.get(id);
    if (image === undefined || image.deregisteredAt !== undefined) return [`${id} is not there`];
    const parts = snapshotIdsOf(image);
    const key = keyArnOf(account, region, 'cmkTarget');
    return [
      ...[id, ...parts].filter((one) => foreign.includes(one)).map((one) => `${one} is somebody else's`),
      ...(isDeepStrictEqual(attributesOf(image), attributesOf(golden)) ? [] : [`${id} differs`]),
      ...(kmsKeyArn === key ? [] : [`${id} is said to be under ${kmsKeyArn}`]),
      ...(parts.join() === snapshotIds.join() ? [] : [`${snapshotIds} are said to be the snapshots of ${id}`]),
      ...parts
        .map((part) => [part, place.snapshots.get(part)?.data] as const)
        .filter(([, data]) => data?.State !== 'completed' || data.KmsKeyId !== key)
        .map(([part, data]) => `${part} is ${data?.State} under ${data?.KmsKeyId}`),
      ...[...image.data.Tags, ...parts.flatMap((part) => place.snapshots.get(part)?.data.Tags ?? [])]
        .filter(({ Key }) => Key === `${prefix}lease`)
        .map(() => `${id} bears a lease`),
    ];
  });
}

type Made = Readonly<{ amiId: string; foreign: readonly string[] }>;
