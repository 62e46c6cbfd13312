import { describe, expect, test } from '@jest/globals';
import type { Fault } from '../simulator/faults.ts';
import { inTime } from '../simulator/hardness.ts';
import { amiIdOf, type RegionScenario } from '../simulator/scenario.ts';
import {
  type Case,
  fanOut,
  procedure,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import { type LaunchTemplate, regionOf } from '../simulator/world.ts';
import { type House, killAt, openHouse } from './house/house.ts';
import { runAction, runJob, type Simulator, startAction, startSimulator } from './in-process.ts';
import { expectUntouched, share, type TargetRecord } from './shared-case.ts';

const policies = ['target-ssm-parameter', 'target-launch-template'];
const older = 'ami-00000000000000001';
const versions = [
  older,
  {
    data: {
      ImageId: older,
      InstanceType: 'm7i.large' as const,
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: 'snap-00000001', VolumeSize: 80 } }],
    },
  },
];
const region: RegionScenario = { launchTemplates: { web: { versions } }, parameters: { '/golden/latest': older } };
const inputs = { 'launch-template': 'web', 'launch-template-default': 'true', 'ssm-parameter': '/golden/latest' };
const optional = `${targetAccount}/${targetRegion}`;

function templatesIn(simulator: Simulator): LaunchTemplate[] {
  return Object.values(simulator.world.accounts).flatMap(({ regions }) =>
    [...regions.values()].flatMap(({ launchTemplates }) => [...launchTemplates.values()]),
  );
}

/** Two accounts and two regions, each of which has the template and the parameter. */
function withTemplates(options: StandardOptions = {}, everywhere: RegionScenario = region): Case {
  const shared = fanOut({ policies, targets: [targetAccount, '222222222222'], regions: ['eu-west-1'], ...options });
  const accounts = Object.fromEntries(
    Object.entries(shared.scenario.accounts).map(([id, account]) => {
      const regions = Object.entries(account.regions ?? {}).map(([name, own]) => [name, { ...own, ...everywhere }]);
      return [id, id === sourceAccount ? account : { ...account, regions: Object.fromEntries(regions) }];
    }),
  );
  return { ...shared, scenario: { ...shared.scenario, accounts } };
}

const valuesOf = (simulator: Simulator) =>
  Object.values(simulator.world.accounts).flatMap(({ regions }) =>
    [...regions.values()].flatMap(({ parameters }) => parameters.get('/golden/latest')?.value ?? []),
  );

/** What was there before is there, and nothing else. */
function expectAsBefore(simulator: Simulator): void {
  for (const one of templatesIn(simulator)) {
    expect(one.versions.map(({ number }) => number)).toEqual([1, 2]);
    expect(one.defaultVersion).toBe(1);
  }
  expect(new Set(valuesOf(simulator))).toEqual(new Set([older]));
}

/** Each target's template has one new version, with its AMI, and so has its parameter. */
function expectAllSet(simulator: Simulator, targets: readonly TargetRecord[]): void {
  for (const { account, region: name, amiId } of targets) {
    const here = regionOf(simulator.world, account, name);
    const [template] = here.launchTemplates.values();
    const made = template?.versions.filter(({ data }) => data.ImageId === amiId);
    expect(made).toHaveLength(1);
    expect(template?.versions).toHaveLength(3);
    expect(template?.defaultVersion).toBe(made?.[0]?.number);
    expect(here.parameters.get('/golden/latest')?.value).toBe(amiId);
  }
}

const recordsOf = (outputs: Record<string, string>) => JSON.parse(outputs.targets ?? '[]') as TargetRecord[];
const messages = ({ annotations }: { annotations: readonly { message: string }[] }) =>
  annotations.map(({ message }) => message).join('\n');

