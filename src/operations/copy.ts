import { type CopySnapshotCommand, CreateTagsCommand, type Snapshot } from '@aws-sdk/client-ec2';
import { placeName, StepError } from '../aws/errors.ts';
import { CopyFailedError, type SnapshotEvents } from '../aws/wait.ts';
import type { Result } from '../outcome.ts';
import { copyDescription } from '../plan/evidence.ts';
import type { Copy } from '../plan/operation.ts';
import { idOf, type Scope } from '../run.ts';
import { tagKeys } from '../tags.ts';
import { beginCopy, snapshotCopy } from './begin-copy.ts';
import { readingSnapshots, usingKey } from './key-questions.ts';
import { retryCopyOnLimit } from './limits.ts';
import { type Asking, dryRun, idOr, type Job, type Question } from './question.ts';
import { copyRemedy, regaining } from './regain.ts';
import { deletion, discard, halfMade } from './remove.ts';
import { copyQuota } from './settings.ts';

/** Copies one snapshot into a target under the target's key, as soon as there is a slot. @throws StepError in AWS's words */
export async function copy(operation: Copy, scope: Scope): Promise<Result> {
  const { run, place } = scope;
  const { snapshot, takeOver } = operation;
  const slots = run.slots(place);
  const progress = run.progress(operation);
  return slots(async () => {
    place.signal.throwIfAborted();
    const events: SnapshotEvents = {
      onProgress: ({ percent }) => progress(snapshot, percent),
      // The AMI takes all of them; but another may be waiting for this one's slot.
      isUrgent: () => slots.pendingCount > 0,
    };
    try {
      const taken = takeOver === undefined ? undefined : await takeOverCopy(operation, scope, { id: takeOver, events });
      const copied = taken ?? (await copyNew(operation, scope, events));
      return { id: copied.SnapshotId ?? '', snapshots: [copied] };
    } catch (error) {
      const remedy = copyRemedy(error, {
        key: operation.key,
        crossAccount: operation.regain.length > 0,
        takesOver: takeOver !== undefined,
      });
      throw new StepError(`Copying ${snapshot.id} to ${placeName(place)}`, error, remedy);
    }
  });
}

type Begun = Readonly<{ id: string; events: SnapshotEvents }>;

/** The copy once it is completed, unless what the target is to do with it turns out to be denied. */
async function completed(operation: Copy, { run, place }: Scope, { id, events }: Begun): Promise<Snapshot> {
  const copying = run.watcher(place).snapshot(id, events);
  const [copied] = await Promise.all([copying, run.confirm(operation, { snapshot: id })]);
  return copied;
}

/** Takes over a copy that an earlier run began; undefined where it fails after all, and is removed. */
async function takeOverCopy(operation: Copy, scope: Scope, begun: Begun): Promise<Snapshot | undefined> {
  const { id } = begun;
  const { run, place } = scope;
  run.log.line(placeName(place), `taking over ${id}, which an earlier run began`);
  await place.ec2(takeOverCommand(id, run));
  try {
    return await completed(operation, scope, begun);
  } catch (error) {
    if (!(error instanceof CopyFailedError)) throw error;
    await discard(run, place, id);
    return undefined;
  }
}

function copyNew(operation: Copy, scope: Scope, events: SnapshotEvents): Promise<Snapshot> {
  const { run, place } = scope;
  return regaining(operation, scope, async () => {
    const id = await startCopy(operation, scope, idOf(scope, operation.from));
    try {
      return await completed(operation, scope, { id, events });
    } catch (error) {
      if (error instanceof CopyFailedError) await discard(run, place, id);
      throw error;
    }
  });
}

function commandOf(operation: Copy, job: Job, id: string): CopySnapshotCommand {
  const { snapshot, fromRegion: region, key, tags, lineage } = operation;
  const description = copyDescription(snapshot.id, job.source.imageId, { ...job.source.place, lineage });
  return snapshotCopy(job, { id, region, key, description, tags });
}

function takeOverCommand(id: string, { leaseId }: Job): CreateTagsCommand {
  return new CreateTagsCommand({ Resources: [id], Tags: [{ Key: tagKeys.lease, Value: leaseId }] });
}

/** A copy in the source account itself reads under the source's keys; another account's role is asked about them apart. */
export function asksToCopy(operation: Copy, asking: Asking): Question[] {
  const { of, key, snapshot, takeOver, regain } = operation;
  const copy = takeOver ?? asking.standIns.snapshot;
  const without = `the tag ${tagKeys.lease} stays on the copies`;
  return [
    // AWS looks at the source only when the copy runs: one that isn't there, or isn't shared yet, is no error.
    takeOver === undefined
      ? dryRun(commandOf(operation, asking, idOr(asking.standIns.snapshot, of[0])))
      : dryRun(takeOverCommand(takeOver, asking)),
    dryRun(takeOverCommand(copy, asking), without),
    deletion(copy, halfMade),
    copyQuota(asking.request.maxParallel),
    ...usingKey(key),
    ...(takeOver === undefined && regain.length === 0 ? readingSnapshots([snapshot], key) : []),
  ];
}

async function startCopy(operation: Copy, { run, place }: Scope, sourceId: string): Promise<string> {
  const { snapshot } = operation;
  const command = commandOf(operation, run, sourceId);
  const mark = { Name: `tag:${tagKeys.lease}`, Values: [run.leaseId] };
  const id = await retryCopyOnLimit(run, { place, id: sourceId }, () =>
    beginCopy(place, command, { mark, sourceId: snapshot.id }),
  );
  const of = sourceId === snapshot.id ? '' : `, the encrypted copy of ${snapshot.id},`;
  run.log.line(placeName(place), `copying ${sourceId}${of} (${snapshot.sizeGiB} GiB) as ${id}`);
  return id;
}
