import { describe, expect, test } from '@jest/globals';
import { amiIdOf, keyArnOf } from '../simulator/scenario.ts';
import {
  type Case,
  customerKey,
  mixedVolumes,
  procedure,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
} from '../simulator/scenarios/standard.ts';
import type { RecordedCall } from '../simulator/simulator.ts';
import type { PlanRecord } from '../src/report/plan.ts';
import { runJob, startAction, startSimulator } from './in-process.ts';
import { attributesOf, expectTargets, expectUntouched, imageIn, share } from './shared-case.ts';

const copyPolicies = ['source-route-copy', 'target-route-copy'];
const described = { attributes: { Description: 'A golden image' } };
const windows = { PlatformDetails: 'Windows', Platform: 'windows' as never, UsageOperation: 'RunInstances:0002' };

describe('sources', () => {
  const ssm = { policies: ['source-ssm-parameter'], source: { parameters: { '/golden/latest': procedure().amiId } } };
  const older = {
    name: 'golden-image-old',
    attributes: { CreationDate: '2026-10-01T00:00:00.000Z' },
    volumes: [{ device: '/dev/xvda' }],
  };

  test.each<[string, Case, Record<string, string>, Record<string, string>?]>([
    ['by name, the newest', procedure({ source: { amis: [older] } }), { 'ami-name': 'golden-*' }],
    ['by an SSM parameter', procedure(ssm), { 'ami-ssm-parameter': '/golden/latest' }],
    [
      "by Packer's manifest",
      procedure(),
      { 'packer-manifest': 'manifest.json' },
      {
        'manifest.json': JSON.stringify({
          last_run_uuid: 'b',
          builds: [
            { packer_run_uuid: 'a', artifact_id: 'us-east-1:ami-00000001' },
            { packer_run_uuid: 'b', artifact_id: `us-west-2:ami-00000002,us-east-1:${procedure().amiId}` },
          ],
        }),
      },
    ],
  ])('%s', async (_, shared, source, files = {}) => {
    const result = await share(shared, { 'ami-id': '', ...source }, { files });
    expect(result.error).toBe('');
    expect(result.main.outputs['source-ami-id']).toBe(shared.amiId);
    expectTargets(result, shared.amiId);
    expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
  });

  test('by name, never the AMI that an earlier run made of it in the same account', async () => {
    const shared = procedure({ targets: [sourceAccount], regions: [sourceRegion] });
    const simulator = await startSimulator(shared.scenario);
    const inputs = { ...shared.inputs, 'ami-id': '', 'ami-name': 'golden-*', 'target-ami-name': '{name}-encrypted' };
    for (const status of ['created', 'reused']) {
      const { main } = await runJob({ inputs, env: simulator.env });
      expect(main.outputs['source-ami-id']).toBe(shared.amiId);
      expect(JSON.parse(main.outputs.targets ?? '')).toMatchObject([{ status, amiName: 'golden-image-encrypted' }]);
    }
    await simulator.close();
  });

  test('by name, while a newer one is still being made, which is told', async () => {
    const newer = { name: 'golden-newer', volumes: [{ device: '/dev/xvda' }] };
    const shared = procedure({
      ami: { attributes: { CreationDate: '2026-11-01T00:00:00.000Z' } },
      source: { amis: [{ ...newer, attributes: { CreationDate: '2026-11-02T00:00:00.000Z' } }] },
    });
    const simulator = await startSimulator(shared.scenario);
    const images = simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion)?.images;
    const pending = [...(images?.values() ?? [])].find(({ data }) => data.Name === 'golden-newer');
    if (pending !== undefined) pending.data.State = 'pending';
    const inputs = { ...shared.inputs, 'ami-id': '', 'ami-name': 'golden-*' };
    const { main } = await runJob({ inputs, env: simulator.env });
    expect(main.outputs['source-ami-id']).toBe(shared.amiId);
    expect(main.annotations.map(({ level, message }) => [level, message])).toEqual([
      [
        'warning',
        `${sourceAccount}/${sourceRegion}: ${pending?.data.ImageId} (golden-newer) fits ami-name too and is newer, but it is still pending: ${shared.amiId} is shared`,
      ],
    ]);
    await simulator.close();
  });

  test('by name, where two are equally new', async () => {
    const twin = { name: 'golden-twin', volumes: [{ device: '/dev/xvda' }] };
    const attributes = { CreationDate: '2026-11-01T00:00:00.000Z' };
    const shared = procedure({ ami: { attributes }, source: { amis: [{ ...twin, attributes }] } });
    const result = await share(shared, { 'ami-id': '', 'ami-name': 'golden-*' });
    expect(result.error).toMatch(/two AMIs fit ami-name "golden-\*" and are equally new: ami-\w+ \(golden-/);
    expectUntouched(result);
  });

  test('an AMI that is only shared with the source account is copied there first', async () => {
    const owner = '333333333333';
    const shared = standardCase({});
    const foreign = {
      name: 'theirs',
      volumes: [{ device: '/dev/xvda', sizeGiB: 8, sharedWith: [sourceAccount] }],
      launchPermissions: [sourceAccount],
      attributes: { BootMode: 'uefi' as const },
      uefiData: 'AAAA',
    };
    const scenario = {
      ...shared.scenario,
      accounts: { ...shared.scenario.accounts, [owner]: { regions: { [sourceRegion]: { amis: [foreign] } } } },
    };
    const amiId = amiIdOf(owner, sourceRegion, 'theirs');
    const { simulator, targets, error } = await share(
      { ...shared, scenario },
      { 'ami-id': amiId, 'source-owners': owner },
    );
    expect(error).toBe('');
    const image = imageIn(simulator, targetAccount, 'eu-west-1', targets[0]?.amiId ?? '');
    expect(image).toMatchObject({ uefiData: 'AAAA', data: { Name: 'theirs', BootMode: 'uefi' } });
    expect([
      ...(simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion)?.snapshots.values() ?? []),
    ]).toHaveLength(1);
  });
});

