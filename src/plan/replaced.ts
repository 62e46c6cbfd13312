import type { Image, Snapshot, Tag } from '@aws-sdk/client-ec2';
import { longestJobMs } from '../lease.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { madeAt } from './evidence.ts';

/*
 * The snapshots of an AMI that was deregistered for a new one: so that this could have its name, as it is replaced, or as
 * retain leaves no room for it. They may be of another source AMI than the new one, and older than the run. Should the run die
 * before the new one is right, they are all that there is. So they stay until it is; and where no run makes it, until a sweep
 * finds that no job can be at work on it any more, and that nobody has made an AMI of them.
 */

/**
 * Which run deregistered the AMI, on which source AMI it was, and when, in ms since the epoch: a tag on the snapshots says
 * so. Of an AMI that gave its name before the new one was there, it says which one that was.
 */
export type ReplacedBy = Readonly<{ imageId: string; lease: string; at: number; former?: string | undefined }>;

export function replacedByTag({ imageId, lease, at, former }: ReplacedBy): Tag {
  const words = [imageId, lease, new Date(at).toISOString(), ...(former === undefined ? [] : [former])];
  return { Key: tagKeys.replacedBy, Value: words.join(' ') };
}

/** Finds what was replaced, by runs on whatever AMI. */
export const replacedFilter = { Name: 'tag-key', Values: [tagKeys.replacedBy] };

/** Those that runs on an AMI replaced. */
export function replacedOn(imageId: string, snapshots: readonly Snapshot[]): Snapshot[] {
  return snapshots.filter((one) => replacedByOf(one)?.imageId === imageId);
}

/** What the tag says, if it is as a run writes it. The time is not before AWS says that the snapshot was made. */
export function replacedByOf(resource: Image | Snapshot): ReplacedBy | undefined {
  const value = tagValue(resource, tagKeys.replacedBy) ?? '';
  const [, imageId, lease, time = '', former] = /^(ami-[0-9a-f]+) (\S+) (\S+)(?: (ami-[0-9a-f]+))?$/.exec(value) ?? [];
  const at = Date.parse(time);
  if (imageId === undefined || lease === undefined || Number.isNaN(at)) return undefined;
  return { imageId, lease, at: Math.max(at, madeAt(resource) ?? at), former };
}

/** From when on nobody can be at work on the new AMI. */
export function isOver({ at }: Pick<ReplacedBy, 'at'>, now: number): boolean {
  return now - at > longestJobMs;
}

/** Until when they stay, as it is told and done. */
export function staysUntil({ imageId, at }: Pick<ReplacedBy, 'imageId' | 'at'>): string {
  const time = new Date(at + longestJobMs).toISOString().slice(0, 16);
  return `the next run on ${imageId} deletes them when its AMI is right; where none is there, so does a sweep after ${time}Z`;
}
