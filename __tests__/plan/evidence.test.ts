import type { Image, Snapshot, Tag } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encryptedCopyName } from '../../src/encrypted-copy.ts';
import {
  copyDescription,
  encryptedDescription,
  isOfEncryptedCopy,
  isSince,
  type Known,
  madeAt,
  mayBePartOf,
  originDifferences,
  originOf,
  tieOfEncryptedCopy,
  tieOfEncryptedSnapshot,
  tieOfImage,
  tieOfSnapshot,
  tieToLease,
  tieToLineage,
} from '../../src/plan/evidence.ts';
import { endedLease, tagKeys } from '../../src/tags.ts';

/* IDs: the source AMI and its snapshot, an encrypted copy of it, another AMI and its snapshot, and what is judged. */
const [ami, snap] = ['ami-0a', 'snap-0a'];
const [encryptedAmi, encryptedSnap] = ['ami-0e', 'snap-0e'];
const [otherAmi, otherSnap] = ['ami-0f', 'snap-0f'];
const [madeAmi, madeSnap] = ['ami-01', 'snap-01'];

const source = { account: '111111111111', region: 'us-east-1' };
const keyArn = `arn:aws:kms:us-east-1:${source.account}:key/golden`;
const description = {
  copy: copyDescription(snap, ami, source),
  encrypted: encryptedDescription(snap, ami),
  image: byCopyImage(ami, snap),
};

/** CopyImage's own words, as they were recorded. */
function byCopyImage(imageId: string, snapshotId: string): string {
  return `Copied for DestinationAmi ${madeAmi} from SourceAmi ${imageId} for SourceSnapshot ${snapshotId}. Task created on 1,764,061,200,000.`;
}

function tags(values: Partial<Record<keyof typeof tagKeys, string>>): Tag[] {
  return Object.entries(values).map(([name, Value]) => ({ Key: tagKeys[name as keyof typeof tagKeys], Value }));
}

const known = (parts: readonly Snapshot[] = [], parents: Readonly<Record<string, string>> = {}): Known => ({
  snapshots: new Map(parts.map((one) => [one.SnapshotId ?? '', one])),
  parents: new Map(Object.entries(parents)),
});

const isProven = { is: 'proven' };
const foreign = (why: string) => ({ is: 'foreign', why });

test('what the action writes into the descriptions of snapshots', () => {
  expect(description).toMatchObject({
    copy: 'Copied from snap-0a of ami-0a (111111111111/us-east-1)',
    encrypted: 'Temporary encrypted copy of snap-0a of ami-0a',
  });
});

