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

/**
 * A policy in which a list's placeholder that stands alone in a list, or in each of its texts, has become what the format
 * has for the whole list; `listOf` gives that for such a text, and undefined for any other.
 */
function withLists(value, listOf) {
  if (Array.isArray(value)) {
    const list = value.length === 1 && typeof value[0] === 'string' ? listOf(value[0]) : undefined;
    return list ?? value.map((one) => withLists(one, listOf));
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withLists(inner, listOf)]));
}

/**
 * What a role of each account is made of; `when` is the parameter that asks for a feature. A role's inline policies have at
 * most 10,240 characters together, so features with a list of any length, and some large ones, are `managed`: policies of
 * their own, of at most 6,144 characters each. A role takes ten, its owner's and those of the hubs among them.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
 */
const accounts = {
  source: {
    title: 'The source account of golden images',
    key: 'Encrypts the copies of golden images that other accounts copy',
    policies: [
      { policy: 'source-role' },
      { policy: 'source-route-copy', when: 'RouteCopy' },
      { policy: 'source-key-policy', when: 'KeyAccessByPolicy' },
      { policy: 'source-ssm-parameter', when: 'Parameter' },
      { policy: 'source-instance', when: 'FromInstances' },
      { policy: 'source-scan', when: 'ScanGate' },
    ],
  },
  target: {
    title: 'A target account of golden images, in one of its regions',
    key: 'Encrypts the golden images of this account and region',
    policies: [
      { policy: 'target-role' },
      { policy: 'target-route-copy', when: 'RouteCopy' },
      { policy: 'target-publish', when: 'Publish' },
      { policy: 'target-grant-key', when: 'GrantKeyTo', managed: true },
      { policy: 'target-ssm-parameter', when: 'Parameter' },
      { policy: 'target-launch-template', when: 'LaunchTemplate' },
      { policy: 'target-boot-test', when: 'BootTest', managed: true },
      { policy: 'target-boot-role', when: 'BootRoleArns', managed: true },
      { policy: 'target-retain', when: 'Retain', managed: true },
      { policy: 'target-retain-shared', when: 'RetainShared' },
      { policy: 'target-audit', when: 'Audit', managed: true },
      { policy: 'target-instance-types', when: 'InstanceTypes' },
      { policy: 'target-recycle-bin', when: 'RecycleBin' },
      { policy: 'target-regional-hub', when: 'HubKeyArns', managed: true },
    ],
  },
};

/** What a role for recalls is made of: a role that shares is not to take back what it shares. */
const recalls = {
  source: {
    title: 'The role of the source account for the action recall',
    policies: [{ policy: 'source-recall' }, { policy: 'source-recall-include', when: 'IncludeSource' }],
  },
  target: {
    title: 'The role of a target account for the action recall, in all of its regions: deploy it in one region',
    policies: [
      { policy: 'target-recall' },
      { policy: 'target-recall-parameter', when: 'Parameter' },
      { policy: 'target-recall-launch-template', when: 'LaunchTemplate' },
    ],
  },
};

const hub = {
  title:
    "A hub: a region to which the source account copies once, for all targets there (input 'topology: regional-hub')",
  key: 'Encrypts the copies of golden images in this region that other accounts copy',
  policy: 'source-regional-hub',
};

const guard = {
  title:
    "Denies the action's tags to everybody except its roles: a service control policy in an organization's management account, elsewhere a policy to attach to people and roles",
  policy: 'deny-tags',
};

/** The parameters that are more than on or off. */
const kinds = {
  Parameter: 'text',
  LaunchTemplate: 'text',
  HubKeyArns: 'list',
  GrantKeyTo: 'list',
  BootRoleArns: 'list',
  TargetAccounts: 'list',
  TargetIds: 'list',
};

/** What a text must be, or each of a list, so that a mistake is told before the role is made. */
const patterns = {
  Subject: { pattern: '^[^*?]+$', is: 'whole subjects, without wildcards' },
  LaunchTemplate: { pattern: '^(lt-[0-9a-f]+|\\*)?$', is: 'the ID of a launch template, or *' },
  Parameter: { pattern: '^([^/].*)?$', is: 'the name without its leading slash' },
};

