import { lastMomentOf } from './aws/session-options.ts';
import type { Host } from './host.ts';
import type { RunContext } from './inputs/reader.ts';

/** The workflow run that this is; outside a workflow, what there is of it. */
export function runContext({ workflow, env, clock }: Pick<Host, 'workflow' | 'env' | 'clock'>): RunContext {
  const { serverUrl, runId, runAttempt, sha } = workflow;
  const repository = env.GITHUB_REPOSITORY;
  const known = repository !== undefined && Number.isFinite(runId);
  return {
    runUrl: known ? `${serverUrl}/${repository}/actions/runs/${runId}` : '',
    runId: Number.isFinite(runId) ? String(runId) : '',
    runAttempt: Number.isFinite(runAttempt) ? runAttempt : 1,
    sha: sha ?? '',
    date: new Date(clock.now()),
    lastMoment: (sessions) => lastMomentOf(sessions, { env, clock }),
    defaultRegion: env.AWS_REGION || env.AWS_DEFAULT_REGION || undefined,
  };
}
