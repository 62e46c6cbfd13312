import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type DigestPart, digestParts, digestProblem, parseDigest } from '../../src/digest.ts';
import {
  type Approved,
  type ApprovedTarget,
  differences,
  digestOf,
  isApproved,
  listDifferences,
  planDifferences,
} from '../../src/plan/digest.ts';

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('__proto__', 'constructor', '{run-id}'),
);
const texts = fc.uniqueArray(text, { maxLength: 4 });
const optional = fc.option(text);
/** Plain data whose lists hold nothing twice. */
const publication = fc.dictionary(text, fc.oneof(text, fc.boolean(), fc.integer(), fc.constant(null), texts), {
  maxKeys: 5,
});
const target: fc.Arbitrary<ApprovedTarget> = fc.record({
  account: fc.nat(9).map((digit) => `${digit}`.repeat(12)),
  region: fc.constantFrom('us-east-1', 'eu-west-1', 'eu-west-10', 'ap-southeast-2'),
  optional: fc.boolean(),
  roleArn: optional,
  kmsKeyArn: text,
  route: fc.constantFrom('register' as const, 'copy' as const),
  nameTemplate: text,
  descriptionTemplate: optional,
  tagTemplates: fc.uniqueArray(fc.tuple(text, text), { maxLength: 4, selector: ([key]) => key }),
  publication,
  reuses: optional,
  deregisters: texts,
  access: texts,
});
const approved: fc.Arbitrary<Approved> = fc.record({
  source: fc.record({ amiId: optional, instanceId: optional, snapshots: texts }),
  targets: fc.uniqueArray(target, {
    minLength: 1,
    maxLength: 5,
    selector: ({ account, region }) => `${account}/${region}`,
  }),
  leftOut: texts,
});

/** The same list in another order, by numbers that decide it. */
function shuffled<T>(list: readonly T[], seeds: readonly number[]): T[] {
  return list
    .map((one, index) => ({ one, seed: seeds[index % seeds.length] ?? 0, index }))
    .toSorted((a, b) => a.seed - b.seed || b.index - a.index)
    .map(({ one }) => one);
}

/** The same facts, all in another order, those of records too. */
function reordered({ source, targets, leftOut }: Approved, seeds: readonly number[]): Approved {
  const again = (value: unknown): unknown => {
    if (Array.isArray(value)) return shuffled(value, seeds).map(again);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(shuffled(Object.entries(value), seeds).map(([key, one]) => [key, again(one)]));
  };
  return {
    targets: shuffled(targets, seeds).map((one) => ({
      ...one,
      access: shuffled(one.access, seeds),
      deregisters: shuffled(one.deregisters, seeds),
      publication: again(one.publication),
      tagTemplates: shuffled(one.tagTemplates, seeds),
    })),
    source: { ...source, snapshots: shuffled(source.snapshots, seeds) },
    leftOut: shuffled(leftOut, seeds),
  };
}

const seeds = fc.array(fc.nat(100), { minLength: 1, maxLength: 6 });

