import type {
  AttributeValue,
  DescribeImageAttributeRequest,
  Image,
  ImageAttributeName,
  LaunchPermission,
  ModifyImageAttributeRequest,
  ResetImageAttributeRequest,
} from '@aws-sdk/client-ec2';
import type { Context } from '../iam.ts';
import { Refusal } from '../refusal.ts';
import { findImage, findKeyByArn, type SimImage, shownOf } from '../world.ts';
import { arnOf, authorizeOn, type Ec2Call, type Handler, keepFormer } from './call.ts';
import { ownView } from './describe-images.ts';
import { changeAttributes, checkDescription, imageNotFound, ownImage, requireImageId } from './image.ts';

/** What each attribute that is one value is called in the answer; an unset one is empty there, as recorded. */
const single: Partial<
  Record<ImageAttributeName, readonly [member: string, value: (view: Image) => string | undefined]>
> = {
  description: ['Description', ({ Description }) => Description],
  bootMode: ['BootMode', ({ BootMode }) => BootMode],
  imdsSupport: ['ImdsSupport', ({ ImdsSupport }) => ImdsSupport],
  kernel: ['KernelId', ({ KernelId }) => KernelId],
  ramdisk: ['RamdiskId', ({ RamdiskId }) => RamdiskId],
  sriovNetSupport: ['SriovNetSupport', ({ SriovNetSupport }) => SriovNetSupport],
  tpmSupport: ['TpmSupport', ({ TpmSupport }) => TpmSupport],
  lastLaunchedTime: ['LastLaunchedTime', ({ LastLaunchedTime }) => LastLaunchedTime],
  deregistrationProtection: ['DeregistrationProtection', (view) => view.DeregistrationProtection],
};

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageAttribute.html */
export const describeImageAttribute: Handler<DescribeImageAttributeRequest> = async (call, input) => {
  const { ImageId = '', Attribute } = input;
  requireImageId(call, ImageId);
  const image = await authorizeOn(call, 'DescribeImageAttribute', {
    resources: [arnOf(call, ImageId)],
    dryRun: input.DryRun,
    find: () => describable(call, ImageId),
  });
  if (Attribute === 'launchPermission') {
    const launch = shownOf(image.launch, image.launchLate.read, call.world.clock.now());
    return { ImageId, LaunchPermissions: [...launch].map(launchPermissionOf) };
  }
  if (Attribute === 'uefiData') return { ImageId, UefiData: attributeOf(image.uefiData) };
  const view = ownView(call, image);
  if (Attribute === 'productCodes') return { ImageId, ProductCodes: view.ProductCodes ?? [] };
  // Its owner's even, as recorded.
  if (Attribute === 'blockDeviceMapping')
    throw new Refusal('AuthFailure', 'Unauthorized attempt to access restricted resource');
  const [member, value] = (Attribute && single[Attribute]) ?? [];
  if (member === undefined)
    throw new Refusal('InvalidParameterValue', `Value (${Attribute}) for parameter attribute is invalid.`);
  return { ImageId, [member]: attributeOf(value?.(view)) };
};

function attributeOf(Value: string | undefined): AttributeValue {
  return Value === undefined ? {} : { Value };
}

function describable(call: Ec2Call, id: string): SimImage {
  const image = findImage(call.world, call.region, id);
  if (image === undefined || image.deregisteredAt !== undefined || image.visibleAt > call.world.clock.now())
    throw imageNotFound(id);
  if (image.data.OwnerId !== call.caller.account) throw new Refusal('AuthFailure', `Not authorized for image:${id}`);
  return image;
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html */
export const modifyImageAttribute: Handler<ModifyImageAttributeRequest> = async (call, input) => {
  const { ImageId = '', LaunchPermission, Description, ImdsSupport } = input;
  requireImageId(call, ImageId);
  const given = Object.entries({
    launchPermission: LaunchPermission,
    description: Description,
    imdsSupport: ImdsSupport,
  })
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name);
  const image = await authorizeOn(call, 'ModifyImageAttribute', {
    resources: [arnOf(call, ImageId)],
    dryRun: input.DryRun,
    context: attributeContext(given),
    find: () => ownImage(call, ImageId),
  });
  const { Add = [], Remove = [] } = LaunchPermission ?? {};
  const isEmpty = LaunchPermission !== undefined && Add.length + Remove.length === 0;
  if (given.length === 0 || isEmpty) throw new Refusal('InvalidParameterCombination', 'No attributes specified.');
  if (given.length > 1)
    throw new Refusal(
      'InvalidParameterCombination',
      `Fields for multiple attribute types specified: ${given.join(', ')}`,
    );
  if (Description !== undefined) describe(call, image, Description.Value);
  if (ImdsSupport !== undefined) requireIMDSv2(call, image, ImdsSupport.Value);
  if (LaunchPermission !== undefined) changeLaunch(call, image, LaunchPermission);
  return {};
};

