import {
  AddTagsToResourceCommand,
  DeleteParameterCommand,
  type Parameter as Found,
  GetParameterCommand,
  PutParameterCommand,
  type PutParameterRequest,
} from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { AwsCallError, errorMessage, hasCode, isTransient, placeName, StepError } from '../aws/errors.ts';
import type { FormerValue, Promotion } from '../ledger.ts';
import type { Result } from '../outcome.ts';
import { provenance } from '../plan/decided.ts';
import type { Parameter } from '../plan/operation.ts';
import { idOf, type Scope } from '../run.ts';
import { toTags } from '../tags.ts';
import { retryOnLimit } from './limits.ts';

/** What a parameter holds, and is to hold; undefined where that is the same. @throws StepError */
export async function readPromotion(
  { place: where, name, image }: Parameter,
  scope: Scope,
): Promise<Promotion | undefined> {
  const place = scope.run.accounts.target(where).until(scope.place.signal);
  try {
    const found = await readParameter(place, name);
    const before = found === undefined ? null : formerOf(found);
    const amiId = idOf(scope, image);
    return before?.value === amiId ? undefined : { place: placeName(where), name, before, amiId };
  } catch (error) {
    throw new StepError(`Reading the SSM parameter ${name} in ${placeName(where)}`, error);
  }
}

function promotionOf({ name }: Parameter, { run, place }: Scope): Promotion | undefined {
  return run.ledger.state?.promotions.find((one) => one.place === placeName(place) && one.name === name);
}

/** Sets the parameter of a target to its AMI. @throws StepError */
export async function setParameter(operation: Parameter, scope: Scope): Promise<Result> {
  const { run, place } = scope;
  const { name } = operation;
  const amiId = idOf(scope, operation.image);
  const promotion = promotionOf(operation, scope);
  if (promotion === undefined) return { id: amiId, undone: 'not needed' };
  try {
    const version = await write(scope, promotion, operation.tags);
    run.log.line(placeName(place), `the SSM parameter ${name} holds ${amiId} (version ${version})`);
  } catch (error) {
    throw new StepError(`Setting the SSM parameter ${name} to ${amiId} in ${placeName(place)}`, error);
  }
  return { id: amiId };
}

/** What a parameter held before comes back where not all could be set. AWS may still be looking a value of ours up. */
export async function putBack(operation: Parameter, scope: Scope): Promise<boolean> {
  const { run, place } = scope;
  const promotion = promotionOf(operation, scope);
  if (promotion === undefined) return false;
  try {
    const done = await putBackParameter(place, promotion, true);
    if (done !== undefined) run.log.line(placeName(place), done);
    return true;
  } catch (error) {
    const what = `${operation.name} in ${placeName(place)}: ${errorMessage(error)}`;
    run.leave(place, `an SSM parameter that was not put back: ${what}`);
    return false;
  }
}

function formerOf({ Version: version, Value: value, DataType: dataType }: Found): FormerValue {
  return { version, value, dataType };
}

/** A parameter as it stands; undefined where there is none. @throws AwsCallError */
export async function readParameter(place: Place, name: string): Promise<Found | undefined> {
  try {
    return (await place.ssm(new GetParameterCommand({ Name: name }))).Parameter;
  } catch (error) {
    if (hasCode(error, 'ParameterNotFound')) return undefined;
    throw error;
  }
}

/**
 * A parameter keeps its data type where that is `text`: AWS changes none to or from `aws:ec2:image`
 * (https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html). AWS doesn't look the AMI
 * up then, but each AMI has been verified.
 */
function dataTypeOver(before: FormerValue | null): { DataType?: string } {
  const { dataType = 'text' } = before ?? { dataType: 'aws:ec2:image' };
  return dataType === 'text' ? {} : { DataType: dataType };
}

/**
 * A parameter's tags: without those of EC2's characters that SSM doesn't take, such as a comma
 * (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_Tag.html).
 */
export function tagsFrom(record: Readonly<Record<string, string>>): { Key: string; Value: string }[] {
  const isTaken = (text: string) => /^[\p{L}\p{Z}\p{N}_.:/=+@-]*$/u.test(text);
  return toTags(record).flatMap(({ Key = '', Value = '' }) => (isTaken(Key) && isTaken(Value) ? [{ Key, Value }] : []));
}

