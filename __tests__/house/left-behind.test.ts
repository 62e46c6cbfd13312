import { describe, expect, test } from '@jest/globals';
import type { Fault } from '../../simulator/faults.ts';
import type { VolumeScenario } from '../../simulator/scenario.ts';
import {
  type Case,
  fanOut,
  procedure,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import { runAction, runJob } from '../in-process.ts';
import { messagesOf, openHouse, stockOf } from './house.ts';

/*
 * One part of a run fails while others are under way. Whatever was begun is joined before anything is taken back, so that
 * nothing takes effect after the clean-up has looked.
 */

const timings = { baseSeconds: 60, secondsPerGiB: 0 };
const underKey = (count: number): VolumeScenario[] =>
  ['/dev/xvda', '/dev/sdb', '/dev/sdc'].slice(0, count).map((device, index) => ({
    device,
    sizeGiB: 30 - 10 * index,
    key: 'cmkSource',
  }));
const threeVolumes = (faults: readonly Fault[]): Case => standardCase({ timings, faults, volumes: underKey(3) });
const twoAccounts = (faults: readonly Fault[]): Case =>
  fanOut({ timings, faults, volumes: underKey(2), regions: [targetRegion] });

/** Refused for good, at once. */
const refused = (action: string, nth: number): Fault => ({
  ...{ kind: 'refusal', code: 'OperationNotPermitted', message: 'Not now.', mutating: true },
  action,
  nth,
});
const slow = (action: string, ms: number, more: Partial<Fault> = {}): Fault => ({
  ...{ kind: 'delay', mutating: true, ...more },
  action,
  ms,
});
const copyEnds = (nth: number, afterSeconds: number): Fault => ({
  ...{ kind: 'copy-fails', action: 'CopySnapshot', mutating: true },
  nth,
  afterSeconds,
});

type Given = readonly [name: string, shared: Case, inputs?: Readonly<Record<string, string>>];

const cases: readonly Given[] = [
  ['one copy of three ends in error, one at a time', threeVolumes([copyEnds(1, 20)]), { 'max-parallel': '1' }],
  [
    'the same, where the next copy takes 2 s to begin, and the last of the clean-up 20 s',
    threeVolumes([
      copyEnds(1, 20),
      slow('CopySnapshot', 2000, { nth: 1 }),
      slow('DeleteTags', 20_000, { holds: 'lease' }),
    ]),
    { 'max-parallel': '1' },
  ],
  ['the second of three ends in error, one at a time', threeVolumes([copyEnds(2, 20)]), { 'max-parallel': '1' }],
  ['the third of three ends in error, two at a time', threeVolumes([copyEnds(3, 5)]), { 'max-parallel': '2' }],
  [
    'the grant is refused while shares take 300 ms',
    threeVolumes([refused('CreateGrant', 1), slow('ModifySnapshotAttribute', 300)]),
  ],
  [
    'the grant is refused while the tags of shares take 300 ms',
    threeVolumes([refused('CreateGrant', 1), slow('CreateTags', 300, { holds: 'shares' })]),
  ],
  [
    'the third copy is refused while the others take 5 s to begin',
    threeVolumes([refused('CopySnapshot', 3), slow('CopySnapshot', 5000)]),
  ],
  [
    'one copy ends in error at once while its siblings take 30 s to begin',
    threeVolumes([copyEnds(1, 0), slow('CopySnapshot', 30_000)]),
  ],
  [
    'a share is refused while the others take 5 s',
    threeVolumes([refused('ModifySnapshotAttribute', 1), slow('ModifySnapshotAttribute', 5000)]),
  ],
  [
    'with fail-fast, one target fails while the other takes 20 s to begin its copies',
    twoAccounts([
      { kind: 'copy-fails', action: 'CopySnapshot', account: targetAccount },
      slow('CopySnapshot', 20_000, { account: '222222222222' }),
    ]),
    { 'fail-fast': 'true' },
  ],
  [
    'with fail-fast, one target fails while the grant for the other takes 20 s',
    twoAccounts([
      { kind: 'copy-fails', action: 'CopySnapshot', account: targetAccount },
      slow('CreateGrant', 20_000, { holds: '222222222222' }),
    ]),
    { 'fail-fast': 'true' },
  ],
];

describe('what fails leaves nothing of what was under way beside it', () => {
  test.each(cases)('%s', async (_, shared, inputs = {}) => {
    await using house = await openHouse(shared);
    const before = house.simulator.snapshotOfState(sourceAccount);
    const { main, post } = await runJob(house.run(inputs));
    expect(main.conclusion).toBe('failure');
    await house.settle();
    expect(house.remains()).toEqual([]);
    expect(house.simulator.snapshotOfState(sourceAccount)).toEqual(before);
    // Nothing stays, so nothing is told to stay.
    expect(`${messagesOf(main)}\n${messagesOf(post)}`).not.toMatch(/left behind/);
  });

  test.each([1, 0])('a key that may have %i grants more: so many targets are served', async (quota) => {
    await using house = await openHouse(twoAccounts([slow('ModifySnapshotAttribute', 300)]));
    const region = house.simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion);
    for (const key of region?.keys.values() ?? []) key.grantQuota = quota;
    const { main } = await runJob(house.run());
    expect(messagesOf(main)).toMatch(/LimitExceededException.+a key takes 50,000 grants/s);
    await house.settle();
    expect(house.remains()).toEqual([]);
    const stock = ['999999999999', '222222222222'].map((id) => stockOf(house.simulator, id, targetRegion));
    expect(stock.flatMap(({ images }) => images)).toHaveLength(quota);
  });

  test('a re-run after a failure finds a clean place, and finishes', async () => {
    await using house = await openHouse(threeVolumes([copyEnds(1, 20)]));
    await runJob(house.run({ 'max-parallel': '1' }));
    await house.settle();
    const { main } = await runJob(house.run({}, { run_attempt: '2' }));
    expect([main.conclusion, main.annotations]).toEqual(['success', []]);
    expect(house.remains()).toEqual([]);
  });
});