/** https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html#amazonec2-ModifyImageAttribute */
function attributeContext([attribute, ...more]: readonly string[]): Context {
  return attribute === undefined || more.length > 0 ? {} : { 'ec2:Attribute': attribute };
}

/** A description can be another, but not be taken away: recorded. */
function describe(call: Ec2Call, image: SimImage, value: string | undefined): void {
  if (!value) throw new Refusal('MissingParameter', 'The request must contain the parameter description');
  checkDescription(value);
  changeAttributes(call, image, (data) => {
    data.Description = value;
  });
}

/** For good: nothing resets it, as recorded. */
function requireIMDSv2(call: Ec2Call, image: SimImage, value: string | undefined): void {
  if (value !== 'v2.0')
    throw new Refusal('MissingParameter', 'The request must contain the parameter imdsSupport with value v2.0');
  changeAttributes(call, image, (data) => {
    data.ImdsSupport = 'v2.0';
  });
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ResetImageAttribute.html */
export const resetImageAttribute: Handler<ResetImageAttributeRequest> = async (call, input) => {
  const { ImageId = '' } = input;
  requireImageId(call, ImageId);
  const image = await authorizeOn(call, 'ResetImageAttribute', {
    resources: [arnOf(call, ImageId)],
    dryRun: input.DryRun,
    find: () => ownImage(call, ImageId),
  });
  keepFormerLaunch(call, image);
  image.launch.clear();
  return {};
};

/** What an image was shared with is what reads and decisions still see for a while. */
export function keepFormerLaunch(call: Ec2Call, { launch, launchLate }: SimImage): void {
  const { attributesVisibleAfterSeconds, sharesInForceAfterSeconds } = call.timings;
  const value = () => new Set(launch);
  keepFormer(call, launchLate.read, { value, seconds: attributesVisibleAfterSeconds });
  keepFormer(call, launchLate.inForce, { value, seconds: sharesInForceAfterSeconds });
}

/** Who may launch, as the member of a launch permission that it was given by. */
function launchPermissionOf(name: string): LaunchPermission {
  if (name === 'all') return { Group: 'all' };
  if (/:organization\//.test(name)) return { OrganizationArn: name };
  return /:ou\//.test(name) ? { OrganizationalUnitArn: name } : { UserId: name };
}

function nameOf({ UserId, OrganizationArn, OrganizationalUnitArn, Group }: LaunchPermission): string {
  return UserId ?? OrganizationArn ?? OrganizationalUnitArn ?? Group ?? '';
}

function changeLaunch(
  call: Ec2Call,
  image: SimImage,
  { Add = [], Remove = [] }: NonNullable<ModifyImageAttributeRequest['LaunchPermission']>,
): void {
  for (const permission of [...Add, ...Remove]) checkPermission(permission);
  if (Add.length > 0) refuseLaunch(call, image, Add);
  keepFormerLaunch(call, image);
  for (const one of Add) image.launch.add(nameOf(one));
  for (const one of Remove) image.launch.delete(nameOf(one));
  image.data.Public = image.launch.has('all');
}

function checkPermission({ UserId = '', Group, OrganizationArn, OrganizationalUnitArn }: LaunchPermission): void {
  const fine = /^\d{12}$/.test(UserId) || Group === 'all' || (OrganizationArn ?? OrganizationalUnitArn) !== undefined;
  // With the space, as recorded.
  if (!fine)
    throw new Refusal(
      'InvalidAMIAttributeItemValue',
      `Invalid attribute item value "${UserId} " for userId item type.`,
    );
}

function refuseLaunch(call: Ec2Call, { data }: SimImage, adding: readonly LaunchPermission[]): void {
  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-intro.html: not with encrypted volumes
  const isEncrypted = data.BlockDeviceMappings.some(({ Ebs }) => Ebs?.Encrypted === true);
  if (isEncrypted && adding.some(({ Group }) => Group === 'all'))
    throw new Refusal('InvalidParameter', 'Images with encrypted snapshots cannot be made public.');
  const managed = data.BlockDeviceMappings.some(({ Ebs }) => {
    const keyArn = call.here.snapshots.get(Ebs?.SnapshotId ?? '')?.data.KmsKeyId;
    return keyArn !== undefined && findKeyByArn(call.world, keyArn)?.metadata.KeyManager === 'AWS';
  });
  if (managed)
    throw new Refusal(
      'InvalidParameter',
      "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.",
    );
}
