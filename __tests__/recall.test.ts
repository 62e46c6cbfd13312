import { describe, expect, test } from '@jest/globals';
import {
  type Case,
  sourceAccount,
  sourceRegion,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import { type PolicyDocument, regionOf } from '../simulator/world.ts';
import { type Simulator, settledMs, startSimulator } from './in-process.ts';
import { type Statement, statementsIn } from './policy-cases.ts';
import {
  bake,
  both,
  first,
  ids,
  killedAtCall,
  lookAt,
  mark,
  markOf,
  plainId,
  recall,
  recallable,
  runOf,
  second,
  shared,
} from './recall-case.ts';
import { sampled } from './sampled.ts';

test('an image is taken back everywhere, and given again from another machine', async () => {
  const given = recallable();
  const simulator = await startSimulator(given.scenario);
  for (const id of ids) expect((await bake(given, simulator, { 'ami-id': id })).said).toBe('');
  const organization = 'arn:aws:organizations::111111111111:organization/o-abcdefghij';
  const others = Array.from({ length: 150 }, (_, at) => `${organization.replace('o-a', `o-${at}`)}`);
  for (const place of both) {
    const { of, launched } = lookAt(simulator, place);
    const image = of(second);
    expect(launched).toBe(image?.data.ImageId);
    for (const one of [...friends, ...others]) image?.launch.add(one);
  }
  const before = both.map((place) => structuredClone(lookAt(simulator, place).of(second)?.data));

  const { conclusion, said, targets, inUse, summary, outputs } = await recall(given, simulator);
  expect([said, conclusion]).toEqual(['', 'success']);
  expect(targets.map(({ status }) => status)).toEqual(['disabled', 'disabled']);
  expect(outputs.truncated).toBe('false');
  expect(inUse).toEqual([]);
  expect(summary).toContain('✅ 2 AMIs taken back');
  const source = regionOf(simulator.world, sourceAccount, sourceRegion).images.get(second);
  expect(markOf(source)).toContain('CVE-2026-1234');
  for (const place of both) {
    const { of, parameter, launched, latest, records, template } = lookAt(simulator, place);
    const former = of(first)?.data.ImageId;
    expect([parameter, launched, latest]).toEqual([former, former, former]);
    expect(template?.versions.map(({ data }) => data.ImageId)).not.toContain(of(second)?.data.ImageId);
    expect([of(second)?.data.State, of(second)?.launch.size, markOf(of(second))]).toEqual([
      'disabled',
      0,
      expect.stringContaining('CVE-2026-1234'),
    ]);
    expect(records.length).toBeGreaterThan(3);
  }

  // A second recall finds nothing more to do, and loses nothing.
  expect((await recall(given, simulator)).conclusion).toBe('success');
  const restored = await recall(given, simulator, { restore: 'true', reason: 'a false alarm', machine: 'two' });
  expect([restored.said, restored.targets.map(({ status }) => status)]).toEqual(['', ['restored', 'restored']]);
  expect(markOf(source)).toBeUndefined();
  for (const [index, place] of both.entries()) {
    const { of, parameter, records } = lookAt(simulator, place);
    expect(of(second)?.data).toEqual(before[index]);
    expect([...(of(second)?.launch ?? [])].sort()).toEqual([...friends, ...others].sort());
    expect(records).toEqual([]);
    // Pointers stay where they are.
    expect(parameter).toBe(of(first)?.data.ImageId);
  }
  await simulator.close();
});

test('a thousand launch permissions come back, ARNs and all, and are told in few words', async () => {
  const { given, simulator } = await shared();
  // What AWS allows of them: https://docs.aws.amazon.com/general/latest/gr/ec2-service.html (AMI sharing)
  const organizations = 'arn:aws:organizations::111111111111';
  const all = [
    ...Array.from({ length: 200 }, (_, at) => `${organizations}:organization/o-${String(at).padStart(32, 'a')}`),
    ...Array.from(
      { length: 400 },
      (_, at) => `${organizations}:ou/o-abcdefghij/ou-${'a'.repeat(32)}-${String(at).padStart(32, 'a')}`,
    ),
    ...Array.from({ length: 400 }, (_, at) => String(333_333_333_000 + at)),
  ];
  for (const place of both) for (const one of all) lookAt(simulator, place).of(second)?.launch.add(one);
  // AWS tells that an account was closed only by refusing all permissions of the call that names it.
  const closed = all.at(-1) ?? '';
  expect((await recall(given, simulator)).said).toBe('');
  for (const place of both) {
    expect(lookAt(simulator, place).of(second)?.launch.size).toBe(0);
    expect(lookAt(simulator, place).records.length).toBeGreaterThan(20);
  }
  simulator.addFault({
    ...{ kind: 'refusal', action: 'ModifyImageAttribute', holds: closed, status: 400 },
    ...{ code: 'InvalidAMIAttributeItemValue', message: 'Invalid attribute item value' },
  });
  const { said, summary, log } = await recall(given, simulator, { restore: 'true', machine: 'two' });
  expect(said).toBe('');
  for (const place of both) {
    expect(new Set(lookAt(simulator, place).of(second)?.launch)).toEqual(new Set(all.filter((one) => one !== closed)));
    expect(lookAt(simulator, place).records).toEqual([]);
  }
  expect(summary).toMatch(/and 989 more; no more by `?333333333399`?, which AWS does not know any more/);
  expect(log.length).toBeLessThan(10_000);
  await simulator.close();
});

const friends = Array.from({ length: 40 }, (_, index) => String(333_333_333_000 + index));

/** Nothing of ours names the second bake, it is disabled, and a restore brings back what others had. */
async function expectGone(given: Case, simulator: Simulator): Promise<void> {
  for (const place of both) {
    const { of, parameter, template } = lookAt(simulator, place);
    const id = of(second)?.data.ImageId;
    expect(of(second)?.data.State).toBe('disabled');
    expect([parameter, ...(template?.versions.map(({ data }) => data.ImageId) ?? [])]).not.toContain(id);
  }
  const { said } = await recall(given, simulator, { restore: 'true', machine: 'two' });
  expect(said).toBe('');
  for (const place of both) expect([...(lookAt(simulator, place).of(second)?.launch ?? [])]).toEqual(friends);
}

test('killed at any of its calls and run again, it ends as if it had not been', async () => {
  const { given, simulator } = await shared();
  const writes = async (killAt?: number) => {
    const from = simulator.calls.length;
    for (const place of both) {
      const { here, of, template } = lookAt(simulator, place);
      const id = of(second)?.data.ImageId ?? '';
      const parameter = here.parameters.get('/golden/latest');
      if (parameter) parameter.value = id;
      for (const one of friends) of(second)?.launch.add(one);
      // As a share leaves it.
      const number = (template?.latest ?? 0) + 1;
      const description = `share-encrypted-ami: source-ami=${second}, lease=x`;
      template?.versions.push({ number, description, visibleAt: 0, data: { ImageId: id } });
      if (template) Object.assign(template, { latest: number, defaultVersion: number });
    }
    await simulator.clock.sleep(settledMs);
    await killedAtCall(simulator, runOf(given, simulator, {}), killAt);
    return simulator.calls.length - from;
  };
  const all = await writes();
  expect(all).toBeGreaterThan(60);
  await expectGone(given, simulator);
  const every = process.env.NIGHTLY === 'true' ? 1 : 11;
  for (let at = 1; at <= all; at += every) {
    await writes(at);
    expect((await recall(given, simulator)).said).toBe('');
    await expectGone(given, simulator);
  }
  await simulator.close();
});

test('a share refuses what is recalled, before and on the way; and a recalled AMI keeps its name', async () => {
  const { given, simulator } = await shared();
  const ours = lookAt(simulator, [targetAccount, targetRegion]).of(second)?.data.ImageId ?? '';
  const one = { 'target-accounts': targetAccount };
  expect((await recall(given, simulator, { ...one, 'ami-id': '', 'target-ami-ids': ours })).said).toBe('');
  const here = await bake(given, simulator, { 'ami-id': second, ...one, 'on-existing': 'replace' });
  expect(here.said).toMatch(new RegExp(`${ours} was recalled: CVE.*it keeps its name "golden-2"`));
  expect(here.said).toContain('give it again by the action recall (restore: true)');
  expect((await recall(given, simulator, { ...one, 'ami-id': '', 'target-ami-ids': ours, restore: 'true' })).said).toBe(
    '',
  );

  expect((await recall(given, simulator)).conclusion).toBe('success');
  const refused = await bake(given, simulator, { 'ami-id': second });
  expect(refused.said).toMatch(new RegExp(`${second} was recalled: CVE-2026-1234`));

  // The first bake is recalled while a share of it is under way, with a new name.
  const source = regionOf(simulator.world, sourceAccount, sourceRegion).images.get(first);
  let isOn = true;
  simulator.onCall(({ action, mutating }) => {
    if (isOn && action === 'RegisterImage' && mutating) source?.data.Tags.push({ Key: mark, Value: 'found late' });
    if (action === 'RegisterImage' && mutating) isOn = false;
  });
  const before = both.map((place) => lookAt(simulator, place).here.images.size);
  const late = await bake(given, simulator, { 'ami-id': first, 'target-ami-name': 'anew', 'on-existing': 'replace' });
  expect(late.said).toContain(`${first} was recalled: found late`);
  const live = both.map(
    (place) =>
      [...lookAt(simulator, place).here.images.values()].filter((image) => image.deregisteredAt === undefined).length,
  );
  expect(live).toEqual(before);
  expect(late.conclusion).toBe('failure');
  await simulator.close();
});

test('what still uses an AMI is told, without another to name it fails, and nothing foreign is touched', async () => {
  const { given, simulator } = await shared();
  const [place = both[0]] = both;
  if (place === undefined) throw new Error('no target');
  const { here, of, template } = lookAt(simulator, place);
  const image = of(second);
  if (image === undefined) throw new Error('no AMI');
  const id = image.data.ImageId ?? '';
  // A team's own image by CopyImage, with all of our tags; a version and a parameter that others made.
  const foreign = structuredClone(image.data);
  Object.assign(foreign, { ImageId: 'ami-0f0e0d0c0b0a09080', Name: 'of a team', SourceImageId: id });
  here.images.set(foreign.ImageId ?? '', { ...image, launch: new Set(['444444444444']), data: foreign });
  const number = (template?.latest ?? 0) + 1;
  template?.versions.push({ number, description: 'mine', visibleAt: 0, data: { ImageId: id } });
  if (template) template.latest = number;
  const [snapshot] = [...here.snapshots.values()].filter(({ data }) =>
    image.data.BlockDeviceMappings.some(({ Ebs }) => Ebs?.SnapshotId === data.SnapshotId),
  );
  snapshot?.shares.add('555555555555');
  here.parameters.set('/others/latest', {
    ...{
      name: '/others/latest',
      value: foreign.ImageId ?? '',
      type: 'String',
      dataType: 'text',
      version: 1,
      history: [],
    },
    tags: [{ Key: 'share-encrypted-ami:source-ami', Value: second }],
  });
  // The older bake is gone here, so nothing takes the AMI's place.
  const former = of(first);
  if (former) former.data.State = 'disabled';

  const result = await recall(given, simulator, { how: 'deprecate', 'launch-template': '' });
  expect(result.conclusion).toBe('failure');
  expect(result.said).toMatch(new RegExp(`the SSM parameter /golden/latest still names ${id}: no other AMI`));
  expect(result.targets.map(({ status }) => status)).toEqual(['deprecated', 'deprecated']);
  expect([image.data.State, Date.parse(image.data.DeprecationTime ?? '') - simulator.clock.now() < 120_000]).toEqual([
    'available',
    true,
  ]);
  expect(result.summary).toMatch(/### Left alone[^#]*ami-0f0e0d0c0b0a09080.*was copied from/);
  const uses = result.inUse.map(({ by, command }) => `${by}: ${command}`).join('\n');
  expect(uses).toContain(`${template?.id}: aws ec2 modify-launch-template --region ${targetRegion}`);
  expect(uses).toMatch(/shared with 555555555555: aws ec2 reset-snapshot-attribute/);
  expect(result.summary).toMatch(/### Still in use[\s\S]*### Failures/);
  expect([foreign.Tags?.some(({ Key }) => Key === mark), foreign.State]).toEqual([false, 'available']);
  expect(here.parameters.get('/others/latest')?.value).toBe(foreign.ImageId);
  expect(template?.versions.at(-1)?.description).toBe('mine');
  const named = await recall(given, simulator, { 'ami-id': '', 'target-ami-ids': foreign.ImageId ?? '' });
  expect(named.said).toMatch(/ami-0f0e0d0c0b0a09080 is left alone/);

  // What was deprecated gets its own time again, and is deregistered at last, the source disabled by another recall.
  const back = await recall(given, simulator, { restore: 'true' });
  expect([back.said, Date.parse(image.data.DeprecationTime ?? '') > simulator.clock.now() + 80 * 86_400_000]).toEqual([
    '',
    true,
  ]);
  const withSource = await recall(given, simulator, { 'include-source': 'true', replacement: first });
  expect(withSource.targets[0]).toMatchObject({ account: sourceAccount, amiId: second, status: 'disabled' });
  const whole = await recall(given, simulator, { 'include-source': 'true', restore: 'true' });
  expect([whole.said, regionOf(simulator.world, sourceAccount, sourceRegion).images.get(second)?.data.State]).toEqual([
    '',
    'available',
  ]);
  // What names an AMI that is gone would be found no more.
  const disabled = await recall(given, simulator, { how: 'deregister' });
  expect(disabled.targets.map(({ status }) => status)).toEqual(['disabled', 'deregistered']);
  expect(disabled.said).toMatch(
    new RegExp(`/golden/latest still names ${id}[^]*only disabled, not deregistered, while something names them`),
  );
  if (former) former.data.State = 'available';
  const gone = await recall(given, simulator, { how: 'deregister' });
  expect(gone.targets.map(({ status }) => status)).toEqual(['deregistered', 'absent']);
  expect(lookAt(simulator, place).parameter).toBe(former?.data.ImageId);
  expect(image.deregisteredAt).toBeDefined();
  await simulator.close();
});

test('inputs that a recall cannot have', async () => {
  const given = recallable();
  const simulator = await startSimulator(given.scenario);
  const bad = await recall(given, simulator, {
    ...{ 'ami-id': '', 'target-ami-ids': 'ami-1', reason: '', how: 'deregister', 'include-source': 'true' },
    ...{ 'dry-run': 'true', replacement: 'x', restore: 'no' },
  });
  for (const words of [
    /target-ami-ids: "ami-1" — expected the ID/,
    /reason: not set — is needed/,
    /how: "deregister" — cannot be used with target-ami-ids/,
    /include-source: "true" — cannot be used/,
    /replacement: "x" — expected the ID/,
    /restore: "no" — expected true or false/,
    /dry-run: "true" — is an input of the main action; recall does not take it/,
  ])
    expect(bad.said).toMatch(words);
  expect(bad.outputs).toMatchObject({ targets: '[]', 'in-use': '[]' });
  expect(simulator.calls).toEqual([]);
  await simulator.close();
});

describe('the policies for a recall', () => {
  const files = {
    ...{ 'source-recall': sourceAccount, 'source-recall-include': sourceAccount },
    ...{ 'target-recall': targetAccount, 'target-recall-parameter': targetAccount },
    'target-recall-launch-template': targetAccount,
  } as const;
  type File = keyof typeof files;
  /** A statement changed so that it allows less, and the actions of which one must then be named. */
  type Less = Readonly<{
    file: File;
    what: string;
    actions: readonly string[];
    change: (statement: Statement) => Statement;
  }>;

  const statements = Object.keys(files).flatMap((file) =>
    statementsIn(file).map((statement) => ({ file: file as File, statement })),
  );
  /** Without an action. */
  const withoutAction = statements.flatMap(({ file, statement }) =>
    [statement.Action].flat().map((action): Less => {
      const change = (one: Statement) =>
        one.Sid === statement.Sid ? { ...one, Action: [one.Action].flat().filter((own) => own !== action) } : one;
      return { file, what: `${statement.Sid} without ${action}`, actions: [action], change };
    }),
  );
  /** With a condition that nothing of what is asked meets. */
  const tighter = statements.flatMap(({ file, statement: { Sid, Action, Condition = {} } }) =>
    Object.entries(Condition).flatMap(([operator, keys]) =>
      Object.keys(keys).map((key): Less => {
        const others = { ...keys, [key]: operator === 'Null' ? 'true' : 'nothing' };
        const change = (one: Statement) =>
          one.Sid === Sid ? { ...one, Condition: { ...Condition, [operator]: others } } : one;
        return { file, what: `${Sid} by ${operator} ${key}`, actions: [Action].flat(), change };
      }),
    ),
  );

  /** Both bakes are shared, protected against deregistration, and an AMI that is there through an encrypted copy. */
  async function protectedBakes() {
    const { given, simulator } = await shared({ 'deregistration-protection': 'on' });
    const byCopy = { 'ami-id': plainId, route: 'copy', lineage: '', 'ssm-parameter': '', 'launch-template': '' };
    expect((await bake(given, simulator, { ...byCopy, 'launch-template-default': 'false' })).said).toBe('');
    regionOf(simulator.world, sourceAccount, sourceRegion).images.get(second)?.launch.add('333333333333');
    for (const place of both) {
      const { of, template } = lookAt(simulator, place);
      const image = of(second);
      image?.launch.add('333333333333');
      // So that no version is there already for the one that is to be made.
      const at = template?.versions.findIndex(({ data }) => data.ImageId === of(first)?.data.ImageId) ?? -1;
      template?.versions.splice(at, 1);
      // Whose deprecation is taken off again.
      if (place[0] === targetAccount) delete image?.data.DeprecationTime;
    }
    return { given, simulator };
  }

  test('are enough, and without any action or condition of them what is missing is named', async () => {
    const { given, simulator } = await protectedBakes();
    // A recall has moved the pointers; they are put back for the next.
    const pointers = both.map(([account, region]) => {
      const { parameters, launchTemplates } = regionOf(simulator.world, account, region);
      return { parameters, launchTemplates, kept: structuredClone({ parameters, launchTemplates }) };
    });
    const putBack = () => {
      for (const { parameters, launchTemplates, kept } of pointers)
        for (const [all, before] of [
          [parameters, kept.parameters],
          [launchTemplates, kept.launchTemplates],
        ] as const) {
          all.clear();
          for (const [name, one] of structuredClone(before) as Map<string, never>) all.set(name, one);
        }
    };
    const each = async (ways: readonly Record<string, string>[]) => {
      const said: string[] = [];
      for (const inputs of ways) said.push((await recall(given, simulator, inputs)).said);
      return said.join('\n').trim();
    };
    const withSource = { 'ami-id': `${second},${plainId}`, 'include-source': 'true' };
    const whole = ['disable', 'deprecate'].flatMap((how) => [
      { ...withSource, how },
      { ...withSource, restore: 'true' },
    ]);
    const without = async ({ file, change }: Less, ways: readonly Record<string, string>[]) => {
      const name = file.startsWith('source-') ? 'ami-recall-source' : 'ami-recall-target';
      const policies = simulator.world.accounts[files[file]]?.roles.get(name)?.policies as PolicyDocument[];
      const kept = [...policies];
      const own = new Set(statementsIn(file).map(({ Sid }) => Sid));
      const changed = kept.map(({ Statement, ...rest }) => ({
        ...rest,
        Statement: (Statement as Statement[])
          .map((one) => (own.has(one.Sid) ? change(one) : one))
          .filter(({ Action }) => Action.length > 0),
      }));
      policies.splice(0, policies.length, ...(changed as PolicyDocument[]));
      const said = await each(ways);
      policies.splice(0, policies.length, ...kept);
      return said;
    };
    const named = (actions: readonly string[]) =>
      expect.stringMatching(new RegExp(actions.map((action) => action.split(':')[1]).join('|')));
    // Roles that the templates made without a feature are mended by its parameter.
    const parameters: Partial<Record<File, string>> = {
      'source-recall-include': 'IncludeSource=true',
      'target-recall-launch-template': 'LaunchTemplate=*',
    };
    const remedied = (file: File) => {
      const parameter = parameters[file];
      const words = 'where templates/ made the role, set ';
      if (parameter !== undefined) return expect.stringContaining(`${words}${parameter}; else`);
      return file === 'target-recall-parameter' ? expect.anything() : expect.not.stringContaining(words);
    };
    expect(await each(whole)).toBe('');
    putBack();
    const last = ['ec2:DisableImageDeregistrationProtection', 'ec2:DeregisterImage', 'ec2:DeleteSnapshot'];
    const isLast = ({ actions: [action = '', ...more] }: Less) => more.length === 0 && last.includes(action);
    const tried = [...withoutAction.filter((one) => !isLast(one)), ...tighter];
    for (const one of sampled(tried, { every: 12 })) {
      const said = await without(one, whole);
      expect([one.what, said]).toEqual([one.what, named(one.actions)]);
      if (withoutAction.includes(one)) expect([one.what, said]).toEqual([one.what, remedied(one.file)]);
      await each([{ ...withSource, restore: 'true' }]);
      putBack();
    }
    // What takes an AMI away for good, in the order in which it is asked for.
    for (const action of last) {
      const [one] = withoutAction.filter(({ actions }) => actions.includes(action));
      if (one === undefined) throw new Error(`no ${action}`);
      expect([action, await without(one, [{ how: 'deregister' }])]).toEqual([action, named(one.actions)]);
    }
    await simulator.close();
  });
});
