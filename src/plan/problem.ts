import { type Problem, together } from '../alike.ts';
import { AwsCallError, explain, isDisabledRegion, StepError } from '../aws/errors.ts';
import { LateError } from '../time.ts';

/**
 * A region that isn't enabled is one problem, whichever of its reads met it, and in whichever of AWS's words; and so is a
 * place that doesn't answer.
 */
function ofPlace(error: unknown, message: string): Readonly<{ what: string; words: string }> | undefined {
  if (error instanceof LateError) return { what: 'not all was answered in time', words: ` (${message})` };
  if (!(error instanceof AwsCallError) || !isDisabledRegion(error)) return undefined;
  const { code, awsMessage, where } = error;
  const what = `region ${where.region} is not enabled in account ${where.account}`;
  return { what, words: ` (AWS says ${code}: ${awsMessage})` };
}

/** Gathers problems; what depends on a thing that failed is left out, so each is told once. */
export type Findings = Readonly<{
  /** Ends all that is looked for. */
  signal: AbortSignal;
  /** All, whatever they are of. */
  problems: readonly Problem[];
  /** Those of a target, and those that are of no target: of the source, or of the whole. */
  of(target: string | undefined): readonly Problem[];
  /** The same findings, in which what is noted is of these targets. */
  about(targets: readonly string[]): Findings;
  add(where: string, what: string, remedy: string): void;
  /** Something to know that stops nothing. */
  warn(where: string, what: string): void;
  /** Each as a sentence, the same in several places told once. */
  warnings(): string[];
  /** The result of `read`, or undefined after noting why there is none. */
  attempt<T>(where: string, doing: string, read: () => Promise<T>): Promise<T | undefined>;
}>;

/** A problem, and the targets that it is of; undefined stands for the whole. */
type Noted = Readonly<{ problem: Problem; targets: Set<string | undefined> }>;

type FindingsOptions = Readonly<{
  /** What else mends a problem of targets, whatever it is. */
  mendsTarget?: (targets: readonly string[]) => string | undefined;
  /** Rejects when what is being read is to be given up; asked anew for each read. */
  late?: () => Promise<never>;
}>;

export function openFindings(
  signal: AbortSignal,
  { mendsTarget = () => undefined, late }: FindingsOptions = {},
): Findings {
  const problems = new Map<string, Noted>();
  const warnings = new Map<string, Problem>();
  const nameOf = (where: string, what: string) => JSON.stringify([where, what]);
  const openFor = (targets: readonly (string | undefined)[]): Findings => {
    const note = (where: string, { what, words = '' }: Readonly<{ what: string; words?: string }>, remedy: string) => {
      const name = nameOf(where, what);
      const named = targets.filter((one) => one !== undefined);
      const also = named.length > 0 ? mendsTarget(named) : undefined;
      const problem = { where, what: `${what}${words}`, remedy: [remedy, also].filter(Boolean).join('; ') };
      const known = problems.get(name) ?? { problem, targets: [] };
      problems.set(name, { ...known, targets: new Set([...known.targets, ...targets]) });
    };
    return {
      signal,
      get problems() {
        return [...problems.values()].map(({ problem }) => problem);
      },
      of: (target) => [...problems.values()].flatMap((one) => (one.targets.has(target) ? [one.problem] : [])),
      about: openFor,
      add: (where, what, remedy) => note(where, { what }, remedy),
      warn(where, what) {
        const name = nameOf(where, what);
        if (!warnings.has(name)) warnings.set(name, { where, what, remedy: '' });
      },
      warnings: () => together([...warnings.values()]).map(({ places, what }) => `${places}: ${what}`),
      async attempt(where, doing, read) {
        try {
          return await (late === undefined ? read() : Promise.race([read(), late()]));
        } catch (error) {
          // A run that was told to stop found nothing.
          signal.throwIfAborted();
          const { message, remedy = '' } = explain(new StepError(doing, error));
          note(where, ofPlace(error, message) ?? { what: message }, remedy);
          return undefined;
        }
      },
    };
  };
  return openFor([undefined]);
}
