import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as yaml from 'yaml';
import { merge, outputsOf, type Results, readResults, summaryOf, type TargetRecord } from '../fan-out/collect.mjs';
import { InputError, maxJobs, maxPerJob, readTargets, shardTargets, type Target } from '../fan-out/shard.mjs';
import { runJob } from '../simulator/runner.ts';
import { fanOut, sourceAccount } from '../simulator/scenarios/standard.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { readInputs } from '../src/inputs.ts';
import { evaluated } from './expressions.ts';

const root = join(import.meta.dirname, '..');
const accountIds = (count: number) => Array.from({ length: count }, (_, index) => String(100_000_000_000 + index));
const regionNames = ['eu-west-1', 'eu-central-1', 'us-east-1', 'us-west-2', 'ap-southeast-2'];
const grid = (accounts: number, regions: number) =>
  readTargets({ accounts: accountIds(accounts).join('\n'), regions: regionNames.slice(0, regions).join(',') });
const place = ({ account, region }: { account: string; region: string }) => `${account}/${region}`;

const created = ({ account, region }: Target): TargetRecord => ({
  account,
  region,
  amiId: `ami-${account}${region}`,
  amiName: 'golden-1',
  snapshotIds: ['snap-0123456789abcdef0'],
  kmsKeyArn: `arn:aws:kms:${region}:${account}:key/00000000-0000-0000-0000-000000000000`,
  status: 'created',
  seconds: 90,
});
const failed = (target: Target, error: string): TargetRecord => ({
  ...created(target),
  amiId: null,
  status: 'failed',
  error,
});

describe('reading targets', () => {
  test('every account × every region, then what targets adds or overrides', () => {
    const targets = readTargets({
      accounts: '111111111111, 222222222222\n111111111111',
      regions: '["eu-west-1", "us-east-1"]',
      targets: JSON.stringify([
        { account: '222222222222', region: 'us-east-1', 'kms-key': 'alias/other', tags: { team: 'a' } },
        { account: 333333333333, region: 'eu-west-1' },
      ]),
    });
    expect(targets).toEqual([
      { account: '111111111111', region: 'eu-west-1' },
      { account: '111111111111', region: 'us-east-1' },
      { account: '222222222222', region: 'eu-west-1' },
      { account: '222222222222', region: 'us-east-1', 'kms-key': 'alias/other', tags: { team: 'a' } },
      { account: '333333333333', region: 'eu-west-1' },
    ]);
  });

  test.each([
    ['nothing at all', {}, 'there are no targets'],
    ['an empty list', { targets: '[]' }, 'there are no targets'],
    ['accounts without regions', { accounts: '111111111111' }, 'need each other'],
    [
      'numbers',
      { accounts: '[111111111111]', regions: 'eu-west-1' },
      'target-accounts: expected a JSON array of texts',
    ],
    ['bad JSON', { targets: '[{' }, 'is not JSON'],
    ['YAML that is not JSON', { targets: '- account: "111111111111"' }, 'is not JSON'],
    ['no array', { targets: '{"account":"111111111111"}' }, 'expected a JSON array'],
    ['an entry that is none', { targets: '["111111111111"]' }, 'targets[0]: expected {account'],
    ['null', { targets: '[null]' }, 'targets[0]: expected {account'],
    ['a field that is not known', { targets: '[{"acount":"1"}]' }, 'acount is not known here'],
    ['an entry without a region', { targets: '[{"account":"111111111111"}]' }, '"": expected the name of a region'],
    ['all regions', { accounts: '111111111111', regions: 'all' }, 'target-regions: all is not taken here'],
    [
      'a place that is none',
      { accounts: '111111111111', regions: 'eu-west-1', optional: '1/eu-west-1' },
      'optional-targets: "1/eu-west-1": expected account/region',
    ],
    [
      'no target at all',
      { accounts: '111111111111', regions: 'eu-west-1', excluded: '*/eu-west-1' },
      'exclude-targets: leaves no target',
    ],
    ['a short account', { accounts: '1234', regions: 'eu-west-1' }, '"1234": expected a 12-digit account ID'],
    ['no region', { accounts: '111111111111', regions: 'ireland' }, '"ireland": expected the name of a region'],
    [
      'a target named twice',
      {
        targets:
          '[{"account":"111111111111","region":"eu-west-1"},{"account":"111111111111","region":"eu-west-1","kms-key":"alias/a"}]',
      },
      '111111111111/eu-west-1 is named twice',
    ],
  ])('refuses %s', (_, inputs, message) => {
    expect(() => readTargets(inputs)).toThrow(InputError);
    expect(() => readTargets(inputs)).toThrow(message);
  });

  test('tells all that is wrong at once', () => {
    expect(() => readTargets({ accounts: '1,2', regions: 'here' })).toThrow(/"1".*\n"2".*\n"here"/);
  });
});

