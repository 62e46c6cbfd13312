import { describe, expect, test } from '@jest/globals';
import type { Timings } from '../../simulator/hardness.ts';
import {
  type Case,
  customerKey,
  sourceAccount,
  targetAccount,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import type { RecordedCall } from '../../simulator/simulator.ts';
import type { SimImage } from '../../simulator/world.ts';
import { operationsOf } from '../deeds.ts';
import { runAction, runJob } from '../in-process.ts';
import { expectTargets } from '../shared-case.ts';
import { countOf, type House, killAt, messagesOf, openHouse, recordsOf, stockOf } from './house.ts';

/*
 * An AMI of this source that is pending is on its way, not in the way: whoever comes by waits for it and uses it. No
 * advice removes a good AMI.
 */

const quick: Partial<Timings> = { baseSeconds: 30, secondsPerGiB: 0 };
const slow: Partial<Timings> = { baseSeconds: 600, secondsPerGiB: 0 };
const described = { attributes: { Description: 'A golden image' } };
const policies = ['source-route-copy', 'target-route-copy'];

const routes: readonly (readonly [route: string, shared: () => Case])[] = [
  ['register', () => customerKey({ timings: { ...quick, registerSeconds: 600 } })],
  ['copy', () => customerKey({ ami: described, policies, timings: { ...slow, namesSnapshotsAfterSeconds: 60 } })],
];
const making = { register: 'RegisterImage', copy: 'CopyImage' } as Readonly<Record<string, string>>;

function theImage({ simulator }: House): SimImage | undefined {
  const { images } = stockOf(simulator, targetAccount, targetRegion);
  expect(images).toHaveLength(1);
  return images[0];
}

/** The call that makes the AMI in the target. */
const isMaking =
  (route: string) =>
  ({ action, account, mutating, outcome }: RecordedCall): boolean =>
    action === making[route] && account === targetAccount && mutating && outcome === 'ok';

/** Resolves when that call has had its effect. */
function made({ simulator }: House, route: string): Promise<void> {
  return new Promise((resolve) => {
    const forget = simulator.onCall((call) => {
      if (!isMaking(route)(call)) return;
      forget();
      resolve();
    });
  });
}

describe.each(routes)('an AMI that is pending, by route %s', (route, shared) => {
  test.each([0, 30, 300])('a re-run %i s after the kill waits for it and uses it', async (seconds) => {
    await using house = await openHouse(shared());
    const { simulator } = house;
    const before = simulator.snapshotOfState(sourceAccount);
    await killAt(house, house.run({ route }), isMaking(route));
    await simulator.clock.sleep(seconds * 1000);
    const pending = theImage(house)?.data;
    expect(pending?.State).toBe('pending');
    const { main } = await runJob(house.run({ route }, { run_attempt: '2' }));
    expect([main.conclusion, messagesOf(main)]).toEqual(['success', '']);
    expect(recordsOf(main)).toMatchObject([{ amiId: pending?.ImageId }]);
    expectTargets({ simulator, targets: recordsOf(main) }, String(main.outputs['source-ami-id']));
    expect(countOf(simulator, making[route] ?? '', targetAccount)).toBe(1);
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    expect(house.remains()).toEqual([]);
  });

  test.each([1, 120, 500])('a second job that begins %i s later waits for it and uses it', async (seconds) => {
    await using house = await openHouse(shared());
    const { simulator } = house;
    const first = runJob(house.run({ route }, { run_id: '1' }));
    await made(house, route);
    await simulator.clock.sleep(seconds * 1000);
    const second = await runJob(house.run({ route }, { run_id: '2' }));
    const jobs = [await first, second];
    expect(jobs.map(({ main }) => [main.conclusion, messagesOf(main)])).toEqual([
      ['success', ''],
      ['success', ''],
    ]);
    const id = theImage(house)?.data.ImageId;
    expect(jobs.map(({ main }) => recordsOf(main)[0])).toMatchObject([
      { amiId: id, status: 'created' },
      { amiId: id, status: 'reused' },
    ]);
    expect(countOf(simulator, making[route] ?? '', targetAccount)).toBe(1);
    expect(house.remains()).toEqual([]);
  });

  test('is told by a dry run, as an operation that waits for it', async () => {
    await using house = await openHouse(shared());
    const first = runJob(house.run({ route }, { run_id: '1' }));
    await made(house, route);
    await house.simulator.clock.sleep(5000);
    const began = house.simulator.clock.now();
    const planned = await runAction(house.run({ route, 'dry-run': 'true' }, { run_id: '2' }));
    const seconds = (house.simulator.clock.now() - began) / 1000;
    await first;
    expect([planned.conclusion, messagesOf(planned)]).toEqual(['success', '']);
    const id = theImage(house)?.data.ImageId;
    expect(planned.log).toContain(id);
    const awaited = (operationsOf(planned.outputs.plan) ?? []).filter(({ kind }) => kind === 'await');
    expect(awaited).toMatchObject([{ account: targetAccount, region: targetRegion, of: [id], outcome: 'planned' }]);
    expect(awaited[0]?.why).not.toBe('');
    // It tells, and doesn't wait itself.
    expect(seconds).toBeLessThan(60);
  });

  test('is not waited for without end, and never is its removal advised', async () => {
    await using house = await openHouse(shared());
    await killAt(house, house.run({ route }, { run_id: '1' }), isMaking(route));
    await house.simulator.clock.sleep(5000);
    const image = theImage(house);
    // It never comes to an end.
    if (image?.making !== undefined) image.making.endsAt = Number.POSITIVE_INFINITY;
    const began = house.simulator.clock.now();
    const { main } = await runJob(house.run({ route, 'timeout-minutes': '120' }, { run_id: '2' }));
    expect(main.conclusion).toBe('failure');
    expect(messagesOf(main)).toContain(image?.data.ImageId);
    expect(messagesOf(main)).not.toMatch(/deregister that AMI/);
    expect(house.simulator.clock.now() - began).toBeLessThanOrEqual(131 * 60_000);
  });

  test('with on-existing fail, the run says that it is there, and that on-existing is why it stops', async () => {
    await using house = await openHouse(shared());
    const first = runJob(house.run({ route }, { run_id: '1' }));
    await made(house, route);
    const main = await runAction(house.run({ route, 'on-existing': 'fail' }, { run_id: '2' }));
    expect((await first).main.conclusion).toBe('success');
    expect(main.conclusion).toBe('failure');
    const told = messagesOf(main);
    expect(told).toContain(theImage(house)?.data.ImageId);
    expect(told).toMatch(/on-existing/);
    expect(told).not.toMatch(/differs|deregister that AMI/);
  });
});

describe('an AMI that is there and right', () => {
  test('with on-existing fail and its own name is told as that, not as one that differs', async () => {
    await using house = await openHouse(customerKey({ timings: quick }));
    await runJob(house.run({}, { run_id: '1' }));
    const main = await runAction(house.run({ 'on-existing': 'fail' }, { run_id: '2' }));
    expect(messagesOf(main)).toMatch(/there is an AMI of this source already: ami-/);
    expect(messagesOf(main)).not.toMatch(/differs/);
  });

  // The look by name comes later than the one by tag: in between, the tags come into sight, or the AMI does.
  test.each<[string, Partial<Timings>]>([
    ['its tags', { tagsVisibleAfterSeconds: 2 }],
    ['the AMI', { visibleAfterSeconds: 2 }],
  ])('is reused also where %s came into sight between two looks', async (_, late) => {
    await using house = await openHouse(customerKey({ timings: { ...quick, ...late } }));
    const { simulator } = house;
    const first = runJob(house.run({}, { run_id: '1' }));
    await made(house, 'register');
    for (const nth of [1, 2])
      simulator.addFault({
        ...{ kind: 'delay', action: 'DescribeImages', account: targetAccount, ms: 3000, nth },
        holds: 'Filter.1.Name=name',
      });
    const second = await runJob(house.run({}, { run_id: '2' }));
    await first;
    expect([second.main.conclusion, messagesOf(second.main)]).toEqual(['success', '']);
    expect(recordsOf(second.main)).toMatchObject([{ status: 'reused' }]);
    expect(house.remains()).toEqual([]);
  });
});

test('an encrypted copy that is pending and names no snapshots yet serves a second job, too', async () => {
  const timings = { baseSeconds: 120, secondsPerGiB: 0, namesSnapshotsAfterSeconds: 90 };
  await using house = await openHouse(
    customerKey({ timings, volumes: [{ device: '/dev/xvda' }], regions: ['eu-west-1', 'us-west-2'] }),
  );
  const { simulator } = house;
  const first = runJob(house.run({ 'target-regions': 'eu-west-1' }, { run_id: '1' }));
  await simulator.clock.sleep(45_000);
  const planned = await runAction(house.run({ 'target-regions': 'us-west-2', 'dry-run': 'true' }, { run_id: '2' }));
  const second = await runJob(house.run({ 'target-regions': 'us-west-2' }, { run_id: '2' }));
  const jobs = [await first, second];
  expect(jobs.map(({ main }) => [main.conclusion, messagesOf(main)])).toEqual([
    ['success', ''],
    ['success', ''],
  ]);
  expect(countOf(simulator, 'CopyImage', sourceAccount)).toBe(1);
  expect(house.remains()).toEqual([]);
  // It is on its way: the second job makes none, and says what it waits for.
  const kinds = (operationsOf(planned.outputs.plan) ?? []).filter(({ account }) => account === sourceAccount);
  expect(kinds.map(({ kind }) => kind)).toContain('await');
  expect(kinds.map(({ kind }) => kind)).not.toContain('encrypt');
});
