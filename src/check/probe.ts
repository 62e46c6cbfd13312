import { CreateGrantCommand, GenerateDataKeyWithoutPlaintextCommand } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { AwsCallError, errorMessage, hasCode, isDenialCode, placeName, type Where } from '../aws/errors.ts';
import { keyOperations } from '../aws/kms.ts';
import { statement } from '../aws/statement.ts';
import { joined } from '../join.ts';
import type { Findings } from '../plan/problem.ts';

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
export function roleOf(place: Where, roleArn: string | undefined): string {
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
export async function askAll(asker: Asker, questions: readonly Question[]): Promise<void> {
  await joined(
    questions.map(async ({ call, ...question }) => {
      const verdict = await ask(call);
      if (verdict.is === 'denied') tellDenial(asker, question, verdict);
    }),
  );
}

/** Who asks, as whom, and who is told. */
export type Asker = Readonly<{ place: Place; role: string; findings: Findings }>;

function tellDenial(
  { place, role, findings }: Asker,
  { action, resources, tagged = resources, without }: Omit<Question, 'call'>,
  verdict: Verdict,
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
export async function readOrWarn<T>(asker: Asker, { action, without, call }: Reading<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof AwsCallError)) throw error;
    const verdict = verdictOf(error);
    if (verdict.is === 'denied') tellDenial(asker, { action, resources: ['*'], without }, verdict);
    else asker.findings.warn(placeName(asker.place), `ec2:${action} failed (${verdict.words}): ${without}`);
    return undefined;
  }
}

/** What an allowing statement alone doesn't mend. */
export function deniedOutright({ words }: Verdict): string {
  return words.includes('explicit deny') ? ' (and take out the statement that denies it)' : '';
}

/** A principal, in the region of a key that it is to use. */
export type KeyUse = Readonly<{ place: Place; keyArn: string }>;

/** Whether KMS is known to take a dry run for one; asked by a call that does nothing in either case. */
export async function honoursKeyDryRuns(users: readonly KeyUse[]): Promise<boolean> {
  for (const { place, keyArn } of users) {
    const command = new GenerateDataKeyWithoutPlaintextCommand({ KeyId: keyArn, NumberOfBytes: 32, DryRun: true });
    const { is } = await ask(() => place.kms(command));
    if (is === 'allowed') return true;
    if (is === 'unknown') return false;
  }
  return false;
}

/** Asks whether a grant of what copying takes could be made to `grantee`. */
export function askToGrant({ place, keyArn }: KeyUse, GranteePrincipal: string): Promise<Verdict> {
  const Operations = [...keyOperations];
  return ask(() => place.kms(new CreateGrantCommand({ KeyId: keyArn, GranteePrincipal, Operations, DryRun: true })));
}
