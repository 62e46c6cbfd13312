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
import type { Context } from '../iam.ts';
import { Refusal } from '../refusal.ts';
import { canUseSnapshot, findKeyByArn, findSnapshot, type Key, type SimSnapshot, shownOf } from '../world.ts';
import { arnOf, authorizeOn, type Ec2Call, type Handler, keepFormer } from './call.ts';
import { advance, beginSnapshot, destinationKey, keyFailure, runningCopies } from './copy.ts';
import { checkFilters, type Filterable, matches, pageOf } from './filters.ts';
import { checkDescription } from './image.ts';
import {
  isLocked,
  isSnapshotId,
  lingering,
  ownSnapshot,
  removeSnapshot,
  requireSnapshotId,
  snapshotNotFound,
  usersOf,
} from './snapshot.ts';
import { authorizeCreation } from './tags.ts';

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html */
const filterable: Filterable<Snapshot> = {
  complete: true,
  tags: ({ Tags }) => Tags,
  fields: {
    'snapshot-id': ({ SnapshotId }) => [SnapshotId],
    'owner-id': ({ OwnerId }) => [OwnerId],
    'owner-alias': ({ OwnerAlias }) => [OwnerAlias],
    status: ({ State }) => [State],
    encrypted: ({ Encrypted }) => [String(Encrypted)],
    description: ({ Description }) => [Description],
    progress: ({ Progress }) => [Progress],
    'start-time': ({ StartTime }) => [StartTime?.toISOString()],
    'storage-tier': ({ StorageTier }) => [StorageTier],
    'transfer-type': ({ TransferType }) => [TransferType],
    'volume-id': ({ VolumeId }) => [VolumeId],
    'volume-size': ({ VolumeSize }) => [String(VolumeSize)],
  },
};

export const copySnapshot: Handler<CopySnapshotRequest> = async (call, input) => {
  const { SourceRegion = '', SourceSnapshotId = '', KmsKeyId, Encrypted } = input;
  checkCopy(call, input);
  const key = await destinationKey(call, Encrypted, KmsKeyId);
  // Both the source and the copy: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
  const tagsOf = await authorizeCreation(call, 'CopySnapshot', {
    resources: [arnOf(call, SourceSnapshotId, SourceRegion), 'snap-*'],
    specifications: input.TagSpecifications,
    dryRun: input.DryRun,
  });
  const source = findSnapshot(call.world, SourceRegion, SourceSnapshotId);
  const failure = await copyFailure(call, source, key);
  // From here on nothing is waited for: of several that ask for the last slot at once, one gets it.
  const { concurrentCopies } = call.here.settings;
  if (runningCopies(call) >= concurrentCopies)
    throw new Refusal(
      'ResourceLimitExceeded',
      `Too many snapshot copies in progress. The limit is ${concurrentCopies} for this destination region.`,
    );
  const tags = tagsOf('snapshot');
  const copy = beginSnapshot(call, {
    source,
    sizeGiB: source?.data.VolumeSize ?? 1,
    key: key ?? (source?.data.Encrypted === true ? managedKey(call) : undefined),
    failure,
    tags,
    description: input.Description ?? '',
    timeBased: input.CompletionDurationMinutes !== undefined,
    counts: true,
  });
  return { SnapshotId: copy.data.SnapshotId, ...(tags.length > 0 && { Tags: tags }) };
};

function checkCopy(call: Ec2Call, input: CopySnapshotRequest): void {
  const { SourceRegion = '', SourceSnapshotId = '', CompletionDurationMinutes: minutes } = input;
  checkDescription(input.Description);
  if (!/^[a-z]{2}(-[a-z]+)+-\d$/.test(SourceRegion))
    throw new Refusal('InvalidRegion', `${SourceRegion} is not a valid region name`);
  if (!isSnapshotId(call, SourceSnapshotId, SourceRegion))
    throw new Refusal('InvalidParameterValue', 'The specified snapshotId is invalid');
  if (minutes !== undefined && (minutes < 15 || minutes > 2880 || minutes % 15 !== 0))
    throw new Refusal(
      'InvalidParameterValue',
      `Value (${minutes}) for parameter CompletionDurationMinutes is invalid.`,
    );
}

