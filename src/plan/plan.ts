import { placeName } from '../aws/errors.ts';
import type { Request } from '../inputs.ts';
import { type Reader, unreadableLeases } from '../lease.ts';
import { instanceTag, tagKeys, tagValue } from '../tags.ts';
import { checkFilled, tagsOfTargets } from './creation-tags.ts';
import type { LeftOut, Plan, TargetPlan } from './decided.ts';
import { holdersOf } from './earlier.ts';
import { keysOf, planEncryptedCopy, planHubs } from './encrypted-copies.ts';
import type { Observed, Source } from './facts.ts';
import { heldBack, whyHeldBack } from './left-out.ts';
import { operationsOf } from './operations.ts';
import { copiesOf, ownIn, ownIntermediates } from './ours.ts';
import { type Draft, isMakingDraft, type Planning } from './planning.ts';
import type { Findings } from './problem.ts';
import { planTarget } from './target.ts';

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

function lentKeys({ source: { snapshots, kmsKeyArn }, hubs }: Observed): string[] {
  const own = snapshots.flatMap(({ kmsKeyArn: key, obstacle }) => (obstacle === undefined ? (key ?? []) : []));
  return [...new Set([...own, kmsKeyArn ?? [], [...hubs.values()].map((hub) => hub.kmsKeyArn)].flat())];
}
