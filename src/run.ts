import type { Host } from './host.ts';
import type { Request } from './inputs.ts';
import type { Ledger } from './ledger.ts';
import type { Log } from './report/progress.ts';
import type { Timeline } from './report/timeline.ts';

/** What every step of one run has at hand. */
export type Run = Readonly<{
  host: Host;
  request: Request;
  leaseId: string;
  ledger: Ledger;
  log: Log;
  timeline: Timeline;
  /** Fires on a cancel and at the time-out; nothing new is begun after it. */
  signal: AbortSignal;
  /** Has the whole run stop; every target that isn't finished fails with `why`. */
  stop: (why: Error) => void;
  /** What should have been removed and could not be; filled as it comes up. */
  leftBehind: string[];
}>;
