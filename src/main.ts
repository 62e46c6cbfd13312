import type { Action, Failure, Told } from './action.ts';
import { errorMessage } from './aws/errors.ts';
import { runContext } from './context.ts';
import type { Host, Runner } from './host.ts';
import type { Reach } from './inputs/reach.ts';
import { inputNames, Reader } from './inputs/reader.ts';
import type { EnabledRegions } from './inputs/targets.ts';
import { yamlFor } from './inputs/yaml.ts';
import { logText } from './report/text.ts';
import { TimeOutError } from './time.ts';

/** The main step of an action: reads the inputs, does what they ask for, and reports what came of it. */
export async function main<R extends Reach>(host: Host, cancelled: AbortSignal, action: Action<R>): Promise<void> {
  const told = await outcomeOf(host, cancelled, action);
  await tell(host, told);
  annotate(host, told.failures);
}

/** What the run came to, whatever that is. */
async function outcomeOf<R extends Reach>(host: Host, cancelled: AbortSignal, action: Action<R>): Promise<Told> {
  const { runner, clock } = host;
  let request: R | undefined;
  try {
    const context = runContext(host);
    maskAccounts(runner);
    const yaml = await yamlFor(runner.input);
    const read = (enabled?: EnabledRegions) =>
      action.read(runner.input, context, { readFile: host.files.read, enabled, yaml });
    request = read();
    const { minutes, cut } = request.timeout;
    if (cut !== undefined) runner.info(logText(`timeout-minutes is ${minutes}: ${cut}`));
    const late = new TimeOutError(`the run took longer than timeout-minutes (${minutes})`);
    const stop = AbortSignal.any([cancelled, clock.after(minutes * 60_000, late)]);
    // With target-regions: all, the targets are known only now.
    if (request.targets.some(({ everyRegion }) => everyRegion !== undefined)) {
      const { readEnabledRegions } = await import('./observe/regions.ts');
      request = read(await readEnabledRegions(host, request, stop));
    }
    for (const what of request.unmatched) runner.warning(logText(what));
    return await action.run(host, request, stop);
  } catch (error) {
    return action.stopped(host, request, error);
  }
}

/** Writes outputs and summary. What can't be written is a warning: it changes nothing of what was done, or of the rest. */
async function tell({ runner, env }: Host, told: Told): Promise<void> {
  const attempt = async (what: string, write: () => void | Promise<void>): Promise<void> => {
    try {
      await write();
    } catch (error) {
      runner.warning(logText(`${what} could not be written: ${errorMessage(error)}`));
    }
  };
  for (const warning of told.warnings) runner.warning(logText(warning));
  const outputs = Object.entries(told.outputs);
  await attempt(`the outputs (${env.GITHUB_OUTPUT})`, () => {
    const failures = outputs.flatMap(([name, value]) => failureOf(() => runner.setOutput(name, value)) ?? []);
    if (failures.length > 0) throw failures[0];
  });
  await attempt(`the job summary (${env.GITHUB_STEP_SUMMARY})`, () => runner.writeSummary(told.summary));
}

function failureOf(act: () => void): unknown {
  try {
    act();
    return undefined;
  } catch (error) {
    return error;
  }
}

/**
 * Keeps the account IDs that the inputs tell out of the log, whatever else is wrong with these; those that AWS tells follow
 * as they become known.
 */
function maskAccounts({ mask, input }: Runner): void {
  const reader = new Reader(input);
  if (!reader.flag('mask-aws-account-id') && reader.noted === 0) return;
  const texts = inputNames.map((name) => reader.raw(name));
  for (const [account] of texts.join('\n').matchAll(/(?<!\d)\d{12}(?!\d)/g)) mask(account);
}

/** The runner keeps ten annotations of a step: https://github.com/actions/toolkit/blob/main/docs/problem-matchers.md#limitations */
const maxAnnotations = 10;

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
  if (more > 0) tell(logText(`${more} more failed; the job summary names them all`));
}
