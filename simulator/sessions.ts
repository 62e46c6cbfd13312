import { randomBytes } from 'node:crypto';
import type { Principal } from './iam.ts';
import { Refusal } from './refusal.ts';
import type { HttpRequest } from './server.ts';
import { isSigned, readAuthorization } from './signature.ts';

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

/**
 * Who signed a request. The signature itself is checked, what it covers, its time, the session token and the session's end.
 * @throws Refusal as each service words it
 */
export function readSignature(
  sessions: Sessions,
  request: HttpRequest,
  { now, toleranceMs }: Readonly<{ now: number; toleranceMs: number }>,
): Signature {
  const { headers } = request;
  const authorization = readAuthorization(headers.authorization);
  if (authorization === undefined) throw new Refusal('MissingAuthenticationToken', 'Missing Authentication Token', 403);
  const { accessKeyId, region, service, signedHeaders } = authorization;
  for (const name of ['host', 'x-amz-date'])
    if (!signedHeaders.includes(name) || headers[name] === undefined)
      throw new Refusal('IncompleteSignature', `'${name}' must be a 'SignedHeader'`, 400);
  const session = sessions.get(accessKeyId);
  if (session === undefined || headers['x-amz-security-token'] !== session.sessionToken) throw unknownKey(service);
  if (!isSigned(request, authorization, session.secretAccessKey)) throw otherSignature(service);
  refuseOtherTime(service, { signed: headers['x-amz-date'] ?? '', now, toleranceMs });
  if (session.expiresAt <= now) throw expired(service);
  return { session, service, region };
}

const noMatch =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.';

function otherSignature(service: string, words = noMatch): Refusal {
  // EC2 tells it no other than a key that it doesn't know, even where the clock is wrong:
  // https://github.com/aws/aws-sdk-java/issues/519
  if (service === 'ec2') return unknownKey(service);
  const code = service === 'sts' ? 'SignatureDoesNotMatch' : 'InvalidSignatureException';
  return new Refusal(code, words, service === 'sts' ? 403 : 400);
}

/** In AWS's words: https://github.com/JuliaCloud/AWS.jl/issues/206, https://github.com/aws/aws-sdk-js/issues/2340 */
function refuseOtherTime(
  service: string,
  { signed, now, toleranceMs }: Readonly<{ signed: string; now: number; toleranceMs: number }>,
): void {
  const time = Date.parse(signed.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (Math.abs(time - now) <= toleranceMs) return;
  const told = (ms: number) => new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
  const minutes = toleranceMs / 60_000;
  throw otherSignature(
    service,
    time < now
      ? `Signature expired: ${signed} is now earlier than ${told(now - toleranceMs)} (${told(now)} - ${minutes} min.)`
      : `Signature not yet current: ${signed} is still later than ${told(now + toleranceMs)} (${told(now)} + ${minutes} min.)`,
  );
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
