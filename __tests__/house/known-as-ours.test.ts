import { describe, expect, test } from '@jest/globals';
import { amiIdOf, type VolumeScenario } from '../../simulator/scenario.ts';
import {
  type Case,
  type Inputs,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import { runAction, runJob } from '../in-process.ts';
import { sampled } from '../sampled.ts';
import { flawsOf, goldenOf, prefix, target, untoldOf } from './foreign.ts';
import {
  countOf,
  type House,
  inForceAtOnce,
  isLeaseTag,
  type Job,
  killAt,
  messagesOf,
  openHouse,
  recordsOf,
  stockOf,
} from './house.ts';

/* What this action made is known as its own, by whichever way it came about: it is used, taken over, and removed again. */

const timings = { baseSeconds: 60, secondsPerGiB: 0 };
const underKey: VolumeScenario[] = [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }];
const underNone: VolumeScenario[] = [{ device: '/dev/xvda', sizeGiB: 8 }];
const attributes = { Description: 'A golden image' };
const idOf = (name: string) => amiIdOf(sourceAccount, sourceRegion, name);

type Way = readonly [name: string, volumes: readonly VolumeScenario[], more: StandardOptions, inputs: Inputs];

const copying: Inputs = { route: 'copy' };
const hubs: StandardOptions = { targets: [targetAccount, '222222222222'], hubs: [targetRegion] };
const ways: readonly Way[] = [
  ['register, of snapshots that are shared as they are', underKey, {}, {}],
  ['register, through an encrypted copy', underNone, {}, {}],
  ['register, through a hub', underNone, hubs, { topology: 'regional-hub' }],
  ['copy, of an image that is shared as it is', underKey, {}, copying],
  ['copy, through an encrypted copy', underNone, {}, copying],
  ['copy, through a hub', underNone, hubs, { ...copying, topology: 'regional-hub' }],
];

/** Three bakes of one image. */
function bakes([, volumes, more, inputs]: Way): Case {
  const policies = ['source-route-copy', 'target-route-copy', 'target-retain'];
  const later = ['golden-2', 'golden-3'].map((name) => ({ name, attributes, volumes, tags: { Name: 'golden' } }));
  const ami = { name: 'golden-1', attributes };
  const shared = standardCase({ timings, policies, volumes, ami, source: { amis: later }, ...more });
  return { ...shared, inputs: { ...shared.inputs, ...inputs } };
}

function outcomeOf(job: Job) {
  const { main, post } = job;
  return [main.conclusion, recordsOf(main).map(({ status }) => status), messagesOf(main), messagesOf(post)];
}

/** The names of the AMIs, and how many snapshots there are. */
function stock(house: House, account = targetAccount) {
  const { images, snapshots } = stockOf(house.simulator, account, targetRegion);
  return [images.map(({ data }) => data.Name).sort(), snapshots.length];
}

describe('retain, over three bakes', () => {
  test.each(sampled(ways))('%s', async (...way) => {
    const shared = bakes(way);
    await using house = await openHouse(shared);
    const before = house.simulator.snapshotOfState(sourceAccount);
    const accounts = shared.inputs['target-accounts']?.split('\n') ?? [];
    const created = ['success', accounts.map(() => 'created'), '', ''];
    const seen: unknown[] = [];
    for (const name of ['golden-1', 'golden-2', 'golden-3']) {
      const job = await runJob(
        house.run({ lineage: 'golden', retain: '2', 'ami-id': idOf(name) }, { run_id: name.slice(-1) }),
      );
      expect(outcomeOf(job)).toEqual(created);
      expect(flawsOf(house, job, { amiId: idOf(name), foreign: [] })).toEqual([]);
      await house.settle(1);
      seen.push(accounts.map((account) => stock(house, account)));
    }
    expect(seen).toEqual(
      [
        [['golden-1'], 1],
        [['golden-1', 'golden-2'], 2],
        [['golden-2', 'golden-3'], 2],
      ].map((one) => accounts.map(() => one)),
    );
    // Again, it is used as it is.
    const again = await runJob(
      house.run({ lineage: 'golden', retain: '2', 'ami-id': idOf('golden-3') }, { run_id: '4' }),
    );
    expect(outcomeOf(again)).toEqual(['success', accounts.map(() => 'reused'), '', '']);
    expect(house.simulator.snapshotOfState(sourceAccount)).toEqual(before);
    expect(house.remains()).toEqual([]);
  });
});

