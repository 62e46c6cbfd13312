import type { Action } from '../action.ts';
import { together } from '../alike.ts';
import { readSweep, type SweepRequest } from '../inputs/sweep.ts';
import { problemsOf, sentenceOf } from '../report/stopped.ts';
import { leftInOptional, sweepSummary } from '../report/sweep.ts';

/** The action that takes back what runs left that died. It has no outputs. */
export const sweepAction: Action<SweepRequest> = {
  read: readSweep,
  async run(host, request, signal) {
    const { sweep } = await import('../sweep.ts');
    const swept = await sweep(host, request, signal);
    const failures = swept.failed.map((what) => ({ title: 'Left behind', message: `left behind: ${what}` }));
    return { outputs: {}, warnings: swept.allowed.map(leftInOptional), summary: sweepSummary(swept), failures };
  },
  stopped(_host, _request, error) {
    const problems = together(problemsOf(error));
    const message = sentenceOf(error);
    const stopped = problems.length > 0 ? [] : [message];
    const summary = sweepSummary({ done: [], failed: [], allowed: [], problems, stopped });
    return { outputs: {}, warnings: [], summary, failures: [{ message }] };
  },
};
