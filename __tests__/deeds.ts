import type { RecordedCall } from '../simulator/simulator.ts';
import type { World } from '../simulator/world.ts';

/*
 * Whether a run did what its plan says, and nothing else: every call that changed something belongs to an operation of
 * the output `plan`, or is the undoing of one; and every operation has an outcome, one that is done with a call of its
 * own. Where the plan has no operations, there is nothing to check.
 */

export type Operation = Readonly<{
  id: string;
  kind: string;
  account: string;
  region: string;
  of: readonly string[];
  after: readonly string[];
  why: string;
  outcome: string | undefined;
}>;

type Written = Readonly<{
  id: string;
  kind: string;
  place?: string | Readonly<{ account: string; region: string }>;
  account?: string;
  region?: string;
  of?: string | readonly string[] | null;
  after?: readonly string[];
  why?: string;
  outcome?: string | null;
}>;

/** The operations of an output `plan`; undefined where it tells of none. */
export function operationsOf(plan: string | undefined): Operation[] | undefined {
  if (plan === undefined || plan === '') return undefined;
  const { operations } = JSON.parse(plan) as { operations?: readonly Written[] };
  return operations?.map(({ id, kind, after = [], why = '', ...written }) => {
    const { place } = written;
    const [account = '', region = ''] = typeof place === 'string' ? place.split('/') : [];
    return {
      id,
      kind,
      ...(typeof place === 'object'
        ? place
        : { account: written.account ?? account, region: written.region ?? region }),
      of: [written.of ?? []].flat(),
      after,
      why,
      outcome: written.outcome ?? undefined,
    };
  });
}

/** What was there of AMIs and snapshots: the keys of its tags, and of an AMI its snapshots. */
export type Stock = ReadonlyMap<string, Stocked>;
type Stocked = Readonly<{ tags: readonly string[]; snapshots: readonly string[] }>;

export function stockOf({ accounts }: World): Stock {
  const keysOf = (tags: readonly { Key?: string | undefined }[]) => tags.map(({ Key }) => Key ?? '');
  return new Map<string, Stocked>(
    Object.values(accounts)
      .flatMap(({ regions }) => [...regions.values()])
      .flatMap(({ images, snapshots }) => [
        ...[...images.values()].map(({ data }) => {
          const parts = data.BlockDeviceMappings.flatMap(({ Ebs }) => Ebs?.SnapshotId ?? []);
          return [data.ImageId, { tags: keysOf(data.Tags), snapshots: parts }] as const;
        }),
        ...[...snapshots.values()].map(
          ({ data }) => [data.SnapshotId, { tags: keysOf(data.Tags), snapshots: [] }] as const,
        ),
      ]),
  );
}

/** `before` without what a run took over: that is its own from then on, as if it had made it. */
export function withoutTaken(calls: readonly RecordedCall[], before: Stock): Stock {
  const taken = new Set(
    calls
      .filter(({ action, request }) => action === 'CreateTags' && tagKeys(request).some((key) => /:lease$/.test(key)))
      .flatMap(({ request }) => (request.Resources ?? []) as string[]),
  );
  const parts = [...taken].flatMap((id) => before.get(id)?.snapshots ?? []);
  return new Map([...before].filter(([id]) => !taken.has(id) && !parts.includes(id)));
}

function tagKeys({ Tags = [] }: RecordedCall['request']): string[] {
  return (Tags as { Key?: string }[]).map(({ Key }) => Key ?? '');
}

/** The kinds of operations that a call may be the doing of, and those that it may be the undoing of. */
type Belonging = Readonly<{ does: readonly string[]; undoes: readonly string[] }>;

