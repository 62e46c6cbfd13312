import { randomBytes } from 'node:crypto';
import type { Filter, ResourceType, Tag, TagSpecification } from '@aws-sdk/client-ec2';
import { authorizeEc2, type Principal, wildcard } from '../iam.ts';
import { Refusal } from '../refusal.ts';
import { type Failure, type Former, findImage, findSnapshot, type Region, regionOf, type World } from '../world.ts';

/** How fast things go, in seconds. */
export type Timings = Readonly<{
  secondsPerGiB: number;
  /** Every copy takes this much besides. */
  baseSeconds: number;
  /** New IDs can't be found before. */
  visibleAfterSeconds: number;
  /**
   * RegisterImage's AMIs are pending for so long: more than ten minutes in
   * https://github.com/bottlerocket-os/twoliter/issues/582.
   */
  registerSeconds: number;
  /**
   * CopyImage's pending AMI names its snapshots only after so long, or when it is available: "partial information that
   * doesn't include snapshot IDs" (https://github.com/bottlerocket-os/bottlerocket/pull/1066).
   */
  namesSnapshotsAfterSeconds: number;
  /**
   * Reads show tags, and shares of snapshots, as they were so long ago; of what is new, none. No read need show a write
   * before: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
   */
  tagsVisibleAfterSeconds: number;
  sharesVisibleAfterSeconds: number;
  grantActiveAfterSeconds: number;
  policyActiveAfterSeconds: number;
  latencyMs: number;
}>;

/** One call to EC2: who calls, where, and the world that it changes. */
export type Ec2Call = Readonly<{
  world: World;
  caller: Principal;
  region: string;
  timings: Timings;
  /** The KMS permissions that a copy takes: as documented, or as measured. */
  kmsNeeds: 'documented' | 'measured';
  /** A fault of the scenario's: copies begun by this call end in error so. */
  failCopies: Failure | undefined;
  here: Region;
}>;

export type Handler<Input> = (call: Ec2Call, input: Input) => Promise<Record<string, unknown>>;

export function hereOf(world: World, account: string, region: string): Region {
  return regionOf(world, account, region);
}

export function newId(prefix: string): string {
  return `${prefix}-0${randomBytes(8).toString('hex')}`;
}

/** Images and snapshots have no account in their ARNs: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html */
function arnOfType(call: Ec2Call, type: string, id: string, region = call.region): string {
  const partition = call.world.accounts[call.caller.account]?.partition ?? 'aws';
  const owner = type === 'instance' || type === 'volume' ? call.caller.account : '';
  return `arn:${partition}:ec2:${region}:${owner}:${type}/${id}`;
}

/** Keeps for reads what is about to change, where they show it late. */
export function showLate<T>(
  { world }: Ec2Call,
  former: Former<T>,
  late: Readonly<{ value: T; seconds: number }>,
): void {
  if (late.seconds <= 0) return;
  const now = world.clock.now();
  former.splice(0, former.length, ...former.filter(({ until }) => until > now));
  former.push({ value: late.value, until: now + late.seconds * 1000 });
}

/** The ARN of a resource, whose type its ID tells. */
export function arnOf(call: Ec2Call, resource: string, region = call.region): string {
  const type = resource.startsWith('ami-')
    ? 'image'
    : resource.startsWith('snap-')
      ? 'snapshot'
      : resource.startsWith('i-')
        ? 'instance'
        : 'volume';
  return arnOfType(call, type, resource, region);
}

/** Lets the call pass, then answers a dry run, as EC2 does: validation comes before both. */
export async function authorize(
  call: Ec2Call,
  action: string,
  resources: readonly string[],
  dryRun: boolean | undefined,
  context: Record<string, string | string[]> = {},
): Promise<void> {
  await authorizeEc2(
    call.caller,
    action,
    resources,
    { 'aws:RequestedRegion': call.region, 'ec2:Region': call.region, ...context },
    (arn) => tagsOf(call, arn),
  );
  answerDryRun(dryRun);
}

/** The tags that the caller's account has put on a resource. */
function tagsOf(call: Ec2Call, arn: string): readonly Tag[] {
  const [region = '', , path = ''] = arn.split(':').slice(3);
  const [type, id = ''] = path.split('/');
  const { account } = call.caller;
  if (type === 'image') {
    const image = findImage(call.world, region, id);
    return (image?.data.OwnerId === account ? image.data.Tags : image?.othersTags.get(account)?.Tags) ?? [];
  }
  if (type !== 'snapshot') return [];
  const snapshot = findSnapshot(call.world, region, id);
  return (snapshot?.data.OwnerId === account ? snapshot.data.Tags : undefined) ?? [];
}

