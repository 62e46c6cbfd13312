import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { HttpResponse } from '@smithy/core/protocols';
import type { ActionResult, ActionRun, LostVariable } from '../simulator/runner.ts';
import { createStepLog } from '../simulator/runner-commands.ts';
import { githubContext, readManifest, resolveInputs } from '../simulator/runner-environment.ts';
import { createMasks } from '../simulator/runner-masks.ts';
import type { Scenario } from '../simulator/scenario.ts';
import * as served from '../simulator/simulator.ts';
import { auditAction } from '../src/actions/audit.ts';
import { recallAction } from '../src/actions/recall.ts';
import { shareAction } from '../src/actions/share.ts';
import { sweepAction } from '../src/actions/sweep.ts';
import type { Host } from '../src/host.ts';
import type { ActionName } from '../src/inputs/actions.ts';
import { main } from '../src/main.ts';
import { post } from '../src/post.ts';
import { CancelError } from '../src/time.ts';
import { checkDeeds, checkUndoing, type Operation, operationsOf, type Stock, stockOf, withoutTaken } from './deeds.ts';
import { openVirtualClock, type VirtualClock } from './virtual-clock.ts';

/*
 * The action in this very process, through the code that dist/ holds, against a simulator without sockets and on a clock
 * that doesn't wait. Nothing is shared between two runs but the AWS that their environments name: what a run finds around
 * it is made here for it alone. The functions are those of simulator/runner.ts, which runs dist/ in a process of its own.
 */

/** A simulator in this process, with the clock that it and all runs on it go by. */
export type Simulator = served.Simulator & Readonly<{ clock: VirtualClock }>;

export type InProcessRun = ActionRun &
  Readonly<{
    /** Which of the repository's actions it is; else the main one. */
    action?: ActionName;
    /** The machine that it is on; else all are on one. */
    machine?: string;
    /** By how much its machine's clock is fast, or slow where it is negative: the time that is told, not how it passes. */
    clockAheadMs?: number;
    /** Is told of each write to one of the runner's files before; what it throws, the step meets. */
    onWrite?: (file: 'state' | 'output' | 'summary') => void;
  }>;

export type RunningAction = Readonly<{
  /** What its calls are recorded under. */
  client: string;
  result: Promise<ActionResult>;
  /** As the Cancel button. */
  cancel(): void;
  /** As a machine that dies: nothing of the run happens any more. */
  kill(): void;
}>;

/** The simulators that are open, by the endpoint that leads to them. */
const endpoints = new Map<string, Simulator>();
let opened = 0;

export async function startSimulator(scenario: Scenario): Promise<Simulator> {
  const clock = openVirtualClock();
  // The SDK signs by the clock of the tests' own machine, however late it is here.
  const timings = { signatureSeconds: Number.POSITIVE_INFINITY, ...scenario.timings };
  const simulator = await served.startSimulator({ ...scenario, timings }, { clock, listen: false });
  const url = `http://simulator-${++opened}.invalid`;
  const close = async () => {
    endpoints.delete(url);
    await simulator.close();
  };
  const open = { ...simulator, clock, url, env: { ...simulator.env, AWS_ENDPOINT_URL: url }, close };
  endpoints.set(url, open);
  return open;
}

/** The machines' processes that are alive, for leases. */
const alive = new Set<string>();
let processes = 0;

const repository = new URL('..', import.meta.url).pathname;
const manifests: Readonly<Record<ActionName, ReturnType<typeof readManifest>>> = {
  share: readManifest(repository),
  sweep: readManifest(join(repository, 'sweep')),
  audit: readManifest(join(repository, 'audit')),
  recall: readManifest(join(repository, 'recall')),
};

function play(name: ActionName, host: Host, cancelled: AbortSignal): Promise<void> {
  switch (name) {
    case 'share':
      return main(host, cancelled, shareAction);
    case 'sweep':
      return main(host, cancelled, sweepAction);
    case 'audit':
      return main(host, cancelled, auditAction);
    case 'recall':
      return main(host, cancelled, recallAction);
  }
}

/** What main was to do, by the state that it saved for post, and what was there before. */
const planned = new WeakMap<object, Readonly<{ operations: readonly Operation[]; before: Stock }>>();

/**
 * Holds what a step did against the plan: main's own, or for post main's by the state that it is given. Calls by no client
 * of this process, such as the test's own, are nobody's.
 */
function openDeeds({ world, calls }: Simulator, client: string) {
  const before = stockOf(world);
  const own = () => calls.filter((call) => call.client === client);
  return {
    ofMain({ outputs, state, temp }: ActionResult): string[] {
      // The output itself may be the plan's totals.
      const operations = operationsOf(temp[basename(outputs['plan-file'] ?? '')] ?? outputs.plan);
      if (operations !== undefined) planned.set(state, { operations, before: withoutTaken(own(), before) });
      return checkDeeds(own(), operations, before);
    },
    ofPost(state: object | undefined): string[] {
      const plan = state && planned.get(state);
      return plan === undefined ? [] : checkUndoing(own(), plan.operations, plan.before);
    },
  };
}

