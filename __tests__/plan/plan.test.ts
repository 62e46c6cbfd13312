import { describe, expect, test } from '@jest/globals';
import { encryptedCopyName } from '../../src/encrypted-copy.ts';
import { leaseTag } from '../../src/lease.ts';
import { accountsUsing } from '../../src/plan/decided.ts';
import type { Source } from '../../src/plan/facts.ts';
import { instanceTag, tagKeys } from '../../src/tags.ts';
import {
  copiedAmi,
  deadLease,
  earlierCopy,
  golden,
  keyOf,
  lease,
  liveLease,
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
} from './given.ts';

const where = `${targetAccount}/${targetRegion}`;

test('the targets are planned in the order of the inputs', () => {
  const targets = ['eu-west-1', 'us-west-2'].map((region) => targetIn(targetAccount, region));
  const { plan } = planFrom({ targets });
  expect(plan.targets.map(({ target }) => target)).toEqual(targets);
});

describe('a target that is left out', () => {
  const other = targetIn(targetAccount, 'us-west-2');
  const old = sharedAmi('ami-old', { Name: 'golden-2026-11-22', ImageId: 'ami-old' });
  const facts = { ssmParameter: '/golden/latest', existing: [old] };
  const withParameter = targetIn(targetAccount, 'eu-west-1', facts);
  const setting = ({ plan }: ReturnType<typeof planFrom>) => ofKind(plan, 'parameter').map(({ name }) => name);

  test('is not planned, and keeps parameters and older AMIs as they are everywhere; an optional one does not', () => {
    const targets = [withParameter, other];
    const inputs = { 'on-existing': 'replace' };
    const without = planFrom({ targets, leftOut: [other], inputs });
    expect(without.plan.targets.map(({ target }) => target.place.region)).toEqual(['eu-west-1']);
    expect([setting(without), ofKind(without.plan, 'deregister')]).toEqual([[], []]);
    const optional = { ...other, request: { ...other.request, optional: true } };
    const spared = planFrom({ targets: [withParameter, optional], leftOut: [optional], inputs });
    expect(setting(spared)).toEqual(['/golden/latest']);
    expect(ofKind(spared.plan, 'deregister').map(({ image }) => image.ImageId)).toEqual(['ami-old']);
    expect(setting(planFrom({ targets, inputs }))).toEqual(['/golden/latest']);
  });
});

test('a run that only sets what names the AMIs takes a lease where it could leave that half set', () => {
  const ami = sharedAmi('ami-there');
  const there = { existing: [ami], namesake: ami, earlierCopies: [snapshotOf(ami)], ssmParameter: '/golden/latest' };
  const template = { id: 'lt-1', sourceVersion: '$Latest', latest: 1, makesDefault: true, formerDefault: 1 };
  for (const [over, takes] of [
    [{}, false],
    [{ ssmParameter: undefined }, false],
    [{ launchTemplate: template }, true],
    [{ ssmParameter: undefined, launchTemplate: template }, true],
    [{ ssmParameter: undefined, launchTemplate: { ...template, makesDefault: false } }, false],
  ] as const)
    expect(ofKind(planOne({ target: { ...there, ...over } }).plan, 'lease')).toHaveLength(takes ? 1 : 0);
  const markOf = (...regions: string[]) => {
    const targets = regions.map((region) => targetIn(targetAccount, region, there));
    return ofKind(planFrom({ targets }).plan, 'lease').map(({ references }) => references);
  };
  // Whoever sets the very same has the same mark.
  const mark = markOf('eu-west-1', 'us-west-2');
  expect(mark).toEqual([expect.stringMatching(/^[0-9a-f]{8}$/)]);
  expect(markOf('us-west-2', 'eu-west-1')).toEqual(mark);
  expect(markOf('eu-west-1', 'us-east-2')).not.toEqual(mark);
});

test('the keys that a run may lend are told, each once: of the snapshots that can be shared, its own, and the hubs’', () => {
  const snapshots = [
    snapshot('snap-1', { kmsKeyArn: 'arn:key-1' }),
    snapshot('snap-2', { kmsKeyArn: 'arn:key-1' }),
    snapshot('snap-3', { kmsKeyArn: 'arn:aws/ebs', obstacle: 'under a key of AWS' }),
    snapshot('snap-4', { kmsKeyArn: undefined }),
  ];
  const keys = (source: Partial<Source>) => planFrom({ source, hubs: ['eu-west-1'] }).plan.keys;
  const hub = keyOf(sourceAccount, 'eu-west-1');
  expect(keys({ snapshots })).toEqual(['arn:key-1', sourceKey, hub]);
  expect(keys({ snapshots, kmsKeyArn: undefined })).toEqual(['arn:key-1', hub]);
});

