import { CreateTagsCommand, DeleteTagsCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { errorMessage, hasCode, isDenied, isUnknownAction, placeName, StepError } from '../aws/errors.ts';
import { regionOfKey } from '../aws/kms.ts';
import { lookedFor } from '../aws/retry.ts';
import { changeShares, readShares, readTags, sharesQuery, sharing } from '../aws/shares.ts';
import { joined } from '../join.ts';
import { sharesOf, shareTags } from '../lease.ts';
import type { Result } from '../outcome.ts';
import type { Share } from '../plan/operation.ts';
import { idOf, type Run, type Scope } from '../run.ts';
import { listed } from '../words.ts';
import { type Given, grantsOn, statedOn } from './given.ts';
import { retryOnLimit } from './limits.ts';
import { onceSeen } from './patiently.ts';
import { type Asking, dryRun, idOr, type Question } from './question.ts';

/** Shares a snapshot or an image. A share that was there before is left as it was. @throws StepError */
export async function share({ resource, accounts }: Share, scope: Scope): Promise<Result> {
  const { run, place } = scope;
  const id = idOf(scope, resource);
  try {
    const toAdd = await onceSeen(place, () => newShares(run, place, { id, accounts }));
    const add = () => addShares(run, place, { id, accounts: toAdd });
    if (toAdd.length > 0) await retryOnLimit(run, { place, what: `share ${id}` }, add);
    run.log.line(placeName(place), `shared ${id} with ${listed(accounts)}`);
    return { id };
  } catch (error) {
    throw new StepError(`Sharing ${id} with ${listed(accounts)}`, error);
  }
}

/** What a run adds is written down first, in the saved state and as tags of the resource, so that it alone is taken back. */
export async function addShares(run: Run, place: Place, { id, accounts }: Shared): Promise<void> {
  run.ledger.addShare(place.region, id, accounts);
  await onceSeen(place, () => writeOnResource(run, place, { id, accounts }));
  await onceSeen(place, () => changeShares(place, id, { Add: accounts }));
}

/**
 * A policy may limit the accounts that may be added, one by one, so it is asked for each. Until there is an encrypted copy
 * of it, the source's own snapshot stands for it.
 */
export function asksToShare({ of: [of], place, type, accounts }: Share, asking: Asking): Question[] {
  const { source, standIns, leaseId } = asking;
  const own = source.snapshots.find(({ obstacle }) => !obstacle?.startsWith('owned by'));
  const isNear = type === 'snapshot' && place.region === source.place.region;
  const id = idOr(isNear ? idOr(standIns.snapshot, own?.id) : standIns[type], of);
  const Tags = shareTags(leaseId, accounts);
  const Resources = [idOr(standIns[type], of)];
  const without = 'if this run is killed, no later run can tell what it shared';
  return [
    ...accounts.map((account) => dryRun(sharing(id, { Add: [account] }))),
    dryRun(sharing(id, { Remove: accounts.slice(0, 1) })),
    dryRun(sharesQuery(id)),
    dryRun(new CreateTagsCommand({ Resources, Tags }), without),
    dryRun(new DeleteTagsCommand({ Resources, Tags: Tags.map(({ Key }) => ({ Key })) }), without),
  ];
}

/**
 * The accounts whose share of a resource is this run's to add, or, where another run of this action added it, to hold
 * as well. The shares are read before the tags: whoever adds a share has tagged it before.
 */
async function newShares(run: Run, place: Place, { id, accounts }: Shared): Promise<string[]> {
  const shared = await readShares(place, id).catch((error: unknown) => {
    if (isUnknownAction(error)) return new Set<string>();
    throw error;
  });
  if (!accounts.some((account) => shared.has(account))) return [...accounts];
  const tags = sharesOf((await readTags(place, [id])).get(id));
  const claimed = [...tags].flatMap(([lease, others]) => others.map((account) => ({ lease, account })));
  const ours = await provenShares(run, place, {
    id,
    claimed: claimed.filter(({ account }) => accounts.includes(account)),
  });
  return accounts.filter((account) => !shared.has(account) || ours.has(account));
}

type Shared = Readonly<{ id: string; accounts: readonly string[] }>;

/** A run may share before what it gives the use of is seen: a grant within seconds as a rule, a policy's statement later. */
const givenLooksSeconds = [0, 2, 8];

/**
 * The accounts of which a tag says that another run shared a resource with them, where it did. What the action made is
 * shared by runs alone; what is the source's own may have been shared before.
 */
async function provenShares(
  { source, request, ledger }: Run,
  place: Place,
  { id, claimed }: Readonly<{ id: string; claimed: readonly Given[] }>,
): Promise<Set<string>> {
  const isOwn = id !== source.imageId && source.snapshots.every((snapshot) => snapshot.id !== id);
  const keys = (ledger.state?.grantKeys ?? []).filter((key) => regionOfKey(key) === place.region);
  const { keyAccess } = request.source;
  if (isOwn || claimed.length === 0) return new Set(claimed.map(({ account }) => account));
  if (keyAccess === 'existing') return new Set();
  const leases = claimed.map(({ lease }) => lease);
  const read = (key: string): Promise<readonly Given[]> =>
    keyAccess === 'policy' ? statedOn(place, key, leases) : grantsOn(place, key, source.imageId);
  let proven = new Set<string>();
  await lookedFor(place, givenLooksSeconds, async () => {
    const given = (await joined(keys.map((key) => read(key).catch(unlessDenied)))).flat();
    const isGiven = (one: Given) => given.some(({ lease, account }) => lease === one.lease && account === one.account);
    proven = new Set(claimed.filter(isGiven).map(({ account }) => account));
    return claimed.every(({ account }) => proven.has(account)) || undefined;
  });
  return proven;
}

/** Then there is no proof; the other run takes back what it shared. */
function unlessDenied(error: unknown): [] {
  if (isDenied(error)) return [];
  throw error;
}

async function writeOnResource(run: Run, place: Place, { id, accounts }: Shared): Promise<void> {
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
