import { randomUUID } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import * as core from '@actions/core';
import { context } from '@actions/github';
import type { Files, Host, Runner } from './host.ts';
import { thisMachine } from './machine.ts';
import type { Network } from './network.ts';
import { readTextFile } from './text-file.ts';
import { systemClock } from './time.ts';

/** The process that this is, on the runner that it was started by. */
export function nodeHost(): Host {
  return {
    env: process.env,
    workflow: context,
    clock: systemClock,
    runner: actionsRunner,
    machine: thisMachine(),
    ...networkByNeed(),
    files: systemFiles,
  };
}

/**
 * The network as the first call finds it: the SDK, and Node's http and https, which alone take as long to load as an empty
 * process does. What asks AWS nothing goes without them.
 */
function networkByNeed(): Network {
  let opened: Promise<Network> | undefined;
  const network = () => {
    opened ??= import('./network.ts').then(({ openNetwork }) => openNetwork());
    return opened;
  };
  return {
    http: { handle: async (request, options) => (await network()).http.handle(request, options) },
    ambientCredentials: async () => (await network()).ambientCredentials(),
  };
}

const systemFiles: Files = {
  temp: process.env.RUNNER_TEMP || undefined,
  read: readTextFile,
  write(path, content) {
    const beside = `${path}.${randomUUID()}`;
    writeFileSync(beside, content, { mode: 0o600, flag: 'wx' });
    renameSync(beside, path);
  },
};

const actionsRunner: Runner = {
  input: (name) => core.getInput(name, { trimWhitespace: false }),
  savedState: core.getState,
  saveState: core.saveState,
  setOutput: core.setOutput,
  mask: core.setSecret,
  info: core.info,
  warning: (message, title) => core.warning(message, title === undefined ? {} : { title }),
  error: (message, title) => core.error(message, title === undefined ? {} : { title }),
  startGroup: core.startGroup,
  endGroup: core.endGroup,
  async writeSummary(markdown) {
    // Outside a workflow there is none.
    if (process.env.GITHUB_STEP_SUMMARY) await core.summary.addRaw(markdown, true).write();
  },
  fail() {
    process.exitCode = core.ExitCode.Failure;
  },
};
