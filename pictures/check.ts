// npm run check --prefix pictures: whether mermaid itself parses every diagram that the action draws in a summary, and
// every one of the documents; and whether what AWS and the user wrote is rendered as text. The built action runs on the simulator. Ends in 1, with mermaid's words, where it doesn't.
import { readdirSync, readFileSync } from 'node:fs';
import { diagramsOf } from '../__tests__/diagrams.ts';
import { summaryCases, thousandTargets } from '../__tests__/summaries.ts';
import { fanOut } from '../simulator/scenarios/standard.ts';
import { summaryText } from '../src/report/summary.ts';
import { foreignTextFaults } from './foreign-text.ts';
import { complaint } from './parse-mermaid.mjs';
import { planOf, summaryOf } from './summary.ts';

const root = new URL('../', import.meta.url);
const documents = ['README.md', ...readdirSync(new URL('docs/', root)).map((file) => `docs/${file}`)]
  .filter((file) => file.endsWith('.md'))
  .map((file) => [file, readFileSync(new URL(file, root), 'utf8')] as const);

// What mermaid must refuse: a check that lets it pass checks nothing.
const broken = '```mermaid\nflowchart LR\n  a["b"c"]\n```\n';
if ((await complaint(diagramsOf(broken)[0] ?? '')) === null) throw new Error('mermaid takes a diagram that is broken');

const summaries: (readonly [string, string])[] = [];
for (const [name, one, inputs] of summaryCases) summaries.push([name, await summaryOf(one, inputs)]);
for (const failing of [0, 3, 1000])
  summaries.push([`1000 targets, ${failing} failing`, summaryText(thousandTargets(failing))]);

let count = 0;
const fail = (text: string) => {
  console.error(text);
  process.exitCode = 1;
};
for (const [name, text] of [...documents, ...summaries]) {
  const diagrams = diagramsOf(text);
  // Where there are problems, nothing is planned that could be drawn.
  if (diagrams.length === 0 && !name.endsWith('.md') && name !== 'problems') fail(`${name}: no diagram`);
  for (const diagram of diagrams) {
    count += 1;
    const words = await complaint(diagram);
    if (words !== null) fail(`${name}: ${words}\n${diagram}`);
  }
}
for (const fault of await foreignTextFaults(await planOf(fanOut()))) fail(fault);
if (process.exitCode === undefined)
  console.log(`mermaid parses all of ${count} diagrams, and of foreign text nothing is rendered but the text`);
