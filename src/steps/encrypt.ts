import { CopyImageCommand, CopySnapshotCommand, type Image, type Snapshot } from '@aws-sdk/client-ec2';
import { describeSnapshots, ownImages, ownSnapshots } from '../aws/describe.ts';
import { errorMessage, hasCode, placeName, StepError } from '../aws/errors.ts';
import { CopyFailedError, type Watcher } from '../aws/wait.ts';
import { matchSnapshots, snapshotIdsOf, totalGiB } from '../image.ts';
import { type EncryptedCopy, type Plan, provenance } from '../plan/plan.ts';
import { readExtras, type SourceSnapshot } from '../plan/source.ts';
import { milestones } from '../report/progress.ts';
import { spokenSeconds } from '../report/words.ts';
import type { Run } from '../run.ts';
import { joinIds, tagKeys, toTags } from '../tags.ts';
import { clientToken } from './client-token.ts';
import { beginCopy, retryOnQuota } from './copy.ts';
import { deleteSnapshot, removeImage } from './remove.ts';
import type { Supply } from './supply.ts';

/**
 * Makes an encrypted copy in the source account, and gives each snapshot of it as soon as that one is completed. A copy
 * that another run made, or is making, is taken for this one's.
 */
export function encrypt(run: Run, plan: Plan, copy: EncryptedCopy, watcher: Watcher): Supply {
  return copy.only === undefined
    ? encryptImage(run, plan, copy, watcher)
    : encryptSnapshots(run, plan, copy, copy.only, watcher);
}

/** The whole AMI, by CopyImage. */
function encryptImage(run: Run, plan: Plan, copy: EncryptedCopy, watcher: Watcher): Supply {
  const { source } = plan;
  const { place } = copy;
  const snapshots = new Map(source.snapshots.map(({ id }) => [id, quietly(Promise.withResolvers<string>())]));

  /** Each snapshot that the copy names by now is waited for by itself. */
  const named = (image: Image): void => {
    for (const [id, copied] of matchSnapshots(source.image, image)) {
      watcher.snapshot(copied).then(
        () => snapshots.get(id)?.resolve(copied),
        // The image's own end tells more.
        () => {},
      );
    }
  };
  const make = async (): Promise<Image> => {
    const where = placeName(place);
    try {
      const started = run.log.elapsedSeconds();
      const id = await findOrMake(run, plan, copy);
      run.log.line(where, `encrypting ${source.image.ImageId} under ${copy.kmsKeyArn}: ${id}`);
      const tell = milestones(totalGiB(source.snapshots), 10, (progress) =>
        run.log.line(where, `encrypting: ${progress}`),
      );
      const image = await watcher.image(id, { onProgress: ({ percent }) => tell(percent), onNamed: named });
      run.log.line(
        where,
        `encrypted copy ${id} is available after ${spokenSeconds(run.log.elapsedSeconds() - started)}`,
      );
      return image;
    } catch (error) {
      throw new StepError(`Making the encrypted copy of ${source.image.ImageId} in ${where}`, error, remedyFor(error));
    }
  };
  const made = run.timeline.span(place, 'encrypt', make);
  made.then(
    (image) => {
      const matched = matchSnapshots(source.image, image);
      for (const [id, { resolve, reject }] of snapshots) {
        const copied = matched.get(id);
        if (copied === undefined) reject(new Error(`the encrypted copy has no snapshot for ${id}`));
        else resolve(copied);
      }
    },
    (error: unknown) => {
      for (const { reject } of snapshots.values()) reject(error);
    },
  );
  return {
    place,
    snapshot: async (id) => (await snapshots.get(id)?.promise) ?? id,
    image: async () => (await made).ImageId ?? '',
    // What its owner alone may read of an AMI that is only shared, the copy tells.
    extras: async () => (source.image.OwnerId === source.account ? source.extras : readExtras(place, await made)),
  };
}

/** A rejection is told by whoever waits; nobody waiting is no error of its own. */
function quietly<T>(deferred: PromiseWithResolvers<T>): PromiseWithResolvers<T> {
  deferred.promise.catch(() => {});
  return deferred;
}

async function findOrMake(run: Run, { source }: Plan, { place, name, kmsKeyArn }: EncryptedCopy): Promise<string> {
  const { image } = source;
  const [there] = await ownImages(place, { Name: 'name', Values: [name] });
  if (there?.ImageId !== undefined && isUsable(there)) return there.ImageId;
  if (there !== undefined) await removeImage(place, there);

  const ours = { ...provenance(run.request, source), [tagKeys.intermediate]: 'true' };
  for (let tries = 0; ; tries += 1) {
    try {
      const { ImageId } = await place.ec2(
        new CopyImageCommand({
          Name: name,
          Description: `Temporary encrypted copy of ${image.ImageId}`,
          SourceImageId: image.ImageId,
          SourceRegion: source.place.region,
          Encrypted: true,
          KmsKeyId: kmsKeyArn,
          ClientToken: clientToken(run.leaseId, 'encrypt', place.region, String(tries)),
          ...(run.request.copyMinutes && { SnapshotCopyCompletionDurationMinutes: run.request.copyMinutes }),
          TagSpecifications: [
            { ResourceType: 'image', Tags: toTags(ours) },
            // CopyImage gives all its snapshots the same tags, so they name every snapshot that they may be of.
            {
              ResourceType: 'snapshot',
              Tags: toTags({ ...ours, [tagKeys.sourceSnapshot]: joinIds(snapshotIdsOf(image)) }),
            },
          ],
        }),
      );
      if (ImageId === undefined) throw new Error('AWS named no image');
      return ImageId;
    } catch (error) {
      // Another run was faster by a moment; what it makes serves both.
      const taken = hasCode(error, 'InvalidAMIName.Duplicate')
        ? /ami-[0-9a-f]+/.exec(errorMessage(error).split(' by ').at(-1) ?? '')
        : null;
      if (taken !== null) return taken[0];
      if (hasCode(error, 'ResourceLimitExceeded')) {
        await place.sleep(5000);
        continue;
      }
      if (!hasCode(error, 'InvalidAMIName.Duplicate', 'IdempotentParameterMismatch') || tries >= 5) throw error;
      await place.sleep(1000);
    }
  }
}

