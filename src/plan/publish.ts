import {
  DescribeAvailabilityZonesCommand,
  DescribeImageReferencesCommand,
  DescribeInstancesCommand,
  DescribeLaunchTemplateVersionsCommand,
  EnableFastSnapshotRestoresCommand,
  EnableImageDeprecationCommand,
  EnableImageDeregistrationProtectionCommand,
  type Image,
  ModifyImageAttributeCommand,
} from '@aws-sdk/client-ec2';
import { GetParameterCommand } from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { AwsCallError, hasCode, isDenied, isUnknownAction, placeName } from '../aws/errors.ts';
import { isEncryptedCopy } from '../encrypted-copy.ts';
import type { Publication } from '../inputs/publication.ts';
import { type Partition, partitionOf } from '../regions.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { noImage, noSnapshot, type Question } from './probe.ts';
import type { Findings } from './problem.ts';
import { type Locks, removalObstacle } from './removal.ts';

/**
 * What AMIs of one image have in common over the times that it is baked: the source AMI's name, with every run of digits
 * (dates, versions, build numbers) as one. `golden-2026-11-23-v7` and `golden-2026-12-01-v8` are of one lineage.
 */
export function lineageOf({ Name = '' }: Image): string {
  return Name.replace(/\d+/g, '#');
}

/**
 * AMIs of a lineage in a target: the newest, those that are to go if nothing uses them, and those that would go but for
 * what AWS lets not be removed.
 */
export type Retention = Readonly<{
  keep: readonly Image[];
  remove: readonly Image[];
  held: readonly Readonly<{ image: Image; why: string }>[];
}>;

export type RetentionFacts = Readonly<{
  count: number;
  lineage: string;
  /** The name that the new AMI gets, by which AMIs without the lineage's tag are told. */
  name: string;
  /** AMIs that this action made. */
  existing: readonly Image[];
  reused: Image | undefined;
  locks: Locks;
}>;

/**
 * Which of `existing` are of the lineage and beyond its newest `count`. The AMI that is to be made, or reused, counts as
 * the newest.
 */
export function planRetention({ count, lineage, name, existing, reused, locks }: RetentionFacts): Retention {
  const others = existing
    .filter(({ ImageId, State }) => ImageId !== reused?.ImageId && (State === 'available' || State === 'disabled'))
    .filter(
      (image) =>
        (tagValue(image, tagKeys.lineage) ?? lineageOf(image)) === lineage ||
        lineageOf(image) === lineageOf({ Name: name }),
    )
    // An AMI bears a lease while it is being made.
    .filter((image) => tagValue(image, tagKeys.lease) === undefined && !isEncryptedCopy(image))
    .sort((a, b) => (b.CreationDate ?? '').localeCompare(a.CreationDate ?? ''));
  const beyond = others.slice(count - 1).map((image) => ({ image, why: removalObstacle(image, locks)?.why }));
  return {
    keep: others.slice(0, count - 1),
    remove: beyond.flatMap(({ image, why }) => (why === undefined ? [image] : [])),
    held: beyond.flatMap(({ image, why }) => (why === undefined ? [] : [{ image, why }])),
  };
}

/** How far back versions of a launch template are looked through: the most that AWS takes. */
const templateVersions = '10000';

/**
 * What uses each of `images` in the account and region: instances in any state, launch templates (and so Auto Scaling
 * groups that launch by one), SSM parameters, Image Builder recipes.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-ami-references.html
 * @throws AwsCallError where it can't be told, so that nothing is taken for unused
 */
