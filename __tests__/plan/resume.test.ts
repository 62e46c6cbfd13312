import type { Snapshot } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { longestJobMs } from '../../src/lease.ts';
import { endedCopyMs } from '../../src/plan/earlier.ts';
import { copyDescription } from '../../src/plan/evidence.ts';
import { endedLease, tagKeys } from '../../src/tags.ts';
import {
  comesAfter,
  copiedAmi,
  copyOf,
  deadLease,
  earlierCopy,
  golden,
  keyOf,
  kindsOf,
  lease,
  liveLease,
  lostLease,
  now,
  ofKind,
  planOne,
  runUrl,
  sharedAmi,
  snapshot,
  snapshotOf,
  sourceAccount,
  sourceRegion,
  targetAccount,
  targetIn,
  targetKey,
  targetRegion,
  unencrypted,
  volume,
} from './given.ts';

const otherKey = keyOf(targetAccount, 'elsewhere');
const leases = [lease(liveLease), lease(deadLease, { expiresAt: 0 })];

describe('an AMI that is there already', () => {
  const ami = sharedAmi('ami-there');

  test('is reused if it is like the source and under the target key; then nothing is made', () => {
    const { reuse, replace, problems, plan } = planOne({
      target: { existing: [ami], earlierCopies: [snapshotOf(ami)], namesake: ami },
    });
    expect(reuse).toBe(ami);
    expect({ replace, problems }).toEqual({ replace: [], problems: [] });
    expect(kindsOf(plan)).toEqual(['reuse']);
  });

  test.each([
    ['not available', { State: 'pending' as const }, targetKey],
    ['of another architecture', { Architecture: 'arm64' as const }, targetKey],
    ['under another key', {}, otherKey],
  ])('is not reused if it is %s', (_, over, key) => {
    const other = sharedAmi('ami-there', over);
    const { reuse, copies } = planOne({ target: { existing: [other], earlierCopies: [snapshotOf(other, key)] } });
    expect(reuse).toBeUndefined();
    expect(copies).toHaveLength(1);
  });

  test('is not reused if a device holds a copy of another of the snapshots', () => {
    const image = { BlockDeviceMappings: [volume('/dev/xvda', 'snap-b007'), volume('/dev/xvdb', 'snap-da7a')] };
    const source = { snapshots: [snapshot('snap-b007'), snapshot('snap-da7a')] };
    const devices = [volume('/dev/xvda', 'snap-1', true), volume('/dev/xvdb', 'snap-2', true)];
    const there = sharedAmi('ami-there', { BlockDeviceMappings: devices });
    const reused = (of: readonly [string, string]) => {
      const earlierCopies = of.map((id, index) => ({ ...copyOf(`snap-${index + 1}`, id), KmsKeyId: targetKey }));
      return planOne({ image, source, target: { existing: [there], earlierCopies } }).reuse === there;
    };
    expect([reused(['snap-b007', 'snap-da7a']), reused(['snap-da7a', 'snap-b007'])]).toEqual([true, false]);
  });

  test('is not reused if nothing tells which key it is under', () => {
    expect(planOne({ target: { existing: [ami] } }).reuse).toBeUndefined();
  });

  test("of several, the one with the asked name is reused; where none has it, the choice is the user's", () => {
    const newest = sharedAmi('ami-newest', { Name: 'golden-old-name' });
    const named = sharedAmi('ami-named');
    const earlierCopies = [newest, named].map((image) => snapshotOf(image));
    const existing = [newest, named];
    expect(planOne({ target: { existing, earlierCopies } }).reuse).toBe(named);
    expect(planOne({ target: { existing, earlierCopies } }).problems).toEqual([]);
    expect(planOne({ target: { existing, earlierCopies, name: 'another' } }).problems).toEqual([
      {
        where: `${targetAccount}/${targetRegion}`,
        what: 'several AMIs of this source are there, all alike: ami-newest (golden-old-name), ami-named (golden-2026-11-23)',
        remedy: 'name one of them in target-ami-name, deregister the others, or set on-existing to replace',
      },
    ]);
  });

  test.each(['fail', 'replace'])('with on-existing %s, is reused only if this very run made it', (onExisting) => {
    const inputs = { 'on-existing': onExisting };
    const [own, others] = [sharedAmi('ami-own', { run: runUrl }), sharedAmi('ami-others', { run: `${runUrl}9` })];
    const earlierCopies = [own, others].map((image) => snapshotOf(image));
    expect(planOne({ inputs, attempt: 2, target: { existing: [others, own], earlierCopies } }).reuse).toBe(own);
    expect(planOne({ inputs, target: { existing: [others, own], earlierCopies } }).reuse).toBe(own);
    expect(planOne({ inputs, attempt: 2, target: { existing: [others], earlierCopies } }).reuse).toBeUndefined();
  });

  test('by another name is reused if it is the only one', () => {
    const target = { existing: [ami], earlierCopies: [snapshotOf(ami)], name: 'another' };
    expect(planOne({ target })).toMatchObject({ reuse: ami, problems: [] });
  });

  test('made twice by an earlier attempt is no question: the newest is taken', () => {
    const existing = [1, 2].map((at) => sharedAmi(`ami-${at}`, { run: runUrl, Name: `golden-${at}` }));
    const target = { existing, earlierCopies: existing.map((image) => snapshotOf(image)) };
    const { reuse, problems } = planOne({ inputs: { 'on-existing': 'replace' }, attempt: 2, target });
    expect([reuse, problems]).toEqual([existing[0], []]);
  });

  test.each([
    ['the same', 'QU1a', true],
    ['others', 'T1RI', false],
    ['none', undefined, false],
  ])('with UEFI variables is reused if it has the same: it has %s', (_, uefiData, reused) => {
    const source = { extras: { uefiData: 'QU1a' } };
    const there = { existing: [ami], earlierCopies: [snapshotOf(ami)] };
    const { reuse } = planOne({ source, target: { ...there, existingExtras: new Map([['ami-there', { uefiData }]]) } });
    expect(reuse).toBe(reused ? ami : undefined);
    // Where they may not be read, verification will say so.
    expect(planOne({ source, target: there }).reuse).toBe(ami);
  });

  test('may lack the kernel in another region, and the billing where that is meant to be lost', () => {
    const reused = (image: object, inputs = {}, region = targetRegion) => {
      const key = keyOf(targetAccount, region);
      const target = targetIn(targetAccount, region, { existing: [ami], earlierCopies: [snapshotOf(ami, key)] });
      return planOne({ image, inputs, target }).reuse === ami;
    };
    const kernel = { KernelId: 'aki-1' };
    expect([reused(kernel), reused(kernel, {}, sourceRegion)]).toEqual([true, false]);
    const billed = { UsageOperation: 'RunInstances:0010' };
    const meant = { 'allow-lost-billing': 'true' };
    expect(reused(billed, { ...meant, route: 'register' })).toBe(true);
    expect(reused(billed, { ...meant, route: 'copy' })).toBe(false);
    expect(reused(billed, { route: 'register' })).toBe(false);
  });

  test("with on-existing replace outside a workflow, is no run's own", () => {
    const unmarked = sharedAmi('ami-own', { run: '' });
    const target = { existing: [unmarked], earlierCopies: [snapshotOf(unmarked)] };
    expect(planOne({ run: '', attempt: 2, inputs: { 'on-existing': 'replace' }, target }).reuse).toBeUndefined();
  });
});

