import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import {
  type AccountScenario,
  keyArnOf,
  keyIdOf,
  partitionOf,
  type RoleScenario,
  type Scenario,
} from '../simulator/scenario.ts';
import type { PolicyDocument } from '../simulator/world.ts';

/*
 * CloudFormation, as far as templates/ uses it: a template with its parameters becomes an account's roles, keys and OIDC
 * provider. What AWS refuses of a template is refused here.
 */

type Value = string | number | boolean | Value[] | { [key: string]: Value };
type Declared = Readonly<{
  Type: 'String' | 'Number' | 'CommaDelimitedList';
  Default?: string | number;
  AllowedValues?: readonly string[];
  MinValue?: number;
  MaxValue?: number;
  AllowedPattern?: string;
}>;
type Part = Readonly<{ Condition?: string }>;
type Template = Readonly<{
  Parameters: Readonly<Record<string, Declared>>;
  Conditions?: Readonly<Record<string, Value>>;
  Resources: Readonly<Record<string, Part & Readonly<{ Type: string; Properties: Value }>>>;
  Outputs?: Readonly<Record<string, Part & Readonly<{ Value: Value }>>>;
}>;

export type Parameters = Readonly<Record<string, string>>;

/** `file` is of templates/. */
export type Deployment = Readonly<{ file: string; account: string; region: string; parameters: Parameters }>;

type Named = Readonly<{ PolicyName: string; PolicyDocument: PolicyDocument }>;
type Managed = Readonly<{ ManagedPolicyName?: string; Roles?: readonly string[]; PolicyDocument: PolicyDocument }>;

/** The properties of a stack's resources, by type. */
export type Stack = Readonly<{
  oidcProvider?: Readonly<{ Url: string; ClientIdList: readonly string[] }>;
  role?: Readonly<{
    RoleName: string;
    MaxSessionDuration: number;
    AssumeRolePolicyDocument: PolicyDocument;
    Policies: readonly Named[];
  }>;
  key?: Readonly<{ KeyPolicy: PolicyDocument }>;
  alias?: Readonly<{ AliasName: string }>;
  controls?: Readonly<{ TargetIds: readonly string[]; Content: PolicyDocument }>;
  managed: readonly Managed[];
  outputs: Readonly<Record<string, string>>;
}>;

/** What a stack has one of. */
const kinds: Readonly<Record<string, Exclude<keyof Stack, 'managed' | 'outputs'>>> = {
  'AWS::IAM::OIDCProvider': 'oidcProvider',
  'AWS::IAM::Role': 'role',
  'AWS::KMS::Key': 'key',
  'AWS::KMS::Alias': 'alias',
  'AWS::Organizations::Policy': 'controls',
};

export const readTemplate = (path: string) => readFileSync(new URL(`../templates/${path}`, import.meta.url), 'utf8');

/** What a parameter comes to; a list is one, however many there are. @throws where CloudFormation refuses it */
function parameterOf(name: string, declared: Declared, given: string | undefined): string | number | string[] {
  const value = given ?? declared.Default;
  if (value === undefined) throw new Error(`Parameters: [${name}] must have values`);
  const {
    Type,
    AllowedValues,
    AllowedPattern = '',
    MinValue = Number.NEGATIVE_INFINITY,
    MaxValue = Number.POSITIVE_INFINITY,
  } = declared;
  if (AllowedValues?.includes(String(value)) === false)
    throw new Error(`Parameter '${name}' must be one of AllowedValues: ${value}`);
  const list = String(value)
    .split(',')
    .map((one) => one.trim());
  if ((Type === 'CommaDelimitedList' ? list : [String(value)]).some((one) => !new RegExp(AllowedPattern).test(one)))
    throw new Error(`Parameter '${name}' must match pattern ${AllowedPattern}: ${value}`);
  if (Type !== 'Number') return Type === 'String' ? String(value) : list;
  const number = Number(value);
  if (!(number >= MinValue && number <= MaxValue))
    throw new Error(`Parameter '${name}' must be a number between ${MinValue} and ${MaxValue}: ${value}`);
  return number;
}

function parametersOf({ Parameters: declared }: Template, given: Parameters): Record<string, unknown> {
  const unknown = Object.keys(given).filter((name) => !(name in declared));
  if (unknown.length > 0) throw new Error(`Parameters: [${unknown.join(', ')}] do not exist in the template`);
  return Object.fromEntries(Object.entries(declared).map(([name, one]) => [name, parameterOf(name, one, given[name])]));
}

