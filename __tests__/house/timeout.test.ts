import { describe, expect, test } from '@jest/globals';
import type { VolumeScenario } from '../../simulator/scenario.ts';
import {
  type Case,
  customerKey,
  procedure,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import { runAction, runJob, startAction } from '../in-process.ts';
import { sampled } from '../sampled.ts';
import { expectTargets } from '../shared-case.ts';
import { countOf, type House, inForceAtOnce, isLeaseTag, messagesOf, openHouse, recordsOf, stockOf } from './house.ts';

/*
 * At timeout-minutes, what was copied for hours is not thrown away: pending snapshots in targets stay for the next run.
 * Access is taken back, as always.
 */

const hour = 60;
const volumes: VolumeScenario[] = ['/dev/xvda', '/dev/sdb'].map((device, index) => ({
  device,
  sizeGiB: 20 - 10 * index,
  key: 'cmkSource',
}));
const minutes = (count: number) => ({ ...inForceAtOnce, baseSeconds: count * 60, secondsPerGiB: 0 });
const policies = ['source-route-copy', 'target-route-copy'];
const described = { attributes: { Description: 'A golden image' } };

/** Two copies of twenty minutes, and a run that may take five. */
const underKey = (): Case => standardCase({ timings: minutes(20), volumes, policies, ami: described });
const late = { 'timeout-minutes': '5' };

/** The target's snapshots by ID, with their states by now. */
function copiesIn(house: House): Record<string, string | undefined> {
  const { snapshots } = stockOf(house.simulator, targetAccount, targetRegion);
  return Object.fromEntries(snapshots.map(({ data }) => [data.SnapshotId, data.State]));
}

/** What is access, or says whose access it is. */
const accessLeft = (house: House) =>
  house.remains().filter((line) => /shared with|launched by|grant|shares:|statement/.test(line));

function sweepOf(house: House) {
  return runAction({ ...house.run({}, { run_id: '99' }), action: 'sweep' });
}

describe('a run that takes longer than timeout-minutes', () => {
  test('leaves its pending snapshots in the target, and nothing that is access', async () => {
    await using house = await openHouse(underKey());
    const { main, post } = await runJob(house.run(late));
    expect(main.conclusion).toBe('failure');
    expect(post.conclusion).toBe('success');
    await house.settle(1);
    expect(Object.values(copiesIn(house))).toEqual(['pending', 'pending']);
    expect(accessLeft(house)).toEqual([]);
    expect(house.remains().filter((line) => line.startsWith(sourceAccount) && !isLeaseTag(line))).toEqual([]);
  });

  test('says how far each of them was, and what to do', async () => {
    await using house = await openHouse(underKey());
    const { main } = await runJob(house.run(late));
    const told = messagesOf(main);
    expect(told).toMatch(/the run took longer than timeout-minutes \(5\)/);
    const ids = Object.keys(copiesIn(house));
    expect(ids).toHaveLength(2);
    // Five minutes of twenty, less what went before.
    for (const id of ids) {
      const phrase = told.split(/[;\n]/).find((part) => part.includes(id));
      expect(phrase).toMatch(/\b2[0-5] ?%/);
    }
    expect(told).toMatch(/What to do: /);
    expect(recordsOf(main)).toMatchObject([{ status: 'failed' }]);
  });

  test.each([
    ['at once', 0, { run_id: '4712' }],
    ['re-run at once', 0, { run_attempt: '2' }],
    ['within the minutes that a lease lives', 3, { run_id: '4712' }],
    ['when they are completed', hour, { run_id: '4712' }],
    ['two days later', 48 * hour, { run_id: '4712' }],
  ])('lets the next run take them over, %s', async (_, after, github) => {
    const shared = underKey();
    await using house = await openHouse(shared);
    const before = house.simulator.snapshotOfState(sourceAccount);
    await runJob(house.run(late));
    const left = Object.keys(copiesIn(house));
    expect(left).toHaveLength(2);
    await house.settle(after);
    const { main } = await runJob(house.run({}, github));
    expect([main.conclusion, messagesOf(main)]).toEqual(['success', '']);
    expect(recordsOf(main)[0]?.snapshotIds.toSorted()).toEqual(left.toSorted());
    expect(countOf(house.simulator, 'CopySnapshot')).toBe(2);
    expect(house.simulator.snapshotOfState(sourceAccount)).toEqual(before);
    expect(house.remains()).toEqual([]);
  });

  test('deregisters a pending AMI, by route copy, and leaves nothing of it', async () => {
    await using house = await openHouse(underKey());
    const before = house.simulator.snapshotOfState(sourceAccount);
    const { main } = await runJob(house.run({ ...late, route: 'copy' }));
    expect(main.conclusion).toBe('failure');
    await house.settle();
    expect(countOf(house.simulator, 'CopyImage', targetAccount)).toBe(1);
    expect(house.remains()).toEqual([]);
    expect(house.simulator.snapshotOfState(sourceAccount)).toEqual(before);
  });

  test('that is cancelled instead leaves nothing at all', async () => {
    await using house = await openHouse(underKey());
    const run = house.run();
    const action = startAction(run);
    const forget = house.simulator.onCall(({ action: name, at }) => {
      if (name === 'DescribeSnapshots' && at > 4 * 60_000) action.cancel();
    });
    const main = await action.result;
    forget();
    expect(main.conclusion).toBe('cancelled');
    await runAction({ ...run, entry: 'post', state: main.state });
    await house.settle();
    expect(countOf(house.simulator, 'CopySnapshot')).toBe(2);
    expect(house.remains()).toEqual([]);
  });
});

describe('what a time-out left and nobody took over', () => {
  test.each([
    [1, 2],
    [23, 2],
    [25, 0],
  ])('%i hours later a sweep leaves %i of two snapshots', async (hours, stay) => {
    await using house = await openHouse(underKey());
    await runJob(house.run(late));
    expect(Object.keys(copiesIn(house))).toHaveLength(2);
    await house.settle(hours * hour);
    const swept = await sweepOf(house);
    expect([swept.conclusion, messagesOf(swept)]).toEqual(['success', '']);
    expect(Object.keys(copiesIn(house))).toHaveLength(stay);
    if (stay === 0) expect(house.remains()).toEqual([]);
  });

  test('goes with a later run that has no use for it, but not within a day of its start', async () => {
    await using house = await openHouse(underKey());
    await runJob(house.run(late));
    const left = Object.keys(copiesIn(house));
    expect(left).toHaveLength(2);
    // By route copy, snapshots of an earlier run are of no use.
    const another = await runJob(house.run({ route: 'copy' }, { run_id: '4712' }));
    expect(another.main.conclusion).toBe('success');
    expect(Object.keys(copiesIn(house))).toEqual(expect.arrayContaining(left));
    await house.settle(25 * hour);
    const reusing = await runJob(house.run({ route: 'copy' }, { run_id: '4713' }));
    expect(recordsOf(reusing.main)).toMatchObject([{ status: 'reused' }]);
    expect(house.remains()).toEqual([]);
  });
});

describe('an encrypted copy that pending copies read from', () => {
  /** Ten minutes each to encrypt and to copy, and a run that may take fifteen. */
  async function openLate() {
    const shared = procedure({ timings: minutes(10) });
    const house = await openHouse(shared);
    const before = house.simulator.snapshotOfState(sourceAccount);
    const job = await runJob(house.run({ 'timeout-minutes': '15' }));
    const { images } = stockOf(house.simulator, sourceAccount, sourceRegion);
    const encrypted = images.filter(({ data }) => data.ImageId !== shared.amiId).map(({ data }) => data.ImageId);
    return { house, before, encrypted, ...job };
  }

  test('stays, is told, and is shared with nobody; the lease says that its run has ended', async () => {
    const { house, encrypted, main, post } = await openLate();
    await using _ = house;
    expect(main.conclusion).toBe('failure');
    await house.settle(1);
    expect(Object.values(copiesIn(house))).toEqual(['pending']);
    expect(encrypted).toHaveLength(1);
    expect(accessLeft(house)).toEqual([]);
    expect(
      house
        .remains()
        .filter(isLeaseTag)
        .some((line) => line.startsWith(sourceAccount)),
    ).toBe(true);
    expect(house.untold(`${messagesOf(main)}\n${messagesOf(post)}`).filter((line) => !isLeaseTag(line))).toEqual([]);
  });

  test('lets the copies end', async () => {
    const { house } = await openLate();
    await using _ = house;
    await house.settle();
    expect(Object.values(copiesIn(house))).toEqual(['completed']);
  });

  test.each(sampled([0, 3, hour]))('goes with the next run, which takes all over: %i minutes later', async (after) => {
    const { house, before, encrypted } = await openLate();
    await using _ = house;
    expect(encrypted).toHaveLength(1);
    await house.settle(after);
    const { main } = await runJob(house.run({}, { run_attempt: '2' }));
    expect([main.conclusion, messagesOf(main)]).toEqual(['success', '']);
    expectTargets({ simulator: house.simulator, targets: recordsOf(main) }, String(main.outputs['source-ami-id']));
    expect(countOf(house.simulator, 'CopySnapshot')).toBe(1);
    expect(countOf(house.simulator, 'CopyImage')).toBe(1);
    expect(house.simulator.snapshotOfState(sourceAccount)).toEqual(before);
    expect(house.remains()).toEqual([]);
  });

  test('goes with a sweep when the copies have ended; they go a day after their start', async () => {
    const { house, before, encrypted } = await openLate();
    await using _ = house;
    expect(encrypted).toHaveLength(1);
    await house.settle(hour);
    expect((await sweepOf(house)).conclusion).toBe('success');
    expect(stockOf(house.simulator, sourceAccount, sourceRegion).images).toHaveLength(1);
    expect(Object.values(copiesIn(house))).toEqual(['completed']);
    await house.settle(25 * hour);
    expect((await sweepOf(house)).conclusion).toBe('success');
    expect(house.remains()).toEqual([]);
    expect(house.simulator.snapshotOfState(sourceAccount)).toEqual(before);
  });

  test('is not made for nothing: one that no copy reads from yet goes at once', async () => {
    await using house = await openHouse(procedure({ timings: minutes(10) }));
    const before = house.simulator.snapshotOfState(sourceAccount);
    await runJob(house.run(late));
    await house.settle();
    expect(house.remains()).toEqual([]);
    expect(house.simulator.snapshotOfState(sourceAccount)).toEqual(before);
  });
});

test('a pending AMI of RegisterImage is deregistered at the time-out, and the next run makes it', async () => {
  const timings = { ...minutes(2), registerSeconds: 600 };
  await using house = await openHouse(customerKey({ timings }));
  const { main } = await runJob(house.run(late));
  expect(main.conclusion).toBe('failure');
  await house.settle();
  const { images } = stockOf(house.simulator, targetAccount, targetRegion);
  expect(images.map(({ data }) => data.ImageId)).toEqual([]);
  expect(accessLeft(house)).toEqual([]);
  const again = await runJob(house.run({}, { run_id: '4712' }));
  expect([again.main.conclusion, messagesOf(again.main)]).toEqual(['success', '']);
  expect(house.remains()).toEqual([]);
});
