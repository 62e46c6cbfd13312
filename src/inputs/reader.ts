import { type Problem, problemLines } from '../alike.ts';
import { isTexts } from '../plain-data.ts';
import type { Partition } from '../regions.ts';
import { unknownPlaceholders } from '../template.ts';
import type { Yaml } from './yaml.ts';

/** Where the workflow run is told from: GitHub's context, and nothing else of the environment. */
export type RunContext = Readonly<{
  runUrl: string;
  runId: string;
  runAttempt: number;
  sha: string;
  date: Date;
  defaultRegion: string | undefined;
  /** Until when a run with such sessions may go on, where anything bounds it. */
  lastMoment?: (sessions: RunSessions) => LastMoment | undefined;
}>;

/** In ms since the epoch; and whether sessions that last longer would move it. */
type LastMoment = Readonly<{ at: number; canBeLater: boolean }>;

type RunSessions = Readonly<{
  from: 'oidc' | 'environment' | 'auto';
  roleChaining: boolean;
  durationSeconds: number;
}>;

/** The values that every template may use, as they are known from the start. */
export function runValues(run: RunContext): { date: string; sha: string; 'run-id': string } {
  return { date: run.date.toISOString().slice(0, 10).replaceAll('-', ''), sha: run.sha, 'run-id': run.runId };
}

/** Every input of every action, with the default that its action.yml has (a test holds them together). */
export const inputDefaults = {
  'ami-id': '',
  'ami-name': '',
  'ami-ssm-parameter': '',
  'packer-manifest': '',
  'packer-build': '',
  'instance-id': '',
  'no-reboot': 'false',
  'max-severity': '',
  'scan-max-age-days': '',
  'scan-required': 'true',
  'scan-wait-minutes': '0',
  'fixable-only': 'false',
  'source-owners': 'self',
  'source-region': '',
  'source-role-arn': '',
  'source-kms-key': '',
  'source-key-access': 'grant',
  'target-accounts': '',
  'target-regions': '',
  'target-role-arn': '',
  'target-kms-key': '',
  targets: '',
  'optional-targets': '',
  'exclude-targets': '',
  credentials: 'auto',
  'role-chaining': 'false',
  'external-id': '',
  'role-session-name': 'share-encrypted-ami',
  'role-session-tags': '',
  'role-duration-seconds': '3600',
  'oidc-audience': 'sts.amazonaws.com',
  'target-ami-name': '{name}',
  'target-ami-description': '',
  tags: '',
  'copy-tags': 'true',
  'intermediate-tags': '',
  route: 'auto',
  'allow-lost-billing': 'false',
  'on-existing': 'reuse',
  'deprecate-after': '',
  'deregistration-protection': 'off',
  'fast-snapshot-restore': '',
  'launch-permissions': '',
  'grant-key-to': '',
  'ssm-parameter': '',
  'launch-template': '',
  'launch-template-source-version': '$Latest',
  'launch-template-default': 'false',
  promote: 'true',
  'boot-test': 'off',
  'boot-instance-type': '',
  'boot-subnet': '',
  'boot-security-group': '',
  'boot-instance-profile': '',
  'boot-timeout-minutes': '10',
  'boot-required': 'true',
  lineage: '',
  retain: '',
  'retain-days': '0',
  'retain-shared': 'keep',
  'dry-run': 'false',
  'expect-plan-digest': '',
  'expect-plan-file': '',
  'on-problem': 'fail',
  'fail-fast': 'false',
  'key-preflight': 'fail',
  topology: 'direct',
  'hub-kms-key': '',
  'copy-duration-minutes': '',
  'keep-intermediates': 'false',
  'max-parallel': '20',
  'poll-interval': '15',
  'timeout-minutes': '',
  'mask-aws-account-id': 'false',
  'fail-on': 'missing, differs, unknown',
  'target-ami-ids': '',
  reason: '',
  how: 'disable',
  replacement: '',
  'include-source': 'false',
  restore: 'false',
} as const;

export type InputName = keyof typeof inputDefaults;

export const inputNames = Object.keys(inputDefaults) as InputName[];

