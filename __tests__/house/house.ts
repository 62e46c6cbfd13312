import type { ActionResult } from '../../simulator/runner.ts';
import { type Case, sourceAccount } from '../../simulator/scenarios/standard.ts';
import type { RecordedCall } from '../../simulator/simulator.ts';
import { type InProcessRun, type Simulator, startAction, startSimulator } from '../in-process.ts';
import type { TargetRecord } from '../shared-case.ts';

/* What the tests of the whole house have in common: a case on a virtual clock, and what is left when all is quiet. */

export type Job = Readonly<{ main: ActionResult; post: ActionResult }>;

export type House = Readonly<{
  simulator: Simulator;
  /** A run of the case: its inputs with more. Each run ID is a workflow run of its own, on a machine of its own. */
  run(inputs?: Readonly<Record<string, string>>, github?: InProcessRun['github']): InProcessRun;
  /** Lets so much time pass that whatever is still under way has come to its end. */
  settle(minutes?: number): Promise<void>;
  /** What is there of this action beyond what was there at the start: a line each. */
  remains(): string[];
  /** What of it no word was said about: a resource is told by its ID, or by that of the AMI that it is part of. */
  untold(told: string): string[];
  [Symbol.asyncDispose](): Promise<void>;
}>;

export async function openHouse(shared: Case): Promise<House> {
  const simulator = await startSimulator(shared.scenario);
  const before = new Set(ours(simulator));
  return {
    simulator,
    run: (inputs = {}, github = {}) => ({
      inputs: { ...shared.inputs, ...inputs },
      env: simulator.env,
      github,
      machine: `machine-of-${github.run_id ?? '4711'}-${github.run_attempt ?? '1'}`,
    }),
    settle: (minutes = 15) => simulator.clock.sleep(minutes * 60_000),
    remains: () => ours(simulator).filter((line) => !before.has(line)),
    untold: (told) => {
      const parts = Object.values(simulator.world.accounts)
        .flatMap(({ regions }) => [...regions.values()].flatMap(({ images }) => [...images.values()]))
        .filter(({ data }) => told.includes(data.ImageId))
        .flatMap(({ data }) => data.BlockDeviceMappings.map(({ Ebs }) => Ebs?.SnapshotId));
      const isTold = (id = 'none') => told.includes(id) || parts.includes(id);
      return ours(simulator).filter((line) => !before.has(line) && !isTold(/(?:ami|snap)-0\w+/.exec(line)?.[0]));
    },
    [Symbol.asyncDispose]: () => simulator.close(),
  };
}

/** Starts a run, and kills it with its machine once a call has had its effect. Gives what it left. */
export async function killAt(
  { simulator }: House,
  run: InProcessRun,
  isMoment: (call: RecordedCall) => boolean,
): Promise<ActionResult> {
  const dying = startAction(run);
  const forget = simulator.onCall((call) => {
    if (isMoment(call)) dying.kill();
  });
  const result = await dying.result;
  forget();
  if (result.signal !== 'SIGKILL') throw new Error('the run ended before it could be killed');
  return result;
}

const prefix = 'share-encrypted-ami:';
/** What is pending shows what has become of it only when somebody looks. */
function upToDate(simulator: Simulator): Simulator {
  simulator.snapshotOfState();
  return simulator;
}

const isLease = (key = '') => key.startsWith(`${prefix}lease:`);

/**
 * What must not outlast the runs: in the source account shares, grants, statements, tags of ours and encrypted copies;
 * in the targets what no AMI names, what isn't done, and leases.
 */
function ours(simulator: Simulator): string[] {
  const { world } = upToDate(simulator);
  return Object.values(world.accounts).flatMap(({ id, regions }) =>
    [...regions].flatMap(([name, { images, snapshots, keys, instances, volumes }]) => {
      const where = `${id}/${name}`;
      const there = [...images.values()].filter(({ deregisteredAt }) => deregisteredAt === undefined);
      const used = new Set(there.flatMap(({ data }) => data.BlockDeviceMappings.map(({ Ebs }) => Ebs?.SnapshotId)));
      const isSource = id === sourceAccount;
      const tagsOf = (what: string, tags: readonly { Key?: string | undefined }[]) =>
        tags.flatMap(({ Key }) =>
          Key?.startsWith(prefix) &&
          (isSource || /lease/.test(Key) || (what.startsWith('snap-') && /replaced-by/.test(Key)))
            ? [`${where}: tag ${Key} on ${what}`]
            : [],
        );
      return [
        ...there.flatMap(({ data, launch }) => [
          ...(isSource || data.State !== 'available' ? [`${where}: ${data.ImageId} (${data.State})`] : []),
          ...[...launch].map((account) => `${where}: ${data.ImageId} may be launched by ${account}`),
          ...tagsOf(data.ImageId, data.Tags),
        ]),
        ...[...snapshots.values()].flatMap(({ data, shares }) => [
          ...(isSource || !used.has(data.SnapshotId) ? [`${where}: ${data.SnapshotId}`] : []),
          ...[...shares].map((account) => `${where}: ${data.SnapshotId} is shared with ${account}`),
          ...tagsOf(data.SnapshotId, data.Tags),
        ]),
        ...[...instances.values()]
          .filter(({ launched, state }) => launched !== undefined && state !== 'terminated')
          .map((one) => `${where}: ${one.id} (${one.state})`),
        ...[...volumes.keys()].map((id) => `${where}: ${id}`),
        ...[...keys.values()].flatMap(({ metadata, policy, grants }) => [
          ...grants.map(({ Name, GranteePrincipal }) => `${where}: grant ${Name} to ${GranteePrincipal}`),
          ...(JSON.stringify(policy).includes('ShareEncryptedAmi') ? [`${where}: statement on ${metadata.Arn}`] : []),
        ]),
      ];
    }),
  );
}

/** What of `remains` only says that a lease, or something else of ours, was marked: neither access nor a resource. */
export const isLeaseTag = (line: string): boolean => isLease(/tag (\S+) on/.exec(line)?.[1]);

/** All that jobs told: annotations and logs. */
export function toldBy(...jobs: readonly Job[]): string {
  return jobs
    .flatMap(({ main, post }) => [main, post])
    .map(messagesOf)
    .join('\n');
}

/** The warnings and errors of one step. */
export function messagesOf({ annotations }: ActionResult): string {
  return annotations.map(({ message }) => message).join('\n');
}

export function recordsOf({ outputs }: ActionResult): TargetRecord[] {
  return JSON.parse(outputs.targets || '[]') as TargetRecord[];
}

/** The AMIs and the snapshots that are in a target. */
export function stockOf(simulator: Simulator, account: string, region: string) {
  const { world } = upToDate(simulator);
  const place = world.accounts[account]?.regions.get(region);
  return {
    images: [...(place?.images.values() ?? [])].filter(({ deregisteredAt }) => deregisteredAt === undefined),
    snapshots: [...(place?.snapshots.values() ?? [])],
  };
}

/** How often an action was asked for in earnest, and done. */
export function countOf({ calls }: Simulator, action: string, account?: string): number {
  return calls.filter(
    (call) =>
      call.action === action && call.mutating && call.outcome === 'ok' && (account ?? call.account) === call.account,
  ).length;
}
