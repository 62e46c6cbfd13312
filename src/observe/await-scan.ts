import type { Image } from '@aws-sdk/client-ec2';
import { describeImages } from '../aws/describe.ts';
import { placeName } from '../aws/errors.ts';
import type { Request } from '../inputs.ts';
import { openFindings } from '../plan/problem.ts';
import type { Log } from '../report/progress.ts';
import type { Accounts } from './accounts.ts';
import { observe } from './observe.ts';
import { isFresh, isScanned } from './scan.ts';

const lookEveryMs = 30_000;

/**
 * Waits for a scan of the source AMI that is young enough, as long as is asked; what comes of it is judged with all else.
 * Where anything else stands in the way already, there is nothing to wait for.
 */
export async function awaitScan(
  request: Request,
  accounts: Accounts,
  { log, signal }: Readonly<{ log: Log; signal: AbortSignal }>,
): Promise<void> {
  const { scan } = request;
  if (scan === undefined || scan.waitMinutes === 0) return;
  // What is found here is found again, and told then.
  const aside = openFindings(signal);
  const observed = await aside.attempt('all', 'reading', () =>
    observe({ ...request, scan: undefined }, accounts, aside),
  );
  if (observed === undefined || aside.problems.length > 0 || observed.source.instanceId !== undefined) return;
  const { source } = observed;
  const place = accounts.source(source.place.region);
  const isThere = (image: Image) => isScanned(image) && isFresh(image, scan, place.awsNow());
  const until = place.clock.now() + scan.waitMinutes * 60_000;
  let { image } = source;
  if (!isThere(image))
    log.line(
      placeName(place),
      `waiting up to ${scan.waitMinutes} m for a scan of ${source.imageId} by Amazon Inspector`,
    );
  while (!isThere(image) && place.clock.now() < until) {
    await place.sleep(Math.min(lookEveryMs, until - place.clock.now()));
    const seen = await aside.attempt(placeName(place), 'waiting', () => describeImages(place, [source.imageId]));
    image = seen?.[0] ?? image;
  }
}
