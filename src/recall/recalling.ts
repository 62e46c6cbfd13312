import { explainLine, StepError } from '../aws/errors.ts';
import type { Host } from '../host.ts';
import type { RecallRequest } from '../inputs/recall.ts';
import type { Accounts } from '../observe/accounts.ts';
import type { RecallNotes } from '../outcome.ts';
import type { Findings } from '../plan/problem.ts';
import type { Log } from '../report/progress.ts';

/* What a recall notes on its way: one failure leaves all else going, and is told at the end. */

export type Recalling = Readonly<{
  host: Host;
  request: RecallRequest;
  accounts: Accounts;
  findings: Findings;
  log: Log;
  notes: RecallNotes;
}>;

/** So long, what is only read may keep AMIs from being taken back; what isn't answered by then is told, and all else goes on. */
export const readingMs = 60_000;

/** Adds what was done to the notes and the log. */
export function note({ notes, log }: Recalling, where: string, what: string): void {
  notes.done.push(`${where}: ${what}`);
  log.line(where, what);
}

/** Adds what failed to the notes and the log; what is read twice fails once. */
export function fail({ notes, log }: Recalling, where: string, what: string): void {
  const failure = `${where}: ${what}`;
  if (notes.failed.includes(failure)) return;
  notes.failed.push(failure);
  log.line(where, what);
}

/** The result of `act`; undefined after a note of why there is none. */
export async function attempt<T>(
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
