import { describe, expect, test } from '@jest/globals';
import {
  customerKey,
  fanOut,
  type Inputs,
  procedure,
  sourceAccount,
  targetAccount,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import type { RecordedCall } from '../../simulator/simulator.ts';
import { runAction, runJob, startAction } from '../in-process.ts';
import { sampled } from '../sampled.ts';
import { flawsOf } from './foreign.ts';
import {
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

/*
 * A runner's clock may be half an hour fast or slow, and AWS's own is what counts: SigV4 takes five minutes, and the SDK
 * mends that by the answers' Date (share.test.ts), so such a runner works otherwise, and nobody sees that its clock is wrong.
 */

const minutes = 60_000;
const timings = { ...inForceAtOnce, baseSeconds: 2 * 60, secondsPerGiB: 0 };
const clocks: readonly (readonly [string, number])[] = [
  ['fast', 30 * minutes],
  ['slow', -30 * minutes],
];
const orders = ['first', 'second'] as const;
const cases = clocks.flatMap(([name, ahead]) => orders.map((order) => [name, order, ahead] as const));

/** What a run that is told of its clock may say. */
const told = /^the clock of the runner: is 30 minutes (ahead of|behind) AWS's, and every AWS client .* is refused$/;

function outcomesOf(jobs: readonly Job[]) {
  return jobs.map(({ main, post }) => [main.conclusion, messagesOf(main).replace(told, ''), messagesOf(post)]);
}

/** A run that looks seldom: what it is about takes minutes. */
function runOf(house: House, inputs: Inputs, run_id: string) {
  return house.run({ 'poll-interval': '15', ...inputs }, { run_id });
}

const isDone = ({ mutating, outcome }: RecordedCall): boolean => mutating && outcome === 'ok';

const fine = ['success', '', ''];

describe('of two runs on one AMI, of which one has its clock half an hour wrong, neither harms the other', () => {
  test.each(sampled(cases))('the %s one is the %s, with the same target', async (_, order, clockAheadMs) => {
    const shared = procedure({ timings });
    await using house = await openHouse(shared);
    const { simulator } = house;
    const before = simulator.snapshotOfState(sourceAccount);
    const play = (nth: string) =>
      runJob({ ...runOf(house, {}, nth === 'first' ? '1' : '2'), ...(nth === order && { clockAheadMs }) });
    const first = play('first');
    await simulator.clock.sleep(30_000);
    const jobs = await Promise.all([first, play('second')]);
    await house.settle();
    expect(outcomesOf(jobs)).toEqual([fine, fine]);
    expect(jobs.flatMap(({ main }) => recordsOf(main).map(({ status }) => status)).sort()).toEqual([
      'created',
      'reused',
    ]);
    const { images, snapshots } = stockOf(simulator, targetAccount, targetRegion);
    expect([images.length, snapshots.length]).toEqual([1, 1]);
    for (const job of jobs) expect(flawsOf(house, job, { amiId: shared.amiId, foreign: [] })).toEqual([]);
    expect(house.remains()).toEqual([]);
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
  });

  // A fast clock sees others as dead early; one that is slow is seen so itself.
  test.each(sampled(cases, { first: 1 }))(
    'the %s one is the %s, and one target is far slower',
    async (_, order, clockAheadMs) => {
      const slow = {
        kind: 'delay',
        action: 'CopySnapshot',
        account: '222222222222',
        ms: 50_000,
        mutating: true,
      } as const;
      const shared = fanOut({ timings, regions: [targetRegion], faults: [slow] });
      await using house = await openHouse(shared);
      const { simulator } = house;
      const before = simulator.snapshotOfState(sourceAccount);
      // One ends early, while the other needs the encrypted copy, its shares and its own copies.
      const play = (account: string, isWrong: boolean) => () =>
        runJob({ ...runOf(house, { 'target-accounts': account }, account), ...(isWrong && { clockAheadMs }) });
      const early = play(targetAccount, clockAheadMs > 0);
      const late = play('222222222222', clockAheadMs < 0);
      const [one, other] = (order === 'first') === clockAheadMs > 0 ? [early, late] : [late, early];
      const first = one();
      await simulator.clock.sleep(20_000);
      const jobs = await Promise.all([first, other()]);
      await house.settle();
      expect(outcomesOf(jobs)).toEqual([fine, fine]);
      expect(jobs.flatMap(({ main }) => recordsOf(main).map(({ status }) => status))).toEqual(['created', 'created']);
      // Nobody took anything from the other, so nothing was begun twice.
      const begun = simulator.calls.filter((call) => isDone(call) && call.action.startsWith('Copy'));
      expect(begun.map(({ action, account }) => [action, account]).sort()).toEqual([
        ['CopyImage', sourceAccount],
        ['CopySnapshot', '222222222222'],
        ['CopySnapshot', targetAccount],
      ]);
      expect(house.remains()).toEqual([]);
      expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    },
  );
});

describe.each(clocks)('with a clock that is half an hour %s', (_, clockAheadMs) => {
  test('a sweep takes nothing from a run that lives', async () => {
    const shared = procedure({ timings });
    await using house = await openHouse(shared);
    const { simulator } = house;
    const before = simulator.snapshotOfState(sourceAccount);
    const running = runJob(runOf(house, {}, '1'));
    const written: string[] = [];
    for (let looks = 0; looks < 3; looks += 1) {
      await simulator.clock.sleep(minutes);
      const sweeping = startAction({ ...runOf(house, {}, '99'), clockAheadMs, action: 'sweep' });
      expect((await sweeping.result).conclusion).toBe('success');
      const own = simulator.calls.filter((call) => isDone(call) && call.client === sweeping.client);
      written.push(...own.map(({ action }) => action));
    }
    const job = await running;
    await house.settle();
    expect(outcomesOf([job])).toEqual([fine]);
    expect(written).toEqual([]);
    expect(flawsOf(house, job, { amiId: shared.amiId, foreign: [] })).toEqual([]);
    expect(house.remains()).toEqual([]);
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
  });

  test.each(['CopyImage', 'CopySnapshot'])(
    'a run that dies at %s is taken for dead ten minutes later',
    async (action) => {
      const shared = procedure({ timings });
      await using house = await openHouse(shared);
      const { simulator } = house;
      const before = simulator.snapshotOfState(sourceAccount);
      const dying = { ...runOf(house, {}, '1'), clockAheadMs };
      await killAt(house, dying, (call) => isDone(call) && call.action === action);
      await house.settle(10);
      const job = await runJob(runOf(house, {}, '2'));
      await house.settle();
      expect(outcomesOf([job])).toEqual([fine]);
      expect(simulator.calls.filter((call) => isDone(call) && call.action === action)).toHaveLength(1);
      expect(house.remains()).toEqual([]);
      expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    },
  );

  test('a run that such a one takes over from is given five minutes, too', async () => {
    const shared = customerKey({ timings });
    await using house = await openHouse(shared);
    const { simulator } = house;
    await killAt(house, runOf(house, {}, '1'), (call) => isDone(call) && call.action === 'CopySnapshot');
    await house.settle(2);
    // It may live: what it copies is not taken over, and stays its own.
    const early = await runJob({ ...runOf(house, {}, '2'), clockAheadMs });
    expect(outcomesOf([early])).toEqual([fine]);
    expect(stockOf(simulator, targetAccount, targetRegion).images).toHaveLength(1);
    await house.settle(10);
    const swept = await runAction({ ...runOf(house, {}, '99'), clockAheadMs, action: 'sweep' });
    expect([swept.conclusion, house.remains().filter((line) => !isLeaseTag(line))]).toEqual(['success', []]);
  });
});
