import { CopyImageCommand, CreateTagsCommand, type Image, type Snapshot } from '@aws-sdk/client-ec2';
import { describeImages, describeSnapshots, ownImages } from '../aws/describe.ts';
import { AwsCallError, hasCode, placeName, StepError } from '../aws/errors.ts';
import { changeShares } from '../aws/shares.ts';
import { CopyFailedError, type Watcher } from '../aws/wait.ts';
import { matchSnapshots, snapshotIdsOf } from '../image.ts';
import { type Plan, provenance, type TargetPlan } from '../plan/plan.ts';
import { milestones } from '../report/progress.ts';
import type { Run } from '../run.ts';
import { joinIds, mergeTags, tagKeys, tagValue } from '../tags.ts';
import { sleep } from '../time.ts';
import { clientToken } from './client-token.ts';
import { copyRemedy, isAccess, stepPercent } from './copy.ts';
import type { Shareable } from './encrypt.ts';
import { removeImage } from './remove.ts';

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
  shareable: Shareable,
  watcher: Watcher,
): Promise<{ image: Image; snapshots: Snapshot[] }> {
  const { target, crossAccount } = targetPlan;
  const { place } = target;
  const where = placeName(place);
  const tell = milestones(stepPercent(plan), (percent) => run.log.line(where, `copying: ${percent} %`));
  try {
    for (let tries = 1; ; tries += 1) {
      const adopted = tries === 1 ? await adopt(run, targetPlan) : undefined;
      const id = adopted ?? (await startCopy(run, plan, targetPlan, shareable, tries));
      try {
        const image = await watcher.image(id, ({ percent }) => tell(percent));
        const snapshots = await describeSnapshots(place, snapshotIdsOf(image));
        await nameSnapshots(plan, targetPlan, image);
        return { image, snapshots };
      } catch (error) {
        if (!(error instanceof CopyFailedError)) throw error;
        const [failed] = await describeImages(place, [id]);
        if (failed !== undefined) await removeImage(place, failed);
        if (!crossAccount || tries === accessTries || !isAccess(error)) throw error;
        run.log.line(where, `${id} failed (${error.reason}); sharing ${shareable.imageId} and copying it again`);
        for (const shared of [...shareable.snapshots.values(), shareable.imageId]) {
          await changeShares(plan.source.place, shared, 'Add', [target.request.account]);
        }
        await sleep(2000 * tries, run.signal);
      }
    }
  } catch (error) {
    throw new StepError(
      `Copying ${plan.source.image.ImageId} to ${where}`,
      error,
      refusalRemedy(error) ?? copyRemedy(error, targetPlan),
    );
  }
}

/** Takes over the image that an earlier run began. */
async function adopt(run: Run, { target, adopt }: TargetPlan): Promise<string | undefined> {
  if (adopt === undefined) return undefined;
  run.log.line(placeName(target.place), `taking over ${adopt}, which an earlier run began`);
  await target.place.ec2(
    new CreateTagsCommand({ Resources: [adopt], Tags: [{ Key: tagKeys.lease, Value: run.leaseId }] }),
  );
  return adopt;
}

async function startCopy(
  run: Run,
  plan: Plan,
  { target, tags, crossAccount }: TargetPlan,
  shareable: Shareable,
  tries: number,
): Promise<string> {
  const { place, name, kmsKeyArn, description } = target;
  const { source } = plan;
  const ids = source.snapshots.map(({ id }) => id);
  const temporary = { [tagKeys.kmsKey]: kmsKeyArn, [tagKeys.lease]: run.leaseId };
  const snapshotTags = mergeTags([], target.tags, {
    ...provenance(run.request, source),
    ...temporary,
    // CopyImage gives all its snapshots the same tags; which is whose is told when they are there.
    [tagKeys.sourceSnapshot]: joinIds(ids),
  }).tags;
  // Left out, AWS would write a text of its own, which names the encrypted copy.
  const text =
    description ?? (source.image.Description || `Copied from ${source.image.ImageId} (${placeName(source.place)})`);
  const command = new CopyImageCommand({
    Name: name,
    Description: text,
    SourceImageId: crossAccount ? shareable.imageId : source.image.ImageId,
    SourceRegion: source.place.region,
    Encrypted: true,
    KmsKeyId: kmsKeyArn,
    ClientToken: clientToken(run.leaseId, 'copy', placeName(place), String(tries)),
    TagSpecifications: [
      { ResourceType: 'image', Tags: [...tags, { Key: tagKeys.lease, Value: run.leaseId }] },
      { ResourceType: 'snapshot', Tags: snapshotTags },
    ],
  });
  for (let wait = 5000; ; ) {
    try {
      const { ImageId } = await place.ec2(command);
      if (ImageId === undefined) throw new Error('AWS named no image');
      run.log.line(placeName(place), `copying ${command.input.SourceImageId} as ${ImageId} (${name})`);
      return ImageId;
    } catch (error) {
      if (hasCode(error, 'InvalidAMIName.Duplicate')) {
        const own = (await ownImages(place, { Name: 'name', Values: [name] })).find(
          (image) => tagValue(image, tagKeys.lease) === run.leaseId,
        );
        if (own?.ImageId !== undefined) return own.ImageId;
      }
      if (!hasCode(error, 'ResourceLimitExceeded')) throw error;
      run.log.line(placeName(place), `waiting for room in the quota to copy ${source.image.ImageId}`);
      await sleep(wait * (0.75 + Math.random() / 2), run.signal);
      wait = Math.min(wait * 1.5, 60_000);
    }
  }
}

/** Gives each snapshot of the copy the tags of the source's that it is of, where there is something to tell. */
async function nameSnapshots(plan: Plan, { target }: TargetPlan, image: Image): Promise<void> {
  const { snapshots } = plan.source;
  if (snapshots.length < 2) return;
  const matched = matchSnapshots(plan.source.image, image);
  for (const { id } of snapshots) {
    const copy = matched.get(id);
    if (copy === undefined) continue;
    await target.place.ec2(
      new CreateTagsCommand({ Resources: [copy], Tags: [{ Key: tagKeys.sourceSnapshot, Value: id }] }),
    );
  }
}

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html
const refusals: readonly { words: RegExp; remedy: string }[] = [
  {
    words: /BillingProduct codes cannot be copied/i,
    remedy:
      'AWS copies no image with this billing to another account. Its documented way: share the image, launch an instance of it in the target account, and make the AMI of that instance (instance-id)',
  },
  {
    words: /Marketplace cannot be copied/i,
    remedy:
      'AWS copies no Marketplace image to another account. Subscribe there, launch an instance, and make the AMI of that instance (instance-id)',
  },
  {
    words: /permission to access the storage/i,
    remedy: 'check that nothing else takes away the shares of the source snapshots while this runs',
  },
];

function refusalRemedy(error: unknown): string | undefined {
  if (!(error instanceof AwsCallError)) return undefined;
  return refusals.find(({ words }) => words.test(error.awsMessage))?.remedy;
}