describe('what is told to stay does stay', () => {
  test('a share that could not be taken back goes with its snapshot, and fails no job', async () => {
    const noneBack: Fault = { ...refused('ModifySnapshotAttribute', 1), times: 1000, holds: 'Remove' };
    await using house = await openHouse(procedure({ timings, faults: [noneBack] }));
    const before = house.simulator.snapshotOfState(sourceAccount);
    const { main, post } = await runJob(house.run());
    await house.settle();
    expect(house.remains()).toEqual([]);
    expect(house.simulator.snapshotOfState(sourceAccount)).toEqual(before);
    expect([main.conclusion, messagesOf(main), messagesOf(post)]).toEqual(['success', '', '']);
    expect(main.log).not.toMatch(/left behind/);
  });

  test('of an image that is shared, on the route copy, too', async () => {
    const noneBack: Fault = { ...refused('ModifyImageAttribute', 1), times: 1000, holds: 'Remove' };
    const policies = ['source-route-copy', 'target-route-copy'];
    await using house = await openHouse(procedure({ timings, policies, faults: [noneBack] }));
    const { main, post } = await runJob(house.run({ route: 'copy' }));
    await house.settle();
    expect(house.remains()).toEqual([]);
    expect([main.conclusion, messagesOf(main), messagesOf(post)]).toEqual(['success', '', '']);
  });
});

test('a replace that fails has the old AMI registered again, and available, when the run ends', async () => {
  await using house = await openHouse(standardCase({ timings: { ...timings, registerSeconds: 120 } }));
  const { simulator } = house;
  const old = (await runJob(house.run())).main.outputs['ami-id'];
  simulator.addFault({ ...refused('RegisterImage', 1), account: targetAccount });
  const main = await runAction(house.run({ 'on-existing': 'replace' }, { run_id: '4712' }));
  expect(main.conclusion).toBe('failure');
  const { images } = stockOf(simulator, targetAccount, targetRegion);
  expect(images.map(({ data }) => [data.Name, data.State])).toEqual([['golden-image', 'available']]);
  expect(images.map(({ data }) => data.ImageId)).not.toEqual([old]);
  expect(messagesOf(main)).toContain(images[0]?.data.ImageId);
  await house.settle();
  expect(house.remains()).toEqual([]);
});

test('what had to stay is told, by main or by post', async () => {
  const noneBack: Fault = { ...refused('ModifySnapshotAttribute', 1), times: 1000, holds: 'Remove' };
  const shared = standardCase({ timings, volumes: underKey(1), faults: [noneBack, copyEnds(1, 20)] });
  await using house = await openHouse(shared);
  const { main, post } = await runJob(house.run());
  await house.settle();
  const shares = house.remains().filter((line) => line.includes('is shared with'));
  expect(shares).toHaveLength(1);
  const told = `${messagesOf(main)}\n${messagesOf(post)}`;
  expect(told).toMatch(/left behind/);
  expect(told).toContain(/snap-\w+/.exec(shares[0] ?? '')?.[0]);
});