/** Gives the version, once the value stands. */
async function write(
  { run, place }: Scope,
  { name, before, amiId }: Promotion,
  users: Parameter['tags'],
): Promise<number> {
  const ours = provenance(run.request, run.source.imageId);
  const value = { Name: name, Value: amiId, Type: 'String' as const, ...dataTypeOver(before) };
  // Tags are taken only with a parameter that is new, and only without Overwrite:
  // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
  const isNew = before === null;
  const request = isNew ? { ...value, Tags: tagsFrom({ ...users, ...ours }) } : { ...value, Overwrite: true };
  const version = await retryOnLimit(run, { place, what: `set ${name}` }, () => put(place, request));
  if (!isNew)
    await place.ssm(
      new AddTagsToResourceCommand({ ResourceType: 'Parameter', ResourceId: name, Tags: tagsFrom(ours) }),
    );
  await awaitValue(place, { name, amiId, version });
  return version;
}

/**
 * Has a parameter that is there hold another AMI from now on, and says by its tags of which source that is. @throws
 * AwsCallError; where the value doesn't stand, an error that says what it holds
 */
export async function moveParameter(
  place: Place,
  before: Found,
  { amiId, tags }: Readonly<{ amiId: string; tags: Readonly<Record<string, string>> }>,
): Promise<void> {
  const { Name: name = '' } = before;
  const value = { Name: name, Value: amiId, Type: 'String' as const, ...dataTypeOver(formerOf(before)) };
  const { Version: version = 1 } = await place.ssm(new PutParameterCommand({ ...value, Overwrite: true }));
  const Tags = tagsFrom(tags);
  await place.ssm(new AddTagsToResourceCommand({ ResourceType: 'Parameter', ResourceId: name, Tags }));
  await awaitValue(place, { name, amiId, version });
}

/** Gives the version. A new parameter that is there although the request was the first is there by a request whose answer was lost. */
async function put(place: Place, request: PutParameterRequest): Promise<number> {
  try {
    return (await place.ssm(new PutParameterCommand(request))).Version ?? 1;
  } catch (error) {
    if (!hasCode(error, 'ParameterAlreadyExists') || request.Overwrite === true) throw error;
    // What was just made may not be seen yet; the value is awaited in any case.
    const there = await readParameter(place, request.Name ?? '');
    if (there !== undefined && there.Value !== request.Value) throw error;
    return there?.Version ?? 1;
  }
}

/** AWS looks the AMI up only after its answer, and a value that it finds wrong never stands. */
const standsWithinSeconds = 120;

async function awaitValue(
  place: Place,
  { name, amiId, version }: Readonly<{ name: string; amiId: string; version: number }>,
): Promise<void> {
  const until = place.clock.now() + standsWithinSeconds * 1000;
  for (let wait = 200; ; wait = Math.min(wait * 1.6, 5000)) {
    const parameter = await readParameter(place, name);
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
export async function putBackParameter(
  place: Place,
  { name, before, amiId }: Promotion,
  accepted = false,
): Promise<string | undefined> {
  const stands = (await readParameter(place, name))?.Value ?? null;
  if (stands !== amiId && !accepted) return undefined;
  if (before !== null) {
    const { value, dataType = 'text' } = await formerValue(place, name, before);
    if (stands !== amiId && stands !== value) return undefined;
    const former = { Name: name, Value: value, Type: 'String' as const, ...dataTypeOver({ dataType }) };
    if (!(await overwrite(place, { ...former, Overwrite: true }, stands === value))) return undefined;
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

/** False where AWS refuses what `stands` anyway: then it refused ours, too, and looks nothing up. @throws AwsCallError */
async function overwrite(place: Place, request: PutParameterRequest, stands: boolean): Promise<boolean> {
  try {
    await place.ssm(new PutParameterCommand(request));
    return true;
  } catch (error) {
    if (stands && error instanceof AwsCallError && !isTransient(error)) return false;
    throw error;
  }
}

/** Saved state has the version alone. */
async function formerValue(place: Place, name: string, before: FormerValue): Promise<FormerValue> {
  if (before.value !== undefined) return before;
  const { Parameter } = await place.ssm(new GetParameterCommand({ Name: `${name}:${before.version}` }));
  return Parameter === undefined ? before : formerOf(Parameter);
}
