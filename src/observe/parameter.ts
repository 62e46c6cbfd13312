import { GetParameterCommand } from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { statement } from '../aws/denial.ts';
import { AwsCallError, hasCode, isDenied, placeName } from '../aws/errors.ts';
import { parametersFor, templateFirst } from '../aws/template-parameters.ts';
import { parameterNameProblem } from '../inputs/publication.ts';
import type { Findings } from '../plan/problem.ts';
import { partitionOf } from '../regions.ts';

/** What setting a parameter takes, and putting it back. */
const settingActions = ['ssm:GetParameter', 'ssm:PutParameter', 'ssm:DeleteParameter', 'ssm:AddTagsToResource'];

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
  } catch (error) {
    if (hasCode(error, 'ParameterNotFound')) return;
    if (!isDenied(error) || !(error instanceof AwsCallError)) throw error;
    const resource = `arn:${partitionOf(place.region)}:ssm:${place.region}:${place.account}:parameter/${name.replace(/^\//, '')}`;
    findings.add(
      where,
      `the target role is not allowed to read the SSM parameter ${name}: ${error.awsMessage}`,
      templateFirst(
        parametersFor({ side: 'target', action: 'ssm:GetParameter', resources: [resource] }),
        `add to its policy: ${statement(settingActions, [resource])}`,
      ),
    );
  }
}
