import { expect, test } from '@jest/globals';
import {
  type Case,
  fanOut,
  type StandardOptions,
  sourceAccount,
  standardCase,
} from '../simulator/scenarios/standard.ts';
import type { Guard, TagRules } from '../simulator/world.ts';
import { expectUntouched, share } from './shared-case.ts';

/** Nobody sets a new parameter without the tag. */
const demand: Guard = {
  kind: 'service control policy',
  policy: {
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: '*', Resource: '*' },
      {
        Effect: 'Deny',
        Action: 'ssm:PutParameter',
        Resource: '*',
        Condition: { Null: { 'aws:RequestTag/cost-center': 'true' } },
      },
    ],
  },
};

/** The case with all accounts in an organization that demands cost-center of all that is made. */
function organized(shared: Case, more: TagRules = {}): Case {
  const accounts = Object.entries(shared.scenario.accounts).map(([id, account]) => {
    const roles = Object.entries(account.roles ?? {}).map(([name, role]) => [name, { ...role, guards: [demand] }]);
    const tagRules = { demanded: ['cost-center'], ...more };
    return [id, { ...account, tagRules, roles: Object.fromEntries(roles) }];
  });
  return { ...shared, scenario: { ...shared.scenario, accounts: Object.fromEntries(accounts) } };
}

type Tags = readonly { Key?: string | undefined; Value?: string | undefined }[];
type Result = Awaited<ReturnType<typeof share>>;

/** The user's tags. */
const usersOf = (tags: Tags): Record<string, string | undefined> =>
  Object.fromEntries(
    tags.flatMap(({ Key = '', Value }) => (Key.startsWith('share-encrypted-ami:') ? [] : [[Key, Value]])),
  );

/** What the source account's calls gave to what they made. */
function givenBy({ simulator }: Result): object[] {
  return simulator.calls
    .filter(
      ({ action, account, outcome }) =>
        /^C\w+(Image|Snapshot)$/.test(action) && account === sourceAccount && outcome === 'ok',
    )
    .flatMap(({ action, request, region }) => {
      const specifications = request.TagSpecifications as { ResourceType: string; Tags: Tags }[];
      return specifications.map(({ ResourceType, Tags }) => ({
        on: `${action} ${ResourceType} ${region}`,
        ...usersOf(Tags),
      }));
    });
}

/** What is in a target's region. */
function madeIn({ simulator }: Result, account = '999999999999', region = 'eu-west-1') {
  const place = simulator.world.accounts[account]?.regions.get(region);
  if (place === undefined) throw new Error(`no ${account}/${region}`);
  return { ...place, all: [...place.images.values(), ...place.snapshots.values()] };
}

const tags = 'cost-center=42\nName=golden {region}\nplace={account}/{region} of {name}\nnote=a, b';
const there = {
  'cost-center': '42',
  Name: 'golden eu-west-1',
  place: '999999999999/eu-west-1 of golden-image',
  note: 'a, b',
};
const here = (on: string) => {
  const region = on.split(' ')[2];
  return { on, 'cost-center': '42', place: `${sourceAccount}/${region} of golden-image`, note: 'a, b' };
};
const copied = ['CopyImage image us-east-1', 'CopyImage snapshot us-east-1'].map(here);
const mixed = [
  { device: '/dev/xvda', sizeGiB: 8 },
  { device: '/dev/sdb', sizeGiB: 4, key: 'cmkSource' },
];
const byCopy = { policies: ['source-route-copy', 'target-route-copy'] };

type Played = Readonly<{ options: StandardOptions; inputs?: Record<string, string>; expected: readonly object[] }>;

test.each<[string, Played]>([
  ['the whole AMI', { options: {}, expected: copied }],
  ['one snapshot of two', { options: { volumes: mixed }, expected: [here('CopySnapshot snapshot us-east-1')] }],
  ['the AMI for route copy', { options: byCopy, inputs: { route: 'copy' }, expected: copied }],
])('tags are demanded of all that is made: %s is encrypted with them, and all else bears them', async (_, played) => {
  const { options, inputs, expected } = played;
  const policies = [...(options.policies ?? []), 'target-ssm-parameter'];
  const shared = organized(standardCase({ ...options, policies }));
  const result = await share(shared, { tags, ...inputs, 'ssm-parameter': '/golden/{region}' });
  expect(result.error).toBe('');
  expect(givenBy(result)).toEqual(expected);
  expect(result.main.stdout).toMatch(
    /the encrypted copy bears the tags cost-center=42, place=111111111111\/us-east-1 of golden-image, note=a, b, until the end of the run/,
  );
  const { all, parameters } = madeIn(result);
  expect(all.length).toBeGreaterThan(1);
  for (const { data } of all) expect(usersOf(data.Tags)).toMatchObject(there);
  // SSM takes no comma.
  const { note: _note, ...onParameter } = there;
  expect(usersOf(parameters.get('/golden/eu-west-1')?.tags ?? [])).toEqual(onParameter);
});

