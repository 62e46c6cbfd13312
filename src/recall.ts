import { problemLine } from './alike.ts';
import type { Place } from './aws/clients.ts';
import { describeImages, ownImages } from './aws/describe.ts';
import { explainLine, placeName, StepError } from './aws/errors.ts';
import type { Host } from './host.ts';
import { runValues } from './inputs/reader.ts';
import type { RecallRequest } from './inputs/recall.ts';
import type { TargetRequest } from './inputs/targets.ts';
import { joined } from './join.ts';
import { type Accounts, openAccounts } from './observe/accounts.ts';
import { usersOf } from './observe/users.ts';
import type { Users } from './plan/facts.ts';
import { type Findings, openFindings } from './plan/problem.ts';
import { type Copies, type Copy, findCopies, type Meant } from './recall/copies.ts';
import { type InUse, inUseOf } from './recall/in-use.ts';
import { repoint } from './recall/pointers.ts';
import { markRecalled, restore, unmarkRecalled, type Withdrawn, withdraw } from './recall/withdraw.ts';
import { findEncryptedCopies } from './release/encrypted-copies.ts';
import { type Log, openLog } from './report/progress.ts';
import { recalledTag } from './tags.ts';
import { fill, placeholders } from './template.ts';

/*
 * An image is taken back: a mark on the source AMI, by which no share begins or ends with it; then everywhere at once what
 * names its copies, what they lose is written down, and the copies themselves. One target's failure leaves the others going.
 */

/** What became of one AMI, or of a target that has none; a record of the output `targets`. */
export type RecalledTarget = Readonly<{
  account: string;
  region: string;
  amiId: string | null;
  sourceAmi: string | null;
  status: Withdrawn['status'] | 'absent' | 'failed';
  error?: string;
}>;

/** What a recall has come to. */
export type Recalled = Readonly<{
  targets: readonly RecalledTarget[];
  inUse: readonly InUse[];
  /** What was done beside the AMIs: marks, pointers. */
  done: readonly string[];
  /** What only bears our tags. */
  left: readonly string[];
  failed: readonly string[];
  seconds: number;
}>;

type Recalling = Readonly<{
  request: RecallRequest;
  accounts: Accounts;
  findings: Findings;
  log: Log;
  notes: Notes;
}>;
type Notes = { done: string[]; left: string[]; failed: string[]; inUse: InUse[] };

/** Takes an image back wherever the inputs say, or gives it again. What fails is in the result. */
export async function recall(host: Host, request: RecallRequest, signal: AbortSignal): Promise<Recalled> {
  const log = openLog(host);
  const findings = openFindings(signal);
  const sides = { source: 'source-recall', target: 'target-recall' } as const;
  const accounts = openAccounts(host, { ...request, sides }, findings);
  const notes: Notes = { done: [], left: [], failed: [], inUse: [] };
  const recalling: Recalling = { request, accounts, findings, log, notes };
  await accounts.openSource();
  const source = accounts.source(request.source.region);
  if (!request.restore) await joined(request.sourceImages.map((id) => markSource(recalling, source, id)));
  const meant = await readMeant(recalling, source);
  const [own, ...others] = await joined<RecalledTarget[][]>([
    request.includeSource ? recallSource(recalling, source) : Promise.resolve([]),
    ...request.targets.map((target) => recallTarget(recalling, target, meant)),
  ]);
  const targets = [...(own ?? []), ...others.flat()];
  noteUnfound(recalling, targets);
  // While a copy is not as it was, the mark stays, and the next restore finds all that is left.
  const isWhole = targets.every(({ status }) => status !== 'failed');
  if (request.restore && isWhole) await joined(request.sourceImages.map((id) => unmarkSource(recalling, source, id)));
  for (const warning of findings.warnings()) log.warn(warning);
  return { targets, ...notes, seconds: log.elapsedSeconds() };
}

/** Adds what was done to the notes and the log. */
function note({ notes, log }: Recalling, where: string, what: string): void {
  notes.done.push(`${where}: ${what}`);
  log.line(where, what);
}

function fail({ notes, log }: Recalling, where: string, what: string): void {
  notes.failed.push(`${where}: ${what}`);
  log.line(where, what);
}

/** The result of `act`; undefined after a note of why there is none. */
async function attempt<T>(
  recalling: Recalling,
  doing: Readonly<{ where: string; what: string }>,
  act: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    fail(recalling, doing.where, explainLine(new StepError(doing.what, error)));
    return undefined;
  }
}

