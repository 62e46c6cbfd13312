import type { Image, Tag } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { placeName } from '../aws/errors.ts';
import { encryptedCopyName } from '../encrypted-copy.ts';
import type { KeyAccess } from '../inputs/settings.ts';
import type { Request } from '../inputs.ts';
import type { Reader } from '../lease.ts';
import { maxTags, mergeTags, tagKeys, tagValue } from '../tags.ts';
import { findFailed, findPending, findReusable, liveLeases, planCopies, whyUnlike } from './earlier.ts';
import type { Findings } from './problem.ts';
import { lineageOf, planRetention, type Retention } from './publish.ts';
import { removalObstacle } from './removal.ts';
import type { Hub, Resolved, Target } from './resolve.ts';
import { planRoute } from './route.ts';
import type { Source, SourceSnapshot } from './source.ts';

/**
 * What is made in the source account so that it can be shared: a copy of the AMI under a customer key, in the source
 * region or in a hub's; or, with `only`, copies of those snapshots that need it. The name is unique there, so no two
 * runs make two AMIs.
 */
export type EncryptedCopy = Readonly<{
  place: Place;
  name: string;
  kmsKeyArn: string;
  only: readonly SourceSnapshot[] | undefined;
}>;

/** The copy of one snapshot in a target; `adopt` names one that an earlier run began. */
export type SnapshotCopy = Readonly<{ source: SourceSnapshot; adopt: string | undefined }>;

export type TargetPlan = Readonly<{
  target: Target;
  route: 'register' | 'copy';
  /** An AMI that is there already and right. */
  reuse: Image | undefined;
  /** On the route `copy`: the image that an earlier run began. */
  adopt: string | undefined;
  /** On the route `register`: the snapshots to copy. */
  copies: readonly SnapshotCopy[];
  /** AMIs of this source to deregister once the new one is right. */
  replace: readonly Image[];
  /** The one of them that has the name which the new AMI is to have. */
  supersedes: Image | undefined;
  /** Copies that dead runs left and that are of no use. */
  discard: readonly string[];
  /** Images that dead runs left and that failed. */
  discardImages: readonly Image[];
  /** Resources of finished AMIs that still bear a dead run's lease. */
  untag: readonly string[];
  /** With `retain`: what stays of the lineage beside this AMI, and what goes. */
  retained: Retention | undefined;
  description: string | undefined;
  tags: Tag[];
  /** What each copy of a source snapshot bears, until the AMI is done the run's lease too. */
  snapshotTags: ReadonlyMap<string, Tag[]>;
  /** Whether another account's snapshots are copied, so that shares and a grant are needed. */
  crossAccount: boolean;
  /** The encrypted copy that this target is copied from; from the source AMI itself without one. */
  from: EncryptedCopy | undefined;
  /** The keys of the source account that copying takes the use of. */
  sourceKeys: readonly string[];
}>;

export type Plan = Readonly<{
  source: Source;
  /** At most one in a region. */
  encryptedCopies: readonly EncryptedCopy[];
  keyAccess: KeyAccess;
  targets: readonly TargetPlan[];
}>;

/** The accounts whose copies take the use of one of the source account's keys. */
export function accountsUsing({ targets }: Plan, keyArn: string): string[] {
  const users = targets.filter(({ sourceKeys }) => sourceKeys.includes(keyArn));
  return [...new Set(users.map(({ target }) => target.request.account))];
}

/**
 * Everything that the run does, from the facts alone: the same facts give the same plan. What makes it impossible goes
 * into `findings`.
 */
export function planOf(
  request: Request,
  resolved: Resolved,
  leaseId: string,
  reader: Reader,
  findings: Findings,
): Plan {
  const { source } = resolved;
  const living = liveLeases(source, leaseId, reader);
  const drafts = resolved.targets.map((target) => planTarget(request, source, target, leaseId, living, findings));
  const toMake = drafts.filter(({ reuse }) => reuse === undefined);
  const abroad = toMake.filter(({ crossAccount }) => crossAccount);
  const hubs = planHubs(source, resolved.hubs, abroad);
  const direct = abroad.filter(({ target }) => !hubs.has(target.request.region));
  const atSource = direct.length === 0 ? undefined : planEncryptedCopy(request, source, direct, findings);
  const targets = drafts.map((draft): TargetPlan => {
    // In the source account itself, the AMI can be copied as it is.
    if (!draft.crossAccount || draft.reuse !== undefined) return { ...draft, from: undefined, sourceKeys: [] };
    const from = hubs.get(draft.target.request.region) ?? atSource;
    return { ...draft, from, sourceKeys: keysOf(source, from) };
  });
  return {
    source,
    encryptedCopies: [...hubs.values(), ...(atSource ? [atSource] : [])],
    keyAccess: request.source.keyAccess,
    targets,
  };
}

