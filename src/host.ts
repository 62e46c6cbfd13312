import type { HttpHandler } from '@smithy/core/protocols';
import type { Clock } from './time.ts';

/** What a run finds around it, and all that it takes from there: so two runs in one process don't see each other. */
export type Host = Readonly<{
  env: Readonly<Record<string, string | undefined>>;
  workflow: WorkflowRun;
  clock: Clock;
  runner: Runner;
  machine: Machine;
  /** What sends requests, with the connections that it keeps; no client has a say in how. */
  http: Pick<HttpHandler, 'handle'>;
  /** The credentials that the environment has: variables, files, the machine's own. */
  ambientCredentials: () => Promise<Identity>;
  files: Files;
}>;

/** Files on the runner. Each throws where the system does. */
export type Files = Readonly<{
  /** The job's folder for what no later job needs (RUNNER_TEMP); undefined where there is none. */
  temp: string | undefined;
  /** Refuses what is no regular file, or has more than `maxBytes`. */
  read(path: string, maxBytes?: number): string;
  /** Writes the whole file or none of it, for this user alone. */
  write(path: string, content: string | Uint8Array): void;
}>;

/** The workflow run as GitHub's context names it; what it doesn't tell is NaN or not set. */
type WorkflowRun = Readonly<{ serverUrl: string; runId: number; runAttempt: number; sha: string | undefined }>;

/** The credentials of a principal. */
export type Identity = {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  expiration?: Date;
};

declare const inLog: unique symbol;
/** Text that the runner takes for no command; `logText` (report/text.ts) makes it. */
export type LogText = string & Readonly<{ [inLog]: true }>;

/** GitHub's runner, as a step speaks to it. */
export type Runner = Readonly<{
  /** The raw text of an input, empty where it is not set. */
  input(name: string): string;
  /** What the main step saved, empty where it saved nothing. */
  savedState(name: string): string;
  saveState(name: string, value: string): void;
  setOutput(name: string, value: string): void;
  /** Keeps a text out of the log from now on. */
  mask(text: string): void;
  info(line: LogText): void;
  warning(message: LogText, title?: LogText): void;
  error(message: LogText, title?: LogText): void;
  startGroup(title: LogText): void;
  endGroup(): void;
  writeSummary(markdown: string): Promise<void>;
  /** Has the step fail, when it has ended. */
  fail(): void;
}>;

/** The machine and the process, as others on the same machine tell them from theirs. */
export type Machine = Readonly<{
  /** This boot of this machine and this PID namespace, or '' where the system doesn't tell. */
  name: string;
  /** This very process, or '' where the system doesn't tell. */
  process: string;
  isRunning(process: string): boolean;
}>;
