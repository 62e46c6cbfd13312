import type { Host } from './host.ts';
import type { RecallRequest } from './inputs/recall.ts';
import { joined } from './join.ts';
import { openAccounts } from './observe/accounts.ts';
import type { Recalled, RecalledTarget, RecallNotes } from './outcome.ts';
import { brief, ending, lateAfter } from './patience.ts';
import { openFindings } from './plan/problem.ts';
import { fail, note, type Recalling, readingMs } from './recall/recalling.ts';
import { markSources, openSource, readMeant, recallSources, unmarkSources } from './recall/source.ts';
import { reach, recallTarget } from './recall/target.ts';
import { openLog } from './report/progress.ts';

/*
 * An image is taken back: a mark on the source AMI, by which no share begins or ends with it; then everywhere at once what
 * names its copies, what they lose is written down, and the copies themselves. Beforehand it is only tried who can be reached:
 * the copies are looked for after the mark, lest a share adds one meanwhile. One failure leaves all else going, and so does
 * what doesn't answer: the image must be gone wherever it can be.
 */

/** Before the first write, it is told who can't be reached; so long that waits at most. */
const reachingMs = 10_000;

/** Takes an image back wherever the inputs say, or gives it again. What fails is in the result. */
export function recall(host: Host, request: RecallRequest, whole: AbortSignal): Promise<Recalled> {
  return ending(whole, (signal) => recallUntil(host, request, signal));
}

async function recallUntil(host: Host, request: RecallRequest, signal: AbortSignal): Promise<Recalled> {
  const log = openLog(host);
  const findings = openFindings(signal);
  const sides = { source: 'source-recall', target: 'target-recall' } as const;
  const accounts = openAccounts(host, { ...request, sides }, findings);
  const notes: RecallNotes = { done: [], left: [], failed: [], inUse: [] };
  const recalling: Recalling = { host, request, accounts, findings, log, notes };
  const reaching = request.targets.map((target) => ({ target, unreached: reach(recalling, target) }));
  const reached = Promise.allSettled(reaching.map(({ unreached }) => unreached));
  const source = await openSource(recalling);
  await Promise.race([reached, lateAfter(host, reachingMs)]).catch(() => undefined);
  // What the targets wait for.
  const early = source && brief(source, readingMs);
  const images = early && (await markSources(recalling, early));
  const meant = await readMeant(recalling, early, images ?? []);
  const [own, ...others] = await joined<RecalledTarget[][]>([
    source !== undefined && request.includeSource
      ? recallSources(recalling, source, images ?? [])
      : Promise.resolve([]),
    ...reaching.map((one) => recallTarget(recalling, one, meant)),
  ]);
  const targets = [...(own ?? []), ...others.flat()];
  noteUnfound(recalling, { targets, isThere: (id) => images === undefined || meant.names.has(id) });
  // While a copy is not as it was, the mark stays, and the next restore finds all that is left.
  const isWhole = targets.every(({ status }) => status !== 'failed');
  if (request.restore && isWhole && source !== undefined) await unmarkSources(recalling, source);
  for (const warning of findings.warnings()) log.warn(warning);
  return { targets, ...notes, seconds: log.elapsedSeconds() };
}

type Found = Readonly<{
  targets: readonly RecalledTarget[];
  /** Whether a source AMI is there, or may be. */
  isThere: (id: string) => boolean;
}>;

/** An AMI that was named, and is nowhere, is a mistake; or it is gone, which no restore brings back. */
function noteUnfound(recalling: Recalling, { targets, isThere }: Found): void {
  const { notes, request } = recalling;
  // Where a target could not be looked at, that is told already.
  if (targets.some(({ status, amiId }) => status === 'failed' && amiId === null)) return;
  const isTold = (id: string, of: 'amiId' | 'sourceAmi') =>
    targets.some((one) => one.amiId === id || one[of] === id) || notes.left.some((what) => what.includes(id));
  const ofSource =
    'correct the ID, source-region or the targets. If an earlier recall deregistered all of it, nothing is left to do';
  for (const id of request.targetImages.filter((one) => !isTold(one, 'amiId')))
    fail(
      recalling,
      'target-ami-ids',
      `${id} is in none of the targets. What to do: correct the list of targets, or the ID`,
    );
  for (const id of request.sourceImages.filter((one) => !isTold(one, 'sourceAmi')))
    if (!isThere(id)) fail(recalling, 'ami-id', `neither ${id} nor a copy of it is there. What to do: ${ofSource}`);
    else if (request.restore)
      note(
        recalling,
        'ami-id',
        `no target has a copy of ${id}: one that was deregistered comes back only by sharing it again`,
      );
}
