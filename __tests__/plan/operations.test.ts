import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { placeName, type Where } from '../../src/aws/errors.ts';
import { encryptedCopyName } from '../../src/encrypted-copy.ts';
import { snapshotIdsOf } from '../../src/image.ts';
import { longestJobMs } from '../../src/lease.ts';
import { isMaking, type Plan } from '../../src/plan/decided.ts';
import { madeAt } from '../../src/plan/evidence.ts';
import type { Target } from '../../src/plan/facts.ts';
import type { Deregister, Operation, Ref } from '../../src/plan/operation.ts';
import { referencesIsland } from '../../src/plan/references.ts';
import { endedLease, tagKeys, tagValue } from '../../src/tags.ts';
import {
  comesAfter,
  copiedAmi,
  deadLease,
  earlierCopy,
  type Facts,
  golden,
  keyOf,
  kindsOf,
  lease,
  liveLease,
  lostLease,
  now,
  ofKind,
  ownLease,
  planFrom,
  planOne,
  runUrl,
  sharedAmi,
  snapshot,
  snapshotOf,
  sourceAccount,
  sourceKey,
  sourceRegion,
  targetAccount,
  targetIn,
  targetKey,
  targetRegion,
  unencrypted,
  volume,
} from './given.ts';

const where = `${targetAccount}/${targetRegion}`;
const leases = [lease(liveLease), lease(deadLease, { expiresAt: 0 })];
const accounts = [sourceAccount, '777777777777', '888888888888', targetAccount];
const regions = [sourceRegion, 'eu-west-1', 'us-west-2'];
const otherKey = keyOf(sourceAccount, 'other');

/** One operation of a kind, where there is to be one. */
function only<T>(operations: readonly T[]): T {
  const [one, ...more] = operations;
  expect(more).toEqual([]);
  if (one === undefined) throw new Error('there is no such operation');
  return one;
}

/* Any facts. IDs are the same in every target, so that what tells operations apart is the place. */

const anyImage = fc.record({
  State: fc.constantFrom('available' as const, 'available' as const, 'pending' as const, 'failed' as const),
  lease: fc.constantFrom(undefined, undefined, deadLease, liveLease, lostLease),
  run: fc.constantFrom(runUrl, `${runUrl}9`),
  alike: fc.boolean(),
  named: fc.boolean(),
});

const anyCopy = fc.record({
  of: fc.constantFrom('snap-0', 'snap-1', 'snap-0dd'),
  lease: fc.constantFrom(deadLease, lostLease, liveLease, endedLease, undefined),
  state: fc.constantFrom('pending' as const, 'completed' as const, 'error' as const),
  hours: fc.constantFrom(1, 130),
});

const anyTarget = fc.record({
  account: fc.constantFrom(...accounts),
  region: fc.constantFrom(...regions),
  optional: fc.boolean(),
  images: fc.array(anyImage, { maxLength: 3 }),
  copies: fc.array(anyCopy, { maxLength: 3 }),
  used: fc.constantFrom('known' as const, 'none' as const, 'unknown' as const),
});

const anyFacts = fc.record({
  route: fc.constantFrom('auto', 'register', 'copy'),
  onExisting: fc.constantFrom('reuse', 'replace', 'replace', 'fail'),
  keyAccess: fc.constantFrom('grant', 'policy', 'existing'),
  retain: fc.constantFrom('', '1', '2'),
  protection: fc.constantFrom('off', 'on'),
  parameter: fc.boolean(),
  attempt: fc.constantFrom(1, 2),
  instance: fc.boolean(),
  foreign: fc.boolean(),
  snapshots: fc.array(fc.constantFrom('shareable', 'other key', 'unencrypted'), { minLength: 1, maxLength: 3 }),
  leases: fc.subarray(leases),
  hubs: fc.subarray(regions.slice(1)),
  kept: fc.subarray(regions),
  targets: fc.uniqueArray(anyTarget, {
    minLength: 1,
    maxLength: 5,
    selector: ({ account, region }) => placeName({ account, region }),
  }),
});

type Given = typeof anyFacts extends fc.Arbitrary<infer T> ? T : never;

function targetOf(
  { account, region, optional, images, copies, used }: Given['targets'][number],
  { retain, parameter }: Given,
) {
  const kmsKeyArn = keyOf(account, region);
  // A name is given once in a place.
  const first = images.findIndex(({ named }) => named);
  const existing = images.map(({ alike, named: _, ...over }, index) =>
    sharedAmi(`ami-${index}`, {
      ...over,
      Name: index === first ? 'golden-2026-11-23' : `golden-${index}`,
      CreationDate: `2026-11-${18 + 2 * index}T00:00:00.000Z`,
      ...(!alike && { Architecture: 'arm64' as const }),
    }),
  );
  return targetIn(account, region, {
    request: { ...targetIn(account, region).request, optional },
    existing,
    namesake: existing[first],
    made: retain === '' ? [] : existing,
    users:
      used === 'unknown' ? undefined : new Map(used === 'known' ? [['ami-0', [{ by: 'i-1', launches: false }]]] : []),
    ssmParameter: parameter ? '/golden/latest' : undefined,
    launchTemplate: parameter
      ? { id: 'lt-1', sourceVersion: '$Latest', latest: 3, makesDefault: false, formerDefault: 1 }
      : undefined,
    earlierCopies: [
      ...existing.map((image) => snapshotOf(image, kmsKeyArn)),
      ...copies.map(({ hours, ...copy }, index) => {
        const started = new Date(now - hours * 3_600_000).toISOString();
        return earlierCopy(`snap-left-${index}`, { ...copy, key: kmsKeyArn, started });
      }),
    ],
  });
}

