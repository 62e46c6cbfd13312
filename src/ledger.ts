/*
 * What must be undone, written into the action's saved state before the thing it undoes is made. The run's own clean-up
 * reads it, and `post` after a run that could not. It holds IDs alone: an entry of saved state becomes an environment
 * variable, which Linux refuses from 128 KiB on.
 */

/** Snapshots and images of one region that are shared with the same accounts are one entry. */
export type ShareEntry = Readonly<{ region: string; resources: readonly string[]; accounts: readonly string[] }>;

/** An SSM parameter that is about to be set: what it held before (null: it wasn't there), and what it is to hold. */
export type Promotion = Readonly<{
  place: string;
  name: string;
  before: string | null;
  dataType: string;
  amiId: string;
}>;

export type LedgerState = Readonly<{
  imageId: string;
  leaseId: string;
  /** Whether the lease may stand on the AMI; not where it can't be tagged. */
  leased: boolean;
  /** The keys that grants of this lease are on, or may be. */
  grantKeys: readonly string[];
  shares: readonly ShareEntry[];
  /** The regions of the source account in which encrypted copies may have been made. */
  regions: readonly string[];
  /** The targets in which copies of this lease are under way: `account/region`, by the role that reaches them ('' for none). */
  targets: Readonly<Record<string, readonly string[]>>;
  /** SSM parameters that are being set; they are put back unless all are. */
  promotions: readonly Promotion[];
  /** The source account. */
  account: string;
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

const stateName = 'ledger';

/** A ledger that keeps itself in the action's saved state. */
export function openLedger(save: (name: string, value: string) => void): Ledger {
  let state: LedgerState | undefined;
  const write = (change: Partial<LedgerState>): void => {
    const empty: LedgerState = {
      imageId: '',
      leaseId: '',
      leased: false,
      grantKeys: [],
      shares: [],
      regions: [],
      targets: {},
      promotions: [],
      account: '',
    };
    state = { ...empty, ...state, ...change };
    save(stateName, JSON.stringify(state));
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
      save(stateName, '');
    },
  };
}

/** The ledger that the main step left for `post`, or undefined where there is nothing to undo. */
export function savedLedger(get: (name: string) => string): LedgerState | undefined {
  const text = get(stateName);
  return text === '' ? undefined : (JSON.parse(text) as LedgerState);
}
