import { createHash, randomBytes } from 'node:crypto';
import type { Timings } from './hardness.ts';
import { authorizeKms, type Context, type KmsCaller, type Principal } from './iam.ts';
import { Refusal } from './refusal.ts';
import { type Grant, type Key, type PolicyDocument, policyInForce, regionOf, type World } from './world.ts';

export type KmsCall = KmsCaller & Readonly<{ timings: Timings }>;

type Input = Readonly<Record<string, unknown>>;
type Handler = (call: KmsCall, input: Input) => Promise<Record<string, unknown>>;

const notFound = (arn: string) => new Refusal('NotFoundException', `Key '${arn}' does not exist`);

/** From where a key is looked for. */
type Viewpoint = Readonly<{ world: World; caller: Pick<Principal, 'account'>; region: string }>;

/**
 * The key that an ID, ARN, alias or alias ARN names, seen from the caller's account and region.
 * @param aliases whether the operation takes aliases: those on grants and policies don't
 */
export function findKey({ world, caller, region }: Viewpoint, id: string, aliases = true): Key {
  const { owner, name } = ownerOf(id, caller.account, region);
  const partition = world.accounts[caller.account]?.partition ?? 'aws';
  const arn = id.startsWith('arn:') ? id : `arn:${partition}:kms:${region}:${owner}:key/${id}`;
  if (world.accounts[owner] === undefined) throw notFound(arn);
  const place = regionOf(world, owner, region);
  if (!name.startsWith('alias/')) return place.keys.get(name) ?? refuseKey(id, arn);
  if (!aliases) throw new Refusal('InvalidArnException', `${id} is not a valid key ARN`);
  const keyId = place.aliases.get(name);
  if (keyId === undefined)
    throw new Refusal('NotFoundException', `Alias arn:${partition}:kms:${region}:${owner}:${name} is not found.`);
  return place.keys.get(keyId) ?? refuseKey(id, arn);
}

