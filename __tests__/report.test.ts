import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { type AmiScenario, amiIdOf } from '../simulator/scenario.ts';
import { fanOut, procedure, targetAccount, targetRegion } from '../simulator/scenarios/standard.ts';
import { nodeHost } from '../src/node-host.ts';
import { kinds } from '../src/operations/kinds.ts';
import { auditOutputs } from '../src/report/audit.ts';
import { outputsOf, type TargetRecord } from '../src/report/outputs.ts';
import type { PlanRecord } from '../src/report/plan.ts';
import { milestones } from '../src/report/progress.ts';
import { recallOutputs } from '../src/report/recall.ts';
import { summaryText } from '../src/report/summary.ts';
import { diagramsOf, faultsOf } from './diagrams.ts';
import { copiedFrom, expectTargets, share, shareBuilt } from './shared-case.ts';
import { summaryCases, thousandTargets } from './summaries.ts';

const schemaOf = (name: string) =>
  JSON.parse(readFileSync(new URL(`../schemas/${name}.schema.json`, import.meta.url), 'utf8')) as object;
const ajv = new Ajv2020({ allErrors: true });
const checks = {
  plan: ajv.compile(schemaOf('plan')),
  targets: ajv.compile(schemaOf('targets')),
  'plan-totals': ajv.compile(schemaOf('plan-totals')),
};

function expectValid(name: keyof typeof checks, text: string | undefined): unknown {
  const value: unknown = JSON.parse(text ?? '');
  checks[name](value);
  expect(checks[name].errors ?? []).toEqual([]);
  return value;
}

/** What of the diagrams of a Markdown text is not as it should be. */
function diagramFaults(text: string): string[] {
  const diagrams = diagramsOf(text);
  expect(diagrams.length).toBeGreaterThan(0);
  return diagrams.flatMap(faultsOf);
}

