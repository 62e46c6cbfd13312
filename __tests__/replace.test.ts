import { describe, expect, test } from '@jest/globals';
import type { Fault } from '../simulator/faults.ts';
import { standardCase, targetAccount, targetRegion } from '../simulator/scenarios/standard.ts';
import { regionOf } from '../simulator/world.ts';
import { killAt, messagesOf, openHouse } from './house/house.ts';
import { runAction, runJob, startAction } from './in-process.ts';
import { openedPolicy } from './policy-cases.ts';

/* An AMI is replaced under its own name: AWS gives a name once, frees it late, and the Recycle Bin may keep it. */

const timings = { secondsPerGiB: 5 };
const replace = { 'on-existing': 'replace', 'launch-permissions': '222222222222' };
const policies = ['target-publish', 'target-recycle-bin'];
const never: Fault = {
  ...{ kind: 'refusal', action: 'RegisterImage', account: targetAccount, mutating: true, nth: 1, times: 10_000 },
  ...{ code: 'OperationNotPermitted', message: 'Not now.' },
};

/** A target with an AMI of an earlier run, which the next is to replace. */
async function replacing({
  bin = true,
  rules = {},
  nameFreed = 0,
  policies: more = policies,
  faults = [] as Fault[],
} = {}) {
  const house = await openHouse(
    standardCase({
      ...{ timings: { ...timings, nameFreedAfterSeconds: nameFreed }, rules, policies: more },
      targetKey: { policy: openedPolicy(targetAccount, '222222222222') },
      ...(bin && { target: { settings: { recycleBin: { days: 7 } } } }),
    }),
  );
  const { simulator } = house;
  const old = (await runJob(house.run({ 'launch-permissions': '222222222222' }))).main.outputs['ami-id'] ?? '';
  await simulator.clock.sleep(60_000);
  for (const fault of faults) simulator.addFault(fault);
  const there = () =>
    [...regionOf(simulator.world, targetAccount, targetRegion).images.values()].filter(
      ({ deregisteredAt }) => deregisteredAt === undefined,
    );
  return { house, simulator, old, there, run: () => runJob(house.run(replace, { run_id: '4712' })) };
}

describe('a name', () => {
  test('that is free only minutes after its AMI was deregistered is waited for', async () => {
    const { house, run, there, old } = await replacing({ bin: false, nameFreed: 200 });
    const { main } = await run();
    expect([main.conclusion, messagesOf(main)]).toEqual(['success', '']);
    expect(there().map(({ data }) => [data.Name, data.ImageId === old])).toEqual([['golden-image', false]]);
    await house[Symbol.asyncDispose]();
  });

  test('that the Recycle Bin keeps is given back: the former AMI is restored, as it was', async () => {
    const { house, run, there, old } = await replacing({ rules: { binKeepsNames: true } });
    const { main, post } = await run();
    expect(main.conclusion).toBe('failure');
    expect(messagesOf(main)).toMatch(/had to give up its name, and is back from the Recycle Bin, as it was/);
    expect(there().map(({ data, launch }) => [data.ImageId, data.State, [...launch]])).toEqual([
      [old, 'available', [expect.stringContaining('222222222222')]],
    ]);
    await house.settle();
    expect([messagesOf(post), house.untold(old)]).toEqual(['', []]);
    await house[Symbol.asyncDispose]();
  });
});

