import { describe, expect, test } from '@jest/globals';
import { type AmiScenario, amiIdOf, keyArnOf } from '../../simulator/scenario.ts';
import {
  type Case,
  customerKey,
  type Inputs,
  procedure,
  sourceAccount,
  sourceRegion,
  targetAccount,
} from '../../simulator/scenarios/standard.ts';
import { regionOf } from '../../simulator/world.ts';
import { encryptedCopyName } from '../../src/encrypted-copy.ts';
import { runAction, runJob } from '../in-process.ts';
import { copied, diskOf, goldenOf, prefix, putImage, snapshotIdsOf, source, tag, target, untoldOf } from './foreign.ts';
import { countOf, type House, killAt, messagesOf, openHouse, recordsOf, stockOf } from './house.ts';

/* What the action made is somebody's by then: an AMI in use, a snapshot that another AMI has, whatever tags are on it. */

/** Two bakes of one image. */
function bakes(baseSeconds = 60, others: readonly AmiScenario[] = []): Case {
  const volumes = [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }];
  const later = { name: 'golden-2', volumes, tags: { Name: 'golden' } };
  const policies = ['source-route-copy', 'source-key-policy', 'target-retain', 'target-route-copy'];
  const timings = { baseSeconds, secondsPerGiB: 0 };
  return customerKey({ timings, policies, ami: { name: 'golden-1' }, source: { amis: [later, ...others] } });
}

const second: Inputs = { 'ami-id': amiIdOf(sourceAccount, sourceRegion, 'golden-2') };

const names = ({ simulator }: House) => stockOf(simulator, ...target).images.map(({ data }) => data.Name);

/** The AMI and the snapshot that are in the target. */
function only({ simulator }: House) {
  const { images, snapshots } = stockOf(simulator, ...target);
  const [image, snapshot] = [images[0], snapshots[0]];
  if (image === undefined && snapshot === undefined) throw new Error('nothing is there');
  return { image, snapshot };
}

/** Registers an AMI from the snapshot that is there, as somebody in the target account might. */
function registerTheirs(house: House): string {
  const { simulator } = house;
  const { data } = only(house).snapshot ?? {};
  const theirs = putImage(simulator, target, { name: 'theirs' });
  for (const id of snapshotIdsOf(theirs)) regionOf(simulator.world, ...target).snapshots.delete(id);
  for (const { Ebs } of theirs.data.BlockDeviceMappings) if (Ebs) Ebs.SnapshotId = data?.SnapshotId;
  return data?.SnapshotId ?? '';
}

describe('a finished AMI that somebody marks as a copy that goes on stays, and is told', () => {
  async function marked(house: House): Promise<string> {
    await runJob(house.run({}, { run_id: '1' }));
    const { image } = only(house);
    if (image === undefined) throw new Error('no AMI was made');
    tag(image, { [`${prefix}lease`]: 'ended' });
    await house.settle(2 * 24 * 60);
    return image.data.ImageId;
  }

  test('in a sweep', async () => {
    await using house = await openHouse(bakes());
    const id = await marked(house);
    const swept = await runAction({ ...house.run({}, { run_id: '99' }), action: 'sweep' });
    expect([swept.conclusion, names(house)]).toEqual(['success', ['golden-1']]);
    expect(untoldOf(house.simulator, [swept], [id])).toEqual([]);
  });

  test('when a run has no time left', async () => {
    await using house = await openHouse(bakes(900));
    await marked(house);
    const inputs = { 'on-existing': 'replace', 'target-ami-name': 'golden-{run-id}', 'timeout-minutes': '5' };
    const { main } = await runJob(house.run(inputs, { run_id: '2' }));
    expect([main.conclusion, names(house)]).toEqual(['failure', ['golden-1']]);
  });
});

test('an AMI of which only tags say that it is of the lineage takes no place from one that is', async () => {
  await using house = await openHouse(bakes());
  await runJob(house.run({}, { run_id: '1' }));
  await house.settle();
  const of = (key: string, value: string) => ({ [`${prefix}${key}`]: value });
  const copiedFrom = 'ami-0bbbbbbbbbbbbbbb7';
  const { data } = putImage(house.simulator, target, {
    name: 'theirs',
    tags: {
      ...of('source-ami', 'ami-0aaaaaaaaaaaaaaa9'),
      ...of('lineage', 'golden'),
      ...of('encrypted-copy', copiedFrom),
    },
    data: { SourceImageId: copiedFrom, CreationDate: new Date(house.simulator.clock.now()).toISOString() },
    snapshot: { key: 'cmkTarget', data: copied },
  });
  const { main } = await runJob(house.run({ ...second, lineage: 'golden', retain: '2' }, { run_id: '2' }));
  expect([main.conclusion, names(house)]).toEqual(['success', ['golden-1', 'theirs', 'golden-2']]);
  const plan = JSON.parse(main.outputs.plan ?? '{}') as { targets: { keeps: { amiId: string; why: string }[] }[] };
  expect(plan.targets.flatMap(({ keeps }) => keeps)).toEqual([
    expect.objectContaining({ amiId: data.ImageId, why: expect.stringContaining('only a tag says') }),
  ]);
});

