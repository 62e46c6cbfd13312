import {
  DecryptCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  type GrantListEntry,
  type GrantOperation,
  ListGrantsCommand,
} from '@aws-sdk/client-kms';
import type { Place } from './clients.ts';

/** What copying a snapshot out of another account takes on its key besides CreateGrant: its data key is decrypted. */
const useOperations = ['DescribeKey', 'Decrypt', 'ReEncryptFrom'] as const;

/**
 * What copying a snapshot out of another account takes on its key, and no more: EBS gets a grant of its own to decrypt
 * the data key. https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
 */
export const keyOperations = [...useOperations, 'CreateGrant'] as const satisfies readonly GrantOperation[];

type Statement = Readonly<Record<string, unknown>>;

/**
 * The statements that allow this use of a key, in a role's policy or, with a `Principal`, in the key's: CreateGrant is
 * for EC2 alone, or whoever may use the key could give its use away for good
 * (https://docs.aws.amazon.com/ebs/latest/userguide/share-kms-key.html).
 */
export function useStatements(
  on: Readonly<{ Principal?: unknown; Resource: string }>,
): readonly [Statement, Statement] {
  const { Resource, ...whom } = on;
  const allow = (Action: string | readonly string[]) => ({ Effect: 'Allow', ...whom, Action, Resource });
  const forEc2 = { Bool: { 'kms:GrantIsForAWSResource': 'true' } };
  return [
    allow(useOperations.map((operation) => `kms:${operation}`)),
    { ...allow('kms:CreateGrant'), Condition: forEc2 },
  ];
}

/** A cipher text under a key, which others can be asked about; making it changes nothing. @throws AwsCallError */
export async function makeCipherText(place: Place, keyArn: string): Promise<Uint8Array> {
  const command = new GenerateDataKeyWithoutPlaintextCommand({ KeyId: keyArn, NumberOfBytes: 32 });
  const { CiphertextBlob } = await place.kms(command);
  if (CiphertextBlob === undefined) throw new Error('KMS gave no cipher text');
  return CiphertextBlob;
}

/** Asks KMS whether a cipher text may be decrypted, without decrypting it. @throws AwsCallError in any case */
export async function askToDecrypt(place: Place, keyArn: string, CiphertextBlob: Uint8Array): Promise<void> {
  await place.kms(new DecryptCommand({ KeyId: keyArn, CiphertextBlob, DryRun: true }));
}

/** All grants on a key. */
export async function listGrants(place: Place, keyArn: string): Promise<GrantListEntry[]> {
  const grants: GrantListEntry[] = [];
  for (let Marker: string | undefined; ; ) {
    const page = await place.kms(new ListGrantsCommand({ KeyId: keyArn, Limit: 100, Marker }));
    grants.push(...(page.Grants ?? []));
    if (!page.Truncated) return grants;
    Marker = page.NextMarker;
  }
}

/** Keys never leave their region, and an ARN names it. */
export function regionOfKey(keyArn: string): string {
  return keyArn.split(':')[3] ?? '';
}
