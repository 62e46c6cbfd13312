/*
 * docs/troubleshooting.md holds every error and warning by its text; this compares it with src/, both ways.
 *
 * - In src/, a text is found by parsing (messages.ts); each `${…}` is a gap.
 * - In the page, the texts are the code spans in the first cell of the tables headed `Message`, and in the second cell of
 *   those headed `AWS says` (what the action adds to AWS's words); each `<…>` is a gap.
 * - `. What to do: …` follows many texts and counts for none; of a text of several lines the first counts; a text
 *   without a word of three letters (`${step}: ${why}`) only joins others.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { inputDefaults } from '../src/inputs/reader.ts';
import { type Message, readLiterals, readMessages, readUnknownErrors } from './messages.ts';

const page = readFileSync(new URL('../docs/troubleshooting.md', import.meta.url), 'utf8');
const source = readMessages();

/** A text of either side, with its gaps as `*`. */
function normal(text: string): string {
  const [first = ''] = text.split('\n');
  return first
    .replaceAll(/<[^<>]*>/g, '*')
    .replace(/\. What to do: .*$/, '')
    .replaceAll(/\*{2,}/g, '*')
    .trim();
}

const says = (text: string) => /[a-z]{3,}/i.test(text);

/** The texts of src/, each with the places that it comes from. */
function bySource(...lists: Message[][]): Map<string, string[]> {
  const texts = new Map<string, string[]>();
  for (const { text, at } of lists.flat())
    if (says(normal(text))) texts.set(normal(text), [...(texts.get(normal(text)) ?? []), at]);
  return texts;
}

type Row = Readonly<{ head: string; cells: readonly string[] }>;

/** The rows of the page's tables, each with the head of its table's first column. */
function rowsOf(markdown: string): Row[] {
  let head = '';
  return markdown.split('\n').flatMap((line, index, lines) => {
    if (!line.startsWith('|')) return [];
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    if (lines[index + 1]?.startsWith('| ---')) head = cells[1] ?? '';
    return line.startsWith('| ---') || cells[1] === head ? [] : [{ head, cells: cells.slice(1, -1) }];
  });
}

const rows = rowsOf(page);
const spans = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);
const messagesInPage = rows.filter(({ head }) => head === 'Message').flatMap(({ cells }) => spans(cells[0]));
const addedInPage = rows.filter(({ head }) => head === 'AWS says').flatMap(({ cells }) => spans(cells[1]));

describe('docs/troubleshooting.md', () => {
  test('has every text of src/', () => {
    const known = new Set([...messagesInPage, ...addedInPage].map(normal));
    const missing = [...bySource(source.messages, source.remedies)].filter(([text]) => !known.has(text));
    expect(missing).toEqual([]);
  });

  test('has no text that src/ no longer has, and none twice', () => {
    expect(messagesInPage.filter((text) => !bySource(source.messages).has(normal(text)))).toEqual([]);
    expect(addedInPage.filter((text) => !bySource(source.remedies).has(normal(text)))).toEqual([]);
    const all = [...messagesInPage, ...addedInPage];
    expect(all.filter((text, index) => all.indexOf(text) !== index)).toEqual([]);
  });

  test('says of every text why, and what to do', () => {
    const bare = rows.filter(({ head, cells }) => head === 'Message' && !cells.slice(1).every(says));
    expect(bare).toEqual([]);
    const empty = rows.filter(({ head, cells }) => head === 'AWS says' && !cells.slice(1).some(says));
    expect(empty).toEqual([]);
  });

  test('names only words of AWS that src/ looks for', () => {
    const words = rows.filter(({ head }) => head === 'AWS says').flatMap(({ cells }) => spans(cells[0]));
    expect(words.length).toBeGreaterThan(20);
    const { strings, patterns } = readLiterals();
    const inSource = (word: string) => patterns.includes(word) || [...strings].some((text) => text.includes(word));
    expect(words.filter((word) => !inSource(word))).toEqual([]);
  });

  test('names only files and inputs that there are', () => {
    const inputs = Object.keys(inputDefaults);
    const files = [...page.matchAll(/`(policies\/[\w-]+\.json)`/g)].map(([, path = '']) => path);
    const there = readdirSync(new URL('../policies', import.meta.url)).map((name) => `policies/${name}`);
    expect(files.length).toBeGreaterThan(5);
    expect(files.filter((path) => !there.includes(path))).toEqual([]);
    const settings = [...page.matchAll(/`([a-z-]+): (?:true|false|warn|fail|reuse|replace|policy|existing)`/g)];
    expect(settings.map(([, name = '']) => name).filter((name) => !inputs.includes(name))).toEqual([]);
  });

  test('has a heading for each of its links', () => {
    const anchors = [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w\s-]/g, '')
        .replaceAll(' ', '-'),
    );
    const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor = '']) => anchor);
    expect(links.filter((anchor) => !anchors.includes(anchor))).toEqual([]);
  });
});

describe('src/', () => {
  test('hands on no text that its own code doesn’t tell, but what others told or gathered', () => {
    expect(source.untold.toSorted()).toEqual(
      [
        // Texts of errors and findings that are in the page by themselves, on their way to the log.
        'index.ts: annotateError(plainText(message))',
        'index.ts: setFailed(errorMessage(error))',
        'index.ts: setFailed(plainText(sentence(error)))',
        'report/progress.ts: warning(plainText(message))',
        'share.ts: log.warn(warning)',
        'share.ts: run.log.warn(message)',
        'plan/problem.ts: add(message)',
        'plan/problem.ts: new StepError(doing)',
        'inputs/reader.ts: this.note(expected)',
        'inputs/source-image.ts: reader.checked(expected)',
        'inputs/source-image.ts: reader.note(error instanceof Error ? error.message : String(error))',
        'inputs/targets.ts: reader.note(problem)',
        // AWS's own reasons, and lists of them.
        'aws/wait.ts: new CopyFailedError(failure)',
        "steps/publish.ts: new Error(failures.join('; '))",
        // The attributes that differ.
        'steps/verify.ts: new Error(list)',
      ].toSorted(),
    );
  });

  test('throws no error whose text would not be found', () => {
    expect(readUnknownErrors()).toEqual([]);
  });
});
