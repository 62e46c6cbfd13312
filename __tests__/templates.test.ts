import { readFileSync } from 'node:fs';
import { parse as parseHcl } from '@cdktf/hcl2json';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { templates } from '../scripts/templates.mjs';
import type { AccountScenario, RoleScenario } from '../simulator/scenario.ts';
import { keyArnOf } from '../simulator/scenario.ts';
import { subject } from '../simulator/scenarios/common.ts';
import { fanOut, type StandardOptions, sourceAccount, sourceRegion } from '../simulator/scenarios/standard.ts';
import type { PolicyDocument } from '../simulator/world.ts';
import { expectTargets, share } from './shared-case.ts';

/*
 * The templates give the accounts what the published policies say: made anew they are what is here, and the action runs
 * with the roles that they make, each feature turned on only where it is used.
 */

type Value = string | number | boolean | Value[] | { [key: string]: Value };
type Parameters = Readonly<Record<string, string>>;

const absent = Symbol('AWS::NoValue');

/** What CloudFormation makes of a template, as far as these use it. */
function resolve(template: Record<string, Value>, parameters: Parameters, attributes: Parameters) {
  const given = Object.fromEntries(
    Object.entries(template.Parameters as Record<string, { Default?: string }>).map(([name, { Default }]) => {
      const value = parameters[name] ?? Default;
      if (value === undefined) throw new Error(`the parameter ${name} is missing`);
      return [name, value];
    }),
  );
  const refer = (name: string): string => {
    const value = given[name] ?? attributes[name];
    if (value === undefined) throw new Error(`no ${name}`);
    return value;
  };
  const conditions = template.Conditions as Record<string, Value>;
  const holds = (condition: Value): boolean => {
    const [[how, what] = []] = Object.entries(condition as object) as [string, Value[]][];
    if (how === 'Fn::Not') return !holds(what?.[0] ?? '');
    if (how === 'Condition') return holds(conditions[String(what)] ?? '');
    if (how !== 'Fn::Equals') throw new Error(`no condition ${how}`);
    return walk(what?.[0] ?? '') === walk(what?.[1] ?? '');
  };
  const walk = (value: Value): unknown => {
    if (Array.isArray(value)) return value.map(walk).filter((one) => one !== absent);
    if (typeof value !== 'object') return value;
    const [[name, inner] = []] = Object.entries(value);
    if (name === 'Ref') {
      if (inner === 'AWS::NoValue') return absent;
      const { Type } = (template.Parameters as Record<string, { Type?: string }>)[String(inner)] ?? {};
      return Type === 'CommaDelimitedList' ? refer(String(inner)).split(',') : refer(String(inner));
    }
    if (name === 'Fn::Sub') return String(inner).replaceAll(/\$\{([^}]+)\}/g, (_, one: string) => refer(one));
    if (name === 'Fn::Join') {
      const [between, parts] = inner as [string, Value];
      return [walk(parts)].flat().join(between);
    }
    if (name === 'Fn::Split') {
      const [at, text] = inner as [string, Value];
      return String(walk(text)).split(at);
    }
    if (name === 'Fn::GetAtt') return refer((inner as string[]).join('.'));
    if (name === 'Fn::If') {
      const [condition, yes, no] = inner as Value[];
      return walk((holds(conditions[String(condition)] ?? '') ? yes : no) ?? '');
    }
    return Object.fromEntries(
      Object.entries(value).flatMap(([key, one]) => {
        const walked = walk(one);
        return walked === absent ? [] : [[key, walked]];
      }),
    );
  };
  const { Role, Key, Policy, ServiceControlPolicy } = walk(template.Resources ?? {}) as Partial<Resources>;
  return {
    ...{ role: Role?.Properties, key: Key?.Properties, policy: Policy?.Properties },
    controls: ServiceControlPolicy?.Properties,
  };
}