/** Each field that is compared, with another value of it, and the part that it is of. */
const changes: Readonly<Record<string, [DigestPart, (plan: Approved) => Approved]>> = {
  amiId: ['source', ofSource(({ amiId }) => ({ amiId: `${amiId}x` }))],
  instanceId: ['source', ofSource(({ instanceId }) => ({ instanceId: instanceId === null ? '' : null }))],
  snapshots: ['source', ofSource(({ snapshots }) => ({ snapshots: [...snapshots, 'snap-new'] }))],
  roleArn: ['targets', ofTarget(({ roleArn }) => ({ roleArn: roleArn === null ? '' : null }))],
  route: ['targets', ofTarget(({ route }) => ({ route: route === 'copy' ? 'register' : 'copy' }))],
  optional: ['targets', ofTarget((target) => ({ optional: !target.optional }))],
  leftOut: ['targets', (plan) => ({ ...plan, leftOut: [...plan.leftOut, 'another target'] })],
  kmsKeyArn: ['keys', ofTarget(({ kmsKeyArn }) => ({ kmsKeyArn: `${kmsKeyArn}x` }))],
  nameTemplate: ['names', ofTarget(({ nameTemplate }) => ({ nameTemplate: `${nameTemplate} ` }))],
  descriptionTemplate: [
    'names',
    ofTarget(({ descriptionTemplate: text }) => ({ descriptionTemplate: text === null ? '' : null })),
  ],
  'a tag more': ['tags', ofTarget(({ tagTemplates }) => ({ tagTemplates: [...tagTemplates, ['a new one', '']] }))],
  'a tag of another value': [
    'tags',
    ofTarget(({ tagTemplates: [first = ['__proto__', ''], ...rest] }) => ({
      tagTemplates: [[first[0], `${first[1]}x`], ...rest],
    })),
  ],
  publication: [
    'publish',
    ofTarget(({ publication }) => ({ publication: { ...(publication as object), 'a new one': ['x'] } })),
  ],
  reuses: ['existing', ofTarget(({ reuses }) => ({ reuses: reuses === null ? '' : null }))],
  deregisters: ['existing', ofTarget(({ deregisters }) => ({ deregisters: [...deregisters, 'ami-new'] }))],
  access: ['access', ofTarget(({ access }) => ({ access: [...access, 'somebody new'] }))],
};

function ofSource(change: (source: Approved['source']) => Partial<Approved['source']>) {
  return (plan: Approved): Approved => ({ ...plan, source: { ...plan.source, ...change(plan.source) } });
}

function ofTarget(change: (target: ApprovedTarget) => Partial<ApprovedTarget>) {
  return ({ targets: [first, ...rest], ...plan }: Approved): Approved => ({
    ...plan,
    targets: first === undefined ? [] : [{ ...first, ...change(first) }, ...rest],
  });
}

const partsThatDiffer = (one: string, other: string) => {
  const [a, b] = [parseDigest(one), parseDigest(other)];
  return digestParts.filter((part) => a?.pieces[part] !== b?.pieces[part]);
};

