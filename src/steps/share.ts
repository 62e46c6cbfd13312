import { CreateTagsCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { errorMessage, hasCode, isDenied, isUnknownAction, placeName, StepError } from '../aws/errors.ts';
import { changeShares, readShares, readTags } from '../aws/shares.ts';
import { sharesOf, shareTags } from '../lease.ts';
import type { Plan, TargetPlan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import type { Supply } from './supply.ts';

/**
 * The same supply, each of whose parts is shared with the targets' accounts as soon as it is there: the snapshots for
 * their copies, and on the route `copy` the image too.
 */
export function shareOut(run: Run, supply: Supply, { source }: Plan, targets: readonly TargetPlan[]): Supply {
  const accounts = accountsOf(targets);
  const launchers = accountsOf(targets.filter(({ route }) => route === 'copy'));
  const shareOnce = async (part: Promise<string>, accounts: readonly string[]): Promise<string> => {
    const id = await part;
    await shareResource(run, supply.place, id, accounts);
    return id;
  };
  const snapshots = new Map(source.snapshots.map(({ id }) => [id, shareOnce(supply.snapshot(id), accounts)]));
  const image = launchers.length === 0 ? supply.image() : shareOnce(supply.image(), launchers);
  // Each target waits for these itself; a failure is told there.
  for (const promise of [...snapshots.values(), image]) promise.catch(() => {});
  return {
    ...supply,
    snapshot: async (id) => (await snapshots.get(id)) ?? id,
    image: async () => (await Promise.all([image, ...snapshots.values()]))[0],
  };
}

function accountsOf(targets: readonly TargetPlan[]): string[] {
  return [...new Set(targets.map(({ target }) => target.request.account))];
}

/**
 * A share that was there before is left as it was; what this run adds is written down first, in the ledger and as tags
 * of the resource, so that it alone is taken back.
 */
async function shareResource(run: Run, place: Place, id: string, accounts: readonly string[]): Promise<void> {
  try {
    const toAdd = await newShares(place, id, accounts);
    if (toAdd.length > 0) {
      run.ledger.addShare(place.region, id, toAdd);
      await writeOnResource(run, place, id, toAdd);
      await changeShares(place, id, 'Add', toAdd);
    }
    run.log.line(placeName(place), `shared ${id} with ${accounts.join(', ')}`);
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

async function writeOnResource(run: Run, place: Place, id: string, accounts: readonly string[]): Promise<void> {
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
