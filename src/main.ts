import { together } from './alike.ts';
import { errorMessage, explain, placeName } from './aws/errors.ts';
import { runContext } from './context.ts';
import type { Host, Runner } from './host.ts';
import { InputError } from './inputs/reader.ts';
import type { EnabledRegions } from './inputs/targets.ts';
import { type Request, readInputs } from './inputs.ts';
import { readEnabledRegions } from './observe/regions.ts';
import { outputsOf, type Report, writeWhole } from './report/outputs.ts';
import { failedRecord } from './report/records.ts';
import { ProblemsError, StoppedError } from './report/stopped.ts';
import { summaryText } from './report/summary.ts';
import { logText } from './report/text.ts';
import { share } from './share.ts';
import { sweep } from './sweep.ts';
import { TimeOutError } from './time.ts';

/** The main step: reads the inputs, shares the AMI, and reports what came of it. */
export async function main(host: Host, cancelled: AbortSignal): Promise<void> {
  const { report, failures } = await outcomeOf(host, cancelled);
  await tell(host, report);
  annotate(host, failures);
}

/** `allowed`: it is a warning, and the run doesn't fail for it. */
type Failure = Readonly<{ title?: string; message: string; allowed?: boolean }>;

/** What the run came to, whatever that is. */
async function outcomeOf(
  host: Host,
  cancelled: AbortSignal,
): Promise<{ report: Report; failures: readonly Failure[] }> {
  const { runner, clock } = host;
  let request: Request | undefined;
  try {
    const context = runContext(host);
    const read = (enabled?: EnabledRegions) =>
      readInputs(runner.input, context, { readFile: host.files.read, enabled });
    request = read();
    if (request.maskAccountIds) maskAccounts(runner, request);
    const { minutes, cut } = request.timeout;
    if (cut !== undefined) runner.info(logText(`timeout-minutes is ${minutes}: ${cut}`));
    const late = new TimeOutError(`the run took longer than timeout-minutes (${minutes})`);
    const stop = AbortSignal.any([cancelled, clock.after(minutes * 60_000, late)]);
    // With target-regions: all, the targets are known only now.
    if (request.targets.some(({ everyRegion }) => everyRegion !== undefined))
      request = read(await readEnabledRegions(host, request, stop));
    const report = request.sweep ? await sweep(host, request, stop) : await share(host, request, stop);
    return { report, failures: failuresOf(report) };
  } catch (error) {
    return { report: unfinished(request, error), failures: [{ message: sentence(error) }] };
  }
}

/** Writes outputs and summary. What can't be written is a warning: it changes nothing of what was done, or of the rest. */
async function tell(host: Host, report: Report): Promise<void> {
  const { runner, env } = host;
  const attempt = async (what: string, write: () => void | Promise<void>): Promise<void> => {
    try {
      await write();
    } catch (error) {
      runner.warning(logText(`${what} could not be written: ${errorMessage(error)}`));
    }
  };
  const written = writeWhole(host.files, report);
  for (const problem of written.problems) runner.warning(logText(problem));
  const outputs = Object.entries(outputsOf(report, written));
  await attempt(`the outputs (${env.GITHUB_OUTPUT})`, () => {
    const failures = outputs.flatMap(([name, value]) => failureOf(() => runner.setOutput(name, value)) ?? []);
    if (failures.length > 0) throw failures[0];
  });
  await attempt(`the job summary (${env.GITHUB_STEP_SUMMARY})`, () => runner.writeSummary(summaryText(report)));
}

function failureOf(act: () => void): unknown {
  try {
    act();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** The report of a run that came to no end of its own: every target failed, for the same reason. */
function unfinished(request: Request | undefined, error: unknown): Report {
  const problems = error instanceof ProblemsError || error instanceof InputError ? error.problems : [];
  const plan = error instanceof ProblemsError || error instanceof StoppedError ? error.plan : undefined;
  const byPlace = Map.groupBy(problems, ({ where }) => where);
  const plannedIn = new Map(plan?.targets.map((target) => [placeName(target), target]));
  const otherwise = problems.length > 0 ? 'not begun, because problems were found elsewhere' : sentence(error);
  const targets = (request?.targets ?? []).map((target) => {
    const place = placeName(target);
    const own = byPlace.get(place)?.map(({ what }) => what);
    return failedRecord(target, own?.join('; ') ?? otherwise, plannedIn.get(place));
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
function maskAccounts({ mask }: Runner, { source, targets }: Request): void {
  const accounts = [source.roleArn?.split(':')[4], ...targets.map(({ account }) => account)];
  for (const account of new Set(accounts)) if (account) mask(account);
}

/** An error as the user reads it; a stack only where it is ours to mend. */
function sentence(error: unknown): string {
  if (error instanceof InputError || error instanceof ProblemsError) return error.message;
  const { message, remedy } = explain(error instanceof StoppedError ? error.cause : error);
  return remedy === undefined ? message : `${message}. What to do: ${remedy}`;
}

/** The runner keeps ten annotations of a step: https://github.com/actions/toolkit/blob/main/docs/problem-matchers.md#limitations */
const maxAnnotations = 10;

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

/** An annotation for each failure, as many as the runner keeps of each level; and the exit code. */
function annotate({ runner }: Pick<Host, 'runner'>, failures: readonly Failure[]): void {
  const { errors = [], warnings = [] } = Object.groupBy(failures, ({ allowed }) => (allowed ? 'warnings' : 'errors'));
  if (errors.length > 0) runner.fail();
  annotateAs(runner.error, errors);
  annotateAs(runner.warning, warnings);
}

function annotateAs(tell: Runner['error'], failures: readonly Failure[]): void {
  const shown = failures.length > maxAnnotations ? failures.slice(0, maxAnnotations - 1) : failures;
  for (const { title, message } of shown) tell(logText(message), title === undefined ? undefined : logText(title));
  const more = failures.length - shown.length;
  if (more > 0) tell(logText(`${more} more failed; the file of targets-file and the job summary name them all`));
}
