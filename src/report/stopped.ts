import { type Problem, problemLines } from '../alike.ts';
import { errorMessage, explain } from '../aws/errors.ts';
import { InputError } from '../inputs/reader.ts';
import type { TargetRequest } from '../inputs/targets.ts';
import type { TargetRecord } from './outputs.ts';
import type { PlanRecord } from './plan.ts';

/** All problems at once; nothing was changed, unless an AMI was made of an instance. */
export class ProblemsError extends Error {
  override name = 'ProblemsError';
  readonly problems: readonly Problem[];
  /** What would have been done, as far as it could be planned. */
  readonly plan: PlanRecord | undefined;
  /** The AMI that was made of an instance before they were found. */
  readonly madeImageId: string | undefined;

  constructor(problems: readonly Problem[], plan: PlanRecord | undefined, madeImageId?: string) {
    const count = problems.length === 1 ? 'A problem was' : `${problems.length} problems were`;
    const all = `the ${plan === undefined ? 'job summary' : 'file of plan-file'} has them all`;
    const when =
      madeImageId === undefined
        ? 'before anything was changed'
        : `after ${madeImageId} was made of the instance; it is kept, and nothing else was changed`;
    super(`${count} found ${when}.\n${problemLines(problems, all)}`);
    this.problems = problems;
    this.plan = plan;
    this.madeImageId = madeImageId;
  }
}

/** What ended a run before its plan could be walked: its `cause`, and the plan with what became of it. */
export class StoppedError extends Error {
  override name = 'StoppedError';
  readonly plan: PlanRecord;

  constructor(cause: unknown, plan: PlanRecord) {
    super(errorMessage(cause), { cause });
    this.plan = plan;
  }
}

/** The problems that an error is made of, if it is. */
export function problemsOf(error: unknown): readonly Problem[] {
  return error instanceof ProblemsError || error instanceof InputError ? error.problems : [];
}

/** An error as the user reads it; a stack only where it is ours to mend. */
export function sentenceOf(error: unknown): string {
  if (error instanceof InputError || error instanceof ProblemsError) return error.message;
  const { message, remedy } = explain(error instanceof StoppedError ? error.cause : error);
  return remedy === undefined ? message : `${message}. What to do: ${remedy}`;
}

/** The record of a target of which nothing was made. */
export function failedRecord(
  { account, region, optional }: TargetRequest,
  error: string,
  known: Readonly<{ amiName: string; kmsKeyArn: string }> | undefined = undefined,
): TargetRecord {
  return {
    ...{ account, region, amiId: null, amiName: known?.amiName ?? null, snapshotIds: [] },
    ...{ kmsKeyArn: known?.kmsKeyArn ?? null, status: 'failed', seconds: 0, error },
    ...(optional && { optional }),
  };
}