describe('where a snapshot comes from, as AWS keeps it', () => {
  test.each(['copy', 'encrypted', 'image'] as const)('is told by the description: %s', (by) => {
    const origin = { by, snapshot: snap, image: ami };
    expect(originOf({ Description: description[by], VolumeId: 'vol-ffffffff' })).toEqual(origin);
    // Of no volume is a copy that tells none.
    expect(originOf({ Description: description[by] })).toEqual(origin);
  });

  test.each(['copy', 'encrypted', 'image'] as const)('is not believed of a snapshot of a volume: %s', (by) => {
    for (const VolumeId of ['vol-0123456789abcdef0', '', 'vol-fffffffff'])
      expect(originOf({ Description: description[by], VolumeId })).toBeUndefined();
  });

  test.each(['copy', 'encrypted', 'image'] as const)('is told by the whole of it: %s', (by) => {
    const text = description[by];
    const wrong = [`x${text}`, `x ${text}`, text.toLowerCase(), text.replace(snap, 'vol-1'), text.replace(ami, 'i-1')];
    const longer = by === 'image' ? [] : [`${text}x`, `${text} `, `${text}\n`, `${text}\n${text}`];
    const broken = [
      text.replace(snap, ''),
      text.replace(ami, ''),
      text.replace(snap, 'snap-'),
      text.replace(ami, 'ami-'),
    ];
    for (const Description of [...wrong, ...longer, ...broken, `\n${text}`])
      expect([Description, originOf({ Description })]).toEqual([Description, undefined]);
  });

  test.each([
    ['none', undefined],
    ['an empty one', ''],
    ['a backup’s', 'Created by CreateImage(i-0123456789abcdef0) for ami-0a'],
    ['that of a copy in no account', `Copied from ${snap} of ${ami} (11111111111/us-east-1)`],
    ['that of a copy in too long an account', `Copied from ${snap} of ${ami} (1111111111111/us-east-1)`],
    ['that of a copy in no region', `Copied from ${snap} of ${ami} (${source.account}/)`],
    ['that of a copy in an odd region', `Copied from ${snap} of ${ami} (${source.account}/US EAST)`],
    ['that of a copy without a place', `Copied from ${snap} of ${ami}`],
    [
      'CopyImage’s of an image that is no ID',
      `Copied for DestinationAmi x from SourceAmi ${ami} for SourceSnapshot ${snap}`,
    ],
    [
      'CopyImage’s with an ID that goes on',
      `Copied for DestinationAmi ami-1 from SourceAmi ${ami} for SourceSnapshot ${snap}x`,
    ],
  ])('is not told by %s', (_, Description) => {
    expect(originOf(Description === undefined ? {} : { Description })).toBeUndefined();
  });

  test("is told by CopyImage's words with and without the new image, and whatever comes after", () => {
    const origin = { by: 'image', snapshot: snap, image: ami };
    for (const text of [
      `Copied for DestinationAmi from SourceAmi ${ami} for SourceSnapshot ${snap}`,
      `Copied for DestinationAmi ami-0123456789abcdef0 from SourceAmi ${ami} for SourceSnapshot ${snap}`,
      byCopyImage(ami, snap),
    ])
      expect(originOf({ Description: text })).toEqual(origin);
  });
});

/** A snapshot as the action makes it in a target, but for `over`. */
const copied = (over: Partial<Snapshot> = {}): Snapshot => ({
  SnapshotId: madeSnap,
  VolumeId: 'vol-ffffffff',
  Description: description.copy,
  Tags: tags({ sourceAmi: ami, sourceSnapshot: snap }),
  ...over,
});

describe("a target's copy of a snapshot", () => {
  test('is proven by its description, which says what its tags say', () => {
    expect(tieOfSnapshot(copied(), known())).toEqual(isProven);
  });

  test.each([
    ['bears another description', { Description: 'a backup' }, 'its description is not that of a copy by this action'],
    ['is of a volume', { VolumeId: 'vol-0123456789abcdef0' }, 'its description is not that of a copy by this action'],
    [
      'is of another AMI',
      { Description: copyDescription(snap, otherAmi, source) },
      'it was copied from a snapshot of ami-0f',
    ],
    [
      'is of another snapshot',
      { Description: copyDescription(otherSnap, ami, source) },
      'it is a copy of snap-0f, which is not what its tags say',
    ],
    ['is an encrypted copy', { Description: description.encrypted }, 'it is a copy in the source account'],
    [
      'is tagged as of another AMI',
      { Tags: tags({ sourceAmi: otherAmi, sourceSnapshot: snap }) },
      'it was copied from a snapshot of ami-0a',
    ],
    [
      'is tagged as of another snapshot',
      { Tags: tags({ sourceAmi: ami, sourceSnapshot: otherSnap }) },
      'it is a copy of snap-0a, which is not what its tags say',
    ],
    [
      'is tagged as of no snapshot',
      { Tags: tags({ sourceAmi: ami }) },
      'it is a copy of snap-0a, which is not what its tags say',
    ],
    ['is tagged as of no AMI', { Tags: tags({ sourceSnapshot: snap }) }, 'it was copied from a snapshot of ami-0a'],
    ['bears no tags', { Tags: [] }, 'it is a copy of snap-0a, which is not what its tags say'],
  ])('is foreign if it %s', (_, over, why) => {
    expect(tieOfSnapshot(copied(over), known())).toEqual(foreign(why));
  });

  test('of another AMI is that, whatever AWS says of where that comes from, and whatever encrypted copy is tagged', () => {
    const Tags = tags({ sourceAmi: ami, sourceSnapshot: snap, encryptedCopy: otherAmi });
    const other = copied({ Description: copyDescription(snap, otherAmi, source), Tags });
    expect(tieOfSnapshot(other, known([], { [otherAmi]: ami }))).toEqual(
      foreign('it was copied from a snapshot of ami-0f'),
    );
  });
});

