import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type HttpRequest = Readonly<{
  method: string;
  /** With its query. */
  path: string;
  /** By names in lower case. */
  headers: Readonly<Record<string, string>>;
  body: string;
}>;

export type HttpAnswer = Readonly<{ status: number; headers: Readonly<Record<string, string>>; body: string }>;

/** What becomes of a request: an answer, the connection's end without one, or nothing ever. */
export type Outcome = HttpAnswer | 'closed' | 'hung';

export type Server = Readonly<{ url: string; close(): Promise<void> }>;

/** Answers HTTP requests on a port of this machine. */
export async function serve(answer: (request: HttpRequest) => Promise<Outcome>): Promise<Server> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      void answer(read(request, Buffer.concat(chunks).toString())).then((outcome) => send(outcome, request, response));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.keepAliveTimeout = 30_000;
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function read({ method = 'GET', url = '/', headers }: IncomingMessage, body: string): HttpRequest {
  const texts = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
  return { method, path: url, headers: Object.fromEntries(texts), body };
}

function send(outcome: Outcome, request: IncomingMessage, response: ServerResponse): void {
  if (outcome === 'hung') return;
  if (outcome === 'closed') return void request.socket.destroy();
  response.writeHead(outcome.status, outcome.headers).end(outcome.body);
}
