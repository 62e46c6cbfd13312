import { CreateTagsCommand, DeleteTagsCommand, type Image, RegisterImageCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { errorMessage, placeName } from '../aws/errors.ts';
import { registrationOf, snapshotIdsOf } from '../image.ts';
import type { TargetPlan } from '../plan/plan.ts';
import { readExtras } from '../plan/source.ts';
import type { Run } from '../run.ts';
import { tagKeys } from '../tags.ts';
import { carryOver } from './carry-over.ts';
import { deregister } from './remove.ts';

/** How long giving the old AMI back may take, where the run was told to stop too. */
const restoreMs = 60_000;

/**
 * Makes the AMI that takes over the name of the one that it replaces. AWS gives a name once in an account and region, so
 * the old AMI goes first, but only when nothing is left to do but to register the new one; its snapshots stay until the new
 * one is right. Should it not come to be, the old one is registered again, under an ID of its own.
 */
export async function superseding<T>(run: Run, { target, supersedes }: TargetPlan, make: () => Promise<T>): Promise<T> {
  if (supersedes === undefined) return make();
  const { place } = target;
  const extras = await readExtras(place, supersedes);
  // Should the run be killed from here on, a later one knows by this that no AMI will need them.
  const mark = { Key: tagKeys.superseded, Value: run.leaseId };
  const Resources = snapshotIdsOf(supersedes);
  await place.ec2(new CreateTagsCommand({ Resources, Tags: [mark] }));
  run.log.line(
    placeName(place),
    `deregistering ${supersedes.ImageId}, whose name ${supersedes.Name} the new AMI takes over`,
  );
  try {
    await deregister(place, supersedes);
    return await make();
  } catch (error) {
    const afterwards = place.until(place.clock.after(restoreMs));
    const what = `${supersedes.ImageId} (${supersedes.Name}) in ${placeName(place)} had to give its name up`;
    try {
      const id = await registerAgain(afterwards, supersedes, extras);
      await afterwards.ec2(new DeleteTagsCommand({ Resources, Tags: [{ Key: tagKeys.superseded }] }));
      run.log.warn(`${what}, and is registered again as ${id}, without its launch permissions and its deprecation`);
    } catch (failure) {
      run.leftBehind.push(
        `${what}, and could not be registered again; ${Resources.join(', ')} stay: ${errorMessage(failure)}`,
      );
    }
    throw error;
  }
}

async function registerAgain(
  place: Place,
  image: Image,
  extras: Awaited<ReturnType<typeof readExtras>>,
): Promise<string | undefined> {
  const registration = registrationOf({
    source: image,
    extras,
    name: image.Name ?? '',
    description: image.Description,
    copies: new Map(snapshotIdsOf(image).map((id) => [id, id])),
    tags: (image.Tags ?? []).filter(({ Key }) => !Key?.startsWith('aws:')),
  });
  const { ImageId } = await place.ec2(new RegisterImageCommand(registration));
  await carryOver(place, image, { ImageId, ImdsSupport: image.ImdsSupport });
  return ImageId;
}
