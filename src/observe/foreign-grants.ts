import type { GrantListEntry } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { placeName } from '../aws/errors.ts';
import { keyOperations, listGrants, regionOfKey } from '../aws/kms.ts';

/*
 * Who was let use a key by a grant of the run's could, while it stood, grant it on, and such a grant outlasts its own: KMS
 * ends each grant by itself, and ListGrants doesn't tell by which another was made
 * (https://docs.aws.amazon.com/kms/latest/APIReference/API_GrantListEntry.html). It may be somebody's production all the
 * same, so it is told and never revoked.
 */

/** The accounts whose principals could use the key, and from when on, in ms since the epoch. */
export type Use = Readonly<{ accounts: ReadonlySet<string>; since: number }>;

/** A sentence for each grant on a key that may have been made by a grant of the run's. @throws AwsCallError */
export async function foreignGrants(place: Place, keyArn: string, use: Use): Promise<string[]> {
  const grants = await listGrants(place, keyArn);
  return grants.filter((grant) => isForeign(grant, use)).map((grant) => told(place, keyArn, grant));
}

function isForeign(grant: GrantListEntry, { accounts, since }: Use): boolean {
  const { IssuingAccount, CreationDate, Operations = [] } = grant;
  // A grant can be granted on with its own operations at most.
  const isOfOurs = Operations.every((operation) => (keyOperations as readonly string[]).includes(operation));
  // KMS tells whole seconds.
  const isOfTheRun = (CreationDate?.getTime() ?? 0) >= Math.floor(since / 1000) * 1000;
  return accounts.has(accountOf(IssuingAccount)) && isOfOurs && isOfTheRun && !isForAws(grant);
}

/** Grants to a service, or to EC2's infrastructure that attaches volumes, come from using the key as it is meant. */
function isForAws({ GranteePrincipal = '', GranteeServicePrincipal }: GrantListEntry): boolean {
  return (
    GranteeServicePrincipal !== undefined ||
    /\.amazonaws\.com(\.cn)?$/.test(GranteePrincipal) ||
    GranteePrincipal.includes(':assumed-role/aws:ec2-infrastructure/')
  );
}

/** `arn:aws:iam::111122223333:root`, or the number alone. */
function accountOf(issuer = ''): string {
  return /\d{12}/.exec(issuer)?.[0] ?? '';
}

function told(place: Place, keyArn: string, grant: GrantListEntry): string {
  const { GrantId, GranteePrincipal, IssuingAccount, Operations = [] } = grant;
  const command = `aws kms revoke-grant --region ${regionOfKey(keyArn)} --key-id ${keyArn} --grant-id ${GrantId}`;
  return `account ${accountOf(IssuingAccount)} made a grant on ${keyArn} while this run let it use the key: ${GranteePrincipal} is still allowed ${Operations.join(', ')}. What to do: if it isn't meant to stay, revoke it in ${placeName(place)}: ${command}`;
}