const making = ['encrypt', 'copy', 'copy-image', 'register', 'create'];
const lasting: Readonly<Record<string, Belonging>> = {
  CreateImage: { does: ['create'], undoes: [] },
  CopyImage: { does: ['encrypt', 'copy-image'], undoes: [] },
  CopySnapshot: { does: ['encrypt', 'copy'], undoes: [] },
  // The AMI that had to give up its name comes back.
  RegisterImage: { does: ['register'], undoes: ['deregister'] },
  RestoreImageFromRecycleBin: { does: [], undoes: ['deregister', 'register'] },
  ReplaceImageInstanceTypeSpecification: { does: ['register', 'copy-image'], undoes: ['deregister'] },
  CreateGrant: { does: ['allow', 'publish'], undoes: [] },
  // What a dead run left goes with the lease that tells of it.
  PutKeyPolicy: { does: ['allow'], undoes: ['allow', 'lease'] },
  RevokeGrant: { does: [], undoes: ['allow', 'lease'] },
  RunInstances: { does: ['boot'], undoes: [] },
  // What a dead run launched goes by its lease.
  TerminateInstances: { does: ['boot'], undoes: ['boot', 'lease'] },
  EnableImageDeprecation: { does: ['publish'], undoes: [] },
  CreateImageUsageReport: { does: ['ask-usage'], undoes: [] },
  // A report goes with the AMI that it was on.
  DeleteImageUsageReport: { does: ['ask-usage', 'deregister'], undoes: [] },
  EnableImageDeregistrationProtection: { does: ['publish', 'protect'], undoes: [] },
  DisableImageDeregistrationProtection: { does: ['deregister'], undoes: [] },
  EnableFastSnapshotRestores: { does: ['publish'], undoes: [] },
  PutParameter: { does: ['parameter'], undoes: ['parameter'] },
  AddTagsToResource: { does: ['parameter'], undoes: [] },
  CreateLaunchTemplateVersion: { does: ['template-version'], undoes: [] },
  ModifyLaunchTemplate: { does: ['template-version'], undoes: ['template-version'] },
  DeleteLaunchTemplateVersions: { does: [], undoes: ['template-version'] },
  DeleteParameter: { does: [], undoes: ['parameter'] },
};

/** By the tag that is written or taken off; what isn't named here is a tag that the AMI or its snapshots keep. */
const tagging: readonly (readonly [tag: RegExp, written: Belonging, takenOff: Belonging])[] = [
  [/:lease:/, { does: ['lease'], undoes: ['lease'] }, { does: [], undoes: ['lease'] }],
  [/:shares:/, { does: ['share'], undoes: [] }, { does: [], undoes: ['share', 'lease'] }],
  [
    /:lease$/,
    { does: ['copy', 'copy-image', 'deregister'], undoes: ['copy', 'copy-image'] },
    {
      does: ['untag', 'copy', 'copy-image', 'register', 'verify', 'reuse', 'ready'],
      undoes: ['lease', 'copy', 'copy-image', 'register', 'reuse'],
    },
  ],
  [/:boot-test$/, { does: ['boot'], undoes: [] }, { does: [], undoes: [] }],
  [/:protection$/, { does: ['publish'], undoes: [] }, { does: [], undoes: [] }],
  [/:published$/, { does: ['published', 'protect'], undoes: [] }, { does: [], undoes: [] }],
  [/:superseded$/, { does: ['published'], undoes: [] }, { does: ['published'], undoes: [] }],
  [
    /:replaced-by$/,
    { does: ['deregister', 'register'], undoes: [] },
    { does: ['register'], undoes: ['deregister', 'register'] },
  ],
];
const keptTag: Belonging = { does: ['encrypt', 'copy', 'copy-image', 'register', 'verify'], undoes: [] };

function belongingOf({ action, request }: RecordedCall): Belonging | undefined {
  switch (action) {
    case 'CreateTags':
    case 'DeleteTags': {
      const keys = tagKeys(request);
      const [, written, takenOff] = tagging.find(([tag]) => keys.some((key) => tag.test(key))) ?? [];
      return (action === 'CreateTags' ? written : takenOff) ?? keptTag;
    }
    case 'ModifySnapshotAttribute':
      return takesBack(request.CreateVolumePermission)
        ? { does: [], undoes: ['share', 'lease'] }
        : { does: ['share'], undoes: [] };
    case 'ModifyImageAttribute':
      if (request.LaunchPermission === undefined) return { does: ['register', 'copy-image'], undoes: ['deregister'] };
      return takesBack(request.LaunchPermission)
        ? { does: [], undoes: ['share', 'lease'] }
        : { does: ['share', 'publish'], undoes: [] };
    default:
      return lasting[action];
  }
}

function takesBack(permission: unknown): boolean {
  return ((permission as { Remove?: unknown[] } | undefined)?.Remove ?? []).length > 0;
}

/** Reads that show an operation to be done already, where no call is left to make. */
const looks: Readonly<Record<string, RegExp>> = {
  share: /^Describe(Snapshot|Image)Attribute$/,
  encrypt: /^Describe(Images|Snapshots)$/,
  publish: /^Describe|^ListGrants$/,
  parameter: /^GetParameters?$/,
  allow: /^GetKeyPolicy$/,
};
const callers = [
  ...making,
  'lease',
  'allow',
  'share',
  'boot',
  'publish',
  'published',
  'protect',
  'ask-usage',
  'parameter',
  'template-version',
  'deregister',
  'delete',
  'untag',
];
const outcomes = ['done', 'not needed', 'not possible', 'undone', 'failed', 'not begun', 'planned'];

