import { setTimeout as timeout } from 'node:timers/promises';

/** Waits, unless `signal` ends it first, and then throws the signal's reason. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await timeout(ms, undefined, { signal });
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}
