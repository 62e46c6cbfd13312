import { describe, expect, test } from '@jest/globals';
import type { ActionResult } from '../../simulator/runner.ts';
import type { VolumeScenario } from '../../simulator/scenario.ts';
import { workflowRole } from '../../simulator/scenarios/common.ts';
import {
  type Case,
  customerKey,
  fanOut,
  procedure,
  targetAccount,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import type { RecordedCall } from '../../simulator/simulator.ts';
import type { PlanRecord } from '../../src/report/plan.ts';
import { type InProcessRun, runAction, runJob, startAction } from '../in-process.ts';
import { copiedFrom } from '../shared-case.ts';
import { type House, type Job, killAt, messagesOf, openHouse, recordsOf, stockOf, toldBy } from './house.ts';

/* What was found when the house was tested by somebody who wanted it to break. Each test failed when it was written. */

const timings = { baseSeconds: 30, secondsPerGiB: 0 };
const dry = { 'dry-run': 'true' };
const twoRegions = { targets: [targetAccount], regions: ['eu-west-1', 'us-west-2'] };
const denied = { kind: 'refusal', code: 'AccessDeniedException', status: 400, message: 'no', times: 50 } as const;

const planOf = ({ outputs }: ActionResult) => JSON.parse(outputs.plan ?? '') as PlanRecord;

function imagesOf({ simulator }: House, region = targetRegion): string[] {
  return stockOf(simulator, targetAccount, region).images.map(({ data }) => data.ImageId);
}

function parameterOf({ simulator }: House, name = '/golden/latest'): string | undefined {
  return simulator.world.accounts[targetAccount]?.regions.get(targetRegion)?.parameters.get(name)?.value;
}

const isInTarget =
  (action: string) =>
  (call: RecordedCall): boolean =>
    call.action === action && call.mutating && call.outcome === 'ok' && call.account === targetAccount;

/** Main, which is cancelled or killed once a call has had its effect; then post. */
async function interrupted(
  { simulator }: House,
  run: InProcessRun,
  [how, isMoment]: readonly ['cancel' | 'kill', (call: RecordedCall) => boolean],
): Promise<Job> {
  const running = startAction(run);
  const forget = simulator.onCall((call) => {
    if (isMoment(call)) running[how]();
  });
  const main = await running.result;
  forget();
  return { main, post: await runAction({ ...run, entry: 'post', state: main.state, temp: main.temp }) };
}

describe('SSM parameters', () => {
  const named = { 'ssm-parameter': '/golden/latest' };
  const policies = ['target-ssm-parameter', 'target-retain'];

  test('that are all set stay set, whatever fails of the clean-up', async () => {
    const faults = [{ ...denied, action: 'RevokeGrant', mutating: true }];
    await using house = await openHouse(procedure({ timings, policies, faults }));
    const { main } = await runJob(house.run(named));
    expect(planOf(main).operations.find(({ id }) => id === 'all is set for every target')?.outcome).toBe('done');
    expect(parameterOf(house)).toBe(main.outputs['ami-id']);
  });

  test('that are all set are not put back to an AMI that was deregistered since', async () => {
    await using house = await openHouse(procedure({ timings, policies }));
    const inputs = { ...named, 'target-ami-name': '{name}-{run-id}', 'on-existing': 'replace' };
    await runJob(house.run(inputs));
    const run = house.run(inputs, { run_id: '4712' });
    const { post } = await interrupted(house, run, ['cancel', isInTarget('DeleteSnapshot')]);
    expect(post.log).not.toMatch(/put the SSM parameter/);
  });

  test('that could not be read once all targets are ready are a failure, and not for want of targets', async () => {
    const faults = [{ ...denied, action: 'GetParameter', nth: 2 }];
    await using house = await openHouse(procedure({ timings, policies, faults }));
    const { main } = await runJob(house.run(named));
    expect(parameterOf(house)).toBeUndefined();
    expect(messagesOf(main)).not.toMatch(/not every target is ready/);
    expect(messagesOf(main)).toMatch(/Reading the SSM parameter \/golden\/latest in 999999999999\/eu-west-1/);
    expect(main.conclusion).toBe('failure');
  });

  test('of which one cannot be set: the error begins with that one', async () => {
    const faults = [{ ...denied, action: 'PutParameter', region: 'us-west-2', mutating: true }];
    await using house = await openHouse(fanOut({ timings, ...twoRegions, policies, faults }));
    const { main } = await runJob(house.run(named));
    expect(messagesOf(main)).toMatch(/AccessDeniedException/);
    expect(messagesOf(main)).not.toMatch(/Setting the SSM parameter \S+ to \S+ in 999999999999\/eu-west-1/);
  });
});

describe('replace under the same name', () => {
  const replace = { 'on-existing': 'replace' };
  const next = { run_id: '4712' };
  const slow = { ...timings, registerSeconds: 900 };

  test('leaves the target an AMI where the run ends at its time-out while the new one is pending', async () => {
    await using house = await openHouse(customerKey({ timings: slow }));
    await runJob(house.run());
    await runJob(house.run({ ...replace, 'timeout-minutes': '5' }, next));
    await house.settle(30);
    expect(imagesOf(house)).toHaveLength(1);
  });

  test.each([
    ['cancel', 'RegisterImage'],
    ['kill', 'DeregisterImage'],
    ['kill', 'RegisterImage'],
  ] as const)('leaves the target an AMI after a %s at %s, or says what is lost', async (how, action) => {
    await using house = await openHouse(customerKey({ timings }));
    await runJob(house.run());
    const job = await interrupted(house, house.run(replace, next), [how, isInTarget(action)]);
    await house.settle();
    expect(house.untold(toldBy(job))).toEqual([]);
    // A killed run's post knows nothing of the old AMI; what it makes nobody's must be told at least.
    if (how === 'cancel') expect(imagesOf(house)).toHaveLength(1);
  });

  test.each<[string, (house: House, run: InProcessRun) => Promise<Job>]>([
    ['publishing fails', (_, run) => runJob(run)],
    ['it is cancelled then', (house, run) => interrupted(house, run, ['cancel', isInTarget('DeleteTags')])],
  ])('tells of the old AMI’s snapshots where %s', async (why, play) => {
    const faults = why === 'publishing fails' ? [{ ...denied, action: 'EnableImageDeprecation', mutating: true }] : [];
    await using house = await openHouse(procedure({ timings, policies: ['target-publish'], faults }));
    await runJob(house.run());
    const job = await play(house, house.run({ ...replace, 'deprecate-after': '90d' }, next));
    expect(imagesOf(house)).toHaveLength(1);
    expect(house.untold(toldBy(job))).toEqual([]);
  });
});

test('replace under another name, killed between DeregisterImage and DeleteSnapshot: the re-run deletes the rest', async () => {
  await using house = await openHouse(customerKey({ timings }));
  await runJob(house.run());
  await house.settle(1);
  const inputs = { 'on-existing': 'replace', 'target-ami-name': '{name}-{run-id}' };
  await killAt(house, house.run(inputs, { run_id: '4712' }), isInTarget('DeregisterImage'));
  const { main } = await runJob(house.run(inputs, { run_id: '4712', run_attempt: '2' }));
  expect(main.annotations).toEqual([]);
  expect(house.remains()).toEqual([]);
});

test('at the time-out, a saved state that cannot be written makes no finished AMI failed, and clean-up goes on', async () => {
  const shared = customerKey({ timings: { baseSeconds: 3600, secondsPerGiB: 0 }, ...twoRegions });
  await using house = await openHouse(shared);
  await runJob(house.run({ 'target-regions': 'eu-west-1' }, { run_id: '4710' }));
  let full = false;
  house.simulator.onCall((call) => {
    full ||= isInTarget('CopySnapshot')(call);
  });
  const main = await runAction({
    ...house.run({ 'timeout-minutes': '10' }),
    onWrite: (file) => {
      if (file === 'state' && full) throw new Error('ENOSPC: no space left on device');
    },
  });
  expect(recordsOf(main)).toMatchObject([
    { region: 'eu-west-1', status: 'reused', amiId: imagesOf(house)[0] },
    { region: 'us-west-2', status: 'failed' },
  ]);
  expect(house.remains().filter((line) => /is shared with|grant/.test(line))).toEqual([]);
});

describe('a failed image of a dead run, under the name of the new one', () => {
  const policies = ['source-route-copy', 'target-route-copy'];
  const failing = { kind: 'copy-fails', action: 'CopyImage', mutating: true, nth: 1, times: 1 } as const;

  test.each([
    ['is deregistered before CopyImage takes the name', 'DeregisterImage'],
    ['goes with its snapshots, and their tags are nothing left behind', 'DeleteTags'],
  ])('%s', async (_, action) => {
    const late = { kind: 'delay', action, account: targetAccount, mutating: true, ms: 5000 } as const;
    await using house = await openHouse(customerKey({ timings, policies, faults: [failing, late] }));
    await killAt(house, house.run({ route: 'copy' }), isInTarget('CopyImage'));
    await house.settle(1);
    const { main } = await runJob(house.run({ route: 'copy' }, { run_attempt: '2' }));
    expect(main.annotations).toEqual([]);
  });
});

describe('the plan’s price', () => {
  test('of fast snapshot restore is by the zones that each target has', async () => {
    const zones = { 'fast-snapshot-restore': 'eu-west-1a, us-west-2a, ap-southeast-2a' };
    await using house = await openHouse(fanOut({ timings, targets: [targetAccount], policies: ['target-publish'] }));
    const main = await runAction(house.run({ ...dry, ...zones }));
    expect(main.annotations).toEqual([]);
    expect(planOf(main).estimate.fastSnapshotRestoreUSDPerHour).toBe(3 * 0.75);
  });

  test('of fast snapshot restore counts AMIs that are used again', async () => {
    await using house = await openHouse(procedure({ timings, policies: ['target-publish'] }));
    await runJob(house.run());
    const main = await runAction(house.run({ ...dry, 'fast-snapshot-restore': 'eu-west-1a' }));
    expect(planOf(main).operations.map(({ kind }) => kind)).toContain('publish');
    expect(planOf(main).estimate.fastSnapshotRestoreUSDPerHour).toBe(0.75);
  });

  test('is without the snapshot copies that are taken over', async () => {
    await using house = await openHouse(customerKey({ timings }));
    await killAt(house, house.run(), isInTarget('CopySnapshot'));
    await house.settle(1);
    const { estimate, targets } = planOf(await runAction(house.run(dry, { run_attempt: '2' })));
    expect(targets[0]?.adopts).toHaveLength(1);
    expect([estimate.copies, estimate.transferGiB]).toEqual([0, 0]);
  });
});

describe('the approved plan', () => {
  test('is the same whatever {run-id} and {sha} are in grant-key-to', async () => {
    const shared: Case = procedure({ timings, policies: ['target-publish'] });
    const target = shared.scenario.accounts[targetAccount];
    // The published policies let no role be granted the key but those that are named in them.
    const granting = {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 'kms:CreateGrant', Resource: '*' }],
    };
    const roles = Object.fromEntries(
      Object.entries(target?.roles ?? {}).map(([name, role]) => [
        name,
        { ...role, policies: [...role.policies, granting] },
      ]),
    );
    const apps = { 'app-1': workflowRole(targetAccount), 'app-2': workflowRole(targetAccount) };
    const accounts = {
      ...shared.scenario.accounts,
      [targetAccount]: { ...target, roles: { ...roles, ...apps } },
    };
    await using house = await openHouse({ ...shared, scenario: { ...shared.scenario, accounts } });
    const inputs = { ...dry, 'grant-key-to': 'arn:aws:iam::{account}:role/app-{run-id}' };
    const [one, two] = [
      await runAction(house.run(inputs, { run_id: '1' })),
      await runAction(house.run(inputs, { run_id: '2' })),
    ];
    expect(messagesOf(one)).toBe('');
    expect(two.outputs['plan-digest']).toBe(one.outputs['plan-digest']);
  });

  test('is not said to differ where a target could not be read', async () => {
    const faults = [{ ...denied, action: 'DescribeKey', region: 'us-west-2', nth: 2 }];
    await using house = await openHouse(fanOut({ timings, ...twoRegions, faults }));
    const plan = await runAction(house.run(dry));
    const main = await runAction(house.run({ 'expect-plan-digest': plan.outputs['plan-digest'] ?? '' }));
    expect(messagesOf(main)).toMatch(/reading the key alias\/cmkTarget/);
    expect(messagesOf(main)).not.toMatch(/not the one that was approved/);
  });

  test('of an instance: no other AMI is deregistered than was approved, although it is planned again', async () => {
    const id = 'i-0123456789abcdef0';
    const instances = [{ id, volumes: [{ device: '/dev/xvda', sizeGiB: 300 }] }];
    const policies = ['source-instance', 'target-retain'];
    await using house = await openHouse(
      procedure({ timings: { baseSeconds: 10, secondsPerGiB: 2 }, policies, source: { instances } }),
    );
    const inputs = {
      'ami-id': '',
      'instance-id': id,
      'target-ami-name': 'golden-{run-id}',
      lineage: 'golden',
      retain: '1',
    };
    const plan = await runAction(house.run({ ...inputs, ...dry }, { run_id: '2' }));
    const approved = { ...inputs, 'expect-plan-digest': plan.outputs['plan-digest'] ?? '' };
    const running = startAction(house.run(approved, { run_id: '3' }));
    await new Promise<void>((resolve) => {
      house.simulator.onCall(({ action, mutating, outcome }) => {
        if (action === 'CreateImage' && mutating && outcome === 'ok') resolve();
      });
    });
    // While the AMI of the instance is made, somebody else makes one of the lineage.
    const other = await runJob(house.run({ 'target-ami-name': 'golden-77' }, { run_id: '9' }));
    expect(other.main.annotations).toEqual([]);
    const main = await running.result;
    const removed = planOf(main).operations.filter(({ kind, outcome }) => kind === 'deregister' && outcome === 'done');
    expect(removed.map(({ of }) => of[0])).toEqual([]);
    expect(imagesOf(house)).toContain(other.main.outputs['ami-id']);
  });
});