/** RUNNER_TEMP of every run; the files there are each run's own. */
const tempFolder = '/home/runner/work/_temp';

function missing(path: string): never {
  throw new Error(`ENOENT: no such file or directory, open '${path}'`);
}

/** Starts main or post. */
export function startAction(run: InProcessRun): RunningAction {
  const simulator = endpoints.get(run.env?.AWS_ENDPOINT_URL ?? '');
  if (simulator === undefined) throw new Error('no simulator is open at the AWS_ENDPOINT_URL of the run');
  const { clock } = simulator;
  const github = githubContext(run.github);
  const { action = 'share' } = run;
  const { inputs, warnings } = resolveInputs(manifests[action], run.inputs, github);
  const env: Record<string, string> = { ...run.env, GITHUB_EVENT_NAME: github.event_name };
  if (github.repository !== '') env.GITHUB_REPOSITORY = github.repository;
  const masks = createMasks([...(run.secrets ?? []), github.token]);
  const log = createStepLog(masks, false, (line, kind) => run.onLine?.(line, kind));
  for (const message of warnings) log.annotate({ level: 'warning', message });
  const outputs = new Map<string, string>();
  const state = new Map<string, string>();
  const temp = new Map(Object.entries(run.temp ?? {}).map(([file, text]) => [join(tempFolder, file), text]));
  const lost = (variable: LostVariable) => run.lost?.includes(variable) === true;
  const asked: string[] = [];
  const name = `process-${++processes}`;
  alive.add(name);
  const cancelled = new AbortController();
  let killed = false;
  let failed = false;
  let summary = '';
  const printedLines: string[] = [];
  /** A run that was killed goes on nowhere. */
  const living = async <T>(work: () => Promise<T>): Promise<T> => {
    if (killed) return new Promise(() => {});
    try {
      const result = await work();
      return killed ? await new Promise(() => {}) : result;
    } catch (error) {
      if (killed) return new Promise(() => {});
      throw error;
    }
  };
  const print = (act: () => void): void => {
    if (killed) return;
    act();
    if (run.signals === 'cancel') cancel();
  };
  const cancel = () => cancelled.abort(new CancelError('the run was cancelled (SIGINT)'));

  const http = handlerOf(simulator, name);
  const host: Host = {
    env,
    workflow: {
      serverUrl: github.server_url,
      runId: Number.parseInt(github.run_id, 10),
      runAttempt: Number.parseInt(github.run_attempt, 10),
      sha: github.sha,
    },
    clock: {
      now: () => clock.now() + (run.clockAheadMs ?? 0),
      after: clock.after,
      sleep: (ms, signal) => living(() => clock.sleep(ms, signal)),
    },
    machine: { name: run.machine ?? 'machine-of-the-tests', process: name, isRunning: (process) => alive.has(process) },
    http: { handle: (request, options) => living(() => http.handle(request, options)) },
    async ambientCredentials() {
      const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = env;
      if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY)
        throw new Error('Could not load credentials from any providers');
      return {
        accessKeyId: AWS_ACCESS_KEY_ID,
        secretAccessKey: AWS_SECRET_ACCESS_KEY,
        ...(AWS_SESSION_TOKEN && { sessionToken: AWS_SESSION_TOKEN }),
      };
    },
    files: {
      temp: tempFolder,
      read: (path) => temp.get(path) ?? run.files?.[path] ?? missing(path),
      write: (path, content) =>
        print(() => {
          if (lost('RUNNER_TEMP')) missing(path);
          temp.set(path, typeof content === 'string' ? content : Buffer.from(content).toString('base64'));
        }),
    },
    runner: {
      input: (input) => inputs.get(input) ?? '',
      savedState: (key) => run.state?.[key] ?? '',
      saveState: (key, value) =>
        print(() => {
          run.onWrite?.('state');
          if (lost('GITHUB_STATE')) missing('GITHUB_STATE');
          state.set(key, value);
        }),
      setOutput: (key, value) =>
        print(() => {
          run.onWrite?.('output');
          if (lost('GITHUB_OUTPUT')) missing('GITHUB_OUTPUT');
          outputs.set(key, value);
        }),
      mask(text) {
        masks.add(text);
        asked.push(text);
      },
      info: (text) =>
        print(() => {
          for (const line of text.split('\n')) {
            printedLines.push(line);
            log.read(line);
          }
        }),
      warning: (message, title) => print(() => log.annotate({ level: 'warning', message, ...(title && { title }) })),
      error: (message, title) => print(() => log.annotate({ level: 'error', message, ...(title && { title }) })),
      startGroup: (title) => print(() => log.read(`::group::${title}`)),
      endGroup: () => print(() => log.read('::endgroup::')),
      async writeSummary(markdown) {
        run.onWrite?.('summary');
        if (lost('GITHUB_STEP_SUMMARY')) missing('GITHUB_STEP_SUMMARY');
        summary += markdown;
      },
      fail() {
        failed = true;
      },
    },
  };

  const { signals } = run;
  if (typeof signals === 'object') {
    if ('afterMs' in signals) clock.after(signals.afterMs).addEventListener('abort', cancel);
    else signals.addEventListener('abort', cancel);
  }
  const deeds = openDeeds(simulator, name);
  const began = clock.now();
  const dead = Promise.withResolvers<void>();
  const end = async (): Promise<ActionResult> => {
    await Promise.race([dead.promise, run.entry === 'post' ? post(host) : play(action, host, cancelled.signal)]);
    alive.delete(name);
    if (cancelled.signal.aborted) log.annotate({ level: 'error', message: 'The operation was canceled.' });
    const crosses = (value: string) => value !== '' && masks.apply(value) === value;
    const result: ActionResult = {
      conclusion: cancelled.signal.aborted ? 'cancelled' : failed || killed ? 'failure' : 'success',
      exitCode: killed ? null : failed ? 1 : 0,
      signal: killed ? 'SIGKILL' : null,
      outputs: Object.fromEntries(outputs),
      state: Object.fromEntries(state),
      temp: Object.fromEntries([...temp].map(([path, text]) => [basename(path), text])),
      summary: masks.apply(summary),
      stdout: printedLines.join('\n'),
      stderr: '',
      log: log.lines.map((line) => `${line}\n`).join(''),
      annotations: [...log.annotations],
      masks: asked,
      jobOutputs: Object.fromEntries([...outputs].filter(([, value]) => crosses(value))),
      exported: { env: {}, path: [] },
      seconds: (clock.now() - began) / 1000,
      usage: {},
    };
    const amiss = killed ? [] : run.entry === 'post' ? deeds.ofPost(run.state) : deeds.ofMain(result);
    if (amiss.length > 0) throw new Error(`the plan and the calls of ${name} differ:\n${amiss.join('\n')}`);
    return result;
  };
  return {
    client: name,
    result: end(),
    cancel,
    kill() {
      killed = true;
      dead.resolve();
    },
  };
}

