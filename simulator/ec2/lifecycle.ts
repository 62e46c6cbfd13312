import type {
  DescribeAvailabilityZonesRequest,
  DescribeFastSnapshotRestoresRequest,
  DescribeImageReferencesRequest,
  DescribeLaunchTemplateVersionsRequest,
  DisableFastSnapshotRestoresRequest,
  DisableImageDeprecationRequest,
  DisableImageDeregistrationProtectionRequest,
  EnableFastSnapshotRestoresRequest,
  EnableImageDeprecationRequest,
  EnableImageDeregistrationProtectionRequest,
  ReplaceImageInstanceTypeSpecificationRequest,
} from '@aws-sdk/client-ec2';
import { authorizeDependent } from '../iam.ts';
import { Refusal } from '../refusal.ts';
import { canUseSnapshot, findSnapshot } from '../world.ts';
import { answerDryRun, arnOf, authorize, type Handler } from './call.ts';
import { advance } from './copy.ts';
import { ownImage } from './images.ts';

/*
 * What becomes of an AMI after it is made: deprecation, protection, fast snapshot restore, and who uses it.
 */

const tenYears = 10 * 366 * 86_400_000;

export const enableImageDeprecation: Handler<EnableImageDeprecationRequest> = async (call, input) => {
  await authorize(call, 'EnableImageDeprecation', [arnOf(call, input.ImageId ?? '')], false);
  const image = ownImage(call, input.ImageId ?? '');
  // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableImageDeprecation.html
  const at = input.DeprecateAt?.getTime() ?? Number.NaN;
  if (Number.isNaN(at)) throw new Refusal('InvalidParameterValue', 'The deprecation time is invalid.');
  const now = call.world.clock.now();
  if (at < now || at > now + tenYears)
    throw new Refusal('InvalidParameterValue', 'The deprecation time must be in the future, ten years ahead at most.');
  answerDryRun(input.DryRun);
  // Seconds are rounded to the nearest minute.
  image.data.DeprecationTime = new Date(Math.round(at / 60_000) * 60_000).toISOString();
  return { Return: true };
};

export const disableImageDeprecation: Handler<DisableImageDeprecationRequest> = async (call, input) => {
  await authorize(call, 'DisableImageDeprecation', [arnOf(call, input.ImageId ?? '')], false);
  const image = ownImage(call, input.ImageId ?? '');
  answerDryRun(input.DryRun);
  delete image.data.DeprecationTime;
  return { Return: true };
};

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deregistration-protection.html
export const enableImageDeregistrationProtection: Handler<EnableImageDeregistrationProtectionRequest> = async (
  call,
  input,
) => {
  await authorize(call, 'EnableImageDeregistrationProtection', [arnOf(call, input.ImageId ?? '')], false);
  const image = ownImage(call, input.ImageId ?? '');
  answerDryRun(input.DryRun);
  const cooldown = input.WithCooldown === true;
  image.data.DeregistrationProtection = cooldown ? 'enabled-with-cooldown' : 'enabled-without-cooldown';
  return { Return: image.data.DeregistrationProtection };
};

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceImageInstanceTypeSpecification.html
export const replaceImageInstanceTypeSpecification: Handler<ReplaceImageInstanceTypeSpecificationRequest> = async (
  call,
  input,
) => {
  await authorize(call, 'ReplaceImageInstanceTypeSpecification', [arnOf(call, input.ImageId ?? '')], false);
  const image = ownImage(call, input.ImageId ?? '');
  answerDryRun(input.DryRun);
  const { SupportedInstanceTypes = [], UnsupportedInstanceTypes = [] } = input.InstanceTypeSpecification ?? {};
  const all = [...SupportedInstanceTypes, ...UnsupportedInstanceTypes];
  const fine = all.every((type) => /^[A-Za-z0-9_.*-]{1,24}$/.test(type) && !type.includes('**'));
  if (!fine || new Set(all).size < all.length)
    throw new Refusal('InvalidParameterValue', 'The instance type specification is invalid.');
  const items = (types: readonly string[]) => types.map((InstanceType) => ({ InstanceType }));
  if (all.length === 0) delete image.data.InstanceTypeSpecification;
  else
    image.data.InstanceTypeSpecification = {
      ...(SupportedInstanceTypes.length > 0 && { SupportedInstanceTypes: items(SupportedInstanceTypes) }),
      ...(UnsupportedInstanceTypes.length > 0 && { UnsupportedInstanceTypes: items(UnsupportedInstanceTypes) }),
    };
  return { ReturnValue: true };
};

export const disableImageDeregistrationProtection: Handler<DisableImageDeregistrationProtectionRequest> = async (
  call,
  input,
) => {
  await authorize(call, 'DisableImageDeregistrationProtection', [arnOf(call, input.ImageId ?? '')], false);
  const image = ownImage(call, input.ImageId ?? '');
  answerDryRun(input.DryRun);
  // With a cooldown, it stays protected for 24 hours more.
  image.data.DeregistrationProtection =
    image.data.DeregistrationProtection === 'enabled-with-cooldown' ? 'disabled-with-cooldown' : 'disabled';
  return { Return: image.data.DeregistrationProtection };
};