type Resources = Record<'Role', { Properties: RoleProperties }> &
  Record<'ServiceControlPolicy', { Properties: { TargetIds: string[]; Content: PolicyDocument } }> &
  Record<'Key', { Properties: KeyProperties }> &
  Record<'Policy', { Properties: { Roles: string[]; ManagedPolicyName: string; PolicyDocument: PolicyDocument } }>;

type RoleProperties = Readonly<{
  RoleName: string;
  AssumeRolePolicyDocument: PolicyDocument;
  Policies: { PolicyName: string; PolicyDocument: PolicyDocument }[];
}>;
type KeyProperties = Readonly<{ KeyPolicy: PolicyDocument }>;

const read = (path: string) => readFileSync(new URL(`../templates/${path}`, import.meta.url), 'utf8');

function stack(file: string, account: string, region: string, keyArn: string, parameters: Parameters) {
  const template = parse(read(file)) as Record<string, Value>;
  const attributes = {
    'AWS::Region': region,
    'AWS::AccountId': account,
    'AWS::Partition': 'aws',
    'Key.Arn': keyArn,
    Key: keyArn,
  };
  return resolve(template, { Subject: subject, ...parameters }, attributes);
}

function roleOf({ role }: ReturnType<typeof stack>, more: readonly PolicyDocument[]): [string, RoleScenario] {
  if (role === undefined) throw new Error('the template makes no role');
  const { RoleName, AssumeRolePolicyDocument, Policies } = role;
  const policies = [...Policies.map(({ PolicyDocument }) => PolicyDocument), ...more];
  return [RoleName, { trust: AssumeRolePolicyDocument, policies }];
}

/** The standard case, its accounts set up by the templates instead. */
function setUp(options: StandardOptions, source: Parameters, target: Parameters) {
  const shared = fanOut(options);
  const sourceKey = keyArnOf(sourceAccount, sourceRegion, 'cmkSource');
  const hubKeys = (options.hubs ?? []).map((region) => [region, keyArnOf(sourceAccount, region, 'cmkSource')] as const);
  const { TargetAccounts = '' } = source;
  const hubs = hubKeys.map(([region, keyArn]) =>
    stack('source-hub.yaml', sourceAccount, region, keyArn, { TargetAccounts }),
  );
  const ofHubs = hubs.flatMap(({ policy }) => (policy === undefined ? [] : [policy.PolicyDocument]));
  const accounts = Object.fromEntries(
    Object.entries(shared.scenario.accounts).map(([id, account]): [string, AccountScenario] => {
      const regions = Object.keys(account.regions ?? {});
      const stacks =
        id === sourceAccount
          ? [stack('source-account.yaml', id, sourceRegion, sourceKey, source), ...hubs]
          : regions.map((region) =>
              stack('target-account.yaml', id, region, keyArnOf(id, region, 'cmkTarget'), {
                SourceKeyArn: sourceKey,
                HubKeyArns: hubKeys.map(([, keyArn]) => keyArn).join(','),
                ...target,
              }),
            );
      const alias = id === sourceAccount ? 'cmkSource' : 'cmkTarget';
      const keyed = Object.fromEntries(
        Object.entries(account.regions ?? {}).map(([name, region], index) => {
          const policy = stacks[index]?.key?.KeyPolicy;
          return [name, { ...region, keys: { [alias]: policy ? { policy } : {} } }];
        }),
      );
      const made = id === sourceAccount ? stacks.slice(0, 1) : stacks;
      const roles = Object.fromEntries(made.map((one) => roleOf(one, id === sourceAccount ? ofHubs : [])));
      return [id, { ...account, roles, regions: keyed }];
    }),
  );
  return {
    ...shared,
    scenario: { ...shared.scenario, accounts },
    inputs: { ...shared.inputs, 'target-role-arn': 'arn:aws:iam::{account}:role/ami-target-{region}' },
  };
}

