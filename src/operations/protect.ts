import {
  CreateTagsCommand,
  DisableImageDeregistrationProtectionCommand,
  EnableImageDeregistrationProtectionCommand,
  type Image,
} from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages } from '../aws/describe.ts';
import { errorMessage, placeName } from '../aws/errors.ts';
import { lookedFor } from '../aws/retry.ts';
import type { Result } from '../outcome.ts';
import type { Protect } from '../plan/operation.ts';
import type { Scope } from '../run.ts';
import { tagKeys } from '../tags.ts';
import { removing } from './limits.ts';
import { patiently } from './patiently.ts';
import { dryRun, type Question } from './question.ts';

/** Says that a protection is this action's, which lifts no other: `on` or `on-with-cooldown`. */
export function protectionMark(ImageId: string, protection: 'on' | 'on-with-cooldown'): CreateTagsCommand {
  return new CreateTagsCommand({ Resources: [ImageId], Tags: [{ Key: tagKeys.protection, Value: protection }] });
}

function enabling({ image: { ImageId }, cooldown }: Protect): EnableImageDeregistrationProtectionCommand {
  return new EnableImageDeregistrationProtectionCommand({ ImageId, WithCooldown: cooldown });
}

export function asksToProtect(operation: Protect): Question[] {
  return [dryRun(enabling(operation))];
}

/** Protects an AMI again whose protection was lifted for retain, and which has come into use since. Where AWS refuses, that is told. */
export async function protect(operation: Protect, { run, place }: Scope): Promise<Result> {
  const id = operation.image.ImageId ?? '';
  try {
    await patiently(place, () => place.ec2(enabling(operation)));
  } catch (error) {
    place.signal.throwIfAborted();
    const why = `${id} has come into use, and could not be protected from deregistration again: ${errorMessage(error)}`;
    run.log.warn(`${placeName(place)}: ${why}`);
    return { undone: 'not possible' };
  }
  run.log.line(placeName(place), `${id} is protected from deregistration again: it has come into use`);
  return { id };
}

export function lifting(ImageId: string): DisableImageDeregistrationProtectionCommand {
  return new DisableImageDeregistrationProtectionCommand({ ImageId });
}

/** That a protection is lifted is read late at times; with a cooldown, it reads as `disabled-with-cooldown`. */
const liftedLooksSeconds = [0, 1, 2, 4, 8];

/**
 * Lifts this action's own protection from an AMI. Gives whether AWS lets it go now: a cooldown takes a day from then on.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deregistration-protection.html
 */
export async function liftProtection(place: Place, { ImageId = '' }: Image): Promise<boolean> {
  await removing(place, () => place.ec2(lifting(ImageId)));
  const lifted = await lookedFor(place, liftedLooksSeconds, async () => {
    const [image] = await describeImages(place, [ImageId]);
    const state = image?.DeregistrationProtection ?? 'disabled';
    return state.startsWith('disabled') ? state : undefined;
  });
  return lifted === 'disabled';
}
