import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import {
  CopySnapshotCommand,
  CreateImageCommand,
  EC2Client,
  type EC2ClientResolvedConfig,
  RegisterImageCommand,
} from '@aws-sdk/client-ec2';
import { IAMClient } from '@aws-sdk/client-iam';
import { KMSClient } from '@aws-sdk/client-kms';
import { SSMClient } from '@aws-sdk/client-ssm';
import { STSClient } from '@aws-sdk/client-sts';
import type { HttpHandler } from '@smithy/core/protocols';
import pLimit, { type LimitFunction } from 'p-limit';
import type { Host, Identity } from '../host.ts';
import { CancelError, type Clock } from '../time.ts';
import { handledBy, readingAnswers } from './answer.ts';
import {
  AwsCallError,
  CredentialsError,
  isClockCorrected,
  isExpired,
  isRead,
  isRefusalOfCredentials,
  isThrottling,
  isTransient,
  isWithoutEffect,
  triesAfter,
  type Where,
} from './errors.ts';
import { openPacer, type Paced, type Pacer } from './pace.ts';
import type { Side } from './template-parameters.ts';

/**
 * One principal in one account and region, and how to call AWS there.
 * Calls are retried as far as they may be, end with `signal`, and fail with an AwsCallError.
 */
export type Place = Where &
  Readonly<{
    ec2: EC2Client['send'];
    kms: KMSClient['send'];
    sts: STSClient['send'];
    ssm: SSMClient['send'];
    autoScaling: AutoScalingClient['send'];
    /** The account's, whatever the region. */
    iam: IAMClient['send'];
    clock: Clock;
    /** AWS's own time by the date of its last answer, in ms since the epoch: the machine's clock may be off. */
    awsNow(): number;
    signal: AbortSignal;
    /** Waits, unless the signal ends it first, and then throws its reason. */
    sleep(ms: number): Promise<void>;
    /** The same place, with calls that end with another signal: the clean-up's, when the run's has fired. */
    until(signal: AbortSignal): Place;
  }>;

/** A command of EC2's, each of which knows dry runs. */
export type Ec2Command = Readonly<{ input: { DryRun?: boolean | undefined } }>;

/** Sends any of them; the client knows each by its own type. */
export function sendEc2({ ec2 }: Place, command: Ec2Command): Promise<object> {
  return ec2(command as never);
}

/** What every client is made with. Retrying is done in `sendAs` below, which knows what may be repeated. */
export const clientDefaults = { maxAttempts: 1, customUserAgent: 'share-encrypted-ami' };

// These make a new resource each time and take no client token: after a lost answer only a look can tell.
const unrepeatable: readonly unknown[] = [CopySnapshotCommand, RegisterImageCommand, CreateImageCommand];

const maxThrottles = 14;
const maxTransients = 8;
/** Where the machine's clock is wrong, AWS may still refuse for another reason that has the same code. */
const maxCorrections = 1;
/** Some seconds: for so long, AWS may not know credentials that were just made. */
const maxRefusals = 5;

/** How long to wait before try `count`, in ms: exponential with full jitter, so that many callers spread out. */
function backoff(count: number, base: number, most: number): number {
  return Math.min(most, base * 2 ** (count - 1)) * (0.5 + Math.random() / 2);
}

type Sendable = { constructor: { name: string } };
type Sender = { send(command: never, options: { abortSignal: AbortSignal }): Promise<unknown> };

/** The action that a command calls, `CopySnapshot`. */
export function actionOf(command: Sendable): string {
  return command.constructor.name.replace(/Command(\$\d+)?$/, '');
}

/** After a cancel, the runner gives a step ten seconds in all. */
const lingerMs = 2000;

/**
 * A call that changes something isn't cut off when the run, or its part of it, is told to stop: what came of it would be
 * seen only later, by whoever happens to look. On a cancel it has two seconds, else as long as any request.
 */
function lingering(signal: AbortSignal, clock: Clock, action: string): { signal: AbortSignal; end: () => void } {
  if (isRead(action)) return { signal, end: () => {} };
  const late = new AbortController();
  const stop = () => {
    if (!(signal.reason instanceof CancelError)) return;
    clock.after(lingerMs).addEventListener('abort', () => late.abort(signal.reason), { once: true });
  };
  signal.addEventListener('abort', stop, { once: true });
  return { signal: late.signal, end: () => signal.removeEventListener('abort', stop) };
}

/** Credentials that renew themselves, shared by every client of one role session. */
export type Session = Readonly<{
  credentials: () => Promise<Identity>;
  /** The credentials that calls are made with by now. */
  current: () => Identity | undefined;
  /** Has the next call take new credentials, since AWS says that these have ended; false of those that have only begun. */
  renew: (ended: Identity | undefined) => boolean;
}>;