const zoneLetters = ['a', 'b', 'c'];

export const describeAvailabilityZones: Handler<DescribeAvailabilityZonesRequest> = async (call, input) => {
  await authorize(call, 'DescribeAvailabilityZones', ['*'], input.DryRun);
  for (const { Name = '' } of input.Filters ?? [])
    if (!['state', 'zone-type', 'zone-name', 'region-name'].includes(Name))
      throw new Refusal('InvalidParameterValue', `The filter '${Name}' is invalid`);
  return {
    AvailabilityZones: zoneLetters.map((letter, index) => ({
      ZoneName: `${call.region}${letter}`,
      ZoneId: `${call.region}-az${index + 1}`,
      RegionName: call.region,
      State: 'available' as const,
      ZoneType: 'availability-zone',
      OptInStatus: 'opt-in-not-required' as const,
    })),
  };
};

/** Enabled snapshots of an account in a region: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-fast-snapshot-restore.html */
const fastRestoreQuota = 5;

export const enableFastSnapshotRestores: Handler<EnableFastSnapshotRestoresRequest> = async (call, input) => {
  const { AvailabilityZones = [], SourceSnapshotIds = [] } = input;
  await authorize(
    call,
    'EnableFastSnapshotRestores',
    SourceSnapshotIds.map((id) => arnOf(call, id)),
    input.DryRun,
  );
  for (const zone of AvailabilityZones)
    if (!zoneLetters.some((letter) => zone === call.region + letter))
      throw new Refusal('InvalidParameterValue', `Invalid availability zone: [${zone}]`);
  const Successful: Record<string, unknown>[] = [];
  const Unsuccessful: Record<string, unknown>[] = [];
  for (const id of SourceSnapshotIds) {
    const snapshot = findSnapshot(call.world, call.region, id);
    const failed = (Code: string, Message: string) =>
      Unsuccessful.push({
        SnapshotId: id,
        FastSnapshotRestoreStateErrors: AvailabilityZones.map((AvailabilityZone) => ({
          AvailabilityZone,
          Error: { Code, Message },
        })),
      });
    if (snapshot === undefined || !canUseSnapshot(snapshot, call.caller.account)) {
      failed('InvalidSnapshot.NotFound', `The snapshot '${id}' does not exist.`);
      continue;
    }
    if (advance(snapshot, call.world.clock.now()).data.State !== 'completed') {
      failed('IncorrectState', `The snapshot '${id}' is not completed.`);
      continue;
    }
    const fresh = !call.here.fastRestores.has(id);
    if (fresh && call.here.fastRestores.size >= fastRestoreQuota) {
      failed('FastSnapshotRestoreLimitExceeded', 'You have reached the limit of fast snapshot restores.');
      continue;
    }
    const zones = new Set([...(call.here.fastRestores.get(id) ?? []), ...AvailabilityZones]);
    call.here.fastRestores.set(id, zones);
    for (const AvailabilityZone of AvailabilityZones)
      Successful.push({
        SnapshotId: id,
        AvailabilityZone,
        State: 'enabling',
        StateTransitionReason: 'Client.UserInitiated',
        OwnerId: call.caller.account,
        EnablingTime: new Date(call.world.clock.now()),
      });
  }
  return { Successful, Unsuccessful };
};

export const disableFastSnapshotRestores: Handler<DisableFastSnapshotRestoresRequest> = async (call, input) => {
  const { AvailabilityZones = [], SourceSnapshotIds = [] } = input;
  await authorize(
    call,
    'DisableFastSnapshotRestores',
    SourceSnapshotIds.map((id) => arnOf(call, id)),
    input.DryRun,
  );
  for (const id of SourceSnapshotIds) {
    const zones = call.here.fastRestores.get(id);
    for (const zone of AvailabilityZones) zones?.delete(zone);
    if (zones?.size === 0) call.here.fastRestores.delete(id);
  }
  return { Successful: [], Unsuccessful: [] };
};

export const describeFastSnapshotRestores: Handler<DescribeFastSnapshotRestoresRequest> = async (call, input) => {
  await authorize(call, 'DescribeFastSnapshotRestores', ['*'], input.DryRun);
  return {
    FastSnapshotRestores: [...call.here.fastRestores].flatMap(([SnapshotId, zones]) =>
      [...zones].map((AvailabilityZone) => ({
        SnapshotId,
        AvailabilityZone,
        State: 'enabled' as const,
        OwnerId: call.caller.account,
      })),
    ),
  };
};

