import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { procedure } from '../simulator/scenarios/standard.ts';
import type { TargetRecord } from '../src/report/outputs.ts';
import type { PlanRecord } from '../src/report/plan.ts';
import { milestones } from '../src/report/progress.ts';
import { summaryText } from '../src/report/summary.ts';
import { diagramsOf, faultsOf } from './diagrams.ts';
import { share } from './shared-case.ts';
import { summaryCases, thousandTargets } from './summaries.ts';

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
      '- **200000000000/eu-west-0**: Copying snap-1 to 2/eu-west-1: CopySnapshot: AccessDenied\n  - What to do: allow it\\_\n',
    );
    expect(text).not.toContain('<details>');
    const inputs =
      '2 inputs are not usable; nothing was called yet.\n  route: "x" — expected a\n  retain: "y" — expected b';
    expect(summaryText({ ...thousandTargets(0), targets: [], failures: [inputs] })).toContain(
      '- 2 inputs are not usable; nothing was called yet.\n  - route: "x" — expected a\n  - retain: "y" — expected b\n',
    );
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
