import { describe, expect, test } from '@jest/globals';
import type { ActionResult } from '../simulator/runner.ts';
import {
  type Case,
  procedure,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  standardCase,
} from '../simulator/scenarios/standard.ts';
import { messagesOf, recordsOf, stockOf } from './house/house.ts';
import { runAction, runJob, type Simulator, settledMs, startSimulator } from './in-process.ts';
import { expectUntouched, share } from './shared-case.ts';

/* Targets that the others can do without: by on-problem, or since they are optional. */

const [good, bad, worse] = ['999999999999', '222222222222', '333333333333'] as const;
const publishing = ['target-publish', 'target-ssm-parameter', 'target-retain'];
const parameter = '/golden/latest';

/** Three accounts with one region each. */
const three = (options: StandardOptions = {}): Case =>
  standardCase({ targets: [good, bad, worse], policies: publishing, ...options });

/** Takes a role away, so that nobody can assume it. */
function dropRole({ world }: Simulator, account: string): void {
  world.accounts[account]?.roles.delete('ami-target');
}

/** Takes an action out of what a role may do. */
function deny({ world }: Simulator, account: string, action: string): void {
  const role = world.accounts[account]?.roles.get('ami-target');
  if (role === undefined) throw new Error(`account ${account} has no role`);
  role.policies = JSON.parse(JSON.stringify(role.policies).replaceAll(`"${action}"`, '"ec2:DescribeRegions"'));
}

const statusesOf = (main: ActionResult) =>
  Object.fromEntries(recordsOf(main).map(({ account, region, status }) => [`${account}/${region}`, status]));

const imagesIn = (simulator: Simulator, account: string, region = 'eu-west-1') =>
  stockOf(simulator, account, region)
    .images.map(({ data }) => data.ImageId)
    .sort();

function parameterIn({ world }: Simulator, account: string, region = 'eu-west-1'): string | undefined {
  return world.accounts[account]?.regions.get(region)?.parameters.get(parameter)?.value;
}

const levelsOf = ({ annotations }: ActionResult) => annotations.map(({ level, title }) => [level, title]);

