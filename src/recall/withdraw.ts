import {
  CreateTagsCommand,
  DeleteTagsCommand,
  DescribeImageAttributeCommand,
  DisableImageCommand,
  DisableImageDeprecationCommand,
  EnableImageCommand,
  EnableImageDeprecationCommand,
  type Image,
  type LaunchPermission,
  ModifyImageAttributeCommand,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages } from '../aws/describe.ts';
import { hasCode } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import type { RecallRequest } from '../inputs/recall.ts';
import { joined } from '../join.ts';
import { tagsFrom } from '../operations/parameter.ts';
import { liftProtection } from '../operations/protect.ts';
import { deleteSnapshot, deregisterImage, isInUse } from '../operations/remove.ts';
import { isOwnProtection, removalObstacle } from '../plan/removal.ts';
import { retried } from '../retry.ts';
import { recalledTag, tagKeys } from '../tags.ts';
import { deleteRecord, type RecallRecord, readRecord, writeRecord } from './record.ts';

/* How an AMI is taken back, and given again. All of it can be done twice without harm. */

/** What is done with an AMI, in words. */
export type Withdrawn = Readonly<{ status: 'disabled' | 'deprecated' | 'deregistered' | 'restored'; done: string }>;

/** Marks an AMI as recalled; the mark is the same for every way. */
export function markRecalled(place: Place, id: string, reason: string): Promise<unknown> {
  return place.ec2(new CreateTagsCommand({ Resources: [id], Tags: [{ Key: recalledTag, Value: reason }] }));
}

/** Takes the mark off. */
export function unmarkRecalled(place: Place, id: string): Promise<unknown> {
  return place.ec2(new DeleteTagsCommand({ Resources: [id], Tags: [{ Key: recalledTag }] }));
}

/** Takes an AMI back. @throws AwsCallError, or an error that says why AWS wouldn't let it go */
export async function withdraw(place: Place, image: Image, request: RecallRequest): Promise<Withdrawn> {
  const id = image.ImageId ?? '';
  if (image.State === 'pending') throw new Error(`it is still being made: recall it again when it is available`);
  await markRecalled(place, id, request.reason);
  if (request.how === 'deregister') return deregister(place, image);
  await keepRecord(place, image, request);
  if (request.how === 'deprecate') return deprecate(place, image);
  if (image.State !== 'disabled')
    await unlessIn('disabled', { place, id }, () => place.ec2(new DisableImageCommand({ ImageId: id })));
  return { status: 'disabled', done: `${id} is disabled: nobody launches it any more` };
}

/**
 * Writes down what the AMI loses. Of one that was recalled before, its record keeps what this one no longer shows: a read may
 * be older than the disabling.
 */
async function keepRecord(place: Place, image: Image, request: RecallRequest): Promise<void> {
  const id = image.ImageId ?? '';
  const { run, reason, how } = request;
  const former = await readRecord(place, id);
  if (former !== undefined && image.State === 'disabled') return;
  const permissions = [...(former?.launchPermissions ?? []), ...(await launchPermissionsOf(place, id))];
  const record: RecallRecord = {
    ...{ how, reason, at: new Date(place.awsNow()).toISOString(), run: run.runUrl },
    launchPermissions: [...new Map(permissions.map((one) => [JSON.stringify(one), one])).values()],
    deprecationTime: former === undefined ? image.DeprecationTime : former.deprecationTime,
  };
  const tags = tagsFrom({ [tagKeys.run]: run.runUrl, [tagKeys.commit]: run.sha });
  await writeRecord(place, id, { record, tags });
}

async function launchPermissionsOf(place: Place, ImageId: string): Promise<LaunchPermission[]> {
  const command = new DescribeImageAttributeCommand({ ImageId, Attribute: 'launchPermission' });
  return (await place.ec2(command)).LaunchPermissions ?? [];
}

/** AWS takes no time that is past, and rounds to the minute: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableImageDeprecation.html */
async function deprecate(place: Place, image: Image): Promise<Withdrawn> {
  const ImageId = image.ImageId ?? '';
  const isPast = Date.parse(image.DeprecationTime ?? '') <= place.awsNow();
  const DeprecateAt = new Date(place.awsNow() + 60_000);
  if (!isPast) await place.ec2(new EnableImageDeprecationCommand({ ImageId, DeprecateAt }));
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
  const left = stay.flat();
  const without = left.length === 0 ? 'with its snapshots' : `; ${left.join(', ')} stays, which another AMI has`;
  return { status: 'deregistered', done: `${id} is deregistered${left.length === 0 ? ` ${without}` : without}` };
}

/** For so long, an AMI that was enabled a moment ago may still seem to be disabled. */
const enabledMs = 120_000;
/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html doesn't say how many; few enough to be sure. */
const permissionsPerCall = 200;

/** Gives a recalled AMI again, with what its record says. @throws AwsCallError, or an error where there is no whole record */
export async function restore(place: Place, image: Image): Promise<Withdrawn> {
  const id = image.ImageId ?? '';
  const record = await readRecord(place, id);
  if (image.State === 'disabled')
    await unlessIn('available', { place, id }, () => place.ec2(new EnableImageCommand({ ImageId: id })));
  if (record === undefined && image.State === 'disabled')
    throw new Error(
      `it is enabled, but what it was shared with is not known: there is no whole record of the recall in SSM. What to do: share it again, and take the tag ${recalledTag} off`,
    );
  const permissions = record?.launchPermissions ?? [];
  for (let start = 0; start < permissions.length; start += permissionsPerCall) {
    const Add = permissions.slice(start, start + permissionsPerCall);
    await onceEnabled(place, () =>
      place.ec2(new ModifyImageAttributeCommand({ ImageId: id, LaunchPermission: { Add: [...Add] } })),
    );
  }
  if (record !== undefined && image.DeprecationTime !== record.deprecationTime)
    await deprecateAsBefore(place, id, record);
  await unmarkRecalled(place, id);
  await deleteRecord(place, id);
  const whom = permissions.length === 0 ? '' : `, and ${permissions.length} others may launch it again`;
  return { status: 'restored', done: `${id} is as it was${whom}` };
}

/** A failure of `act` is none where the AMI is in that state: by a lost answer, or another run that has been quicker. */
async function unlessIn(
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

function onceEnabled<T>(place: Place, act: () => Promise<T>): Promise<T> {
  const on = (error: unknown) => hasCode(error, 'IncorrectState', 'InvalidAMIID.Unavailable');
  return retried({ place, on, forMs: enabledMs, wait: (count) => Math.min(500 * count, 5000) }, act);
}

/** A time that is past by now has deprecated the AMI anyway. */
async function deprecateAsBefore(place: Place, ImageId: string, { deprecationTime }: RecallRecord): Promise<void> {
  if (deprecationTime === undefined) {
    await onceEnabled(place, () => place.ec2(new DisableImageDeprecationCommand({ ImageId })));
    return;
  }
  const DeprecateAt = new Date(deprecationTime);
  if (DeprecateAt.getTime() <= place.awsNow()) return;
  await onceEnabled(place, () => place.ec2(new EnableImageDeprecationCommand({ ImageId, DeprecateAt })));
}
