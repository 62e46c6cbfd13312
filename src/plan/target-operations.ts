import type { Image } from '@aws-sdk/client-ec2';
import { placeName, type Where } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import { joinIds, maxTags, mergeTags, tagKeys, tagValue } from '../tags.ts';
import { hasPassed } from './boot.ts';
import { type Decided, isMaking, type MakingPlan, provenance, type TargetPlan } from './decided.ts';
import type { BootSite } from './facts.ts';
import { type Operation, type PublishSettings, type Ref, told } from './operation.ts';
import { hasReference, settingAll } from './references.ts';
import { deregistering, mayLift, removalId } from './removal.ts';
import { imageCopyId, nameOfSource, type Supply } from './supply-operations.ts';

/** What is done in a target, the operation that ends with its AMI ready, and those that what can't be undone comes after. */
type TargetPart = Readonly<{ operations: readonly Operation[]; last: string; ends: readonly string[] }>;

export function targetOperations(decided: Decided, supply: Supply, plan: TargetPlan): TargetPart {
  const all = discarding(plan, supply.begin());
  const made: Omit<TargetPart, 'ends'> = isMaking(plan) ? making(decided, supply, plan) : using(plan);
  const booted = booting(decided, supply, { plan, last: made.last });
  const published = publishing(decided, plan, { image: { madeBy: made.last }, after: booted[0]?.id ?? made.last });
  // What is waited for is finished only when it was found right.
  const isLate = ({ kind }: Operation) => plan.action === 'await' && kind === 'untag';
  const late = all.filter(isLate).map((one) => ({ ...one, after: [made.last] }));
  const left = all.filter((one) => !isLate(one));
  const last = published[0]?.id ?? booted[0]?.id ?? made.last;
  // An AMI that still bears a lease reads as half-made, should the run be killed.
  const finishing = isMaking(plan) ? [finishId(placeName(plan.target.place))] : late.map(({ id }) => id);
  return {
    operations: [...left, ...made.operations, ...late, ...booted, ...published],
    last,
    ends: [last, ...finishing],
  };
}

/** What dead runs left in a target. */
function discarding(
  { target: { place }, discardImages, discard, untag }: TargetPlan,
  after: readonly string[],
): Operation[] {
  const where = placeName(place);
  return [
    ...discardImages.map((image) =>
      deregistering(image, 'left', { place, after, why: 'a run that died left it half-made' }),
    ),
    ...(discard.length === 0
      ? []
      : [
          {
            ...told({
              id: `delete in ${where}`,
              place,
              of: discard,
              after,
              why: 'dead runs left them, and no AMI has them',
            }),
            ...({ kind: 'delete', snapshotIds: discard } as const),
          },
        ]),
    ...(untag.length === 0
      ? []
      : [
          {
            ...told({
              id: `untag in ${where}`,
              place,
              of: untag,
              after,
              why: 'finished, but it bears the lease of a run',
            }),
            ...({ kind: 'untag', resources: untag, finishes: undefined } as const),
          },
        ]),
  ];
}

/** An AMI that is there, or that another run makes. */
function using({
  action,
  image,
  expected,
  target: { place },
}: TargetPlan & { image: Image }): Omit<TargetPart, 'ends'> {
  const island = placeName(place);
  const id = image.ImageId ?? '';
  const base = { place, island, of: [id] };
  const waits = action === 'await';
  const awaited = `await ${id} in ${island}`;
  const why = waits ? 'it is an AMI of this source; used if it came out right' : 'the AMI is there, and right';
  const used: Operation = {
    ...told({ ...base, id: `reuse ${id} in ${island}`, after: waits ? [awaited] : [], why }),
    ...{ kind: 'reuse', image, expected, waits },
  };
  const waiting = 'an AMI of this source is being made under this name';
  return {
    operations: [
      ...(waits ? [{ ...told({ ...base, id: awaited, after: [], why: waiting }), kind: 'await', image } as const] : []),
      used,
    ],
    last: used.id,
  };
}

function making(decided: Decided, supply: Supply, plan: MakingPlan): Omit<TargetPart, 'ends'> {
  const { target, expected } = plan;
  const island = placeName(target.place);
  const base = { place: target.place, of: [target.name] };
  const made = plan.action === 'copy' ? [copyingImage(decided, supply, plan)] : registering(decided, supply, plan);
  const last = made.at(-1)?.id ?? '';
  const id = verifyId(island);
  const why = 'an AMI that differs from the source must not be used';
  // What another run began was described by it.
  const takenOver = plan.action === 'copy' && plan.takeOver !== undefined;
  const tags = takenOver ? expected.tags.filter(({ Key = '' }) => !ofRun.includes(Key)) : expected.tags;
  const described = takenOver ? undefined : (expected.description ?? '');
  return {
    operations: [
      ...made,
      {
        ...told({ ...base, id, island, key: expected.key, after: [last], why }),
        ...{ kind: 'verify', image: { madeBy: last }, expected: { ...expected, description: described, tags } },
      },
      {
        ...told({ ...base, id: finishId(island), after: [id], why: 'a finished AMI bears no lease' }),
        ...{ kind: 'untag', finishes: last, resources: [] },
      },
    ],
    last: id,
  };
}

