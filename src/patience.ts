import type { Host } from './host.ts';
import type { Reach } from './inputs/reach.ts';
import { spokenSeconds } from './report/words.ts';
import { LateError } from './time.ts';

/** Rejects when the time is over, and never otherwise: what is raced with it and doesn't answer is given up. */
export function lateAfter({ clock }: Pick<Host, 'clock'>, ms: number): Promise<never> {
  const late = new Promise<never>((_, reject) => {
    const limit = clock.after(ms, new LateError(`no answer within ${spokenSeconds(ms / 1000)}`));
    limit.addEventListener('abort', () => reject(limit.reason), { once: true });
  });
  // There may be nothing to wait for.
  late.catch(() => undefined);
  return late;
}

/**
 * Rejects when half of the time is over that is left until `timeout-minutes`. What only reads goes so far with each of its
 * stages: one account or region that doesn't answer leaves time to read, and to tell, all else.
 */
export function afterHalf(host: Pick<Host, 'clock'>, { run, timeout }: Reach): Promise<never> {
  const leftMs = run.date.getTime() + timeout.minutes * 60_000 - host.clock.now();
  return lateAfter(host, Math.max(0, leftMs / 2));
}

/** Does `act` with a signal that also fires when it is done: what was given up may still be waiting for an answer. */
export async function ending<T>(signal: AbortSignal, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const over = new AbortController();
  try {
    return await act(AbortSignal.any([signal, over.signal]));
  } finally {
    over.abort();
  }
}
