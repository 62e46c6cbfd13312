import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import type { Where } from '../aws/errors.ts';
import { type Difference, differences, keyDifferences } from '../image.ts';
import { allowancesOf } from '../plan/earlier.ts';
import { originDifferences } from '../plan/evidence.ts';
import type { Run } from '../run.ts';

export type Compared = Readonly<{ image: Image; snapshots: readonly Snapshot[]; key: string }>;

/** In what an AMI differs from the source: its attributes, what its snapshots are copies of, and their keys. */
export function differencesOf(
  { request, source }: Run,
  place: Where,
  { image, snapshots, key }: Compared,
): Difference[] {
  return [
    ...differences(source.image, image, allowancesOf(request, source, place)),
    ...originDifferences(source.image, image, snapshots),
    ...keyDifferences(key, image, snapshots),
  ];
}