function factsOf(given: Given): Facts {
  const snapshots = given.snapshots.map((kind, index) =>
    kind === 'unencrypted'
      ? unencrypted(`snap-${index}`)
      : snapshot(`snap-${index}`, { kmsKeyArn: kind === 'shareable' ? sourceKey : otherKey }),
  );
  const devices = snapshots.map(({ id }, index) => volume(`/dev/sd${index}`, id));
  return {
    inputs: {
      route: given.route,
      retain: given.retain,
      'on-existing': given.onExisting,
      'source-key-access': given.keyAccess,
      'deregistration-protection': given.protection,
    },
    attempt: given.attempt,
    leases: given.leases,
    hubs: given.hubs,
    image: { BlockDeviceMappings: devices, ...(given.foreign && { OwnerId: '555555555555' }) },
    source: { snapshots, instanceId: given.instance ? 'i-1' : undefined },
    intermediates: Object.fromEntries(
      given.kept.map((region) => {
        const key = region === sourceRegion ? sourceKey : keyOf(sourceAccount, region);
        const image: Image = {
          ImageId: 'ami-kept',
          Name: encryptedCopyName('ami-601d', key),
          State: 'available',
          SourceImageId: 'ami-601d',
        };
        return [region, { images: [image] }];
      }),
    ),
    targets: given.targets.map((target) => targetOf(target, given)),
  };
}

type Planned = ReturnType<typeof planFrom> & Readonly<{ facts: Facts; targets: readonly Target[] }>;

/** Holds a rule to the plans of any facts. */
function always(rule: (planned: Planned) => void): void {
  fc.assert(
    fc.property(anyFacts, (given) => {
      const facts = factsOf(given);
      rule({ ...planFrom(facts), facts, targets: facts.targets ?? [] });
    }),
    { numRuns: 100 },
  );
}

/** What an operation names of others' making; all that it is given of them. */
function namedBy(operation: Operation): string[] {
  const made = (ref: Ref) => ('madeBy' in ref ? [ref.madeBy] : []);
  switch (operation.kind) {
    case 'await':
      return 'copy' in operation ? made(operation.copy) : [];
    case 'access':
      return operation.allowedBy === undefined ? [] : [operation.allowedBy];
    case 'share':
      return made(operation.resource);
    case 'copy':
    case 'copy-image':
      return operation.takeOver === undefined ? made(operation.from) : [];
    case 'register':
      return [...operation.copies.values(), ...(operation.extrasOf === undefined ? [] : [operation.extrasOf])];
    case 'verify':
    case 'publish':
    case 'parameter':
    case 'template-version':
      return made(operation.image);
    case 'untag':
      return operation.finishes === undefined ? [] : [operation.finishes];
    default:
      return [];
  }
}

const inPlace = (plan: Plan, place: Where) =>
  plan.operations.filter((one) => placeName(one.place) === placeName(place));
const byId = (plan: Plan, id: string) => only(plan.operations.filter((one) => one.id === id));

/** The images that go, and the snapshots. */
function goingOf(operation: Operation): string[] {
  if (operation.kind === 'delete') return [...operation.snapshotIds];
  if (operation.kind !== 'deregister') return [];
  const id = operation.image.ImageId ?? '';
  return operation.reason === 'name' ? [id] : [id, ...snapshotIdsOf(operation.image)];
}

/** What an operation removes, or takes the lease off, of what earlier runs left. */
function leftOf(operation: Operation): readonly (string | undefined)[] {
  if (operation.kind === 'deregister' && operation.reason === 'left') return [operation.image.ImageId];
  if (operation.kind === 'delete' && operation.superseded === undefined) return operation.snapshotIds;
  return operation.kind === 'untag' ? operation.resources : [];
}

/** Each copy that this run begins, with its target. */
const begunIn = (plan: Plan) =>
  plan.targets.filter(isMaking).flatMap((target) =>
    inPlace(plan, target.target.place)
      .filter((one) => (one.kind === 'copy' || one.kind === 'copy-image') && one.takeOver === undefined)
      .map((copy) => ({ target, copy })),
  );

/** The operations of a kind that another one comes after. */
function preceding<K extends Operation['kind']>(plan: Plan, kind: K, later: Operation) {
  return ofKind(plan, kind).filter((one) => comesAfter(plan, later, one));
}

