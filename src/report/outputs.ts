import { setOutput } from '@actions/core';

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
  sourceAmiId: string;
  targets: readonly TargetRecord[];
  /** What was taken back at the end, and what could not be. */
  cleanUp: Readonly<{ done: readonly string[]; failed: readonly string[] }>;
  seconds: number;
}>;

const done = ({ amiId }: TargetRecord): boolean => amiId !== null;

/** Writes all outputs; also after a failure, with what there is. */
export function writeOutputs({ sourceAmiId, targets }: Pick<Report, 'sourceAmiId' | 'targets'>): void {
  const made = targets.filter(done);
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
}
