import type { GrantListEntry } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { errorMessage, placeName } from '../aws/errors.ts';
import { keyOperations, listGrants, regionOfKey } from '../aws/kms.ts';
import { joined } from '../join.ts';
import type { Given } from '../operations/given.ts';
import type { Notes } from './notes.ts';
import type { Leases, Releasing } from './releasing.ts';

/*
 * Who was let use a key by a grant of a run's could, while it stood, grant it on, and such a grant outlasts its own: KMS
 * ends each grant by itself, and ListGrants doesn't tell by which another was made
 * (https://docs.aws.amazon.com/kms/latest/APIReference/API_GrantListEntry.html). It may be somebody's production all the
 * same, so it is told and never revoked: by the run itself, or whoever takes back what it left.
 */

/** The accounts whose principals could use the key, and from when on, in ms since the epoch. */
type Use = Readonly<{ accounts: ReadonlySet<string>; since: number }>;

type Used = Readonly<{ releasing: Releasing; leases: Leases; notes: Notes }>;

/** Looking at what others granted must not keep a run that is told to stop. */
const lookMs = 5000;

/** Tells of grants that accounts made while runs that have ended let them use these keys; `found` are those runs' own. */
export async function tellForeignGrants(
  { keys, found }: Readonly<{ keys: readonly string[]; found: readonly (Given & { keyArn: string })[] }>,
  used: Used,
): Promise<void> {
  const { notes, releasing } = used;
  await joined(
    keys.map(async (keyArn) => {
      const ofKey = found.filter((one) => one.keyArn === keyArn).map(({ account }) => account);
      const use = useOf(keyArn, ofKey, used);
      if (use === undefined) return;
      const place = releasing.source(regionOfKey(keyArn));
      const brief = place.until(AbortSignal.any([place.signal, place.clock.after(lookMs)]));
      try {
        const grants = await listGrants(brief, keyArn);
        notes.warned.push(...grants.filter((one) => isForeign(one, use)).map((one) => told(place, keyArn, one)));
      } catch (error) {
        notes.unknown.push(`whether others made grants on ${keyArn} is not known: ${errorMessage(error)}`);
      }
    }),
  );
}

/**
 * Who could use a key by the grants of runs that have ended; undefined where there were none. Of a run that died, its grants
 * tell it; where they are revoked already, it may have been any target.
 */
function useOf(keyArn: string, found: readonly string[], { releasing, leases }: Used): Use | undefined {
  const { grants, state, reached, keyAccess } = releasing;
  if (keyAccess !== 'grant') return undefined;
  const own = grants?.filter((one) => one.keyArn === keyArn);
  const dead = [...leases.dead.values()].map(({ since }) => since);
  const since = Math.min(...[...(own?.length === 0 ? [] : [state.since]), ...dead].filter((time) => time > 0));
  if (since === Number.POSITIVE_INFINITY) return undefined;
  const known = [...(own ?? []).flatMap(({ account }) => account ?? []), ...found];
  return { accounts: new Set(known.length > 0 ? known : reached.map((name) => name.split('/')[0] ?? '')), since };
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
  return `account ${accountOf(IssuingAccount)} made a grant on ${keyArn} while a run let it use the key: ${GranteePrincipal} is still allowed ${Operations.join(', ')}. What to do: if it isn't meant to stay, revoke it in ${placeName(place)}: ${command}`;
}