/** The seconds that IAM takes: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html */
const sessionDuration = { min: 3600, max: 43_200, unless: 3600 };

const descriptions = {
  Subject:
    "The workflows that may assume the role, as whole 'sub' claims without wildcards: repo:acme/images:ref:refs/heads/main for a branch, repo:acme/images:environment:production for an environment, repo:acme/images:pull_request for pull requests.",
  RoleName: 'The name of the role.',
  RegionalRoleName: 'The name of the role, without its region: ami-target makes ami-target-eu-west-1.',
  MaxSessionDuration: "The maximum session duration in seconds, at least the input 'role-duration-seconds'.",
  KeyAlias: "The alias of the key, without 'alias/'.",
  OidcProvider: "Create GitHub's OIDC provider. An account has at most one, for all its regions.",
  OidcProviderRegion:
    "The region in which to create GitHub's OIDC provider; empty if the account already has it. An account has at most one, for all its regions.",
  SourceKeyArn: "The ARN of the source account's key.",
  RouteCopy: "Allow copying AMIs by CopyImage (input 'route').",
  KeyAccessByPolicy: "Allow changing the key's policy (input 'source-key-access: policy').",
  Parameter: 'The SSM parameter with the AMI, without its leading slash; empty for none.',
  FromInstances: "Allow making AMIs of instances (input 'instance-id').",
  ScanGate: "Allow reading the findings of Amazon Inspector (input 'max-severity').",
  Publish: 'Allow publishing AMIs: launch permissions, deprecation, deregistration protection, fast snapshot restore.',
  LaunchTemplate:
    "The ID of the launch template that gets versions with the AMI, or * for any (input 'launch-template'); empty for none.",
  BootTest: "Allow launching AMIs to test them (input 'boot-test').",
  BootRoleArns:
    "The ARNs of the roles in the instance profiles of boot tests (input 'boot-instance-profile'); empty for none.",
  Audit: 'Allow reading how AMIs are published (action audit).',
  IncludeSource: "Allow recalling the source AMI itself (input 'include-source').",
  Retain: "Allow removing old AMIs (input 'retain').",
  RetainShared:
    "Allow asking AWS which accounts use old AMIs that others may launch (input 'retain-shared: by-report').",
  RecycleBin:
    "Allow restoring an AMI from the Recycle Bin if the one that takes its name fails (input 'on-existing: replace').",
  InstanceTypes: 'Allow setting the instance types that AMIs are limited to.',
  HubKeyArns: "The ARNs of the hubs' keys (input 'topology: regional-hub'); empty for none.",
  SourceRoleName: 'The name of the role in the source account.',
  TargetRoleName: 'The name of the roles in the target accounts, without their regions.',
  SourceRecallRoleName: 'The name of the recall role in the source account.',
  TargetRecallRoleName: 'The name of the recall roles in the target accounts.',
  TargetAccounts:
    'The accounts with which snapshots may be shared, and to whose roles the key may be granted; empty for any.',
  GrantKeyTo: "The ARNs of the principals to which the key may be granted (input 'grant-key-to'); empty for none.",
  SourceAccount: 'The source account.',
  TargetIds:
    'The organizational units, accounts or root that the service control policy is attached to; empty for a policy of this account.',
};

// CloudFormation

