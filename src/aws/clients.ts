import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import {
  CopySnapshotCommand,
  CreateImageCommand,
  EC2Client,
  type EC2ClientResolvedConfig,
  RegisterImageCommand,
} from '@aws-sdk/client-ec2';
import { KMSClient } from '@aws-sdk/client-kms';
import { SSMClient } from '@aws-sdk/client-ssm';
import { STSClient } from '@aws-sdk/client-sts';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import pLimit from 'p-limit';
import { sleep } from '../time.ts';
import type { Session } from './credentials.ts';
import {
  AwsCallError,
  CredentialsError,
  isExpired,
  isThrottling,
  isTransient,
  isWithoutEffect,
  type Where,
} from './errors.ts';

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
    signal: AbortSignal;
    /** The same place, with calls that end with another signal: the clean-up's, when the run's has fired. */
    until(signal: AbortSignal): Place;
  }>;

/** A call is made up only when it can be sent soon: a thousand that wait for a connection take 100 KB each. */
const inFlight = pLimit(128);

/**
 * How connections are kept. One that was idle for long may be closed at the other end just as a call is sent on it, and of
 * a call that makes something it can't be told then whether it was made; so idle ones go early, or by the server's own
 * Keep-Alive hint, which Node heeds only where a `timeout` is set: https://nodejs.org/api/http.html#new-agentoptions
 */
const connections = { keepAlive: true, timeout: 4000, maxSockets: 64, proxyEnv: process.env };

/** One pool of connections for all clients. Node's agents read the proxy variables; the SDK does not do it by itself. */
export const requestHandler = new NodeHttpHandler({
  connectionTimeout: 10_000,
  // A hung connection must not hang the run.
  requestTimeout: 60_000,
  throwOnRequestTimeout: true,
  httpAgent: new HttpAgent(connections),
  httpsAgent: new HttpsAgent(connections),
});

/** What every client is made with. Retrying is done in `send` below, which knows what may be repeated. */
export const clientDefaults = { requestHandler, maxAttempts: 1, customUserAgent: 'share-encrypted-ami' };

// These make a new resource each time and take no client token: after a lost answer only a look can tell.
const unrepeatable: readonly unknown[] = [CopySnapshotCommand, RegisterImageCommand, CreateImageCommand];

const maxThrottles = 14;
const maxTransients = 8;

/** How long to wait before try `count`, in ms: exponential with full jitter, so that many callers spread out. */
function backoff(count: number, base: number, most: number): number {
  return Math.min(most, base * 2 ** (count - 1)) * (0.5 + Math.random() / 2);
}

type Sendable = { constructor: { name: string } };
type Sender = { send(command: never, options: { abortSignal: AbortSignal }): Promise<unknown> };

/** The action that a command calls, `CopySnapshot`. */
function actionOf(command: Sendable): string {
  return command.constructor.name.replace(/Command(\$\d+)?$/, '');
}

/** Until when the calls to one account and region hold back: throttling of one slows all, since they share the bucket. */
type Pace = { until: number };

async function send(
  client: Sender,
  command: Sendable,
  where: Where,
  session: Session,
  pace: Pace,
  signal: AbortSignal,
): Promise<unknown> {
  const repeatable = !unrepeatable.includes(command.constructor);
  for (let throttles = 0, transients = 0, renewals = 0; ; ) {
    signal.throwIfAborted();
    const held = pace.until - Date.now();
    if (held > 0) await sleep(held * (1 + Math.random() / 2), signal);
    let used: ReturnType<Session['current']>;
    try {
      return await inFlight(() => {
        used = session.current();
        return client.send(command as never, { abortSignal: signal });
      });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      // The call was never sent: no credentials for it, and that error says why.
      if (error instanceof AwsCallError || error instanceof CredentialsError) throw error;
      const mayRepeat = repeatable || isWithoutEffect(error);
      if (isThrottling(error) && throttles < maxThrottles) {
        throttles += 1;
        pace.until = Math.max(pace.until, Date.now() + backoff(throttles, 500, 15_000));
      } else if (isExpired(error) && renewals < 3) {
        renewals += 1;
        session.renew(used);
      } else if (mayRepeat && isTransient(error) && transients < maxTransients) {
        transients += 1;
        await sleep(backoff(transients, 100, 10_000), signal);
      } else {
        throw new AwsCallError(actionOf(command), where, error);
      }
    }
  }
}

/** Gives the places of one account, each region's clients made only when they are used. */
export function placesOf(account: string, session: Session, signal: AbortSignal): (region: string) => Place {
  const places = new Map<string, Place>();
  return (region) => {
    const known = places.get(region);
    if (known !== undefined) return known;
    const place = openPlace(account, region, session, signal);
    places.set(region, place);
    return place;
  };
}

function openPlace(account: string, region: string, session: Session, signal: AbortSignal): Place {
  const config = { ...clientDefaults, region, credentials: session.credentials };
  const ec2 = pooled(() => knowing(EC2Client, config));
  const kms = pooled(() => knowing(KMSClient, config));
  const sts = pooled(() => knowing(STSClient, config));
  const ssm = pooled(() => knowing(SSMClient, config));
  const paces = { ec2: { until: 0 }, kms: { until: 0 }, sts: { until: 0 }, ssm: { until: 0 } };
  const until = (signal: AbortSignal): Place => {
    const through = (client: () => Sender, pace: Pace) => (command: Sendable) =>
      send(client(), command, { account, region }, session, pace, signal);
    return {
      account,
      region,
      signal,
      until,
      ec2: through(ec2, paces.ec2) as EC2Client['send'],
      kms: through(kms, paces.kms) as KMSClient['send'],
      sts: through(sts, paces.sts) as STSClient['send'],
      ssm: through(ssm, paces.ssm) as SSMClient['send'],
    };
  };
  return until(signal);
}

type Settings = Pick<
  EC2ClientResolvedConfig,
  'authSchemePreference' | 'defaultsMode' | 'retryMode' | 'useDualstackEndpoint' | 'useFipsEndpoint' | 'userAgentAppId'
>;
let settings: Settings | undefined;

/**
 * Makes a client that takes what the SDK looks up in the environment and in its shared files from the first of all: else
 * each looks again at its first call, which takes as long as the call itself.
 */
function knowing<Config extends object, T extends { readonly config: Settings }>(
  Client: new (config: Config & Partial<Settings>) => T,
  config: Config,
): T {
  const client = new Client({ ...config, ...settings });
  const { authSchemePreference, defaultsMode, retryMode, useDualstackEndpoint, useFipsEndpoint, userAgentAppId } =
    client.config;
  settings ??= { authSchemePreference, defaultsMode, retryMode, useDualstackEndpoint, useFipsEndpoint, userAgentAppId };
  return client;
}

/** The clients that there are, the one that was used last at the end. */
const clients = new Map<() => Sender, Sender>();
const maxClients = 64;

/**
 * Gives a client from the pool, made when it isn't there. A client takes some 70 KB and 0.1 ms to make, so a run with a
 * thousand accounts and regions keeps those that were used last. One that leaves the pool ends with its calls: the
 * connections aren't its own.
 */
function pooled<T extends Sender>(make: () => T): () => T {
  return () => {
    const client = (clients.get(make) as T | undefined) ?? make();
    clients.delete(make);
    clients.set(make, client);
    const [oldest] = clients.keys();
    if (clients.size > maxClients && oldest !== undefined) clients.delete(oldest);
    return client;
  };
}
