import { describe, expect, test } from '@jest/globals';
import type { ActionRun } from '../simulator/runner.ts';
import { type Case, fanOut, procedure, sourceAccount, standardCase } from '../simulator/scenarios/standard.ts';
import { runAction, type Simulator, startAction, startSimulator } from './in-process.ts';
import { expectTargets, type TargetRecord } from './shared-case.ts';

const timings = { secondsPerGiB: 0.01, baseSeconds: 0.05, visibleAfterSeconds: 0.3 };
/** All kill points take many minutes (`npm run nightly`); `npm test` takes a sample of them. */
const nightly = process.env.NIGHTLY === 'true';
const stride = nightly ? 1 : 11;

/** What parameters and launch templates name before a run. */
const older = 'ami-00000000000000001';

const references = 'an SSM parameter and a launch template';

const cases: Record<string, () => Case> = {
  'an AMI to be encrypted first, to two regions': () =>
    fanOut({ timings, targets: ['999999999999'], regions: ['eu-west-1', 'us-west-2'] }),
  'a boot test': () => {
    const launch = { boots: [{ checksAfterSeconds: 5 }] };
    const shared = procedure({ timings, policies: ['target-boot-test'], target: { launch } });
    return { ...shared, inputs: { ...shared.inputs, 'boot-test': 'status' } };
  },
  [references]: () => {
    const here = { parameters: { '/golden/latest': older }, launchTemplates: { web: [older] } };
    const shared = procedure({ timings, policies: ['target-ssm-parameter', 'target-launch-template'], target: here });
    const more = { 'ssm-parameter': '/golden/latest', 'launch-template': 'web', 'launch-template-default': 'true' };
    return { ...shared, inputs: { ...shared.inputs, ...more } };
  },
  'two volumes under a customer managed key': () =>
    standardCase({
      timings,
      volumes: [
        { device: '/dev/xvda', key: 'cmkSource', sharedWith: ['333333333333'] },
        { device: '/dev/sdb', key: 'cmkSource', sizeGiB: 4 },
      ],
    }),
};

function runOf(shared: Case, simulator: Simulator): ActionRun {
  return { inputs: { ...shared.inputs, 'poll-interval': '1' }, env: simulator.env };
}

function recordsOf(outputs: Record<string, string>): TargetRecord[] {
  return JSON.parse(outputs.targets ?? '[]') as TargetRecord[];
}

/** What a run launched has ended, and no volume is left of it, once AWS has had the time that ending takes. */
async function expectNothingRuns(simulator: Simulator): Promise<void> {
  await simulator.clock.sleep(60_000);
  simulator.snapshotOfState();
  const regions = Object.values(simulator.world.accounts).flatMap((account) => [...account.regions.values()]);
  const instances = regions.flatMap((region) => [...region.instances.values()]);
  expect(instances.filter(({ state }) => state !== 'terminated')).toEqual([]);
  expect(regions.flatMap(({ volumes }) => [...volumes.keys()])).toEqual([]);
}

/** SSM parameters and launch templates name the AMI, each once, or what they named before; never one this and one that. */
function expectAllOrNone(simulator: Simulator): void {
  const regions = Object.values(simulator.world.accounts).flatMap((account) => [...account.regions.values()]);
  const named = regions.flatMap(({ parameters, launchTemplates }) => [
    ...[...parameters.values()].map(({ value }) => [value]),
    ...[...launchTemplates.values()].flatMap(({ versions, defaultVersion }) => [
      versions.slice(-1).map(({ data }) => data.ImageId),
      versions.filter(({ number }) => number === defaultVersion).map(({ data }) => data.ImageId),
    ]),
  ]);
  expect(new Set(named.flat()).size).toBeLessThan(2);
  for (const { versions } of regions.flatMap(({ launchTemplates }) => [...launchTemplates.values()]))
    expect(versions.length).toBe(named.flat().includes(older) ? 1 : 2);
}

