import type {
  CreateLaunchTemplateVersionRequest,
  DeleteLaunchTemplateVersionsRequest,
  DescribeLaunchTemplateVersionsRequest,
  LaunchTemplateErrorCode,
  LaunchTemplateVersion,
  ModifyLaunchTemplateRequest,
  RequestLaunchTemplateData,
} from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import type { LaunchTemplate, TemplateVersion } from '../world.ts';
import { arnOf, authorize, authorizeOn, type Ec2Call, type Handler } from './call.ts';
import { checkFilters, type Filterable, matches, pageOf } from './filters.ts';

/* https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-launch-templates.html */

/** How a call names a template: by its ID or its name, not by both. */
type Naming = Readonly<{ LaunchTemplateId?: string | undefined; LaunchTemplateName?: string | undefined }>;

function findTemplate(call: Ec2Call, { LaunchTemplateId: id, LaunchTemplateName: name }: Naming): LaunchTemplate {
  if ((id === undefined) === (name === undefined))
    throw new Refusal(
      'MissingParameter',
      'Either a launch template ID or a launch template name must be specified, but not both.',
    );
  if (id !== undefined && !/^lt-([0-9a-f]{8}|[0-9a-f]{17})$/.test(id))
    throw new Refusal('InvalidLaunchTemplateId.Malformed', `Invalid id: "${id}" (expecting "lt-...")`);
  const found = [...call.here.launchTemplates.values()].find((one) => one.id === id || one.name === name);
  if (found !== undefined) return found;
  if (id !== undefined)
    throw new Refusal(
      'InvalidLaunchTemplateId.NotFound',
      `The specified launch template, with template ID ${id}, does not exist.`,
    );
  throw new Refusal(
    'InvalidLaunchTemplateName.NotFoundException',
    `The specified launch template, with template name ${name}, does not exist.`,
  );
}

function notFound({ id }: LaunchTemplate, version: string): Refusal {
  return new Refusal(
    'InvalidLaunchTemplateId.VersionNotFound',
    `Could not find the specified version ${version} for the launch template with ID ${id}.`,
  );
}

/** Those of a template's versions that are seen by now. */
function seen(call: Ec2Call, { versions }: LaunchTemplate): TemplateVersion[] {
  return versions.filter(({ visibleAt }) => visibleAt <= call.world.clock.now());
}

/** The seen version that a number, `$Latest` or `$Default` names. */
function versionOf(call: Ec2Call, template: LaunchTemplate, version: string): TemplateVersion {
  const all = seen(call, template);
  const found =
    version === '$Latest'
      ? all.at(-1)
      : all.find(({ number }) => number === (version === '$Default' ? template.defaultVersion : Number(version)));
  if (found === undefined) throw notFound(template, version);
  return found;
}

const templateFilters: Filterable<LaunchTemplateVersion> = {
  complete: false,
  fields: {
    'image-id': ({ LaunchTemplateData }) => [LaunchTemplateData?.ImageId],
    'is-default-version': ({ DefaultVersion }) => [String(DefaultVersion)],
  },
};

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLaunchTemplateVersions.html */
export const describeLaunchTemplateVersions: Handler<DescribeLaunchTemplateVersionsRequest> = async (call, input) => {
  const { Versions = [], Filters, LaunchTemplateId, LaunchTemplateName } = input;
  checkFilters(Filters, templateFilters);
  await authorize(call, 'DescribeLaunchTemplateVersions', { dryRun: input.DryRun });
  const ofAll = LaunchTemplateId === undefined && LaunchTemplateName === undefined;
  const aliases = Versions.length > 0 && Versions.every((version) => version === '$Latest' || version === '$Default');
  if (ofAll && !aliases)
    throw new Refusal('MissingParameter', 'Either a launch template ID or a launch template name must be specified.');
  const templates = ofAll ? [...call.here.launchTemplates.values()] : [findTemplate(call, input)];
  const found = templates.flatMap((template) => {
    const asked = Versions.map((version) => versionOf(call, template, version));
    // Whether one that two of them name comes twice is told nowhere: once is what a list of versions is.
    const listed = Versions.length === 0 ? seen(call, template) : [...new Set(asked)];
    return listed.map((one) => shown(template, one));
  });
  const fitting = found.filter((one) => matches(one, Filters, templateFilters));
  const { items, more } = pageOf(call, fitting, input);
  return { LaunchTemplateVersions: items, ...more };
};

