import type { HttpHandler } from '@smithy/core/protocols';
import type { Host } from '../host.ts';
import { errorCode, isRead } from './errors.ts';

/*
 * What comes back isn't always AWS's answer: a proxy says something of its own, a connection ends in the middle. The SDK
 * takes an empty body, or HTML that happens to parse, for an answer without fields, which would pass as success.
 */

/**
 * An answer that can't be read: `UnreadableAnswer` where it is cut off or empty, so that nobody knows what became of the
 * call; `NotFromAws` where another than AWS refuses it.
 */
class AnswerError extends Error {
  readonly $metadata: { httpStatusCode: number };

  constructor(status: number, { name, told }: Readonly<{ name: string; told: string }>) {
    super(`HTTP ${status} with ${told}, which is no whole answer of AWS's`);
    this.name = name;
    this.$metadata = { httpStatusCode: status };
  }
}

/** The host that a failed lookup was of: https://nodejs.org/api/dns.html#error-codes */
function hostOf(error: unknown): string | undefined {
  return (error as { hostname?: string }).hostname;
}

type Response = Awaited<ReturnType<Host['http']['handle']>>['response'];

/** The hosts that have answered a handler. */
const answered = new WeakMap<Host['http'], Set<string>>();

/** The same handler, which fails where an answer is none of AWS's, and says of hosts whether their names were ever known. */
export function readingAnswers(http: Host['http']): HttpHandler {
  const known = answered.get(http) ?? new Set<string>();
  answered.set(http, known);
  return handledBy(async (request, options) => {
    const { response } = await http.handle(request, options).catch((error: unknown) => {
      // Behind a proxy it is the proxy's name that isn't known, and whoever has answered did so through it.
      const never = known.size === 0 || (hostOf(error) === request.hostname && !known.has(request.hostname));
      if (never && errorCode(error) === 'ENOTFOUND') Object.assign(error as Error, { neverResolved: true });
      throw error;
    });
    known.add(request.hostname);
    const body = await bytesOf(response.body);
    const what = amiss(request, { ...response, body });
    if (what !== undefined) throw new AnswerError(response.statusCode, what);
    response.body = body;
    return { response };
  });
}

/** A handler as the SDK's clients take it, whose settings are none of theirs. */
export function handledBy(handle: HttpHandler['handle']): HttpHandler {
  return { handle, updateHttpClientConfig: () => {}, httpHandlerConfigs: () => ({}) };
}

async function bytesOf(body: unknown): Promise<Uint8Array> {
  if (body === undefined || body === null) return new Uint8Array();
  if (body instanceof Uint8Array) return body;
  const chunks: Uint8Array[] = [];
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

type Request = Parameters<Host['http']['handle']>[0];

/**
 * What a body is: a whole answer to the call; a part of one, or nothing; or whatever else somebody in between says. That
 * is told by its form alone, which may be well-formed all the same: the page of a portal, the answer to another call.
 */
type Reading = 'answer' | 'part' | 'other';

/** What is wrong with an answer, in words that tell nothing of what it holds: it may be half of a credential. */
function amiss(
  request: Request,
  { statusCode, headers, body }: Response & { body: Uint8Array },
): Readonly<{ name: string; told: string }> | undefined {
  const text = Buffer.from(body).toString().trim();
  const type = headers['content-type'] ?? 'an unnamed type';
  const told = text === '' ? 'an empty body' : `${body.length} bytes of ${type}`;
  const target = request.headers['x-amz-target']?.split('.')[1];
  const isTyped = headers['x-amzn-errortype'] !== undefined;
  const reading =
    target === undefined
      ? readXml(new URLSearchParams(String(request.body)).get('Action') ?? '', statusCode, text)
      : readJson({ action: target, isError: statusCode >= 300, isTyped }, text);
  if (reading === 'answer') return undefined;
  const isRefusal = statusCode >= 400 && statusCode < 500 && reading === 'other';
  return { name: isRefusal ? 'NotFromAws' : 'UnreadableAnswer', told };
}

/**
 * `<DescribeImagesResponse …>…</DescribeImagesResponse>`, in which what changes something says that it did, and a list that
 * is empty is named all the same: without it, what is there would pass for gone. Of errors EC2's root is `Response`, STS's
 * `ErrorResponse`:
 * https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-response.html
 */
function readXml(action: string, status: number, text: string): Reading {
  const [, root = ''] = /^(?:<\?xml[^>]*\?>\s*)?<(\w+)[\s>]/.exec(text) ?? [];
  if (text === '' || (/^<(\?xml|\w*Response)/.test(text) && !text.endsWith(`</${root}>`))) return 'part';
  const isSaid = !isRead(action) || /<(?!requestId|ResponseMetadata|RequestId)\w/.test(text.slice(text.indexOf(root)));
  const isAnswer =
    status < 300
      ? root === `${action}Response` && isSaid && !text.includes('<return>false</return>')
      : /^(Error)?Response$/.test(root) && text.includes('<Code>');
  return isAnswer ? 'answer' : 'other';
}

type JsonCall = Readonly<{ action: string; isError: boolean; isTyped: boolean }>;

/**
 * What changes something may answer with nothing, as KMS does
 * (https://docs.aws.amazon.com/kms/latest/APIReference/API_RevokeGrant.html); an error has its type in body or header
 * (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization).
 */
function readJson({ action, isError, isTyped }: JsonCall, text: string): Reading {
  const mayBeEmpty =
    !isError && /^(Revoke|Retire|PutKey|Delete|Add|Remove|Label|Enable|Disable|Tag|Untag)/.test(action);
  if (text === '') return mayBeEmpty ? 'answer' : 'part';
  const value = jsonIn(text);
  if (value === undefined) return text.startsWith('{') ? 'part' : 'other';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'other';
  const isSaid = isError ? isTyped || '__type' in value || 'code' in value : Object.keys(value).length > 0;
  return isSaid || mayBeEmpty ? 'answer' : 'other';
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
