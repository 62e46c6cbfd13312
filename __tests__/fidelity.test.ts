import type { Image, InstanceTypeSpecification } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { VolumeScenario } from '../simulator/scenario.ts';
import {
  customerKey,
  sourceAccount,
  standardCase,
  targetAccount,
  windowsPlatform,
} from '../simulator/scenarios/standard.ts';
import type { SimImage } from '../simulator/world.ts';
import { runJob, startSimulator } from './in-process.ts';
import { expectTargets, share } from './shared-case.ts';

const timings = { secondsPerGiB: 0, baseSeconds: 0.05 };
/** What is spoilt stays so: nothing becomes of the AMI any more. */
const atOnce = { ...timings, registerSeconds: 0 };

/** Volumes of every type with sizes and rates that AWS allows for it; sizes don't take longer here. */
const volume = (device: string): fc.Arbitrary<VolumeScenario> => {
  const of = (type: string, [least, most]: readonly [number, number], more: fc.Arbitrary<object> = fc.constant({})) =>
    fc
      .tuple(
        fc.integer({ min: least, max: most }),
        fc.boolean(),
        fc.constantFrom('cmkSource', 'aws/ebs', undefined),
        more,
      )
      .map(([sizeGiB, deleteOnTermination, key, rates]) => ({
        device,
        type,
        sizeGiB,
        deleteOnTermination,
        ...(key && { key }),
        ...rates,
      }));
  const iops = (least: number, most: number) => fc.record({ iops: fc.integer({ min: least, max: most }) });
  return fc.oneof(
    of(
      'gp3',
      [1, 65_536],
      fc.record({ iops: fc.integer({ min: 3000, max: 80_000 }), throughput: fc.integer({ min: 125, max: 2000 }) }),
    ),
    of('gp2', [1, 16_384]),
    of('io1', [4, 16_384], iops(100, 64_000)),
    of('io2', [4, 65_536], iops(100, 256_000)),
    of('st1', [125, 16_384]),
    of('sc1', [125, 16_384]),
    of('standard', [1, 1024]),
  );
};

const devices = ['/dev/sda1', '/dev/xvda', '/dev/sdb', '/dev/sdc', '/dev/sdd', '/dev/sde', '/dev/sdf'];
const otherDevice = (device: string): fc.Arbitrary<VolumeScenario> =>
  fc.oneof(
    volume(device),
    fc.record({
      device: fc.constant(device),
      blank: fc.record({ encrypted: fc.boolean() }),
      sizeGiB: fc.integer({ min: 1, max: 100 }),
    }),
    fc.record({ device: fc.constant(device), instanceStore: fc.constantFrom('ephemeral0', 'ephemeral1') }),
    fc.constant({ device, noDevice: true }),
  );

const image = fc.record({
  attributes: fc.record(
    {
      Architecture: fc.constantFrom('x86_64', 'arm64', 'i386', 'x86_64_mac', 'arm64_mac'),
      BootMode: fc.constantFrom('legacy-bios', 'uefi', 'uefi-preferred'),
      TpmSupport: fc.constant('v2.0'),
      ImdsSupport: fc.constant('v2.0'),
      SriovNetSupport: fc.constant('simple'),
      // Left out where it isn't supported.
      EnaSupport: fc.constantFrom(true, undefined),
      InstanceTypeSpecification: fc.constantFrom<InstanceTypeSpecification>(
        { SupportedInstanceTypes: [{ InstanceType: 'g5.*' }, { InstanceType: 'p4d.24xlarge' }] },
        { UnsupportedInstanceTypes: [{ InstanceType: 't2.*' }] },
      ),
      Description: fc.string({ unit: fc.constantFrom(...'aZ9 .,-_/():'), minLength: 1, maxLength: 255 }),
    },
    { requiredKeys: ['Architecture', 'EnaSupport', 'Description'] },
  ),
  uefiData: fc.base64String({ minLength: 4, maxLength: 64 }),
  volumes: fc.tuple(
    volume('/dev/xvda'),
    ...devices.slice(2).map((device) => fc.option(otherDevice(device), { nil: undefined })),
  ),
});

/** Registering would lose them, so only copied images have them. */
const watermarks = fc
  .uniqueArray(fc.constantFrom('111111111111:approved', '222222222222:scanned'))
  .map((keys) => keys.map((WatermarkKey) => ({ WatermarkKey })));

/** What AWS bills by, of images that may cross accounts. */
const billing = fc.constantFrom<Partial<Image>>(
  {},
  { Platform: 'Windows' as never, PlatformDetails: 'Windows', UsageOperation: 'RunInstances:0002' },
  { PlatformDetails: 'Linux with SQL Server Standard', UsageOperation: 'RunInstances:0004' },
  { ProductCodes: [{ ProductCodeId: 'devpay-1', ProductCodeType: 'devpay' }] },
);

