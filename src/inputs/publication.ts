import type { LaunchPermission } from '@aws-sdk/client-ec2';
import type { Partition } from '../regions.ts';
import { fill, needsSourceImage, shortestSource, shortestTarget, unknownPlaceholders } from '../template.ts';
import { type Boot, readBoot } from './boot.ts';
import { accountId, type Reader, type RunContext, runValues } from './reader.ts';

export type DeregistrationProtection = (typeof protections)[number];
const protections = ['off', 'on', 'on-with-cooldown'] as const;
const sharedOnes = ['keep', 'by-report'] as const;

/** What is done with a target AMI once it is verified. Templates still hold their placeholders. */
export type Publication = Readonly<{
  /** When the AMI is deprecated: so many days after the run, or at a moment. */
  deprecateAfter: Readonly<{ days: number }> | Readonly<{ at: Date }> | undefined;
  deregistrationProtection: DeregistrationProtection;
  /** Availability zones, as named or all of the region. */
  fastSnapshotRestore: readonly string[] | 'all';
  launchPermissions: readonly LaunchPermission[];
  grantKeyTo: readonly string[];
  ssmParameter: string | undefined;
  launchTemplate: LaunchTemplateInput | undefined;
  /** Whether those are set, and older AMIs go; else a later job of the workflow run does that. */
  promote: boolean;
  /** The test that it must pass before; undefined where there is none. */
  boot: Boot | undefined;
  /** The product line that the AMIs are of. */
  lineage: string | undefined;
  /** How many AMIs of the lineage stay, the new one among them. */
  retain: number | undefined;
  /** For how many days an AMI's successor must have been published before it goes. */
  retainDays: number;
  /** Whether an AMI that others may launch stays, or may go by what AWS's usage reports say. */
  retainShared: (typeof sharedOnes)[number];
}>;

export type LaunchTemplateInput = Readonly<{
  /** Its ID or its name, as a template. */
  template: string;
  /** A number, `$Latest` or `$Default`: the version that the new one takes everything from but the AMI. */
  sourceVersion: string;
  /** Whether the new version becomes the default one. */
  makesDefault: boolean;
}>;

export function readPublication(reader: Reader, partition: Partition, run: RunContext): Publication {
  const zones = reader.list('fast-snapshot-restore');
  for (const zone of zones.filter((zone) => zone !== 'all' && !/^[a-z]{2,3}(-[a-z]+)+-\d{1,2}[a-z]$/.test(zone)))
    reader.note('fast-snapshot-restore', zone, 'expected availability zones such as eu-west-1a, or all');
  return {
    deprecateAfter: readDeprecation(reader, run),
    deregistrationProtection: reader.oneOf('deregistration-protection', protections),
    fastSnapshotRestore: zones.includes('all') ? 'all' : zones,
    launchPermissions: reader.list('launch-permissions').flatMap((one) => readLaunch(reader, partition, one) ?? []),
    grantKeyTo: reader.list('grant-key-to').map((principal) => {
      reader.templateValue('grant-key-to', principal);
      const sample = fill(principal, { account: '0'.repeat(12), region: 'eu-west-1', ...runValues(run) });
      return reader.checked('grant-key-to', principal, {
        fits: () => needsSourceImage(principal) || principalArn(partition).test(sample),
        expected: `expected the ARN of a role, a user or an account root, such as arn:${partition}:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling`,
      });
    }),
    ssmParameter: readParameterName(reader, run),
    launchTemplate: readLaunchTemplate(reader, run),
    promote: reader.flag('promote'),
    boot: readBoot(reader, partition, run),
    ...readRetention(reader, run),
  };
}

function readRetention(
  reader: Reader,
  run: RunContext,
): Pick<Publication, 'lineage' | 'retain' | 'retainDays' | 'retainShared'> {
  const lineage = reader.templateValue('lineage', reader.optional('lineage'));
  const retain = reader.text('retain') === '' ? undefined : reader.whole('retain', 1, 10_000);
  const retainDays = reader.whole('retain-days', 0, 3650);
  const retainShared = reader.oneOf('retain-shared', sharedOnes);
  const asked = { retain, retainDays, retainShared };
  if (lineage === undefined && retain !== undefined)
    reader.note('lineage', '', 'is needed with retain, which counts the AMIs of one lineage');
  if (retain === undefined && retainDays > 0) reader.note('retain', '', 'is needed with retain-days');
  if (retain === undefined && retainShared === 'by-report')
    reader.note('retain', '', 'is needed with retain-shared: by-report');
  if (lineage === undefined) return { lineage, ...asked };
  const isNew = /\{(date|sha|run-id|source-ami)\}/.exec(lineage)?.[0];
  if (isNew !== undefined) reader.note('lineage', lineage, `${isNew} is another in each bake, and a lineage is not`);
  const sample = fill(lineage, { ...runValues(run), ...shortestTarget, ...shortestSource });
  if (unknownPlaceholders(lineage).length === 0) reader.checked('lineage', sample, isLineage);
  return { lineage, ...asked };
}

/**
 * As the value of a tag; in a filter, where `*`, `?` and a backslash would stand for others; and in a snapshot's description,
 * which takes no more than ASCII, as EC2's other descriptions do ("Character sets beyond ASCII are not supported"), and 255
 * characters (https://github.com/aws-samples/bottlerocket-images-cache/issues/8).
 */
