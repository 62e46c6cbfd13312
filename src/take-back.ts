import { type Place, placesOf } from './aws/clients.ts';
import { openSessions } from './aws/credentials.ts';
import { errorMessage } from './aws/errors.ts';
import type { Settings } from './inputs/settings.ts';
import { thisReader } from './lease.ts';
import type { LedgerState } from './ledger.ts';
import { type CleanUpReport, cleanUpSource, cleanUpTarget } from './steps/clean-up.ts';
import { putBack } from './steps/promote.ts';
import { sleep } from './time.ts';

/** What the killed run made last may not be seen yet, so that post looks again after a while. */
const passesAfterSeconds = [0, 3, 9];

/** What `post` does with the ledger of a run that could not take everything back itself, with credentials of its own. */
export async function takeBack(settings: Settings, state: LedgerState, signal: AbortSignal): Promise<CleanUpReport> {
  const { credentials, source } = settings;
  const sessions = openSessions({ stsRegion: source.region, ...credentials }, signal);
  const session = sessions.source(source.roleArn);
  const at = placesOf(state.account, session, signal);
  const targets = Object.entries(state.targets).flatMap(([roleArn, places]) =>
    places.map((name): [string, Place] => {
      const [account = '', region = ''] = name.split('/');
      const ambient = account === state.account ? session : sessions.ambient();
      return [
        name,
        placesOf(account, roleArn === '' ? ambient : sessions.target(roleArn, { account, region }), signal)(region),
      ];
    }),
  );
  const byName = new Map(targets);
  const done: string[] = [];
  const notPutBack: string[] = [];
  for (const promotion of state.promotions) {
    const place = byName.get(promotion.place);
    try {
      const restored = place && (await putBack(place, promotion));
      if (restored !== undefined) done.push(restored);
    } catch (error) {
      notPutBack.push(`the SSM parameter ${promotion.name} in ${promotion.place}: ${errorMessage(error)}`);
    }
  }
  let failed: string[] = [];
  for (const [index, seconds] of passesAfterSeconds.entries()) {
    const before = passesAfterSeconds[index - 1] ?? 0;
    await sleep((seconds - before) * 1000, signal);
    const swept = targets.map(([, place]) => cleanUpTarget(place, [state.leaseId]));
    const isLast = index === passesAfterSeconds.length - 1;
    const options = {
      made: undefined,
      keyAccess: source.keyAccess,
      keepIntermediates: settings.keepIntermediates,
      reader: thisReader(settings.run),
      dropLeases: isLast && Promise.all(swept).then((reports) => reports.every(({ failed }) => failed.length === 0)),
    };
    const reports = await Promise.all([cleanUpSource(at, source.region, state, options), ...swept]);
    done.push(...reports.flatMap((report) => report.done));
    // A later pass makes an earlier one's failures good, or tells of them again.
    failed = [...notPutBack, ...reports.flatMap((report) => report.failed)];
  }
  // A later pass finds again what an earlier one has done, until AWS shows it.
  return { done: [...new Set(done)], failed };
}