test('made anew from policies/, the templates are what is here', () => {
  for (const [path, content] of Object.entries(templates())) expect(read(path)).toBe(content);
});

describe('the action runs with what the CloudFormation templates make', () => {
  const grantee = 'arn:aws:iam::222222222222:role/ami-target-eu-west-1';

  test('as they are', async () => {
    const shared = setUp({}, {}, {});
    const result = await share(shared);
    expect(result.main.annotations).toEqual([]);
    expectTargets(result, shared.amiId);
  });

  test('with the features turned on that it uses', async () => {
    const shared = setUp(
      { ami: { attributes: { Description: 'A golden image' } } },
      { RouteCopy: 'true', KeyAccessByPolicy: 'true', TargetAccounts: '999999999999,222222222222' },
      {
        ...{ RouteCopy: 'true', Publish: 'true', Parameter: 'golden/latest', Retain: 'true', BootTest: 'true' },
        GrantKeyTo: `arn:aws:iam::999999999999:role/app,${grantee}`,
      },
    );
    const inputs = {
      route: 'copy',
      'source-key-access': 'policy',
      'grant-key-to': grantee,
      'deprecate-after': '30d',
      'ssm-parameter': '/golden/latest',
      'boot-test': 'status',
      retain: '2',
    };
    const result = await share(shared, inputs);
    expect(result.main.annotations).toEqual([]);
    expect(result.targets.map(({ status }) => status)).toEqual(Array(6).fill('created'));
  });

  test('with a hub in each region, and the accounts named', async () => {
    const hubs = ['eu-west-1', 'us-west-2', 'ap-southeast-2'];
    const shared = setUp({ hubs }, { TargetAccounts: '999999999999,222222222222' }, {});
    const result = await share(shared, { topology: 'regional-hub' });
    expect(result.main.annotations).toEqual([]);
    expectTargets(result, shared.amiId);
  });

  test('an account that is not named is missed', async () => {
    const { error } = await share(setUp({}, { TargetAccounts: '333333333333' }, {}), { 'dry-run': 'true' });
    expect(error).toContain('ec2:ModifySnapshotAttribute');
    expect(error).toContain('kms:CreateGrant');
  });

  test('a hub that the targets are not told of is missed', async () => {
    const shared = setUp({ hubs: ['eu-west-1', 'us-west-2', 'ap-southeast-2'] }, {}, { HubKeyArns: '' });
    const { error } = await share(shared, { topology: 'regional-hub', 'dry-run': 'true' });
    expect(error).toMatch(/kms:DescribeKey on \S+:key/);
  });

  test('a feature that is not turned on is missed', async () => {
    const inputs = { 'ssm-parameter': '/golden/latest', 'grant-key-to': grantee, 'dry-run': 'true' };
    const { error } = await share(setUp({}, {}, {}), inputs);
    expect(error).toContain('ssm:GetParameter');
    expect(error).toContain('kms:CreateGrant');
  });
});

type Hcl = Readonly<{
  variable: Record<string, [{ type: string; default?: unknown; description: string }]>;
  resource: Record<string, Record<string, [Record<string, unknown>]>>;
  locals: [Record<string, string>];
}>;

/** CloudFormation's name of a variable. */
const camel = (name: string) => name.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());

