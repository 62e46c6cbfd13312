import { parse as parseYaml, YAMLParseError } from 'yaml';
import { isRegionName, isUnknownPartition, type Partition, partitionOf, unknownPartition } from '../regions.ts';
import { fill, needsSourceImage } from '../template.ts';
import {
  accountId,
  type InputName,
  keyProblem,
  type Reader,
  type RunContext,
  roleProblem,
  runValues,
} from './reader.ts';
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
export function readTargets(reader: Reader, partition: Partition, run: RunContext): TargetRequest[] {
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
      amiName: reader.templateValue(from('ami-name', 'target-ami-name'), entry['ami-name'] ?? shared.amiName),
      tags: { ...shared.tags, ...entry.tags },
    };
  });
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
