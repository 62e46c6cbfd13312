import { describe, expect, test } from '@jest/globals';
import {
  type Case,
  fanOut,
  procedure,
  type StandardOptions,
  standardCase,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import type { PolicyDocument } from '../simulator/world.ts';
import type { OperationRecord, PlanRecord } from '../src/report/plan.ts';
import { runJob, settledMs, startSimulator } from './in-process.ts';
import { expectTargets, share } from './shared-case.ts';

/* How the plan is walked: what fails ends what comes after it, and its target; what is done beside it is none the worse. */

const planOf = (outputs: Record<string, string>) => JSON.parse(outputs.plan ?? '') as PlanRecord;
const messagesOf = (main: { annotations: readonly { message: string }[] }) =>
  main.annotations.map(({ message }) => message).join('\n');

/** The outcomes of operations, by kind. */
function outcomesOf(operations: readonly OperationRecord[]): Record<string, string[]> {
  const byKind = Map.groupBy(operations, ({ kind }) => kind);
  return Object.fromEntries(
    [...byKind].map(([kind, all]) => [kind, [...new Set(all.map(({ outcome }) => outcome))].toSorted()]),
  );
}

const refused = (action: string, over: object = {}) =>
  ({ kind: 'refusal', code: 'InvalidRequest', action, mutating: true, ...over }) as const;

test('all is done, each after what it comes after', async () => {
  const { main } = await share(fanOut());
  const { operations } = planOf(main.outputs);
  expect(operations.filter(({ outcome }) => outcome !== 'done' && outcome !== 'not needed')).toEqual([]);
  const before = new Set<string>();
  for (const { id, after } of operations) {
    expect(after.filter((one) => !before.has(one))).toEqual([]);
    before.add(id);
  }
  expect(before.size).toBe(operations.length);
});

test('a target that fails ends by itself: what it had begun is done or failed, the rest of it is not begun', async () => {
  const { main, targets } = await share(
    fanOut({ faults: [{ kind: 'copy-fails', region: 'us-west-2', action: 'CopySnapshot' }] }),
  );
  const { operations } = planOf(main.outputs);
  expect(new Set(targets.map(({ region, status }) => `${region} ${status}`))).toEqual(
    new Set(['eu-west-1 created', 'us-west-2 failed', 'ap-southeast-2 created']),
  );
  const [failed, others] = [true, false].map((yes) =>
    operations.filter(({ region }) => (region === 'us-west-2') === yes),
  );
  expect(outcomesOf(failed ?? [])).toMatchObject({ copy: ['failed'], register: ['not begun'], verify: ['not begun'] });
  expect((others ?? []).filter(({ outcome }) => outcome !== 'done' && outcome !== 'not needed')).toEqual([]);
});

test.each(['ModifySnapshotAttribute', 'CreateGrant'])(
  'where all need what fails, none is begun, and each says why: %s',
  async (action) => {
    const { main, simulator, before, targets } = await share(fanOut({ faults: [refused(action)] }));
    expect(main.conclusion).toBe('failure');
    expect(new Set(targets.map(({ status }) => status))).toEqual(new Set(['failed']));
    for (const { error } of targets) expect(error).toContain(`${action} in `);
    const { copy, register } = outcomesOf(planOf(main.outputs).operations);
    expect([copy, register]).toEqual([['not begun'], ['not begun']]);
    expect(simulator.calls.filter((one) => one.action === 'CopySnapshot' && one.mutating)).toEqual([]);
    expect(simulator.snapshotOfState('111111111111')).toEqual(before);
  },
);

test('with fail-fast, the first failure stops what is not done', async () => {
  const faults = [refused('CopySnapshot', { region: 'us-west-2' })];
  const { main, targets } = await share(fanOut({ faults }), { 'fail-fast': 'true' });
  expect(targets.map(({ status }) => status)).not.toContain('created');
  expect(messagesOf(main)).toMatch(/stopped, because \d{12}\/us-west-2 failed \(fail-fast\)/);
  expect(outcomesOf(planOf(main.outputs).operations).register).toEqual(['not begun']);
});

describe('where an AMI gave its name up', () => {
  const replaced = async (inputs: Record<string, string>, faults: StandardOptions['faults']) => {
    const shared = procedure({ policies: ['target-publish'] });
    const simulator = await startSimulator(shared.scenario);
    await runJob({ inputs: shared.inputs, env: simulator.env });
    for (const fault of faults ?? []) simulator.addFault(fault);
    const { main } = await runJob({
      inputs: { ...shared.inputs, 'on-existing': 'replace', ...inputs },
      env: simulator.env,
      github: { run_id: '4712' },
    });
    const place = simulator.world.accounts[targetAccount]?.regions.get(targetRegion);
    const live = [...(place?.images.values() ?? [])].filter(({ deregisteredAt }) => deregisteredAt === undefined);
    await simulator.close();
    return { main, live: live.map(({ data }) => data.ImageId), snapshots: [...(place?.snapshots.keys() ?? [])] };
  };

  test('and the new one is right but could not be published, the name stays with the new one', async () => {
    const { main, live, snapshots } = await replaced({ 'deprecate-after': '9d' }, [refused('EnableImageDeprecation')]);
    expect(main.conclusion).toBe('failure');
    expect(messagesOf(main)).toContain('EnableImageDeprecation');
    const [record] = JSON.parse(main.outputs.targets ?? '') as { amiId: string; status: string }[];
    expect(live).toEqual([record?.amiId]);
    expect(record?.status).toBe('failed');
    // The old one can't come back under that name, and nobody is told that it should have.
    expect(messagesOf(main)).not.toMatch(/had to give up its name/);
    expect(snapshots.length).toBeLessThanOrEqual(2);
  });

  test('and the new one could not be registered, the old one has it back', async () => {
    const { main, live, snapshots } = await replaced({}, [refused('RegisterImage', { times: 1 })]);
    expect(main.conclusion).toBe('failure');
    expect(messagesOf(main)).toMatch(/had to give up its name, and is registered again as ami-/);
    expect([live.length, snapshots.length]).toEqual([1, 1]);
    const { operations } = planOf(main.outputs);
    expect(outcomesOf(operations)).toMatchObject({ register: ['failed'], delete: ['not begun'] });
  });
});

describe('a target role that may not remove tags', () => {
  /** Without `ec2:DeleteTags` in the targets. */
  const lacking = (shared: Case): Case => {
    const scenario = structuredClone(shared.scenario) as unknown as {
      accounts: Record<string, { roles?: Record<string, { policies: PolicyDocument[] }> }>;
    };
    for (const { policies } of Object.values(scenario.accounts[targetAccount]?.roles ?? {}))
      for (const { Statement } of policies as { Statement: { Action: string[] }[] }[])
        for (const statement of Statement)
          statement.Action = [statement.Action]
            .flat()
            .map((one) => (one === 'ec2:DeleteTags' ? 'ec2:DescribeRegions' : one));
    return { ...shared, scenario: scenario as never };
  };

  test.each<[string, StandardOptions]>([
    ['register', {}],
    ['copy', { policies: ['source-route-copy', 'target-route-copy'], ami: { attributes: { Description: 'golden' } } }],
  ])('keeps the AMI, with the lease on it, and is told: route %s', async (route, options) => {
    const { main, targets, simulator } = await share(lacking(standardCase(options)), { route });
    expect(main.conclusion).toBe('success');
    expect(targets).toMatchObject([{ status: 'created', amiId: expect.stringMatching(/^ami-/) }]);
    expect(messagesOf(main)).toContain('share-encrypted-ami:lease stays on');
    const place = simulator.world.accounts[targetAccount]?.regions.get(targetRegion);
    const [image, ...more] = place?.images.values() ?? [];
    expect([image?.data.ImageId, image?.deregisteredAt, more]).toEqual([targets[0]?.amiId, undefined, []]);
    expect([...(place?.snapshots.keys() ?? [])]).toEqual(targets[0]?.snapshotIds);
  });
});

test('an AMI that is there is used, and nothing is made beside it', async () => {
  const shared = procedure();
  const simulator = await startSimulator(shared.scenario);
  const run = { inputs: shared.inputs, env: simulator.env };
  await runJob(run);
  await simulator.clock.sleep(settledMs);
  const { main } = await runJob({ ...run, github: { run_id: '4712' } });
  expect(outcomesOf(planOf(main.outputs).operations)).toEqual({ reuse: ['done'] });
  expectTargets({ simulator, targets: JSON.parse(main.outputs.targets ?? '') }, shared.amiId);
  await simulator.close();
});
