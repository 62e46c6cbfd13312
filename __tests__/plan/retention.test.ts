import type { Image } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import { encryptedCopyName } from '../../src/encrypted-copy.ts';
import { removalObstacle } from '../../src/plan/removal.ts';
import { lineageOf, planRetention, type RetentionFacts } from '../../src/plan/retention.ts';
import { tagKeys } from '../../src/tags.ts';

test('the bakes of one image have one lineage: every run of digits in the name is as one', () => {
  expect(lineageOf({ Name: 'golden-2026-11-23-v7' })).toBe('golden-#-#-#-v#');
  expect(lineageOf({ Name: 'golden-2026-12-1-v10' })).toBe('golden-#-#-#-v#');
  expect(lineageOf({ Name: 'golden' })).toBe('golden');
  expect(lineageOf({})).toBe('');
});

describe('which AMIs of a lineage stay', () => {
  const ami = (day: number, over: Image = {}): Image => ({
    ImageId: `ami-${day}`,
    Name: `golden-${day}`,
    State: 'available',
    CreationDate: `2026-11-${day}T00:00:00.000Z`,
    Tags: [],
    ...over,
  });
  const [first, second, third] = [ami(11), ami(12), ami(13)] as const;
  const facts = {
    lineage: 'golden-#',
    name: 'golden-14',
    reused: undefined,
    users: new Map(),
    locks: new Map(),
    origins: new Map(),
  };
  const retained = (count: number, existing: readonly Image[], over: Partial<RetentionFacts> = {}) =>
    planRetention({ ...facts, tie: () => ({ is: 'proven' }), count, existing, ...over });

  test('the newest do, the new AMI being one of them', () => {
    expect(retained(2, [first, third, second])).toEqual({
      keep: [third],
      remove: [second, first],
      held: [],
      foreign: [],
    });
    expect(retained(1, [first, third, second])).toEqual({
      keep: [],
      remove: [third, second, first],
      held: [],
      foreign: [],
    });
    expect(retained(4, [first, third, second])).toEqual({
      keep: [third, second, first],
      remove: [],
      held: [],
      foreign: [],
    });
  });

  test('the AMI that is reused counts as the newest', () => {
    expect(retained(2, [first, second, third], { reused: first })).toEqual({
      keep: [third],
      remove: [second],
      held: [],
      foreign: [],
    });
  });

  test('an AMI without a date is the oldest', () => {
    const { CreationDate: _, ...dateless } = ami(20);
    for (const existing of [
      [dateless, first],
      [first, dateless],
    ])
      expect(retained(2, existing)).toEqual({ keep: [first], remove: [dateless], held: [], foreign: [] });
  });

  test('a disabled one may go; one that is still being made, or failed, does not', () => {
    const states = (['disabled', 'pending', 'failed', 'deregistered'] as const).map((State, index) =>
      ami(21 + index, { State }),
    );
    expect(retained(1, states)).toEqual({ keep: [], remove: states.slice(0, 1), held: [], foreign: [] });
  });

  test('the lineage is that of the tag; of an AMI that has none, and of one with the asked name, that of the name', () => {
    const lineage = (Value: string) => [{ Key: tagKeys.lineage, Value }];
    const renamed = ami(21, { Name: 'shared', Tags: lineage('golden-#') });
    const others = ami(22, { Name: 'other-22', Tags: lineage('other-#') });
    const untagged = ami(23, { Name: 'silver-23' });
    const asked = ami(24, { Tags: lineage('former-#') });
    expect(retained(1, [renamed, others, untagged, asked]).remove).toEqual([asked, renamed]);
    // The source may be called otherwise than the AMI that is made of it.
    expect(retained(1, [untagged, first, others], { lineage: 'silver-#' }).remove).toEqual([untagged, first]);
  });

  test('of an AMI whose own source is still there, it is that one’s, whatever the tag says', () => {
    const of = (id: string, lineage: string) => [
      { Key: tagKeys.sourceAmi, Value: id },
      { Key: tagKeys.lineage, Value: lineage },
    ];
    const another = ami(21, { Name: 'web-21', Tags: of('ami-web', 'golden-#') });
    const renamed = ami(22, { Name: 'shared-22', Tags: of('ami-golden', 'web-#') });
    const gone = ami(23, { Name: 'shared-23', Tags: of('ami-gone', 'golden-#') });
    const origins = new Map([
      ['ami-web', { Name: 'web-7' }],
      ['ami-golden', { Name: 'golden-7' }],
    ]);
    expect(retained(1, [another, renamed, gone], { origins }).remove).toEqual([gone, renamed]);
  });

  test('what a run is making, and what runs make on the way, is not looked at', () => {
    const inTheMaking = ami(21, { Tags: [{ Key: tagKeys.lease, Value: 'dddddddddddd' }] });
    const name = encryptedCopyName('ami-601d', 'key-1');
    const onTheWay = ami(22, { Name: name, Tags: [{ Key: tagKeys.lineage, Value: 'golden-#' }] });
    expect(retained(1, [inTheMaking, onTheWay])).toEqual({ keep: [], remove: [], held: [], foreign: [] });
  });

  test('what AWS lets not be removed is held, and told why', () => {
    const protectedOne = ami(12, { DeregistrationProtection: 'enabled-without-cooldown' });
    const locked = ami(11, { BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: 'snap-11' } }] });
    const locks = new Map([['snap-11', { SnapshotId: 'snap-11', LockState: 'governance' as const }]]);
    expect(retained(2, [third, protectedOne, locked, ami(10)], { locks })).toEqual({
      keep: [third],
      remove: [ami(10)],
      held: [
        { image: protectedOne, why: 'it is protected from deregistration (enabled-without-cooldown)' },
        { image: locked, why: 'its snapshot snap-11 is locked (governance)' },
      ],
      foreign: [],
    });
  });

  test('what something uses is held, and told by what; what holds it besides comes first', () => {
    const protectedOne = ami(12, { DeregistrationProtection: 'enabled-without-cooldown' });
    const users = new Map([
      ['ami-11', ['instance i-1', 'launch template lt-1 (version 3)']],
      ['ami-12', ['instance i-2']],
      ['ami-13', ['instance i-3']],
    ]);
    expect(retained(2, [third, protectedOne, first, ami(10)], { users })).toEqual({
      keep: [third],
      remove: [ami(10)],
      held: [
        { image: protectedOne, why: 'it is protected from deregistration (enabled-without-cooldown)' },
        { image: first, why: 'it is used by instance i-1, launch template lt-1 (version 3)' },
      ],
      foreign: [],
    });
  });

  test('what is foreign does not count, and is told; it takes no place from what is ours', () => {
    const why = 'it was copied from ami-1, not from ami-2';
    const tie = ({ ImageId }: Image) =>
      ImageId === 'ami-13' ? { is: 'foreign' as const, why } : { is: 'proven' as const };
    expect(retained(2, [first, second, third], { tie })).toEqual({
      keep: [second],
      remove: [first],
      held: [],
      foreign: [third],
    });
  });

  test.each(['claimed', 'unknown'] as const)(
    'what is %s is held, with the reason, before any other; it takes no place from what is proven',
    (is) => {
      const protectedOne = ami(12, { DeregistrationProtection: 'enabled-without-cooldown' });
      const why = 'only a tag says so';
      const tie = ({ ImageId }: Image) => (ImageId === 'ami-11' ? { is: 'proven' as const } : { is, why });
      expect(retained(2, [third, protectedOne, first], { tie, users: undefined })).toEqual({
        keep: [first],
        remove: [],
        held: [
          { image: third, why },
          { image: protectedOne, why },
        ],
        foreign: [],
      });
    },
  );

  test('where what uses them is not known, all are held', () => {
    const protectedOne = ami(12, { DeregistrationProtection: 'enabled-without-cooldown' });
    expect(retained(1, [first, protectedOne], { users: undefined })).toEqual({
      keep: [],
      remove: [],
      held: [
        { image: protectedOne, why: 'it is protected from deregistration (enabled-without-cooldown)' },
        { image: first, why: 'what uses it is not known' },
      ],
      foreign: [],
    });
  });
});

