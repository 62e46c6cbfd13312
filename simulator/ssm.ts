import { hasAgent, instancesIn } from './ec2/instance.ts';
import type { Rules, Timings } from './hardness.ts';
import { authorizeSsm, type Principal } from './iam.ts';
import { Refusal } from './refusal.ts';
import { keptVersions, type Parameter, regionOf, type World } from './world.ts';

export type SsmCall = Readonly<{ world: World; caller: Principal; region: string; rules: Rules; timings: Timings }>;
type Input = Readonly<Record<string, unknown>>;
type Tags = readonly Parameter['tags'][number][];
type Handler = (call: SsmCall, input: Input) => Promise<Record<string, unknown>>;

function arnOf({ world, caller, region }: SsmCall, name: string): string {
  const partition = world.accounts[caller.account]?.partition ?? 'aws';
  return `arn:${partition}:ssm:${region}:${caller.account}:parameter/${name.replace(/^\//, '')}`;
}

/** https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_Tag.html */
function checkTags(tags: Tags): void {
  for (const [index, { Key = '', Value = '' }] of tags.entries())
    for (const [field, text] of Object.entries({ key: Key, value: Value }))
      if (!/^[\p{L}\p{Z}\p{N}_.:/=+@-]*$/u.test(text))
        throw new Refusal(
          'ValidationException',
          `1 validation error detected: Value '${text}' at 'tags.${index + 1}.member.${field}' failed to satisfy constraint: Member must satisfy regular expression pattern: ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$`,
        );
}

/** Lets a call pass that is about a parameter; conditions see the tags of the request. */
function authorize(
  call: SsmCall,
  action: string,
  { name, tags = [] }: Readonly<{ name: string; tags?: Tags }>,
): Promise<void> {
  checkTags(tags);
  const context = {
    'aws:RequestedRegion': call.region,
    ...(tags.length > 0 && { 'aws:TagKeys': tags.map(({ Key = '' }) => Key) }),
    ...Object.fromEntries(tags.map(({ Key, Value = '' }) => [`aws:RequestTag/${Key}`, Value])),
  };
  return authorizeSsm(call.caller, `ssm:${action}`, { resource: arnOf(call, name), context });
}

/** The words for whatever is wrong with a name, as recorded. */
function invalidName(): Refusal {
  return new Refusal(
    'ValidationException',
    'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_',
  );
}

const namePattern = /^\/?[\w.-]+(?:\/[\w.-]+)*$/;
const isPathWithoutRoot = (name: string) => name.includes('/') && !name.startsWith('/');
const mostLevels = 15;

/** https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html */
function checkReadName(name: string): void {
  if (!namePattern.test(name) || isPathWithoutRoot(name)) throw invalidName();
}

function checkNewName(name: string): void {
  if (/^\/?aws/i.test(name))
    throw new Refusal('AccessDeniedException', `No access to reserved parameter name: ${name}.`);
  if (!namePattern.test(name) || /^\/?ssm/i.test(name)) throw invalidName();
  if (isPathWithoutRoot(name))
    throw new Refusal('ValidationException', 'Parameter name must be a fully qualified name.');
  if (name.split('/').length - 1 > mostLevels)
    throw new Refusal(
      'HierarchyLevelLimitExceededException',
      `A parameter hierarchy can have a maximum of ${mostLevels} levels.`,
    );
}

/** The parameter as it stands by now: AWS looks an AMI up only after its answer. */
function standing(call: SsmCall, name: string): Parameter | undefined {
  const { parameters } = regionOf(call.world, call.caller.account, call.region);
  const parameter = parameters.get(name);
  if (parameter?.coming === undefined || parameter.coming.at > call.world.clock.now())
    return parameter === undefined || parameter.version === 0 ? undefined : parameter;
  const { stands, at: _, ...next } = parameter.coming;
  delete parameter.coming;
  if (stands) replace(parameter, next);
  if (parameter.version > 0) return parameter;
  // It was new, and its value was found wrong: an event tells it, and nothing stays.
  parameters.delete(name);
  return undefined;
}

/** Before a parameter changes: reads show it as it is for a while. */
function keepFormer(call: SsmCall, name: string): void {
  const { formerParameters } = regionOf(call.world, call.caller.account, call.region);
  const value = structuredClone(standing(call, name));
  const until = call.world.clock.now() + call.timings.parametersVisibleAfterSeconds * 1000;
  formerParameters.set(name, [...(formerParameters.get(name) ?? []), { value, until }]);
}

