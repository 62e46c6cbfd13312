import { expect } from '@jest/globals';
import type { ActionResult } from '../simulator/runner.ts';
import * as built from '../simulator/runner.ts';
import { keyArnOf, type Scenario } from '../simulator/scenario.ts';
import { type Case, sourceAccount, sourceRegion } from '../simulator/scenarios/standard.ts';
import * as served from '../simulator/simulator.ts';
import { type InProcessRun, runJob, startSimulator } from './in-process.ts';

export type TargetRecord = {
  account: string;
  region: string;
  amiId: string;
  amiName: string;
  snapshotIds: string[];
  kmsKeyArn: string;
  status: string;
  error?: string;
};

/** What a case left, wherever it was played. */
export type Shared = Awaited<ReturnType<typeof share | typeof shareBuilt>>;

/** Where a case is played: by the action in this process, or by dist/ in one of its own. */
type Stage<S extends served.Simulator> = Readonly<{
  startSimulator(scenario: Scenario): Promise<S>;
  runJob(run: InProcessRun): Promise<{ main: ActionResult; post: ActionResult }>;
}>;

function sharingBy<S extends served.Simulator>({ startSimulator, runJob }: Stage<S>) {
  return async (shared: Case, inputs: Record<string, string> = {}, more: Partial<InProcessRun> = {}) => {
    const simulator = await startSimulator(shared.scenario);
    const before = simulator.snapshotOfState(sourceAccount);
    try {
      const { main, post } = await runJob({ inputs: { ...shared.inputs, ...inputs }, env: simulator.env, ...more });
      const targets = JSON.parse(main.outputs.targets || '[]') as TargetRecord[];
      const error = main.annotations
        .filter(({ level }) => level === 'error')
        .map(({ message }) => message)
        .join('\n');
      return { simulator, before, main, post, targets, error };
    } finally {
      await simulator.close();
    }
  };
}

/** Runs the action on a case as a job would, main and post, and gives what it left. */
export const share = sharingBy({ startSimulator, runJob });

/** The same by dist/, in processes of their own, as the runner starts them. */
export const shareBuilt = sharingBy({ startSimulator: served.startSimulator, runJob: built.runJob });

/** What says that a snapshot in a target was copied by the action from an AMI's, as far as AWS keeps it. */
export function copiedFrom(amiId: string, lineage?: string): string {
  const of = lineage === undefined ? '' : `, lineage ${lineage}`;
  return `Copied from {${amiId} /dev/xvda} of ${amiId} (${sourceAccount}/${sourceRegion})${of}`;
}

export function imageIn({ world }: served.Simulator, account: string, region: string, id: string) {
  const image = world.accounts[account]?.regions.get(region)?.images.get(id);
  if (image === undefined) throw new Error(`no ${id} in ${account}/${region}`);
  return image;
}

// Of the place, not of the image; tags and keys are looked at on their own.
const placeFields = [
  'ImageId',
  'OwnerId',
  'Name',
  'ImageLocation',
  'CreationDate',
  'Tags',
  'SourceImageId',
  'SourceImageRegion',
  'SourceInstanceId',
  'BlockDeviceMappings',
];

/** What must be the same in source and target: everything but what is of the place. */
export function attributesOf({ data, uefiData, billing }: ReturnType<typeof imageIn>): unknown {
  const kept = Object.fromEntries(
    Object.entries(data).filter(([name, value]) => !placeFields.includes(name) && value !== undefined),
  );
  const devices = data.BlockDeviceMappings.map(({ Ebs, ...mapping }) => ({
    ...mapping,
    ...(Ebs && {
      Ebs: {
        ...Ebs,
        SnapshotId: Ebs.SnapshotId !== undefined,
        Encrypted: Ebs.SnapshotId !== undefined || Ebs.Encrypted === true,
      },
    }),
  }));
  return { ...kept, uefiData, billing, devices };
}

/** Everything about the targets that must hold in every case. */
export function expectTargets({ simulator, targets }: Pick<Shared, 'simulator' | 'targets'>, amiId: string): void {
  const source = imageIn(simulator, sourceAccount, sourceRegion, amiId);
  const sourceSnapshots = new Set(source.data.BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []));
  expect(targets.length).toBeGreaterThan(0);
  for (const { account, region, amiId: targetId, snapshotIds, kmsKeyArn } of targets) {
    const image = imageIn(simulator, account, region, targetId);
    expect(attributesOf(image)).toEqual(attributesOf(source));
    const place = simulator.world.accounts[account]?.regions.get(region);
    const provenance = [
      { Key: 'share-encrypted-ami:source-ami', Value: amiId },
      { Key: 'share-encrypted-ami:run', Value: 'https://github.com/acme/images/actions/runs/4711' },
      { Key: 'share-encrypted-ami:commit', Value: expect.stringMatching(/^[0-9a-f]{40}$/) },
    ];
    const ownTags = source.data.Tags.filter(({ Key }) => !Key?.startsWith('share-encrypted-ami:'));
    expect(image.data.Tags).toEqual(expect.arrayContaining([...ownTags, ...provenance]));
    expect(kmsKeyArn).toBe(keyArnOf(account, region, 'cmkTarget'));
    const origins = snapshotIds.map((id) => {
      const snapshot = place?.snapshots.get(id)?.data;
      expect(snapshot).toMatchObject({ State: 'completed', Encrypted: true, KmsKeyId: kmsKeyArn });
      expect(snapshot?.Tags).toEqual(expect.arrayContaining(provenance));
      const tags = Object.fromEntries((snapshot?.Tags ?? []).map(({ Key, Value }) => [Key, Value]));
      expect(tags).not.toHaveProperty('share-encrypted-ami:lease');
      return tags['share-encrypted-ami:source-snapshot'];
    });
    expect(new Set(origins)).toEqual(sourceSnapshots);
    // Nothing else is there: no second AMI, no snapshot that no AMI has.
    if (account === sourceAccount && region === sourceRegion) continue;
    const live = [...(place?.images.values() ?? [])].filter(({ deregisteredAt }) => deregisteredAt === undefined);
    expect(live.map(({ data }) => data.ImageId)).toEqual([targetId]);
    expect([...(place?.snapshots.keys() ?? [])].sort()).toEqual([...snapshotIds].sort());
  }
}

/** Nothing was made or changed by a run that refused. */
export function expectUntouched({ simulator, before }: Pick<Shared, 'simulator' | 'before'>): void {
  expect(simulator.calls.filter(({ mutating, outcome }) => mutating && outcome === 'ok')).toEqual([]);
  expect(simulator.snapshotOfState(sourceAccount)).toEqual(before);
}