/** The AMI that a target has already, and uses. */
function usedIn(plan: Plan, target: Target): Image | undefined {
  const planned = plan.targets.find((one) => placeName(one.target.place) === placeName(target.place));
  return planned !== undefined && !isMaking(planned) ? planned.image : undefined;
}

describe('whatever is there and asked for', () => {
  test('each operation has an ID of its own', () => {
    always(({ plan }) => {
      const ids = plan.operations.map(({ id }) => id);
      expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
    });
  });

  test('each operation stands behind those that it comes after, which are all of the plan', () => {
    always(({ plan }) => {
      const before = new Set<string>();
      for (const { id, after } of plan.operations) {
        expect(after.filter((one) => !before.has(one))).toEqual([]);
        before.add(id);
      }
    });
  });

  test('each operation comes after those whose work it is given', () => {
    always(({ plan }) => {
      for (const operation of plan.operations)
        for (const id of namedBy(operation)) expect(comesAfter(plan, operation, byId(plan, id))).toBe(true);
    });
  });

  test('what is given again, should it be taken away, is of the plan and stands before', () => {
    always(({ plan }) => {
      for (const [index, operation] of plan.operations.entries()) {
        if (operation.kind !== 'copy' && operation.kind !== 'copy-image') continue;
        const before = plan.operations.slice(0, index);
        for (const id of operation.regain)
          expect(before.filter((one) => one.id === id).map(({ kind }) => kind)).toEqual([
            expect.stringMatching(/^(share|access)$/),
          ]);
      }
    });
  });

  test('the same facts give the same plan', () => {
    always(({ plan, facts }) => expect(planFrom(facts).plan).toEqual(plan));
  });

  test('each target is made, reused or waited for, once; what is made is verified, and its lease taken off', () => {
    always(({ plan }) => {
      for (const target of plan.targets) {
        const own = inPlace(plan, target.target.place).filter(({ island }) => island !== undefined);
        const makers = own.filter(({ kind }) => ['register', 'copy-image', 'reuse'].includes(kind));
        const maker = only(makers);
        expect(maker.island).toBe(placeName(target.target.place));
        const kind = { register: 'register', copy: 'copy-image', reuse: 'reuse', await: 'reuse' }[target.action];
        expect(maker.kind).toBe(kind);
        const verified = own.filter((one) => one.kind === 'verify');
        expect(verified.map(({ after }) => after)).toEqual(isMaking(target) ? [[maker.id]] : []);
        const finished = ofKind(plan, 'untag').filter(({ finishes }) => finishes === maker.id);
        expect(finished.map(({ after }) => after)).toEqual(verified.map(({ id }) => [id]));
      }
    });
  });

  test('nothing is encrypted, opened, shared or copied before the lease is taken', () => {
    always(({ plan }) => {
      const writes = plan.operations.filter(({ kind }) =>
        ['encrypt', 'allow', 'share', 'copy', 'copy-image', 'register'].includes(kind),
      );
      if (writes.length === 0) return;
      const taken = only(ofKind(plan, 'lease'));
      for (const operation of writes) expect(comesAfter(plan, operation, taken)).toBe(true);
    });
  });

  test('what another account copies is shared with it before', () => {
    always(({ plan }) => {
      for (const { target, copy } of begunIn(plan)) {
        const { account } = target.target.place;
        const shares = preceding(plan, 'share', copy);
        expect(shares.filter(({ accounts }) => !accounts.includes(account))).toEqual([]);
        // The snapshot alone, or the AMI with all its snapshots.
        const needed = copy.kind === 'copy' ? 1 : plan.source.snapshots.length + 1;
        expect(shares).toHaveLength(account === sourceAccount ? 0 : needed);
      }
    });
  });

  test('another account may use every key before it copies', () => {
    always(({ plan, facts }) => {
      const exists = facts.inputs?.['source-key-access'] === 'existing';
      for (const { target, copy } of begunIn(plan)) {
        const keys = [...target.sourceKeys].toSorted();
        const keysOf = (kind: 'access' | 'allow') => preceding(plan, kind, copy).map(({ key }) => key);
        expect(keysOf('access').toSorted()).toEqual(keys);
        expect(keysOf('allow').toSorted()).toEqual(exists ? [] : keys);
        if (target.target.place.account === sourceAccount) expect(keys).toEqual([]);
      }
    });
  });

  /** What makes sure that a place's AMI is right. */
  const rightIn = (plan: Plan, place: Where) =>
    only(inPlace(plan, place).filter(({ kind }) => kind === 'verify' || kind === 'reuse'));

  test('AMIs that are right are removed only when the new one is, and all SSM parameters are set', () => {
    always(({ plan }) => {
      const last = [
        ...ofKind(plan, 'deregister').filter(({ reason }) => reason === 'replaced' || reason === 'retain'),
        ...ofKind(plan, 'delete').filter(({ superseded }) => superseded),
      ];
      for (const operation of last) {
        const isOwn = ({ place }: Operation) => placeName(place) === placeName(operation.place);
        const set = ofKind(plan, 'parameter').filter((one) => one.island === referencesIsland || isOwn(one));
        for (const one of [rightIn(plan, operation.place), ...set]) expect(comesAfter(plan, operation, one)).toBe(true);
      }
    });
  });

  test('SSM parameters are set when every target has its AMI; an optional target’s after those, by itself', () => {
    always(({ plan, facts }) => {
      const set = ofKind(plan, 'parameter');
      expect(set).toHaveLength((facts.targets ?? []).filter(({ ssmParameter }) => ssmParameter).length);
      const isOfAll = ({ island }: Operation) => island === referencesIsland;
      const forAll = set.filter(isOfAll);
      const needed = plan.targets.filter(({ target }) => !target.request.optional);
      for (const parameter of set)
        for (const { target } of needed) expect(comesAfter(plan, parameter, rightIn(plan, target.place))).toBe(true);
      for (const parameter of set.filter((one) => !isOfAll(one)))
        for (const one of [rightIn(plan, parameter.place), ...forAll])
          expect(comesAfter(plan, parameter, one)).toBe(true);
    });
  });

  test('nothing waits for an optional target but what is done there', () => {
    always(({ plan }) => {
      const places = plan.targets
        .filter(({ target }) => target.request.optional)
        .map(({ target }) => placeName(target.place));
      const islands = new Set(places.flatMap((place) => [place, `${referencesIsland} in ${place}`]));
      const isThere = ({ island, place, kind }: Operation) =>
        island === undefined
          ? ['deregister', 'delete', 'untag'].includes(kind) && places.includes(placeName(place))
          : islands.has(island);
      const { there = [], elsewhere = [] } = Object.groupBy(plan.operations, (one) =>
        isThere(one) ? 'there' : 'elsewhere',
      );
      for (const one of there) for (const other of elsewhere) expect(comesAfter(plan, other, one)).toBe(false);
    });
  });

  test('an AMI gives its name up only when all is copied, for the one that is registered under it, and its snapshots stay till then', () => {
    always(({ plan }) => {
      for (const freed of ofKind(plan, 'deregister').filter(({ reason }) => reason === 'name')) {
        const own = inPlace(plan, freed.place);
        const registered = only(own.filter((one) => one.kind === 'register'));
        expect(registered.name).toBe(freed.image.Name);
        expect(comesAfter(plan, registered, freed)).toBe(true);
        for (const copy of own.filter(({ kind }) => kind === 'copy')) expect(comesAfter(plan, freed, copy)).toBe(true);
        const deleted = only(own.filter((one) => one.kind === 'delete' && one.superseded !== undefined));
        expect(deleted.of).toEqual(snapshotIdsOf(freed.image));
        expect(comesAfter(plan, deleted, only(own.filter(({ kind }) => kind === 'verify')))).toBe(true);
      }
    });
  });

  test('nothing is removed twice, and nothing that is used again, waited for or taken over', () => {
    always(({ plan, problems }) => {
      if (problems.length > 0) return;
      for (const target of plan.targets) {
        const own = inPlace(plan, target.target.place);
        const going = own.flatMap(goingOf);
        expect(going.filter((id, index) => going.indexOf(id) !== index)).toEqual([]);
        const kept = isMaking(target)
          ? target.action === 'copy'
            ? [target.takeOver]
            : target.copies.map(({ takeOver }) => takeOver)
          : [target.image.ImageId, ...snapshotIdsOf(target.image)];
        expect(going.filter((id) => kept.includes(id))).toEqual([]);
      }
    });
  });

  test('what dead runs left goes, what bears the lease of a run that lives does not', () => {
    always(({ plan, facts }) => {
      const living = new Set((facts.leases ?? []).filter(({ expiresAt }) => expiresAt > now).map(({ id }) => id));
      for (const one of plan.targets) {
        const { target } = one;
        const used = isMaking(one) ? undefined : one.image.ImageId;
        const holders = new Map([
          ...target.existing.map((image) => [image.ImageId, tagValue(image, tagKeys.lease)] as const),
          ...target.earlierCopies.map((copy) => [copy.SnapshotId, tagValue(copy, tagKeys.lease)] as const),
        ]);
        // What is used again is finished, whatever becomes of the run that made it.
        const left = inPlace(plan, target.place).flatMap(leftOf);
        for (const id of left.filter((one) => one !== used)) {
          expect(holders.get(id)).toBeDefined();
          expect(living).not.toContain(holders.get(id));
        }
      }
    });
  });

  test('what bears a lease that is not found stays until it is old, but for that of an earlier attempt', () => {
    always(({ plan, facts }) => {
      const found = new Set([endedLease, ...(facts.leases ?? []).map(({ id }) => id)]);
      const mayBeAtWork = (one: Image | Snapshot) =>
        !found.has(tagValue(one, tagKeys.lease) ?? endedLease) &&
        now - (madeAt(one) ?? now) <= longestJobMs &&
        !(facts.attempt === 2 && tagValue(one, tagKeys.run) === runUrl);
      for (const planned of plan.targets) {
        const { target } = planned;
        const left = inPlace(plan, target.place).flatMap(leftOf);
        const used = isMaking(planned) ? undefined : planned.image.ImageId;
        const all: (Image | Snapshot)[] = [...target.existing, ...target.earlierCopies];
        const young = all
          .filter(mayBeAtWork)
          .map((one) => ('ImageId' in one ? one.ImageId : (one as Snapshot).SnapshotId));
        expect(left.filter((id) => id !== used && young.includes(id))).toEqual([]);
      }
    });
  });

  test('an AMI that is used bears the lease of no run that has died when it is', () => {
    always(({ plan, problems, facts }) => {
      if (problems.length > 0) return;
      const living = new Set((facts.leases ?? []).filter(({ expiresAt }) => expiresAt > now).map(({ id }) => id));
      for (const { image, place } of ofKind(plan, 'reuse')) {
        const holder = tagValue(image, tagKeys.lease);
        if (holder === undefined || living.has(holder)) continue;
        const untagged = ofKind(plan, 'untag').filter((one) => placeName(one.place) === placeName(place));
        expect(untagged.flatMap(({ resources }) => resources)).toContain(image.ImageId);
      }
    });
  });

  test('by retain, only AMIs go that nothing uses, and none where that is not known', () => {
    always(({ plan, facts }) => {
      for (const { target } of plan.targets) {
        const retired = ofKind(plan, 'deregister').filter(
          (one) => one.reason === 'retain' && placeName(one.place) === placeName(target.place),
        );
        if (facts.inputs?.retain === '' || target.users === undefined) expect(retired).toEqual([]);
        for (const { image } of retired) expect([...(target.users?.keys() ?? [])]).not.toContain(image.ImageId);
      }
    });
  });

  test('with on-existing fail, an AMI of this source is a problem, unless this run made it', () => {
    always(({ problems, facts, targets, plan }) => {
      if (facts.inputs?.['on-existing'] !== 'fail') return;
      for (const target of targets) {
        const told = problems.filter((one) => one.where === placeName(target.place));
        const finished = target.existing.filter(
          (image) => image.State === 'available' && tagValue(image, tagKeys.lease) === undefined,
        );
        const own = usedIn(plan, target);
        if (finished.some((image) => image !== own)) expect(told).not.toEqual([]);
        if (own !== undefined) expect(tagValue(own, tagKeys.run)).toBe(runUrl);
      }
    });
  });
});

