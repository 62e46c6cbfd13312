import { CreateGrantCommand, DescribeKeyCommand } from '@aws-sdk/client-kms';
import type { Place } from '../aws/clients.ts';
import { errorMessage, hasCode, isDenied, StepError } from '../aws/errors.ts';
import { keyOperations, regionOfKey } from '../aws/kms.ts';
import type { Plan, TargetPlan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { sleep } from '../time.ts';
import { changePolicy, withStatement } from './key-policy.ts';

/** The name of this run's grants: by it they are found again, and told from any other's. */
export function grantName(imageId: string, leaseId: string): string {
  return `share-encrypted-ami/${imageId}/${leaseId}`;
}

/** The grants asked for, each with its ID once AWS has told it. */
export type MadeGrants = { keyArn: string; grantId: string | undefined }[];

/** Resolves once a target's principal may use the source keys that its copies take. */
export type OpenedKeys = (target: TargetPlan) => Promise<void>;

/**
 * Lets each target's principal use the source keys, in the way that the inputs say, and sees from its side that it can.
 * Each key and principal are seen to once, all regions of an account being served by one grant; what fails for one stops
 * no other.
 */
export function openKeys(run: Run, plan: Plan, made: MadeGrants): OpenedKeys {
  const { keyAccess } = plan;
  const takers = plan.targets.filter(({ sourceKeys }) => sourceKeys.length > 0);
  const policies = new Map<string, Promise<void>>();
  if (keyAccess === 'policy')
    for (const keyArn of new Set(takers.flatMap(({ sourceKeys }) => sourceKeys)))
      policies.set(keyArn, quiet(openByPolicy(run, plan, keyArn, takers)));

  const opened = new Map<string, Promise<void>>();
  const open = async (keyArn: string, { target }: TargetPlan): Promise<void> => {
    await policies.get(keyArn);
    if (keyAccess === 'grant') await grantKey(run, plan, keyArn, target.principalArn, made);
    await awaitAccess(run, target.at(regionOfKey(keyArn)), keyArn, keyAccess === 'existing' ? 0 : settleSeconds);
  };
  for (const targetPlan of takers) {
    for (const keyArn of targetPlan.sourceKeys) {
      const pair = `${keyArn} ${targetPlan.target.principalArn}`;
      if (!opened.has(pair)) opened.set(pair, quiet(open(keyArn, targetPlan)));
    }
  }
  return async ({ sourceKeys, target }) => {
    await Promise.all(sourceKeys.map((keyArn) => opened.get(`${keyArn} ${target.principalArn}`)));
  };
}

/** Each target waits for these itself; a failure is told there. */
function quiet(promise: Promise<void>): Promise<void> {
  promise.catch(() => {});
  return promise;
}

async function openByPolicy(run: Run, plan: Plan, keyArn: string, takers: readonly TargetPlan[]): Promise<void> {
  const { partition } = run.request.source;
  const users = takers.filter(({ sourceKeys }) => sourceKeys.includes(keyArn));
  const accounts = [...new Set(users.map(({ target }) => target.request.account))];
  try {
    await changePolicy(plan.source.at(regionOfKey(keyArn)), keyArn, (policy) =>
      withStatement(policy, run.leaseId, partition, accounts, keyOperations),
    );
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
          // The same name and parameters give the same grant again, so a repeated request makes no second one.
          Name: grantName(image.ImageId ?? '', run.leaseId),
        }),
      );
      entry.grantId = GrantId;
      return;
    } catch (error) {
      if (!hasCode(error, 'InvalidArnException') || tries === principalTries) {
        throw new StepError(`Granting ${principalArn} the use of ${keyArn}`, error);
      }
      await sleep(1000 * tries, run.signal);
    }
  }
}

/** A grant or a policy is in force within seconds as a rule, five minutes at most, and EC2 takes no grant tokens. */
const settleSeconds = 300;

/**
 * Waits until a call of the target's own shows that it may use the source key; `place` is in the key's region.
 * https://docs.aws.amazon.com/kms/latest/developerguide/grant-manage.html#grant-eventual-consistency
 */
async function awaitAccess(run: Run, place: Place, keyArn: string, patienceSeconds: number): Promise<void> {
  const until = Date.now() + patienceSeconds * 1000;
  for (let wait = 200; ; wait = Math.min(wait * 1.6, 10_000)) {
    try {
      await place.kms(new DescribeKeyCommand({ KeyId: keyArn }));
      return;
    } catch (error) {
      const lacksPolicy = errorMessage(error).includes('no identity-based policy');
      if (!isDenied(error) || lacksPolicy || Date.now() > until) {
        throw new StepError(
          `Using the source key ${keyArn} from account ${place.account}`,
          error,
          accessRemedy(keyArn, lacksPolicy, run),
        );
      }
      await sleep(wait, run.signal);
    }
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
