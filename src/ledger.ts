import { saveState } from '@actions/core';

/*
 * What must be undone, written into the action's saved state before the thing it undoes is made. The run's own clean-up
 * reads it, and `post` after a run that could not. It holds IDs alone: an entry of saved state becomes an environment
 * variable, which Linux refuses from 128 KiB on.
 */

/** Snapshots and images that are shared with the same accounts are one entry. */
export type ShareEntry = Readonly<{ resources: readonly string[]; accounts: readonly string[] }>;

export type LedgerState = Readonly<{
  imageId: string;
  leaseId: string;
  /** Whether the lease may stand on the AMI; not where it can't be tagged. */
  leased: boolean;
  /** The keys that grants of this lease are on, or may be. */
  grantKeys: readonly string[];
  shares: readonly ShareEntry[];
  /** The name of the encrypted copy that this run made, adopted, or may have made. */
  encryptedCopy: string | undefined;
  /** The targets in which copies of this lease are under way: `account/region`, by the role that reaches them ('' for none). */
  targets: Readonly<Record<string, readonly string[]>>;
  /** The source account. */
  account: string;
}>;

export type Ledger = {
  readonly state: LedgerState | undefined;
  /** Writes down what is about to be made. */
  write(change: Partial<LedgerState>): void;
  /** Nothing is left to undo. */
  clear(): void;
};

const stateName = 'ledger';

/** A ledger that keeps itself in the action's saved state. */
export function openLedger(save: (name: string, value: string) => void = saveState): Ledger {
  let state: LedgerState | undefined;
  return {
    get state() {
      return state;
    },
    write(change) {
      const empty: LedgerState = {
        imageId: '',
        leaseId: '',
        leased: false,
        grantKeys: [],
        shares: [],
        encryptedCopy: undefined,
        targets: {},
        account: '',
      };
      state = { ...empty, ...state, ...change };
      save(stateName, JSON.stringify(state));
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