function shown({ id, name, defaultVersion }: LaunchTemplate, version: TemplateVersion): LaunchTemplateVersion {
  const { number, description, data } = version;
  return {
    LaunchTemplateId: id,
    LaunchTemplateName: name,
    VersionNumber: number,
    ...(description !== '' && { VersionDescription: description }),
    DefaultVersion: number === defaultVersion,
    LaunchTemplateData: data as NonNullable<LaunchTemplateVersion['LaunchTemplateData']>,
  };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/launch-template-restrictions.html */
const maxVersions = 10_000;

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplateVersion.html */
export const createLaunchTemplateVersion: Handler<CreateLaunchTemplateVersionRequest> = async (call, input) => {
  const { SourceVersion, VersionDescription = '', LaunchTemplateData, ClientToken } = input;
  if (LaunchTemplateData === undefined)
    throw new Refusal('MissingParameter', 'The request must contain the parameter LaunchTemplateData');
  if (VersionDescription.length > 255)
    throw new Refusal('InvalidParameterValue', 'The version description can have at most 255 characters.');
  const template = await authorizeOnTemplate(call, 'CreateLaunchTemplateVersion', input);
  const request = JSON.stringify([SourceVersion, VersionDescription, LaunchTemplateData]);
  const known = ClientToken === undefined ? undefined : template.tokens.get(ClientToken);
  if (known !== undefined && known.request !== request)
    throw new Refusal(
      'IdempotentParameterMismatch',
      'Client token already used before with different request parameters.',
    );
  const before = template.versions.find(({ number }) => number === known?.number);
  if (before !== undefined) return { LaunchTemplateVersion: shown(template, before) };
  // That there is a limit is documented; its code and words are not.
  if (template.versions.length >= maxVersions)
    throw new Refusal(
      'LaunchTemplateVersionLimitExceeded',
      `You have reached the maximum number of versions (${maxVersions}) for the launch template ${template.id}.`,
    );
  const source = SourceVersion === undefined ? undefined : versionOf(call, template, SourceVersion);
  template.latest += 1;
  const made: TemplateVersion = {
    number: template.latest,
    description: VersionDescription,
    data: { ...(source && inherited(source.data)), ...LaunchTemplateData },
    visibleAt: call.world.clock.now() + call.timings.visibleAfterSeconds * 1000,
  };
  template.versions.push(made);
  if (ClientToken !== undefined) template.tokens.set(ClientToken, { number: made.number, request });
  return { LaunchTemplateVersion: shown(template, made) };
};

/** "Snapshots applied to the block device mapping are ignored when creating a new version" */
function inherited({ BlockDeviceMappings, ...data }: RequestLaunchTemplateData): RequestLaunchTemplateData {
  if (BlockDeviceMappings === undefined) return data;
  return {
    ...data,
    BlockDeviceMappings: BlockDeviceMappings.map(({ Ebs, ...mapping }) => {
      if (Ebs === undefined) return mapping;
      const { SnapshotId: _, ...volume } = Ebs;
      return { ...mapping, Ebs: volume };
    }),
  };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyLaunchTemplate.html */
export const modifyLaunchTemplate: Handler<ModifyLaunchTemplateRequest> = async (call, input) => {
  const { DefaultVersion } = input;
  const template = await authorizeOnTemplate(call, 'ModifyLaunchTemplate', input);
  if (DefaultVersion === undefined)
    throw new Refusal('MissingParameter', 'The request must contain the parameter DefaultVersion');
  const { number } = versionOf(call, template, DefaultVersion);
  template.defaultVersion = number;
  const { id, name, latest } = template;
  return {
    LaunchTemplate: {
      LaunchTemplateId: id,
      LaunchTemplateName: name,
      DefaultVersionNumber: number,
      LatestVersionNumber: latest,
    },
  };
};

/** Each version has an answer of its own. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteLaunchTemplateVersions.html */
export const deleteLaunchTemplateVersions: Handler<DeleteLaunchTemplateVersionsRequest> = async (call, input) => {
  const { Versions = [] } = input;
  const template = await authorizeOnTemplate(call, 'DeleteLaunchTemplateVersions', input);
  if (Versions.length > 200)
    throw new Refusal('InvalidParameterValue', 'At most 200 versions can be deleted in a request.');
  const { id, name } = template;
  const answers = Versions.map((version) => {
    const error = deletionError(call, template, Number(version));
    if (error === undefined) template.versions = template.versions.filter(({ number }) => number !== Number(version));
    return {
      LaunchTemplateId: id,
      LaunchTemplateName: name,
      VersionNumber: Number(version),
      ...(error && { ResponseError: error }),
    };
  });
  return {
    SuccessfullyDeletedLaunchTemplateVersions: answers.filter(({ ResponseError }) => ResponseError === undefined),
    UnsuccessfullyDeletedLaunchTemplateVersions: answers.filter(({ ResponseError }) => ResponseError !== undefined),
  };
};

function deletionError(
  call: Ec2Call,
  template: LaunchTemplate,
  version: number,
): { Code: LaunchTemplateErrorCode; Message: string } | undefined {
  if (version === template.defaultVersion)
    return { Code: 'unexpectedError', Message: 'The default version of a launch template cannot be deleted.' };
  if (seen(call, template).some(({ number }) => number === version)) return undefined;
  return { Code: 'launchTemplateVersionDoesNotExist', Message: notFound(template, String(version)).message };
}

async function authorizeOnTemplate(
  call: Ec2Call,
  action: string,
  input: Naming & Readonly<{ DryRun?: boolean | undefined }>,
): Promise<LaunchTemplate> {
  const named = [...call.here.launchTemplates.values()].find(({ name }) => name === input.LaunchTemplateName);
  return authorizeOn(call, action, {
    resources: [arnOf(call, input.LaunchTemplateId ?? named?.id ?? 'lt-*')],
    dryRun: input.DryRun,
    find: () => findTemplate(call, input),
  });
}
