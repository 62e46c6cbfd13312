import type { Image } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import {
  differences,
  isImageDescription,
  isImageName,
  keyDifferences,
  matchSnapshots,
  registrationOf,
  sizeGiB,
  snapshotIdsOf,
  totalGiB,
} from '../src/image.ts';

const root = { DeviceName: '/dev/xvda', Ebs: { SnapshotId: 'snap-root', VolumeSize: 8, Encrypted: false } };
const data = { DeviceName: '/dev/sdb', Ebs: { SnapshotId: 'snap-data', VolumeSize: 20, Encrypted: false } };
const blank = { DeviceName: '/dev/sdc', Ebs: { VolumeSize: 4, Encrypted: true } };
const ephemeral = { DeviceName: '/dev/sdd', VirtualName: 'ephemeral0' };
const suppressed = { DeviceName: '/dev/sde', NoDevice: '' };

const source: Image = {
  ImageId: 'ami-golden',
  Architecture: 'arm64',
  VirtualizationType: 'hvm',
  RootDeviceName: '/dev/xvda',
  RootDeviceType: 'ebs',
  EnaSupport: true,
  PlatformDetails: 'Linux/UNIX',
  UsageOperation: 'RunInstances',
  BlockDeviceMappings: [root, data, blank, ephemeral, suppressed],
};

/** Its copy in a target: other snapshots, encrypted. */
const copy: Image = {
  ...source,
  ImageId: 'ami-copy',
  BlockDeviceMappings: [
    { ...root, Ebs: { ...root.Ebs, SnapshotId: 'snap-root-copy', Encrypted: true } },
    { ...data, Ebs: { ...data.Ebs, SnapshotId: 'snap-data-copy', Encrypted: true } },
    blank,
    ephemeral,
    suppressed,
  ],
};

describe('the snapshots of an image', () => {
  test('are each told once, in the order of the devices', () => {
    const again = { DeviceName: '/dev/sdz', Ebs: { SnapshotId: 'snap-root' } };
    expect(snapshotIdsOf({ BlockDeviceMappings: [data, root, again, blank, ephemeral] })).toEqual([
      'snap-data',
      'snap-root',
    ]);
    expect(snapshotIdsOf({})).toEqual([]);
  });

  test('are matched with those of its copy by the device', () => {
    expect(matchSnapshots(source, copy)).toEqual(
      new Map([
        ['snap-root', 'snap-root-copy'],
        ['snap-data', 'snap-data-copy'],
      ]),
    );
  });

  test('have no match where the copy lacks the device, or has no snapshot for it', () => {
    const without = { BlockDeviceMappings: [blank, { ...data, Ebs: { VolumeSize: 20 } }, { DeviceName: '/dev/xvda' }] };
    expect(matchSnapshots(source, without)).toEqual(new Map());
    expect(matchSnapshots(source, {})).toEqual(new Map());
    expect(matchSnapshots({}, copy)).toEqual(new Map());
  });
});

test('sizes are those of the volumes, and of the snapshots', () => {
  expect(sizeGiB(source)).toBe(32);
  expect(sizeGiB({})).toBe(0);
  expect(totalGiB([{ sizeGiB: 8 }, { sizeGiB: 20 }])).toBe(28);
  expect(totalGiB([])).toBe(0);
});

