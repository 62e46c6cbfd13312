import {
  CopyImageCommand,
  CopySnapshotCommand,
  CreateTagsCommand,
  DeleteSnapshotCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  DescribeLockedSnapshotsCommand,
  DescribeSnapshotsCommand,
  EC2Client,
  type LockState,
  ModifySnapshotAttributeCommand,
  RegisterImageCommand,
} from '@aws-sdk/client-ec2';
import {
  CreateGrantCommand,
  DescribeKeyCommand,
  GetKeyPolicyCommand,
  KMSClient,
  ListGrantsCommand,
  PutKeyPolicyCommand,
} from '@aws-sdk/client-kms';
import { AssumeRoleCommand, AssumeRoleWithWebIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { afterEach, describe, expect, test } from '@jest/globals';
import { ideal } from '../../simulator/hardness.ts';
import { type AmiScenario, delegatingPolicy, keyArnOf, type Scenario } from '../../simulator/scenario.ts';
import {
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';

let open: Simulator | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});

const sourceKey = keyArnOf(sourceAccount, sourceRegion, 'cmkSource');
const targetKey = keyArnOf(targetAccount, targetRegion, 'cmkTarget');

/** The SDK's clients as the source and the target role, with the AMI's ID and its snapshot's. */
async function clients(options: StandardOptions = {}, change: (scenario: Scenario) => Scenario = (one) => one) {
  const { scenario, amiId } = standardCase({
    volumes: [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }],
    ...options,
    timings: { ...ideal.timings, baseSeconds: 0.05, ...options.timings },
    rules: ideal.rules,
  });
  const simulator = await startSimulator({ ...change(scenario), ambient: { account: sourceAccount } });
  open = simulator;
  const { env, url } = simulator;
  const token = async (audience = 'sts.amazonaws.com') => {
    const response = await fetch(`${env.ACTIONS_ID_TOKEN_REQUEST_URL}&audience=${audience}`, {
      headers: { authorization: `Bearer ${env.ACTIONS_ID_TOKEN_REQUEST_TOKEN}` },
    });
    return ((await response.json()) as { value: string }).value;
  };
  const config = { endpoint: url, maxAttempts: 1 };
  const anonymous = new STSClient({
    ...config,
    region: sourceRegion,
    credentials: { accessKeyId: 'x', secretAccessKey: 'y' },
  });
  const assume = async (account: string, name: string) => {
    const { Credentials: got } = await anonymous.send(
      new AssumeRoleWithWebIdentityCommand({
        RoleArn: `arn:aws:iam::${account}:role/${name}`,
        RoleSessionName: 'test',
        WebIdentityToken: await token(),
      }),
    );
    return {
      accessKeyId: got?.AccessKeyId ?? '',
      secretAccessKey: got?.SecretAccessKey ?? '',
      sessionToken: got?.SessionToken ?? '',
    };
  };
  const [source, target] = await Promise.all([
    assume(sourceAccount, 'ami-source'),
    assume(targetAccount, 'ami-target'),
  ]);
  const snapshotId =
    [...(simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion)?.snapshots.keys() ?? [])][0] ?? '';
  return {
    simulator,
    amiId,
    snapshotId,
    token,
    /** Whoever made the AMI, and may do more with it than the action's role. */
    owner: new EC2Client({
      ...config,
      region: sourceRegion,
      credentials: {
        accessKeyId: env.AWS_ACCESS_KEY_ID ?? '',
        secretAccessKey: env.AWS_SECRET_ACCESS_KEY ?? '',
        sessionToken: env.AWS_SESSION_TOKEN ?? '',
      },
    }),
    anonymous,
    source: {
      ec2: new EC2Client({ ...config, region: sourceRegion, credentials: source }),
      kms: new KMSClient({ ...config, region: sourceRegion, credentials: source }),
      sts: new STSClient({ ...config, region: sourceRegion, credentials: source }),
    },
    target: {
      ec2: new EC2Client({ ...config, region: targetRegion, credentials: target }),
      kms: new KMSClient({ ...config, region: sourceRegion, credentials: target }),
    },
  };
}

/** An AMI of the action's whose snapshot has such a lock. */
function locked(lock: LockState | undefined): AmiScenario {
  const tags = { 'share-encrypted-ami:source-ami': 'ami-00000000000000009' };
  return { name: `locked-${lock}`, tags, volumes: [{ device: '/dev/xvda', tags, ...(lock && { lock }) }] };
}

type Clients = Awaited<ReturnType<typeof clients>>;

