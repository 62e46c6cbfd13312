import { latencyOf } from '../simulator/rates.ts';
import { sourceRegion } from '../simulator/scenarios/standard.ts';
import { latencyMs, regionsOf, seed, sizesOf, timings, type Workload } from './workload.ts';

/** Copies into one region at once: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html */
export const copiesAtOnce = 20;

/** A copy to make: from when it can begin, and how long it takes, in seconds. */
export type Job = Readonly<{ from: number; seconds: number }>;

/**
 * When the last of some copies ends, in seconds, where so many run at once: the longest go first. No order of them ends
 * much sooner (https://en.wikipedia.org/wiki/Longest-processing-time-first_scheduling), and where all fit, none does.
 */
export function lastEnd(jobs: readonly Job[], atOnce: number): number {
  const free = Array.from({ length: Math.min(atOnce, jobs.length) }, () => 0);
  const ends = jobs
    .toSorted((a, b) => a.from - b.from || b.seconds - a.seconds)
    .map(({ from, seconds }) => {
      const slot = free.indexOf(Math.min(...free));
      const end = Math.max(from, free[slot] ?? 0) + seconds;
      free[slot] = end;
      return end;
    });
  return Math.max(0, ...ends);
}

/** How long the calls of a bucket wait for their rate, in seconds: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html */
export function bucketSeconds(
  calls: number,
  { capacity, perSecond }: Readonly<{ capacity: number; perSecond: number }>,
): number {
  return Math.max(0, calls - capacity) / perSecond;
}

/** How long the first call of an action in a region takes, in seconds, by the simulator's own draw. */
function callSeconds(service: string, action: string, region: string | undefined): number {
  return latencyOf(latencyMs, { site: `${service}/${action}/${region}`, count: 1, seed }) / 1000;
}

/**
 * Seconds that the work takes at the very least: the slowest chain of encrypt, copy and register, each with its call and
 * one look that sees its end, with as many copies at once in each account and region as the quota allows.
 */
export function idealSeconds(workload: Workload): number {
  const copies = sizesOf(workload).map((sizeGiB) => timings.baseSeconds + sizeGiB * timings.secondsPerGiB);
  const ec2 = (action: string, region: string) => callSeconds('ec2', action, region);
  const began =
    callSeconds('sts', '', undefined) +
    callSeconds('sts', 'AssumeRoleWithWebIdentity', undefined) +
    ec2('CopyImage', sourceRegion) +
    ec2('DescribeSnapshots', sourceRegion);
  const writes = bucketSeconds(copies.length + 1, { capacity: 50, perSecond: 5 });
  const ends = regionsOf(workload).map((region) => {
    const begin = began + ec2('CopySnapshot', region);
    const copied = lastEnd(
      copies.map((seconds) => ({ from: begin + seconds, seconds })),
      copiesAtOnce,
    );
    const last = ec2('DescribeSnapshots', region) + ec2('RegisterImage', region) + ec2('DescribeImages', region);
    return copied + writes + last;
  });
  return Math.max(...ends);
}