describe('registering a copy', () => {
  const copies = new Map([
    ['snap-root', 'snap-root-copy'],
    ['snap-data', 'snap-data-copy'],
  ]);
  const tags = [{ Key: 'team', Value: 'platform' }];
  const register = (image: Image, more: { uefiData?: string; description?: string } = {}) =>
    registrationOf({
      source: image,
      extras: { uefiData: more.uefiData },
      name: 'golden',
      description: more.description,
      copies,
      tags,
    });

  test('asks for what the source has, and for nothing that it has not', () => {
    expect(register(source)).toStrictEqual({
      Name: 'golden',
      Architecture: 'arm64',
      VirtualizationType: 'hvm',
      RootDeviceName: '/dev/xvda',
      EnaSupport: true,
      BlockDeviceMappings: [
        { DeviceName: '/dev/xvda', Ebs: { SnapshotId: 'snap-root-copy', VolumeSize: 8 } },
        { DeviceName: '/dev/sdb', Ebs: { SnapshotId: 'snap-data-copy', VolumeSize: 20 } },
        { DeviceName: '/dev/sdc', Ebs: { Encrypted: true, VolumeSize: 4 } },
        { DeviceName: '/dev/sdd', VirtualName: 'ephemeral0' },
        { DeviceName: '/dev/sde', NoDevice: '' },
      ],
      TagSpecifications: [{ ResourceType: 'image', Tags: tags }],
    });
  });

  test('takes every attribute that can be set', () => {
    const set = {
      Description: 'Golden image',
      SriovNetSupport: 'simple',
      BootMode: 'uefi',
      TpmSupport: 'v2.0',
      ImdsSupport: 'v2.0',
    } as const;
    expect(register({ ...source, ...set }, { uefiData: 'QU1aTlVFRkk=' })).toMatchObject({
      ...set,
      UefiData: 'QU1aTlVFRkk=',
    });
  });

  test('leaves nothing to the defaults of RegisterImage: no ENA is said', () => {
    const { EnaSupport: _, BlockDeviceMappings: __, ...bare } = source;
    expect(register(bare)).toMatchObject({ EnaSupport: false, BlockDeviceMappings: [] });
  });

  test("gives the asked description in place of the source's; an empty one is none", () => {
    const described = { ...source, Description: 'Golden image' };
    expect(register(described, { description: 'Mine' }).Description).toBe('Mine');
    expect(register(described, { description: '' })).not.toHaveProperty('Description');
  });

  const volumeOf = (ebs: object) => register({ BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: ebs }] });
  const asked = (ebs: object) => volumeOf(ebs).BlockDeviceMappings?.[0]?.Ebs;

  test.each([
    ['gp3', { Iops: 4000, Throughput: 250 }],
    ['io1', { Iops: 4000 }],
    ['io2', { Iops: 4000 }],
    ['gp2', {}],
    ['st1', {}],
  ])('asks for the performance that volumes of type %s take', (VolumeType, expected) => {
    expect(asked({ SnapshotId: 'snap-root', VolumeType, Iops: 4000, Throughput: 250 })).toStrictEqual({
      SnapshotId: 'snap-root-copy',
      VolumeType,
      ...expected,
    });
    expect(asked({ SnapshotId: 'snap-root', VolumeType })).toStrictEqual({ SnapshotId: 'snap-root-copy', VolumeType });
  });

  test.each([true, false])('keeps whether a volume goes with its instance: %s', (DeleteOnTermination) => {
    expect(asked({ SnapshotId: 'snap-root', DeleteOnTermination })).toStrictEqual({
      SnapshotId: 'snap-root-copy',
      DeleteOnTermination,
    });
  });

  test('says whether a new volume is encrypted', () => {
    expect(asked({ VolumeSize: 4 })).toStrictEqual({ Encrypted: false, VolumeSize: 4 });
  });

  test('cannot do without a copy of each snapshot', () => {
    expect(() => volumeOf({ SnapshotId: 'snap-other' })).toThrow('there is no copy of snap-other');
  });
});