describe('sharding', () => {
  const shards = (targets: Target[], perJob = 50) => {
    const all = shardTargets(targets, perJob);
    expect(all.length).toBeLessThanOrEqual(maxJobs);
    expect(all.flat().map(place).sort()).toEqual(targets.map(place).sort());
    expect(all.every((shard) => shard.length > 0 && shard.length <= maxPerJob)).toBe(true);
    return all;
  };
  const jobsOf = (all: Target[][], account: string) =>
    all.filter((shard) => shard.some((target) => target.account === account)).length;

  test('few targets are one job', () => {
    expect(shards(grid(1, 1))).toHaveLength(1);
    expect(shards(grid(10, 5))).toHaveLength(1);
    expect(shards(grid(51, 1))).toHaveLength(2);
  });

  test.each([
    [1000, 200, 5, 20],
    [5000, 1000, 5, 100],
    [5000, 5000, 1, 100],
    [12_800, 2560, 5, 256],
  ])('%d targets: %d accounts × %d regions make %d jobs', (count, accounts, regions, jobs) => {
    const targets = grid(accounts, regions);
    expect(targets).toHaveLength(count);
    const all = shards(targets);
    expect(all).toHaveLength(jobs);
    expect(accountIds(accounts).every((account) => jobsOf(all, account) === 1)).toBe(true);
  });

  test('jobs grow where there would be more than 256', () => {
    expect(shards(grid(5000, 5)).length).toBeGreaterThan(200);
    expect(shards(grid(1000, 1), 1).length).toBeGreaterThan(200);
    // Accounts whose size fits badly are parted rather than refused.
    expect(shards(grid(10_240, 5), 200)).toHaveLength(256);
  });

  test('refuses more than 256 full jobs hold', () => {
    const most = grid(10_240, 5);
    expect(() => shardTargets([...most, ...most.slice(0, 1)], 50)).toThrow('call the workflow several times');
    const inputs = { accounts: accountIds(40_000).join(), regions: accountIds(25_000).join() };
    expect(() => readTargets(inputs)).toThrow(/^1000000000 pairs .* call the workflow several times$/);
  });

  test('an account is parted only when no job could hold it', () => {
    const names = Array.from({ length: 30 }, (_, index) => `eu-west-${index + 1}`);
    const targets = readTargets({ accounts: accountIds(4).join(), regions: names.join() });
    expect(shards(targets, 50).map((shard) => shard.length)).toEqual([30, 30, 30, 30]);
    expect(shards(targets, 20).map((shard) => shard.length)).toEqual([20, 10, 20, 10, 20, 10, 20, 10]);
  });

  test('a job takes no more than fits into an environment variable', () => {
    const targets = grid(100, 1).map((target) => ({ ...target, tags: { note: 'x'.repeat(5000) } }));
    const all = shards(targets);
    expect(Math.max(...all.map((shard) => JSON.stringify(shard).length))).toBeLessThan(110_000);
    expect(all).toHaveLength(6);
  });

  test('the action reads of all jobs together what it would read of the whole', () => {
    const own = [
      { account: '100000000001', region: 'us-east-1', 'kms-key': 'alias/own', tags: { 'cost-centre': 7 } },
      { account: '999999999999', region: 'eu-west-1', 'ami-name': 'special-{region}', tags: 'a="b,c=d"' },
      { account: '100000000002', region: 'us-east-1', optional: false },
      { account: '100000000005', region: 'eu-west-1', optional: true },
    ];
    const inputs = {
      'ami-id': 'ami-0123456789abcdef0',
      'source-region': 'eu-west-1',
      'target-kms-key': 'alias/ami-{region}',
      'target-role-arn': 'arn:aws:iam::{account}:role/ami-target',
    };
    const run = {
      runUrl: '',
      runId: '1',
      runAttempt: 1,
      sha: '',
      date: new Date(0),
      defaultRegion: undefined,
    };
    const byAction = (targets: Record<string, string>) =>
      readInputs((name) => ({ ...inputs, ...targets })[name as 'ami-id'] ?? '', run, { yaml }).targets;
    const whole = {
      'target-accounts': accountIds(7).join('\n'),
      'target-regions': regionNames.join(','),
      targets: JSON.stringify(own),
      'optional-targets': '*/us-east-1\n100000000002/*',
      'exclude-targets': '100000000003/us-east-1, 100000000004/eu-west-1',
    };
    const targets = readTargets({
      accounts: whole['target-accounts'],
      regions: whole['target-regions'],
      targets: whole.targets,
      optional: whole['optional-targets'],
      excluded: whole['exclude-targets'],
    });
    const parts = shards(targets, 10).flatMap((shard) => byAction({ targets: JSON.stringify(shard) }));
    expect(parts).toEqual(byAction(whole));
    expect(parts).toHaveLength(34);
    expect(parts.filter(({ optional }) => optional)).toHaveLength(10);
  });

  test.each([0, -1, 1.5, Number.NaN, maxPerJob + 1])('refuses %d targets a job', (perJob) => {
    expect(() => shardTargets(grid(1, 1), perJob)).toThrow('targets-per-job');
  });
});

