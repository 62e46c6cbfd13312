import type { Image } from '@aws-sdk/client-ec2';
import { placeName } from '../aws/errors.ts';
import { snapshotIdsOf } from '../image.ts';
import { tagKeys, tagValue } from '../tags.ts';
import { failureOf, hasFailed } from './boot.ts';
import type { Common } from './decided.ts';
import { findFailed, findMaking, findPending, findReplaced, findReusable, planCopies, shareLeft } from './earlier.ts';
import type { Target } from './facts.ts';
import { checkName, tellExisting } from './naming.ts';
import type { Own } from './ours.ts';
import type { Draft, Planning } from './planning.ts';
import { recallOf } from './recalled.ts';
import { checkRemovable, planReplacing } from './replacing.ts';
import { planRoute } from './route.ts';
import { marksOf, retentionOf } from './succession.ts';
import { expectedOf, planSnapshotTags } from './target-tags.ts';

/* What is done in one target. */

export function planTarget(planning: Planning, own: Own): Draft {
  tellRecalled(planning, own);
  return planLasting(planning, { ...own, target: withoutRecalled(own) });
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

/** What there is already of the target's AMI: one to use again, or to wait for; or one to go on copying. */
type FoundImage = Readonly<{ action: 'reuse' | 'await'; image: Image | undefined; takeOver: string | undefined }>;

function findImage(planning: Planning, target: Target, route: Common['route']): FoundImage {
  const reuse = findReusable(planning, target);
  if (reuse !== undefined) return { action: 'reuse', image: reuse, takeOver: undefined };
  const takeOver = route === 'copy' ? findPending(target, planning.holders) : undefined;
  return { action: 'await', image: takeOver === undefined ? findMaking(planning, target) : undefined, takeOver };
}

/** An AMI in a state in which nothing can be made of it, and which nobody's run is to see to. */
function isLeft({ State }: Image): boolean {
  return State === 'deregistered' || State === 'invalid';
}
