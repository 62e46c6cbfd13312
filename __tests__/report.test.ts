import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import {
  type Case,
  customerKey,
  fanOut,
  mixedVolumes,
  procedure,
  sourceAccount,
  standardCase,
} from '../simulator/scenarios/standard.ts';
import type { Report, TargetRecord } from '../src/report/outputs.ts';
import type { PlanRecord } from '../src/report/plan.ts';
import { milestones } from '../src/report/progress.ts';
import { summaryText } from '../src/report/summary.ts';
import { share } from './shared-case.ts';

const schemaOf = (name: string) =>
  JSON.parse(readFileSync(new URL(`../schemas/${name}.schema.json`, import.meta.url), 'utf8')) as object;
const ajv = new Ajv2020({ allErrors: true });
const checks = { plan: ajv.compile(schemaOf('plan')), targets: ajv.compile(schemaOf('targets')) };

function expectValid(name: keyof typeof checks, text: string | undefined): unknown {
  const value: unknown = JSON.parse(text ?? '');
  checks[name](value);
  expect(checks[name].errors ?? []).toEqual([]);
  return value;
}

/** What mermaid itself has against the diagrams of some Markdown texts. */
function complaints(...texts: string[]): string[] {
  const diagrams = texts.flatMap((text) => [...text.matchAll(/```mermaid\n([\s\S]*?)```/g)].map(([, one = '']) => one));
  expect(diagrams.length).toBeGreaterThan(0);
  const script = new URL('../scripts/parse-mermaid.mjs', import.meta.url).pathname;
  const found = JSON.parse(execFileSync(process.execPath, [script], { input: JSON.stringify(diagrams) }).toString());
  return (found as (string | null)[]).filter((one) => one !== null);
}

describe('the outputs follow the published schemas, and mermaid draws the summary', () => {
  const hubs = ['eu-west-1', 'us-west-2', 'ap-southeast-2'];
  const copying = { policies: ['source-route-copy', 'target-route-copy'] };
  const instance = { id: 'i-0123456789abcdef0', volumes: [{ device: '/dev/xvda' }] };
  const ofInstance = procedure({ policies: ['source-instance'], source: { instances: [instance] } });
  const publishing = { policies: ['target-publish', 'target-ssm-parameter', 'target-retain'] };
  test.each<[string, Case, Record<string, string>]>([
    ['several targets', fanOut(), {}],
    ['a dry run', fanOut(), { 'dry-run': 'true' }],
    ['a dry run by hubs', fanOut({ hubs }), { 'dry-run': 'true', topology: 'regional-hub' }],
    ['route copy', procedure(copying), { route: 'copy' }],
    ['volumes of every kind', mixedVolumes(), {}],
    ['an AMI whose name has every sign', customerKey({ ami: { name: "a(b)[c] d./-'@_e" } }), {}],
    [
      'a target that fails',
      fanOut({ faults: [{ kind: 'copy-fails', region: 'us-west-2', action: 'CopySnapshot' }] }),
      {},
    ],
    ['problems', fanOut(), { 'target-kms-key': 'alias/{region}' }],
    [
      'publishing',
      procedure(publishing),
      { 'ssm-parameter': '/golden/latest', retain: '2', 'deprecate-after': '9d', 'fast-snapshot-restore': 'all' },
    ],
    ['a dry run of an instance', ofInstance, { 'dry-run': 'true', 'ami-id': '', 'instance-id': instance.id }],
    ['the source account itself', standardCase({ targets: [sourceAccount] }), {}],
  ])('%s', async (name, shared, inputs) => {
    const { main } = await share(shared, inputs);
    const { outputs, summary } = main;
    expectValid('plan', outputs.plan);
    const targets = expectValid('targets', outputs.targets) as TargetRecord[];
    expect(expectValid('targets', outputs['failed-targets'])).toEqual(
      targets.filter(({ status }) => status === 'failed'),
    );
    if (name !== 'problems') expect(complaints(summary)).toEqual([]);
  });

  test('a run that could not read its inputs', async () => {
    const shared = procedure();
    const { main } = await share(shared, { 'target-regions': 'nowhere' });
    expect(main.outputs.plan).toBe('');
    expect(expectValid('targets', main.outputs.targets)).toEqual([]);
  });

  test('a schema would find a field that is new, gone, or of another kind', async () => {
    const { main } = await share(procedure(), { 'dry-run': 'true' });
    const plan = JSON.parse(main.outputs.plan ?? '') as PlanRecord;
    const { topology, ...without } = plan;
    expect(topology).toBe('direct');
    for (const wrong of [{ ...plan, more: 1 }, without, { ...plan, estimate: { ...plan.estimate, copies: '2' } }])
      expect(checks.plan(wrong)).toBe(false);
    const [record] = JSON.parse(main.outputs.targets ?? '') as TargetRecord[];
    expect(checks.targets([{ ...record, status: 'done' }])).toBe(false);
  });
});