describe('an AMI that a run which has died left finished, but for its lease', () => {
  const ami = sharedAmi('ami-there', { lease: deadLease });
  const earlierCopies = [{ ...earlierCopy('snap-of-ami-there'), KmsKeyId: targetKey }];

  test.each(['register', 'copy'])('is reused on route %s, and bears no lease from then on', (route) => {
    const target = { existing: [ami], namesake: ami, earlierCopies };
    const { plan, reuse, discard } = planOne({ inputs: { route }, leases, target });
    expect({ reuse, discard }).toEqual({ reuse: ami, discard: [] });
    // Whatever bears the lease of a run that died is removed at the end.
    const untagged = ofKind(plan, 'untag').flatMap(({ resources }) => resources);
    expect(untagged.toSorted()).toEqual(['ami-there', 'snap-of-ami-there']);
  });

  test('loses the lease of a run that lives too: it is used from now on, whatever becomes of that run', () => {
    const made = sharedAmi('ami-there', { lease: liveLease });
    const copies = [{ ...earlierCopy('snap-of-ami-there', { lease: liveLease }), KmsKeyId: targetKey }];
    const { plan, reuse } = planOne({ leases, target: { existing: [made], earlierCopies: copies } });
    expect([reuse, ofKind(plan, 'untag').map(({ of }) => of), ofKind(plan, 'delete')]).toEqual([
      made,
      [['ami-there']],
      [],
    ]);
  });
});

