import type { Report } from './outputs.ts';
import { cleanedList, failureText, problemList, section, within } from './summary.ts';
import { markdown } from './text.ts';

/** What a sweep took back and what it could not; or the problems, or the failure, that ended it. */
export type Swept = Report['cleanUp'] &
  Readonly<{
    /** What could not be taken back in optional targets. */
    allowed: readonly string[];
    problems?: NonNullable<Report['problems']>;
    stopped?: readonly string[];
  }>;

/** What is left in an optional target, as it is told. */
export const leftInOptional = (what: string): string => `left behind in an optional target: ${what}`;

export function sweepSummary(swept: Swept): string {
  const { problems = [], stopped = [] } = swept;
  const rest = swept.allowed.map((what) => `- ${markdown(leftInOptional(what))}`);
  const failing = stopped.flatMap((failure) => failureText(failure));
  const head = [`## ${verdict(swept)}`, ...section('Problems', problemList(problems)), ...section('Failures', failing)];
  return within(head, section('Cleaned up', [...cleanedList(swept), ...rest]), []);
}

function verdict({ done, failed, problems = [], stopped = [] }: Swept): string {
  if (problems.length > 0) return '❌ Problems were found; nothing was changed';
  if (stopped.length > 0) return '❌ The sweep failed';
  if (failed.length > 0) return '❌ Not all that earlier runs left could be taken back';
  return done.length > 0 ? '🧹 What earlier runs left is taken back' : '🧹 Earlier runs left nothing';
}
