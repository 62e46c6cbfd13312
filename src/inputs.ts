import { readFileSync } from 'node:fs';
import type { LaunchPermission } from '@aws-sdk/client-ec2';
import { parse as parseYaml, YAMLParseError } from 'yaml';
import { amiFromManifest } from './packer.ts';
import { audienceOf, isRegionName, type Partition, partitionOf } from './regions.ts';
import { maxTags, ownTagCount, tagPrefix } from './tags.ts';
import { fill, needsSourceImage, unknownPlaceholders } from './template.ts';

/** Where the workflow run is told from: GitHub's context, and nothing else of the environment. */
export type RunContext = Readonly<{
  runUrl: string;
  runId: string;
  runAttempt: number;
  sha: string;
  date: Date;
  defaultRegion: string | undefined;
}>;

export type KeyAccess = (typeof keyAccesses)[number];
const keyAccesses = ['grant', 'policy', 'existing'] as const;

/** One account in one region, as asked for; what may hold placeholders still holds `{name}` and `{source-ami}`. */
export type TargetRequest = Readonly<{
  account: string;
  region: string;
  roleArn: string | undefined;
  kmsKey: string;
  amiName: string;
  tags: Readonly<Record<string, string>>;
}>;

/** How the source AMI is named. */
export type SourceImage =
  | Readonly<{ by: 'id'; id: string }>
  | Readonly<{ by: 'name'; pattern: string }>
  | Readonly<{ by: 'ssm-parameter'; name: string }>
  | Readonly<{ by: 'instance'; id: string; noReboot: boolean }>;

export type Route = (typeof routes)[number];
const routes = ['auto', 'register', 'copy'] as const;
export type OnExisting = (typeof onExistings)[number];
const onExistings = ['reuse', 'fail', 'replace'] as const;
export type Topology = (typeof topologies)[number];
const topologies = ['direct', 'regional-hub'] as const;
export type DeregistrationProtection = (typeof protections)[number];
const protections = ['off', 'on', 'on-with-cooldown'] as const;

/** What is done with a target AMI once it is verified. Templates still hold their placeholders. */
export type Publication = Readonly<{
  /** When the AMI is deprecated: so many days after the run, or at a moment. */
  deprecateAfter: Readonly<{ days: number }> | Readonly<{ at: Date }> | undefined;
  deregistrationProtection: DeregistrationProtection;
  /** Availability zones, as named or all of the region. */
  fastSnapshotRestore: readonly string[] | 'all';
  launchPermissions: readonly LaunchPermission[];
  grantKeyTo: readonly string[];
  ssmParameter: string | undefined;
  /** How many AMIs of the lineage stay, the new one among them. */
  retain: number | undefined;
}>;

/** What the user asked for, checked as far as it can be without a call. */
export type Request = Readonly<{
  image: SourceImage;
  source: Readonly<{
    region: string;
    partition: Partition;
    roleArn: string | undefined;
    kmsKey: string | undefined;
    keyAccess: KeyAccess;
  }>;
  targets: readonly TargetRequest[];
  credentials: Readonly<{
    roleChaining: boolean;
    externalId: string | undefined;
    sessionName: string;
    durationSeconds: number;
    audience: string;
  }>;
  description: string | undefined;
  route: Route;
  /** Whether the user means it to register an image whose billing is lost that way. */
  allowLostBilling: boolean;
  onExisting: OnExisting;
  copyTags: boolean;
  publication: Publication;
  topology: Topology;
  /** The key of the source account in each hub's region; `{region}` is still to fill. */
  hubKmsKey: string | undefined;
  dryRun: boolean;
  failFast: boolean;
  keyPreflight: 'fail' | 'warn';
  keepIntermediates: boolean;
  maxParallel: number;
  /** Of a time-based copy. */
  copyMinutes: number | undefined;
  pollSeconds: number;
  timeoutMinutes: number;
  maskAccountIds: boolean;
  run: RunContext;
}>;

