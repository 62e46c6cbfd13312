// What the benchmark shares: AMIs of 1 to 8 volumes, with 1 to 1,000 targets.
import { type Case, standardCase } from '../simulator/scenarios/standard.ts';

/** A copy of an hour is played in a minute or two; a call takes as long as a near region's. */
export const timings = { baseSeconds: 60, secondsPerGiB: 1, latencyMs: 40 };

export type Workload = Readonly<{ accounts: number; regions: number; volumes: number }>;

const names = ['west', 'north', 'south', 'east', 'central'];

/** An AMI of `volumes` volumes of 60, 53, 46, … GiB that has to be encrypted first, to accounts × regions. */
export function caseOf({ accounts, regions, volumes }: Workload): Case {
  return standardCase({
    targets: Array.from({ length: accounts }, (_, index) => String(200_000_000_000 + index)),
    regions: Array.from({ length: regions }, (_, index) => `eu-${names[index % 5]}-${10 + Math.floor(index / 5)}`),
    volumes: Array.from({ length: volumes }, (_, index) => ({
      device: `/dev/sd${String.fromCharCode(97 + index)}`,
      sizeGiB: sizeOf(index),
    })),
    timings,
  });
}

function sizeOf(index: number): number {
  return 60 - 7 * index;
}

/**
 * Seconds that the work takes at the very least: the longest chain of encrypting a volume, then copying it, by the
 * simulator's own durations. A target's volumes are fewer than the copies that run at once, so the quota delays none.
 */
export function idealSeconds({ volumes }: Workload): number {
  const copy = (index: number) => timings.baseSeconds + sizeOf(index) * timings.secondsPerGiB;
  return Math.max(...Array.from({ length: volumes }, (_, index) => 2 * copy(index)));
}

export function targetsOf({ accounts, regions }: Workload): number {
  return accounts * regions;
}
