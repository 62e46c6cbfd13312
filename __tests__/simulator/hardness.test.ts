// What a scenario may make harder: each behaviour with the setting that makes it, and without.
import {
  CopyImageCommand,
  CopySnapshotCommand,
  CreateTagsCommand,
  DeleteSnapshotCommand,
  DeleteTagsCommand,
  DeregisterImageCommand,
  DescribeImageAttributeCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  EnableImageDeprecationCommand,
  ListImagesInRecycleBinCommand,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
  RegisterImageCommand,
  RestoreImageFromRecycleBinCommand,
} from '@aws-sdk/client-ec2';
import {
  CreateGrantCommand,
  DescribeKeyCommand,
  GetKeyPolicyCommand,
  ListAliasesCommand,
  ListGrantsCommand,
} from '@aws-sdk/client-kms';
import { PutParameterCommand } from '@aws-sdk/client-ssm';
import { describe, expect, test } from '@jest/globals';
import { ideal, type Rules, type Timings } from '../../simulator/hardness.ts';
import { isWellFormed, newId } from '../../simulator/ids.ts';
import { amiIdOf, keyArnOf, type RegionScenario } from '../../simulator/scenario.ts';
import type { Guard } from '../../simulator/world.ts';
import { openAccount } from '../account.ts';

const account = '111111111111';
const region = 'us-east-1';
const amiId = amiIdOf(account, region, 'golden');
const unknownSnapshot = 'snap-0ffffffffffffffff';
const key = keyArnOf(account, region, 'cmk');

type Options = Readonly<{
  timings?: Partial<Timings>;
  rules?: Partial<Rules>;
  statements?: readonly object[];
  guards?: readonly Guard[];
  more?: RegionScenario;
}>;

const everything = { Effect: 'Allow', Action: '*', Resource: '*' };

async function open({ timings = {}, rules = {}, statements, guards, more = {} }: Options = {}) {
  const tags = { team: 'platform' };
  const amis = [{ name: 'golden', volumes: [{ device: '/dev/xvda', sizeGiB: 1 }], tags }];
  const policy = statements && { Version: '2012-10-17', Statement: statements };
  const there = await openAccount(
    account,
    { [region]: { amis, keys: { cmk: {} }, ...more } },
    {
      timings: { ...ideal.timings, ...timings },
      rules: { ...ideal.rules, ...rules },
      ...(policy && { policy }),
      ...(guards && { guards }),
    },
  );
  const { ec2, kms, ssm } = there.at(region);
  const snapshotId = there.snapshots(region)[0]?.data.SnapshotId ?? '';
  const image = async (ImageId = amiId) => (await ec2(new DescribeImagesCommand({ ImageIds: [ImageId] }))).Images?.[0];
  const deregister = (ImageId = amiId) => ec2(new DeregisterImageCommand({ ImageId }));
  const remove = (SnapshotId = snapshotId) => ec2(new DeleteSnapshotCommand({ SnapshotId }));
  const register = (Name: string) =>
    ec2(
      new RegisterImageCommand({
        Name,
        RootDeviceName: '/dev/xvda',
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: snapshotId } }],
      }),
    );
  const copy = (more: object = {}) =>
    ec2(new CopySnapshotCommand({ SourceRegion: region, SourceSnapshotId: snapshotId, ...more }));
  const listed = async () => (await ec2(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }))).Snapshots?.length;
  const wait = (seconds: number) => there.simulator.clock.sleep(seconds * 1000);
  return { there, ec2, kms, ssm, snapshotId, image, deregister, remove, register, copy, listed, wait };
}

test("a snapshot's description is ASCII, and not too long", async () => {
  const { copy } = await open({});
  await expect(copy({ Description: 'größe' })).rejects.toThrow(/beyond ASCII/);
  await expect(copy({ Description: 'a'.repeat(256) })).rejects.toThrow(/exceeds 255 characters/);
});