/** Shares the snapshot with the target account and grants its role the key. */
async function giveAccess({ source, snapshotId }: Clients): Promise<void> {
  await source.ec2.send(
    new ModifySnapshotAttributeCommand({
      SnapshotId: snapshotId,
      Attribute: 'createVolumePermission',
      CreateVolumePermission: { Add: [{ UserId: targetAccount }] },
    }),
  );
  await source.kms.send(
    new CreateGrantCommand({
      KeyId: sourceKey,
      GranteePrincipal: `arn:aws:iam::${targetAccount}:role/ami-target`,
      Operations: ['DescribeKey', 'Decrypt', 'ReEncryptFrom', 'CreateGrant'],
      Name: 'one',
    }),
  );
}

const copy = ({ target, snapshotId }: Clients, key = targetKey) =>
  target.ec2.send(
    new CopySnapshotCommand({
      SourceRegion: sourceRegion,
      SourceSnapshotId: snapshotId,
      Encrypted: true,
      KmsKeyId: key,
    }),
  );

const look = async ({ target }: Clients, id: string | undefined) =>
  (await target.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [id ?? ''] }))).Snapshots?.[0];

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function ended(all: Clients, id: string | undefined) {
  for (;;) {
    const snapshot = await look(all, id);
    if (snapshot?.State !== 'pending') return snapshot;
    await sleep(20);
  }
}

describe('snapshot copies', () => {
  test('go on by themselves, with progress and the oddities of a first look', async () => {
    const all = await clients();
    await giveAccess(all);
    const { SnapshotId } = await copy(all);
    expect(await look(all, SnapshotId)).toMatchObject({
      State: 'pending',
      VolumeSize: 0,
      Encrypted: false,
      StateMessage: 'Metadata not updated',
    });
    const done = await ended(all, SnapshotId);
    expect(done).toMatchObject({
      State: 'completed',
      Progress: '100%',
      VolumeSize: 8,
      Encrypted: true,
      KmsKeyId: targetKey,
    });
    expect(done).not.toHaveProperty('StateMessage');
  });

  const share = ({ source, snapshotId }: Clients) =>
    source.ec2.send(
      new ModifySnapshotAttributeCommand({
        SnapshotId: snapshotId,
        Attribute: 'createVolumePermission',
        CreateVolumePermission: { Add: [{ UserId: targetAccount }] },
      }),
    );

  test.each<[string, (all: Clients) => Promise<unknown>, (all: Clients) => unknown, string]>([
    ['no share', async () => {}, () => {}, 'Source snapshot is not found'],
    ['no grant on the source key', share, () => {}, 'Given key ID is not accessible'],
    [
      'the source key disabled while it runs',
      giveAccess,
      ({ simulator }) =>
        Object.assign(
          simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion)?.keys.get(sourceKey.split('/')[1] ?? '')
            ?.metadata ?? {},
          { KeyState: 'Disabled' },
        ),
      'Given key ID is not accessible',
    ],
    [
      'the source snapshot deleted while it runs',
      giveAccess,
      async ({ owner, amiId, snapshotId }) => {
        await owner.send(new DeregisterImageCommand({ ImageId: amiId }));
        await owner.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId }));
      },
      'Source snapshot is not found',
    ],
  ])('are accepted and end in error: %s', async (...[, before, during, words]) => {
    const all = await clients({ timings: { secondsPerGiB: 0.05 } });
    await before(all);
    const { SnapshotId } = await copy(all);
    await during(all);
    expect(await ended(all, SnapshotId)).toMatchObject({ State: 'error', StateMessage: words, Progress: '0%' });
  });

  test('an unshare does not break one that runs', async () => {
    const all = await clients({ timings: { secondsPerGiB: 0.05 } });
    await giveAccess(all);
    const { SnapshotId } = await copy(all);
    await all.source.ec2.send(
      new ModifySnapshotAttributeCommand({
        SnapshotId: all.snapshotId,
        Attribute: 'createVolumePermission',
        CreateVolumePermission: { Remove: [{ UserId: targetAccount }] },
      }),
    );
    expect(await ended(all, SnapshotId)).toMatchObject({ State: 'completed' });
  });

  test('are capped for an account and region', async () => {
    const all = await clients({ timings: { secondsPerGiB: 1 } });
    await giveAccess(all);
    const region = all.simulator.world.accounts[targetAccount]?.regions.get(targetRegion);
    if (region !== undefined) region.settings.concurrentCopies = 1;
    await copy(all);
    await expect(copy(all)).rejects.toMatchObject({
      name: 'ResourceLimitExceeded',
      message: 'Too many snapshot copies in progress. The limit is 1 for this destination region.',
    });
  });

  test('a key of another region, or none: refused at once', async () => {
    const all = await clients();
    await expect(copy(all, sourceKey)).rejects.toMatchObject({
      name: 'InvalidParameterValue',
      message: `The specified keyId ${sourceKey} is invalid`,
    });
  });

  test('new IDs are invisible for a while', async () => {
    const all = await clients({ timings: { visibleAfterSeconds: 0.2 } });
    await giveAccess(all);
    const { SnapshotId } = await copy(all);
    await expect(look(all, SnapshotId)).rejects.toMatchObject({ name: 'InvalidSnapshot.NotFound' });
    await sleep(250);
    expect(await look(all, SnapshotId)).toBeDefined();
  });
});

