// Merges what the jobs of .github/workflows/fan-out.yml left: one record a target, whatever became of its job.
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { command, InputError, maskAccounts, run, setOutputs, shardsFrom } from './shard.mjs';

/**
 * GitHub takes 1 MB of outputs from a job, counted as UTF-16: https://docs.github.com/en/actions/reference/limits
 * What is past that fails the job, so some room is left.
 */
const maxOutputCharacters = 450_000;

const fileName = /^job-(\d+)\.attempt-(\d+)\.(targets|ami-ids|source-ami-id)$/;

/** What a file says, or undefined where it says nothing: a job that was cut off leaves empty and half-written files. */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * What each job left, by its number. A job that was run again leaves files of each attempt; what a later attempt says
 * stands, and what it doesn't say is taken from the one before.
 * @param files the text of each file, by name
 */
export function readResults(files) {
  const found = Object.entries(files).flatMap(([name, text]) => {
    const [, job, attempt, kind] = fileName.exec(name) ?? [];
    const value = kind === 'source-ami-id' ? text.trim() || undefined : parsed(text);
    const fits = kind === 'targets' ? Array.isArray(value) : value !== undefined && value !== null;
    return job !== undefined && fits ? [{ job: Number(job), attempt: Number(attempt), kind, value }] : [];
  });
  const results = new Map();
  for (const { job, kind, value } of found.sort((one, other) => one.attempt - other.attempt))
    results.set(job, { ...results.get(job), [kind]: value });
  return results;
}

const placeOf = ({ account, region }) => `${account}/${region}`;

function missing({ account, region, optional = false }, amiId, error) {
  const bare = { account, region, amiId, amiName: null, snapshotIds: [], kmsKeyArn: null, seconds: 0 };
  if (String(optional) === 'true') bare.optional = true;
  return amiId === null ? { ...bare, status: 'failed', error } : { ...bare, status: 'created' };
}

/** Why a job's target has no record. */
function reasonOf(result, job, share) {
  if (share === 'skipped') return 'not begun, because an earlier job failed';
  const log = `the log of job ${job} may say more`;
  return result === undefined
    ? `its job left no result: it was cancelled, or its runner was lost; ${log}`
    : `its job left no record of it; ${log}`;
}

/**
 * A record for each target, in the order of the inputs.
 * @param share the result of the jobs as GitHub tells it: success, failure, cancelled or skipped
 */
export function merge({ targets, shards, results, share }) {
  const records = new Map();
  for (const [index, shard] of shards.entries()) {
    const job = index + 1;
    const result = results.get(job);
    const known = new Map((result?.targets ?? []).map((record) => [placeOf(record), record]));
    for (const target of shard) {
      // A job's records may be too long for it to keep; its AMI IDs are a tenth of them.
      const amiId = result?.['ami-ids']?.[target.account]?.[target.region] ?? null;
      const record = known.get(placeOf(target)) ?? missing(target, amiId, reasonOf(result, job, share));
      records.set(placeOf(target), record);
    }
  }
  return targets.map((target) => records.get(placeOf(target)));
}

const isFailed = ({ status }) => status === 'failed';
/** Whether the whole fails for it. */
const isLost = (record) => isFailed(record) && record.optional !== true;
const isReady = (record) => typeof record.amiId === 'string' && !isFailed(record);

/** The outputs `ami-ids` and `ami-ids-by-region`, as the action makes them. */
function amiIdsOf(records) {
  const [byAccount, byRegion] = [{}, {}];
  for (const { account, region, amiId } of records.filter(isReady)) {
    byAccount[account] = { ...byAccount[account], [region]: amiId };
    byRegion[region] = [...(byRegion[region] ?? []), amiId];
  }
  return { byAccount, byRegion };
}

const brief = ({ account, region, amiId, status }) => ({ account, region, amiId, status });

/**
 * The outputs, as many as GitHub takes, the most needed first. Records that are too many lose what is not needed to
 * find the AMI; what still doesn't fit is empty, and named in `shortened`. The artifact has it all.
 */
export function outputsOf(records, limit = maxOutputCharacters) {
  const { byAccount, byRegion } = amiIdsOf(records);
  const failed = records.filter(isFailed);
  return fitting(
    [
      ['failed-targets', [failed, failed.map(brief)]],
      ['ami-ids', [byAccount]],
      ['ami-ids-by-region', [byRegion]],
      ['targets', [records, records.map(brief)]],
    ],
    limit,
  );
}

/**
 * As many outputs as there is room for, the first before the others, each in the first of its forms that fits.
 * @param wanted the name of each output and its forms, the longest first
 */
export function fitting(wanted, limit = maxOutputCharacters) {
  let room = limit;
  const [outputs, shortened] = [{}, []];
  for (const [name, forms] of wanted) {
    const texts = forms.map((form) => JSON.stringify(form));
    const text = texts.find(({ length }) => length <= room) ?? '';
    if (text !== texts[0]) shortened.push(name);
    outputs[name] = text;
    room -= text.length;
  }
  return { outputs, shortened };
}

