import { describe, expect, test } from '@jest/globals';
import {
  type AmiScenario,
  delegatingPolicy,
  keyArnOf,
  type RegionScenario,
  type Scenario,
} from '../simulator/scenario.ts';
import { workflowRole } from '../simulator/scenarios/common.ts';
import {
  type Case,
  customerKey,
  procedure,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import type { PolicyDocument } from '../simulator/world.ts';
import { expectTargets, expectUntouched, share } from './shared-case.ts';

type Writable<T> = T extends object ? { -readonly [K in keyof T]: Writable<T[K]> } : T;
type Statement = {
  Effect: string;
  Action: string | string[];
  Resource: unknown;
  Principal?: unknown;
  Condition?: unknown;
};

/** A case whose scenario may be changed. */
function copyOf(shared: Case): { scenario: Writable<Scenario>; inputs: Record<string, string>; amiId: string } {
  return structuredClone(shared) as never;
}

type Draft = ReturnType<typeof copyOf>;

/** Has permissions come before existence: only then can those on what isn't there yet be asked beforehand. */
function asksFirst({ scenario }: Draft): void {
  scenario.rules = { ...scenario.rules, order: 'authorization' };
}

function roleIn({ scenario }: Draft, account: string) {
  const [role] = Object.values(scenario.accounts[account]?.roles ?? {});
  if (role === undefined) throw new Error(`account ${account} has no role`);
  return role;
}

function statementsOf(policy: PolicyDocument): Statement[] {
  return policy.Statement as Statement[];
}

/** Takes one action out of a role's policies, on keys only on the one with `alias`. */
function without(draft: Draft, account: string, action: string, resource?: string): void {
  const before = JSON.stringify(roleIn(draft, account).policies);
  for (const policy of roleIn(draft, account).policies as PolicyDocument[])
    for (const statement of statementsOf(policy)) {
      if (resource !== undefined && ![statement.Resource].flat().includes(resource)) continue;
      statement.Action = [statement.Action].flat().filter((one) => one !== action);
    }
  if (JSON.stringify(roleIn(draft, account).policies) === before) throw new Error(`no policy allows ${action}`);
  for (const policy of roleIn(draft, account).policies as { Statement: Statement[] }[])
    policy.Statement = policy.Statement.filter(({ Action }) => Action.length > 0);
}

function regionIn({ scenario }: Draft, account: string, region: string): Writable<RegionScenario> {
  const found = scenario.accounts[account]?.regions?.[region];
  if (found === undefined) throw new Error(`no ${account}/${region}`);
  return found;
}

function amiIn(draft: Draft): Writable<AmiScenario> {
  const ami = regionIn(draft, sourceAccount, sourceRegion).amis?.[0];
  if (ami === undefined) throw new Error('no AMI');
  return ami;
}

/** Puts the statements that a message gives into the policy of the role that it names. */
function applyStatements(draft: Draft, message: string): void {
  const found = message.matchAll(
    /(?:iam::(\d{12}):role\/\S+ is not allowed to call [^\n]+\n +What to do: (?:[^\n]*; else )?add to its policy:|add to the policy of arn:aws:iam::(\d{12}):role\/\S+:) (\{.+?\})(?=;|\n|$| \()/g,
  );
  let applied = 0;
  for (const [, its, named, text = ''] of found) {
    const { policies } = roleIn(draft, its ?? named ?? '') as { policies: PolicyDocument[] };
    policies.push({ Version: '2012-10-17', Statement: JSON.parse(`[${text}]`) });
    applied += 1;
  }
  if (applied === 0) throw new Error(`no statement in: ${message}`);
}

const sourceKey = keyArnOf(sourceAccount, sourceRegion, 'cmkSource');
const targetKey = keyArnOf(targetAccount, targetRegion, 'cmkTarget');
const described = { attributes: { Description: 'golden' } };
const instanceId = 'i-0123456789abcdef0';
const ofInstance: StandardOptions = {
  policies: ['source-instance'],
  source: { instances: [{ id: instanceId, volumes: [{ device: '/dev/xvda' }] }] },
};

type Misconfiguration = {
  given?: StandardOptions;
  /** Where the case is not the standard one. */
  of?: (options?: StandardOptions) => Case;
  breaks: (draft: Draft) => void;
  says: RegExp;
  /** AMIs in the target that are none of the run's. */
  leaves?: number;
  /** What the message's remedy comes to; by default, its statements. */
  fix?: (draft: Draft, message: string) => void;
};

const setKey = (account: string, region: string, alias: string, key: object) => (draft: Draft) => {
  regionIn(draft, account, region).keys = { ...regionIn(draft, account, region).keys, [alias]: key };
};
const input = (name: string, value: string) => (draft: Draft) => {
  draft.inputs[name] = value;
};

const misconfigurations: Record<string, Misconfiguration> = {
  'no target role, so that the source role is in the wrong account': {
    breaks: (draft) => {
      draft.inputs['target-role-arn'] = '';
      draft.scenario.ambient = { account: sourceAccount };
    },
    says: /landed in account 111111111111, not in 999999999999[\s\S]*set target-role-arn/,
    fix: input('target-role-arn', 'arn:aws:iam::{account}:role/ami-target'),
  },
  'the target key has no such alias': {
    breaks: input('target-kms-key', 'alias/typo'),
    says: /alias\/typo is not found/,
    fix: input('target-kms-key', 'alias/cmkTarget'),
  },
  'the target key is disabled': {
    breaks: setKey(targetAccount, targetRegion, 'cmkTarget', { state: 'Disabled' }),
    says: /is Disabled\n +What to do: enable it: aws kms enable-key --region eu-west-1 --key-id arn:/,
    fix: setKey(targetAccount, targetRegion, 'cmkTarget', {}),
  },
  'the target key is to be deleted': {
    breaks: setKey(targetAccount, targetRegion, 'cmkTarget', { state: 'PendingDeletion' }),
    says: /is PendingDeletion\n +What to do: cancel its deletion/,
    fix: setKey(targetAccount, targetRegion, 'cmkTarget', {}),
  },
  'the source key is disabled': {
    breaks: setKey(sourceAccount, sourceRegion, 'cmkSource', { state: 'Disabled' }),
    says: /alias\/cmkSource \(source-kms-key\) is Disabled/,
    fix: setKey(sourceAccount, sourceRegion, 'cmkSource', {}),
  },
  'the target key is one of another region': {
    breaks: input('target-kms-key', keyArnOf(targetAccount, 'us-west-2', 'cmkTarget')),
    says: /target-kms-key: .+us-west-2/,
    fix: input('target-kms-key', 'alias/cmkTarget'),
  },
  'the target key is asymmetric': {
    breaks: setKey(targetAccount, targetRegion, 'cmkTarget', { spec: 'RSA_2048' }),
    says: /is RSA_2048 for ENCRYPT_DECRYPT; EBS takes only symmetric/,
    fix: setKey(targetAccount, targetRegion, 'cmkTarget', {}),
  },
  'the target key is of AWS': {
    breaks: input('target-kms-key', 'alias/aws/ebs'),
    says: /is an AWS managed key/,
    fix: input('target-kms-key', 'alias/cmkTarget'),
  },
  'no source key, and snapshots under none': {
    breaks: input('source-kms-key', ''),
    says: /is not encrypted: so it can't be shared encrypted[\s\S]*give source-kms-key/,
    fix: input('source-kms-key', 'alias/cmkSource'),
  },
  "the target role's trust lacks this repository": {
    breaks: (draft) => {
      draft.scenario.github = { repository: 'acme/other' };
      roleIn(draft, sourceAccount).trust = JSON.parse(
        JSON.stringify(roleIn(draft, sourceAccount).trust).replaceAll('acme/images', 'acme/other'),
      );
    },
    says: /AssumeRoleWithWebIdentity of arn:aws:iam::999999999999:role\/ami-target[\s\S]*its trust policy must let this workflow in: \{/,
    fix: (draft, message) => {
      const told = /must let this workflow in: (\{.+\})/.exec(message)?.[1] ?? '';
      roleIn(draft, targetAccount).trust = { Version: '2012-10-17', Statement: [JSON.parse(told)] };
    },
  },
  'no OIDC provider in the target account': {
    breaks: (draft) => {
      const account = draft.scenario.accounts[targetAccount];
      if (account) account.oidc = [];
    },
    says: /No OpenIDConnect provider found[\s\S]*create an IAM OIDC identity provider/,
    fix: (draft) => {
      const account = draft.scenario.accounts[targetAccount];
      if (account) account.oidc = structuredClone(draft.scenario.accounts[sourceAccount]?.oidc ?? []) as never;
    },
  },
  'the OIDC provider lacks the audience': {
    breaks: (draft) => {
      const provider = draft.scenario.accounts[targetAccount]?.oidc?.[0];
      if (provider) provider.audiences = ['other'];
    },
    says: /must list the audience/,
    fix: (draft) => {
      const provider = draft.scenario.accounts[targetAccount]?.oidc?.[0];
      if (provider) provider.audiences = ['sts.amazonaws.com'];
    },
  },
  'sessions longer than the role allows': {
    breaks: input('role-duration-seconds', '43200'),
    says: /lower role-duration-seconds/,
    fix: input('role-duration-seconds', '3600'),
  },
  'the name is taken': {
    breaks: (draft) => {
      regionIn(draft, targetAccount, targetRegion).amis = [
        { name: 'golden-image', volumes: [{ device: '/dev/xvda' }] },
      ];
    },
    leaves: 1,
    says: /the name "golden-image" is taken by ami-[\s\S]*choose another target-ami-name/,
    fix: input('target-ami-name', 'golden-image-2'),
  },
  'the region is not enabled': {
    // One that accounts have to enable.
    breaks: (draft) => {
      const account = draft.scenario.accounts[targetAccount];
      if (account === undefined) return;
      account.regions = { ...account.regions, 'eu-south-1': regionIn(draft, targetAccount, targetRegion) };
      account.notOptedIn = ['eu-south-1'];
      draft.inputs['target-regions'] = 'eu-south-1';
    },
    // Each service has its own words; told is the first.
    says: /^A problem was found.*\n.*region eu-south-1 is not enabled in account 999999999999 \(AWS says \w+: /,
    fix: input('target-regions', targetRegion),
  },
  'no such AMI': {
    breaks: input('ami-id', 'ami-0123456789abcdef0'),
    says: /there is no ami-0123456789abcdef0 that account 111111111111 can see/,
    fix: (draft) => input('ami-id', draft.amiId)(draft),
  },
  'the AMI is disabled': {
    breaks: (draft) => {
      amiIn(draft).attributes = { State: 'disabled' } as never;
    },
    says: /is disabled\n +What to do: enable it: aws ec2 enable-image --region us-east-1 --image-id ami-/,
    fix: (draft) => {
      amiIn(draft).attributes = {};
    },
  },
  'the AMI is not available yet': {
    breaks: (draft) => {
      amiIn(draft).attributes = { State: 'pending' } as never;
    },
    says: /is pending; only an available AMI can be copied/,
    fix: (draft) => {
      amiIn(draft).attributes = {};
    },
  },
  'a snapshot is archived': {
    breaks: (draft) => {
      amiIn(draft).volumes = [{ device: '/dev/xvda', tier: 'archive' }];
    },
    says: /is archived[\s\S]*aws ec2 restore-snapshot-tier --region us-east-1 --snapshot-id snap-/,
    fix: (draft) => {
      amiIn(draft).volumes = [{ device: '/dev/xvda' }];
    },
  },
  'registering would lose the billing': {
    given: {
      ami: {
        ...described,
        name: 'golden-image',
        attributes: { UsageOperation: 'RunInstances:0002', Description: 'x' },
      },
      policies: ['source-route-copy', 'target-route-copy'],
    },
    breaks: input('route', 'register'),
    says: /route register would lose the billing[\s\S]*use route copy/,
    fix: input('route', 'copy'),
  },
  'the source role may not make AMIs of instances': {
    given: ofInstance,
    breaks: (draft) => {
      without(draft, sourceAccount, 'ec2:CreateImage');
      Object.assign(draft.inputs, { 'ami-id': '', 'instance-id': instanceId });
    },
    says: /role\/ami-source is not allowed to call ec2:CreateImage\n.*"Resource":\["arn:aws:ec2:us-east-1:111111111111:instance\/\*"/,
  },
  'an instance has unencrypted volumes, and no source key is given': {
    given: ofInstance,
    breaks: (draft) => {
      Object.assign(draft.inputs, { 'ami-id': '', 'instance-id': instanceId, 'source-kms-key': '' });
    },
    says: /the snapshot of vol-\w+ is not encrypted[^\n]*\n +What to do: give source-kms-key/,
    fix: input('source-kms-key', 'alias/cmkSource'),
  },
  'Allowed AMIs hides the source in the target': {
    given: { ami: described, policies: ['source-route-copy', 'target-route-copy'] },
    breaks: (draft) => {
      draft.inputs.route = 'copy';
      regionIn(draft, targetAccount, targetRegion).settings = {
        allowedImages: { state: 'enabled', providers: ['amazon'] },
      };
    },
    says: /Allowed AMIs is on, and none of its criteria allows the AMI "/,
    fix: (draft) => {
      regionIn(draft, targetAccount, targetRegion).settings = {
        allowedImages: { state: 'enabled', providers: ['amazon', sourceAccount] },
      };
    },
  },
  'source-key-access existing, where the key lets nobody in': {
    of: customerKey,
    breaks: input('source-key-access', 'existing'),
    says: /add to the policy of that key: \{"Effect":"Allow","Principal":\{"AWS":"arn:aws:iam::999999999999:root"\},"Action":\["kms:DescribeKey"/,
    fix: (draft, message) => {
      const told = /add to the policy of that key: (\{.+\})/.exec(message)?.[1] ?? '';
      const { Statement, ...rest } = delegatingPolicy(sourceAccount) as { Statement: object[] };
      setKey(sourceAccount, sourceRegion, 'cmkSource', {
        policy: { ...rest, Statement: [...Statement, ...JSON.parse(`[${told}]`)] },
      })(draft);
    },
  },
  'a principal of grant-key-to that is not there': {
    given: { policies: ['target-grant-key'] },
    breaks: input(
      'grant-key-to',
      'arn:aws:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling',
    ),
    says: /AWSServiceRoleForAutoScaling \(grant-key-to\) is not there\n +What to do: create it: aws iam create-service-linked-role --aws-service-name autoscaling.amazonaws.com/,
    fix: (draft) => {
      const roles = draft.scenario.accounts[targetAccount]?.roles ?? {};
      const path = 'aws-service-role/autoscaling.amazonaws.com/';
      roles.AWSServiceRoleForAutoScaling = { ...workflowRole(targetAccount), path } as never;
    },
  },
  'an SSM parameter that the source role may not read': {
    given: { source: { parameters: { '/golden/latest': procedure().amiId } } },
    breaks: (draft) => Object.assign(draft.inputs, { 'ami-id': '', 'ami-ssm-parameter': '/golden/latest' }),
    says: /ssm:GetParameter [\s\S]*add to the policy of arn:aws:iam::111111111111:role\/ami-source: \{"Effect":"Allow","Action":"ssm:GetParameter"/,
  },
  'an SSM parameter that is not there': {
    given: { policies: ['source-ssm-parameter'], source: { parameters: { '/golden/latest': procedure().amiId } } },
    breaks: (draft) => Object.assign(draft.inputs, { 'ami-id': '', 'ami-ssm-parameter': '/golden/lastest' }),
    says: /ParameterNotFound[\s\S]*create the parameter in 111111111111\/us-east-1, or correct ami-ssm-parameter/,
    fix: input('ami-ssm-parameter', '/golden/latest'),
  },
  'the snapshots are under another customer managed key, which the target role of the same account may not use': {
    given: { targets: [sourceAccount], volumes: [{ device: '/dev/xvda', key: 'other' }] },
    breaks: (draft) => {
      draft.inputs['target-role-arn'] = 'arn:aws:iam::{account}:role/ami-target';
      const other = keyArnOf(sourceAccount, sourceRegion, 'other');
      draft.scenario.accounts[sourceAccount]?.roles?.['ami-source']?.policies.push({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: 'kms:DescribeKey', Resource: other }],
      });
    },
    says: /role\/ami-target is not allowed to call kms:DescribeKey on arn:aws:kms:us-east-1/,
    fix: (draft, message) => {
      const told = /is not allowed to call kms:DescribeKey[^{]+add to its policy: (\{.+\})/.exec(message)?.[1] ?? '';
      draft.scenario.accounts[sourceAccount]?.roles?.['ami-target']?.policies.push({
        Version: '2012-10-17',
        Statement: JSON.parse(`[${told}]`),
      });
    },
  },
  'an SSM parameter of another name than AWS takes, once it is filled in': {
    given: { policies: ['target-ssm-parameter'], ami: { name: 'golden/image (v1)' } },
    breaks: input('ssm-parameter', '{name}'),
    says: /"golden\/image \(v1\)" cannot name an SSM parameter: the name of an SSM parameter has letters/,
    fix: input('ssm-parameter', '/golden/latest'),
  },
  'an SSM parameter that is a secret': {
    given: { policies: ['target-ssm-parameter'] },
    breaks: (draft) => {
      draft.inputs['ssm-parameter'] = '/golden/secret';
      regionIn(draft, targetAccount, targetRegion).parameters = {
        '/golden/secret': { value: 'hidden', type: 'SecureString' },
      } as never;
    },
    says: /the SSM parameter \/golden\/secret is a SecureString/,
    fix: input('ssm-parameter', '/golden/latest'),
  },
  'an SSM parameter of another type': {
    given: { policies: ['target-ssm-parameter'] },
    breaks: (draft) => {
      draft.inputs['ssm-parameter'] = '/golden/list';
      regionIn(draft, targetAccount, targetRegion).parameters = {
        '/golden/list': { value: 'a,b', type: 'StringList' },
      } as never;
    },
    says: /the SSM parameter \/golden\/list is a StringList/,
    fix: input('ssm-parameter', '/golden/latest'),
  },
  ...Object.fromEntries(
    (
      [
        ['source', 'ec2:CopyImage'],
        ['source', 'ec2:ModifySnapshotAttribute'],
        ['source', 'ec2:DescribeSnapshotAttribute'],
        ['source', 'ec2:DeregisterImage'],
        ['source', 'ec2:DeleteSnapshot'],
        ['source', 'kms:CreateGrant', sourceKey],
        ['source', 'kms:RevokeGrant', sourceKey],
        ['source', 'kms:GenerateDataKeyWithoutPlaintext', sourceKey],
        ['target', 'ec2:CopySnapshot'],
        ['target', 'ec2:RegisterImage'],
        ['target', 'kms:DescribeKey', sourceKey],
        ['target', 'kms:DescribeKey', targetKey],
        ['source', 'kms:DescribeKey', sourceKey],
        ['target', 'kms:GenerateDataKeyWithoutPlaintext', targetKey],
      ] as const
    ).map(([side, action, resource]): [string, Misconfiguration] => [
      `the ${side} role lacks ${action}${resource === undefined ? '' : ` on the ${resource === sourceKey ? 'source' : 'target'} key`}`,
      {
        breaks: (draft) => without(draft, side === 'source' ? sourceAccount : targetAccount, action, resource),
        says: new RegExp(
          `role/ami-${side} is not allowed to call ${action}|perform: ${action} on resource: ${resource}`,
        ),
      },
    ]),
  ),
};

describe('a misconfiguration is named with its remedy, nothing is changed, and the remedy mends it', () => {
  test.each(Object.entries(misconfigurations))(
    '%s',
    async (_, { given, of = standardCase, breaks, says, leaves = 0, fix }) => {
      const draft = copyOf(of(given));
      breaks(draft);
      asksFirst(draft);
      const dry = await share(draft as never, { 'dry-run': 'true' });
      expect(dry.error).toMatch(says);
      expect(dry.main.conclusion).toBe('failure');
      expectUntouched(dry);
      const real = await share(draft as never);
      expect(real.error).toMatch(says);
      expectUntouched(real);
      (fix ?? applyStatements)(draft, dry.error);
      const mended = await share(draft as never);
      expect(mended.error).toBe('');
      if (leaves === 0)
        expectTargets(mended, draft.inputs['instance-id'] ? (mended.main.outputs['source-ami-id'] ?? '') : draft.amiId);
    },
  );

  test('there are at least 25', () => {
    expect(Object.keys(misconfigurations).length).toBeGreaterThanOrEqual(25);
  });

  test('a quota that is used up is told, and the run waits', async () => {
    const draft = copyOf(procedure());
    regionIn(draft, targetAccount, targetRegion).othersCopies = { count: 20, seconds: 60 };
    const { main } = await share(draft as never, { 'dry-run': 'true' });
    expect(main.conclusion).toBe('success');
    expect(main.annotations.map(({ message }) => message).join()).toMatch(/20 snapshot copies are running here/);
    const real = await share(draft as never);
    expect(real.error).toBe('');
    expect(real.main.stdout).toContain('waiting for room in a quota to copy');
  });

  test('policies that allow KMS only through EC2 are let pass by key-preflight: warn', async () => {
    const draft = copyOf(procedure());
    for (const policy of roleIn(draft, targetAccount).policies as PolicyDocument[])
      for (const statement of statementsOf(policy))
        if ([statement.Resource].flat().includes(targetKey))
          statement.Condition = { StringLike: { 'kms:ViaService': 'ec2.*.amazonaws.com' } };
    (roleIn(draft, targetAccount).policies as PolicyDocument[]).push({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 'kms:DescribeKey', Resource: targetKey }],
    });
    expect((await share(draft as never)).error).toMatch(/kms:ViaService\), set key-preflight to warn/);
    const result = await share(draft as never, { 'key-preflight': 'warn' });
    expect(result.error).toBe('');
    expectTargets(result, draft.amiId);
  });
});
