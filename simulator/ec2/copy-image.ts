import type { BlockDeviceMapping, CopyImageRequest, Image, Tag } from '@aws-sdk/client-ec2';
import { newId } from '../ids.ts';
import { Refusal } from '../refusal.ts';
import {
  canSeeImage,
  canUseSnapshot,
  findImage,
  findKeyByArn,
  findSnapshot,
  type Key,
  type SimImage,
  type SimSnapshot,
} from '../world.ts';
import { arnOf, type Ec2Call, type Handler } from './call.ts';
import { beginSnapshot, destinationKey, keyFailure } from './copy.ts';
import { advanceImage, checkDescription, checkName, imageNotFound, newImage, requireImageId } from './image.ts';
import { isHidden } from './settings.ts';
import { authorizeCreation } from './tags.ts';

/** What a copy is made of: each snapshot of the source with the words in which its copy will fail, if it will. */
type Source = Readonly<{
  image: SimImage;
  failures: ReadonlyMap<SimSnapshot, string | undefined>;
  key: Key | undefined;
}>;

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html */
export const copyImage: Handler<CopyImageRequest> = async (call, input) => {
  const { Name = '', SourceImageId = '', SourceRegion = '', ClientToken = '' } = input;
  requireImageId({ ...call, region: SourceRegion }, SourceImageId);
  checkDescription(input.Description);
  if (ClientToken.length > 64) throw new Refusal('InvalidParameterValue', 'Invalid client token');
  const earlier = madeBefore(call, input);
  if (earlier !== undefined) return { ImageId: earlier.data.ImageId };
  const key = await destinationKey(call, input.Encrypted, input.KmsKeyId);
  const used = snapshotsOf(findImage(call.world, SourceRegion, SourceImageId));
  const tagsOf = await authorizeCreation(call, 'CopyImage', {
    // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/copy-ami-permissions.html
    resources: [arnOf(call, SourceImageId, SourceRegion), 'ami-*', ...used.map((id) => arnOf(call, id, SourceRegion))],
    besides: ['snapshot'],
    specifications: input.TagSpecifications,
    dryRun: input.DryRun,
    find: () => visibleSource(call, input),
  });
  const image = visibleSource(call, input);
  if (input.CopyImageTags === true) await authorizeCopiedTags(call, image);
  const backing = used.map((id) => findSnapshot(call.world, SourceRegion, id));
  refuseCopy(call, image, backing);
  const failures = new Map<SimSnapshot, string | undefined>();
  for (const snapshot of backing)
    if (snapshot !== undefined) failures.set(snapshot, await keyFailure(call, snapshot, key));
  // From here on nothing is waited for: of several that ask for a name at once, one gets it.
  checkName(call, Name);
  const made = beginCopy(call, input, { source: { image, failures, key }, tagsOf });
  if (ClientToken !== '') made.clientToken = { token: ClientToken, request: requestOf(input) };
  return { ImageId: made.data.ImageId };
};

/** What is copied takes ec2:CreateTags as what is given does. */
async function authorizeCopiedTags(call: Ec2Call, { data }: SimImage): Promise<void> {
  const specifications = [{ ResourceType: 'image' as const, Tags: data.Tags }];
  await authorizeCreation(call, 'CopyImage', { resources: ['ami-*'], specifications, dryRun: false });
}

function snapshotsOf(image: SimImage | undefined): string[] {
  return image?.data.BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []) ?? [];
}

function requestOf(input: CopyImageRequest): string {
  return JSON.stringify({ ...input, ClientToken: undefined });
}

/** Without a token of the caller's, the SDK makes one up; either way the same token gives the same image. */
function madeBefore(call: Ec2Call, input: CopyImageRequest): SimImage | undefined {
  const { ClientToken, DryRun } = input;
  if (ClientToken === undefined || DryRun === true) return undefined;
  const earlier = [...call.here.images.values()].find(({ clientToken }) => clientToken?.token === ClientToken);
  if (earlier !== undefined && earlier.clientToken?.request !== requestOf(input))
    throw new Refusal('IdempotentParameterMismatch', 'The client token has already been used with other parameters.');
  return earlier;
}

function visibleSource(call: Ec2Call, { SourceImageId = '', SourceRegion = '' }: CopyImageRequest): SimImage {
  const source = findImage(call.world, SourceRegion, SourceImageId);
  const now = call.world.clock.now();
  const isThere = source !== undefined && source.visibleAt <= now && source.deregisteredAt === undefined;
  if (!isThere || !canSeeImage(source, call.caller.account, now) || isHidden(call, source.data))
    throw imageNotFound(SourceImageId);
  return source;
}

type Copying = Readonly<{ source: Source; tagsOf: (type: 'image' | 'snapshot') => Tag[] }>;

