import type { AutoScalingGroup, LaunchConfiguration } from '@aws-sdk/client-auto-scaling';
import type {
  BlockDeviceMapping,
  Image,
  ImageCriterion,
  ImageFinding,
  ImageUsageReport,
  ImageUsageReportEntry,
  InstanceStateName,
  LockState,
  RequestLaunchTemplateData,
  ScanResults,
  Snapshot,
  SummaryStatus,
  Tag,
} from '@aws-sdk/client-ec2';
import type { KeyMetadata } from '@aws-sdk/client-kms';
import type { Clock } from './clock.ts';
import { idOf, newId } from './ids.ts';

/** A policy document as it stands in a scenario: frozen once it was evaluated, since what it says is remembered. */
export type PolicyDocument = Readonly<Record<string, unknown>>;

/** What bounds a role from outside: each must allow what the role does, and is named in a denial. */
export type GuardKind =
  | 'permissions boundary'
  | 'session policy'
  | 'service control policy'
  | 'resource control policy'
  | 'VPC endpoint policy';
export type Guard = Readonly<{ kind: GuardKind; policy: PolicyDocument }>;

export type Role = {
  name: string;
  arn: string;
  trust: PolicyDocument;
  policies: PolicyDocument[];
  guards: readonly Guard[];
  maxSessionSeconds: number;
};

export type Grant = {
  GrantId: string;
  Name?: string;
  GranteePrincipal: string;
  RetiringPrincipal?: string;
  Operations: string[];
  Constraints?: { EncryptionContextSubset?: Record<string, string>; EncryptionContextEquals?: Record<string, string> };
  CreationDate: Date;
  IssuingAccount: string;
  /** In force from then on, ms since the epoch. */
  activeAt: number;
};

export type Key = {
  metadata: KeyMetadata & { Arn: string; KeyId: string; AWSAccountId: string };
  policy: PolicyDocument;
  /** The policies before, each read and in force until then, ms since the epoch. */
  formerPolicies: Former<PolicyDocument>;
  grants: Grant[];
  /** How many grants it may have. */
  grantQuota: number;
};

/** What reads still show of something that has changed since: each value until then, ms since the epoch. */
export type Former<T> = { value: T; until: number }[];

/** What has changed: reads show the former value for a while, and decisions go by it for another. */
export type Late<T> = Readonly<{ read: Former<T>; inForce: Former<T> }>;

export function notLate<T>(): Late<T> {
  return { read: [], inForce: [] };
}

/** What a read shows of `value` by now, or a decision goes by. */
export function shownOf<T>(value: T, former: Former<T>, now: number): T {
  return former.find(({ until }) => until > now)?.value ?? value;
}

/** Whether what ended then, if it did, has been over for so many seconds. */
export function isOver(endedAt: number | undefined, seconds: number, now: number): boolean {
  return endedAt !== undefined && (seconds <= 0 || now >= endedAt + seconds * 1000);
}

/** The policy of a key that is read and in force now: a change takes a while to be seen everywhere. */
export function policyInForce({ policy, formerPolicies }: Key, now: number): PolicyDocument {
  return shownOf(policy, formerPolicies, now);
}

/** The words that a copy ends in error with, and when, ms since the epoch. */
export type Failure = Readonly<{ words: string; at: number }>;

/** A snapshot as DescribeSnapshots tells it, and what makes it move. */
export type SimSnapshot = {
  data: Snapshot & { SnapshotId: string; OwnerId: string; Tags: Tag[] };
  tagsLate: Late<Tag[]>;
  visibleAt: number;
  shares: Set<string>;
  sharesLate: Late<Set<string>>;
  publicShare: boolean;
  /** Unless expired, it can't be deleted. */
  lock?: LockState;
  deletedAt?: number;
  /** A copy under way: what it will be when it ends. */
  making?: {
    startsAt: number;
    endsAt: number;
    sizeGiB: number;
    keyArn: string | undefined;
    failure: Failure | undefined;
    source: SimSnapshot | undefined;
    sourceKeys: readonly Key[];
    counts: boolean;
  };
};

/** What a scan by Amazon Inspector found, and when. */
export type Scan = Readonly<{ at: number; results: ScanResults; findings: readonly ImageFinding[] }>;

