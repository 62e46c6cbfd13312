import {
  DescribeSnapshotsCommand,
  GetAllowedImagesSettingsCommand,
  GetEbsDefaultKmsKeyIdCommand,
  GetEbsEncryptionByDefaultCommand,
  type Image,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { AwsCallError, placeName } from '../aws/errors.ts';
import { joined } from '../join.ts';
import type { MakingPlan, Plan } from '../plan/decided.ts';
import type { Findings } from '../plan/problem.ts';
import { admissionOf, criteriaWith, mostCriteria } from './allowed-images.ts';
import type { Checking } from './checking.ts';
import { type Asker, readOrWarn, roleOf } from './probe.ts';

/** The default: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html. It can be raised, so this only warns. */
const copyQuota = 20;

/** Warns where CopySnapshot will find no free slot: CopyImage takes none. */
export async function checkQuota(place: Place, maxParallel: number, findings: Findings): Promise<void> {
  let running: number;
  try {
    const { Snapshots } = await place.ec2(
      new DescribeSnapshotsCommand({
        OwnerIds: ['self'],
        Filters: [
          { Name: 'status', Values: ['pending'] },
          // Copies have no volume: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html
          { Name: 'volume-id', Values: ['vol-ffffffff'] },
        ],
      }),
    );
    running = Snapshots?.length ?? 0;
  } catch (error) {
    // Whether it may be read is asked beside this.
    if (error instanceof AwsCallError) return;
    throw error;
  }
  if (running < copyQuota) return;
  findings.warn(
    placeName(place),
    `${running} snapshot copies are running here, and AWS's default quota is ${copyQuota}: copies wait for a free slot (up to max-parallel ${maxParallel}). What to do: wait, or have the quota "Concurrent snapshot copies per destination Region" raised`,
  );
}

function askerOf({ accounts, findings }: Checking, { place, roleArn }: MakingPlan['target']): Asker {
  return { place: accounts.target(place), role: roleOf(place, roleArn), findings };
}

/** The settings of a target's account and region that decide what becomes of the AMI there; each is read only where it matters. */
export async function checkSettings(checking: Checking, targetPlan: MakingPlan): Promise<void> {
  await joined([
    checkDefaultEncryption(checking, targetPlan),
    // One registered here is the account's own, which Allowed AMIs never hides.
    ...(targetPlan.route === 'copy' && targetPlan.crossAccount ? [checkAllowedImages(checking, targetPlan)] : []),
  ]);
}

/** A volume without a snapshot is made at launch, under whatever key is then the region's default. */
async function checkDefaultEncryption(checking: Checking, { target }: MakingPlan): Promise<void> {
  const { findings } = checking;
  const { source } = checking.plan;
  const { kmsKeyArn } = target;
  const blank = (source.image.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => (Ebs && !Ebs.SnapshotId ? [Ebs] : []));
  if (blank.length === 0) return;
  const asker = askerOf(checking, target);
  const { place } = asker;
  const where = placeName(place);
  if (blank.some(({ Encrypted }) => Encrypted !== true)) {
    const byDefault = await readOrWarn(asker, {
      action: 'GetEbsEncryptionByDefault',
      without: 'whether a volume of the AMI that has no snapshot is encrypted at launch is not known',
      call: () => place.ec2(new GetEbsEncryptionByDefaultCommand({})),
    });
    if (byDefault?.EbsEncryptionByDefault === false) {
      findings.warn(
        where,
        'a volume of the AMI has no snapshot and is not encrypted, and encryption by default is off here: it is made unencrypted at launch. What to do: aws ec2 enable-ebs-encryption-by-default',
      );
      return;
    }
  }
  const key = await readOrWarn(asker, {
    action: 'GetEbsDefaultKmsKeyId',
    without: 'which key a volume of the AMI that has no snapshot is under at launch is not known',
    call: () => place.ec2(new GetEbsDefaultKmsKeyIdCommand({})),
  });
  if (key?.KmsKeyId !== undefined && key.KmsKeyId !== kmsKeyArn)
    findings.warn(where, `a volume of the AMI has no snapshot; at launch it is encrypted under ${key.KmsKeyId}`);
}

/** CopyImage in the target finds no image that Allowed AMIs hides there. */
async function checkAllowedImages(checking: Checking, targetPlan: MakingPlan): Promise<void> {
  const { plan, findings } = checking;
  const asker = askerOf(checking, targetPlan.target);
  const { place } = asker;
  const { account } = plan.source;
  const settings = await readOrWarn(asker, {
    action: 'GetAllowedImagesSettings',
    without: "whether Allowed AMIs lets the source account's AMI be seen here is not known",
    call: () => place.ec2(new GetAllowedImagesSettingsCommand({})),
  });
  // In audit mode nothing is hidden.
  if (settings?.State !== 'enabled') return;
  const now = new Date(place.clock.now());
  const image = copiedImage(plan, targetPlan, now);
  const criteria = settings.ImageCriteria ?? [];
  const admission = admissionOf(image, criteria, now);
  const what = `the AMI ${JSON.stringify(image.Name)} of the source account ${account}`;
  if (admission === 'unknown')
    findings.warn(
      placeName(place),
      `Allowed AMIs is on, and whether its criteria allow ${what} can't be told beforehand: ${JSON.stringify(criteria)}. If they don't, CopyImage says InvalidAMIID.NotFound`,
    );
  if (admission !== 'hidden') return;
  const completed = criteriaWith(account, criteria);
  const json = JSON.stringify(completed).replaceAll("'", "'\\''");
  findings.add(
    placeName(place),
    `Allowed AMIs is on, and none of its criteria allows ${what}`,
    settings.ManagedBy === 'declarative-policy'
      ? `have the organization's declarative policy changed, which sets the criteria here: a criterion with ${account} among its allowed_image_providers (https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_declarative_syntax.html)`
      : completed === undefined
        ? `add ${account} to the ImageProviders of a criterion: there are ${mostCriteria} already, the most that AWS takes`
        : `add a criterion to those that are there: aws ec2 replace-image-criteria-in-allowed-images-settings --region ${place.region} --image-criteria '${json}'`,
  );
}

/** What CopyImage is given: the source AMI, or the encrypted copy, which is made yet. */
function copiedImage({ source }: Plan, { from }: MakingPlan, now: Date): Image {
  const OwnerId = source.account;
  const CreationDate = now.toISOString();
  const { image } = source;
  if (from === undefined) return { CreationDate, ...image, OwnerId };
  // A copy keeps them: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-watermark.html
  const { ProductCodes, ImageWatermarks } = image;
  return { OwnerId, CreationDate, Name: from.name, ProductCodes, ImageWatermarks };
}