test('what one target has of its own stays its own, and encrypted copies in hubs bear the tags of all, or others', async () => {
  const shared = organized(fanOut({ regions: ['eu-west-1'], hubs: ['eu-west-1'] }), { demanded: [] });
  const inputs = {
    topology: 'regional-hub',
    tags: 'team=platform',
    targets: '- {account: "222222222222", region: eu-west-1, tags: {env: "{region}", team: theirs}}',
  };
  const result = await share(shared, inputs);
  expect(result.error).toBe('');
  const hub = ['image', 'snapshot'].map((type) => `CopyImage ${type} eu-west-1`);
  expect(givenBy(result)).toEqual(hub.map((on) => ({ on, team: 'platform', env: 'eu-west-1' })));
  for (const { data } of madeIn(result).all) expect(usersOf(data.Tags)).not.toHaveProperty('env');
  for (const { data } of madeIn(result, '222222222222').all)
    expect(usersOf(data.Tags)).toMatchObject({ env: 'eu-west-1', team: 'theirs' });

  const others = await share(shared, { ...inputs, 'intermediate-tags': 'Name=temporary of {source-ami}' });
  expect(others.error).toBe('');
  expect(givenBy(others)).toEqual(hub.map((on) => ({ on, Name: `temporary of ${shared.amiId}` })));
  const none = await share(shared, { ...inputs, 'intermediate-tags': '{}', 'dry-run': 'true' });
  expect(none.main.stdout).toMatch(/the encrypted copy bears no tags but the action's own, until the end/);
  expect(JSON.parse(none.main.outputs.plan ?? '').intermediates).toEqual([
    { account: sourceAccount, region: 'eu-west-1', tags: {}, stays: false },
  ]);
});

test('the AMI of an instance bears the tags, and passes on none that only another target has', async () => {
  const id = 'i-0123456789abcdef0';
  const instances = [{ id, volumes: [{ device: '/dev/xvda', sizeGiB: 8 }], state: 'stopped' as const }];
  const shared = organized(fanOut({ regions: ['eu-west-1'], policies: ['source-instance'], source: { instances } }));
  const inputs = { ...shared.inputs, 'ami-id': '', 'instance-id': id };
  const more = { tags: 'cost-center=42', targets: '- {account: "222222222222", region: eu-west-1, tags: {env: prod}}' };
  const result = await share({ ...shared, inputs }, more);
  expect(result.error).toBe('');
  const [made, ofMade] = givenBy(result);
  expect([made, ofMade]).toEqual(
    ['image', 'snapshot'].map((type) => ({ on: `CreateImage ${type} us-east-1`, 'cost-center': '42', env: 'prod' })),
  );
  for (const { data } of madeIn(result).all) expect(usersOf(data.Tags)).toEqual({ 'cost-center': '42' });
  for (const { data } of madeIn(result, '222222222222').all)
    expect(usersOf(data.Tags)).toEqual({ 'cost-center': '42', env: 'prod' });
});

test('what a tag policy refuses, or tags that are lacking, is told with what to do before anything is made', async () => {
  const shared = organized(standardCase(), { allowed: { 'cost-center': ['7', '8'] } });
  const refused = await share(shared, { tags: 'Cost-Center=7\ncost-center=7' });
  expect(refused.error).toMatch(
    /a tag policy refuses what arn:aws:iam::111111111111:role\/ami-source is to make by ec2:CopyImage \(TagPolicyViolation: The tag policy does not allow the specified value for the following tag key: 'Cost-Center'\.\)\n\s+What to do: give that key the spelling and a value that the policy allows/,
  );
  expect(refused.error).toMatch(/role\/ami-target is to make by ec2:CopySnapshot/);
  expectUntouched(refused);
  const lacking = await share(shared, { tags: 'cost-center=8', 'intermediate-tags': 'a=b' });
  expect(lacking.error).toMatch(/^A problem was found/);
  expect(lacking.error).toMatch(
    /ami-source is not allowed to call ec2:CopyImage\n.+or, where tags are demanded of what is made, give them in tags \(or intermediate-tags/,
  );
  expectUntouched(lacking);
});
