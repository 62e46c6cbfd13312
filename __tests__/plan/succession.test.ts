import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import type { InputName } from '../../src/inputs/reader.ts';
import { copyDescription } from '../../src/plan/evidence.ts';
import type { Target, Use } from '../../src/plan/facts.ts';
import { maxTags, recalledTag, tagKeys } from '../../src/tags.ts';
import {
  copyOf,
  deadLease,
  lease,
  liveLease,
  planOne,
  sharedAmi,
  snapshotOf,
  sourceAccount,
  sourceRegion,
  targetAccount,
  targetRegion,
} from './given.ts';

/* Bake after bake in a target: who takes whose place and name, what says so, and what is not to be used again. */

const where = `${targetAccount}/${targetRegion}`;
const name = 'golden-2026-11-23';
const source = { account: sourceAccount, region: sourceRegion };

type Inputs = Partial<Record<InputName, string>>;
type Tags = Readonly<Record<string, string>>;

const tagged = (image: Image, tags: Tags): Image => ({
  ...image,
  Tags: [...(image.Tags ?? []), ...Object.entries(tags).map(([Key, Value]) => ({ Key, Value }))],
});
/** The copy in an AMI, as one of a lineage, of the AMI that it was of. */
const partOf = (image: Image, { lineage, of = 'ami-601d' }: { lineage?: string; of?: string } = {}): Snapshot => ({
  ...copyOf(`snap-of-${image.ImageId}`),
  Description: copyDescription('snap-b007', of, { ...source, lineage }),
});
const partsOf = (...parts: Snapshot[]) => new Map(parts.map((one) => [one.SnapshotId ?? '', one]));
const ofLineage = (id: string, over: Parameters<typeof sharedAmi>[1] = {}, tags: Tags = {}) =>
  tagged(sharedAmi(id, { Name: id, ...over }), { [tagKeys.lineage]: 'golden', ...tags });
const failed = { [tagKeys.bootTest]: 'failed: status' };
const taken = `the name ${JSON.stringify(name)} is taken by ami-former`;

