import type { GrantListEntry } from '@aws-sdk/client-kms';
import { type Policy, principalsOf, type Statement, statementsOf } from './key-policy.ts';

/*
 * Whether a key's policy or its grants let others use it: the key is not looked at as its own account sees it, for there IAM
 * has a word too, but as others do, who get in by these two only
 * (https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html). Where it can't be
 * told, because of conditions that nobody but AWS can evaluate, they count as let in.
 */

/** An account, or a role of one that only a grant of its own lets in; or an organization, or one of its units. */
export type User =
  | Readonly<{ account: string; role?: string }>
  | Readonly<{ organization: string; unit: string | undefined }>;

/** What a launch takes of the key beside reading: without it, EC2 can't attach a volume. */
export const takenByLaunch = ['Decrypt', 'CreateGrant'] as const;

/** Whether the policy of a key that is of the account `owner` lets the user launch what is under it. */
export function policyAdmits(policy: Policy, owner: string, user: User): boolean {
  if ('account' in user && user.role !== undefined) return false;
  const admitting = statementsOf(policy).filter((one) => one.Effect === 'Allow' && admits(one, owner, user));
  return takenByLaunch.every((operation) => admitting.some((one) => allows(one, `kms:${operation}`)));
}

/** Whether a grant lets the role, or somebody in the account, decrypt; none is made to an organization. */
export function grantAdmits({ GranteePrincipal, Operations = [] }: GrantListEntry, user: User): boolean {
  if (!('account' in user) || !Operations.includes('Decrypt')) return false;
  return user.role === undefined ? accountOf(GranteePrincipal) === user.account : GranteePrincipal === user.role;
}

/** `111122223333`, or what an ARN has of an account. */
function accountOf(principal = ''): string | undefined {
  return /^\d{12}$/.test(principal) ? principal : principal.split(':')[4];
}

function admits(statement: Statement, owner: string, user: User): boolean {
  const principals = principalsOf(statement);
  if (principals.includes('*')) return fits(statement, user);
  const others = principals.map(accountOf).filter((account) => account !== owner);
  // Which accounts an organization has can't be told from here.
  return 'account' in user ? others.includes(user.account) : others.length > 0;
}

/** Whether the conditions of a statement for everybody leave the user in. */
function fits(statement: Statement, user: User): boolean {
  const accounts = valuesOf(statement, 'kms:CallerAccount', 'aws:PrincipalAccount');
  if (accounts.length > 0 && 'account' in user) return accounts.includes(user.account);
  const organizations = valuesOf(statement, 'aws:PrincipalOrgID', 'aws:PrincipalOrgPaths').map(
    (value) => value.split('/')[0] ?? '',
  );
  if (organizations.length === 0 || 'account' in user) return true;
  return organizations.some((one) => one === user.organization || one.includes('*'));
}

type Conditions = Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;

/** The values that a statement's conditions want of keys, which are named in whatever case. */
function valuesOf({ Condition = {} }: Statement, ...keys: readonly string[]): string[] {
  const wanted = keys.map((key) => key.toLowerCase());
  return Object.entries(Condition as Conditions)
    .filter(([operator]) => !/Not|^Null/.test(operator))
    .flatMap(([, conditions]) => Object.entries(conditions))
    .flatMap(([key, values]) => (wanted.includes(key.toLowerCase()) ? [values].flat() : []));
}

function allows({ Action, NotAction }: Statement, action: string): boolean {
  if (Action === undefined) return !matches(NotAction, action);
  return matches(Action, action);
}

function matches(patterns: unknown, action: string): boolean {
  return [patterns ?? []].flat().some((pattern) => {
    const escaped = String(pattern).replace(/[.+^${}()|[\]\\]/g, '\\$&');
    return new RegExp(`^${escaped.replace(/\*/g, '.*').replace(/\?/g, '.')}$`, 'i').test(action);
  });
}
