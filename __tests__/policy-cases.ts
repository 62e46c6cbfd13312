import { readdirSync, readFileSync } from 'node:fs';
import {
  type AmiScenario,
  amiIdOf,
  delegatingPolicy,
  keyArnOf,
  type RoleScenario,
  type Scenario,
} from '../simulator/scenario.ts';
import { workflowRole } from '../simulator/scenarios/common.ts';
import {
  type Case,
  customerKey,
  fanOut,
  mixedVolumes,
  procedure,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import type { PolicyDocument } from '../simulator/world.ts';
import { copiedFrom } from './shared-case.ts';

/* The published policies, the cases that take all that they allow, and how a case is played with others than these. */

export type Condition = Record<string, Record<string, string | string[]>>;
export type Statement = {
  Sid?: string;
  Effect: 'Allow' | 'Deny';
  Action: string | string[];
  Resource?: string | string[];
  NotResource?: string[];
  Condition?: Condition;
};

export function statementsOf(policy: PolicyDocument): Statement[] {
  return policy.Statement as Statement[];
}

export function statementsIn(file: string): Statement[] {
  return statementsOf(JSON.parse(readFileSync(new URL(`../policies/${file}.json`, import.meta.url), 'utf8')));
}

const described: Partial<AmiScenario> = { attributes: { Description: 'A golden image', ImdsSupport: 'v2.0' } };
const targetKey = keyArnOf(targetAccount, targetRegion, 'cmkTarget');
const slrName = 'aws-service-role/autoscaling.amazonaws.com/';
const instance = { id: 'i-0123456789abcdef0', volumes: [{ device: '/dev/xvda', sizeGiB: 8 }] };

/** An AMI that the action made of the same source. */
function earlier(name: string): AmiScenario {
  const tags = { 'share-encrypted-ami:source-ami': procedure().amiId };
  return {
    name,
    tags,
    volumes: [{ device: '/dev/xvda', key: 'cmkTarget', tags, copied: copiedFrom(procedure().amiId) }],
  };
}

/** The AMI before, of another source. */
const lastBake: AmiScenario = {
  name: 'last-bake',
  tags: {
    ...{ 'share-encrypted-ami:source-ami': 'ami-00000000000000009', 'share-encrypted-ami:lineage': 'golden' },
    'share-encrypted-ami:protection': 'on',
  },
  attributes: { DeregistrationProtection: 'enabled-without-cooldown' },
  volumes: [
    {
      ...{ device: '/dev/xvda', key: 'cmkTarget', tags: { 'share-encrypted-ami:source-ami': 'ami-00000000000000009' } },
      copied: copiedFrom('ami-00000000000000009', 'golden'),
    },
  ],
};

/** An AMI that others may launch, whose successor has been published for long. */
function sharedBake(name: string, more: Partial<AmiScenario>): AmiScenario {
  const superseded = `${amiIdOf(targetAccount, targetRegion, 'successor')} 2026-11-02T00:00:00Z`;
  const tags = { ...lastBake.tags, 'share-encrypted-ami:superseded': superseded };
  return { ...lastBake, name, tags, attributes: {}, launchPermissions: ['222222222222'], ...more };
}

/** What came after those. */
const successor: AmiScenario = {
  ...{ ...lastBake, name: 'successor', attributes: { CreationDate: '2026-11-02T00:00:00.000Z' } },
  tags: { ...lastBake.tags, 'share-encrypted-ami:published': '2026-11-02T00:00:00Z' },
};

/** What an AMI was copied from that is an encrypted copy no more. */
const former: AmiScenario = {
  ...{ name: 'former', volumes: [{ device: '/dev/xvda', key: 'cmkSource' }] },
  attributes: { SourceImageId: procedure().amiId, SourceImageRegion: sourceRegion },
};

function throughEncryptedCopy(name: string): AmiScenario {
  const SourceImageId = amiIdOf(sourceAccount, sourceRegion, 'former');
  const tags = { ...earlier(name).tags, 'share-encrypted-ami:encrypted-copy': SourceImageId };
  return { ...earlier(name), tags, attributes: { SourceImageId, SourceImageRegion: sourceRegion } };
}

type Feature = { of: (options: StandardOptions) => Case; options: StandardOptions; inputs?: Record<string, string> };

/** A case for each set of policies; each takes all that its files allow. */
export const features: Record<string, Feature> = {
  basic: { of: procedure, options: {} },
  'a scan gate': {
    of: procedure,
    options: {
      policies: ['source-scan'],
      ami: {
        scan: {
          results: { HighestFindingSeverityLabel: 'high' },
          findings: [{ SeverityLabel: 'high', FixAvailable: false }],
        },
      },
    },
    inputs: { 'max-severity': 'medium', 'fixable-only': 'true' },
  },
  'UEFI and several volumes': { of: mixedVolumes, options: {} },
  'a volume without a snapshot': {
    of: standardCase,
    options: {
      volumes: [{ device: '/dev/xvda' }, { device: '/dev/sdb', blank: { encrypted: false } }],
      target: { settings: { encryptionByDefault: true, defaultKey: targetKey } },
    },
  },
  replacing: {
    of: procedure,
    options: { target: { amis: [earlier('golden-old')] } },
    inputs: { 'on-existing': 'replace', 'target-ami-name': '{name}-{run-id}' },
  },
  'all regions': {
    of: procedure,
    options: { regions: [sourceRegion, targetRegion] },
    inputs: { 'target-regions': 'all' },
  },
  'taking over a name': {
    of: procedure,
    options: { target: { amis: [earlier('golden-image')] }, policies: ['target-recycle-bin'] },
    inputs: { 'on-existing': 'replace' },
  },
  'mixed encryption': {
    of: standardCase,
    options: {
      volumes: [
        { device: '/dev/xvda', key: 'cmkSource' },
        { device: '/dev/sdb', sizeGiB: 4 },
      ],
    },
  },
  'a customer managed key': { of: customerKey, options: {} },
  'route copy': {
    of: procedure,
    options: {
      ami: described,
      volumes: [{ device: '/dev/xvda', sizeGiB: 8, tags: { disk: 'root' } }],
      policies: ['source-route-copy', 'target-route-copy'],
    },
    inputs: { route: 'copy' },
  },
  'replacing by route copy': {
    of: procedure,
    options: {
      ami: described,
      policies: ['source-route-copy', 'target-route-copy'],
      source: { amis: [former] },
      target: { amis: [throughEncryptedCopy('golden-old')] },
    },
    inputs: { route: 'copy', 'on-existing': 'replace', 'target-ami-name': '{name}-{run-id}' },
  },
  'certain instance types': {
    of: procedure,
    options: {
      ami: { attributes: { InstanceTypeSpecification: { SupportedInstanceTypes: [{ InstanceType: 'm7i.large' }] } } },
      policies: ['target-instance-types'],
    },
  },
  'access by the key policy': {
    of: procedure,
    options: { policies: ['source-key-policy'] },
    inputs: { 'source-key-access': 'policy' },
  },
  'an SSM parameter as the source': {
    of: procedure,
    options: { policies: ['source-ssm-parameter'], source: { parameters: { '/golden/latest': procedure().amiId } } },
    inputs: { 'ami-id': '', 'ami-ssm-parameter': '/golden/latest' },
  },
  'an instance as the source': {
    of: procedure,
    options: { policies: ['source-instance'], source: { instances: [instance] } },
    inputs: { 'ami-id': '', 'instance-id': instance.id },
  },
  'hubs, by route copy': {
    of: fanOut,
    options: {
      ami: described,
      hubs: ['eu-west-1', 'us-west-2', 'ap-southeast-2'],
      policies: ['source-route-copy', 'target-route-copy'],
    },
    inputs: { topology: 'regional-hub', route: 'copy' },
  },
  publishing: {
    of: procedure,
    options: {
      policies: ['target-publish', 'target-grant-key', 'target-ssm-parameter', 'target-retain'],
      // The one before in the lineage.
      target: {
        amis: [lastBake],
        parameters: { '/golden/latest': { value: 'ami-00000000', versions: 120 } },
      },
      // Those that may launch can use the key, one by its policy and one by a grant.
      targetKey: {
        policy: openedPolicy(targetAccount, '222222222222'),
        grantedTo: ['arn:aws:iam::333333333333:role/app'],
      },
    },
    inputs: {
      'deprecate-after': '30d',
      'deregistration-protection': 'on',
      'fast-snapshot-restore': 'all',
      'launch-permissions': '222222222222\n333333333333',
      'ssm-parameter': '/golden/latest',
      lineage: 'golden',
      retain: '1',
      'grant-key-to': `arn:aws:iam::{account}:role/${slrName}AWSServiceRoleForAutoScaling`,
    },
  },
  'retaining what others may launch': {
    of: procedure,
    options: {
      policies: ['target-retain', 'target-retain-shared', 'target-publish'],
      // AWS is to be asked of the one, and has said that nobody uses the other.
      target: {
        amis: [sharedBake('asked', {}), sharedBake('reported', { usageReport: { hoursAgo: 24 } }), successor],
      },
      targetKey: { policy: openedPolicy(targetAccount, '222222222222') },
    },
    inputs: {
      ...{ lineage: 'golden', retain: '2', 'retain-shared': 'by-report' },
      'launch-permissions': '222222222222',
    },
  },
  'a launch template': {
    of: procedure,
    options: {
      policies: ['target-launch-template'],
      target: { launchTemplates: { web: { id: 'lt-0a0a0a0a', versions: ['ami-00000000'] } } },
    },
    inputs: { 'launch-template': 'web', 'launch-template-default': 'true' },
  },
  'a boot test': {
    of: procedure,
    options: {
      policies: ['target-boot-test', 'target-boot-role'],
      target: {
        launch: {
          subnets: [{ id: 'subnet-0a0a0a0a', zone: `${targetRegion}b`, tags: { tier: 'test' } }],
          groups: [{ id: 'sg-0a0a0a0a', tags: { tier: 'test' } }],
          profiles: { booted: 'boot-role' },
        },
      },
    },
    inputs: {
      'boot-test': 'ssm',
      'boot-subnet': 'tag:tier=test',
      'boot-security-group': 'sg-0a0a0a0a',
      'boot-instance-profile': 'booted',
    },
  },
};

/** The policy of a key that lets another account launch what is under it. */
export function openedPolicy(account: string, other: string): PolicyDocument {
  const { Statement, ...rest } = delegatingPolicy(account) as { Statement: object[] };
  const Action = ['kms:Decrypt', 'kms:DescribeKey', 'kms:GenerateDataKey*', 'kms:ReEncrypt*', 'kms:CreateGrant'];
  const Principal = { AWS: `arn:aws:iam::${other}:root` };
  return { ...rest, Statement: [...Statement, { Effect: 'Allow', Principal, Action, Resource: '*' }] };
}

export function caseOf(name: string, kmsNeeds: Scenario['kmsNeeds'] = 'documented'): Case {
  const feature = features[name];
  if (feature === undefined) throw new Error(`no case ${name}`);
  const timings = { secondsPerGiB: 0.01, baseSeconds: 0.1 };
  const shared = feature.of({ kmsNeeds, timings, ...feature.options });
  const scenario = structuredClone(shared.scenario) as {
    accounts: Record<string, { roles: Record<string, RoleScenario> }>;
  };
  for (const [id, { roles }] of Object.entries(scenario.accounts))
    if (id !== sourceAccount) roles.AWSServiceRoleForAutoScaling = { ...workflowRole(id), path: slrName };
  return { ...shared, scenario: scenario as never, inputs: { ...shared.inputs, ...feature.inputs } };
}

type Change = (statement: Statement, account: string) => Statement | undefined;

/** Changes the statement `sid` of `file`, and no other. */
export function inStatement(
  file: string,
  sid: string,
  change: (statement: Statement) => Statement | undefined,
): Change {
  return (statement, account) =>
    statement.Sid === sid && (account === sourceAccount) === file.startsWith('source-') ? change(statement) : statement;
}

/** The policies of a case's roles, changed. */
export function changed(shared: Case, change: Change): Case {
  const scenario = structuredClone(shared.scenario) as unknown as {
    accounts: Record<string, { roles: Record<string, { policies: PolicyDocument[] }> }>;
  };
  for (const [account, { roles }] of Object.entries(scenario.accounts))
    for (const role of Object.values(roles))
      role.policies = role.policies.map((policy) => ({
        ...policy,
        Statement: statementsOf(policy).flatMap((statement) => change(statement, account) ?? []),
      }));
  return { ...shared, scenario: scenario as never };
}

/** The case that takes an action, where it is not the first whose policies have it. */
const takenBy: Record<string, string> = {
  'source-role ec2:CopySnapshot': 'mixed encryption',
  'source-role ec2:DescribeImageAttribute': 'UEFI and several volumes',
  'target-role ec2:DescribeImageAttribute': 'UEFI and several volumes',
  'target-role ec2:DescribeRegions': 'all regions',
  'target-role ec2:DescribeLockedSnapshots': 'replacing',
  'target-role ec2:ListImagesInRecycleBin': 'taking over a name',
  'target-role ec2:GetEbsEncryptionByDefault': 'a volume without a snapshot',
  'target-role ec2:GetEbsDefaultKmsKeyId': 'a volume without a snapshot',
  'target-route-copy ec2:GetImageAncestry': 'replacing by route copy',
  'source-regional-hub': 'hubs, by route copy',
  'target-regional-hub': 'hubs, by route copy',
  'target-role TagWhatIsPublished': 'publishing',
  'target-retain ec2:DescribeImageUsageReports': 'retaining what others may launch',
  'target-retain ec2:DescribeImageUsageReportEntries': 'retaining what others may launch',
};

export function featureOf(file: string, action: string, sid = ''): string {
  const known = takenBy[`${file} ${sid}`] ?? takenBy[`${file} ${action}`] ?? takenBy[file];
  if (known !== undefined) return known;
  if (file === 'source-role' || file === 'target-role') return 'basic';
  const found = Object.entries(features).find(([, { options }]) => options.policies?.includes(file));
  if (found === undefined) throw new Error(`no case has ${file}`);
  return found[0];
}

export const files = readdirSync(new URL('../policies/', import.meta.url)).map((file) => file.replace('.json', ''));
/** Those for the actions audit and recall, which their own tests prove. */
export const otherPolicies = [
  ...['source-audit', 'target-audit', 'source-recall', 'source-recall-include', 'target-recall'],
  ...['target-recall-parameter', 'target-recall-launch-template'],
];
export const permissions = files.filter((file) => /^(source|target)-/.test(file) && !otherPolicies.includes(file));
export const keyPolicies = files.filter((file) => file.startsWith('key-of-'));
