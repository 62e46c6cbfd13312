/*
 * Images as accounts of AWS were recorded to have them: each comes through each route as it was, or is refused in the
 * words that fit. Told again by their traits: what was left out of a record is undefined here.
 */
import type { BlockDeviceMapping, Image } from '@aws-sdk/client-ec2';
import { expect, test } from '@jest/globals';
import { type AmiScenario, amiIdOf, type VolumeScenario } from '../simulator/scenario.ts';
import {
  type Case,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
  windowsPlatform,
} from '../simulator/scenarios/standard.ts';
import { sampled } from './sampled.ts';
import { imageIn, share } from './shared-case.ts';

const publisher = '333333333333';

type Route = 'auto' | 'copy' | 'register';
/** What becomes of an image by each route: it comes through, or the words that refuse it. */
type Fate = 'right' | RegExp;
type Recorded = Readonly<{
  ami: Omit<AmiScenario, 'volumes'>;
  volumes: readonly VolumeScenario[];
  /** Whose it is, where it is public. */
  alias?: 'amazon' | 'aws-marketplace';
  fate?: Partial<Record<Route, Fate>>;
}>;

const gp2 = (device: string, sizeGiB: number, more: Partial<VolumeScenario> = {}): VolumeScenario => ({
  device,
  sizeGiB,
  type: 'gp2',
  ...more,
});
const kept = { deleteOnTermination: false };
const gp3 = { type: 'gp3', iops: 3000, throughput: 125 };
const ephemerals = (...devices: string[]): VolumeScenario[] =>
  devices.map((device, index) => ({ device, instanceStore: `ephemeral${index}` }));

/** Before 2019 or so, images had neither. */
const old = { PlatformDetails: undefined, UsageOperation: undefined };
const simple = { SriovNetSupport: 'simple' };
const bare = { EnaSupport: undefined };
const paravirtual = { ...old, ...bare, VirtualizationType: 'paravirtual' as const, Description: '' };
const rhel = { PlatformDetails: 'Red Hat Enterprise Linux', UsageOperation: 'RunInstances:0010' };
/** In small letters, unlike the SDK's type. */
const windows = { ...simple, Platform: windowsPlatform };
const product = { ProductCodes: [{ ProductCodeId: '2abcdefghijklmnop', ProductCodeType: 'marketplace' as const }] };

const noMarketplace = /has AWS Marketplace product codes: AWS copies no such image to another account/;
const noBilling = /Images with EC2 BillingProduct codes cannot be copied to another AWS account.*instance-id/s;
const wouldLose = /route register would lose the billing of ami-\w+/;
const everyRoute = (fate: Fate) => ({ auto: fate, copy: fate, register: fate });