describe("CopyImage's copy of a snapshot in a target", () => {
  const byImage = (imageId: string, values: Parameters<typeof tags>[0] = { sourceAmi: ami }) =>
    copied({ Description: byCopyImage(imageId, encryptedSnap), Tags: tags(values) });
  const ofCopy = byImage(encryptedAmi, { sourceAmi: ami, encryptedCopy: encryptedAmi });

  test('is proven by the AMI that AWS says it was copied with, whatever snapshots its tags name', () => {
    expect(tieOfSnapshot(byImage(ami), known())).toEqual(isProven);
    expect(tieOfSnapshot(byImage(ami, { sourceAmi: ami, sourceSnapshot: `${snap} ${otherSnap}` }), known())).toEqual(
      isProven,
    );
  });

  test('is proven through an encrypted copy where that is known to be of the AMI, with the tag or without', () => {
    expect(tieOfSnapshot(ofCopy, known([], { [encryptedAmi]: ami }))).toEqual(isProven);
    expect(tieOfSnapshot(byImage(encryptedAmi), known([], { [encryptedAmi]: ami }))).toEqual(isProven);
  });

  test('is claimed where only its tag says that this was an encrypted copy, also where AWS knows of another', () => {
    const claimed = {
      is: 'claimed',
      why: 'it was copied with ami-0e, and only a tag says that this was an encrypted copy',
    };
    expect(tieOfSnapshot(ofCopy, known())).toEqual(claimed);
    expect(tieOfSnapshot(ofCopy, known([], { [otherAmi]: ami, [encryptedAmi]: otherAmi }))).toEqual(claimed);
  });

  test.each([
    ['of another AMI', byImage(otherAmi), {}],
    ['of an encrypted copy that no tag names', byImage(otherAmi, { sourceAmi: ami }), { [encryptedAmi]: ami }],
    [
      'of another encrypted copy than the tagged one',
      byImage(otherAmi, { sourceAmi: ami, encryptedCopy: encryptedAmi }),
      {},
    ],
    ['of an encrypted copy of another AMI', byImage(otherAmi), { [otherAmi]: encryptedAmi }],
  ])('is foreign if it is %s', (_, snapshot, parents) => {
    expect(tieOfSnapshot(snapshot, known([], parents))).toEqual(foreign('it was copied from a snapshot of ami-0f'));
  });
});

describe('whether a copy may have become part of an image as the action makes it', () => {
  const byImage = copied({ Description: byCopyImage(encryptedAmi, snap) });

  test('by CopySnapshot, of any; by CopyImage, of one that was copied from the same AMI', () => {
    for (const image of [{}, { SourceImageId: otherAmi }]) expect(mayBePartOf(copied(), image)).toBe(true);
    expect(mayBePartOf(byImage, { SourceImageId: encryptedAmi })).toBe(true);
    for (const image of [{}, { SourceImageId: otherAmi }, { SourceImageId: ami }])
      expect(mayBePartOf(byImage, image)).toBe(false);
  });

  test.each([
    ['an encrypted copy', copied({ Description: description.encrypted })],
    ['none of ours', copied({ Description: 'a backup' })],
    ['of a volume', copied({ VolumeId: 'vol-0123456789abcdef0' })],
  ])('not if it is %s', (_, snapshot) => {
    for (const image of [{}, { SourceImageId: ami }]) expect(mayBePartOf(snapshot, image)).toBe(false);
  });
});

/** An AMI of these snapshots, as the action registers it in a target, but for `over`. */
const registered = (ids: readonly string[] = [madeSnap], over: Partial<Image> = {}): Image => ({
  ImageId: madeAmi,
  State: 'available',
  BlockDeviceMappings: ids.map((SnapshotId, index) => ({ DeviceName: `/dev/sd${index}`, Ebs: { SnapshotId } })),
  Tags: tags({ sourceAmi: ami }),
  ...over,
});

