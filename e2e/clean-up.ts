import {
  DeleteSnapshotCommand,
  DeleteVolumeCommand,
  DeregisterImageCommand,
  DescribeVolumesCommand,
  DisableImageDeregistrationProtectionCommand,
  type Filter,
} from '@aws-sdk/client-ec2';
import { DeleteParameterCommand } from '@aws-sdk/client-ssm';
import type { Place } from '../src/aws/clients.ts';
import { ownImages, ownSnapshots } from '../src/aws/describe.ts';
import { errorMessage, hasCode, placeName } from '../src/aws/errors.ts';
import { tagKeys } from '../src/tags.ts';
import type { Sandbox } from './sandbox.ts';
import { inputsOf, scenarios } from './scenarios.ts';
import { ownTag } from './source-ami.ts';

const passes = 6;

/**
 * Removes all that the run made in both accounts, by its tags; a snapshot can't go for some seconds after its AMI went, and
 * what is being copied may come to light late.
 * @throws Error that names what is left
 */
export async function cleanUp(sandbox: Sandbox, say: (line: string) => void): Promise<void> {
  for (let pass = 1; ; pass += 1) {
    const found = (await Promise.all(sandbox.places.map((place) => removeFrom(place, sandbox)))).flat();
    for (const what of found) say(`pass ${pass}: ${what}`);
    // The last pass sees whether the ones before it did it.
    if (found.length === 0) return;
    if (pass === passes) throw new Error(`left behind in the sandbox: ${found.join('; ')}`);
    await sandbox.source.sleep(sandbox.lagSeconds * 1000 * pass);
  }
}

/** Gives what was found in one account and region, and what stands against its removal. */
async function removeFrom(place: Place, { runId, runUrl }: Sandbox): Promise<string[]> {
  const removed: string[] = [];
  const remove = async (what: string, call: () => Promise<unknown>) => {
    const name = `${what} in ${placeName(place)}`;
    try {
      await call();
      removed.push(name);
    } catch (error) {
      removed.push(`${name} (${errorMessage(error)})`);
    }
  };
  const marks: Filter[] = [tagKeys.run, ownTag].map((tag) => ({ Name: `tag:${tag}`, Values: [runUrl] }));
  for (const mark of marks) {
    for (const { ImageId = '', DeregistrationProtection: protection = 'disabled' } of await ownImages(place, mark)) {
      if (protection !== 'disabled')
        await remove(`protection of ${ImageId}`, () =>
          place.ec2(new DisableImageDeregistrationProtectionCommand({ ImageId })),
        );
      await remove(ImageId, () => place.ec2(new DeregisterImageCommand({ ImageId })));
    }
    for (const { SnapshotId = '' } of await ownSnapshots(place, mark))
      await remove(SnapshotId, () => place.ec2(new DeleteSnapshotCommand({ SnapshotId })));
    const { Volumes = [] } = await place.ec2(new DescribeVolumesCommand({ Filters: [mark] }));
    for (const { VolumeId = '' } of Volumes)
      await remove(VolumeId, () => place.ec2(new DeleteVolumeCommand({ VolumeId })));
  }
  for (const Name of parametersOf(runId)) {
    const gone = await place.ssm(new DeleteParameterCommand({ Name })).then(
      () => `${Name} in ${placeName(place)}`,
      (error) => (hasCode(error, 'ParameterNotFound') ? undefined : `${Name}: ${errorMessage(error)}`),
    );
    if (gone !== undefined) removed.push(gone);
  }
  return removed;
}

function parametersOf(runId: string): string[] {
  const runs = scenarios.flatMap((scenario) => scenario.runs);
  return runs.flatMap((run) => inputsOf(run, runId)['ssm-parameter'] ?? []);
}
