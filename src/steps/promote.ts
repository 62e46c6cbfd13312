import {
  AddTagsToResourceCommand,
  DeleteParameterCommand,
  GetParameterCommand,
  type Parameter,
  PutParameterCommand,
  type PutParameterRequest,
} from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { errorMessage, hasCode, placeName, StepError } from '../aws/errors.ts';
import type { FormerValue, Promotion } from '../ledger.ts';
import type { TargetPlan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { tagKeys } from '../tags.ts';

/*
 * Writing the SSM parameters is all or nothing: they are written only when every target is ready, and what was there
 * before is put back should one of them fail. What was there is written down first, so that post can put it back too.
 */

/** A target with the AMI that its parameter is to hold. */
export type Ready = Readonly<{ targetPlan: TargetPlan; amiId: string }>;

/** Sets the parameters of all targets. @throws StepError after what was there before has been put back */
export async function promote(run: Run, ready: readonly Ready[]): Promise<void> {
  const before = await Promise.all(ready.map(({ targetPlan, amiId }) => readBefore(targetPlan, amiId)));
  const changes = before.filter(({ promotion, amiId }) => promotion.before?.value !== amiId);
  if (changes.length === 0) return;
  run.ledger.write({ promotions: changes.map(({ promotion }) => promotion) });
  const settled = await Promise.allSettled(changes.map((change) => write(run, change)));
  const failed = settled.find((one) => one.status === 'rejected');
  if (failed === undefined) {
    run.ledger.write({ promotions: [] });
    return;
  }
  const restored = await Promise.allSettled(
    changes.map(({ targetPlan, promotion, accepted }) =>
      putBack(afterwards(targetPlan.target.place), promotion, accepted),
    ),
  );
  const lost = restored.flatMap((one) => (one.status === 'rejected' ? [errorMessage(one.reason)] : []));
  run.leftBehind.push(...lost.map((what) => `an SSM parameter that was not put back: ${what}`));
  if (lost.length === 0) run.ledger.write({ promotions: [] });
  throw failed.reason;
}

/** What is put back is, although the run was told to stop. */
function afterwards(place: Place): Place {
  return place.until(place.clock.after(60_000));
}

/** `accepted` once AWS has taken the value, which doesn't stand yet. */
type Change = Ready & Readonly<{ promotion: Promotion }> & { accepted: boolean };

async function readBefore(targetPlan: TargetPlan, amiId: string): Promise<Change> {
  const { place, ssmParameter: name = '' } = targetPlan.target;
  const parameter = await read(place, name);
  return {
    targetPlan,
    amiId,
    promotion: {
      place: placeName(place),
      name,
      before: parameter === undefined ? null : formerOf(parameter),
      amiId,
    },
    accepted: false,
  };
}

function formerOf({ Version: version, Value: value, DataType: dataType }: Parameter): FormerValue {
  return { version, value, dataType };
}

async function read(place: Place, name: string): Promise<Parameter | undefined> {
  try {
    return (await place.ssm(new GetParameterCommand({ Name: name }))).Parameter;
  } catch (error) {
    if (hasCode(error, 'ParameterNotFound')) return undefined;
    throw error;
  }
}

async function write(run: Run, change: Change): Promise<void> {
  const { targetPlan, amiId, promotion } = change;
  const { place } = targetPlan.target;
  const { name } = promotion;
  const tags = Object.entries({
    [tagKeys.sourceAmi]: targetPlan.tags.find(({ Key }) => Key === tagKeys.sourceAmi)?.Value ?? '',
    [tagKeys.run]: run.request.run.runUrl,
    [tagKeys.commit]: run.request.run.sha,
  }).flatMap(([Key, Value]) => (Value === '' ? [] : [{ Key, Value }]));
  try {
    const value = { Name: name, Value: amiId, Type: 'String' as const, DataType: 'aws:ec2:image' };
    // Tags are taken only with a parameter that is new, and only without Overwrite:
    // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
    const isNew = promotion.before === null;
    const Version = await put(place, isNew ? { ...value, Tags: tags } : { ...value, Overwrite: true });
    change.accepted = true;
    if (!isNew)
      await place.ssm(new AddTagsToResourceCommand({ ResourceType: 'Parameter', ResourceId: name, Tags: tags }));
    await awaitValue(place, name, amiId, Version);
    run.log.line(placeName(place), `the SSM parameter ${name} holds ${amiId} (version ${Version})`);
  } catch (error) {
    throw new StepError(`Setting the SSM parameter ${name} to ${amiId} in ${placeName(place)}`, error);
  }
}

/** Gives the version. A new parameter that is there although the request was the first is there by a request whose answer was lost. */
async function put(place: Place, request: PutParameterRequest): Promise<number> {
  try {
    return (await place.ssm(new PutParameterCommand(request))).Version ?? 1;
  } catch (error) {
    if (!hasCode(error, 'ParameterAlreadyExists') || request.Overwrite === true) throw error;
    const there = await read(place, request.Name ?? '');
    if (there?.Value !== request.Value) throw error;
    return there?.Version ?? 1;
  }
}

/** AWS looks the AMI up only after its answer, and a value that it finds wrong never stands. */
const standsWithinSeconds = 120;

async function awaitValue(place: Place, name: string, amiId: string, version: number): Promise<void> {
  const until = place.clock.now() + standsWithinSeconds * 1000;
  for (let wait = 200; ; wait = Math.min(wait * 1.6, 5000)) {
    const parameter = await read(place, name);
    if (parameter?.Value === amiId && (parameter.Version ?? 0) >= version) return;
    if (place.clock.now() > until)
      throw new Error(
        `AWS took the value, but it doesn't stand after ${standsWithinSeconds} s: it holds ${parameter?.Value ?? 'nothing'}; an event "Parameter Store Change" in EventBridge tells why (the AMI, or ec2:DescribeImages, is not there for the role)`,
      );
    await place.sleep(wait);
  }
}

/**
 * Puts a parameter back to what it was, unless somebody else has changed it since.
 * @param accepted whether AWS may still be looking a value of ours up: then the old one is written over it in any case
 */
export async function putBack(
  place: Place,
  { name, before, amiId }: Promotion,
  accepted = false,
): Promise<string | undefined> {
  const stands = (await read(place, name))?.Value ?? null;
  if (stands !== amiId && !accepted) return undefined;
  if (before !== null) {
    const { value, dataType = 'text' } = await formerValue(place, name, before);
    if (stands !== amiId && stands !== value) return undefined;
    await place.ssm(
      new PutParameterCommand({ Name: name, Value: value, Type: 'String', DataType: dataType, Overwrite: true }),
    );
    return `put the SSM parameter ${name} in ${placeName(place)} back to ${value}`;
  }
  if (stands !== amiId && stands !== null) return undefined;
  try {
    await place.ssm(new DeleteParameterCommand({ Name: name }));
  } catch (error) {
    if (!hasCode(error, 'ParameterNotFound')) throw error;
  }
  return `deleted the SSM parameter ${name} in ${placeName(place)} again`;
}

/** Saved state has the version alone. */
async function formerValue(place: Place, name: string, before: FormerValue): Promise<FormerValue> {
  if (before.value !== undefined) return before;
  const { Parameter } = await place.ssm(new GetParameterCommand({ Name: `${name}:${before.version}` }));
  return Parameter === undefined ? before : formerOf(Parameter);
}