describe('the outputs follow the published schemas, and the summary has diagrams that mermaid takes', () => {
  test.each(summaryCases)('%s', async (name, shared, inputs) => {
    const { main } = await share(shared, inputs);
    const { outputs, summary } = main;
    expectValid('plan', outputs.plan);
    const targets = expectValid('targets', outputs.targets) as TargetRecord[];
    expect(expectValid('targets', outputs['failed-targets'])).toEqual(
      targets.filter(({ status }) => status === 'failed'),
    );
    if (name !== 'problems') expect(diagramFaults(summary)).toEqual([]);
    expect(outputs.truncated).toBe('false');
    for (const output of ['plan', 'targets'])
      expect(main.temp[basename(outputs[`${output}-file`] ?? '')]).toBe(`${outputs[output]}\n`);
  });

  test('a run that could not read its inputs', async () => {
    const shared = procedure();
    const { main } = await share(shared, { 'target-regions': 'nowhere' });
    expect(main.outputs).toMatchObject({ plan: '', 'plan-file': '', truncated: 'false' });
    expect(expectValid('targets', main.outputs.targets)).toEqual([]);
  });

  test('the plan tells every kind of operation, and its schemas know them all', () => {
    type Enum = { enum: string[] };
    const plan = schemaOf('plan') as { properties: { operations: { items: { properties: { kind: Enum } } } } };
    const totals = schemaOf('plan-totals') as { properties: { operations: { propertyNames: Enum } } };
    expect(plan.properties.operations.items.properties.kind.enum.toSorted()).toEqual(Object.keys(kinds).toSorted());
    expect(totals.properties.operations.propertyNames.enum).toEqual(
      plan.properties.operations.items.properties.kind.enum,
    );
  });

  test.each<[string, Record<string, string>, string[]]>([
    ['a dry run', { 'dry-run': 'true' }, ['planned']],
    ['a run', {}, ['done', 'not needed']],
  ])('what became of each operation is told: %s', async (_, inputs, outcomes) => {
    const { main } = await share(fanOut(), inputs);
    const { operations } = expectValid('plan', main.outputs.plan) as PlanRecord;
    expect(operations.length).toBeGreaterThan(0);
    expect(operations.filter(({ outcome }) => !outcomes.includes(outcome))).toEqual([]);
  });

  test('where problems were found, the plan is what would have been done', async () => {
    const { main } = await share(procedure(), { 'on-existing': 'fail', 'target-ami-name': `{name}${'x'.repeat(120)}` });
    const { operations, problems } = expectValid('plan', main.outputs.plan) as PlanRecord;
    expect([problems.length, new Set(operations.map(({ outcome }) => outcome))]).toEqual([1, new Set(['planned'])]);
  });

  describe('an AMI that is there', () => {
    const { amiId } = procedure();
    const tags = { 'share-encrypted-ami:source-ami': amiId };
    const mark = 'share-encrypted-ami:';
    const older = 'ami-0ffffffffffffffff';
    const volumesOf = (source: string, lineage?: string) => [
      { device: '/dev/xvda', sizeGiB: 8, key: 'cmkTarget', tags, copied: copiedFrom(source, lineage) },
    ];
    const volumes = volumesOf(amiId);
    const planned = async (amis: readonly AmiScenario[], inputs: Record<string, string> = {}) => {
      const shared = procedure({ policies: ['target-retain'], target: { amis } });
      const { main } = await share(shared, { ...inputs, 'dry-run': 'true' });
      const { targets, operations } = expectValid('plan', main.outputs.plan) as PlanRecord;
      return { target: targets[0], operations, error: main.annotations.map(({ message }) => message).join() };
    };
    const named = (name: string, attributes: AmiScenario['attributes'] = {}): AmiScenario => ({
      ...{ name, volumes, tags, attributes },
    });

    test('and is used again, or is being made and waited for, is told by its ID', async () => {
      const id = amiIdOf(targetAccount, targetRegion, 'golden-image');
      for (const [state, action, kinds] of [
        ['available', 'reuse', ['reuse']],
        ['pending', 'await', ['await', 'reuse']],
      ] as const) {
        const { target, operations, error } = await planned([named('golden-image', { State: state })]);
        expect([error, target]).toEqual(['', expect.objectContaining({ action, reuses: id, amiName: 'golden-image' })]);
        const inTarget = operations.filter(({ kind }) => kind !== 'lease');
        expect(inTarget.map(({ kind, of }) => [kind, of])).toEqual(kinds.map((kind) => [kind, [id]]));
      }
    });

    test('and is to be replaced, goes by operations of the plan', async () => {
      const inputs = { 'on-existing': 'replace' };
      const { target, operations } = await planned([named('golden-image'), named('golden-old')], inputs);
      const [stale, old] = ['golden-image', 'golden-old'].map((name) => amiIdOf(targetAccount, targetRegion, name));
      expect(target?.replaces.toSorted()).toEqual([stale, old].toSorted());
      const gone = operations.filter(({ kind }) => kind === 'deregister' || kind === 'delete');
      expect(gone.flatMap(({ of }) => of.filter((one) => one.startsWith('ami-'))).toSorted()).toEqual(
        [stale, old].toSorted(),
      );
    });

    test('and that retain leaves no room for, is told: it goes, or why it stays', async () => {
      const attributes = { DeregistrationProtection: 'enabled-without-cooldown' };
      const amis = [named('golden-1'), named('golden-2', attributes)].map((ami) => ({
        ...{ ...ami, tags: { [`${mark}source-ami`]: older, [`${mark}lineage`]: 'golden' } },
        volumes: volumesOf(older, 'golden'),
      }));
      const { target, operations } = await planned(amis, {
        retain: '1',
        lineage: 'golden',
        'target-ami-name': 'golden-3',
      });
      const [first, second] = ['golden-1', 'golden-2'].map((name) => amiIdOf(targetAccount, targetRegion, name));
      expect(target).toMatchObject({
        removes: [first],
        keeps: [{ amiId: second, amiName: 'golden-2', why: expect.stringMatching(/^it is protected from/) }],
      });
      expect(operations.filter(({ kind }) => kind === 'deregister').map(({ of }) => of[0])).toEqual([first]);
    });
  });

  test('a schema would find a field that is new, gone, or of another kind', async () => {
    const { main } = await share(procedure(), { 'dry-run': 'true' });
    const plan = JSON.parse(main.outputs.plan ?? '') as PlanRecord;
    const { topology, ...without } = plan;
    expect(topology).toBe('direct');
    const [first] = plan.operations;
    for (const wrong of [
      { ...plan, more: 1 },
      without,
      { ...plan, estimate: { ...plan.estimate, copies: '2' } },
      { ...plan, version: 1 },
      { ...plan, operations: [{ ...first, outcome: 'skipped' }] },
      { ...plan, operations: [{ ...first, kind: 'promote' }] },
      { ...plan, targets: [{ ...plan.targets[0], action: 'adopt' }] },
    ])
      expect(checks.plan(wrong)).toBe(false);
    const [record] = JSON.parse(main.outputs.targets ?? '') as TargetRecord[];
    expect(checks.targets([{ ...record, status: 'done' }])).toBe(false);
  });
});

