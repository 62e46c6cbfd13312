import type { Place } from '../aws/clients.ts';
import { lackOf } from '../aws/denial.ts';
import { AwsCallError, placeName } from '../aws/errors.ts';
import { verdictOf } from '../aws/verdict.ts';
import type { Request } from '../inputs.ts';
import type { Findings } from '../plan/problem.ts';

export type Telling = Readonly<{ findings: Findings }>;

/** What can do without being known: why it isn't, and what that means, is a warning. */
type Reading<T> = Readonly<{ action: string; resources: readonly string[]; without: string; read: () => Promise<T> }>;

export async function readOrWarn<T>(
  place: Place,
  { role, findings }: Telling & Readonly<{ role: string }>,
  { action, resources, without, read }: Reading<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof AwsCallError)) throw error;
    const { is, words } = verdictOf(error);
    const { what, remedy } = lackOf({ role, side: 'target', action, resources, words });
    const failed = is === 'may not' ? what : `${action} failed (${words})`;
    const mending = is === 'may not' ? `. What to do: ${remedy}` : '';
    findings.warn(placeName(place), `${failed}: ${without}${mending}`);
    return undefined;
  }
}

/** What is asked for, and who is told. */
export type Asked = Telling & Readonly<{ request: Request }>;
