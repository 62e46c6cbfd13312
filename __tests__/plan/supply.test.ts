import { describe, expect, test } from '@jest/globals';
import { encryptedCopyName } from '../../src/encrypted-copy.ts';
import { encryptedDescription } from '../../src/plan/evidence.ts';
import type { Kind } from '../../src/plan/operation.ts';
import { tagKeys } from '../../src/tags.ts';
import {
  type Facts,
  golden,
  keyOf,
  liveLease,
  planFrom,
  snapshot,
  sourceAccount,
  sourceKey,
  sourceRegion,
  targetAccount,
  targetIn,
  unencrypted,
  volume,
} from './given.ts';

/* What is done in the source account, operation by operation: what each is told of, and what it is given. */

const source = { account: sourceAccount, region: sourceRegion };
const target = { account: targetAccount, region: 'eu-west-1' };
const role = `arn:aws:iam::${targetAccount}:role/ami-target`;
const otherKey = keyOf(sourceAccount, 'us-west-1');
const root = unencrypted('snap-b007');
const data = snapshot('snap-da7a', { kmsKeyArn: otherKey });
const name = encryptedCopyName('ami-601d', sourceKey);

/** The operations of a kind, without the words that say why, which each has. */
function planned(kind: Kind, facts: Facts) {
  const { operations } = planFrom(facts).plan;
  return operations
    .filter((one) => one.kind === kind && one.island === undefined)
    .map(({ why, afterEnd: _, ...rest }) => {
      expect(why).not.toBe('');
      return rest;
    });
}

const after = ['lease ami-601d'];
const common = { island: undefined, kmsKeyArn: undefined };
const under = (key: string) => ({ key, kmsKeyArn: key, island: undefined });

test('a lease tells in what other regions there will be encrypted copies', () => {
  const targets = ['777777777777', '888888888888'].flatMap((account) =>
    ['eu-west-1', 'us-west-2', sourceRegion].map((region) => targetIn(account, region)),
  );
  const hubs = ['eu-west-1', 'us-west-2', sourceRegion];
  expect(planned('lease', { targets, hubs, source: { snapshots: [root] } })).toEqual([
    {
      ...{ ...common, kind: 'lease', id: 'lease ami-601d', place: source, of: ['ami-601d'], after: [] },
      ...{ imageId: 'ami-601d', regions: ['eu-west-1', 'us-west-2'] },
    },
  ]);
});

