import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseSync } from 'rolldown/utils';

/*
 * The texts that src/ can put before a user, found by parsing it. A text is what stands where an error, a problem, a
 * warning or a remedy is handed on (`handedOn`): a string, a template, a choice of several, a variable that is one of
 * these, or a call to a function of src/ that returns one. Each `${…}` of a template is a gap, written `*`, unless a
 * text of ours stands in it (`${problem.what}`).
 */

/** A text with the place that it comes from, such as `plan/key.ts:45`. */
export type Message = Readonly<{ text: string; at: string }>;

/** Where a text is handed on: the call as it is written, and which argument it is; in one file alone, if that is named. */
const handedOn: readonly (readonly [call: RegExp, argument: number, file?: string])[] = [
  [/^new (Error|CredentialsError|StepError)$/, 0],
  [/^new CopyFailedError$/, 1],
  [/^new CopyFailedError$/, 2],
  [/^super$/, 0],
  [/^findings\.(add|warn|attempt)$/, 1],
  [/^add$/, 1, 'plan/problem.ts'],
  [/^(reader|this)\.note$/, 2],
  [/^reader\.checked$/, 3],
  [/^checked$/, 1, 'inputs/source-image.ts'],
  [/^once$/, 2, 'inputs/targets.ts'],
  [/^((run\.)?log\.)?warn$/, 0],
  [/^(warning|setFailed|annotateError)$/, 0],
  [/^(run\.leftBehind|report\.failed|notPutBack)\.push$/, 0],
  [/^attempt$/, 0, 'steps/clean-up.ts'],
  [/^step$/, 0, 'steps/publish.ts'],
  [/^unseen$/, 0, 'lease.ts'],
  [/^tagging$/, 3, 'plan/preflight.ts'],
];

/** Properties that hold a part of a warning, what AWS didn't say of a failure, or what an annotation says. */
const properties = ['without', 'failure', 'error', 'message'];

/** Variables that hold the steps of a list, each with its name first; in one file. */
const stepLists: readonly (readonly [name: string, file: string])[] = [['steps', 'steps/carry-over.ts']];

/** Functions that return what failed. */
const returning = ['conclude'];

/** What holds remedies for errors that are told in AWS's words. */
const remedies = ['remedies', 'copyRemedy', 'remedyFor', 'accessRemedy', 'trustRemedy'];

type Node = { type: string; start: number; end: number } & Record<string, unknown>;
type File = { path: string; code: string; program: Node; parents: Map<Node, Node> };

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

function childrenOf(node: Node): Node[] {
  return Object.values(node).flat().filter(isNode);
}

const source = join(import.meta.dirname, '../src');
const files = new Map(
  readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => [path, readSource(path)]),
);

