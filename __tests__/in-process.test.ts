import { describe, expect, test } from '@jest/globals';
import { inTime } from '../simulator/hardness.ts';
import { customerKey, procedure, sourceAccount } from '../simulator/scenarios/standard.ts';
import { runJob, startAction, startSimulator } from './in-process.ts';
import { expectTargets, type Shared, share, shareBuilt, type TargetRecord } from './shared-case.ts';
import { openVirtualClock } from './virtual-clock.ts';

/* The harness of most tests: what it must not do, or what it shows would mean nothing. */

test('two runs at once, in two AWS, see nothing of each other', async () => {
  const environment = JSON.stringify(process.env);
  const cases = [procedure(), customerKey({ timings: { secondsPerGiB: 30 } })];
  const runs = await Promise.all([
    share(cases[0] as never, { 'mask-aws-account-id': 'true' }),
    share(cases[1] as never),
    share(procedure(), { 'target-kms-key': 'alias/nowhere' }),
  ]);
  const [masked, slow, failed] = runs;
  expect(runs.map(({ main }) => main.conclusion)).toEqual(['success', 'success', 'failure']);
  expectTargets(masked, cases[0]?.amiId ?? '');
  expectTargets(slow, cases[1]?.amiId ?? '');
  // Masks, the exit code, annotations, outputs and time are each run's own.
  expect(masked.main.masks).toContain('999999999999');
  expect([slow.main.masks, failed.main.masks].flat()).not.toContain('999999999999');
  expect([masked.error, slow.error]).toEqual(['', '']);
  expect(failed.error).toContain('alias/nowhere');
  expect(masked.main.seconds).toBeLessThan(100);
  expect(slow.main.seconds).toBeGreaterThan(200);
  expect(process.exitCode ?? 0).toBe(0);
  expect(JSON.stringify(process.env)).toBe(environment);
});

test('two runs at once in one AWS share its time and its state', async () => {
  const shared = procedure();
  const simulator = await startSimulator(shared.scenario);
  const before = simulator.snapshotOfState(sourceAccount);
  const jobs = ['4711', '4712'].map((run_id) =>
    runJob({ inputs: shared.inputs, env: simulator.env, github: { run_id } }),
  );
  const records = (await Promise.all(jobs)).map(({ main }) => JSON.parse(main.outputs.targets ?? '[]')[0]);
  const [first, second] = records as [TargetRecord, TargetRecord];
  expect(first.amiId).toBe(second.amiId);
  expect([first.status, second.status].sort()).toEqual(['created', 'reused']);
  expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
  await simulator.close();
});

test('a run that is killed does nothing any more', async () => {
  const shared = procedure({ timings: { secondsPerGiB: 10 } });
  const simulator = await startSimulator(shared.scenario);
  const action = startAction({ inputs: shared.inputs, env: simulator.env });
  simulator.onCall(({ action: name, mutating }) => {
    if (name === 'CopyImage' && mutating) action.kill();
  });
  const { signal, state } = await action.result;
  expect(signal).toBe('SIGKILL');
  expect(state.ledger).toContain(shared.amiId);
  const { length } = simulator.calls;
  await simulator.clock.sleep(3_600_000);
  expect(simulator.calls).toHaveLength(length);
  await simulator.close();
});

describe('the same run', () => {
  /** The calls that were made, in the order of their names: what goes on at once has no other. */
  const callsOf = ({ simulator }: Shared) =>
    simulator.calls
      .filter(({ mutating }) => mutating)
      .map(({ account, region, action, outcome }) => `${account}/${region} ${action} ${outcome}`)
      .sort();

  test('in process and built: the same calls, outputs and log', async () => {
    // What is late is asked for again, more often where time doesn't pass by itself.
    const shared = customerKey({ timings: inTime });
    const [here, built] = [await share(shared), await shareBuilt(shared)];
    expect(callsOf(here)).toEqual(callsOf(built));
    expect(Object.keys(here.main.outputs).sort()).toEqual(Object.keys(built.main.outputs).sort());
    expect(Object.keys(here.main.state)).toEqual(Object.keys(built.main.state));
    const lines = (log: string) =>
      log
        .split('::endgroup::')
        .at(-1)
        ?.replaceAll(/(snap|ami)-[0-9a-f]+/g, '$1-…')
        .replaceAll(/^.{11}/gm, '')
        .split('\n')
        .filter((line) => !line.includes('copying: '))
        .sort();
    expect(lines(here.main.log)?.filter((line) => /verified|registered|copying/.test(line))).toEqual(
      lines(built.main.log)?.filter((line) => /verified|registered|copying/.test(line)),
    );
  });
});

describe('a virtual clock', () => {
  test('is as late as the first that waits wants it, in order, in no time', async () => {
    const clock = openVirtualClock(0);
    const woken: [number, number][] = [];
    const sleeper = async (ms: number) => {
      await clock.sleep(ms);
      woken.push([ms, clock.now()]);
    };
    await Promise.all([sleeper(86_400_000), sleeper(10), sleeper(3_600_000)]);
    expect(woken).toEqual([
      [10, 10],
      [3_600_000, 3_600_000],
      [86_400_000, 86_400_000],
    ]);
  });

  test('fires a time-out when time comes by, and passes no time for it alone', async () => {
    const clock = openVirtualClock(0);
    const late = clock.after(1000, new Error('late'));
    await new Promise((later) => setTimeout(later, 20));
    expect([late.aborted, clock.now()]).toEqual([false, 0]);
    await expect(clock.sleep(5000, late)).rejects.toThrow('late');
    expect(clock.now()).toBe(1000);
  });
});
