import type { Image, Tag } from '@aws-sdk/client-ec2';
import type { Problem } from '../alike.ts';
import type { Where } from '../aws/errors.ts';
import type { TargetRequest } from '../inputs/targets.ts';
import type { Request } from '../inputs.ts';
import { tagKeys } from '../tags.ts';
import type { CreationTags } from './creation-tags.ts';
import type { Source, SourceSnapshot, Target } from './facts.ts';
import type { Expected, Operation, Published } from './operation.ts';
import type { Retention } from './retention.ts';

/* What a plan decides; the list of operations follows from it. */

/**
 * What is made in the source account so that it can be shared: a copy of the AMI under a customer managed key, in the source
 * region or in a hub's; or, with `only`, copies of those snapshots that need it. The name is unique there, so no two
 * runs make two AMIs.
 */
export type EncryptedCopy = Readonly<{
  place: Where;
  name: string;
  kmsKeyArn: string;
  /** The user's tags that it bears when this run makes it. */
  tags: CreationTags;
  only: readonly SourceSnapshot[] | undefined;
  /** The copy that an earlier run made, or another makes; of single snapshots, theirs by the source's. */
  there: string | undefined;
  snapshotsThere: ReadonlyMap<string, string>;
}>;

/** The copy of one snapshot in a target; `takeOver` names one that an earlier run began. */
type SnapshotCopy = Readonly<{ source: SourceSnapshot; takeOver: string | undefined }>;

export type Common = Readonly<{
  target: Target;
  route: 'register' | 'copy';
  expected: Expected;
  /** AMIs of this source that go once the new one is right. */
  replace: readonly Image[];
  /** With `retain`: what of the lineage goes, and what would but for something that holds it. */
  retained: Retention | undefined;
  /** With `lineage`: what is to be said on the AMI and on the former ones, once it is published. */
  marks: Pick<Published, 'former' | 'isSaid' | 'isBack'> | undefined;
  /** What dead runs left and nobody can use: images, snapshots, and marks on what is finished. */
  discardImages: readonly Image[];
  discard: readonly string[];
  untag: readonly string[];
  /** Snapshots of AMIs whose name dead runs took for one of this source; they go once that is there. */
  replaced: readonly string[];
}>;

/** Where what is made is copied from. */
export type Supplied = Readonly<{
  /** Whether another account's snapshots are copied, so that shares and access to keys are needed. */
  crossAccount: boolean;
  /** The encrypted copy that is copied; without one, the source AMI itself. */
  from: EncryptedCopy | undefined;
  /** The keys of the source account that copying takes the use of. */
  sourceKeys: readonly string[];
  /** What each copy of a source snapshot bears; until the AMI is done the run's lease too. */
  snapshotTags: ReadonlyMap<string, readonly Tag[]>;
}>;

/** `supersedes` is the AMI that has the name which the new one is to have. */
export type Registering = Readonly<{
  action: 'register';
  copies: readonly SnapshotCopy[];
  supersedes: Image | undefined;
}>;
export type Copying = Readonly<{ action: 'copy'; takeOver: string | undefined }>;

export type MakingPlan = Common & Supplied & (Registering | Copying);
/** An AMI that is there and right is used again; one that is being made is waited for, and then used if it is right. */
export type ReusingPlan = Common & Readonly<{ action: 'reuse' | 'await'; image: Image }>;
export type TargetPlan = MakingPlan | ReusingPlan;

export function isMaking(plan: TargetPlan): plan is MakingPlan {
  return plan.action === 'register' || plan.action === 'copy';
}

/** A target that has problems, and without which the run goes on. */
export type LeftOut = Readonly<{ target: TargetRequest; problems: readonly Problem[] }>;

export type Plan = Readonly<{
  source: Source;
  /** At most one in a region. */
  encryptedCopies: readonly EncryptedCopy[];
  targets: readonly TargetPlan[];
  leftOut: readonly LeftOut[];
  /** The keys of the source account that runs on the AMI, dead ones too, may have let others use. */
  keys: readonly string[];
  /** All that the run does, each after what it needs. */
  operations: readonly Operation[];
}>;

/** The accounts whose copies take the use of one of the source account's keys. */
export function accountsUsing(targets: readonly TargetPlan[], keyArn: string): string[] {
  const users = targets.filter((target) => isMaking(target) && target.sourceKeys.includes(keyArn));
  return [...new Set(users.map(({ target }) => target.request.account))];
}

/** What is decided, before it is a list of operations. */
export type Decided = Omit<Plan, 'operations'> & Readonly<{ request: Request; leaseId: string }>;

/** The tags that say where a resource comes from. */
export function provenance(request: Pick<Request, 'run'>, imageId: string): Record<string, string> {
  return {
    [tagKeys.sourceAmi]: imageId,
    [tagKeys.run]: request.run.runUrl,
    [tagKeys.commit]: request.run.sha,
  };
}
