import { expect, test } from '@jest/globals';
import { amiIdOf, keyArnOf } from '../simulator/scenario.ts';
import { type Policy, withStatements } from '../src/aws/key-policy.ts';
import { readerOf } from '../src/lease.ts';
import { emptyLedger } from '../src/ledger.ts';
import { thisMachine } from '../src/machine.ts';
import { nothing } from '../src/release/notes.ts';
import { release } from '../src/release/release.ts';
import type { Releasing } from '../src/release/releasing.ts';
import { type Account, openAccount } from './account.ts';

const [account, region, own, live] = ['111111111111', 'us-east-1', 'aaaaaaaaaaaa', 'bbbbbbbbbbbb'];
const keyArn = keyArnOf(account, region, 'golden');

/** What the run takes back of a key that it has put a statement into, if it knows whether it has. */
function cleanUp(there: Account, over: Partial<Releasing> = {}) {
  const imageId = amiIdOf(account, region, 'golden');
  const state = { ...emptyLedger, imageId, leaseId: own, grantKeys: [keyArn], account, region };
  return release({
    source: there.at,
    sourceRegion: region,
    targets: [],
    state,
    grants: [],
    stated: [],
    unproven: new Set(),
    keyAccess: 'policy',
    keepIntermediates: false,
    reached: [],
    reader: (now) => readerOf({ machine: thisMachine() }, { runId: '4711', runAttempt: 1 }, now),
    superseding: false,
    torn: 'warned',
    ready: new Set(),
    patient: false,
    isLast: true,
    ...over,
  });
}

const open = () => {
  const amis = [{ name: 'golden', volumes: [{ device: '/dev/xvda' }] }];
  return openAccount(account, { [region]: { keys: { golden: {} }, amis } });
};

test('a run that ends takes its statements out of the key policy, and no other', async () => {
  await using there = await open();
  const key = there.key(region, 'golden');
  const withLive = withStatements(key.policy as Policy, { leaseId: live, partition: 'aws', accounts: [account] });
  key.policy = withStatements(withLive, { leaseId: own, partition: 'aws', accounts: [account] });
  const report = await cleanUp(there);
  expect(report).toEqual({ ...nothing, done: [`took the statements out of the policy of ${keyArn} again`] });
  expect(key.policy).toEqual(withLive);
});

test('a policy that the run may have changed is seen to stand without its statements; any other is looked at once', async () => {
  for (const [over, sure] of [
    [{ stated: [] }, true],
    [{ stated: [keyArn] }, false],
    [{ stated: undefined, grants: undefined }, false],
  ] as const) {
    await using there = await open();
    const began = there.simulator.clock.now();
    expect(await cleanUp(there, over)).toEqual(nothing);
    expect(there.simulator.calls.filter(({ action }) => action === 'GetKeyPolicy').length > 1).toBe(!sure);
    expect(there.simulator.clock.now() - began > 3000).toBe(!sure);
  }
});
