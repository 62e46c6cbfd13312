// npm run demo: the built action at work on a simulated AWS, as GitHub would show it. Nothing leaves this machine.
import { stripVTControlCharacters, styleText } from 'node:util';
import { type ActionResult, type LineKind, runJob } from '../simulator/runner.ts';
import { type Case, fanOut, procedure } from '../simulator/scenarios/standard.ts';
import { startSimulator } from '../simulator/simulator.ts';

type Style = Parameters<typeof styleText>[0];
type Scene = { title: string; story: string; case: Case };

// An hour's copy takes seconds here, and long enough to be seen.
const timings = { secondsPerGiB: 0.4, baseSeconds: 0.5, latencyMs: 15 };

const scenes: Scene[] = [
  {
    title: 'One AMI to one account and region',
    story:
      'An unencrypted AMI of account 111111111111 in us-east-1 goes to account 999999999999 in eu-west-1,\n' +
      'encrypted under that account’s own key: AWS’s procedure, from its first step to its last.',
    case: procedure({ timings }),
  },
  {
    title: 'The same AMI to two accounts in three regions',
    story: 'One encrypted copy serves six targets, which run at once, each under its own account’s and region’s key.',
    case: fanOut({ timings }),
  },
];

const isTerminal = process.stdout.isTTY === true;
const width = Math.min(process.stdout.columns ?? 120, 120);
const styles: Record<LineKind, Style> = {
  ...{ text: 'reset', group: 'bold', debug: 'magenta', error: 'red', warning: 'yellow', notice: 'blue' },
};

/** Styled on a terminal, and plain where it goes into a file (or NO_COLOR asks for it). */
const styled = (style: Style, text: string) => styleText(style, text, { stream: process.stdout });
const print = (text = '') => process.stdout.write(`${isTerminal ? text : stripVTControlCharacters(text)}\n`);
const heading = (text: string) => print(`\n${styled(['bold', 'cyan'], text)}`);

function block(text: string): void {
  for (const line of text.trimEnd().split('\n')) print(`  ${line}`);
}

/** An account's picture, its long lines of tags cut. */
function showAccounts(picture: string): void {
  block(picture.replaceAll(new RegExp(`^(.{${width - 4}}).+$`, 'gm'), '$1…'));
}

/** A value on one line, cut where it would fill the screen. */
function brief(value: string): string {
  const line = value.replaceAll(/\s+/g, ' ');
  return line.length <= width - 24 ? line : `${line.slice(0, width - 48)}… (${value.length} characters)`;
}

function showValues(values: Record<string, string>): void {
  for (const [name, value] of Object.entries(values)) print(`  ${name.padEnd(18)} ${brief(value)}`);
}

/** Prints the log's lines as they come. The group that repeats every input, defaults too, stays folded, as on GitHub. */
function createLogView(): (line: string, kind: LineKind) => void {
  let isFolded = false;
  return (line, kind) => {
    isFolded = line.startsWith('▼ Run ') || (isFolded && line.startsWith('  '));
    if (!isFolded) print(`  ${kind === 'text' ? line : styled(styles[kind], line)}`);
    else if (kind === 'group') print(`  ${styled('bold', line.replace('▼', '▶'))}`);
  };
}

function showResult({ outputs, summary, annotations }: ActionResult): void {
  heading('The step’s outputs');
  showValues(outputs);
  heading('The annotations on the run’s page');
  for (const { level, title, message } of annotations) {
    block(styled(styles[level], [title, message].filter(Boolean).join(': ')));
  }
  if (annotations.length === 0) print('  none');
  heading('The job summary, as markdown');
  block(summary);
}

/** Runs the action on a scenario, showing all of it; true if it succeeded. */
async function play(
  { title, story, case: { scenario, inputs } }: Scene,
  number: number,
  cancel: AbortSignal,
): Promise<boolean> {
  await using cleanUp = new AsyncDisposableStack();
  const simulator = await startSimulator(scenario);
  cleanUp.defer(() => simulator.close());
  print(`\n${styled(['bold', 'inverse'], ` ${number}. ${title} `.padEnd(isTerminal ? width : 0))}`);
  print(story);
  heading('What the workflow gives');
  showValues(inputs);
  heading('The accounts before');
  showAccounts(simulator.describe());
  heading('The job’s log, as GitHub shows it');
  const { main, post } = await runJob({
    inputs: { ...inputs, 'poll-interval': '1' },
    env: simulator.env,
    signals: cancel,
    onLine: createLogView(),
  });
  showResult(main);
  heading('The accounts after');
  showAccounts(simulator.describe());
  const succeeded = main.conclusion === 'success' && post.conclusion === 'success';
  const calls = `${simulator.calls.length} calls to AWS in ${main.seconds.toFixed(1)} s`;
  heading(
    succeeded
      ? `Done: ${calls}.`
      : `The job ended in ${main.conclusion}, its post step in ${post.conclusion}; ${calls}.`,
  );
  return succeeded;
}

// Whoever reads this through `head` has seen enough.
process.stdout.on('error', () => process.exit(1));

// The first Ctrl-C is the Cancel button: the action still cleans up. The second one ends everything.
const cancel = new AbortController();
process.once('SIGINT', () => {
  cancel.abort();
  process.once('SIGINT', () => process.exit(130));
});

print(
  'The action is about to share an AMI with one target, then with six, on a simulated AWS; it takes half a minute.',
);
print('It is the one that dist/ holds, and AWS is on this machine: no account, no network, nothing to pay.');
let succeeded = true;
for (const [index, scene] of scenes.entries()) {
  if (!cancel.signal.aborted) succeeded = (await play(scene, index + 1, cancel.signal)) && succeeded;
}
process.exitCode = succeeded && !cancel.signal.aborted ? 0 : 1;
