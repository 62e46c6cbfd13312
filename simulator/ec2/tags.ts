import type { CreateTagsRequest, DeleteTagsRequest, ResourceType, Tag, TagSpecification } from '@aws-sdk/client-ec2';
import { type Context, unauthorized } from '../iam.ts';
import { Refusal } from '../refusal.ts';
import { canSeeImage, findImage, type Late, notLate } from '../world.ts';
import { answerDryRun, arnOf, authorize, authorizeOn, type Ec2Call, type Handler, keepFormerTags } from './call.ts';
import { requireImageId } from './image.ts';
import { requireSnapshotId } from './snapshot.ts';

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions */
function checkTags(tags: readonly Tag[], present: readonly Tag[]): void {
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

/**
 * What a tag policy refuses: another spelling of its key, or another value. A tag that isn't there is no violation.
 * The words: https://github.com/runs-on/runs-on/issues/485.
 */
function checkTagPolicy({ world, caller }: Ec2Call, tags: readonly Tag[]): void {
  for (const [key, values] of Object.entries(world.accounts[caller.account]?.tagRules.allowed ?? {}))
    for (const { Key = '', Value = '' } of tags)
      if (Key.toLowerCase() === key.toLowerCase() && (Key !== key || !values.includes(Value)))
        throw new Refusal(
          'TagPolicyViolation',
          `The tag policy does not allow the specified value for the following tag key: '${Key}'.`,
        );
}

/** Refuses to make what lacks a demanded tag. */
function requireTags(
  call: Ec2Call,
  action: string,
  { type, tags }: Readonly<{ type: Made; tags: readonly Tag[] }>,
): void {
  const { world, caller } = call;
  const { demanded = [] } = world.accounts[caller.account]?.tagRules ?? {};
  if (demanded.every((key) => tags.some(({ Key }) => Key === key))) return;
  const resource = arnOf(call, Object.keys(made).find((id) => made[id] === type) ?? '');
  const verdict = { by: 'service control policy', explicit: true } as const;
  throw unauthorized(caller, `ec2:${action}`, { resource, verdict });
}

/** What conditions see of the tags that a request gives. */
function requestTags(tags: readonly Tag[]): Context {
  if (tags.length === 0) return {};
  return {
    'aws:TagKeys': tags.map(({ Key }) => Key ?? ''),
    ...Object.fromEntries(tags.map(({ Key, Value }) => [`aws:RequestTag/${Key}`, Value ?? ''])),
  };
}

type Creation = Readonly<{
  /** What is asked for, in that order: what it is made of, and what it makes, an ID that ends in `-*`. */
  resources: readonly string[];
  /** What is made besides, and asked for by nothing. */
  besides?: readonly Made[];
  specifications: readonly TagSpecification[] | undefined;
  dryRun: boolean | undefined;
  /** What conditions see of what is made, besides its tags. */
  contexts?: Readonly<Partial<Record<Made, Context>>>;
  /** What must be there; permission comes before, unless existence does. A dry run that is `blind` doesn't look. */
  find?: () => void;
  blind?: boolean;
}>;

type Made = 'image' | 'snapshot' | 'volume' | 'instance' | 'network-interface' | 'image-usage-report';
const made: Readonly<Record<string, Made>> = {
  ...{ 'ami-*': 'image', 'snap-*': 'snapshot', 'vol-*': 'volume' },
  ...{ 'i-*': 'instance', 'eni-*': 'network-interface', 'amiur-*': 'image-usage-report' },
};

/**
 * Lets a call pass that makes resources, and gives the tags of each type. Those of the request are told in the decision
 * on what is made, and take ec2:CreateTags besides.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
 */
export async function authorizeCreation(
  call: Ec2Call,
  action: string,
  { resources, besides = [], specifications = [], contexts = {}, dryRun, find = () => {}, blind = false }: Creation,
): Promise<(type: Made) => Tag[]> {
  const makes = [...besides, ...resources.flatMap((id) => made[id] ?? [])];
  checkSpecifications(specifications, makes);
  const tagsOf = (type: ResourceType): Tag[] =>
    specifications
      .filter(({ ResourceType }) => ResourceType === type)
      .flatMap(({ Tags = [] }) => Tags.map(({ Key, Value }) => ({ Key, Value: Value ?? '' })));
  for (const type of makes) checkTags(tagsOf(type), []);
  if (call.rules.order === 'existence') find();
  for (const id of resources) {
    const type = made[id];
    const context = type === undefined ? {} : { ...requestTags(tagsOf(type)), ...contexts[type] };
    await authorize(call, action, { resources: [id.startsWith('arn:') ? id : arnOf(call, id)], context });
  }
  for (const [id, type] of Object.entries(made)) {
    const tags = tagsOf(type);
    if (tags.length === 0) continue;
    const context = { 'ec2:CreateAction': action, ...requestTags(tags) };
    await authorize(call, 'CreateTags', { resources: [arnOf(call, id)], context });
  }
  for (const type of makes) {
    requireTags(call, action, { type, tags: tagsOf(type) });
    checkTagPolicy(call, tagsOf(type));
  }
  if (blind) answerDryRun(dryRun);
  if (call.rules.order === 'authorization') find();
  answerDryRun(dryRun);
  return tagsOf;
}

function checkSpecifications(specifications: readonly TagSpecification[], makes: readonly ResourceType[]): void {
  for (const { ResourceType } of specifications)
    if (ResourceType === undefined || !makes.includes(ResourceType))
      throw new Refusal(
        'InvalidParameterValue',
        `'${ResourceType}' is not a valid taggable resource type for this operation.`,
      );
}

/** What bears tags, and those that it bore. */
type Bearer = Readonly<{ tagged: { Tags: Tag[] }; late: Late<Tag[]> }>;

function taggable(call: Ec2Call, id: string): Bearer {
  if (id.startsWith('ami-')) return taggableImage(call, id);
  if (id.startsWith('snap-')) {
    requireSnapshotId(call, id);
    const snapshot = call.here.snapshots.get(id);
    if (snapshot === undefined || snapshot.visibleAt > call.world.clock.now())
      throw new Refusal('InvalidSnapshot.NotFound', `The snapshot '${id}' does not exist.`);
    return { tagged: snapshot.data, late: snapshot.tagsLate };
  }
  if (id.startsWith('i-')) return taggableInstance(call, id);
  const report = call.here.usageReports.get(id);
  if (report !== undefined) return { tagged: report.data, late: notLate() };
  throw new Refusal('InvalidID', `The ID '${id}' is not valid`);
}

function taggableInstance({ here }: Ec2Call, id: string): Bearer {
  const instance = here.instances.get(id);
  if (instance === undefined) throw new Refusal('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
  const { launched } = instance;
  if (launched === undefined) return { tagged: { Tags: [] }, late: notLate() };
  const tagged = {
    get Tags() {
      return launched.tags;
    },
    set Tags(tags: Tag[]) {
      launched.tags = tags;
    },
  };
  return { tagged, late: launched.tagsLate };
}

function taggableImage(call: Ec2Call, id: string): Bearer {
  requireImageId(call, id);
  const now = call.world.clock.now();
  const image = findImage(call.world, call.region, id);
  const { account } = call.caller;
  if (image === undefined || image.visibleAt > now || !canSeeImage(image, account, now))
    throw new Refusal('InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`);
  if (image.deregisteredAt !== undefined)
    throw new Refusal('InvalidAMIID.Unavailable', `The image ID '${id}' is no longer available`);
  if (image.data.OwnerId === account) return { tagged: image.data, late: image.tagsLate };
  // A shared image can be tagged, for the eyes of this account alone.
  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
  const tagged = image.othersTags.get(account) ?? { Tags: [] };
  image.othersTags.set(account, tagged);
  return { tagged, late: notLate() };
}

/** Gives a bearer other tags; reads show them when they show them. */
function retag(call: Ec2Call, { tagged, late }: Bearer, change: (tags: Tag[]) => Tag[]): void {
  keepFormerTags(call, late, tagged.Tags);
  tagged.Tags = change(tagged.Tags);
}

export const createTags: Handler<CreateTagsRequest> = async (call, input) => {
  const { Resources = [], Tags = [] } = input;
  const bearers = await authorizeOn(call, 'CreateTags', {
    resources: Resources.map((id) => arnOf(call, id)),
    dryRun: input.DryRun,
    context: requestTags(Tags),
    find: () => Resources.map((id) => taggable(call, id)),
    blind: true,
  });
  for (const { tagged } of bearers) checkTags(Tags, tagged.Tags);
  checkTagPolicy(call, Tags);
  const keys = new Set(Tags.map(({ Key }) => Key));
  for (const bearer of bearers)
    retag(call, bearer, (tags) => [
      ...tags.filter(({ Key }) => !keys.has(Key)),
      ...Tags.map(({ Key, Value }) => ({ Key, Value: Value ?? '' })),
    ]);
  return {};
};

export const deleteTags: Handler<DeleteTagsRequest> = async (call, input) => {
  const { Resources = [], Tags } = input;
  const bearers = await authorizeOn(call, 'DeleteTags', {
    resources: Resources.map((id) => arnOf(call, id)),
    dryRun: input.DryRun,
    // Without tags in the request, there is no such key: https://taylorfahlman.com/posts/aws-tagging-gotcha
    context: requestTags(Tags ?? []),
    find: () => Resources.map((id) => taggable(call, id)),
    blind: true,
  });
  // A value, if one is given, must fit, an empty one too; no tags at all means all of the caller's own.
  const goes = (tag: Tag) =>
    Tags === undefined
      ? !tag.Key?.startsWith('aws:')
      : Tags.some(({ Key, Value }) => Key === tag.Key && (Value === undefined || Value === tag.Value));
  for (const bearer of bearers) retag(call, bearer, (tags) => tags.filter((tag) => !goes(tag)));
  return {};
};
