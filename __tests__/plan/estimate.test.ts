import { describe, expect, test } from '@jest/globals';
import { estimate } from '../../src/plan/estimate.ts';
import { copyingTime, costsOf } from '../../src/report/costs.ts';
import {
  deadLease,
  earlierCopy,
  type Facts,
  kindsOf,
  lease,
  planFrom,
  sharedAmi,
  snapshot,
  snapshotOf,
  targetAccount,
  targetIn,
  targetRegion,
  unencrypted,
} from './given.ts';

const hundred = { snapshots: [snapshot('snap-b007', { sizeGiB: 100 })] };
const leases = [lease(deadLease, { expiresAt: 0 })];

/** The estimate of the plan from these facts, as it is told, and the kinds of its operations. */
function told(facts: Facts): Readonly<{ items: readonly string[]; kinds: readonly string[] }> {
  const { request, plan } = planFrom(facts);
  const priced = estimate(request, plan);
  return { items: [...costsOf(priced, request.topology), ...copyingTime(priced)], kinds: kindsOf(plan) };
}

describe('the estimate', () => {
  test('is of what is copied, and for how long', () => {
    expect(told({ source: hundred }).items).toEqual([
      '1 snapshot copy',
      'between regions: 100 GiB, about 2.00 USD',
      'snapshots that stay: 100 GiB, at most 5.00 USD a month',
      'copying takes 4 to 35 minutes',
    ]);
    // Less than a minute at any rate.
    expect(told({ source: { snapshots: [snapshot('snap-b007', { sizeGiB: 1 })] } }).items.at(-1)).toBe(
      'copying takes about 1 minute',
    );
  });

  test('tells of time-based copies, fast snapshot restore, and what keep-intermediates leaves', () => {
    const inputs = { 'copy-duration-minutes': '60', 'keep-intermediates': 'true' };
    const targets = [targetIn(targetAccount, targetRegion, { zones: ['eu-west-1a', 'eu-west-1b'] })];
    const source = { snapshots: [{ ...unencrypted('snap-b007'), sizeGiB: 10 }] };
    expect(told({ inputs, targets, source }).items).toEqual([
      '2 snapshot copies',
      'between regions: 10 GiB, about 0.20 USD',
      'snapshots that stay: 10 GiB, at most 0.50 USD a month',
      'encrypted copies that stay: 10 GiB, at most 0.50 USD a month',
      'time-based copies: 0.32 USD',
      'fast snapshot restore: 1.50 USD an hour as long as it is on',
      'copying takes 1 to 120 minutes',
    ]);
  });

  test('of an AMI that is used again has what fast snapshot restore costs, and else nothing', () => {
    const ami = sharedAmi('ami-there');
    const existing = { existing: [ami], earlierCopies: [snapshotOf(ami)], namesake: ami };
    const items = (zones: string[]) =>
      told({ targets: [targetIn(targetAccount, targetRegion, { ...existing, zones })] }).items;
    expect(items(['eu-west-1a'])).toEqual(['fast snapshot restore: 0.75 USD an hour as long as it is on']);
    expect(items([])).toEqual([]);
  });

  test('of copies that are taken over has what they keep, and the time that is left of them', () => {
    const source = { snapshots: [...hundred.snapshots, snapshot('snap-da7a', { sizeGiB: 10 })] };
    const pending = { ...earlierCopy('snap-1', { state: 'pending' }), Progress: '60%' };
    const there = earlierCopy('snap-2', { of: 'snap-da7a' });
    const again = (...earlierCopies: ReturnType<typeof earlierCopy>[]) =>
      told({ source, leases, targets: [targetIn(targetAccount, targetRegion, { earlierCopies })] });
    expect(again(pending, there).items).toEqual([
      '2 snapshot copies of earlier runs taken over',
      'snapshots that stay: 110 GiB, at most 5.50 USD a month',
      'copying takes 2 to 14 minutes',
    ]);
    expect(again(pending).items).toEqual([
      '1 snapshot copy',
      '1 snapshot copy of earlier runs taken over',
      'between regions: 10 GiB, about 0.20 USD',
      'snapshots that stay: 110 GiB, at most 5.50 USD a month',
      'copying takes 4 to 35 minutes',
    ]);
    // AWS tells them in any order.
    expect(again(there, pending)).toEqual(again(pending, there));
  });

  test('of copies that are all there has no time, for nothing is encrypted, shared or copied any more', () => {
    const source = { snapshots: [unencrypted('snap-b007')] };
    const again = (state: 'pending' | 'completed') => {
      const earlierCopies = [earlierCopy('snap-1', { state })];
      return told({ source, leases, targets: [targetIn(targetAccount, targetRegion, { earlierCopies })] });
    };
    expect(again('completed')).toEqual({
      items: ['1 snapshot copy of earlier runs taken over', 'snapshots that stay: 8 GiB, at most 0.40 USD a month'],
      kinds: ['lease', 'copy', 'register', 'verify', 'untag'],
    });
    // One that still runs may come to nothing, and is then made anew.
    expect(again('pending').kinds).toEqual(expect.arrayContaining(['encrypt', 'allow', 'share']));
  });
});
