import { CopyImageCommand, CreateTagsCommand, type Image, type Snapshot } from '@aws-sdk/client-ec2';
import { describeImages, describeSnapshots, ownImages } from '../aws/describe.ts';
import { hasCode, placeName, StepError } from '../aws/errors.ts';
import { changeShares } from '../aws/shares.ts';
import { CopyFailedError, type Watcher } from '../aws/wait.ts';
import { matchSnapshots, snapshotIdsOf, totalGiB } from '../image.ts';
import { type Plan, provenance, type TargetPlan } from '../plan/plan.ts';
import { milestones } from '../report/progress.ts';
import type { Run } from '../run.ts';
import { joinIds, mergeTags, tagKeys, tagValue } from '../tags.ts';
import { clientToken } from './client-token.ts';
import { copyRemedy, isAccess, retryOnQuota, stepPercent } from './copy.ts';
import { removeImage } from './remove.ts';
import type { TargetSupply } from './supply.ts';

/** So often is a copy made again whose access was not in force yet, or was taken back by another run. */
const accessTries = 4;

/**
 * The route `copy`: the target account calls CopyImage on the shared image under its own key, which keeps what
 * registering would lose. Gives the image once it is available, with its snapshots.
 * @throws StepError in AWS's words where it refuses, with the way out that AWS documents
 */
export async function copyImage(
  run: Run,
  plan: Plan,
  targetPlan: TargetPlan,
  supply: TargetSupply,
  watcher: Watcher,
): Promise<{ image: Image; snapshots: Snapshot[] }> {
  const { target, crossAccount } = targetPlan;
  const { place } = target;
  const where = placeName(place);
  const tell = milestones(totalGiB(plan.source.snapshots), stepPercent(plan), (progress) =>
    run.log.line(where, `copying: ${progress}`),
  );
  try {
    for (let tries = 1; ; tries += 1) {
      const adopted = tries === 1 ? await adopt(run, targetPlan) : undefined;
      const sourceImageId = adopted === undefined ? await supply.image() : undefined;
      const id = adopted ?? (await startCopy(run, plan, targetPlan, sourceImageId ?? '', supply.place.region, tries));
      try {
        const image = await watcher.image(id, { onProgress: ({ percent }) => tell(percent) });
        const snapshots = await describeSnapshots(place, snapshotIdsOf(image));
        await tagSnapshots(plan, targetPlan, image);
        return { image, snapshots };
      } catch (error) {
        if (!(error instanceof CopyFailedError)) throw error;
        const [failed] = await describeImages(place, [id]);
        if (failed !== undefined) await removeImage(place, failed);
        if (!crossAccount || tries === accessTries || !isAccess(error)) throw error;
        const shared = [
          await supply.image(),
          ...(await Promise.all(plan.source.snapshots.map(({ id }) => supply.snapshot(id)))),
        ];
        run.log.line(where, `${id} failed (${error.reason}); copying ${plan.source.image.ImageId} again`);
        await supply.reopen();
        for (const one of shared) await changeShares(supply.place, one, 'Add', [target.request.account]);
        await place.sleep(2000 * tries);
      }
    }
  } catch (error) {
    throw new StepError(`Copying ${plan.source.image.ImageId} to ${where}`, error, copyRemedy(error, targetPlan));
  }
}

/** Takes over the image that an earlier run began. */
async function adopt(run: Run, { target, adopt, tags }: TargetPlan): Promise<string | undefined> {
  if (adopt === undefined) return undefined;
  run.log.line(placeName(target.place), `taking over ${adopt}, which an earlier run began`);
  await target.place.ec2(
    new CreateTagsCommand({ Resources: [adopt], Tags: [...tags, { Key: tagKeys.lease, Value: run.leaseId }] }),
  );
  return adopt;
}

async function startCopy(
  run: Run,
  plan: Plan,
  { target, description, tags }: TargetPlan,
  sourceImageId: string,
  sourceRegion: string,
  tries: number,
): Promise<string> {
  const { place, name, kmsKeyArn } = target;
  const { source } = plan;
  const ids = source.snapshots.map(({ id }) => id);
  const snapshotTags = mergeTags([], target.tags, {
    ...provenance(run.request, source),
    [tagKeys.kmsKey]: kmsKeyArn,
    [tagKeys.lease]: run.leaseId,
    // CopyImage gives all its snapshots the same tags; which is whose is told when they are there.
    [tagKeys.sourceSnapshot]: joinIds(ids),
  }).tags;
  const command = new CopyImageCommand({
    Name: name,
    Description: description,
    SourceImageId: sourceImageId,
    SourceRegion: sourceRegion,
    Encrypted: true,
    KmsKeyId: kmsKeyArn,
    ClientToken: clientToken(run.leaseId, 'copy', placeName(place), String(tries)),
    ...(run.request.copyMinutes && { SnapshotCopyCompletionDurationMinutes: run.request.copyMinutes }),
    TagSpecifications: [
      { ResourceType: 'image', Tags: [...tags, { Key: tagKeys.lease, Value: run.leaseId }] },
      { ResourceType: 'snapshot', Tags: snapshotTags },
    ],
  });
  const id = await retryOnQuota(run, place, source.image.ImageId ?? '', async () => {
    try {
      const { ImageId } = await place.ec2(command);
      if (ImageId === undefined) throw new Error('AWS named no image');
      return ImageId;
    } catch (error) {
      if (!hasCode(error, 'InvalidAMIName.Duplicate')) throw error;
      const own = (await ownImages(place, { Name: 'name', Values: [name] })).find(
        (image) => tagValue(image, tagKeys.lease) === run.leaseId,
      );
      if (own?.ImageId === undefined) throw error;
      return own.ImageId;
    }
  });
  run.log.line(placeName(place), `copying ${sourceImageId} as ${id} (${name})`);
  return id;
}

/** Gives each snapshot of the copy the tags that are its own, which CopyImage can't: it gives all of them the same. */
async function tagSnapshots(plan: Plan, { target, snapshotTags }: TargetPlan, image: Image): Promise<void> {
  const matched = matchSnapshots(plan.source.image, image);
  for (const { id, tags } of plan.source.snapshots) {
    const copy = matched.get(id);
    if (copy === undefined || (plan.source.snapshots.length === 1 && tags.length === 0)) continue;
    await target.place.ec2(new CreateTagsCommand({ Resources: [copy], Tags: snapshotTags.get(id) }));
  }
}
