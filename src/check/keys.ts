import {
  DecryptCommand,
  DescribeKeyCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  ListGrantsCommand,
  ReEncryptCommand,
  RevokeGrantCommand,
} from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { placeName } from '../aws/errors.ts';
import {
  deletedPrincipals,
  maxPolicyBytes,
  type Policy,
  readPolicy,
  withStatements,
  writePolicy,
} from '../aws/key-policy.ts';
import { regionOfKey, useStatements } from '../aws/kms.ts';
import { statement } from '../aws/statement.ts';
import type { Request } from '../inputs.ts';
import { joined } from '../join.ts';
import { newLeaseId } from '../lease.ts';
import { accountsUsing, type MakingPlan } from '../plan/decided.ts';
import type { SourceSnapshot, Target } from '../plan/facts.ts';
import type { Checking } from './checking.ts';
import {
  ask,
  askToGrant,
  deniedOutright,
  honoursKeyDryRuns,
  type KeyUse,
  lacksIdentityPolicy,
  roleOf,
  type Verdict,
} from './probe.ts';

/*
 * A copy takes KMS permissions of its caller that EC2 uses for it, and a copy that lacks them fails only when it runs,
 * in words that name no action ("Given key ID is not accessible"). So each is asked for beforehand by a direct call that
 * has no effect. Two sets are known: what AWS documents, and the smaller one that copies were measured to take. Lacking
 * what both have is a problem; lacking what only the documented set has is a warning.
 * https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
 *
 * A direct call can't show what a policy allows through EC2 alone: for kms:ViaService there is key-preflight: warn, and
 * EC2's own CreateGrant (kms:GrantIsForAWSResource) isn't asked for at all; where it is lacking, the copy's error says so.
 */
const inBothSets = ['GenerateDataKeyWithoutPlaintext', 'DescribeKey'];

type Asker = KeyUse & Readonly<{ role: string }>;

/** Checks what each role may do with each key that the plan has it use. Gives whether KMS takes dry runs for one. */
export async function checkKeys(checking: Checking, sampled: readonly MakingPlan[]): Promise<boolean> {
  const { request, plan, accounts } = checking;
  const sourceRole = roleOf(plan.source.place, request.source.roleArn);
  const users: Asker[] = [
    ...plan.encryptedCopies.map(({ place, kmsKeyArn }) => ({
      place: accounts.source(place.region),
      keyArn: kmsKeyArn,
      role: sourceRole,
    })),
    ...sampled.map(({ target }) => askerOf(checking, target)),
  ];
  const honoured = await honoursKeyDryRuns(users);
  const keys: KeyChecking = { ...checking, honoured, tell: teller(checking) };
  const takers = takersOf(sampled);
  const given = new Map(takers.map(([keyArn, target]) => [keyArn, target.target.principalArn]));
  await joined([
    ...users.map((asker) => checkUse(keys, asker)),
    ...readersOf(checking, sampled, sourceRole).map((asker) => checkReading(keys, asker)),
    ...sampled.map(({ target }) => checkLaunchGrants(keys, target)),
    ...[...given].map(([keyArn, grantee]) => {
      const asker = { place: accounts.source(regionOfKey(keyArn)), keyArn, role: sourceRole };
      return request.source.keyAccess === 'policy' ? checkPolicy(keys, asker) : checkGiving(keys, asker, grantee);
    }),
    ...takers.map(([keyArn, target]) => checkTaking(keys, keyArn, target)),
  ]);
  return honoured;
}

/** What the checks of keys have at hand besides. */
type KeyChecking = Checking & Readonly<{ honoured: boolean; tell: Tell }>;

function askerOf({ accounts }: Checking, { place, kmsKeyArn, roleArn }: Target): Asker {
  return { place: accounts.target(place), keyArn: kmsKeyArn, role: roleOf(place, roleArn) };
}

