// npm run bench: the action against the ideal, and against what people do today, on the simulator. Makespans are played on a
// clock that doesn't wait, with AWS's latencies and request rates, so that no machine changes them; what only a process
// shows is measured in ratios within this run. Results go to bench/results/ as JSON and as a chart.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { type Baseline, measureBaseline } from './baselines.ts';
import { type Bundles, measureBundles } from './bundles.ts';
import { chart } from './chart.ts';
import { type Looking, looking } from './looking.ts';
import {
  bundles,
  type FirstCall,
  type Measured,
  measure,
  measureFirstCalls,
  measureStartUp,
  type StartUp,
} from './measure.ts';
import { type Played, type PlayedCancel, play, playCancel } from './played.ts';
import { latencyMs, timings, type Workload } from './workload.ts';

type Results = Readonly<{
  date: string;
  node: string;
  cpus: number;
  timings: typeof timings & { latencyMs: typeof latencyMs };
  action: Played[];
  /** With somebody else who takes half of each request rate. */
  halfRates: Played[];
  /** With policies by which one call may share a snapshot with many accounts; the published ones let it name one. */
  freeShares: Played[];
  cancel: PlayedCancel[];
  processes: Measured[];
  baselines: Baseline[];
  looking: Looking[];
  startUp: StartUp[];
  firstCalls: FirstCall[];
  bundles: Bundles;
}>;

const one: Workload = { accounts: 1, regions: 1, volumes: 1 };
const ten: Workload = { accounts: 2, regions: 5, volumes: 1 };
const hundred: Workload = { accounts: 10, regions: 10, volumes: 1 };
const thousand: Workload = { accounts: 20, regions: 50, volumes: 1 };

const folder = new URL('results/', import.meta.url);

