import { DeleteTagsCommand, type Image, RegisterImageCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { ownImages } from '../aws/describe.ts';
import { errorMessage, hasCode, isDenied, isTransient, placeName, StepError } from '../aws/errors.ts';
import type { Watcher } from '../aws/wait.ts';
import { differences, type ImageExtras, registrationOf, snapshotIdsOf } from '../image.ts';
import { allowancesOf } from '../plan/earlier.ts';
import type { Plan, TargetPlan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { tagKeys, tagValue } from '../tags.ts';
import type { CopiedSnapshots } from './copy.ts';

/** Registers the target AMI from the copies, and gives it once it is available. @throws StepError */
export async function register(
  run: Run,
  plan: Plan,
  { target, description, tags }: TargetPlan,
  extras: ImageExtras,
  copied: CopiedSnapshots,
  watcher: Watcher,
): Promise<Image> {
  const { place, name } = target;
  const { image: source } = plan.source;
  const copies = new Map([...copied].map(([id, { SnapshotId }]) => [id, SnapshotId ?? '']));
  const command = new RegisterImageCommand(registrationOf({ source, extras, name, description, copies, tags }));
  try {
    const id = await registerOnce();
    run.log.line(placeName(place), `registered ${id} (${name})`);
    return await watcher.image(id);
  } catch (error) {
    throw new StepError(`Registering ${name} in ${placeName(place)}`, error);
  }

  /** RegisterImage has no client token, but a name can be taken only once: an AMI of our own copies is ours. */
  async function registerOnce(): Promise<string> {
    for (let tries = 1; ; tries += 1) {
      try {
        const { ImageId } = await place.ec2(command);
        if (ImageId === undefined) throw new Error('AWS named no image');
        return ImageId;
      } catch (error) {
        const taken = hasCode(error, 'InvalidAMIName.Duplicate');
        const ids = new Set(copies.values());
        const named = taken || isTransient(error) ? await findNamed(place, name, taken) : undefined;
        if (named?.ImageId !== undefined && snapshotIdsOf(named).every((id) => ids.has(id))) return named.ImageId;
        if (!isTransient(error) || tries > 5) throw error;
        await place.sleep(1000 * tries);
      }
    }
  }
}

/** A name that AWS says is taken shows its image some moments later. */
const namedLooksSeconds = [0.3, 0.7, 1, 2, 4, 8, 15];

async function findNamed(place: Place, name: string, taken: boolean): Promise<Image | undefined> {
  for (const seconds of namedLooksSeconds) {
    const [image] = await ownImages(place, { Name: 'name', Values: [name] });
    if (image !== undefined || !taken) return image;
    await place.sleep(seconds * 1000);
  }
  return undefined;
}

/** The AMI of the same source that another run registered under the name meanwhile, if there is one and it is right. */
export async function findRival(
  run: Run,
  plan: Plan,
  { target }: TargetPlan,
  watcher: Watcher,
): Promise<Image | undefined> {
  const named = await findNamed(target.place, target.name, true);
  if (named?.ImageId === undefined || tagValue(named, tagKeys.sourceAmi) !== plan.source.image.ImageId)
    return undefined;
  const image = await watcher.image(named.ImageId);
  const allowed = allowancesOf(run.request, plan.source, target.place);
  return differences(plan.source.image, image, allowed).length === 0 ? image : undefined;
}

/** Takes the lease off the copies: from now on they are parts of a finished AMI. */
export async function finish(run: Run, { target }: TargetPlan, snapshotIds: readonly string[]): Promise<void> {
  if (snapshotIds.length === 0) return;
  try {
    await target.place.ec2(new DeleteTagsCommand({ Resources: [...snapshotIds], Tags: [{ Key: tagKeys.lease }] }));
  } catch (error) {
    // The AMI is there and right all the same.
    const what = `the tag ${tagKeys.lease} stays on ${snapshotIds.join(', ')}: ${errorMessage(error)}`;
    if (isDenied(error)) run.log.warn(what);
    else run.leftBehind.push(what);
  }
}
