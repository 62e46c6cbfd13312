import { isImageId } from '../image.ts';
import type { InputSources } from '../inputs.ts';
import { needsSourceImage } from '../template.ts';
import { noteOthers } from './actions.ts';
import { readParameterName, readTemplateName } from './publication.ts';
import { type Reach, readReach } from './reach.ts';
import { InputError, type InputName, Reader, type RunContext } from './reader.ts';

/** How an image is taken back. */
export const recallWays = ['disable', 'deprecate', 'deregister'] as const;
export type RecallWay = (typeof recallWays)[number];

/** What a recall is told: which images, why and how, and what named them. */
export type RecallRequest = Reach &
  Readonly<{
    /** Source AMIs, all of whose copies in the targets are meant. */
    sourceImages: readonly string[];
    /** Or the AMIs of targets themselves. */
    targetImages: readonly string[];
    reason: string;
    how: RecallWay;
    /** The source AMI whose copies take the place of those that are recalled. */
    replacement: string | undefined;
    includeSource: boolean;
    /** Whether a recall is undone. */
    restore: boolean;
    /** What is looked at beside the parameters and template versions that bear this action's marks; yet to fill. */
    ssmParameter: string | undefined;
    launchTemplate: string | undefined;
  }>;

/** The value of a tag: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions */
const reasonForm = {
  fits: (text: string) => text.length <= 256 && !/[\p{Cc}\u2028\u2029]/u.test(text),
  expected: 'expected one line of at most 256 characters: it becomes the value of a tag',
};

/** The request of a recall. @throws InputError that lists every problem */
export function readRecall(
  get: (name: string) => string,
  run: RunContext,
  { enabled, yaml }: InputSources,
): RecallRequest {
  const reader = new Reader(get, yaml);
  const request: RecallRequest = {
    ...readReach(reader, run, { enabled, needsKey: false }),
    sourceImages: imageIds(reader, 'ami-id'),
    targetImages: imageIds(reader, 'target-ami-ids'),
    reason: reader.checked('reason', reader.text('reason'), reasonForm),
    how: reader.oneOf('how', recallWays),
    replacement: reader.checked('replacement', reader.optional('replacement'), imageForm),
    includeSource: reader.flag('include-source'),
    restore: reader.flag('restore'),
    ssmParameter: readParameterName(reader, run),
    launchTemplate: readTemplateName(reader, run),
  };
  noteContradictions(reader, request);
  for (const { roleArn = '' } of request.targets)
    if (needsSourceImage(roleArn))
      reader.note('target-role-arn', roleArn, '{name} and {source-ami} are not known in a recall');
  noteOthers(reader, 'recall');
  if (reader.problems.length > 0) throw new InputError(reader.problems);
  return request;
}

const imageForm = { fits: isImageId, expected: 'expected the ID of an AMI, such as ami-0123456789abcdef0' };

function imageIds(reader: Reader, name: InputName): string[] {
  return reader.list(name).map((id) => reader.checked(name, id, imageForm));
}

function noteContradictions(reader: Reader, request: RecallRequest): void {
  const { sourceImages, targetImages, reason, how, replacement, includeSource, restore } = request;
  const isByTarget = targetImages.length > 0;
  if (isByTarget === sourceImages.length > 0)
    reader.note('ami-id, target-ami-ids', reader.text('ami-id'), 'expected exactly one of these');
  if (reason === '')
    reader.note('reason', '', 'is needed: it stands on the AMI for whoever meets it, and in the summary');
  if (isByTarget && how === 'deregister' && !restore)
    reader.note(
      'how',
      how,
      'cannot be used with target-ami-ids: an AMI is deregistered only with all copies of its source',
    );
  if (isByTarget && includeSource)
    reader.note('include-source', 'true', 'cannot be used with target-ami-ids, which leave the source AMI as it is');
  if (includeSource && how === 'deregister' && !restore)
    reader.note(
      'include-source',
      'true',
      'cannot be used with how: deregister, which removes only what this action made',
    );
  if (replacement !== undefined && (restore || sourceImages.includes(replacement)))
    reader.note(
      'replacement',
      replacement,
      restore ? 'has no effect with restore, which leaves what names an AMI' : 'is recalled itself',
    );
}