describe('collecting', () => {
  const targets = grid(4, 1);
  const shards = shardTargets(targets, 2);
  const [one, two, three, four] = targets as [Target, Target, Target, Target];
  const statuses = (records: TargetRecord[]) => records.map(({ status }) => status);

  test('a record for each target, in the order of the inputs', () => {
    const results: Results = new Map([
      [2, { targets: [created(four), created(three)] }],
      [1, { targets: [failed(one, 'no key'), created(two)] }],
    ]);
    const records = merge({ targets, shards, results, share: 'failure' });
    expect(records).toEqual([failed(one, 'no key'), created(two), created(three), created(four)]);
  });

  test('the targets of a job that left nothing have failed', () => {
    const results: Results = new Map([[1, { targets: [created(one), created(two)] }]]);
    const records = merge({ targets, shards, results, share: 'failure' });
    expect(statuses(records)).toEqual(['created', 'created', 'failed', 'failed']);
    expect(records[2]?.error).toContain('left no result');
    expect(records[2]?.error).toContain('job 2');
  });

  test('nothing was begun when an earlier job failed', () => {
    const records = merge({ targets, shards, results: new Map(), share: 'skipped' });
    expect(new Set(records.map(({ error }) => error))).toEqual(new Set(['not begun, because an earlier job failed']));
  });

  test('where the records were too long to keep, the AMI IDs say what was made', () => {
    const results: Results = new Map([
      [1, { 'ami-ids': { [one.account]: { [one.region]: 'ami-1' } } }],
      [2, { targets: [created(three)] }],
    ]);
    const records = merge({ targets, shards, results, share: 'failure' });
    expect(statuses(records)).toEqual(['created', 'failed', 'created', 'failed']);
    expect(records[0]?.amiId).toBe('ami-1');
    expect(records[3]?.error).toContain('left no record');
  });

  test('reads the files of the last attempt that says something', () => {
    const results = readResults({
      'job-1.attempt-10.targets': JSON.stringify([created(one)]),
      'job-1.attempt-9.targets': JSON.stringify([failed(one, 'throttled')]),
      'job-1.attempt-9.source-ami-id': 'ami-0\n',
      'job-2.attempt-1.targets': JSON.stringify([created(three)]),
      'job-2.attempt-2.targets': '\n',
      'job-2.attempt-10.ami-ids': '{"half": {',
      'job-3.attempt-1.targets': 'null',
      'job-4.attempt-1.targets': '{"not":"an array"}',
      'something-else': '[]',
    });
    expect([...results.keys()].sort()).toEqual([1, 2]);
    expect(results.get(1)).toEqual({ targets: [created(one)], 'source-ami-id': 'ami-0' });
    expect(results.get(2)).toEqual({ targets: [created(three)] });
  });

  test('outputs are those of the action', () => {
    const { outputs, shortened } = outputsOf([created(one), failed(two, 'no key')]);
    expect(shortened).toEqual([]);
    expect(JSON.parse(outputs['ami-ids'] ?? '')).toEqual({ [one.account]: { [one.region]: created(one).amiId } });
    expect(JSON.parse(outputs['ami-ids-by-region'] ?? '')).toEqual({ [one.region]: [created(one).amiId] });
    expect(JSON.parse(outputs['failed-targets'] ?? '')).toEqual([failed(two, 'no key')]);
    expect(JSON.parse(outputs.targets ?? '')).toEqual([created(one), failed(two, 'no key')]);
  });

  test.each([1000, 5000])('the outputs of %d targets stay within what GitHub takes', (count) => {
    const many = grid(count / 5, 5);
    for (const records of [many.map(created), many.map((target) => failed(target, 'denied '.repeat(60)))]) {
      const { outputs, shortened } = outputsOf(records);
      const bytes = Object.values(outputs).reduce((sum, text) => sum + text.length * 2, 0);
      expect(bytes).toBeLessThan(1_000_000);
      expect(shortened.length > 0).toBe(count === 5000 || records[0]?.status === 'failed');
      const text = outputs[records[0]?.status === 'failed' ? 'failed-targets' : 'ami-ids'] ?? '';
      expect(Object.keys(JSON.parse(text))).toHaveLength(records[0]?.status === 'failed' ? count : count / 5);
      for (const one of Object.values(outputs)) if (one !== '') JSON.parse(one);
    }
  });

  test('the summary of 5,000 failures stays within what GitHub shows, and their words are text', () => {
    const many = grid(1000, 5);
    const records = many.map((target) => failed(target, `<img src=x> | denied\n${'why '.repeat(500)}`));
    const summary = summaryOf({
      records,
      shards: shardTargets(many, 50),
      results: new Map(),
      shortened: ['targets'],
      artifact: 'a',
    });
    expect(Buffer.byteLength(summary)).toBeLessThan(1024 * 1024);
    expect(summary).toContain('## ❌ 5000 of 5000 targets failed');
    expect(summary).toContain('…and 4800 more');
    expect(summary).toContain(': ` <img src=x> | denied why why');
  });

  test('the summary of a dry run says that nothing was made', () => {
    const records = targets.map((target) => ({ ...created(target), amiId: null, status: 'planned' as const }));
    const summary = summaryOf({ records, shards, results: new Map(), shortened: [], artifact: 'a' });
    expect(summary).toContain('Dry run: 4 of 4 AMIs would be made');
  });
});

