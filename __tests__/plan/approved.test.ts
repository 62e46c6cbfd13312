import { describe, expect, test } from '@jest/globals';
import type { InputName } from '../../src/inputs/reader.ts';
import { approvedOf } from '../../src/plan/approved.ts';
import { tagKeys } from '../../src/tags.ts';
import {
  type Facts,
  golden,
  keyOf,
  planFrom,
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
  unencrypted,
} from './given.ts';

/* What of a plan a person approves: what is got, and who gets access; not how, nor what differs from run to run. */

const principal = `arn:aws:iam::${targetAccount}:role/ami-target`;
const otherKey = keyOf(sourceAccount, 'other');

function approvedFrom(facts: Facts) {
  const { request, plan } = planFrom(facts);
  return approvedOf(request, plan);
}

/** What is approved of a single target. */
function approvedOne({ target, ...facts }: Omit<Facts, 'targets'> & { target?: Parameters<typeof targetIn>[2] }) {
  const [one] = approvedFrom({ ...facts, targets: [targetIn(targetAccount, targetRegion, target)] }).targets;
  if (one === undefined) throw new Error('there is no target');
  return one;
}

describe('the source that is approved', () => {
  test('is the AMI with its snapshots', () => {
    const snapshots = [snapshot('snap-b007'), snapshot('snap-data')];
    expect(approvedFrom({ source: { snapshots } }).source).toEqual({
      amiId: 'ami-601d',
      instanceId: null,
      snapshots: ['snap-b007', 'snap-data'],
    });
  });

  test('is the instance alone, where the AMI is made of one: neither its snapshots nor its tags are known', () => {
    const inputs = { 'ami-id': '', 'instance-id': 'i-0123456789abcdef0' };
    const source = {
      instanceId: 'i-0123456789abcdef0',
      snapshots: [snapshot('snap-b007', { tags: [{ Key: 'disk', Value: 'root' }] })],
    };
    const approved = approvedFrom({ inputs, source, image: { Tags: [{ Key: 'team', Value: 'platform' }] } });
    expect(approved.source).toEqual({ amiId: null, instanceId: 'i-0123456789abcdef0', snapshots: [] });
    expect(approved.targets[0]?.tagTemplates).toEqual([]);
  });
});

describe('a target that is approved', () => {
  const asked = targetIn(targetAccount, targetRegion).request;

  test('is what was asked for it, with templates as they were asked', () => {
    const request = { ...asked, amiName: 'golden-{run-id}', tags: { run: '{run-id}' } };
    const inputs = { 'target-ami-description': 'Of run {run-id}', 'deprecate-after': '9d' };
    const target = {
      request,
      roleArn: principal,
      name: 'golden-4711',
      description: 'Of run 4711',
      tags: { run: '4711' },
    };
    const { publication, ...rest } = approvedOne({ inputs, target });
    expect(rest).toEqual({
      account: targetAccount,
      region: targetRegion,
      optional: false,
      roleArn: principal,
      kmsKeyArn: targetKey,
      route: 'register',
      nameTemplate: 'golden-{run-id}',
      descriptionTemplate: 'Of run {run-id}',
      tagTemplates: [['run', '{run-id}']],
      reuses: null,
      deregisters: [],
      access: [`${principal} copies what is under ${sourceKey}`],
    });
    expect(publication).toMatchObject({ deprecateAfter: { days: 9 }, launchPermissions: [], grantKeyTo: [] });
  });

  test('has null for what was not asked, and the route that the AMI needs', () => {
    expect(approvedOne({ image: { UsageOperation: 'RunInstances:0002' } })).toMatchObject({
      roleArn: null,
      descriptionTemplate: null,
      route: 'copy',
    });
  });

  test('is one of each, in their order', () => {
    const targets = [targetIn(targetAccount, targetRegion), targetIn('222222222222', 'us-west-2')];
    expect(approvedFrom({ targets }).targets.map(({ account, region }) => [account, region])).toEqual([
      [targetAccount, targetRegion],
      ['222222222222', 'us-west-2'],
    ]);
  });

  test("has the tags that come along from the AMI and its snapshots; AWS's own and this action's do not", () => {
    const Tags = [
      { Key: 'team', Value: 'platform' },
      { Key: 'bare' },
      { Key: 'aws:cloudformation:stack-name', Value: 'images' },
      { Key: tagKeys.lineage, Value: 'golden-#' },
    ];
    const source = { snapshots: [snapshot('snap-b007', { tags: [{ Key: 'disk', Value: 'root' }] })] };
    const target = { request: { ...asked, tags: { stage: 'prod' } } };
    expect(approvedOne({ image: { Tags }, source, target }).tagTemplates).toEqual([
      ['stage', 'prod'],
      ['source/team', 'platform'],
      ['source/bare', ''],
      ['snap-b007/disk', 'root'],
    ]);
    const inputs = { 'copy-tags': 'false' };
    expect(approvedOne({ inputs, image: { Tags }, source, target }).tagTemplates).toEqual([['stage', 'prod']]);
    expect(approvedOne({ source: { image: golden() }, target }).tagTemplates).toEqual([['stage', 'prod']]);
  });
});