export async function usersOf(
  place: Place,
  ids: readonly string[],
  warn: (what: string) => void,
): Promise<Map<string, string[]>> {
  /** Not every partition has each of these; instances are told everywhere. */
  const whereKnown = async (kind: string, read: () => Promise<void>): Promise<void> => {
    try {
      await read();
    } catch (error) {
      if (!isUnknownAction(error)) throw error;
      warn(`AWS doesn't tell ${kind} here, so that keeps no AMI`);
    }
  };
  const users = new Map<string, string[]>();
  const note = (id: string | undefined, user: string | undefined) => {
    if (id === undefined || user === undefined || !ids.includes(id)) return;
    // An instance or a launch template is told by its ID here and by its ARN there.
    const name = user.replace(/^arn:.+:(instance|launch-template)\//, '');
    users.set(id, [...new Set([...(users.get(id) ?? []), name])]);
  };
  if (ids.length === 0) return users;
  const filter = [{ Name: 'image-id', Values: [...ids] }];
  await Promise.all([
    (async () => {
      for (let token: string | undefined; ; ) {
        const page = await place.ec2(new DescribeInstancesCommand({ Filters: filter, NextToken: token }));
        for (const { Instances } of page.Reservations ?? [])
          for (const { ImageId, InstanceId, State } of Instances ?? [])
            if (State?.Name !== 'terminated') note(ImageId, InstanceId);
        token = page.NextToken;
        if (!token) return;
      }
    })(),
    whereKnown('which launch templates use an AMI', async () => {
      for (let token: string | undefined; ; ) {
        const page = await place.ec2(
          new DescribeLaunchTemplateVersionsCommand({
            Versions: ['$Latest', '$Default'],
            Filters: filter,
            NextToken: token,
          }),
        );
        for (const { LaunchTemplateData, LaunchTemplateId } of page.LaunchTemplateVersions ?? [])
          note(LaunchTemplateData?.ImageId, LaunchTemplateId);
        token = page.NextToken;
        if (!token) return;
      }
    }),
    whereKnown('what else refers to an AMI (DescribeImageReferences)', () => noteReferences(place, ids, note)),
  ]);
  return users;
}

async function noteReferences(
  place: Place,
  ids: readonly string[],
  note: (id: string | undefined, user: string | undefined) => void,
): Promise<void> {
  // At most ten at once: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-ami-references.html
  for (let start = 0; start < ids.length; start += 10) {
    for (let token: string | undefined; ; ) {
      const page = await place.ec2(
        new DescribeImageReferencesCommand({
          ImageIds: ids.slice(start, start + 10),
          ResourceTypes: [
            { ResourceType: 'ec2:Instance' },
            {
              ResourceType: 'ec2:LaunchTemplate',
              ResourceTypeOptions: [{ OptionName: 'version-depth', OptionValues: [templateVersions] }],
            },
            { ResourceType: 'ssm:Parameter' },
            { ResourceType: 'imagebuilder:ImageRecipe' },
            { ResourceType: 'imagebuilder:ContainerRecipe' },
          ],
          NextToken: token,
        }),
      );
      for (const { ImageId, Arn } of page.ImageReferences ?? []) note(ImageId, Arn);
      token = page.NextToken;
      if (!token) break;
    }
  }
}

/** What publishing will ask of EC2, as questions for preflight. No resource has these IDs. */
export function publishQuestions(publication: Publication, place: Place, partition: Partition): Question[] {
  const { deprecateAfter, deregistrationProtection, fastSnapshotRestore, launchPermissions, retain } = publication;
  const images = [`arn:${partition}:ec2:*::image/*`];
  const questions: Question[] = [];
  const add = (action: string, resources: readonly string[], call: () => Promise<unknown>) =>
    questions.push({ action, resources, call });
  if (deprecateAfter !== undefined) {
    const DeprecateAt = new Date(place.clock.now() + 86_400_000);
    add('EnableImageDeprecation', images, () =>
      place.ec2(new EnableImageDeprecationCommand({ ImageId: noImage, DeprecateAt, DryRun: true })),
    );
  }
  if (deregistrationProtection !== 'off')
    add('EnableImageDeregistrationProtection', images, () =>
      place.ec2(new EnableImageDeregistrationProtectionCommand({ ImageId: noImage, DryRun: true })),
    );
  if (launchPermissions.length > 0) {
    const LaunchPermission = { Add: [...launchPermissions] };
    add('ModifyImageAttribute', images, () =>
      place.ec2(new ModifyImageAttributeCommand({ ImageId: noImage, LaunchPermission, DryRun: true })),
    );
  }
  if (fastSnapshotRestore === 'all' || fastSnapshotRestore.length > 0) {
    const AvailabilityZones = [`${place.region}a`];
    add('EnableFastSnapshotRestores', [`arn:${partition}:ec2:*::snapshot/*`], () =>
      place.ec2(
        new EnableFastSnapshotRestoresCommand({ AvailabilityZones, SourceSnapshotIds: [noSnapshot], DryRun: true }),
      ),
    );
    add('DescribeAvailabilityZones', ['*'], () => place.ec2(new DescribeAvailabilityZonesCommand({ DryRun: true })));
  }
  if (retain !== undefined) {
    add('DescribeInstances', ['*'], () => place.ec2(new DescribeInstancesCommand({ DryRun: true })));
    add('DescribeLaunchTemplateVersions', ['*'], () =>
      place.ec2(new DescribeLaunchTemplateVersionsCommand({ Versions: ['$Latest'], DryRun: true })),
    );
    add('DescribeImageReferences', ['*'], () =>
      place.ec2(
        new DescribeImageReferencesCommand({ ImageIds: [noImage], IncludeAllResourceTypes: true, DryRun: true }),
      ),
    );
  }
  return questions;
}

/** Whether the parameter can be set to an AMI's ID, as far as reading it tells; what stands in the way is a finding. */
export async function checkParameter(place: Place, name: string, findings: Findings): Promise<void> {
  const where = placeName(place);
  try {
    const { Parameter } = await place.ssm(new GetParameterCommand({ Name: name }));
    if (Parameter?.Type !== undefined && Parameter.Type !== 'String')
      findings.add(
        where,
        `the SSM parameter ${name} is a ${Parameter.Type}; an AMI's ID takes a String`,
        'give another ssm-parameter, or delete that one',
      );
  } catch (error) {
    if (hasCode(error, 'ParameterNotFound')) return;
    if (!isDenied(error) || !(error instanceof AwsCallError)) throw error;
    const resource = `arn:${partitionOf(place.region)}:ssm:${place.region}:${place.account}:parameter/${name.replace(/^\//, '')}`;
    findings.add(
      where,
      `the target role may not read the SSM parameter ${name}: ${error.awsMessage}`,
      `add to its policy: ${JSON.stringify({ Effect: 'Allow', Action: ['ssm:GetParameter', 'ssm:PutParameter', 'ssm:DeleteParameter', 'ssm:AddTagsToResource'], Resource: resource })}`,
    );
  }
}
