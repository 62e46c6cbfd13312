import { describe, expect, test } from '@jest/globals';
import { delegatingPolicy, type KeyScenario, keyArnOf } from '../simulator/scenario.ts';
import { customerKey, targetAccount, targetRegion } from '../simulator/scenarios/standard.ts';
import type { PolicyDocument } from '../simulator/world.ts';
import type { Policy } from '../src/aws/key-policy.ts';
import { policyAdmits } from '../src/aws/key-users.ts';
import { expectTargets, share } from './shared-case.ts';

const organization = 'arn:aws:organizations::123456789012:organization/o-abcdefghij';
const unit = 'arn:aws:organizations::123456789012:ou/o-abcdefghij/ou-abcd-12345678';
const autoScaling = (account: string) =>
  `arn:aws:iam::${account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling`;
const key = keyArnOf(targetAccount, targetRegion, 'cmkTarget');
const policies = ['target-publish', 'target-grant-key'];

type Given = KeyScenario & Readonly<{ without?: string; body?: string }>;

async function warned(inputs: Record<string, string>, { without, body = '', ...targetKey }: Given = {}) {
  const garbled = { kind: 'garbled', action: 'GetKeyPolicy', times: 100, status: 200, body } as const;
  const shared = customerKey({ policies, targetKey, faults: body === '' ? [] : [garbled] });
  // The published policy, without one action.
  const text = JSON.stringify(shared.scenario).replaceAll(`"${without}"`, '"kms:ListAliases"');
  const result = await share({ ...shared, scenario: JSON.parse(text) }, inputs);
  expect(result.error).toBe('');
  expectTargets(result, shared.amiId);
  return result.main.annotations.map(({ message }) => message);
}

/** The default policy with the statements that a warning gives. */
function mended(warnings: readonly string[]): PolicyDocument {
  const { Statement, ...rest } = delegatingPolicy(targetAccount) as { Statement: object[] };
  const told = warnings.flatMap((words) => {
    const listed = /add to the policy of arn:\S+: (\{.*?\})(?:; then|$)/.exec(words)?.[1] ?? '';
    return JSON.parse(`[${listed}]`) as object[];
  });
  return { ...rest, Statement: [...Statement, ...told] };
}

describe('those who are to launch the AMI, and can’t use its key', () => {
  const inputs = { 'launch-permissions': [targetAccount, '222222222222', organization, unit].join('\n') };

  test('are told, with the statements that let them: then there is no warning any more', async () => {
    const warnings = await warned(inputs);
    expect(warnings).toEqual(
      ['account 222222222222', 'o-abcdefghij', 'ou-abcd-12345678'].map((who) =>
        expect.stringMatching(
          `^999999999999/eu-west-1: ${who} can't use ${key}, since neither its policy nor a grant allows it: instances that it launches of the AMI end with Client.InternalError. What to do: add to the policy`,
        ),
      ),
    );
    expect(warnings.join()).toContain('"aws:PrincipalOrgPaths":["o-abcdefghij/*/ou-abcd-12345678/*"]');
    expect(await warned(inputs, { policy: mended(warnings) })).toEqual([]);
  });

  test('are not known where neither the policy nor the grants can be read', async () => {
    const one = { 'launch-permissions': '222222222222' };
    const granted = { grantedTo: ['arn:aws:iam::222222222222:role/app'] };
    expect(await warned(one, granted)).toEqual([]);
    expect(await warned(one, { ...granted, without: 'kms:GetKeyPolicy' })).toEqual([]);
    expect(await warned(one, { without: 'kms:GetKeyPolicy' })).toEqual([
      expect.stringMatching(
        /whether account 222222222222 can use arn:\S+, as launching the AMI takes, is not known \(.*not authorized to perform: kms:GetKeyPolicy.*\)\. What to do, unless it is so already: add to the policy/,
      ),
    ]);
    expect(await warned(one, { ...granted, without: 'kms:ListGrants' })).toContainEqual(
      expect.stringMatching(/is not known \(.*kms:ListGrants/),
    );
  });

  test.each(['{}', '{"Policy": "{}"}'])('are not known by an endpoint that answers %s', async (body) => {
    expect(await warned({ 'launch-permissions': '222222222222' }, { body })).toEqual([
      expect.stringMatching(/account 222222222222 can use \S+ as launching the AMI takes, is not known \(.+\)\. What/),
    ]);
  });

  test('a service-linked role of another account: its account is to make the grant', async () => {
    const role = autoScaling('222222222222');
    const warnings = await warned({ 'grant-key-to': role });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`${role} (grant-key-to) can't use ${key}`);
    expect(warnings[0]).toContain(
      `then, in account 222222222222: aws kms create-grant --region eu-west-1 --key-id ${key} --grantee-principal ${role} --operations Encrypt Decrypt`,
    );
    expect(warnings[0]).toContain('for a service-linked role, so add to the policy of');
    // The statement alone doesn't do.
    expect(await warned({ 'grant-key-to': role }, { policy: mended(warnings) })).toHaveLength(1);
    expect(await warned({ 'grant-key-to': role }, { grantedTo: [role] })).toEqual([]);
  });
});