test('every target’s template gets one version, last of all, and a second run makes no other', async () => {
  const lost = (action: string): Fault => ({ kind: 'lost-response', action, mutating: true, times: 1 });
  const faults = ['CreateLaunchTemplateVersion', 'ModifyLaunchTemplate'].map(lost);
  const shared = withTemplates({ timings: { visibleAfterSeconds: 2 }, faults });
  const simulator = await startSimulator(shared.scenario);
  const run = { inputs: { ...shared.inputs, ...inputs, 'launch-template': '{account}', 'optional-targets': optional } };
  for (const { id, regions } of Object.values(simulator.world.accounts))
    for (const { launchTemplates } of regions.values()) for (const one of launchTemplates.values()) one.name = id;
  const { main } = await runJob({ ...run, env: simulator.env });
  expect(main).toMatchObject({ conclusion: 'success', annotations: [] });
  expectAllSet(simulator, recordsOf(main.outputs));
  const [template] = templatesIn(simulator);
  const made = template?.versions.at(-1);
  // Of the latest version, without the snapshot of the older AMI.
  expect(made).toMatchObject({
    description: expect.stringMatching(new RegExp(`^share-encrypted-ami: source-ami=${shared.amiId}, .*run=https://`)),
    data: { InstanceType: 'm7i.large', BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 80 } }] },
  });
  expect(made?.data.BlockDeviceMappings?.[0]?.Ebs).not.toHaveProperty('SnapshotId');
  const output = JSON.parse(main.outputs['launch-templates'] ?? '');
  expect(Object.keys(output).sort()).toEqual(['222222222222', targetAccount]);
  expect(output[targetAccount]).toEqual({ [targetRegion]: { id: expect.any(String), version: 3, formerDefault: 1 } });
  const writes = simulator.calls.filter(({ mutating, outcome }) => mutating && outcome === 'ok');
  const first = writes.findIndex(({ action }) => action === 'CreateLaunchTemplateVersion');
  expect(writes.slice(first).some(({ action }) => action === 'RegisterImage')).toBe(false);
  // The optional target comes after the other.
  const creations = writes.filter(({ action }) => action === 'CreateLaunchTemplateVersion');
  expect([...new Set(creations.map(({ account }) => account))]).toEqual(['222222222222', targetAccount]);

  const state = simulator.snapshotOfState();
  const again = await runJob({ ...run, env: simulator.env });
  expect(again.main).toMatchObject({ conclusion: 'success', annotations: [] });
  expect(simulator.snapshotOfState()).toEqual(state);
  expect(JSON.parse(again.main.outputs['launch-templates'] ?? '')[targetAccount][targetRegion].version).toBe(3);
  await simulator.close();
});

describe('what a template launches', () => {
  const second = { name: 'golden-2', volumes: [{ device: '/dev/xvda', sizeGiB: 8 }] };
  const newer = amiIdOf(sourceAccount, sourceRegion, second.name);

  test.each(['false', 'true'])('is the older AMI again when that is shared again: default %s', async (isDefault) => {
    const shared = withTemplates({ source: { amis: [second] } });
    const simulator = await startSimulator(shared.scenario);
    const given = { ...shared.inputs, ...inputs, 'launch-template-default': isDefault };
    const run = (more: Record<string, string>, run_id: string) =>
      runJob({ inputs: { ...given, ...more }, env: simulator.env, github: { run_id } });
    const first = await run({}, '1');
    await run({ 'ami-id': newer }, '2');
    const again = await run({}, '3');
    expect(messages(again.main)).toBe('');
    const ids = recordsOf(first.main.outputs).map(({ amiId }) => amiId);
    expect(recordsOf(again.main.outputs).map(({ amiId }) => amiId)).toEqual(ids);
    expect(valuesOf(simulator).toSorted()).toEqual(ids.toSorted());
    const templates = templatesIn(simulator);
    expect(templates.map(({ versions }) => versions.at(-1)?.data.ImageId).toSorted()).toEqual(ids.toSorted());
    const defaults = templates.map((one) => one.versions.find(({ number }) => number === one.defaultVersion));
    for (const version of isDefault === 'true' ? defaults : []) expect(ids).toContain(version?.data.ImageId);
    await simulator.close();
  });

  test('stays as somebody has set it since, where that is the AMI', async () => {
    const shared = withTemplates();
    const simulator = await startSimulator(shared.scenario);
    const job = { inputs: { ...shared.inputs, ...inputs }, env: simulator.env };
    await runJob(job);
    for (const one of templatesIn(simulator)) {
      const made = one.versions.at(-1);
      if (made === undefined) throw new Error('no version was made');
      const data = { ...made.data, InstanceType: 'm7i.xlarge' as const };
      one.versions.push({ ...made, number: made.number + 1, description: 'theirs', data });
      Object.assign(one, { defaultVersion: made.number + 1, latest: made.number + 1 });
    }
    const before = simulator.snapshotOfState();
    expect(messages((await runJob(job)).main)).toBe('');
    expect(simulator.snapshotOfState()).toEqual(before);
    await simulator.close();
  });
});

