import type { Clock } from '../src/time.ts';

/**
 * A time that passes only when nothing is left to do but to wait: then it is at once as late as the first that waits
 * wants it. A run of hours takes as long as its computing does.
 */
export type VirtualClock = Clock & Readonly<{ sleep(ms: number, signal?: AbortSignal): Promise<void> }>;

/** `waits` keeps time moving; what doesn't wait (a time-out) fires when time comes by, and no time passes for it alone. */
type Timer = { at: number; order: number; waits: boolean; fire: () => void };

/** So many rounds of the event loop without a word are silence: what was under way in this process has come to rest. */
const quietRounds = 3;

export function openVirtualClock(start: number = Date.now()): VirtualClock {
  let now = start;
  let order = 0;
  let ticking = false;
  let quiet = 0;
  const timers = new Set<Timer>();

  const add = (ms: number, waits: boolean, fire: () => void): Timer => {
    const timer = { at: now + Math.max(0, ms), order: order++, waits, fire };
    timers.add(timer);
    quiet = 0;
    if (!ticking) {
      ticking = true;
      setImmediate(tick);
    }
    return timer;
  };

  const tick = (): void => {
    if (![...timers].some(({ waits }) => waits)) {
      ticking = false;
      return;
    }
    quiet = isReading() ? 0 : quiet + 1;
    if (quiet >= quietRounds) pass();
    setImmediate(tick);
  };

  const pass = (): void => {
    let next: Timer | undefined;
    for (const timer of timers)
      if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer;
    if (next === undefined) return;
    timers.delete(next);
    now = Math.max(now, next.at);
    quiet = 0;
    next.fire();
  };

  return {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const aborted = () => {
          timers.delete(timer);
          reject(signal?.reason);
        };
        const timer = add(ms, true, () => {
          signal?.removeEventListener('abort', aborted);
          resolve();
        });
        signal?.addEventListener('abort', aborted, { once: true });
      }),
    after(ms, reason = new DOMException(`not within ${ms / 1000} s`, 'TimeoutError')) {
      const controller = new AbortController();
      add(ms, false, () => controller.abort(reason));
      return controller.signal;
    },
  };
}

/** The SDK looks into its shared files; that is no silence. */
function isReading(): boolean {
  return process.getActiveResourcesInfo().some((name) => name.startsWith('FSReq'));
}
