import { context } from '@actions/github';
import type { RunContext } from './inputs/reader.ts';

/** The workflow run that this is, as GitHub's context tells it; outside a workflow, what there is of it. */
export function runContext(): RunContext {
  const repository = process.env.GITHUB_REPOSITORY;
  const { serverUrl, runId, runAttempt, sha } = context;
  const known = repository !== undefined && Number.isFinite(runId);
  return {
    runUrl: known ? `${serverUrl}/${repository}/actions/runs/${runId}` : '',
    runId: Number.isFinite(runId) ? String(runId) : '',
    runAttempt: Number.isFinite(runAttempt) ? runAttempt : 1,
    sha: sha ?? '',
    date: new Date(),
    defaultRegion: process.env.AWS_REGION || process.env.AWS_DEFAULT_REGION || undefined,
  };
}