test('of a plan, what each operation comes after', () => {
  const { plan } = planOne({ source: { snapshots: [unencrypted('snap-b007')] } });
  const ids = plan.operations.map(({ id, after }) => [id, after]);
  const role = `arn:aws:iam::${targetAccount}:role/ami-target`;
  const lease = 'lease ami-601d';
  const encrypted = 'encrypted copy of snap-b007 in us-east-1';
  const access = `access ${role} ${sourceKey}`;
  expect(ids).toEqual([
    [lease, []],
    ['encrypt ami-601d in us-east-1', [lease]],
    [encrypted, ['encrypt ami-601d in us-east-1']],
    ['encrypted copy in us-east-1', ['encrypt ami-601d in us-east-1']],
    [`allow ${role} ${sourceKey}`, [lease]],
    [access, [`allow ${role} ${sourceKey}`]],
    ['share snap-b007 in us-east-1', [encrypted]],
    [`copy snap-b007 to ${where}`, ['share snap-b007 in us-east-1', access]],
    [`register ${where}`, [`copy snap-b007 to ${where}`]],
    [`verify ${where}`, [`register ${where}`]],
    [`finish ${where}`, [`verify ${where}`]],
  ]);
});

describe('access to a key of the source account', () => {
  const targets = ['eu-west-1', 'us-west-2'].flatMap((region) =>
    ['777777777777', '888888888888'].map((account) => targetIn(account, region)),
  );
  const allowed = (keyAccess: string) => planFrom({ inputs: { 'source-key-access': keyAccess }, targets }).plan;

  test('by grants is given to each principal once, for all its regions', () => {
    const plan = allowed('grant');
    expect(ofKind(plan, 'allow').map((one) => [one.by, one.of])).toEqual([
      ['grant', ['arn:aws:iam::777777777777:role/ami-target']],
      ['grant', ['arn:aws:iam::888888888888:role/ami-target']],
    ]);
  });

  test('by the policy is given to all accounts by one statement', () => {
    const plan = allowed('policy');
    const given = only(ofKind(plan, 'allow'));
    expect(given).toMatchObject({ by: 'policy', key: sourceKey, accounts: ['777777777777', '888888888888'] });
    expect(ofKind(plan, 'access').map(({ after }) => after)).toEqual([[given.id], [given.id]]);
  });

  test('that exists is not given, but waited for', () => {
    const plan = allowed('existing');
    expect(ofKind(plan, 'allow')).toEqual([]);
    expect(ofKind(plan, 'access')).toHaveLength(2);
  });
});

