import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { placeName, type Where } from '../aws/errors.ts';
import { isNamedEncryptedCopy } from '../encrypted-copy.ts';
import { type Difference, snapshotIdsOf } from '../image.ts';
import { endedLease, tagKeys, tagValue } from '../tags.ts';

/*
 * Ours or not ours. Tags say what this action made, and whoever may tag can write them, or copy them along. So nothing is
 * removed, taken over, used again or counted as ours unless what AWS keeps of a resource, and no tagger can write, agrees
 * with what its tags claim:
 *
 *   a target's copy, and the encrypted copy of one snapshot   the description, which no call changes; AWS's `vol-ffffffff`
 *   the lineage of a registered AMI                           the descriptions of its copies; of a copied one, its tag
 *   CopyImage's snapshots                                     AWS's own description: of which AMI, and of which snapshot
 *   a registered AMI                                          every snapshot of it is such a copy
 *   a copied AMI                                              SourceImageId; through an encrypted copy, AWS's ancestry too
 *   the encrypted copy of the AMI                             its fixed name, and SourceImageId
 *   the AMI of an instance                                    SourceInstanceId
 *   whatever bears a lease                                    it isn't older than the lease; no AMI bears `ended`, or is disabled
 *
 * It can't tell this action from a principal that may itself copy snapshots with any description, or that registers an AMI
 * from our snapshots with our tags.
 */

/** The description of a target's copy of a snapshot, which says the lineage, too: of that, a tag would be no evidence. */
export function copyDescription(
  snapshotId: string,
  imageId: string,
  { lineage, ...source }: Where & Readonly<{ lineage?: string | undefined }>,
): string {
  const of = lineage === undefined ? '' : `, lineage ${lineage}`;
  return `Copied from ${snapshotId} of ${imageId} (${placeName(source)})${of}`;
}

/** The description of the encrypted copy of a single snapshot. */
export function encryptedDescription(snapshotId: string, imageId: string): string {
  return `Temporary encrypted copy of ${snapshotId} of ${imageId}`;
}

const ids = '(?<snapshot>snap-[0-9a-f]+) of (?<image>ami-[0-9a-f]+)';
const descriptions = {
  copy: new RegExp(`^Copied from ${ids} \\(\\d{12}/[a-z0-9-]+\\)(?:, lineage (?<lineage>.+))?$`, 'u'),
  encrypted: new RegExp(`^Temporary encrypted copy of ${ids}$`),
  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html; what follows is a task's number.
  image:
    /^Copied for DestinationAmi(?: ami-[0-9a-f]+)? from SourceAmi (?<image>ami-[0-9a-f]+) for SourceSnapshot (?<snapshot>snap-[0-9a-f]+)\b/,
} as const;

/** What a snapshot was copied from, and how; the image is the one that it was of, and the lineage that of the copy. */
export type Origin = Readonly<{
  by: keyof typeof descriptions;
  snapshot: string;
  image: string;
  lineage?: string | undefined;
}>;

/** A snapshot by CopySnapshot or CopyImage is of no volume: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html */
const noVolume = 'vol-ffffffff';

/** What AWS keeps of where a snapshot comes from; undefined where this action didn't make it. */
export function originOf({ Description = '', VolumeId = noVolume }: Snapshot): Origin | undefined {
  if (VolumeId !== noVolume) return undefined;
  for (const by of ['copy', 'encrypted', 'image'] as const) {
    const { snapshot, image, lineage } = descriptions[by].exec(Description)?.groups ?? {};
    if (snapshot !== undefined && image !== undefined)
      return { by, snapshot, image, ...(lineage !== undefined && { lineage }) };
  }
  return undefined;
}

/** What else is known when an AMI or a snapshot is judged. */
export type Known = Readonly<{
  /** The snapshots of AMIs, by their IDs. */
  snapshots: ReadonlyMap<string, Snapshot>;
  /** What AMIs come from, as AWS says: of encrypted copies that are there, and by the ancestry of AMIs; by their IDs. */
  parents: ReadonlyMap<string, string>;
}>;