/** The tags that say which run made an image; another may take it over at the same time. */
const ofRun: string[] = [tagKeys.run, tagKeys.commit];

const verifyId = (island: string) => `verify ${island}`;
const finishId = (island: string) => `finish ${island}`;

/** The copies, the largest first; the AMI that gives its name up, if one does; and the new one. */
function registering(decided: Decided, supply: Supply, plan: MakingPlan & { action: 'register' }): Operation[] {
  const { target, supersedes, expected, from } = plan;
  const { place, kmsKeyArn: key, name } = target;
  const { source } = decided;
  const island = placeName(place);
  const copies = plan.copies
    .toSorted((a, b) => b.source.sizeGiB - a.source.sizeGiB)
    .map(({ source: snapshot, takeOver }) => {
      const { resource, name: called, after } = supply.supplied(plan, snapshot.id);
      const id = `copy ${snapshot.id} to ${island}`;
      const why = takeOver === undefined ? 'each account has copies under its own key' : 'an earlier run began it';
      const begun = takeOver === undefined ? after : supply.begin();
      return {
        ...told({ id, place, island, of: [takeOver ?? called], key, after: begun, why }),
        ...({ kind: 'copy', snapshot, from: resource, fromRegion: regionOf(decided, plan), key, takeOver } as const),
        ...{
          lineage: target.lineage,
          tags: plan.snapshotTags.get(snapshot.id) ?? [],
          regain: plan.crossAccount ? after : [],
        },
      };
    });
  // Only its owner can read an image's UEFI variables; the encrypted copy is the source account's own.
  const foreign = from !== undefined && from.only === undefined && source.image.OwnerId !== source.account;
  const extrasOf = foreign ? imageCopyId(from) : undefined;
  const after = [...copies.map(({ id }) => id), extrasOf ?? [], freeing(plan)].flat();
  const freed =
    supersedes === undefined
      ? []
      : [
          deregistering(supersedes, 'name', {
            ...{ place, island, after, extras: target.existingExtras.get(supersedes.ImageId ?? '') },
            mayLift: mayLift(decided.request),
            until: verifyId(island),
            why: `the new AMI takes its name ${supersedes.Name}, and no two AMIs of a region can have the same`,
          }),
        ];
  const why = "the AMI of the copies, with every attribute of the source's";
  return [
    ...copies,
    ...freed,
    {
      ...told({
        id: `register ${island}`,
        place,
        island,
        of: [name],
        after: [...after, ...freed.map(({ id }) => id)],
        why,
      }),
      ...{ kind: 'register', name, description: expected.description, tags: expected.tags, extrasOf, expected },
      ...{ copies: new Map(copies.map(({ snapshot, id }) => [snapshot.id, id])) },
    },
  ];
}

function copyingImage(decided: Decided, supply: Supply, plan: MakingPlan & { action: 'copy' }): Operation {
  const { target, takeOver, expected, snapshotTags } = plan;
  const { source, request, leaseId } = decided;
  const { place, kmsKeyArn: key, name } = target;
  const island = placeName(place);
  const image = supply.supplied(plan, undefined);
  const ids = source.snapshots.map(({ id }) => id);
  const after = plan.crossAccount
    ? [...new Set([image, ...ids.map((id) => supply.supplied(plan, id))].flatMap((one) => one.after))]
    : image.after;
  const own = {
    ...provenance(request, source.imageId),
    ...{ [tagKeys.kmsKey]: key, [tagKeys.lease]: leaseId },
    // CopyImage gives all its snapshots the same tags; which is whose is told when they are there.
    [tagKeys.sourceSnapshot]: joinIds(ids),
  };
  const id = `copy ${nameOfSource(decided)} to ${island}`;
  const why = takeOver === undefined ? 'each account has a copy under its own key' : 'an earlier run began it';
  const begun = [...(takeOver === undefined ? after : supply.begin()), ...freeing(plan)];
  return {
    ...told({ id, place, island, of: [takeOver ?? image.name], key, after: begun, why }),
    ...{ kind: 'copy-image', from: image.resource, fromRegion: regionOf(decided, plan), key, name, takeOver, expected },
    ...{
      description: expected.description,
      snapshotTags,
      anyTags: mergeTags([], { users: target.tags, ours: own }).tags,
    },
    ...{
      imageTags: [...expected.tags, { Key: tagKeys.lease, Value: leaseId }],
      regain: plan.crossAccount ? after : [],
    },
  };
}

