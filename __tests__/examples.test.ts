import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Tag } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { parse } from 'yaml';
import type { ActionResult } from '../simulator/runner.ts';
import type { RoleScenario, Scenario } from '../simulator/scenario.ts';
import { workflowRole } from '../simulator/scenarios/common.ts';
import {
  type Case,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import type { ActionName } from '../src/inputs/actions.ts';
import { evaluated } from './expressions.ts';
import { type InProcessRun, runAction, runJob, type Simulator, startSimulator } from './in-process.ts';
import { expectTargets, imageIn, type TargetRecord } from './shared-case.ts';
import { bare, deploy, type Parameters } from './stacks.ts';

/*
 * Every workflow in examples/ is one that GitHub would take, gives the action inputs that it has, and its step does in the
 * simulator what the example says, with roles and keys from templates/ as README's Quick start deploys them, and the
 * parameters that the example's header names. So does Quick start itself.
 */

const folder = new URL('../examples/', import.meta.url);
const files = readdirSync(folder).filter((file) => file.endsWith('.yml'));
const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

type With = Readonly<Record<string, string | boolean | number>>;
type Env = Readonly<Record<string, string>>;
type Step = Readonly<{ id?: string; uses?: string; run?: string; with?: With; env?: Env }>;
type Job = Step &
  Readonly<{
    needs?: string;
    environment?: string;
    'timeout-minutes'?: number;
    strategy?: Readonly<{ matrix?: Readonly<Record<string, readonly string[]>> }>;
    outputs?: Env;
    steps?: readonly Step[];
  }>;
type Workflow = Readonly<{ jobs: Readonly<Record<string, Job>> }>;

/** What GitHub's own language service finds wrong with a workflow; it knows this action's inputs from action.yml. */
describe('the language service of GitHub finds nothing wrong', () => {
  type Service = {
    validate(document: TextDocument, config: unknown): Promise<{ message: string; severity?: number }[]>;
  };
  let service: Service;
  let built: string;

  beforeAll(async () => {
    // The package imports JSON in a way that Node refuses, so it is bundled first.
    built = mkdtempSync(join(tmpdir(), 'languageservice-'));
    const file = join(built, 'languageservice.mjs');
    const entry = new URL(import.meta.resolve('@actions/languageservice')).pathname;
    const rolldown = new URL('../node_modules/rolldown/bin/cli.mjs', import.meta.url).pathname;
    execFileSync(process.execPath, [rolldown, entry, '--platform', 'node', '--format', 'esm', '--file', file]);
    service = (await import(pathToFileURL(file).href)) as Service;
  });
  afterAll(() => rmSync(built, { recursive: true, force: true }));

  /** Of the others' actions, the inputs that are used, by their own manifests. */
  const others: Readonly<Record<string, readonly string[]>> = {
    'actions/checkout': ['persist-credentials'],
    'actions/upload-artifact': ['name', 'path'],
    'actions/download-artifact': ['name', 'path'],
    'aws-actions/configure-aws-credentials': [
      ...['role-to-assume', 'role-duration-seconds', 'aws-region', 'mask-aws-account-id'],
    ],
    'hashicorp/setup-packer': ['version'],
    'hashicorp/setup-terraform': ['terraform_version'],
  };

  const config = {
    actionsMetadataProvider: {
      fetchActionMetadata: async ({ owner, name, path = '' }: { owner: string; name: string; path?: string }) => {
        if (`${owner}/${name}` === 'org/share-encrypted-ami') return parse(read(join(path, 'action.yml'))) as object;
        const inputs = others[`${owner}/${name}`];
        return inputs && { name, inputs: Object.fromEntries(inputs.map((one) => [one, { description: one }])) };
      },
    },
    fileProvider: {
      getFileContent: async (reference: object) => {
        const { owner, repository, path } = reference as { owner: string; repository: string; path: string };
        if (`${owner}/${repository}` !== 'org/share-encrypted-ami') throw new Error(`no ${owner}/${repository}`);
        return { name: path, content: read(path) };
      },
    },
  };
  const problemsOf = async (name: string, text: string) => {
    const document = TextDocument.create(`file:///.github/workflows/${name}`, 'yaml', 1, text);
    return (await service.validate(document, config)).map(({ message }) => message);
  };

  test.each(files)('%s', async (file) => {
    expect(await problemsOf(file, read(`examples/${file}`))).toEqual([]);
  });

  test('it would find a misspelt input, a value that is missing, and an expression of nothing', async () => {
    const text = read('examples/one-account.yml');
    expect((await problemsOf('1.yml', text.replace('target-regions:', 'target-region:'))).join()).toMatch(
      /target-region/,
    );
    expect((await problemsOf('2.yml', text.replace('inputs.ami-id', 'inputs.image'))).join()).toMatch(/image/);
    expect((await problemsOf('3.yml', text.replace('runs-on', 'run-on'))).join()).not.toBe('');
    const fanOut = read('examples/organization.yml').replace('topology:', 'topolgy:');
    expect((await problemsOf('4.yml', fanOut)).join()).toMatch(/topolgy/);
  });
});

/** The digest and the file of a plan. */
type ApprovedPlan = Readonly<{ digest: string; plan: string }>;

type Play = Readonly<{
  options?: StandardOptions;
  /** What stands for the contexts that the step's expressions read, by expression. */
  contexts?: (shared: Case, approved: ApprovedPlan) => Record<string, string>;
  files?: (shared: Case, approved: ApprovedPlan) => Record<string, string>;
  /** The step whose plan was approved before this one. */
  first?: number;
  /** Whether a pull request started the workflow. */
  pullRequest?: boolean;
  /** The source and target places whose AMIs there are in the end. */
  targets: readonly string[];
  /** Of each target, if it isn't `created`; null where no target is told of. */
  status?: string | null;
  /** What its one error says, where it is to fail; then nothing follows. */
  fails?: RegExp;
  /** The variables of what follows the step, where it takes the step's outputs. */
  env?: (made: Made) => readonly Env[];
}>;

/** What a step made: its targets, and of each the version of its launch template. */
type Made = Readonly<{ targets: readonly TargetRecord[]; versions: readonly TemplateVersion[] }>;
type TemplateVersion = Readonly<{ id: string; number: number }>;

/** What a rollout by the number of a version takes, a job for each target. */
const versionEnv = ({ versions }: Made): Env[] =>
  versions.map(({ id, number }) => ({ TEMPLATE: id, VERSION: String(number) }));

const both = ['222222222222', '999999999999'];
const amiId = ({ amiId }: Case) => ({ 'inputs.ami-id': amiId });

/** What Packer's post-processor writes of one build. */
const manifestOf = (amiId: string): string =>
  JSON.stringify({
    builds: [{ builder_type: 'amazon-ebs', artifact_id: `us-east-1:${amiId}`, packer_run_uuid: '1', build_time: 1 }],
    last_run_uuid: '1',
  });

/** What each action step meets, in the order of its workflow. */
const plays: Readonly<Record<string, readonly Play[]>> = {
  'one-account.yml': [
    {
      contexts: amiId,
      targets: ['999999999999/eu-west-1'],
      env: ({ targets }) => targets.map((target) => ({ AMI: target.amiId })),
    },
  ],
  'matrix-per-region.yml': [
    {
      options: { targets: both, regions: ['eu-west-1', 'us-west-2', 'ap-southeast-2'] },
      contexts: (shared) => ({ ...amiId(shared), 'matrix.region': 'us-west-2' }),
      targets: ['222222222222/us-west-2', '999999999999/us-west-2'],
    },
  ],
  'packer.yml': [
    {
      options: { regions: ['eu-west-1', 'us-west-2'] },
      files: ({ amiId }) => ({ 'packer-manifest.json': manifestOf(amiId) }),
      targets: ['999999999999/eu-west-1', '999999999999/us-west-2'],
    },
  ],
  'image-builder.yml': [
    {
      options: {
        targets: both,
        source: { parameters: { '/golden/built': standardCase().amiId } },
      },
      targets: ['222222222222/eu-west-1', '999999999999/eu-west-1'],
    },
  ],
  'release.yml': [
    {
      options: { ami: { name: 'golden-image-v3' }, targets: ['222222222222'] },
      contexts: () => ({ 'github.event.release.tag_name': 'v3', 'vars.TARGET_ACCOUNT': '222222222222' }),
      targets: ['222222222222/eu-west-1'],
    },
    {
      options: { regions: ['eu-west-1', 'us-west-2'] },
      contexts: ({ amiId }) => ({
        'needs.staging.outputs.source-ami-id': amiId,
        'vars.TARGET_ACCOUNT': '999999999999',
      }),
      targets: ['999999999999/eu-west-1', '999999999999/us-west-2'],
    },
  ],
  'organization.yml': [
    {
      options: {
        targets: both,
        regions: ['eu-west-1', 'us-west-2', 'ap-southeast-2'],
      },
      contexts: (shared) => ({ ...amiId(shared), 'needs.accounts.outputs.accounts': both.join(',') }),
      targets: both.flatMap((account) =>
        ['eu-west-1', 'us-west-2', 'ap-southeast-2'].map((one) => `${account}/${one}`),
      ),
    },
  ],
  'nightly-retention.yml': [
    {
      options: {
        ami: { name: 'golden-image-7' },
        targets: both,
        regions: ['eu-west-1', 'us-west-2'],
      },
      targets: both.flatMap((account) => ['eu-west-1', 'us-west-2'].map((region) => `${account}/${region}`)),
    },
  ],
  'govcloud.yml': [
    {
      options: {
        partition: 'aws-us-gov',
        sourceRegion: 'us-gov-west-1',
        regions: ['us-gov-west-1', 'us-gov-east-1'],
      },
      contexts: amiId,
      targets: ['999999999999/us-gov-west-1', '999999999999/us-gov-east-1'],
    },
  ],
  'dry-run-on-pull-request.yml': [
    {
      pullRequest: true,
      options: { ami: { name: 'golden-image-7' } },
      contexts: () => ({
        'steps.targets.outputs.list': '- account: "999999999999"\n  region: eu-west-1\n',
      }),
      targets: [],
      status: 'planned',
    },
  ],
  'approve-plan.yml': [
    {
      pullRequest: true,
      options: { ami: { name: 'golden-image-7' } },
      contexts: () => ({
        'steps.targets.outputs.list': '- account: "999999999999"\n  region: eu-west-1\n',
      }),
      targets: [],
      status: 'planned',
    },
    {
      options: { ami: { name: 'golden-image-7' } },
      first: 0,
      contexts: ({ amiId }, { digest }) => ({
        'needs.plan.outputs.source-ami-id': amiId,
        'needs.plan.outputs.plan-digest': digest,
        'needs.plan.outputs.targets': '- account: "999999999999"\n  region: eu-west-1\n',
      }),
      files: (_, { plan }) => ({ 'approved/plan.json': plan }),
      targets: ['999999999999/eu-west-1'],
    },
  ],
  'audit.yml': [
    {
      options: { targets: both, regions: ['eu-west-1', 'us-west-2'] },
      targets: [],
      status: null,
      fails: /no target has a published AMI of the lineage golden/,
    },
    {
      options: { targets: both, regions: ['eu-west-1', 'us-west-2'] },
      contexts: (shared) => ({
        'needs.audit.outputs.source-ami-id': shared.amiId,
        'needs.audit.outputs.missing-targets': '[{"account":"999999999999","region":"eu-west-1"}]',
      }),
      targets: ['999999999999/eu-west-1'],
    },
  ],
  'recall.yml': [
    {
      options: { targets: both, regions: ['eu-west-1', 'us-west-2'] },
      contexts: (shared) => ({
        ...{ 'inputs.ami-id': shared.amiId, 'inputs.reason': 'CVE-2026-1234', 'inputs.restore': 'false' },
      }),
      targets: [],
      status: 'absent',
    },
  ],
  'sweep.yml': [{ options: { targets: both, regions: ['eu-west-1', 'us-west-2'] }, targets: [], status: null }],
  'terraform.yml': [
    {
      options: { regions: ['eu-west-1', 'us-west-2'] },
      contexts: amiId,
      targets: ['999999999999/eu-west-1', '999999999999/us-west-2'],
      env: ({ targets }) => [
        { TF_VAR_ami_ids: JSON.stringify(Object.fromEntries(targets.map(({ region, amiId }) => [region, [amiId]]))) },
      ],
    },
  ],
  'rollout.yml': [
    {
      options: {
        regions: ['eu-west-1', 'us-west-2'],
        ami: {
          scan: { results: { HighestFindingSeverityLabel: 'high', FindingScanDate: new Date() }, afterSeconds: 600 },
        },
        target: { launchTemplates: { web: ['ami-00000000000000001'] } },
      },
      files: ({ amiId }) => ({ 'packer-manifest.json': manifestOf(amiId) }),
      targets: ['999999999999/eu-west-1', '999999999999/us-west-2'],
      env: versionEnv,
    },
  ],
  'eks-node-group.yml': [
    {
      options: { target: { launchTemplates: { nodes: ['ami-00000000000000001'] } } },
      contexts: amiId,
      targets: ['999999999999/eu-west-1'],
      env: versionEnv,
    },
  ],
  'karpenter.yml': [{ contexts: amiId, targets: ['999999999999/eu-west-1'] }],
  'auto-scaling-refresh.yml': [
    {
      options: { regions: ['eu-west-1', 'us-west-2'] },
      contexts: amiId,
      targets: ['999999999999/eu-west-1', '999999999999/us-west-2'],
    },
  ],
};

type ActionStep = Readonly<{ action: ActionName; inputs: With; environment: string | undefined }>;

const isOurs = ({ uses }: Step) => uses?.startsWith('org/share-encrypted-ami') === true;

/** The action of this repository that a step names by its folder. */
function actionOf(uses = ''): ActionName {
  const [, folder = 'share'] = /^org\/share-encrypted-ami\/(\w+)@/.exec(uses) ?? [];
  return folder as ActionName;
}

/** Each action step of a workflow, or job that calls the fan-out. */
function stepsOf(workflow: string): ActionStep[] {
  const { jobs } = parse(workflow) as Workflow;
  return Object.values(jobs).flatMap((job) =>
    [job, ...(job.steps ?? [])]
      .filter(isOurs)
      .map(({ uses, with: inputs = {} }) => ({ action: actionOf(uses), inputs, environment: job.environment })),
  );
}

function stepOf(workflow: string, index = 0): ActionStep {
  const step = stepsOf(workflow)[index];
  if (step === undefined) throw new Error('the workflow has no such step');
  return step;
}

function filled(values: With, contexts: Readonly<Record<string, string>>): Record<string, string> {
  const fill = (text: string) =>
    text.replaceAll(/\$\{\{ *([^}]+?) *\}\}/g, (expression, path: string) => {
      const value = contexts[path];
      if (value === undefined) throw new Error(`nothing stands for ${expression}`);
      return value;
    });
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, fill(String(value))]));
}

