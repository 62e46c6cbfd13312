import type { Action } from '../action.ts';
import { together } from '../alike.ts';
import { type RecallRequest, readRecall } from '../inputs/recall.ts';
import { writeJson } from '../report/outputs.ts';
import { type RecallReport, recallOutputs, recallSummary } from '../report/recall.ts';
import { problemsOf, sentenceOf } from '../report/stopped.ts';

/** The action that takes an image back from all accounts and regions, or gives it again. */
export const recallAction: Action<RecallRequest> = {
  read: readRecall,
  async run(host, request, signal) {
    const { recall } = await import('../recall.ts');
    const recalled = await recall(host, request, signal);
    const { reason, restore } = request;
    const report: RecallReport = { ...recalled, reason, restore, problems: [] };
    const inUse = writeJson(host.files, 'in-use', recalled.inUse);
    const targets = writeJson(host.files, 'targets', recalled.targets);
    return {
      outputs: recallOutputs(report, { inUse: inUse.path, targets: targets.path }),
      summary: recallSummary(report),
      failures: recalled.failed.map((message) => ({ message })),
      warnings: [inUse.problem, targets.problem].filter((one) => one !== undefined),
    };
  },
  stopped(_host, request, error) {
    const message = sentenceOf(error);
    const problems = together(problemsOf(error));
    const failed = problems.length > 0 ? [] : [message];
    const { reason = '', restore = false } = request ?? {};
    const nothing = { targets: [], inUse: [], done: [], left: [], seconds: 0 };
    const report: RecallReport = { ...nothing, failed, problems, reason, restore };
    const outputs = recallOutputs(report, { inUse: '', targets: '' });
    return { outputs, summary: recallSummary(report), failures: [{ message }], warnings: [] };
  },
};
