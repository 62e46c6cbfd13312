import {
  DescribeAvailabilityZonesCommand,
  DescribeImageReferencesCommand,
  DescribeInstancesCommand,
  DescribeLaunchTemplateVersionsCommand,
  EnableFastSnapshotRestoresCommand,
  EnableImageDeprecationCommand,
  EnableImageDeregistrationProtectionCommand,
  ModifyImageAttributeCommand,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import type { Publication } from '../inputs/publication.ts';
import type { Partition } from '../regions.ts';
import { noImage, noSnapshot, type Question } from './probe.ts';

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
