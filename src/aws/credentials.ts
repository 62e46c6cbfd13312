import {
  AssumeRoleCommand,
  AssumeRoleWithWebIdentityCommand,
  type Credentials,
  STSClient,
  type Tag,
} from '@aws-sdk/client-sts';
import type { Host, Identity } from '../host.ts';
import { fill } from '../template.ts';
import { readingAnswers } from './answer.ts';
import { clientDefaults, type Session } from './clients.ts';
import {
  AwsCallError,
  CredentialsError,
  errorMessage,
  hasCode,
  isClockCorrected,
  isExpired,
  isRefusalOfCredentials,
  isThrottling,
  isTransient,
  triesAfter,
  type Where,
} from './errors.ts';
import { type Claims, claimsOf, type IdToken, type IdTokens, idTokens, tokenCodes } from './id-token.ts';
import { offersToken, tokenRemedy, tokensEndAt } from './runner-token.ts';
import { maxChainedSeconds, type SessionOptions, usesToken } from './session-options.ts';
import { templateFirst } from './template-parameters.ts';

/** How the run comes by its sessions. */
export type Sessions = Readonly<{
  /** The session of the source account: of `roleArn`, or the ambient one. */
  source(roleArn: string | undefined): Session;
  /** A session of a target's role, made from the source's if roles are chained; targets that it is the same for share it. */
  target(roleArn: string, where: Where): Session;
  ambient(): Session;
  /** Whether a session was made of credentials that end, and nothing says when. */
  endsUnknown(): boolean;
  /** Renews every session by ID token just before none can be asked for any more. Ends then, or with `stopped`; never throws. */
  renewLast(stopped: AbortSignal): Promise<void>;
}>;

export type SessionSource = Readonly<{ options: SessionOptions; host: Host; signal: AbortSignal }>;

export function openSessions(from: SessionSource): Sessions {
  const { options, host } = from;
  const { now } = host.clock;
  const known = new Map<string, Session>();
  const memo = (key: string, open: () => Session): Session => {
    const session = known.get(key) ?? open();
    known.set(key, session);
    return session;
  };
  const lastAskAt = (tokensEndAt(host) ?? Number.POSITIVE_INFINITY) - lastAskMs;
  const byToken: Session[] = [];
  const openByToken = (role: Role): Session => {
    const session = renewing(() => assumeByToken(role, tokens, from), now, lastAskAt);
    byToken.push(session);
    return session;
  };
  const tokens = idTokens({ audience: options.audience, host, signal: from.signal });
  const ambient = () => memo('ambient', () => renewing(() => ambientCredentials(from), now));
  let source: Session | undefined;

  const assume = (roleArn: string, where: Where, by: Session | undefined): Session => {
    const tags = Object.entries(options.sessionTags).map(([Key, value]) => ({ Key, Value: fill(value, where) }));
    const role = { roleArn, sessionName: fill(options.sessionName, where), tags };
    return memo(JSON.stringify(role), () => {
      if (by === undefined && usesToken(options, host)) return openByToken(role);
      return renewing(() => assumeFrom(by ?? ambient(), role, from), now);
    });
  };

  return {
    ambient,
    endsUnknown() {
      const identity = known.get('ambient')?.current();
      return identity?.sessionToken !== undefined && identity.expiration === undefined;
    },
    async renewLast(stopped) {
      const leftMs = lastAskAt - now();
      if (leftMs <= 0 || leftMs === Number.POSITIVE_INFINITY) return;
      const isStopped = await host.clock.sleep(leftMs, stopped).then(
        () => false,
        () => true,
      );
      // Where that fails, a session is as good as it was.
      if (!isStopped) await Promise.allSettled(byToken.map(({ credentials }) => credentials()));
    },
    source(roleArn) {
      source =
        roleArn === undefined ? ambient() : assume(roleArn, roleWhere({ roleArn }, options.stsRegion), undefined);
      return source;
    },
    target: (roleArn, where) => assume(roleArn, where, options.roleChaining ? source : undefined),
  };
}

