import { regionOfKey } from '../aws/kms.ts';
import { totalGiB } from '../image.ts';
import type { Request } from '../inputs.ts';
import { type Estimate, estimate } from '../plan/estimate.ts';
import type { EncryptedCopy, Plan, TargetPlan } from '../plan/plan.ts';
import type { Problem } from '../plan/problem.ts';
import { counted } from './words.ts';

/** One thing that the run does; `after` names the steps that must have ended before. */
export type PlannedStep = Readonly<{
  id: string;
  step:
    | 'create'
    | 'encrypt'
    | 'grant'
    | 'share'
    | 'copy'
    | 'register'
    | 'verify'
    | 'publish'
    | 'promote'
    | 'retain'
    | 'clean-up';
  account: string;
  region: string;
  resources: readonly string[];
  kmsKeyArn: string | null;
  after: readonly string[];
}>;

export type PlannedTarget = Readonly<{
  account: string;
  region: string;
  action: 'create' | 'reuse';
  route: 'register' | 'copy';
  amiName: string;
  kmsKeyArn: string;
  /** The region of the source account that is copied from. */
  from: string;
  volumes: number;
  sizeGiB: number;
  /** The AMI that is used again. */
  reuses: string | null;
  /** Copies of an earlier run that are taken over. */
  adopts: readonly string[];
  /** AMIs that are deregistered once the new one is ready: replaced, and beyond `retain` unless something uses or holds them. */
  replaces: readonly string[];
  removes: readonly string[];
}>;

/** The output `plan`; its schema is schemas/plan.schema.json. */
export type PlanRecord = Readonly<{
  version: 1;
  dryRun: boolean;
  topology: Request['topology'];
  source: Readonly<{
    account: string;
    region: string;
    /** Null where the AMI is yet to be made, of an instance; so are its snapshots' IDs. */
    amiId: string | null;
    amiName: string;
    snapshots: readonly Readonly<{ id: string | null; sizeGiB: number; kmsKeyArn: string | null }>[];
  }>;
  targets: readonly PlannedTarget[];
  steps: readonly PlannedStep[];
  estimate: Estimate;
  problems: readonly Problem[];
  warnings: readonly string[];
}>;

/** Every step that the run takes, as data. */
export function planRecord(
  request: Request,
  plan: Plan,
  problems: readonly Problem[],
  warnings: readonly string[],
): PlanRecord {
  const { source } = plan;
  return {
    version: 1,
    dryRun: request.dryRun,
    topology: request.topology,
    source: {
      account: source.account,
      region: source.place.region,
      amiId: source.instanceId === undefined ? (source.image.ImageId ?? '') : null,
      amiName: source.image.Name ?? '',
      snapshots: source.snapshots.map(({ id, sizeGiB, kmsKeyArn }) => ({
        id: source.instanceId === undefined ? id : null,
        sizeGiB,
        kmsKeyArn: kmsKeyArn ?? null,
      })),
    },
    targets: plan.targets.map((target) => plannedTarget(plan, target)),
    steps: stepsOf(request, plan),
    estimate: estimate(request, plan),
    problems,
    warnings,
  };
}

function plannedTarget({ source }: Plan, { target, reuse, ...plan }: TargetPlan): PlannedTarget {
  const { account, region } = target.request;
  const ids = (images: readonly { ImageId?: string | undefined }[]) => images.map(({ ImageId }) => ImageId ?? '');
  return {
    account,
    region,
    action: reuse === undefined ? 'create' : 'reuse',
    route: plan.route,
    amiName: reuse?.Name ?? target.name,
    kmsKeyArn: target.kmsKeyArn,
    from: plan.from?.place.region ?? source.place.region,
    volumes: source.snapshots.length,
    sizeGiB: totalGiB(source.snapshots),
    reuses: reuse?.ImageId ?? null,
    adopts: [plan.adopt, ...plan.copies.map(({ adopt }) => adopt)].filter((id) => id !== undefined),
    replaces: ids(plan.replace),
    removes: ids(plan.retained?.remove ?? []),
  };
}

