import { describe, expect, test } from '@jest/globals';
import { randomFrom } from '../simulator/faults.ts';
import {
  type Case,
  fanOut,
  procedure,
  sourceAccount,
  standardCase,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import { regionOf } from '../simulator/world.ts';
import { runAction, runJob, type Simulator, startAction, startSimulator } from './in-process.ts';
import { expectTargets, share, type TargetRecord } from './shared-case.ts';

/* What goes wrong on the way: nothing is made twice, nothing is left behind, and a re-run finishes the job. */

const nightly = process.env.NIGHTLY === 'true';
const timings = { secondsPerGiB: 0.01, baseSeconds: 0.05, visibleAfterSeconds: 0.2 };
const twoRegions = (): Case => fanOut({ timings, targets: ['999999999999'], regions: ['eu-west-1', 'us-west-2'] });

function runOf(shared: Case, simulator: Simulator) {
  return { inputs: { ...shared.inputs, 'poll-interval': '1' }, env: simulator.env };
}

function recordsOf(outputs: Record<string, string>): TargetRecord[] {
  return JSON.parse(outputs.targets ?? '[]') as TargetRecord[];
}

/** Whether nothing but finished AMIs is in the targets. */
function strays(simulator: Simulator): string[] {
  return Object.values(simulator.world.accounts).flatMap(({ id, regions }) =>
    id === sourceAccount
      ? []
      : [...regions.values()].flatMap(({ snapshots, images }) => {
          const used = new Set(
            [...images.values()]
              .filter(({ deregisteredAt }) => deregisteredAt === undefined)
              .flatMap(({ data }) => data.BlockDeviceMappings.map(({ Ebs }) => Ebs?.SnapshotId)),
          );
          return [...snapshots.keys()].filter((snapshot) => !used.has(snapshot));
        }),
  );
}

describe('a cancel at any time: the source as before, nothing half-made, and a re-run finishes', () => {
  const random = randomFrom(11);
  const moments = Array.from({ length: nightly ? 40 : 4 }, () => Math.round(5 + random() * 70));
  test.each(moments)(
    'after %i calls',
    async (count) => {
      const shared = twoRegions();
      const simulator = await startSimulator(shared.scenario);
      const before = simulator.snapshotOfState(sourceAccount);
      const run = runOf(shared, simulator);
      const action = startAction(run);
      simulator.onCall(() => {
        if (simulator.calls.length >= count) action.cancel();
      });
      const main = await action.result;
      await runAction({ ...run, entry: 'post', state: main.state });
      expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
      expect(strays(simulator)).toEqual([]);
      const again = await runAction({ ...run, github: { run_attempt: '2' } });
      expect(again.annotations).toEqual([]);
      expectTargets({ simulator, targets: recordsOf(again.outputs) }, shared.amiId);
      expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
      await simulator.close();
    },
    120_000,
  );
});

describe('the answer to a call that changes something is lost', () => {
  const actions = [
    'CreateTags',
    'CopyImage',
    'CreateGrant',
    'ModifySnapshotAttribute',
    'CopySnapshot',
    'RegisterImage',
    'DeleteTags',
    'RevokeGrant',
    'DeregisterImage',
    'DeleteSnapshot',
  ];
  // Each of a run's calls in turn, until there are no more of them.
  const struck = actions.flatMap((action) =>
    Array.from({ length: nightly ? 12 : 1 }, (_, index) => [action, index + 1] as const),
  );
  test.each(struck)(
    '%s, the %i. of them: nothing is made twice',
    async (action, nth) => {
      const shared = twoRegions();
      const simulator = await startSimulator(shared.scenario);
      const before = simulator.snapshotOfState(sourceAccount);
      simulator.addFault({ kind: 'lost-response', action, nth, mutating: true });
      const { main } = await runJob(runOf(shared, simulator));
      expect(main).toMatchObject({ conclusion: 'success', annotations: [] });
      const lost = simulator.calls.some(({ fault }) => fault === 'lost-response');
      // A run has a first call of each; how many more depends on the case.
      if (nth === 1) expect(lost).toBe(true);
      if (nightly && lost) console.log(`| lost answer | ${action} ${nth} | converged |`);
      expectTargets({ simulator, targets: recordsOf(main.outputs) }, shared.amiId);
      expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
      await simulator.close();
    },
    120_000,
  );
});

test('fail-fast: the first failure stops the others, and nothing half-made stays', async () => {
  const shared = fanOut({
    timings: { secondsPerGiB: 10 },
    faults: [{ kind: 'copy-fails', action: 'CopySnapshot', account: '222222222222', region: 'us-west-2' }],
  });
  const { main, post, targets, simulator, before } = await share(shared, { 'fail-fast': 'true' });
  expect(main.conclusion).toBe('failure');
  expect(targets.map(({ status }) => status)).toEqual(targets.map(() => 'failed'));
  const stopped = targets.filter(({ error }) =>
    error?.includes('stopped, because 222222222222/us-west-2 failed (fail-fast)'),
  );
  expect(stopped.length).toBeGreaterThan(3);
  expect(post.conclusion).toBe('success');
  expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
  expect(strays(simulator)).toEqual([]);
});

test('the time-out gives up, takes everything back, and says so', async () => {
  const shared = procedure({ timings: { secondsPerGiB: 20 } });
  const simulator = await startSimulator(shared.scenario);
  const before = simulator.snapshotOfState(sourceAccount);
  const { main } = await runJob({
    ...runOf(shared, simulator),
    inputs: { ...shared.inputs, 'timeout-minutes': '1', 'poll-interval': '5' },
  });
  expect(main.conclusion).toBe('failure');
  expect(main.annotations.map(({ message }) => message).join()).toMatch(
    /the run took longer than timeout-minutes \(1\)/,
  );
  expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
  expect(strays(simulator)).toEqual([]);
  await simulator.close();
}, 150_000);

test('an SSM parameter whose making was not answered stands, though it is not seen at once', async () => {
  const shared = procedure({
    ...{ timings: { ...timings, latencyMs: 300 }, policies: ['target-ssm-parameter'] },
    faults: [{ kind: 'lost-response', action: 'PutParameter', times: 1 }],
  });
  const result = await share(shared, { 'ssm-parameter': '/golden/latest', 'poll-interval': '1' });
  expect(result.main.annotations).toEqual([]);
  const { parameters } = regionOf(result.simulator.world, targetAccount, targetRegion);
  expect(parameters.get('/golden/latest')?.value).toBe(result.main.outputs['ami-id']);
});

test('a connection that hangs is given up, and the call made again', async () => {
  const shared = procedure({ timings, faults: [{ kind: 'hang', action: 'DescribeKey', times: 1 }] });
  const result = await share(shared, { 'poll-interval': '1' });
  expect(result.error).toBe('');
  expectTargets(result, shared.amiId);
}, 150_000);

test("the token endpoint's and STS's passing failures are got over", async () => {
  const shared = procedure({
    timings,
    faults: [
      { kind: 'token-endpoint', service: 'token', status: 429, times: 1 },
      { kind: 'token-endpoint', service: 'token', status: 500, nth: 2, times: 1 },
      { kind: 'reset', service: 'token', nth: 3, times: 1 },
      { kind: 'throttle', service: 'sts', action: 'AssumeRoleWithWebIdentity', times: 2 },
      { kind: 'server-error', service: 'sts', action: 'AssumeRoleWithWebIdentity', nth: 3, times: 1 },
    ],
  });
  const result = await share(shared);
  expect(result.error).toBe('');
  expectTargets(result, shared.amiId);
}, 60_000);

/** A run by the chances of a seed, and a run again after it. */
async function soak(seed: number): Promise<void> {
  const random = randomFrom(seed);
  const kinds = ['throttle', 'server-error', 'reset', 'lost-response'] as const;
  const shared = standardCase({
    timings: { ...timings, visibleAfterSeconds: random() * 0.6, grantActiveAfterSeconds: random() },
    seed,
    faults: kinds.map((kind) => ({ kind, probability: 0.01 + random() * 0.03 })),
    volumes: Array.from({ length: 1 + Math.floor(random() * 3) }, (_, index) => ({
      device: `/dev/sd${'abc'[index]}`,
      sizeGiB: 1 + Math.floor(random() * 20),
      ...(random() < 0.4 && { key: 'cmkSource' }),
    })),
    targets: random() < 0.5 ? ['999999999999'] : ['999999999999', '222222222222'],
    regions: random() < 0.5 ? ['eu-west-1'] : ['eu-west-1', 'us-west-2'],
  });
  const simulator = await startSimulator(shared.scenario);
  const before = simulator.snapshotOfState(sourceAccount);
  const run = runOf(shared, simulator);
  const action = startAction(run);
  // Every other run is killed or cancelled at some moment.
  const fate = random();
  const moment = 5 + Math.floor(random() * 100);
  simulator.onCall(() => {
    if (simulator.calls.length < moment) return;
    if (fate < 0.25) action.kill();
    else if (fate < 0.5) action.cancel();
  });
  const main = await action.result;
  if (random() < 0.5 || main.signal === null) await runAction({ ...run, entry: 'post', state: main.state });
  const again = await runAction({ ...run, github: { run_attempt: '2' } });
  expect([again.conclusion, again.annotations.filter(({ level }) => level === 'error')]).toEqual(['success', []]);
  expectTargets({ simulator, targets: recordsOf(again.outputs) }, shared.amiId);
  expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
  await simulator.close();
}

test('a soak of random faults ends with nothing lost', async () => {
  const seconds = Number(process.env.SOAK_SECONDS ?? (nightly ? 240 : 3));
  const first = Number(process.env.SOAK_SEED ?? 1);
  const until = Date.now() + seconds * 1000;
  let rounds = 0;
  for (let seed = first; Date.now() < until; seed += 1, rounds += 1) {
    await soak(seed).catch((cause: unknown) => {
      throw new Error(`SOAK_SEED=${seed}`, { cause });
    });
  }
  expect(rounds).toBeGreaterThan(0);
  if (seconds > 60) console.log(`| soak | ${rounds} runs of random faults from seed ${first} | all converged |`);
}, 1_200_000);