describe('an AMI of the lineage that has the name, of another source', () => {
  /** Of the bake before. */
  const former = (tags: Tags = {}, over: Image = {}): Image => ({
    ...tagged(sharedAmi('ami-former', { Name: name, Tags: [] }), {
      ...{ [tagKeys.sourceAmi]: 'ami-0dd', [tagKeys.lineage]: 'golden' },
      ...tags,
    }),
    ...over,
  });
  const planned = (namesake: Image, inputs: Inputs = {}, target: Partial<Target> = {}) => {
    const parts = partsOf(partOf(namesake, { lineage: 'golden', of: 'ami-0dd' }));
    const facts = { inputs, leases: [lease(liveLease), lease(deadLease, { expiresAt: 0 })] };
    return planOne({ ...facts, target: { lineage: 'golden', namesake, parts, ...target } });
  };
  const replacing = { 'on-existing': 'replace' };

  test('is replaced, and gives its name up, with on-existing replace alone', () => {
    const namesake = former();
    expect(planned(namesake, replacing)).toMatchObject({ replace: [namesake], supersedes: namesake, problems: [] });
    for (const onExisting of ['fail', 'reuse'])
      expect(planned(namesake, { 'on-existing': onExisting })).toMatchObject({
        ...{ replace: [], supersedes: undefined },
        problems: [{ where, what: taken, remedy: 'choose another target-ami-name, or deregister that AMI' }],
      });
  });

  test('goes together with those of this source, each once', () => {
    const namesake = former();
    const older = sharedAmi('ami-older', { Name: 'golden-older', Architecture: 'arm64' });
    const parts = partsOf(partOf(namesake, { lineage: 'golden', of: 'ami-0dd' }), partOf(older));
    expect(planned(namesake, replacing, { existing: [older], parts })).toMatchObject({
      ...{ replace: [older, namesake], supersedes: namesake, problems: [] },
    });
  });

  test.each<[string, Image, Partial<Target>?]>([
    ['it bears the tag of another lineage', former({ [tagKeys.lineage]: 'web' })],
    ['none is asked for', former(), { lineage: undefined }],
    [
      'it bears none, and none is asked for',
      former({}, { SourceImageId: 'ami-0dd', Tags: [{ Key: tagKeys.sourceAmi, Value: 'ami-0dd' }] }),
      { lineage: undefined },
    ],
    ['only its tag says that it is of the lineage', former(), { parts: partsOf(partOf(former(), { of: 'ami-0dd' })) }],
    [
      'it is nothing of this action',
      former(),
      { parts: partsOf({ ...copyOf('snap-of-ami-former'), Description: 'mine' }) },
    ],
    ['it is pending', former({}, { State: 'pending' })],
    ['somebody disabled it', former({}, { State: 'disabled' })],
    ['a run that lives is making it', former({ [tagKeys.lease]: liveLease })],
  ])('stays, and so does its name, where %s', (_, namesake, target = {}) => {
    for (const onExisting of ['replace', 'reuse'])
      expect(planned(namesake, { 'on-existing': onExisting }, target)).toMatchObject({
        ...{ replace: [], supersedes: undefined },
        problems: [{ where, what: taken }],
      });
  });

  test('goes whatever on-existing says, if it failed its boot test; unless it was published, or is of this source', () => {
    const rejected = former(failed);
    for (const onExisting of ['fail', 'reuse', 'replace'])
      expect(planned(rejected, { 'on-existing': onExisting })).toMatchObject({
        ...{ replace: [rejected], supersedes: rejected, problems: [] },
      });
    const published = former({ ...failed, [tagKeys.published]: '2026-11-20T00:00:00Z' });
    expect(planned(published)).toMatchObject({ replace: [], supersedes: undefined, problems: [{ what: taken }] });
    const own = ofLineage('ami-former', { Name: name, Architecture: 'arm64' }, failed);
    const target = { existing: [own], parts: partsOf(partOf(own, { lineage: 'golden' })) };
    expect(planned(own, { 'on-existing': 'reuse' }, target)).toMatchObject({ replace: [], supersedes: undefined });
    // Another of this source is no reason to keep it.
    const older = sharedAmi('ami-older', { Name: 'golden-older', Architecture: 'arm64' });
    const parts = partsOf(partOf(rejected, { lineage: 'golden', of: 'ami-0dd' }), partOf(older));
    expect(planned(rejected, {}, { existing: [older], parts })).toMatchObject({ supersedes: rejected });
  });

  describe('that something uses', () => {
    const instance = { by: 'i-1', launches: false };
    const template = { by: 'lt-1', launches: true };
    const group = { by: 'asg-1', launches: true };
    const problemOf = (namesake: Image, uses: readonly Use[] | undefined, target: Partial<Target> = {}) => {
      const users = uses && new Map([['ami-former', uses]]);
      return planned(namesake, replacing, { users, ...target }).problems.map(({ what }) => what);
    };
    const told = (why: string) => [`ami-former, which the new AMI is to replace, ${why}`];

    test('keeps its name where that would launch it anew, and where nobody knows', () => {
      expect(problemOf(former(), [])).toEqual([]);
      expect(problemOf(former(), [instance])).toEqual([]);
      expect(problemOf(former(), [template, instance, group])).toEqual(told('would be launched anew by lt-1, asg-1'));
      expect(problemOf(former(), undefined)).toEqual(told('may be used: what uses it is not known'));
      expect(planned(former(), replacing, { users: new Map([['ami-former', [template]]]) }).problems).toMatchObject([
        {
          where,
          remedy:
            'point that to the new AMI by an SSM parameter or a launch template, or give each bake a target-ami-name of its own and retain',
        },
      ]);
    });

    test('must not be used at all, if it failed its boot test by its tag', () => {
      expect(problemOf(former(failed), [])).toEqual([]);
      expect(problemOf(former(failed), [instance, template])).toEqual(
        told('is used by i-1, lt-1, though its boot test failed by its tag'),
      );
      expect(problemOf(former(failed), undefined)).toEqual(told('may be used: what uses it is not known'));
    });

    test('is asked of what is of this source only where it failed its boot test', () => {
      const own = (tags: Tags = {}) => ofLineage('ami-former', { Name: name, Architecture: 'arm64' }, tags);
      const other = sharedAmi('ami-other', { Name: 'golden-other', Architecture: 'arm64' });
      const target = (image: Image) => ({
        existing: [other, image],
        parts: partsOf(partOf(image, { lineage: 'golden' }), partOf(other)),
      });
      expect(problemOf(own(), [template], target(own()))).toEqual([]);
      expect(planned(own(), replacing, target(own())).replace).toEqual([other, own()]);
      expect(problemOf(own(failed), [template], target(own(failed)))).toHaveLength(1);
      // Of this source alone: no other stands for it.
      const parts = partsOf(partOf(former(), { lineage: 'golden', of: 'ami-0dd' }), partOf(other));
      expect(problemOf(former(), [template], { existing: [other], parts })).toHaveLength(1);
    });
  });

  test('stays until the new one has passed its boot test, and so under its name; a rejected one does not', () => {
    const launch = { type: 't3.micro', subnet: 'subnet-1', zone: 'eu-west-1a', givesIpv6: false };
    const sizes = [[{ ...launch, groups: [], isNitro: true, memoryMiB: 1024 }]];
    const bootSite = { sizes, profile: undefined };
    const tested = (namesake: Image, test: string, site: Target['bootSite']) =>
      planned(namesake, { ...replacing, 'boot-test': test }, { bootSite: site });
    expect(tested(former(), 'status', bootSite)).toMatchObject({
      supersedes: undefined,
      problems: [{ what: expect.stringContaining(taken) }],
    });
    for (const [namesake, test, site] of [
      [former(), 'off', bootSite],
      [former(), 'status', undefined],
      [former(failed), 'status', bootSite],
    ] as const)
      expect(tested(namesake, test, site)).toMatchObject({ supersedes: namesake, problems: [] });
  });
});

