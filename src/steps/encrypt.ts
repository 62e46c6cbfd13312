import { CopyImageCommand, DeregisterImageCommand, type Image } from '@aws-sdk/client-ec2';
import { ownImages } from '../aws/describe.ts';
import { errorMessage, hasCode, placeName, StepError } from '../aws/errors.ts';
import { CopyFailedError, type Watcher } from '../aws/wait.ts';
import { type ImageExtras, matchSnapshots, snapshotIdsOf } from '../image.ts';
import { type EncryptedCopy, type Plan, provenance } from '../plan/plan.ts';
import { readExtras } from '../plan/source.ts';
import { milestones } from '../report/progress.ts';
import type { Run } from '../run.ts';
import { joinIds, tagKeys, toTags } from '../tags.ts';
import { sleep, spokenSeconds } from '../time.ts';
import { clientToken } from './client-token.ts';

/** What can be shared and copied: the source AMI itself, or its encrypted copy. */
export type Shareable = Readonly<{
  imageId: string;
  extras: ImageExtras;
  /** The snapshot that stands for each of the source AMI's. */
  snapshots: ReadonlyMap<string, string>;
}>;

/** The source AMI as it is. */
export function sourceItself({ source }: Plan): Shareable {
  const snapshots = new Map(source.snapshots.map(({ id }) => [id, id]));
  return { imageId: source.image.ImageId ?? '', extras: source.extras, snapshots };
}

/**
 * Copies the source AMI in its own account and region under the source key, if the plan says so, and gives what can be
 * shared. A copy that another run made, or is making, is taken for this one's.
 * @throws StepError
 */
export async function encrypt(run: Run, plan: Plan, watcher: Watcher): Promise<Shareable> {
  const { source, encryptedCopy } = plan;
  if (encryptedCopy === undefined) return sourceItself(plan);
  const where = placeName(source.place);
  try {
    run.ledger.write({ encryptedCopy: encryptedCopy.name });
    const started = Date.now();
    const id = await findOrMake(run, plan, encryptedCopy);
    run.log.line(where, `encrypting ${source.image.ImageId} under ${encryptedCopy.kmsKeyArn}: ${id}`);
    const tell = milestones(10, (percent) => run.log.line(where, `encrypting: ${percent} %`));
    const image = await watcher.image(id, ({ percent }) => tell(percent));
    run.log.line(where, `encrypted copy ${id} is available after ${spokenSeconds((Date.now() - started) / 1000)}`);
    // What its owner alone may read of an AMI that is only shared, the copy tells.
    const extras = source.image.OwnerId === source.account ? source.extras : await readExtras(source.place, image);
    return { imageId: id, extras, snapshots: matchSnapshots(source.image, image) };
  } catch (error) {
    throw new StepError(`Making the encrypted copy of ${source.image.ImageId} in ${where}`, error, remedyFor(error));
  }
}

async function findOrMake(
  run: Run,
  { source, encryptedCopy: _ }: Plan,
  { name, kmsKeyArn }: EncryptedCopy,
): Promise<string> {
  const { place, image } = source;
  const [there] = await findEncryptedCopy(place, name);
  if (there?.ImageId !== undefined && isUsable(there)) return there.ImageId;
  if (there?.ImageId !== undefined)
    await place.ec2(new DeregisterImageCommand({ ImageId: there.ImageId, DeleteAssociatedSnapshots: true }));

  const ours = provenance(run.request, source);
  for (let tries = 0; ; tries += 1) {
    try {
      const { ImageId } = await place.ec2(
        new CopyImageCommand({
          Name: name,
          Description: `Temporary encrypted copy of ${image.ImageId}`,
          SourceImageId: image.ImageId,
          SourceRegion: place.region,
          Encrypted: true,
          KmsKeyId: kmsKeyArn,
          ClientToken: clientToken(run.leaseId, 'encrypt', String(tries)),
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
      if (!hasCode(error, 'InvalidAMIName.Duplicate', 'IdempotentParameterMismatch') || tries >= 5) throw error;
      await sleep(1000, place.signal);
    }
  }
}

/** The image in the source account that has the name of an encrypted copy. */
export async function findEncryptedCopy(place: Parameters<typeof ownImages>[0], name: string): Promise<Image[]> {
  return ownImages(place, { Name: 'name', Values: [name] });
}

function isUsable({ State }: Image): boolean {
  return State === 'available' || State === 'pending' || State === 'transient';
}

function remedyFor(error: unknown): string | undefined {
  if (!(error instanceof CopyFailedError) || !/key/i.test(error.reason)) return undefined;
  return 'the source role needs kms:DescribeKey, kms:CreateGrant, kms:GenerateDataKeyWithoutPlaintext, kms:ReEncrypt* and kms:Decrypt on source-kms-key (and on the key that the AMI is under now)';
}
