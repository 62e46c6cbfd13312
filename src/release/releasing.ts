import type { Place } from '../aws/clients.ts';
import type { KeyAccess } from '../inputs/settings.ts';
import type { LeaseRecord, Reader } from '../lease.ts';
import type { LedgerState } from '../ledger.ts';

/** Whose work is taken back, where, and how. */
export type Releasing = Readonly<{
  /** The source account, by region. */
  source: (region: string) => Place;
  sourceRegion: string;
  /** The targets in which something of the owners may be. */
  targets: readonly Place[];
  /** Those of them, as `account/region`, in which what stays is only worth a warning. */
  optional?: ReadonlySet<string>;
  /** The names of all targets from which what is left is taken back: these, or those that a sweep has been to. */
  reached: readonly string[];
  /** What the owner that ends has written down; other owners are told by their leases alone. */
  state: LedgerState;
  /** The grants that the owner knows of; undefined where only the saved state tells of them. */
  grants: readonly KnownGrant[] | undefined;
  keyAccess: KeyAccess;
  /** The keys whose policies the owner has put a statement into; undefined where only the saved state tells of them. */
  stated: readonly string[] | undefined;
  /** Those of which KMS has shown no such statement yet: until it does, nothing tells that there is none. */
  unproven: Set<string>;
  keepIntermediates: boolean;
  reader: (now: number) => Reader;
  /** Whether an AMI may be gone of which snapshots are left, by a run that replaced it. */
  superseding: boolean;
  /** The targets, as `account/region`, whose AMIs are there and right. */
  ready: ReadonlySet<string>;
  /** How it is told that a run died as it set what names the targets' AMIs. */
  torn: 'failed' | 'warned';
  /** The mark of what names the targets' AMIs, where the owner has set all of it: that mends what a run left half set. */
  hasSet?: string | undefined;
  /** Whether there is time to wait until a lease expires. */
  patient: boolean;
  /** Whether this is the last look: before it, the leases stay, and tell whose what is left is. */
  isLast: boolean;
}>;

/** A grant that was asked for, with its ID once AWS has told it, and the account that it lets use the key. */
export type KnownGrant = Readonly<{ keyArn: string; grantId: string | undefined; account?: string | undefined }>;

/** Whose leases there are: those that have ended, the owner's own among them, and those that others live by. */
export type Leases = Readonly<{
  gone: readonly string[];
  /** Of runs that died, by their IDs. */
  dead: ReadonlyMap<string, LeaseRecord>;
  live: readonly string[];
  /**
   * When the last of those expires that are worth waiting for, of earlier attempts and of runs that set the very same; 0 where
   * there is none.
   */
  awaitedUntil: number;
  regions: readonly string[];
}>;