/**
 * Whether a resource is what its tags claim. `claimed`: nothing speaks against it, and nothing but a tag for it; it may be
 * used after a full comparison, and not removed. `unknown`: AWS doesn't tell yet.
 */
export type Tie = Readonly<{ is: 'proven' } | { is: 'claimed' | 'foreign' | 'unknown'; why: string }>;

const proven: Tie = { is: 'proven' };
const foreign = (why: string): Tie => ({ is: 'foreign', why });

/** Whether an AMI in a target was made by this action of the source AMI that its tags name. */
export function tieOfImage(image: Image, known: Known): Tie {
  const claimed = tagValue(image, tagKeys.sourceAmi);
  if (claimed === undefined) return foreign(`it bears no tag ${tagKeys.sourceAmi}`);
  if (claimed === image.ImageId) return foreign('it is the source AMI itself');
  if (image.SourceInstanceId) return foreign(`it was made of the instance ${image.SourceInstanceId}`);
  return image.SourceImageId ? tieOfCopy(image, claimed, known) : tieOfRegistered(image, claimed, known);
}

/** Whether an AMI bears the tag of the encrypted copy that AWS says it was copied from, by which it is still to be proven. */
export function isOfEncryptedCopy(image: Image): boolean {
  return Boolean(image.SourceImageId) && tagValue(image, tagKeys.encryptedCopy) === image.SourceImageId;
}

function tieOfCopy(image: Image, claimed: string, { parents }: Known): Tie {
  const { SourceImageId = '' } = image;
  if (SourceImageId === claimed) return proven;
  if (!isOfEncryptedCopy(image)) return foreign(`it was copied from ${SourceImageId}, not from ${claimed}`);
  if (parents.get(SourceImageId) === claimed) return proven;
  const why = `it was copied from ${SourceImageId}, and only a tag says that this was an encrypted copy of ${claimed}`;
  return { is: 'claimed', why };
}

function tieOfRegistered(image: Image, claimed: string, { snapshots }: Known): Tie {
  const parts = snapshotIdsOf(image);
  // https://github.com/bottlerocket-os/bottlerocket/issues/1066
  if (parts.length === 0 && image.State === 'pending') return { is: 'unknown', why: 'it names no snapshots yet' };
  const strange = parts.find((id) => {
    const snapshot = snapshots.get(id);
    const origin = snapshot && originOf(snapshot);
    return origin?.by !== 'copy' || origin.image !== claimed;
  });
  if (strange !== undefined) return foreign(`its snapshot ${strange} was not copied from ${claimed} by this action`);
  return parts.length > 0 ? proven : foreign('it has no snapshots');
}

/**
 * Whether an AMI that this action made, and that bears the tag of a lineage, was made as one of it: its copies say so. Of one
 * by CopyImage, whose copies are described by AWS, only its tag does.
 */
export function tieToLineage(image: Image, lineage: string, { snapshots }: Pick<Known, 'snapshots'>): Tie {
  if (image.SourceImageId) return proven;
  const isOther = (id: string) => originOf(snapshots.get(id) ?? {})?.lineage !== lineage;
  const why = `only a tag says that it is of the lineage ${lineage}`;
  return snapshotIdsOf(image).some(isOther) ? { is: 'claimed', why } : proven;
}

/** Whether a snapshot in a target is a copy by this action of the source snapshot that its tags name. */
export function tieOfSnapshot(snapshot: Snapshot, { parents }: Pick<Known, 'parents'>): Tie {
  const claimed = tagValue(snapshot, tagKeys.sourceAmi) ?? '';
  const origin = originOf(snapshot);
  if (origin === undefined) return foreign('its description is not that of a copy by this action');
  const { by, image } = origin;
  if (by === 'encrypted') return foreign('it is a copy in the source account');
  if (by === 'copy' && tagValue(snapshot, tagKeys.sourceSnapshot) !== origin.snapshot)
    return foreign(`it is a copy of ${origin.snapshot}, which is not what its tags say`);
  if (image === claimed || (by === 'image' && parents.get(image) === claimed)) return proven;
  if (by === 'image' && tagValue(snapshot, tagKeys.encryptedCopy) === image)
    return { is: 'claimed', why: `it was copied with ${image}, and only a tag says that this was an encrypted copy` };
  return foreign(`it was copied from a snapshot of ${image}`);
}

