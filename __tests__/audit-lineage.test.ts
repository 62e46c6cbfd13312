import { expect, test } from '@jest/globals';
import { amiIdOf, keyArnOf } from '../simulator/scenario.ts';
import { subject } from '../simulator/scenarios/common.ts';
import { type Case, sourceAccount, sourceRegion, targetAccount } from '../simulator/scenarios/standard.ts';
import { regionOf, type SimImage } from '../simulator/world.ts';
import { audit, isValid, published, publishing, standard } from './audited.ts';
import { runAction, runJob, type Simulator, startSimulator } from './in-process.ts';
import { deploy } from './stacks.ts';

const names = ['golden-1', 'golden-2', 'golden-3'];
const [first = '', second = '', third = ''] = names.map((name) => amiIdOf(sourceAccount, sourceRegion, name));
const [one, other] = [`${targetAccount}/eu-west-1`, '222222222222/eu-west-1'];
const prefix = 'share-encrypted-ami:';
const lineage = 'golden of eu-west-1';

/** Three bakes, a month between them, and an AMI that is of no lineage. */
function bakes(): Case {
  const [golden, ...others] = names.map((name, index) => ({
    name,
    volumes: [{ device: '/dev/xvda', sizeGiB: 8 }],
    attributes: { CreationDate: `2026-0${index + 7}-01T00:00:00.000Z` },
  }));
  const policies = [...publishing, 'target-retain'];
  return standard({ policies, ami: golden ?? {}, regions: ['eu-west-1'], source: { amis: others } });
}

let runs = 0;

async function bake(shared: Case, simulator: Simulator, inputs: Record<string, string>) {
  runs += 1;
  const asked = { ...shared.inputs, ...published, ...inputs };
  const { main } = await runJob({ inputs: asked, env: simulator.env, github: { run_id: String(runs) } });
  const errors = main.annotations.filter(({ level }) => level === 'error');
  expect([main.conclusion, errors]).toEqual(['success', []]);
}

/** The bakes that are named, each shared with every target. */
async function baked(...ids: string[]) {
  const shared = bakes();
  const simulator = await startSimulator(shared.scenario);
  for (const id of ids) await bake(shared, simulator, { 'ami-id': id });
  const byLineage = (inputs: Record<string, string> = {}) => audit(shared, simulator, { 'ami-id': '', ...inputs });
  return { shared, simulator, byLineage };
}

function imageOf(simulator: Simulator, place: string, source: string): SimImage {
  const [account = '', region = ''] = place.split('/');
  const all = [...regionOf(simulator.world, account, region).images.values()];
  const found = all.find(({ data }) => tagOf(data, 'source-ami') === source && data.State !== 'deregistered');
  if (found === undefined) throw new Error(`no AMI of ${source} in ${place}`);
  return found;
}

function tagOf({ Tags }: SimImage['data'], key: string): string | undefined {
  return Tags.find(({ Key }) => Key === prefix + key)?.Value;
}

function tag({ data }: SimImage, tags: Record<string, string>): void {
  const others = data.Tags.filter(({ Key = '' }) => !Object.hasOwn(tags, Key.replace(prefix, '')));
  data.Tags = [...others, ...Object.entries(tags).map(([key, Value]) => ({ Key: prefix + key, Value }))];
}

const sourceOf = (simulator: Simulator, id: string): SimImage => {
  const image = regionOf(simulator.world, sourceAccount, sourceRegion).images.get(id);
  if (image === undefined) throw new Error(`no ${id}`);
  return image;
};

