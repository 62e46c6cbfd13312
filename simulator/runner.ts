// Plays the GitHub Actions runner for one step that uses a JavaScript action: its main, and its post.
// What it does and in which order is actions/runner's own (src/Runner.Worker: ActionRunner.cs, NodeScriptActionHandler.cs;
// the runner's other files are named where they count).
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { type Annotation, createStepLog, type LineListener, type StepLog } from './runner-commands.ts';
import {
  type GithubContext,
  githubContext,
  inputVariables,
  type JobFolders,
  machineEnvironment,
  readManifest,
  resolveInputs,
  runnerEnvironment,
} from './runner-environment.ts';
import { commandFileVariables, createCommandFiles, readCommandFiles } from './runner-files.ts';
import { createMasks, type Masks } from './runner-masks.ts';
import { type CancelPatience, startProcess, type Usage } from './runner-process.ts';

export type { Annotation, LineKind, LineListener } from './runner-commands.ts';
export type { GithubContext } from './runner-environment.ts';

const repository = resolve(import.meta.dirname, '..');
const node = join(repository, 'node_modules/node/bin/node');

export type LostVariable = 'RUNNER_TEMP' | 'GITHUB_OUTPUT' | 'GITHUB_STATE' | 'GITHUB_STEP_SUMMARY';

export type ActionRun = {
  /** `with:`. The defaults of action.yml are filled in; unknown inputs warn. */
  inputs: Record<string, string>;
  /** `env:`, over a clean environment. */
  env?: Record<string, string>;
  github?: Partial<GithubContext>;
  /** Files that an earlier step left in the workspace, by path. */
  files?: Record<string, string>;
  /** Files that an earlier step left in RUNNER_TEMP, by name. */
  temp?: Record<string, string>;
  /** Variables that name what isn't there and can't be made: as where a disk is full, or a folder another user's. */
  lost?: readonly LostVariable[];
  /** Secrets of the job: masked from the start. */
  secrets?: readonly string[];
  entry?: 'main' | 'post';
  /** What main saved, for `post`. */
  state?: Record<string, string>;
  /** The folder of action.yml; the repository's root unless named. */
  actionFolder?: string;
  /** When the job is cancelled: as the step prints its first line, so long after its start, or when this is aborted. */
  signals?: 'cancel' | { afterMs: number } | AbortSignal;
  /** How long a cancelled step has before SIGTERM, and then before SIGKILL. The runner's own times unless named. */
  cancelPatience?: CancelPatience;
  onLine?: LineListener;
};

export type ActionResult = {
  /** What the job sees: an exit code other than 0 fails, and so do malformed files and commands. */
  conclusion: 'success' | 'failure' | 'cancelled';
  exitCode: number | null;
  signal: string | null;
  outputs: Record<string, string>;
  state: Record<string, string>;
  /** What is in RUNNER_TEMP after the step, by name. */
  temp: Record<string, string>;
  /** The job summary as GitHub shows it: masked, and empty when it was too long. */
  summary: string;
  stdout: string;
  stderr: string;
  /** What GitHub's log would show. */
  log: string;
  annotations: Annotation[];
  /** What the step asked to have masked. */
  masks: string[];
  /** The outputs that reach another job: empty ones and those that hold a masked string don't (JobExtension.cs). */
  jobOutputs: Record<string, string>;
  /** What the step left in GITHUB_ENV and GITHUB_PATH for the steps after it. */
  exported: { env: Record<string, string>; path: string[] };
  seconds: number;
  usage: Usage;
};

export type RunningAction = {
  /** Undefined when the process could not be started. */
  pid: number | undefined;
  result: Promise<ActionResult>;
  /** As the Cancel button: SIGINT, SIGTERM if that didn't end it, then the tree is killed. */
  cancel(): void;
  /** As a machine that dies, or a container job that is cancelled: the tree is killed with no warning. */
  kill(): void;
  /** Calls back for each further line of the log; gives what stops it. */
  onLine(listener: LineListener): () => void;
};

type Job = { folders: JobFolders; masks: Masks; env: Record<string, string>; path: string[]; remove(): void };

