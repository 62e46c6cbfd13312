import { CopySnapshotCommand, CreateTagsCommand, type Filter, type Snapshot } from '@aws-sdk/client-ec2';
import pLimit from 'p-limit';
import type { Place } from '../aws/clients.ts';
import { ownSnapshots } from '../aws/describe.ts';
import { hasCode, isServerError, isTransient, placeName, StepError } from '../aws/errors.ts';
import { changeShares } from '../aws/shares.ts';
import { CopyFailedError, type SnapshotEvents, type Watcher } from '../aws/wait.ts';
import { totalGiB } from '../image.ts';
import type { Plan, SnapshotCopy, TargetPlan } from '../plan/plan.ts';
import { milestones } from '../report/progress.ts';
import type { Run } from '../run.ts';
import { tagKeys } from '../tags.ts';
import { deleteSnapshot } from './remove.ts';
import type { TargetSupply } from './supply.ts';

/** Each of the source's snapshots with its completed copy. */
export type CopiedSnapshots = ReadonlyMap<string, Snapshot>;

/**
 * Copies every snapshot into the target under the target's key, the largest first, as many at once as the quota allows;
 * copies that an earlier run began are taken over.
 * @throws StepError for the first that fails for good, in AWS's words
 */
export async function copySnapshots(
  run: Run,
  plan: Plan,
  targetPlan: TargetPlan,
  supply: TargetSupply,
  watcher: Watcher,
): Promise<CopiedSnapshots> {
  const limit = pLimit(run.request.maxParallel);
  const largestFirst = [...targetPlan.copies].sort((a, b) => b.source.sizeGiB - a.source.sizeGiB);
  const progress = openProgress(run, plan, targetPlan);
  const failed = new AbortController();
  const copied = await Promise.all(
    largestFirst.map(async (copy) => {
      try {
        // Only what can be copied takes a slot.
        const sourceId = copy.adopt === undefined ? await supply.snapshot(copy.source.id) : undefined;
        const done = await limit(async () => {
          failed.signal.throwIfAborted();
          return copySnapshot(run, plan, targetPlan, copy, sourceId, supply, watcher, {
            onProgress: ({ percent }) => progress(copy, percent),
            // The AMI takes all of them; but another may be waiting for this one's slot.
            isUrgent: () => limit.pendingCount > 0,
          });
        });
        return [copy.source.id, done] as const;
      } catch (error) {
        // The others that have not begun need not begin.
        failed.abort(error);
        throw error;
      }
    }),
  );
  return new Map(copied);
}

/** How far a target is: all its volumes together, by their sizes. */
function openProgress(
  run: Run,
  plan: Plan,
  { target, copies }: TargetPlan,
): (copy: SnapshotCopy, percent: number) => void {
  const total = totalGiB(copies.map(({ source }) => source));
  const percents = new Map<string, number>();
  const tell = milestones(total, stepPercent(plan), (progress) =>
    run.log.line(placeName(target.place), `copying: ${progress}`),
  );
  return ({ source }, percent) => {
    percents.set(source.id, percent);
    const done = copies.reduce((sum, copy) => sum + copy.source.sizeGiB * (percents.get(copy.source.id) ?? 0), 0);
    tell(total === 0 ? percent : Math.floor(done / total));
  };
}

/** A thousand targets must not flood the log. */
export function stepPercent({ targets }: Plan): number {
  if (targets.length <= 12) return 10;
  return targets.length <= 100 ? 25 : 50;
}

/** So often is a copy made again whose access was not in force yet, or was taken back by another run. */
const accessTries = 4;

async function copySnapshot(
  run: Run,
  plan: Plan,
  targetPlan: TargetPlan,
  copy: SnapshotCopy,
  ready: string | undefined,
  supply: TargetSupply,
  watcher: Watcher,
  events: SnapshotEvents,
): Promise<Snapshot> {
  const { target, crossAccount } = targetPlan;
  const { place } = target;
  const where = placeName(place);
  try {
    if (copy.adopt !== undefined) {
      const taken = await adopt(run, place, copy.adopt, watcher, events);
      if (taken !== undefined) return taken;
    }
    const sourceId = ready ?? (await supply.snapshot(copy.source.id));
    for (let tries = 1; ; tries += 1) {
      const id = await startCopy(run, plan, targetPlan, copy, sourceId, supply.place.region);
      try {
        return await watcher.snapshot(id, events);
      } catch (error) {
        if (!(error instanceof CopyFailedError)) throw error;
        await deleteSnapshot(place, id);
        const again = crossAccount && tries < accessTries && isAccess(error);
        if (!again) throw error;
        run.log.line(where, `${id} failed (${error.reason}); copying ${sourceId} again`);
        await supply.reopen();
        await changeShares(supply.place, sourceId, 'Add', [target.request.account]);
        await place.sleep(2000 * tries);
      }
    }
  } catch (error) {
    throw new StepError(`Copying ${copy.source.id} to ${where}`, error, copyRemedy(error, targetPlan));
  }
}

