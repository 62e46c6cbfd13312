import { describe, expect, test } from '@jest/globals';
import { bucketSeconds, idealSeconds, lastEnd } from '../bench/ideal.ts';
import { play, playCancel } from '../bench/played.ts';
import { latencyOf, openRates } from '../simulator/rates.ts';
import { openPacer } from '../src/aws/pace.ts';
import { openVirtualClock } from './virtual-clock.ts';

const where = { account: '111111111111', region: 'eu-west-1' };
const never = new AbortController().signal;

/** Sends calls as the pacer lets them, against AWS's rates. Gives when each went, in seconds, and how many were refused. */
async function sent(
  action: string,
  count: number,
  { share = 1, canWait = (_: number): boolean => false, latencyMs = (_: number): number => 300 } = {},
) {
  const clock = openVirtualClock(0);
  const rates = openRates(share);
  const pacer = openPacer(clock);
  let refused = 0;
  const one = async (index: number): Promise<number> => {
    const call = { where, service: 'ec2', action, signal: never, canWait: canWait(index) };
    for (;;) {
      await pacer.turn(call);
      await clock.sleep(latencyMs(index), never);
      if (rates.refusal({ ...where, service: 'ec2', action, at: clock.now() }) === undefined) return clock.now() / 1000;
      refused += 1;
      pacer.refused(call, 500);
    }
  };
  return { seconds: await Promise.all(Array.from({ length: count }, (_, index) => one(index))), refused };
}

describe('calls are paced before AWS refuses them', () => {
  test.each([
    ['CopyImage', 103, 3],
    ['ModifySnapshotAttribute', 150, 10],
    ['CreateTags', 150, 5],
    ['CopySnapshot', 75, 5],
    ['DescribeImages', 200, 5],
  ])('%s, %d times, in the %d s that its bucket takes, and one that is kept back', async (action, count, least) => {
    const { seconds, refused } = await sent(action, count);
    expect(refused).toBe(0);
    expect(Math.max(...seconds) - 0.3).toBeCloseTo(least + 1, 0);
  });

  test('though the first reach AWS later than the others', async () => {
    const { refused } = await sent('DescribeImages', 200, { latencyMs: (index) => (index < 100 ? 900 : 140) });
    expect(refused).toBe(0);
  });

  test('where somebody else takes half, the run slows by no more than that', async () => {
    const { seconds, refused } = await sent('ModifySnapshotAttribute', 300, { share: 0.5 });
    // 50 at once, then 2.5 a second.
    expect(Math.max(...seconds)).toBeLessThan(1.25 * 100);
    // What was under way when the first was refused: no call is given up for it.
    expect(refused).toBeLessThan(80);
  });

  test('what the copies wait for goes before checks and tags', async () => {
    const { seconds } = await sent('CopySnapshot', 80, { canWait: (index) => index < 60 });
    // The first 45 went before the others came.
    expect(Math.max(...seconds.slice(60))).toBeLessThan(Math.min(...seconds.slice(45, 60)));
  });

  test('a call that waits for its turn ends with its signal, and takes nobody’s place', async () => {
    const clock = openVirtualClock(0);
    const pacer = openPacer(clock);
    const call = { where, service: 'ec2', action: 'CopyImage', signal: never, canWait: false };
    await Promise.all(Array.from({ length: 99 }, () => pacer.turn(call)));
    const stop = new AbortController();
    const stopped = pacer.turn({ ...call, signal: stop.signal });
    const next = pacer.turn(call).then(() => clock.now());
    stop.abort(new Error('stopped'));
    await expect(stopped).rejects.toThrow('stopped');
    expect(await next).toBeCloseTo(1000, -1);
  });
});

describe('the ideal', () => {
  const job = (seconds: number, from = 0) => ({ from, seconds });

  test('is the slowest chain, with so many copies at once as the quota allows', () => {
    expect(lastEnd([job(10), job(20), job(5)], 20)).toBe(20);
    expect(lastEnd([job(10), job(20), job(5)], 2)).toBe(20);
    expect(lastEnd([job(10), job(20), job(5)], 1)).toBe(35);
    expect(lastEnd([job(10, 7), job(1)], 1)).toBe(17);
    expect(lastEnd([], 20)).toBe(0);
  });

  test('honours buckets, and takes each call of the chain once', () => {
    expect(bucketSeconds(50, { capacity: 50, perSecond: 5 })).toBe(0);
    expect(bucketSeconds(60, { capacity: 50, perSecond: 5 })).toBe(2);
    const one = idealSeconds({ accounts: 1, regions: 1, volumes: 1 });
    // Two copies of 240 s and 60 GiB, a token, a session, and six calls of 0.14 to 0.99 s.
    expect(one).toBeGreaterThan(2 * 300 + 8 * 0.14);
    expect(one).toBeLessThan(2 * 300 + 8 * 0.99);
    // Forty volumes are two rounds of twenty.
    expect(idealSeconds({ accounts: 1, regions: 1, volumes: 40 })).toBeGreaterThan(one + 200);
  });

  test('draws the same latency for the same call, within its bounds, most near the lower one', () => {
    const draw = (count: number) => latencyOf([140, 990], { site: 'ec2/CopySnapshot/eu-west-1', count, seed: 1 });
    const drawn = Array.from({ length: 500 }, (_, index) => draw(index));
    expect(draw(7)).toBe(draw(7));
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(140);
    expect(Math.max(...drawn)).toBeLessThanOrEqual(990);
    expect(drawn.toSorted((a, b) => a - b)[250]).toBeLessThan(300);
  });
});

test('a run holds its distance to the ideal, and AWS refuses none of its calls for their rate', async () => {
  const { ratio, throttled, looksPerMinute, writesPerTarget } = await play({ accounts: 2, regions: 2, volumes: 8 });
  expect(ratio).toBeLessThan(1.045);
  expect(throttled).toBe(0);
  expect(looksPerMinute.most).toBeLessThanOrEqual(6);
  expect(writesPerTarget).toBeLessThanOrEqual(13);
});

test('from a cancel to the last grant and share: five seconds at most, with 20 volumes and 20 accounts', async () => {
  const { grants, shares, all } = await playCancel({ accounts: 20, regions: 1, volumes: 20 });
  expect(grants).toBeLessThanOrEqual(5);
  expect(shares).toBeLessThanOrEqual(5);
  expect(all).toBeLessThanOrEqual(40);
});
