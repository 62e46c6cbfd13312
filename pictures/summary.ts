import { type ActionResult, runAction } from '../simulator/runner.ts';
import type { Case, Inputs } from '../simulator/scenarios/standard.ts';
import { startSimulator } from '../simulator/simulator.ts';
import type { PlanRecord } from '../src/report/plan.ts';

/** The job summary of a run, as Markdown. */
export async function summaryOf(one: Case, more: Inputs = {}): Promise<string> {
  return (await resultOf(one, more)).summary;
}

/** The plan of a dry run. */
export async function planOf(one: Case): Promise<PlanRecord> {
  return JSON.parse((await resultOf(one, { 'dry-run': 'true' })).outputs.plan ?? '') as PlanRecord;
}

async function resultOf({ scenario, inputs }: Case, more: Inputs): Promise<ActionResult> {
  const simulator = await startSimulator(scenario);
  try {
    return await runAction({ inputs: { ...inputs, ...more }, env: simulator.env });
  } finally {
    await simulator.close();
  }
}