const images: Readonly<Record<string, Recorded>> = {
  'of 2018, without platform fields': {
    ami: { name: 'test-2018', attributes: { ...old, ...simple, Description: 'Test' } },
    volumes: [gp2('/dev/xvda', 8)],
  },
  'of 300 GiB, with instance-store devices': {
    ami: { name: 'manager-21-11-2019', attributes: { ...old, ...simple, Description: 'manager-21-11-2019' } },
    volumes: [gp2('/dev/sda1', 300), ...ephemerals('/dev/sdb', '/dev/sdc')],
  },
  'of CreateImage, 2026': {
    ami: {
      name: 'of-an-instance',
      attributes: {
        ...simple,
        Description: 'For the migration',
        BootMode: 'uefi-preferred',
        ImdsSupport: 'v2.0',
        SourceInstanceId: 'i-0d408098b1c5ebf80',
        SourceImageId: 'ami-0c101f26f147fa7fd',
        SourceImageRegion: 'us-east-1',
        DeregistrationProtection: 'disabled',
      },
    },
    volumes: [{ device: '/dev/xvda', sizeGiB: 8, ...gp3 }],
  },
  'of Amazon, public, 2019': {
    ami: { name: 'amzn2-hvm-2.0-x86_64-gp2', attributes: { ...old, ...simple, Description: 'Amazon Linux 2 HVM gp2' } },
    volumes: [gp2('/dev/xvda', 8)],
    alias: 'amazon',
  },
  'arm64 by UEFI, with tags of Packer and no description': {
    ami: {
      name: 'appliance-v24.05.0-arm64-2024-05-30T13-57-31Z',
      attributes: { ...simple, Architecture: 'arm64', BootMode: 'uefi', SourceInstanceId: 'i-0dddddddddddddd01' },
      tags: { Appliance: 'acme/Appliance/v24.05.0', source_ami_name: 'al2023-ami-ecs-hvm-2023.0' },
    },
    volumes: [gp2('/dev/xvda', 30)],
  },
  'Bottlerocket, of two volumes': {
    ami: {
      name: 'bottlerocket-k8s-1.27-x86_64-v1.16.1',
      attributes: { ...simple, Description: 'bottlerocket', DeprecationTime: '2025-11-10T20:48:00.000Z' },
    },
    volumes: [gp2('/dev/xvda', 2), gp2('/dev/xvdb', 20)],
    alias: 'amazon',
  },
  'encrypted, without tags': {
    ami: { name: 'My-CentOS7-Image', attributes: { ...simple, Description: 'My CentOS7 Image' }, tags: {} },
    volumes: [gp2('/dev/sda1', 10, { key: 'cmkSource' })],
  },
  'encrypted, with tags': {
    ami: { name: 'My-Ubuntu-Image', attributes: { ...simple, Description: 'Mine' }, tags: { release: 'final' } },
    volumes: [gp2('/dev/sda1', 10, { key: 'cmkSource' })],
  },
  'of CopyImage under aws/ebs, with its description, a magnetic volume and instance-store devices': {
    ami: {
      name: 'Ubuntu1404',
      attributes: { ...old, ...simple, Description: '[Copied ami-3073884d from us-east-1] ubuntu-trusty-14.04-amd64' },
    },
    volumes: [
      { device: '/dev/sda1', sizeGiB: 8, type: 'standard', key: 'aws/ebs' },
      ...ephemerals('/dev/sdb', '/dev/sdc'),
    ],
  },
  'of the Marketplace, public': {
    ami: { name: 'CoreOS-stable-hvm-0d1e0bd0-eaea.4', attributes: { ...old, ...simple, ...product } },
    volumes: [gp2('/dev/xvda', 8), ...ephemerals('/dev/xvdb')],
    alias: 'aws-marketplace',
    fate: everyRoute(noMarketplace),
  },
  'of the Marketplace, pay as you go, deprecated': {
    ami: {
      name: 'BIGIP PAYG-Adv WAF Plus 25Mbps-3c272b55-0405',
      attributes: { ...simple, ...product, DeprecationTime: '2023-11-15T14:44:00.000Z' },
    },
    volumes: [gp2('/dev/xvda', 82)],
    alias: 'aws-marketplace',
    fate: everyRoute(noMarketplace),
  },
  'made of an instance of a product of the Marketplace': {
    ami: { name: 'safety-custom', attributes: { ...product, Architecture: 'arm64' } },
    volumes: [{ device: '/dev/sda1', sizeGiB: 8, ...gp3 }],
    fate: everyRoute(noMarketplace),
  },
  'of EKS, public': {
    ami: {
      name: 'amazon-eks-node-1.29-v20250920',
      attributes: {
        ...simple,
        Description: 'EKS Kubernetes Worker AMI with AmazonLinux2 image, (k8s: 1.29.15, containerd: 1.7.27-1)',
        DeprecationTime: '2027-09-24T00:36:36.000Z',
        SourceImageId: 'ami-0509102cfe13516be',
        SourceImageRegion: 'us-west-2',
        FreeTierEligible: true,
      },
    },
    volumes: [gp2('/dev/xvda', 20)],
    alias: 'amazon',
  },
  'backed by an instance store': {
    ami: {
      name: 'test-ami',
      attributes: {
        VirtualizationType: 'paravirtual',
        KernelId: 'aki-5c21674b',
        RootDeviceType: 'instance-store',
        RootDeviceName: undefined,
        Description: '[Copied ami-052968d3b353588da from us-east-1] undefined',
      },
    },
    volumes: ephemerals('sdb'),
    fate: everyRoute(/is instance-store-backed: it has no EBS snapshot to copy/),
  },
  'named with spaces and a dash': {
    ami: { name: 'sandbox - apps1-20012020', attributes: { ...old, ...simple, Description: '' } },
    volumes: [gp2('/dev/xvda', 8)],
  },
  'paravirtual, without a kernel': {
    ami: { name: 'test-image', attributes: paravirtual },
    volumes: [gp2('/dev/sda1', 8)],
  },
  'paravirtual, with a kernel': {
    ami: { name: 'test-kernel', attributes: { ...paravirtual, KernelId: 'aki-5c21674b' } },
    volumes: [gp2('/dev/sda1', 8)],
    fate: { register: /route register would lose the kernel and RAM disk of ami-\w+/ },
  },
  'registered with nothing but the least, 2026': {
    ami: { name: 'images-base', attributes: { ...bare, FreeTierEligible: true }, tags: { suite: 'images' } },
    volumes: [gp2('/dev/sda1', 1)],
  },
  'RHEL by the hour, public and tagged': {
    ami: {
      name: 'RHEL-8.0.0_HVM-20190426-x86_64-1-Hourly2-GP2',
      attributes: { ...rhel, ...simple, Description: 'Provided by Red Hat, Inc.' },
      billing: ['bp-6fa54006'],
    },
    volumes: [gp2('/dev/sda1', 10)],
    alias: 'amazon',
    fate: { auto: noBilling, copy: noBilling, register: wouldLose },
  },
  'RHEL, of three volumes whose names are mixed': {
    ami: {
      name: 'bkp bd apex',
      attributes: { ...rhel, ...bare, Description: 'bkp bd apex' },
      tags: { Country: 'global', Name: 'AMI-db-apex-25112019', Service: 'AMI', Environment: 'prod' },
      billing: ['bp-6fa54006'],
    },
    volumes: [gp2('/dev/sda1', 50), gp2('/dev/sdd', 100), gp2('/dev/xvdf', 100, kept)],
    fate: { auto: noBilling, copy: noBilling, register: wouldLose },
  },
  'of two volumes, one of them kept': {
    ami: { name: 'testing_to_be_deleted', attributes: simple },
    volumes: [gp2('/dev/xvda', 8), gp2('/dev/sdf', 4, kept)],
  },
  'Windows, of 512 GiB, whose root is kept': {
    ami: {
      name: 'Game Server',
      attributes: { ...windows, PlatformDetails: 'Windows', UsageOperation: 'RunInstances:0002' },
      tags: { Name: 'Game Server', SnapAndDelete: 'True' },
    },
    volumes: [gp2('/dev/sda1', 512, kept)],
    fate: { register: wouldLose },
  },
  'Windows with SQL Server, public, with 26 instance-store devices': {
    ami: {
      name: 'Windows_Server-2016-English-64Bit-SQL_2012_SP4_Enterprise-2021.08.11',
      attributes: {
        ...windows,
        PlatformDetails: 'Windows with SQL Server Enterprise',
        UsageOperation: 'RunInstances:0102',
        Description: 'Microsoft Windows Server 2016',
      },
    },
    volumes: [
      gp2('/dev/sda1', 65),
      ...ephemerals(...Array.from({ length: 26 }, (_, index) => `xvdc${String.fromCharCode(97 + index)}`)),
    ],
    alias: 'amazon',
    fate: { register: wouldLose },
  },
  'of devices that are in no order': {
    ami: {
      name: 'new-app1',
      attributes: { ...old, ...simple, Description: '' },
      tags: { Product: 'classic', Country: 'br', Environment: 'prod' },
    },
    volumes: [gp2('/dev/xvda', 30), gp2('/dev/xvdg', 100, kept), gp2('/dev/sdf', 100, kept)],
  },
};