function managedKey(call: Ec2Call) {
  const id = call.here.aliases.get('alias/aws/ebs');
  return id === undefined ? undefined : call.here.keys.get(id);
}

/** What AWS finds out only when the copy runs. */
async function copyFailure(
  call: Ec2Call,
  source: SimSnapshot | undefined,
  key: Key | undefined,
): Promise<string | undefined> {
  const now = call.world.clock.now();
  if (source === undefined || source.visibleAt > now || !canUseSnapshot(source, call.caller.account, now))
    return 'Source snapshot is not found';
  if (advance(source, now).data.State !== 'completed') return 'Source snapshot is not complete';
  if (source.data.StorageTier === 'archive') return 'Source snapshot is archived';
  return keyFailure(call, source, key);
}

export const describeSnapshots: Handler<DescribeSnapshotsRequest> = async (call, input) => {
  const { SnapshotIds, Filters, MaxResults } = input;
  for (const id of SnapshotIds ?? []) requireSnapshotId(call, id);
  checkFilters(Filters, filterable);
  if (SnapshotIds !== undefined && MaxResults !== undefined)
    throw new Refusal(
      'InvalidParameterCombination',
      'The parameter SnapshotIds cannot be used with the parameter maxResults',
    );
  const found = await authorizeOn(call, 'DescribeSnapshots', {
    dryRun: input.DryRun,
    find: () => snapshotsFor(call, input),
  });
  if (SnapshotIds !== undefined) return { Snapshots: found };
  const { items, more } = pageOf(call, found, input);
  return { Snapshots: items, ...more };
};

function snapshotsFor(call: Ec2Call, input: DescribeSnapshotsRequest): Snapshot[] {
  const { account } = call.caller;
  const owners = input.OwnerIds?.map((owner) => (owner === 'self' ? account : owner));
  const restorable = input.RestorableByUserIds;
  return listed(call, input)
    .filter(
      (snapshot) =>
        (owners === undefined || owners.includes(snapshot.data.OwnerId)) &&
        (restorable === undefined || restorable.some((user) => mayRestore(snapshot, user, account))),
    )
    .map((snapshot) => shownSnapshot(call, snapshot))
    .filter((snapshot) => matches(snapshot, input.Filters, filterable));
}

function mayRestore({ data, shares, publicShare }: SimSnapshot, user: string, account: string): boolean {
  if (user === 'all') return publicShare;
  const who = user === 'self' ? account : user;
  return data.OwnerId === who || shares.has(who) || publicShare;
}

/** The snapshots that are asked for, of those that the caller may see. */
function listed(call: Ec2Call, { SnapshotIds, OwnerIds }: DescribeSnapshotsRequest): SimSnapshot[] {
  const now = call.world.clock.now();
  const { account } = call.caller;
  const seen = (snapshot: SimSnapshot) => snapshot.visibleAt <= now && canUseSnapshot(snapshot, account, now);
  const gone = lingering(call);
  if (SnapshotIds !== undefined)
    return SnapshotIds.map((id) => {
      const snapshot = findSnapshot(call.world, call.region, id) ?? gone.find(({ data }) => data.SnapshotId === id);
      if (snapshot === undefined || !seen(snapshot)) throw snapshotNotFound(id);
      return snapshot;
    });
  const isOwn = OwnerIds?.length === 1 && (OwnerIds[0] === 'self' || OwnerIds[0] === account);
  const everywhere = isOwn
    ? [call.here]
    : Object.values(call.world.accounts).map(({ regions }) => regions.get(call.region));
  return [...everywhere.flatMap((region) => [...(region?.snapshots.values() ?? [])]), ...gone].filter(seen);
}

/** A snapshot as its reader sees it: tags are the owner's alone, and left out where there are none, as recorded. */
function shownSnapshot(call: Ec2Call, snapshot: SimSnapshot): Snapshot {
  const now = call.world.clock.now();
  const { Tags, ...data } = advance(snapshot, now).data;
  const tags = data.OwnerId === call.caller.account ? shownOf(Tags, snapshot.tagsLate.read, now) : [];
  return { ...data, ...(tags.length > 0 && { Tags: tags }) };
}

