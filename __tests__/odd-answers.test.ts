import { describe, expect, test } from '@jest/globals';
import type { Fault } from '../simulator/faults.ts';
import { customerKey, procedure, sourceAccount, targetAccount } from '../simulator/scenarios/standard.ts';
import { countOf, messagesOf, openHouse, recordsOf } from './house/house.ts';
import { runJob } from './in-process.ts';
import { sampled } from './sampled.ts';

const garbled = {
  'is cut off': {},
  'is empty': { body: '' },
  'is a page of a proxy’s with 502': { body: '<html><body>Bad Gateway</body></html>', status: 502 },
  'is a page of a proxy’s with 200': { body: '<html><body>Hello</body></html>', status: 200 },
  'is another call’s': { body: '<DescribeVpcsResponse xmlns="a"><vpcSet/></DescribeVpcsResponse>', status: 200 },
  'is an error with 200': {
    body: '<Response><Errors><Error><Code>InternalError</Code></Error></Errors></Response>',
    status: 200,
  },
  'is no object': { body: '[]', status: 200 },
} satisfies Record<string, Partial<Fault>>;

/** A run in which answers to an action can't be read, though each call had its effect. */
async function running(shared: ReturnType<typeof procedure>, fault: Partial<Fault> & { action: string }) {
  await using house = await openHouse({
    ...shared,
    scenario: { ...shared.scenario, faults: [{ kind: 'garbled', nth: 1, times: 1, ...fault }] },
  });
  const { main, post } = await runJob(house.run());
  await house.settle();
  return { main, said: [main, post].map(messagesOf).filter(Boolean).join('\n'), house };
}

/** What a run calls. */
const actions = [
  ...['AssumeRoleWithWebIdentity', 'DescribeImages', 'DescribeSnapshots', 'DescribeKey', 'CreateTags', 'DeleteTags'],
  ...['CopyImage', 'CopySnapshot', 'CreateGrant', 'ModifySnapshotAttribute', 'RegisterImage', 'RevokeGrant'],
  ...['DeregisterImage', 'DeleteSnapshot', 'ListGrants', 'DescribeSnapshotAttribute'],
];
const cases = actions.flatMap((action) =>
  Object.entries(garbled).map(([how, fault]) => [action, how, { action, ...fault }] as const),
);