function readSource(path: string): File {
  const code = readFileSync(join(source, path), 'utf8');
  const { program, errors } = parseSync(path, code);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`);
  const file: File = { path, code, program: program as unknown as Node, parents: new Map() };
  for (const node of walk(file.program)) for (const child of childrenOf(node)) file.parents.set(child, node);
  return file;
}

function* walk(node: Node): Generator<Node> {
  yield node;
  for (const child of childrenOf(node)) yield* walk(child);
}

const written = ({ code }: File, { start, end }: Node): string => code.slice(start, end);
const place = ({ path, code }: File, { start }: Node): string => `${path}:${code.slice(0, start).split('\n').length}`;
const nameOf = (node: unknown): string | undefined =>
  isNode(node) && node.type === 'Identifier' ? String(node.name) : undefined;
const keyOf = (property: Node): string | undefined => nameOf(property.key);

/** What `expression` may be, as texts; undefined where it isn't told by the source. */
function textsOf(file: File, expression: unknown): string[] | undefined {
  if (!isNode(expression)) return undefined;
  const either = (...branches: unknown[]): string[] | undefined => {
    const known = branches.flatMap((branch) => textsOf(file, branch) ?? []);
    return known.length > 0 ? known : undefined;
  };
  switch (expression.type) {
    case 'Literal':
      return typeof expression.value === 'string' ? [expression.value] : undefined;
    case 'TemplateLiteral':
      return templateTexts(file, expression);
    case 'ConditionalExpression':
      return either(expression.consequent, expression.alternate);
    case 'LogicalExpression':
      return either(expression.left, expression.right);
    case 'Identifier': {
      const value = initialOf(file, expression);
      return value === undefined ? importedTexts(file, nameOf(expression)) : textsOf(file, value);
    }
    case 'MemberExpression':
      return nameOf(expression.property) === 'what' ? propertiesOf(file, 'what') : undefined;
    case 'SpreadElement':
      return textsOf(file, expression.argument);
    case 'ParenthesizedExpression':
      return textsOf(file, expression.expression);
    case 'CallExpression':
      return mappedTo(file, expression) ?? returnedBy(file, nameOf(expression.callee));
    case 'ArrayExpression':
      // A pair of what is wrong and what to do.
      return textsOf(file, (expression.elements as unknown[])[0]);
    default:
      return undefined;
  }
}

/** What `list.map((one) => …)` makes of each. */
function mappedTo(file: File, call: Node): string[] | undefined {
  const callee = call.callee as Node;
  const [mapping] = call.arguments as Node[];
  return nameOf(callee.property) === 'map' && mapping?.type === 'ArrowFunctionExpression'
    ? textsOf(file, mapping.body)
    : undefined;
}

/** A template with each gap a `*`, or, where a text of ours stands in a gap, one text for each that may. */
function templateTexts(file: File, template: Node): string[] {
  const [first = '', ...rest] = (template.quasis as { value: { cooked: string } }[]).map(({ value }) => value.cooked);
  const gaps = template.expressions as Node[];
  return rest.reduce(
    (texts, quasi, index) => {
      const inGap = textsInGap(file, gaps[index]);
      return texts.flatMap((text) => inGap.map((gap) => text + gap + quasi));
    },
    [first],
  );
}

/** What a function returns, or a value stands in for, is no text of ours. */
function textsInGap(file: File, gap: Node | undefined): string[] {
  const value = gap?.type === 'Identifier' ? initialOf(file, gap) : gap;
  if (value?.type === 'CallExpression' || value?.type === 'LogicalExpression') return ['*'];
  const texts = textsOf(file, value) ?? [];
  return texts.length > 0 && (value?.type === 'MemberExpression' || texts.some(isSentence)) ? texts : ['*'];
}

/** Whether a text says something, rather than only naming a thing: two words at least. */
function isSentence(text: string): boolean {
  return /[a-z]{2,}[^/]* [a-z]{2,}/i.test(text);
}

/** What a constant of one of the scopes around `use` is set to. */
function initialOf(file: File, use: Node): Node | undefined {
  const name = nameOf(use);
  for (let at = file.parents.get(use); at !== undefined; at = file.parents.get(at)) {
    if (at.type !== 'BlockStatement' && at.type !== 'Program') continue;
    for (const statement of at.body as Node[]) {
      const declared = statement.type === 'VariableDeclaration' ? (statement.declarations as Node[]) : [];
      const found = declared.find(({ id }) => nameOf(id) === name);
      if (isNode(found?.init)) return found.init;
    }
  }
  return undefined;
}

function propertiesOf(file: File, name: string): string[] {
  return [...walk(file.program)]
    .filter((node) => node.type === 'Property' && keyOf(node) === name)
    .flatMap(({ value }) => textsOf(file, value) ?? []);
}

/** What the function returns, be it of this file or imported from another of src/. */
function returnedBy(file: File, name: string | undefined): string[] | undefined {
  for (const node of walk(file.program)) {
    if (node.type === 'FunctionDeclaration' && nameOf(node.id) === name) {
      const returned = [...walk(node)].filter(({ type }) => type === 'ReturnStatement');
      const texts = returned.flatMap(({ argument }) => textsOf(file, argument) ?? []).filter(isSentence);
      return texts.length > 0 ? texts : undefined;
    }
  }
  const other = exporterOf(file, name);
  return other && returnedBy(other, name);
}

/** What a constant is set to that is imported from another file of src/. */
function importedTexts(file: File, name: string | undefined): string[] | undefined {
  const other = exporterOf(file, name);
  for (const node of other === undefined ? [] : walk(other.program))
    if (node.type === 'VariableDeclarator' && nameOf(node.id) === name && other) return textsOf(other, node.init);
  return undefined;
}

/** The file of src/ that `name` is imported from. */
function exporterOf(file: File, name: string | undefined): File | undefined {
  for (const node of walk(file.program)) {
    const imports = node.type === 'ImportDeclaration' ? (node.specifiers as Node[]) : [];
    if (!imports.some(({ local }) => nameOf(local) === name)) continue;
    return files.get(join(dirname(file.path), (node.source as Node & { value: string }).value));
  }
  return undefined;
}

export type Found = {
  messages: Message[];
  remedies: Message[];
  /** Where a text is handed on that the source doesn't tell. */
  untold: string[];
};

/** Every text that is handed on. */
export function readMessages(): Found {
  const found: Found = { messages: [], remedies: [], untold: [] };
  for (const file of files.values()) {
    const take = (into: Message[], expression: unknown): boolean => {
      const texts = textsOf(file, expression);
      if (isNode(expression)) into.push(...(texts ?? []).map((text) => ({ text, at: place(file, expression) })));
      return texts !== undefined;
    };
    for (const node of walk(file.program)) {
      if (node.type === 'CallExpression' || node.type === 'NewExpression') {
        const callee = written(file, node.callee as Node).replace(/\s+/g, '');
        const call = node.type === 'NewExpression' ? `new ${callee}` : callee;
        for (const [pattern, argument, only] of handedOn) {
          if (!pattern.test(call) || (only !== undefined && only !== file.path)) continue;
          const given = node.arguments as Node[];
          const passed = given[0]?.type === 'SpreadElement' ? given[0] : given[argument];
          const spread = given.find(({ type }) => type === 'SpreadElement') ?? passed;
          if (spread !== undefined && !take(found.messages, spread))
            found.untold.push(`${file.path}: ${call}(${written(file, spread)})`);
        }
      }
      if (node.type === 'FunctionDeclaration' && returning.includes(nameOf(node.id) ?? ''))
        for (const part of walk(node)) if (part.type === 'ReturnStatement') take(found.messages, part.argument);
      if (node.type === 'Property' && properties.includes(keyOf(node) ?? '')) take(found.messages, node.value);
      const name = nameOf(node.id);
      if (stepLists.some(([list, path]) => list === name && path === file.path))
        for (const step of (node.init as Node).elements as Node[]) take(found.messages, step);
      if (name !== undefined && remedies.includes(name))
        for (const text of remediesIn(file, node)) found.remedies.push(text);
    }
  }
  return found;
}

function remediesIn(file: File, holder: Node): Message[] {
  const given = [...walk(holder)].flatMap((node) => {
    if (node.type === 'ReturnStatement') return node.argument;
    if (node.type !== 'Property' || keyOf(node) !== 'remedy') return [];
    const value = node.value as Node;
    return value.type === 'ArrowFunctionExpression' ? value.body : value;
  });
  return given.flatMap((one) => (textsOf(file, one) ?? []).map((text) => ({ text, at: place(file, one as Node) })));
}

/** Every string of src/, and every regular expression: what it looks for in the words of others. */
export function readLiterals(): { strings: Set<string>; patterns: string } {
  const literals = [...files.values()].flatMap(({ program }) =>
    [...walk(program)].filter(({ type }) => type === 'Literal'),
  );
  return {
    strings: new Set(literals.flatMap(({ value }) => (typeof value === 'string' ? [value] : []))),
    patterns: literals.flatMap(({ regex }) => (isRegex(regex) ? [regex.pattern] : [])).join('\n'),
  };
}

function isRegex(value: unknown): value is { pattern: string } {
  return typeof value === 'object' && value !== null && 'pattern' in value && typeof value.pattern === 'string';
}

/** Errors that are thrown, or made to be thrown, of a class whose texts are not looked for. */
export function readUnknownErrors(): string[] {
  const classes = [...files.values()].flatMap((file) =>
    [...walk(file.program)].filter(({ type }) => type === 'ClassDeclaration').map((node) => ({ file, node })),
  );
  // A class tells its text itself, in `super(…)`, or it is told where it is made.
  const known = classes.flatMap(({ file, node }) => {
    const name = nameOf(node.id) ?? '';
    const tells = written(file, node).includes('super(') || handedOn.some(([call]) => call.test(`new ${name}`));
    return tells ? [name] : [];
  });
  const made = [...files.values()].flatMap((file) =>
    [...walk(file.program)]
      .filter(({ type }) => type === 'NewExpression')
      .map(({ callee }) => nameOf(callee) ?? '')
      .filter(
        (name) =>
          name.endsWith('Error') ||
          classes.some(({ node }) => nameOf(node.superClass) === 'Error' && nameOf(node.id) === name),
      )
      .filter((name) => name !== 'Error' && !known.includes(name))
      .map((name) => `${file.path}: new ${name}`),
  );
  const thrown = [...files.values()].flatMap((file) =>
    [...walk(file.program)]
      .filter(({ type, argument }) => type === 'ThrowStatement' && isNode(argument) && isTextItself(argument))
      .map((node) => `${file.path}: ${written(file, node)}`),
  );
  return [...made, ...thrown];
}

function isTextItself({ type }: Node): boolean {
  return type === 'Literal' || type === 'TemplateLiteral' || type === 'ObjectExpression';
}
