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
import { hasUefi, instanceTypesOf, registrationOf } from '../image.ts';
import { joined } from '../join.ts';
import { leaseTagKey, shareTagKey } from '../lease.ts';
import { creationOf } from '../observe/instance.ts';
import { type EncryptedCopy, isMaking, type MakingPlan, type TargetPlan } from '../plan/decided.ts';
import type { Source } from '../plan/facts.ts';
import { tagKeys } from '../tags.ts';
import type { Checking } from './checking.ts';
import { checkExpected, checkRoom } from './expected.ts';
import { checkKeys } from './keys.ts';
import { ask, askAll, noImage, noSnapshot, type Question, roleOf } from './probe.ts';
import { publishQuestions } from './publish.ts';
import { checkQuota, checkSettings } from './settings.ts';

/** Beyond so many targets, what one role may do in one region speaks for its others: a check of each would cost more calls than the work. */
const eachTargetUpTo = 100;

/** What is known of the endpoints after the check. */
export type Checked = Readonly<{ kmsDryRuns: boolean }>;

/**
 * Asks AWS beforehand what it would refuse later: EC2's permissions by dry runs, KMS's by calls without effect, the
 * quota, settings. It changes nothing. What would fail goes into the findings with the statement, command or input that
 * mends it.
 */
export async function check(checking: Checking): Promise<Checked> {
  const { plan, accounts } = checking;
  checkExpected(checking);
  checkRoom(checking);
  const making = plan.targets.filter(isMaking);
  const { request } = checking;
  const others = oneOfEachRole(plan.targets.filter((target) => !isMaking(target)));
  const [first] = plan.targets;
  const wanted =
    first && publishQuestions(request.publication, accounts.target(first.target.place), request.source.partition);
  if (making.length === 0 && !wanted?.length && !others.some(removes)) return { kmsDryRuns: false };
  const honoured = await honoursDryRuns(accounts.source(plan.source.place.region));
  const sampled = making.length <= eachTargetUpTo ? making : oneOfEachRole(making);
  const asking: Asking = { ...checking, honoured };
  const [, kmsDryRuns] = await joined<[unknown, boolean, ...unknown[]]>([
    making.length > 0 ? checkSource(asking) : Promise.resolve(),
    checkKeys(checking, sampled),
    ...making.map((target) => checkTarget(asking, target, sampled.includes(target))),
    ...others.map((target) => checkReused(asking, target)),
  ]);
  return { kmsDryRuns };
}

/** Whether the endpoint knows dry runs. */
type Asking = Checking & Readonly<{ honoured: boolean }>;

