import { expect, test } from '@jest/globals';
import { customerKey, procedure, sourceAccount, targetAccount } from '../simulator/scenarios/standard.ts';
import { openedPolicy } from './policy-cases.ts';
import { expectTargets, share } from './shared-case.ts';

/* What AWS refuses for a while, since tags come into force late and snapshots are freed late, is tried again. */

test('what is removed or published right after it was made with its tags is not given up at the first denial', async () => {
  const timings = { tagsInForceAfterSeconds: 10, freedAfterSeconds: 45 };
  const targetKey = { policy: openedPolicy(targetAccount, '222222222222') };
  const shared = procedure({ timings, policies: ['target-publish'], targetKey });
  const result = await share(shared, { 'launch-permissions': '222222222222' });
  expect([result.main.conclusion, result.main.annotations]).toEqual(['success', []]);
  expectTargets(result, shared.amiId);
  expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
});

test('a denial that stays is told in AWS’s words, after two minutes', async () => {
  const faults = [
    { kind: 'refusal', action: 'DeleteSnapshot', mutating: true, code: 'UnauthorizedOperation', status: 403 } as const,
    { kind: 'copy-fails', action: 'CopySnapshot', mutating: true, nth: 1, times: 1 } as const,
  ];
  const result = await share(customerKey({ faults }));
  expect(result.main.conclusion).toBe('failure');
  expect(result.error).toMatch(/ended in error: Internal error/);
  expect(result.error).toMatch(/left behind: snap-\w+ .*UnauthorizedOperation/);
  const tries = result.simulator.calls.filter(({ action, mutating }) => action === 'DeleteSnapshot' && mutating);
  expect(tries.length).toBeGreaterThan(10);
});
