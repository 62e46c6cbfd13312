import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import type { Operation } from './plan/operation.ts';

/** What an operation has made, found or waited for. */
export type Result = Readonly<{
  /** What went for the run's own AMI, for good. */
  removed?: Readonly<{ amiId: string; snapshotIds: readonly string[] }>;
  /** The resource that whoever comes after goes by. */
  id?: string;
  image?: Image;
  snapshots?: readonly Snapshot[];
  /** Whether another run made it. */
  reused?: boolean;
  /** Whether this run has seen it boot. */
  cameUp?: true;
  /** Why it was not done, or doesn't stand, where that makes nothing fail. */
  undone?: 'not needed' | 'not possible' | 'undone';
  /** Of a launch template: its version with the AMI, and the one that was the default before. */
  template?: Readonly<{ id: string; version: number; formerDefault: number }>;
  grantId?: string | undefined;
}>;

/** How an operation came to its end. */
export type End = Readonly<
  | { is: 'done'; result: Result }
  /** `ended`: only because another of its island failed, or the run was told to stop. */
  | { is: 'failed'; error: unknown; ended: boolean }
  /** It was never begun: what it comes after failed (`error`), or the run was told to stop. */
  | { is: 'not begun'; error: unknown }
>;

/** What became of an operation, and when. */
export type Outcome = Readonly<{ operation: Operation; from: number; to: number }> & End;

/** What became of each operation, by its ID, in the order of the plan. */
export type Outcomes = ReadonlyMap<string, Outcome>;

/**
 * What was taken back, and what could not be, each as a sentence; what stays since another run needs it, or since nothing
 * shows that it is ours; what goes on, since its own run had no time left; and what only bears our tags, which is left alone.
 * `warned` is what somebody should look at, `unknown` what could not be looked at and stops nothing, and `allowed` what could
 * not be taken back in optional targets.
 */
export type ReleaseReport = Readonly<Record<'failed' | Told, readonly string[]>>;
export type Told = 'done' | 'stays' | 'goesOn' | 'foreign' | 'allowed' | 'warned' | 'unknown';

/** What still runs on a recalled AMI, would launch it, or may read it: a record of the output `in-use`. */
export type InUse = Readonly<{
  account: string;
  region: string;
  amiId: string;
  by: string;
  /** What ends it, for a shell; `REPLACEMENT` in it stands for the ID of another AMI. */
  command: string;
}>;

/** What became of one AMI, or of a target that has none; a record of the output `targets`. */
export type RecalledTarget = Readonly<{
  account: string;
  region: string;
  amiId: string | null;
  sourceAmi: string | null;
  status: 'disabled' | 'deprecated' | 'deregistered' | 'restored' | 'absent' | 'failed';
  error?: string;
}>;

/** What a recall notes on its way. */
export type RecallNotes = {
  /** What was done beside the AMIs: marks, pointers. */
  done: string[];
  /** What only bears our tags. */
  left: string[];
  failed: string[];
  inUse: InUse[];
};

/** What a recall has come to. */
export type Recalled = Readonly<RecallNotes & { targets: readonly RecalledTarget[]; seconds: number }>;
