// npm run e2e: the built action, end to end, in two accounts; see CONTRIBUTING.md. With AWS_ENDPOINT_URL unset these are
// AWS's own, and it costs money; with it, an emulator's; with --simulator, the simulator's.
//
//   npm run e2e -- [--simulator] [--keep] [scenario …]    runs the scenarios, or all; removes what they made unless told not to
//   npm run e2e -- list | cost | clean-up                 names them, as JSON | says what they cost | removes what a run made
//   npm run e2e -- prepare <scenario>                     makes its AMI alone, and leaves it
import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type ActionRun, type GithubContext, runJob } from '../simulator/runner.ts';
import { githubContext } from '../simulator/runner-environment.ts';
import { errorMessage } from '../src/aws/errors.ts';
import { problemsAfter, readKeyPolicy } from './checks.ts';
import { cleanUp } from './clean-up.ts';
import { openSandbox, readSettings, type Sandbox } from './sandbox.ts';
import { costOf, inputsOf, type Scenario, scenarios } from './scenarios.ts';
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

/** Runs one scenario. Gives what was not as it should be. */
async function play(sandbox: Sandbox, scenario: Scenario, github: GithubContext): Promise<string[]> {
  const { settings, runId } = sandbox;
  const amiId = await makeSourceAmi(sandbox, scenario);
  say(`The source AMI is ${amiId}.`);
  const regions = scenario.regions === 'one' ? [settings.targetRegion] : [settings.targetRegion, settings.otherRegion];
  const problems: string[] = [];
  for (const planned of scenario.runs) {
    const { ends } = planned;
    const all: Record<string, string> = {
      'ami-id': amiId,
      'source-region': settings.sourceRegion,
      'source-role-arn': settings.sourceRole,
      // Snapshots that are under a customer key all need no other.
      ...(scenario.volumes.includes('unencrypted') && { 'source-kms-key': settings.sourceKey }),
      'target-accounts': settings.targetAccount,
      'target-regions': regions.join(','),
      'target-role-arn': settings.targetRole,
      'target-kms-key': settings.targetKey,
      'timeout-minutes': '90',
      ...inputsOf(planned, runId),
    };
    const cancel = new AbortController();
    const run: ActionRun = {
      inputs: all,
      env: actionEnvironment(process),
      github,
      ...(ends === 'cancelled' && { signals: cancel.signal }),
      onLine(line) {
        say(`  ${line}`);
        if (ends === 'cancelled' && / copying \S+ \(\d+ GiB\) as snap-/.test(line)) cancel.abort();
      },
    };
    const keyPolicy = all['source-key-access'] === 'policy' ? await readKeyPolicy(sandbox) : undefined;
    const { main, post } = await runJob(run);
    const { conclusion, outputs } = main;
    const said = { conclusion, postConclusion: post.conclusion, outputs, inputs: all, keyPolicy };
    const found = await problemsAfter(sandbox, { amiId, regions, ends, ...said });
    problems.push(...found.map((problem) => `the run that was to end ${ends}: ${problem}`));
  }
  return problems;
}

/** Runs the scenarios one after another, and cleans up whatever becomes of them. Gives whether all went well. */
async function playAll(sandbox: Sandbox, chosen: readonly Scenario[], github: GithubContext) {
  const results: { name: string; problems: string[] }[] = [];
  try {
    for (const scenario of chosen) {
      const { name, what } = scenario;
      say(`::group::${name}: ${what}`);
      const problems = await play(sandbox, scenario, github).catch((error) => [errorMessage(error)]);
      say('::endgroup::');
      for (const problem of problems) say(`::error title=${name}::${problem}`);
      results.push({ name, problems });
    }
  } finally {
    if (!options.keep) await cleanUp(sandbox, say);
  }
  say(results.map(({ name, problems }) => `${problems.length === 0 ? '✓' : '✗'} ${name}`).join('\n'));
  return results.every(({ problems }) => problems.length === 0);
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
    const { env } = await startSimulatedSandbox();
    // What is set stays: it is how a scenario is made to fail.
    const settings = Object.entries(env).filter(([name]) => !(name.startsWith('E2E_') && process.env[name]));
    Object.assign(process.env, Object.fromEntries(settings));
  }
  const settings = readSettings(process.env);
  const github = contextOf(process);
  const runUrl = `${github.server_url}/${github.repository}/actions/runs/${github.run_id}`;
  const lagSeconds = options.simulator ? 0.2 : 5;
  const sandbox = openSandbox(settings, { runId: github.run_id, runUrl, lagSeconds }, stopped.signal);
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
  return playAll(sandbox, chosen, github);
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  say(`::error::${errorMessage(error)}`);
  process.exitCode = 1;
}
// A simulator would keep the process.
process.exit();
