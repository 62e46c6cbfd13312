import { placesOf } from './aws/clients.ts';
import { openSessions } from './aws/credentials.ts';
import type { Request } from './inputs.ts';
import { thisReader } from './lease.ts';
import type { LedgerState } from './ledger.ts';
import { sourceSessionName } from './plan/resolve.ts';
import { type CleanUpReport, cleanUpSource, cleanUpTarget } from './steps/clean-up.ts';
import { fill } from './template.ts';

/** What `post` does with the ledger of a run that could not take everything back itself, with credentials of its own. */
export async function takeBack(request: Request, state: LedgerState, signal: AbortSignal): Promise<CleanUpReport> {
  const { credentials, source } = request;
  const sessions = openSessions({ stsRegion: source.region, ...credentials }, signal);
  const session = sessions.source(source.roleArn, sourceSessionName(request));
  const options = {
    made: undefined,
    keyAccess: source.keyAccess,
    keepIntermediates: request.keepIntermediates,
    reader: thisReader(request.run),
  };
  const place = placesOf(state.account, session, signal)(source.region);
  const targets = Object.entries(state.targets).flatMap(([roleArn, places]) =>
    places.map((name) => {
      const [account = '', region = ''] = name.split('/');
      const sessionName = fill(credentials.sessionName, { account, region });
      const ambient = account === state.account ? session : sessions.ambient();
      return placesOf(account, roleArn === '' ? ambient : sessions.target(roleArn, sessionName), signal)(region);
    }),
  );
  const reports = await Promise.all([
    cleanUpSource(place, state, options),
    ...targets.map((target) => cleanUpTarget(target, [state.leaseId])),
  ]);
  return { done: reports.flatMap(({ done }) => done), failed: reports.flatMap(({ failed }) => failed) };
}
