import { NormalizedSchema } from '@smithy/core/schema';
import { Refusal } from './refusal.ts';

/*
 * AWS's query protocols, read and written by the schemas that the SDK's clients export: every shape is AWS's own. EC2
 * takes its members' ec2QueryName and flat lists, STS the plain query protocol; both answer in XML.
 */

type SchemaRef = Parameters<typeof NormalizedSchema.of>[0];
export type Operation = Readonly<{ name: string; input: SchemaRef; output: SchemaRef }>;

/** The operation `name` of a client module, or undefined: modules export each as `<Name>$`. */
export function operationOf(module: Readonly<Record<string, unknown>>, name: string): Operation | undefined {
  const schema = module[`${name}$`];
  if (!Array.isArray(schema) || schema[0] !== 9) return undefined;
  const [, , , , input, output] = schema as unknown[];
  return { name, input: (input as () => SchemaRef)(), output: (output as () => SchemaRef)() };
}

/** How many members of a structure are required: they stand first, and the schema's last entry counts them. */
function requiredMembers(schema: NormalizedSchema): string[] {
  const raw = schema.getSchema() as unknown as readonly unknown[];
  const names = raw[4] as readonly string[];
  return names.slice(0, typeof raw[6] === 'number' ? raw[6] : 0);
}

/** A part of a form: its full name, and what is below it. */
type Node = { path: string; value?: string; children: Map<string, Node>; used: boolean };

function treeOf(parameters: URLSearchParams): Node {
  const root: Node = { path: '', children: new Map(), used: true };
  for (const [key, value] of parameters) {
    let at = root;
    for (const part of key.split('.')) {
      const path = at.path === '' ? part : `${at.path}.${part}`;
      const next = at.children.get(part) ?? { path, children: new Map(), used: false };
      at.children.set(part, next);
      at = next;
    }
    at.value = value;
  }
  return root;
}

export type Flavour = 'ec2' | 'query';

/**
 * The input of an operation from a form.
 * @throws Refusal for a parameter that the operation doesn't have, a value of the wrong type, or one that is missing
 */
export function parseForm(operation: Operation, form: URLSearchParams, flavour: Flavour): Record<string, unknown> {
  const tree = treeOf(form);
  for (const name of ['Action', 'Version']) tree.children.delete(name);
  const schema = NormalizedSchema.of(operation.input);
  const input = (schema.isUnitSchema() ? {} : parseNode(schema, tree, flavour)) as Record<string, unknown>;
  refuseUnused(tree);
  for (const name of schema.isUnitSchema() ? [] : requiredMembers(schema)) {
    if (input[name] === undefined) {
      throw new Refusal('MissingParameter', `The request must contain the parameter ${name}`);
    }
  }
  return input;
}

function refuseUnused({ children }: Node): void {
  for (const child of children.values()) {
    if (!child.used) throw new Refusal('UnknownParameter', `The parameter ${child.path} is not recognized`);
    refuseUnused(child);
  }
}

function queryName(member: NormalizedSchema, name: string, flavour: Flavour): string {
  const { ec2QueryName, xmlName } = member.getMergedTraits() as { ec2QueryName?: string; xmlName?: string };
  if (flavour === 'query') return xmlName ?? name;
  if (ec2QueryName !== undefined) return ec2QueryName;
  return xmlName === undefined ? name : xmlName.charAt(0).toUpperCase() + xmlName.slice(1);
}

function parseNode(schema: NormalizedSchema, node: Node, flavour: Flavour): unknown {
  node.used = true;
  if (schema.isStructSchema()) return parseMembers(schema, node, flavour);
  if (schema.isListSchema()) return parseItems(schema, node, flavour);
  return parseScalar(schema, node.value ?? '', node.path);
}

function parseMembers(schema: NormalizedSchema, { children }: Node, flavour: Flavour): Record<string, unknown> {
  const members: Record<string, unknown> = {};
  for (const [name, member] of schema.structIterator()) {
    const child = children.get(queryName(member, name, flavour));
    if (child !== undefined) members[name] = parseNode(member, child, flavour);
  }
  return members;
}

function parseItems(schema: NormalizedSchema, node: Node, flavour: Flavour): unknown[] {
  const flat = flavour === 'ec2' || (schema.getMergedTraits() as { xmlFlattened?: number }).xmlFlattened === 1;
  const list = flat ? node : node.children.get('member');
  if (list === undefined) return [];
  list.used = true;
  const items: unknown[] = [];
  for (let index = 1; ; index += 1) {
    const child = list.children.get(String(index));
    if (child === undefined) return items;
    items.push(parseNode(schema.getValueSchema(), child, flavour));
  }
}

function parseScalar(schema: NormalizedSchema, text: string, path: string): unknown {
  if (schema.isBooleanSchema()) {
    if (text === 'true' || text === 'false') return text === 'true';
    throw new Refusal('InvalidParameterValue', `Invalid value '${text}' for ${path}. Expecting a boolean.`);
  }
  if (schema.isNumericSchema()) {
    if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
    throw new Refusal('InvalidParameterValue', `Invalid value '${text}' for ${path}. Expecting a number.`);
  }
  if (schema.isTimestampSchema()) return new Date(text);
  return text;
}

/** The XML of an operation's output. @throws Error for a member that the output doesn't have: that is our own slip */
export function serializeOutput(operation: Operation, output: Readonly<Record<string, unknown>>): string {
  const schema = NormalizedSchema.of(operation.output);
  return schema.isUnitSchema() ? '' : membersXml(schema, output);
}

function membersXml(schema: NormalizedSchema, value: Readonly<Record<string, unknown>>): string {
  const known = new Set<string>();
  let xml = '';
  for (const [name, member] of schema.structIterator()) {
    known.add(name);
    const { xmlName } = member.getMergedTraits() as { xmlName?: string };
    if (value[name] !== undefined) xml += elementXml(member, value[name], xmlName ?? name);
  }
  const stranger = Object.keys(value).find((name) => !known.has(name));
  if (stranger !== undefined) throw new Error(`${schema.getName()} has no member ${stranger}`);
  return xml;
}

function elementXml(schema: NormalizedSchema, value: unknown, name: string): string {
  if (schema.isStructSchema()) return `<${name}>${membersXml(schema, value as Record<string, unknown>)}</${name}>`;
  if (schema.isListSchema()) {
    const item = schema.getValueSchema();
    const { xmlName } = item.getMergedTraits() as { xmlName?: string };
    const items = (value as unknown[]).map((one) => elementXml(item, one, xmlName ?? 'member')).join('');
    return `<${name}>${items}</${name}>`;
  }
  const text = value instanceof Date ? value.toISOString() : String(value);
  return `<${name}>${escapeXml(text)}</${name}>`;
}

export function escapeXml(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
}

/** Refuses members that an operation's JSON input doesn't have, and misses required ones. */
export function checkJson(operation: Operation, input: Readonly<Record<string, unknown>>): void {
  const schema = NormalizedSchema.of(operation.input);
  if (schema.isUnitSchema()) return;
  const members = schema.getMemberSchemas();
  for (const name of Object.keys(input)) {
    if (!(name in members))
      throw new Refusal('ValidationException', `1 validation error detected: unknown member ${name}`);
  }
  for (const name of requiredMembers(schema)) {
    if (input[name] === undefined || input[name] === null) {
      throw new Refusal(
        'ValidationException',
        `1 validation error detected: Value null at '${name}' failed to satisfy constraint: Member must not be null`,
      );
    }
  }
}
