import { CreateTagsCommand, DeleteTagsCommand, type Image } from '@aws-sdk/client-ec2';
import { describeImages } from '../aws/describe.ts';
import { errorMessage, hasCode, isDenied, placeName, StepError } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import { usageReportsOn } from '../observe/usage-reports.ts';
import { usersOf, whereKnown } from '../observe/users.ts';
import type { Result } from '../outcome.ts';
import { isRejected } from '../plan/boot.ts';
import type { Deregister } from '../plan/operation.ts';
import { recallOf } from '../plan/recalled.ts';
import { replacedByTag } from '../plan/replaced.ts';
import { lastingUses, showsNoUse } from '../plan/usage-report.ts';
import type { Scope } from '../run.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { listed } from '../words.ts';
import { lifting, liftProtection } from './protect.ts';
import { type Asking, dryRun, type Question } from './question.ts';
import { deleteOrTell, deletion, deregisterImage, deregistration, isInUse } from './remove.ts';
import { asksToRestore } from './restore.ts';
import { deleteReports, deletesReport } from './usage-report.ts';

const reasons: Readonly<Record<Deregister['reason'], string>> = {
  vain: 'which an earlier attempt failed to make',
  left: 'which an earlier run left half-made',
  name: 'whose name the new AMI takes over',
  replaced: 'which is replaced',
  retain: 'which retain leaves no room for',
};

export function asksToDeregister(
  { image, reason, report, lifts }: Deregister,
  { leaseId, source }: Asking,
): Question[] {
  const Resources = snapshotIdsOf(image);
  const tag = replacedByTag({ imageId: source.imageId, lease: leaseId, at: 0, former: image.ImageId });
  const command = new CreateTagsCommand({ Resources, Tags: [tag] });
  return [
    ...(Resources.length > 0 && reason === 'name' ? [dryRun(command)] : []),
    ...(reason === 'name' ? asksToRestore(image) : []),
    ...(lifts ? [dryRun(lifting(image.ImageId ?? ''))] : []),
    deregistration(image.ImageId ?? ''),
    ...Resources.slice(0, 1).map((id) => deletion(id)),
    ...(report === undefined ? [] : [deletesReport(report)]),
  ];
}

/**
 * Deregisters an AMI of ours and deletes its snapshots. One whose name alone is wanted goes only when nothing is left to do
 * but to register the new one, and its snapshots stay until that one is right: AWS gives a name once in an account and region.
 */
export async function deregister(operation: Deregister, { run, place }: Scope): Promise<Result> {
  const { image, reason, report, lifts } = operation;
  const where = placeName(place);
  const what = `${image.ImageId} (${image.Name})`;
  const isHalfMade = reason === 'vain' || reason === 'left';
  if (!(await mayGo(operation, { run, place }))) return { undone: 'not needed' };
  try {
    if (lifts && !(await liftProtection(place, image))) {
      run.log.line(
        where,
        `${what} stays a day more: its protection is lifted, and has a cooldown. A later run removes it`,
      );
      return { undone: 'not possible' };
    }
    if (!isHalfMade) await mark(operation, { run, place });
    await deregisterImage(place, image);
  } catch (error) {
    if (reason !== 'retain') throw error;
    // A lock that could not be read, a rule of the organization: AWS's words say which. The target is none the worse.
    run.log.warn(`${where}: ${what} could not be removed: ${errorMessage(error)}`);
    await unmark(snapshotIdsOf(image), { run, place });
    return { undone: 'not possible' };
  }
  run.log.line(where, `deregistered ${what}, ${reasons[reason]}`);
  const mayStay = (error: unknown) => reason === 'retain' || isInUse(error);
  const deleteParts = () => deleteOrTell(snapshotIdsOf(image), { of: what, mayStay }, { run, place });
  const snapshotIds =
    reason === 'name'
      ? []
      : await deleteParts().catch((error: unknown) => {
          throw new StepError(`${what} in ${where} is deregistered, but not all of its snapshots are deleted`, error);
        });
  if (report !== undefined) await deleteReports(run, place, [report]);
  const id = image.ImageId ?? '';
  return isHalfMade ? { id } : { id, removed: { amiId: id, snapshotIds } };
}

type In = Pick<Scope, 'run' | 'place'>;