describe('where the new AMI does not come to be', () => {
  test('the former one is restored from the Recycle Bin, with its ID', async () => {
    const { house, run, there, old } = await replacing({ rules: { binKeepsNames: false }, faults: [never] });
    const { main } = await run();
    expect(main.conclusion).toBe('failure');
    expect(there().map(({ data }) => data.ImageId)).toEqual([old]);
    await house[Symbol.asyncDispose]();
  });

  test('and the role may not restore, it is registered again where the name is free', async () => {
    const once = { ...never, times: 1 };
    const { house, run, there, old } = await replacing({
      rules: { binKeepsNames: false },
      policies: ['target-publish'],
      faults: [once],
    });
    const { main } = await run();
    expect(main.conclusion).toBe('failure');
    expect(messagesOf(main)).toMatch(/is registered again as ami-/);
    expect(there().map(({ data }) => [data.Name, data.ImageId === old])).toEqual([['golden-image', false]]);
    await house[Symbol.asyncDispose]();
  });

  test('a later run finishes what one that died had begun', async () => {
    const { house, there, old } = await replacing({ bin: false, nameFreed: 100 });
    const dying = startAction(house.run(replace, { run_id: '4712' }));
    const forget = house.simulator.onCall(({ action, mutating }) => {
      if (action === 'DeregisterImage' && mutating) dying.kill();
    });
    await dying.result;
    forget();
    expect(there()).toEqual([]);
    await house.simulator.clock.sleep(400_000);
    const { main } = await runJob(house.run(replace, { run_id: '4713' }));
    expect(main.conclusion).toBe('success');
    expect(there().map(({ data }) => [data.Name, data.ImageId === old])).toEqual([['golden-image', false]]);
    await house.settle();
    expect(house.untold(JSON.stringify(main.outputs))).toEqual([]);
    await house[Symbol.asyncDispose]();
  });
});

describe('an AMI that a run deregistered for its name, and died', () => {
  /** What is there once such a run has died. */
  async function died() {
    const replaced = await replacing({ rules: { binKeepsNames: true } });
    const { house, there } = replaced;
    await killAt(
      house,
      house.run(replace, { run_id: '4712' }),
      (call) => call.action === 'DeregisterImage' && call.mutating,
    );
    expect(there()).toEqual([]);
    await house.simulator.clock.sleep(400_000);
    const expectBack = () => {
      expect(there().map(({ data, launch }) => [data.ImageId, data.State, [...launch]])).toEqual([
        [replaced.old, 'available', [expect.stringContaining('222222222222')]],
      ]);
      expect(house.remains().filter((line) => !/may be launched by/.test(line))).toEqual([]);
    };
    return { ...replaced, expectBack };
  }
  const told =
    /ami-\w+ \(golden-image\) in \S+, which a run that died had deregistered for its name, is back from the Recycle Bin/;

  test('is restored by the next run where the Recycle Bin keeps the name from the new one', async () => {
    const { house, expectBack } = await died();
    const { main } = await runJob(house.run(replace, { run_id: '4713' }));
    expect(main.conclusion).toBe('failure');
    expect(messagesOf(main)).toMatch(told);
    expect(messagesOf(main)).toMatch(/InvalidAMIName.Duplicate.+whose rule may keep its name/);
    await house.settle();
    expectBack();
    await house[Symbol.asyncDispose]();
  });

  test('is restored by a sweep', async () => {
    const { house, expectBack } = await died();
    const { 'ami-id': _, 'target-kms-key': __, ...inputs } = house.run().inputs;
    const swept = await runAction({ ...house.run(), inputs, action: 'sweep' });
    expect(swept.conclusion).toBe('success');
    expect(messagesOf(swept)).toMatch(told);
    await house.settle();
    expectBack();
    await house[Symbol.asyncDispose]();
  });
});

describe('a Recycle Bin rule', () => {
  test('is warned of beforehand where AMIs are in the bin', async () => {
    const { house, run } = await replacing({ rules: { binKeepsNames: false } });
    expect((await run()).main.conclusion).toBe('success');
    await house.simulator.clock.sleep(60_000);
    const { ...dry } = await runAction(house.run({ ...replace, 'dry-run': 'true' }, { run_id: '4714' }));
    expect(messagesOf(dry)).toMatch(
      /a Recycle Bin rule keeps deregistered AMIs here \(ami-\w+, for one\).+that AMI is restored/,
    );
    await house[Symbol.asyncDispose]();
  });
});