test('another product’s AMI goes by no retain, whatever lineage a tag says that it is of', async () => {
  const web = { name: 'web-1', volumes: [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }] };
  await using house = await openHouse(bakes(60, [web]));
  for (const name of ['web-1', 'golden-1']) {
    const inputs = { 'ami-id': amiIdOf(sourceAccount, sourceRegion, name), lineage: name.slice(0, -2) };
    const { main } = await runJob(house.run(inputs, { run_id: '1' }));
    expect(main.conclusion).toBe('success');
    await house.settle(1);
  }
  for (const image of stockOf(house.simulator, ...target).images) tag(image, { [`${prefix}lineage`]: 'golden' });
  putImage(house.simulator, target, {
    name: 'theirs',
    tags: { [`${prefix}source-ami`]: '*', [`${prefix}lineage`]: 'golden' },
  });
  const { main } = await runJob(house.run({ ...second, lineage: 'golden', retain: '1' }, { run_id: '2' }));
  expect([main.conclusion, names(house)]).toEqual(['success', ['web-1', 'theirs', 'golden-2']]);
});

test('what is under no key is shared with nobody, whoever gave it the name and the tags of an encrypted copy', async () => {
  await using house = await openHouse(procedure());
  const golden = goldenOf(house.simulator, house.run().inputs['ami-id'] ?? '');
  const { ImageId } = golden.data;
  const of = `${prefix}source-ami`;
  const tags = { [of]: ImageId, [`${prefix}intermediate`]: 'true' };
  putImage(house.simulator, source, {
    name: encryptedCopyName(ImageId, keyArnOf(sourceAccount, sourceRegion, 'cmkSource')),
    tags,
    data: { SourceImageId: ImageId, SourceImageRegion: sourceRegion },
    snapshot: { tags, data: copied },
  });
  const { main } = await runJob(house.run({}, { run_id: '1' }));
  expect([main.conclusion, recordsOf(main)[0]?.error]).toEqual([
    'failure',
    expect.stringMatching(/is under no key, .*remove it/),
  ]);
  expect(countOf(house.simulator, 'ModifySnapshotAttribute')).toBe(0);
});

describe('a share with the very target that was there before stays, whatever run a tag says that it is of', () => {
  const packed = Number(targetAccount).toString(36).padStart(8, '0');
  const forged = 'beefbeef0001';

  test.each([
    ['grant', 'register', undefined],
    ['grant', 'copy', 0],
    ['policy', 'copy', undefined],
    ['policy', 'register', 30],
  ])('%s, %s', async (access, route, expires) => {
    await using house = await openHouse(bakes());
    const golden = goldenOf(house.simulator, house.run().inputs['ami-id'] ?? '');
    const shared = [golden, diskOf(house.simulator, golden)];
    const users = () => shared.map((one) => [...('launch' in one ? one.launch : one.shares)]);
    for (const one of shared) {
      ('launch' in one ? one.launch : one.shares).add(targetAccount);
      tag(one, { [`${prefix}shares:${forged}:0`]: packed });
    }
    const now = Math.floor(house.simulator.clock.now() / 1000);
    // Of a lease that isn't there, or is dead, or lives for a while.
    if (expires !== undefined)
      tag(golden, { [`${prefix}lease:${forged}`]: `${expires && now + expires} ${now - 60} 1 1 machine 17 -` });
    const { main } = await runJob(house.run({ route, 'source-key-access': access }, { run_id: '1' }));
    expect([main.conclusion, users()]).toEqual(['success', [[targetAccount], [targetAccount]]]);
  });
});

