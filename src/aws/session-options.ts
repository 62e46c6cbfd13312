import type { Host } from '../host.ts';
import { offersToken, tokensEndAt } from './runner-token.ts';

export type SessionOptions = Readonly<{
  /** The source's region, where all roles are assumed. */
  stsRegion: string;
  /** May hold `{account}` and `{region}`; so may the values of the session tags. */
  sessionName: string;
  /** Only with GitHub's ID token, only with what the environment has, or with a token where one is offered. */
  from: 'oidc' | 'environment' | 'auto';
  roleChaining: boolean;
  externalId: string | undefined;
  sessionTags: Readonly<Record<string, string>>;
  durationSeconds: number;
  audience: string;
}>;

/** What is left of the last sessions for taking back, when a run ends. */
const takeBackMs = 20 * 60_000;

/** A role assumed from a role's session may last an hour: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html */
export const maxChainedSeconds = 3600;

/** https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html */
const maxSessionSeconds = 43_200;

/**
 * Until when a run may go on, in ms since the epoch: with the last sessions that ID tokens give, it has to take back what
 * is temporary; and whether longer sessions would move that. Undefined where nothing says so.
 */
export function lastMomentOf(
  options: Pick<SessionOptions, 'from' | 'roleChaining' | 'durationSeconds'>,
  host: Pick<Host, 'env' | 'clock'>,
): Readonly<{ at: number; canBeLater: boolean }> | undefined {
  const endsAt = usesToken(options, host) ? tokensEndAt(host) : undefined;
  if (endsAt === undefined) return undefined;
  const mostSeconds = options.roleChaining ? maxChainedSeconds : maxSessionSeconds;
  const seconds = Math.min(options.durationSeconds, mostSeconds);
  return { at: endsAt + seconds * 1000 - takeBackMs, canBeLater: seconds < mostSeconds };
}

/** Whether any role is assumed by AssumeRole, which alone takes an external ID and session tags. */
export function usesAssumeRole(
  options: Pick<SessionOptions, 'roleChaining' | 'from'>,
  host: Pick<Host, 'env'>,
): boolean {
  return options.roleChaining || !usesToken(options, host);
}

/** Whether roles are assumed with GitHub's ID token. */
export function usesToken({ from }: Pick<SessionOptions, 'from'>, host: Pick<Host, 'env'>): boolean {
  return from === 'oidc' || (from === 'auto' && offersToken(host));
}
