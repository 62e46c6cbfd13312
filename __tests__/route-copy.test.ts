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
