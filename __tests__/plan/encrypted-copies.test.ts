import { describe, expect, test } from '@jest/globals';
import { encryptedCopyName, isEncryptedCopy } from '../../src/encrypted-copy.ts';
import {
  keyOf,
  planFrom,
  planOne,
  sharedAmi,
  snapshot,
  snapshotOf,
  sourceAccount,
  sourceKey,
  sourceRegion,
  targetIn,
  unencrypted,
} from './given.ts';

const otherKey = keyOf(sourceAccount, 'other');
const root = unencrypted('snap-root');
const data = snapshot('snap-data', { kmsKeyArn: otherKey });

/** Two volumes, one of which must be encrypted first. */
const mixed = { snapshots: [root, data] };

describe('the encrypted copy in the source account', () => {
  test('is not made where every snapshot can be shared; then the targets use the keys of the snapshots', () => {
    const snapshots = [snapshot('snap-root'), data, snapshot('snap-more')];
    const { plan, from, sourceKeys } = planOne({ source: { snapshots } });
    expect(plan.encryptedCopies).toEqual([]);
    expect({ from, sourceKeys }).toEqual({ from: undefined, sourceKeys: [sourceKey, otherKey] });
  });

  test('is made of the whole AMI where no snapshot can be shared', () => {
    const { plan, from, sourceKeys } = planOne({ source: { snapshots: [root, unencrypted('snap-data')] } });
    expect(plan.encryptedCopies).toEqual([
      {
        place: plan.source.place,
        name: encryptedCopyName('ami-golden', sourceKey),
        kmsKeyArn: sourceKey,
        only: undefined,
      },
    ]);
    expect(from).toBe(plan.encryptedCopies[0]);
    expect(sourceKeys).toEqual([sourceKey]);
  });

  test('is made of those snapshots alone that need it, where the targets are registered from snapshots', () => {
    const { plan, from, sourceKeys } = planOne({ source: mixed });
    expect(plan.encryptedCopies.map(({ only }) => only)).toEqual([[root]]);
    expect(from?.only).toEqual([root]);
    expect(sourceKeys).toEqual([sourceKey, otherKey]);
  });

  test('is made of the whole AMI where a target is made by CopyImage', () => {
    const { plan, sourceKeys } = planOne({ inputs: { route: 'copy' }, source: mixed });
    expect(plan.encryptedCopies.map(({ only }) => only)).toEqual([undefined]);
    expect(sourceKeys).toEqual([sourceKey]);
  });

  test('is not made where every AMI is there already', () => {
    const ami = sharedAmi('ami-there');
    const { plan, reuse } = planOne({
      source: { snapshots: [root] },
      target: { existing: [ami], earlierCopies: [snapshotOf(ami)] },
    });
    expect(reuse).toBe(ami);
    expect(plan.encryptedCopies).toEqual([]);
  });

  test('takes source-kms-key: each snapshot that needs it is named', () => {
    const aws = snapshot('snap-data', { kmsKeyArn: otherKey, obstacle: 'under the AWS managed key aws/ebs' });
    const { problems, plan, sourceKeys } = planOne({
      inputs: { 'source-kms-key': '' },
      source: { snapshots: [root, aws], kmsKeyArn: undefined },
    });
    expect(problems).toEqual([
      {
        where: `${sourceAccount}/${sourceRegion}`,
        what: "snap-root is under no key, snap-data is under the AWS managed key aws/ebs: so it can't be shared with another account",
        remedy:
          'give source-kms-key, a customer key in the source account and region; the action copies the AMI under it first',
      },
    ]);
    expect({ copies: plan.encryptedCopies, sourceKeys }).toEqual({ copies: [], sourceKeys: [] });
  });

  test('a source-kms-key that was given and is none is told once, by who looked it up', () => {
    const { problems, plan } = planOne({ source: { snapshots: [root], kmsKeyArn: undefined } });
    expect(problems).toEqual([]);
    expect(plan.encryptedCopies).toEqual([]);
  });
});

describe('hubs', () => {
  const [ours, theirs] = ['777777777777', '888888888888'];
  const hubKey = keyOf(sourceAccount, 'eu-west-1');

  test('a region with several targets is served by an encrypted copy there, others by the source region', () => {
    const targets = [targetIn(ours, 'eu-west-1'), targetIn(theirs, 'eu-west-1'), targetIn(ours, 'us-west-2')];
    const { plan } = planFrom({ source: { snapshots: [root] }, targets, hubs: ['eu-west-1', 'us-west-2'] });
    expect(
      plan.encryptedCopies.map(({ place, name, kmsKeyArn, only }) => [place.region, name, kmsKeyArn, only]),
    ).toEqual([
      ['eu-west-1', encryptedCopyName('ami-golden', hubKey), hubKey, undefined],
      ['us-east-1', encryptedCopyName('ami-golden', sourceKey), sourceKey, undefined],
    ]);
    expect(plan.targets.map(({ from, sourceKeys }) => [from?.place.region, sourceKeys])).toEqual([
      ['eu-west-1', [hubKey]],
      ['eu-west-1', [hubKey]],
      ['us-east-1', [sourceKey]],
    ]);
  });

  test('where hubs serve every target, nothing is encrypted in the source region', () => {
    const targets = [targetIn(ours, 'eu-west-1'), targetIn(theirs, 'eu-west-1')];
    const { plan } = planFrom({ source: { snapshots: [root] }, targets, hubs: ['eu-west-1'] });
    expect(plan.encryptedCopies.map(({ place }) => place.region)).toEqual(['eu-west-1']);
  });

  test('a hub for one target alone would save nothing: those that are made already count no more', () => {
    const there = sharedAmi('ami-there');
    const key = keyOf(theirs, 'eu-west-1');
    const targets = [
      targetIn(ours, 'eu-west-1'),
      targetIn(theirs, 'eu-west-1', { existing: [there], earlierCopies: [snapshotOf(there, key)] }),
      targetIn(sourceAccount, 'eu-west-1'),
    ];
    const { plan } = planFrom({ targets, hubs: ['eu-west-1', 'ap-south-1'] });
    expect(plan.encryptedCopies).toEqual([]);
    expect(plan.targets.map(({ from }) => from)).toEqual([undefined, undefined, undefined]);
  });
});

test('the encrypted copy has one name for one AMI under one key, by which it is told from AMIs for use', () => {
  const name = encryptedCopyName('ami-golden', sourceKey);
  expect(name).toMatch(/^share-encrypted-ami\/ami-golden\/[0-9a-f]{12}$/);
  expect(name).not.toBe(encryptedCopyName('ami-golden', otherKey));
  expect(isEncryptedCopy({ Name: name })).toBe(true);
  expect(isEncryptedCopy({ Name: `my ${name}` })).toBe(false);
  expect(isEncryptedCopy({})).toBe(false);
});
