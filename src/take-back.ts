import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import pLimit from 'p-limit';
import { openClients, type Place, placesOf } from './aws/clients.ts';
import { openSessions } from './aws/credentials.ts';
import { CredentialsError, explainLine } from './aws/errors.ts';
import type { Host } from './host.ts';
import type { Settings } from './inputs/settings.ts';
import { joined } from './join.ts';
import { readerOf } from './lease.ts';
import type { LedgerState } from './ledger.ts';
import { putBackParameter } from './operations/parameter.ts';
import { takeVersionBack, versionDescription } from './operations/template-version.ts';
import type { ReleaseReport } from './outcome.ts';
import { knownLeft } from './release/known-left.ts';
import { release } from './release/release.ts';
import type { Releasing } from './release/releasing.ts';

/** GitHub ends post steps some five minutes after a cancel. */
const postMinutes = 4;

/** One after another, those of some thousand targets would take longer than there is. */
const referencesAtOnce = 50;

/** What the killed run made last may not be seen yet, so that post looks again after a while. */
const passesAfterSeconds = [0, 3, 9];

/** What `post` does with the ledger of a run that could not take everything back itself, with credentials of its own. */
export async function takeBack(
  host: Host,
  settings: Settings,
  state: LedgerState,
): Promise<Pick<ReleaseReport, 'done' | 'failed' | 'warned'>> {
  const { clock } = host;
  const signal = clock.after(postMinutes * 60_000);
  const clients = openClients(host);
  const { credentials, source } = settings;
  const region = state.region || source.region;
  const options = { stsRegion: region, ...credentials };
  const sessions = openSessions({ options, host, signal });
  const session = sessions.source(source.roleArn);
  const at = placesOf(clients, { account: state.account, session, signal, side: 'source' });
  const targets = Object.entries(state.targets).flatMap(([roleArn, places]) =>
    places.map((name): [string, Place] => {
      const [account = '', region = ''] = name.split('/');
      const ambient = account === state.account ? session : sessions.ambient();
      const own = roleArn === '' ? ambient : sessions.target(roleArn, { account, region });
      return [name, placesOf(clients, { account, session: own, signal, side: 'target' })(region)];
    }),
  );
  const byName = new Map(targets);
  await joined((state.targets[''] ?? []).flatMap((name) => byName.get(name) ?? []).map(enter));
  // Without the lease, nothing tells what else is this run's.
  const outside = state.leaseId === '' ? undefined : await enter(at(region)).catch(explainLine);
  const done: string[] = [];
  const references = new Set(referencesIn(settings, state));
  const releasing: Omit<Releasing, 'isLast'> = {
    source: at,
    sourceRegion: region,
    targets: targets.map(([, place]) => place),
    reached: targets.map(([name]) => name),
    state,
    grants: undefined,
    stated: undefined,
    unproven: new Set(state.unshown),
    keyAccess: source.keyAccess,
    keepIntermediates: settings.keepIntermediates,
    reader: (now) => readerOf(host, settings.run, now),
    superseding: true,
    torn: 'warned',
    ready: new Set(),
    patient: false,
  };
  let failed: string[] = [];
  const warned = new Set<string>();
  for (const [index, seconds] of passesAfterSeconds.entries()) {
    const before = passesAfterSeconds[index - 1] ?? 0;
    await clock.sleep((seconds - before) * 1000, signal);
    const notPutBack = await putAllBack(byName, references, done);
    failed = notPutBack;
    if (state.leaseId === '' || outside !== undefined) continue;
    const report = await release({
      ...releasing,
      isLast: index === passesAfterSeconds.length - 1,
    });
    for (const what of report.warned) warned.add(what);
    done.push(...report.done, ...(index === passesAfterSeconds.length - 1 ? [...report.stays, ...report.goesOn] : []));
    // A later pass makes an earlier one's failures good, or tells of them again.
    failed = [...notPutBack, ...report.failed];
  }
  // What one cause keeps from being taken back is one message.
  if (outside !== undefined) failed = [[...knownLeft({ ...releasing, isLast: true }), ...failed, outside].join('; ')];
  // A later pass finds again what an earlier one has done, until AWS shows it.
  return { done: [...new Set(done)], failed, warned: [...warned] };
}

/**
 * Sees that a place is to be called, as whom it is said to be. Another step may have put other credentials into the
 * environment since the run: in that account, nothing is the run's.
 */
async function enter({ account, sts }: Place): Promise<undefined> {
  const { Account } = await sts(new GetCallerIdentityCommand({}));
  if (Account !== account)
    throw new CredentialsError(
      `the credentials in the environment are of account ${Account} now, and the run's were of ${account}`,
      { remedy: 'run it again with those' },
    );
}

/** An SSM parameter or a launch template that the run may have set, and how it is put back. */
type Reference = Readonly<{
  name: string;
  place: string;
  /** Gives what was done, if anything was. */
  putBack(place: Place): Promise<string | undefined>;
}>;

function referencesIn({ run }: Settings, { imageId, leaseId, promotions, versions }: LedgerState): Reference[] {
  const description = versionDescription(run, imageId, leaseId);
  return [
    ...promotions.map((one) => ({
      name: `the SSM parameter ${one.name}`,
      place: one.place,
      putBack: (place: Place) => putBackParameter(place, one),
    })),
    ...versions.map((one) => ({
      name: `the launch template ${one.template}`,
      place: one.place,
      putBack: (place: Place) => takeVersionBack(place, one, description),
    })),
  ];
}

/**
 * Puts parameters and launch templates back; those that have been are left out of `references` from then on. The others are looked at again in
 * each pass: what the killed run set last may stand only later. Gives what could not be put back.
 */
async function putAllBack(
  places: ReadonlyMap<string, Place>,
  references: Set<Reference>,
  done: string[],
): Promise<string[]> {
  const failed: string[] = [];
  await pLimit(referencesAtOnce).map([...references], async (one) => {
    try {
      const place = places.get(one.place);
      if (place === undefined) throw new Error('its target could not be read');
      const restored = await one.putBack(place);
      if (restored === undefined) return;
      done.push(restored);
      references.delete(one);
    } catch (error) {
      failed.push(`${one.name} in ${one.place}: ${explainLine(error)}`);
    }
  });
  return failed;
}
