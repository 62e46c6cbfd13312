import { expect, test } from '@jest/globals';
import { amiIdOf, keyArnOf } from '../simulator/scenario.ts';
import { type Policy, withStatements } from '../src/aws/key-policy.ts';
import { readerOf } from '../src/lease.ts';
import { emptyLedger } from '../src/ledger.ts';
import { thisMachine } from '../src/machine.ts';
import { nothing } from '../src/release/notes.ts';
import { release } from '../src/release/release.ts';
import { openAccount } from './account.ts';

test('a run that ends takes its statements out of the key policy, and no other', async () => {
  const [account, region, own, live] = ['111111111111', 'us-east-1', 'aaaaaaaaaaaa', 'bbbbbbbbbbbb'];
  const keyArn = keyArnOf(account, region, 'golden');
  const amis = [{ name: 'golden', volumes: [{ device: '/dev/xvda' }] }];
  await using there = await openAccount(account, { [region]: { keys: { golden: {} }, amis } });
  const key = there.key(region, 'golden');
  const withLive = withStatements(key.policy as Policy, { leaseId: live, partition: 'aws', accounts: [account] });
  key.policy = withStatements(withLive, { leaseId: own, partition: 'aws', accounts: [account] });
  const imageId = amiIdOf(account, region, 'golden');
  const state = { ...emptyLedger, imageId, leaseId: own, grantKeys: [keyArn], account, region };
  const report = await release({
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
  });
  expect(report).toEqual({ ...nothing, done: [`took the statements out of the policy of ${keyArn} again`] });
  expect(key.policy).toEqual(withLive);
});