describe('the Terraform modules have the same policies', () => {
  const account = '222222222222';
  const region = 'eu-west-1';
  const keyArn = `arn:aws:kms:${region}:${account}:key/1`;
  const lists = {
    HubKeyArns: 'arn:hub-1,arn:hub-2',
    GrantKeyTo: 'arn:one,arn:two',
    BootRoleArns: 'arn:role-1,arn:role-2',
    TargetAccounts: '333333333333,444444444444',
  };
  const texts = { Parameter: 'golden/*', SourceKeyArn: 'arn:source', ...lists };
  /** What a reference to a list stands for. */
  const listed: Readonly<Record<string, readonly string[]>> = {
    'var.hub_key_arns': lists.HubKeyArns.split(','),
    'var.grant_key_to': lists.GrantKeyTo.split(','),
    'var.boot_role_arns': lists.BootRoleArns.split(','),
    'local.target_accounts': lists.TargetAccounts.split(','),
    'local.target_roles': lists.TargetAccounts.split(',').map((id) => `arn:*:iam::${id}:role/*`),
  };
  const values: Readonly<Record<string, string>> = {
    'local.region': region,
    'local.account': account,
    'local.partition': 'aws',
    'local.audience': 'sts.amazonaws.com',
    'var.subject': subject,
    'var.source_key_arn': texts.SourceKeyArn,
    'var.parameter': texts.Parameter,
    'var.role_name': 'ami',
    'var.source_account': sourceAccount,
    'var.target_role_name': 'ami-target',
    'var.source_role_name': 'ami-source',
    'aws_kms_key.this.arn': keyArn,
  };

  /** A module as HashiCorp's parser reads it, and its attributes with `values` in the place of references. */
  async function readModule(module: string) {
    const hcl = (await parseHcl('main.tf', read(`terraform/${module}/main.tf`))) as Hcl;
    const known = (name: string): string => {
      const value = values[name];
      if (value === undefined) throw new Error(`no ${name}`);
      return value;
    };
    const text = (value: unknown): string =>
      String(value).replaceAll(/\$\{([a-z_.]+)\}/g, (_, name: string) => known(name));
    const document = (value: unknown): unknown => {
      const [, hcl = ''] = /^\$\{jsonencode\(([\s\S]*)\)\}$/.exec(String(value)) ?? [];
      const json = hcl.replaceAll(/(?<= : |^ +)[a-z_]+\.[a-z_.]+(?=,?$)/gm, (name) =>
        JSON.stringify(listed[name] ?? known(name)),
      );
      return JSON.parse(text(json));
    };
    const of = (type: string) => Object.values(hcl.resource[type] ?? {}).flat();
    const policies = of('aws_iam_role_policy').map(({ name, policy }) => [text(name), document(policy)]);
    return { hcl, of, text, document, policies: Object.fromEntries(policies) as unknown };
  }

  function parametersOf(template: string) {
    const { Parameters } = parse(read(template)) as { Parameters: Record<string, { Type: string; Default?: string }> };
    return Parameters;
  }

  test.each([
    ['source-account', 'source-account.yaml'],
    ['target-account', 'target-account.yaml'],
  ])('%s', async (module, template) => {
    const flags = Object.entries(parametersOf(template)).filter(([, one]) => one.Default === 'false');
    const every = { ...Object.fromEntries(flags.map(([name]) => [name, 'true'])), RoleName: 'ami', ...texts };
    const { role, key } = stack(template, account, region, keyArn, every);
    const { of, text, document, policies } = await readModule(module);
    const expected = role?.Policies.map(({ PolicyName, PolicyDocument }) => [PolicyName, PolicyDocument]);
    expect(policies).toEqual(Object.fromEntries(expected ?? []));
    const [made, ...others] = of('aws_iam_role');
    expect(others).toEqual([]);
    expect(document(made?.assume_role_policy)).toEqual(role?.AssumeRolePolicyDocument);
    expect(text(made?.name)).toBe(role?.RoleName);
    expect(of('aws_kms_key').map(({ policy }) => document(policy))).toEqual([key?.KeyPolicy]);
  });

  test('source-hub', async () => {
    const { policy, key } = stack('source-hub.yaml', account, region, keyArn, texts);
    const { of, text, document } = await readModule('source-hub');
    expect(of('aws_iam_policy').map((one) => [text(one.name), document(one.policy)])).toEqual([
      [policy?.ManagedPolicyName, policy?.PolicyDocument],
    ]);
    expect(of('aws_iam_role_policy_attachment').map(({ role }) => text(role))).toEqual(policy?.Roles);
    expect(of('aws_kms_key').map(({ policy: one }) => document(one))).toEqual([key?.KeyPolicy]);
  });

  test.each(['source-account', 'source-hub'])('%s: the target accounts, or any', async (module) => {
    const { locals } = (await readModule(module)).hcl;
    expect(locals[0].target_accounts).toContain('length(var.target_accounts) > 0 ? var.target_accounts : ["*"]');
    expect(locals[0].target_roles).toMatch(
      /for account in local.target_accounts : "arn:\*:iam::\$\{account\}:role\/\*"/,
    );
  });

  test('deny-tags', async () => {
    const { hcl, document } = await readModule('deny-tags');
    const parameters = { SourceAccount: sourceAccount };
    const { policy } = stack('deny-tags.yaml', account, region, keyArn, parameters);
    expect(document(hcl.locals[0].policy)).toEqual(policy?.PolicyDocument);
    const { controls } = stack('deny-tags.yaml', account, region, keyArn, { ...parameters, TargetIds: 'ou-1,ou-2' });
    expect(controls).toMatchObject({ TargetIds: ['ou-1', 'ou-2'], Content: policy?.PolicyDocument });
  });

  test.each(['deny-tags', 'source-account', 'source-hub', 'target-account'])(
    '%s: the same parameters, each of use',
    async (module) => {
      const { hcl } = await readModule(module);
      const text = read(`terraform/${module}/main.tf`);
      for (const name of Object.keys(hcl.variable)) expect(text).toContain(`var.${name}`);
      // Terraform's providers have one region each, so where the OIDC provider is made is said by true or false.
      const same = (name: string) => name.replace(/^OidcProviderRegion$/, 'OidcProvider');
      expect(Object.keys(hcl.variable).map(camel).sort()).toEqual(
        Object.keys(parametersOf(`${module}.yaml`))
          .map(same)
          .sort(),
      );
    },
  );
});