type Call = Readonly<{
  /** Asked for when the call can be sent: thousands may wait for their turn, and a client takes 70 KB. */
  client: () => Sender;
  command: Sendable;
  where: Where;
  session: Session;
  service: string;
  signal: AbortSignal;
  side: Side | undefined;
}>;

/** How often a call was tried again, for each reason, and what its last try was made with. */
type Tries = {
  corrections: number;
  throttles: number;
  transients: number;
  /** Of the credentials, not of the call. */
  refusals: number;
  used: Identity | undefined;
};

async function sendAs({ inFlight, pacer, clock }: Clients, call: Call): Promise<unknown> {
  const { client, command, session, signal } = call;
  const paced = pacedOf(call);
  const tries: Tries = { corrections: 0, throttles: 0, transients: 0, refusals: 0, used: undefined };
  for (;;) {
    signal.throwIfAborted();
    await pacer.turn(paced);
    try {
      return await inFlight(() => {
        tries.used = session.current();
        const patience = lingering(signal, clock, actionOf(command));
        return client()
          .send(command as never, { abortSignal: patience.signal })
          .finally(patience.end);
      });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      await makeReady({ call, tries, clock, hold: (ms) => pacer.refused(paced, ms) }, error);
    }
  }
}

/** Checks and tags wait for what the copies wait for. */
function pacedOf({ command, where, service, signal }: Call): Paced {
  const action = actionOf(command);
  const { DryRun } = (command as Partial<Ec2Command>).input ?? {};
  return { where, service, action, signal, canWait: DryRun === true || action === 'DeleteTags' };
}

/** Does what lets the next try go better than the last, which failed. @throws where there is to be no other */
async function makeReady(
  { call, tries, clock, hold }: Readonly<{ call: Call; tries: Tries; clock: Clock; hold: (ms: number) => void }>,
  error: unknown,
): Promise<void> {
  const { command, where, session, signal, side } = call;
  // The call was never sent: no credentials for it, and that error says why.
  if (error instanceof AwsCallError || error instanceof CredentialsError) throw error;
  const mayRepeat = !unrepeatable.includes(command.constructor) || isWithoutEffect(error);
  if (isClockCorrected(error) && tries.corrections < maxCorrections) {
    tries.corrections += 1;
  } else if (isThrottling(error) && tries.throttles < maxThrottles) {
    tries.throttles += 1;
    hold(backoff(tries.throttles, 500, 15_000));
  } else if (isRefusalOfCredentials(error) && tries.refusals < maxRefusals) {
    tries.refusals += 1;
    const others = isExpired(error) && session.renew(tries.used);
    if (!others) await clock.sleep(backoff(tries.refusals, 500, 4000), signal);
  } else if (mayRepeat && isTransient(error) && tries.transients < triesAfter(error, maxTransients)) {
    tries.transients += 1;
    await clock.sleep(backoff(tries.transients, 100, 10_000), signal);
  } else {
    throw new AwsCallError({ action: actionOf(command), where, side }, error);
  }
}

/** A principal whose account's places are to be had; `side` is what its role is for, where that is known. */
export type Access = Readonly<{ account: string; session: Session; signal: AbortSignal; side?: Side | undefined }>;

/** Gives the places of one account, each region's clients made only when they are used. */
export function placesOf(clients: Clients, access: Access): (region: string) => Place {
  const places = new Map<string, Place>();
  return (region) => {
    const known = places.get(region);
    if (known !== undefined) return known;
    const place = openPlace(clients, access, region);
    places.set(region, place);
    return place;
  };
}

function openPlace(clients: Clients, { account, session, signal, side }: Access, region: string): Place {
  const config = { ...clientDefaults, requestHandler: clients.http, region, credentials: session.credentials };
  const open = <T extends Client>(service: string, make: (settings: Partial<Settings>) => T) => {
    const client = clients.pooled(make);
    const send = (signal: AbortSignal) => (command: Sendable) =>
      sendAs(clients, { client, command, where: { account, region }, session, service, signal, side });
    return send as (signal: AbortSignal) => T['send'];
  };
  return new OpenPlace(signal, {
    ...{ account, region, clients },
    ec2: open('ec2', (settings) => new EC2Client({ ...config, ...settings })),
    kms: open('kms', (settings) => new KMSClient({ ...config, ...settings })),
    sts: open('sts', (settings) => new STSClient({ ...config, ...settings })),
    ssm: open('ssm', (settings) => new SSMClient({ ...config, ...settings })),
    autoScaling: open('autoscaling', (settings) => new AutoScalingClient({ ...config, ...settings })),
    iam: open('iam', (settings) => new IAMClient({ ...config, ...settings })),
  });
}

