import { type Clock, realClock } from './clock.ts';
import { type Fault, openFaults, refusalOf } from './faults.ts';
import { ideal, settingsOf } from './hardness.ts';
import { administratorOf, type Principal, readIamData } from './iam.ts';
import { describeWorld, stateOf } from './picture.ts';
import { latencyOf, openRates } from './rates.ts';
import { Refusal } from './refusal.ts';
import { buildWorld, type Scenario } from './scenario.ts';
import { type HttpAnswer, type HttpRequest, type Outcome, type Server, serve } from './server.ts';
import { type Answer, prepare, refusalAnswer, type Services } from './services.ts';
import { openSession, readSignature, type Sessions, type Signature } from './sessions.ts';
import { defaultGitHub, type GitHub, openTokenIssuer } from './sts.ts';
import type { Failure, World } from './world.ts';

/** A call as it came in, and what became of it. */
export type RecordedCall = {
  /** ms since the simulator's start. */
  at: number;
  service: string;
  action: string;
  account?: string;
  region?: string;
  caller?: string;
  /** Who sent it, where the sender says so by a header of its own: many may use one role. */
  client?: string;
  request: Record<string, unknown>;
  outcome: string;
  mutating: boolean;
  fault?: string;
};

/** A request's header that names its sender, for `RecordedCall.client`. */
export const clientHeader = 'x-simulator-client';

export type Simulator = {
  /** Where it listens; without a server, an address that leads nowhere. */
  url: string;
  /** What the action's process needs in its environment to take this for AWS and GitHub. */
  env: Record<string, string>;
  world: World;
  calls: RecordedCall[];
  /** What the server would do with a request, without a socket: nothing but promises and the clock is waited for. */
  answer(request: HttpRequest): Promise<Outcome>;
  addFault(fault: Fault): void;
  /** From now on GitHub's tokens are of this job; what isn't said is as the scenario has it. */
  setJob(job: Partial<GitHub>): void;
  /** Tells of each call after its effect and before its answer; gives what ends it. */
  onCall(listener: (call: RecordedCall) => void): () => void;
  describe(): string;
  /** Every credential and token that was given out. */
  secrets(): string[];
  /** Everything that persists in one account or in all, without times and progress, to compare before with after. */
  snapshotOfState(account?: string): unknown;
  close(): Promise<void>;
};

/** What the runner authorizes a job with at the token endpoint: a JWT that may say when it ends. */
function runnerTokenUntil(endsAt: number): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  if (endsAt === Number.POSITIVE_INFINITY) return 'simulated-runner-token';
  return `${part({ alg: 'RS256' })}.${part({ exp: Math.floor(endsAt / 1000) })}.c2ltdWxhdGVk`;
}

export type SimulatorOptions = Readonly<{
  /** What AWS and GitHub's token issuer take their time from. */
  clock?: Clock;
  /** Whether a port of this machine is listened on; without, `answer` is the only way in. */
  listen?: boolean;
}>;