const absent = Symbol('AWS::NoValue');

/** Gives each value of a template with its intrinsic functions done. */
function openEvaluation({ Conditions = {} }: Template, known: Readonly<Record<string, unknown>>) {
  const refer = (name: string): unknown => {
    if (!(name in known)) throw new Error(`Unresolved resource dependencies [${name}]`);
    return known[name];
  };
  const textOf = (name: string): string => {
    const value = refer(name);
    if (Array.isArray(value)) throw new Error(`Fn::Sub takes no list: ${name}`);
    return String(value);
  };
  const conditions: Readonly<Record<string, (inner: Value) => boolean>> = {
    'Fn::Not': (inner) => !holds((inner as Value[])[0] ?? ''),
    'Fn::Equals': (inner) => evaluate((inner as Value[])[0] ?? '') === evaluate((inner as Value[])[1] ?? ''),
    Condition: (inner) => isMet(String(inner)),
  };
  function holds(condition: Value): boolean {
    const [[how = '', inner = ''] = []] = Object.entries(condition);
    const decide = conditions[how];
    if (decide === undefined) throw new Error(`no condition ${how}`);
    return decide(inner);
  }
  const isMet = (name: string) => holds(Conditions[name] ?? '');
  const intrinsics: Readonly<Record<string, (inner: Value) => unknown>> = {
    Ref: (inner) => (inner === 'AWS::NoValue' ? absent : refer(String(inner))),
    'Fn::Sub': (inner) => String(inner).replaceAll(/\$\{([^}]+)\}/g, (_, name: string) => textOf(name)),
    'Fn::GetAtt': (inner) => refer((inner as string[]).join('.')),
    'Fn::Join': (inner) => [evaluate((inner as Value[])[1] ?? '')].flat().join(String((inner as Value[])[0])),
    'Fn::Split': (inner) => String(evaluate((inner as Value[])[1] ?? '')).split(String((inner as Value[])[0])),
    'Fn::If': (inner) => {
      const [name, yes = '', no = ''] = inner as Value[];
      return evaluate(isMet(String(name)) ? yes : no);
    },
  };
  function evaluate(value: Value): unknown {
    if (Array.isArray(value)) return value.map(evaluate).filter((one) => one !== absent);
    if (typeof value !== 'object') return value;
    const [[name = '', inner = ''] = []] = Object.entries(value);
    const intrinsic = intrinsics[name];
    if (intrinsic !== undefined) return intrinsic(inner);
    const evaluated = Object.entries(value).map(([key, one]) => [key, evaluate(one)] as const);
    return Object.fromEntries(evaluated.filter(([, one]) => one !== absent));
  }
  return { evaluate, isThere: ({ Condition }: Part) => Condition === undefined || isMet(Condition) };
}