function oneOfEachRole<T extends TargetPlan>(targets: readonly T[]): T[] {
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
async function checkSource(asking: Asking): Promise<void> {
  const { request, plan, accounts, findings } = asking;
  const { source, targets, encryptedCopies } = plan;
  const takers = targets.filter(isMaking).filter(({ crossAccount }) => crossAccount);
  const here = source.place.region;
  const regions = new Set([here, ...encryptedCopies.map(({ place }) => place.region)]);
  const role = roleOf(source.place, request.source.roleArn);
  await joined(
    [...regions].map(async (region) => {
      const place = accounts.source(region);
      const copy = encryptedCopies.find((one) => one.place.region === region);
      const served = takers.filter(({ from }) => (from?.place.region ?? here) === region);
      const arns: Arns = (...types) => types.map((type) => `arn:${request.source.partition}:ec2:${region}::${type}/*`);
      const at: At = { place, arns };
      const encrypts = copy !== undefined && copy.there === undefined;
      const questions = [
        ...(region === here ? creating(asking, at) : []),
        ...(served.length > 0 ? sharing(asking, at, served) : []),
        ...(copy === undefined ? [] : removing(copy, at)),
        ...(encrypts && asking.honoured && source.snapshots.length > 0 ? encrypting(source, copy, at) : []),
        ...tagging(
          at,
          // The lease is on the AMI itself; what is shared names the accounts.
          [...(region === here ? [leaseTagKey('0')] : []), shareTagKey('0', 0)],
          'other runs on this AMI cannot see this one, and none can tell what it shared; run them one after the other',
        ),
      ];
      await joined([
        askAll({ place, role, findings }, questions),
        ...(copy?.only === undefined ? [] : [checkQuota(place, request.maxParallel, findings)]),
      ]);
    }),
  );
}

/** ARNs of all resources of some types, as a statement names them. */
type Arns = (...types: string[]) => string[];

/** Whom a question is put to, and what its statement names. */
type At = Readonly<{ place: Place; arns: Arns }>;

/** An ID to ask AWS about: a source AMI that is yet to be made has none. */
function imageIdOf({ instanceId, image }: Source): string {
  return instanceId === undefined ? (image.ImageId ?? noImage) : noImage;
}

function snapshotIdOf({ instanceId, snapshots }: Source, snapshot = snapshots[0]): string {
  return instanceId === undefined ? (snapshot?.id ?? noSnapshot) : noSnapshot;
}

/** The AMI of an instance, and what is read only when it is there. */
function creating({ request, plan, honoured }: Asking, { place, arns }: At): Question[] {
  const { instanceId, image } = plan.source;
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

function sharing({ plan, honoured }: Asking, { place, arns }: At, served: readonly MakingPlan[]): Question[] {
  const { source } = plan;
  const own = source.snapshots.find(({ obstacle }) => !obstacle?.startsWith('owned by'));
  // A policy may limit the accounts that may be added. An endpoint that takes a dry run for a call is asked to add its
  // own account, which has its own snapshots.
  const [taker] = honoured ? served : [];
  const added = { Add: [{ UserId: taker?.target.place.account ?? source.account }] };
  const attribute = 'createVolumePermission' as const;
  const known = honoured && place.region === source.place.region && own !== undefined;
  const SnapshotId = known ? snapshotIdOf(source, own) : noSnapshot;
  const modify = new ModifySnapshotAttributeCommand({
    SnapshotId,
    Attribute: attribute,
    CreateVolumePermission: added,
    DryRun: true,
  });
  const describe = new DescribeSnapshotAttributeCommand({ SnapshotId, Attribute: attribute, DryRun: true });
  const launch = new ModifyImageAttributeCommand({ ImageId: noImage, LaunchPermission: added, DryRun: true });
  const launched = new DescribeImageAttributeCommand({ ImageId: noImage, Attribute: 'launchPermission', DryRun: true });
  return [
    { action: 'ModifySnapshotAttribute', resources: arns('snapshot'), call: () => place.ec2(modify) },
    { action: 'DescribeSnapshotAttribute', resources: arns('snapshot'), call: () => place.ec2(describe) },
    ...(served.some(({ action }) => action === 'copy')
      ? [
          { action: 'ModifyImageAttribute', resources: arns('image'), call: () => place.ec2(launch) },
          { action: 'DescribeImageAttribute', resources: arns('image'), call: () => place.ec2(launched) },
        ]
      : []),
  ];
}

function removing({ only }: EncryptedCopy, at: At): Question[] {
  return [...(only === undefined ? [deregistering(at)] : []), deletingSnapshots(at)];
}

function encrypting(source: Source, copy: EncryptedCopy, { place, arns }: At): Question[] {
  const { name, kmsKeyArn, only } = copy;
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

function deregistering({ place, arns }: At): Question {
  const command = new DeregisterImageCommand({ ImageId: noImage, DryRun: true });
  return { action: 'DeregisterImage', resources: arns('image'), call: () => place.ec2(command) };
}

function deletingSnapshots({ place, arns }: At): Question {
  const command = new DeleteSnapshotCommand({ SnapshotId: noSnapshot, DryRun: true });
  return { action: 'DeleteSnapshot', resources: arns('snapshot'), call: () => place.ec2(command) };
}

/** Leases, and the marks on what is shared or being made: asked with their keys, which a policy may be limited to. */
function tagging({ place, arns }: At, keys: readonly string[], without: string): Question[] {
  const resources = arns('image', 'snapshot');
  const create = new CreateTagsCommand({ Resources: [noSnapshot], Tags: emptyTags(keys), DryRun: true });
  const remove = new DeleteTagsCommand({ Resources: [noSnapshot], Tags: keys.map((Key) => ({ Key })), DryRun: true });
  return [
    { action: 'CreateTags', resources, call: () => place.ec2(create), without },
    { action: 'DeleteTags', resources, call: () => place.ec2(remove), without },
  ];
}

/** An AMI that gives its name up has its snapshots marked. */
function marking({ place, arns }: At): Question[] {
  const Tags = emptyTags([tagKeys.superseded]);
  const command = new CreateTagsCommand({ Resources: [noSnapshot], Tags, DryRun: true });
  return [{ action: 'CreateTags', resources: arns('snapshot'), call: () => place.ec2(command) }];
}

function emptyTags(keys: readonly string[]): Tag[] {
  return keys.map((Key) => ({ Key, Value: '' }));
}

async function checkTarget(asking: Asking, targetPlan: MakingPlan, sampled: boolean): Promise<void> {
  const { request, plan, accounts, findings, honoured } = asking;
  const { target } = targetPlan;
  const place = accounts.target(target.place);
  const role = roleOf(place, target.roleArn);
  const { partition } = request.source;
  const at: At = { place, arns: (...types) => types.map((type) => `arn:${partition}:ec2:*::${type}/*`) };
  const registers = targetPlan.action === 'register';
  const needed = removes(targetPlan) ? {} : { without: halfMade };
  const making = honoured ? [copying(plan.source, targetPlan, at)] : [];
  const all = sampled
    ? [
        ...making,
        ...(honoured && registers ? registering(plan.source, targetPlan, at) : []),
        { ...deletingSnapshots(at), ...needed },
        { ...deregistering(at), ...needed },
        ...(registers ? [] : [tellingApart(at)]),
        ...tagging(at, [tagKeys.lease], `the tag ${tagKeys.lease} stays on the copies`),
        ...(registers && targetPlan.supersedes !== undefined ? marking(at) : []),
        ...reading(plan.source, at),
        ...settingInstanceTypes(plan.source, at),
        ...publishQuestions(request.publication, place, partition),
      ]
    : making;
  await joined([
    askAll({ place, role, findings }, all),
    ...(sampled ? [checkSettings(asking, targetPlan)] : []),
    ...(sampled && registers && targetPlan.copies.length > 0 ? [checkQuota(place, request.maxParallel, findings)] : []),
  ]);
}

/** What is done with an AMI that is there, and what goes for it. */
async function checkReused({ request, accounts, findings }: Asking, plan: TargetPlan): Promise<void> {
  const { target } = plan;
  const place = accounts.target(target.place);
  const { partition } = request.source;
  const at: At = { place, arns: (...types) => types.map((type) => `arn:${partition}:ec2:*::${type}/*`) };
  await askAll({ place, role: roleOf(place, target.roleArn), findings }, [
    ...(removes(plan) ? [deletingSnapshots(at), deregistering(at)] : []),
    ...publishQuestions(request.publication, place, partition),
  ]);
}

function removes({ discard, discardImages, replace, retained }: TargetPlan): boolean {
  return [discard, discardImages, replace, retained?.remove ?? []].some((list) => list.length > 0);
}

/** What is read of the copies. */
function reading(source: Source, { place, arns }: At): Question[] {
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

function settingInstanceTypes(source: Source, { place, arns }: At): Question[] {
  if (instanceTypesOf(source.image) === undefined) return [];
  const command = new ReplaceImageInstanceTypeSpecificationCommand({ ImageId: noImage, DryRun: true });
  return [
    { action: 'ReplaceImageInstanceTypeSpecification', resources: arns('image'), call: () => place.ec2(command) },
  ];
}

const halfMade = 'what a run that fails or is cancelled has made here by then stays';

/** Validation comes before the permission, and the permission before the dry run; a source that isn't shared yet is no error. */
function copying(source: Source, { target, action, expected, from }: MakingPlan, { place, arns }: At): Question {
  const { kmsKeyArn, name } = target;
  const common = {
    SourceRegion: from?.place.region ?? source.place.region,
    Encrypted: true,
    KmsKeyId: kmsKeyArn,
    DryRun: true,
  };
  if (action === 'copy') {
    const command = new CopyImageCommand({
      ...common,
      Name: name,
      SourceImageId: imageIdOf(source),
      TagSpecifications: [
        { ResourceType: 'image', Tags: [...expected.tags] },
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
function tellingApart({ place, arns }: At): Question {
  const Tags = emptyTags([tagKeys.sourceSnapshot]);
  const command = new CreateTagsCommand({ Resources: [noSnapshot], Tags, DryRun: true });
  return { action: 'CreateTags', resources: arns('image', 'snapshot'), call: () => place.ec2(command) };
}

function registering(source: Source, { target, expected }: MakingPlan, { place, arns }: At): Question[] {
  const { name } = target;
  const { description, tags } = expected;
  // The snapshots are none of the target's, so that even a call would make nothing.
  const copies = new Map(source.snapshots.map(({ id }) => [id, noSnapshot]));
  const registration = registrationOf({
    source: source.image,
    extras: source.extras,
    name,
    description,
    copies,
    tags: [...tags],
  });
  const command = new RegisterImageCommand({ ...registration, DryRun: true });
  return [{ action: 'RegisterImage', resources: arns('image', 'snapshot'), call: () => place.ec2(command) }];
}
