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

function shown(call: SsmCall, { name, value, type, dataType, version }: Parameter): Record<string, unknown> {
  return { Name: name, Value: value, Type: type, DataType: dataType, Version: version, ARN: arnOf(call, name) };
}

export const ssmHandlers: Readonly<Record<string, Handler>> = {
  async GetParameter(call, input) {
    const asked = String(input.Name);
    const name = asked.startsWith('arn:') ? (asked.split(':parameter')[1] ?? '') : asked;
    await authorizeSsm(call.caller, 'GetParameter', arnOf(call, name));
    const parameter = regionOf(call.world, call.caller.account, call.region).parameters.get(name);
    if (parameter === undefined) throw new Refusal('ParameterNotFound', '');
    return { Parameter: shown(call, parameter) };
  },

  async PutParameter(call, input) {
    const {
      Name = '',
      Value = '',
      Type = 'String',
      DataType = 'text',
      Overwrite = false,
    } = input as { Name?: string; Value?: string; Type?: string; DataType?: string; Overwrite?: boolean };
    await authorizeSsm(call.caller, 'PutParameter', arnOf(call, Name));
    const { parameters, images } = regionOf(call.world, call.caller.account, call.region);
    const before = parameters.get(Name);
    if (before !== undefined && !Overwrite)
      throw new Refusal(
        'ParameterAlreadyExists',
        'The parameter already exists. To overwrite this value, set the overwrite option in the request to true.',
      );
    const version = (before?.version ?? 0) + 1;
    // An image is looked up only after the answer; a value that fails is told by an event, and never stands.
    const stands = DataType !== 'aws:ec2:image' || images.has(Value);
    if (stands)
      parameters.set(Name, {
        name: Name,
        value: Value,
        type: Type,
        dataType: DataType,
        version,
        tags: before?.tags ?? [],
      });
    return { Version: version, Tier: 'Standard' };
  },

  async DeleteParameter(call, input) {
    await authorizeSsm(call.caller, 'DeleteParameter', arnOf(call, String(input.Name)));
    const { parameters } = regionOf(call.world, call.caller.account, call.region);
    if (!parameters.delete(String(input.Name))) throw new Refusal('ParameterNotFound', '');
    return {};
  },
};
