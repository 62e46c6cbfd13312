import type {
  DescribeAvailabilityZonesRequest,
  DescribeFastSnapshotRestoresRequest,
  DescribeImageReferencesRequest,
  DisableFastSnapshotRestoresRequest,
  DisableImageDeprecationRequest,
  DisableImageDeregistrationProtectionRequest,
  DisableImageRequest,
  EnableFastSnapshotRestoresRequest,
  EnableImageDeprecationRequest,
  EnableImageDeregistrationProtectionRequest,
  EnableImageRequest,
  ImageReferenceResourceType,
  ReplaceImageInstanceTypeSpecificationRequest,
} from '@aws-sdk/client-ec2';
import { authorizeDependent } from '../iam.ts';
import { Refusal } from '../refusal.ts';
import { canUseSnapshot, findSnapshot, type SimImage } from '../world.ts';
import { answerDryRun, arnOf, authorize, authorizeOn, type Ec2Call, type Handler } from './call.ts';
import { advance } from './copy.ts';
import { checkFilters, type Filterable, matches, pageOf } from './filters.ts';
import { changeAttributes, ownImage, requireImageId } from './image.ts';
import { keepFormerLaunch } from './image-attribute.ts';
import { snapshotNotFound } from './snapshot.ts';

/*
 * What becomes of an AMI after it is made: deprecation, protection, fast snapshot restore, and who uses it.
 */

const tenYears = 10 * 366 * 86_400_000;

type OnImage = Readonly<{ ImageId?: string | undefined; DryRun?: boolean | undefined }>;

/** Lets a call pass that is about an image of the caller's own, and gives that. */
async function authorizedImage(call: Ec2Call, action: string, input: OnImage): Promise<SimImage> {
  const { ImageId = '', DryRun } = input;
  requireImageId(call, ImageId);
  return authorizeOn(call, action, {
    resources: [arnOf(call, ImageId)],
    dryRun: DryRun,
    find: () => ownImage(call, ImageId),
  });
}

export const enableImageDeprecation: Handler<EnableImageDeprecationRequest> = async (call, input) => {
  // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableImageDeprecation.html
  const at = input.DeprecateAt?.getTime() ?? Number.NaN;
  if (Number.isNaN(at)) throw new Refusal('InvalidParameterValue', 'The deprecation time is invalid.');
  const now = call.world.clock.now();
  if (at < now || at > now + tenYears)
    throw new Refusal('InvalidParameterValue', 'The deprecation time must be in the future, ten years ahead at most.');
  const image = await authorizedImage(call, 'EnableImageDeprecation', input);
  changeAttributes(call, image, (data) => {
    // Seconds are rounded to the nearest minute.
    data.DeprecationTime = new Date(Math.round(at / 60_000) * 60_000).toISOString();
  });
  return { Return: true };
};

export const disableImageDeprecation: Handler<DisableImageDeprecationRequest> = async (call, input) => {
  const image = await authorizedImage(call, 'DisableImageDeprecation', input);
  changeAttributes(call, image, (data) => {
    delete data.DeprecationTime;
  });
  return { Return: true };
};

function requireState({ data }: SimImage, state: string, doing: string): void {
  if (data.State !== state)
    throw new Refusal(
      'IncorrectState',
      `The image ${data.ImageId} can't be ${doing} because it is in the ${data.State} state.`,
    );
}

/**
 * What it was shared with is lost, and who launches it meets that it is not there.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/disable-an-ami.html
 */
export const disableImage: Handler<DisableImageRequest> = async (call, input) => {
  const image = await authorizedImage(call, 'DisableImage', input);
  requireState(image, 'available', 'disabled');
  keepFormerLaunch(call, image);
  image.launch.clear();
  changeAttributes(call, image, (data) => {
    data.State = 'disabled';
    data.Public = false;
  });
  return { Return: true };
};

