import { expect, test } from '@jest/globals';
import { standardCase, targetAccount } from '../simulator/scenarios/standard.ts';
import type { RecordedCall } from '../simulator/simulator.ts';
import { countOf, type House, inForceAtOnce, killAt, openHouse } from './house/house.ts';
import { runJob } from './in-process.ts';

/* A run that takes over the copies of a dead one is their run from then on, whatever becomes of it. */

const volumes = ['/dev/xvda', '/dev/sdb'].map((device) => ({ device, sizeGiB: 4, key: 'cmkSource' }));

const isWrite = ({ account, mutating, action }: RecordedCall, name: string): boolean =>
  account === targetAccount && mutating && action === name;

/** A run that has died with two copies under way, and whose lease is over. */
async function died(): Promise<House> {
  const house = await openHouse(standardCase({ volumes, timings: { secondsPerGiB: 5, ...inForceAtOnce } }));
  let begun = 0;
  await killAt(house, house.run({}, { run_id: '1' }), (call) => {
    if (isWrite(call, 'CopySnapshot')) begun += 1;
    return begun === volumes.length;
  });
  await house.simulator.clock.sleep(900_000);
  return house;
}

test('if it fails, the copies go', async () => {
  await using house = await died();
  const never = { code: 'OperationNotPermitted', message: 'Not now.', nth: 1, times: 100 };
  house.simulator.addFault({ kind: 'refusal', action: 'RegisterImage', mutating: true, ...never });
  const { main } = await runJob(house.run({}, { run_id: '2' }));
  expect(main.conclusion).toBe('failure');
  await house.settle();
  expect([countOf(house.simulator, 'CopySnapshot'), house.remains()]).toEqual([2, []]);
});

test('if it dies, too, the next takes them over once more', async () => {
  await using house = await died();
  let taken = 0;
  await killAt(house, house.run({}, { run_id: '2' }), (call) => {
    if (isWrite(call, 'CreateTags') && JSON.stringify(call.request).includes(':lease"')) taken += 1;
    return taken === volumes.length;
  });
  await house.simulator.clock.sleep(900_000);
  const { main } = await runJob(house.run({}, { run_id: '3' }));
  expect(main.conclusion).toBe('success');
  await house.settle();
  expect([countOf(house.simulator, 'CopySnapshot'), house.remains()]).toEqual([2, []]);
});