describe('a key policy', () => {
  const statement = (over: object): Policy => ({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: '*', Action: 'kms:*', Resource: '*', ...over }] as never,
  });
  const account = { account: '222222222222' };
  const whole = { organization: 'o-abcdefghij', unit: undefined };
  const calledBy = (...accounts: string[]) => ({ Condition: { StringEquals: { 'kms:calleraccount': accounts } } });
  const ofOrganization = (id: string) => ({ Condition: { StringEquals: { 'aws:PrincipalOrgId': id } } });

  test.each<[string, object, boolean, boolean]>([
    ['for everybody', {}, true, true],
    ['for everybody through EC2', { Condition: { StringLike: { 'kms:ViaService': 'ec2.*' } } }, true, true],
    ['for the account', { Principal: { AWS: '222222222222' } }, true, true],
    ['for a role of the account', { Principal: { AWS: ['arn:aws:iam::222222222222:role/x'] } }, true, true],
    ['for another account', { Principal: { AWS: 'arn:aws:iam::333333333333:root' } }, false, true],
    ['for its own account', { Principal: { AWS: 'arn:aws:iam::999999999999:root' } }, false, false],
    ['for a service', { Principal: { Service: 'ec2.amazonaws.com' } }, false, false],
    ['for calls from the account', calledBy('333333333333', '222222222222'), true, true],
    ['for calls from another account', calledBy('333333333333'), false, true],
    ['for the organization', ofOrganization('o-abcdefghij'), true, true],
    ['for another organization', ofOrganization('o-zzzzzzzzzz'), true, false],
    ['that denies', { Effect: 'Deny' }, false, false],
    ['for reading', { Action: ['kms:Describe*', 'kms:Decrypt'] }, false, false],
    ['for what launching takes', { Action: ['KMS:Decryp?', 'kms:CreateGrant'] }, true, true],
    ['for all but administration', { Action: undefined, NotAction: 'kms:Put*' }, true, true],
    ['for all but grants', { Action: undefined, NotAction: 'kms:*Grant*' }, false, false],
  ])('%s', (...[, over, one, all]) => {
    const admits = (user: Parameters<typeof policyAdmits>[2]) => policyAdmits(statement(over), targetAccount, user);
    expect([admits(account), admits(whole)]).toEqual([one, all]);
  });
});

test('a source role that may make grants for AWS’s resources only is told of the other ways to give access', async () => {
  const shared = customerKey();
  const scenario = JSON.parse(JSON.stringify(shared.scenario), (_, value) =>
    Array.isArray(value) ? value.filter((one) => one?.Sid !== 'GrantTheTargetRoles') : value,
  );
  const { error } = await share({ ...shared, scenario });
  expect(error).toMatch(
    /ami-source is not allowed to call kms:CreateGrant on arn:.*\n.*What to do: where templates\/ made the role, .*; else add to its policy: .*; or, if it is to make grants for AWS resources only \(kms:GrantIsForAWSResource\), set source-key-access to policy, which takes kms:GetKeyPolicy and kms:PutKeyPolicy .*; or to existing/,
  );
});
