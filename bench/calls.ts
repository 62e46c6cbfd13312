import type { RecordedCall } from '../simulator/simulator.ts';

const looks = new Set(['DescribeSnapshots', 'DescribeImages']);

/** The calls that targets' roles made. */
export function ofTargetsOnly(
  calls: readonly RecordedCall[],
  inputs: Readonly<Record<string, string>>,
): RecordedCall[] {
  const source = inputs['source-role-arn']?.split(':')[4];
  return calls.filter(({ account }) => account !== undefined && account !== source);
}

/** A look at something that is being made is asked for by its ID; the plan's questions have filters. */
export function isLook({ action, request }: RecordedCall): boolean {
  return looks.has(action) && (request.SnapshotIds !== undefined || request.ImageIds !== undefined);
}

/** Looks a minute in one account and region, from the first copy there to the AMI: the mean and the most. */
export function looksPerMinute(calls: readonly RecordedCall[]): Readonly<{ mean: number; most: number }> {
  const rates = [...Map.groupBy(calls, ({ account, region }) => `${account}/${region}`).values()].flatMap((here) => {
    const began = here.find(({ action, mutating }) => mutating && action === 'CopySnapshot')?.at;
    const ended = here.find(({ action, mutating }) => mutating && action === 'RegisterImage')?.at;
    if (began === undefined || ended === undefined) return [];
    const between = here.filter((call) => isLook(call) && call.at >= began && call.at <= ended);
    return [between.length / ((ended - began) / 60_000)];
  });
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  return { mean: round(mean, 1), most: round(Math.max(...rates), 1) };
}

export function round(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