/** What CloudFormation makes of a template. @throws where it refuses the template or a parameter */
export function stackOf({ file, account, region, parameters }: Deployment): Stack {
  const text = readTemplate(file);
  // A template that isn't on S3: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
  if (Buffer.byteLength(text) > 51_200) throw new Error(`${file} must be no longer than 51,200 bytes`);
  const template = parse(text) as Template;
  const given = parametersOf(template, parameters);
  const partition = partitionOf(region);
  const alias = String(given.KeyAlias);
  const name = file === 'target-account.yaml' ? `${given.RoleName}-${region}` : given.RoleName;
  const { evaluate, isThere } = openEvaluation(template, {
    ...given,
    'AWS::Region': region,
    'AWS::AccountId': account,
    'AWS::Partition': partition,
    Key: keyIdOf(account, region, alias),
    'Key.Arn': keyArnOf(account, region, alias),
    Role: name,
    'Role.Arn': `arn:${partition}:iam::${account}:role/${name}`,
    Policy: `arn:${partition}:iam::${account}:policy/policy`,
  });
  const made = Object.values(template.Resources).filter(isThere);
  const isManaged = ({ Type }: { Type: string }) => Type === 'AWS::IAM::ManagedPolicy';
  const managed = made.filter(isManaged).map(({ Properties }) => evaluate(Properties) as Managed);
  const resources = made
    .filter((one) => !isManaged(one))
    .map(({ Type, Properties }) => {
      const kind = kinds[Type];
      if (kind === undefined) throw new Error(`no resource of type ${Type}`);
      return [kind, evaluate(Properties)];
    });
  const outputs = Object.entries(template.Outputs ?? {}).flatMap(([output, one]) =>
    isThere(one) ? [[output, evaluate(one.Value)]] : [],
  );
  return { ...Object.fromEntries(resources), managed, outputs: Object.fromEntries(outputs) };
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html */
export const quotas = { inlineLength: 10_240, managedLength: 6144, attached: 10 };

/** Without blanks, as IAM counts. */
export const lengthOf = (policies: readonly PolicyDocument[]) =>
  policies.reduce((sum, one) => sum + JSON.stringify(one).length, 0);

function roleOf({ RoleName, MaxSessionDuration, AssumeRolePolicyDocument, Policies }: NonNullable<Stack['role']>) {
  const policies = Policies.map(({ PolicyDocument }) => PolicyDocument);
  if (lengthOf(policies) > quotas.inlineLength)
    throw new Error(`Maximum policy size of ${quotas.inlineLength} bytes exceeded for role ${RoleName}`);
  if (RoleName.length > 64) throw new Error(`${RoleName} is longer than 64 characters`);
  const role: RoleScenario = { trust: AssumeRolePolicyDocument, policies, maxSessionSeconds: MaxSessionDuration };
  return role;
}

/** An entry more; AWS has none twice. */
function added<T>(all: Readonly<Record<string, T>> = {}, name: string, one: T): Record<string, T> {
  if (name in all) throw new Error(`${name} already exists`);
  return { ...all, [name]: one };
}

function withProvider(account: AccountScenario, { oidcProvider }: Stack): AccountScenario {
  if (oidcProvider === undefined) return account;
  const { Url: issuer, ClientIdList: audiences } = oidcProvider;
  const { oidc = [] } = account;
  if (oidc.some((one) => one.issuer === issuer)) throw new Error(`Provider with url ${issuer} already exists`);
  return { ...account, oidc: [...oidc, { issuer, audiences }] };
}

function withRole(account: AccountScenario, { role }: Stack): AccountScenario {
  return role === undefined ? account : { ...account, roles: added(account.roles, role.RoleName, roleOf(role)) };
}

function withAttached(account: AccountScenario, { Roles = [], PolicyDocument }: Managed): AccountScenario {
  if (lengthOf([PolicyDocument]) > quotas.managedLength)
    throw new Error(`Cannot exceed quota for PolicySize: ${quotas.managedLength}`);
  const roles = Roles.map((name): [string, RoleScenario] => {
    const role = account.roles?.[name];
    if (role === undefined) throw new Error(`The role with name ${name} cannot be found`);
    const attached = [...(role.attached ?? []), PolicyDocument];
    if (attached.length > quotas.attached)
      throw new Error(`Cannot exceed quota for PoliciesPerRole: ${quotas.attached}`);
    return [name, { ...role, attached }];
  });
  return { ...account, roles: { ...account.roles, ...Object.fromEntries(roles) } };
}

function withKey(account: AccountScenario, { key, alias }: Stack, region: string): AccountScenario {
  if (key === undefined || alias === undefined) return account;
  const there = account.regions?.[region];
  const keys = added(there?.keys, alias.AliasName.replace(/^alias\//, ''), { policy: key.KeyPolicy });
  return { ...account, regions: { ...account.regions, [region]: { ...there, keys } } };
}

/** A scenario with a template deployed in it, and the stack's outputs. @throws where AWS refuses it */
export function deploy<S extends Pick<Scenario, 'accounts'>>(
  scenario: S,
  deployment: Deployment,
): Readonly<{ scenario: S; outputs: Stack['outputs'] }> {
  const { account: id, region } = deployment;
  const stack = stackOf(deployment);
  const before: AccountScenario = { partition: partitionOf(region), ...scenario.accounts[id] };
  const made = stack.managed.reduce(withAttached, withRole(withProvider(before, stack), stack));
  const accounts = { ...scenario.accounts, [id]: withKey(made, stack, region) };
  return { scenario: { ...scenario, accounts }, outputs: stack.outputs };
}

/** A case's accounts as they were before anything was set up: no roles, no keys, no provider. */
export function bare<S extends Pick<Scenario, 'accounts'>>(scenario: S): S {
  const accounts = Object.entries(scenario.accounts).map(([id, { partition, regions = {} }]) => {
    const emptied = Object.entries(regions).map(([name, { keys: _, ...region }]) => [name, region]);
    return [id, { ...(partition && { partition }), regions: Object.fromEntries(emptied) }];
  });
  return { ...scenario, accounts: Object.fromEntries(accounts) };
}
