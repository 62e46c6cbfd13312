import type { Host } from '../host.ts';
import { oneLine } from '../one-line.ts';
import { spokenSeconds } from '../words.ts';
import { logText } from './text.ts';

/** The log of the run: one line when something changes, each with the time since the start. */
export type Log = Readonly<{
  line(where: string, what: string): void;
  warn(message: string): void;
  /** What was warned of so far, each once. */
  warned(): readonly string[];
  /** Keeps a text out of the log from now on. */
  mask(text: string): void;
  /** Runs `work` in a folded group, which is closed before anything long begins. */
  group<T>(title: string, work: () => Promise<T>): Promise<T>;
  elapsedSeconds(): number;
}>;

export function openLog({ runner, clock }: Pick<Host, 'runner' | 'clock'>): Log {
  const start = clock.now();
  const warned = new Set<string>();
  const elapsedSeconds = () => (clock.now() - start) / 1000;
  return {
    elapsedSeconds,
    line: (where, what) =>
      runner.info(logText(`${spokenSeconds(elapsedSeconds()).padStart(9)}  ${where.padEnd(28)} ${oneLine(what)}`)),
    warn: (message) => {
      warned.add(message);
      runner.warning(logText(oneLine(message)));
    },
    warned: () => [...warned],
    mask: runner.mask,
    async group(title, work) {
      runner.startGroup(logText(title));
      try {
        return await work();
      } finally {
        runner.endGroup();
      }
    },
  };
}

/** A log that stands still for longer looks dead. */
const heartbeatSeconds = 120;

/**
 * Tells of a copy of `totalGiB` when it came `stepPercent` further, and every two minutes in any case:
 * `45 % of 20 GiB, 52 MiB/s, 3 m 20 s left`. AWS tells the share of a snapshot that is done, so the rate is of the
 * volume's size.
 */
export function milestones(
  { totalGiB, stepPercent, now }: Readonly<{ totalGiB?: number; stepPercent: number; now: () => number }>,
  tell: (progress: string) => void,
): (percent: number) => void {
  let first: { percent: number; at: number } | undefined;
  let told = { percent: 0, at: now() };
  return (percent) => {
    const at = now();
    // A copy that was taken over had come far before: its rate counts from the first look.
    first ??= { percent, at };
    const due = percent >= told.percent + stepPercent || at - told.at >= heartbeatSeconds * 1000;
    if (!due || percent >= 100) return;
    told = { percent, at };
    const seconds = (at - first.at) / 1000;
    tell(
      `${percent} %${totalGiB === undefined ? '' : ` of ${totalGiB} GiB`}${paceOf(totalGiB, percent, (percent - first.percent) / seconds)}`,
    );
  };
}

function paceOf(totalGiB: number | undefined, percent: number, perSecond: number): string {
  if (!(perSecond > 0) || perSecond === Number.POSITIVE_INFINITY) return '';
  const rate = totalGiB === undefined ? '' : `, ${Math.max(1, Math.round((perSecond * totalGiB * 1024) / 100))} MiB/s`;
  return `${rate}, ${spokenSeconds((100 - percent) / perSecond)} left`;
}
