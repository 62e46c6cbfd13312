import { startAction, startSimulator } from '../__tests__/in-process.ts';
import type { RecordedCall } from '../simulator/simulator.ts';
import { findSnapshot } from '../simulator/world.ts';
import { looksPerMinute, ofTargetsOnly, round } from './calls.ts';
import { idealSeconds } from './ideal.ts';
import { caseOf, played, targetsOf, timings, type Workload } from './workload.ts';

/*
 * The code that dist/ holds, in this process and on a clock that doesn't wait: what AWS's latencies and request rates make
 * of a run, whatever this machine takes for it.
 */

export type Played = Readonly<{
  workload: Workload;
  targets: number;
  idealSeconds: number;
  seconds: number;
  ratio: number;
  /** From the first call to the first that changes something. */
  preflightSeconds: number;
  /** From the last copy's end to the last AMI verified, and from there to the end. */
  verifiedAfterSeconds: number;
  cleanUpSeconds: number;
  calls: number;
  /** Calls of a target's role that change something, without dry runs. */
  writesPerTarget: number;
  /** Calls that AWS refused for their rate. */
  throttled: number;
  /** Looks a minute in one account and region, while copies ran there: the mean and the most. */
  looksPerMinute: Readonly<{ mean: number; most: number }>;
}>;

const isThrottled = ({ outcome }: RecordedCall) => /RequestLimitExceeded|Throttling/.test(outcome);

/** The part of each request rate that is left to us, and whether policies limit whom a snapshot is shared with. */
export type Conditions = Readonly<{ requestRates?: number; shareLimit?: boolean }>;

/** Plays a workload. @throws Error where it doesn't end well: its figures would mean nothing */
export async function play(
  workload: Workload,
  { requestRates = 1, shareLimit = true }: Conditions = {},
): Promise<Played> {
  const { scenario, inputs } = caseOf(workload, { ...played, rules: { requestRates } });
  const accounts = shareLimit ? scenario.accounts : withoutShareLimit(scenario.accounts);
  const simulator = await startSimulator({ ...scenario, accounts });
  const { calls } = simulator;
  let lastCopyEnd = 0;
  simulator.onCall(({ action, mutating, outcome, at, request }) => {
    if (action !== 'CopySnapshot' || !mutating || outcome !== 'ok') return;
    const from = findSnapshot(simulator.world, String(request.SourceRegion), String(request.SourceSnapshotId));
    const seconds = timings.baseSeconds + (from?.data.VolumeSize ?? 0) * timings.secondsPerGiB;
    lastCopyEnd = Math.max(lastCopyEnd, at + 1000 * seconds);
  });
  const { conclusion, outputs, temp, seconds, log } = await startAction({ inputs, env: simulator.env }).result;
  const targets = targetsOf(workload);
  const created = calls.filter(
    ({ action, mutating, outcome }) => action === 'RegisterImage' && mutating && outcome === 'ok',
  );
  if (conclusion !== 'success' || created.length !== targets)
    throw new Error(
      `the run ended in ${conclusion}, ${created.length} of ${targets} AMIs:\n${log.slice(-2000)}${Object.keys(temp)}${outputs.truncated}`,
    );
  const ofTargets = ofTargetsOnly(calls, inputs);
  const verified = ofTargets.findLast(({ action, mutating }) => action === 'DeleteTags' && mutating)?.at ?? 0;
  const ideal = idealSeconds(workload);
  const began = calls[0]?.at ?? 0;
  await simulator.close();
  return {
    workload,
    targets,
    idealSeconds: round(ideal, 1),
    seconds: round(seconds, 1),
    ratio: round(seconds / ideal, 3),
    preflightSeconds: round(((calls.find(({ mutating }) => mutating)?.at ?? 0) - began) / 1000, 1),
    verifiedAfterSeconds: round((verified - lastCopyEnd) / 1000, 1),
    cleanUpSeconds: round(((calls.at(-1)?.at ?? 0) - verified) / 1000, 1),
    calls: calls.length,
    writesPerTarget: round(ofTargets.filter(({ mutating }) => mutating).length / targets, 1),
    throttled: calls.filter(isThrottled).length,
    looksPerMinute: looksPerMinute(ofTargets),
  };
}

export type PlayedCancel = Readonly<{
  targets: number;
  volumes: number;
  /** Seconds from the cancel to the last grant, share, and anything else taken back. */
  grants: number;
  shares: number;
  all: number;
}>;

/** Cancels a run whose copies are all under way, at 300 ms a call, and lets post run. @throws Error where something is left */
export async function playCancel(workload: Workload): Promise<PlayedCancel> {
  const { scenario, inputs } = caseOf(workload, { ...played, timings: { ...played.timings, latencyMs: 300 } });
  const simulator = await startSimulator({ ...scenario, accounts: withoutShareLimit(scenario.accounts) });
  const { calls } = simulator;
  const running = startAction({ inputs, env: simulator.env });
  let left = targetsOf(workload) * workload.volumes;
  let at = 0;
  simulator.onCall((call) => {
    if (call.action !== 'CopySnapshot' || !call.mutating || --left !== 0) return;
    at = call.at;
    running.cancel();
  });
  const { state, temp } = await running.result;
  await startAction({ inputs, env: simulator.env, entry: 'post', state, temp }).result;
  const since = (...actions: string[]) => {
    const last = calls.findLast(
      ({ action, outcome, mutating }) => actions.includes(action) && outcome === 'ok' && mutating,
    );
    return round(((last?.at ?? 0) - at) / 1000, 1);
  };
  await simulator.close();
  return {
    targets: targetsOf(workload),
    volumes: workload.volumes,
    grants: since('RevokeGrant'),
    shares: since('ModifySnapshotAttribute'),
    all: since('DeregisterImage', 'DeleteSnapshot', 'DeleteTags'),
  };
}

/** Accounts whose policies don't limit whom snapshots are shared with: with that limit, a share of each account is a call. */
function withoutShareLimit<T extends object>(accounts: T): T {
  const isLimit = (key: string, value: unknown) =>
    key === 'Condition' && JSON.stringify(value).includes('ec2:Add/userId');
  return JSON.parse(JSON.stringify(accounts, (key, value: unknown) => (isLimit(key, value) ? undefined : value)));
}
