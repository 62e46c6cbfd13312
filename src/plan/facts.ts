import type {
  Image,
  ImageUsageReport,
  LaunchPermission,
  LockedSnapshotsInfo,
  Snapshot,
  Tag,
} from '@aws-sdk/client-ec2';
import type { Where } from '../aws/errors.ts';
import type { TemplateFacts } from '../aws/launch-template.ts';
import type { ImageExtras } from '../image.ts';
import type { TargetRequest } from '../inputs/targets.ts';

/* What was read of AWS, as plain data: the plan is made of it alone. */

export type SourceSnapshot = Readonly<{
  id: string;
  sizeGiB: number;
  kmsKeyArn: string | undefined;
  /** Why it can't be shared with another account as it is, if it can't. */
  obstacle: string | undefined;
  tags: readonly Tag[];
}>;

export type Source = Readonly<{
  /** The instance that the AMI is yet to be made of: until then its own ID and its snapshots' are stand-ins. */
  instanceId: string | undefined;
  /** The AMI that an earlier try is making of it, or made in vain; it has the name. */
  earlierTry: Image | undefined;
  place: Where;
  account: string;
  /** Its ID, or what stands for it. */
  imageId: string;
  image: Image;
  extras: ImageExtras;
  snapshots: readonly SourceSnapshot[];
  /** The ARN of `source-kms-key`, where it was given. */
  kmsKeyArn: string | undefined;
  /** In an audit by lineage, why the AMI could not be read: then nothing but its ID is known. */
  unread?: string;
}>;

/** The snapshots that can't be deleted, by their IDs. */
export type Locks = ReadonlyMap<string, LockedSnapshotsInfo>;

/** One way to launch an AMI. */
export type Launch = Readonly<{
  type: string;
  subnet: string;
  zone: string;
  /** Whether an interface in the subnet gets an IPv6 address unless it is asked for none. */
  givesIpv6: boolean;
  /** None means the default group of the subnet's VPC. */
  groups: readonly string[];
  /** Whether AWS gives its console as it is now. */
  isNitro: boolean;
  memoryMiB: number;
}>;

/** Where an AMI is launched to see whether it boots. */
export type BootSite = Readonly<{
  /** What is tried one after the other, by size: the next size only where the AMI didn't come up by the one before. */
  sizes: readonly (readonly Launch[])[];
  /** The name of an instance profile, or its ARN. */
  profile: string | undefined;
}>;

/** A launch template that is there; `sourceVersion` as it is asked for: a number, `$Latest` or `$Default`. */
export type LaunchTemplate = Readonly<{
  id: string;
  sourceVersion: string;
  /** Its latest version by now. */
  latest: number;
  makesDefault: boolean;
  formerDefault: number;
}>;

export type Target = Readonly<{
  request: TargetRequest;
  place: Where;
  /** The role that was assumed, if one was. */
  roleArn: string | undefined;
  /** What grants on the source key are made to. */
  principalArn: string;
  kmsKeyArn: string;
  name: string;
  description: string | undefined;
  tags: Readonly<Record<string, string>>;
  /** Principals that are given a grant on the target key, to stay. */
  grantKeyTo: readonly string[];
  /** The SSM parameter that is to hold the AMI's ID. */
  ssmParameter: string | undefined;
  /** The launch template that is to get a version with the AMI, where it needs one. */
  launchTemplate: LaunchTemplate | undefined;
  /** With a boot test: where it is done, if it can be. */
  bootSite: BootSite | undefined;
  /** Zones in which fast snapshot restore is to be on. */
  zones: readonly string[];
  /** AMIs of this source that are there already, newest first. */
  existing: readonly Image[];
  /** What DescribeImages doesn't tell of them, by ID, where the source has it and it may be read. */
  existingExtras: ReadonlyMap<string, ImageExtras>;
  /** The AMI that has the name already, whatever its source. */
  namesake: Image | undefined;
  /** The product line that the AMI is of. */
  lineage: string | undefined;
  /** With `lineage`: the AMIs that bear its tag and ours, of whatever source. */
  made: readonly Image[];
  /** With `lineage`: what uses each of them; undefined where that can't be told. */
  users: Users | undefined;
  /** With `retain-shared: by-report`: the usage reports on those of them that are shared; undefined where they aren't read. */
  reports: UsageReports | undefined;
  /** Which snapshots of the AMIs that this run may remove are locked. */
  locks: Locks;
  /** Copies of this source's snapshots that an earlier run left, in whatever state. */
  earlierCopies: readonly Snapshot[];
  /** Snapshots of AMIs, of whatever source, that runs on this source AMI deregistered. */
  replaced: readonly Snapshot[];
  /** Those of both that bear a run's mark and that an AMI has, whatever tags it bears. */
  used: ReadonlySet<string>;
  /** The snapshots of `existing` and `made`, by their IDs. */
  parts: ReadonlyMap<string, Snapshot>;
  /** What AMIs come from, as AWS tells the ancestry of those that may be removed and were copied from encrypted copies. */
  ancestry: ReadonlyMap<string, string>;
}>;

/** What uses an AMI, and whether it would launch it anew. */
export type Use = Readonly<{
  by: string;
  launches: boolean;
  /** Where it is shared: whom with, by account ID, ARN or group. */
  others?: readonly string[];
}>;

/** By the AMI's ID. */
export type Users = ReadonlyMap<string, readonly Use[]>;

/** A report of AWS on who uses an AMI, and the other accounts that do by it. */
export type UsageReport = Readonly<{ report: ImageUsageReport; usedBy: readonly string[] }>;

/** By the AMI's ID. */
export type UsageReports = ReadonlyMap<string, readonly UsageReport[]>;

/** The key that copies for the targets of a region are to be under, in the source account there. */
export type Hub = Readonly<{ place: Where; kmsKeyArn: string }>;

/** What earlier runs made in the source account on the way, in one region. */
export type Intermediates = Readonly<{ images: readonly Image[]; snapshots: readonly Snapshot[] }>;

export type Observed = Readonly<{
  /** When the source AMI's tags were read, by AWS's time, in ms since the epoch. */
  at: number;
  source: Source;
  targets: readonly Target[];
  /** By region. */
  hubs: ReadonlyMap<string, Hub>;
  /** By region. */
  intermediates: ReadonlyMap<string, Intermediates>;
}>;

/** How an AMI is published, as an audit reads it. */
export type PublishedFacts = Readonly<{
  launchPermissions: readonly LaunchPermission[];
  /** The zones in which fast snapshot restore is on, by the snapshots' IDs. */
  fastZones: ReadonlyMap<string, readonly string[]>;
  /** Whom grants let do what launching takes with the key: principals with the operations of each of their grants. */
  grants: readonly Readonly<{ principal: string; operations: readonly string[] }>[];
  /** What the SSM parameter holds; undefined where there is none. */
  parameter: string | undefined;
  /** The launch template, its latest version as `source`; undefined where there is none. */
  template: TemplateFacts | undefined;
}>;
