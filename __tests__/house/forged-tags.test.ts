import { test } from '@jest/globals';
import fc from 'fast-check';
import { type Case, customerKey, type Inputs, procedure, targetAccount } from '../../simulator/scenarios/standard.ts';
import { regionOf, type SimImage, type SimSnapshot } from '../../simulator/world.ts';
import { runAction, runJob } from '../in-process.ts';
import {
  copied,
  diskOf,
  type ForeignSnapshot,
  flawsOf,
  goldenOf,
  idsOf,
  prefix,
  putImage,
  putSnapshot,
  source,
  type Tags,
  tag,
  target,
  watch,
} from './foreign.ts';
import { type House, isLeaseTag, messagesOf, openHouse, recordsOf, stockOf } from './house.ts';

/*
 * Tags of ours, as anybody could write them, on whatever others have: a run, or a sweep, does what it would have done
 * without, and touches none of it. What a lease on the source AMI says is believed; so one that lives keeps things longer.
 */

const runs = Number(process.env.FORGED_RUNS ?? (process.env.NIGHTLY === 'true' ? 400 : 10));
const seed = Number(process.env.FORGED_SEED ?? 1);

const older = 'ami-0aaaaaaaaaaaaaaa9';
/** What others' copies are of: no tag claims it. What agrees with its tags can't be told from our own. */
const another = 'ami-0bbbbbbbbbbbbbbb7';
const others = '333333333333';
const packed = [others, targetAccount].map((account) => Number(account).toString(36).padStart(8, '0')).join('');
const leaseIds = { dead: 'deadbeef0001', live: '11febeef0001', unknown: 'beefbeef0001' };
const leaseValues = { dead: '1790000000 4000 1 machine 17', live: '4000000000 4001 1 machine 18', odd: 'no lease' };

const holder = fc.constantFrom('dead', 'live', 'unknown', 'ended');
/** What tags claim, by their keys without the prefix; the names stand for what is known only when there is a world. */
const claims = fc.record(
  {
    'source-ami': fc.oneof({ weight: 4, arbitrary: fc.constant('golden') }, fc.constantFrom('older', 'own', 'odd')),
    'source-snapshot': fc.oneof({ weight: 3, arbitrary: fc.constant('disk') }, fc.constant('odd')),
    'kms-key': fc.oneof({ weight: 3, arbitrary: fc.constant('key') }, fc.constant('odd')),
    lease: holder,
    superseded: holder,
    published: fc.constantFrom('2026-10-01T00:00:00.000Z', 'odd'),
    protection: fc.constantFrom('on', 'on-with-cooldown'),
    'boot-test': fc.constantFrom('passed ssm', 'failed status'),
    'encrypted-copy': fc.constantFrom('golden', 'older', 'own'),
    'replaced-by': holder,
    intermediate: fc.constantFrom('true', 'dead', 'unknown', 'odd'),
    lineage: fc.constantFrom('golden', 'golden-image', 'odd'),
    'source-instance': fc.constant('i-0123456789abcdef0'),
    run: fc.constantFrom('https://github.com/acme/images/actions/runs/2', 'odd'),
    'shares:deadbeef0001:0': fc.constant(packed),
    'shares:beefbeef0001:0': fc.constant(packed),
  },
  { requiredKeys: [] },
);
type Claims = typeof claims extends fc.Arbitrary<infer T> ? T : never;

const origins = [
  'a backup',
  'a copied snapshot',
  'an AMI',
  'an AMI of copies',
  'a copied AMI',
  'a copy of ours',
] as const;
const foreign = fc.record({
  origin: fc.constantFrom(...origins),
  isTarget: fc.boolean(),
  isUnderKey: fc.boolean(),
  isOld: fc.boolean(),
  /** Whether its snapshot is described as a copy of ours: of this source on a volume's own, else of another. */
  isWordedAlike: fc.boolean(),
  state: fc.oneof(
    { weight: 4, arbitrary: fc.constant('available' as const) },
    fc.constantFrom('failed' as const, 'disabled' as const),
  ),
  /** Whether the AMI is called as one of the lineage. */
  isNamedAlike: fc.boolean(),
  tags: claims,
  diskTags: fc.oneof(fc.constant('the same' as const), claims),
});
type Foreign = typeof foreign extends fc.Arbitrary<infer T> ? T : never;

