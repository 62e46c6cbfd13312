import type { Request } from '../inputs.ts';
import type { Common, Copying, Registering, ReusingPlan, Supplied } from './decided.ts';
import type { Holders } from './earlier.ts';
import type { Source } from './facts.ts';
import type { Findings } from './problem.ts';

/* What the parts of planning have in common. */

export type Planning = Readonly<{
  request: Request;
  source: Source;
  /** The keys of tags that this very run gave the AMI of an instance: they are no tags of a source's own. */
  given: ReadonlySet<string>;
  leaseId: string;
  holders: Holders;
  findings: Findings;
}>;

/** A target's plan but for where its snapshots come from, which depends on the other targets. */
export type MakingDraft = Common & Omit<Supplied, 'from' | 'sourceKeys'> & (Registering | Copying);

export type Draft = ReusingPlan | MakingDraft;

export function isMakingDraft(draft: Draft): draft is MakingDraft {
  return draft.action === 'register' || draft.action === 'copy';
}