// A test run or a demo that ends early leaves no folder behind, either.
const roots = new Set<string>();
process.once('exit', () => {
  for (const root of roots) rmSync(root, { recursive: true, force: true });
});

function createJob(run: ActionRun): Job {
  const root = mkdtempSync(join(tmpdir(), 'actions-runner-'));
  const folders = {
    root,
    workspace: join(root, 'workspace'),
    temp: join(root, '_temp'),
    toolCache: join(root, 'tools'),
    // A home of its own: the action must not find the developer's AWS profile.
    home: join(root, 'home'),
    event: join(root, '_temp/_github_workflow/event.json'),
  };
  for (const folder of [folders.workspace, folders.toolCache, folders.home, dirname(folders.event)]) {
    mkdirSync(folder, { recursive: true });
  }
  writeFileSync(folders.event, JSON.stringify(githubContext(run.github).event));
  for (const [path, text] of Object.entries(run.files ?? {})) {
    const file = join(folders.workspace, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  for (const [name, text] of Object.entries(run.temp ?? {})) writeFileSync(join(folders.temp, name), text);
  // The runner masks its own tokens; whoever put credentials into the environment masks them, as
  // configure-aws-credentials does.
  const tokens = ['ACTIONS_ID_TOKEN_REQUEST_TOKEN', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'];
  const masked = [githubContext(run.github).token, ...tokens.map((name) => run.env?.[name] ?? '')];
  const secrets = [...(run.secrets ?? []), ...masked].filter((one) => one !== '');
  roots.add(root);
  const remove = () => {
    rmSync(root, { recursive: true, force: true, maxRetries: 3 });
    roots.delete(root);
  };
  return { folders, masks: createMasks(secrets), env: {}, path: [], remove };
}

/** The group that heads the log of a step (Handler.cs, PrintActionDetails). */
function describeStep(
  log: StepLog,
  run: ActionRun,
  { github, inputs }: Readonly<{ github: GithubContext; inputs: ReadonlyMap<string, string> }>,
): void {
  if (run.entry === 'post') {
    log.write('Post job cleanup.');
    return;
  }
  log.read(`::group::Run ${github.action_repository}@${github.action_ref}`);
  const blocks = {
    with: [...inputs],
    env: Object.entries(run.env ?? {}).filter(([name]) => !name.startsWith('ACTIONS_')),
  };
  for (const [title, entries] of Object.entries(blocks)) {
    const filled = entries.filter(([, value]) => value !== '');
    if (filled.length > 0) log.write(`${title}:`);
    for (const [name, value] of filled) log.write(`  ${name}: ${value}`);
  }
  log.read('::endgroup::');
}

function stepEnvironment(run: ActionRun, job: Job, step: Record<string, string>): Record<string, string> {
  const machine = machineEnvironment(job.folders);
  const state = Object.entries(run.state ?? {}).map(([name, value]) => [`STATE_${name}`, value] as const);
  const lost = (run.lost ?? []).map((name) => [name, join(job.folders.root, 'lost', name)] as const);
  return {
    ...machine,
    ...run.env,
    ...job.env,
    ...Object.fromEntries(state),
    ...step,
    ...runnerEnvironment(githubContext(run.github), job.folders),
    ...Object.fromEntries(lost),
    PATH: [...job.path.toReversed(), run.env?.PATH ?? machine.PATH].join(delimiter),
  };
}

function filesIn(folder: string): Record<string, string> {
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(files.map(({ name }) => [name, readFileSync(join(folder, name), 'utf8')]));
}

/** Cancels when `signals` says so; gives what takes that back. */
function cancelWhen(signals: ActionRun['signals'], cancel: () => void): () => void {
  if (signals === undefined || signals === 'cancel') return () => {};
  if ('afterMs' in signals) {
    const timer = setTimeout(cancel, signals.afterMs);
    return () => clearTimeout(timer);
  }
  if (signals.aborted) cancel();
  signals.addEventListener('abort', cancel);
  return () => signals.removeEventListener('abort', cancel);
}

function startStep(run: ActionRun, job: Job): RunningAction {
  const started = performance.now();
  const entry = run.entry ?? 'main';
  const folder = resolve(run.actionFolder ?? repository);
  const manifest = readManifest(folder);
  const script = manifest.runs[entry];
  if (script === undefined) throw new Error(`action.yml names no ${entry}`);
  const github = githubContext(run.github);
  const { inputs, warnings } = resolveInputs(manifest, run.inputs, github);
  const files = createCommandFiles(job.folders.temp);

  const listeners = new Set<LineListener>(run.onLine ? [run.onLine] : []);
  const log = createStepLog(job.masks, run.env?.RUNNER_DEBUG === '1', (line, kind) => {
    for (const listener of listeners) listener(line, kind);
  });
  for (const message of warnings) log.annotate({ level: 'warning', message });
  describeStep(log, run, { github, inputs });

  let cancelsAtLine = run.signals === 'cancel';
  const running = startProcess({
    program: node,
    script: join(folder, script),
    folder: job.folders.workspace,
    environment: stepEnvironment(run, job, { ...inputVariables(inputs), ...commandFileVariables(files) }),
    ...(run.cancelPatience && { cancelPatience: run.cancelPatience }),
    onLine(line) {
      log.read(line);
      if (cancelsAtLine) running.cancel();
      cancelsAtLine = false;
    },
  });
  const stopWatching = cancelWhen(run.signals, running.cancel);

  const result = running.ended.then((end): ActionResult => {
    stopWatching();
    if (end.problem !== undefined) log.fail(end.problem);
    const filed = readCommandFiles(files, log, job.masks);
    if (end.cancelled) log.annotate({ level: 'error', message: 'The operation was canceled.' });
    const outputs = { ...Object.fromEntries(log.outputs), ...filed.outputs };
    const crosses = (value: string) => value !== '' && job.masks.apply(value) === value;
    return {
      conclusion: end.cancelled ? 'cancelled' : log.failed || end.exitCode !== 0 ? 'failure' : 'success',
      exitCode: end.exitCode,
      signal: end.signal,
      outputs,
      state: { ...Object.fromEntries(log.state), ...filed.state },
      temp: filesIn(job.folders.temp),
      summary: filed.summary,
      stdout: end.stdout,
      stderr: end.stderr,
      log: log.lines.map((line) => `${line}\n`).join(''),
      annotations: [...log.annotations],
      masks: [...log.masked],
      jobOutputs: Object.fromEntries(Object.entries(outputs).filter(([, value]) => crosses(value))),
      exported: filed.exported,
      seconds: (performance.now() - started) / 1000,
      usage: end.usage,
    };
  });

  const onLine = (listener: LineListener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return { pid: running.pid, result, cancel: running.cancel, kill: running.kill, onLine };
}

/** Starts one entry of the action; all that was made for it is gone when `result` settles. */
export function startAction(run: ActionRun): RunningAction {
  const job = createJob(run);
  try {
    const running = startStep(run, job);
    return { ...running, result: running.result.finally(job.remove) };
  } catch (error) {
    job.remove();
    throw error;
  }
}

/** Runs one entry of the action to its end. */
export async function runAction(run: ActionRun): Promise<ActionResult> {
  return startAction(run).result;
}

/**
 * Runs main, then post with main's state in the same workspace, also after a failure or a cancel; `signals` are main's.
 * On a runner that is itself being shut down no post runs: `runAction` alone plays that.
 */
export async function runJob(run: ActionRun): Promise<{ main: ActionResult; post: ActionResult }> {
  const condition = readManifest(resolve(run.actionFolder ?? repository)).runs['post-if'] ?? 'always()';
  if (condition !== 'always()') throw new Error(`this runner cannot evaluate post-if: ${condition}`);
  const { signals, ...quiet } = run;
  const job = createJob(run);
  try {
    const main = await startStep({ ...quiet, entry: 'main', ...(signals !== undefined && { signals }) }, job).result;
    Object.assign(job.env, main.exported.env);
    job.path.push(...main.exported.path);
    const post = await startStep({ ...quiet, entry: 'post', state: main.state }, job).result;
    return { main, post };
  } finally {
    job.remove();
  }
}