describe('instance-id', () => {
  const id = 'i-0123456789abcdef0';
  const name = `${id} 4711`;
  type InstanceScenario = Partial<NonNullable<NonNullable<StandardOptions['source']>['instances']>[number]>;

  /** A case whose source is an instance. */
  function instanceCase(instance: InstanceScenario = {}, options: StandardOptions = {}): Case {
    const volumes = [
      { device: '/dev/xvda', sizeGiB: 8 },
      { device: '/dev/sdb', sizeGiB: 4 },
    ];
    const shared = procedure({
      policies: ['source-instance', ...copyPolicies],
      ...options,
      source: { ...options.source, instances: [{ id, volumes, ...instance }] },
    });
    return { ...shared, inputs: { ...shared.inputs, 'ami-id': '', 'instance-id': id } };
  }

  const creations = ({ calls }: { calls: readonly RecordedCall[] }) =>
    calls.filter(({ action, mutating, outcome }) => mutating && outcome === 'ok' && action === 'CreateImage');

  test('its AMI is made first, named and kept, and found again by a re-run, even without the instance', async () => {
    const shared = instanceCase();
    const simulator = await startSimulator(shared.scenario);
    const run = { inputs: { ...shared.inputs, 'no-reboot': 'true' }, env: simulator.env };
    const { main } = await runJob(run);
    expect(main.conclusion).toBe('success');
    const made = main.outputs['source-ami-id'] ?? '';
    expect(imageIn(simulator, sourceAccount, sourceRegion, made).data).toMatchObject({
      Name: name,
      SourceInstanceId: id,
      State: 'available',
    });
    expectTargets({ simulator, targets: JSON.parse(main.outputs.targets ?? '') }, made);
    expect(creations(simulator)).toMatchObject([{ request: { NoReboot: true } }]);
    const state = simulator.snapshotOfState();
    simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion)?.instances.clear();
    expect((await runJob(run)).main.outputs['source-ami-id']).toBe(made);
    expect(simulator.snapshotOfState()).toEqual(state);
    await simulator.close();
  });

  test.each<[string, Case, Record<string, string>]>([
    ['unencrypted volumes', instanceCase(), {}],
    ['a stopped instance', instanceCase({ state: 'stopped' }), {}],
    [
      'volumes under a customer managed key, without source-kms-key',
      instanceCase({ volumes: [{ device: '/dev/xvda', key: 'cmkSource' }] }),
      { 'source-kms-key': '' },
    ],
    [
      'volumes of several kinds and keys, of which some need encrypting',
      instanceCase({
        volumes: [
          { device: '/dev/xvda', key: 'cmkSource', type: 'gp3', iops: 4000, throughput: 200 },
          { device: '/dev/sdb', key: 'aws/ebs', type: 'io2', iops: 300, sizeGiB: 5, deleteOnTermination: false },
          { device: '/dev/sdc', instanceStore: 'ephemeral0' },
        ],
      }),
      {},
    ],
    ['Windows, by route copy', instanceCase({ attributes: { ...windows, Description: 'Windows' } }), {}],
    ['a UEFI instance', instanceCase({ attributes: { BootMode: 'uefi', TpmSupport: 'v2.0' } }), {}],
    [
      'hubs',
      instanceCase(
        {},
        {
          targets: [targetAccount, '222222222222'],
          regions: ['eu-west-1', 'us-west-2'],
          hubs: ['eu-west-1', 'us-west-2'],
        },
      ),
      { topology: 'regional-hub' },
    ],
    [
      'targets in the source account',
      instanceCase({}, { targets: [sourceAccount] }),
      { 'target-role-arn': 'arn:aws:iam::{account}:role/ami-target' },
    ],
  ])('what a dry run foresees is what the run then plans: %s', async (what, shared, inputs) => {
    const dry = await share(shared, { ...inputs, 'dry-run': 'true' });
    expect(dry.error).toBe('');
    expectUntouched(dry);
    const real = await share(shared, inputs);
    expect(real.error).toBe('');
    const made = real.main.outputs['source-ami-id'] ?? '';
    expectTargets(real, made);
    expect(creations(real.simulator)).toHaveLength(1);

    const foreseen = JSON.parse(dry.main.outputs.plan ?? '') as PlanRecord;
    const plan = JSON.parse(real.main.outputs.plan ?? '') as PlanRecord;
    expect(foreseen.estimate).toEqual(plan.estimate);
    expect(foreseen.estimate.copies).toBeGreaterThan(0);
    expect(foreseen.targets).toEqual(plan.targets);
    expect(foreseen.targets[0]?.route).toBe(what.startsWith('Windows') ? 'copy' : 'register');
    expect(foreseen.warnings).toEqual(plan.warnings);
    // There is more to ask about then.
    expect(foreseen.unasked.length).toBeGreaterThanOrEqual(plan.unasked.length);
    // What isn't there has no ID.
    expect(dry.main.outputs['source-ami-id']).toBe('');
    expect(foreseen.source).toEqual({
      ...plan.source,
      amiId: null,
      snapshots: plan.source.snapshots.map((snapshot) => ({ ...snapshot, id: null })),
    });
    expect(JSON.stringify(foreseen)).not.toMatch(/ami-[0-9a-f]+"|snap-/);
    const [create, ...operations] = foreseen.operations;
    expect(create).toMatchObject({ kind: 'create', of: [id], after: [] });
    // IDs name what an operation is done to, and that isn't there yet: each counts by its place in the list.
    const order = (all: PlanRecord['operations']) => {
      const others = all.filter(({ kind }) => kind !== 'create');
      const ids = others.map((one) => one.id);
      return others.map(({ kind, account, region, kmsKeyArn, after }) => {
        const places = after.filter((one) => one !== create?.id).map((one) => ids.indexOf(one));
        return { kind, account, region, kmsKeyArn, after: places };
      });
    };
    expect(order(operations)).toEqual(order(plan.operations));
    expect(order(operations).flatMap(({ after }) => after)).not.toContain(-1);
    expect(operations.filter(({ kind, after }) => kind === 'share' && after.length === 0)).toEqual([]);
  });

  test.each<[string, Case, Record<string, string>, RegExp]>([
    [
      'unencrypted volumes and no source key',
      instanceCase(),
      { 'source-kms-key': '' },
      /the snapshot of vol-\w+ is not encrypted, the snapshot of vol-\w+ is not encrypted: so it can't be shared encrypted/,
    ],
    [
      'a volume under aws/ebs and no source key',
      instanceCase({ volumes: [{ device: '/dev/xvda', key: 'aws/ebs' }] }),
      { 'source-kms-key': '' },
      /the snapshot of vol-\w+ is under (the AWS managed key aws\/ebs|\S+, which the source role is not allowed to describe)/,
    ],
    [
      'a Marketplace product',
      instanceCase({ attributes: { ProductCodes: [{ ProductCodeId: 'abc', ProductCodeType: 'marketplace' }] } }),
      {},
      /i-0123456789abcdef0 has AWS Marketplace product codes/,
    ],
    [
      'Windows by route register',
      instanceCase({ attributes: windows }),
      { route: 'register' },
      /route register would lose the billing of i-0123456789abcdef0 \(Windows: RunInstances:0002\)/,
    ],
    ['a terminated instance', instanceCase({ state: 'terminated' }), {}, /i-0123456789abcdef0 is terminated/],
    [
      'an instance that is starting',
      instanceCase({ state: 'pending' }),
      {},
      /is pending.*\n.*wait until it is running/,
    ],
    [
      'an instance on instance store',
      instanceCase({
        attributes: { RootDeviceType: 'instance-store' },
        volumes: [{ device: '/dev/sda1', instanceStore: 'ephemeral0' }],
      }),
      {},
      /i-0123456789abcdef0 is instance-store-backed/,
    ],
    [
      'an instance whose root volume is detached',
      instanceCase({ state: 'stopped', attributes: { RootDeviceName: '/dev/sda1' } }),
      {},
      /has no volume at its root device \/dev\/sda1/,
    ],
    ['no such instance', instanceCase({ id: 'i-0aaaaaaaaaaaaaaa0' }), {}, /there is no instance i-0123456789abcdef0/],
    [
      'an AMI of this name that somebody else made in vain',
      instanceCase(
        {},
        { source: { amis: [{ name, attributes: { State: 'failed' }, volumes: [{ device: '/dev/xvda' }] }] } },
      ),
      {},
      /which ami-\w+ has, and AWS doesn't say that this was made of the instance/,
    ],
  ])('refused before the instance is rebooted: %s', async (_, shared, inputs, words) => {
    for (const dryRun of ['true', 'false']) {
      const result = await share(shared, { ...inputs, 'dry-run': dryRun });
      expect(result.main.conclusion).toBe('failure');
      expect(result.error).toMatch(words);
      expect(result.error).toContain('found before anything was changed');
      expect(result.main.summary).toMatch(/found; nothing was changed/);
      expectUntouched(result);
    }
  });

  test('an AMI that an earlier try made in vain is removed and made anew', async () => {
    const tags = { 'share-encrypted-ami:source-instance': id };
    const failed = {
      name,
      attributes: { State: 'failed' as const, SourceInstanceId: id },
      tags,
      volumes: [{ device: '/dev/xvda', tags }],
    };
    const shared = instanceCase({}, { source: { amis: [failed] } });
    const dry = await share(shared, { 'dry-run': 'true' });
    expect(dry.error).toBe('');
    expectUntouched(dry);
    const result = await share(shared);
    expect(result.error).toBe('');
    const made = result.main.outputs['source-ami-id'] ?? '';
    expect(made).not.toBe(amiIdOf(sourceAccount, sourceRegion, name));
    expectTargets(result, made);
    const { images, snapshots } = result.simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion) ?? {};
    const named = [...(images?.values() ?? [])].filter(({ data }) => data.Name === name);
    expect(named.filter(({ deregisteredAt }) => deregisteredAt === undefined).map(({ data }) => data.ImageId)).toEqual([
      made,
    ]);
    // The AMI of the standard case has one snapshot, and the new one two.
    expect(snapshots?.size).toBe(3);
  });

  test('an AMI that an earlier try is making is waited for', async () => {
    const pending = {
      name,
      attributes: { State: 'pending' as const, SourceInstanceId: id },
      tags: { 'share-encrypted-ami:source-instance': id },
      volumes: [{ device: '/dev/xvda' }],
    };
    const shared = instanceCase({}, { source: { amis: [pending] } });
    const simulator = await startSimulator(shared.scenario);
    const amiId = amiIdOf(sourceAccount, sourceRegion, name);
    imageIn(simulator, sourceAccount, sourceRegion, amiId).making = { snapshots: [], endsAt: Date.now() + 3000 };
    const { main } = await runJob({ inputs: { ...shared.inputs, 'poll-interval': '1' }, env: simulator.env });
    expect(main.conclusion).toBe('success');
    expect(main.outputs['source-ami-id']).toBe(amiId);
    expect(creations(simulator)).toEqual([]);
    expectTargets({ simulator, targets: JSON.parse(main.outputs.targets ?? '') }, amiId);
    await simulator.close();
  });

  test('a problem that comes up while the AMI is made is told with the AMI, which a re-run takes', async () => {
    const shared = instanceCase({}, { timings: { baseSeconds: 1 } });
    const simulator = await startSimulator(shared.scenario);
    const place = simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion);
    const key = place?.keys.get(place.aliases.get('alias/cmkSource') ?? '');
    const disable = setInterval(() => {
      if (creations(simulator).length > 0) Object.assign(key?.metadata ?? {}, { KeyState: 'Disabled' });
    }, 10);
    const run = { inputs: { ...shared.inputs, 'poll-interval': '1' }, env: simulator.env };
    const { main } = await runJob(run);
    clearInterval(disable);
    const made = main.outputs['source-ami-id'] ?? '';
    expect(main.annotations[0]?.message).toMatch(
      `A problem was found after ${made} was made of the instance; it is kept, and nothing else was changed.`,
    );
    expect(main.annotations[0]?.message).toMatch(/alias\/cmkSource \(source-kms-key\) is Disabled/);
    expect(main.summary).toContain(`A problem was found; \`${made}\` was made and is kept, nothing else was changed`);
    expect(imageIn(simulator, sourceAccount, sourceRegion, made).data.State).toBe('available');
    Object.assign(key?.metadata ?? {}, { KeyState: 'Enabled' });
    expect((await runJob(run)).main).toMatchObject({ conclusion: 'success', outputs: { 'source-ami-id': made } });
    expect(creations(simulator)).toHaveLength(1);
    await simulator.close();
  });
});

