import type { Action, Failure, Told } from '../action.ts';
import { together } from '../alike.ts';
import { placeName } from '../aws/errors.ts';
import type { Host } from '../host.ts';
import { type Request, readInputs } from '../inputs.ts';
import { outputsOf, type Report, writeJson } from '../report/outputs.ts';
import { failedRecord, ProblemsError, problemsOf, StoppedError, sentenceOf } from '../report/stopped.ts';
import { summaryText } from '../report/summary.ts';

/** The main action. */
export const shareAction: Action<Request> = {
  read: readInputs,
  async run(host, request, signal) {
    const { share } = await import('../share.ts');
    const report = await share(host, request, signal);
    return told(host, report, failuresOf(report));
  },
  stopped: (host, request, error) => told(host, unfinished(request, error), [{ message: sentenceOf(error) }]),
};

function told({ files }: Host, report: Report, failures: readonly Failure[]): Told {
  const plan = writeJson(files, 'plan', report.plan);
  const targets = writeJson(files, 'targets', report.targets);
  const warnings = [plan, targets].flatMap(({ problem = [] }) => problem);
  return { outputs: outputsOf(report, { plan, targets }), summary: summaryText(report), failures, warnings };
}

/** The report of a run that came to no end of its own: every target failed, for the same reason. */
function unfinished(request: Request | undefined, error: unknown): Report {
  const problems = problemsOf(error);
  const plan = error instanceof ProblemsError || error instanceof StoppedError ? error.plan : undefined;
  const byPlace = Map.groupBy(problems, ({ where }) => where);
  const plannedIn = new Map(plan?.targets.map((target) => [placeName(target), target]));
  const otherwise = problems.length > 0 ? 'not begun, because problems were found elsewhere' : sentenceOf(error);
  const targets = (request?.targets ?? []).map((target) => {
    const place = placeName(target);
    const own = byPlace.get(place)?.map(({ what }) => what);
    return failedRecord(target, own?.join('; ') ?? otherwise, plannedIn.get(place));
  });
  const madeImageId = error instanceof ProblemsError ? error.madeImageId : undefined;
  const sourceAmiId = plan?.source.amiId ?? madeImageId ?? (request?.image.by === 'id' ? request.image.id : '');
  const failures = problems.length > 0 ? [] : [sentenceOf(error)];
  return {
    sourceAmiId,
    plan,
    problems: together(problems),
    madeImageId,
    targets,
    failures,
    cleanUp: { done: [], failed: [] },
    timeline: [],
    seconds: 0,
  };
}

/** What failed, each with where it did. A dry run that leaves targets out has done what it is for. */
function failuresOf({ targets, failures, cleanUp, plan }: Report): Failure[] {
  const failed = targets.filter(({ status }) => status === 'failed');
  return [
    ...failures.map((message) => ({ title: 'Share Encrypted AMI', message })),
    ...failed.map(({ account, region, error = '', optional = false }): Failure => {
      const title = `${placeName({ account, region })}${optional ? ' (optional)' : ''}`;
      return { title, message: `${title}: ${error}`, allowed: optional || plan?.dryRun === true };
    }),
    ...cleanUp.failed.map((what) => ({ title: 'Left behind', message: `left behind: ${what}` })),
  ];
}