/** Every input of action.yml with the default that it has there (a test holds the two together). */
export const inputDefaults = {
  'ami-id': '',
  'ami-name': '',
  'ami-ssm-parameter': '',
  'packer-manifest': '',
  'instance-id': '',
  'no-reboot': 'false',
  'source-region': '',
  'source-role-arn': '',
  'source-kms-key': '',
  'source-key-access': 'grant',
  'target-accounts': '',
  'target-regions': '',
  'target-role-arn': '',
  'target-kms-key': '',
  targets: '',
  'role-chaining': 'false',
  'external-id': '',
  'role-session-name': 'share-encrypted-ami',
  'role-duration-seconds': '3600',
  'oidc-audience': 'sts.amazonaws.com',
  'target-ami-name': '{name}',
  'target-ami-description': '',
  tags: '',
  'copy-tags': 'true',
  route: 'auto',
  'allow-lost-billing': 'false',
  'on-existing': 'reuse',
  'deprecate-after': '',
  'deregistration-protection': 'off',
  'fast-snapshot-restore': '',
  'launch-permissions': '',
  'grant-key-to': '',
  'ssm-parameter': '',
  retain: '',
  'dry-run': 'false',
  'fail-fast': 'false',
  'key-preflight': 'fail',
  topology: 'direct',
  'hub-kms-key': '',
  'copy-duration-minutes': '',
  'keep-intermediates': 'false',
  'max-parallel': '20',
  'poll-interval': '15',
  'timeout-minutes': '350',
  'mask-aws-account-id': 'false',
} as const;

export type InputName = keyof typeof inputDefaults;

/** One thing wrong with one input. */
export type InputProblem = Readonly<{ input: string; value: string; expected: string }>;

/** Bad input: every problem at once, found before any call was made. */
export class InputError extends Error {
  override name = 'InputError';
  readonly problems: readonly InputProblem[];

  constructor(problems: readonly InputProblem[]) {
    const lines = problems.map(({ input, value, expected }) => `  ${input}: ${show(value)} — ${expected}`);
    const count = problems.length === 1 ? 'One input is' : `${problems.length} inputs are`;
    super(`${count} not usable; nothing was called yet.\n${lines.join('\n')}`);
    this.problems = problems;
  }
}

