import { problemLine } from '../alike.ts';
import type { Place } from '../aws/clients.ts';
import { explainLine, placeName } from '../aws/errors.ts';
import { runValues } from '../inputs/reader.ts';
import type { TargetRequest } from '../inputs/targets.ts';
import type { RecalledTarget } from '../outcome.ts';
import { brief } from '../patience.ts';
import { fill, needsSourceImage } from '../template.ts';
import { type Copies, findCopies, type Meant } from './copies.ts';
import { giveAgain, readUses, takeBack } from './images.ts';
import { repoint } from './pointers.ts';
import { fail, note, type Recalling, readingMs } from './recalling.ts';

/** What is meant, and the names of the source AMIs, by their IDs, as far as they are there. */
type Asked = Meant & Readonly<{ names: ReadonlyMap<string, string> }>;

/** A target, and why it can't be reached; undefined where it can. */
export type Reaching = Readonly<{ target: TargetRequest; unreached: Promise<string | undefined> }>;

/** Assumes the role of a target; gives, and notes, why that can't be done. */
export async function reach(recalling: Recalling, target: TargetRequest): Promise<string | undefined> {
  const { accounts, findings } = recalling;
  const where = placeName(target);
  const { problem } = target.everyRegion ?? {};
  if (problem === undefined && (await accounts.openTarget(target, target.roleArn)) !== undefined) return undefined;
  const error = problemLine(problem === undefined ? findings.of(where) : [problem]);
  fail(recalling, where, error);
  return error;
}

/** Takes the AMIs of a target back, or gives them again. What fails is noted; so is what ends the run, such as a cancel. */
export async function recallTarget(
  recalling: Recalling,
  { target, unreached }: Reaching,
  meant: Asked,
): Promise<RecalledTarget[]> {
  const { account, region } = target;
  const failed = (error: string): RecalledTarget[] => {
    fail(recalling, placeName(target), error);
    return [{ account, region, amiId: null, sourceAmi: null, status: 'failed', error }];
  };
  try {
    const error = await unreached;
    return error === undefined ? await recallIn(recalling, target, { meant, failed }) : failed(error);
  } catch (error) {
    return failed(explainLine(error));
  }
}

type Within = Readonly<{ meant: Asked; failed: (error: string) => RecalledTarget[] }>;

async function recallIn(
  recalling: Recalling,
  target: TargetRequest,
  { meant, failed }: Within,
): Promise<RecalledTarget[]> {
  const { accounts, findings, request } = recalling;
  const { account, region } = target;
  const where = placeName(target);
  const own = findings.about([where]);
  const place = accounts.target(target);
  const copies = await own.attempt(where, 'looking for the AMIs', () => findCopies(place, meant));
  if (copies === undefined) return failed(problemLine(own.of(where)));
  const unproven = leaveAlone(recalling, target, copies);
  if (copies.meant.length === 0 && unproven.length === 0)
    return [{ account, region, amiId: null, sourceAmi: null, status: 'absent' }];
  if (request.restore)
    return [...unproven, ...(await giveAgain(recalling, place, { copies: copies.meant, keepsMark: false }))];
  const isNamed = await movePointers(recalling, { place, target, copies, names: meant.names });
  // No later recall finds what names an AMI that is gone.
  const how = isNamed && request.how === 'deregister' ? 'disable' : request.how;
  if (how !== request.how)
    fail(
      recalling,
      where,
      'the AMIs are only disabled, not deregistered, while something names them. What to do: mend that, and recall them again',
    );
  return [...unproven, ...(await takeBack(recalling, place, { copies: copies.meant, how }))];
}

/** Tells what isn't proven to be this action's; gives what failed of it. */
function leaveAlone(recalling: Recalling, { account, region }: TargetRequest, { left }: Copies): RecalledTarget[] {
  const where = placeName({ account, region });
  return left.flatMap(({ id, sourceAmi, why, isFailure }): RecalledTarget[] => {
    const error = `${id} is left alone: ${why}`;
    recalling.notes.left.push(`${where}: ${error}`);
    if (isFailure) fail(recalling, where, error);
    else recalling.log.line(where, error);
    return isFailure ? [{ account, region, amiId: id, sourceAmi, status: 'failed', error }] : [];
  });
}

type InTarget = Readonly<{ place: Place; target: TargetRequest; copies: Copies; names: Asked['names'] }>;

/** Has what names the AMIs name others; whether any is known that still names one. */
async function movePointers(recalling: Recalling, { place, target, copies, names }: InTarget): Promise<boolean> {
  const { request } = recalling;
  const where = placeName(place);
  const users = await readUses(recalling, brief(place, readingMs), copies.meant);
  const templates = copies.meant.flatMap(({ id }) =>
    (users.get(id) ?? []).flatMap(({ by }) => (/^lt-[0-9a-f]+$/.test(by) ? [by] : [])),
  );
  const named = (input: string, template: string | undefined): string[] => {
    if (template === undefined) return [];
    const { account, region } = target;
    const filled = copies.meant.map(({ sourceAmi }) => {
      const name = names.get(sourceAmi);
      const source = { 'source-ami': sourceAmi, ...(name !== undefined && { name }) };
      return fill(template, { account, region, ...runValues(request.run), ...source });
    });
    if (filled.some(needsSourceImage))
      fail(
        recalling,
        where,
        `${input}: {name} is not known, since the source AMI is not there. What to do: give ${input} without it`,
      );
    return [...new Set(filled)].filter((one) => !needsSourceImage(one));
  };
  const { moved, failed, isNamed } = await repoint({
    ...{ place, copies, run: request.run, asked: request.replacement },
    parameters: named('ssm-parameter', request.ssmParameter),
    templates: { used: [...new Set(templates)], named: named('launch-template', request.launchTemplate) },
  });
  for (const what of moved) note(recalling, where, what);
  for (const what of failed) fail(recalling, where, what);
  return isNamed;
}
