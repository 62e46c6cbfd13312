import type { Target } from './shard.mjs';

export type TargetRecord = {
  account: string;
  region: string;
  amiId: string | null;
  amiName: string | null;
  snapshotIds: string[];
  kmsKeyArn: string | null;
  status: 'created' | 'reused' | 'planned' | 'failed';
  seconds: number;
  error?: string;
  optional?: true;
};
export type Result = {
  targets?: TargetRecord[];
  'ami-ids'?: Record<string, Record<string, string>>;
  'source-ami-id'?: string;
};
export type Results = Map<number, Result>;
export function readResults(files: Readonly<Record<string, string>>): Results;
export function merge(jobs: {
  targets: readonly Target[];
  shards: readonly (readonly Target[])[];
  results: Results;
  share: string;
}): TargetRecord[];
export function outputsOf(
  records: readonly TargetRecord[],
  limit?: number,
): { outputs: Record<string, string>; shortened: string[] };
export function summaryOf(whole: {
  records: readonly TargetRecord[];
  shards: readonly (readonly Target[])[];
  results: Results;
  shortened: readonly string[];
  artifact: string;
}): string;
