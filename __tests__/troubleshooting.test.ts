/*
 * docs/troubleshooting.md tells more of some errors and warnings, by their texts: in the first cell of the tables headed
 * `Message`, and of those headed `AWS says` in the first (AWS's words that the action goes by) and the second (what it
 * adds to them). Each text there must be one that the action can give; `<…>` stands for what differs from run to run.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { inputDefaults } from '../src/inputs/reader.ts';

const page = readFileSync(new URL('../docs/troubleshooting.md', import.meta.url), 'utf8');

const folder = new URL('../src/', import.meta.url);
/** All of src/, with the gaps of templates, quotes and line breaks as one blank. */
const source = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => readFileSync(new URL(path, folder), 'utf8'))
  .join('\n')
  .replaceAll(/\\(['"`])/g, '$1')
  .replaceAll(/\s+/g, ' ');

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
const messages = rows.filter(({ head }) => head === 'Message').flatMap(({ cells }) => spans(cells[0]));
const additions = rows.filter(({ head }) => head === 'AWS says').flatMap(({ cells }) => spans(cells[1]));

/** A text may be put together of so many that stand in src/, beside its gaps. */
const mostPieces = 4;

/** The part of `text`, between two gaps, that no few texts of src/ make; undefined where they do. */
function unsaid(text: string): string | undefined {
  return text
    .split(/<[^<>]*>|\*/)
    .map((part) => part.trim())
    .find((part) => {
      let words = part.split(' ').filter(Boolean);
      for (let pieces = 0; words.length > 0; pieces += 1) {
        let length = words.length;
        while (length > 0 && !source.includes(words.slice(0, length).join(' '))) length -= 1;
        if (length === 0 || pieces === mostPieces) return true;
        words = words.slice(length);
      }
      return false;
    });
}

describe('docs/troubleshooting.md', () => {
  test.each([...new Set([...messages, ...additions])])('the action can say: %s', (text) => {
    expect(unsaid(text)).toBeUndefined();
  });

  test('says of every text why, and what to do, and has none twice', () => {
    const says = (text: string) => /[a-z]{3,}/i.test(text);
    expect(rows.filter(({ head, cells }) => head === 'Message' && !cells.slice(1).every(says))).toEqual([]);
    expect(rows.filter(({ head, cells }) => head === 'AWS says' && !cells.slice(1).some(says))).toEqual([]);
    const all = [...messages, ...additions];
    expect(all.filter((text, index) => all.indexOf(text) !== index)).toEqual([]);
  });

  test('names only files and inputs that there are', () => {
    const inputs = Object.keys(inputDefaults);
    const files = [...page.matchAll(/`(policies\/[\w-]+\.json)`/g)].map(([, path = '']) => path);
    const there = readdirSync(new URL('../policies', import.meta.url)).map((name) => `policies/${name}`);
    expect(files.length).toBeGreaterThan(1);
    expect(files.filter((path) => !there.includes(path))).toEqual([]);
    const settings = [...page.matchAll(/`([a-z-]+): (?:true|false|warn|fail|reuse|replace|policy|existing)`/g)];
    expect(settings.map(([, name = '']) => name).filter((name) => !inputs.includes(name))).toEqual([]);
  });
});