/** Bad input: every problem at once, found before any call was made. */
export class InputError extends Error {
  override name = 'InputError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const count = problems.length === 1 ? 'One input is' : `${problems.length} inputs are`;
    super(`${count} not usable; nothing was changed.\n${problemLines(problems, 'the job summary has them all')}`);
    this.problems = problems;
  }
}

function show(value: string): string {
  if (value === '') return 'not set';
  return JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}…` : value);
}

/** What a value is to be, for the program and in words. */
type Check = Readonly<{ fits: (text: string) => boolean; expected: string }>;

/** Gives the text of a file that an input names, of at most so many bytes; throws where there is none. */
export type ReadFile = (path: string, maxBytes: number) => string;

/** Gathers problems while the inputs are read; each reader gives a usable value even where it noted a problem. */
export class Reader {
  readonly #problems = new Map<string, Problem>();
  readonly #get: (name: string) => string;
  readonly #yaml: Yaml | undefined;

  constructor(get: (name: string) => string, yaml?: Yaml) {
    this.#get = get;
    this.#yaml = yaml;
  }

  /** What reads YAML. @throws Error where none was thought to be there */
  get yaml(): Yaml {
    if (this.#yaml === undefined) throw new Error('an input holds YAML, and nothing is there that reads it');
    return this.#yaml;
  }

  /** What was noted, each once. */
  get problems(): readonly Problem[] {
    return [...this.#problems.values()];
  }

  /** How many were. */
  get noted(): number {
    return this.#problems.size;
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
    const what = `${show(value)} — ${expected}`;
    this.#problems.set(JSON.stringify([input, what]), { where: input, what, remedy: '' });
  }

  /** `value`, with a note unless it `fits` or is absent. */
  checked<T extends string | undefined>(input: string, value: T, { fits, expected }: Check): T {
    if (value !== undefined && !fits(value)) this.note(input, value, expected);
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

  /** Items one a line or with commas, or a JSON array of texts; each once. */
  list(name: InputName): string[] {
    const text = this.text(name);
    const items = text.startsWith('[') ? this.#jsonList(name, text) : text.split(/[\n,]/);
    return [...new Set(items.map((item) => item.trim()).filter(Boolean))];
  }

  #jsonList(name: InputName, text: string): string[] {
    try {
      const items: unknown = JSON.parse(text);
      if (isTexts(items)) return items;
    } catch {
      // What isn't JSON is told as what isn't a list of texts.
    }
    this.note(name, text, 'expected a JSON array of texts in quotes, or the items one a line or with commas');
    return [];
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

export const accountId = /^\d{12}$/;
export const roleArn = /^arn:(aws|aws-cn|aws-us-gov):iam::(\d{12}):role\/[\w+=,.@/-]{1,576}$/;
// https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id
const keyId = /^(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const alias = /^alias\/[\w/-]{1,250}$/;
const keyArn = /^arn:(aws|aws-cn|aws-us-gov):kms:([a-z0-9-]+):(\d{12}):((?:key|alias)\/.+)$/;

/** What is wrong with `key` as a customer managed key in `region` (and `account`, where it is known), or undefined. */
export function keyProblem(key: string, region: string, account: string | undefined): string | undefined {
  const [, , arnRegion, arnAccount, resource] = keyArn.exec(key) ?? [];
  const name = resource?.replace(/^key\//, '') ?? key;
  if (!alias.test(name) && !keyId.test(name)) {
    return 'expected an alias (alias/name), a key ID, or the ARN of either';
  }
  if (name.startsWith('alias/aws/')) {
    return 'this is an AWS managed key, which no other account can be given; expected a customer managed key';
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
export function roleProblem(arn: string, partition: Partition, account?: string): string | undefined {
  const [, arnPartition, arnAccount] = roleArn.exec(arn) ?? [];
  if (arnAccount === undefined) return 'expected the ARN of a role, arn:aws:iam::123456789012:role/name';
  if (arnPartition !== partition)
    return `this role is in partition ${arnPartition}, but the regions are in ${partition}`;
  if (account !== undefined && account !== arnAccount)
    return `this role is in account ${arnAccount}; expected one in account ${account}`;
  return undefined;
}
