import type { Host } from './host.ts';
import type { Reach } from './inputs/reach.ts';
import type { RunContext } from './inputs/reader.ts';
import type { InputSources } from './inputs.ts';

/** Something that failed, or `allowed`: then it is a warning, and the run doesn't fail for it. */
export type Failure = Readonly<{ title?: string; message: string; allowed?: boolean }>;

/** What an action tells at its end, however that came. */
export type Told = Readonly<{
  outputs: Readonly<Record<string, string>>;
  summary: string;
  failures: readonly Failure[];
  /** What could not be told elsewhere. */
  warnings: readonly string[];
}>;

/** One of the actions of this repository; main.ts plays it. */
export type Action<R extends Reach> = Readonly<{
  /** @throws InputError that lists every problem */
  read(get: (name: string) => string, run: RunContext, sources: InputSources): R;
  /** @throws what ends it before it has a report */
  run(host: Host, request: R, signal: AbortSignal): Promise<Told>;
  /** What is told where it came to no end of its own; `request` is undefined where the inputs could not be read. */
  stopped(host: Host, request: R | undefined, error: unknown): Told;
}>;
