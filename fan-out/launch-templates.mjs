// Merges the outputs launch-templates of the jobs that promote, as files of .github/workflows/fan-out.yml.
import { pathToFileURL } from 'node:url';
import { filesIn } from './collect.mjs';
import { run, setOutputs } from './shard.mjs';

const fileName = /^job-\d+\.attempt-(\d+)\.launch-templates$/;

/**
 * The versions of all jobs, by account and region; of a job that was run again, what a later attempt says stands.
 * @param files the text of each file, by name
 */
export function mergeLaunchTemplates(files) {
  const found = Object.entries(files).flatMap(([name, text]) => {
    const [, attempt] = fileName.exec(name) ?? [];
    return attempt === undefined || text.trim() === ''
      ? []
      : [{ attempt: Number(attempt), versions: JSON.parse(text) }];
  });
  const merged = {};
  for (const { versions } of found.sort((one, other) => one.attempt - other.attempt))
    for (const [account, regions] of Object.entries(versions)) merged[account] = { ...merged[account], ...regions };
  return merged;
}

function main(env) {
  setOutputs(env.GITHUB_OUTPUT, { 'launch-templates': JSON.stringify(mergeLaunchTemplates(filesIn(env.RESULTS))) });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) run(() => main(process.env));
