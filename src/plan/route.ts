import type { Image } from '@aws-sdk/client-ec2';
import { placeName } from '../aws/errors.ts';
import { hasUefi } from '../image.ts';
import type { Request } from '../inputs.ts';
import type { Source, Target } from './facts.ts';
import type { Findings } from './problem.ts';

/**
 * Registering from snapshots drops billing without a word, and makes a Linux image of a Windows one:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-billing-info.html. Of older Windows images AWS tells the platform only.
 */
function losesBilling({ Platform, UsageOperation, ProductCodes }: Image): boolean {
  const isBilled = (UsageOperation ?? 'RunInstances') !== 'RunInstances' || (ProductCodes ?? []).length > 0;
  return isBilled || Platform?.toLowerCase() === 'windows';
}

/** The regions that have paravirtual images: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/virtualization_types.html */
const paravirtualRegions = [
  'us-east-1',
  'us-west-1',
  'us-west-2',
  'eu-west-1',
  'eu-central-1',
  'ap-northeast-1',
  'ap-southeast-1',
  'ap-southeast-2',
  'sa-east-1',
  'us-gov-west-1',
  'cn-north-1',
];

/** How the AMI is made in a target; what is certain to fail there is a finding. */
export function planRoute(
  { request, source, findings }: Readonly<{ request: Request; source: Source; findings: Findings }>,
  target: Target,
  crossAccount: boolean,
): 'register' | 'copy' {
  const { image } = source;
  const where = placeName(target.place);
  const foreign = crossAccount || image.OwnerId !== source.account;
  if (foreign && image.ProductCodes?.some(({ ProductCodeType }) => ProductCodeType === 'marketplace')) {
    findings.add(
      where,
      `${image.ImageId} has AWS Marketplace product codes: AWS copies no such image to another account`,
      'subscribe to the product in the target account, launch an instance of it there, and make the AMI of that instance',
    );
  }
  const paravirtual = image.VirtualizationType === 'paravirtual';
  if (paravirtual && !paravirtualRegions.includes(target.request.region)) {
    findings.add(
      where,
      `${image.ImageId} is paravirtual, which ${target.request.region} doesn't have`,
      'use an HVM image, or leave this region out',
    );
  }
  if (request.route === 'register' && losesBilling(image) && !request.allowLostBilling) {
    const codes = [image.UsageOperation, ...(image.ProductCodes ?? []).map(({ ProductCodeId }) => ProductCodeId)]
      .filter(Boolean)
      .join(', ');
    findings.add(
      where,
      `route register would lose the billing of ${image.ImageId} (${image.PlatformDetails ?? image.Platform ?? 'its platform'}: ${codes || 'Windows'})`,
      'use route copy, or set allow-lost-billing to true if that is meant',
    );
  }
  const lost = lostByRegistering(source, crossAccount);
  if (request.route === 'register' && lost !== undefined) {
    findings.add(where, `route register would lose ${lost} of ${image.ImageId}`, 'use route copy or auto');
  }
  if (request.route !== 'auto') return request.route;
  return losesBilling(image) || lost !== undefined || paravirtual ? 'copy' : 'register';
}

/** What CopyImage carries over and RegisterImage can't be given. */
function lostByRegistering({ image, account }: Source, crossAccount: boolean): string | undefined {
  // Their IDs are of one region. Some paravirtual images have none.
  if (image.KernelId || image.RamdiskId) return 'the kernel and RAM disk';
  // Only an owner can read them; where the image is copied in the source account first, that account is one.
  if (!crossAccount && hasUefi(image) && image.OwnerId !== account) return 'the UEFI variables';
  // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachImageWatermark.html
  return (image.ImageWatermarks ?? []).length > 0 ? 'the watermarks' : undefined;
}