describe('the lineage of an AMI that this action made', () => {
  const ofLineage = (lineage: string | undefined, id = madeSnap) =>
    copied({ SnapshotId: id, Description: copyDescription(snap, ami, { ...source, lineage }) });

  test('is in the descriptions of its copies', () => {
    const Description = 'Copied from snap-0a of ami-0a (111111111111/us-east-1), lineage web server';
    expect(ofLineage('web server').Description).toBe(Description);
    expect(originOf({ Description })).toEqual({ by: 'copy', snapshot: snap, image: ami, lineage: 'web server' });
  });

  test('is proven if all of them say so, and only claimed by a tag', () => {
    const image = registered([madeSnap, 'snap-02']);
    const tieOf = (...parts: Snapshot[]) => tieToLineage(image, 'web', known(parts));
    const claimed = { is: 'claimed', why: 'only a tag says that it is of the lineage web' };
    expect(tieOf(ofLineage('web'), ofLineage('web', 'snap-02'))).toEqual(isProven);
    expect(tieOf(ofLineage('web'), ofLineage('base', 'snap-02'))).toEqual(claimed);
    expect(tieOf(ofLineage('web'), ofLineage(undefined, 'snap-02'))).toEqual(claimed);
    expect(tieOf(ofLineage('web'))).toEqual(claimed);
  });

  test('of one by CopyImage is as its tag says: AWS describes its copies', () => {
    expect(tieToLineage(registered([madeSnap], { SourceImageId: ami }), 'web', known([copied()]))).toEqual(isProven);
  });
});

describe('an AMI in a target that was registered', () => {
  test('is proven if every snapshot of it is such a copy, whatever those are tagged', () => {
    const second = copied({ SnapshotId: 'snap-02', Description: copyDescription(otherSnap, ami, source), Tags: [] });
    expect(tieOfImage(registered([madeSnap, 'snap-02']), known([copied(), second]))).toEqual(isProven);
    expect(tieOfImage(registered([madeSnap], { SourceImageId: '' }), known([copied()]))).toEqual(isProven);
  });

  test.each([
    ['is by another description', copied({ Description: 'a backup' })],
    ['is of another AMI', copied({ Description: copyDescription(snap, otherAmi, source) })],
    ['is of a volume', copied({ VolumeId: 'vol-0123456789abcdef0' })],
    ['is an encrypted copy', copied({ Description: description.encrypted })],
    ['is by CopyImage', copied({ Description: description.image })],
    ['is not to be seen', copied({ SnapshotId: 'snap-03' })],
  ])('is foreign if one of its snapshots %s', (_, first) => {
    const second = copied({ SnapshotId: 'snap-02' });
    const why = 'its snapshot snap-01 was not copied from ami-0a by this action';
    for (const ids of [
      [madeSnap, 'snap-02'],
      ['snap-02', madeSnap],
    ])
      expect(tieOfImage(registered(ids), known([first, second]))).toEqual(foreign(why));
  });

  test('is unknown if it is pending and names no snapshots yet; foreign if it never will', () => {
    for (const over of [{}, { BlockDeviceMappings: [{ DeviceName: '/dev/sdb', VirtualName: 'ephemeral0' }] }]) {
      const pending = registered([], { State: 'pending', ...over });
      expect(tieOfImage(pending, known())).toEqual({ is: 'unknown', why: 'it names no snapshots yet' });
      for (const State of ['available', 'failed', 'transient'] as const)
        expect(tieOfImage({ ...pending, State }, known())).toEqual(foreign('it has no snapshots'));
    }
  });

  test('is judged while it is pending by the snapshots that it names', () => {
    const pending = registered([madeSnap], { State: 'pending' });
    expect(tieOfImage(pending, known([copied()]))).toEqual(isProven);
    expect(tieOfImage(pending, known())).toEqual(
      foreign('its snapshot snap-01 was not copied from ami-0a by this action'),
    );
  });

  test.each([
    ['bears no tag of its source', { Tags: tags({ lineage: 'golden' }) }, `it bears no tag ${tagKeys.sourceAmi}`],
    ['bears none at all', { Tags: undefined }, `it bears no tag ${tagKeys.sourceAmi}`],
    ['is the AMI that its tag names', { ImageId: ami }, 'it is the source AMI itself'],
    ['was made of an instance', { SourceInstanceId: 'i-01' }, 'it was made of the instance i-01'],
    ['was copied from another', { SourceImageId: otherAmi }, 'it was copied from ami-0f, not from ami-0a'],
  ])('is foreign if it %s, whatever its snapshots are', (_, over, why) => {
    expect(tieOfImage(registered([madeSnap], over), known([copied()]))).toEqual(foreign(why));
  });
});