/** Who reads snapshots of the source account under which key, besides the key that the copies are under. */
function readersOf(checking: Checking, sampled: readonly MakingPlan[], sourceRole: string): Asker[] {
  const { plan, accounts } = checking;
  const { source, encryptedCopies } = plan;
  const keysOf = (snapshots: readonly SourceSnapshot[]): string[] =>
    snapshots.flatMap(({ kmsKeyArn, obstacle }) =>
      // What the source role can't describe can't be told from aws/ebs, which everybody in the account can use, through EC2 alone.
      kmsKeyArn === undefined || obstacle?.startsWith('under ') ? [] : [kmsKeyArn],
    );
  const first = encryptedCopies.flatMap(({ kmsKeyArn, only }) =>
    keysOf(only ?? source.snapshots).map((keyArn) => ({
      keyArn,
      to: kmsKeyArn,
      place: accounts.source(source.place.region),
      role: sourceRole,
    })),
  );
  const within = sampled
    .filter(({ crossAccount }) => !crossAccount)
    .flatMap(({ target: { place, roleArn, kmsKeyArn } }) =>
      keysOf(source.snapshots).map((keyArn) => {
        const there = accounts.target(place, regionOfKey(keyArn));
        return { keyArn, to: kmsKeyArn, place: there, role: roleOf(there, roleArn) };
      }),
    );
  const others = [...first, ...within].filter(({ keyArn, to }) => keyArn !== to);
  return [...new Map(others.map((asker) => [`${asker.keyArn} ${asker.role}`, asker])).values()];
}

/** Each source key with each principal that is to use it, once. */
function takersOf(targets: readonly MakingPlan[]): [string, MakingPlan][] {
  const pairs = new Map<string, [string, MakingPlan]>();
  for (const target of targets)
    for (const keyArn of target.sourceKeys) pairs.set(`${keyArn} ${target.target.principalArn}`, [keyArn, target]);
  return [...pairs.values()];
}

/**
 * How a denial counts: of a call that the action makes itself, it stops the run; of one that EC2 makes for it, as the
 * sets of needs and key-preflight say; of one that only the sweeping of dead runs takes, it is worth a word.
 */
type Weight = 'ours' | 'through-ec2' | 'sweeping';

/** Where what is lacking belongs: in the role's policy, by itself or with all that reading takes, or in the key's. */
type Mending = 'this' | 'reading' | 'key-policy';

/** A verdict on one operation, and what it means. */
type Judged = Readonly<{ operation: string; verdict: Verdict; weight: Weight; mending?: Mending }>;

type Tell = (asker: Asker, judged: Judged) => void;

function teller({ request, findings }: Checking): Tell {
  return ({ place, keyArn, role }, { operation, verdict, weight, mending = 'this' }) => {
    if (verdict.is !== 'denied') return;
    const denied = /perform: kms:(\w+)/.exec(verdict.words)?.[1] ?? operation;
    const where = placeName(place);
    const what = `${role} may not take kms:${denied} on ${keyArn}`;
    const own =
      mending === 'reading' ? listed(useStatements({ Resource: keyArn })) : statement(`kms:${denied}`, [keyArn]);
    const remedy =
      mending === 'key-policy'
        ? `add to the policy of that key: ${keyStatements(request, place)}`
        : `add to its policy: ${own}${deniedOutright(verdict)}`;
    const stops = weight === 'ours' || (weight === 'through-ec2' && inBothSets.includes(denied));
    if (weight === 'ours') findings.add(where, what, remedy);
    else if (stops && request.keyPreflight === 'fail')
      findings.add(
        where,
        what,
        `${remedy}; where it is allowed through EC2 alone (kms:ViaService), set key-preflight to warn`,
      );
    else findings.warn(where, `${what}. What to do: ${remedy}`);
  };
}

/** All that reading under a key takes, so that the same statements mend what several findings tell. */
function keyStatements(request: Request, place: Place): string {
  const Principal = { AWS: `arn:${request.source.partition}:iam::${place.account}:root` };
  return listed(useStatements({ Principal, Resource: '*' }));
}

