import type { GetImageFindingsRequest } from '@aws-sdk/client-ec2';
import { arnOf, authorizeOn, type Handler } from './call.ts';
import { visibleImage } from './describe-images.ts';
import { pageOf } from './filters.ts';
import { requireImageId } from './image.ts';

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetImageFindings.html */
export const getImageFindings: Handler<GetImageFindingsRequest> = async (call, input) => {
  const { ImageId = '' } = input;
  requireImageId(call, ImageId);
  const image = await authorizeOn(call, 'GetImageFindings', {
    resources: [arnOf(call, ImageId)],
    dryRun: input.DryRun,
    find: () => visibleImage(call, ImageId),
  });
  const isScanned = image.scan !== undefined && image.scan.at <= call.world.clock.now();
  const { items, more } = pageOf(call, isScanned ? (image.scan?.findings ?? []) : [], input);
  return { ImageFindings: [...items], ...more };
};
