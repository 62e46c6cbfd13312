import { describe, expect, test } from '@jest/globals';
import { amiIdOf, keyArnOf, type VolumeScenario } from '../../simulator/scenario.ts';
import {
  type Case,
  customerKey,
  type Inputs,
  procedure,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import { regionOf, type SimImage, type SimSnapshot } from '../../simulator/world.ts';
import { runAction, runJob } from '../in-process.ts';
import {
  copied,
  copyWithTags,
  diskOf,
  type ForeignImage,
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
  untoldOf,
  watch,
} from './foreign.ts';
import { countOf, type House, isLeaseTag, messagesOf, openHouse, recordsOf, stockOf } from './house.ts';

/*
 * Nothing is removed, used, shared or changed on the word of tags alone: anybody who may tag can write them, and copies of
 * an AMI carry them along. What is left, and why, is said; and the run does what it would have done without.
 */

const timings = { baseSeconds: 60, secondsPerGiB: 0 };
const deadLease = 'deadbeef0001';
/** Of a run whose lease expired long ago, as it stands on the source AMI. */
const deadLeaseTag = { [`${prefix}lease:${deadLease}`]: '1790000000 4000 1 some-machine 17' };
const others = '333333333333';
/** As accounts are packed into a tag. */
const packed = Number(others).toString(36).padStart(8, '0');
const older = 'ami-0aaaaaaaaaaaaaaa9';

const retaining = { timings, policies: ['target-retain'] };
const copying = { timings, policies: ['source-route-copy', 'target-route-copy', 'target-retain'] };
/** One snapshot can be shared as it is, and the other has to be encrypted first, by CopySnapshot. */
const mixed: VolumeScenario[] = [
  { device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' },
  { device: '/dev/sdb', sizeGiB: 8 },
];

type Given = Readonly<{ house: House; amiId: string; golden: SimImage }>;
type Foreign = readonly (SimImage | SimSnapshot)[];

type Row = Readonly<{
  name: string;
  shared: Case;
  /** Whether a run has made the target AMI before. */
  again?: boolean;
  inputs?: Inputs;
  /** Puts what somebody else has, and tags it. */
  forge: (given: Given) => Foreign;
  /** What becomes of the target AMI. */
  status?: 'created' | 'reused';
  /** How many snapshots the target account copies. */
  copies?: number;
}>;

const encryptedCopy = (amiId: string): Tags => ({ [`${prefix}source-ami`]: amiId, [`${prefix}intermediate`]: 'true' });
const copyOf = ({ house, amiId, golden }: Given, lease: string, device = 0): Tags => ({
  [`${prefix}source-ami`]: amiId,
  [`${prefix}source-snapshot`]: diskOf(house.simulator, golden, device).data.SnapshotId,
  [`${prefix}kms-key`]: `${targetKey(house)}`,
  [`${prefix}lease`]: lease,
});
/** What the action's own copies say of themselves. */
const ownWords = ({ house, amiId, golden }: Given) =>
  `Copied from ${diskOf(house.simulator, golden).data.SnapshotId} of ${amiId} (${sourceAccount}/us-east-1)`;

function targetKey({ simulator }: House): string | undefined {
  const { keys, aliases } = regionOf(simulator.world, ...target);
  return keys.get(aliases.get('alias/cmkTarget') ?? '')?.metadata.Arn;
}

/** An AMI that somebody registered, with the tags of one that this action made of the lineage. */
const ofLineage =
  (sourceAmi?: string) =>
  ({ house, amiId }: Given): Foreign => {
    const tags = { [`${prefix}source-ami`]: sourceAmi ?? amiId, [`${prefix}lineage`]: 'golden' };
    return [putImage(house.simulator, target, { name: 'web-server', tags, snapshot: { tags } })];
  };

const leases = ['x', 'ended', deadLease];
/** Copies of each kind of lease, with the four tags, that are otherwise as `data` says. */
const forgedCopies =
  (data: (given: Given) => ForeignSnapshot['data']) =>
  (given: Given): Foreign => {
    tag(given.golden, deadLeaseTag);
    return leases.map((lease) => {
      const tags = copyOf(given, lease);
      return putSnapshot(given.house.simulator, target, { tags, key: 'cmkTarget', data: data(given) ?? {} });
    });
  };

const forgeries: readonly (readonly [string, (given: Given) => ForeignSnapshot['data']])[] = [
  ['of a volume', () => ({})],
  ['of a volume, in the words of our copies', (given) => ({ Description: ownWords(given) })],
  ['another’s copies', () => ({ ...copied, Description: 'a copy of something' })],
  [
    'copies of another AMI, in the words of ours',
    (given) => ({ ...copied, Description: ownWords(given).replace(given.amiId, older) }),
  ],
];

/** How AMIs come about that are none of ours. */
const alike: readonly (readonly [string, ForeignImage['data'] & object, ForeignSnapshot['data'] & object])[] = [
  ['of somebody’s own snapshots', {}, {}],
  ['a copy of another AMI', { SourceImageId: older, SourceImageRegion: 'us-east-1' }, copied],
];

/** Each mark that a run puts on snapshots. */
const marksOf = (amiId: string, lease: string): Tags[] => [
  { [`${prefix}lease`]: lease },
  { [`${prefix}replaced-by`]: `${amiId} ${lease} 2026-10-01T00:00:00.000Z` },
];

const rows: readonly Row[] = [
  {
    name: 'the source AMI itself, tagged as its own encrypted copy',
    shared: procedure({ timings }),
    forge: ({ golden, amiId }) => {
      tag(golden, encryptedCopy(amiId));
      return [golden];
    },
  },
  {
    name: 'the source AMI and its snapshots, tagged as encrypted copies, in a run that only reuses',
    shared: customerKey({ timings }),
    again: true,
    forge: ({ house, golden, amiId }) => {
      const disk = diskOf(house.simulator, golden);
      tag(golden, encryptedCopy(amiId));
      tag(disk, { ...encryptedCopy(amiId), [`${prefix}source-snapshot`]: disk.data.SnapshotId });
      return [golden];
    },
    status: 'reused',
  },
  {
    name: 'another AMI of the source account, tagged as the encrypted copy',
    shared: procedure({ timings }),
    forge: ({ house, amiId }) => {
      const tags = { ...encryptedCopy(amiId), [`${prefix}shares:${deadLease}:0`]: packed };
      return [putImage(house.simulator, source, { name: 'web-server', tags, snapshot: { tags } })];
    },
  },
  {
    name: 'the same, shared with others long ago, as a tag of a dead lease says',
    shared: procedure({ timings }),
    forge: ({ house, golden, amiId }) => {
      tag(golden, deadLeaseTag);
      const tags = { ...encryptedCopy(amiId), [`${prefix}shares:${deadLease}:0`]: packed };
      const snapshot = { tags, key: 'other', sharedWith: [others] };
      return [putImage(house.simulator, source, { name: 'web-server', tags, launchers: [others], snapshot })];
    },
  },
  {
    name: 'a copy of the source AMI that somebody made under a name of their own, tagged as the encrypted one',
    shared: procedure({ timings }),
    forge: ({ house, amiId }) => {
      const tags = encryptedCopy(amiId);
      const data = { SourceImageId: amiId, SourceImageRegion: 'us-east-1' };
      const snapshot = { tags, key: 'cmkSource', data: copied };
      return [putImage(house.simulator, source, { name: 'golden-image-copy', tags, data, snapshot })];
    },
  },
  {
    name: 'a backup in the source account, tagged as a snapshot of the encrypted copy',
    shared: procedure({ timings }),
    forge: ({ house, amiId }) => [putSnapshot(house.simulator, source, { tags: encryptedCopy(amiId) })],
  },
  {
    name: 'a backup in the source account, tagged as the encrypted copy of a snapshot: its blocks are not used',
    shared: standardCase({ timings, volumes: mixed }),
    forge: ({ house, amiId, golden }) => {
      const part = diskOf(house.simulator, golden, 1).data.SnapshotId;
      const tags = { ...encryptedCopy(amiId), [`${prefix}source-snapshot`]: part };
      return [putSnapshot(house.simulator, source, { tags, key: 'cmkSource' })];
    },
    copies: 2,
  },
  {
    name: 'an AMI of the target, tagged as one of this source and lineage, with retain',
    shared: procedure(retaining),
    inputs: { lineage: 'golden', retain: '1' },
    forge: ofLineage(),
  },
  {
    name: 'an AMI of the target, tagged as one of an older source and the lineage, with retain',
    shared: procedure(retaining),
    inputs: { lineage: 'golden', retain: '1' },
    forge: ofLineage(older),
  },
  {
    name: 'the same in a run that only reuses',
    shared: procedure(retaining),
    again: true,
    inputs: { lineage: 'golden', retain: '1' },
    forge: ofLineage(older),
    status: 'reused',
  },
  {
    name: 'an AMI of the target, tagged as one of this source, with replace',
    shared: procedure({ timings }),
    inputs: { 'on-existing': 'replace' },
    forge: ofLineage(),
  },
  ...alike.map(
    ([made, data, disk]): Row => ({
      name: `an AMI that is alike and under the target key, ${made}, tagged as one of this source: it is not used`,
      shared: customerKey({ timings }),
      forge: (given) => {
        const { [`${prefix}lease`]: _, ...tags } = copyOf(given, '');
        const snapshot = { tags, key: 'cmkTarget', data: disk };
        return [putImage(given.house.simulator, target, { name: 'web-server', tags, data, snapshot })];
      },
    }),
  ),
  {
    name: 'a failed AMI of the target, tagged as one that a dead run made',
    shared: procedure(copying),
    forge: ({ house, amiId, golden }) => {
      tag(golden, deadLeaseTag);
      const tags = { [`${prefix}source-ami`]: amiId, [`${prefix}lease`]: deadLease };
      return [putImage(house.simulator, target, { name: 'web-server', tags, data: { State: 'failed' } })];
    },
  },
  ...([false, true] as const).map(
    (isDead): Row => ({
      name: `backups in the target with the marks of copies, ${isDead ? 'of a dead lease' : 'of none that is known'}`,
      shared: procedure({ timings }),
      again: true,
      forge: ({ house, amiId, golden }) => {
        if (isDead) tag(golden, deadLeaseTag);
        return leases
          .filter((lease) => isDead === (lease === deadLease))
          .flatMap((lease) =>
            marksOf(amiId, lease).map((mark) => {
              const tags = { [`${prefix}source-ami`]: amiId, ...mark };
              return putSnapshot(house.simulator, target, { tags });
            }),
          );
      },
      status: 'reused',
    }),
  ),
  ...forgeries.map(
    ([made, data]): Row => ({
      name: `snapshots with the four tags of a copy, ${made}: they are not taken over`,
      shared: customerKey({ timings }),
      forge: forgedCopies(data),
      copies: 1,
    }),
  ),
  {
    name: 'a share that was there before, and that a tag of a dead lease claims',
    shared: customerKey({ timings, volumes: [{ device: '/dev/xvda', key: 'cmkSource', sharedWith: [others] }] }),
    forge: ({ house, golden }) => {
      tag(golden, deadLeaseTag);
      const disk = diskOf(house.simulator, golden);
      tag(disk, { [`${prefix}shares:${deadLease}:0`]: packed });
      return [disk];
    },
  },
];

describe('what somebody else has is left alone, whatever its tags say', () => {
  test.each(rows)('$name', async ({ shared, again, inputs = {}, forge, status = 'created', copies }) => {
    const { amiId } = shared;
    await using house = await openHouse(shared);
    const { simulator } = house;
    if (again === true) await runJob(house.run({}, { run_id: '1' }));
    const golden = goldenOf(simulator, amiId);
    const foreign = forge({ house, amiId, golden });
    const watched = watch(simulator, [...foreign, golden], amiId);
    const given = new Set(watched.ids);
    const copiedBefore = countOf(simulator, 'CopySnapshot', targetAccount);
    const job = await runJob(house.run(inputs, { run_id: '2' }));
    await house.settle();
    expect({
      changes: watched.changes(),
      untold: untoldOf(simulator, [job.main, job.post], foreign.flatMap(idsOf)),
      flaws: flawsOf(house, job, { amiId, foreign: watched.ids }),
      conclusion: job.main.conclusion,
      statuses: recordsOf(job.main).map((record) => record.status),
      // What is beyond what was there: a lease whose tag can't be believed may stay.
      remains: house.remains().filter((line) => !isLeaseTag(line) && ![...given].some((id) => line.includes(id))),
    }).toEqual({ changes: [], untold: [], flaws: [], conclusion: 'success', statuses: [status], remains: [] });
    if (copies !== undefined) expect(countOf(simulator, 'CopySnapshot', targetAccount) - copiedBefore).toBe(copies);
  });
});

describe('a sweep leaves alone what somebody else has, however old, and succeeds', () => {
  type Swept = Readonly<{ name: string; forge: (given: Given) => Foreign }>;
  const gone = (more: Tags): Tags => ({ [`${prefix}source-ami`]: older, ...more });
  const swept: readonly Swept[] = [
    {
      name: 'backups in a target with the marks of copies',
      forge: ({ house, golden }) => {
        tag(golden, deadLeaseTag);
        return leases.flatMap((lease) =>
          marksOf(older, lease).map((mark) => putSnapshot(house.simulator, target, { tags: gone(mark) })),
        );
      },
    },
    {
      name: 'AMIs in a target with the marks of half-made ones',
      forge: ({ house, golden }) => {
        tag(golden, deadLeaseTag);
        return leases.flatMap((lease) =>
          (['available', 'failed'] as const).map((State) => {
            const tags = gone({ [`${prefix}lease`]: lease });
            const name = `web-server-${lease}-${State}`;
            return putImage(house.simulator, target, { name, tags, data: { State }, snapshot: { tags } });
          }),
        );
      },
    },
    {
      name: 'another product that was copied with its tags, of a dead lease',
      forge: ({ house, golden, amiId }) => {
        tag(golden, deadLeaseTag);
        const tags = { [`${prefix}source-ami`]: amiId, [`${prefix}lease`]: deadLease };
        const data = { SourceImageId: older, SourceImageRegion: targetRegion };
        const snapshot = { tags, key: 'cmkTarget', data: copied };
        return [putImage(house.simulator, target, { name: 'web-server', tags, data, snapshot })];
      },
    },
    {
      name: 'an AMI of the source account, tagged as the encrypted copy of an AMI that is gone',
      forge: ({ house }) => {
        const tags = gone({ [`${prefix}intermediate`]: 'true' });
        return [putImage(house.simulator, source, { name: 'web-server', tags, snapshot: { tags } })];
      },
    },
    {
      name: 'the same of an AMI that bears a dead lease',
      forge: ({ house, golden, amiId }) => {
        tag(golden, deadLeaseTag);
        const tags = encryptedCopy(amiId);
        return [putImage(house.simulator, source, { name: 'web-server', tags, snapshot: { tags } })];
      },
    },
    {
      name: 'a backup of the source account, tagged as the encrypted copy of a snapshot that is gone',
      forge: ({ house }) => {
        const tags = gone({
          [`${prefix}intermediate`]: deadLease,
          [`${prefix}source-snapshot`]: 'snap-0aaaaaaaaaaaaaaa9',
        });
        return [putSnapshot(house.simulator, source, { tags })];
      },
    },
    {
      name: 'the source AMI itself, tagged as its own encrypted copy, with a dead lease',
      forge: ({ golden, amiId }) => {
        tag(golden, { ...deadLeaseTag, ...encryptedCopy(amiId) });
        return [golden];
      },
    },
    {
      name: 'a share that was there before, and that a tag of a dead lease claims',
      forge: ({ house, golden }) => {
        tag(golden, deadLeaseTag);
        const disk = diskOf(house.simulator, golden);
        disk.shares.add(others);
        tag(disk, { [`${prefix}shares:${deadLease}:0`]: packed });
        return [disk];
      },
    },
  ];

  test.each(swept)('$name', async ({ forge }) => {
    const shared = customerKey({ timings });
    await using house = await openHouse(shared);
    const { simulator } = house;
    const golden = goldenOf(simulator, shared.amiId);
    const foreign = forge({ house, amiId: shared.amiId, golden });
    const watched = watch(simulator, [...foreign, golden], shared.amiId);
    const main = await runAction({ ...house.run({}, { run_id: '99' }), action: 'sweep' });
    expect({
      changes: watched.changes(),
      untold: untoldOf(simulator, [main], foreign.flatMap(idsOf)),
      conclusion: main.conclusion,
    }).toEqual({ changes: [], untold: [], conclusion: 'success' });
  });
});

describe('a lease that cannot be read fails no run', () => {
  test.each([
    ['names a region that there is not', '1790000000 4000 1 some-machine 17 us-nowhere-1'],
    ['names no region at all', '1790000000 4000 1 some-machine 17 nowhere'],
    ['names a region that reads as somebody else’s host', '1790000000 4000 1 some-machine 17 evil.example.com/x#'],
    ['names many of them', '1790000000 4000 1 some-machine 17 ..,us-east-1.evil.example.com,-,eu_west_1'],
    ['has no end, and no regions', 'not a lease at all'],
    ['has an end beyond all time', '99999999999999999999 4000 1 some-machine 17'],
    ['is empty', ''],
  ])('%s', async (_, value) => {
    // No host answers there.
    const shared = customerKey({ timings, faults: [{ kind: 'reset', region: 'us-nowhere-1' }] });
    await using house = await openHouse(shared);
    const { simulator } = house;
    const golden = goldenOf(simulator, shared.amiId);
    tag(golden, { [`${prefix}lease:${deadLease}`]: value });
    const watched = watch(simulator, [golden], shared.amiId);
    const job = await runJob(house.run());
    await house.settle();
    const errors = [job.main, job.post].flatMap(({ annotations }) =>
      annotations.filter(({ level }) => level === 'error'),
    );
    expect({
      changes: watched.changes(),
      flaws: flawsOf(house, job, { amiId: shared.amiId, foreign: watched.ids }),
      conclusions: [job.main.conclusion, job.post.conclusion],
      errors,
      statuses: recordsOf(job.main).map(({ status }) => status),
      remains: house.remains().filter((line) => !isLeaseTag(line)),
    }).toEqual({
      ...{ changes: [], flaws: [], conclusions: ['success', 'success'], errors: [], statuses: ['created'] },
      remains: [],
    });
    const swept = await runAction({ ...house.run({}, { run_id: '99' }), action: 'sweep' });
    expect([swept.conclusion, watched.changes()]).toEqual(['success', []]);
  });
});

describe('a copy that somebody makes of a target AMI, with its tags, is another product', () => {
  const volumes = [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }];
  const second = { name: 'golden-image-2', volumes };
  const secondId = amiIdOf(sourceAccount, sourceRegion, second.name);

  test.each<[string, Case, Inputs]>([
    ['register', customerKey({ ...retaining, ami: { name: 'golden-image-1' }, source: { amis: [second] } }), {}],
    [
      'copy',
      customerKey({ ...copying, ami: { name: 'golden-image-1' }, source: { amis: [second] } }),
      { route: 'copy', 'target-ami-description': 'A golden image' },
    ],
  ])('route %s: retain keeps it, and removes our own older one', async (_, given, inputs) => {
    const shared = { ...given, scenario: { ...given.scenario, ambient: { account: targetAccount } } };
    await using house = await openHouse(shared);
    const { simulator } = house;
    const first = await runJob(house.run({ ...inputs, lineage: 'golden' }, { run_id: '1' }));
    const ours = recordsOf(first.main)[0]?.amiId ?? '';
    const product = await copyWithTags(simulator, ours, 'another-product');
    const watched = watch(simulator, [product]);
    // It claims to be of this source, too, and is alike.
    const again = await runJob(house.run({ ...inputs, lineage: 'golden', retain: '1' }, { run_id: '2' }));
    const next = await runJob(
      house.run({ ...inputs, lineage: 'golden', retain: '1', 'ami-id': secondId }, { run_id: '3' }),
    );
    const swept = await runAction({ ...house.run({}, { run_id: '99' }), action: 'sweep' });
    expect({
      changes: watched.changes(),
      untold: [again, next].map(({ main, post }) => untoldOf(simulator, [main, post], [product.data.ImageId])),
      outcomes: [again, next].map(({ main }) => [main.conclusion, recordsOf(main).map(({ status }) => status)]),
      reused: recordsOf(again.main).map(({ amiId }) => amiId),
      swept: swept.conclusion,
      names: stockOf(simulator, ...target)
        .images.map(({ data }) => data.Name)
        .sort(),
    }).toEqual({
      changes: [],
      untold: [[], []],
      outcomes: [
        ['success', ['reused']],
        ['success', ['created']],
      ],
      reused: [ours],
      swept: 'success',
      names: ['another-product', 'golden-image-2'],
    });
  });
});

/** What a run calls the encrypted copy that it makes: the same in every world of a case. */
async function encryptedName(shared: Case): Promise<string> {
  await using house = await openHouse(shared);
  await runJob(house.run({ 'keep-intermediates': 'true' }));
  const names = stockOf(house.simulator, ...source).images.map(({ data }) => data.Name);
  const made = names.find((name) => name.startsWith('share-encrypted-ami/'));
  if (made === undefined) throw new Error(`no encrypted copy among ${names.join()}`);
  return made;
}

describe('an AMI under the name of the encrypted copy that is no copy of the source AMI', () => {
  const copy = (more: object) => ({ SourceImageRegion: sourceRegion, ...more });
  test.each([
    ['was registered', true, {}],
    ['was registered, and bears none of our tags', false, {}],
    ['is a copy of another AMI', true, copy({ SourceImageId: older })],
    ['failed', true, { State: 'failed' }],
    ['failed as a copy of another AMI', true, copy({ State: 'failed', SourceImageId: older })],
  ] as const)('%s: it is neither used nor removed', async (_, isTagged, data) => {
    const shared = procedure({ timings });
    const name = await encryptedName(shared);
    await using house = await openHouse(shared);
    const { simulator } = house;
    const golden = goldenOf(simulator, shared.amiId);
    const part = diskOf(simulator, golden).data.SnapshotId;
    const tags = isTagged ? encryptedCopy(shared.amiId) : {};
    const snapshot = {
      tags: { ...tags, ...(isTagged && { [`${prefix}source-snapshot`]: part }) },
      ...{ key: 'cmkSource', data: 'SourceImageId' in data ? copied : {} },
    };
    const theirs = putImage(simulator, source, { name, tags, data, snapshot });
    const watched = watch(simulator, [theirs, golden], shared.amiId);
    const { main, post } = await runJob(house.run());
    await house.settle();
    const ids = idsOf(theirs);
    const isNamed = [main.log, post.log, messagesOf(main)].some((text) => text.includes(theirs.data.ImageId));
    expect({ changes: watched.changes(), isNamed }).toEqual({ changes: [], isNamed: true });
    expect(house.remains().filter((line) => !ids.some((id) => line.includes(id)))).toEqual([]);
    // AWS gives a name once: the run may be unable to go on, and then says so before it makes anything.
    const { images, snapshots } = stockOf(simulator, ...target);
    if (main.conclusion === 'success')
      expect(flawsOf(house, { main, post }, { amiId: shared.amiId, foreign: watched.ids })).toEqual([]);
    else expect([images.length, snapshots.length]).toEqual([0, 0]);
  });
});

describe('an AMI that somebody else makes under the name meanwhile', () => {
  const otherKey = 'arn:aws:kms:eu-west-1:999999999999:key/0a0a0a0a-0a0a-40a0-80a0-0a0a0a0a0a0a';

  /** A run that is made to lose the race for the name against an AMI that an earlier one made. */
  async function race(inputs: Inputs, change: (rival: SimImage, disk: SimSnapshot) => void) {
    const parameter = { 'ssm-parameter': '/golden/latest' };
    const policies = [...copying.policies, 'target-publish', 'target-ssm-parameter'];
    const shared = customerKey({ timings, policies });
    await using house = await openHouse(shared);
    const { simulator } = house;
    const place = regionOf(simulator.world, ...target);
    const { route = 'auto', 'target-ami-description': description = '' } = inputs;
    await runJob(house.run({ route, 'target-ami-description': description }, { run_id: '1' }));
    const [rival] = stockOf(simulator, ...target).images;
    if (rival === undefined) throw new Error('there is no rival');
    const disk = diskOf(simulator, rival);
    change(rival, disk);
    const watched = watch(simulator, [rival]);
    place.images.delete(rival.data.ImageId);
    place.snapshots.delete(disk.data.SnapshotId);
    const forget = simulator.onCall(({ action, account, mutating }) => {
      // The last that is done before the name is taken: by RegisterImage, or by CopyImage.
      const [last, by] = route === 'copy' ? ['ModifyImageAttribute', sourceAccount] : ['CopySnapshot', targetAccount];
      if (action !== last || account !== by || !mutating) return;
      place.images.set(rival.data.ImageId, rival);
      place.snapshots.set(disk.data.SnapshotId, disk);
    });
    const job = await runJob(house.run({ ...parameter, ...inputs }, { run_id: '2' }));
    forget();
    await house.settle();
    return {
      rival: rival.data.ImageId,
      changed: watched.changes(),
      job,
      records: recordsOf(job.main),
      parameters: [...place.parameters.values()].map(({ value }) => value),
      images: stockOf(simulator, ...target).images.map(({ data }) => data.ImageId),
      told: `${messagesOf(job.main)}\n${job.main.log}`,
    };
  }

  const byCopy = { route: 'copy', 'target-ami-description': 'A golden image' };
  const refused: readonly (readonly [string, Inputs, (rival: SimImage, disk: SimSnapshot) => void])[] = [
    ['under another key', {}, (_, { data }) => Object.assign(data, { KmsKeyId: otherKey })],
    ['under another key, by route copy', byCopy, (_, { data }) => Object.assign(data, { KmsKeyId: otherKey })],
    ['by somebody else, with on-existing: fail', { 'on-existing': 'fail' }, () => {}],
    ['by somebody else, with on-existing: fail, by route copy', { ...byCopy, 'on-existing': 'fail' }, () => {}],
    ['of blocks of their own', {}, (_, { data }) => Object.assign(data, { Description: 'mine', VolumeId: 'vol-0aa' })],
    ['that differs', {}, ({ data }) => Object.assign(data, { EnaSupport: false })],
    ['of no lineage', { lineage: 'golden' }, () => {}],
    ['of the lineage by a tag alone', { lineage: 'golden' }, (rival) => tag(rival, { [`${prefix}lineage`]: 'golden' })],
    ['that failed its boot test', { 'ssm-parameter': '' }, (rival) => tag(rival, { [`${prefix}boot-test`]: 'failed' })],
  ];

  test.each(refused)('%s is not used', async (_, inputs, change) => {
    const { rival, changed, job, records, parameters, images, told } = await race(inputs, change);
    expect({
      changed,
      conclusion: job.main.conclusion,
      statuses: records.map(({ status }) => status),
      parameters,
      images,
    }).toEqual({ changed: [], conclusion: 'failure', statuses: ['failed'], parameters: [], images: [rival] });
    expect(told).toContain(rival);
  });

  test('and is right is used, with on-existing: reuse, under the key that was read', async () => {
    const { rival, job, records, parameters, images } = await race({}, () => {});
    const key = keyArnOf(targetAccount, targetRegion, 'cmkTarget');
    expect({ conclusion: job.main.conclusion, records, parameters, images }).toMatchObject({
      ...{ conclusion: 'success', parameters: [rival], images: [rival] },
      records: [{ status: 'reused', amiId: rival, kmsKeyArn: key }],
    });
  });
});
