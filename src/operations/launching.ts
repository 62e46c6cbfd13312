import type { LaunchPermission } from '@aws-sdk/client-ec2';
import type { GrantOperation } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { AwsCallError, errorMessage } from '../aws/errors.ts';
import { readPolicy } from '../aws/key-policy.ts';
import { grantAdmits, policyAdmits, type User } from '../aws/key-users.ts';
import { listGrants, regionOfKey } from '../aws/kms.ts';
import type { LaunchSettings } from '../plan/operation.ts';
import { partitionOf } from '../regions.ts';
import { reading } from './key-questions.ts';
import type { Hindrance, KeyQuestion } from './question.ts';

/*
 * Who may launch an encrypted AMI can't, unless the key lets them as well: EC2 then ends the instance as it starts, with
 * Client.InternalError and no more words. The key is the target account's; what opens it to another account is written
 * into its policy by that account, and a grant for a service-linked role is made by the account that the role is of
 * (https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html).
 */

/**
 * What launching from an encrypted AMI takes on its key.
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
 */
export const launchOperations: GrantOperation[] = [
  'Encrypt',
  'Decrypt',
  'ReEncryptFrom',
  'ReEncryptTo',
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'DescribeKey',
  'CreateGrant',
];

/** Somebody who is to launch the AMI in another account, and what lets them use the key. */
type Launcher = Readonly<{ name: string; user: User; remedy: string }>;

/** Whether those who are to launch the AMI can use its key, as far as its policy and its grants can be read. */
export function asksForLaunchers(settings: LaunchSettings, account: string): KeyQuestion[] {
  const { key } = settings;
  const launchers = launchersOf(settings, account);
  if (launchers.length === 0) return [];
  const names = launchers.map(({ name }) => name).join();
  return [
    { ...reading('GetKeyPolicy', key, ({ place }) => lacking(place, key, launchers)), key: `${key} for ${names}` },
  ];
}

/** What is known of whether others who are to launch the AMI can use its key, a sentence each. */
export async function launchersTold(place: Place, settings: LaunchSettings): Promise<string[]> {
  const launchers = launchersOf(settings, place.account);
  if (launchers.length === 0) return [];
  const out = await lacking(place, settings.key, launchers);
  const admitted = 'its policy and its grants let the others who are to launch the AMI use';
  return out.length === 0 ? [`${admitted} ${settings.key}`] : out.map(({ what }) => what);
}

function launchersOf({ key, launchPermissions, grantElsewhere }: LaunchSettings, account: string): Launcher[] {
  return [
    ...launchPermissions.flatMap((permission) => launcherOf(permission, key) ?? []),
    ...grantElsewhere.map((role) => serviceRole(role, key)),
  ].filter(({ user }) => !('account' in user && user.account === account));
}

async function lacking(place: Place, key: string, launchers: readonly Launcher[]): Promise<Hindrance[]> {
  const policy = await outBy(place, launchers, async () => {
    const read = await readPolicy(place, key);
    return (user) => policyAdmits(read, place.account, user);
  });
  if (policy.out.length === 0) return [];
  const grants = await outBy(place, policy.out, async () => {
    const read = await listGrants(place, key);
    return (user) => read.some((grant) => grantAdmits(grant, user));
  });
  return grants.out.map(({ name, user, remedy }) => {
    // Only a grant lets a service-linked role in.
    const read = 'role' in user ? [grants] : [policy, grants];
    const unread = read.flatMap(({ why }) => why ?? []);
    const what =
      unread.length === 0
        ? `${name} can't use ${key}, since neither its policy nor a grant allows it: instances that it launches of the AMI end with Client.InternalError`
        : `whether ${name} can use ${key}, as launching the AMI takes, is not known (${unread.join('; ')})`;
    return { what: `${what}. What to do${unread.length === 0 ? '' : ', unless it is so already'}: ${remedy}` };
  });
}

type Out = Readonly<{ out: readonly Launcher[]; why?: string }>;

/** Those whom what is read doesn't admit; all, and why, where it can't be read or made sense of. */
async function outBy(
  place: Place,
  launchers: readonly Launcher[],
  read: () => Promise<(user: User) => boolean>,
): Promise<Out> {
  try {
    const admits = await read();
    return { out: launchers.filter(({ user }) => !admits(user)) };
  } catch (error) {
    place.signal.throwIfAborted();
    return { out: launchers, why: errorMessage(error instanceof AwsCallError ? error.cause : error) };
  }
}

function launcherOf(permission: LaunchPermission, key: string): Launcher | undefined {
  const { UserId, OrganizationArn, OrganizationalUnitArn } = permission;
  const resource = addTo(key);
  if (UserId !== undefined) {
    const statements = launchStatements({ Principal: { AWS: rootOf(UserId, key) } });
    return { name: `account ${UserId}`, user: { account: UserId }, remedy: `${resource}: ${statements}` };
  }
  const arn = OrganizationArn ?? OrganizationalUnitArn ?? '';
  const [organization, unit] = arn.split(':').at(-1)?.split('/').slice(1) ?? [];
  if (organization === undefined) return undefined;
  const Condition =
    unit === undefined
      ? { StringEquals: { 'aws:PrincipalOrgID': organization } }
      : { 'ForAnyValue:StringLike': { 'aws:PrincipalOrgPaths': [`${organization}/*/${unit}/*`] } };
  const statements = launchStatements({ Principal: { AWS: '*' }, Condition });
  return { name: unit ?? organization, user: { organization, unit }, remedy: `${resource}: ${statements}` };
}

/** The role must be granted the use of the key from its own account, which the key's policy must let make grants. */
function serviceRole(role: string, key: string): Launcher {
  const account = role.split(':')[4] ?? '';
  const statement = { Sid: 'LetItsAccountGrantTheKey', Effect: 'Allow', Principal: { AWS: rootOf(account, key) } };
  const grant = `aws kms create-grant --region ${regionOfKey(key)} --key-id ${key} --grantee-principal ${role} --operations ${launchOperations.join(' ')}`;
  const allowing = JSON.stringify({ ...statement, Action: 'kms:CreateGrant', Resource: '*' });
  const remedy = `no other account can make a grant for a service-linked role, so ${addTo(key)}: ${allowing}; then, in account ${account}: ${grant}`;
  return { name: `${role} (grant-key-to)`, user: { account, role }, remedy };
}

function addTo(key: string): string {
  return `add to the policy of ${key}`;
}

function rootOf(account: string, key: string): string {
  return `arn:${partitionOf(regionOfKey(key))}:iam::${account}:root`;
}

/** For what is launched directly: CreateGrant is for EC2 only. */
function launchStatements({ Condition = {}, ...whom }: Readonly<{ Principal: unknown; Condition?: object }>): string {
  const allow = (Sid: string, actions: readonly string[], condition: object) =>
    JSON.stringify({
      ...{ Sid, Effect: 'Allow', ...whom, Action: actions.map((one) => `kms:${one}`), Resource: '*' },
      ...(Object.keys(condition).length > 0 && { Condition: condition }),
    });
  const use = launchOperations.filter((operation) => operation !== 'CreateGrant');
  const forEc2 = { ...Condition, Bool: { 'kms:GrantIsForAWSResource': 'true' } };
  return [allow('LetThemLaunch', use, Condition), allow('LetEc2AttachForThem', ['CreateGrant'], forEc2)].join(', ');
}
