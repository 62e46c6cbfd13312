import {
  CreateTagsCommand,
  DisableImageCommand,
  EnableImageDeprecationCommand,
  type Image,
  type LaunchPermission,
} from '@aws-sdk/client-ec2';
import type { Tag } from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { changedMs, describeImages } from '../aws/describe.ts';
import { explain, explainLine, StepError } from '../aws/errors.ts';
import { launchPermissionsOf } from '../aws/shares.ts';
import { snapshotIdsOf } from '../image.ts';
import type { RecallRequest, RecallWay } from '../inputs/recall.ts';
import { tagsFrom } from '../operations/parameter.ts';
import { liftProtection } from '../operations/protect.ts';
import { deleteEach, deregisterImage, isInUse } from '../operations/remove.ts';
import type { RecalledTarget } from '../outcome.ts';
import { isOwnProtection, removalObstacle } from '../plan/removal.ts';
import { launcherName } from '../plan/usage-report.ts';
import { recalledTag, tagKeys } from '../tags.ts';
import { aws } from './commands.ts';
import {
  deleteRecords,
  type Kept,
  noteStep,
  type RecallRecord,
  readRecords,
  type Step,
  writeRecord,
} from './record.ts';

/* How an AMI is taken back. All of it can be done twice without harm. */

/** What became of an AMI, in words too; and what it lacks, though it is taken back. */
export type Withdrawn = Readonly<{
  status: Exclude<RecalledTarget['status'], 'absent' | 'failed'>;
  done: string;
  lacks?: string | undefined;
}>;

/** Marks an AMI as recalled; the mark is the same for every way. */
export function markRecalled(place: Place, id: string, reason: string): Promise<unknown> {
  return place.ec2(new CreateTagsCommand({ Resources: [id], Tags: [{ Key: recalledTag, Value: reason }] }));
}

/** Takes an AMI back. @throws AwsCallError, or an error that says why AWS wouldn't let it go */
export async function withdraw(place: Place, image: Image, request: RecallRequest): Promise<Withdrawn> {
  const id = image.ImageId ?? '';
  if (image.State === 'pending') throw new Error('it is still being made: recall it again when it is available');
  const lacks = await whyUnmarked(place, id, request.reason);
  return { ...(await withdrawn(place, image, request)), ...(request.how !== 'deregister' && { lacks }) };
}

/** Why an AMI can't be marked, such as for its fifty tags; undefined where it is. It is to be taken back all the same. */
async function whyUnmarked(place: Place, id: string, reason: string): Promise<string | undefined> {
  try {
    await markRecalled(place, id, reason);
    return undefined;
  } catch (error) {
    const step = `${id} bears no mark of the recall, without which no restore gives it again (recall it again when it can have one)`;
    return explainLine(new StepError(step, error));
  }
}

async function withdrawn(place: Place, image: Image, request: RecallRequest): Promise<Withdrawn> {
  const id = image.ImageId ?? '';
  if (request.how === 'deregister') return deregister(place, image);
  const isDisabled = image.State === 'disabled';
  const noted = await keepRecord(place, image, request).catch((error) => {
    if (isDisabled || request.how === 'deprecate') throw error;
    // Without the record, nobody could give back what goes: whether that counts more than the time, only people know.
    const command = aws(place, `ec2 disable-image --image-id ${id}`);
    const byHand = `where it must go at once, disable it by hand, and lose its launch permissions for good: ${command}`;
    const { remedy } = explain(error);
    const step = 'Writing down what it loses, which a restore takes';
    throw new StepError(step, error, remedy === undefined ? byHand : `${remedy}; ${byHand}`);
  });
  if (request.how === 'deprecate' && !isDisabled) return deprecate(place, image);
  if (!isDisabled) await disable(place, id);
  if (!isDisabled) await noted?.('disabled');
  return { status: 'disabled', done: `${id} is disabled${isDisabled ? ' already' : ''}: nobody launches it any more` };
}

/** Another recall that began so long ago may be at work on the AMI still. */
const atOnceMs = 10 * 60_000;

/**
 * Writes down what the AMI loses, and gives what notes the steps that follow; undefined where the former record says it all.
 * What this recall doesn't see any more comes from the former record: the time of deprecation that it replaced, and the
 * permissions that it dropped. Deprecating drops none.
 */
