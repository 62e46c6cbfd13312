import { getInput, getState, info, warning } from '@actions/core';
import { explainLine } from './aws/errors.ts';
import { runContext } from './context.ts';
import { readInputs } from './inputs.ts';
import { savedLedger } from './ledger.ts';
import { takeBack } from './take-back.ts';

/** GitHub ends post steps some five minutes after a cancel. */
const postMinutes = 4;

/** The post step: takes back what the main step could not, if anything is left. It warns, and never fails the job. */
async function post(): Promise<void> {
  const state = savedLedger(getState);
  if (state === undefined) return;
  const request = readInputs((name) => getInput(name, { trimWhitespace: false }), runContext());
  const { done, failed } = await takeBack(request, state, AbortSignal.timeout(postMinutes * 60_000));
  for (const what of done) info(what);
  for (const what of failed) warning(`left behind: ${what}. The next run on ${state.imageId} takes it back`);
}

post().catch((error: unknown) => warning(`the clean-up failed: ${explainLine(error)}`));