function listed(statements: readonly unknown[]): string {
  return statements.map((one) => JSON.stringify(one)).join(', ');
}

/** What copying under a key takes of the account's own role. */
async function checkUse({ tell }: KeyChecking, asker: Asker): Promise<void> {
  const { place, keyArn } = asker;
  let blob: Uint8Array | undefined;
  const generated = await ask(async () => {
    // No dry run, because its cipher text is needed below; it changes nothing.
    const command = new GenerateDataKeyWithoutPlaintextCommand({ KeyId: keyArn, NumberOfBytes: 32 });
    blob = (await place.kms(command)).CiphertextBlob;
  });
  tell(asker, { operation: 'GenerateDataKeyWithoutPlaintext', verdict: generated, weight: 'through-ec2' });
  const CiphertextBlob = blob;
  const decrypted = async () => {
    if (CiphertextBlob === undefined) return;
    const command = new DecryptCommand({ KeyId: keyArn, CiphertextBlob, DryRun: true });
    tell(asker, { operation: 'Decrypt', verdict: await ask(() => place.kms(command)), weight: 'through-ec2' });
  };
  const reEncrypted = async () => {
    if (CiphertextBlob === undefined) return;
    const keys = { SourceKeyId: keyArn, DestinationKeyId: keyArn };
    const command = new ReEncryptCommand({ ...keys, CiphertextBlob, DryRun: true });
    tell(asker, { operation: 'ReEncryptFrom', verdict: await ask(() => place.kms(command)), weight: 'through-ec2' });
  };
  await Promise.all([decrypted(), reEncrypted()]);
}

/** What reading snapshots under a key takes of a role in the key's own account. */
async function checkReading({ tell }: KeyChecking, asker: Asker): Promise<void> {
  const { place, keyArn } = asker;
  const described = await ask(() => place.kms(new DescribeKeyCommand({ KeyId: keyArn })));
  tell(asker, { operation: 'DescribeKey', verdict: described, weight: 'through-ec2', mending: 'reading' });
  await checkDecrypting(asker, place, (operation, verdict) =>
    tell(asker, { operation: operation, verdict: verdict, weight: 'through-ec2', mending: 'reading' }),
  );
}

/** Asks for what reading takes, by a cipher text under the key that `maker` can make. */
async function checkDecrypting(
  { place, keyArn }: Asker,
  maker: Place,
  judge: (operation: string, verdict: Verdict) => void,
): Promise<void> {
  let CiphertextBlob: Uint8Array | undefined;
  await ask(async () => {
    const command = new GenerateDataKeyWithoutPlaintextCommand({ KeyId: keyArn, NumberOfBytes: 32 });
    CiphertextBlob = (await maker.kms(command)).CiphertextBlob;
  });
  if (CiphertextBlob === undefined) return;
  const decrypt = new DecryptCommand({ KeyId: keyArn, CiphertextBlob, DryRun: true });
  const keys = { SourceKeyId: keyArn, DestinationKeyId: keyArn };
  const reEncrypt = new ReEncryptCommand({ ...keys, CiphertextBlob, DryRun: true });
  const [decrypted, reEncrypted] = await Promise.all([ask(() => place.kms(decrypt)), ask(() => place.kms(reEncrypt))]);
  judge('Decrypt', decrypted);
  // Encrypting under that key again is nothing that the role needs.
  if (!reEncrypted.words.includes('kms:ReEncryptTo')) judge('ReEncryptFrom', reEncrypted);
}

/** Whether grant-key-to can be granted: its principals must be there. */
async function checkLaunchGrants(checking: KeyChecking, target: Target): Promise<void> {
  const { honoured, tell, findings } = checking;
  if (!honoured) return;
  const asker = askerOf(checking, target);
  const { place } = asker;
  for (const principal of target.grantKeyTo) {
    const verdict = await askToGrant(asker, principal);
    if (verdict.words.includes('does not refer to a valid principal')) {
      const service = /\/aws-service-role\/([^/]+)\//.exec(principal)?.[1];
      findings.add(
        placeName(place),
        `${principal} (grant-key-to) is not there`,
        service === undefined
          ? 'create it, or correct grant-key-to'
          : `create it: aws iam create-service-linked-role --aws-service-name ${service}`,
      );
    } else tell(asker, { operation: 'CreateGrant', verdict: verdict, weight: 'ours' });
  }
}

