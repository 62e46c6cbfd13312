import { type Image, RegisterImageCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { hasCode, isTransient, placeName, StepError } from '../aws/errors.ts';
import { type ImageExtras, registrationOf, snapshotIdsOf } from '../image.ts';
import { readExtras } from '../observe/source.ts';
import type { Result } from '../outcome.ts';
import type { Operation, Register } from '../plan/operation.ts';
import { retried } from '../retry.ts';
import type { Scope } from '../run.ts';
import { maxTags, tagKeys, tagValue } from '../tags.ts';
import { findNamed, usingRival } from './rival.ts';

/** Registers the target AMI from the copies, and gives it once it is available. @throws StepError */
export async function register(operation: Register, scope: Scope): Promise<Result> {
  const { run, place } = scope;
  const { name, description, tags } = operation;
  // Until it is verified, the AMI is the run's: should that not come to an end, it goes. An AMI whose tags are full is
  // compared by a later run, and used if it is right.
  const mark = tags.length < maxTags ? [{ Key: tagKeys.lease, Value: run.leaseId }] : [];
  const made = new Map([...operation.copies].map(([id, by]) => [id, scope.resultOf(by)]));
  const copies = new Map([...made].map(([id, result]) => [id, result?.id ?? '']));
  const extras = await extrasOf(operation, scope);
  const registration = { source: run.source.image, extras, name, description, copies, tags: [...tags, ...mark] };
  const command = new RegisterImageCommand(registrationOf(registration));
  const ids = new Set(copies.values());
  // Copies that are taken over may be another run's by now, and so an AMI of them.
  const alone = [...operation.copies.values()].every((by) => !takesOver(run.operation(by)));
  const isOurs = (image: Image): boolean =>
    snapshotIdsOf(image).every((id) => ids.has(id)) && (alone || tagValue(image, tagKeys.lease) === run.leaseId);
  try {
    return await usingRival(operation, scope, async () => {
      const id = await registerOnce(place, command, { name, isOurs });
      run.log.line(placeName(place), `registered ${id} (${name})`);
      const image = await run.watcher(place).image(id);
      return { id, image, snapshots: [...made.values()].flatMap((result) => result?.snapshots ?? []) };
    });
  } catch (error) {
    throw new StepError(`Registering ${name} in ${placeName(place)}`, error);
  }
}

function takesOver(operation: Operation | undefined): boolean {
  return operation?.kind === 'copy' && operation.takeOver !== undefined;
}

/** RegisterImage has no client token, but a name can be taken only once: an AMI of our own copies is ours. */
function registerOnce(
  place: Place,
  command: RegisterImageCommand,
  { name, isOurs }: Readonly<{ name: string; isOurs: (image: Image) => boolean }>,
): Promise<string> {
  const on = (error: unknown) => isTransient(error);
  return retried({ place, on, tries: 6, wait: (count) => 1000 * count }, async () => {
    try {
      const { ImageId } = await place.ec2(command);
      if (ImageId === undefined) throw new Error('AWS named no image');
      return ImageId;
    } catch (error) {
      const taken = hasCode(error, 'InvalidAMIName.Duplicate');
      const named = taken || isTransient(error) ? await findNamed(place, name, taken) : undefined;
      if (named?.ImageId === undefined || !isOurs(named)) throw error;
      return named.ImageId;
    }
  });
}

/** What its owner alone may read of an AMI that is only shared, the encrypted copy tells. */
async function extrasOf({ extrasOf: by }: Register, { run, place, resultOf }: Scope): Promise<ImageExtras> {
  const operation = by === undefined ? undefined : run.operation(by);
  const image = by === undefined ? undefined : resultOf(by)?.image;
  if (operation === undefined || image === undefined) return run.source.extras;
  return readExtras(run.accounts.source(operation.place.region).until(place.signal), image);
}
