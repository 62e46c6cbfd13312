// npm run e2e: the built action, end to end, in two accounts; see CONTRIBUTING.md. With AWS_ENDPOINT_URL unset these are
// AWS's own, and it costs money; with it, an emulator's; with --simulator, the simulator's.
//
//   npm run e2e -- [--simulator] [--keep] [scenario …]    runs the scenarios, or all; removes what they made unless told not to
//   npm run e2e -- list | cost | clean-up                 names them, as JSON | says what they cost | removes what a run made
//   npm run e2e -- prepare <scenario>                     makes its AMI alone, and leaves it
import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type GithubContext, runJob } from '../simulator/runner.ts';
import { githubContext } from '../simulator/runner-environment.ts';
import { errorMessage } from '../src/aws/errors.ts';
import { nodeHost } from '../src/node-host.ts';
import { cleanUp } from './clean-up.ts';
import { playAll } from './play.ts';
import { openSandbox, readSettings } from './sandbox.ts';
import { costOf, type Scenario, scenarios } from './scenarios.ts';
import { makeSourceAmi } from './source-ami.ts';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { simulator: { type: 'boolean' }, keep: { type: 'boolean' } },
});
const say = (line: string) => console.log(line);

/** GitHub's context where this runs in a workflow; else a run of its own, which E2E_RUN_ID names again. */
function contextOf({ env }: NodeJS.Process): GithubContext {
  const known = {
    repository: env.GITHUB_REPOSITORY,
    server_url: env.GITHUB_SERVER_URL,
    sha: env.GITHUB_SHA,
    ref: env.GITHUB_REF,
    run_attempt: env.GITHUB_RUN_ATTEMPT,
  };
  const given = Object.fromEntries(Object.entries(known).filter(([, value]) => value));
  return githubContext({ ...given, run_id: env.GITHUB_RUN_ID ?? env.E2E_RUN_ID ?? String(Date.now()) });
}

/** What the action's process gets of this one's environment: the way to AWS, and to the runner's ID tokens. */
function actionEnvironment({ env }: NodeJS.Process): Record<string, string> {
  const passed = /^(AWS_|ACTIONS_ID_TOKEN_REQUEST_|NODE_EXTRA_CA_CERTS$|(https?|no)_proxy$)/i;
  return Object.fromEntries(Object.entries(env).filter(([name]) => passed.test(name))) as Record<string, string>;
}

function choose(names: readonly string[]): readonly Scenario[] {
  const unknown = names.filter((name) => !scenarios.some((scenario) => scenario.name === name));
  const known = scenarios.map(({ name }) => name).join(', ');
  if (unknown.length > 0) throw new Error(`no such scenario: ${unknown.join(', ')}. There are ${known}.`);
  return names.length === 0 ? scenarios : scenarios.filter(({ name }) => names.includes(name));
}

async function main(): Promise<boolean> {
  const [command = '', ...rest] = positionals;
  if (command === 'list') {
    say(JSON.stringify(scenarios.map(({ name }) => name)));
    return true;
  }
  const stopped = new AbortController();
  process.once('SIGINT', () => stopped.abort(new Error('interrupted')));
  if (options.simulator) {
    const { startSimulatedSandbox } = await import('./simulated.ts');
    const { startSimulator } = await import('../simulator/simulator.ts');
    const { env } = await startSimulatedSandbox(startSimulator);
    // What is set stays: it is how a scenario is made to fail.
    const settings = Object.entries(env).filter(([name]) => !(name.startsWith('E2E_') && process.env[name]));
    Object.assign(process.env, Object.fromEntries(settings));
  }
  const settings = readSettings(process.env);
  const github = contextOf(process);
  const runUrl = `${github.server_url}/${github.repository}/actions/runs/${github.run_id}`;
  const lagSeconds = options.simulator ? 0.2 : 5;
  const from = { host: nodeHost(), signal: stopped.signal };
  const sandbox = openSandbox(settings, { runId: github.run_id, runUrl, lagSeconds }, from);
  if (command === 'cost') {
    say(costOf(choose(rest)));
    return true;
  }
  if (command === 'clean-up') {
    await cleanUp(sandbox, say);
    return true;
  }
  if (command === 'prepare') {
    const [scenario] = choose(rest);
    if (scenario === undefined || rest.length !== 1) throw new Error('prepare takes the name of one scenario');
    const output = `ami-id=${await makeSourceAmi(sandbox, scenario)}`;
    say(output);
    if (process.env.GITHUB_OUTPUT) appendFileSync(process.env.GITHUB_OUTPUT, `${output}\n`);
    return true;
  }
  const chosen = choose(positionals);
  say(
    `${costOf(chosen)}\n\nTo remove what this run makes, should it be cut off: E2E_RUN_ID=${github.run_id} npm run e2e -- clean-up\n`,
  );
  const env = actionEnvironment(process);
  return playAll({ sandbox, github, env, runJob, say, keep: options.keep === true }, chosen);
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  say(`::error::${errorMessage(error)}`);
  process.exitCode = 1;
}
// A simulator would keep the process.
process.exit();