describe('sharing and images', () => {
  test.each<[string, StandardOptions, (all: Clients) => Promise<unknown>, object]>([
    [
      'a snapshot under aws/ebs',
      { volumes: [{ device: '/dev/xvda', key: 'aws/ebs' }] },
      giveAccess,
      { name: 'OperationNotPermitted', message: 'Encrypted snapshots with EBS default key cannot be shared' },
    ],
    [
      'an encrypted snapshot with all',
      {},
      ({ owner, snapshotId }) =>
        owner.send(
          new ModifySnapshotAttributeCommand({
            SnapshotId: snapshotId,
            CreateVolumePermission: { Add: [{ Group: 'all' }] },
          }),
        ),
      { name: 'OperationNotPermitted' },
    ],
    [
      'a snapshot in use by an AMI',
      {},
      ({ owner, snapshotId }) => owner.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId })),
      { name: 'InvalidSnapshot.InUse' },
    ],
    [
      'a name that is taken',
      {},
      ({ source, amiId }) =>
        source.ec2.send(
          new CopyImageCommand({ Name: 'golden-image', SourceImageId: amiId, SourceRegion: sourceRegion }),
        ),
      {
        name: 'InvalidAMIName.Duplicate',
        message: expect.stringMatching(/^AMI name golden-image is already in use by AMI ami-/),
      },
    ],
    [
      'registering from a snapshot of another account',
      {
        regions: [sourceRegion],
        target: { amis: [{ name: 'theirs', volumes: [{ device: '/dev/xvda', sharedWith: [sourceAccount] }] }] },
      },
      ({ owner, simulator }) => {
        const there = simulator.world.accounts[targetAccount]?.regions.get(sourceRegion);
        return owner.send(
          new RegisterImageCommand({
            Name: 'mine',
            RootDeviceName: '/dev/xvda',
            BlockDeviceMappings: [
              { DeviceName: '/dev/xvda', Ebs: { SnapshotId: [...(there?.snapshots.keys() ?? [])][0] } },
            ],
          }),
        );
      },
      { name: 'InvalidParameterValue' },
    ],
    [
      'MaxResults beside IDs',
      {},
      ({ source, amiId }) => source.ec2.send(new DescribeImagesCommand({ ImageIds: [amiId], MaxResults: 10 })),
      { name: 'InvalidParameterCombination' },
    ],
    [
      'an unknown filter',
      {},
      ({ source }) => source.ec2.send(new DescribeImagesCommand({ Filters: [{ Name: 'colour', Values: ['red'] }] })),
      { name: 'InvalidParameterValue', message: "The filter 'colour' is invalid" },
    ],
    [
      'a reserved tag',
      {},
      ({ owner, amiId }) =>
        owner.send(new CreateTagsCommand({ Resources: [amiId], Tags: [{ Key: 'aws:x', Value: '1' }] })),
      { name: 'InvalidParameterValue' },
    ],
    [
      'a 51st tag',
      {},
      ({ owner, amiId }) =>
        owner.send(
          new CreateTagsCommand({
            Resources: [amiId],
            Tags: Array.from({ length: 50 }, (_, index) => ({ Key: `k${index}`, Value: '' })),
          }),
        ),
      { name: 'TagLimitExceeded' },
    ],
    [
      'what the role may not do',
      {},
      ({ target, amiId }) =>
        target.ec2.send(new CopyImageCommand({ Name: 'x-y', SourceImageId: amiId, SourceRegion: sourceRegion })),
      { name: 'UnauthorizedOperation' },
    ],
    [
      'what is not shared',
      { policies: ['target-route-copy'] },
      ({ target, amiId }) =>
        target.ec2.send(new CopyImageCommand({ Name: 'x-y', SourceImageId: amiId, SourceRegion: sourceRegion })),
      { name: 'InvalidAMIID.NotFound' },
    ],
    [
      'what Allowed AMIs hides',
      {
        policies: ['target-route-copy'],
        ami: { launchPermissions: [targetAccount] },
        target: { settings: { allowedImages: { state: 'enabled', providers: ['amazon'] } } },
      },
      ({ target, amiId }) =>
        target.ec2.send(new CopyImageCommand({ Name: 'x-y', SourceImageId: amiId, SourceRegion: sourceRegion })),
      { name: 'InvalidAMIID.NotFound' },
    ],
    [
      'deleting a locked snapshot',
      { target: { amis: [locked('governance')] } },
      async ({ target }) => {
        const { Images = [] } = await target.ec2.send(new DescribeImagesCommand({ Owners: ['self'] }));
        await target.ec2.send(new DeregisterImageCommand({ ImageId: Images[0]?.ImageId }));
        const SnapshotId = Images[0]?.BlockDeviceMappings?.[0]?.Ebs?.SnapshotId;
        await target.ec2.send(new DeleteSnapshotCommand({ SnapshotId }));
      },
      { name: 'OperationNotPermitted' },
    ],
  ])('refused: %s', async (...[, options, act, error]) => {
    const all = await clients(options);
    await expect(act(all)).rejects.toMatchObject(error);
  });

  test('one client token gives one image, and other parameters beside it an error', async () => {
    const { source, amiId } = await clients();
    const send = (Name: string) =>
      source.ec2.send(
        new CopyImageCommand({
          Name,
          SourceImageId: amiId,
          SourceRegion: sourceRegion,
          Encrypted: true,
          KmsKeyId: sourceKey,
          ClientToken: 'mine',
        }),
      );
    const first = await send('copy-1');
    expect((await send('copy-1')).ImageId).toBe(first.ImageId);
    await expect(send('copy-2')).rejects.toMatchObject({ name: 'IdempotentParameterMismatch' });
  });
});

