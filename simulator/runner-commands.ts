// The workflow commands in what a step prints, and the log that GitHub shows of it.
// After actions/runner, ActionCommand.cs (the syntax), ActionCommandManager.cs (the commands), ExecutionContext.cs (annotations).
import type { Masks } from './runner-masks.ts';

export type Annotation = { level: 'error' | 'warning' | 'notice'; title?: string; message: string };
export type LineKind = 'text' | 'group' | 'debug' | Annotation['level'];
/** A line of the log as the web page shows it: masked, groups indented, annotations with their word in front. */
export type LineListener = (line: string, kind: LineKind) => void;

type Command = { name: string; properties: Map<string, string>; data: string };

const levels = ['error', 'warning', 'notice'] as const;
const known = new Set<string>([
  ...['add-mask', 'add-matcher', 'add-path', 'debug', 'echo', 'endgroup', 'group', 'remove-matcher'],
  ...['save-state', 'set-env', 'set-output', 'stop-commands', ...levels],
]);
const annotationsPerLevel = 10;
const annotationLength = 4096;

// The runner undoes them in this order, `%25` last.
const dataEscapes = [
  ['%0D', '\r'],
  ['%0A', '\n'],
] as const;
const escapes = {
  data: [...dataEscapes, ['%25', '%']],
  property: [...dataEscapes, ['%3A', ':'], ['%2C', ','], ['%25', '%']],
  old: [['%3B', ';'], ...dataEscapes, ['%5D', ']'], ['%25', '%']],
} as const;

function unescaped(text: string, kind: keyof typeof escapes): string {
  let result = text;
  for (const [code, character] of escapes[kind]) result = result.replaceAll(code, character);
  return result;
}