/** A hub for each region in which several targets are to be made yet. */
function planHubs(
  source: Source,
  hubs: ReadonlyMap<string, Hub>,
  toMake: readonly Draft[],
): Map<string, EncryptedCopy> {
  const byRegion = Map.groupBy(toMake, ({ target }) => target.request.region);
  const worth = [...hubs].filter(([region]) => (byRegion.get(region) ?? []).length > 1);
  return new Map(
    worth.map(([region, { place, kmsKeyArn }]) => {
      const name = encryptedCopyName(source.image.ImageId ?? '', kmsKeyArn);
      return [region, { place, name, kmsKeyArn, only: undefined }];
    }),
  );
}

/** The keys that what `from` gives is under. */
function keysOf({ snapshots }: Source, from: EncryptedCopy | undefined): string[] {
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
function planEncryptedCopy(
  request: Request,
  source: Source,
  targets: readonly Draft[],
  findings: Findings,
): EncryptedCopy | undefined {
  const { place, snapshots, kmsKeyArn } = source;
  const unshareable = snapshots.filter(({ obstacle }) => obstacle !== undefined);
  if (unshareable.length === 0) return undefined;
  if (kmsKeyArn !== undefined) {
    const name = encryptedCopyName(source.image.ImageId ?? '', kmsKeyArn);
    const some = unshareable.length < snapshots.length && targets.every(({ route }) => route === 'register');
    return { place, name, kmsKeyArn, only: some ? unshareable : undefined };
  }
  // A key that was given and found wanting is a finding already.
  if (request.source.kmsKey === undefined) {
    const list = unshareable.map(({ id, obstacle }) => `${id} is ${obstacle}`).join(', ');
    findings.add(
      placeName(place),
      `${list}: so it can't be shared with another account`,
      'give source-kms-key, a customer key in the source account and region; the action copies the AMI under it first',
    );
  }
  return undefined;
}

/** A target's plan but for where its snapshots come from, which depends on the other targets. */
type Draft = Omit<TargetPlan, 'from' | 'sourceKeys'>;

function planTarget(
  request: Request,
  source: Source,
  target: Target,
  leaseId: string,
  living: ReadonlySet<string>,
  findings: Findings,
): Draft {
  const where = placeName(target.place);
  const crossAccount = target.request.account !== source.account;
  const route = planRoute(request, source, target, crossAccount, findings);
  const reuse = findReusable(request, source, target, findings);
  const adopt = route === 'copy' && reuse === undefined ? findPending(target, living) : undefined;
  const discardImages = findFailed(target, living);
  const others = target.existing.filter(
    (image) => image !== reuse && image.ImageId !== adopt && !discardImages.includes(image),
  );
  const replace = request.onExisting === 'replace' ? others : [];
  const { namesake } = target;
  const copies = planCopies(source, target, reuse === undefined && route === 'register', living);
  // CopyImage takes the name hours before the AMI is there, and an SSM parameter names the old AMI until all are ready.
  const supersedes =
    reuse === undefined && route === 'register' && target.ssmParameter === undefined
      ? replace.find(({ ImageId }) => ImageId === namesake?.ImageId)
      : undefined;
  if (
    supersedes === undefined &&
    reuse === undefined &&
    adopt === undefined &&
    namesake !== undefined &&
    !discardImages.some(({ ImageId }) => ImageId === namesake.ImageId)
  ) {
    findings.add(where, ...takenName(request, source, target, namesake));
  } else if (request.onExisting === 'fail' && others.length > 0) {
    const list = others.map(({ ImageId, Name }) => `${ImageId} (${Name})`).join(', ');
    findings.add(
      where,
      `there is an AMI of this source already: ${list}`,
      'deregister it, or set on-existing to reuse or replace',
    );
  }
  const tags = planTags(
    request.copyTags ? (source.image.Tags ?? []) : [],
    target,
    { ...provenance(request, source), [tagKeys.lineage]: lineageOf(source.image) },
    // On the route `copy` the image bears the run's lease while it is made.
    route === 'copy' ? maxTags - 1 : maxTags,
    (dropped) => findings.warn(where, `AWS allows 50 tags; these of the source's are left out: ${dropped.join(', ')}`),
  );
  const snapshotTags = planSnapshotTags(request, source, target, leaseId, findings);
  const { retain } = request.publication;
  const going = new Set([...replace, ...discardImages].map(({ ImageId }) => ImageId));
  const kept = target.made.filter(({ ImageId }) => !going.has(ImageId));
  const retained =
    retain === undefined
      ? undefined
      : planRetention({
          count: retain,
          lineage: lineageOf(source.image),
          name: target.name,
          existing: kept,
          reused: reuse,
          locks: target.locks,
        });
  for (const image of replace) checkRemovable(image, target, findings);
  return {
    target,
    route,
    reuse,
    adopt,
    ...copies,
    discardImages,
    replace,
    supersedes,
    retained,
    description: descriptionOf(source, target, route),
    tags,
    snapshotTags,
    crossAccount,
  };
}

function descriptionOf(source: Source, { description }: Target, route: TargetPlan['route']): string | undefined {
  const text = description ?? (source.image.Description || undefined);
  // Left out, CopyImage would write a text of its own, which names the encrypted copy.
  return text ?? (route === 'copy' ? `Copied from ${source.image.ImageId} (${placeName(source.place)})` : undefined);
}

function planTags(
  inherited: readonly Tag[],
  target: Target,
  ours: Readonly<Record<string, string>>,
  most: number,
  onDropped: (keys: string[]) => void,
): Tag[] {
  const { tags, dropped } = mergeTags(inherited, target.tags, ours, most);
  if (dropped.length > 0) onDropped(dropped);
  return tags;
}

function planSnapshotTags(
  request: Request,
  source: Source,
  target: Target,
  leaseId: string,
  findings: Findings,
): Map<string, Tag[]> {
  return new Map(
    source.snapshots.map(({ id, tags }) => [
      id,
      planTags(
        request.copyTags ? tags : [],
        target,
        {
          ...provenance(request, source),
          [tagKeys.sourceSnapshot]: id,
          [tagKeys.kmsKey]: target.kmsKeyArn,
          [tagKeys.lease]: leaseId,
        },
        maxTags,
        (dropped) =>
          findings.warn(
            placeName(target.place),
            `AWS allows 50 tags; these of ${id}'s are left out: ${dropped.join(', ')}`,
          ),
      ),
    ]),
  );
}

/** An AMI that is to be replaced must be one that can be removed. */
function checkRemovable(image: Image, { place, locks }: Target, findings: Findings): void {
  const obstacle = removalObstacle(image, locks);
  if (obstacle === undefined) return;
  findings.add(
    placeName(place),
    `${image.ImageId} is to be replaced, but ${obstacle.why}`,
    `${obstacle.remedy}; or set on-existing to reuse`,
  );
}

/** The tags that say where a resource comes from. */
export function provenance(request: Request, source: Source): Record<string, string> {
  return {
    [tagKeys.sourceAmi]: source.image.ImageId ?? '',
    [tagKeys.run]: request.run.runUrl,
    [tagKeys.commit]: request.run.sha,
  };
}

function takenName(request: Request, source: Source, target: Target, namesake: Image): [what: string, remedy: string] {
  const taken = `the name ${JSON.stringify(target.name)} is taken by ${namesake.ImageId}`;
  const remedy = 'choose another target-ami-name, or deregister that AMI';
  if (tagValue(namesake, tagKeys.sourceAmi) !== source.image.ImageId) return [taken, remedy];
  if (request.onExisting === 'replace') {
    return [
      `${taken}, which must stay until the new AMI is there (by route copy, or as an ssm-parameter names it)`,
      'give each AMI a name of its own, with {date} or {run-id} in target-ami-name',
    ];
  }
  return [`${taken}, an AMI of this source that differs: ${whyUnlike(request, source, target, namesake)}`, remedy];
}
