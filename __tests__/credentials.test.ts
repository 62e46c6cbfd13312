import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DescribeImagesCommand } from '@aws-sdk/client-ec2';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type ActionResult, runJob, startAction } from '../simulator/runner.ts';
import { delegatingPolicy } from '../simulator/scenario.ts';
import {
  type Case,
  customerKey,
  procedure,
  type StandardOptions,
  sourceAccount,
  sourceRegion,
  targetAccount,
} from '../simulator/scenarios/standard.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { openClients, placesOf } from '../src/aws/clients.ts';
import { AwsCallError, explain, isTransient, isWithoutEffect } from '../src/aws/errors.ts';
import type { Host } from '../src/host.ts';
import { share } from './shared-case.ts';

const slow = { timings: { secondsPerGiB: 0.2 } };

describe('no secret leaves the process', () => {
  /** Everything that a step leaves, as it was written: before the runner masks anything. */
  function leftBy(...results: ActionResult[]): string {
    return results
      .flatMap(({ stdout, stderr, summary, outputs, state, annotations, exported }) => [
        // What asks the runner to mask a secret has to name it.
        stdout.replaceAll(/^::add-mask::.*$/gm, ''),
        stderr,
        summary,
        JSON.stringify([outputs, state, annotations, exported]),
      ])
      .join('\n');
  }

  /** The source key's policy has a statement of others' whose words are nobody's business. */
  const words = 'KeptByThePlatformTeam';
  function withTheirPolicy(shared: Case): Case {
    const { Statement, ...rest } = delegatingPolicy(sourceAccount) as { Statement: object[] };
    const theirs = { ...(Statement[0] as object), Sid: words };
    const account = shared.scenario.accounts[sourceAccount];
    const region = account?.regions?.[sourceRegion];
    const keys = { ...region?.keys, cmkSource: { policy: { ...rest, Statement: [...Statement, theirs] } } };
    const changed = { ...account, regions: { ...account?.regions, [sourceRegion]: { ...region, keys } } };
    return {
      ...shared,
      scenario: { ...shared.scenario, accounts: { ...shared.scenario.accounts, [sourceAccount]: changed as never } },
    };
  }

  test.concurrent.each<[string, Case, Record<string, string>, object]>([
    // These two wait longest, and so begin first.
    ['by the key policy', procedure({ policies: ['source-key-policy'] }), { 'source-key-access': 'policy' }, {}],
    ['a cancel', procedure(slow), {}, { signals: { afterMs: 1500 } }],
    ['by grants', procedure(), {}, {}],
    ['a dry run', procedure(), { 'dry-run': 'true' }, {}],
    ['problems', procedure(), { 'target-kms-key': 'alias/nowhere' }, {}],
    ['a failure on the way', procedure({ faults: [{ kind: 'copy-fails', action: 'CopySnapshot' }] }), {}, {}],
    ['a refusal of the role', procedure({ github: { ref: 'refs/heads/other' } }), {}, {}],
    ['sessions that end', procedure({ ...slow, sessionSeconds: 2 }), {}, {}],
    ['the runner’s debug log', procedure(), {}, { env: { RUNNER_DEBUG: '1' } }],
  ])('%s', async (_, given, inputs, more: { env?: Record<string, string> }) => {
    const shared = withTheirPolicy(given);
    const simulator = await startSimulator(shared.scenario);
    try {
      const { main, post } = await runJob({
        ...more,
        inputs: { ...shared.inputs, ...inputs },
        env: { ...simulator.env, ...more.env },
      });
      const left = leftBy(main, post);
      const secrets = simulator.secrets();
      expect(secrets.length).toBeGreaterThan(1);
      expect([...secrets, words].filter((secret) => left.includes(secret))).toEqual([]);
    } finally {
      await simulator.close();
    }
  });

  test('tokens and session tokens are masked, should anything else print them', async () => {
    const { main, simulator } = await share(procedure());
    const tokens = simulator.secrets().filter((secret) => secret.startsWith('eyJ'));
    expect(tokens.length).toBeGreaterThan(0);
    for (const token of tokens) expect(main.masks).toContain(token);
  });
});

