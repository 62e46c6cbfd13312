import { describe, expect, test } from '@jest/globals';
import type { ActionResult } from '../../simulator/runner.ts';
import { amiIdOf } from '../../simulator/scenario.ts';
import {
  type Case,
  customerKey,
  fanOut,
  procedure,
  sourceAccount,
  sourceRegion,
  targetAccount,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import { type Operation, operationsOf } from '../deeds.ts';
import { runAction, runJob } from '../in-process.ts';
import { copiedFrom, expectUntouched } from '../shared-case.ts';
import { killAt, messagesOf, openHouse, stockOf } from './house.ts';

/* The plan that is shown is the plan that runs: what is made, what goes, when, and by which IDs. */

const timings = { baseSeconds: 30, secondsPerGiB: 0 };
const dry = { 'dry-run': 'true' };

/** The operations of a run's plan, which has some. */
function operations({ outputs }: ActionResult): readonly Operation[] {
  const found = operationsOf(outputs.plan) ?? [];
  expect(found).not.toEqual([]);
  return found;
}

const ofKind = (all: readonly Operation[], kind: string) => all.filter((one) => one.kind === kind);

/** All that must have ended before an operation begins. */
function priorTo(all: readonly Operation[], { after }: Operation): Operation[] {
  const direct = all.filter(({ id }) => after.includes(id));
  return [...direct, ...direct.flatMap((one) => priorTo(all, one))];
}

const isThere = ({ account, region }: Operation) => account === targetAccount && region === targetRegion;

/** The lines of the log that tell of the plan. */
function shownPlan({ log }: ActionResult): string {
  const lines = log.split('\n');
  const start = lines.findIndex((line) => line.includes('The plan'));
  const end = lines.findIndex((line, index) => index > start && line.includes('by estimate'));
  return lines.slice(start + 1, end).join('\n');
}

describe('the output plan', () => {
  test.each<[string, Case, Record<string, string>]>([
    ['of an AMI to be encrypted first', fanOut({ timings }), {}],
    ['of an AMI under a customer managed key', customerKey({ timings }), {}],
    ['by route copy', procedure({ timings, policies: ['source-route-copy', 'target-route-copy'] }), { route: 'copy' }],
    ['of a hub', fanOut({ timings, hubs: ['eu-west-1', 'us-west-2', 'ap-southeast-2'] }), { topology: 'regional-hub' }],
    [
      'with a parameter',
      fanOut({ timings, policies: ['target-ssm-parameter'] }),
      { 'ssm-parameter': '/golden/latest' },
    ],
  ])('%s has operations that hang together, in the dry run and after the run', async (_, shared, inputs) => {
    await using house = await openHouse(shared);
    const planned = await runAction(house.run({ ...inputs, ...dry }));
    const { main } = await runJob(house.run(inputs));
    expect(main.annotations).toEqual([]);
    for (const [result, outcome] of [
      [planned, 'planned'],
      [main, 'done'],
    ] as const) {
      expect(JSON.parse(result.outputs.plan ?? '')).toMatchObject({ version: 2 });
      const all = operations(result);
      expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
      const ids = new Set(all.map(({ id }) => id));
      for (const one of all) {
        expect(one.after.filter((id) => !ids.has(id))).toEqual([]);
        // No circle.
        expect(priorTo(all, one).map(({ id }) => id)).not.toContain(one.id);
        expect([one.id, one.outcome]).toEqual([one.id, outcome]);
      }
    }
    expect(operations(main).map(({ id }) => id)).toEqual(operations(planned).map(({ id }) => id));
  });
});

describe('replace', () => {
  /** A case whose AMI is there already, and its ID. */
  async function openReplacing() {
    const house = await openHouse(procedure({ timings }));
    const { main } = await runJob(house.run());
    return { house, old: main.outputs['ami-id'] ?? '' };
  }

  test('under the same name shows that the old AMI is deregistered before the new one is registered', async () => {
    const { house, old } = await openReplacing();
    await using _ = house;
    const run = house.run({ 'on-existing': 'replace', ...dry }, { run_id: '4712' });
    const planned = await runAction(run);
    expect(planned.annotations).toEqual([]);
    const shown = shownPlan(planned);
    expect(shown).toMatch(new RegExp(`deregister ${old}`));
    expect(shown.indexOf(`deregister ${old}`)).toBeLessThan(shown.indexOf('register golden-image'));
    const all = operations(planned);
    const [deregister] = ofKind(all, 'deregister').filter(isThere);
    expect(deregister?.of).toEqual([old]);
    expect(deregister?.why).not.toBe('');
    const [register] = ofKind(all, 'register').filter(isThere);
    expect(register && priorTo(all, register)).toContainEqual(deregister);
    // When all copies are there, and not sooner.
    expect(deregister && priorTo(all, deregister)).toEqual(expect.arrayContaining(ofKind(all, 'copy')));
    const { main } = await runJob({ ...run, inputs: { ...run.inputs, 'dry-run': 'false' } });
    expect(main.annotations).toEqual([]);
    expect(operations(main).find(({ id }) => id === deregister?.id)?.outcome).toBe('done');
  });

  test('under another name shows that the old AMI is deregistered when the new one is verified', async () => {
    const { house, old } = await openReplacing();
    await using _ = house;
    const named = { 'on-existing': 'replace', 'target-ami-name': '{name}-{run-id}' };
    const all = operations(await runAction(house.run({ ...named, ...dry }, { run_id: '4712' })));
    const [deregister] = ofKind(all, 'deregister');
    // Its snapshots go with it.
    expect(deregister?.of[0]).toBe(old);
    expect(deregister?.of.slice(1)).toEqual([expect.stringMatching(/^snap-/)]);
    expect(deregister && priorTo(all, deregister)).toEqual(expect.arrayContaining(ofKind(all, 'verify')));
  });
});

test('what retain has no room for is shown as deregistered, last of all', async () => {
  const tags = {
    'share-encrypted-ami:source-ami': 'ami-00000000000000009',
    'share-encrypted-ami:lineage': 'golden',
  };
  const older = [1, 2, 3].map((day) => ({
    name: `golden-image-${day}`,
    tags,
    attributes: { CreationDate: `2026-10-0${day}T00:00:00.000Z` },
    volumes: [{ device: '/dev/xvda', key: 'cmkTarget', tags, copied: copiedFrom('ami-00000000000000009', 'golden') }],
  }));
  const shared = procedure({
    timings,
    ami: { name: 'golden-image-9' },
    policies: ['target-retain'],
    target: { amis: older },
  });
  await using house = await openHouse(shared);
  const planned = await runAction(house.run({ lineage: 'golden', retain: '2', ...dry }));
  const going = [1, 2].map((day) => amiIdOf(targetAccount, targetRegion, `golden-image-${day}`));
  for (const id of going) expect(shownPlan(planned)).toMatch(new RegExp(`deregister .*${id}`));
  const all = operations(planned);
  const deregistered = ofKind(all, 'deregister').filter(isThere);
  expect(deregistered.flatMap(({ of }) => of.slice(0, 1)).sort()).toEqual(going.sort());
  for (const one of deregistered) {
    expect(one.why).toMatch(/retain/);
    expect(priorTo(all, one)).toEqual(expect.arrayContaining(ofKind(all, 'verify')));
  }
});

test('left-over snapshots that will be deleted are in the plan', async () => {
  const shared = customerKey({
    timings,
    faults: [{ kind: 'copy-fails', action: 'CopySnapshot', mutating: true, nth: 1 }],
  });
  await using house = await openHouse(shared);
  const { simulator } = house;
  await killAt(house, house.run(), ({ action, mutating }) => action === 'CopySnapshot' && mutating);
  const [left] = stockOf(simulator, targetAccount, targetRegion).snapshots.map(({ data }) => data.SnapshotId);
  // Until its lease has expired, that run may go on.
  await house.settle(6);
  const planned = await runAction(house.run(dry, { run_attempt: '2' }));
  expect(shownPlan(planned)).toContain(left);
  const removals = ofKind(operations(planned), 'delete').filter(isThere);
  expect(removals.flatMap(({ of }) => of)).toEqual([left]);
  const { main } = await runJob(house.run({}, { run_attempt: '2' }));
  expect(main.annotations).toEqual([]);
  expect(house.remains()).toEqual([]);
});

describe('an encrypted copy that was kept', () => {
  async function openKept() {
    const house = await openHouse(procedure({ timings, regions: ['eu-west-1', 'us-west-2'] }));
    const kept = { 'keep-intermediates': 'true', 'target-regions': 'eu-west-1' };
    const { main } = await runJob(house.run(kept));
    expect(main.annotations).toEqual([]);
    const { images } = stockOf(house.simulator, sourceAccount, sourceRegion);
    const copy = images.find(({ data }) => data.Tags.some(({ Key }) => Key === 'share-encrypted-ami:intermediate'));
    const snapshots = (copy?.data.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);
    return { house, snapshots, next: house.run({ 'target-regions': 'us-west-2' }, { run_id: '4712' }) };
  }

  test('is neither planned nor priced as one that is made', async () => {
    const { house, next } = await openKept();
    await using _ = house;
    const planned = await runAction({ ...next, inputs: { ...next.inputs, ...dry } });
    expect(JSON.parse(planned.outputs.plan ?? '').estimate.copies).toBe(1);
    expect(shownPlan(planned)).not.toMatch(/\bencrypt\b/);
    expect(ofKind(operations(planned), 'encrypt')).toEqual([]);
  });

  test('is named by its own snapshots, where they are shared and copied', async () => {
    const { house, next, snapshots } = await openKept();
    await using _ = house;
    const planned = await runAction({ ...next, inputs: { ...next.inputs, ...dry } });
    for (const kind of ['share', 'copy'])
      expect(ofKind(operations(planned), kind).flatMap(({ of }) => of)).toEqual(snapshots);
  });
});

describe('a zone that there is not, for fast snapshot restore', () => {
  test.each([dry, {}])('is a problem before anything is changed: %j', async (inputs) => {
    await using house = await openHouse(procedure({ timings, policies: ['target-publish'] }));
    const { simulator } = house;
    const before = simulator.snapshotOfState(sourceAccount);
    const main = await runAction(house.run({ 'fast-snapshot-restore': 'eu-west-1a, eu-west-1x', ...inputs }));
    expect(main.conclusion).toBe('failure');
    expect(messagesOf(main)).toMatch(/eu-west-1x/);
    expect(messagesOf(main)).toMatch(/eu-west-1a, eu-west-1b, eu-west-1c/);
    expectUntouched({ simulator, before });
  });
});

describe('what log and plan name as shared and copied is what CloudTrail has', () => {
  test.each<[string, Case, Record<string, string>]>([
    ['an AMI to be encrypted first', procedure({ timings }), {}],
    [
      'an AMI of which one snapshot is to be encrypted',
      customerKey({ timings, volumes: [{ device: '/dev/xvda', key: 'cmkSource' }, { device: '/dev/sdb' }] }),
      {},
    ],
    ['an AMI under a customer managed key', customerKey({ timings }), {}],
    ['by a hub', fanOut({ timings, regions: ['eu-west-1'], hubs: ['eu-west-1'] }), { topology: 'regional-hub' }],
  ])('%s', async (_, shared, inputs) => {
    await using house = await openHouse(shared);
    const { main } = await runJob(house.run(inputs));
    expect(main.annotations).toEqual([]);
    const asked = (action: string, field: string) =>
      house.simulator.calls
        .filter((call) => call.action === action && call.mutating)
        .map(({ request }) => String(request[field]));
    const shares = new Set(asked('ModifySnapshotAttribute', 'SnapshotId'));
    const sources = new Set(asked('CopySnapshot', 'SourceSnapshotId'));
    const told = (word: string) =>
      [...main.log.matchAll(new RegExp(`${word} (snap-\\w+)`, 'g'))].map(([, id]) => id ?? '');
    expect(told('shared').length).toBeGreaterThan(0);
    expect(told('shared').filter((id) => !shares.has(id))).toEqual([]);
    expect(told('copying').length).toBeGreaterThan(0);
    expect(told('copying').filter((id) => !sources.has(id))).toEqual([]);
    // What had no ID yet when it was planned is named by words.
    const named = (kind: string) =>
      ofKind(operations(main), kind)
        .flatMap(({ of }) => of)
        .filter((id) => /^snap-\w+$/.test(id));
    expect(named('share').filter((id) => !shares.has(id))).toEqual([]);
    expect(named('copy').filter((id) => !sources.has(id))).toEqual([]);
  });
});