/** A case whose source is that image: the source account's own, or a public one. */
function caseOf({ ami, volumes, alias }: Recorded): Case & Readonly<{ owner: string }> {
  const policies = ['source-route-copy', 'target-route-copy'];
  if (alias === undefined) return { ...standardCase({ ami, volumes, policies }), owner: sourceAccount };
  const shared = standardCase({ policies });
  const image: AmiScenario = {
    ...ami,
    attributes: { ...ami.attributes, Public: true, ImageOwnerAlias: alias },
    volumes: volumes.map((volume) => ({ ...volume, sharedWith: [sourceAccount] })),
  };
  const regions = { [sourceRegion]: { amis: [image] } };
  const accounts = { ...shared.scenario.accounts, [publisher]: { regions } };
  const amiId = amiIdOf(publisher, sourceRegion, ami.name);
  const inputs = { ...shared.inputs, 'ami-id': amiId, 'source-owners': alias };
  return { scenario: { ...shared.scenario, accounts }, inputs, amiId, owner: publisher };
}

/** What a copy has as its source has it, with what AWS tells of images today where older ones leave it out. */
function essenceOf(image: Image): unknown {
  const { Description = '', PlatformDetails = 'Linux/UNIX', UsageOperation = 'RunInstances' } = image;
  const { Architecture, VirtualizationType, RootDeviceName, RootDeviceType, KernelId, Platform } = image;
  const { EnaSupport = false, SriovNetSupport, BootMode, ImdsSupport, ProductCodes } = image;
  return {
    ...{ PlatformDetails, UsageOperation, Platform, ProductCodes, KernelId },
    ...{ Architecture, VirtualizationType, RootDeviceName, RootDeviceType, EnaSupport, SriovNetSupport },
    ...{ BootMode, ImdsSupport },
    // A copy that is given none gets AWS's own.
    Description: Description.startsWith('[Copied ') ? '' : Description,
    devices: (image.BlockDeviceMappings ?? []).map(deviceOf),
  };
}

