import type { LimitFunction } from 'p-limit';
import type { Place } from './aws/clients.ts';
import type { Where } from './aws/errors.ts';
import type { Watcher } from './aws/wait.ts';
import type { Host } from './host.ts';
import type { Request } from './inputs.ts';
import type { Lease } from './lease.ts';
import type { Ledger } from './ledger.ts';
import type { Accounts } from './observe/accounts.ts';
import type { Result } from './outcome.ts';
import type { Plan } from './plan/decided.ts';
import type { Source, SourceSnapshot } from './plan/facts.ts';
import type { Copy, Operation, Ref } from './plan/operation.ts';
import type { PlanRecord } from './report/plan.ts';
import type { Log } from './report/progress.ts';

/** What every operation of one run has at hand. */
export type Run = Readonly<{
  host: Host;
  request: Request;
  leaseId: string;
  source: Source;
  accounts: Accounts;
  ledger: Ledger;
  log: Log;
  /** Waits in an account and region, until `place` is told to stop. */
  watcher(place: Place): Watcher;
  /** The slots of the copies that may run at once in a place. */
  slots(place: Where): LimitFunction;
  /** At how many percent more a copy tells how far it is. */
  stepPercent: number;
  /** Tells how far a target is, all its volumes together, by their sizes. */
  progress(copy: Copy): (snapshot: SourceSnapshot, percent: number) => void;
  operation(id: string): Operation | undefined;
  /** Whether KMS takes a dry run for one. */
  kmsDryRuns: boolean;
  /**
   * Asks again, with an ID that an operation has made, for what the same principal takes there from then on. @throws
   * StepError where it is denied for good
   */
  confirm(operation: Operation, made: Made): Promise<void>;
  /** Keeps a lease until the run's end. */
  hold(lease: Lease): void;
  /** Has the leases tell at once how far the run is. */
  renewLeases(): Promise<void>;
  /** Notes that a grant on a key was made again, by an ID that is not the first one's. */
  regrant(key: string): void;
  /** Keeps a picture of what an instance in a target showed that did not come up. */
  picture(place: Where, jpeg: Uint8Array): void;
  /** Notes what should have been removed in a place and could not be. */
  leave(place: Where, what: string): void;
  /** Fires on a cancel and at the time-out; nothing new is begun after it. */
  signal: AbortSignal;
  /** Has the whole run stop; every target that isn't finished fails with `why`. */
  stop(why: Error): void;
}>;

/** What a run is to do, and whom it has at hand for it. */
export type Prepared = Readonly<{
  accounts: Accounts;
  plan: Plan;
  record: PlanRecord;
  source: Source;
  checked: Checked;
}>;

/** What was asked beforehand. */
export type Checked = Readonly<{
  /** Whether the endpoints take a dry run for one. */
  ec2DryRuns: boolean;
  kmsDryRuns: boolean;
  /** The principals and the keys of the questions that were denied, where the run can do without. */
  denied: ReadonlySet<string>;
  /** What could not be asked, in sentences. */
  unasked: readonly string[];
}>;

/** IDs of what has been made. */
export type Made = Readonly<{ image: string } | { snapshot: string }>;

/** What one operation is done with: its place, whose calls end with its island, and what those before it gave. */
export type Scope = Readonly<{ run: Run; place: Place; resultOf(id: string): Result | undefined }>;

/** The ID of a resource that is there, or that another operation has made. */
export function idOf(scope: Scope, ref: Ref): string {
  const id = 'id' in ref ? ref.id : scope.resultOf(ref.madeBy)?.id;
  if (id === undefined) throw new Error(`${JSON.stringify(ref)} was not made`);
  return id;
}
