import type { GetImageAncestryRequest, ImageAncestryEntry } from '@aws-sdk/client-ec2';
import { findImage, type World } from '../world.ts';
import { arnOf, authorizeOn, type Handler } from './call.ts';
import { visibleImage } from './describe-images.ts';
import { requireImageId } from './image.ts';

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-ancestry.html#how-ami-ancestry-works */
const longest = 50;
const verifiedProviders = ['amazon', 'aws-marketplace'];

/**
 * An image and those that it comes from, up to the first without a source. Ancestors are told that are deregistered, or
 * that the caller has no access to; an image that was registered has none.
 */
export const getImageAncestry: Handler<GetImageAncestryRequest> = async (call, input) => {
  const { ImageId = '' } = input;
  requireImageId(call, ImageId);
  await authorizeOn(call, 'GetImageAncestry', {
    resources: [arnOf(call, ImageId)],
    dryRun: input.DryRun,
    find: () => visibleImage(call, ImageId),
  });
  const ImageAncestryEntries: ImageAncestryEntry[] = [];
  let at: Readonly<{ id: string; region: string }> | undefined = { id: ImageId, region: call.region };
  while (at !== undefined && ImageAncestryEntries.length < longest) {
    const entry = entryOf(call.world, at);
    ImageAncestryEntries.push(entry);
    at = sourceOf(entry);
  }
  return { ImageAncestryEntries };
};

function entryOf(world: World, { id, region }: Readonly<{ id: string; region: string }>): ImageAncestryEntry {
  const data = findImage(world, region, id)?.data;
  return {
    ImageId: id,
    ...(data?.CreationDate !== undefined && { CreationDate: new Date(data.CreationDate) }),
    ...(data?.ImageOwnerAlias !== undefined && { ImageOwnerAlias: data.ImageOwnerAlias }),
    ...(data?.SourceImageId !== undefined && { SourceImageId: data.SourceImageId }),
    ...(data?.SourceImageRegion !== undefined && { SourceImageRegion: data.SourceImageRegion }),
  };
}

function sourceOf({ ImageOwnerAlias, SourceImageId, SourceImageRegion }: ImageAncestryEntry) {
  const isRoot = verifiedProviders.includes(ImageOwnerAlias ?? '');
  return isRoot || SourceImageId === undefined || SourceImageRegion === undefined
    ? undefined
    : { id: SourceImageId, region: SourceImageRegion };
}