function beginCopy(call: Ec2Call, input: CopyImageRequest, { source, tagsOf }: Copying): SimImage {
  const { SourceImageId = '', SourceRegion = '', Name = '' } = input;
  const { image, failures, key } = source;
  const ImageId = newId('ami');
  const snapshots: SimSnapshot[] = [];
  const copyOf = (snapshot: SimSnapshot): SimSnapshot =>
    beginSnapshot(call, {
      source: snapshot,
      sizeGiB: snapshot.data.VolumeSize ?? 1,
      key: key ?? sameKey(call, snapshot),
      failure: failures.get(snapshot),
      tags: tagsOf('snapshot'),
      description: copyDescription(call, { ImageId, SourceImageId, snapshot }),
      timeBased: input.SnapshotCopyCompletionDurationMinutes !== undefined,
      counts: false,
    });
  const mappings = image.data.BlockDeviceMappings.map((mapping): BlockDeviceMapping => {
    const snapshot = [...failures.keys()].find(({ data }) => data.SnapshotId === mapping.Ebs?.SnapshotId);
    if (snapshot === undefined) return structuredClone(mapping);
    const copy = copyOf(snapshot);
    snapshots.push(copy);
    const Encrypted = key !== undefined || snapshot.data.Encrypted === true;
    return { ...mapping, Ebs: { ...mapping.Ebs, SnapshotId: copy.data.SnapshotId, Encrypted } };
  });
  const kept: Partial<Image> = structuredClone(image.data);
  for (const field of notCopied) delete kept[field];
  if (!call.rules.copyKeepsImds) delete kept.ImdsSupport;
  const own = tagsOf('image');
  const others = image.data.Tags.filter(({ Key }) => !own.some((tag) => tag.Key === Key));
  const made = newImage(
    call,
    {
      ...kept,
      ImageId,
      Name,
      Description: input.Description ?? `[Copied ${SourceImageId} from ${SourceRegion}] ${image.data.Name}`,
      State: 'pending',
      BlockDeviceMappings: mappings,
      SourceImageId,
      SourceImageRegion: SourceRegion,
    },
    input.CopyImageTags === true ? [...own, ...others] : own,
  );
  made.uefiData = image.uefiData;
  made.billing = image.billing;
  const now = call.world.clock.now();
  const { baseSeconds, namesSnapshotsAfterSeconds } = call.timings;
  made.making = { snapshots, endsAt: now + baseSeconds * 1000, namesAt: now + namesSnapshotsAfterSeconds * 1000 };
  return made;
}

/**
 * What is the source's alone. `SourceInstanceId` "only appears if the AMI was created using CreateImage"; of the others
 * AWS doesn't say that a copy keeps them: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html
 */
const notCopied = [
  'OwnerId',
  'ImageOwnerAlias',
  'Tags',
  'State',
  'SourceInstanceId',
  'InstanceTypeSpecification',
  'DeprecationTime',
  'DeregistrationProtection',
  'LastLaunchedTime',
] as const;

/** In the words that were recorded; the task is told by its time. */
function copyDescription(
  call: Ec2Call,
  { ImageId, SourceImageId, snapshot }: Readonly<{ ImageId: string; SourceImageId: string; snapshot: SimSnapshot }>,
): string {
  const created = call.world.clock.now().toLocaleString('en-US');
  return `Copied for DestinationAmi ${ImageId} from SourceAmi ${SourceImageId} for SourceSnapshot ${snapshot.data.SnapshotId}. Task created on ${created}.`;
}

function sameKey(call: Ec2Call, { data }: SimSnapshot): Key | undefined {
  return data.KmsKeyId === undefined ? undefined : findKeyByArn(call.world, data.KmsKeyId);
}

/** What AWS refuses at the call: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html */
function refuseCopy(call: Ec2Call, source: SimImage, snapshots: readonly (SimSnapshot | undefined)[]): void {
  const { account } = call.caller;
  const now = call.world.clock.now();
  if (advanceImage(source, now).data.State !== 'available')
    throw new Refusal('InvalidAMIID.Unavailable', `The image ID '${source.data.ImageId}' is not available`);
  if (source.data.OwnerId !== account) {
    if (source.billing.length > 0) {
      throw new Refusal(
        'InvalidRequest',
        'Images with EC2 BillingProduct codes cannot be copied to another AWS account',
      );
    }
    if (source.data.ProductCodes?.some(({ ProductCodeType }) => ProductCodeType === 'marketplace')) {
      throw new Refusal('InvalidRequest', 'Images from AWS Marketplace cannot be copied to another AWS account.');
    }
  }
  if (snapshots.some((snapshot) => snapshot === undefined || !canUseSnapshot(snapshot, account, now))) {
    throw new Refusal('InvalidRequest', 'You do not have permission to access the storage of this ami');
  }
}