describe('what is encrypted first', () => {
  test('of mixed volumes, those alone that need it', async () => {
    const shared = standardCase({
      volumes: [
        { device: '/dev/xvda', key: 'cmkSource' },
        { device: '/dev/sdb', sizeGiB: 4 },
        { device: '/dev/sdc', sizeGiB: 5, key: 'aws/ebs' },
        { device: '/dev/sdd', sizeGiB: 3, key: 'other' },
      ],
      regions: ['eu-west-1', 'us-west-2'],
    });
    const source = shared.scenario.accounts[sourceAccount];
    const keys = ['cmkSource', 'other'].map((alias) => keyArnOf(sourceAccount, sourceRegion, alias));
    for (const account of Object.values(shared.scenario.accounts))
      for (const role of Object.values(account.roles ?? {}))
        (role.policies as object[]).push({
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Action: 'kms:*', Resource: keys }],
        });
    expect(source).toBeDefined();
    const result = await share(shared);
    expect(result.error).toBe('');
    expectTargets(result, shared.amiId);
    expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
    const made = result.simulator.calls.filter(({ account, mutating }) => account === sourceAccount && mutating);
    expect(made.filter(({ action }) => action === 'CopyImage')).toEqual([]);
    const image = imageIn(result.simulator, sourceAccount, sourceRegion, shared.amiId);
    const needy = image.data.BlockDeviceMappings.filter(({ DeviceName }) => /sd[bc]/.test(DeviceName ?? ''));
    expect(
      made
        .filter(({ action }) => action === 'CopySnapshot')
        .map(({ request }) => request.SourceSnapshotId)
        .sort(),
    ).toEqual(needy.map(({ Ebs }) => Ebs?.SnapshotId).sort());
  });

  test("a volume's copy begins when that volume is encrypted, not when all are", async () => {
    const shared = standardCase({
      timings: { secondsPerGiB: 1 },
      volumes: [
        { device: '/dev/xvda', sizeGiB: 2 },
        { device: '/dev/sdb', sizeGiB: 40 },
      ],
    });
    const result = await share(shared, { 'poll-interval': '1' });
    expect(result.error).toBe('');
    expectTargets(result, shared.amiId);
    const copies = result.simulator.calls.filter(({ action, mutating }) => action === 'CopySnapshot' && mutating);
    const bySource = Map.groupBy(copies, ({ request }) => request.SourceSnapshotId);
    const [first, second] = [...bySource.values()].map(([begun]) => begun?.at ?? 0);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThan(20_000);
  });
});