describe('replace, under another name', () => {
  test.each(sampled(ways.filter(([name]) => !name.startsWith('register, of'))))('%s', async (...way) => {
    const shared = bakes(way);
    await using house = await openHouse(shared);
    const before = house.simulator.snapshotOfState(sourceAccount);
    const accounts = shared.inputs['target-accounts']?.split('\n') ?? [];
    const inputs = { 'on-existing': 'replace', 'target-ami-name': 'golden-{run-id}' };
    for (const run_id of ['7', '8']) {
      const job = await runJob(house.run(inputs, { run_id }));
      expect(outcomeOf(job)).toEqual(['success', accounts.map(() => 'created'), '', '']);
      await house.settle(1);
      expect(accounts.map((account) => stock(house, account))).toEqual(accounts.map(() => [[`golden-${run_id}`], 1]));
    }
    expect(house.simulator.snapshotOfState(sourceAccount)).toEqual(before);
  });
});

describe('an AMI whose encrypted copy is gone is removed only where AWS tells that it comes from the source', () => {
  const [, , , , way] = ways;
  if (way === undefined) throw new Error('there is no such way');

  async function threeBakes(house: House): Promise<Job> {
    let last: Job | undefined;
    for (const name of ['golden-1', 'golden-2']) {
      last = await runJob(
        house.run({ lineage: 'golden', retain: '1', 'ami-id': idOf(name) }, { run_id: name.slice(-1) }),
      );
      if (name === 'golden-1') forge(house);
    }
    if (last === undefined) throw new Error('no run was played');
    return last;
  }
  let forge: (house: House) => void = () => {};

  /** The target AMI of the first bake stays, is told, and fails no run. */
  async function expectLeft(house: House): Promise<void> {
    const last = await threeBakes(house);
    const left = stockOf(house.simulator, ...target).images.find(({ data }) => data.Name === 'golden-1')?.data.ImageId;
    expect([last.main.conclusion, ...stock(house)]).toEqual(['success', ['golden-1', 'golden-2'], 2]);
    expect(untoldOf(house.simulator, [last.main, last.post], [left ?? 'nothing'])).toEqual([]);
  }

  test.each([
    ['is not allowed', 'UnauthorizedOperation'],
    ['is not known in the region', 'InvalidAction'],
  ])('the question %s', async (_, code) => {
    await using house = await openHouse(bakes(way));
    forge = ({ simulator }) =>
      simulator.addFault({ kind: 'refusal', action: 'GetImageAncestry', code, message: 'Not for you.', status: 403 });
    await expectLeft(house);
    // To be used, it is compared, which takes no such proof.
    const again = await runJob(house.run({ 'ami-id': idOf('golden-1') }, { run_id: '9' }));
    expect([again.main.conclusion, recordsOf(again.main).map(({ status }) => status)]).toEqual(['success', ['reused']]);
  });

  test('its encrypted copy was one of another AMI', async () => {
    await using house = await openHouse(bakes(way));
    forge = ({ simulator }) => {
      const { images } = simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion) ?? {};
      const gone = [...(images?.values() ?? [])].find(({ deregisteredAt }) => deregisteredAt !== undefined);
      if (gone === undefined) throw new Error('there was no encrypted copy');
      Object.assign(gone.data, { SourceImageId: idOf('golden-3') });
    };
    await expectLeft(house);
  });
});

const mixed: VolumeScenario[] = [...underKey, { device: '/dev/sdb', sizeGiB: 8 }];
const instanceId = 'i-0123456789abcdef0';

type Kill = Readonly<{
  name: string;
  way: Way;
  /** The call after whose effect the run dies, and whose it is. */
  at: readonly [action: string, account: string, region: string];
  /** How often that call is made in all: once, where what it began is taken over. */
  calls: number;
}>;

