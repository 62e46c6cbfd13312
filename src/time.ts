import { setTimeout as timeout } from 'node:timers/promises';

/** The time that a run goes by. Tests give one of their own, which doesn't wait. */
export type Clock = Readonly<{
  /** In ms since the epoch. */
  now(): number;
  /** Waits, unless `signal` ends it first, and then throws the signal's reason. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** A signal that fires after so long, with `reason`; it keeps no process alive. */
  after(ms: number, reason?: Error): AbortSignal;
}>;

/** The job was cancelled: little time is left. */
export class CancelError extends Error {
  override name = 'CancelError';
}

/** The run took longer than it was given. */
export class TimeOutError extends Error {
  override name = 'TimeOutError';
}

/** What was read wasn't answered in the time that it may take, and is given up. */
export class LateError extends Error {
  override name = 'LateError';
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** The machine's own. */
export const systemClock: Clock = {
  now: Date.now,
  async sleep(ms, signal) {
    try {
      await timeout(ms, undefined, { signal });
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    }
  },
  after(ms, reason = new DOMException(`not within ${ms / 1000} s`, 'TimeoutError')) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), ms).unref();
    return controller.signal;
  },
};
