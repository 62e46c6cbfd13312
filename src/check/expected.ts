import type { Problem } from '../alike.ts';
import { placeName } from '../aws/errors.ts';
import { ledgerProblem } from '../ledger.ts';
import { oneLine } from '../one-line.ts';
import { approvedOf } from '../plan/approved.ts';
import { isMaking } from '../plan/decided.ts';
import { type Approved, planDifferences } from '../plan/digest.ts';
import { hasReference } from '../plan/references.ts';
import type { Checking } from './asking.ts';

/** Whether the plan is the one that was approved. A plan that lacks other targets than those left out has a problem of its own. */
export function checkExpected({ request, plan, findings }: Checking): void {
  const { expectPlan, targets } = request;
  if (expectPlan === undefined || plan.targets.length + plan.leftOut.length < targets.length) return;
  const problem = differing(expectPlan, approvedOf(request, plan));
  if (problem !== undefined) findings.add(problem.where, problem.what, problem.remedy);
}

/** In what a plan differs from the one that was approved. */
export function differing(
  expected: Readonly<{ digest: string; approved: unknown }>,
  now: Approved,
): Problem | undefined {
  const different = planDifferences(expected, now);
  if (different.length === 0) return undefined;
  return {
    where: expected.approved === undefined ? 'expect-plan-digest' : 'expect-plan-file',
    what: ['the plan is not the one that was approved. What differs:', ...different.map(oneLine)].join('\n    '),
    remedy: 'have the plan of a dry run approved anew, or restore what was approved',
  };
}

/** Whether all that would have to be undone can be written down. */
export function checkRoom({ plan, findings, files }: Checking): void {
  const touched = plan.targets.filter((one) => isMaking(one) || hasReference(one.target));
  const parameters = touched.filter(({ target }) => target.ssmParameter !== undefined).length;
  const templates = touched.filter(({ target }) => target.launchTemplate !== undefined).length;
  const problem = ledgerProblem({ targets: touched.length, parameters, templates }, files);
  if (problem !== undefined)
    findings.add(placeName(plan.source.place), problem, 'share with fewer targets at once, or set RUNNER_TEMP');
}
