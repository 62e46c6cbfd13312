import * as autoScalingModule from '@aws-sdk/client-auto-scaling';
import * as ec2Module from '@aws-sdk/client-ec2';
import * as iamModule from '@aws-sdk/client-iam';
import * as kmsModule from '@aws-sdk/client-kms';
import * as ssmModule from '@aws-sdk/client-ssm';
import * as stsModule from '@aws-sdk/client-sts';
import { autoScalingHandlers } from './auto-scaling.ts';
import { getImageAncestry } from './ec2/ancestry.ts';
import type { Ec2Call, Handler } from './ec2/call.ts';
import { copyImage } from './ec2/copy-image.ts';
import { createImage } from './ec2/create-image.ts';
import * as deregister from './ec2/deregister.ts';
import { describeImages } from './ec2/describe-images.ts';
import * as attributes from './ec2/image-attribute.ts';
import * as instanceTypes from './ec2/instance-types.ts';
import * as instances from './ec2/instances.ts';
import * as launchTemplates from './ec2/launch-templates.ts';
import * as lifecycle from './ec2/lifecycle.ts';
import * as network from './ec2/network.ts';
import { registerImage } from './ec2/register.ts';
import { runInstances } from './ec2/run-instances.ts';
import { getImageFindings } from './ec2/scan.ts';
import * as settings from './ec2/settings.ts';
import * as snapshots from './ec2/snapshots.ts';
import * as tags from './ec2/tags.ts';
import * as usageReports from './ec2/usage-reports.ts';
import * as volumes from './ec2/volumes.ts';
import type { Rules, Timings } from './hardness.ts';
import type { Principal } from './iam.ts';
import { iamHandlers } from './instance-profiles.ts';
import { kmsHandlers } from './kms.ts';
import { Refusal } from './refusal.ts';
import type { Signature } from './sessions.ts';
import { ssmHandlers } from './ssm.ts';
import { assumeRole, assumeRoleWithWebIdentity, getCallerIdentity, type Sts } from './sts.ts';
import { checkJson, escapeXml, type Operation, operationOf, parseForm, serializeOutput } from './wire.ts';
import { type Failure, regionOf, type World } from './world.ts';

/*
 * The services: which operation a request asks for, its input read and its output written as the service's protocol
 * has them.
 */