/** Starts an AWS for one scenario: on a port of this machine, unless its requests come by `answer` alone. */
export async function startSimulator(
  scenario: Scenario,
  { clock = realClock, listen = true }: SimulatorOptions = {},
): Promise<Simulator> {
  // Before any call: nothing is read from disk while one is answered.
  await readIamData();
  const started = clock.now();
  const world = buildWorld(scenario, clock);
  const github = { ...defaultGitHub, ...scenario.github };
  const issuer = openTokenIssuer(github, clock);
  const sessions: Sessions = new Map();
  const calls: RecordedCall[] = [];
  const issued: string[] = [];
  const listeners = new Set<(call: RecordedCall) => void>();
  // Nobody waits for real seconds that the scenario doesn't ask for.
  const { timings, rules } = settingsOf(
    clock === realClock ? { ...scenario, timings: { ...ideal.timings, ...scenario.timings } } : scenario,
  );
  const seed = scenario.seed ?? 1;
  const faults = openFaults(scenario.faults ?? [], seed);
  const rates = openRates(rules.requestRates);
  const counts = new Map<string, number>();
  const services: Services = {
    world,
    sts: { world, sessions, sessionSeconds: scenario.sessionSeconds },
    timings,
    rules,
    kmsNeeds: scenario.kmsNeeds ?? 'documented',
  };

  async function answer(request: HttpRequest): Promise<Outcome> {
    try {
      const url = new URL(request.path, 'http://simulator');
      await passOn(request);
      const outcome = url.pathname === '/token' ? answerToken(url, request) : await answerCall(request);
      return typeof outcome === 'string' ? outcome : dated(outcome);
    } catch (error) {
      // A slip of the simulator's own: loud, so that no test passes over it.
      console.error('simulator:', error);
      return { status: 500, headers: {}, body: 'simulator error' };
    }
  }

  /** The time that a call takes. */
  async function passOn(request: HttpRequest): Promise<void> {
    if (timings.latencyMs === 0) return;
    const { service, action, region } = readCall(request);
    const site = `${service}/${action}/${region}`;
    const count = (counts.get(site) ?? 0) + 1;
    counts.set(site, count);
    await clock.sleep(latencyOf(timings.latencyMs, { site, count, seed }));
  }

  /** Every answer tells AWS's time, by which clients mend their own. */
  function dated(answer: HttpAnswer): HttpAnswer {
    return { ...answer, headers: { ...answer.headers, date: new Date(clock.now()).toUTCString() } };
  }

  async function answerCall(request: HttpRequest): Promise<Outcome> {
    const sent = readCall(request);
    const { signature, refusal } = signatureOf(request);
    const call = recorded(sent, signature);
    const fault = faults.strike({ ...call, body: request.body });
    if (fault !== undefined) call.fault = fault.kind;
    if (fault?.kind === 'delay') await clock.sleep(fault.ms ?? 1000);
    if (fault?.kind === 'hang') return 'hung';
    if (fault?.kind === 'reset') {
      call.outcome = 'reset';
      return 'closed';
    }
    const answer = await resultOf(call, async () => {
      const beyond = signature && rates.refusal({ ...call, at: clock.now() });
      const struck = refusal ?? beyond ?? (fault && refusalOf(fault, sent.service));
      if (struck !== undefined) throw struck;
      const failCopies = fault?.kind === 'copy-fails' ? failureOf(fault) : undefined;
      const prepared = prepare(services, { ...sent, signature, failCopies });
      call.request = prepared.input;
      return prepared.run();
    });
    for (const listener of listeners) listener(call);
    return sentBack(answer, fault);
  }

  /** What of an answer gets through. */
  function sentBack({ status, type, body }: Answer, fault: Fault | undefined): Outcome {
    const headers = { 'content-type': type, 'x-amzn-requestid': `sim-${calls.length}` };
    if (fault?.kind === 'lost-response') return 'closed';
    if (fault?.kind !== 'garbled') return { status, headers, body };
    const garbled = fault.body ?? body.slice(0, Math.floor(body.length / 2));
    return { status: fault.status ?? status, headers: { 'content-type': 'text/html' }, body: garbled };
  }

  /** Who signed a request, if somebody did, or what is wrong with the signature. */
  function signatureOf(request: HttpRequest): Readonly<{ signature?: Signature; refusal?: Refusal }> {
    if (request.headers.authorization === undefined) return {};
    try {
      return {
        signature: readSignature(sessions, request, { now: clock.now(), toleranceMs: timings.signatureSeconds * 1000 }),
      };
    } catch (error) {
      return { refusal: asRefusal(error) };
    }
  }

  function recorded(sent: SentCall, signature: Signature | undefined): RecordedCall {
    const { service, action, region, client, form, body } = sent;
    const principal = signature?.session.principal;
    const call: RecordedCall = {
      at: clock.now() - started,
      service,
      action,
      ...(principal && { account: principal.account, caller: principal.arn }),
      ...(region !== undefined && { region }),
      ...(client !== undefined && { client }),
      request: {},
      outcome: 'ok',
      mutating: isMutating(action) && form.get('DryRun') !== 'true' && !/"DryRun":\s*true/.test(body),
    };
    calls.push(call);
    return call;
  }

  /** The answer to a call, which is told its outcome. */
  async function resultOf(call: RecordedCall, run: () => Promise<Answer>): Promise<Answer> {
    try {
      return await run();
    } catch (error) {
      const refused = asRefusal(error);
      call.outcome = refused.code;
      return refusalAnswer(refused, call.service);
    }
  }

  function failureOf({ message = 'Internal error', afterSeconds = 0 }: Fault): Failure {
    return { words: message, at: clock.now() + afterSeconds * 1000 };
  }

  const tokenEndsAt = started + (github.requestTokenSeconds ?? Number.POSITIVE_INFINITY) * 1000;
  const runnerToken = runnerTokenUntil(tokenEndsAt);

  function issueToken(audience: string): string {
    const token = issuer.issue(audience);
    issued.push(token);
    return token;
  }

  function answerToken({ searchParams }: URL, { headers }: HttpRequest): HttpAnswer | 'closed' {
    const call: RecordedCall = {
      at: clock.now() - started,
      service: 'token',
      action: 'GetIdToken',
      request: Object.fromEntries(searchParams),
      outcome: 'ok',
      mutating: false,
    };
    calls.push(call);
    const fault = faults.strike({ ...call, body: '' });
    if (fault?.kind === 'reset') return 'closed';
    const { status: struck = 503, body = '{"message":"refused"}' } = fault ?? {};
    const known = headers.authorization === `Bearer ${runnerToken}` && clock.now() < tokenEndsAt ? 200 : 401;
    const status = fault?.kind === 'token-endpoint' ? struck : known;
    if (fault !== undefined) call.fault = fault.kind;
    call.outcome = status === 200 ? 'ok' : String(status);
    return {
      status,
      headers: { 'content-type': 'application/json' },
      body: status === 200 ? JSON.stringify({ value: issueToken(searchParams.get('audience') ?? '') }) : body,
    };
  }

  const { url, close } = listen ? await serve(answer) : nowhere;
  return {
    url,
    env: {
      ...environment(url, github.mayRequestToken ? runnerToken : undefined),
      ...ambientOf(scenario, world, sessions),
    },
    world,
    calls,
    answer,
    addFault: (fault) => faults.add(fault),
    setJob: (job) => issuer.setJob({ ...github, ...job }),
    onCall(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    describe: () => describeWorld(world),
    secrets: () => [
      ...[...sessions.values()].flatMap(({ secretAccessKey, sessionToken }) => [secretAccessKey, sessionToken]),
      ...issued,
      runnerToken,
    ],
    snapshotOfState: (account) => stateOf(world, timings, account),
    close,
  };
}

/** In place of a server: no name ends in `.invalid`, https://www.rfc-editor.org/rfc/rfc2606#section-2. */
const nowhere: Server = { url: 'http://simulator.invalid', close: async () => {} };

function environment(url: string, runnerToken: string | undefined): Record<string, string> {
  const token = {
    ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?api-version=2.0`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: runnerToken ?? '',
  };
  return { AWS_ENDPOINT_URL: url, ...(runnerToken !== undefined && token) };
}

/** Credentials in the job's environment, as aws-actions/configure-aws-credentials leaves them. */
function ambientOf(scenario: Scenario, world: World, sessions: Sessions): Record<string, string> {
  if (scenario.ambient === undefined) return {};
  const { account, role: name } = scenario.ambient;
  const role = name === undefined ? undefined : world.accounts[account]?.roles.get(name);
  const principal: Principal =
    role === undefined
      ? administratorOf(world, account)
      : {
          account,
          role,
          arn: `arn:${world.accounts[account]?.partition}:sts::${account}:assumed-role/${role.name}/ambient`,
        };
  const expiresAt = world.clock.now() + 3_600_000;
  const session = openSession(sessions, { principal, expiresAt, ofRole: role !== undefined });
  return {
    AWS_ACCESS_KEY_ID: session.accessKeyId,
    AWS_SECRET_ACCESS_KEY: session.secretAccessKey,
    AWS_SESSION_TOKEN: session.sessionToken,
  };
}

/** What a request says of itself, whoever sent it. */
type SentCall = Readonly<{
  service: string;
  action: string;
  region: string | undefined;
  client: string | undefined;
  form: URLSearchParams;
  body: string;
}>;

function readCall({ headers, body }: HttpRequest): SentCall {
  const { authorization = '', 'x-amz-target': target = '', [clientHeader]: client } = headers;
  const form = new URLSearchParams(target === '' ? body : '');
  const action = (target === '' ? form.get('Action') : target.split('.')[1]) ?? '';
  const [, region, service = 'sts'] = /Credential=[^/]+\/\d+\/([^/]+)\/([^/]+)\//.exec(authorization) ?? [];
  return { service, action, region, client, form, body };
}

function isMutating(action: string): boolean {
  return !/^(Describe|Get|List|AssumeRole|GenerateDataKey|Decrypt|ReEncrypt)/.test(action);
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  throw error;
}