describe('where there is no token', () => {
  test.each([
    ['push', 'auto', { said: /no ID token, and the environment has no AWS credentials/, unsaid: /fork/ }],
    ['pull_request', 'auto', { said: /a pull request from a fork is never given one/ }],
    ['push', 'oidc', { said: /oidc, and the runner offers no ID token/, unsaid: /configure-aws-credentials/ }],
  ])('after a %s with credentials: %s, it says so at once', async (event_name, credentials, told) => {
    const { said, unsaid }: Readonly<{ said: RegExp; unsaid?: RegExp }> = told;
    const shared = procedure({ github: { mayRequestToken: false } });
    const { main, simulator, error } = await share(shared, { credentials }, { github: { event_name } });
    expect(main.conclusion).toBe('failure');
    expect(error).toMatch(said);
    expect(error).toMatch(/What to do: give the job "permissions: id-token: write"/);
    if (unsaid !== undefined) expect(error).not.toMatch(unsaid);
    expect(simulator.calls).toEqual([]);
  });

  test.each([
    ['', {}],
    [', with a page that is no JSON', { body: '<html>Forbidden</html>' }],
  ])('a token that is refused for good%s is not asked for again and again', async (_, answer) => {
    const { error, simulator } = await share(
      procedure({ faults: [{ kind: 'token-endpoint', status: 403, ...answer }] }),
    );
    expect(error).toMatch(/GitHub gave no ID token for audience sts.amazonaws.com: the token endpoint answered 403/);
    expect(error).toMatch(/What to do: run the job again/);
    // The source's role and the target's.
    expect(simulator.calls.filter(({ service }) => service === 'token').length).toBeLessThanOrEqual(2);
  });
});

describe('roles and credentials that do not go together are told with what does', () => {
  const given = { ambient: { account: sourceAccount } };
  const refused = 'the calling principal needs sts:AssumeRole on the role, .*; or, if the role trusts GitHub, ';

  test.each<[string, StandardOptions, Record<string, string>, string]>([
    ...['source-role-arn', 'target-role-arn'].map((role): [string, object, Record<string, string>, string] => [
      `a token, and no ${role}`,
      {},
      { [role]: '' },
      'no role is given (.*)What to do: give the role, which is then assumed by OIDC; or run aws-actions/configure-aws-credentials before$',
    ]),
    [
      'the environment, which has none',
      {},
      { credentials: 'environment' },
      'the environment has none (.*); or, if the role trusts GitHub, set credentials to oidc$',
    ],
    [
      'the environment, and a role of templates/',
      given,
      { credentials: 'environment' },
      `${refused}set credentials to oidc$`,
    ],
    [
      'no token, and a role of templates/',
      { ...given, github: { mayRequestToken: false } },
      {},
      `${refused}give the job "permissions: id-token: write"$`,
    ],
    ['role-chaining, and a role of templates/', {}, { 'role-chaining': 'true' }, `${refused}leave out role-chaining$`],
  ])('%s', async (...[, options, inputs, told]) => {
    const { error } = await share(customerKey(options), inputs);
    expect(error).not.toMatch(/offers no ID token/);
    expect(error.replaceAll('\n', ' ')).toMatch(new RegExp(told.replaceAll('(.*)', '.*')));
  });
});