export const isLineage = {
  fits: (text: string) => /^[A-Za-z0-9 _.:/=+@-]{1,128}$/.test(text),
  expected: 'expected at most 128 letters (A to Z), digits, spaces and _.:/=+@-',
};

/** The name of the SSM parameter, its placeholders still to fill. */
export function readParameterName(reader: Reader, run: RunContext): string | undefined {
  const template = reader.templateValue('ssm-parameter', reader.optional('ssm-parameter'));
  if (template === undefined || unknownPlaceholders(template).length > 0) return template;
  const problem = parameterNameProblem(fill(template, { ...runValues(run), ...shortestTarget, ...shortestSource }));
  if (problem !== undefined) reader.note('ssm-parameter', template, problem);
  return template;
}

/** The ID or the name of the launch template, its placeholders still to fill. */
export function readTemplateName(reader: Reader, run: RunContext): string | undefined {
  const template = reader.templateValue('launch-template', reader.optional('launch-template'));
  if (template === undefined || unknownPlaceholders(template).length > 0) return template;
  const sample = fill(template, { ...runValues(run), ...shortestTarget, ...shortestSource });
  if (!isLaunchTemplate(sample)) reader.note('launch-template', template, launchTemplateForm);
  return template;
}

function readLaunchTemplate(reader: Reader, run: RunContext): LaunchTemplateInput | undefined {
  const sourceVersion = reader.checked(
    'launch-template-source-version',
    reader.text('launch-template-source-version'),
    {
      fits: (text) => /^(\$Latest|\$Default|[1-9]\d{0,8})$/.test(text),
      expected: "expected a version's number, $Latest or $Default",
    },
  );
  const makesDefault = reader.flag('launch-template-default');
  const template = readTemplateName(reader, run);
  return template === undefined ? undefined : { template, sourceVersion, makesDefault };
}

/** What names a launch template: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html */
export const launchTemplateForm =
  "expected a launch template's ID (lt-…), or its name: 3 to 128 letters, digits and ().-/_";

/** Whether a text can be the ID or the name of a launch template. */
export function isLaunchTemplate(text: string): boolean {
  return /^[a-zA-Z0-9().\-/_]{3,128}$/.test(text);
}

/** A name is in an ARN of so many characters: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html */
const maxParameterName = 1011;
const maxLevels = 15;

/**
 * What AWS takes for no name of a parameter, or undefined; `name` is filled in.
 * https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
 */
export function parameterNameProblem(name: string): string | undefined {
  if (/^\/?(aws|ssm)/i.test(name)) return 'names that begin with aws or ssm, after a slash too, are reserved';
  if (!/^\/?[\w.-]+(\/[\w.-]+)*$/.test(name))
    return 'the name of an SSM parameter has letters, digits and _.- in it, and single slashes between its levels';
  if (name.includes('/') && !name.startsWith('/'))
    return 'a name with levels begins with a slash, such as /golden/latest';
  if (name.length > maxParameterName) return `a name has at most ${maxParameterName} characters`;
  return name.split('/').length - 1 > maxLevels ? `a name has at most ${maxLevels} levels` : undefined;
}

function principalArn(partition: Partition): RegExp {
  return new RegExp(
    `^arn:${partition}:(iam::\\d{12}:(root|(role|user)/[\\w+=,.@/-]+)|sts::\\d{12}:assumed-role/[\\w+=,.@/-]+)$`,
  );
}

/** `90d`, or a moment as RFC 3339 has it. AWS takes up to ten years: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableImageDeprecation.html */
function readDeprecation(reader: Reader, run: RunContext): Publication['deprecateAfter'] {
  const text = reader.optional('deprecate-after');
  if (text === undefined) return undefined;
  const days = /^(\d{1,4})d$/.exec(text)?.[1];
  const at = days === undefined ? Date.parse(text) : run.date.getTime() + Number(days) * 86_400_000;
  const isTime =
    days !== undefined || /^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d))?$/.test(text);
  if (!isTime || Number.isNaN(at)) {
    reader.note('deprecate-after', text, 'expected days such as 90d, or a moment such as 2027-06-30T00:00:00Z');
  } else if (at <= run.date.getTime() || at > run.date.getTime() + 3650 * 86_400_000) {
    reader.note('deprecate-after', text, 'expected a time in the future, ten years ahead at most');
  }
  return days === undefined ? { at: new Date(at) } : { days: Number(days) };
}

function readLaunch(reader: Reader, partition: Partition, one: string): LaunchPermission | undefined {
  if (accountId.test(one)) return { UserId: one };
  const organizations = `^arn:${partition}:organizations::\\d{12}:`;
  if (new RegExp(`${organizations}organization/o-[a-z0-9]{10,32}$`).test(one)) return { OrganizationArn: one };
  if (new RegExp(`${organizations}ou/o-[a-z0-9]{10,32}/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}$`).test(one))
    return { OrganizationalUnitArn: one };
  const all = /^(all|public|\*)$/i.test(one);
  reader.note(
    'launch-permissions',
    one,
    all
      ? 'an AMI with encrypted snapshots cannot be made public'
      : 'expected an account ID, or the ARN of an organization or an organizational unit',
  );
  return undefined;
}
