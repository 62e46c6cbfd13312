// A simulator that is asked without a socket, on a clock of the test's own: nothing here waits for real time.
import { afterEach, expect, test } from '@jest/globals';
import type { Clock } from '../../simulator/clock.ts';
import type { Fault } from '../../simulator/faults.ts';
import { ideal } from '../../simulator/hardness.ts';
import {
  customerKey,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  targetRegion,
} from '../../simulator/scenarios/standard.ts';
import type { HttpAnswer, HttpRequest, Outcome } from '../../simulator/server.ts';
import { signatureOf } from '../../simulator/signature.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';

const minute = 60_000;
const newYear = Date.parse('2031-01-01T00:00:00Z');

type MovedClock = Clock & { move(ms: number): Promise<void> };

/** A clock that stands still until it is moved, which wakes who slept so long. */
function stillClock(start = newYear): MovedClock {
  let now = start;
  const sleepers: { until: number; wake: () => void }[] = [];
  return {
    now: () => now,
    sleep: (ms) => new Promise((wake) => sleepers.push({ until: now + ms, wake })),
    async move(ms) {
      now += ms;
      for (const { until, wake } of sleepers) if (until <= now) wake();
    },
  };
}

let open: Simulator | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});

type Options = StandardOptions & { clock?: Clock; listen?: boolean };

/** A simulator without a server, with an administrator's credentials in its `env`. */
async function start({ clock = stillClock(), listen = false, ...options }: Options = {}) {
  const { scenario, amiId } = customerKey({
    ambient: { account: sourceAccount },
    ...options,
    // All is signed at the new year, whatever the clock says.
    timings: { ...ideal.timings, signatureSeconds: Number.POSITIVE_INFINITY, ...options.timings },
    rules: ideal.rules,
  });
  const simulator = await startSimulator(scenario, { clock, listen });
  if (listen) open = simulator;
  const region = simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion);
  const [snapshotId = ''] = [...(region?.snapshots.keys() ?? [])];
  return { simulator, amiId, snapshotId };
}

type Unsigned = Readonly<{ body: string; headers?: Record<string, string>; region?: string }>;

