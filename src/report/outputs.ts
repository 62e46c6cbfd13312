import { join } from 'node:path';
import { errorMessage } from '../aws/errors.ts';
import type { Files } from '../host.ts';
import type { Result } from '../outcome.ts';
import { digestOf } from '../plan/digest.ts';
import { ownName } from '../temporary-file.ts';
import type { PlanRecord } from './plan.ts';
import { outputText } from './text.ts';
import type { Span } from './timeline.ts';
import { totalsOf } from './totals.ts';

/** What became of one target; the public record of the output `targets`. */
export type TargetRecord = Readonly<{
  account: string;
  region: string;
  amiId: string | null;
  amiName: string | null;
  snapshotIds: readonly string[];
  kmsKeyArn: string | null;
  status: 'created' | 'reused' | 'failed' | 'planned';
  seconds: number;
  error?: string;
  /** Only where it is: the others can do without it. */
  optional?: true;
}>;

/** Files that show what instances showed which did not come up, by account and region. */
export type Pictures = Record<string, Record<string, string>>;

/** The versions of launch templates that have the AMIs, by account and region. */
export type LaunchTemplates = Record<string, Record<string, NonNullable<Result['template']>>>;

/** An AMI that was replaced, or that retain left no room for, with those of its snapshots that went with it. */
export type RemovedAmi = Readonly<{ account: string; region: string; amiId: string; snapshotIds: readonly string[] }>;

export type Report = Readonly<{
  sourceAmiId: string;
  /** What the run was to do; undefined where it came to no plan. */
  plan: PlanRecord | undefined;
  /** What stood in the way before anything was changed. */
  problems?: readonly Readonly<{ places: string; what: string; remedy: string }>[];
  targets: readonly TargetRecord[];
  /** The AMI that was made of an instance before the problems were found. */
  madeImageId?: string | undefined;
  /** What failed of the whole, rather than of one target. */
  failures: readonly string[];
  /** What was taken back at the end, and what could not be. */
  cleanUp: Readonly<{ done: readonly string[]; failed: readonly string[] }>;
  /** What was warned of besides the plan's. */
  warnings?: readonly string[];
  timeline: readonly Span[];
  pictures?: Pictures;
  launchTemplates?: LaunchTemplates;
  removed?: readonly RemovedAmi[];
  seconds: number;
}>;

/** Whether the target failed, and the run with it. */
export const isLost = ({ status, optional }: TargetRecord): boolean => status === 'failed' && optional !== true;

/** Whether the record's AMI is there and right. */
export const isReady = ({ amiId, status }: TargetRecord): boolean => amiId !== null && status !== 'failed';

/**
 * A value as JSON, and the file that holds it, however long it is: an output may hold it only in part. '' where there is
 * none. The text is made once: of a thousand targets, a plan has some megabytes.
 */
type Whole = Readonly<{ text: string; path: string; problem?: string }>;

/** Writes a value as the file that the output `<what>-file` names; where it can't be written, the problem says why. */
export function writeJson(files: Files, what: string, value: unknown): Whole {
  const text = value === undefined ? '' : outputText(value);
  if (files.temp === undefined || text === '') return { text, path: '' };
  const path = join(files.temp, ownName(`${what}.json`));
  try {
    files.write(path, `${text}\n`);
    return { text, path };
  } catch (error) {
    const problem = `the file for ${what}-file (${path}) could not be written: ${errorMessage(error)}`;
    return { text, path: '', problem };
  }
}

/**
 * A step that takes an output through `env` is not started where that is longer than 131,071 bytes
 * (https://man7.org/linux/man-pages/man2/execve.2.html), and a job's outputs may be 1 MB together, counted as UTF-16
 * (https://docs.github.com/en/actions/reference/limits). So much leaves room for several copies of the action in a job.
 */
const maxBytes = 100_000;

const errorCharacters = 200;

