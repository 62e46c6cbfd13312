import { describe, expect, test } from '@jest/globals';
import type { Fault } from '../simulator/faults.ts';
import { customerKey, sourceAccount, sourceRegion, targetAccount } from '../simulator/scenarios/standard.ts';
import { regionOf } from '../simulator/world.ts';
import { messagesOf, openHouse } from './house/house.ts';
import { runJob, type Simulator } from './in-process.ts';

/** A copy that AWS takes on and gives up some moments later, in these words. */
const fails = (message: string, times = 1): Fault => ({
  ...{ kind: 'copy-fails', action: 'CopySnapshot', account: targetAccount, mutating: true, nth: 1, times },
  ...{ message, afterSeconds: 20 },
});

const source = ({ world }: Simulator) => regionOf(world, sourceAccount, sourceRegion);

/** What somebody takes away of the access to the source. */
const takeAway = {
  share: (simulator: Simulator) => {
    for (const { shares } of source(simulator).snapshots.values()) shares.delete(targetAccount);
  },
  grant: (simulator: Simulator) => {
    for (const { grants } of source(simulator).keys.values()) grants.splice(0);
  },
};

/** A run whose first copy in the target fails in some words, and something happens as it begins. */
async function copying(faults: readonly Fault[], atCopy: (simulator: Simulator) => void = () => {}) {
  await using house = await openHouse(customerKey({ timings: { secondsPerGiB: 10 }, faults }));
  const { simulator } = house;
  let isFirst = true;
  simulator.onCall(({ action, mutating, account }) => {
    if (action !== 'CopySnapshot' || !mutating || account !== targetAccount) return;
    if (isFirst) atCopy(simulator);
    isFirst = false;
  });
  const { main, post } = await runJob(house.run());
  await house.settle();
  const copies = simulator.calls.filter(({ action, mutating }) => action === 'CopySnapshot' && mutating);
  return {
    main,
    said: [main, post].map(messagesOf).filter(Boolean).join('\n'),
    copies,
    remains: house.remains(),
    simulator,
  };
}

describe('a copy that fails across accounts is looked into', () => {
  test.each([
    ['share', 'Snapshot is not found', /the share of snap-\w+ with account 999999999999 was taken away/],
    ['share', 'An internal error has occurred', /the share of snap-\w+ with account 999999999999 was taken away/],
    ['grant', 'Given key ID is not accessible', /the grant on arn:\S+ to \S+ami-target was taken away/],
    ['grant', 'Something else', /the grant on arn:\S+ to \S+ami-target was taken away/],
  ] as const)('where the %s was taken away, whatever AWS says (%s)', async (what, words, told) => {
    const { main, said, copies, remains, simulator } = await copying([fails(words)], takeAway[what]);
    expect([main.conclusion, copies.length]).toEqual(['success', 2]);
    expect(said).toMatch(told);
    expect(remains).toEqual([]);
    // What was granted again is taken back, too.
    expect([...source(simulator).keys.values()].flatMap(({ grants }) => grants)).toEqual([]);
  });

  test('where it stands, what AWS says otherwise is told at once', async () => {
    const { main, said, copies, remains } = await copying([fails('An internal error has occurred')]);
    expect([main.conclusion, copies.length]).toEqual(['failure', 1]);
    expect(said).toMatch(/An internal error has occurred/);
    expect(said).not.toMatch(/taken away/);
    expect(remains).toEqual([]);
  });

  test('where it stands and the key is not accessible, nothing wider is granted, and what is documented is named', async () => {
    const { main, said, copies, remains, simulator } = await copying([fails('Given key ID is not accessible', 100)]);
    expect([main.conclusion, copies.length]).toEqual(['failure', 4]);
    expect(said).toMatch(
      /kms:GenerateDataKey\*.+policy of the source key, and to the target role.+source-key-access to existing/,
    );
    const operations = simulator.calls
      .filter(({ action }) => action === 'CreateGrant')
      .map(({ request }) => request.Operations);
    for (const granted of operations)
      expect(granted).toEqual(['DescribeKey', 'Decrypt', 'ReEncryptFrom', 'CreateGrant']);
    expect(remains).toEqual([]);
  });
});

