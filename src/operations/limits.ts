import type { Place } from '../aws/clients.ts';
import { errorMessage, isLimit, placeName } from '../aws/errors.ts';
import { retried } from '../aws/retry.ts';
import type { Run } from '../run.ts';
import { patiently } from './patiently.ts';

/** Copies that others make end some time; of what is kept (AMIs, grants), others give back little. */
const minutesForCopies = 120;
const minutesForKept = 5;

type Waiting = Readonly<{ place: Place; minutes?: number; tell?: (error: unknown) => void }>;

/**
 * The result of `act`, which is tried again while a quota is full: for so many minutes at most, as far as the place's own
 * time allows; `tell` is told of it once. @throws AWS's refusal, when it isn't one for a quota or stays
 */
export function whileFull<T>({ place, minutes = minutesForKept, tell }: Waiting, act: () => Promise<T>): Promise<T> {
  return retried(
    {
      place,
      on: isLimit,
      forMs: minutes * 60_000,
      wait: (count) => Math.min(5000 * 1.5 ** (count - 1), 60_000) * (0.75 + Math.random() / 2),
      tell: (error, count) => {
        if (count === 1) tell?.(error);
      },
    },
    act,
  );
}

/** The same in a run, whose log tells of it. */
export function retryOnLimit<T>(
  { log }: Run,
  { place, what, minutes = minutesForKept }: Readonly<{ place: Place; what: string; minutes?: number }>,
  act: () => Promise<T>,
): Promise<T> {
  const tell = (error: unknown) =>
    log.line(
      placeName(place),
      `waiting for room in a quota to ${what}, up to ${minutes} minutes (${errorMessage(error)})`,
    );
  return whileFull({ place, minutes, tell }, act);
}

/** Takes something away or back, which waits as long for a quota as what makes something does. */
export function removing<T>(place: Place, act: () => Promise<T>): Promise<T> {
  return whileFull({ place }, () => patiently(place, act));
}

/** The same for what begins a copy of `id`. */
export function retryCopyOnLimit<T>(
  run: Run,
  { place, id }: Readonly<{ place: Place; id: string }>,
  begin: () => Promise<T>,
): Promise<T> {
  return retryOnLimit(run, { place, what: `copy ${id}`, minutes: minutesForCopies }, begin);
}
