import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { runAction, startAction } from '../simulator/runner.ts';
import { customerKey, fanOut, procedure, sourceAccount } from '../simulator/scenarios/standard.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { copiedFrom, expectTargets, expectUntouched, shareBuilt, type TargetRecord } from './shared-case.ts';

const root = join(import.meta.dirname, '..');

/** A case whose target AMIs are there already, so that nothing is left to do but to set the SSM parameters. */
function manyReady(size: { accounts: number; regions: number; parameters: Record<string, string> }) {
  const { amiId } = fanOut();
  const tags = { 'share-encrypted-ami:source-ami': amiId };
  const volumes = [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkTarget', tags, copied: copiedFrom(amiId) }];
  return fanOut({
    targets: Array.from({ length: size.accounts }, (_, index) => String(300_000_000_000 + index)),
    regions: Array.from({ length: size.regions }, (_, index) => `eu-west-${index + 1}`),
    policies: ['target-ssm-parameter'],
    target: { parameters: size.parameters, amis: [{ name: 'golden-image', tags, volumes }] },
  });
}

/*
 * What the runner starts is dist/, in a process of its own: its signals, its files, its connections. A case of each kind
 * is played with it here; what only decides is tried in one process (in-process.ts), by the same code.
 */

describe('the built action', () => {
  test.concurrent('and the others start from their own folders, by the same bundle', async () => {
    const shared = procedure({ policies: ['target-audit'] });
    const simulator = await startSimulator(shared.scenario);
    const others = ['audit', 'sweep'].map((name) =>
      runAction({ inputs: shared.inputs, env: simulator.env, actionFolder: join(root, name) }),
    );
    const [audited, swept] = await Promise.all(others);
    await simulator.close();
    expect(audited?.annotations.map(({ message }) => message)).toEqual([
      `999999999999/eu-west-1: missing: there is no AMI of ${shared.amiId}`,
    ]);
    expect(audited?.outputs['missing-targets']).toBe('[{"account":"999999999999","region":"eu-west-1"}]');
    expect([swept?.conclusion, swept?.annotations]).toEqual(['success', []]);
  });

  const nightly = process.env.NIGHTLY === 'true';
  // A copy takes long enough to be broken off.
  const slow = { timings: { secondsPerGiB: 0.15 } };
  const run = (shared: ReturnType<typeof fanOut>, env: Record<string, string>) => ({
    inputs: { ...shared.inputs, 'poll-interval': '1' },
    env,
  });

  // What waits longest begins first.
  // Unpacked, what is saved here would be more than an environment variable holds, as that of 1,500 targets is, which take
  // a minute: these few have long names.
  test.concurrent(
    'post starts, and puts back the SSM parameters of many targets',
    async () => {
      const name = nightly ? '/golden/latest' : `/golden/${'x'.repeat(900)}`;
      const former = 'ami-00000000000000001';
      const shared = manyReady({ accounts: nightly ? 30 : 6, regions: 50, parameters: { [name]: former } });
      const simulator = await startSimulator(shared.scenario);
      const valuesOf = () =>
        Object.values(simulator.world.accounts).flatMap(({ regions }) =>
          [...regions.values()].flatMap(({ parameters }) => {
            const parameter = parameters.get(name);
            return parameter?.coming?.value ?? parameter?.value ?? [];
          }),
        );
      const { length: count } = valuesOf();
      const job = { inputs: { ...shared.inputs, 'ssm-parameter': name }, env: simulator.env };
      const action = startAction(job);
      let puts = 0;
      simulator.onCall(({ action: called, mutating }) => {
        if (called === 'PutParameter' && mutating && ++puts === Math.round(count / 10)) action.kill();
      });
      const main = await action.result;
      expect(main.signal).toBe('SIGKILL');
      // AWS looks at what it was given last.
      await new Promise((resolve) => setTimeout(resolve, 300));
      const set = valuesOf().filter((value) => value !== former).length;
      // Some 256 were under way.
      expect([set > count / 10, set < count]).toEqual([true, true]);
      for (const value of Object.values(main.state)) expect(value.length).toBeLessThanOrEqual(30_000);
      const post = await runAction({ ...job, entry: 'post', state: main.state, temp: main.temp });
      expect([post.conclusion, post.annotations]).toEqual(['success', []]);
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(new Set(valuesOf())).toEqual(new Set([former]));
      await simulator.close();
    },
    nightly ? 300_000 : 60_000,
  );

  test.concurrent.each(['cancel', 'kill'] as const)(
    'at a %s: the source is as before, and the re-run finishes',
    async (end) => {
      const shared = fanOut({ ...slow, targets: ['999999999999'], regions: ['eu-west-1', 'us-west-2'] });
      const simulator = await startSimulator(shared.scenario);
      const before = simulator.snapshotOfState(sourceAccount);
      const job = run(shared, simulator.env);
      const action = startAction(job);
      simulator.onCall((call) => {
        if (call.action === 'CopySnapshot' && call.mutating && call.account !== sourceAccount) action[end]();
      });
      const main = await action.result;
      expect(main.signal).toBe(end === 'kill' ? 'SIGKILL' : null);
      if (end === 'cancel') {
        // Access is gone before the runner loses patience.
        expect(main.conclusion).toBe('cancelled');
        expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
        await runAction({ ...job, entry: 'post', state: main.state });
      }
      // That the killed process is gone, only /proc tells; without post, its lease must be seen to be dead.
      const again = await runAction({ ...job, github: { run_attempt: '2' } });
      expect([again.conclusion, again.annotations]).toEqual(['success', []]);
      expectTargets({ simulator, targets: JSON.parse(again.outputs.targets ?? '[]') }, shared.amiId);
      expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
      await simulator.close();
    },
  );

  test.concurrent('post takes back what a process that was killed had shared', async () => {
    const shared = procedure(slow);
    const simulator = await startSimulator(shared.scenario);
    const before = simulator.snapshotOfState(sourceAccount);
    const job = run(shared, simulator.env);
    const action = startAction(job);
    simulator.onCall((call) => {
      if (call.action === 'CopySnapshot' && call.mutating && call.account !== sourceAccount) action.kill();
    });
    const main = await action.result;
    expect(simulator.snapshotOfState(sourceAccount)).not.toEqual(before);
    const post = await runAction({ ...job, entry: 'post', state: main.state });
    expect(post).toMatchObject({ conclusion: 'success', annotations: [] });
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    await simulator.close();
  });

  test.concurrent('shares the AMI of the procedure, and leaves post nothing to do', async () => {
    const shared = procedure();
    const result = await shareBuilt(shared);
    expect(result.main).toMatchObject({ conclusion: 'success', annotations: [], stderr: '' });
    expect(result.post).toMatchObject({ conclusion: 'success', annotations: [], stderr: '' });
    expectTargets(result, shared.amiId);
    expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
    const [{ amiId, account, region }] = result.targets as [TargetRecord];
    expect(result.main.outputs).toMatchObject({ 'ami-id': amiId, 'source-ami-id': shared.amiId });
    expect(JSON.parse(result.main.outputs['ami-ids'] ?? '')).toEqual({ [account]: { [region]: amiId } });
    expect(result.main.summary).toContain(amiId);
  });

  test.concurrent('tells bad input in one message, fails, and calls nobody', async () => {
    const result = await shareBuilt(procedure(), { 'source-region': 'nowhere', 'max-parallel': '0' });
    expect(result.main).toMatchObject({ conclusion: 'failure', exitCode: 1 });
    expect(result.error).toMatch(/source-region: "nowhere"[\s\S]*max-parallel: "0"/);
    expect(result.simulator.calls).toEqual([]);
    expect(result.main.outputs['ami-ids']).toBe('{}');
  });

  test.concurrent('tells problems with their remedies in log and summary, and changes nothing', async () => {
    const result = await shareBuilt(procedure(), { 'target-kms-key': 'alias/nowhere', 'dry-run': 'true' });
    expect(result.main).toMatchObject({ conclusion: 'failure', exitCode: 1 });
    expect(result.error).toContain('alias/nowhere');
    expect(result.main.summary).toContain('alias/nowhere');
    expectUntouched(result);
  });

  test.concurrent('reads a manifest in the workspace, and keeps account IDs out of the log', async () => {
    const shared = procedure();
    const builds = [{ packer_run_uuid: 'u', artifact_id: `us-east-1:${shared.amiId}` }];
    const files = { 'out/manifest.json': JSON.stringify({ builds, last_run_uuid: 'u' }) };
    const inputs = { 'ami-id': '', 'packer-manifest': 'out/manifest.json', 'mask-aws-account-id': 'true' };
    const result = await shareBuilt(shared, inputs, { files });
    expect(result.error).toBe('');
    expectTargets(result, shared.amiId);
    expect(result.main.log.split('::endgroup::').at(-1)).not.toContain('999999999999/');
  });

  test.concurrent('takes ambient credentials, and gets over resets, lost answers and throttling', async () => {
    const shared = customerKey({
      ambient: { account: sourceAccount, role: 'ami-source' },
      faults: [
        { kind: 'reset', action: 'DescribeImages', times: 1 },
        { kind: 'lost-response', action: 'CopySnapshot', mutating: true, nth: 1 },
        { kind: 'throttle', action: 'RegisterImage', times: 1 },
      ],
    });
    const result = await shareBuilt(shared, { 'source-role-arn': '' });
    expect(result.error).toBe('');
    expectTargets(result, shared.amiId);
    expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
  });
});
