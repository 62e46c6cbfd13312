import { expect, test } from '@jest/globals';
import { amiIdOf } from '../simulator/scenario.ts';
import { subject } from '../simulator/scenarios/common.ts';
import { sourceAccount, standardCase, targetAccount } from '../simulator/scenarios/standard.ts';
import { regionOf } from '../simulator/world.ts';
import { runAction, runJob, settledMs, startSimulator } from './in-process.ts';
import { deploy } from './stacks.ts';

/* A golden image's life where ARNs, hosts and consoles have other names. */

test.each([
  { partition: 'aws-cn', from: 'cn-north-1', region: 'cn-northwest-1', host: 'console.amazonaws.cn' },
  { partition: 'aws-us-gov', from: 'us-gov-west-1', region: 'us-gov-east-1', host: 'console.amazonaws-us-gov.com' },
])('shared, audited, recalled and restored in $partition', async ({ partition, from, region, host }) => {
  const volumes = [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }];
  const older = 'ami-00000000000000001';
  const shared = standardCase({
    ...{ partition, sourceRegion: from, regions: [region], volumes, ami: { name: 'golden-1' } },
    policies: ['target-retain', 'target-publish', 'target-ssm-parameter', 'target-launch-template', 'target-audit'],
    source: { amis: [{ name: 'golden-2', volumes }] },
    target: { launchTemplates: { web: { versions: [older] } }, parameters: { '/golden/latest': older } },
  });
  const recalling = { Subject: subject, Parameter: 'golden/*', LaunchTemplate: '*' };
  const deployments = [
    { file: 'source-recall.yaml', account: sourceAccount, parameters: { Subject: subject, IncludeSource: 'true' } },
    { file: 'target-recall.yaml', account: targetAccount, parameters: recalling },
  ];
  const scenario = deployments.reduce((all, one) => deploy(all, { ...one, region: from }).scenario, shared.scenario);
  const simulator = await startSimulator(scenario);
  const { env } = simulator;
  const published = { lineage: 'golden', 'ssm-parameter': '/golden/latest', 'launch-template': 'web' };
  const ids = ['golden-1', 'golden-2'].map((name) => amiIdOf(sourceAccount, from, name));
  for (const [index, id] of ids.entries()) {
    const inputs = { ...shared.inputs, ...published, 'ami-id': id };
    const { main } = await runJob({ inputs, env, github: { run_id: String(index) } });
    expect([main.conclusion, main.annotations]).toEqual(['success', []]);
    await simulator.clock.sleep(settledMs);
  }
  const here = regionOf(simulator.world, targetAccount, region);
  const organization = `arn:${partition}:organizations::${sourceAccount}`;
  const launchers = [`${organization}:organization/o-abcdefghij`, `${organization}:ou/o-abcdefghij/ou-abcd-12345678`];
  const [former, latest] = ids.map((id) =>
    [...here.images.values()].find(({ data }) =>
      data.Tags.some(({ Key, Value }) => Key?.endsWith(':source-ami') && Value === id),
    ),
  );
  const audited = async (inputs: Record<string, string> = {}) =>
    runAction({ action: 'audit', env, inputs: { ...shared.inputs, ...published, 'ami-id': '', ...inputs } });
  expect(await audited()).toMatchObject({ conclusion: 'success', annotations: [], outputs: { findings: '[]' } });
  for (const one of launchers) latest?.launch.add(one);

  const recall = async (inputs: Record<string, string> = {}) => {
    await simulator.clock.sleep(settledMs);
    const { 'source-region': there = '', 'target-accounts': to = '', 'target-regions': regions = '' } = shared.inputs;
    const roles = {
      'source-role-arn': `arn:${partition}:iam::${sourceAccount}:role/ami-recall-source`,
      'target-role-arn': `arn:${partition}:iam::{account}:role/ami-recall-target`,
    };
    const asked = { 'ami-id': ids[1] ?? '', reason: 'CVE', 'source-region': there };
    const places = { 'target-accounts': to, 'target-regions': regions };
    return runAction({ action: 'recall', env, inputs: { ...asked, ...places, ...roles, ...inputs } });
  };
  const { annotations, summary, outputs } = await recall({ 'include-source': 'true' });
  expect(annotations).toEqual([]);
  expect(summary).toContain(`https://${region}.${host}/`);
  expect(JSON.parse(outputs['in-use'] ?? '')).toEqual([]);
  expect([latest?.data.State, latest?.launch.size]).toEqual(['disabled', 0]);
  expect(here.parameters.get('/golden/latest')?.value).toBe(former?.data.ImageId);
  expect((await recall({ restore: 'true', 'include-source': 'true' })).annotations).toEqual([]);
  expect([latest?.data.State, [...(latest?.launch ?? [])].sort()]).toEqual(['available', launchers.toSorted()]);
  await simulator.close();
});
