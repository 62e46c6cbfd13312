import { apply } from './apply.ts';
import type { Host } from './host.ts';
import type { Request } from './inputs.ts';
import { newLeaseId } from './lease.ts';
import { openRun } from './open-run.ts';
import { type Asked, create, prepare } from './prepare.ts';
import { begin, end } from './release-run.ts';
import type { Report } from './report/outputs.ts';
import { openLog } from './report/progress.ts';
import { planned, reportOf } from './report/records.ts';

/**
 * Shares the AMI: observe → plan → check → apply → release → report. Gives what became of each target; a target that fails
 * leaves the others running.
 * @throws ProblemsError when something stands in the way, before anything is changed but for the AMI of an instance
 */
export async function share(host: Host, request: Request, told: AbortSignal): Promise<Report> {
  const log = openLog(host);
  const stop = new AbortController();
  const asked: Asked = {
    ...{ host, request, log, leaseId: newLeaseId() },
    ...{ signal: AbortSignal.any([told, stop.signal]), stop: (why) => stop.abort(why) },
  };
  const foreseen = await prepare(asked);
  if (request.dryRun) return planned(foreseen, request.targets, log);
  const { prepared, created } = await create(asked, foreseen);
  const open = openRun({ ...asked, ...prepared });
  begin(open.run, prepared.plan);
  const outcomes = await apply(open.run, prepared.plan.operations);
  const cleanUp = await end(open, prepared.plan, outcomes);
  // Whatever still waits, waits in vain.
  stop.abort(new Error('the run has ended'));
  return reportOf(prepared, { asked: request.targets, outcomes, created, cleanUp, pictures: open.pictures }, log);
}
