import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { ownImages } from '../aws/describe.ts';
import { placeName, rootCode, StepError } from '../aws/errors.ts';
import { lookedFor } from '../aws/retry.ts';
import type { Result } from '../outcome.ts';
import { mayUse } from '../plan/earlier.ts';
import { isSince, tieToLineage } from '../plan/evidence.ts';
import type { CopyImage, Expected, Register } from '../plan/operation.ts';
import type { Scope } from '../run.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { judge } from './reuse.ts';

/** How long, and how often, a name is tried: it is free only some time after its AMI was deregistered. */
export const untilNameIsFree = { forMs: 300_000, wait: (count: number) => Math.min(1000 * count, 15_000) };

/** A name that AWS says is taken shows its image some moments later. */
const namedLooksSeconds = [0, 0.3, 0.7, 1, 2, 4, 8, 15];

/** The image under a name; where AWS says that it is taken, it is looked for until it is seen. */
export function findNamed(place: Place, name: string, taken: boolean): Promise<Image | undefined> {
  return lookedFor(place, taken ? namedLooksSeconds : [0], () => imageNamed(place, name));
}

async function imageNamed(place: Place, name: string): Promise<Image | undefined> {
  return (await ownImages(place, { Name: 'name', Values: [name] }))[0];
}

/**
 * What `make` makes; or, where another run was faster, the AMI that it made of the source under the name meanwhile, where
 * `on-existing` lets it be used and it is what this run was to make.
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
    const rival = await findRival(operation, scope, error);
    if (rival === undefined) throw error;
    run.log.line(placeName(place), `another run made ${rival.id} meanwhile`);
    return rival;
  }
}

/** Why an AMI is not of the lineage that it is to be marked as published in; empty where it is, or there is none. */
function whyNotOfLineage(image: Image, { tags }: Expected, snapshots: readonly Snapshot[]): string {
  const lineage = tagValue({ Tags: [...tags] }, tagKeys.lineage);
  if (lineage === undefined) return '';
  if (tagValue(image, tagKeys.lineage) !== lineage) return `it was not made as one of the lineage ${lineage}`;
  const known = new Map(snapshots.map((one) => [one.SnapshotId ?? '', one]));
  const tied = tieToLineage(image, lineage, { snapshots: known });
  return tied.is === 'proven' ? '' : tied.why;
}

/** It holds to the same test as any AMI that is used again, and must be of the lineage. @throws StepError where `on-existing` lets none be used */
async function findRival(
  { name, expected }: Register | CopyImage,
  { run, place }: Scope,
  taken: unknown,
): Promise<Result | undefined> {
  // The tags of what was made a moment ago are seen later than the image at times.
  const named = await lookedFor(place, namedLooksSeconds, async () => {
    const image = await imageNamed(place, name);
    return image !== undefined && tagValue(image, tagKeys.sourceAmi) === run.source.imageId ? image : undefined;
  });
  // What was made since this run began is as new as what it was to make.
  const isNew = run.request.onExisting === 'replace' && isSince(named ?? {}, run.ledger.state?.since ?? 0);
  if (named === undefined) return undefined;
  const id = named.ImageId ?? '';
  if (!mayUse(run.request, named) && !isNew)
    throw new StepError(
      `${id}, an AMI of this source that another run made meanwhile, has that name`,
      taken,
      'choose another target-ami-name, or set on-existing to reuse',
    );
  const image = await run.watcher(place).image(id);
  const judged = await judge(run, place, { image, key: expected.key });
  const { snapshots } = judged;
  const why = judged.why || whyNotOfLineage(image, expected, snapshots);
  if (why === '') return { id, image, snapshots, reused: true };
  run.log.line(placeName(place), `${id} has the name ${name}, and is not used: ${why}`);
  return undefined;
}
