import { amiIdOf } from '../simulator/scenario.ts';
import { subject } from '../simulator/scenarios/common.ts';
import {
  type Case,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import { regionOf } from '../simulator/world.ts';
import type { InUse, RecalledTarget } from '../src/outcome.ts';
import { runAction, runJob, type Simulator, settledMs, startAction, startSimulator } from './in-process.ts';
import { deploy } from './stacks.ts';

export const accounts = [targetAccount, '222222222222'];
export const both = accounts.map((account) => [account, targetRegion] as const);
export const older = 'ami-00000000000000001';
export const mark = 'share-encrypted-ami:recalled';
export const published = {
  lineage: 'golden',
  'ssm-parameter': '/golden/latest',
  'launch-template': 'web',
  'launch-template-default': 'true',
  'deprecate-after': '90d',
};
/** An AMI that is not encrypted, so that CopyImage takes it through an encrypted copy. */
const plain = { name: 'plain', volumes: [{ device: '/dev/xvda', sizeGiB: 8 }] };
export const plainId = amiIdOf(sourceAccount, sourceRegion, plain.name);
export const ids = ['golden-1', 'golden-2'].map((name) => amiIdOf(sourceAccount, sourceRegion, name));
export const [first = '', second = ''] = ids;

/** Two bakes of a lineage, and beside the sharing roles those for a recall, as the templates make them. */
export function recallable(parameter = 'golden/*'): Case {
  const volumes = [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }];
  const given = standardCase({
    ...{ volumes, targets: accounts, timings: { baseSeconds: 60, secondsPerGiB: 0 } },
    policies: [
      ...['target-retain', 'target-publish', 'target-ssm-parameter', 'target-launch-template'],
      ...['source-route-copy', 'target-route-copy'],
    ],
    ami: { name: 'golden-1' },
    source: { amis: [{ name: 'golden-2', volumes }, plain] },
    target: { launchTemplates: { web: { versions: [older] } }, parameters: { '/golden/latest': older } },
  });
  const scenario = [sourceAccount, ...accounts].reduce((all, account) => {
    const [file, features] =
      account === sourceAccount
        ? ['source-recall.yaml', { IncludeSource: 'true' }]
        : ['target-recall.yaml', { Parameter: parameter, LaunchTemplate: '*' }];
    const parameters = { Subject: subject, ...(features as Record<string, string>) };
    return deploy(all, { file, account, region: sourceRegion, parameters }).scenario;
  }, given.scenario);
  return { ...given, scenario };
}

export async function bake(shared: Case, simulator: Simulator, inputs: Record<string, string>) {
  await simulator.clock.sleep(settledMs);
  const run_id = String(simulator.calls.length + 1);
  const asked = { ...shared.inputs, ...published, ...inputs };
  const { main } = await runJob({ inputs: asked, env: simulator.env, github: { run_id } });
  return { ...main, said: main.annotations.map(({ message }) => message).join('\n') };
}

export function runOf(shared: Case, simulator: Simulator, { machine = 'one', ...inputs }: Record<string, string>) {
  const { 'source-region': region = '', 'target-accounts': to = '', 'target-regions': regions = '' } = shared.inputs;
  return {
    ...{ action: 'recall' as const, machine, env: simulator.env },
    inputs: {
      ...{ 'ami-id': second, reason: 'CVE-2026-1234: {{a}} “bad” default', 'source-region': region },
      ...{ 'target-accounts': to, 'target-regions': regions },
      ...{ 'ssm-parameter': '/golden/latest', 'launch-template': 'web' },
      'source-role-arn': `arn:aws:iam::${sourceAccount}:role/ami-recall-source`,
      'target-role-arn': 'arn:aws:iam::{account}:role/ami-recall-target',
      ...inputs,
    },
    github: { run_id: '99', sha: 'f'.repeat(40) },
  };
}

export async function recall(shared: Case, simulator: Simulator, inputs: Record<string, string> = {}) {
  await simulator.clock.sleep(settledMs);
  const result = await runAction(runOf(shared, simulator, inputs));
  return {
    ...result,
    targets: JSON.parse(result.outputs.targets || '[]') as RecalledTarget[],
    inUse: JSON.parse(result.outputs['in-use'] || '[]') as InUse[],
    said: result.annotations.map(({ message }) => message).join('\n'),
  };
}

/** What a target has of a source AMI, and what names an AMI there. */
export function lookAt(simulator: Simulator, [account, region]: readonly [string, string]) {
  const here = regionOf(simulator.world, account, region);
  const images = [...here.images.values()];
  const of = (source: string) =>
    images.find(({ data }) => data.Tags.some(({ Key, Value }) => Key?.endsWith(':source-ami') && Value === source));
  const [template] = here.launchTemplates.values();
  const named = (number: number | undefined) =>
    template?.versions.find((one) => one.number === number)?.data.ImageId ?? '';
  return {
    here,
    of,
    template,
    parameter: here.parameters.get('/golden/latest')?.value ?? '',
    launched: named(template?.defaultVersion),
    latest: named(Math.max(...(template?.versions.map(({ number }) => number) ?? []))),
    records: [...here.parameters.keys()].filter((name) => name.startsWith('/share-encrypted-ami/recalled/')),
  };
}

export const markOf = (
  image: { data: { Tags: { Key?: string | undefined; Value?: string | undefined }[] } } | undefined,
) => image?.data.Tags.find(({ Key }) => Key === mark)?.Value;

/** Both bakes are shared. */
export async function shared(inputs: Record<string, string> = {}, parameter?: string) {
  const given = recallable(parameter);
  const simulator = await startSimulator(given.scenario);
  for (const id of ids) {
    const { said } = await bake(given, simulator, { 'ami-id': id, ...inputs });
    if (said !== '') throw new Error(said);
  }
  return { given, simulator };
}

/** A run of a recall that is killed at its nth call, and how many it made by then; without a number, none is. */
export async function killedAtCall(
  simulator: Simulator,
  run: ReturnType<typeof runOf>,
  nth = Number.POSITIVE_INFINITY,
): Promise<number> {
  const running = startAction(run);
  let count = 0;
  simulator.onCall(({ client }) => {
    if (client !== running.client) return;
    count += 1;
    if (count === nth) running.kill();
  });
  await running.result.catch(() => undefined);
  return count;
}
