import {
  type AutoScalingGroup,
  DescribeAutoScalingGroupsCommand,
  DescribeLaunchConfigurationsCommand,
  type LaunchTemplateSpecification,
} from '@aws-sdk/client-auto-scaling';
import { DescribeLaunchTemplateVersionsCommand, type LaunchTemplateVersion } from '@aws-sdk/client-ec2';
import { GetParametersCommand, type Parameter } from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { pages } from '../aws/describe.ts';
import { hasCode } from '../aws/errors.ts';
import { joined } from '../join.ts';
import { partsOf } from '../parts.ts';

/** Takes down that something uses an image. */
export type Note = (id: string | undefined, user: string | undefined) => void;

/**
 * What Auto Scaling launches images by: launch configurations, and the versions of launch templates that groups name, in
 * their overrides too, which need be neither the latest nor the default ones.
 */
export async function noteGroups(place: Place, note: Note): Promise<void> {
  const known = new Map<string, Promise<readonly LaunchTemplateVersion[]>>();
  /** Many groups name the same versions. */
  const versions: Versions = (id, of) => {
    const key = JSON.stringify([id, of]);
    const read = known.get(key) ?? versionsOf(place, id, of);
    known.set(key, read);
    return read;
  };
  await joined([
    noteConfigurations(place, note),
    readGroups(place).then((groups) => joined(groups.map((group) => noteGroup(place, group, { note, versions })))),
  ]);
}

async function noteConfigurations({ autoScaling }: Place, note: Note): Promise<void> {
  const configurations = await pages(async (NextToken) => {
    const page = await autoScaling(new DescribeLaunchConfigurationsCommand({ NextToken }));
    return { items: page.LaunchConfigurations ?? [], next: page.NextToken };
  });
  for (const { ImageId, LaunchConfigurationName } of configurations)
    note(ImageId, `the launch configuration ${LaunchConfigurationName}`);
}

function readGroups({ autoScaling }: Place): Promise<AutoScalingGroup[]> {
  return pages(async (NextToken) => {
    const page = await autoScaling(new DescribeAutoScalingGroupsCommand({ NextToken, MaxRecords: 100 }));
    return { items: page.AutoScalingGroups ?? [], next: page.NextToken };
  });
}

/** The versions of a launch template, by their numbers or `$Latest`, `$Default`. */
type Versions = (templateId: string, versions: readonly string[]) => Promise<readonly LaunchTemplateVersion[]>;

async function noteGroup(
  place: Place,
  group: AutoScalingGroup,
  { note, versions }: Readonly<{ note: Note; versions: Versions }>,
): Promise<void> {
  const name = `the Auto Scaling group ${group.AutoScalingGroupName}`;
  const { LaunchTemplate: mixed } = group.MixedInstancesPolicy ?? {};
  const overrides = mixed?.Overrides ?? [];
  for (const { ImageId } of overrides) note(ImageId, name);
  const named = [group.LaunchTemplate, mixed?.LaunchTemplateSpecification, ...overrides.map(specificationOf)];
  const wanted = named.filter((one) => one?.LaunchTemplateId !== undefined);
  const byTemplate = Map.groupBy(wanted, (one) => one?.LaunchTemplateId ?? '');
  for (const [id, specifications] of byTemplate) {
    // Without a version, it is the default one: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LaunchTemplateSpecification.html
    const numbers = [...new Set(specifications.map((one) => one?.Version ?? '$Default'))].sort();
    await noteVersions(place, await versions(id, numbers), (imageId) => note(imageId, name));
  }
}

const specificationOf = ({
  LaunchTemplateSpecification: named,
}: {
  LaunchTemplateSpecification?: LaunchTemplateSpecification | undefined;
}) => named;

async function versionsOf(
  place: Place,
  LaunchTemplateId: string,
  versions: readonly string[],
): Promise<readonly LaunchTemplateVersion[]> {
  try {
    const { LaunchTemplateVersions = [] } = await place.ec2(
      new DescribeLaunchTemplateVersionsCommand({ LaunchTemplateId, Versions: [...versions] }),
    );
    return LaunchTemplateVersions;
  } catch (error) {
    // A group may name a template or a version that is gone: it launches nothing by that.
    if (!hasCode(error, 'InvalidLaunchTemplateId.NotFound', 'InvalidLaunchTemplateId.VersionNotFound')) throw error;
    // One that is gone hides the others.
    const each = versions.length > 1 ? versions : [];
    return (await joined(each.map((one) => versionsOf(place, LaunchTemplateId, [one])))).flat();
  }
}

/**
 * The images of versions of launch templates, those that SSM parameters name among them, with a version or a label too:
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
 */
export async function noteVersions(
  { ssm }: Place,
  versions: readonly LaunchTemplateVersion[],
  note: (imageId: string | undefined, templateId: string | undefined) => void,
): Promise<void> {
  const byParameter = new Map<string, (string | undefined)[]>();
  for (const { LaunchTemplateData, LaunchTemplateId } of versions) {
    const { ImageId = '' } = LaunchTemplateData ?? {};
    const [, parameter] = /^resolve:ssm:(.+)$/.exec(ImageId) ?? [];
    if (parameter === undefined) note(ImageId, LaunchTemplateId);
    else byParameter.set(parameter, [...(byParameter.get(parameter) ?? []), LaunchTemplateId]);
  }
  const names = [...byParameter.keys()];
  for (const Names of partsOf(names, 10)) {
    // What isn't there any more is told apart, and launches nothing.
    const { Parameters = [] } = await ssm(new GetParametersCommand({ Names }));
    for (const parameter of Parameters) {
      const templates = askedFor(parameter, names).flatMap((name) => byParameter.get(name) ?? []);
      for (const template of templates) note(parameter.Value, template);
    }
  }
}

/** By which of the names a parameter was asked for: all that may be meant where AWS doesn't tell the version or the label. */
function askedFor({ Name, ARN, Selector = '' }: Parameter, names: readonly string[]): readonly string[] {
  const own = names.filter((name) => [Name, ARN].some((one) => name === one || name.startsWith(`${one}:`)));
  const selected = own.filter((name) =>
    [Name, ARN].some((one) => name === (Selector === '' ? one : `${one}:${Selector.replace(/^:/, '')}`)),
  );
  return selected.length > 0 ? selected : own;
}
