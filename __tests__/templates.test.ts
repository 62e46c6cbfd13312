import { readFileSync } from 'node:fs';
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
    if (how !== 'Fn::Equals') throw new Error(`no condition ${how}`);
    return walk(what?.[0] ?? '') === walk(what?.[1] ?? '');
  };
  const walk = (value: Value): unknown => {
    if (Array.isArray(value)) return value.map(walk).filter((one) => one !== absent);
    if (typeof value !== 'object') return value;
    const [[name, inner] = []] = Object.entries(value);
    if (name === 'Ref') return inner === 'AWS::NoValue' ? absent : refer(String(inner));
    if (name === 'Fn::Sub') return String(inner).replaceAll(/\$\{([^}]+)\}/g, (_, one: string) => refer(one));
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
  return walk(template.Resources ?? {}) as { Role: { Properties: RoleProperties }; Key: { Properties: KeyProperties } };
}

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

function roleOf({ Role }: ReturnType<typeof stack>): [string, RoleScenario] {
  const { RoleName, AssumeRolePolicyDocument, Policies } = Role.Properties;
  return [
    RoleName,
    { trust: AssumeRolePolicyDocument, policies: Policies.map(({ PolicyDocument }) => PolicyDocument) },
  ];
}

/** The standard case, its accounts set up by the templates instead. */
function setUp(options: StandardOptions, source: Parameters, target: Parameters) {
  const shared = fanOut(options);
  const sourceKey = keyArnOf(sourceAccount, sourceRegion, 'cmkSource');
  const accounts = Object.fromEntries(
    Object.entries(shared.scenario.accounts).map(([id, account]): [string, AccountScenario] => {
      const regions = Object.keys(account.regions ?? {});
      const stacks =
        id === sourceAccount
          ? [stack('source-account.yaml', id, sourceRegion, sourceKey, source)]
          : regions.map((region) =>
              stack('target-account.yaml', id, region, keyArnOf(id, region, 'cmkTarget'), {
                SourceKeyArn: sourceKey,
                ...target,
              }),
            );
      const alias = id === sourceAccount ? 'cmkSource' : 'cmkTarget';
      const keyed = Object.fromEntries(
        Object.entries(account.regions ?? {}).map(([name, region], index) => {
          const policy = stacks[index]?.Key.Properties.KeyPolicy;
          return [name, { ...region, keys: { [alias]: policy ? { policy } : {} } }];
        }),
      );
      return [id, { ...account, roles: Object.fromEntries(stacks.map(roleOf)), regions: keyed }];
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
  test('as they are', async () => {
    const shared = setUp({}, {}, {});
    const result = await share(shared);
    expect(result.main.annotations).toEqual([]);
    expectTargets(result, shared.amiId);
  });

  test('with the features turned on that it uses', async () => {
    const shared = setUp(
      { ami: { attributes: { Description: 'A golden image' } } },
      { RouteCopy: 'true', KeyAccessByPolicy: 'true' },
      { RouteCopy: 'true', Publish: 'true', Parameter: 'golden/latest', Retain: 'true' },
    );
    const inputs = {
      route: 'copy',
      'source-key-access': 'policy',
      'deprecate-after': '30d',
      'ssm-parameter': '/golden/latest',
      retain: '2',
    };
    const result = await share(shared, inputs);
    expect(result.main.annotations).toEqual([]);
    expect(result.targets.map(({ status }) => status)).toEqual(Array(6).fill('created'));
  });

  test('a feature that is not turned on is missed', async () => {
    const { error } = await share(setUp({}, {}, {}), { 'ssm-parameter': '/golden/latest', 'dry-run': 'true' });
    expect(error).toContain('ssm:GetParameter');
  });
});

describe('the Terraform modules have the same policies', () => {
  test.each([
    ['source-account', 'source-account.yaml', 'ami-source'],
    ['target-account', 'target-account.yaml', 'ami-target-eu-west-1'],
  ])('%s', (module, template, roleName) => {
    const keyArn = 'arn:aws:kms:eu-west-1:222222222222:key/1';
    const every = { RouteCopy: 'true', Parameter: 'golden/*' };
    const features =
      module === 'source-account'
        ? { ...every, KeyAccessByPolicy: 'true', FromInstances: 'true' }
        : { ...every, Publish: 'true', Retain: 'true', SourceKeyArn: 'arn:source' };
    const { Role, Key } = stack(template, '222222222222', 'eu-west-1', keyArn, features);
    const values: Record<string, string> = {
      'local.region': 'eu-west-1',
      'local.account': '222222222222',
      'local.partition': 'aws',
      'local.audience': 'sts.amazonaws.com',
      'var.subject': subject,
      'var.source_key_arn': 'arn:source',
      'var.parameter': 'golden/*',
      'aws_kms_key.this.arn': keyArn,
    };
    const text = read(`terraform/${module}/main.tf`).replaceAll(/\$\{([a-z_.]+)\}/g, (_, name: string) => {
      const value = name === 'var.role_name' || name === 'var.key_alias' ? name : values[name];
      if (value === undefined) throw new Error(`no ${name}`);
      return value;
    });
    const named = [...text.matchAll(/^ {2}name +=? *"([a-z-]+)"[\s\S]*?jsonencode\(([\s\S]*?)\n {2}\}\)/gm)];
    const policies = Object.fromEntries(named.map(([, name, policy]) => [name, JSON.parse(`${policy}}`)]));
    const expected = Role.Properties.Policies.map(({ PolicyName, PolicyDocument }) => [PolicyName, PolicyDocument]);
    expect(policies).toEqual(Object.fromEntries(expected));
    const only = (attribute: string) =>
      JSON.parse(`${new RegExp(`${attribute} = jsonencode\\(([\\s\\S]*?)\\n  \\}\\)`).exec(text)?.[1]}}`);
    expect(only('assume_role_policy')).toEqual(Role.Properties.AssumeRolePolicyDocument);
    expect(only('\n  policy')).toEqual(Key.Properties.KeyPolicy);
    expect(Role.Properties.RoleName).toBe(roleName);
  });
});