describe('where on-existing replaces an AMI', () => {
  const stale = sharedAmi('ami-stale', { Architecture: 'arm64' });
  const older = sharedAmi('ami-older', { Architecture: 'arm64', Name: 'golden-2026-11-22' });
  const replacing = (facts: Parameters<typeof planOne>[0] = {}, target: Partial<Target> = {}) =>
    planOne({
      ...facts,
      inputs: { 'on-existing': 'replace', ...facts.inputs },
      target: { existing: [stale, older], namesake: stale, ...target },
    });
  const removals = (plan: Plan) =>
    plan.operations
      .filter((one) => one.kind === 'deregister' || one.kind === 'delete')
      .map((one) => [one.kind, one.kind === 'deregister' ? one.reason : one.superseded, one.of]);

  test('of the same name, that one gives it up before, and its snapshots go after', () => {
    const { plan, problems } = replacing();
    expect(problems).toEqual([]);
    expect(removals(plan)).toEqual([
      ['deregister', 'name', ['ami-stale']],
      ['delete', 'ami-stale', ['snap-of-ami-stale']],
      ['deregister', 'replaced', ['ami-older', 'snap-of-ami-older']],
    ]);
    const [freed, replaced] = ofKind(plan, 'deregister');
    expect(freed).toMatchObject({ island: where, after: [`copy snap-b007 to ${where}`] });
    expect(only(ofKind(plan, 'register')).after).toContain(freed?.id);
    for (const last of [only(ofKind(plan, 'delete')), replaced])
      expect(last).toMatchObject({ island: undefined, after: [`verify ${where}`, `finish ${where}`] });
  });

  test('it goes when the new one is published, and the SSM parameters are set', () => {
    const published = replacing({ inputs: { 'deregistration-protection': 'on' } });
    expect(only(ofKind(published.plan, 'delete')).after).toEqual([`verify ${where}`, `finish ${where}`]);
    expect(ofKind(published.plan, 'deregister')[1]?.after).toEqual([`publish ${where}`, `finish ${where}`]);
    const name = 'golden-next';
    const promoted = replacing({}, { ssmParameter: '/golden/latest', name, namesake: undefined });
    expect(promoted.problems).toEqual([]);
    for (const { reason, after } of ofKind(promoted.plan, 'deregister'))
      expect([reason, after]).toEqual(['replaced', ['all is set for every target']]);
  });

  test('what registering it again takes is at hand', () => {
    const extras = { uefiData: 'QU1a' };
    const { plan } = replacing({}, { existingExtras: new Map([['ami-stale', extras]]) });
    expect(ofKind(plan, 'deregister').map(({ reason, extras }) => [reason, extras])).toEqual([
      ['name', extras],
      ['replaced', { uefiData: undefined }],
    ]);
  });

  test('under the same name in several targets, each has operations of its own', () => {
    const there = { existing: [stale], namesake: stale };
    const targets = ['eu-west-1', 'us-west-2'].map((region) => targetIn(targetAccount, region, there));
    const { plan } = planFrom({ inputs: { 'on-existing': 'replace' }, targets });
    const ids = plan.operations.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ofKind(plan, 'delete').map(({ place, after }) => [place.region, after])).toEqual([
      ['eu-west-1', [`verify ${targetAccount}/eu-west-1`, `finish ${targetAccount}/eu-west-1`]],
      ['us-west-2', [`verify ${targetAccount}/us-west-2`, `finish ${targetAccount}/us-west-2`]],
    ]);
  });
});