function write(results: Results): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL('latest.json', folder), `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(new URL('latest.svg', folder), chart(results));
  console.log('\nWritten to bench/results/latest.json and latest.svg.');
}

/** `--quick` leaves out what takes longer than some minutes; `--start-up` measures the start alone, and keeps the rest. */
const quick = process.argv.includes('--quick');

/** Runs one after another, so that they don't take the processor from each other. */
async function inTurn<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  show: (result: R) => void,
): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) {
    const result = await work(item);
    show(result);
    results.push(result);
  }
  return results;
}

const pad = (value: unknown, width = 9) => String(value ?? '').padStart(width);
const row = (...cells: unknown[]) => console.log(cells.map((cell) => pad(cell)).join(''));
const title = (text: string) => console.log(`\n${text}`);

title('Start-up: of bad input from start to exit, in ratio to an empty node process');
row('entry', 'ms', 'ratio', 'MB', 'bundle');
const startUp = await measureStartUp(bundles);
for (const { entry, ms, ratio, memoryMb, bundleBytes } of startUp)
  row(entry, ms, `${ratio}x`, memoryMb, `${(bundleBytes / 1e6).toFixed(2)} MB`);

title('From the start of the process to its first call');
row('entry', 'ms');
const firstCalls = await measureFirstCalls();
for (const { entry, ms } of firstCalls) row(entry, ms);

title('Other ways to bundle main, and to start it');
row('ms', 'ratio', 'MB', 'bundle', '  how');
const otherBundles = await measureBundles();
for (const { entry, ms, ratio, memoryMb, bundleBytes } of otherBundles.variants)
  row(ms, `${ratio}x`, memoryMb, `${(bundleBytes / 1e6).toFixed(2)} MB`, `  ${entry}`);
title('Kilobytes of dist/main by package');
for (const [name, bytes] of Object.entries(otherBundles.bytes)) row(Math.round(bytes / 1000), `  ${name}`);

if (process.argv.includes('--start-up')) {
  const known = JSON.parse(readFileSync(new URL('latest.json', folder), 'utf8')) as Results;
  write({ ...known, startUp, firstCalls, bundles: otherBundles });
  process.exit();
}

title('Looks at the copies into one account and region, by the rule that places them');
row('minutes', 'volumes', 'looks/min', 'late s', 'late %');
const looked = [1, 5, 15, 60, 240].flatMap((minutes) => [1, 8].map((volumes) => looking(minutes, volumes)));
for (const { minutes, volumes, looksPerMinute, lateSeconds, latePercent } of looked)
  row(minutes, volumes, looksPerMinute, lateSeconds, latePercent);

title('From a cancel, at 300 ms a call, to the last grant, share and anything else taken back');
row('targets', 'volumes', 'grants s', 'shares s', 'all s');
const cancel = await inTurn(
  [
    { ...one, volumes: 20 },
    { accounts: 20, regions: 1, volumes: 20 },
  ],
  playCancel,
  ({ targets, volumes, grants, shares, all }) => row(targets, volumes, grants, shares, all),
);

const showPlayed = (result: Played) =>
  row(
    result.targets,
    result.workload.volumes,
    result.idealSeconds,
    result.seconds,
    `${result.ratio}x`,
    result.preflightSeconds,
    result.verifiedAfterSeconds,
    result.cleanUpSeconds,
    result.calls,
    result.writesPerTarget,
    result.looksPerMinute.most,
    result.throttled,
  );
const columns = ['targets', 'volumes', 'ideal s', 'seconds', 'ratio', 'asks s', 'verify s', 'ends s', 'calls'];
const volumes = (workload: Workload, ...counts: number[]) => counts.map((count) => ({ ...workload, volumes: count }));

title(`The action, played: makespan over the ideal, ${latencyMs.join(' to ')} ms a call`);
row(...columns, 'writes', 'looks/min', 'refused');
const action = await inTurn(
  quick
    ? [one, ten]
    : [...[one, ten, hundred].flatMap((workload) => volumes(workload, 1, 8, 40)), ...volumes(thousand, 1, 8)],
  (workload) => play(workload),
  showPlayed,
);

title('The same with somebody else who takes half of each request rate');
row(...columns, 'writes', 'looks/min', 'refused');
const halfRates = await inTurn(
  quick ? volumes(ten, 8) : volumes(hundred, 8),
  (workload) => play(workload, { requestRates: 0.5 }),
  showPlayed,
);

title('The same where one call may share a snapshot with many accounts');
row(...columns, 'writes', 'looks/min', 'refused');
const freeShares = await inTurn(
  quick ? volumes(ten, 8) : [...volumes(hundred, 40), ...volumes(thousand, 8)],
  (workload) => play(workload, { shareLimit: false }),
  showPlayed,
);

title('dist/ in processes');
row('targets', 'volumes', 'seconds', 'calls', 'a target', 'checks', 'peak MB', 'cpu s', 'its AWS');
// The scripts mostly sleep; they run beside the action's runs.
const scripts = Promise.all([
  measureBaseline(one, 'sequential'),
  measureBaseline(one, 'promise-all'),
  measureBaseline({ ...ten, volumes: 4 }, 'promise-all'),
]);
const processes = await inTurn(
  quick ? [one, ten] : [one, ...volumes(ten, 8), ...volumes(hundred, 8), ...volumes(thousand, 1, 8)],
  measure,
  (result) =>
    row(
      result.targets,
      result.workload.volumes,
      result.seconds,
      result.calls,
      result.targetCallsPerTarget,
      result.checksPerTarget,
      result.peakMemoryMb,
      result.cpuSeconds.action,
      result.cpuSeconds.simulator,
    ),
);
const baselines = await scripts;
title('The same work by scripts');
row('targets', 'volumes', 'ideal s', 'seconds', 'ratio', 'calls', '  how');
for (const { targets, workload, idealSeconds, seconds, ratio, callsPerTarget, style } of baselines)
  console.log(
    [targets, workload.volumes, idealSeconds, seconds, `${ratio}x`, callsPerTarget].map((cell) => pad(cell)).join(''),
    ` ${style}`,
  );

write({
  date: new Date().toISOString().slice(0, 10),
  node: process.version,
  cpus: cpus().length,
  timings: { ...timings, latencyMs },
  action,
  halfRates,
  freeShares,
  cancel,
  processes,
  baselines,
  looking: looked,
  startUp,
  firstCalls,
  bundles: otherBundles,
});
