import { describe, expect, test } from '@jest/globals';
import {
  awsEbs,
  type Case,
  customerKey,
  fanOut,
  mixedVolumes,
  procedure,
  sourceAccount,
  sourceRegion,
  standardCase,
} from '../simulator/scenarios/standard.ts';
import { runJob, settledMs, startSimulator } from './in-process.ts';
import { expectTargets, expectUntouched, imageIn, share, type TargetRecord } from './shared-case.ts';

describe('the main job', () => {
  test.each<[string, Case, { encryptedCopy: boolean; targets: number }]>([
    ["the procedure's case", procedure(), { encryptedCopy: true, targets: 1 }],
    ['an AMI under a customer managed key', customerKey(), { encryptedCopy: false, targets: 1 }],
    ['an AMI under aws/ebs', awsEbs(), { encryptedCopy: true, targets: 1 }],
    ['four volumes of mixed types with an instance-store mapping', mixedVolumes(), { encryptedCopy: true, targets: 1 }],
    ['two accounts × three regions', fanOut(), { encryptedCopy: true, targets: 6 }],
    [
      'new IDs that are seen late, and grants that are in force late',
      fanOut({ timings: { visibleAfterSeconds: 0.7, grantActiveAfterSeconds: 1, latencyMs: 5 } }),
      { encryptedCopy: true, targets: 6 },
    ],
    [
      'the smaller set of KMS needs that was measured',
      procedure({ kmsNeeds: 'measured' }),
      { encryptedCopy: true, targets: 1 },
    ],
  ])('%s', async (_, shared, expected) => {
    const result = await share(shared);
    const { main, post, simulator, before, targets } = result;
    expect(main).toMatchObject({ conclusion: 'success', annotations: [] });
    expect(targets).toHaveLength(expected.targets);
    expect(targets.every(({ status }) => status === 'created')).toBe(true);
    expectTargets(result, shared.amiId);
    expect(simulator.calls.some(({ action }) => action === 'CopyImage')).toBe(expected.encryptedCopy);
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    expect(post).toMatchObject({ conclusion: 'success', annotations: [] });
  });

  test('the outputs name the AMI in every form', async () => {
    const { main, targets } = await share(fanOut({ targets: ['999999999999'], regions: ['eu-west-1'] }));
    const [target] = targets;
    expect(main.outputs).toMatchObject({
      'ami-id': target?.amiId,
      'ami-ids': JSON.stringify({ '999999999999': { 'eu-west-1': target?.amiId } }),
      'ami-ids-by-region': JSON.stringify({ 'eu-west-1': [target?.amiId] }),
      'failed-targets': '[]',
      'source-ami-id': procedure().amiId,
    });
    expect(main.summary).toContain(target?.amiId);
  });

  test('a second run uses what is there', async () => {
    const shared = fanOut();
    const simulator = await startSimulator(shared.scenario);
    const run = { inputs: { ...shared.inputs }, env: simulator.env };
    await runJob(run);
    await simulator.clock.sleep(settledMs);
    const state = simulator.snapshotOfState();
    simulator.calls.length = 0;
    const { main } = await runJob(run);
    expect(main.conclusion).toBe('success');
    expect(JSON.parse(main.outputs.targets ?? '')).toHaveLength(6);
    expect(JSON.parse(main.outputs.targets ?? '').every(({ status }: TargetRecord) => status === 'reused')).toBe(true);
    expect(simulator.snapshotOfState()).toEqual(state);
    expect(simulator.calls.filter(({ mutating }) => mutating)).toEqual([]);
    await simulator.close();
  });

  test('a share and a grant that were there before stay', async () => {
    const shared = standardCase({
      volumes: [{ device: '/dev/xvda', key: 'cmkSource', sharedWith: ['999999999999', '333333333333'] }],
    });
    const { main, simulator, before } = await share(shared);
    expect(main.conclusion).toBe('success');
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
  });

  test('keep-intermediates leaves the encrypted copy, no longer shared, and the next run uses it', async () => {
    const shared = procedure();
    const simulator = await startSimulator(shared.scenario);
    await runJob({ inputs: { ...shared.inputs, 'keep-intermediates': 'true' }, env: simulator.env });
    const source = simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion);
    const [, copy] = [...(source?.images.values() ?? [])];
    expect(copy?.data).toMatchObject({ Name: expect.stringMatching(/^share-encrypted-ami\//), State: 'available' });
    expect([...(source?.snapshots.values() ?? [])].flatMap(({ shares }) => [...shares])).toEqual([]);
    await runJob({
      inputs: { ...shared.inputs, 'target-ami-name': 'another', 'on-existing': 'fail', 'keep-intermediates': 'true' },
      env: simulator.env,
    });
    expect(simulator.calls.filter(({ action, mutating }) => action === 'CopyImage' && mutating)).toHaveLength(1);
    await simulator.close();
  });
});

describe('credentials', () => {
  const ambientTrust = (principal: string) => ({
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { AWS: principal },
        Action: 'sts:AssumeRole',
        Condition: { StringEquals: { 'sts:ExternalId': 'golden' } },
      },
      {
        Effect: 'Allow',
        Principal: { AWS: principal },
        Action: 'sts:TagSession',
        Condition: { StringEquals: { 'aws:RequestTag/team': 'images-999999999999' } },
      },
    ],
  });

  /** The same case with roles that trust `principal` rather than GitHub. */
  function trusting(principals: Record<string, string>, shared: Case, sourceMayAssume: boolean): Case {
    const accounts = Object.entries(shared.scenario.accounts).map(([id, account]) => {
      const roles = Object.entries(account.roles ?? {}).map(([name, role]) => {
        const assume = {
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Resource: '*' }],
        };
        const principal = principals[name];
        const policies = sourceMayAssume && name === 'ami-source' ? [...role.policies, assume] : role.policies;
        return [
          name,
          { ...role, policies, ...(principal !== undefined && { trust: ambientTrust(principal) }) },
        ] as const;
      });
      return [id, { ...account, roles: Object.fromEntries(roles) }] as const;
    });
    return { ...shared, scenario: { ...shared.scenario, accounts: Object.fromEntries(accounts) } };
  }

  test('ambient credentials and AssumeRole with an external ID', async () => {
    const admin = `arn:aws:iam::${sourceAccount}:user/admin`;
    const ambient = procedure({ ambient: { account: sourceAccount }, github: { mayRequestToken: false } });
    const shared = trusting({ 'ami-source': admin, 'ami-target': admin }, ambient, false);
    const result = await share(shared, { 'external-id': 'golden' });
    expect(result.main.conclusion).toBe('success');
    expectTargets(result, shared.amiId);
    expect(result.simulator.calls.some(({ service }) => service === 'token')).toBe(false);
  });

  test('credentials: environment assumes the roles from it, although there is a token', async () => {
    const admin = `arn:aws:iam::${sourceAccount}:user/admin`;
    const ambient = procedure({ ambient: { account: sourceAccount } });
    const shared = trusting({ 'ami-source': admin, 'ami-target': admin }, ambient, false);
    const inputs = { 'external-id': 'golden' };
    const refused = await share(shared, inputs);
    expect(refused.error).toMatch(
      /if the role trusts the credentials in the environment, set credentials to environment/,
    );
    const result = await share(shared, { ...inputs, credentials: 'environment' });
    expect(result.main.annotations).toMatchObject([
      {
        level: 'warning',
        message: expect.stringMatching(/nothing says when \(AWS_CREDENTIAL_EXPIRATION is not set\)/),
      },
    ]);
    expectTargets(result, shared.amiId);
    expect(result.simulator.calls.filter(({ service }) => service === 'token')).toEqual([]);
  });

  test('without a source role, the environment is the source', async () => {
    const ambient = { account: sourceAccount, role: 'ami-source' };
    const shared = trusting(
      { 'ami-target': `arn:aws:iam::${sourceAccount}:role/ami-source` },
      procedure({ ambient }),
      true,
    );
    const inputs = { 'source-role-arn': '', 'external-id': 'golden' };
    const result = await share(shared, { ...inputs, credentials: 'environment' });
    expectTargets(result, shared.amiId);
    const none = await share(procedure(), { ...inputs, credentials: 'environment' });
    expect(none.error).toMatch(/credentials is environment, and the environment has none/);
    const byToken = await share(shared, { ...inputs, credentials: 'oidc' });
    expect(byToken.error).toMatch(/source-role-arn: .*is needed with credentials: oidc/);
    expect(byToken.simulator.calls).toEqual([]);
  });

  test('session tags go where AssumeRole is called, and nowhere else', async () => {
    const mayTag = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'sts:TagSession', Resource: '*' }] };
    const shared = trusting({ 'ami-target': `arn:aws:iam::${sourceAccount}:role/ami-source` }, procedure(), true);
    const inputs = {
      'role-chaining': 'true',
      'external-id': 'golden',
      'role-duration-seconds': '3600',
      'role-session-tags': 'team=images-{account}',
    };
    const denied = await share(shared, inputs);
    expect(denied.error).toMatch(/not authorized to perform: sts:TagSession .*role-session-tags need sts:TagSession/s);
    const policies = shared.scenario.accounts[sourceAccount]?.roles?.['ami-source']?.policies ?? [];
    (policies as object[]).push(mayTag);
    const result = await share(shared, inputs);
    expect(result.error).toBe('');
    const byOidc = await share(procedure(), { 'role-session-tags': 'team=images', 'external-id': 'golden' });
    expect(byOidc.main.annotations).toMatchObject([
      { level: 'warning', message: expect.stringMatching(/role-session-tags and external-id have no effect/) },
    ]);
  });

  test('role chaining: the target role from the source role, by OIDC', async () => {
    const shared = trusting({ 'ami-target': `arn:aws:iam::${sourceAccount}:role/ami-source` }, procedure(), true);
    const result = await share(shared, {
      'role-chaining': 'true',
      'external-id': 'golden',
      'role-duration-seconds': '3600',
    });
    expect(result.main).toMatchObject({ conclusion: 'success' });
    expectTargets(result, shared.amiId);
  });

  // In process, the SDK signs by this machine's clock, and the simulated AWS is half an hour ahead of that.
  test.each([false, true])('a clock that is half an hour slow, role-chaining: %s', async (chaining) => {
    const options = { timings: { signatureSeconds: 300 } };
    const shared = chaining
      ? trusting({ 'ami-target': `arn:aws:iam::${sourceAccount}:role/ami-source` }, procedure(options), true)
      : procedure(options);
    const simulator = await startSimulator(shared.scenario);
    await simulator.clock.sleep(30 * 60_000);
    const inputs = { ...shared.inputs, ...(chaining && { 'role-chaining': 'true', 'external-id': 'golden' }) };
    const { main, post } = await runJob({ inputs, env: simulator.env, clockAheadMs: -30 * 60_000 });
    expect([main.conclusion, post.conclusion]).toEqual(['success', 'success']);
    expect(main.annotations).toMatchObject([
      { level: 'warning', message: expect.stringMatching('the clock of the runner: is 30 minutes behind AWS') },
    ]);
    expectTargets({ simulator, targets: JSON.parse(main.outputs.targets ?? '') }, shared.amiId);
    const refused = simulator.calls.filter(({ outcome }) => /AuthFailure|Signature/.test(outcome));
    const services = new Set(refused.map(({ service }) => service));
    expect(services).toEqual(new Set(['ec2', 'kms', 'sts']));
    await simulator.close();
  });

  test('sessions renew themselves, and one that ends early is replaced', async () => {
    const shared = procedure({ sessionSeconds: 2, timings: { secondsPerGiB: 0.3 } });
    const result = await share(shared);
    expect(result.main.conclusion).toBe('success');
    const assumed = result.simulator.calls.filter(({ action }) => action === 'AssumeRoleWithWebIdentity');
    expect(assumed.length).toBeGreaterThan(4);
  });

  test('a session that AWS ends before its time is replaced, and not merely tried again', async () => {
    const faults = [
      { kind: 'expired-session', service: 'ec2', action: 'RegisterImage', mutating: true, times: 1 },
    ] as const;
    const { main, simulator } = await share(procedure({ faults, timings: { secondsPerGiB: 5 } }));
    expect(main.conclusion).toBe('success');
    const calls = simulator.calls.map(({ action, fault }) => (fault === undefined ? action : fault));
    const ended = calls.indexOf('expired-session');
    expect(ended).toBeGreaterThan(0);
    expect(calls.slice(ended, calls.indexOf('RegisterImage', ended))).toContain('AssumeRoleWithWebIdentity');
  });

  test('credentials that AWS doesn’t know yet are tried again for some seconds', async () => {
    const message = 'AWS was not able to validate the provided access credentials';
    const faults = (
      [
        ['sts', 'GetCallerIdentity', 'InvalidClientTokenId'],
        ['sts', 'AssumeRole', 'ExpiredToken'],
        ['ec2', 'DescribeImages', 'AuthFailure'],
        ['ec2', 'CopySnapshot', 'AuthFailure'],
        ['ec2', 'DescribeSnapshots', 'RequestExpired'],
        ['kms', 'DescribeKey', 'UnrecognizedClientException'],
      ] as const
    ).map(
      ([service, action, code]) =>
        ({ kind: 'refusal', service, action, code, message, status: 401, times: 3 }) as const,
    );
    const source = `arn:aws:iam::${sourceAccount}:role/ami-source`;
    const shared = trusting({ 'ami-target': source }, procedure({ faults }), true);
    const inputs = { 'role-chaining': 'true', 'external-id': 'golden', 'role-duration-seconds': '3600' };
    const result = await share(shared, inputs);
    expect(result.main.annotations).toEqual([]);
    expectTargets(result, shared.amiId);
    const assumed = result.simulator.calls.filter(({ action }) => action.startsWith('AssumeRole'));
    // Not a new session for each refusal.
    expect(assumed.filter(({ outcome }) => outcome === 'ok').length).toBeLessThan(6);
  });

  test('no token and no credentials: one sentence that says what to change', async () => {
    const { main, simulator } = await share(procedure({ github: { mayRequestToken: false } }));
    expect(main.conclusion).toBe('failure');
    expect(main.annotations.map(({ message }) => message).join()).toContain('id-token: write');
    expect(simulator.calls).toEqual([]);
  });

  test('account IDs are masked on request', async () => {
    const wrong = { 'mask-aws-account-id': 'true', 'target-role-arn': 'arn:aws:iam::222222222222:role/x' };
    const refused = (await share(procedure(), wrong)).main;
    expect(refused.annotations).toHaveLength(1);
    expect(refused.annotations[0]?.message).toMatch(/target-role-arn: "arn:aws:iam::\*\*\*:role\/x" [^\d]+$/);
    const { main } = await share(procedure(), { 'mask-aws-account-id': 'true' });
    expect(main.conclusion).toBe('success');
    // What the runner tells of the inputs comes before any mask of the step's own.
    const told = main.log.slice(main.log.indexOf('Reading accounts'));
    for (const account of ['999999999999', sourceAccount]) expect(told).not.toContain(account);
    expect(Object.keys(main.jobOutputs)).toContain('ami-ids-by-region');
  });
});

