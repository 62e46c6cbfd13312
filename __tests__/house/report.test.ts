import { expect, test } from '@jest/globals';
import { fanOut, sourceAccount, targetAccount, targetRegion } from '../../simulator/scenarios/standard.ts';
import { runJob } from '../in-process.ts';
import { expectTargets } from '../shared-case.ts';
import { openHouse, recordsOf, stockOf } from './house.ts';

/* What is told of a run is what it did, also where something goes wrong at the very end. */

const timings = { baseSeconds: 30, secondsPerGiB: 0 };

test('targets that are finished are told as finished, though the state can no longer be saved', async () => {
  const shared = fanOut({ timings, regions: [targetRegion] });
  await using house = await openHouse(shared);
  const { simulator } = house;
  const before = simulator.snapshotOfState(sourceAccount);
  const isMade = () => stockOf(simulator, targetAccount, targetRegion).images.length > 0;
  const onWrite = (file: string): void => {
    if (file === 'state' && isMade()) throw new Error('ENOSPC: no space left on device');
  };
  const { main } = await runJob({ ...house.run(), onWrite });
  expect(recordsOf(main).map(({ status }) => status)).toEqual(['created', 'created']);
  expectTargets({ simulator, targets: recordsOf(main) }, shared.amiId);
  await house.settle();
  expect(house.remains()).toEqual([]);
  expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
});