/** The removal of what a dead run left under the name that the new AMI is to have. */
function freeing({ target, discardImages }: MakingPlan): string[] {
  return discardImages.filter(({ Name }) => Name === target.name).map((image) => removalId(image, target.place));
}

function regionOf({ source }: Decided, { from }: MakingPlan): string {
  return from?.place.region ?? source.place.region;
}

/** The boot test, if one is asked for, unless an AMI that is used again is known to have passed it. */
function booting(
  { request, source }: Decided,
  supply: Supply,
  { plan, last }: Readonly<{ plan: TargetPlan; last: string }>,
): Operation[] {
  const { target } = plan;
  const { boot } = request.publication;
  if (boot === undefined || target.bootSite === undefined || !isTested(request, plan)) return [];
  const { place, name, bootSite: site, kmsKeyArn: key, principalArn: principal } = target;
  const island = placeName(place);
  const { tags } = mergeTags([], { users: target.tags, ours: provenance(request, source.imageId) }, maxTags - 1);
  const earlier = [...target.existing, ...target.made].find(({ State }) => State === 'available')?.ImageId;
  const { test, timeoutMinutes, required } = boot;
  const { launchPermissions } = request.publication;
  const launchers = { key: key ?? '', launchPermissions, grantElsewhere: grantedElsewhere(target) };
  return [
    {
      ...told({
        ...{ id: bootId(place), place, island, key },
        of: [isMaking(plan) ? name : (plan.image.ImageId ?? '')],
        after: isMaking(plan) ? [last] : [...supply.begin(), last],
        why: `only what comes up is published; ${launchedAs(site)}`,
      }),
      ...{ kind: 'boot', image: { madeBy: last }, site },
      settings: { test, timeoutMinutes, required, principal, launchers, tags, earlier },
    },
  ];
}

/** Names the operation that tests whether the AMI of a target boots. */
export const bootId = (place: Where): string => `boot ${placeName(place)}`;

/** Whether an AMI is to be launched to see whether it boots. */
export function isTested({ publication: { boot } }: Decided['request'], plan: TargetPlan): boolean {
  if (boot === undefined || plan.target.bootSite === undefined) return false;
  return isMaking(plan) || !hasPassed(plan.image, boot.test);
}

/** So many subnets are named of those that are tried. */
const namedSubnets = 3;

/** As what, where and with which rights it is launched. */
function launchedAs({ sizes, profile }: BootSite): string {
  const each = (values: readonly string[]) => [...new Set(values)];
  const launches = sizes.flat();
  const types = each(launches.map(({ type }) => type));
  const subnets = each(launches.map(({ subnet }) => subnet));
  const groups = each(launches.flatMap((one) => one.groups));
  const more = subnets.length - namedSubnets;
  const where = `${subnets.slice(0, namedSubnets).join(' or ')}${more > 0 ? ` or ${more} more` : ''}`;
  const guarded = groups.length > 0 ? ` with ${groups.join(', ')}` : '';
  return `as ${types.join(' or ')} in ${where}${guarded}${profile === undefined ? '' : `, by ${profile}`}`;
}

const dayMs = 86_400_000;

/** Publishing, if anything is asked for. */
function publishing(
  { request: { publication, run } }: Decided,
  plan: TargetPlan,
  { image, after: last }: Readonly<{ image: Ref; after: string }>,
): Operation[] {
  const { place, kmsKeyArn: key, grantKeyTo, zones, name } = plan.target;
  const { deprecateAfter: after, deregistrationProtection: protection, launchPermissions } = publication;
  const days = after !== undefined && 'days' in after ? after.days : 0;
  const deprecateAt: PublishSettings['deprecateAt'] =
    after &&
    ('at' in after ? { at: after.at.getTime(), keep: false } : { at: run.date.getTime() + days * dayMs, keep: true });
  const grantElsewhere = grantedElsewhere(plan.target);
  const granted = grantKeyTo.filter((one) => !grantElsewhere.includes(one));
  const settings = { key, grantKeyTo: granted, grantElsewhere, launchPermissions, deprecateAt, protection, zones };
  const lists = [grantKeyTo, launchPermissions, zones].some(({ length }) => length > 0);
  if (!lists && deprecateAt === undefined && protection === 'off') return [];
  const island = placeName(place);
  const of = [isMaking(plan) ? name : (plan.image.ImageId ?? '')];
  const why = 'what the inputs ask for beside the AMI';
  return [
    { ...told({ id: `publish ${island}`, place, island, of, after: [last], why }), kind: 'publish', image, settings },
  ];
}

