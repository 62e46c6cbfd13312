import { describe, expect, test } from '@jest/globals';
import { keyArnOf } from '../simulator/scenario.ts';
import {
  type Case,
  mixedVolumes,
  procedure,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import type { PolicyDocument } from '../simulator/world.ts';
import { type FindingKind, findingKinds } from '../src/inputs/audit.ts';
import type { TargetRequest } from '../src/inputs/targets.ts';
import type { AuditFinding } from '../src/plan/audit.ts';
import { auditOutputs, auditSummary } from '../src/report/audit.ts';
import {
  audit,
  auditable,
  auditRoles,
  isValid,
  placeOf,
  published,
  publishing,
  standard,
  withTemplate,
} from './audited.ts';
import { runJob, startSimulator } from './in-process.ts';
import { caseOf, features, type Statement, statementsIn } from './policy-cases.ts';
import { sampled } from './sampled.ts';
import { copiedFrom } from './shared-case.ts';

test('nothing on a clean estate; then each kind of difference that is made by hand', async () => {
  const shared = standard();
  const simulator = await startSimulator(shared.scenario);
  const before = await audit(shared, simulator);
  expect([before.conclusion, before.findings.map(({ kind }) => kind)]).toEqual(['failure', Array(6).fill('missing')]);
  expect(before.said).toContain('999999999999/us-west-2: missing: there is no AMI of ami-');
  // What is missing is what a share makes.
  const { 'missing-targets': targets = '' } = before.outputs;
  const withoutLists = { ...shared.inputs, 'target-accounts': '', 'target-regions': '', targets };
  const { main } = await runJob({ inputs: { ...published, ...withoutLists }, env: simulator.env });
  expect([main.conclusion, Object.keys(JSON.parse(main.outputs.targets ?? ''))]).toMatchObject([
    'success',
    { length: 6 },
  ]);

  const clean = await audit(shared, simulator);
  expect(clean).toMatchObject({ conclusion: 'success', annotations: [], findings: [] });
  expect(clean.outputs).toMatchObject({ 'in-step': 'true', 'missing-targets': '[]', truncated: 'false' });
  expect(clean.summary).toContain('✅ 6 of 6 targets in step');

  const { place, image } = placeOf(simulator, targetAccount, 'eu-west-1');
  const { data } = image;
  const snapshotId = data.BlockDeviceMappings[0]?.Ebs?.SnapshotId ?? '';
  data.EnaSupport = data.EnaSupport !== true;
  data.Description = 'Golden of yesterday';
  data.DeprecationTime = new Date(simulator.clock.now() + 10 * 86_400_000).toISOString();
  data.DeregistrationProtection = 'disabled';
  const [volume] = data.BlockDeviceMappings;
  if (volume?.Ebs) volume.Ebs.DeleteOnTermination = volume.Ebs.DeleteOnTermination !== true;
  const changed: Record<string, string> = { team: 'others', 'share-encrypted-ami:lineage': 'golden' };
  data.Tags = data.Tags.map(({ Key, Value }) => ({ Key, Value: changed[Key ?? ''] ?? Value ?? '' }));
  image.launch.clear();
  image.launch.add('444444444444');
  place.fastRestores.clear();
  place.parameters.delete('/golden/latest');
  const [template] = place.launchTemplates.values();
  const latest = template?.versions.at(-1);
  if (template === undefined || latest === undefined) throw new Error('no launch template');
  template.defaultVersion = 1;
  latest.data.ImageId = 'resolve:ssm:/golden/other';
  // What a version resolves is compared by itself; one that is gone names nothing.
  const [resolving] = placeOf(simulator, '222222222222', 'ap-southeast-2').place.launchTemplates.values();
  for (const { data: launched } of resolving?.versions ?? []) launched.ImageId = 'resolve:ssm:/golden/latest';
  placeOf(simulator, '222222222222', 'eu-west-1').place.launchTemplates.clear();
  for (const key of place.keys.values()) key.grants.splice(0);
  const snapshot = place.snapshots.get(snapshotId);
  if (snapshot) snapshot.data.KmsKeyId = keyArnOf(targetAccount, 'eu-west-1', 'another');

  placeOf(simulator, targetAccount, 'us-west-2').place.images.clear();
  const unread = placeOf(simulator, targetAccount, 'ap-southeast-2').place;
  for (const key of unread.keys.values()) key.metadata.KeyState = 'Disabled';
  placeOf(simulator, '222222222222', 'eu-west-1').image.data.State = 'disabled';

  const about = placeOf(simulator, '222222222222', 'us-west-2');
  const foreign = structuredClone(about.image.data);
  foreign.ImageId = 'ami-0f0e0d0c0b0a09080';
  Object.assign(foreign, { Name: 'of a team', SourceImageId: 'ami-0123456789abcdef0' });
  about.place.images.set(foreign.ImageId, { ...about.image, data: foreign });
  const [there] = about.place.snapshots.values();
  if (there === undefined) throw new Error('no snapshot');
  const left = structuredClone(there.data);
  left.SnapshotId = 'snap-0f0e0d0c0b0a09080';
  left.Tags = [...(left.Tags ?? []), { Key: 'share-encrypted-ami:lease', Value: 'ended' }];
  left.StartTime = new Date(simulator.clock.now() - 3 * 86_400_000);
  about.place.snapshots.set(left.SnapshotId, { ...there, data: left });

  const { findings, conclusion, said, outputs, summary } = await audit(shared, simulator, {
    'fail-on': 'missing, differs, unknown, left-over, foreign',
  });
  expect([isValid(findings), isValid.errors]).toEqual([true, null]);
  expect(conclusion).toBe('failure');
  expect(outputs['in-step']).toBe('false');
  const told = findings.map(({ kind, account, region, id }) => [`${account}/${region}`, kind, id]);
  expect(told).toEqual([
    ['999999999999/ap-southeast-2', 'unknown', undefined],
    ['999999999999/eu-west-1', 'differs', data.ImageId],
    ['999999999999/us-west-2', 'missing', undefined],
    ['222222222222/eu-west-1', 'differs', expect.stringMatching(/^ami-/)],
    ['222222222222/us-west-2', 'foreign', foreign.ImageId],
    ['222222222222/us-west-2', 'left-over', left.SnapshotId],
  ]);
  const fields = findings.find(({ id }) => id === data.ImageId)?.differences?.map(({ field }) => field);
  expect(fields).toEqual([
    ...['EnaSupport', 'BlockDeviceMappings[/dev/xvda].Ebs.DeleteOnTermination', `the key of ${snapshotId}`],
    ...[
      'Description',
      'the tag team',
      'the tag share-encrypted-ami:lineage',
      'the launch permission of 333333333333',
      'the launch permission of 444444444444',
    ],
    expect.stringMatching(/^the grant for .*AutoScaling on arn:aws:kms:eu-west-1/),
    ...['DeprecationTime', 'DeregistrationProtection', `fast snapshot restore of ${snapshotId}`],
    'the SSM parameter /golden/latest',
    'the latest version, 2, of the launch template web',
    'the default version, 1, of the launch template web',
  ]);
  expect(said).toContain(`web is resolve:ssm:/golden/other, not ${data.ImageId}`);
  expect(said).toContain(`web is ami-0aaaaaaaaaaaaaaaa, not ${data.ImageId}`);
  expect(said).toContain('the launch template web is not set, not ami-');
  expect(said).toMatch(/ap-southeast-2: unknown: .*is Disabled.*What to do: enable it/);
  expect(said).toMatch(/State is disabled, not available/);
  expect(summary).toContain('| 222222222222 | ✅ | 🟠 | ✅🧹👽 |');
  expect(summary).toContain('| 999999999999 | ❓ | 🟠 | ⬜ |');

  // A mark on the source AMI says that all of its copies are to go.
  const source = placeOf(simulator, sourceAccount, sourceRegion).image;
  source.data.Tags.push({ Key: 'share-encrypted-ami:recalled', Value: 'CVE-2026-1234' });
  const recalled = await audit(shared, simulator, { 'fail-on': 'recalled' });
  expect(recalled.said).toMatch(/222222222222\/ap-southeast-2: recalled: .*was recalled: CVE-2026-1234/);
  expect(recalled.said).not.toMatch(/missing/);
  expect(new Set(recalled.findings.map(({ kind }) => kind))).toEqual(
    new Set(['recalled', 'missing', 'unknown', 'left-over', 'foreign']),
  );
  await simulator.close();
});

test('20 accounts × 20 regions are a row each with a sign a cell, however much is told below', () => {
  const accounts = Array.from({ length: 20 }, (_, index) => String(200_000_000_001 + index));
  const everyRegion = Array.from({ length: 20 }, (_, index) => `ap-southeast-${String(index + 1).padStart(2, '0')}`);
  const targets = accounts.flatMap((account) =>
    everyRegion.map(
      (region): TargetRequest => ({
        ...{
          account,
          region,
          roleArn: undefined,
          kmsKey: 'alias/golden',
          amiName: '{name}',
          tags: {},
          optional: false,
        },
        ...{ own: { account, region }, everyRegion: undefined },
      }),
    ),
  );
  const why = 'AWS said: '.padEnd(5000, 'long | *words* ');
  // Each kind in turn, and what lies about beside a target in step; every seventh target has nothing.
  const kindOf = (index: number): FindingKind | undefined => findingKinds[index % 7];
  const findings = targets.flatMap(({ account, region }, index): AuditFinding[] => {
    const kind = kindOf(index);
    return kind === undefined ? [] : [{ kind, account, region, why }];
  });
  const report = { targets, findings, source: undefined, seconds: 60, problems: [], stopped: [] };
  const summary = auditSummary(report);
  // https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions#step-isolation-and-limits
  expect(Buffer.byteLength(summary)).toBeLessThanOrEqual(1024 * 1024);

  const lines = summary.split('\n');
  const head = lines.findIndex((line) => line.startsWith('| account | ap<br>se<br>01 |'));
  const rows = lines.slice(head + 2, head + 22);
  expect(lines[head + 1]).toBe(`|---|${':-:|'.repeat(20)}`);
  expect(rows.map((row) => row.split(' | ')[0])).toEqual(accounts.map((account) => `| ${account}`));
  const signs: Record<string, string> = { missing: '⬜', differs: '🟠', recalled: '⛔', unknown: '❓' };
  const about: Record<string, string> = { 'left-over': '✅🧹', foreign: '✅👽' };
  const cells = rows.flatMap((row) => row.slice(2, -2).split(' | ').slice(1));
  expect(cells).toEqual(targets.map((_, index) => ({ ...signs, ...about })[kindOf(index) ?? ''] ?? '✅'));
  expect(lines[head + 23]).toMatch(
    /^✅ in step · ⬜ missing · 🟠 differs · ⛔ recalled · ❓ unknown · 🧹 left-over · 👽 foreign$/,
  );
  // The matrix is whole within a few kilobytes, before anything that is long.
  expect(Buffer.byteLength(lines.slice(0, head + 24).join('\n'))).toBeLessThan(8000);
  const outputs = auditOutputs(report, '/tmp/findings.json');
  expect(Buffer.byteLength(Object.values(outputs).join(''))).toBeLessThanOrEqual(100_000);
  expect([outputs.truncated, outputs['in-step']]).toEqual(['true', 'false']);
  expect(isValid(JSON.parse(outputs.findings ?? ''))).toBe(true);
});

test('what it cannot have, and what it says where the source cannot be read', async () => {
  const shared = standard({ regions: [targetRegion] });
  const simulator = await startSimulator(shared.scenario);
  const bad = await audit(shared, simulator, { 'fail-on': 'missing, lost', 'dry-run': 'true', 'no-reboot': 'true' });
  expect(bad.said).toMatch(/fail-on: "lost" — expected none, or of missing, differs/);
  expect(bad.said).toMatch(/no-reboot, dry-run: "true" — is an input of the main action; audit does not take it/);
  const none = await audit(shared, simulator, { 'ami-id': 'ami-0fedcba9876543210', 'fail-on': 'none' });
  expect(none).toMatchObject({ conclusion: 'failure', findings: [{ kind: 'unknown' }, { kind: 'unknown' }] });
  expect(none.outputs['in-step']).toBe('false');
  expect(none.summary).toContain('❌ Problems were found; nothing could be compared');
  await simulator.close();
});

test.each(sampled(Object.keys(features), { every: 4 }))('nothing after a share: %s', async (name) => {
  const shared = auditable(caseOf(name));
  const simulator = await startSimulator(shared.scenario);
  const { main } = await runJob({ inputs: shared.inputs, env: simulator.env });
  // An instance has an AMI now.
  const named = { 'instance-id': '', 'ami-ssm-parameter': '', 'ami-id': main.outputs['source-ami-id'] ?? '' };
  const none = Object.fromEntries(Object.keys(published).map((input) => [input, '']));
  const inputs = { ...none, ...shared.inputs, ...named, ...auditRoles };
  expect(await audit(shared, simulator, inputs)).toMatchObject({
    conclusion: 'success',
    findings: [],
  });
  await simulator.close();
});

describe('the policies for an audit', () => {
  const files = ['source-audit', 'target-audit'] as const;

  test('allow reading alone', () => {
    for (const { Effect, Action } of files.flatMap(statementsIn)) {
      expect(Effect).toBe('Allow');
      for (const action of [Action].flat())
        expect(action).toMatch(/^(ec2:(Describe|Get)|kms:(Describe|List)|ssm:Get)[A-Z]\w+$/);
    }
  });

  const options = {
    policies: [...publishing, 'source-route-copy', 'target-route-copy'],
    ...{ regions: [sourceRegion, targetRegion], target: withTemplate },
  };
  const cases: [string, Case, Record<string, string>][] = [
    ['of a source AMI', mixedVolumes(options), {}],
    ['of a lineage', procedure(options), { 'ami-id': '', route: 'copy' }],
  ];
  /** Of what an encrypted copy was of, AWS is asked where nothing else says what is to be there. */
  const spared = (name: string) =>
    name === 'of a source AMI' ? ['ec2:GetImageAncestry'] : ['ec2:DescribeImageAttribute'];

  test.each(cases)(
    'are enough, and without any action of them something is unknown, and the action is named: %s',
    async (name, given, more) => {
      const shared = auditable(given);
      const simulator = await startSimulator(shared.scenario);
      const inputs = { ...more, 'target-regions': 'all' };
      const asked = { ...shared.inputs, ...published, route: more.route ?? '' };
      const { main } = await runJob({ inputs: asked, env: simulator.env });
      expect(main.conclusion).toBe('success');
      expect(await audit(shared, simulator, inputs)).toMatchObject({ conclusion: 'success', findings: [] });
      const rolesOf = { 'source-audit': sourceAccount, 'target-audit': targetAccount };
      for (const file of files) {
        const role = simulator.world.accounts[rolesOf[file]]?.roles.get('ami-audit');
        if (role === undefined) throw new Error(`no role for ${file}`);
        const policies = role.policies as PolicyDocument[];
        const [policy] = policies;
        const whole = (policy?.Statement ?? []) as Statement[];
        for (const action of whole.flatMap(({ Action }) => Action).filter((one) => !spared(name).includes(one))) {
          const Statement = whole.map((one) => ({
            ...one,
            Action: [one.Action].flat().filter((own) => own !== action),
          }));
          policies.splice(0, 1, {
            ...policy,
            Statement: Statement.filter(({ Action }) => Action.length > 0),
          } as PolicyDocument);
          const { said, conclusion, outputs } = await audit(shared, simulator, inputs);
          expect([action, conclusion, outputs['in-step']]).toEqual([action, 'failure', 'false']);
          expect(said).toContain(action.split(':')[1]);
        }
        policies.splice(0, 1, { ...policy, Statement: whole } as PolicyDocument);
      }
      await simulator.close();
    },
  );
});

test.each(['a source AMI', 'a lineage'])('many targets at 300 ms a call and by the rates of AWS, by %s', async (by) => {
  // By night as many as it is to take in two minutes.
  const accounts = Array.from({ length: process.env.NIGHTLY === 'true' ? 50 : 5 }, (_, index) =>
    String(200_000_000_001 + index),
  );
  const many = ['us-east-1', 'us-east-2', 'us-west-1', 'us-west-2', 'eu-west-1', 'eu-west-2', 'eu-west-3'];
  const more = ['eu-central-1', 'eu-north-1', 'ap-south-1', 'ap-southeast-1', 'ap-southeast-2', 'ap-northeast-1'];
  const others = [
    'ap-northeast-2',
    'ap-northeast-3',
    'ca-central-1',
    'sa-east-1',
    'eu-south-1',
    'af-south-1',
    'me-south-1',
  ];
  const options = {
    targets: accounts,
    regions: [...many, ...more, ...others],
    timings: { latencyMs: 300 },
    rules: { requestRates: 1 },
  };
  const { amiId } = standardCase(options);
  const isByLineage = by === 'a lineage';
  const ours = { 'share-encrypted-ami:source-ami': amiId };
  const ofLineage = isByLineage
    ? { 'share-encrypted-ami:lineage': 'golden', 'share-encrypted-ami:published': '2026-11-01T00:00:00Z' }
    : {};
  const copied = copiedFrom(amiId, isByLineage ? 'golden' : undefined);
  const amis = [
    {
      name: 'golden-image',
      tags: { Name: 'golden', team: 'platform', ...ours, ...ofLineage },
      volumes: [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkTarget', tags: ours, copied }],
    },
  ];
  const shared = auditable(standardCase({ ...options, target: { amis } }));
  const simulator = await startSimulator(shared.scenario);
  const plain = Object.fromEntries(Object.keys(published).map((name) => [name, '']));
  const { findings, seconds, summary } = await audit(shared, simulator, {
    ...plain,
    ...(isByLineage && { 'ami-id': '', lineage: 'golden' }),
  });
  expect(findings).toEqual([]);
  // Narrow enough that twenty stand side by side.
  expect(summary).toContain('| account | af<br>s<br>1 | ap<br>ne<br>1 |');
  expect(summary).toContain(`✅ ${accounts.length * 20} of ${accounts.length * 20} targets in step`);
  expect(seconds).toBeLessThan(120);
  await simulator.close();
});