describe('late', () => {
  test('what was deregistered or deleted is described for a while', async () => {
    const { image, deregister, remove, listed, wait } = await open({ timings: { goneAfterSeconds: 2 } });
    await deregister();
    await remove();
    expect([(await image())?.ImageId, await listed()]).toEqual([amiId, 1]);
    await wait(2);
    expect([(await image())?.ImageId, await listed()]).toEqual([undefined, 0]);
  });

  test("an image's attributes and launch permissions are shown as they were", async () => {
    const { ec2, image, wait } = await open({ timings: { attributesVisibleAfterSeconds: 2 } });
    const modify = (more: object) => ec2(new ModifyImageAttributeCommand({ ImageId: amiId, ...more }));
    await modify({ Description: { Value: 'New' } });
    await modify({ LaunchPermission: { Add: [{ UserId: account }] } });
    await ec2(new EnableImageDeprecationCommand({ ImageId: amiId, DeprecateAt: new Date('2030-01-01') }));
    const launch = { ImageId: amiId, Attribute: 'launchPermission' as const };
    const seen = async () => {
      const { Description, DeprecationTime } = (await image()) ?? {};
      const { LaunchPermissions } = await ec2(new DescribeImageAttributeCommand(launch));
      return [Description, DeprecationTime, LaunchPermissions?.length];
    };
    expect(await seen()).toEqual([undefined, undefined, 0]);
    await wait(2);
    expect(await seen()).toEqual(['New', '2030-01-01T00:00:00.000Z', 1]);
  });

  test('a denial by a tag stands for a while after a tagged creation', async () => {
    const onlyTagged = {
      Effect: 'Deny',
      Action: 'ec2:DeleteSnapshot',
      Resource: '*',
      Condition: { StringNotEquals: { 'aws:ResourceTag/mine': 'yes' } },
    };
    const { copy, remove, wait } = await open({
      timings: { tagsInForceAfterSeconds: 10 },
      statements: [everything, onlyTagged],
    });
    const tagged = { TagSpecifications: [{ ResourceType: 'snapshot', Tags: [{ Key: 'mine', Value: 'yes' }] }] };
    const { SnapshotId } = await copy(tagged);
    await expect(remove(SnapshotId)).rejects.toThrow(/UnauthorizedOperation.*with an explicit deny/);
    await wait(10);
    await remove(SnapshotId);
  });

  test("a deregistered image's snapshots are in use, and its name is taken, for a while", async () => {
    const { deregister, remove, register, wait } = await open({
      timings: { freedAfterSeconds: 30, nameFreedAfterSeconds: 40 },
    });
    await deregister();
    await expect(remove()).rejects.toThrow(`InvalidSnapshot.InUse`);
    await wait(30);
    await expect(register('golden')).rejects.toThrow('InvalidAMIName.Duplicate');
    await wait(10);
    const { ImageId } = await register('golden');
    expect(ImageId).not.toBe(amiId);
    await deregister(ImageId);
    await wait(30);
    await remove();
  });

  test('a pending snapshot that is deleted takes its slot until it would have completed', async () => {
    const slots = { settings: { concurrentCopies: 1 } };
    const timings = { baseSeconds: 60, secondsPerGiB: 0 };
    const { copy, remove, listed, wait } = await open({ timings, rules: { deletesPendingLate: true }, more: slots });
    await remove((await copy()).SnapshotId);
    expect(await listed()).toBe(2);
    await expect(copy()).rejects.toThrow('ResourceLimitExceeded');
    await wait(60);
    expect(await listed()).toBe(1);
    await copy();
    const free = await open({ timings, rules: { deletesPendingLate: false }, more: slots });
    await free.remove((await free.copy()).SnapshotId);
    await free.copy();
  });
});

