// What the benchmark shares: AMIs of 1 to 40 volumes, with 1 to 1,000 targets.
import { inTime } from '../simulator/hardness.ts';
import type { Scenario } from '../simulator/scenario.ts';
import { type Case, standardCase } from '../simulator/scenarios/standard.ts';

/** A call takes as long as recorded ones; most are near the lower bound. */
export const latencyMs = [140, 990] as const;

/** What the latencies are drawn by. */
export const seed = 1;

/** A copy takes some minutes: AWS's take from five to hours. */
export const timings = { baseSeconds: 240, secondsPerGiB: 1 };

/** AWS's request rates hold, and nothing is late that the ideal knows nothing of. */
export const played: Pick<Scenario, 'timings' | 'rules' | 'seed'> = {
  timings: { ...inTime, ...timings, latencyMs, registerSeconds: 0 },
  rules: { requestRates: 1 },
  seed,
};

export type Workload = Readonly<{ accounts: number; regions: number; volumes: number }>;

const names = ['west', 'north', 'south', 'east', 'central'];

/** The regions that the AMI is shared to. */
export function regionsOf({ regions }: Workload): string[] {
  return Array.from({ length: regions }, (_, index) => `eu-${names[index % 5]}-${10 + Math.floor(index / 5)}`);
}

/** The sizes of the AMI's volumes, in GiB: 60, 53, 46, … 11, and from 60 again. */
export function sizesOf({ volumes }: Workload): number[] {
  return Array.from({ length: volumes }, (_, index) => 60 - 7 * (index % 8));
}

/** An AMI that has to be encrypted first, to accounts × regions. */
export function caseOf(workload: Workload, how: Partial<Scenario> = played): Case {
  return standardCase({
    targets: Array.from({ length: workload.accounts }, (_, index) => String(200_000_000_000 + index)),
    regions: regionsOf(workload),
    volumes: sizesOf(workload).map((sizeGiB, index) => ({ device: deviceOf(index), sizeGiB })),
    ...how,
  });
}

/** `/dev/sda` to `/dev/sdz`, then `/dev/sdaa` and on. */
function deviceOf(index: number): string {
  const letter = (at: number) => String.fromCharCode(97 + at);
  return `/dev/sd${index < 26 ? '' : letter(Math.floor(index / 26) - 1)}${letter(index % 26)}`;
}

export function targetsOf({ accounts, regions }: Workload): number {
  return accounts * regions;
}