/** A list's parameter stands by itself; other texts that hold a reference become Fn::Sub. */
function sub(text) {
  const [, list] = /^\$\{(HubKeyArns|BootRoleArns)\}$/.exec(text) ?? [];
  return list !== undefined ? { Ref: list } : /\$\{/.test(text) ? { 'Fn::Sub': text } : text;
}

/** The list of a parameter, or that of a text with each of its accounts: CloudFormation has no loop but joining. */
function listOf(text) {
  if (text === '${GrantKeyTo}') return { Ref: 'GrantKeyTo' };
  if (text === '${Subject}') return { Ref: 'Subject' };
  const [before, after] = text.split('${TargetAccounts}');
  if (after === undefined) return undefined;
  const accounts = { 'Fn::If': ['HasTargetAccounts', { Ref: 'TargetAccounts' }, ['*']] };
  if (before === '' && after === '') return accounts;
  const all = { 'Fn::Join': [`${after},${before}`, accounts] };
  return { 'Fn::Split': [',', { 'Fn::Join': ['', [before, all, after]] }] };
}

/** A policy as CloudFormation has it. */
const documentOf = (policy, values) => withSubs(withLists(filled(policy, values, '${AWS::Partition}'), listOf));

/** The trust of a role in any subjects and for any audience. */
function trustPolicy() {
  const trust = policyOf('trust-branch');
  trust.Statement[0].Condition.StringEquals = { [`${issuer}:aud`]: '<audience>', [`${issuer}:sub`]: ['<subject>'] };
  return trust;
}

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
function constraint(name) {
  const { pattern, is } = patterns[name] ?? {};
  return pattern && { AllowedPattern: pattern, ConstraintDescription: `${name} takes ${is}.` };
}
const text = (name, Default) => ({
  Type: 'String',
  ...(Default !== undefined && { Default }),
  ...constraint(name),
  Description: descriptions[name],
});
const list = (name, Default = '') => ({
  Type: 'CommaDelimitedList',
  ...(Default !== null && { Default }),
  // For a list, each of its values is held to it.
  ...constraint(name),
  Description: descriptions[name],
});

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
  const values = {
    'hub-region': '${AWS::Region}',
    'hub-key-arn': '${Key.Arn}',
    'target-account': '${TargetAccounts}',
  };
  return yamlOf({
    AWSTemplateFormatVersion: '2010-09-09',
    Description: `Share Encrypted AMI. ${hub.title}`,
    Parameters: {
      SourceRoleName: text('SourceRoleName', 'ami-source'),
      KeyAlias: text('KeyAlias', 'cmkSource'),
      TargetAccounts: list('TargetAccounts'),
    },
    Conditions: { HasTargetAccounts: conditionOf('TargetAccounts') },
    Resources: {
      ...keyResources(hub.key),
      // Inline, there would be room for two hubs beside the role's own policies.
      Policy: {
        Type: 'AWS::IAM::ManagedPolicy',
        Properties: {
          ManagedPolicyName: sub(`\${SourceRoleName}-hub-\${AWS::Region}`),
          Roles: [{ Ref: 'SourceRoleName' }],
          PolicyDocument: documentOf(policyOf(hub.policy), values),
        },
      },
    },
    Outputs: {
      KeyArn: { Description: 'For HubKeyArns of the targets', Value: { 'Fn::GetAtt': ['Key', 'Arn'] } },
    },
  });
}

function cloudFormationGuard() {
  const { title, policy } = guard;
  const PolicyDocument = documentOf(policyOf(policy), {
    'source-role-arn': 'arn:aws:iam::${SourceAccount}:role/${SourceRoleName}',
    'target-role-arn': 'arn:aws:iam::*:role/${TargetRoleName}-*',
    'source-recall-role-arn': 'arn:aws:iam::${SourceAccount}:role/${SourceRecallRoleName}',
    'target-recall-role-arn': 'arn:aws:iam::*:role/${TargetRecallRoleName}',
  });
  return yamlOf({
    AWSTemplateFormatVersion: '2010-09-09',
    Description: `Share Encrypted AMI. ${title}`,
    Parameters: {
      SourceAccount: text('SourceAccount'),
      SourceRoleName: text('SourceRoleName', 'ami-source'),
      TargetRoleName: text('TargetRoleName', 'ami-target'),
      SourceRecallRoleName: text('SourceRecallRoleName', 'ami-recall-source'),
      TargetRecallRoleName: text('TargetRecallRoleName', 'ami-recall-target'),
      TargetIds: list('TargetIds'),
    },
    Conditions: {
      HasTargetIds: conditionOf('TargetIds'),
      HasNoTargetIds: { 'Fn::Not': [{ Condition: 'HasTargetIds' }] },
    },
    Resources: {
      ServiceControlPolicy: {
        Type: 'AWS::Organizations::Policy',
        Condition: 'HasTargetIds',
        Properties: {
          Name: 'share-encrypted-ami-tags',
          Type: 'SERVICE_CONTROL_POLICY',
          TargetIds: { Ref: 'TargetIds' },
          Content: PolicyDocument,
        },
      },
      Policy: {
        Type: 'AWS::IAM::ManagedPolicy',
        Condition: 'HasNoTargetIds',
        Properties: { ManagedPolicyName: 'share-encrypted-ami-tags', PolicyDocument },
      },
    },
    Outputs: {
      PolicyArn: {
        Condition: 'HasNoTargetIds',
        Description: 'The policy to attach, or to make a part of permissions boundaries',
        Value: { Ref: 'Policy' },
      },
    },
  });
}