describe('a snapshot that another AMI has by now stays with it, is told, and fails no run', () => {
  test.each<[string, Inputs]>([
    ['retain', { ...second, lineage: 'golden', retain: '1' }],
    ['replace', { 'on-existing': 'replace', 'target-ami-name': 'golden-2' }],
    ['replace, under the same name', { 'on-existing': 'replace' }],
  ])('%s', async (_, inputs) => {
    await using house = await openHouse(bakes());
    await runJob(house.run({ lineage: 'golden' }, { run_id: '1' }));
    await house.settle(1);
    const id = registerTheirs(house);
    const { main, post } = await runJob(house.run(inputs, { run_id: '2' }));
    expect([main.conclusion, recordsOf(main).map(({ status }) => status)]).toEqual(['success', ['created']]);
    const made = stockOf(house.simulator, ...target);
    expect(made.images.map(({ data }) => data.Name)).toEqual(['theirs', recordsOf(main)[0]?.amiName]);
    const kept = made.snapshots.find(({ data }) => data.SnapshotId === id);
    expect(kept?.data.Tags.filter(({ Key }) => /:(lease|replaced-by)$/.test(Key ?? ''))).toEqual([]);
    expect(main.annotations.map(({ message }) => message)).toEqual([expect.stringContaining(`${id} of `)]);
    expect(post.annotations).toEqual([]);
  });

  test.each([
    ['of a run that died before it registered its own', 'CopySnapshot'],
    ['whose own AMI has lost its tags', 'RegisterImage'],
  ])('a copy %s is not taken over', async (_, last) => {
    await using house = await openHouse(bakes());
    await killAt(
      house,
      house.run({}, { run_id: '1' }),
      ({ action, account, mutating }) => mutating && action === last && account === targetAccount,
    );
    await house.settle(10);
    const { image } = only(house);
    if (image === undefined) registerTheirs(house);
    else Object.assign(image.data, { Name: 'theirs', Tags: [] });
    const { main } = await runJob(house.run({}, { run_id: '2' }));
    expect([main.conclusion, main.annotations]).toEqual(['success', []]);
    const { images, snapshots } = stockOf(house.simulator, ...target);
    expect(images.map(({ data }) => data.Name)).toEqual(['theirs', 'golden-1']);
    expect(new Set(images.flatMap(snapshotIdsOf)).size).toBe(2);
    expect(snapshots).toHaveLength(2);
    expect(house.remains()).toEqual([]);
  });
});

describe('what goes at the end, or with a sweep, and whose snapshot another AMI has by now', () => {
  test('the encrypted copy goes, the snapshot stays and is told, and no run fails', async () => {
    await using house = await openHouse(procedure({ timings: { baseSeconds: 60, secondsPerGiB: 0 } }));
    const { simulator } = house;
    const theirs = putImage(simulator, source, { name: 'theirs' });
    const forget = simulator.onCall(({ action, account, mutating }) => {
      if (action !== 'CopySnapshot' || account !== targetAccount || !mutating) return;
      const { images } = stockOf(simulator, ...source);
      const copy = images.find(({ data }) => data.Name.startsWith('share-encrypted-ami/'));
      if (copy !== undefined) theirs.data.BlockDeviceMappings = structuredClone(copy.data.BlockDeviceMappings);
    });
    const { main } = await runJob(house.run());
    forget();
    const [kept = ''] = snapshotIdsOf(theirs);
    expect([main.conclusion, messagesOf(main)]).toEqual(['success', '']);
    expect(main.log).toMatch(new RegExp(`${kept} of \\S+ in \\S+ stays: ${theirs.data.ImageId} has it by now`));
    const again = await runJob(house.run({}, { run_id: '2' }));
    expect([again.main.conclusion, messagesOf(again.main)]).toEqual(['success', '']);
    expect(house.remains().filter((line) => /share-encrypted-ami\/|shared with|grant/.test(line))).toEqual([]);
  });

  test('a half-made AMI goes, the snapshot stays and is told, and no sweep fails', async () => {
    await using house = await openHouse(bakes());
    const { simulator } = house;
    await killAt(house, house.run(), ({ action, account, outcome, mutating }) =>
      [action === 'RegisterImage', account === targetAccount, mutating, outcome === 'ok'].every(Boolean),
    );
    await house.settle(10);
    const [halfMade] = stockOf(simulator, ...target).images;
    const theirs = putImage(simulator, target, { name: 'theirs' });
    theirs.data.BlockDeviceMappings = structuredClone(halfMade?.data.BlockDeviceMappings ?? []);
    const swept = await runAction({ ...house.run({}, { run_id: '99' }), action: 'sweep' });
    const [kept = ''] = snapshotIdsOf(theirs);
    expect([swept.conclusion, messagesOf(swept), names(house)]).toEqual(['success', '', ['theirs']]);
    expect(swept.log).toContain(`${kept} of ${halfMade?.data.ImageId} in ${target.join('/')} stays`);
    expect(stockOf(simulator, ...target).snapshots.map(({ data }) => data.SnapshotId)).toContain(kept);
  });
});