describe('an AMI of this source that is being made under the name', () => {
  const pending = sharedAmi('ami-begun', { State: 'pending' });
  const there = { existing: [pending], namesake: pending };
  const where = `${targetAccount}/${targetRegion}`;

  test.each(['register', 'copy'])('is waited for, and nothing else is made: route %s', (route) => {
    const source = { snapshots: [unencrypted('snap-b007')] };
    const { action, awaited, problems, plan } = planOne({ inputs: { route }, source, target: there });
    expect({ action, awaited, problems }).toEqual({ action: 'await', awaited: pending, problems: [] });
    expect(plan.encryptedCopies).toEqual([]);
    const [, waiting, used] = plan.operations;
    expect(used?.after).toEqual([waiting?.id]);
    expect(plan.operations).toEqual([
      expect.objectContaining({ kind: 'lease' }),
      expect.objectContaining({ kind: 'await', of: ['ami-begun'], image: pending, after: [], island: where }),
      expect.objectContaining({ kind: 'reuse', of: ['ami-begun'], image: pending, waits: true, island: where }),
    ]);
  });

  test('by a run that lives is waited for; by one that has died, on the route copy, taken over', () => {
    const of = (lease: string) => {
      const image = sharedAmi('ami-begun', { State: 'pending', lease });
      const target = { existing: [image], namesake: image };
      const { action, takenOver } = planOne({ inputs: { route: 'copy' }, leases, target });
      return [action, takenOver];
    };
    expect(of(liveLease)).toEqual(['await', undefined]);
    expect(of(deadLease)).toEqual(['copy', 'ami-begun']);
  });

  test('by a run that has died and copied, on the route register, bears no lease once it is used', () => {
    const image = sharedAmi('ami-begun', { State: 'pending', lease: deadLease });
    const { plan, action } = planOne({ leases, target: { existing: [image], namesake: image } });
    expect(action).toBe('await');
    expect(ofKind(plan, 'untag').flatMap(({ resources }) => resources)).toContain('ami-begun');
  });

  test('is seen before it names its snapshots', () => {
    const { BlockDeviceMappings: _, ...bare } = pending;
    expect(planOne({ target: { existing: [bare], namesake: bare } })).toMatchObject({ awaited: bare, problems: [] });
  });

  test('is none where its snapshots are not copies of the source: its name is taken, and nothing else is said of it', () => {
    const parts = new Map([['snap-of-ami-begun', { SnapshotId: 'snap-of-ami-begun', Description: 'a backup' }]]);
    const { awaited, problems, warnings } = planOne({ target: { ...there, parts } });
    expect(awaited).toBeUndefined();
    expect(problems.map(({ what }) => what)).toEqual(['the name "golden-2026-11-23" is taken by ami-begun']);
    expect(warnings).toEqual([
      `${where}: ami-begun bears tags of this action, but its snapshot snap-of-ami-begun was not copied from ami-601d by this action; so it is left alone`,
    ]);
  });

  test('is none where another name is asked for, or where it is of another source', () => {
    const target = { existing: [pending], name: 'another' };
    expect(planOne({ target })).toMatchObject({ action: 'register', problems: [] });
    const others = golden({
      ImageId: 'ami-other',
      State: 'pending',
      Tags: [{ Key: tagKeys.sourceAmi, Value: 'ami-2' }],
    });
    expect(planOne({ target: { namesake: others } })).toMatchObject({
      action: 'register',
      problems: [{ where, what: 'the name "golden-2026-11-23" is taken by ami-other' }],
    });
  });

  test.each(['available', 'failed', 'deregistered'] as const)('is none when it is %s', (State) => {
    const image = sharedAmi('ami-begun', { State, Architecture: 'arm64' });
    expect(planOne({ target: { existing: [image], namesake: image } }).action).toBe('register');
  });

  test('comes after one that is there and right', () => {
    const ami = sharedAmi('ami-there', { Name: 'golden-another' });
    const target = { existing: [pending, ami], namesake: pending, earlierCopies: [snapshotOf(ami)] };
    expect(planOne({ target })).toMatchObject({ action: 'reuse', reuse: ami, problems: [] });
  });

  test('with on-existing fail, is a problem that names it, told once', () => {
    expect(planOne({ inputs: { 'on-existing': 'fail' }, target: there })).toMatchObject({
      awaited: undefined,
      problems: [
        {
          where,
          what: 'there is an AMI of this source already: ami-begun (golden-2026-11-23, pending)',
          remedy: 'deregister it, or set on-existing to reuse or replace',
        },
      ],
    });
  });

  test.each(['fail', 'replace'])(
    'with on-existing %s, is waited for by a re-run of the run that makes it',
    (onExisting) => {
      const inputs = { 'on-existing': onExisting };
      const own = sharedAmi('ami-begun', { State: 'pending', run: runUrl });
      const older = sharedAmi('ami-older', { Name: 'golden-older' });
      const existing = onExisting === 'replace' ? [own, older] : [own];
      const of = (attempt: number, run = runUrl) =>
        planOne({ inputs, attempt, run, target: { existing, namesake: own } });
      const { action, awaited, problems, plan } = of(2);
      expect({ action, awaited, problems }).toEqual({ action: 'await', awaited: own, problems: [] });
      // Neither is it replaced; what is, goes when it is right.
      const [reuse] = ofKind(plan, 'reuse');
      expect(ofKind(plan, 'deregister').map(({ image, after }) => [image.ImageId, after])).toEqual(
        onExisting === 'replace' ? [['ami-older', [reuse?.id]]] : [],
      );
      // Another job of the same run may make it; another run's is another run's.
      expect(of(1).awaited).toBe(own);
      expect(of(2, `${runUrl}9`).awaited).toBeUndefined();
      expect(of(2, '').awaited).toBeUndefined();
    },
  );
});