describe('outputs that are too long', () => {
  const bytesOf = (outputs: Record<string, string>) =>
    Object.values(outputs).reduce((sum, value) => sum + Buffer.byteLength(value), 0);
  const files = { 'plan-file': '/temp/plan.json', 'targets-file': '/temp/targets.json' };
  const record = (index: number, failing: boolean, error: string): TargetRecord => ({
    account: String(100_000_000_000 + index),
    region: 'ap-southeast-2',
    amiId: failing ? null : `ami-${String(index).padStart(17, '0')}`,
    amiName: 'golden-image-2026-11-23T02-30-00Z',
    snapshotIds: ['snap-0123456789abcdef0'],
    kmsKeyArn: `arn:aws:kms:ap-southeast-2:${100_000_000_000 + index}:key/12345678-1234-1234-1234-123456789012`,
    status: failing ? 'failed' : 'created',
    seconds: 240,
    ...(failing && { error }),
  });
  const outputsFor = (count: number, failing = 0, error = 'denied') => {
    const targets = Array.from({ length: count }, (_, index) => record(index, index < failing, error));
    const whole = {
      plan: { text: '', path: files['plan-file'] },
      targets: { text: JSON.stringify(targets), path: files['targets-file'] },
    };
    return { targets, outputs: outputsOf({ sourceAmiId: 'ami-00000001', plan: undefined, targets }, whole) };
  };

  test('are cut until they fit, and stay of their kind', () => {
    fc.assert(
      fc.property(fc.nat(6000), fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(3000), (count, share, length) => {
        const { targets, outputs } = outputsFor(count, Math.round(count * share), 'é'.repeat(length));
        expect(bytesOf(outputs)).toBeLessThanOrEqual(100_000);
        const isWhole = outputs.targets === JSON.stringify(targets);
        expect(outputs.truncated).toBe(String(!isWhole));
        for (const name of ['targets', 'failed-targets'] as const) expectValid('targets', outputs[name]);
        for (const name of ['ami-ids', 'ami-ids-by-region'] as const)
          expect(JSON.parse(outputs[name] ?? '')).toEqual(expect.objectContaining({}));
        expect(outputs).toMatchObject(files);
      }),
      { numRuns: process.env.NIGHTLY === 'true' ? 60 : 20 },
    );
  });

  test('lose details first, then records, those that failed and the AMI IDs last', () => {
    const parsed = (outputs: Record<string, string>, name: string) => JSON.parse(outputs[name] ?? '') as TargetRecord[];
    const some = outputsFor(240, 10, `Copying. ${'x'.repeat(1000)}`).outputs;
    expect(some.truncated).toBe('true');
    expect(parsed(some, 'targets')).toHaveLength(240);
    expect(parsed(some, 'targets').some((one) => 'snapshotIds' in one)).toBe(false);
    expect(parsed(some, 'failed-targets')[0]?.error).toMatch(/^Copying\. x{191}…$/);
    const many = outputsFor(1000, 20).outputs;
    expect(parsed(many, 'targets')).toEqual([]);
    expect(parsed(many, 'failed-targets')).toHaveLength(20);
    expect(Object.keys(parsed(many, 'ami-ids'))).toHaveLength(980);
    const most = outputsFor(5000).outputs;
    expect(most).toMatchObject({ targets: '[]', 'ami-ids': '{}', 'ami-ids-by-region': '{}', truncated: 'true' });
  });

  test('of an audit and of a recall say nothing is there only where nothing is', () => {
    const targets = outputsFor(3000).targets.map(({ account, region }) => ({
      ...{ account, region, roleArn: undefined, kmsKey: 'alias/golden', amiName: '{name}', tags: {}, optional: false },
      ...{ own: { account, region, 'kms-key': `alias/${account}` }, everyRegion: undefined },
    }));
    const why = 'there is no AMI of ami-0123456789abcdef0';
    const findings = targets.map(({ account, region }) => ({ kind: 'missing' as const, account, region, why }));
    const audited = auditOutputs(
      { targets, findings, source: undefined, seconds: 60, problems: [], stopped: [] },
      '/temp/findings.json',
    );
    const inUse = targets.map(({ account, region }) => ({
      ...{ account, region, amiId: 'ami-0123456789abcdef0', by: 'i-0123456789abcdef0' },
      command: 'aws ec2 terminate-instances --instance-ids i-0123456789abcdef0',
    }));
    const records = targets.map(({ account, region }) => ({
      ...{ account, region, amiId: 'ami-0123456789abcdef0', sourceAmi: 'ami-00000001', status: 'disabled' as const },
    }));
    const nothing = { done: [], left: [], failed: [], seconds: 60, reason: 'CVE', restore: false, problems: [] };
    const recalled = recallOutputs({ ...nothing, targets: records, inUse }, { inUse: '', targets: '' });
    for (const outputs of [audited, recalled]) {
      expect(bytesOf(outputs)).toBeLessThanOrEqual(100_000);
      expect(outputs.truncated).toBe('true');
    }
    const lengths = [audited.findings, audited['missing-targets'], recalled['in-use'], recalled.targets].map(
      (text) => (JSON.parse(text ?? '') as unknown[]).length,
    );
    // What is acted on last loses its end.
    expect(lengths).toEqual([1, expect.any(Number), expect.any(Number), 1]);
    for (const length of lengths) expect(length).toBeGreaterThan(0);
    expect(Math.min(lengths[1] ?? 0, lengths[2] ?? 0)).toBeGreaterThan(700);
    expect(JSON.parse(audited['missing-targets'] ?? '')[0]).toEqual(targets[0]?.own);
  });

  test('have the plan as totals; the files in RUNNER_TEMP have all', async () => {
    const accounts = Array.from({ length: 40 }, (_, index) => String(200_000_000_000 + index));
    const { main, targets } = await share(fanOut({ targets: accounts }), { 'dry-run': 'true' });
    const { outputs, temp } = main;
    expect(outputs.truncated).toBe('true');
    expect(bytesOf(outputs)).toBeLessThanOrEqual(100_000);
    const plan = expectValid('plan', temp[basename(outputs['plan-file'] ?? '')]) as PlanRecord;
    const totals = expectValid('plan-totals', outputs.plan);
    expect(totals).toMatchObject({ totals: true, targets: { create: 120 }, operations: { copy: 120 }, problems: 0 });
    expect(totals).toMatchObject({ estimate: plan.estimate, source: { amiName: 'golden-image' } });
    expect(plan.targets).toHaveLength(120);
    const records = expectValid('targets', temp[basename(outputs['targets-file'] ?? '')]) as TargetRecord[];
    expect(records.map(({ amiName }) => amiName)).toEqual(targets.map(({ amiName }) => amiName));
    // Neither is taken for the other.
    expect(checks.plan(totals)).toBe(false);
    expect(checks['plan-totals'](plan)).toBe(false);
  });
});