describe('the digest of a plan', () => {
  test('is short, and says of what it is', () => {
    fc.assert(
      fc.property(approved, (plan) => {
        const digest = digestOf(plan);
        expect(digest).toMatch(
          /^v1:source=[0-9a-f]{8},targets=\w+,keys=\w+,names=\w+,tags=\w+,publish=\w+,existing=\w+,access=\w+:[0-9a-f]{64}$/,
        );
        expect(digest.length).toBeLessThanOrEqual(200);
        expect(digestProblem(digest)).toBeUndefined();
      }),
    );
  });

  test('is the same of the same facts in another order, and of what a file gives back', () => {
    fc.assert(
      fc.property(approved, seeds, (plan, seeds) => {
        expect(digestOf(reordered(plan, seeds))).toBe(digestOf(plan));
        const fromFile: unknown = JSON.parse(JSON.stringify(plan));
        expect(isApproved(fromFile) && digestOf(fromFile)).toBe(digestOf(plan));
        expect(listDifferences(plan, reordered(plan, seeds))).toEqual([]);
        expect(differences(digestOf(plan), digestOf(reordered(plan, seeds)))).toEqual([]);
      }),
    );
  });

  test.each(Object.entries(changes))('changes with %s, in that part alone', (_, [part, change]) => {
    fc.assert(
      fc.property(approved, seeds, (plan, seeds) => {
        const [then, now] = [digestOf(plan), digestOf(change(reordered(plan, seeds)))];
        expect(now).not.toBe(then);
        expect(partsThatDiffer(then, now)).toEqual([part]);
        expect(differences(then, now)).toHaveLength(1);
        expect(listDifferences(plan, change(plan))).toHaveLength(1);
      }),
    );
  });

  test('covers every field there is', () => {
    fc.assert(
      fc.property(approved, (plan) => {
        const fields = [...Object.keys(plan.source), ...Object.keys(plan.targets[0] ?? {})];
        const named = Object.keys(changes);
        // Accounts and regions are what a target is.
        const rest = fields.filter((field) => !named.includes(field));
        expect(rest.toSorted()).toEqual(['account', 'region', 'tagTemplates']);
      }),
      { numRuns: 1 },
    );
  });

  test('is another of another target', () => {
    fc.assert(
      fc.property(approved, target, (plan, more) => {
        fc.pre(plan.targets.every(({ account, region }) => account !== more.account || region !== more.region));
        const wider = { ...plan, targets: [...plan.targets, more] };
        const place = `${more.account}/${more.region}`;
        expect(partsThatDiffer(digestOf(plan), digestOf(wider))).toContain('targets');
        expect(listDifferences(plan, wider)).toEqual([`${place}: a target that was not approved`]);
        expect(listDifferences(wider, plan)).toEqual([`${place}: an approved target that is missing`]);
      }),
    );
  });

  test('is not fooled by facts that move from one place to another', () => {
    const one = (target: Partial<ApprovedTarget>) => digestOf({ ...plain, targets: [{ ...base, ...target }] });
    expect(one({ deregisters: ['a', 'b'] })).not.toBe(one({ deregisters: ['a,b'] }));
    expect(one({ deregisters: ['a","b'] })).not.toBe(one({ deregisters: ['a', 'b'] }));
    expect(one({ publication: { a: ['x'], b: [] } })).not.toBe(one({ publication: { a: [], b: ['x'] } }));
    expect(one({ publication: { a: '1' } })).not.toBe(one({ publication: { a: 1 } }));
    expect(one({ publication: { a: undefined } })).toBe(one({ publication: {} }));
    expect(one({ tagTemplates: [['__proto__', 'x']] })).not.toBe(one({ tagTemplates: [] }));
    expect(one({ publication: JSON.parse('{"__proto__": "x"}') })).not.toBe(one({ publication: {} }));
    const two = (a: string, b: string) =>
      digestOf({
        ...plain,
        targets: [
          { ...base, kmsKeyArn: a },
          { ...base, region: 'us-west-2', kmsKeyArn: b },
        ],
      });
    expect(two('k1', 'k2')).not.toBe(two('k2', 'k1'));
  });
});

const base: ApprovedTarget = {
  account: '999999999999',
  region: 'eu-west-1',
  optional: false,
  roleArn: 'arn:aws:iam::999999999999:role/ami-target',
  kmsKeyArn: 'arn:aws:kms:eu-west-1:999999999999:key/1',
  route: 'register',
  nameTemplate: '{name}',
  descriptionTemplate: null,
  tagTemplates: [['team', 'platform']],
  publication: { deprecateAfter: '90d', zones: [] },
  reuses: null,
  deregisters: [],
  access: [],
};
const plain: Approved = {
  source: { amiId: 'ami-1', instanceId: null, snapshots: ['snap-1'] },
  targets: [base],
  leftOut: [],
};