/** What of a run's deeds is not as its plan has it; nothing where all is. `before` is what was there at its start. */
export function checkDeeds(
  calls: readonly RecordedCall[],
  operations: readonly Operation[] | undefined,
  before: Stock,
): string[] {
  if (operations === undefined) return [];
  const others = withoutTaken(calls, before);
  return [
    ...calls
      .filter((call) => isDone(call) && !isDoing(call, operations, before) && !isUndoing(call, operations, others))
      .map((call) => `${nameOf(call)} belongs to no operation`),
    ...checkOutcomes(calls, operations, before),
  ];
}

/** The same for what comes after a run, such as post: it undoes, and does nothing. */
export function checkUndoing(
  calls: readonly RecordedCall[],
  operations: readonly Operation[] | undefined,
  before: Stock,
): string[] {
  if (operations === undefined) return [];
  return calls
    .filter((call) => isDone(call) && !isUndoing(call, operations, before))
    .map((call) => `${nameOf(call)} undoes no operation`);
}

function checkOutcomes(calls: readonly RecordedCall[], operations: readonly Operation[], before: Stock): string[] {
  const odd = operations
    .filter(({ outcome }) => outcome === undefined || !outcomes.includes(outcome))
    .map(({ id, outcome }) => `${id} has the outcome ${outcome}`);
  const idle = operations.filter(
    (operation) =>
      operation.outcome === 'done' &&
      callers.includes(operation.kind) &&
      !calls.some((call) => isDoing(call, [operation], before) || showsDone(call, operation)),
  );
  return [...odd, ...idle.map(({ id }) => `${id} is done, and no call did it`)];
}

const isDone = ({ mutating, outcome }: RecordedCall): boolean => mutating && outcome === 'ok';

function isDoing(call: RecordedCall, operations: readonly Operation[], before: Stock): boolean {
  const id = removedBy(call);
  if (!call.mutating) return false;
  const here = operations.filter((operation) => isAt(call, operation));
  if (id === undefined) return here.some(({ kind }) => belongingOf(call)?.does.includes(kind));
  // What was there before goes by its name alone, or with the AMI that it is part of.
  return here.some(
    ({ kind, of }) =>
      (kind === 'deregister' && (of.includes(id) || of.some((one) => before.get(one)?.snapshots.includes(id)))) ||
      (kind === 'delete' && of.includes(id)),
  );
}

function isUndoing(call: RecordedCall, operations: readonly Operation[], before: Stock): boolean {
  const id = removedBy(call);
  if (id === undefined) {
    const { undoes = [] } = belongingOf(call) ?? {};
    return operations.some((operation) => undoes.includes(operation.kind) && isAround(call, operation));
  }
  const known = before.get(id);
  const bears = (tag: string) => known?.tags.includes(`share-encrypted-ami:${tag}`) === true;
  // What bears a lease is half-made, or is of an AMI that a dead run replaced: a lease tells of it that was seen too late
  // for the plan.
  if ((bears('lease') || bears('replaced-by')) && operations.some(({ kind }) => kind === 'lease')) return true;
  // An encrypted copy that is there already serves for the time being, as one that is made would.
  const kinds = known === undefined ? making : bears('intermediate') ? ['encrypt', 'await', 'reuse', 'lease'] : [];
  return operations.some((operation) => kinds.includes(operation.kind) && isAround(call, operation));
}

/** The AMI or snapshot that a call removes. */
function removedBy({ action, request }: RecordedCall): string | undefined {
  if (action === 'DeregisterImage') return String(request.ImageId);
  return action === 'DeleteSnapshot' ? String(request.SnapshotId) : undefined;
}

function showsDone(call: RecordedCall, operation: Operation): boolean {
  return call.outcome === 'ok' && isAt(call, operation) && looks[operation.kind]?.test(call.action) === true;
}

function isAt(call: RecordedCall, { account, region }: Operation): boolean {
  return call.account === account && call.region === region;
}

/** A lease tells of what is in other regions, too. */
function isAround(call: RecordedCall, operation: Operation): boolean {
  if (operation.kind !== 'lease') return isAt(call, operation);
  // A dead run's instances are in the targets.
  return call.account === operation.account || call.action === 'TerminateInstances';
}

function nameOf(call: RecordedCall): string {
  const { action, account, region, request } = call;
  const what = /(?:ami|snap)-0[0-9a-f]+|arn:[^"]+/.exec(JSON.stringify(request))?.[0] ?? '';
  return `${action} in ${account}/${region} (${what})`;
}
