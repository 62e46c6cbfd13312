import { type AwsCallError, explain, StepError } from '../aws/errors.ts';

/** Something that would make the run fail, found before the first write; `where` names the account and region, or the input. */
export type Problem = Readonly<{ where: string; what: string; remedy: string }>;

/** All problems at once; nothing was changed. */
export class ProblemsError extends Error {
  override name = 'ProblemsError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const count = problems.length === 1 ? 'A problem was' : `${problems.length} problems were`;
    const lines = problems.map(
      ({ where, what, remedy }) => `  ${where}: ${what}${remedy && `\n    What to do: ${remedy}`}`,
    );
    super(`${count} found before anything was changed.\n${lines.join('\n')}`);
    this.problems = problems;
  }
}

/** Gathers problems; what depends on a thing that failed is left out, so each is told once. */
export type Findings = Readonly<{
  problems: readonly Problem[];
  add(where: string, what: string, remedy: string): void;
  /** Something to know that stops nothing. */
  warn(where: string, what: string): void;
  readonly warnings: readonly string[];
  /** The result of `read`, or undefined after noting why there is none. */
  attempt<T>(where: string, doing: string, read: () => Promise<T>): Promise<T | undefined>;
}>;

export function openFindings(signal: AbortSignal): Findings {
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const add = (where: string, what: string, remedy: string) => {
    if (!problems.some((one) => one.where === where && one.what === what)) problems.push({ where, what, remedy });
  };
  return {
    problems,
    warnings,
    add,
    warn: (where, what) => warnings.push(`${where}: ${what}`),
    async attempt(where, doing, read) {
      try {
        return await read();
      } catch (error) {
        // A run that was told to stop found nothing.
        signal.throwIfAborted();
        const { message, remedy } = explain(new StepError(doing, error as AwsCallError));
        add(where, message, remedy ?? '');
        return undefined;
      }
    },
  };
}
