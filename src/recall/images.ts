import type { Place } from '../aws/clients.ts';
import { changedMs } from '../aws/describe.ts';
import { explainLine, isUnknownAction, placeName, StepError } from '../aws/errors.ts';
import type { RecallWay } from '../inputs/recall.ts';
import { joined } from '../join.ts';
import { usersOf } from '../observe/users.ts';
import type { RecalledTarget } from '../outcome.ts';
import { brief } from '../patience.ts';
import type { Users } from '../plan/facts.ts';
import type { Copy } from './copies.ts';
import { looksAt } from './in-use.ts';
import { attempt, fail, note, type Recalling, readingMs } from './recalling.ts';
import { restore, unmarkRecalled } from './restore.ts';
import { type Withdrawn, withdraw } from './withdraw.ts';

/** Takes AMIs of an account and region back, and notes what still uses them. */
export async function takeBack(
  recalling: Recalling,
  place: Place,
  { copies, how }: Readonly<{ copies: readonly Copy[]; how: RecallWay }>,
): Promise<RecalledTarget[]> {
  const request = { ...recalling.request, how };
  const act = ({ image }: Copy) => withdraw(place, image, request);
  // AWS tells what uses an AMI only while that is there.
  const before = how === 'deregister' ? await readUses(recalling, brief(place, readingMs), copies) : undefined;
  const records = await each(recalling, { place, copies, doing: `Taking back (how: ${how})` }, act);
  // What became of the AMIs is told, whatever ends this.
  await attempt(recalling, { where: placeName(place), what: 'Looking for what still uses the AMIs' }, async () => {
    if (before === undefined) await place.sleep(changedMs);
    const users = before ?? (await readUses(recalling, place, copies));
    await noteUses(recalling, { place, copies, records, users });
  });
  return records;
}

/** Gives recalled AMIs of an account and region again; the mark stays on those of the source account until all is done. */
export function giveAgain(
  recalling: Recalling,
  place: Place,
  { copies, keepsMark }: Readonly<{ copies: readonly Copy[]; keepsMark: boolean }>,
): Promise<RecalledTarget[]> {
  return each(recalling, { place, copies, doing: 'Restoring' }, async ({ id, image }) => {
    const restored = await restore(place, image, recalling.request);
    if (!keepsMark) await unmarkRecalled(place, id);
    return restored;
  });
}

function each(
  recalling: Recalling,
  { place, copies, doing }: Readonly<{ place: Place; copies: readonly Copy[]; doing: string }>,
  act: (copy: Copy) => Promise<Withdrawn>,
): Promise<RecalledTarget[]> {
  const { account, region } = place;
  const where = placeName(place);
  return joined(
    copies.map(async (copy): Promise<RecalledTarget> => {
      const base = { account, region, amiId: copy.id, sourceAmi: copy.sourceAmi };
      try {
        const { status, done, lacks } = await act(copy);
        note(recalling, where, done);
        if (lacks !== undefined) fail(recalling, where, lacks);
        return { ...base, status, ...(lacks !== undefined && { error: lacks }) };
      } catch (error) {
        const told = explainLine(new StepError(`${doing} ${copy.id}`, error));
        fail(recalling, where, told);
        return { ...base, status: 'failed', error: told };
      }
    }),
  );
}

/** What uses the AMIs, as far as it can be read; what can't is noted. */
export function readUses(recalling: Recalling, place: Place, copies: readonly Copy[]): Promise<Users> {
  const where = placeName(place);
  const ids = copies.map(({ id }) => id);
  return usersOf(place, ids, (kind, error) => {
    recalling.findings.signal.throwIfAborted();
    if (isUnknownAction(error)) recalling.findings.warn(where, `AWS doesn't tell ${kind} here`);
    else fail(recalling, where, explainLine(new StepError(`Looking for ${kind}`, error)));
  });
}

type Used = Readonly<{
  place: Place;
  copies: readonly Copy[];
  records: readonly RecalledTarget[];
  users: Users;
}>;

/** Notes what still uses the AMIs, now that they are taken back. */
async function noteUses(recalling: Recalling, { place, copies, records, users }: Used): Promise<void> {
  const gone = new Set(records.flatMap(({ amiId, status }) => (status === 'deregistered' ? (amiId ?? []) : [])));
  const where = placeName(place);
  const found = await joined(
    looksAt(place, { copies, gone, users }).map(({ what, read }) =>
      attempt(recalling, { where, what: `Looking for ${what}` }, read),
    ),
  );
  recalling.notes.inUse.push(...found.flatMap((uses) => uses ?? []));
}
