import type { Report } from './outputs.ts';
import { cleanedList, failureText, problemList, section, within } from './summary.ts';

/** What a sweep took back and what it could not; or the problems, or the failure, that ended it. */
export type Swept = Report['cleanUp'] &
  Readonly<{ problems?: NonNullable<Report['problems']>; stopped?: readonly string[] }>;

/** The summary of a sweep as Markdown. */
export function sweepSummary(swept: Swept): string {
  const { problems = [], stopped = [] } = swept;
  const failing = stopped.flatMap((failure) => failureText(failure));
  const head = [`## ${verdict(swept)}`, ...section('Problems', problemList(problems)), ...section('Failures', failing)];
  return within(head, section('Cleaned up', cleanedList(swept)), []);
}

function verdict({ done, failed, problems = [], stopped = [] }: Swept): string {
  if (problems.length > 0) return '❌ Problems were found; nothing was changed';
  if (stopped.length > 0) return '❌ The sweep failed';
  if (failed.length > 0) return '❌ Not all that earlier runs left could be taken back';
  return done.length > 0 ? '🧹 What earlier runs left is taken back' : '🧹 Earlier runs left nothing';
}