export const describeLaunchTemplateVersions: Handler<DescribeLaunchTemplateVersionsRequest> = async (call, input) => {
  await authorize(call, 'DescribeLaunchTemplateVersions', ['*'], input.DryRun);
  const { Versions = [], LaunchTemplateId, LaunchTemplateName, Filters = [] } = input;
  // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLaunchTemplateVersions.html
  const latestOnly =
    Versions.length > 0 && Versions.every((version) => version === '$Latest' || version === '$Default');
  if (LaunchTemplateId === undefined && LaunchTemplateName === undefined && !latestOnly)
    throw new Refusal('MissingParameter', 'Either a launch template ID or a launch template name must be specified.');
  const templates = [...call.here.launchTemplates.values()].filter(
    ({ id, name }) => (LaunchTemplateId ?? id) === id && (LaunchTemplateName ?? name) === name,
  );
  const found = templates.flatMap(({ id, name, images }) =>
    images
      .map((ImageId, index) => ({
        LaunchTemplateId: id,
        LaunchTemplateName: name,
        VersionNumber: index + 1,
        DefaultVersion: index === 0,
        LaunchTemplateData: { ImageId },
      }))
      .filter(
        ({ VersionNumber, DefaultVersion }) =>
          Versions.length === 0 ||
          Versions.some((version) =>
            version === '$Latest'
              ? VersionNumber === images.length
              : version === '$Default'
                ? DefaultVersion
                : Number(version) === VersionNumber,
          ),
      ),
  );
  const wanted = Filters.find(({ Name }) => Name === 'image-id')?.Values;
  for (const { Name } of Filters)
    if (Name !== 'image-id') throw new Refusal('InvalidParameterValue', `The filter '${Name}' is invalid`);
  return {
    LaunchTemplateVersions: found.filter(
      ({ LaunchTemplateData }) => wanted === undefined || wanted.includes(LaunchTemplateData.ImageId),
    ),
  };
};

/** What reading each type of reference takes besides, and on what; `here` is the partition, region and account of an ARN. */
const readBy: Readonly<Record<string, (here: (service: string) => string) => Record<string, string>>> = {
  'ec2:Instance': () => ({ 'ec2:DescribeInstances': '*' }),
  'ec2:LaunchTemplate': () => ({ 'ec2:DescribeLaunchTemplates': '*', 'ec2:DescribeLaunchTemplateVersions': '*' }),
  'ssm:Parameter': (here) => ({ 'ssm:DescribeParameters': '*', 'ssm:GetParameters': `${here('ssm')}:parameter/*` }),
  'imagebuilder:ImageRecipe': (here) => ({
    'imagebuilder:ListImageRecipes': '*',
    'imagebuilder:GetImageRecipe': `${here('imagebuilder')}:image-recipe/*/*`,
  }),
  'imagebuilder:ContainerRecipe': (here) => ({
    'imagebuilder:ListContainerRecipes': '*',
    'imagebuilder:GetContainerRecipe': `${here('imagebuilder')}:container-recipe/*/*`,
  }),
};

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-ami-references.html */
export const describeImageReferences: Handler<DescribeImageReferencesRequest> = async (call, input) => {
  await authorize(call, 'DescribeImageReferences', ['*'], false);
  const { ImageIds = [], ResourceTypes, IncludeAllResourceTypes } = input;
  if (ImageIds.length > 10) throw new Refusal('InvalidParameterValue', 'At most 10 image IDs can be given.');
  if (ResourceTypes === undefined && IncludeAllResourceTypes !== true)
    throw new Refusal('MissingParameter', 'Either IncludeAllResourceTypes or ResourceTypes must be specified.');
  const asks = (type: string) =>
    IncludeAllResourceTypes === true || ResourceTypes?.some(({ ResourceType }) => ResourceType === type);
  const { partition } = call.world.accounts[call.caller.account] ?? { partition: 'aws' };
  const here = `${call.region}:${call.caller.account}`;
  // What AWS's managed policy for it has: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEC2ImageReferencesAccessPolicy.html
  for (const [type, actions] of Object.entries(readBy))
    if (asks(type))
      await authorizeDependent(
        call.caller,
        actions((service) => `arn:${partition}:${service}:${here}`),
      );
  answerDryRun(input.DryRun);
  const depth = Number(
    ResourceTypes?.find(({ ResourceType }) => ResourceType === 'ec2:LaunchTemplate')?.ResourceTypeOptions?.find(
      ({ OptionName }) => OptionName === 'version-depth',
    )?.OptionValues?.[0] ?? 10,
  );
  const references = ImageIds.flatMap((ImageId) => [
    ...(asks('ec2:Instance')
      ? [...call.here.instances.values()]
          .filter(({ imageId }) => imageId === ImageId)
          .map(({ id }) => ({
            ImageId,
            ResourceType: 'ec2:Instance' as const,
            Arn: `arn:${partition}:ec2:${here}:instance/${id}`,
          }))
      : []),
    ...(asks('ec2:LaunchTemplate')
      ? [...call.here.launchTemplates.values()]
          .filter(({ images }) => images.slice(-depth).includes(ImageId))
          .map(({ id }) => ({
            ImageId,
            ResourceType: 'ec2:LaunchTemplate' as const,
            Arn: `arn:${partition}:ec2:${here}:launch-template/${id}`,
          }))
      : []),
    ...(asks('ssm:Parameter')
      ? [...call.here.parameters.values()]
          .filter(({ value }) => value === ImageId)
          .map(({ name }) => ({
            ImageId,
            ResourceType: 'ssm:Parameter' as const,
            Arn: `arn:${partition}:ssm:${here}:parameter/${name.replace(/^\//, '')}`,
          }))
      : []),
  ]);
  return { ImageReferences: references };
};