const play = fc.record({
  what: fc.oneof({ weight: 4, arbitrary: fc.constant('run' as const) }, fc.constant('sweep' as const)),
  route: fc.constantFrom('register', 'copy'),
  isEncrypted: fc.boolean(),
  /** Whether the action has made an AMI of the source before. */
  isAgain: fc.boolean(),
  onExisting: fc.constantFrom('reuse', 'replace'),
  retain: fc.constantFrom('', '1', '2'),
  leases: fc.subarray(['dead', 'live', 'odd'] as const),
  /** On the source AMI, and on its snapshot, which is shared with somebody besides. */
  goldenTags: fc.option(claims, { nil: undefined }),
  diskTags: fc.option(claims, { nil: undefined }),
  /** Whether the source's snapshot was shared with the target before. */
  isShared: fc.boolean(),
  /** On the AMI that the action has made before, and on its snapshot: whatever an AMI that nobody makes can bear. */
  ownTags: fc.record({ lease: fc.constantFrom('unknown', 'ended') }, { requiredKeys: [] }),
  ownDiskTags: fc.record({ lease: holder, 'replaced-by': holder }, { requiredKeys: [] }),
  there: fc.array(foreign, { minLength: 1, maxLength: 6 }),
});
type Play = typeof play extends fc.Arbitrary<infer T> ? T : never;

const policies = ['source-route-copy', 'target-route-copy', 'target-retain'];

function caseOf({ isEncrypted }: Play): Case {
  const timings = { baseSeconds: 30, secondsPerGiB: 0 };
  const ami = { attributes: { Description: 'A golden image' } };
  return (isEncrypted ? customerKey : procedure)({ ami, timings, policies });
}

function inputsOf({ route, onExisting, retain }: Play): Inputs {
  return { route, retain, lineage: 'golden', 'on-existing': onExisting, 'target-ami-name': 'golden-image-{run-id}' };
}

type Scene = Readonly<{ house: House; golden: SimImage }>;

/** The tags that claims stand for, on a resource of an account. */
function tagsOf({ house, golden }: Scene, claimed: Claims, own: string): Tags {
  const known: Readonly<Record<string, string>> = {
    ...leaseIds,
    ...{ golden: golden.data.ImageId, disk: diskOf(house.simulator, golden).data.SnapshotId, older, own },
    key: `arn:aws:kms:eu-west-1:${targetAccount}:key/${keyId(house)}`,
  };
  const entries = Object.entries(claimed).map(([key, value = '']) => {
    const claim = known[value] ?? value;
    const isOfName = key === 'replaced-by';
    return [`${prefix}${key}`, isOfName ? `${golden.data.ImageId} ${claim} 2026-10-01T00:00:00.000Z` : claim];
  });
  return Object.fromEntries(entries);
}

function keyId({ simulator }: House): string {
  return simulator.world.accounts[targetAccount]?.regions.get(target[1])?.aliases.get('alias/cmkTarget') ?? '';
}

/** When something came about. */
function timeOf({ house }: Scene, { isOld }: Foreign): string {
  return isOld ? '2026-11-01T00:00:00.000Z' : new Date(house.simulator.clock.now() - 60_000).toISOString();
}

function snapshotOf(scene: Scene, given: Foreign): ForeignSnapshot {
  const { origin, isTarget, isUnderKey, isWordedAlike, tags, diskTags } = given;
  const { house, golden } = scene;
  const isCopied = !['a backup', 'an AMI'].includes(origin);
  const from = `${diskOf(house.simulator, golden).data.SnapshotId} of ${isCopied ? another : golden.data.ImageId}`;
  const Description = isWordedAlike ? `Copied from ${from} (${source.join('/')})` : `theirs, ${origin}`;
  return {
    tags: tagsOf(scene, diskTags === 'the same' ? tags : diskTags, older),
    ...(isUnderKey && { key: isTarget ? 'cmkTarget' : 'cmkSource' }),
    sharedWith: [others],
    data: { ...(isCopied && copied), StartTime: new Date(timeOf(scene, given)), Description },
  };
}

/** What an AMI was copied from, if it was: somebody's own copy of the source AMI has another name than ours. */
function originOf({ golden }: Scene, { origin, isTarget }: Foreign): Partial<SimImage['data']> {
  const of = { 'a copied AMI': another, 'a copy of ours': isTarget ? undefined : golden.data.ImageId };
  const SourceImageId = origin in of ? of[origin as keyof typeof of] : undefined;
  return SourceImageId === undefined ? {} : { SourceImageId, SourceImageRegion: source[1] };
}

/** Puts one thing that somebody else has. */
function put(scene: Scene, given: Foreign, index: number): SimImage | SimSnapshot {
  const { origin, isTarget, state, isNamedAlike, tags } = given;
  const { simulator } = scene.house;
  const place = isTarget ? target : source;
  const snapshot = snapshotOf(scene, given);
  if (origin === 'a backup' || origin === 'a copied snapshot') return putSnapshot(simulator, place, snapshot);
  const image = putImage(simulator, place, {
    name: `${isNamedAlike ? 'golden-image-9' : 'theirs-'}${index}`,
    launchers: [others],
    snapshot,
    data: { State: state, CreationDate: timeOf(scene, given), ...originOf(scene, given) },
  });
  tag(image, tagsOf(scene, tags, image.data.ImageId));
  return image;
}

