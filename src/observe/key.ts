import { DescribeKeyCommand, type KeyMetadata } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { placeName } from '../aws/errors.ts';
import type { Findings } from '../plan/problem.ts';

/** A key by its ID, its ARN, an alias or an alias's ARN. */
export async function describeKey(place: Place, id: string): Promise<KeyMetadata> {
  const { KeyMetadata } = await place.kms(new DescribeKeyCommand({ KeyId: id }));
  if (KeyMetadata === undefined) throw new Error(`KMS told nothing of ${id}`);
  return KeyMetadata;
}

/** The ARN of a customer managed key that can encrypt volumes; what is wrong with it otherwise is a finding. */
export async function resolveKey(
  place: Place,
  { key, input }: Readonly<{ key: string; input: string }>,
  findings: Findings,
): Promise<string | undefined> {
  const where = placeName(place);
  const metadata = await findings.attempt(where, `reading the key ${key} (${input})`, () => describeKey(place, key));
  if (metadata === undefined) return undefined;
  const problem = keyProblem(metadata, place, input);
  if (problem !== undefined) findings.add(where, `the key ${key} (${input}) ${problem.what}`, problem.remedy);
  return problem === undefined ? metadata.Arn : undefined;
}

// https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
const stateRemedies: Readonly<Record<string, (arn: string, region: string) => string>> = {
  Disabled: (arn, region) => `enable it: aws kms enable-key --region ${region} --key-id ${arn}`,
  PendingDeletion: (arn, region) =>
    `cancel its deletion and enable it: aws kms cancel-key-deletion --region ${region} --key-id ${arn} && aws kms enable-key --region ${region} --key-id ${arn}`,
  PendingImport: () => 'import its key material',
};

function keyProblem(metadata: KeyMetadata, place: Place, input: string): { what: string; remedy: string } | undefined {
  const { KeyManager, KeyState = 'Enabled', KeyUsage, KeySpec, AWSAccountId, Arn = '' } = metadata;
  if (KeyManager === 'AWS') {
    return {
      what: 'is an AWS managed key, which no other account can be given',
      remedy: `create a customer managed key in ${place.region} and name it in ${input}`,
    };
  }
  if (AWSAccountId !== undefined && AWSAccountId !== place.account) {
    return { what: `is in account ${AWSAccountId}`, remedy: `name a key of account ${place.account} in ${input}` };
  }
  if (KeyState !== 'Enabled') {
    const remedy =
      stateRemedies[KeyState]?.(Arn, place.region) ?? `wait until it is enabled, or name another in ${input}`;
    return { what: `is ${KeyState}`, remedy };
  }
  if (
    (KeyUsage ?? 'ENCRYPT_DECRYPT') !== 'ENCRYPT_DECRYPT' ||
    (KeySpec ?? 'SYMMETRIC_DEFAULT') !== 'SYMMETRIC_DEFAULT'
  ) {
    return {
      what: `is ${KeySpec} for ${KeyUsage}; EBS takes only symmetric encryption keys`,
      remedy: `name a key of spec SYMMETRIC_DEFAULT in ${input}`,
    };
  }
  return undefined;
}