describe('the Recycle Bin', () => {
  const bin = (rule: object): RegionScenario => ({ settings: { recycleBin: { days: 7, ...rule } } });
  const binned = async ({ ec2 }: Awaited<ReturnType<typeof open>>) =>
    ((await ec2(new ListImagesInRecycleBinCommand({}))).Images ?? []).map(({ ImageId }) => ImageId);

  test('keeps an image, and may keep its name, until it is restored with all that it had', async () => {
    const at = await open({ rules: { binKeepsNames: true }, more: bin({}) });
    await at.deregister();
    expect([await binned(at), await at.image()]).toEqual([[amiId], undefined]);
    await expect(at.register('golden')).rejects.toThrow('InvalidAMIName.Duplicate');
    await at.ec2(new RestoreImageFromRecycleBinCommand({ ImageId: amiId }));
    expect(await binned(at)).toEqual([]);
    expect(await at.image()).toMatchObject({ Name: 'golden', Tags: [{ Key: 'team', Value: 'platform' }] });
  });

  test('gives back neither what it has no more, nor a name that another has', async () => {
    const at = await open({ rules: { binKeepsNames: false }, more: bin({ days: 0.01 }) });
    const restore = () => at.ec2(new RestoreImageFromRecycleBinCommand({ ImageId: amiId }));
    await expect(restore()).rejects.toThrow('InvalidAMIID.NotFound');
    await at.deregister();
    const { ImageId } = await at.register('golden');
    await expect(restore()).rejects.toThrow('InvalidAMIName.Duplicate');
    await at.deregister(ImageId);
    await at.wait(0.02 * 86_400);
    await expect(restore()).rejects.toThrow('InvalidAMIID.NotFound');
  });

  test.each([
    ['of all', {}, true],
    ['of a tag that it has', { tags: { team: 'platform' } }, true],
    ['of another value', { tags: { team: 'web' } }, false],
    ['of all but a tag that it has', { excludedTags: { team: 'platform' } }, false],
  ])('goes by its rule: %s', async (_, rule, kept) => {
    const at = await open({ more: bin(rule) });
    await at.deregister();
    expect(await binned(at)).toEqual(kept ? [amiId] : []);
  });
});

describe('IDs and order', () => {
  test('IDs are issued with the structure that made-up ones lack', async () => {
    for (let turn = 0; turn < 100; turn += 1) expect(isWellFormed(newId('ami'))).toBe(true);
    const wellFormed = ['0ffffffffffffffff', '0fedcba9876543210', '0400dc0055e85b9bf', '00000000', 'ffffffff'];
    const malformed = ['1111', 'ffff', '0000', '0111'].map((start) => start.padEnd(17, start.at(-1)));
    const madeUp = ['0123456789abcdef0', '0abcdef1234567890', '0c2d3e23f757b5d84'];
    for (const id of wellFormed) expect([id, isWellFormed(`snap-${id}`)]).toEqual([id, true]);
    for (const id of [...malformed, ...madeUp]) expect([id, isWellFormed(`snap-${id}`)]).toEqual([id, false]);
  });

  test('an ID without structure is malformed, in the words of each call', async () => {
    const { ec2, copy, image, remove } = await open({ rules: { structuredIds: true } });
    await expect(image('ami-0123456789abcdef0')).rejects.toThrow('InvalidAMIID.Malformed');
    await expect(remove('snap-0123456789abcdef0')).rejects.toThrow('InvalidSnapshotID.Malformed');
    await expect(copy({ SourceSnapshotId: 'snap-0123456789abcdef0' })).rejects.toThrow('InvalidParameterValue');
    await expect(remove('snap-0123456789ABCDEF0')).rejects.toThrow(/InvalidParameterValue.*Expected: 'snap-...'/);
    await expect(ec2(new DescribeImagesCommand({ ImageIds: ['ami-12345678'] }))).rejects.toThrow(
      'InvalidAMIID.NotFound',
    );
    const lenient = await open({ rules: { structuredIds: false } });
    await expect(lenient.image('ami-0123456789abcdef0')).rejects.toThrow('InvalidAMIID.NotFound');
  });

  test.each([
    ['authorization', 'UnauthorizedOperation'],
    ['existence', 'InvalidSnapshot.NotFound'],
  ] as const)('what comes first where nobody knows: %s', async (order, code) => {
    const reads = { Effect: 'Allow', Action: 'ec2:Describe*', Resource: '*' };
    const { ec2, remove } = await open({ rules: { order }, statements: [reads] });
    await expect(remove(unknownSnapshot)).rejects.toThrow(code);
    // Of these it was recorded.
    await expect(ec2(new DeregisterImageCommand({ ImageId: 'ami-0ffffffffffffffff' }))).rejects.toThrow(
      'UnauthorizedOperation',
    );
    const asked = new DescribeSnapshotsCommand({ SnapshotIds: [unknownSnapshot] });
    const blind = await open({ rules: { order }, statements: [{ ...reads, Action: 'ec2:DescribeImages' }] });
    await expect(blind.ec2(asked)).rejects.toThrow('InvalidSnapshot.NotFound');
  });
});

