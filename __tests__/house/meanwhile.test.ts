import { describe, expect, test } from '@jest/globals';
import { amiIdOf } from '../../simulator/scenario.ts';
import {
  type Case,
  type Inputs,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
} from '../../simulator/scenarios/standard.ts';
import type { RecordedCall } from '../../simulator/simulator.ts';
import { regionOf } from '../../simulator/world.ts';
import { type InProcessRun, runAction, runJob } from '../in-process.ts';
import { diskOf, prefix, tag, target, watch } from './foreign.ts';
import { type House, killAt, messagesOf, openHouse, recordsOf, stockOf } from './house.ts';

/* What was planned hours ago is done to what is there by then: others recall, use again, remove; and runs die. */

const day = 24 * 60;
const volumes = ['/dev/xvda', '/dev/sdb'].map((device) => ({ device, sizeGiB: 8, key: 'cmkSource' }));

function bakes(): Case {
  const [first, ...later] = ['golden-1', 'golden-2', 'golden-3'].map((name) => ({ name, volumes }));
  const timings = { baseSeconds: 60, secondsPerGiB: 0 };
  const ami = { name: first?.name ?? '' };
  return standardCase({
    timings,
    policies: ['target-retain', 'target-publish'],
    volumes,
    ami,
    source: { amis: later },
  });
}

const image = (number: number): Inputs => ({
  ...{ 'ami-id': amiIdOf(sourceAccount, sourceRegion, `golden-${number}`), lineage: 'golden' },
});

/** A run of a bake, a month after the one before it. */
async function bake(house: House, number: number, inputs: Inputs = {}) {
  const job = await runJob(house.run({ ...image(number), ...inputs }, { run_id: String(number) }));
  await house.settle(30 * day);
  return { ...job, id: recordsOf(job.main)[0]?.amiId ?? '' };
}

const imagesIn = ({ simulator }: House) => stockOf(simulator, ...target).images;
const namesIn = (house: House) => imagesIn(house).map(({ data }) => data.Name);
const isInTarget =
  (name: string) =>
  ({ action, account, mutating, outcome }: RecordedCall): boolean =>
    action === name && account === targetAccount && mutating && outcome === 'ok';

function sweepOf(house: House) {
  return runAction({ ...house.run({}, { run_id: '99' }), action: 'sweep' });
}

const ways: readonly (readonly [string, number, Inputs])[] = [
  ['retain leaves no room for', 2, { retain: '1' }],
  ['another AMI of the source replaces', 1, { 'on-existing': 'replace', 'target-ami-name': '{name}-{run-id}' }],
  ['a new bake takes the name of', 2, { 'on-existing': 'replace', 'target-ami-name': 'golden-1' }],
];

describe('an AMI that is recalled, or disabled, while the run is at work', () => {
  test.each(
    ways.flatMap(([what, number, inputs]) => [
      [what, 'recalled', number, inputs] as const,
      [what, 'disabled', number, inputs] as const,
    ]),
  )('stays, and is told, although %s it: %s', async (...[, how, number, inputs]) => {
    await using house = await openHouse(bakes());
    const former = await bake(house, 1);
    const [there] = imagesIn(house);
    if (there === undefined) throw new Error('there is no AMI');
    const forget = house.simulator.onCall((call) => {
      if (!isInTarget('CopySnapshot')(call)) return;
      if (how === 'recalled') tag(there, { [`${prefix}recalled`]: 'a hole' });
      else there.data.State = 'disabled';
    });
    const { main } = await runJob(house.run({ ...image(number), ...inputs }, { run_id: '2' }));
    forget();
    expect(imagesIn(house).map(({ data }) => data.ImageId)).toContain(former.id);
    expect(messagesOf(main)).toMatch(new RegExp(`${former.id}.* was ${how}`));
    // Without the name, there is no new one.
    expect(main.conclusion).toBe(inputs['target-ami-name'] === 'golden-1' ? 'failure' : 'success');
    await house.settle();
    expect(house.untold(messagesOf(main) + main.log)).toEqual([]);
  });
});

describe('two runs at once, of which one goes back to what the other leaves no room for', () => {
  test.each([0, 30, 55])('begun %i s later: what it told of is there', async (seconds) => {
    await using house = await openHouse(bakes());
    const first = await bake(house, 1);
    await bake(house, 2);
    const retaining = runJob(house.run({ ...image(3), retain: '1' }, { run_id: '3' }));
    await house.simulator.clock.sleep(seconds * 1000);
    const back = await runJob(house.run(image(1), { run_id: '4' }));
    const { main } = await retaining;
    expect([main.conclusion, back.main.conclusion, recordsOf(back.main)[0]?.amiId]).toEqual([
      ...['success', 'success', first.id],
    ]);
    expect(messagesOf(main)).toContain(`${first.id} (golden-1) stays: another run has published it meanwhile`);
    expect(namesIn(house)).toEqual(['golden-1', 'golden-3']);
  });

  test('what was removed before it could be published is told, and fails', async () => {
    await using house = await openHouse(bakes());
    const first = await bake(house, 1);
    let isGone = false;
    const forget = house.simulator.onCall(({ action, mutating }) => {
      // The last question before the run begins: somebody else was quicker.
      if (isGone || action !== 'CreateTags' || mutating) return;
      isGone = true;
      regionOf(house.simulator.world, ...target).images.delete(first.id);
    });
    const superseded = { [`${prefix}superseded`]: `ami-0aaaaaaaaaaaaaaa9 2026-11-01T00:00:00.000Z` };
    for (const one of imagesIn(house)) tag(one, superseded);
    const { main } = await runJob(house.run(image(1), { run_id: '2' }));
    forget();
    expect([isGone, main.conclusion, messagesOf(main)]).toEqual([
      ...[true, 'failure', expect.stringContaining(`${first.id} was deregistered since this run began`)],
    ]);
  });
});

