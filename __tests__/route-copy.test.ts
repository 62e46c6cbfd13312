import { describe, expect, test } from '@jest/globals';
import type { AmiScenario } from '../simulator/scenario.ts';
import {
  procedure,
  sourceAccount,
  sourceRegion,
  targetAccount,
  targetRegion,
  windowsPlatform,
} from '../simulator/scenarios/standard.ts';
import { regionOf } from '../simulator/world.ts';
import { messagesOf, openHouse } from './house/house.ts';
import { runJob, startAction } from './in-process.ts';
import { imageIn, share } from './shared-case.ts';

const policies = ['source-route-copy', 'target-route-copy'];
const route = { route: 'copy' };
const hours = { secondsPerGiB: 900 };
const caseOf = (ami: Partial<AmiScenario> = {}, more = {}) => procedure({ policies, ami, ...more });

describe('what CopyImage does not copy', () => {
  test('is set: that instances take IMDSv2 only', async () => {
    const shared = caseOf({ attributes: { ImdsSupport: 'v2.0' } }, { rules: { copyKeepsImds: false } });
    const { main, simulator } = await share(shared, route);
    expect([main.conclusion, messagesOf(main)]).toEqual(['success', '']);
    const { data } = imageIn(simulator, targetAccount, targetRegion, main.outputs['ami-id'] ?? '');
    expect(data.ImdsSupport).toBe('v2.0');
  });

  test('is asked for beforehand, and that it is denied is warned of', async () => {
    const shared = caseOf(
      { attributes: { ImdsSupport: 'v2.0' } },
      { policies: ['source-route-copy'], rules: { copyKeepsImds: true, order: 'authorization' } },
    );
    const { main } = await share(shared, { ...route, 'dry-run': 'true' });
    expect(messagesOf(main)).toMatch(/ami-target is not allowed to call ec2:ModifyImageAttribute: if AWS doesn.t copy/);
  });

  test.each([['existence'], ['authorization']] as const)(
    'and may not be set, ends the copy within minutes, while it is pending (%s first)',
    async (order) => {
      const may = caseOf(
        { attributes: { ImdsSupport: 'v2.0' } },
        { rules: { copyKeepsImds: false, order }, timings: hours },
      );
      await using house = await openHouse(withoutModifying(may));
      const { main } = await runJob(house.run(route));
      expect(main.conclusion).toBe('failure');
      expect(messagesOf(main)).toMatch(
        /Asking whether that can be set on ami-\w+ in 999999999999\/eu-west-1, a copy that does not have instances take IMDSv2 alone: ModifyImageAttribute .+What to do: .+ec2:ModifyImageAttribute/,
      );
      const { calls } = house.simulator;
      const copies = calls.filter(
        ({ action, account, mutating, outcome }) =>
          action === 'CopyImage' && account === targetAccount && mutating && outcome === 'ok',
      );
      expect(copies).toHaveLength(1);
      expect((calls.at(-1)?.at ?? 0) - (copies[0]?.at ?? 0)).toBeLessThan(300_000);
      await house.settle();
      expect(house.remains()).toEqual([]);
    },
  );

  test('but is copied all the same, takes no permission to set it', async () => {
    const may = caseOf({ attributes: { ImdsSupport: 'v2.0' } }, { rules: { copyKeepsImds: true } });
    const { main } = await share(withoutModifying(may), route);
    expect(main.conclusion).toBe('success');
  });

  test('and can’t be set, shows in the pending image: hours of copying are not waited for', async () => {
    await using house = await openHouse(
      caseOf({ attributes: { BootMode: 'uefi', TpmSupport: 'v2.0' } }, { timings: hours }),
    );
    const { simulator } = house;
    simulator.onCall(({ action, account, mutating }) => {
      if (action !== 'CopyImage' || account !== targetAccount || !mutating) return;
      for (const { data } of regionOf(simulator.world, targetAccount, targetRegion).images.values())
        data.TpmSupport = undefined;
      for (const { data } of regionOf(simulator.world, targetAccount, targetRegion).images.values())
        data.BootMode = 'legacy-bios';
    });
    const started = startAction(house.run(route));
    const began = () =>
      simulator.calls.find(
        ({ action, account, mutating }) => action === 'CopyImage' && account === targetAccount && mutating,
      )?.at ?? 0;
    const main = await started.result;
    expect(messagesOf(main)).toMatch(
      /ami-\w+, still pending, differs already: BootMode is legacy-bios, but uefi in the source/,
    );
    const removed = simulator.calls.find(
      ({ action, account, mutating }) => action === 'DeregisterImage' && account === targetAccount && mutating,
    );
    expect((removed?.at ?? Number.POSITIVE_INFINITY) - began()).toBeLessThan(120_000);
    await house.settle();
    expect(house.remains()).toEqual([]);
  });
});

describe('the description of a copy', () => {
  test.each([
    ['is none where the source has none', {}, undefined],
    [
      'is none where the source has AWS’s own',
      { Description: '[Copied ami-0123456789abcdef1 from us-east-1] base' },
      undefined,
    ],
    ['is the source’s', { Description: 'A golden image' }, 'A golden image'],
  ])('%s', async (_, attributes, sent) => {
    const { main, simulator, post } = await share(caseOf({ attributes }), route);
    expect([main.conclusion, messagesOf(main), messagesOf(post)]).toEqual(['success', '', '']);
    const copy = simulator.calls.find(
      ({ action, account, mutating }) => action === 'CopyImage' && account === targetAccount && mutating,
    );
    expect(copy?.request.Description).toBe(sent);
    const [id = ''] = [main.outputs['ami-id']];
    const { data } = imageIn(simulator, targetAccount, targetRegion, id);
    expect(data.Description).toBe(
      sent ?? `[Copied ${data.SourceImageId} from ${sourceRegion}] ${imageName(simulator, data.SourceImageId)}`,
    );
  });
});

/** The case with target roles that may not modify images. */
function withoutModifying(shared: ReturnType<typeof caseOf>): ReturnType<typeof caseOf> {
  const scenario = structuredClone(shared.scenario) as unknown as {
    accounts: Record<string, { roles: Record<string, { policies: object[] }> }>;
  };
  const Statement = [{ Effect: 'Deny', Action: 'ec2:ModifyImageAttribute', Resource: '*' }];
  for (const { policies } of Object.values(scenario.accounts[targetAccount]?.roles ?? {}))
    policies.push({ Version: '2012-10-17', Statement });
  return { ...shared, scenario: scenario as never };
}

function imageName(simulator: Awaited<ReturnType<typeof share>>['simulator'], id = '') {
  return [...regionOf(simulator.world, sourceAccount, sourceRegion).images.values()].find(
    ({ data }) => data.ImageId === id,
  )?.data.Name;
}

test('an image of Windows by its platform alone takes the route copy', async () => {
  const shared = caseOf({
    attributes: { Platform: windowsPlatform, PlatformDetails: undefined, UsageOperation: undefined },
  });
  const { main } = await runOnce(shared, {});
  expect(main.log).toMatch(/CopyImage|copying ami-/);
  const { main: refused } = await runOnce(shared, { route: 'register' });
  expect(messagesOf(refused)).toMatch(/route register would lose the billing of ami-\w+ \(windows: Windows\)/);
});

async function runOnce(shared: ReturnType<typeof caseOf>, inputs: Record<string, string>) {
  await using house = await openHouse(shared);
  return await runJob(house.run(inputs));
}