describe('an AMI in a target that was copied', () => {
  const copiedImage = (SourceImageId: string, over: Partial<Image> = {}) =>
    registered([madeSnap], { SourceImageId, ...over });
  const viaCopy = copiedImage(encryptedAmi, { Tags: tags({ sourceAmi: ami, encryptedCopy: encryptedAmi }) });
  const claimed = {
    is: 'claimed',
    why: 'it was copied from ami-0e, and only a tag says that this was an encrypted copy of ami-0a',
  };

  test('is proven by the AMI that AWS says it was copied from', () => {
    expect(tieOfImage(copiedImage(ami), known())).toEqual(isProven);
  });

  test('is proven through an encrypted copy by what that comes from: as it is there, or by the ancestry', () => {
    expect(tieOfImage(viaCopy, known([], { [encryptedAmi]: ami }))).toEqual(isProven);
  });

  test('is claimed where AWS tells no ancestry, or that the encrypted copy comes from another', () => {
    expect(tieOfImage(viaCopy, known())).toEqual(claimed);
    expect(tieOfImage(viaCopy, known([], { [encryptedAmi]: otherAmi }))).toEqual(claimed);
    expect(tieOfImage(viaCopy, known([], { [madeAmi]: encryptedAmi, [otherAmi]: ami }))).toEqual(claimed);
    // By its snapshots nothing is said of it.
    expect(tieOfImage(viaCopy, known([copied()]))).toEqual(claimed);
  });

  test.each([
    ['no tag names the encrypted copy', copiedImage(otherAmi)],
    [
      'its tag names another encrypted copy',
      copiedImage(otherAmi, { Tags: tags({ sourceAmi: ami, encryptedCopy: encryptedAmi }) }),
    ],
  ])('is foreign if %s, whatever is known', (_, image) => {
    const why = 'it was copied from ami-0f, not from ami-0a';
    expect(tieOfImage(image, known([copied()], { [otherAmi]: ami, [encryptedAmi]: ami }))).toEqual(foreign(why));
  });

  test.each([
    ['the AMI that its tag names', copiedImage(ami, { ImageId: ami }), 'it is the source AMI itself'],
    ['of an instance', copiedImage(ami, { SourceInstanceId: 'i-01' }), 'it was made of the instance i-01'],
  ])('is foreign if it is %s', (_, image, why) => {
    expect(tieOfImage(image, known([], { [ami]: ami }))).toEqual(foreign(why));
  });

  test('bears the tag of the encrypted copy that it is of, or is of none', () => {
    expect(isOfEncryptedCopy(viaCopy)).toBe(true);
    expect(isOfEncryptedCopy({ ...viaCopy, SourceImageId: otherAmi })).toBe(false);
    expect(isOfEncryptedCopy(copiedImage(encryptedAmi))).toBe(false);
    expect(isOfEncryptedCopy(registered())).toBe(false);
    expect(isOfEncryptedCopy(copiedImage('', { Tags: tags({ encryptedCopy: '' }) }))).toBe(false);
  });
});

