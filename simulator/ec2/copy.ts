import type { Tag } from '@aws-sdk/client-ec2';
import { type Context, kmsVerdict } from '../iam.ts';
import { findKey } from '../kms.ts';
import { Refusal } from '../refusal.ts';
import { findKeyByArn, type Key, type SimSnapshot } from '../world.ts';
import { type Ec2Call, newId, showLate } from './call.ts';

/*
 * How a snapshot comes about: it is pending, tells its progress, and completes or ends in error. Nothing here runs by
 * itself: what a snapshot is by now is worked out when somebody looks.
 */

/** The snapshot as it is by `now`. */
export function advance(snapshot: SimSnapshot, now: number): SimSnapshot {
  const { making, data } = snapshot;
  if (making === undefined) return snapshot;
  const broken = brokenBy(making, now);
  if (broken !== undefined) {
    // Errors keep size 0 and progress 0 %.
    Object.assign(data, { State: 'error', StateMessage: broken, Progress: '0%' });
    delete snapshot.making;
  } else if (now >= making.endsAt) {
    Object.assign(data, {
      State: 'completed',
      Progress: '100%',
      VolumeSize: making.sizeGiB,
      Encrypted: making.keyArn !== undefined,
      KmsKeyId: making.keyArn,
      CompletionTime: new Date(making.endsAt),
      FullSnapshotSizeInBytes: making.sizeGiB * 2 ** 30,
    });
    delete data.StateMessage;
    delete snapshot.making;
  } else {
    const share = (now - making.startsAt) / (making.endsAt - making.startsAt);
    data.Progress = `${Math.min(99, Math.floor(share * 100))}%`;
  }
  return snapshot;
}

/** A copy fails when its source goes, or a key that it needs stops being usable, before it has ended. */
function brokenBy(making: NonNullable<SimSnapshot['making']>, now: number): string | undefined {
  const { failure, source, sourceKeys, endsAt } = making;
  if (failure !== undefined && failure.at <= now) return failure.words;
  if (source?.deletedAt !== undefined && source.deletedAt < Math.min(endsAt, now + 1))
    return 'Source snapshot is not found';
  if (sourceKeys.some(({ metadata }) => metadata.KeyState !== 'Enabled')) return 'Given key ID is not accessible';
  return undefined;
}

export type CopyOptions = Readonly<{
  source: SimSnapshot | undefined;
  sizeGiB: number;
  /** The key in the destination, if the copy is to be encrypted. */
  key: Key | undefined;
  failure: string | undefined;
  tags: readonly Tag[];
  description: string;
  /** Whether it takes one of the slots for concurrent snapshot copies. */
  counts: boolean;
}>;

export function beginSnapshot(call: Ec2Call, options: CopyOptions): SimSnapshot {
  const { source, sizeGiB, key, tags, description, counts } = options;
  const now = call.world.clock.now();
  const sourceKey = source?.data.KmsKeyId === undefined ? undefined : findKeyByArn(call.world, source.data.KmsKeyId);
  const keyArn = key?.metadata.Arn;
  const snapshot: SimSnapshot = {
    data: {
      SnapshotId: newId('snap'),
      OwnerId: call.caller.account,
      State: 'pending',
      StateMessage: 'Metadata not updated',
      Progress: '0%',
      VolumeId: 'vol-ffffffff',
      VolumeSize: 0,
      Encrypted: false,
      StartTime: new Date(now),
      Description: description,
      StorageTier: 'standard',
      Tags: [...tags],
    },
    formerTags: [],
    visibleAt: now + call.timings.visibleAfterSeconds * 1000,
    shares: new Set(),
    formerShares: [],
    publicShare: false,
    making: {
      startsAt: now,
      endsAt: now + (call.timings.baseSeconds + sizeGiB * call.timings.secondsPerGiB) * 1000,
      sizeGiB,
      keyArn,
      failure: options.failure === undefined ? call.failCopies : { words: options.failure, at: now },
      source,
      sourceKeys: [sourceKey, key].filter((one) => one !== undefined),
      counts,
    },
  };
  showLate(call, snapshot.formerTags, { value: [], seconds: call.timings.tagsVisibleAfterSeconds });
  call.here.snapshots.set(snapshot.data.SnapshotId, snapshot);
  return snapshot;
}

