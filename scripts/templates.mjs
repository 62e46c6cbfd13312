// Writes templates/ from policies/: the accounts' set-up as CloudFormation templates and Terraform modules, whose
// policies are those that the tests prove.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';

const issuer = 'token.actions.githubusercontent.com';
const policyOf = (name) => JSON.parse(readFileSync(new URL(`../policies/${name}.json`, import.meta.url), 'utf8'));

/** A policy with its placeholders replaced, for any partition. */
function filled(policy, values, partition) {
  const fill = (value) => {
    if (Array.isArray(value)) return value.map(fill);
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fill(inner)]));
    if (typeof value !== 'string') return value;
    const text = value.replaceAll(/<([a-z-]+)>/g, (placeholder, name) => {
      if (values[name] === undefined) throw new Error(`no value for ${placeholder}`);
      return values[name];
    });
    return text.replaceAll('arn:aws:', `arn:${partition}:`);
  };
  return fill(policy);
}

/** What a role of each account is made of, and a hub adds to it; `when` is the parameter that asks for a feature. */
const accounts = {
  source: {
    title: 'The account that has the golden images',
    key: 'Encrypts the copies of golden images that other accounts copy',
    policies: [
      { policy: 'source-role' },
      { policy: 'source-route-copy', when: 'RouteCopy' },
      { policy: 'source-key-policy', when: 'KeyAccessByPolicy' },
      { policy: 'source-ssm-parameter', when: 'Parameter' },
      { policy: 'source-instance', when: 'FromInstances' },
    ],
  },
  target: {
    title: 'An account that gets the golden images, in one of its regions',
    key: 'Encrypts the golden images of this account and region',
    policies: [
      { policy: 'target-role' },
      { policy: 'target-route-copy', when: 'RouteCopy' },
      { policy: 'target-publish', when: 'Publish' },
      { policy: 'target-ssm-parameter', when: 'Parameter' },
      { policy: 'target-retain', when: 'Retain' },
      { policy: 'target-instance-types', when: 'InstanceTypes' },
      { policy: 'target-regional-hub', when: 'HubKeyArns' },
    ],
  },
};

const hub = {
  title:
    "A hub: a region to which the source account copies once, for all targets there (input 'topology: regional-hub')",
  key: 'Encrypts the copies of golden images in this region that other accounts copy',
  policy: 'source-regional-hub',
};

/** The parameters that are more than on or off. */
const kinds = { Parameter: 'text', HubKeyArns: 'list' };

const descriptions = {
  Subject: `The workflow that may assume the role, as the claim sub of its ID token names it, such as repo:acme/images:ref:refs/heads/main or repo:acme/images:environment:production.`,
  RoleName: 'The name of the role.',
  KeyAlias: "The alias of the key, without 'alias/'.",
  OidcProvider: "Whether to make GitHub's OIDC provider. An account has one at most, for all its regions.",
  OidcProviderRegion:
    "The region in which GitHub's OIDC provider is made; empty where the account has it. An account has one at most, for all its regions.",
  SourceKeyArn: "The key's ARN that the source account gives out.",
  RouteCopy: "Whether AMIs are copied by CopyImage (input 'route').",
  KeyAccessByPolicy:
    "Whether the key's policy is changed instead of making grants (input 'source-key-access: policy').",
  Parameter: 'The SSM parameter that holds or gets the AMI, without its leading slash; empty for none.',
  FromInstances: "Whether AMIs are made of instances (input 'instance-id').",
  Publish:
    'Whether AMIs are published: launch permissions, deprecation, deregistration protection, fast snapshot restore.',
  Retain: "Whether old AMIs are removed (input 'retain').",
  InstanceTypes: 'Whether AMIs name instance types that they are for, or not for.',
  HubKeyArns:
    "The ARNs of the hubs' keys that the source account gives out (input 'topology: regional-hub'); empty for none.",
  SourceRoleName: 'The name of the role that the source account has.',
};

// CloudFormation