export type SimImage = {
  data: Image & {
    ImageId: string;
    OwnerId: string;
    Name: string;
    Tags: Tag[];
    BlockDeviceMappings: BlockDeviceMapping[];
  };
  tagsLate: Late<Tag[]>;
  /** All attributes but tags, state and devices, as they were. */
  formerData: Former<Image>;
  visibleAt: number;
  launch: Set<string>;
  launchLate: Late<Set<string>>;
  uefiData: string | undefined;
  /** When the cooldown of its protection ends, ms since the epoch. */
  protectedUntil?: number;
  /** Amazon Inspector's scan, which is there from then on, ms since the epoch. */
  scan?: Scan;
  /** What other accounts have of it, each since a time in ms since the epoch: usage reports tell it late. */
  usedElsewhere?: { account: string; type: string; count: number; since: number }[];
  billing: string[];
  /** What other accounts tagged it with: each sees its own tags alone. */
  othersTags: Map<string, { Tags: Tag[] }>;
  deregisteredAt?: number;
  /** In the Recycle Bin since it was deregistered, and until then, ms since the epoch. */
  binnedUntil?: number;
  clientToken?: { token: string; request: string };
  /** Under way: the snapshots that it waits for, and when it names them. */
  making?: { snapshots: SimSnapshot[]; endsAt: number; namesAt?: number };
};

/** A device of an instance as its AMI has it, with the volume that is there and the key that this is under. */
export type InstanceVolume = { mapping: BlockDeviceMapping; volumeId?: string; keyArn?: string };

/** How an instance of an AMI comes up: all is well with the defaults of ec2/boot.ts. */
export type Boot = Readonly<{
  /** When the status checks pass, and what each shows before; `never` where they don't. */
  checksAfterSeconds?: number | 'never';
  instanceStatus?: SummaryStatus;
  systemStatus?: SummaryStatus;
  attachedEbsStatus?: SummaryStatus;
  /** It ends by itself, for a reason in AWS's words. */
  ends?: Readonly<{
    afterSeconds: number;
    code: string;
    message: string;
    transition?: string;
    state?: 'stopped' | 'terminated';
  }>;
  /** What it writes to its console. */
  console?: string;
  /** A picture of it, in base64; without, AWS has none. */
  screenshot?: string;
  /** When the agent of Systems Manager is online, where it has an instance profile; `never` where it isn't. */
  agentAfterSeconds?: number | 'never';
}>;

export type Subnet = {
  id: string;
  vpc: string;
  zone: string;
  isDefault: boolean;
  freeAddresses: number;
  /** The account that shares it with this one, which is no owner of its VPC then. */
  owner?: string;
  /** Whether interfaces get an IPv6 address unless they are asked for none. */
  givesIpv6?: boolean;
  tags: Tag[];
};
export type SecurityGroup = Readonly<{
  id: string;
  vpc: string;
  name: string;
  /** The account that shares it with this one. */
  owner?: string;
  tags: readonly Tag[];
}>;

/** What instances are launched into, and how that goes. */
export type Launching = {
  subnets: Map<string, Subnet>;
  groups: Map<string, SecurityGroup>;
  /** The role of each instance profile, by the profile's name; empty where it has none. */
  profiles: Map<string, string>;
  /** The vCPUs that may run at once. */
  vcpuQuota: number;
  /** Where there is no capacity, as `type/zone`; `*` stands for any characters. */
  noCapacity: readonly string[];
  /** Whether the account's default shows an instance its tags. */
  showsTags: boolean;
  /** How the next instances come up, one after the other; the last one's goes on. */
  boots: Boot[];
};

/** What RunInstances made an instance by, and what has become of it since. */
export type Launched = {
  at: number;
  token: string | undefined;
  request: string;
  type: string;
  subnet: Subnet;
  groups: readonly string[];
  profile: string | undefined;
  onShutdown: string;
  boot: Boot;
  tags: Tag[];
  volumeTags: Tag[];
  interfaceTags: readonly Tag[];
  ipv6Addresses: number;
  httpTokens: 'optional' | 'required';
  tagsLate: Late<Tag[]>;
  visibleAt: number;
  /** When it was told to end. */
  endedAt?: number;
  reason?: Readonly<{ code: string; message: string; transition: string }>;
};

/** A volume that no instance has. */
export type Volume = Readonly<{
  id: string;
  zone: string;
  sizeGiB: number;
  type: string;
  tags: readonly Tag[];
  keyArn: string | undefined;
}>;

export type Instance = {
  id: string;
  /** The image that it runs. */
  imageId?: string;
  image: Omit<Image, 'BlockDeviceMappings'>;
  state: InstanceStateName;
  volumes: readonly InstanceVolume[];
  launched?: Launched;
  /** The scan of an AMI that is made of it by then. */
  scanOf?: (at: number) => Scan | undefined;
};

