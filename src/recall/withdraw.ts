import {
  CreateTagsCommand,
  DescribeImageAttributeCommand,
  DisableImageCommand,
  EnableImageDeprecationCommand,
  type Image,
  type LaunchPermission,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages } from '../aws/describe.ts';
import { snapshotIdsOf } from '../image.ts';
import type { RecallRequest, RecallWay } from '../inputs/recall.ts';
import { joined } from '../join.ts';
import { tagsFrom } from '../operations/parameter.ts';
import { liftProtection } from '../operations/protect.ts';
import { deleteSnapshot, deregisterImage, isInUse } from '../operations/remove.ts';
import { isOwnProtection, removalObstacle } from '../plan/removal.ts';
import { recalledTag, tagKeys } from '../tags.ts';
import { deleteRecords, type RecallRecord, readRecord, writeRecord } from './record.ts';

/* How an AMI is taken back. All of it can be done twice without harm. */

/** What became of an AMI, in words too. */
export type Withdrawn = Readonly<{ status: 'disabled' | 'deprecated' | 'deregistered' | 'restored'; done: string }>;

/** Marks an AMI as recalled; the mark is the same for every way. */
export function markRecalled(place: Place, id: string, reason: string): Promise<unknown> {
  return place.ec2(new CreateTagsCommand({ Resources: [id], Tags: [{ Key: recalledTag, Value: reason }] }));
}

/** Takes an AMI back. @throws AwsCallError, or an error that says why AWS wouldn't let it go */
export async function withdraw(place: Place, image: Image, request: RecallRequest): Promise<Withdrawn> {
  const id = image.ImageId ?? '';
  if (image.State === 'pending') throw new Error('it is still being made: recall it again when it is available');
  await markRecalled(place, id, request.reason);
  if (request.how === 'deregister') return deregister(place, image);
  const isDisabled = image.State === 'disabled';
  await keepRecord(place, image, request);
  if (request.how === 'deprecate' && !isDisabled) return deprecate(place, image);
  if (!isDisabled) await disable(place, id);
  return { status: 'disabled', done: `${id} is disabled${isDisabled ? ' already' : ''}: nobody launches it any more` };
}

/**
 * Writes down what the AMI loses. What this recall doesn't see any more of one that was recalled before comes from that
 * one's record: the permissions that its disabling dropped, even where a read is older than that, and the time that it
 * replaced.
 */
async function keepRecord(place: Place, image: Image, { run, reason, how }: RecallRequest): Promise<void> {
  const id = image.ImageId ?? '';
  // In this order: what another recall has dropped by now is in the record that it wrote before.
  const seen = await launchPermissionsOf(place, id);
  const former = await readRecord(place, id);
  if (former !== undefined && isTold(image, former, how)) return;
  const at = new Date(place.awsNow()).toISOString();
  const dropped = former?.how === 'disable' && former.state === 'available' ? former.launchPermissions : [];
  const record: RecallRecord = {
    ...{ how, reason, at, run: run.runUrl, state: image.State === 'disabled' ? 'disabled' : 'available' },
    launchPermissions: [...new Map([...dropped, ...seen].map((one) => [JSON.stringify(one), one])).values()],
    deprecation: isByRecall(image, former)
      ? former?.deprecation
      : how === 'deprecate' && mayDeprecate(place, image)
        ? { before: image.DeprecationTime ?? null, at }
        : undefined,
  };
  await writeRecord(place, id, { record, Tags: tagsFrom({ [tagKeys.run]: run.runUrl, [tagKeys.commit]: run.sha }) });
}

/** Whether the record of a former recall says all that this one would. */
function isTold(image: Image, former: RecallRecord, how: RecallWay): boolean {
  const isDisabled = image.State === 'disabled';
  if (isDisabled) return former.how === 'disable' || former.state === 'disabled';
  return how === 'deprecate' && former.how === how && isByRecall(image, former);
}

/** From asking for it until it is in force, and some more. */
const deprecatingMs = 10 * 60_000;

/** Whether a recall has set the AMI's time of deprecation, and nobody has given it another since. */
export function isByRecall({ DeprecationTime = '' }: Image, record: RecallRecord | undefined): boolean {
  if (record?.deprecation === undefined) return false;
  const { before, at } = record.deprecation;
  const isNear = Math.abs(Date.parse(DeprecationTime) - Date.parse(at)) < deprecatingMs;
  return DeprecationTime === (before ?? '') || isNear;
}

async function launchPermissionsOf(place: Place, ImageId: string): Promise<LaunchPermission[]> {
  const command = new DescribeImageAttributeCommand({ ImageId, Attribute: 'launchPermission' });
  return (await place.ec2(command)).LaunchPermissions ?? [];
}

async function disable(place: Place, ImageId: string): Promise<void> {
  await unlessIn('disabled', { place, id: ImageId }, () => place.ec2(new DisableImageCommand({ ImageId })));
}

/** What is deprecated already stays so, and AWS deprecates nothing that is disabled. */
function mayDeprecate({ awsNow }: Place, { State, DeprecationTime = '' }: Image): boolean {
  return State !== 'disabled' && !(Date.parse(DeprecationTime) <= awsNow());
}

/** AWS takes no time that is past, and rounds to the minute: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableImageDeprecation.html */
async function deprecate(place: Place, image: Image): Promise<Withdrawn> {
  const ImageId = image.ImageId ?? '';
  const DeprecateAt = new Date(place.awsNow() + 60_000);
  if (mayDeprecate(place, image)) await place.ec2(new EnableImageDeprecationCommand({ ImageId, DeprecateAt }));
  const done = `${ImageId} is deprecated within a minute: others' lists don't show it, but whoever may launch it still does`;
  return { status: 'deprecated', done };
}

async function deregister(place: Place, image: Image): Promise<Withdrawn> {
  const id = image.ImageId ?? '';
  const obstacle = removalObstacle(image, new Map(), { mayWait: false });
  if (obstacle !== undefined)
    throw new Error(`${obstacle.why}. What to do: ${obstacle.remedy}; or recall it with how: disable`);
  if (isOwnProtection(image) && !(await liftProtection(place, image)))
    throw new Error(
      'its protection is lifted, and has a cooldown of a day: recall it again then; or with how: disable',
    );
  await deregisterImage(place, image);
  const stay = await joined(
    snapshotIdsOf(image).map(async (one) => {
      try {
        await deleteSnapshot(place, one);
        return [];
      } catch (error) {
        // Another AMI of somebody's has it.
        if (!isInUse(error)) throw error;
        return [one];
      }
    }),
  );
  // What an earlier recall kept is of no more use.
  await deleteRecords(place, id);
  const left = stay.flat();
  const rest = left.length === 0 ? ' with its snapshots' : `; ${left.join(', ')} stays, which another AMI has`;
  return { status: 'deregistered', done: `${id} is deregistered${rest}` };
}

/** A failure of `act` is none where the AMI is in that state: by a lost answer, or another run that has been quicker. */
export async function unlessIn(
  state: 'available' | 'disabled',
  { place, id }: Readonly<{ place: Place; id: string }>,
  act: () => Promise<unknown>,
): Promise<void> {
  try {
    await act();
  } catch (error) {
    const [seen] = await describeImages(place, [id]);
    if (seen?.State !== state) throw error;
  }
}
