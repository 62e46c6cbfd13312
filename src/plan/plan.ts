import type { Image, Tag } from '@aws-sdk/client-ec2';
import { placeName } from '../aws/errors.ts';
import { encryptedCopyName } from '../encrypted-copy.ts';
import { describedAs, imageIdsOf, matchSnapshots, snapshotIdsOf } from '../image.ts';
import type { Request } from '../inputs.ts';
import { type Reader, unreadableLeases } from '../lease.ts';
import { instanceTag, maxTags, mergeTags, tagKeys, tagValue } from '../tags.ts';
import { failureOf, hasFailed, isRejected } from './boot.ts';
import { checkFilled, intermediateTags, tagsOfTargets } from './creation-tags.ts';
import {
  type Common,
  type Copying,
  type EncryptedCopy,
  type LeftOut,
  type Plan,
  provenance,
  type Registering,
  type ReusingPlan,
  type Supplied,
  type TargetPlan,
} from './decided.ts';
import {
  findFailed,
  findMaking,
  findPending,
  findReplaced,
  findReusable,
  type Holders,
  holdersOf,
  isHeld,
  planCopies,
  shareLeft,
  whyUnlike,
} from './earlier.ts';
import { tieToLineage } from './evidence.ts';
import type { Hub, Observed, Source, Target } from './facts.ts';
import { keptCopy, keptSnapshots } from './intermediates.ts';
import { heldBack, whyHeldBack } from './left-out.ts';
import type { Expected } from './operation.ts';
import { operationsOf } from './operations.ts';
import { copiesOf, leave, type Own, ownIn, ownIntermediates } from './ours.ts';
import type { Findings } from './problem.ts';
import { recallOf } from './recalled.ts';
import { mayLift, removalObstacle } from './removal.ts';
import { formerOf, isPublishedAgain, planRetention, type Retention } from './retention.ts';
import { planRoute } from './route.ts';
import { nameOfSource } from './supply-operations.ts';
import { hasReference } from './target-operations.ts';

/** What is planned for: what is asked, by whom, how others' leases read, and which targets are left out. */
type Planner = Readonly<{
  request: Request;
  leaseId: string;
  reader: Reader;
  leftOut: readonly LeftOut[];
}>;

/**
 * Everything that the run does, from the facts alone: the same facts give the same plan. What makes it impossible goes
 * into `findings`.
 */
export function planOf(all: Observed, { request, leaseId, reader, leftOut }: Planner, findings: Findings): Plan {
  const out = new Set(leftOut.map(({ target }) => target));
  const observed: Observed = { ...all, targets: all.targets.filter((target) => !out.has(target.request)) };
  const { source } = observed;
  const holders = holdersOf(source, { leaseId, reader, request });
  tellUnreadable(source, reader, findings);
  const given = givenKeys(request, source);
  const planning: Planning = { request, source, given, leaseId, holders, findings };
  const intermediates = ownIntermediates(observed, findings);
  const copies = copiesOf(source, intermediates);
  const held = whyHeldBack(request, leftOut);
  const drafts = observed.targets.map((target): Draft => {
    const own = findings.about([placeName(target.place)]);
    const draft = planTarget({ ...planning, findings: own }, ownIn(target, copies, own));
    return held === undefined ? draft : { ...draft, ...heldBack(draft, held) };
  });
  const abroad = drafts.filter(isMakingDraft).filter(({ crossAccount }) => crossAccount);
  const found = { ...observed, intermediates };
  const hubs = planHubs(planning, found, abroad);
  const direct = abroad.filter(({ target }) => !hubs.has(target.request.region));
  const atSource = direct.length === 0 ? undefined : planEncryptedCopy(planning, found, direct);
  const targets = drafts.map((draft): TargetPlan => {
    if (!isMakingDraft(draft)) return draft;
    // In the source account itself, the AMI can be copied as it is.
    const from = draft.crossAccount ? (hubs.get(draft.target.request.region) ?? atSource) : undefined;
    return { ...draft, from, sourceKeys: draft.crossAccount ? keysOf(source, from) : [] };
  });
  const encryptedCopies = [...hubs.values(), ...(atSource ? [atSource] : [])];
  // Those of the targets are checked there.
  if (request.intermediateTags !== undefined)
    for (const { place, tags } of encryptedCopies)
      checkFilled(tags, 'intermediate-tags', { findings, where: placeName(place) });
  const decided = { source, encryptedCopies, targets, leftOut, keys: lentKeys(observed) };
  return {
    ...decided,
    operations: operationsOf({ ...decided, request, leaseId }, holders.dead.size + holders.outdated.size > 0),
  };
}

