export type Target = { account: string; region: string; [field: string]: unknown };
export const maxJobs: number;
export const maxPerJob: number;
export class InputError extends Error {}
export function readTargets(inputs: {
  accounts?: string;
  regions?: string;
  targets?: string;
  optional?: string;
  excluded?: string;
}): Target[];
export function shardTargets(targets: readonly Target[], perJob: number): Target[][];
