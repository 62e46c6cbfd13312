import type { Tag } from '@aws-sdk/client-ec2';
import { type Context, kmsVerdict } from '../iam.ts';
import { newId } from '../ids.ts';
import { findKey } from '../kms.ts';
import { Refusal } from '../refusal.ts';
import { findKeyByArn, type Key, notLate, type SimSnapshot } from '../world.ts';
import { type Ec2Call, keepFormerTags } from './call.ts';

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
  /** Whether it is to be done in a given time. */
  timeBased?: boolean;
  /** Whether it takes one of the slots for concurrent snapshot copies. */
  counts: boolean;
}>;

export function beginSnapshot(call: Ec2Call, options: CopyOptions): SimSnapshot {
  const { source, sizeGiB, key, tags, description, counts, timeBased = false } = options;
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
      TransferType: timeBased ? 'time-based' : 'standard',
      Tags: [...tags],
    },
    tagsLate: notLate(),
    visibleAt: now + call.timings.visibleAfterSeconds * 1000,
    shares: new Set(),
    sharesLate: notLate(),
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
  keepFormerTags(call, snapshot.tagsLate, []);
  call.here.snapshots.set(snapshot.data.SnapshotId, snapshot);
  return snapshot;
}

/** Copies under way that take the slots of this account and region; deleted ones may until they would have ended. */
export function runningCopies({ here, rules, world }: Ec2Call): number {
  const now = world.clock.now();
  const all = [...here.snapshots.values(), ...(rules.deletesPendingLate ? here.deletedSnapshots.values() : [])];
  return all.filter((snapshot) => advance(snapshot, now).making?.counts === true).length;
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
    key = findKey(call, name);
  } catch {
    throw new Refusal('InvalidParameterValue', `The specified keyId ${name} is invalid`);
  }
  if (key.metadata.KeyState === 'Disabled') {
    throw new Refusal('InvalidParameterValue', `The specified keyId ${key.metadata.Arn} is disabled`);
  }
  if (
    key.metadata.KeyManager === 'CUSTOMER' &&
    (await kmsVerdict(call, { operation: 'DescribeKey', key, context: viaEc2(call, 'DescribeKey') })) !== 'allowed'
  ) {
    throw new Refusal('AuthFailure', `Not authorized to use key ${key.metadata.Arn} `, 403);
  }
  return key;
}

/** EC2 calls on the caller's behalf; its grants are to itself, of Decrypt, for one volume or snapshot, as recorded. */
function viaEc2({ region }: Ec2Call, operation: string): Context {
  const ec2 = `ec2.${region}.amazonaws.com`;
  return {
    'kms:ViaService': ec2,
    ...(operation === 'CreateGrant' && {
      'kms:GrantIsForAWSResource': 'true',
      'kms:GranteePrincipal': ec2,
      'kms:RetiringPrincipal': ec2,
      'kms:GrantOperations': ['Decrypt'],
      'kms:GrantConstraintType': 'EncryptionContextEquals',
    }),
  };
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

/** Why a copy under `key` can't succeed as far as keys go, which shows only when it runs. */
export async function keyFailure(
  call: Ec2Call,
  source: SimSnapshot,
  key: Key | undefined,
): Promise<string | undefined> {
  const { KmsKeyId } = source.data;
  const sourceKey = KmsKeyId === undefined ? undefined : findKeyByArn(call.world, KmsKeyId);
  if (KmsKeyId !== undefined && sourceKey === undefined) return notAccessible;
  const set = needs[call.kmsNeeds];
  const accessible =
    (await isAccessible(call, key, set.destination)) && (await isAccessible(call, sourceKey, set.source));
  return accessible ? undefined : notAccessible;
}

async function isAccessible(call: Ec2Call, key: Key | undefined, operations: readonly string[]): Promise<boolean> {
  if (key === undefined) return true;
  const { KeyState, KeySpec, KeyManager, AWSAccountId } = key.metadata;
  if (KeyState !== 'Enabled' || KeySpec !== 'SYMMETRIC_DEFAULT') return false;
  // The managed key's own policy lets everybody of the account use it through EC2.
  if (KeyManager === 'AWS' && AWSAccountId === call.caller.account) return true;
  for (const operation of operations) {
    const verdict = await kmsVerdict(call, { operation, key, context: viaEc2(call, operation) });
    if (verdict !== 'allowed') return false;
  }
  return true;
}
