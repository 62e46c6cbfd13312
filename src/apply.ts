import { explainLine, placeName } from './aws/errors.ts';
import { placeOf } from './observe/accounts.ts';
import { kinds, perform } from './operations/kinds.ts';
import type { End, Outcome, Outcomes, Result } from './outcome.ts';
import type { Operation } from './plan/operation.ts';
import { referenceIsland } from './plan/references.ts';
import type { Run, Scope } from './run.ts';

/** Operations that succeed together; its signal ends what waits in it once one has failed. */
type Island = { stop: AbortController; signal: AbortSignal; members: Promise<Outcome>[] };

/**
 * Walks the plan: an operation begins when what it comes after is done. When one of an island fails, the others of it end;
 * once they have, what was done in it is undone, the last first, where its kind says how. Whatever was begun has ended
 * when this returns.
 */
export async function apply(run: Run, operations: readonly Operation[]): Promise<Outcomes> {
  const ended = new Map<string, Promise<Outcome>>();
  const results = new Map<string, Result>();
  const islands = new Map<string, Island>();
  const optional = run.request.targets.filter((target) => target.optional);
  const optionalIslands = new Set(optional.flatMap((target) => [placeName(target), referenceIsland(target)]));
  const islandOf = (name: string): Island => {
    const known = islands.get(name);
    if (known !== undefined) return known;
    const stop = new AbortController();
    const island = { stop, signal: AbortSignal.any([run.signal, stop.signal]), members: [] };
    islands.set(name, island);
    return island;
  };

  const outcomesOf = (ids: readonly string[] = []) => Promise.all(ids.flatMap((id) => ended.get(id) ?? []));

  const walk = async (operation: Operation): Promise<Outcome> => {
    const before = outcomesOf(operation.after);
    const island = operation.island === undefined ? undefined : islandOf(operation.island);
    const signal = island?.signal ?? run.signal;
    await outcomesOf(operation.afterEnd);
    const failed = (await before).find(({ is }) => is !== 'done');
    const from = run.host.clock.now();
    const end = (rest: End): Outcome => {
      if (rest.is !== 'done') fail(island, operation, rest.error);
      return { operation, from, to: run.host.clock.now(), ...rest };
    };
    if (failed !== undefined) return end({ is: 'not begun', error: failed.is === 'done' ? undefined : failed.error });
    if (signal.aborted) return end({ is: 'not begun', error: signal.reason });
    try {
      const scope: Scope = {
        run,
        place: placeOf(run.accounts, operation).until(signal),
        resultOf: (id) => results.get(id),
      };
      const result = await perform(operation, scope);
      results.set(operation.id, result);
      return end({ is: 'done', result });
    } catch (error) {
      return end({ is: 'failed', error, ended: signal.aborted });
    }
  };

  const fail = (island: Island | undefined, operation: Operation, error: unknown): void => {
    if (island === undefined || island.stop.signal.aborted) return;
    island.stop.abort(error);
    run.log.line(operation.island ?? '', `failed: ${explainLine(error)}`);
    if (run.request.failFast && !run.signal.aborted && !optionalIslands.has(operation.island ?? ''))
      run.stop(new Error(`stopped, because ${operation.island} failed (fail-fast)`));
  };

  for (const operation of operations) {
    const outcome = walk(operation);
    ended.set(operation.id, outcome);
    if (operation.island !== undefined) islandOf(operation.island).members.push(outcome);
  }
  const undone = await Promise.all([...islands.values()].map((island) => undoWhereFailed(run, island, results)));
  const outcomes = await Promise.all(ended.values());
  return new Map([...outcomes, ...undone.flat()].map((outcome) => [outcome.operation.id, outcome]));
}

/**
 * Undoes what was done in an island that failed, the last first; each undoing has its own time, since the run's may be
 * over. Gives the outcomes that are others by it.
 */
async function undoWhereFailed(run: Run, island: Island, results: ReadonlyMap<string, Result>): Promise<Outcome[]> {
  const outcomes = await Promise.all(island.members);
  const undone: Outcome[] = [];
  if (outcomes.every(({ is }) => is === 'done')) return undone;
  for (const outcome of outcomes.toReversed()) {
    const { operation, is } = outcome;
    const { undo } = kinds[operation.kind];
    if (is === 'not begun' || undo === undefined) continue;
    const place = placeOf(run.accounts, operation).until(run.host.clock.after(undoMs));
    const stands = !(await undo(operation as never, { run, place, resultOf: (id) => results.get(id) }));
    if (is === 'done' && !stands) undone.push({ ...outcome, result: { ...outcome.result, undone: 'undone' } });
  }
  return undone;
}

/** How long undoing one operation may take, where the run was told to stop too: an AMI may be pending for ten minutes. */
const undoMs = 600_000;
