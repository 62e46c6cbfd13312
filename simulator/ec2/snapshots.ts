import type {
  CopySnapshotRequest,
  CreateVolumePermission,
  DeleteSnapshotRequest,
  DescribeLockedSnapshotsRequest,
  DescribeSnapshotAttributeRequest,
  DescribeSnapshotsRequest,
  LockState,
  ModifySnapshotAttributeRequest,
  ResetSnapshotAttributeRequest,
  Snapshot,
} from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import { canUseSnapshot, findKeyByArn, findSnapshot, type SimImage, type SimSnapshot, shownOf } from '../world.ts';
import {
  answerDryRun,
  arnOf,
  authorize,
  type Ec2Call,
  type FilterFields,
  type Handler,
  matches,
  pageOf,
  showLate,
  tagsFor,
} from './call.ts';
import { advance, beginSnapshot, destinationKey, keyFailure, runningCopies } from './copy.ts';

const idPattern = /^snap-([0-9a-f]{8}|[0-9a-f]{17})$/;

function checkId(id: string): void {
  if (!idPattern.test(id)) {
    throw new Refusal(
      'InvalidParameterValue',
      `Value (${id}) for parameter snapshotId is invalid. Expected: 'snap-...'.`,
    );
  }
}

/** A snapshot of the caller's own that can be seen by now. */
function ownSnapshot(call: Ec2Call, id: string): SimSnapshot {
  checkId(id);
  const snapshot = call.here.snapshots.get(id);
  const now = call.world.clock.now();
  if (snapshot === undefined || snapshot.visibleAt > now) {
    throw new Refusal('InvalidSnapshot.NotFound', `The snapshot '${id}' does not exist.`);
  }
  return advance(snapshot, now);
}

const filterFields: FilterFields<Snapshot> = {
  'snapshot-id': ({ SnapshotId }) => [SnapshotId],
  'owner-id': ({ OwnerId }) => [OwnerId],
  status: ({ State }) => [State],
  encrypted: ({ Encrypted }) => [String(Encrypted)],
  description: ({ Description }) => [Description],
  progress: ({ Progress }) => [Progress],
  'start-time': ({ StartTime }) => [StartTime?.toISOString()],
  'storage-tier': ({ StorageTier }) => [StorageTier],
  'volume-id': ({ VolumeId }) => [VolumeId],
  'volume-size': ({ VolumeSize }) => [String(VolumeSize)],
};

export const copySnapshot: Handler<CopySnapshotRequest> = async (call, input) => {
  const { SourceRegion = '', SourceSnapshotId = '', KmsKeyId, Encrypted, CompletionDurationMinutes: minutes } = input;
  if (!/^[a-z]{2}(-[a-z]+)+-\d$/.test(SourceRegion))
    throw new Refusal('InvalidRegion', `${SourceRegion} is not a valid region name`);
  if (!idPattern.test(SourceSnapshotId))
    throw new Refusal('InvalidParameterValue', 'The specified snapshotId is invalid');
  if (minutes !== undefined && (minutes < 15 || minutes > 2880 || minutes % 15 !== 0)) {
    throw new Refusal(
      'InvalidParameterValue',
      `Value (${minutes}) for parameter CompletionDurationMinutes is invalid.`,
    );
  }
  const key = await destinationKey(call, Encrypted, KmsKeyId);
  // Both the source and the copy: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
  await authorize(call, 'CopySnapshot', [arnOf(call, SourceSnapshotId, SourceRegion), arnOf(call, 'snap-*')], false);
  const tags = await tagsFor(call, 'CopySnapshot', input.TagSpecifications, 'snapshot', ['snapshot']);
  answerDryRun(input.DryRun);
  const { concurrentCopies } = call.here.settings;
  if (runningCopies(call) >= concurrentCopies) {
    throw new Refusal(
      'ResourceLimitExceeded',
      `Too many snapshot copies in progress. The limit is ${concurrentCopies} for this destination region.`,
    );
  }
  const source = findSnapshot(call.world, SourceRegion, SourceSnapshotId);
  const copy = beginSnapshot(call, {
    source,
    sizeGiB: source?.data.VolumeSize ?? 1,
    key: key ?? (source?.data.Encrypted === true ? managedKey(call) : undefined),
    failure: await copyFailure(call, source, key),
    tags,
    description: input.Description ?? '',
    counts: true,
  });
  return { SnapshotId: copy.data.SnapshotId, Tags: tags };
};