function deviceOf({ Ebs, ...device }: BlockDeviceMapping): unknown {
  if (Ebs === undefined) return device;
  const { VolumeType, VolumeSize, DeleteOnTermination, Iops, Throughput } = Ebs;
  return { ...device, Ebs: { VolumeType, VolumeSize, DeleteOnTermination, Iops, Throughput } };
}

const rowsOf = (...routes: Route[]) =>
  Object.entries(images).flatMap(([name, recorded]) =>
    routes.map((route) => ({ name, route, recorded, fate: recorded.fate?.[route] ?? 'right' })),
  );
const rows = [...rowsOf('auto'), ...sampled(rowsOf('copy', 'register'), { every: 3 })];

test.each(rows)('an image $name, by route $route', async ({ route, recorded, fate }) => {
  const { owner, ...shared } = caseOf(recorded);
  const { simulator, before, main, targets, error } = await share(shared, { route });
  expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
  const made = [...(simulator.world.accounts[targetAccount]?.regions.get(targetRegion)?.images.values() ?? [])];
  const standing = made.filter(({ deregisteredAt }) => deregisteredAt === undefined);
  if (fate !== 'right') {
    expect(error).toMatch(fate);
    expect(standing).toEqual([]);
    return;
  }
  expect([error, main.conclusion]).toEqual(['', 'success']);
  expect(standing).toHaveLength(1);
  const copy = imageIn(simulator, targetAccount, targetRegion, targets[0]?.amiId ?? '');
  const source = imageIn(simulator, owner, sourceRegion, shared.amiId);
  expect(essenceOf(copy.data)).toEqual(essenceOf(source.data));
  const tags = owner === sourceAccount ? source.data.Tags : [];
  expect(copy.data.Tags).toEqual(expect.arrayContaining(tags));
});
