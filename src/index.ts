import { setFlagsFromString } from 'node:v8';
import { error as annotateError, ExitCode, getInput, setFailed, setSecret } from '@actions/core';
import { errorMessage, explain } from './aws/errors.ts';
import { runContext } from './context.ts';
import { InputError } from './inputs/reader.ts';
import { type Request, readInputs } from './inputs.ts';
import { ProblemsError, together } from './plan/problem.ts';
import { type Report, type TargetRecord, writeOutputs } from './report/outputs.ts';
import { plainText } from './report/progress.ts';
import { writeSummary } from './report/summary.ts';
import { share } from './share.ts';
import { sweep } from './sweep.ts';

/** The main step: reads the inputs, shares the AMI, reports, and owns the only catch. */
async function main(): Promise<void> {
  collectEarly();
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => stop.abort(new Error(`the run was cancelled (${name})`)));
  }
  let request: Request | undefined;
  try {
    request = readInputs((name) => getInput(name, { trimWhitespace: false }), runContext());
    if (request.maskAccountIds) maskAccounts(request);
    const { timeoutMinutes } = request;
    const late = new Error(`the run took longer than timeout-minutes (${timeoutMinutes})`);
    setTimeout(() => stop.abort(late), timeoutMinutes * 60_000).unref();
    const report = request.sweep ? await sweep(request, stop.signal) : await share(request, stop.signal);
    writeOutputs(report);
    await writeSummary(report);
    annotate(failuresOf(report));
  } catch (error) {
    const report = unfinished(request, error);
    writeOutputs(report);
    await writeSummary(report);
    setFailed(plainText(sentence(error)));
  }
}

/**
 * V8 sizes its heap for speed and lets it grow with what the machine has: at a thousand targets to 500 MB, of which 50
 * are in use. With a young generation that stays as it starts and an old one that grows by 30 % it's 200 MB, at no
 * measurable cost in time: nearly all that a call makes dies young.
 */
function collectEarly(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=30');
}

/** The report of a run that came to no end of its own: every target failed, for the same reason. */
function unfinished(request: Request | undefined, error: unknown): Report {
  const problems = error instanceof ProblemsError ? error.problems : [];
  const plan = error instanceof ProblemsError ? error.plan : undefined;
  const targets = (request?.targets ?? []).map(({ account, region }): TargetRecord => {
    const planned = plan?.targets.find((target) => target.account === account && target.region === region);
    const own = problems.filter(({ where }) => where === `${account}/${region}`).map(({ what }) => what);
    const why =
      own.length > 0
        ? own.join('; ')
        : problems.length > 0
          ? 'not begun, because problems were found elsewhere'
          : sentence(error);
    return {
      account,
      region,
      amiId: null,
      amiName: planned?.amiName ?? null,
      snapshotIds: [],
      kmsKeyArn: planned?.kmsKeyArn ?? null,
      status: 'failed',
      seconds: 0,
      error: why,
    };
  });
  const madeImageId = error instanceof ProblemsError ? error.madeImageId : undefined;
  const sourceAmiId = plan?.source.amiId ?? madeImageId ?? (request?.image.by === 'id' ? request.image.id : '');
  const failures = problems.length > 0 ? [] : [sentence(error)];
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

/** Keeps the account IDs that the inputs tell out of the log; those that AWS tells follow as they become known. */
function maskAccounts({ source, targets }: Request): void {
  const accounts = [source.roleArn?.split(':')[4], ...targets.map(({ account }) => account)];
  for (const account of new Set(accounts)) if (account) setSecret(account);
}

/** An error as the user reads it; a stack only where it is ours to mend. */
function sentence(error: unknown): string {
  if (error instanceof InputError || error instanceof ProblemsError) return error.message;
  const { message, remedy } = explain(error);
  return remedy === undefined ? message : `${message}. What to do: ${remedy}`;
}

/** The runner keeps ten annotations of a step: https://github.com/actions/toolkit/blob/main/docs/problem-matchers.md#limitations */
const maxAnnotations = 10;

/** What failed, each with where it did. */
function failuresOf({ targets, failures, cleanUp }: Report): { title: string; message: string }[] {
  const failed = targets.filter(({ status }) => status === 'failed');
  return [
    ...failures.map((message) => ({ title: 'Share Encrypted AMI', message })),
    ...failed.map(({ account, region, error = '' }) => ({
      title: `${account}/${region}`,
      message: `${account}/${region}: ${error}`,
    })),
    ...cleanUp.failed.map((what) => ({ title: 'Left behind', message: `left behind: ${what}` })),
  ];
}

/** An annotation for each failure, as many as the runner keeps; and the exit code. */
function annotate(failures: readonly { title: string; message: string }[]): void {
  if (failures.length === 0) return;
  process.exitCode = ExitCode.Failure;
  const shown = failures.length > maxAnnotations ? failures.slice(0, maxAnnotations - 1) : failures;
  for (const { title, message } of shown) annotateError(plainText(message), { title });
  const more = failures.length - shown.length;
  if (more > 0) annotateError(`${more} more failed; the output failed-targets and the job summary name them all`);
}

main().catch((error: unknown) => setFailed(errorMessage(error)));
