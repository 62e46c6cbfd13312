import {
  CopyImageCommand,
  CopySnapshotCommand,
  CreateImageCommand,
  CreateTagsCommand,
  DeleteSnapshotCommand,
  DeleteTagsCommand,
  DeregisterImageCommand,
  DescribeImageAttributeCommand,
  DescribeImagesCommand,
  DescribeSnapshotAttributeCommand,
  DescribeSnapshotsCommand,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
  RegisterImageCommand,
  ReplaceImageInstanceTypeSpecificationCommand,
  type Tag,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { instanceTypesOf, registrationOf } from '../image.ts';
import type { Request } from '../inputs.ts';
import { leaseTagKey, shareTagKey } from '../lease.ts';
import { tagKeys } from '../tags.ts';
import { creationOf } from './instance.ts';
import type { EncryptedCopy, Plan, TargetPlan } from './plan.ts';
import { preflightKeys } from './preflight-keys.ts';
import { checkQuota, checkSettings } from './preflight-settings.ts';
import { ask, askAll, noImage, noSnapshot, type Question, roleOf } from './probe.ts';
import type { Findings } from './problem.ts';
import { publishQuestions } from './publish.ts';
import { hasUefi, type Source } from './source.ts';

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

/** The source account, in its own region and in those of its hubs. */
async function preflightSource(request: Request, plan: Plan, honoured: boolean, findings: Findings): Promise<void> {
  const { source, targets, encryptedCopies } = plan;
  const takers = targets.filter(({ crossAccount, reuse }) => crossAccount && reuse === undefined);
  const regions = new Set([source.place.region, ...encryptedCopies.map(({ place }) => place.region)]);
  const role = roleOf(source.place, request.source.roleArn);
  await Promise.all(
    [...regions].map(async (region) => {
      const place = source.at(region);
      const copy = encryptedCopies.find((one) => one.place.region === region);
      const served = takers.filter(({ from }) => (from?.place.region ?? source.place.region) === region);
      const arns: Arns = (...types) => types.map((type) => `arn:${request.source.partition}:ec2:${region}::${type}/*`);
      const questions = [
        ...(region === source.place.region ? creating(request, source, honoured, arns) : []),
        ...(served.length > 0 ? sharing(plan, place, served, honoured, arns) : []),
        ...(copy === undefined ? [] : removing(copy, arns)),
        ...(copy !== undefined && honoured && source.snapshots.length > 0 ? encrypting(plan, copy, arns) : []),
        ...tagging(
          place,
          // The lease is on the AMI itself; what is shared names the accounts.
          [...(region === source.place.region ? [leaseTagKey('0')] : []), shareTagKey('0', 0)],
          arns('image', 'snapshot'),
          'other runs on this AMI cannot see this one, and none can tell what it shared; run them one after the other',
        ),
      ];
      await Promise.all([
        askAll(place, role, questions, findings),
        ...(copy?.only === undefined ? [] : [checkQuota(place, request.maxParallel, findings)]),
      ]);
    }),
  );
}

/** ARNs of all resources of some types, as a statement names them. */
type Arns = (...types: string[]) => string[];

/** An ID to ask AWS about: a source AMI that is yet to be made has none. */
function imageIdOf({ instanceId, image }: Source): string {
  return instanceId === undefined ? (image.ImageId ?? noImage) : noImage;
}

function snapshotIdOf({ instanceId, snapshots }: Source, snapshot = snapshots[0]): string {
  return instanceId === undefined ? (snapshot?.id ?? noSnapshot) : noSnapshot;
}

/** The AMI of an instance, and what is read only when it is there. */
function creating(request: Request, source: Source, honoured: boolean, arns: Arns): Question[] {
  const { place, instanceId, image } = source;
  if (instanceId === undefined) return [];
  // https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html: the instance, the image and its snapshots
  const instances = `arn:${request.source.partition}:ec2:${place.region}:${place.account}:instance/*`;
  // Even taken for a call, this would reboot nothing.
  const create = new CreateImageCommand({ ...creationOf(request, instanceId, true), DryRun: true });
  const snapshots = new DescribeSnapshotsCommand({ OwnerIds: ['self'], DryRun: true });
  const attribute = new DescribeImageAttributeCommand({ ImageId: noImage, Attribute: 'uefiData', DryRun: true });
  return [
    ...(honoured
      ? [
          {
            action: 'CreateImage',
            resources: [instances, ...arns('image', 'snapshot')],
            tagged: arns('image', 'snapshot'),
            call: () => place.ec2(create),
          },
        ]
      : []),
    { action: 'DescribeSnapshots', resources: ['*'], call: () => place.ec2(snapshots) },
    ...(hasUefi(image)
      ? [{ action: 'DescribeImageAttribute', resources: ['*'], call: () => place.ec2(attribute) }]
      : []),
  ];
}

function sharing(
  { source }: Plan,
  place: Place,
  served: readonly TargetPlan[],
  honoured: boolean,
  arns: Arns,
): Question[] {
  const own = source.snapshots.find(({ obstacle }) => !obstacle?.startsWith('owned by'));
  // Even taken for a call, this would open nothing: an account has its own snapshots.
  const self = { Add: [{ UserId: source.account }] };
  const attribute = 'createVolumePermission' as const;
  const known = honoured && place.region === source.place.region && own !== undefined;
  const SnapshotId = known ? snapshotIdOf(source, own) : noSnapshot;
  const modify = new ModifySnapshotAttributeCommand({
    SnapshotId,
    Attribute: attribute,
    CreateVolumePermission: self,
    DryRun: true,
  });
  const describe = new DescribeSnapshotAttributeCommand({ SnapshotId, Attribute: attribute, DryRun: true });
  const launch = new ModifyImageAttributeCommand({ ImageId: noImage, LaunchPermission: self, DryRun: true });
  const launched = new DescribeImageAttributeCommand({ ImageId: noImage, Attribute: 'launchPermission', DryRun: true });
  return [
    { action: 'ModifySnapshotAttribute', resources: arns('snapshot'), call: () => place.ec2(modify) },
    { action: 'DescribeSnapshotAttribute', resources: arns('snapshot'), call: () => place.ec2(describe) },
    ...(served.some(({ route }) => route === 'copy')
      ? [
          { action: 'ModifyImageAttribute', resources: arns('image'), call: () => place.ec2(launch) },
          { action: 'DescribeImageAttribute', resources: arns('image'), call: () => place.ec2(launched) },
        ]
      : []),
  ];
}

function removing({ place, only }: EncryptedCopy, arns: Arns): Question[] {
  return [
    ...(only === undefined ? [deregistering(place, arns('image'))] : []),
    deletingSnapshots(place, arns('snapshot')),
  ];
}

function encrypting({ source }: Plan, copy: EncryptedCopy, arns: Arns): Question[] {
  const { place, name, kmsKeyArn, only } = copy;
  const tags = emptyTags([tagKeys.sourceAmi, tagKeys.intermediate]);
  const common = { SourceRegion: source.place.region, Encrypted: true, KmsKeyId: kmsKeyArn, DryRun: true };
  if (only !== undefined) {
    const command = new CopySnapshotCommand({
      ...common,
      SourceSnapshotId: snapshotIdOf(source, only[0]),
      TagSpecifications: [{ ResourceType: 'snapshot', Tags: tags }],
    });
    return [{ action: 'CopySnapshot', resources: arns('snapshot'), call: () => place.ec2(command) }];
  }
  const command = new CopyImageCommand({
    ...common,
    Name: name,
    SourceImageId: imageIdOf(source),
    TagSpecifications: [
      { ResourceType: 'image', Tags: tags },
      { ResourceType: 'snapshot', Tags: tags },
    ],
  });
  return [{ action: 'CopyImage', resources: arns('image', 'snapshot'), call: () => place.ec2(command) }];
}

function deregistering(place: Place, resources: readonly string[]): Question {
  const command = new DeregisterImageCommand({ ImageId: noImage, DryRun: true });
  return { action: 'DeregisterImage', resources, call: () => place.ec2(command) };
}

function deletingSnapshots(place: Place, resources: readonly string[]): Question {
  const command = new DeleteSnapshotCommand({ SnapshotId: noSnapshot, DryRun: true });
  return { action: 'DeleteSnapshot', resources, call: () => place.ec2(command) };
}

/** Leases, and the marks on what is shared or being made: asked with their keys, which a policy may be limited to. */
function tagging(place: Place, keys: readonly string[], resources: readonly string[], without: string): Question[] {
  const create = new CreateTagsCommand({ Resources: [noSnapshot], Tags: emptyTags(keys), DryRun: true });
  const remove = new DeleteTagsCommand({ Resources: [noSnapshot], Tags: keys.map((Key) => ({ Key })), DryRun: true });
  return [
    { action: 'CreateTags', resources, call: () => place.ec2(create), without },
    { action: 'DeleteTags', resources, call: () => place.ec2(remove), without },
  ];
}

/** An AMI that gives its name up has its snapshots marked. */
function marking(place: Place, resources: readonly string[]): Question[] {
  const Tags = emptyTags([tagKeys.superseded]);
  const command = new CreateTagsCommand({ Resources: [noSnapshot], Tags, DryRun: true });
  return [{ action: 'CreateTags', resources, call: () => place.ec2(command) }];
}

function emptyTags(keys: readonly string[]): Tag[] {
  return keys.map((Key) => ({ Key, Value: '' }));
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
  const arns: Arns = (...types) => types.map((type) => `arn:${partition}:ec2:*::${type}/*`);
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
        ...(route === 'copy' ? [tellingApart(place, arns)] : []),
        ...tagging(place, [tagKeys.lease], arns('image', 'snapshot'), `the tag ${tagKeys.lease} stays on the copies`),
        ...(targetPlan.supersedes === undefined ? [] : marking(place, arns('snapshot'))),
        ...reading(plan, place, arns),
        ...settingInstanceTypes(plan, place, arns),
        ...publishQuestions(request.publication, place, partition),
      ]
    : making;
  await Promise.all([
    askAll(place, role, all, findings),
    ...(sampled ? [checkSettings(plan, targetPlan, findings)] : []),
    ...(sampled && targetPlan.copies.length > 0 ? [checkQuota(place, request.maxParallel, findings)] : []),
  ]);
}