async function keepRecord(
  place: Place,
  image: Image,
  request: RecallRequest,
): Promise<((step: Step) => Promise<void>) | undefined> {
  const Tags = tagsOf(request);
  for (let last = 0; ; ) {
    // In this order: what another recall has dropped by now is in the record that it wrote before.
    const seen = await launchPermissionsOf(place, image.ImageId ?? '');
    const records = await readRecords(place, image.ImageId ?? '');
    if (records.kept !== undefined && isTold(image, records.kept.record, request.how)) return undefined;
    records.last = Math.max(last, records.last);
    const record = recordOf(place, image, { seen, kept: records.kept, request });
    const id = await writeRecord(records, { record, Tags });
    if (id !== undefined) return (step) => noteStep(records, { id, step, Tags });
    // Now it is seen what is there.
    await place.sleep(changedMs);
    last = records.last;
  }
}

type Seen = Readonly<{ seen: LaunchPermission[]; kept: Kept | undefined; request: RecallRequest }>;

function recordOf(place: Place, image: Image, { seen, kept, request: { run, reason, how } }: Seen): RecallRecord {
  const former = kept?.record;
  const now = place.awsNow();
  const at = new Date(now).toISOString();
  const dropped = droppedBy(kept, now);
  const isNew = how === 'deprecate' && mayDeprecate(place, image) && !isNearRecall(image, former);
  return {
    ...{ how, reason, at, run: run.runUrl, state: image.State === 'disabled' ? 'disabled' : 'available' },
    launchPermissions: how === 'deprecate' ? without(dropped, seen) : [...without(dropped, seen), ...seen],
    deprecation: isNew
      ? { before: image.DeprecationTime ?? null, at }
      : isDeprecatedBy(image, former)
        ? former?.deprecation
        : undefined,
  };
}

/**
 * The permissions that a former recall dropped and that nobody has given back: those that a restore owed when the AMI was
 * deprecated; or where it was disabled, at the same time as this, or as a restore was giving them back. Of one that a team
 * enabled since, they are no more than what it has.
 */
function droppedBy(kept: Kept | undefined, now: number): readonly LaunchPermission[] {
  if (kept === undefined) return [];
  const { record, steps } = kept;
  const { how, state, at, launchPermissions } = record;
  if (how === 'deprecate') return launchPermissions;
  const isAtOnce = steps.has('restoring') || now - Date.parse(at) < atOnceMs;
  return state === 'available' && isAtOnce ? launchPermissions : [];
}

function without(all: readonly LaunchPermission[], others: readonly LaunchPermission[]): LaunchPermission[] {
  const there = new Set(others.map(launcherName));
  return all.filter((one) => !there.has(launcherName(one)));
}

/** The tags of what is kept of a recall. */
export function tagsOf({ run }: Pick<RecallRequest, 'run'>): Tag[] {
  return tagsFrom({ [tagKeys.run]: run.runUrl, [tagKeys.commit]: run.sha });
}

/** Whether the record of a former recall says all that this one would. */
function isTold(image: Image, former: RecallRecord, how: RecallWay): boolean {
  const isDisabled = image.State === 'disabled';
  if (isDisabled) return former.how === 'disable' || former.state === 'disabled';
  return how === 'deprecate' && former.how === how && isNearRecall(image, former);
}

/** From asking for it until it is in force, and some more. */
const deprecatingMs = 10 * 60_000;

/** Whether a recall has set the AMI's time of deprecation, or was about to, and nobody has given it another since. */
export function isDeprecatedBy(image: Image, record: RecallRecord | undefined): boolean {
  if (record?.deprecation === undefined) return false;
  return (image.DeprecationTime ?? null) === record.deprecation.before || isNearRecall(image, record);
}

function isNearRecall({ DeprecationTime = '' }: Image, record: RecallRecord | undefined): boolean {
  const since = Date.parse(DeprecationTime) - Date.parse(record?.deprecation?.at ?? '');
  return Math.abs(since) < deprecatingMs;
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
    throw new Error(`${obstacle.why}. What to do: ${obstacle.remedy(place.region)}; or recall it with how: disable`);
  if (isOwnProtection(image) && !(await liftProtection(place, image)))
    throw new Error(
      'its protection is lifted, and has a cooldown of a day: recall it again then; or with how: disable',
    );
  await deregisterImage(place, image);
  // What an earlier recall kept is of no more use, and nothing finds it by an AMI that is gone.
  await deleteRecords(await readRecords(place, id));
  const left: string[] = [];
  await deleteEach(place, snapshotIdsOf(image), (one, error) => {
    // Another AMI of somebody's has it.
    if (!isInUse(error)) throw error;
    left.push(one);
  });
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
