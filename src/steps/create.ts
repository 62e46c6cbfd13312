import { CreateImageCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { ownImages } from '../aws/describe.ts';
import { hasCode, isTransient, placeName, StepError } from '../aws/errors.ts';
import type { Watcher } from '../aws/wait.ts';
import type { Request } from '../inputs.ts';
import { createdImageName, creationOf, isFailedTry } from '../plan/instance.ts';
import { type Log, milestones } from '../report/progress.ts';
import { removeImage } from './remove.ts';

/**
 * Makes the AMI of an instance and waits until it is available. It is kept. CreateImage has no client token, but the
 * name can be taken only once, so what an earlier try made is found by it; what one made in vain is removed first.
 * @throws StepError
 */
export async function createImage(
  place: Place,
  request: Request,
  instanceId: string,
  noReboot: boolean,
  watcher: Watcher,
  log: Log,
): Promise<string> {
  const name = createdImageName(request, instanceId);
  const named = async () => (await ownImages(place, { Name: 'name', Values: [name] }))[0];
  try {
    const earlier = await named();
    const failed = earlier !== undefined && isFailedTry(earlier, instanceId);
    if (failed) {
      await removeImage(place, earlier);
      log.line(placeName(place), `removed ${earlier.ImageId} (${name}), which an earlier try made in vain`);
    }
    const id = (failed ? undefined : earlier?.ImageId) ?? (await make());
    log.line(placeName(place), `making ${id} (${name}) of ${instanceId}${noReboot ? ', without a reboot' : ''}`);
    const tell = milestones(undefined, 10, (progress) => log.line(placeName(place), `making ${id}: ${progress}`));
    await watcher.image(id, { onProgress: ({ percent }) => tell(percent) });
    return id;
  } catch (error) {
    throw new StepError(`Making an AMI of ${instanceId} in ${placeName(place)}`, error);
  }

  async function make(): Promise<string> {
    for (let tries = 1; ; tries += 1) {
      try {
        const { ImageId } = await place.ec2(new CreateImageCommand(creationOf(request, instanceId, noReboot)));
        if (ImageId === undefined) throw new Error('AWS named no image');
        return ImageId;
      } catch (error) {
        if (!isTransient(error) && !hasCode(error, 'InvalidAMIName.Duplicate')) throw error;
        if (tries === 6) throw error;
        await place.sleep(1000 * tries);
        const made = await named();
        // One that was removed a moment ago may still be seen.
        if (made?.ImageId !== undefined && !isFailedTry(made, instanceId)) return made.ImageId;
      }
    }
  }
}
