import type { Place } from '../aws/clients.ts';
import { AwsCallError, errorMessage, hasCode, isDenialCode, placeName } from '../aws/errors.ts';
import { statement } from '../aws/statement.ts';
import type { Findings } from './problem.ts';

/** What a dry run of a call tells of the caller's permission: `unknown` where AWS refuses for another reason. */
export type Verdict = Readonly<{ is: 'allowed' | 'denied' | 'unknown'; words: string }>;

/**
 * IDs that no resource has. A dry run on one says whether the caller's policies allow the action, and nothing happens
 * even at an endpoint that knows no dry runs: a denial comes before AWS looks whether there is such a resource
 * (https://stratus-red-team.cloud/attack-techniques/AWS/aws.discovery.ec2-download-user-data/ lives on it).
 */
export const noImage = 'ami-0fffffffffffffff0';
export const noSnapshot = 'snap-0fffffffffffffff0';

/** Asks EC2. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html (DryRun) */
export async function ask(call: () => Promise<unknown>): Promise<Verdict> {
  try {
    await call();
    return { is: 'unknown', words: 'the endpoint took the dry run for a call' };
  } catch (error) {
    if (!(error instanceof AwsCallError)) throw error;
    return verdictOf(error);
  }
}

function verdictOf(error: AwsCallError): Verdict {
  const words = errorMessage(error.cause);
  if (hasCode(error, 'DryRunOperation', 'DryRunOperationException')) return { is: 'allowed', words };
  return { is: isDenialCode(error.code) ? 'denied' : 'unknown', words };
}

/** Whether a denial says that the caller's own policies lack the action, rather than that the key's policy or a grant does. */
export function lacksIdentityPolicy({ words }: Verdict): boolean {
  return words.includes('identity-based policy');
}

/** What a role that is called here is told by, in a message: its ARN without the session. */
export function roleOf(place: Place, roleArn: string | undefined): string {
  return roleArn ?? `the caller in account ${place.account}`;
}

/** One question to EC2: the action, the resources that a statement would name, and the call. */
export type Question = Readonly<{
  action: string;
  resources: readonly string[];
  call: () => Promise<unknown>;
  /** Those of `resources` that the call makes with tags, where that isn't all. */
  tagged?: readonly string[];
  /** What is lost without the permission, where the run can do without it. */
  without?: string;
}>;

/** Asks, and makes a problem of each denial, or a warning where the run can do without. */
export async function askAll(
  place: Place,
  role: string,
  questions: readonly Question[],
  findings: Findings,
): Promise<void> {
  await Promise.all(
    questions.map(async ({ call, ...question }) => {
      const verdict = await ask(call);
      if (verdict.is === 'denied') tellDenial(place, role, question, verdict, findings);
    }),
  );
}

function tellDenial(
  place: Place,
  role: string,
  { action, resources, tagged = resources, without }: Omit<Question, 'call'>,
  verdict: Verdict,
  findings: Findings,
): void {
  // A request that makes tagged resources takes ec2:CreateTags besides.
  const denied = /is not authorized to perform: (\w+:\w+)/.exec(verdict.words)?.[1] ?? `ec2:${action}`;
  const what = `${role} may not take ${denied}`;
  const remedy = `add to its policy: ${statement(denied, denied === 'ec2:CreateTags' ? tagged : resources)}${deniedOutright(verdict)}`;
  if (without === undefined) findings.add(placeName(place), what, remedy);
  else findings.warn(placeName(place), `${what}: ${without}. What to do: ${remedy}`);
}

/** Something to read that the run can do without; `without` says what isn't known then. */
export type Reading<T> = Readonly<{ action: string; without: string; call: () => Promise<T> }>;

/** What is read, or undefined after a warning that says why it could not be. */
export async function readOrWarn<T>(
  place: Place,
  role: string,
  findings: Findings,
  { action, without, call }: Reading<T>,
): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof AwsCallError)) throw error;
    const verdict = verdictOf(error);
    if (verdict.is === 'denied') tellDenial(place, role, { action, resources: ['*'], without }, verdict, findings);
    else findings.warn(placeName(place), `ec2:${action} failed (${verdict.words}): ${without}`);
    return undefined;
  }
}

/** What an allowing statement alone doesn't mend. */
export function deniedOutright({ words }: Verdict): string {
  return words.includes('explicit deny') ? ' (and take out the statement that denies it)' : '';
}
