// Writes into the manifests of the actions beside the main one the inputs that they share with it, by
// src/inputs/actions.ts, between `# <shared>` and `# </shared>`; into README.md the tables of inputs and outputs from action.yml, and into docs/permissions.md the policies from
// policies/, each between its markers (<!-- inputs --> and <!-- /inputs -->).
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMap, parseDocument } from 'yaml';
import { actionInputs } from '../src/inputs/actions.ts';

const root = new URL('../', import.meta.url);
const read = (path) => readFileSync(new URL(path, root), 'utf8');

/** The entries of a block of a manifest; `group` is the comment that heads the entry, if one does. */
function entriesOf(name, path = 'action.yml') {
  const block = parseDocument(read(path)).get(name);
  if (!isMap(block)) throw new Error(`${path} has no ${name}`);
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

const inputTable = (inputs) => [
  row('input', 'default', 'meaning'),
  row('---', '---', '---'),
  ...inputs.flatMap((input) => [
    ...(input.group ? [row(`**${input.group}**`, '', '')] : []),
    row(`\`${input.name}\``, defaultOf(input), input.description),
  ]),
];
const outputTable = (outputs) => [
  row('output', 'value'),
  row('---', '---'),
  ...outputs.map((output) => row(`\`${output.name}\``, output.description)),
];
/** The inputs that the manifest of an action beside the main one declares itself: its own, and what means something else there. */
const ownNames = (name) =>
  [
    ...read(`${name}/action.yml`)
      .split('# <shared>')[0]
      .matchAll(/^ {2}([a-z-]+):$/gm),
  ].map(([, input]) => input);
const ownInputs = (name) =>
  entriesOf('inputs', `${name}/action.yml`).filter((input) => ownNames(name).includes(input.name));

const tables = {
  inputs: inputTable(entriesOf('inputs')),
  outputs: outputTable(entriesOf('outputs')),
  'audit-inputs': inputTable(ownInputs('audit')),
  'audit-outputs': outputTable(entriesOf('outputs', 'audit/action.yml')),
  'recall-inputs': inputTable(ownInputs('recall')),
  'recall-outputs': outputTable(entriesOf('outputs', 'recall/action.yml')),
};

/** The text of each input of the main action's manifest, by its name. */
const inputTexts = new Map(
  [
    ...read('action.yml')
      .split('\noutputs:')[0]
      .matchAll(/^ {2}([a-z-]+):\n(?: {4}.*\n?)+/gm),
  ].map(([text, name]) => [name, text.trimEnd()]),
);

/** The manifest of an action beside the main one, with the inputs that it shares with that. */
function manifestOf(name) {
  const { reads, spare } = actionInputs[name];
  const shared = [...inputTexts.keys()].filter((input) => !ownNames(name).includes(input));
  const spared = shared
    .filter((input) => spare.includes(input))
    .map(
      (input) =>
        `  ${input}:\n    description: Accepted so that all steps can take the same inputs; has no effect here.`,
    );
  const lines = [
    ...shared.filter((input) => reads.includes(input)).map((input) => inputTexts.get(input)),
    ...(spared.length > 0 ? ['', "  # The main action's other inputs", ...spared] : []),
  ];
  return read(`${name}/action.yml`).replace(
    /( {2}# <shared>\n)[\s\S]*?( {2}# <\/shared>)/,
    (_, begin, end) => `${begin}${lines.join('\n')}\n${end}`,
  );
}

/** What stands between the markers of `name`. */
function partOf(name) {
  if (name.startsWith('policies/')) return ['```json', read(name).trim(), '```'];
  if (tables[name] === undefined) throw new Error(`there is no part ${name}`);
  return tables[name];
}

/** The parts that each document must have. */
const partsOf = {
  'README.md': Object.keys(tables),
  'docs/permissions.md': readdirSync(new URL('policies/', root)).map((file) => `policies/${file}`),
};

/** Every document that has parts, by its path, with its parts as they are now. */
export function documents() {
  const manifests = Object.keys(actionInputs).filter((name) => name !== 'share');
  return Object.fromEntries([
    ...manifests.map((name) => [`${name}/action.yml`, manifestOf(name)]),
    ...Object.entries(partsOf).map(([path, names]) => {
      const text = read(path).replaceAll(
        /<!-- (\S+) -->\n[\s\S]*?<!-- \/\1 -->/g,
        (_, name) => `<!-- ${name} -->\n${partOf(name).join('\n')}\n<!-- /${name} -->`,
      );
      const lacking = names.filter((name) => !text.includes(`<!-- /${name} -->`));
      if (lacking.length > 0) throw new Error(`${path} lacks ${lacking.join(', ')}`);
      return [path, text];
    }),
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of Object.entries(documents())) writeFileSync(new URL(path, root), text);
}
