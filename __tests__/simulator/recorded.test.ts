/*
 * What accounts of AWS were recorded to answer (radkawar/stackd's captures of September 2026, cloud-custodian's recorded
 * tests, localstack's tests that were validated against AWS, and what issues quote), told again as a table: each call,
 * and what came back of it. `fields` are all that an answer has, lists marked by [].
 */
import * as ec2 from '@aws-sdk/client-ec2';
import * as kms from '@aws-sdk/client-kms';
import * as ssm from '@aws-sdk/client-ssm';
import * as sts from '@aws-sdk/client-sts';
import { describe, expect, test } from '@jest/globals';
import { ideal } from '../../simulator/hardness.ts';
import { administrator } from '../../simulator/iam.ts';
import { keyArnOf, type RoleScenario } from '../../simulator/scenario.ts';
import { handlerOf, startSimulator } from '../in-process.ts';

const owner = '111111111111';
const member = '999999999999';
const region = 'us-east-1';
const name = 'minimal';
const device = '/dev/sda1';
const key = keyArnOf(owner, region, 'cmk');
const disabled = keyArnOf(owner, region, 'off');
const vanished = `arn:aws:iam::${member}:role/none`;
const knownId = 'ami-0ffffffffffffffff';
const zeros = '0'.repeat(17);

type Client<Command> = { send(command: Command): Promise<object> };
type Recorded =
  | Readonly<{ fields: readonly string[] }>
  | Readonly<{ value: readonly [path: string, value: unknown] }>
  | Readonly<{ status: number; code: string; message?: string | RegExp }>;

