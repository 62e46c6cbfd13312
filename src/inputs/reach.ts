import type { Reader, RunContext } from './reader.ts';
import { readSettings, type Settings } from './settings.ts';
import { type EnabledRegions, readTargets, type TargetRequest } from './targets.ts';

/** What every action is told: where the source and the targets are, how they are reached, and for how long. */
export type Reach = Settings &
  Readonly<{
    /** Whether the targets are in every region that their accounts have enabled, wanted or not. */
    allRegions: boolean;
    targets: readonly TargetRequest[];
    /** What of the lists of targets names none, each as a sentence. */
    unmatched: readonly string[];
    /** After so long the run gives up; `cut` is what bounds it, where that is sooner than by default. */
    timeout: Readonly<{ minutes: number; cut: string | undefined }>;
  }>;

/** What the targets are read with: with `target-regions: all`, the accounts' regions; and whether each needs a key. */
type ReachOptions = Readonly<{ enabled: EnabledRegions | undefined; needsKey: boolean }>;

/** Reads what every action is told; what is wrong with it is noted in `reader`. */
export function readReach(reader: Reader, run: RunContext, options: ReachOptions): Reach {
  const settings = readSettings(reader, run);
  const { region, partition } = settings.source;
  const named = readTargets(reader, { region, partition, ...options }, run);
  // A session that is the environment's, or made from it, doesn't end with GitHub's tokens.
  const { lastMoment } = assumesDirectly(settings, named.targets) ? run : {};
  return {
    ...settings,
    allRegions: reader.list('target-regions').includes('all'),
    ...named,
    timeout: readTimeout(reader, settings, { date: run.date, ...(lastMoment && { lastMoment }) }),
  };
}

/** Whether any role is assumed from no other's session, and so with an ID token, where those are used. */
function assumesDirectly({ source, credentials }: Settings, targets: readonly TargetRequest[]): boolean {
  if (source.roleArn !== undefined) return true;
  return !credentials.roleChaining && targets.some(({ roleArn }) => roleArn !== undefined);
}

/** A job on GitHub's own runners has six hours. */
const defaultMinutes = 350;

/** A default is cut to the time for which sessions can be had; what the user gave is a problem there. */
function readTimeout(
  reader: Reader,
  { credentials }: Settings,
  { date, lastMoment }: Pick<RunContext, 'date' | 'lastMoment'>,
): Reach['timeout'] {
  const given = reader.optional('timeout-minutes');
  const minutes = given === undefined ? defaultMinutes : reader.whole('timeout-minutes', 1, 7200);
  const last = lastMoment?.(credentials);
  if (last === undefined) return { minutes, cut: undefined };
  const most = Math.floor((last.at - date.getTime()) / 60_000);
  if (!(minutes > most)) return { minutes, cut: undefined };
  const end = new Date(last.at).toISOString().slice(0, 16).replace('T', ' ');
  const why = `GitHub gives a job ID tokens only for some hours, and sessions by this job's last one, less 20 minutes for taking back, end at ${end} UTC`;
  if (given !== undefined) {
    const longer = last.canBeLater ? '; a larger role-duration-seconds moves that moment' : '';
    reader.note('timeout-minutes', given, `expected at most ${Math.max(0, most)}: ${why}${longer}`);
  }
  return { minutes: Math.max(1, most), cut: why };
}