/** What the places of one account and region have in common: how each service is called until a signal. */
type Opened = Where &
  Readonly<
    { clients: Clients } & {
      [service in 'ec2' | 'kms' | 'sts' | 'ssm' | 'autoScaling' | 'iam']: (signal: AbortSignal) => Place[service];
    }
  >;

/** Every operation has a place of its own, by its signal: of thousands, each holds no more than that. */
class OpenPlace implements Place {
  readonly account: string;
  readonly region: string;
  readonly signal: AbortSignal;
  readonly #opened: Opened;

  constructor(signal: AbortSignal, opened: Opened) {
    this.account = opened.account;
    this.region = opened.region;
    this.signal = signal;
    this.#opened = opened;
  }

  get ec2() {
    return this.#opened.ec2(this.signal);
  }
  get kms() {
    return this.#opened.kms(this.signal);
  }
  get sts() {
    return this.#opened.sts(this.signal);
  }
  get ssm() {
    return this.#opened.ssm(this.signal);
  }
  get autoScaling() {
    return this.#opened.autoScaling(this.signal);
  }
  get iam() {
    return this.#opened.iam(this.signal);
  }
  get clock() {
    return this.#opened.clients.clock;
  }
  get awsNow() {
    return this.#opened.clients.awsNow;
  }

  sleep(ms: number): Promise<void> {
    return this.clock.sleep(ms, this.signal);
  }

  until(signal: AbortSignal): Place {
    return new OpenPlace(signal, this.#opened);
  }
}

type Client = Sender & { readonly config: Settings };
type Settings = Pick<
  EC2ClientResolvedConfig,
  'authSchemePreference' | 'defaultsMode' | 'retryMode' | 'useDualstackEndpoint' | 'useFipsEndpoint' | 'userAgentAppId'
>;
/** The clients of one run, and the way that its calls go. */
export type Clients = Readonly<{
  clock: Clock;
  awsNow: () => number;
  http: HttpHandler;
  /** A call is made up only when it can be sent soon: a thousand that wait for a connection take 100 KB each. */
  inFlight: LimitFunction;
  pacer: Pacer;
  /** Gives a client from the pool, made when it isn't there. */
  pooled<T extends Client>(make: (settings: Partial<Settings>) => T): () => T;
}>;

/**
 * A client takes some 70 KB and 0.1 ms to make, so a run with a thousand accounts and regions keeps those that were used
 * last. One that leaves the pool ends with its calls: the connections aren't its own.
 */
const maxClients = 64;

export function openClients({ clock, http }: Pick<Host, 'clock' | 'http'>): Clients {
  const aws = openAwsClock(clock);
  /** The clients that there are, the one that was used last at the end. */
  const kept = new Map<object, Client>();
  // What the SDK looks up in the environment and in its shared files, the first client finds for all: else each looks
  // again at its first call, which takes as long as the call itself.
  let settings: Settings | undefined;
  return {
    clock,
    awsNow: aws.now,
    http: aws.reading(readingAnswers(http)),
    inFlight: pLimit(256),
    pacer: openPacer(clock),
    pooled: (make) => () => {
      const client = (kept.get(make) as ReturnType<typeof make> | undefined) ?? make({ ...settings });
      settings ??= settingsOf(client);
      kept.delete(make);
      kept.set(make, client);
      const [oldest] = kept.keys();
      if (kept.size > maxClients && oldest !== undefined) kept.delete(oldest);
      return client;
    },
  };
}

type AwsClock = Readonly<{ now: () => number; reading: (http: Host['http']) => HttpHandler }>;

/** AWS's time: the machine's, and how far that is off by the answers' `Date`, which every service gives in whole seconds. */
function openAwsClock(clock: Clock): AwsClock {
  let ahead = 0;
  const read = (headers: Readonly<Record<string, string>>): void => {
    const date = Date.parse(headers.date ?? headers.Date ?? '');
    const off = date - clock.now();
    // What rounding and the way of the answer explain says nothing.
    if (!Number.isNaN(date) && Math.abs(off - ahead) > 2000) ahead = off;
  };
  return {
    now: () => clock.now() + ahead,
    reading: (http) =>
      handledBy(async (request, options) => {
        const answer = await http.handle(request, options);
        read(answer.response.headers);
        return answer;
      }),
  };
}

function settingsOf({ config }: Client): Settings {
  const { authSchemePreference, defaultsMode, retryMode, useDualstackEndpoint, useFipsEndpoint, userAgentAppId } =
    config;
  return { authSchemePreference, defaultsMode, retryMode, useDualstackEndpoint, useFipsEndpoint, userAgentAppId };
}
