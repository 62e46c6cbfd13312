import { CreateTagsCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { errorMessage, hasCode, isDenied, placeName, StepError } from '../aws/errors.ts';
import { changeShares, readShares, readTags } from '../aws/shares.ts';
import { sharesOf, shareTags } from '../lease.ts';
import type { ShareEntry } from '../ledger.ts';
import type { Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import type { Shareable } from './encrypt.ts';

/**
 * Shares resources with the plan's accounts: the snapshots for their copies, and on the route `copy` the image too.
 * A share that was there before is left as it was; what this run adds is written down first, in the ledger and as tags
 * of the resource, so that it alone is taken back.
 */
export async function shareResources(run: Run, plan: Plan, { imageId, snapshots }: Shareable): Promise<void> {
  const { source, shareWith, launchWith } = plan;
  const wanted = [
    ...[...snapshots.values()].map((id) => ({ id, accounts: shareWith })),
    { id: imageId, accounts: launchWith },
  ].filter(({ accounts }) => accounts.length > 0);
  if (wanted.length === 0) return;
  const { place } = source;
  const list = wanted.map(({ id }) => id).join(', ');
  try {
    const entries = await Promise.all(wanted.map(({ id, accounts }) => newShares(place, id, accounts)));
    const toAdd = grouped(entries.filter(({ accounts }) => accounts.length > 0));
    run.ledger.write({ shares: toAdd });
    for (const entry of toAdd) await writeOnResources(run, place, entry);
    await Promise.all(
      toAdd.flatMap(({ resources, accounts }) => resources.map((id) => changeShares(place, id, 'Add', accounts))),
    );
    run.log.line(placeName(place), `shared ${list} with ${shareWith.join(', ')}`);
  } catch (error) {
    throw new StepError(`Sharing ${list} with ${shareWith.join(', ')}`, error);
  }
}

/**
 * The accounts whose share of a resource is this run's to add, or, where another run of this action added it, to hold
 * as well. The shares are read before the tags: whoever adds a share has tagged it before.
 */
async function newShares(
  place: Place,
  id: string,
  accounts: readonly string[],
): Promise<{ id: string; accounts: string[] }> {
  const shared = await readShares(place, id);
  if (!accounts.some((account) => shared.has(account))) return { id, accounts: [...accounts] };
  const ours = new Set([...sharesOf((await readTags(place, [id])).get(id)).values()].flat());
  return { id, accounts: accounts.filter((account) => !shared.has(account) || ours.has(account)) };
}

function grouped(entries: readonly { id: string; accounts: readonly string[] }[]): ShareEntry[] {
  const groups = Map.groupBy(entries, ({ accounts }) => accounts.join(' '));
  return [...groups.values()].map((group) => ({
    resources: group.map(({ id }) => id),
    accounts: group[0]?.accounts ?? [],
  }));
}

async function writeOnResources(run: Run, place: Place, { resources, accounts }: ShareEntry): Promise<void> {
  try {
    await place.ec2(new CreateTagsCommand({ Resources: [...resources], Tags: shareTags(run.leaseId, accounts) }));
  } catch (error) {
    if (!isDenied(error) && !hasCode(error, 'TagLimitExceeded')) throw error;
    run.log.warn(
      `${resources.join(', ')} cannot be tagged (${errorMessage(error)}): should this run be killed, a later one cannot tell its shares from others`,
    );
  }
}
