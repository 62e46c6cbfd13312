import type { PlanRecord } from './plan.ts';

/** What the output `plan` is where the plan is too long for it; its schema is schemas/plan-totals.schema.json. */
type PlanTotals = Pick<PlanRecord, 'version' | 'dryRun' | 'topology' | 'estimate'> &
  Readonly<{
    /** Which tells it from a plan. */
    totals: true;
    source: Omit<PlanRecord['source'], 'snapshots'>;
    /** How many there are of each action, and of each kind. */
    targets: Readonly<Record<string, number>>;
    operations: Readonly<Record<string, number>>;
    problems: number;
    warnings: number;
  }>;

export function totalsOf({ source, targets, operations, problems, warnings, ...plan }: PlanRecord): PlanTotals {
  const { version, dryRun, topology, estimate } = plan;
  const { snapshots: _, ...named } = source;
  return {
    version,
    totals: true,
    dryRun,
    topology,
    source: named,
    targets: countsOf(targets.map(({ action }) => action)),
    operations: countsOf(operations.map(({ kind }) => kind)),
    estimate,
    problems: problems.length,
    warnings: warnings.length,
  };
}

function countsOf(words: readonly string[]): Record<string, number> {
  const groups = Map.groupBy(words, (word) => word);
  return Object.fromEntries([...groups].map(([word, { length }]) => [word, length]));
}
