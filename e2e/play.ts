// How the scenarios are played, by whichever runner: npm run e2e starts dist/ as GitHub's does, and a test has one of its own.
import type { ActionResult, ActionRun, GithubContext } from '../simulator/runner.ts';
import { errorMessage } from '../src/aws/errors.ts';
import { problemsAfter, readKeyPolicy } from './checks.ts';
import { cleanUp } from './clean-up.ts';
import type { Sandbox } from './sandbox.ts';
import { inputsOf, type Scenario } from './scenarios.ts';
import { makeSourceAmi } from './source-ami.ts';

/** What it takes to play scenarios. */
export type Stage = Readonly<{
  sandbox: Sandbox;
  github: GithubContext;
  /** What the action gets of the environment. */
  env: Record<string, string>;
  /** Runs main, then post. */
  runJob: (run: ActionRun) => Promise<{ main: ActionResult; post: ActionResult }>;
  say: (line: string) => void;
  /** Leaves there what was made. */
  keep: boolean;
}>;

/** Runs one scenario. Gives what was not as it should be. */
async function play({ sandbox, github, env, runJob, say }: Stage, scenario: Scenario): Promise<string[]> {
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
      // Snapshots that are under a customer managed key all need no other.
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
      env,
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
export async function playAll(stage: Stage, chosen: readonly Scenario[]): Promise<boolean> {
  const { sandbox, say, keep } = stage;
  const results: { name: string; problems: string[] }[] = [];
  try {
    for (const scenario of chosen) {
      const { name, what } = scenario;
      say(`::group::${name}: ${what}`);
      const problems = await play(stage, scenario).catch((error) => [errorMessage(error)]);
      say('::endgroup::');
      for (const problem of problems) say(`::error title=${name}::${problem}`);
      results.push({ name, problems });
    }
  } finally {
    if (!keep) await cleanUp(sandbox, say);
  }
  say(results.map(({ name, problems }) => `${problems.length === 0 ? '✓' : '✗'} ${name}`).join('\n'));
  return results.every(({ problems }) => problems.length === 0);
}