describe('a quota that is full is waited for', () => {
  const refused = (code: string, message: string, times: number): Fault => ({
    ...{
      kind: 'refusal',
      action: 'CopySnapshot',
      account: targetAccount,
      mutating: true,
      nth: 1,
      times,
      code,
      message,
    },
  });

  test.each([
    ['ResourceLimitExceeded', 'Too many snapshot copies in progress. The limit is 20 for this destination region.'],
    ['PendingSnapshotLimitExceeded', 'Pending snapshot limit exceeded'],
    ['InvalidRequest', 'There are too many copies under way'],
  ])('%s: %s', async (code, words) => {
    const { main, said, copies } = await copying([refused(code, words, 3)]);
    expect([main.conclusion, said, copies.length]).toEqual(['success', '', 4]);
    expect(main.log).toMatch(/waiting for room in a quota to copy snap-\w+, up to 120 minutes/);
  });

  test.each([
    ['ModifySnapshotAttribute', 'AttributeLimitExceeded', /to share snap-\w+/],
    ['EnableImageDeprecation', 'ResourceLimitExceeded', /to publish ami-\w+/],
    ['PutParameter', 'TooManyUpdates', /to set \/golden\/latest/],
    ['CreateLaunchTemplateVersion', 'ResourceLimitExceeded', /to make a version of lt-\w+/],
  ])('whatever it is of: %s says %s', async (action, code, told) => {
    const faults: Fault[] = [{ kind: 'refusal', action, mutating: true, nth: 1, times: 3, code, message: 'Full.' }];
    const launchTemplates = { web: ['ami-00000000000000001'] };
    const policies = ['target-publish', 'target-ssm-parameter', 'target-launch-template'];
    await using house = await openHouse(customerKey({ faults, policies, target: { launchTemplates } }));
    const references = { 'ssm-parameter': '/golden/latest', 'launch-template': 'web' };
    const { main } = await runJob(house.run({ ...references, 'deprecate-after': '30d' }));
    expect([main.conclusion, messagesOf(main)]).toEqual(['success', '']);
    expect(main.log).toMatch(told);
    expect(main.log).toMatch(/waiting for room in a quota .+, up to 5 minutes \(.+: Full\.\)/);
  });

  test('for a time', async () => {
    const { main, said, remains } = await copying([
      refused('SnapshotLimitExceeded', 'Snapshot limit exceeded', 100_000),
    ]);
    expect(main.conclusion).toBe('failure');
    expect(said).toMatch(/SnapshotLimitExceeded: Snapshot limit exceeded/);
    expect(main.seconds).toBeGreaterThan(7200);
    expect(main.seconds).toBeLessThan(8000);
    expect(remains).toEqual([]);
  });

  test('what is granted is waited for some minutes', async () => {
    const full: Fault = {
      kind: 'refusal',
      action: 'CreateGrant',
      mutating: true,
      nth: 1,
      times: 3,
      code: 'LimitExceededException',
    };
    const { main, said } = await copying([full]);
    expect([main.conclusion, said]).toEqual(['success', '']);
    expect(main.log).toMatch(/waiting for room in a quota to grant the use of/);
  });
});

test('a CopySnapshot that AWS always fails to answer ends after ten minutes, in AWS’s words', async () => {
  const broken: Fault = {
    kind: 'server-error',
    action: 'CopySnapshot',
    account: targetAccount,
    mutating: true,
    times: 100_000,
    nth: 1,
  };
  const { main, said, remains } = await copying([broken]);
  expect(main.conclusion).toBe('failure');
  expect(said).toMatch(/CopySnapshot in 999999999999\/eu-west-1: InternalError: An internal error has occurred/);
  expect(main.seconds).toBeLessThan(900);
  expect(remains).toEqual([]);
});
