import { randomUUID } from 'node:crypto';

/** A name for a file of this step alone: several copies of the action may run in one job, at once, too. */
export function ownName(what: string): string {
  return `share-encrypted-ami-${randomUUID()}-${what}`;
}
