import { runAction } from '../simulator/runner.ts';
import type { Case, Inputs } from '../simulator/scenarios/standard.ts';
import { startSimulator } from '../simulator/simulator.ts';

/** The job summary of a run, as Markdown. */
export async function summaryOf({ scenario, inputs }: Case, more: Inputs = {}): Promise<string> {
  const simulator = await startSimulator(scenario);
  try {
    return (await runAction({ inputs: { ...inputs, ...more }, env: simulator.env })).summary;
  } finally {
    await simulator.close();
  }
}
