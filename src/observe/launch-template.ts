import type { Place } from '../aws/clients.ts';
import { lackOf } from '../aws/denial.ts';
import { AwsCallError, errorMessage, isDenied, placeName } from '../aws/errors.ts';
import { readTemplate, templateVersions } from '../aws/launch-template.ts';
import { isLaunchTemplate, type LaunchTemplateInput, launchTemplateForm } from '../inputs/publication.ts';
import type { LaunchTemplate } from '../plan/facts.ts';
import type { Findings } from '../plan/problem.ts';

/** How many versions AWS keeps: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/launch-template-restrictions.html */
const maxVersions = 10_000;

/** What is asked for in a target, filled in; and the SSM parameter that is set there. */
type Asked = LaunchTemplateInput & Readonly<{ parameter: string | undefined }>;

/**
 * The launch template that is to get a version with the AMI; undefined where it needs none, since it resolves the SSM
 * parameter that is set, and where something stands in the way, which is a finding.
 */
export async function readLaunchTemplate(
  place: Place,
  { template, sourceVersion, makesDefault, parameter }: Asked,
  { role, findings }: Readonly<{ role: string; findings: Findings }>,
): Promise<LaunchTemplate | undefined> {
  const where = placeName(place);
  if (!isLaunchTemplate(template)) {
    findings.add(where, `${JSON.stringify(template)}: ${launchTemplateForm}`, 'correct launch-template');
    return undefined;
  }
  try {
    const read = await readTemplate(place, template, sourceVersion);
    const { id, latest, source, defaultVersion: formerDefault } = read;
    const resolved = parameterIn(source.imageId);
    if (resolved !== undefined) {
      const other = makesDefault && parameterIn(read.defaultImage) !== resolved ? formerDefault : undefined;
      tellResolved({ where, template, resolved, parameter, other }, findings);
      return undefined;
    }
    // Deleted versions don't count, and their numbers aren't given again.
    const isFull = latest >= maxVersions && (await templateVersions(place, id)).length >= maxVersions;
    if (isFull)
      findings.add(
        where,
        `the launch template ${template} has ${maxVersions} versions, which is the most that AWS keeps`,
        'delete versions that nothing launches by (aws ec2 delete-launch-template-versions)',
      );
    return { id, sourceVersion, latest, makesDefault, formerDefault };
  } catch (error) {
    if (!(error instanceof AwsCallError)) throw error;
    tellUnread({ where, template, sourceVersion, role }, error, findings);
    return undefined;
  }
}

/**
 * What a version resolves at each launch in place of an AMI's ID: `resolve:ssm:name`, with `:version` or `:label`, or the
 * ARN of another account's parameter.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-launch-template.html#use-an-ssm-parameter-instead-of-an-ami-id
 */
function parameterIn(imageId: string | undefined): string | undefined {
  return /^resolve:ssm:(.+)$/.exec(imageId ?? '')?.[1];
}

type Resolving = Readonly<{
  where: string;
  template: string;
  resolved: string;
  parameter: string | undefined;
  /** The default version, where that is to launch the AMI and is another one. */
  other: number | undefined;
}>;

function tellResolved({ where, template, resolved, parameter, other }: Resolving, findings: Findings): void {
  const what = `the launch template ${template} resolves the SSM parameter ${resolved}`;
  // As AWS takes it, /golden and golden are two names, though an ARN shows them alike.
  if (resolved === parameter && other !== undefined)
    findings.add(
      where,
      `${what}, but launches by default by version ${other}, which gets no AMI (launch-template-default)`,
      'make the version that resolves the parameter the default one (aws ec2 modify-launch-template --default-version), or leave launch-template out',
    );
  else if (resolved === parameter) findings.warn(where, `${what}, which is set to the AMI, so it needs no version`);
  else
    findings.add(
      where,
      `${what}, so it needs no version: it launches what that parameter holds, which this run doesn't set`,
      `set ssm-parameter to a parameter that the template resolves at its newest value, and leave launch-template out; or name a launch-template-source-version that has an AMI's ID`,
    );
}

type Unread = Readonly<{ where: string; template: string; sourceVersion: string; role: string }>;

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html has InvalidLaunchTemplateId and -Name. */
function tellUnread({ where, template, sourceVersion, role }: Unread, error: AwsCallError, findings: Findings): void {
  const told = errorMessage(error);
  if (isDenied(error)) {
    const action = 'ec2:DescribeLaunchTemplateVersions';
    const { what, remedy } = lackOf({ role, side: 'target', action, resources: ['*'], words: error.awsMessage });
    findings.add(where, what, remedy);
  } else if (error.code === 'InvalidLaunchTemplateId.VersionNotFound')
    findings.add(
      where,
      `the launch template ${template} has no version ${sourceVersion}: ${error.awsMessage}`,
      'correct launch-template-source-version',
    );
  else if (/^InvalidLaunchTemplate(Id|Name)\./.test(error.code))
    findings.add(
      where,
      `there is no launch template ${template}: ${told}`,
      'create it in that account and region, or correct launch-template',
    );
  else throw error;
}
