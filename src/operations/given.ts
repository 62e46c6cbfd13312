import type { Place } from '../aws/clients.ts';
import { readPolicy, statedFor } from '../aws/key-policy.ts';
import { listGrants } from '../aws/kms.ts';
import { leaseOfGrant } from './allow.ts';

/*
 * A share doesn't tell who made it, and a tag that says so may be forged, or of a share that was there before. What no
 * tagger can write is which account the same run gave the use of a key: a grant bears its lease's name, and a statement its
 * lease's Sid.
 */

/** Which account the run of a lease gave the use of a key. */
export type Given = Readonly<{ lease: string; account: string }>;

/** The grants on a key that runs on the image made. @throws AwsCallError */
export async function grantsOn(place: Place, keyArn: string, imageId: string): Promise<(Given & FoundGrant)[]> {
  return (await listGrants(place, keyArn)).flatMap(({ GrantId: grantId, Name = '', GranteePrincipal = '' }) => {
    const lease = leaseOfGrant(imageId, Name);
    // Of a principal that was deleted, KMS tells an ID without its account.
    const account = GranteePrincipal.split(':')[4] ?? GranteePrincipal;
    return grantId === undefined || lease === undefined ? [] : [{ lease, account, keyArn, grantId }];
  });
}

type FoundGrant = Readonly<{ keyArn: string; grantId: string }>;

/** Which accounts statements of these leases let use a key. @throws AwsCallError */
export async function statedOn(place: Place, keyArn: string, leases: readonly string[]): Promise<Given[]> {
  const policy = await readPolicy(place, keyArn);
  return leases.flatMap((lease) => statedFor(policy, lease).map((account) => ({ lease, account })));
}