describe('an AMI that is to be replaced, under the action’s own protection', () => {
  const problemsOf = (protection: string, states: { DeregistrationProtection: string }, mark: string) => {
    const image = tagged(sharedAmi('ami-on', { Name: 'golden-on', ...states }), { [tagKeys.protection]: mark });
    const inputs = { 'on-existing': 'replace', 'deregistration-protection': protection };
    return planOne({ inputs, target: { existing: [image] } }).problems.map(({ what }) => what);
  };
  const told = (state: string) => [
    `ami-on is to be replaced, but it is protected from deregistration (enabled-${state})`,
  ];

  test('is one where the inputs ask for protection, and it has no cooldown, which the run can’t wait for', () => {
    const [without, with_] = ['without-cooldown', 'with-cooldown'];
    expect(problemsOf('on', { DeregistrationProtection: `enabled-${without}` }, 'on')).toEqual([]);
    expect(problemsOf('off', { DeregistrationProtection: `enabled-${without}` }, 'on')).toEqual(told(without));
    expect(problemsOf('on', { DeregistrationProtection: `enabled-${with_}` }, 'on-with-cooldown')).toEqual(told(with_));
  });
});

describe('what says since when AMIs of a lineage are published', () => {
  const marksOf = (image: Image | undefined, made: readonly Image[] = [], over: Partial<Target> = {}) => {
    const all = [...(image === undefined ? [] : [image]), ...made];
    const target = {
      ...{ lineage: 'golden', made: all, existing: image === undefined ? [] : [image], namesake: image },
      parts: partsOf(
        ...all.map((one) => ({ ...snapshotOf(one), Description: partOf(one, { lineage: 'golden' }).Description })),
      ),
      ...over,
    };
    const { marks, warnings, reuse } = planOne({ inputs: { retain: '9' }, target });
    return { marks, warnings, reuse: reuse?.ImageId };
  };
  const older = ofLineage('ami-older', { CreationDate: '2026-11-20T00:00:00.000Z' });
  const there = (tags: Tags = {}) =>
    ofLineage('ami-there', { Name: name, CreationDate: '2026-11-22T00:00:00.000Z' }, tags);
  const published = { [tagKeys.published]: '2026-11-22T00:00:00Z' };
  const superseded = { [tagKeys.superseded]: 'ami-newer 2026-11-23T00:00:00Z' };

  test('is written of a new AMI, and of those before it', () => {
    expect(marksOf(undefined).marks).toEqual({ former: [], isSaid: false, isBack: false });
    expect(marksOf(undefined, [older]).marks).toEqual({ former: ['ami-older'], isSaid: false, isBack: false });
    expect(marksOf(undefined, [older], { lineage: undefined }).marks).toBeUndefined();
  });

  test('is written once: of what is used again, only where something is missing, or it is gone back to', () => {
    const reuse = 'ami-there';
    expect(marksOf(there())).toMatchObject({ reuse, marks: { former: [], isSaid: false, isBack: false } });
    expect(marksOf(there(published))).toMatchObject({ reuse, marks: undefined });
    expect(marksOf(there(published), [older]).marks).toEqual({ former: ['ami-older'], isSaid: true, isBack: false });
    expect(marksOf(there({ ...published, ...superseded })).marks).toEqual({ former: [], isSaid: false, isBack: true });
  });

  test('is not written of what goes anyway', () => {
    const stale = ofLineage('ami-stale', { Architecture: 'arm64' });
    const parts = partsOf(...[stale, older].map((one) => partOf(one, { lineage: 'golden' })));
    const target = { lineage: 'golden', made: [stale, older], existing: [stale], parts };
    const { replace, marks } = planOne({ inputs: { 'on-existing': 'replace' }, target });
    expect([replace, marks?.former]).toEqual([[stale], ['ami-older']]);
  });

  test('is not written of what was not made as one of the lineage, which is told', () => {
    const warnings = [
      `${where}: ami-there was not made as one of the lineage golden, so retain does not count it later`,
    ];
    const untagged = sharedAmi('ami-there', { Name: name });
    expect(marksOf(untagged)).toEqual({ reuse: 'ami-there', warnings, marks: undefined });
    const parts = partsOf(snapshotOf(there()));
    expect(marksOf(there(), [], { parts })).toEqual({ reuse: 'ami-there', warnings, marks: undefined });
    expect(marksOf(there()).warnings).toEqual([]);
  });
});