function show(value: string): string {
  if (value === '') return 'not set';
  return JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}…` : value);
}

/** Gathers problems while the inputs are read; each reader gives a usable value even where it noted a problem. */
class Reader {
  readonly problems: InputProblem[] = [];
  readonly #get: (name: string) => string;

  constructor(get: (name: string) => string) {
    this.#get = get;
  }

  text(name: InputName): string {
    return this.#get(name).trim() || inputDefaults[name];
  }

  /** As it was given: YAML's indentation counts from its first line on. */
  raw(name: InputName): string {
    return this.#get(name);
  }

  optional(name: InputName): string | undefined {
    return this.text(name) || undefined;
  }

  note(input: string, value: string, expected: string): void {
    const known = this.problems.some((one) => one.input === input && one.value === value && one.expected === expected);
    if (!known) this.problems.push({ input, value, expected });
  }

  /** `value` if `check` holds for it (or it is absent), else a note. */
  checked<T extends string | undefined>(
    input: string,
    value: T,
    check: (text: string) => boolean,
    expected: string,
  ): T {
    if (value !== undefined && !check(value)) this.note(input, value, expected);
    return value;
  }

  flag(name: InputName): boolean {
    const text = this.text(name).toLowerCase();
    if (text !== 'true' && text !== 'false') this.note(name, text, 'expected true or false');
    return text === 'true';
  }

  whole(name: InputName, least: number, most: number): number {
    const text = this.text(name);
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) this.note(name, text, `expected a whole number from ${least} to ${most}`);
    return value;
  }

  oneOf<T extends string>(name: InputName, allowed: readonly T[]): T {
    const text = this.text(name);
    const found = allowed.find((one) => one === text);
    if (found === undefined) this.note(name, text, `expected ${allowed.join(', ').replace(/, ([^,]*)$/, ' or $1')}`);
    return found ?? (allowed[0] as T);
  }

  list(name: InputName): string[] {
    return [
      ...new Set(
        this.text(name)
          .split(/[\n,]/)
          .map((item) => item.trim())
          .filter(Boolean),
      ),
    ];
  }

  template(name: InputName): string {
    return this.templateValue(name, this.text(name));
  }

  templateValue<T extends string | undefined>(input: string, value: T): T {
    for (const unknown of unknownPlaceholders(value ?? '')) {
      this.note(
        input,
        value ?? '',
        `${unknown} is not a placeholder; there are {account}, {region}, {name}, {source-ami}, {date}, {sha} and {run-id}`,
      );
    }
    return value;
  }
}

const accountId = /^\d{12}$/;
const roleArn = /^arn:(aws|aws-cn|aws-us-gov):iam::(\d{12}):role\/[\w+=,.@/-]{1,576}$/;
// https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id
const keyId = /^(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const alias = /^alias\/[\w/-]{1,250}$/;
const keyArn = /^arn:(aws|aws-cn|aws-us-gov):kms:([a-z0-9-]+):(\d{12}):((?:key|alias)\/.+)$/;

/** What is wrong with `key` as a customer key in `region` (and `account`, where it is known), or undefined. */
function keyProblem(key: string, region: string, account: string | undefined): string | undefined {
  const [, , arnRegion, arnAccount, resource] = keyArn.exec(key) ?? [];
  const name = resource?.replace(/^key\//, '') ?? key;
  if (!alias.test(name) && !keyId.test(name)) {
    return 'expected an alias (alias/name), a key ID, or the ARN of either';
  }
  if (name.startsWith('alias/aws/')) {
    return 'this is an AWS managed key, which no other account can be given; expected a customer key';
  }
  if (arnRegion !== undefined && arnRegion !== region) {
    return `this key is in ${arnRegion}, but a key is usable only in its own region; expected one in ${region}`;
  }
  if (arnAccount !== undefined && account !== undefined && arnAccount !== account) {
    return `this key is in account ${arnAccount}; expected one in account ${account}`;
  }
  return undefined;
}

/** What is wrong with `arn` as a role of `account` (where it is known) in `partition`, or undefined. */
function roleProblem(arn: string, partition: Partition, account?: string): string | undefined {
  const [, arnPartition, arnAccount] = roleArn.exec(arn) ?? [];
  if (arnAccount === undefined) return 'expected the ARN of a role, arn:aws:iam::123456789012:role/name';
  if (arnPartition !== partition)
    return `this role is in partition ${arnPartition}, but the regions are in ${partition}`;
  if (account !== undefined && account !== arnAccount)
    return `this role is in account ${arnAccount}; expected one in account ${account}`;
  return undefined;
}

/** `key=value` lines; a comma parts two of them where what follows it is again `key=`. */
function readTags(reader: Reader, input: string, text: string): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const pair of text
    .split(/\n|,(?=[^,=\n]+=)/)
    .map((part) => part.trim())
    .filter(Boolean)) {
    const at = pair.indexOf('=');
    if (at < 1) reader.note(input, pair, 'expected key=value');
    else tags[pair.slice(0, at).trim()] = pair.slice(at + 1).trim();
  }
  return checkTags(reader, input, tags);
}

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
function checkTags(reader: Reader, input: string, tags: Record<string, string>): Record<string, string> {
  for (const [key, value] of Object.entries(tags)) {
    const shown = `${key}=${value}`;
    if (key.length < 1 || key.length > 128) reader.note(input, shown, 'a tag key has 1 to 128 characters');
    if (value.length > 256) reader.note(input, shown, 'a tag value has at most 256 characters');
    if (/^aws:/i.test(key)) reader.note(input, shown, 'tag keys that begin with aws: are reserved by AWS');
    if (key.startsWith(tagPrefix))
      reader.note(input, shown, `tag keys that begin with ${tagPrefix} are this action's own`);
    reader.templateValue(input, value);
  }
  if (Object.keys(tags).length > maxTags - ownTagCount) {
    reader.note(
      input,
      `${Object.keys(tags).length} tags`,
      `expected at most ${maxTags - ownTagCount}, since AWS allows ${maxTags} and this action sets up to ${ownTagCount}`,
    );
  }
  return tags;
}

type TargetEntry = {
  account: string;
  region: string;
  'role-arn'?: string;
  'kms-key'?: string;
  'ami-name'?: string;
  tags?: Record<string, string>;
};
const entryFields = ['account', 'region', 'role-arn', 'kms-key', 'ami-name', 'tags'];