describe('where retain leaves no room', () => {
  const made = ['2026-11-22', '2026-11-21', '2026-11-20'].map((date) =>
    sharedAmi(`ami-${date}`, { Name: `golden-${date}`, CreationDate: `${date}T00:00:00.000Z` }),
  );
  const retired = (target: Partial<Target>, inputs = {}): Deregister[] =>
    ofKind(
      planOne({ inputs: { retain: '1', ...inputs }, target: { made, lineage: 'golden', ...target } }).plan,
      'deregister',
    );

  test('what nothing uses goes last', () => {
    expect(retired({}).map(({ image, reason, after }) => [image, reason, after])).toEqual(
      made.map((image) => [image, 'retain', [`published ${where}`]]),
    );
  });

  test('its protection is lifted where that is its own, and the inputs ask for one; else it stays', () => {
    const marked = (image: Image, Value: string, over: Image = {}) => ({
      ...image,
      Tags: [...(image.Tags ?? []), { Key: tagKeys.protection, Value }],
      ...over,
    });
    const [first = {}, second = {}, ...others] = made;
    const own = marked(first, 'on', { DeregistrationProtection: 'enabled-without-cooldown' });
    const lifted = (protection: string) =>
      retired({ made: [own, marked(second, 'off'), ...others] }, { 'deregistration-protection': protection }).map(
        ({ image, lifts }) => [image.ImageId, lifts],
      );
    const free = [
      ['ami-2026-11-21', false],
      ['ami-2026-11-20', false],
    ];
    expect(lifted('on')).toEqual([['ami-2026-11-22', true], ...free]);
    expect(lifted('off')).toEqual(free);
  });

  test('what something uses stays', () => {
    const users = new Map([['ami-2026-11-21', [{ by: 'i-1', launches: false }]]]);
    expect(retired({ users }).map(({ image }) => image.ImageId)).toEqual(['ami-2026-11-22', 'ami-2026-11-20']);
  });

  test('all stay where it is not known what uses them', () => {
    expect(retired({ users: undefined })).toEqual([]);
  });

  test('what is reused or waited for counts as the newest, and stays', () => {
    const ami = sharedAmi('ami-there', { CreationDate: '2026-11-01T00:00:00.000Z' });
    const reused = { existing: [ami], made: [...made, ami], namesake: ami, earlierCopies: [snapshotOf(ami)] };
    expect(retired(reused, { retain: '2' }).map(({ image }) => image.ImageId)).toEqual([
      'ami-2026-11-21',
      'ami-2026-11-20',
    ]);
    const pending = { ...ami, State: 'pending' as const };
    const awaited = { existing: [pending], made: [...made, pending], namesake: pending };
    expect(retired(awaited, { retain: '2' }).map(({ image, after }) => [image.ImageId, after])).toEqual([
      ['ami-2026-11-21', [`reuse ami-there in ${where}`]],
      ['ami-2026-11-20', [`reuse ami-there in ${where}`]],
    ]);
  });
});

