import { describe, expect, test } from '@jest/globals';
import type { Fault } from '../simulator/faults.ts';
import { sourceAccount, sourceRegion, targetRegion } from '../simulator/scenarios/standard.ts';
import { regionOf } from '../simulator/world.ts';
import { startAction } from './in-process.ts';
import { accounts, both, lookAt, markOf, recall, runOf, second, shared } from './recall-case.ts';

/* What doesn't answer, or can't be reached, keeps no image from being taken back where it can be, and soon. */

const [one = '', other = ''] = accounts;

/** When each AMI was disabled, in seconds from now on. */
function watch({ clock, onCall }: Awaited<ReturnType<typeof shared>>['simulator']): Map<string, number> {
  const from = clock.now();
  const disabled = new Map<string, number>();
  onCall(({ action, account = '' }) => {
    if (action === 'DisableImage') disabled.set(account, (clock.now() - from) / 1000);
  });
  return disabled;
}

const hangs: readonly Readonly<{ what: string; fault: Omit<Fault, 'kind'>; said: RegExp }>[] = [
  {
    what: 'STS for the source account',
    fault: { service: 'sts', account: sourceAccount },
    said: /source account: Assuming the source role, .*: no answer within 1 m 0 s\. What to do: see whether AWS/,
  },
  {
    what: 'EC2 in the source account',
    fault: { service: 'ec2', account: sourceAccount },
    said: /Marking the source AMI ami-\w+ as recalled: no answer within 1 m 0 s/,
  },
  {
    what: 'a read of what uses the AMIs',
    fault: { action: 'DescribeImageReferences' },
    said: /Looking for what else refers to an AMI .*: no answer within 1 m 0 s/,
  },
];

test.each(hangs)('hangs: $what', async ({ fault, said: expected }) => {
  const { given, simulator } = await shared();
  await simulator.clock.sleep(60_000);
  const disabled = watch(simulator);
  simulator.addFault({ kind: 'hang', ...fault });
  const { said, conclusion } = await recall(given, simulator);
  expect([...disabled.keys()].sort()).toEqual([...accounts].sort());
  // A minute at most for each of both: the source account, and what uses the AMIs.
  for (const seconds of disabled.values()) expect(seconds).toBeLessThan(200);
  expect(conclusion).toBe('failure');
  expect(said).toMatch(expected);
  expect(said).not.toMatch(/is gone|is there/);
  for (const place of both) expect(lookAt(simulator, place).parameter).toBe(lookAt(simulator, place).launched);
  await simulator.close();
});

test('a target that hangs keeps no other, and says so', async () => {
  const { given, simulator } = await shared();
  await simulator.clock.sleep(60_000);
  const disabled = watch(simulator);
  simulator.addFault({ kind: 'hang', account: other });
  const { targets } = await recall(given, simulator);
  expect(targets.map(({ account, status }) => [account, status])).toEqual([
    [one, 'disabled'],
    [other, 'failed'],
  ]);
  expect(disabled.get(one)).toBeLessThan(100);
  await simulator.close();
});

test('a cancel while nobody answers is told, and nothing fails unseen', async () => {
  const { given, simulator } = await shared();
  simulator.addFault({ kind: 'hang', service: 'sts' });
  const unseen: unknown[] = [];
  const note = (error: unknown) => void unseen.push(error);
  process.on('unhandledRejection', note);
  const running = startAction(runOf(given, simulator, {}));
  void simulator.clock.sleep(5000).then(() => running.cancel());
  const { conclusion, annotations } = await running.result;
  process.off('unhandledRejection', note);
  expect([conclusion, unseen]).toEqual(['cancelled', []]);
  expect(annotations.map(({ message }) => message).join('\n')).toContain('the run was cancelled (SIGINT)');
  await simulator.close();
});

describe('the source AMI', () => {
  test('that cannot be read is marked all the same, and not told to be gone', async () => {
    const { given, simulator } = await shared();
    simulator.addFault({
      kind: 'refusal',
      code: 'UnauthorizedOperation',
      status: 403,
      action: 'DescribeImages',
      account: sourceAccount,
    });
    const { said, targets, log } = await recall(given, simulator);
    expect(said).toMatch(/Reading the source AMIs: .*UnauthorizedOperation/);
    expect(`${said}${log}`).not.toMatch(/is gone|nor a copy/);
    expect(markOf(regionOf(simulator.world, sourceAccount, sourceRegion).images.get(second))).toMatch(/CVE/);
    expect(targets.map(({ status }) => status)).toEqual(['disabled', 'disabled']);
    await simulator.close();
  });

  test('is marked once it is told which targets cannot be reached, however many', async () => {
    const { given, simulator } = await shared();
    const calls: string[] = [];
    simulator.onCall(({ action, mutating }) => {
      if (mutating) calls.push(action);
    });
    const { log, said, conclusion } = await recall(given, simulator, {
      'target-role-arn': 'arn:aws:iam::{account}:role/mistyped',
    });
    expect(conclusion).toBe('failure');
    const [before = '', after] = log.split('is marked as recalled');
    for (const account of accounts) expect(before).toContain(`${account}/${targetRegion}`);
    expect(after).toBeDefined();
    for (const account of accounts) expect(said.split(`${account}/${targetRegion}:`)).toHaveLength(2);
    // A share that is under way still stops; nothing else was written.
    expect(calls).toEqual(['CreateTags']);
    await simulator.close();
  });
});
