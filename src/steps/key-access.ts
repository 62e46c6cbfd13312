import { CreateGrantCommand, DescribeKeyCommand } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { errorMessage, hasCode, isDenied, placeName, StepError } from '../aws/errors.ts';
import { changePolicy, withStatement } from '../aws/key-policy.ts';
import { keyOperations, regionOfKey } from '../aws/kms.ts';
import { accountsUsing, type Plan, type TargetPlan } from '../plan/plan.ts';
import { askToGrant, honoursDryRuns } from '../plan/preflight-keys.ts';
import type { Run } from '../run.ts';

/** The name of this run's grants: by it they are found again, and told from any other's. */
export function grantName(imageId: string, leaseId: string): string {
  return `share-encrypted-ami/${imageId}/${leaseId}`;
}

/** The grants asked for, each with its ID once AWS has told it. */
export type MadeGrants = { keyArn: string; grantId: string | undefined }[];

/** The targets' access to the source keys, while they copy. */
export type OpenedKeys = Readonly<{
  /** Resolves once a target's principal may use the source keys that its copies take. */
  opened(target: TargetPlan): Promise<void>;
  /** The same again, for a copy that failed on a key: another's write may have taken our statement out of its policy. */
  reopen(target: TargetPlan): Promise<void>;
  /** Resolves once nothing more is given, so that what was given can be taken back. */
  close(): Promise<void>;
}>;

/**
 * Lets each target's principal use the source keys, in the way that the inputs say, and sees from its side that it can.
 * Each key and principal are seen to once, all regions of an account being served by one grant; what fails for one stops
 * no other.
 */
export function openKeys(run: Run, plan: Plan, made: MadeGrants): OpenedKeys {
  const { keyAccess } = plan;
  const closing = new AbortController();
  const signal = AbortSignal.any([run.signal, closing.signal]);
  const statements = new Map<string, Promise<void>>();
  /** Sees that our statement is in the policy of a key: once for all who ask at a time. */
  const allow = (keyArn: string): Promise<void> => {
    signal.throwIfAborted();
    const going = statements.get(keyArn);
    if (going !== undefined) return going;
    const begun = quiet(addStatement(run, plan, keyArn).finally(() => statements.delete(keyArn)));
    statements.set(keyArn, begun);
    return begun;
  };

  const open = async (keyArn: string, { target }: TargetPlan): Promise<void> => {
    if (keyAccess === 'policy') await allow(keyArn);
    if (keyAccess === 'grant') await grantKey(run, plan, keyArn, target.principalArn, made);
    const place = target.at(regionOfKey(keyArn)).until(signal);
    dryRuns ??= honoursDryRuns([{ place: target.place, keyArn: target.kmsKeyArn }]);
    await awaitAccess(run, place, keyArn, await dryRuns, async () => {
      if (keyAccess === 'policy') await allow(keyArn);
    });
  };
  let dryRuns: Promise<boolean> | undefined;
  const pairs = new Map<string, Promise<void>>();
  for (const targetPlan of plan.targets) {
    for (const keyArn of targetPlan.sourceKeys) {
      const pair = `${keyArn} ${targetPlan.target.principalArn}`;
      if (!pairs.has(pair)) pairs.set(pair, quiet(open(keyArn, targetPlan)));
    }
  }
  return {
    opened: async ({ sourceKeys, target }) => {
      await Promise.all(sourceKeys.map((keyArn) => pairs.get(`${keyArn} ${target.principalArn}`)));
    },
    reopen: async (targetPlan) => {
      if (keyAccess === 'policy') await Promise.all(targetPlan.sourceKeys.map((keyArn) => open(keyArn, targetPlan)));
    },
    close: async () => {
      closing.abort(new Error('the copies have ended'));
      await Promise.allSettled([...pairs.values(), ...statements.values()]);
    },
  };
}

/** Each target waits for these itself; a failure is told there. */
function quiet(promise: Promise<void>): Promise<void> {
  promise.catch(() => {});
  return promise;
}

