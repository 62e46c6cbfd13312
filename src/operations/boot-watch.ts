import { DescribeInstanceStatusCommand, type Instance } from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand } from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { isThrottling, isTransient } from '../aws/errors.ts';
import type { Launch } from '../plan/facts.ts';
import type { BootTest } from '../plan/operation.ts';
import type { Scope } from '../run.ts';
import { endVerdict, neverBy, type Verdict } from './boot-verdict.ts';
import { describeInstance, isAbsentInstance } from './instances.ts';

/* Whether an instance comes up: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html */

/** So long an instance that was launched may not be seen yet. */
const unseenMs = 300_000;

const unseen = 'the instance is not seen';

type Standing = Readonly<{ isUp: boolean; ended: Instance | undefined; shown: string; lacksAgent: boolean }>;

/** So often in a row an instance that was seen may not be. */
const mostMisses = 4;

/** An instance, and as what it was launched. */
type Launched = Readonly<{ id: string; launch: Launch }>;

/** Looks at an instance until it is up, has ended, or its time is over. @throws AwsCallError */
export async function watch(operation: BootTest, { run, place }: Scope, { id, launch }: Launched): Promise<Verdict> {
  const began = place.clock.now();
  const lookMs = Math.min(run.request.pollSeconds, 10) * 1000;
  let looks: Looks = { now: undefined, seen: undefined, misses: 0, passedMs: 0, blindMs: 0 };
  let toldAt = began;
  for (;;) {
    await place.sleep(lookMs);
    let failed: unknown;
    const now = await standingOf(place, id, operation.settings.test).catch((error: unknown) => {
      if (!isTransient(error) && !isThrottling(error)) throw error;
      failed = error;
      return undefined;
    });
    const at = place.clock.now();
    // That AWS can't be asked for a while says nothing of the instance.
    if (failed === undefined) toldAt = at;
    const misses = now !== undefined ? 0 : looks.misses + (failed === undefined ? 1 : 0);
    looks = { now, seen: now ?? looks.seen, misses, passedMs: at - began, blindMs: at - toldAt };
    const verdict = verdictBy(operation, launch, looks);
    if (verdict !== undefined) return verdict.is === 'never' && failed !== undefined ? neverBy(failed) : verdict;
  }
}

/** What the looks so far have shown; for `blindMs` by now, AWS has told nothing. */
type Looks = Readonly<{
  now: Standing | undefined;
  seen: Standing | undefined;
  misses: number;
  passedMs: number;
  blindMs: number;
}>;

/** A look that is older says nothing of how an instance stands. */
const staleMs = 120_000;

/** What the looks at an instance so far come to; undefined while it is to be looked at again. */
function verdictBy(operation: BootTest, launch: Launch, looks: Looks): Verdict | undefined {
  const { now, seen, misses, passedMs, blindMs } = looks;
  const isOver = passedMs >= operation.settings.timeoutMinutes * 60_000;
  if (now?.isUp) return { is: 'up' };
  if (now?.ended !== undefined) return endVerdict(now.ended);
  if (seen === undefined && passedMs > unseenMs && blindMs <= staleMs) return { is: 'elsewhere', why: unseen };
  if (seen !== undefined && misses > mostMisses) return { is: 'elsewhere', why: 'the instance is gone' };
  if (!isOver) return undefined;
  if (blindMs > staleMs) return { is: 'never', why: 'AWS could not be asked how the instance stands' };
  return seen === undefined ? { is: 'elsewhere', why: unseen } : lateVerdict(operation, launch, seen);
}

/** What an instance says of the AMI that is not up in time. */
function lateVerdict({ settings, site }: BootTest, launch: Launch, { shown, lacksAgent }: Standing): Verdict {
  const why = `not up within boot-timeout-minutes (${settings.timeoutMinutes}): ${shown}`;
  const excuse = lacksAgent ? agentExcuse(site.profile, launch) : undefined;
  if (excuse === undefined) return { is: 'failed', why, byKey: false };
  return { is: 'never', why: `${why}; ${excuse.why}`, remedy: excuse.remedy };
}

/** Why an agent may stay away though the AMI is good: whether it can reach Systems Manager, and by which role, is the account's doing. */
function agentExcuse(profile: string | undefined, { subnet, givesIpv6 }: Launch) {
  if (profile === undefined)
    return {
      why: 'without boot-instance-profile, its role or the network may be at fault',
      remedy: 'name a profile in boot-instance-profile whose role has AmazonSSMManagedInstanceCore',
    };
  if (!givesIpv6) return undefined;
  return {
    why: `a test takes none of the IPv6 addresses that ${subnet} gives, so the network may be at fault`,
    remedy: 'name a subnet in boot-subnet from which Systems Manager is reached by IPv4',
  };
}

/** What AWS tells of an instance by now; undefined where it isn't seen. */
async function standingOf(place: Place, id: string, test: 'status' | 'ssm'): Promise<Standing | undefined> {
  const status = await statusOf(place, id);
  if (status === undefined) return undefined;
  const state = status.InstanceState?.Name ?? 'pending';
  if (state !== 'pending' && state !== 'running') {
    const instance = await describeInstance(place, id);
    return { isUp: false, ended: instance ?? { State: { Name: state } }, shown: state, lacksAgent: false };
  }
  const ebs = status.AttachedEbsStatus?.Status;
  const checks = [
    ['instance', status.InstanceStatus?.Status],
    ['system', status.SystemStatus?.Status],
    // Nitro has it alone: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html
    ['EBS', ebs === undefined || ebs === 'not-applicable' ? 'ok' : ebs],
  ] as const;
  const passed = state === 'running' && checks.every(([, one]) => one === 'ok');
  const hasAgent = test === 'status' || (passed && (await isAgentOnline(place, id)));
  const shown = checks.map(([name, one]) => `${name} status ${one ?? 'unknown'}`).join(', ');
  const agent = passed && !hasAgent ? ', the agent of Systems Manager is not online' : '';
  return { isUp: passed && hasAgent, ended: undefined, shown: `${state}; ${shown}${agent}`, lacksAgent: passed };
}

async function statusOf(place: Place, id: string) {
  try {
    const command = new DescribeInstanceStatusCommand({ InstanceIds: [id], IncludeAllInstances: true });
    return (await place.ec2(command)).InstanceStatuses?.[0];
  } catch (error) {
    if (isAbsentInstance(error)) return undefined;
    throw error;
  }
}

/** https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_InstanceInformation.html */
async function isAgentOnline(place: Place, id: string): Promise<boolean> {
  const command = new DescribeInstanceInformationCommand({ Filters: [{ Key: 'InstanceIds', Values: [id] }] });
  const { InstanceInformationList = [] } = await place.ssm(command);
  return InstanceInformationList.some(({ InstanceId, PingStatus }) => InstanceId === id && PingStatus === 'Online');
}
