// Shares out thousands of targets among the jobs of .github/workflows/fan-out.yml.
// Nothing is installed where it runs, so it needs Node alone; hence `targets` is JSON here, which is YAML, too.
// Every job shards the same inputs again and takes its own part: account IDs then cross no job's border, where GitHub
// would drop them if they were masked, and no output has to hold thousands of targets.
import { randomUUID } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** https://docs.github.com/en/actions/reference/limits: a matrix makes at most 256 jobs. */
export const maxJobs = 256;

/** One job serves so many with time to spare; more would be lost at once should it die. */
export const maxPerJob = 200;

/** The same limit holds for a job's input `targets`; some room is left. */
const maxShardBytes = 100_000;

const fields = ['account', 'region', 'role-arn', 'kms-key', 'ami-name', 'tags', 'optional'];
const entryForm = '{account, region, role-arn?, kms-key?, ami-name?, tags?, optional?}';

const tooMany = `are more than ${maxJobs} jobs of ${maxPerJob} targets and ${maxShardBytes} bytes hold; call the workflow several times`;

/** What is wrong with the inputs, all of it. */
export class InputError extends Error {
  name = 'InputError';
}

/** Items one a line or with commas, or a JSON array of texts; each once. */
function list(text, input, problems) {
  if (!text.trim().startsWith('[')) return unique(text.split(/[\n,]/));
  try {
    const items = JSON.parse(text);
    if (Array.isArray(items) && items.every((item) => typeof item === 'string')) return unique(items);
  } catch {
    // What isn't JSON is told as what isn't a list of texts.
  }
  problems.push(`${input}: expected a JSON array of texts in quotes, or the items one a line or with commas`);
  return [];
}

const unique = (items) => [...new Set(items.map((item) => item.trim()).filter(Boolean))];

const placeOf = ({ account, region }) => `${account}/${region}`;

function parseEntries(text, problems) {
  if (text.trim() === '') return [];
  try {
    const entries = JSON.parse(text);
    if (Array.isArray(entries)) return entries;
    problems.push(`targets: expected a JSON array of ${entryForm}`);
  } catch (error) {
    problems.push(`targets: is not JSON, which is what this workflow takes: ${error.message}`);
  }
  return [];
}

/** The entry as the action takes it, or undefined after a note of what is wrong with it. */
function readEntry(entry, name, problems) {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    problems.push(`${name}: expected ${entryForm}`);
    return undefined;
  }
  const unknown = Object.keys(entry).filter((field) => !fields.includes(field));
  if (unknown.length > 0)
    problems.push(`${name}: ${unknown.join(', ')} is not known here; there are ${fields.join(', ')}`);
  // An account ID without quotes is a number; it has lost nothing, since JSON allows no leading zero.
  return { ...entry, account: String(entry.account ?? ''), region: String(entry.region ?? '') };
}

const isAccount = (text) => /^\d{12}$/.test(text);
const isRegion = (text) => /^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$/.test(text);

/** Whether a target is one of those that an input lists as `account/region`, `*` standing for any, as the action reads it. */
function readPlaces(text, input, problems) {
  const patterns = list(text, input, problems).map((item) => {
    const [account = '', region = '', ...rest] = item.split('/');
    const isPlace = (account === '*' || isAccount(account)) && (region === '*' || isRegion(region));
    if (!isPlace || rest.length > 0)
      problems.push(
        `${input}: ${JSON.stringify(item)}: expected account/region, such as 999999999999/eu-west-1, 999999999999/* or */eu-west-1`,
      );
    return { account, region };
  });
  const fits = (pattern, value) => pattern === '*' || pattern === value;
  return ({ account, region }) => patterns.some((one) => fits(one.account, account) && fits(one.region, region));
}

/** What is no account ID and no region's name, each told once. */
function misnamed(targets) {
  const accounts = [...new Set(targets.map(({ account }) => account))].filter((one) => !isAccount(one));
  const regions = [...new Set(targets.map(({ region }) => region))].filter((one) => !isRegion(one));
  return [
    ...accounts.map((account) => `${JSON.stringify(account)}: expected a 12-digit account ID`),
    ...regions.map((region) => `${JSON.stringify(region)}: expected the name of a region, such as eu-west-1`),
  ];
}

/**
 * Every account × every region, then what `targets` adds to them or overrides of them, without what is excluded, as the
 * action reads them.
 * @throws InputError that lists every problem
 */
export function readTargets({ accounts = '', regions = '', targets = '', optional = '', excluded = '' }) {
  const problems = [];
  const accountIds = list(accounts, 'target-accounts', problems);
  const regionNames = list(regions, 'target-regions', problems);
  if ((accounts.trim() === '') !== (regions.trim() === ''))
    problems.push('target-accounts and target-regions need each other: the targets are every account × every region');
  // A few lines can name a billion: they are counted before they are made.
  const pairs = accountIds.length * regionNames.length;
  if (pairs > maxJobs * maxPerJob) throw new InputError(`${pairs} pairs of account and region ${tooMany}`);
  const product = accountIds.flatMap((account) => regionNames.map((region) => ({ account, region })));
  const byPlace = new Map(product.map((target) => [placeOf(target), target]));
  const seen = new Set();
  for (const [index, raw] of parseEntries(targets, problems).entries()) {
    const entry = readEntry(raw, `targets[${index}]`, problems);
    if (entry === undefined) continue;
    const place = placeOf(entry);
    if (seen.has(place)) problems.push(`targets: ${place} is named twice`);
    seen.add(place);
    byPlace.set(place, { ...byPlace.get(place), ...entry });
  }
  const isOptional = readPlaces(optional, 'optional-targets', problems);
  const isExcluded = readPlaces(excluded, 'exclude-targets', problems);
  if (regionNames.includes('all'))
    problems.push('target-regions: all is not taken here, where no account is asked for its regions; name them');
  else problems.push(...misnamed([...byPlace.values()]));
  const all = [...byPlace.values()]
    .filter((target) => !isExcluded(target))
    .map((target) => (isOptional(target) ? { optional: true, ...target } : target));
  if (all.length === 0 && byPlace.size > 0) problems.push('exclude-targets: leaves no target');
  if (byPlace.size === 0 && problems.length === 0)
    problems.push('there are no targets: give target-accounts with target-regions, or targets');
  if (problems.length > 0) throw new InputError(problems.join('\n'));
  return all;
}