function managedKey(call: Ec2Call) {
  const id = call.here.aliases.get('alias/aws/ebs');
  return id === undefined ? undefined : call.here.keys.get(id);
}

/** What AWS finds out only when the copy runs. */
async function copyFailure(
  call: Ec2Call,
  source: SimSnapshot | undefined,
  key: Awaited<ReturnType<typeof destinationKey>>,
): Promise<string | undefined> {
  const now = call.world.clock.now();
  if (source === undefined || source.visibleAt > now || !canUseSnapshot(source, call.caller.account)) {
    return 'Source snapshot is not found';
  }
  if (advance(source, now).data.State !== 'completed') return 'Source snapshot is not complete';
  if (source.data.StorageTier === 'archive') return 'Source snapshot is archived';
  return keyFailure(call, source, key);
}

export const describeSnapshots: Handler<DescribeSnapshotsRequest> = async (call, input) => {
  const { SnapshotIds, OwnerIds, RestorableByUserIds, Filters, MaxResults, NextToken } = input;
  await authorize(call, 'DescribeSnapshots', ['*'], input.DryRun);
  for (const id of SnapshotIds ?? []) checkId(id);
  if (SnapshotIds !== undefined && MaxResults !== undefined) {
    throw new Refusal(
      'InvalidParameterCombination',
      'The parameter SnapshotIds cannot be used with the parameter maxResults',
    );
  }
  const now = call.world.clock.now();
  const { account } = call.caller;
  const seen: Snapshot[] = [];
  const consider = (snapshot: SimSnapshot | undefined): boolean => {
    if (snapshot === undefined || snapshot.visibleAt > now || !canUseSnapshot(snapshot, account)) return false;
    const { data } = advance(snapshot, now);
    // What other accounts tagged, nobody else sees.
    seen.push({ ...data, Tags: data.OwnerId === account ? shownOf(data.Tags, snapshot.formerTags, now) : [] });
    return true;
  };
  if (SnapshotIds !== undefined) {
    for (const id of SnapshotIds) {
      if (!consider(findSnapshot(call.world, call.region, id)))
        throw new Refusal('InvalidSnapshot.NotFound', `The snapshot '${id}' does not exist.`);
    }
  } else if (OwnerIds?.length === 1 && (OwnerIds[0] === 'self' || OwnerIds[0] === account)) {
    for (const snapshot of call.here.snapshots.values()) consider(snapshot);
  } else {
    for (const one of Object.values(call.world.accounts)) {
      for (const snapshot of one.regions.get(call.region)?.snapshots.values() ?? []) consider(snapshot);
    }
  }
  const owners = OwnerIds?.map((owner) => (owner === 'self' ? account : owner));
  const found = seen.filter(
    (snapshot) =>
      (owners === undefined || owners.includes(snapshot.OwnerId ?? '')) &&
      (RestorableByUserIds === undefined || snapshot.OwnerId !== undefined) &&
      matches(snapshot, Filters, filterFields),
  );
  const { items, next } = pageOf(found, MaxResults, NextToken);
  return { Snapshots: items, ...(next && { NextToken: next }) };
};

