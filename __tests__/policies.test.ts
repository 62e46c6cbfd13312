import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { keyArnOf, type RoleScenario, type Scenario } from '../simulator/scenario.ts';
import { oidc, publishedPolicy, workflowRole } from '../simulator/scenarios/common.ts';
import {
  type Case,
  customerKey,
  fanOut,
  mixedVolumes,
  procedure,
  type StandardOptions,
  sourceAccount,
  standardCase,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import type { PolicyDocument } from '../simulator/world.ts';
import { expectUntouched, share } from './shared-case.ts';

/*
 * The published policies are exactly enough: with them every case passes, with one action less a case fails and
 * preflight names the action, and more resources or fewer conditions are not needed.
 */

type Statement = { Sid?: string; Action: string | string[]; Resource: string | string[]; Condition?: unknown };

function statementsOf(policy: PolicyDocument): Statement[] {
  return policy.Statement as Statement[];
}

const described = { attributes: { Description: 'A golden image' } };
const targetKey = keyArnOf(targetAccount, targetRegion, 'cmkTarget');
const slrName = 'aws-service-role/autoscaling.amazonaws.com/';
const instance = { id: 'i-0123456789abcdef0', volumes: [{ device: '/dev/xvda', sizeGiB: 8 }] };

type Feature = { of: (options: StandardOptions) => Case; options: StandardOptions; inputs?: Record<string, string> };

/** A case for each set of policies; each takes all that its files allow. */
const features: Record<string, Feature> = {
  basic: { of: procedure, options: {} },
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
    options: {
      target: {
        amis: [
          {
            name: 'golden-old',
            tags: { 'share-encrypted-ami:source-ami': procedure().amiId },
            volumes: [{ device: '/dev/xvda', key: 'cmkTarget' }],
          },
        ],
      },
    },
    inputs: { 'on-existing': 'replace', 'target-ami-name': '{name}-{run-id}' },
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
  'a customer key': { of: customerKey, options: {} },
  'route copy': {
    of: procedure,
    options: { ami: described, policies: ['source-route-copy', 'target-route-copy'] },
    inputs: { route: 'copy' },
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
    options: { policies: ['target-publish', 'target-ssm-parameter', 'target-retain'] },
    inputs: {
      'deprecate-after': '30d',
      'deregistration-protection': 'on',
      'fast-snapshot-restore': 'all',
      'launch-permissions': '222222222222',
      'ssm-parameter': '/golden/latest',
      retain: '3',
      'grant-key-to': `arn:aws:iam::{account}:role/${slrName}AWSServiceRoleForAutoScaling`,
    },
  },
};

function caseOf(name: string, kmsNeeds: Scenario['kmsNeeds'] = 'documented'): Case {
  const feature = features[name];
  if (feature === undefined) throw new Error(`no case ${name}`);
  const shared = feature.of({ kmsNeeds, ...feature.options });
  const scenario = structuredClone(shared.scenario) as {
    accounts: Record<string, { roles: Record<string, RoleScenario> }>;
  };
  for (const [id, { roles }] of Object.entries(scenario.accounts))
    if (id !== sourceAccount) roles.AWSServiceRoleForAutoScaling = { ...workflowRole(id), path: slrName };
  return { ...shared, scenario: scenario as never, inputs: { ...shared.inputs, ...feature.inputs } };
}

/** The policies of a case's roles, changed. */
function changed(shared: Case, change: (statement: Statement, account: string) => Statement | undefined): Case {
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

describe('with the published policies every case passes', () => {
  test.each(
    Object.keys(features).flatMap((name) =>
      (['documented', 'measured'] as const).map((needs) => [name, needs] as const),
    ),
  )('%s, by the %s needs', async (name, needs) => {
    const { main, error } = await share(caseOf(name, needs));
    expect(error).toBe('');
    expect(main.annotations).toEqual([]);
  });
});

/** The case that takes an action, where it is not the first whose policies have it. */
const takenBy: Record<string, string> = {
  'source-role ec2:CopySnapshot': 'mixed encryption',
  'source-role ec2:DescribeImageAttribute': 'UEFI and several volumes',
  'target-role ec2:DescribeImageAttribute': 'UEFI and several volumes',
  'target-role ec2:DescribeLockedSnapshots': 'replacing',
  'target-role ec2:GetEbsEncryptionByDefault': 'a volume without a snapshot',
  'target-role ec2:GetEbsDefaultKmsKeyId': 'a volume without a snapshot',
  'source-regional-hub': 'hubs, by route copy',
  'target-regional-hub': 'hubs, by route copy',
};

function featureOf(file: string, action: string): string {
  const known = takenBy[`${file} ${action}`] ?? takenBy[file];
  if (known !== undefined) return known;
  if (file === 'source-role' || file === 'target-role') return 'basic';
  const found = Object.entries(features).find(([, { options }]) => options.policies?.includes(file));
  if (found === undefined) throw new Error(`no case has ${file}`);
  return found[0];
}

const files = readdirSync(new URL('../policies/', import.meta.url)).map((file) => file.replace('.json', ''));
const permissions = files.filter((file) => /^(source|target)-/.test(file));
const keyPolicies = files.filter((file) => file.startsWith('key-of-'));

/** No call can tell these beforehand without doing what they allow: the run's own error names them. */
const foundLater = new Set([
  'source-key-policy kms:PutKeyPolicy',
  'target-ssm-parameter ssm:PutParameter',
  'target-ssm-parameter ssm:AddTagsToResource',
]);
/** A case fails without these only where something has to be taken back that this case doesn't leave. */
const forCleaningUp = new Set([
  'source-role kms:ListGrants',
  'source-regional-hub kms:ListGrants',
  'target-ssm-parameter ssm:DeleteParameter',
  'target-role ec2:DeleteSnapshot',
  'target-role ec2:DeregisterImage',
  'source-regional-hub ec2:DeleteTags',
]);

describe('with one action less, preflight names it, and the case fails', () => {
  const removals = permissions.flatMap((file) => {
    const policy = JSON.parse(readFileSync(new URL(`../policies/${file}.json`, import.meta.url), 'utf8'));
    return statementsOf(policy).flatMap(({ Sid = '', Action }) =>
      [Action].flat().map((action) => [file, action, Sid] as const),
    );
  });

  test.each(removals)('%s without %s (%s)', async (file, action, sid) => {
    const account = file.startsWith('source-') ? sourceAccount : undefined;
    const shared = changed(caseOf(featureOf(file, action)), (statement, at) => {
      const fits = statement.Sid === sid && (account === undefined ? at !== sourceAccount : at === account);
      if (!fits) return statement;
      const kept = [statement.Action].flat().filter((one) => one !== action);
      return kept.length === 0 ? undefined : { ...statement, Action: kept };
    });
    const dry = await share(shared, { 'dry-run': 'true' });
    expectUntouched(dry);
    const told = dry.main.annotations.map(({ message }) => message).join('\n');
    const name = `${file} ${action}`;
    if (!foundLater.has(name) && name !== 'target-ssm-parameter ssm:DeleteParameter') expect(told).toContain(action);
    // What stops the dry run stops the run; a warning may turn out to have been right.
    if (dry.main.conclusion === 'failure' || forCleaningUp.has(name)) return;
    const real = await share(shared);
    const said = real.main.annotations.map(({ message }) => message).join('\n');
    expect(said).not.toBe('');
    if (foundLater.has(name)) expect(said).toContain(action);
  });
});

describe('statements for keys whose policies do not leave it to IAM', () => {
  const administrators: PolicyDocument = {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'Administrators',
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${sourceAccount}:role/key-administrator` },
        Action: ['kms:PutKeyPolicy', 'kms:DescribeKey'],
        Resource: '*',
      },
    ],
  };

  /** The basic case; each key's policy is of the statements of these files, and the roles' own policies allow no use of it. */
  function keyedCase(files: readonly string[], without?: string): Case {
    const shared = caseOf('basic');
    const policyOf = (side: string): PolicyDocument => ({
      ...administrators,
      Statement: [
        ...statementsOf(administrators),
        ...files
          .filter((file) => file.startsWith(`key-of-${side}`))
          .flatMap((file) =>
            statementsOf(
              publishedPolicy(file, {
                'source-role-arn': `arn:aws:iam::${sourceAccount}:role/ami-source`,
                'target-role-arn': `arn:aws:iam::${targetAccount}:role/ami-target`,
              }),
            ),
          )
          .map((statement) => ({
            ...statement,
            Action: [statement.Action].flat().filter((action) => action !== without),
          })),
      ] as never,
    });
    const accounts = structuredClone(shared.scenario.accounts) as unknown as Record<
      string,
      { regions: Record<string, { keys: Record<string, { policy?: PolicyDocument }> }> }
    >;
    for (const { regions } of Object.values(accounts))
      for (const { keys } of Object.values(regions)) {
        if (keys.cmkSource) keys.cmkSource = { policy: policyOf('source') };
        if (keys.cmkTarget) keys.cmkTarget = { policy: policyOf('target') };
      }
    // A key in the role's own account that names the role needs nothing of the role's policies.
    const own: Record<string, string> = { [sourceAccount]: 'UseTheSourceKey', [targetAccount]: 'UseTheTargetKey' };
    const keyed = { ...shared, scenario: { ...shared.scenario, accounts: accounts as never } };
    return changed(keyed, (statement, account) => (statement.Sid === own[account] ? undefined : statement));
  }

  const byGrant = ['key-of-source', 'key-of-target'];

  test('with both, a run by grants passes', async () => {
    const { main, error } = await share(keyedCase(byGrant));
    expect(error).toBe('');
    expect(main.annotations).toEqual([]);
  });

  test('with the targets named too, a run on existing access passes', async () => {
    const { main, error } = await share(keyedCase([...byGrant, 'key-of-source-existing']), {
      'source-key-access': 'existing',
    });
    expect(error).toBe('');
    expect(main.annotations).toEqual([]);
  });

  test.each(
    keyPolicies.flatMap((file) =>
      statementsOf(
        JSON.parse(readFileSync(new URL(`../policies/${file}.json`, import.meta.url), 'utf8')) as PolicyDocument,
      ).flatMap(({ Action }) => [Action].flat().map((action) => [file, action] as const)),
    ),
  )('%s without %s: the dry run names it', async (file, action) => {
    const existing = file === 'key-of-source-existing';
    // Where one file's action is taken out, another's must not make up for it.
    const dry = await share(keyedCase(existing ? [...byGrant, file] : byGrant, action), {
      'dry-run': 'true',
      ...(existing && { 'source-key-access': 'existing' }),
    });
    expectUntouched(dry);
    expect(dry.main.annotations.map(({ message }) => message).join('\n')).toContain(action);
  });
});

describe('nothing is wider than it need be', () => {
  test.each(permissions)('%s names actions, and resources where AWS knows any', (file) => {
    const policy = JSON.parse(readFileSync(new URL(`../policies/${file}.json`, import.meta.url), 'utf8'));
    for (const { Action, Resource } of statementsOf(policy)) {
      for (const action of [Action].flat()) expect(action).toMatch(/^[a-z0-9]+:[A-Za-z]+$/);
      // Reading has no resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
      if ([Resource].flat().includes('*'))
        for (const action of [Action].flat()) expect(action).toMatch(/:(Describe|List|Get)/);
    }
  });

  test('more resources change nothing', async () => {
    const loose = changed(caseOf('basic'), (statement) => ({ ...statement, Resource: '*' }));
    expect((await share(loose)).main).toMatchObject({ conclusion: 'success', annotations: [] });
  });
});

describe('trust policies', () => {
  const values = {
    ...{ owner: 'acme', 'owner-id': '1001', repository: 'images', 'repository-id': '2002' },
    ...{ branch: 'main', environment: 'production' },
  };
  const immutable = { subject: 'immutable' } as const;
  test.each<[string, NonNullable<Scenario['github']>, boolean]>([
    ['trust-branch', {}, true],
    ['trust-branch', { ref: 'refs/heads/feature' }, false],
    ['trust-branch', { repository: 'acme/other' }, false],
    ['trust-environment', { environment: 'production' }, true],
    ['trust-environment', {}, false],
    ['trust-immutable-branch', immutable, true],
    ['trust-immutable-branch', { ...immutable, repositoryId: '9' }, false],
    ['trust-immutable-environment', { ...immutable, environment: 'production' }, true],
    ['trust-immutable-environment', { ...immutable, environment: 'production', ownerId: '9' }, false],
  ])('%s for %j', async (file, github, passes) => {
    const shared = procedure();
    const scenario = structuredClone(shared.scenario) as {
      accounts: Record<string, { oidc: unknown; roles: Record<string, { trust: PolicyDocument }> }>;
      github: Scenario['github'];
    };
    scenario.github = github;
    for (const [account, one] of Object.entries(scenario.accounts)) {
      one.oidc = oidc;
      for (const role of Object.values(one.roles)) role.trust = publishedPolicy(file, { account, ...values });
    }
    const { main, error } = await share({ ...shared, scenario: scenario as never }, { 'dry-run': 'true' });
    expect(main.conclusion).toBe(passes ? 'success' : 'failure');
    if (!passes)
      expect(error).toMatch(/Not authorized to perform sts:AssumeRoleWithWebIdentity[\s\S]*trust policy must name/);
  });
});

test('every published policy is in use here', () => {
  const used = new Set(Object.values(features).flatMap(({ options }) => options.policies ?? []));
  const basic = ['source-role', 'target-role', 'source-regional-hub', 'target-regional-hub'];
  expect(permissions.filter((file) => !used.has(file) && !basic.includes(file))).toEqual([]);
  expect([...permissions, ...keyPolicies, ...files.filter((file) => file.startsWith('trust-'))].sort()).toEqual(
    files.toSorted(),
  );
  expect(targetAccount).toMatch(/^\d{12}$/);
});