test('with on-existing fail, another AMI of this source is a problem also to a re-run that waits for its own', () => {
  const own = sharedAmi('ami-begun', { State: 'pending', run: runUrl });
  const older = sharedAmi('ami-older', { Name: 'golden-older', Architecture: 'arm64' });
  const target = { existing: [own, older], namesake: own };
  const inputs = { 'on-existing': 'fail' };
  expect(planOne({ inputs, attempt: 2, target }).problems.map(({ what }) => what)).toEqual([
    'there is an AMI of this source already: ami-older (golden-older)',
  ]);
});

describe('an image that an earlier run was copying (route copy)', () => {
  const pending = copiedAmi('ami-begun', { State: 'pending', lease: deadLease });
  const adopted = (existing: (typeof pending)[], inputs = { route: 'copy' }) =>
    planOne({ inputs, leases, target: { existing } }).takenOver;

  test('is taken over from a run that died, and its name is no obstacle', () => {
    const { takenOver, problems, replace } = planOne({
      inputs: { route: 'copy', 'on-existing': 'replace' },
      leases,
      target: { existing: [pending], namesake: pending },
    });
    expect({ takenOver, problems, replace }).toEqual({ takenOver: 'ami-begun', problems: [], replace: [] });
  });

  test('is taken over when its copy has come to its end, but nobody verified it', () => {
    expect(adopted([copiedAmi('ami-begun', { lease: deadLease })])).toBe('ami-begun');
  });

  test('is taken over from an earlier attempt of this workflow run, whether its lease lives or is not to be found', () => {
    const facts = { inputs: { route: 'copy' }, attempt: 2 };
    const of = (holder: string, run: string) => {
      const existing = [copiedAmi('ami-begun', { State: 'pending', lease: holder, run })];
      const outdated = lease(deadLease, { runId: '4711', attempt: 1 });
      return planOne({ ...facts, leases: [outdated], target: { existing } }).takenOver;
    };
    expect([of(deadLease, runUrl), of(lostLease, runUrl)]).toEqual(['ami-begun', 'ami-begun']);
    expect(of(lostLease, `${runUrl}9`)).toBeUndefined();
  });

  test('is taken over five days after AWS says that it was begun, where its lease is not to be found', () => {
    const of = (age: number) => {
      const CreationDate = new Date(now - age).toISOString();
      return adopted([copiedAmi('ami-begun', { State: 'pending', lease: lostLease, CreationDate })]);
    };
    expect([of(longestJobMs + 1), of(longestJobMs)]).toEqual(['ami-begun', undefined]);
  });

  test.each([
    ["is a living run's", { State: 'pending' as const, lease: liveLease }],
    ['bears a lease that is not to be found', { State: 'pending' as const, lease: lostLease }],
    ['is older than its lease', { State: 'pending' as const, lease: deadLease, CreationDate: '2026-11-01T00:00:00Z' }],
    ['was copied from another AMI', { State: 'pending' as const, lease: deadLease, SourceImageId: 'ami-0dd' }],
    ['bears no lease', { State: 'pending' as const }],
    ['has another name', { State: 'pending' as const, lease: deadLease, Name: 'another' }],
    ['is finished', {}],
    ['has failed', { State: 'failed' as const, lease: deadLease }],
  ])('is left alone if it %s', (_, over) => {
    // Without a snapshot whose key is known, it can't be reused instead.
    expect(adopted([copiedAmi('ami-begun', over)])).toBeUndefined();
  });

  test('is of no use on the route register', () => {
    expect(adopted([pending], { route: 'register' })).toEqual([undefined]);
  });

  test('is of no use where a finished AMI is reused', () => {
    const ami = sharedAmi('ami-there');
    const target = { existing: [pending, ami], earlierCopies: [snapshotOf(ami)] };
    const { reuse, takenOver } = planOne({ inputs: { route: 'copy' }, leases, target });
    expect([reuse, takenOver]).toEqual([ami, undefined]);
  });
});

