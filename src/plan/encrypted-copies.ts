import type { Image } from '@aws-sdk/client-ec2';
import { placeName } from '../aws/errors.ts';
import { encryptedCopyName } from '../encrypted-copy.ts';
import { matchSnapshots } from '../image.ts';
import { intermediateTags } from './creation-tags.ts';
import type { EncryptedCopy } from './decided.ts';
import type { Hub, Observed, Source } from './facts.ts';
import { keptCopy, keptSnapshots } from './intermediates.ts';
import type { Draft, Planning } from './planning.ts';

/* The encrypted copies that targets copy from: one at the source, or one in each hub. */

/** A hub for each region in which several targets are to be made yet. */
export function planHubs(
  { request }: Planning,
  { source, hubs, intermediates }: Observed,
  toMake: readonly Draft[],
): Map<string, EncryptedCopy> {
  const byRegion = Map.groupBy(toMake, ({ target }) => target.request.region);
  const worth = [...hubs].filter(([region]) => (byRegion.get(region) ?? []).length > 1);
  return new Map(
    worth.map(([region, hub]) => {
      const tags = intermediateTags(request, source, hub.place);
      return [region, wholeCopy(source, { ...hub, tags }, keptCopy(intermediates.get(region), source, hub))];
    }),
  );
}

type ToEncrypt = Hub & Pick<EncryptedCopy, 'tags'>;

function wholeCopy({ imageId, image }: Source, to: ToEncrypt, there: Image | undefined): EncryptedCopy {
  const name = encryptedCopyName(imageId, to.kmsKeyArn);
  const snapshotsThere = there === undefined ? new Map() : matchSnapshots(image, there);
  return { ...to, name, only: undefined, there: there?.ImageId, snapshotsThere };
}

/** The keys that what `from` gives is under. */
export function keysOf({ snapshots }: Source, from: EncryptedCopy | undefined): string[] {
  const made = from === undefined ? [] : [from.kmsKeyArn];
  const copied = from === undefined ? [] : (from.only ?? snapshots);
  const asIs = snapshots.filter((snapshot) => !copied.includes(snapshot));
  const keys = asIs.flatMap(({ kmsKeyArn, obstacle }) => (obstacle === undefined ? (kmsKeyArn ?? []) : []));
  return [...new Set([...made, ...keys])];
}

/**
 * Snapshots that can't be shared as they are (under no key, under `aws/ebs`, …) are copied first: all with the AMI, or
 * those alone, where others can do without and the targets are registered from snapshots.
 */
export function planEncryptedCopy(
  { request, findings }: Planning,
  { source, intermediates }: Observed,
  targets: readonly Draft[],
): EncryptedCopy | undefined {
  const { place, snapshots, kmsKeyArn } = source;
  const unshareable = snapshots.filter(({ obstacle }) => obstacle !== undefined);
  if (unshareable.length === 0) return undefined;
  if (kmsKeyArn !== undefined) {
    const hub = { place, kmsKeyArn, tags: intermediateTags(request, source, place) };
    const there = intermediates.get(place.region);
    const some = unshareable.length < snapshots.length && targets.every(({ route }) => route === 'register');
    return some
      ? {
          ...wholeCopy(source, hub, undefined),
          only: unshareable,
          snapshotsThere: keptSnapshots(there, source, kmsKeyArn),
        }
      : wholeCopy(source, hub, keptCopy(there, source, hub));
  }
  // A key that was given and found wanting is a finding already.
  if (request.source.kmsKey === undefined) {
    const list = unshareable.map(({ id, obstacle }) => `${id} is ${obstacle}`).join(', ');
    findings.add(
      placeName(place),
      `${list}: so it can't be shared encrypted with another account`,
      'give source-kms-key, a customer managed key in the source account and region; the action copies the AMI under it first',
    );
  }
  return undefined;
}
