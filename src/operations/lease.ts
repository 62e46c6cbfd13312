import { CreateTagsCommand, DeleteTagsCommand } from '@aws-sdk/client-ec2';
import { placeName } from '../aws/errors.ts';
import { leaseTagKey, takeLease } from '../lease.ts';
import type { Result } from '../outcome.ts';
import type { Lease } from '../plan/operation.ts';
import type { Scope } from '../run.ts';
import { type Asking, dryRun, idOr, type Question } from './question.ts';

export function asksForLease({ imageId }: Lease, { leaseId, standIns }: Asking): Question[] {
  const Key = leaseTagKey(leaseId);
  const Resources = [idOr(standIns.image, imageId)];
  const without = 'other runs on this AMI cannot see this one; run them one after the other';
  return [
    dryRun(new CreateTagsCommand({ Resources, Tags: [{ Key, Value: '' }] }), without),
    dryRun(new DeleteTagsCommand({ Resources, Tags: [{ Key }] }), without),
  ];
}

/** Takes the run's lease, which is renewed until the run's end. */
export async function lease(
  { imageId, regions, takesSince, references }: Lease,
  { run, place }: Scope,
): Promise<Result> {
  const { host, request, leaseId, ledger } = run;
  const targets = request.targets.map(placeName);
  const held = await takeLease({
    ...{ place, imageId, id: leaseId, run: request.run, targets, regions, takesSince },
    ...{ machine: host.machine, warn: run.log.warn },
    setting: () =>
      [ledger.state?.promotions, ledger.state?.versions].some((all = []) => all.length > 0) ? references : undefined,
    beforeWrite: (since) => ledger.write({ leased: true, since }),
  });
  if (held === undefined) {
    ledger.write({ leased: false });
    return { undone: 'not possible' };
  }
  run.hold(held);
  return {};
}