/** The service-linked roles of other accounts that are to use the key. */
function grantedElsewhere({ grantKeyTo, place }: TargetPlan['target']): string[] {
  return grantKeyTo.filter((one) => isOthersServiceRole(one, place.account));
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html: their path begins so. */
function isOthersServiceRole(principal: string, account: string): boolean {
  const [, of] = /^arn:[^:]+:iam::(\d{12}):role\/aws-service-role\//.exec(principal) ?? [];
  return of !== undefined && of !== account;
}

type Part = TargetPart & { target: TargetPlan };

/**
 * What waits for all targets but the optional ones: the SSM parameters and launch templates; then the older AMIs, which
 * those named until now. An optional target's are set after those, as soon as that target is ready.
 */
export function concluding(decided: Decided, parts: readonly Part[]): Operation[] {
  const { place } = decided.source;
  if (!parts.some(({ target }) => hasReference(target.target)))
    return parts.flatMap((part) => finishing(decided, part, part.ends));
  const { needed = [], optional = [] } = Object.groupBy(parts, (one) =>
    one.target.target.request.optional ? 'optional' : 'needed',
  );
  const common = settingAll(place, needed, { name: 'every target', after: [] });
  // The last of them says that all are set.
  const set = common.slice(-1).map(({ id }) => id);
  return [
    ...common,
    ...needed.flatMap((part) => finishing(decided, part, set)),
    ...optional.flatMap((one) => {
      const { target } = one.target;
      const name = placeName(target.place);
      const own = hasReference(target) ? settingAll(place, [one], { name, after: set }) : [];
      const last = own.slice(-1).map(({ id }) => id);
      return [...own, ...finishing(decided, one, last.length > 0 ? last : [...set, ...one.ends])];
    }),
  ];
}

/** That the AMI is published is said; then those before it go. */
function finishing(decided: Decided, { target: plan, last }: Part, after: readonly string[]): Operation[] {
  const { marks, target } = plan;
  if (marks === undefined) return retiring(decided, plan, after);
  const { place, name } = target;
  const id = `published ${placeName(place)}`;
  const of = [isMaking(plan) ? name : (plan.image.ImageId ?? '')];
  const why = marks.former.length > 0 ? `it comes after ${marks.former.join(', ')}` : 'retain-days counts from it';
  const marked = told({ id, place, of, after, why });
  return [{ ...marked, kind: 'published', image: { madeBy: last }, ...marks }, ...retiring(decided, plan, [id])];
}

/** AMIs that the new one replaces, and those that retain leaves no room for. */
function retiring({ request, source }: Decided, plan: TargetPlan, after: readonly string[]): Operation[] {
  const { target, replace, replaced, retained } = plan;
  const { place } = target;
  const where = placeName(place);
  const gone = { place, after, mayLift: mayLift(request) };
  const supersedes = plan.action === 'register' ? plan.supersedes : undefined;
  return [
    ...replace.map((image): Operation => {
      if (image !== supersedes) return deregistering(image, 'replaced', { ...gone, why: 'the new AMI replaces it' });
      const of = snapshotIdsOf(image);
      const id = `delete the snapshots of ${image.ImageId} in ${where}`;
      // From then on it is not registered again.
      const verified = [verifyId(where), finishId(where)];
      const what = told({ id, place, of, after: verified, why: `${image.ImageId} is replaced` });
      return { ...what, kind: 'delete', snapshotIds: of, superseded: image.ImageId ?? '' };
    }),
    ...(replaced.length === 0
      ? []
      : [
          {
            ...told({
              id: `delete what was replaced in ${where}`,
              place,
              of: replaced,
              after,
              why: 'a run that died deregistered their AMI, and the new one is there now',
            }),
            ...({ kind: 'delete', snapshotIds: replaced } as const),
          },
        ]),
    ...(retained?.protect ?? []).map((image): Operation => {
      const id = `protect ${image.ImageId} in ${where}`;
      const cooldown = tagValue(image, tagKeys.protection) === 'on-with-cooldown';
      const what = told({ id, place, of: [image.ImageId ?? ''], after, why: 'it has come into use' });
      return { ...what, kind: 'protect', image, cooldown };
    }),
    ...(retained?.remove ?? []).map((image) => {
      const report = retained?.reports.get(image.ImageId ?? '');
      return deregistering(image, 'retain', { ...gone, why: 'retain leaves no room for it', report });
    }),
    ...(retained?.ask ?? []).map(({ image, replaces }): Operation => {
      const id = `ask who uses ${image.ImageId} in ${where}`;
      const why = 'AWS is asked which accounts use it: retain leaves no room for it, and others may launch it';
      const { tags } = mergeTags([], { users: target.tags, ours: provenance(request, source.imageId) }, maxTags);
      const what = told({ id, place, of: [image.ImageId ?? ''], after, why });
      return { ...what, kind: 'ask-usage', image, replaces, tags };
    }),
  ];
}
