import { type Decided, isMaking, type TargetPlan } from './decided.ts';
import type { Operation } from './operation.ts';
import { referencesMark } from './references.ts';
import { openSupply } from './supply-operations.ts';
import { concluding, isTested, targetOperations } from './target-operations.ts';

/** The list of what is done, from what is decided; each operation stands behind those that it comes after. */
export function operationsOf(decided: Decided, othersLeft: boolean): Operation[] {
  const { source, targets } = decided;
  const making = targets.filter(isMaking);
  const supply = openSupply(decided);
  if (source.instanceId !== undefined) supply.create(source.instanceId);
  // Where every AMI is there, and what names them can't be left half set, nobody needs to know of this run.
  const needsLease = (target: TargetPlan) =>
    target.action === 'await' || leaves(target) || isTested(decided.request, target);
  if (making.length > 0 || othersLeft || targets.some(needsLease) || referencesMark(targets) !== undefined)
    supply.lease();
  for (const copy of decided.encryptedCopies) supply.encrypt(copy);
  supply.allow(making);
  supply.share(making.filter(({ crossAccount }) => crossAccount));
  const parts = targets.map((target) => ({ target, ...targetOperations(decided, supply, target) }));
  return [...supply.operations, ...parts.flatMap(({ operations }) => operations), ...concluding(decided, parts)];
}

/** Whether dead runs left something in a target. */
function leaves({ discard, discardImages, untag }: TargetPlan): boolean {
  return discard.length + discardImages.length + untag.length > 0;
}