describe('topology regional-hub', () => {
  const hubCase = (options: StandardOptions = {}) => {
    const shared = standardCase({
      targets: ['999999999999', '222222222222', '333333333333'],
      regions: ['us-east-1', 'eu-west-1', 'us-west-2'],
      hubs: ['eu-west-1', 'us-west-2'],
      ...options,
    });
    return { ...shared, inputs: { ...shared.inputs, topology: 'regional-hub' } };
  };

  test.each<[string, StandardOptions, Record<string, string>, number]>([
    ['routed by register', {}, {}, 3],
    ['routed by copy', { ami: described, policies: copyPolicies }, { route: 'copy' }, 3],
    ['of an AMI under a customer managed key', { volumes: [{ device: '/dev/xvda', key: 'cmkSource' }] }, {}, 2],
  ])('crosses to each region once, %s', async (_, options, inputs, encrypted) => {
    const shared = hubCase(options);
    const result = await share(shared, inputs);
    expect(result.error).toBe('');
    expectTargets(result, shared.amiId);
    expect(result.targets).toHaveLength(9);
    expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
    const copies = result.simulator.calls.filter(
      ({ action, request, outcome }) => /^Copy/.test(action) && outcome === 'ok' && request.DryRun !== true,
    );
    const abroad = copies.filter(({ region, request }) => region !== request.SourceRegion);
    expect(abroad.map(({ account }) => account)).toEqual([sourceAccount, sourceAccount]);
    expect(copies.filter(({ account }) => account === sourceAccount)).toHaveLength(encrypted);
  });

  test('a key of one region alone is no key of a hub', async () => {
    const shared = hubCase();
    const key = keyArnOf(sourceAccount, sourceRegion, 'cmkSource');
    const result = await share(shared, { 'source-kms-key': key });
    expect(result.error).toMatch(/topology regional-hub needs a key of the source account in this region/);
    expectUntouched(result);
    expect((await share(shared, { 'source-kms-key': key, 'hub-kms-key': 'alias/cmkSource' })).error).toBe('');
  });
});

