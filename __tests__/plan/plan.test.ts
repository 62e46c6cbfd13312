import { describe, expect, test } from '@jest/globals';
import { accountsUsing } from '../../src/plan/decided.ts';
import { tagKeys } from '../../src/tags.ts';
import {
  deadLease,
  earlierCopy,
  golden,
  lease,
  ownLease,
  planFrom,
  planOne,
  runUrl,
  sharedAmi,
  snapshot,
  snapshotOf,
  sourceAccount,
  sourceKey,
  targetAccount,
  targetIn,
  targetKey,
  targetRegion,
} from './given.ts';

const where = `${targetAccount}/${targetRegion}`;

test('the targets are planned in the order of the inputs', () => {
  const targets = ['eu-west-1', 'us-west-2'].map((region) => targetIn(targetAccount, region));
  const { plan } = planFrom({ targets });
  expect(plan.targets.map(({ target }) => target)).toEqual(targets);
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
          what: 'the name "golden-2026-11-23" is taken by ami-stale, which must stay until the new AMI is there (by route copy, or as an ssm-parameter names it)',
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

  test('with on-existing replace, stays if an earlier attempt of this very run made it; the others go', () => {
    const own = sharedAmi('ami-own', { run: runUrl });
    const target = { existing: [first, own], earlierCopies: [snapshotOf(own)] };
    expect(planOne({ inputs: { 'on-existing': 'replace' }, attempt: 2, target })).toMatchObject({
      reuse: own,
      replace: [first],
    });
  });

  test('with on-existing replace, stays while the run that makes it may live', () => {
    const making = ['living', 'outdated'].map((name) => sharedAmi(`ami-${name}`, { Name: name, lease: name }));
    const leases = [lease('living'), lease('outdated', { runId: '4711', attempt: 1 })];
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
    const { replace, untag } = planOne({ inputs: { 'on-existing': 'replace' }, target });
    expect({ replace, untag }).toEqual({ replace: [first], untag: [] });
    expect(planOne({ target }).untag).toEqual(['snap-of-ami-1']);
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
        remedy:
          'take the protection off: aws ec2 disable-image-deregistration-protection --image-id ami-on; or set on-existing to reuse',
      },
    ]);
  });
});

describe('the tags of the AMI', () => {
  const provenance = [
    { Key: tagKeys.sourceAmi, Value: 'ami-golden' },
    { Key: tagKeys.run, Value: runUrl },
    { Key: tagKeys.commit, Value: 'c0ffee' },
    { Key: tagKeys.lineage, Value: 'golden-#-#-#' },
  ];
  const image = { Tags: [{ Key: 'team', Value: 'platform' }] };

  test("are the source's, the asked ones, and where it comes from", () => {
    const { expected, warnings } = planOne({ image, target: { tags: { stage: 'prod' } } });
    expect(expected.tags).toEqual([{ Key: 'team', Value: 'platform' }, { Key: 'stage', Value: 'prod' }, ...provenance]);
    expect(warnings).toEqual([]);
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
    // A copied image bears the run's lease besides, while it is made.
    expect(planOne({ image: { Tags }, inputs: { route: 'copy' } }).expected.tags).toHaveLength(49);
    expect(warnings).toEqual([`${where}: AWS allows 50 tags; these of the source's are left out: tag-46, tag-47`]);
  });
});

describe('the tags of the snapshots', () => {
  const root = snapshot('snap-root', { tags: [{ Key: 'disk', Value: 'root' }] });
  const own = (id: string) => [
    { Key: 'stage', Value: 'prod' },
    { Key: tagKeys.sourceAmi, Value: 'ami-golden' },
    { Key: tagKeys.run, Value: runUrl },
    { Key: tagKeys.commit, Value: 'c0ffee' },
    { Key: tagKeys.sourceSnapshot, Value: id },
    { Key: tagKeys.kmsKey, Value: targetKey },
    { Key: tagKeys.lease, Value: ownLease },
  ];
  const target = { tags: { stage: 'prod' } };

  test("are each source snapshot's, the asked ones, and by what a later run finds the copy again", () => {
    const { snapshotTags, warnings } = planOne({ source: { snapshots: [root, snapshot('snap-data')] }, target });
    expect(snapshotTags).toEqual(
      new Map([
        ['snap-root', [{ Key: 'disk', Value: 'root' }, ...own('snap-root')]],
        ['snap-data', own('snap-data')],
      ]),
    );
    expect(warnings).toEqual([]);
  });

  test("without copy-tags are none of the source's", () => {
    const facts = { inputs: { 'copy-tags': 'false' }, source: { snapshots: [root] }, target };
    expect(planOne(facts).snapshotTags?.get('snap-root')).toEqual(own('snap-root'));
  });

  test('that AWS has no room for are told', () => {
    const tags = Array.from({ length: 46 }, (_, index) => ({ Key: `tag-${index}`, Value: 'x' }));
    const { snapshotTags, warnings } = planOne({ source: { snapshots: [snapshot('snap-root', { tags })] } });
    expect(snapshotTags?.get('snap-root')).toHaveLength(50);
    expect(warnings).toEqual([`${where}: AWS allows 50 tags; these of snap-root's are left out: tag-44, tag-45`]);
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

  test('of a source that has none is none; CopyImage is given one, lest it make one that names the encrypted copy', () => {
    for (const image of [{}, { Description: '' }]) {
      expect(descriptionOf({ image })).toBeUndefined();
      expect(descriptionOf({ image, inputs: { route: 'copy' } })).toBe(
        'Copied from ami-golden (111111111111/us-east-1)',
      );
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
    expect(planOne({ inputs: { retain: '2' }, target: { made } }).retained).toEqual({
      keep: [newer],
      remove: [older, oldest],
      held: [],
    });
  });

  test('leaves out what goes anyway: replaced AMIs, and images that were copied in vain', () => {
    const failed = sharedAmi('ami-failed', { State: 'failed', lease: deadLease });
    const inputs = { retain: '1', 'on-existing': 'replace' };
    const existing = [failed, ...made.slice(0, 1)];
    expect(planOne({ inputs, target: { existing, made: [...made, failed] } }).retained).toEqual({
      keep: [],
      remove: [older, oldest],
      held: [],
    });
  });

  test('goes by the asked name too', () => {
    const named = sharedAmi('ami-named', { Name: 'shared-7', Tags: [{ Key: tagKeys.lineage, Value: 'former-#' }] });
    const inputs = { retain: '1' };
    expect(planOne({ inputs, target: { made: [named], name: 'shared-8' } }).retained?.remove).toEqual([named]);
  });
});