describe('what differs', () => {
  test('is told by part, in words', () => {
    const source = { ...plain.source, amiId: 'ami-2' };
    const now: Approved = { ...plain, source, targets: [{ ...base, kmsKeyArn: 'k' }] };
    expect(differences(digestOf(plain), digestOf(now))).toEqual(['the source AMI or its snapshots', 'the target keys']);
    expect(differences('v2:source=1', digestOf(now))).toEqual([expect.stringContaining('version v2')]);
    expect(differences('', digestOf(now))).toEqual([expect.stringContaining('expected the whole')]);
  });

  test('tells who is left out, and who no longer is', () => {
    const other = { ...base, region: 'us-east-1' };
    const [both, one] = [
      { ...plain, targets: [base, other] },
      { ...plain, leftOut: ['999999999999/us-east-1'] },
    ];
    expect(listDifferences(both, one)).toEqual([
      '999999999999/us-east-1: an approved target that is left out, because it has a problem',
    ]);
    expect(listDifferences(one, both)).toEqual([
      '999999999999/us-east-1: a target that was left out of the approved plan',
    ]);
    expect(listDifferences(one, one)).toEqual([]);
    expect(listDifferences(plain, { ...plain, targets: [{ ...base, optional: true }] })).toEqual([
      '999999999999/eu-west-1: optional true instead of false',
    ]);
  });

  test('is told item by item, the same in several targets once', () => {
    const places = ['eu-west-1', 'eu-west-2', 'us-east-1', 'us-east-2', 'us-west-1'];
    const then = { ...plain, targets: places.map((region) => ({ ...base, region })) };
    const now: Approved = {
      ...plain,
      source: { amiId: 'ami-2', instanceId: null, snapshots: ['snap-2'] },
      targets: places.slice(0, 4).map((region) => ({
        ...base,
        region,
        tagTemplates: [
          ['__proto__', 'x'],
          ['team', '{run-id}'],
        ],
        publication: { deprecateAfter: '30d', zones: [] },
        ...(region === 'eu-west-2' && {
          route: 'copy' as const,
          roleArn: null,
          kmsKeyArn: 'key/2',
          descriptionTemplate: '',
          reuses: 'ami-7',
          deregisters: ['ami-8'],
          access: ['everybody: the AMI'],
        }),
      })),
    };
    const all = '999999999999/eu-west-1, 999999999999/eu-west-2, 999999999999/us-east-1 and 1 more';
    const one = '999999999999/eu-west-2';
    expect(listDifferences(then, now)).toEqual([
      'source: AMI ami-2 instead of ami-1',
      'source: snapshot snap-2, which was not approved',
      'source: snapshot snap-1 is missing, which was approved',
      `${all}: tag __proto__: x instead of none`,
      `${all}: tag team: {run-id} instead of platform`,
      `${all}: publication deprecateAfter: 30d instead of 90d`,
      `${one}: role none instead of arn:aws:iam::999999999999:role/ami-target`,
      `${one}: route copy instead of register`,
      `${one}: key key/2 instead of arn:aws:kms:eu-west-1:999999999999:key/1`,
      `${one}: description "" instead of none`,
      `${one}: used again ami-7 instead of none`,
      `${one}: deregistered ami-8, which was not approved`,
      `${one}: access everybody: the AMI, which was not approved`,
      '999999999999/us-west-1: an approved target that is missing',
    ]);
  });

  test('is at most twenty lines, and the rest counted', () => {
    const regions = Array.from({ length: 50 }, (_, index) => `eu-west-${index}`);
    const then = { ...plain, targets: regions.map((region) => ({ ...base, region })) };
    const now = { ...plain, targets: then.targets.map((one) => ({ ...one, kmsKeyArn: `key of ${one.region}` })) };
    const lines = listDifferences(then, now);
    expect(lines).toHaveLength(21);
    expect(lines.at(-1)).toBe('…and 30 differences more');
  });

  test('comes from the file where that is of the approved plan', () => {
    const now = { ...plain, targets: [{ ...base, kmsKeyArn: 'k' }] };
    const digest = digestOf(plain);
    expect(planDifferences({ digest, approved: undefined }, plain)).toEqual([]);
    expect(planDifferences({ digest, approved: undefined }, now)).toEqual(['the target keys']);
    expect(planDifferences({ digest, approved: plain }, now)).toEqual([
      'the target keys',
      '999999999999/eu-west-1: key k instead of arn:aws:kms:eu-west-1:999999999999:key/1',
    ]);
    for (const approved of [now, { ...plain, targets: [{}] }, [], null])
      expect(planDifferences({ digest, approved }, now)).toEqual([
        'the target keys',
        expect.stringContaining('is not of the plan that has the digest'),
      ]);
  });
});

test('what is no digest is told', () => {
  const digest = digestOf(plain);
  const near = [digest.slice(0, -1), `${digest}0`, digest.replace('keys', 'key'), digest.toUpperCase()];
  for (const wrong of ['', 'x', 'see v12: anything', ...near])
    expect(digestProblem(wrong)).toMatch(
      /^expected the whole of the output plan-digest of the approved run, v1:source=…$/,
    );
  expect(digestProblem('v12:anything')).toMatch(
    /^this digest is of version v12, and this version of the action makes v1/,
  );
});