describe('routes', () => {
  test.each<[string, StandardOptions, Record<string, string>]>([
    [
      'copy, asked for by name',
      { ami: described, volumes: [{ device: '/dev/xvda', key: 'cmkSource' }] },
      { route: 'copy' },
    ],
    [
      'copy, of several volumes that need encrypting first',
      { ami: described, volumes: [{ device: '/dev/sda1' }, { device: '/dev/sdb', sizeGiB: 4 }] },
      { route: 'copy' },
    ],
    [
      'auto copies Windows, which registering would strip of its billing',
      { ami: { attributes: { ...windows, Description: 'Windows' } } },
      {},
    ],
    ['register, asked for by name', {}, { route: 'register' }],
  ])('%s', async (_, options, inputs) => {
    const shared = standardCase({ ...options, policies: copyPolicies });
    const result = await share(shared, inputs);
    expect(result.error).toBe('');
    expectTargets(result, shared.amiId);
    expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
    const byCopy = result.simulator.calls.some(
      ({ action, account, mutating }) => mutating && action === 'CopyImage' && account === targetAccount,
    );
    expect(byCopy).toBe(inputs.route !== 'register');
  });

  test("AWS's refusal of a billing code is told in its words, with the way out, and nothing stays", async () => {
    const shared = customerKey({
      ami: {
        attributes: { UsageOperation: 'RunInstances:0010', PlatformDetails: 'Red Hat Enterprise Linux' },
        billing: ['bp-6fa54006'],
      },
      policies: copyPolicies,
    });
    const result = await share(shared);
    expect(result.error).toContain('Images with EC2 BillingProduct codes cannot be copied to another AWS account');
    expect(result.error).toContain('instance-id');
    expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
    expect(result.simulator.world.accounts[targetAccount]?.regions.get('eu-west-1')?.images.size).toBe(0);
  });

  test('targets in the source account: nothing is shared, no grant is made', async () => {
    const shared = procedure({ targets: [sourceAccount], regions: ['eu-west-1', sourceRegion] });
    const result = await share(shared, {
      'target-ami-name': '{name}-{region}',
      'target-role-arn': 'arn:aws:iam::{account}:role/ami-target',
    });
    expect(result.error).toBe('');
    expectTargets(result, shared.amiId);
    const actions = result.simulator.calls.filter(({ mutating }) => mutating).map(({ action }) => action);
    for (const action of ['CreateGrant', 'ModifySnapshotAttribute', 'CopyImage']) expect(actions).not.toContain(action);
  });
});

