import {
  DeleteTagsCommand,
  DisableImageDeprecationCommand,
  EnableImageCommand,
  EnableImageDeprecationCommand,
  type Image,
  type LaunchPermission,
  ModifyImageAttributeCommand,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { hasCode } from '../aws/errors.ts';
import { retried } from '../aws/retry.ts';
import type { RecallRequest } from '../inputs/recall.ts';
import { partsOf } from '../parts.ts';
import { launcherName } from '../plan/usage-report.ts';
import { recalledTag, tagValue } from '../tags.ts';
import { listed } from '../words.ts';
import { aws } from './commands.ts';
import { deleteRecords, type Kept, noteStep, type RecallRecord, readRecords, recordsPath } from './record.ts';
import { isDeprecatedBy, tagsOf, unlessIn, type Withdrawn } from './withdraw.ts';

/*
 * How a recalled AMI is given again: only what a recall has taken. That is what its last whole record says, and the record
 * counts only while the AMI bears the mark, since whoever may set parameters could write one.
 */

/** Takes the mark off. */
export function unmarkRecalled(place: Place, id: string): Promise<unknown> {
  return place.ec2(new DeleteTagsCommand({ Resources: [id], Tags: [{ Key: recalledTag }] }));
}

/** Gives a recalled AMI again, all but its mark. @throws AwsCallError, or an error where it isn't known what it was */
export async function restore(place: Place, image: Image, request: RecallRequest): Promise<Withdrawn> {
  const id = image.ImageId ?? '';
  const records = await readRecords(place, id);
  const { kept } = records;
  if (tagValue(image, recalledTag) === undefined) return unmarked(id, kept);
  const isDisabled = image.State === 'disabled';
  // A record is whole before the AMI is disabled: without one, another has disabled it, or somebody has deleted the record.
  if (isDisabled && kept === undefined)
    throw new Error(
      `it stays disabled, for no whole record below ${recordsPath}${id} says that a recall disabled it, nor what it was shared with. What to do: enable it by hand (${aws(place, `ec2 enable-image --image-id ${id}`)}), share it again, and restore it once more`,
    );
  const begin = () => noteStep(records, { id: kept?.id ?? '', step: 'restoring', Tags: tagsOf(request) });
  const done = kept === undefined ? [] : await giveBack(place, image, { kept, begin });
  await deleteRecords(records);
  return { status: 'restored', done: [`${id} is as it was before`, ...done].join('; ') };
}

/** An AMI without the mark is not recalled, or not any more; one with a record as well is in doubt. */
function unmarked(id: string, kept: Kept | undefined): Withdrawn {
  if (kept !== undefined)
    throw new Error(
      `it bears no tag ${recalledTag}, so the record below ${recordsPath}${id} is not believed. What to do: restore it again in some minutes, if it was recalled a moment ago; recall it again first, if it could not be marked; else delete that record`,
    );
  return { status: 'restored', done: `${id} is not recalled: nothing had to be restored` };
}

async function giveBack(
  place: Place,
  image: Image,
  { kept, begin }: Readonly<{ kept: Kept; begin: () => Promise<void> }>,
): Promise<string[]> {
  const ImageId = image.ImageId ?? '';
  const { record, steps } = kept;
  const done: string[] = [];
  const isDisabled = image.State === 'disabled';
  const isByRecall = record.how === 'disable' && record.state === 'available';
  // A recall that was killed before it disabled the AMI has dropped no permission.
  if (isByRecall && (isDisabled || steps.size > 0)) {
    if (!steps.has('restoring')) await begin();
    if (isDisabled)
      await unlessIn('available', { place, id: ImageId }, () => place.ec2(new EnableImageCommand({ ImageId })));
    done.push(...(await shareAgain(place, ImageId, record.launchPermissions)));
  } else if (isDisabled) done.push('no recall has disabled it, so it stays disabled');
  // What an earlier restore still owed when the AMI was recalled once more.
  else if (record.how === 'deprecate') done.push(...(await shareAgain(place, ImageId, record.launchPermissions)));
  if (isDeprecatedBy(image, record)) await deprecateAsBefore(place, ImageId, record);
  return done;
}

/** For so long, an AMI that was enabled a moment ago may still seem to be disabled. */
const enabledMs = 120_000;
/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html doesn't say how many; few enough to be sure. */
const permissionsPerCall = 200;

/** Gives launch permissions back; nothing is made public on the word of a record. */
async function shareAgain(place: Place, id: string, permissions: readonly LaunchPermission[]): Promise<string[]> {
  const { named = [], everybody = [] } = Object.groupBy(permissions, ({ Group }) =>
    Group === undefined ? 'named' : 'everybody',
  );
  const refused: string[] = [];
  for (const some of partsOf(named, permissionsPerCall)) refused.push(...(await addPermissions(place, id, some)));
  const again = named.map(launcherName).filter((name) => !refused.includes(name));
  const publish = `ec2 modify-image-attribute --image-id ${id} --launch-permission "Add=[{Group=all}]"`;
  return [
    ...(again.length === 0 ? [] : [`launched again by ${listed(again)}`]),
    ...(refused.length === 0 ? [] : [`no more by ${refused.join(', ')}, which AWS does not know any more`]),
    ...(everybody.length === 0 ? [] : [`it was public, which is for you to repeat: ${aws(place, publish)}`]),
  ];
}

/**
 * Gives the names of those that AWS doesn't know, such as accounts that were closed since: one among many has it refuse all
 * of them (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html, InvalidAMIAttributeItemValue).
 */
async function addPermissions(place: Place, ImageId: string, Add: LaunchPermission[]): Promise<string[]> {
  try {
    const command = new ModifyImageAttributeCommand({ ImageId, LaunchPermission: { Add } });
    await onceEnabled(place, () => place.ec2(command));
    return [];
  } catch (error) {
    if (!hasCode(error, 'InvalidAMIAttributeItemValue')) throw error;
    if (Add.length === 1) return Add.map(launcherName);
    const unknown: string[] = [];
    for (const half of partsOf(Add, Math.ceil(Add.length / 2)))
      unknown.push(...(await addPermissions(place, ImageId, half)));
    return unknown;
  }
}

function onceEnabled<T>(place: Place, act: () => Promise<T>): Promise<T> {
  const on = (error: unknown) => hasCode(error, 'IncorrectState', 'InvalidAMIID.Unavailable');
  return retried({ place, on, forMs: enabledMs, wait: (count) => Math.min(500 * count, 5000) }, act);
}

/** A time that is past by now has deprecated the AMI anyway. */
async function deprecateAsBefore(place: Place, ImageId: string, { deprecation }: RecallRecord): Promise<void> {
  const before = deprecation?.before ?? null;
  if (before === null) {
    await onceEnabled(place, () => place.ec2(new DisableImageDeprecationCommand({ ImageId })));
    return;
  }
  const DeprecateAt = new Date(before);
  if (DeprecateAt.getTime() <= place.awsNow()) return;
  await onceEnabled(place, () => place.ec2(new EnableImageDeprecationCommand({ ImageId, DeprecateAt })));
}
