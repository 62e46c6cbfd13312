import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign, verify } from 'node:crypto';
import type { Clock } from './clock.ts';
import { mayAssume, trusts } from './iam.ts';
import { Refusal } from './refusal.ts';
import { openSession, type Session, type Sessions, type Signature } from './sessions.ts';
import type { Account, Role, World } from './world.ts';

/** What GitHub says of the job in its ID token. */
export type GitHub = Readonly<{
  repository: string;
  ownerId: string;
  repositoryId: string;
  ref: string;
  environment?: string;
  /** Whether a pull request's event started the workflow. */
  pullRequest?: boolean;
  subject: 'classic' | 'immutable';
  tokenSeconds: number;
  /** Whether the job has `permissions: id-token: write`. */
  mayRequestToken: boolean;
  /** How long the job's own token lasts, which ID tokens are asked for with; for ever, and unreadable, where not set. */
  requestTokenSeconds?: number;
  issuer: string;
}>;

export const defaultGitHub: GitHub = {
  repository: 'acme/images',
  ownerId: '1001',
  repositoryId: '2002',
  ref: 'refs/heads/main',
  subject: 'classic',
  tokenSeconds: 300,
  mayRequestToken: true,
  issuer: 'https://token.actions.githubusercontent.com',
};

let pair: Readonly<{ publicKey: KeyObject; privateKey: KeyObject }> | undefined;

/** One pair a process, and a short one, which only this process verifies: GitHub's of 2048 bits takes longer than many a run. */
function keyPair() {
  pair ??= generateKeyPairSync('rsa', { modulusLength: 1024 });
  return pair;
}

/** GitHub's token endpoint: ID tokens that are really signed. */
export function openTokenIssuer(first: GitHub, clock: Clock) {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  let github = first;
  return {
    /** From now on, tokens are of this job. */
    setJob(job: GitHub): void {
      github = job;
    },
    /** An ID token for an audience. */
    issue(audience: string): string {
      const now = Math.floor(clock.now() / 1000);
      const claims = {
        iss: github.issuer,
        aud: audience,
        sub: subjectOf(github),
        iat: now,
        nbf: now,
        exp: now + github.tokenSeconds,
        jti: randomUUID(),
        repository: github.repository,
        ref: github.ref,
      };
      const body = `${encode({ alg: 'RS256', typ: 'JWT', kid: 'simulator' })}.${encode(claims)}`;
      return `${body}.${sign('RSA-SHA256', Buffer.from(body), keyPair().privateKey).toString('base64url')}`;
    },
  };
}

// https://docs.github.com/actions/reference/security/oidc
function subjectOf({ repository, ownerId, repositoryId, ref, environment, pullRequest, subject }: GitHub): string {
  const [owner, name] = repository.split('/');
  const base = subject === 'immutable' ? `repo:${owner}@${ownerId}/${name}@${repositoryId}` : `repo:${repository}`;
  if (environment !== undefined) return `${base}:environment:${environment}`;
  return `${base}:${pullRequest === true ? 'pull_request' : `ref:${ref}`}`;
}

type Input = Readonly<{
  RoleArn?: string;
  RoleSessionName?: string;
  WebIdentityToken?: string;
  DurationSeconds?: number;
  ExternalId?: string;
  Tags?: { Key?: string; Value?: string }[];
}>;

export type Sts = Readonly<{
  world: World;
  sessions: Sessions;
  sessionSeconds: number | undefined;
}>;

type AccountRole = Readonly<{ account: Account; role: Role }>;

function findRole(world: World, arn: string): AccountRole | undefined {
  const account = world.accounts[arn.split(':')[4] ?? ''];
  const role = [...(account?.roles.values() ?? [])].find((one) => one.arn === arn);
  return account === undefined || role === undefined ? undefined : { account, role };
}

const sessionNamePattern = /^[\w+=,.@-]{2,64}$/;

function checkCommon({ RoleArn = '', RoleSessionName = '', DurationSeconds = 3600 }: Input): void {
  if (!sessionNamePattern.test(RoleSessionName)) {
    throw new Refusal(
      'ValidationError',
      `1 validation error detected: Value '${RoleSessionName}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*`,
    );
  }
  if (!/^arn:aws[\w-]*:iam::\d{12}:role\/.+/.test(RoleArn))
    throw new Refusal('ValidationError', `${RoleArn} is invalid`);
  if (DurationSeconds < 900 || DurationSeconds > 43_200) {
    throw new Refusal(
      'ValidationError',
      `1 validation error detected: Value '${DurationSeconds}' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900`,
    );
  }
}

