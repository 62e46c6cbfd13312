import type { Host } from '../host.ts';

/*
 * The runner's own token, which GitHub's ID tokens are asked for with:
 * https://docs.github.com/actions/reference/security/oidc#methods-for-requesting-the-oidc-token
 */

/** The runner offers an ID token to jobs with `permissions: id-token: write`. */
export function offersToken({ env }: Pick<Host, 'env'>): boolean {
  return Boolean(env.ACTIONS_ID_TOKEN_REQUEST_URL && env.ACTIONS_ID_TOKEN_REQUEST_TOKEN);
}

/** What has a runner that offers no ID token offer one. */
export function tokenRemedy({ env }: Pick<Host, 'env'>): string {
  const fork = env.GITHUB_EVENT_NAME === 'pull_request' ? ' (a pull request from a fork is never given one)' : '';
  return `give the job "permissions: id-token: write"${fork}`;
}

/** A clock that is off by no more than this still tells when the runner's token ends. */
const clockMs = 5 * 60_000;

/**
 * When the runner's token ends, which no ID token can be asked for without: some hours after the job's start. In ms since
 * the epoch; undefined where it doesn't say, and where by the machine's clock it has ended or not begun: then either the
 * clock is wrong, or GitHub will say so.
 */
export function tokensEndAt({ env, clock }: Pick<Host, 'env' | 'clock'>): number | undefined {
  const { nbf, iat, exp } = payloadOf(env.ACTIONS_ID_TOKEN_REQUEST_TOKEN ?? '');
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return undefined;
  const beginsAt = [nbf, iat].find((one) => typeof one === 'number') ?? 0;
  const now = clock.now();
  return now < exp * 1000 && now >= beginsAt * 1000 - clockMs ? exp * 1000 : undefined;
}

/** What a token says; nothing where it can't be read. */
export function payloadOf(token: string): Readonly<Record<string, unknown>> {
  try {
    const payload: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    return typeof payload === 'object' && payload !== null ? { ...payload } : {};
  } catch {
    return {};
  }
}
