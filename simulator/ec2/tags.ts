import type { CreateTagsRequest, DeleteTagsRequest, Tag } from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import { canSeeImage, type Former, findImage } from '../world.ts';
import { arnOf, authorize, checkTags, type Ec2Call, type Handler, showLate } from './call.ts';

type Tagged = { Tags: Tag[] };
/** What bears tags, and what reads still show of those that it bore. */
type Bearer = Readonly<{ tagged: Tagged; former: Former<Tag[]> }>;

function taggable(call: Ec2Call, id: string): Bearer {
  const now = call.world.clock.now();
  if (id.startsWith('ami-')) {
    const image = findImage(call.world, call.region, id);
    const { account } = call.caller;
    if (image === undefined || image.visibleAt > now || !canSeeImage(image, account))
      throw new Refusal('InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`);
    if (image.deregisteredAt !== undefined)
      throw new Refusal('InvalidAMIID.Unavailable', `The image ID '${id}' is no longer available`);
    if (image.data.OwnerId === account) return { tagged: image.data, former: image.formerTags };
    // A shared image can be tagged, for the eyes of this account alone.
    // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
    const tags = image.othersTags.get(account) ?? { Tags: [] };
    image.othersTags.set(account, tags);
    return { tagged: tags, former: [] };
  }
  if (id.startsWith('snap-')) {
    const snapshot = call.here.snapshots.get(id);
    if (snapshot === undefined || snapshot.visibleAt > now)
      throw new Refusal('InvalidSnapshot.NotFound', `The snapshot '${id}' does not exist.`);
    return { tagged: snapshot.data, former: snapshot.formerTags };
  }
  throw new Refusal('InvalidID', `The ID '${id}' is not valid`);
}

/** Gives a bearer other tags; reads show them when they show them. */
function retag(call: Ec2Call, { tagged, former }: Bearer, change: (tags: Tag[]) => Tag[]): void {
  showLate(call, former, { value: tagged.Tags, seconds: call.timings.tagsVisibleAfterSeconds });
  tagged.Tags = change(tagged.Tags);
}

export const createTags: Handler<CreateTagsRequest> = async (call, input) => {
  const { Resources = [], Tags = [] } = input;
  await authorize(
    call,
    'CreateTags',
    Resources.map((id) => arnOf(call, id)),
    input.DryRun,
    {
      'aws:TagKeys': Tags.map(({ Key }) => Key ?? ''),
      ...Object.fromEntries(Tags.map(({ Key, Value }) => [`aws:RequestTag/${Key}`, Value ?? ''])),
    },
  );
  const resources = Resources.map((id) => taggable(call, id));
  for (const { tagged } of resources) checkTags(Tags, tagged.Tags);
  const keys = new Set(Tags.map(({ Key }) => Key));
  for (const resource of resources)
    retag(call, resource, (tags) => [
      ...tags.filter(({ Key }) => !keys.has(Key)),
      ...Tags.map(({ Key, Value }) => ({ Key, Value: Value ?? '' })),
    ]);
  return {};
};

export const deleteTags: Handler<DeleteTagsRequest> = async (call, input) => {
  const { Resources = [], Tags } = input;
  await authorize(
    call,
    'DeleteTags',
    Resources.map((id) => arnOf(call, id)),
    input.DryRun,
    // Without tags in the request, there is no such key: https://taylorfahlman.com/posts/aws-tagging-gotcha
    Tags === undefined ? {} : { 'aws:TagKeys': Tags.map(({ Key }) => Key ?? '') },
  );
  // A value, if one is given, must fit, an empty one too; no tags at all means all of the caller's own.
  const goes = (tag: Tag) =>
    Tags === undefined
      ? !tag.Key?.startsWith('aws:')
      : Tags.some(({ Key, Value }) => Key === tag.Key && (Value === undefined || Value === tag.Value));
  for (const resource of Resources.map((id) => taggable(call, id)))
    retag(call, resource, (tags) => tags.filter((tag) => !goes(tag)));
  return {};
};