export const describeSnapshotAttribute: Handler<DescribeSnapshotAttributeRequest> = async (call, input) => {
  const { SnapshotId = '', Attribute } = input;
  requireSnapshotId(call, SnapshotId);
  const snapshot = await authorizeOn(call, 'DescribeSnapshotAttribute', {
    resources: [arnOf(call, SnapshotId)],
    dryRun: input.DryRun,
    find: () => ownSnapshot(call, SnapshotId),
  });
  if (Attribute === 'productCodes') return { SnapshotId, ProductCodes: [] };
  if (Attribute !== 'createVolumePermission')
    throw new Refusal('InvalidParameterValue', `Value (${Attribute}) for parameter attribute is invalid.`);
  const shares = shownOf(snapshot.shares, snapshot.sharesLate.read, call.world.clock.now());
  const permissions: CreateVolumePermission[] = [...shares].map((UserId) => ({ UserId }));
  if (snapshot.publicShare) permissions.push({ Group: 'all' });
  return { SnapshotId, CreateVolumePermissions: permissions };
};

type Permissions = Readonly<{ adding: CreateVolumePermission[]; removing: CreateVolumePermission[] }>;

function permissionsOf(input: ModifySnapshotAttributeRequest): Permissions {
  const { Add = [], Remove = [] } = input.CreateVolumePermission ?? {};
  const users = (input.UserIds ?? []).map((UserId) => ({ UserId }));
  const groups = (input.GroupNames ?? []).map((Group) => ({ Group }) as CreateVolumePermission);
  const named = [...users, ...groups];
  return {
    adding: [...Add, ...(input.OperationType === 'add' ? named : [])],
    removing: [...Remove, ...(input.OperationType === 'remove' ? named : [])],
  };
}

/**
 * What conditions see of who is added or removed: ec2:Add/userId and its like are of one value each, and nobody knows what
 * becomes of several accounts. Here no statement that names one account fits these.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html#amazonec2-policy-keys
 */
function permissionContext({ adding, removing }: Permissions): Context {
  const keys = (does: string, permissions: readonly CreateVolumePermission[]): Context => {
    const users = permissions.flatMap(({ UserId }) => UserId ?? []);
    const [group] = permissions.flatMap(({ Group }) => Group ?? []);
    return {
      ...(users.length === 1 && { [`ec2:${does}/userId`]: users[0] ?? '' }),
      ...(group !== undefined && { [`ec2:${does}/group`]: group }),
    };
  };
  return { 'ec2:Attribute': 'createVolumePermission', ...keys('Add', adding), ...keys('Remove', removing) };
}

export const modifySnapshotAttribute: Handler<ModifySnapshotAttributeRequest> = async (call, input) => {
  const { SnapshotId = '' } = input;
  requireSnapshotId(call, SnapshotId);
  const permissions = permissionsOf(input);
  const resources = [arnOf(call, SnapshotId)];
  const snapshot = await authorizeOn(call, 'ModifySnapshotAttribute', {
    resources,
    dryRun: input.DryRun,
    context: permissionContext(permissions),
    find: () => ownSnapshot(call, SnapshotId),
  });
  checkPermissions(permissions);
  const { adding, removing } = permissions;
  if (adding.length > 0) refuseSharing(call, snapshot, adding);
  changeShares(call, snapshot, (shares) => {
    for (const { UserId } of adding) if (UserId !== undefined && UserId !== call.caller.account) shares.add(UserId);
    for (const { UserId = '' } of removing) shares.delete(UserId);
  });
  if (adding.some(({ Group }) => Group === 'all')) snapshot.publicShare = true;
  if (removing.some(({ Group }) => Group === 'all')) snapshot.publicShare = false;
  return {};
};

function checkPermissions({ adding, removing }: Permissions): void {
  if (adding.length > 0 === removing.length > 0)
    throw new Refusal(
      'InvalidParameterCombination',
      'One and only one operation type may be specified for createVolumePermissions',
    );
  if (adding.length + removing.length > 500)
    throw new Refusal('InvalidParameterValue', 'Modification size must not be greater than 500.');
  for (const { UserId, Group } of [...adding, ...removing])
    if (Group === undefined && !/^\d{12}$/.test(UserId ?? ''))
      throw new Refusal(
        'InvalidAMIAttributeItemValue',
        `Invalid attribute item value "${UserId}" for userId item type.`,
      );
}