type Step = {
  id?: string;
  name?: string;
  if?: string;
  uses?: string;
  run?: string;
  with?: Record<string, string>;
  env?: Record<string, string>;
};
type Job = {
  if?: string;
  needs?: string | string[];
  permissions: Record<string, string>;
  env?: Record<string, string>;
  strategy?: Record<string, unknown>;
  outputs?: Record<string, string>;
  steps: Step[];
};
type Input = { type: string; default?: unknown; required?: boolean; description?: string };
type Workflow = {
  permissions: Record<string, string>;
  on: { workflow_call: { inputs: Record<string, Input>; outputs: Record<string, { value: string }> } };
  jobs: Record<'plan' | 'source' | 'share' | 'collect' | 'promote' | 'ends', Job>;
};
/** An expression, as the workflow writes it. */
const expression = (text: string) => `\${{ ${text} }}`;
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const text = read('.github/workflows/fan-out.yml');
const workflow = yaml.parse(text, { maxAliasCount: 1000 }) as Workflow;
const action = yaml.parse(read('action.yml')) as { inputs: Record<string, { default?: string }> };

describe('the workflow', () => {
  const { inputs } = workflow.on.workflow_call;
  const jobs = Object.entries(workflow.jobs);
  const uses = (job: Job, what: string) => job.steps.filter((step) => step.uses?.startsWith(what));

  test('takes each input of the action and hands it on, but for those that make no sense in many jobs', () => {
    const left = [
      'instance-id',
      'no-reboot',
      'packer-manifest',
      'packer-build',
      'expect-plan-digest',
      'expect-plan-file',
      'promote',
    ];
    const taken = Object.keys(action.inputs).filter((name) => !left.includes(name));
    expect(Object.keys(inputs)).toEqual(expect.arrayContaining(taken));
    for (const name of taken)
      expect([name, String(inputs[name]?.default ?? '')]).toEqual([name, action.inputs[name]?.default ?? '']);
    for (const job of [workflow.jobs.source, workflow.jobs.share, workflow.jobs.promote]) {
      const [call] = uses(job, './');
      // Each job's targets are in `targets`.
      const inTargets = ['target-accounts', 'target-regions', 'optional-targets', 'exclude-targets'];
      const handed = [...taken, 'promote'].filter((name) => !inTargets.includes(name));
      expect(Object.keys(call?.with ?? {}).sort()).toEqual(handed.sort());
      for (const [name, value] of Object.entries(call?.with ?? {})) {
        const own = name.toUpperCase().replaceAll('-', '_');
        const expected = [
          expression(`inputs.${name}`),
          expression(`env.${own}`),
          expression('steps.shard.outputs.targets'),
        ];
        expect(expected).toContain(value);
        if (value.includes('env.')) expect(job.env).toHaveProperty(own);
      }
    }
  });

  test('sets SSM parameters only when collect found every target ready', () => {
    expect(workflow.jobs.source.env).toMatchObject({ PROMOTE: 'false', DRY_RUN: 'true' });
    const { PROMOTE = '' } = workflow.jobs.share.env ?? {};
    // A dry run shows what promote would do.
    for (const [dryRun, parameter, template, promotes] of [
      [false, '/golden', '', 'false'],
      [false, '', 'web', 'false'],
      [false, '', '', 'true'],
      [true, '/golden', 'web', 'true'],
    ] as const) {
      const inputs = { 'dry-run': dryRun, 'ssm-parameter': parameter, 'launch-template': template };
      expect([inputs, evaluated(PROMOTE, { inputs })]).toEqual([inputs, promotes]);
    }
    expect(workflow.jobs.promote.env).toMatchObject({ PROMOTE: 'true', DRY_RUN: 'false' });
    expect(workflow.jobs.promote.needs).toContain('collect');
    expect(workflow.jobs.promote.if).toContain("needs.collect.result == 'success'");
    expect(workflow.jobs.promote.if).toContain('!inputs.dry-run');
  });

  test('asks for no more than it needs', () => {
    expect(workflow.permissions).toEqual({});
    for (const [name, { permissions }] of jobs) {
      const calls = ['source', 'share', 'promote'].includes(name);
      expect([name, permissions]).toEqual([name, { contents: 'read', ...(calls && { 'id-token': 'write' }) }]);
    }
  });

  test('runs its own commit, pinned actions, and no text of a user', () => {
    for (const [, job] of jobs) {
      const [checkout, ...others] = uses(job, 'actions/checkout@');
      expect(others).toEqual([]);
      expect(checkout?.with).toMatchObject({
        repository: expression('job.workflow_repository'),
        ref: expression('job.workflow_sha'),
        'persist-credentials': false,
      });
      for (const step of job.steps) {
        if (step.uses !== undefined) expect(step.uses).toMatch(/^(\.\/|actions\/[\w-]+@[0-9a-f]{40})$/);
        expect(step.run ?? '').not.toContain('${{');
      }
    }
    // Each that can run without plan's success looks for itself that the commit is known.
    for (const name of ['plan', 'collect'] as const)
      expect(workflow.jobs[name].steps[0]?.if).toBe(expression('!job.workflow_sha || !job.workflow_repository'));
  });

  test('each output of the workflow is one of a job that collects', () => {
    for (const [name, { value }] of Object.entries(workflow.on.workflow_call.outputs)) {
      const job = ['launch-templates', 'removed-amis'].includes(name) ? 'ends' : 'collect';
      expect(value).toBe(expression(`jobs.${job}.outputs.${name}`));
      expect(workflow.jobs[job].outputs).toHaveProperty(name);
    }
    expect(workflow.jobs.share.strategy).toMatchObject({ 'fail-fast': false });
    expect(workflow.jobs.collect.if).toBe(expression('always()'));
  });
});

