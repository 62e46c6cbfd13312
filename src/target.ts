import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { errorMessage, explainLine, placeName, rootCode } from './aws/errors.ts';
import type { Watcher } from './aws/wait.ts';
import { snapshotIdsOf } from './image.ts';
import type { Plan, TargetPlan } from './plan/plan.ts';
import type { TargetRecord } from './report/outputs.ts';
import type { Run } from './run.ts';
import { carryOver } from './steps/carry-over.ts';
import { copySnapshots } from './steps/copy.ts';
import { copyImage } from './steps/copy-image.ts';
import { publish } from './steps/publish.ts';
import { findRival, finish, register } from './steps/register.ts';
import { discard, removeImage } from './steps/remove.ts';
import { superseding } from './steps/supersede.ts';
import type { TargetSupply } from './steps/supply.ts';
import { verify } from './steps/verify.ts';

/** One target, an island: it fails by itself, in its record. */
export async function makeTarget(
  run: Run,
  plan: Plan,
  targetPlan: TargetPlan,
  supplyOf: (targetPlan: TargetPlan) => TargetSupply,
  watcher: Watcher,
): Promise<TargetRecord> {
  const started = run.log.elapsedSeconds();
  const { place } = targetPlan.target;
  const seconds = () => run.log.elapsedSeconds() - started;
  let ready: Ready | undefined;
  try {
    ready = await reuseOrMake(run, plan, targetPlan, supplyOf, watcher);
    const { image } = ready;
    await run.timeline.span(place, 'publish', () => publish(run, targetPlan, image));
    return recordOf(targetPlan, image, ready.status, seconds(), ready.snapshots);
  } catch (error) {
    const message = explainLine(error);
    run.log.line(placeName(place), `failed: ${message}`);
    if (run.request.failFast && !run.signal.aborted)
      run.stop(new Error(`stopped, because ${placeName(place)} failed (fail-fast)`));
    // An AMI that is right but could not be published is there all the same.
    return { ...recordOf(targetPlan, ready?.image, 'failed', seconds(), ready?.snapshots), error: message };
  }
}

type Ready = Readonly<{ status: 'created' | 'reused'; image: Image; snapshots?: readonly Snapshot[] }>;

async function reuseOrMake(
  run: Run,
  plan: Plan,
  targetPlan: TargetPlan,
  supplyOf: (targetPlan: TargetPlan) => TargetSupply,
  watcher: Watcher,
): Promise<Ready> {
  const { target, reuse, route } = targetPlan;
  const where = placeName(target.place);
  await discard(run, targetPlan);
  if (reuse !== undefined) {
    run.log.line(where, `${reuse.ImageId} is there already`);
    return { status: 'reused', image: reuse };
  }
  try {
    const { image, snapshots } = await make(run, plan, targetPlan, supplyOf(targetPlan), watcher);
    await finish(run, targetPlan, [...(route === 'copy' ? [image.ImageId ?? ''] : []), ...snapshotIdsOf(image)]);
    run.log.line(where, `${image.ImageId} is available and verified`);
    return { status: 'created', image, snapshots };
  } catch (error) {
    const beaten = !run.signal.aborted && rootCode(error) === 'InvalidAMIName.Duplicate';
    const rival = beaten ? await findRival(run, plan, targetPlan, watcher).catch(() => undefined) : undefined;
    if (rival === undefined) throw error;
    run.log.line(where, `another run made ${rival.ImageId} meanwhile`);
    return { status: 'reused', image: rival };
  }
}

/** Makes the AMI by the plan's route, and verifies it. */
async function make(
  run: Run,
  plan: Plan,
  targetPlan: TargetPlan,
  supply: TargetSupply,
  watcher: Watcher,
): Promise<{ image: Image; snapshots: Snapshot[] }> {
  const { place } = targetPlan.target;
  if (targetPlan.route === 'copy') {
    if (targetPlan.adopt === undefined) await supply.image().catch(() => {});
    const made = await run.timeline.span(place, 'copy', () => copyImage(run, plan, targetPlan, supply, watcher));
    return { ...made, image: await accept(run, plan, targetPlan, made.image, made.snapshots) };
  }
  // What the chart shows as copying begins when there is something to copy; why there may be nothing, copySnapshots tells.
  const first = targetPlan.copies.map(({ source, adopt }) => adopt ?? supply.snapshot(source.id));
  if (first.length > 0) await Promise.race(first).catch(() => {});
  const copied = await run.timeline.span(place, 'copy', () => copySnapshots(run, plan, targetPlan, supply, watcher));
  const extras = await supply.extras();
  const snapshots = [...copied.values()];
  const image = await run.timeline.span(place, 'register', () =>
    superseding(run, targetPlan, async () => {
      const registered = await register(run, plan, targetPlan, extras, copied, watcher);
      return accept(run, plan, targetPlan, registered, snapshots);
    }),
  );
  return { image, snapshots };
}

/** Completes and verifies what was made; an AMI that came out otherwise than the source is nobody's to use, and goes again. */
async function accept(
  run: Run,
  plan: Plan,
  targetPlan: TargetPlan,
  made: Image,
  snapshots: readonly Snapshot[],
): Promise<Image> {
  const { place } = targetPlan.target;
  let image = made;
  try {
    image = await carryOver(place, plan.source.image, made);
    await verify(run, plan, targetPlan, image, snapshots);
    return image;
  } catch (error) {
    await removeImage(place, image).catch((failure: unknown) =>
      run.leftBehind.push(`${image.ImageId} in ${placeName(place)}, which differs: ${errorMessage(failure)}`),
    );
    throw error;
  }
}

/** What is told of a target; without `snapshots`, those that its image names. */
export function recordOf(
  { target }: TargetPlan,
  image: Image | undefined,
  status: TargetRecord['status'],
  seconds: number,
  snapshots?: Iterable<Snapshot>,
): TargetRecord {
  const { account, region } = target.request;
  return {
    account,
    region,
    amiId: image?.ImageId ?? null,
    amiName: image?.Name ?? target.name,
    snapshotIds: snapshots
      ? [...snapshots].map(({ SnapshotId }) => SnapshotId ?? '')
      : image
        ? snapshotIdsOf(image)
        : [],
    kmsKeyArn: target.kmsKeyArn,
    status,
    seconds: Math.round(seconds * 10) / 10,
  };
}
