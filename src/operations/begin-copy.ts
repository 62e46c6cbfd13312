import type { CopySnapshotCommand, Filter } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { ownSnapshots } from '../aws/describe.ts';
import { hasCode, isServerError, isTransient, placeName } from '../aws/errors.ts';
import { lookedFor, retried } from '../retry.ts';
import type { Run } from '../run.ts';
import { tagKeys } from '../tags.ts';

/** Others' copies take the quota of this account and region; they end some time. */
export function retryOnQuota<T>(
  { log }: Run,
  { place, what }: Readonly<{ place: Place; what: string }>,
  begin: () => Promise<T>,
): Promise<T> {
  return retried(
    {
      place,
      on: (error) => hasCode(error, 'ResourceLimitExceeded'),
      wait: (count) => Math.min(5000 * 1.5 ** (count - 1), 60_000) * (0.75 + Math.random() / 2),
      tell: () => log.line(placeName(place), `waiting for room in the quota to copy ${what}`),
    },
    begin,
  );
}

/** By what a copy is found again: a tag that this run alone gives, and the snapshot that it is of. */
type Mark = Readonly<{ mark: Filter; sourceId: string }>;

/** Looks for about half a minute: new resources are seen late at times. After an error of AWS's own, a shorter look does. */
const lostLooksSeconds = [0.5, 1, 2, 4, 8, 15];
const failedLooks = 4;

/** CopySnapshot, which has no client token: after a lost answer, only a look tells whether there is a copy. */
export async function beginCopy(place: Place, command: CopySnapshotCommand, { mark, sourceId }: Mark): Promise<string> {
  const ofSource = { Name: `tag:${tagKeys.sourceSnapshot}`, Values: [sourceId] };
  for (;;) {
    try {
      const { SnapshotId } = await place.ec2(command);
      if (SnapshotId === undefined) throw new Error('AWS named no snapshot');
      return SnapshotId;
    } catch (error) {
      if (!isTransient(error)) throw error;
      const looks = isServerError(error) ? lostLooksSeconds.slice(0, failedLooks) : lostLooksSeconds;
      const found = await lookedFor(
        place,
        looks,
        async () => (await ownSnapshots(place, mark, ofSource))[0]?.SnapshotId,
      );
      if (found !== undefined) return found;
    }
  }
}
