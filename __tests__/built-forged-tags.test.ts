import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { runAction } from '../simulator/runner.ts';
import { amiIdOf } from '../simulator/scenario.ts';
import { procedure, sourceAccount } from '../simulator/scenarios/standard.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { shareBuilt } from './shared-case.ts';

const root = join(import.meta.dirname, '..');

/* Tags that anybody can write steer no process that the runner starts; house/forged-tags plays many more in one process. */

describe('the built action', () => {
  test.concurrent('touches nothing that only bears its tags: AMIs, snapshots and shares stay, and are told', async () => {
    const { amiId } = procedure();
    const mark = 'share-encrypted-ami:';
    const dead = 'deadbeef0001';
    const forged = { [`${mark}source-ami`]: amiId, [`${mark}intermediate`]: 'true' };
    // The tag of a run that died, and what it is said to have shared with 333333333333.
    const lease = { [`${mark}lease:${dead}`]: '1 1 4711 1 - - -' };
    const shares = { [`${mark}shares:${dead}:0`]: Number('333333333333').toString(36).padStart(8, '0') };
    const volume = { device: '/dev/xvda', key: 'cmkSource', tags: shares, sharedWith: ['333333333333'] };
    const theirs = (alias: string, tags: Record<string, string>) => ({
      ...{ name: 'web-server', tags, volumes: [{ device: '/dev/xvda', key: alias, tags }] },
    });
    const lineage = { [`${mark}source-ami`]: amiId, [`${mark}lineage`]: 'golden', [`${mark}lease`]: dead };
    const shared = procedure({
      ...{ ami: { tags: { ...forged, ...lease } }, volumes: [volume], policies: ['target-retain'] },
      source: { amis: [theirs('cmkSource', forged)] },
      target: { amis: [theirs('cmkTarget', lineage)] },
    });
    const result = await shareBuilt(shared, { lineage: 'golden', retain: '1' });
    expect(result.main.conclusion).toBe('success');
    const [old] = [amiIdOf('999999999999', 'eu-west-1', 'web-server')];
    const { world } = result.simulator;
    const there = [amiId, amiIdOf(sourceAccount, 'us-east-1', 'web-server')].map(
      (id) => world.accounts[sourceAccount]?.regions.get('us-east-1')?.images.get(id)?.deregisteredAt,
    );
    const target = world.accounts['999999999999']?.regions.get('eu-west-1')?.images.get(old);
    expect([...there, target?.deregisteredAt, target?.data.State]).toEqual([
      undefined,
      undefined,
      undefined,
      'available',
    ]);
    const disks = [...(world.accounts[sourceAccount]?.regions.get('us-east-1')?.snapshots.values() ?? [])];
    expect(disks.flatMap((disk) => [...disk.shares])).toEqual(['333333333333']);
    const told = `${result.main.log}\n${result.main.annotations.map(({ message }) => message).join('\n')}`;
    for (const id of [old, amiIdOf(sourceAccount, 'us-east-1', 'web-server')])
      expect(told).toMatch(new RegExp(`${id} .*left alone`));
    expect(told).toMatch(/stays shared with 333333333333.* left alone/);
  });

  test.concurrent('sweeps nothing that only bears its tags, whatever a lease on the source AMI says', async () => {
    const { amiId } = procedure();
    const mark = 'share-encrypted-ami:';
    const dead = 'deadbeef0001';
    const theirs = (alias: string, tags: Record<string, string>) => ({
      ...{ name: 'web-server', tags, volumes: [{ device: '/dev/xvda', key: alias, tags }] },
    });
    const claimed = { [`${mark}source-ami`]: amiId };
    const shared = procedure({
      ami: { tags: { [`${mark}lease:${dead}`]: '1 1 4711 1 - - - no-where-0' } },
      source: { amis: [theirs('cmkSource', { ...claimed, [`${mark}intermediate`]: 'true' })] },
      target: { amis: [theirs('cmkTarget', { ...claimed, [`${mark}replaced-by`]: `${amiId} ${dead} 2020-01-01` })] },
    });
    const simulator = await startSimulator(shared.scenario);
    const places = [[sourceAccount, 'us-east-1'] as const, ['999999999999', 'eu-west-1'] as const];
    const there = () =>
      places.map(([account, region]) => {
        const { images, snapshots } = simulator.world.accounts[account]?.regions.get(region) ?? {};
        const ofImages = [...(images?.values() ?? [])].map(({ data, deregisteredAt }) => [data.State, deregisteredAt]);
        return [ofImages, [...(snapshots?.keys() ?? [])]];
      });
    const before = there();
    const swept = await runAction({
      ...{ inputs: shared.inputs, env: simulator.env, actionFolder: join(root, 'sweep') },
    });
    await simulator.close();
    expect(there()).toEqual(before);
    const told = `${swept.log}\n${swept.annotations.map(({ message }) => message).join('\n')}`;
    const [, [, disks = []] = []] = before;
    for (const id of [amiIdOf(sourceAccount, 'us-east-1', 'web-server'), ...disks])
      expect(told).toMatch(new RegExp(`${id} .*left alone`));
  });
});