async function addStatement(run: Run, plan: Plan, keyArn: string): Promise<void> {
  const place = plan.source.at(regionOfKey(keyArn));
  const accounts = accountsUsing(plan, keyArn);
  try {
    const added = await changePolicy(place, keyArn, (policy) =>
      withStatement(policy, run.leaseId, run.request.source.partition, accounts),
    );
    if (added) run.log.line(placeName(place), `added a statement to the policy of ${keyArn}`);
  } catch (error) {
    throw new StepError(`Adding a statement to the policy of ${keyArn}`, error);
  }
}

/** A role made a moment ago isn't a principal yet: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html */
const principalTries = 6;

async function grantKey(run: Run, plan: Plan, keyArn: string, principalArn: string, made: MadeGrants): Promise<void> {
  const { at, image } = plan.source;
  const place = at(regionOfKey(keyArn));
  const entry: MadeGrants[number] = { keyArn, grantId: undefined };
  made.push(entry);
  for (let tries = 1; ; tries += 1) {
    try {
      const { GrantId } = await place.kms(
        new CreateGrantCommand({
          KeyId: keyArn,
          GranteePrincipal: principalArn,
          Operations: [...keyOperations],
          // The same name and parameters give the same grant again, so a repeated request makes no second one. Constraints
          // there are none: the encryption context is a volume's ID for some snapshots and a snapshot's for others, and
          // EC2's own grant would have to be as narrow (https://docs.aws.amazon.com/kms/latest/developerguide/services-ebs.html).
          Name: grantName(image.ImageId ?? '', run.leaseId),
        }),
      );
      entry.grantId = GrantId;
      return;
    } catch (error) {
      if (!hasCode(error, 'InvalidArnException') || tries === principalTries) {
        throw new StepError(`Granting ${principalArn} the use of ${keyArn}`, error);
      }
      await place.sleep(1000 * tries);
    }
  }
}

/** A grant or a policy is in force within seconds as a rule, five minutes at most, and EC2 takes no grant tokens. */
const settleSeconds = 300;
/** After so long without access, our statement may have been written over: whoever read the policy before puts it so late. */
const lostSeconds = 5;

/**
 * Waits until calls of the target's own show that it may use the source key; `place` is in the key's region, and
 * `giveAgain` gives what may be lost. The key's policy may let the target describe the key all the time: so, where KMS takes
 * dry runs, the grant that EC2 will make is asked for too.
 * https://docs.aws.amazon.com/kms/latest/developerguide/grant-manage.html#grant-eventual-consistency
 */
async function awaitAccess(
  run: Run,
  place: Place,
  keyArn: string,
  dryRuns: boolean,
  giveAgain: () => Promise<void>,
): Promise<void> {
  const began = run.log.elapsedSeconds();
  const patienceSeconds = run.request.source.keyAccess === 'existing' ? 0 : settleSeconds;
  for (let wait = 200; ; wait = Math.min(wait * 1.6, 10_000)) {
    const waited = run.log.elapsedSeconds() - began;
    try {
      await place.kms(new DescribeKeyCommand({ KeyId: keyArn }));
    } catch (error) {
      const lacksPolicy = errorMessage(error).includes('no identity-based policy');
      if (!isDenied(error) || lacksPolicy || waited > patienceSeconds) {
        throw new StepError(
          `Using the source key ${keyArn} from account ${place.account}`,
          error,
          accessRemedy(keyArn, lacksPolicy, run),
        );
      }
      if (waited > lostSeconds) await giveAgain();
      await place.sleep(wait);
      continue;
    }
    const { words } = dryRuns ? await askToGrant({ place, keyArn }) : { words: '' };
    // Other denials, such as of whoever isn't EC2, are no sign of a grant that is yet to come; then AWS is to decide.
    if (!words.includes('no resource-based policy') || waited > patienceSeconds) return;
    await place.sleep(wait);
  }
}

function accessRemedy(keyArn: string, lacksPolicy: boolean, run: Run): string | undefined {
  const actions = keyOperations.map((operation) => `kms:${operation}`).join(', ');
  if (lacksPolicy) {
    return `a grant or key policy of the key's account doesn't reach a role whose own policy doesn't allow the same: allow ${actions} on ${keyArn} in the target role's policy`;
  }
  if (run.request.source.keyAccess !== 'existing') return undefined;
  return `with source-key-access existing, the key policy of ${keyArn} (or a grant) must allow the target account ${actions}; or set source-key-access to grant`;
}