describe('what dead runs left in a target', () => {
  const failed = sharedAmi('ami-failed', { State: 'failed', lease: deadLease });
  const finished = sharedAmi('ami-there', { Architecture: 'arm64' });
  const target = {
    existing: [failed, finished],
    earlierCopies: [earlierCopy('snap-1', { of: 'snap-0dd' }), earlierCopy('snap-of-ami-there')],
  };

  test('is removed, or unmarked, by operations that fail none of the target', () => {
    const { plan } = planOne({ leases, target });
    const left = plan.operations.filter((one) => ['deregister', 'delete', 'untag'].includes(one.kind)).slice(0, 3);
    expect(left.map(({ kind, of, island, after }) => [kind, of, island, after])).toEqual([
      ['deregister', ['ami-failed', 'snap-of-ami-failed'], undefined, ['lease ami-601d']],
      ['delete', ['snap-1'], undefined, ['lease ami-601d']],
      ['untag', ['snap-of-ami-there'], undefined, ['lease ami-601d']],
    ]);
  });

  test('is removed as it is: no protection is lifted that the inputs don’t ask for', () => {
    const Tags = [...(failed.Tags ?? []), { Key: tagKeys.protection, Value: 'on' }];
    const existing = [{ ...failed, Tags, DeregistrationProtection: 'enabled-without-cooldown' }];
    const { plan } = planOne({ leases, target: { existing } });
    expect(ofKind(plan, 'deregister').map(({ reason, lifts }) => [reason, lifts])).toEqual([['left', false]]);
  });

  test('is removed where an AMI is reused, too, and then a lease is taken', () => {
    const ami = sharedAmi('ami-right');
    const earlierCopies = [...target.earlierCopies, snapshotOf(ami)];
    const { plan } = planOne({ leases, target: { ...target, existing: [...target.existing, ami], earlierCopies } });
    expect(kindsOf(plan)).toEqual(['lease', 'deregister', 'delete', 'untag', 'reuse']);
  });
});

test('where every AMI is there, a lease is taken only if runs that died left theirs, or earlier attempts', () => {
  const ami = sharedAmi('ami-there');
  const target = { existing: [ami], earlierCopies: [snapshotOf(ami)] };
  const kinds = (...some: typeof leases) => kindsOf(planOne({ attempt: 2, leases: some, target }).plan);
  expect(kinds()).toEqual(['reuse']);
  expect(kinds(lease(liveLease))).toEqual(['reuse']);
  const former = lease('ffffffffffff', { runId: '4711', attempt: 1 });
  const dead = lease(deadLease, { expiresAt: 0 });
  for (const left of [[dead], [former], [dead, former]]) expect(kinds(...left)).toEqual(['lease', 'reuse']);
});