/** Whether a copy may have become part of an image as this action makes it: by CopyImage, both are of the same AMI. */
export function mayBePartOf(snapshot: Snapshot, { SourceImageId }: Image): boolean {
  const origin = originOf(snapshot);
  return origin?.by === 'copy' || (origin?.by === 'image' && origin.image === SourceImageId);
}

/** Whether an AMI in the source account is the encrypted copy of an AMI that a run makes on the way. */
export function tieOfEncryptedCopy(image: Image, imageId: string): Tie {
  if (image.ImageId === imageId) return foreign('it is the source AMI itself');
  if (!isNamedEncryptedCopy(image, imageId)) return foreign('it does not have the name of an encrypted copy');
  if (image.SourceInstanceId) return foreign(`it was made of the instance ${image.SourceInstanceId}`);
  if (image.SourceImageId === imageId) return proven;
  return foreign(`AWS says that it comes from ${image.SourceImageId || 'no other AMI'}, not from ${imageId}`);
}

/** Whether a snapshot in the source account is an encrypted copy of one of an AMI's, or of such a copy of the AMI. */
export function tieOfEncryptedSnapshot(snapshot: Snapshot, imageId: string): Tie {
  const origin = originOf(snapshot);
  if (origin === undefined || origin.by === 'copy')
    return foreign('its description is not that of an encrypted copy by this action');
  return origin.image === imageId ? proven : foreign(`it was copied from a snapshot of ${origin.image}`);
}

/** The answers' dates are of whole seconds, and AWS has more than one clock. */
const toleranceMs = 60_000;

/** When AWS says that a resource was made, in ms since the epoch; undefined where it doesn't. */
export function madeAt(resource: Image | Snapshot): number | undefined {
  const time = 'ImageId' in resource ? resource.CreationDate : (resource as Snapshot).StartTime;
  return time === undefined ? undefined : new Date(time).getTime();
}

/** Whether a resource may be of a run that began then: what was there before isn't. */
export function isSince(resource: Image | Snapshot, since: number): boolean {
  return (madeAt(resource) ?? since) >= since - toleranceMs;
}

/** Whether a resource may be of the run whose lease it bears, which began then, and unfinished. */
export function tieToLease(resource: Image | Snapshot, since = 0): Tie {
  // No run disables one: whoever did took it for finished, as a recall does, which can be undone.
  if ('ImageId' in resource && resource.State === 'disabled') return foreign('somebody has disabled it');
  // A run removes an AMI that it has no time to verify; only copies of snapshots outlast it.
  if ('ImageId' in resource && tagValue(resource, tagKeys.lease) === endedLease)
    return foreign('no run marks an AMI as one that goes on being copied');
  return isSince(resource, since) ? proven : foreign('it is older than the run whose lease it bears');
}

/** Where devices of a registered AMI hold copies of other snapshots than the source's devices of the same names. */
export function originDifferences(source: Image, image: Image, snapshots: Iterable<Snapshot>): Difference[] {
  if (image.SourceImageId) return [];
  const origins = new Map([...snapshots].map((one) => [one.SnapshotId, originOf(one)]));
  const there = new Map((source.BlockDeviceMappings ?? []).map(({ DeviceName, Ebs }) => [DeviceName, Ebs?.SnapshotId]));
  return (image.BlockDeviceMappings ?? []).flatMap(({ DeviceName, Ebs }) => {
    const wanted = there.get(DeviceName);
    if (Ebs?.SnapshotId === undefined || wanted === undefined) return [];
    const origin = origins.get(Ebs.SnapshotId);
    const actual = origin?.by === 'copy' && origin.image === source.ImageId ? origin.snapshot : undefined;
    if (actual === wanted) return [];
    const target = `${Ebs.SnapshotId}, ${actual === undefined ? 'which is no copy of it' : `a copy of ${actual}`}`;
    return [{ field: `BlockDeviceMappings[${DeviceName}].Ebs.SnapshotId`, source: wanted, target }];
  });
}