describe('one ID token', () => {
  const tokensOf = ({ simulator }: Awaited<ReturnType<typeof share>>) =>
    simulator.calls.filter(({ service }) => service === 'token').length;

  test('serves all roles', async () => {
    const result = await share(customerKey());
    expect(result.main.conclusion).toBe('success');
    expect(result.simulator.calls.filter(({ action }) => action === 'AssumeRoleWithWebIdentity').length).toBe(2);
    expect(tokensOf(result)).toBe(1);
  });

  test.each(['InvalidIdentityToken', 'ExpiredTokenException'])('after %s a fresh one is asked for', async (code) => {
    const refused = {
      kind: 'refusal',
      action: 'AssumeRoleWithWebIdentity',
      holds: targetAccount,
      code,
      times: 1,
    } as const;
    const result = await share(customerKey({ faults: [refused] }));
    expect(result.error).toBe('');
    expect(tokensOf(result)).toBe(2);
  });

  test('is not used again once it is about to end', async () => {
    const result = await share(customerKey({ timings: { secondsPerGiB: 100 }, sessionSeconds: 900 }));
    expect(result.error).toBe('');
    const assumed = result.simulator.calls.filter(({ action }) => action === 'AssumeRoleWithWebIdentity');
    expect(assumed.length).toBeGreaterThan(2);
    expect(assumed.filter(({ outcome }) => outcome !== 'ok')).toEqual([]);
    expect(tokensOf(result)).toBeGreaterThan(1);
  });
});

describe('the runner’s own token ends', () => {
  const github = { requestTokenSeconds: 3630 };
  const lasting = (seconds: string): Record<string, string> => ({ 'role-duration-seconds': seconds });
  const chained = { 'role-chaining': 'true' };

  test('what main has taken back is not told again where post has no session any more', async () => {
    const result = await share(customerKey({ github, timings: { secondsPerGiB: 6000 } }));
    expect(result.error).toMatch(/the run took longer than timeout-minutes/);
    expect(result.post.annotations).toEqual([]);
    expect(result.post.stdout).toMatch(/could not look again: .*the token endpoint answered 401/);
  });

  test.each([-7, -2, 2, 7])('a clock that is off by %i hours changes none of it', async (hours) => {
    const run = { clockAheadMs: hours * 3_600_000 };
    const result = await share(customerKey({ github: { requestTokenSeconds: 22_200 } }), {}, run);
    expect([result.error, result.main.conclusion]).toEqual(['', 'success']);
    const assumed = result.simulator.calls.filter(({ action }) => action === 'AssumeRoleWithWebIdentity');
    expect(assumed).toHaveLength(2);
  });

  test('all sessions are renewed just before, and a run goes on by them', async () => {
    const result = await share(customerKey({ github, timings: { secondsPerGiB: 600 } }), { 'poll-interval': '600' });
    expect(result.error).toBe('');
    const { calls } = result.simulator;
    const last = calls.filter(({ action, at }) => action === 'AssumeRoleWithWebIdentity' && at > 3_200_000);
    expect(last.map(({ outcome, request }) => [outcome, (request as { RoleArn: string }).RoleArn]).sort()).toEqual([
      ['ok', `arn:aws:iam::${sourceAccount}:role/ami-source`],
      ['ok', `arn:aws:iam::${targetAccount}:role/ami-target`],
    ]);
    expect(calls.at(-1)?.at).toBeGreaterThan(4_000_000);
  });

  test('the default of timeout-minutes is cut to what the last sessions last, with 20 minutes for taking back', async () => {
    const result = await share(customerKey({ github, timings: { secondsPerGiB: 6000 } }));
    expect(result.main.stdout).toMatch(/timeout-minutes is 100: GitHub gives a job ID tokens only for some hours/);
    expect(result.error).toMatch(/the run took longer than timeout-minutes \(100\)/);
    expect(result.error).not.toMatch(/left behind/);
  });

  test.each([
    [
      '110',
      { credentials: 'oidc' },
      /"110" — expected at most 100: .* a larger role-duration-seconds moves that moment/,
    ],
    ['100', {}, undefined],
    ['110', { credentials: 'environment' }, undefined],
    ['110', lasting('43200'), undefined],
    // Chained sessions are as long as they were asked for, and an hour at most.
    ['56', { ...lasting('900'), ...chained }, /"56" — expected at most 55: .* a larger role-duration-seconds/],
    ['101', { ...lasting('43200'), ...chained }, /"101" — expected at most 100: [^;]*$/],
  ] as const)('timeout-minutes: %s with %j', async (minutes, more, problem) => {
    const inputs = { 'timeout-minutes': minutes, ...more, 'dry-run': 'true' };
    const { error, simulator } = await share(customerKey({ github }), inputs);
    if (problem === undefined) expect(error).not.toMatch(/timeout-minutes/);
    else expect([error, simulator.calls]).toEqual([expect.stringMatching(problem), []]);
  });

  test('sessions of the environment, and those made from them, do not end with it', async () => {
    const ambient = { account: sourceAccount, role: 'ami-source' };
    const inputs = { 'source-role-arn': '', 'timeout-minutes': '200', 'dry-run': 'true' };
    const errorOf = async (more: Record<string, string>) =>
      (await share(customerKey({ github, ambient }), { ...inputs, ...more })).error;
    // By the target's role, which trusts nobody but GitHub.
    expect(await errorOf(chained)).toMatch(/^A problem was found .*assuming the target role: AssumeRole of/s);
    expect(await errorOf({ 'target-role-arn': '' })).toMatch(/landed in account 111111111111/);
    expect(await errorOf({})).toMatch(/"200" — expected at most 100/);
  });

  test('what nobody asked for is cut, however little there is left', async () => {
    const shared = customerKey({ github: { requestTokenSeconds: 60 } });
    expect((await share(shared, { ...lasting('900'), 'dry-run': 'true' })).error).toBe('');
  });
});

