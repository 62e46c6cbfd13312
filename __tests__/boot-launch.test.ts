import { describe, expect, test } from '@jest/globals';
import {
  type Case,
  procedure,
  type StandardOptions,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import type { Simulator } from '../simulator/simulator.ts';
import { type Guard, regionOf } from '../simulator/world.ts';
import { share } from './shared-case.ts';

/* What an AMI is launched with for its boot test, and what of that is known beforehand. */

type Launch = NonNullable<NonNullable<StandardOptions['target']>['launch']>;

const policies = ['target-boot-test', 'target-boot-role'];
const byStatus = { 'boot-test': 'status' };
const arn = `arn:aws:iam::${targetAccount}:instance-profile/booted`;

function bootCase(launch: Launch = {}, options: StandardOptions = {}): Case {
  return procedure({ policies, target: { launch: { profiles: { booted: 'boot-role' }, ...launch } }, ...options });
}

const launchedIn = ({ world }: Simulator) =>
  [...regionOf(world, targetAccount, targetRegion).instances.values()].flatMap(({ launched }) => launched ?? []);
const messagesOf = ({ main, post }: Awaited<ReturnType<typeof share>>) =>
  [...main.annotations, ...post.annotations].map(({ message }) => message);

/** The case with the target's role under a service control policy, which denies `statement`. */
function guarded(shared: Case, statement: object): Case {
  const allow = { Effect: 'Allow', Action: '*', Resource: '*' };
  const policy = { Version: '2012-10-17', Statement: [allow, { Effect: 'Deny', ...statement }] } as Guard['policy'];
  const target = shared.scenario.accounts[targetAccount];
  const role = target?.roles?.['ami-target'];
  if (target === undefined || role === undefined) throw new Error('the scenario has no target role');
  const roles = { ...target.roles, 'ami-target': { ...role, guards: [{ kind: 'service control policy', policy }] } };
  const accounts = { ...shared.scenario.accounts, [targetAccount]: { ...target, roles } };
  return { ...shared, scenario: { ...shared.scenario, accounts } } as Case;
}

describe('an instance is launched where an organization demands', () => {
  test('IMDSv2, whatever the AMI says of it', async () => {
    const demand = {
      Action: 'ec2:RunInstances',
      Resource: 'arn:aws:ec2:*:*:instance/*',
      Condition: { StringNotEquals: { 'ec2:MetadataHttpTokens': 'required' } },
    };
    const result = await share(guarded(bootCase(), demand), byStatus);
    expect(messagesOf(result)).toEqual([]);
    expect(launchedIn(result.simulator)).toMatchObject([{ httpTokens: 'required' }]);
  });

  test('tags of all that is made, though the account shows instances theirs', async () => {
    const result = await share(bootCase({ showsTags: true }), { ...byStatus, tags: 'cost center/unit=42' });
    expect(messagesOf(result)).toEqual([]);
    const [launched] = launchedIn(result.simulator);
    for (const tags of [launched?.tags, launched?.volumeTags, launched?.interfaceTags])
      expect(tags).toContainEqual({ Key: 'cost center/unit', Value: '42' });
  });
});

const subnets = ['a', 'b'].map((zone) => ({
  id: `subnet-0${zone}0${zone}0${zone}0${zone}`,
  zone: targetRegion + zone,
  givesIpv6: zone === 'a',
  freeAddresses: zone === 'a' ? 100 : 50,
}));

test('an instance gets no IPv6 address either: subnets that give one come last, and give none', async () => {
  const launch = { subnets, boots: [{ ends: { afterSeconds: 1, code: 'Server.InternalError', message: '' } }, {}] };
  const inputs = { ...byStatus, 'boot-subnet': subnets.map(({ id }) => id).join(',') };
  const { main, simulator } = await share(bootCase(launch), inputs);
  expect(main.annotations).toEqual([]);
  expect(launchedIn(simulator).map((one) => [one.subnet.givesIpv6, one.ipv6Addresses])).toEqual([
    [false, 0],
    [true, 0],
  ]);
  // Where there is nothing to override, nothing is asked for.
  const asked = simulator.calls.filter(({ action, mutating }) => action === 'RunInstances' && mutating);
  expect(asked.map(({ request }) => (request.NetworkInterfaces as object[])[0])).toEqual([
    expect.not.objectContaining({ Ipv6AddressCount: 0 }),
    expect.objectContaining({ Ipv6AddressCount: 0 }),
  ]);
});

test.each([
  ['its own', {}],
  ['that account’s', { owner: '222222222222' }],
])('an instance is launched into a subnet that another account shares, with a group of %s', async (_, of) => {
  const id = 'subnet-0c0c0c0c';
  const groups = [{ id: 'sg-0c0c0c0c', ...of }];
  const shared = { id, zone: `${targetRegion}a`, owner: '222222222222' };
  const inputs = { ...byStatus, 'boot-subnet': id, 'boot-security-group': 'sg-0c0c0c0c' };
  const result = await share(bootCase({ subnets: [shared], groups }), inputs);
  expect(messagesOf(result)).toEqual([]);
  expect(launchedIn(result.simulator)).toMatchObject([{ subnet: { id }, groups: ['sg-0c0c0c0c'] }]);
});

test.each([
  [
    'that would give an IPv6 address says nothing of the AMI',
    0,
    /could not be tested: .*none of the IPv6 addresses that subnet-0a0a0a0a gives, .*by IPv4$/,
  ],
  [
    'that gives none says that the AMI is at fault',
    1,
    /The boot test of ami-\w+ in \S+ failed: .*the agent of Systems Manager is not online/,
  ],
])('an agent that stays away in a subnet %s', async (_, index, words) => {
  const [subnet] = subnets.slice(index);
  const launch = { subnets, boots: [{ agentAfterSeconds: 'never' as const }] };
  const inputs = { 'boot-test': 'ssm', 'boot-subnet': subnet?.id ?? '', 'boot-instance-profile': 'booted' };
  const { error, simulator } = await share(bootCase(launch), inputs);
  expect(error).toMatch(words);
  expect(launchedIn(simulator).every((one) => one.subnet.id === subnet?.id)).toBe(true);
});

describe('an instance profile', () => {
  test.each(['booted', arn])('is looked at beforehand, and launched with: %s', async (profile) => {
    const result = await share(bootCase(), { ...byStatus, 'boot-instance-profile': profile });
    expect(messagesOf(result)).toEqual([]);
    expect(launchedIn(result.simulator)).toMatchObject([{ profile: 'booted' }]);
  });

  test.each<[string, string, RegExp]>([
    ['that is not there', 'none', /no instance profile none.*correct boot-instance-profile/s],
    [
      'without a role',
      'bare',
      /instance profile bare has no role.*add-role-to-instance-profile --instance-profile-name bare/s,
    ],
    ['of another account', arn.replace(targetAccount, '222222222222'), /is account 222222222222's/],
    [
      'by an ARN that it does not have',
      arn.replace('/booted', '/team/booted'),
      /instance profile booted is arn\S+\/booted, not /,
    ],
  ])('%s: a problem beforehand, or a warning', async (_, profile, words) => {
    const shared = bootCase({ profiles: { booted: 'boot-role', bare: '' } });
    const inputs = { ...byStatus, 'boot-instance-profile': profile };
    const { error, simulator } = await share(shared, inputs);
    expect(error).toMatch(words);
    expect(error).toMatch(new RegExp(`${targetAccount}/${targetRegion}.*cannot be tested`));
    expect(simulator.calls.filter(({ mutating }) => mutating)).toEqual([]);
    const lenient = await share(shared, { ...inputs, 'boot-required': 'false' });
    expect(lenient.main.conclusion).toBe('success');
    expect(messagesOf(lenient)).toEqual([expect.stringMatching(/published untested/)]);
  });

  test('that may not be looked at: a warning with the remedy, and the test goes on', async () => {
    const shared = guarded(bootCase(), { Action: 'iam:GetInstanceProfile', Resource: '*' });
    const denied = await share(shared, { ...byStatus, 'boot-instance-profile': 'booted' });
    expect(messagesOf(denied)).toEqual([
      expect.stringMatching(
        /whether there is an instance profile booted \(boot-instance-profile\) could not be asked: .*iam:GetInstanceProfile.*What to do: .*service control policies/,
      ),
    ]);
    expect(launchedIn(denied.simulator)).toMatchObject([{ profile: 'booted' }]);
    const faults = [{ kind: 'refusal', action: 'GetInstanceProfile', code: 'AccessDenied' }] as const;
    const words = `User: arn:aws:sts::${targetAccount}:assumed-role/ami-target/run is not authorized to perform: iam:GetInstanceProfile on resource: instance profile booted because no identity-based policy allows the iam:GetInstanceProfile action`;
    const lacking = await share(bootCase({}, { faults: [{ ...faults[0], message: words }] }), {
      ...byStatus,
      'boot-instance-profile': 'booted',
    });
    expect(messagesOf(lacking)).toEqual([
      expect.stringMatching(/What to do: .*set BootTest=true; else add to .*"iam:GetInstanceProfile"/),
    ]);
  });

  test('whose role may not be passed: the error names both', async () => {
    const shared = bootCase({ profiles: { booted: 'other-role' } });
    const { error } = await share(shared, { ...byStatus, 'boot-instance-profile': 'booted' });
    expect(error).toMatch(
      /not allowed to call iam:PassRole on \S+other-role\. What to do: .*gets arn:aws:iam::\d+:role\/other-role by boot-instance-profile; .*BootRoleArns=arn:aws:iam::\d+:role\/other-role/s,
    );
  });

  test('whose role may not be passed, as AWS says only in code', async () => {
    const message =
      'You are not authorized to perform this operation. Encoded authorization failure message: c2ltdWxhdGVk';
    const denied = {
      kind: 'refusal',
      action: 'RunInstances',
      mutating: true,
      code: 'UnauthorizedOperation',
      message,
    } as const;
    const { error } = await share(bootCase({}, { faults: [denied] }), {
      ...byStatus,
      'boot-instance-profile': 'booted',
    });
    expect(error).toMatch(/allow ec2:RunInstances, and iam:PassRole on the role of boot-instance-profile, to the role/);
  });
});
