import { totalGiB } from '../image.ts';
import type { Request } from '../inputs.ts';
import { isMaking, type MakingPlan, type Plan } from './decided.ts';
import type { SourceSnapshot } from './facts.ts';

/*
 * What a run costs and how long it takes, by AWS's list prices for us-east-1 (https://aws.amazon.com/ebs/pricing/,
 * https://aws.amazon.com/ec2/pricing/on-demand/#Data_Transfer). Other regions differ, a snapshot holds only the blocks
 * that were written, and a copy under the same key may be incremental: so these are upper estimates.
 */
const transferPerGiB = 0.02;
const storagePerGiBMonth = 0.05;
/** The price of an hour of fast snapshot restore, by snapshot and availability zone. */
const fastRestorePerHour = 0.75;

/** The surcharge for a copy that is to take so many minutes at most: https://docs.aws.amazon.com/ebs/latest/userguide/time-based-copies.html */
const timedPerGiB: readonly (readonly [minutes: number, usd: number])[] = [
  [960, 0.005],
  [480, 0.01],
  [240, 0.012],
  [120, 0.014],
  [60, 0.016],
  [30, 0.018],
  [15, 0.02],
];

/** The most that a time-based copy does, and what plain copies of some GiB were seen to do. */
const mibPerSecond = { most: 500, least: 50 };

/** The price of an instance by its memory, which general purpose types don't exceed: m7i.large, 8 GiB, 0.1008 USD an hour. */
const instancePerGiBHour = 0.0126;

export type Estimate = Readonly<{
  /** Snapshot copies, those of encrypted copies too. */
  copies: number;
  /** What crosses from region to region by the asked topology, and by both. */
  transferGiB: number;
  transferUSD: number;
  byTopology: Readonly<Record<'direct' | 'regional-hub', Readonly<{ transferGiB: number; transferUSD: number }>>>;
  /** What the targets keep. */
  storageGiB: number;
  storageUSDPerMonth: number;
  timedCopyUSD: number;
  fastSnapshotRestoreUSDPerHour: number;
  /** Boot tests, and what their instances cost at most. */
  bootTests: number;
  bootTestUSD: number;
  minutes: Readonly<{ least: number; most: number }>;
  /** Where the figures come from. */
  basis: string;
}>;

const round = (value: number): number => Math.round(value * 100) / 100;

export function estimate(request: Request, { source, targets, operations, encryptedCopies: copies }: Plan): Estimate {
  const sizes = source.snapshots.map(({ sizeGiB }) => sizeGiB);
  const total = totalGiB(source.snapshots);
  const largest = Math.max(0, ...sizes);
  // What is there, or was begun by another run, is not made again.
  const making = targets
    .filter(isMaking)
    .map((one) => ({ ...one, copied: copiedBy(one, source.snapshots) }))
    .filter(({ copied }) => copied.length > 0);
  const gibOf = (some: typeof making) => some.reduce((sum, { copied }) => sum + totalGiB(copied), 0);
  const encryptedCopies = copies.filter(({ there }) => there === undefined);
  const abroad = making.filter(({ target }) => target.request.region !== source.place.region);
  const regions = Map.groupBy(abroad, ({ target }) => target.request.region);
  const hubbed = [...regions.values()].reduce((sum, one) => {
    const others = one.filter(({ crossAccount }) => crossAccount);
    return sum + gibOf(one) + (others.length > 1 ? total - gibOf(others) : 0);
  }, 0);
  const priced = (transferGiB: number) => ({ transferGiB, transferUSD: round(transferGiB * transferPerGiB) });
  const byTopology = { direct: priced(gibOf(abroad)), 'regional-hub': priced(hubbed) };
  const encrypted = encryptedCopies.flatMap(({ only, snapshotsThere }) =>
    (only ?? source.snapshots).filter(({ id }) => !snapshotsThere.has(id)),
  );
  const encryptedGiB = totalGiB(encrypted);
  const encryptedCount = encrypted.length;
  const { copyMinutes } = request;
  const timed = copyMinutes === undefined ? 0 : (timedPerGiB.find(([minutes]) => copyMinutes >= minutes)?.[1] ?? 0);
  const zones = targets.reduce((sum, { target }) => sum + target.zones.length, 0);
  const hops = making.length === 0 ? 0 : encryptedCount > 0 ? 2 : 1;
  const minutesAt = (rate: number) => Math.ceil((hops * largest * 1024) / rate / 60);
  return {
    copies: making.reduce((sum, { copied }) => sum + copied.length, 0) + encryptedCount,
    ...byTopology[request.topology],
    byTopology,
    storageGiB: gibOf(making),
    storageUSDPerMonth: round(gibOf(making) * storagePerGiBMonth),
    timedCopyUSD: round((gibOf(making) + encryptedGiB) * timed),
    fastSnapshotRestoreUSDPerHour: round(sizes.length * zones * fastRestorePerHour),
    ...bootTestsOf(operations),
    minutes:
      copyMinutes === undefined
        ? { least: minutesAt(mibPerSecond.most), most: minutesAt(mibPerSecond.least) }
        : { least: Math.min(hops * copyMinutes, minutesAt(mibPerSecond.most)), most: hops * copyMinutes },
    basis: `volume sizes, not blocks written; list prices of us-east-1: ${transferPerGiB} USD/GiB between regions, ${storagePerGiBMonth} USD/GiB-month of snapshots (https://aws.amazon.com/ebs/pricing/); time by the largest volume at ${mibPerSecond.least} to ${mibPerSecond.most} MiB/s a copy (https://docs.aws.amazon.com/ebs/latest/userguide/time-based-copies.html)`,
  };
}

/** So much longer than its test an instance takes to begin and to end. */
const aroundMinutes = 3;

/** At most each size that is tried runs until its time is over. */
function bootTestsOf(operations: Plan['operations']): Pick<Estimate, 'bootTests' | 'bootTestUSD'> {
  const tests = operations.filter((operation) => operation.kind === 'boot');
  const usd = tests.map(({ site, settings }) => {
    const gib = site.sizes.map((launches) => Math.max(...launches.map(({ memoryMiB }) => memoryMiB)) / 1024);
    const hours = (settings.timeoutMinutes + aroundMinutes) / 60;
    return gib.reduce((sum, one) => sum + one, 0) * hours * instancePerGiBHour;
  });
  return { bootTests: tests.length, bootTestUSD: round(usd.reduce((sum, one) => sum + one, 0)) };
}

/** The snapshots that are copied anew for a target. */
function copiedBy(plan: MakingPlan, all: readonly SourceSnapshot[]): readonly SourceSnapshot[] {
  if (plan.action === 'copy') return plan.takeOver === undefined ? all : [];
  return plan.copies.filter(({ takeOver }) => takeOver === undefined).map(({ source }) => source);
}