describe('a part of the report that cannot be written is a warning, and the rest is as it was', () => {
  const lost = ['RUNNER_TEMP', 'GITHUB_OUTPUT', 'GITHUB_STEP_SUMMARY'] as const;
  const says = {
    RUNNER_TEMP: /the file for targets-file \(.*targets\.json\) could not be written: ENOENT/,
    GITHUB_OUTPUT: /the outputs \(.*\) could not be written: /,
    GITHUB_STEP_SUMMARY: /the job summary \(.*\) could not be written: /,
  };

  test.each(lost)('%s', async (variable) => {
    const shared = procedure();
    const { main, simulator } = await share(shared, {}, { lost: [variable] });
    expect(main.conclusion).toBe('success');
    expect(new Set(main.annotations.map(({ level }) => level))).toEqual(new Set(['warning']));
    expect(main.annotations.map(({ message }) => message).join('\n')).toMatch(says[variable]);
    expect(main.outputs.truncated).toBe(variable === 'GITHUB_OUTPUT' ? undefined : 'false');
    expect(main.outputs['targets-file'] === '').toBe(variable === 'RUNNER_TEMP');
    expect(main.summary === '').toBe(variable === 'GITHUB_STEP_SUMMARY');
    if (variable !== 'GITHUB_OUTPUT')
      expectTargets({ simulator, targets: JSON.parse(main.outputs.targets ?? '') }, shared.amiId);
  });

  test('all of them, built; the warnings have the paths', async () => {
    const { main } = await shareBuilt(procedure(), {}, { lost });
    expect(main.conclusion).toBe('success');
    const told = main.annotations.map(({ message }) => message).join('\n');
    for (const variable of lost) expect(told).toMatch(says[variable]);
    for (const variable of lost) expect(told).toContain(`/lost/${variable}`);
  });
});

