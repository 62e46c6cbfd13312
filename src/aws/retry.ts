import type { Place } from './clients.ts';

export type Retrying = Readonly<{
  place: Place;
  /** Whether a failure may pass by itself. */
  on: (error: unknown) => boolean;
  /** So often it is tried at most; without a number, until the place is told to stop. */
  tries?: number;
  /** For so long it is tried at most, in ms. */
  forMs?: number;
  /** How long to wait after try `count`, from 1 on, in ms. */
  wait: (count: number) => number;
  /** Told of each failure that is waited for. */
  tell?: (error: unknown, count: number) => void;
}>;

/** The result of `act`, which is tried again while its failure may pass. @throws the failure of the last try */
export async function retried<T>(
  { place, on, tries = Number.POSITIVE_INFINITY, forMs = Number.POSITIVE_INFINITY, wait, tell }: Retrying,
  act: (count: number) => Promise<T>,
): Promise<T> {
  const until = place.clock.now() + forMs;
  for (let count = 1; ; count += 1) {
    try {
      return await act(count);
    } catch (error) {
      if (count >= tries || place.clock.now() >= until || place.signal.aborted || !on(error)) throw error;
      tell?.(error, count);
      // Told to stop, AWS's own words tell more.
      await place.sleep(wait(count)).catch(() => {
        throw error;
      });
    }
  }
}

/** The first that `look` finds, which it looks for after each of some waits, in seconds; undefined where there is none. */
export async function lookedFor<T>(
  place: Place,
  seconds: readonly number[],
  look: () => Promise<T | undefined>,
): Promise<T | undefined> {
  for (const one of seconds) {
    if (one > 0) await place.sleep(one * 1000);
    const found = await look();
    if (found !== undefined) return found;
  }
  return undefined;
}