/** The jobs of a matrix, of which the examples have one dimension. */
function matrixOf({ strategy }: Job): Env[] {
  const [[name = '', values = []] = []] = Object.entries(strategy?.matrix ?? {});
  return values.length === 0 ? [{}] : values.map((value) => ({ [name]: value }));
}

/** The variables of the steps and jobs that follow an action step, as GitHub makes them of its outputs. */
function envAfter(workflow: string, index: number, outputs: Env): Env[] {
  const { jobs } = parse(workflow) as Workflow;
  const ours = Object.entries(jobs).flatMap(([name, job]) =>
    [job, ...(job.steps ?? [])].filter(isOurs).map((step) => ({ name, job, step })),
  );
  const { name, job, step } = ours[index] ?? {};
  if (name === undefined || job === undefined || step === undefined) throw new Error('the workflow has no such step');
  const steps = { [step.id ?? '']: { outputs } };
  const evaluate = (env: Env, contexts: Readonly<Record<string, unknown>>): Env =>
    Object.fromEntries(Object.entries(env).map(([key, text]) => [key, evaluated(text, contexts)]));
  const later = (job.steps ?? []).slice((job.steps ?? []).indexOf(step) + 1);
  const next = Object.values(jobs).filter(({ needs }) => needs === name);
  const needs = { [name]: { outputs: evaluate(job.outputs ?? {}, { steps, matrix: {} }) } };
  return [
    ...later.flatMap(({ env }) => (env ? [evaluate(env, { steps })] : [])),
    ...next.flatMap((one) =>
      [one, ...(one.steps ?? [])].flatMap(({ env }) =>
        env ? matrixOf(one).map((matrix) => evaluate(env, { needs, matrix })) : [],
      ),
    ),
  ];
}

