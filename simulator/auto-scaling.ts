import { authorizeSsm, type Principal } from './iam.ts';
import type { Region } from './world.ts';

export type AutoScalingCall = Readonly<{ caller: Principal; region: string; here: Region }>;
type Handler = (call: AutoScalingCall, input: Readonly<Record<string, unknown>>) => Promise<Record<string, unknown>>;

/** Lists know no resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html */
function authorize({ caller, region }: AutoScalingCall, action: string): Promise<void> {
  return authorizeSsm(caller, `autoscaling:${action}`, { resource: '*', context: { 'aws:RequestedRegion': region } });
}

const pageSize = 2;

function pageOf<T>(all: readonly T[], input: Readonly<Record<string, unknown>>): { items: readonly T[]; more: object } {
  const start = Number(input.NextToken ?? 0);
  const end = start + pageSize;
  return { items: all.slice(start, end), more: end < all.length ? { NextToken: String(end) } : {} };
}

export const autoScalingHandlers: Readonly<Record<string, Handler>> = {
  async DescribeAutoScalingGroups(call, input) {
    await authorize(call, 'DescribeAutoScalingGroups');
    const { items, more } = pageOf(call.here.groups, input);
    return { AutoScalingGroups: items, ...more };
  },

  async DescribeLaunchConfigurations(call, input) {
    await authorize(call, 'DescribeLaunchConfigurations');
    const { items, more } = pageOf(call.here.launchConfigurations, input);
    return { LaunchConfigurations: items, ...more };
  },
};
