import { CreateTagsCommand } from '@aws-sdk/client-ec2';
import { CreateGrantCommand, DescribeKeyCommand, type GrantOperation } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { errorMessage, hasCode, isDenied, placeName, StepError } from '../aws/errors.ts';
import { changeShares, readShares, readTags } from '../aws/shares.ts';
import { sharesOf, shareTags } from '../lease.ts';
import type { ShareEntry } from '../ledger.ts';
import type { Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { sleep } from '../time.ts';
import type { Shareable } from './encrypt.ts';

/**
 * What copying a snapshot out of another account takes on its key, and no more: the data key is decrypted, and EBS
 * gets a grant of its own to do so. https://docs.aws.amazon.com/ebs/latest/userguide/share-kms-key.html
 */
export const grantOperations: readonly GrantOperation[] = ['DescribeKey', 'Decrypt', 'ReEncryptFrom', 'CreateGrant'];

/** The name of this run's grants: by it they are found again, and told from any other's. */
export function grantName(imageId: string, leaseId: string): string {
  return `share-encrypted-ami/${imageId}/${leaseId}`;
}

/** Grants by ID, each with its key; filled as they are made. */
export type MadeGrants = { keyArn: string; grantId: string }[];

/**
 * Lets each target's principal use the source keys, and sees from its side that it can. One grant serves all regions
 * of an account, so there is a promise for each principal, and one that fails stops no other's targets.
 */
export function grantKeys(run: Run, plan: Plan, made: MadeGrants): Map<string, Promise<void>> {
  if (plan.grants.length > 0) run.ledger.write({ grantKeys: [...new Set(plan.grants.map(({ keyArn }) => keyArn))] });
  const byPrincipal = Map.groupBy(plan.grants, ({ principalArn }) => principalArn);
  return new Map(
    [...byPrincipal].map(([principalArn, grants]) => {
      const grantees = plan.targets.find(({ target }) => target.principalArn === principalArn);
      const ready = grants.map(async ({ keyArn }) => {
        await grantKey(run, plan, keyArn, principalArn, made);
        if (grantees !== undefined) await awaitGrant(run, grantees.target.placeAtSource, keyArn);
      });
      return [principalArn, Promise.all(ready).then(() => undefined)];
    }),
  );
}

/** A role made a moment ago isn't a principal yet: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html */
const principalTries = 6;

async function grantKey(run: Run, plan: Plan, keyArn: string, principalArn: string, made: MadeGrants): Promise<void> {
  const { place, image } = plan.source;
  for (let tries = 1; ; tries += 1) {
    try {
      const { GrantId } = await place.kms(
        new CreateGrantCommand({
          KeyId: keyArn,
          GranteePrincipal: principalArn,
          Operations: [...grantOperations],
          // The same name and parameters give the same grant again, so a repeated request makes no second one.
          Name: grantName(image.ImageId ?? '', run.leaseId),
        }),
      );
      if (GrantId !== undefined) made.push({ keyArn, grantId: GrantId });
      return;
    } catch (error) {
      if (!hasCode(error, 'InvalidArnException') || tries === principalTries) {
        throw new StepError(`Granting ${principalArn} the use of ${keyArn}`, error);
      }
      await sleep(1000 * tries, run.signal);
    }
  }
}

/** A grant is in force within seconds as a rule, five minutes at most, and EC2 takes no grant tokens. */
const grantSeconds = 300;

/**
 * Waits until a call of the target's own shows that it may use the source key; `target` is its place in the key's region.
 * https://docs.aws.amazon.com/kms/latest/developerguide/grant-manage.html#grant-eventual-consistency
 */
async function awaitGrant(run: Run, target: Place, keyArn: string): Promise<void> {
  const until = Date.now() + grantSeconds * 1000;
  for (let wait = 200; ; wait = Math.min(wait * 1.6, 10_000)) {
    try {
      await target.kms(new DescribeKeyCommand({ KeyId: keyArn }));
      return;
    } catch (error) {
      const lacksPolicy = errorMessage(error).includes('no identity-based policy');
      if (!isDenied(error) || lacksPolicy || Date.now() > until) {
        throw new StepError(
          `Using the source key ${keyArn} from account ${target.account}`,
          error,
          lacksPolicy
            ? `a grant from the key's account doesn't reach a role whose own policy doesn't allow the same: allow kms:DescribeKey, kms:Decrypt, kms:ReEncryptFrom and kms:CreateGrant on ${keyArn} in the target role's policy`
            : undefined,
        );
      }
      await sleep(wait, run.signal);
    }
  }
}

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
    if (!isDenied(error)) throw error;
    run.log.warn(
      `the source role may not tag ${resources.join(', ')} (ec2:CreateTags): should this run be killed, a later one cannot tell its shares from others`,
    );
  }
}