/** `::name key=value,key=value::data` at the start of a line, or the older `##[name key=value;…]data` anywhere in it. */
function parseCommand(line: string, names: ReadonlySet<string>): Command | undefined {
  const syntaxes = [
    { text: line.trimStart(), match: /^::(.*?)::(.*)$/s, separator: ',', property: 'property', data: 'data' },
    { text: line, match: /##\[(.*?)\](.*)$/s, separator: ';', property: 'old', data: 'old' },
  ] as const;
  for (const syntax of syntaxes) {
    const [, head, data] = syntax.match.exec(syntax.text) ?? [];
    if (head === undefined || data === undefined) continue;
    const space = head.indexOf(' ');
    const name = (space < 0 ? head : head.slice(0, space)).toLowerCase();
    if (!names.has(name)) continue;
    const pairs =
      space < 0
        ? []
        : head
            .slice(space + 1)
            .trim()
            .split(syntax.separator);
    const properties = propertiesOf(pairs, syntax.property);
    return { name, properties, data: unescaped(data, syntax.data) };
  }
  return undefined;
}

/** The pairs that have a name and a value. */
function propertiesOf(pairs: readonly string[], kind: keyof typeof escapes): Map<string, string> {
  const named = pairs.flatMap((pair): [string, string][] => {
    const equals = pair.indexOf('=');
    if (equals <= 0 || equals === pair.length - 1) return [];
    return [[pair.slice(0, equals).toLowerCase(), unescaped(pair.slice(equals + 1), kind)]];
  });
  return new Map(named);
}

export type StepLog = {
  /** A line that the step printed, on either stream. */
  read(line: string): void;
  /** A line of the runner's own. */
  write(line: string, kind?: LineKind): void;
  annotate(annotation: Annotation): void;
  /** An error of the runner's own that fails the step whatever its exit code. */
  fail(...messages: string[]): void;
  readonly lines: readonly string[];
  readonly annotations: readonly Annotation[];
  /** What the step itself asked to have masked. */
  readonly masked: readonly string[];
  readonly outputs: ReadonlyMap<string, string>;
  readonly state: ReadonlyMap<string, string>;
  readonly failed: boolean;
};

const words = { error: 'Error: ', warning: 'Warning: ', notice: 'Notice: ' };

export function createStepLog(masks: Masks, showsDebug: boolean, onLine: LineListener): StepLog {
  const lines: string[] = [];
  const annotations: Annotation[] = [];
  const masked: string[] = [];
  const outputs = new Map<string, string>();
  const state = new Map<string, string>();
  const names = new Set(known);
  let failed = false;
  let inGroup = false;
  let echoes = false;
  let stoppedUntil: string | undefined;

  function write(text: string, kind: LineKind = 'text'): void {
    if (kind === 'group') inGroup = false;
    const word = kind === 'error' || kind === 'warning' || kind === 'notice' ? words[kind] : '';
    for (const [index, part] of masks.apply(text).split('\n').entries()) {
      const line = `${inGroup ? '  ' : ''}${index === 0 ? word : ''}${part}`;
      lines.push(line);
      onLine(line, kind);
    }
  }

  function annotate({ level, title, message }: Annotation): void {
    const cut = masks.apply(message).slice(0, annotationLength);
    if (annotations.filter((one) => one.level === level).length < annotationsPerLevel) {
      annotations.push({ level, ...(title !== undefined && { title: masks.apply(title) }), message: cut });
    }
    if (cut !== '') write(cut, level);
  }

  function fail(...messages: string[]): void {
    for (const message of messages) annotate({ level: 'error', message });
    failed = true;
  }

  function mask(value: string): void {
    if (value.trim() === '') {
      annotate({ level: 'warning', message: "Can't add secret mask for empty string in ##[add-mask] command." });
      return;
    }
    if (echoes) write('::add-mask::***');
    // Each line of a value by itself too, since output is masked line by line.
    for (const part of new Set([value, ...value.split(/[\r\n]+/)])) {
      if (part === '') continue;
      masks.add(part);
      masked.push(part);
    }
  }

  function setNamed(command: Command, into: Map<string, string>): void {
    const name = command.properties.get('name') ?? '';
    if (name === '') {
      fail(
        `Unable to process command '${command.name}' successfully.`,
        `Required field 'name' is missing in ##[${command.name}] command.`,
      );
      return;
    }
    into.set(name, command.data);
    const message =
      `The \`${command.name}\` command is deprecated and will be disabled soon. Please upgrade to using Environment Files. ` +
      'For more information see: https://github.blog/changelog/2022-10-11-github-actions-deprecating-save-state-and-set-output-commands/';
    annotate({ level: 'warning', message });
  }

  function obey(command: Command): void {
    const level = levels.find((one) => one === command.name);
    if (level) {
      const title = command.properties.get('title');
      annotate({ level, ...(title !== undefined && { title }), message: command.data });
      return;
    }
    switch (command.name) {
      case 'group':
        write(`▼ ${command.data}`, 'group');
        inGroup = true;
        break;
      case 'endgroup':
        inGroup = false;
        break;
      case 'add-mask':
        mask(command.data);
        break;
      case 'debug':
        if (showsDebug) write(`##[debug]${command.data}`, 'debug');
        break;
      case 'echo':
        echoes = command.data.trim().toLowerCase() === 'on';
        break;
      case 'set-output':
        setNamed(command, outputs);
        break;
      case 'save-state':
        setNamed(command, state);
        break;
      case 'set-env':
      case 'add-path':
        fail(
          `Unable to process command '${command.name}' successfully.`,
          `The \`${command.name}\` command is disabled. Please upgrade to using Environment Files or opt into unsecure command execution by setting the \`ACTIONS_ALLOW_UNSECURE_COMMANDS\` environment variable to \`true\`. For more information see: https://github.blog/changelog/2020-10-01-github-actions-deprecating-set-env-and-add-path-commands/`,
        );
        break;
      default: // Problem matchers: read, and without effect here.
    }
  }

  function read(line: string): void {
    const command = parseCommand(line, names);
    if (!command) {
      write(line);
    } else if (stoppedUntil !== undefined) {
      write(line);
      if (command.name !== stoppedUntil.toLowerCase()) return;
      names.delete(command.name);
      stoppedUntil = undefined;
    } else if (command.name === 'stop-commands') {
      write(line);
      stoppedUntil = command.data;
      names.add(command.data.toLowerCase());
    } else {
      if (echoes && !['add-mask', 'debug', ...levels].includes(command.name)) write(line);
      obey(command);
    }
  }

  return {
    read,
    write,
    annotate,
    fail,
    lines,
    annotations,
    masked,
    outputs,
    state,
    get failed() {
      return failed;
    },
  };
}