/** The parameter as reads show it by now. */
function seen(call: SsmCall, name: string): Parameter | undefined {
  const { formerParameters } = regionOf(call.world, call.caller.account, call.region);
  const now = call.world.clock.now();
  const former = formerParameters.get(name)?.find(({ until }) => until > now);
  return former === undefined ? standing(call, name) : former.value;
}

/** All parameters as reads show them by now. */
function allSeen(call: SsmCall): Parameter[] {
  const { parameters, formerParameters } = regionOf(call.world, call.caller.account, call.region);
  return [...new Set([...parameters.keys(), ...formerParameters.keys()])].flatMap((name) => seen(call, name) ?? []);
}

function replace(parameter: Parameter, next: Pick<Parameter, 'value' | 'dataType' | 'version'>): void {
  const { value, dataType, version, history } = parameter;
  if (version > 0) history.push({ value, dataType, version });
  history.splice(0, history.length - keptVersions + 1);
  Object.assign(parameter, next);
}

function shown(call: SsmCall, { name, value, type, dataType, version }: Parameter): Record<string, unknown> {
  return { Name: name, Value: value, Type: type, DataType: dataType, Version: version, ARN: arnOf(call, name) };
}

/** The data type of parameters that hold an AMI's ID. */
const imageType = 'aws:ec2:image';

/** So long after its answer does AWS look an AMI up. */
const lookUpMs = 150;

type Put = Readonly<{
  Name?: string;
  Value?: string;
  Type?: string;
  DataType?: string;
  Overwrite?: boolean;
  Tags?: Parameter['tags'];
}>;

function checkPut(put: Put, before: Parameter | undefined): void {
  const { Name = '', Value = '', DataType = 'text', Overwrite = false, Tags = [] } = put;
  if (Overwrite && Tags.length > 0)
    throw new Refusal(
      'ValidationException',
      "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.",
    );
  if (before !== undefined && !Overwrite)
    throw new Refusal(
      'ParameterAlreadyExists',
      'The parameter already exists. To overwrite this value, set the overwrite option in the request to true.',
    );
  checkType(put, before);
  if (!['text', imageType, 'aws:ssm:integration'].includes(DataType))
    throw new Refusal(
      'ValidationException',
      `The following data type is not supported: ${DataType} (Data type names are all lowercase.)`,
    );
  if (DataType === imageType && !/^ami-(?:[0-9a-f]{8}|[0-9a-f]{17})$/.test(Value))
    throw new Refusal('ValidationException', `The value of ${Name} is not the ID of an AMI.`);
}

function checkType({ Type }: Put, before: Parameter | undefined): void {
  if (before === undefined && Type === undefined)
    throw new Refusal('ValidationException', 'A parameter type is required when you create a parameter.');
  if (before !== undefined && Type !== undefined && Type !== before.type)
    throw new Refusal(
      'HierarchyTypeMismatch',
      `The new parameter type ${Type} does not match the existing type ${before.type}.`,
    );
}

/** https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html */
function checkDataType({ DataType = 'text' }: Put, before: Parameter | undefined): void {
  if (before !== undefined && DataType !== before.dataType && [DataType, before.dataType].includes(imageType))
    throw new Refusal(
      'ValidationException',
      `The data type of a parameter can't be changed from ${before.dataType} to ${DataType}.`,
    );
}

/** The oldest of 100 versions makes room for a new one, unless it has a label. */
function checkOldest(before: Parameter | undefined): void {
  const [oldest] = before?.history ?? [];
  if (before === undefined || oldest === undefined || before.history.length + 1 < keptVersions) return;
  if ((oldest.labels ?? []).length > 0)
    throw new Refusal(
      'ParameterMaxVersionLimitExceeded',
      `You attempted to create a new version of ${before.name} by calling the PutParameter API with the overwrite flag. Version ${oldest.version}, the oldest version, can't be deleted because it has a label associated with it. Move the label to another version of the parameter, and try again.`,
    );
}

type Filter = Readonly<{ Key?: string; Option?: string; Values?: readonly string[] }>;

function paged(
  name: string,
  all: readonly unknown[],
  { from, most }: Readonly<{ from: number; most: number }>,
): Record<string, unknown> {
  const end = from + most;
  return { [name]: all.slice(from, end), ...(end < all.length && { NextToken: String(end) }) };
}

/** https://docs.aws.amazon.com/general/latest/gr/ssm.html: a standard parameter's value has 4 KB at most. */
const standardBytes = 4096;

