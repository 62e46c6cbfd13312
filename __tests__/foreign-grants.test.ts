import { describe, expect, test } from '@jest/globals';
import { keyArnOf } from '../simulator/scenario.ts';
import { customerKey, sourceAccount, sourceRegion, targetAccount } from '../simulator/scenarios/standard.ts';
import type { Grant } from '../simulator/world.ts';
import { type House, killAt, openHouse } from './house/house.ts';
import { type InProcessRun, runAction, runJob, type Simulator, startSimulator } from './in-process.ts';
import { changed } from './policy-cases.ts';
import { expectTargets, type TargetRecord } from './shared-case.ts';

/* Grants that a target account made on the source key while the run let it use the key: told at the end, never revoked. */

const keyArn = keyArnOf(sourceAccount, sourceRegion, 'cmkSource');
const app = `arn:aws:iam::${targetAccount}:user/app`;

function grantsOn({ world }: Simulator): Grant[] {
  const region = world.accounts[sourceAccount]?.regions.get(sourceRegion);
  const key = region?.keys.get(region.aliases.get('alias/cmkSource') ?? '');
  if (key === undefined) throw new Error('no source key');
  return key.grants;
}

function grantOf(simulator: Simulator, more: Partial<Grant>): Grant {
  const now = simulator.clock.now();
  return {
    GrantId: more.Name ?? 'a',
    GranteePrincipal: app,
    Operations: ['Decrypt', 'DescribeKey'],
    CreationDate: new Date(now),
    IssuingAccount: targetAccount,
    activeAt: now,
    ...more,
  };
}

/** Grants that are there, or come, while the target copies. */
async function shareWith(
  grants: (simulator: Simulator) => Grant[],
  shared = customerKey({ timings: { secondsPerGiB: 10 } }),
) {
  const simulator = await startSimulator(shared.scenario);
  const forget = simulator.onCall(({ action, mutating }) => {
    if (action !== 'CopySnapshot' || !mutating) return;
    forget();
    grantsOn(simulator).push(...grants(simulator));
  });
  try {
    const { main } = await runJob({ inputs: shared.inputs, env: simulator.env });
    const targets = JSON.parse(main.outputs.targets ?? '[]') as TargetRecord[];
    expectTargets({ simulator, targets }, shared.amiId);
    return { main, left: grantsOn(simulator).map(({ GrantId }) => GrantId), calls: simulator.calls };
  } finally {
    await simulator.close();
  }
}

test('one that may come of the run’s own is told with the command that revokes it, and stays', async () => {
  const { main, left, calls } = await shareWith((simulator) => [grantOf(simulator, { GrantId: 'f00d' })]);
  expect(main.conclusion).toBe('success');
  expect(main.annotations).toEqual([
    expect.objectContaining({
      level: 'warning',
      message: expect.stringMatching(
        `account ${targetAccount} made a grant on ${keyArn} [^]*${app} is still allowed Decrypt, DescribeKey\\. What to do: [^]*aws kms revoke-grant --region ${sourceRegion} --key-id ${keyArn} --grant-id f00d$`,
      ),
    }),
  ]);
  expect(left).toEqual(['f00d']);
  // Beside the question whether it may.
  const lists = calls.filter(({ action, request }) => action === 'ListGrants' && request.Limit !== 1);
  expect(lists).toHaveLength(1);
});

test('what comes of the use of the key as it is meant, and what has nothing to do with the run, is not told', async () => {
  const infrastructure = `arn:aws:sts::${targetAccount}:assumed-role/aws:ec2-infrastructure/i-0123456789abcdef0`;
  const { main, left } = await shareWith((simulator) => [
    grantOf(simulator, { Name: 'a service', GranteePrincipal: 'ec2.us-east-1.amazonaws.com' }),
    grantOf(simulator, { Name: 'a service in China', GranteePrincipal: 'ec2.cn-north-1.amazonaws.com.cn' }),
    grantOf(simulator, { Name: 'the infrastructure', GranteePrincipal: infrastructure }),
    grantOf(simulator, { Name: 'more than the run gives', Operations: ['Decrypt', 'Encrypt'] }),
    grantOf(simulator, { Name: 'the owner’s', IssuingAccount: sourceAccount }),
    grantOf(simulator, { Name: 'another account’s', IssuingAccount: '333333333333' }),
    grantOf(simulator, { Name: 'older', CreationDate: new Date(simulator.clock.now() - 3_600_000) }),
  ]);
  expect(main.annotations).toEqual([]);
  expect(left).toHaveLength(7);
});

test('a role that may not list grants runs as well', async () => {
  const shared = changed(customerKey(), ({ Action, ...statement }) => {
    const kept = [Action].flat().filter((action) => action !== 'kms:ListGrants');
    return { ...statement, Action: kept };
  });
  const { main } = await shareWith((simulator) => [grantOf(simulator, {})], shared);
  expect(main.conclusion).toBe('success');
  // Preflight says what it takes; the run's end is silent.
  expect(main.annotations.map(({ message }) => message)).toEqual([expect.stringContaining('kms:ListGrants')]);
  expect(main.stdout).toMatch(/whether others made grants on \S+ is not known: .*AccessDenied/);
});

describe('where the run that let them was killed, it is told', () => {
  const timings = { secondsPerGiB: 10 };

  /** A run that is killed while the target copies, after a principal of the target made itself a grant; with its post. */
  async function killed(house: House) {
    const run = house.run({}, { run_id: '1' });
    const main = await killAt(house, run, ({ action, mutating }) => {
      if (action !== 'CopySnapshot' || !mutating) return false;
      grantsOn(house.simulator).push(grantOf(house.simulator, { GrantId: 'f00d' }));
      return true;
    });
    return { ...run, entry: 'post' as const, state: main.state, temp: main.temp };
  }

  const by = {
    post: (_: House, post: InProcessRun) => runAction(post),
    'the next run': async (house: House) => {
      await house.settle();
      return (await runJob(house.run({}, { run_id: '2' }))).main;
    },
    'a sweep': async (house: House) => {
      await house.settle();
      return runAction({ ...house.run({}, { run_id: '99' }), action: 'sweep' });
    },
  };

  test.each(Object.entries(by))('by %s', async (_, takesBack) => {
    await using house = await openHouse(customerKey({ timings }));
    const post = await killed(house);
    const { annotations } = await takesBack(house, post);
    expect(annotations.map(({ message }) => message)).toEqual([
      expect.stringMatching(/made a grant on .* --grant-id f00d$/),
    ]);
    expect(grantsOn(house.simulator).map(({ GrantId }) => GrantId)).toEqual(['f00d']);
  });
});