describe('all or none', () => {
  const refused = (action: string): Fault => ({
    ...{ kind: 'refusal', action, account: '222222222222', mutating: true, code: 'Refused', message: 'not today' },
  });

  test.each([
    ['a version can’t be made', [refused('CreateLaunchTemplateVersion')]],
    ['a default can’t be moved', [refused('ModifyLaunchTemplate')]],
    ['a parameter can’t be set', [refused('PutParameter')]],
  ])('versions go, defaults and parameters are back where %s', async (_, faults) => {
    const { main, simulator, error } = await share(withTemplates({ faults }), inputs);
    expect(main.conclusion).toBe('failure');
    expectAsBefore(simulator);
    expect(error).toMatch(/The SSM parameters and launch templates hold what they held before\. .*in 222222222222\//);
    expect(main.outputs['launch-templates']).toBe('{}');
    // What was refused to be set is as before: nothing was left behind.
    expect(messages(main)).not.toMatch(/left behind/);
  });

  test('what could not be put back is told, and not as what it was before', async () => {
    const denied = { action: 'ModifyLaunchTemplate', account: targetAccount, nth: 2, times: 1000 };
    const faults = [refused('ModifyLaunchTemplate'), { ...refused('ModifyLaunchTemplate'), ...denied }];
    const { main, simulator, error } = await share(withTemplates({ faults, timings: inTime }), inputs);
    const moved = templatesIn(simulator).filter(({ defaultVersion }) => defaultVersion !== 1);
    expect(moved).toHaveLength(1);
    expect(error).toMatch(/could not all be set, nor, it may be, put back\. .*in 222222222222\//);
    expect(messages(main)).toMatch(/left behind: a launch template that is not as before: lt-\S+ in 999999999999\//);
    expect(new Set(valuesOf(simulator))).toEqual(new Set([older]));
  });

  test('an optional target’s version and parameter are both back where one fails, and the others stay', async () => {
    const faults = [refused('ModifyLaunchTemplate')];
    const more = { ...inputs, 'optional-targets': '222222222222/*' };
    const { main, simulator } = await share(withTemplates({ faults }), more);
    expect(main.conclusion).toBe('success');
    expect(messages(main)).toMatch(/222222222222\/eu-west-1 \(optional\): .*not today/);
    const there = regionOf(simulator.world, '222222222222', 'eu-west-1');
    expect(there.parameters.get('/golden/latest')?.value).toBe(older);
    expect([...there.launchTemplates.values()].map((one) => one.versions.length)).toEqual([2]);
    expectAllSet(
      simulator,
      recordsOf(main.outputs).filter(({ account }) => account === targetAccount),
    );
  });

  test.each(['CreateLaunchTemplateVersion', 'ModifyLaunchTemplate', 'PutParameter'])(
    'killed at the second %s: post takes all back, a re-run sets all',
    async (action) => {
      const shared = withTemplates({ timings: { visibleAfterSeconds: 1 } });
      const simulator = await startSimulator(shared.scenario);
      const run = { inputs: { ...shared.inputs, ...inputs }, env: simulator.env };
      const main = startAction(run);
      let count = 0;
      simulator.onCall((call) => {
        if (call.action === action && call.mutating && ++count === 2) main.kill();
      });
      const { state, signal } = await main.result;
      expect(signal).toBe('SIGKILL');
      const post = await runAction({ ...run, entry: 'post', state });
      expect(messages(post)).toBe('');
      expectAsBefore(simulator);
      const again = await runJob({ ...run, github: { run_attempt: '2' } });
      expect(again.main).toMatchObject({ conclusion: 'success', annotations: [] });
      expectAllSet(simulator, recordsOf(again.main.outputs));
      await simulator.close();
    },
  );

  /** Kills a run as it sets the parameters, without post; gives how a sweep ends, and another run with some inputs. */
  async function dyingAtLast(house: House, more: Record<string, string> = {}) {
    await killAt(house, house.run({ ...inputs, ...more }), (call) => call.action === 'PutParameter' && call.mutating);
    const sweep = (run_id: string) => runAction({ ...house.run(inputs, { run_id }), action: 'sweep' });
    const run = (run_id: string, own: Record<string, string>) => runJob(house.run(own, { run_id }));
    return { sweep, run };
  }
  const torn = 'died as it set SSM parameters';

  test('killed as it only sets what names AMIs that are there, a sweep tells of it all the same', async () => {
    await using house = await openHouse(withTemplates());
    expect((await runJob(house.run({}))).main.conclusion).toBe('success');
    const { sweep, run } = await dyingAtLast(house, { 'launch-template': '' });
    await house.settle();
    expect(messages(await sweep('501'))).toContain(torn);
    expect((await run('4712', { ...inputs, 'launch-template': '' })).main.annotations).toEqual([]);
    await house.settle();
    expect(await sweep('502')).toMatchObject({ conclusion: 'success', annotations: [] });
  });

  test('what it left half set is mended by no run that sets something else', async () => {
    await using house = await openHouse(withTemplates());
    const { sweep, run } = await dyingAtLast(house);
    await house.settle();
    const { main } = await run('4712', { 'ssm-parameter': '/golden/other' });
    expect([main.conclusion, messages(main)]).toEqual(['success', expect.stringContaining(torn)]);
    await house.settle();
    expect(await sweep('501')).toMatchObject({ conclusion: 'failure' });
  });

  test('a run that sets the very same while its lease lives waits for that, and mends it', async () => {
    await using house = await openHouse(withTemplates());
    const { sweep, run } = await dyingAtLast(house);
    const { main } = await run('4712', inputs);
    expect(main).toMatchObject({ conclusion: 'success', annotations: [] });
    expectAllSet(house.simulator, recordsOf(main.outputs));
    await house.settle();
    expect(await sweep('501')).toMatchObject({ conclusion: 'success', annotations: [] });
  });

  test('one reference of a single target is set or not: no lease is taken for it, and nothing is told', async () => {
    await using house = await openHouse(withTemplates({ targets: [targetAccount] }));
    expect((await runJob(house.run({}))).main.conclusion).toBe('success');
    await house.settle();
    const before = house.simulator.calls.length;
    const own = { 'ssm-parameter': '/golden/latest' };
    await killAt(house, house.run(own, { run_id: '4712' }), (call) => call.action === 'PutParameter' && call.mutating);
    const writes = house.simulator.calls.slice(before).filter(({ mutating }) => mutating);
    expect(writes.map(({ action }) => action)).toEqual(['PutParameter']);
    await house.settle();
    const swept = await runAction({ ...house.run(own, { run_id: '501' }), action: 'sweep' });
    expect(swept).toMatchObject({ conclusion: 'success', annotations: [] });
  });

  test.each(['CreateLaunchTemplateVersion', 'ModifyLaunchTemplate', 'PutParameter'])(
    'killed at the first %s, without post: a sweep fails, and says what mends it, until a run has set all',
    async (action) => {
      const shared = withTemplates();
      await using house = await openHouse(shared);
      const { simulator } = house;
      await killAt(house, house.run(inputs), (call) => call.action === action && call.mutating);
      await house.settle();
      const sweep = (run_id: string) => runAction({ ...house.run(inputs, { run_id }), action: 'sweep' });
      const other = { 'target-ami-name': '{name}-2', 'on-existing': 'reuse' };
      for (const [index, more] of [{}, other].entries()) {
        const swept = await sweep(`50${index}`);
        expect(swept.conclusion).toBe('failure');
        expect(messages(swept)).toMatch(
          `run 4711 on ${shared.amiId} died as it set SSM parameters and launch templates, which may name different AMIs now. What to do: run it again with its inputs`,
        );
        // A run that sets none of them mends nothing, and says so.
        const without = await runJob(house.run(more, { run_id: `60${index}` }));
        expect(without.main.conclusion).toBe('success');
        expect(messages(without.main)).toContain('died as it set SSM parameters');
      }
      const again = await runJob(house.run(inputs, { run_id: '4712' }));
      expect(again.main).toMatchObject({ conclusion: 'success', annotations: [] });
      expectAllSet(simulator, recordsOf(again.main.outputs));
      expect(house.remains()).toEqual([]);
      await house.settle();
      expect(await sweep('502')).toMatchObject({ conclusion: 'success', annotations: [] });
    },
  );

  test('a cancel takes all back', async () => {
    const shared = withTemplates({ timings: { visibleAfterSeconds: 1 } });
    const simulator = await startSimulator(shared.scenario);
    const main = startAction({ inputs: { ...shared.inputs, ...inputs }, env: simulator.env });
    simulator.onCall((call) => {
      if (call.action === 'ModifyLaunchTemplate' && call.mutating) main.cancel();
    });
    expect((await main.result).signal).toBeNull();
    expectAsBefore(simulator);
    await simulator.close();
  });

  test('a re-run without post uses the version that was made, and makes no other', async () => {
    const shared = withTemplates();
    const simulator = await startSimulator(shared.scenario);
    const run = { inputs: { ...shared.inputs, ...inputs }, env: simulator.env };
    const main = startAction(run);
    simulator.onCall((call) => {
      if (call.action === 'ModifyLaunchTemplate' && call.mutating) main.kill();
    });
    await main.result;
    const again = await runAction({ ...run, github: { run_attempt: '2' } });
    expect(again).toMatchObject({ conclusion: 'success', annotations: [] });
    expectAllSet(simulator, recordsOf(again.outputs));
    await simulator.close();
  });
});

describe('problems beforehand', () => {
  const bake = (launchTemplates: NonNullable<RegionScenario['launchTemplates']>, more: StandardOptions = {}) =>
    procedure({ policies, target: { launchTemplates, parameters: { '/golden/latest': older } }, ...more });
  const resolving = { web: ['resolve:ssm:/golden/latest'] };
  const full = { web: { versions: Array.from({ length: 10_000 }, () => older) } };

  const cases: Record<string, Readonly<{ shared: Case; more?: Record<string, string>; told: RegExp }>> = {
    'no such template': { shared: bake({}), told: /there is no launch template web: .*does not exist/ },
    'no such version': {
      shared: bake({ web: [older] }),
      more: { 'launch-template-source-version': '7' },
      told: /has no version 7/,
    },
    'a template that resolves another parameter': {
      shared: bake(resolving),
      more: { 'ssm-parameter': '' },
      told: /web resolves the SSM parameter \/golden\/latest, so it needs no version/,
    },
    'a default version that does not resolve the parameter': {
      shared: bake({ web: [older, 'resolve:ssm:/golden/latest'] }),
      told: /web resolves the SSM parameter .* but launches by default by version 1, which gets no AMI/,
    },
    'a template at its limit': { shared: bake(full), told: /web has 10000 versions, which is the most that AWS keeps/ },
    'a parameter whose oldest version has a label': {
      shared: procedure({
        policies,
        target: {
          launchTemplates: { web: [older] },
          parameters: { '/golden/latest': { value: older, versions: 120, oldestLabels: ['prod'] } },
        },
      }),
      told: /\/golden\/latest has 100 versions, and AWS keeps version 21 for its label prod; so it takes no new one/,
    },
    'a role that may not': {
      shared: bake({ web: [older] }, { policies: ['target-ssm-parameter'] }),
      told: /not allowed to call ec2:DescribeLaunchTemplateVersions[\s\S]*set LaunchTemplate=/,
    },
    'what names no template': {
      shared: bake({}),
      more: { 'launch-template': 'a b', 'launch-template-source-version': 'newest' },
      told: /launch-template-source-version: "newest" — expected[\s\S]*launch-template: "a b" — expected/,
    },
  };

  test.each(Object.entries(cases))('%s', async (_, { shared, more, told }) => {
    const result = await share(shared, { ...inputs, ...more });
    expect(result.error).toMatch(told);
    expectUntouched(result);
  });

  test('a parameter that could be set, but not put back, for the label of its next oldest version, is a warning', async () => {
    const held = { value: older, versions: 99, oldestLabels: ['prod'] };
    const target = { parameters: { '/golden/latest': held } };
    const { main } = await share(procedure({ policies, target }), { 'ssm-parameter': '/golden/latest' });
    expect(main.conclusion).toBe('success');
    expect(messages(main)).toMatch(
      /\/golden\/latest has 99 versions, and AWS keeps version 1 for its label prod: should not all be set, this one can't be put back\. What to do: move the label/,
    );
  });

  test('a template that resolves the parameter that is set needs no version', async () => {
    const { main, simulator } = await share(bake(resolving), inputs);
    expect(main.conclusion).toBe('success');
    expect(messages(main)).toMatch(/web resolves the SSM parameter \/golden\/latest, .* so it needs no version/);
    expect(templatesIn(simulator).map((one) => one.versions.length)).toEqual([1]);
    expect(main.outputs['launch-templates']).toBe('{}');
  });
});

describe('promote: false', () => {
  const given = { ...inputs, 'on-existing': 'replace', 'target-ami-name': '{name} {run-id}' };
  const standing = (simulator: Simulator) =>
    Object.values(simulator.world.accounts).flatMap(({ id, regions }) =>
      [...regions.values()].flatMap(({ images }) =>
        [...images.values()].flatMap(({ data, deregisteredAt }) =>
          id === sourceAccount || deregisteredAt !== undefined ? [] : [data.ImageId],
        ),
      ),
    );

  test('makes the AMIs; a later job of the workflow run promotes them, and only then the older ones go', async () => {
    const shared = withTemplates();
    const simulator = await startSimulator(shared.scenario);
    const run = (more: Record<string, string>, run_id: string) =>
      runJob({ inputs: { ...shared.inputs, ...given, ...more }, env: simulator.env, github: { run_id } });
    await run({}, '1');
    const [first, values] = [standing(simulator), valuesOf(simulator)];
    expect(values.toSorted()).toEqual(first.toSorted());
    const made = await run({ promote: 'false' }, '2');
    expect(made.main.annotations).toEqual([]);
    // What parameters and templates name is there still.
    expect([valuesOf(simulator), standing(simulator)]).toEqual([values, expect.arrayContaining(first)]);
    expect(standing(simulator)).toHaveLength(2 * first.length);
    const promoted = await run({}, '2');
    expect(promoted.main.annotations).toEqual([]);
    const ids = (JSON.parse(made.main.outputs.targets ?? '') as TargetRecord[]).map(({ amiId }) => amiId).toSorted();
    expect(standing(simulator).toSorted()).toEqual(ids);
    expect(valuesOf(simulator).toSorted()).toEqual(ids);
    await simulator.close();
  });

  test('tells all the same what could not be promoted', async () => {
    const { error, simulator } = await share(withTemplates(), {
      ...given,
      'launch-template': 'none',
      promote: 'false',
    });
    expect(error).toMatch(/launch template none/);
    expect(simulator.calls.filter(({ mutating }) => mutating)).toEqual([]);
  });
});
