import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { HttpRequest } from './server.ts';

/*
 * Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */

/** What an Authorization header says. */
export type Authorization = Readonly<{
  accessKeyId: string;
  date: string;
  region: string;
  service: string;
  signedHeaders: readonly string[];
  signature: string;
}>;

const pattern =
  /^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9]+)\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/;

/** The parts of an Authorization header, or undefined for what is none of this version. */
export function readAuthorization(header: string | undefined): Authorization | undefined {
  const match = pattern.exec(header ?? '');
  if (match === null) return undefined;
  const [, accessKeyId = '', date = '', region = '', service = '', headers = '', signature = ''] = match;
  return { accessKeyId, date, region, service, signedHeaders: headers.split(';'), signature };
}

/** Whether a request is signed by that secret, in all that its signature covers. */
export function isSigned(request: HttpRequest, authorization: Authorization, secret: string): boolean {
  const calculated = Buffer.from(signatureOf(request, authorization, secret), 'hex');
  return timingSafeEqual(calculated, Buffer.from(authorization.signature, 'hex'));
}

/** The signature of a request, in hexadecimal digits. */
export function signatureOf(
  request: HttpRequest,
  { date, region, service, signedHeaders }: Omit<Authorization, 'signature'>,
  secret: string,
): string {
  const time = request.headers['x-amz-date'] ?? '';
  const scope = [date, region, service, 'aws4_request'];
  const text = ['AWS4-HMAC-SHA256', time, scope.join('/'), sha256(canonical(request, signedHeaders))].join('\n');
  return hmac(keyOf(secret, scope), text).toString('hex');
}

function canonical({ method, path, headers, body }: HttpRequest, signedHeaders: readonly string[]): string {
  const [route = '/', query = ''] = path.split('?');
  const values = signedHeaders.map((name) => `${name}:${(headers[name] ?? '').trim().replace(/ +/g, ' ')}\n`);
  const parameters = query.split('&').sort().join('&');
  return [method, route, parameters, values.join(''), signedHeaders.join(';'), sha256(body)].join('\n');
}

const keys = new Map<string, KeyObject>();

/** One key signs all requests of a day, region and service. */
function keyOf(secret: string, scope: readonly string[]): KeyObject {
  const name = [secret, ...scope].join(' ');
  const known = keys.get(name);
  if (known !== undefined) return known;
  const first = createSecretKey(`AWS4${secret}`, 'utf8');
  const key = scope.reduce((from, part) => createSecretKey(hmac(from, part)), first);
  if (keys.size > 5000) keys.clear();
  keys.set(name, key);
  return key;
}

/** With a key object it takes a fifth of the time that it does with the key's bytes. */
function hmac(key: KeyObject, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(text: string): string {
  return hash('sha256', text);
}
