import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import { encryptedCopyName, isEncryptedCopy } from '../../src/encrypted-copy.ts';
import { isMaking, type Plan } from '../../src/plan/decided.ts';
import { estimate } from '../../src/plan/estimate.ts';
import { encryptedDescription } from '../../src/plan/evidence.ts';
import { tagKeys } from '../../src/tags.ts';
import {
  keyOf,
  kindsOf,
  liveLease,
  now,
  ofKind,
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
  volume,
} from './given.ts';

const otherKey = keyOf(sourceAccount, 'other');
const root = unencrypted('snap-b007');
const data = snapshot('snap-da7a', { kmsKeyArn: otherKey });

/** Two volumes, one of which must be encrypted first. */
const mixed = { snapshots: [root, data] };

describe('the encrypted copy in the source account', () => {
  test('is not made where every snapshot can be shared; then the targets use the keys of the snapshots', () => {
    const snapshots = [snapshot('snap-b007'), data, snapshot('snap-add')];
    const { plan, from, sourceKeys } = planOne({ source: { snapshots } });
    expect(plan.encryptedCopies).toEqual([]);
    expect({ from, sourceKeys }).toEqual({ from: undefined, sourceKeys: [sourceKey, otherKey] });
  });

  test('is made of the whole AMI where no snapshot can be shared', () => {
    const { plan, from, sourceKeys } = planOne({ source: { snapshots: [root, unencrypted('snap-da7a')] } });
    expect(plan.encryptedCopies).toEqual([
      {
        place: plan.source.place,
        name: encryptedCopyName('ami-601d', sourceKey),
        kmsKeyArn: sourceKey,
        tags: {},
        only: undefined,
        there: undefined,
        snapshotsThere: new Map(),
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
    expect(kindsOf(plan)).toEqual(['reuse']);
  });

  test('takes source-kms-key: each snapshot that needs it is named', () => {
    const aws = snapshot('snap-da7a', { kmsKeyArn: otherKey, obstacle: 'under the AWS managed key aws/ebs' });
    const { problems, plan, sourceKeys } = planOne({
      inputs: { 'source-kms-key': '' },
      source: { snapshots: [root, aws], kmsKeyArn: undefined },
    });
    expect(problems).toEqual([
      {
        where: `${sourceAccount}/${sourceRegion}`,
        what: "snap-b007 is not encrypted, snap-da7a is under the AWS managed key aws/ebs: so it can't be shared encrypted with another account",
        remedy:
          'give source-kms-key, a customer managed key in the source account and region; the action copies the AMI under it first',
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
      ['eu-west-1', encryptedCopyName('ami-601d', hubKey), hubKey, undefined],
      ['us-east-1', encryptedCopyName('ami-601d', sourceKey), sourceKey, undefined],
    ]);
    expect(plan.targets.filter(isMaking).map(({ from, sourceKeys }) => [from?.place.region, sourceKeys])).toEqual([
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
    expect(plan.targets.filter(isMaking).map(({ from }) => from)).toEqual([undefined, undefined]);
  });
});

describe('an encrypted copy that is kept, or that another run makes', () => {
  const name = encryptedCopyName('ami-601d', sourceKey);
  const kept = (over: Image = {}): Image => ({
    ...{ ImageId: 'ami-kept', Name: name, State: 'available', SourceImageId: 'ami-601d' },
    ...over,
  });
  const whole = { snapshots: [root, unencrypted('snap-da7a')] };
  /** A copy of one snapshot; `ago` hours old. */
  const copyOf = (
    id: string,
    ago: number,
    over: Snapshot & { of?: string; mark?: string; asked?: string } = {},
  ): Snapshot => {
    const { of = 'snap-b007', mark = liveLease, asked = sourceKey, ...rest } = over;
    const Tags = [
      { Key: tagKeys.sourceAmi, Value: 'ami-601d' },
      { Key: tagKeys.sourceSnapshot, Value: of },
      { Key: tagKeys.kmsKey, Value: asked },
      ...(mark === '' ? [] : [{ Key: tagKeys.intermediate, Value: mark }]),
    ];
    const StartTime = new Date(now - ago * 3_600_000);
    const Description = encryptedDescription(of, 'ami-601d');
    const made = { VolumeId: 'vol-ffffffff', Description, KmsKeyId: sourceKey, StartTime };
    return { SnapshotId: id, State: 'completed', ...made, Tags, ...rest };
  };
  const awaited = (plan: Plan) => ofKind(plan, 'await').filter((one) => 'copy' in one);
  const minutesOf = ({ request, plan }: ReturnType<typeof planFrom>) => estimate(request, plan).minutes;

  test.each(['available', 'pending', 'transient'] as const)('is waited for, and not made again: %s', (State) => {
    const intermediates = { [sourceRegion]: { images: [kept({ State })] } };
    const planned = planFrom({ source: whole, intermediates });
    const { plan } = planned;
    expect(plan.encryptedCopies).toMatchObject([{ name, there: 'ami-kept' }]);
    expect(ofKind(plan, 'encrypt')).toEqual([]);
    // Its snapshots one by one, and then the image.
    expect(awaited(plan).map(({ copy, snapshotId }) => [copy, snapshotId])).toEqual([
      [{ id: 'ami-kept' }, 'snap-b007'],
      [{ id: 'ami-kept' }, 'snap-da7a'],
      [{ id: 'ami-kept' }, undefined],
    ]);
    const others = planFrom({
      source: whole,
      intermediates: { [sourceRegion]: { images: [kept({ State: 'failed' })] } },
    });
    expect(estimate(planned.request, plan).copies).toBe(estimate(others.request, others.plan).copies - 2);
  });

  test('has its snapshots found by their devices, as far as it names them yet', () => {
    const BlockDeviceMappings = [volume('/dev/xvda', 'snap-kept', true)];
    const intermediates = { [sourceRegion]: { images: [kept({ State: 'pending', BlockDeviceMappings })] } };
    const { plan } = planFrom({ source: whole, intermediates });
    expect(plan.encryptedCopies[0]?.snapshotsThere).toEqual(new Map([['snap-b007', 'snap-kept']]));
    expect(awaited(plan).map(({ of }) => of)).toEqual([
      ['snap-kept'],
      ['the encrypted copy of snap-da7a'],
      ['ami-kept'],
    ]);
  });

  test.each([
    ['has failed', kept({ State: 'failed' })],
    ['is under another key', kept({ Name: encryptedCopyName('ami-601d', otherKey) })],
    ['is of another AMI', kept({ Name: encryptedCopyName('ami-other', sourceKey) })],
    ['was copied from another AMI, whatever its name says', kept({ SourceImageId: 'ami-other' })],
    ['was copied from none, whatever its name says', kept({ SourceImageId: undefined })],
  ])('is made again if it %s', (_, image) => {
    const { plan } = planFrom({ source: whole, intermediates: { [sourceRegion]: { images: [image] } } });
    expect(plan.encryptedCopies).toMatchObject([{ there: undefined }]);
    const [encrypt, ...more] = ofKind(plan, 'encrypt');
    expect([encrypt, more]).toEqual([expect.objectContaining({ name, key: sourceKey, snapshot: undefined }), []]);
    for (const { copy, after } of awaited(plan))
      expect([copy, after]).toEqual([{ madeBy: encrypt?.id }, [encrypt?.id]]);
  });

  test('is not priced, neither in GiB nor in time', () => {
    const inputs = { 'copy-duration-minutes': '60' };
    const there = { [sourceRegion]: { images: [kept()] } };
    const [known, made, asIs] = [
      planFrom({ inputs, source: whole, intermediates: there }),
      planFrom({ inputs, source: whole }),
      planFrom({ inputs, source: { snapshots: [snapshot('snap-b007'), snapshot('snap-da7a')] } }),
    ];
    expect(estimate(known.request, known.plan)).toEqual(estimate(asIs.request, asIs.plan));
    expect(minutesOf(made).most).toBeGreaterThan(minutesOf(known).most);
  });

  test('is one though its name has a suffix, since something else had the name', () => {
    const images = [kept({ Name: `${name}-2` })];
    const { plan } = planFrom({ source: whole, intermediates: { [sourceRegion]: { images } } });
    expect(plan.encryptedCopies).toMatchObject([{ there: 'ami-kept' }]);
  });

  test('in a hub is one of that region', () => {
    const hubKey = keyOf(sourceAccount, 'eu-west-1');
    const targets = ['777777777777', '888888888888'].map((account) => targetIn(account, 'eu-west-1'));
    const image = kept({ Name: encryptedCopyName('ami-601d', hubKey) });
    const planned = (region: string) =>
      planFrom({ targets, hubs: ['eu-west-1'], intermediates: { [region]: { images: [image] } } }).plan;
    expect(planned('eu-west-1').encryptedCopies).toMatchObject([{ there: 'ami-kept' }]);
    expect(planned(sourceRegion).encryptedCopies).toMatchObject([{ there: undefined }]);
  });

  test('of single snapshots is waited for by itself; the others are made', () => {
    const more = unencrypted('snap-add');
    const intermediates = { [sourceRegion]: { snapshots: [copyOf('snap-kept', 1)] } };
    const { plan, request } = planFrom({ source: { snapshots: [root, more, data] }, intermediates });
    expect(awaited(plan).map(({ copy, snapshotId }) => [copy, snapshotId])).toEqual([
      [{ id: 'snap-kept' }, 'snap-b007'],
    ]);
    expect(ofKind(plan, 'encrypt').map(({ snapshot }) => snapshot)).toEqual([more]);
    // Three copies in the target, and one encrypted copy.
    expect(estimate(request, plan).copies).toBe(4);
  });

  test('of all single snapshots is not priced, neither in GiB nor in time', () => {
    const intermediates = { [sourceRegion]: { snapshots: [copyOf('snap-kept', 1)] } };
    const known = planFrom({ source: mixed, intermediates });
    const asIs = planFrom({ source: { snapshots: [snapshot('snap-b007'), data] } });
    expect(kindsOf(known.plan)).not.toContain('encrypt');
    expect(estimate(known.request, known.plan)).toEqual(estimate(asIs.request, asIs.plan));
  });

  test('of several copies of one snapshot the oldest is taken, by all runs alike', () => {
    const taken = (...snapshots: Snapshot[]) =>
      planFrom({ source: mixed, intermediates: { [sourceRegion]: { snapshots } } }).plan.encryptedCopies[0]
        ?.snapshotsThere;
    const [older, younger] = [copyOf('snap-older', 2), copyOf('snap-younger', 1, { State: 'pending' })];
    const twin = copyOf('snap-a-twin', 2);
    for (const all of [
      [older, younger],
      [younger, older],
    ])
      expect(taken(...all)).toEqual(new Map([['snap-b007', 'snap-older']]));
    expect([taken(older, twin), taken(twin, older)]).toEqual(Array(2).fill(new Map([['snap-b007', 'snap-a-twin']])));
    // AWS always tells when a snapshot was begun; should it not, nothing breaks.
    const { StartTime: _, ...timeless } = copyOf('snap-timeless', 0);
    for (const all of [
      [timeless, older],
      [older, timeless],
    ])
      expect(taken(...all)).toEqual(new Map([['snap-b007', 'snap-timeless']]));
  });

  test.each([
    ['failed', copyOf('snap-1', 1, { State: 'error' })],
    ['completed under another key', copyOf('snap-1', 1, { KmsKeyId: otherKey })],
    ['being made under another key', copyOf('snap-1', 1, { State: 'pending', asked: otherKey })],
    ['of another snapshot', copyOf('snap-1', 1, { of: 'snap-0dd' })],
    [
      'of another snapshot than its tag says',
      copyOf('snap-1', 1, { Description: encryptedDescription('snap-0dd', 'ami-601d') }),
    ],
    [
      'of another snapshot than its description says',
      { ...copyOf('snap-1', 1, { of: 'snap-0dd', Description: encryptedDescription('snap-b007', 'ami-601d') }) },
    ],
    ['of another AMI', copyOf('snap-1', 1, { Description: encryptedDescription('snap-b007', 'ami-0dd') })],
    ['not made by this action', copyOf('snap-1', 1, { Description: 'a backup' })],
    ['not made on the way', copyOf('snap-1', 1, { mark: '' })],
  ])('of a single snapshot is made again if it is %s', (_, copy) => {
    const { plan } = planFrom({ source: mixed, intermediates: { [sourceRegion]: { snapshots: [copy] } } });
    expect(ofKind(plan, 'encrypt').map(({ snapshot }) => snapshot)).toEqual([root]);
    expect(awaited(plan)).toEqual([]);
  });

  test('of a single snapshot tells its key only when it is completed', () => {
    const { KmsKeyId: _, ...pending } = copyOf('snap-1', 1, { State: 'pending' });
    const { plan } = planFrom({ source: mixed, intermediates: { [sourceRegion]: { snapshots: [pending] } } });
    expect(plan.encryptedCopies[0]?.snapshotsThere).toEqual(new Map([['snap-b007', 'snap-1']]));
  });
});

test('the encrypted copy has one name for one AMI under one key, by which it is told from AMIs for use', () => {
  const name = encryptedCopyName('ami-601d', sourceKey);
  expect(name).toMatch(/^share-encrypted-ami\/ami-601d\/[0-9a-f]{12}$/);
  expect(name).not.toBe(encryptedCopyName('ami-601d', otherKey));
  expect(isEncryptedCopy({ Name: name })).toBe(true);
  expect(isEncryptedCopy({ Name: `my ${name}` })).toBe(false);
  expect(isEncryptedCopy({})).toBe(false);
});
