import { getInput, setFailed, setSecret } from '@actions/core';
import { errorMessage, explain } from './aws/errors.ts';
import { runContext } from './context.ts';
import { InputError, type Request, readInputs } from './inputs.ts';
import { ProblemsError } from './plan/problem.ts';
import { type Report, writeOutputs } from './report/outputs.ts';
import { plainText } from './report/progress.ts';
import { writeSummary } from './report/summary.ts';
import { share } from './share.ts';

/** The main step: reads the inputs, shares the AMI, reports, and owns the only catch. */
async function main(): Promise<void> {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => stop.abort(new Error(`the run was cancelled (${name})`)));
  }
  try {
    const request = readInputs((name) => getInput(name, { trimWhitespace: false }), runContext());
    if (request.maskAccountIds) maskAccounts(request);
    const { timeoutMinutes } = request;
    const late = new Error(`the run took longer than timeout-minutes (${timeoutMinutes})`);
    setTimeout(() => stop.abort(late), timeoutMinutes * 60_000).unref();
    const report = await share(request, stop.signal);
    writeOutputs(report);
    await writeSummary(report);
    const failure = failureOf(report);
    if (failure !== undefined) setFailed(plainText(failure));
  } catch (error) {
    writeOutputs({ sourceAmiId: getInput('ami-id'), targets: [] });
    setFailed(plainText(sentence(error)));
  }
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

function failureOf({ targets, cleanUp }: Report): string | undefined {
  const failed = targets.filter(({ status }) => status === 'failed');
  const lines = [
    ...failed.map(({ account, region, error }) => `${account}/${region}: ${error}`),
    ...cleanUp.failed.map((what) => `left behind: ${what}`),
  ];
  if (lines.length === 0) return undefined;
  return `${failed.length} of ${targets.length} targets failed.\n${lines.join('\n')}`;
}

main().catch((error: unknown) => setFailed(errorMessage(error)));