test('the newest source AMI of the lineage is what is to be everywhere', async () => {
  const { shared, simulator, byLineage } = await baked(first);
  await bake(shared, simulator, { 'ami-id': second, 'exclude-targets': other });
  const older = imageOf(simulator, other, first).data.ImageId;

  const { conclusion, findings, outputs, said, summary } = await byLineage();
  expect([conclusion, findings.map(({ kind }) => kind)]).toEqual(['failure', ['missing']]);
  expect(said).toContain(`${other}: missing: there is no AMI of ${second}; instead, there is ${older} of ${first}`);
  expect(summary).toContain(
    `Compared with \`${second}\`, the newest source AMI of the lineage golden of \`{region}\` in \`111111111111/us-east-1\`.`,
  );
  expect(outputs).toMatchObject({
    ...{ 'in-step': 'false', 'source-ami-id': second },
    'missing-targets': '[{"account":"222222222222","region":"eu-west-1"}]',
  });
  // That is what a share makes.
  const { 'missing-targets': targets = '', 'source-ami-id': amiId = '' } = outputs;
  const lists = { 'target-accounts': '', 'target-regions': '', targets };
  await bake(shared, simulator, { ...lists, 'ami-id': amiId });
  const clean = await byLineage();
  expect(clean).toMatchObject({ conclusion: 'success', findings: [], annotations: [] });
  expect(clean.outputs).toMatchObject({ 'in-step': 'true', 'missing-targets': '[]' });

  // An old bake that is shared again is no new one, as long as AWS tells when the source AMIs were made.
  await bake(shared, simulator, { 'ami-id': first, 'target-ami-name': 'again-{run-id}', 'on-existing': 'replace' });
  expect((await byLineage()).outputs['source-ami-id']).toBe(second);
  await simulator.close();
});

test('an AMI that is not published, was recalled, or failed its boot test is not the newest', async () => {
  const { simulator, byLineage } = await baked(first, second, third);
  for (const place of [one, other]) {
    const image = imageOf(simulator, place, third);
    image.data.Tags = image.data.Tags.filter(({ Key }) => Key !== `${prefix}published`);
  }
  expect((await byLineage()).outputs['source-ami-id']).toBe(second);
  for (const place of [one, other]) tag(imageOf(simulator, place, third), { published: '2026-11-27T00:00:00Z' });
  expect((await byLineage()).outputs['source-ami-id']).toBe(third);
  for (const place of [one, other]) tag(imageOf(simulator, place, third), { 'boot-test': 'failed status' });
  expect((await byLineage()).outputs['source-ami-id']).toBe(second);

  // By the mark on the source AMI, which a deprecated copy may lack.
  tag(sourceOf(simulator, second), { recalled: 'CVE-2026-1234' });
  const former = await byLineage();
  expect(former.outputs['source-ami-id']).toBe(first);
  imageOf(simulator, other, first).data.State = 'deregistered';
  const { said } = await byLineage({ 'ssm-parameter': '', 'launch-template': '', 'launch-template-default': '' });
  expect(said).toMatch(
    new RegExp(`^${other}: missing: there is no AMI of ${first}; instead, there is ami-\\w+ of ${second}$`),
  );

  for (const place of [one, other]) tag(imageOf(simulator, place, second), { recalled: 'CVE-2026-1234' });
  imageOf(simulator, one, first).data.State = 'disabled';
  const none = await byLineage();
  expect(none.said).toContain('lineage: no target has a published AMI of the lineage golden of {region}: ');
  expect(none.said).toMatch(/ami-\w+ in 999999999999\/eu-west-1 is disabled/);
  expect(none.said).toMatch(/ami-\w+ in 222222222222\/eu-west-1 was recalled: CVE-2026-1234/);
  expect(none.said).toMatch(/ami-\w+ in 222222222222\/eu-west-1 failed its boot test/);
  expect(none).toMatchObject({ conclusion: 'failure', findings: [{ kind: 'unknown' }, { kind: 'unknown' }] });
  expect(none.outputs).toMatchObject({ 'in-step': 'false', 'source-ami-id': '' });
  await simulator.close();
});

test('after a recall, the bake before is what is to be everywhere, and is', async () => {
  const given = bakes();
  const accounts = [sourceAccount, targetAccount, '222222222222'];
  const scenario = accounts.reduce((all, account) => {
    const isSource = account === sourceAccount;
    const more = isSource ? { IncludeSource: 'true' } : { Parameter: 'golden/*', LaunchTemplate: '*' };
    const parameters = { Subject: subject, ...(more as Record<string, string>) };
    const file = isSource ? 'source-recall.yaml' : 'target-recall.yaml';
    return deploy(all, { file, account, region: sourceRegion, parameters }).scenario;
  }, given.scenario);
  const shared = { ...given, scenario };
  const simulator = await startSimulator(scenario);
  for (const id of [first, second]) await bake(shared, simulator, { 'ami-id': id });
  const { 'source-region': region = '', 'target-accounts': to = '', 'target-regions': regions = '' } = shared.inputs;
  const recall = await runAction({
    action: 'recall',
    env: simulator.env,
    inputs: {
      ...{ 'ami-id': second, reason: 'CVE-2026-1234', 'include-source': 'true', 'source-region': region },
      ...{ 'target-accounts': to, 'target-regions': regions },
      ...{ 'ssm-parameter': '/golden/latest', 'launch-template': 'web' },
      'source-role-arn': `arn:aws:iam::${sourceAccount}:role/ami-recall-source`,
      'target-role-arn': 'arn:aws:iam::{account}:role/ami-recall-target',
    },
  });
  expect([recall.conclusion, recall.annotations]).toEqual(['success', []]);

  const clean = await audit(shared, simulator, { 'ami-id': '' });
  expect(clean).toMatchObject({ conclusion: 'success', findings: [] });
  expect(clean.outputs['source-ami-id']).toBe(first);
  // Whoever asks for the one that was recalled is told so, although its source AMI is disabled.
  const named = await audit(shared, simulator, { 'ami-id': second });
  expect(named.findings.map(({ kind }) => kind)).toEqual(['recalled', 'recalled']);
  await simulator.close();
});

