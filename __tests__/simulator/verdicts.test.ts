import { expect, test } from '@jest/globals';
import { authorizeEc2, forgetVerdicts, type Principal } from '../../simulator/iam.ts';
import { Refusal } from '../../simulator/refusal.ts';

// One decision serves all requests that no policy can tell from each other; so these can, by as little as there is.
const statements: Record<string, object[]> = {
  'one region of the resource': [allow({ Resource: 'arn:aws:ec2:eu-west-1::snapshot/*' })],
  'regions by a pattern': [allow({ Resource: 'arn:aws:ec2:eu-*::snapshot/*' })],
  'one snapshot': [allow({ Resource: 'arn:aws:ec2:*::snapshot/snap-0aaaaaaaaaaaaaaaa' })],
  'snapshots by a pattern': [allow({ Resource: 'arn:aws:ec2:*::snapshot/snap-0?aaaaaaaaaaaaaaa' })],
  'all but one snapshot': [allow({ NotResource: 'arn:aws:ec2:*::snapshot/snap-0aaaaaaaaaaaaaaaa' })],
  'a denial of one': [
    allow({ Resource: '*' }),
    { ...allow({ Resource: 'arn:aws:ec2:us-east-1::snapshot/snap-0bbbbbbbbbbbbbbbb' }), Effect: 'Deny' },
  ],
  'a pattern across the parts of an ARN': [allow({ Resource: 'arn:aws:ec2:us-*' })],
  'a policy variable': [allow({ Resource: ['arn:aws:ec2:*::snapshot/', '{ec2:ResourceTag/own-id}'].join('$') })],
  'one snapshot of one region': [allow({ Resource: 'arn:aws:ec2:eu-west-1::snapshot/snap-0aaaaaaaaaaaaaaaa' })],
  'a denial for one region': [
    allow({ Resource: '*' }),
    { ...allow({ Resource: 'arn:aws:ec2:us-east-1::snapshot/*' }), Effect: 'Deny' },
  ],
  'the region of the request': [
    allow({ Resource: '*', Condition: { StringEquals: { 'AWS:requestedregion': 'us-east-1' } } }),
  ],
  'a tag': [allow({ Resource: '*', Condition: { StringEquals: { 'ec2:ResourceTag/team': 'platform' } } })],
};

function allow(rest: object): object {
  return { Effect: 'Allow', Action: 'ec2:DeleteSnapshot', ...rest };
}

// The last stands for snapshots that aren't there yet.
const ids = ['snap-0aaaaaaaaaaaaaaaa', 'snap-0bbbbbbbbbbbbbbbb', 'snap-*'];

const requests = ['us-east-1', 'eu-west-1', 'eu-west-2'].flatMap((region) =>
  ids.flatMap((id) =>
    ['platform', 'web'].map((team) => ({
      region,
      arn: `arn:aws:ec2:${region}::snapshot/${id}`,
      tags: [
        { Key: 'team', Value: team },
        { Key: 'own-id', Value: ids[0] ?? '' },
      ],
    })),
  ),
);

function principal(Statement: object[], arn = 'arn:aws:iam::111111111111:role/one'): Principal {
  const policies = [{ Version: '2012-10-17', Statement }];
  const role = { arn, policies } as unknown as NonNullable<Principal['role']>;
  return { account: '111111111111', arn, role };
}

async function verdict(who: Principal, { region, arn, tags }: (typeof requests)[number]): Promise<string> {
  try {
    const resourceTags = tags.map(({ Key, Value }) => [`ec2:ResourceTag/${Key}`, Value]);
    const context = { 'aws:RequestedRegion': region, ...Object.fromEntries(resourceTags) };
    await authorizeEc2(who, 'ec2:DeleteSnapshot', { resource: arn, context });
    return 'allowed';
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

test.each(Object.entries(statements))('what is remembered is what would be decided: %s', async (_, statement) => {
  const who = principal(statement);
  const decided: string[] = [];
  for (const request of requests) {
    forgetVerdicts();
    decided.push(await verdict(who, request));
  }
  // Both verdicts come up, or the statement tells nothing apart.
  expect(new Set(decided).size).toBe(2);
  for (const order of [requests, [...requests].reverse()]) {
    forgetVerdicts();
    const remembered = new Map<object, string>();
    for (const request of order) remembered.set(request, await verdict(who, request));
    expect(requests.map((request) => remembered.get(request))).toEqual(decided);
  }
});

// Only the statements that speak of an action are evaluated for it.
test.each([
  ['allowed', 'whatever case', [{ Action: 'EC2:deletesnapshot' }]],
  ['allowed', 'a pattern', [{ Action: ['kms:*', 'ec2:?eleteSnap*'] }]],
  ['allowed', 'all actions', [{ Action: '*' }]],
  ['allowed', 'all actions but others', [{ NotAction: ['ec2:CopyImage', 'ec2:Describe*'] }]],
  ['UnauthorizedOperation', 'all actions but this', [{ NotAction: ['ec2:Delete*'] }]],
  ['UnauthorizedOperation', 'other actions', [{ Action: ['ec2:DeleteSnapshots', 'ec2:DeleteSnap', 'kms:*'] }]],
  ['UnauthorizedOperation', 'a denial by a pattern', [{ Action: '*' }, { Action: 'ec2:delete*', Effect: 'Deny' }]],
  [
    'UnauthorizedOperation',
    'a denial of all but others',
    [{ Action: '*' }, { NotAction: 'ec2:Copy*', Effect: 'Deny' }],
  ],
])('%s by a policy of %s', async (wanted, _, given) => {
  const [request] = requests;
  const who = principal(given.map((statement) => ({ Effect: 'Allow', Resource: '*', ...statement })));
  expect(request && (await verdict(who, request))).toBe(wanted);
});

// One session's ARN may be of roles of several paths, in one simulator after the other.
test('what was decided for a role holds for no other whose sessions have the same name', async () => {
  const arns = ['arn:aws:iam::111111111111:role/one', 'arn:aws:iam::111111111111:role/path/one'];
  const statement = allow({ Resource: '*', Condition: { StringEquals: { 'aws:PrincipalArn': arns[0] } } });
  const [request] = requests;
  const verdicts: string[] = [];
  for (const arn of arns) {
    const who = { ...principal([statement], arn), arn: 'arn:aws:sts::111111111111:assumed-role/one/session' };
    verdicts.push(request === undefined ? '' : await verdict(who, request));
  }
  expect(verdicts).toEqual(['allowed', 'UnauthorizedOperation']);
});

test('what was decided holds as long as the policies say the same', async () => {
  const [request] = requests;
  if (request === undefined) throw new Error('no request');
  const who = principal([allow({ Resource: '*' })]);
  expect(await verdict(who, request)).toBe('allowed');
  const policies = (who.role?.policies ?? []) as { Statement: { Effect: string }[] }[];
  // A document that was evaluated can't be changed; another may take its place.
  expect(() => Object.assign(policies[0]?.Statement[0] ?? {}, { Effect: 'Deny' })).toThrow(TypeError);
  policies.push({ Statement: [{ ...allow({ Resource: '*' }), Effect: 'Deny' }] });
  expect(await verdict(who, request)).toBe('UnauthorizedOperation');
  policies.pop();
  expect(await verdict(who, request)).toBe('allowed');
});
