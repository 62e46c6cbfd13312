import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { tagKeys } from '../../src/tags.ts';
import {
  deadLease,
  earlierCopy,
  golden,
  keyOf,
  lease,
  liveLease,
  ownLease,
  planOne,
  runUrl,
  sharedAmi,
  snapshot,
  snapshotOf,
  sourceRegion,
  targetAccount,
  targetIn,
  targetKey,
  targetRegion,
  volume,
} from './given.ts';

const otherKey = keyOf(targetAccount, 'elsewhere');
const leases = [lease(liveLease), lease(deadLease, { expiresAt: 0 })];

describe('an AMI that is there already', () => {
  const ami = sharedAmi('ami-there');

  test('is reused if it is like the source and under the target key; then nothing is made', () => {
    const { reuse, copies, replace, from, sourceKeys, problems } = planOne({
      target: { existing: [ami], earlierCopies: [snapshotOf(ami)], namesake: ami },
    });
    expect(reuse).toBe(ami);
    expect({ copies, replace, from, sourceKeys, problems }).toEqual({
      copies: [],
      replace: [],
      from: undefined,
      sourceKeys: [],
      problems: [],
    });
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

  test.each(['fail', 'replace'])(
    'with on-existing %s, is reused only if an earlier attempt of this very run made it',
    (onExisting) => {
      const inputs = { 'on-existing': onExisting };
      const [own, others] = [sharedAmi('ami-own', { run: runUrl }), sharedAmi('ami-others', { run: `${runUrl}9` })];
      const earlierCopies = [own, others].map((image) => snapshotOf(image));
      expect(planOne({ inputs, attempt: 2, target: { existing: [others, own], earlierCopies } }).reuse).toBe(own);
      expect(planOne({ inputs, target: { existing: [others, own], earlierCopies } }).reuse).toBeUndefined();
      expect(planOne({ inputs, attempt: 2, target: { existing: [others], earlierCopies } }).reuse).toBeUndefined();
    },
  );

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

describe('an image that an earlier run was copying (route copy)', () => {
  const pending = sharedAmi('ami-begun', { State: 'pending', lease: deadLease });
  const adopted = (existing: (typeof pending)[], inputs = { route: 'copy' }) =>
    planOne({ inputs, leases, target: { existing } }).adopt;

  test('is taken over from a run that died, and its name is no obstacle', () => {
    const { adopt, problems, replace } = planOne({
      inputs: { route: 'copy', 'on-existing': 'replace' },
      leases,
      target: { existing: [pending], namesake: pending },
    });
    expect({ adopt, problems, replace }).toEqual({ adopt: 'ami-begun', problems: [], replace: [] });
  });

  test('is taken over when its copy has come to its end, but nobody verified it', () => {
    expect(adopted([sharedAmi('ami-begun', { lease: deadLease })])).toBe('ami-begun');
  });

  test('is taken over from this run itself, whose lease is on the AMI by then', () => {
    const target = { existing: [sharedAmi('ami-begun', { State: 'pending', lease: ownLease })] };
    expect(planOne({ inputs: { route: 'copy' }, leases: [lease(ownLease)], target }).adopt).toBe('ami-begun');
  });

  test.each([
    ["is a living run's", { State: 'pending' as const, lease: liveLease }],
    ['bears no lease', { State: 'pending' as const }],
    ['has another name', { State: 'pending' as const, lease: deadLease, Name: 'another' }],
    ['is finished', {}],
    ['has failed', { State: 'failed' as const, lease: deadLease }],
  ])('is left alone if it %s', (_, over) => {
    // Without a snapshot whose key is known, it can't be reused instead.
    expect(adopted([sharedAmi('ami-begun', over)])).toBeUndefined();
  });

  test('is of no use on the route register', () => {
    expect(adopted([pending], { route: 'register' })).toBeUndefined();
  });

  test('is of no use where a finished AMI is reused', () => {
    const ami = sharedAmi('ami-there');
    const target = { existing: [pending, ami], earlierCopies: [snapshotOf(ami)] };
    const { reuse, adopt } = planOne({ inputs: { route: 'copy' }, leases, target });
    expect([reuse, adopt]).toEqual([ami, undefined]);
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
    const { copies, discard } = planOne({ leases, target: { earlierCopies } });
    return { adopted: copies.map(({ adopt }) => adopt), discard };
  };

  test.each(['pending', 'completed'] as const)('is taken over if it is %s', (state) => {
    expect(adopted(earlierCopy('snap-1', { state }))).toEqual({ adopted: ['snap-1'], discard: [] });
  });

  test.each([
    ['it failed', { state: 'error' as const }],
    ['it is under another key', { key: otherKey }],
    ['it is of a snapshot that the AMI has no more', { of: 'snap-former' }],
  ])('is deleted if %s', (_, facts) => {
    expect(adopted(earlierCopy('snap-1', facts))).toEqual({ adopted: [undefined], discard: ['snap-1'] });
  });

  test('of a run that lives is left alone', () => {
    expect(adopted(earlierCopy('snap-1', { lease: liveLease }))).toEqual({ adopted: [undefined], discard: [] });
  });

  test('that bears no lease is finished, and left alone', () => {
    expect(adopted(earlierCopy('snap-1', { lease: undefined }))).toEqual({ adopted: [undefined], discard: [] });
  });

  test('of this run itself is taken over, although its lease lives', () => {
    const target = { earlierCopies: [earlierCopy('snap-1', { lease: ownLease })] };
    expect(planOne({ leases: [lease(ownLease)], target }).copies.map(({ adopt }) => adopt)).toEqual(['snap-1']);
  });

  test('of a run whose lease is gone from the AMI is taken over', () => {
    expect(adopted(earlierCopy('snap-1', { lease: 'cccccccccccc' })).adopted).toEqual(['snap-1']);
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
    const { copies, discard, untag } = planOne({ leases, target: { existing: [image], earlierCopies: [copy] } });
    expect({ adopt: copies[0]?.adopt, discard, untag }).toEqual({
      adopt: undefined,
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
    const { copies, discard } = planOne({ ...facts, leases, target });
    expect({ copies, discard }).toEqual({ copies: [], discard: ['snap-1'] });
  });

  test('each snapshot of the source gets its own', () => {
    const { copies } = planOne({
      source: { snapshots: [snapshot('snap-root'), snapshot('snap-data')] },
      target: { earlierCopies: [earlierCopy('snap-2', { of: 'snap-data' }), earlierCopy('snap-1')] },
    });
    expect(copies.map(({ source, adopt }) => [source.id, adopt])).toEqual([
      ['snap-root', 'snap-1'],
      ['snap-data', 'snap-2'],
    ]);
  });

  test('of an AMI that gave its name up is deleted once its run died and no AMI has it', () => {
    const gaveUp = (id: string, lease: string) => ({
      SnapshotId: id,
      State: 'completed' as const,
      Tags: [{ Key: tagKeys.superseded, Value: lease }],
    });
    const earlierCopies = [
      gaveUp('snap-left', deadLease),
      gaveUp('snap-living', liveLease),
      gaveUp('snap-of-ami-back', deadLease),
      snapshotOf(sharedAmi('ami-finished')),
    ];
    const existing = [sharedAmi('ami-back', { Architecture: 'arm64' })];
    const { discard, untag } = planOne({ leases, target: { existing, earlierCopies } });
    expect({ discard, untag }).toEqual({ discard: ['snap-left'], untag: [] });
  });

  // Most of them fit, so that several fit one snapshot often.
  const anyCopy = fc.record({
    of: fc.constantFrom('snap-root', 'snap-root', 'snap-data', 'snap-former'),
    lease: fc.constantFrom(deadLease, deadLease, ownLease, liveLease, undefined),
    key: fc.constantFrom(targetKey, targetKey, targetKey, otherKey),
    state: fc.constantFrom('pending' as const, 'completed' as const, 'error' as const),
    inAmi: fc.nat(3).map((number) => number === 0),
  });

  test('whatever was left: all that dead runs left is taken over, deleted or unmarked, and nothing else is touched', () => {
    fc.assert(
      fc.property(fc.array(anyCopy, { maxLength: 12 }), (facts) => {
        const left = facts.map((fact, index) => ({ ...fact, id: `snap-${index}` }));
        const devices = left.filter(({ inAmi }) => inAmi).map(({ id }) => volume(`/dev/${id}`, id, true));
        const { copies, discard, untag } = planOne({
          leases: [...leases, lease(ownLease)],
          source: { snapshots: [snapshot('snap-root'), snapshot('snap-data')] },
          target: {
            existing: [sharedAmi('ami-there', { Architecture: 'arm64', BlockDeviceMappings: devices })],
            earlierCopies: left.map((fact) => earlierCopy(fact.id, fact)),
          },
        });
        const adopted = copies.flatMap(({ adopt }) => adopt ?? []);
        const orphans = left.filter(({ lease }) => lease === deadLease || lease === ownLease);
        const ids = (some: typeof left) => some.map(({ id }) => id).sort();
        expect([...adopted, ...discard, ...untag].sort()).toEqual(ids(orphans));
        expect([...untag].sort()).toEqual(ids(orphans.filter(({ inAmi }) => inAmi)));
        for (const { source, adopt } of copies) {
          const fitting = orphans.filter(
            ({ of, key, state, inAmi }) => of === source.id && key === targetKey && state !== 'error' && !inAmi,
          );
          if (fitting.length === 0) expect(adopt).toBeUndefined();
          else expect(ids(fitting)).toContain(adopt);
        }
      }),
    );
  });
});

test('devices without a snapshot name none that is in use', () => {
  const bare = golden({ ImageId: 'ami-bare', Tags: [], BlockDeviceMappings: [{ DeviceName: '/dev/sde' }] });
  const { BlockDeviceMappings: _, ...none } = golden({ ImageId: 'ami-none', Tags: [] });
  const { discard, copies } = planOne({
    leases,
    target: { existing: [bare, none], earlierCopies: [earlierCopy('snap-1')] },
  });
  expect([discard, copies.map(({ adopt }) => adopt)]).toEqual([[], ['snap-1']]);
});
