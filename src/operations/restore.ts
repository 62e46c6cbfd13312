import {
  DeleteTagsCommand,
  type Image,
  RegisterImageCommand,
  RestoreImageFromRecycleBinCommand,
  type Snapshot,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages, describeSnapshots, imagesInBin } from '../aws/describe.ts';
import { errorMessage, hasCode, isTransient, isUnseen, placeName } from '../aws/errors.ts';
import { retried } from '../aws/retry.ts';
import { ask } from '../aws/verdict.ts';
import { idsOf, registrationOf, snapshotIdsOf } from '../image.ts';
import { tieOfImage } from '../plan/evidence.ts';
import type { Deregister } from '../plan/operation.ts';
import { replacedByOf, staysUntil } from '../plan/replaced.ts';
import type { Scope } from '../run.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { carryOver } from './carry-over.ts';
import { type Ec2Question, type Hindrance, reading } from './question.ts';
import { deregisterImage } from './remove.ts';
import { findNamed, untilNameIsFree } from './rival.ts';

/**
 * EC2 says of no rule of the Recycle Bin what it covers; that deregistered AMIs are in it shows that there is one.
 * https://docs.aws.amazon.com/ebs/latest/userguide/recycle-bin-working-with-amis.html
 */
export function asksToRestore({ ImageId, Name }: Image): Ec2Question[] {
  const without = 'if the new AMI cannot be made, the former one is registered again even where the Recycle Bin has it';
  return [
    reading('ListImagesInRecycleBin', without, async (place): Promise<Hindrance[]> => {
      const [binned] = await imagesInBin(place);
      if (binned === undefined) return [];
      const rule = `a Recycle Bin rule keeps deregistered AMIs here (${binned.ImageId}, for one), and perhaps their names: if ${JSON.stringify(Name)} is not free once ${ImageId} is deregistered, this target fails`;
      const remedy = 'give the new AMI a name of its own (target-ami-name), or leave such AMIs out of the rule';
      const denied = await whyNotRestorable(place, binned.ImageId ?? '');
      const lost =
        denied === undefined ? ', and that AMI is restored' : `, and that AMI cannot be restored (${denied})`;
      const allow = denied === undefined ? '' : '; and set the template parameter RecycleBin to true';
      return [{ what: `${rule}${lost}. What to do: ${remedy}${allow}` }];
    }),
  ];
}

/** Why the role may not restore an AMI, if it may not. */
async function whyNotRestorable(place: Place, ImageId: string): Promise<string | undefined> {
  const { is, words } = await ask(
    () => place.ec2(new RestoreImageFromRecycleBinCommand({ ImageId, DryRun: true })),
    true,
  );
  return is === 'may not' ? words : undefined;
}

/**
 * Gives back an AMI that had to give up its name for one that did not come to be: out of the Recycle Bin, as it was, where
 * a rule keeps it there; else it is registered again of its snapshots, under an ID of its own.
 */
export async function restore(operation: Deregister, scope: Scope): Promise<boolean> {
  const { image, reason, until } = operation;
  const { run, place, resultOf } = scope;
  if (reason !== 'name' || resultOf(until ?? '') !== undefined) return false;
  const snapshots = snapshotIdsOf(image);
  const what = `${image.ImageId} (${image.Name}) in ${placeName(place)} had to give up its name`;
  try {
    // What was deregistered may still be seen.
    const isGone = resultOf(operation.id) !== undefined;
    const [there] = isGone ? [] : await describeImages(place, [image.ImageId ?? '']);
    if (there === undefined || there.State === 'deregistered')
      run.log.warn(`${what}, and ${await giveBack(operation, scope)}`);
    await place.ec2(new DeleteTagsCommand({ Resources: snapshots, Tags: [{ Key: tagKeys.replacedBy }] }));
    return true;
  } catch (failure) {
    const until = staysUntil({ imageId: run.source.imageId, at: place.awsNow() });
    run.leave(
      place,
      `${what}, and could not be registered again: ${errorMessage(failure).replace(/\.$/, '')}. ${snapshots.join(', ')} stay: ${until}`,
    );
    return false;
  }
}

