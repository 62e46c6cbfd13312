import { describe, expect, test } from '@jest/globals';
import { openLedger, savedLedger } from '../src/ledger.ts';

/** A ledger over a plain record in place of the runner's state file. */
function open() {
  const saved: Record<string, string> = {};
  const ledger = openLedger((name, value) => {
    saved[name] = value;
  });
  return { ledger, saved, left: () => savedLedger((name) => saved[name] ?? '') };
}

const empty = {
  imageId: '',
  leaseId: '',
  leased: false,
  grantKeys: [],
  shares: [],
  regions: [],
  targets: {},
  promotions: [],
  account: '',
};

describe('what post finds', () => {
  test('is nothing where nothing was written', () => {
    const { ledger, saved, left } = open();
    expect(ledger.state).toBeUndefined();
    expect(saved).toEqual({});
    expect(left()).toBeUndefined();
  });

  test('is what was written last over what was written before', () => {
    const { ledger, left } = open();
    ledger.write({ imageId: 'ami-1', leaseId: 'aaaaaaaaaaaa' });
    expect(left()).toEqual({ ...empty, imageId: 'ami-1', leaseId: 'aaaaaaaaaaaa' });
    ledger.write({ leased: true, imageId: 'ami-2' });
    expect(left()).toEqual({ ...empty, imageId: 'ami-2', leaseId: 'aaaaaaaaaaaa', leased: true });
    expect(ledger.state).toEqual(left());
  });

  test('is nothing once all is undone, and nothing old comes back', () => {
    const { ledger, left } = open();
    ledger.write({ imageId: 'ami-1' });
    ledger.clear();
    expect(ledger.state).toBeUndefined();
    expect(left()).toBeUndefined();
    ledger.write({ account: '111111111111' });
    expect(left()).toEqual({ ...empty, account: '111111111111' });
  });

  test('is under the name that the state file of a run in progress has', () => {
    const { ledger, saved } = open();
    ledger.write({ imageId: 'ami-1' });
    expect(Object.keys(saved)).toEqual(['ledger']);
  });
});

describe('shares', () => {
  test('of one region with the same accounts are one entry; others have their own', () => {
    const { ledger, left } = open();
    ledger.addShare('us-east-1', 'snap-1', ['222222222222', '333333333333']);
    ledger.addShare('us-east-1', 'snap-2', ['444444444444']);
    ledger.addShare('eu-west-1', 'snap-3', ['222222222222', '333333333333']);
    ledger.addShare('us-east-1', 'snap-4', ['222222222222', '333333333333']);
    expect(left()?.shares).toEqual([
      { region: 'us-east-1', accounts: ['222222222222', '333333333333'], resources: ['snap-1', 'snap-4'] },
      { region: 'us-east-1', accounts: ['444444444444'], resources: ['snap-2'] },
      { region: 'eu-west-1', accounts: ['222222222222', '333333333333'], resources: ['snap-3'] },
    ]);
  });

  test('leave the rest of the ledger as it is', () => {
    const { ledger, left } = open();
    ledger.write({ imageId: 'ami-1', grantKeys: ['arn:aws:kms:us-east-1:111111111111:key/1'] });
    ledger.addShare('us-east-1', 'snap-1', ['222222222222']);
    expect(left()).toMatchObject({ imageId: 'ami-1', grantKeys: ['arn:aws:kms:us-east-1:111111111111:key/1'] });
  });
});
