import { type Problem, together } from '../alike.ts';
import { AwsCallError, explain, StepError } from '../aws/errors.ts';

/**
 * A region that the account hasn't enabled: it knows none of the account's sessions, although they are good elsewhere.
 * https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
 */
function disabledRegion(error: unknown): { what: string; remedy: string } | undefined {
  if (!(error instanceof AwsCallError) || error.action === 'GetCallerIdentity' || error.action.startsWith('AssumeRole'))
    return undefined;
  const { code, awsMessage, where } = error;
  const unknownHere =
    code === 'OptInRequired' ||
    code === 'UnrecognizedClientException' ||
    (code === 'AuthFailure' && awsMessage.includes('validate the provided access credentials'));
  if (!unknownHere) return undefined;
  return {
    what: `region ${where.region} is not enabled in account ${where.account} (AWS doesn't know the account's credentials there)`,
    remedy: `enable it: aws account enable-region --region-name ${where.region} (it takes some minutes), or leave the region out`,
  };
}

/** Gathers problems; what depends on a thing that failed is left out, so each is told once. */
export type Findings = Readonly<{
  /** Ends all that is looked for. */
  signal: AbortSignal;
  problems: readonly Problem[];
  add(where: string, what: string, remedy: string): void;
  /** Something to know that stops nothing. */
  warn(where: string, what: string): void;
  /** Each as a sentence, the same in several places told once. */
  warnings(): string[];
  /** The result of `read`, or undefined after noting why there is none. */
  attempt<T>(where: string, doing: string, read: () => Promise<T>): Promise<T | undefined>;
}>;

export function openFindings(signal: AbortSignal): Findings {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const known = new Set<string>();
  const addTo = (list: Problem[], one: Problem): void => {
    const key = JSON.stringify([list === warnings, one.where, one.what]);
    if (!known.has(key)) list.push(one);
    known.add(key);
  };
  const add = (where: string, what: string, remedy: string) => addTo(problems, { where, what, remedy });
  return {
    signal,
    problems,
    add,
    warn: (where, what) => addTo(warnings, { where, what, remedy: '' }),
    warnings: () => together(warnings).map(({ places, what }) => `${places}: ${what}`),
    async attempt(where, doing, read) {
      try {
        return await read();
      } catch (error) {
        // A run that was told to stop found nothing.
        signal.throwIfAborted();
        const off = disabledRegion(error);
        if (off !== undefined) {
          add(where, off.what, off.remedy);
          return undefined;
        }
        const { message, remedy } = explain(new StepError(doing, error as AwsCallError));
        add(where, message, remedy ?? '');
        return undefined;
      }
    },
  };
}