test.each(['register', 'copy'])('whatever the image: source and target are equal by route %s', async (route) => {
  await fc.assert(
    fc.asyncProperty(image, watermarks, billing, async ({ attributes, uefiData, volumes }, ImageWatermarks, billed) => {
      // What boots by UEFI has variables: Graviton does unless another mode is named.
      const uefi = attributes.BootMode?.startsWith('uefi') ?? attributes.Architecture === 'arm64';
      const shared = standardCase({
        timings,
        policies: ['source-route-copy', 'target-route-copy', 'target-instance-types'],
        ami: {
          attributes: { ...(attributes as Partial<Image>), ...(route === 'copy' && { ImageWatermarks, ...billed }) },
          ...(uefi && { uefiData }),
        },
        volumes: volumes.filter((one) => one !== undefined),
      });
      const result = await share(shared, { route });
      expect(result.error).toBe('');
      expectTargets(result, shared.amiId);
      expect(result.simulator.snapshotOfState(sourceAccount)).toEqual(result.before);
    }),
    { numRuns: Number(process.env.FIDELITY_RUNS ?? 8), seed: 42, endOnFailure: true },
  );
});

describe('verify names what differs', () => {
  const ebs = (data: SimImage['data']) => data.BlockDeviceMappings[0]?.Ebs ?? {};
  const spoilers: Record<string, [(data: SimImage['data']) => void, RegExp]> = {
    Architecture: [
      (data) => Object.assign(data, { Architecture: 'arm64' }),
      /Architecture is arm64, but x86_64 in the source/,
    ],
    VirtualizationType: [
      (data) => Object.assign(data, { VirtualizationType: 'paravirtual' }),
      /VirtualizationType is paravirtual, but hvm/,
    ],
    RootDeviceName: [(data) => Object.assign(data, { RootDeviceName: '/dev/sda1' }), /RootDeviceName is \/dev\/sda1/],
    EnaSupport: [(data) => Object.assign(data, { EnaSupport: false }), /EnaSupport is not set, but true/],
    SriovNetSupport: [
      (data) => Object.assign(data, { SriovNetSupport: 'simple' }),
      /SriovNetSupport is simple, but not set/,
    ],
    BootMode: [(data) => Object.assign(data, { BootMode: 'uefi' }), /BootMode is uefi, but not set/],
    TpmSupport: [(data) => Object.assign(data, { TpmSupport: 'v2.0' }), /TpmSupport is v2\.0/],
    ImdsSupport: [(data) => Object.assign(data, { ImdsSupport: 'v2.0' }), /ImdsSupport is v2\.0/],
    Platform: [(data) => Object.assign(data, { Platform: 'windows' }), /Platform is windows/],
    PlatformDetails: [
      (data) => Object.assign(data, { PlatformDetails: 'Windows' }),
      /PlatformDetails is Windows, but Linux\/UNIX/,
    ],
    UsageOperation: [
      (data) => Object.assign(data, { UsageOperation: 'RunInstances:0002' }),
      /UsageOperation is RunInstances:0002/,
    ],
    ProductCodes: [
      (data) => Object.assign(data, { ProductCodes: [{ ProductCodeId: 'abc', ProductCodeType: 'devpay' }] }),
      /ProductCodes is abc, but not set/,
    ],
    ImageWatermarks: [
      (data) => Object.assign(data, { ImageWatermarks: [{ WatermarkKey: '1:a' }] }),
      /ImageWatermarks is 1:a, but not set/,
    ],
    Description: [(data) => Object.assign(data, { Description: 'other' }), /Description is other, but /],
    'a tag': [
      (data) =>
        data.Tags.splice(
          data.Tags.findIndex(({ Key }) => Key === 'team'),
          1,
        ),
      /the tag team is not set, but platform/,
    ],
    VolumeType: [
      (data) => Object.assign(ebs(data), { VolumeType: 'gp2' }),
      /BlockDeviceMappings\[\/dev\/xvda\]\.Ebs\.VolumeType is gp2, but gp3/,
    ],
    VolumeSize: [(data) => Object.assign(ebs(data), { VolumeSize: 9 }), /Ebs\.VolumeSize is 9, but 8/],
    Iops: [(data) => Object.assign(ebs(data), { Iops: 3001 }), /Ebs\.Iops is 3001, but 3000/],
    Throughput: [(data) => Object.assign(ebs(data), { Throughput: 126 }), /Ebs\.Throughput is 126, but 125/],
    DeleteOnTermination: [
      (data) => Object.assign(ebs(data), { DeleteOnTermination: false }),
      /DeleteOnTermination is false, but true/,
    ],
    SnapshotId: [(data) => delete ebs(data).SnapshotId, /Ebs\.SnapshotId is false, but true/],
    Ebs: [(data) => delete data.BlockDeviceMappings[0]?.Ebs, /\[\/dev\/xvda\]\.Ebs is false, but true/],
    NoDevice: [
      (data) => Object.assign(data.BlockDeviceMappings[0] ?? {}, { NoDevice: '' }),
      /\[\/dev\/xvda\]\.NoDevice is true, but false/,
    ],
    VirtualName: [
      (data) => Object.assign(data.BlockDeviceMappings[0] ?? {}, { VirtualName: 'ephemeral0' }),
      /\[\/dev\/xvda\]\.VirtualName is ephemeral0, but not set/,
    ],
    Encrypted: [(data) => Object.assign(ebs(data), { Encrypted: false }), /Ebs\.Encrypted is false, but true/],
    'a device more': [
      (data) => data.BlockDeviceMappings.push({ DeviceName: '/dev/sdz', VirtualName: 'ephemeral0' }),
      /BlockDeviceMappings\[\/dev\/sdz\] is there, but not set/,
    ],
    'a device less': [
      (data) => data.BlockDeviceMappings.pop(),
      /BlockDeviceMappings\[\/dev\/xvda\] is not set, but there/,
    ],
  };

  test.each(Object.entries(spoilers))('%s', async (_, [spoil, words]) => {
    const shared = customerKey({ timings: atOnce });
    const simulator = await startSimulator(shared.scenario);
    const place = () => simulator.world.accounts[targetAccount]?.regions.get('eu-west-1');
    simulator.onCall(({ action }) => {
      if (action === 'RegisterImage') for (const { data } of place()?.images.values() ?? []) spoil(data);
    });
    const { main } = await runJob({ inputs: shared.inputs, env: simulator.env });
    await simulator.close();
    expect(main.conclusion).toBe('failure');
    expect(main.annotations[0]?.message).toMatch(words);
  });

  test.each([
    [undefined, /UefiData is not set, but of its own/],
    ['BBBB', /UefiData is another, but of its own/],
  ])('UefiData that is %s', async (uefiData, words) => {
    const shared = customerKey({ timings, ami: { attributes: { BootMode: 'uefi' }, uefiData: 'AAAA' } });
    const simulator = await startSimulator(shared.scenario);
    const images = () => simulator.world.accounts[targetAccount]?.regions.get('eu-west-1')?.images.values() ?? [];
    const spoil = () => {
      for (const image of images()) Object.assign(image, { uefiData });
    };
    simulator.onCall(({ action }) => {
      if (action === 'RegisterImage') spoil();
    });
    const { main } = await runJob({ inputs: shared.inputs, env: simulator.env });
    expect(main.annotations[0]?.message).toMatch(words);
    await simulator.close();
  });

  test('an AMI whose UEFI variables are others is not reused', async () => {
    const shared = customerKey({ timings, ami: { attributes: { BootMode: 'uefi' }, uefiData: 'AAAA' } });
    const simulator = await startSimulator(shared.scenario);
    const run = () => runJob({ inputs: shared.inputs, env: simulator.env });
    expect((await run()).main.conclusion).toBe('success');
    for (const image of simulator.world.accounts[targetAccount]?.regions.get('eu-west-1')?.images.values() ?? [])
      image.uefiData = 'BBBB';
    expect((await run()).main.annotations[0]?.message).toMatch(
      /an AMI of this source that differs: UefiData is another, but of its own in the source/,
    );
    await simulator.close();
  });

  test('billing that is lost on purpose is no difference', async () => {
    const attributes = {
      UsageOperation: 'RunInstances:0002',
      PlatformDetails: 'Windows',
      Platform: windowsPlatform,
    };
    const shared = customerKey({ timings, ami: { attributes } });
    const result = await share(shared, { route: 'register', 'allow-lost-billing': 'true' });
    expect(result.error).toBe('');
    expect(result.targets).toMatchObject([{ status: 'created' }]);
    const again = await share(shared, { route: 'register' });
    expect(again.error).toMatch(/route register would lose the billing/);
  });

  test('the key of a snapshot', async () => {
    const shared = customerKey({ timings });
    const simulator = await startSimulator(shared.scenario);
    simulator.onCall(({ action }) => {
      const snapshots = simulator.world.accounts[targetAccount]?.regions.get('eu-west-1')?.snapshots.values() ?? [];
      if (action === 'CopySnapshot')
        for (const { making } of snapshots)
          if (making !== undefined) making.keyArn = 'arn:aws:kms:eu-west-1:999999999999:key/other';
    });
    const { main } = await runJob({ inputs: shared.inputs, env: simulator.env });
    await simulator.close();
    expect(main.annotations[0]?.message).toMatch(
      /the key of snap-\w+ is arn:aws:kms:eu-west-1:999999999999:key\/other, but arn:aws:kms/,
    );
  });
});
