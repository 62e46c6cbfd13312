import { randomUUID } from 'node:crypto';
import type { CopyImageCommand, CopySnapshotCommand, Image, Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeSnapshots, ownImages, ownSnapshots } from '../aws/describe.ts';
import { hasCode, placeName, StepError } from '../aws/errors.ts';
import { CopyFailedError } from '../aws/wait.ts';
import { matchSnapshots, snapshotIdsOf, totalGiB } from '../image.ts';
import type { Result } from '../outcome.ts';
import type { CreationTags } from '../plan/creation-tags.ts';
import { provenance } from '../plan/decided.ts';
import { encryptedDescription, tieOfEncryptedCopy } from '../plan/evidence.ts';
import type { SourceSnapshot } from '../plan/facts.ts';
import { isUsableCopy, oldestCopy } from '../plan/intermediates.ts';
import type { Await, AwaitImage, EncryptImage, EncryptSnapshot } from '../plan/operation.ts';
import { milestones } from '../report/progress.ts';
import { idOf, type Run, type Scope } from '../run.ts';
import { joinIds, tagKeys, toTags } from '../tags.ts';
import { beginCopy, imageCopy, snapshotCopy } from './begin-copy.ts';
import { readingSnapshots, usingKey } from './key-questions.ts';
import { retryCopyOnLimit } from './limits.ts';
import { type Asking, dryRun, idOr, type Job, noResource, type Question } from './question.ts';
import { deleteSnapshot, deletion, deregistration, removeImage } from './remove.ts';
import { findNamed } from './rival.ts';
import { copyQuota } from './settings.ts';

/** Begins an encrypted copy of the AMI; or makes that of one snapshot. What another run made is taken for this one's. */
export async function encrypt(operation: EncryptImage | EncryptSnapshot, scope: Scope): Promise<Result> {
  const { run, place } = scope;
  const { snapshot, key, tags } = operation;
  if (snapshot !== undefined) return encryptSnapshot({ snapshot, key, tags }, scope);
  return telling(run.source.imageId, place, async () => {
    const id = await findOrMake(run, place, { name: operation.name, key, tags });
    run.log.line(placeName(place), `encrypting ${run.source.imageId} under ${key}: ${id}`);
    await run.confirm(operation, { image: id });
    return { id };
  });
}

/** Waits for a copy that another operation, or another run, has begun; or for an AMI that another run makes in a target. */
export async function awaitCopy(operation: Await | AwaitImage, scope: Scope): Promise<Result> {
  const { run, place } = scope;
  if ('image' in operation) return awaitOthers(operation.image, scope);
  const { snapshotId, key, copy, remake } = operation;
  const { name, snapshot, tags } = remake;
  if (snapshot !== undefined) return encryptSnapshot({ snapshot, key, tags }, scope);
  return telling(run.source.imageId, place, async () => {
    const there = idOf(scope, copy);
    const id = 'id' in copy ? await findOrMake(run, place, { name, key, tags }) : there;
    return snapshotId === undefined ? awaitImage(id, scope) : awaitSnapshot({ id, snapshotId, key }, scope);
  });
}

async function awaitOthers({ ImageId = '', Name }: Image, { run, place }: Scope): Promise<Result> {
  const where = placeName(place);
  run.log.line(where, `waiting for ${ImageId} (${Name}), which is being made`);
  try {
    return { id: ImageId, image: await run.watcher(place).image(ImageId), reused: true };
  } catch (error) {
    const doing = `Waiting for ${ImageId} in ${where}, which another run makes`;
    throw new StepError(doing, error, 'run it again when that run has ended');
  }
}

async function awaitImage(id: string, { run, place }: Scope): Promise<Result> {
  const began = run.log.elapsedSeconds();
  const where = placeName(place);
  const tell = milestones(
    { totalGiB: totalGiB(run.source.snapshots), stepPercent: 10, now: place.clock.now },
    (progress) => run.log.line(where, `encrypting: ${progress}`),
  );
  const image = await run.watcher(place).image(id, { onProgress: ({ percent }) => tell(percent) });
  const took = Math.round(run.log.elapsedSeconds() - began);
  run.log.line(where, `encrypted copy ${id} is available${took === 0 ? '' : ` after ${took} s`}`);
  return { id, image };
}

type Awaited = Readonly<{ id: string; snapshotId: string; key: string }>;

