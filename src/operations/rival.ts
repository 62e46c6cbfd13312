import type { Image } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeSnapshots, ownImages } from '../aws/describe.ts';
import { placeName, rootCode } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import type { Result } from '../outcome.ts';
import type { CopyImage, Register } from '../plan/operation.ts';
import { lookedFor } from '../retry.ts';
import type { Scope } from '../run.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { differencesOf } from './compare.ts';

/** A name that AWS says is taken shows its image some moments later. */
const namedLooksSeconds = [0, 0.3, 0.7, 1, 2, 4, 8, 15];

/** The image under a name; where AWS says that it is taken, it is looked for until it is seen. */
export async function findNamed(place: Place, name: string, taken: boolean): Promise<Image | undefined> {
  const looks = taken ? namedLooksSeconds : [0];
  return lookedFor(place, looks, async () => (await ownImages(place, { Name: 'name', Values: [name] }))[0]);
}

/**
 * What `make` makes; or, where another run was faster, the AMI of the same source that it made under the name meanwhile, if
 * it is what this one was to make.
 */
export async function usingRival(
  operation: Register | CopyImage,
  scope: Scope,
  make: () => Promise<Result>,
): Promise<Result> {
  const { run, place } = scope;
  try {
    return await make();
  } catch (error) {
    if (place.signal.aborted || rootCode(error) !== 'InvalidAMIName.Duplicate') throw error;
    const image = await findRival(operation, scope);
    if (image === undefined) throw error;
    run.log.line(placeName(place), `another run made ${image.ImageId} meanwhile`);
    return { id: image.ImageId ?? '', image, reused: true };
  }
}

async function findRival({ name, expected }: Register | CopyImage, { run, place }: Scope): Promise<Image | undefined> {
  const named = await findNamed(place, name, true);
  if (named?.ImageId === undefined || tagValue(named, tagKeys.sourceAmi) !== run.source.imageId) return undefined;
  const image = await run.watcher(place).image(named.ImageId);
  const snapshots = await describeSnapshots(place, snapshotIdsOf(image));
  return differencesOf(run, place, { image, snapshots, key: expected.key }).length === 0 ? image : undefined;
}
