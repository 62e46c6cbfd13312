// The file commands of a step: GITHUB_OUTPUT, GITHUB_STATE, GITHUB_ENV, GITHUB_PATH and GITHUB_STEP_SUMMARY.
// After actions/runner, src/Runner.Worker/FileCommandManager.cs.

import { mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StepLog } from './runner-commands.ts';
import type { Masks } from './runner-masks.ts';

const names = ['output', 'state', 'step_summary', 'env', 'path'] as const;
/** The paths of the files that one step writes. */
export type CommandFiles = Record<(typeof names)[number], string>;

/** Makes a step's files, empty. */
export function createCommandFiles(temp: string): CommandFiles {
  const parent = join(temp, '_runner_file_commands');
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, 'step-'));
  const files = Object.fromEntries(names.map((name) => [name, join(folder, name)])) as CommandFiles;
  for (const path of Object.values(files)) writeFileSync(path, '');
  return files;
}

export function commandFileVariables(files: CommandFiles): Record<string, string> {
  return Object.fromEntries(names.map((name) => [`GITHUB_${name.toUpperCase()}`, files[name]]));
}

export type Filed = {
  outputs: Record<string, string>;
  state: Record<string, string>;
  /** Masked; empty when it was too long. */
  summary: string;
  exported: { env: Record<string, string>; path: string[] };
};

/** Reads what a step left in its files, as the runner does however the step ended. */
export function readCommandFiles(files: CommandFiles, log: StepLog, masks: Masks): Filed {
  const path = readFileSync(files.path, 'utf8').split(/\r?\n/);
  const env = readPairs('env', files, log);
  const tooLong = summaryProblem(statSync(files.step_summary).size);
  if (tooLong !== undefined) log.annotate({ level: 'error', message: tooLong });
  return {
    outputs: readPairs('output', files, log),
    state: readPairs('state', files, log),
    summary: tooLong === undefined ? masks.apply(readFileSync(files.step_summary, 'utf8')) : '',
    exported: { env, path: path.filter((line) => line !== '') },
  };
}

function readPairs(name: 'output' | 'state' | 'env', files: CommandFiles, log: StepLog): Record<string, string> {
  const { pairs, error } = parseKeyValues(readFileSync(files[name], 'utf8'));
  const nameless = pairs.findIndex(([key]) => key === '');
  const problem = nameless < 0 ? error : "Value cannot be null. (Parameter 'name')";
  const values: Record<string, string> = {};
  for (const [key, value] of nameless < 0 ? pairs : pairs.slice(0, nameless)) {
    if (name === 'env' && key.toUpperCase() === 'NODE_OPTIONS') {
      const message = `Can't store ${key} output parameter using '$GITHUB_ENV' command.`;
      log.annotate({ level: 'error', message });
    } else values[key] = value;
  }
  if (problem !== undefined) log.fail(`Unable to process file command '${name}' successfully.`, problem);
  return values;
}

type KeyValueFile = { pairs: [name: string, value: string][]; error?: string };

/**
 * Reads `name=value` lines and `name<<delimiter` blocks. As in the runner, what stands before a malformed entry counts,
 * nothing after it does, and the step fails.
 */
function parseKeyValues(text: string): KeyValueFile {
  const pairs: [string, string][] = [];
  let rest = text;
  while (rest !== '') {
    const end = rest.indexOf('\n');
    const line = end < 0 ? rest : rest.slice(0, end);
    rest = end < 0 ? '' : rest.slice(end + 1);
    if (line === '') continue;
    const entry = entryOf(line, rest);
    if ('error' in entry) return { pairs, error: entry.error };
    pairs.push(entry.pair);
    rest = entry.rest;
  }
  return { pairs };
}

type Entry = Readonly<{ pair: [name: string, value: string]; rest: string } | { error: string }>;

/** The entry that a line begins, and what is left of the file after it. */
function entryOf(line: string, rest: string): Entry {
  const equals = line.indexOf('=');
  const heredoc = line.indexOf('<<');
  if (equals >= 0 && (heredoc < 0 || equals < heredoc))
    return { pair: [line.slice(0, equals), line.slice(equals + 1)], rest };
  if (heredoc < 0) return { error: `Invalid format '${line}'` };
  const name = line.slice(0, heredoc);
  const delimiter = line.slice(heredoc + 2);
  if (name === '' || delimiter === '')
    return { error: `Invalid format '${line}'. Name must not be empty and delimiter must not be empty` };
  return blockOf(name, delimiter, rest);
}

/** A block up to its delimiter; the last line of a file may lack its newline only if it is the delimiter. */
function blockOf(name: string, delimiter: string, text: string): Entry {
  const value: string[] = [];
  let rest = text;
  while (rest !== '') {
    const end = rest.indexOf('\n');
    const line = end < 0 ? rest : rest.slice(0, end);
    if (line === delimiter) return { pair: [name, value.join('\n')], rest: end < 0 ? '' : rest.slice(end + 1) };
    if (end < 0) return { error: 'Invalid value. EOF marker missing new line.' };
    value.push(line);
    rest = rest.slice(end + 1);
  }
  return { error: `Invalid value. Matching delimiter not found '${delimiter}'` };
}

/** A summary of more bytes than this is not uploaded; the step passes all the same. */
const summaryLimitBytes = 1024 * 1024;

/** What the runner says about a summary that is too long, if it is (Constants.Runner.UnsupportedSummarySize). */
function summaryProblem(bytes: number): string | undefined {
  if (bytes <= summaryLimitBytes) return undefined;
  const kilo = (size: number) => `${Math.floor(size / 1024)}k`;
  return (
    `$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of ${kilo(summaryLimitBytes)}, got ${kilo(bytes)}. ` +
    'For more information see: https://docs.github.com/actions/using-workflows/workflow-commands-for-github-actions#adding-a-markdown-summary'
  );
}
