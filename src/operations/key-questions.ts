import {
  type CreateGrantCommand,
  DescribeKeyCommand,
  ListGrantsCommand,
  ReEncryptCommand,
  RevokeGrantCommand,
} from '@aws-sdk/client-kms';
import { hasCode } from '../aws/errors.ts';
import { deletedPrincipals, maxPolicyBytes, type Policy, readPolicy, writePolicy } from '../aws/key-policy.ts';
import { askToDecrypt } from '../aws/kms.ts';
import type { SourceSnapshot } from '../plan/facts.ts';
import { type Hindrance, type KeyAsker, type KeyQuestion, UnaskedError } from './question.ts';

/*
 * A copy takes KMS permissions of its caller that EC2 uses for it, and a copy that lacks them fails only when it runs,
 * in words that name no action ("Given key ID is not accessible"). So each is asked for beforehand by a direct call that
 * has no effect.
 *
 * A direct call can't show what a policy allows through EC2 alone: for kms:ViaService there is key-preflight: warn, and
 * EC2's own CreateGrant (kms:GrantIsForAWSResource) isn't asked for at all; where it is lacking, the copy's error says so.
 */

type How = Partial<Pick<KeyQuestion, 'counts' | 'mending' | 'foreign' | 'dry' | 'standsIn'>>;

function question(operation: string, keyArn: string, how: How & Pick<KeyQuestion, 'ask'>): KeyQuestion {
  const action = `kms:${operation}`;
  const unless = {
    dry: true,
    standsIn: false,
    counts: 'through-ec2',
    mending: 'action',
    foreign: false,
    otherwise: [],
  } as const;
  return { service: 'kms', action, keyArn, key: `${action} ${keyArn}`, ...unless, ...how };
}

/** A read of a key that gives what it found as hindrances, and whatever it can't read as well. */
export function reading(operation: string, keyArn: string, ask: (by: KeyAsker) => Promise<Hindrance[]>): KeyQuestion {
  return question(operation, keyArn, { counts: 'ours', dry: false, ask });
}

/** What copying under a key takes of the account's own role. */
export function usingKey(keyArn: string): KeyQuestion[] {
  // No dry run, because its cipher text is what the others are asked with; it changes nothing.
  const generate = question('GenerateDataKeyWithoutPlaintext', keyArn, {
    dry: false,
    ask: ({ cipherText }) => cipherText('asker'),
  });
  return [generate, ...decrypting(keyArn, 'asker', {})];
}

function decrypting(keyArn: string, by: 'asker' | 'source', how: How): KeyQuestion[] {
  const text = async ({ cipherText }: KeyAsker): Promise<Uint8Array> => {
    try {
      return await cipherText(by);
    } catch (error) {
      throw new UnaskedError('no cipher text to ask with can be made', { cause: error });
    }
  };
  const keys = { SourceKeyId: keyArn, DestinationKeyId: keyArn };
  const reEncrypt = (CiphertextBlob: Uint8Array) => new ReEncryptCommand({ ...keys, CiphertextBlob, DryRun: true });
  return [
    question('Decrypt', keyArn, { ...how, ask: async (by) => askToDecrypt(by.place, keyArn, await text(by)) }),
    question('ReEncryptFrom', keyArn, { ...how, ask: async (by) => by.place.kms(reEncrypt(await text(by))) }),
  ];
}

function describing(keyArn: string, how: How): KeyQuestion {
  const command = new DescribeKeyCommand({ KeyId: keyArn });
  return question('DescribeKey', keyArn, { ...how, dry: false, ask: ({ place }) => place.kms(command) });
}

/** What reading snapshots of the role's own account takes, where they are under other keys than the copy will be. */
export function readingSnapshots(snapshots: readonly SourceSnapshot[], to: string): KeyQuestion[] {
  const keys = snapshots.flatMap(({ kmsKeyArn, obstacle }) =>
    // What the source role can't describe can't be told from aws/ebs, which everybody in the account can use, through EC2 alone.
    kmsKeyArn === undefined || kmsKeyArn === to || obstacle?.startsWith('under ') ? [] : [kmsKeyArn],
  );
  const how = { mending: 'reading' } as const;
  return keys.flatMap((keyArn) => [describing(keyArn, how), ...decrypting(keyArn, 'asker', how)]);
}

/**
 * What copying out of another account takes of the target's role, in its own policy: the key's policy or a grant alone
 * doesn't do (https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html). Before
 * the grant is made, KMS's words tell which of the two sides is missing. A cipher text can be made by the source role.
 */
export function takingUnder(keyArn: string): KeyQuestion[] {
  const how = { mending: 'reading', foreign: true } as const;
  return [describing(keyArn, { ...how, counts: 'ours' }), ...decrypting(keyArn, 'source', how)];
}

/** Whether the action may make a grant; `absent` is told where its grantee isn't there. */
export function granting(command: CreateGrantCommand, absent?: Hindrance): KeyQuestion {
  const { KeyId = '', GranteePrincipal } = command.input;
  command.input.DryRun = true;
  const ask = async ({ place }: KeyAsker) => {
    try {
      return await place.kms(command);
    } catch (error) {
      if (absent !== undefined && hasCode(error, 'InvalidArnException')) return [absent];
      throw error;
    }
  };
  return {
    ...question('CreateGrant', KeyId, { counts: 'ours', ask }),
    key: `CreateGrant ${KeyId} ${GranteePrincipal}`,
  };
}

/** Whether grants can be taken back; no grant has this ID. */
export function revoking(keyArn: string): KeyQuestion[] {
  const revoke = new RevokeGrantCommand({ KeyId: keyArn, GrantId: '0'.repeat(64), DryRun: true });
  const list = new ListGrantsCommand({ KeyId: keyArn, Limit: 1 });
  return [
    question('RevokeGrant', keyArn, { counts: 'ours', standsIn: true, ask: ({ place }) => place.kms(revoke) }),
    question('ListGrants', keyArn, { counts: 'sweeping', dry: false, ask: ({ place }) => place.kms(list) }),
  ];
}

/** Whether KMS would take the policy of a key with the statements that `change` adds. */
export function changingPolicy(keyArn: string, change: (policy: Policy) => Policy): KeyQuestion {
  const ask = async ({ place }: KeyAsker): Promise<Hindrance[]> => {
    const policy = await readPolicy(place, keyArn);
    const gone = deletedPrincipals(policy);
    const bytes = Buffer.byteLength(writePolicy(change(policy)));
    const deleted = {
      what: `the policy of ${keyArn} names ${gone.join(', ')}, which was deleted: KMS takes no change of a policy that does`,
      remedy: 'remove that principal from the policy of the key, or set source-key-access to grant',
    };
    const long = {
      what: `the policy of ${keyArn} would be of ${bytes} bytes with the statements for the targets, and KMS takes ${maxPolicyBytes}`,
      remedy: 'set source-key-access to grant, or shorten the policy of the key',
    };
    return [...(gone.length > 0 ? [deleted] : []), ...(bytes > maxPolicyBytes ? [long] : [])];
  };
  return reading('GetKeyPolicy', keyArn, ask);
}