describe('refused before anything is made', () => {
  const ami = (attributes: object): StandardOptions => ({ ami: { attributes } });
  test.each<[string, Case, Record<string, string>, RegExp]>([
    ['several sources', procedure(), { 'ami-name': 'x*' }, /ami-id, ami-name: .*exactly one/],
    ['no source', procedure(), { 'ami-id': '' }, /expected exactly one of these/],
    [
      'a name that nothing has',
      procedure(),
      { 'ami-id': '', 'ami-name': 'silver-*' },
      /no available AMI of source-owners \(self\) is named "silver-\*"; found: nothing/,
    ],
    [
      'a parameter that holds something else',
      procedure({ policies: ['source-ssm-parameter'], source: { parameters: { '/golden/x': 'hello' } } }),
      { 'ami-id': '', 'ami-ssm-parameter': '/golden/x' },
      /holds "hello", which is no AMI ID/,
    ],
    [
      'a manifest that is none',
      procedure(),
      { 'ami-id': '', 'packer-manifest': 'none.json' },
      /packer-manifest: "none.json"/,
    ],
    ['an unknown AMI', procedure(), { 'ami-id': 'ami-0aaaaaaaaaaaaaaa0' }, /there is no ami-0aaaaaaaaaaaaaaa0/],
    [
      'a Marketplace product abroad',
      procedure(ami({ ProductCodes: [{ ProductCodeId: 'abc', ProductCodeType: 'marketplace' }] })),
      {},
      /Marketplace product codes/,
    ],
    [
      'route register where it would lose billing',
      procedure(ami(windows)),
      { route: 'register' },
      /route register would lose the billing/,
    ],
    [
      'a paravirtual image by route register',
      procedure(ami({ VirtualizationType: 'paravirtual', KernelId: 'aki-5c21674b' })),
      { route: 'register' },
      /route register would lose the kernel and RAM disk/,
    ],
    [
      'watermarks by route register',
      procedure(ami({ ImageWatermarks: [{ WatermarkKey: '111111111111:approved' }] })),
      { route: 'register' },
      /route register would lose the watermarks/,
    ],
    [
      'a snapshot on an Outpost',
      procedure({
        volumes: [{ device: '/dev/xvda', outpostArn: 'arn:aws:outposts:us-east-1:111111111111:outpost/op-0' }],
      }),
      {},
      /is on an Outpost .*AWS copies no snapshot from an Outpost/,
    ],
    [
      'a paravirtual image where there are none',
      procedure({ ...ami({ VirtualizationType: 'paravirtual' }), regions: ['eu-north-1'] }),
      {},
      /paravirtual, which eu-north-1 doesn't have/,
    ],
    [
      'an instance-store-backed image',
      procedure(ami({ RootDeviceType: 'instance-store' })),
      {},
      /instance-store-backed/,
    ],
    ['a pending image', procedure(ami({ State: 'pending' })), {}, /is pending.*wait until it is available/s],
    ['a failed image', procedure(ami({ State: 'failed' })), {}, /is failed; .*\n +What to do: name another$/],
    ['a disabled image', procedure(ami({ State: 'disabled' })), {}, /aws ec2 enable-image --region us-east-1 --image/],
    [
      'an archived snapshot',
      procedure({ volumes: [{ device: '/dev/xvda', tier: 'archive' }] }),
      {},
      /is archived.*restore-snapshot-tier --region us-east-1 --snapshot-id/s,
    ],
    [
      'another partition',
      procedure(),
      { 'target-regions': 'cn-north-1' },
      /AWS copies nothing from one partition to another/,
    ],
    ['a name that no AMI can have', procedure(), { 'target-ami-name': 'golden#{date}' }, /3 to 128 letters, digits/],
    ['a name that is too long', procedure(), { 'target-ami-name': `{name}${'x'.repeat(120)}` }, /cannot name an AMI/],
    ['a reserved tag', procedure(), { tags: 'aws:x=1' }, /reserved by AWS/],
  ])('%s', async (_, shared, inputs, words) => {
    const result = await share(shared, inputs);
    expect(result.main.conclusion).toBe('failure');
    expect(result.error).toMatch(words);
    expect(result.error).not.toMatch(/at .*\(.*:\d+:\d+\)/);
    expectUntouched(result);
  });

  test('a name that another AMI has', async () => {
    const shared = procedure();
    const simulator = await startSimulator(shared.scenario);
    await runJob({ inputs: shared.inputs, env: simulator.env });
    const [image] = [...(simulator.world.accounts[targetAccount]?.regions.get('eu-west-1')?.images.values() ?? [])];
    if (image !== undefined) image.data.Tags = [];
    simulator.calls.length = 0;
    const { main } = await runJob({ inputs: shared.inputs, env: simulator.env });
    expect(main.annotations[0]?.message).toMatch(/the name "golden-image" is taken by ami-/);
    expect(simulator.calls.filter(({ mutating, outcome }) => mutating && outcome === 'ok')).toEqual([]);
    await simulator.close();
  });
});