const audience = 'sts.amazonaws.com';
const isChina = { IsChina: { 'Fn::Equals': [{ Ref: 'AWS::Partition' }, 'aws-cn'] } };
const featuresOf = (policies) => policies.flatMap(({ when }) => when ?? []);
const conditionsOf = (policies) =>
  Object.fromEntries(featuresOf(policies).map((name) => [`Has${name}`, conditionOf(name)]));
const parametersOf = (policies) => Object.fromEntries(featuresOf(policies).map((name) => [name, parameterOf(name)]));

const maxSessionDuration = {
  Type: 'Number',
  MinValue: sessionDuration.min,
  MaxValue: sessionDuration.max,
  Default: sessionDuration.unless,
  Description: descriptions.MaxSessionDuration,
};

/** A role that the workflows of Subject may assume, with its policies; the condition IsChina must be there. */
function roleResources(name, policies, values) {
  const AssumeRolePolicyDocument = documentOf(trustPolicy(), {
    ...{ account: '${AWS::AccountId}', subject: '${Subject}', audience },
  });
  // The audience differs in China, and Fn::Sub knows no condition but by its own variables.
  AssumeRolePolicyDocument.Statement[0].Condition.StringEquals[`${issuer}:aud`] = {
    'Fn::If': ['IsChina', `${audience}.cn`, audience],
  };
  const inline = ({ policy, when }) => {
    const one = { PolicyName: policy, PolicyDocument: documentOf(policyOf(policy), values) };
    return when === undefined ? one : { 'Fn::If': [`Has${when}`, one, { Ref: 'AWS::NoValue' }] };
  };
  const attached = ({ policy, when }) => ({
    Type: 'AWS::IAM::ManagedPolicy',
    Condition: `Has${when}`,
    Properties: { Roles: [{ Ref: 'Role' }], PolicyDocument: documentOf(policyOf(policy), values) },
  });
  const managed = policies.filter((one) => one.managed);
  return {
    Role: {
      Type: 'AWS::IAM::Role',
      Properties: {
        RoleName: sub(name),
        MaxSessionDuration: { Ref: 'MaxSessionDuration' },
        AssumeRolePolicyDocument,
        Policies: policies.filter((one) => !one.managed).map(inline),
      },
    },
    ...Object.fromEntries(managed.map((one) => [`${one.when}Policy`, attached(one)])),
  };
}

function cloudFormationRecall(side) {
  const { title, policies } = recalls[side];
  const values = {
    'source-region': '${AWS::Region}',
    'source-account': '${AWS::AccountId}',
    'target-account': '${AWS::AccountId}',
    parameter: '${Parameter}',
    'launch-template': '${LaunchTemplate}',
  };
  return yamlOf({
    AWSTemplateFormatVersion: '2010-09-09',
    Description: `Share Encrypted AMI. ${title}`,
    Parameters: {
      Subject: list('Subject', null),
      RoleName: text('RoleName', `ami-recall-${side}`),
      MaxSessionDuration: maxSessionDuration,
      ...parametersOf(policies),
    },
    Conditions: { ...isChina, ...conditionsOf(policies) },
    Resources: roleResources('${RoleName}', policies, values),
    Outputs: {
      RoleArn: {
        Description:
          side === 'target' ? 'For target-role-arn, as arn:aws:iam::{account}:role/…' : 'For source-role-arn',
        Value: { 'Fn::GetAtt': ['Role', 'Arn'] },
      },
    },
  });
}

