import { GetParametersCommand } from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { type TemplateVersionFacts, templateVersions, versionsPerCall } from '../aws/launch-template.ts';
import { partsOf } from '../parts.ts';

/*
 * What whoever recalls an AMI has to type: for each use, the command of the AWS CLI that ends it. `REPLACEMENT` in it stands
 * for the ID of another AMI.
 */

/** A command of the AWS CLI, `service action options`, in the region. */
export function aws({ region }: Place, command: string): string {
  const [service, action, ...options] = command.split(' ');
  return ['aws', service, action, '--region', region, ...options].join(' ');
}

/** One word for a shell, whatever somebody named a resource. */
function quoted(text: string): string {
  return /^[\w./:@=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

type Command = (place: Place, name: string, id: string) => string | Promise<string>;

/** By what a user is called, as `usersOf` names it. */
const commands: readonly (readonly [RegExp, Command])[] = [
  [/^(i-[0-9a-f]+)$/, (place, name) => aws(place, `ec2 terminate-instances --instance-ids ${name}`)],
  [/^(lt-[0-9a-f]+)$/, commandForTemplate],
  [
    /^the launch configuration (.+)$/,
    (place, name) =>
      `${aws(place, 'autoscaling delete-launch-configuration --launch-configuration-name')} ${quoted(name)}`,
  ],
  // Whatever the group launches by, a version, overrides or a parameter, a refresh would launch by that again.
  [
    /^the Auto Scaling group (.+)$/,
    (place, name) =>
      `${aws(place, 'autoscaling suspend-processes --scaling-processes Launch --auto-scaling-group-name')} ${quoted(name)}`,
  ],
  [/^arn:[^:]+:ssm:[^:]*:\d+:parameter\/(.+)$/, commandForParameter],
  [
    /^(arn:[^:]+:imagebuilder:.+:image-recipe\/.+)$/,
    (place, name) => `${aws(place, 'imagebuilder delete-image-recipe --image-recipe-arn')} ${quoted(name)}`,
  ],
  [
    /^(arn:[^:]+:imagebuilder:.+:container-recipe\/.+)$/,
    (place, name) => `${aws(place, 'imagebuilder delete-container-recipe --container-recipe-arn')} ${quoted(name)}`,
  ],
  [
    /^(others), /,
    (place, _, id) => aws(place, `ec2 reset-image-attribute --image-id ${id} --attribute launchPermission`),
  ],
];

/** The command that ends a use of an AMI, by what `usersOf` calls the user. @throws AwsCallError */
export async function commandFor(place: Place, by: string, id: string): Promise<string> {
  for (const [pattern, command] of commands) {
    const [, name] = pattern.exec(by) ?? [];
    if (name !== undefined) return command(place, name, id);
  }
  // Whatever else AWS comes to tell of, this says more.
  return aws(place, `ec2 describe-image-references --image-ids ${id} --include-all-resource-types`);
}

/**
 * Deletes the versions of a launch template that name the AMI. The default version can't be deleted, and without the latest
 * one `$Latest` would mean an older one, so that a version like either comes first, with another AMI.
 */
async function commandForTemplate(place: Place, template: string, id: string): Promise<string> {
  const all = await templateVersions(place, template);
  const naming = all.filter(({ imageId }) => imageId === id);
  if (naming.length === 0) return commandForResolved(place, { template, id, all });
  const numbers = naming.map(({ number }) => number);
  const gone = partsOf(numbers, versionsPerCall).map((some) =>
    aws(place, `ec2 delete-launch-template-versions --launch-template-id ${template} --versions ${some.join(' ')}`),
  );
  const launching = naming.find(({ isDefault }) => isDefault);
  if (launching !== undefined) return [newDefault(place, template, launching.number), ...gone].join(' && ');
  const newest = Math.max(...all.map(({ number }) => number));
  const first = numbers.includes(newest) ? [aws(place, newVersion(template, newest))] : [];
  return [...first, ...gone].join(' && ');
}

function newVersion(template: string, source: number): string {
  return `ec2 create-launch-template-version --launch-template-id ${template} --source-version ${source} --launch-template-data ImageId=REPLACEMENT`;
}

function newDefault(place: Place, template: string, source: number): string {
  const number = `${newVersion(template, source)} --query LaunchTemplateVersion.VersionNumber --output text`;
  return aws(
    place,
    `ec2 modify-launch-template --launch-template-id ${template} --default-version "$(${aws(place, number)})"`,
  );
}

/** A launch template that names the AMI by a parameter; where that is a fixed version or label of it, by a new version. */
async function commandForResolved(
  place: Place,
  { template, id, all }: Readonly<{ template: string; id: string; all: readonly TemplateVersionFacts[] }>,
): Promise<string> {
  const named = all.flatMap(({ number, isDefault, imageId = '' }) => {
    const [, name] = /^resolve:ssm:(.+)$/.exec(imageId) ?? [];
    return name === undefined ? [] : [{ number, isDefault, name }];
  });
  const holding = await namesHolding(place, id, [...new Set(named.map(({ name }) => name))]);
  const using = named.filter(({ name }) => holding.includes(name));
  const last = using.find(({ isDefault }) => isDefault) ?? using.at(-1);
  if (last === undefined) return newDefault(place, template, Math.max(...all.map(({ number }) => number)));
  const [, bare = last.name, selector] = /^(.+?)(?::([^:/]+))?$/.exec(last.name) ?? [];
  return selector === undefined || bare.startsWith('arn:')
    ? commandForName(place, last.name)
    : newDefault(place, template, last.number);
}

/** Which of the names, or names with a version or a label, mean the AMI. @throws AwsCallError */
async function namesHolding(place: Place, id: string, names: readonly string[]): Promise<string[]> {
  const held: string[] = [];
  for (const name of names) {
    const { Parameters = [] } = await place.ssm(new GetParametersCommand({ Names: [name] }));
    if (Parameters.some(({ Value }) => Value === id)) held.push(name);
  }
  return held;
}

function commandForName(place: Place, name: string): string {
  return `${aws(place, 'ssm put-parameter --overwrite --value REPLACEMENT --name')} ${quoted(name)}`;
}

/** In an ARN, a name without a path looks like one that begins with a slash. */
async function commandForParameter(place: Place, name: string, id: string): Promise<string> {
  const absolute = `/${name}`;
  if (name.includes('/')) return commandForName(place, absolute);
  const [held = absolute] = await namesHolding(place, id, [name, absolute]);
  return commandForName(place, held);
}