describe('encrypting', () => {
  const base = { ...under(sourceKey), place: source };

  test('of the whole AMI is one copy, whose snapshots are awaited one by one, then the image', () => {
    const facts = { source: { snapshots: [root, data] }, inputs: { route: 'copy' } };
    const begun = 'encrypt ami-601d in us-east-1';
    const awaited = { ...base, kind: 'await', after: [begun], copy: { madeBy: begun }, remake: { name, tags: {} } };
    expect(planned('encrypt', facts)).toEqual([
      { ...base, kind: 'encrypt', id: begun, of: ['ami-601d'], after, name, tags: {} },
    ]);
    expect(planned('await', facts)).toEqual([
      ...['snap-b007', 'snap-da7a'].map((snapshotId) => ({
        ...{ ...awaited, snapshotId, id: `encrypted copy of ${snapshotId} in us-east-1` },
        of: [`the encrypted copy of ${snapshotId}`],
      })),
      { ...awaited, id: 'encrypted copy in us-east-1', of: [name] },
    ]);
  });

  test('of an AMI that is there waits for that one alone', () => {
    const kept = { ImageId: 'ami-kept', Name: name, State: 'available' as const, SourceImageId: 'ami-601d' };
    const image = { ...kept, BlockDeviceMappings: [volume('/dev/xvda', 'snap-kept')] };
    const facts = { source: { snapshots: [root] }, intermediates: { [sourceRegion]: { images: [image] } } };
    const awaited = { ...base, kind: 'await', after, copy: { id: 'ami-kept' }, remake: { name, tags: {} } };
    expect(planned('encrypt', facts)).toEqual([]);
    expect(planned('await', facts)).toEqual([
      { ...awaited, id: 'encrypted copy of snap-b007 in us-east-1', of: ['snap-kept'], snapshotId: 'snap-b007' },
      { ...awaited, id: 'encrypted copy in us-east-1', of: ['ami-kept'] },
    ]);
    // What is shared is told by its own ID.
    const shared = planned('share', { ...facts, inputs: { route: 'copy' } });
    expect(shared.map(({ of }) => of)).toEqual([['snap-kept'], ['ami-kept']]);
    const whyWaits = (one: Facts) =>
      planFrom(one).plan.operations.find(({ id }) => id === 'encrypted copy in us-east-1');
    expect(whyWaits(facts)?.why).toMatch('is there');
    expect(whyWaits({ source: facts.source })?.why).not.toMatch('is there');
  });

  test('of single snapshots is a copy each, but for those that are there', () => {
    const more = unencrypted('snap-more');
    const Tags = [
      { Key: tagKeys.sourceSnapshot, Value: 'snap-b007' },
      { Key: tagKeys.intermediate, Value: liveLease },
      { Key: tagKeys.kmsKey, Value: base.kmsKeyArn },
    ];
    const Description = encryptedDescription('snap-b007', 'ami-601d');
    const kept = { SnapshotId: 'snap-kept', State: 'pending' as const, Tags, Description };
    const intermediates = { [sourceRegion]: { snapshots: [kept] } };
    const facts = { source: { snapshots: [root, more, data] }, intermediates };
    expect(planned('encrypt', facts)).toEqual([
      {
        ...{ ...base, kind: 'encrypt', id: 'encrypted copy of snap-more in us-east-1', of: ['snap-more'], after },
        snapshot: more,
        tags: {},
      },
    ]);
    expect(planned('await', facts)).toEqual([
      {
        ...{ ...base, kind: 'await', id: 'encrypted copy of snap-b007 in us-east-1', of: ['snap-kept'], after },
        ...{ copy: { id: 'snap-kept' }, snapshotId: 'snap-b007', remake: { name, tags: {}, snapshot: root } },
      },
    ]);
  });
});

describe('sharing', () => {
  const shared = { ...common, kind: 'share', type: 'snapshot', place: source, accounts: [targetAccount] };
  const madeBy = (what: string) => ({ resource: { madeBy: what }, after: [what] });

  test('of what is encrypted waits for it; of what can be shared as it is, for the lease', () => {
    const targets = [
      targetIn(targetAccount, 'eu-west-1'),
      targetIn(targetAccount, 'us-west-2'),
      targetIn('222222222222', 'eu-west-1'),
    ];
    const accounts = [targetAccount, '222222222222'];
    const [share] = planFrom({ targets }).plan.operations.filter(({ kind }) => kind === 'share');
    expect(share?.why).toMatch(accounts.join(', '));
    expect(planned('share', { targets, source: { snapshots: [root, unencrypted('snap-more'), data] } })).toEqual([
      ...['snap-b007', 'snap-more'].map((id) => ({
        ...{ ...shared, accounts, id: `share ${id} in us-east-1`, of: [`the encrypted copy of ${id}`] },
        ...madeBy(`encrypted copy of ${id} in us-east-1`),
      })),
      {
        ...{ ...shared, accounts, id: 'share snap-da7a in us-east-1', of: ['snap-da7a'], after },
        resource: { id: 'snap-da7a' },
      },
    ]);
  });

  test('begins when whoever is given the use of a key has it, or cannot have it', () => {
    const targets = [targetIn(targetAccount, 'eu-west-1'), targetIn('222222222222', 'eu-west-1')];
    const { operations } = planFrom({ targets }).plan;
    const allowing = operations.filter(({ kind }) => kind === 'allow').map(({ id }) => id);
    expect(allowing).toHaveLength(2);
    const shares = operations.filter(({ kind }) => kind === 'share');
    expect(shares.map(({ afterEnd }) => afterEnd)).toEqual(shares.map(() => allowing));
  });

  test.each<[string, Facts, object]>([
    ['as it is', { source: { snapshots: [data] } }, { of: ['ami-601d'], resource: { id: 'ami-601d' }, after }],
    [
      'encrypted',
      { source: { snapshots: [root] } },
      { of: ['the encrypted copy of ami-601d'], ...madeBy('encrypted copy in us-east-1') },
    ],
  ])('by route copy is of the image too, %s', (_, facts, image) => {
    expect(planned('share', { ...facts, inputs: { route: 'copy' } }).at(-1)).toEqual({
      ...{ ...shared, type: 'image', id: 'share ami-601d in us-east-1', ...image },
    });
  });
});

