// What people do today, on the same simulator: the procedure's calls, one after another or all at once.
import {
  CopyImageCommand,
  CopySnapshotCommand,
  DescribeImagesCommand,
  DescribeSnapshotsCommand,
  EC2Client,
  type Image,
  ModifySnapshotAttributeCommand,
  RegisterImageCommand,
  waitUntilImageAvailable,
  waitUntilSnapshotCompleted,
} from '@aws-sdk/client-ec2';
import { CreateGrantCommand, KMSClient } from '@aws-sdk/client-kms';
import { AssumeRoleWithWebIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { keyArnOf } from '../simulator/scenario.ts';
import { sourceAccount, sourceRegion } from '../simulator/scenarios/standard.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import type { PolicyDocument } from '../simulator/world.ts';
import { round } from './calls.ts';
import { idealSeconds } from './ideal.ts';
import { caseOf, targetsOf, type Workload } from './workload.ts';

export type Style = 'sequential' | 'promise-all';

export type Baseline = Readonly<{
  workload: Workload;
  targets: number;
  style: Style;
  idealSeconds: number;
  seconds: number;
  ratio: number;
  callsPerTarget: number;
}>;

const everything: PolicyDocument = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
};

/** The procedure as a script: `sequential` with the CLI's waits of 15 s, `promise-all` with the SDK's waiters. */
export async function measureBaseline(workload: Workload, style: Style): Promise<Baseline> {
  const { scenario, inputs, amiId } = caseOf(workload);
  // A script is run by somebody who may do anything.
  const accounts = Object.fromEntries(
    Object.entries(scenario.accounts).map(([id, account]) => [
      id,
      {
        ...account,
        roles: Object.fromEntries(
          Object.entries(account.roles ?? {}).map(([name, role]) => [name, { ...role, policies: [everything] }]),
        ),
      },
    ]),
  );
  const simulator = await startSimulator({ ...scenario, accounts });
  try {
    const started = performance.now();
    const split = (name: string) => inputs[name]?.split('\n') ?? [];
    const targets = split('target-accounts').flatMap((account) =>
      split('target-regions').map((region) => ({ account, region })),
    );
    await runScript(simulator, { style, amiId, targets });
    const seconds = (performance.now() - started) / 1000;
    const count = targetsOf(workload);
    return {
      workload,
      targets: count,
      style,
      idealSeconds: round(idealSeconds(workload), 1),
      seconds: round(seconds, 1),
      ratio: round(seconds / idealSeconds(workload), 3),
      callsPerTarget: round(simulator.calls.length / count, 1),
    };
  } finally {
    await simulator.close();
  }
}

type Place = Readonly<{ account: string; region: string }>;

type Script = Readonly<{ style: Style; amiId: string; targets: readonly Place[] }>;

async function runScript(simulator: Simulator, { style, amiId, targets }: Script): Promise<void> {
  const source = await open(simulator, { account: sourceAccount, region: sourceRegion }, 'ami-source');
  const wait = waits(style);
  const copied = await source.ec2.send(
    new CopyImageCommand({
      Name: 'encrypted',
      SourceImageId: amiId,
      SourceRegion: sourceRegion,
      Encrypted: true,
      KmsKeyId: 'alias/cmkSource',
    }),
  );
  const image = await wait.image(source.ec2, copied.ImageId ?? '');
  const share = async (place: Place): Promise<void> => {
    await source.kms.send(
      new CreateGrantCommand({
        KeyId: keyArnOf(sourceAccount, sourceRegion, 'cmkSource'),
        GranteePrincipal: `arn:aws:iam::${place.account}:role/ami-target`,
        Operations: ['DescribeKey', 'Decrypt', 'ReEncryptFrom', 'CreateGrant'],
      }),
    );
    const target = await open(simulator, place, 'ami-target');
    const copy = async (mapping: NonNullable<Image['BlockDeviceMappings']>[number]) => {
      const id = mapping.Ebs?.SnapshotId ?? '';
      await source.ec2.send(
        new ModifySnapshotAttributeCommand({
          SnapshotId: id,
          Attribute: 'createVolumePermission',
          OperationType: 'add',
          UserIds: [place.account],
        }),
      );
      const { SnapshotId = '' } = await target.ec2.send(
        new CopySnapshotCommand({
          SourceRegion: sourceRegion,
          SourceSnapshotId: id,
          Encrypted: true,
          KmsKeyId: 'alias/cmkTarget',
        }),
      );
      await wait.snapshot(target.ec2, SnapshotId);
      return { DeviceName: mapping.DeviceName, Ebs: { SnapshotId } };
    };
    const BlockDeviceMappings = await each(style, image.BlockDeviceMappings ?? [], copy);
    await target.ec2.send(
      new RegisterImageCommand({
        Name: 'golden',
        RootDeviceName: image.RootDeviceName,
        Architecture: image.Architecture,
        VirtualizationType: image.VirtualizationType,
        BlockDeviceMappings,
      }),
    );
  };
  await each(style, targets, share);
}

async function each<T, R>(style: Style, items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  if (style === 'promise-all') return Promise.all(items.map(work));
  const done: R[] = [];
  for (const item of items) done.push(await work(item));
  return done;
}

function waits(style: Style) {
  const images = async (ec2: EC2Client, id: string): Promise<Image | undefined> =>
    (await ec2.send(new DescribeImagesCommand({ ImageIds: [id] }))).Images?.[0];
  if (style === 'promise-all') {
    return {
      image: async (ec2: EC2Client, id: string): Promise<Image> => {
        await waitUntilImageAvailable({ client: ec2, maxWaitTime: 3600 }, { ImageIds: [id] });
        return (await images(ec2, id)) ?? {};
      },
      snapshot: async (ec2: EC2Client, id: string): Promise<void> => {
        await waitUntilSnapshotCompleted({ client: ec2, maxWaitTime: 3600 }, { SnapshotIds: [id] });
      },
    };
  }
  // `aws ec2 wait image-available`, `snapshot-completed`: every 15 seconds.
  const pause = () => new Promise((resolve) => setTimeout(resolve, 15_000));
  return {
    image: async (ec2: EC2Client, id: string): Promise<Image> => {
      for (;;) {
        const image = await images(ec2, id);
        if (image?.State === 'available') return image;
        await pause();
      }
    },
    snapshot: async (ec2: EC2Client, id: string): Promise<void> => {
      for (;;) {
        const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] }));
        if (Snapshots?.[0]?.State === 'completed') return;
        await pause();
      }
    },
  };
}

async function open({ env, url }: Simulator, { account, region }: Place, role: string) {
  const response = await fetch(`${env.ACTIONS_ID_TOKEN_REQUEST_URL}&audience=sts.amazonaws.com`, {
    headers: { authorization: `Bearer ${env.ACTIONS_ID_TOKEN_REQUEST_TOKEN}` },
  });
  const { value } = (await response.json()) as { value: string };
  const config = { endpoint: url, region };
  const anonymous = { accessKeyId: 'none', secretAccessKey: 'none' };
  const { Credentials } = await new STSClient({ ...config, credentials: anonymous }).send(
    new AssumeRoleWithWebIdentityCommand({
      RoleArn: `arn:aws:iam::${account}:role/${role}`,
      RoleSessionName: 'script',
      WebIdentityToken: value,
    }),
  );
  const credentials = {
    accessKeyId: Credentials?.AccessKeyId ?? '',
    secretAccessKey: Credentials?.SecretAccessKey ?? '',
    sessionToken: Credentials?.SessionToken ?? '',
  };
  return { ec2: new EC2Client({ ...config, credentials }), kms: new KMSClient({ ...config, credentials }) };
}