function changeShares(call: Ec2Call, snapshot: SimSnapshot, change: (shares: Set<string>) => void): void {
  const { sharesVisibleAfterSeconds, sharesInForceAfterSeconds } = call.timings;
  const value = () => new Set(snapshot.shares);
  keepFormer(call, snapshot.sharesLate.read, { value, seconds: sharesVisibleAfterSeconds });
  keepFormer(call, snapshot.sharesLate.inForce, { value, seconds: sharesInForceAfterSeconds });
  change(snapshot.shares);
}

function refuseSharing(call: Ec2Call, { data }: SimSnapshot, adding: readonly CreateVolumePermission[]): void {
  const withAll = adding.some(({ Group }) => Group === 'all');
  if (data.KmsKeyId !== undefined) {
    const key = findKeyByArn(call.world, data.KmsKeyId);
    if (key?.metadata.KeyManager === 'AWS')
      throw new Refusal('OperationNotPermitted', 'Encrypted snapshots with EBS default key cannot be shared');
    if (withAll) throw new Refusal('OperationNotPermitted', 'Encrypted snapshots cannot be shared publicly.');
  }
  if (withAll && call.here.settings.snapshotBlockPublicAccess !== 'unblocked')
    throw new Refusal('OperationNotPermitted', 'Public sharing of snapshots is blocked for this account.');
}

export const resetSnapshotAttribute: Handler<ResetSnapshotAttributeRequest> = async (call, input) => {
  const { SnapshotId = '' } = input;
  requireSnapshotId(call, SnapshotId);
  const snapshot = await authorizeOn(call, 'ResetSnapshotAttribute', {
    resources: [arnOf(call, SnapshotId)],
    dryRun: input.DryRun,
    find: () => ownSnapshot(call, SnapshotId),
  });
  changeShares(call, snapshot, (shares) => shares.clear());
  snapshot.publicShare = false;
  return {};
};

export const deleteSnapshot: Handler<DeleteSnapshotRequest> = async (call, input) => {
  const { SnapshotId = '' } = input;
  requireSnapshotId(call, SnapshotId);
  // A dry run comes before what stands in the way, as recorded.
  const snapshot = await authorizeOn(call, 'DeleteSnapshot', {
    resources: [arnOf(call, SnapshotId)],
    dryRun: input.DryRun,
    find: () => ownSnapshot(call, SnapshotId),
  });
  const users = usersOf(call, SnapshotId);
  if (users.length > 0) {
    const list = users.map(({ data }) => data.ImageId).join(', ');
    throw new Refusal('InvalidSnapshot.InUse', `The snapshot ${SnapshotId} is currently in use by ${list}`);
  }
  if (isLocked(snapshot)) throw new Refusal('OperationNotPermitted', `The snapshot ${SnapshotId} is locked`);
  removeSnapshot(call, snapshot);
  return {};
};

type Locked = Readonly<{ SnapshotId: string; OwnerId: string; LockState: LockState }>;

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLockedSnapshots.html */
const lockFilters: Filterable<Locked> = { complete: true, fields: { 'lock-state': ({ LockState }) => [LockState] } };

/** Only snapshots that are, or were, locked: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLockedSnapshots.html */
export const describeLockedSnapshots: Handler<DescribeLockedSnapshotsRequest> = async (call, input) => {
  const { SnapshotIds, Filters } = input;
  checkFilters(Filters, lockFilters);
  const asked = await authorizeOn(call, 'DescribeLockedSnapshots', {
    dryRun: input.DryRun,
    find: () => SnapshotIds?.map((id) => ownSnapshot(call, id)) ?? [...call.here.snapshots.values()],
  });
  const found = asked
    .flatMap(({ data, lock }): Locked[] =>
      lock === undefined ? [] : [{ SnapshotId: data.SnapshotId, OwnerId: data.OwnerId, LockState: lock }],
    )
    .filter((one) => matches(one, Filters, lockFilters))
    .map((one) => ({ ...one, ...lockTimes(one.LockState) }));
  const { items, more } = pageOf(call, found, input);
  return { Snapshots: items, ...more };
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
