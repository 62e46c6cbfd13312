import {
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  EC2Client,
  GetConsoleOutputCommand,
  RunInstancesCommand,
  type RunInstancesRequest,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import { describe, expect, test } from '@jest/globals';
import { type AmiScenario, amiIdOf, keyArnOf, type RegionScenario } from '../../simulator/scenario.ts';
import { procedure, targetAccount, targetRegion } from '../../simulator/scenarios/standard.ts';
import { handlerOf, startSimulator } from '../in-process.ts';

/* RunInstances and what becomes of what it launches, as the pages beside the simulator's rules have it. */

const tags = { 'share-encrypted-ami:source-ami': 'ami-0a1b2c3d' };
const amis = {
  plain: {},
  arm: { Architecture: 'arm64' },
  old: { EnaSupport: false },
  uefi: { BootMode: 'uefi' },
  tpm: { TpmSupport: 'v2.0' },
} as const;
const idOf = (name: keyof typeof amis) => amiIdOf(targetAccount, targetRegion, name);
const role = { account: targetAccount, role: 'ami-target' };

/** The target role's clients, with such AMIs there. */
async function open({ launch, volumes }: Pick<RegionScenario, 'launch'> & Partial<Pick<AmiScenario, 'volumes'>> = {}) {
  const shared = procedure({
    policies: ['target-boot-test', 'target-boot-role'],
    target: {
      amis: Object.entries(amis).map(([name, attributes]) => ({
        ...{ name, tags, attributes: attributes as AmiScenario['attributes'] },
        volumes: volumes ?? [{ device: '/dev/xvda', key: 'cmkTarget' }],
      })) as AmiScenario[],
      launch: { profiles: { booted: 'boot-role', other: 'admin' }, ...launch },
    },
  });
  const simulator = await startSimulator({ ...shared.scenario, ambient: role });
  const { AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '', AWS_SESSION_TOKEN = '' } = simulator.env;
  const credentials = {
    ...{ accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY },
    sessionToken: AWS_SESSION_TOKEN,
  };
  const settings = { requestHandler: handlerOf(simulator), region: targetRegion, credentials, maxAttempts: 1 };
  const ec2 = new EC2Client(settings);
  const region = simulator.world.accounts[targetAccount]?.regions.get(targetRegion);
  const subnets = [...(region?.launching.subnets.keys() ?? [])];
  const run = async (over: Partial<RunInstancesRequest> = {}) => {
    const request = { ImageId: idOf('plain'), InstanceType: 't3.small', MinCount: 1, MaxCount: 1, ...over } as const;
    const { Instances: [instance] = [] } = await ec2.send(new RunInstancesCommand(request));
    return instance?.InstanceId ?? '';
  };
  const stateOf = async (id: string) => {
    const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    return Reservations[0]?.Instances?.[0];
  };
  /** The volumes of instances, and those that none has. */
  const volumesOf = () => {
    simulator.snapshotOfState();
    const used = [...(region?.instances.values() ?? [])].flatMap(({ volumes }) =>
      volumes.map(({ mapping }) => mapping),
    );
    return { used: used.map(({ DeviceName }) => DeviceName), free: [...(region?.volumes.values() ?? [])] };
  };
  return {
    ...{ ec2, ssm: new SSMClient(settings), run, stateOf, volumesOf, subnets, later: simulator.clock.sleep },
    [Symbol.asyncDispose]: () => simulator.close(),
  };
}

describe('RunInstances refuses', () => {
  test.each<[string, Partial<RunInstancesRequest>, RegExp]>([
    ['an AMI that is not there', { ImageId: 'ami-0fffffffffffffffe' }, /does not exist|not authorized|Invalid id/],
    ['a type that there is not', { InstanceType: 't9.small' as never }, /Invalid value 't9.small' for InstanceType/],
    ['a type of another architecture', { ImageId: idOf('arm') }, /architecture/],
    ['an AMI without ENA where it is required', { ImageId: idOf('old') }, /Elastic Network Adapter/],
    ['UEFI where there is none', { ImageId: idOf('uefi'), InstanceType: 't2.small' }, /does not support 'uefi' boot/],
    ['a TPM where there is none', { ImageId: idOf('tpm'), InstanceType: 't2.small' }, /does not support NitroTPM/],
    ['a subnet that is not there', { SubnetId: 'subnet-0d0d0d0d' }, /does not exist/],
    ['a group that is not there', { SecurityGroupIds: ['sg-0d0d0d0d'] }, /does not exist/],
    ['a profile that is not there', { IamInstanceProfile: { Name: 'none' } }, /Invalid IAM Instance Profile name/],
    [
      'a role that may not be passed',
      { IamInstanceProfile: { Name: 'other' } },
      /iam:PassRole on resource: \S+role\/admin/,
    ],
    [
      'a device that the AMI has not',
      { BlockDeviceMappings: [{ DeviceName: '/dev/sdz', Ebs: { DeleteOnTermination: true } }] },
      /Missing size/,
    ],
  ])('%s', async (_, request, words) => {
    await using there = await open();
    await expect(there.run(request)).rejects.toThrow(words);
    await expect(there.run({ ...request, DryRun: true })).rejects.toThrow(words);
  });

  test('what there is no room for, which a dry run does not ask', async () => {
    await using there = await open({ launch: { vcpuQuota: 2, noCapacity: ['t3a.small/*'] } });
    const [first = ''] = there.subnets;
    await expect(there.run({ InstanceType: 't3a.small', SubnetId: first })).rejects.toMatchObject({
      name: 'Unsupported',
    });
    const second = there.subnets[1] ?? '';
    const none = { name: 'InsufficientInstanceCapacity', $metadata: { httpStatusCode: 500 } };
    await expect(there.run({ InstanceType: 't3a.small', SubnetId: second })).rejects.toMatchObject(none);
    await expect(there.run({ DryRun: true })).rejects.toMatchObject({ name: 'DryRunOperation' });
    await there.run();
    await expect(there.run()).rejects.toMatchObject({ name: 'VcpuLimitExceeded' });
  });
});

test('a client token gives the same instance again, in its zone, and no other request', async () => {
  await using there = await open();
  const [SubnetId = '', other = ''] = there.subnets;
  const token = { ClientToken: 'once', SubnetId };
  const id = await there.run(token);
  expect(await there.run(token)).toBe(id);
  await expect(there.run({ ...token, InstanceType: 't3.medium' })).rejects.toMatchObject({
    name: 'IdempotentParameterMismatch',
  });
  expect(await there.run({ ...token, SubnetId: other })).not.toBe(id);
});

test('an instance comes up, ends when it is told to, and its volumes go where they are to', async () => {
  const volumes = [
    { device: '/dev/xvda', key: 'cmkTarget' },
    { device: '/dev/sdb', key: 'cmkTarget', deleteOnTermination: false },
  ];
  await using there = await open({ volumes });
  const TagSpecifications = ['instance', 'volume'].map((ResourceType) => ({
    ResourceType: ResourceType as 'instance',
    Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
  }));
  const id = await there.run({ TagSpecifications });
  const checks = async () => {
    const command = new DescribeInstanceStatusCommand({ InstanceIds: [id], IncludeAllInstances: true });
    const [status] = (await there.ec2.send(command)).InstanceStatuses ?? [];
    return [status?.InstanceState?.Name, status?.InstanceStatus?.Status, status?.AttachedEbsStatus?.Status];
  };
  await there.later(3000);
  expect(await checks()).toEqual(['pending', 'not-applicable', 'not-applicable']);
  await there.later(10_000);
  expect(await checks()).toEqual(['running', 'initializing', 'initializing']);
  await there.later(120_000);
  expect(await checks()).toEqual(['running', 'ok', 'ok']);
  expect(there.volumesOf()).toEqual({ used: ['/dev/xvda', '/dev/sdb'], free: [] });
  await there.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  expect(await there.stateOf(id)).toMatchObject({ State: { Name: 'shutting-down' } });
  await there.later(30_000);
  expect(await there.stateOf(id)).toMatchObject({
    ...{ State: { Name: 'terminated' }, StateReason: { Code: 'Client.UserInitiatedShutdown' } },
    StateTransitionReason: expect.stringMatching(/^User initiated/),
  });
  // Of two, the one that stays.
  expect(there.volumesOf()).toMatchObject({ used: [], free: [{ tags: [{ Key: Object.keys(tags)[0] }] }] });
});

test('a key that the launching role may not use shows when the instance starts', async () => {
  await using there = await open({
    volumes: [{ device: '/dev/xvda', key: keyArnOf(targetAccount, targetRegion, 'gone') }],
  });
  const id = await there.run();
  await there.later(10_000);
  expect(await there.stateOf(id)).toMatchObject({
    ...{ State: { Name: 'terminated' } },
    StateReason: { Code: 'Client.InternalError', Message: 'Client.InternalError: Client error on launch' },
  });
});

test('an agent takes a profile, and the console as it is now takes Nitro', async () => {
  await using there = await open({ launch: { boots: [{ console: 'login:' }] } });
  const named = {
    Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
    ResourceType: 'instance',
  } as const;
  const ids = [
    await there.run({ TagSpecifications: [named], IamInstanceProfile: { Name: 'booted' } }),
    await there.run({ TagSpecifications: [named], InstanceType: 't2.small' }),
  ];
  await there.later(60_000);
  const { InstanceInformationList = [] } = await there.ssm.send(new DescribeInstanceInformationCommand({}));
  expect(InstanceInformationList.map(({ InstanceId }) => InstanceId)).toEqual(ids.slice(0, 1));
  const [nitro, xen] = ids.map((InstanceId) =>
    there.ec2.send(new GetConsoleOutputCommand({ InstanceId, Latest: true })),
  );
  await expect(nitro).resolves.toMatchObject({ Output: Buffer.from('login:').toString('base64') });
  await expect(xen).rejects.toMatchObject({ name: 'UnsupportedOperation' });
});
