import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type ActionRun, runAction, startAction } from '../simulator/runner.ts';
import { type RecordedCall, type Simulator, startSimulator } from '../simulator/simulator.ts';
import { isLook, ofTargetsOnly, round } from './calls.ts';
import { caseOf, targetsOf, type Workload } from './workload.ts';

export type Measured = Readonly<{
  workload: Workload;
  targets: number;
  seconds: number;
  calls: number;
  /** Calls of a target's role that the work takes: without looks at how far a copy is, and without what preflight asks. */
  targetCallsPerTarget: number;
  /** What preflight asks besides: so many for each role, not for each target, where there are many. */
  checksPerTarget: number;
  peakMemoryMb: number | undefined;
  /** What each process took of the processors: where their sum nears the seconds, the machine bounds the run, not the action. */
  cpuSeconds: Readonly<{ action: number | undefined; simulator: number }>;
}>;

/** Of processes, which wait for real: copies of half a minute and more. */
const short = { timings: { baseSeconds: 20, secondsPerGiB: 0.25, latencyMs: 140 }, rules: { requestRates: 1 } };

const repository = resolve(import.meta.dirname, '..');

/** Runs the built action on a workload. @throws Error where it doesn't end well: its figures would mean nothing */
export async function measure(workload: Workload): Promise<Measured> {
  const { scenario, inputs } = caseOf(workload, short);
  const simulator = await startSimulator(scenario);
  try {
    const before = process.cpuUsage();
    const { conclusion, seconds, usage, log } = await runAction({ inputs, env: simulator.env });
    const { user, system } = process.cpuUsage(before);
    const { calls } = simulator;
    const targets = targetsOf(workload);
    const made = calls.filter(
      ({ action, mutating, outcome }) => action === 'RegisterImage' && mutating && outcome === 'ok',
    );
    if (conclusion !== 'success' || made.length !== targets)
      throw new Error(`the run ended in ${conclusion}, ${made.length} of ${targets} AMIs:\n${log.slice(-2000)}`);
    const ofTargets = ofTargetsOnly(calls, inputs);
    return {
      workload,
      targets,
      seconds: round(seconds, 1),
      calls: calls.length,
      targetCallsPerTarget: round(ofTargets.filter((call) => !isLook(call) && !isCheck(call)).length / targets, 1),
      checksPerTarget: round(ofTargets.filter(isCheck).length / targets, 1),
      peakMemoryMb: usage.peakMemoryMb,
      cpuSeconds: { action: usage.cpuSeconds, simulator: round((user + system) / 1e6, 1) },
    };
  } finally {
    await simulator.close();
  }
}

/**
 * Preflight asks by dry runs, by calls that have no effect, by what it expects to be refused, and how many copies already
 * take the quota.
 */
function isCheck({ action, request, outcome }: RecordedCall): boolean {
  const pending = (request.Filters as { Name?: string }[] | undefined)?.some(({ Name }) => Name === 'status');
  return (
    request.DryRun === true ||
    action === 'GenerateDataKeyWithoutPlaintext' ||
    outcome === 'AccessDeniedException' ||
    (action === 'DescribeSnapshots' && pending === true)
  );
}

export type StartUp = Readonly<{ entry: string; bundleBytes: number; ms: number; ratio: number; memoryMb: number }>;

/** A file of the action to start, and the folder of the bundle that it imports; `prepare` makes what it finds in its environment each time. */
export type Starting = Readonly<{
  entry: string;
  file: string;
  bundle: string;
  prepare?: () => Record<string, string>;
}>;

export const bundles: readonly Starting[] = ['main', 'post', 'sweep', 'audit', 'recall'].map((entry) => ({
  entry,
  file: resolve(repository, `dist/${entry}/index.js`),
  bundle: resolve(repository, 'dist/bundle'),
}));

/** Whole processes, which find nothing to do and say so, in ratio to an empty one of the same moment; medians. */
export async function measureStartUp(starting: readonly Starting[]): Promise<StartUp[]> {
  const times = new Map<string, number[]>();
  const memory = new Map<string, number>();
  for (let round = 0; round < 21; round += 1) {
    for (const [entry, args, env] of [
      ['empty', ['-e', ''], {}],
      ...starting.map(({ entry, file, prepare }) => [entry, [file], prepare?.() ?? {}] as const),
    ] as const) {
      const { ms, memoryMb } = await timeProcess(args, env);
      times.set(entry, [...(times.get(entry) ?? []), ms]);
      memory.set(entry, Math.max(memory.get(entry) ?? 0, memoryMb));
    }
  }
  const medianOf = (entry: string) => median(times.get(entry) ?? []);
  return starting.map(({ entry, bundle }) => ({
    entry,
    bundleBytes: readdirSync(bundle).reduce((sum, name) => sum + statSync(join(bundle, name)).size, 0),
    ms: round(medianOf(entry), 0),
    ratio: round(medianOf(entry) / medianOf('empty'), 1),
    memoryMb: memory.get(entry) ?? 0,
  }));
}

export type FirstCall = Readonly<{ entry: string; ms: number }>;

/** Time from a process's start to its first call, with inputs as a user has them; medians. */
export async function measureFirstCalls(): Promise<FirstCall[]> {
  const main: number[] = [];
  const post: number[] = [];
  for (let round = 0; round < 9; round += 1) {
    const { scenario, inputs } = caseOf({ accounts: 1, regions: 1, volumes: 1 }, short);
    const simulator = await startSimulator(scenario);
    try {
      const { env } = simulator;
      // Killed with its lease taken, so that post has something to take back.
      const killed = await untilCall(simulator, { inputs, env }, ({ action, outcome, mutating }) =>
        Boolean(mutating && action === 'CreateTags' && outcome === 'ok'),
      );
      main.push(killed.firstCallMs);
      const after = await untilCall(simulator, { inputs, env, entry: 'post', state: killed.state }, () => true);
      post.push(after.firstCallMs);
    } finally {
      await simulator.close();
    }
  }
  return [
    { entry: 'main', ms: round(median(main), 0) },
    { entry: 'post', ms: round(median(post), 0) },
  ];
}

/** Runs an entry until a call that `isLast`, then kills it. */
async function untilCall(
  simulator: Simulator,
  run: ActionRun,
  isLast: (call: RecordedCall) => boolean,
): Promise<{ firstCallMs: number; state: Record<string, string> }> {
  const started = performance.now();
  const running = startAction(run);
  let firstCallMs: number | undefined;
  const stop = simulator.onCall((call) => {
    firstCallMs ??= performance.now() - started - short.timings.latencyMs;
    if (isLast(call)) running.kill();
  });
  const { state } = await running.result;
  stop();
  if (firstCallMs === undefined) throw new Error(`${run.entry ?? 'main'} made no call`);
  return { firstCallMs, state };
}

/** An empty run of a step: main has no inputs, and fails for that; post has nothing to take back. */
async function timeProcess(
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ ms: number; memoryMb: number }> {
  const node = resolve(repository, 'node_modules/node/bin/node');
  const started = performance.now();
  const child = spawn(node, args, { stdio: 'ignore', env: { RUNNER_TEMP: '/nonexistent', ...env } });
  let memoryMb = 0;
  const timer = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      memoryMb = Math.max(memoryMb, round(Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024, 1));
    } catch {
      // It has ended, or this system has no /proc.
    }
  }, 2);
  await new Promise((ended) => child.once('exit', ended));
  clearInterval(timer);
  return { ms: performance.now() - started, memoryMb };
}

/** The middle one of an odd number of figures. */
function median(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? 0;
}