const ec2Handlers: Readonly<Record<string, Handler<never>>> = {
  CopyImage: copyImage,
  CreateImage: createImage,
  RegisterImage: registerImage,
  DeregisterImage: deregister.deregisterImage,
  ListImagesInRecycleBin: deregister.listImagesInRecycleBin,
  RestoreImageFromRecycleBin: deregister.restoreImageFromRecycleBin,
  DescribeImages: describeImages,
  DescribeImageAttribute: attributes.describeImageAttribute,
  ModifyImageAttribute: attributes.modifyImageAttribute,
  ResetImageAttribute: attributes.resetImageAttribute,
  CopySnapshot: snapshots.copySnapshot,
  DeleteSnapshot: snapshots.deleteSnapshot,
  DescribeSnapshots: snapshots.describeSnapshots,
  DescribeLockedSnapshots: snapshots.describeLockedSnapshots,
  DescribeSnapshotAttribute: snapshots.describeSnapshotAttribute,
  ModifySnapshotAttribute: snapshots.modifySnapshotAttribute,
  ResetSnapshotAttribute: snapshots.resetSnapshotAttribute,
  CreateTags: tags.createTags,
  DeleteTags: tags.deleteTags,
  DisableImage: lifecycle.disableImage,
  EnableImage: lifecycle.enableImage,
  EnableImageDeprecation: lifecycle.enableImageDeprecation,
  DisableImageDeprecation: lifecycle.disableImageDeprecation,
  EnableImageDeregistrationProtection: lifecycle.enableImageDeregistrationProtection,
  DisableImageDeregistrationProtection: lifecycle.disableImageDeregistrationProtection,
  ReplaceImageInstanceTypeSpecification: lifecycle.replaceImageInstanceTypeSpecification,
  EnableFastSnapshotRestores: lifecycle.enableFastSnapshotRestores,
  DisableFastSnapshotRestores: lifecycle.disableFastSnapshotRestores,
  DescribeFastSnapshotRestores: lifecycle.describeFastSnapshotRestores,
  DescribeAvailabilityZones: lifecycle.describeAvailabilityZones,
  DescribeLaunchTemplateVersions: launchTemplates.describeLaunchTemplateVersions,
  CreateLaunchTemplateVersion: launchTemplates.createLaunchTemplateVersion,
  ModifyLaunchTemplate: launchTemplates.modifyLaunchTemplate,
  DeleteLaunchTemplateVersions: launchTemplates.deleteLaunchTemplateVersions,
  DescribeImageReferences: lifecycle.describeImageReferences,
  CreateImageUsageReport: usageReports.createImageUsageReport,
  DescribeImageUsageReports: usageReports.describeImageUsageReports,
  DescribeImageUsageReportEntries: usageReports.describeImageUsageReportEntries,
  DeleteImageUsageReport: usageReports.deleteImageUsageReport,
  DescribeRegions: settings.describeRegions,
  RunInstances: runInstances,
  TerminateInstances: instances.terminateInstances,
  DescribeInstances: instances.describeInstances,
  DescribeInstanceStatus: instances.describeInstanceStatus,
  GetConsoleOutput: instances.getConsoleOutput,
  GetConsoleScreenshot: instances.getConsoleScreenshot,
  DescribeInstanceTypes: instanceTypes.describeInstanceTypes,
  DescribeInstanceTypeOfferings: instanceTypes.describeInstanceTypeOfferings,
  DescribeSubnets: network.describeSubnets,
  DescribeSecurityGroups: network.describeSecurityGroups,
  CreateVolume: volumes.createVolume,
  DeleteVolume: volumes.deleteVolume,
  DescribeVolumes: volumes.describeVolumes,
  CreateSnapshot: volumes.createSnapshot,
  GetImageAncestry: getImageAncestry,
  GetImageFindings: getImageFindings,
  GetEbsEncryptionByDefault: settings.getEbsEncryptionByDefault,
  GetEbsDefaultKmsKeyId: settings.getEbsDefaultKmsKeyId,
  GetSnapshotBlockPublicAccessState: settings.getSnapshotBlockPublicAccessState,
  GetImageBlockPublicAccessState: settings.getImageBlockPublicAccessState,
  GetAllowedImagesSettings: settings.getAllowedImagesSettings,
};

export type Answer = Readonly<{ status: number; type: string; body: string }>;

/** What a service does with one request: its operation, the parsed input, and the run of it. */
type Prepared = Readonly<{ input: Record<string, unknown>; run: () => Promise<Answer> }>;

/** What the services work on, and how. */
export type Services = Readonly<{
  world: World;
  sts: Sts;
  timings: Timings;
  rules: Rules;
  kmsNeeds: Ec2Call['kmsNeeds'];
}>;

export type ServiceCall = Readonly<{
  service: string;
  action: string;
  form: URLSearchParams;
  body: string;
  signature: Signature | undefined;
  /** Copies that the call begins end in error so. */
  failCopies: Failure | undefined;
}>;

/** A call whose signature is known. */
type SignedCall = ServiceCall & Readonly<{ caller: Principal; region: string }>;

export function prepare(services: Services, call: ServiceCall): Prepared {
  const { service, signature } = call;
  if (service === 'sts') return prepareSts(services, call);
  if (signature === undefined) throw new Refusal('MissingAuthenticationToken', 'Missing Authentication Token', 403);
  const signed = { ...call, caller: signature.session.principal, region: signature.region };
  requireRegion(services.world, signed);
  if (service === 'ec2') return prepareEc2(services, signed);
  if (service === 'autoscaling' || service === 'iam') return prepareQuery(services, signed, queryServices[service]);
  if (service === 'kms' || service === 'ssm') return prepareJson(services, signed);
  throw new Refusal('UnknownService', `the simulator has no service ${service}`);
}

/** Regions that the account hasn't enabled know none of its credentials. */
function requireRegion(world: World, { caller, region, service }: SignedCall): void {
  if (world.accounts[caller.account]?.notOptedIn.has(region) !== true) return;
  if (service === 'ec2')
    throw new Refusal('AuthFailure', 'AWS was not able to validate the provided access credentials', 401);
  throw new Refusal('UnrecognizedClientException', 'The security token included in the request is invalid.');
}