export const enableImage: Handler<EnableImageRequest> = async (call, input) => {
  const image = await authorizedImage(call, 'EnableImage', input);
  requireState(image, 'disabled', 'enabled');
  changeAttributes(call, image, (data) => {
    data.State = 'available';
  });
  return { Return: true };
};

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deregistration-protection.html
export const enableImageDeregistrationProtection: Handler<EnableImageDeregistrationProtectionRequest> = async (
  call,
  input,
) => {
  const image = await authorizedImage(call, 'EnableImageDeregistrationProtection', input);
  changeAttributes(call, image, (data) => {
    const cooldown = input.WithCooldown === true;
    data.DeregistrationProtection = cooldown ? 'enabled-with-cooldown' : 'enabled-without-cooldown';
  });
  return { Return: image.data.DeregistrationProtection };
};

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceImageInstanceTypeSpecification.html
export const replaceImageInstanceTypeSpecification: Handler<ReplaceImageInstanceTypeSpecificationRequest> = async (
  call,
  input,
) => {
  const { SupportedInstanceTypes = [], UnsupportedInstanceTypes = [] } = input.InstanceTypeSpecification ?? {};
  const all = [...SupportedInstanceTypes, ...UnsupportedInstanceTypes];
  const image = await authorizedImage(call, 'ReplaceImageInstanceTypeSpecification', input);
  const fine = all.every((type) => /^[A-Za-z0-9_.*-]{1,24}$/.test(type) && !type.includes('**'));
  if (!fine || new Set(all).size < all.length)
    throw new Refusal('InvalidParameterValue', 'The instance type specification is invalid.');
  const items = (types: readonly string[]) => types.map((InstanceType) => ({ InstanceType }));
  changeAttributes(call, image, (data) => {
    if (all.length === 0) delete data.InstanceTypeSpecification;
    else
      data.InstanceTypeSpecification = {
        ...(SupportedInstanceTypes.length > 0 && { SupportedInstanceTypes: items(SupportedInstanceTypes) }),
        ...(UnsupportedInstanceTypes.length > 0 && { UnsupportedInstanceTypes: items(UnsupportedInstanceTypes) }),
      };
  });
  return { ReturnValue: true };
};

export const disableImageDeregistrationProtection: Handler<DisableImageDeregistrationProtectionRequest> = async (
  call,
  input,
) => {
  const image = await authorizedImage(call, 'DisableImageDeregistrationProtection', input);
  changeAttributes(call, image, (data) => {
    // With a cooldown, it stays protected for 24 hours more.
    const cooldown = data.DeregistrationProtection === 'enabled-with-cooldown';
    data.DeregistrationProtection = cooldown ? 'disabled-with-cooldown' : 'disabled';
    if (cooldown) image.protectedUntil = call.world.clock.now() + 24 * 3_600_000;
  });
  return { Return: image.data.DeregistrationProtection };
};

const zoneLetters = ['a', 'b', 'c'];

type Zone = Readonly<{ ZoneName: string; ZoneId: string; RegionName: string; State: string; ZoneType: string }>;

/** Some of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAvailabilityZones.html */
const zoneFilters: Filterable<Zone> = {
  complete: false,
  fields: {
    state: ({ State }) => [State],
    'zone-type': ({ ZoneType }) => [ZoneType],
    'zone-name': ({ ZoneName }) => [ZoneName],
    'zone-id': ({ ZoneId }) => [ZoneId],
    'region-name': ({ RegionName }) => [RegionName],
  },
};

export const describeAvailabilityZones: Handler<DescribeAvailabilityZonesRequest> = async (call, input) => {
  checkFilters(input.Filters, zoneFilters);
  await authorize(call, 'DescribeAvailabilityZones', { dryRun: input.DryRun });
  const zones = zoneLetters.map((letter, index) => ({
    ZoneName: `${call.region}${letter}`,
    ZoneId: `${call.region}-az${index + 1}`,
    RegionName: call.region,
    State: 'available' as const,
    ZoneType: 'availability-zone',
    OptInStatus: 'opt-in-not-required' as const,
  }));
  return { AvailabilityZones: zones.filter((zone) => matches(zone, input.Filters, zoneFilters)) };
};