function stepsOf(request: Request, plan: Plan): PlannedStep[] {
  const { source, targets, encryptedCopies, keyAccess } = plan;
  const steps: PlannedStep[] = [];
  const add = (
    step: PlannedStep['step'],
    account: string,
    region: string,
    resources: readonly string[],
    kmsKeyArn: string | null,
    after: readonly string[],
    id = `${step} ${account}/${region}`,
  ): string => {
    steps.push({ id, step, account, region, resources, kmsKeyArn, after });
    return id;
  };
  const snapshots = source.snapshots.map(({ id }) => id);
  // What is yet to be made has a name alone.
  const { instanceId } = source;
  const imageId = (instanceId === undefined ? source.image.ImageId : source.image.Name) ?? '';
  const created =
    instanceId === undefined ? [] : [add('create', source.account, source.place.region, [instanceId], null, [])];
  const encrypted = new Map<EncryptedCopy | undefined, string>(
    encryptedCopies.map((copy) => {
      const resources = copy.only?.map(({ id }) => id) ?? [imageId];
      return [copy, add('encrypt', source.account, copy.place.region, resources, copy.kmsKeyArn, created)];
    }),
  );
  const making = targets.filter(({ reuse }) => reuse === undefined);
  const granted = new Map<string, string>();
  if (keyAccess !== 'existing')
    for (const { target, sourceKeys } of making)
      for (const keyArn of sourceKeys) {
        const id = `grant ${keyArn} to ${target.principalArn}`;
        if (!granted.has(id))
          granted.set(id, add('grant', source.account, regionOfKey(keyArn), [target.principalArn], keyArn, [], id));
      }
  const shared = new Map<EncryptedCopy | undefined, string>();
  for (const [from] of Map.groupBy(
    making.filter(({ crossAccount }) => crossAccount),
    (one) => one.from,
  )) {
    const after = [encrypted.get(from) ?? created].flat();
    shared.set(from, add('share', source.account, from?.place.region ?? source.place.region, snapshots, null, after));
  }
  const ready = targets.map((targetPlan) => {
    const { target, reuse, crossAccount, from, sourceKeys, route } = targetPlan;
    const { account, region } = target.request;
    let last: string[] = [];
    if (reuse === undefined) {
      const after = [
        ...(crossAccount ? [shared.get(from) ?? []].flat() : created),
        ...sourceKeys.flatMap((keyArn) => granted.get(`grant ${keyArn} to ${target.principalArn}`) ?? []),
      ];
      const copied = add('copy', account, region, route === 'copy' ? [imageId] : snapshots, target.kmsKeyArn, after);
      const made = route === 'copy' ? copied : add('register', account, region, [target.name], null, [copied]);
      last = [add('verify', account, region, [target.name], null, [made])];
    }
    if (publishes(request, targetPlan))
      last = [add('publish', account, region, [reuse?.ImageId ?? target.name], null, last)];
    return { targetPlan, last };
  });
  const everyLast = ready.flatMap(({ last }) => last);
  const promoted = ready.flatMap(({ targetPlan: { target } }) =>
    target.ssmParameter === undefined
      ? []
      : [add('promote', target.request.account, target.request.region, [target.ssmParameter], null, everyLast)],
  );
  for (const { targetPlan, last } of ready) {
    const { target, retained, replace } = targetPlan;
    const going = [...replace, ...(retained?.remove ?? [])].map(({ ImageId }) => ImageId ?? '');
    if (going.length > 0)
      add('retain', target.request.account, target.request.region, going, null, promoted.length > 0 ? promoted : last);
  }
  if (making.length > 0) add('clean-up', source.account, source.place.region, [imageId], null, everyLast);
  return steps;
}

function publishes({ publication }: Request, { target }: TargetPlan): boolean {
  const { deprecateAfter, deregistrationProtection, fastSnapshotRestore, launchPermissions } = publication;
  return (
    deprecateAfter !== undefined ||
    deregistrationProtection !== 'off' ||
    fastSnapshotRestore.length > 0 ||
    launchPermissions.length > 0 ||
    target.grantKeyTo.length > 0
  );
}

/** So many steps go into the log; the output has them all. */
const toldSteps = 200;

/** The plan for the log: a line a step, then what it comes to. */
export function planLines({ steps, targets, estimate }: PlanRecord): { where: string; what: string }[] {
  const lines = steps.slice(0, toldSteps).map(({ step, account, region, resources, kmsKeyArn }) => ({
    where: `${account}/${region}`,
    what: `${step} ${resources.join(', ')}${kmsKeyArn === null ? '' : ` (key ${kmsKeyArn})`}`,
  }));
  const reused = targets
    .filter(({ reuses }) => reuses !== null)
    .map(({ account, region, reuses }) => ({ where: `${account}/${region}`, what: `reuse ${reuses}` }));
  const { copies, transferGiB, transferUSD, storageGiB, storageUSDPerMonth, minutes } = estimate;
  const more = steps.length - lines.length;
  return [
    ...reused.slice(0, toldSteps),
    ...lines,
    ...(more > 0 ? [{ where: '…', what: `${more} steps more; the file of plan-file has them all` }] : []),
    {
      where: 'by estimate',
      what: `${counted(copies, 'snapshot copy', 'snapshot copies')}; ${transferGiB} GiB between regions, ${transferUSD} USD; ${storageGiB} GiB that stay, ${storageUSDPerMonth} USD a month; ${minutes.least} to ${minutes.most} minutes of copying`,
    },
  ];
}