test('publishing of an AMI that is used again is asked beforehand', async () => {
  await using house = await openHouse(procedure({ timings }));
  await runJob(house.run());
  const planned = await runAction(house.run({ 'launch-permissions': '222222222222', ...dry }));
  expect(messagesOf(planned)).toMatch(/ec2:ModifyImageAttribute/);
});

test('an AMI that retain removed, though not its snapshot, is told as gone', async () => {
  const tags = {
    'share-encrypted-ami:source-ami': 'ami-00000000000000009',
    'share-encrypted-ami:lineage': 'golden',
  };
  const volumes = [
    { device: '/dev/xvda', key: 'cmkTarget', tags, copied: copiedFrom('ami-00000000000000009', 'golden') },
  ];
  const faults = [
    { ...denied, action: 'DeleteSnapshot', account: targetAccount, mutating: true, code: 'InvalidSnapshot.InUse' },
  ];
  const target = { amis: [{ name: 'golden-image-1', tags, volumes }] };
  const ami = { name: 'golden-image-9' };
  await using house = await openHouse(procedure({ timings, ami, target, policies: ['target-retain'], faults }));
  const { main } = await runJob(house.run({ lineage: 'golden', retain: '1' }));
  expect(imagesOf(house)).toEqual([main.outputs['ami-id']]);
  expect(planOf(main).operations.find(({ kind }) => kind === 'deregister')?.outcome).not.toBe('not possible');
  expect(JSON.parse(main.outputs['removed-amis'] ?? '')).toMatchObject([{ snapshotIds: [] }]);
  expect(messagesOf(main)).not.toMatch(/golden-image-1\) could not be removed/);
  expect(messagesOf(main)).toMatch(/snap-/);
});

test('the error of a target begins with what failed, not with what was ended by it', async () => {
  const volumes = ['a', 'b', 'c'].map(
    (letter, index): VolumeScenario => ({ device: `/dev/sd${letter}`, sizeGiB: 30 - 10 * index, key: 'cmkSource' }),
  );
  const faults = [{ kind: 'copy-fails', action: 'CopySnapshot', mutating: true, nth: 3, times: 1 } as const];
  await using house = await openHouse(customerKey({ timings, volumes, faults }));
  const { main } = await runJob(house.run());
  expect(recordsOf(main)[0]?.error).toMatch(/ended in error/);
  expect(recordsOf(main)[0]?.error?.match(/Copying snap-/g)).toHaveLength(1);
});