describe('the encrypted copy of the AMI in the source account', () => {
  const encrypted = (over: Partial<Image> = {}): Image => ({
    ...{ ImageId: encryptedAmi, Name: encryptedCopyName(ami, keyArn), SourceImageId: ami },
    Tags: tags({ sourceAmi: ami, intermediate: 'true' }),
    ...over,
  });

  test('is proven by its name and by the AMI that AWS says it was copied from, whatever it bears', () => {
    for (const over of [{}, { Tags: [] }, { Name: `${encryptedCopyName(ami, keyArn)}-2` }])
      expect(tieOfEncryptedCopy(encrypted(over), ami)).toEqual(isProven);
  });

  const named = 'it does not have the name of an encrypted copy';
  test.each([
    ['is the source AMI itself', { ImageId: ami }, 'it is the source AMI itself'],
    ['has another name', { Name: 'golden' }, named],
    ['has none', { Name: undefined }, named],
    ['has that of a copy of another AMI', { Name: encryptedCopyName(otherAmi, keyArn) }, named],
    ['has that of a copy of an AMI whose ID begins alike', { Name: encryptedCopyName(`${ami}b`, keyArn) }, named],
    ['has the name within another', { Name: `my ${encryptedCopyName(ami, keyArn)}` }, named],
    ['was made of an instance', { SourceInstanceId: 'i-01' }, 'it was made of the instance i-01'],
    ['comes from another AMI', { SourceImageId: otherAmi }, 'AWS says that it comes from ami-0f, not from ami-0a'],
    ['comes from none', { SourceImageId: '' }, 'AWS says that it comes from no other AMI, not from ami-0a'],
    ['tells of none', { SourceImageId: undefined }, 'AWS says that it comes from no other AMI, not from ami-0a'],
  ])('is foreign if it %s', (_, over, why) => {
    expect(tieOfEncryptedCopy(encrypted(over), ami)).toEqual(foreign(why));
  });
});

describe('an encrypted copy of a snapshot in the source account', () => {
  const encrypted = (over: Partial<Snapshot> = {}) => copied({ Description: description.encrypted, ...over });

  test('is proven by its description: by CopySnapshot, or by CopyImage, whatever it bears', () => {
    for (const Description of [description.encrypted, description.image])
      for (const Tags of [[], tags({ sourceAmi: otherAmi })])
        expect(tieOfEncryptedSnapshot(encrypted({ Description, Tags }), ami)).toEqual(isProven);
  });

  const described = 'its description is not that of an encrypted copy by this action';
  test.each([
    ['bears another description', { Description: 'a backup' }, described],
    ['is a copy in a target', { Description: description.copy }, described],
    ['is of a volume', { VolumeId: 'vol-0123456789abcdef0' }, described],
    [
      'is of another AMI',
      { Description: encryptedDescription(snap, otherAmi) },
      'it was copied from a snapshot of ami-0f',
    ],
    [
      'was copied with another AMI',
      { Description: byCopyImage(otherAmi, snap) },
      'it was copied from a snapshot of ami-0f',
    ],
  ])('is foreign if it %s', (_, over, why) => {
    expect(tieOfEncryptedSnapshot(encrypted(over), ami)).toEqual(foreign(why));
  });
});

describe('what bears a lease', () => {
  const since = Date.parse('2026-11-24T12:00:00Z');
  const older = foreign('it is older than the run whose lease it bears');
  const madeThen = (ms: number): [Image, Snapshot] => [
    { ImageId: madeAmi, CreationDate: new Date(ms).toISOString() },
    { SnapshotId: madeSnap, StartTime: new Date(ms) },
  ];

  test('was made when AWS says', () => {
    expect(madeThen(since).map(madeAt)).toEqual([since, since]);
    expect([{ ImageId: madeAmi }, { SnapshotId: madeSnap }].map(madeAt)).toEqual([undefined, undefined]);
  });

  test.each([
    ['after its run began', 1000, true],
    ['when its run began', 0, true],
    ["a minute before, by another of AWS's clocks", -60_000, true],
    ['more than a minute before', -60_001, false],
    ['long before', -86_400_000, false],
  ])('made %s', (_, ms, its) => {
    for (const one of madeThen(since + ms)) {
      expect(isSince(one, since)).toBe(its);
      expect(tieToLease(one, since)).toEqual(its ? isProven : older);
    }
  });

  test('may be of the run where AWS tells no time, or where nothing is known of the run', () => {
    for (const one of [{ ImageId: madeAmi }, { SnapshotId: madeSnap }])
      expect(tieToLease(one, since)).toEqual(isProven);
    for (const one of madeThen(0)) expect(tieToLease(one)).toEqual(isProven);
  });

  test('is none of it as an AMI that is disabled: a run disables none, and whoever did may want it back', () => {
    const why = 'somebody has disabled it';
    for (const one of madeThen(since))
      expect(tieToLease({ ...one, State: 'disabled' } as Image, since)).toEqual(
        'ImageId' in one ? foreign(why) : isProven,
      );
    expect(tieToLease({ ImageId: madeAmi, State: 'available' }, since)).toEqual(isProven);
  });

  test('as a copy that goes on, is no AMI: a run that has no time to verify one removes it', () => {
    const Tags = tags({ lease: endedLease });
    const why = 'no run marks an AMI as one that goes on being copied';
    expect(tieToLease({ ImageId: madeAmi, Tags }, since)).toEqual(foreign(why));
    expect(tieToLease({ SnapshotId: madeSnap, Tags }, since)).toEqual(isProven);
  });
});

