import { digestProblem } from '../digest.ts';
import { isRecord, parseJson } from '../plain-data.ts';
import { maxInputFileBytes } from '../text-file.ts';
import type { Reader, ReadFile } from './reader.ts';

/** The plan that was approved: its digest, and, where its file was given, what that says of `approved`. */
export type ExpectedPlan = Readonly<{ digest: string; file: string | undefined; approved: unknown }>;

/** The plan that this run must have; undefined where any will do. */
export function readExpectedPlan(reader: Reader, readFile: ReadFile): ExpectedPlan | undefined {
  const digest = reader.optional('expect-plan-digest');
  const file = reader.optional('expect-plan-file');
  if (digest === undefined) {
    if (file !== undefined)
      reader.note('expect-plan-file', file, 'needs expect-plan-digest: the file only lists what differs');
    return undefined;
  }
  const problem = digestProblem(digest);
  if (problem !== undefined) reader.note('expect-plan-digest', digest, problem);
  return { digest, file, approved: file === undefined ? undefined : readApproved(reader, file, readFile) };
}

function readApproved(reader: Reader, path: string, readFile: ReadFile): unknown {
  try {
    const plan = parseJson(readFile(path, maxInputFileBytes));
    const approved = isRecord(plan) ? plan.approved : undefined;
    if (approved === undefined)
      reader.note('expect-plan-file', path, 'expected the file of the output plan-file of the approved run');
    return approved;
  } catch (error) {
    reader.note('expect-plan-file', path, error instanceof Error ? error.message : String(error));
    return undefined;
  }
}