/** Takes over a copy that an earlier run began; undefined where it fails after all, and is removed. */
async function adopt(
  run: Run,
  place: Place,
  id: string,
  watcher: Watcher,
  events: SnapshotEvents,
): Promise<Snapshot | undefined> {
  run.log.line(placeName(place), `taking over ${id}, which an earlier run began`);
  await place.ec2(new CreateTagsCommand({ Resources: [id], Tags: [{ Key: tagKeys.lease, Value: run.leaseId }] }));
  try {
    return await watcher.snapshot(id, events);
  } catch (error) {
    if (!(error instanceof CopyFailedError)) throw error;
    await deleteSnapshot(place, id);
    return undefined;
  }
}

async function startCopy(
  run: Run,
  plan: Plan,
  { target, snapshotTags }: TargetPlan,
  copy: SnapshotCopy,
  sourceId: string,
  sourceRegion: string,
): Promise<string> {
  const { place, kmsKeyArn } = target;
  const { source } = plan;
  const { request } = run;
  const command = new CopySnapshotCommand({
    SourceRegion: sourceRegion,
    SourceSnapshotId: sourceId,
    Description: `Copied from ${copy.source.id} of ${source.image.ImageId} (${source.account}/${source.place.region})`,
    Encrypted: true,
    KmsKeyId: kmsKeyArn,
    ...(request.copyMinutes && { CompletionDurationMinutes: request.copyMinutes }),
    TagSpecifications: [{ ResourceType: 'snapshot', Tags: snapshotTags.get(copy.source.id) ?? [] }],
  });
  const mark = { Name: `tag:${tagKeys.lease}`, Values: [run.leaseId] };
  const id = await retryOnQuota(run, place, copy.source.id, () => beginCopy(place, command, mark, copy.source.id));
  run.log.line(placeName(place), `copying ${copy.source.id} (${copy.source.sizeGiB} GiB) as ${id}`);
  return id;
}

/** Others' copies take the quota of this account and region; they end some time. */
export async function retryOnQuota<T>(run: Run, place: Place, what: string, begin: () => Promise<T>): Promise<T> {
  for (let wait = 5000; ; wait = Math.min(wait * 1.5, 60_000)) {
    try {
      return await begin();
    } catch (error) {
      if (!hasCode(error, 'ResourceLimitExceeded')) throw error;
      run.log.line(placeName(place), `waiting for room in the quota to copy ${what}`);
      await place.sleep(wait * (0.75 + Math.random() / 2));
    }
  }
}

/**
 * CopySnapshot, which has no client token: after a lost answer, only a look tells whether there is a copy, by the tag in
 * `mark` that this run alone gives.
 */
export async function beginCopy(
  place: Place,
  command: CopySnapshotCommand,
  mark: Filter,
  sourceSnapshotId: string,
): Promise<string> {
  for (;;) {
    try {
      const { SnapshotId } = await place.ec2(command);
      if (SnapshotId === undefined) throw new Error('AWS named no snapshot');
      return SnapshotId;
    } catch (error) {
      if (!isTransient(error)) throw error;
      const looks = isServerError(error) ? lostLooksSeconds.slice(0, failedLooks) : lostLooksSeconds;
      const found = await findLost(place, mark, sourceSnapshotId, looks);
      if (found !== undefined) return found;
    }
  }
}

/** Looks for about half a minute: new resources are seen late at times. After an error of AWS's own, a shorter look does. */
const lostLooksSeconds = [0.5, 1, 2, 4, 8, 15];
const failedLooks = 4;

async function findLost(
  place: Place,
  mark: Filter,
  snapshotId: string,
  looks: readonly number[],
): Promise<string | undefined> {
  for (const seconds of looks) {
    await place.sleep(seconds * 1000);
    const [found] = await ownSnapshots(place, mark, {
      Name: `tag:${tagKeys.sourceSnapshot}`,
      Values: [snapshotId],
    });
    if (found?.SnapshotId !== undefined) return found.SnapshotId;
  }
  return undefined;
}

/** AWS's words for access that is not there (yet). */
export function isAccess(error: CopyFailedError): boolean {
  return /key ID is not accessible|snapshot is not found/i.test(error.reason);
}

export function copyRemedy(error: unknown, { target, crossAccount }: TargetPlan): string | undefined {
  if (!(error instanceof CopyFailedError)) return undefined;
  if (/key/i.test(error.reason)) {
    const source = crossAccount
      ? ' and kms:DescribeKey, kms:Decrypt, kms:ReEncryptFrom and kms:CreateGrant on the source key'
      : '';
    return `the target role needs kms:DescribeKey, kms:CreateGrant, kms:GenerateDataKeyWithoutPlaintext, kms:ReEncrypt* and kms:Decrypt on ${target.kmsKeyArn}${source}, in its own policy`;
  }
  if (/not found/i.test(error.reason))
    return 'check that nothing else takes away the share of the source snapshot while this runs';
  return undefined;
}
