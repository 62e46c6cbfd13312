// Merges what the jobs of .github/workflows/fan-out.yml published and removed: the outputs launch-templates and
// removed-amis.
import { pathToFileURL } from 'node:url';
import { filesIn, fitting, parsed, warnOfShortened } from './collect.mjs';
import { run, setOutputs } from './shard.mjs';

const fileName = /^(?:job|promote)-\d+\.attempt-(\d+)\.(launch-templates|removed-amis)$/;

/** What the files of one output hold, by attempt; a job that was cut off leaves empty and half-written ones. */
function heldIn(files, output) {
  const found = Object.entries(files).flatMap(([name, text]) => {
    const [, attempt, kind] = fileName.exec(name) ?? [];
    const value = parsed(text);
    return kind === output && value ? [{ attempt: Number(attempt), value }] : [];
  });
  return found.sort((one, other) => one.attempt - other.attempt).map(({ value }) => value);
}

/**
 * The versions of all jobs, by account and region; of a job that was run again, what a later attempt says stands.
 * @param files the text of each file, by name
 */
export function mergeLaunchTemplates(files) {
  const merged = {};
  for (const versions of heldIn(files, 'launch-templates'))
    for (const [account, regions] of Object.entries(versions)) merged[account] = { ...merged[account], ...regions };
  return merged;
}

/** The AMIs that any attempt of any job removed, each once with all of its snapshots that are gone. */
export function mergeRemovedAmis(files) {
  const merged = new Map();
  for (const removed of heldIn(files, 'removed-amis').flat()) {
    const key = [removed.account, removed.region, removed.amiId].join(' ');
    const snapshotIds = new Set([...(merged.get(key)?.snapshotIds ?? []), ...removed.snapshotIds]);
    merged.set(key, { ...removed, snapshotIds: [...snapshotIds] });
  }
  return [...merged.values()];
}

function main(env) {
  const files = filesIn(env.RESULTS);
  const removed = mergeRemovedAmis(files);
  const { outputs, shortened } = fitting([
    ['launch-templates', [mergeLaunchTemplates(files)]],
    ['removed-amis', [removed, removed.map((one) => ({ ...one, snapshotIds: [] }))]],
  ]);
  setOutputs(env.GITHUB_OUTPUT, outputs);
  warnOfShortened(shortened);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) run(() => main(process.env));