async function awaitSnapshot({ id, snapshotId, key }: Awaited, { run, place }: Scope): Promise<Result> {
  const watcher = run.watcher(place);
  const matched = (image: Image): string => {
    const copied = matchSnapshots(run.source.image, image).get(snapshotId);
    if (copied === undefined) throw new Error(`the encrypted copy has no snapshot for ${snapshotId}`);
    return copied;
  };
  const copied = matched(await watcher.named(id));
  // Where each copy has its slot, the volume that takes longest here takes longest in the targets, too.
  const isUrgent = () => run.source.snapshots.length > run.request.maxParallel;
  const snapshot = await watcher.snapshot(copied, { isUrgent }).catch(async (error: unknown) => {
    if (!(error instanceof CopyFailedError)) throw error;
    // The image's own end tells more.
    return watcher.snapshot(matched(await watcher.image(id)));
  });
  return underKey(snapshot, key);
}

/** Under what key a copy is asked for, its name or a tag says; under what it is, AWS alone. */
function underKey({ SnapshotId: id = '', KmsKeyId }: Snapshot, key: string): Result {
  const under = KmsKeyId ?? 'no key';
  if (under !== key)
    throw new Error(`${id} is under ${under}, so this action has not made it: remove it, with the AMI that has it`);
  return { id };
}

async function telling<T>(what: string, place: Place, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw new StepError(`Making the encrypted copy of ${what} in ${placeName(place)}`, error, remedyFor(error));
  }
}

type Wanted = Readonly<{ name: string; key: string; tags: CreationTags }>;

/** So many other names are tried where something else has the encrypted copy's. */
const spareNames = 5;

/**
 * The encrypted copy: one that is there under any of its names; else every run tries the same names in the same order, so
 * that each finds what another makes.
 */
async function findOrMake(run: Run, place: Place, wanted: Wanted): Promise<string> {
  const { name } = wanted;
  const names = [name, ...Array.from({ length: spareNames }, (_, index) => `${name}-${index + 2}`)];
  const found = await ownImages(place, { Name: 'name', Values: names });
  const ours = found.filter((image) => isOurs(run, place, image));
  const named = (one: string, images: readonly Image[]) => images.find(({ Name }) => Name === one);
  const usable = names.flatMap((one) => named(one, ours.filter(isUsableCopy))?.ImageId ?? [])[0];
  if (usable !== undefined) return usable;
  for (const one of names) {
    const there = named(one, ours);
    if (there === undefined && named(one, found) !== undefined) continue;
    if (there !== undefined) await removeImage(place, there, run.log.warn);
    const id = await make(run, place, { ...wanted, name: one });
    if (id !== undefined) return id;
  }
  throw new Error(`the names ${names.join(', ')} are taken by other AMIs: deregister one of them`);
}

function imageCommand(job: Job, wanted: Wanted, token?: string): CopyImageCommand {
  const { imageId, place, image } = job.source;
  const all = { ...wanted.tags, ...provenance(job.request, imageId), [tagKeys.intermediate]: 'true' };
  return imageCopy(job, {
    ...{ ...wanted, id: idOr(noResource.image, imageId), region: place.region, token },
    ...{ description: `Temporary encrypted copy of ${imageId}`, tags: toTags(all) },
    // They name every snapshot that they may be of.
    snapshotTags: toTags({ ...all, [tagKeys.sourceSnapshot]: joinIds(snapshotIdsOf(image)) }),
  });
}

type WantedSnapshot = Readonly<{ snapshot: SourceSnapshot; key: string; tags: CreationTags }>;

function snapshotCommand(job: Job, { snapshot: { id }, key, tags }: WantedSnapshot): CopySnapshotCommand {
  const { imageId, place } = job.source;
  const ours = { [tagKeys.sourceSnapshot]: id, [tagKeys.intermediate]: job.leaseId, [tagKeys.kmsKey]: key };
  return snapshotCopy(job, {
    ...{ id: idOr(noResource.snapshot, id), region: place.region, key },
    description: encryptedDescription(id, imageId),
    tags: toTags({ ...tags, ...provenance(job.request, imageId), ...ours }),
  });
}