/** An owner with a registered image and snapshots under several keys, and a member account with a role. */
async function open() {
  const trust: RoleScenario['trust'] = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${owner}:root` }, Action: 'sts:AssumeRole' }],
  };
  const volumes = ['cmk', 'aws/ebs', undefined].map((under, index) => ({
    device: `/dev/sd${'abc'[index]}`,
    sizeGiB: 1,
    ...(under && { key: under }),
  }));
  const simulator = await startSimulator({
    accounts: {
      [owner]: {
        regions: { [region]: { keys: { cmk: {}, off: { state: 'Disabled' } }, amis: [{ name: 'source', volumes }] } },
      },
      [member]: { roles: { r: { trust, policies: [administrator] } }, regions: { [region]: {} } },
    },
    ambient: { account: owner },
    timings: { ...ideal.timings, secondsPerGiB: 0 },
    rules: { ...ideal.rules, structuredIds: true },
  });
  const { AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '', AWS_SESSION_TOKEN = '' } = simulator.env;
  const ownKeys = {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    sessionToken: AWS_SESSION_TOKEN,
  };
  const config = { region, endpoint: simulator.url, maxAttempts: 1, requestHandler: handlerOf(simulator) };
  const clientsOf = (credentials: typeof ownKeys) => ({
    ec2: new ec2.EC2Client({ ...config, credentials }),
    kms: new kms.KMSClient({ ...config, credentials }),
    ssm: new ssm.SSMClient({ ...config, credentials }),
    sts: new sts.STSClient({ ...config, credentials }),
  });
  const own = clientsOf(ownKeys);
  const [encrypted = '', managed = '', plain = ''] = [
    ...(simulator.world.accounts[owner]?.regions.get(region)?.snapshots.keys() ?? []),
  ];
  const register = (more: Partial<ec2.RegisterImageRequest> = {}) =>
    own.ec2.send(
      new ec2.RegisterImageCommand({
        Name: name,
        Architecture: 'x86_64',
        VirtualizationType: 'hvm',
        RootDeviceName: device,
        BlockDeviceMappings: [{ DeviceName: device, Ebs: { SnapshotId: plain } }],
        TagSpecifications: [{ ResourceType: 'image', Tags: [{ Key: 'suite', Value: 'one' }] }],
        ...more,
      }),
    );
  const assume = () =>
    own.sts.send(new sts.AssumeRoleCommand({ RoleArn: `arn:aws:iam::${member}:role/r`, RoleSessionName: 'mm' }));
  return {
    own,
    encrypted,
    managed,
    plain,
    register,
    assume,
    image: async () => (await register()).ImageId ?? '',
    async as() {
      const { Credentials: got } = await assume();
      const { AccessKeyId = '', SecretAccessKey = '', SessionToken = '' } = got ?? {};
      return clientsOf({ accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken });
    },
    clock: simulator.clock,
  };
}

type World = Awaited<ReturnType<typeof open>>;

const described = (more: readonly string[] = []) =>
  [
    ...['PlatformDetails', 'UsageOperation', 'Hypervisor', 'Name', 'RootDeviceName', 'RootDeviceType', 'State'],
    ...['VirtualizationType', 'FreeTierEligible', 'ImageId', 'ImageLocation', 'OwnerId', 'CreationDate', 'Public'],
    ...['Architecture', 'ImageType', 'BlockDeviceMappings[].DeviceName'],
    ...['DeleteOnTermination', 'SnapshotId', 'VolumeSize', 'VolumeType', 'Encrypted'].map(
      (field) => `BlockDeviceMappings[].Ebs.${field}`,
    ),
    ...more,
  ].map((field) => `Images[].${field}`);

const copied = (more: readonly string[] = []) =>
  [
    ...['StorageTier', 'TransferType', 'SnapshotId', 'VolumeId', 'State', 'StartTime', 'Progress', 'OwnerId'],
    ...['Description', 'VolumeSize', 'Encrypted'],
    ...more,
  ].map((field) => `Snapshots[].${field}`);

const refused = (code: string, message?: string | RegExp, status = 400): Recorded => ({
  status,
  code,
  ...(message !== undefined && { message }),
});

const ids = (...ImageIds: string[]) => new ec2.DescribeImagesCommand({ ImageIds });
const modify = (ImageId: string, more: Omit<ec2.ModifyImageAttributeRequest, 'ImageId'>) =>
  new ec2.ModifyImageAttributeCommand({ ImageId, ...more });
const attribute = (ImageId: string, Attribute: string) =>
  new ec2.DescribeImageAttributeCommand({ ImageId, Attribute: Attribute as ec2.ImageAttributeName });

/** A call on the image that was registered. */
const onImage =
  (commandOf: (id: string) => unknown) =>
  async ({ own, image }: World): Promise<object> =>
    (own.ec2 as Client<unknown>).send(commandOf(await image()));

/** A call by the member on that image, with it shared. */
const byMember =
  (commandOf: (id: string) => unknown) =>
  async ({ own, image, as }: World): Promise<object> => {
    const id = await image();
    await own.ec2.send(modify(id, { Description: { Value: 'Shared' } }));
    await own.ec2.send(modify(id, { ImdsSupport: { Value: 'v2.0' } }));
    await own.ec2.send(modify(id, { LaunchPermission: { Add: [{ UserId: member }] } }));
    return ((await as()).ec2 as Client<unknown>).send(commandOf(id));
  };

const copy = (world: World, more: Partial<ec2.CopySnapshotRequest> = {}) =>
  world.own.ec2.send(
    new ec2.CopySnapshotCommand({
      SourceRegion: region,
      SourceSnapshotId: world.encrypted,
      Encrypted: true,
      KmsKeyId: key,
      ...more,
    }),
  );

const copyAfter = (seconds: number) => async (world: World) => {
  const { SnapshotId = '' } = await copy(world);
  await world.clock.sleep(seconds * 1000);
  return world.own.ec2.send(new ec2.DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }));
};

const shareSnapshot = (SnapshotId: string, permission: ec2.CreateVolumePermission) =>
  new ec2.ModifySnapshotAttributeCommand({ SnapshotId, CreateVolumePermission: { Add: [permission] } });

const grant = (GranteePrincipal: string, more: Partial<kms.CreateGrantRequest> = {}) =>
  new kms.CreateGrantCommand({ KeyId: key, GranteePrincipal, Operations: ['Decrypt'], Name: 'one', ...more });

const parameter = (Name: string) => new ssm.GetParameterCommand({ Name });
const put = (Name: string) => new ssm.PutParameterCommand({ Name, Value: 'a', Type: 'String' });

const noOwner = (id: string) => `Not authorized for image:${id}`;
const badName =
  'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_';

type Row = readonly [call: string, act: (world: World) => Promise<object>, recorded: Recorded];

/** Attributes that nothing was set of are empty, not left out. */
const unset: readonly Row[] = [
  ['description', 'Description'],
  ['bootMode', 'BootMode'],
  ['imdsSupport', 'ImdsSupport'],
  ['kernel', 'KernelId'],
  ['ramdisk', 'RamdiskId'],
  ['sriovNetSupport', 'SriovNetSupport'],
  ['tpmSupport', 'TpmSupport'],
  ['uefiData', 'UefiData'],
  ['lastLaunchedTime', 'LastLaunchedTime'],
].map(
  ([asked = '', path = '']): Row => [
    `the unset attribute ${asked}`,
    onImage((id) => attribute(id, asked)),
    { value: [path, {}] },
  ],
);

const ofMembers: readonly Row[] = [
  'description',
  'launchPermission',
  'bootMode',
  'imdsSupport',
  'productCodes',
  'uefiData',
].map(
  (asked): Row => [
    `the attribute ${asked} by who it is shared with`,
    byMember((id) => attribute(id, asked)),
    refused('AuthFailure', new RegExp(`^${noOwner('ami-[0-9a-f]{17}')}$`)),
  ],
);

const images: readonly Row[] = [
  ['RegisterImage of the least', ({ register }) => register(), { fields: ['ImageId'] }],
  [
    'its image',
    onImage((id) => ids(id)),
    { fields: described(['Tags[].Key', 'Tags[].Value', 'DeregistrationProtection']) },
  ],
  ['its volume type', onImage((id) => ids(id)), { value: ['Images.0.BlockDeviceMappings.0.Ebs.VolumeType', 'gp2'] }],
  ...unset,
  [
    'launch permissions',
    onImage((id) => attribute(id, 'launchPermission')),
    { fields: ['ImageId', 'LaunchPermissions[]'] },
  ],
  ['product codes', onImage((id) => attribute(id, 'productCodes')), { fields: ['ImageId', 'ProductCodes[]'] }],
  [
    'deregistration protection',
    onImage((id) => attribute(id, 'deregistrationProtection')),
    { value: ['DeregistrationProtection', { Value: 'disabled' }] },
  ],
  [
    'the devices, even by the owner',
    onImage((id) => attribute(id, 'blockDeviceMapping')),
    refused('AuthFailure', 'Unauthorized attempt to access restricted resource'),
  ],
  ['another description', onImage((id) => modify(id, { Description: { Value: 'Other' } })), { fields: [] }],
  [
    'no description',
    onImage((id) => modify(id, { Description: { Value: '' } })),
    refused('MissingParameter', 'The request must contain the parameter description'),
  ],
  ['IMDSv2', onImage((id) => modify(id, { ImdsSupport: { Value: 'v2.0' } })), { fields: [] }],
  [
    'IMDSv2 is shown',
    async (world) => {
      const id = await world.image();
      await world.own.ec2.send(modify(id, { ImdsSupport: { Value: 'v2.0' } }));
      return world.own.ec2.send(ids(id));
    },
    { value: ['Images.0.ImdsSupport', 'v2.0'] },
  ],
  [
    'IMDSv2 taken back',
    onImage((id) => modify(id, { ImdsSupport: { Value: '' } })),
    refused('MissingParameter', 'The request must contain the parameter imdsSupport with value v2.0'),
  ],
  [
    'nothing to modify',
    onImage((id) => modify(id, {})),
    refused('InvalidParameterCombination', 'No attributes specified.'),
  ],
  [
    'no permission to modify',
    onImage((id) => modify(id, { LaunchPermission: {} })),
    refused('InvalidParameterCombination', 'No attributes specified.'),
  ],
  [
    'sharing with oneself',
    onImage((id) => modify(id, { LaunchPermission: { Add: [{ UserId: owner }] } })),
    { fields: [] },
  ],
  [
    'no more sharing with oneself',
    onImage((id) => modify(id, { LaunchPermission: { Remove: [{ UserId: owner }] } })),
    { fields: [] },
  ],
  [
    'sharing with what is no account',
    onImage((id) => modify(id, { LaunchPermission: { Add: [{ UserId: '123' }] } })),
    refused('InvalidAMIAttributeItemValue', 'Invalid attribute item value "123 " for userId item type.'),
  ],
  [
    'two attributes at once',
    onImage((id) => modify(id, { Description: { Value: 'Other' }, ImdsSupport: { Value: 'v2.0' } })),
    refused('InvalidParameterCombination', 'Fields for multiple attribute types specified: description, imdsSupport'),
  ],
  [
    'a name that is taken',
    async ({ image, register }) => {
      await image();
      return register();
    },
    refused('InvalidAMIName.Duplicate', /^AMI name minimal is already in use by AMI ami-[0-9a-f]{17}$/),
  ],
  [
    'no root',
    ({ register, plain }) =>
      register({ BlockDeviceMappings: [{ DeviceName: '/dev/sdb', Ebs: { SnapshotId: plain } }] }),
    refused('InvalidBlockDeviceMapping', 'No root snapshot specified in device mapping.'),
  ],
  [
    'a name of other letters',
    ({ register }) => register({ Name: 'x:y' }),
    refused(
      'InvalidAMIName.Malformed',
      "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_'",
    ),
  ],
  [
    'a snapshot that is not there',
    ({ register }) => register({ BlockDeviceMappings: [{ DeviceName: device, Ebs: { SnapshotId: `snap-${zeros}` } }] }),
    refused('InvalidSnapshotID.NotFound', `The snapshot ID 'snap-${zeros}' does not exist`),
  ],
  [
    'encryption beside a snapshot',
    ({ register, plain }) =>
      register({ BlockDeviceMappings: [{ DeviceName: device, Ebs: { SnapshotId: plain, Encrypted: true } }] }),
    refused('InvalidParameter', /^Parameter encrypted is invalid\. You cannot specify the encrypted flag/),
  ],
  [
    'pages of one',
    ({ own }) => own.ec2.send(new ec2.DescribeImagesCommand({ Owners: ['self'], MaxResults: 1 })),
    refused('InvalidParameterValue', "Invalid value '1' for maxResults. Expecting a value greater than 5."),
  ],
  [
    'pages of what is named',
    onImage((id) => new ec2.DescribeImagesCommand({ ImageIds: [id], MaxResults: 5 })),
    refused('InvalidParameterCombination', 'The parameter imageIdsSet cannot be used with the parameter maxResults'),
  ],
  [
    'an ID that none can have',
    ({ own }) => own.ec2.send(ids(`ami-${zeros}`)),
    refused('InvalidAMIID.Malformed', `Invalid id: "ami-${zeros}"`),
  ],
  [
    'an ID that none has',
    ({ own }) => own.ec2.send(ids(knownId)),
    refused('InvalidAMIID.NotFound', `The image id '[${knownId}]' does not exist`),
  ],
  [
    'an empty ID',
    ({ own }) => own.ec2.send(ids('')),
    refused('MissingParameter', 'The request must contain the parameter ImageId'),
  ],
  [
    'an image that is not shared',
    async ({ image, as }) => (await as()).ec2.send(ids(await image())),
    { value: ['Images', []] },
  ],
  ['a shared image', byMember((id) => ids(id)), { fields: described(['Description', 'ImdsSupport']) }],
  ...ofMembers,
  [
    'what oneself may launch',
    async ({ own, image }) => {
      const id = await image();
      await own.ec2.send(modify(id, { LaunchPermission: { Add: [{ UserId: owner }] } }));
      return own.ec2.send(new ec2.DescribeImagesCommand({ ImageIds: [id], ExecutableUsers: ['self'] }));
    },
    { value: ['Images.0.ImageId', expect.stringMatching(/^ami-/)] },
  ],
  [
    'what all may launch',
    onImage((id) => new ec2.DescribeImagesCommand({ ImageIds: [id], ExecutableUsers: ['all'] })),
    { value: ['Images', []] },
  ],
  [
    'ResetImageAttribute',
    onImage((ImageId) => new ec2.ResetImageAttributeCommand({ ImageId, Attribute: 'launchPermission' })),
    { fields: [] },
  ],
  [
    'DeleteSnapshot of one that is in use',
    ({ own, plain }) => own.ec2.send(new ec2.DeleteSnapshotCommand({ SnapshotId: plain })),
    refused('InvalidSnapshot.InUse'),
  ],
  [
    'DeregisterImage',
    onImage((ImageId) => new ec2.DeregisterImageCommand({ ImageId })),
    { fields: ['Return', 'DeleteSnapshotResults[]'] },
  ],
  [
    'what was deregistered',
    async ({ own, image, clock }) => {
      const ImageId = await image();
      await own.ec2.send(new ec2.DeregisterImageCommand({ ImageId }));
      await clock.sleep(60_000);
      return own.ec2.send(ids(ImageId));
    },
    { value: ['Images', []] },
  ],
  [
    'DeregisterImage again',
    async ({ own, image }) => {
      const ImageId = await image();
      await own.ec2.send(new ec2.DeregisterImageCommand({ ImageId }));
      return own.ec2.send(new ec2.DeregisterImageCommand({ ImageId }));
    },
    refused('InvalidAMIID.Unavailable', /^The image ID 'ami-[0-9a-f]{17}' is no longer available$/),
  ],
];

const snapshots: readonly Row[] = [
  [
    'a snapshot that is not there',
    ({ own }) => own.ec2.send(new ec2.DescribeSnapshotsCommand({ SnapshotIds: ['snap-0e2cfbd9a8849ef50'] })),
    refused('InvalidSnapshot.NotFound', "The snapshot 'snap-0e2cfbd9a8849ef50' does not exist."),
  ],
  [
    'a copy under a disabled key',
    (world) => copy(world, { KmsKeyId: disabled }),
    refused('InvalidParameterValue', `The specified keyId ${disabled} is disabled`),
  ],
  [
    'a copy under no key',
    (world) => copy(world, { KmsKeyId: 'alias/missing' }),
    refused('InvalidParameterValue', 'The specified keyId alias/missing is invalid'),
  ],
  ['CopySnapshot', (world) => copy(world), { fields: ['SnapshotId'] }],
  ['a copy that is pending', copyAfter(0), { fields: copied(['StateMessage']) }],
  [
    'a copy that is completed',
    copyAfter(60),
    { fields: copied(['CompletionTime', 'FullSnapshotSizeInBytes', 'KmsKeyId']) },
  ],
  [
    'sharing what is under aws/ebs',
    ({ own, managed }) => own.ec2.send(shareSnapshot(managed, { UserId: member })),
    refused('OperationNotPermitted', 'Encrypted snapshots with EBS default key cannot be shared'),
  ],
  [
    'sharing what is encrypted with all',
    ({ own, encrypted }) => own.ec2.send(shareSnapshot(encrypted, { Group: 'all' })),
    refused('OperationNotPermitted', 'Encrypted snapshots cannot be shared publicly.'),
  ],
];

const keys: readonly Row[] = [
  [
    'DescribeKey',
    ({ own }) => own.kms.send(new kms.DescribeKeyCommand({ KeyId: key })),
    {
      fields: [
        ...['AWSAccountId', 'KeyId', 'Arn', 'CreationDate', 'Enabled', 'Description', 'KeyUsage', 'KeyState', 'Origin'],
        ...['KeyManager', 'CustomerMasterKeySpec', 'KeySpec', 'EncryptionAlgorithms[]', 'MultiRegion'],
        'CurrentKeyMaterialId',
      ].map((field) => `KeyMetadata.${field}`),
    },
  ],
  [
    'an alias that is not there',
    ({ own }) => own.kms.send(new kms.DescribeKeyCommand({ KeyId: 'alias/none' })),
    refused('NotFoundException', `Alias arn:aws:kms:${region}:${owner}:alias/none is not found.`),
  ],
  [
    'what is no key',
    ({ own }) => own.kms.send(new kms.DescribeKeyCommand({ KeyId: 'auto' })),
    refused('NotFoundException', "Invalid keyId 'auto'"),
  ],
  [
    'a grant to a role that is not there',
    ({ own }) => own.kms.send(grant(vanished)),
    refused('InvalidArnException', `ARN does not refer to a valid principal: ${vanished}`),
  ],
  [
    'DescribeKey of an account that the key does not know',
    async ({ as }) => (await as()).kms.send(new kms.DescribeKeyCommand({ KeyId: key })),
    refused(
      'AccessDeniedException',
      `User: arn:aws:sts::${member}:assumed-role/r/mm is not authorized to perform: kms:DescribeKey on this resource because no resource-based policy allows the kms:DescribeKey action`,
    ),
  ],
  [
    'CreateGrant',
    ({ own }) => own.kms.send(grant(`arn:aws:iam::${member}:role/r`)),
    { fields: ['GrantId', 'GrantToken'] },
  ],
  [
    'ListGrants',
    async ({ own }) => {
      await own.kms.send(grant(`arn:aws:iam::${member}:role/r`));
      return own.kms.send(new kms.ListGrantsCommand({ KeyId: key }));
    },
    {
      fields: [
        ...['KeyId', 'GrantId', 'Name', 'CreationDate', 'GranteePrincipal', 'IssuingAccount', 'Operations[]'].map(
          (field) => `Grants[].${field}`,
        ),
        'Truncated',
      ],
    },
  ],
  [
    'ListGrants of a role that is not there',
    ({ own }) => own.kms.send(new kms.ListGrantsCommand({ KeyId: key, GranteePrincipal: vanished })),
    refused('InvalidArnException', `ARN does not refer to a valid principal: ${vanished}`),
  ],
  [
    'GetKeyPolicy',
    ({ own }) => own.kms.send(new kms.GetKeyPolicyCommand({ KeyId: key })),
    { fields: ['Policy', 'PolicyName'] },
  ],
  [
    'a dry run',
    ({ own }) => own.kms.send(grant(`arn:aws:iam::${member}:role/r`, { DryRun: true })),
    refused('DryRunOperationException', 'The request would have succeeded, but the DryRun option is set.'),
  ],
  [
    'AssumeRole',
    ({ assume }) => assume(),
    {
      fields: [
        ...['AccessKeyId', 'SecretAccessKey', 'SessionToken', 'Expiration'].map((field) => `Credentials.${field}`),
        ...['AssumedRoleId', 'Arn'].map((field) => `AssumedRoleUser.${field}`),
      ],
    },
  ],
];

const parameters: readonly Row[] = [
  ['reading a name with a space', ({ own }) => own.ssm.send(parameter('a b')), refused('ValidationException', badName)],
  [
    'reading a path without a root',
    ({ own }) => own.ssm.send(parameter('a/b')),
    refused('ValidationException', badName),
  ],
  ['putting a name with a space', ({ own }) => own.ssm.send(put('a b')), refused('ValidationException', badName)],
  [
    'putting a path without a root',
    ({ own }) => own.ssm.send(put('a/b')),
    refused('ValidationException', 'Parameter name must be a fully qualified name.'),
  ],
];

/** All fields of an answer, each once. */
function fieldsOf(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) {
    const inner = value.flatMap((one) => fieldsOf(one, `${path}[]`));
    return [...new Set(inner.length === 0 ? [`${path}[]`] : inner)];
  }
  if (typeof value !== 'object' || value === null || value instanceof Date) return [path];
  const entries = Object.entries(value).filter(([field, one]) => field !== '$metadata' && one !== undefined);
  return entries.flatMap(([field, one]) => fieldsOf(one, path === '' ? field : `${path}.${field}`));
}

function at(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((from, field) => (from as Record<string, unknown> | undefined)?.[field], value);
}

async function played(act: Row[1]) {
  const world = await open();
  try {
    return { answer: await act(world) };
  } catch (error) {
    return { error };
  }
}

describe.each([
  ['images', images],
  ['snapshots', snapshots],
  ['keys and sessions', keys],
  ['parameters', parameters],
])('as recorded: %s', (_, rows) => {
  test.each(rows)('%s', async (__, act, recorded) => {
    const { answer, error } = await played(act);
    if ('status' in recorded) {
      const { name: code, message, $metadata } = error as kms.KMSServiceException;
      expect({ status: $metadata?.httpStatusCode, code }).toEqual({ status: recorded.status, code: recorded.code });
      if (recorded.message !== undefined) expect(message).toEqual(expect.stringMatching(exactly(recorded.message)));
      return;
    }
    expect(error).toBeUndefined();
    if ('value' in recorded) expect(at(answer, recorded.value[0])).toEqual(recorded.value[1]);
    else expect(fieldsOf(answer).sort()).toEqual([...recorded.fields].sort());
  });
});

function exactly(words: string | RegExp): RegExp {
  return typeof words === 'string' ? new RegExp(`^${words.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`) : words;
}
