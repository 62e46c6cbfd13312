import { DescribeInstancesCommand, type Instance, TerminateInstancesCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { pages } from '../aws/describe.ts';
import { explain, hasCode, isDenied, placeName, StepError, type Where } from '../aws/errors.ts';
import { mostTries } from '../plan/boot.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { clientToken } from './client-token.ts';
import { removing } from './limits.ts';

/* The instances of boot tests: how they are found again, and ended. */

/** The client token of a run's nth launch in a target. */
export function launchToken(leaseId: string, place: Where, count: number): string {
  return clientToken(leaseId, 'boot', placeName(place), String(count));
}

/**
 * Whether a run launched an instance: by its client token, which nobody can give to an instance that is there already.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html (clientToken)
 */
export function isLaunchedBy(instance: Instance, leaseId: string, place: Where): boolean {
  const tokens = Array.from({ length: mostTries }, (_, count) => launchToken(leaseId, place, count));
  return tokens.some((token) => token === instance.ClientToken);
}

/** What an instance may be that takes ending. */
const live = ['pending', 'running', 'stopping', 'stopped'];

/** The instances that bear a lease, and that are not about to end. */
export async function leasedInstances(
  place: Place,
  leases: readonly string[] | 'any',
  imageId?: string,
): Promise<Instance[]> {
  const ofLease =
    leases === 'any'
      ? { Name: 'tag-key', Values: [tagKeys.lease] }
      : { Name: `tag:${tagKeys.lease}`, Values: [...leases] };
  const ofImage = imageId === undefined ? [] : [{ Name: `tag:${tagKeys.sourceAmi}`, Values: [imageId] }];
  const Filters = [ofLease, ...ofImage, { Name: 'instance-state-name', Values: live }];
  const reservations = await pages(async (NextToken) => {
    const page = await place.ec2(new DescribeInstancesCommand({ Filters, NextToken }));
    return { items: page.Reservations ?? [], next: page.NextToken };
  });
  const all = reservations.flatMap(({ Instances = [] }) => Instances);
  // It isn't taken on trust that an endpoint has filtered.
  return all.filter((one) => {
    const lease = tagValue(one, tagKeys.lease);
    return lease !== undefined && (leases === 'any' || leases.includes(lease)) && live.includes(one.State?.Name ?? '');
  });
}

/** The same; none where the role may not look: then no run has launched anything by it either. */
export async function leasedInstancesIfAny(...look: Parameters<typeof leasedInstances>): Promise<Instance[]> {
  try {
    return await leasedInstances(...look);
  } catch (error) {
    if (isDenied(error)) return [];
    throw error;
  }
}

/** The instance, as far as AWS sees it (yet). */
export async function describeInstance(place: Place, id: string): Promise<Instance | undefined> {
  try {
    const { Reservations = [] } = await place.ec2(new DescribeInstancesCommand({ InstanceIds: [id] }));
    return Reservations.flatMap(({ Instances = [] }) => Instances)[0];
  } catch (error) {
    if (isAbsentInstance(error)) return undefined;
    throw error;
  }
}

export function isAbsentInstance(error: unknown): boolean {
  return hasCode(error, 'InvalidInstanceID.NotFound', 'InvalidInstanceID.Malformed');
}

/**
 * Tells an instance of ours to end; one that has ended is no error. Its volumes and its interface go with it.
 * @throws StepError where it may run on
 */
export async function terminate(place: Place, id: string): Promise<void> {
  try {
    await terminateOnceSeen(place, id);
  } catch (error) {
    place.signal.throwIfAborted();
    const remedy = explain(error).remedy ?? 'see what AWS says';
    const byHand = `aws ec2 terminate-instances --region ${place.region} --instance-ids ${id}`;
    const ending = `Ending the instance ${id} in ${placeName(place)}, which may run on`;
    throw new StepError(ending, error, `${remedy}; then run it again, or end it by hand: ${byHand}`);
  }
}

async function terminateOnceSeen(place: Place, id: string): Promise<void> {
  await removing(place, async () => {
    try {
      await place.ec2(new TerminateInstancesCommand({ InstanceIds: [id] }));
    } catch (error) {
      if (isAbsentInstance(error)) return;
      // What is gone has no tags any more, and policies deny what they go by.
      if (isDenied(error) && hasEnded(await describeInstance(place, id))) return;
      throw error;
    }
  });
}

const endLookMs = 5000;

/** Waits until an instance has ended, and with it its volumes. */
export async function ended(place: Place, id: string): Promise<void> {
  while (!hasEnded(await describeInstance(place, id))) await place.sleep(endLookMs);
}

function hasEnded(instance: Instance | undefined): boolean {
  return instance === undefined || instance.State?.Name === 'terminated';
}