test('where no target has any AMI of the lineage, that is a problem', async () => {
  const { simulator, byLineage } = await baked();
  const { conclusion, said, summary } = await byLineage();
  expect(conclusion).toBe('failure');
  expect(said).toMatch(
    /lineage: no target has a published AMI of the lineage golden of \{region\}\n +What to do: share one with this lineage, or name the source AMI/,
  );
  expect(summary).toContain('❌ Problems were found; nothing could be compared');
  // One whose role isn't there may have some.
  const roles = simulator.world.accounts[targetAccount]?.roles;
  roles?.delete('ami-audit');
  expect((await byLineage()).said).toMatch(/no target that could be read has a published AMI/);
  await simulator.close();
});

test('a target that cannot be read is unknown, and the others are compared', async () => {
  const { simulator, byLineage } = await baked(first);
  simulator.world.accounts[targetAccount]?.roles.delete('ami-audit');
  const { findings, outputs } = await byLineage();
  expect(findings).toEqual([
    {
      kind: 'unknown',
      account: targetAccount,
      region: 'eu-west-1',
      why: expect.stringMatching(/assuming the target role/i),
    },
  ]);
  expect(outputs).toMatchObject({ 'in-step': 'false', 'source-ami-id': first, 'missing-targets': '[]' });
  await simulator.close();
});

test('forged tags make no AMI the newest, and are told', async () => {
  const { shared, simulator, byLineage } = await baked(first, second);
  // Proven to be this action's, of another lineage.
  await bake(shared, simulator, {
    ...{ 'ami-id': third, lineage: 'other', 'ssm-parameter': '', 'launch-template': '' },
    'launch-template-default': '',
  });
  const claimed = imageOf(simulator, one, third);
  tag(claimed, { lineage });
  const { images, snapshots } = regionOf(simulator.world, targetAccount, 'eu-west-1');
  const forge = (id: string, more: object, tags: Record<string, string>): void => {
    const record = structuredClone({ data: imageOf(simulator, one, second).data });
    Object.assign(record.data, { ImageId: id, Name: id, CreationDate: '2026-12-01T00:00:00.000Z', ...more });
    const image = { ...imageOf(simulator, one, second), ...record };
    tag(image, { lineage, published: '2026-12-01T00:00:00Z', ...tags });
    images.set(id, image);
  };
  // Registered from a team's snapshot; copied from a team's AMI; and that with the tag of an encrypted copy.
  const [there] = snapshots.values();
  if (there === undefined) throw new Error('no snapshot');
  const team = structuredClone(there.data);
  Object.assign(team, { SnapshotId: 'snap-0a0a0a0a0a0a0a0a0', Description: 'of a team' });
  snapshots.set('snap-0a0a0a0a0a0a0a0a0', { ...there, data: team });
  const mapped = { DeviceName: '/dev/xvda', Ebs: { SnapshotId: 'snap-0a0a0a0a0a0a0a0a0', Encrypted: true } };
  const [registered, copied, through] = [1, 2, 3].map((digit) => `ami-0a0a0a0a0a0a0a0a${digit}`) as [
    string,
    string,
    string,
  ];
  const from = { SourceImageId: 'ami-0bbbbbbbbbbbbbbbb', SourceImageRegion: sourceRegion };
  forge(registered, { BlockDeviceMappings: [mapped] }, { 'source-ami': third });
  forge(copied, from, { 'source-ami': third });
  forge(through, from, { 'source-ami': third, 'encrypted-copy': from.SourceImageId });

  const { conclusion, findings, outputs, said } = await byLineage({ 'fail-on': 'foreign' });
  expect(outputs).toMatchObject({ 'source-ami-id': second, 'in-step': 'true' });
  expect(conclusion).toBe('failure');
  const told = [registered, copied, through, claimed.data.ImageId].map((id) => ['foreign', id]);
  expect(findings.map(({ kind, id }) => [kind, id]).sort()).toEqual(told.sort());
  expect(said).toContain(`${claimed.data.ImageId} bears tags of this action, but only a tag says that it is of the`);
  expect(said).toContain(`${through} bears tags of this action, but it was copied from ami-0bbbbbbbbbbbbbbbb`);
  await simulator.close();
});

