import type { InstanceStateName, SummaryStatus } from '@aws-sdk/client-ec2';
import type { Timings } from '../hardness.ts';
import { Refusal } from '../refusal.ts';
import type { Instance, Launched, Region } from '../world.ts';
import { modelOf } from './instance-types.ts';

/*
 * What becomes of an instance that RunInstances made. Nothing here runs by itself: what an instance is by now is worked
 * out when somebody looks. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
 */

/** How long the checks of an instance that comes up well take unless the scenario says so, and its agent. */
const checksSeconds = 120;
const agentSeconds = 45;

type Looking = Readonly<{ here: Region; timings: Timings; now: number }>;

/** The instance as it is by `now`. */
export function advanceInstance(instance: Instance, { here, timings, now }: Looking): Instance {
  const { launched } = instance;
  if (launched === undefined) return instance;
  const { ends } = launched.boot;
  const endsAt = ends && launched.at + ends.afterSeconds * 1000;
  if (launched.endedAt === undefined && ends !== undefined && endsAt !== undefined && now >= endsAt) {
    const { code, message, transition = '' } = ends;
    launched.endedAt = endsAt;
    launched.reason = { code, message, transition };
  }
  instance.state = stateOf(launched, timings, now);
  if (instance.state === 'terminated') endVolumes(instance, launched, here);
  return instance;
}

function stateOf(launched: Launched, timings: Timings, now: number): InstanceStateName {
  const { at, endedAt } = launched;
  const launchMs = timings.launchSeconds * 1000;
  if (endedAt === undefined) return now < at + launchMs ? 'pending' : 'running';
  const stops = stopsOnly(launched);
  // What fails at launch is terminated at once.
  const overAt = endedAt < at + launchMs ? endedAt : endedAt + timings.terminateSeconds * 1000;
  if (now < overAt) return stops ? 'stopping' : 'shutting-down';
  return stops ? 'stopped' : 'terminated';
}

/** A shutdown from within stops an instance, or terminates it, as the launch has said. */
function stopsOnly({ boot: { ends }, reason, onShutdown }: Launched): boolean {
  if (reason === undefined || reason.code !== ends?.code) return false;
  return ends.state === 'stopped' || (reason.code === 'Client.InstanceInitiatedShutdown' && onShutdown === 'stop');
}

/** Volumes go with their instance where their mapping says so; others stay. */
function endVolumes(instance: Instance, { subnet, volumeTags }: Launched, here: Region): void {
  for (const { volumeId, keyArn, mapping } of instance.volumes) {
    if (volumeId === undefined || mapping.Ebs?.DeleteOnTermination === true) continue;
    const { VolumeSize: sizeGiB = 8, VolumeType: type = 'gp3' } = mapping.Ebs ?? {};
    here.volumes.set(volumeId, { id: volumeId, zone: subnet.zone, sizeGiB, type, tags: volumeTags, keyArn });
  }
  if (instance.volumes.length > 0) subnet.freeAddresses += 1;
  instance.volumes = [];
}

type Checks = Readonly<Record<'instance' | 'system' | 'ebs', SummaryStatus>>;

/** What the three status checks show: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html */
export function checksOf({ state, launched }: Instance, now: number): Checks {
  if (state !== 'running') return { instance: 'not-applicable', system: 'not-applicable', ebs: 'not-applicable' };
  if (launched === undefined) return { instance: 'ok', system: 'ok', ebs: 'ok' };
  const { checksAfterSeconds = checksSeconds, ...boot } = launched.boot;
  // Attached volumes are checked on Nitro alone.
  const isNitro = modelOf(launched.type)?.hypervisor === 'nitro';
  if (checksAfterSeconds !== 'never' && now >= launched.at + checksAfterSeconds * 1000)
    return { instance: 'ok', system: 'ok', ebs: isNitro ? 'ok' : 'not-applicable' };
  return {
    instance: boot.instanceStatus ?? 'initializing',
    system: boot.systemStatus ?? 'initializing',
    ebs: boot.attachedEbsStatus ?? 'initializing',
  };
}

/** Whether the agent of Systems Manager has registered, which takes a role to do it with. */
export function hasAgent({ state, launched }: Instance, now: number): boolean {
  if (state !== 'running' || launched?.profile === undefined) return false;
  const { agentAfterSeconds = agentSeconds } = launched.boot;
  return agentAfterSeconds !== 'never' && now >= launched.at + agentAfterSeconds * 1000;
}

/** The instance as it is, where it can be seen. @throws Refusal */
export function instanceOf(looking: Looking, id: string): Instance {
  const instance = looking.here.instances.get(id);
  if (instance === undefined || (instance.launched?.visibleAt ?? 0) > looking.now)
    throw new Refusal('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
  return advanceInstance(instance, looking);
}

/** All that are there, seen or not: quotas and attachments go by these. */
export function allInstances(looking: Looking): Instance[] {
  return [...looking.here.instances.values()].map((instance) => advanceInstance(instance, looking));
}

/** All that can be seen. */
export function instancesIn(looking: Looking): Instance[] {
  return allInstances(looking).filter(({ launched }) => (launched?.visibleAt ?? 0) <= looking.now);
}

/** Tells an instance to end. */
export function terminate(instance: Instance, looking: Looking): void {
  const { launched } = advanceInstance(instance, looking);
  if (launched === undefined) {
    instance.state = 'terminated';
    instance.volumes = [];
    return;
  }
  const ended = instance.state === 'shutting-down' || instance.state === 'terminated';
  if (ended) return;
  launched.endedAt = looking.now;
  const message = 'Client.UserInitiatedShutdown: User initiated shutdown';
  const transition = `User initiated (${new Date(looking.now).toISOString().slice(0, 19).replace('T', ' ')} GMT)`;
  launched.reason = { code: 'Client.UserInitiatedShutdown', message, transition };
  instance.state = stateOf(launched, looking.timings, looking.now);
}