describe('an answer that can’t be read is no success, and where it is safe the call is made again', () => {
  test.each(sampled(cases, { every: 3 }))('%s once %s', async (action, _, fault) => {
    const mutating = !/^(Describe|List|AssumeRole)/.test(action);
    const { main, said, house } = await running(procedure(), { ...fault, ...(mutating && { mutating }) });
    expect(house.simulator.calls.some(({ fault }) => fault === 'garbled')).toBe(true);
    expect([main.conclusion, said]).toEqual(['success', '']);
    expect(house.untold(JSON.stringify(main.outputs))).toEqual([]);
    const made = house.simulator.calls.filter(({ action, outcome }) => action === 'RegisterImage' && outcome === 'ok');
    expect(made.length).toBe(1);
    const [target] = JSON.parse(main.outputs.targets ?? '[]') as { status: string }[];
    expect(target?.status).toBe('created');
  });

  test('the AMI of a RegisterImage whose answer was lost is found, and verified', async () => {
    const { main } = await running(customerKey(), { action: 'RegisterImage', mutating: true, body: '' });
    expect(main.log).toMatch(/ami-\w+ is available and verified/);
  });

  test('one that never comes is told with its status and its call, and nothing is changed', async () => {
    const { main, said, house } = await running(procedure(), { action: 'DescribeKey', times: 100_000, body: '' });
    expect(main.conclusion).toBe('failure');
    expect(said).toMatch(/DescribeKey in \d+\/\S+: UnreadableAnswer: HTTP 200 with an empty body/);
    expect(house.simulator.calls.filter(({ mutating }) => mutating)).toEqual([]);
  });

  test.each(['DescribeImages', 'DescribeSnapshots'])(
    'a list that %s doesn’t name is no empty one: nothing passes for gone',
    async (action) => {
      const body = `<${action}Response xmlns="a"><requestId>1</requestId></${action}Response>`;
      const { main, said } = await running(customerKey(), { action, nth: 1, times: 3, body, status: 200 });
      expect([main.conclusion, said]).toEqual(['success', '']);
    },
  );

  test('what says that it did not change anything has not', async () => {
    const action = 'ModifySnapshotAttribute';
    const body = `<${action}Response xmlns="a"><requestId>1</requestId><return>false</return></${action}Response>`;
    const { said } = await running(customerKey(), { action, times: 100_000, body, status: 200, mutating: true });
    expect(said).toMatch(/Sharing snap-\w+ with 999999999999: .+UnreadableAnswer: HTTP 200/);
  });

  test.each([
    '<html>Forbidden</html>',
    '{"message":"Forbidden"}',
    '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
  ])('a dry run that is answered by a proxy counts as not asked: %s', async (body) => {
    const { said } = await running(procedure(), { action: 'CopySnapshot', body, status: 403 });
    expect(said).toMatch(/may call ec2:CopySnapshot could not be asked \(NotFromAws: HTTP 403/);
  });

  test('so does one that is answered as a call of another kind', async () => {
    const body = '<DescribeVpcsResponse xmlns="a"><vpcSet/></DescribeVpcsResponse>';
    const { said } = await running(procedure(), { action: 'CopySnapshot', times: 9, body, status: 200 });
    expect(said).toMatch(/may call ec2:CopySnapshot could not be asked \(UnreadableAnswer: HTTP 200/);
  });

  test.each(['<html>Blocked</html>', '{"message":"Blocked"}'])(
    'what refuses in AWS’s place is told as such: %s',
    async (body) => {
      const { said } = await running(procedure(), { action: 'DescribeKey', times: 100_000, body, status: 403 });
      expect(said).toMatch(
        /DescribeKey in .+NotFromAws: HTTP 403.+\n.+a proxy, a firewall or an endpoint refuses the call/,
      );
    },
  );

  test('while copies are waited for, what stands between for a while ends nothing', async () => {
    await using house = await openHouse(customerKey({ timings: { secondsPerGiB: 10 } }));
    const { simulator } = house;
    const forget = simulator.onCall(({ action, mutating, account }) => {
      if (action !== 'CopySnapshot' || !mutating || account !== targetAccount) return;
      forget();
      const page = { body: '<html>Blocked</html>', status: 403, nth: 1, times: 3 };
      simulator.addFault({ kind: 'garbled', action: 'DescribeSnapshots', account, ...page });
    });
    const { main } = await runJob(house.run());
    expect([main.conclusion, messagesOf(main)]).toEqual(['success', '']);
    expect(simulator.calls.filter(({ fault }) => fault === 'garbled').length).toBe(3);
  });

  test('what an answer holds is told nowhere', async () => {
    const secret = 'AKIASECRETSECRET0001';
    const half = `<AssumeRoleWithWebIdentityResponse><AccessKeyId>${secret}`;
    const { said, main } = await running(procedure(), {
      action: 'AssumeRoleWithWebIdentity',
      times: 100_000,
      body: half,
    });
    expect(said).toMatch(/UnreadableAnswer: HTTP 200 with \d+ bytes/);
    expect(said + main.log).not.toContain(secret);
  });
});

describe('a look at what was made that fails says nothing against it', () => {
  const types = {
    attributes: { InstanceTypeSpecification: { SupportedInstanceTypes: [{ InstanceType: 'm7i.large' as const }] } },
  };
  const typed = customerKey({ ami: types, policies: ['target-instance-types'] });

  test.each([
    ['at the source, whether it was recalled', customerKey(), ['RegisterImage', sourceAccount]],
    ['after its instance types were set', typed, ['ReplaceImageInstanceTypeSpecification', targetAccount]],
  ] as const)('%s: it stays, and the next run uses it', async (_, shared, [after, account]) => {
    await using house = await openHouse(shared);
    const { simulator } = house;
    const forget = simulator.onCall(({ action, mutating }) => {
      if (action !== after || !mutating) return;
      forget();
      const page = { body: '<html>Blocked</html>', status: 403, nth: 1, times: 1 };
      simulator.addFault({ kind: 'garbled', action: 'DescribeImages', account, ...page });
    });
    const { main } = await runJob(house.run());
    expect(main.conclusion).toBe('failure');
    expect(messagesOf(main)).toMatch(/ami-\w+ stays, though it could not be verified: do not use it/);
    await house.settle();
    const again = await runJob(house.run({}, { run_id: '4712' }));
    expect(recordsOf(again.main).map(({ status }) => status)).toEqual(['reused']);
    await house.settle();
    expect([countOf(simulator, 'RegisterImage'), house.remains()]).toEqual([1, []]);
  });
});