describe('an image that an earlier run was copying in vain', () => {
  const ofState = (State: 'failed' | 'error' | 'pending' | 'available', lease?: string) =>
    sharedAmi(`ami-${State}`, { State, lease, Architecture: 'arm64' });

  test.each(['failed', 'error'] as const)('is removed if it is %s and its run died; its name comes free', (state) => {
    const failed = ofState(state, deadLease);
    const { discardImages, replace, problems } = planOne({
      inputs: { 'on-existing': 'replace' },
      leases,
      target: { existing: [failed], namesake: failed },
    });
    expect({ discardImages, replace, problems }).toEqual({ discardImages: [failed], replace: [], problems: [] });
  });

  test.each([
    ['its run lives', ofState('failed', liveLease)],
    ['it bears no lease', ofState('failed')],
    ['it is still pending', ofState('pending', deadLease)],
    ['it is available', ofState('available', deadLease)],
  ])('is left alone if %s', (_, image) => {
    expect(planOne({ leases, target: { existing: [image] } }).discardImages).toEqual([]);
  });
});

describe('a snapshot copy that an earlier run left', () => {
  const adopted = (...earlierCopies: ReturnType<typeof earlierCopy>[]) => {
    const { takenOver, discard } = planOne({ leases, target: { earlierCopies } });
    return { adopted: takenOver, discard };
  };

  test.each(['pending', 'completed'] as const)('is taken over if it is %s', (state) => {
    expect(adopted(earlierCopy('snap-1', { state }))).toEqual({ adopted: ['snap-1'], discard: [] });
  });

  test.each([
    ['it failed', { state: 'error' as const }],
    ['it is under another key', { key: otherKey }],
    ['it is of a snapshot that the AMI has no more', { of: 'snap-0dd' }],
  ])('is deleted if %s', (_, facts) => {
    expect(adopted(earlierCopy('snap-1', facts))).toEqual({ adopted: [undefined], discard: ['snap-1'] });
  });

  test('is deleted if it was archived', () => {
    const archived = { ...earlierCopy('snap-1'), StorageTier: 'archive' as const };
    expect(adopted(archived)).toEqual({ adopted: [undefined], discard: ['snap-1'] });
  });

  test('is taken over only for the lineage that its description names, if any: that can’t be changed any more', () => {
    const lineages = [undefined, 'golden', 'web'];
    const pairs = lineages.flatMap((asked) => lineages.map((named) => [asked, named]));
    const source = { account: sourceAccount, region: sourceRegion };
    for (const [asked, named] of pairs) {
      const Description = copyDescription('snap-b007', 'ami-601d', { ...source, lineage: named });
      const earlierCopies = [{ ...earlierCopy('snap-1'), Description }];
      const { takenOver, discard } = planOne({ leases, target: { lineage: asked, earlierCopies } });
      const isRight = asked === named;
      expect({ asked, named, takenOver, discard }).toEqual({
        ...{ asked, named },
        takenOver: [isRight ? 'snap-1' : undefined],
        discard: isRight ? [] : ['snap-1'],
      });
    }
  });

  test('that an AMI has which bears no tag of ours is left to it, and its lease is taken off', () => {
    const { takenOver, discard, untag } = planOne({
      leases,
      target: { earlierCopies: [earlierCopy('snap-1')], used: new Set(['snap-1']) },
    });
    expect([takenOver, discard, untag]).toEqual([[undefined], [], ['snap-1']]);
  });

  test('of a run that lives is left alone', () => {
    expect(adopted(earlierCopy('snap-1', { lease: liveLease }))).toEqual({ adopted: [undefined], discard: [] });
  });

  test('that bears no lease is finished, and left alone', () => {
    expect(adopted(earlierCopy('snap-1', { lease: undefined }))).toEqual({ adopted: [undefined], discard: [] });
  });

  test('of an earlier attempt of this workflow run is taken over, although its lease lives or is not to be found', () => {
    const outdated = lease(deadLease, { runId: '4711', attempt: 1 });
    const taken = (holder: string, run: string | undefined, facts = {}) => {
      const target = { earlierCopies: [earlierCopy('snap-1', { lease: holder, run })] };
      const { takenOver, discard } = planOne({ leases: [outdated], attempt: 2, ...facts, target });
      return [takenOver, discard];
    };
    expect([taken(deadLease, runUrl), taken(lostLease, runUrl)]).toEqual(Array(2).fill([['snap-1'], []]));
    const left = [[undefined], []];
    expect(taken(lostLease, `${runUrl}9`)).toEqual(left);
    expect(taken(lostLease, runUrl, { attempt: 1 })).toEqual(left);
    // Outside a workflow, no run is an attempt of another.
    expect(taken(lostLease, undefined, { run: '' })).toEqual(left);
    expect(taken(lostLease, '', { run: '' })).toEqual(left);
  });

  test('of no use, of an earlier attempt whose lease lives, is not deleted yet: its runner may go on', () => {
    const outdated = lease(deadLease, { runId: '4711', attempt: 1 });
    const earlierCopies = [earlierCopy('snap-1', { key: otherKey })];
    expect(planOne({ leases: [outdated], attempt: 2, target: { earlierCopies } }).discard).toEqual([]);
  });

  test('whose lease is not to be found is left alone until AWS says that it is five days old', () => {
    const aged = (age: number, over = {}) =>
      adopted(earlierCopy('snap-1', { lease: lostLease, started: new Date(now - age).toISOString(), ...over }));
    expect(aged(longestJobMs)).toEqual({ adopted: [undefined], discard: [] });
    expect(aged(longestJobMs + 1)).toEqual({ adopted: ['snap-1'], discard: [] });
    expect(aged(longestJobMs, { key: otherKey })).toEqual({ adopted: [undefined], discard: [] });
    expect(aged(longestJobMs + 1, { key: otherKey })).toEqual({ adopted: [undefined], discard: ['snap-1'] });
    // One whose age AWS doesn't tell is as new as can be.
    expect(adopted(earlierCopy('snap-1', { lease: lostLease }))).toEqual({ adopted: [undefined], discard: [] });
  });

  test('that is older than its lease is left alone: it was there before that run', () => {
    const { since } = lease(deadLease);
    const begun = (ms: number) => adopted(earlierCopy('snap-1', { started: new Date(ms).toISOString() })).adopted;
    // AWS has more than one clock.
    expect([begun(since), begun(since - 60_000), begun(since - 61_000)]).toEqual([['snap-1'], ['snap-1'], [undefined]]);
  });

  test('that only bears the tags of one is left alone, and told', () => {
    const backup = { ...earlierCopy('snap-1', { key: otherKey }), Description: 'a backup' };
    const { takenOver, discard, warnings } = planOne({ leases, target: { earlierCopies: [backup] } });
    expect([takenOver, discard]).toEqual([[undefined], []]);
    expect(warnings).toEqual([
      `${targetAccount}/${targetRegion}: snap-1 bears tags of this action, but its description is not that of a copy by this action; so it is left alone`,
    ]);
  });

  test('of two finished ones the older is taken over, and the other deleted', () => {
    const younger = earlierCopy('snap-younger', { started: '2026-11-24T11:00:00Z' });
    const older = earlierCopy('snap-older', { started: '2026-11-24T10:00:00Z' });
    expect(adopted(younger, older)).toEqual({ adopted: ['snap-older'], discard: ['snap-younger'] });
    expect(adopted(older, younger)).toEqual({ adopted: ['snap-older'], discard: ['snap-younger'] });
  });

  test('of two pending ones the older is taken over', () => {
    const younger = earlierCopy('snap-younger', { state: 'pending', started: '2026-11-24T11:00:00Z' });
    const older = earlierCopy('snap-older', { state: 'pending', started: '2026-11-24T10:00:00Z' });
    expect(adopted(younger, older).adopted).toEqual(['snap-older']);
  });

  test('a finished one comes before an older one that is pending', () => {
    const pending = earlierCopy('snap-pending', { state: 'pending', started: '2026-11-24T10:00:00Z' });
    const finished = earlierCopy('snap-finished', { started: '2026-11-24T11:00:00Z' });
    expect(adopted(pending, finished).adopted).toEqual(['snap-finished']);
  });

  test('is kept with its AMI, and only its lease taken off', () => {
    const image = sharedAmi('ami-there', { Architecture: 'arm64' });
    const copy = earlierCopy('snap-of-ami-there');
    const { takenOver, discard, untag } = planOne({ leases, target: { existing: [image], earlierCopies: [copy] } });
    expect({ takenOver, discard, untag }).toEqual({
      takenOver: [undefined],
      discard: [],
      untag: ['snap-of-ami-there'],
    });
  });

  test.each([
    ['where an AMI is reused', {}],
    ['on the route copy', { inputs: { route: 'copy' } }],
  ])('is of no use %s, and deleted', (_, facts) => {
    const ami = sharedAmi('ami-there');
    const reusable = 'inputs' in facts ? {} : { existing: [ami] };
    const target = { ...reusable, earlierCopies: [earlierCopy('snap-1'), snapshotOf(ami)] };
    const { plan, discard } = planOne({ ...facts, leases, target });
    expect({ copies: ofKind(plan, 'copy'), discard }).toEqual({ copies: [], discard: ['snap-1'] });
  });

  test('is not deleted while an AMI is being made that may be of it, and name no snapshots yet', () => {
    const copies = [earlierCopy('snap-1', { key: otherKey }), earlierCopy('snap-2', { of: 'snap-0dd' })];
    for (const Name of ['golden-2026-11-23', 'another']) {
      const image = sharedAmi('ami-begun', { State: 'pending', BlockDeviceMappings: [], Name });
      const there = { existing: [image], ...(Name === 'another' ? {} : { namesake: image }) };
      expect(planOne({ leases, target: { ...there, earlierCopies: copies } }).discard).toEqual([]);
    }
  });

  test('each snapshot of the source gets its own', () => {
    const { copies } = planOne({
      leases,
      source: { snapshots: [snapshot('snap-b007'), snapshot('snap-da7a')] },
      target: { earlierCopies: [earlierCopy('snap-2', { of: 'snap-da7a' }), earlierCopy('snap-1')] },
    });
    expect(copies?.map(({ source, takeOver }) => [source.id, takeOver])).toEqual([
      ['snap-b007', 'snap-1'],
      ['snap-da7a', 'snap-2'],
    ]);
  });

  test('of an AMI that gave its name up is deleted once its run died and no AMI has it, after the new AMI is right', () => {
    const gaveUp = (id: string, lease: string, { age = 0, started = 2 * longestJobMs } = {}) => {
      const replacedBy = { imageId: 'ami-601d', lease, at: now - age };
      return earlierCopy(id, { lease: undefined, replacedBy, started: new Date(now - started).toISOString() });
    };
    const marked = gaveUp('snap-odd', deadLease);
    const replaced = [
      gaveUp('snap-left', deadLease),
      gaveUp('snap-living', liveLease, { age: 2 * longestJobMs }),
      gaveUp('snap-lost', lostLease, { age: longestJobMs }),
      gaveUp('snap-old', lostLease, { age: longestJobMs + 1 }),
      // Whatever a tag says, not before it was made.
      gaveUp('snap-young', lostLease, { age: longestJobMs + 1, started: longestJobMs }),
      { ...gaveUp('snap-foreign', deadLease), Description: 'a backup' },
      { ...marked, Tags: marked.Tags?.map((tag) => (tag.Key === tagKeys.replacedBy ? { ...tag, Value: 'x' } : tag)) },
      gaveUp('snap-of-ami-back', deadLease),
    ].map((one): Snapshot => one);
    const existing = [sharedAmi('ami-back', { Architecture: 'arm64' })];
    const planned = planOne({ leases, target: { existing, replaced, earlierCopies: replaced } });
    const { discard, untag, plan } = planned;
    expect([planned.replaced, discard, untag]).toEqual([['snap-left', 'snap-old'], [], []]);
    const [deleted] = ofKind(plan, 'delete');
    const [verified] = ofKind(plan, 'verify');
    expect(deleted && verified && comesAfter(plan, deleted, verified)).toBe(true);
  });

  describe('whose run had no time left', () => {
    const aged = (id: string, age: number, over: Parameters<typeof earlierCopy>[1] = {}) =>
      earlierCopy(id, { lease: endedLease, started: new Date(now - age).toISOString(), ...over });

    test.each(['pending', 'completed'] as const)('is taken over by any run, however old it is: %s', (state) => {
      for (const age of [0, endedCopyMs, 30 * endedCopyMs])
        expect(adopted(aged('snap-1', age, { state }))).toEqual({ adopted: ['snap-1'], discard: [] });
    });

    test('waits a day for a run that takes it over, and is deleted only then', () => {
      for (const over of [{ key: otherKey }, { of: 'snap-0dd' }, { state: 'error' as const }]) {
        const copies = [aged('snap-young', endedCopyMs, over), aged('snap-old', endedCopyMs + 1, over)];
        expect(adopted(...copies)).toEqual({ adopted: [undefined], discard: ['snap-old'] });
      }
      expect(endedCopyMs).toBe(24 * 3_600_000);
    });

    test('waits where a finished AMI is reused, too', () => {
      const ami = sharedAmi('ami-there');
      const earlierCopies = [aged('snap-young', 0), aged('snap-old', 2 * endedCopyMs), snapshotOf(ami)];
      expect(planOne({ target: { existing: [ami], earlierCopies } })).toMatchObject({
        reuse: ami,
        discard: ['snap-old'],
      });
    });

    test('is kept with its AMI, and only the mark taken off', () => {
      const image = sharedAmi('ami-there', { Architecture: 'arm64' });
      const target = { existing: [image], earlierCopies: [aged('snap-of-ami-there', 2 * endedCopyMs)] };
      expect(planOne({ target })).toMatchObject({ discard: [], untag: ['snap-of-ami-there'] });
    });
  });

  // Most of them fit, so that several fit one snapshot often.
  const anyCopy = fc.record({
    of: fc.constantFrom('snap-b007', 'snap-b007', 'snap-da7a', 'snap-0dd'),
    lease: fc.constantFrom(deadLease, deadLease, lostLease, liveLease, endedLease, undefined),
    old: fc.boolean(),
    key: fc.constantFrom(targetKey, targetKey, targetKey, otherKey),
    state: fc.constantFrom('pending' as const, 'completed' as const, 'error' as const),
    inAmi: fc.nat(3).map((number) => number === 0),
  });

  test('whatever was left: all that dead runs left is taken over, deleted or unmarked, or waits, and nothing else is touched', () => {
    fc.assert(
      fc.property(fc.array(anyCopy, { maxLength: 12 }), (facts) => {
        const left = facts.map((fact, index) => ({ ...fact, id: `snap-${index}` }));
        const devices = left.filter(({ inAmi }) => inAmi).map(({ id }) => volume(`/dev/${id}`, id, true));
        const {
          copies = [],
          discard,
          untag,
        } = planOne({
          leases,
          source: { snapshots: [snapshot('snap-b007'), snapshot('snap-da7a')] },
          target: {
            existing: [sharedAmi('ami-there', { Architecture: 'arm64', BlockDeviceMappings: devices })],
            earlierCopies: left.map((fact) =>
              earlierCopy(fact.id, {
                ...fact,
                started: new Date(now - (fact.old ? 2 : 0.5) * endedCopyMs).toISOString(),
              }),
            ),
          },
        });
        const taken = copies.flatMap(({ takeOver }) => takeOver ?? []);
        const orphans = left.filter(({ lease }) => lease === deadLease || lease === endedLease);
        const waiting = orphans.filter(
          ({ id, lease, old, inAmi }) => lease === endedLease && !old && !inAmi && !taken.includes(id),
        );
        const ids = (some: typeof left) => some.map(({ id }) => id).sort();
        expect([...taken, ...discard, ...untag].sort()).toEqual(ids(orphans.filter((one) => !waiting.includes(one))));
        expect([...untag].sort()).toEqual(ids(orphans.filter(({ inAmi }) => inAmi)));
        for (const { source, takeOver } of copies) {
          const fitting = orphans.filter(
            ({ of, key, state, inAmi }) => of === source.id && key === targetKey && state !== 'error' && !inAmi,
          );
          if (fitting.length === 0) expect(takeOver).toBeUndefined();
          else expect(ids(fitting)).toContain(takeOver);
        }
      }),
    );
  });
});

test('devices without a snapshot name none that is in use', () => {
  const bare = golden({ ImageId: 'ami-bare', Tags: [], BlockDeviceMappings: [{ DeviceName: '/dev/sde' }] });
  const { BlockDeviceMappings: _, ...none } = golden({ ImageId: 'ami-none', Tags: [] });
  const { discard, takenOver } = planOne({
    leases,
    target: { existing: [bare, none], earlierCopies: [earlierCopy('snap-1')] },
  });
  expect([discard, takenOver]).toEqual([[], ['snap-1']]);
});
