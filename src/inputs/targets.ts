import type { Problem } from '../alike.ts';
import { isImageName } from '../image.ts';
import { isRegionName, isUnknownPartition, type Partition, partitionOf, unknownPartition } from '../regions.ts';
import { fill, needsSourceImage, shortestSource, unknownPlaceholders } from '../template.ts';
import { type Place, type Places, readPlaces } from './places.ts';
import { accountId, keyProblem, type Reader, type RunContext, roleProblem, runValues } from './reader.ts';
import { readTags } from './tags.ts';
import { readTargetEntries, type TargetEntry } from './target-entries.ts';

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
  /** Whether its failure is a warning, and holds back nothing elsewhere. */
  optional: boolean;
  /** What was given of it alone: what the input `targets` takes to name it, beside the inputs that all share. */
  own: TargetEntry;
  /** With `target-regions: all`: it stands for all regions of its account, which are not read yet, or could not be. */
  everyRegion: Readonly<{ problem: Problem | undefined }> | undefined;
}>;

/** Where all is: the source region with its partition, and the regions of accounts as far as they have been read. */
export type Regions = Readonly<{
  region: string;
  partition: Partition;
  enabled: EnabledRegions | undefined;
  /** Whether each target must name a key. */
  needsKey: boolean;
}>;

/** The regions that accounts have enabled, by account; or why they could not be read. */
export type EnabledRegions = ReadonlyMap<string, Readonly<{ regions: readonly string[] } | { problem: Problem }>>;

/**
 * Every account × every region, then what `targets` adds to them or overrides of them, without what is excluded; and what
 * seems to be misspelt.
 */
export function readTargets(
  reader: Reader,
  within: Regions,
  run: RunContext,
): Readonly<{ targets: TargetRequest[]; unmatched: readonly string[] }> {
  const listed = listTargets(reader, within);
  const excluded = readPlaces(reader, 'exclude-targets');
  const optional = readPlaces(reader, 'optional-targets');
  const entries = listed.filter((entry) => !excluded.has(standingFor(entry)));
  if (entries.length === 0 && listed.length > 0)
    reader.note('exclude-targets', reader.text('exclude-targets'), 'leaves no target');
  const shared = {
    'role-arn': reader.optional('target-role-arn'),
    'kms-key': reader.text('target-kms-key'),
    'ami-name': reader.text('target-ami-name'),
    tags: readTags(reader, 'tags', reader.text('tags')),
    optional,
  };
  // Which regions an account has, a list of regions need not say.
  const known = listed.every(({ everyRegion }) => everyRegion === undefined);
  return {
    targets: entries.map((entry) => readTarget(reader, { entry, shared, within, run })),
    unmatched: known ? [...excluded.unmatched(listed), ...optional.unmatched(listed)] : [],
  };
}

/** What stands for all regions of an account is named only with all of them. */
function standingFor({ account, region, everyRegion }: Listed): Place {
  return { account, region: everyRegion === undefined ? region : '*' };
}

type Listed = TargetEntry & Readonly<{ everyRegion?: NonNullable<TargetRequest['everyRegion']> }>;

/** Each place that is named, once. */
function listTargets(reader: Reader, within: Regions): Listed[] {
  const accounts = reader.list('target-accounts');
  const entries = readTargetEntries(reader);
  checkLists(reader, entries);
  const regions = reader.list('target-regions');
  const isAll = regions.includes('all');
  if (isAll && regions.length > 1)
    reader.note('target-regions', 'all', 'stands for every region that is enabled; name no other beside it');
  const named = regions.map((region) => ({ region }));
  const regionsOf = (account: string): readonly Omit<Listed, 'account'>[] =>
    isAll ? enabledIn(account, within) : named;
  const pairs = accounts.reduce((sum, account) => sum + regionsOf(account).length, entries.length);
  if (pairs > maxTargets) {
    reader.note('target-accounts', `${pairs} pairs of account and region`, `expected at most ${maxTargets} targets`);
    return [];
  }
  const byPlace = new Map<string, Listed>();
  for (const account of accounts)
    for (const one of regionsOf(account)) {
      const { region } = standingFor({ account, ...one });
      byPlace.set(`${account}/${region}`, { account, ...one });
    }
  const seen = new Set<string>();
  for (const entry of entries) {
    const place = `${entry.account}/${entry.region}`;
    if (seen.has(place)) reader.note('targets', place, 'is named twice');
    seen.add(place);
    byPlace.set(place, { ...byPlace.get(place), ...entry });
  }
  if (byPlace.size === 0) noteEmpty(reader);
  return [...byPlace.values()];
}