export const describeSnapshotAttribute: Handler<DescribeSnapshotAttributeRequest> = async (call, input) => {
  checkId(input.SnapshotId ?? '');
  await authorize(call, 'DescribeSnapshotAttribute', [arnOf(call, input.SnapshotId ?? '')], false);
  const snapshot = ownSnapshot(call, input.SnapshotId ?? '');
  answerDryRun(input.DryRun);
  if (input.Attribute === 'productCodes') return { SnapshotId: snapshot.data.SnapshotId, ProductCodes: [] };
  if (input.Attribute !== 'createVolumePermission')
    throw new Refusal('InvalidParameterValue', `Value (${input.Attribute}) for parameter attribute is invalid.`);
  const shares = shownOf(snapshot.shares, snapshot.formerShares, call.world.clock.now());
  const permissions = [...shares].map((UserId) => ({ UserId }));
  return {
    SnapshotId: snapshot.data.SnapshotId,
    CreateVolumePermissions: snapshot.publicShare ? [...permissions, { Group: 'all' }] : permissions,
  };
};

export const modifySnapshotAttribute: Handler<ModifySnapshotAttributeRequest> = async (call, input) => {
  checkId(input.SnapshotId ?? '');
  const { Add: add = [], Remove: remove = [] } = input.CreateVolumePermission ?? {};
  const users: CreateVolumePermission[] = (input.UserIds ?? []).map((UserId) => ({ UserId }));
  const adding = [...add, ...(input.OperationType === 'add' ? users : [])];
  const removing = [...remove, ...(input.OperationType === 'remove' ? users : [])];
  const context = { ...sharingKeys('Add', adding), ...sharingKeys('Remove', removing) };
  await authorize(call, 'ModifySnapshotAttribute', [arnOf(call, input.SnapshotId ?? '')], false, context);
  const snapshot = ownSnapshot(call, input.SnapshotId ?? '');
  answerDryRun(input.DryRun);
  if (adding.length > 0 === removing.length > 0) {
    throw new Refusal(
      'InvalidParameterCombination',
      'One and only one operation type may be specified for createVolumePermissions',
    );
  }
  if (adding.length + removing.length > 500)
    throw new Refusal('InvalidParameterValue', 'Modification size must not be greater than 500.');
  for (const { UserId, Group } of [...adding, ...removing]) {
    if (Group === undefined && !/^\d{12}$/.test(UserId ?? '')) {
      throw new Refusal(
        'InvalidAMIAttributeItemValue',
        `Invalid attribute item value "${UserId}" for userId item type.`,
      );
    }
  }
  if (adding.length > 0)
    refuseSharing(
      call,
      snapshot,
      adding.some(({ Group }) => Group === 'all'),
    );
  showLate(call, snapshot.formerShares, {
    value: new Set(snapshot.shares),
    seconds: call.timings.sharesVisibleAfterSeconds,
  });
  for (const { UserId, Group } of adding) {
    if (Group === 'all') snapshot.publicShare = true;
    else if (UserId !== undefined && UserId !== call.caller.account) snapshot.shares.add(UserId);
  }
  for (const { UserId, Group } of removing) {
    if (Group === 'all') snapshot.publicShare = false;
    else snapshot.shares.delete(UserId ?? '');
  }
  return {};
};

/**
 * The condition keys of who is added or removed. They are single-valued
 * (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html), and nobody knows what becomes
 * of several accounts: here no statement that names one account fits these.
 */
function sharingKeys(how: 'Add' | 'Remove', permissions: readonly CreateVolumePermission[]): Record<string, string> {
  const users = permissions.flatMap(({ UserId }) => UserId ?? []);
  const [group] = permissions.flatMap(({ Group }) => Group ?? []);
  return {
    ...(users.length === 1 && { [`ec2:${how}/userId`]: users[0] ?? '' }),
    ...(group !== undefined && { [`ec2:${how}/group`]: group }),
  };
}

