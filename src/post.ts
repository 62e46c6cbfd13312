import { getInput, getState, info, warning } from '@actions/core';
import { explainLine } from './aws/errors.ts';
import { runContext } from './context.ts';
import { InputError, Reader } from './inputs/reader.ts';
import { readSettings } from './inputs/settings.ts';
import { savedLedger } from './ledger.ts';
import { takeBack } from './take-back.ts';

/** GitHub ends post steps some five minutes after a cancel. */
const postMinutes = 4;

/** The post step: takes back what the main step could not, if anything is left. It warns, and never fails the job. */
async function post(): Promise<void> {
  const state = savedLedger(getState);
  if (state === undefined) return;
  const reader = new Reader((name) => getInput(name, { trimWhitespace: false }));
  const settings = readSettings(reader, runContext());
  if (reader.problems.length > 0) throw new InputError(reader.problems);
  const { done, failed } = await takeBack(settings, state, AbortSignal.timeout(postMinutes * 60_000));
  for (const what of done) info(what);
  for (const what of failed)
    warning(`left behind: ${what.replace(/\.+$/, '')}. The next run on ${state.imageId} takes it back`);
}

post().catch((error: unknown) => warning(`the clean-up failed: ${explainLine(error)}`));
