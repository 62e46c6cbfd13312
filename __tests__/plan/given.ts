import type { Image, Snapshot, SnapshotState } from '@aws-sdk/client-ec2';
import * as yaml from 'yaml';
import { snapshotIdsOf } from '../../src/image.ts';
import { type InputName, inputDefaults } from '../../src/inputs/reader.ts';
import { type Request, readInputs } from '../../src/inputs.ts';
import { type LeaseRecord, leaseTag, type Reader } from '../../src/lease.ts';
import { isMaking, type Plan, type TargetPlan } from '../../src/plan/decided.ts';
import { copyDescription } from '../../src/plan/evidence.ts';
import type { Intermediates, Observed, Source, SourceSnapshot, Target } from '../../src/plan/facts.ts';
import type { Kind, Operation, OperationOf } from '../../src/plan/operation.ts';
import { planOf } from '../../src/plan/plan.ts';
import { openFindings } from '../../src/plan/problem.ts';
import { type ReplacedBy, replacedByTag } from '../../src/plan/replaced.ts';
import { tagKeys } from '../../src/tags.ts';

/*
 * The facts that a plan is made of, as plain data. Every maker gives the common case, and takes what a test is about.
 * What runs made is as they make it: it says of what it was copied, by IDs that read as AWS's do.
 */

export const sourceAccount = '111111111111';
export const sourceRegion = 'us-east-1';
export const targetAccount = '999999999999';
export const targetRegion = 'eu-west-1';
export const runUrl = 'https://github.com/acme/images/actions/runs/4711';

export const keyOf = (account: string, region: string) => `arn:aws:kms:${region}:${account}:key/${account}-${region}`;
export const sourceKey = keyOf(sourceAccount, sourceRegion);
export const targetKey = keyOf(targetAccount, targetRegion);

/** The lease of the run that plans, of one that lives beside it, of one that is not to be found, and of one that has died. */
export const ownLease = 'aaaaaaaaaaaa';
export const liveLease = 'bbbbbbbbbbbb';
export const lostLease = 'cccccccccccc';
export const deadLease = 'dddddddddddd';

export const now = Date.parse('2026-11-24T12:00:00Z');
const dayMs = 24 * 3_600_000;

/** The lease of another run, which lives, and began a week ago. */
export function lease(id: string, over: Partial<LeaseRecord> = {}): LeaseRecord {
  const run = { runId: '1234', attempt: 1, machine: '', process: '' };
  return { id, expiresAt: now + 200_000, since: now - 7 * dayMs, ...run, targets: '', regions: [], ...over };
}

export function readerOf(over: Partial<Reader> = {}): Reader {
  return { now, runId: '4711', attempt: 1, machine: '', isRunning: () => false, ...over };
}

export function volume(device: string, snapshotId: string, encrypted = false) {
  const Ebs = { SnapshotId: snapshotId, Encrypted: encrypted, VolumeType: 'gp3' as const, VolumeSize: 8 };
  return { DeviceName: device, Ebs };
}

/** The AMI that is shared: Linux, of one volume. */
export function golden(over: Partial<Image> = {}): Image {
  return {
    ImageId: 'ami-601d',
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
    BlockDeviceMappings: [volume('/dev/xvda', 'snap-b007')],
    ...over,
  };
}

/** A snapshot of the source that can be shared as it is. */
export function snapshot(id: string, over: Partial<SourceSnapshot> = {}): SourceSnapshot {
  return { id, sizeGiB: 8, kmsKeyArn: sourceKey, obstacle: undefined, tags: [], ...over };
}

/** A snapshot of the source that must be encrypted first. */
export function unencrypted(id: string): SourceSnapshot {
  return snapshot(id, { kmsKeyArn: undefined, obstacle: 'not encrypted' });
}