/** Whether KMS would take the policy of a source key with a statement more. */
async function checkPolicy({ request, plan, findings, tell }: KeyChecking, asker: Asker): Promise<void> {
  const { place, keyArn } = asker;
  let found: Policy | undefined;
  const read = await ask(async () => {
    found = await readPolicy(place, keyArn);
  });
  tell(asker, { operation: 'GetKeyPolicy', verdict: read, weight: 'ours' });
  const policy = found;
  if (policy === undefined) return;
  const gone = deletedPrincipals(policy);
  if (gone.length > 0)
    findings.add(
      placeName(place),
      `the policy of ${keyArn} names ${gone.join(', ')}, which was deleted: KMS takes no change of a policy that does`,
      'remove that principal from the policy of the key, or set source-key-access to grant',
    );
  const accounts = accountsUsing(plan.targets, keyArn);
  const longer = withStatements(policy, { leaseId: newLeaseId(), partition: request.source.partition, accounts });
  const bytes = Buffer.byteLength(writePolicy(longer));
  if (bytes > maxPolicyBytes)
    findings.add(
      placeName(place),
      `the policy of ${keyArn} would be of ${bytes} bytes with the statements for the targets, and KMS takes ${maxPolicyBytes}`,
      'set source-key-access to grant, or shorten the policy of the key',
    );
}

/** What giving others the use of a source key takes of the source role. */
async function checkGiving({ request, honoured, tell }: KeyChecking, asker: Asker, grantee: string): Promise<void> {
  const { place, keyArn } = asker;
  if (request.source.keyAccess !== 'grant') return;
  // No grant has this ID, so that nothing is revoked.
  const GrantId = '0'.repeat(64);
  const [revoke, list, grant] = await Promise.all([
    ask(() => place.kms(new RevokeGrantCommand({ KeyId: keyArn, GrantId, DryRun: true }))),
    ask(() => place.kms(new ListGrantsCommand({ KeyId: keyArn, Limit: 1 }))),
    honoured ? askToGrant(asker, grantee) : undefined,
  ]);
  tell(asker, { operation: 'RevokeGrant', verdict: revoke, weight: 'ours' });
  tell(asker, { operation: 'ListGrants', verdict: list, weight: 'sweeping' });
  if (grant !== undefined) tell(asker, { operation: 'CreateGrant', verdict: grant, weight: 'ours' });
}

/**
 * What copying out of another account takes of the target's role, in its own policy: the key's policy or a grant alone
 * doesn't do (https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html). Before
 * the grant is made, KMS's words tell which of the two sides is missing.
 */
async function checkTaking(
  { request, accounts, tell }: KeyChecking,
  keyArn: string,
  { target }: MakingPlan,
): Promise<void> {
  const place = accounts.target(target.place, regionOfKey(keyArn));
  const asker = { place, keyArn, role: roleOf(place, target.roleArn) };
  const judge = (operation: string, verdict: Verdict, weight: Weight): void => {
    const ownSide = lacksIdentityPolicy(verdict);
    if (ownSide || request.source.keyAccess === 'existing')
      tell(asker, { operation, verdict, weight, mending: ownSide ? 'reading' : 'key-policy' });
  };
  judge('DescribeKey', await ask(() => place.kms(new DescribeKeyCommand({ KeyId: keyArn }))), 'ours');
  // A cipher text under the source key can be made by the source role.
  const maker = accounts.source(regionOfKey(keyArn));
  await checkDecrypting(asker, maker, (operation, verdict) => judge(operation, verdict, 'through-ec2'));
}