test('without the source account, what can be compared is, and the rest is unknown', async () => {
  const { shared, simulator, byLineage } = await baked(first);
  await bake(shared, simulator, { 'ami-id': second, 'exclude-targets': other });
  const named = {
    ...{ 'ssm-parameter': '/golden/{name}/latest', tags: 'bake={run-id}, {date}\nteam=platform of {account}' },
  };
  const alone = { 'source-role-arn': '', ...named };
  const { findings, conclusion, outputs, summary } = await byLineage(alone);
  expect([isValid(findings), conclusion]).toEqual([true, 'failure']);
  expect(findings).toEqual([
    {
      kind: 'unknown',
      account: targetAccount,
      region: 'eu-west-1',
      why: expect.stringMatching(/^not everything could/),
    },
    { kind: 'missing', account: '222222222222', region: 'eu-west-1', why: expect.stringContaining(first) },
  ]);
  expect(findings[0]?.why).toMatch(/assuming the source role/i);
  expect(outputs).toMatchObject({ 'in-step': 'false', 'source-ami-id': second });
  expect(summary).toContain('it could not be read, and only what the inputs say was compared');

  // What was changed by hand is found all the same.
  const { data, launch } = imageOf(simulator, one, second);
  launch.add('444444444444');
  data.DeregistrationProtection = 'disabled';
  data.Description = 'Golden of yesterday';
  const [id = ''] = data.BlockDeviceMappings.map(({ Ebs }) => Ebs?.SnapshotId ?? '');
  const place = regionOf(simulator.world, targetAccount, 'eu-west-1');
  const snapshot = place.snapshots.get(id);
  if (snapshot) snapshot.data.KmsKeyId = keyArnOf(targetAccount, 'eu-west-1', 'another');
  tag(imageOf(simulator, one, second), { lineage });
  data.Tags = data.Tags.map((one) => (one.Key === 'team' ? { ...one, Value: 'others' } : one));
  const fields = async (inputs: Record<string, string>) => {
    const { findings } = await byLineage(inputs);
    expect(findings.map(({ kind }) => kind)).toEqual(['differs', 'unknown', 'missing']);
    return findings[0]?.differences?.map(({ field }) => field);
  };
  const found = [
    ...[`the key of ${id}`, 'Description', 'the tag team', 'the launch permission of 444444444444'],
    'DeregistrationProtection',
  ];
  expect(await fields(alone)).toEqual(found);

  // So where the source AMI is gone; one bake later, the first one's copies would be the oldest.
  regionOf(simulator.world, sourceAccount, sourceRegion).images.delete(second);
  expect(await fields(named)).toEqual(found);
  const gone = await byLineage(named);
  expect(gone.findings[1]?.why).toContain(`there is no ${second} that account 111111111111 can see in us-east-1`);
  await simulator.close();
});

test('what cannot be told without a source AMI is a problem of the inputs', async () => {
  const { simulator, byLineage } = await baked();
  expect((await byLineage({ lineage: '' })).said).toMatch(/ami-id, .*, instance-id: not set — expected .*, or lineage/);
  const { said } = await byLineage({ lineage: '{name}', 'target-role-arn': 'arn:aws:iam::{account}:role/{name}' });
  expect(said).toMatch(/lineage: "\{name\}" — \{name\} and \{source-ami\} are not known before the targets are read/);
  expect(said).toMatch(/target-role-arn: ".*" — \{name\} and \{source-ami\} are not known/);
  await simulator.close();
});