test('locks are told of what is, or was, locked', async () => {
  const amis = [locked(undefined), locked('compliance'), locked('expired')];
  const { target } = await clients({ target: { amis } });
  const { Snapshots = [] } = await target.ec2.send(new DescribeLockedSnapshotsCommand({}));
  expect(Snapshots.map(({ LockState }) => LockState)).toEqual(['compliance', 'expired']);
  const all = await target.ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
  const ids = (all.Snapshots ?? []).flatMap(({ SnapshotId }) => SnapshotId ?? []);
  const asked = await target.ec2.send(new DescribeLockedSnapshotsCommand({ SnapshotIds: ids.slice(0, 2) }));
  expect(asked.Snapshots).toEqual([Snapshots[0]]);
  await expect(
    target.ec2.send(new DescribeLockedSnapshotsCommand({ SnapshotIds: ['snap-0123456789abcdef0'] })),
  ).rejects.toMatchObject({ name: 'InvalidSnapshot.NotFound' });
});

describe('keys', () => {
  test("an owner's grant doesn't reach a role without a policy of its own", async () => {
    const all = await clients({}, (scenario) => {
      const account = scenario.accounts[targetAccount];
      const role = account?.roles?.['ami-target'];
      const { Statement } = (role?.policies[0] ?? {}) as { Statement: { Sid: string }[] };
      const policies = [{ Version: '2012-10-17', Statement: Statement.filter(({ Sid }) => Sid !== 'UseTheSourceKey') }];
      return {
        ...scenario,
        accounts: {
          ...scenario.accounts,
          [targetAccount]: { ...account, roles: { 'ami-target': { trust: role?.trust ?? {}, policies } } },
        },
      };
    });
    await giveAccess(all);
    await expect(all.target.kms.send(new DescribeKeyCommand({ KeyId: sourceKey }))).rejects.toMatchObject({
      name: 'AccessDeniedException',
      message: expect.stringContaining('because no identity-based policy allows the kms:DescribeKey action'),
    });
  });

  test('a grant is in force only after a while, and one name makes one grant', async () => {
    const all = await clients({ timings: { grantActiveAfterSeconds: 1 } });
    await giveAccess(all);
    await giveAccess(all);
    expect((await all.source.kms.send(new ListGrantsCommand({ KeyId: sourceKey }))).Grants).toHaveLength(1);
    const describe = () => all.target.kms.send(new DescribeKeyCommand({ KeyId: sourceKey }));
    await expect(describe()).rejects.toMatchObject({
      message: expect.stringContaining('no resource-based policy allows'),
    });
    await sleep(1050);
    expect((await describe()).KeyMetadata?.Arn).toBe(sourceKey);
  });

  test('a policy that would lock the account out is refused', async () => {
    const all = await clients({ policies: ['source-key-policy'] });
    const policy = (Statement: unknown) =>
      new PutKeyPolicyCommand({
        KeyId: sourceKey,
        PolicyName: 'default',
        Policy: JSON.stringify({ Version: '2012-10-17', Statement }),
      });
    const other = [
      { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${targetAccount}:root` }, Action: 'kms:*', Resource: '*' },
    ];
    await expect(all.source.kms.send(policy(other))).rejects.toMatchObject({
      name: 'MalformedPolicyDocumentException',
    });
    const { Policy } = await all.source.kms.send(new GetKeyPolicyCommand({ KeyId: sourceKey, PolicyName: 'default' }));
    expect(JSON.parse(Policy ?? '')).toEqual(delegatingPolicy(sourceAccount));
  });
});

describe('sessions', () => {
  test.each<[string, StandardOptions, (all: Clients) => Promise<unknown>, object]>([
    [
      'another audience',
      {},
      async ({ anonymous, token }) =>
        anonymous.send(
          new AssumeRoleWithWebIdentityCommand({
            RoleArn: `arn:aws:iam::${sourceAccount}:role/ami-source`,
            RoleSessionName: 'test',
            WebIdentityToken: await token('other'),
          }),
        ),
      { name: 'InvalidIdentityTokenException', message: 'Incorrect token audience' },
    ],
    [
      'a token that GitHub did not sign',
      {},
      ({ anonymous }) =>
        anonymous.send(
          new AssumeRoleWithWebIdentityCommand({
            RoleArn: `arn:aws:iam::${sourceAccount}:role/ami-source`,
            RoleSessionName: 'test',
            WebIdentityToken: 'a.b.c',
          }),
        ),
      { name: 'InvalidIdentityTokenException' },
    ],
    [
      'a role that does not trust the caller',
      {},
      ({ source }) =>
        source.sts.send(
          new AssumeRoleCommand({ RoleArn: `arn:aws:iam::${targetAccount}:role/ami-target`, RoleSessionName: 'test' }),
        ),
      {
        name: 'AccessDenied',
        message: expect.stringContaining('is not authorized to perform: sts:AssumeRole on resource'),
      },
    ],
    [
      'a session that has ended',
      { sessionSeconds: 0 },
      ({ source }) => source.ec2.send(new DescribeImagesCommand({})),
      { name: 'RequestExpired' },
    ],
  ])('refused: %s', async (...[, options, act, error]) => {
    await expect(act(await clients(options))).rejects.toMatchObject(error);
  });

  test('another repository', async () => {
    await expect(clients({ github: { repository: 'acme/other' } })).rejects.toMatchObject({
      name: 'AccessDenied',
      message: 'Not authorized to perform sts:AssumeRoleWithWebIdentity',
    });
  });
});

describe('the wire', () => {
  const post = async (body: string, headers: Record<string, string> = {}) => {
    const response = await fetch(open?.url ?? '', { method: 'POST', body, headers });
    return { status: response.status, text: await response.text() };
  };

  test('unknown parameters and actions are refused, and unsigned requests', async () => {
    const { simulator } = await clients();
    const [session] = simulator.calls;
    expect(session).toBeDefined();
    expect(await post('Action=DescribeImages&Version=2016-11-15', { authorization: 'Basic x' })).toMatchObject({
      status: 403,
      text: expect.stringContaining('MissingAuthenticationToken'),
    });
    const token = 'Action=AssumeRoleWithWebIdentity&RoleArn=a&RoleSessionName=b&WebIdentityToken=c&Colour=red';
    expect(await post(token)).toMatchObject({ status: 400, text: expect.stringContaining('UnknownParameter') });
    expect(await post('Action=Fly')).toMatchObject({ text: expect.stringContaining('InvalidAction') });
  });

  test.each<[Parameters<Simulator['addFault']>[0], object]>([
    [
      { kind: 'throttle', service: 'ec2' },
      { name: 'RequestLimitExceeded', $metadata: expect.objectContaining({ httpStatusCode: 503 }) },
    ],
    [{ kind: 'server-error', service: 'ec2' }, { name: 'InternalError' }],
    [{ kind: 'expired-session', service: 'ec2' }, { name: 'RequestExpired' }],
    [{ kind: 'reset', service: 'ec2' }, { message: expect.stringContaining('socket hang up') }],
    [{ kind: 'lost-response', service: 'ec2' }, { message: expect.stringContaining('socket hang up') }],
  ])('fault %j', async (fault, error) => {
    const { simulator, source } = await clients();
    simulator.addFault(fault);
    await expect(source.ec2.send(new DescribeImagesCommand({ Owners: ['self'] }))).rejects.toMatchObject(error);
    expect(simulator.calls.at(-1)).toMatchObject({ fault: fault.kind });
  });
});
