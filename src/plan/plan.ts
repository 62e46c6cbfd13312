import type { Image, Snapshot, Tag } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { placeName } from '../aws/errors.ts';
import { encryptedCopyName } from '../encrypted-copy.ts';
import { type Allowances, differences, differenceText, extrasDifferences, keyDifferences } from '../image.ts';
import type { KeyAccess } from '../inputs/settings.ts';
import type { Request } from '../inputs.ts';
import { isAlive, leasesOf, type Reader } from '../lease.ts';
import { maxTags, mergeTags, tagKeys, tagValue } from '../tags.ts';
import type { Findings } from './problem.ts';
import { lineageOf, planRetention, type Retention } from './publish.ts';
import { removalObstacle } from './removal.ts';
import type { Hub, Resolved, Target } from './resolve.ts';
import { hasUefi, type Source, type SourceSnapshot } from './source.ts';

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
  const drafts = resolved.targets.map((target) => planTarget(request, source, target, leaseId, reader, findings));
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
  reader: Reader,
  findings: Findings,
): Draft {
  const where = placeName(target.place);
  const crossAccount = target.request.account !== source.account;
  const route = planRoute(request, source, target, crossAccount, findings);
  const reuse = findReusable(request, source, target, findings);
  const adopt = route === 'copy' && reuse === undefined ? findPending(source, target, leaseId, reader) : undefined;
  const discardImages = findFailed(source, target, leaseId, reader);
  const others = target.existing.filter(
    (image) => image !== reuse && image.ImageId !== adopt && !discardImages.includes(image),
  );
  const replace = request.onExisting === 'replace' ? others : [];
  const { namesake } = target;
  const copies = planCopies(source, target, reuse === undefined && route === 'register', leaseId, reader);
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

/** Registering from snapshots drops billing without a word: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-billing-info.html */
function losesBilling({ UsageOperation, ProductCodes }: Image): boolean {
  return (UsageOperation ?? 'RunInstances') !== 'RunInstances' || (ProductCodes ?? []).length > 0;
}

/** The regions that have paravirtual images: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/virtualization_types.html */
const paravirtualRegions = [
  'us-east-1',
  'us-west-1',
  'us-west-2',
  'eu-west-1',
  'eu-central-1',
  'ap-northeast-1',
  'ap-southeast-1',
  'ap-southeast-2',
  'sa-east-1',
  'us-gov-west-1',
  'cn-north-1',
];

/** How the AMI is made in a target; what is certain to fail there is a finding. */
function planRoute(
  request: Request,
  source: Source,
  target: Target,
  crossAccount: boolean,
  findings: Findings,
): 'register' | 'copy' {
  const { image } = source;
  const where = placeName(target.place);
  const foreign = crossAccount || image.OwnerId !== source.account;
  if (foreign && image.ProductCodes?.some(({ ProductCodeType }) => ProductCodeType === 'marketplace')) {
    findings.add(
      where,
      `${image.ImageId} has AWS Marketplace product codes: AWS copies no such image to another account`,
      'subscribe to the product in the target account, launch an instance of it there, and make the AMI of that instance',
    );
  }
  const paravirtual = image.VirtualizationType === 'paravirtual';
  if (paravirtual && !paravirtualRegions.includes(target.request.region)) {
    findings.add(
      where,
      `${image.ImageId} is paravirtual, which ${target.request.region} doesn't have`,
      'use an HVM image, or leave this region out',
    );
  }
  if (request.route === 'register' && losesBilling(image) && !request.allowLostBilling) {
    const codes = [image.UsageOperation, ...(image.ProductCodes ?? []).map(({ ProductCodeId }) => ProductCodeId)]
      .filter(Boolean)
      .join(', ');
    findings.add(
      where,
      `route register would lose the billing of ${image.ImageId} (${image.PlatformDetails ?? 'its platform'}: ${codes})`,
      'use route copy, or set allow-lost-billing to true if that is meant',
    );
  }
  const lost = lostByRegistering(source, crossAccount);
  if (request.route === 'register' && lost !== undefined) {
    findings.add(where, `route register would lose ${lost} of ${image.ImageId}`, 'use route copy or auto');
  }
  if (request.route !== 'auto') return request.route;
  return losesBilling(image) || lost !== undefined ? 'copy' : 'register';
}

/** What CopyImage carries over and RegisterImage can't be given. */
function lostByRegistering({ image, account }: Source, crossAccount: boolean): string | undefined {
  // Their IDs are of one region.
  if (image.VirtualizationType === 'paravirtual') return 'the kernel and RAM disk';
  // Only an owner can read them; where the image is copied in the source account first, that account is one.
  if (!crossAccount && hasUefi(image) && image.OwnerId !== account) return 'the UEFI variables';
  // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachImageWatermark.html
  return (image.ImageWatermarks ?? []).length > 0 ? 'the watermarks' : undefined;
}

/** The tags that say where a resource comes from. */
export function provenance(request: Request, source: Source): Record<string, string> {
  return {
    [tagKeys.sourceAmi]: source.image.ImageId ?? '',
    [tagKeys.run]: request.run.runUrl,
    [tagKeys.commit]: request.run.sha,
  };
}

/**
 * An AMI that is what this run would make: of this source, alike, and under the right key. Of several, the one with the
 * asked name; where none has it, the choice is the user's. Unless any such AMI may be reused, only one that an earlier
 * attempt of this very workflow run made is as good as a new one.
 */
function findReusable(request: Request, source: Source, target: Target, findings: Findings): Image | undefined {
  const same = target.existing.filter((image) => whyUnlike(request, source, target, image) === '');
  const { runUrl, runAttempt } = request.run;
  const own = same.filter((image) => runAttempt > 1 && runUrl !== '' && tagValue(image, tagKeys.run) === runUrl);
  const candidates = request.onExisting === 'reuse' ? same : own;
  const named = candidates.find(({ Name }) => Name === target.name);
  if (named === undefined && request.onExisting === 'reuse' && same.length > 1) {
    const list = same.map(({ ImageId, Name }) => `${ImageId} (${Name})`).join(', ');
    findings.add(
      placeName(target.place),
      `several AMIs of this source are there, all alike: ${list}`,
      'name one of them in target-ami-name, deregister the others, or set on-existing to replace',
    );
  }
  return named ?? candidates[0];
}

/** An image that a run which has died was copying. */
function findPending(source: Source, target: Target, leaseId: string, reader: Reader): string | undefined {
  const living = liveLeases(source, leaseId, reader);
  return target.existing.find((image) => {
    const holder = tagValue(image, tagKeys.lease);
    const pending = image.State === 'pending' || (image.State === 'available' && holder !== undefined);
    return pending && image.Name === target.name && holder !== undefined && !living.has(holder);
  })?.ImageId;
}

/** Images that a run which has died was copying in vain. */
function findFailed(source: Source, target: Target, leaseId: string, reader: Reader): Image[] {
  const living = liveLeases(source, leaseId, reader);
  return target.existing.filter((image) => {
    const holder = tagValue(image, tagKeys.lease);
    return (image.State === 'failed' || image.State === 'error') && holder !== undefined && !living.has(holder);
  });
}

function liveLeases(source: Source, leaseId: string, reader: Reader): Set<string> {
  const alive = leasesOf(source.image.Tags).filter((lease) => lease.id !== leaseId && isAlive(lease, reader));
  return new Set(alive.map(({ id }) => id));
}

/** What a target AMI need not have as the source has it. */
export function allowancesOf(request: Request, source: Source, { region }: Place): Allowances {
  return {
    lostBilling: request.route === 'register' && request.allowLostBilling,
    otherRegion: region !== source.place.region,
  };
}

function whyUnlike(request: Request, source: Source, target: Target, image: Image): string {
  if (image.State !== 'available') return `it is ${image.State}`;
  const allowed = allowancesOf(request, source, target.place);
  const extras = target.existingExtras.get(image.ImageId ?? '');
  return [
    ...differences(source.image, image, allowed),
    ...keyDifferences(target.kmsKeyArn, image, target.earlierCopies),
    ...(extras === undefined ? [] : extrasDifferences(source.extras, extras)),
  ]
    .map(differenceText)
    .join('; ');
}

/**
 * A copy for each snapshot; one that an earlier run began is taken over, unless it is part of an AMI, failed, under
 * another key, or another live run's. A copy bears its run's lease until its AMI is registered: what bears none is
 * finished, and not this action's to touch.
 */
function planCopies(
  source: Source,
  target: Target,
  needed: boolean,
  leaseId: string,
  reader: Reader,
): Pick<TargetPlan, 'copies' | 'discard' | 'untag'> {
  const living = liveLeases(source, leaseId, reader);
  const used = new Set(
    target.existing.flatMap((image) => (image.BlockDeviceMappings ?? []).map(({ Ebs }) => Ebs?.SnapshotId)),
  );
  const orphans = target.earlierCopies.filter((copy) => {
    const holder = tagValue(copy, tagKeys.lease);
    return holder !== undefined && !living.has(holder);
  });
  const free = orphans.filter(({ SnapshotId }) => !used.has(SnapshotId));
  const adopted = new Set<string>();
  const copies = (needed ? source.snapshots : []).map((snapshot) => {
    const [best] = free
      .filter((copy) => isUsable(copy, target) && tagValue(copy, tagKeys.sourceSnapshot) === snapshot.id)
      .sort((a, b) => rank(a) - rank(b));
    if (best?.SnapshotId !== undefined) adopted.add(best.SnapshotId);
    return { source: snapshot, adopt: best?.SnapshotId };
  });
  const superseded = target.earlierCopies.filter((copy) => {
    const holder = tagValue(copy, tagKeys.superseded);
    return holder !== undefined && !living.has(holder) && !used.has(copy.SnapshotId);
  });
  return {
    copies,
    discard: idsOf([...free, ...superseded]).filter((id) => !adopted.has(id)),
    untag: idsOf(orphans).filter((id) => used.has(id)),
  };
}

function isUsable(copy: Snapshot, target: Target): boolean {
  return (
    (copy.State === 'pending' || copy.State === 'completed') && tagValue(copy, tagKeys.kmsKey) === target.kmsKeyArn
  );
}

function idsOf(snapshots: readonly Snapshot[]): string[] {
  return snapshots.flatMap(({ SnapshotId }) => (SnapshotId === undefined ? [] : [SnapshotId]));
}

/** The furthest of several comes first: the oldest that is completed, else the oldest. */
function rank(copy: Snapshot): number {
  return (copy.State === 'completed' ? 0 : 1e15) + (copy.StartTime?.getTime() ?? 0);
}
