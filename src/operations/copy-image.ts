import { type CopyImageCommand, CreateTagsCommand, type Image } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages, describeSnapshots, ownImages } from '../aws/describe.ts';
import { errorMessage, hasCode, placeName, StepError } from '../aws/errors.ts';
import { CopyFailedError } from '../aws/wait.ts';
import { matchSnapshots, notSet, snapshotIdsOf, totalGiB } from '../image.ts';
import type { Result } from '../outcome.ts';
import type { Source, SourceSnapshot } from '../plan/facts.ts';
import type { CopyImage } from '../plan/operation.ts';
import { milestones } from '../report/progress.ts';
import { idOf, type Run, type Scope } from '../run.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { imageCopy } from './begin-copy.ts';
import { askToCarryOver } from './carry-over.ts';
import { clientToken } from './client-token.ts';
import { readingSnapshots, usingKey } from './key-questions.ts';
import { retryCopyOnLimit } from './limits.ts';
import { onceSeen } from './patiently.ts';
import { type Asking, dryRun, idOr, type Job, type Question } from './question.ts';
import { copyRemedy, regaining } from './regain.ts';
import { deletion, deregistration, halfMade, removeImage } from './remove.ts';
import { usingRival } from './rival.ts';
import { allowedImages } from './settings.ts';

/**
 * The route `copy`: the target account calls CopyImage on the shared image under its own key, which keeps what
 * registering would lose. Gives the image once it is available, with its snapshots.
 * @throws StepError in AWS's words where it refuses, with the way out that AWS documents
 */
export async function copyImage(operation: CopyImage, scope: Scope): Promise<Result> {
  const { run, place } = scope;
  const where = placeName(place);
  const { imageId, snapshots } = run.source;
  const tell = milestones(
    { totalGiB: totalGiB(snapshots), stepPercent: run.stepPercent, now: place.clock.now },
    (progress) => run.log.line(where, `copying: ${progress}`),
  );
  const crossAccount = operation.regain.length > 0;
  const make = () =>
    regaining(operation, scope, async (count) => {
      const id = await begin(operation, scope, count);
      try {
        const copying = run.watcher(place).image(id, { onProgress: ({ percent }) => tell(percent) });
        const asMeant = run
          .watcher(place)
          .named(id)
          .then((image) => {
            refuseUnlike(run.source.image, image);
            return askToCarryOver(place, run.source.image, image);
          });
        const [image] = await Promise.all([copying, asMeant, run.confirm(operation, { image: id })]);
        await tagSnapshots(operation, scope, image);
        return { id, image, snapshots: await describeSnapshots(place, snapshotIdsOf(image)) };
      } catch (error) {
        if (!(error instanceof CopyFailedError)) throw error;
        await removeFailed(run, place, id).catch((failure: unknown) =>
          run.leave(place, `${id} in ${where}, which came to nothing: ${errorMessage(failure)}`),
        );
        throw error;
      }
    });
  try {
    return await usingRival(operation, scope, make);
  } catch (error) {
    throw new StepError(
      `Copying ${imageId} to ${where}`,
      error,
      copyRemedy(error, { key: operation.key, crossAccount }),
    );
  }
}

/** What nothing can set afterwards, and an image that is still pending tells already, where it tells it. */
const unchangeable = ['Architecture', 'VirtualizationType', 'BootMode', 'TpmSupport'] as const;

/** @throws where a copy is certain to differ from the source: hours of copying would tell no more */
function refuseUnlike(source: Image, copy: Image): void {
  const unlike = unchangeable.filter((field) => copy[field] !== undefined && copy[field] !== source[field]);
  if (unlike.length === 0) return;
  const told = unlike.map((field) => `${field} is ${copy[field]}, but ${source[field] ?? notSet} in the source`);
  throw new Error(`${copy.ImageId}, still pending, differs already: ${told.join('; ')}`);
}

/** The ID of the image that try `count` makes; the first takes over what an earlier run began, if there is such. */
async function begin(operation: CopyImage, scope: Scope, count: number): Promise<string> {
  const taken = count === 1 ? await takeOver(operation, scope) : undefined;
  return taken ?? startCopy(operation, scope, count);
}

