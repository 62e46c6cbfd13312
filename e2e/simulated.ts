import { administrator } from '../simulator/iam.ts';
import { keyArnOf, type Scenario } from '../simulator/scenario.ts';
import { workflowRole } from '../simulator/scenarios/common.ts';
import { sourceAccount, sourceRegion, standardCase, targetAccount } from '../simulator/scenarios/standard.ts';
import type { Simulator } from '../simulator/simulator.ts';
import { type Settings, writeSettings } from './sandbox.ts';

const regions = ['eu-west-1', 'us-west-2'];

/** Starts a simulator with two accounts as the scenarios need them; `env` of what is given has their variables, too. */
export async function startSimulatedSandbox<S extends Simulator>(
  startSimulator: (scenario: Scenario) => Promise<S>,
): Promise<S> {
  const { scenario } = standardCase({
    targets: [targetAccount],
    regions,
    policies: ['source-key-policy', 'source-route-copy', 'target-route-copy', 'target-publish', 'target-ssm-parameter'],
    // Long enough for a cancel to fall into a copy.
    timings: { baseSeconds: 0.8, secondsPerGiB: 0 },
  });
  const accounts = Object.fromEntries(
    Object.entries(scenario.accounts).map(([id, account]) => [
      id,
      { ...account, roles: { ...account.roles, admin: workflowRole(id, [administrator]) } },
    ]),
  );
  const simulator = await startSimulator({ ...scenario, accounts });
  const role = (account: string, name: string) => `arn:aws:iam::${account}:role/${name}`;
  const settings: Settings = {
    sourceAccount,
    sourceRegion,
    sourceRole: role(sourceAccount, 'ami-source'),
    sourceAdminRole: role(sourceAccount, 'admin'),
    sourceKey: keyArnOf(sourceAccount, sourceRegion, 'cmkSource'),
    targetAccount,
    targetRegion: regions[0] ?? '',
    otherRegion: regions[1] ?? '',
    targetRole: role(targetAccount, 'ami-target'),
    targetAdminRole: role(targetAccount, 'admin'),
    targetKey: 'alias/cmkTarget',
  };
  Object.assign(simulator.env, writeSettings(settings));
  return simulator;
}