const source = [sourceAccount, sourceRegion] as const;
const kills: readonly Kill[] = [
  {
    name: 'the encrypted copy of a snapshot',
    way: ['', mixed, {}, {}],
    at: ['CopySnapshot', ...source],
    calls: 1,
  },
  {
    name: 'the encrypted copy, for route copy',
    way: ['', underNone, {}, copying],
    at: ['CopyImage', ...source],
    calls: 1,
  },
  { name: 'the image in the target', way: ['', underKey, {}, copying], at: ['CopyImage', ...target], calls: 1 },
  {
    name: 'the image in the target, of an encrypted copy',
    way: ['', underNone, {}, copying],
    at: ['CopyImage', ...target],
    calls: 1,
  },
  {
    name: 'the hub’s copy',
    way: ['', underNone, hubs, { topology: 'regional-hub' }],
    at: ['CopyImage', sourceAccount, targetRegion],
    calls: 1,
  },
  {
    name: 'the image in the target, of a hub',
    way: ['', underNone, hubs, { ...copying, topology: 'regional-hub' }],
    at: ['CopyImage', ...target],
    calls: 1,
  },
  {
    name: 'the snapshot in the target, of an encrypted one',
    way: ['', mixed, { timings: { ...timings, ...inForceAtOnce } }, {}],
    at: ['CopySnapshot', ...target],
    calls: 2,
  },
  { name: 'the registered AMI', way: ['', mixed, {}, {}], at: ['RegisterImage', ...target], calls: 1 },
];

describe('what a run that was killed began', () => {
  const isAt =
    ([action, account, region]: Kill['at']) =>
    (call: { action: string; account?: string; region?: string; mutating: boolean; outcome: string }) =>
      call.mutating &&
      call.outcome === 'ok' &&
      call.action === action &&
      call.account === account &&
      call.region === region;

  async function killed({ way, at }: Kill) {
    const shared = bakes(way);
    const house = await openHouse(shared);
    const before = house.simulator.snapshotOfState(sourceAccount);
    await killAt(house, house.run({}, { run_id: '1' }), isAt(at));
    // Its lease expires.
    await house.settle(10);
    return { shared, house, before, accounts: shared.inputs['target-accounts']?.split('\n') ?? [] };
  }

  test.each(sampled(kills))('$name is taken over', async (kill) => {
    const { shared, house, before, accounts } = await killed(kill);
    await using _ = house;
    const job = await runJob(house.run({}, { run_id: '2' }));
    await house.settle();
    const [conclusion, statuses] = outcomeOf(job);
    expect([conclusion, statuses]).toEqual(['success', accounts.map(() => expect.stringMatching(/created|reused/))]);
    expect(flawsOf(house, job, { amiId: shared.amiId, foreign: [] })).toEqual([]);
    expect(house.remains()).toEqual([]);
    expect(house.simulator.snapshotOfState(sourceAccount)).toEqual(before);
    expect(house.simulator.calls.filter(isAt(kill.at))).toHaveLength(kill.calls);
  });

  test.each(sampled(kills, { first: 1 }))('$name goes with a sweep', async (kill) => {
    const { house, before } = await killed(kill);
    await using _ = house;
    const swept = await runAction({ ...house.run({}, { run_id: '99' }), action: 'sweep' });
    expect([swept.conclusion, swept.annotations]).toEqual(['success', []]);
    expect(house.remains().filter((line) => !isLeaseTag(line))).toEqual([]);
    expect(house.simulator.snapshotOfState(sourceAccount)).toEqual(before);
  });
});

test('the AMI of an instance is made once, and what is made of it is its source’s', async () => {
  const policies = ['source-instance', 'target-retain'];
  const instances = [{ id: instanceId, volumes: underKey, imageId: idOf('golden-1') }];
  const given = standardCase({ timings, policies, volumes: underKey, source: { instances } });
  const inputs = { ...given.inputs, 'ami-id': '', 'instance-id': instanceId, 'target-ami-name': 'golden-{run-id}' };
  await using house = await openHouse({ ...given, inputs });
  const { simulator } = house;
  const isMade = (call: { action: string; mutating: boolean }) => call.mutating && call.action === 'CreateImage';
  await killAt(house, house.run({ lineage: 'golden', retain: '1' }, { run_id: '1' }), isMade);
  await house.settle(10);
  const again = await runJob(house.run({ lineage: 'golden', retain: '1' }, { run_id: '1', run_attempt: '2' }));
  expect(again.main.conclusion).toBe('success');
  expect(countOf(simulator, 'CreateImage')).toBe(1);
  const next = await runJob(house.run({ lineage: 'golden', retain: '1' }, { run_id: '2' }));
  expect(next.main.conclusion).toBe('success');
  expect(stock(house)).toEqual([['golden-2'], 1]);
  // The AMIs that were made of the instance are the user's.
  const made = stockOf(simulator, sourceAccount, sourceRegion).images.filter(({ data }) =>
    data.Tags.some(({ Key }) => Key === `${prefix}source-instance`),
  );
  expect(made).toHaveLength(2);
  expect(goldenOf(simulator, given.amiId).deregisteredAt).toBeUndefined();
});