export function asksToEncrypt(operation: EncryptImage | EncryptSnapshot, asking: Asking): Question[] {
  const { snapshot, key, tags } = operation;
  const { source, standIns, request } = asking;
  const making =
    snapshot === undefined
      ? [dryRun(imageCommand(asking, operation)), deregistration(standIns.image)]
      : [dryRun(snapshotCommand(asking, { snapshot, key, tags })), copyQuota(request.maxParallel)];
  const read = snapshot === undefined ? source.snapshots : [snapshot];
  return [...making, deletion(standIns.snapshot), ...usingKey(key), ...readingSnapshots(read, key)];
}

/** An encrypted copy that is there already goes at the end, too. */
export function asksToAwait(operation: Await | AwaitImage, { standIns }: Asking): Question[] {
  if ('image' in operation || !('id' in operation.copy)) return [];
  const { copy, key, remake } = operation;
  const removal =
    remake.snapshot === undefined ? [deregistration(copy.id), deletion(standIns.snapshot)] : [deletion(copy.id)];
  return [...removal, ...usingKey(key)];
}

function isOurs({ source, log }: Run, place: Place, there: Image): boolean {
  const tied = tieOfEncryptedCopy(there, source.imageId);
  if (tied.is !== 'proven')
    log.line(placeName(place), `${there.ImageId} (${there.Name}) is left alone, since ${tied.why}`);
  return tied.is === 'proven';
}

/** Begins a copy under a name; where that is taken, gives what another run makes under it, if it does. */
async function make(run: Run, place: Place, wanted: Wanted): Promise<string | undefined> {
  const what = run.source.imageId;
  try {
    return await retryCopyOnLimit(run, { place, id: what }, () => copyWhole(run, place, wanted));
  } catch (error) {
    if (!hasCode(error, 'InvalidAMIName.Duplicate')) throw error;
    // Another run was faster by a moment; or what had the name is gone, and the name isn't free yet.
    const there = await findNamed(place, wanted.name, true);
    return there !== undefined && isOurs(run, place, there) && isUsableCopy(there) ? there.ImageId : undefined;
  }
}

async function copyWhole(run: Run, place: Place, wanted: Wanted): Promise<string> {
  // The SDK would fill in a fresh token each time that it is sent, so that a repeated request made a second copy.
  const { ImageId } = await place.ec2(imageCommand(run, wanted, randomUUID()));
  if (ImageId === undefined) throw new Error('AWS named no image');
  return ImageId;
}

/** By CopySnapshot, where others can do without. Of several that runs began at once, all take the oldest. */
function encryptSnapshot(wanted: WantedSnapshot, { run, place }: Scope): Promise<Result> {
  const { snapshot, key } = wanted;
  const where = placeName(place);
  const ofSource = { Name: `tag:${tagKeys.sourceAmi}`, Values: [run.source.imageId] };
  return telling(snapshot.id, place, async () => {
    const there = oldestCopy(await ownSnapshots(place, ofSource), snapshot.id, key);
    const id = there ?? (await copyOne());
    run.log.line(where, `encrypting ${snapshot.id} (${snapshot.sizeGiB} GiB) under ${key}: ${id}`);
    const tell = milestones({ totalGiB: snapshot.sizeGiB, stepPercent: 10, now: place.clock.now }, (progress) =>
      run.log.line(where, `encrypting ${snapshot.id}: ${progress}`),
    );
    return underKey(await run.watcher(place).snapshot(id, { onProgress: ({ percent }) => tell(percent) }), key);
  });

  async function copyOne(): Promise<string> {
    const command = snapshotCommand(run, wanted);
    const mark = { Name: `tag:${tagKeys.intermediate}`, Values: [run.leaseId] };
    const id = await retryCopyOnLimit(run, { place, id: snapshot.id }, () =>
      beginCopy(place, command, { mark, sourceId: snapshot.id }),
    );
    const others = await ownSnapshots(place, ofSource);
    const own = others.some(({ SnapshotId }) => SnapshotId === id)
      ? others
      : [...others, ...(await describeSnapshots(place, [id]))];
    const first = oldestCopy(own, snapshot.id, key);
    if (first === undefined || first === id) return id;
    await deleteSnapshot(place, id);
    return first;
  }
}

function remedyFor(error: unknown): string | undefined {
  if (!(error instanceof CopyFailedError) || !/key/i.test(error.reason)) return undefined;
  return 'the source role needs kms:DescribeKey, kms:CreateGrant (kms:GrantIsForAWSResource), kms:GenerateDataKeyWithoutPlaintext, kms:ReEncrypt* and kms:Decrypt on source-kms-key (and on the key that the AMI is under now)';
}
