import type { Image, Snapshot, SnapshotState } from '@aws-sdk/client-ec2';
import type { Place } from '../../src/aws/clients.ts';
import { type InputName, inputDefaults } from '../../src/inputs/reader.ts';
import { type Request, readInputs } from '../../src/inputs.ts';
import { type LeaseRecord, leaseTag, type Reader } from '../../src/lease.ts';
import { planOf } from '../../src/plan/plan.ts';
import { openFindings } from '../../src/plan/problem.ts';
import type { Target } from '../../src/plan/resolve.ts';
import type { Source, SourceSnapshot } from '../../src/plan/source.ts';
import { tagKeys } from '../../src/tags.ts';
import { systemClock } from '../../src/time.ts';

/*
 * The facts that a plan is made of, as plain data. Every maker gives the common case, and takes what a test is about.
 */

export const sourceAccount = '111111111111';
export const sourceRegion = 'us-east-1';
export const targetAccount = '999999999999';
export const targetRegion = 'eu-west-1';
export const runUrl = 'https://github.com/acme/images/actions/runs/4711';

export const keyOf = (account: string, region: string) => `arn:aws:kms:${region}:${account}:key/${account}-${region}`;
export const sourceKey = keyOf(sourceAccount, sourceRegion);
export const targetKey = keyOf(targetAccount, targetRegion);

/** The lease of the run that plans, of one that lives beside it, and of one that has died. */
export const ownLease = 'aaaaaaaaaaaa';
export const liveLease = 'bbbbbbbbbbbb';
export const deadLease = 'dddddddddddd';

const now = Date.parse('2026-11-24T12:00:00Z');

/** Another run's lease, that lives. */
export function lease(id: string, over: Partial<LeaseRecord> = {}): LeaseRecord {
  return { id, expiresAt: now + 200_000, runId: '1234', attempt: 1, machine: '', process: '', regions: [], ...over };
}

export function readerOf(over: Partial<Reader> = {}): Reader {
  return { now, runId: '4711', attempt: 1, machine: '', isRunning: () => false, ...over };
}

/** A place that takes no calls: plans are made from what was read. */
function placeAt(account: string, region: string): Place {
  const call = () => {
    throw new Error('a plan calls nothing');
  };
  const { signal } = new AbortController();
  const until = () => placeAt(account, region);
  return {
    account,
    region,
    signal,
    clock: systemClock,
    sleep: call,
    ec2: call,
    kms: call,
    sts: call,
    ssm: call,
    until,
  };
}

export function volume(device: string, snapshotId: string, encrypted = false) {
  const Ebs = { SnapshotId: snapshotId, Encrypted: encrypted, VolumeType: 'gp3' as const, VolumeSize: 8 };
  return { DeviceName: device, Ebs };
}

/** The AMI that is shared: Linux, of one volume. */
export function golden(over: Partial<Image> = {}): Image {
  return {
    ImageId: 'ami-golden',
    Name: 'golden-2026-11-23',
    OwnerId: sourceAccount,
    State: 'available',
    Architecture: 'x86_64',
    VirtualizationType: 'hvm',
    RootDeviceName: '/dev/xvda',
    RootDeviceType: 'ebs',
    EnaSupport: true,
    PlatformDetails: 'Linux/UNIX',
    UsageOperation: 'RunInstances',
    BlockDeviceMappings: [volume('/dev/xvda', 'snap-root')],
    ...over,
  };
}

/** A snapshot of the source that can be shared as it is. */
export function snapshot(id: string, over: Partial<SourceSnapshot> = {}): SourceSnapshot {
  return { id, sizeGiB: 8, kmsKeyArn: sourceKey, obstacle: undefined, tags: [], ...over };
}

/** A snapshot of the source that must be encrypted first. */
export function unencrypted(id: string): SourceSnapshot {
  return snapshot(id, { kmsKeyArn: undefined, obstacle: 'under no key' });
}

/** One account in one region; what is there already comes by `over`. */
export function targetIn(account: string, region: string, over: Partial<Target> = {}): Target {
  const kmsKeyArn = keyOf(account, region);
  return {
    request: { account, region, roleArn: undefined, kmsKey: kmsKeyArn, amiName: '{name}', tags: {} },
    place: placeAt(account, region),
    at: (region) => placeAt(account, region),
    roleArn: undefined,
    principalArn: `arn:aws:iam::${account}:role/ami-target`,
    kmsKeyArn,
    name: 'golden-2026-11-23',
    description: undefined,
    tags: {},
    grantKeyTo: [],
    ssmParameter: undefined,
    existing: [],
    namesake: undefined,
    made: [],
    earlierCopies: [],
    existingExtras: new Map(),
    locks: new Map(),
    ...over,
  };
}

