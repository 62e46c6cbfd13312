import {
  DescribeImageReferencesCommand,
  DescribeInstancesCommand,
  DescribeLaunchTemplateVersionsCommand,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { pages, valuesPerFilter } from '../aws/describe.ts';
import { isAbsent, isUnknownAction } from '../aws/errors.ts';
import { launchPermissionsOf } from '../aws/shares.ts';
import { joined } from '../join.ts';
import { partsOf } from '../parts.ts';
import type { Use, Users } from '../plan/facts.ts';
import { launcherName } from '../plan/usage-report.ts';
import { listed } from '../words.ts';
import { type Note, noteGroups, noteVersions } from './groups.ts';

/** How far back versions of a launch template are looked through: the most that AWS takes. */
const templateVersions = '10000';

/** Told which kind of use could not be read, and why. */
export type Unread = (kind: string, error: unknown) => void;

/** Not every partition tells of each kind; whatever else can't be read throws, so that nothing is taken for unused. */
export function whereKnown(warn: (what: string) => void): Unread {
  return (kind, error) => {
    if (!isUnknownAction(error)) throw error;
    warn(`AWS doesn't tell ${kind} here, so that keeps no AMI`);
  };
}

/**
 * What uses each of `images` in the account and region: instances in any state, launch templates, Auto Scaling groups and
 * launch configurations, SSM parameters, Image Builder recipes; and who else may launch it. Of what can't be read, `unread`
 * is told, and decides by throwing whether all else is of use.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-ami-references.html
 */
export async function usersOf(place: Place, ids: readonly string[], unread: Unread): Promise<Users> {
  const reading = async (kind: string, read: () => Promise<unknown>): Promise<void> => {
    try {
      await read();
    } catch (error) {
      unread(kind, error);
    }
  };
  const users = new Map<string, Use[]>();
  const note: Note = (id, user) => {
    if (id === undefined || user === undefined || !ids.includes(id)) return;
    // An instance or a launch template is told by its ID here and by its ARN there.
    const by = user.replace(/^arn:.+:(instance|launch-template)\//, '');
    const known = users.get(id) ?? [];
    if (known.some((use) => use.by === by)) return;
    // A running instance launches nothing.
    users.set(id, [...known, { by, launches: !by.startsWith('i-') }]);
  };
  if (ids.length === 0) return users;
  await joined([
    reading('which instances use an AMI', () => noteInstances(place, ids, note)),
    reading('which launch templates use an AMI', async () => {
      for (const some of partsOf(ids, idsPerFilter)) {
        const versions = await pages(async (NextToken) => {
          const page = await place.ec2(templatesUsing(some, NextToken));
          return { items: page.LaunchTemplateVersions ?? [], next: page.NextToken };
        });
        await noteVersions(place, versions, note);
      }
    }),
    reading('what Auto Scaling launches', () => noteGroups(place, note)),
    reading('who else may launch an AMI', () =>
      joined(
        ids.map(async (id) => {
          const others = await othersOf(place, id);
          const by = `others, who may launch it (${listed(others)})`;
          if (others.length > 0) users.set(id, [...(users.get(id) ?? []), { by, launches: false, others }]);
        }),
      ),
    ),
    reading('what else refers to an AMI (DescribeImageReferences)', () => noteReferences(place, ids, note)),
  ]);
  return users;
}

/** With room for one value more. */
const idsPerFilter = valuesPerFilter - 1;

/** Asks which instances are of images, fewer than a filter takes. */
export function instancesOf(ids: readonly string[], NextToken?: string): DescribeInstancesCommand {
  return new DescribeInstancesCommand({ Filters: [{ Name: 'image-id', Values: [...ids] }], NextToken });
}

/** Asks which launch templates name images. */
export function templatesUsing(ids: readonly string[], NextToken?: string): DescribeLaunchTemplateVersionsCommand {
  // What an SSM parameter names is known by that parameter's value only.
  const Filters = [{ Name: 'image-id', Values: [...ids, 'resolve:ssm:*'] }];
  return new DescribeLaunchTemplateVersionsCommand({ Versions: ['$Latest', '$Default'], Filters, NextToken });
}

/** Asks what else refers to images, at most ten: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-ami-references.html */
export function referencesTo(ImageIds: readonly string[], NextToken?: string): DescribeImageReferencesCommand {
  return new DescribeImageReferencesCommand({
    ImageIds: [...ImageIds],
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
    NextToken,
  });
}

async function noteInstances(place: Place, ids: readonly string[], note: Note): Promise<void> {
  for (const some of partsOf(ids, idsPerFilter)) {
    const reservations = await pages(async (NextToken) => {
      const page = await place.ec2(instancesOf(some, NextToken));
      return { items: page.Reservations ?? [], next: page.NextToken };
    });
    for (const { ImageId, InstanceId, State } of reservations.flatMap(({ Instances }) => Instances ?? []))
      if (State?.Name !== 'terminated') note(ImageId, InstanceId);
  }
}

/** Whom else an AMI is shared with: what they launch of it is not seen from here. */
async function othersOf(place: Place, ImageId: string): Promise<string[]> {
  const permissions = await launchPermissionsOf(place, ImageId).catch((error: unknown) => {
    // What was deregistered a moment ago is still found.
    if (isAbsent(error)) return [];
    throw error;
  });
  return permissions.map(launcherName).filter((name) => name !== place.account);
}

async function noteReferences(place: Place, ids: readonly string[], note: Note): Promise<void> {
  for (const some of partsOf(ids, 10)) {
    const references = await pages(async (NextToken) => {
      const page = await place.ec2(referencesTo(some, NextToken));
      return { items: page.ImageReferences ?? [], next: page.NextToken };
    });
    for (const { ImageId, Arn } of references) note(ImageId, Arn);
  }
}
