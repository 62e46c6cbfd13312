import { describe, expect, test } from '@jest/globals';
import { delegatingPolicy } from '../simulator/scenario.ts';
import {
  type Case,
  customerKey,
  procedure,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
} from '../simulator/scenarios/standard.ts';
import type { RecordedCall } from '../simulator/simulator.ts';
import type { Key, PolicyDocument } from '../simulator/world.ts';
import { messagesOf, openHouse } from './house/house.ts';
import { runAction, runJob, type Simulator, startAction, startSimulator } from './in-process.ts';
import { expectTargets, expectUntouched, share, type TargetRecord } from './shared-case.ts';

/** A key policy that lets the target account use the source key already. */
function openToTarget() {
  const { Statement, ...rest } = delegatingPolicy(sourceAccount) as { Statement: object[] };
  const use = {
    Sid: 'Theirs',
    Effect: 'Allow',
    Principal: { AWS: `arn:aws:iam::${targetAccount}:root` },
    Action: ['kms:DescribeKey', 'kms:Decrypt', 'kms:ReEncryptFrom', 'kms:CreateGrant'],
    Resource: '*',
  };
  return { ...rest, Statement: [...Statement, use] };
}

/** The case with another policy on the source key. */
function withPolicy(shared: Case, policy: PolicyDocument): Case {
  const account = shared.scenario.accounts[sourceAccount];
  const region = account?.regions?.[sourceRegion];
  const keys = { ...region?.keys, cmkSource: { policy } };
  const changed = { ...account, regions: { ...account?.regions, [sourceRegion]: { ...region, keys } } };
  return {
    ...shared,
    scenario: { ...shared.scenario, accounts: { ...shared.scenario.accounts, [sourceAccount]: changed } },
  };
}

/** The default policy with more statements. */
function policyOf(...more: object[]): PolicyDocument {
  const { Statement, ...rest } = delegatingPolicy(sourceAccount) as { Statement: object[] };
  return { ...rest, Statement: [...Statement, ...more] };
}

describe('access that takes long is waited for, though the key could be described all the time', () => {
  const describing = {
    Sid: 'Theirs',
    Effect: 'Allow',
    Principal: { AWS: `arn:aws:iam::${targetAccount}:root` },
    Action: 'kms:DescribeKey',
    Resource: '*',
  };

  test.each(['grant', 'policy'])('%s', async (access) => {
    const late = { grantActiveAfterSeconds: 15, policyActiveAfterSeconds: 15, sharesInForceAfterSeconds: 0 };
    const given = customerKey({ policies: ['source-key-policy'], timings: { secondsPerGiB: 0.01, ...late } });
    const shared = withPolicy(given, policyOf(describing));
    const { error, targets, simulator } = await share(shared, { 'source-key-access': access });
    expect(error).toBe('');
    expectTargets({ simulator, targets }, shared.amiId);
    // One copy was begun, and none in vain.
    const copies = simulator.calls.filter(({ action, mutating }) => action === 'CopySnapshot' && mutating);
    expect(copies).toHaveLength(1);
    // What EC2 alone may ask for is not asked for.
    const grants = simulator.calls.filter(
      ({ action, account }) => action === 'CreateGrant' && account === targetAccount,
    );
    expect(grants).toEqual([]);
  });
});

const byPolicy = { policies: ['source-key-policy'] };
const access = { 'source-key-access': 'policy' };

function sourceKeyIn({ world }: Simulator): Key {
  const region = world.accounts[sourceAccount]?.regions.get(sourceRegion);
  const key = region?.keys.get(region.aliases.get('alias/cmkSource') ?? '');
  if (key === undefined) throw new Error('no source key');
  return key;
}

const policyText = (simulator: Simulator) => JSON.stringify(sourceKeyIn(simulator).policy);

/** A policy as it is written, but for the order of principals: KMS gives them in any. */
function writtenPolicy(policy: PolicyDocument): string {
  return JSON.stringify(policy, (name, value) => (name === 'AWS' && Array.isArray(value) ? value.toSorted() : value));
}

/** Runs main and post on the case while somebody else does something at calls. */
async function shareWhile(shared: Case, meddle: (simulator: Simulator, call: RecordedCall) => void) {
  const simulator = await startSimulator(shared.scenario);
  simulator.onCall((call) => meddle(simulator, call));
  try {
    const { main, post } = await runJob({ inputs: { ...shared.inputs, ...access }, env: simulator.env });
    const targets = JSON.parse(main.outputs.targets ?? '[]') as TargetRecord[];
    return { simulator, main, post, targets };
  } finally {
    await simulator.close();
  }
}

