import { totalGiB } from '../image.ts';
import type { Request } from '../inputs.ts';
import { type EncryptedCopy, isMaking, type MakingPlan, type Plan } from './decided.ts';
import { shareLeft } from './earlier.ts';
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
  /** Snapshot copies that are begun, those of encrypted copies too. */
  copies: number;
  /** Snapshot copies that an earlier run began, and this one takes over. */
  takenOver: number;
  /** What crosses from region to region by the asked topology, and by both. */
  transferGiB: number;
  transferUSD: number;
  byTopology: Readonly<Record<'direct' | 'regional-hub', Readonly<{ transferGiB: number; transferUSD: number }>>>;
  /** What the targets keep of it, copies that are taken over too. */
  storageGiB: number;
  storageUSDPerMonth: number;
  /** What keep-intermediates leaves in the source account. */
  intermediatesGiB: number;
  intermediatesUSDPerMonth: number;
  timedCopyUSD: number;
  /** For AMIs that are used again, too. */
  fastSnapshotRestoreUSDPerHour: number;
  /** Boot tests, and what their instances cost at most. */
  bootTests: number;
  bootTestUSD: number;
  /** Until the last copy is completed; 0 where there is nothing left to copy. */
  minutes: Readonly<{ least: number; most: number }>;
  /** Where the figures come from. */
  basis: string;
}>;

const round = (value: number): number => Math.round(value * 100) / 100;
const perMonth = (sizeGiB: number): number => round(sizeGiB * storagePerGiBMonth);

export function estimate(request: Request, { source, targets, operations, encryptedCopies: copies }: Plan): Estimate {
  const { snapshots } = source;
  const total = totalGiB(snapshots);
  // What is there, or was begun by another run, is not made again.
  const all = targets.filter(isMaking).map((one) => ({ ...one, ...copiedBy(one, snapshots) }));
  const making = all.filter(({ copied }) => copied.length > 0);
  const gibOf = (some: typeof making) => some.reduce((sum, { copied }) => sum + totalGiB(copied), 0);
  const abroad = making.filter(({ target }) => target.request.region !== source.place.region);
  const regions = Map.groupBy(abroad, ({ target }) => target.request.region);
  const hubbed = [...regions.values()].reduce((sum, one) => {
    const others = one.filter(({ crossAccount }) => crossAccount);
    return sum + gibOf(one) + (others.length > 1 ? total - gibOf(others) : 0);
  }, 0);
  const priced = (transferGiB: number) => ({ transferGiB, transferUSD: round(transferGiB * transferPerGiB) });
  const byTopology = { direct: priced(gibOf(abroad)), 'regional-hub': priced(hubbed) };
  const encrypted = copies.flatMap((copy) => encryptedBy(copy, snapshots));
  const { copyMinutes, keepIntermediates } = request;
  const timed = copyMinutes === undefined ? 0 : (timedPerGiB.find(([minutes]) => copyMinutes >= minutes)?.[1] ?? 0);
  const zones = targets.reduce((sum, { target }) => sum + target.zones.length, 0);
  const taken = all.flatMap(({ taken }) => taken);
  const storageGiB = gibOf(making) + totalGiB(taken);
  const intermediatesGiB = keepIntermediates ? totalGiB(copies.flatMap(({ only }) => only ?? snapshots)) : 0;
  return {
    copies: making.reduce((sum, { copied }) => sum + copied.length, 0) + encrypted.length,
    takenOver: taken.length,
    ...byTopology[request.topology],
    byTopology,
    storageGiB,
    storageUSDPerMonth: perMonth(storageGiB),
    intermediatesGiB,
    intermediatesUSDPerMonth: perMonth(intermediatesGiB),
    timedCopyUSD: round((gibOf(making) + totalGiB(encrypted)) * timed),
    fastSnapshotRestoreUSDPerHour: round(snapshots.length * zones * fastRestorePerHour),
    ...bootTestsOf(operations),
    minutes: minutesOf({
      hops: making.length === 0 ? 0 : encrypted.length > 0 ? 2 : 1,
      largestGiB: Math.max(0, ...snapshots.map(({ sizeGiB }) => sizeGiB)),
      leftGiB: Math.max(0, ...taken.map(({ leftGiB }) => leftGiB)),
      copyMinutes,
    }),
    basis: `volume sizes, not blocks written; list prices of us-east-1: ${transferPerGiB} USD/GiB between regions, ${storagePerGiBMonth} USD/GiB-month of snapshots (https://aws.amazon.com/ebs/pricing/); time by the largest volume at ${mibPerSecond.least} to ${mibPerSecond.most} MiB/s a copy (https://docs.aws.amazon.com/ebs/latest/userguide/time-based-copies.html)`,
  };
}

/** How many copies of the largest volume come one after the other, and the most that a copy taken over has left. */
type Chain = Readonly<{ hops: number; largestGiB: number; leftGiB: number; copyMinutes: number | undefined }>;

function minutesOf({ hops, largestGiB, leftGiB, copyMinutes }: Chain): Estimate['minutes'] {
  const at = (sizeGiB: number, rate: number) => Math.ceil((sizeGiB * 1024) / rate / 60);
  const left = { least: at(leftGiB, mibPerSecond.most), most: at(leftGiB, mibPerSecond.least) };
  const [quick, slow] = [at(hops * largestGiB, mibPerSecond.most), at(hops * largestGiB, mibPerSecond.least)];
  // Copies that are taken over were begun with a time of their own, which AWS doesn't tell.
  const asked = copyMinutes === undefined ? undefined : hops * copyMinutes;
  return {
    least: Math.max(left.least, Math.min(asked ?? quick, quick)),
    most: Math.max(left.most, asked ?? slow),
  };
}

/** The snapshots that are copied anew for an encrypted copy. */
export function encryptedBy(
  { there, only, snapshotsThere }: EncryptedCopy,
  all: readonly SourceSnapshot[],
): readonly SourceSnapshot[] {
  return there === undefined ? (only ?? all).filter(({ id }) => !snapshotsThere.has(id)) : [];
}

/** The snapshots that are copied anew for a target, and those whose copies are taken over, with what is left of each. */
type Copied = Readonly<{
  copied: readonly SourceSnapshot[];
  taken: readonly Readonly<{ sizeGiB: number; leftGiB: number }>[];
}>;

function copiedBy(plan: MakingPlan, all: readonly SourceSnapshot[]): Copied {
  if (plan.action === 'copy') {
    const taken = all.map(({ sizeGiB }) => ({ sizeGiB, leftGiB: sizeGiB }));
    return plan.takeOver === undefined ? { copied: all, taken: [] } : { copied: [], taken };
  }
  return {
    copied: plan.copies.filter(({ takeOver }) => takeOver === undefined).map(({ source }) => source),
    taken: plan.copies.flatMap(({ source: { sizeGiB }, takeOver }) =>
      takeOver === undefined ? [] : [{ sizeGiB, leftGiB: sizeGiB * shareLeft(plan.target, takeOver) }],
    ),
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
