import { describe, expect, test } from '@jest/globals';
import type { Place } from '../src/aws/clients.ts';
import { lookedFor, retried } from '../src/aws/retry.ts';

/** A place to wait in, where each wait is written down and takes no time; after `patience` waits it is told to stop. */
function waitingPlace(patience = Number.POSITIVE_INFINITY) {
  const waits: number[] = [];
  const stop = new AbortController();
  let now = 0;
  const place = {
    signal: stop.signal,
    clock: { now: () => now },
    async sleep(ms: number) {
      waits.push(ms);
      now += ms;
      if (waits.length >= patience) stop.abort(new Error('stopped'));
    },
  };
  return { place: place as unknown as Place, waits };
}

/** An act that fails with each of these in turn, and then succeeds with the number of its try. */
function failing(...failures: readonly string[]) {
  return async (count: number): Promise<string> => {
    const failure = failures[count - 1];
    if (failure !== undefined) throw new Error(failure);
    return `try ${count}`;
  };
}

const passing = (error: unknown) => (error as Error).message.startsWith('passing');
const wait = (count: number) => count * 100;

describe('what is tried again', () => {
  test('succeeds at once where nothing fails, and waits for nothing', async () => {
    const { place, waits } = waitingPlace();
    expect(await retried({ place, on: passing, wait }, failing())).toBe('try 1');
    expect(waits).toEqual([]);
  });

  test('waits after each failure as long as it is told to, and tells of it before', async () => {
    const { place, waits } = waitingPlace();
    const told: unknown[] = [];
    const tell = (error: unknown, count: number) => told.push([(error as Error).message, count, waits.length]);
    const act = failing('passing 1', 'passing 2');
    expect(await retried({ place, on: passing, tries: 3, wait, tell }, act)).toBe('try 3');
    expect(waits).toEqual([100, 200]);
    expect(told).toEqual([
      ['passing 1', 1, 0],
      ['passing 2', 2, 1],
    ]);
  });

  test('fails with the last failure when it was tried often enough, and waits for no more', async () => {
    const { place, waits } = waitingPlace();
    const act = failing('passing 1', 'passing 2', 'passing 3');
    await expect(retried({ place, on: passing, tries: 2, wait }, act)).rejects.toThrow('passing 2');
    expect(waits).toEqual([100]);
  });

  test.each([250, 300])('fails with the last failure when its time is over, be it %d ms', async (forMs) => {
    const { place, waits } = waitingPlace();
    const passes = failing('passing 1', 'passing 2', 'passing 3', 'passing 4');
    await expect(retried({ place, on: passing, forMs, wait }, passes)).rejects.toThrow('passing 3');
    expect(waits).toEqual([100, 200]);
  });

  test('fails at once with what does not pass by itself', async () => {
    const { place, waits } = waitingPlace();
    const act = failing('passing 1', 'for good');
    await expect(retried({ place, on: passing, wait }, act)).rejects.toThrow('for good');
    expect(waits).toEqual([100]);
  });

  test('fails with its failure where the place is told to stop', async () => {
    const { place, waits } = waitingPlace(3);
    const act = failing('passing 1', 'passing 2', 'passing 3', 'passing 4');
    await expect(retried({ place, on: passing, wait }, act)).rejects.toThrow('passing 4');
    expect(waits).toEqual([100, 200, 300]);
  });

  test('fails with its failure, too, where it is told to stop as it waits', async () => {
    const { place } = waitingPlace();
    const sleep = () => Promise.reject(new Error('stopped'));
    const stopped: Place = { ...place, sleep };
    await expect(retried({ place: stopped, on: passing, wait }, failing('passing 1'))).rejects.toThrow('passing 1');
  });
});

describe('what is looked for', () => {
  /** A look that finds something the third time. */
  const thirdTime = () => {
    let looks = 0;
    return async () => (++looks === 3 ? `look ${looks}` : undefined);
  };

  test('is looked for after each wait, the first at once, until it is there', async () => {
    const { place, waits } = waitingPlace();
    expect(await lookedFor(place, [0, 1, 2.5, 4], thirdTime())).toBe('look 3');
    expect(waits).toEqual([1000, 2500]);
  });

  test('is not there after the last wait', async () => {
    const { place, waits } = waitingPlace();
    expect(await lookedFor(place, [1, 2], thirdTime())).toBeUndefined();
    expect(waits).toEqual([1000, 2000]);
  });
});