function givenKeys(request: Request, source: Source): ReadonlySet<string> {
  const isOfRun = (tagValue(source.image, tagKeys.run) ?? '') === request.run.runUrl;
  const isMadeHere = isOfRun && tagValue(source.image, instanceTag) !== undefined;
  return new Set(isMadeHere ? Object.keys(tagsOfTargets(request, source, source.place)) : []);
}

function tellUnreadable({ place, image, imageId }: Source, { now }: Reader, findings: Findings): void {
  const tags = unreadableLeases(image.Tags, now);
  if (tags.length > 0)
    findings.warn(
      placeName(place),
      `tags of ${imageId} that read as no run's lease are left alone: ${tags.join(', ')}`,
    );
}

type Planning = Readonly<{
  request: Request;
  source: Source;
  /** The keys of tags that this very run gave the AMI of an instance: they are no tags of a source's own. */
  given: ReadonlySet<string>;
  leaseId: string;
  holders: Holders;
  findings: Findings;
}>;

/** A target's plan but for where its snapshots come from, which depends on the other targets. */
type MakingDraft = Common & Omit<Supplied, 'from' | 'sourceKeys'> & (Registering | Copying);
type Draft = ReusingPlan | MakingDraft;

function isMakingDraft(draft: Draft): draft is MakingDraft {
  return draft.action === 'register' || draft.action === 'copy';
}

function lentKeys({ source: { snapshots, kmsKeyArn }, hubs }: Observed): string[] {
  const own = snapshots.flatMap(({ kmsKeyArn: key, obstacle }) => (obstacle === undefined ? (key ?? []) : []));
  return [...new Set([...own, kmsKeyArn ?? [], [...hubs.values()].map((hub) => hub.kmsKeyArn)].flat())];
}