/** A record without what is long in it. */
function brief({ snapshotIds: _, error, ...record }: TargetRecord): object {
  if (error === undefined) return record;
  return { ...record, error: error.length > errorCharacters ? `${error.slice(0, errorCharacters)}…` : error };
}

/**
 * All outputs, also after a failure, with what there is. Where they are too long together, those go first that fewest
 * steps read. What is cut stays of its kind, an array or an object, for `fromJSON` fails on an empty text: that would
 * fail jobs that ask for `truncated` first, too.
 */
export function outputsOf(
  report: Pick<Report, 'sourceAmiId' | 'targets' | 'plan' | 'pictures' | 'launchTemplates' | 'removed'>,
  whole: Readonly<{ plan: Whole; targets: Whole }>,
): Record<string, string> {
  const { sourceAmiId, targets, plan, pictures = {}, launchTemplates = {}, removed = [] } = report;
  const made = targets.filter(isReady);
  const failed = targets.filter(({ status }) => status === 'failed');
  const ids: Record<string, Record<string, string>> = {};
  const byRegion: Record<string, string[]> = {};
  for (const { account, region, amiId } of made) {
    ids[account] = { ...ids[account], [region]: amiId ?? '' };
    byRegion[region] = [...(byRegion[region] ?? []), amiId ?? ''];
  }
  const outputs: Record<string, string> = {
    'ami-id': targets.length === 1 ? (made[0]?.amiId ?? '') : '',
    'ami-ids': outputText(ids),
    'ami-ids-by-region': outputText(byRegion),
    targets: whole.targets.text,
    'failed-targets': outputText(failed),
    'source-ami-id': sourceAmiId,
    plan: whole.plan.text,
    'plan-digest': plan === undefined ? '' : digestOf(plan.approved),
    'plan-file': whole.plan.path,
    'targets-file': whole.targets.path,
    'launch-templates': outputText(launchTemplates),
    'removed-amis': outputText(removed),
    'boot-screenshots': outputText(pictures),
  };
  const shorter: readonly Shorter[] = [
    plan === undefined ? {} : { plan: outputText(totalsOf(plan)) },
    { targets: outputText(targets.map(brief)), 'failed-targets': outputText(failed.map(brief)) },
    { targets: '[]', 'removed-amis': '[]' },
    { 'failed-targets': failed.map(brief) },
    { 'ami-ids': '{}', 'ami-ids-by-region': '{}', 'launch-templates': '{}', 'boot-screenshots': '{}' },
  ];
  return fitting(outputs, shorter);
}

/** What outputs become where they are too long; of a list, as much as there is room for. */
type Shorter = Readonly<Record<string, string | readonly unknown[]>>;

/** Outputs that are not too long together: as many of the changes are made, one after the other, as it takes. */
export function fitting(all: Readonly<Record<string, string>>, shorter: readonly Shorter[]): Record<string, string> {
  let outputs: Record<string, string> = { ...all, truncated: 'false' };
  for (const change of shorter) {
    if (bytesOf(outputs) <= maxBytes) break;
    outputs = { ...outputs, truncated: 'true' };
    for (const [name, value] of Object.entries(change)) {
      const room = maxBytes - bytesOf({ ...outputs, [name]: '' });
      outputs[name] = typeof value === 'string' ? value : beginningOf(value, room);
    }
  }
  return outputs;
}

/** As many of a list as there is room for, but one in any case: an empty one would say that there is nothing. */
function beginningOf(list: readonly unknown[], room: number): string {
  let [fits, beyond] = [Math.min(1, list.length), list.length + 1];
  while (beyond - fits > 1) {
    const count = Math.floor((fits + beyond) / 2);
    if (Buffer.byteLength(outputText(list.slice(0, count))) <= room) fits = count;
    else beyond = count;
  }
  return outputText(list.slice(0, fits));
}

function bytesOf(outputs: Readonly<Record<string, string>>): number {
  return Object.entries(outputs).reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value),
    0,
  );
}
