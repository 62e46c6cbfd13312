import { expect, test } from '@jest/globals';
import { customerKey, procedure, sourceAccount, targetAccount, targetRegion } from '../simulator/scenarios/standard.ts';
import { regionOf } from '../simulator/world.ts';
import { openHouse } from './house/house.ts';
import { runJob } from './in-process.ts';
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

test.each([
  ['tags', { tagsVisibleAfterSeconds: 200, tagsInForceAfterSeconds: 100 }],
  ['new IDs', { visibleAfterSeconds: 280 }],
  ['shares, in force', { sharesInForceAfterSeconds: 200 }],
  ['shares, in reads', { sharesVisibleAfterSeconds: 20, sharesInForceAfterSeconds: 20 }],
])('of what it made, a run waits minutes for what AWS does not show yet: %s', async (_, timings) => {
  const launchTemplates = { web: ['ami-00000000000000001'] };
  const shared = procedure({ timings, policies: ['target-launch-template'], target: { launchTemplates } });
  const inputs = { 'launch-template': 'web', 'launch-template-default': 'true' };
  const result = await share(shared, inputs);
  expect([result.main.conclusion, result.main.annotations]).toEqual(['success', []]);
  expectTargets(result, shared.amiId);
  const [template] = regionOf(result.simulator.world, targetAccount, targetRegion).launchTemplates.values();
  expect(template?.defaultVersion).toBe(2);
});

test.each([
  ['RegisterImage', targetAccount, 1],
  ['DeleteTags', targetAccount, 1],
  ['DescribeSnapshotAttribute', sourceAccount, 1],
  ['ModifySnapshotAttribute', sourceAccount, 1],
  // The first is the lease's.
  ['CreateTags', sourceAccount, 2],
])('what it made is not yet seen by %s, some calls long', async (action, account, nth) => {
  const unseen = { code: 'InvalidSnapshot.NotFound', message: 'The snapshot does not exist.', mutating: true };
  const mutating = !action.startsWith('Describe');
  const fault = { kind: 'refusal', action, account, nth, times: 4, ...unseen, mutating } as const;
  const shared = procedure({ faults: [fault] });
  const result = await share(shared);
  expect([result.main.conclusion, result.main.annotations]).toEqual(['success', []]);
  expect(result.simulator.calls.filter(({ outcome }) => outcome === unseen.code).length).toBeGreaterThanOrEqual(4);
  expectTargets(result, shared.amiId);
  expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
});

test.each([
  ['DeregisterImage', 'TooManyImages', 1],
  ['DeleteSnapshot', 'SnapshotLimitExceeded', 1],
  ['RevokeGrant', 'LimitExceededException', 1],
  // The first shares.
  ['ModifySnapshotAttribute', 'ResourceLimitExceeded', 2],
])('a removal for which a quota is full waits for it, as what makes something does: %s', async (action, code, nth) => {
  const full = { kind: 'refusal', action, account: sourceAccount, mutating: true, nth, times: 5, code } as const;
  const result = await share(procedure({ faults: [{ ...full, message: 'There is no room.' }] }));
  expect([result.main.conclusion, result.main.annotations]).toEqual(['success', []]);
  expect(result.simulator.calls.filter(({ outcome }) => outcome === code)).toHaveLength(5);
  expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
});

test.each([
  ['what is between does not let them through', { status: 403, body: '<html>Blocked</html>' }, 'NotFromAws'],
  ['no answer comes', { kind: 'hang' }, 'no answer within 60 s'],
] as const)('looks at copies that fail for long are told now and then, where %s', async (_, how, words) => {
  await using house = await openHouse(customerKey({ timings: { baseSeconds: 7200, secondsPerGiB: 0 } }));
  const { simulator } = house;
  const forget = simulator.onCall(({ action, mutating }) => {
    if (action !== 'CopySnapshot' || !mutating) return;
    forget();
    simulator.addFault({ kind: 'garbled', action: 'DescribeSnapshots', account: targetAccount, times: 1e6, ...how });
  });
  const { main } = await runJob(house.run({ 'timeout-minutes': '60' }));
  const told = main.log.split('\n').filter((line) => line.includes('no answer for'));
  expect(told.length).toBeGreaterThanOrEqual(3);
  expect(told.length).toBeLessThanOrEqual(5);
  for (const line of told) {
    expect(line).toMatch(/ 999999999999\/eu-west-1 +no answer for \d+ m \d+ s, and waiting until timeout-minutes/);
    expect(line).toContain('DescribeSnapshots in 999999999999/eu-west-1');
    expect(line).toContain(words);
  }
});
