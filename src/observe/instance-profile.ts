import { GetInstanceProfileCommand } from '@aws-sdk/client-iam';
import type { Place } from '../aws/clients.ts';
import { AwsCallError, explainLine, hasCode, placeName } from '../aws/errors.ts';
import { UntestableError } from '../plan/boot.ts';
import type { Findings } from '../plan/problem.ts';

/**
 * Whether an instance can be launched with an instance profile, by its name or ARN. Where AWS doesn't say, that is a warning:
 * the launch goes without this permission. What its role lets Systems Manager's agent do shows only once that runs.
 * @throws UntestableError where it can't
 */
export async function checkInstanceProfile(place: Place, named: string, findings: Findings): Promise<void> {
  const [, account, path] = /^arn:[^:]+:iam::(\d+):instance-profile\/(.+)$/.exec(named) ?? [];
  const name = path?.split('/').at(-1) ?? named;
  if (account !== undefined && account !== place.account)
    throw new UntestableError(`the instance profile ${named} is account ${account}'s`, correct);
  const found = await readProfile(place, name, findings);
  if (found === undefined) return;
  if (account !== undefined && found.Arn !== named)
    throw new UntestableError(`the instance profile ${name} is ${found.Arn}, not ${named}`, correct);
  // A profile holds one role at most, and may hold none:
  // https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_switch-role-ec2_instance-profiles.html
  if ((found.Roles ?? []).length === 0)
    throw new UntestableError(
      `the instance profile ${name} has no role`,
      `add one to it: aws iam add-role-to-instance-profile --instance-profile-name ${name} --role-name <role>`,
    );
}

const correct = 'correct boot-instance-profile';

async function readProfile(place: Place, name: string, findings: Findings) {
  try {
    return (await place.iam(new GetInstanceProfileCommand({ InstanceProfileName: name }))).InstanceProfile;
  } catch (error) {
    place.signal.throwIfAborted();
    if (hasCode(error, 'NoSuchEntity', 'NoSuchEntityException'))
      throw new UntestableError(`there is no instance profile ${name}`, correct);
    if (!(error instanceof AwsCallError)) throw error;
    const what = `whether there is an instance profile ${name} (boot-instance-profile) could not be asked`;
    findings.warn(placeName(place), `${what}: ${explainLine(error)}`);
    return undefined;
  }
}