async function removeFailed(run: Run, place: Place, id: string): Promise<void> {
  const [failed] = await describeImages(place, [id]);
  if (failed !== undefined) await removeImage(place, failed, run.log.warn);
}

/** Takes over the image that an earlier run began. */
async function takeOver(operation: CopyImage, { run, place }: Scope): Promise<string | undefined> {
  const { takeOver: id } = operation;
  if (id === undefined) return undefined;
  run.log.line(placeName(place), `taking over ${id}, which an earlier run began`);
  await place.ec2(takeOverCommand(operation, id));
  return id;
}

function commandOf(operation: CopyImage, job: Job, from: Readonly<{ id: string; token?: string }>): CopyImageCommand {
  const { fromRegion: region, imageTags, anyTags } = operation;
  // What AWS tells of the copy is the encrypted one; the tag says what that stands for.
  const via = from.id === job.source.imageId ? [] : [{ Key: tagKeys.encryptedCopy, Value: from.id }];
  const marked = { tags: [...imageTags, ...via], snapshotTags: [...anyTags, ...via] };
  return imageCopy(job, { ...operation, ...from, region, ...marked });
}

function takeOverCommand({ imageTags }: CopyImage, id: string): CreateTagsCommand {
  return new CreateTagsCommand({ Resources: [id], Tags: [...imageTags] });
}

export function asksToCopyImage(operation: CopyImage, asking: Asking): Question[] {
  const { takeOver, of, key, regain } = operation;
  const { source, standIns } = asking;
  const image = takeOver ?? standIns.image;
  const [first] = source.snapshots;
  const own =
    first !== undefined && isTagged(source, first) ? [snapshotCommand(operation, first, standIns.snapshot)] : [];
  return [
    takeOver === undefined
      ? dryRun(commandOf(operation, asking, { id: idOr(standIns.image, of[0]) }))
      : dryRun(takeOverCommand(operation, takeOver)),
    ...own.map((command) => dryRun(command)),
    deregistration(image, halfMade),
    deletion(standIns.snapshot, halfMade),
    ...usingKey(key),
    ...(regain.length === 0 ? readingSnapshots(source.snapshots, key) : [allowedImages(operation, asking)]),
  ];
}

async function startCopy(operation: CopyImage, scope: Scope, count: number): Promise<string> {
  const { run, place } = scope;
  const { name } = operation;
  const sourceImageId = idOf(scope, operation.from);
  const token = clientToken(run.leaseId, 'copy', placeName(place), String(count));
  const command = commandOf(operation, run, { id: sourceImageId, token });
  const id = await retryCopyOnLimit(run, { place, id: sourceImageId }, async () => {
    try {
      const { ImageId } = await place.ec2(command);
      if (ImageId === undefined) throw new Error('AWS named no image');
      return ImageId;
    } catch (error) {
      if (!hasCode(error, 'InvalidAMIName.Duplicate')) throw error;
      const named = await ownImages(place, { Name: 'name', Values: [name] });
      const own = named.find(
        (image) => tagValue(image, tagKeys.lease) === run.leaseId && image.SourceImageId === sourceImageId,
      );
      if (own?.ImageId === undefined) throw error;
      return own.ImageId;
    }
  });
  run.log.line(placeName(place), `copying ${sourceImageId} as ${id} (${name})`);
  return id;
}

/** Gives each snapshot of the copy the tags that are its own, which CopyImage can't: it gives all of them the same. */
async function tagSnapshots(operation: CopyImage, { run, place }: Scope, image: Image): Promise<void> {
  const { source } = run;
  const matched = matchSnapshots(source.image, image);
  for (const snapshot of source.snapshots) {
    const copy = matched.get(snapshot.id);
    if (copy !== undefined && isTagged(source, snapshot))
      await onceSeen(place, () => place.ec2(snapshotCommand(operation, snapshot, copy)));
  }
}

/** A single one has its tags from CopyImage, but for the source's. */
function isTagged({ snapshots }: Source, { tags }: SourceSnapshot): boolean {
  return snapshots.length > 1 || tags.length > 0;
}

function snapshotCommand({ snapshotTags }: CopyImage, { id }: SourceSnapshot, copy: string): CreateTagsCommand {
  return new CreateTagsCommand({ Resources: [copy], Tags: [...(snapshotTags.get(id) ?? [])] });
}
