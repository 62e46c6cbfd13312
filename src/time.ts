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
