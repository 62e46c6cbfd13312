import { createHash } from 'node:crypto';
import type { AutoScalingGroup, LaunchConfiguration } from '@aws-sdk/client-auto-scaling';
import type {
  BlockDeviceMapping,
  Image,
  ImageFinding,
  InstanceStateName,
  LockState,
  RequestLaunchTemplateData,
  ScanResults,
  Tag,
} from '@aws-sdk/client-ec2';
import { type Clock, realClock } from './clock.ts';
import type { Fault } from './faults.ts';
import type { Rules, Timings } from './hardness.ts';
import { idOf, newId } from './ids.ts';
import type { GitHub } from './sts.ts';
import {
  type Account,
  addDefaultVpc,
  type Boot,
  emptyRegion,
  type Guard,
  type Instance,
  type Key,
  keptVersions,
  type Launching,
  type LaunchTemplate,
  notLate,
  type Parameter,
  type PolicyDocument,
  type Region,
  type Role,
  type Scan,
  type Settings,
  type SimImage,
  type SimSnapshot,
  type TagRules,
  usageReportOf,
  type World,
} from './world.ts';

/** Amazon Inspector's scan; so long after the beginning, or after the AMI was made of an instance, it is there. */
export type ScanScenario = Readonly<{
  results: ScanResults;
  findings?: readonly ImageFinding[];
  afterSeconds?: number;
}>;

/** A volume of an AMI or an instance; `key` is an alias of the region, `aws/ebs`, an ARN, or nothing. */
export type VolumeScenario = Readonly<{
  device: string;
  sizeGiB?: number;
  type?: string;
  iops?: number;
  throughput?: number;
  key?: string;
  deleteOnTermination?: boolean;
  /** A volume without a snapshot, empty at launch; `encrypted` says whether under the default key. */
  blank?: { encrypted: boolean };
  /** An instance-store device, `ephemeral0`. */
  instanceStore?: string;
  /** A device that is suppressed. */
  noDevice?: boolean;
  tags?: Readonly<Record<string, string>>;
  /** The description of a snapshot that a copy made: it is of no volume. `{ami-… /dev/…}` stands for an AMI's snapshot there. */
  copied?: string;
  /** Accounts that the snapshot is shared with already. */
  sharedWith?: readonly string[];
  tier?: 'standard' | 'archive';
  /** The Outpost that the snapshot is on. */
  outpostArn?: string;
  /** The state of its snapshot's lock. */
  lock?: LockState;
  /** The snapshot of another device, to be used again. */
  sameSnapshotAs?: string;
}>;

export type AmiScenario = Readonly<{
  /** Made from its name, unless it is given. */
  id?: string;
  name: string;
  volumes: readonly VolumeScenario[];
  tags?: Readonly<Record<string, string>>;
  /** Any attribute of DescribeImages. */
  attributes?: Partial<Image>;
  uefiData?: string;
  scan?: ScanScenario;
  billing?: readonly string[];
  launchPermissions?: readonly string[];
  /** A usage report that this action asked for so many hours before, on everything, and which shows no use. */
  usageReport?: Readonly<{ hoursAgo: number }>;
}>;

export type KeyScenario = Readonly<{
  id?: string;
  state?: string;
  spec?: string;
  usage?: string;
  policy?: PolicyDocument;
  /** How many grants the key may have: AWS's own limit unless named. */
  grantQuota?: number;
  /** Principals that have a grant to decrypt. */
  grantedTo?: readonly string[];
}>;

/** https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html */
const grantsPerKey = 50_000;

type InstanceScenario = Readonly<{
  id: string;
  volumes: readonly VolumeScenario[];
  attributes?: Partial<Image>;
  imageId?: string;
  state?: InstanceStateName;
  /** The scan of what is made of it. */
  scan?: ScanScenario;
}>;

