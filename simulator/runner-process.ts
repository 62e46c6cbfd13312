// A step's process, from its start to the end of its tree. After actions/runner, src/Runner.Sdk/ProcessInvoker.cs.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';

/** How long a cancelled process has after SIGINT, and then after SIGTERM. */
export type CancelPatience = { interruptMs: number; terminateMs: number };

/** `_sigintTimeout` and `_sigtermTimeout`. */
const runnersPatience: CancelPatience = { interruptMs: 7500, terminateMs: 2500 };
/** How long a process that ended may leave children behind that hold its output open (`ProcessExitedHandler`). */
const leftoverMs = 5000;

export type ProcessStart = {
  program: string;
  script: string;
  folder: string;
  environment: Record<string, string>;
  cancelPatience?: CancelPatience;
  /** A line of either stream. */
  onLine: (line: string) => void;
};
export type ProcessEnd = {
  exitCode: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  cancelled: boolean;
  /** Why the process could not be started. */
  problem?: string;
  usage: Usage;
};
/** What a process took of its machine, where that can be known: only Linux tells it of another process. */
export type Usage = { peakMemoryMb?: number; cpuSeconds?: number };
export type RunningProcess = {
  pid: number | undefined;
  ended: Promise<ProcessEnd>;
  /** SIGINT, SIGTERM if that didn't end it, then the whole tree is killed. */
  cancel(): void;
  /** Kills the whole tree at once. */
  kill(): void;
};

// A test run or a demo that ends early must not leave a process running.
const groups = new Set<number>();
process.once('exit', () => {
  for (const pid of groups) killGroup(pid);
});

function killGroup(pid: number): void {
  if (!groups.has(pid)) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing of it is left.
  }
}

/** Starts `program script` with stdin closed. */
export function startProcess(start: ProcessStart): RunningProcess {
  let child: ChildProcess;
  try {
    child = spawn(start.program, [start.script], {
      cwd: start.folder,
      env: start.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, so that its tree can be killed.
      detached: true,
    });
  } catch (error) {
    return neverStarted(start, error);
  }
  const { pid } = child;
  if (pid !== undefined) groups.add(pid);
  const kill = () => {
    if (pid !== undefined) killGroup(pid);
  };
  const timers: NodeJS.Timeout[] = [];
  const later = (ms: number, act: () => void) => timers.push(setTimeout(act, ms));
  let cancelled = false;
  // Signals go to the process that was started; only the last resort reaches its children.
  const cancel = () => {
    if (cancelled || child.exitCode !== null || child.signalCode !== null) return;
    cancelled = true;
    const { interruptMs, terminateMs } = start.cancelPatience ?? runnersPatience;
    child.kill('SIGINT');
    later(interruptMs, () => child.kill('SIGTERM'));
    later(interruptMs + terminateMs, kill);
  };

  const stdout = cutLines(start.onLine);
  const stderr = cutLines(start.onLine);
  child.stdout?.on('data', stdout.push);
  child.stderr?.on('data', stderr.push);
  const usage = watchUsage(pid);
  const ended = new Promise<ProcessEnd>((settle) => {
    let problem: string | undefined;
    child.on('error', (error) => {
      problem = error.message;
    });
    child.on('exit', () => later(leftoverMs, kill));
    child.on('close', (exitCode, signal) => {
      for (const timer of timers) clearTimeout(timer);
      kill();
      if (pid !== undefined) groups.delete(pid);
      settle({
        exitCode,
        signal,
        stdout: stdout.end(),
        stderr: stderr.end(),
        cancelled,
        ...(problem !== undefined && { problem }),
        usage: usage(),
      });
    });
  });
  return { pid, ended, cancel, kill };
}

function neverStarted({ program, folder }: ProcessStart, error: unknown): RunningProcess {
  // E2BIG: a variable of 128 KiB or more. The words are .NET's.
  const reason = String(error).includes('E2BIG') ? 'Argument list too long' : String(error);
  const problem = `An error occurred trying to start process '${program}' with working directory '${folder}'. ${reason}`;
  const end = { exitCode: null, signal: null, stdout: '', stderr: '', cancelled: false, problem, usage: {} };
  return { pid: undefined, ended: Promise.resolve(end), cancel: () => {}, kill: () => {} };
}

/** Cuts a stream into lines as .NET does: at \n, \r\n and a lone \r. `end` gives the whole text. */
function cutLines(onLine: (line: string) => void): { push: (chunk: Buffer) => void; end: () => string } {
  const decoder = new StringDecoder('utf8');
  let text = '';
  let rest = '';
  return {
    push(chunk) {
      const piece = decoder.write(chunk);
      text += piece;
      // A \r at the very end may be half of \r\n.
      const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    },
    end() {
      if (rest !== '') onLine(rest.replace(/\r$/, ''));
      return text;
    },
  };
}

/** Clock ticks a second in /proc/PID/stat: sysconf(_SC_CLK_TCK), which is 100 on every Linux of today. */
const ticks = 100;

/** The kernel's own counts, read until the process ends: its high-water mark of memory, its user and system time. */
function watchUsage(pid: number | undefined): () => Usage {
  let usage: Usage = {};
  const timer = setInterval(() => {
    try {
      const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      // The second field, the name in brackets, may hold blanks; utime and stime are the 14th and 15th.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      if (kilobytes === undefined) return;
      usage = {
        peakMemoryMb: Math.round(Number(kilobytes) / 102.4) / 10,
        cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticks,
      };
    } catch {
      // The process is gone, or this system has no /proc.
    }
  }, 100);
  timer.unref();
  return () => {
    clearInterval(timer);
    return usage;
  };
}
