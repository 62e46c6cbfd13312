import { describe, expect, test } from '@jest/globals';
import { amiIdOf, type RoleScenario, type VolumeScenario } from '../simulator/scenario.ts';
import { workflowRole } from '../simulator/scenarios/common.ts';
import {
  type Case,
  fanOut,
  procedure,
  type StandardOptions,
  sourceAccount,
  standardCase,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import { runAction, runJob, type Simulator, startAction, startSimulator } from './in-process.ts';
import { openedPolicy } from './policy-cases.ts';
import { copiedFrom, imageIn, share, type TargetRecord } from './shared-case.ts';

const publishing = { policies: ['target-publish', 'target-grant-key', 'target-ssm-parameter', 'target-retain'] };
const autoScaling = `arn:aws:iam::${targetAccount}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling`;
const organization = 'arn:aws:organizations::123456789012:organization/o-abcdefghij';

/** A case whose target accounts have the Auto Scaling service-linked role too. */
function withAutoScaling(shared: Case): Case {
  const role: RoleScenario = { ...workflowRole(targetAccount), path: 'aws-service-role/autoscaling.amazonaws.com/' };
  const accounts = Object.fromEntries(
    Object.entries(shared.scenario.accounts).map(([id, account]) => [
      id,
      id === sourceAccount ? account : { ...account, roles: { ...account.roles, AWSServiceRoleForAutoScaling: role } },
    ]),
  );
  return { ...shared, scenario: { ...shared.scenario, accounts } };
}

function placeOf(simulator: Simulator, account = targetAccount, region = targetRegion) {
  const place = simulator.world.accounts[account]?.regions.get(region);
  if (place === undefined) throw new Error(`no ${account}/${region}`);
  return place;
}

const dataTypesOf = (simulator: Simulator, name: string): (string | undefined)[] =>
  Object.values(simulator.world.accounts).flatMap(({ id, regions }) =>
    id === sourceAccount ? [] : [...regions.values()].map(({ parameters }) => parameters.get(name)?.dataType),
  );

function valuesOf(simulator: Simulator, name: string): (string | undefined)[] {
  return Object.values(simulator.world.accounts).flatMap(({ id, regions }) =>
    id === sourceAccount ? [] : [...regions.values()].map(({ parameters }) => parameters.get(name)?.value),
  );
}

const everything = {
  'deprecate-after': '90d',
  'deregistration-protection': 'on-with-cooldown',
  'fast-snapshot-restore': 'eu-west-1a, us-west-2b',
  'launch-permissions': `222222222222\n${organization}`,
  'grant-key-to': 'arn:aws:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling',
  'ssm-parameter': '/golden/{region}/latest',
};

test('everything that is asked for beside the AMI, and a second run adds nothing', async () => {
  const targetKey = { policy: openedPolicy(targetAccount, '222222222222') };
  const shared = withAutoScaling(procedure({ ...publishing, targetKey }));
  const simulator = await startSimulator(shared.scenario);
  const run = { inputs: { ...shared.inputs, ...everything }, env: simulator.env };
  const { main } = await runJob(run);
  expect(main).toMatchObject({ conclusion: 'success', annotations: [] });
  const id = main.outputs['ami-id'] ?? '';
  const { data, launch } = imageIn(simulator, targetAccount, targetRegion, id);
  expect(data.DeregistrationProtection).toBe('enabled-with-cooldown');
  const days = (Date.parse(data.DeprecationTime ?? '') - Date.now()) / 86_400_000;
  expect(days).toBeCloseTo(90, 1);
  expect([...launch].sort()).toEqual(['222222222222', organization]);
  const place = placeOf(simulator);
  expect([...place.fastRestores]).toEqual([[data.BlockDeviceMappings[0]?.Ebs?.SnapshotId, new Set(['eu-west-1a'])]]);
  expect(place.parameters.get('/golden/eu-west-1/latest')).toMatchObject({
    value: id,
    dataType: 'aws:ec2:image',
    type: 'String',
    tags: expect.arrayContaining([{ Key: 'share-encrypted-ami:source-ami', Value: shared.amiId }]),
  });
  const grants = [...place.keys.values()].flatMap((key) => key.grants);
  expect(grants.map(({ GranteePrincipal }) => GranteePrincipal)).toEqual([autoScaling]);
  expect(grants[0]?.Operations).toContain('GenerateDataKeyWithoutPlaintext');

  const state = simulator.snapshotOfState();
  expect((await runJob(run)).main).toMatchObject({ conclusion: 'success', annotations: [] });
  expect(simulator.snapshotOfState()).toEqual(state);
  await simulator.close();
});

test('where publishing fails, the target fails, and its AMI is told all the same', async () => {
  const shared = procedure({
    ...publishing,
    volumes: Array.from({ length: 6 }, (_, index): VolumeScenario => ({ device: `/dev/sd${'abcdef'[index]}` })),
  });
  const { main, targets, error } = await share(shared, { 'fast-snapshot-restore': 'all' });
  expect(main.conclusion).toBe('failure');
  expect(error).toMatch(
    /Enabling fast snapshot restore for ami-\S+ in 999999999999\/eu-west-1: snap-\S+ in eu-west-1a: FastSnapshotRestoreLimitExceeded/,
  );
  expect(targets).toMatchObject([{ status: 'failed', amiId: expect.stringMatching(/^ami-/) }]);
  expect(main.outputs['ami-id']).toBe('');
});

test('an AMI with encrypted snapshots is public for nobody', async () => {
  const { error, simulator } = await share(procedure(publishing), { 'launch-permissions': 'all' });
  expect(error).toMatch(/launch-permissions: "all" — an AMI with encrypted snapshots cannot be made public/);
  expect(simulator.calls).toEqual([]);
});

describe('SSM parameters: all or none', () => {
  const parameters = { '/golden/latest': 'ami-00000000000000001' };
  const inputs = { 'ssm-parameter': '/golden/latest' };
  const withParameters = (options: StandardOptions = {}) => {
    const shared = fanOut({ ...publishing, ...options });
    const accounts = Object.fromEntries(
      Object.entries(shared.scenario.accounts).map(([id, account]) => [
        id,
        id === sourceAccount
          ? account
          : {
              ...account,
              regions: Object.fromEntries(
                Object.entries(account.regions ?? {}).map(([name, region]) => [name, { ...region, parameters }]),
              ),
            },
      ]),
    );
    return { ...shared, scenario: { ...shared.scenario, accounts } };
  };

  test('set in every target once all are ready', async () => {
    const { simulator, targets, error } = await share(withParameters(), inputs);
    expect(error).toBe('');
    expect(valuesOf(simulator, '/golden/latest').sort()).toEqual(targets.map(({ amiId }) => amiId).sort());
    // AWS lets nobody change it.
    expect(new Set(dataTypesOf(simulator, '/golden/latest'))).toEqual(new Set(['text']));
    const calls = simulator.calls.filter(({ mutating, outcome }) => mutating && outcome === 'ok');
    const firstPut = calls.findIndex(({ action }) => action === 'PutParameter');
    expect(calls.slice(firstPut).some(({ action }) => action === 'RegisterImage')).toBe(false);
  });

  test('left alone where one target fails', async () => {
    const faults = [
      { kind: 'copy-fails' as const, account: '222222222222', region: 'us-west-2', action: 'CopySnapshot' },
    ];
    const { simulator, main } = await share(withParameters({ faults }), inputs);
    expect(main.conclusion).toBe('failure');
    expect(new Set(valuesOf(simulator, '/golden/latest'))).toEqual(new Set([parameters['/golden/latest']]));
    expect(main.annotations.map(({ message }) => message).join()).toMatch(
      /parameters hold what they held before, because not all could be set/,
    );
  });

  test('put back where one cannot be set', async () => {
    const shared = withParameters();
    const draft = structuredClone(shared) as unknown as {
      scenario: {
        accounts: Record<string, { roles: Record<string, { policies: { Statement: { Action: string[] }[] }[] }> }>;
      };
    };
    for (const policy of draft.scenario.accounts['222222222222']?.roles['ami-target']?.policies ?? [])
      for (const statement of policy.Statement)
        statement.Action = [statement.Action].flat().filter((one) => one !== 'ssm:PutParameter');
    const { simulator, main, error, targets } = await share(draft as never, { ...shared.inputs, ...inputs });
    expect(main.conclusion).toBe('failure');
    expect(error).toMatch(/The SSM parameters hold what they held before\. Setting the SSM parameter \/golden\/latest/);
    expect(new Set(valuesOf(simulator, '/golden/latest'))).toEqual(new Set([parameters['/golden/latest']]));
    expect(targets.every(({ status }) => status === 'created')).toBe(true);
  });

  test('put back by post to what would be a command in its log', async () => {
    const value = 'stable\n::error::the build is broken\u202e';
    const shared = withParameters();
    const simulator = await startSimulator(shared.scenario);
    for (const { regions } of Object.values(simulator.world.accounts))
      for (const { parameters } of regions.values()) for (const one of parameters.values()) one.value = value;
    const action = startAction({ inputs: { ...shared.inputs, ...inputs }, env: simulator.env });
    simulator.onCall((call) => {
      if (call.action === 'PutParameter') action.kill();
    });
    const { state } = await action.result;
    const post = await runAction({ inputs: shared.inputs, env: simulator.env, entry: 'post', state });
    expect(post.annotations).toEqual([]);
    expect(post.log).toContain('back to stable ::error::the build is broken\\u202e\n');
    await simulator.close();
  });

  test('put back by post where the run is killed between two', async () => {
    const shared = withParameters();
    const simulator = await startSimulator(shared.scenario);
    const run = { inputs: { ...shared.inputs, ...inputs }, env: simulator.env };
    const action = startAction(run);
    let puts = 0;
    simulator.onCall((call) => {
      if (call.action === 'PutParameter' && ++puts === 3) action.kill();
    });
    const main = await action.result;
    expect(main.signal).toBe('SIGKILL');
    await runAction({ ...run, entry: 'post', state: main.state });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(new Set(valuesOf(simulator, '/golden/latest'))).toEqual(new Set([parameters['/golden/latest']]));
    const again = await runJob({ ...run, github: { run_attempt: '2' } });
    expect(again.main.conclusion).toBe('success');
    const made = (JSON.parse(again.main.outputs.targets ?? '[]') as TargetRecord[]).map(({ amiId }) => amiId);
    expect(valuesOf(simulator, '/golden/latest').sort()).toEqual(made.sort());
    await simulator.close();
  });
});

describe('retain', () => {
  const lineage = {
    'share-encrypted-ami:source-ami': 'ami-00000000000000009',
    'share-encrypted-ami:lineage': 'golden',
  };
  const older = (
    name: string,
    day: string,
    attributes: object = {},
    tags: Record<string, string> = lineage,
    volume: Partial<VolumeScenario> = {},
  ) => ({
    name,
    tags,
    attributes: { CreationDate: `2026-10-${day}T00:00:00.000Z`, ...attributes },
    volumes: [
      {
        ...{ device: '/dev/xvda', key: 'cmkTarget', tags, copied: copiedFrom('ami-00000000000000009', 'golden') },
        ...volume,
      },
    ],
  });
  const idOf = (name: string) => amiIdOf(targetAccount, targetRegion, name);
  const amis = [
    older('golden-image-0a', '01'),
    older('golden-image-0b', '01'),
    older('golden-image-1', '01'),
    older('golden-image-2', '02'),
    older('golden-image-3', '03'),
    older('golden-image-4', '04', { DeregistrationProtection: 'enabled-without-cooldown' }),
    older('golden-image-5', '05'),
    older('golden-image-6', '06', {}, { 'share-encrypted-ami:source-ami': 'ami-00000000000000009' }),
    older('golden-image-7', '07'),
    older('golden-image-8', '08', {}, lineage, { lock: 'governance' }),
    older('golden-image-9', '20'),
    older('other-image-1', '01', {}, { 'share-encrypted-ami:source-ami': 'ami-00000000000000009' }),
    older('golden-image-0', '01', {}, {}),
  ];
  const withOlder = (): Case => {
    const shared = standardCase({ ...publishing, ami: { name: 'golden-image-10' } });
    const account = shared.scenario.accounts[targetAccount];
    const region = {
      ...account?.regions?.[targetRegion],
      amis,
      instances: [{ id: 'i-0123456789abcdef0', volumes: [], imageId: idOf('golden-image-1') }],
      // An old version of a template, such as an Auto Scaling group may be pinned to.
      launchTemplates: { web: [idOf('golden-image-2'), 'ami-00000000000000001', 'ami-00000000000000002'] },
      parameters: { '/theirs': idOf('golden-image-3') },
      launchConfigurations: ['one', 'two', 'old'].map((LaunchConfigurationName) => ({
        ...{ LaunchConfigurationName, ImageId: idOf('golden-image-0a'), InstanceType: 't3.micro' },
        CreatedTime: new Date(0),
      })),
      groups: [
        {
          ...{ AutoScalingGroupName: 'mixed', MinSize: 0, MaxSize: 1, DesiredCapacity: 0, DefaultCooldown: 0 },
          ...{ AvailabilityZones: [], HealthCheckType: 'EC2', CreatedTime: new Date(0) },
          MixedInstancesPolicy: { LaunchTemplate: { Overrides: [{ ImageId: idOf('golden-image-0b') }] } },
        },
      ],
    };
    const accounts = {
      ...shared.scenario.accounts,
      [targetAccount]: { ...account, regions: { ...account?.regions, [targetRegion]: region } },
    };
    return { ...shared, scenario: { ...shared.scenario, accounts } };
  };

  test('keeps the newest of the lineage, and what is used, protected, locked or not its own', async () => {
    const shared = withOlder();
    const plan = await share(shared, { retain: '2', lineage: 'golden', 'dry-run': 'true' });
    const { removes } = JSON.parse(plan.main.outputs.plan ?? '').targets[0];
    expect(removes).toContain(idOf('golden-image-5'));
    expect(removes).not.toContain(idOf('golden-image-4'));
    expect(removes).not.toContain(idOf('golden-image-8'));
    const { simulator, main, error } = await share(shared, { retain: '2', lineage: 'golden' });
    expect(error).toBe('');
    const names = [...placeOf(simulator).images.values()]
      .filter(({ deregisteredAt }) => deregisteredAt === undefined)
      .map(({ data }) => data.Name);
    expect(names.sort()).toEqual(
      [
        'golden-image-0',
        'golden-image-0a',
        'golden-image-0b',
        'golden-image-1',
        'golden-image-10',
        'golden-image-2',
        'golden-image-3',
        'golden-image-4',
        'golden-image-6',
        'golden-image-8',
        'golden-image-9',
        'other-image-1',
      ].sort(),
    );
    expect(main.stdout).toMatch(/golden-image-1\) stays: it is used by i-0123456789abcdef0/);
    expect(main.stdout).toMatch(/golden-image-0a\) stays: it is used by the launch configuration one, the launch/);
    expect(main.stdout).toMatch(/golden-image-0b\) stays: it is used by the Auto Scaling group mixed/);
    expect(main.stdout).toMatch(
      /golden-image-4\) stays: it is protected from deregistration \(enabled-without-cooldown\)/,
    );
    expect(main.stdout).toMatch(/golden-image-8\) stays: its snapshot snap-\w+ is locked \(governance until 2036-/);
    expect(main.annotations).toEqual([]);
    // The snapshots of what went are gone.
    expect(placeOf(simulator).snapshots.size).toBe(12);
  });

  test('a lock that could not be read shows when the snapshot is to go, and the run says so', async () => {
    const shared = withOlder();
    const draft = structuredClone(shared) as unknown as {
      scenario: {
        accounts: Record<string, { roles: Record<string, { policies: { Statement: { Action: string[] }[] }[] }> }>;
      };
    };
    for (const { Statement } of draft.scenario.accounts[targetAccount]?.roles['ami-target']?.policies ?? [])
      for (const statement of Statement)
        statement.Action = [statement.Action].flat().filter((one) => one !== 'ec2:DescribeLockedSnapshots');
    const { main } = await share(draft as never, { ...shared.inputs, lineage: 'golden', retain: '2' });
    expect(main.conclusion).toBe('success');
    const told = main.annotations.map(({ message }) => message).join('\n');
    expect(told).toMatch(/is not allowed to call ec2:DescribeLockedSnapshots: /);
    expect(told).toMatch(/golden-image-8\) could not be deleted: .*is locked/);
  });

  test('removes nothing where it cannot be told what is used', async () => {
    const shared = withOlder();
    const simulator = await startSimulator(shared.scenario);
    // The permission is taken away while the run is under way.
    simulator.onCall(({ action, mutating }) => {
      const role = simulator.world.accounts[targetAccount]?.roles.get('ami-target');
      if (action === 'RegisterImage' && mutating && role !== undefined)
        role.policies = role.policies.filter((policy) => !JSON.stringify(policy).includes('DescribeImageReferences'));
    });
    const { main } = await runJob({ inputs: { ...shared.inputs, lineage: 'golden', retain: '1' }, env: simulator.env });
    expect(main.conclusion).toBe('success');
    expect(main.annotations.map(({ message }) => message).join()).toMatch(
      /older AMIs stay, because what uses them is not known/,
    );
    expect(placeOf(simulator).images.size).toBe(amis.length + 1);
    await simulator.close();
  });
});