/** https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html */
export const keptVersions = 100;

export type Parameter = {
  name: string;
  value: string;
  type: string;
  dataType: string;
  version: number;
  tags: Tag[];
  /** The versions before, of which 100 are kept with the present one. */
  history: { value: string; dataType: string; version: number; labels?: readonly string[] }[];
  /** Put, but not looked at by AWS yet: it stands, or vanishes, from then on. */
  coming?: { value: string; dataType: string; version: number; at: number; stands: boolean };
};

export type Settings = {
  encryptionByDefault: boolean;
  defaultKey: string;
  snapshotBlockPublicAccess: 'block-all-sharing' | 'block-new-sharing' | 'unblocked';
  imageBlockPublicAccess: 'block-new-sharing' | 'unblocked';
  /** `providers` stands for a criterion of these alone. */
  allowedImages: Readonly<{
    state: 'disabled' | 'enabled' | 'audit-mode';
    providers?: readonly string[];
    criteria?: readonly ImageCriterion[];
    managedBy?: 'account' | 'declarative-policy';
  }>;
  concurrentCopies: number;
  /** The Recycle Bin's rule for AMIs: of all, or those with one of the tags, but for those with one of the others. */
  recycleBin?: Readonly<{
    days: number;
    tags?: Readonly<Record<string, string>>;
    excludedTags?: Readonly<Record<string, string>>;
  }>;
};

export type Region = {
  name: string;
  images: Map<string, SimImage>;
  snapshots: Map<string, SimSnapshot>;
  /** Deleted snapshots: what is left of them may be seen, or take a slot, for a while. */
  deletedSnapshots: Map<string, SimSnapshot>;
  keys: Map<string, Key>;
  aliases: Map<string, string>;
  parameters: Map<string, Parameter>;
  /** What reads still show of parameters that have changed since, by name; undefined for none. */
  formerParameters: Map<string, Former<Parameter | undefined>>;
  instances: Map<string, Instance>;
  volumes: Map<string, Volume>;
  launching: Launching;
  /** By ID. */
  launchTemplates: Map<string, LaunchTemplate>;
  /** As DescribeAutoScalingGroups and DescribeLaunchConfigurations tell them. */
  groups: AutoScalingGroup[];
  launchConfigurations: LaunchConfiguration[];
  /** The parent image of each of Image Builder's recipes, by ARN. */
  recipes: Map<string, string>;
  /** AMI usage reports, by ID. */
  usageReports: Map<string, SimUsageReport>;
  /** The availability zones in which fast snapshot restore is on, by snapshot. */
  fastRestores: Map<string, Set<string>>;
  settings: Settings;
};

/** An AMI usage report: pending until it is ready; with a `failure`, in error from then on. */
export type SimUsageReport = {
  data: Omit<ImageUsageReport, 'State' | 'StateReason'> & { ReportId: string; ImageId: string; Tags: Tag[] };
  owner: string;
  readyAt: number;
  expiresAt: number;
  failure?: string;
  entries: ImageUsageReportEntry[];
  clientToken?: { token: string; request: string };
};

const keptDays = 30;

/** A report on all that can use an image, which is ready at once and shows no use. */
export function usageReportOf({
  imageId,
  owner,
  at,
  tags,
}: Readonly<{ imageId: string; owner: string; at: number; tags: Tag[] }>): SimUsageReport {
  const expiresAt = at + keptDays * 86_400_000;
  const depth = [{ OptionName: 'version-depth', OptionValues: ['10000'] }];
  return {
    data: {
      ...{ ImageId: imageId, ReportId: newId('amiur'), Tags: tags },
      ...{ CreationTime: new Date(at), ExpirationTime: new Date(expiresAt) },
      ResourceTypes: [
        { ResourceType: 'ec2:Instance' },
        { ResourceType: 'ec2:LaunchTemplate', ResourceTypeOptions: depth },
        { ResourceType: 'imagebuilder:ImageRecipe' },
        { ResourceType: 'imagebuilder:ContainerRecipe' },
      ],
    },
    ...{ owner, readyAt: at, expiresAt, entries: [] },
  };
}

export type LaunchTemplate = {
  id: string;
  name: string;
  versions: TemplateVersion[];
  defaultVersion: number;
  /** The highest number that was given: one that is deleted is not given again. */
  latest: number;
  /** What was made by which client token, and for which request. */
  tokens: Map<string, { number: number; request: string }>;
};

