import type {
  BlockDeviceMapping,
  IamInstanceProfileSpecification,
  Image,
  RunInstancesRequest,
} from '@aws-sdk/client-ec2';
import { authorizeDependent, wildcard } from '../iam.ts';
import { newId } from '../ids.ts';
import { profileArnOf, profileRoleOf, roleArnOf } from '../instance-profiles.ts';
import { Refusal } from '../refusal.ts';
import {
  type Boot,
  canSeeImage,
  findImage,
  findSnapshot,
  type Instance,
  type InstanceVolume,
  notLate,
  type SecurityGroup,
  type SimImage,
  type Subnet,
} from '../world.ts';
import { arnOf, type Ec2Call, type Handler, keepFormerTags } from './call.ts';
import { keyFailure } from './copy.ts';
import { advanceImage, imageNotFound, requireImageId } from './image.ts';
import { allInstances } from './instance.ts';
import { type Model, modelOf, models } from './instance-types.ts';
import { looking, shownInstance } from './instances.ts';
import { groupOf, subnetOf } from './network.ts';
import { authorizeCreation } from './tags.ts';

/* https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html, of one instance at a time. */

export const runInstances: Handler<RunInstancesRequest> = async (call, input) => {
  const { ImageId = '', ClientToken, IamInstanceProfile, TagSpecifications } = input;
  requireImageId(call, ImageId);
  if (input.MinCount !== 1 || input.MaxCount !== 1)
    throw new Refusal('NotSimulated', 'The simulator launches one instance at a time.');
  const model = modelFor(input);
  const subnet = subnetFor(call, input);
  const groups = groupsFor(call, input, subnet);
  const profile = IamInstanceProfile && profileName(call, IamInstanceProfile);
  const httpTokens = httpTokensOf(call, input);
  checkShownTags(call, input);
  const find = () => checkImage(imageFor(call, ImageId), model, input);
  const tagsOf = await authorizeCreation(call, 'RunInstances', {
    resources: [
      ImageId,
      'i-*',
      'eni-*',
      'vol-*',
      sharedArn(call, subnet),
      ...groups.map((group) => sharedArn(call, group)),
    ],
    specifications: TagSpecifications,
    contexts: { instance: { 'ec2:MetadataHttpTokens': httpTokens } },
    dryRun: false,
    find,
  });
  if (profile !== undefined) await passRole(call, profile);
  if (input.DryRun === true)
    throw new Refusal('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412);
  const request = JSON.stringify({ ...input, ClientToken: undefined });
  const former = findByToken(call, ClientToken, subnet.zone);
  if (former?.launched !== undefined) {
    if (former.launched.request !== request)
      throw new Refusal(
        'IdempotentParameterMismatch',
        'Arguments on this idempotent request are inconsistent with arguments used in previous request(s).',
      );
    return reservationOf(call, former);
  }
  checkRoom(call, model, subnet);
  const image = find();
  const keyProblem = await keyProblemOf(call, image);
  const now = call.world.clock.now();
  const { boots } = call.here.launching;
  const boot = (boots.length > 1 ? boots.shift() : boots[0]) ?? {};
  const instance: Instance = {
    id: newId('i'),
    imageId: ImageId,
    image: { ...imageAttributes(image.data) },
    state: 'pending',
    volumes: volumesOf(call, image, input.BlockDeviceMappings ?? []),
    launched: {
      at: now,
      token: ClientToken,
      request,
      type: model.type,
      subnet,
      groups: groups.map((group) => group.id),
      profile,
      onShutdown: input.InstanceInitiatedShutdownBehavior ?? 'stop',
      boot: keyProblem ?? boot,
      tags: tagsOf('instance'),
      volumeTags: tagsOf('volume'),
      interfaceTags: tagsOf('network-interface'),
      ipv6Addresses: ipv6AddressesOf(input, subnet),
      httpTokens,
      tagsLate: notLate(),
      visibleAt: now + call.timings.visibleAfterSeconds * 1000,
    },
  };
  if (instance.launched !== undefined) keepFormerTags(call, instance.launched.tagsLate, []);
  subnet.freeAddresses -= 1;
  call.here.instances.set(instance.id, instance);
  return reservationOf(call, instance);
};

function reservationOf(call: Ec2Call, instance: Instance): Record<string, unknown> {
  const tags = instance.launched?.tags ?? [];
  return { ReservationId: 'r-0', OwnerId: call.caller.account, Instances: [shownInstance({ instance, tags })] };
}

function modelFor(input: RunInstancesRequest): Model {
  const InstanceType: string = input.InstanceType ?? '';
  const model = modelOf(InstanceType);
  if (model === undefined)
    throw new Refusal('InvalidParameterValue', `Invalid value '${InstanceType}' for InstanceType.`);
  return model;
}

function subnetFor(call: Ec2Call, { SubnetId, NetworkInterfaces = [] }: RunInstancesRequest): Subnet {
  const [only] = NetworkInterfaces;
  if (SubnetId !== undefined && only !== undefined)
    throw new Refusal(
      'InvalidParameterCombination',
      'Network interfaces and an instance-level subnet ID may not be specified on the same request',
    );
  const id = SubnetId ?? only?.SubnetId;
  if (id !== undefined) return subnetOf(call, id);
  const [subnet] = [...call.here.launching.subnets.values()].filter(({ isDefault }) => isDefault);
  if (subnet === undefined)
    throw new Refusal(
      'VPCIdNotSpecified',
      'No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.',
    );
  return subnet;
}

/** As for a network interface alone: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkInterface.html */
function ipv6AddressesOf({ NetworkInterfaces: [only] = [] }: RunInstancesRequest, { givesIpv6 }: Subnet): number {
  return only?.Ipv6AddressCount ?? (givesIpv6 ? 1 : 0);
}

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-options.html#instance-metadata-options-order-of-precedence */
function httpTokensOf({ world, region }: Ec2Call, { ImageId = '', MetadataOptions }: RunInstancesRequest) {
  const byImage = findImage(world, region, ImageId)?.data.ImdsSupport === 'v2.0' ? 'required' : 'optional';
  return MetadataOptions?.HttpTokens ?? byImage;
}

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html; the words are from https://github.com/aws/karpenter-provider-aws/pull/7012 */
function checkShownTags({ here }: Ec2Call, { MetadataOptions, TagSpecifications = [] }: RunInstancesRequest): void {
  const shown = MetadataOptions?.InstanceMetadataTags ?? (here.launching.showsTags ? 'enabled' : 'disabled');
  if (shown !== 'enabled') return;
  const tags = TagSpecifications.flatMap(({ ResourceType, Tags = [] }) => (ResourceType === 'instance' ? Tags : []));
  for (const { Key = '' } of tags)
    if (!/^[0-9a-zA-Z\-_+=,.@:]{1,255}$/.test(Key))
      throw new Refusal(
        'InvalidParameterValue',
        `'${Key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{1,255}), and must not be a reserved name ('.', '..', '_index')`,
      );
}

function groupsFor(call: Ec2Call, input: RunInstancesRequest, subnet: Subnet): SecurityGroup[] {
  const { SecurityGroupIds = [], NetworkInterfaces: [only] = [] } = input;
  if (SecurityGroupIds.length > 0 && only !== undefined)
    throw new Refusal(
      'InvalidParameterCombination',
      'Network interfaces and an instance-level security groups may not be specified on the same request',
    );
  const asked = [...SecurityGroupIds, ...(only?.Groups ?? [])].map((id) => groupOf(call, id));
  for (const { id, vpc } of asked)
    if (vpc !== subnet.vpc)
      throw new Refusal(
        'InvalidParameter',
        `Security group ${id} and subnet ${subnet.id} belong to different networks.`,
      );
  // The default group is its owner's. AWS's words for it are documented nowhere.
  // https://docs.aws.amazon.com/vpc/latest/userguide/vpc-sharing-security-groups.html
  if (asked.length === 0 && subnet.owner !== undefined)
    throw new Refusal('InvalidGroup.NotFound', `The default security group of ${subnet.vpc} is not this account's.`);
  return asked;
}

/**
 * What is shared is its owner's: https://github.com/runs-on/runs-on/issues/463;
 * https://docs.aws.amazon.com/vpc/latest/userguide/security-group-sharing.html
 */
function sharedArn(call: Ec2Call, { id, owner }: Subnet | SecurityGroup): string {
  const own = arnOf(call, id);
  return owner === undefined ? own : own.replace(`:${call.caller.account}:`, `:${owner}:`);
}

/** An ARN is the whole of it, path and account included. */
function profileName(call: Ec2Call, { Name, Arn }: IamInstanceProfileSpecification): string {
  const name = Name ?? Arn?.split('/').at(-1) ?? '';
  const [field, value] = Name === undefined ? ['arn', Arn] : ['name', Name];
  const isThere = profileRoleOf(call, name) !== undefined && (Arn === undefined || Arn === profileArnOf(call, name));
  if (isThere) return name;
  throw new Refusal(
    'InvalidParameterValue',
    `Value (${value}) for parameter iamInstanceProfile.${field} is invalid. Invalid IAM Instance Profile ${field === 'arn' ? 'ARN' : field}`,
  );
}

/** Whoever launches with a profile must be allowed to pass its role: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html */
async function passRole(call: Ec2Call, profile: string): Promise<void> {
  const role = profileRoleOf(call, profile) ?? '';
  if (role === '')
    throw new Refusal(
      'InvalidParameterValue',
      `Value (${profile}) for parameter iamInstanceProfile.name is invalid. IAM Instance Profile "${profileArnOf(call, profile)}" has no associated IAM Roles`,
    );
  const partition = call.world.accounts[call.caller.account]?.partition ?? 'aws';
  const service = partition === 'aws-cn' ? 'ec2.amazonaws.com.cn' : 'ec2.amazonaws.com';
  await authorizeDependent(
    call.caller,
    { region: call.region, 'iam:PassedToService': service },
    { 'iam:PassRole': roleArnOf(call, role) },
  );
}

/** An image that the caller may launch. */
function imageFor(call: Ec2Call, id: string): SimImage {
  const image = findImage(call.world, call.region, id);
  const now = call.world.clock.now();
  if (image === undefined || image.visibleAt > now || !canSeeImage(image, call.caller.account, now))
    throw imageNotFound(id);
  if (image.deregisteredAt !== undefined || advanceImage(image, now).data.State !== 'available')
    throw new Refusal('InvalidAMIID.Unavailable', `The image ID '${id}' is no longer available`);
  return image;
}

function checkImage(image: SimImage, model: Model, { BlockDeviceMappings = [] }: RunInstancesRequest): SimImage {
  const { Architecture = 'x86_64', EnaSupport = false, BootMode, TpmSupport } = image.data;
  if (!model.architectures.includes(Architecture))
    throw new Refusal(
      'InvalidParameterValue',
      `The architecture '${model.architectures.join(',')}' of the specified instance type does not match the architecture '${Architecture}' of the specified AMI. Specify an instance type and an AMI that have matching architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to discover the architecture of the instance type or AMI.`,
    );
  if (model.ena === 'required' && !EnaSupport)
    throw new Refusal(
      'InvalidParameterCombination',
      `Enhanced networking with the Elastic Network Adapter (ENA) is required for the '${model.type}' instance type. Ensure that you are using an AMI that is enabled for ENA.`,
    );
  if ((BootMode === 'uefi' || BootMode === 'legacy-bios') && !model.bootModes.includes(BootMode))
    throw new Refusal(
      'InvalidParameterValue',
      `The instance type '${model.type}' does not support '${BootMode}' boot.`,
    );
  if (TpmSupport !== undefined && !model.tpm)
    throw new Refusal('InvalidParameterCombination', `The instance type '${model.type}' does not support NitroTPM.`);
  const devices = image.data.BlockDeviceMappings.map(({ DeviceName }) => DeviceName);
  for (const { DeviceName, Ebs } of BlockDeviceMappings)
    if (Ebs !== undefined && Ebs.SnapshotId === undefined && !devices.includes(DeviceName))
      throw new Refusal('InvalidBlockDeviceMapping', `Missing size or snapshot for ${DeviceName}.`);
  return image;
}

/** Tokens are of one zone where the request names one: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html */
function findByToken(call: Ec2Call, token: string | undefined, zone: string): Instance | undefined {
  if (token === undefined) return undefined;
  return [...call.here.instances.values()].find(
    ({ launched }) => launched?.token === token && launched.subnet.zone === zone,
  );
}

function checkRoom(call: Ec2Call, { type, vcpus, zones }: Model, { id, zone, freeAddresses }: Subnet): void {
  const { vcpuQuota, noCapacity } = call.here.launching;
  if (!zones.includes(zone.slice(-1)))
    throw new Refusal(
      'Unsupported',
      `Your requested instance type (${type}) is not supported in your requested Availability Zone (${zone}). Please retry your request by not specifying an Availability Zone or choosing ${[...zones].map((letter) => call.region + letter).join(', ')}.`,
    );
  const running = allInstances(looking(call))
    .filter(({ state, launched }) => launched !== undefined && (state === 'pending' || state === 'running'))
    .reduce((sum, { launched }) => sum + (models.find((model) => model.type === launched?.type)?.vcpus ?? 0), 0);
  if (running + vcpus > vcpuQuota)
    throw new Refusal(
      'VcpuLimitExceeded',
      `You have requested more vCPU capacity than your current vCPU limit of ${vcpuQuota} allows for the instance bucket that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.`,
    );
  if (freeAddresses < 1)
    throw new Refusal(
      'InsufficientFreeAddressesInSubnet',
      `There are not enough free addresses in subnet '${id}' to satisfy the requested number of instances.`,
    );
  // With HTTP 500, as https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html lists it.
  if (noCapacity.some((pattern) => wildcard(pattern).test(`${type}/${zone}`)))
    throw new Refusal(
      'InsufficientInstanceCapacity',
      `We currently do not have sufficient ${type} capacity in the Availability Zone you requested (${zone}). Our system will be working on provisioning additional capacity.`,
      500,
    );
}

/** A key that can't be used shows only when the instance starts: https://repost.aws/knowledge-center/encrypted-volumes-ec2-auto-scaling */
async function keyProblemOf(call: Ec2Call, { data }: SimImage): Promise<Boot | undefined> {
  for (const { Ebs } of data.BlockDeviceMappings) {
    const snapshot = Ebs?.SnapshotId === undefined ? undefined : findSnapshot(call.world, call.region, Ebs.SnapshotId);
    if (snapshot === undefined || (await keyFailure(call, snapshot, undefined)) === undefined) continue;
    const message = 'Client.InternalError: Client error on launch';
    const transition = 'Server.InternalError: Internal error on launch';
    return { ends: { afterSeconds: 2, code: 'Client.InternalError', message, transition } };
  }
  return undefined;
}

function imageAttributes({ BlockDeviceMappings: _, ...image }: Image): Omit<Image, 'BlockDeviceMappings'> {
  return image;
}

/** The image's devices, with what the request says of each. */
function volumesOf(call: Ec2Call, { data }: SimImage, asked: readonly BlockDeviceMapping[]): InstanceVolume[] {
  return data.BlockDeviceMappings.flatMap((mapping): InstanceVolume[] => {
    const { Ebs } = mapping;
    if (Ebs === undefined) return mapping.NoDevice === undefined ? [{ mapping }] : [];
    const own = asked.find(({ DeviceName }) => DeviceName === mapping.DeviceName)?.Ebs;
    const keyArn = findSnapshot(call.world, call.region, Ebs.SnapshotId ?? '')?.data.KmsKeyId;
    const merged = { ...mapping, Ebs: { ...Ebs, ...own } };
    return [{ mapping: merged, volumeId: newId('vol'), ...(keyArn !== undefined && { keyArn }) }];
  });
}
