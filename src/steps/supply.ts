import type { Place } from '../aws/clients.ts';
import type { Watchers } from '../aws/wait.ts';
import type { ImageExtras } from '../image.ts';
import type { EncryptedCopy, Plan, TargetPlan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import { encrypt } from './encrypt.ts';
import type { OpenedKeys } from './key-access.ts';
import { shareOut } from './share.ts';

/** What a target copies from, each part as soon as it can be had: no target waits for what it doesn't take. */
export type Supply = Readonly<{
  /** The source account, in the region that is copied from. */
  place: Place;
  /** The snapshot that stands for one of the source AMI's, once it can be copied. */
  snapshot(sourceSnapshotId: string): Promise<string>;
  /** The image, once it can be copied with all its snapshots. */
  image(): Promise<string>;
  /** What only an owner can read of the image. */
  extras(): Promise<ImageExtras>;
}>;

/** What one target copies from: each part once it may use the keys too. */
export type TargetSupply = Supply &
  Readonly<{
    /** Sees to it that the target may use the source keys, should that have been taken from it. */
    reopen(): Promise<void>;
  }>;

/** Begins all that the targets need in the source account: encrypted copies, shares, access to keys. */
export function openSupplies(
  run: Run,
  plan: Plan,
  keys: OpenedKeys,
  watchers: Watchers,
): (target: TargetPlan) => TargetSupply {
  const own = sourceItself(plan);
  const shared = new Map<EncryptedCopy | undefined, Supply>();
  const takers = plan.targets.filter(({ reuse, crossAccount }) => crossAccount && reuse === undefined);
  for (const [from, targets] of Map.groupBy(takers, ({ from }) => from)) {
    const supply = from === undefined ? own : encrypt(run, plan, from, watchers(from.place));
    shared.set(from, shareOut(run, supply, plan, targets));
  }
  return (targetPlan) => {
    const supply = targetPlan.crossAccount ? shared.get(targetPlan.from) : own;
    if (supply === undefined) throw new Error('a target that is there already copies nothing');
    const after = async <T>(part: Promise<T>): Promise<T> => (await Promise.all([part, keys.opened(targetPlan)]))[0];
    return {
      ...supply,
      snapshot: (id) => after(supply.snapshot(id)),
      image: () => after(supply.image()),
      reopen: () => keys.reopen(targetPlan),
    };
  };
}

/** The source AMI as it is. */
function sourceItself({ source }: Plan): Supply {
  return {
    place: source.place,
    snapshot: async (id) => id,
    image: async () => source.image.ImageId ?? '',
    extras: async () => source.extras,
  };
}