test('tags of encrypted copies that are too long once they are filled in are problems, if they are asked for', () => {
  const source = { snapshots: [unencrypted('snap-b007')], image: golden({ Name: 'x'.repeat(120) }) };
  const tags = { 'intermediate-tags': `of=${'{name}'.repeat(3)}` };
  const { problems } = planFrom({ source, inputs: tags });
  expect(problems).toEqual([expect.objectContaining({ remedy: 'shorten it in intermediate-tags' })]);
  // Those of the targets are their own inputs' to shorten.
  expect(planFrom({ source, inputs: { tags: `of=${'{name}'.repeat(3)}` } }).problems).toEqual([]);
});

test('what keeps a target from being made is a problem of that target alone', () => {
  const other = targetIn(targetAccount, 'us-west-2');
  const namesake = golden({ ImageId: 'ami-theirs', OwnerId: targetAccount });
  const { problems, problemsOf } = planFrom({ targets: [targetIn(targetAccount, 'eu-west-1', { namesake }), other] });
  expect([problems.length, problemsOf(where), problemsOf(undefined)]).toEqual([1, problems, []]);
});

describe('the name of the AMI', () => {
  const other = golden({ ImageId: 'ami-other', Tags: [] });
  const stale = sharedAmi('ami-stale', { Architecture: 'arm64', EnaSupport: false });

  test('may not be taken by an AMI of another source', () => {
    expect(planOne({ target: { namesake: other } }).problems).toEqual([
      {
        where,
        what: 'the name "golden-2026-11-23" is taken by ami-other',
        remedy: 'choose another target-ami-name, or deregister that AMI',
      },
    ]);
  });

  test.each([
    ['an AMI', {}, 'this is where the source AMI ami-601d is, and AWS gives its name "golden-2026-11-23" once'],
    [
      'what is yet to be made of an instance',
      { instanceId: 'i-601d', imageId: 'i-601d' },
      'this is where the source AMI is, and AWS gives its name "golden-2026-11-23" once',
    ],
  ])('is the source’s own in its own place, which is told as that: %s', (_, source, what) => {
    const place = `${sourceAccount}/${sourceRegion}`;
    const namesake = 'instanceId' in source ? undefined : golden({});
    const targets = [targetIn(targetAccount, targetRegion), targetIn(sourceAccount, sourceRegion, { namesake })];
    const remedy = `leave this target out (exclude-targets: ${place}), or give the copy a name of its own (ami-name in targets)`;
    expect(planFrom({ source, targets }).problems).toEqual([{ where: place, what, remedy }]);
    // Somebody else's AMI of that name is no obstacle to one's own.
    const foreign = planFrom({ image: { OwnerId: '333333333333' }, targets: [targetIn(sourceAccount, sourceRegion)] });
    expect(foreign.problems).toEqual([]);
    const renamed = targetIn(sourceAccount, sourceRegion, { name: 'another' });
    expect(planFrom({ source, targets: [renamed] }).problems).toEqual([]);
  });

  test('may not be taken by an AMI of this source that differs: it is told in what', () => {
    expect(
      planOne({ target: { existing: [stale], namesake: stale, earlierCopies: [snapshotOf(stale)] } }).problems,
    ).toEqual([
      {
        where,
        what: 'the name "golden-2026-11-23" is taken by ami-stale, an AMI of this source that differs: Architecture is arm64, but x86_64 in the source; EnaSupport is not set, but true in the source',
        remedy: 'choose another target-ami-name, or deregister that AMI',
      },
    ]);
  });

  test('may be taken by an AMI of this source that is being made: it is waited for', () => {
    const pending = sharedAmi('ami-begun', { State: 'pending' });
    const { awaited, problems } = planOne({ target: { existing: [pending], namesake: pending } });
    expect([awaited, problems]).toEqual([pending, []]);
  });

  test.each(['register', 'copy'])('may not be taken by such an AMI where route %s would replace it', (route) => {
    const pending = sharedAmi('ami-begun', { State: 'pending' });
    const inputs = { 'on-existing': 'replace', route };
    // The run that makes it would lose it.
    expect(planOne({ inputs, target: { existing: [pending], namesake: pending } })).toMatchObject({
      awaited: undefined,
      supersedes: undefined,
      problems: [
        {
          where,
          what: 'the name "golden-2026-11-23" is taken by ami-begun, which is being made',
          remedy: 'run it again when that AMI is available',
        },
      ],
    });
  });

  test('is taken over from the AMI that is replaced, where the new one is registered from snapshots', () => {
    const older = sharedAmi('ami-older', { Architecture: 'arm64', Name: 'golden-2026-11-22' });
    const target = { existing: [older, stale], namesake: stale };
    const { supersedes, replace, problems } = planOne({ inputs: { 'on-existing': 'replace' }, target });
    expect({ supersedes, replace, problems }).toEqual({ supersedes: stale, replace: [older, stale], problems: [] });
  });

  test('is not taken over from an AMI that stays, or by one that is there', () => {
    expect(planOne({ target: { existing: [stale], namesake: stale } }).supersedes).toBeUndefined();
    const inputs = { 'on-existing': 'replace' };
    expect(planOne({ inputs, target: { existing: [stale] } }).supersedes).toBeUndefined();
    const own = sharedAmi('ami-own', { run: runUrl, Name: 'another' });
    const target = { existing: [own, stale], namesake: stale, earlierCopies: [snapshotOf(own)] };
    expect(planOne({ inputs, attempt: 2, target })).toMatchObject({ reuse: own, supersedes: undefined });
  });

  test('may not be that of an AMI that an SSM parameter names until all targets are ready', () => {
    const target = { existing: [stale], namesake: stale, ssmParameter: '/golden/linux' };
    const { supersedes, problems } = planOne({ inputs: { 'on-existing': 'replace' }, target });
    expect({ supersedes, problems }).toEqual({
      supersedes: undefined,
      problems: [expect.objectContaining({ what: expect.stringContaining('must stay until the new AMI is there') })],
    });
  });

  test('may not be that of an AMI that route copy replaces: the copy bears it hours before it is right', () => {
    const facts = {
      inputs: { 'on-existing': 'replace', route: 'copy' },
      target: { existing: [stale], namesake: stale },
    };
    expect(planOne(facts)).toMatchObject({
      supersedes: undefined,
      problems: [
        {
          where,
          what: 'the name "golden-2026-11-23" is taken by ami-stale, which must stay until the new AMI is there (by route copy, as an ssm-parameter or a launch-template names it, or as the new one may fail its boot-test)',
          remedy: 'give each AMI a name of its own, with {date} or {run-id} in target-ami-name',
        },
      ],
    });
  });

  test('may be taken by the AMI that is reused', () => {
    const ami = sharedAmi('ami-there');
    const target = { existing: [ami], namesake: ami, earlierCopies: [snapshotOf(ami)] };
    expect(planOne({ target }).problems).toEqual([]);
  });

  test('is still taken where the AMI that has it failed, but another did', () => {
    const failed = sharedAmi('ami-failed', { State: 'failed', lease: deadLease });
    expect(planOne({ target: { existing: [failed], namesake: other } }).problems).toHaveLength(1);
  });
});