/** So long before its end, the runner's token is used for the last time. */
const lastAskMs = 5 * 60_000;

/** A renewal is due when half of the session is over, or a quarter of an hour is left: clean-up needs time after a cancel. */
const renewBeforeMs = 15 * 60_000;

/** AWS may take what was made a moment ago for ended or unknown. */
const freshMs = 3000;

/**
 * Single flight, early renewal, and the old credentials for as long as they are valid when a renewal fails:
 * the SDK's own memo throws there, although the calls could go on.
 * @param lastAskAt when a session that was made before is renewed, whatever is left of it
 */
export function renewing(
  fetch: () => Promise<Identity>,
  now: () => number,
  lastAskAt = Number.POSITIVE_INFINITY,
): Session {
  let current: { identity: Identity; madeAt: number; renewAt: number } | undefined;
  let pending: Promise<Identity> | undefined;

  const refresh = async (): Promise<Identity> => {
    try {
      const identity = await fetch();
      const endsAt = identity.expiration?.getTime() ?? Number.POSITIVE_INFINITY;
      const madeAt = now();
      const renewAt = endsAt - Math.min(renewBeforeMs, (endsAt - madeAt) / 2);
      current = { identity, madeAt, renewAt: madeAt < lastAskAt ? Math.min(renewAt, lastAskAt) : renewAt };
      return identity;
    } finally {
      pending = undefined;
    }
  };
  const credentials = async (): Promise<Identity> => {
    if (current !== undefined && now() < current.renewAt) return current.identity;
    pending ??= refresh();
    const stillValid = current !== undefined && now() < (current.identity.expiration?.getTime() ?? 0);
    if (current === undefined || !stillValid) return pending;
    const { identity } = current;
    // Try again at the next call after a while, not at each one.
    current = { ...current, renewAt: now() + 5000 };
    return pending.catch(() => identity);
  };
  return {
    // Without this mark, each client would keep what it was given until five minutes before its end, and never ask again:
    // https://github.com/aws/aws-sdk-js-v3 resolveAwsSdkSigV4Config
    credentials: Object.assign(credentials, { memoized: true }),
    current: () => current?.identity,
    renew(ended) {
      // Of many calls that fail at once, only the first finds what it used.
      if (current?.identity !== ended) return true;
      if (current !== undefined && now() - current.madeAt < freshMs) return false;
      current = undefined;
      return true;
    },
  };
}

async function ambientCredentials({ options, host }: SessionSource): Promise<Identity> {
  if (options.from === 'oidc')
    throw new CredentialsError('credentials: oidc uses none from the environment', {
      remedy: 'give a role for every account, in target-role-arn or targets',
    });
  try {
    return await host.ambientCredentials();
  } catch (error) {
    throw noCredentials(error, options, host);
  }
}

const configure = 'run aws-actions/configure-aws-credentials before';

function noCredentials(cause: unknown, options: SessionOptions, host: Host): CredentialsError {
  const words = errorMessage(cause);
  const [what, remedy] =
    options.from === 'environment'
      ? ['credentials is environment, and the environment has none', `${configure}; or, ${byToken(options, host)}`]
      : offersToken(host)
        ? [
            'no role is given (source-role-arn, target-role-arn), and the environment has no AWS credentials',
            `give the role, which is then assumed by OIDC; or ${configure}`,
          ]
        : [
            'the runner offers no ID token, and the environment has no AWS credentials',
            `${tokenRemedy(host)}; or ${configure}`,
          ];
  return new CredentialsError(`${what} (${words})`, { remedy, cause });
}

/** What has a role assumed by OIDC that is not: those of templates/ trust nobody but GitHub. */
function byToken({ from, roleChaining }: SessionOptions, host: Host): string {
  const changes = [
    ...(roleChaining ? ['leave out role-chaining'] : []),
    ...(from === 'environment' ? ['set credentials to oidc'] : []),
    ...(offersToken(host) ? [] : [tokenRemedy(host)]),
  ];
  return `if the role trusts GitHub, ${changes.join(' and ')}`;
}

