import { placeName, type Where } from '../aws/errors.ts';
import type { TargetRequest } from '../inputs/targets.ts';
import { sha256 } from '../sha256.ts';
import type { TargetPlan } from './decided.ts';
import type { Target } from './facts.ts';
import { type Operation, type Reference, told } from './operation.ts';

/* What names the targets' AMIs, SSM parameters and launch templates: set for all targets or for none. */

/** The island of the SSM parameters and launch templates that are set for all targets or for none. */
export const referencesIsland = 'SSM parameters and launch templates';

/** What an optional target has of them is an island by itself: should it fail, the others stay as they are. */
export function referenceIsland({ optional, ...place }: TargetRequest): string {
  return optional ? `${referencesIsland} in ${placeName(place)}` : referencesIsland;
}

/** Whether a target has what is to name its AMI: an SSM parameter or a launch template. */
export function hasReference({ ssmParameter, launchTemplate }: Target): boolean {
  return ssmParameter !== undefined || launchTemplate !== undefined;
}

/**
 * A mark of all that is to name these targets' AMIs, by which a run is known to set the very same. Undefined where one call
 * sets all there is: that is done or not, and a run that dies leaves nothing half set.
 */
export function referencesMark(targets: readonly TargetPlan[]): string | undefined {
  const calls = targets.flatMap(({ target: { place, ssmParameter, launchTemplate: template } }) => [
    ...(ssmParameter === undefined ? [] : [`${placeName(place)} ${ssmParameter}`]),
    ...(template === undefined ? [] : [`${placeName(place)} ${template.id}`]),
    ...(template?.makesDefault ? [`${placeName(place)} ${template.id} by default`] : []),
  ]);
  return calls.length > 1 ? sha256(calls.sort().join()).slice(0, 8) : undefined;
}

/** A target, the operation that ends with its AMI ready, and those that what can't be undone comes after. */
type Part = Readonly<{ target: TargetPlan; last: string; ends: readonly string[] }>;

/** The operations that set what names the AMIs of all these targets, or of none. */
export function settingAll(
  place: Where,
  parts: readonly Part[],
  { name, after }: Readonly<{ name: string; after: readonly string[] }>,
): Operation[] {
  const [first] = parts;
  if (first === undefined) return [];
  const ready = `${name} is ready`;
  const island = referenceIsland(first.target.target.request);
  const sets = parts.flatMap((one) => setting(one, [ready]));
  const ends = [...after, ...parts.flatMap((one) => one.ends)];
  const all = 'SSM parameters and launch templates are set for all targets or for none';
  const then = 'until then they may be put back to the older AMIs';
  const last = { id: `all is set for ${name}`, place, of: [], island, after: sets.map(({ id }) => id), why: then };
  // Where targets fail, those that wait for them haven't.
  const own = island === referencesIsland ? {} : { island };
  return [
    { ...told({ id: ready, place, of: [], after: ends, why: all, ...own }), kind: 'ready', sets, settled: [] },
    ...sets,
    { ...told(last), kind: 'ready', sets: [], settled: sets },
  ];
}

/** The operations that have a target's AMI named. */
function setting({ target: { target }, last }: Part, after: readonly string[]): Reference[] {
  const { ssmParameter: name, launchTemplate: template, place, request, tags } = target;
  const base = { place, island: referenceIsland(request), after };
  const where = placeName(place);
  const image = { madeBy: last };
  return [
    ...(name === undefined
      ? []
      : [
          {
            ...told({ ...base, id: `parameter ${name} in ${where}`, of: [name], why: 'it is to name the AMI' }),
            ...({ kind: 'parameter', name, image, tags } as const),
          },
        ]),
    ...(template === undefined
      ? []
      : [
          {
            ...told({
              ...base,
              id: `version of ${template.id} in ${where}`,
              of: [template.id],
              why: `it is to launch the AMI, by a version like ${template.sourceVersion}${template.makesDefault ? `, which becomes the default (before: ${template.formerDefault})` : ''}`,
            }),
            ...({ kind: 'template-version', template, image } as const),
          },
        ]),
  ];
}
