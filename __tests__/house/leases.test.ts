import { describe, expect, test } from '@jest/globals';
import type { VolumeScenario } from '../../simulator/scenario.ts';
import {
  customerKey,
  fanOut,
  sourceAccount,
  standardCase,
  targetAccount,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import { runAction, runJob } from '../in-process.ts';
import { sampled } from '../sampled.ts';
import { expectTargets } from '../shared-case.ts';
import { killAt, messagesOf, openHouse, recordsOf, stockOf, toldBy } from './house.ts';

/* Who is alive: read when it is needed, so that no run takes a living one's work for a dead one's. */

const nightly = process.env.NIGHTLY === 'true';
const minutes = (count: number) => ({ baseSeconds: count * 60, secondsPerGiB: 0 });
const volumes: VolumeScenario[] = ['/dev/xvda', '/dev/sdb'].map((device, index) => ({
  device,
  sizeGiB: 20 - 10 * index,
  key: 'cmkSource',
}));

describe('a run that ends leaves the copies of one that goes on alone', () => {
  test.each(sampled([6, 12, 40]))('copies of %i minutes, the slower run one at a time', async (copyMinutes) => {
    const shared = standardCase({ timings: minutes(copyMinutes), volumes });
    await using house = await openHouse(shared);
    const { simulator } = house;
    const before = simulator.snapshotOfState(sourceAccount);
    const slower = runJob(house.run({ 'max-parallel': '1' }, { run_id: '1' }));
    await simulator.clock.sleep(30_000);
    const quicker = runJob(house.run({}, { run_id: '2' }));
    const jobs = await Promise.all([slower, quicker]);
    expect(jobs.map(({ main, post }) => [main.conclusion, messagesOf(main), messagesOf(post)])).toEqual([
      ['success', '', ''],
      ['success', '', ''],
    ]);
    expect(jobs.map(({ main }) => recordsOf(main)[0]?.status).sort()).toEqual(['created', 'reused']);
    expectTheOne(
      house,
      jobs.flatMap(({ main }) => recordsOf(main)),
    );
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
  });

  test('nor does it take the encrypted copy from it, or the shares', async () => {
    // The second target is far slower, and only the first run makes it.
    const shared = fanOut({
      timings: minutes(6),
      regions: [targetRegion],
      faults: [{ kind: 'delay', action: 'CopySnapshot', account: '222222222222', ms: 50_000, mutating: true }],
    });
    await using house = await openHouse(shared);
    const { simulator } = house;
    const before = simulator.snapshotOfState(sourceAccount);
    const both = runJob(house.run({}, { run_id: '1' }));
    await simulator.clock.sleep(20_000);
    const one = runJob(house.run({ 'target-accounts': targetAccount }, { run_id: '2' }));
    const jobs = await Promise.all([both, one]);
    expect(jobs.map(({ main, post }) => [main.conclusion, messagesOf(main), messagesOf(post)])).toEqual([
      ['success', '', ''],
      ['success', '', ''],
    ]);
    await house.settle();
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    expect(house.remains()).toEqual([]);
  });
});

describe('a run that lasts longer than a lease', () => {
  test('ends well by itself', async () => {
    const shared = customerKey({ timings: minutes(30) });
    await using house = await openHouse(shared);
    const before = house.simulator.snapshotOfState(sourceAccount);
    const { main } = await runJob(house.run());
    expect([main.conclusion, main.annotations]).toEqual(['success', []]);
    expectTargets({ simulator: house.simulator, targets: recordsOf(main) }, shared.amiId);
    expect(house.simulator.snapshotOfState(sourceAccount)).toEqual(before);
  });

  test.each(sampled([4, 14, 29]))('is seen to be alive by one that begins after %i minutes', async (after) => {
    await using house = await openHouse(customerKey({ timings: minutes(30) }));
    const { simulator } = house;
    const first = runJob(house.run({}, { run_id: '1' }));
    await simulator.clock.sleep(after * 60_000);
    const second = runJob(house.run({}, { run_id: '2' }));
    const jobs = await Promise.all([first, second]);
    expect(jobs.map(({ main }) => [main.conclusion, messagesOf(main)])).toEqual([
      ['success', ''],
      ['success', ''],
    ]);
    expectTheOne(
      house,
      jobs.flatMap(({ main }) => recordsOf(main)),
    );
    expect(house.remains()).toEqual([]);
  });
});

describe('an earlier attempt of the run', () => {
  const second = { run_attempt: '2' };

  test.each(sampled([1, 4, 7]))(
    'that lost its connection %i minutes ago goes on: nothing is taken from it',
    async (after) => {
      await using house = await openHouse(standardCase({ timings: minutes(6), volumes }));
      const { simulator } = house;
      const before = simulator.snapshotOfState(sourceAccount);
      const lost = runJob(house.run({ 'max-parallel': '1' }));
      await simulator.clock.sleep(after * 60_000);
      const again = runJob(house.run({}, second));
      const jobs = await Promise.all([lost, again]);
      expect(jobs.map(({ main, post }) => [main.conclusion, messagesOf(main), messagesOf(post)])).toEqual([
        ['success', '', ''],
        ['success', '', ''],
      ]);
      expectTheOne(
        house,
        jobs.flatMap(({ main }) => recordsOf(main)),
      );
      expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
      expect(house.remains()).toEqual([]);
    },
  );

  test.each(['CopyImage', 'ModifySnapshotAttribute', 'CopySnapshot', 'RegisterImage'])(
    'that died at %s leaves nothing: what its lease holds goes when that has expired',
    async (action) => {
      await using house = await openHouse(standardCase({ timings: { baseSeconds: 20, registerSeconds: 10 } }));
      const { simulator } = house;
      const before = simulator.snapshotOfState(sourceAccount);
      await killAt(house, house.run(), (call) => call.action === action && call.mutating);
      const { main, post } = await runJob(house.run({}, second));
      expect([main.conclusion, messagesOf(main), messagesOf(post)]).toEqual(['success', '', '']);
      expectTheOne(house, recordsOf(main));
      expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
      expect(house.remains()).toEqual([]);
    },
  );
});

function expectTheOne({ simulator }: Awaited<ReturnType<typeof openHouse>>, records: { amiId: string }[]): void {
  const { images, snapshots } = stockOf(simulator, targetAccount, targetRegion);
  expect(images).toHaveLength(1);
  const [image] = images;
  expect(new Set(records.map(({ amiId }) => amiId))).toEqual(new Set([image?.data.ImageId]));
  expect(snapshots.map(({ data }) => data.SnapshotId).sort()).toEqual(
    image?.data.BlockDeviceMappings.map(({ Ebs }) => Ebs?.SnapshotId).sort(),
  );
}

describe('four matrix jobs on one AMI that end within a second, with tags that are read late', () => {
  const regions = ['eu-west-1', 'eu-west-2', 'us-west-2', 'ap-southeast-2'];
  const lags = nightly ? [0.15, 0.4, 1, 2] : [0.4, 2];
  const spreads = nightly ? [0, 100, 300] : [0, 300];
  const given = lags.flatMap((seconds) => spreads.map((ms) => [seconds, ms] as const));

  test.each(given)('by %d s, the jobs %i ms apart: nothing stays untold', async (tagsVisibleAfterSeconds, apart) => {
    const timings = { ...minutes(1), tagsVisibleAfterSeconds, latencyMs: 20 };
    await using house = await openHouse(standardCase({ timings, regions }));
    const { simulator } = house;
    const jobs = await Promise.all(
      regions.map(async (region, index) => {
        await simulator.clock.sleep(index * apart);
        const run = house.run({ 'target-regions': region });
        return runJob({ ...run, machine: `runner-${region}` });
      }),
    );
    expect(jobs.map(({ main }) => [main.conclusion, recordsOf(main)[0]?.status])).toEqual(
      regions.map(() => ['success', 'created']),
    );
    await house.settle();
    expect(house.untold(toldBy(...jobs))).toEqual([]);
  });
});

describe('a renewal that is under way when the run ends puts no lease back', () => {
  const slow = { kind: 'delay', action: 'CreateTags', holds: 'lease%3A', mutating: true } as const;
  const renewal = { ...slow, ms: 40_000, nth: 2 };
  const ends = {
    kind: 'copy-fails',
    action: 'CopySnapshot',
    account: targetAccount,
    mutating: true,
    times: 2,
  } as const;

  test.each([
    [
      'by fail-fast',
      fanOut({
        timings: minutes(10),
        regions: [targetRegion],
        volumes,
        faults: [renewal, { ...ends, afterSeconds: 65 }],
      }),
      { 'fail-fast': 'true' },
    ],
    [
      'by the time-out',
      standardCase({
        timings: minutes(10),
        volumes,
        // The lease is there after half a minute, and its renewal under way half a minute before the time-out.
        faults: [
          { ...slow, ms: 30_000, nth: 1 },
          { ...slow, ms: 40_000, nth: 1 },
        ],
      }),
      { 'timeout-minutes': '2' },
    ],
    [
      'by a failure',
      standardCase({ timings: minutes(10), volumes, faults: [renewal, { ...ends, afterSeconds: 65 }] }),
      {},
    ],
  ])('%s', async (_, shared, inputs) => {
    await using house = await openHouse(shared);
    const { main } = await runJob(house.run(inputs));
    expect(main.conclusion).toBe('failure');
    await house.settle();
    // A renewal's lease would read as alive for minutes; one that was marked as ended reads as dead at once.
    const image = house.simulator.world.accounts[sourceAccount]?.regions.get('us-east-1')?.images.get(shared.amiId);
    const alive = (image?.data.Tags ?? []).filter(
      ({ Key, Value }) => Key?.startsWith('share-encrypted-ami:lease:') && !Value?.startsWith('0'),
    );
    expect(alive).toEqual([]);
    // Whoever comes next goes on at once.
    const again = await runAction(house.run({}, { run_id: '4712' }));
    expect(again.conclusion).toBe('success');
    expect(house.remains()).toEqual([]);
  });
});