type Ended = Readonly<{ simulator: Simulator; targets: readonly TargetRecord[] }>;

const regionIn = ({ world }: Simulator, { account, region }: TargetRecord) =>
  world.accounts[account]?.regions.get(region);

/** The parameter that a step sets names each target's AMI. */
function expectParameters({ simulator, targets }: Ended, { 'ssm-parameter': name }: Env): void {
  if (name === undefined) return;
  for (const target of targets) expect(regionIn(simulator, target)?.parameters.get(name)?.value).toBe(target.amiId);
}

/** With a boot test, each AMI says that it passed, and no instance of it is left. */
function expectTested({ simulator, targets }: Ended, { 'boot-test': by }: Env): void {
  if (by === undefined) return;
  for (const target of targets) {
    const { data } = imageIn(simulator, target.account, target.region, target.amiId);
    expect(data.Tags).toContainEqual({ Key: 'share-encrypted-ami:boot-test', Value: `passed ${by}` });
    const launched = [...(regionIn(simulator, target)?.instances.values() ?? [])];
    expect(launched.map(({ state }) => state)).toEqual(['terminated']);
  }
}

/** Of each target, the version of its launch template that has the AMI: the newest. */
function versionsIn({ simulator, targets }: Ended, { 'launch-template': name }: Env): TemplateVersion[] {
  if (name === undefined) return [];
  return targets.map((target) => {
    const templates = [...(regionIn(simulator, target)?.launchTemplates.values() ?? [])];
    const template = templates.find((one) => one.name === name);
    const newest = template?.versions.at(-1);
    expect(newest?.data.ImageId).toBe(target.amiId);
    return { id: template?.id ?? '', number: newest?.number ?? 0 };
  });
}