describe('what the devices of a registered AMI hold', () => {
  const golden = (devices: Readonly<Record<string, string | undefined>>): Image => ({
    ImageId: ami,
    BlockDeviceMappings: Object.entries(devices).map(([DeviceName, SnapshotId]) => ({
      DeviceName,
      ...(SnapshotId === undefined ? { VirtualName: 'ephemeral0' } : { Ebs: { SnapshotId } }),
    })),
  });
  const [first, second] = ['/dev/sd0', '/dev/sd1'];
  const two = golden({ [first]: snap, [second]: otherSnap });
  const part = (id: string, of: string, imageId = ami) =>
    copied({ SnapshotId: id, Description: copyDescription(of, imageId, source) });
  const field = (device: string) => `BlockDeviceMappings[${device}].Ebs.SnapshotId`;

  test('is what the source has there, by the descriptions of the snapshots alone', () => {
    const image = registered(['snap-01', 'snap-02']);
    expect(originDifferences(two, image, [part('snap-01', snap), part('snap-02', otherSnap)])).toEqual([]);
    const untagged = [part('snap-01', snap), part('snap-02', otherSnap)].map((one) => ({ ...one, Tags: [] }));
    expect(originDifferences(two, image, untagged)).toEqual([]);
  });

  test('differs where they are changed about', () => {
    const image = registered(['snap-01', 'snap-02']);
    expect(originDifferences(two, image, [part('snap-01', otherSnap), part('snap-02', snap)])).toEqual([
      { field: field(first), source: snap, target: `snap-01, a copy of ${otherSnap}` },
      { field: field(second), source: otherSnap, target: `snap-02, a copy of ${snap}` },
    ]);
  });

  test.each([
    ['of another AMI', [part(madeSnap, snap, otherAmi)]],
    ['by CopyImage', [copied({ Description: description.image })]],
    ['an encrypted copy', [copied({ Description: description.encrypted })]],
    ['none', [copied({ Description: 'a backup' })]],
    ['not to be seen', []],
  ])('differs where it is %s', (_, parts) => {
    expect(originDifferences(golden({ [first]: snap }), registered(), parts)).toEqual([
      { field: field(first), source: snap, target: 'snap-01, which is no copy of it' },
    ]);
  });

  test('is nothing to compare where a device has no snapshot, or the source has none there', () => {
    const bare: Image = { BlockDeviceMappings: [{ DeviceName: first, VirtualName: 'ephemeral0' }] };
    expect(originDifferences(golden({ [first]: snap }), bare, [])).toEqual([]);
    expect(originDifferences(golden({ [first]: undefined }), registered(), [])).toEqual([]);
    expect(originDifferences(golden({ [second]: snap }), registered(), [])).toEqual([]);
    expect(originDifferences(golden({ [second]: snap }), registered(), [copied()])).toEqual([]);
    expect(originDifferences({ ImageId: ami }, registered(), [])).toEqual([]);
    expect(originDifferences(golden({ [first]: snap }), {}, [])).toEqual([]);
  });

  test("is not asked of a copied AMI, whose snapshots CopyImage describes by the encrypted copy's", () => {
    const image = registered([madeSnap], { SourceImageId: encryptedAmi });
    expect(originDifferences(golden({ [first]: snap }), image, [])).toEqual([]);
  });
});

