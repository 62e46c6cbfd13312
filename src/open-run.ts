import { join } from 'node:path';
import pLimit, { type LimitFunction } from 'p-limit';
import { errorMessage, placeName, type Where } from './aws/errors.ts';
import { openWatchers } from './aws/wait.ts';
import { openConfirming } from './check/confirm.ts';
import type { Files } from './host.ts';
import { totalGiB } from './image.ts';
import type { Lease } from './lease.ts';
import { openLedger } from './ledger.ts';
import type { SourceSnapshot } from './plan/facts.ts';
import type { Copy } from './plan/operation.ts';
import type { Pictures } from './report/outputs.ts';
import { type Log, milestones } from './report/progress.ts';
import type { Prepared, Run } from './run.ts';
import { ownName } from './temporary-file.ts';

type RunParts = Pick<Run, 'host' | 'request' | 'leaseId' | 'log' | 'signal' | 'stop'> & Prepared;

/** What could not be removed, and where. */
export type Left = Readonly<{ place: Where; what: string }>;

/** A run, with the leases that it holds, what it could not remove, and on which keys it granted again, as they come up. */
export type OpenRun = Readonly<{
  run: Run;
  leases: readonly Lease[];
  left: readonly Left[];
  regranted: readonly string[];
  /** The files of pictures, by the account and the region of what they show. */
  pictures: Pictures;
}>;

export function openRun(parts: RunParts): OpenRun {
  const { request, log, host, leaseId, signal, stop, accounts, source, checked, plan } = parts;
  const { operations, targets } = plan;
  const watchers = openWatchers(request.pollSeconds, (where, what) => log.line(placeName(where), what));
  const slots = new Map<string, LimitFunction>();
  const byId = new Map(operations.map((operation) => [operation.id, operation]));
  const leases: Lease[] = [];
  const left: Left[] = [];
  const regranted: string[] = [];
  const pictures: Pictures = {};
  const progress = new Map<string, Run['progress'] extends (copy: Copy) => infer T ? T : never>();
  // A thousand targets must not flood the log.
  const stepPercent = targets.length <= 12 ? 10 : targets.length <= 100 ? 25 : 50;
  const copies = Map.groupBy(
    operations.filter((operation): operation is Copy => operation.kind === 'copy'),
    ({ place }) => placeName(place),
  );

  /** How far a target is: all its volumes together, by their sizes. */
  const openProgress = (where: string): ((snapshot: SourceSnapshot, percent: number) => void) => {
    const sizes = (copies.get(where) ?? []).map(({ snapshot }) => snapshot);
    const total = totalGiB(sizes);
    const percents = new Map<string, number>();
    const tell = milestones({ totalGiB: total, stepPercent, now: host.clock.now }, (text) =>
      log.line(where, `copying: ${text}`),
    );
    return ({ id }, percent) => {
      percents.set(id, percent);
      const done = sizes.reduce((sum, one) => sum + one.sizeGiB * (percents.get(one.id) ?? 0), 0);
      tell(total === 0 ? percent : Math.floor(done / total));
    };
  };

  const run: Run = {
    ...{ host, request, leaseId, log, signal, stop, accounts, source, kmsDryRuns: checked.kmsDryRuns, stepPercent },
    ledger: openLedger(host.runner.saveState, host.files),
    watcher: watchers,
    slots: (place: Where) => known(slots, placeName(place), () => pLimit(request.maxParallel)),
    progress: ({ place }) => known(progress, placeName(place), () => openProgress(placeName(place))),
    operation: (id) => byId.get(id),
    confirm: (operation, made) => confirming(operation, made),
    hold: (lease) => leases.push(lease),
    renewLeases: async () => {
      for (const { renew } of leases) await renew?.();
    },
    regrant: (key) => regranted.push(key),
    picture: ({ account, region }, jpeg) => {
      const path = keepPicture(host.files, jpeg, log);
      if (path === undefined) return;
      pictures[account] = { ...pictures[account], [region]: path };
      log.line(placeName({ account, region }), `the screen (output boot-screenshots): ${path}`);
    },
    leave: (place, what) => left.push({ place, what }),
  };
  const confirming = openConfirming(run, plan, checked);
  return { run, leases, left, regranted, pictures };
}

/** Writes a picture where no later job needs it; without such a folder, there is none. */
function keepPicture({ temp, write }: Files, jpeg: Uint8Array, log: Log): string | undefined {
  if (temp === undefined) return undefined;
  const path = join(temp, ownName('screenshot.jpg'));
  try {
    write(path, jpeg);
    return path;
  } catch (error) {
    log.warn(`a screenshot (${path}) could not be written: ${errorMessage(error)}`);
    return undefined;
  }
}

/** What a map has for a key, made when it isn't there. */
function known<T>(map: Map<string, T>, key: string, make: () => T): T {
  const there = map.get(key) ?? make();
  map.set(key, there);
  return there;
}
