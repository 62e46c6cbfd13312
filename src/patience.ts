import type { Place } from './aws/clients.ts';
import type { Host } from './host.ts';
import type { Reach } from './inputs/reach.ts';
import { type Clock, LateError } from './time.ts';
import { spokenSeconds } from './words.ts';

const troubled = 'see whether AWS has trouble there (https://health.aws.amazon.com), and run it again';

/** Fires when the time is over, as what no answer has come within. */
function lateSignal(clock: Clock, ms: number, remedy = troubled): AbortSignal {
  return clock.after(ms, new LateError(`no answer within ${spokenSeconds(ms / 1000)}`, remedy));
}

/** Rejects when the time is over, and never otherwise: what is raced with it and doesn't answer is given up. */
export function lateAfter({ clock }: Pick<Host, 'clock'>, ms: number, remedy?: string): Promise<never> {
  const late = new Promise<never>((_, reject) => {
    const limit = lateSignal(clock, ms, remedy);
    limit.addEventListener('abort', () => reject(limit.reason), { once: true });
  });
  // There may be nothing to wait for.
  late.catch(() => undefined);
  return late;
}

/** The same place, that is given up when the time is over. */
export function brief(place: Place, ms: number): Place {
  return place.until(AbortSignal.any([place.signal, lateSignal(place.clock, ms)]));
}

/**
 * Rejects when half of the time is over that is left until `timeout-minutes`. What only reads goes so far with each of its
 * stages, and for `mostMs` at most: one account or region that doesn't answer leaves time to read, and to tell, all else.
 */
export function afterHalf(
  host: Pick<Host, 'clock'>,
  { run, timeout }: Reach,
  mostMs = Number.POSITIVE_INFINITY,
): Promise<never> {
  const leftMs = run.date.getTime() + timeout.minutes * 60_000 - host.clock.now();
  return lateAfter(
    host,
    Math.min(Math.max(0, leftMs / 2), mostMs),
    `${troubled}, with a larger timeout-minutes if it was only slow`,
  );
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
