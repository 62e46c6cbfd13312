import type { Files } from './host.ts';
import { isListOf, isRecord, isText, isTexts } from './plain-data.ts';
import { openSavedParts, readSavedParts, roomProblem } from './saved-state.ts';

/*
 * What must be undone, written into the action's saved state before the thing it undoes is made. The run's own clean-up
 * reads it, and `post` after a run that could not. It holds IDs alone.
 */

/** Snapshots and images of one region that are shared with the same accounts are one entry. */
type ShareEntry = Readonly<{ region: string; resources: readonly string[]; accounts: readonly string[] }>;

/** An SSM parameter that is about to be set: what it held before (null: it wasn't there), and what it is to hold. */
export type Promotion = Readonly<{ place: string; name: string; before: FormerValue | null; amiId: string }>;

/**
 * What a parameter held. Where its version is known, that alone is saved: Parameter Store keeps the last 100 and gives one
 * back by `name:version` (https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html).
 */
export type FormerValue = Readonly<{
  version?: number | undefined;
  value?: string | undefined;
  dataType?: string | undefined;
}>;

/** A launch template that is about to get a version with an AMI, or whose version with it becomes the default one. */
export type NewVersion = Readonly<{
  place: string;
  template: string;
  amiId: string;
  /** The version with the AMI that was there before, which stays. */
  existing?: number | undefined;
  /** The latest version before; a new one has a higher number. */
  latest: number;
  /** The default version before. */
  formerDefault: number;
}>;

export type LedgerState = Readonly<{
  imageId: string;
  leaseId: string;
  /** Whether the lease may stand on the AMI; not where it can't be tagged. */
  leased: boolean;
  /** From when on the run makes things, by AWS's time; ms since the epoch. */
  since: number;
  /** The keys that grants of this lease are on, or may be. */
  grantKeys: readonly string[];
  /** The keys into whose policies statements of this lease were put, or may have been, that KMS hasn't shown since. */
  unshown: readonly string[];
  shares: readonly ShareEntry[];
  /** The regions of the source account in which encrypted copies may have been made. */
  regions: readonly string[];
  /** The targets in which copies of this lease are under way: `account/region`, by the role that reaches them ('' for none). */
  targets: Readonly<Record<string, readonly string[]>>;
  /** Whether instances may have been launched in the targets. */
  boots: boolean;
  /** SSM parameters that are being set; they are put back unless all are. */
  promotions: readonly Promotion[];
  /** Versions of launch templates that are being made; they go again unless all are made. */
  versions: readonly NewVersion[];
  /** The source account and region. */
  account: string;
  region: string;
  /** Whether the run has taken back all that it knew of, so that only what AWS shows late may be left. */
  isSettled: boolean;
  /** Whether copies that the run had no time left for go on, for another run to take over. */
  keepPending: boolean;
  /** The AMIs, and snapshots, that are finished: they stay, though they may bear the lease, or be read as bearing it. */
  finished: readonly string[];
}>;

export type Ledger = {
  readonly state: LedgerState | undefined;
  /** Writes down what is about to be made. */
  write(change: Partial<LedgerState>): void;
  /** Writes down that a resource is about to be shared. */
  addShare(region: string, resource: string, accounts: readonly string[]): void;
  /** Nothing is left to undo. */
  clear(): void;
};

/** Nothing to undo. */
export const emptyLedger: LedgerState = {
  imageId: '',
  leaseId: '',
  leased: false,
  since: 0,
  grantKeys: [],
  unshown: [],
  shares: [],
  regions: [],
  targets: {},
  boots: false,
  promotions: [],
  versions: [],
  account: '',
  region: '',
  isSettled: false,
  keepPending: false,
  finished: [],
};

/** A ledger that keeps itself in the action's saved state. */
export function openLedger(save: (name: string, value: string) => void, files: Files): Ledger {
  const saved = openSavedParts(save, files);
  let state: LedgerState | undefined;
  const write = (change: Partial<LedgerState>): void => {
    const next = { ...emptyLedger, ...state, ...change };
    const { shares, targets, promotions, versions, finished, ...run } = next;
    // What changes by itself is a part of its own.
    saved.write({ run, shares, targets, finished, promotions: promotions.map(savedPromotion), versions });
    state = next;
  };
  return {
    get state() {
      return state;
    },
    write,
    addShare(region, resource, accounts) {
      const shares = state?.shares ?? [];
      const at = shares.findIndex((entry) => entry.region === region && entry.accounts.join() === accounts.join());
      const known = shares[at];
      const entry = { region, accounts, resources: [...(known?.resources ?? []), resource] };
      write({ shares: known === undefined ? [...shares, entry] : shares.with(at, entry) });
    },
    clear() {
      state = undefined;
      saved.clear();
    },
  };
}

