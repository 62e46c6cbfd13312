import { CreateTagsCommand, DeleteTagsCommand, type Tag } from '@aws-sdk/client-ec2';
import { type Place, sendEc2 } from '../aws/clients.ts';
import { errorMessage, isAbsent, placeName } from '../aws/errors.ts';
import { joined } from '../join.ts';
import type { Result } from '../outcome.ts';
import type { Published } from '../plan/operation.ts';
import { idOf, type Scope } from '../run.ts';
import { tagKeys } from '../tags.ts';
import { patiently } from './patiently.ts';
import { type Asking, dryRun, idOr, type Question } from './question.ts';
import { refuseRecalled } from './recalled.ts';
import { refuseUnfit } from './unfit.ts';

export function asksToMark({ of: [of], former, isBack }: Published, { standIns }: Asking): Question[] {
  const own = idOr(standIns.image, of);
  const ids = [own, ...former.slice(0, 1)];
  const keys = [tagKeys.published, tagKeys.superseded];
  return [
    ...ids.map((id, index) => dryRun(tagging(id, [{ Key: keys[index], Value: '' }]))),
    ...(isBack ? [dryRun(untagging(own))] : []),
  ];
}

function tagging(id: string, Tags: Tag[]): CreateTagsCommand {
  return new CreateTagsCommand({ Resources: [id], Tags });
}

function untagging(id: string): DeleteTagsCommand {
  return new DeleteTagsCommand({ Resources: [id], Tags: [{ Key: tagKeys.superseded }] });
}

/**
 * Says on an AMI since when it is published, and on those before it what came after them: AWS keeps no such time, and
 * `retain-days` counts from it. Where AWS takes no such tag, the AMIs stay longer, which is a warning. @throws StepError where
 * the AMI is not to be published any more
 */
export async function markPublished({ image, former, isSaid, isBack }: Published, scope: Scope): Promise<Result> {
  const { run, place } = scope;
  const id = idOf(scope, image);
  const made = 'madeBy' in image ? scope.resultOf(image.madeBy) : undefined;
  await joined([refuseRecalled(run), refuseUnfit(scope, made ?? {})]);
  const now = new Date(place.awsNow()).toISOString();
  const marks = [
    ...(isBack ? [{ id, command: untagging(id) }] : []),
    ...(isSaid ? [] : [{ id, command: tagging(id, [{ Key: tagKeys.published, Value: now }]) }]),
    ...former.map((one) => ({
      ...{ id: one, command: tagging(one, [{ Key: tagKeys.superseded, Value: `${id} ${now}` }]) },
    })),
  ];
  const refused = (await Promise.all(marks.map((mark) => refusalOf(place, mark)))).flatMap((why) => why ?? []);
  for (const why of new Set(refused))
    run.log.warn(`${placeName(place)}: what retain-days counts from could not be noted: ${why}`);
  return {};
}

type Mark = Readonly<{ id: string; command: CreateTagsCommand | DeleteTagsCommand }>;

async function refusalOf(place: Place, { id, command }: Mark): Promise<string | undefined> {
  try {
    await patiently(place, () => sendEc2(place, command));
    return undefined;
  } catch (error) {
    place.signal.throwIfAborted();
    // An AMI that went meanwhile needs no mark.
    return isAbsent(error) ? undefined : `${id}: ${errorMessage(error)}`;
  }
}