/** Gives what has become of the AMI. */
async function giveBack(operation: Deregister, scope: Scope): Promise<string> {
  const { image } = operation;
  const { place } = scope;
  // The new one may have been registered all the same.
  const named = await findNamed(place, image.Name ?? '', false);
  if (named !== undefined && (await isNew(named, scope))) await deregisterImage(place, named);
  if (await fromBin(operation, scope)) return 'is back from the Recycle Bin, as it was';
  const id = await registerAgain(operation, scope);
  return `is registered again as ${id}, without its launch permissions and its deprecation`;
}

/** A name is free some time after its AMI is gone, and the snapshots, which are there, may not be seen for a while. */
function mayPass(error: unknown): boolean {
  return hasCode(error, 'InvalidAMIName.Duplicate') || isTransient(error) || isUnseen(error);
}

/** Has the Recycle Bin give an AMI back. @throws AwsCallError */
async function takeOut(place: Place, ImageId: string): Promise<void> {
  await retried({ place, on: mayPass, ...untilNameIsFree }, () =>
    place.ec2(new RestoreImageFromRecycleBinCommand({ ImageId })),
  );
}

/**
 * Gives back, out of the Recycle Bin, the AMIs that a run which died had deregistered for their names, unless another has
 * the name by now: a rule may keep the names from any new AMI, and a sweep would take the snapshots. Gives what is back, and
 * the snapshots of it. @throws AwsCallError
 */
export async function restoreFormer(
  place: Place,
  parts: readonly Snapshot[],
): Promise<Readonly<{ told: string[]; parts: Snapshot[] }>> {
  const formerOf = (part: Snapshot) => replacedByOf(part)?.former ?? '';
  const marked = new Set(parts.map(formerOf).filter(Boolean));
  const binned = marked.size === 0 ? [] : await imagesInBin(place);
  const told: string[] = [];
  const back: Snapshot[] = [];
  for (const { ImageId = '', Name = '' } of binned.filter(({ ImageId = '' }) => marked.has(ImageId))) {
    if ((await findNamed(place, Name, false)) !== undefined) continue;
    await takeOut(place, ImageId);
    const own = parts.filter((part) => formerOf(part) === ImageId);
    await place.ec2(new DeleteTagsCommand({ Resources: idsOf(own), Tags: [{ Key: tagKeys.replacedBy }] }));
    told.push(`${ImageId} (${Name})`);
    back.push(...own);
  }
  return { told, parts: back };
}

/** Whether the Recycle Bin gave the AMI back. */
async function fromBin({ image: { ImageId = '' } }: Deregister, { run, place }: Scope): Promise<boolean> {
  try {
    if (!(await imagesInBin(place)).some((binned) => binned.ImageId === ImageId)) return false;
    await takeOut(place, ImageId);
    await run.watcher(place).image(ImageId);
    return true;
  } catch (error) {
    place.signal.throwIfAborted();
    run.log.warn(`${placeName(place)}: ${ImageId} could not be restored from the Recycle Bin: ${errorMessage(error)}`);
    return false;
  }
}

async function isNew(named: Image, { run, place }: Scope): Promise<boolean> {
  if (tagValue(named, tagKeys.lease) !== run.leaseId) return false;
  const parts = await describeSnapshots(place, snapshotIdsOf(named));
  const known = new Map(parts.map((part) => [part.SnapshotId ?? '', part]));
  return tieOfImage(named, { snapshots: known, parents: new Map() }).is === 'proven';
}

async function registerAgain({ image, extras }: Deregister, { run, place }: Scope): Promise<string> {
  const snapshots = snapshotIdsOf(image);
  const registration = registrationOf({
    source: image,
    extras,
    name: image.Name ?? '',
    description: image.Description,
    copies: new Map(snapshots.map((id) => [id, id])),
    tags: (image.Tags ?? []).filter(({ Key }) => !Key?.startsWith('aws:')),
  });
  const ImageId = await retried({ place, on: mayPass, ...untilNameIsFree }, async () => {
    try {
      return (await place.ec2(new RegisterImageCommand(registration))).ImageId ?? '';
    } catch (error) {
      // It may be there by a request whose answer was lost.
      const there = mayPass(error) ? await findNamed(place, image.Name ?? '', true) : undefined;
      const isSame = there?.ImageId !== undefined && there.ImageId !== image.ImageId;
      if (!isSame || !snapshotIdsOf(there).every((id) => snapshots.includes(id))) throw error;
      return there.ImageId ?? '';
    }
  });
  await run.watcher(place).image(ImageId);
  await carryOver(place, image, { ImageId, ImdsSupport: image.ImdsSupport });
  return ImageId;
}
