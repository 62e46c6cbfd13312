import { randomBytes } from 'node:crypto';
import type { Principal } from './iam.ts';
import { Refusal } from './refusal.ts';

export type Session = Readonly<{
  principal: Principal;
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
  expiresAt: number;
  /** Of a role: an AssumeRole from it is chaining. */
  ofRole: boolean;
}>;

/** Who signed a request, and for which service and region. */
export type Signature = Readonly<{ session: Session; service: string; region: string }>;

export type Sessions = Map<string, Session>;

export function openSession(sessions: Sessions, given: Pick<Session, 'principal' | 'expiresAt' | 'ofRole'>): Session {
  const session: Session = {
    ...given,
    accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(20).toString('base64'),
    sessionToken: randomBytes(48).toString('base64'),
  };
  sessions.set(session.accessKeyId, session);
  return session;
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
const authorization =
  /^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9]+)\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/;

/**
 * Who signed a request. The form of the signature, the key, the session token and the session's end are checked.
 * @throws Refusal as each service words it
 */
export function readSignature(sessions: Sessions, headers: Readonly<Record<string, string>>, now: number): Signature {
  const match = authorization.exec(headers.authorization ?? '');
  if (match === null) throw new Refusal('MissingAuthenticationToken', 'Missing Authentication Token', 403);
  const [, accessKeyId = '', , region = '', service = '', signed = ''] = match;
  if (!signed.split(';').includes('host'))
    throw new Refusal('IncompleteSignature', "'Host' must be a 'SignedHeader'", 400);
  const session = sessions.get(accessKeyId);
  const isKnown = session !== undefined && headers['x-amz-security-token'] === session.sessionToken;
  if (!isKnown) throw unknownKey(service);
  if (session.expiresAt <= now) throw expired(service);
  return { session, service, region };
}

function unknownKey(service: string): Refusal {
  if (service === 'ec2')
    return new Refusal('AuthFailure', 'AWS was not able to validate the provided access credentials', 401);
  const code = service === 'sts' ? 'InvalidClientTokenId' : 'UnrecognizedClientException';
  return new Refusal(code, 'The security token included in the request is invalid', service === 'sts' ? 403 : 400);
}

export function expired(service: string): Refusal {
  if (service === 'ec2') return new Refusal('RequestExpired', 'Request has expired.', 400);
  const code = service === 'sts' ? 'ExpiredToken' : 'ExpiredTokenException';
  return new Refusal(code, 'The security token included in the request is expired', service === 'sts' ? 403 : 400);
}