describe('an AMI of this source that is there already', () => {
  const [first, second] = [sharedAmi('ami-1', { Name: 'golden-1' }), sharedAmi('ami-2', { Name: 'golden-2' })];
  const existing = [first, second];

  test('with on-existing fail, is a problem', () => {
    expect(planOne({ inputs: { 'on-existing': 'fail' }, target: { existing } }).problems).toEqual([
      {
        where,
        what: 'there is an AMI of this source already: ami-1 (golden-1), ami-2 (golden-2)',
        remedy: 'deregister it, or set on-existing to reuse or replace',
      },
    ]);
    expect(planOne({ inputs: { 'on-existing': 'fail' } }).problems).toEqual([]);
  });

  test('with on-existing reuse, is none, although it differs', () => {
    expect(planOne({ target: { existing } })).toMatchObject({ problems: [], replace: [] });
  });

  test('with on-existing replace, goes once the new one is there', () => {
    expect(planOne({ inputs: { 'on-existing': 'replace' }, target: { existing } })).toMatchObject({
      problems: [],
      replace: existing,
    });
  });

  test('with on-existing replace, stays if this very run made it; the others go', () => {
    const own = sharedAmi('ami-own', { run: runUrl });
    const target = { existing: [first, own], earlierCopies: [snapshotOf(own)] };
    expect(planOne({ inputs: { 'on-existing': 'replace' }, attempt: 2, target })).toMatchObject({
      reuse: own,
      replace: [first],
    });
  });

  test('with on-existing replace, stays while the run that makes it may live', () => {
    const makers = ['aaaaaaaaaaa1', 'aaaaaaaaaaa2'];
    const making = makers.map((name) => sharedAmi(`ami-${name}`, { Name: name, lease: name }));
    const leases = [lease('aaaaaaaaaaa1'), lease('aaaaaaaaaaa2', { runId: '4711', attempt: 1 })];
    const target = { existing: [...making, first] };
    expect(planOne({ inputs: { 'on-existing': 'replace' }, attempt: 2, leases, target }).replace).toEqual([first]);
  });

  test.each(['deregistered', 'invalid'] as const)('is none if it is %s', (State) => {
    const target = { existing: [sharedAmi('ami-gone', { State })] };
    for (const onExisting of ['fail', 'replace'])
      expect(planOne({ inputs: { 'on-existing': onExisting }, target })).toMatchObject({ problems: [], replace: [] });
  });

  test('that is replaced takes its snapshots with it: none is told to be finished', () => {
    const target = { existing: [first], earlierCopies: [earlierCopy('snap-of-ami-1'), earlierCopy('snap-1')] };
    const leases = [lease(deadLease, { expiresAt: 0 })];
    const { replace, untag } = planOne({ inputs: { 'on-existing': 'replace' }, leases, target });
    expect({ replace, untag }).toEqual({ replace: [first], untag: [] });
    expect(planOne({ leases, target }).untag).toEqual(['snap-of-ami-1']);
  });

  test('cannot be replaced while it is protected from deregistration', () => {
    const images = [
      sharedAmi('ami-on', { DeregistrationProtection: 'enabled-without-cooldown' }),
      sharedAmi('ami-off', { DeregistrationProtection: 'disabled' }),
      sharedAmi('ami-plain'),
    ];
    expect(planOne({ inputs: { 'on-existing': 'replace' }, target: { existing: images } }).problems).toEqual([
      {
        where,
        what: 'ami-on is to be replaced, but it is protected from deregistration (enabled-without-cooldown)',
        remedy: `take the protection off: aws ec2 disable-image-deregistration-protection --region ${targetRegion} --image-id ami-on; or set on-existing to reuse`,
      },
    ]);
  });
});

