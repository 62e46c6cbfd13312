import {
  CopyImageCommand,
  CopySnapshotCommand,
  CreateTagsCommand,
  DeleteSnapshotCommand,
  DeleteTagsCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  DescribeSnapshotAttributeCommand,
  DescribeSnapshotsCommand,
  GetAllowedImagesSettingsCommand,
  GetEbsDefaultKmsKeyIdCommand,
  GetEbsEncryptionByDefaultCommand,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
  RegisterImageCommand,
  type Tag,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { AwsCallError, placeName } from '../aws/errors.ts';
import { registrationOf } from '../image.ts';
import type { Request } from '../inputs.ts';
import { tagKeys } from '../tags.ts';
import type { EncryptedCopy, Plan, TargetPlan } from './plan.ts';
import { preflightKeys } from './preflight-keys.ts';
import { ask, askAll, noImage, noSnapshot, type Question, roleOf } from './probe.ts';
import type { Findings } from './problem.ts';
import { publishQuestions } from './publish.ts';

/** Beyond so many targets, what one role may do in one region speaks for its others: a check of each would cost more calls than the work. */
const eachTargetUpTo = 100;

/**
 * Asks AWS beforehand what it would refuse later: EC2's permissions by dry runs, KMS's by calls without effect, the
 * quota, settings. It changes nothing. What would fail goes into `findings` with the statement, command or input that
 * mends it.
 */
export async function preflight(request: Request, plan: Plan, findings: Findings): Promise<void> {
  const { source } = plan;
  const making = plan.targets.filter(({ reuse }) => reuse === undefined);
  if (making.length === 0 && plan.targets.every(({ retained }) => retained === undefined)) return;
  const honoured = await honoursDryRuns(source.place);
  const sampled = making.length <= eachTargetUpTo ? making : oneOfEachRole(making);
  await Promise.all([
    ...(making.length > 0 ? [preflightSource(request, plan, honoured, findings)] : []),
    ...making.map((target) => preflightTarget(request, plan, target, honoured, sampled.includes(target), findings)),
    preflightKeys(request, plan, sampled, findings),
  ]);
}

function oneOfEachRole(targets: readonly TargetPlan[]): TargetPlan[] {
  return [...Map.groupBy(targets, ({ target }) => target.principalArn).values()].flatMap(([first]) => first ?? []);
}

/** Whether the endpoint knows dry runs at all: AWS does, but not every stand-in. What reads alone tells it safely. */
async function honoursDryRuns(place: Place): Promise<boolean> {
  const { is } = await ask(() =>
    place.ec2(new DescribeImagesCommand({ Owners: ['self'], ImageIds: [], DryRun: true })),
  );
  return is !== 'unknown';
}

async function preflightSource(request: Request, plan: Plan, honoured: boolean, findings: Findings): Promise<void> {
  const { source, targets } = plan;
  const { place, image, snapshots } = source;
  const abroad = targets.some(({ crossAccount, reuse }) => crossAccount && reuse === undefined);
  const routeCopy = targets.some(
    ({ crossAccount, route, reuse }) => crossAccount && route === 'copy' && reuse === undefined,
  );
  const ids = snapshots.map(({ id }) => id);
  const [first] = ids;
  const own = snapshots.find(({ obstacle }) => obstacle === undefined || !obstacle.startsWith('owned by'))?.id;
  const role = roleOf(place, request.source.roleArn);
  const { partition } = request.source;
  const regions = [...new Set([place.region, ...plan.encryptedCopies.map((copy) => copy.place.region)])];
  const arns = (types: readonly string[]) =>
    regions.flatMap((region) => types.map((type) => `arn:${partition}:ec2:${region}::${type}/*`));
  const sharing: Question[] =
    abroad && own !== undefined
      ? [
          {
            action: 'ModifySnapshotAttribute',
            resources: arns(['snapshot']),
            call: () =>
              place.ec2(
                new ModifySnapshotAttributeCommand({
                  // Were the dry run taken for a call, this would add nothing: an account has its own snapshots.
                  SnapshotId: own,
                  Attribute: 'createVolumePermission',
                  CreateVolumePermission: { Add: [{ UserId: source.account }] },
                  DryRun: true,
                }),
              ),
          },
          {
            action: 'DescribeSnapshotAttribute',
            resources: ['*'],
            call: () =>
              place.ec2(
                new DescribeSnapshotAttributeCommand({
                  SnapshotId: own,
                  Attribute: 'createVolumePermission',
                  DryRun: true,
                }),
              ),
          },
        ]
      : [];
  const launching: Question[] = routeCopy
    ? [
        {
          action: 'ModifyImageAttribute',
          resources: arns(['image']),
          call: () =>
            place.ec2(
              new ModifyImageAttributeCommand({
                ImageId: noImage,
                LaunchPermission: { Add: [{ UserId: source.account }] },
                DryRun: true,
              }),
            ),
        },
      ]
    : [];
  const removing: Question[] =
    plan.encryptedCopies.length > 0
      ? [
          ...(plan.encryptedCopies.some(({ only }) => only === undefined)
            ? [deregistering(place, arns(['image']))]
            : []),
          deletingSnapshots(place, arns(['snapshot'])),
        ]
      : [];
  const leasing = tagging(
    place,
    arns(['image', 'snapshot']),
    'other runs on this AMI cannot see this one, and none can tell what it shared; run them one after the other',
  );
  await Promise.all([
    askAll(place, role, [...sharing, ...launching, ...removing, ...leasing], findings),
    ...(honoured && first !== undefined
      ? plan.encryptedCopies.map((copy) =>
          askAll(copy.place, role, encrypting(copy, image.ImageId ?? '', place.region, first, arns), findings),
        )
      : []),
  ]);
}

function encrypting(
  { place, name, kmsKeyArn, only }: EncryptedCopy,
  imageId: string,
  sourceRegion: string,
  snapshotId: string,
  arns: (types: readonly string[]) => string[],
): Question[] {
  const tags: Tag[] = [{ Key: tagKeys.intermediate, Value: 'true' }];
  const common = { SourceRegion: sourceRegion, Encrypted: true, KmsKeyId: kmsKeyArn, DryRun: true };
  if (only !== undefined) {
    const command = new CopySnapshotCommand({
      ...common,
      SourceSnapshotId: only[0]?.id ?? snapshotId,
      TagSpecifications: [{ ResourceType: 'snapshot', Tags: tags }],
    });
    return [{ action: 'CopySnapshot', resources: arns(['snapshot']), call: () => place.ec2(command) }];
  }
  const command = new CopyImageCommand({
    ...common,
    Name: name,
    SourceImageId: imageId,
    TagSpecifications: [
      { ResourceType: 'image', Tags: tags },
      { ResourceType: 'snapshot', Tags: tags },
    ],
  });
  return [{ action: 'CopyImage', resources: arns(['image', 'snapshot']), call: () => place.ec2(command) }];
}

function deregistering(place: Place, resources: readonly string[]): Question {
  const command = new DeregisterImageCommand({ ImageId: noImage, DryRun: true });
  return { action: 'DeregisterImage', resources, call: () => place.ec2(command) };
}

function deletingSnapshots(place: Place, resources: readonly string[]): Question {
  const command = new DeleteSnapshotCommand({ SnapshotId: noSnapshot, DryRun: true });
  return { action: 'DeleteSnapshot', resources, call: () => place.ec2(command) };
}

/** Leases, and the marks on what is being made. */
function tagging(place: Place, resources: readonly string[], without: string): Question[] {
  const tag = { Key: tagKeys.lease };
  const create = new CreateTagsCommand({ Resources: [noSnapshot], Tags: [{ ...tag, Value: '' }], DryRun: true });
  const remove = new DeleteTagsCommand({ Resources: [noSnapshot], Tags: [tag], DryRun: true });
  return [
    { action: 'CreateTags', resources, call: () => place.ec2(create), without },
    { action: 'DeleteTags', resources, call: () => place.ec2(remove), without },
  ];
}

async function preflightTarget(
  request: Request,
  plan: Plan,
  targetPlan: TargetPlan,
  honoured: boolean,
  sampled: boolean,
  findings: Findings,
): Promise<void> {
  const { target, route } = targetPlan;
  const { place } = target;
  const role = roleOf(place, target.roleArn);
  const { partition } = request.source;
  const arns = (...types: string[]) => types.map((type) => `arn:${partition}:ec2:*::${type}/*`);
  const removes = [
    targetPlan.discard,
    targetPlan.discardImages,
    targetPlan.replace,
    targetPlan.retained?.remove ?? [],
  ].some((list) => list.length > 0);
  const making = honoured && !sampled ? [copying(plan, targetPlan, arns)] : [];
  const all = sampled
    ? [
        ...(honoured ? [copying(plan, targetPlan, arns)] : []),
        ...(honoured && route === 'register' ? registering(plan, targetPlan, arns) : []),
        { ...deletingSnapshots(place, arns('snapshot')), ...(removes ? {} : { without: halfMade }) },
        { ...deregistering(place, arns('image')), ...(removes ? {} : { without: halfMade }) },
        ...tagging(place, arns('image', 'snapshot'), `the tag ${tagKeys.lease} stays on the copies`),
        ...publishQuestions(request.publication, place, partition),
      ]
    : making;
  await Promise.all([
    askAll(place, role, all, findings),
    ...(sampled ? [checkQuota(request, targetPlan, findings), checkSettings(plan, targetPlan, findings)] : []),
  ]);
}

const halfMade = 'what a run that fails or is cancelled has made here by then stays';

/** Validation comes before the permission, and the permission before the dry run; a source that isn't shared yet is no error. */
function copying(
  plan: Plan,
  { target, route, tags, from }: TargetPlan,
  arns: (...types: string[]) => string[],
): Question {
  const { place, kmsKeyArn, name } = target;
  const { image, snapshots } = plan.source;
  const common = {
    SourceRegion: from?.place.region ?? plan.source.place.region,
    Encrypted: true,
    KmsKeyId: kmsKeyArn,
    DryRun: true,
  };
  if (route === 'copy') {
    const command = new CopyImageCommand({
      ...common,
      Name: name,
      SourceImageId: image.ImageId,
      TagSpecifications: [{ ResourceType: 'image', Tags: [...tags] }],
    });
    return { action: 'CopyImage', resources: arns('image', 'snapshot'), call: () => place.ec2(command) };
  }
  const command = new CopySnapshotCommand({
    ...common,
    SourceSnapshotId: snapshots[0]?.id ?? noSnapshot,
    TagSpecifications: [{ ResourceType: 'snapshot', Tags: [{ Key: tagKeys.lease, Value: '' }] }],
  });
  return { action: 'CopySnapshot', resources: arns('snapshot'), call: () => place.ec2(command) };
}

function registering({ source }: Plan, { target }: TargetPlan, arns: (...types: string[]) => string[]): Question[] {
  const { place, name, description } = target;
  // The snapshots are none of the target's, so that even a call would make nothing.
  const copies = new Map(source.snapshots.map(({ id }) => [id, noSnapshot]));
  const registration = registrationOf({
    source: source.image,
    extras: source.extras,
    name,
    description,
    copies,
    tags: [],
  });
  const command = new RegisterImageCommand({ ...registration, DryRun: true });
  return [{ action: 'RegisterImage', resources: arns('image', 'snapshot'), call: () => place.ec2(command) }];
}

/** What may be read only in some accounts; not being allowed to is no problem. */
async function ifAllowed<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof AwsCallError) return undefined;
    throw error;
  }
}

