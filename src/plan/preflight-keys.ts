import {
  CreateGrantCommand,
  DecryptCommand,
  DescribeKeyCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  type GrantOperation,
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
  withStatement,
  writePolicy,
} from '../aws/key-policy.ts';
import { keyOperations, regionOfKey } from '../aws/kms.ts';
import { statement } from '../aws/statement.ts';
import type { Request } from '../inputs.ts';
import { newLeaseId } from '../lease.ts';
import { accountsUsing, type Plan, type TargetPlan } from './plan.ts';
import { ask, deniedOutright, lacksIdentityPolicy, roleOf, type Verdict } from './probe.ts';
import type { Findings } from './problem.ts';
import type { SourceSnapshot } from './source.ts';

/*
 * A copy takes KMS permissions of its caller that EC2 uses for it, and a copy that lacks them fails only when it runs,
 * in words that name no action ("Given key ID is not accessible"). So each is asked for beforehand by a direct call that
 * has no effect. Two sets are known: what AWS documents, and the smaller one that copies were measured to take. Lacking
 * what both have is a problem; lacking what only the documented set has is a warning.
 * https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
 *
 * A direct call can't show what a policy allows through EC2 alone (kms:ViaService, kms:GrantIsForAWSResource): for such
 * policies there is key-preflight: warn.
 */
const inBothSets = ['CreateGrant', 'GenerateDataKeyWithoutPlaintext', 'DescribeKey'];

type Asker = Readonly<{ place: Place; keyArn: string; role: string }>;

/** Checks what each role may do with each key that the plan has it use. */
export async function preflightKeys(
  request: Request,
  plan: Plan,
  sampled: readonly TargetPlan[],
  findings: Findings,
): Promise<void> {
  const { source } = plan;
  const sourceRole = roleOf(source.place, request.source.roleArn);
  const users: Asker[] = [
    ...plan.encryptedCopies.map(({ place, kmsKeyArn }) => ({ place, keyArn: kmsKeyArn, role: sourceRole })),
    ...sampled.map(({ target: { place, kmsKeyArn, roleArn } }) => ({
      place,
      keyArn: kmsKeyArn,
      role: roleOf(place, roleArn),
    })),
  ];
  const honoured = await honoursDryRuns(users);
  const tell = teller(request, findings);
  const takers = takersOf(sampled);
  const given = new Map(takers.map(([keyArn, target]) => [keyArn, target.target.principalArn]));
  await Promise.all([
    ...users.map((asker) => checkUse(asker, honoured, tell)),
    ...readersOf(plan, sampled, sourceRole).map((asker) => checkReading(asker, honoured, tell)),
    ...sampled.map(({ target }) => checkLaunchGrants(target, honoured, tell, findings)),
    ...[...given].map(([keyArn, grantee]) => {
      const asker = { place: source.at(regionOfKey(keyArn)), keyArn, role: sourceRole };
      return request.source.keyAccess === 'policy'
        ? checkPolicy(request, plan, asker, findings, tell)
        : checkGiving(request, asker, grantee, honoured, tell);
    }),
    ...takers.map(([keyArn, target]) => checkTaking(request, plan, keyArn, target, honoured, tell)),
  ]);
}

/** Whether KMS is known to take a dry run for one; asked by a call that does nothing in either case. */
export async function honoursDryRuns(users: readonly Pick<Asker, 'place' | 'keyArn'>[]): Promise<boolean> {
  for (const { place, keyArn } of users) {
    const command = new GenerateDataKeyWithoutPlaintextCommand({ KeyId: keyArn, NumberOfBytes: 32, DryRun: true });
    const { is } = await ask(() => place.kms(command));
    if (is === 'allowed') return true;
    if (is === 'unknown') return false;
  }
  return false;
}

/** Who reads snapshots of the source account under which key, besides the key that the copies are under. */
function readersOf({ source, encryptedCopies }: Plan, sampled: readonly TargetPlan[], sourceRole: string): Asker[] {
  const keysOf = (snapshots: readonly SourceSnapshot[]): string[] =>
    snapshots.flatMap(({ kmsKeyArn, obstacle }) =>
      // What the source role can't describe can't be told from aws/ebs, which everybody in the account can use, through EC2 alone.
      kmsKeyArn === undefined || obstacle?.startsWith('under ') ? [] : [kmsKeyArn],
    );
  const first = encryptedCopies.flatMap(({ kmsKeyArn, only }) =>
    keysOf(only ?? source.snapshots).map((keyArn) => ({
      keyArn,
      to: kmsKeyArn,
      place: source.place,
      role: sourceRole,
    })),
  );
  const within = sampled
    .filter(({ crossAccount }) => !crossAccount)
    .flatMap(({ target: { at, roleArn, kmsKeyArn } }) =>
      keysOf(source.snapshots).map((keyArn) => {
        const place = at(regionOfKey(keyArn));
        return { keyArn, to: kmsKeyArn, place, role: roleOf(place, roleArn) };
      }),
    );
  const others = [...first, ...within].filter(({ keyArn, to }) => keyArn !== to);
  return [...new Map(others.map((asker) => [`${asker.keyArn} ${asker.role}`, asker])).values()];
}