/** What instances are launched into, beside a default VPC with a subnet in each zone. */
type LaunchScenario = Readonly<{
  /** Whether there is a default VPC. */
  defaultVpc?: boolean;
  subnets?: readonly Readonly<{
    id: string;
    zone: string;
    vpc?: string;
    freeAddresses?: number;
    givesIpv6?: boolean;
    owner?: string;
    tags?: Readonly<Record<string, string>>;
  }>[];
  groups?: readonly Readonly<{ id: string; vpc?: string; owner?: string; tags?: Readonly<Record<string, string>> }>[];
  /** The name of the role of each instance profile; empty where it has none. */
  profiles?: Readonly<Record<string, string>>;
}> &
  Partial<Pick<Launching, 'vcpuQuota' | 'noCapacity' | 'showsTags'>> &
  Readonly<{ boots?: readonly Boot[] }>;

export type LaunchTemplateScenario = Readonly<{
  id?: string;
  /** The image of each version, or what it has besides. */
  versions: readonly (string | Readonly<{ description?: string; data: RequestLaunchTemplateData }>)[];
  /** A number; the first version's unless given. */
  defaultVersion?: number;
  /** How many versions were made and deleted before these. */
  deleted?: number;
}>;

export type ParameterScenario = Readonly<{
  value: string;
  type?: string;
  dataType?: string;
  /** How many there are, all of one value, and the labels of the oldest that is kept. */
  versions?: number;
  oldestLabels?: readonly string[];
}>;

export type RegionScenario = Readonly<{
  /** By alias, without `alias/`. */
  keys?: Readonly<Record<string, KeyScenario>>;
  amis?: readonly AmiScenario[];
  instances?: readonly InstanceScenario[];
  /** By name: the image of each version, the first being the default one; or a template with all that it has. */
  launchTemplates?: Readonly<Record<string, readonly string[] | LaunchTemplateScenario>>;
  /** Auto Scaling's, as it tells them. */
  groups?: readonly AutoScalingGroup[];
  launchConfigurations?: readonly LaunchConfiguration[];
  /** By name: a String of plain text, unless it is said otherwise. */
  parameters?: Readonly<Record<string, string | ParameterScenario>>;
  settings?: Partial<Settings>;
  launch?: LaunchScenario;
  /** Snapshot copies that somebody else has begun here. */
  othersCopies?: Readonly<{ count: number; seconds: number }>;
}>;

export type RoleScenario = Readonly<{
  trust: PolicyDocument;
  /** The inline policies. */
  policies: readonly PolicyDocument[];
  /** The managed policies. */
  attached?: readonly PolicyDocument[];
  /** What bounds it: a boundary, an organization's policies, a session's. */
  guards?: readonly Guard[];
  maxSessionSeconds?: number;
  path?: string;
}>;

export type AccountScenario = Readonly<{
  partition?: string;
  oidc?: readonly Readonly<{ issuer: string; audiences: readonly string[] }>[];
  roles?: Readonly<Record<string, RoleScenario>>;
  regions?: Readonly<Record<string, RegionScenario>>;
  notOptedIn?: readonly string[];
  tagRules?: TagRules;
}>;

/** An AWS to play: who there is, what they have, how fast things go and what goes wrong. */
export type Scenario = Readonly<{
  accounts: Readonly<Record<string, AccountScenario>>;
  github?: Partial<GitHub>;
  /** Credentials in the environment: a role's, or an administrator's. */
  ambient?: Readonly<{ account: string; role?: string }>;
  /** What of hardness.ts isn't as it is by default. */
  timings?: Partial<Timings>;
  rules?: Partial<Rules>;
  /** Sessions end after this, whatever was asked. */
  sessionSeconds?: number;
  faults?: readonly Fault[];
  seed?: number;
  kmsNeeds?: 'documented' | 'measured';
}>;

/** The policy that KMS gives a key by default: it leaves it to IAM in the account. */
export function delegatingPolicy(account: string, partition = 'aws'): PolicyDocument {
  return {
    Version: '2012-10-17',
    Id: 'key-default-1',
    Statement: [
      {
        Sid: 'Enable IAM User Permissions',
        Effect: 'Allow',
        Principal: { AWS: `arn:${partition}:iam::${account}:root` },
        Action: 'kms:*',
        Resource: '*',
      },
    ],
  };
}