/** What can't be marked is recalled all the same, and told: a share of it would go on. */
function markSource(recalling: Recalling, source: Place, id: string): Promise<void> {
  const where = placeName(source);
  return attempt(recalling, { where, what: `Marking the source AMI ${id} as recalled` }, async () => {
    const [image] = await describeImages(source, [id]);
    if (image === undefined) {
      note(recalling, where, `the source AMI ${id} is gone, so it bears no mark`);
      return;
    }
    await markRecalled(source, id, recalling.request.reason);
    note(recalling, where, `the source AMI ${id} is marked as recalled: no share takes it any more`);
  });
}

function unmarkSource(recalling: Recalling, source: Place, id: string): Promise<void> {
  const where = placeName(source);
  return attempt(recalling, { where, what: `Taking the mark off the source AMI ${id}` }, async () => {
    const [image] = await describeImages(source, [id]);
    if (image === undefined) return;
    await unmarkRecalled(source, id);
    note(recalling, where, `the source AMI ${id} can be shared again`);
  });
}

/** What the source account tells of what is meant; what can't be read there only leaves less to be found. */
async function readMeant(recalling: Recalling, source: Place): Promise<Meant> {
  const { sourceImages, targetImages, replacement } = recalling.request;
  const where = placeName(source);
  const [recalled, copies] = await joined([
    attempt(recalling, { where, what: 'Looking for AMIs that are recalled' }, () =>
      ownImages(source, { Name: 'tag-key', Values: [recalledTag] }),
    ),
    attempt(recalling, { where, what: 'Looking for encrypted copies' }, () =>
      joined(sourceImages.map(async (id) => ({ id, ...(await findEncryptedCopies(source, id)) }))),
    ),
  ]);
  const recalledSources = new Set([...(recalled ?? []).flatMap(({ ImageId }) => ImageId ?? []), ...sourceImages]);
  if (replacement !== undefined && recalledSources.has(replacement))
    fail(
      recalling,
      where,
      `the replacement ${replacement} is recalled itself. What to do: give another, or restore it`,
    );
  const parents = (copies ?? []).flatMap(({ id, images }) =>
    images.map(({ ImageId = '' }): [string, string] => [ImageId, id]),
  );
  return { sourceImages, targetImages, replacement, parents: new Map(parents), recalledSources };
}

/** The source AMI itself, which whoever names it means: it needs no evidence, and nothing of ours names it. */
async function recallSource(recalling: Recalling, source: Place): Promise<RecalledTarget[]> {
  const { request } = recalling;
  const where = placeName(source);
  const read = await attempt(recalling, { where, what: 'Reading the source AMI' }, () =>
    describeImages(source, request.sourceImages),
  );
  const own = (read ?? []).filter(({ OwnerId }) => OwnerId === source.account);
  const copies = own.map((image): Copy => ({ image, id: image.ImageId ?? '', sourceAmi: image.ImageId ?? '' }));
  for (const { ImageId, OwnerId } of read ?? [])
    if (OwnerId !== source.account)
      fail(recalling, where, `${ImageId} belongs to account ${OwnerId}, which only can take it back`);
  const records = await withdrawAll(recalling, source, copies);
  if (!request.restore) await noteUses(recalling, source, copies);
  return records;
}

async function recallTarget(recalling: Recalling, target: TargetRequest, meant: Meant): Promise<RecalledTarget[]> {
  const { accounts, findings, request } = recalling;
  const { account, region } = target;
  const where = placeName(target);
  const failed = (error: string): RecalledTarget[] => {
    fail(recalling, where, error);
    return [{ account, region, amiId: null, sourceAmi: null, status: 'failed', error }];
  };
  const own = findings.about([where]);
  const { problem } = target.everyRegion ?? {};
  if (problem !== undefined) return failed(problemLine([problem]));
  if ((await accounts.openTarget(target, target.roleArn)) === undefined) return failed(problemLine(own.of(where)));
  const place = accounts.target(target);
  const copies = await own.attempt(where, 'looking for the AMIs', () => findCopies(place, meant));
  if (copies === undefined) return failed(problemLine(own.of(where)));
  for (const { id, why, isFailure } of copies.left) {
    const told = `${id} is left alone: ${why}`;
    recalling.notes.left.push(`${where}: ${told}`);
    if (isFailure) fail(recalling, where, told);
  }
  if (copies.meant.length === 0) return [{ account, region, amiId: null, sourceAmi: null, status: 'absent' }];
  if (!request.restore) await movePointers(recalling, { place, target, copies });
  const records = await withdrawAll(recalling, place, copies.meant);
  if (!request.restore) await noteUses(recalling, place, copies.meant);
  return records;
}