describe('on-existing', () => {
  /** Shares twice, the second time with other inputs and in another workflow run. */
  async function twice(inputs: Record<string, string>, spoil: (image: ReturnType<typeof imageIn>) => void = () => {}) {
    const shared = procedure();
    const simulator = await startSimulator(shared.scenario);
    await runJob({ inputs: shared.inputs, env: simulator.env });
    const images = () =>
      [...(simulator.world.accounts[targetAccount]?.regions.get('eu-west-1')?.images.values() ?? [])].filter(
        ({ deregisteredAt }) => deregisteredAt === undefined,
      );
    const [first] = images();
    if (first === undefined) throw new Error('nothing was made');
    spoil(first);
    const { main } = await runJob({
      inputs: { ...shared.inputs, ...inputs },
      env: simulator.env,
      github: { run_id: '4712' },
    });
    await simulator.close();
    return { main, first: first.data.ImageId, now: images().map(({ data }) => data.ImageId), simulator };
  }

  test('reuse: the AMI that is there, under whatever name', async () => {
    const { main, first, now } = await twice({ 'target-ami-name': '{name}-{run-id}' });
    expect(main.outputs['ami-id']).toBe(first);
    expect(now).toEqual([first]);
  });

  test('reuse, where two fit and neither has the asked name: the choice is the user’s', async () => {
    const shared = procedure();
    const simulator = await startSimulator(shared.scenario);
    const run = (inputs: Record<string, string>, run_id: string) =>
      runJob({ inputs: { ...shared.inputs, ...inputs }, env: simulator.env, github: { run_id } });
    // Two runs at once, each with a name of its own, don't see each other's AMI.
    await Promise.all(['1', '2'].map((id) => run({ 'target-ami-name': `{name}-${id}` }, id)));
    const two = (await run({}, '3')).main;
    expect(two.annotations[0]?.message).toMatch(
      /several AMIs of this source are there, all alike: ami-\w+ \(golden-image-\d\), ami-/,
    );
    const { main } = await run({ 'target-ami-name': '{name}-2' }, '4');
    expect(JSON.parse(main.outputs.targets ?? '')).toMatchObject([{ status: 'reused', amiName: 'golden-image-2' }]);
    await simulator.close();
  });

  test('fail', async () => {
    const { main, now, first } = await twice({ 'on-existing': 'fail', 'target-ami-name': 'other' });
    expect(main.annotations[0]?.message).toMatch(/there is an AMI of this source already/);
    expect(now).toEqual([first]);
  });

  test('replace: the new one, then the old one goes with its snapshots', async () => {
    const { main, now, simulator } = await twice({ 'on-existing': 'replace', 'target-ami-name': '{name}-{run-id}' });
    expect(main.conclusion).toBe('success');
    expect(now).toEqual([main.outputs['ami-id']]);
    expect(simulator.world.accounts[targetAccount]?.regions.get('eu-west-1')?.snapshots.size).toBe(1);
    const order = simulator.calls.filter(
      ({ action, account, mutating, outcome }) =>
        mutating &&
        outcome === 'ok' &&
        account === targetAccount &&
        ['RegisterImage', 'DeregisterImage'].includes(action),
    );
    expect(order.map(({ action }) => action)).toEqual(['RegisterImage', 'RegisterImage', 'DeregisterImage']);
  });

  describe('replace, under the same name', () => {
    const replacing = { 'on-existing': 'replace' };

    test('the old one gives its name up when the copies are there', async () => {
      const { main, first, now, simulator } = await twice(replacing);
      expect([main.conclusion, main.annotations]).toEqual(['success', []]);
      expect(now).toEqual([main.outputs['ami-id']]);
      expect(now).not.toEqual([first]);
      expect(simulator.world.accounts[targetAccount]?.regions.get('eu-west-1')?.snapshots.size).toBe(1);
      const order = simulator.calls
        .filter(({ account, mutating, outcome }) => mutating && outcome === 'ok' && account === targetAccount)
        .flatMap(({ action }) => (/^(CopySnapshot|RegisterImage|DeregisterImage)$/.test(action) ? [action] : []));
      // A copy may be made again.
      const replaced = new Set(order.slice(order.indexOf('RegisterImage') + 1));
      expect([...replaced]).toEqual(['CopySnapshot', 'DeregisterImage', 'RegisterImage']);
    });

    test('should the new one not come to be, the old one is registered again', async () => {
      const shared = procedure();
      const simulator = await startSimulator(shared.scenario);
      await runJob({ inputs: shared.inputs, env: simulator.env });
      const place = simulator.world.accounts[targetAccount]?.regions.get('eu-west-1');
      const live = () =>
        [...(place?.images.values() ?? [])].filter(({ deregisteredAt }) => deregisteredAt === undefined);
      const before = live().map(attributesOf);
      const snapshots = [...(place?.snapshots.keys() ?? [])];
      let spoilt = 0;
      simulator.onCall(({ action, mutating, outcome }) => {
        if (action !== 'RegisterImage' || !mutating || outcome !== 'ok' || ++spoilt > 1) return;
        for (const { data } of live()) data.Architecture = 'arm64';
      });
      const { main } = await runJob({
        inputs: { ...shared.inputs, ...replacing },
        env: simulator.env,
        github: { run_id: '4712' },
      });
      expect(main.conclusion).toBe('failure');
      expect(main.annotations.map(({ message }) => message).join()).toMatch(
        /had to give up its name, and is registered again as ami-/,
      );
      expect(live().map(attributesOf)).toEqual(before);
      expect([...(place?.snapshots.keys() ?? [])]).toEqual(snapshots);
      expect(simulator.snapshotOfState(sourceAccount)).toBeDefined();
      await simulator.close();
    });

    test('killed in between: the next run finishes, and nothing is left of either', async () => {
      const shared = procedure();
      const simulator = await startSimulator(shared.scenario);
      await runJob({ inputs: shared.inputs, env: simulator.env });
      const run = { inputs: { ...shared.inputs, ...replacing }, env: simulator.env, github: { run_id: '4712' } };
      const action = startAction(run);
      simulator.onCall((call) => {
        if (call.action === 'DeregisterImage' && call.mutating && call.account === targetAccount) action.kill();
      });
      expect((await action.result).signal).toBe('SIGKILL');
      const { main } = await runJob({ ...run, github: { run_id: '4712', run_attempt: '2' } });
      expect([main.conclusion, main.annotations]).toEqual(['success', []]);
      const place = simulator.world.accounts[targetAccount]?.regions.get('eu-west-1');
      const live = [...(place?.images.values() ?? [])].filter(({ deregisteredAt }) => deregisteredAt === undefined);
      expect(live.map(({ data }) => data.ImageId)).toEqual([main.outputs['ami-id']]);
      expect(place?.snapshots.size).toBe(1);
      await simulator.close();
    });

    test.each<Record<string, string>>([{ route: 'copy' }, { 'ssm-parameter': '/golden/latest' }])(
      'it is refused where the old one must stay until the new one is there: %j',
      async (inputs) => {
        const { main, now, first } = await twice({ ...replacing, ...inputs });
        expect(main.annotations.map(({ message }) => message).join()).toMatch(
          /which must stay until the new AMI is there/,
        );
        expect(now).toEqual([first]);
      },
    );

    test('an answer that is lost just then makes no difference', async () => {
      const shared = procedure();
      const simulator = await startSimulator(shared.scenario);
      await runJob({ inputs: shared.inputs, env: simulator.env });
      simulator.addFault({
        kind: 'lost-response',
        action: 'DeregisterImage',
        account: targetAccount,
        mutating: true,
        times: 1,
      });
      const { main } = await runJob({
        inputs: { ...shared.inputs, ...replacing },
        env: simulator.env,
        github: { run_id: '4712' },
      });
      expect([main.conclusion, main.annotations]).toEqual(['success', []]);
      expect(simulator.calls.some(({ fault }) => fault === 'lost-response')).toBe(true);
      expect(main.outputs['ami-id']).toMatch(/^ami-/);
      await simulator.close();
    });
  });

  test('an AMI that differs is not reused, and the difference is named', async () => {
    const { main } = await twice({}, (image) => {
      image.data.EnaSupport = false;
    });
    expect(main.annotations[0]?.message).toMatch(/EnaSupport is not set, but true in the source/);
  });
});

