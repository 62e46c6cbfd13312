import { readFileSync } from 'node:fs';
import { expect } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { keyArnOf, type RoleScenario } from '../simulator/scenario.ts';
import { publishedPolicy, workflowRole } from '../simulator/scenarios/common.ts';
import {
  type Case,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
} from '../simulator/scenarios/standard.ts';
import type { AuditFinding } from '../src/plan/audit.ts';
import { runAction, type Simulator } from './in-process.ts';

/* What an audit is played with: roles that may only read, and inputs that ask for all that is published. */

const both = [targetAccount, '222222222222'];
const regions = ['ap-southeast-2', 'eu-west-1', 'us-west-2'];
export const publishing = ['target-publish', 'target-grant-key', 'target-ssm-parameter', 'target-launch-template'];
export const published = {
  'deprecate-after': '90d',
  'deregistration-protection': 'on',
  'fast-snapshot-restore': 'all',
  'launch-permissions': '333333333333',
  'grant-key-to': 'arn:aws:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling',
  'ssm-parameter': '/golden/latest',
  'launch-template': 'web',
  'launch-template-default': 'true',
  lineage: 'golden of {region}',
  tags: 'bake={run-id}, {date}\nteam=platform of {account}',
  'target-ami-description': 'Golden of {date}',
};

/** A case with roles beside the sharing ones that may only read, by the published policies. */
export function auditable(given: Case): Case {
  const accounts = Object.fromEntries(
    Object.entries(given.scenario.accounts).map(([id, account]) => {
      const isSource = id === sourceAccount;
      const keys = Object.keys(account.regions ?? {}).map((region) => keyArnOf(id, region, 'cmkTarget'));
      const policy = publishedPolicy(isSource ? 'source-audit' : 'target-audit', {
        ...{ 'source-region': sourceRegion },
        ...{ 'target-account': id, 'target-key-arn': keys, parameter: 'golden/*' },
      });
      const serviceRole: RoleScenario = { ...workflowRole(id), path: 'aws-service-role/autoscaling.amazonaws.com/' };
      const roles = { ...account.roles, 'ami-audit': workflowRole(id, [policy]) };
      return [id, { ...account, roles: { ...roles, ...(!isSource && { AWSServiceRoleForAutoScaling: serviceRole }) } }];
    }),
  );
  return { ...given, scenario: { ...given.scenario, accounts } };
}

export const auditRoles = {
  'source-role-arn': `arn:aws:iam::${sourceAccount}:role/ami-audit`,
  'target-role-arn': 'arn:aws:iam::{account}:role/ami-audit',
};

/** An audit by roles that may only read, unless the inputs name others. */
export async function audit(shared: Case, simulator: Simulator, inputs: Record<string, string> = {}) {
  const calls = simulator.calls.length;
  const result = await runAction({
    action: 'audit',
    inputs: {
      ...{ ...shared.inputs, ...published },
      ...auditRoles,
      ...inputs,
    },
    env: simulator.env,
    github: { run_id: '99', sha: 'f'.repeat(40) },
  });
  expect(simulator.calls.slice(calls).filter(({ mutating }) => mutating)).toEqual([]);
  const findings = JSON.parse(result.outputs.findings || '[]') as AuditFinding[];
  return { ...result, findings, said: result.annotations.map(({ message }) => message).join('\n') };
}

export const withTemplate = { launchTemplates: { web: ['ami-0aaaaaaaaaaaaaaaa'] } };
export const standard = (options: StandardOptions = {}) =>
  auditable(standardCase({ policies: publishing, targets: both, regions, target: withTemplate, ...options }));

export function placeOf(simulator: Simulator, account: string, region: string) {
  const place = simulator.world.accounts[account]?.regions.get(region);
  const [image] = [...(place?.images.values() ?? [])].filter(({ data }) => data.State === 'available');
  if (place === undefined || image === undefined) throw new Error(`no AMI in ${account}/${region}`);
  return { place, image };
}

export const isValid = new Ajv2020({ allErrors: true }).compile(
  JSON.parse(readFileSync(new URL('../schemas/findings.schema.json', import.meta.url), 'utf8')),
);
