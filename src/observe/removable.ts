import type { Image } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { lockedSnapshots } from '../aws/describe.ts';
import { errorMessage, placeName } from '../aws/errors.ts';
import { imageIdsOf, snapshotIdsOf } from '../image.ts';
import type { Request } from '../inputs.ts';
import { isRejected } from '../plan/boot.ts';
import type { Locks, Target, Users } from '../plan/facts.ts';
import type { Earlier } from './earlier.ts';
import { type Asked, readOrWarn, type Telling } from './telling.ts';
import { usageReportsOn } from './usage-reports.ts';
import { usersOf, whereKnown } from './users.ts';

/* Of the AMIs that a run may remove: what keeps them. */

/** What keeps AMIs: locks of their snapshots, what uses them, and reports on the use by others. */
export async function readKeepers(
  place: Place,
  earlier: Earlier | undefined,
  { role, ...asked }: Asked & Readonly<{ role: string }>,
): Promise<Pick<Target, 'locks' | 'users' | 'reports'>> {
  const mayGo = earlier === undefined ? [] : mayGoOf(asked.request, earlier).flatMap(snapshotIdsOf);
  const locks = await readLocks(place, { role, findings: asked.findings }, [...new Set(mayGo)]);
  const users = earlier && (await readUsers(place, earlier, asked));
  return { locks, users, reports: users && (await readReports(place, users, asked)) };
}

/** What this run may remove of the AMIs that are there. */
function mayGoOf({ onExisting }: Request, { existing, made, namesake }: Earlier): Image[] {
  const failed = namesake !== undefined && isRejected(namesake) ? [namesake] : [];
  return [...(onExisting === 'replace' ? existing : []), ...made, ...failed];
}

async function readLocks(
  place: Place,
  telling: Telling & Readonly<{ role: string }>,
  ids: readonly string[],
): Promise<Locks> {
  const locks = await readOrWarn(place, telling, {
    ...{ action: 'ec2:DescribeLockedSnapshots', resources: ['*'] },
    without: 'an AMI is deregistered even where a snapshot of it is locked, which then stays',
    read: () => lockedSnapshots(place, ids),
  });
  return new Map((locks ?? []).map((lock) => [lock.SnapshotId ?? '', lock]));
}

/** What uses the AMIs of the lineage, of which retain or replace may remove some; undefined where that can't be told. */
async function readUsers(
  place: Place,
  { made, namesake }: Earlier,
  { request: { publication, onExisting }, findings }: Asked,
): Promise<Target['users']> {
  const { retain } = publication;
  const named = made.filter(
    (image) => image.ImageId === namesake?.ImageId && (onExisting === 'replace' || isRejected(image)),
  );
  // What can't be read is told before the first AMI has to go.
  const ids = imageIdsOf(retain === undefined ? named : made);
  const where = placeName(place);
  try {
    return await usersOf(
      place,
      ids,
      whereKnown((what) => findings.warn(where, what)),
    );
  } catch (error) {
    place.signal.throwIfAborted();
    // Which permission is lacking is asked beside this.
    findings.warn(where, `older AMIs stay, because what uses them is not known: ${errorMessage(error)}`);
    return undefined;
  }
}

/** The usage reports on AMIs of the lineage that others may launch; undefined where they aren't asked for or can't be read. */
async function readReports(
  place: Place,
  users: Users,
  { request: { publication }, findings }: Asked,
): Promise<Target['reports']> {
  if (publication.retainShared === 'keep') return undefined;
  const shared = [...users].filter(([, uses]) => uses.some(({ others }) => others !== undefined)).map(([id]) => id);
  try {
    return await usageReportsOn(place, shared);
  } catch (error) {
    place.signal.throwIfAborted();
    const why = `AMIs that others may launch stay, because usage reports can't be read: ${errorMessage(error)}`;
    findings.warn(placeName(place), why);
    return undefined;
  }
}
