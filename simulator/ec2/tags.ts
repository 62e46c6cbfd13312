import type { CreateTagsRequest, DeleteTagsRequest, Tag } from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import { canSeeImage, findImage } from '../world.ts';
import { arnOf, authorize, checkTags, type Ec2Call, type Handler } from './call.ts';

type Tagged = { Tags: Tag[] };

function taggable(call: Ec2Call, id: string): Tagged {
  const now = call.world.clock.now();
  if (id.startsWith('ami-')) {
    const image = findImage(call.world, call.region, id);
    const { account } = call.caller;
    if (image === undefined || image.visibleAt > now || !canSeeImage(image, account))
      throw new Refusal('InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`);
    if (image.deregisteredAt !== undefined)
      throw new Refusal('InvalidAMIID.Unavailable', `The image ID '${id}' is no longer available`);
    if (image.data.OwnerId === account) return image.data;
    // A shared image can be tagged, for the eyes of this account alone.
    // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
    const tags = image.othersTags.get(account) ?? { Tags: [] };
    image.othersTags.set(account, tags);
    return tags;
  }
  if (id.startsWith('snap-')) {
    const snapshot = call.here.snapshots.get(id);
    if (snapshot === undefined || snapshot.visibleAt > now)
      throw new Refusal('InvalidSnapshot.NotFound', `The snapshot '${id}' does not exist.`);
    return snapshot.data;
  }
  throw new Refusal('InvalidID', `The ID '${id}' is not valid`);
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
  for (const resource of resources) checkTags(Tags, resource.Tags);
  for (const resource of resources) {
    const keys = new Set(Tags.map(({ Key }) => Key));
    resource.Tags = [
      ...resource.Tags.filter(({ Key }) => !keys.has(Key)),
      ...Tags.map(({ Key, Value }) => ({ Key, Value: Value ?? '' })),
    ];
  }
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
  for (const resource of Resources.map((id) => taggable(call, id))) {
    // A value, if one is given, must fit, an empty one too; no tags at all means all of the caller's own.
    resource.Tags = resource.Tags.filter(
      (tag) =>
        !(Tags === undefined
          ? !tag.Key?.startsWith('aws:')
          : Tags.some(({ Key, Value }) => Key === tag.Key && (Value === undefined || Value === tag.Value))),
    );
  }
  return {};
};