describe('the CloudFormation templates hold together', () => {
  /** Every name that a template refers to, by how. */
  function references(value: unknown): { ref: string[]; conditions: string[] } {
    const ref: string[] = [];
    const conditions: string[] = [];
    const walk = (one: unknown): void => {
      if (Array.isArray(one)) {
        for (const inner of one) walk(inner);
        return;
      }
      if (typeof one !== 'object' || one === null) return;
      for (const [key, inner] of Object.entries(one)) {
        if (key === 'Ref') ref.push(String(inner));
        else if (key === 'Fn::GetAtt') ref.push(String((inner as unknown[])[0]));
        else if (key === 'Fn::Sub')
          ref.push(...[...String(inner).matchAll(/\$\{([A-Za-z:]+)(?:\.[A-Za-z]+)?\}/g)].map(([, name = '']) => name));
        else if (key === 'Fn::If') {
          conditions.push(String((inner as unknown[])[0]));
          walk(inner);
        } else walk(inner);
        if (key === 'Condition' && typeof inner === 'string') conditions.push(inner);
      }
    };
    walk(value);
    return { ref, conditions };
  }

  test.each(Object.keys(templates()).filter((path) => path.endsWith('.yaml')))('%s', (path) => {
    const template = parse(read(path), { strict: true, uniqueKeys: true }) as Record<string, Record<string, unknown>>;
    const { Parameters = {}, Conditions = {}, Resources = {} } = template;
    const { ref, conditions } = references(template);
    const pseudo = ['AWS::AccountId', 'AWS::NoValue', 'AWS::Partition', 'AWS::Region'];
    expect(ref.filter((name) => !(name in Parameters) && !(name in Resources) && !pseudo.includes(name))).toEqual([]);
    expect(Object.keys(Parameters).filter((name) => !ref.includes(name))).toEqual([]);
    expect(Object.keys(Conditions).sort()).toEqual([...new Set(conditions)].sort());
  });
});