describe('what bears our tags in a target, and is not, or may not be, ours', () => {
  const inputs = { 'on-existing': 'replace' };
  const told = (id: string, why: string) =>
    `${where}: ${id} bears tags of this action, but ${why}; so it is left alone`;

  test('is none of this source: it is neither used, nor replaced, nor a problem', () => {
    const foreign = copiedAmi('ami-f0', { SourceImageId: 'ami-0dd', Name: 'golden-1' });
    for (const onExisting of ['reuse', 'replace', 'fail']) {
      const target = { existing: [foreign], earlierCopies: [snapshotOf(foreign)] };
      expect(planOne({ inputs: { 'on-existing': onExisting }, target })).toMatchObject({
        ...{ action: 'register', replace: [], problems: [] },
        warnings: [told('ami-f0', 'it was copied from ami-0dd, not from ami-601d')],
      });
    }
  });

  const encryptedCopy = { Key: tagKeys.encryptedCopy, Value: 'ami-e0' };
  const sourceAmi = { Key: tagKeys.sourceAmi, Value: 'ami-601d' };
  const viaCopy = copiedAmi('ami-f1', { SourceImageId: 'ami-e0', Tags: [sourceAmi, encryptedCopy] });
  const snapshotTie = 'it was copied from ami-e0, and only a tag says that this was an encrypted copy of ami-601d';

  test('is used where it is alike, though nothing but a tag ties it to the source', () => {
    const target = { existing: [viaCopy], earlierCopies: [snapshotOf(viaCopy)] };
    expect(planOne({ target })).toMatchObject({ reuse: viaCopy, warnings: [] });
  });

  test('is not replaced unless AWS tells that it comes from the source', () => {
    const existing = [{ ...viaCopy, Name: 'golden-1' }];
    expect(planOne({ inputs, target: { existing } })).toMatchObject({
      ...{ replace: [], problems: [] },
      warnings: [told('ami-f1', snapshotTie)],
    });
    const ancestry = new Map([['ami-e0', 'ami-601d']]);
    expect(planOne({ inputs, target: { existing, ancestry } })).toMatchObject({ replace: existing, warnings: [] });
    // The encrypted copy is still there.
    const image = { ImageId: 'ami-e0', Name: encryptedCopyName('ami-601d', sourceKey), SourceImageId: 'ami-601d' };
    const intermediates = { [sourceRegion]: { images: [image] } };
    expect(planOne({ inputs, target: { existing }, intermediates })).toMatchObject({
      ...{ replace: existing, warnings: [] },
    });
  });

  test('is not removed as what a dead run was copying in vain', () => {
    const leases = [lease(deadLease, { expiresAt: 0 })];
    const Tags = [sourceAmi, encryptedCopy, { Key: tagKeys.lease, Value: deadLease }];
    const existing = [copiedAmi('ami-f1', { SourceImageId: 'ami-e0', State: 'failed', Tags })];
    const ancestry = new Map([['ami-e0', 'ami-601d']]);
    expect(planOne({ leases, target: { existing } }).discardImages).toEqual([]);
    expect(planOne({ leases, target: { existing, ancestry } }).discardImages).toEqual(existing);
  });

  test('is not deleted as a copy of a dead run, if only a tag says that it was copied with an encrypted copy', () => {
    const leases = [lease(deadLease, { expiresAt: 0 })];
    const copy = earlierCopy('snap-1');
    const Description =
      'Copied for DestinationAmi ami-1 from SourceAmi ami-e0 for SourceSnapshot snap-1. Task created on 1.';
    const earlierCopies = [{ ...copy, Description, Tags: [...(copy.Tags ?? []), encryptedCopy] }];
    expect(planOne({ leases, inputs: { route: 'copy' }, target: { earlierCopies } })).toMatchObject({
      discard: [],
      warnings: [told('snap-1', 'it was copied with ami-e0, and only a tag says that this was an encrypted copy')],
    });
    const ancestry = new Map([['ami-e0', 'ami-601d']]);
    expect(planOne({ leases, inputs: { route: 'copy' }, target: { earlierCopies, ancestry } })).toMatchObject({
      ...{ discard: ['snap-1'], warnings: [] },
    });
  });

  test('does not count for retain, and is told; what is claimed counts, and stays', () => {
    const made = [
      copiedAmi('ami-f0', { SourceImageId: 'ami-0dd', Name: 'golden-2026-11-22' }),
      { ...viaCopy, Name: 'golden-2026-11-21' },
    ];
    const { retained, warnings } = planOne({ inputs: { retain: '1' }, target: { made } });
    expect(retained).toEqual({
      keep: [],
      remove: [],
      held: [{ image: made[1], why: snapshotTie }],
      protect: [],
      ask: [],
      reports: new Map(),
    });
    expect(warnings).toEqual([told('ami-f0', 'it was copied from ami-0dd, not from ami-601d')]);
  });

  test('is not replaced while the run that makes it lives', () => {
    const made = sharedAmi('ami-1', { Name: 'golden-1', lease: liveLease });
    expect(planOne({ inputs, leases: [lease(liveLease)], target: { existing: [made] } })).toMatchObject({
      ...{ replace: [], warnings: [] },
    });
    expect(planOne({ inputs, target: { existing: [made] } }).replace).toEqual([made]);
  });

  test('is nothing to say of, where it bears no mark of a run at work: it is part of an AMI, or finished', () => {
    const finished = { ...earlierCopy('snap-1', { lease: undefined }), Description: 'a backup' };
    const intermediate = earlierCopy('snap-2');
    const Tags = [...(intermediate.Tags ?? []), { Key: tagKeys.intermediate, Value: 'true' }];
    const earlierCopies = [finished, { ...intermediate, Tags, Description: 'a backup' }];
    expect(planOne({ target: { earlierCopies } })).toMatchObject({ discard: [], warnings: [] });
  });
});

