import { isAlias, parseDocument, visit } from 'yaml';
import { isImageName } from '../image.ts';
import { isRegionName, isUnknownPartition, type Partition, partitionOf, unknownPartition } from '../regions.ts';
import { fill, needsSourceImage, shortestSource, unknownPlaceholders } from '../template.ts';
import { accountId, keyProblem, type Reader, type RunContext, roleProblem, runValues } from './reader.ts';
import { checkTags, readTags } from './tags.ts';

/**
 * One account in one region, as asked for. The role and the key still hold `{name}` and `{source-ami}`, the AMI's name and
 * the tags all placeholders: they are approved as templates.
 */
export type TargetRequest = Readonly<{
  account: string;
  region: string;
  roleArn: string | undefined;
  kmsKey: string;
  amiName: string;
  tags: Readonly<Record<string, string>>;
}>;

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
  const { entries, problem } = parseEntries(text);
  if (problem !== undefined) {
    reader.note('targets', text, problem);
    return [];
  }
  if (!Array.isArray(entries)) {
    reader.note('targets', text, 'expected a YAML list of {account, region, role-arn?, kms-key?, ami-name?, tags?}');
    return [];
  }
  return entries.flatMap((entry: unknown, index) => readTargetEntry(reader, `targets[${index}]`, entry) ?? []);
}

/** What a YAML text holds, or what is wrong with it. An alias could make a list of billions out of a few lines. */
function parseEntries(text: string): Readonly<{ entries?: unknown; problem?: string }> {
  try {
    const document = parseDocument(text, { schema: 'failsafe', logLevel: 'error' });
    const [error] = document.errors;
    if (error !== undefined) return { problem: `is not YAML: ${error.message.split('\n')[0]}` };
    let anchored: string | undefined;
    visit(document, {
      Node(_, node) {
        anchored ??= isAlias(node)
          ? `*${node.source}`
          : 'anchor' in node && node.anchor
            ? `&${node.anchor}`
            : undefined;
      },
    });
    if (anchored !== undefined)
      return { problem: `YAML anchors and aliases (${anchored}) are not taken; write each target out` };
    return { entries: document.toJS() };
  } catch (error) {
    return { problem: `is not YAML: ${String(error)}` };
  }
}

function readTargetEntry(reader: Reader, input: string, entry: unknown): TargetEntry | undefined {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    reader.note(input, String(entry), 'expected {account, region, role-arn?, kms-key?, ami-name?, tags?}');
    return undefined;
  }
  const found = reader.noted;
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
  if (reader.noted > found) return undefined;
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
export function readTargets(reader: Reader, partition: Partition, run: RunContext): TargetRequest[] {
  const accounts = reader.list('target-accounts');
  const regions = reader.list('target-regions');
  const entries = readTargetEntries(reader);
  // A list that could not be read is noted already.
  const [noAccounts, noRegions] = [reader.text('target-accounts') === '', reader.text('target-regions') === ''];
  if (noAccounts !== noRegions) {
    const [lacking, given] = noAccounts
      ? (['target-accounts', 'target-regions'] as const)
      : (['target-regions', 'target-accounts'] as const);
    reader.note(lacking, '', `is needed beside ${given}: the targets are every account × every region`);
  } else if (noAccounts && entries.length === 0 && reader.text('targets') === '') {
    reader.note('target-accounts', '', 'expected target-accounts with target-regions, or targets');
  }
  const pairs = accounts.length * regions.length + entries.length;
  if (pairs > maxTargets) {
    reader.note('target-accounts', `${pairs} pairs of account and region`, `expected at most ${maxTargets} targets`);
    return [];
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
    'role-arn': reader.optional('target-role-arn'),
    'kms-key': reader.text('target-kms-key'),
    'ami-name': reader.text('target-ami-name'),
    tags: readTags(reader, 'tags', reader.text('tags')),
  };
  return [...byPlace.values()].map((entry) => readTarget(reader, { entry, shared, partition, run }));
}

const noImageName = "an AMI's name has 3 to 128 letters, digits, spaces and ()[]./-'@_";

/** More than one run could share with; they are counted before they are made, for a few lines can name a billion. */
const maxTargets = 100_000;

/** What a target has that `targets` doesn't say otherwise. */
type SharedValues = Readonly<{
  'role-arn': string | undefined;
  'kms-key': string;
  'ami-name': string;
  tags: Record<string, string>;
}>;

type Origin = Readonly<{ entry: TargetEntry; shared: SharedValues; partition: Partition; run: RunContext }>;

function readTarget(reader: Reader, { entry, shared, partition, run }: Origin): TargetRequest {
  const { account, region } = entry;
  const values = { account, region, ...runValues(run) };
  const check = (input: string, value: string, problem: string | undefined): void => {
    if (problem !== undefined) reader.note(input, value, problem);
  };
  const from = (field: keyof SharedValues) =>
    entry[field] === undefined ? `target-${field}` : `targets ${account}/${region} ${field}`;
  const template = (field: 'kms-key' | 'ami-name') => reader.templateValue(from(field), entry[field] ?? shared[field]);
  check('target-accounts', account, accountId.test(account) ? undefined : 'expected a 12-digit account ID');
  check('target-regions', region, regionProblem(region, partition));
  const role = reader.templateValue(from('role-arn'), entry['role-arn'] ?? shared['role-arn']);
  const roleArn = role === undefined ? undefined : fill(role, values);
  if (roleArn !== undefined && !needsSourceImage(roleArn) && accountId.test(account))
    check(from('role-arn'), roleArn, roleProblem(roleArn, partition, account));
  const kmsKey = fill(template('kms-key'), values);
  if (!needsSourceImage(kmsKey))
    check(
      from('kms-key'),
      kmsKey,
      kmsKey === '' ? 'is needed: the key in the target account and region' : keyProblem(kmsKey, region, account),
    );
  const amiName = template('ami-name');
  const couldName = isImageName(fill(amiName, { ...values, ...shortestSource }));
  if (unknownPlaceholders(amiName).length === 0) check(from('ami-name'), amiName, couldName ? undefined : noImageName);
  return { account, region, roleArn, kmsKey, amiName, tags: { ...shared.tags, ...entry.tags } };
}

function regionProblem(region: string, partition: Partition): string | undefined {
  if (!isRegionName(region)) return 'expected the name of a region, such as eu-west-1';
  if (isUnknownPartition(region)) return unknownPartition;
  const own = partitionOf(region);
  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/CopyingAMIs.html: no copies across partitions
  if (own !== partition)
    return `is in partition ${own}, the source region in ${partition}: AWS copies nothing from one partition to another`;
  return undefined;
}
