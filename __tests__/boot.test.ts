import { describe, expect, test } from '@jest/globals';
import { amiIdOf } from '../simulator/scenario.ts';
import {
  procedure,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import type { Simulator } from '../simulator/simulator.ts';
import type { Boot } from '../simulator/world.ts';
import { openHouse, toldBy } from './house/house.ts';
import { runJob } from './in-process.ts';
import { expectUntouched, type Shared, share } from './shared-case.ts';

type Launch = NonNullable<NonNullable<StandardOptions['target']>['launch']>;

const profiles = { booted: 'boot-role' };
const tested = { tier: 'test' };
const subnet = { id: 'subnet-0a0a0a0a', zone: `${targetRegion}a`, tags: tested };

/** A case whose target launches instances so. */
function bootCase(launch: Launch = {}, options: StandardOptions = {}) {
  return procedure({
    policies: ['target-boot-test', 'target-boot-role'],
    target: { launch: { profiles, subnets: [subnet], ...launch } },
    ...options,
  });
}

const byStatus = { 'boot-test': 'status' };
const byAgent = { 'boot-test': 'ssm', 'boot-subnet': 'tag:tier=test' };
const boots = (...all: Boot[]): Launch => ({ boots: all });

function targetOf({ world }: Simulator) {
  const region = world.accounts[targetAccount]?.regions.get(targetRegion);
  if (region === undefined) throw new Error('no target');
  return region;
}

const launchedIn = (simulator: Simulator) =>
  [...targetOf(simulator).instances.values()].flatMap(({ launched, ...instance }) =>
    launched === undefined ? [] : [{ ...instance, ...launched }],
  );

/** Nothing that was launched runs, and no volume is left. */
function expectNothingRuns(simulator: Simulator): void {
  const launched = launchedIn(simulator);
  expect(launched.map(({ state, volumes }) => [state, volumes])).toEqual(launched.map(() => ['terminated', []]));
  expect([...targetOf(simulator).volumes.keys()]).toEqual([]);
}

/** The target's AMIs with what their tag says of the test, and who may launch them. */
const imagesOf = ({ simulator }: Readonly<{ simulator: Simulator }>) =>
  [...targetOf(simulator).images.values()]
    .filter(({ deregisteredAt }) => deregisteredAt === undefined)
    .map(({ data, launch }) => {
      const tag = data.Tags.find(({ Key }) => Key === 'share-encrypted-ami:boot-test')?.Value;
      return { id: data.ImageId, tag, launch: [...launch] };
    });

const typesOf = (simulator: Simulator) => launchedIn(simulator).map(({ type }) => type);
const warningsOf = ({ main }: Shared) => main.annotations.filter(({ level }) => level === 'warning');

describe('an AMI that comes up', () => {
  test('by its status checks: launched as little as possible, ended, marked, and published', async () => {
    const shared = bootCase({}, { policies: ['target-boot-test', 'target-publish'] });
    const inputs = { ...byStatus, tags: 'team=platform', 'launch-permissions': '222222222222' };
    const result = await share(shared, inputs);
    // The test shows nothing of whoever else is to launch it.
    expect(result.main.annotations.map(({ message }) => message)).toEqual([
      expect.stringMatching(/account 222222222222 can't use arn:.*, since neither its policy nor a grant allows it/),
    ]);
    expect(result.main.stdout).toMatch(/eu-west-1 +account 222222222222 can't use/);
    expect(result.post.annotations).toEqual([]);
    const { simulator } = result;
    const [instance] = launchedIn(simulator);
    expect(instance).toMatchObject({ type: 't3.small', onShutdown: 'terminate', groups: [], profile: undefined });
    const tags = Object.fromEntries((instance?.tags ?? []).map(({ Key, Value }) => [Key, Value]));
    expect(tags).toMatchObject({ team: 'platform', 'share-encrypted-ami:source-ami': shared.amiId });
    expect(instance?.volumeTags).toEqual(instance?.tags);
    const [asked] = simulator.calls.filter(({ action, mutating }) => action === 'RunInstances' && mutating);
    expect(asked?.request).not.toHaveProperty('KeyName');
    expect(asked?.request.NetworkInterfaces).toMatchObject([{ AssociatePublicIpAddress: false }]);
    expect(imagesOf(result)).toMatchObject([{ tag: 'passed status', launch: ['222222222222'] }]);
    expect(result.main.stdout).toContain('ami-target can launch ami-');
    expectNothingRuns(simulator);
  });

  test('by its agent, in the subnet and the groups and with the profile that are named', async () => {
    const groups = [
      { id: 'sg-0b0b0b0b', tags: tested },
      { id: 'sg-0c0c0c0c', vpc: 'vpc-0f0f0f0f', tags: tested },
    ];
    const inputs = { ...byAgent, 'boot-security-group': 'tag:tier=test', 'boot-instance-profile': 'booted' };
    const slow = { checksAfterSeconds: 90, agentAfterSeconds: 200, instanceStatus: 'insufficient-data' } as const;
    const result = await share(bootCase({ groups, ...boots(slow) }), inputs);
    expect(result.main.annotations).toEqual([]);
    const [instance] = launchedIn(result.simulator);
    expect(instance).toMatchObject({ groups: ['sg-0b0b0b0b'], profile: 'booted', subnet: { id: subnet.id } });
    expect((instance?.endedAt ?? 0) - (instance?.at ?? 0)).toBeGreaterThanOrEqual(200_000);
    expectNothingRuns(result.simulator);
  });

  test('on Xen, where AWS checks no volumes, and at a time when AWS cannot be asked', async () => {
    const down = { kind: 'server-error', action: 'DescribeInstanceStatus', nth: 6, times: 12 } as const;
    const result = await share(bootCase({}, { faults: [down] }), { ...byStatus, 'boot-instance-type': 't2.small' });
    expect(result.main.annotations).toEqual([]);
    expect(typesOf(result.simulator)).toEqual(['t2.small']);
  });

  test('only after it was impaired, or one size up: that passes, too', async () => {
    const impaired: Boot = { checksAfterSeconds: 300, instanceStatus: 'impaired', systemStatus: 'ok' };
    const waited = await share(bootCase(boots(impaired)), byStatus);
    expect(waited.main.annotations).toEqual([]);
    expect(typesOf(waited.simulator)).toEqual(['t3.small']);
    const larger = await share(bootCase(boots({ checksAfterSeconds: 'never' }, {})), byStatus);
    expect(larger.main.annotations).toEqual([]);
    expect(typesOf(larger.simulator)).toEqual(['t3.small', 't3.medium']);
    expect(imagesOf(larger)).toMatchObject([{ tag: 'passed status' }]);
    expectNothingRuns(larger.simulator);
  });

  test('and is used again is not tested again; one that was not tested is', async () => {
    const shared = bootCase();
    await using house = await openHouse(shared);
    const launches = async (run_id: string, inputs: Record<string, string>) => {
      const before = launchedIn(house.simulator).length;
      // What the last run has tagged is seen by then.
      await house.settle(1);
      const { main } = await runJob(house.run(inputs, { run_id }));
      expect(main.annotations).toEqual([]);
      return launchedIn(house.simulator).length - before;
    };
    expect(await launches('1', {})).toBe(0);
    expect(await launches('2', byStatus)).toBe(1);
    expect(await launches('3', byStatus)).toBe(0);
    expect(await launches('4', { ...byAgent, 'boot-instance-profile': 'booted' })).toBe(1);
    expect(await launches('5', byStatus)).toBe(0);
    expect(imagesOf(house)).toMatchObject([{ tag: 'passed ssm' }]);
    expectNothingRuns(house.simulator);
    expect(house.remains()).toEqual([]);
  });
});

describe('an AMI that does not come up fails, stays, and is not published', () => {
  const panic = [
    'Booting `Linux\u001b[0m\r',
    'Set password=hunter2 for admin, token: "abc def"',
    'aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY AKIAIOSFODNN7EXAMPLE',
    'VFS: Unable to mount root fs on unknown-block(0,0)',
    'Kernel panic - not syncing: VFS',
  ].join('\n');
  const publishing = { 'launch-permissions': '222222222222', 'ssm-parameter': '/golden/latest' };
  const policies = ['target-boot-test', 'target-publish', 'target-ssm-parameter'];

  test('with its console and its screen, from which secrets are gone', async () => {
    const screenshot = Buffer.from('a picture').toString('base64');
    const hangs: Boot = { checksAfterSeconds: 'never', instanceStatus: 'impaired', console: panic, screenshot };
    const shared = bootCase(boots(hangs), { policies });
    const result = await share(shared, { ...byStatus, ...publishing, 'boot-timeout-minutes': '4' });
    const { simulator, main, error, targets } = result;
    expect(main.conclusion).toBe('failure');
    expect(error).toMatch(
      /The boot test of ami-\S+ in 999999999999\/eu-west-1 failed: as t3\.medium in eu-west-1\w \(subnet-\w+\): /,
    );
    expect(error).toMatch(/not up within boot-timeout-minutes \(4\): running; instance status impaired, system status/);
    expect(error).toContain('Kernel panic - not syncing: VFS');
    expect(error).toContain('password=***');
    for (const secret of ['hunter2', 'abc def', 'wJalr', 'AKIA', '\u001b'])
      expect(main.stdout + error + main.summary).not.toContain(secret);
    expect(targets).toMatchObject([{ status: 'failed', amiId: expect.stringMatching(/^ami-/) }]);
    expect(JSON.parse(main.outputs['boot-screenshots'] ?? '')).toEqual({
      [targetAccount]: { [targetRegion]: expect.stringMatching(/screenshot\.jpg$/) },
    });
    expect(main.stdout).toMatch(/i-\w+ did not come up: not up within.*console: Booting.* by i-\w+, a t3\.medium/s);
    expect(main.stdout).toMatch(/eu-west-1 +the screen \(output boot-screenshots\): \S+screenshot\.jpg\n/);
    expect(imagesOf(result)).toMatchObject([{ tag: 'failed status', launch: [] }]);
    expect([...targetOf(simulator).parameters.keys()]).toEqual([]);
    expect(typesOf(simulator)).toEqual(['t3.small', 't3.medium']);
    expectNothingRuns(simulator);
  });

  const byKey: readonly (readonly [string, Boot['ends']])[] = [
    [
      'Client.InternalError',
      {
        ...{ afterSeconds: 2, code: 'Client.InternalError', message: 'Client.InternalError: Client error on launch' },
        transition: 'Server.InternalError: Internal error on launch',
      },
    ],
    [
      'the message',
      {
        ...{ afterSeconds: 2, code: 'Server.InternalError' },
        message: 'Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state',
      },
    ],
    [
      'the transition',
      {
        ...{ afterSeconds: 2, code: 'pending', message: 'pending' },
        transition: 'Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state',
      },
    ],
  ];
  test.each(byKey)('for its key, told by %s: at once, with the statement that mends it', async (_, ends) => {
    const result = await share(bootCase(boots({ ...(ends && { ends }) })), byStatus);
    expect(result.error).toContain(ends?.message);
    expect(result.error).toMatch(
      /is enabled and that arn:aws:iam::999999999999:role\/ami-target may use it; add to its policy: \{.*kms:CreateGrant/,
    );
    expect(launchedIn(result.simulator)).toHaveLength(1);
    expect(imagesOf(result)).toMatchObject([{ tag: 'failed status' }]);
    expectNothingRuns(result.simulator);
  });

  test.each([
    ['InvalidKMSKey.InvalidState', 'The KMS key provided is in an incorrect state'],
    ['KMS.DisabledException', 'arn:aws:kms:eu-west-1:999999999999:key/0 is disabled.'],
    ['InvalidParameterValue', 'Given key ID is not accessible. You must have DescribeKey permissions.'],
    ['AccessDeniedException', 'The ciphertext refers to a customer master key that does not exist.'],
  ])('as RunInstances refuses its key: %s, %s', async (code, message) => {
    const refusal = { kind: 'refusal', action: 'RunInstances', code, message } as const;
    const result = await share(bootCase({}, { faults: [{ ...refusal, mutating: true }] }), byStatus);
    expect(result.error).toContain(`${code}: ${message}`);
    expect(result.error).toMatch(/What to do: see that arn:aws:kms:\S+ is enabled and that \S+ may use it/);
    expect(imagesOf(result)).toMatchObject([{ tag: 'failed status' }]);
  });

  test('as it shuts itself down', async () => {
    const ends = {
      ...{ afterSeconds: 30, code: 'Client.InstanceInitiatedShutdown' },
      message: 'Client.InstanceInitiatedShutdown: Instance initiated shutdown',
    };
    const result = await share(bootCase(boots({ ends, console: 'Power down' })), byStatus);
    expect(result.error).toMatch(
      /the instance is shutting-down: Client\.InstanceInitiatedShutdown: Instance initiated/,
    );
    expect(result.error).toContain('Power down');
    expectNothingRuns(result.simulator);
  });

  test('as its agent stays away, although it has a profile', async () => {
    const inputs = { ...byAgent, 'boot-instance-profile': 'booted' };
    const result = await share(bootCase(boots({ agentAfterSeconds: 'never' })), inputs);
    expect(result.error).toMatch(/boot test of ami-\S+ in \S+ failed.*the agent of Systems Manager is not online/);
    expect(imagesOf(result)).toMatchObject([{ tag: 'failed ssm' }]);
    expectNothingRuns(result.simulator);
  });

  test('and a re-run tests it again', async () => {
    const ends = { afterSeconds: 5, code: 'Client.InstanceInitiatedShutdown', message: 'shut down' };
    const shared = bootCase(boots({ ends }, { ends }, {}));
    await using house = await openHouse(shared);
    const first = await runJob(house.run(byStatus));
    expect(first.main.conclusion).toBe('failure');
    expect(imagesOf(house)).toMatchObject([{ tag: 'failed status' }]);
    const second = await runJob(house.run(byStatus, { run_attempt: '2' }));
    expect(second.main.annotations).toEqual([]);
    expect(imagesOf(house)).toMatchObject([{ tag: 'passed status' }]);
    expectNothingRuns(house.simulator);
    expect(house.remains()).toEqual([]);
  });
});

describe('a name that is given once', () => {
  const ends = { afterSeconds: 5, code: 'Client.InstanceInitiatedShutdown', message: 'shut down' };
  const second = { name: 'golden-image-2', volumes: [{ device: '/dev/xvda', sizeGiB: 8 }] };
  const options = { ami: { name: 'golden-image-1' }, source: { amis: [second] } };
  const secondId = amiIdOf(sourceAccount, sourceRegion, second.name);
  const named = { ...byStatus, 'target-ami-name': 'golden', lineage: 'golden' };

  test('of an AMI that failed goes to the next bake of its lineage', async () => {
    await using house = await openHouse(
      bootCase(boots({ ends }, { ends }, {}), {
        ...options,
        policies: ['target-boot-test', 'target-boot-role', 'target-retain'],
      }),
    );
    expect((await runJob(house.run(named))).main.conclusion).toBe('failure');
    const [failed] = imagesOf(house);
    await house.settle();
    const next = await runJob(house.run({ ...named, 'ami-id': secondId }, { run_id: '4712' }));
    expect(next.main.annotations).toEqual([]);
    expect(imagesOf(house)).toMatchObject([{ tag: 'passed status' }]);
    expect(imagesOf(house)).not.toMatchObject([{ id: failed?.id }]);
    expect(house.remains()).toEqual([]);
  });

  test('of an AMI that is good stays with it: the new one may fail', async () => {
    await using house = await openHouse(bootCase({}, options));
    expect((await runJob(house.run(named))).main.annotations).toEqual([]);
    const before = imagesOf(house);
    const again = await runJob(house.run({ ...named, 'on-existing': 'replace' }, { run_id: '4712' }));
    expect(again.main.conclusion).toBe('failure');
    expect(toldBy(again)).toMatch(/or as the new one may fail its boot-test.*give each AMI a name of its own/s);
    const next = await runJob(house.run({ ...named, 'ami-id': secondId }, { run_id: '4713' }));
    expect(toldBy(next)).toMatch(/the name "golden" is taken by ami-/);
    expect(imagesOf(house)).toEqual(before);
  });
});

describe('what says nothing against an AMI: it could not be tested', () => {
  const ends = (code: string, message = code): Boot => ({ ends: { afterSeconds: 2, code, message } });
  const refused = (code: string): StandardOptions => ({
    faults: [{ kind: 'refusal', action: 'RunInstances', mutating: true, code }],
  });
  type Cause = Readonly<{ launch?: Launch; options?: StandardOptions; words: RegExp }>;
  const causes: Readonly<Record<string, Cause>> = {
    'no capacity': {
      launch: { noCapacity: ['*'] },
      words: /t3\.small in eu-west-1a.*t3\.medium.*InsufficientInstanceCapacity/,
    },
    'no capacity, late': {
      launch: boots(ends('Server.InsufficientInstanceCapacity')),
      words: /InsufficientInstanceCapacity/,
    },
    'no quota': { launch: { vcpuQuota: 0 }, words: /VcpuLimitExceeded/ },
    'no address': { options: refused('InsufficientFreeAddressesInSubnet'), words: /FreeAddresses/ },
    'an account to be verified': { options: refused('PendingVerification'), words: /PendingVerification/ },
    'a region that is not enabled': { options: refused('OptInRequired'), words: /OptInRequired/ },
    'an instance that somebody ended': {
      launch: boots(ends('Client.UserInitiatedShutdown')),
      words: /somebody ended it/,
    },
  };
  test.each(Object.entries(causes))('%s', async (name, { launch, options, words }) => {
    const shared = bootCase(launch, options);
    const { main, error, simulator } = await share(shared, byStatus);
    expect(main.conclusion).toBe('failure');
    expect(error).toMatch(/ami-\S+ in 999999999999\/eu-west-1 could not be tested: /);
    expect(error).toMatch(words);
    expectNothingRuns(simulator);
    const lenient = await share(shared, { ...byStatus, 'boot-required': 'false' });
    expect(lenient.main.conclusion).toBe('success');
    expect(warningsOf(lenient).map(({ message }) => message)).toEqual([expect.stringMatching(words)]);
    expect(lenient.main.summary).toMatch(/### Warnings\n\n- .*could not be tested, and is published untested: /);
    expect(imagesOf(lenient)).toMatchObject([{ tag: undefined }]);
    expectNothingRuns(lenient.simulator);
    // Capacity is nothing that waiting for the same mends at once.
    const asked = simulator.calls.filter(({ action, mutating }) => action === 'RunInstances' && mutating);
    const tokens = asked.flatMap(({ request }) => request.ClientToken ?? []);
    expect(new Set(tokens).size).toBe(tokens.length);
    if (name === 'an account to be verified') expect(asked).toHaveLength(1);
  });

  test('for one reason in each zone and by each type, which is told once', async () => {
    const { error, simulator } = await share(bootCase(boots(ends('Client.VolumeLimitExceeded'))), byStatus);
    expect(launchedIn(simulator).length).toBeGreaterThan(5);
    expect(error?.match(/VolumeLimitExceeded/g)).toHaveLength(1);
    for (const { type, subnet } of launchedIn(simulator))
      expect(error).toContain(`${type} in ${subnet.zone} (${subnet.id})`);
    // In AWS's words of it, each has its own type and zone.
    const none = await share(bootCase({ noCapacity: ['*'] }), byStatus);
    expect(none.error?.match(/InsufficientInstanceCapacity/g)).toHaveLength(1);
    expect(none.error).toMatch(/t3\.small in eu-west-1a \(.*t2\.medium in eu-west-1c \(.*: RunInstances in/);
  });

  test('a product of AWS Marketplace that the account has not subscribed to', async () => {
    const message =
      'In order to use this AWS Marketplace product you need to accept terms and subscribe. To do so please visit https://aws.amazon.com/marketplace/pp?sku=1';
    const code = 'OptInRequired';
    const faults = [{ kind: 'refusal', action: 'RunInstances', mutating: true, code, message }] as const;
    const { error } = await share(bootCase({}, { faults }), byStatus);
    expect(error).toMatch(/sku=1\. What to do: subscribe account 999999999999 to the product/);
  });

  test('a role that may not so much as look: it is published untested', async () => {
    const shared = bootCase({}, { policies: [] });
    const { main, post, simulator } = await share(shared, { ...byStatus, 'boot-required': 'false' });
    expect(main.conclusion).toBe('success');
    expect([...main.annotations, ...post.annotations].map(({ message }) => message)).toEqual([
      expect.stringMatching(/ec2:DescribeSubnets.*published untested/),
    ]);
    expect(launchedIn(simulator)).toEqual([]);
  });

  test('in one zone, by one type: another does', async () => {
    const launch = { noCapacity: ['t3.small/*'], ...boots(ends('Server.InsufficientInstanceCapacity'), {}) };
    const { main, simulator } = await share(bootCase(launch), byStatus);
    expect(main.annotations).toEqual([]);
    expect(typesOf(simulator)).toEqual(['t3a.small', 't3a.small']);
    expect(new Set(launchedIn(simulator).map((one) => one.subnet.zone)).size).toBe(2);
    expectNothingRuns(simulator);
  });

  test('an agent that stays away without a profile', async () => {
    const { error, simulator } = await share(bootCase(), byAgent);
    expect(error).toMatch(
      /could not be tested.*without boot-instance-profile, its role or the network may be at fault/,
    );
    expectNothingRuns(simulator);
  });

  type Site = Readonly<{ launch?: Launch; inputs?: Record<string, string>; options?: StandardOptions; words: RegExp }>;
  const sites: Readonly<Record<string, Site>> = {
    'a subnet that is not there': {
      inputs: { 'boot-subnet': 'subnet-0d0d0d0d' },
      words: /no subnet subnet-0d0d0d0d.*correct boot-subnet/s,
    },
    'no default VPC': {
      launch: { defaultVpc: false },
      words: /there is no default VPC.*name a subnet in boot-subnet/s,
    },
    'a group of another VPC': {
      launch: { groups: [{ id: 'sg-0b0b0b0b' }] },
      inputs: { 'boot-security-group': 'sg-0b0b0b0b' },
      words: /no security group/,
    },
    'a subnet that another account shares, without a group': {
      launch: { subnets: [{ ...subnet, owner: '222222222222' }] },
      inputs: { 'boot-subnet': subnet.id },
      words: /other accounts share subnet-0a0a0a0a with this one.*name a security group of this account in boot-sec/s,
    },
    'a type that there is not': { inputs: { 'boot-instance-type': 't9.small' }, words: /no instance type t9\.small/ },
    'a type of another architecture': {
      inputs: { 'boot-instance-type': 't4g.small' },
      words: /not of the AMI's architecture, x86_64/,
    },
    macOS: { options: { ami: { attributes: { Architecture: 'arm64_mac' } } }, words: /it is of macOS/ },
  };
  test.each(Object.entries(sites))('%s: a problem beforehand, or a warning', async (_, site) => {
    const { launch, inputs, options, words } = site;
    const shared = bootCase(launch, options);
    const { main, error, simulator } = await share(shared, { ...byStatus, ...inputs });
    expect(error).toMatch(words);
    expect(simulator.calls.filter(({ mutating }) => mutating)).toEqual([]);
    expect(main.conclusion).toBe('failure');
    const lenient = await share(shared, { ...byStatus, ...inputs, 'boot-required': 'false' });
    expect(lenient.main.conclusion).toBe('success');
    expect(warningsOf(lenient).map(({ message }) => message)).toEqual([expect.stringMatching(/published untested/)]);
    expect(launchedIn(lenient.simulator)).toEqual([]);
  });
});

test('a right that is lacking is told with the statement that gives it', async () => {
  const message = `You are not authorized to perform this operation. User: arn:aws:sts::${targetAccount}:assumed-role/ami-target/run is not authorized to perform: iam:PassRole on resource: arn:aws:iam::${targetAccount}:role/boot-role because no identity-based policy allows the iam:PassRole action`;
  const code = 'UnauthorizedOperation';
  const denied = { kind: 'refusal', action: 'RunInstances', mutating: true, code, message } as const;
  const { error } = await share(bootCase({}, { faults: [denied] }), byStatus);
  expect(error).toMatch(
    /could not be tested.*iam:PassRole.*What to do: .*set BootRoleArns=arn\S+; else add to .*"Action":"iam:PassRole","Resource":"arn:aws:iam::\d+:role\/boot-role"/s,
  );
});

test('that agents may not be looked for is told before anything is made', async () => {
  const message = `User: arn:aws:sts::${targetAccount}:assumed-role/ami-target/run is not authorized to perform: ssm:DescribeInstanceInformation on resource: * because no identity-based policy allows the ssm:DescribeInstanceInformation action`;
  const refusal = { kind: 'refusal', action: 'DescribeInstanceInformation', code: 'AccessDeniedException' } as const;
  const denied = { ...refusal, message, times: 99 };
  const result = await share(bootCase({}, { faults: [denied] }), { ...byAgent, 'boot-instance-profile': 'booted' });
  expect(result.error).toMatch(/the AMI cannot be tested \(boot-test\): .*"Action":"ssm:DescribeInstanceInformation"/s);
  expectUntouched(result);
});

test('the plan has it, and a role that may not launch is told beforehand', async () => {
  const { main } = await share(bootCase(), { ...byStatus, 'dry-run': 'true' });
  const { operations } = JSON.parse(main.outputs.plan ?? '') as { operations: { kind: string; why: string }[] };
  expect(operations.filter(({ kind }) => kind === 'boot')).toMatchObject([
    { why: expect.stringContaining('t3.small') },
  ]);
  const denied = await share(procedure(), { ...byStatus, 'dry-run': 'true' });
  expect(denied.error).toContain('ec2:DescribeSubnets');
});
