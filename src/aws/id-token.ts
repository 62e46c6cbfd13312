import { text } from 'node:stream/consumers';
import { HttpRequest } from '@smithy/core/protocols';
import type { Host } from '../host.ts';
import { CredentialsError, errorMessage, triesAfter } from './errors.ts';
import { payloadOf } from './runner-token.ts';

/** What STS says of a token that it doesn't take: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html */
export const tokenCodes = [
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidIdentityToken',
  'InvalidIdentityTokenException',
];

export type IdToken = Readonly<{ token: string; reusableUntil: number }>;

/** GitHub's ID tokens: one serves all roles for as long as it lives for another minute. */
export type IdTokens = Readonly<{
  /** The token to use, undefined where there is none yet or it is about to end. */
  current(): Promise<IdToken> | undefined;
  /** A new token; the one that another call got meanwhile, where that isn't the `refused` one. */
  fresh(refused?: IdToken): Promise<IdToken>;
}>;

/** What tokens are asked for: for whom, and until when. */
type TokenSource = Readonly<{ audience: string; host: Host; signal: AbortSignal }>;

const reserveMs = 60_000;

export function idTokens({ audience, host, signal }: TokenSource): IdTokens {
  const { now } = host.clock;
  let pending: Promise<IdToken> | undefined;
  let latest: IdToken | undefined;

  const request = async (): Promise<IdToken> => {
    const askedAt = now();
    try {
      const token = await fetchToken(audience, host, signal);
      latest = { token, reusableUntil: askedAt + lifetimeMs(token) - reserveMs };
      return latest;
    } finally {
      pending = undefined;
    }
  };
  const current = () => {
    if (pending !== undefined) return pending;
    return latest !== undefined && now() < latest.reusableUntil ? Promise.resolve(latest) : undefined;
  };
  return {
    current,
    fresh(refused) {
      if (latest === refused) latest = undefined;
      const other = current();
      if (other !== undefined) return other;
      pending = request();
      return pending;
    },
  };
}

/** How long a token lives, by its own times, so that a wrong clock of the machine doesn't matter; 0 if it can't be read. */
function lifetimeMs(token: string): number {
  const { iat, exp } = payloadOf(token);
  return typeof iat === 'number' && typeof exp === 'number' ? (exp - iat) * 1000 : 0;
}

/** What of a token a trust policy goes by; none of it is secret. */
export type Claims = Readonly<{ iss: string; aud: string; sub: string }>;

/** The claims of a token, or undefined where it is none that can be read. AWS checks it; here it is only told. */
export function claimsOf(token: string): Claims | undefined {
  const { iss, aud, sub } = payloadOf(token);
  return typeof iss === 'string' && typeof aud === 'string' && typeof sub === 'string' ? { iss, aud, sub } : undefined;
}

const maxTokenTries = 6;

/**
 * GitHub's ID token, by the runner's own endpoint:
 * https://docs.github.com/actions/reference/security/oidc#methods-for-requesting-the-oidc-token
 * The toolkit's function is not used: it brings a second HTTP stack along (half of the bundle), and tries 429, 500 and
 * resets, which pass as well, no second time.
 */
async function fetchToken(audience: string, host: Host, signal: AbortSignal): Promise<string> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await requestToken(audience, host, signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const final = error instanceof TokenRefused && error.status < 500 && ![408, 429].includes(error.status);
      if (final || tries > triesAfter(error, maxTokenTries - 1)) {
        throw new CredentialsError(`GitHub gave no ID token for audience ${audience}: ${errorMessage(error)}`, {
          ...{
            cause: error,
            remedy: final ? remedyOf(error.status) : 'run it again: GitHub, or what is before it, fails',
          },
        });
      }
      await host.clock.sleep(500 * 2 ** (tries - 1) * (0.5 + Math.random() / 2), signal);
    }
  }
}

/** What to do about a refusal that lasts. */
function remedyOf(status: number): string {
  if (status === 401 || status === 403)
    return "run the job again: a job's right to ID tokens ends some six hours after its start";
  return 'see that nothing changes ACTIONS_ID_TOKEN_REQUEST_URL, which the runner sets';
}

/** The runner's endpoint answered, but with no token. */
class TokenRefused extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`the token endpoint answered ${status}`);
    this.status = status;
  }
}

async function requestToken(audience: string, { env, http, runner }: Host, signal: AbortSignal): Promise<string> {
  const url = new URL(env.ACTIONS_ID_TOKEN_REQUEST_URL ?? '');
  url.searchParams.set('audience', audience);
  const request = new HttpRequest({
    protocol: url.protocol,
    hostname: url.hostname,
    ...(url.port !== '' && { port: Number(url.port) }),
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    headers: {
      host: url.host,
      accept: 'application/json',
      authorization: `Bearer ${env.ACTIONS_ID_TOKEN_REQUEST_TOKEN}`,
    },
  });
  const { response } = await http.handle(request, { abortSignal: signal });
  const body = await text(response.body);
  // Of a refusal only the status counts: what is between may answer with a page that is no JSON.
  if (response.statusCode !== 200) throw new TokenRefused(response.statusCode);
  const { value } = JSON.parse(body || '{}') as { value?: string };
  if (!value) throw new TokenRefused(response.statusCode);
  runner.mask(value);
  return value;
}
