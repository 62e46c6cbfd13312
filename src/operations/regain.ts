import { unseenMs } from '../aws/describe.ts';
import { errorMessage, isDenialCode, isUnseen, placeName, rootCode } from '../aws/errors.ts';
import { lookedFor } from '../aws/retry.ts';
import { changeShares, readShares } from '../aws/shares.ts';
import { CopyFailedError } from '../aws/wait.ts';
import type { Copy, CopyImage } from '../plan/operation.ts';
import { idOf, type Scope } from '../run.ts';
import { giveAgain } from './allow.ts';
import { addShares } from './share.ts';

/*
 * A copy across accounts fails where it may not read its source: since that isn't in force yet, or since somebody took it
 * away. AWS's words tell little of which; so it is looked at.
 */

/** So often is a copy made again that came to nothing; where its source isn't seen, for as long as that may be so. */
const failedTries = 4;

/** The result of `act`, a copy of a shared source, which is made again as long as its access may be what it lacked. */
export async function regaining<T>(
  operation: Copy | CopyImage,
  scope: Scope,
  act: (count: number) => Promise<T>,
): Promise<T> {
  const { run, place } = scope;
  const until = place.clock.now() + unseenMs;
  const isToTry = (error: unknown, count: number): boolean => {
    if (operation.regain.length === 0 || place.signal.aborted) return false;
    const isFailed = error instanceof CopyFailedError;
    if (isFailed && count < failedTries) return true;
    return place.clock.now() < until && (lacksSource(error) || (!isFailed && lacksKey(error)));
  };
  for (let count = 1; ; count += 1) {
    try {
      return await act(count);
    } catch (error) {
      if (!isToTry(error, count)) throw error;
      const gone = await regained(operation.regain, scope);
      if (gone.length === 0 && !lacksSource(error) && !lacksKey(error)) throw error;
      for (const one of gone) tell(one, scope);
      run.log.line(placeName(place), `copying again (${errorMessage(error)})`);
      await place.sleep(Math.min(2000 * count, 15_000));
    }
  }
}

/** A share that this run has just added may be read late. */
const shareLooksSeconds = [0, 2, 4, 8, 15];

/** Whether AWS's words are those for a source that isn't shared (yet). */
function lacksSource(error: unknown): boolean {
  const words = /access the storage|snapshot\b.*( is not found| does not exist)/i;
  return isUnseen(error) || words.test(errorMessage(error));
}

/** The same of its key. */
function lacksKey(error: unknown): boolean {
  return !isDenialCode(rootCode(error) ?? '') && /key ID is not accessible|not authorized/i.test(errorMessage(error));
}

/** What was given again, and whether this run had given it before. */
type Regained = Readonly<{ what: string; isOwn: boolean }>;

function tell({ what, isOwn }: Regained, { run, place }: Scope): void {
  const told = `${what} was taken away while this runs, and is given again`;
  // What was there before was another run's as a rule, which has ended.
  if (isOwn) run.log.warn(`${placeName(place)}: ${told}`);
  else run.log.line(placeName(place), told);
}

/** Gives a target again what it needs to copy and hasn't any more. */
async function regained(operations: readonly string[], scope: Scope): Promise<Regained[]> {
  const gone: Regained[] = [];
  for (const id of new Set(operations)) {
    try {
      gone.push(...(await regainOne(id, scope)));
    } catch (error) {
      // What the copy failed for is to be told.
      scope.run.log.line(placeName(scope.place), `whether access is still there is not known: ${errorMessage(error)}`);
    }
  }
  return gone;
}

async function regainOne(id: string, scope: Scope): Promise<Regained[]> {
  const { run, place } = scope;
  const operation = run.operation(id);
  if (operation?.kind === 'access')
    return (await giveAgain(operation.allowedBy, scope)).map((what) => ({ what, isOwn: true }));
  if (operation?.kind !== 'share') return [];
  const source = run.accounts.source(operation.place.region).until(place.signal);
  const resource = idOf(scope, operation.resource);
  const isThere = async () => ((await readShares(source, resource)).has(place.account) ? true : undefined);
  if ((await lookedFor(place, shareLooksSeconds, isThere)) === true) return [];
  const { account } = place;
  const written = run.ledger.state?.shares ?? [];
  const isOwn = written.some(({ resources, accounts }) => resources.includes(resource) && accounts.includes(account));
  if (isOwn) await changeShares(source, resource, { Add: [account] });
  else await addShares(run, source, { id: resource, accounts: [account] });
  return [{ what: `the share of ${resource} with account ${account}`, isOwn }];
}

/** What to do about a copy that came to nothing. */
export function copyRemedy(
  error: unknown,
  { key, crossAccount, takesOver = false }: Readonly<{ key: string; crossAccount: boolean; takesOver?: boolean }>,
): string | undefined {
  if (takesOver && isUnseen(error)) return 'run it again: what an earlier run had begun was deleted meanwhile';
  if (!(error instanceof CopyFailedError)) return undefined;
  if (/key/i.test(error.reason)) {
    const own = `kms:DescribeKey, kms:CreateGrant (kms:GrantIsForAWSResource), kms:GenerateDataKeyWithoutPlaintext, kms:ReEncrypt* and kms:Decrypt on ${key}`;
    if (!crossAccount) return `the role needs ${own}, in its own policy`;
    return `the target role needs, in its own policy, ${own}, and kms:DescribeKey, kms:Decrypt, kms:ReEncryptFrom and kms:CreateGrant (kms:GrantIsForAWSResource) on the source key. This run gave no more than that. AWS documents more for the source key: kms:DescribeKey, kms:CreateGrant, kms:Decrypt, kms:GenerateDataKey* and kms:ReEncrypt* (https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html). If that is what is lacking, allow it to the target account in the policy of the source key, and to the target role in its own policy, and set source-key-access to existing`;
  }
  if (/not found/i.test(error.reason))
    return 'check that nothing else takes away the share of the source snapshot while this runs';
  return undefined;
}