type InTarget = Readonly<{ place: Place; target: TargetRequest; copies: Copies }>;

/** Has what names the AMIs name others. What fails there doesn't keep the AMIs from being taken back. */
async function movePointers(recalling: Recalling, { place, target, copies }: InTarget): Promise<void> {
  const { request } = recalling;
  const where = placeName(place);
  const users = await readUses(recalling, place, copies.meant);
  const templates = copies.meant.flatMap(({ id }) =>
    (users?.get(id) ?? []).flatMap(({ by }) => (/^lt-[0-9a-f]+$/.test(by) ? [by] : [])),
  );
  const { moved, failed } = await repoint({
    ...{ place, copies, run: request.run, templates: [...new Set(templates)] },
    parameter: named(request, target, request.ssmParameter),
    template: named(request, target, request.launchTemplate),
  });
  for (const what of moved) note(recalling, where, what);
  for (const what of failed) fail(recalling, where, what);
}

/** What an input names in a target; undefined where that takes what is not known, such as the source AMI's name. */
function named({ run }: RecallRequest, { account, region }: TargetRequest, template: string | undefined) {
  const filled = template && fill(template, { account, region, ...runValues(run) });
  return placeholders.some((one) => filled?.includes(`{${one}}`)) ? undefined : filled;
}

/** What uses the AMIs; undefined after a note of why that isn't known. */
function readUses(recalling: Recalling, place: Place, copies: readonly Copy[]): Promise<Users | undefined> {
  const where = placeName(place);
  const ids = copies.map(({ id }) => id);
  return attempt(recalling, { where, what: `Looking for what uses ${ids.join(', ')}` }, () =>
    usersOf(place, ids, (what) => recalling.findings.warn(where, what)),
  );
}

/** What was taken back a moment ago reads as it was: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html */
const settleMs = 10_000;

/** Notes what still uses the AMIs, now that they are taken back. */
async function noteUses(recalling: Recalling, place: Place, copies: readonly Copy[]): Promise<void> {
  if (copies.length === 0) return;
  await place.sleep(settleMs);
  const users = await readUses(recalling, place, copies);
  const found = await attempt(
    recalling,
    { where: placeName(place), what: 'Looking for what the snapshots are shared with' },
    () => inUseOf(place, copies, users ?? new Map()),
  );
  recalling.notes.inUse.push(...(found ?? []));
}

function withdrawAll(recalling: Recalling, place: Place, copies: readonly Copy[]): Promise<RecalledTarget[]> {
  const { request } = recalling;
  const { account, region } = place;
  const where = placeName(place);
  return joined(
    copies.map(async ({ id, image, sourceAmi }): Promise<RecalledTarget> => {
      const base = { account, region, amiId: id, sourceAmi };
      try {
        const { status, done } = await (request.restore ? restore(place, image) : withdraw(place, image, request));
        note(recalling, where, done);
        return { ...base, status };
      } catch (error) {
        const doing = `${request.restore ? 'Restoring' : 'Taking back'} ${id} (${request.restore ? 'restore' : request.how})`;
        const told = explainLine(new StepError(doing, error));
        fail(recalling, where, told);
        return { ...base, status: 'failed', error: told };
      }
    }),
  );
}

/** An AMI of a target that was named, and is in none of them, is a mistake. */
function noteUnfound(recalling: Recalling, targets: readonly RecalledTarget[]): void {
  const { targetImages } = recalling.request;
  const isTold = (id: string) =>
    targets.some(({ amiId }) => amiId === id) || recalling.notes.left.some((what) => what.includes(id));
  // Where a target could not be looked at, that is told already.
  if (targets.some(({ status, amiId }) => status === 'failed' && amiId === null)) return;
  for (const id of targetImages)
    if (!isTold(id))
      fail(
        recalling,
        'target-ami-ids',
        `${id} is in none of the targets. What to do: correct the list of targets, or the ID`,
      );
}
