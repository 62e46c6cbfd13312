import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { openClients, type Place, placesOf, type Session } from '../aws/clients.ts';
import { openSessions } from '../aws/credentials.ts';
import { placeName, type Where } from '../aws/errors.ts';
import { usesAssumeRole } from '../aws/session-options.ts';
import type { Side } from '../aws/template-parameters.ts';
import type { Host } from '../host.ts';
import type { Settings } from '../inputs/settings.ts';
import type { Lease } from '../lease.ts';
import type { Kind, Operation } from '../plan/operation.ts';
import type { Findings } from '../plan/problem.ts';

/** A principal, and the account that it is in. */
type Caller = Readonly<{ account: string; arn: string }>;

/** As whom accounts are called; each session is asked once who it is. */
export type Accounts = Readonly<{
  /** @throws where there is none */
  openSource(): Promise<Caller>;
  /** The caller in a target; undefined after a finding that says why there is none, such as a role of another account. */
  openTarget(where: Where, roleArn: string | undefined): Promise<Caller | undefined>;
  /** The source account in a region, once it is open. */
  source(region: string): Place;
  /** The principal of a target that is open; in its own region, or in another, such as the source keys'. */
  target(where: Where, region?: string): Place;
  /** Keeps sessions alive for as long as it can be done; until it is stopped. */
  keepUp(): Lease;
}>;

/** What a role that is called here is told by, in a message: its ARN without the session. */
export function roleOf(place: Where, roleArn: string | undefined): string {
  return roleArn ?? `the caller in account ${place.account}`;
}

/** What is done in the source account, unless it is a target's; all else is done by a target's own principal. */
const ofSource: ReadonlySet<Kind> = new Set(['create', 'lease', 'encrypt', 'await', 'allow', 'share', 'ready']);

/** Whether the source role does an operation, rather than a target's principal. */
export function isOfSource(operation: Operation): boolean {
  const { place, kind, island } = operation;
  const vain = kind === 'deregister' && operation.reason === 'vain';
  return vain || (ofSource.has(kind) && island !== placeName(place));
}

/** Where an operation is done, and as whom. */
export function placeOf(accounts: Accounts, operation: Operation): Place {
  const { place } = operation;
  return isOfSource(operation) ? accounts.source(place.region) : accounts.target(place);
}

/** Off by more than this, AWS refuses a signature: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html */
const maxSkewMs = 5 * 60_000;

/** What the roles are for: what they lack is told by the parameters of its template. */
type Sides = Readonly<{ source: Side; target: Side }>;

const ofShare: Sides = { source: 'source', target: 'target' };

/** The accounts of a run, none of them open yet. What is odd about the inputs is a warning in `findings`. */
export function openAccounts(host: Host, settings: Settings & { sides?: Sides }, findings: Findings): Accounts {
  const { source, credentials, maskAccountIds, sides = ofShare } = settings;
  const { signal } = findings;
  const clients = openClients(host);
  const given = Object.keys(credentials.sessionTags).length > 0 ? ['role-session-tags'] : [];
  if (credentials.externalId !== undefined) given.push('external-id');
  if (given.length > 0 && !usesAssumeRole(credentials, host))
    findings.warn(
      'inputs',
      `${given.join(' and ')} ${given.length > 1 ? 'have' : 'has'} no effect: every role is assumed by OIDC, which takes none`,
    );
  const options = { stsRegion: source.region, ...credentials };
  const sessions = openSessions({ options, host, signal });
  const sourceSession = sessions.source(source.roleArn);

  type Known = Caller & Readonly<{ at: (region: string) => Place }>;
  const asked = new Map<Session, Promise<Known>>();
  const identified = (session: Session, side = sides.source): Promise<Known> => {
    const caller = asked.get(session) ?? identify(session, side);
    asked.set(session, caller);
    return caller;
  };
  // GetCallerIdentity needs no permission, so it fails only with the session itself.
  const identify = async (session: Session, side: Side): Promise<Known> => {
    const anywhere = placesOf(clients, { account: 'the caller', session, signal, side })(source.region);
    const { Account = '', Arn = '' } = await anywhere.sts(new GetCallerIdentityCommand({}));
    if (maskAccountIds) host.runner.mask(Account);
    return { account: Account, arn: Arn, at: placesOf(clients, { account: Account, session, signal, side }) };
  };
  const reach = async ({ account, region }: Where, roleArn: string | undefined): Promise<Known> => {
    if (roleArn !== undefined) return identified(sessions.target(roleArn, { account, region }), sides.target);
    // Without a role of its own, a target is reached with the source's session if it is in that account.
    const own = await identified(sourceSession);
    return own.account === account ? own : identified(sessions.ambient(), sides.target);
  };

  const open = new Map<string, Known>();
  const known = (name: string): Known => {
    const caller = open.get(name);
    if (caller === undefined) throw new Error(`${name} was not opened`);
    return caller;
  };
  const warnOfEnd = (): void => {
    if (sessions.endsUnknown())
      findings.warn(
        'credentials',
        'those in the environment end at some time, and nothing says when (AWS_CREDENTIAL_EXPIRATION is not set). If they end before the run does, it fails, and what is temporary stays until the next run',
      );
  };
  return {
    async openSource() {
      const caller = await identified(sourceSession);
      warnOfEnd();
      const aheadMs = host.clock.now() - caller.at(source.region).awsNow();
      if (Math.abs(aheadMs) > maxSkewMs)
        findings.warn(
          'the clock of the runner',
          `is ${Math.round(Math.abs(aheadMs) / 60_000)} minutes ${aheadMs > 0 ? 'ahead of' : 'behind'} AWS's, and every AWS client that does not correct for that is refused`,
        );
      open.set('source', caller);
      return caller;
    },
    async openTarget(where, roleArn) {
      const name = placeName(where);
      const own = findings.about([name]);
      const caller = await own.attempt(name, 'assuming the target role', () => reach(where, roleArn));
      if (caller === undefined) return undefined;
      open.set(name, caller);
      warnOfEnd();
      if (caller.account === where.account) return caller;
      own.add(
        name,
        `${roleArn ?? 'the credentials in the environment'} landed in account ${caller.account}, not in ${where.account}`,
        'set target-role-arn to a role of that account, such as arn:aws:iam::{account}:role/name',
      );
      return undefined;
    },
    keepUp() {
      const stopping = new AbortController();
      const ended = sessions.renewLast(stopping.signal);
      return {
        stop() {
          stopping.abort();
          return ended;
        },
      };
    },
    source: (region) => known('source').at(region),
    target: (where, region = where.region) => known(placeName(where)).at(region),
  };
}