test('what only bears the tags of an encrypted copy is left alone in the source account, and told', () => {
  const at = `${sourceAccount}/${sourceRegion}`;
  const image = { ImageId: 'ami-f0', Name: 'mine', SourceImageId: 'ami-601d' };
  const backup = { SnapshotId: 'snap-f0', Description: 'a backup' };
  const { warnings } = planOne({ intermediates: { [sourceRegion]: { images: [image], snapshots: [backup] } } });
  expect(warnings).toEqual([
    `${at}: ami-f0 bears tags of this action, but it does not have the name of an encrypted copy; so it is left alone`,
    `${at}: snap-f0 bears tags of this action, but its description is not that of an encrypted copy by this action; so it is left alone`,
  ]);
});

test('tags that read as no lease that a run writes are told, and nothing goes by them', () => {
  const [forged, far] = ['share-encrypted-ami:lease:x', `share-encrypted-ami:lease:${liveLease}`];
  const later = leaseTag(lease(liveLease, { expiresAt: now + 3_600_000 }));
  const Tags = [{ Key: forged, Value: '0 0' }, later, leaseTag(lease(deadLease, { expiresAt: 0 }))];
  const { warnings, discard } = planOne({
    image: { Tags },
    target: { earlierCopies: [earlierCopy('snap-1', { lease: liveLease, of: 'snap-0dd' })] },
  });
  expect(discard).toEqual([]);
  expect(warnings).toEqual([
    `${sourceAccount}/${sourceRegion}: tags of ami-601d that read as no run's lease are left alone: ${forged}, ${far}`,
  ]);
});

