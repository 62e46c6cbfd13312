import type { Tag } from '@aws-sdk/client-ec2';

/** The tags that every resource carries from the call that makes it; by them it is found again. */
export const tagKeys = {
  sourceAmi: 'share-encrypted-ami:source-ami',
  sourceSnapshot: 'share-encrypted-ami:source-snapshot',
  run: 'share-encrypted-ami:run',
  commit: 'share-encrypted-ami:commit',
  /** The key that a copy was asked for under: DescribeSnapshots tells it only when the copy has completed. */
  kmsKey: 'share-encrypted-ami:kms-key',
  /** The lease of the run that makes the resource, so that no other run takes it for its own or for left over. */
  lease: 'share-encrypted-ami:lease',
  /** The product line that an AMI is of, from bake to bake; `retain` counts by it. */
  lineage: 'share-encrypted-ami:lineage',
  /** On AMIs of a lineage: since when one is there for all to use. */
  published: 'share-encrypted-ami:published',
  /** On AMIs whose deregistration protection is this action's: `on`, or `on-with-cooldown`. */
  protection: 'share-encrypted-ami:protection',
  /** On AMIs of a lineage: the ID of the next one, and since when that is published. */
  superseded: 'share-encrypted-ami:superseded',
  /** On the snapshots of an AMI that is being removed for a new one: by whom (plan/replaced.ts). */
  replacedBy: 'share-encrypted-ami:replaced-by',
  /** On target AMIs: what the boot test has shown. */
  bootTest: 'share-encrypted-ami:boot-test',
  /** On a copied AMI and its snapshots: the encrypted copy, or hub, that was copied. */
  encryptedCopy: 'share-encrypted-ami:encrypted-copy',
  /** What was made in the source account on the way, and goes again when no run needs it. */
  intermediate: 'share-encrypted-ami:intermediate',
} as const;

/** Names the instance an AMI was made of, on that AMI and its snapshots; what is copied of them doesn't bear it. */
export const instanceTag = 'share-encrypted-ami:source-instance';

/** On a source AMI that was recalled: it is not shared any more. */
export const recalledTag = 'share-encrypted-ami:recalled';

/** The value of `lease` on a copy whose run had no time left: any run may take it over, and it waits a day for one. */
export const endedLease = 'ended';

export const tagPrefix = 'share-encrypted-ami:';

/** At most 50 tags a resource: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions */
export const maxTags = 50;
/** So many characters a value has at most. */
export const maxTagValue = 256;

/** The most tags that this action puts on a resource for itself; what came after it is said only where there is room. */
export const ownTagCount = Object.keys(tagKeys).length - 2;

/** `record` as EC2 wants tags; empty values of ours say nothing and are left out. */
export function toTags(record: Readonly<Record<string, string>>): Tag[] {
  return Object.entries(record)
    .filter(([key, value]) => value !== '' || !key.startsWith(tagPrefix))
    .map(([Key, Value]) => ({ Key, Value }));
}

export function tagValue(resource: { Tags?: Tag[] | undefined }, key: string): string | undefined {
  return resource.Tags?.find((tag) => tag.Key === key)?.Value;
}

/**
 * Whether a copy in a target bears the mark of a run at work. What bears none is finished, and nothing is done with it but
 * as a part of its AMI.
 */
export function isMarked(copy: { Tags?: Tag[] | undefined }): boolean {
  const marks = [tagKeys.lease, tagKeys.replacedBy].filter((key) => tagValue(copy, key) !== undefined);
  return marks.length > 0 && tagValue(copy, tagKeys.intermediate) === undefined;
}

/**
 * The tags for a copy: the user's over the source's, ours over both.
 * `aws:` tags are AWS's to give, and ours on a source that is itself such a copy tell of that copy, so neither comes
 * along. The source's that don't fit into `most` are named in `dropped`.
 */
export function mergeTags(
  source: readonly Tag[],
  { users, ours }: Readonly<{ users: Readonly<Record<string, string>>; ours: Readonly<Record<string, string>> }>,
  most = maxTags,
): { tags: Tag[]; dropped: string[] } {
  const kept = { ...users, ...Object.fromEntries(toTags(ours).map((tag) => [tag.Key, tag.Value])) };
  const inherited = source.filter(
    ({ Key }) =>
      Key !== undefined && !Key.startsWith('aws:') && !Key.startsWith(tagPrefix) && !Object.hasOwn(kept, Key),
  );
  const room = Math.max(0, most - Object.keys(kept).length);
  return {
    tags: [
      ...inherited.slice(0, room).map(({ Key, Value }) => ({ Key, Value: Value ?? '' })),
      ...toTags(kept as Record<string, string>),
    ],
    dropped: inherited.slice(room).map(({ Key }) => Key ?? ''),
  };
}

/** As many IDs as a tag's 256 characters hold, for calls that give several resources the same tags. */
export function joinIds(ids: readonly string[]): string {
  let text = '';
  for (const id of ids) if (text.length + id.length + 1 <= maxTagValue) text += (text && ' ') + id;
  return text;
}
