import { createHash, randomBytes } from 'node:crypto';
import { authorizeKms, type Context, type Principal } from './iam.ts';
import { Refusal } from './refusal.ts';
import type { Grant, Key, PolicyDocument, World } from './world.ts';
import { policyInForce, regionOf } from './world.ts';

export type KmsCall = Readonly<{
  world: World;
  caller: Principal;
  region: string;
  grantActiveAfterSeconds: number;
  policyActiveAfterSeconds: number;
}>;

type Input = Readonly<Record<string, unknown>>;
type Handler = (call: KmsCall, input: Input) => Promise<Record<string, unknown>>;

const notFound = (arn: string) => new Refusal('NotFoundException', `Key '${arn}' does not exist`);

/**
 * The key that an ID, ARN, alias or alias ARN names, seen from `account` in `region`.
 * @param aliases whether the operation takes aliases: those on grants and policies don't
 */
export function findKey(world: World, account: string, region: string, id: string, aliases = true): Key {
  let owner = account;
  let name = id;
  if (id.startsWith('arn:')) {
    const [, , service, arnRegion, arnAccount, resource] = id.split(':');
    if (service !== 'kms' || arnRegion === undefined || arnAccount === undefined || resource === undefined) {
      throw new Refusal('InvalidArnException', `${id} is not a valid ARN`);
    }
    if (arnRegion !== region) throw new Refusal('NotFoundException', `Invalid arn ${arnRegion}`);
    owner = arnAccount;
    name = resource.replace(/^key\//, '');
  }
  if (world.accounts[owner] === undefined) throw notFound(id);
  const place = regionOf(world, owner, region);
  if (name.startsWith('alias/')) {
    if (!aliases) throw new Refusal('InvalidArnException', `${id} is not a valid key ARN`);
    const keyId = place.aliases.get(name);
    if (keyId === undefined) {
      const partition = world.accounts[owner]?.partition ?? 'aws';
      throw new Refusal('NotFoundException', `Alias arn:${partition}:kms:${region}:${owner}:${name} is not found.`);
    }
    name = keyId;
  }
  const key = place.keys.get(name);
  if (key !== undefined) return key;
  if (!id.startsWith('arn:') && !/^(mrk-[0-9a-f]{32}|[0-9a-f-]{36})$/.test(name)) {
    throw new Refusal('NotFoundException', `Invalid keyId '${id}'`);
  }
  throw notFound(id.startsWith('arn:') ? id : `arn:aws:kms:${region}:${account}:key/${id}`);
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

export const kmsHandlers: Readonly<Record<string, Handler>> = {
  async DescribeKey({ world, caller, region }, input) {
    const key = findKey(world, caller.account, region, String(input.KeyId));
    await authorizeKms({ world, caller }, { operation: 'DescribeKey', key });
    return { KeyMetadata: key.metadata };
  },

  async ListAliases({ world, caller, region }) {
    const { aliases } = regionOf(world, caller.account, region);
    const partition = world.accounts[caller.account]?.partition ?? 'aws';
    return {
      Aliases: [...aliases].map(([AliasName, TargetKeyId]) => ({
        AliasName,
        TargetKeyId,
        AliasArn: `arn:${partition}:kms:${region}:${caller.account}:${AliasName}`,
      })),
      Truncated: false,
    };
  },

  async ListKeys({ world, caller, region }) {
    const { keys } = regionOf(world, caller.account, region);
    return {
      Keys: [...keys.values()].map(({ metadata }) => ({ KeyId: metadata.KeyId, KeyArn: metadata.Arn })),
      Truncated: false,
    };
  },

  async CreateGrant(call, input) {
    const { world, caller, region } = call;
    const key = findKey(world, caller.account, region, String(input.KeyId), false);
    const grantee = String(input.GranteePrincipal ?? '');
    const asked = (input.Operations ?? []) as string[];
    const unknown = asked.find((operation) => !operations.has(operation));
    if (asked.length === 0 || unknown !== undefined) {
      throw new Refusal(
        'ValidationException',
        `1 validation error detected: Value '[${asked.join(', ')}]' at 'operations' failed to satisfy constraint`,
      );
    }
    if (input.Name !== undefined && !/^[a-zA-Z0-9:/_-]{1,256}$/.test(String(input.Name))) {
      throw new Refusal(
        'ValidationException',
        "1 validation error detected: Value at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$",
      );
    }
    requirePrincipal(world, grantee);
    const context: Context = {
      'kms:GranteePrincipal': grantee,
      'kms:GrantOperations': asked,
      'kms:GrantIsForAWSResource': 'false',
    };
    await authorizeKms(call, { operation: 'CreateGrant', key, context });
    requireUsable(key);
    answerDryRun(input);
    const same = key.grants.find(
      (grant) =>
        input.Name !== undefined &&
        grant.Name === input.Name &&
        grant.GranteePrincipal === grantee &&
        grant.Operations.join() === asked.join(),
    );
    // https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html#API_CreateGrant_Errors
    if (same === undefined && key.grants.length >= key.grantQuota)
      throw new Refusal('LimitExceededException', 'The request was rejected because a quota was exceeded.');
    const grant = same ?? newGrant(call, input);
    if (same === undefined) key.grants.push(grant);
    return { GrantId: grant.GrantId, GrantToken: randomBytes(32).toString('base64') };
  },

  async ListGrants({ world, caller, region }, input) {
    const key = findKey(world, caller.account, region, String(input.KeyId), false);
    await authorizeKms({ world, caller }, { operation: 'ListGrants', key });
    const limit = Number(input.Limit ?? 50);
    if (limit < 1 || limit > 100)
      throw new Refusal(
        'ValidationException',
        "1 validation error detected: Value at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100",
      );
    const all = key.grants.filter(
      ({ GrantId, GranteePrincipal }) =>
        (input.GrantId ?? GrantId) === GrantId && (input.GranteePrincipal ?? GranteePrincipal) === GranteePrincipal,
    );
    const start = Number(input.Marker ?? 0);
    const page = all.slice(start, start + limit);
    const more = start + limit < all.length;
    const { Arn } = key.metadata;
    return {
      Grants: page.map(({ activeAt: _, IssuingAccount, ...grant }) => ({
        ...grant,
        KeyId: Arn,
        IssuingAccount: `arn:aws:iam::${IssuingAccount}:root`,
      })),
      Truncated: more,
      ...(more && { NextMarker: String(start + limit) }),
    };
  },

  async GenerateDataKeyWithoutPlaintext({ world, caller, region }, input) {
    const key = findKey(world, caller.account, region, String(input.KeyId));
    await authorizeKms({ world, caller }, { operation: 'GenerateDataKeyWithoutPlaintext', key });
    requireUsable(key);
    if ((input.NumberOfBytes === undefined) === (input.KeySpec === undefined))
      throw new Refusal('ValidationException', 'Please specify either number of bytes or key spec.');
    answerDryRun(input);
    return { CiphertextBlob: cipherTextOf(key), KeyId: key.metadata.Arn };
  },

  async Decrypt({ world, caller, region }, input) {
    const key = keyOfCipherText(world, region, input);
    await authorizeKms({ world, caller }, { operation: 'Decrypt', key });
    requireUsable(key);
    answerDryRun(input);
    return { Plaintext: randomBytes(32).toString('base64'), KeyId: key.metadata.Arn };
  },

  async ReEncrypt({ world, caller, region }, input) {
    const source = keyOfCipherText(world, region, { ...input, KeyId: input.SourceKeyId });
    const destination = findKey(world, caller.account, region, String(input.DestinationKeyId));
    await authorizeKms({ world, caller }, { operation: 'ReEncryptFrom', key: source });
    await authorizeKms({ world, caller }, { operation: 'ReEncryptTo', key: destination });
    requireUsable(source);
    requireUsable(destination);
    answerDryRun(input);
    return { CiphertextBlob: cipherTextOf(destination), KeyId: destination.metadata.Arn };
  },

  async RevokeGrant({ world, caller, region }, input) {
    const key = findKey(world, caller.account, region, String(input.KeyId), false);
    const context = { 'kms:GrantIsForAWSResource': 'false' };
    await authorizeKms({ world, caller }, { operation: 'RevokeGrant', key, context });
    const found = key.grants.some(({ GrantId }) => GrantId === input.GrantId);
    if (found) answerDryRun(input);
    if (!found) throw new Refusal('NotFoundException', `Grant with id ${String(input.GrantId)} does not exist`);
    key.grants = key.grants.filter(({ GrantId }) => GrantId !== input.GrantId);
    return {};
  },

  async RetireGrant({ world, caller, region }, input) {
    const key = findKey(world, caller.account, region, String(input.KeyId ?? ''), false);
    const grant = key.grants.find(({ GrantId }) => GrantId === input.GrantId);
    if (grant === undefined)
      throw new Refusal('NotFoundException', `Grant with id ${String(input.GrantId)} does not exist`);
    const mine = [caller.arn, caller.role?.arn];
    const retires =
      mine.includes(grant.RetiringPrincipal) ||
      (mine.includes(grant.GranteePrincipal) && grant.Operations.includes('RetireGrant'));
    if (!retires) await authorizeKms({ world, caller }, { operation: 'RetireGrant', key });
    key.grants = key.grants.filter((one) => one !== grant);
    return {};
  },

  async GetKeyPolicy({ world, caller, region }, input) {
    const key = ownKey(world, caller, region, input);
    await authorizeKms({ world, caller }, { operation: 'GetKeyPolicy', key });
    return { Policy: JSON.stringify(policyInForce(key, world.clock.now()), shufflePrincipals), PolicyName: 'default' };
  },

  async PutKeyPolicy(call, input) {
    const { world, caller, region, policyActiveAfterSeconds } = call;
    const key = ownKey(world, caller, region, input);
    await authorizeKms({ world, caller }, { operation: 'PutKeyPolicy', key });
    const policy = parsePolicy(String(input.Policy));
    requirePrincipals(world, policy);
    if (input.BypassPolicyLockoutSafetyCheck !== true) await requireUpdatable(call, { ...key, policy });
    const now = world.clock.now();
    key.formerPolicies = [
      ...key.formerPolicies.filter(({ until }) => until > now),
      { value: key.policy, until: now + policyActiveAfterSeconds * 1000 },
    ];
    key.policy = policy;
    return {};
  },

  async ListResourceTags({ world, caller, region }, input) {
    const key = ownKey(world, caller, region, input);
    await authorizeKms({ world, caller }, { operation: 'ListResourceTags', key });
    return { Tags: [], Truncated: false };
  },
};

/** https://docs.aws.amazon.com/kms/latest/developerguide/testing-permissions.html */
function answerDryRun(input: Input): void {
  if (input.DryRun === true)
    throw new Refusal(
      'DryRunOperationException',
      'The request would have succeeded, but the DryRun option is set.',
      412,
    );
}

/** A cipher text of ours says which key it is under. */
function cipherTextOf(key: Key): string {
  return Buffer.from(`simulated ${key.metadata.Arn}`).toString('base64');
}

function keyOfCipherText(world: World, region: string, input: Input): Key {
  const text = Buffer.from(String(input.CiphertextBlob ?? ''), 'base64').toString();
  const arn = /^simulated (arn:.+)$/.exec(text)?.[1];
  const key = arn === undefined ? undefined : findKey(world, arn.split(':')[4] ?? '', region, arn);
  if (key === undefined) throw new Refusal('InvalidCiphertextException', '');
  if (input.KeyId !== undefined && findKey(world, key.metadata.AWSAccountId, region, String(input.KeyId)) !== key)
    throw new Refusal(
      'IncorrectKeyException',
      'The key ID in the request does not identify a CMK that can perform this operation.',
    );
  return key;
}

/** Key policies are the own account's to read and write. */
function ownKey(world: World, caller: Principal, region: string, input: Input): Key {
  const key = findKey(world, caller.account, region, String(input.KeyId), false);
  if (key.metadata.AWSAccountId !== caller.account)
    throw new Refusal(
      'AccessDeniedException',
      `User: ${caller.arn} is not authorized to perform this operation on a key of another account`,
    );
  return key;
}

function newGrant(call: KmsCall, input: Input): Grant {
  const now = call.world.clock.now();
  const { GranteePrincipal, Operations, RetiringPrincipal, Constraints, Name } = input as {
    GranteePrincipal: string;
    Operations: string[];
    RetiringPrincipal?: string;
    Constraints?: Grant['Constraints'];
    Name?: string;
  };
  return {
    GrantId: createHash('sha256').update(randomBytes(16)).digest('hex'),
    GranteePrincipal,
    Operations,
    CreationDate: new Date(now),
    IssuingAccount: call.caller.account,
    activeAt: now + call.grantActiveAfterSeconds * 1000,
    ...(Name !== undefined && { Name }),
    ...(RetiringPrincipal !== undefined && { RetiringPrincipal }),
    ...(Constraints !== undefined && { Constraints }),
  };
}

/** The ARN must be of something that exists: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html */
function requirePrincipal(world: World, arn: string): void {
  if (!principalExists(world, arn))
    throw new Refusal('InvalidArnException', `ARN does not refer to a valid principal: ${arn}`);
}

function principalExists(world: World, arn: string): boolean {
  const [, , service, , accountId = '', resource = ''] = arn.split(':');
  const account = world.accounts[accountId];
  if (account === undefined) return false;
  if (service === 'iam' && (resource === 'root' || resource.startsWith('user/'))) return true;
  const name = service === 'sts' ? resource.split('/')[1] : undefined;
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

/** Each look at a policy shows its principals in another order: https://github.com/aws/aws-cli/issues/9456 */
function shufflePrincipals(name: string, value: unknown): unknown {
  if (name !== 'AWS' || !Array.isArray(value)) return value;
  return value
    .map((one: unknown) => [Math.random(), one] as const)
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
