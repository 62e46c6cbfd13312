import type { PlatformValues } from '@aws-sdk/client-ec2';
import {
  type AccountScenario,
  type AmiScenario,
  amiIdOf,
  type KeyScenario,
  keyArnOf,
  type RegionScenario,
  type Scenario,
  type VolumeScenario,
} from '../scenario.ts';
import { oidcIn, publishedPolicy, workflowRole } from './common.ts';

export const sourceAccount = '111111111111';
export const sourceRegion = 'us-east-1';
export const targetAccount = '999999999999';
export const targetRegion = 'eu-west-1';

/** As AWS answers it; the SDK's type knows it with a capital only. */
export const windowsPlatform = 'windows' as string as PlatformValues;

export type StandardOptions = Readonly<{
  ami?: Partial<AmiScenario>;
  volumes?: readonly VolumeScenario[];
  targets?: readonly string[];
  regions?: readonly string[];
  partition?: string;
  /** `us-east-1` unless named. */
  sourceRegion?: string;
  /** Published policies besides the basic ones, by file name: `source-route-copy`, `target-retain`, … */
  policies?: readonly string[];
  /** Regions in which the source account has its key too, under the same alias, and the policy for hubs. */
  hubs?: readonly string[];
  /** More of the source account's region: instances, parameters, settings. */
  source?: RegionScenario;
  /** The target key of each, where it isn't as KMS makes keys. */
  targetKey?: KeyScenario;
  /** More of each target's region. */
  target?: RegionScenario;
}> &
  Omit<Scenario, 'accounts'>;

/** The inputs that go with a scenario, as a workflow's `with:` has them. */
export type Inputs = Readonly<Record<string, string>>;

/** A scenario with the inputs that share its AMI. */
export type Case = Readonly<{ scenario: Scenario; inputs: Inputs; amiId: string }>;

/**
 * One source account with an AMI and a customer managed key, and target accounts × regions with a customer managed key each; the roles
 * have exactly the published policies.
 */
export function standardCase(options: StandardOptions = {}): Case {
  const {
    ami,
    volumes = [{ device: '/dev/xvda', sizeGiB: 8 }],
    targets = [targetAccount],
    regions = [targetRegion],
    policies = [],
    hubs = [],
    partition = 'aws',
    sourceRegion: from = sourceRegion,
    source: more,
    target: moreThere,
    targetKey = {},
    ...rest
  } = options;
  const name = ami?.name ?? 'golden-image';
  const sourceKey = keyArnOf(sourceAccount, from, 'cmkSource');
  const values = {
    'source-key-arn': sourceKey,
    partition,
    'source-region': from,
    'source-account': sourceAccount,
    'target-account': targets,
    parameter: 'golden/*',
    'launch-template': '*',
    'hub-region': hubs,
    'hub-key-arn': hubs.map((region) => keyArnOf(sourceAccount, region, 'cmkSource')),
  };
  const features = hubs.length > 0 ? [...policies, 'source-regional-hub', 'target-regional-hub'] : policies;
  const sourcePolicies = ['source-role', ...features.filter((policy) => policy.startsWith('source-'))];
  const source: AccountScenario = {
    partition,
    oidc: oidcIn(partition),
    roles: {
      'ami-source': workflowRole(
        sourceAccount,
        sourcePolicies.map((policy) => publishedPolicy(policy, values)),
        partition,
      ),
    },
    regions: {
      [from]: {
        ...more,
        keys: { cmkSource: {}, other: {} },
        amis: [{ tags: { Name: 'golden', team: 'platform' }, ...ami, name, volumes }, ...(more?.amis ?? [])],
      },
      ...Object.fromEntries(hubs.map((region) => [region, { keys: { cmkSource: {} } }])),
    },
  };
  const accounts: Record<string, AccountScenario> = { [sourceAccount]: source };
  for (const account of targets) {
    const keys = regions.map((region) => keyArnOf(account, region, 'cmkTarget'));
    const targetPolicies = ['target-role', ...features.filter((policy) => policy.startsWith('target-'))];
    const role = workflowRole(
      account,
      targetPolicies.map((policy) =>
        publishedPolicy(policy, {
          ...values,
          'target-key-arn': keys,
          'target-account': account,
          'boot-role-arn': `arn:${partition}:iam::${account}:role/boot-*`,
          'grantee-arn': ['aws-service-role/autoscaling.amazonaws.com/*', 'app-*'].map(
            (role) => `arn:${partition}:iam::${account}:role/${role}`,
          ),
        }),
      ),
      partition,
    );
    // The source account may be a target of its own.
    const known = accounts[account];
    const places = regions.map((region): [string, RegionScenario] => {
      const there = known?.regions?.[region];
      return [region, { ...there, ...moreThere, keys: { ...there?.keys, cmkTarget: targetKey } }];
    });
    accounts[account] = {
      partition,
      oidc: oidcIn(partition),
      roles: { ...known?.roles, 'ami-target': role },
      regions: { ...known?.regions, ...Object.fromEntries(places) },
    };
  }
  return {
    scenario: { accounts, ...rest },
    amiId: ami?.id ?? amiIdOf(sourceAccount, from, name),
    inputs: {
      'ami-id': ami?.id ?? amiIdOf(sourceAccount, from, name),
      'source-region': from,
      'source-role-arn': `arn:${partition}:iam::${sourceAccount}:role/ami-source`,
      'source-kms-key': 'alias/cmkSource',
      'target-accounts': targets.join('\n'),
      'target-regions': regions.join('\n'),
      'target-role-arn': `arn:${partition}:iam::{account}:role/ami-target`,
      'target-kms-key': 'alias/cmkTarget',
    },
  };
}

