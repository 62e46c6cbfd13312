import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { playAll } from '../e2e/play.ts';
import { openSandbox, readSettings } from '../e2e/sandbox.ts';
import { scenarios } from '../e2e/scenarios.ts';
import { startSimulatedSandbox } from '../e2e/simulated.ts';
import { githubContext } from '../simulator/runner-environment.ts';
import { nodeHost } from '../src/node-host.ts';
import { handlerOf, runJob, startSimulator } from './in-process.ts';

const repository = join(import.meta.dirname, '..');

type Ended = { code: number; output: string };

/** `npm run e2e -- …` as a developer runs it, with no variable of this one's environment but those named. */
function e2e(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const node = join(repository, 'node_modules/node/bin/node');
  return new Promise((resolve) => {
    const options = { cwd: repository, env: { PATH: process.env.PATH ?? '', ...env }, maxBuffer: 2 ** 24 };
    const child = execFile(node, ['e2e/e2e.ts', ...args], options, (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, output: stdout + stderr }),
    );
  });
}

const names = scenarios.map(({ name }) => name);

test('every scenario ends well on the simulator, by the word of the accounts, and nothing is left', async () => {
  const simulator = await startSimulatedSandbox(startSimulator);
  const { env, clock } = simulator;
  const node = nodeHost();
  const host = { ...node, env, clock, http: handlerOf(simulator), runner: { ...node.runner, mask: () => {} } };
  const github = githubContext({ run_id: '4711' });
  const runUrl = `${github.server_url}/${github.repository}/actions/runs/${github.run_id}`;
  const from = { host, signal: new AbortController().signal };
  const sandbox = openSandbox(readSettings(env), { runId: github.run_id, runUrl, lagSeconds: 5 }, from);
  const lines: string[] = [];
  const say = (line: string) => lines.push(...line.split('\n'));
  const went = await playAll({ sandbox, github, env, runJob, say, keep: false }, scenarios);
  expect(lines.join('\n')).not.toMatch(/::error/);
  expect(lines.slice(-names.length)).toEqual(names.map((name) => `✓ ${name}`));
  expect(went).toBe(true);
  await simulator.close();
});

/** By the command, one is played by day, and all at night, several at once, since they wait most of their time. */
const played =
  process.env.NIGHTLY === 'true'
    ? [...Map.groupBy(names, (name, index) => (['cancel', 'key-policy'].includes(name) ? name : index % 3)).values()]
    : [['unencrypted']];

test.concurrent.each(played)(
  'the command plays them with dist/: %s …',
  async (...part) => {
    const { code, output } = await e2e(['--simulator', ...part]);
    expect(output).not.toMatch(/::error/);
    expect(output.trimEnd().split('\n').slice(-part.length)).toEqual(part.map((name) => `✓ ${name}`));
    expect(code).toBe(0);
  },
  300_000,
);

test.concurrent('a scenario that ends otherwise is told, fails the command, and is cleaned up after all the same', async () => {
  const { code, output } = await e2e(['--simulator', 'customer-key'], { E2E_TARGET_KEY: 'alias/none' });
  expect(output).toMatch(/::error title=customer-key::.*main ended in failure, not in success/);
  expect(output).toMatch(/::error title=customer-key::.*eu-west-1 has no AMI/);
  expect(output).toMatch(/pass 1: ami-\w+ in 111111111111\/us-east-1/);
  expect(output).toMatch(/✗ customer-key/);
  expect(code).toBe(1);
}, 120_000);

test.concurrent('variables that are not set are named together; so is a scenario that is not there', async () => {
  expect(() => readSettings({ E2E_SOURCE_ACCOUNT: '111111111111' })).toThrow(
    /not set: E2E_SOURCE_REGION, E2E_SOURCE_ROLE, .*E2E_TARGET_KEY$/,
  );
  const missing = await e2e(['cost']);
  expect(missing.output).toMatch(/^::error::these variables are not set: E2E_SOURCE_ACCOUNT, /);
  expect(missing.code).toBe(1);
  const unknown = await e2e(['--simulator', 'customer-keys']);
  expect(unknown.output).toMatch(/::error::no such scenario: customer-keys\. There are dry-run, /);
  expect(unknown.code).toBe(1);
});

test.concurrent('the cost is told before anything is made', async () => {
  const { code, output } = await e2e(['--simulator', 'cost', 'two-regions']);
  // One source snapshot, one encrypted copy, two targets' copies.
  expect(output).toMatch(/at most: 0\.31 USD/);
  expect(output).toMatch(/\| snapshots, for an hour \| 4 GiB at 0\.07 a month \|/);
  expect(output).toMatch(/\| transfer between regions \| 2 GiB at 0\.15 \| 0\.300 \|/);
  expect(code).toBe(0);
});

test.concurrent('the workflow hands over every variable, and takes its scenarios from the list', async () => {
  const text = readFileSync(join(repository, '.github/workflows/e2e.yml'), 'utf8');
  const { env } = parse(text) as { env: Record<string, string> };
  expect(() => readSettings(env)).not.toThrow();
  for (const [name, value] of Object.entries(env)) expect(value).toBe(`\${{ vars.${name} }}`);
  const { output } = await e2e(['list']);
  expect(JSON.parse(output)).toEqual(names);
});