type Role = Readonly<{ roleArn: string; sessionName: string; tags: Tag[] }>;

/** Roles are where their account is, whatever the region asked. */
function roleWhere({ roleArn }: Pick<Role, 'roleArn'>, region: string): Where {
  return { account: roleArn.split(':')[4] ?? '', region };
}

async function assumeByToken(role: Role, tokens: IdTokens, from: SessionSource): Promise<Identity> {
  const { options, host, signal } = from;
  if (!offersToken(host))
    throw new CredentialsError('credentials is oidc, and the runner offers no ID token', { remedy: tokenRemedy(host) });
  const sts = new STSClient({
    ...clientDefaults,
    requestHandler: readingAnswers(host.http),
    region: options.stsRegion,
  });
  let claims: Claims | undefined;
  const remedy = (error: unknown) => {
    if (!hasCode(error, 'AccessDenied', ...tokenCodes)) return undefined;
    const remedies = [
      claims && hasCode(error, 'AccessDenied') ? trustRemedy(role, claims) : [],
      elsewhere(host),
    ].flat();
    return remedies.length > 0 ? remedies.join('; or ') : undefined;
  };
  const assumeBy = ({ token }: IdToken) => {
    claims = claimsOf(token);
    return sts.send(
      new AssumeRoleWithWebIdentityCommand({
        RoleArn: role.roleArn,
        RoleSessionName: role.sessionName,
        WebIdentityToken: token,
        DurationSeconds: secondsOf('AssumeRoleWithWebIdentity', options),
      }),
      { abortSignal: signal },
    );
  };
  return retrySts({ action: 'AssumeRoleWithWebIdentity', role, remedy }, from, async () => {
    const used = tokens.current();
    if (used === undefined) return assumeBy(await tokens.fresh());
    const token = await used;
    try {
      return await assumeBy(token);
    } catch (error) {
      if (!hasCode(error, ...tokenCodes)) throw error;
      return assumeBy(await tokens.fresh(token));
    }
  });
}

/** Where the environment has credentials, which a refused token may not have been meant to replace. */
function elsewhere({ env }: Host): string[] {
  const has = ['AWS_ACCESS_KEY_ID', 'AWS_PROFILE', 'AWS_CONTAINER_CREDENTIALS_FULL_URI'].some((name) => env[name]);
  return has ? ['if the role trusts the credentials in the environment, set credentials to environment'] : [];
}

type StsAction = 'AssumeRole' | 'AssumeRoleWithWebIdentity';

/** How long the sessions of an action are asked to last. */
function secondsOf(action: StsAction, { durationSeconds }: SessionOptions): number {
  return action === 'AssumeRole' ? Math.min(durationSeconds, maxChainedSeconds) : durationSeconds;
}

async function assumeFrom(by: Session, role: Role, from: SessionSource): Promise<Identity> {
  const { options, host, signal } = from;
  const config = { ...clientDefaults, requestHandler: readingAnswers(host.http), region: options.stsRegion };
  const sts = new STSClient({ ...config, credentials: by.credentials });
  const command = () =>
    new AssumeRoleCommand({
      RoleArn: role.roleArn,
      RoleSessionName: role.sessionName,
      DurationSeconds: secondsOf('AssumeRole', options),
      ...(options.externalId && { ExternalId: options.externalId }),
      ...(role.tags.length > 0 && { Tags: role.tags }),
    });
  const remedy = (error: unknown) =>
    hasCode(error, 'AccessDenied') && !errorMessage(error).includes('sts:TagSession')
      ? `the calling principal needs sts:AssumeRole on the role, and the role's trust policy must name that principal (and external-id, if it asks for one); or, ${byToken(options, host)}`
      : undefined;
  return retrySts({ action: 'AssumeRole', role, remedy }, from, async () => {
    try {
      return await sts.send(command(), { abortSignal: signal });
    } catch (error) {
      if (isExpired(error)) by.renew(by.current());
      throw error;
    }
  });
}

