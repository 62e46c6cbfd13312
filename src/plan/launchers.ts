import type { GrantListEntry } from '@aws-sdk/client-kms';

/** What launching takes on the key of an AMI: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html */
const needed = ['Decrypt', 'CreateGrant'];

export type Grants = readonly Pick<GrantListEntry, 'GranteePrincipal' | 'Operations'>[];

/** A statement of a key's policy, as far as it is looked at. */
export type Statement = Readonly<{
  Effect?: string;
  Principal?: string | Readonly<{ AWS?: string | readonly string[] }>;
  Action?: string | readonly string[];
}>;

/**
 * By what an account, or a principal of it, may use a key to launch; undefined where nothing says so. Conditions aren't
 * evaluated: a statement with one may let less through than it reads.
 */
export function mayLaunch(
  account: string,
  known: Readonly<{ grants: Grants; statements: readonly Statement[]; grantKeyTo: readonly string[] }>,
): 'the policy of the key' | 'a grant' | 'grant-key-to' | undefined {
  const { grants, statements, grantKeyTo } = known;
  const isOf = (principal = '') => principal === account || principal.split(':')[4] === account;
  const naming = statements.filter(
    (one) => one.Effect === 'Allow' && principalsOf(one).some((name) => name === '*' || isOf(name)),
  );
  const actions = naming.flatMap(({ Action = [] }) => Action);
  if (needed.every((operation) => actions.some((pattern) => isLike(pattern, `kms:${operation}`))))
    return 'the policy of the key';
  const granted = grants.filter(({ GranteePrincipal }) => isOf(GranteePrincipal));
  if (granted.some(({ Operations = [] }) => needed.every((one) => Operations.some((has) => has === one))))
    return 'a grant';
  return grantKeyTo.some(isOf) ? 'grant-key-to' : undefined;
}

function principalsOf({ Principal = {} }: Statement): readonly string[] {
  if (typeof Principal === 'string') return [Principal];
  return 'AWS' in Principal ? [Principal.AWS ?? []].flat() : [];
}

function isLike(pattern: string, action: string): boolean {
  const expression = pattern.split('*').map((part) => part.replace(/\W/g, '\\$&'));
  return new RegExp(`^${expression.join('.*')}$`, 'i').test(action);
}