/** A list's parameter stands by itself; other texts that hold a reference become Fn::Sub. */
const sub = (text) =>
  text === '${HubKeyArns}' ? { Ref: 'HubKeyArns' } : /\$\{/.test(text) ? { 'Fn::Sub': text } : text;

function withSubs(value) {
  if (typeof value === 'string') return sub(value);
  if (Array.isArray(value)) return value.map(withSubs);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withSubs(inner)]));
}

const flag = (name) => ({
  Type: 'String',
  AllowedValues: ['true', 'false'],
  Default: 'false',
  Description: descriptions[name],
});
const text = (name, Default) => ({
  Type: 'String',
  ...(Default !== undefined && { Default }),
  Description: descriptions[name],
});
const list = (name) => ({ Type: 'CommaDelimitedList', Default: '', Description: descriptions[name] });

const parameterOf = (name) =>
  kinds[name] === 'list' ? list(name) : kinds[name] === 'text' ? text(name, '') : flag(name);

/** Whether a feature's parameter asks for it. */
function conditionOf(name) {
  const isGiven = (value) => ({ 'Fn::Not': [{ 'Fn::Equals': [value, ''] }] });
  if (kinds[name] === 'list') return isGiven({ 'Fn::Join': ['', { Ref: name }] });
  return kinds[name] === 'text' ? isGiven({ Ref: name }) : { 'Fn::Equals': [{ Ref: name }, 'true'] };
}

function keyResources(description) {
  return {
    Key: {
      Type: 'AWS::KMS::Key',
      // Without its key, no AMI under it can be launched any more.
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        Description: description,
        EnableKeyRotation: true,
        KeyPolicy: {
          Version: '2012-10-17',
          Statement: [
            {
              Sid: 'LeaveItToIam',
              Effect: 'Allow',
              Principal: { AWS: sub('arn:${AWS::Partition}:iam::${AWS::AccountId}:root') },
              Action: 'kms:*',
              Resource: '*',
            },
          ],
        },
      },
    },
    Alias: {
      Type: 'AWS::KMS::Alias',
      Properties: { AliasName: sub('alias/${KeyAlias}'), TargetKeyId: { Ref: 'Key' } },
    },
  };
}

function yamlOf(template) {
  const head = `# Made from policies/ by scripts/templates.mjs; change those, and run it again.\n`;
  return head + stringify(template, { lineWidth: 120, aliasDuplicateObjects: false, compat: 'yaml-1.1' });
}

function cloudFormationHub() {
  const values = { 'hub-region': '${AWS::Region}', 'hub-key-arn': '${Key.Arn}' };
  return yamlOf({
    AWSTemplateFormatVersion: '2010-09-09',
    Description: `Share Encrypted AMI. ${hub.title}`,
    Parameters: { SourceRoleName: text('SourceRoleName', 'ami-source'), KeyAlias: text('KeyAlias', 'cmkSource') },
    Resources: {
      ...keyResources(hub.key),
      Policy: {
        Type: 'AWS::IAM::RolePolicy',
        Properties: {
          RoleName: { Ref: 'SourceRoleName' },
          PolicyName: sub(`${hub.policy}-\${AWS::Region}`),
          PolicyDocument: withSubs(filled(policyOf(hub.policy), values, '${AWS::Partition}')),
        },
      },
    },
    Outputs: {
      KeyArn: { Description: 'For HubKeyArns of the targets', Value: { 'Fn::GetAtt': ['Key', 'Arn'] } },
    },
  });
}

