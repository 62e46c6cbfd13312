import { expect, test } from '@jest/globals';
import { amiIdOf } from '../../simulator/scenario.ts';
import { sourceAccount, sourceRegion, standardCase } from '../../simulator/scenarios/standard.ts';
import { regionOf } from '../../simulator/world.ts';
import { runJob } from '../in-process.ts';
import { uses } from '../uses.ts';
import { type House, messagesOf, openHouse, recordsOf, stockOf } from './house.ts';

/* A lineage of five bakes is kept at three through ten more, in many targets, and nothing that is in use goes. */

const isNight = process.env.NIGHTLY === 'true';
const accounts = Array.from({ length: isNight ? 20 : 6 }, (_, index) => String(200_000_000_001 + index));
const regions = ['eu-west-1', 'eu-west-2', 'eu-central-1', 'us-west-2', 'ap-southeast-2'].slice(0, isNight ? 5 : 2);
const [before, after] = [5, isNight ? 10 : 3];
const kept = 3;
const volumes = [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }];
const nameOf = (number: number) => `web-${String(number).padStart(2, '0')}`;

/** The names of the AMIs in a target. */
const namesIn = ({ simulator }: House, account: string, region: string) =>
  stockOf(simulator, account, region)
    .images.map(({ data }) => data.Name)
    .sort();

test('nothing in use goes, and all else does', async () => {
  const amis = Array.from({ length: before + after }, (_, index) => ({ name: nameOf(index + 1), volumes }));
  const policies = ['target-retain'];
  const timings = { baseSeconds: 60, secondsPerGiB: 0 };
  const ami = { name: 'unused' };
  await using house = await openHouse(
    standardCase({ timings, policies, volumes, ami, source: { amis }, targets: accounts, regions }),
  );
  const { simulator } = house;
  const bake = async (number: number, inputs: Record<string, string> = {}) => {
    const image = { 'ami-id': amiIdOf(sourceAccount, sourceRegion, nameOf(number)), lineage: 'web' };
    const { main } = await runJob(house.run({ ...image, ...inputs }, { run_id: String(number) }));
    expect([number, main.conclusion, messagesOf(main)]).toEqual([number, 'success', '']);
    await house.settle(24 * 60);
    return main;
  };
  await bake(1);
  const second = await bake(2);
  for (let number = 3; number <= before; number += 1) await bake(number);
  // The second of each target's five comes into use, each in another way.
  const places = accounts.flatMap((account) => regions.map((region) => ({ account, region })));
  const used = recordsOf(second).map(({ account, region, amiId }, index) => {
    const [told, use] = uses[index % uses.length] ?? ['', () => {}];
    const place = regionOf(simulator.world, account, region);
    const image = place.images.get(amiId);
    if (image === undefined) throw new Error(`there is no ${amiId}`);
    use(place, image, simulator.clock.now());
    return { amiId, told };
  });
  expect(used.length).toBeGreaterThanOrEqual(uses.length);
  for (let number = before + 1; number <= before + after; number += 1) {
    const main = await bake(number, { retain: String(kept) });
    for (const { amiId, told } of used) {
      const line = main.stdout.split('\n').find((one) => one.includes(`${amiId} (`) && one.includes(' stays: '));
      expect(line).toContain(told);
    }
    const newest = [number - 2, number - 1, number].map(nameOf);
    for (const { account, region } of places)
      expect([account, region, namesIn(house, account, region)]).toEqual([account, region, [nameOf(2), ...newest]]);
  }
  expect(house.remains().filter((line) => !/may be launched by|lt-/.test(line))).toEqual([]);
}, 600_000);