/* Whoever may tag writes what he likes: whatever it is, what AWS keeps decides. */
describe('whatever tags it bears', () => {
  const anyId = fc.constantFrom(ami, encryptedAmi, otherAmi, madeAmi, snap, otherSnap, 'true', 'ended', '');
  const anyTags = fc
    .array(fc.record({ Key: fc.constantFrom(...Object.values(tagKeys), 'Name'), Value: anyId }), { maxLength: 10 })
    .map((all) => [...new Map(all.map((tag) => [tag.Key, tag])).values()]);
  const foreignTexts = fc.constantFrom(undefined, '', 'a backup', 'Created by CreateImage(i-01) for ami-0a');
  /** What is known of true encrypted copies; none is of the AMIs that tags may name, but that of the source. */
  const parents = { [encryptedAmi]: ami };

  test('a snapshot that this action did not make is foreign', () => {
    fc.assert(
      fc.property(anyTags, foreignTexts, (Tags, Description) => {
        const made = { SnapshotId: madeSnap, Tags, ...(Description !== undefined && { Description }) };
        // By a description of ours, a snapshot of a volume is no more ours.
        const ofVolume = { ...made, Description: description.copy, VolumeId: 'vol-0123456789abcdef0' };
        for (const one of [made, ofVolume]) {
          expect(tieOfSnapshot(one, known([], parents)).is).toBe('foreign');
          expect(tieOfEncryptedSnapshot(one, ami).is).toBe('foreign');
        }
      }),
    );
  });

  test('a registered AMI of such snapshots is foreign, and so is one of an instance', () => {
    fc.assert(
      fc.property(anyTags, anyTags, foreignTexts, (Tags, partTags, text) => {
        const part = { SnapshotId: madeSnap, Tags: partTags, ...(text !== undefined && { Description: text }) };
        expect(tieOfImage(registered([madeSnap], { Tags }), known([part], parents)).is).toBe('foreign');
        const ofInstance = registered([madeSnap], { Tags, SourceInstanceId: 'i-01' });
        expect(tieOfImage(ofInstance, known([copied({ Tags: partTags })], parents)).is).toBe('foreign');
      }),
    );
  });

  test('a copied AMI is proven only as one of what AWS says that it comes from', () => {
    fc.assert(
      fc.property(anyTags, fc.constantFrom(ami, encryptedAmi, otherAmi), (Tags, SourceImageId) => {
        const { is } = tieOfImage(registered([madeSnap], { Tags, SourceImageId }), known([], parents));
        const claimed = Tags.find(({ Key }) => Key === tagKeys.sourceAmi)?.Value;
        const roots = [SourceImageId, ...(SourceImageId === encryptedAmi ? [ami] : [])];
        if (is === 'proven') expect(roots).toContain(claimed);
        // Nothing makes an AMI of ours of one that comes from elsewhere.
        if (is !== 'foreign' && claimed === ami && SourceImageId === otherAmi) expect(is).toBe('claimed');
      }),
    );
  });

  test('neither the AMI that its tags name, nor an AMI of another name or source, is an encrypted copy', () => {
    const others = fc.constantFrom<Partial<Image>>(
      { ImageId: ami },
      { Name: 'golden' },
      { SourceImageId: otherAmi },
      { SourceImageId: '' },
    );
    fc.assert(
      fc.property(anyTags, others, (Tags, over) => {
        const image = {
          ImageId: encryptedAmi,
          Name: encryptedCopyName(ami, keyArn),
          SourceImageId: ami,
          Tags,
          ...over,
        };
        expect(tieOfEncryptedCopy(image, ami).is).toBe('foreign');
      }),
    );
  });

  test('a snapshot is proven as one of the AMI, and of the snapshot, that AWS keeps', () => {
    const texts = fc.constantFrom(
      ...Object.values(description),
      byCopyImage(encryptedAmi, snap),
      byCopyImage(otherAmi, snap),
    );
    fc.assert(
      fc.property(anyTags, texts, (Tags, Description) => {
        const { is } = tieOfSnapshot(copied({ Tags, Description }), known([], parents));
        const claimed = Tags.find(({ Key }) => Key === tagKeys.sourceAmi)?.Value;
        const origin = originOf({ Description });
        if (is === 'proven') expect([origin?.image, parents[origin?.image ?? '']]).toContain(claimed);
        if (is === 'claimed') expect(origin?.by).toBe('image');
      }),
    );
  });
});