describe('an AMI of this source that was recalled', () => {
  const recalled = sharedAmi('ami-back', {
    ...{ Name: name, State: 'disabled' },
    Tags: [
      { Key: tagKeys.sourceAmi, Value: 'ami-601d' },
      { Key: recalledTag, Value: 'CVE-2026-1' },
    ],
  });
  const told = (taken: string) => ({
    where,
    what: `ami-back was recalled: CVE-2026-1${taken}`,
    remedy: expect.stringMatching(/^share another AMI; .*; or give the new one another target-ami-name \(of another/),
  });

  test.each(['fail', 'reuse', 'replace'])(
    'is neither used nor replaced with on-existing %s, and is told',
    (onExisting) => {
      const inputs = { 'on-existing': onExisting };
      expect(planOne({ inputs, target: { existing: [recalled], namesake: recalled } })).toMatchObject({
        ...{ action: 'register', replace: [], supersedes: undefined },
        problems: [told(`; it keeps its name ${JSON.stringify(name)}`)],
      });
      const renamed = { ...recalled, Name: 'another' };
      expect(planOne({ inputs, target: { existing: [renamed] } }).problems).toEqual([told('')]);
    },
  );

  test('is told as the one that has the name, too', () => {
    const parts = partsOf(partOf(recalled));
    expect(planOne({ target: { namesake: recalled, parts } }).problems).toEqual([
      told(`; it keeps its name ${JSON.stringify(name)}`),
    ]);
  });

  test('is not taken for one where only a tag says so: it still has its name', () => {
    const parts = partsOf({ ...copyOf('snap-of-ami-back'), Description: 'mine' });
    expect(planOne({ target: { namesake: recalled, parts } })).toMatchObject({
      problems: [{ what: `the name ${JSON.stringify(name)} is taken by ami-back` }],
    });
  });
});

describe('an AMI that failed its boot test', () => {
  const there = tagged(sharedAmi('ami-there', { Name: name }), failed);
  const target = { existing: [there], namesake: there, earlierCopies: [snapshotOf(there)] };
  const sizes = [[]];

  test('is not used untested', () => {
    const untested = [{ where, what: expect.stringMatching(/^ami-there failed its boot test /) }];
    expect(planOne({ target })).toMatchObject({ reuse: there, problems: untested });
    expect(planOne({ inputs: { 'boot-test': 'status' }, target })).toMatchObject({ problems: untested });
    const bootSite = { sizes, profile: undefined };
    expect(planOne({ target: { ...target, bootSite } })).toMatchObject({ problems: untested });
    const inputs = { 'boot-test': 'status' };
    expect(planOne({ inputs, target: { ...target, bootSite } })).toMatchObject({ reuse: there, problems: [] });
  });
});

describe('a name that is taken', () => {
  const stale = sharedAmi('ami-stale', { Name: name, Architecture: 'arm64' });
  const other = sharedAmi('ami-other', { Name: 'golden-other', Architecture: 'arm64' });

  test('by an AMI of this source is told as that, whatever else of it is there', () => {
    const problems = (existing: Image[]) => planOne({ target: { existing, namesake: stale } }).problems;
    expect(problems([other, stale])).toMatchObject([{ what: expect.stringContaining('an AMI of this source') }]);
    expect(problems([other])).toMatchObject([{ what: `the name ${JSON.stringify(name)} is taken by ami-stale` }]);
  });

  test('comes free with what was copied in vain only where that has it', () => {
    const vain = sharedAmi('ami-vain', { State: 'failed', lease: deadLease });
    const leases = [lease(deadLease, { expiresAt: 0 })];
    const target = { existing: [vain, stale], namesake: stale };
    expect(planOne({ leases, target })).toMatchObject({ discardImages: [vain], problems: [{ where }] });
  });
});

test('one more tag of ours has room where the AMI is to be protected', () => {
  const Tags = Array.from({ length: maxTags }, (_, index) => ({ Key: `tag-${index}`, Value: 'x' }));
  const count = (protection: string) =>
    planOne({ image: { Tags }, inputs: { 'deregistration-protection': protection } }).expected.tags.length;
  expect([count('off'), count('on')]).toEqual([maxTags, maxTags - 1]);
});