/** What is read of the copies. */
function reading({ source }: Plan, place: Place, arns: Arns): Question[] {
  const describe = new DescribeSnapshotsCommand({ OwnerIds: ['self'], DryRun: true });
  const attribute = new DescribeImageAttributeCommand({ ImageId: noImage, Attribute: 'uefiData', DryRun: true });
  return [
    { action: 'DescribeSnapshots', resources: ['*'], call: () => place.ec2(describe) },
    ...(source.extras.uefiData === undefined
      ? []
      : [
          {
            action: 'DescribeImageAttribute',
            resources: arns('image'),
            call: () => place.ec2(attribute),
            without: 'the UEFI variables of the AMI are not compared',
          },
        ]),
  ];
}

function settingInstanceTypes({ source }: Plan, place: Place, arns: Arns): Question[] {
  if (instanceTypesOf(source.image) === undefined) return [];
  const command = new ReplaceImageInstanceTypeSpecificationCommand({ ImageId: noImage, DryRun: true });
  return [
    { action: 'ReplaceImageInstanceTypeSpecification', resources: arns('image'), call: () => place.ec2(command) },
  ];
}

const halfMade = 'what a run that fails or is cancelled has made here by then stays';

/** Validation comes before the permission, and the permission before the dry run; a source that isn't shared yet is no error. */
function copying({ source }: Plan, { target, route, tags, from }: TargetPlan, arns: Arns): Question {
  const { place, kmsKeyArn, name } = target;
  const common = {
    SourceRegion: from?.place.region ?? source.place.region,
    Encrypted: true,
    KmsKeyId: kmsKeyArn,
    DryRun: true,
  };
  if (route === 'copy') {
    const command = new CopyImageCommand({
      ...common,
      Name: name,
      SourceImageId: imageIdOf(source),
      TagSpecifications: [
        { ResourceType: 'image', Tags: [...tags] },
        { ResourceType: 'snapshot', Tags: emptyTags([tagKeys.sourceAmi, tagKeys.lease]) },
      ],
    });
    return { action: 'CopyImage', resources: arns('image', 'snapshot'), call: () => place.ec2(command) };
  }
  const command = new CopySnapshotCommand({
    ...common,
    SourceSnapshotId: snapshotIdOf(source),
    TagSpecifications: [{ ResourceType: 'snapshot', Tags: emptyTags([tagKeys.sourceAmi, tagKeys.lease]) }],
  });
  return { action: 'CopySnapshot', resources: arns('snapshot'), call: () => place.ec2(command) };
}

/** CopyImage gives all its snapshots the same tags; each gets its own afterwards. */
function tellingApart(place: Place, arns: Arns): Question {
  const Tags = emptyTags([tagKeys.sourceSnapshot]);
  const command = new CreateTagsCommand({ Resources: [noSnapshot], Tags, DryRun: true });
  return { action: 'CreateTags', resources: arns('image', 'snapshot'), call: () => place.ec2(command) };
}

function registering({ source }: Plan, { target, description, tags }: TargetPlan, arns: Arns): Question[] {
  const { place, name } = target;
  // The snapshots are none of the target's, so that even a call would make nothing.
  const copies = new Map(source.snapshots.map(({ id }) => [id, noSnapshot]));
  const registration = registrationOf({
    source: source.image,
    extras: source.extras,
    name,
    description,
    copies,
    tags,
  });
  const command = new RegisterImageCommand({ ...registration, DryRun: true });
  return [{ action: 'RegisterImage', resources: arns('image', 'snapshot'), call: () => place.ec2(command) }];
}