test('policy: statements for the target accounts, taken out again without a trace', async () => {
  const shared = procedure({ policies: ['source-key-policy'] });
  const result = await share(shared, { 'source-key-access': 'policy' });
  expect(result.error).toBe('');
  expectTargets(result, shared.amiId);
  expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
  const actions = result.simulator.calls.filter(({ mutating }) => mutating).map(({ action }) => action);
  expect(actions.filter((action) => action === 'PutKeyPolicy')).toHaveLength(2);
  expect(actions).not.toContain('CreateGrant');
});

test('existing: nothing is touched where the key policy lets the target account in', async () => {
  const shared = withPolicy(customerKey(), openToTarget());
  const result = await share(shared, { 'source-key-access': 'existing' });
  expect(result.error).toBe('');
  expectTargets(result, shared.amiId);
  const actions = result.simulator.calls.filter(({ mutating }) => mutating).map(({ action }) => action);
  for (const action of ['CreateGrant', 'PutKeyPolicy']) expect(actions).not.toContain(action);
});

test('existing, where the key lets nobody in: the statement that is missing is told', async () => {
  const result = await share(customerKey(), { 'source-key-access': 'existing' });
  expect(result.error).toMatch(
    /ami-target is not allowed to call kms:DescribeKey on arn:aws:kms:\S+\n +What to do: add to the policy of that key: \{"Effect":"Allow","Principal":\{"AWS":"arn:aws:iam::999999999999:root"\},"Action":\["kms:DescribeKey",/,
  );
  expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
});

describe('policy, with others at it', () => {
  /** A race shows only now and then. */
  const nightly = process.env.NIGHTLY === 'true';
  const rounds = Array.from({ length: nightly ? 10 : 1 }, (_, index) => [index + 1, index % 2 === 1 ? 1.5 : 0]);

  test.each(rounds)(
    'six runs at once on one AMI: all succeed, and the policy is as it was (%i: a change is seen after %d s)',
    async (_, policyActiveAfterSeconds = 0) => {
      const regions = ['eu-west-1', 'eu-west-2', 'eu-central-1', 'us-west-2', 'ap-southeast-2', 'sa-east-1'];
      const options: StandardOptions = {
        ...byPolicy,
        regions,
        timings: { policyActiveAfterSeconds },
        // Slow now and then, so that what was read is old when it is put.
        faults: [
          { kind: 'delay', action: 'GetKeyPolicy', probability: 0.2, times: 1000, ms: 300 },
          { kind: 'delay', action: 'PutKeyPolicy', probability: 0.3, times: 1000, ms: 700 },
        ],
      };
      const shared = standardCase({ ...options, volumes: [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }] });
      const simulator = await startSimulator(shared.scenario);
      const before = simulator.snapshotOfState(sourceAccount);
      const policy = JSON.stringify(sourceKeyIn(simulator).policy);
      try {
        const jobs = await Promise.all(
          regions.map((region) =>
            runJob({ inputs: { ...shared.inputs, ...access, 'target-regions': region }, env: simulator.env }),
          ),
        );
        expect(jobs.map(({ main, post }) => [main.conclusion, main.annotations, post.annotations])).toEqual(
          jobs.map(() => ['success', [], []]),
        );
        const targets = jobs.flatMap(({ main }) => JSON.parse(main.outputs.targets ?? '[]') as TargetRecord[]);
        expectTargets({ simulator, targets }, shared.amiId);
        expect(targets).toHaveLength(regions.length);
        expect(JSON.stringify(sourceKeyIn(simulator).policy)).toBe(policy);
        expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
      } finally {
        await simulator.close();
      }
    },
    240_000,
  );

  test('what another adds while a run is at it is kept', async () => {
    const shared = customerKey(byPolicy);
    const added: string[] = [];
    const theirs = (Sid: string) => ({ ...(policyOf().Statement as object[])[0], Sid });
    // The first look of preflight, of the run as it opens the key, and of its clean-up.
    const after = { preflight: 'DescribeKey', opening: 'CreateTags', 'clean-up': 'RegisterImage' };
    const seen = new Set<string>();
    const { simulator, main, targets } = await shareWhile(shared, (simulator, { action, mutating }) => {
      if (action === 'DescribeKey' || mutating) seen.add(action);
      if (action !== 'GetKeyPolicy') return;
      const key = sourceKeyIn(simulator);
      for (const [when, call] of Object.entries(after)) {
        if (!seen.has(call) || added.includes(when)) continue;
        added.push(when);
        key.policy = { ...key.policy, Statement: [...(key.policy.Statement as object[]), theirs(when)] };
      }
    });
    expect(main.conclusion).toBe('success');
    expectTargets({ simulator, targets }, shared.amiId);
    expect(added).toEqual(Object.keys(after));
    expect(sourceKeyIn(simulator).policy).toEqual(policyOf(...added.map(theirs)));
  });

  test('a cancel takes the statement out in the time that the runner gives, without post', async () => {
    const shared = customerKey({ ...byPolicy, timings: { secondsPerGiB: 10 } });
    const simulator = await startSimulator(shared.scenario);
    const before = simulator.snapshotOfState(sourceAccount);
    const cancel = new AbortController();
    simulator.onCall(({ action, mutating }) => {
      if (mutating && action === 'CopySnapshot') cancel.abort();
    });
    try {
      const inputs = { ...shared.inputs, ...access };
      const main = await runAction({ inputs, env: simulator.env, signals: cancel.signal });
      expect(main.signal).toBeNull();
      expect(main.stdout).toContain('took the statements out of the policy');
      expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    } finally {
      await simulator.close();
    }
  });

  describe('a statement that is put as the run is told to stop, or dies, and that KMS shows only minutes later, is told', () => {
    const timings = { secondsPerGiB: 10 };
    const lateReads: StandardOptions = { timings: { ...timings, policyActiveAfterSeconds: 100 } };
    const slow = { kind: 'delay', action: 'PutKeyPolicy', nth: 1, times: 1, ms: 60_000 } as const;
    test.each([
      ['since reads are late', 'cancel', lateReads],
      ['since reads are late', 'kill', lateReads],
      ['since the call has its effect late', 'cancel', { timings, faults: [slow] }],
    ] as const)('%s (%s); the next run takes it out', async (_, how, options) => {
      await using house = await openHouse(customerKey({ ...byPolicy, ...options }));
      const { simulator } = house;
      const before = policyText(simulator);
      const running = startAction(house.run(access));
      // The first look is the check's; what follows the third is the put.
      let looks = 0;
      const forget = simulator.onCall(({ action }) => {
        if (action === 'GetKeyPolicy' && ++looks === 3) void simulator.clock.sleep(1000).then(running[how]);
      });
      const main = await running.result;
      forget();
      const post = await runAction({ ...house.run(access), entry: 'post', state: main.state, temp: main.temp });
      await simulator.clock.sleep(300_000);
      expect(policyText(simulator)).toMatch(/ShareEncryptedAmi[0-9a-f]{12}Grant/);
      const told = new RegExp(
        'left behind: Restoring the policy of (arn:\\S+) in 111111111111: Seeing that (ShareEncryptedAmi[0-9a-f]{12}) and \\2Grant are out of it: ' +
          '.+ aws kms get-key-policy --region us-east-1 --key-id \\1 .+ aws kms put-key-policy --region us-east-1 --key-id \\1 ',
      );
      if (how === 'cancel') expect(messagesOf(main)).toMatch(told);
      expect(messagesOf(post)).toMatch(told);
      const next = await runJob(house.run(access, { run_id: '4712' }));
      expect([next.main.conclusion, messagesOf(next.main), messagesOf(next.post)]).toEqual(['success', '', '']);
      await simulator.clock.sleep(300_000);
      expect(policyText(simulator)).toBe(before);
    });

    test('but not what KMS refused, nor what was seen to go', async () => {
      const refused = {
        kind: 'refusal',
        action: 'PutKeyPolicy',
        code: 'AccessDeniedException',
        message: 'no',
      } as const;
      const { main, post } = await share(customerKey({ ...byPolicy, faults: [refused] }), access);
      expect(main.conclusion).toBe('failure');
      expect(messagesOf(main)).toMatch(/PutKeyPolicy in 111111111111.us-east-1: AccessDeniedException/);
      expect(messagesOf(main)).not.toMatch(/left behind/);
      expect(messagesOf(post)).toBe('');
    });
  });

  type Losing = { on: (call: RecordedCall) => boolean; says: RegExp };
  const losses: Record<string, Losing> = {
    'as it is put': { on: ({ action }) => action === 'PutKeyPolicy', says: /added statements/ },
    'before the target sees it': {
      // The second look at it says that it stands.
      on: (() => {
        let looks = 0;
        return ({ action }) => action === 'GetKeyPolicy' && ++looks === 2;
      })(),
      says: /added statements[\s\S]*added statements/,
    },
    'when the target has seen it': {
      on: ({ action, account, region }) => action === 'Decrypt' && account === targetAccount && region === sourceRegion,
      says: /added statements[\s\S]*added statements[\s\S]*copying again/,
    },
  };
  test.each(Object.entries(losses))('a statement that is lost %s is added again', async (_, { on, says }) => {
    // The looks are counted.
    const shared = customerKey({ ...byPolicy, timings: { policyActiveAfterSeconds: 0 } });
    let put = false;
    let lost = false;
    const { simulator, main, targets } = await shareWhile(shared, (simulator, call) => {
      put ||= call.action === 'PutKeyPolicy';
      if (lost || !put || !on(call)) return;
      lost = true;
      sourceKeyIn(simulator).policy = policyOf();
    });
    expect(lost).toBe(true);
    const untold = main.annotations.filter(({ message }) => !/the statement in .+ was taken away/.test(message));
    expect([main.conclusion, untold]).toEqual(['success', []]);
    expect(main.stdout).toMatch(says);
    expectTargets({ simulator, targets }, shared.amiId);
    expect(sourceKeyIn(simulator).policy).toEqual(policyOf());
  });

  test('others’ statements, the order of keys and form are left alone; two writes do', async () => {
    const [first] = policyOf().Statement as object[];
    const root = `arn:aws:iam::${sourceAccount}:root`;
    const policy = {
      Statement: [
        first,
        {
          Resource: '*',
          Condition: { StringEquals: { 'kms:ViaService': 'ec2.us-east-1.amazonaws.com' } },
          Action: 'kms:Decrypt',
          Principal: { AWS: [root, `arn:aws:iam::${targetAccount}:root`, '222222222222'] },
          Effect: 'Allow',
        },
        { Sid: 'Everybody', Effect: 'Deny', Principal: '*', Action: ['kms:Sign'], Resource: '*' },
        { ...first, Sid: 'ShareEncryptedAmi of another run' },
      ],
      Id: 'written by hand: ä',
      Version: '2012-10-17',
    };
    const shared = withPolicy(customerKey({ ...byPolicy, targets: [targetAccount, '222222222222'] }), policy);
    const { simulator, main, targets } = await shareWhile(shared, () => {});
    expect(main.conclusion).toBe('success');
    expectTargets({ simulator, targets }, shared.amiId);
    expect(writtenPolicy(sourceKeyIn(simulator).policy)).toBe(writtenPolicy(policy));
    expect(simulator.calls.filter(({ action }) => action === 'PutKeyPolicy')).toHaveLength(2);
  });
});

describe('policy: what KMS would refuse, the dry run says', () => {
  test('a policy that is too long with one statement more', async () => {
    const long = { ...(policyOf().Statement as object[])[0], Sid: 'x'.repeat(32_400) };
    const result = await share(withPolicy(customerKey(byPolicy), policyOf(long)), { ...access, 'dry-run': 'true' });
    expect(result.error).toMatch(
      /the policy of arn:aws:kms:\S+ would be of 3\d{4} bytes [^\n]+ KMS takes 32768\n +What to do: set source-key-access to grant/,
    );
    expectUntouched(result);
  });

  test('a principal that was deleted', async () => {
    const gone = { Effect: 'Allow', Principal: { AWS: 'AROAEXAMPLEEXAMPLE123' }, Action: 'kms:Sign', Resource: '*' };
    const shared = withPolicy(customerKey(byPolicy), policyOf(gone));
    const result = await share(shared, { ...access, 'dry-run': 'true' });
    expect(result.error).toMatch(
      /the policy of arn:aws:kms:\S+ names AROAEXAMPLEEXAMPLE123, which was deleted[^\n]+\n +What to do: remove that principal/,
    );
    expectUntouched(result);
  });

  test('should a principal be deleted after that, KMS’s refusal is told with what to do, and nothing is left', async () => {
    const shared = customerKey(byPolicy);
    const gone = { Effect: 'Allow', Principal: { AWS: 'AROAEXAMPLEEXAMPLE123' }, Action: 'kms:Sign', Resource: '*' };
    const { simulator, main } = await shareWhile(shared, (simulator, { action, mutating }) => {
      if (mutating && action === 'CreateTags') sourceKeyIn(simulator).policy = policyOf(gone);
    });
    const [message = ''] = main.annotations.map(({ message }) => message);
    expect(message).toMatch(
      /Adding statements to the policy of arn:\S+: PutKeyPolicy in \S+: MalformedPolicyDocumentException: .+invalid principals\. What to do: .*Remove from the policy of the key/,
    );
    expect(sourceKeyIn(simulator).policy).toEqual(policyOf(gone));
  });
});