describe('failures before a connection stood', () => {
  const failure = (code: string, more: object = {}, message = code) =>
    Object.assign(new Error(message), { code, ...more });

  const remedyOf = (error: Error) =>
    explain(new AwsCallError({ action: 'CopySnapshot', where: { account: '1', region: 'r' } }, error)).remedy;

  test.each([
    [
      'a proxy that is down',
      failure('ERR_PROXY_TUNNEL', { statusCode: 503 }),
      /HTTPS_PROXY .* or name the host in NO_PROXY/,
    ],
    ['a proxy that hangs up', failure('ERR_PROXY_TUNNEL'), /HTTPS_PROXY/],
    ['a reset at connect', failure('ECONNRESET', { syscall: 'connect' }), /keeps the runner from connecting/],
    [
      'TLS broken off',
      failure('ECONNRESET', {}, 'Client network socket disconnected before secure TLS connection was established'),
      /keeps the runner from connecting/,
    ],
    ['a closed port', failure('ECONNREFUSED', { syscall: 'connect' }), /keeps the runner from connecting/],
    ['DNS', failure('EAI_AGAIN', { syscall: 'getaddrinfo' }), /the region exists, .* HTTPS_PROXY must be a URL/],
  ])('%s: had no effect, passes, and is told with what to look at', (_, error, remedy) => {
    const call = new AwsCallError({ action: 'CopySnapshot', where: { account: '1', region: 'r' } }, error);
    for (const one of [error, call]) expect([isWithoutEffect(one), isTransient(one)]).toEqual([true, true]);
    expect(remedyOf(error)).toMatch(remedy);
  });

  test.each([
    ['a reset of a connection may have had one', failure('ECONNRESET', { syscall: 'read' }), true, undefined],
    ['a proxy that refuses lasts', failure('ERR_PROXY_TUNNEL', { statusCode: 407 }), false, 'user name and password'],
    ...['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'SELF_SIGNED_CERT_IN_CHAIN', 'CERT_HAS_EXPIRED'].map(
      (code) => [`a bad certificate lasts: ${code}`, failure(code), false, 'NODE_EXTRA_CA_CERTS'] as const,
    ),
  ] as const)('%s', (...[, error, passes, remedy]) => {
    expect([isWithoutEffect(error), isTransient(error)]).toEqual([false, passes]);
    if (remedy === undefined) expect(remedyOf(error)).toBeUndefined();
    else expect(remedyOf(error)).toContain(remedy);
  });

  test('a host that does not answer at all is told likewise', () => {
    const name = 'TimeoutError';
    const words =
      'Request socket did not establish a connection with the server within the configured timeout of 10000 ms.';
    expect(remedyOf(Object.assign(new Error(words), { name }))).toMatch(/keeps the runner from connecting/);
  });
});