describe('the commands, as the workflow runs them', () => {
  let temp = '';
  beforeEach(() => {
    temp = mkdtempSync(join(tmpdir(), 'fan-out-'));
  });
  afterEach(() => rmSync(temp, { recursive: true }));

  type Ran = { code: number | null; log: string; outputs: Record<string, string>; summary: string };

  function outputsIn(file: string): Record<string, string> {
    const outputs: Record<string, string> = {};
    const written = readFileSync(file, 'utf8');
    for (const [, name = '', , value = ''] of written.matchAll(/^([\w-]+)<<(.+)\n([\s\S]*?)\n\2$/gm))
      outputs[name] = value;
    return outputs;
  }

  /** Runs a step of the workflow with bash, as the runner does; each expression of its `env` is looked up. */
  function runStep(job: keyof Workflow['jobs'], find: (step: Step) => boolean, known: Record<string, string>): Ran {
    const step = workflow.jobs[job].steps.find((one) => one.run !== undefined && find(one));
    if (step?.run === undefined) throw new Error(`no such step in ${job}`);
    const defaults = Object.entries(workflow.on.workflow_call.inputs);
    const inputs = Object.fromEntries(defaults.map(([name, { default: value = '' }]) => [name, value]));
    const filled = Object.entries({ ...workflow.jobs[job].env, ...step.env }).map(([name, value]) => [
      name,
      value.replaceAll(/\$\{\{ (.*?) \}\}/g, (whole, asked: string) => known[asked] ?? evaluated(whole, { inputs })),
    ]);
    const folder = mkdtempSync(join(temp, 'step-'));
    const files = { GITHUB_OUTPUT: join(folder, 'output'), GITHUB_STEP_SUMMARY: join(folder, 'summary') };
    for (const file of Object.values(files)) writeFileSync(file, '');
    const { status, stdout, stderr } = spawnSync(
      'bash',
      ['--noprofile', '--norc', '-e', '-o', 'pipefail', '-c', step.run],
      {
        cwd: root,
        encoding: 'utf8',
        env: { PATH: process.env.PATH ?? '', RUNNER_TEMP: temp, ...Object.fromEntries(filled), ...files },
      },
    );
    return {
      code: status,
      log: `${stdout}${stderr}`,
      outputs: outputsIn(files.GITHUB_OUTPUT),
      summary: readFileSync(files.GITHUB_STEP_SUMMARY, 'utf8'),
    };
  }

  const isShard = (step: Step) => step.id === 'shard';
  const file = "inputs.targets-artifact != '' && format('{0}/targets/targets.json', runner.temp) || ''";
  const common = (inputs: Record<string, string>): Record<string, string> => ({
    ...Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`inputs.${name}`, value])),
    [file]: (inputs['targets-artifact'] ?? '') === '' ? '' : join(temp, 'targets/targets.json'),
    'needs.source.outputs.ami-id || inputs.ami-id': 'ami-0',
    "inputs.ssm-parameter == '' && inputs.launch-template == '' && inputs.retain || ''": '',
    "inputs.ssm-parameter == '' && inputs.launch-template == '' && inputs.retain-days || 0": '0',
    'runner.temp': temp,
    'github.run_attempt': '1',
  });

  /** The jobs of the whole workflow; `act` plays the action in each. Undefined is a job that died. */
  function runAll(
    inputs: Record<string, string>,
    act: (targets: Target[], job: number) => TargetRecord[] | undefined,
    { source = () => 'ami-0', hasFile = true }: { source?: (job: number) => string; hasFile?: boolean } = {},
  ): { plan: Ran; collect: Ran; jobs: number[] } {
    /** The records as the action gives them: in a file, and as an output, where they aren't too long for it. */
    const recordOutputs = (records: TargetRecord[]) => {
      const whole = JSON.stringify(records);
      const path = join(temp, 'records.json');
      if (hasFile) writeFileSync(path, whole);
      const truncated = whole.length > 100_000;
      return {
        'steps.share.outputs.targets': truncated ? '[]' : whole,
        'steps.share.outputs.targets-file': hasFile ? path : '',
        'steps.share.outputs.truncated': String(truncated),
      };
    };
    const known = common(inputs);
    const plan = runStep('plan', isShard, known);
    const { job: jobs } = JSON.parse(plan.outputs.matrix ?? '{"job":[]}') as { job: number[] };
    mkdirSync(join(temp, 'results'), { recursive: true });
    for (const job of jobs) {
      const inJob = { ...known, 'matrix.job': String(job) };
      const shard = runStep('share', isShard, inJob);
      expect(shard.code).toBe(0);
      const records = act(JSON.parse(shard.outputs.targets ?? '') as Target[], job);
      if (records === undefined) continue;
      const { outputs } = outputsOf(records);
      const done = {
        ...inJob,
        'steps.share.outputs.ami-ids': outputs['ami-ids'] ?? '',
        'steps.share.outputs.removed-amis': '',
        'steps.share.outputs.source-ami-id': source(job),
        ...recordOutputs(records),
      };
      for (const name of ['Keep the AMI IDs', 'Keep the records']) runStep('share', (step) => step.name === name, done);
      // What upload-artifact and download-artifact do between them.
      cpSync(join(temp, 'result'), join(temp, 'results'), { recursive: true });
      rmSync(join(temp, 'result'), { recursive: true });
    }
    const share = plan.code === 0 ? 'success' : 'skipped';
    const collect = runStep('collect', (step) => step.id === 'collect', {
      ...known,
      'needs.share.result': share,
    });
    return { plan, collect, jobs };
  }

  const merged = () => JSON.parse(readFileSync(join(temp, 'merged/targets.json'), 'utf8')) as TargetRecord[];

  test('1,000 targets', () => {
    const inputs = { 'target-accounts': accountIds(200).join('\n'), 'target-regions': regionNames.join(', ') };
    const { plan, collect, jobs } = runAll({ ...inputs, 'targets-per-job': '200' }, (targets) => targets.map(created));
    expect(plan).toMatchObject({ code: 0, outputs: { jobs: '5' } });
    expect(plan.summary).toBe('1000 targets in 200 accounts are shared by 5 jobs, 200 to 200 targets each.\n');
    expect(jobs).toEqual([1, 2, 3, 4, 5]);
    expect(collect).toMatchObject({ code: 0, log: '', outputs: { 'failed-targets': '[]', 'source-ami-id': 'ami-0' } });
    expect(JSON.parse(collect.outputs.targets ?? '')).toEqual(grid(200, 5).map(created));
    expect(collect.summary).toContain('✅ All 1000 AMIs are ready');
    expect(merged()).toEqual(grid(200, 5).map(created));
  });

  test('a target that failed, and a job that died', () => {
    const inputs = { 'target-accounts': accountIds(6).join(), 'target-regions': 'eu-west-1', 'targets-per-job': '2' };
    const { collect } = runAll(inputs, (targets, job) =>
      job === 3
        ? undefined
        : targets.map((one, at) => (job === 2 && at === 0 ? failed(one, "it's 100% denied\n::x::") : created(one))),
    );
    expect(collect.code).toBe(1);
    expect(collect.log).toContain('::error::3 of 6 targets failed');
    expect(JSON.parse(collect.outputs['failed-targets'] ?? '')).toHaveLength(3);
    expect(collect.summary).toContain('❌ 3 of 6 targets failed');
    expect(collect.summary).toContain('3 (left no result)');
    expect(merged().map(({ status }) => status)).toEqual([
      'created',
      'created',
      'failed',
      'created',
      'failed',
      'failed',
    ]);
  });

  test('an optional target that failed is a warning, even where its job left no record of it', () => {
    const inputs = {
      'target-accounts': accountIds(4).join(),
      'target-regions': 'eu-west-1',
      'targets-per-job': '2',
      'optional-targets': '100000000001/*, 100000000003/eu-west-1',
      'exclude-targets': '100000000002/*',
    };
    const { collect } = runAll(inputs, (targets) =>
      targets.flatMap((one) =>
        one.account === '100000000001'
          ? { ...failed(one, 'no role'), optional: true as const }
          : one.account === '100000000003'
            ? []
            : created(one),
      ),
    );
    expect(collect.code).toBe(0);
    expect(collect.log).toContain('::warning::optional targets failed: 2');
    expect(collect.summary).toContain('⚠️ 1 of 3 AMIs are ready; the others are optional, and failed');
    expect(merged().map(({ account, status, optional }) => [account, status, optional])).toEqual([
      ['100000000000', 'created', undefined],
      ['100000000001', 'failed', true],
      ['100000000003', 'failed', true],
    ]);
  });

  /** Plays the step of a job that keeps its outputs for the last job; undefined is an output that was never set. */
  function keepEnds(job: 'share' | 'promote', of: Record<string, string>, outputs: Record<string, unknown>): void {
    const texts = ['ami-ids', 'source-ami-id', 'launch-templates', 'removed-amis'].map((name) => {
      const value = outputs[name];
      return [`steps.${job}.outputs.${name}`, value === undefined ? '' : JSON.stringify(value)] as const;
    });
    const keeps = (step: Step) => Object.hasOwn(step.env ?? {}, 'REMOVED_AMIS');
    runStep(job, keeps, { ...common({}), ...of, ...Object.fromEntries(texts) });
  }

  function mergedEnds(): Record<string, unknown> {
    if (existsSync(join(temp, 'result'))) cpSync(join(temp, 'result'), join(temp, 'results'), { recursive: true });
    const { code, outputs } = runStep('ends', (step) => step.id === 'merge', {});
    expect(code).toBe(0);
    return Object.fromEntries(Object.entries(outputs).map(([name, text]) => [name, JSON.parse(text)]));
  }

  test('launch templates of all jobs, of one that was run again as the last attempt has them', () => {
    const version = (number: number) => ({ 'eu-west-1': { id: 'lt-1', version: number, formerDefault: 1 } });
    const outputs = [
      ['1', '1', { '111111111111': version(2), '222222222222': version(3) }],
      ['2', '1', undefined],
      ['2', '2', { '333333333333': version(4) }],
      ['1', '2', { '222222222222': version(5) }],
    ] as const;
    for (const [job, attempt, templates] of outputs) {
      const of = { 'matrix.job': job, 'github.run_attempt': attempt };
      keepEnds('promote', of, { 'launch-templates': templates });
    }
    expect(mergedEnds()['launch-templates']).toEqual({
      ...{ '111111111111': version(2), '222222222222': version(5), '333333333333': version(4) },
    });
  });

  test('what any attempt of a job removed, before the promotion and with it', () => {
    const removed = (amiId: string, ...snapshotIds: string[]) => ({
      account: '111111111111',
      region: 'eu-west-1',
      amiId,
      snapshotIds,
    });
    const of = (job: string, attempt: string) => ({ 'matrix.job': job, 'github.run_attempt': attempt });
    keepEnds('share', of('1', '1'), { 'removed-amis': [removed('ami-a', 'snap-a')] });
    keepEnds('share', of('2', '1'), { 'removed-amis': undefined });
    keepEnds('promote', of('1', '1'), { 'removed-amis': [removed('ami-b', 'snap-b')] });
    keepEnds('promote', of('1', '2'), { 'removed-amis': [removed('ami-b', 'snap-c'), removed('ami-c')] });
    expect(mergedEnds()).toEqual({
      'launch-templates': {},
      'removed-amis': [removed('ami-a', 'snap-a'), removed('ami-b', 'snap-b', 'snap-c'), removed('ami-c')],
    });
  });

  test('where no job left a result, nothing was published or removed', () => {
    expect(mergedEnds()).toEqual({ 'launch-templates': {}, 'removed-amis': [] });
  });

  test('more removed AMIs than an output holds lose their snapshots, with a warning', () => {
    const removed = Array.from({ length: 2000 }, (_, at) => ({
      account: '111111111111',
      region: 'eu-west-1',
      amiId: `ami-${at}`,
      snapshotIds: Array.from({ length: 20 }, (_one, volume) => `snap-${at}-${volume}`),
    }));
    mkdirSync(join(temp, 'results'));
    for (const [job, part] of [removed.slice(0, 1000), removed.slice(1000)].entries())
      writeFileSync(join(temp, `results/job-${job}.attempt-1.removed-amis`), JSON.stringify(part));
    const { log, outputs } = runStep('ends', (step) => step.id === 'merge', {});
    expect(JSON.parse(outputs['removed-amis'] ?? '')).toEqual(removed.map((one) => ({ ...one, snapshotIds: [] })));
    expect(log).toContain('::warning::too long for GitHub');
  });

  describe('records too long for an output', () => {
    const inputs = { 'target-accounts': accountIds(2).join(), 'target-regions': 'eu-west-1' };
    const act = ([one, two]: Target[]) => [created(one as Target), failed(two as Target, 'x'.repeat(140_000))];

    test('are taken from the file', () => {
      const { collect } = runAll(inputs, act);
      expect(collect.code).toBe(1);
      expect(merged()).toEqual(act(grid(2, 1)));
    });

    test('leave the AMI IDs where there is no file', () => {
      const { collect } = runAll(inputs, act, { hasFile: false });
      expect(collect.code).toBe(1);
      expect(merged().map(({ status }) => status)).toEqual(['created', 'failed']);
      expect(merged()[1]?.error).toContain('left no record');
    });
  });

  test('bad inputs fail plan and collect with the reason, and the outputs can still be read', () => {
    const { plan, collect } = runAll({ targets: '[{"account":' }, () => undefined);
    for (const { code, log } of [plan, collect]) {
      expect(code).toBe(1);
      expect(log).toMatch(/^::error::targets: is not JSON/);
    }
    expect(collect.outputs).toMatchObject({ targets: '[]', 'failed-targets': '[]', 'ami-ids': '{}' });
  });

  test('targets from an artifact, more than an environment variable holds', () => {
    const targets = grid(1000, 5).map((target) => ({ ...target, 'kms-key': `alias/${target.account}` }));
    mkdirSync(join(temp, 'targets'));
    writeFileSync(join(temp, 'targets/targets.json'), JSON.stringify(targets));
    const known = common({ 'targets-artifact': 'mine' });
    const plan = runStep('plan', isShard, known);
    expect(plan).toMatchObject({ code: 0, outputs: { jobs: '100' } });
    const last = runStep('share', isShard, { ...known, 'matrix.job': '100' });
    expect(JSON.parse(last.outputs.targets ?? '')).toEqual(targets.slice(-50));
    const beyond = runStep('share', isShard, { ...known, 'matrix.job': '101' });
    expect(beyond).toMatchObject({ code: 1 });
    rmSync(join(temp, 'targets'), { recursive: true });
    expect(runStep('plan', isShard, known).log).toContain('holds no targets.json');
  });

  test('jobs that shared different AMIs fail the whole', () => {
    const inputs = { 'target-accounts': accountIds(2).join(), 'target-regions': 'eu-west-1', 'targets-per-job': '1' };
    const { collect } = runAll(inputs, (targets) => targets.map(created), { source: (job) => `ami-${job}` });
    expect(collect).toMatchObject({ code: 1 });
    expect(collect.log).toContain('different AMIs: ami-1, ami-2');
  });

  test('account IDs are masked before anything else is printed, where that is asked for', () => {
    const inputs = { 'target-accounts': '111111111111', 'target-regions': 'eu-west-1', 'mask-aws-account-id': 'true' };
    const { plan, collect } = runAll(inputs, (targets) => targets.map(created));
    for (const { log } of [plan, collect]) expect(log).toMatch(/^::add-mask::111111111111\n/);
    // GitHub drops outputs that hold a masked text, and the matrix is one.
    expect(Object.values(plan.outputs).join()).not.toContain('111111111111');
    expect(existsSync(join(temp, 'merged/ami-ids.json'))).toBe(true);
  });
});