type SelectorTerm = Readonly<{ owner?: string; tags: Env }>;

/** The term of an EC2NodeClass that a workflow's header shows. */
function selectorIn(workflow: string): SelectorTerm {
  const [, shown = ''] = /^# {3}amiFamily: .*\n((?:# {3}.*\n)+)/m.exec(workflow) ?? [];
  const { amiSelectorTerms } = parse(shown.replaceAll(/^# {3}/gm, '')) as { amiSelectorTerms: SelectorTerm[] };
  expect(amiSelectorTerms).toHaveLength(1);
  return amiSelectorTerms[0] ?? { tags: {} };
}

/** https://karpenter.sh/docs/concepts/nodeclasses/#specamiselectorterms: all tags of a term; `*` is any value. */
function isSelected(tags: readonly Tag[], { tags: wanted }: SelectorTerm) {
  return Object.entries(wanted).every(([key, value]) =>
    tags.some((tag) => tag.Key === key && (value === '*' || tag.Value === value)),
  );
}

/** The Auto Scaling service-linked role is in every account that has used Auto Scaling; Karpenter has its own. */
function withServiceRoles(shared: Case): Case {
  const accounts = Object.fromEntries(
    Object.entries(shared.scenario.accounts).map(([id, account]) => {
      const role: RoleScenario = { ...workflowRole(id), path: 'aws-service-role/autoscaling.amazonaws.com/' };
      return [
        id,
        {
          ...account,
          roles: {
            ...account.roles,
            ...{ AWSServiceRoleForAutoScaling: role, karpenter: workflowRole(id) },
          },
        },
      ];
    }),
  );
  return { ...shared, scenario: { ...shared.scenario, accounts } };
}

/** `Name=value` of a command or a comment. */
const parametersIn = (text: string): Parameters =>
  Object.fromEntries(
    [...text.matchAll(/(?<=\s)(\w+)=(<[^>]*>|\S+)/g)].map(([, name = '', value = '']) => [name, value]),
  );

const quickStart = (/^## Quick start\n([\s\S]*?)^## /m.exec(read('README.md')) ?? [])[1] ?? '';

/** The templates that Quick start deploys, with the regions and the parameters that its commands have. */
const quickStartStacks = [...quickStart.matchAll(/aws cloudformation deploy ([\s\S]*?[^\\])\n/g)].map(
  ([, command = '']) => {
    const [, file = ''] = /--template-file templates\/(\S+)/.exec(command) ?? [];
    const [, region = ''] = /--region (\S+)/.exec(command) ?? [];
    const [options = '', overrides = ''] = command.split('--parameter-overrides');
    return { file, region, options, parameters: parametersIn(overrides) };
  },
);

type Header = readonly Readonly<{ file: string; environment: string | undefined; parameters: Parameters }>[];

/**
 * What a workflow's header says that its templates take besides, `without` the parameter of that name: by file, and where it
 * says so for one environment.
 */
function headerOf(workflow: string, without?: string): Header {
  const [comment = ''] = /^(?:#.*\n)+/.exec(workflow) ?? [];
  expect(comment).toMatch(/^# Templates: as in Quick start(?:\.|, with)$/m);
  const [, ...entries] = comment.split(/^# {3}(?=\S)/m);
  return entries.flatMap((entry) => {
    const [, environment] = /\((\w+)\):/.exec(entry) ?? [];
    const named = [...entry.matchAll(/([\w-]+\.yaml)/g)];
    const { [without ?? '']: _, ...parameters } = parametersIn(entry);
    return named.map(([file]) => ({ file, environment, parameters }));
  });
}

/** An example as its step is played: what its header says, but for what is left out, and what that of an earlier one says. */
type Example = Readonly<{ workflow: string; environment: string | undefined; without?: string; earlier?: string }>;

/** A case in accounts that templates alone have set up: Quick start's, with what the header of an example says. */
function setUp(shared: Case, options: StandardOptions, { workflow, environment, without, earlier }: Example): Case {
  const { targets = [targetAccount], regions = [targetRegion], sourceRegion: from = sourceRegion } = options;
  const header = [...headerOf(workflow, without), ...(earlier === undefined ? [] : headerOf(earlier))];
  let scenario: Scenario = bare(shared.scenario);
  const outputs: Record<string, string> = {};
  const stack = (file: string, account: string, region: string) => {
    const own = header.filter((one) => one.file === file && (one.environment ?? environment) === environment);
    const first = quickStartStacks.find((one) => one.file === file)?.parameters;
    const named = own.flatMap(({ parameters }) => Object.entries(parameters));
    const given = Object.fromEntries([...Object.entries(first ?? {}), ...named]);
    const filledIn = Object.entries(given).map(([name, value]) => [name, outputs[value] ?? value]);
    const deployed = deploy(scenario, { file, account, region, parameters: Object.fromEntries(filledIn) });
    scenario = deployed.scenario;
    return deployed.outputs.KeyArn ?? '';
  };
  outputs['<KeyArn>'] = stack('source-account.yaml', sourceAccount, from);
  if (header.some(({ file }) => file === 'source-hub.yaml')) {
    const hubs = regions.map((region) => stack('source-hub.yaml', sourceAccount, region));
    outputs['<KeyArn of every hub, with commas>'] = hubs.join(',');
  }
  for (const account of targets) for (const region of regions) stack('target-account.yaml', account, region);
  // One role serves all regions of an account.
  const isNamed = (name: string) => header.some(({ file }) => file === name);
  if (isNamed('source-recall.yaml')) stack('source-recall.yaml', sourceAccount, from);
  if (isNamed('target-recall.yaml')) for (const account of targets) stack('target-recall.yaml', account, from);
  return { ...shared, scenario };
}

/** What a job needs to be told besides its inputs. */
type Started = Readonly<{ shared: Case; env: Record<string, string>; file: string }>;

/** The plan that the step `index` of a workflow makes of a case. */
async function planOf({ shared, env, file }: Started, index: number): Promise<ApprovedPlan> {
  const play = plays[file]?.[index];
  const { inputs } = stepOf(read(`examples/${file}`), index);
  const contexts = play?.contexts?.(shared, { digest: '', plan: '' }) ?? {};
  const { main } = await runJob({ inputs: filled(inputs, contexts), env });
  const { 'plan-digest': digest = '', 'plan-file': path = '' } = main.outputs;
  return { digest, plan: main.temp[basename(path)] ?? '' };
}

test('every example has its play', () => {
  expect(Object.keys(plays).sort()).toEqual(files.toSorted());
  for (const file of files)
    expect([file, stepsOf(read(`examples/${file}`)).length]).toEqual([file, plays[file]?.length]);
});

test('Quick start: its commands, then its workflow, dry and in earnest', async () => {
  expect(quickStartStacks.map(({ file, region }) => [file, region])).toEqual([
    ['source-account.yaml', sourceRegion],
    ['target-account.yaml', targetRegion],
  ]);
  // https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html: roles that have names
  for (const { options } of quickStartStacks) expect(options).toContain('--capabilities CAPABILITY_NAMED_IAM');
  const [, workflow = ''] = /```yaml\n([\s\S]*?)```/.exec(read('README.md')) ?? [];
  const shared = setUp(standardCase(), {}, { workflow: '# Templates: as in Quick start.\n', environment: undefined });
  const simulator = await startSimulator(shared.scenario);
  const inputs = filled(stepOf(workflow).inputs, amiId(shared));
  const dry = await runJob({ inputs: { ...inputs, 'dry-run': 'true' }, env: simulator.env });
  expect([dry.main.conclusion, dry.main.annotations]).toEqual(['success', []]);
  const { main, post } = await runJob({ inputs, env: simulator.env });
  expect([main.conclusion, post.conclusion, main.annotations]).toEqual(['success', 'success', []]);
  const targets = JSON.parse(main.outputs.targets ?? '') as TargetRecord[];
  expectTargets({ simulator, targets }, shared.amiId);
  await simulator.close();
});

/** What a step comes to: main, and post where the action has it. */
async function stepsBy(run: InProcessRun): Promise<[ActionResult, ...ActionResult[]]> {
  if (run.action !== 'share') return [await runAction(run)];
  const { main, post } = await runJob(run);
  return [main, post];
}

test('a session that waits lasts as long as its job, and the header says what that takes of its role', () => {
  const waiting = files.flatMap((file) => {
    const workflow = read(`examples/${file}`);
    return Object.values((parse(workflow) as Workflow).jobs)
      .filter(({ steps = [] }) => steps.some(({ run = '' }) => /\bsleep\b/.test(run)))
      .map((job) => ({ file, workflow, job }));
  });
  expect(waiting.map(({ file }) => file)).toEqual(['eks-node-group.yml', 'rollout.yml']);
  for (const { workflow, job } of waiting) {
    const { with: inputs = {} } = job.steps?.find(({ uses = '' }) => uses.includes('configure-aws-credentials')) ?? {};
    const seconds = Number(inputs['role-duration-seconds'] ?? 3600);
    // https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idtimeout-minutes
    expect(seconds).toBeGreaterThanOrEqual((job['timeout-minutes'] ?? 360) * 60);
    const [, role] = /role\/(\S+)$/.exec(String(inputs['role-to-assume'])) ?? [];
    expect(workflow).toContain(`maximum session duration of the role '${role}' is ${seconds}`);
  }
});

describe('each action step does what it says', () => {
  const cases = Object.entries(plays).flatMap(([file, steps]) => steps.map((play, index) => ({ file, index, play })));
  test.each(cases)('$file, step $index', async ({ file, index, play }) => {
    const workflow = read(`examples/${file}`);
    const { action, inputs: written, environment } = stepOf(workflow, index);
    const { options = {} } = play;
    const shared = withServiceRoles(setUp(standardCase(options), options, { workflow, environment }));
    const simulator = await startSimulator(shared.scenario);
    const { env } = simulator;
    const approved =
      play.first === undefined ? { digest: '', plan: '' } : await planOf({ shared, env, file }, play.first);
    simulator.setJob({ ...(environment && { environment }), pullRequest: play.pullRequest === true });
    // The step's own inputs alone, nothing of the scenario's.
    const inputs = filled(written, play.contexts?.(shared, approved) ?? {});
    const run = { action, inputs, env, files: play.files?.(shared, approved) ?? {} };
    const steps = await stepsBy(run);
    const [main] = steps;
    const targets = JSON.parse(main.outputs.targets ?? '[]') as TargetRecord[];
    const errors = main.annotations.flatMap(({ level, message }) => (level === 'error' ? [message] : []));
    if (play.fails !== undefined) {
      expect(errors).toEqual([expect.stringMatching(play.fails)]);
      await simulator.close();
      return;
    }
    expect(errors).toEqual([]);
    expect(steps.map(({ conclusion }) => conclusion)).toEqual(steps.map(() => 'success'));
    const { status: expected = 'created' } = play;
    expect(new Set(targets.map(({ status }) => status))).toEqual(new Set(expected === null ? [] : [expected]));
    const made = Object.values(simulator.world.accounts).flatMap(({ id, regions }) =>
      [...regions].flatMap(([region, { images }]) => {
        const live = [...images.values()].filter(({ deregisteredAt }) => deregisteredAt === undefined);
        return live.some(({ data }) => data.ImageId !== shared.amiId) ? [`${id}/${region}`] : [];
      }),
    );
    expect(made.sort()).toEqual(play.targets.toSorted());
    const ended = { simulator, targets: targets.filter(({ status }) => status !== 'planned' && status !== 'absent') };
    expectTested(ended, inputs);
    expectParameters(ended, inputs);
    const versions = versionsIn(ended, inputs);
    const following = envAfter(workflow, index, main.outputs);
    expect(following).toEqual(play.env?.({ targets, versions }) ?? following);
    expect(following.flatMap((env) => Object.values(env))).not.toContain('');
    await simulator.close();
  });

  test('recall.yml: what nightly-retention.yml shared goes, the one before takes its place, and it comes back', async () => {
    const [workflow, earlier] = [read('examples/recall.yml'), read('examples/nightly-retention.yml')];
    const { inputs: written, environment } = stepOf(workflow);
    const options = {
      ami: { name: 'golden-image-8' },
      source: { amis: [{ name: 'golden-image-7', volumes: [{ device: '/dev/xvda', sizeGiB: 8 }] }] },
      ...{ targets: both, regions: ['eu-west-1', 'us-west-2'] },
    };
    /** Two nights, then a recall of the second night's image. */
    const recalledBy = async (without?: string) => {
      const example = { workflow, environment, earlier, ...(without !== undefined && { without }) };
      const shared = setUp(standardCase(options), options, example);
      const simulator = await startSimulator(shared.scenario);
      const images = simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion)?.images;
      const newest = images?.get(shared.amiId);
      const nights: TargetRecord[][] = [];
      for (const isThere of [false, true]) {
        images?.delete(shared.amiId);
        if (isThere && newest !== undefined) {
          newest.data.CreationDate = new Date(simulator.clock.now()).toISOString();
          images?.set(shared.amiId, newest);
        }
        const { main } = await runJob({ inputs: filled(stepOf(earlier).inputs, {}), env: simulator.env });
        expect([main.conclusion, main.annotations]).toEqual(['success', []]);
        nights.push(JSON.parse(main.outputs.targets ?? '') as TargetRecord[]);
      }
      simulator.setJob({ ...(environment && { environment }) });
      const recall = (restore: boolean) => {
        const reason = { 'inputs.reason': 'CVE-2026-1234', 'inputs.restore': String(restore) };
        const inputs = filled(written, { ...amiId(shared), ...reason });
        return runAction({ action: 'recall', inputs, env: simulator.env });
      };
      return { simulator, nights, recall };
    };
    const { simulator, nights: [before = [], recalled = []] = [], recall } = await recalledBy();
    const stateOf = ({ account, region, amiId }: TargetRecord) => imageIn(simulator, account, region, amiId).data.State;
    const inputs = { 'ssm-parameter': '/golden/latest' };
    expectParameters({ simulator, targets: recalled }, inputs);
    const { conclusion, annotations } = await recall(false);
    expect([conclusion, annotations]).toEqual(['success', []]);
    expect(recalled.map(stateOf)).toEqual(Array(4).fill('disabled'));
    expect(before.map(stateOf)).toEqual(Array(4).fill('available'));
    expectParameters({ simulator, targets: before }, inputs);
    expect((await recall(true)).conclusion).toBe('success');
    expect(recalled.map(stateOf)).toEqual(Array(4).fill('available'));
    // Parameters stay where the recall has moved them.
    expectParameters({ simulator, targets: before }, inputs);
    await simulator.close();

    // What the header names is needed, and told.
    const without = await recalledBy('Parameter');
    const lacking = await without.recall(false);
    await without.simulator.close();
    expect(lacking.conclusion).toBe('failure');
    expect(lacking.annotations.map(({ message }) => message).join('\n')).toContain(
      'where templates/ made the role, set Parameter=golden/latest; else',
    );
  });

  test('audit.yml: what is in step is left, and what is missing is shared', async () => {
    const workflow = read('examples/audit.yml');
    const { inputs: asked, environment } = stepOf(workflow);
    const options = { targets: both, regions: ['eu-west-1', 'us-west-2'] };
    const shared = setUp(standardCase(options), options, { workflow, environment });
    const simulator = await startSimulator(shared.scenario);
    const share = (outputs: Env) => {
      const contexts = Object.entries(outputs).map(([name, value]) => [`needs.audit.outputs.${name}`, value]);
      return runJob({ inputs: filled(stepOf(workflow, 1).inputs, Object.fromEntries(contexts)), env: simulator.env });
    };
    const audit = () => runAction({ action: 'audit', inputs: filled(asked, {}), env: simulator.env });
    const all = both.flatMap((account) => options.regions.map((region) => ({ account, region })));
    const first = { 'missing-targets': JSON.stringify(all.slice(1)), 'source-ami-id': shared.amiId };
    expect((await share(first)).main.conclusion).toBe('success');
    // In the account that is new.
    const { conclusion, outputs } = await audit();
    expect([conclusion, JSON.parse(outputs['missing-targets'] ?? '')]).toEqual(['success', all.slice(0, 1)]);
    expect((await share(outputs)).main.conclusion).toBe('success');
    expect((await audit()).outputs).toMatchObject({ 'in-step': 'true', findings: '[]' });
    await simulator.close();
  });

  test('karpenter.yml: Karpenter finds the AMI once it is published, and none that could not be', async () => {
    const workflow = read('examples/karpenter.yml');
    const { inputs: written, environment } = stepOf(workflow);
    const denied = { kind: 'refusal', code: 'AccessDeniedException', message: 'denied', status: 400 } as const;
    const faults = [{ ...denied, action: 'CreateGrant', holds: 'role/karpenter', mutating: true }];
    const foundBy = async (options: StandardOptions) => {
      const shared = withServiceRoles(setUp(standardCase(options), options, { workflow, environment }));
      const simulator = await startSimulator(shared.scenario);
      const { main } = await runJob({ inputs: filled(written, amiId(shared)), env: simulator.env });
      const targets = JSON.parse(main.outputs.targets ?? '') as TargetRecord[];
      const there = [...(simulator.world.accounts[targetAccount]?.regions.get(targetRegion)?.images.values() ?? [])];
      const found = there.filter(({ data }) => isSelected(data.Tags, selectorIn(workflow)));
      await simulator.close();
      return {
        conclusion: main.conclusion,
        there: there.length,
        targets,
        found: found.map(({ data }) => data.ImageId),
      };
    };
    const published = await foundBy({});
    expect(published).toMatchObject({ conclusion: 'success', there: 1 });
    expect(published.found).toEqual(published.targets.map((target) => target.amiId));
    expect(await foundBy({ faults })).toMatchObject({ conclusion: 'failure', there: 1, found: [] });
  });
});

describe('each parameter that a header names is needed', () => {
  const cases = Object.entries(plays).flatMap(([file, steps]) =>
    steps.flatMap((play, index) => {
      const workflow = read(`examples/${file}`);
      const { action, environment } = stepOf(workflow, index);
      // What an audit takes is shown action by action in audit.test.ts, and a recall's above.
      if (action !== 'share') return [];
      const own = headerOf(workflow).filter((one) => (one.environment ?? environment) === environment);
      const names = own.flatMap(({ parameters }) => Object.keys(parameters)).filter((name) => name !== 'Audit');
      return [...new Set(names)].map((without) => ({ file, index, play, workflow, without }));
    }),
  );
  test.each(cases)('$file, step $index, without $without', async ({ index, play, workflow, without }) => {
    const { inputs: written, environment } = stepOf(workflow, index);
    const { options = {}, pullRequest = false } = play;
    const shared = withServiceRoles(setUp(standardCase(options), options, { workflow, environment, without }));
    // Where AWS looks for the AMI first, it tells nobody beforehand who may not publish one that is yet to be made.
    const rules = { ...shared.scenario.rules, order: 'authorization' as const };
    const simulator = await startSimulator({ ...shared.scenario, rules });
    simulator.setJob({ ...(environment && { environment }), pullRequest });
    const inputs = filled(written, play.contexts?.(shared, { digest: '', plan: '' }) ?? {});
    const { main } = await runJob({
      inputs: { ...inputs, 'expect-plan-digest': '', 'expect-plan-file': '', 'dry-run': 'true' },
      env: simulator.env,
    });
    await simulator.close();
    expect(main.conclusion).toBe('failure');
    // What mends it is the parameter, before any statement.
    const told = main.annotations.map(({ message }) => message).join('\n');
    for (const remedy of told.split('What to do: ').slice(1))
      expect(remedy).toMatch(new RegExp(`where templates/ made .*${without}`));
  });
});