/** https://docs.github.com/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws */
function trustRemedy({ roleArn }: Role, { iss, aud, sub }: Claims): string {
  const [, partition, , , account] = roleArn.split(':');
  const issuer = iss.replace(/^https:\/\//, '');
  const trust = {
    Effect: 'Allow',
    Principal: { Federated: `arn:${partition}:iam::${account}:oidc-provider/${issuer}` },
    Action: 'sts:AssumeRoleWithWebIdentity',
    Condition: { StringEquals: { [`${issuer}:aud`]: aud, [`${issuer}:sub`]: sub } },
  };
  const letIn = `its trust policy must let this workflow in: ${JSON.stringify(trust)}`;
  return `the role must be there; ${templateFirst(`name ${sub} in Subject`, letIn)}`;
}

/** A role or provider made a moment ago answers AccessDenied at first, so that is tried again, but not for long. */
const maxDenials = 4;
const maxFailures = 6;

async function retrySts(
  {
    action,
    role,
    remedy,
  }: Readonly<{ action: StsAction; role: Role; remedy?: (error: unknown) => string | undefined }>,
  { options, host, signal }: SessionSource,
  assume: () => Promise<{ Credentials?: Credentials | undefined }>,
): Promise<Identity> {
  const tries = { denials: 0, failures: 0 };
  for (;;) {
    signal.throwIfAborted();
    try {
      const { Credentials } = await assume();
      return toIdentity(Credentials, { seconds: secondsOf(action, options), now: host.clock.now() });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      // Of credentials that these were to be had by, that error says why.
      if (error instanceof CredentialsError || error instanceof AwsCallError) throw error;
      const passing = passingAs(error, action, tries);
      if (passing === undefined) {
        const where = roleWhere(role, options.stsRegion);
        throw new AwsCallError({ action, where, resource: role.roleArn, remedy: remedy?.(error) }, error);
      }
      tries[passing] += 1;
      await host.clock.sleep(500 * 2 ** (tries.denials + tries.failures - 1) * (0.5 + Math.random() / 2), signal);
    }
  }
}

type StsTries = Readonly<{ denials: number; failures: number }>;

/** As what an error may pass by itself; undefined where it doesn't, or was waited for often enough. */
function passingAs(error: unknown, action: StsAction, tries: StsTries): keyof StsTries | undefined {
  // An ID token that has ended is no credentials: assumeByToken has asked for another.
  const refused = action === 'AssumeRole' && isRefusalOfCredentials(error);
  if (refused || hasCode(error, 'AccessDenied')) return leftOf(tries, 'denials', maxDenials);
  const passes = isThrottling(error) || isTransient(error) || isClockCorrected(error) || isKeyLookup(error);
  return passes ? leftOf(tries, 'failures', triesAfter(error, maxFailures)) : undefined;
}

function leftOf(tries: StsTries, kind: keyof StsTries, most: number): keyof StsTries | undefined {
  return tries[kind] < most ? kind : undefined;
}

/** STS could not read GitHub's signing keys: seen under many jobs at once, and gone a moment later. */
function isKeyLookup(error: unknown): boolean {
  return (
    hasCode(error, 'InvalidIdentityToken', 'InvalidIdentityTokenException') &&
    errorMessage(error).includes("Couldn't retrieve verification key")
  );
}

/**
 * What STS gave, with its end by the machine's clock, which may be off: a session lasts as long as it was asked for, or as
 * AWS's time and the machine's say, if that is less.
 */
function toIdentity(
  credentials: Credentials | undefined,
  { seconds, now }: Readonly<{ seconds: number; now: number }>,
): Identity {
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = credentials ?? {};
  if (!AccessKeyId || !SecretAccessKey) throw new CredentialsError('STS answered without credentials');
  const leftMs = (Expiration?.getTime() ?? 0) - now;
  const lifeMs = leftMs > 0 ? Math.min(leftMs, seconds * 1000) : seconds * 1000;
  return {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    ...(SessionToken && { sessionToken: SessionToken }),
    expiration: new Date(now + lifeMs),
  };
}
