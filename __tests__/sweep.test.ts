import { describe, expect, test } from '@jest/globals';
import {
  type Case,
  customerKey,
  fanOut,
  procedure,
  sourceAccount,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import { runAction, type Simulator, settledMs, startAction, startSimulator } from './in-process.ts';

const slow = { timings: { secondsPerGiB: 0.6 } };

function runOf(shared: Case, simulator: Simulator) {
  return { inputs: { ...shared.inputs, 'poll-interval': '1' }, env: simulator.env };
}

/** A sweep by the inputs of the runs. */
function sweepOf(shared: Case, simulator: Simulator, inputs: Record<string, string> = {}) {
  const run = runOf(shared, simulator);
  return runAction({
    ...run,
    inputs: { ...run.inputs, ...inputs },
    action: 'sweep',
    github: { run_id: '99' },
  });
}

function made(simulator: Simulator): string[] {
  return Object.values(simulator.world.accounts).flatMap(({ id, regions }) =>
    id === sourceAccount
      ? []
      : [...regions.values()].flatMap(({ images, snapshots }) => [...images.keys(), ...snapshots.keys()]),
  );
}

/** Kills a run when it has begun to copy into its targets; post doesn't run. */
async function die(shared: Case, simulator: Simulator): Promise<void> {
  const action = startAction(runOf(shared, simulator));
  simulator.onCall((call) => {
    if (call.action === 'CopySnapshot' && call.mutating && call.account !== sourceAccount) action.kill();
  });
  expect((await action.result).signal).toBe('SIGKILL');
  expect(made(simulator)).not.toEqual([]);
  simulator.onCall(() => {});
  await simulator.clock.sleep(settledMs);
}

describe('a sweep takes back what a run that died left', () => {
  test.each<[string, Case, Record<string, string>]>([
    ['an encrypted copy, shares, grants, half-made copies', fanOut(slow), {}],
    ['of an AMI under a customer managed key', customerKey(slow), {}],
    [
      'a statement in the key policy',
      procedure({ ...slow, policies: ['source-key-policy'] }),
      { 'source-key-access': 'policy' },
    ],
    [
      'at the hubs',
      fanOut({ ...slow, hubs: ['eu-west-1', 'us-west-2', 'ap-southeast-2'] }),
      { topology: 'regional-hub' },
    ],
  ])('%s', async (_, given, inputs) => {
    const shared = { ...given, inputs: { ...given.inputs, ...inputs } };
    const simulator = await startSimulator(shared.scenario);
    const before = simulator.snapshotOfState(sourceAccount);
    await die(shared, simulator);
    const swept = await sweepOf(shared, simulator);
    expect([swept.conclusion, swept.annotations]).toEqual(['success', []]);
    expect(swept.summary).toContain('What earlier runs left is taken back');
    expect(made(simulator)).toEqual([]);
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    await simulator.clock.sleep(settledMs);
    const again = await sweepOf(shared, simulator);
    expect(again.summary).toContain('Earlier runs left nothing');
    await simulator.close();
  });
});

test('a sweep leaves alone what a live run needs', async () => {
  const shared = fanOut(slow);
  const simulator = await startSimulator(shared.scenario);
  const before = simulator.snapshotOfState(sourceAccount);
  const running = startAction(runOf(shared, simulator));
  await new Promise<void>((begun) =>
    simulator.onCall(({ action, account, mutating }) => {
      if (action === 'CopySnapshot' && mutating && account !== sourceAccount) begun();
    }),
  );
  const swept = await sweepOf(shared, simulator);
  expect(swept.summary).toContain('Earlier runs left nothing');
  const { conclusion, annotations } = await running.result;
  expect([conclusion, annotations]).toEqual(['success', []]);
  expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
  await simulator.close();
});

test('a copy whose lease nobody knows goes when no job can be alive any more', async () => {
  const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);
  const shared = procedure(slow);
  const simulator = await startSimulator(shared.scenario);
  await die(shared, simulator);
  const place = simulator.world.accounts[targetAccount]?.regions.get(targetRegion);
  const [snapshot] = place?.snapshots.values() ?? [];
  // The source AMI is gone, and its tags with it.
  simulator.world.accounts[sourceAccount]?.regions.get('us-east-1')?.images.get(shared.amiId)?.data.Tags.splice(0);
  if (snapshot !== undefined) snapshot.data.StartTime = daysAgo(4);
  await sweepOf(shared, simulator);
  expect(made(simulator)).toHaveLength(1);
  if (snapshot !== undefined) snapshot.data.StartTime = daysAgo(6);
  const { summary } = await sweepOf(shared, simulator);
  expect(made(simulator)).toEqual([]);
  expect(summary).toMatch(/deleted `snap-\w+` in `999999999999\/eu-west-1`/);
  await simulator.close();
});

