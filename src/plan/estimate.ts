import { totalGiB } from '../image.ts';
import type { Request } from '../inputs.ts';
import type { Plan } from './plan.ts';

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
  minutes: Readonly<{ least: number; most: number }>;
  /** Where the figures come from. */
  basis: string;
}>;

const round = (value: number): number => Math.round(value * 100) / 100;

export function estimate(request: Request, { source, targets, encryptedCopies }: Plan): Estimate {
  const sizes = source.snapshots.map(({ sizeGiB }) => sizeGiB);
  const total = totalGiB(source.snapshots);
  const largest = Math.max(0, ...sizes);
  const making = targets.filter(({ reuse, adopt }) => reuse === undefined && adopt === undefined);
  const abroad = making.filter(({ target }) => target.request.region !== source.place.region);
  const regions = Map.groupBy(abroad, ({ target }) => target.request.region);
  const hubbed = [...regions.values()].reduce((sum, one) => {
    const others = one.filter(({ crossAccount }) => crossAccount).length;
    return sum + (others > 1 ? one.length - others + 1 : one.length);
  }, 0);
  const priced = (crossings: number) => ({
    transferGiB: crossings * total,
    transferUSD: round(crossings * total * transferPerGiB),
  });
  const byTopology = { direct: priced(abroad.length), 'regional-hub': priced(hubbed) };
  const encryptedGiB = encryptedCopies.reduce((sum, { only }) => sum + (only ? totalGiB(only) : total), 0);
  const encryptedCount = encryptedCopies.reduce((sum, { only }) => sum + (only?.length ?? sizes.length), 0);
  const { copyMinutes, publication } = request;
  const timed = copyMinutes === undefined ? 0 : (timedPerGiB.find(([minutes]) => copyMinutes >= minutes)?.[1] ?? 0);
  const zones = publication.fastSnapshotRestore === 'all' ? 3 : publication.fastSnapshotRestore.length;
  const hops = making.length === 0 ? 0 : encryptedCopies.length > 0 ? 2 : 1;
  const minutesAt = (rate: number) => Math.ceil((hops * largest * 1024) / rate / 60);
  return {
    copies: making.length * sizes.length + encryptedCount,
    ...byTopology[request.topology],
    byTopology,
    storageGiB: making.length * total,
    storageUSDPerMonth: round(making.length * total * storagePerGiBMonth),
    timedCopyUSD: round((making.length * total + encryptedGiB) * timed),
    fastSnapshotRestoreUSDPerHour: round(
      publication.fastSnapshotRestore.length === 0 ? 0 : making.length * sizes.length * zones * fastRestorePerHour,
    ),
    minutes:
      copyMinutes === undefined
        ? { least: minutesAt(mibPerSecond.most), most: minutesAt(mibPerSecond.least) }
        : { least: Math.min(hops * copyMinutes, minutesAt(mibPerSecond.most)), most: hops * copyMinutes },
    basis: `volume sizes, not blocks written; list prices of us-east-1: ${transferPerGiB} USD/GiB between regions, ${storagePerGiBMonth} USD/GiB-month of snapshots (https://aws.amazon.com/ebs/pricing/); time by the largest volume at ${mibPerSecond.least} to ${mibPerSecond.most} MiB/s a copy (https://docs.aws.amazon.com/ebs/latest/userguide/time-based-copies.html)`,
  };
}