function cloudFormation(side) {
  const { title, key, policies } = accounts[side];
  const isTarget = side === 'target';
  const values = {
    'source-region': '${AWS::Region}',
    'source-account': '${AWS::AccountId}',
    'target-account': '${AWS::AccountId}',
    'source-key-arn': isTarget ? '${SourceKeyArn}' : '${Key.Arn}',
    'target-key-arn': '${Key.Arn}',
    'hub-key-arn': '${HubKeyArns}',
    parameter: '${Parameter}',
    account: '${AWS::AccountId}',
    subject: '${Subject}',
  };
  const partition = '${AWS::Partition}';
  const policy = (name) => withSubs(filled(policyOf(name), values, partition));
  const features = policies.flatMap(({ when }) => when ?? []);
  const trust = policyOf('trust-branch');
  trust.Statement[0].Condition.StringEquals[`${issuer}:sub`] = '<subject>';
  trust.Statement[0].Condition.StringEquals[`${issuer}:aud`] = '<audience>';
  const audience = 'sts.amazonaws.com';
  const template = {
    AWSTemplateFormatVersion: '2010-09-09',
    Description: `Share Encrypted AMI. ${title}`,
    Parameters: {
      Subject: text('Subject'),
      RoleName: text('RoleName', `ami-${side}`),
      KeyAlias: text('KeyAlias', isTarget ? 'cmkTarget' : 'cmkSource'),
      ...(isTarget
        ? { SourceKeyArn: text('SourceKeyArn'), OidcProviderRegion: text('OidcProviderRegion', '') }
        : { OidcProvider: { ...flag('OidcProvider'), Default: 'true' } }),
      ...Object.fromEntries(features.map((name) => [name, parameterOf(name)])),
    },
    Conditions: {
      MakesOidcProvider: {
        'Fn::Equals': isTarget
          ? [{ Ref: 'OidcProviderRegion' }, { Ref: 'AWS::Region' }]
          : [{ Ref: 'OidcProvider' }, 'true'],
      },
      IsChina: { 'Fn::Equals': [{ Ref: 'AWS::Partition' }, 'aws-cn'] },
      ...Object.fromEntries(features.map((name) => [`Has${name}`, conditionOf(name)])),
    },
    Resources: {
      OidcProvider_: {
        Type: 'AWS::IAM::OIDCProvider',
        Condition: 'MakesOidcProvider',
        // The account's other workflows may need it when this stack is gone.
        DeletionPolicy: 'Retain',
        UpdateReplacePolicy: 'Retain',
        Properties: {
          Url: `https://${issuer}`,
          ClientIdList: [{ 'Fn::If': ['IsChina', `${audience}.cn`, audience] }],
        },
      },
      ...keyResources(key),
      Role: {
        Type: 'AWS::IAM::Role',
        Properties: {
          RoleName: sub(isTarget ? '${RoleName}-${AWS::Region}' : '${RoleName}'),
          AssumeRolePolicyDocument: withSubs(filled(trust, { ...values, audience: '${Audience}' }, partition)),
          Policies: policies.map(({ policy: name, when }) => {
            const one = { PolicyName: name, PolicyDocument: policy(name) };
            return when === undefined ? one : { 'Fn::If': [`Has${when}`, one, { Ref: 'AWS::NoValue' }] };
          }),
        },
      },
    },
    Outputs: {
      RoleArn: {
        Description: isTarget
          ? 'For target-role-arn, such as arn:aws:iam::{account}:role/ami-target-{region}'
          : 'For source-role-arn',
        Value: { 'Fn::GetAtt': ['Role', 'Arn'] },
      },
      KeyArn: {
        Description: isTarget ? 'The key of the target AMIs' : 'For source-kms-key, and SourceKeyArn of the targets',
        Value: { 'Fn::GetAtt': ['Key', 'Arn'] },
      },
    },
  };
  // The audience differs in China, and Fn::Sub knows no condition but by its own variables.
  const statement = template.Resources.Role.Properties.AssumeRolePolicyDocument.Statement[0];
  statement.Condition.StringEquals[`${issuer}:aud`] = { 'Fn::If': ['IsChina', `${audience}.cn`, audience] };
  const { OidcProvider_, ...others } = template.Resources;
  template.Resources = { GitHubOidcProvider: OidcProvider_, ...others };
  return yamlOf(template);
}

// Terraform

const snake = (name) => name.replaceAll(/(?<=[a-z])([A-Z])/g, '_$1').toLowerCase();

function indented(lines, by) {
  return lines.split('\n').join(`\n${' '.repeat(by)}`);
}