describe('partitions', () => {
  test.each([
    ['aws-cn', 'cn-north-1', ['cn-north-1', 'cn-northwest-1'], 'sts.amazonaws.com.cn'],
    ['aws-us-gov', 'us-gov-west-1', ['us-gov-east-1'], 'sts.amazonaws.com'],
  ])('%s, with its own ARNs, regions and audience', async (partition, from, regions, audience) => {
    const policies = ['source-key-policy'];
    for (const access of ['grant', 'policy']) {
      const shared = standardCase({ partition, sourceRegion: from, regions, policies });
      const result = await share(shared, { 'source-key-access': access });
      expect(result.error).toBe('');
      expect(result.main.annotations).toEqual([]);
      expect(result.targets.map(({ status, region }) => [region, status])).toEqual(
        regions.map((region) => [region, 'created']),
      );
      for (const { kmsKeyArn, region } of result.targets)
        expect(kmsKeyArn).toBe(keyArnOf(targetAccount, region, 'cmkTarget'));
      expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
      const tokens = result.simulator.calls.filter(({ service }) => service === 'token');
      expect(new Set(tokens.map(({ request }) => request.audience))).toEqual(new Set([audience]));
    }
  });
});

test('every kind of volume and device comes through', async () => {
  const shared = mixedVolumes({
    volumes: [
      { device: '/dev/sda1', sizeGiB: 4, type: 'gp3', iops: 5000, throughput: 500, key: 'cmkSource' },
      { device: '/dev/sdb', sizeGiB: 4, type: 'io1', iops: 100, key: 'cmkSource' },
      { device: '/dev/sdc', sizeGiB: 4, type: 'standard', key: 'cmkSource' },
      { device: '/dev/sdd', type: 'gp2', sizeGiB: 4, sameSnapshotAs: '/dev/sdc', deleteOnTermination: false },
      { device: '/dev/sde', blank: { encrypted: false }, sizeGiB: 1 },
      { device: '/dev/sdf', blank: { encrypted: true }, sizeGiB: 1 },
      { device: '/dev/sdg', instanceStore: 'ephemeral1' },
      { device: '/dev/sdh', noDevice: true },
    ],
  });
  const result = await share(shared);
  expect(result.error).toBe('');
  expectTargets(result, shared.amiId);
});

const manyTags = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`tag-${String(index).padStart(2, '0')}`, 'x']));

describe('as many tags as AWS allows', () => {
  const cases = ['register', 'copy'].flatMap((route) => [44, 47, 49, 50].map((count) => [route, count] as const));
  test.each(cases)('route %s, %i tags on the AMI and 50 on its snapshot', async (route, count) => {
    const shared = procedure({
      ami: { ...described, tags: manyTags(count) },
      policies: copyPolicies,
      volumes: [{ device: '/dev/xvda', tags: manyTags(50) }],
    });
    const { simulator, before, targets, main } = await share(shared, { route });
    expect([main.conclusion, targets.map(({ status }) => status)]).toEqual(['success', ['created']]);
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    const warned = main.annotations.map(({ message }) => message).join('\n');
    expect(warned).toMatch(/AWS allows 50 tags; these of snap-\w+'s are left out: .*tag-49/);
    expect(/these of the source's are left out/.test(warned)).toBe(count > (route === 'copy' ? 45 : 47));
    const place = simulator.world.accounts[targetAccount]?.regions.get('eu-west-1');
    const image = imageIn(simulator, targetAccount, 'eu-west-1', targets[0]?.amiId ?? '');
    const snapshot = place?.snapshots.get(targets[0]?.snapshotIds[0] ?? '');
    for (const { Tags = [] } of [image.data, snapshot?.data ?? {}]) {
      expect(Tags.length).toBeLessThanOrEqual(50);
      expect(Tags).toContainEqual({ Key: 'tag-00', Value: 'x' });
    }
    // What doesn't fit is left out, and no more.
    expect(image.data.Tags.length).toBe(route === 'copy' ? Math.min(count + 4, 49) : Math.min(count + 3, 50));
  });
});

test("more than 50 tags: the user's and ours are kept, the rest is named in a warning", async () => {
  const shared = procedure({ ami: { tags: manyTags(50) } });
  const { simulator, targets, main } = await share(shared, { tags: 'team=a,b\nstage=prod' });
  expect(main.conclusion).toBe('success');
  expect(main.annotations.map(({ message }) => message).join()).toMatch(/AWS allows 50 tags; .*tag-49/);
  const { data } = imageIn(simulator, targetAccount, 'eu-west-1', targets[0]?.amiId ?? '');
  expect(data.Tags).toHaveLength(50);
  expect(data.Tags).toEqual(
    expect.arrayContaining([
      { Key: 'team', Value: 'a,b' },
      { Key: 'stage', Value: 'prod' },
    ]),
  );
});
