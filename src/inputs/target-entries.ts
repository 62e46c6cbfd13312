import type { Reader } from './reader.ts';
import { checkTags, readTags } from './tags.ts';
import type { Yaml } from './yaml.ts';

/** An entry of the input `targets`: a target, and what it has of its own. */
export type TargetEntry = {
  account: string;
  region: string;
  'role-arn'?: string;
  'kms-key'?: string;
  'ami-name'?: string;
  tags?: Record<string, string>;
  optional?: string;
};
const entryFields = ['account', 'region', 'role-arn', 'kms-key', 'ami-name', 'tags', 'optional'];
const entryForm = '{account, region, role-arn?, kms-key?, ami-name?, tags?, optional?}';

/** The YAML list of `targets`. Scalars are read as text, so that an account ID keeps its leading zeros. */
export function readTargetEntries(reader: Reader): TargetEntry[] {
  const text = reader.raw('targets');
  if (text.trim() === '') return [];
  const { entries, problem } = parseEntries(reader.yaml, text);
  if (problem !== undefined) {
    reader.note('targets', text, problem);
    return [];
  }
  if (!Array.isArray(entries)) {
    reader.note('targets', text, `expected a YAML list of ${entryForm}`);
    return [];
  }
  return entries.flatMap((entry: unknown, index) => readTargetEntry(reader, `targets[${index}]`, entry) ?? []);
}

/** What a YAML text holds, or what is wrong with it. An alias could make a list of billions out of a few lines. */
function parseEntries(
  { isAlias, parseDocument, visit }: Yaml,
  text: string,
): Readonly<{ entries?: unknown; problem?: string }> {
  try {
    const document = parseDocument(text, { schema: 'failsafe', logLevel: 'error' });
    const [error] = document.errors;
    if (error !== undefined) return { problem: `is not YAML: ${error.message.replace(/:?\n.*/s, '')}` };
    let anchored: string | undefined;
    visit(document, {
      Node(_, node) {
        anchored ??= isAlias(node)
          ? `*${node.source}`
          : 'anchor' in node && node.anchor
            ? `&${node.anchor}`
            : undefined;
      },
    });
    if (anchored !== undefined)
      return { problem: `YAML anchors and aliases (${anchored}) are not taken; write each target out` };
    return { entries: document.toJS() };
  } catch (error) {
    return { problem: `is not YAML: ${String(error)}` };
  }
}

function readTargetEntry(reader: Reader, input: string, entry: unknown): TargetEntry | undefined {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    reader.note(input, String(entry), `expected ${entryForm}`);
    return undefined;
  }
  const found = reader.noted;
  const fields = new Map<string, unknown>(Object.entries(entry));
  checkFields(reader, input, fields);
  const tags = fields.has('tags') ? readEntryTags(reader, `${input}.tags`, fields.get('tags')) : undefined;
  if (reader.noted > found) return undefined;
  return { ...(Object.fromEntries(fields) as Omit<TargetEntry, 'tags'>), ...(tags && { tags }) };
}

function checkFields(reader: Reader, input: string, fields: ReadonlyMap<string, unknown>): void {
  for (const [field, value] of fields) {
    if (!entryFields.includes(field))
      reader.note(`${input}.${field}`, String(value), `is not known here; there are ${entryFields.join(', ')}`);
    else if (field !== 'tags' && typeof value !== 'string')
      reader.note(`${input}.${field}`, JSON.stringify(value), 'expected text');
  }
  for (const field of ['account', 'region']) {
    if (!fields.has(field)) reader.note(`${input}.${field}`, '', 'is needed');
  }
  const optional = fields.get('optional') ?? 'false';
  if (typeof optional === 'string' && !['true', 'false'].includes(optional))
    reader.note(`${input}.optional`, optional, 'expected true or false');
}

function readEntryTags(reader: Reader, input: string, value: unknown): Record<string, string> {
  if (typeof value === 'string') return readTags(reader, input, value);
  const pairs =
    typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined;
  if (pairs === undefined || pairs.some(([, text]) => typeof text !== 'string')) {
    reader.note(input, JSON.stringify(value), 'expected a mapping of keys to values, or key=value lines');
    return {};
  }
  return checkTags(reader, input, Object.fromEntries(pairs) as Record<string, string>);
}
