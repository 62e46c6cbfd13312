import type { Host } from './host.ts';
import type { RecallRequest } from './inputs/recall.ts';
import { joined } from './join.ts';
import { openAccounts } from './observe/accounts.ts';
import { openFindings } from './plan/problem.ts';
import type { RecalledTarget } from './recall/images.ts';
import { fail, type Notes, note, type Recalling } from './recall/recalling.ts';
import { markSources, openSource, readMeant, recallSources, unmarkSources } from './recall/source.ts';
import { recallTarget } from './recall/target.ts';
import { openLog } from './report/progress.ts';

/*
 * An image is taken back: a mark on the source AMI, by which no share begins or ends with it; then everywhere at once what
 * names its copies, what they lose is written down, and the copies themselves. Nothing is asked beforehand, and one failure
 * leaves all else going: the image must be gone wherever it can be.
 */

/** What a recall has come to. */
export type Recalled = Readonly<Notes & { targets: readonly RecalledTarget[]; seconds: number }>;

/** Takes an image back wherever the inputs say, or gives it again. What fails is in the result. */
export async function recall(host: Host, request: RecallRequest, signal: AbortSignal): Promise<Recalled> {
  const log = openLog(host);
  const findings = openFindings(signal);
  const sides = { source: 'source-recall', target: 'target-recall' } as const;
  const accounts = openAccounts(host, { ...request, sides }, findings);
  const notes: Notes = { done: [], left: [], failed: [], inUse: [] };
  const recalling: Recalling = { request, accounts, findings, log, notes };
  const source = await openSource(recalling);
  const images = source === undefined ? [] : await markSources(recalling, source);
  const meant = await readMeant(recalling, source, images);
  const [own, ...others] = await joined<RecalledTarget[][]>([
    source !== undefined && request.includeSource ? recallSources(recalling, source, images) : Promise.resolve([]),
    ...request.targets.map((target) => recallTarget(recalling, target, meant)),
  ]);
  const targets = [...(own ?? []), ...others.flat()];
  noteUnfound(recalling, { targets, isThere: (id) => source === undefined || meant.names.has(id) });
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
  const isTold = (id: string) =>
    targets.some(({ amiId, sourceAmi }) => amiId === id || sourceAmi === id) ||
    notes.left.some((what) => what.includes(id));
  const ofSource =
    'correct the ID, source-region or the targets. If an earlier recall deregistered all of it, nothing is left to do';
  for (const id of request.targetImages.filter((one) => !isTold(one)))
    fail(
      recalling,
      'target-ami-ids',
      `${id} is in none of the targets. What to do: correct the list of targets, or the ID`,
    );
  for (const id of request.sourceImages.filter((one) => !isTold(one)))
    if (!isThere(id)) fail(recalling, 'ami-id', `neither ${id} nor a copy of it is there. What to do: ${ofSource}`);
    else if (request.restore)
      note(
        recalling,
        'ami-id',
        `no target has a copy of ${id}: one that was deregistered comes back only by sharing it again`,
      );
}