function refuseSharing(call: Ec2Call, { data }: SimSnapshot, withAll: boolean): void {
  if (data.KmsKeyId !== undefined) {
    const key = findKeyByArn(call.world, data.KmsKeyId);
    if (key?.metadata.KeyManager === 'AWS')
      throw new Refusal('OperationNotPermitted', 'Encrypted snapshots with EBS default key cannot be shared');
    if (withAll) throw new Refusal('OperationNotPermitted', 'Encrypted snapshots cannot be shared publicly.');
  }
  if (withAll && call.here.settings.snapshotBlockPublicAccess !== 'unblocked') {
    throw new Refusal('OperationNotPermitted', 'Public sharing of snapshots is blocked for this account.');
  }
}

export const resetSnapshotAttribute: Handler<ResetSnapshotAttributeRequest> = async (call, input) => {
  const snapshot = ownSnapshot(call, input.SnapshotId ?? '');
  await authorize(call, 'ResetSnapshotAttribute', [arnOf(call, snapshot.data.SnapshotId)], input.DryRun);
  snapshot.shares.clear();
  snapshot.publicShare = false;
  return {};
};

export const deleteSnapshot: Handler<DeleteSnapshotRequest> = async (call, input) => {
  const id = input.SnapshotId ?? '';
  checkId(id);
  // Permission comes before existence, and a dry run before what stands in the way.
  await authorize(call, 'DeleteSnapshot', [arnOf(call, id)], false);
  const snapshot = ownSnapshot(call, id);
  answerDryRun(input.DryRun);
  const users = usersOf(call, id);
  if (users.length > 0) {
    const list = users.map(({ data }) => data.ImageId).join(', ');
    throw new Refusal('InvalidSnapshot.InUse', `The snapshot ${id} is currently in use by ${list}`);
  }
  if (isLocked(snapshot)) throw new Refusal('OperationNotPermitted', `The snapshot ${id} is locked`);
  removeSnapshot(call, snapshot);
  return {};
};

/** The images that a snapshot is part of. */
export function usersOf(call: Ec2Call, id: string): SimImage[] {
  return [...call.here.images.values()].filter(
    ({ data, deregisteredAt }) =>
      deregisteredAt === undefined && data.BlockDeviceMappings.some(({ Ebs }) => Ebs?.SnapshotId === id),
  );
}

export function isLocked({ lock }: SimSnapshot): boolean {
  return lock !== undefined && lock !== 'expired';
}

/** Only snapshots that are, or were, locked: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLockedSnapshots.html */
export const describeLockedSnapshots: Handler<DescribeLockedSnapshotsRequest> = async (call, input) => {
  const { SnapshotIds, Filters = [], MaxResults, NextToken } = input;
  await authorize(call, 'DescribeLockedSnapshots', ['*'], input.DryRun);
  for (const { Name } of Filters)
    if (Name !== 'lock-state') throw new Refusal('InvalidParameterValue', `The filter '${Name}' is invalid`);
  const asked = SnapshotIds?.map((id) => ownSnapshot(call, id)) ?? [...call.here.snapshots.values()];
  const found = asked.flatMap(({ data, lock }) =>
    lock !== undefined && Filters.every(({ Values }) => Values?.includes(lock))
      ? [{ SnapshotId: data.SnapshotId, OwnerId: data.OwnerId, LockState: lock, ...lockTimes(lock) }]
      : [],
  );
  const { items, next } = pageOf(found, MaxResults, NextToken);
  return { Snapshots: items, ...(next && { NextToken: next }) };
};

function lockTimes(lock: LockState): { LockCreatedOn: Date; LockDuration: number; LockExpiresOn: Date } {
  const expires = new Date(lock === 'expired' ? '2026-11-02T00:00:00Z' : '2036-11-01T00:00:00Z');
  const created = new Date('2026-11-01T00:00:00Z');
  return {
    LockCreatedOn: created,
    LockDuration: (expires.getTime() - created.getTime()) / 86_400_000,
    LockExpiresOn: expires,
  };
}

export function removeSnapshot(call: Ec2Call, snapshot: SimSnapshot): void {
  snapshot.deletedAt = call.world.clock.now();
  call.here.snapshots.delete(snapshot.data.SnapshotId);
}
