import { describe, expect, test } from '@jest/globals';
import { procedure, targetAccount } from '../simulator/scenarios/standard.ts';
import type { Guard, GuardKind } from '../simulator/world.ts';

import { denialRemedy, policyIn } from '../src/aws/denial.ts';
import { AwsCallError, explain } from '../src/aws/errors.ts';
import type { Side } from '../src/aws/template-parameters.ts';
import { share } from './shared-case.ts';

const role = 'arn:aws:iam::999999999999:role/ami-target';
const who =
  'User: arn:aws:sts::999999999999:assumed-role/ami-target/run is not authorized to perform: ec2:CopySnapshot';
const on = 'on resource: arn:aws:ec2:eu-west-1::snapshot/*';

/** AWS's words for each kind, https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html, and where it is mended. */
const told: readonly (readonly [words: string, mended: RegExp])[] = [
  ['because no identity-based policy allows the ec2:CopySnapshot action', /add to the policy of \S+ami-target: \{/],
  ['because no permissions boundary allows the ec2:CopySnapshot action', /allowed by the role's permissions boundary/],
  [
    'because no session policy allows the ec2:CopySnapshot action',
    /allowed by the session policy .*inline-session-policy/,
  ],
  [
    'because no service control policy allows the ec2:CopySnapshot action',
    /allowed by the organization's service control/,
  ],
  [
    'because no resource control policy allows the ec2:CopySnapshot action',
    /allowed by the organization's resource control/,
  ],
  ['because no VPC endpoint policy allows the ec2:CopySnapshot action', /allowed by the policy of the VPC endpoint/],
  ['because no resource-based policy allows the ec2:CopySnapshot action', /the key's policy, or a grant, must let it/],
  [
    'with an explicit deny in an identity-based policy',
    /take the statement that denies ec2:CopySnapshot out of the policy of/,
  ],
  ['with an explicit deny in a permissions boundary', /denied by the role's permissions boundary/],
  ['with an explicit deny in a session policy', /denied by the session policy/],
  ['with an explicit deny in a service control policy', /denied by the organization's service control policies/],
  ['with an explicit deny in a resource control policy', /denied by the organization's resource control policies/],
  ['with an explicit deny in a VPC endpoint policy', /denied by the policy of the VPC endpoint/],
  ['with an explicit deny in a resource-based policy', /denied by the resource's own policy/],
  [
    'with an explicit deny in a service control policy: arn:aws:organizations::111111111111:policy/o-1/service_control_policy/p-1',
    /denied by the organization's service control policies/,
  ],
];

describe('a denial is told by the kind of policy that it comes from', () => {
  test.each(told)('%s', (words, mended) => {
    const cause = Object.assign(new Error(`You are not authorized to perform this operation. ${who} ${on} ${words}`), {
      name: 'UnauthorizedOperation',
    });
    const where = { account: '999999999999', region: 'eu-west-1' };
    const { remedy = '' } = explain(new AwsCallError({ action: 'CopySnapshot', where }, cause));
    expect(remedy).toMatch(mended);
    // A statement for the role is advised only where it helps.
    expect(remedy.startsWith(`add to the policy of ${role}`)).toBe(/no (identity|resource)-based/.test(words));
  });

  test('what is denied to guard what is not ours is not advised to be taken out', () => {
    const remedy = (action: string) =>
      denialRemedy({
        whose: 'its policy',
        action,
        resources: ['*'],
        words: 'with an explicit deny in an identity-based policy',
      });
    for (const action of ['ec2:DeregisterImage', 'ec2:DeleteSnapshot', 'ec2:DeleteTags'])
      expect(remedy(action)).toMatch(/leave that statement, and check the tags/);
    expect(remedy('ec2:CopySnapshot')).toBe('take the statement that denies ec2:CopySnapshot out of its policy');
  });

  test('a denial without a resource gets its statement, and the template’s parameter of whose role it is', () => {
    const denied = (action: string, side?: Side) => {
      const words = `${who.replace('ec2:CopySnapshot', action)} because no identity-based policy allows the ${action} action`;
      const cause = Object.assign(new Error(words), { name: 'AccessDenied' });
      const where = { account: '999999999999', region: 'eu-west-1' };
      return explain(new AwsCallError({ action: action.replace(/.*:/, ''), where, side }, cause)).remedy;
    };
    const groups = 'autoscaling:DescribeAutoScalingGroups';
    const add = `add to the policy of ${role}: {"Effect":"Allow","Action":"${groups}","Resource":"*"}`;
    expect(denied(groups, 'target')).toBe(`where templates/ made the role, set Retain=true; else ${add}`);
    expect(denied(groups, 'source-recall')).toBe(`where templates/ made the role, set IncludeSource=true; else ${add}`);
    // An audit has a parameter of its own, whatever other features read.
    const users = 'ec2:DescribeInstances';
    expect(denied(users, 'target')).toMatch(/set Retain=true or BootTest=true; else/);
    expect(denied(users, 'target-audit')).toMatch(/set Audit=true; else/);
    // Its template's role always has it.
    expect(denied(groups, 'target-recall')).toBe(add);
    expect(denied(groups, 'source')).toBe(add);
    expect(denied(groups)).toBe(add);
    // Of another account's key KMS names none, and it may be the key's policy that denies.
    expect(denied('kms:DescribeKey')).toBeUndefined();
  });

  test('whose role it is, the call itself tells: no parameter is one of the other side’s template', async () => {
    const instances = [{ id: 'i-0123456789abcdef0', volumes: [{ device: '/dev/xvda', sizeGiB: 8 }] }];
    const inputs = { 'ami-id': '', 'instance-id': 'i-0123456789abcdef0' };
    const { error } = await share(procedure({ source: { instances } }), inputs);
    expect(error).toMatch(
      /not authorized to perform: ec2:DescribeInstances .*\n.*where templates\/ made the role, set FromInstances=true; else add to the policy of \S+ami-source: /,
    );
  });

  test('words that name no kind are no kind', () => {
    expect(policyIn('You are not authorized to perform this operation.')).toBeUndefined();
    expect(policyIn('with an explicit deny')).toBeUndefined();
  });
});

const deny: Guard['policy'] = {
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Action: '*', Resource: '*' },
    { Effect: 'Deny', Action: 'ec2:RegisterImage', Resource: '*' },
  ],
};
const lack: Guard['policy'] = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', NotAction: 'ec2:RegisterImage', Resource: '*' }],
};

test.each<readonly [GuardKind, Guard['policy'], RegExp]>([
  ['permissions boundary', lack, /have ec2:RegisterImage allowed by the role's permissions boundary/],
  ['session policy', lack, /have ec2:RegisterImage allowed by the session policy/],
  ['service control policy', deny, /no statement that allows ec2:RegisterImage helps: .+service control policies/],
  ['VPC endpoint policy', lack, /have ec2:RegisterImage allowed by the policy of the VPC endpoint/],
])('a run that a %s stops says so, before any call that changes something', async (kind, policy, remedy) => {
  const shared = procedure({ rules: { order: 'authorization' } });
  const target = shared.scenario.accounts[targetAccount];
  const guarded = target?.roles?.['ami-target'];
  if (target === undefined || guarded === undefined) throw new Error('the scenario has no target role');
  const roles = { ...target.roles, 'ami-target': { ...guarded, guards: [{ kind, policy }] } };
  const accounts = { ...shared.scenario.accounts, [targetAccount]: { ...target, roles } };
  const { error, simulator } = await share({ ...shared, scenario: { ...shared.scenario, accounts } });
  expect(error).toMatch(/role\/ami-target is not allowed to call ec2:RegisterImage/);
  expect(error).toMatch(remedy);
  expect(simulator.calls.filter(({ mutating }) => mutating)).toEqual([]);
});
