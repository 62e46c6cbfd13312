import type { Place } from '../aws/clients.ts';
import { AwsCallError, placeName, type Where } from '../aws/errors.ts';
import { statement } from '../aws/statement.ts';
import { type Verdict, verdictOf } from '../aws/verdict.ts';
import type { Findings } from '../plan/problem.ts';

/** What a role that is called here is told by, in a message: its ARN without the session. */
export function roleOf(place: Where, roleArn: string | undefined): string {
  return roleArn ?? `the caller in account ${place.account}`;
}

/** What AWS denied, and what a statement that allows it names: all, or what is made with tags. */
export type Denied = Readonly<{ action: string; resources: readonly string[]; tagged?: readonly string[] }>;

/** A denial as a problem of `role`: what it may not, and the statement that mends it. */
export function lackOf(
  role: string,
  { action, resources, tagged = [] }: Denied,
  verdict: Verdict,
): { what: string; remedy: string } {
  // A request that makes tagged resources takes ec2:CreateTags besides.
  const denied = /is not authorized to perform: (\w+:\w+)/.exec(verdict.words)?.[1] ?? action;
  const on = denied === 'ec2:CreateTags' && tagged.length > 0 ? tagged : resources;
  const remedy = `add to its policy: ${statement(denied, on)}${deniedOutright(verdict)}`;
  return { what: `${role} may not take ${denied}`, remedy };
}

/** What an allowing statement alone doesn't mend. */
export function deniedOutright({ words }: Verdict): string {
  return words.includes('explicit deny') ? ' (and take out the statement that denies it)' : '';
}

/** Who asks, as whom, and who is told. */
export type Reader = Readonly<{ place: Place; role: string; findings: Findings }>;

/** Something to read that the run can do without; `without` says what isn't known then. */
export type Reading<T> = Readonly<{ action: string; without: string; call: () => Promise<T> }>;

/** What is read, or undefined after a warning that says why it could not be. */
export async function readOrWarn<T>(
  { place, role, findings }: Reader,
  { action, without, call }: Reading<T>,
): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof AwsCallError)) throw error;
    const verdict = verdictOf(error);
    const { what, remedy } = lackOf(role, { action: `ec2:${action}`, resources: ['*'] }, verdict);
    findings.warn(
      placeName(place),
      verdict.is === 'may not'
        ? `${what}: ${without}. What to do: ${remedy}`
        : `ec2:${action} failed (${verdict.words}): ${without}`,
    );
    return undefined;
  }
}