test('a file is written whole, for its user alone', () => {
  const folder = mkdtempSync(join(tmpdir(), 'files-'));
  const { files } = nodeHost();
  const path = join(folder, 'one.json');
  for (const text of ['1', '{"é": 2}']) {
    files.write(path, text);
    expect(files.read(path)).toBe(text);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  }
  expect(readdirSync(folder)).toEqual(['one.json']);
  expect(() => files.write(join(folder, 'none', 'two.json'), '')).toThrow('ENOENT');
  rmSync(folder, { recursive: true });
});

describe('a diagram that mermaid would not take is found', () => {
  const settings = '%%{init: {}}%%';
  const flow = (label: string, from = 'source') =>
    `${settings}\nflowchart LR\n  source["an AMI"]\n  ${from} -->|share, copy| target0["${label}"]\n`;

  test('by a sign in a label', () => {
    expect(faultsOf(flow("a b c d./-'@_e<br/>999999999999/eu-west-1"))).toEqual([]);
    for (const sign of '"#;<>{}[]()|`:\\') expect(faultsOf(flow(`a${sign}b`))).toHaveLength(1);
    const bar = (title: string) => `${settings}\ngantt\n  section ${title}\n  copy :0, 10\n`;
    expect(faultsOf(bar('999999999999/eu-west-1'))).toEqual([]);
    for (const sign of '"#;:') expect(faultsOf(bar(`a${sign}b`))).toHaveLength(1);
  });

  test('by what it comes from, what it is, and its size', () => {
    expect(faultsOf(flow('a', 'copy_eu_west_1'))).toHaveLength(1);
    expect(faultsOf('flowchart LR\n')).not.toEqual([]);
    expect(faultsOf(`${settings}\npie\n`)).toEqual(['pie']);
    expect(faultsOf(flow('a'.repeat(50_000)))).toEqual([expect.stringMatching(/^\d+ characters$/)]);
    const edge = '  source -->|copy| target0["a"]\n';
    expect(faultsOf(`${flow('a')}${edge.repeat(500)}`)).toEqual(['501 edges']);
  });
});

