import { describe, expect, test } from '@jest/globals';
import { amiIdOf } from '../simulator/scenario.ts';
import {
  procedure,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import { type Boot, regionOf } from '../simulator/world.ts';
import { type House, killAt, messagesOf, openHouse, toldBy } from './house/house.ts';
import { runAction, runJob } from './in-process.ts';
import { share } from './shared-case.ts';

/* What becomes of AMIs that failed a boot test, by that run and by those after it. */

const policies = ['target-boot-test', 'target-publish', 'target-ssm-parameter', 'target-retain'];
const ends: Boot = { ends: { afterSeconds: 5, code: 'Client.InstanceInitiatedShutdown', message: 'shut down' } };
const byStatus = { 'boot-test': 'status' };
const name = '/golden/latest';
const second = { name: 'golden-image-2', volumes: [{ device: '/dev/xvda', sizeGiB: 8 }] };
const secondId = amiIdOf(sourceAccount, sourceRegion, second.name);

function bootCase(boots: Boot[], options: StandardOptions = {}) {
  const ami = { name: 'golden-image-1' };
  return procedure({ policies, ami, source: { amis: [second] }, ...options, target: { launch: { boots } } });
}

const target = ({ simulator }: Pick<House, 'simulator'>) => regionOf(simulator.world, targetAccount, targetRegion);
const valueIn = (house: House) => target(house).parameters.get(name)?.value;
const idsIn = (house: House) =>
  [...target(house).images.values()].flatMap(({ data, deregisteredAt }) => (deregisteredAt ? [] : [data.ImageId]));
const tagOf = (house: House, id: string, key: string) =>
  target(house)
    .images.get(id)
    ?.data.Tags.find(({ Key }) => Key === `share-encrypted-ami:${key}`)?.Value;

describe('an AMI that failed is not published untested', () => {
  const asked = { 'launch-permissions': '222222222222', 'ssm-parameter': name, lineage: 'golden' };
  const launchersIn = (house: House) => [...target(house).images.values()].flatMap(({ launch }) => [...launch]);

  test.each([
    ['a run without boot-test', {}, /failed its boot test \(the tag .* says failed status\), and is not published/],
    ['a run that cannot test it', { ...byStatus, 'boot-required': 'false' }, /could not be tested/],
  ])('by %s', async (_, inputs, told) => {
    await using house = await openHouse(bootCase([ends, ends, {}]));
    await runJob(house.run({ ...byStatus, ...asked }));
    await house.settle();
    target(house).launching.noCapacity = ['*'];
    const { main } = await runJob(house.run({ ...inputs, ...asked }, { run_id: '4712' }));
    expect([main.conclusion, messagesOf(main)]).toEqual(['failure', expect.stringMatching(told)]);
    expect([valueIn(house), launchersIn(house)]).toEqual([undefined, []]);
  });

  test('by a run that found it before another saw it fail', async () => {
    await using house = await openHouse(bootCase([]));
    await runJob(house.run({}));
    await house.settle();
    const [id = ''] = idsIn(house);
    house.simulator.onCall(({ action, outcome }) => {
      if (action !== 'GetParameter' || outcome === 'ok') return;
      const { Tags = [] } = target(house).images.get(id)?.data ?? {};
      if (!Tags.some(({ Value }) => Value === 'failed status'))
        Tags.push({ Key: 'share-encrypted-ami:boot-test', Value: 'failed status' });
    });
    const { main } = await runJob(house.run(asked, { run_id: '4712' }));
    expect(messagesOf(main)).toMatch(new RegExp(`Looking again at ${id} .* failed its boot test`));
    expect([valueIn(house), launchersIn(house)]).toEqual([undefined, []]);
  });
});

test('what was published stays what it was, though a later test fails: its name is kept, and retain counts it', async () => {
  await using house = await openHouse(bootCase([ends]));
  const asked = { 'target-ami-name': 'golden', lineage: 'golden', 'ssm-parameter': name };
  await runJob(house.run(asked, { run_id: '1' }));
  await house.settle();
  const first = valueIn(house) ?? '';
  await runJob(house.run({ ...asked, ...byStatus }, { run_id: '2' }));
  await house.settle();
  expect([tagOf(house, first, 'boot-test'), valueIn(house)]).toEqual(['failed status', first]);
  const next = { 'ami-id': secondId, ...byStatus };
  const third = await runJob(house.run({ ...asked, ...next }, { run_id: '3' }));
  expect(messagesOf(third.main)).toMatch(/the name "golden" is taken/);
  target(house).launching.boots = [{}];
  const own = { ...asked, ...next, 'target-ami-name': 'golden-2', retain: '2' };
  const fourth = await runJob(house.run(own, { run_id: '4' }));
  expect(messagesOf(fourth.main)).toBe('');
  expect(idsIn(house)).toEqual([first, valueIn(house)]);
});

describe('an AMI of ours of which only a forged tag says that it failed keeps its name', () => {
  const asked = { 'target-ami-name': 'golden', lineage: 'golden' };
  const next = { ...asked, 'ami-id': secondId };

  async function forged(house: House, inputs: Record<string, string> = {}): Promise<string> {
    await runJob(house.run({ ...asked, ...inputs }, { run_id: '1' }));
    await house.settle();
    const [id = ''] = idsIn(house);
    const data = target(house).images.get(id)?.data;
    if (data === undefined) throw new Error('no AMI was made');
    data.Tags = data.Tags.filter(({ Key }) => Key !== 'share-encrypted-ami:published');
    data.Tags.push({ Key: 'share-encrypted-ami:boot-test', Value: 'failed status' });
    return id;
  }

  test.each([
    ['shared with others', { 'launch-permissions': '222222222222' }, /is used by others, who may launch it/],
    ['deprecated', { 'deprecate-after': '30d' }, /the name "golden" is taken/],
    ['protected', { 'deregistration-protection': 'on' }, /the name "golden" is taken/],
  ])('as it is %s', async (_, inputs, told) => {
    await using house = await openHouse(bootCase([]));
    const id = await forged(house, inputs);
    const { main } = await runJob(house.run(next, { run_id: '2' }));
    expect([messagesOf(main), idsIn(house)]).toEqual([expect.stringMatching(told), [id]]);
  });

  test('as a template would launch it, whether that is seen when planned or just before', async () => {
    for (const isLate of [false, true]) {
      await using house = await openHouse(bootCase([]));
      const id = await forged(house);
      const version = { number: 1, description: '', visibleAt: 0, data: { ImageId: id } };
      const template = { id: 'lt-0aaaaaaaaaaaaaaa1', name: 'web', versions: [version], defaultVersion: 1, latest: 1 };
      const add = () => target(house).launchTemplates.set(template.id, { ...template, tokens: new Map() });
      if (!isLate) add();
      const forget = house.simulator.onCall(({ action, mutating }) => {
        if (action === 'CopySnapshot' && mutating) add();
      });
      const { main } = await runJob(house.run(next, { run_id: '2' }));
      forget();
      const told = isLate ? /Taking the name golden from ami-\w+ .* that AMI is used/ : /is used by lt-/;
      expect([messagesOf(main), idsIn(house)]).toEqual([expect.stringMatching(told), [id]]);
    }
  });

  test('as what uses it can’t be read', async () => {
    const withoutRetain = policies.filter((name) => name !== 'target-retain');
    await using house = await openHouse(bootCase([], { policies: withoutRetain }));
    const id = await forged(house);
    const { main } = await runJob(house.run(next, { run_id: '2' }));
    expect(messagesOf(main)).toMatch(/may be used: what uses it is not known/);
    expect(idsIn(house)).toEqual([id]);
  });
});

describe('an outage says nothing of an AMI', () => {
  test.each([
    [
      'AWS answers no more after some looks',
      { faults: [{ kind: 'server-error', action: 'DescribeInstanceStatus', nth: 6, times: 100_000 } as const] },
      {},
    ],
    ['the instance is not seen in time', { timings: { visibleAfterSeconds: 90 } }, { 'boot-timeout-minutes': '1' }],
  ] as const)('%s', async (_, options, inputs) => {
    const shared = bootCase([], options);
    const result = await share(shared, { ...byStatus, ...inputs });
    expect(result.error).toMatch(/could not be tested/);
    const { images, instances } = regionOf(result.simulator.world, targetAccount, targetRegion);
    for (const { data } of images.values())
      expect(data.Tags.map(({ Key }) => Key)).not.toContain('share-encrypted-ami:boot-test');
    // While AWS can't be asked, no other is launched for nothing.
    if ('faults' in options) expect(instances.size).toBe(1);
  });
});

test('an instance of a run that was killed is ended by the next run, and by a sweep, whatever these test', async () => {
  for (const next of ['run', 'sweep']) {
    await using house = await openHouse(bootCase([{ checksAfterSeconds: 'never' }]));
    const running = () =>
      [...target(house).instances.values()].filter(({ state }) => state === 'pending' || state === 'running');
    await killAt(
      house,
      house.run(byStatus),
      ({ action }) => action === 'DescribeInstanceStatus' && running().length > 0,
    );
    await house.settle();
    expect(running()).toHaveLength(1);
    if (next === 'run') expect(toldBy(await runJob(house.run({}, { run_id: '2' }))).trim()).toBe('');
    else expect((await runAction({ ...house.run({}, { run_id: '2' }), action: 'sweep' })).annotations).toEqual([]);
    await house.settle();
    expect(running()).toEqual([]);
  }
});

test('a dry run shows what is launched, where and by what, and what names the AMI', async () => {
  const shared = procedure({
    policies: [...policies, 'target-boot-role', 'target-launch-template'],
    target: {
      launch: { profiles: { booted: 'boot-role' }, subnets: [{ id: 'subnet-0a0a0a0a', zone: `${targetRegion}a` }] },
      launchTemplates: { web: ['ami-00000000000000001'] },
    },
  });
  const inputs = { 'launch-template': 'web', 'launch-template-default': 'true', 'ssm-parameter': name };
  const given = { ...byStatus, ...inputs, 'boot-instance-profile': 'booted', 'boot-subnet': 'subnet-0a0a0a0a' };
  const { main } = await share(shared, { ...given, 'dry-run': 'true' });
  for (const told of [main.stdout, main.summary]) {
    expect(told).toMatch(/as \S*t3\.small.* in `?subnet-0a0a0a0a`?, by booted/);
    expect(told).toMatch(/by a version like \S*Latest\S*, which becomes the default \(before: `?1`?\)/);
  }
  expect(main.summary).toMatch(/\| parameter \| `?\/golden\/latest/);
});
