import type { Action, Failure } from '../action.ts';
import { together } from '../alike.ts';
import { placeName } from '../aws/errors.ts';
import { type AuditRequest, readAudit } from '../inputs/audit.ts';
import type { AuditFinding } from '../plan/audit.ts';
import { type AuditReport, auditOutputs, auditSummary } from '../report/audit.ts';
import { writeJson } from '../report/outputs.ts';
import { problemsOf, sentenceOf } from '../report/stopped.ts';

/** The action that compares what there is with what a share would make. */
export const auditAction: Action<AuditRequest> = {
  read: readAudit,
  async run(host, request, signal) {
    const { audit } = await import('../audit.ts');
    const { findings, source, seconds } = await audit(host, request, signal);
    const { targets, image, publication } = request;
    const lineage = image === undefined ? publication.lineage : undefined;
    const report: AuditReport = { targets, findings, source, lineage, seconds, problems: [], stopped: [] };
    const { path, problem } = writeJson(host.files, 'findings', findings);
    const warnings = problem === undefined ? [] : [problem];
    const failures = findings.filter(({ kind }) => request.failOn.includes(kind)).map(failureOf);
    return { outputs: auditOutputs(report, path), summary: auditSummary(report), failures, warnings };
  },
  stopped(_host, request, error) {
    const message = sentenceOf(error);
    const problems = together(problemsOf(error));
    const targets = request?.targets ?? [];
    // Nothing is known of any of them.
    const findings = targets.map(
      ({ account, region, optional }): AuditFinding => ({
        ...{ kind: 'unknown', account, region, ...(optional && { optional }) },
        why: problems.length > 0 ? 'not looked at, because problems were found elsewhere' : message,
      }),
    );
    const stopped = problems.length > 0 ? [] : [message];
    const report: AuditReport = { targets, findings, source: undefined, seconds: 0, problems, stopped };
    return { outputs: auditOutputs(report, ''), summary: auditSummary(report), failures: [{ message }], warnings: [] };
  },
};

/** A finding of a target that the others can do without is a warning. */
function failureOf({ kind, account, region, why, optional }: AuditFinding): Failure {
  const title = `${placeName({ account, region })}${optional ? ' (optional)' : ''}`;
  return { title, message: `${title}: ${kind}: ${why}`, allowed: optional === true };
}
