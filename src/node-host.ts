import { randomUUID } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import * as core from '@actions/core';
import { context } from '@actions/github';
import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { clientDefaults } from './aws/clients.ts';
import type { Files, Host, Runner } from './host.ts';
import { thisMachine } from './machine.ts';
import { readTextFile } from './text-file.ts';
import { systemClock } from './time.ts';

/*
 * How connections are kept. One that was idle for long may be closed at the other end just as a call is sent on it, and of
 * a call that makes something it can't be told then whether it was made; so idle ones go early, or by the server's own
 * Keep-Alive hint, which Node heeds only where a `timeout` is set: https://nodejs.org/api/http.html#new-agentoptions
 * Node's agents read the proxy variables; the SDK does not do it by itself.
 */
const connections = { keepAlive: true, timeout: 4000, maxSockets: 256, proxyEnv: process.env };

/** The process that this is, on the runner that it was started by. */
export function nodeHost(): Host {
  const http = new NodeHttpHandler({
    connectionTimeout: 10_000,
    // A hung connection must not hang the run.
    requestTimeout: 60_000,
    throwOnRequestTimeout: true,
    httpAgent: new HttpAgent(connections),
    httpsAgent: new HttpsAgent(connections),
  });
  return {
    env: process.env,
    workflow: context,
    clock: systemClock,
    runner: actionsRunner,
    machine: thisMachine(),
    http,
    ambientCredentials: defaultProvider({ clientConfig: { ...clientDefaults, requestHandler: http } }),
    files: systemFiles,
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