test('the targets that the run does without are approved by where they are', () => {
  const { request, plan } = planFrom({});
  const leftOut = ['us-west-2', 'eu-west-3'].map((region) => ({
    target: targetIn(targetAccount, region).request,
    problems: [],
  }));
  expect(approvedOf(request, { ...plan, leftOut }).leftOut).toEqual([
    `${targetAccount}/us-west-2`,
    `${targetAccount}/eu-west-3`,
  ]);
});

describe('an AMI that is there', () => {
  const there = sharedAmi('ami-there', { Name: 'golden-there' });
  const own = sharedAmi('ami-own', { run: runUrl });
  const made = ['2026-11-22', '2026-11-21', '2026-11-20'].map((date) =>
    sharedAmi(`ami-${date}`, { Name: `golden-${date}`, CreationDate: `${date}T00:00:00.000Z` }),
  );

  test('is approved by its ID where it is used again; then nobody copies', () => {
    const target = { existing: [there], earlierCopies: [snapshotOf(there)] };
    expect(approvedOne({ target })).toMatchObject({ reuses: 'ami-there', access: [] });
  });

  test('is what was approved as one to be made, where an earlier attempt of the run has made it', () => {
    const target = { existing: [own], earlierCopies: [snapshotOf(own)] };
    expect(approvedOne({ attempt: 2, target })).toEqual(approvedOne({}));
  });

  test('is approved to go where it is replaced, or where retain leaves no room for it', () => {
    expect(approvedOne({ inputs: { 'on-existing': 'replace' }, target: { existing: [there] } }).deregisters).toEqual([
      'ami-there',
    ]);
    expect(approvedOne({ inputs: { retain: '2' }, target: { made, lineage: 'golden' } }).deregisters).toEqual([
      'ami-2026-11-21',
      'ami-2026-11-20',
    ]);
  });
});

describe('the access that is approved', () => {
  test.each<[string, Partial<Record<InputName, string>>, string[]]>([
    ['by a grant, the role copies', {}, [`${principal} copies what is under ${sourceKey}`]],
    [
      'by a policy, the account does',
      { 'source-key-access': 'policy' },
      [`account ${targetAccount} copies what is under ${sourceKey}`],
    ],
    ['that exists is not given', { 'source-key-access': 'existing' }, []],
  ])('%s', (_, inputs, access) => {
    expect(approvedOne({ inputs }).access).toEqual(access);
  });

  test('is to the keys of the snapshots that are shared as they are, to source-kms-key, and to the hubs’', () => {
    const shareable = ['snap-b', 'snap-c'].map((id) => snapshot(id, { kmsKeyArn: otherKey }));
    const managed = snapshot('snap-d', { kmsKeyArn: keyOf(sourceAccount, 'managed'), obstacle: 'under aws/ebs' });
    const source = { snapshots: [unencrypted('snap-a'), ...shareable, managed], kmsKeyArn: sourceKey };
    const inputs = { topology: 'regional-hub', 'hub-kms-key': 'alias/hub' };
    const keys = ['alias/hub', otherKey, sourceKey].toSorted().join(', ');
    expect(approvedOne({ inputs, source }).access).toEqual([`${principal} copies what is under ${keys}`]);
    const without = { snapshots: shareable, kmsKeyArn: undefined };
    expect(approvedOne({ inputs: { 'source-kms-key': '' }, source: without }).access).toEqual([
      `${principal} copies what is under ${otherKey}`,
    ]);
  });

  test('is none to a key within the source account', () => {
    expect(approvedFrom({ targets: [targetIn(sourceAccount, targetRegion)] }).targets[0]?.access).toEqual([]);
  });

  test('for good is whose the AMI and its key are to use, as it was asked', () => {
    const inputs = {
      'source-key-access': 'existing',
      'grant-key-to': 'arn:aws:iam::{account}:role/scaling',
      'launch-permissions': [
        '222222222222',
        'arn:aws:organizations::333333333333:organization/o-abcdefghij',
        'arn:aws:organizations::333333333333:ou/o-abcdefghij/ou-abcd-11111111',
      ].join('\n'),
    };
    const target = { grantKeyTo: [`arn:aws:iam::${targetAccount}:role/scaling`] };
    expect(approvedOne({ inputs, target }).access).toEqual([
      `arn:aws:iam::{account}:role/scaling uses ${targetKey}`,
      '222222222222 launches the AMI',
      'arn:aws:organizations::333333333333:organization/o-abcdefghij launches the AMI',
      'arn:aws:organizations::333333333333:ou/o-abcdefghij/ou-abcd-11111111 launches the AMI',
    ]);
  });
});