describe('the tags of the AMI', () => {
  const provenance = [
    { Key: tagKeys.sourceAmi, Value: 'ami-601d' },
    { Key: tagKeys.run, Value: runUrl },
    { Key: tagKeys.commit, Value: 'c0ffee' },
  ];
  const image = { Tags: [{ Key: 'team', Value: 'platform' }] };

  test("are the source's, the asked ones, and where it comes from", () => {
    const { expected, warnings } = planOne({ image, target: { tags: { stage: 'prod' } } });
    expect(expected.tags).toEqual([{ Key: 'team', Value: 'platform' }, { Key: 'stage', Value: 'prod' }, ...provenance]);
    expect(warnings).toEqual([]);
  });

  test('of a source that this run has made of an instance are not those that it bears for other targets', () => {
    const inputs = { tags: 'stage=prod' };
    const ofInstance = (run: string) => [
      { Key: 'stage', Value: 'prod' },
      { Key: instanceTag, Value: 'i-1' },
      ...(run === '' ? [] : [{ Key: tagKeys.run, Value: run }]),
    ];
    const keysFor = (run: string, tagged: string) =>
      planOne({ inputs, run, image: { Tags: ofInstance(tagged) } }).expected.tags.map(({ Key }) => Key);
    expect(keysFor(runUrl, runUrl)).not.toContain('stage');
    expect(keysFor('', '')).not.toContain('stage');
    expect(keysFor(runUrl, `${runUrl}2`)).toContain('stage');
  });

  test("without copy-tags are none of the source's", () => {
    expect(planOne({ inputs: { 'copy-tags': 'false' }, image }).expected.tags).toEqual(provenance);
  });

  test('of a source that has none are the others', () => {
    expect(planOne({ source: { image: golden() } }).expected.tags).toEqual(provenance);
  });

  test('that AWS has no room for are told', () => {
    const Tags = Array.from({ length: 48 }, (_, index) => ({ Key: `tag-${index}`, Value: 'x' }));
    const { expected, warnings } = planOne({ image: { Tags } });
    expect(expected.tags).toHaveLength(50);
    // A copied image bears besides the run's lease, while it is made, and the encrypted copy that it is of.
    expect(planOne({ image: { Tags }, inputs: { route: 'copy' } }).expected.tags).toHaveLength(48);
    expect(warnings).toEqual([`${where}: AWS allows 50 tags; these of the source's are left out: tag-47`]);
    const ofLineage = planOne({ image: { Tags }, target: { lineage: 'golden' } });
    // That it is published, and what comes after it, is said later.
    expect(ofLineage.expected.tags).toHaveLength(48);
    expect(ofLineage.expected.tags).toContainEqual({ Key: tagKeys.lineage, Value: 'golden' });
  });
});