/** What EC2 answers a dry run with whose call would have succeeded. */
export function answerDryRun(dryRun: boolean | undefined): void {
  if (dryRun === true)
    throw new Refusal('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412);
}

/** Tags that a request gives new resources of a type; they take ec2:CreateTags besides. */
export async function tagsFor(
  call: Ec2Call,
  action: string,
  specifications: TagSpecification[] | undefined,
  type: ResourceType,
  allowed: readonly ResourceType[],
): Promise<Tag[]> {
  for (const { ResourceType } of specifications ?? []) {
    if (ResourceType === undefined || !allowed.includes(ResourceType)) {
      throw new Refusal(
        'InvalidParameterValue',
        `'${ResourceType}' is not a valid taggable resource type for this operation.`,
      );
    }
  }
  const tags = (specifications ?? [])
    .filter(({ ResourceType }) => ResourceType === type)
    .flatMap(({ Tags }) => Tags ?? []);
  checkTags(tags, []);
  if (tags.length > 0) {
    await authorizeEc2(call.caller, 'CreateTags', [arnOfType(call, type, '*')], {
      'ec2:CreateAction': action,
      'aws:TagKeys': tags.map(({ Key }) => Key ?? ''),
      ...Object.fromEntries(tags.map(({ Key, Value }) => [`aws:RequestTag/${Key}`, Value ?? ''])),
    });
  }
  return tags.map((tag) => ({ ...tag, Value: tag.Value ?? '' }));
}

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions */
export function checkTags(tags: readonly Tag[], present: readonly Tag[]): void {
  const keys = tags.map(({ Key }) => Key ?? '');
  for (const { Key = '', Value = '' } of tags) {
    if (/^aws:/i.test(Key))
      throw new Refusal('InvalidParameterValue', `Tag keys starting with 'aws:' are reserved for internal use`);
    if (Key.length < 1 || Key.length > 128)
      throw new Refusal('InvalidParameterValue', `Tag key exceeds the maximum length of 128 characters`);
    if (Value.length > 256)
      throw new Refusal('InvalidParameterValue', 'Tag value exceeds the maximum length of 256 characters');
  }
  if (new Set(keys).size < keys.length) throw new Refusal('InvalidParameterValue', 'Duplicate tag keys found.');
  const all = new Set([...keys, ...present.map(({ Key }) => Key ?? '')]);
  if (all.size > 50)
    throw new Refusal('TagLimitExceeded', 'The maximum number of Tags for a resource has been reached.');
}

/** What a filter looks at in a resource; a name that isn't in `fields` is refused, as EC2 does. */
export type FilterFields<T> = Readonly<Record<string, (resource: T) => readonly (string | undefined)[]>>;

export function matches<T extends { Tags?: Tag[] | undefined }>(
  resource: T,
  filters: readonly Filter[] | undefined,
  fields: FilterFields<T>,
): boolean {
  return (filters ?? []).every(({ Name = '', Values = [] }) => {
    const actual = fieldOf(resource, Name, fields);
    return Values.some((pattern) => actual.some((value) => value !== undefined && wildcard(pattern).test(value)));
  });
}

function fieldOf<T extends { Tags?: Tag[] | undefined }>(
  resource: T,
  name: string,
  fields: FilterFields<T>,
): readonly (string | undefined)[] {
  if (name.startsWith('tag:'))
    return (resource.Tags ?? []).filter(({ Key }) => Key === name.slice(4)).map(({ Value }) => Value ?? '');
  if (name === 'tag-key') return (resource.Tags ?? []).map(({ Key }) => Key);
  const field = fields[name];
  if (field === undefined) throw new Refusal('InvalidParameterValue', `The filter '${name}' is invalid`);
  return field(resource);
}

/** A page of at most `maxResults`; without it, everything. */
export function pageOf<T>(
  all: readonly T[],
  maxResults: number | undefined,
  token: string | undefined,
): { items: T[]; next: string | undefined } {
  if (maxResults === undefined) return { items: [...all], next: undefined };
  if (maxResults < 5)
    throw new Refusal(
      'InvalidParameterValue',
      `Invalid value '${maxResults}' for maxResults. Expecting a value greater than 5.`,
    );
  const start = token === undefined ? 0 : Number(Buffer.from(token, 'base64').toString());
  const end = start + Math.min(maxResults, 1000);
  return {
    items: all.slice(start, end),
    next: end < all.length ? Buffer.from(String(end)).toString('base64') : undefined,
  };
}