/** One account in one region; what is there already comes by `over`, and its AMIs' snapshots are copies of the source's. */
export function targetIn(account: string, region: string, over: Partial<Target> = {}): Target {
  const kmsKeyArn = keyOf(account, region);
  const { existing = [], made = [], earlierCopies = [] } = over;
  const named = [...existing, ...made].flatMap(snapshotIdsOf).map((id) => ({
    ...copyOf(id),
    Description: `${copyOf(id).Description}${over.lineage ? `, lineage ${over.lineage}` : ''}`,
  }));
  return {
    request: {
      account,
      region,
      roleArn: undefined,
      kmsKey: kmsKeyArn,
      amiName: '{name}',
      tags: {},
      optional: false,
      own: { account, region },
      everyRegion: undefined,
    },
    place: { account, region },
    roleArn: undefined,
    principalArn: `arn:aws:iam::${account}:role/ami-target`,
    kmsKeyArn,
    name: 'golden-2026-11-23',
    description: undefined,
    tags: {},
    grantKeyTo: [],
    ssmParameter: undefined,
    lineage: undefined,
    launchTemplate: undefined,
    existing: [],
    namesake: undefined,
    made: [],
    earlierCopies: [],
    replaced: [],
    used: new Set(),
    existingExtras: new Map(),
    users: new Map(),
    reports: undefined,
    bootSite: undefined,
    zones: [],
    locks: new Map(),
    parts: new Map([...named, ...earlierCopies].map((one) => [one.SnapshotId ?? '', one])),
    ancestry: new Map(),
    ...over,
  };
}

/** A copy by the action of an AMI's snapshot; no look has told its key yet. */
export function copyOf(id: string, of = 'snap-b007', imageId = 'ami-601d'): Snapshot {
  const Description = copyDescription(of, imageId, { account: sourceAccount, region: sourceRegion });
  return { SnapshotId: id, State: 'completed', VolumeId: 'vol-ffffffff', Description };
}

type Marks = { lease?: string | undefined; run?: string };

/** A finished AMI of the golden one in the target; its snapshot is `snap-of-<id>`. */
export function sharedAmi(id: string, { lease, run, ...over }: Partial<Image> & Marks = {}): Image {
  const marks = { [tagKeys.sourceAmi]: 'ami-601d', [tagKeys.run]: run, [tagKeys.lease]: lease };
  return golden({
    ImageId: id,
    OwnerId: targetAccount,
    BlockDeviceMappings: [volume('/dev/xvda', `snap-of-${id}`, true)],
    Tags: tagsOf(marks),
    ...over,
  });
}

/** An AMI of the golden one in the target by CopyImage: AWS says of what it was copied. */
export function copiedAmi(id: string, over: Partial<Image> & Marks = {}): Image {
  return sharedAmi(id, { SourceImageId: 'ami-601d', ...over });
}

/** The snapshot of a finished AMI, under the target key. */
export function snapshotOf(image: Image, kmsKeyArn = targetKey): Snapshot {
  const Tags = tagsOf({ [tagKeys.sourceAmi]: 'ami-601d', [tagKeys.sourceSnapshot]: 'snap-b007' });
  return { ...copyOf(`snap-of-${image.ImageId}`), KmsKeyId: kmsKeyArn, Tags };
}

type CopyFacts = {
  of?: string;
  lease?: string | undefined;
  replacedBy?: ReplacedBy;
  run?: string | undefined;
  key?: string;
  state?: SnapshotState;
  started?: string;
};

/** A copy of a source snapshot in the target; that of a run that has died, unless said otherwise. */
export function earlierCopy(id: string, facts: CopyFacts = {}): Snapshot {
  const { of = 'snap-b007', lease = deadLease, key = targetKey, state = 'completed', started, replacedBy, run } = facts;
  const marks = {
    [tagKeys.sourceAmi]: 'ami-601d',
    [tagKeys.sourceSnapshot]: of,
    [tagKeys.kmsKey]: key,
    [tagKeys.lease]: 'lease' in facts ? facts.lease : lease,
    [tagKeys.replacedBy]: replacedBy && replacedByTag(replacedBy).Value,
    [tagKeys.run]: run,
  };
  const Tags = tagsOf(marks);
  return { ...copyOf(id, of), State: state, Tags, ...(started && { StartTime: new Date(started) }) };
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
    ...(inputs.retain && { lineage: 'golden' }),
    ...inputs,
  };
  const context = {
    runUrl: run,
    runId: '4711',
    runAttempt: attempt,
    sha: 'c0ffee',
    date: new Date(now),
    defaultRegion: undefined,
  };
  return readInputs((name) => given[name] ?? '', context, { yaml });
}

export type Facts = {
  inputs?: Partial<Record<InputName, string>>;
  /** The workflow run's URL, '' outside a workflow, and its attempt. */
  run?: string;
  attempt?: number;
  image?: Partial<Image>;
  source?: Partial<Source>;
  /** The leases that are on the source AMI. */
  leases?: readonly LeaseRecord[];
  targets?: readonly Target[];
  /** Those of them that the run does without. */
  leftOut?: readonly Target[];
  /** The regions with a hub. */
  hubs?: readonly string[];
  /** What earlier runs made in the source account, by region. */
  intermediates?: Readonly<Record<string, Partial<Intermediates>>>;
};