/** The YAML list of `targets`. Scalars are read as text, so that an account ID keeps its leading zeros. */
function readTargetEntries(reader: Reader): TargetEntry[] {
  const text = reader.raw('targets');
  if (text.trim() === '') return [];
  let entries: unknown;
  try {
    entries = parseYaml(text, { schema: 'failsafe', maxAliasCount: 0, logLevel: 'error' });
  } catch (error) {
    reader.note(
      'targets',
      text,
      `is not YAML: ${error instanceof YAMLParseError ? error.message.split('\n')[0] : String(error)}`,
    );
    return [];
  }
  if (!Array.isArray(entries)) {
    reader.note('targets', text, 'expected a YAML list of {account, region, role-arn?, kms-key?, ami-name?, tags?}');
    return [];
  }
  return entries.flatMap((entry: unknown, index) => readTargetEntry(reader, `targets[${index}]`, entry) ?? []);
}

function readTargetEntry(reader: Reader, input: string, entry: unknown): TargetEntry | undefined {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    reader.note(input, String(entry), 'expected {account, region, role-arn?, kms-key?, ami-name?, tags?}');
    return undefined;
  }
  const found = reader.problems.length;
  const fields = new Map<string, unknown>(Object.entries(entry));
  for (const [field, value] of fields) {
    if (!entryFields.includes(field))
      reader.note(`${input}.${field}`, String(value), `is not known here; there are ${entryFields.join(', ')}`);
    else if (field !== 'tags' && typeof value !== 'string')
      reader.note(`${input}.${field}`, JSON.stringify(value), 'expected text');
  }
  for (const field of ['account', 'region']) {
    if (!fields.has(field)) reader.note(`${input}.${field}`, '', 'is needed');
  }
  const tags = fields.has('tags') ? readEntryTags(reader, `${input}.tags`, fields.get('tags')) : undefined;
  if (reader.problems.length > found) return undefined;
  return { ...(Object.fromEntries(fields) as Omit<TargetEntry, 'tags'>), ...(tags && { tags }) };
}

function readEntryTags(reader: Reader, input: string, value: unknown): Record<string, string> {
  if (typeof value === 'string') return readTags(reader, input, value);
  const pairs =
    typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined;
  if (pairs === undefined || pairs.some(([, text]) => typeof text !== 'string')) {
    reader.note(input, JSON.stringify(value), 'expected a mapping of keys to values, or key=value lines');
    return {};
  }
  return checkTags(reader, input, Object.fromEntries(pairs) as Record<string, string>);
}

/** Every account × every region, then what `targets` adds to them or overrides of them. */
function readTargets(reader: Reader, partition: Partition, run: RunContext): TargetRequest[] {
  const accounts = reader.list('target-accounts');
  const regions = reader.list('target-regions');
  const entries = readTargetEntries(reader);
  if (accounts.length > 0 !== regions.length > 0) {
    const [lacking, given] =
      accounts.length === 0
        ? (['target-accounts', 'target-regions'] as const)
        : (['target-regions', 'target-accounts'] as const);
    reader.note(lacking, '', `is needed beside ${given}: the targets are every account × every region`);
  } else if (accounts.length === 0 && entries.length === 0 && reader.text('targets') === '') {
    reader.note('target-accounts', '', 'expected target-accounts with target-regions, or targets');
  }
  const byPlace = new Map<string, TargetEntry>();
  for (const account of accounts)
    for (const region of regions) byPlace.set(`${account}/${region}`, { account, region });
  const seen = new Set<string>();
  for (const entry of entries) {
    const place = `${entry.account}/${entry.region}`;
    if (seen.has(place)) reader.note('targets', place, 'is named twice');
    seen.add(place);
    byPlace.set(place, { ...byPlace.get(place), ...entry });
  }
  const shared = {
    roleArn: reader.templateValue('target-role-arn', reader.optional('target-role-arn')),
    kmsKey: reader.template('target-kms-key'),
    amiName: reader.template('target-ami-name'),
    tags: readTags(reader, 'tags', reader.text('tags')),
  };
  const reported = new Set<string>();
  return [...byPlace.values()].map((entry) => {
    const { account, region } = entry;
    const values = { account, region, ...runValues(run) };
    /** A bad value that all targets share is told once. */
    const once = (input: string, value: string, problem: string | undefined): void => {
      if (problem !== undefined && !reported.has(`${input} ${value}`)) reader.note(input, value, problem);
      reported.add(`${input} ${value}`);
    };
    const from = (field: keyof TargetEntry, input: InputName) =>
      entry[field] === undefined ? input : `targets ${account}/${region} ${field}`;
    once('target-accounts', account, accountId.test(account) ? undefined : 'expected a 12-digit account ID');
    once('target-regions', region, regionProblem(region, partition));
    const role = entry['role-arn'] ?? shared.roleArn;
    const kmsKey = reader.templateValue(
      from('kms-key', 'target-kms-key'),
      fill(entry['kms-key'] ?? shared.kmsKey, values),
    );
    const filledRole = reader.templateValue(
      from('role-arn', 'target-role-arn'),
      role === undefined ? undefined : fill(role, values),
    );
    if (filledRole !== undefined && !needsSourceImage(filledRole) && accountId.test(account))
      once(from('role-arn', 'target-role-arn'), filledRole, roleProblem(filledRole, partition, account));
    if (!needsSourceImage(kmsKey)) {
      once(
        from('kms-key', 'target-kms-key'),
        kmsKey,
        kmsKey === '' ? 'is needed: the key in the target account and region' : keyProblem(kmsKey, region, account),
      );
    }
    return {
      account,
      region,
      roleArn: filledRole,
      kmsKey,
      amiName: reader.templateValue(
        from('ami-name', 'target-ami-name'),
        fill(entry['ami-name'] ?? shared.amiName, values),
      ),
      tags: Object.fromEntries(
        Object.entries({ ...shared.tags, ...entry.tags }).map(([key, value]) => [key, fill(value, values)]),
      ),
    };
  });
}

