import { type InputSources, type Request, readRequest } from '../inputs.ts';
import { noteOthers } from './actions.ts';
import { InputError, Reader, type RunContext } from './reader.ts';

/** What an audit finds: of a target, one of the first four; of what lies about there, one of the others. */
export const findingKinds = ['missing', 'differs', 'recalled', 'unknown', 'left-over', 'foreign'] as const;
export type FindingKind = (typeof findingKinds)[number];

/** What the main action would be asked for, and which findings fail the job. */
export type AuditRequest = Request & Readonly<{ failOn: readonly FindingKind[] }>;

/** The request of an audit. @throws InputError that lists every problem */
export function readAudit(get: (name: string) => string, run: RunContext, sources: InputSources): AuditRequest {
  const reader = new Reader(get, sources.yaml);
  const request = { ...readRequest(reader, run, sources), failOn: readFailOn(reader) };
  noteOthers(reader, 'audit');
  if (reader.problems.length > 0) throw new InputError(reader.problems);
  return request;
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