/** Kills a run after its call number `at`, lets `post` run or not, runs again, and looks at what there is then. */
async function killAndRerun(shared: Case, at: number, withPost: boolean): Promise<boolean> {
  const simulator = await startSimulator(shared.scenario);
  try {
    const before = simulator.snapshotOfState(sourceAccount);
    const run = runOf(shared, simulator);
    const action = startAction(run);
    let killed = false;
    simulator.onCall(() => {
      if (simulator.calls.length < at || killed) return;
      killed = true;
      action.kill();
    });
    const first = await action.result;
    if (first.signal === null) return false;
    if (withPost) {
      await runAction({ ...run, entry: 'post', state: first.state });
      // What is access, or costs money, in the source account is gone by now.
      expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
      expectAllOrNone(simulator);
    }
    const second = await runAction({ ...run, github: { run_attempt: '2' } });
    expect([at, second.conclusion, second.annotations]).toEqual([at, 'success', []]);
    expectTargets({ simulator, targets: recordsOf(second.outputs) }, shared.amiId);
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    await expectNothingRuns(simulator);
    expectAllOrNone(simulator);
    return true;
  } finally {
    await simulator.close();
  }
}

describe('killed after any call, and run again: one right AMI a target, and the source as before', () => {
  // Without post, the sample of that one is in launch-templates.test.ts.
  const ways = (name: string) => (nightly || name !== references ? [true, false] : [true]);
  const variants = Object.keys(cases).flatMap((name) => ways(name).map((withPost) => [name, withPost] as const));
  test.each(variants)(
    '%s, post runs: %s',
    async (name, withPost) => {
      let converged = 0;
      // A sample begins where the first writes are.
      for (let at = nightly ? 1 : withPost ? 8 : 12; ; at += stride) {
        if (!(await killAndRerun((cases[name] ?? procedure)(), at, withPost))) break;
        converged += 1;
      }
      expect(converged).toBeGreaterThan(2);
      if (nightly)
        console.log(
          `| ${name} | post ${withPost ? 'runs' : "doesn't run"} | ${converged} kill points, all converged |`,
        );
    },
    3_600_000,
  );
});

test('a cancel takes grants and shares back before the runner loses patience, and a re-run finishes', async () => {
  const shared = fanOut({ timings: { secondsPerGiB: 0.5 } });
  const simulator = await startSimulator(shared.scenario);
  const before = simulator.snapshotOfState(sourceAccount);
  const run = runOf(shared, simulator);
  const action = startAction(run);
  simulator.onCall((call) => {
    if (
      call.action === 'DescribeSnapshots' &&
      call.account === '999999999999' &&
      simulator.calls.some(({ action }) => action === 'CopySnapshot')
    )
      action.cancel();
  });
  const main = await action.result;
  expect(main.signal).toBeNull();
  expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
  await runAction({ ...run, entry: 'post', state: main.state });
  for (const { regions } of Object.values(simulator.world.accounts)) {
    for (const [region, { snapshots }] of regions)
      if (region !== 'us-east-1') expect([...snapshots.keys()]).toEqual([]);
  }
  await simulator.close();
});

/** A race shows only now and then. */
const rounds = Array.from({ length: nightly ? 25 : 1 }, (_, index) => index + 1);

test.each(rounds)(
  'eight processes at once on one AMI: one AMI a target, one encrypted copy, nothing left (%i)',
  async () => {
    const regions = [
      'eu-west-1',
      'eu-west-2',
      'eu-central-1',
      'us-west-2',
      'ap-southeast-2',
      'ap-northeast-1',
      'sa-east-1',
      'ca-central-1',
    ];
    const shared = standardCase({ timings: { ...timings, secondsPerGiB: 0.1 }, regions });
    const simulator = await startSimulator(shared.scenario);
    const before = simulator.snapshotOfState(sourceAccount);
    // As a matrix over the regions, and the first two by two jobs each.
    const legs = [...regions.slice(0, 6), 'eu-west-1', 'eu-west-2'];
    const results = await Promise.all(
      legs.map((region) =>
        runAction({
          ...runOf(shared, simulator),
          inputs: { ...shared.inputs, 'target-regions': region, 'poll-interval': '1' },
        }),
      ),
    );
    expect(results.map(({ conclusion, annotations }) => [conclusion, annotations])).toEqual(
      legs.map(() => ['success', []]),
    );
    const made = new Map(results.flatMap(({ outputs }) => recordsOf(outputs)).map((record) => [record.region, record]));
    expectTargets({ simulator, targets: [...made.values()] }, shared.amiId);
    expect(made.size).toBe(6);
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    const copies = simulator.calls.filter(
      ({ action, account, outcome }) => action === 'CopyImage' && account === sourceAccount && outcome === 'ok',
    );
    expect(copies).toHaveLength(1);
    await simulator.close();
  },
);