describe('what a run that dies leaves of an AMI that is a month old', () => {
  const killed = async (house: House, run: InProcessRun, post: boolean) => {
    const { state, temp } = await killAt(house, run, isInTarget('DeregisterImage'));
    const ended = post ? await runAction({ ...run, entry: 'post', state, temp }) : undefined;
    await house.settle(6);
    return ended === undefined ? '' : ended.log + messagesOf(ended);
  };

  test.each(
    ways.flatMap(([what, number, inputs]) => [
      [what, 'killed with its post', number, inputs] as const,
      [what, 'then post', number, inputs] as const,
    ]),
  )('which %s: %s, the next run deletes it', async (...[, how, number, inputs]) => {
    await using house = await openHouse(bakes());
    await bake(house, 1);
    const asked = { ...image(number), ...inputs };
    const told = await killed(house, house.run(asked, { run_id: '2' }), how === 'then post');
    if (how === 'then post') expect(house.untold(told)).toEqual([]);
    const { main } = await runJob(house.run(asked, { run_id: '3' }));
    await house.settle();
    expect([main.conclusion, messagesOf(main), imagesIn(house).length]).toEqual(['success', '', 1]);
    expect(house.remains()).toEqual([]);
  });

  test.each(ways)('which %s: a sweep tells it, and deletes it when it said', async (_, number, inputs) => {
    await using house = await openHouse(bakes());
    await bake(house, 1);
    await killed(house, house.run({ ...image(number), ...inputs }, { run_id: '2' }), false);
    const early = await sweepOf(house);
    expect(house.untold(early.log + messagesOf(early))).toEqual([]);
    expect(early.log).not.toMatch(/left alone/);
    await house.settle(6 * day);
    const late = await sweepOf(house);
    await house.settle();
    expect([late.conclusion, house.remains()]).toEqual(['success', []]);
  });

  test('that AWS lets not be deregistered: its snapshots bear no mark', async () => {
    const words = { code: 'OperationNotPermitted', message: 'A rule of the organization.' };
    await using house = await openHouse(bakes());
    const former = await bake(house, 1);
    house.simulator.addFault({ kind: 'refusal', action: 'DeregisterImage', mutating: true, ...words });
    const watched = watch(
      house.simulator,
      imagesIn(house).map((one) => diskOf(house.simulator, one)),
    );
    const { main } = await runJob(house.run({ ...image(2), retain: '1' }, { run_id: '2' }));
    await house.settle();
    expect(messagesOf(main)).toContain(`${former.id} (golden-1) could not be removed`);
    const marks = watched.ids.flatMap((id) => {
      const snapshot = stockOf(house.simulator, ...target).snapshots.find(({ data }) => data.SnapshotId === id);
      return snapshot?.data.Tags.filter(({ Key = '' }) => /:(lease|replaced-by)$/.test(Key)) ?? [];
    });
    expect([marks, house.remains()]).toEqual([[], []]);
  });
});

test('that an AMI in use could not be protected again is told, and fails nothing', async () => {
  await using house = await openHouse(bakes());
  const { id } = await bake(house, 1);
  const [there] = imagesIn(house);
  if (there === undefined) throw new Error('there is no AMI');
  tag(there, { [`${prefix}protection`]: 'on' });
  regionOf(house.simulator.world, ...target).launchTemplates.set('lt-0aaaaaaaaaaaaaaa1', {
    ...{ id: 'lt-0aaaaaaaaaaaaaaa1', name: 'web', defaultVersion: 1, latest: 1, tokens: new Map() },
    versions: [{ number: 1, description: '', visibleAt: 0, data: { ImageId: id } }],
  });
  const words = { code: 'OperationNotPermitted', message: 'A rule of the organization.' };
  const action = 'EnableImageDeregistrationProtection';
  house.simulator.addFault({ kind: 'refusal', action, mutating: true, ...words });
  const { main } = await runJob(house.run({ ...image(2), retain: '1' }, { run_id: '2' }));
  expect([main.conclusion, namesIn(house)]).toEqual(['success', ['golden-1', 'golden-2']]);
  expect(messagesOf(main)).toMatch(
    new RegExp(`${id} has come into use, and could not be protected .*A rule of the org`),
  );
});

test('a finished AMI that bears a stale lease and is disabled goes with no sweep', async () => {
  await using house = await openHouse(bakes());
  const { id } = await bake(house, 1);
  for (const one of imagesIn(house)) {
    tag(one, { [`${prefix}lease`]: 'abcdefabcdef' });
    one.data.State = 'disabled';
  }
  const swept = await sweepOf(house);
  expect([swept.conclusion, namesIn(house)]).toEqual(['success', ['golden-1']]);
  expect(swept.log).toContain(`${id} in ${target.join('/')} is left alone: somebody has disabled it`);
});
