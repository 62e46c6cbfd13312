import { describe, expect, test } from '@jest/globals';
import type { Timings } from '../../simulator/hardness.ts';
import { amiIdOf } from '../../simulator/scenario.ts';
import {
  type Case,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import { type Region, regionOf } from '../../simulator/world.ts';
import { runAction, runJob, startAction } from '../in-process.ts';
import { type House, messagesOf, openHouse, recordsOf, stockOf } from './house.ts';

/* A lineage is what the inputs say it is, from bake to bake; nothing else goes by it. */

const day = 24 * 60;
const volumes = [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }];
const target = [targetAccount, targetRegion] as const;

function bakes(names: readonly string[], more: Partial<Timings> = {}): Case {
  const [first, ...later] = names.map((name) => ({ name, volumes }));
  const policies = ['target-retain', 'target-publish', 'target-ssm-parameter'];
  const timings = { baseSeconds: 60, secondsPerGiB: 0, ...more };
  return standardCase({ timings, policies, volumes, ami: { name: first?.name ?? '' }, source: { amis: later } });
}

async function bake(house: House, name: string, inputs: Record<string, string> = {}) {
  const run_id = String(house.simulator.calls.length + 1);
  const asked = { lineage: 'golden', 'ami-id': amiIdOf(sourceAccount, sourceRegion, name), ...inputs };
  const { main, post } = await runJob(house.run(asked, { run_id }));
  await house.settle(1);
  return { main, told: messagesOf(main) + messagesOf(post), id: recordsOf(main)[0]?.amiId ?? '' };
}

const namesIn = ({ simulator }: House) =>
  stockOf(simulator, ...target)
    .images.map(({ data }) => data.Name)
    .sort();

function tagsOf({ simulator }: House, id: string, key: string): string | undefined {
  const image = stockOf(simulator, ...target).images.find(({ data }) => data.ImageId === id);
  return image?.data.Tags.find(({ Key }) => Key === `share-encrypted-ami:${key}`)?.Value;
}

/** A template with a version for each image, the first being the default one. */
function addTemplate(region: Region, id: string, images: readonly string[]): void {
  const versions = images.map((ImageId, index) => ({
    ...{ number: index + 1, description: '', visibleAt: 0 },
    data: { ImageId },
  }));
  const made = { id, name: id, versions, defaultVersion: 1, latest: versions.length, tokens: new Map() };
  region.launchTemplates.set(id, made);
}