test('a target that cannot be reached keeps the lease, and the sweep fails', async () => {
  const shared = procedure(slow);
  const simulator = await startSimulator(shared.scenario);
  await die(shared, simulator);
  const swept = await sweepOf(shared, simulator, { 'target-role-arn': 'arn:aws:iam::{account}:role/nobody' });
  expect(swept.conclusion).toBe('failure');
  expect(swept.annotations[0]?.message).toMatch(/999999999999\/eu-west-1: assuming the target role.*What to do: /);
  // In an optional target, that is a warning; but the lease stays.
  const nobody = { 'target-role-arn': 'arn:aws:iam::{account}:role/nobody', 'optional-targets': '*/*' };
  const warned = await sweepOf(shared, simulator, nobody);
  expect([warned.conclusion, warned.annotations]).toEqual([
    'success',
    [{ ...warned.annotations[0], level: 'warning', message: expect.stringMatching(/in an optional target: 9{12}\//) }],
  ]);
  const again = await sweepOf(shared, simulator);
  expect(again.conclusion).toBe('success');
  expect(made(simulator)).toEqual([]);
  await simulator.close();
});

test('a target that does not answer keeps the lease, and no other from being swept', async () => {
  const shared = fanOut({ ...slow, targets: [targetAccount, '222222222222'], regions: [targetRegion] });
  const simulator = await startSimulator(shared.scenario);
  const copied = new Set<string>();
  const action = startAction(runOf(shared, simulator));
  simulator.onCall(({ action: name, account = '', mutating }) => {
    if (name === 'CopySnapshot' && mutating && account !== sourceAccount) copied.add(account);
    if (copied.size === 2) action.kill();
  });
  await action.result;
  simulator.onCall(() => {});
  await simulator.clock.sleep(settledMs);
  simulator.addFault({ kind: 'hang', service: 'ec2', account: '222222222222', times: 9 });
  const { annotations, conclusion } = await sweepOf(shared, simulator, { 'timeout-minutes': '3' });
  expect(conclusion).toBe('failure');
  expect(annotations[0]?.message).toMatch(/222222222222\/eu-west-1: not all was answered in time \(looking for copies/);
  const left = (account: string) => simulator.world.accounts[account]?.regions.get(targetRegion)?.snapshots.size;
  expect([left(targetAccount), left('222222222222')]).toEqual([0, expect.any(Number)]);
  expect(left('222222222222')).toBeGreaterThan(0);
  expect((await sweepOf(shared, simulator)).conclusion).toBe('success');
  expect(made(simulator)).toEqual([]);
  await simulator.close();
});

test('inputs that a sweep cannot have', async () => {
  const shared = procedure();
  const simulator = await startSimulator(shared.scenario);
  const role = 'arn:aws:iam::{account}:role/{name}';
  const { annotations, summary } = await sweepOf(shared, simulator, { 'dry-run': 'true', 'target-role-arn': role });
  // The runner itself says first that it doesn't know one.
  const [unexpected, problems] = annotations.map(({ message }) => message);
  expect(unexpected).toMatch(/^Unexpected input\(s\) 'dry-run'/);
  expect(problems).toMatch(/dry-run: "true" — is an input of the main action; sweep does not take it/);
  expect(summary).toMatch(/❌ Problems were found; nothing was changed[\s\S]*dry-run/);
  expect(problems).toMatch(/\{name\} and \{source-ami\} are not known in a sweep/);
  expect(simulator.calls).toEqual([]);
  await simulator.close();
});