export type TemplateVersion = {
  number: number;
  description: string;
  data: RequestLaunchTemplateData;
  /** From when on reads show it, in ms. */
  visibleAt: number;
};

export type OidcProvider = { issuer: string; audiences: string[] };

export type Account = {
  id: string;
  partition: string;
  roles: Map<string, Role>;
  oidcProviders: OidcProvider[];
  /** Regions that exist for the account: those that it has enabled. */
  regions: Map<string, Region>;
  notOptedIn: Set<string>;
  tagRules: TagRules;
};

/** What an organization wants of tags. */
export type TagRules = Readonly<{
  /** Its tag policy, as it is enforced on EC2: by tag key, the values that it may have. */
  allowed?: Readonly<Record<string, readonly string[]>>;
  /**
   * The keys without which nothing is made, by aws:RequestTag in a service control policy. One on what is made alone:
   * https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_examples_tagging.html
   */
  demanded?: readonly string[];
}>;

export type World = { clock: Clock; accounts: Record<string, Account> };

/** The region of an account. Every account has all regions that the scenario knows, empty where nothing was put. */
export function regionOf(world: World, accountId: string, region: string): Region {
  const account = world.accounts[accountId];
  if (account === undefined) throw new Error(`the scenario has no account ${accountId}`);
  const known = account.regions.get(region);
  if (known !== undefined) return known;
  const fresh = emptyRegion(region);
  addDefaultVpc(accountId, fresh);
  account.regions.set(region, fresh);
  return fresh;
}

/** Every account begins with a default VPC in each region: https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc.html */
export function addDefaultVpc(account: string, { name, launching: { subnets, groups } }: Region): void {
  const vpc = idOf('vpc', `${account} ${name}`);
  for (const letter of ['a', 'b', 'c']) {
    const zone = `${name}${letter}`;
    const id = idOf('subnet', `${account} ${zone}`);
    subnets.set(id, { id, vpc, zone, isDefault: true, freeAddresses: 4091, tags: [] });
  }
  const id = idOf('sg', `${account} ${name}`);
  groups.set(id, { id, vpc, name: 'default', tags: [] });
}

export function emptyRegion(name: string): Region {
  return {
    name,
    images: new Map(),
    snapshots: new Map(),
    deletedSnapshots: new Map(),
    keys: new Map(),
    aliases: new Map(),
    parameters: new Map(),
    formerParameters: new Map(),
    instances: new Map(),
    volumes: new Map(),
    launching: {
      subnets: new Map(),
      groups: new Map(),
      profiles: new Map(),
      // https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
      vcpuQuota: 32,
      noCapacity: [],
      showsTags: false,
      boots: [],
    },
    launchTemplates: new Map(),
    groups: [],
    launchConfigurations: [],
    recipes: new Map(),
    usageReports: new Map(),
    fastRestores: new Map(),
    settings: {
      encryptionByDefault: false,
      defaultKey: 'alias/aws/ebs',
      snapshotBlockPublicAccess: 'unblocked',
      imageBlockPublicAccess: 'block-new-sharing',
      allowedImages: { state: 'disabled' },
      // https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html
      concurrentCopies: 20,
    },
  };
}

/** A resource wherever it is in a region, whoever owns it: IDs are unique. */
export function findSnapshot(world: World, region: string, id: string): SimSnapshot | undefined {
  for (const account of Object.values(world.accounts)) {
    const snapshot = account.regions.get(region)?.snapshots.get(id);
    if (snapshot !== undefined) return snapshot;
  }
  return undefined;
}

export function findImage(world: World, region: string, id: string): SimImage | undefined {
  for (const account of Object.values(world.accounts)) {
    const image = account.regions.get(region)?.images.get(id);
    if (image !== undefined) return image;
  }
  return undefined;
}

export function findKeyByArn(world: World, arn: string): Key | undefined {
  const [, , , region = '', account = '', resource = ''] = arn.split(':');
  return world.accounts[account]?.regions.get(region)?.keys.get(resource.replace(/^key\//, ''));
}

/** Whether `account` may copy, or make volumes from, a snapshot. */
export function canUseSnapshot(snapshot: SimSnapshot, account: string, now: number): boolean {
  const { data, shares, sharesLate, publicShare } = snapshot;
  return data.OwnerId === account || shownOf(shares, sharesLate.inForce, now).has(account) || publicShare;
}

export function canSeeImage(image: SimImage, account: string, now: number): boolean {
  const { data, launch, launchLate } = image;
  return data.OwnerId === account || shownOf(launch, launchLate.inForce, now).has(account) || data.Public === true;
}
