import type { Where } from '../aws/errors.ts';
import { runValues } from '../inputs/reader.ts';
import type { Request } from '../inputs.ts';
import { maxTags, maxTagValue, ownTagCount } from '../tags.ts';
import { fill } from '../template.ts';
import type { Source } from './facts.ts';
import type { Findings } from './problem.ts';

/*
 * Organizations can refuse to let anything be made without tags: by aws:RequestTag in a service control policy
 * (https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_examples_tagging.html). So what is
 * made in the source account bears the user's tags, too, from the call that makes it.
 */

export type CreationTags = Readonly<Record<string, string>>;

/** The tags of all targets, filled in for a place of the source account; where they differ, the first target's. */
export function tagsOfTargets(request: Request, source: Source, place: Where): CreationTags {
  return filled(templatesOf(request), { request, source, place });
}

/**
 * What an encrypted copy and its snapshots bear beside the action's own tags: `intermediate-tags`, or else the targets',
 * but never `Name`, by which people take an image for what it is called.
 */
export function intermediateTags(request: Request, source: Source, place: Where): CreationTags {
  const { intermediateTags: given } = request;
  const templates = given === undefined ? templatesOf(request) : new Map(Object.entries(given));
  if (given === undefined) templates.delete('Name');
  return filled(templates, { request, source, place });
}

function templatesOf({ targets }: Request): Map<string, string> {
  const first = new Map<string, string>();
  for (const { tags } of targets)
    for (const [key, template] of Object.entries(tags)) if (!first.has(key)) first.set(key, template);
  return first;
}

type Filling = Readonly<{ request: Request; source: Source; place: Where }>;

/** As many as AWS takes beside the action's own: targets may have more between them. */
function filled(templates: ReadonlyMap<string, string>, { request, source, place }: Filling): CreationTags {
  const { imageId, image } = source;
  const values = { ...place, ...runValues(request.run), name: image.Name ?? '', 'source-ami': imageId };
  const fitting = [...templates].slice(0, maxTags - ownTagCount);
  return Object.fromEntries(fitting.map(([key, template]) => [key, fill(template, values)]));
}

/** Finds the values that are too long only now that their placeholders are filled in; `input` gives them. */
export function checkFilled(tags: CreationTags, input: string, { findings, where }: Noting): void {
  for (const [key, { length }] of Object.entries(tags))
    if (length > maxTagValue)
      findings.add(
        where,
        `the value of tag ${key} has ${length} characters when its placeholders are filled in, and AWS takes ${maxTagValue}`,
        `shorten it in ${input}`,
      );
}

type Noting = Readonly<{ findings: Findings; where: string }>;
