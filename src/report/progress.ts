import { endGroup, info, setSecret, startGroup, warning } from '@actions/core';
import { spokenSeconds } from '../time.ts';

/** The log of the run: one line when something changes, each with the time since the start. */
export type Log = Readonly<{
  line(where: string, what: string): void;
  warn(message: string): void;
  /** Keeps a text out of the log from now on. */
  mask(text: string): void;
  /** Runs `work` in a folded group, which is closed before anything long begins. */
  group<T>(title: string, work: () => Promise<T>): Promise<T>;
  elapsedSeconds(): number;
}>;

export function openLog(): Log {
  const start = Date.now();
  const elapsedSeconds = () => (Date.now() - start) / 1000;
  return {
    elapsedSeconds,
    line: (where, what) =>
      info(plainText(`${spokenSeconds(elapsedSeconds()).padStart(9)}  ${where.padEnd(28)} ${what}`)),
    warn: (message) => warning(plainText(message)),
    mask: setSecret,
    async group(title, work) {
      startGroup(title);
      try {
        return await work();
      } finally {
        endGroup();
      }
    },
  };
}

/** The runner takes `##[command]` for a command wherever it stands in a line; AWS's words and the user's are only text. */
export function plainText(text: string): string {
  return text.replaceAll('##[', '## [');
}

/**
 * Tells of a copy's progress when it came `stepPercent` further, and every two minutes in any case, so that a log never
 * stands still for longer.
 */
export function milestones(
  stepPercent: number,
  tell: (percent: number) => void,
  heartbeatSeconds = 120,
): (percent: number) => void {
  let told = 0;
  let toldAt = Date.now();
  return (percent) => {
    const due = percent >= told + stepPercent || Date.now() - toldAt >= heartbeatSeconds * 1000;
    if (!due || percent >= 100) return;
    told = percent;
    toldAt = Date.now();
    tell(percent);
  };
}
