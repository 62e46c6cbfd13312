import { CopyImageCommand, CopySnapshotCommand, type Filter, type Tag } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { ownSnapshots } from '../aws/describe.ts';
import { isServerError, isTransient } from '../aws/errors.ts';
import { lookedFor, retried } from '../aws/retry.ts';
import { tagKeys } from '../tags.ts';
import type { Job } from './question.ts';

type CopyRequest = Readonly<{
  id: string;
  region: string;
  key: string;
  name?: string;
  description: string | undefined;
  tags: readonly Tag[];
  snapshotTags?: readonly Tag[];
  token?: string | undefined;
}>;

/** Copies a snapshot under a key. */
export function snapshotCopy({ request }: Job, { id, region, key, description, tags }: CopyRequest) {
  return new CopySnapshotCommand({
    ...{ SourceSnapshotId: id, SourceRegion: region, Description: description, Encrypted: true, KmsKeyId: key },
    ...(request.copyMinutes && { CompletionDurationMinutes: request.copyMinutes }),
    TagSpecifications: [{ ResourceType: 'snapshot', Tags: [...tags] }],
  });
}

/** Copies an image, all its snapshots under a key; they all have the same tags. */
export function imageCopy({ request }: Job, { id, region, key, name, description, token, ...copied }: CopyRequest) {
  return new CopyImageCommand({
    ...{ SourceImageId: id, SourceRegion: region, Name: name, Description: description, ClientToken: token },
    ...{ Encrypted: true, KmsKeyId: key },
    ...(request.copyMinutes && { SnapshotCopyCompletionDurationMinutes: request.copyMinutes }),
    TagSpecifications: [
      { ResourceType: 'image', Tags: [...copied.tags] },
      { ResourceType: 'snapshot', Tags: [...(copied.snapshotTags ?? [])] },
    ],
  });
}

/** By what a copy is found again, beside its description: a tag that this run gives, and the snapshot that it is of. */
type Mark = Readonly<{ mark: Filter; sourceId: string }>;

/** Looks for about half a minute: new resources are seen late at times. After an error of AWS's own, a shorter look does. */
const lostLooksSeconds = [0.5, 1, 2, 4, 8, 15];
const failedLooks = 4;

/** So long AWS may answer with errors of its own, or not at all, before the copy is given up. */
const brokenMs = 600_000;

/**
 * CopySnapshot, which has no client token: after a lost answer, only a look tells whether there is a copy.
 * @throws AWS's last answer, where it failed for ten minutes
 */
export async function beginCopy(place: Place, command: CopySnapshotCommand, { mark, sourceId }: Mark): Promise<string> {
  const ofSource = { Name: `tag:${tagKeys.sourceSnapshot}`, Values: [sourceId] };
  const look = async () =>
    (await ownSnapshots(place, mark, ofSource)).find(({ Description }) => Description === command.input.Description)
      ?.SnapshotId;
  return retried({ place, on: isTransient, forMs: brokenMs, wait: () => 0 }, async () => {
    try {
      const { SnapshotId } = await place.ec2(command);
      if (SnapshotId === undefined) throw new Error('AWS named no snapshot');
      return SnapshotId;
    } catch (error) {
      if (!isTransient(error)) throw error;
      const looks = isServerError(error) ? lostLooksSeconds.slice(0, failedLooks) : lostLooksSeconds;
      const found = await lookedFor(place, looks, look);
      if (found === undefined) throw error;
      return found;
    }
  });
}