describe('access to a key', () => {
  const facts = { source: { snapshots: [data] } };
  const access = {
    ...under(otherKey),
    kind: 'access',
    id: `access ${role} ${otherKey}`,
    place: target,
    target,
    of: [role],
  };
  const allow = { ...under(otherKey), kind: 'allow', place: { ...source, region: 'us-west-1' }, after };

  test('is given by a grant in the region of the key, and waited for in the target', () => {
    const id = `allow ${role} ${otherKey}`;
    expect(planned('allow', facts)).toEqual([{ ...allow, id, of: [role], by: 'grant', principalArn: role }]);
    expect(planned('access', facts)).toEqual([{ ...access, after: [id], allowedBy: id }]);
  });

  test('is given by a statement for the accounts', () => {
    const inputs = { 'source-key-access': 'policy' };
    const id = `allow accounts ${otherKey}`;
    const accounts = [targetAccount];
    expect(planned('allow', { ...facts, inputs })).toEqual([{ ...allow, id, of: accounts, by: 'policy', accounts }]);
    expect(planned('access', { ...facts, inputs })).toEqual([{ ...access, after: [id], allowedBy: id }]);
  });

  test('that exists is only waited for', () => {
    const inputs = { 'source-key-access': 'existing' };
    expect(planned('allow', { ...facts, inputs })).toEqual([]);
    expect(planned('access', { ...facts, inputs })).toStrictEqual([{ ...access, after: [], allowedBy: undefined }]);
  });
});

describe('an AMI of an instance', () => {
  const image = golden({ ImageId: 'i-1' });
  const id = 'create golden-2026-11-23';
  const factsOf = (earlier?: 'pending' | 'failed', noReboot = 'false'): Facts => ({
    inputs: { 'ami-id': '', 'instance-id': 'i-0123456789abcdef0', 'no-reboot': noReboot },
    source: {
      ...{ instanceId: 'i-1', imageId: 'i-1', image },
      earlierTry: earlier && golden({ ImageId: 'ami-try', State: earlier }),
    },
  });
  const created = {
    ...common,
    kind: 'create',
    id,
    place: source,
    of: ['i-1'],
    instanceId: 'i-1',
    name: image.Name,
    tags: {},
  };

  test.each([
    ['false', false],
    ['true', true],
  ])('is made first, with no-reboot: %s', (noReboot, told) => {
    expect(planned('create', factsOf(undefined, noReboot))).toEqual([{ ...created, after: [], noReboot: told }]);
    expect(planned('deregister', factsOf())).toEqual([]);
    expect(planned('lease', factsOf())).toMatchObject([{ after: [id] }]);
  });

  test('that an earlier try is making is waited for instead', () => {
    const facts = factsOf('pending');
    expect(planned('create', facts)).toEqual([]);
    expect(planned('await', facts)).toEqual([
      { ...common, kind: 'await', id, place: source, of: ['ami-try'], after: [], image: facts.source?.earlierTry },
    ]);
    expect(planned('lease', facts)).toMatchObject([{ after: [id] }]);
  });

  test('that an earlier try made in vain gives its name up before', () => {
    const facts = factsOf('failed');
    const vain = `deregister ami-try in ${sourceAccount}/${sourceRegion}`;
    expect(planned('deregister', facts)).toMatchObject([
      { id: vain, place: source, after: [], reason: 'vain', image: facts.source?.earlierTry },
    ]);
    expect(planned('create', facts)).toEqual([{ ...created, after: [vain], noReboot: false }]);
  });
});
