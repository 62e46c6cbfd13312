import type {
  DeleteSnapshotReturnCode,
  DeregisterImageRequest,
  ImageRecycleBinInfo,
  ListImagesInRecycleBinRequest,
  RestoreImageFromRecycleBinRequest,
  Tag,
} from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import type { Settings, SimImage } from '../world.ts';
import { arnOf, authorize, authorizeOn, type Ec2Call, type Handler } from './call.ts';
import { pageOf } from './filters.ts';
import { endCooldown, imageNotFound, ownImage, requireImageId } from './image.ts';
import { isLocked, removeSnapshot, usersOf } from './snapshot.ts';

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/deregister-ami.html */
export const deregisterImage: Handler<DeregisterImageRequest> = async (call, input) => {
  const { ImageId = '' } = input;
  requireImageId(call, ImageId);
  const image = await authorizeOn(call, 'DeregisterImage', {
    resources: [arnOf(call, ImageId)],
    dryRun: input.DryRun,
    find: () => ownImage(call, ImageId),
  });
  refuseRemoval(image, call.world.clock.now());
  const now = call.world.clock.now();
  image.deregisteredAt = now;
  const days = daysInBin(call.here.settings, image.data.Tags);
  if (days > 0) image.binnedUntil = now + days * 86_400_000;
  const ids = image.data.BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);
  const deletes = input.DeleteAssociatedSnapshots === true ? ids : [];
  return { Return: true, DeleteSnapshotResults: await Promise.all(deletes.map((id) => deleteAssociated(call, id))) };
};

function refuseRemoval(image: SimImage, now: number): void {
  endCooldown(image, now);
  const { data } = image;
  if ((data.DeregistrationProtection ?? 'disabled') !== 'disabled')
    throw new Refusal('OperationNotPermitted', `The image ${data.ImageId} is protected from deregistration.`);
  if (data.Tags.some(({ Key }) => Key === 'aws:backup:source-resource'))
    throw new Refusal(
      'AuthFailure',
      'This image is managed by AWS Backup and cannot be deleted via EC2 APIs. To delete this image, please use the AWS Backup APIs, CLI, or console.',
    );
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSnapshotReturnCode.html */
async function deleteAssociated(call: Ec2Call, id: string): Promise<DeleteSnapshotReturnCode> {
  const snapshot = call.here.snapshots.get(id);
  // The image that goes is no longer one of them.
  const others = usersOf(call, id).filter(({ deregisteredAt }) => deregisteredAt === undefined);
  if (others.length > 0 || snapshot === undefined) return { SnapshotId: id, ReturnCode: 'skipped' };
  try {
    await authorize(call, 'DeleteSnapshot', { resources: [arnOf(call, id)] });
  } catch {
    return { SnapshotId: id, ReturnCode: 'missing-permissions' };
  }
  if (isLocked(snapshot)) return { SnapshotId: id, ReturnCode: 'client-error' };
  removeSnapshot(call, snapshot);
  return { SnapshotId: id, ReturnCode: 'success' };
}

/** https://docs.aws.amazon.com/ebs/latest/userguide/recycle-bin-concepts.html: rules by tags, or of a region but for tags */
function daysInBin({ recycleBin: rule }: Settings, tags: readonly Tag[]): number {
  if (rule === undefined) return 0;
  const hasOne = (wanted: Readonly<Record<string, string>>) =>
    tags.some(({ Key = '', Value }) => wanted[Key] !== undefined && wanted[Key] === Value);
  const covered = (rule.tags === undefined || hasOne(rule.tags)) && !hasOne(rule.excludedTags ?? {});
  return covered ? rule.days : 0;
}

function inBin(call: Ec2Call, { binnedUntil = 0 }: SimImage): boolean {
  return call.world.clock.now() < binnedUntil;
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ListImagesInRecycleBin.html */
export const listImagesInRecycleBin: Handler<ListImagesInRecycleBinRequest> = async (call, input) => {
  const { ImageIds } = input;
  await authorize(call, 'ListImagesInRecycleBin', { dryRun: input.DryRun });
  const binned = [...call.here.images.values()].filter(
    (image) => inBin(call, image) && (ImageIds === undefined || ImageIds.includes(image.data.ImageId)),
  );
  const all = binned.map(
    ({ data: { ImageId, Name, Description }, deregisteredAt = 0, binnedUntil = 0 }): ImageRecycleBinInfo => ({
      ImageId,
      Name,
      ...(Description !== undefined && { Description }),
      RecycleBinEnterTime: new Date(deregisteredAt),
      RecycleBinExitTime: new Date(binnedUntil),
    }),
  );
  const { items, more } = pageOf(call, all, input);
  return { Images: items, ...more };
};

/**
 * The image is back under its ID, with all that it had; its snapshots must be there.
 * https://docs.aws.amazon.com/ebs/latest/userguide/recycle-bin-working-with-amis.html
 */
export const restoreImageFromRecycleBin: Handler<RestoreImageFromRecycleBinRequest> = async (call, input) => {
  const { ImageId = '' } = input;
  requireImageId(call, ImageId);
  const image = await authorizeOn(call, 'RestoreImageFromRecycleBin', {
    resources: [arnOf(call, ImageId)],
    dryRun: input.DryRun,
    find: () => binned(call, ImageId),
  });
  const { Name, BlockDeviceMappings } = image.data;
  const lost = BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []).find(
    (id) => !call.here.snapshots.has(id),
  );
  if (lost !== undefined) throw new Refusal('InvalidSnapshot.NotFound', `The snapshot '${lost}' does not exist.`);
  // AWS says nowhere what becomes of one whose name another has by now: a name is of one image at a time.
  const other = [...call.here.images.values()].find(
    ({ data, deregisteredAt }) => data.Name === Name && deregisteredAt === undefined,
  );
  if (other !== undefined)
    throw new Refusal('InvalidAMIName.Duplicate', `AMI name ${Name} is already in use by AMI ${other.data.ImageId}`);
  delete image.deregisteredAt;
  delete image.binnedUntil;
  return { Return: true };
};

function binned(call: Ec2Call, id: string): SimImage {
  const image = call.here.images.get(id);
  if (image === undefined || !inBin(call, image)) throw imageNotFound(id);
  return image;
}
