import type { Image } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import {
  describedAs,
  differences,
  differenceText,
  extrasDifferences,
  hasUefi,
  idsOf,
  imageIdsOf,
  instanceTypesOf,
  isImageDescription,
  isImageId,
  isImageName,
  matchSnapshots,
  registrationOf,
  sizeGiB,
  snapshotDifferences,
  snapshotIdsOf,
  tagDifferences,
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
    expect(idsOf([{ SnapshotId: 'snap-b' }, {}, { SnapshotId: 'snap-a' }])).toEqual(['snap-b', 'snap-a']);
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

test.each<[Partial<Image>, boolean]>([
  [{ BootMode: 'uefi', Architecture: 'x86_64' }, true],
  [{ BootMode: 'uefi-preferred', Architecture: 'x86_64' }, true],
  [{ BootMode: 'legacy-bios', Architecture: 'x86_64' }, false],
  [{ Architecture: 'x86_64' }, false],
  [{ Architecture: 'arm64' }, true],
  [{ BootMode: 'legacy-bios', Architecture: 'arm64' }, false],
])('UEFI is what the boot mode says, and without one what Graviton has: %j', (image, uefi) => {
  expect(hasUefi(image)).toBe(uefi);
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
    expect(register({ ...source, ...set }, { uefiData: 'QU1aTlVFRkk=', description: 'Golden image' })).toMatchObject({
      ...set,
      UefiData: 'QU1aTlVFRkk=',
    });
  });

  test('leaves nothing to the defaults of RegisterImage: no ENA is said', () => {
    const { EnaSupport: _, BlockDeviceMappings: __, ...bare } = source;
    expect(register(bare)).toMatchObject({ EnaSupport: false, BlockDeviceMappings: [] });
  });

  test('gives the asked description; an empty one is none', () => {
    expect(register(source, { description: 'Mine' }).Description).toBe('Mine');
    expect(register(source, { description: '' })).not.toHaveProperty('Description');
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

  test('keeps the EBS card that a volume is on', () => {
    expect(asked({ SnapshotId: 'snap-root', EbsCardIndex: 1 })).toStrictEqual({
      SnapshotId: 'snap-root-copy',
      EbsCardIndex: 1,
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
  const same = { lostBilling: false, otherRegion: false };
  const changed = (over: Image) => differences(source, { ...copy, ...over }, same);
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
  ])('in %s', (field, there, here) => {
    const expected = [{ field, source: there, target: here }];
    expect(changed({ [field]: here })).toEqual(expected);
    expect(differences(source, { ...copy, [field]: here }, { lostBilling: true, otherRegion: true })).toEqual(expected);
  });

  test.each([
    ['Platform', 'not set', 'windows'],
    ['PlatformDetails', 'Linux/UNIX', 'Windows'],
    ['UsageOperation', 'RunInstances', 'RunInstances:0002'],
  ])('in %s, unless it may lose its billing', (field, there, here) => {
    expect(changed({ [field]: here })).toEqual([{ field, source: there, target: here }]);
    expect(differences(source, { ...copy, [field]: here }, { ...same, lostBilling: true })).toEqual([]);
  });

  test.each(['KernelId', 'RamdiskId'])('in %s, unless it is in another region', (field) => {
    expect(changed({ [field]: 'a-1' })).toEqual([{ field, source: 'not set', target: 'a-1' }]);
    expect(differences(source, { ...copy, [field]: 'a-1' }, { ...same, otherRegion: true })).toEqual([]);
  });

  test('in nothing where AWS leaves out what is usual', () => {
    const { RootDeviceType: _, PlatformDetails: __, UsageOperation: ___, ...bare } = copy;
    expect(differences(source, bare, same)).toEqual([]);
    expect(changed({ PlatformDetails: '', UsageOperation: '' })).toEqual([]);
  });

  test('in its product codes and its watermarks, whatever their order', () => {
    const codes = (...ids: string[]) => ({ ProductCodes: ids.map((ProductCodeId) => ({ ProductCodeId })) });
    const marks = (...keys: string[]) => ({ ImageWatermarks: keys.map((WatermarkKey) => ({ WatermarkKey })) });
    for (const [field, list] of [
      ['ProductCodes', codes],
      ['ImageWatermarks', marks],
    ] as const) {
      expect(differences({ ...source, ...list('a', 'b') }, { ...copy, ...list('b', 'a') }, same)).toEqual([]);
      expect(changed(list())).toEqual([]);
      expect(changed(list('b', 'a'))).toEqual([{ field, source: 'not set', target: 'a, b' }]);
    }
  });

  test('in the instance types that it is for', () => {
    const types = (yes: string[], no: string[]) => ({
      InstanceTypeSpecification: {
        SupportedInstanceTypes: yes.map((InstanceType) => ({ InstanceType })),
        UnsupportedInstanceTypes: no.map((InstanceType) => ({ InstanceType })),
      },
    });
    expect(instanceTypesOf(types(['m7i.large', 'c7i.large'], []))).toBe('c7i.large, m7i.large');
    expect(instanceTypesOf(types([], ['t2.micro']))).toBe('not t2.micro');
    for (const none of [{}, { InstanceTypeSpecification: {} }, types([], [])])
      expect(instanceTypesOf(none)).toBeUndefined();
    expect(changed(types([], ['t2.micro']))).toEqual([
      { field: 'InstanceTypeSpecification', source: 'not set', target: 'not t2.micro' },
    ]);
  });

  test('in ENA, where off and absent are one; and an empty text is none', () => {
    expect(changed({ EnaSupport: false })).toEqual([{ field: 'EnaSupport', source: 'true', target: 'not set' }]);
    const { EnaSupport: _, ...without } = source;
    expect(differences(without, { ...copy, EnaSupport: false }, same)).toEqual([]);
    expect(differences({ ...source, SriovNetSupport: '' }, copy, same)).toEqual([]);
  });

  const performance = { VolumeType: 'gp3', Iops: 3000, Throughput: 125, DeleteOnTermination: true, EbsCardIndex: 0 };
  /** In what a volume differs from one of the source that states `stated`. */
  const volumeDifferences = (stated: object, here: object) =>
    differences(
      { BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: 'snap-1', VolumeSize: 8, ...stated } }] },
      {
        BlockDeviceMappings: [
          { DeviceName: '/dev/xvda', Ebs: { SnapshotId: 'snap-2', VolumeSize: 8, ...stated, ...here } },
        ],
      },
      same,
    );

  test.each([
    ['VolumeType', 'gp3', 'io2'],
    ['VolumeSize', 8, 16],
    ['Iops', 3000, 4000],
    ['Throughput', 125, 250],
    ['DeleteOnTermination', true, false],
    ['EbsCardIndex', 0, 1],
  ])("in a volume's %s", (field, there, here) => {
    const name = `BlockDeviceMappings[/dev/xvda].Ebs.${field}`;
    expect(volumeDifferences(performance, { [field]: here })).toEqual([
      { field: name, source: String(there), target: String(here) },
    ]);
    expect(volumeDifferences(performance, { [field]: undefined })).toEqual([
      { field: name, source: String(there), target: 'not set' },
    ]);
  });

  test('in nothing that the source leaves open', () => {
    expect(volumeDifferences({}, performance)).toEqual([]);
  });

  test('in no IOPS and throughput of a volume whose type is given none', () => {
    const stated = { VolumeType: 'gp2', Iops: 100, Throughput: 100 };
    expect(volumeDifferences(stated, { Iops: 300, Throughput: 250 })).toEqual([]);
    expect(volumeDifferences(stated, { VolumeSize: 16 })).toHaveLength(1);
    expect(volumeDifferences({ ...stated, VolumeType: 'io2' }, { Iops: 300, Throughput: 250 })).toHaveLength(1);
  });

  test('if a snapshot came out unencrypted: it must be encrypted whatever the source is', () => {
    const encrypted = [{ field: 'BlockDeviceMappings[/dev/xvda].Ebs.Encrypted', source: 'true', target: 'false' }];
    expect(ebs(0, { Encrypted: false })).toEqual(encrypted);
    // That nothing is said of it says nothing; the snapshot's key tells.
    expect(ebs(0, { Encrypted: undefined })).toEqual([]);
  });

  test('if a new volume is not encrypted as that of the source is', () => {
    expect(ebs(2, { Encrypted: false })).toEqual([
      { field: 'BlockDeviceMappings[/dev/sdc].Ebs.Encrypted', source: 'true', target: 'false' },
    ]);
    expect(ebs(2, { Encrypted: undefined })).toHaveLength(1);
    const plain = { ...source, BlockDeviceMappings: [{ DeviceName: '/dev/sdc', Ebs: { VolumeSize: 4 } }] };
    expect(differences(plain, plain, same)).toEqual([]);
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
    expect(
      differences({ ...source, BlockDeviceMappings: source.BlockDeviceMappings?.slice(1) ?? [] }, copy, same),
    ).toEqual([{ field: 'BlockDeviceMappings[/dev/xvda]', source: 'not set', target: 'there' }]);
    const { BlockDeviceMappings: _, ...bare } = source;
    expect(differences(bare, { ...bare, BlockDeviceMappings: first ? [first] : [] }, same)).toHaveLength(1);
    expect(differences({ ...source, BlockDeviceMappings: [root] }, bare, same)).toHaveLength(1);
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
  expect(
    snapshotDifferences('key-1', copy, [...snapshots, { SnapshotId: 'snap-data-copy', KmsKeyId: 'key-1' }]),
  ).toEqual([]);
  expect(
    snapshotDifferences('key-1', copy, [...snapshots, { SnapshotId: 'snap-data-copy', KmsKeyId: 'key-2' }]),
  ).toEqual([{ field: 'the key of snap-data-copy', source: 'key-1', target: 'key-2', asked: true }]);
  expect(snapshotDifferences('key-1', copy, snapshots)).toEqual([
    { field: 'the key of snap-data-copy', source: 'key-1', target: 'not known', asked: true },
  ]);
});

test('a snapshot that was archived is told: nothing is launched from it', () => {
  const snapshots = (['archive', 'standard'] as const).map((StorageTier, index) => ({
    ...{ SnapshotId: ['snap-root-copy', 'snap-data-copy'][index], KmsKeyId: 'key-1', StorageTier },
  }));
  expect(snapshotDifferences('key-1', copy, snapshots)).toEqual([
    { field: 'the storage tier of snap-root-copy', source: 'standard', target: 'archive', asked: true },
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

test('a difference is told by what the source has, or by what was asked for', () => {
  const difference = { field: 'VolumeSize', source: '8', target: '9' };
  expect(differenceText(difference)).toBe('VolumeSize is 9, but 8 in the source');
  expect(differenceText({ ...difference, asked: true })).toBe('VolumeSize is 9, but 8 was asked for');
});

test('UEFI variables are told to be others, not what they are', () => {
  const [none, some, others] = [{ uefiData: undefined }, { uefiData: 'QU1a' }, { uefiData: 'T1RI' }];
  for (const same of [none, some]) expect(extrasDifferences(same, { ...same })).toEqual([]);
  expect(extrasDifferences(some, others)).toEqual([{ field: 'UefiData', source: 'of its own', target: 'another' }]);
  expect(extrasDifferences(some, none)).toEqual([{ field: 'UefiData', source: 'of its own', target: 'not set' }]);
  expect(extrasDifferences(none, some)).toEqual([{ field: 'UefiData', source: 'not set', target: 'another' }]);
});

test('of the tags that were asked for, those are told that are missing or otherwise', () => {
  const asked = [
    { Key: 'team', Value: 'platform' },
    { Key: 'stage', Value: 'prod' },
  ];
  expect(tagDifferences(asked, { Tags: [...asked, { Key: 'more', Value: 'x' }] })).toEqual([]);
  expect(tagDifferences(asked, { Tags: [{ Key: 'stage', Value: 'test' }] })).toEqual([
    { field: 'the tag team', source: 'platform', target: 'not set', asked: true },
    { field: 'the tag stage', source: 'prod', target: 'test', asked: true },
  ]);
  expect(tagDifferences(asked, {})).toHaveLength(2);
});

test('a tag value that the SDK reads as empty is compared as such', () => {
  const asked = (Value: string) => [{ Key: 'note', Value }];
  const empty = { Tags: asked('') };
  for (const value of ['', '\n', ' \n ']) expect(tagDifferences(asked(value), empty)).toEqual([]);
  for (const value of [' ', 'x\n', '\nx'])
    expect([tagDifferences(asked(value), { Tags: asked(value) }), tagDifferences(asked(value), empty)]).toEqual([
      [],
      [{ field: 'the tag note', source: value, target: '', asked: true }],
    ]);
  expect(tagDifferences([{ Key: 'note' }], empty)).toEqual([]);
});

describe('an AMI ID', () => {
  const digits = (count: number) => `ami-${'0f9'.repeat(count).slice(0, count)}`;
  test.each([digits(8), digits(17)])('%s', (id) => expect(isImageId(id)).toBe(true));
  test.each([
    ...[0, 1, 7, 9, 16, 18].map(digits),
    ...[8, 17].map((count) => `${digits(count - 1)}g`),
    ...[8, 17].flatMap((count) => [`x${digits(count)}`, `${digits(count)}\n`]),
    'ami-gggggggg',
    `ami-${'g'.repeat(17)}`,
  ])('not %j', (id) => expect(isImageId(id)).toBe(false));

  test('is told of each image that has one', () => {
    expect(imageIdsOf([{ ImageId: 'ami-a' }, {}, { ImageId: 'ami-b' }])).toEqual(['ami-a', 'ami-b']);
  });
});

test("AWS's own description of a copy says nothing of the image", () => {
  const described = (Description: string) => describedAs({ Description });
  expect(['', '[Copied ami-0f9 from eu-west-1] base', '[Copied ami-12 from us-gov-east-1]'].map(described)).toEqual(
    Array(3).fill(undefined),
  );
  expect(describedAs({})).toBe(undefined);
  const own = [
    'base',
    'my [Copied ami-0f9 from eu-west-1]',
    '[Copied ami-xyz from eu-west-1]',
    '[Copied ami-0f9 from X]',
  ];
  expect(own.map(described)).toEqual(own);
});
