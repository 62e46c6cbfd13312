import { CreateGrantCommand, DescribeKeyCommand } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { lacksIn, policyIn } from '../aws/denial.ts';
import {
  AwsCallError,
  errorMessage,
  explain,
  hasCode,
  isDenied,
  isTransient,
  placeName,
  StepError,
} from '../aws/errors.ts';
import { changePolicy, type Policy, withStatements } from '../aws/key-policy.ts';
import { askToDecrypt, keyOperations, listGrants, makeCipherText, regionOfKey, useStatements } from '../aws/kms.ts';
import { retried } from '../aws/retry.ts';
import { sourceKeyParameter, templateFirst } from '../aws/template-parameters.ts';
import type { Result } from '../outcome.ts';
import type { Access, Allow } from '../plan/operation.ts';
import type { Run, Scope } from '../run.ts';
import { changingPolicy, granting, revoking } from './key-questions.ts';
import { retryOnLimit } from './limits.ts';
import type { Asking, Job, Question } from './question.ts';

/** The name of this run's grants: by it they are found again, and told from any other's. */
export function grantName(imageId: string, leaseId: string): string {
  return `share-encrypted-ami/${imageId}/${leaseId}`;
}

/** The lease of the run whose grant on account of an image has this name; undefined where it is none of ours. */
export function leaseOfGrant(imageId: string, name: string): string | undefined {
  const prefix = grantName(imageId, '');
  return name.startsWith(prefix) ? name.slice(prefix.length) : undefined;
}

/** Gives the use of a source key, by a grant or by statements in its policy. @throws StepError */
export async function allow(operation: Allow, { run, place }: Scope): Promise<Result> {
  if (operation.by === 'grant') return { grantId: await grantKey(run, place, operation) };
  await addStatements(run, place, operation);
  return {};
}

function ownStatements({ leaseId, request }: Job, { accounts }: Allow & { by: 'policy' }): (policy: Policy) => Policy {
  return (policy) => withStatements(policy, { leaseId, partition: request.source.partition, accounts });
}

/** Gives whether the statements were not there. */
async function addStatements(run: Run, place: Place, operation: Allow & { by: 'policy' }): Promise<boolean> {
  const { key } = operation;
  const { ledger } = run;
  const others = () => (ledger.state?.unshown ?? []).filter((one) => one !== key);
  let puts = 0;
  const beforePut = () => {
    puts += 1;
    if (puts === 1) ledger.write({ unshown: [...others(), key] });
  };
  const settled = () => {
    if (puts > 0) ledger.write({ unshown: others() });
  };
  try {
    const added = await changePolicy(place, key, { change: ownStatements(run, operation), beforePut });
    settled();
    if (added) run.log.line(placeName(place), `added statements to the policy of ${key}`);
    return added;
  } catch (error) {
    if (puts === 1 && error instanceof AwsCallError && error.action === 'PutKeyPolicy' && !isTransient(error))
      settled();
    throw new StepError(`Adding statements to the policy of ${key}`, error);
  }
}

/** A role made a moment ago isn't a principal yet: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html */
const principalTries = 6;

/** Tries again while KMS doesn't know a principal that was made a moment ago. */
export function oncePrincipalIsThere<T>(place: Place, act: () => Promise<T>): Promise<T> {
  const on = (error: unknown) => hasCode(error, 'InvalidArnException');
  return retried({ place, on, tries: principalTries, wait: (count) => 1000 * count }, act);
}

function commandOf({ source, leaseId }: Job, { key, principalArn }: Allow & { by: 'grant' }): CreateGrantCommand {
  return new CreateGrantCommand({
    KeyId: key,
    GranteePrincipal: principalArn,
    Operations: [...keyOperations],
    // The same name and parameters give the same grant again, so a repeated request makes no second one. Constraints
    // there are none: the encryption context is a volume's ID for some snapshots and a snapshot's for others, and
    // EC2's own grant would have to be as narrow (https://docs.aws.amazon.com/kms/latest/developerguide/services-ebs.html).
    Name: grantName(source.imageId, leaseId),
  });
}

/** For a role that is to make no grants but for AWS's own resources: it may be meant so. */
const otherAccess =
  'or, if it is to make grants for AWS resources only (kms:GrantIsForAWSResource), set source-key-access to policy, which takes kms:GetKeyPolicy and kms:PutKeyPolicy (KeyAccessByPolicy=true in templates/); or to existing, if the policy of the key already lets the target accounts use it';

export function asksToAllow(operation: Allow, asking: Asking): Question[] {
  const { key } = operation;
  return operation.by === 'grant'
    ? [{ ...granting(commandOf(asking, operation)), otherwise: [otherAccess] }, ...revoking(key)]
    : [changingPolicy(key, ownStatements(asking, operation))];
}

async function grantKey(run: Run, place: Place, operation: Allow & { by: 'grant' }): Promise<string | undefined> {
  const { key, principalArn } = operation;
  try {
    const grant = () => oncePrincipalIsThere(place, () => place.kms(commandOf(run, operation)));
    return (await retryOnLimit(run, { place, what: `grant the use of ${key}` }, grant)).GrantId;
  } catch (error) {
    const remedy = isDenied(error) ? [explain(error).remedy ?? [], otherAccess].flat().join('; ') : undefined;
    throw new StepError(`Granting ${principalArn} the use of ${key}`, error, remedy);
  }
}