describe('the summary of a thousand targets', () => {
  test.each([0, 3, 1000])('with %d that fail, it is one that GitHub shows', (failing) => {
    const text = summaryText(thousandTargets(failing));
    expect(Buffer.byteLength(text)).toBeLessThan(1024 * 1024);
    expect(text).toMatch(failing === 0 ? /^## ✅ All 1000 AMIs are ready/ : new RegExp(`^## ❌ ${failing} of 1000`));
    expect(text).toContain('revoked 20 grants');
    // Failures come first, also in the table.
    const rows = text.split('\n').filter((line) => /^\| \d{12} \|/.test(line));
    expect(rows.slice(0, failing).every((row) => row.includes('❌'))).toBe(true);
    if (failing < 1000) expect(rows).toHaveLength(1000);
    expect(diagramFaults(text)).toEqual([]);
    // Twenty rows are in sight; what comes below the table isn't folded with the others.
    const [above = '', folded = '', below = ''] = text.split(/<details>|<\/details>/);
    expect(above.match(/^\| \d{12} \|/gm)).toHaveLength(20);
    expect(folded).toContain('The other 980 targets');
    expect(below).toContain('### How it went');
    expect(below).toContain('revoked 20 grants');
  });

  test('a failure has what to do on a line of its own, and the others are counted', () => {
    const error = 'Copying snap-1 to 2/eu-west-1: CopySnapshot: AccessDenied. What to do: allow it_';
    const targets = thousandTargets(1).targets.slice(0, 3);
    const text = summaryText({
      ...thousandTargets(1),
      targets: targets.map((one, index) => (index > 0 ? one : { ...one, error })),
    });
    expect(text).toContain('## ❌ 1 of 3 targets failed; 2 AMIs are ready');
    expect(text).toContain(
      '- **`200000000000/eu-west-0`**: Copying `snap-1` to `2/eu-west-1`: CopySnapshot: AccessDenied\n  - What to do: allow `it_`\n',
    );
    expect(text).not.toContain('<details>');
  });

  test('a row names its key by the first digits, and links to it', () => {
    const [target] = thousandTargets(0).targets;
    const keyed = (kmsKeyArn: string): string =>
      summaryText({ ...thousandTargets(0), targets: target ? [{ ...target, kmsKeyArn }] : [] });
    expect(keyed('arn:aws:kms:eu-west-0:2:key/1234abcd-12ab-34cd-56ef-1234567890ab')).toContain(
      '| [`1234abcd…`](https://eu-west-0.console.aws.amazon.com/kms/home?region=eu-west-0#/kms/keys/1234abcd-12ab-34cd-56ef-1234567890ab) |',
    );
    expect(keyed('arn:aws:kms:eu-west-0:2:key/mrk-1234abcd12ab34cd56ef1234567890ab')).toContain('| [`mrk-1234abcd…`](');
  });
});

describe('progress', () => {
  test('is told by steps, with GiB, rate and time left, and every two minutes in any case', () => {
    let clock = 0;
    const told: string[] = [];
    const look = milestones({ totalGiB: 100, stepPercent: 10, now: () => clock }, (progress) =>
      told.push(`${clock / 1000}: ${progress}`),
    );
    for (const [seconds, percent] of [
      [1, 0],
      [50, 5],
      [101, 10],
      [102, 11],
      [201, 20],
      [310, 21],
      [330, 22],
      [999, 100],
    ] as const) {
      clock = seconds * 1000;
      look(percent);
    }
    expect(told).toEqual([
      '101: 10 % of 100 GiB, 102 MiB/s, 15 m 0 s left',
      '201: 20 % of 100 GiB, 102 MiB/s, 13 m 20 s left',
      '330: 22 % of 100 GiB, 68 MiB/s, 19 m 26 s left',
    ]);
  });

  test('of a copy that was taken over, the rate counts from the first look', () => {
    let clock = 0;
    const told: string[] = [];
    const look = milestones({ totalGiB: 10, stepPercent: 10, now: () => clock }, (progress) => told.push(progress));
    for (const [seconds, percent] of [
      [1, 60],
      [11, 70],
    ] as const) {
      clock = seconds * 1000;
      look(percent);
    }
    expect(told).toEqual(['60 % of 10 GiB', '70 % of 10 GiB, 102 MiB/s, 30 s left']);
  });
});