/** A request that the administrator signs. */
function signed(
  { env, url }: Simulator,
  service: string,
  { body, headers = {}, region = sourceRegion }: Unsigned,
): HttpRequest {
  const { AWS_ACCESS_KEY_ID: accessKeyId = '', AWS_SECRET_ACCESS_KEY: secret = '' } = env;
  const token = { 'x-amz-security-token': env.AWS_SESSION_TOKEN ?? '' };
  const all = { ...headers, ...token, host: new URL(url).host, 'x-amz-date': '20310101T000000Z' };
  const request = { method: 'POST', path: '/', headers: all, body };
  const by = { accessKeyId, date: '20310101', region, service, signedHeaders: Object.keys(all).sort() };
  const scope = [accessKeyId, by.date, region, service, 'aws4_request'].join('/');
  const signature = signatureOf(request, by, secret);
  const authorization = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=${by.signedHeaders.join(';')}, Signature=${signature}`;
  return { ...request, headers: { ...all, authorization } };
}

function formOf(parameters: Record<string, string>): string {
  return new URLSearchParams(parameters).toString();
}

const ec2 = (simulator: Simulator, parameters: Record<string, string>, region = sourceRegion) =>
  signed(simulator, 'ec2', { body: formOf({ Version: '2016-11-15', ...parameters }), region });

function json(simulator: Simulator, service: string, [target, input]: [string, object]): HttpRequest {
  return signed(simulator, service, { body: JSON.stringify(input), headers: { 'x-amz-target': target } });
}

function tokenRequest({ env, url }: Simulator, bearer = env.ACTIONS_ID_TOKEN_REQUEST_TOKEN): HttpRequest {
  const path = `${env.ACTIONS_ID_TOKEN_REQUEST_URL?.slice(url.length)}&audience=sts.amazonaws.com`;
  return { method: 'GET', path, headers: { authorization: `Bearer ${bearer}` }, body: '' };
}

/** What comes of a promise that waits for nothing but promises: no turn of the event loop passes here. */
async function byPromisesAlone<T>(promise: Promise<T>): Promise<T> {
  let ended = false;
  const watched = promise.finally(() => {
    ended = true;
  });
  for (let turn = 0; turn < 20_000 && !ended; turn += 1) await null;
  if (!ended) throw new Error('something else than a promise is waited for');
  return watched;
}

async function ask({ answer }: Simulator, request: HttpRequest): Promise<HttpAnswer> {
  const outcome = await byPromisesAlone(answer(request));
  if (typeof outcome === 'string') throw new Error(outcome);
  return outcome;
}

const element = (name: string, { body }: HttpAnswer) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1] ?? '';

test('a copy of ten minutes completes when ten minutes have passed on the given clock', async () => {
  const clock = stillClock();
  const { simulator, snapshotId } = await start({ clock, timings: { baseSeconds: 600, secondsPerGiB: 0 } });
  const since = performance.now();
  const begun = await ask(
    simulator,
    ec2(simulator, { Action: 'CopySnapshot', SourceRegion: sourceRegion, SourceSnapshotId: snapshotId }),
  );
  expect(begun.status).toBe(200);
  const look = async () => {
    const parameters = { Action: 'DescribeSnapshots', 'SnapshotId.1': element('snapshotId', begun) };
    const answer = await ask(simulator, ec2(simulator, parameters));
    return { state: element('status', answer), progress: element('progress', answer) };
  };
  expect(await look()).toEqual({ state: 'pending', progress: '0%' });
  await clock.move(5 * minute);
  expect(await look()).toEqual({ state: 'pending', progress: '50%' });
  await clock.move(5 * minute - 1);
  expect(await look()).toMatchObject({ state: 'pending' });
  await clock.move(1);
  expect(await look()).toEqual({ state: 'completed', progress: '100%' });
  expect(performance.now() - since).toBeLessThan(10_000);
  expect(simulator.calls.at(-1)).toMatchObject({ at: 10 * minute });
});

const requests: Record<string, (simulator: Simulator, amiId: string) => HttpRequest> = {
  EC2: (simulator, amiId) => ec2(simulator, { Action: 'DescribeImages', 'ImageId.1': amiId }),
  'EC2, refused': (simulator) => ec2(simulator, { Action: 'DescribeImages', Colour: 'red' }),
  KMS: (simulator) => json(simulator, 'kms', ['TrentService.DescribeKey', { KeyId: 'alias/cmkSource' }]),
  'KMS, refused': (simulator) => json(simulator, 'kms', ['TrentService.DescribeKey', { KeyId: 'alias/none' }]),
  STS: (simulator) => signed(simulator, 'sts', { body: formOf({ Action: 'GetCallerIdentity' }) }),
  'STS, unsigned': () => ({ method: 'POST', path: '/', headers: {}, body: formOf({ Action: 'GetCallerIdentity' }) }),
  SSM: (simulator) => json(simulator, 'ssm', ['AmazonSSM.GetParameter', { Name: '/golden/latest' }]),
  'the token endpoint': (simulator) => tokenRequest(simulator),
  'the token endpoint, refused': (simulator) => tokenRequest(simulator, 'x'),
};

test.each(Object.entries(requests))('the server sends what `answer` says: %s', async (_, requestOf) => {
  const source = { parameters: { '/golden/latest': 'ami-00000000000000001' } };
  const { simulator, amiId } = await start({ source, listen: true });
  const request = requestOf(simulator, amiId);
  const { method, headers, body } = request;
  const response = await fetch(simulator.url + request.path, { method, headers, ...(method === 'POST' && { body }) });
  const sent = { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
  const own = ['connection', 'keep-alive', 'content-length', 'transfer-encoding'];
  for (const name of own) delete sent.headers[name];
  expect(plain(sent, 'sim-1')).toEqual(plain(await ask(simulator, request), 'sim-2'));
});

test('a signature of another time is refused, in the words of each service', async () => {
  const words = async (now: number, name: 'EC2' | 'KMS' | 'STS') => {
    const { simulator, amiId } = await start({ clock: stillClock(now), timings: { signatureSeconds: 300 } });
    const { status, body } = await ask(simulator, requests[name]?.(simulator, amiId) as HttpRequest);
    return `${status} ${body}`;
  };
  const late = newYear + 5 * minute + 1;
  for (const at of [newYear - 5 * minute, newYear + 5 * minute]) expect(await words(at, 'KMS')).toMatch(/^200 /);
  expect(await words(late, 'EC2')).toMatch(/^401 .*AuthFailure/s);
  expect(await words(late, 'KMS')).toMatch(
    /^400 .*InvalidSignatureException.*Signature expired: 20310101T000000Z is now earlier than 20310101T000000Z \(20310101T000500Z - 5 min\.\)/,
  );
  expect(await words(newYear - 6 * minute, 'STS')).toMatch(
    /^403 .*SignatureDoesNotMatch.*Signature not yet current: 20310101T000000Z is still later than 20301231T235900Z \(20301231T235400Z \+ 5 min\.\)/s,
  );
});

/** An answer without what no two answers have in common: the request's ID, and the token's, under which it is signed. */
function plain({ status, headers, body }: HttpAnswer, requestId: string): unknown {
  if (headers['x-amzn-requestid'] !== undefined) expect(headers['x-amzn-requestid']).toBe(requestId);
  const [, claims] = /^\{"value":"[^.]+\.([^.]+)\.[^"]+"\}$/.exec(body) ?? [];
  const token = claims && { ...JSON.parse(Buffer.from(claims, 'base64url').toString()), jti: '' };
  return { status, headers: { ...headers, 'x-amzn-requestid': '' }, body: token ?? body };
}

test.each<[Fault['kind'], Outcome, string]>([
  ['reset', 'closed', 'reset'],
  ['lost-response', 'closed', 'ok'],
  ['hang', 'hung', 'ok'],
])('fault %s: %s', async (kind, outcome, recorded) => {
  const { simulator, amiId } = await start({ faults: [{ kind, times: 1, nth: 1, service: 'ec2' }] });
  const tag = { Action: 'CreateTags', 'ResourceId.1': amiId, 'Tag.1.Key': 'a', 'Tag.1.Value': 'b' };
  expect(await byPromisesAlone(simulator.answer(ec2(simulator, tag)))).toBe(outcome);
  expect(simulator.calls.at(-1)).toMatchObject({ fault: kind, outcome: recorded });
  const tags = simulator.world.accounts[sourceAccount]?.regions.get(sourceRegion)?.images.get(amiId)?.data.Tags;
  expect(tags?.some(({ Key }) => Key === 'a')).toBe(kind === 'lost-response');
  expect(await ask(simulator, ec2(simulator, tag))).toMatchObject({ status: 200 });
});

test('faults of the token endpoint', async () => {
  const faults: Fault[] = [
    { kind: 'reset', service: 'token', nth: 1 },
    { kind: 'token-endpoint', service: 'token', nth: 1, status: 502 },
  ];
  const { simulator } = await start({ faults });
  expect(await byPromisesAlone(simulator.answer(tokenRequest(simulator)))).toBe('closed');
  expect(await ask(simulator, tokenRequest(simulator))).toMatchObject({ status: 502, body: '{"message":"refused"}' });
  expect(await ask(simulator, tokenRequest(simulator))).toMatchObject({ status: 200 });
});

test('over HTTP, a hung call gets no answer and a reset one loses its connection', async () => {
  const { simulator, amiId } = await start({ listen: true });
  const { body, headers } = ec2(simulator, { Action: 'DescribeImages', 'ImageId.1': amiId });
  const send = () => fetch(simulator.url, { method: 'POST', headers, body });
  simulator.addFault({ kind: 'reset', nth: 1 });
  await expect(send()).rejects.toMatchObject({ cause: { code: 'UND_ERR_SOCKET' } });
  simulator.addFault({ kind: 'hang', nth: 1 });
  const struck = new Promise((resolve) => {
    const timer = setInterval(() => {
      if (simulator.calls.at(-1)?.fault !== 'hang') return;
      clearInterval(timer);
      resolve('hung');
    }, 5);
  });
  const answered = send().then(
    () => 'answered',
    () => 'closed',
  );
  expect(await Promise.race([struck, answered])).toBe('hung');
  await simulator.close();
  expect(await answered).toBe('closed');
});

test('latency and delays pass on the given clock alone', async () => {
  const clock = stillClock();
  const faults: Fault[] = [{ kind: 'delay', ms: 5 * minute, nth: 1 }];
  const { simulator, amiId } = await start({ clock, faults, timings: { latencyMs: 1000 } });
  let ended = false;
  const answering = simulator.answer(ec2(simulator, { Action: 'DescribeImages', 'ImageId.1': amiId })).finally(() => {
    ended = true;
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  await settle();
  expect(simulator.calls).toHaveLength(0);
  await clock.move(1000);
  await settle();
  expect(simulator.calls).toHaveLength(1);
  await clock.move(5 * minute - 1);
  await settle();
  expect(ended).toBe(false);
  await clock.move(1);
  expect(await byPromisesAlone(answering)).toMatchObject({ status: 200 });
});

test('tokens and sessions are of the given clock, and end by it', async () => {
  const clock = stillClock();
  const { simulator } = await start({ clock });
  const token = async () =>
    (JSON.parse((await ask(simulator, tokenRequest(simulator))).body) as { value: string }).value;
  const assume = (WebIdentityToken: string) =>
    ask(simulator, {
      method: 'POST',
      path: '/',
      headers: {},
      body: formOf({
        Action: 'AssumeRoleWithWebIdentity',
        RoleArn: `arn:aws:iam::${sourceAccount}:role/ami-source`,
        RoleSessionName: 'test',
        WebIdentityToken,
      }),
    });
  const first = await token();
  const claims = JSON.parse(Buffer.from(first.split('.')[1] ?? '', 'base64url').toString());
  expect(claims).toMatchObject({ iat: newYear / 1000, nbf: newYear / 1000, exp: newYear / 1000 + 300 });
  expect(element('Expiration', await assume(first))).toBe('2031-01-01T01:00:00.000Z');
  // Five minutes, and five of tolerance.
  await clock.move(10 * minute);
  expect((await assume(first)).status).toBe(200);
  await clock.move(1);
  expect(element('Code', await assume(first))).toBe('ExpiredTokenException');
  expect((await assume(await token())).status).toBe(200);
  const look = () => ask(simulator, ec2(simulator, { Action: 'DescribeRegions' }));
  await clock.move(50 * minute - 2);
  expect((await look()).status).toBe(200);
  await clock.move(1);
  expect(element('Code', await look())).toBe('RequestExpired');
});

test('two simulators in one process have a clock each', async () => {
  const [early, late] = [stillClock(newYear), stillClock(newYear + 1000 * minute)];
  const timings = { baseSeconds: 60, secondsPerGiB: 0 };
  const one = await start({ clock: early, timings });
  const other = await start({ clock: late, timings });
  const copy = async ({ simulator, amiId }: typeof one) => {
    const parameters = { Action: 'CopyImage', Name: 'copy', SourceImageId: amiId, SourceRegion: sourceRegion };
    return element('imageId', await ask(simulator, ec2(simulator, parameters, targetRegion)));
  };
  const look = async ({ simulator }: typeof one, id: string) => {
    const answer = await ask(simulator, ec2(simulator, { Action: 'DescribeImages', 'ImageId.1': id }, targetRegion));
    return { state: element('imageState', answer), date: element('creationDate', answer) };
  };
  const [here, there] = [await copy(one), await copy(other)];
  await early.move(minute);
  expect(await look(one, here)).toEqual({ state: 'available', date: '2031-01-01T00:00:00.000Z' });
  expect(await look(other, there)).toEqual({ state: 'pending', date: '2031-01-01T16:40:00.000Z' });
  expect(one.simulator.calls.map(({ at }) => at)).toEqual([0, minute]);
  expect(other.simulator.calls.map(({ at }) => at)).toEqual([0, 0]);
});

test('without a server, there is an address that leads nowhere', async () => {
  const { simulator } = await start();
  expect(simulator.url).toBe('http://simulator.invalid');
  expect(simulator.env).toMatchObject({
    AWS_ENDPOINT_URL: simulator.url,
    ACTIONS_ID_TOKEN_REQUEST_URL: `${simulator.url}/token?api-version=2.0`,
  });
  await simulator.close();
});

test('a slip of the simulator is loud', async () => {
  const { simulator } = await start();
  simulator.onCall(() => {
    throw new Error('slip');
  });
  const told: unknown[][] = [];
  const { error } = console;
  console.error = (...words) => told.push(words);
  try {
    const answer = await ask(simulator, ec2(simulator, { Action: 'DescribeRegions' }));
    expect(answer).toEqual({ status: 500, headers: {}, body: 'simulator error' });
  } finally {
    console.error = error;
  }
  expect(told).toEqual([['simulator:', new Error('slip')]]);
});

test.each<[string, (request: HttpRequest) => HttpRequest]>([
  ['another body', (request) => ({ ...request, body: `${request.body}&DryRun=true` })],
  ['another path', (request) => ({ ...request, path: '/other' })],
  ['another date', (request) => ({ ...request, headers: { ...request.headers, 'x-amz-date': '20310101T000001Z' } })],
  ['another host', (request) => ({ ...request, headers: { ...request.headers, host: 'other.invalid' } })],
])('what is signed is what counts: %s', async (_, change) => {
  const { simulator } = await start();
  const request = signed(simulator, 'sts', { body: formOf({ Action: 'GetCallerIdentity' }) });
  expect((await ask(simulator, request)).status).toBe(200);
  const { status, body } = await ask(simulator, change(request));
  expect([status, /<Code>(\w+)/.exec(body)?.[1]]).toEqual([403, 'SignatureDoesNotMatch']);
});

test('another secret signs nothing, whatever the service', async () => {
  const { simulator } = await start();
  const wrong = { ...simulator, env: { ...simulator.env, AWS_SECRET_ACCESS_KEY: 'another' } };
  const codes = await Promise.all(
    [
      ec2(wrong, { Action: 'DescribeImages' }),
      json(wrong, 'kms', ['TrentService.ListKeys', {}]),
      signed(wrong, 'sts', { body: formOf({ Action: 'GetCallerIdentity' }) }),
    ].map(async (request) => {
      const { status, body } = await ask(simulator, request);
      return [status, /(?:<Code>|__type":")(\w+)/.exec(body)?.[1]];
    }),
  );
  expect(codes).toEqual([
    [401, 'AuthFailure'],
    [400, 'InvalidSignatureException'],
    [403, 'SignatureDoesNotMatch'],
  ]);
});
