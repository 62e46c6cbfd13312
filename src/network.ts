import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { clientDefaults } from './aws/clients.ts';
import type { Host } from './host.ts';

/*
 * How connections are kept. One that was idle for long may be closed at the other end just as a call is sent on it, and of
 * a call that makes something it can't be told then whether it was made; so idle ones go early, or by the server's own
 * Keep-Alive hint, which Node heeds only where a `timeout` is set: https://nodejs.org/api/http.html#new-agentoptions
 * Node's agents read the proxy variables; the SDK does not do it by itself.
 */
const connections = { keepAlive: true, timeout: 4000, maxSockets: 256, proxyEnv: process.env };

/** What a host reaches AWS and GitHub by. */
export type Network = Pick<Host, 'http' | 'ambientCredentials'>;

export function openNetwork(): Network {
  const http = new NodeHttpHandler({
    connectionTimeout: 10_000,
    // A hung connection must not hang the run.
    requestTimeout: 60_000,
    throwOnRequestTimeout: true,
    httpAgent: new HttpAgent(connections),
    httpsAgent: new HttpsAgent(connections),
  });
  return {
    http,
    ambientCredentials: defaultProvider({ clientConfig: { ...clientDefaults, requestHandler: http } }),
  };
}
