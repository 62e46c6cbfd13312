import type { Image, Snapshot, Tag } from '@aws-sdk/client-ec2';
import type { Rules, Timings } from '../hardness.ts';
import { authorizeEc2, type Context, type Principal } from '../iam.ts';
import { Refusal } from '../refusal.ts';
import {
  type Failure,
  type Former,
  findImage,
  findSnapshot,
  type Late,
  type Region,
  type SimSnapshot,
  shownOf,
  type World,
} from '../world.ts';

/** One call to EC2: who calls, where, and the world that it changes. */
export type Ec2Call = Readonly<{
  world: World;
  caller: Principal;
  region: string;
  timings: Timings;
  rules: Rules;
  /** The KMS permissions that a copy takes: as documented, or as measured. */
  kmsNeeds: 'documented' | 'measured';
  /** A fault of the scenario's: copies begun by this call end in error so. */
  failCopies: Failure | undefined;
  here: Region;
}>;

export type Handler<Input> = (call: Ec2Call, input: Input) => Promise<Record<string, unknown>>;

/** Keeps for a while what is about to change, where that is seen late. */
export function keepFormer<T>(
  { world }: Ec2Call,
  former: Former<T>,
  { value, seconds }: Readonly<{ value: () => T; seconds: number }>,
): void {
  if (seconds <= 0) return;
  const now = world.clock.now();
  former.splice(0, former.length, ...former.filter(({ until }) => until > now));
  former.push({ value: value(), until: now + seconds * 1000 });
}

/** Keeps tags, or none of what is new, for reads and for decisions. */
export function keepFormerTags(call: Ec2Call, { read, inForce }: Late<Tag[]>, tags: readonly Tag[]): void {
  const value = () => [...tags];
  keepFormer(call, read, { value, seconds: call.timings.tagsVisibleAfterSeconds });
  keepFormer(call, inForce, { value, seconds: call.timings.tagsInForceAfterSeconds });
}

const typeOf: Readonly<Record<string, string>> = {
  ...{ ami: 'image', snap: 'snapshot', i: 'instance', vol: 'volume' },
  ...{
    amiur: 'image-usage-report',
    lt: 'launch-template',
    subnet: 'subnet',
    sg: 'security-group',
    eni: 'network-interface',
  },
};

/**
 * The ARN of a resource, whose type its ID tells. Images and snapshots have no account in theirs:
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
 */
export function arnOf(call: Ec2Call, resource: string, region = call.region): string {
  const partition = call.world.accounts[call.caller.account]?.partition ?? 'aws';
  const type = typeOf[resource.split('-')[0] ?? ''] ?? 'volume';
  const owner = type === 'image' || type === 'snapshot' ? '' : call.caller.account;
  // What is yet to be made is asked for by its type alone.
  const id = resource.endsWith('-*') ? '*' : resource;
  return `arn:${partition}:ec2:${region}:${owner}:${type}/${id}`;
}

/** Lets the call pass, then answers a dry run, as EC2 does: validation comes before both. */
export async function authorize(
  call: Ec2Call,
  action: string,
  {
    resources = ['*'],
    dryRun = false,
    context = {},
  }: Readonly<{
    resources?: readonly string[];
    dryRun?: boolean | undefined;
    context?: Context;
  }>,
): Promise<void> {
  for (const resource of resources)
    await authorizeEc2(call.caller, `ec2:${action}`, {
      resource,
      context: { ...requestContext(call), ...contextOf(call, resource), ...context },
    });
  answerDryRun(dryRun);
}

function requestContext({ region }: Ec2Call): Context {
  return { 'aws:RequestedRegion': region, 'ec2:Region': region };
}

