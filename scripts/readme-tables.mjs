// Writes README's tables of inputs and outputs from action.yml, and the policies from policies/, each between its markers
// (<!-- inputs --> and <!-- /inputs -->).
import { readFileSync, writeFileSync } from 'node:fs';
import { isMap, parseDocument } from 'yaml';

const action = parseDocument(readFileSync('action.yml', 'utf8'));

/** The entries of a block of action.yml; `group` is the comment that heads the entry, if one does. */
function entriesOf(name) {
  const block = action.get(name);
  if (!isMap(block)) throw new Error(`action.yml has no ${name}`);
  return block.items.map(({ key, value }, index) => ({
    name: key.value,
    // The comment above the first entry belongs to the block.
    group: (key.commentBefore ?? (index === 0 ? block.commentBefore : undefined))?.trim(),
    ...value.toJSON(),
  }));
}

const cell = (text) => String(text).trim().replaceAll(/\s+/g, ' ').replaceAll('|', '\\|');
const row = (...cells) => `| ${cells.map(cell).join(' | ')} |`;
const defaultOf = (input) =>
  input.required === true ? '**required**' : (input.default ?? '') === '' ? '' : `\`${input.default}\``;

const tables = {
  inputs: [
    row('input', 'default', 'meaning'),
    row('---', '---', '---'),
    ...entriesOf('inputs').flatMap((input) => [
      ...(input.group ? [row(`**${input.group}**`, '', '')] : []),
      row(`\`${input.name}\``, defaultOf(input), input.description),
    ]),
  ],
  outputs: [
    row('output', 'value'),
    row('---', '---'),
    ...entriesOf('outputs').map((output) => row(`\`${output.name}\``, output.description)),
  ],
};

for (const name of ['source-role', 'target-role', 'trust-branch']) {
  const path = `policies/${name}.json`;
  tables[path] = ['```json', readFileSync(path, 'utf8').trim(), '```'];
}

let readme = readFileSync('README.md', 'utf8');
for (const [name, lines] of Object.entries(tables)) {
  const [start, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [before, rest] = readme.split(start);
  const after = rest?.split(end)[1];
  if (after === undefined) throw new Error(`README.md needs the lines ${start} and ${end}`);
  readme = `${before}${start}\n${lines.join('\n')}\n${end}${after}`;
}
writeFileSync('README.md', readme);