/** Unsigned; the token says who calls. */
export async function assumeRoleWithWebIdentity(sts: Sts, input: Input): Promise<Record<string, unknown>> {
  checkCommon(input);
  const { RoleArn = '', RoleSessionName = '', WebIdentityToken = '', DurationSeconds = 3600 } = input;
  const claims = readToken(WebIdentityToken);
  const now = sts.world.clock.now() / 1000;
  // https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html; five minutes of tolerance
  if (claims.exp + 300 < now) {
    throw new Refusal(
      'ExpiredTokenException',
      `Token expired: current date/time ${Math.floor(now)} must be before the expiration date/time ${claims.exp}`,
    );
  }
  const found = findRole(sts.world, RoleArn);
  const denied = new Refusal('AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity', 403);
  if (found === undefined) throw denied;
  const { account, role } = found;
  const host = claims.iss.replace(/^https:\/\//, '');
  const provider = account.oidcProviders.find(({ issuer }) => issuer === claims.iss);
  if (provider === undefined)
    throw new Refusal('InvalidIdentityToken', `No OpenIDConnect provider found in your account for ${claims.iss}`);
  if (!provider.audiences.includes(claims.aud)) throw new Refusal('InvalidIdentityToken', 'Incorrect token audience');
  const providerArn = `arn:${account.partition}:iam::${account.id}:oidc-provider/${host}`;
  const context = { [`${host}:aud`]: claims.aud, [`${host}:sub`]: claims.sub };
  const action = 'sts:AssumeRoleWithWebIdentity';
  if (!(await trusts(role, { account, action, principal: providerArn, context }))) throw denied;
  checkDuration(role, DurationSeconds, false);
  return {
    ...grantSession(sts, found, { name: RoleSessionName, seconds: DurationSeconds }),
    SubjectFromWebIdentityToken: claims.sub,
    Provider: providerArn,
    Audience: claims.aud,
  };
}

function readToken(token: string): { iss: string; aud: string; sub: string; exp: number } {
  const [header = '', body = '', signature = ''] = token.split('.');
  const ours =
    signature !== '' &&
    verify('RSA-SHA256', Buffer.from(`${header}.${body}`), keyPair().publicKey, Buffer.from(signature, 'base64url'));
  if (!ours)
    throw new Refusal(
      'InvalidIdentityToken',
      'The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)',
    );
  return JSON.parse(Buffer.from(body, 'base64url').toString()) as {
    iss: string;
    aud: string;
    sub: string;
    exp: number;
  };
}

export async function assumeRole(
  sts: Sts,
  { session: caller, region }: Pick<Signature, 'session' | 'region'>,
  input: Input,
): Promise<Record<string, unknown>> {
  checkCommon(input);
  const { RoleArn = '', RoleSessionName = '', DurationSeconds = 3600, ExternalId, Tags = [] } = input;
  const found = findRole(sts.world, RoleArn);
  const denied = (action: string) =>
    new Refusal(
      'AccessDenied',
      `User: ${caller.principal.arn} is not authorized to perform: ${action} on resource: ${RoleArn}`,
      403,
    );
  if (found === undefined) throw denied('sts:AssumeRole');
  const { account, role } = found;
  const context = {
    'aws:RequestedRegion': region,
    'sts:RoleSessionName': RoleSessionName,
    ...(Tags.length > 0 && { 'aws:TagKeys': Tags.map(({ Key = '' }) => Key) }),
    ...(ExternalId !== undefined && { 'sts:ExternalId': ExternalId }),
    ...Object.fromEntries(Tags.map(({ Key, Value }) => [`aws:RequestTag/${Key}`, Value ?? ''])),
  };
  // https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_permissions-required
  for (const action of Tags.length > 0
    ? (['sts:AssumeRole', 'sts:TagSession'] as const)
    : (['sts:AssumeRole'] as const))
    if (
      !(await trusts(role, { account, action, principal: caller.principal.arn, context })) ||
      !(await mayAssume(caller.principal, action, { resource: RoleArn, context }))
    )
      throw denied(action);
  checkDuration(role, DurationSeconds, caller.ofRole);
  return grantSession(sts, found, { name: RoleSessionName, seconds: DurationSeconds });
}

function checkDuration(role: Role, seconds: number, chained: boolean): void {
  if (chained && seconds > 3600) {
    throw new Refusal(
      'ValidationError',
      'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.',
    );
  }
  if (seconds > role.maxSessionSeconds) {
    throw new Refusal(
      'ValidationError',
      'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
    );
  }
}

function grantSession(
  sts: Sts,
  { account, role }: AccountRole,
  asked: Readonly<{ name: string; seconds: number }>,
): Record<string, unknown> {
  const arn = `arn:${account.partition}:sts::${account.id}:assumed-role/${role.name}/${asked.name}`;
  const session = openSession(sts.sessions, {
    principal: { account: account.id, arn, role },
    expiresAt: sts.world.clock.now() + (sts.sessionSeconds ?? asked.seconds) * 1000,
    ofRole: true,
  });
  const roleId = `AROA${createHash('sha256').update(role.arn).digest('hex').slice(0, 16).toUpperCase()}`;
  return {
    Credentials: {
      AccessKeyId: session.accessKeyId,
      SecretAccessKey: session.secretAccessKey,
      SessionToken: session.sessionToken,
      Expiration: new Date(session.expiresAt),
    },
    AssumedRoleUser: { AssumedRoleId: `${roleId}:${asked.name}`, Arn: arn },
  };
}

export function getCallerIdentity(caller: Session): Record<string, unknown> {
  return { UserId: 'AROASIMULATED', Account: caller.principal.account, Arn: caller.principal.arn };
}