function savedPromotion({ before, ...promotion }: Promotion): Promotion {
  return { ...promotion, before: before?.version === undefined ? before : { version: before.version } };
}

/** What a target, an SSM parameter, and a launch template take of saved state at most, packed: measured, and somewhat more. */
const charactersPerTarget = 30;
const charactersPerParameter = 50;
const charactersPerTemplate = 60;

/**
 * Why what a run has to undo could not be saved, where so many targets are made, and so many of their SSM parameters and
 * launch templates are set; undefined where it can. To be asked before anything is made.
 */
export function ledgerProblem(
  { targets, parameters, templates = 0 }: Readonly<{ targets: number; parameters: number; templates?: number }>,
  files: Files,
): string | undefined {
  const references = parameters * charactersPerParameter + templates * charactersPerTemplate;
  const problem = roomProblem(targets * charactersPerTarget + references, files);
  if (problem === undefined) return undefined;
  return `what has to be undone of ${targets} targets, ${parameters} SSM parameters and ${templates} launch templates, should the run be killed, is more than saved state holds, and ${problem}`;
}

/** What main left for post: undefined where there is nothing to undo, or nothing could be read of it. */
type SavedLedger = Readonly<{ state: LedgerState | undefined; unread: readonly string[] }>;

/** The part of the state that each saved part is, where it is one. */
const readers = new Map<string, (value: unknown) => Partial<LedgerState> | undefined>([
  ['run', (value) => (isRunPart(value) ? value : undefined)],
  ['shares', (value) => (isListOf(value, isShareEntry) ? { shares: value } : undefined)],
  ['targets', (value) => (isTextsByName(value) ? { targets: value } : undefined)],
  ['finished', (value) => (isTexts(value) ? { finished: value } : undefined)],
  ['versions', (value) => (isListOf(value, isNewVersion) ? { versions: value } : undefined)],
  ['promotions', (value) => (isListOf(value, isPromotion) ? { promotions: value } : undefined)],
]);

const words = new Map([
  ['run', 'the AMI, its lease and the grants'],
  ['shares', 'the shares'],
  ['targets', 'the targets'],
  ['finished', 'the AMIs that are finished'],
  ['promotions', 'the SSM parameters'],
  ['versions', 'the launch templates'],
]);

/** The ledger that the main step left for `post`, as far as it can be read; and what of it can't be. Never throws. */
export function savedLedger(get: (name: string) => string, files: Files): SavedLedger {
  const saved = readSavedParts(get, files);
  const unread = saved.unread.map(({ part, why }) =>
    part === undefined ? `all of it: ${why}` : `${words.get(part) ?? part}: ${why}`,
  );
  const known: Partial<LedgerState>[] = [];
  for (const [part, value] of saved.parts) {
    const read = readers.get(part)?.(value);
    if (read === undefined) unread.push(`${words.get(part) ?? part}: it is not what this action saves`);
    else known.push(read);
  }
  return { state: known.length === 0 ? undefined : Object.assign({}, emptyLedger, ...known), unread };
}

function isTextsByName(value: unknown): value is Record<string, string[]> {
  return isRecord(value) && Object.values(value).every(isTexts);
}

type RunPart = Omit<LedgerState, 'shares' | 'targets' | 'promotions' | 'versions' | 'finished'>;

function isRunPart(value: unknown): value is RunPart {
  return (
    isRecord(value) &&
    [value.imageId, value.leaseId, value.account, value.region].every(isText) &&
    [value.leased, value.keepPending, value.boots, value.isSettled].every((flag) => typeof flag === 'boolean') &&
    Number.isFinite(value.since) &&
    [value.grantKeys, value.unshown, value.regions].every(isTexts)
  );
}

function isShareEntry(value: unknown): value is ShareEntry {
  return isRecord(value) && isText(value.region) && isTexts(value.resources) && isTexts(value.accounts);
}

function isNewVersion(value: unknown): value is NewVersion {
  if (!isRecord(value) || ![value.place, value.template, value.amiId].every(isText)) return false;
  const isNumber = (one: unknown) => Number.isInteger(one);
  return (
    isNumber(value.latest) &&
    isNumber(value.formerDefault) &&
    (value.existing === undefined || isNumber(value.existing))
  );
}

function isPromotion(value: unknown): value is Promotion {
  if (!isRecord(value) || ![value.place, value.name, value.amiId].every(isText)) return false;
  const { before } = value;
  return before === null || (isRecord(before) && (Number.isInteger(before.version) || isText(before.value)));
}
