import { CreateTagsCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { errorMessage, hasCode, isDenied, isUnknownAction, placeName, StepError } from '../aws/errors.ts';
import { changeShares, readShares, readTags } from '../aws/shares.ts';
import { sharesOf, shareTags } from '../lease.ts';
import type { Result } from '../outcome.ts';
import type { Share } from '../plan/operation.ts';
import { idOf, type Run, type Scope } from '../run.ts';

/**
 * Shares a snapshot or an image. A share that was there before is left as it was; what this run adds is written down
 * first, in the saved state and as tags of the resource, so that it alone is taken back. @throws StepError
 */
export async function share({ resource, accounts }: Share, scope: Scope): Promise<Result> {
  const { run, place } = scope;
  const id = idOf(scope, resource);
  try {
    const toAdd = await newShares(place, id, accounts);
    if (toAdd.length > 0) {
      run.ledger.addShare(place.region, id, toAdd);
      await writeOnResource(run, place, { id, accounts: toAdd });
      await changeShares(place, id, { Add: toAdd });
    }
    run.log.line(placeName(place), `shared ${id} with ${accounts.join(', ')}`);
    return { id };
  } catch (error) {
    throw new StepError(`Sharing ${id} with ${accounts.join(', ')}`, error);
  }
}

/**
 * The accounts whose share of a resource is this run's to add, or, where another run of this action added it, to hold
 * as well. The shares are read before the tags: whoever adds a share has tagged it before.
 */
async function newShares(place: Place, id: string, accounts: readonly string[]): Promise<string[]> {
  const shared = await readShares(place, id).catch((error: unknown) => {
    if (isUnknownAction(error)) return new Set<string>();
    throw error;
  });
  if (!accounts.some((account) => shared.has(account))) return [...accounts];
  const ours = new Set([...sharesOf((await readTags(place, [id])).get(id)).values()].flat());
  return accounts.filter((account) => !shared.has(account) || ours.has(account));
}

async function writeOnResource(
  run: Run,
  place: Place,
  { id, accounts }: Readonly<{ id: string; accounts: readonly string[] }>,
): Promise<void> {
  // A run that can't hold a lease could not take these tags off again, or nobody could tell whose they are.
  if (run.ledger.state?.leased !== true) return;
  try {
    await place.ec2(new CreateTagsCommand({ Resources: [id], Tags: shareTags(run.leaseId, accounts) }));
  } catch (error) {
    if (!isDenied(error) && !hasCode(error, 'TagLimitExceeded')) throw error;
    run.log.warn(
      `${id} cannot be tagged (${errorMessage(error)}): should this run be killed, a later one cannot tell its shares from others`,
    );
  }
}