describe('what AWS lets not be removed', () => {
  const volume = (id: string) => ({ DeviceName: `/dev/${id}`, Ebs: { SnapshotId: id } });
  const ami: Image = { ImageId: 'ami-1', BlockDeviceMappings: [volume('snap-1'), volume('snap-2')] };

  test('is nothing of what is free', () => {
    const locks = new Map([['snap-3', { SnapshotId: 'snap-3', LockState: 'governance' as const }]]);
    expect(removalObstacle(ami, locks)).toBeUndefined();
    expect(removalObstacle({ ...ami, DeregistrationProtection: 'disabled' }, new Map())).toBeUndefined();
  });

  test('is a protected AMI', () => {
    expect(removalObstacle({ ...ami, DeregistrationProtection: 'enabled-with-cooldown' }, new Map())).toEqual({
      why: 'it is protected from deregistration (enabled-with-cooldown)',
      remedy: 'take the protection off: aws ec2 disable-image-deregistration-protection --image-id ami-1',
    });
  });

  test('is one that AWS Backup manages', () => {
    const Tags = [{ Key: 'aws:backup:source-resource', Value: 'i-1' }];
    expect(removalObstacle({ ...ami, Tags }, new Map())).toEqual({
      why: 'it is managed by AWS Backup, and EC2 deregisters no such AMI',
      remedy: 'delete its recovery point in the backup vault',
    });
  });

  test('is one with a locked snapshot, for good or until somebody unlocks it', () => {
    const lock = { SnapshotId: 'snap-2', LockState: 'governance' as const };
    expect(removalObstacle(ami, new Map([['snap-2', lock]]))).toEqual({
      why: 'its snapshot snap-2 is locked (governance)',
      remedy: 'unlock it: aws ec2 unlock-snapshot --snapshot-id snap-2',
    });
    const compliance = { ...lock, LockState: 'compliance' as const, LockExpiresOn: new Date('2027-01-01T00:00:00Z') };
    expect(removalObstacle(ami, new Map([['snap-2', compliance]]))).toEqual({
      why: 'its snapshot snap-2 is locked (compliance until 2027-01-01T00:00:00.000Z)',
      remedy: 'wait until the lock expires: in compliance mode nobody can take it off',
    });
  });
});
