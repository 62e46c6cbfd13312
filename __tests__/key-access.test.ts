import { expect, test } from '@jest/globals';
import { delegatingPolicy } from '../simulator/scenario.ts';
import { customerKey, procedure, sourceAccount, sourceRegion, targetAccount } from '../simulator/scenarios/standard.ts';
import { expectTargets, share } from './shared-case.ts';

/** A key policy that lets the target account use the source key already. */
function openToTarget() {
  const { Statement, ...rest } = delegatingPolicy(sourceAccount) as { Statement: object[] };
  const use = {
    Sid: 'Theirs',
    Effect: 'Allow',
    Principal: { AWS: `arn:aws:iam::${targetAccount}:root` },
    Action: ['kms:DescribeKey', 'kms:Decrypt', 'kms:ReEncryptFrom', 'kms:CreateGrant'],
    Resource: '*',
  };
  return { ...rest, Statement: [...Statement, use] };
}

test('policy: one statement for the target accounts, taken out again without a trace', async () => {
  const shared = procedure({ policies: ['source-key-policy'] });
  const result = await share(shared, { 'source-key-access': 'policy' });
  expect(result.error).toBe('');
  expectTargets(result, shared.amiId);
  expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
  const actions = result.simulator.calls.filter(({ mutating }) => mutating).map(({ action }) => action);
  expect(actions.filter((action) => action === 'PutKeyPolicy')).toHaveLength(2);
  expect(actions).not.toContain('CreateGrant');
});

test('existing: nothing is touched where the key policy lets the target account in', async () => {
  const shared = customerKey();
  const account = shared.scenario.accounts[sourceAccount];
  const region = account?.regions?.[sourceRegion];
  const keys = { ...region?.keys, cmkSource: { policy: openToTarget() } };
  const opened = { ...account, regions: { ...account?.regions, [sourceRegion]: { ...region, keys } } };
  const scenario = { ...shared.scenario, accounts: { ...shared.scenario.accounts, [sourceAccount]: opened } };
  const result = await share({ ...shared, scenario }, { 'source-key-access': 'existing' });
  expect(result.error).toBe('');
  expectTargets(result, shared.amiId);
  const actions = result.simulator.calls.filter(({ mutating }) => mutating).map(({ action }) => action);
  for (const action of ['CreateGrant', 'PutKeyPolicy']) expect(actions).not.toContain(action);
});

test('existing, where the key lets nobody in: the statement that is missing is told', async () => {
  const result = await share(customerKey(), { 'source-key-access': 'existing' });
  expect(result.error).toMatch(
    /ami-target may not take kms:DescribeKey on arn:aws:kms:\S+\n +What to do: add to the policy of that key: \{"Effect":"Allow","Principal":\{"AWS":"arn:aws:iam::999999999999:root"\},"Action":"kms:DescribeKey"/,
  );
  expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
});
