import { authorizeSsm, type Principal } from './iam.ts';
import { Refusal } from './refusal.ts';
import { type Parameter, regionOf, type World } from './world.ts';

export type SsmCall = Readonly<{ world: World; caller: Principal; region: string }>;
type Input = Readonly<Record<string, unknown>>;
type Handler = (call: SsmCall, input: Input) => Promise<Record<string, unknown>>;

function arnOf({ world, caller, region }: SsmCall, name: string): string {
  const partition = world.accounts[caller.account]?.partition ?? 'aws';
  return `arn:${partition}:ssm:${region}:${caller.account}:parameter/${name.replace(/^\//, '')}`;
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

/** https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html */
const keptVersions = 100;

function replace(parameter: Parameter, next: Pick<Parameter, 'value' | 'dataType' | 'version'>): void {
  const { value, dataType, version, history } = parameter;
  if (version > 0) history.push({ value, dataType, version });
  history.splice(0, history.length - keptVersions + 1);
  Object.assign(parameter, next);
}

function shown(call: SsmCall, { name, value, type, dataType, version }: Parameter): Record<string, unknown> {
  return { Name: name, Value: value, Type: type, DataType: dataType, Version: version, ARN: arnOf(call, name) };
}

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

export const ssmHandlers: Readonly<Record<string, Handler>> = {
  async GetParameter(call, input) {
    const asked = String(input.Name);
    const [, name = '', version] = /^(.*?)(?::(\d+))?$/.exec(asked.replace(/^arn:.*?:parameter/, '')) ?? [];
    await authorizeSsm(call.caller, 'GetParameter', arnOf(call, name));
    const parameter = standing(call, name);
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

  // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
  async PutParameter(call, input) {
    const { Name = '', Value = '', Type, DataType = 'text', Overwrite = false, Tags = [] } = input as Put;
    await authorizeSsm(call.caller, 'PutParameter', arnOf(call, Name));
    if (Tags.length > 0) await authorizeSsm(call.caller, 'AddTagsToResource', arnOf(call, Name));
    if (/^\/?(aws|ssm)/i.test(Name))
      throw new Refusal('AccessDeniedException', `No access to reserved parameter name: ${Name}.`);
    if (Overwrite && Tags.length > 0)
      throw new Refusal(
        'ValidationException',
        "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.",
      );
    const { parameters, images } = regionOf(call.world, call.caller.account, call.region);
    const before = standing(call, Name);
    if (before !== undefined && !Overwrite)
      throw new Refusal(
        'ParameterAlreadyExists',
        'The parameter already exists. To overwrite this value, set the overwrite option in the request to true.',
      );
    if (before === undefined && Type === undefined)
      throw new Refusal('ValidationException', 'A parameter type is required when you create a parameter.');
    if (before !== undefined && Type !== undefined && Type !== before.type)
      throw new Refusal(
        'HierarchyTypeMismatch',
        `The new parameter type ${Type} does not match the existing type ${before.type}.`,
      );
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
    if (DataType === 'aws:ec2:image') {
      // The role must be allowed to describe images, and the image must be the account's to see.
      const stands = images.has(Value) && images.get(Value)?.deregisteredAt === undefined;
      parameter.coming = { value: Value, dataType: DataType, version, at: call.world.clock.now() + lookUpMs, stands };
    } else replace(parameter, { value: Value, dataType: DataType, version });
    return { Version: version, Tier: 'Standard' };
  },

  async AddTagsToResource(call, input) {
    const { ResourceId = '', Tags = [] } = input as { ResourceId?: string; Tags?: Parameter['tags'] };
    await authorizeSsm(call.caller, 'AddTagsToResource', arnOf(call, ResourceId));
    const parameter = regionOf(call.world, call.caller.account, call.region).parameters.get(ResourceId);
    if (parameter === undefined) throw new Refusal('InvalidResourceId', '');
    const keys = new Set(Tags.map(({ Key }) => Key));
    parameter.tags = [...parameter.tags.filter(({ Key }) => !keys.has(Key)), ...Tags];
    return {};
  },

  async DeleteParameter(call, input) {
    await authorizeSsm(call.caller, 'DeleteParameter', arnOf(call, String(input.Name)));
    const { parameters } = regionOf(call.world, call.caller.account, call.region);
    if (!parameters.delete(String(input.Name))) throw new Refusal('ParameterNotFound', '');
    return {};
  },
};