/**
 * Notes that the lists come to nothing, unless one of them could not be read. What a command lists may be empty, and a run
 * that has nothing to do would pass for one that has done it.
 */
function noteEmpty(reader: Reader): void {
  if (reader.problems.some(({ where }) => /^target(s\b|-accounts$|-regions$)/.test(where))) return;
  const given = (['target-accounts', 'target-regions', 'targets'] as const).filter((name) => reader.text(name) !== '');
  reader.note(given.join(', '), given.map((name) => reader.text(name)).join(', '), 'names no target');
}

/** Notes which of the lists is lacking. One that could not be read is noted already. */
function checkLists(reader: Reader, entries: readonly TargetEntry[]): void {
  const [noAccounts, noRegions] = [reader.text('target-accounts') === '', reader.text('target-regions') === ''];
  if (noAccounts !== noRegions) {
    const [lacking, given] = noAccounts
      ? (['target-accounts', 'target-regions'] as const)
      : (['target-regions', 'target-accounts'] as const);
    reader.note(lacking, '', `is needed beside ${given}: the targets are every account × every region`);
  } else if (noAccounts && entries.length === 0 && reader.text('targets') === '') {
    reader.note('target-accounts', '', 'expected target-accounts with target-regions, or targets');
  }
}

/** The regions of an account with `target-regions: all`; the source region stands for those that are not known. */
function enabledIn(account: string, { region, enabled }: Regions): readonly Omit<Listed, 'account'>[] {
  const known = enabled?.get(account) ?? { problem: undefined };
  if ('regions' in known) return known.regions.map((one) => ({ region: one }));
  return [{ region, everyRegion: { problem: known.problem } }];
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
  optional: Places;
}>;

type Origin = Readonly<{ entry: Listed; shared: SharedValues; within: Regions; run: RunContext }>;

function readTarget(reader: Reader, { entry, shared, within, run }: Origin): TargetRequest {
  const { partition, needsKey } = within;
  const { everyRegion, ...own } = entry;
  const { account, region } = own;
  const values = { account, region, ...runValues(run) };
  const check = (input: string, value: string, problem: string | undefined): void => {
    if (problem !== undefined) reader.note(input, value, problem);
  };
  const from = (field: 'role-arn' | 'kms-key' | 'ami-name') =>
    entry[field] === undefined ? `target-${field}` : `targets ${account}/${region} ${field}`;
  const template = (field: 'kms-key' | 'ami-name') => reader.templateValue(from(field), entry[field] ?? shared[field]);
  check('target-accounts', account, accountId.test(account) ? undefined : 'expected a 12-digit account ID');
  check('target-regions', region, regionProblem(region, partition));
  const role = reader.templateValue(from('role-arn'), entry['role-arn'] ?? shared['role-arn']);
  const roleArn = role === undefined ? undefined : fill(role, values);
  if (roleArn !== undefined && !needsSourceImage(roleArn) && accountId.test(account))
    check(from('role-arn'), roleArn, roleProblem(roleArn, partition, account));
  if (roleArn !== undefined && needsSourceImage(roleArn) && everyRegion !== undefined)
    check(
      from('role-arn'),
      roleArn,
      '{name} and {source-ami} are not known yet when regions are read (target-regions: all)',
    );
  const kmsKey = fill(template('kms-key'), values);
  check(from('kms-key'), kmsKey, targetKeyProblem(kmsKey, entry, needsKey));
  const amiName = template('ami-name');
  const couldName = isImageName(fill(amiName, { ...values, ...shortestSource }));
  if (unknownPlaceholders(amiName).length === 0) check(from('ami-name'), amiName, couldName ? undefined : noImageName);
  const optional =
    entry.optional === 'true' || (entry.optional === undefined && shared.optional.has(standingFor(entry)));
  const tags = { ...shared.tags, ...entry.tags };
  return {
    account,
    region,
    roleArn,
    kmsKey,
    amiName,
    tags,
    optional,
    own: optional ? { ...own, optional: 'true' } : own,
    everyRegion,
  };
}

/** What is wrong with the key of a target, as far as it is known without the source AMI. */
function targetKeyProblem(key: string, { account, region }: Listed, isNeeded: boolean): string | undefined {
  if (needsSourceImage(key)) return undefined;
  if (key !== '') return keyProblem(key, region, account);
  return isNeeded ? 'is needed: the key in the target account and region' : undefined;
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