/**
 * Should the run be killed from here on, a later one on the same source AMI knows by the mark what no AMI will need, whatever
 * source it is of. What is half-made bears the lease of the run that made it.
 */
async function mark({ image, reason }: Deregister, { run, place }: In): Promise<void> {
  const Resources = snapshotIdsOf(image);
  if (Resources.length === 0) return;
  const former = reason === 'name' ? image.ImageId : undefined;
  const tag = replacedByTag({ imageId: run.source.imageId, lease: run.leaseId, at: place.awsNow(), former });
  try {
    await place.ec2(new CreateTagsCommand({ Resources, Tags: [tag] }));
  } catch (error) {
    // Another run may have removed it meanwhile.
    if (hasCode(error, 'InvalidSnapshot.NotFound')) return;
    if (reason === 'name' || !(isDenied(error) || hasCode(error, 'TagLimitExceeded'))) throw error;
  }
}

/** Takes the mark off an AMI that stays; where that fails, the next run does it. */
async function unmark(Resources: string[], { run, place }: In): Promise<void> {
  try {
    await place.ec2(new DeleteTagsCommand({ Resources, Tags: [{ Key: tagKeys.replacedBy }] }));
  } catch (error) {
    run.log.line(
      placeName(place),
      `the tag ${tagKeys.replacedBy} stays on ${Resources.join(', ')}: ${errorMessage(error)}`,
    );
  }
}

/**
 * Whether an AMI may go by now: hours may have passed since it was planned. One that gives its name must not stay.
 * @throws StepError where that one does
 */
async function mayGo(operation: Deregister, { run, place }: In): Promise<boolean> {
  const { image, reason } = operation;
  if (reason === 'vain' || reason === 'left') return true;
  const what = `${image.ImageId} (${image.Name})`;
  const changed = whyKept(image, await describeImages(place, [image.ImageId ?? '']));
  const asksUse = reason === 'retain' || (reason === 'name' && isRejected(image));
  if (changed === undefined && (!asksUse || (await isUnused(operation, { run, place })))) return true;
  if (reason === 'name')
    throw new StepError(
      `Taking the name ${image.Name} from ${image.ImageId} in ${placeName(place)}`,
      new Error(changed ?? 'that AMI is used, or what uses it is not known'),
      'give the new AMI another target-ami-name',
    );
  if (changed !== undefined) run.log.warn(`${placeName(place)}: ${what} stays: ${changed}`);
  return false;
}

/** Why an AMI stays that others have seen to since it was planned; what is gone, AWS says. */
function whyKept(planned: Image, [now]: readonly Image[]): string | undefined {
  if (now === undefined) return undefined;
  const recalled = recallOf(now);
  if (recalled !== undefined && recallOf(planned) === undefined) return recalled.what;
  if (now.State === 'disabled' && planned.State !== 'disabled') return 'it was disabled meanwhile';
  const published = tagValue(now, tagKeys.published);
  const isNews = published !== undefined && published !== tagValue(planned, tagKeys.published);
  return isNews ? 'another run has published it meanwhile' : undefined;
}

/** Whether nothing uses an AMI that is to go, by now; where that can't be told, it stays. */
async function isUnused({ image, report }: Deregister, { run, place }: In): Promise<boolean> {
  const where = placeName(place);
  const id = image.ImageId ?? '';
  const { retainShared, launchPermissions } = run.request.publication;
  const sharing = { launchPermissions, retainShared: report === undefined ? 'keep' : retainShared } as const;
  const warn = (text: string) => run.log.warn(`${where}: ${text}`);
  try {
    const used = lastingUses((await usersOf(place, [id], whereKnown(warn))).get(id) ?? [], sharing);
    const hasUse = report !== undefined && !showsNoUse((await usageReportsOn(place, [id])).get(id) ?? [], report);
    if (used.length === 0 && !hasUse) return true;
    const by = [
      ...used.map((one) => one.by),
      ...(hasUse ? [`other accounts, or the usage report ${report} is gone`] : []),
    ];
    run.log.line(where, `${id} (${image.Name}) stays: it is used by ${listed(by)}`);
    return false;
  } catch (error) {
    warn(`older AMIs stay, because what uses them is not known: ${errorMessage(error)}`);
    return false;
  }
}
