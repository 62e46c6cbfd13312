import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as ec2Module from '@aws-sdk/client-ec2';
import * as kmsModule from '@aws-sdk/client-kms';
import * as ssmModule from '@aws-sdk/client-ssm';
import * as stsModule from '@aws-sdk/client-sts';
import type { Ec2Call, Handler, Timings } from './ec2/call.ts';
import * as images from './ec2/images.ts';
import * as lifecycle from './ec2/lifecycle.ts';
import * as settings from './ec2/settings.ts';
import * as snapshots from './ec2/snapshots.ts';
import * as tags from './ec2/tags.ts';
import * as volumes from './ec2/volumes.ts';
import { type Fault, openFaults, refusalOf } from './faults.ts';
import { administratorOf, type Principal } from './iam.ts';
import { kmsHandlers } from './kms.ts';
import { describeWorld, stateOf } from './picture.ts';
import { Refusal } from './refusal.ts';
import { buildWorld, type Scenario } from './scenario.ts';
import { openSession, readSignature, type Session, type Sessions, type Signature } from './sessions.ts';
import { ssmHandlers } from './ssm.ts';
import { assumeRole, assumeRoleWithWebIdentity, defaultGitHub, getCallerIdentity, openTokenIssuer } from './sts.ts';
import { checkJson, escapeXml, type Operation, operationOf, parseForm, serializeOutput } from './wire.ts';
import { regionOf, type World } from './world.ts';

/** A call as it came in, and what became of it. */
export type RecordedCall = {
  /** ms since the simulator's start. */
  at: number;
  service: string;
  action: string;
  account?: string;
  region?: string;
  caller?: string;
  request: Record<string, unknown>;
  outcome: string;
  mutating: boolean;
  fault?: string;
};

export type Simulator = {
  url: string;
  /** What the action's process needs in its environment to take this for AWS and GitHub. */
  env: Record<string, string>;
  world: World;
  calls: RecordedCall[];
  addFault(fault: Fault): void;
  /** Tells of each call after its effect and before its answer; gives what ends it. */
  onCall(listener: (call: RecordedCall) => void): () => void;
  describe(): string;
  /** Every credential and token that was given out. */
  secrets(): string[];
  /** Everything that persists in one account or in all, without times and progress, to compare before with after. */
  snapshotOfState(account?: string): unknown;
  close(): Promise<void>;
};

const ec2Handlers: Readonly<Record<string, Handler<never>>> = {
  CopyImage: images.copyImage,
  CreateImage: images.createImage,
  RegisterImage: images.registerImage,
  DeregisterImage: images.deregisterImage,
  DescribeImages: images.describeImages,
  DescribeImageAttribute: images.describeImageAttribute,
  ModifyImageAttribute: images.modifyImageAttribute,
  CopySnapshot: snapshots.copySnapshot,
  DeleteSnapshot: snapshots.deleteSnapshot,
  DescribeSnapshots: snapshots.describeSnapshots,
  DescribeLockedSnapshots: snapshots.describeLockedSnapshots,
  DescribeSnapshotAttribute: snapshots.describeSnapshotAttribute,
  ModifySnapshotAttribute: snapshots.modifySnapshotAttribute,
  ResetSnapshotAttribute: snapshots.resetSnapshotAttribute,
  CreateTags: tags.createTags,
  DeleteTags: tags.deleteTags,
  EnableImageDeprecation: lifecycle.enableImageDeprecation,
  DisableImageDeprecation: lifecycle.disableImageDeprecation,
  EnableImageDeregistrationProtection: lifecycle.enableImageDeregistrationProtection,
  DisableImageDeregistrationProtection: lifecycle.disableImageDeregistrationProtection,
  ReplaceImageInstanceTypeSpecification: lifecycle.replaceImageInstanceTypeSpecification,
  EnableFastSnapshotRestores: lifecycle.enableFastSnapshotRestores,
  DisableFastSnapshotRestores: lifecycle.disableFastSnapshotRestores,
  DescribeFastSnapshotRestores: lifecycle.describeFastSnapshotRestores,
  DescribeAvailabilityZones: lifecycle.describeAvailabilityZones,
  DescribeLaunchTemplateVersions: lifecycle.describeLaunchTemplateVersions,
  DescribeImageReferences: lifecycle.describeImageReferences,
  DescribeRegions: settings.describeRegions,
  DescribeInstances: settings.describeInstances,
  CreateVolume: volumes.createVolume,
  DeleteVolume: volumes.deleteVolume,
  DescribeVolumes: volumes.describeVolumes,
  CreateSnapshot: volumes.createSnapshot,
  GetEbsEncryptionByDefault: settings.getEbsEncryptionByDefault,
  GetEbsDefaultKmsKeyId: settings.getEbsDefaultKmsKeyId,
  GetSnapshotBlockPublicAccessState: settings.getSnapshotBlockPublicAccessState,
  GetImageBlockPublicAccessState: settings.getImageBlockPublicAccessState,
  GetAllowedImagesSettings: settings.getAllowedImagesSettings,
};

