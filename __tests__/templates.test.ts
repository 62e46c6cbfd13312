import { parse as parseHcl } from '@cdktf/hcl2json';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { templates } from '../scripts/templates.mjs';
import { keyArnOf, type Scenario } from '../simulator/scenario.ts';
import { subject } from '../simulator/scenarios/common.ts';
import { fanOut, type StandardOptions, sourceAccount, sourceRegion } from '../simulator/scenarios/standard.ts';
import { features } from '../src/aws/template-parameters.ts';
import { expectTargets, share } from './shared-case.ts';
import { bare, type Deployment, deploy, lengthOf, type Parameters, quotas, readTemplate, stackOf } from './stacks.ts';

/*
 * The templates give the accounts what the published policies say: made anew they are what is here, and the action runs
 * with the roles that they make, each feature turned on only where it is used.
 */

/** The standard case, its accounts set up by the templates instead. */
function setUp(options: StandardOptions, source: Parameters, target: Parameters) {
  const shared = fanOut(options);
  let scenario = bare(shared.scenario);
  const deployed = (deployment: Deployment): string => {
    const done = deploy(scenario, deployment);
    scenario = done.scenario;
    return done.outputs.KeyArn ?? '';
  };
  const account = sourceAccount;
  const parameters = { Subject: subject, ...source };
  const SourceKeyArn = deployed({ file: 'source-account.yaml', account, region: sourceRegion, parameters });
  const { TargetAccounts = '' } = source;
  const hubs = (options.hubs ?? []).map((region) =>
    deployed({ file: 'source-hub.yaml', account, region, parameters: { TargetAccounts } }),
  );
  const common = { Subject: subject, SourceKeyArn, OidcProviderRegion: 'eu-west-1', HubKeyArns: hubs.join(',') };
  const places = Object.entries(shared.scenario.accounts).flatMap(([id, { regions = {} }]) =>
    id === sourceAccount ? [] : Object.keys(regions).map((region) => ({ account: id, region })),
  );
  for (const place of places) deployed({ file: 'target-account.yaml', ...place, parameters: { ...common, ...target } });
  return {
    ...shared,
    scenario,
    inputs: { ...shared.inputs, 'target-role-arn': 'arn:aws:iam::{account}:role/ami-target-{region}' },
  };
}