/** A key ID that its place and alias make, so that policies can name it before the world is built. */
export function keyIdOf(account: string, region: string, alias: string): string {
  const hex = createHash('sha256').update(`${account} ${region} ${alias}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The partition that a region is of, by its name: https://docs.aws.amazon.com/general/latest/gr/rande.html */
export function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}

export function keyArnOf(account: string, region: string, alias: string): string {
  return `arn:${partitionOf(region)}:kms:${region}:${account}:key/${keyIdOf(account, region, alias)}`;
}

/** An AMI's ID that its place and name make. */
export function amiIdOf(account: string, region: string, name: string): string {
  return idOf('ami', `${account} ${region} ${name}`);
}

export function buildWorld(scenario: Scenario, clock: Clock = realClock): World {
  const now = clock.now();
  const accounts = Object.entries(scenario.accounts).map(([id, account]): [string, Account] => [
    id,
    buildAccount(id, account, now),
  ]);
  const regions = accounts.flatMap(([, account]) => [...account.regions.values()]);
  for (const { snapshots } of regions) for (const { data } of snapshots.values()) nameSnapshots(regions, data);
  return { clock, accounts: Object.fromEntries(accounts) };
}

/** Fills in which snapshots a description names by an AMI and its device; one that isn't there has an ID of its own. */
function nameSnapshots(regions: readonly Region[], data: SimSnapshot['data']): void {
  data.Description = (data.Description ?? '').replace(/\{(ami-\w+) (\S+)\}/g, (_, imageId: string, device: string) => {
    const image = regions.map(({ images }) => images.get(imageId)).find((one) => one !== undefined);
    const mapping = image?.data.BlockDeviceMappings.find(({ DeviceName }) => DeviceName === device);
    return mapping?.Ebs?.SnapshotId ?? 'snap-00000000000000009';
  });
}

function buildAccount(id: string, scenario: AccountScenario, now: number): Account {
  const partition = scenario.partition ?? 'aws';
  const roles = Object.entries(scenario.roles ?? {}).map(([name, role]): [string, Role] => [
    name,
    {
      name,
      arn: `arn:${partition}:iam::${id}:role/${role.path ?? ''}${name}`,
      trust: role.trust,
      policies: [...role.policies, ...(role.attached ?? [])],
      guards: role.guards ?? [],
      maxSessionSeconds: role.maxSessionSeconds ?? 3600,
    },
  ]);
  const account: Account = {
    id,
    partition,
    roles: new Map(roles),
    oidcProviders: (scenario.oidc ?? []).map(({ issuer, audiences }) => ({ issuer, audiences: [...audiences] })),
    regions: new Map(),
    notOptedIn: new Set(scenario.notOptedIn),
    tagRules: scenario.tagRules ?? {},
  };
  for (const [name, region] of Object.entries(scenario.regions ?? {}))
    account.regions.set(name, buildRegion({ account, name, now }, region));
  return account;
}

function buildRegion(
  { account, name, now }: Readonly<{ account: Account; name: string; now: number }>,
  scenario: RegionScenario,
): Region {
  const region = emptyRegion(name);
  Object.assign(region.settings, scenario.settings);
  addLaunching(account, region, scenario.launch);
  const keys = { ...scenario.keys, 'aws/ebs': {} };
  for (const [alias, key] of Object.entries(keys)) {
    const built = buildKey({ account, region: name }, alias, key);
    region.keys.set(built.metadata.KeyId, built);
    region.aliases.set(`alias/${alias}`, built.metadata.KeyId);
  }
  for (const [parameter, given] of Object.entries(scenario.parameters ?? {})) {
    const built = buildParameter(parameter, typeof given === 'string' ? { value: given } : given);
    region.parameters.set(parameter, built);
  }
  for (const [template, images] of Object.entries(scenario.launchTemplates ?? {})) {
    const built = buildTemplate(template, 'versions' in images ? images : { versions: images });
    region.launchTemplates.set(built.id, built);
  }
  region.groups.push(...(scenario.groups ?? []));
  region.launchConfigurations.push(...(scenario.launchConfigurations ?? []));
  addOthersCopies({ account, region, now }, scenario.othersCopies);
  for (const ami of scenario.amis ?? []) buildAmi({ account, region, now }, ami);
  for (const instance of scenario.instances ?? [])
    region.instances.set(instance.id, buildInstance(account, region, instance));
  return region;
}

function addLaunching(account: Account, region: Region, scenario: LaunchScenario = {}): void {
  const { defaultVpc = true, subnets = [], groups = [], profiles = {}, boots = [], ...rest } = scenario;
  const { launching } = region;
  if (defaultVpc) addDefaultVpc(account.id, region);
  Object.assign(launching, rest);
  launching.boots.push(...boots);
  for (const { vpc = 'vpc-0e0e0e0e', freeAddresses = 251, tags, ...subnet } of subnets)
    launching.subnets.set(subnet.id, { ...subnet, vpc, isDefault: false, freeAddresses, tags: tagList(tags) });
  for (const { vpc = 'vpc-0e0e0e0e', tags, ...group } of groups)
    launching.groups.set(group.id, { ...group, vpc, name: group.id, tags: tagList(tags) });
  for (const [profile, role] of Object.entries(profiles)) launching.profiles.set(profile, role);
}

type Place = Readonly<{ account: Account; region: string }>;

function buildParameter(name: string, given: ParameterScenario): Parameter {
  const { value, type = 'String', dataType = 'text', versions = 1, oldestLabels = [] } = given;
  const oldest = Math.max(1, versions - keptVersions + 1);
  const history = Array.from({ length: versions - oldest }, (_, index) => ({
    ...{ value, dataType, version: oldest + index },
    labels: index === 0 ? oldestLabels : [],
  }));
  return { name, value, type, dataType, version: versions, tags: [], history };
}

function buildTemplate(
  name: string,
  { id = newId('lt'), versions, defaultVersion, deleted = 0 }: LaunchTemplateScenario,
): LaunchTemplate {
  return {
    ...{ id, name, defaultVersion: defaultVersion ?? deleted + 1, latest: deleted + versions.length },
    versions: versions.map((one, index) => ({
      number: deleted + index + 1,
      description: typeof one === 'string' ? '' : (one.description ?? ''),
      data: typeof one === 'string' ? { ImageId: one } : { ...one.data },
      visibleAt: 0,
    })),
    tokens: new Map(),
  };
}

function addOthersCopies(
  { account, region, now }: Readonly<{ account: Account; region: Region; now: number }>,
  { count, seconds }: NonNullable<RegionScenario['othersCopies']> = { count: 0, seconds: 0 },
): void {
  for (let copy = 0; copy < count; copy += 1) {
    const snapshot = buildSnapshot({ account, region, imageId: 'none' }, { device: '' });
    Object.assign(snapshot.data, {
      State: 'pending',
      Progress: '0%',
      VolumeId: 'vol-ffffffff',
      Description: 'another copy',
    });
    snapshot.making = {
      startsAt: now,
      endsAt: now + seconds * 1000,
      sizeGiB: 8,
      keyArn: undefined,
      failure: undefined,
      source: undefined,
      sourceKeys: [],
      counts: true,
    };
  }
}

function buildInstance(account: Account, region: Region, scenario: InstanceScenario): Instance {
  const { id, volumes, attributes, imageId, state = 'running', scan } = scenario;
  return {
    id,
    scanOf: (at) => scan && scanFrom(scan, at),
    ...(imageId !== undefined && { imageId }),
    state,
    image: {
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: volumes[0]?.device,
      EnaSupport: true,
      PlatformDetails: 'Linux/UNIX',
      UsageOperation: 'RunInstances',
      ...attributes,
    },
    volumes: volumes.map((volume) => {
      const mapping = mappingOf(volume, undefined);
      return {
        mapping,
        ...(mapping.Ebs && { volumeId: newId('vol') }),
        ...(volume.key !== undefined && { keyArn: keyArn(account, region, volume.key) }),
      };
    }),
  };
}

function buildKey({ account, region }: Place, alias: string, key: KeyScenario): Key {
  const KeyId = key.id ?? keyIdOf(account.id, region, alias);
  const state = key.state ?? 'Enabled';
  const isSymmetric = (key.spec ?? 'SYMMETRIC_DEFAULT') === 'SYMMETRIC_DEFAULT';
  return {
    metadata: {
      KeyId,
      Arn: `arn:${account.partition}:kms:${region}:${account.id}:key/${KeyId}`,
      AWSAccountId: account.id,
      CreationDate: new Date('2026-01-01T00:00:00Z'),
      Enabled: state === 'Enabled',
      Description: '',
      KeyState: state as never,
      KeyManager: alias.startsWith('aws/') ? 'AWS' : 'CUSTOMER',
      KeyUsage: (key.usage ?? 'ENCRYPT_DECRYPT') as never,
      KeySpec: (key.spec ?? 'SYMMETRIC_DEFAULT') as never,
      CustomerMasterKeySpec: (key.spec ?? 'SYMMETRIC_DEFAULT') as never,
      Origin: 'AWS_KMS',
      MultiRegion: KeyId.startsWith('mrk-'),
      ...(isSymmetric && {
        EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
        CurrentKeyMaterialId: createHash('sha256').update(`material of ${KeyId}`).digest('hex'),
      }),
    },
    policy: key.policy ?? delegatingPolicy(account.id, account.partition),
    formerPolicies: [],
    grants: (key.grantedTo ?? []).map((GranteePrincipal, index) => ({
      ...{ GrantId: String(index).padStart(64, '0'), GranteePrincipal, Operations: ['Decrypt', 'CreateGrant'] },
      ...{ CreationDate: new Date('2026-01-01T00:00:00Z'), IssuingAccount: account.id, activeAt: 0 },
    })),
    grantQuota: key.grantQuota ?? grantsPerKey,
  };
}

function keyArn(account: Account, region: Region, key: string): string {
  if (key.startsWith('arn:')) return key;
  const id = region.aliases.get(`alias/${key}`);
  if (id === undefined) throw new Error(`the scenario has no key ${key} in ${account.id}/${region.name}`);
  return `arn:${account.partition}:kms:${region.name}:${account.id}:key/${id}`;
}

export function tagList(tags: Readonly<Record<string, string>> | undefined): Tag[] {
  return Object.entries(tags ?? {}).map(([Key, Value]) => ({ Key, Value }));
}

function scanFrom({ results, findings = [], afterSeconds = 0 }: ScanScenario, begun: number): Scan {
  return { results, findings, at: begun + afterSeconds * 1000 };
}

function buildAmi(
  { account, region, now }: Readonly<{ account: Account; region: Region; now: number }>,
  ami: AmiScenario,
): void {
  const id = ami.id ?? amiIdOf(account.id, region.name, ami.name);
  const byDevice = new Map<string, SimSnapshot>();
  const mappings = ami.volumes.map((volume) => {
    const hasSnapshot = !volume.blank && !volume.instanceStore && !volume.noDevice;
    const snapshot =
      volume.sameSnapshotAs === undefined
        ? hasSnapshot
          ? buildSnapshot({ account, region, imageId: id }, volume)
          : undefined
        : byDevice.get(volume.sameSnapshotAs);
    if (snapshot !== undefined) byDevice.set(volume.device, snapshot);
    return mappingOf(volume, snapshot);
  });
  region.images.set(id, {
    data: {
      ImageId: id,
      OwnerId: account.id,
      Name: ami.name,
      State: 'available',
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: ami.volumes[0]?.device ?? '/dev/xvda',
      RootDeviceType: 'ebs',
      EnaSupport: true,
      Hypervisor: 'xen',
      ImageType: 'machine',
      Public: false,
      PlatformDetails: 'Linux/UNIX',
      UsageOperation: 'RunInstances',
      CreationDate: '2026-11-01T00:00:00.000Z',
      ImageLocation: `${account.id}/${ami.name}`,
      ...ami.attributes,
      BlockDeviceMappings: mappings,
      Tags: tagList(ami.tags),
    } as SimImage['data'],
    tagsLate: notLate(),
    formerData: [],
    visibleAt: 0,
    launch: new Set(ami.launchPermissions),
    launchLate: notLate(),
    uefiData: ami.uefiData,
    ...(ami.scan && { scan: scanFrom(ami.scan, now) }),
    billing: [...(ami.billing ?? [])],
    othersTags: new Map(),
  });
  if (ami.usageReport !== undefined) {
    const tags = tagList({ 'share-encrypted-ami:source-ami': ami.tags?.['share-encrypted-ami:source-ami'] ?? '' });
    const report = usageReportOf({
      imageId: id,
      owner: account.id,
      at: now - ami.usageReport.hoursAgo * 3_600_000,
      tags,
    });
    region.usageReports.set(report.data.ReportId, report);
  }
}

function buildSnapshot(
  { account, region, imageId }: Readonly<{ account: Account; region: Region; imageId: string }>,
  volume: VolumeScenario,
): SimSnapshot {
  const arn = volume.key === undefined ? undefined : keyArn(account, region, volume.key);
  const snapshot: SimSnapshot = {
    data: {
      SnapshotId: newId('snap'),
      OwnerId: account.id,
      State: 'completed',
      Progress: '100%',
      StartTime: new Date('2026-11-01T00:00:00Z'),
      CompletionTime: new Date('2026-11-01T00:10:00Z'),
      VolumeId: volume.copied === undefined ? newId('vol') : 'vol-ffffffff',
      VolumeSize: volume.sizeGiB ?? 8,
      Description: volume.copied ?? `Created by CreateImage(i-0123456789abcdef0) for ${imageId}`,
      Encrypted: arn !== undefined,
      ...(arn !== undefined && { KmsKeyId: arn }),
      StorageTier: volume.tier ?? 'standard',
      TransferType: 'standard',
      ...(volume.outpostArn && { OutpostArn: volume.outpostArn }),
      Tags: tagList(volume.tags),
    },
    tagsLate: notLate(),
    visibleAt: 0,
    shares: new Set(volume.sharedWith),
    sharesLate: notLate(),
    publicShare: false,
    ...(volume.lock !== undefined && { lock: volume.lock }),
  };
  region.snapshots.set(snapshot.data.SnapshotId, snapshot);
  return snapshot;
}

function mappingOf(volume: VolumeScenario, snapshot: SimSnapshot | undefined): BlockDeviceMapping {
  const { device, instanceStore, noDevice, blank } = volume;
  if (noDevice === true) return { DeviceName: device, NoDevice: '' };
  if (instanceStore !== undefined) return { DeviceName: device, VirtualName: instanceStore };
  const type = volume.type ?? 'gp3';
  return {
    DeviceName: device,
    Ebs: {
      DeleteOnTermination: volume.deleteOnTermination ?? true,
      VolumeSize: volume.sizeGiB ?? 8,
      VolumeType: type as never,
      Encrypted: snapshot?.data.Encrypted ?? blank?.encrypted ?? false,
      ...(snapshot && { SnapshotId: snapshot.data.SnapshotId }),
      ...(type === 'gp3' && { Iops: volume.iops ?? 3000, Throughput: volume.throughput ?? 125 }),
      ...(type !== 'gp3' && volume.iops !== undefined && { Iops: volume.iops }),
    },
  };
}