/** The case of AWS's article: an unencrypted AMI of one volume to one account and region. */
export const procedure = (options: StandardOptions = {}): Case => standardCase(options);

/** The same AMI to several accounts and regions at once. */
export const fanOut = (options: StandardOptions = {}): Case =>
  standardCase({
    targets: ['999999999999', '222222222222'],
    regions: ['eu-west-1', 'us-west-2', 'ap-southeast-2'],
    ...options,
  });

/** An AMI whose snapshot is under a customer managed key already: no encrypted copy is needed. */
export const customerKey = (options: StandardOptions = {}): Case =>
  standardCase({ volumes: [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }], ...options });

/** An AMI under the AWS managed key, which can't be shared. */
export const awsEbs = (options: StandardOptions = {}): Case =>
  standardCase({ volumes: [{ device: '/dev/xvda', sizeGiB: 8, key: 'aws/ebs' }], ...options });

/** Four volumes of different types, an instance-store and a suppressed device, and every attribute that can be set. */
export const mixedVolumes = (options: StandardOptions = {}): Case =>
  standardCase({
    ami: {
      name: 'golden-mixed',
      uefiData: 'QU1aTlVFRkk=',
      attributes: {
        Architecture: 'arm64',
        BootMode: 'uefi',
        TpmSupport: 'v2.0',
        ImdsSupport: 'v2.0',
        SriovNetSupport: 'simple',
        Description: 'Golden image with everything',
      },
      tags: { Name: 'golden', 'cost center': 'a/b' },
    },
    volumes: [
      { device: '/dev/xvda', sizeGiB: 8, type: 'gp3', iops: 4000, throughput: 250, tags: { disk: 'root' } },
      { device: '/dev/sdb', sizeGiB: 20, type: 'io2', iops: 1000, deleteOnTermination: false },
      { device: '/dev/sdc', sizeGiB: 125, type: 'st1' },
      { device: '/dev/sdd', sizeGiB: 4, type: 'gp2' },
      { device: '/dev/sde', instanceStore: 'ephemeral0' },
      { device: '/dev/sdf', noDevice: true },
      { device: '/dev/sdg', sizeGiB: 10, blank: { encrypted: true } },
    ],
    // The key of the volume without a snapshot.
    target: { settings: { defaultKey: keyArnOf(targetAccount, targetRegion, 'cmkTarget') } },
    ...options,
  });
