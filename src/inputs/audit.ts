import { type InputSources, readRequest, type SourcelessRequest } from '../inputs.ts';
import { needsSourceImage } from '../template.ts';
import { noteOthers } from './actions.ts';
import { InputError, Reader, type RunContext } from './reader.ts';
import { noteUnnamed } from './source-image.ts';

/** What an audit finds: of a target, one of the first four; of what lies about there, one of the others. */
export const findingKinds = ['missing', 'differs', 'recalled', 'unknown', 'left-over', 'foreign'] as const;
export type FindingKind = (typeof findingKinds)[number];

/**
 * What the main action would be asked for, and which findings fail the job. Where nothing names the source AMI, it is the
 * newest of the lineage of which a target has an AMI.
 */
export type AuditRequest = SourcelessRequest & Readonly<{ failOn: readonly FindingKind[] }>;

/** The request of an audit. @throws InputError that lists every problem */
export function readAudit(get: (name: string) => string, run: RunContext, sources: InputSources): AuditRequest {
  const reader = new Reader(get, sources.yaml);
  const request = { ...readRequest(reader, run, sources), failOn: readFailOn(reader) };
  if (request.image === undefined) noteUnknown(reader, request);
  noteOthers(reader, 'audit');
  if (reader.problems.length > 0) throw new InputError(reader.problems);
  return request;
}

/** Without a source AMI, there is a lineage, and targets are reached before its newest AMI is known. */
function noteUnknown(reader: Reader, { publication: { lineage }, targets }: AuditRequest): void {
  const unknown = '{name} and {source-ami} are not known before the targets are read, unless an input names the AMI';
  if (lineage === undefined) noteUnnamed(reader, ', or lineage');
  else if (needsSourceImage(lineage)) reader.note('lineage', lineage, unknown);
  for (const { roleArn = '' } of targets)
    if (needsSourceImage(roleArn)) reader.note('target-role-arn', roleArn, unknown);
}

/** The kinds that fail the job; `none` by itself stands for no kind. */
function readFailOn(reader: Reader): FindingKind[] {
  const given = reader.list('fail-on');
  if (given.length === 1 && given[0] === 'none') return [];
  return given.flatMap((one) => {
    const kind = findingKinds.find((known) => known === one);
    if (kind === undefined) reader.note('fail-on', one, `expected none, or of ${findingKinds.join(', ')}`);
    return kind ?? [];
  });
}