test('two jobs at once share the AMI, and then set the SSM parameters of the AMIs that they find', async () => {
  const { scenario, inputs, amiId } = fanOut({ policies: ['target-ssm-parameter'] });
  const { 'target-accounts': accounts = '', 'target-regions': regions = '', ...others } = inputs;
  const shards = shardTargets(readTargets({ accounts, regions }), 3);
  expect(shards).toHaveLength(2);
  const simulator = await startSimulator(scenario);
  const before = simulator.snapshotOfState(sourceAccount);
  const runJobs = (more: Record<string, string>) =>
    Promise.all(
      shards.map(async (shard) => {
        const own = { ...others, ...more, targets: JSON.stringify(shard) };
        const { main } = await runJob({ inputs: own, env: simulator.env });
        expect(main).toMatchObject({ conclusion: 'success', annotations: [] });
        expect(main.outputs['source-ami-id']).toBe(amiId);
        return JSON.parse(main.outputs.targets ?? '') as TargetRecord[];
      }),
    );
  const parameters = () =>
    Object.values(simulator.world.accounts).flatMap((account) =>
      [...account.regions.values()].flatMap((region) => [...region.parameters.values()].map(({ value }) => value)),
    );
  try {
    const shared = (await runJobs({})).flat();
    expect(new Set(shared.map(({ status }) => status))).toEqual(new Set(['created']));
    expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
    expect(parameters()).toEqual([]);
    const promoted = (await runJobs({ 'ssm-parameter': '/golden/latest', 'on-existing': 'reuse' })).flat();
    expect(promoted.map(({ status, amiId }) => [status, amiId])).toEqual(shared.map(({ amiId }) => ['reused', amiId]));
    expect(parameters().sort()).toEqual(shared.map(({ amiId }) => amiId).sort());
  } finally {
    await simulator.close();
  }
});