/** The default: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html. It can be raised, so this only warns. */
const copyQuota = 20;

async function checkQuota(request: Request, { target, copies, route }: TargetPlan, findings: Findings): Promise<void> {
  if (route !== 'register' || copies.length === 0) return;
  const { place } = target;
  const pending = await ifAllowed(() =>
    place.ec2(
      new DescribeSnapshotsCommand({
        OwnerIds: ['self'],
        Filters: [
          { Name: 'status', Values: ['pending'] },
          // Copies have no volume: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html
          { Name: 'volume-id', Values: ['vol-ffffffff'] },
        ],
      }),
    ),
  );
  const running = pending?.Snapshots?.length ?? 0;
  if (running < copyQuota) return;
  findings.warn(
    placeName(place),
    `${running} snapshot copies are running here, and AWS's default quota is ${copyQuota}: copies wait for a free slot (up to max-parallel ${request.maxParallel}). What to do: wait, or have the quota "Concurrent snapshot copies per destination Region" raised`,
  );
}

async function checkSettings(
  plan: Plan,
  { target, route, crossAccount }: TargetPlan,
  findings: Findings,
): Promise<void> {
  const { place } = target;
  const { image, account } = plan.source;
  const where = placeName(place);
  const blank = (image.BlockDeviceMappings ?? []).some(({ Ebs }) => Ebs !== undefined && !Ebs.SnapshotId);
  if (blank) {
    // A volume without a snapshot is made at launch, under whatever key is then the region's default.
    const byDefault = await ifAllowed(() => place.ec2(new GetEbsEncryptionByDefaultCommand({})));
    const key = await ifAllowed(() => place.ec2(new GetEbsDefaultKmsKeyIdCommand({})));
    const encrypted = (image.BlockDeviceMappings ?? []).some(({ Ebs }) => Ebs && !Ebs.SnapshotId && Ebs.Encrypted);
    if (byDefault?.EbsEncryptionByDefault === false && !encrypted)
      findings.warn(
        where,
        'a volume of the AMI has no snapshot and is not encrypted, and encryption by default is off here: it is made unencrypted at launch. What to do: aws ec2 enable-ebs-encryption-by-default',
      );
    else if (key?.KmsKeyId !== undefined)
      findings.warn(where, `a volume of the AMI has no snapshot; at launch it is encrypted under ${key.KmsKeyId}`);
  }
  // An AMI of the source account is copied from there, where Allowed AMIs counts; one registered here is the account's own.
  if (route !== 'copy' || !crossAccount) return;
  const allowed = await ifAllowed(() => place.ec2(new GetAllowedImagesSettingsCommand({})));
  const providers = (allowed?.ImageCriteria ?? []).flatMap(({ ImageProviders }) => ImageProviders ?? []);
  if (
    allowed?.State !== 'enabled' ||
    providers.length === 0 ||
    providers.includes(account) ||
    providers.includes('all')
  )
    return;
  findings.add(
    where,
    `Allowed AMIs is on, and lets AMIs of ${providers.join(', ')} be seen but not of the source account ${account}`,
    `add it: aws ec2 replace-image-criteria-in-allowed-images-settings --region ${place.region} --image-criteria ImageProviders=${[...providers, account].join(',')}`,
  );
}