function prepareSts({ sts }: Services, { action, form, signature }: ServiceCall): Prepared {
  const operation = requireOperation(stsModule, action, 'InvalidAction');
  const input = parseForm(operation, form, 'query');
  return {
    input,
    run: async () => {
      const output = await runSts(sts, { action, input, signature });
      const result = serializeOutput(operation, output);
      return xml(
        `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result>${result}</${action}Result><ResponseMetadata><RequestId>sim</RequestId></ResponseMetadata></${action}Response>`,
      );
    },
  };
}

async function runSts(
  sts: Sts,
  {
    action,
    input,
    signature,
  }: Pick<ServiceCall, 'action' | 'signature'> & Readonly<{ input: Record<string, unknown> }>,
): Promise<Record<string, unknown>> {
  if (action === 'AssumeRoleWithWebIdentity') return assumeRoleWithWebIdentity(sts, input);
  if (signature === undefined) throw new Refusal('MissingAuthenticationToken', 'Missing Authentication Token', 403);
  if (action === 'AssumeRole') return assumeRole(sts, signature, input);
  if (action === 'GetCallerIdentity') return getCallerIdentity(signature.session);
  throw new Refusal('InvalidAction', `Could not find operation ${action}`);
}

function prepareEc2({ world, timings, rules, kmsNeeds }: Services, signed: SignedCall): Prepared {
  const { action, form, caller, region, failCopies } = signed;
  const operation = requireOperation(ec2Module, action, 'InvalidAction');
  const handler = ec2Handlers[action];
  if (handler === undefined)
    throw new Refusal('InvalidAction', `The action ${action} is not valid for this web service.`);
  const input = parseForm(operation, form, 'ec2');
  const here = regionOf(world, caller.account, region);
  const call: Ec2Call = { world, caller, region, timings, rules, kmsNeeds, failCopies, here };
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

const queryServices = {
  autoscaling: {
    module: autoScalingModule,
    handlers: autoScalingHandlers,
    namespace: 'http://autoscaling.amazonaws.com/doc/2011-01-01/',
  },
  iam: { module: iamModule, handlers: iamHandlers, namespace: 'https://iam.amazonaws.com/doc/2010-05-08/' },
};

type QueryService = (typeof queryServices)[keyof typeof queryServices];

function prepareQuery(
  { world }: Services,
  { action, form, caller, region }: SignedCall,
  { module, handlers, namespace }: QueryService,
): Prepared {
  const operation = requireOperation(module, action, 'InvalidAction');
  const input = parseForm(operation, form, 'query');
  const handler = handlers[action];
  if (handler === undefined) throw new Refusal('InvalidAction', `Could not find operation ${action}`);
  return {
    input,
    run: async () => {
      const output = await handler({ world, caller, region, here: regionOf(world, caller.account, region) }, input);
      const result = serializeOutput(operation, output);
      return xml(
        `<${action}Response xmlns="${namespace}"><${action}Result>${result}</${action}Result><ResponseMetadata><RequestId>sim</RequestId></ResponseMetadata></${action}Response>`,
      );
    },
  };
}

function prepareJson(services: Services, signed: SignedCall): Prepared {
  const { service, action, body } = signed;
  const operation = requireOperation(service === 'kms' ? kmsModule : ssmModule, action, 'UnknownOperationException');
  const input = JSON.parse(body) as Record<string, unknown>;
  checkJson(operation, input);
  const run = async (): Promise<Answer> => {
    const output = await runJson(services, signed, input);
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
  { world, timings, rules }: Services,
  { service, action, caller, region }: SignedCall,
  input: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const kms = kmsHandlers[action];
  const ssm = ssmHandlers[action];
  if (service === 'kms' && kms !== undefined) return kms({ world, caller, region, timings }, input);
  if (service === 'ssm' && ssm !== undefined) return ssm({ world, caller, region, rules, timings }, input);
  throw new Refusal('UnknownOperationException', `Unknown operation ${action}`);
}

function requireOperation(module: object, action: string, code: string): Operation {
  const operation = operationOf(module as Record<string, unknown>, action);
  if (operation === undefined) throw new Refusal(code, `The action ${action} is not valid for this web service.`);
  return operation;
}

function xml(body: string): Answer {
  return { status: 200, type: 'text/xml;charset=UTF-8', body };
}

/** A refusal in its service's format: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
export function refusalAnswer({ code, message, status }: Refusal, service: string): Answer {
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
