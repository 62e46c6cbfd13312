import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { placeName } from '../aws/errors.ts';
import { type Allowances, differences, differenceText, extrasDifferences, idsOf, keyDifferences } from '../image.ts';
import type { Request } from '../inputs.ts';
import { isAlive, leasesOf, type Reader } from '../lease.ts';
import { tagKeys, tagValue } from '../tags.ts';
import type { TargetPlan } from './plan.ts';
import type { Findings } from './problem.ts';
import type { Target } from './resolve.ts';
import type { Source } from './source.ts';

/* What earlier runs left in a target: AMIs to use again, copies to take over, and what is of no use any more. */

/** The leases of other runs that are at work, as the source AMI's tags tell. */
export function liveLeases(source: Source, leaseId: string, reader: Reader): Set<string> {
  const alive = leasesOf(source.image.Tags).filter((lease) => lease.id !== leaseId && isAlive(lease, reader));
  return new Set(alive.map(({ id }) => id));
}

/**
 * An AMI that is what this run would make: of this source, alike, and under the right key. Of several, the one with the
 * asked name; where none has it, the choice is the user's. Unless any such AMI may be reused, only one that an earlier
 * attempt of this very workflow run made is as good as a new one.
 */
export function findReusable(request: Request, source: Source, target: Target, findings: Findings): Image | undefined {
  const same = target.existing.filter((image) => whyUnlike(request, source, target, image) === '');
  const { runUrl, runAttempt } = request.run;
  const own = same.filter((image) => runAttempt > 1 && runUrl !== '' && tagValue(image, tagKeys.run) === runUrl);
  const candidates = request.onExisting === 'reuse' ? same : own;
  const named = candidates.find(({ Name }) => Name === target.name);
  if (named === undefined && request.onExisting === 'reuse' && same.length > 1) {
    const list = same.map(({ ImageId, Name }) => `${ImageId} (${Name})`).join(', ');
    findings.add(
      placeName(target.place),
      `several AMIs of this source are there, all alike: ${list}`,
      'name one of them in target-ami-name, deregister the others, or set on-existing to replace',
    );
  }
  return named ?? candidates[0];
}

/** Why an AMI isn't what this run would make; empty where it is. */
export function whyUnlike(request: Request, source: Source, target: Target, image: Image): string {
  if (image.State !== 'available') return `it is ${image.State}`;
  const allowed = allowancesOf(request, source, target.place);
  const extras = target.existingExtras.get(image.ImageId ?? '');
  return [
    ...differences(source.image, image, allowed),
    ...keyDifferences(target.kmsKeyArn, image, target.earlierCopies),
    ...(extras === undefined ? [] : extrasDifferences(source.extras, extras)),
  ]
    .map(differenceText)
    .join('; ');
}

/** What a target AMI need not have as the source has it. */
export function allowancesOf(request: Request, source: Source, { region }: Place): Allowances {
  return {
    lostBilling: request.route === 'register' && request.allowLostBilling,
    otherRegion: region !== source.place.region,
  };
}

/** An image that a run which has died was copying. */
export function findPending(target: Target, living: ReadonlySet<string>): string | undefined {
  return target.existing.find((image) => {
    const holder = tagValue(image, tagKeys.lease);
    const copied = image.State === 'pending' || image.State === 'available';
    return copied && image.Name === target.name && holder !== undefined && !living.has(holder);
  })?.ImageId;
}

/** Images that a run which has died was copying in vain. */
export function findFailed(target: Target, living: ReadonlySet<string>): Image[] {
  return target.existing.filter((image) => {
    const holder = tagValue(image, tagKeys.lease);
    return (image.State === 'failed' || image.State === 'error') && holder !== undefined && !living.has(holder);
  });
}

/**
 * A copy for each snapshot; one that an earlier run began is taken over, unless it is part of an AMI, failed, under
 * another key, or another live run's. A copy bears its run's lease until its AMI is registered: what bears none is
 * finished, and not this action's to touch.
 */
export function planCopies(
  source: Source,
  target: Target,
  needed: boolean,
  living: ReadonlySet<string>,
): Pick<TargetPlan, 'copies' | 'discard' | 'untag'> {
  const used = new Set(
    target.existing.flatMap((image) => (image.BlockDeviceMappings ?? []).map(({ Ebs }) => Ebs?.SnapshotId)),
  );
  const orphans = target.earlierCopies.filter((copy) => {
    const holder = tagValue(copy, tagKeys.lease);
    return holder !== undefined && !living.has(holder);
  });
  const free = orphans.filter(({ SnapshotId }) => !used.has(SnapshotId));
  const adopted = new Set<string>();
  const copies = (needed ? source.snapshots : []).map((snapshot) => {
    const [best] = free
      .filter((copy) => isUsable(copy, target) && tagValue(copy, tagKeys.sourceSnapshot) === snapshot.id)
      .sort((a, b) => rank(a) - rank(b));
    if (best?.SnapshotId !== undefined) adopted.add(best.SnapshotId);
    return { source: snapshot, adopt: best?.SnapshotId };
  });
  const superseded = target.earlierCopies.filter((copy) => {
    const holder = tagValue(copy, tagKeys.superseded);
    return holder !== undefined && !living.has(holder) && !used.has(copy.SnapshotId);
  });
  return {
    copies,
    discard: idsOf([...free, ...superseded]).filter((id) => !adopted.has(id)),
    untag: idsOf(orphans).filter((id) => used.has(id)),
  };
}

function isUsable(copy: Snapshot, target: Target): boolean {
  return (
    (copy.State === 'pending' || copy.State === 'completed') && tagValue(copy, tagKeys.kmsKey) === target.kmsKeyArn
  );
}

/** The furthest of several comes first: the oldest that is completed, else the oldest. */
function rank(copy: Snapshot): number {
  return (copy.State === 'completed' ? 0 : 1e15) + (copy.StartTime?.getTime() ?? 0);
}