describe('with on-problem: skip', () => {
  test('the others are shared, and what waits for all targets stays as it is', async () => {
    const shared = three({ regions: ['eu-west-1', 'us-west-2'] });
    const simulator = await startSimulator(shared.scenario);
    const inputs = { ...shared.inputs, 'ssm-parameter': parameter, 'target-ami-name': '{name} {run-id}' };
    const first = await runJob({ inputs, env: simulator.env });
    expect(first.main.conclusion).toBe('success');
    const before = imagesIn(simulator, good);
    // One is found to have a problem as it is read, one when AWS is asked.
    dropRole(simulator, bad);
    deny(simulator, worse, 'ec2:CopySnapshot');
    const again = { ...inputs, 'on-problem': 'skip', 'on-existing': 'replace' };
    const { main, post } = await runJob({ inputs: again, env: simulator.env, github: { run_id: '4712' } });
    expect([main.conclusion, post.conclusion]).toEqual(['failure', 'success']);
    expect(statusesOf(main)).toEqual({
      [`${good}/eu-west-1`]: 'created',
      [`${good}/us-west-2`]: 'created',
      [`${bad}/eu-west-1`]: 'failed',
      [`${bad}/us-west-2`]: 'failed',
      [`${worse}/eu-west-1`]: 'failed',
      [`${worse}/us-west-2`]: 'failed',
    });
    const failed = JSON.parse(main.outputs['failed-targets'] ?? '') as { error: string; amiId: null }[];
    expect(failed.map(({ amiId }) => amiId)).toEqual([null, null, null, null]);
    expect(failed[0]?.error).toMatch(/AssumeRole.*What to do: /s);
    expect(failed[2]?.error).toMatch(/is not allowed to call ec2:CopySnapshot.*What to do: add to its policy/s);
    expect(levelsOf(main)).toEqual([
      ['warning', undefined],
      ...[bad, worse].flatMap((account) =>
        ['eu-west-1', 'us-west-2'].map((region) => ['error', `${account}/${region}`]),
      ),
    ]);
    expect(messagesOf(main)).toContain(
      'no SSM parameter is set, no launch template gets a version, and no older AMI is removed',
    );
    expect(main.summary).toContain('❌ 4 of 6 targets failed; 2 AMIs are ready');
    expect(main.stdout).toMatch(/ to 2 of 6 targets/);
    // The new AMI is beside the old one, which the parameter names.
    expect(imagesIn(simulator, good)).toEqual(expect.arrayContaining(before));
    expect(imagesIn(simulator, good)).toHaveLength(2);
    expect(parameterIn(simulator, good)).toBe(before[0]);
    expect(imagesIn(simulator, worse)).toHaveLength(1);
    await simulator.close();
  });

  test('the plan that is approved tells who is left out, in a dry run that succeeds', async () => {
    const shared = three({ policies: [] });
    const simulator = await startSimulator(shared.scenario);
    const role = simulator.world.accounts[bad]?.roles.get('ami-target');
    dropRole(simulator, bad);
    const inputs = { ...shared.inputs, 'on-problem': 'skip' };
    const dry = await runAction({ inputs: { ...inputs, 'dry-run': 'true' }, env: simulator.env });
    expect(dry.conclusion).toBe('success');
    expect(levelsOf(dry)).toEqual([['warning', `${bad}/eu-west-1`]]);
    expect(statusesOf(dry)).toMatchObject({ [`${bad}/eu-west-1`]: 'failed', [`${good}/eu-west-1`]: 'planned' });
    expect(dry.summary).toContain('2 of 3 AMIs would be made; 1 left out');
    expect(JSON.parse(dry.outputs.plan ?? '').approved.leftOut).toEqual([`${bad}/eu-west-1`]);
    const expected = { 'expect-plan-digest': dry.outputs['plan-digest'] ?? '' };
    // Mended meanwhile: that is another plan.
    if (role !== undefined) simulator.world.accounts[bad]?.roles.set('ami-target', role);
    const mended = await runJob({ inputs: { ...inputs, ...expected }, env: simulator.env });
    expect(messagesOf(mended.main)).toMatch(/not the one that was approved.*the targets: .*or which are left out/s);
    expect(imagesIn(simulator, good)).toEqual([]);
    dropRole(simulator, bad);
    // So is one without one more; found only when AWS is asked.
    const copying = simulator.world.accounts[worse]?.roles.get('ami-target')?.policies;
    deny(simulator, worse, 'ec2:CopySnapshot');
    const fewer = await runJob({ inputs: { ...inputs, ...expected }, env: simulator.env });
    expect(messagesOf(fewer.main)).toMatch(/not the one that was approved.*or which are left out/s);
    expect(imagesIn(simulator, good)).toEqual([]);
    const other = simulator.world.accounts[worse]?.roles.get('ami-target');
    if (other !== undefined && copying !== undefined) other.policies = copying;
    const { main } = await runJob({ inputs: { ...inputs, ...expected }, env: simulator.env });
    expect(statusesOf(main)).toMatchObject({ [`${bad}/eu-west-1`]: 'failed', [`${good}/eu-west-1`]: 'created' });
    await simulator.close();
  });

  test('a problem of the source, or of its key, ends the run as ever', async () => {
    const result = await share(procedure(), { 'on-problem': 'skip', 'source-kms-key': '' });
    expect(result.main.conclusion).toBe('failure');
    expect(result.error).toMatch(/A problem was found before anything was changed.*give source-kms-key/s);
    expectUntouched(result);
  });

  test('what a role lacks on the source key leaves out each target of that role, and where none is left nothing is done', async () => {
    const shared = standardCase({
      regions: ['eu-west-1', 'us-west-2'],
      volumes: [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }],
    });
    const simulator = await startSimulator(shared.scenario);
    const before = simulator.snapshotOfState(sourceAccount);
    // It is asked once for the account, in the source's region.
    const role = simulator.world.accounts[good]?.roles.get('ami-target');
    const denied = {
      Version: '2012-10-17' as const,
      Statement: [
        { Effect: 'Deny' as const, Action: 'kms:DescribeKey', Resource: `arn:aws:kms:${sourceRegion}:*:key/*` },
      ],
    };
    role?.policies.push(denied);
    const inputs = { ...shared.inputs, 'on-problem': 'skip', 'source-key-access': 'existing' };
    const { main } = await runJob({ inputs, env: simulator.env });
    expect(statusesOf(main)).toEqual({ [`${good}/eu-west-1`]: 'failed', [`${good}/us-west-2`]: 'failed' });
    expect(recordsOf(main).map(({ error }) => error)).toEqual([
      expect.stringContaining('kms:DescribeKey'),
      expect.stringContaining('kms:DescribeKey'),
    ]);
    expect(main.conclusion).toBe('failure');
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    await simulator.close();
  });
});

