import {
  CreateImageCommand,
  DescribeImageAttributeCommand,
  DescribeSnapshotsCommand,
  GetImageFindingsCommand,
} from '@aws-sdk/client-ec2';
import { ownImages } from '../aws/describe.ts';
import { hasCode, isTransient, placeName, StepError } from '../aws/errors.ts';
import { retried } from '../aws/retry.ts';
import { hasUefi } from '../image.ts';
import { creationOf, isFailedTry } from '../observe/instance.ts';
import type { Result } from '../outcome.ts';
import type { Create } from '../plan/operation.ts';
import { milestones } from '../report/progress.ts';
import type { Scope } from '../run.ts';
import { type Asking, dryRun, type Question } from './question.ts';

/** The AMI of an instance, and what is read only when it is there. */
export function asksToCreate(operation: Create, { request, source, standIns }: Asking): Question[] {
  const { scan } = request;
  const unlisted = 'should the scan of the AMI find more than max-severity, it is not told what';
  return [
    dryRun(new CreateImageCommand(creationOf(request, operation))),
    dryRun(new DescribeSnapshotsCommand({ OwnerIds: ['self'] })),
    ...(hasUefi(source.image)
      ? [dryRun(new DescribeImageAttributeCommand({ ImageId: standIns.image, Attribute: 'uefiData' }))]
      : []),
    ...(scan === undefined
      ? []
      : [dryRun(new GetImageFindingsCommand({ ImageId: standIns.image }), scan.fixableOnly ? undefined : unlisted)]),
  ];
}

/**
 * Makes the AMI of an instance and waits until it is available. It is kept. CreateImage has no client token, but the
 * name can be taken only once, so what an earlier try made is found by it.
 * @throws StepError
 */
export async function create(operation: Create, { run, place }: Scope): Promise<Result> {
  const { instanceId, noReboot, name } = operation;
  const where = placeName(place);
  const named = async () => (await ownImages(place, { Name: 'name', Values: [name] }))[0];
  try {
    const earlier = await named();
    const failed = earlier !== undefined && isFailedTry(earlier, instanceId);
    const id = (failed ? undefined : earlier?.ImageId) ?? (await make());
    run.log.line(where, `making ${id} (${name}) of ${instanceId}${noReboot ? ', without a reboot' : ''}`);
    const tell = milestones({ stepPercent: 10, now: place.clock.now }, (progress) =>
      run.log.line(where, `making ${id}: ${progress}`),
    );
    const image = await run.watcher(place).image(id, { onProgress: ({ percent }) => tell(percent) });
    return { id, image };
  } catch (error) {
    throw new StepError(`Making an AMI of ${instanceId} in ${where}`, error);
  }

  function make(): Promise<string> {
    const on = (error: unknown) => isTransient(error) || hasCode(error, 'InvalidAMIName.Duplicate');
    return retried({ place, on, tries: 6, wait: (count) => 1000 * count }, async (count) => {
      const made = count > 1 ? await named() : undefined;
      // One that was removed a moment ago may still be seen.
      if (made?.ImageId !== undefined && !isFailedTry(made, instanceId)) return made.ImageId;
      const { ImageId } = await place.ec2(new CreateImageCommand(creationOf(run.request, operation)));
      if (ImageId === undefined) throw new Error('AWS named no image');
      return ImageId;
    });
  }
}