/** What decisions know of a resource: as was recorded of RegisterImage, and of images likewise. */
function contextOf(call: Ec2Call, arn: string): Context {
  const [region = '', , path = ''] = arn.split(':').slice(3);
  const [type, id = ''] = path.split('/');
  const { account } = call.caller;
  const now = call.world.clock.now();
  if (type === 'image') {
    const image = findImage(call.world, region, id);
    if (image === undefined) return {};
    const own = image.data.OwnerId === account;
    const tags = own ? shownOf(image.data.Tags, image.tagsLate.inForce, now) : image.othersTags.get(account)?.Tags;
    return { ...imageContext(image.data), ...tagContext(tags) };
  }
  if (type === 'instance') {
    const launched = call.here.instances.get(id)?.launched;
    return launched === undefined ? {} : tagContext(shownOf(launched.tags, launched.tagsLate.inForce, now));
  }
  if (type === 'image-usage-report') return tagContext(call.here.usageReports.get(id)?.data.Tags);
  const snapshot = findSnapshot(call.world, region, id) ?? deletedLate(call, id);
  if (snapshot === undefined) return {};
  const own = snapshot.data.OwnerId === account;
  return {
    ...snapshotContext(snapshot.data),
    ...(own && tagContext(shownOf(snapshot.data.Tags, snapshot.tagsLate.inForce, now))),
  };
}

/** A snapshot that is deleted only when it completes, and hasn't yet. */
export function deletedLate({ rules, here }: Ec2Call, id: string): SimSnapshot | undefined {
  const snapshot = here.deletedSnapshots.get(id);
  return rules.deletesPendingLate && snapshot?.making !== undefined ? snapshot : undefined;
}

function imageContext({ ImageId = '', OwnerId = '', Public, ...types }: Image): Context {
  const { ImageType = 'machine', RootDeviceType = 'ebs' } = types;
  return {
    'ec2:ImageID': ImageId,
    'ec2:ImageType': ImageType,
    'ec2:Owner': OwnerId,
    'ec2:Public': String(Public === true),
    'ec2:RootDeviceType': RootDeviceType,
  };
}

function snapshotContext({ SnapshotId = '', OwnerId = '', Encrypted, VolumeSize, StartTime }: Snapshot): Context {
  return {
    'ec2:SnapshotID': SnapshotId,
    'ec2:Owner': OwnerId,
    'ec2:Encrypted': String(Encrypted === true),
    'ec2:VolumeSize': String(VolumeSize ?? 0),
    ...(StartTime && { 'ec2:SnapshotTime': `${StartTime.toISOString().slice(0, 19)}Z` }),
  };
}

function tagContext(tags: readonly Tag[] | undefined): Context {
  return Object.fromEntries(
    (tags ?? []).flatMap(({ Key, Value = '' }) => [
      [`aws:ResourceTag/${Key}`, Value],
      [`ec2:ResourceTag/${Key}`, Value],
    ]),
  );
}

/** What EC2 answers a dry run with whose call would have succeeded. */
export function answerDryRun(dryRun: boolean | undefined): void {
  if (dryRun === true)
    throw new Refusal('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412);
}

/**
 * Which comes first where it was recorded. Of DeregisterImage:
 * https://stratus-red-team.cloud/attack-techniques/AWS/aws.discovery.ec2-download-user-data/
 */
const orderOf: Readonly<Record<string, Rules['order']>> = {
  DeregisterImage: 'authorization',
  DeleteVolume: 'existence',
  DescribeSnapshots: 'existence',
};

/**
 * Lets a call pass that is about resources that must be there, answers a dry run, and gives the resources. An ID's form
 * is looked at before.
 */
export async function authorizeOn<T>(
  call: Ec2Call,
  action: string,
  asked: Readonly<{
    resources?: readonly string[];
    dryRun?: boolean | undefined;
    context?: Context;
    find: () => T;
    /** Whether a dry run that is permitted says so of resources that aren't there, too. */
    blind?: boolean;
  }>,
): Promise<T> {
  const existenceFirst = (orderOf[action] ?? call.rules.order) === 'existence';
  const early = existenceFirst ? { found: asked.find() } : undefined;
  await authorize(call, action, { ...asked, dryRun: asked.blind === true && asked.dryRun });
  const { found } = early ?? { found: asked.find() };
  answerDryRun(asked.dryRun);
  return found;
}