function cloudFormation(side) {
  const { title, key, policies } = accounts[side];
  const isTarget = side === 'target';
  const values = {
    'source-region': '${AWS::Region}',
    'source-account': '${AWS::AccountId}',
    'target-account': isTarget ? '${AWS::AccountId}' : '${TargetAccounts}',
    'source-key-arn': isTarget ? '${SourceKeyArn}' : '${Key.Arn}',
    'grantee-arn': '${GrantKeyTo}',
    'boot-role-arn': '${BootRoleArns}',
    'target-key-arn': '${Key.Arn}',
    'hub-key-arn': '${HubKeyArns}',
    parameter: '${Parameter}',
    'launch-template': '${LaunchTemplate}',
  };
  return yamlOf({
    AWSTemplateFormatVersion: '2010-09-09',
    Description: `Share Encrypted AMI. ${title}`,
    Parameters: {
      Subject: list('Subject', null),
      RoleName: { ...text('RoleName', `ami-${side}`), ...(isTarget && { Description: descriptions.RegionalRoleName }) },
      MaxSessionDuration: maxSessionDuration,
      KeyAlias: text('KeyAlias', isTarget ? 'cmkTarget' : 'cmkSource'),
      ...(isTarget
        ? { SourceKeyArn: text('SourceKeyArn'), OidcProviderRegion: text('OidcProviderRegion', '') }
        : {
            OidcProvider: { ...flag('OidcProvider'), Default: 'true' },
            TargetAccounts: list('TargetAccounts'),
          }),
      ...parametersOf(policies),
    },
    Conditions: {
      MakesOidcProvider: {
        'Fn::Equals': isTarget
          ? [{ Ref: 'OidcProviderRegion' }, { Ref: 'AWS::Region' }]
          : [{ Ref: 'OidcProvider' }, 'true'],
      },
      ...isChina,
      ...(!isTarget && { HasTargetAccounts: conditionOf('TargetAccounts') }),
      ...conditionsOf(policies),
    },
    Resources: {
      GitHubOidcProvider: {
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
      ...roleResources(isTarget ? '${RoleName}-${AWS::Region}' : '${RoleName}', policies, values),
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
  });
}

// Terraform

const snake = (name) => name.replaceAll(/(?<=[a-z])(?=[A-Z])|-/g, '_').toLowerCase();

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

/** The same of Terraform, where locals hold the lists. */
function listOfTerraform(text) {
  if (['${var.grant_key_to}', '${var.subject}', '${local.target_accounts}'].includes(text)) return text;
  return text.includes('${local.target_accounts}') ? '${local.target_roles}' : undefined;
}

const terraformDocument = (policy, values) =>
  encoded(withLists(filled(policy, values, '${local.partition}'), listOfTerraform), 2);

const targetLocals = [
  '  target_accounts = length(var.target_accounts) > 0 ? var.target_accounts : ["*"]',
  '  target_roles    = [for account in local.target_accounts : "arn:*:iam::${account}:role/*"]',
];
const targetAccounts = ['target_accounts', 'list(string)', [], descriptions.TargetAccounts];

const requirements =
  'terraform {\n  required_version = ">= 1.5"\n  required_providers {\n    aws = {\n      source  = "hashicorp/aws"\n      version = ">= 6.0"\n    }\n  }\n}';
const surroundings =
  'data "aws_caller_identity" "this" {}\n\ndata "aws_partition" "this" {}\n\ndata "aws_region" "this" {}';
const locals = [
  '  account   = data.aws_caller_identity.this.account_id',
  '  partition = data.aws_partition.this.partition',
  '  region    = data.aws_region.this.region',
];

/** As terraform fmt aligns them. */
function localsOf(lines) {
  const pairs = lines.map((line) => /^ *(\w+) *= (.*)$/.exec(line) ?? []);
  const width = Math.max(...pairs.map(([, name = '']) => name.length));
  return ['locals {', ...pairs.map(([, name = '', value]) => `  ${name.padEnd(width)} = ${value}`), '}'].join('\n');
}

function validationOf(parameter, type) {
  const { pattern, is } = patterns[parameter];
  const name = snake(parameter);
  const fits = (value) => `can(regex(${JSON.stringify(pattern)}, ${value}))`;
  const condition = type === 'string' ? fits(`var.${name}`) : `alltrue([for one in var.${name} : ${fits('one')}])`;
  return [
    '  validation {',
    `    condition     = ${condition}`,
    `    error_message = ${JSON.stringify(`The variable ${name} takes ${is}.`)}`,
    '  }',
  ];
}

function variableOf([name, type, fallback, description]) {
  const lines = [`  type        = ${type}`, `  description = ${JSON.stringify(description)}`];
  if (fallback !== undefined) lines.push(`  default     = ${JSON.stringify(fallback)}`);
  const [parameter] = Object.keys(patterns).filter((one) => snake(one) === name);
  if (parameter !== undefined) lines.push('', ...validationOf(parameter, type));
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
  const values = {
    'hub-region': '${local.region}',
    'hub-key-arn': '${aws_kms_key.this.arn}',
    'target-account': '${local.target_accounts}',
  };
  const blocks = [
    madeFrom(hub.title),
    requirements,
    variableOf(['source_role_name', 'string', 'ami-source', descriptions.SourceRoleName]),
    variableOf(['key_alias', 'string', 'cmkSource', descriptions.KeyAlias]),
    variableOf(targetAccounts),
    surroundings,
    localsOf([...locals, ...targetLocals]),
    ...keyBlocks(hub.key),
    [
      "# Inline, there would be room for two hubs beside the role's own policies.",
      'resource "aws_iam_policy" "this" {',
      '  name = "${var.source_role_name}-hub-${local.region}"',
      `  policy = ${terraformDocument(policyOf(hub.policy), values)}`,
      '}',
    ].join('\n'),
    [
      'resource "aws_iam_role_policy_attachment" "this" {',
      '  role       = var.source_role_name',
      '  policy_arn = aws_iam_policy.this.arn',
      '}',
    ].join('\n'),
    outputOf('key_arn', 'For hub_key_arns of the targets.', 'aws_kms_key.this.arn'),
  ];
  return `${blocks.join('\n\n')}\n`;
}

function terraformGuard() {
  const { title, policy } = guard;
  const values = {
    'source-role-arn': 'arn:aws:iam::${var.source_account}:role/${var.source_role_name}',
    'target-role-arn': 'arn:aws:iam::*:role/${var.target_role_name}-*',
    'source-recall-role-arn': 'arn:aws:iam::${var.source_account}:role/${var.source_recall_role_name}',
    'target-recall-role-arn': 'arn:aws:iam::*:role/${var.target_recall_role_name}',
  };
  const name = '"share-encrypted-ami-tags"';
  const blocks = [
    madeFrom(title),
    requirements,
    variableOf(['source_account', 'string', undefined, descriptions.SourceAccount]),
    variableOf(['source_role_name', 'string', 'ami-source', descriptions.SourceRoleName]),
    variableOf(['target_role_name', 'string', 'ami-target', descriptions.TargetRoleName]),
    variableOf(['source_recall_role_name', 'string', 'ami-recall-source', descriptions.SourceRecallRoleName]),
    variableOf(['target_recall_role_name', 'string', 'ami-recall-target', descriptions.TargetRecallRoleName]),
    variableOf(['target_ids', 'list(string)', [], descriptions.TargetIds]),
    'data "aws_partition" "this" {}',
    [
      'locals {',
      '  partition = data.aws_partition.this.partition',
      `  policy = ${terraformDocument(policyOf(policy), values)}`,
      '}',
    ].join('\n'),
    [
      'resource "aws_organizations_policy" "this" {',
      '  count   = length(var.target_ids) > 0 ? 1 : 0',
      `  name    = ${name}`,
      '  type    = "SERVICE_CONTROL_POLICY"',
      '  content = local.policy',
      '}',
    ].join('\n'),
    [
      'resource "aws_organizations_policy_attachment" "this" {',
      '  for_each  = toset(var.target_ids)',
      '  policy_id = aws_organizations_policy.this[0].id',
      '  target_id = each.value',
      '}',
    ].join('\n'),
    [
      'resource "aws_iam_policy" "this" {',
      '  count  = length(var.target_ids) > 0 ? 0 : 1',
      `  name   = ${name}`,
      '  policy = local.policy',
      '}',
    ].join('\n'),
    outputOf(
      'policy_arn',
      'The policy to attach, or to make a part of permissions boundaries.',
      'one(aws_iam_policy.this[*].arn)',
    ),
  ];
  return `${blocks.join('\n\n')}\n`;
}

const audienceLocal = '  audience  = local.partition == "aws-cn" ? "sts.amazonaws.com.cn" : "sts.amazonaws.com"';

const featureVariables = (policies) =>
  featuresOf(policies).map((when) => [snake(when), ...terraformKinds[kinds[when] ?? 'flag'], descriptions[when]]);

/** A role that the workflows of the variable subject may assume, with its policies. */
function roleBlocks(name, policies, values) {
  const trust = { account: '${local.account}', subject: '${var.subject}', audience: '${local.audience}' };
  return [
    [
      'resource "aws_iam_role" "this" {',
      '  # checkov:skip=CKV_AWS_393: It sees no value in the variable. StringEquals knows no wildcard.',
      `  name                 = ${name}`,
      '  max_session_duration = var.max_session_duration',
      `  assume_role_policy = ${terraformDocument(trustPolicy(), trust)}`,
      '}',
    ].join('\n'),
    ...policies.flatMap((one) => (one.managed ? attachedBlocks : inlineBlocks)(one, values)),
  ];
}

function inlineBlocks({ policy, when }, values) {
  const lines = [`resource "aws_iam_role_policy" "${snake(policy)}" {`];
  // As terraform fmt aligns them.
  const pad = when === undefined ? '' : ' ';
  if (when !== undefined) lines.push(`  count = ${askedFor(when)} ? 1 : 0`);
  lines.push(
    `  name${pad} = "${policy}"`,
    `  role${pad} = aws_iam_role.this.id`,
    `  policy = ${terraformDocument(policyOf(policy), values)}`,
    '}',
  );
  return [lines.join('\n')];
}

/** A managed policy's name is unique in its account, where other regions have roles, too. */
function attachedBlocks({ policy, when }, values) {
  const label = snake(policy);
  return [
    [
      `resource "aws_iam_policy" "${label}" {`,
      `  count = ${askedFor(when)} ? 1 : 0`,
      `  name  = "\${aws_iam_role.this.name}-${policy}"`,
      `  policy = ${terraformDocument(policyOf(policy), values)}`,
      '}',
    ].join('\n'),
    [
      `resource "aws_iam_role_policy_attachment" "${label}" {`,
      `  count      = length(aws_iam_policy.${label})`,
      '  role       = aws_iam_role.this.name',
      `  policy_arn = aws_iam_policy.${label}[count.index].arn`,
      '}',
    ].join('\n'),
  ];
}

function terraformRecall(side) {
  const { title, policies } = recalls[side];
  const values = {
    'source-region': '${local.region}',
    'source-account': '${local.account}',
    'target-account': '${local.account}',
    parameter: '${var.parameter}',
    'launch-template': '${var.launch_template}',
  };
  const [account, partition, region] = locals;
  const isSource = side === 'source';
  const [caller, ofPartition, ofRegion] = surroundings.split('\n\n');
  const blocks = [
    madeFrom(title),
    requirements,
    ...[
      ['subject', 'list(string)', undefined, descriptions.Subject],
      ['role_name', 'string', `ami-recall-${side}`, descriptions.RoleName],
      ['max_session_duration', 'number', sessionDuration.unless, descriptions.MaxSessionDuration],
      ...featureVariables(policies),
    ].map(variableOf),
    ...[caller, ofPartition, ...(isSource ? [ofRegion] : [])],
    localsOf([account, partition, ...(isSource ? [region] : []), audienceLocal]),
    ...roleBlocks('var.role_name', policies, values),
    outputOf(
      'role_arn',
      isSource ? 'For source-role-arn.' : 'For target-role-arn, as arn:aws:iam::{account}:role/….',
      'aws_iam_role.this.arn',
    ),
  ];
  return `${blocks.join('\n\n')}\n`;
}

function terraform(side) {
  const { title, key, policies } = accounts[side];
  const isTarget = side === 'target';
  const values = {
    'source-region': '${local.region}',
    'source-account': '${local.account}',
    'target-account': isTarget ? '${local.account}' : '${local.target_accounts}',
    'grantee-arn': '${var.grant_key_to}',
    'boot-role-arn': '${var.boot_role_arns}',
    'source-key-arn': isTarget ? '${var.source_key_arn}' : '${aws_kms_key.this.arn}',
    'target-key-arn': '${aws_kms_key.this.arn}',
    'hub-key-arn': '${var.hub_key_arns}',
    parameter: '${var.parameter}',
    'launch-template': '${var.launch_template}',
  };
  const variables = [
    ['subject', 'list(string)', undefined, descriptions.Subject],
    ['role_name', 'string', `ami-${side}`, isTarget ? descriptions.RegionalRoleName : descriptions.RoleName],
    ['max_session_duration', 'number', sessionDuration.unless, descriptions.MaxSessionDuration],
    ['key_alias', 'string', isTarget ? 'cmkTarget' : 'cmkSource', descriptions.KeyAlias],
    ...(isTarget ? [['source_key_arn', 'string', undefined, descriptions.SourceKeyArn]] : []),
    ['oidc_provider', 'bool', !isTarget, descriptions.OidcProvider],
    ...(isTarget ? [] : [targetAccounts]),
    ...featureVariables(policies),
  ];
  const blocks = [
    madeFrom(title),
    requirements,
    ...variables.map(variableOf),
    surroundings,
    localsOf([...locals, audienceLocal, ...(isTarget ? [] : targetLocals)]),
    [
      '# An account has one at most.',
      'resource "aws_iam_openid_connect_provider" "github" {',
      '  count          = var.oidc_provider ? 1 : 0',
      `  url            = "https://${issuer}"`,
      '  client_id_list = [local.audience]',
      '}',
    ].join('\n'),
    ...keyBlocks(key),
    ...roleBlocks(isTarget ? '"${var.role_name}-${local.region}"' : 'var.role_name', policies, values),
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
    'deny-tags.yaml': cloudFormationGuard(),
    'source-account.yaml': cloudFormation('source'),
    'source-hub.yaml': cloudFormationHub(),
    'source-recall.yaml': cloudFormationRecall('source'),
    'target-account.yaml': cloudFormation('target'),
    'target-recall.yaml': cloudFormationRecall('target'),
    'terraform/deny-tags/main.tf': terraformGuard(),
    'terraform/source-account/main.tf': terraform('source'),
    'terraform/source-hub/main.tf': terraformHub(),
    'terraform/source-recall/main.tf': terraformRecall('source'),
    'terraform/target-account/main.tf': terraform('target'),
    'terraform/target-recall/main.tf': terraformRecall('target'),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, content] of Object.entries(templates())) {
    const file = new URL(`../templates/${path}`, import.meta.url);
    mkdirSync(dirname(fileURLToPath(file)), { recursive: true });
    writeFileSync(file, content);
  }
}