/** Enabled snapshots of an account in a region: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-fast-snapshot-restore.html */
const fastRestoreQuota = 5;

export const enableFastSnapshotRestores: Handler<EnableFastSnapshotRestoresRequest> = async (call, input) => {
  const { AvailabilityZones = [], SourceSnapshotIds = [] } = input;
  await authorize(call, 'EnableFastSnapshotRestores', {
    resources: SourceSnapshotIds.map((id) => arnOf(call, id)),
    dryRun: input.DryRun,
  });
  for (const zone of AvailabilityZones)
    if (!zoneLetters.some((letter) => zone === call.region + letter))
      throw new Refusal('InvalidParameterValue', `Invalid availability zone: [${zone}]`);
  const Successful: Record<string, unknown>[] = [];
  const Unsuccessful: Record<string, unknown>[] = [];
  for (const id of SourceSnapshotIds) {
    const refusal = fastRestoreRefusal(call, id);
    if (refusal !== undefined) {
      const told = { Code: refusal.code, Message: refusal.message };
      const errors = AvailabilityZones.map((AvailabilityZone) => ({ AvailabilityZone, Error: told }));
      Unsuccessful.push({ SnapshotId: id, FastSnapshotRestoreStateErrors: errors });
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

function fastRestoreRefusal(call: Ec2Call, id: string): Refusal | undefined {
  const snapshot = findSnapshot(call.world, call.region, id);
  const now = call.world.clock.now();
  if (snapshot === undefined || snapshot.visibleAt > now || !canUseSnapshot(snapshot, call.caller.account, now))
    return snapshotNotFound(id);
  if (advance(snapshot, now).data.State !== 'completed')
    return new Refusal('IncorrectState', `The snapshot '${id}' is not completed.`);
  if (!call.here.fastRestores.has(id) && call.here.fastRestores.size >= fastRestoreQuota)
    return new Refusal('FastSnapshotRestoreLimitExceeded', 'You have reached the limit of fast snapshot restores.');
  return undefined;
}

export const disableFastSnapshotRestores: Handler<DisableFastSnapshotRestoresRequest> = async (call, input) => {
  const { AvailabilityZones = [], SourceSnapshotIds = [] } = input;
  await authorize(call, 'DisableFastSnapshotRestores', {
    resources: SourceSnapshotIds.map((id) => arnOf(call, id)),
    dryRun: input.DryRun,
  });
  for (const id of SourceSnapshotIds) {
    const zones = call.here.fastRestores.get(id);
    for (const zone of AvailabilityZones) zones?.delete(zone);
    if (zones?.size === 0) call.here.fastRestores.delete(id);
  }
  return { Successful: [], Unsuccessful: [] };
};

type FastRestore = Readonly<{ SnapshotId: string; AvailabilityZone: string; State: string; OwnerId: string }>;

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeFastSnapshotRestores.html */
const fastRestoreFilters: Filterable<FastRestore> = {
  complete: false,
  fields: {
    'availability-zone': ({ AvailabilityZone }) => [AvailabilityZone],
    'owner-id': ({ OwnerId }) => [OwnerId],
    'snapshot-id': ({ SnapshotId }) => [SnapshotId],
    state: ({ State }) => [State],
  },
};

export const describeFastSnapshotRestores: Handler<DescribeFastSnapshotRestoresRequest> = async (call, input) => {
  checkFilters(input.Filters, fastRestoreFilters);
  await authorize(call, 'DescribeFastSnapshotRestores', { dryRun: input.DryRun });
  const all = [...call.here.fastRestores].flatMap(([SnapshotId, zones]) =>
    [...zones].map((AvailabilityZone) => ({
      SnapshotId,
      AvailabilityZone,
      State: 'enabled' as const,
      OwnerId: call.caller.account,
    })),
  );
  const found = all.filter((one) => matches(one, input.Filters, fastRestoreFilters));
  const { items, more } = pageOf(call, found, input);
  return { FastSnapshotRestores: items, ...more };
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

type Reference = Readonly<{ ImageId: string; ResourceType: ImageReferenceResourceType; Arn: string }>;

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-ami-references.html */
export const describeImageReferences: Handler<DescribeImageReferencesRequest> = async (call, input) => {
  const { ImageIds = [], ResourceTypes, IncludeAllResourceTypes } = input;
  await authorize(call, 'DescribeImageReferences', {});
  if (ImageIds.length > 10) throw new Refusal('InvalidParameterValue', 'At most 10 image IDs can be given.');
  if (ResourceTypes === undefined && IncludeAllResourceTypes !== true)
    throw new Refusal('MissingParameter', 'Either IncludeAllResourceTypes or ResourceTypes must be specified.');
  const { partition } = call.world.accounts[call.caller.account] ?? { partition: 'aws' };
  const prefix = (service: string) => `arn:${partition}:${service}:${call.region}:${call.caller.account}`;
  const asked = Object.keys(readBy).filter(
    (type) => IncludeAllResourceTypes === true || ResourceTypes?.some(({ ResourceType }) => ResourceType === type),
  );
  // What AWS's managed policy for it has: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEC2ImageReferencesAccessPolicy.html
  for (const type of asked)
    await authorizeDependent(call.caller, { region: call.region }, readBy[type]?.(prefix) ?? {});
  answerDryRun(input.DryRun);
  const depth = Number(
    ResourceTypes?.find(({ ResourceType }) => ResourceType === 'ec2:LaunchTemplate')?.ResourceTypeOptions?.find(
      ({ OptionName }) => OptionName === 'version-depth',
    )?.OptionValues?.[0] ?? 10,
  );
  const all = ImageIds.flatMap((id) => referencesTo(call, id, { prefix, depth }));
  const { items, more } = pageOf(
    call,
    all.filter(({ ResourceType }) => asked.includes(ResourceType)),
    input,
  );
  return { ImageReferences: items, ...more };
};

/** What uses an image, in the account and region. */
function referencesTo(
  { here }: Ec2Call,
  ImageId: string,
  { prefix, depth }: Readonly<{ prefix: (service: string) => string; depth: number }>,
): Reference[] {
  const of = (ResourceType: Reference['ResourceType'], arns: readonly string[]): Reference[] =>
    arns.map((Arn) => ({ ImageId, ResourceType, Arn }));
  // AWS forgets what has ended after about an hour.
  const instances = [...here.instances.values()].filter(
    ({ imageId, state }) => imageId === ImageId && state !== 'terminated',
  );
  const templates = [...here.launchTemplates.values()].filter(({ versions }) =>
    versions.slice(-depth).some(({ data }) => data.ImageId === ImageId),
  );
  const parameters = [...here.parameters.values()].filter(({ value }) => value === ImageId);
  const recipes = [...here.recipes].filter(([, parent]) => parent === ImageId);
  return [
    ...of(
      'ec2:Instance',
      instances.map(({ id }) => `${prefix('ec2')}:instance/${id}`),
    ),
    ...of(
      'ec2:LaunchTemplate',
      templates.map(({ id }) => `${prefix('ec2')}:launch-template/${id}`),
    ),
    ...of(
      'ssm:Parameter',
      parameters.map(({ name }) => `${prefix('ssm')}:parameter/${name.replace(/^\//, '')}`),
    ),
    ...of(
      'imagebuilder:ImageRecipe',
      recipes.flatMap(([arn]) => (arn.includes(':image-recipe/') ? [arn] : [])),
    ),
    ...of(
      'imagebuilder:ContainerRecipe',
      recipes.flatMap(([arn]) => (arn.includes(':container-recipe/') ? [arn] : [])),
    ),
  ];
}
