import { fill, needsSourceImage, shortestTarget, unknownPlaceholders } from '../template.ts';
import { keyProblem, type Reader, type RunContext, runValues } from './reader.ts';

/** The key of the hubs; each is in a region of its own, so that one which names a region is looked at there. */
export function readHubKey(reader: Reader, sourceRegion: string, run: RunContext): string | undefined {
  const template = reader.templateValue('hub-kms-key', reader.optional('hub-kms-key'));
  if (template === undefined) return undefined;
  const region = /^arn:[^:]*:kms:([a-z\d-]+):/.exec(template)?.[1] ?? sourceRegion;
  const problem = needsSourceImage(template)
    ? 'it cannot hold {name} or {source-ami}'
    : keyProblem(fill(template, { ...shortestTarget, ...runValues(run), region }), region, undefined);
  if (problem !== undefined && unknownPlaceholders(template).length === 0)
    reader.note('hub-kms-key', template, problem);
  return template;
}