/** What the runner authorizes a job with at the token endpoint. */
const runnerToken = 'simulated-runner-token';

type Answer = { status: number; type: string; body: string };

/** What a service does with one request: its operation, the parsed input, and the run of it. */
type Prepared = { input: Record<string, unknown>; run: () => Promise<Answer> };

/** Starts an AWS for one scenario on a port of this machine. */
export async function startSimulator(scenario: Scenario): Promise<Simulator> {
  const started = Date.now();
  const world = buildWorld(scenario);
  const github = { ...defaultGitHub, ...scenario.github };
  const issuer = openTokenIssuer(github);
  const sessions: Sessions = new Map();
  const calls: RecordedCall[] = [];
  const issued: string[] = [];
  const listeners = new Set<(call: RecordedCall) => void>();
  const timings: Timings = {
    secondsPerGiB: 0.02,
    baseSeconds: 0.1,
    visibleAfterSeconds: 0,
    grantActiveAfterSeconds: 0,
    policyActiveAfterSeconds: 0,
    latencyMs: 0,
    ...scenario.timings,
  };
  const faults = openFaults(scenario.faults ?? [], scenario.seed ?? 1);
  const sts = { world, sessions, publicKey: issuer.publicKey, sessionSeconds: scenario.sessionSeconds };

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      handle(request, response, Buffer.concat(chunks).toString()).catch((error: unknown) => {
        // A slip of the simulator's own: loud, so that no test passes over it.
        console.error('simulator:', error);
        response.writeHead(500).end('simulator error');
      });
    });
  });

  async function handle(request: IncomingMessage, response: ServerResponse, body: string): Promise<void> {
    if (timings.latencyMs > 0) await delay(timings.latencyMs);
    const url = new URL(request.url ?? '/', 'http://simulator');
    if (url.pathname === '/token') return answerToken(url, request, response);

    const signed = request.headers.authorization !== undefined;
    const target = String(request.headers['x-amz-target'] ?? '');
    const form = target === '' ? new URLSearchParams(body) : undefined;
    const action = form?.get('Action') ?? target.split('.')[1] ?? '';
    let signature: Signature | undefined;
    let refusal: Refusal | undefined;
    try {
      if (signed) signature = readSignature(sessions, request.headers);
    } catch (error) {
      refusal = asRefusal(error);
    }
    const scope = /Credential=[^/]+\/\d+\/([^/]+)\/([^/]+)\//.exec(String(request.headers.authorization ?? ''));
    const service = scope?.[2] ?? 'sts';
    const region = scope?.[1];
    const account = signature?.session.principal.account;
    const call: RecordedCall = {
      at: Date.now() - started,
      service,
      action,
      ...(account !== undefined && { account }),
      ...(region !== undefined && { region }),
      ...(signature !== undefined && { caller: signature.session.principal.arn }),
      request: {},
      outcome: 'ok',
      mutating: isMutating(action) && form?.get('DryRun') !== 'true' && !/"DryRun":\s*true/.test(body),
    };
    calls.push(call);
    const fault = faults.strike(call);
    if (fault !== undefined) call.fault = fault.kind;
    const slow = fault?.kind === 'delay';
    if (slow) await delay(fault.ms ?? 1000);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') {
      call.outcome = 'reset';
      return void request.socket.destroy();
    }
    let answer: Answer;
    try {
      if (refusal !== undefined) throw refusal;
      const struck = fault && refusalOf(fault, service);
      if (struck !== undefined) throw struck;
      const failCopies = fault?.kind === 'copy-fails' ? (fault.message ?? 'Internal error') : undefined;
      const prepared = prepare(service, action, form, body, signature, region, failCopies);
      call.request = prepared.input;
      answer = await prepared.run();
    } catch (error) {
      const refused = asRefusal(error);
      call.outcome = refused.code;
      answer = refusalAnswer(refused, service);
    }
    for (const listener of listeners) listener(call);
    if (fault?.kind === 'lost-response') return void request.socket.destroy();
    response
      .writeHead(answer.status, { 'content-type': answer.type, 'x-amzn-requestid': `sim-${calls.length}` })
      .end(answer.body);
  }

  function issueToken(audience: string): string {
    const token = issuer.issue(audience);
    issued.push(token);
    return token;
  }

  function answerToken(url: URL, request: IncomingMessage, response: ServerResponse): void {
    const call: RecordedCall = {
      at: Date.now() - started,
      service: 'token',
      action: 'GetIdToken',
      request: Object.fromEntries(url.searchParams),
      outcome: 'ok',
      mutating: false,
    };
    calls.push(call);
    const fault = faults.strike(call);
    if (fault?.kind === 'reset') return void request.socket.destroy();
    const status =
      fault?.kind === 'token-endpoint'
        ? (fault.status ?? 503)
        : request.headers.authorization === `Bearer ${runnerToken}`
          ? 200
          : 401;
    if (fault !== undefined) call.fault = fault.kind;
    call.outcome = status === 200 ? 'ok' : String(status);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(
      status === 200
        ? JSON.stringify({ value: issueToken(url.searchParams.get('audience') ?? '') })
        : '{"message":"refused"}',
    );
  }

  function prepare(
    service: string,
    action: string,
    form: URLSearchParams | undefined,
    body: string,
    signature: Signature | undefined,
    region: string | undefined,
    failCopies: string | undefined,
  ): Prepared {
    if (service === 'sts') return prepareSts(action, form ?? new URLSearchParams(), signature?.session);
    if (signature === undefined || region === undefined)
      throw new Refusal('MissingAuthenticationToken', 'Missing Authentication Token', 403);
    const caller = signature.session.principal;
    requireRegion(caller, region, service);
    if (service === 'ec2') return prepareEc2(action, form ?? new URLSearchParams(), caller, region, failCopies);
    if (service === 'kms' || service === 'ssm') return prepareJson(service, action, body, caller, region);
    throw new Refusal('UnknownService', `the simulator has no service ${service}`);
  }

  /** Regions that the account hasn't enabled know none of its credentials. */
  function requireRegion(caller: Principal, region: string, service: string): void {
    if (world.accounts[caller.account]?.notOptedIn.has(region) !== true) return;
    if (service === 'ec2')
      throw new Refusal('AuthFailure', 'AWS was not able to validate the provided access credentials', 401);
    throw new Refusal('UnrecognizedClientException', 'The security token included in the request is invalid.');
  }

  function prepareSts(action: string, form: URLSearchParams, caller: Session | undefined): Prepared {
    const operation = requireOperation(stsModule, action, 'InvalidAction');
    const input = parseForm(operation, form, 'query');
    return {
      input,
      run: async () => {
        const output = await runSts(action, input, caller);
        const result = serializeOutput(operation, output);
        return xml(
          `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result>${result}</${action}Result><ResponseMetadata><RequestId>sim</RequestId></ResponseMetadata></${action}Response>`,
        );
      },
    };
  }

  async function runSts(
    action: string,
    input: Record<string, unknown>,
    caller: Session | undefined,
  ): Promise<Record<string, unknown>> {
    if (action === 'AssumeRoleWithWebIdentity') return assumeRoleWithWebIdentity(sts, input);
    if (caller === undefined) throw new Refusal('MissingAuthenticationToken', 'Missing Authentication Token', 403);
    if (action === 'AssumeRole') return assumeRole(sts, caller, input);
    if (action === 'GetCallerIdentity') return getCallerIdentity(caller);
    throw new Refusal('InvalidAction', `Could not find operation ${action}`);
  }

  function prepareEc2(
    action: string,
    form: URLSearchParams,
    caller: Principal,
    region: string,
    failCopies: string | undefined,
  ): Prepared {
    const operation = requireOperation(ec2Module, action, 'InvalidAction');
    const handler = ec2Handlers[action];
    if (handler === undefined)
      throw new Refusal('InvalidAction', `The action ${action} is not valid for this web service.`);
    const input = parseForm(operation, form, 'ec2');
    const call: Ec2Call = {
      world,
      caller,
      region,
      timings,
      kmsNeeds: scenario.kmsNeeds ?? 'documented',
      failCopies,
      here: regionOf(world, caller.account, region),
    };
    return {
      input,
      run: async () => {
        const output = serializeOutput(operation, await handler(call, input as never));
        return xml(
          `<?xml version="1.0" encoding="UTF-8"?>\n<${action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>sim</requestId>${output === '' ? '<return>true</return>' : output}</${action}Response>`,
        );
      },
    };
  }

  function prepareJson(
    service: 'kms' | 'ssm',
    action: string,
    body: string,
    caller: Principal,
    region: string,
  ): Prepared {
    const operation = requireOperation(service === 'kms' ? kmsModule : ssmModule, action, 'UnknownOperationException');
    const input = JSON.parse(body) as Record<string, unknown>;
    checkJson(operation, input);
    const run = async (): Promise<Answer> => {
      const output = await runJson(service, action, input, caller, region);
      // Timestamps are seconds in JSON 1.1.
      const text = JSON.stringify(output, (_, value: unknown) => value);
      return {
        status: 200,
        type: 'application/x-amz-json-1.1',
        body: text.replace(/"(\d{4}-\d\d-\d\dT[\d:.]+Z)"/g, (_, time: string) => String(Date.parse(time) / 1000)),
      };
    };
    return { input, run };
  }

  async function runJson(
    service: 'kms' | 'ssm',
    action: string,
    input: Record<string, unknown>,
    caller: Principal,
    region: string,
  ): Promise<Record<string, unknown>> {
    const { grantActiveAfterSeconds, policyActiveAfterSeconds } = timings;
    const kms = kmsHandlers[action];
    const ssm = ssmHandlers[action];
    if (service === 'kms' && kms !== undefined)
      return kms({ world, caller, region, grantActiveAfterSeconds, policyActiveAfterSeconds }, input);
    if (service === 'ssm' && ssm !== undefined) return ssm({ world, caller, region }, input);
    throw new Refusal('UnknownOperationException', `Unknown operation ${action}`);
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.keepAliveTimeout = 30_000;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    env: { ...environment(url, github.mayRequestToken), ...ambientOf(scenario, world, sessions) },
    world,
    calls,
    addFault: (fault) => faults.add(fault),
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
    snapshotOfState: (account) => stateOf(world, account),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function environment(url: string, mayRequestToken: boolean): Record<string, string> {
  const token = {
    ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?api-version=2.0`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: runnerToken,
  };
  return { AWS_ENDPOINT_URL: url, ...(mayRequestToken && token) };
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
  const session = openSession(sessions, principal, 3600, role !== undefined);
  return {
    AWS_ACCESS_KEY_ID: session.accessKeyId,
    AWS_SECRET_ACCESS_KEY: session.secretAccessKey,
    AWS_SESSION_TOKEN: session.sessionToken,
  };
}

function requireOperation(module: object, action: string, code: string): Operation {
  const operation = operationOf(module as Record<string, unknown>, action);
  if (operation === undefined) throw new Refusal(code, `The action ${action} is not valid for this web service.`);
  return operation;
}

function isMutating(action: string): boolean {
  return !/^(Describe|Get|List|AssumeRole|GenerateDataKey|Decrypt|ReEncrypt)/.test(action);
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  throw error;
}

function xml(body: string): Answer {
  return { status: 200, type: 'text/xml;charset=UTF-8', body };
}

/** A refusal in its service's format: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
function refusalAnswer({ code, message, status }: Refusal, service: string): Answer {
  if (service === 'kms' || service === 'ssm') {
    return { status, type: 'application/x-amz-json-1.1', body: JSON.stringify({ __type: code, message }) };
  }
  const error = `<Code>${code}</Code><Message>${escapeXml(message)}</Message>`;
  const body =
    service === 'ec2'
      ? `<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>${error}</Error></Errors><RequestID>sim</RequestID></Response>`
      : `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>${error}</Error><RequestId>sim</RequestId></ErrorResponse>`;
  return { status, type: 'text/xml', body };
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