const read = readTemplate;

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
      lineage: 'golden',
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

  test('with sessions as long as the roles let them be, and no longer', async () => {
    const hours = { 'role-duration-seconds': '14400', 'dry-run': 'true' };
    const { main } = await share(setUp({}, { MaxSessionDuration: '14400' }, { MaxSessionDuration: '14400' }), hours);
    expect(main.annotations).toEqual([]);
    const { error } = await share(setUp({}, { MaxSessionDuration: '14400' }, { MaxSessionDuration: '7200' }), hours);
    expect(error).toContain('MaxSessionDuration');
  });

  test('but not with parameters that no role could be used by', () => {
    expect(() => setUp({}, { Subject: 'repo:acme/images:*' }, {})).toThrow(/'Subject' must match/);
    expect(() => setUp({}, {}, { Subject: `${subject},repo:acme/images:*` })).toThrow(/'Subject' must match/);
    expect(() => setUp({}, {}, { Parameter: '/golden/latest' })).toThrow(/'Parameter' must match/);
    expect(() => setUp({}, {}, { LaunchTemplate: 'web' })).toThrow(/'LaunchTemplate' must match/);
    expect(() => setUp({}, { MaxSessionDuration: '60' }, {})).toThrow(/'MaxSessionDuration' must be/);
    expect(() => setUp({}, {}, { Retain: 'yes' })).toThrow(/'Retain' must be one of/);
  });

  test('an account that is not named is missed', async () => {
    const { error } = await share(setUp({}, { TargetAccounts: '333333333333' }, {}), { 'dry-run': 'true' });
    expect(error).toContain('ec2:ModifySnapshotAttribute');
    expect(error).toContain('kms:CreateGrant');
  });

  test('the remedies name the parameters that then make it run', async () => {
    const inputs = {
      'ssm-parameter': '/golden/latest',
      'deprecate-after': '30d',
      lineage: 'golden',
      retain: '2',
      route: 'copy',
      'source-key-access': 'policy',
      'dry-run': 'true',
    };
    const shared = setUp({}, {}, {});
    // Existence before permission, a dry run can't ask about an AMI that is yet to be made.
    const rules = { ...shared.scenario.rules, order: 'authorization' as const };
    const { error } = await share({ ...shared, scenario: { ...shared.scenario, rules } }, inputs);
    const named = [...error.matchAll(/where templates\/ made the role, set (.+?); else/g)].map(([, one = '']) => one);
    const parameters = Object.fromEntries(
      named.flatMap((one) => one.split(' or ')).map((one) => one.split('=')),
    ) as Parameters;
    const { KeyAccessByPolicy = '', ...target } = parameters;
    const asked = { Parameter: 'golden/latest', Publish: 'true', Retain: 'true', RouteCopy: 'true' };
    // Either of two lets a role call DescribeInstances, or DescribeLaunchTemplateVersions.
    expect(target).toEqual({ ...asked, BootTest: 'true', LaunchTemplate: '*' });
    const { main } = await share(setUp({}, { KeyAccessByPolicy, RouteCopy: 'true' }, target), inputs);
    expect(main.annotations).toEqual([]);
  });

  test('a hub without its template is missed', async () => {
    const shared = setUp({}, {}, {});
    const { error } = await share(shared, { topology: 'regional-hub', 'dry-run': 'true' });
    expect(error).toMatch(/is not found\.\n +What to do: [^\n]+source-hub.yaml for a hub/);
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
  const lists = {
    HubKeyArns: 'arn:hub-1,arn:hub-2',
    GrantKeyTo: 'arn:one,arn:two',
    BootRoleArns: 'arn:role-1,arn:role-2',
    TargetAccounts: '333333333333,444444444444',
    Subject: `${subject},repo:acme/images:pull_request`,
  };
  const texts = {
    RoleName: 'ami',
    MaxSessionDuration: '7200',
    SourceAccount: sourceAccount,
    Parameter: 'golden/*',
    LaunchTemplate: 'lt-0a0a0a0a',
    SourceKeyArn: 'arn:source',
    ...lists,
  };
  /** What a reference to a list stands for. */
  const listed: Readonly<Record<string, readonly string[]>> = {
    'var.subject': lists.Subject.split(','),
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
    'var.max_session_duration': '7200',
    'var.source_key_arn': texts.SourceKeyArn,
    'var.parameter': texts.Parameter,
    'var.launch_template': texts.LaunchTemplate,
    'var.role_name': 'ami',
    'aws_iam_role.this.name': `ami-${region}`,
    'var.source_account': sourceAccount,
    'var.target_role_name': 'ami-target',
    'var.source_role_name': 'ami-source',
    'var.source_recall_role_name': 'ami-recall-source',
    'var.target_recall_role_name': 'ami-recall-target',
    'aws_kms_key.this.arn': keyArnOf(account, region, 'cmk'),
  };

  /** The parameters that ask for every feature, of `texts` what the template takes. */
  function fullOf(file: string, more: Parameters = {}): Parameters {
    const given = Object.entries(parametersOf(file)).map(([name, { Default }]) => {
      const value: unknown = { KeyAlias: 'cmk', ...texts, ...more }[name] ?? (Default === 'false' ? 'true' : Default);
      return [name, String(value)];
    });
    return Object.fromEntries(given);
  }
  const stack = (file: string, more?: Parameters) => stackOf({ file, account, region, parameters: fullOf(file, more) });

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
    ['source-recall', 'source-recall.yaml'],
    ['target-account', 'target-account.yaml'],
    ['target-recall', 'target-recall.yaml'],
  ])('%s', async (module, template) => {
    const { role, key, managed } = stack(template);
    const { hcl, of, text, document, policies } = await readModule(module);
    const expected = role?.Policies.map(({ PolicyName, PolicyDocument }) => [PolicyName, PolicyDocument]);
    expect(policies).toEqual(Object.fromEntries(expected ?? []));
    const labels = Object.keys(hcl.resource.aws_iam_policy ?? {});
    const ofLabels = labels.map((label) => `${role?.RoleName}-${label.replaceAll('_', '-')}`);
    expect(of('aws_iam_policy').map(({ name }) => text(name))).toEqual(ofLabels);
    // The parser sorts them by their labels.
    expect(new Set(of('aws_iam_policy').map(({ policy }) => document(policy)))).toEqual(
      new Set(managed.map(({ PolicyDocument }) => PolicyDocument)),
    );
    const attachments = of('aws_iam_role_policy_attachment');
    expect(attachments.map(({ count, role: to, policy_arn }) => [count, text(to), policy_arn])).toEqual(
      labels.map((label) => [
        `\${length(aws_iam_policy.${label})}`,
        role?.RoleName,
        `\${aws_iam_policy.${label}[count.index].arn}`,
      ]),
    );
    const [made, ...others] = of('aws_iam_role');
    expect(others).toEqual([]);
    expect(document(made?.assume_role_policy)).toEqual(role?.AssumeRolePolicyDocument);
    expect([text(made?.name), Number(text(made?.max_session_duration))]).toEqual([role?.RoleName, 7200]);
    expect(role?.MaxSessionDuration).toBe(7200);
    expect(of('aws_kms_key').map(({ policy }) => document(policy))).toEqual(key === undefined ? [] : [key.KeyPolicy]);
  });

  describe('IAM takes a role with every feature, and values as long as AWS lets them be', () => {
    // No partition and region have longer names together.
    const place = { account, region: 'us-gov-west-1' };
    const ten = (value: string) => Array(10).fill(value).join(',');
    const roleArn = `arn:aws-us-gov:iam::${account}:role/${'r'.repeat(64)}`;
    const keyArn = `arn:aws-us-gov:kms:us-gov-west-1:${account}:key/mrk-${'0'.repeat(32)}`;
    const parameterArn = `arn:aws-us-gov:ssm:us-gov-west-1:${account}:parameter/`;
    const longest = {
      GrantKeyTo: ten(roleArn),
      BootRoleArns: ten(roleArn),
      HubKeyArns: ten(keyArn),
      SourceKeyArn: keyArn,
      TargetAccounts: ten(account),
      LaunchTemplate: `lt-${'0'.repeat(17)}`,
      // With its ARN: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
      Parameter: 'p'.repeat(1011 - parameterArn.length),
    };
    const deployed = (file: string, more: Parameters = {}) => {
      const RoleName = 'r'.repeat(64 - (file === 'target-account.yaml' ? `-${place.region}`.length : 0));
      const parameters = fullOf(file, { ...longest, RoleName, ...more });
      const { scenario } = deploy<Pick<Scenario, 'accounts'>>({ accounts: {} }, { file, ...place, parameters });
      return Object.values(scenario.accounts[account]?.roles ?? {})[0];
    };

    test.each(['source-account.yaml', 'source-recall.yaml', 'target-account.yaml', 'target-recall.yaml'])(
      '%s, with room for inline policies of its owner',
      (file) => {
        const { policies = [] } = deployed(file) ?? {};
        expect(policies).not.toEqual([]);
        expect(lengthOf(policies)).toBeLessThanOrEqual(quotas.inlineLength - 1500);
      },
    );

    test('target-account.yaml, with room for managed policies of its owner', () => {
      expect(deployed('target-account.yaml')?.attached).toHaveLength(6);
    });

    test('but not a list that is too long for a managed policy', () => {
      const GrantKeyTo = Array(60).fill(roleArn).join(',');
      expect(() => deployed('target-account.yaml', { GrantKeyTo })).toThrow('PolicySize: 6144');
    });
  });

  test('a source role takes ten hubs', () => {
    const source = { file: 'source-account.yaml', account, region, parameters: { Subject: subject } };
    const hubs = (count: number) =>
      Array.from({ length: count }, (_, index) => `us-east-${index + 1}`).reduce(
        (all, one) => deploy(all, { file: 'source-hub.yaml', account, region: one, parameters: {} }).scenario,
        deploy<Pick<Scenario, 'accounts'>>({ accounts: {} }, source).scenario,
      );
    expect(hubs(10).accounts[account]?.roles?.['ami-source']?.attached).toHaveLength(10);
    expect(() => hubs(11)).toThrow('PoliciesPerRole: 10');
  });

  test('source-hub', async () => {
    const { managed, key } = stack('source-hub.yaml');
    const [policy] = managed;
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
    const [policy] = stack('deny-tags.yaml').managed;
    expect(document(hcl.locals[0].policy)).toEqual(policy?.PolicyDocument);
    const { controls } = stack('deny-tags.yaml', { TargetIds: 'ou-1,ou-2' });
    expect(controls).toMatchObject({ TargetIds: ['ou-1', 'ou-2'], Content: policy?.PolicyDocument });
  });

  test.each(['deny-tags', 'source-account', 'source-hub', 'source-recall', 'target-account', 'target-recall'])(
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

test.each(['source', 'target', 'source-recall', 'target-recall'] as const)(
  'what each parameter lets the %s role call is as the remedies know it',
  (side) => {
    type Given = { PolicyDocument: { Statement: { Effect: string; Action: string | string[] }[] } };
    type Policy = Given | { 'Fn::If': [string, Given, unknown] };
    type Managed = { Type: string; Condition: string; Properties: Given };
    const { Resources } = parse(readTemplate(side.includes('-') ? `${side}.yaml` : `${side}-account.yaml`)) as {
      Resources: { Role: { Properties: { Policies: Policy[] } }; [name: string]: unknown };
    };
    const actionsOf = ({ PolicyDocument: { Statement } }: Given) =>
      Statement.filter(({ Effect }) => Effect === 'Allow').flatMap(({ Action }) => Action);
    const { Policies } = Resources.Role.Properties;
    const anyway = Policies.flatMap((one) => ('Fn::If' in one ? [] : actionsOf(one)));
    const inline = Policies.flatMap((one) => ('Fn::If' in one ? [[one['Fn::If'][0], one['Fn::If'][1]] as const] : []));
    const managed = Object.values(Resources as Record<string, Managed>).flatMap(({ Type, Condition, Properties }) =>
      Type === 'AWS::IAM::ManagedPolicy' ? [[Condition, Properties] as const] : [],
    );
    const asked = [...inline, ...managed].flatMap(([condition, given]) => {
      const more = [...new Set(actionsOf(given))].filter((action) => !anyway.includes(action));
      return more.length === 0 ? [] : [[condition.replace('Has', ''), more.toSorted()]];
    });
    // Of the same template, an audit takes a parameter of its own.
    const also = side === 'target' ? Object.entries(features['target-audit']) : [];
    const known = Map.groupBy([...Object.entries(features[side]), ...also], ([parameter]) =>
      parameter.replace(/=.*/, ''),
    );
    const actions = [...known].map(([parameter, all]) => [parameter, all.flatMap(([, own]) => own).toSorted()]);
    expect(Object.fromEntries(actions)).toEqual(Object.fromEntries(asked));
  },
);

describe('the CloudFormation templates hold together', () => {
  /** Every key of a template with its value, however deep. */
  function entriesIn(value: unknown): [string, unknown][] {
    if (typeof value !== 'object' || value === null) return [];
    return Object.entries(value).flatMap((entry) => [entry, ...entriesIn(entry[1])]);
  }

  const first = (value: unknown) => String((value as unknown[])[0]);
  const namesIn = (text: unknown) =>
    [...String(text).matchAll(/\$\{([A-Za-z:]+)(?:\.[A-Za-z]+)?\}/g)].map(([, name = '']) => name);

  /** Every name that a template refers to, by how. */
  function references(template: unknown): { ref: string[]; conditions: string[] } {
    const under = (key: string) => entriesIn(template).flatMap(([name, value]) => (name === key ? [value] : []));
    return {
      ref: [...under('Ref').map(String), ...under('Fn::GetAtt').map(first), ...under('Fn::Sub').flatMap(namesIn)],
      conditions: [...under('Fn::If').map(first), ...under('Condition').filter((name) => typeof name === 'string')],
    };
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
