import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { encryptedCopyName } from '../encrypted-copy.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { originOf } from './evidence.ts';
import type { Hub, Intermediates, Source } from './facts.ts';

/** Whether an encrypted copy can be copied from, or will be. */
export function isUsableCopy({ State }: Image): boolean {
  return State === 'available' || State === 'pending' || State === 'transient';
}

/** The encrypted copy of the AMI under a key that is there, or is being made. */
export function keptCopy(there: Intermediates | undefined, { imageId }: Source, { kmsKeyArn }: Hub): Image | undefined {
  const name = encryptedCopyName(imageId, kmsKeyArn);
  return there?.images.find((image) => image.Name?.startsWith(name) && isUsableCopy(image));
}

/** The encrypted copies of single snapshots under a key that are there, or are being made, by the source's. */
export function keptSnapshots(
  there: Intermediates | undefined,
  { snapshots }: Source,
  kmsKeyArn: string,
): Map<string, string> {
  return new Map(
    snapshots.flatMap(({ id }) => {
      const copy = oldestCopy(there?.snapshots ?? [], id, kmsKeyArn);
      return copy === undefined ? [] : [[id, copy] as const];
    }),
  );
}

/** What a copy that can be used is under; AWS tells it only when the copy has completed, and until then a tag does. */
function keyOf(copy: Snapshot): string | undefined {
  if (copy.State === 'pending') return tagValue(copy, tagKeys.kmsKey);
  return copy.State === 'completed' ? copy.KmsKeyId : undefined;
}

/** Snapshots have no name to lock: of several copies of one that runs began at once, all take the oldest. */
export function oldestCopy(snapshots: readonly Snapshot[], id: string, kmsKeyArn: string): string | undefined {
  return snapshots
    .filter(
      (copy) =>
        keyOf(copy) === kmsKeyArn &&
        tagValue(copy, tagKeys.intermediate) !== undefined &&
        originOf(copy)?.snapshot === id &&
        tagValue(copy, tagKeys.sourceSnapshot) === id,
    )
    .sort(
      (a, b) =>
        (a.StartTime?.getTime() ?? 0) - (b.StartTime?.getTime() ?? 0) ||
        (a.SnapshotId ?? '').localeCompare(b.SnapshotId ?? ''),
    )[0]?.SnapshotId;
}