function regionProblem(region: string, partition: Partition): string | undefined {
  if (!isRegionName(region)) return 'expected the name of a region, such as eu-west-1';
  const own = partitionOf(region);
  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html: no copies across partitions
  if (own !== partition)
    return `is in partition ${own}, the source region in ${partition}: AWS copies nothing from one partition to another`;
  return undefined;
}

/** The values that every template may use, as they are known from the start. */
export function runValues(run: RunContext): { date: string; sha: string; 'run-id': string } {
  return { date: run.date.toISOString().slice(0, 10).replaceAll('-', ''), sha: run.sha, 'run-id': run.runId };
}

/**
 * The request that the inputs make, checked as far as it can be without a call.
 * `get` gives the raw text of an input, empty where it is not set; `readFile` the text of the Packer manifest.
 * @throws InputError that lists every problem
 */
export function readInputs(
  get: (name: string) => string,
  run: RunContext,
  readFile: (path: string) => string = (path) => readFileSync(path, 'utf8'),
): Request {
  const reader = new Reader(get);
  const region = reader.optional('source-region') ?? run.defaultRegion ?? '';
  if (region === '') reader.note('source-region', '', 'is needed where AWS_REGION is not set');
  else reader.checked('source-region', region, isRegionName, 'expected the name of a region, such as us-east-1');
  const partition = partitionOf(region);

  const sourceRole = reader.optional('source-role-arn');
  if (sourceRole !== undefined) {
    const problem = roleProblem(sourceRole, partition);
    if (problem !== undefined) reader.note('source-role-arn', sourceRole, problem);
  }
  const sourceKey = reader.optional('source-kms-key');
  if (sourceKey !== undefined) {
    const problem = keyProblem(sourceKey, region, roleArn.exec(sourceRole ?? '')?.[2]);
    if (problem !== undefined) reader.note('source-kms-key', sourceKey, problem);
  }
  const request: Request = {
    image: readSourceImage(reader, region, readFile),
    source: {
      region,
      partition,
      roleArn: sourceRole,
      kmsKey: sourceKey,
      keyAccess: reader.oneOf('source-key-access', keyAccesses),
    },
    targets: readTargets(reader, partition, run),
    credentials: {
      roleChaining: reader.flag('role-chaining'),
      // https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
      externalId: reader.checked(
        'external-id',
        reader.optional('external-id'),
        (text) => /^[\w+=,.@:/-]{2,1224}$/.test(text),
        'expected 2 to 1224 letters, digits and +=,.@:/-',
      ),
      sessionName: readSessionName(reader, run),
      durationSeconds: reader.whole('role-duration-seconds', 900, 43_200),
      audience: readAudience(reader, partition),
    },
    description: reader.templateValue('target-ami-description', reader.optional('target-ami-description')),
    route: reader.oneOf('route', routes),
    allowLostBilling: reader.flag('allow-lost-billing'),
    onExisting: reader.oneOf('on-existing', onExistings),
    copyTags: reader.flag('copy-tags'),
    publication: readPublication(reader, partition, run),
    topology: reader.oneOf('topology', topologies),
    hubKmsKey: reader.templateValue('hub-kms-key', reader.optional('hub-kms-key')),
    dryRun: reader.flag('dry-run'),
    failFast: reader.flag('fail-fast'),
    keyPreflight: reader.oneOf('key-preflight', ['fail', 'warn']),
    keepIntermediates: reader.flag('keep-intermediates'),
    maxParallel: reader.whole('max-parallel', 1, 1000),
    copyMinutes: readCopyMinutes(reader),
    pollSeconds: reader.whole('poll-interval', 1, 3600),
    timeoutMinutes: reader.whole('timeout-minutes', 1, 7200),
    maskAccountIds: reader.flag('mask-aws-account-id'),
    run,
  };
  if (reader.problems.length > 0) throw new InputError(reader.problems);
  return request;
}