describe('a copy differs from its source', () => {
  const changed = (over: Image) => differences(source, { ...copy, ...over });
  const device = (index: number, over: object) => {
    const mappings = [...(copy.BlockDeviceMappings ?? [])];
    const mapping = mappings[index];
    return changed({ BlockDeviceMappings: mappings.with(index, { ...mapping, ...over }) });
  };
  const ebs = (index: number, over: object) =>
    device(index, { Ebs: { ...copy.BlockDeviceMappings?.[index]?.Ebs, ...over } });

  test('in nothing where only what is of the place is another', () => {
    expect(changed({ Name: 'other', OwnerId: '999999999999', CreationDate: '2026-11-24', Public: false })).toEqual([]);
  });

  test.each([
    ['Architecture', 'arm64', 'x86_64'],
    ['VirtualizationType', 'hvm', 'paravirtual'],
    ['RootDeviceName', '/dev/xvda', '/dev/sda1'],
    ['RootDeviceType', 'ebs', 'instance-store'],
    ['SriovNetSupport', 'not set', 'simple'],
    ['BootMode', 'not set', 'uefi'],
    ['TpmSupport', 'not set', 'v2.0'],
    ['ImdsSupport', 'not set', 'v2.0'],
    ['Platform', 'not set', 'windows'],
    ['PlatformDetails', 'Linux/UNIX', 'Windows'],
    ['UsageOperation', 'RunInstances', 'RunInstances:0002'],
  ])('in %s', (field, there, here) => {
    expect(changed({ [field]: here })).toEqual([{ field, source: there, target: here }]);
  });

  test('in ENA, where off and absent are one; and an empty text is none', () => {
    expect(changed({ EnaSupport: false })).toEqual([{ field: 'EnaSupport', source: 'true', target: 'not set' }]);
    const { EnaSupport: _, ...without } = source;
    expect(differences(without, { ...copy, EnaSupport: false })).toEqual([]);
    expect(differences({ ...source, SriovNetSupport: '' }, copy)).toEqual([]);
  });

  test.each([
    ['VolumeType', 'not set', 'gp3'],
    ['VolumeSize', '8', '16'],
    ['Iops', 'not set', '3000'],
    ['Throughput', 'not set', '125'],
    ['DeleteOnTermination', 'not set', 'true'],
  ])("in a volume's %s", (field, there, here) => {
    const value = /^\d+$/.test(here) ? Number(here) : here;
    expect(ebs(0, { [field]: value })).toEqual([
      { field: `BlockDeviceMappings[/dev/xvda].Ebs.${field}`, source: there, target: here },
    ]);
  });

  test('if a snapshot came out unencrypted: it must be encrypted whatever the source is', () => {
    const encrypted = [{ field: 'BlockDeviceMappings[/dev/xvda].Ebs.Encrypted', source: 'true', target: 'false' }];
    expect(ebs(0, { Encrypted: false })).toEqual(encrypted);
    expect(ebs(0, { Encrypted: undefined })).toEqual(encrypted);
  });

  test('if a new volume is not encrypted as that of the source is', () => {
    expect(ebs(2, { Encrypted: false })).toEqual([
      { field: 'BlockDeviceMappings[/dev/sdc].Ebs.Encrypted', source: 'true', target: 'false' },
    ]);
    const plain = { ...source, BlockDeviceMappings: [{ DeviceName: '/dev/sdc', Ebs: { VolumeSize: 4 } }] };
    expect(differences(plain, plain)).toEqual([]);
  });

  test('if a volume is made from a snapshot in one and empty in the other', () => {
    expect(ebs(2, { SnapshotId: 'snap-1' })).toEqual([
      { field: 'BlockDeviceMappings[/dev/sdc].Ebs.SnapshotId', source: 'false', target: 'true' },
    ]);
    expect(ebs(0, { SnapshotId: undefined })).toEqual([
      { field: 'BlockDeviceMappings[/dev/xvda].Ebs.SnapshotId', source: 'true', target: 'false' },
    ]);
  });

  test('if a device is of another kind', () => {
    expect(device(3, { VirtualName: 'ephemeral1' })).toEqual([
      { field: 'BlockDeviceMappings[/dev/sdd].VirtualName', source: 'ephemeral0', target: 'ephemeral1' },
    ]);
    expect(device(4, { NoDevice: undefined })).toEqual([
      { field: 'BlockDeviceMappings[/dev/sde].NoDevice', source: 'true', target: 'false' },
    ]);
    expect(device(0, { Ebs: undefined })).toEqual([
      { field: 'BlockDeviceMappings[/dev/xvda].Ebs', source: 'true', target: 'false' },
    ]);
    expect(device(3, { Ebs: { VolumeSize: 1 } })).toEqual([
      { field: 'BlockDeviceMappings[/dev/sdd].Ebs', source: 'false', target: 'true' },
    ]);
  });

  test('if a device is missing, or was not there', () => {
    const [first, ...rest] = copy.BlockDeviceMappings ?? [];
    expect(changed({ BlockDeviceMappings: rest })).toEqual([
      { field: 'BlockDeviceMappings[/dev/xvda]', source: 'there', target: 'not set' },
    ]);
    expect(differences({ ...source, BlockDeviceMappings: source.BlockDeviceMappings?.slice(1) ?? [] }, copy)).toEqual([
      { field: 'BlockDeviceMappings[/dev/xvda]', source: 'not set', target: 'there' },
    ]);
    const { BlockDeviceMappings: _, ...bare } = source;
    expect(differences(bare, { ...bare, BlockDeviceMappings: first ? [first] : [] })).toHaveLength(1);
    expect(differences({ ...source, BlockDeviceMappings: [root] }, bare)).toHaveLength(1);
  });

  test('the order of the devices makes no difference', () => {
    expect(changed({ BlockDeviceMappings: [...(copy.BlockDeviceMappings ?? [])].reverse() })).toEqual([]);
  });
});

test('the snapshots that are not under the key are told, with the key that they are under', () => {
  const snapshots = [
    { SnapshotId: 'snap-root-copy', KmsKeyId: 'key-1' },
    { SnapshotId: 'snap-other', KmsKeyId: 'key-1' },
  ];
  expect(keyDifferences('key-1', copy, [...snapshots, { SnapshotId: 'snap-data-copy', KmsKeyId: 'key-1' }])).toEqual(
    [],
  );
  expect(keyDifferences('key-1', copy, [...snapshots, { SnapshotId: 'snap-data-copy', KmsKeyId: 'key-2' }])).toEqual([
    { field: 'the key of snap-data-copy', source: 'key-1', target: 'key-2' },
  ]);
  expect(keyDifferences('key-1', copy, snapshots)).toEqual([
    { field: 'the key of snap-data-copy', source: 'key-1', target: 'not known' },
  ]);
});

describe('what an AMI may be called', () => {
  test.each(['abc', "a()[] ./'@-_Z9", 'x'.repeat(128)])('%j', (name) => expect(isImageName(name)).toBe(true));
  test.each(['', 'ab', 'x'.repeat(129), 'a+b', 'naïve', 'abc\n'])('not %j', (name) =>
    expect(isImageName(name)).toBe(false),
  );
});

describe('how an AMI may be described', () => {
  test.each(['', 'Golden image, 2026: ~all!', 'x'.repeat(255)])('%j', (text) =>
    expect(isImageDescription(text)).toBe(true),
  );
  test.each(['x'.repeat(256), 'naïve', 'two\nlines'])('not %j', (text) => expect(isImageDescription(text)).toBe(false));
});
