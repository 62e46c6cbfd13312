import { takeLease } from '../lease.ts';
import type { Result } from '../outcome.ts';
import type { Lease } from '../plan/operation.ts';
import type { Scope } from '../run.ts';

/** Takes the run's lease, which is renewed until the run's end. */
export async function lease({ imageId, regions }: Lease, { run, place }: Scope): Promise<Result> {
  const { host, request, leaseId, ledger } = run;
  const held = await takeLease({
    ...{ place, imageId, id: leaseId, run: request.run, regions, machine: host.machine, warn: run.log.warn },
    beforeWrite: () => ledger.write({ leased: true }),
  });
  if (held === undefined) {
    ledger.write({ leased: false });
    return { undone: 'not possible' };
  }
  run.hold(held);
  return {};
}
