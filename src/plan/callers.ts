import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { openClients, type Place, placesOf } from '../aws/clients.ts';
import { openSessions, type Session, usesAssumeRole } from '../aws/credentials.ts';
import { placeName, type Where } from '../aws/errors.ts';
import type { Host } from '../host.ts';
import type { Settings } from '../inputs/settings.ts';
import type { Findings } from './problem.ts';

/** A principal, the account that it is in, and that account's places by region. */
export type Caller = Readonly<{ account: string; arn: string; at: (region: string) => Place }>;

/** As whom accounts are called; each session is asked once who it is. */
export type Callers = Readonly<{
  source(): Promise<Caller>;
  /** The caller in a target; undefined after a finding that says why there is none, such as a role of another account. */
  target(where: Where, roleArn: string | undefined): Promise<Caller | undefined>;
}>;

export function openCallers(host: Host, settings: Settings, findings: Findings): Callers {
  const { source, credentials, maskAccountIds } = settings;
  const { signal } = findings;
  const clients = openClients(host);
  const given = Object.keys(credentials.sessionTags).length > 0 ? ['role-session-tags'] : [];
  if (credentials.externalId !== undefined) given.push('external-id');
  if (given.length > 0 && !usesAssumeRole(credentials, host))
    findings.warn('inputs', `${given.join(' and ')} has no effect: every role is assumed by OIDC, which takes none`);
  const options = { stsRegion: source.region, ...credentials };
  const sessions = openSessions({ options, host, clients, signal });
  const sourceSession = sessions.source(source.roleArn);
  const known = new Map<Session, Promise<Caller>>();
  const identified = (session: Session): Promise<Caller> => {
    const caller = known.get(session) ?? identify(session);
    known.set(session, caller);
    return caller;
  };
  // GetCallerIdentity needs no permission, so it fails only with the session itself.
  const identify = async (session: Session): Promise<Caller> => {
    const anywhere = placesOf(clients, { account: 'the caller', session, signal })(source.region);
    const { Account, Arn } = await anywhere.sts(new GetCallerIdentityCommand({}));
    const account = Account ?? '';
    if (maskAccountIds) host.runner.mask(account);
    return { account, arn: Arn ?? '', at: placesOf(clients, { account, session, signal }) };
  };
  const reach = async ({ account, region }: Where, roleArn: string | undefined): Promise<Caller> => {
    if (roleArn !== undefined) return identified(sessions.target(roleArn, { account, region }));
    // Without a role of its own, a target is reached with the source's session if it is in that account.
    const own = await identified(sourceSession);
    return own.account === account ? own : identified(sessions.ambient());
  };
  return {
    source: () => identified(sourceSession),
    async target(where, roleArn) {
      const caller = await findings.attempt(placeName(where), 'taking on the target role', () => reach(where, roleArn));
      if (caller === undefined || caller.account === where.account) return caller;
      findings.add(
        placeName(where),
        `${roleArn ?? 'the ambient credentials'} landed in account ${caller.account}, not in ${where.account}`,
        'set target-role-arn to a role of that account, such as arn:aws:iam::{account}:role/name',
      );
      return undefined;
    },
  };
}
