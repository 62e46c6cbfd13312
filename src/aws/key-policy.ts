import { GetKeyPolicyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import type { Place } from './clients.ts';
import { useStatements } from './kms.ts';

/*
 * The way of AWS's own procedure: statements in the source key's policy. PutKeyPolicy replaces the whole policy and
 * knows no version (https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html): what another writes
 * between our read and our write is lost, and nothing in KMS tells either of us. Runs of this action notice it, since
 * each looks again whether its own change stands; an administrator or Terraform may not. So that time is kept short, a
 * policy that is being changed is left alone, and nothing but this run's own statements are ever touched.
 */

export type Principal = string | Readonly<{ AWS?: string | readonly string[] }>;
export type Statement = Readonly<{ Sid?: string; Principal?: Principal }> & Readonly<Record<string, unknown>>;
export type Policy = Readonly<{ Statement: Statement | readonly Statement[] }> & Readonly<Record<string, unknown>>;

const sidPrefix = 'ShareEncryptedAmi';

/** A lease's statements have these names. */
export function sidsOf(leaseId: string): [use: string, grant: string] {
  const sid = `${sidPrefix}${leaseId}`;
  return [sid, `${sid}Grant`];
}

export function statementsOf(policy: Policy): readonly Statement[] {
  const { Statement } = policy;
  return Array.isArray(Statement) ? (Statement as readonly Statement[]) : [Statement as Statement];
}

/** Whose statements they are, and whom they let use the key. */
type Allowing = Readonly<{ leaseId: string; partition: string; accounts: readonly string[] }>;

/**
 * `policy` with the lease's statements, which let `accounts` use the key; their own policies say who there. The very same
 * object where they are in it, in whatever place and form.
 */
export function withStatements(policy: Policy, { leaseId, partition, accounts }: Allowing): Policy {
  const Principal = { AWS: accounts.map((account) => `arn:${partition}:iam::${account}:root`) };
  const [use, grant] = useStatements({ Principal, Resource: '*' });
  const [useSid, grantSid] = sidsOf(leaseId);
  const statements = statementsOf(policy);
  const missing = [
    { Sid: useSid, ...use },
    { Sid: grantSid, ...grant },
  ].filter(({ Sid }) => !statements.some((statement) => statement.Sid === Sid));
  return missing.length === 0 ? policy : { ...policy, Statement: [...statements, ...missing] };
}

/** `policy` without the statements of some leases; the very same object where it has none of them. */
export function withoutStatements(policy: Policy, leaseIds: readonly string[]): Policy {
  const sids = new Set(leaseIds.flatMap(sidsOf));
  const kept = statementsOf(policy).filter(({ Sid }) => Sid === undefined || !sids.has(Sid));
  return kept.length === statementsOf(policy).length ? policy : { ...policy, Statement: kept };
}

/** The accounts that the statements of a lease let use the key. */
export function statedFor(policy: Policy, leaseId: string): string[] {
  const own = statementsOf(policy).filter(({ Sid = '' }) => sidsOf(leaseId).includes(Sid));
  return own.flatMap(principalsOf).flatMap((principal) => principal.split(':')[4] ?? principal);
}

export function principalsOf({ Principal = '' }: Statement): readonly string[] {
  if (typeof Principal === 'string') return [Principal];
  return [Principal.AWS ?? []].flat();
}

/** KMS takes no longer policy. https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html */
export const maxPolicyBytes = 32_768;

/** A policy as it is written: without white space, so that it is as short as can be. */
export function writePolicy(policy: Policy): string {
  return JSON.stringify(policy);
}

/**
 * The principals that were deleted: of those KMS shows the ID, and takes no policy that names them.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
 */
export function deletedPrincipals(policy: Policy): string[] {
  const named = statementsOf(policy).flatMap(principalsOf);
  return [...new Set(named.filter((principal) => /^A(RO|ID)A[A-Z0-9]{16,}$/.test(principal)))];
}

export async function readPolicy(place: Place, keyArn: string): Promise<Policy> {
  const { Policy: text } = await place.kms(new GetKeyPolicyCommand({ KeyId: keyArn, PolicyName: 'default' }));
  return JSON.parse(text ?? '') as Policy;
}

/** What a policy says, whatever the order: KMS gives a list in another one each time (https://github.com/aws/aws-cli/issues/9456). */
function wordsOf(policy: Policy): string {
  const words = writePolicy(policy).match(/[^"[\]{},]+/g) ?? [];
  return words.sort().join('"');
}

const changeSeconds = 150;
/** What a run has read it puts within this time, or reads again: also where a call is throttled or gets no answer. */
const turnSeconds = 2;
/** Reads may lag so far behind: until then, a put that isn't seen isn't lost, and another would only undo others' changes. */
const lagSeconds = 2;
/**
 * A change that is seen to stand, and still stands so much later, is overwritten by no run that read before it, although
 * reads lag. Longer, and the clean-up after a cancel wouldn't fit the runner's ten seconds.
 */
const standSeconds = 4;
/** Waits grow with each put, and so with each that was lost. */
const firstWaitMs = 400;
const longestWaitMs = 4000;

type Changing = Readonly<{ change: (policy: Policy) => Policy; beforePut?: () => void; isSure?: boolean }>;

/**
 * Brings a key's policy to where `change` gives it back as it is, and sees that it stays so. It is written only where two
 * looks, a random while apart, find the same; so of many runs that change it at once, most keep out of each other's way,
 * and each tries again where its change was lost.
 * @param beforePut called before each write
 * @param isSure whether nobody can put the former policy back; else it is seen to stand where nothing is to be written, too:
 * who wrote before may find its statement gone for a moment, by another's stale write, which a third undoes
 * @returns whether anything was written
 * @throws where the change didn't come to stand within 150 s
 */
export async function changePolicy(
  place: Place,
  keyArn: string,
  { change, beforePut, isSure = true }: Changing,
): Promise<boolean> {
  const { clock } = place;
  const end = clock.now() + changeSeconds * 1000;
  let written = !isSure;
  let stands = false;
  let seen = '';
  let puts = 0;
  let putAt = Number.NEGATIVE_INFINITY;
  for (let waitMs = firstWaitMs; clock.now() < end; ) {
    const late = clock.after(turnSeconds * 1000);
    const turn = place.until(AbortSignal.any([place.signal, late]));
    try {
      const policy = await readPolicy(turn, keyArn);
      const changed = change(policy);
      if (changed === policy && (!written || stands)) return puts > 0;
      stands = changed === policy;
      const isQuiet = wordsOf(policy) === seen;
      seen = wordsOf(policy);
      if (!stands && isQuiet && clock.now() - putAt >= lagSeconds * 1000) {
        seen = '';
        written = true;
        puts += 1;
        putAt = clock.now();
        waitMs = Math.min(waitMs * 1.5, longestWaitMs);
        const Policy = writePolicy(changed);
        turn.signal.throwIfAborted();
        beforePut?.();
        await turn.kms(new PutKeyPolicyCommand({ KeyId: keyArn, PolicyName: 'default', Policy }));
      }
    } catch (error) {
      if (error !== late.reason) throw error;
      stands = false;
    }
    await place.sleep(stands ? standSeconds * 1000 : waitMs * (0.25 + 0.75 * Math.random()));
  }
  throw new Error(
    `it did not stand within ${changeSeconds} s: others keep changing that policy, or KMS answers too late`,
  );
}
