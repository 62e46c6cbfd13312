import { tagPolicyCode } from './denial.ts';
import { AwsCallError, errorMessage, hasCode, isDenialCode } from './errors.ts';

/**
 * What AWS says when it is asked beforehand whether a call may be made. `not told`: it refused for another reason, which
 * may come before or after it looks at permissions, or it took a dry run for a call.
 */
export type Verdict = Readonly<{ is: 'may' | 'may not' | 'not told'; words: string }>;

/** Asks by a read, or by a dry run, which always ends in an error. @throws what isn't AWS's answer */
export async function ask(call: () => Promise<unknown>, dry: boolean): Promise<Verdict> {
  try {
    await call();
    return dry ? { is: 'not told', words: 'the endpoint took the dry run for a call' } : { is: 'may', words: '' };
  } catch (error) {
    if (!(error instanceof AwsCallError)) throw error;
    return verdictOf(error);
  }
}

/**
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html (DryRun) and
 * https://docs.aws.amazon.com/kms/latest/developerguide/testing-permissions.html
 */
export function verdictOf(error: AwsCallError): Verdict {
  const words = errorMessage(error.cause);
  if (hasCode(error, 'DryRunOperation', 'DryRunOperationException')) return { is: 'may', words };
  const isDenied = isDenialCode(error.code) || error.code === tagPolicyCode;
  return { is: isDenied ? 'may not' : 'not told', words: `${error.code}: ${words}` };
}