describe('the tags of the snapshots', () => {
  const root = snapshot('snap-b007', { tags: [{ Key: 'disk', Value: 'root' }] });
  const own = (id: string) => [
    { Key: 'stage', Value: 'prod' },
    { Key: tagKeys.sourceAmi, Value: 'ami-601d' },
    { Key: tagKeys.run, Value: runUrl },
    { Key: tagKeys.commit, Value: 'c0ffee' },
    { Key: tagKeys.sourceSnapshot, Value: id },
    { Key: tagKeys.kmsKey, Value: targetKey },
    { Key: tagKeys.lease, Value: ownLease },
  ];
  const target = { tags: { stage: 'prod' } };

  test("are each source snapshot's, the asked ones, and by what a later run finds the copy again", () => {
    const { snapshotTags, warnings } = planOne({ source: { snapshots: [root, snapshot('snap-da7a')] }, target });
    expect(snapshotTags).toEqual(
      new Map([
        ['snap-b007', [{ Key: 'disk', Value: 'root' }, ...own('snap-b007')]],
        ['snap-da7a', own('snap-da7a')],
      ]),
    );
    expect(warnings).toEqual([]);
  });

  test("without copy-tags are none of the source's", () => {
    const facts = { inputs: { 'copy-tags': 'false' }, source: { snapshots: [root] }, target };
    expect(planOne(facts).snapshotTags?.get('snap-b007')).toEqual(own('snap-b007'));
  });

  test('that AWS has no room for are told', () => {
    const tags = Array.from({ length: 46 }, (_, index) => ({ Key: `tag-${index}`, Value: 'x' }));
    const { snapshotTags, warnings } = planOne({ source: { snapshots: [snapshot('snap-b007', { tags })] } });
    expect(snapshotTags?.get('snap-b007')).toHaveLength(50);
    const facts = { inputs: { route: 'copy' }, source: { snapshots: [snapshot('snap-b007', { tags })] } };
    expect(planOne(facts).snapshotTags?.get('snap-b007')).toHaveLength(49);
    expect(warnings).toEqual([`${where}: AWS allows 50 tags; these of snap-b007's are left out: tag-44, tag-45`]);
  });
});

describe('the description', () => {
  const descriptionOf = (facts: Parameters<typeof planOne>[0]) => planOne(facts).expected.description;

  test("is the asked one, else the source's", () => {
    const image = { Description: 'Golden image' };
    expect(descriptionOf({ image })).toBe('Golden image');
    expect(descriptionOf({ image, target: { description: 'Mine' } })).toBe('Mine');
    expect(descriptionOf({ image, target: { description: '' } })).toBe('');
  });

  test('of a source that has none, or AWS’s own, is none', () => {
    for (const image of [{}, { Description: '' }, { Description: '[Copied ami-0123 from eu-west-1] base' }]) {
      expect(descriptionOf({ image })).toBeUndefined();
      expect(descriptionOf({ image, inputs: { route: 'copy' } })).toBeUndefined();
    }
  });
});

test('the accounts that use a key of the source account are told, each once', () => {
  const account = '222222222222';
  const targets = [
    targetIn(targetAccount, 'eu-west-1'),
    targetIn(targetAccount, 'us-west-2'),
    targetIn(account, 'eu-west-1'),
    targetIn(sourceAccount, 'eu-west-1'),
  ];
  const { plan } = planFrom({ targets });
  expect(accountsUsing(plan.targets, sourceKey)).toEqual([targetAccount, account]);
  expect(accountsUsing(plan.targets, targetKey)).toEqual([]);
});

describe('retain', () => {
  const [newer, older, oldest] = ['2026-11-22', '2026-11-21', '2026-11-20'].map((date) =>
    sharedAmi(`ami-${date}`, { Name: `golden-${date}`, CreationDate: `${date}T00:00:00.000Z` }),
  );
  const made = [newer, older, oldest].flatMap((image) => image ?? []);

  test('plans nothing where it is not asked for', () => {
    expect(planOne({ target: { made } }).retained).toBeUndefined();
  });

  test('keeps so many of the lineage, the new AMI among them', () => {
    expect(planOne({ inputs: { retain: '2' }, target: { made, lineage: 'golden' } }).retained).toEqual({
      keep: [newer],
      remove: [older, oldest],
      held: [],
      protect: [],
      ask: [],
      reports: new Map(),
    });
  });

  test('leaves out what goes anyway: replaced AMIs, and images that were copied in vain', () => {
    const failed = sharedAmi('ami-failed', { State: 'failed', lease: deadLease });
    const inputs = { retain: '1', 'on-existing': 'replace' };
    const existing = [failed, ...made.slice(0, 1)];
    expect(planOne({ inputs, target: { existing, made: [...made, failed], lineage: 'golden' } }).retained).toEqual({
      keep: [],
      remove: [older, oldest],
      held: [],
      protect: [],
      ask: [],
      reports: new Map(),
    });
  });
});