describe('a lineage', () => {
  test('is kept at two, and nothing goes before its successor has been published for a week', async () => {
    await using house = await openHouse(bakes(['eks-node-1.29', 'eks-node-1.30', 'eks-node-1.31', 'base-22.04']));
    const retain = { retain: '1', 'retain-days': '7' };
    // Of another lineage, although its name differs by digits only.
    const other = await bake(house, 'base-22.04', { lineage: 'base', retain: '1' });
    const first = await bake(house, 'eks-node-1.29', retain);
    expect([first.told, tagsOf(house, first.id, 'superseded')]).toEqual(['', undefined]);
    await house.settle(3 * day);
    const second = await bake(house, 'eks-node-1.30', retain);
    const [successor, since] = tagsOf(house, first.id, 'superseded')?.split(' ') ?? [];
    expect([successor, since]).toEqual([second.id, tagsOf(house, second.id, 'published')]);
    await house.settle(6 * day);
    const third = await bake(house, 'eks-node-1.31', retain);
    expect(third.main.stdout).toMatch(/eks-node-1\.29\) stays: its successor has been published for 6 of 7 days/);
    expect(namesIn(house)).toEqual(['base-22.04', 'eks-node-1.29', 'eks-node-1.30', 'eks-node-1.31']);
    await house.settle(2 * day);
    const again = await bake(house, 'eks-node-1.31', retain);
    expect([again.told, again.id]).toEqual(['', third.id]);
    expect(JSON.parse(again.main.outputs['removed-amis'] ?? '')).toEqual([
      { account: targetAccount, region: targetRegion, amiId: first.id, snapshotIds: [expect.stringMatching(/^snap-/)] },
    ]);
    expect(namesIn(house)).toEqual(['base-22.04', 'eks-node-1.30', 'eks-node-1.31']);
    expect(tagsOf(house, other.id, 'superseded')).toBeUndefined();
    expect(house.remains()).toEqual([]);
  });

  test('goes back to an AMI before, and forth: each counts from when it was published again', async () => {
    await using house = await openHouse(bakes(['golden-1', 'golden-2', 'golden-3']));
    const retain = { retain: '1', 'retain-days': '7' };
    const first = await bake(house, 'golden-1');
    await house.settle(20 * day);
    const second = await bake(house, 'golden-2');
    await house.settle(10 * day);
    const back = await bake(house, 'golden-1', retain);
    expect([back.id, back.told]).toEqual([first.id, '']);
    expect(back.main.stdout).toMatch(/golden-2\) stays: its successor has been published for 0 of 7 days/);
    const published = tagsOf(house, first.id, 'published');
    expect(tagsOf(house, first.id, 'superseded')).toBeUndefined();
    expect(tagsOf(house, second.id, 'superseded')).toBe(`${first.id} ${published}`);
    await house.settle(6 * day);
    const again = await bake(house, 'golden-1', retain);
    expect([again.id, tagsOf(house, first.id, 'published')]).toEqual([first.id, published]);
    expect(again.main.stdout).toMatch(/golden-2\) stays: its successor has been published for 6 of 7 days/);
    const forth = await bake(house, 'golden-2', retain);
    expect([forth.id, namesIn(house)]).toEqual([second.id, ['golden-1', 'golden-2']]);
    expect(tagsOf(house, second.id, 'superseded')).toBeUndefined();
    await house.settle(8 * day);
    const last = await bake(house, 'golden-2', retain);
    expect([last.told, namesIn(house)]).toEqual(['', ['golden-2']]);
  });

  test('keeps what was gone back to until its own successor has been published for as long, and as the newest but one', async () => {
    await using house = await openHouse(bakes(['golden-1', 'golden-2', 'golden-3', 'golden-4', 'golden-5']));
    for (const name of ['golden-1', 'golden-2', 'golden-3', 'golden-1']) {
      await bake(house, name);
      await house.settle(10 * day);
    }
    // The successors that it had before count no more.
    const early = await bake(house, 'golden-4', { retain: '1', 'retain-days': '5' });
    expect(early.main.stdout).toMatch(/golden-1\) stays: its successor has been published for 0 of 5 days/);
    expect(namesIn(house)).toEqual(['golden-1', 'golden-4']);
    await house.settle(6 * day);
    const last = await bake(house, 'golden-5', { retain: '2', 'retain-days': '5' });
    expect([last.told, namesIn(house)]).toEqual(['', ['golden-4', 'golden-5']]);
  });

  test('of two, one that was gone back to is the former one, although another was made later', async () => {
    await using house = await openHouse(bakes(['golden-1', 'golden-2', 'golden-3', 'golden-4']));
    for (const name of ['golden-1', 'golden-2', 'golden-3', 'golden-1']) {
      await bake(house, name);
      await house.settle(10 * day);
    }
    await bake(house, 'golden-4', { retain: '2' });
    // By AWS's time of making, golden-3 is.
    expect(namesIn(house)).toEqual(['golden-1', 'golden-3', 'golden-4']);
  });

  test('keeps what others may launch; a launch before the next one was published holds nothing', async () => {
    await using house = await openHouse(bakes(['web-3f9ac21', 'web-77b0c1d', 'web-9e1f002']));
    const shared = await bake(house, 'web-3f9ac21', { 'launch-permissions': '222222222222' });
    const launched = await bake(house, 'web-77b0c1d');
    const image = regionOf(house.simulator.world, ...target).images.get(launched.id);
    if (image) image.data.LastLaunchedTime = new Date(house.simulator.clock.now() + 3_600_000).toISOString();
    await house.settle(2 * day);
    const { main } = await bake(house, 'web-9e1f002');
    expect(main.conclusion).toBe('success');
    const { main: kept } = await bake(house, 'web-9e1f002', { retain: '1' });
    expect(kept.stdout).toMatch(
      new RegExp(`${shared.id} .*stays: it is used by others, who may launch it \\(222222222222\\)`),
    );
    expect(namesIn(house)).toEqual(['web-3f9ac21', 'web-9e1f002']);
  });

  test('lifts its own protection when the time has come, and no other; with a cooldown, a day before', async () => {
    const names = ['golden-1', 'golden-2', 'golden-3', 'golden-4'];
    await using house = await openHouse(bakes(names));
    const retain = { retain: '1' };
    const region = regionOf(house.simulator.world, ...target);
    const stranger = await bake(house, 'golden-1');
    const data = region.images.get(stranger.id)?.data;
    if (data) data.DeregistrationProtection = 'enabled-without-cooldown';
    await bake(house, 'golden-2', { ...retain, 'deregistration-protection': 'on' });
    const third = await bake(house, 'golden-3', { ...retain, 'deregistration-protection': 'on-with-cooldown' });
    expect([third.told, namesIn(house)]).toEqual(['', ['golden-1', 'golden-3']]);
    // A run that asks for no protection lifts none, whatever a tag says.
    const none = await bake(house, 'golden-4', retain);
    expect(none.main.stdout).toMatch(/golden-3\) stays: it is protected from deregistration/);
    const protecting = { ...retain, 'deregistration-protection': 'on' };
    const fourth = await bake(house, 'golden-4', protecting);
    expect(fourth.main.stdout).toMatch(/golden-3\) stays a day more: its protection is lifted, and has a cooldown/);
    const state = () => region.images.get(third.id)?.data.DeregistrationProtection;
    expect([namesIn(house), state()]).toEqual([['golden-1', 'golden-3', 'golden-4'], 'disabled-with-cooldown']);
    // It comes into use meanwhile.
    addTemplate(region, 'lt-0aaaaaaaaaaaaaaa3', [third.id]);
    await house.settle(2 * day);
    await bake(house, 'golden-4', protecting);
    expect(state()).toBe('enabled-with-cooldown');
    region.launchTemplates.clear();
    await bake(house, 'golden-4', protecting);
    await house.settle(2 * day);
    const last = await bake(house, 'golden-4', protecting);
    expect([last.told, namesIn(house)]).toEqual(['', ['golden-1', 'golden-4']]);
  });

  test('keeps what a launch template resolves by an older version of a parameter, and what a group is pinned to', async () => {
    await using house = await openHouse(bakes(['golden-1', 'golden-2', 'golden-3']));
    const [resolved, pinned] = [await bake(house, 'golden-1'), await bake(house, 'golden-2')];
    const region = regionOf(house.simulator.world, ...target);
    const others = { type: 'String', dataType: 'text', tags: [] };
    const former = { value: resolved.id, dataType: 'text', version: 1, labels: [] };
    const parameter = { ...others, name: '/pinned', value: 'ami-00000000000000001', version: 2, history: [former] };
    region.parameters.set('/pinned', parameter);
    addTemplate(region, 'lt-0aaaaaaaaaaaaaaa1', ['resolve:ssm:/pinned:1', 'resolve:ssm:/gone']);
    addTemplate(region, 'lt-0aaaaaaaaaaaaaaa2', [pinned.id, 'ami-00000000000000002']);
    const group = { AutoScalingGroupName: 'web', MinSize: 0, MaxSize: 1, DesiredCapacity: 0, DefaultCooldown: 0 };
    region.groups.push({
      ...{ ...group, AvailabilityZones: [], HealthCheckType: 'EC2', CreatedTime: new Date(0) },
      LaunchTemplate: { LaunchTemplateId: 'lt-0aaaaaaaaaaaaaaa2', Version: '1' },
    });
    const { main } = await bake(house, 'golden-3', { retain: '1' });
    expect(main.stdout).toMatch(/golden-1\) stays: it is used by lt-0aaaaaaaaaaaaaaa1/);
    expect(main.stdout).toMatch(/golden-2\) stays: it is used by .*the Auto Scaling group web/);
    expect(namesIn(house)).toEqual(['golden-1', 'golden-2', 'golden-3']);
  });

  test('keeps its name from bake to bake, unless something would launch the old one anew', async () => {
    await using house = await openHouse(bakes(['golden-1', 'golden-2', 'golden-3']));
    const named = { 'target-ami-name': 'golden', 'on-existing': 'replace' };
    const first = await bake(house, 'golden-1', named);
    const second = await bake(house, 'golden-2', named);
    expect([second.told, namesIn(house)]).toEqual(['', ['golden']]);
    expect(JSON.parse(second.main.outputs['removed-amis'] ?? '')).toMatchObject([
      { amiId: first.id, snapshotIds: [expect.stringMatching(/^snap-/)] },
    ]);
    expect(second.id).not.toBe(first.id);
    addTemplate(regionOf(house.simulator.world, ...target), 'lt-0123456789abcdef0', [second.id]);
    const third = await bake(house, 'golden-3', named);
    expect(third.told).toMatch(
      new RegExp(`${second.id}, which the new AMI is to replace, would be launched anew by lt-`),
    );
    const another = await bake(house, 'golden-3', { ...named, lineage: 'silver' });
    expect(another.told).toMatch(/the name "golden" is taken by ami-/);
    expect(stockOf(house.simulator, ...target).images.map(({ data }) => data.ImageId)).toEqual([second.id]);
  });

  test('keeps the snapshots of the AMI whose name is being taken, whoever sweeps or runs on the old one meanwhile', async () => {
    await using house = await openHouse(bakes(['golden-1', 'golden-2'], { nameFreedAfterSeconds: 280 }));
    const { simulator } = house;
    const named = { 'target-ami-name': 'golden', 'on-existing': 'replace', lineage: 'golden' };
    await bake(house, 'golden-1', named);
    await house.settle(30 * day);
    const [former] = stockOf(simulator, ...target).snapshots.map(({ data }) => data.SnapshotId);
    const isKept = () => stockOf(simulator, ...target).snapshots.some(({ data }) => data.SnapshotId === former);
    const second = { ...named, 'ami-id': amiIdOf(sourceAccount, sourceRegion, 'golden-2') };
    const live = startAction(house.run(second, { run_id: '2' }));
    await new Promise<void>((taken) =>
      simulator.onCall(({ action, mutating, outcome }) => {
        if (action === 'DeregisterImage' && mutating && outcome === 'ok') taken();
      }),
    );
    const sweep = () => runAction({ ...house.run({}, { run_id: '99' }), action: 'sweep' });
    const swept = await sweep();
    const old = await bake(house, 'golden-1', { 'target-ami-name': 'another' });
    const audited = await runAction({ ...house.run({ 'ami-id': second['ami-id'] }), action: 'audit' });
    expect([swept.conclusion, old.told, isKept()]).toEqual(['success', '', true]);
    expect(audited.outputs.findings).not.toContain(former);
    live.kill();
    expect((await live.result).signal).toBe('SIGKILL');
    // Nobody is at work any more; but it is all that there is of the AMI.
    await house.settle(20 * 60);
    expect([messagesOf(await sweep()), isKept()]).toEqual([expect.stringContaining(`${former} in `), true]);
    await bake(house, 'golden-1', { 'target-ami-name': 'another' });
    expect(isKept()).toBe(true);
    const next = await bake(house, 'golden-2', named);
    expect([next.told, isKept(), house.remains()]).toEqual(['', false, []]);
  });
});