test.each([
  ['never known is tried again twice', false, 3],
  ['known before is tried again like any other', true, 9],
])('a name that was %s', async (_, known, tries) => {
  let asked = 0;
  const answer = '<DescribeImagesResponse><imagesSet/></DescribeImagesResponse>';
  const http = {
    async handle({ hostname }: { hostname: string }) {
      if (known && asked === 0) return { response: { statusCode: 200, headers: {}, body: Buffer.from(answer) } };
      throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: 'ENOTFOUND', hostname });
    },
  };
  const counted = {
    handle: (request: { hostname: string }) =>
      http.handle(request).finally(() => {
        asked += 1;
      }),
  };
  const never = new AbortController().signal;
  const clock = { now: () => 0, sleep: async () => {}, after: () => never };
  const identity = { accessKeyId: 'AKIA', secretAccessKey: 'secret' };
  const session = { credentials: async () => identity, current: () => identity, renew: () => true };
  const clients = openClients({ clock, http: counted as unknown as Host['http'] });
  const { ec2 } = placesOf(clients, { account: '1', session, signal: never })('eu-west-1');
  if (known) await ec2(new DescribeImagesCommand({}));
  asked = known ? 1 : 0;
  const before = asked;
  await expect(ec2(new DescribeImagesCommand({}))).rejects.toThrow('ENOTFOUND');
  expect(asked - before).toBe(tries);
});

describe('proxies', () => {
  const open: { close(): void }[] = [];
  afterEach(() => {
    for (const one of open.splice(0)) one.close();
  });

  /** A proxy that passes plain requests on, and refuses tunnels; it counts both. */
  async function startProxy() {
    const asked: string[] = [];
    const proxy = createServer((incoming: IncomingMessage, response) => {
      asked.push(incoming.url ?? '');
      const { method, headers } = incoming;
      const onward = request(incoming.url ?? '', { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      incoming.pipe(onward);
    });
    proxy.on('connect', ({ url }, socket) => {
      asked.push(`CONNECT ${url}`);
      // A process that is killed resets its connections.
      socket.on('error', () => {});
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    });
    proxy.on('clientError', (_, socket) => socket.destroy());
    await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
    open.push({
      close: () => {
        proxy.close();
        proxy.closeAllConnections();
      },
    });
    return { asked, url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
  }

  async function runThrough(shared: Case, variables: Record<string, string>) {
    const simulator = await startSimulator(shared.scenario);
    open.push({ close: () => void simulator.close() });
    const { main } = await runJob({ inputs: shared.inputs, env: { ...simulator.env, ...variables } });
    expect(main.conclusion).toBe('success');
    return simulator.calls.length;
  }

  test('every call goes through the proxy', async () => {
    const { asked, url } = await startProxy();
    const calls = await runThrough(customerKey(), { HTTP_PROXY: url });
    expect(asked).toHaveLength(calls);
  });

  test('but not to what NO_PROXY names', async () => {
    const { asked, url } = await startProxy();
    await runThrough(customerKey(), { HTTP_PROXY: url, NO_PROXY: '127.0.0.1' });
    expect(asked).toEqual([]);
  });

  test('AWS’s own endpoints are asked for by a tunnel', async () => {
    const { asked, url } = await startProxy();
    const { inputs } = customerKey();
    const credentials = { AWS_ACCESS_KEY_ID: 'AKIA', AWS_SECRET_ACCESS_KEY: 'secret' };
    const running = startAction({ inputs, env: { ...credentials, HTTPS_PROXY: url } });
    while (asked.length === 0) await new Promise((later) => setTimeout(later, 50));
    running.kill();
    await running.result;
    expect(asked[0]).toBe('CONNECT sts.us-east-1.amazonaws.com:443');
  });
});