/** https://docs.aws.amazon.com/ebs/latest/userguide/time-based-copies.html */
function readCopyMinutes(reader: Reader): number | undefined {
  if (reader.text('copy-duration-minutes') === '') return undefined;
  const minutes = reader.whole('copy-duration-minutes', 15, 2880);
  if (minutes % 15 !== 0) reader.note('copy-duration-minutes', String(minutes), 'expected a multiple of 15');
  return minutes;
}

function readPublication(reader: Reader, partition: Partition, run: RunContext): Publication {
  const zones = reader.list('fast-snapshot-restore');
  for (const zone of zones.filter((zone) => zone !== 'all' && !/^[a-z]{2,3}(-[a-z]+)+-\d{1,2}[a-z]$/.test(zone)))
    reader.note('fast-snapshot-restore', zone, 'expected availability zones such as eu-west-1a, or all');
  const parameter = reader.templateValue('ssm-parameter', reader.optional('ssm-parameter'));
  // https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
  if (parameter !== undefined && !/^[\w./{}-]{1,1011}$/.test(parameter))
    reader.note('ssm-parameter', parameter, 'expected the name of an SSM parameter: letters, digits and _.-/');
  else if (parameter !== undefined && /^\/?(aws|ssm)/i.test(parameter))
    reader.note('ssm-parameter', parameter, 'names that begin with aws or ssm are reserved');
  return {
    deprecateAfter: readDeprecation(reader, run),
    deregistrationProtection: reader.oneOf('deregistration-protection', protections),
    fastSnapshotRestore: zones.includes('all') ? 'all' : zones,
    launchPermissions: reader.list('launch-permissions').flatMap((one) => readLaunch(reader, partition, one) ?? []),
    grantKeyTo: reader.list('grant-key-to').map((principal) => {
      reader.templateValue('grant-key-to', principal);
      const sample = fill(principal, { account: '0'.repeat(12), region: 'eu-west-1', ...runValues(run) });
      return reader.checked(
        'grant-key-to',
        principal,
        () => needsSourceImage(principal) || principalArn(partition).test(sample),
        `expected the ARN of a role, a user or an account root, such as arn:${partition}:iam::{account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling`,
      );
    }),
    ssmParameter: parameter,
    retain: reader.text('retain') === '' ? undefined : reader.whole('retain', 1, 10_000),
  };
}

function principalArn(partition: Partition): RegExp {
  return new RegExp(
    `^arn:${partition}:(iam::\\d{12}:(root|(role|user)/[\\w+=,.@/-]+)|sts::\\d{12}:assumed-role/[\\w+=,.@/-]+)$`,
  );
}

/** `90d`, or a moment as RFC 3339 has it. AWS takes up to ten years: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableImageDeprecation.html */
function readDeprecation(reader: Reader, run: RunContext): Publication['deprecateAfter'] {
  const text = reader.optional('deprecate-after');
  if (text === undefined) return undefined;
  const days = /^(\d{1,4})d$/.exec(text)?.[1];
  const at = days === undefined ? Date.parse(text) : run.date.getTime() + Number(days) * 86_400_000;
  const isTime =
    days !== undefined || /^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d))?$/.test(text);
  if (!isTime || Number.isNaN(at)) {
    reader.note('deprecate-after', text, 'expected days such as 90d, or a moment such as 2027-06-30T00:00:00Z');
  } else if (at <= run.date.getTime() || at > run.date.getTime() + 3650 * 86_400_000) {
    reader.note('deprecate-after', text, 'expected a time in the future, ten years ahead at most');
  }
  return days === undefined ? { at: new Date(at) } : { days: Number(days) };
}

