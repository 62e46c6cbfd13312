import { describe, expect, test } from '@jest/globals';
import { type Case, type StandardOptions, sourceRegion, standardCase } from '../simulator/scenarios/standard.ts';
import { messagesOf, recordsOf } from './house/house.ts';
import { runAction, runJob, type Simulator, startSimulator } from './in-process.ts';

/* `target-regions: all`: each account's own regions, read by its role. */

const [wide, narrow] = ['999999999999', '222222222222'] as const;

/** An account with three regions, and one with two; the source's region is one of each. */
function accounts(options: StandardOptions = {}): Case {
  const shared = standardCase({
    targets: [wide, narrow],
    regions: [sourceRegion, 'eu-west-1', 'us-west-2'],
    ...options,
  });
  const { 'us-west-2': _, ...regions } = shared.scenario.accounts[narrow]?.regions ?? {};
  const known = { ...shared.scenario.accounts, [narrow]: { ...shared.scenario.accounts[narrow], regions } };
  return {
    ...shared,
    scenario: { ...shared.scenario, accounts: known },
    inputs: { ...shared.inputs, 'target-regions': 'all' },
  };
}

const statusesIn = (main: Parameters<typeof recordsOf>[0]) =>
  recordsOf(main).map(({ account, region, status }) => `${account}/${region} ${status}`);

/** How often a role of an account was to be assumed. */
const assumed = ({ calls }: Simulator, account: string) =>
  calls.filter(({ action, request }) => action.startsWith('AssumeRole') && String(request.RoleArn).includes(account))
    .length;

describe('every region that an account has enabled', () => {
  test('is a target, but for what is excluded, and targets overrides it', async () => {
    const shared = accounts();
    const simulator = await startSimulator(shared.scenario);
    const inputs = {
      ...shared.inputs,
      'target-accounts': `${wide}\n${narrow}\n333333333333`,
      'exclude-targets': `*/${sourceRegion}\n333333333333/*`,
      targets: `- {account: ${narrow}, region: eu-west-1, ami-name: its own}`,
    };
    const { main } = await runJob({ inputs, env: simulator.env });
    expect(messagesOf(main)).toBe('');
    expect(statusesIn(main)).toEqual([
      `${wide}/eu-west-1 created`,
      `${wide}/us-west-2 created`,
      `${narrow}/eu-west-1 created`,
    ]);
    expect(recordsOf(main)[2]?.amiName).toBe('its own');
    expect([assumed(simulator, wide) > 0, assumed(simulator, '333333333333')]).toEqual([true, 0]);
    await simulator.close();
  });

  test('is a problem where it has no key, and the message says how to leave it out', async () => {
    const shared = accounts();
    const simulator = await startSimulator(shared.scenario);
    simulator.world.accounts[wide]?.regions.get('us-west-2')?.aliases.clear();
    const { main } = await runJob({ inputs: shared.inputs, env: simulator.env });
    expect(main.conclusion).toBe('failure');
    expect(messagesOf(main)).toMatch(
      /999999999999\/us-west-2: .*alias\/cmkTarget.*or leave it out by exclude-targets: 999999999999\/us-west-2/s,
    );
    await simulator.close();
  });
});

describe('regions that can’t be read', () => {
  test('are told with all else that is wrong, and the account stands for them in the records', async () => {
    const shared = accounts();
    const simulator = await startSimulator(shared.scenario);
    simulator.world.accounts[wide]?.roles.delete('ami-target');
    const role = simulator.world.accounts[narrow]?.roles.get('ami-target');
    if (role)
      role.policies = JSON.parse(JSON.stringify(role.policies).replaceAll('ec2:DescribeRegions', 'ec2:DescribeVpcs'));
    const refused = await runAction({
      inputs: { ...shared.inputs, 'ami-id': 'ami-00000000000000001' },
      env: simulator.env,
    });
    expect(refused.conclusion).toBe('failure');
    const said = messagesOf(refused);
    expect(said).toMatch(/3 problems were found before anything was changed/);
    expect(said).toContain('there is no ami-00000000000000001');
    expect(said).toMatch(/AssumeRoleWithWebIdentity of arn:aws:iam::999999999999:role\/ami-target/);
    expect(said).toMatch(
      /; target-regions: all reads an account's regions by this role, in the source region us-east-1, even if that is no target; or leave it out by exclude-targets: 999999999999\/\*$/m,
    );
    expect(said).toMatch(/reading the regions that the account has enabled: .*ec2:DescribeRegions.*What to do: /s);
    const optional = {
      'exclude-targets': `*/${sourceRegion}`,
      'optional-targets': `${narrow}/*`,
      'on-problem': 'skip',
    };
    // Left out, nothing stops a dry run.
    const dry = await runAction({
      inputs: { ...shared.inputs, ...optional, 'dry-run': 'true' },
      env: simulator.env,
    });
    expect(statusesIn(dry)).toEqual([`${wide}/${sourceRegion} failed`, `${narrow}/${sourceRegion} failed`]);
    expect(recordsOf(dry)[1]).toMatchObject({ optional: true });
    // One region of an account that is optional doesn't make the account so.
    const one = { 'optional-targets': `*/${sourceRegion}`, 'dry-run': 'true' };
    const needed = await runAction({ inputs: { ...shared.inputs, ...one }, env: simulator.env });
    expect(needed.conclusion).toBe('failure');
    await simulator.close();
  });
});
