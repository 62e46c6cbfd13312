import type { Runner } from '../host.ts';
import type { PlanRecord } from './plan.ts';
import type { Span } from './timeline.ts';

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
}>;

export type Report = Readonly<{
  /** Whether nothing was to be shared, only to be taken back. */
  swept?: boolean;
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
  timeline: readonly Span[];
  seconds: number;
}>;

/** Whether the record's AMI is there and right. */
export const isReady = ({ amiId, status }: TargetRecord): boolean => amiId !== null && status !== 'failed';

/** Writes all outputs; also after a failure, with what there is. */
export function writeOutputs(
  { setOutput }: Pick<Runner, 'setOutput'>,
  { sourceAmiId, targets, plan }: Pick<Report, 'sourceAmiId' | 'targets' | 'plan'>,
): void {
  const made = targets.filter(isReady);
  const ids: Record<string, Record<string, string>> = {};
  const byRegion: Record<string, string[]> = {};
  for (const { account, region, amiId } of made) {
    ids[account] = { ...ids[account], [region]: amiId ?? '' };
    byRegion[region] = [...(byRegion[region] ?? []), amiId ?? ''];
  }
  setOutput('ami-id', targets.length === 1 ? (made[0]?.amiId ?? '') : '');
  setOutput('ami-ids', JSON.stringify(ids));
  setOutput('ami-ids-by-region', JSON.stringify(byRegion));
  setOutput('targets', JSON.stringify(targets));
  setOutput('failed-targets', JSON.stringify(targets.filter(({ status }) => status === 'failed')));
  setOutput('source-ami-id', sourceAmiId);
  setOutput('plan', plan === undefined ? '' : JSON.stringify(plan));
}
