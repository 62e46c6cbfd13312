import { type Image, RegisterImageCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { hasCode, isTransient, isUnseen, placeName, StepError } from '../aws/errors.ts';
import { retried } from '../aws/retry.ts';
import { type ImageExtras, type RegistrationOptions, registrationOf, snapshotIdsOf } from '../image.ts';
import { readExtras } from '../observe/source.ts';
import type { Result } from '../outcome.ts';
import type { Operation, Register } from '../plan/operation.ts';
import { bootId } from '../plan/target-operations.ts';
import type { Run, Scope } from '../run.ts';
import { maxTags, tagKeys, tagValue } from '../tags.ts';
import { retryOnLimit } from './limits.ts';
import { patiently } from './patiently.ts';
import { type Asking, dryRun, type Job, type Question } from './question.ts';
import { deregistration, halfMade } from './remove.ts';
import { findNamed, untilNameIsFree, usingRival } from './rival.ts';

function commandOf(
  { name, description, tags }: Register,
  { source, leaseId }: Job,
  made: Pick<RegistrationOptions, 'copies' | 'extras'>,
): RegisterImageCommand {
  // Until it is verified, the AMI is the run's: should that not come to an end, it goes. An AMI whose tags are full is
  // compared by a later run, and used if it is right.
  const mark = tags.length < maxTags ? [{ Key: tagKeys.lease, Value: leaseId }] : [];
  return new RegisterImageCommand(
    registrationOf({ source: source.image, name, description, tags: [...tags, ...mark], ...made }),
  );
}

export function asksToRegister(operation: Register, asking: Asking): Question[] {
  const { source, standIns } = asking;
  const copies = new Map(snapshotIdsOf(source.image).map((id) => [id, standIns.snapshot]));
  return [
    dryRun(commandOf(operation, asking, { copies, extras: source.extras })),
    deregistration(standIns.image, halfMade),
  ];
}

/** Registers the target AMI from the copies, and gives it once it is available. @throws StepError */
export async function register(operation: Register, scope: Scope): Promise<Result> {
  const { run, place } = scope;
  const { name } = operation;
  const made = new Map([...operation.copies].map(([id, by]) => [id, scope.resultOf(by)]));
  const copies = new Map([...made].map(([id, result]) => [id, result?.id ?? '']));
  const command = commandOf(operation, run, { copies, extras: await extrasOf(operation, scope) });
  const ids = new Set(copies.values());
  // Copies that are taken over may be another run's by now, and so an AMI of them.
  const alone = [...operation.copies.values()].every((by) => !takesOver(run.operation(by)));
  const isOurs = (image: Image): boolean =>
    snapshotIdsOf(image).every((id) => ids.has(id)) && (alone || tagValue(image, tagKeys.lease) === run.leaseId);
  const gone = goneFor(operation, run);
  try {
    return await usingRival(operation, scope, async () => {
      const what = `register ${name}`;
      const id = await retryOnLimit(run, { place, what }, () => registerOnce(place, command, { name, isOurs, gone }));
      run.log.line(placeName(place), `registered ${id} (${name})`);
      const [image] = await Promise.all([run.watcher(place).image(id), confirmLaunch(operation, scope, id)]);
      return { id, image, snapshots: [...made.values()].flatMap((result) => result?.snapshots ?? []) };
    });
  } catch (error) {
    throw new StepError(`Registering ${name} in ${placeName(place)}`, error);
  }
}

/** Whether it may be launched at all is asked as soon as it can be: hours may pass until its turn. */
async function confirmLaunch(operation: Register, { run, place }: Scope, image: string): Promise<void> {
  if (run.operation(bootId(place)) !== undefined) await run.confirm(operation, { image });
}

function takesOver(operation: Operation | undefined): boolean {
  return operation?.kind === 'copy' && operation.takeOver !== undefined;
}

type Registering = Readonly<{
  name: string;
  isOurs: (image: Image) => boolean;
  /** Which images this run has deregistered for their name. */
  gone: ReadonlySet<string>;
}>;

/**
 * RegisterImage has no client token, but a name can be taken only once: an AMI of our own copies is ours. A name that
 * nobody is seen to have is free some time after its AMI was deregistered. The copies are there: what AWS doesn't see of them is
 * yet to be seen.
 */
function registerOnce(
  place: Place,
  command: RegisterImageCommand,
  { name, isOurs, gone }: Registering,
): Promise<string> {
  let isHeld = false;
  const on = (error: unknown) => isTransient(error) || isUnseen(error) || isHeld;
  return retried({ place, on, ...untilNameIsFree }, async () => {
    isHeld = false;
    try {
      // Policies go by the copies' tags.
      const { ImageId } = await patiently(place, () => place.ec2(command));
      if (ImageId === undefined) throw new Error('AWS named no image');
      return ImageId;
    } catch (error) {
      const taken = hasCode(error, 'InvalidAMIName.Duplicate');
      const named = taken || isTransient(error) ? await findNamed(place, name, taken) : undefined;
      isHeld = taken && (named === undefined || gone.has(named.ImageId ?? ''));
      if (named?.ImageId === undefined || !isOurs(named)) throw error;
      return named.ImageId;
    }
  });
}

/** The images that go so that this one may have their name. */
function goneFor({ after }: Register, run: Run): ReadonlySet<string> {
  const before = after.flatMap((id) => run.operation(id) ?? []);
  return new Set(before.flatMap((one) => (one.kind === 'deregister' ? (one.image.ImageId ?? []) : [])));
}

/** What its owner alone may read of an AMI that is only shared, the encrypted copy tells. */
async function extrasOf({ extrasOf: by }: Register, { run, place, resultOf }: Scope): Promise<ImageExtras> {
  const operation = by === undefined ? undefined : run.operation(by);
  const image = by === undefined ? undefined : resultOf(by)?.image;
  if (operation === undefined || image === undefined) return run.source.extras;
  return readExtras(run.accounts.source(operation.place.region).until(place.signal), image);
}
