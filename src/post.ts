import { explainLine } from './aws/errors.ts';
import { runContext } from './context.ts';
import type { Host } from './host.ts';
import { InputError, Reader } from './inputs/reader.ts';
import { readSettings } from './inputs/settings.ts';
import { yamlFor } from './inputs/yaml.ts';
import { savedLedger } from './ledger.ts';
import { oneLine } from './one-line.ts';
import { logText } from './report/text.ts';

/** The post step: takes back what the main step could not, if anything is left. It warns, and never fails the job. */
export async function post(host: Host): Promise<void> {
  const { runner } = host;
  const warn = (message: string) => runner.warning(logText(oneLine(message)));
  try {
    const { state, unread } = savedLedger(runner.savedState, host.files);
    for (const what of unread) warn(`some of what the run has to undo could not be read, and stays as it is: ${what}`);
    if (state === undefined) return;
    const reader = new Reader(runner.input, await yamlFor(runner.input));
    const context = runContext(host);
    // Another step may have set AWS_REGION to another region since.
    const settings = readSettings(reader, { ...context, defaultRegion: state.region || context.defaultRegion });
    if (reader.problems.length > 0) throw new InputError(reader.problems);
    const { takeBack } = await import('./take-back.ts');
    const { done, failed, warned } = await takeBack(host, settings, state);
    for (const what of warned) warn(what);
    for (const what of done) runner.info(logText(oneLine(what)));
    const next = state.imageId === '' ? '' : `. The next run on ${state.imageId} takes it back`;
    for (const what of failed) {
      const told = what.replace(/\.+$/, '');
      // What the run knew of is gone; what a call that was cut off made would be seen only later.
      if (state.isSettled) runner.info(logText(oneLine(`could not look again: ${told}`)));
      else warn(`left behind: ${told}${next}`);
    }
  } catch (error) {
    warn(`the clean-up failed: ${explainLine(error)}`);
  }
}