describe('optional targets', () => {
  test('fail with a warning, whether before or while the run makes them, and hold back nothing', async () => {
    const shared = three();
    const simulator = await startSimulator(shared.scenario);
    const inputs = { ...shared.inputs, 'ssm-parameter': parameter, 'target-ami-name': '{name} {run-id}' };
    const first = await runJob({ inputs, env: simulator.env });
    expect(first.main.conclusion).toBe('success');
    await simulator.clock.sleep(settledMs);
    const before = Object.fromEntries([good, bad, worse].map((one) => [one, imagesIn(simulator, one)]));
    simulator.addFault({ kind: 'copy-fails', action: 'CopySnapshot', account: worse, mutating: true, times: 100 });
    dropRole(simulator, bad);
    const optional = {
      'optional-targets': `${bad}/*, ${worse}/eu-west-1`,
      'on-existing': 'replace',
      'fail-fast': 'true',
    };
    const { main } = await runJob({
      inputs: { ...inputs, ...optional },
      env: simulator.env,
      github: { run_id: '4712' },
    });
    expect(messagesOf(main)).not.toContain('no SSM parameter is set');
    expect(levelsOf(main)).toEqual([
      ['warning', `${bad}/eu-west-1 (optional)`],
      ['warning', `${worse}/eu-west-1 (optional)`],
    ]);
    expect(main.conclusion).toBe('success');
    expect(recordsOf(main)).toMatchObject([
      { account: good, status: 'created' },
      { account: bad, status: 'failed', optional: true },
      { account: worse, status: 'failed', optional: true },
    ]);
    expect(main.summary).toContain('⚠️ 1 of 3 AMIs are ready; the others are optional, and failed');
    const [made, ...more] = imagesIn(simulator, good);
    expect([before[good]?.includes(made ?? ''), more]).toEqual([false, []]);
    expect(parameterIn(simulator, good)).toBe(made);
    // Where they failed, everything is as it was.
    for (const account of [bad, worse]) {
      expect(imagesIn(simulator, account)).toEqual(before[account]);
      expect(parameterIn(simulator, account)).toBe(before[account]?.[0]);
      expect(stockOf(simulator, account, 'eu-west-1').snapshots).toHaveLength(1);
    }
    await simulator.close();
  });

  test('set their own parameters after the others, each by itself', async () => {
    const shared = three();
    const faults = [
      { kind: 'refusal', code: 'AccessDeniedException', action: 'PutParameter', account: bad, times: 100 },
    ] as const;
    const inputs = { 'ssm-parameter': parameter, 'optional-targets': `${bad}/*\n${worse}/*` };
    const optional = await share({ ...shared, scenario: { ...shared.scenario, faults } }, inputs);
    expect(optional.main.conclusion).toBe('success');
    expect(optional.targets.map(({ status }) => status)).toEqual(['created', 'created', 'created']);
    for (const waited of ['every target is ready', `${worse}/eu-west-1 is ready`, 'all is set for every target'])
      expect(optional.main.stdout).toMatch(new RegExp(` {2}${waited}$`, 'm'));
    const held = [good, bad, worse].map((account) => parameterIn(optional.simulator as Simulator, account));
    expect(held).toEqual([optional.targets[0]?.amiId, undefined, optional.targets[2]?.amiId]);
    expect(levelsOf(optional.main)).toEqual([['warning', undefined]]);
    expect(messagesOf(optional.main)).toMatch(/222222222222\/eu-west-1 \(optional\): Setting the SSM parameter/);
    // One that the others can't do without holds theirs back.
    const needed = await share(
      { ...shared, scenario: { ...shared.scenario, faults } },
      { ...inputs, 'optional-targets': `${worse}/*` },
    );
    expect(needed.main.conclusion).toBe('failure');
    expect(needed.targets.map(({ status }) => status)).toEqual(['created', 'created', 'created']);
    expect([good, bad, worse].map((one) => parameterIn(needed.simulator as Simulator, one))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('fail no job by what they keep, which is told, and which the next run sees to', async () => {
    const shared = three({ policies: [] });
    const simulator = await startSimulator({
      ...shared.scenario,
      faults: [
        { kind: 'refusal', code: 'InvalidParameter', action: 'RegisterImage', account: bad, mutating: true, times: 1 },
      ],
    });
    const policies = simulator.world.accounts[bad]?.roles.get('ami-target')?.policies;
    const forget = simulator.onCall(({ action, account, mutating }) => {
      if (action === 'CopySnapshot' && account === bad && mutating) deny(simulator, bad, 'ec2:DeleteSnapshot');
    });
    const inputs = { ...shared.inputs, 'optional-targets': `${bad}/*` };
    const { main } = await runJob({ inputs, env: simulator.env });
    forget();
    expect(main.conclusion).toBe('success');
    expect(statusesOf(main)[`${bad}/eu-west-1`]).toBe('failed');
    const left = stockOf(simulator, bad, 'eu-west-1').snapshots;
    expect(left).not.toEqual([]);
    for (const { data } of left)
      expect(messagesOf(main)).toMatch(new RegExp(`left behind in an optional target: .*${data.SnapshotId}`));
    const role = simulator.world.accounts[bad]?.roles.get('ami-target');
    if (role !== undefined && policies !== undefined) role.policies = policies;
    const next = await runJob({ inputs, env: simulator.env, github: { run_id: '4712' } });
    expect(messagesOf(next.main)).toBe('');
    const { images, snapshots } = stockOf(simulator, bad, 'eu-west-1');
    expect([images.length, snapshots.length]).toEqual([1, 1]);
    await simulator.close();
  });

  test('a needed target with a problem ends the run, and the optional ones’ problems are told with it', async () => {
    const shared = three();
    const simulator = await startSimulator(shared.scenario);
    for (const account of [bad, worse]) dropRole(simulator, account);
    const { main } = await runJob({ inputs: { ...shared.inputs, 'optional-targets': `${bad}/*` }, env: simulator.env });
    expect(main.conclusion).toBe('failure');
    for (const account of [bad, worse])
      expect(messagesOf(main)).toMatch(
        new RegExp(`2 problems were found before anything was changed.*${account}`, 's'),
      );
    expect(imagesIn(simulator, good)).toEqual([]);
    await simulator.close();
  });
});
