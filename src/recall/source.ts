import type { Image } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { describeImages, ownImages } from '../aws/describe.ts';
import { placeName } from '../aws/errors.ts';
import { joined } from '../join.ts';
import type { RecalledTarget } from '../outcome.ts';
import { lateAfter } from '../patience.ts';
import { findEncryptedCopies } from '../release/encrypted-copies.ts';
import { recalledTag } from '../tags.ts';
import type { Copy, Meant } from './copies.ts';
import { giveAgain, takeBack } from './images.ts';
import { attempt, fail, note, type Recalling, readingMs } from './recalling.ts';
import { unmarkRecalled } from './restore.ts';
import { markRecalled } from './withdraw.ts';

/* The source account: the marks by which no share begins or ends, and with include-source the AMIs themselves. */

/** The source account; undefined after a note of why it can't be reached, which keeps no target from being recalled. */
export async function openSource(recalling: Recalling): Promise<Place | undefined> {
  const { accounts, request, host } = recalling;
  const marks = request.restore ? 'keep their marks' : 'get no mark, so that a share of them goes on';
  const lost =
    request.sourceImages.length > 0
      ? `the source AMIs ${marks}`
      : 'it is not known which source AMIs are recalled, whose copies replace nothing';
  const what = `Assuming the source role, without which ${lost}`;
  const caller = await attempt(recalling, { where: 'source account', what }, () =>
    Promise.race([accounts.openSource(), lateAfter(host, readingMs)]),
  );
  return caller && accounts.source(request.source.region);
}

/**
 * The source AMIs as they are there, each marked as recalled; undefined where they can't be read. One that can't be marked is
 * recalled all the same.
 */
export async function markSources(recalling: Recalling, source: Place): Promise<readonly Image[] | undefined> {
  const { request } = recalling;
  const where = placeName(source);
  const images = await readSources(recalling, source);
  const isGone = (id: string) => images?.every(({ ImageId }) => ImageId !== id) === true;
  const mark = async (id: string) => {
    if (isGone(id)) return note(recalling, where, `the source AMI ${id} is gone, so it bears no mark`);
    await attempt(recalling, { where, what: `Marking the source AMI ${id} as recalled` }, async () => {
      await markRecalled(source, id, request.reason);
      note(recalling, where, `the source AMI ${id} is marked as recalled: no share takes it any more`);
    });
  };
  if (!request.restore) await joined(request.sourceImages.map(mark));
  return images;
}

function readSources(recalling: Recalling, source: Place): Promise<readonly Image[] | undefined> {
  const doing = { where: placeName(source), what: 'Reading the source AMIs' };
  return attempt(recalling, doing, () => describeImages(source, recalling.request.sourceImages));
}

/** Takes the marks off: the AMIs can be shared again. One that is disabled can't, and only include-source enables it. */
export async function unmarkSources(recalling: Recalling, source: Place): Promise<void> {
  const { request, findings } = recalling;
  const where = placeName(source);
  const unmark = async ({ ImageId: id = '', State }: Image) => {
    if (State === 'disabled' && !request.includeSource) {
      const remedy = 'restore it with include-source: true; or, if no recall has disabled it, take its tag off';
      findings.warn(where, `the source AMI ${id} is disabled, and stays marked as recalled. What to do: ${remedy}`);
      return;
    }
    await attempt(recalling, { where, what: `Taking the mark off the source AMI ${id}` }, async () => {
      await unmarkRecalled(source, id);
      note(recalling, where, `the source AMI ${id} can be shared again`);
    });
  };
  await joined(((await readSources(recalling, source)) ?? []).map(unmark));
}

/** What the source account tells of what is meant; what can't be read there only leaves less to be found. */
export async function readMeant(recalling: Recalling, source: Place | undefined, images: readonly Image[]) {
  const { sourceImages, targetImages, replacement } = recalling.request;
  const where = source === undefined ? 'source account' : placeName(source);
  const look = async <T>(what: string, read: (place: Place) => Promise<T>) =>
    source && attempt(recalling, { where, what }, () => read(source));
  const [recalled, copies] = await joined([
    look('Looking for AMIs that are recalled', (place) => ownImages(place, { Name: 'tag-key', Values: [recalledTag] })),
    look('Looking for encrypted copies', (place) =>
      joined(sourceImages.map(async (id) => ({ id, ...(await findEncryptedCopies(place, id)) }))),
    ),
  ]);
  const recalledSources = new Set([...(recalled ?? []).flatMap(({ ImageId }) => ImageId ?? []), ...sourceImages]);
  if (replacement !== undefined && recalledSources.has(replacement))
    fail(
      recalling,
      where,
      `the replacement ${replacement} is recalled itself. What to do: give another, or restore it`,
    );
  const parents = (copies ?? []).flatMap(({ id, images: all }) =>
    all.map(({ ImageId = '' }): [string, string] => [ImageId, id]),
  );
  const names = new Map(images.map(({ ImageId = '', Name = '' }) => [ImageId, Name]));
  const meant: Meant = { sourceImages, targetImages, replacement, parents: new Map(parents), recalledSources };
  return { ...meant, names };
}

/** The source AMIs themselves, which whoever names them means: they need no evidence, and nothing of ours names them. */
export async function recallSources(
  recalling: Recalling,
  source: Place,
  images: readonly Image[],
): Promise<RecalledTarget[]> {
  const where = placeName(source);
  const { own = [], others = [] } = Object.groupBy(images, ({ OwnerId }) =>
    OwnerId === source.account ? 'own' : 'others',
  );
  for (const { ImageId, OwnerId } of others)
    fail(recalling, where, `${ImageId} belongs to account ${OwnerId}, which only can take it back`);
  // Nobody is let use the key of a source AMI for good.
  const copies = own.map(
    (image): Copy => ({ image, id: image.ImageId ?? '', sourceAmi: image.ImageId ?? '', keys: [] }),
  );
  if (copies.length === 0) return [];
  return recalling.request.restore
    ? giveAgain(recalling, source, { copies, keepsMark: true })
    : takeBack(recalling, source, { copies, how: recalling.request.how });
}