/** A grant or a policy is in force within seconds as a rule, five minutes at most, and EC2 takes no grant tokens. */
const settleSeconds = 300;
/** After so long without access, our statements may have been written over: whoever read the policy before puts it so late. */
const lostSeconds = 5;

/**
 * Waits until calls of the target's own show that it may use the source key. The key's policy may let the target describe
 * the key all the time: so, where KMS takes dry runs, Decrypt is asked for too, which comes with the same grant or
 * statement. CreateGrant tells nothing: it is allowed to EC2 alone.
 * https://docs.aws.amazon.com/kms/latest/developerguide/grant-manage.html#grant-eventual-consistency
 */
export async function access({ key, target, allowedBy }: Access, scope: Scope): Promise<Result> {
  const { run } = scope;
  const { signal } = scope.place;
  const place = run.accounts.target(target, regionOfKey(key)).until(signal);
  const source = run.accounts.source(regionOfKey(key)).until(signal);
  const began = run.log.elapsedSeconds();
  const patienceSeconds = allowedBy === undefined ? 0 : settleSeconds;
  const cipherText =
    allowedBy !== undefined && run.kmsDryRuns ? makeCipherText(source, key).catch(() => undefined) : undefined;
  for (let wait = 200; ; wait = Math.min(wait * 1.6, 10_000)) {
    const waited = run.log.elapsedSeconds() - began;
    const isLate = waited > patienceSeconds;
    const denied = await describes(place, key);
    if (denied === undefined && (isLate || !(await awaitsUse(place, key, await cipherText)))) return {};
    if (denied !== undefined && (isLate || !isDenied(denied) || lacksPolicy(denied))) {
      const remedy = accessRemedy(key, denied, { run, account: place.account });
      throw new StepError(`Using the source key ${key} from account ${place.account}`, denied, remedy);
    }
    if (waited > lostSeconds) await giveAgain(allowedBy, scope);
    await place.sleep(wait);
  }
}

/**
 * Whether decrypting is refused as long as the key's account allows it in no way. Other denials are no sign of a grant or
 * a statement that is yet to come; then AWS is to decide.
 */
async function awaitsUse(place: Place, key: string, cipherText: Uint8Array | undefined): Promise<boolean> {
  if (cipherText === undefined) return false;
  try {
    await askToDecrypt(place, key, cipherText);
    return false;
  } catch (error) {
    if (!(error instanceof AwsCallError)) throw error;
    return isDenied(error) && lacksIn(errorMessage(error), 'resource-based policy');
  }
}

async function describes(place: Place, key: string): Promise<unknown> {
  try {
    await place.kms(new DescribeKeyCommand({ KeyId: key }));
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Gives again what lets a target use a key and isn't there any more. Gives what that was. */
export async function giveAgain(id: string | undefined, { run, place, resultOf }: Scope): Promise<string[]> {
  const operation = id === undefined ? undefined : run.operation(id);
  if (operation?.kind !== 'allow') return [];
  const { key } = operation;
  const source = run.accounts.source(operation.place.region).until(place.signal);
  if (operation.by === 'policy')
    return (await addStatements(run, source, operation)) ? [`the statement in the policy of ${key}`] : [];
  const name = grantName(run.source.imageId, run.leaseId);
  const { principalArn } = operation;
  const grants = await listGrants(source, key);
  if (grants.some(({ Name, GranteePrincipal }) => Name === name && GranteePrincipal === principalArn)) return [];
  run.regrant(key);
  // A grant that was only not seen is given again by its ID.
  const isSame = (await grantKey(run, source, operation)) === resultOf(operation.id)?.grantId;
  return isSame ? [] : [`the grant on ${key} to ${principalArn}`];
}

/** Whether something else than the key's policy denies, which no grant or statement of ours gets over: that doesn't pass. */
function lacksPolicy(denied: unknown): boolean {
  const words = errorMessage(denied);
  return policyIn(words) !== undefined && !lacksIn(words, 'resource-based policy');
}

function accessRemedy(
  keyArn: string,
  denied: unknown,
  { run, account }: Readonly<{ run: Run; account: string }>,
): string | undefined {
  const { keyAccess, partition } = run.request.source;
  if (lacksPolicy(denied)) {
    // What another kind of policy takes to be mended, its words tell.
    if (!lacksIn(errorMessage(denied), 'identity-based policy')) return undefined;
    const statements = useStatements({ Resource: keyArn });
    const why =
      "a grant or key policy of the key's account doesn't reach a role whose own policy doesn't allow the same";
    const parameter = sourceKeyParameter(keyArn, run.request.source.region);
    return `${why}: ${templateFirst(parameter, `add to the target role's policy ${JSON.stringify(statements)}`)}`;
  }
  if (keyAccess !== 'existing') return undefined;
  const Principal = { AWS: `arn:${partition}:iam::${account}:root` };
  const statements = useStatements({ Principal, Resource: '*' });
  return `with source-key-access existing, the key policy of ${keyArn} (or a grant) must let the target account use it: add ${JSON.stringify(statements)}; or set source-key-access to grant`;
}
