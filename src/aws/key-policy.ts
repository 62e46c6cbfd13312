import { GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { sleep } from '../time.ts';

/*
 * The way of AWS's own procedure: a statement in the source key's policy. PutKeyPolicy replaces the whole policy and
 * knows no version (https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html), so each change reads,
 * merges, writes and reads back, until what was wanted stands; nothing but this run's own statement is ever touched.
 */

type Statement = Readonly<{ Sid?: string }> & Readonly<Record<string, unknown>>;
type Policy = Readonly<{ Statement: Statement | readonly Statement[] }> & Readonly<Record<string, unknown>>;

const sidPrefix = 'ShareEncryptedAmi';

function sidOf(leaseId: string): string {
  return `${sidPrefix}${leaseId}`;
}

function statementsOf(policy: Policy): readonly Statement[] {
  const { Statement } = policy;
  return Array.isArray(Statement) ? (Statement as readonly Statement[]) : [Statement as Statement];
}

/** `policy` with one more statement, which lets `accounts` take `actions` on the key; their own policies say who there. */
export function withStatement(
  policy: Policy,
  leaseId: string,
  partition: string,
  accounts: readonly string[],
  actions: readonly string[],
): Policy {
  const statement = {
    Sid: sidOf(leaseId),
    Effect: 'Allow',
    Principal: { AWS: accounts.map((account) => `arn:${partition}:iam::${account}:root`) },
    Action: actions.map((action) => `kms:${action}`),
    Resource: '*',
  };
  return { ...policy, Statement: [...statementsOf(withoutStatements(policy, [leaseId])), statement] };
}

/** `policy` without the statements of some leases; the very same object where it has none of them. */
export function withoutStatements(policy: Policy, leaseIds: readonly string[]): Policy {
  const sids = new Set(leaseIds.map(sidOf));
  const kept = statementsOf(policy).filter(({ Sid }) => Sid === undefined || !sids.has(Sid));
  return kept.length === statementsOf(policy).length ? policy : { ...policy, Statement: kept };
}

async function readPolicy(place: Place, keyArn: string): Promise<Policy> {
  const { Policy: text } = await place.kms(new GetKeyPolicyCommand({ KeyId: keyArn, PolicyName: 'default' }));
  return JSON.parse(text ?? '') as Policy;
}

const changeTries = 8;

/**
 * Brings a key's policy to where `change` finds nothing more to do. A write of another's between ours and the read that
 * follows it is noticed, and ours made again on top of it.
 * @returns whether anything was written
 */
export async function changePolicy(place: Place, keyArn: string, change: (policy: Policy) => Policy): Promise<boolean> {
  for (let tries = 1, written = false; ; tries += 1) {
    const before = await readPolicy(place, keyArn);
    const after = change(before);
    if (JSON.stringify(after) === JSON.stringify(before)) return written;
    if (tries > changeTries) throw new Error(`the policy of ${keyArn} is being changed by others all the time`);
    await place.kms(new PutKeyPolicyCommand({ KeyId: keyArn, PolicyName: 'default', Policy: JSON.stringify(after) }));
    written = true;
    // The read-back may lag behind the write, and another's write may come right behind ours.
    await sleep(300 * tries, place.signal);
  }
}
