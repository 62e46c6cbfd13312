import { placeName } from '../aws/errors.ts';
import { joined } from '../join.ts';
import type { NewVersion, Promotion } from '../ledger.ts';
import type { Result } from '../outcome.ts';
import type { Ready, Reference } from '../plan/operation.ts';
import type { Scope } from '../run.ts';
import { readPromotion } from './parameter.ts';
import { refuseRecalled } from './recalled.ts';
import { readNewVersion } from './template-version.ts';
import { refuseUnfit } from './unfit.ts';

/*
 * Setting the SSM parameters and the launch templates is all or nothing: they are set only when every target is ready, and
 * what was there before is put back should one of them fail. What was there is written down first, so that post can put it
 * back too.
 */

/**
 * Every target is ready: what their SSM parameters and launch templates hold is read and written down for all, before the
 * first is set. Every one is set: nothing of them is put back any more, since they name AMIs that stay.
 * @throws StepError where one can't be read
 */
export async function readReferences({ sets, settled }: Ready, scope: Scope): Promise<Result> {
  const { ledger } = scope.run;
  if (sets.length > 0) await refuseRecalled(scope.run);
  const read = await joined(sets.map((one) => readReference(one, scope)));
  const { promotions = [], versions = [] } = ledger.state ?? {};
  const isOpen = (place: string, name: string) => !settled.some((one) => isOf(one, place, name));
  const change = {
    promotions: [
      ...promotions.filter((one) => isOpen(one.place, one.name)),
      ...read.flatMap((one) => one?.promotion ?? []),
    ],
    versions: [
      ...versions.filter((one) => isOpen(one.place, one.template)),
      ...read.flatMap((one) => one?.version ?? []),
    ],
  };
  if (sets.length + settled.length === 0) return {};
  ledger.write(change);
  // Where neither post nor a run follows, the lease tells a sweep that not all may be set.
  await scope.run.renewLeases();
  return {};
}

function isOf(one: Reference, place: string, name: string): boolean {
  return placeName(one.place) === place && (one.kind === 'parameter' ? one.name : one.template.id) === name;
}

async function readReference(
  one: Reference,
  scope: Scope,
): Promise<Readonly<{ promotion?: Promotion | undefined; version?: NewVersion | undefined }>> {
  const { run, place, resultOf } = scope;
  const made = 'madeBy' in one.image ? resultOf(one.image.madeBy) : undefined;
  await refuseUnfit({ ...scope, place: run.accounts.target(one.place).until(place.signal) }, made ?? {});
  return one.kind === 'parameter'
    ? { promotion: await readPromotion(one, scope) }
    : { version: await readNewVersion(one, scope) };
}