function ownerOf(id: string, account: string, region: string): Readonly<{ owner: string; name: string }> {
  if (!id.startsWith('arn:')) return { owner: account, name: id };
  const [, , service, arnRegion, owner, resource] = id.split(':');
  if (service !== 'kms' || arnRegion === undefined || owner === undefined || resource === undefined)
    throw new Refusal('InvalidArnException', `${id} is not a valid ARN`);
  if (arnRegion !== region) throw new Refusal('NotFoundException', `Invalid arn ${arnRegion}`);
  return { owner, name: resource.replace(/^key\//, '') };
}

function refuseKey(id: string, arn: string): never {
  const isName = !id.startsWith('arn:') && !/^(mrk-[0-9a-f]{32}|[0-9a-f-]{36})$/.test(id);
  throw isName ? new Refusal('NotFoundException', `Invalid keyId '${id}'`) : notFound(arn);
}

// https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
function requireUsable(key: Key): void {
  const { KeyState, Arn } = key.metadata;
  if (KeyState === 'Disabled') throw new Refusal('DisabledException', `${Arn} is disabled.`);
  if (KeyState !== 'Enabled') {
    const words = KeyState === 'PendingDeletion' ? 'pending deletion' : String(KeyState).toLowerCase();
    throw new Refusal('KMSInvalidStateException', `${Arn} is ${words}.`);
  }
}

const operations = new Set([
  'Decrypt',
  'Encrypt',
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'ReEncryptFrom',
  'ReEncryptTo',
  'CreateGrant',
  'RetireGrant',
  'DescribeKey',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'GenerateMac',
  'VerifyMac',
  'Sign',
  'Verify',
  'GetPublicKey',
  'DeriveSharedSecret',
]);

type Paged<T> = Readonly<{ items: T[]; more: Readonly<{ Truncated: boolean; NextMarker?: string }> }>;

/** A page of a list, of so many `byDefault`. */
function pageOf<T>(
  all: readonly T[],
  input: Input,
  { byDefault, most }: Readonly<{ byDefault: number; most: number }>,
): Paged<T> {
  const limit = Number(input.Limit ?? byDefault);
  if (limit < 1 || limit > most)
    throw new Refusal(
      'ValidationException',
      `1 validation error detected: Value '${limit}' at 'limit' failed to satisfy constraint: Member must have value ${limit < 1 ? 'greater than or equal to 1' : `less than or equal to ${most}`}`,
    );
  const start = Number(input.Marker ?? 0);
  if (!Number.isInteger(start)) throw new Refusal('InvalidMarkerException', 'The marker is not valid.');
  const end = start + limit;
  const more = end < all.length ? { Truncated: true, NextMarker: String(end) } : { Truncated: false };
  return { items: all.slice(start, end), more };
}

export const kmsHandlers: Readonly<Record<string, Handler>> = {
  async DescribeKey(call, input) {
    const key = findKey(call, String(input.KeyId));
    await authorizeKms(call, { operation: 'DescribeKey', key });
    return { KeyMetadata: key.metadata };
  },

  // https://docs.aws.amazon.com/kms/latest/APIReference/API_ListAliases.html
  async ListAliases({ world, caller, region }, input) {
    const { aliases } = regionOf(world, caller.account, region);
    const partition = world.accounts[caller.account]?.partition ?? 'aws';
    const all = [...aliases].map(([AliasName, TargetKeyId]) => ({
      AliasName,
      TargetKeyId,
      AliasArn: `arn:${partition}:kms:${region}:${caller.account}:${AliasName}`,
    }));
    const { items, more } = pageOf(all, input, { byDefault: 50, most: 100 });
    return { Aliases: items, ...more };
  },

  // https://docs.aws.amazon.com/kms/latest/APIReference/API_ListKeys.html
  async ListKeys({ world, caller, region }, input) {
    const { keys } = regionOf(world, caller.account, region);
    const all = [...keys.values()].map(({ metadata }) => ({ KeyId: metadata.KeyId, KeyArn: metadata.Arn }));
    const { items, more } = pageOf(all, input, { byDefault: 100, most: 1000 });
    return { Keys: items, ...more };
  },

  async CreateGrant(call, input) {
    const key = findKey(call, String(input.KeyId), false);
    const wanted = wantedGrant(input);
    requirePrincipal(call.world, wanted.GranteePrincipal);
    await authorizeKms(call, { operation: 'CreateGrant', key, context: grantContext(wanted) });
    requireUsable(key);
    answerDryRun(input);
    const grant = sameGrant(key, wanted) ?? addGrant(call, key, wanted);
    return { GrantId: grant.GrantId, GrantToken: randomBytes(32).toString('base64') };
  },

  async ListGrants(call, input) {
    const key = findKey(call, String(input.KeyId), false);
    await authorizeKms(call, { operation: 'ListGrants', key });
    const { GrantId, GranteePrincipal } = input;
    // Of a principal that is gone, as recorded.
    if (GranteePrincipal !== undefined) requirePrincipal(call.world, String(GranteePrincipal));
    const all = key.grants.filter(
      (grant) =>
        (GrantId ?? grant.GrantId) === grant.GrantId &&
        (GranteePrincipal ?? grant.GranteePrincipal) === grant.GranteePrincipal,
    );
    const { items, more } = pageOf(all, input, { byDefault: 50, most: 100 });
    return { Grants: items.map((grant) => shownGrant(call, key, grant)), ...more };
  },

  async GenerateDataKeyWithoutPlaintext(call, input) {
    const key = findKey(call, String(input.KeyId));
    await authorizeKms(call, { operation: 'GenerateDataKeyWithoutPlaintext', key });
    requireUsable(key);
    if ((input.NumberOfBytes === undefined) === (input.KeySpec === undefined))
      throw new Refusal('ValidationException', 'Please specify either number of bytes or key spec.');
    answerDryRun(input);
    return { CiphertextBlob: cipherTextOf(key), KeyId: key.metadata.Arn };
  },

  async Decrypt(call, input) {
    const key = keyOfCipherText(call, input);
    await authorizeKms(call, { operation: 'Decrypt', key });
    requireUsable(key);
    answerDryRun(input);
    return { Plaintext: randomBytes(32).toString('base64'), KeyId: key.metadata.Arn };
  },

  async ReEncrypt(call, input) {
    const source = keyOfCipherText(call, { ...input, KeyId: input.SourceKeyId });
    const destination = findKey(call, String(input.DestinationKeyId));
    await authorizeKms(call, { operation: 'ReEncryptFrom', key: source });
    await authorizeKms(call, { operation: 'ReEncryptTo', key: destination });
    requireUsable(source);
    requireUsable(destination);
    answerDryRun(input);
    return { CiphertextBlob: cipherTextOf(destination), KeyId: destination.metadata.Arn };
  },

  async RevokeGrant(call, input) {
    const key = findKey(call, String(input.KeyId), false);
    const context = { 'kms:GrantIsForAWSResource': 'false' };
    await authorizeKms(call, { operation: 'RevokeGrant', key, context });
    const grant = grantOf(key, input);
    answerDryRun(input);
    key.grants = key.grants.filter((one) => one !== grant);
    return {};
  },

  async RetireGrant(call, input) {
    const { caller } = call;
    const key = findKey(call, String(input.KeyId ?? ''), false);
    const grant = grantOf(key, input);
    const mine = [caller.arn, caller.role?.arn];
    const retires =
      mine.includes(grant.RetiringPrincipal) ||
      (mine.includes(grant.GranteePrincipal) && grant.Operations.includes('RetireGrant'));
    if (!retires) await authorizeKms(call, { operation: 'RetireGrant', key });
    key.grants = key.grants.filter((one) => one !== grant);
    return {};
  },

  async GetKeyPolicy(call, input) {
    const key = ownKey(call, input);
    await authorizeKms(call, { operation: 'GetKeyPolicy', key });
    return { Policy: policyText(call.world, policyInForce(key, call.world.clock.now())), PolicyName: 'default' };
  },

  async PutKeyPolicy(call, input) {
    const { world, timings } = call;
    const key = ownKey(call, input);
    await authorizeKms(call, { operation: 'PutKeyPolicy', key });
    const policy = parsePolicy(String(input.Policy));
    requirePrincipals(world, policy);
    if (input.BypassPolicyLockoutSafetyCheck !== true) await requireUpdatable(call, { ...key, policy });
    const now = world.clock.now();
    key.formerPolicies = [
      ...key.formerPolicies.filter(({ until }) => until > now),
      { value: key.policy, until: now + timings.policyActiveAfterSeconds * 1000 },
    ];
    key.policy = policy;
    return {};
  },

  async ListResourceTags(call, input) {
    const key = ownKey(call, input);
    await authorizeKms(call, { operation: 'ListResourceTags', key });
    const { items, more } = pageOf([], input, { byDefault: 50, most: 50 });
    return { Tags: items, ...more };
  },
};

type WantedGrant = Pick<Grant, 'GranteePrincipal' | 'Operations' | 'RetiringPrincipal' | 'Constraints' | 'Name'>;

/** https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html#API_CreateGrant_RequestParameters */
function wantedGrant(input: Input): WantedGrant {
  const {
    Operations = [],
    Name,
    Constraints,
    GrantTokens = [],
  } = input as Partial<WantedGrant> & {
    GrantTokens?: string[];
  };
  const unknown = Operations.find((operation) => !operations.has(operation));
  if (Operations.length === 0 || unknown !== undefined) throw invalid(`'[${Operations.join(', ')}]'`, 'operations');
  if (Name !== undefined && !/^[a-zA-Z0-9:/_-]{1,256}$/.test(Name))
    throw invalid(
      `'${Name}'`,
      'name',
      ': Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$ and have length less than or equal to 256',
    );
  if (GrantTokens.length > mostTokens)
    throw invalid(
      `'${GrantTokens.length} tokens'`,
      'grantTokens',
      `: Member must have length less than or equal to ${mostTokens}`,
    );
  const { EncryptionContextEquals, EncryptionContextSubset } = Constraints ?? {};
  const pairs = Object.keys({ ...EncryptionContextEquals, ...EncryptionContextSubset });
  if (pairs.length > mostPairs)
    throw new Refusal('ValidationException', `The constraint has more than ${mostPairs} encryption context pairs.`);
  const { GranteePrincipal, RetiringPrincipal } = input as Partial<WantedGrant>;
  return {
    GranteePrincipal: GranteePrincipal ?? '',
    Operations,
    ...(Name !== undefined && { Name }),
    ...(RetiringPrincipal !== undefined && { RetiringPrincipal }),
    ...(Constraints !== undefined && { Constraints }),
  };
}

const mostTokens = 10;
/** https://docs.aws.amazon.com/kms/latest/APIReference/API_GrantConstraints.html */
const mostPairs = 8;

function invalid(value: string, member: string, why = ''): Refusal {
  return new Refusal(
    'ValidationException',
    `1 validation error detected: Value ${value} at '${member}' failed to satisfy constraint${why}`,
  );
}

/** https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html */
function grantContext({ GranteePrincipal, Operations, RetiringPrincipal, Constraints }: WantedGrant): Context {
  const [type] = Object.keys(Constraints ?? {});
  return {
    'kms:GranteePrincipal': GranteePrincipal,
    'kms:GrantOperations': Operations,
    'kms:GrantIsForAWSResource': 'false',
    ...(RetiringPrincipal !== undefined && { 'kms:RetiringPrincipal': RetiringPrincipal }),
    ...(type !== undefined && { 'kms:GrantConstraintType': type }),
  };
}

/** With a name, the same grant is made once: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html */
function sameGrant({ grants }: Key, { Name, GranteePrincipal, Operations }: WantedGrant): Grant | undefined {
  if (Name === undefined) return undefined;
  return grants.find(
    (grant) =>
      grant.Name === Name &&
      grant.GranteePrincipal === GranteePrincipal &&
      grant.Operations.join() === Operations.join(),
  );
}

function addGrant({ world, caller, timings }: KmsCall, key: Key, wanted: WantedGrant): Grant {
  // https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html#API_CreateGrant_Errors
  if (key.grants.length >= key.grantQuota)
    throw new Refusal('LimitExceededException', 'The request was rejected because a quota was exceeded.');
  const now = world.clock.now();
  const grant = {
    ...wanted,
    GrantId: createHash('sha256').update(randomBytes(16)).digest('hex'),
    CreationDate: new Date(now),
    IssuingAccount: caller.account,
    activeAt: now + timings.grantActiveAfterSeconds * 1000,
  };
  key.grants.push(grant);
  return grant;
}

function grantOf({ grants }: Key, { GrantId }: Input): Grant {
  const grant = grants.find((one) => one.GrantId === GrantId);
  if (grant === undefined) throw new Refusal('NotFoundException', `Grant with id ${String(GrantId)} does not exist`);
  return grant;
}

/** A grant as it is listed; of a grantee that is gone, its ID is left, as recorded. */
function shownGrant({ world }: KmsCall, { metadata }: Key, { activeAt: _, IssuingAccount, ...grant }: Grant) {
  const { GranteePrincipal } = grant;
  const partition = metadata.Arn.split(':')[1];
  return {
    ...grant,
    GranteePrincipal: isGone(world, GranteePrincipal) ? roleIdOf(GranteePrincipal) : GranteePrincipal,
    KeyId: metadata.Arn,
    IssuingAccount: `arn:${partition}:iam::${IssuingAccount}:root`,
  };
}

/** With status 400, as recorded: https://docs.aws.amazon.com/kms/latest/developerguide/testing-permissions.html */
function answerDryRun(input: Input): void {
  if (input.DryRun === true)
    throw new Refusal('DryRunOperationException', 'The request would have succeeded, but the DryRun option is set.');
}

/** A cipher text of ours says which key it is under. */
function cipherTextOf(key: Key): string {
  return Buffer.from(`simulated ${key.metadata.Arn}`).toString('base64');
}

function keyOfCipherText({ world, region }: KmsCall, input: Input): Key {
  const text = Buffer.from(String(input.CiphertextBlob ?? ''), 'base64').toString();
  const arn = /^simulated (arn:.+)$/.exec(text)?.[1];
  if (arn === undefined) throw new Refusal('InvalidCiphertextException', '');
  const caller = { account: arn.split(':')[4] ?? '' };
  const key = findKey({ world, caller, region }, arn);
  if (input.KeyId !== undefined && findKey({ world, caller, region }, String(input.KeyId)) !== key)
    throw new Refusal(
      'IncorrectKeyException',
      'The key ID in the request does not identify a CMK that can perform this operation.',
    );
  return key;
}

/** Key policies are the own account's to read and write. */
function ownKey(call: KmsCall, input: Input): Key {
  const key = findKey(call, String(input.KeyId), false);
  if (key.metadata.AWSAccountId !== call.caller.account)
    throw new Refusal(
      'AccessDeniedException',
      `User: ${call.caller.arn} is not authorized to perform this operation on a key of another account`,
    );
  return key;
}

/** The ARN must be of something that exists: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html */
function requirePrincipal(world: World, arn: string): void {
  if (!principalExists(world, arn))
    throw new Refusal('InvalidArnException', `ARN does not refer to a valid principal: ${arn}`);
}

/** The ID by which a role is told when it is gone. */
function roleIdOf(arn: string): string {
  return `AROA${createHash('sha256').update(arn).digest('hex').slice(0, 16).toUpperCase()}`;
}

/** Of accounts that the scenario doesn't have, it isn't known who is there. */
function isGone(world: World, arn: string): boolean {
  return world.accounts[arn.split(':')[4] ?? ''] !== undefined && !principalExists(world, arn);
}

function principalExists(world: World, arn: string): boolean {
  // An account may be named by its ID.
  if (/^\d{12}$/.test(arn)) return world.accounts[arn] !== undefined;
  const [, , service, , accountId = '', resource = ''] = arn.split(':');
  const account = world.accounts[accountId];
  if (account === undefined) return false;
  if (service === 'iam' && (resource === 'root' || resource.startsWith('user/'))) return true;
  const name = service === 'sts' ? resource.split('/')[1] : undefined;
  // EC2's own, by which instances decrypt their volumes, is nobody's role.
  if (arn.includes(':assumed-role/aws:ec2-infrastructure/')) return true;
  return [...account.roles.values()].some((role) => role.arn === arn || role.name === name);
}

function parsePolicy(text: string): PolicyDocument {
  if (Buffer.byteLength(text) > 32_768)
    throw new Refusal('LimitExceededException', 'The key policy exceeds 32768 bytes.');
  try {
    return JSON.parse(text) as PolicyDocument;
  } catch {
    throw new Refusal('MalformedPolicyDocumentException', 'The key policy is not valid JSON.');
  }
}

/** https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html#prevent-unmanageable-key */
async function requireUpdatable(call: KmsCall, key: Key): Promise<void> {
  try {
    await authorizeKms(call, { operation: 'PutKeyPolicy', key: { ...key, formerPolicies: [] } });
  } catch {
    throw new Refusal(
      'MalformedPolicyDocumentException',
      'The new key policy will not allow you to update the key policy in the future.',
    );
  }
}

/**
 * A policy as KMS gives it: laid out by itself, with its principals in another order at each look
 * (https://github.com/aws/aws-cli/issues/9456), and a role that is gone by its ID
 * (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles).
 */
function policyText(world: World, policy: PolicyDocument): string {
  const shown = (name: string, value: unknown): unknown => {
    if (name !== 'AWS') return value;
    const principals = [value].flat().map((one) => shownPrincipal(world, String(one)));
    return Array.isArray(value) ? shuffled(principals) : principals[0];
  };
  return JSON.stringify(policy, shown, 2)
    .replace(/^( *"[^"]+"):/gm, '$1 :')
    .replace(/\[\n\s*/g, '[ ')
    .replace(/\n\s*\]/g, ' ]')
    .replace(/\},\n\s*\{/g, '}, {');
}

function shownPrincipal(world: World, arn: string): string {
  return arn.includes(':role/') && !principalExists(world, arn) ? roleIdOf(arn) : arn;
}

function shuffled<T>(all: readonly T[]): T[] {
  return all
    .map((one) => [Math.random(), one] as const)
    .sort(([a], [b]) => a - b)
    .map(([, one]) => one);
}

function requirePrincipals(world: World, policy: PolicyDocument): void {
  for (const { Principal } of [policy.Statement].flat() as { Principal?: { AWS?: string | string[] } | string }[]) {
    const arns = typeof Principal === 'object' ? [Principal.AWS ?? []].flat() : [];
    // A role or user that was deleted stands there as its ID (AROA…, AIDA…), and isn't taken again either.
    if (arns.some((arn) => arn !== '*' && !/^\d{12}$/.test(arn) && !principalExists(world, arn))) {
      throw new Refusal(
        'MalformedPolicyDocumentException',
        'Policy contains a statement with one or more invalid principals.',
      );
    }
  }
}