describe('the summary of a thousand targets', () => {
  const places = Array.from({ length: 1000 }, (_, index) => ({
    account: String(200_000_000_000 + Math.floor(index / 50)),
    region: `eu-west-${index % 50}`,
  }));
  const record = (index: number, failed: boolean): TargetRecord => ({
    ...(places[index] ?? { account: '', region: '' }),
    amiId: failed ? null : `ami-${String(index).padStart(17, '0')}`,
    amiName: 'golden-image-2026-11-23T02-30-00Z-of-a-rather-long-name-that-people-really-use',
    snapshotIds: [],
    kmsKeyArn: `arn:aws:kms:eu-west-1:200000000000:key/12345678-1234-1234-1234-${String(index).padStart(12, '0')}`,
    status: failed ? 'failed' : 'created',
    seconds: 3600 + index,
    ...(failed && { error: `Copying snap-1 to ${index}: ${'Given key ID is not accessible. '.repeat(40)}` }),
  });
  const report = (failing: number): Report => ({
    sourceAmiId: 'ami-00000001',
    plan: undefined,
    targets: places.map((_, index) => record(index, index < failing)),
    failures: [],
    cleanUp: { done: ['revoked 20 grants'], failed: [] },
    timeline: places.flatMap(({ account, region }, index) => [
      { place: `${account}/${region}`, step: 'copy', from: 1000, to: 3_600_000 + index * 1000 },
      { place: `${account}/${region}`, step: 'register', from: 3_600_000 + index * 1000, to: 3_601_000 + index * 1000 },
    ]),
    seconds: 4700,
  });

  test.each([0, 3, 1000])('with %d that fail, it is one that GitHub shows', (failing) => {
    const text = summaryText(report(failing));
    expect(Buffer.byteLength(text)).toBeLessThan(1024 * 1024);
    expect(text).toMatch(failing === 0 ? /^## ✅ All 1000 AMIs are ready/ : new RegExp(`^## ❌ ${failing} of 1000`));
    expect(text).toContain('revoked 20 grants');
    // Failures come first, also in the table.
    const rows = text.split('\n').filter((line) => /^\| \d{12} \|/.test(line));
    expect(rows.slice(0, failing).every((row) => row.includes('❌'))).toBe(true);
    if (failing < 1000) expect(rows).toHaveLength(1000);
    expect(complaints(text)).toEqual([]);
    // Twenty rows are in sight; what comes below the table isn't folded with the others.
    const [above = '', folded = '', below = ''] = text.split(/<details>|<\/details>/);
    expect(above.match(/^\| \d{12} \|/gm)).toHaveLength(20);
    expect(folded).toContain('The other 980 targets');
    expect(below).toContain('### How it went');
    expect(below).toContain('revoked 20 grants');
  });

  test('a failure has what to do on a line of its own, and the others are counted', () => {
    const error = 'Copying snap-1 to 2/eu-west-1: CopySnapshot: AccessDenied. What to do: allow it_';
    const targets = report(1).targets.slice(0, 3);
    const text = summaryText({
      ...report(1),
      targets: targets.map((one, index) => (index > 0 ? one : { ...one, error })),
    });
    expect(text).toContain('## ❌ 1 of 3 targets failed; 2 AMIs are ready');
    expect(text).toContain(
      '- **200000000000/eu-west-0**: Copying snap-1 to 2/eu-west-1: CopySnapshot: AccessDenied\n  - What to do: allow it\\_\n',
    );
    expect(text).not.toContain('<details>');
    const inputs =
      '2 inputs are not usable; nothing was called yet.\n  route: "x" — expected a\n  retain: "y" — expected b';
    expect(summaryText({ ...report(0), targets: [], failures: [inputs] })).toContain(
      '- 2 inputs are not usable; nothing was called yet.\n  - route: "x" — expected a\n  - retain: "y" — expected b\n',
    );
  });

  test('a row names its key by the first digits, and links to it', () => {
    const [target] = report(0).targets;
    const keyed = (kmsKeyArn: string): string =>
      summaryText({ ...report(0), targets: target ? [{ ...target, kmsKeyArn }] : [] });
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
    const look = milestones(
      100,
      10,
      (progress) => told.push(`${clock / 1000}: ${progress}`),
      () => clock,
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
    const look = milestones(
      10,
      10,
      (progress) => told.push(progress),
      () => clock,
    );
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