/** Writes tags on the source AMI and its snapshot, which is shared besides, and on what the action has made of them. */
function forge(scene: Scene, given: Play, own: SimImage | undefined): void {
  const { house, golden } = scene;
  const disk = diskOf(house.simulator, golden);
  disk.shares.add(others);
  if (given.isShared) disk.shares.add(targetAccount);
  const write = (resource: SimImage | SimSnapshot, claimed: Claims = {}) =>
    tag(resource, tagsOf(scene, claimed, golden.data.ImageId));
  write(golden, given.goldenTags);
  write(disk, given.diskTags);
  if (own === undefined) return;
  write(own, given.ownTags);
  write(diskOf(house.simulator, own), given.ownDiskTags);
}

/** What is wrong after a play: a line each. */
async function amissAfter(given: Play): Promise<string[]> {
  const shared = caseOf(given);
  const { amiId } = shared;
  await using house = await openHouse(shared);
  const { simulator } = house;
  const golden = goldenOf(simulator, amiId);
  const inputs = inputsOf({ ...given, retain: '' });
  const first = given.isAgain ? recordsOf((await runJob(house.run(inputs, { run_id: '1' }))).main)[0] : undefined;
  // What a run took off a moment ago is still read.
  await house.settle(1);
  for (const lease of given.leases) tag(golden, { [`${prefix}lease:${leaseIdOf(lease)}`]: leaseValues[lease] });
  const scene = { house, golden };
  const own = first && regionOf(simulator.world, ...target).images.get(first.amiId);
  forge(scene, given, own);
  const theirs = given.there.map((one, index) => put(scene, one, index));
  // What was made and tagged a moment ago is seen late, and a run may then do otherwise.
  await house.settle(2);
  const watched = watch(simulator, [...theirs, golden], amiId);
  const isTheirs = (line: string) => watched.ids.some((id) => line.includes(id));
  const isForged = (line: string) =>
    own !== undefined && idsOf(own).some((id) => line.endsWith(` on ${id}`) || line === `${id} bears a lease`);
  const problems = () => [
    ...watched.changes(),
    // One that lives has others keep what they share.
    ...(given.leases.includes('live') ? [] : house.remains()).filter(
      (line) => !isLeaseTag(line) && !isTheirs(line) && !isForged(line),
    ),
  ];
  const there = () => {
    const { images, snapshots } = stockOf(simulator, ...target);
    const ids = [...images.map(({ data }) => data.ImageId), ...snapshots.map(({ data }) => data.SnapshotId)];
    return ids.filter((id) => !isTheirs(id)).sort();
  };
  if (given.what === 'sweep') {
    const before = there();
    const { conclusion } = await runAction({ ...house.run({}, { run_id: '99' }), action: 'sweep' });
    return [
      ...problems(),
      ...(conclusion === 'success' ? [] : [`the sweep ended as ${conclusion}`]),
      ...(before.join() === there().join() ? [] : [`there was ${before}, and then ${there()}`]),
    ];
  }
  const job = await runJob(house.run(inputsOf(given), { run_id: '2' }));
  await house.settle();
  const records = recordsOf(job.main);
  const expected = first !== undefined && given.onExisting === 'reuse' ? 'reused' : 'created';
  const made = records.flatMap(({ amiId: id, snapshotIds }) => [id, ...snapshotIds]).sort();
  return [
    ...problems(),
    ...flawsOf(house, job, { amiId, foreign: watched.ids }).filter((line) => !isForged(line)),
    ...(job.main.conclusion === 'success' ? [] : [`the run failed: ${messagesOf(job.main)}`]),
    ...(records.map(({ status }) => status).join() === expected ? [] : [`the AMI is not ${expected}`]),
    ...(made.join() === there().join() ? [] : [`of ours there is ${there()}, and told was ${made}`]),
  ];
}

function leaseIdOf(lease: 'dead' | 'live' | 'odd'): string {
  return lease === 'odd' ? leaseIds.unknown : leaseIds[lease];
}

test('forged tags change nothing of what others have, nor what a run makes', async () => {
  await fc.assert(
    fc.asyncProperty(play, async (given) => {
      const amiss = await amissAfter(given);
      if (amiss.length > 0) throw new Error(amiss.join('\n'));
    }),
    { numRuns: runs, seed, endOnFailure: true },
  );
}, 3_600_000);
