import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { documents } from '../scripts/document-parts.mjs';
import { diagramsOf } from './diagrams.ts';

/* What the documents point to is there, and what is generated in them is current. */

const root = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const files = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'],
  ...readdirSync(join(root, 'docs'))
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];

/** A document without its code, in which brackets are no links and `#` no heading. */
function prose(text: string): string {
  return text
    .replaceAll(/^( *)(`{3,})[\s\S]*?^ *\2$/gm, '')
    .replaceAll(/`[^`\n]+`/g, (code) => code.replace(/[[\]]/g, ''));
}

/** The targets of a document's links and pictures, those of HTML too. */
function linksOf(text: string): string[] {
  const markdown = [...prose(text).matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g)];
  const html = [...prose(text).matchAll(/<(?:a|img)\b[^>]*\b(?:href|src)="([^"]+)"/g)];
  return [...markdown, ...html].map(([, link = '']) => link);
}

/** The anchors that GitHub gives the headings of a document; the same heading again is counted. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of prose(text).matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const words = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const slug = words.replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '').replaceAll(' ', '-');
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** What of a document's own links leads nowhere. */
function brokenLinks(file: string, text: string): string[] {
  return linksOf(text).filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? file : relative(root, join(root, dirname(file), decodeURI(path)));
    if (target.startsWith('..') || !existsSync(join(root, target))) return true;
    if (anchor === undefined || anchor === '') return false;
    return statSync(join(root, target)).isDirectory() || !anchorsOf(path === '' ? text : read(target)).has(anchor);
  });
}

describe('every link of the repository leads to a file, and every anchor to a heading', () => {
  test.each(files)('%s', (file) => {
    expect(brokenLinks(file, read(file))).toEqual([]);
  });

  test('those that lead nowhere are found', () => {
    const text =
      '# One `two`\n[a](no.md) [b](README.md#nowhere) [c](#one-two) [d](docs#x) ![e](../e.png)\n```\n[f](g)\n```\n';
    expect(brokenLinks('README.md', text)).toEqual(['no.md', 'README.md#nowhere', 'docs#x', '../e.png']);
  });
});

test('tables and policies in the documents are what action.yml and policies/ say', () => {
  for (const [path, text] of Object.entries(documents())) expect(read(path)).toBe(text);
});

test('docs/security.md names the host of every AWS service that the action calls', () => {
  const services = [...read('src/aws/clients.ts').matchAll(/\bopen\('([a-z0-9]+)'/g)].map(
    ([, service = '']) => service,
  );
  const hosts = [...read('docs/security.md').matchAll(/^\| `([a-z0-9]+)(?:\.<region>)?\.amazonaws\.com` \|/gm)];
  expect(services.length).toBeGreaterThan(3);
  expect(hosts.map(([, service]) => service).sort()).toEqual(services.sort());
});

/** What of a diagram written by hand can't be right; whether it is, mermaid says: `npm run check --prefix pictures`. */
function faultsOf(diagram: string): string[] {
  // What is quoted, or stands by an arrow, may have any bracket.
  const text = diagram.replaceAll(/"[^"\n]*"|\|[^|\n]*\|/g, '').replaceAll(/-\.?-?>|--+|==+>?/g, ' ');
  const count = (pattern: RegExp) => text.match(pattern)?.length ?? 0;
  return [
    ...(/^(flowchart (LR|TD)|sequenceDiagram|stateDiagram-v2|gantt)\n/.test(diagram) ? [] : ['kind']),
    ...(count(/[[({]/g) === count(/[\])}]/g) ? [] : ['brackets']),
    ...(/["|]/.test(text) ? ['quotes'] : []),
    ...(count(/^ *subgraph /gm) === count(/^ *end$/gm) ? [] : ['subgraphs']),
  ];
}

test('every diagram of the documents is of a kind that GitHub draws, and closes what it opens', () => {
  const diagrams = files.flatMap((file) => diagramsOf(read(file)));
  expect(diagrams.length).toBeGreaterThan(1);
  expect(diagrams.flatMap(faultsOf)).toEqual([]);
  const [one = ''] = diagrams;
  for (const [from, to] of [
    ['flowchart', 'chart'],
    [']', ''],
    ['|', ''],
    ['  end\n', ''],
  ] as const)
    expect(faultsOf(one.replace(from, to))).toHaveLength(1);
});