export const ssmHandlers: Readonly<Record<string, Handler>> = {
  async GetParameter(call, input) {
    const asked = String(input.Name);
    const [, name = '', version] = /^(.*?)(?::(\d+))?$/.exec(asked.replace(/^arn:.*?:parameter/, '')) ?? [];
    // AWS's own are read by paths that begin so.
    checkReadName(name);
    await authorize(call, 'GetParameter', { name });
    const parameter = seen(call, name);
    if (parameter === undefined) throw new Refusal('ParameterNotFound', '');
    if (version === undefined) return { Parameter: shown(call, parameter) };
    // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
    const former = [...parameter.history, parameter].find((one) => one.version === Number(version));
    if (former === undefined)
      throw new Refusal(
        'ParameterVersionNotFound',
        `Systems Manager could not find version ${version} of ${name}. Verify the version and try again.`,
      );
    return { Parameter: { ...shown(call, { ...parameter, ...former }), Selector: `:${version}` } };
  },

  // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
  async GetParameters(call, input) {
    const { Names = [] } = input as { Names?: string[] };
    if (Names.length > 10) throw new Refusal('ValidationException', 'At most 10 names can be given.');
    const Parameters: Record<string, unknown>[] = [];
    const InvalidParameters: string[] = [];
    for (const asked of Names) {
      const [name = '', selector] = asked.replace(/^arn:.*?:parameter/, '').split(':');
      await authorize(call, 'GetParameters', { name });
      const parameter = seen(call, name);
      const all: Parameter['history'] = [...(parameter?.history ?? []), ...(parameter ? [parameter] : [])];
      const found = all.findLast(
        ({ version, labels }) =>
          selector === undefined || version === Number(selector) || labels?.includes(selector) === true,
      );
      if (parameter === undefined || found === undefined) InvalidParameters.push(asked);
      else
        Parameters.push({
          ...shown(call, { ...parameter, ...found }),
          ...(selector !== undefined && { Selector: `:${selector}` }),
        });
    }
    return { Parameters, InvalidParameters };
  },

  // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameterHistory.html
  async GetParameterHistory(call, input) {
    const { Name = '', MaxResults = 50, NextToken = '0' } = input as { [name: string]: never };
    checkReadName(Name);
    await authorize(call, 'GetParameterHistory', { name: Name });
    const parameter = standing(call, Name);
    if (parameter === undefined) throw new Refusal('ParameterNotFound', '');
    const all: Parameter['history'] = [...parameter.history, { ...parameter, labels: [] }];
    const end = Number(NextToken) + Number(MaxResults);
    const Parameters = all.slice(Number(NextToken), end).map(({ labels = [], ...version }) => {
      const { ARN: _, ...one } = shown(call, { ...parameter, ...version });
      return { ...one, Labels: labels };
    });
    return { Parameters, ...(end < all.length && { NextToken: String(end) }) };
  },

  // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
  async PutParameter(call, input) {
    const put = input as Put;
    const { Name = '', Value = '', Type, DataType = 'text', Tags = [] } = put;
    checkNewName(Name);
    await authorize(call, 'PutParameter', { name: Name, tags: Tags });
    if (Tags.length > 0) await authorize(call, 'AddTagsToResource', { name: Name, tags: Tags });
    const { parameters, images } = regionOf(call.world, call.caller.account, call.region);
    const before = standing(call, Name);
    checkPut(put, before);
    if (Buffer.byteLength(Value) > standardBytes)
      throw new Refusal(
        'ValidationException',
        `Standard tier parameters support a maximum parameter value of ${standardBytes} characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html`,
      );
    if (call.rules.fixedDataTypes) checkDataType(put, before);
    checkOldest(before);
    keepFormer(call, Name);
    const version = (before?.version ?? 0) + 1;
    const parameter = before ?? {
      name: Name,
      value: '',
      type: Type ?? 'String',
      dataType: DataType,
      version: 0,
      tags: Tags,
      history: [],
    };
    parameters.set(Name, parameter);
    if (DataType === imageType) {
      // The role must be allowed to describe images, and the image must be the account's to see.
      const stands = images.has(Value) && images.get(Value)?.deregisteredAt === undefined;
      parameter.coming = { value: Value, dataType: DataType, version, at: call.world.clock.now() + lookUpMs, stands };
    } else replace(parameter, { value: Value, dataType: DataType, version });
    return { Version: version, Tier: 'Standard' };
  },

  // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html
  async DescribeInstanceInformation(call, input) {
    const { Filters = [] } = input as { Filters?: { Key?: string; Values?: string[] }[] };
    const context = { 'aws:RequestedRegion': call.region };
    await authorizeSsm(call.caller, 'ssm:DescribeInstanceInformation', { resource: '*', context });
    if (Filters.some(({ Key }) => Key !== 'InstanceIds'))
      throw new Refusal('InvalidFilterKey', 'The simulator knows the filter InstanceIds only.');
    const asked = Filters.flatMap(({ Values = [] }) => Values);
    const { timings } = call;
    const now = call.world.clock.now();
    const here = regionOf(call.world, call.caller.account, call.region);
    const InstanceInformationList = instancesIn({ here, timings, now })
      .filter(({ id }) => Filters.length === 0 || asked.includes(id))
      .filter((instance) => hasAgent(instance, now))
      .map(({ id }) => ({ InstanceId: id, PingStatus: 'Online', LastPingDateTime: new Date(now).toISOString() }));
    return { InstanceInformationList };
  },

  async AddTagsToResource(call, input) {
    const { ResourceId = '', Tags = [] } = input as { ResourceId?: string; Tags?: Parameter['tags'] };
    await authorize(call, 'AddTagsToResource', { name: ResourceId, tags: Tags });
    const parameter = regionOf(call.world, call.caller.account, call.region).parameters.get(ResourceId);
    if (parameter === undefined) throw new Refusal('InvalidResourceId', '');
    keepFormer(call, ResourceId);
    const keys = new Set(Tags.map(({ Key }) => Key));
    parameter.tags = [...parameter.tags.filter(({ Key }) => !keys.has(Key)), ...Tags];
    return {};
  },

  // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeParameters.html
  async DescribeParameters(call, input) {
    const { ParameterFilters = [], NextToken = '0' } = input as { ParameterFilters?: Filter[]; NextToken?: string };
    await authorizeSsm(call.caller, 'ssm:DescribeParameters', {
      resource: '*',
      context: { 'aws:RequestedRegion': call.region },
    });
    const tagFilters = ParameterFilters.map(({ Key = '', Option = 'Equals', Values = [] }) => {
      if (!Key.startsWith('tag:') || Option !== 'Equals')
        throw new Refusal('InvalidFilterKey', 'The simulator knows filters by tag only.');
      // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html
      if (Values.length < 1 || Values.length > 50)
        throw new Refusal(
          'ValidationException',
          "1 validation error detected: Value at 'parameterFilters.1.member.values' failed to satisfy constraint: Member must have length less than or equal to 50, and greater than or equal to 1",
        );
      return { key: Key.slice('tag:'.length), values: Values };
    });
    const fitting = allSeen(call)
      .filter(({ tags }) =>
        tagFilters.every(({ key, values }) => tags.some((tag) => tag.Key === key && values.includes(tag.Value ?? ''))),
      )
      .map((parameter) => {
        const { Value: _, ...told } = shown(call, parameter);
        return told;
      });
    return paged('Parameters', fitting, { from: Number(NextToken), most: 50 });
  },

  // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html
  async GetParametersByPath(call, input) {
    const { Path = '', NextToken = '0' } = input as { Path?: string; NextToken?: string };
    await authorize(call, 'GetParametersByPath', { name: Path });
    const under = `${Path.replace(/\/$/, '')}/`;
    const fitting = allSeen(call)
      .filter(({ name }) => name.startsWith(under) && !name.slice(under.length).includes('/'))
      .toSorted((one, other) => (one.name < other.name ? -1 : 1))
      .map((parameter) => shown(call, parameter));
    return paged('Parameters', fitting, { from: Number(NextToken), most: 10 });
  },

  // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameters.html
  async DeleteParameters(call, input) {
    const { Names = [] } = input as { Names?: string[] };
    if (Names.length > 10) throw new Refusal('ValidationException', 'At most 10 names can be given.');
    for (const name of Names) await authorize(call, 'DeleteParameters', { name });
    const { parameters } = regionOf(call.world, call.caller.account, call.region);
    const [DeletedParameters, InvalidParameters]: [string[], string[]] = [[], []];
    for (const name of Names) keepFormer(call, name);
    for (const name of Names) (parameters.delete(name) ? DeletedParameters : InvalidParameters).push(name);
    return { DeletedParameters, InvalidParameters };
  },

  async DeleteParameter(call, input) {
    const name = String(input.Name);
    await authorize(call, 'DeleteParameter', { name });
    const { parameters } = regionOf(call.world, call.caller.account, call.region);
    keepFormer(call, name);
    if (!parameters.delete(name)) throw new Refusal('ParameterNotFound', '');
    return {};
  },
};