/** Warns of the outputs that are not whole. */
export function warnOfShortened(shortened) {
  if (shortened.length > 0)
    command('warning', `too long for GitHub's outputs, so shortened or empty: ${shortened.join(', ')}`);
}

const maxShown = 200;

/** AWS's words as code: in it, GitHub sees no Markdown, HTML, link or mention. */
function asCode(text) {
  const short = text.length > 500 ? `${text.slice(0, 500)}…` : text;
  const line = short.replace(/[\s\p{Cc}\p{Cf}\p{Cs}\p{Default_Ignorable_Code_Point}]+/gu, ' ').trim();
  const longest = Math.max(0, ...(line.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence} ${line} ${fence}`;
}

function verdictOn(records) {
  const lost = records.filter(isLost).length;
  if (lost > 0) return `❌ ${lost} of ${records.length} targets failed`;
  const planned = records.filter(({ status }) => status === 'planned').length;
  if (planned > 0) return `📋 Dry run: ${planned} of ${records.length} AMIs would be made; nothing was changed`;
  const ready = records.filter(isReady).length;
  if (ready === records.length) return `✅ All ${ready} AMIs are ready`;
  return `⚠️ ${ready} of ${records.length} AMIs are ready; the others are optional, and failed`;
}

/** The summary of the whole: what failed in full, the rest in numbers, since each job's own summary has its targets. */
export function summaryOf({ records, shards, results, shortened, artifact }) {
  const failed = records.filter(isFailed);
  const byPlace = new Map(records.map((record) => [placeOf(record), record]));
  const count = (shard, status) => shard.filter((target) => byPlace.get(placeOf(target))?.status === status).length;
  const statuses = ['created', 'reused', 'planned', 'failed'].filter((status) => count(records, status) > 0);
  const failures = failed
    .slice(0, maxShown)
    .map(
      (record) =>
        `- **${placeOf(record)}**${record.optional ? ' (optional)' : ''}: ${asCode(record.error ?? 'it is not told why')}`,
    );
  const more = failed.length > maxShown ? [`- …and ${failed.length - maxShown} more`] : [];
  const rows = shards.map((shard, index) => {
    const accounts = new Set(shard.map(({ account }) => account)).size;
    const left = results.has(index + 1) ? '' : ' (left no result)';
    return `| ${index + 1}${left} | ${accounts} | ${shard.length} | ${statuses.map((status) => count(shard, status)).join(' | ')} |`;
  });
  return [
    `## ${verdictOn(records)}`,
    '',
    ...(failures.length > 0 ? ['### Failures', '', ...failures, ...more, ''] : []),
    `The artifact \`${artifact}\` has a record of every target.`,
    ...(shortened.length > 0 ? [`GitHub takes no more of these outputs than: ${shortened.join(', ')}.`] : []),
    '',
    `| job | accounts | targets | ${statuses.join(' | ')} |`,
    `|--:|--:|--:|${statuses.map(() => '--:').join('|')}|`,
    ...rows,
    '',
  ].join('\n');
}

/** The text of each file in a folder, by name. */
export function filesIn(folder) {
  // No artifact at all, and there is no folder.
  if (!existsSync(folder)) return {};
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

function main(env) {
  // Should the inputs be wrong, the outputs are still what their readers can parse.
  setOutputs(env.GITHUB_OUTPUT, { targets: '[]', 'failed-targets': '[]', 'ami-ids': '{}', 'ami-ids-by-region': '{}' });
  const { targets, shards } = shardsFrom(env);
  maskAccounts(targets, env);
  const results = readResults(filesIn(env.RESULTS));
  const records = merge({ targets, shards, results, share: env.SHARE_RESULT });
  const { outputs, shortened } = outputsOf(records);
  const sources = new Set([...results.values()].flatMap((result) => result['source-ami-id'] ?? []));
  setOutputs(env.GITHUB_OUTPUT, { ...outputs, 'source-ami-id': [...sources].join(' ') });
  mkdirSync(env.MERGED, { recursive: true });
  writeFileSync(join(env.MERGED, 'targets.json'), `${JSON.stringify(records, null, 2)}\n`);
  writeFileSync(join(env.MERGED, 'ami-ids.json'), `${JSON.stringify(amiIdsOf(records).byAccount, null, 2)}\n`);
  appendFileSync(env.GITHUB_STEP_SUMMARY, summaryOf({ records, shards, results, shortened, artifact: env.ARTIFACT }));
  warnOfShortened(shortened);
  if (sources.size > 1) throw new InputError(`the jobs shared different AMIs: ${[...sources].join(', ')}`);
  const lost = records.filter(isLost).length;
  if (lost > 0) throw new InputError(`${lost} of ${records.length} targets failed; the job summary names them`);
  const optional = records.filter(isFailed).length;
  if (optional > 0) command('warning', `optional targets failed: ${optional}; the job summary names them`);
  if (env.SHARE_RESULT !== 'success')
    command(
      'warning',
      `every target that is needed is ready, but a job did not end well (${env.SHARE_RESULT}): see its log`,
    );
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) run(() => main(process.env));
