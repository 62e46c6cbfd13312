import { CreateImageUsageReportCommand, DeleteImageUsageReportCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { errorMessage, hasCode, placeName } from '../aws/errors.ts';
import type { Result } from '../outcome.ts';
import type { AskUsage } from '../plan/operation.ts';
import { reportedTypes } from '../plan/usage-report.ts';
import type { Run, Scope } from '../run.ts';
import { clientToken } from './client-token.ts';
import { removing } from './limits.ts';
import { type Asking, dryRun, type Question } from './question.ts';

export function asksForUsage(operation: AskUsage, { leaseId }: Asking): Question[] {
  const without = `${operation.image.ImageId} stays, because AWS isn't asked which other accounts use it`;
  return [
    dryRun(creation(operation, leaseId), without),
    ...operation.replaces.slice(0, 1).map((id) => dryRun(deletion(id), without)),
  ];
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImageUsageReport.html */
function creation({ image: { ImageId = '' }, tags }: AskUsage, leaseId: string): CreateImageUsageReportCommand {
  return new CreateImageUsageReportCommand({
    ImageId,
    ResourceTypes: [...reportedTypes],
    ClientToken: clientToken(leaseId, 'usage-report', ImageId),
    TagSpecifications: [{ ResourceType: 'image-usage-report', Tags: [...tags] }],
  });
}

function deletion(ReportId: string): DeleteImageUsageReportCommand {
  return new DeleteImageUsageReportCommand({ ReportId });
}

/** Asks AWS which accounts use an AMI, in place of the reports that say it no more. Where AWS refuses, the AMI only stays. */
export async function askUsage(operation: AskUsage, { run, place }: Scope): Promise<Result> {
  const where = placeName(place);
  const { image, replaces } = operation;
  try {
    await deleteReports(run, place, replaces);
    const { ReportId } = await place.ec2(creation(operation, run.leaseId));
    run.log.line(where, `AWS is asked which accounts use ${image.ImageId} (${image.Name}): ${ReportId}`);
    return { id: ReportId ?? '' };
  } catch (error) {
    place.signal.throwIfAborted();
    run.log.warn(`${where}: AWS could not be asked which accounts use ${image.ImageId}: ${errorMessage(error)}`);
    return { undone: 'not possible' };
  }
}

/** Deletes usage reports that were read; AWS itself deletes one that stays, 30 days after it was made. */
export async function deleteReports({ log }: Run, place: Place, ids: readonly string[]): Promise<void> {
  for (const id of ids)
    try {
      await removing(place, () => place.ec2(deletion(id)));
    } catch (error) {
      place.signal.throwIfAborted();
      // Its code is documented nowhere; AWS's own form of it.
      if (hasCode(error, 'InvalidImageUsageReportId.NotFound')) continue;
      log.warn(`${placeName(place)}: the usage report ${id} could not be deleted: ${errorMessage(error)}`);
    }
}

/** What deletes a report once the AMI that it is on is gone. */
export function deletesReport(id: string): Question {
  return dryRun(deletion(id), `the usage report ${id} stays until AWS deletes it`);
}