/** A policy's JSON is an object expression of HCL, too. */
function encoded(policy, by) {
  const hcl = JSON.stringify(policy, null, 2)
    .replaceAll(/^( *"[^"]+"):/gm, '$1 :')
    // What is a reference and nothing else stands by itself.
    .replaceAll(/"\$\{([a-z_.]+)\}"/g, '$1');
  return `jsonencode(${indented(hcl, by)})`;
}

/** The type of a variable, and what it is where the feature is not asked for. */
const terraformKinds = { flag: ['bool', false], text: ['string', ''], list: ['list(string)', []] };

/** Whether a feature's variable asks for it. */
function askedFor(name) {
  const variable = `var.${snake(name)}`;
  return { flag: variable, text: `${variable} != ""`, list: `length(${variable}) > 0` }[kinds[name] ?? 'flag'];
}

const requirements =
  'terraform {\n  required_version = ">= 1.5"\n  required_providers {\n    aws = {\n      source  = "hashicorp/aws"\n      version = ">= 6.0"\n    }\n  }\n}';
const surroundings =
  'data "aws_caller_identity" "this" {}\n\ndata "aws_partition" "this" {}\n\ndata "aws_region" "this" {}';
const locals = [
  '  account   = data.aws_caller_identity.this.account_id',
  '  partition = data.aws_partition.this.partition',
  '  region    = data.aws_region.this.region',
];

function variableOf([name, type, fallback, description]) {
  const lines = [`  type        = ${type}`, `  description = ${JSON.stringify(description)}`];
  if (fallback !== undefined) lines.push(`  default     = ${JSON.stringify(fallback)}`);
  return `variable "${name}" {\n${lines.join('\n')}\n}`;
}

function keyBlocks(description) {
  const leaveItToIam = {
    Sid: 'LeaveItToIam',
    Effect: 'Allow',
    Principal: { AWS: 'arn:${local.partition}:iam::${local.account}:root' },
    Action: 'kms:*',
    Resource: '*',
  };
  return [
    [
      'resource "aws_kms_key" "this" {',
      `  description         = ${JSON.stringify(description)}`,
      '  enable_key_rotation = true',
      `  policy = ${encoded({ Version: '2012-10-17', Statement: [leaveItToIam] }, 2)}`,
      '',
      '  lifecycle {',
      '    # Without its key, no AMI under it can be launched any more.',
      '    prevent_destroy = true',
      '  }',
      '}',
    ].join('\n'),
    'resource "aws_kms_alias" "this" {\n  name          = "alias/${var.key_alias}"\n  target_key_id = aws_kms_key.this.key_id\n}',
  ];
}

function outputOf(name, description, value) {
  return `output "${name}" {\n  description = ${JSON.stringify(description)}\n  value       = ${value}\n}`;
}

const madeFrom = (title) => `# ${title}. Made from policies/ by scripts/templates.mjs; change those, and run it again.`;

function terraformHub() {
  const values = { 'hub-region': '${local.region}', 'hub-key-arn': '${aws_kms_key.this.arn}' };
  const blocks = [
    madeFrom(hub.title),
    requirements,
    variableOf(['source_role_name', 'string', 'ami-source', descriptions.SourceRoleName]),
    variableOf(['key_alias', 'string', 'cmkSource', descriptions.KeyAlias]),
    surroundings,
    ['locals {', ...locals, '}'].join('\n'),
    ...keyBlocks(hub.key),
    [
      `resource "aws_iam_role_policy" "${hub.policy.replaceAll('-', '_')}" {`,
      `  name = "${hub.policy}-\${local.region}"`,
      '  role = var.source_role_name',
      `  policy = ${encoded(filled(policyOf(hub.policy), values, '${local.partition}'), 2)}`,
      '}',
    ].join('\n'),
    outputOf('key_arn', 'For hub_key_arns of the targets.', 'aws_kms_key.this.arn'),
  ];
  return `${blocks.join('\n\n')}\n`;
}

function terraform(side) {
  const { title, key, policies } = accounts[side];
  const isTarget = side === 'target';
  const values = {
    'source-region': '${local.region}',
    'source-account': '${local.account}',
    'target-account': '${local.account}',
    'source-key-arn': isTarget ? '${var.source_key_arn}' : '${aws_kms_key.this.arn}',
    'target-key-arn': '${aws_kms_key.this.arn}',
    'hub-key-arn': '${var.hub_key_arns}',
    parameter: '${var.parameter}',
    account: '${local.account}',
    subject: '${var.subject}',
    audience: '${local.audience}',
  };
  const partition = '${local.partition}';
  const trust = policyOf('trust-branch');
  trust.Statement[0].Condition.StringEquals[`${issuer}:sub`] = '<subject>';
  trust.Statement[0].Condition.StringEquals[`${issuer}:aud`] = '<audience>';
  const variables = [
    ['subject', 'string', undefined, descriptions.Subject],
    ['role_name', 'string', `ami-${side}`, descriptions.RoleName],
    ['key_alias', 'string', isTarget ? 'cmkTarget' : 'cmkSource', descriptions.KeyAlias],
    ...(isTarget ? [['source_key_arn', 'string', undefined, descriptions.SourceKeyArn]] : []),
    ['oidc_provider', 'bool', !isTarget, descriptions.OidcProvider],
    ...policies.flatMap(({ when }) =>
      when === undefined ? [] : [[snake(when), ...terraformKinds[kinds[when] ?? 'flag'], descriptions[when]]],
    ),
  ];
  const blocks = [
    madeFrom(title),
    requirements,
    ...variables.map(variableOf),
    surroundings,
    [
      'locals {',
      ...locals,
      '  audience  = local.partition == "aws-cn" ? "sts.amazonaws.com.cn" : "sts.amazonaws.com"',
      '}',
    ].join('\n'),
    [
      '# An account has one at most.',
      'resource "aws_iam_openid_connect_provider" "github" {',
      '  count          = var.oidc_provider ? 1 : 0',
      `  url            = "https://${issuer}"`,
      '  client_id_list = [local.audience]',
      '}',
    ].join('\n'),
    ...keyBlocks(key),
    [
      'resource "aws_iam_role" "this" {',
      '  # checkov:skip=CKV_AWS_393: It sees no value in the variable. The user names one subject; StringEquals knows no wildcard.',
      `  name = ${isTarget ? '"${var.role_name}-${local.region}"' : 'var.role_name'}`,
      `  assume_role_policy = ${encoded(filled(trust, values, partition), 2)}`,
      '}',
    ].join('\n'),
    ...policies.map(({ policy: name, when }) => {
      const lines = [`resource "aws_iam_role_policy" "${name.replaceAll('-', '_')}" {`];
      // As terraform fmt aligns them.
      const pad = when === undefined ? '' : ' ';
      if (when !== undefined) lines.push(`  count = ${askedFor(when)} ? 1 : 0`);
      lines.push(
        `  name${pad} = "${name}"`,
        `  role${pad} = aws_iam_role.this.id`,
        `  policy = ${encoded(filled(policyOf(name), values, partition), 2)}`,
        '}',
      );
      return lines.join('\n');
    }),
    outputOf(
      'role_arn',
      isTarget
        ? 'For target-role-arn, such as arn:aws:iam::{account}:role/ami-target-{region}.'
        : 'For source-role-arn.',
      'aws_iam_role.this.arn',
    ),
    outputOf(
      'key_arn',
      isTarget ? 'The key of the target AMIs.' : 'For source-kms-key, and source_key_arn of the targets.',
      'aws_kms_key.this.arn',
    ),
  ];
  return `${blocks.join('\n\n')}\n`;
}

/** Every template by its path under templates/. */
export function templates() {
  return {
    'source-account.yaml': cloudFormation('source'),
    'source-hub.yaml': cloudFormationHub(),
    'target-account.yaml': cloudFormation('target'),
    'terraform/source-account/main.tf': terraform('source'),
    'terraform/source-hub/main.tf': terraformHub(),
    'terraform/target-account/main.tf': terraform('target'),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, content] of Object.entries(templates())) {
    const file = new URL(`../templates/${path}`, import.meta.url);
    mkdirSync(dirname(fileURLToPath(file)), { recursive: true });
    writeFileSync(file, content);
  }
}