/** Fills jobs with one group after another; a group is parted only where no job could hold it. */
function pack(groups, perJob) {
  const jobs = [];
  let [job, bytes] = [[], 0];
  const close = () => {
    if (job.length > 0) jobs.push(job);
    [job, bytes] = [[], 0];
  };
  for (const group of groups) {
    const sizes = group.map((target) => Buffer.byteLength(JSON.stringify(target)) + 1);
    const groupBytes = sizes.reduce((sum, size) => sum + size, 0);
    if (job.length + group.length > perJob || bytes + groupBytes > maxShardBytes) close();
    for (const [index, target] of group.entries()) {
      if (job.length >= perJob || (job.length > 0 && bytes + sizes[index] > maxShardBytes)) close();
      job.push(target);
      bytes += sizes[index];
    }
  }
  close();
  return jobs;
}

/**
 * The targets of each job. An account's targets stay together, so that each role is assumed by few jobs; a job gets
 * `perJob` targets, or more where there would be more jobs than GitHub allows.
 * @throws InputError when even full jobs are too many
 */
export function shardTargets(targets, perJob) {
  if (!Number.isInteger(perJob) || perJob < 1 || perJob > maxPerJob)
    throw new InputError(`targets-per-job: expected a whole number from 1 to ${maxPerJob}`);
  const byAccount = new Map();
  for (const target of targets) byAccount.set(target.account, [...(byAccount.get(target.account) ?? []), target]);
  const accounts = [...byAccount.values()];
  const least = Math.max(perJob, Math.ceil(targets.length / maxJobs));
  for (let size = least; size <= maxPerJob; size += Math.ceil(size / 20)) {
    const jobs = pack(accounts, size);
    if (jobs.length <= maxJobs) return jobs;
  }
  const jobs = pack(
    accounts.flat().map((target) => [target]),
    maxPerJob,
  );
  if (jobs.length <= maxJobs) return jobs;
  throw new InputError(`${targets.length} targets ${tooMany}`);
}

/** What plan, share and collect shard alike: the inputs as the workflow hands them over in the environment. */
export function shardsFrom(env) {
  const file = env.TARGETS_FILE ?? '';
  if (file !== '' && (env.TARGETS ?? '').trim() !== '')
    throw new InputError('targets and targets-artifact: give one of them');
  if (file !== '' && !existsSync(file)) throw new InputError('targets-artifact: the artifact holds no targets.json');
  const targets = file === '' ? env.TARGETS : readFileSync(file, 'utf8');
  const all = readTargets({
    ...{ accounts: env.TARGET_ACCOUNTS, regions: env.TARGET_REGIONS, targets },
    ...{ optional: env.OPTIONAL_TARGETS, excluded: env.EXCLUDE_TARGETS },
  });
  return { targets: all, shards: shardTargets(all, Number(env.TARGETS_PER_JOB)) };
}

/** A command for the runner; what the user wrote could hold line ends. */
export function command(name, text) {
  console.log(`::${name}::${text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')}`);
}

/** Sets outputs of the step, by a delimiter that no value holds. */
export function setOutputs(file, outputs) {
  const end = `end-${randomUUID()}`;
  for (const [name, value] of Object.entries(outputs)) appendFileSync(file, `${name}<<${end}\n${value}\n${end}\n`);
}

/** Keeps the account IDs out of the log and the summary of the job from here on. */
export function maskAccounts(targets, env) {
  if (env.MASK_ACCOUNTS !== 'true') return;
  for (const account of new Set(targets.map((target) => target.account))) command('add-mask', account);
}

/** Runs `work`; an input that is wrong is an annotation, not a stack. */
export function run(work) {
  try {
    work();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    command('error', error.message);
    process.exitCode = 1;
  }
}

/** With JOB, the targets of that job; without it, the matrix of all jobs. */
function main(env) {
  const { targets, shards } = shardsFrom(env);
  maskAccounts(targets, env);
  if ((env.JOB ?? '') !== '') {
    const shard = shards[Number(env.JOB) - 1];
    if (shard === undefined) throw new InputError(`there is no job ${env.JOB}: the inputs make ${shards.length}`);
    setOutputs(env.GITHUB_OUTPUT, { targets: JSON.stringify(shard) });
    return;
  }
  const accounts = new Set(targets.map(({ account }) => account)).size;
  const sizes = shards.map((shard) => shard.length);
  setOutputs(env.GITHUB_OUTPUT, {
    matrix: JSON.stringify({ job: shards.map((_, index) => index + 1) }),
    jobs: shards.length,
  });
  appendFileSync(
    env.GITHUB_STEP_SUMMARY,
    `${targets.length} targets in ${accounts} accounts are shared by ${shards.length} jobs, ${Math.min(...sizes)} to ${Math.max(...sizes)} targets each.\n`,
  );
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) run(() => main(process.env));
