import { spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type ActionRun, runAction, startAction } from '../simulator/runner.ts';
import { type RecordedCall, type Simulator, startSimulator } from '../simulator/simulator.ts';
import { caseOf, idealSeconds, targetsOf, timings, type Workload } from './workload.ts';

export type Measured = Readonly<{
  workload: Workload;
  targets: number;
  idealSeconds: number;
  seconds: number;
  ratio: number;
  /** From the process's start to the first copy, and from the last AMI to the process's end. */
  secondsBefore: number;
  secondsAfter: number;
  calls: number;
  callsPerTarget: number;
  callsPerMinute: number;
  /** Calls of a target's role that the work takes: without looks at how far a copy is, and without what preflight asks. */
  targetCallsPerTarget: number;
  /** What preflight asks besides: so many for each role, not for each target, where there are many. */
  checksPerTarget: number;
  /** Looks a minute in one account and region, while copies ran there: the mean and the most. */
  looksPerMinute: Readonly<{ mean: number; most: number }>;
  peakMemoryMb: number | undefined;
  /** What each process took of the processors: where their sum nears the seconds, the machine bounds the run, not the action. */
  cpuSeconds: Readonly<{ action: number | undefined; simulator: number }>;
}>;

const looks = new Set(['DescribeSnapshots', 'DescribeImages']);
const repository = resolve(import.meta.dirname, '..');

/** Runs the built action on a workload. @throws Error where it doesn't end well: its figures would mean nothing */
export async function measure(workload: Workload): Promise<Measured> {
  const { scenario, inputs } = caseOf(workload);
  const simulator = await startSimulator(scenario);
  try {
    const before = process.cpuUsage();
    const result = await runAction({ inputs, env: simulator.env });
    const { user, system } = process.cpuUsage(before);
    const { conclusion, seconds, usage, outputs, log } = result;
    if (conclusion !== 'success') throw new Error(`the run ended in ${conclusion}:\n${log.slice(-2000)}`);
    const targets = targetsOf(workload);
    const records = JSON.parse(outputs.targets ?? '[]') as { status: string }[];
    if (records.filter(({ status }) => status === 'created').length !== targets) throw new Error('a target is missing');
    const { calls } = simulator;
    const began = calls.find(({ action, mutating }) => mutating && action === 'CopyImage')?.at ?? 0;
    const ended = calls.findLast(({ action, mutating }) => mutating && action === 'RegisterImage')?.at ?? 0;
    const ideal = idealSeconds(workload);
    const source = inputs['source-role-arn']?.split(':')[4];
    const ofTargets = calls.filter(({ account }) => account !== undefined && account !== source);
    return {
      workload,
      targets,
      idealSeconds: ideal,
      seconds: round(seconds, 1),
      ratio: round(seconds / ideal, 3),
      secondsBefore: round((began - (calls[0]?.at ?? 0)) / 1000, 1),
      secondsAfter: round(((calls.at(-1)?.at ?? 0) - ended) / 1000, 1),
      calls: calls.length,
      callsPerTarget: round(calls.length / targets, 1),
      callsPerMinute: round((calls.length / seconds) * 60, 0),
      targetCallsPerTarget: round(ofTargets.filter((call) => !isLook(call) && !isCheck(call)).length / targets, 1),
      checksPerTarget: round(ofTargets.filter(isCheck).length / targets, 1),
      looksPerMinute: looksPerMinute(ofTargets),
      peakMemoryMb: usage.peakMemoryMb,
      cpuSeconds: { action: usage.cpuSeconds, simulator: round((user + system) / 1e6, 1) },
    };
  } finally {
    await simulator.close();
  }
}