describe('where every AMI is there, a lease is taken to clean up', () => {
  const ami = sharedAmi('ami-there');
  // No job lasts longer than five days.
  const started = '2020-01-01T00:00:00.000Z';
  const useless = earlierCopy('snap-1', { of: 'snap-f0', started });
  const failed = sharedAmi('ami-failed', { State: 'failed', lease: deadLease, CreationDate: started });
  const unfinished = [
    sharedAmi('ami-01d', { Architecture: 'arm64' }),
    earlierCopy('snap-of-ami-01d', { started }),
  ] as const;
  const kinds = (...others: Target[]) => kindsOf(planFrom({ targets: others }).plan);
  const targetWith = (images: readonly Image[], copies: readonly Snapshot[], region = targetRegion) => {
    const earlierCopies = [snapshotOf(ami, keyOf(targetAccount, region)), ...copies];
    return targetIn(targetAccount, region, { existing: [ami, ...images], earlierCopies });
  };

  test.each<[string, Target]>([
    ['snapshots', targetWith([], [useless])],
    ['images', targetWith([failed], [])],
    ['marks', targetWith([unfinished[0]], [unfinished[1]])],
    ['snapshots and images', targetWith([failed], [useless])],
    ['snapshots and marks', targetWith([unfinished[0]], [useless, unfinished[1]])],
  ])('%s that runs left whose own leases are gone', (_, target) => {
    expect(kinds(target)[0]).toBe('lease');
  });

  test('also if only one target has them', () => {
    expect(kinds(targetWith([], [], 'us-west-2'), targetWith([], [useless]))[0]).toBe('lease');
  });
});

describe('a copy that is taken over', () => {
  test('of a snapshot waits for no share, but can have it again', () => {
    const { plan } = planOne({ leases, target: { earlierCopies: [earlierCopy('snap-1', { state: 'pending' })] } });
    const [share, access] = [only(ofKind(plan, 'share')), only(ofKind(plan, 'access'))];
    expect(only(ofKind(plan, 'copy'))).toMatchObject({
      of: ['snap-1'],
      takeOver: 'snap-1',
      after: ['lease ami-601d'],
      regain: [share.id, access.id],
    });
  });

  test('of the AMI bears the lease of this run', () => {
    const begun = copiedAmi('ami-begun', { State: 'pending', lease: deadLease });
    const { plan } = planOne({ inputs: { route: 'copy' }, leases, target: { existing: [begun], namesake: begun } });
    const copied = only(ofKind(plan, 'copy-image'));
    expect(copied).toMatchObject({ of: ['ami-begun'], takeOver: 'ami-begun', after: ['lease ami-601d'] });
    expect(copied.imageTags).toContainEqual({ Key: tagKeys.lease, Value: ownLease });
  });
});

test('the largest volume is copied first', () => {
  const sizes = [8, 500, 30];
  const snapshots = sizes.map((sizeGiB, index) => snapshot(`snap-${index}`, { sizeGiB }));
  const { plan } = planOne({ source: { snapshots } });
  expect(ofKind(plan, 'copy').map((one) => one.snapshot.sizeGiB)).toEqual([500, 30, 8]);
});

describe('an AMI that is yet to be made of an instance', () => {
  const source = { instanceId: 'i-1', imageId: 'i-1', image: golden({ ImageId: 'i-1' }) };

  test('is made first of all, and everything comes after', () => {
    const { plan } = planOne({ inputs: { 'ami-id': '', 'instance-id': 'i-0123456789abcdef0' }, source });
    const [create, lease] = plan.operations;
    expect(create).toMatchObject({ kind: 'create', instanceId: 'i-1', name: 'golden-2026-11-23', after: [] });
    expect(lease).toMatchObject({ kind: 'lease', after: [create?.id] });
  });

  test('is told by the name that it is to have', () => {
    const { plan } = planOne({ inputs: { route: 'copy', 'ami-id': '', 'instance-id': 'i-0123456789abcdef0' }, source });
    const told = plan.operations.filter(({ kind }) => kind !== 'create').flatMap(({ id, of }) => [id, ...of]);
    expect(told.filter((text) => text.includes('i-1'))).toEqual([]);
    expect(only(ofKind(plan, 'lease')).of).toEqual(['golden-2026-11-23']);
  });
});

test('what is published is so once the AMI is right; a parameter names it', () => {
  const inputs = { 'deregistration-protection': 'on', 'deprecate-after': '9d' };
  const { plan } = planOne({
    inputs,
    target: { ssmParameter: '/golden/latest', grantKeyTo: ['arn:aws:iam::1:role/x'] },
  });
  const published = only(ofKind(plan, 'publish'));
  expect(published).toMatchObject({ image: { madeBy: `verify ${where}` }, after: [`verify ${where}`], island: where });
  expect(published.settings).toEqual({
    key: targetKey,
    grantKeyTo: ['arn:aws:iam::1:role/x'],
    grantElsewhere: [],
    launchPermissions: [],
    deprecateAt: { at: now + 9 * 86_400_000, keep: true },
    protection: expect.not.stringMatching(/^off$/),
    zones: [],
  });
  const ready = plan.operations.find(({ id }) => id === 'every target is ready');
  expect(ready).toMatchObject({ kind: 'ready', after: [published.id, `finish ${where}`] });
  expect(only(ofKind(plan, 'parameter'))).toMatchObject({ image: { madeBy: published.id }, after: [ready?.id] });
  expect(ofKind(planOne({}).plan, 'publish')).toEqual([]);
});
