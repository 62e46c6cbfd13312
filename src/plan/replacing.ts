import type { Image } from '@aws-sdk/client-ec2';
import { placeName } from '../aws/errors.ts';
import type { Request } from '../inputs.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { listed } from '../words.ts';
import { isRejected } from './boot.ts';
import { isHeld } from './earlier.ts';
import type { Target } from './facts.ts';
import { leave, type Own } from './ours.ts';
import type { Planning } from './planning.ts';
import { hasReference } from './references.ts';
import { mayLift, removalObstacle } from './removal.ts';
import { lineageTieOf, whyLeft } from './succession.ts';

/* Which AMIs the new one replaces, and which of them gives it its name. */

/** What goes once the new AMI is right, and which of it gives the new one its name. */
export function planReplacing(
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
  const isProven = lineageTieOf(own)(namesake).is === 'proven';
  return isOfLineage && namesake.State === 'available' && isProven ? namesake : undefined;
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
  const by = listed(using.map((one) => one.by));
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

/** What can be proven to be ours, and isn't what another run is making. */
function replaceable({ holders, findings }: Planning, { target, tie }: Own, images: readonly Image[]): Image[] {
  const free = images.filter((one) => !isHeld(one, holders));
  const { proven = [], left = [] } = Object.groupBy(free, (one) => (tie(one).is === 'proven' ? 'proven' : 'left'));
  for (const one of left) leave(findings, placeName(target.place), whyLeft(one, tie));
  return proven;
}

/** An AMI that is to be replaced must be one that can be removed. */
export function checkRemovable({ request, findings }: Planning, { place, locks }: Target, image: Image): void {
  const obstacle = removalObstacle(image, locks, { mayWait: false, mayLift: mayLift(request) });
  if (obstacle === undefined) return;
  findings.add(
    placeName(place),
    `${image.ImageId} is to be replaced, but ${obstacle.why}`,
    `${obstacle.remedy(place.region)}; or set on-existing to reuse`,
  );
}