/** A look at something that is being made is asked for by its ID; the plan's questions have filters. */
function isLook({ action, request }: RecordedCall): boolean {
  return looks.has(action) && (request.SnapshotIds !== undefined || request.ImageIds !== undefined);
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

function looksPerMinute(calls: readonly RecordedCall[]): Measured['looksPerMinute'] {
  const rates = [...Map.groupBy(calls, ({ account, region }) => `${account}/${region}`).values()].flatMap((here) => {
    const began = here.find(({ action, mutating }) => mutating && action === 'CopySnapshot')?.at;
    const ended = here.find(({ action, mutating }) => mutating && action === 'RegisterImage')?.at;
    if (began === undefined || ended === undefined) return [];
    const between = here.filter((call) => isLook(call) && call.at >= began && call.at <= ended);
    return [between.length / ((ended - began) / 60_000)];
  });
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  return { mean: round(mean, 1), most: round(Math.max(...rates), 1) };
}

export type Cancelled = Readonly<{ targets: number; revoked: number; seconds: number; processSeconds: number }>;

/** Cancels a run whose copies are under way; how long until its last grant is revoked, and its process ends. */
export async function measureCancel(workload: Workload): Promise<Cancelled> {
  const { scenario, inputs } = caseOf(workload);
  const simulator = await startSimulator({ ...scenario, timings: { baseSeconds: 5, secondsPerGiB: 1, latencyMs: 40 } });
  try {
    const targets = targetsOf(workload);
    let begun = 0;
    let cancelledAt = 0;
    let pressedAt = 0;
    const running = startAction({ inputs, env: simulator.env });
    simulator.onCall(({ action, mutating, at }) => {
      if (action === 'CopySnapshot' && mutating) begun += 1;
      if (begun < targets || cancelledAt > 0) return;
      cancelledAt = at;
      pressedAt = performance.now();
      running.cancel();
    });
    const result = await running.result;
    if (cancelledAt === 0) throw new Error(`the run ended before its copies began:\n${result.log.slice(-2000)}`);
    const revoked = simulator.calls.filter(({ action, outcome }) => action === 'RevokeGrant' && outcome === 'ok');
    const granted = simulator.calls.filter(({ action, outcome }) => action === 'CreateGrant' && outcome === 'ok');
    if (revoked.length !== granted.length) throw new Error('a grant was left');
    return {
      targets,
      revoked: revoked.length,
      seconds: round(((revoked.at(-1)?.at ?? 0) - cancelledAt) / 1000, 2),
      processSeconds: round((performance.now() - pressedAt) / 1000, 2),
    };
  } finally {
    await simulator.close();
  }
}

export type StartUp = Readonly<{ entry: string; bundleBytes: number; ms: number; ratio: number; memoryMb: number }>;

/** A file of the action to start; `prepare` makes what it finds in its environment each time. */
export type Starting = Readonly<{ entry: string; file: string; prepare?: () => Record<string, string> }>;

export const bundles: readonly Starting[] = ['main', 'post'].map((entry) => ({
  entry,
  file: resolve(repository, `dist/${entry}/index.js`),
}));

/** Time from each process's start to its first line, in ratio to an empty node process of the same moment; medians. */
export async function measureStartUp(starting: readonly Starting[]): Promise<StartUp[]> {
  const times = new Map<string, number[]>();
  const memory = new Map<string, number>();
  for (let round = 0; round < 15; round += 1) {
    for (const [entry, args, env] of [
      ['empty', ['-e', 'console.log("")'], {}],
      ...starting.map(({ entry, file, prepare }) => [entry, [file], prepare?.() ?? {}] as const),
    ] as const) {
      const { ms, memoryMb } = await timeProcess(args, env, entry === 'post');
      times.set(entry, [...(times.get(entry) ?? []), ms]);
      memory.set(entry, Math.max(memory.get(entry) ?? 0, memoryMb));
    }
  }
  const medianOf = (entry: string) => median(times.get(entry) ?? []);
  return starting.map(({ entry, file }) => ({
    entry,
    bundleBytes: statSync(file).size,
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
    const { scenario, inputs } = caseOf({ accounts: 1, regions: 1, volumes: 1 });
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
    firstCallMs ??= performance.now() - started - timings.latencyMs;
    if (isLast(call)) running.kill();
  });
  const { state } = await running.result;
  stop();
  if (firstCallMs === undefined) throw new Error(`${run.entry ?? 'main'} made no call`);
  return { firstCallMs, state };
}

/** An empty run of the step: main has no inputs and says so; post has nothing to take back and says nothing. */
async function timeProcess(
  args: readonly string[],
  env: Record<string, string>,
  untilEnd: boolean,
): Promise<{ ms: number; memoryMb: number }> {
  const node = resolve(repository, 'node_modules/node/bin/node');
  const started = performance.now();
  const child = spawn(node, args, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { RUNNER_TEMP: '/nonexistent', ...env },
  });
  let ms: number | undefined;
  let memoryMb = 0;
  const look = () => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      memoryMb = Math.max(memoryMb, round(Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024, 1));
    } catch {
      // It has ended, or this system has no /proc.
    }
  };
  const timer = setInterval(look, 2);
  child.stdout.once('data', () => {
    ms ??= performance.now() - started;
    look();
  });
  await new Promise((ended) => child.once('close', ended));
  clearInterval(timer);
  const whole = performance.now() - started;
  return { ms: untilEnd ? whole : (ms ?? whole), memoryMb };
}

/** The middle one of an odd number of figures. */
function median(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? 0;
}

export function round(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