/** A hub for each region in which several targets are to be made yet. */
function planHubs(
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

/** What was recalled here stays as it is: it is neither used again nor replaced, and a new one would be the same. */
function tellRecalled({ findings }: Planning, { target: { place, name, existing, namesake }, tie }: Own): void {
  const others =
    namesake === undefined || existing.some(({ ImageId }) => ImageId === namesake.ImageId) ? [] : [namesake];
  for (const image of [...existing, ...others]) {
    const recalled = recallOf(image);
    // Whoever may tag can write the mark, too.
    if (recalled === undefined || tie(image).is !== 'proven') continue;
    const taken = image.Name === name ? `; it keeps its name ${JSON.stringify(name)}` : '';
    const another = 'give the new one another target-ami-name (of another source AMI), or deregister that AMI';
    findings.add(placeName(place), `${recalled.what}${taken}`, `${recalled.remedy}; or ${another}`);
  }
}

function planTarget(planning: Planning, own: Own): Draft {
  tellRecalled(planning, own);
  return planLasting(planning, { ...own, target: withoutRecalled(own) });
}

/** A target without what was recalled in it, of which nothing is planned; a foreign AMI that has the name still has it. */
function withoutRecalled({ target, tie }: Own): Target {
  const isKept = (image: Image) => recallOf(image) === undefined;
  const { namesake } = target;
  const keepsName = namesake === undefined || isKept(namesake) || tie(namesake).is !== 'proven';
  return { ...target, existing: target.existing.filter(isKept), namesake: keepsName ? namesake : undefined };
}

function planLasting(planning: Planning, { target, tie }: Own): Draft {
  const { request, source, holders } = planning;
  const crossAccount = target.request.account !== source.account;
  const route = planRoute(planning, target, crossAccount);
  const found = findImage(planning, target, route);
  const { image, takeOver } = found;
  const discardImages = findFailed(target, holders).filter((one) => tie(one).is === 'proven');
  const others = target.existing.filter(
    (one) => one !== image && one.ImageId !== takeOver && !discardImages.includes(one) && !isLeft(one),
  );
  const registers = image === undefined && route === 'register';
  const { replace, supersedes } = planReplacing(planning, { target, tie }, { others, registers });
  if (image === undefined && takeOver === undefined && supersedes === undefined)
    checkName(planning, target, discardImages);
  if (request.onExisting === 'fail' && others.length > 0) tellExisting(planning, target, others);
  for (const one of replace) checkRemovable(planning, target, one);
  const copies = planCopies(planning, target, registers);
  const going = [...replace, ...discardImages];
  const goingSnapshots = going.flatMap(snapshotIdsOf);
  const finished = copies.untag.filter((id) => !goingSnapshots.includes(id));
  const common: Common = {
    target,
    route,
    expected: expectedOf(planning, target, route),
    replace,
    retained: retentionOf(planning, { target, tie }, { reused: image, going }),
    marks: marksOf(planning, { target, tie }, { reused: image, going }),
    discardImages,
    discard: copies.discard,
    replaced: findReplaced(target, holders),
    untag:
      image !== undefined && tagValue(image, tagKeys.lease) !== undefined
        ? [...finished, image.ImageId ?? '']
        : finished,
  };
  if (image !== undefined) {
    checkTested(planning, target, image);
    return { ...common, action: found.action, image };
  }
  // Where all copies are there, nothing of another account's is read any more, unless its UEFI variables are.
  const reads =
    route === 'copy' ||
    source.image.OwnerId !== source.account ||
    copies.copies.some(({ takeOver }) => takeOver === undefined || shareLeft(target, takeOver) > 0);
  const supplied = {
    crossAccount: crossAccount && reads,
    snapshotTags: planSnapshotTags(planning, target, route),
  };
  return route === 'copy'
    ? { ...common, ...supplied, action: 'copy', takeOver }
    : { ...common, ...supplied, action: 'register', copies: copies.copies, supersedes };
}

/** An AMI that is known to have failed its boot test is not published untested. */
function checkTested({ request: { publication }, findings }: Planning, target: Target, image: Image): void {
  const isTestedNow = publication.boot !== undefined && target.bootSite !== undefined;
  if (!hasFailed(image) || isTestedNow) return;
  const { what, remedy } = failureOf(image);
  findings.add(placeName(target.place), what, remedy);
}

/** What goes once the new AMI is right, and which of it gives the new one its name. */
function planReplacing(
  planning: Planning,
  own: Own,
  { others, registers }: Readonly<{ others: readonly Image[]; registers: boolean }>,
): { replace: readonly Image[]; supersedes: Image | undefined } {
  const { request } = planning;
  const replaced = request.onExisting === 'replace' ? replaceable(planning, own, others) : [];
  if (!registers) return { replace: replaced, supersedes: undefined };
  const former = formerNamesake(planning, own);
  if (former === undefined) return { replace: replaced, supersedes: findSuperseded(request, own.target, replaced) };
  const wasRejected = isRejected(former);
  if (wasRejected || !own.target.existing.some(({ ImageId }) => ImageId === former.ImageId))
    checkUnused(planning, own.target, former);
  const replace = [...replaced.filter(({ ImageId }) => ImageId !== former.ImageId), former];
  return { replace, supersedes: wasRejected ? former : findSuperseded(request, own.target, replace) };
}

/** What there is already of the target's AMI: one to use again, or to wait for; or one to go on copying. */
type FoundImage = Readonly<{ action: 'reuse' | 'await'; image: Image | undefined; takeOver: string | undefined }>;

function findImage(planning: Planning, target: Target, route: Common['route']): FoundImage {
  const reuse = findReusable(planning, target);
  if (reuse !== undefined) return { action: 'reuse', image: reuse, takeOver: undefined };
  const takeOver = route === 'copy' ? findPending(target, planning.holders) : undefined;
  return { action: 'await', image: takeOver === undefined ? findMaking(planning, target) : undefined, takeOver };
}

/**
 * An AMI of the lineage that has the name, whatever its source: with `replace` the next bake takes its place, and so it does
 * of one that failed its boot test, whatever on-existing says of AMIs that are right.
 */
function formerNamesake({ request, holders }: Planning, own: Own): Image | undefined {
  const { namesake, existing, lineage } = own.target;
  if (namesake === undefined || isHeld(namesake, holders)) return undefined;
  const replaces = request.onExisting === 'replace';
  const isOfSource = existing.some(({ ImageId }) => ImageId === namesake.ImageId);
  if (!replaces && (isOfSource || !isRejected(namesake))) return undefined;
  const isOfLineage = lineage !== undefined && tagValue(namesake, tagKeys.lineage) === lineage;
  const isProven = tieInLineage(own)(namesake).is === 'proven';
  return isOfLineage && namesake.State === 'available' && isProven ? namesake : undefined;
}

/** How sure it is that an AMI was made by this action, and as one of the lineage. */
function tieInLineage({ target: { lineage = '', parts }, tie }: Own): Own['tie'] {
  return (image) => {
    const tied = tie(image);
    return tied.is === 'proven' ? tieToLineage(image, lineage, { snapshots: parts }) : tied;
  };
}

/**
 * What would launch an AMI anew that the next bake takes the name of: nobody would, once it is gone. One that goes since it
 * failed its boot test, which only a tag says, must not be used at all.
 */
function checkUnused({ findings }: Planning, { place, users }: Target, image: Image): void {
  const id = image.ImageId ?? '';
  const isGood = !isRejected(image);
  const using = users?.get(id)?.filter(({ launches }) => launches || !isGood) ?? [];
  if (users !== undefined && using.length === 0) return;
  const by = using.map((one) => one.by).join(', ');
  const used = isGood ? `would be launched anew by ${by}` : `is used by ${by}, though its boot test failed by its tag`;
  findings.add(
    placeName(place),
    `${id}, which the new AMI is to replace, ${users === undefined ? 'may be used: what uses it is not known' : used}`,
    'point that to the new AMI by an SSM parameter or a launch template, or give each bake a target-ami-name of its own and retain',
  );
}

/**
 * The AMI that gives the new one its name, just before that is registered. One that is good stays until the new one has
 * passed its boot test, and so under its name.
 */
function findSuperseded(
  { publication: { boot } }: Request,
  target: Target,
  replace: readonly Image[],
): Image | undefined {
  const { bootSite, namesake } = target;
  if (hasReference(target) || (boot !== undefined && bootSite !== undefined)) return undefined;
  return replace.find(({ ImageId, State }) => ImageId === namesake?.ImageId && State !== 'pending');
}

/** An AMI in a state in which nothing can be made of it, and which nobody's run is to see to. */
function isLeft({ State }: Image): boolean {
  return State === 'deregistered' || State === 'invalid';
}

/** What can be proven to be ours, and isn't what another run is making. */
function replaceable({ holders, findings }: Planning, { target, tie }: Own, images: readonly Image[]): Image[] {
  const free = images.filter((one) => !isHeld(one, holders));
  const { proven = [], left = [] } = Object.groupBy(free, (one) => (tie(one).is === 'proven' ? 'proven' : 'left'));
  for (const one of left) leave(findings, placeName(target.place), whyLeft(one, tie));
  return proven;
}

function whyLeft(image: Image, tie: Own['tie']): { id: string | undefined; why: string } {
  const tied = tie(image);
  return { id: image.ImageId, why: tied.is === 'proven' ? '' : tied.why };
}

function retentionOf(
  { request, holders, findings }: Planning,
  own: Own,
  { reused, going }: Readonly<{ reused: Image | undefined; going: readonly Image[] }>,
): Retention | undefined {
  const { retain, retainDays: days } = request.publication;
  const { target, tie } = own;
  const { place, made, users, reports, locks } = target;
  if (retain === undefined) return undefined;
  const gone = new Set(going.map(({ ImageId }) => ImageId));
  const existing = made.filter(({ ImageId }) => !gone.has(ImageId));
  const read = { existing, reused, users, reports, locks, tie: tieInLineage(own) };
  const asked = { count: retain, days, sharing: request.publication, mayLift: mayLift(request) };
  const facts = { ...asked, now: holders.now, ...read };
  const { foreign, ...retention } = planRetention(facts);
  for (const one of foreign) leave(findings, placeName(place), whyLeft(one, tie));
  return retention;
}

/** What says when AMIs of the lineage were published; undefined where all is said. */
function marksOf(
  { findings }: Planning,
  own: Own,
  { reused, going }: Readonly<{ reused: Image | undefined; going: readonly Image[] }>,
): Common['marks'] {
  const { lineage, made } = own.target;
  if (lineage === undefined) return undefined;
  const gone = new Set(going.map(({ ImageId }) => ImageId));
  const existing = made.filter(({ ImageId }) => !gone.has(ImageId));
  const succession = { existing, reused, tie: tieInLineage(own) };
  const former = imageIdsOf(formerOf(succession));
  const isOf = (image: Image) =>
    tagValue(image, tagKeys.lineage) === lineage &&
    tieToLineage(image, lineage, { snapshots: own.target.parts }).is === 'proven';
  if (reused !== undefined && !isOf(reused)) {
    findings.warn(
      placeName(own.target.place),
      `${reused.ImageId} was not made as one of the lineage ${lineage}, so retain does not count it later`,
    );
    return undefined;
  }
  const isSaid =
    reused !== undefined && tagValue(reused, tagKeys.published) !== undefined && !isPublishedAgain(succession);
  const isBack = reused !== undefined && tagValue(reused, tagKeys.superseded) !== undefined;
  return isSaid && former.length === 0 ? undefined : { former, isSaid, isBack };
}

/** What the target's AMI must be; as much of it as making it can be given. */
function expectedOf(planning: Planning, target: Target, route: Common['route']): Expected {
  const { source, request } = planning;
  const isProtected = request.publication.deregistrationProtection !== 'off';
  const tags = planTags(planning, target, {
    of: 'the source',
    inherited: source.image.Tags ?? [],
    ours: { [tagKeys.lineage]: target.lineage ?? '' },
    // A copied image bears the run's lease while it is made, and the encrypted copy that it is of; one of a lineage, that
    // it is published, and what comes after it.
    most: maxTags - (route === 'copy' ? 2 : 0) - (target.lineage === undefined ? 0 : 2) - (isProtected ? 1 : 0),
  });
  return { key: target.kmsKeyArn, description: descriptionOf(source, target), tags };
}

function descriptionOf(source: Source, { description }: Target): string | undefined {
  return description ?? describedAs(source.image);
}

/** The tags of a copy, at most so many: the source's, the user's, and ours. */
function planTags(
  { request, source, given, findings }: Planning,
  target: Target,
  { of, inherited, ours, most }: Readonly<{ of: string; inherited: readonly Tag[]; ours: Tags; most: number }>,
): Tag[] {
  const own = { ...provenance(request, source.imageId), ...ours };
  const sources = request.copyTags ? inherited.filter(({ Key = '' }) => !given.has(Key)) : [];
  const { tags, dropped } = mergeTags(sources, { users: target.tags, ours: own }, most);
  if (dropped.length > 0)
    findings.warn(placeName(target.place), `AWS allows 50 tags; these of ${of}'s are left out: ${dropped.join(', ')}`);
  return tags;
}

type Tags = Readonly<Record<string, string>>;

/** A copied image's snapshots bear the encrypted copy that they are of, too. */
function planSnapshotTags(planning: Planning, target: Target, route: Common['route']): Map<string, Tag[]> {
  const most = route === 'copy' ? maxTags - 1 : maxTags;
  return new Map(
    planning.source.snapshots.map(({ id, tags }) => {
      const ours = {
        [tagKeys.sourceSnapshot]: id,
        [tagKeys.kmsKey]: target.kmsKeyArn,
        [tagKeys.lease]: planning.leaseId,
      };
      return [id, planTags(planning, target, { of: id, inherited: tags, ours, most })];
    }),
  );
}

/** An AMI that is to be replaced must be one that can be removed. */
function checkRemovable({ request, findings }: Planning, { place, locks }: Target, image: Image): void {
  const obstacle = removalObstacle(image, locks, { mayWait: false, mayLift: mayLift(request) });
  if (obstacle === undefined) return;
  findings.add(
    placeName(place),
    `${image.ImageId} is to be replaced, but ${obstacle.why}`,
    `${obstacle.remedy}; or set on-existing to reuse`,
  );
}

function tellExisting({ findings }: Planning, { place }: Target, others: readonly Image[]): void {
  const list = others
    .map(({ ImageId, Name, State }) => `${ImageId} (${Name}${State === 'available' ? '' : `, ${State}`})`)
    .join(', ');
  findings.add(
    placeName(place),
    `there is an AMI of this source already: ${list}`,
    'deregister it, or set on-existing to reuse or replace',
  );
}

/** The name must be free where an AMI is made that takes over no other's. */
function checkName(planning: Planning, target: Target, discardImages: readonly Image[]): void {
  const { request, findings } = planning;
  const { namesake } = target;
  if (isSourceItself(planning.source, target)) {
    tellSourceItself(planning, target);
    return;
  }
  if (namesake === undefined || discardImages.some(({ ImageId }) => ImageId === namesake.ImageId)) return;
  const where = placeName(target.place);
  const taken = `the name ${JSON.stringify(target.name)} is taken by ${namesake.ImageId}`;
  const remedy = 'choose another target-ami-name, or deregister that AMI';
  const tell = (why: string, toDo: string) => findings.add(where, `${taken}${why}`, toDo);
  if (!target.existing.some(({ ImageId }) => ImageId === namesake.ImageId)) tell('', remedy);
  // Then it is told as an AMI of this source that is there.
  else if (request.onExisting === 'fail') return;
  else if (namesake.State === 'pending' || isHeld(namesake, planning.holders))
    tell(', which is being made', 'run it again when that AMI is available');
  else if (request.onExisting === 'replace')
    tell(
      ', which must stay until the new AMI is there (by route copy, as an ssm-parameter or a launch-template names it, or as the new one may fail its boot-test)',
      'give each AMI a name of its own, with {date} or {run-id} in target-ami-name',
    );
  else tell(`, an AMI of this source that differs: ${whyUnlike(planning, target, namesake)}`, remedy);
}

/** Whether the source AMI is in a target's account and region, and has the name that a copy of it is to have there. */
function isSourceItself({ place, account, image }: Source, target: Target): boolean {
  const isOwn = (image.OwnerId ?? account) === account;
  return isOwn && placeName(target.place) === placeName(place) && target.name === image.Name;
}

function tellSourceItself({ source, findings }: Planning, { place, name }: Target): void {
  const where = placeName(place);
  const called = nameOfSource({ source });
  findings.add(
    where,
    `this is where the source AMI ${called === name ? '' : `${called} `}is, and AWS gives its name ${JSON.stringify(name)} once`,
    `leave this target out (exclude-targets: ${where}), or give the copy a name of its own (ami-name in targets)`,
  );
}