type Marks = { lease?: string | undefined; run?: string };

/** A finished AMI of the golden one in the target; its snapshot is `snap-of-<id>`. */
export function sharedAmi(id: string, { lease, run, ...over }: Partial<Image> & Marks = {}): Image {
  const marks = { [tagKeys.sourceAmi]: 'ami-golden', [tagKeys.run]: run, [tagKeys.lease]: lease };
  return golden({
    ImageId: id,
    OwnerId: targetAccount,
    BlockDeviceMappings: [volume('/dev/xvda', `snap-of-${id}`, true)],
    Tags: tagsOf(marks),
    ...over,
  });
}

/** The snapshot of a finished AMI, under the target key. */
export function snapshotOf(image: Image, kmsKeyArn = targetKey): Snapshot {
  return { SnapshotId: `snap-of-${image.ImageId}`, State: 'completed', KmsKeyId: kmsKeyArn, Tags: [] };
}

type CopyFacts = {
  of?: string;
  lease?: string | undefined;
  key?: string;
  state?: SnapshotState;
  started?: string;
};

/** A copy of a source snapshot in the target; that of a run that has died, unless said otherwise. */
export function earlierCopy(id: string, facts: CopyFacts = {}): Snapshot {
  const { of = 'snap-root', lease = deadLease, key = targetKey, state = 'completed', started } = facts;
  const marks = {
    [tagKeys.sourceSnapshot]: of,
    [tagKeys.kmsKey]: key,
    [tagKeys.lease]: 'lease' in facts ? facts.lease : lease,
  };
  return { SnapshotId: id, State: state, Tags: tagsOf(marks), ...(started && { StartTime: new Date(started) }) };
}

function tagsOf(marks: Record<string, string | undefined>) {
  return Object.entries(marks).flatMap(([Key, Value]) => (Value === undefined ? [] : [{ Key, Value }]));
}

export function requestOf(inputs: Partial<Record<InputName, string>> = {}, run = runUrl, attempt = 1): Request {
  const given: Record<string, string> = {
    ...inputDefaults,
    'ami-id': 'ami-0123456789abcdef0',
    'source-region': sourceRegion,
    'source-kms-key': 'alias/golden',
    'target-accounts': targetAccount,
    'target-regions': targetRegion,
    'target-kms-key': 'alias/golden',
    ...inputs,
  };
  return readInputs((name) => given[name] ?? '', {
    runUrl: run,
    runId: '4711',
    runAttempt: attempt,
    sha: 'c0ffee',
    date: new Date(now),
    defaultRegion: undefined,
  });
}

type Facts = {
  inputs?: Partial<Record<InputName, string>>;
  /** The workflow run's URL, '' outside a workflow, and its attempt. */
  run?: string;
  attempt?: number;
  image?: Partial<Image>;
  source?: Partial<Source>;
  /** The leases that are on the source AMI. */
  leases?: readonly LeaseRecord[];
  targets?: readonly Target[];
  /** The regions with a hub. */
  hubs?: readonly string[];
};

/** The plan from these facts, its problems and its warnings. */
export function planFrom({ inputs, run, attempt, image, source, leases = [], targets, hubs = [] }: Facts) {
  const golds = golden(image);
  const resolved = {
    source: {
      instanceId: undefined,
      place: placeAt(sourceAccount, sourceRegion),
      at: (region: string) => placeAt(sourceAccount, region),
      account: sourceAccount,
      image: { ...golds, Tags: [...(golds.Tags ?? []), ...leases.map(leaseTag)] },
      extras: { uefiData: undefined },
      snapshots: [snapshot('snap-root')],
      kmsKeyArn: sourceKey,
      ...source,
    },
    targets: targets ?? [targetIn(targetAccount, targetRegion)],
    hubs: new Map(
      hubs.map((region) => [
        region,
        { place: placeAt(sourceAccount, region), kmsKeyArn: keyOf(sourceAccount, region) },
      ]),
    ),
  };
  const findings = openFindings(new AbortController().signal);
  const plan = planOf(requestOf(inputs, run, attempt), resolved, ownLease, readerOf(), findings);
  return { plan, problems: findings.problems, warnings: findings.warnings() };
}

/** The plan of a single target. */
export function planOne(facts: Omit<Facts, 'targets'> & { target?: Partial<Target> }) {
  const { target, ...others } = facts;
  const { plan, problems, warnings } = planFrom({
    ...others,
    targets: [targetIn(targetAccount, targetRegion, target)],
  });
  const [one] = plan.targets;
  if (one === undefined) throw new Error('the plan has no target');
  return { ...one, plan, problems, warnings };
}
