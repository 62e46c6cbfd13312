import { GetParameterCommand, GetParameterHistoryCommand, type ParameterHistory } from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { statement } from '../aws/denial.ts';
import { pages } from '../aws/describe.ts';
import { AwsCallError, hasCode, isDenied, isUnknownAction, placeName } from '../aws/errors.ts';
import { parametersFor, templateFirst } from '../aws/template-parameters.ts';
import { parameterNameProblem } from '../inputs/publication.ts';
import type { Findings } from '../plan/problem.ts';
import { partitionOf } from '../regions.ts';

/** What setting a parameter takes, and putting it back. */
const settingActions = [
  ...['ssm:GetParameter', 'ssm:GetParameterHistory', 'ssm:PutParameter', 'ssm:DeleteParameter'],
  'ssm:AddTagsToResource',
];

/** So many versions are kept: https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html */
const keptVersions = 100;

/** Whether the parameter can be set to an AMI's ID, as far as reading it tells; what stands in the way is a finding. */
export async function checkParameter(place: Place, name: string, findings: Findings): Promise<void> {
  const where = placeName(place);
  const problem = parameterNameProblem(name);
  if (problem !== undefined) {
    findings.add(where, `${JSON.stringify(name)} cannot name an SSM parameter: ${problem}`, 'correct ssm-parameter');
    return;
  }
  try {
    const { Parameter } = await place.ssm(new GetParameterCommand({ Name: name }));
    if (Parameter?.Type !== undefined && Parameter.Type !== 'String')
      findings.add(
        where,
        `the SSM parameter ${name} is a ${Parameter.Type}; an AMI's ID takes a String`,
        'give another ssm-parameter, or delete that one',
      );
    if ((Parameter?.Version ?? 0) >= keptVersions - 1) await checkRoomIn(place, name, findings);
  } catch (error) {
    if (hasCode(error, 'ParameterNotFound')) return;
    if (!isDenied(error) || !(error instanceof AwsCallError)) throw error;
    const { what, remedy } = lackOfRead(place, name, error);
    findings.add(where, what, remedy);
  }
}

function lackOfRead(place: Place, name: string, error: AwsCallError): { what: string; remedy: string } {
  const { account, region } = place;
  const resource = `arn:${partitionOf(region)}:ssm:${region}:${account}:parameter/${name.replace(/^\//, '')}`;
  return {
    what: `the target role is not allowed to read the SSM parameter ${name}: ${error.awsMessage}`,
    remedy: templateFirst(
      parametersFor({ side: 'target', action: `ssm:${error.action}`, resources: [resource] }),
      `add to its policy: ${statement(settingActions, [resource])}`,
    ),
  };
}

/**
 * A new version takes the place of the oldest, unless that has a label; one more is made where not all could be set.
 * https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html, ParameterMaxVersionLimitExceeded
 */
async function checkRoomIn(place: Place, name: string, findings: Findings): Promise<void> {
  const where = placeName(place);
  let versions: ParameterHistory[];
  try {
    versions = await pages(async (NextToken) => {
      const page = await place.ssm(new GetParameterHistoryCommand({ Name: name, MaxResults: 50, NextToken }));
      return { items: page.Parameters ?? [], next: page.NextToken };
    });
  } catch (error) {
    if (!(error instanceof AwsCallError) || !(isDenied(error) || isUnknownAction(error))) throw error;
    const { what, remedy } = lackOfRead(place, name, error);
    findings.warn(where, `${what}: if its oldest version has a label, AWS takes no new one. What to do: ${remedy}`);
    return;
  }
  const oldest = versions.toSorted((a, b) => (a.Version ?? 0) - (b.Version ?? 0));
  const going = oldest.slice(0, Math.max(0, versions.length + 2 - keptVersions));
  const at = going.findIndex(({ Labels = [] }) => Labels.length > 0);
  const kept = going[at];
  if (kept === undefined) return;
  const remedy = 'move the label to a newer version (aws ssm label-parameter-version)';
  const what = `the SSM parameter ${name} has ${versions.length} versions, and AWS keeps version ${kept.Version} for its label ${kept.Labels?.join(', ')}`;
  if (at <= versions.length - keptVersions) findings.add(where, `${what}; so it takes no new one`, remedy);
  else findings.warn(where, `${what}: should not all be set, this one can't be put back. What to do: ${remedy}`);
}
