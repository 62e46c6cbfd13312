import {
  GetAllowedImagesSettingsCommand,
  GetEbsDefaultKmsKeyIdCommand,
  GetEbsEncryptionByDefaultCommand,
  type Image,
} from '@aws-sdk/client-ec2';
import { admissionOf, criteriaWith, mostCriteria } from '../aws/allowed-images.ts';
import type { Place } from '../aws/clients.ts';
import { ownSnapshots } from '../aws/describe.ts';
import type { CopyImage } from '../plan/operation.ts';
import { type Ec2Question, type Hindrance, type Job, reading } from './question.ts';

/* The settings of an account and region that decide what becomes of an operation; each is read only where it matters. */

/** The default: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html. It can be raised, so this only warns. */
const quota = 20;

/** Whether CopySnapshot finds a free slot: CopyImage takes none. */
export function copyQuota(maxParallel: number): Ec2Question {
  return reading('DescribeSnapshots', 'how many copies are running is not known', async (place) => {
    const copies = await ownSnapshots(
      place,
      { Name: 'status', Values: ['pending'] },
      // Copies have no volume: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html
      { Name: 'volume-id', Values: ['vol-ffffffff'] },
    );
    if (copies.length < quota) return [];
    const what = `${copies.length} snapshot copies are running here, and AWS's default quota is ${quota}: copies wait for a free slot (up to max-parallel ${maxParallel}). What to do: wait, or have the quota "Concurrent snapshot copies per destination Region" raised`;
    return [{ what }];
  });
}

/** A volume without a snapshot is made at launch, under whatever key is then the region's default. */
export function defaultEncryption({ BlockDeviceMappings = [] }: Image, keyArn: string): Ec2Question[] {
  const blank = BlockDeviceMappings.flatMap(({ Ebs }) => (Ebs && !Ebs.SnapshotId ? [Ebs] : []));
  if (blank.length === 0) return [];
  const why = 'a volume of the AMI that has no snapshot is';
  const isOff = async (place: Place): Promise<boolean> =>
    (await place.ec2(new GetEbsEncryptionByDefaultCommand({}))).EbsEncryptionByDefault === false;
  const some = blank.some(({ Encrypted }) => Encrypted !== true);
  const isEncrypted = reading(
    'GetEbsEncryptionByDefault',
    `whether ${why} encrypted at launch is not known`,
    async (place) => {
      const what =
        'a volume of the AMI has no snapshot and is not encrypted, and encryption by default is off here: it is made unencrypted at launch. What to do: aws ec2 enable-ebs-encryption-by-default';
      return (await isOff(place)) ? [{ what }] : [];
    },
  );
  const underKey = reading('GetEbsDefaultKmsKeyId', `which key ${why} under at launch is not known`, async (place) => {
    if (some && (await isOff(place).catch(() => false))) return [];
    const { KmsKeyId } = await place.ec2(new GetEbsDefaultKmsKeyIdCommand({}));
    const what = `a volume of the AMI has no snapshot; at launch it is encrypted under ${KmsKeyId}`;
    return KmsKeyId === undefined || KmsKeyId === keyArn ? [] : [{ what }];
  });
  return [...(some ? [isEncrypted] : []), underKey];
}

/** CopyImage in a target finds no image of another account that Allowed AMIs hides there. */
export function allowedImages(operation: CopyImage, job: Job): Ec2Question {
  const without = "whether Allowed AMIs lets the source account's AMI be seen here is not known";
  return reading('GetAllowedImagesSettings', without, async (place): Promise<Hindrance[]> => {
    const { State, ManagedBy, ImageCriteria = [] } = await place.ec2(new GetAllowedImagesSettingsCommand({}));
    // In audit mode nothing is hidden.
    if (State !== 'enabled') return [];
    const now = new Date(place.clock.now());
    const { account } = job.source;
    const image = copiedImage(operation, job, now);
    const admission = admissionOf(image, ImageCriteria, now);
    const ami = `the AMI ${JSON.stringify(image.Name)} of the source account ${account}`;
    const untold = `Allowed AMIs is on, and whether its criteria allow ${ami} can't be told beforehand: ${JSON.stringify(ImageCriteria)}. If they don't, CopyImage says InvalidAMIID.NotFound`;
    if (admission !== 'hidden') return admission === 'unknown' ? [{ what: untold }] : [];
    const completed = criteriaWith(account, ImageCriteria);
    const json = JSON.stringify(completed).replaceAll("'", "'\\''");
    const what = `Allowed AMIs is on, and none of its criteria allows ${ami}`;
    const remedy =
      ManagedBy === 'declarative-policy'
        ? `have the organization's declarative policy changed, which sets the criteria here: a criterion with ${account} among its allowed_image_providers (https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_declarative_syntax.html)`
        : completed === undefined
          ? `add ${account} to the ImageProviders of a criterion: there are ${mostCriteria} already, the most that AWS takes`
          : `add a criterion to those that are there: aws ec2 replace-image-criteria-in-allowed-images-settings --region ${place.region} --image-criteria '${json}'`;
    return [{ what, remedy }];
  });
}

/** What CopyImage is given: the source AMI, or the encrypted copy, which is made yet. */
function copiedImage({ from }: CopyImage, { source, operation }: Job, now: Date): Image {
  const OwnerId = source.account;
  const CreationDate = now.toISOString();
  const { image } = source;
  const copy = 'madeBy' in from ? operation(from.madeBy) : undefined;
  if (copy?.kind !== 'await' || !('remake' in copy)) return { CreationDate, ...image, OwnerId };
  // A copy keeps them: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-watermark.html
  const { ProductCodes, ImageWatermarks } = image;
  return { OwnerId, CreationDate, Name: copy.remake.name, ProductCodes, ImageWatermarks };
}
