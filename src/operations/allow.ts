import { CreateGrantCommand, DescribeKeyCommand } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { errorMessage, hasCode, isDenied, placeName, StepError } from '../aws/errors.ts';
import { changePolicy, withStatement } from '../aws/key-policy.ts';
import { keyOperations, regionOfKey } from '../aws/kms.ts';
import { askToGrant } from '../check/probe.ts';
import type { Result } from '../outcome.ts';
import type { Access, Allow } from '../plan/operation.ts';
import { retried } from '../retry.ts';
import type { Run, Scope } from '../run.ts';

/** The name of this run's grants: by it they are found again, and told from any other's. */
export function grantName(imageId: string, leaseId: string): string {
  return `share-encrypted-ami/${imageId}/${leaseId}`;
}

/** Gives the use of a source key, by a grant or by a statement in its policy. @throws StepError */
export async function allow(operation: Allow, { run, place }: Scope): Promise<Result> {
  if (operation.by === 'grant') return { grantId: await grantKey(run, place, operation) };
  await addStatement(run, place, operation);
  return {};
}

async function addStatement(
  { leaseId, request, log }: Run,
  place: Place,
  allowed: Allow & { by: 'policy' },
): Promise<void> {
  const { key, accounts } = allowed;
  try {
    const added = await changePolicy(place, key, {
      change: (policy) => withStatement(policy, { leaseId, partition: request.source.partition, accounts }),
    });
    if (added) log.line(placeName(place), `added a statement to the policy of ${key}`);
  } catch (error) {
    throw new StepError(`Adding a statement to the policy of ${key}`, error);
  }
}

/** A role made a moment ago isn't a principal yet: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html */
const principalTries = 6;

/** Tries again while KMS doesn't know a principal that was made a moment ago. */
export function oncePrincipalIsThere<T>(place: Place, act: () => Promise<T>): Promise<T> {
  const on = (error: unknown) => hasCode(error, 'InvalidArnException');
  return retried({ place, on, tries: principalTries, wait: (count) => 1000 * count }, act);
}

async function grantKey(
  run: Run,
  place: Place,
  { key, principalArn }: Allow & { by: 'grant' },
): Promise<string | undefined> {
  const command = new CreateGrantCommand({
    KeyId: key,
    GranteePrincipal: principalArn,
    Operations: [...keyOperations],
    // The same name and parameters give the same grant again, so a repeated request makes no second one. Constraints
    // there are none: the encryption context is a volume's ID for some snapshots and a snapshot's for others, and
    // EC2's own grant would have to be as narrow (https://docs.aws.amazon.com/kms/latest/developerguide/services-ebs.html).
    Name: grantName(run.source.imageId, run.leaseId),
  });
  try {
    return (await oncePrincipalIsThere(place, () => place.kms(command))).GrantId;
  } catch (error) {
    throw new StepError(`Granting ${principalArn} the use of ${key}`, error);
  }
}

/** A grant or a policy is in force within seconds as a rule, five minutes at most, and EC2 takes no grant tokens. */
const settleSeconds = 300;
/** After so long without access, our statement may have been written over: whoever read the policy before puts it so late. */
const lostSeconds = 5;

/**
 * Waits until calls of the target's own show that it may use the source key. The key's policy may let the target describe
 * the key all the time: so, where KMS takes dry runs, the grant that EC2 will make is asked for too.
 * https://docs.aws.amazon.com/kms/latest/developerguide/grant-manage.html#grant-eventual-consistency
 */
export async function access({ key, target, allowedBy }: Access, scope: Scope): Promise<Result> {
  const { run } = scope;
  const place = run.accounts.target(target, regionOfKey(key)).until(scope.place.signal);
  const began = run.log.elapsedSeconds();
  const patienceSeconds = allowedBy === undefined ? 0 : settleSeconds;
  for (let wait = 200; ; wait = Math.min(wait * 1.6, 10_000)) {
    const waited = run.log.elapsedSeconds() - began;
    const denied = await describes(place, key);
    if (denied === undefined) {
      const awaited = run.kmsDryRuns && (await awaitsGrant(place, key));
      if (!awaited || waited > patienceSeconds) return {};
    } else if (!isDenied(denied) || lacksPolicy(denied) || waited > patienceSeconds) {
      const remedy = accessRemedy(key, denied, run);
      throw new StepError(`Using the source key ${key} from account ${place.account}`, denied, remedy);
    } else if (waited > lostSeconds && allowedBy !== undefined) {
      await giveAgain(allowedBy, scope);
    }
    await place.sleep(wait);
  }
}

/**
 * Whether the grant that EC2 will make is refused as long as the key's account allows none. Other denials, such as of
 * whoever isn't EC2, are no sign of a grant that is yet to come; then AWS is to decide.
 */
async function awaitsGrant(place: Place, keyArn: string): Promise<boolean> {
  return (await askToGrant({ place, keyArn })).words.includes('no resource-based policy');
}

async function describes(place: Place, key: string): Promise<unknown> {
  try {
    await place.kms(new DescribeKeyCommand({ KeyId: key }));
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Gives once more what another's write may have taken out of a key's policy; a grant stays. */
export async function giveAgain(id: string, { run, place }: Scope): Promise<void> {
  const operation = run.operation(id);
  if (operation?.kind !== 'allow' || operation.by !== 'policy') return;
  await addStatement(run, run.accounts.source(operation.place.region).until(place.signal), operation);
}

/** Whether the target role's own policy is what denies: that doesn't pass. */
function lacksPolicy(denied: unknown): boolean {
  return errorMessage(denied).includes('no identity-based policy');
}

function accessRemedy(keyArn: string, denied: unknown, run: Run): string | undefined {
  const actions = keyOperations.map((operation) => `kms:${operation}`).join(', ');
  if (lacksPolicy(denied)) {
    return `a grant or key policy of the key's account doesn't reach a role whose own policy doesn't allow the same: allow ${actions} on ${keyArn} in the target role's policy`;
  }
  if (run.request.source.keyAccess !== 'existing') return undefined;
  return `with source-key-access existing, the key policy of ${keyArn} (or a grant) must allow the target account ${actions}; or set source-key-access to grant`;
}