/** Runs one entry of the action to its end. */
export function runAction(run: InProcessRun): Promise<ActionResult> {
  return startAction(run).result;
}

/** Runs main, then post with main's state, also after a failure or a cancel; `signals` are main's. */
export async function runJob(run: InProcessRun): Promise<{ main: ActionResult; post: ActionResult }> {
  const { signals, ...quiet } = run;
  const main = await runAction({ ...quiet, entry: 'main', ...(signals && { signals }) });
  return { main, post: await runAction({ ...quiet, entry: 'post', state: main.state, temp: main.temp }) };
}

/** What sends requests to a simulator, as src/node-host.ts sends them over the network; `client` is who sends them. */
export function handlerOf(simulator: Simulator, client = 'test'): Host['http'] {
  return {
    handle: (request, options) =>
      send(simulator, named(request as SentRequest, client), options?.abortSignal as AbortSignal | undefined),
  };
}

type SentRequest = {
  method: string;
  path: string;
  query?: Record<string, string | string[] | null>;
  headers: Record<string, string>;
  body?: string | Uint8Array;
};

function named(request: SentRequest, client: string): SentRequest {
  return { ...request, headers: { ...request.headers, [served.clientHeader]: client } };
}

/** What the action's own handler gives up after: src/node-host.ts. */
const requestSeconds = 60;

async function send(
  simulator: Simulator,
  { method, path, query = {}, headers, body = '' }: SentRequest,
  signal: AbortSignal | undefined,
): Promise<{ response: HttpResponse }> {
  signal?.throwIfAborted();
  const parameters = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value ?? '')]));
  const lowerCase = Object.fromEntries(Object.entries(headers).map(([key, value]) => [key.toLowerCase(), value]));
  const answering = simulator.answer({
    method,
    path: parameters.size === 0 ? path : `${path}?${parameters}`,
    headers: lowerCase,
    body: typeof body === 'string' ? body : new TextDecoder().decode(body),
  });
  const answer = await (signal === undefined ? answering : Promise.race([answering, aborted(signal)]));
  if (answer === 'closed') throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
  if (answer === 'hung') {
    await simulator.clock.sleep(requestSeconds * 1000, signal);
    throw Object.assign(new Error(`no answer within ${requestSeconds} s`), { name: 'TimeoutError' });
  }
  const bytes = Buffer.from(answer.body);
  return {
    response: new HttpResponse({
      statusCode: answer.status,
      headers: answer.headers,
      // The SDK takes bytes as they are; the action's own request for a token reads a stream.
      body: path === '/token' ? Readable.from([bytes]) : new Uint8Array(bytes),
    }),
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(Object.assign(new Error('aborted'), { name: 'AbortError' })), {
      once: true,
    }),
  );
}
