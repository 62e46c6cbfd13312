import type { Request } from '../inputs.ts';
import type { Estimate } from '../plan/estimate.ts';
import { counted } from '../words.ts';

/** What a plan comes to, an item each, for the log and the summary; nothing where it makes nothing and costs nothing. */
export function costsOf(estimate: Estimate, topology: Request['topology']): string[] {
  const { copies, takenOver, storageGiB, intermediatesGiB, timedCopyUSD, fastSnapshotRestoreUSDPerHour } = estimate;
  const { transferGiB, transferUSD, bootTests, bootTestUSD } = estimate;
  const begins = copies > 0;
  return [
    ...(begins ? [counted(copies, 'snapshot copy', 'snapshot copies')] : []),
    ...(takenOver > 0 ? [`${counted(takenOver, 'snapshot copy', 'snapshot copies')} of earlier runs taken over`] : []),
    ...(begins
      ? [`between regions: ${transferGiB} GiB, about ${usd(transferUSD)}${otherTopology(estimate, topology)}`]
      : []),
    ...(storageGiB > 0
      ? [`snapshots that stay: ${storageGiB} GiB, at most ${usd(estimate.storageUSDPerMonth)} a month`]
      : []),
    ...(intermediatesGiB > 0
      ? [
          `encrypted copies that stay: ${intermediatesGiB} GiB, at most ${usd(estimate.intermediatesUSDPerMonth)} a month`,
        ]
      : []),
    ...(timedCopyUSD > 0 ? [`time-based copies: ${usd(timedCopyUSD)}`] : []),
    ...(fastSnapshotRestoreUSDPerHour > 0
      ? [`fast snapshot restore: ${usd(fastSnapshotRestoreUSDPerHour)} an hour as long as it is on`]
      : []),
    ...(bootTests > 0 ? [`${counted(bootTests, 'boot test')}: at most ${usd(bootTestUSD)}`] : []),
  ];
}

/** By the other topology it may come to the same. */
function otherTopology({ byTopology, transferGiB }: Estimate, topology: Request['topology']): string {
  const other = topology === 'direct' ? 'regional-hub' : 'direct';
  const instead = byTopology[other];
  return instead.transferGiB === transferGiB
    ? ''
    : ` (topology ${topology}; with ${other} ${instead.transferGiB} GiB, ${usd(instead.transferUSD)})`;
}

/** How long copying takes; nothing where all copies are there. */
export function copyingTime({ minutes: { least, most } }: Estimate): string[] {
  if (most === 0) return [];
  const span = least < most ? `${least} to ${counted(most, 'minute')}` : `about ${counted(most, 'minute')}`;
  return [`copying takes ${span}`];
}

function usd(amount: number): string {
  return `${amount.toFixed(2)} USD`;
}