function readLaunch(reader: Reader, partition: Partition, one: string): LaunchPermission | undefined {
  if (accountId.test(one)) return { UserId: one };
  const organizations = `^arn:${partition}:organizations::\\d{12}:`;
  if (new RegExp(`${organizations}organization/o-[a-z0-9]{10,32}$`).test(one)) return { OrganizationArn: one };
  if (new RegExp(`${organizations}ou/o-[a-z0-9]{10,32}/ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}$`).test(one))
    return { OrganizationalUnitArn: one };
  const all = /^(all|public|\*)$/i.test(one);
  reader.note(
    'launch-permissions',
    one,
    all
      ? 'an AMI with encrypted snapshots cannot be made public'
      : 'expected an account ID, or the ARN of an organization or an organizational unit',
  );
  return undefined;
}

const sourceInputs = ['ami-id', 'ami-name', 'ami-ssm-parameter', 'packer-manifest', 'instance-id'] as const;
const amiId = /^ami-([0-9a-f]{8}|[0-9a-f]{17})$/;
const instanceId = /^i-([0-9a-f]{8}|[0-9a-f]{17})$/;

/** The source AMI, which exactly one of five inputs names. */
function readSourceImage(reader: Reader, region: string, readFile: (path: string) => string): SourceImage {
  const noReboot = reader.flag('no-reboot');
  const given = sourceInputs.filter((name) => reader.text(name) !== '');
  const [name] = given;
  if (name === undefined || given.length > 1) {
    reader.note(
      given.join(', ') || sourceInputs.join(', '),
      given.map((one) => reader.text(one)).join(', '),
      'expected exactly one of these',
    );
    return { by: 'id', id: '' };
  }
  const value = reader.text(name);
  const checked = (pattern: RegExp, expected: string) =>
    reader.checked(name, value, (text) => pattern.test(text), expected);
  const readers: Record<(typeof sourceInputs)[number], () => SourceImage> = {
    'ami-id': () => ({ by: 'id', id: checked(amiId, 'expected the ID of an AMI, such as ami-0123456789abcdef0') }),
    'ami-name': () => ({ by: 'name', pattern: checked(/^.{1,128}$/, 'an AMI name has at most 128 characters') }),
    // https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
    'ami-ssm-parameter': () => ({
      by: 'ssm-parameter',
      name: checked(/^[\w.:/-]{1,2048}$/, 'expected the name or the ARN of an SSM parameter'),
    }),
    'instance-id': () => ({
      by: 'instance',
      id: checked(instanceId, 'expected the ID of an instance, such as i-0123456789abcdef0'),
      noReboot,
    }),
    'packer-manifest': () => ({ by: 'id', id: readManifest(reader, value, region, readFile) }),
  };
  return readers[name]();
}

function readManifest(reader: Reader, path: string, region: string, readFile: (path: string) => string): string {
  try {
    return amiFromManifest(readFile(path), region);
  } catch (error) {
    reader.note('packer-manifest', path, error instanceof Error ? error.message : String(error));
    return '';
  }
}

/** The session name, in which `{account}` and `{region}` are still to fill. Roles are assumed before the AMI is known. */
function readSessionName(reader: Reader, run: RunContext): string {
  const template = fill(reader.template('role-session-name'), runValues(run));
  if (needsSourceImage(template)) {
    reader.note('role-session-name', template, '{name} and {source-ami} are not known yet when a role is assumed');
    return template;
  }
  const longest = fill(template, { account: '0'.repeat(12), region: 'ap-southeast-1', name: '', 'source-ami': '' });
  // https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
  return reader.checked(
    'role-session-name',
    template,
    () => /^[\w+=,.@-]{2,64}$/.test(longest),
    'expected 2 to 64 letters, digits and +=,.@-',
  );
}

/** AWS's own audience is another one in the China partition; any that the user made up is taken as it is. */
function readAudience(reader: Reader, partition: Partition): string {
  const audience = reader.text('oidc-audience');
  return audience === inputDefaults['oidc-audience'] ? audienceOf(partition) : audience;
}
