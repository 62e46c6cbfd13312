import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import type { Where } from '../aws/errors.ts';
import { type Difference, differences, snapshotDifferences } from '../image.ts';
import { allowancesOf } from '../plan/earlier.ts';
import type { Run } from '../run.ts';

export type Compared = Readonly<{ image: Image; snapshots: readonly Snapshot[]; key: string }>;

/** In what an AMI differs from the source, and which of its snapshots are not under the key. */
export function differencesOf(
  { request, source }: Run,
  place: Where,
  { image, snapshots, key }: Compared,
): Difference[] {
  return [
    ...differences(source.image, image, allowancesOf(request, source, place)),
    ...snapshotDifferences(key, image, snapshots),
  ];
}