/** The request and what was observed, from these facts. */
function observedFrom({ inputs, run, attempt, image, source, leases = [], targets, hubs = [], intermediates }: Facts) {
  const golds = golden(image);
  const observed: Observed = {
    at: now,
    source: {
      instanceId: undefined,
      earlierTry: undefined,
      place: { account: sourceAccount, region: sourceRegion },
      account: sourceAccount,
      imageId: 'ami-601d',
      image: { ...golds, Tags: [...(golds.Tags ?? []), ...leases.map(leaseTag)] },
      extras: { uefiData: undefined },
      snapshots: [snapshot('snap-b007')],
      kmsKeyArn: sourceKey,
      ...source,
    },
    targets: targets ?? [targetIn(targetAccount, targetRegion)],
    hubs: new Map(
      hubs.map((region) => [
        region,
        { place: { account: sourceAccount, region }, kmsKeyArn: keyOf(sourceAccount, region) },
      ]),
    ),
    intermediates: new Map(
      Object.entries(intermediates ?? {}).map(([region, there]) => [region, { images: [], snapshots: [], ...there }]),
    ),
  };
  return { request: requestOf(inputs, run, attempt), observed };
}

/** The plan from these facts, its problems and its warnings. */
export function planFrom(facts: Facts) {
  const { request, observed } = observedFrom(facts);
  const findings = openFindings(new AbortController().signal);
  const reader = readerOf({ attempt: facts.attempt ?? 1 });
  const leftOut = (facts.leftOut ?? []).map(({ request: target }) => ({ target, problems: [] }));
  const plan = planOf(observed, { request, leaseId: ownLease, reader, leftOut }, findings);
  return { request, plan, problems: findings.problems, problemsOf: findings.of, warnings: findings.warnings() };
}

/** The operations of a plan that are of a kind, in its order. */
export function ofKind<K extends Kind>({ operations }: Pick<Plan, 'operations'>, kind: K): OperationOf<K>[] {
  return operations.filter((one): one is OperationOf<K> => one.kind === kind);
}

/** What operations are, in a word each. */
export function kindsOf({ operations }: Pick<Plan, 'operations'>): Kind[] {
  return operations.map(({ kind }) => kind);
}

/** Whether `later` comes after `earlier`, by whatever is between. */
export function comesAfter({ operations }: Pick<Plan, 'operations'>, later: Operation, earlier: Operation): boolean {
  const byId = new Map(operations.map((one) => [one.id, one]));
  const seen = new Set<string>();
  const reach = ({ id, after }: Operation): boolean => {
    if (id === earlier.id) return true;
    if (seen.has(id)) return false;
    seen.add(id);
    return after.some((one) => {
      const operation = byId.get(one);
      return operation !== undefined && reach(operation);
    });
  };
  return later !== earlier && reach(later);
}

/** What a target's plan may have by its action; undefined where it hasn't. */
function detailsOf(plan: TargetPlan) {
  const making = isMaking(plan) ? plan : undefined;
  const registering = plan.action === 'register' ? plan : undefined;
  return {
    /** The AMI that is used again at once, and the one that is waited for. */
    reuse: plan.action === 'reuse' ? plan.image : undefined,
    awaited: plan.action === 'await' ? plan.image : undefined,
    crossAccount: making?.crossAccount,
    from: making?.from,
    sourceKeys: making?.sourceKeys,
    snapshotTags: making?.snapshotTags,
    copies: registering?.copies,
    supersedes: registering?.supersedes,
    /** The image of route copy that is taken over, or the snapshots of route register. */
    takenOver: plan.action === 'copy' ? plan.takeOver : registering?.copies.map(({ takeOver }) => takeOver),
  };
}

/** The plan of a single target; what one of its action doesn't have is undefined. */
export function planOne(facts: Omit<Facts, 'targets'> & { target?: Partial<Target> }) {
  const { target, ...others } = facts;
  const planned = planFrom({ ...others, targets: [targetIn(targetAccount, targetRegion, target)] });
  const [one] = planned.plan.targets;
  if (one === undefined) throw new Error('the plan has no target');
  return { ...one, ...detailsOf(one), ...planned };
}