describe('failures', () => {
  test('bad input: every problem in one message, and no call', async () => {
    const { main, simulator } = await share(procedure(), {
      'ami-id': 'ami-1',
      'max-parallel': 'many',
      'target-regions': 'eu-west-1, moon',
      'role-chaining': 'yes',
    });
    expect(main.conclusion).toBe('failure');
    expect(main.annotations).toHaveLength(1);
    const [{ message = '' } = {}] = main.annotations;
    for (const word of ['ami-id: "ami-1"', 'max-parallel: "many"', 'target-regions: "moon"', 'role-chaining: "yes"'])
      expect(message).toContain(word);
    expect(simulator.calls).toEqual([]);
  });

  test('one target fails, the others go on, and the source is as before', async () => {
    const shared = fanOut({
      faults: [
        {
          kind: 'copy-fails',
          action: 'CopySnapshot',
          account: '222222222222',
          region: 'us-west-2',
          message: 'Internal error of the copy ##[error]x',
        },
      ],
    });
    const { main, simulator, before, targets } = await share(shared);
    expect(main.conclusion).toBe('failure');
    expect(targets.map(({ status }) => status).sort()).toEqual([
      'created',
      'created',
      'created',
      'created',
      'created',
      'failed',
    ]);
    const failed = targets.find(({ status }) => status === 'failed');
    expect(failed).toMatchObject({
      account: '222222222222',
      region: 'us-west-2',
      error: expect.stringContaining('Internal error of the copy'),
    });
    expect(JSON.parse(main.outputs['failed-targets'] ?? '')).toEqual([failed]);
    expect(main.annotations).toHaveLength(1);
    expect(main.stdout).not.toContain('##[');
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    expect(simulator.world.accounts['222222222222']?.regions.get('us-west-2')?.snapshots.size).toBe(0);
    expect(main.summary).toContain('1 of 6 targets failed');
  });

  test('throttling, server errors and resets on the way are got over', async () => {
    const faults = (['throttle', 'server-error', 'reset', 'lost-response'] as const).map((kind) => ({
      kind,
      probability: 0.05,
    }));
    const shared = fanOut({ faults, seed: 7 });
    const result = await share(shared);
    expect(result.main).toMatchObject({ conclusion: 'success' });
    expectTargets(result, shared.amiId);
    expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
  }, 240_000);

  test('what the AMI is called and told of, who calls, and how long a copy may take', async () => {
    const shared = mixedVolumes({ policies: ['source-route-copy', 'target-route-copy'] });
    for (const route of ['register', 'copy']) {
      const { simulator, targets, error, main } = await share(shared, {
        route,
        'target-ami-name': '{name}-{account}-{date}',
        'target-ami-description': '{name} of {source-ami} for {account} in {region}, run {run-id}',
        'role-session-name': 'golden-{account}-{run-id}',
        'copy-tags': 'false',
        tags: 'team=images\nfor={account}/{region}',
        'copy-duration-minutes': '45',
      });
      expect([route, error]).toEqual([route, '']);
      const [{ account = '', region = '', amiId = '' } = {}] = targets;
      const { data } = imageIn(simulator, account, region, amiId);

      expect(data.Name).toMatch(new RegExp(`^golden-mixed-${account}-\\d{8}$`));
      expect(data.Description).toBe(`golden-mixed of ${shared.amiId} for ${account} in ${region}, run 4711`);
      const tags = Object.fromEntries(data.Tags.map(({ Key, Value }) => [Key, Value]));
      expect(tags).toMatchObject({ team: 'images', for: `${account}/${region}` });
      expect(tags).not.toHaveProperty('Name');
      const copies = simulator.calls.filter(
        ({ action, mutating }) => mutating && /^Copy(Image|Snapshot)$/.test(action),
      );
      expect(copies.length).toBeGreaterThan(0);
      for (const { action, request } of copies)
        expect(
          request[action === 'CopyImage' ? 'SnapshotCopyCompletionDurationMinutes' : 'CompletionDurationMinutes'],
        ).toBe(45);
      const sessions = simulator.calls.filter(({ action }) => action === 'AssumeRoleWithWebIdentity');
      expect(sessions.map(({ request }) => request.RoleSessionName).sort()).toEqual([
        `golden-${sourceAccount}-4711`,
        `golden-${account}-4711`,
      ]);
      expect(JSON.parse(main.outputs.plan ?? '').estimate.timedCopyUSD).toBeGreaterThan(0);
    }
  });

  test('a problem is told before anything is changed', async () => {
    const { main, simulator, before } = await share(awsEbs(), { 'source-kms-key': '' });
    expect(main.conclusion).toBe('failure');
    expect(main.annotations[0]?.message).toMatch(/give source-kms-key/);
    expectUntouched({ simulator, before });
  });
});