function isUsable({ State }: Image): boolean {
  return State === 'available' || State === 'pending' || State === 'transient';
}

/** The snapshots that need it alone, by CopySnapshot; the others stand for themselves. */
function encryptSnapshots(
  run: Run,
  plan: Plan,
  copy: EncryptedCopy,
  only: readonly SourceSnapshot[],
  watcher: Watcher,
): Supply {
  const { source } = plan;
  const { place } = copy;
  const known = ownSnapshots(place, { Name: `tag:${tagKeys.sourceAmi}`, Values: [source.image.ImageId ?? ''] });
  const encryptOne = async (snapshot: SourceSnapshot): Promise<string> => {
    const where = placeName(place);
    try {
      const there = oldest(await known, snapshot, copy);
      const id = there ?? (await copyOne(run, plan, copy, snapshot));
      run.log.line(where, `encrypting ${snapshot.id} (${snapshot.sizeGiB} GiB) under ${copy.kmsKeyArn}: ${id}`);
      const tell = milestones(snapshot.sizeGiB, 10, (progress) =>
        run.log.line(where, `encrypting ${snapshot.id}: ${progress}`),
      );
      await watcher.snapshot(id, { onProgress: ({ percent }) => tell(percent) });
      return id;
    } catch (error) {
      throw new StepError(`Making the encrypted copy of ${snapshot.id} in ${where}`, error, remedyFor(error));
    }
  };
  const copies = new Map(
    only.map((snapshot) => [snapshot.id, run.timeline.span(place, 'encrypt', () => encryptOne(snapshot))]),
  );
  for (const copied of copies.values()) copied.catch(() => {});
  return {
    place,
    snapshot: async (id) => (await copies.get(id)) ?? id,
    image: () =>
      Promise.reject(new Error('an AMI of which only some snapshots are encrypted is registered, not copied')),
    extras: async () => source.extras,
  };
}

/** Snapshots have no name to lock, so of several copies that runs began at once, all take the oldest. */
async function copyOne(run: Run, plan: Plan, copy: EncryptedCopy, snapshot: SourceSnapshot): Promise<string> {
  const { source } = plan;
  const { place, kmsKeyArn } = copy;
  const command = new CopySnapshotCommand({
    SourceRegion: source.place.region,
    SourceSnapshotId: snapshot.id,
    Description: `Temporary encrypted copy of ${snapshot.id} of ${source.image.ImageId}`,
    Encrypted: true,
    KmsKeyId: kmsKeyArn,
    ...(run.request.copyMinutes && { CompletionDurationMinutes: run.request.copyMinutes }),
    TagSpecifications: [
      {
        ResourceType: 'snapshot',
        Tags: toTags({
          ...provenance(run.request, source),
          [tagKeys.sourceSnapshot]: snapshot.id,
          [tagKeys.intermediate]: run.leaseId,
        }),
      },
    ],
  });
  const mark = { Name: `tag:${tagKeys.intermediate}`, Values: [run.leaseId] };
  const id = await retryOnQuota(run, place, snapshot.id, () => beginCopy(place, command, mark, snapshot.id));
  const others = await ownSnapshots(place, { Name: `tag:${tagKeys.sourceAmi}`, Values: [source.image.ImageId ?? ''] });
  const own = others.some(({ SnapshotId }) => SnapshotId === id)
    ? others
    : [...others, ...(await describeSnapshots(place, [id]))];
  const first = oldest(own, snapshot, copy);
  if (first === undefined || first === id) return id;
  await deleteSnapshot(place, id);
  return first;
}

function oldest(
  snapshots: readonly Snapshot[],
  { id }: SourceSnapshot,
  { kmsKeyArn }: EncryptedCopy,
): string | undefined {
  return snapshots
    .filter(
      (copy) =>
        (copy.State === 'pending' || (copy.State === 'completed' && copy.KmsKeyId === kmsKeyArn)) &&
        copy.Tags?.some(({ Key }) => Key === tagKeys.intermediate) &&
        copy.Tags.some(({ Key, Value }) => Key === tagKeys.sourceSnapshot && Value === id),
    )
    .sort(
      (a, b) =>
        (a.StartTime?.getTime() ?? 0) - (b.StartTime?.getTime() ?? 0) ||
        (a.SnapshotId ?? '').localeCompare(b.SnapshotId ?? ''),
    )[0]?.SnapshotId;
}

function remedyFor(error: unknown): string | undefined {
  if (!(error instanceof CopyFailedError) || !/key/i.test(error.reason)) return undefined;
  return 'the source role needs kms:DescribeKey, kms:CreateGrant, kms:GenerateDataKeyWithoutPlaintext, kms:ReEncrypt* and kms:Decrypt on source-kms-key (and on the key that the AMI is under now)';
}
