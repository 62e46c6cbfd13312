import type { Image } from '@aws-sdk/client-ec2';
import { placeName } from '../aws/errors.ts';
import type { Request } from '../inputs.ts';
import type { Common, LeftOut, Plan } from './decided.ts';
import type { Findings } from './problem.ts';
import { hasReference } from './references.ts';

/** The targets that the run does without, by what was found so far: those with a problem, if on-problem or they allow it. */
export function leftOutOf({ onProblem, targets }: Request, findings: Findings): LeftOut[] {
  return targets
    .filter(({ optional }) => optional || onProblem === 'skip')
    .map((target) => ({ target, problems: findings.of(placeName(target)) }))
    .filter(({ problems }) => problems.length > 0);
}

/** Whether anything was found that ends the run: of the source, of the whole, or of a target that it can't do without. */
export function isStopped({ targets }: Request, { leftOut }: Pick<Plan, 'leftOut'>, findings: Findings): boolean {
  const out = new Set(leftOut.map(({ target }) => target));
  const needed = targets.filter((target) => !out.has(target));
  return [undefined, ...needed.map(placeName)].some((one) => findings.of(one).length > 0);
}

/** The left-out targets for which parameters, launch templates and older AMIs stay as they are everywhere. */
export function holdingBack(leftOut: readonly LeftOut[]): string[] {
  return leftOut.filter(({ target }) => !target.optional).map(({ target }) => placeName(target));
}

/** Why parameters, launch templates and older AMIs stay as they are everywhere; undefined where they don't. */
export function whyHeldBack({ publication }: Request, leftOut: readonly LeftOut[]): string | undefined {
  if (!publication.promote) return 'promote is false, and older AMIs go when the new ones are promoted';
  if (holdingBack(leftOut).length === 0) return undefined;
  return 'a target is left out, and older AMIs go only when every target is ready';
}

/**
 * What is decided of a target, without what waits for all targets. The AMI that has the new one's name goes all the same:
 * without that, there could be no new one.
 */
export function heldBack(
  { replace, retained, marks, supersedes, target }: Common & Readonly<{ supersedes?: Image | undefined }>,
  why: string,
): Pick<Common, 'target' | 'replace' | 'retained' | 'marks'> {
  return {
    target: { ...target, ssmParameter: undefined, launchTemplate: undefined },
    replace: replace.filter((one) => one === supersedes),
    // Where nothing names it yet, it isn't what people are pointed to.
    marks: hasReference(target) ? undefined : marks,
    retained: retained && {
      ...retained,
      remove: [],
      protect: [],
      ask: [],
      held: [...retained.held, ...retained.remove.map((image) => ({ image, why }))],
    },
  };
}
