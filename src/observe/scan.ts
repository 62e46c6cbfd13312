import { GetImageFindingsCommand, type Image, type ImageFinding } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { pages } from '../aws/describe.ts';
import { explainLine, placeName } from '../aws/errors.ts';
import { type ScanGate, severities } from '../inputs/scan.ts';
import type { Findings } from '../plan/problem.ts';

/*
 * Amazon Inspector scans AMIs, and EC2 tells what it found: the highest severity and the time of the last scan with the AMI,
 * the findings apart. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ScanResults.html
 */

/** From the least to the worst; what AWS may call otherwise one day is the worst of all. */
const levels: readonly string[] = [...severities, 'critical'];
const rankOf = (label: string): number => (levels.includes(label) ? levels.indexOf(label) : levels.length);

const dayMs = 86_400_000;

/** Whether AWS says that it was scanned. Empty results say nothing: the gate takes no silence for a pass. */
export function isScanned({ ScanResults: { FindingScanDate, HighestFindingSeverityLabel } = {} }: Image): boolean {
  return FindingScanDate !== undefined || HighestFindingSeverityLabel !== undefined;
}

/** Whether its last scan is young enough; of one whose time isn't known, that isn't known either. */
export function isFresh({ ScanResults }: Image, { maxAgeDays }: ScanGate, now: number): boolean {
  if (maxAgeDays === undefined) return true;
  const at = ScanResults?.FindingScanDate;
  return at !== undefined && now - at.getTime() <= maxAgeDays * dayMs;
}

const told = (at: Date): string => `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** Notes what keeps the source AMI from being shared, by its scan. */
export async function checkScan(place: Place, image: Image, check: ScanCheck): Promise<void> {
  if (!isScanned(image)) {
    tellUnscanned(place, image, check);
    return;
  }
  if (!isFresh(image, check.scan, place.awsNow())) tellOld(place, image, check);
  await checkFindings(place, image, check);
}

function waitingFor({ waitMinutes }: ScanGate): string {
  return waitMinutes === 0
    ? 'wait for it with scan-wait-minutes'
    : `wait longer for it (scan-wait-minutes: ${waitMinutes})`;
}

function tellOld(place: Place, { ImageId, ScanResults }: Image, { scan, findings }: ScanCheck): void {
  const at = ScanResults?.FindingScanDate;
  const limit = `scan-max-age-days (${scan.maxAgeDays})`;
  findings.add(
    placeName(place),
    at === undefined
      ? `when ${ImageId} was last scanned by Amazon Inspector is not known, and ${limit} is set`
      : `${ImageId} was last scanned by Amazon Inspector at ${told(at)}, longer ago than ${limit}`,
    `have it scanned again, and ${waitingFor(scan)}; or set a larger scan-max-age-days`,
  );
}

function tellUnscanned(place: Place, { ImageId }: Image, { scan, findings }: ScanCheck): void {
  const what = `${ImageId} has not been scanned by Amazon Inspector`;
  if (!scan.required) findings.warn(placeName(place), `${what}, so nothing says what it holds`);
  else
    findings.add(
      placeName(place),
      what,
      `have Amazon Inspector scan AMIs in that account and region, and ${waitingFor(scan)}; or set scan-required: false`,
    );
}

/** AWS's label counts all findings; which of them can be fixed, only the findings themselves tell. */
async function checkFindings(place: Place, { ImageId = '', ScanResults }: Image, check: ScanCheck): Promise<void> {
  const { scan, findings } = check;
  const { HighestFindingSeverityLabel: highest = 'none', FindingScanDate: at } = ScanResults ?? {};
  const isOver = (label = '') => rankOf(label) > rankOf(scan.maxSeverity);
  if (!isOver(highest)) return;
  const found = await readFindings(place, ImageId, check);
  const over = (found ?? []).filter(({ SeverityLabel }) => isOver(SeverityLabel));
  const counted = scan.fixableOnly ? over.filter(({ FixAvailable }) => FixAvailable === true) : over;
  // Why they could not be read is a problem already; a list without what the label says does not prove that it has no fix.
  if (scan.fixableOnly && counted.length === 0 && (found === undefined || over.length > 0)) return;
  const since = at === undefined ? '' : `, by its scan of ${told(at)}`;
  const kind = scan.fixableOnly && counted.length > 0 ? 'findings that can be fixed' : 'findings';
  const unlisted = `the highest is ${highest}${found === undefined ? '' : ', and AWS lists none'}`;
  findings.add(
    placeName(place),
    `${ImageId} has ${kind} above max-severity (${scan.maxSeverity})${since}: ${counted.length === 0 ? unlisted : summaryOf(counted)}`,
    'bake the AMI anew with the fixes, or raise max-severity',
  );
}

type ScanCheck = Readonly<{ scan: ScanGate; findings: Findings }>;

/** All findings of an AMI; undefined where they can't be read, which is a problem if it is they that decide. */
async function readFindings(
  place: Place,
  ImageId: string,
  { scan, findings }: ScanCheck,
): Promise<ImageFinding[] | undefined> {
  const where = placeName(place);
  const read = () =>
    pages(async (NextToken) => {
      const page = await place.ec2(new GetImageFindingsCommand({ ImageId, NextToken }));
      return { items: page.ImageFindings ?? [], next: page.NextToken };
    });
  const doing = `reading the findings of Amazon Inspector for ${ImageId}`;
  if (scan.fixableOnly) return findings.attempt(where, doing, read);
  try {
    return await read();
  } catch (error) {
    place.signal.throwIfAborted();
    findings.warn(where, `${doing}: ${explainLine(error)}`);
    return undefined;
  }
}

const shown = 10;

/** How many there are of each severity, and the worst of them. */
function summaryOf(over: readonly ImageFinding[]): string {
  const worst = over.toSorted(
    (a, b) => rankOf(b.SeverityLabel ?? '') - rankOf(a.SeverityLabel ?? '') || (b.Score ?? 0) - (a.Score ?? 0),
  );
  const counts = [...Map.groupBy(worst, ({ SeverityLabel }) => SeverityLabel ?? 'unnamed')]
    .map(([label, all]) => `${all.length} ${label}`)
    .join(', ');
  const named = worst.slice(0, shown).map(({ SeverityLabel, Score, Title, FixAvailable }) => {
    const score = Score === undefined ? '' : ` ${Score}`;
    return `${SeverityLabel}${score} ${Title ?? 'without a title'}${FixAvailable === true ? ' (fix available)' : ''}`;
  });
  const more = worst.length > shown ? `; and ${worst.length - shown} more` : '';
  return `${counts}. The worst: ${named.join('; ')}${more}`;
}
