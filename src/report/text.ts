import type { LogText } from '../host.ts';
import { oneLine, unseen } from '../one-line.ts';

/*
 * Text that AWS or the user wrote, for each place that it goes to. There it is text and nothing else: whoever can name an
 * AMI or set an SSM parameter must not write into the log, the summary or a diagram what they would take for their own.
 */

/**
 * A text for the log, or for an annotation with `\n` between its lines. The runner takes a line that begins with `::` for a
 * command, and `##[` wherever it stands: https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
 */
export function logText(text: string): LogText {
  const lines = text.split('\n').map((line) =>
    oneLine(line)
      .replaceAll('##[', '## [')
      .replace(/^(\s*):(?=:)/, '$1: '),
  );
  return lines.join('\n') as LogText;
}

/** A value for an output, as JSON. A step that prints it prints no command of the runner's, and nothing unseen. */
export function outputText(value: unknown): string {
  const escaped = (character: string) =>
    Array.from({ length: character.length }, (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`);
  // Outside of strings, JSON has none of these.
  return JSON.stringify(value)
    .replaceAll('##[', '##\\u005b')
    .replace(unseen, (character) => escaped(character).join(''));
}

/**
 * Words that mean nothing to GitHub's Markdown, wherever they stand: letters, with a hyphen, an apostrophe or some digits,
 * and numbers that begin no list.
 */
const word = /^(?:\p{L}[\p{L}\p{M}]*(?:['’-]\p{L}[\p{L}\p{M}]*)*\d{0,3}|\d{1,6}(?:[.,]\d{1,3})?|[—–…→×%])$/u;
/** What GitHub may take for a commit, and `www.` with nothing behind it: https://docs.github.com/get-started/writing-on-github/working-with-advanced-formatting/autolinked-references-and-urls */
const linked = /[0-9a-f]{7}|www$/i;

/**
 * A text as GitHub's Markdown, on one line. What isn't a plain word becomes code, the one thing in which GitHub sees no
 * link, mention, number of an issue, commit, emoji, HTML or markup; and IDs and ARNs read well so.
 */
export function markdown(text: string): string {
  const parts: { lead: string; core: string; trail: string; isCode: boolean }[] = [];
  for (const one of oneLine(text).split(/\s+/).filter(Boolean)) {
    const { lead, core, trail } = parted(one);
    // `1.` and `1)` begin a list.
    const isWord = word.test(core) && !linked.test(core) && !/^\d+[.)]/.test(one);
    const last = parts.at(-1);
    if (core === '') parts.push({ lead: '', core: one, trail: '', isCode: true });
    else if (!isWord && lead === '' && last?.isCode === true && last.trail === '')
      Object.assign(last, { core: `${last.core} ${core}`, trail });
    else parts.push({ lead, core, trail, isCode: !isWord });
  }
  return parts.map(({ lead, core, trail, isCode }) => `${lead}${isCode ? code(core) : core}${trail}`).join(' ');
}

/** A word without the signs around it, which mean nothing there. */
function parted(text: string): Readonly<{ lead: string; core: string; trail: string }> {
  let [from, to] = [0, text.length];
  while (from < to && `"'(`.includes(text.charAt(from))) from += 1;
  while (to > from && `,.;:?!"')`.includes(text.charAt(to - 1))) to -= 1;
  return { lead: text.slice(0, from), core: text.slice(from, to), trail: text.slice(to) };
}

/** The same for a cell of a table, where a pipe ends the cell in code, too; but `\|` is always a pipe there. */
export function markdownCell(text: string): string {
  return markdown(text.replaceAll('\\|', '\\ |')).replaceAll('|', '\\|');
}

/** A command as one piece of code in a cell of a table, to be copied. */
export function commandCell(text: string): string {
  return code(oneLine(text).replaceAll('\\|', '\\ |')).replaceAll('|', '\\|');
}

/** A text as code, fenced by more backticks than it has in a row. https://github.github.com/gfm/#code-spans */
function code(text: string): string {
  const longest = (text.match(/`+/g) ?? []).reduce((most, { length }) => Math.max(most, length), 0);
  const fence = '`'.repeat(longest + 1);
  const space = text.startsWith('`') || text.endsWith('`') ? ' ' : '';
  return `${fence}${space}${text}${space}${fence}`;
}

/**
 * A text as a label in a diagram. Mermaid reads labels as Markdown; what could mean something there stands as the number of
 * its character: https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters
 */
export function mermaidLabel(text: string): string {
  return oneLine(text)
    .trim()
    .replace(
      /(?<![\p{L}\p{N}])[/_-]|[/_-](?![\p{L}\p{N}])|[^\p{L}\p{M}\p{N} /_-]/gu,
      (sign) => `#${sign.codePointAt(0)};`,
    );
}
