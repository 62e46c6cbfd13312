import { describe, expect, test } from '@jest/globals';
import type { Fault } from '../../simulator/faults.ts';
import type { VolumeScenario } from '../../simulator/scenario.ts';
import {
  type Case,
  fanOut,
  procedure,
  type StandardOptions,
  standardCase,
  targetAccount,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import type { RecordedCall } from '../../simulator/simulator.ts';
import { runAction, runJob, startAction } from '../in-process.ts';
import { sampled } from '../sampled.ts';
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

/* What was seen once, and must not be again: finished AMIs that were removed, and work that was left behind untold. */

const minutes = (count: number) => ({ baseSeconds: count * 60, secondsPerGiB: 0, latencyMs: 30 });
const volumes: VolumeScenario[] = ['/dev/xvda', '/dev/sdb'].map((device, index) => ({
  device,
  sizeGiB: 20 - 10 * index,
  key: 'cmkSource',
}));
const one = (count: number, more: StandardOptions = {}): Case =>
  standardCase({ timings: minutes(count), volumes, ...more });
const other = '222222222222';
/** Two target accounts; copies of twenty minutes. */
const two = (more: StandardOptions = {}): Case =>
  fanOut({ timings: { ...minutes(20), ...inForceAtOnce }, volumes, regions: [targetRegion], ...more });
const hour = 60;
const day = 24 * hour;
const copyRoute = {
  policies: ['source-route-copy', 'target-route-copy'],
  ami: { attributes: { Description: 'A golden image' } },
};

function imagesIn({ simulator }: House): string[] {
  return stockOf(simulator, targetAccount, targetRegion).images.map(({ data }) => data.ImageId);
}

/** What jobs told to stay: not each ID that a log names, but warnings, errors and the clean-up's own lines. */
function toldToStay(...jobs: readonly Job[]): string {
  return jobs
    .flatMap(({ main, post }) => [main, post])
    .flatMap((step) => [messagesOf(step), ...step.log.split('\n').filter((line) => line.includes('clean-up'))])
    .join('\n');
}

const calls =
  (action: string) =>
  (call: RecordedCall): boolean =>
    call.action === action && call.account === targetAccount && call.mutating && call.outcome === 'ok';

function sweepOf(house: House) {
  return runAction({ ...house.run({}, { run_id: '99' }), action: 'sweep' });
}

describe('a finished AMI is never removed', () => {
  test.each<[string, Case, string, Record<string, string>]>([
    ['snapshots of a run that was killed', one(10), 'CopySnapshot', {}],
    ['an image of one that was killed, by route copy', one(10, copyRoute), 'CopyImage', { route: 'copy' }],
  ])('two runs at once take over %s', async (...[, shared, action, inputs]) => {
    await using house = await openHouse(shared);
    await killAt(house, house.run(inputs, { run_id: '1' }), calls(action));
    await house.settle(6);
    const jobs = await Promise.all(['2', '3'].map((run_id) => runJob(house.run(inputs, { run_id }))));
    // Whatever the jobs came to: an AMI that one of them told of is there.
    const told = jobs.flatMap(({ main }) => recordsOf(main)).filter(({ status }) => status !== 'failed');
    expect(imagesIn(house)).toEqual([...new Set(told.map(({ amiId }) => amiId))]);
    expect(jobs.map(({ main }) => [main.conclusion, messagesOf(main)])).toEqual([
      ['success', ''],
      ['success', ''],
    ]);
  });

  test('two runs at once take over what a time-out left', async () => {
    await using house = await openHouse(one(10));
    await runJob(house.run({ 'timeout-minutes': '5' }, { run_id: '1' }));
    const jobs = await Promise.all(['2', '3'].map((run_id) => runJob(house.run({}, { run_id }))));
    // Whatever the jobs came to: an AMI that one of them told of is there.
    const told = jobs.flatMap(({ main }) => recordsOf(main)).filter(({ status }) => status !== 'failed');
    expect(imagesIn(house)).toEqual([...new Set(told.map(({ amiId }) => amiId))]);
  });

  test.each<[string, Omit<Fault, 'action'>]>([
    ['is throttled', { kind: 'throttle', times: 1000 }],
    ['gets no answer', { kind: 'reset', times: 60 }],
    ['is refused once', { kind: 'refusal', code: 'OperationNotPermitted', message: 'Not now.', nth: 1 }],
  ])('nor by post, where taking its lease off %s', async (...[, fault]) => {
    const faults = [{ action: 'DeleteTags', account: targetAccount, mutating: true, ...fault }];
    await using house = await openHouse(one(1, { faults }));
    const { main } = await runJob(house.run());
    expect(recordsOf(main)).toMatchObject([{ status: 'created' }]);
    expect(imagesIn(house)).toEqual([recordsOf(main)[0]?.amiId]);
  });

  test('nor by post, after a cancel while its lease is taken off', async () => {
    const slow: Fault = {
      kind: 'delay',
      action: 'DeleteTags',
      account: targetAccount,
      mutating: true,
      nth: 1,
      ms: 5000,
    };
    await using house = await openHouse(one(1, { faults: [slow] }));
    const run = house.run();
    const action = startAction({ ...run, onLine: (line) => line.includes('available and verified') && cancelSoon() });
    const cancelSoon = () => house.simulator.clock.sleep(1000).then(action.cancel);
    const main = await action.result;
    await runAction({ ...run, entry: 'post', state: main.state, temp: main.temp });
    expect(recordsOf(main)).toMatchObject([{ status: 'created' }]);
    expect(imagesIn(house)).toEqual([recordsOf(main)[0]?.amiId]);
  });

  test.each(sampled([0.5, 1, 2]))(
    'nor by post, which reads tags as they were %d s ago, after a cancel in the clean-up',
    async (lag) => {
      await using house = await openHouse(one(1, { timings: { ...minutes(1), tagsVisibleAfterSeconds: lag } }));
      const run = house.run();
      const action = startAction(run);
      const forget = house.simulator.onCall(({ action: name, mutating, outcome }) => {
        if (name === 'RevokeGrant' && mutating && outcome === 'ok') action.cancel();
      });
      const main = await action.result;
      forget();
      await runAction({ ...run, entry: 'post', state: main.state, temp: main.temp });
      expect(recordsOf(main)).toMatchObject([{ status: 'created' }]);
      expect(imagesIn(house)).toEqual([recordsOf(main)[0]?.amiId]);
    },
  );

  test('nor by post, which reads tags as they were 1 s ago, after a part of the clean-up failed', async () => {
    const refused: Fault = {
      ...{ kind: 'refusal', code: 'OperationNotPermitted', message: 'Not now.', nth: 1 },
      ...{ action: 'RevokeGrant', mutating: true },
    };
    const shared = one(1, { timings: { ...minutes(1), tagsVisibleAfterSeconds: 1 }, faults: [refused] });
    await using house = await openHouse(shared);
    const { main } = await runJob(house.run());
    expect(recordsOf(main)).toMatchObject([{ status: 'created' }]);
    expect(imagesIn(house)).toEqual([recordsOf(main)[0]?.amiId]);
  });

  test('nor by a sweep, where a role that may not untag has left its lease on it', async () => {
    const denied: Fault = {
      ...{ kind: 'refusal', code: 'UnauthorizedOperation', message: 'You are not authorized.', status: 403 },
      ...{ action: 'DeleteTags', account: targetAccount, mutating: true },
    };
    await using house = await openHouse(one(1, { faults: [denied] }));
    const { main } = await runJob(house.run());
    expect([main.conclusion, recordsOf(main)[0]?.status]).toEqual(['success', 'created']);
    await house.settle(6 * day);
    await sweepOf(house);
    expect(imagesIn(house)).toEqual([recordsOf(main)[0]?.amiId]);
  });

  test('nor by a sweep, where a run used what one that was killed a moment ago had registered', async () => {
    await using house = await openHouse(two());
    const first = house.run({ 'target-accounts': targetAccount }, { run_id: '1' });
    await killAt(house, first, calls('RegisterImage'));
    // The dead run's lease still reads as alive at the plan of the next, and is dead at its end.
    const { main } = await runJob(house.run({}, { run_id: '2' }));
    const record = recordsOf(main).find(({ account }) => account === targetAccount);
    expect([main.conclusion, record?.status]).toEqual(['success', 'reused']);
    await house.settle(6 * day);
    await sweepOf(house);
    expect(imagesIn(house)).toEqual([record?.amiId]);
  });
});

const registered = (registerSeconds: number): Case =>
  one(1, { ...copyRoute, timings: { ...minutes(1), registerSeconds } });

describe('a pending AMI whose maker was killed a moment ago, and which the next run waits for', () => {
  test.each<[string, string]>([
    ['register', 'RegisterImage'],
    ['copy', 'CopyImage'],
  ])('by route %s: nothing of the dead run stays', async (route, action) => {
    await using house = await openHouse(route === 'copy' ? one(10, copyRoute) : registered(600));
    await killAt(house, house.run({ route }, { run_id: '1' }), calls(action));
    const { main } = await runJob(house.run({ route }, { run_id: '2' }));
    const [record] = recordsOf(main);
    expect([main.conclusion, record?.status]).toEqual(['success', 'reused']);
    await house.settle();
    expect(house.remains()).toEqual([]);
  });

  test.each<[string, string]>([
    ['register', 'RegisterImage'],
    ['copy', 'CopyImage'],
  ])('by route %s: no sweep removes it', async (route, action) => {
    await using house = await openHouse(route === 'copy' ? one(10, copyRoute) : registered(600));
    await killAt(house, house.run({ route }, { run_id: '1' }), calls(action));
    const { main } = await runJob(house.run({ route }, { run_id: '2' }));
    const [record] = recordsOf(main);
    expect([main.conclusion, record?.status]).toEqual(['success', 'reused']);
    await sweepOf(house);
    expect(imagesIn(house)).toEqual([record?.amiId]);
  });

  test('is not removed by a third run while the second waits', async () => {
    const shared = one(7, { ...copyRoute, timings: { ...minutes(7), registerSeconds: 900 } });
    await using house = await openHouse(shared);
    await killAt(house, house.run({}, { run_id: '1' }), calls('RegisterImage'));
    const waiting = runJob(house.run({}, { run_id: '2' }));
    await house.simulator.clock.sleep(1000);
    const another = runJob(house.run({ route: 'copy', 'target-ami-name': 'another' }, { run_id: '3' }));
    const jobs = await Promise.all([waiting, another]);
    expect(jobs.map(({ main }) => [main.conclusion, messagesOf(main)])).toEqual([
      ['success', ''],
      ['success', ''],
    ]);
  });
});

describe('the snapshots of an AMI that was replaced by a run that was killed before it registered the new one', () => {
  async function openReplaced(): Promise<Readonly<{ house: House; killed: Parameters<typeof runAction>[0] }>> {
    const house = await openHouse(one(1));
    await runJob(house.run({}, { run_id: '1' }));
    await house.settle(2);
    const run = house.run({ 'on-existing': 'replace' }, { run_id: '2' });
    const dying = startAction(run);
    const forget = house.simulator.onCall((call) => {
      if (calls('DeregisterImage')(call)) dying.kill();
    });
    const { state, temp } = await dying.result;
    forget();
    return { house, killed: { ...run, entry: 'post', state, temp } };
  }

  test('go with a sweep', async () => {
    const { house } = await openReplaced();
    await using _ = house;
    await house.settle(6);
    const formers = () =>
      stockOf(house.simulator, targetAccount, targetRegion).snapshots.filter(({ data }) =>
        data.Tags.some(({ Key }) => Key === 'share-encrypted-ami:replaced-by'),
      );
    // They are all that there is, and what post and sweep say of them holds.
    for (const days of [1, 3]) {
      const kept = await sweepOf(house);
      expect([kept.conclusion, messagesOf(kept)]).toEqual([
        'failure',
        expect.stringMatching(/stay, of an AMI that was deregistered: the next run on ami-\w+ .* a sweep after /),
      ]);
      expect(formers()).toHaveLength(volumes.length);
      await house.settle(days * day);
    }
    await house.settle(day);
    expect((await sweepOf(house)).conclusion).toBe('success');
    expect(house.remains()).toEqual([]);
  });

  test('are told by post', async () => {
    const { house, killed } = await openReplaced();
    await using _ = house;
    const post = await runAction(killed);
    expect(house.untold(messagesOf(post) + post.log)).toEqual([]);
  });

  test('go with the next run after post', async () => {
    const { house, killed } = await openReplaced();
    await using _ = house;
    await runAction(killed);
    const { main } = await runJob(house.run({}, { run_id: '3' }));
    expect(main.conclusion).toBe('success');
    expect(house.remains()).toEqual([]);
  });
});

describe('shares and copies, with tags that are read late', () => {
  const late = (tagsVisibleAfterSeconds: number) => ({ ...minutes(1), tagsVisibleAfterSeconds });

  const refused: Fault = {
    ...{ kind: 'refusal', code: 'InvalidParameterValue', message: 'No.', nth: 1 },
    ...{ action: 'CopySnapshot', mutating: true },
  };

  test.each(sampled([0.5, 1, 2]))('by %d s: a copy that fails at once leaves none of its siblings', async (lag) => {
    await using house = await openHouse(one(1, { timings: late(lag), faults: [refused] }));
    const job = await runJob(house.run());
    expect(job.main.conclusion).toBe('failure');
    await house.settle();
    expect(stockOf(house.simulator, targetAccount, targetRegion).snapshots.map(({ data }) => data.SnapshotId)).toEqual(
      [],
    );
  });

  test.each(sampled([0.5, 1, 2]))(
    'by %d s: a run that fails at once leaves no tag, and no share of a later run',
    async (lag) => {
      const shared = one(1, { timings: late(lag), faults: [refused], volumes: volumes.slice(0, 1) });
      await using house = await openHouse(shared);
      const first = await runJob(house.run({}, { run_id: '1' }));
      expect(first.main.conclusion).toBe('failure');
      await house.settle();
      const second = await runJob(house.run({}, { run_id: '2' }));
      expect([second.main.conclusion, messagesOf(second.main)]).toEqual(['success', '']);
      await house.settle();
      expect(house.remains()).toEqual([]);
    },
  );

  test.each(sampled([3.5, 4]))('by %d s: four matrix jobs that end at once tell what share stays', async (lag) => {
    const regions = ['eu-west-1', 'eu-west-2', 'us-west-2', 'ap-southeast-2'];
    await using house = await openHouse(one(1, { timings: { ...late(lag), latencyMs: 20 }, regions }));
    const jobs = await Promise.all(
      regions.map((region) => runJob({ ...house.run({ 'target-regions': region }), machine: `runner-${region}` })),
    );
    await house.settle();
    expect(house.untold(toldToStay(...jobs)).filter((line) => !isLeaseTag(line))).toEqual([]);
  });
});

describe('what a run to other targets, or a sweep, makes of what is left in a target', () => {
  const here = { 'target-accounts': targetAccount };

  test.each([0, hour])('after a time-out, %i minutes later: the copies are taken over all the same', async (after) => {
    await using house = await openHouse(two());
    await runJob(house.run({ ...here, 'timeout-minutes': '5' }, { run_id: '1' }));
    await house.settle(after);
    const elsewhere = await runJob(house.run({ 'target-accounts': other }, { run_id: '2' }));
    expect(elsewhere.main.conclusion).toBe('success');
    const { main } = await runJob(house.run(here, { run_id: '3' }));
    expect(main.conclusion).toBe('success');
    expect(countOf(house.simulator, 'CopySnapshot', targetAccount)).toBe(2);
    expect(house.remains()).toEqual([]);
  });

  test('after a time-out and a sweep: the copies are taken over all the same', async () => {
    await using house = await openHouse(two());
    await runJob(house.run({ ...here, 'timeout-minutes': '5' }, { run_id: '1' }));
    await house.settle(hour / 2);
    expect((await sweepOf(house)).conclusion).toBe('success');
    const { main } = await runJob(house.run(here, { run_id: '3' }));
    expect(main.conclusion).toBe('success');
    expect(countOf(house.simulator, 'CopySnapshot', targetAccount)).toBe(2);
    expect(house.remains()).toEqual([]);
  });

  test('after a kill: the next run to the target takes its copies over', async () => {
    await using house = await openHouse(two());
    await killAt(house, house.run(here, { run_id: '1' }), calls('CopySnapshot'));
    await house.settle(6);
    await runJob(house.run({ 'target-accounts': other }, { run_id: '2' }));
    const { main } = await runJob(house.run(here, { run_id: '3' }));
    expect(main.conclusion).toBe('success');
    await house.settle();
    expect(house.remains()).toEqual([]);
  });
});

test('post tells what it leaves of a run that was killed in its clean-up after a time-out', async () => {
  await using house = await openHouse(procedure({ timings: minutes(10) }));
  const { simulator } = house;
  const run = house.run({ 'timeout-minutes': '15' });
  const began = simulator.clock.now();
  const dying = startAction(run);
  const forget = simulator.onCall(({ action, mutating }) => {
    if (action === 'CreateTags' && mutating && simulator.clock.now() - began >= 15 * 60_000) dying.kill();
  });
  const main = await dying.result;
  forget();
  expect(main.signal).toBe('SIGKILL');
  const post = await runAction({ ...run, entry: 'post', state: main.state, temp: main.temp });
  await house.settle(1);
  expect(house.untold(toldToStay({ main, post }) + post.log).filter((line) => !isLeaseTag(line))).toEqual([]);
});

test('a re-run takes nothing back from a first attempt whose lease is alive, as its runner only lost its connection', async () => {
  await using house = await openHouse(one(6));
  const { simulator } = house;
  const first = runJob(house.run({ 'max-parallel': '1' }));
  await simulator.clock.sleep(30_000);
  // It takes over the first copy, makes the second itself, and ends while the first attempt's second is pending.
  const second = runJob(house.run({}, { run_attempt: '2' }));
  const jobs = await Promise.all([first, second]);
  expect(jobs.map(({ main }) => [main.conclusion, messagesOf(main)])).toEqual([
    ['success', ''],
    ['success', ''],
  ]);
  await house.settle();
  expect(house.remains()).toEqual([]);
});

describe('what a replace takes away goes only when the new AMI is finished', () => {
  const replace = { 'on-existing': 'replace' };
  const isIn =
    (action: string, nth: number) =>
    (call: RecordedCall, count: { seen: number }): boolean => {
      const is = call.action === action && call.account === targetAccount && call.mutating && call.outcome === 'ok';
      if (is) count.seen += 1;
      return is && count.seen === nth;
    };

  test.each([
    ['the lease is taken off late', { kind: 'throttle', action: 'DeleteTags', account: targetAccount, times: 6 }, 0],
    ['tags are read 2 s late', undefined, 2],
  ] as const)(
    'a kill while the old one goes, and post, leave an AMI: %s',
    async (_, fault, tagsVisibleAfterSeconds) => {
      for (const [action, nth] of [
        ['DeleteTags', 1],
        ['DeleteSnapshot', 1],
        ['DeleteSnapshot', 2],
      ] as const) {
        await using house = await openHouse(one(1, { timings: { ...minutes(1), tagsVisibleAfterSeconds } }));
        await runJob(house.run({}, { run_id: '1' }));
        if (fault !== undefined) house.simulator.addFault({ ...fault, mutating: true });
        const run = house.run(replace, { run_id: '2' });
        const dying = startAction(run);
        const count = { seen: 0 };
        const isMoment = isIn(action, nth);
        const forget = house.simulator.onCall((call) => {
          if (isMoment(call, count)) dying.kill();
        });
        const main = await dying.result;
        forget();
        await runAction({ ...run, entry: 'post', state: main.state, temp: main.temp });
        expect([action, nth, imagesIn(house).length]).toEqual([action, nth, 1]);
      }
    },
  );

  test.each(sampled([300, 900, 2000]))(
    'two runs that replace the same AMI, %i ms apart, both end well',
    async (apart) => {
      await using house = await openHouse(one(1));
      await runJob(house.run({}, { run_id: '1' }));
      await house.settle(1);
      const first = runJob(house.run(replace, { run_id: '2' }));
      await house.simulator.clock.sleep(apart);
      const second = runJob(house.run(replace, { run_id: '3' }));
      const jobs = await Promise.all([first, second]);
      expect(jobs.map(({ main }) => [main.conclusion, messagesOf(main)])).toEqual([
        ['success', ''],
        ['success', ''],
      ]);
      expect(imagesIn(house)).toHaveLength(1);
    },
  );

  test('an AMI that is registered again is found, although the answer is lost', async () => {
    await using house = await openHouse(one(1));
    await runJob(house.run({}, { run_id: '1' }));
    const action = 'RegisterImage';
    house.simulator.addFault({ kind: 'lost-response', action, nth: 2, mutating: true });
    house.simulator.addFault({
      kind: 'refusal',
      code: 'OperationNotPermitted',
      message: 'No.',
      action,
      nth: 1,
      mutating: true,
    });
    const { main } = await runJob(house.run(replace, { run_id: '2' }));
    expect(messagesOf(main)).not.toMatch(/could not be registered again/);
    expect(imagesIn(house)).toHaveLength(1);
    await house.settle();
    expect(house.remains()).toEqual([]);
  });
});