/** Each source key with each principal that is to use it, once. */
function takersOf(targets: readonly TargetPlan[]): [string, TargetPlan][] {
  const pairs = new Map<string, [string, TargetPlan]>();
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

type Tell = (asker: Asker, operation: string, verdict: Verdict, weight: Weight, mending?: Mending) => void;

function teller(request: Request, findings: Findings): Tell {
  return ({ place, keyArn, role }, operation, verdict, weight, mending = 'this') => {
    if (verdict.is !== 'denied') return;
    const denied = /perform: kms:(\w+)/.exec(verdict.words)?.[1] ?? operation;
    const where = placeName(place);
    const what = `${role} may not take kms:${denied} on ${keyArn}`;
    const lacking = mending === 'reading' ? readingActions : `kms:${denied}`;
    const remedy =
      mending === 'key-policy'
        ? `add to the policy of that key: ${keyStatement(request, place)}`
        : `add to its policy: ${statement(lacking, [keyArn])}${deniedOutright(verdict)}`;
    const stops = weight === 'ours' || (weight === 'through-ec2' && inBothSets.includes(denied));
    if (weight === 'ours') findings.add(where, what, remedy);
    else if (stops && request.keyPreflight === 'fail')
      findings.add(
        where,
        what,
        `${remedy}; where it is allowed through EC2 alone (kms:ViaService, kms:GrantIsForAWSResource), set key-preflight to warn`,
      );
    else findings.warn(where, `${what}. What to do: ${remedy}`);
  };
}

/** All that reading under a key takes, so that one statement mends what several findings tell. */
const readingActions = keyOperations.map((operation) => `kms:${operation}`);

function keyStatement(request: Request, place: Place): string {
  const principal = { AWS: `arn:${request.source.partition}:iam::${place.account}:root` };
  return JSON.stringify({ Effect: 'Allow', Principal: principal, Action: readingActions, Resource: '*' });
}

/** What copying under a key takes of the account's own role. */
async function checkUse(asker: Asker, honoured: boolean, tell: Tell): Promise<void> {
  const { place, keyArn } = asker;
  let blob: Uint8Array | undefined;
  const generated = await ask(async () => {
    // No dry run, because its cipher text is needed below; it changes nothing.
    const command = new GenerateDataKeyWithoutPlaintextCommand({ KeyId: keyArn, NumberOfBytes: 32 });
    blob = (await place.kms(command)).CiphertextBlob;
  });
  tell(asker, 'GenerateDataKeyWithoutPlaintext', generated, 'through-ec2');
  const CiphertextBlob = blob;
  const decrypted = async () => {
    if (CiphertextBlob === undefined) return;
    const command = new DecryptCommand({ KeyId: keyArn, CiphertextBlob, DryRun: true });
    tell(asker, 'Decrypt', await ask(() => place.kms(command)), 'through-ec2');
  };
  const reEncrypted = async () => {
    if (CiphertextBlob === undefined) return;
    const keys = { SourceKeyId: keyArn, DestinationKeyId: keyArn };
    const command = new ReEncryptCommand({ ...keys, CiphertextBlob, DryRun: true });
    tell(asker, 'ReEncryptFrom', await ask(() => place.kms(command)), 'through-ec2');
  };
  const granted = async () => {
    if (honoured) tell(asker, 'CreateGrant', await askToGrant(asker), 'through-ec2');
  };
  await Promise.all([decrypted(), reEncrypted(), granted()]);
}

/** What reading snapshots under a key takes of a role in the key's own account. */
async function checkReading(asker: Asker, honoured: boolean, tell: Tell): Promise<void> {
  const { place, keyArn } = asker;
  const described = await ask(() => place.kms(new DescribeKeyCommand({ KeyId: keyArn })));
  tell(asker, 'DescribeKey', described, 'through-ec2', 'reading');
  if (honoured) tell(asker, 'CreateGrant', await askToGrant(asker), 'through-ec2', 'reading');
  await checkDecrypting(asker, place, (operation, verdict) =>
    tell(asker, operation, verdict, 'through-ec2', 'reading'),
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
async function checkLaunchGrants(
  { place, kmsKeyArn, roleArn, grantKeyTo }: TargetPlan['target'],
  honoured: boolean,
  tell: Tell,
  findings: Findings,
): Promise<void> {
  if (!honoured) return;
  const asker = { place, keyArn: kmsKeyArn, role: roleOf(place, roleArn) };
  for (const principal of grantKeyTo) {
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
    } else tell(asker, 'CreateGrant', verdict, 'ours');
  }
}

/** Asks whether a grant could be made: to `grantee`, of what copying takes; or to the account itself, of decrypting. */
export function askToGrant({ place, keyArn }: Pick<Asker, 'place' | 'keyArn'>, grantee?: string): Promise<Verdict> {
  const GranteePrincipal = grantee ?? `arn:${keyArn.split(':')[1]}:iam::${place.account}:root`;
  const Operations: GrantOperation[] = grantee === undefined ? ['Decrypt'] : [...keyOperations];
  return ask(() => place.kms(new CreateGrantCommand({ KeyId: keyArn, GranteePrincipal, Operations, DryRun: true })));
}

/** Whether KMS would take the policy of a source key with a statement more. */
async function checkPolicy(request: Request, plan: Plan, asker: Asker, findings: Findings, tell: Tell): Promise<void> {
  const { place, keyArn } = asker;
  let found: Policy | undefined;
  const read = await ask(async () => {
    found = await readPolicy(place, keyArn);
  });
  tell(asker, 'GetKeyPolicy', read, 'ours');
  const policy = found;
  if (policy === undefined) return;
  const gone = deletedPrincipals(policy);
  if (gone.length > 0)
    findings.add(
      placeName(place),
      `the policy of ${keyArn} names ${gone.join(', ')}, which was deleted: KMS takes no change of a policy that does`,
      'remove that principal from the policy of the key, or set source-key-access to grant',
    );
  const longer = withStatement(policy, newLeaseId(), request.source.partition, accountsUsing(plan, keyArn));
  const bytes = Buffer.byteLength(writePolicy(longer));
  if (bytes > maxPolicyBytes)
    findings.add(
      placeName(place),
      `the policy of ${keyArn} would be of ${bytes} bytes with the statement for the targets, and KMS takes ${maxPolicyBytes}`,
      'set source-key-access to grant, or shorten the policy of the key',
    );
}

/** What giving others the use of a source key takes of the source role. */
async function checkGiving(
  request: Request,
  asker: Asker,
  grantee: string,
  honoured: boolean,
  tell: Tell,
): Promise<void> {
  const { place, keyArn } = asker;
  if (request.source.keyAccess !== 'grant') return;
  // No grant has this ID, so that nothing is revoked.
  const GrantId = '0'.repeat(64);
  const [revoke, list, grant] = await Promise.all([
    ask(() => place.kms(new RevokeGrantCommand({ KeyId: keyArn, GrantId, DryRun: true }))),
    ask(() => place.kms(new ListGrantsCommand({ KeyId: keyArn, Limit: 1 }))),
    honoured ? askToGrant(asker, grantee) : undefined,
  ]);
  tell(asker, 'RevokeGrant', revoke, 'ours');
  tell(asker, 'ListGrants', list, 'sweeping');
  if (grant !== undefined) tell(asker, 'CreateGrant', grant, 'ours');
}

/**
 * What copying out of another account takes of the target's role, in its own policy: the key's policy or a grant alone
 * doesn't do (https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html). Before
 * the grant is made, KMS's words tell which of the two sides is missing.
 */
async function checkTaking(
  request: Request,
  plan: Plan,
  keyArn: string,
  { target }: TargetPlan,
  honoured: boolean,
  tell: Tell,
): Promise<void> {
  const place = target.at(regionOfKey(keyArn));
  const asker = { place, keyArn, role: roleOf(place, target.roleArn) };
  const judge = (operation: string, verdict: Verdict, weight: Weight): void => {
    const ownSide = lacksIdentityPolicy(verdict);
    if (ownSide || request.source.keyAccess === 'existing')
      tell(asker, operation, verdict, weight, ownSide ? 'reading' : 'key-policy');
  };
  const [described, granted] = await Promise.all([
    ask(() => place.kms(new DescribeKeyCommand({ KeyId: keyArn }))),
    honoured ? askToGrant(asker) : undefined,
  ]);
  judge('DescribeKey', described, 'ours');
  if (granted !== undefined) judge('CreateGrant', granted, 'through-ec2');
  // A cipher text under the source key can be made by the source role.
  const maker = plan.source.at(regionOfKey(keyArn));
  await checkDecrypting(asker, maker, (operation, verdict) => judge(operation, verdict, 'through-ec2'));
}
