import type { Image } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { ancestryOf, describeImages } from '../aws/describe.ts';
import { placeName } from '../aws/errors.ts';
import type { TargetRequest } from '../inputs/targets.ts';
import type { SourcelessRequest } from '../inputs.ts';
import { joined } from '../join.ts';
import { isOfEncryptedCopy, type Known } from '../plan/evidence.ts';
import { claimsLineage, membersOf, newestSource, whyUnpublished } from '../plan/lineage.ts';
import type { Findings } from '../plan/problem.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { fill } from '../template.ts';
import type { Accounts } from './accounts.ts';
import { type Around, readAround } from './published.ts';

/** What bears tags of ours in a target, and what AWS says that the published AMIs of the lineage come from. */
export type Held = Readonly<{ place: Place; lineage: string; around: Around; ancestry: Known['parents'] }>;

/** What is asked for, without a source AMI; as whom, and who is told what can't be read. */
type Reading = Readonly<{ request: SourcelessRequest; accounts: Accounts; findings: Findings }>;

/** What each target has of the lineage, by the target's name; without those of which that can't be read. */
export async function readLineage(reading: Reading): Promise<Map<string, Held>> {
  const all = await joined(reading.request.targets.map((target) => readHeld(reading, target)));
  return new Map(all.flatMap((held) => (held === undefined ? [] : [[placeName(held.place), held]])));
}

async function readHeld(
  { request: { publication }, accounts, findings }: Reading,
  target: TargetRequest,
): Promise<Held | undefined> {
  const { account, region, roleArn, everyRegion } = target;
  const name = placeName(target);
  const own = findings.about([name]);
  if (everyRegion?.problem !== undefined) {
    const { where, what, remedy } = everyRegion.problem;
    own.add(where, what, remedy);
    return undefined;
  }
  if ((await accounts.openTarget(target, roleArn)) === undefined) return undefined;
  const place = accounts.target(target);
  const lineage = fill(publication.lineage ?? '', { account, region });
  return own.attempt(name, `looking for AMIs of the lineage ${lineage}`, async () => {
    const around = await readAround(place, new Map());
    const isClaimed = (image: Image) => claimsLineage(image, lineage) && whyUnpublished(image) === undefined;
    const copied = around.images.filter((image) => isClaimed(image) && isOfEncryptedCopy(image));
    const pairs = await joined(copied.map(({ ImageId = '' }) => ancestryOf(place, ImageId)));
    return { place, lineage, around, ancestry: new Map(pairs.flat()) };
  });
}

/** The AMIs that a target is proven to have of the lineage, newest first. */
export function heldMembers({ lineage, around, ancestry }: Held): Image[] {
  return membersOf(lineage, around.images, { snapshots: around.parts, parents: ancestry });
}

/**
 * The ID of the newest source AMI of which a target has a published AMI; undefined where none has any. Without the source
 * account, nothing tells when the source AMIs were made, nor of a recall but by the copies' own marks.
 */
export async function readNewest(
  held: Iterable<Held>,
  source: Place | undefined,
  findings: Findings,
): Promise<string | undefined> {
  const published = [...held].flatMap(heldMembers).filter((image) => whyUnpublished(image) === undefined);
  const ids = [...new Set(published.flatMap((image) => tagValue(image, tagKeys.sourceAmi) ?? []))];
  const known =
    source &&
    (await findings.attempt(placeName(source), 'reading the source AMIs of the lineage', () =>
      describeImages(source, ids),
    ));
  return newestSource(published, new Map((known ?? []).map((image) => [image.ImageId, image])));
}