test('lists come in pages, asked for or not', async () => {
  const parameters = Object.fromEntries(Array.from({ length: 7 }, (_, index) => [`alias-${index}`, {}]));
  const { ec2, kms, copy } = await open({ rules: { pageSize: 5 }, more: { keys: { cmk: {}, ...parameters } } });
  for (let turn = 0; turn < 6; turn += 1) await copy();
  const first = await ec2(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
  const second = await ec2(new DescribeSnapshotsCommand({ OwnerIds: ['self'], NextToken: first.NextToken }));
  expect([first.Snapshots?.length, second.Snapshots?.length, second.NextToken]).toEqual([5, 2, undefined]);
  const ids = [...(first.Snapshots ?? []), ...(second.Snapshots ?? [])].map(({ SnapshotId }) => SnapshotId);
  expect(new Set(ids).size).toBe(7);
  const aliases = await kms(new ListAliasesCommand({ Limit: 6 }));
  const others = await kms(new ListAliasesCommand({ Limit: 6, Marker: aliases.NextMarker }));
  expect([aliases.Aliases?.length, aliases.Truncated, others.Aliases?.length, others.Truncated]).toEqual([
    6,
    true,
    3,
    false,
  ]);
  await expect(kms(new ListGrantsCommand({ KeyId: key, Limit: 101 }))).rejects.toThrow('ValidationException');
  const odd = new DescribeSnapshotsCommand({ OwnerIds: ['self'], NextToken: 'odd' });
  await expect(ec2(odd)).rejects.toThrow('InvalidParameterValue');
});

test('a filter that AWS does not have is refused as AWS does it, and told of where only the simulator lacks it', async () => {
  const { ec2 } = await open();
  const filter = (Name: string, Values = ['x']) => ({ Filters: [{ Name, Values }] });
  await expect(ec2(new DescribeImagesCommand(filter('colour')))).rejects.toThrow("The filter 'colour' is invalid");
  await expect(ec2(new DescribeInstancesCommand(filter('vpc-id')))).rejects.toThrow('NotSimulated');
  const many = Array.from({ length: 201 }, (_, index) => `v${index}`);
  await expect(ec2(new DescribeSnapshotsCommand(filter('snapshot-id', many)))).rejects.toThrow('FilterLimitExceeded');
});

describe('what conditions see', () => {
  const only = (Action: string, Condition: object) => [
    everything,
    { Effect: 'Deny', Action, Resource: '*', Condition },
  ];
  const member = '999999999999';
  const tagged = (Value: string) => ({
    TagSpecifications: [{ ResourceType: 'image' as const, Tags: [{ Key: 'team', Value }] }],
  });
  type At = Awaited<ReturnType<typeof open>>;
  const share = ({ ec2, snapshotId }: At, ...users: string[]) =>
    ec2(
      new ModifySnapshotAttributeCommand({
        SnapshotId: snapshotId,
        CreateVolumePermission: { Add: users.map((UserId) => ({ UserId })) },
      }),
    );
  const copyImage = ({ ec2 }: At, team: string) =>
    ec2(new CopyImageCommand({ Name: 'copy', SourceImageId: amiId, SourceRegion: region, ...tagged(team) }));
  const grant = ({ kms }: At, GranteePrincipal: string, Operations: readonly ('Decrypt' | 'Encrypt')[] = ['Decrypt']) =>
    kms(new CreateGrantCommand({ KeyId: key, GranteePrincipal, Operations: [...Operations] }));

  test.each<[string, readonly object[], (at: At) => Promise<unknown>, (at: At) => Promise<unknown>]>([
    [
      "the request's region",
      only('ec2:DescribeImages', { StringNotEquals: { 'aws:RequestedRegion': region } }),
      ({ there }) => there.at('eu-west-1').ec2(new DescribeImagesCommand({})),
      ({ ec2 }) => ec2(new DescribeImagesCommand({})),
    ],
    [
      "the request's region, of KMS",
      only('kms:*', { StringEquals: { 'aws:RequestedRegion': region } }),
      ({ kms }) => kms(new DescribeKeyCommand({ KeyId: key })),
      ({ ec2 }) => ec2(new DescribeImagesCommand({})),
    ],
    [
      'the tags that a request gives, in the decision on what is made',
      [
        everything,
        {
          Effect: 'Deny',
          Action: 'ec2:CopyImage',
          Resource: 'arn:aws:ec2:*::image/*',
          Condition: { StringEquals: { 'aws:RequestTag/team': 'web' } },
        },
      ],
      (at) => copyImage(at, 'web'),
      (at) => copyImage(at, 'platform'),
    ],
    [
      'the keys of tags, and what they are made by',
      only('ec2:CreateTags', {
        'ForAnyValue:StringEquals': { 'aws:TagKeys': ['team'] },
        StringEquals: { 'ec2:CreateAction': 'CopyImage' },
      }),
      (at) => copyImage(at, 'web'),
      ({ ec2 }) => ec2(new CreateTagsCommand({ Resources: [amiId], Tags: [{ Key: 'team', Value: 'web' }] })),
    ],
    [
      'the values of tags that are taken off',
      only('ec2:DeleteTags', { StringEquals: { 'aws:RequestTag/team': 'platform' } }),
      ({ ec2 }) => ec2(new DeleteTagsCommand({ Resources: [amiId], Tags: [{ Key: 'team', Value: 'platform' }] })),
      ({ ec2 }) => ec2(new DeleteTagsCommand({ Resources: [amiId], Tags: [{ Key: 'team', Value: 'web' }] })),
    ],
    [
      'each account that a snapshot is shared with',
      only('ec2:ModifySnapshotAttribute', { StringNotEquals: { 'ec2:Add/userId': member } }),
      (at) => share(at, member, '222222222222'),
      (at) => share(at, member),
    ],
    [
      'the operations of a grant',
      only('kms:CreateGrant', { 'ForAnyValue:StringNotEquals': { 'kms:GrantOperations': ['Decrypt'] } }),
      (at) => grant(at, account, ['Decrypt', 'Encrypt']),
      (at) => grant(at, account),
    ],
    [
      'the grantee',
      only('kms:CreateGrant', { StringEquals: { 'kms:GranteePrincipal': `arn:aws:iam::${account}:root` } }),
      (at) => grant(at, `arn:aws:iam::${account}:root`),
      (at) => grant(at, account),
    ],
    [
      'that a grant is for no resource of AWS',
      only('kms:CreateGrant', { Bool: { 'kms:GrantIsForAWSResource': 'false' } }),
      (at) => grant(at, account),
      ({ copy }) => copy({ Encrypted: true, KmsKeyId: key }),
    ],
    [
      'of what type an image is',
      only('ec2:DeregisterImage', { StringEquals: { 'ec2:ImageType': 'machine' } }),
      ({ deregister }) => deregister(),
      ({ ec2 }) => ec2(new DescribeImagesCommand({})),
    ],
    [
      'who owns a resource',
      only('ec2:DeregisterImage', { StringEquals: { 'ec2:Owner': account } }),
      ({ deregister }) => deregister(),
      ({ ec2 }) => ec2(new DescribeImagesCommand({})),
    ],
  ])('%s', async (...[, statements, denied, allowed]) => {
    const at = await open({ statements });
    await allowed(at);
    await expect(denied(at)).rejects.toThrow(/(UnauthorizedOperation|AccessDeniedException).*with an explicit deny/);
  });

  test('a denial names the kind of policy that it comes from', async () => {
    const policy = { Version: '2012-10-17', Statement: [{ ...everything, Action: 'ec2:*' }] };
    const deny = { Version: '2012-10-17', Statement: [everything, { ...everything, Effect: 'Deny', Action: 'kms:*' }] };
    const words = async (guard: Guard) => {
      const { kms } = await open({ statements: [everything], guards: [guard] });
      return kms(new DescribeKeyCommand({ KeyId: key })).catch((error: Error) => error.message);
    };
    expect(await words({ kind: 'permissions boundary', policy })).toMatch(
      /because no permissions boundary allows the kms:DescribeKey action/,
    );
    expect(await words({ kind: 'service control policy', policy: deny })).toMatch(
      /with an explicit deny in a service control policy/,
    );
  });
});

describe('KMS and SSM', () => {
  test('a policy is laid out as KMS does it, and a grant may name an account by its ID', async () => {
    const { kms } = await open();
    const { Policy = '' } = await kms(new GetKeyPolicyCommand({ KeyId: key }));
    expect(Policy).toMatch(/^\{\n {2}"Version" : "2012-10-17",\n[\s\S]*"Statement" : \[ \{\n/);
    expect(JSON.parse(Policy)).toMatchObject({ Id: 'key-default-1' });
    await kms(new CreateGrantCommand({ KeyId: key, GranteePrincipal: account, Operations: ['Decrypt'] }));
    const { Grants = [] } = await kms(new ListGrantsCommand({ KeyId: key, GranteePrincipal: account }));
    expect(Grants).toMatchObject([{ GranteePrincipal: account }]);
  });

  test('a role that is gone is told by its ID, in policies and grants', async () => {
    const gone = `arn:aws:iam::${account}:role/role`;
    const { there, kms } = await open({ statements: [everything] });
    const own = there.key(region, 'cmk');
    const [first] = own.policy.Statement as object[];
    own.policy = { ...own.policy, Statement: [first, { ...first, Sid: 'two', Principal: { AWS: gone } }] };
    await kms(new CreateGrantCommand({ KeyId: key, GranteePrincipal: gone, Operations: ['Decrypt'] }));
    const told = async () => {
      const { Policy = '' } = await kms(new GetKeyPolicyCommand({ KeyId: key }));
      const { Grants = [] } = await kms(new ListGrantsCommand({ KeyId: key }));
      return [JSON.parse(Policy).Statement[1].Principal.AWS, Grants[0]?.GranteePrincipal];
    };
    expect(await told()).toEqual([gone, gone]);
    there.simulator.world.accounts[account]?.roles.clear();
    expect(await told()).toEqual([expect.stringMatching(/^AROA/), expect.stringMatching(/^AROA/)]);
  });

  test('the data type of a parameter stays what it was', async () => {
    const parameters = { '/golden': 'text' };
    const put = (DataType: string, Value = amiId) =>
      new PutParameterCommand({ Name: '/golden', Value, DataType, Overwrite: true });
    const { ssm } = await open({ rules: { fixedDataTypes: true }, more: { parameters } });
    await expect(ssm(put('aws:ec2:image'))).rejects.toThrow('ValidationException');
    await ssm(put('text'));
    const lenient = await open({ rules: { fixedDataTypes: false }, more: { parameters } });
    await lenient.ssm(put('aws:ec2:image'));
    await expect(lenient.ssm(put('aws:ec2:image', 'text'))).rejects.toThrow('ValidationException');
  });
});
