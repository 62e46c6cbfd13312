import type { BlockDeviceMapping, Image, Tag } from '@aws-sdk/client-ec2';
import { hasForm, isWellFormed, newId } from '../ids.ts';
import { Refusal } from '../refusal.ts';
import { findImage, isOver, notLate, type SimImage } from '../world.ts';
import { type Ec2Call, keepFormer, keepFormerTags } from './call.ts';
import { advance } from './copy.ts';

/*
 * What an image is, whichever way it came about.
 */

/** @throws Refusal for what can't be an image's ID; one of an image that is or was there can, whatever it looks like */
export function requireImageId(call: Ec2Call, id: string): void {
  if (id === '') throw new Refusal('MissingParameter', 'The request must contain the parameter ImageId');
  const isKnown = () => findImage(call.world, call.region, id) !== undefined;
  if (!hasForm('ami', id) || (call.rules.structuredIds && !isWellFormed(id) && !isKnown()) || /^ami-(0+|1+)$/.test(id))
    throw new Refusal('InvalidAMIID.Malformed', `Invalid id: "${id}"`);
}

export function imageNotFound(id: string): Refusal {
  return new Refusal('InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`);
}

/** The image as it is by `now`: a copy is available when its snapshots are completed, and failed when one fails. */
/** What has had its cooldown is protected no more: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deregistration-protection.html */
export function endCooldown({ data, protectedUntil }: SimImage, now: number): void {
  const isOver = protectedUntil !== undefined && protectedUntil <= now;
  if (isOver && data.DeregistrationProtection === 'disabled-with-cooldown') data.DeregistrationProtection = 'disabled';
}

export function advanceImage(image: SimImage, now: number): SimImage {
  const { making, data } = image;
  if (making === undefined) return image;
  const snapshots = making.snapshots.map((snapshot) => advance(snapshot, now));
  const failed = snapshots.find(({ data }) => data.State === 'error');
  if (failed !== undefined) {
    const words = failed.data.StateMessage ?? '';
    const more = words.includes('not accessible') ? '. You must have DescribeKey permissions on the default key' : '';
    data.State = 'failed';
    data.StateReason = {
      Code: 'Client.InternalError',
      Message: `AMI snapshot copy failed with error: ${words}${more}`,
    };
    delete image.making;
  } else if (snapshots.every(({ data }) => data.State === 'completed') && now >= making.endsAt) {
    data.State = 'available';
    for (const { Ebs } of data.BlockDeviceMappings) {
      const snapshot = snapshots.find(({ data }) => data.SnapshotId === Ebs?.SnapshotId);
      if (Ebs !== undefined && snapshot !== undefined) Ebs.Encrypted = snapshot.data.Encrypted;
    }
    delete image.making;
  }
  return image;
}

/** An image of the caller's own that is there and can be seen. */
export function ownImage(call: Ec2Call, id: string): SimImage {
  const image = call.here.images.get(id);
  const now = call.world.clock.now();
  if (image === undefined || image.visibleAt > now) throw imageNotFound(id);
  if (image.deregisteredAt !== undefined)
    throw new Refusal('InvalidAMIID.Unavailable', `The image ID '${id}' is no longer available`);
  return advanceImage(image, now);
}

/** Changes an image's attributes; reads show them when they show them. */
export function changeAttributes(call: Ec2Call, image: SimImage, change: (data: SimImage['data']) => void): void {
  const seconds = call.timings.attributesVisibleAfterSeconds;
  keepFormer(call, image.formerData, { value: () => structuredClone(image.data), seconds });
  change(image.data);
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html; a name is taken from the call on. */
export function checkName(call: Ec2Call, name: string): void {
  if (!/^[\w()[\] ./'@-]{3,128}$/.test(name))
    throw new Refusal(
      'InvalidAMIName.Malformed',
      "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_'",
    );
  for (const image of call.here.images.values())
    if (image.data.Name === name && hasName(call, image))
      throw new Refusal('InvalidAMIName.Duplicate', `AMI name ${name} is already in use by AMI ${image.data.ImageId}`);
}

/** Whether an image takes its name: it does for a while after its end, or for as long as it is in the Recycle Bin. */
function hasName({ world, timings, rules }: Ec2Call, { deregisteredAt, binnedUntil = 0 }: SimImage): boolean {
  const now = world.clock.now();
  return !isOver(deregisteredAt, timings.nameFreedAfterSeconds, now) || (rules.binKeepsNames && now < binnedUntil);
}

/**
 * Of AMIs and of snapshots: https://github.com/aws-samples/bottlerocket-images-cache/issues/8 has the words for a long one of
 * CreateSnapshot's. The others are those of a security group's description; whether a snapshot's takes more, nobody says.
 */
export function checkDescription(description = ''): void {
  if (description.length > 255)
    throw new Refusal(
      'InvalidParameterValue',
      `Value (${description}) for parameter description is invalid. It exceeds 255 characters`,
    );
  if (!/^[\x20-\x7e]*$/.test(description))
    throw new Refusal('InvalidParameterValue', 'Character sets beyond ASCII are not supported.');
}

export function newImage(
  call: Ec2Call,
  { ImageId = newId('ami'), ...data }: Partial<Image> & { Name: string; BlockDeviceMappings: BlockDeviceMapping[] },
  tags: readonly Tag[],
): SimImage {
  const now = call.world.clock.now();
  const image: SimImage = {
    data: {
      ...data,
      ImageId,
      OwnerId: call.caller.account,
      ImageType: 'machine',
      Public: false,
      Hypervisor: 'xen',
      RootDeviceType: 'ebs',
      // In whole seconds, as recorded.
      CreationDate: new Date(Math.floor(now / 1000) * 1000).toISOString(),
      ImageLocation: `${call.caller.account}/${data.Name}`,
      Tags: [...tags],
    },
    tagsLate: notLate(),
    formerData: [],
    visibleAt: now + call.timings.visibleAfterSeconds * 1000,
    launch: new Set(),
    launchLate: notLate(),
    uefiData: undefined,
    billing: [],
    othersTags: new Map(),
  };
  keepFormerTags(call, image.tagsLate, []);
  call.here.images.set(ImageId, image);
  return image;
}