/** Copies under way that take the slots of this account and region. */
export function runningCopies(call: Ec2Call): number {
  const now = call.world.clock.now();
  let running = 0;
  for (const snapshot of call.here.snapshots.values()) if (advance(snapshot, now).making?.counts === true) running += 1;
  return running;
}

/**
 * The key that a copy is to be under, by the caller's own rights at the call.
 * @throws Refusal as captured: a key that isn't there or is disabled, or that the caller may not describe
 */
export async function destinationKey(
  call: Ec2Call,
  encrypted: boolean | undefined,
  keyId: string | undefined,
): Promise<Key | undefined> {
  const { settings } = call.here;
  if (encrypted !== true && keyId !== undefined) {
    throw new Refusal(
      'InvalidParameterDependency',
      'The parameter KmsKeyId requires the parameter Encrypted to be set.',
    );
  }
  if (encrypted !== true && !settings.encryptionByDefault) return undefined;
  const name = keyId ?? settings.defaultKey;
  let key: Key;
  try {
    key = findKey(call.world, call.caller.account, call.region, name);
  } catch {
    throw new Refusal('InvalidParameterValue', `The specified keyId ${name} is invalid`);
  }
  if (key.metadata.KeyState === 'Disabled') {
    throw new Refusal('InvalidParameterValue', `The specified keyId ${key.metadata.Arn} is disabled`);
  }
  if (
    key.metadata.KeyManager === 'CUSTOMER' &&
    (await kmsVerdict(call, { operation: 'DescribeKey', key, context: viaEc2(call.region) })) !== 'allowed'
  ) {
    throw new Refusal('AuthFailure', `Not authorized to use key ${key.metadata.Arn} `, 403);
  }
  return key;
}

function viaEc2(region: string): Record<string, string> {
  return { 'kms:ViaService': `ec2.${region}.amazonaws.com`, 'kms:GrantIsForAWSResource': 'true' };
}

// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html, and what was measured
const needs = {
  documented: {
    source: ['DescribeKey', 'CreateGrant', 'Decrypt', 'ReEncryptFrom'],
    destination: [
      'DescribeKey',
      'CreateGrant',
      'GenerateDataKeyWithoutPlaintext',
      'Decrypt',
      'ReEncryptFrom',
      'ReEncryptTo',
    ],
  },
  measured: { source: ['CreateGrant'], destination: ['CreateGrant', 'GenerateDataKeyWithoutPlaintext'] },
} as const;

const notAccessible = 'Given key ID is not accessible';

/** The request that EC2 makes of KMS in the caller's name; its grant is for itself, as recorded in CloudTrail. */
function requestOfEc2(region: string, operation: string): Context {
  const context = viaEc2(region);
  if (operation !== 'CreateGrant') return context;
  return { ...context, 'kms:GranteePrincipal': `ec2.${region}.amazonaws.com`, 'kms:GrantOperations': ['Decrypt'] };
}

/** Why a copy under `key` can't succeed as far as keys go, which shows only when it runs. */
export async function keyFailure(
  call: Ec2Call,
  source: SimSnapshot,
  key: Key | undefined,
): Promise<string | undefined> {
  const set = needs[call.kmsNeeds];
  const checks: { key: Key; operations: readonly string[] }[] = [];
  if (key !== undefined) {
    if (key.metadata.KeyState !== 'Enabled' || key.metadata.KeySpec !== 'SYMMETRIC_DEFAULT') return notAccessible;
    checks.push({ key, operations: set.destination });
  }
  if (source.data.KmsKeyId !== undefined) {
    const sourceKey = findKeyByArn(call.world, source.data.KmsKeyId);
    if (sourceKey === undefined || sourceKey.metadata.KeyState !== 'Enabled') return notAccessible;
    checks.push({ key: sourceKey, operations: set.source });
  }
  for (const { key: needed, operations } of checks) {
    // The managed key's own policy lets everybody of the account use it through EC2.
    if (needed.metadata.KeyManager === 'AWS' && needed.metadata.AWSAccountId === call.caller.account) continue;
    for (const operation of operations) {
      const context = requestOfEc2(call.region, operation);
      const verdict = await kmsVerdict(call, { operation, key: needed, context });
      if (verdict !== 'allowed') return notAccessible;
    }
  }
  return undefined;
}
