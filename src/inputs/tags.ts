import { isRecord, isText } from '../plain-data.ts';
import { maxTags, ownTagCount, tagPrefix } from '../tags.ts';
import type { Reader } from './reader.ts';

/**
 * Tags as `key=value` lines, or as a JSON object. A comma belongs to the value; a line that reads as several pairs is noted,
 * for the user may mean either.
 */
export function readTags(reader: Reader, input: string, text: string): Record<string, string> {
  const tags = /^\{\s*["}]|^\[/.test(text.trim()) ? readJson(reader, input, text) : readLines(reader, input, text);
  return checkTags(reader, input, tags);
}

function readJson(reader: Reader, input: string, text: string): Record<string, string> {
  try {
    const tags: unknown = JSON.parse(text);
    const [twice] = reader.yaml.parseDocument(text, { logLevel: 'silent' }).errors;
    if (twice?.code === 'DUPLICATE_KEY') reader.note(input, text, 'names a key twice');
    if (isRecord(tags) && Object.values(tags).every(isText)) return tags as Record<string, string>;
    reader.note(input, text, 'expected a JSON object whose values are texts in quotes');
  } catch (error) {
    reader.note(input, text, `is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  return {};
}

function readLines(reader: Reader, input: string, text: string): Record<string, string> {
  // A key may be `__proto__`, which only a map takes as it is.
  const tags = new Map<string, string>();
  for (const line of text
    .split('\n')
    .map((part) => part.trim())
    .filter(Boolean)) {
    const at = line.indexOf('=');
    const [key, value] = [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    const quoted = unquoted(reader, value);
    if (at < 1 || line.startsWith('- ')) reader.note(input, line, 'expected key=value');
    else if (tags.has(key)) reader.note(input, line, `names ${key} a second time`);
    else if (quoted === undefined && /,[^,=]+=/.test(value))
      reader.note(
        input,
        line,
        `looks like several tags; write each on a line of its own, or, if it is one value, put it in quotes: ${key}="…"`,
      );
    else tags.set(key, quoted ?? value);
  }
  return Object.fromEntries(tags);
}

/** The text of a YAML scalar that is wholly in quotes; undefined where `value` is none, and so stands as it is written. */
function unquoted(reader: Reader, value: string): string | undefined {
  if (!/^(["']).*\1$/.test(value)) return undefined;
  const { isScalar, parseDocument } = reader.yaml;
  const { contents, errors } = parseDocument(value, { schema: 'failsafe', logLevel: 'silent' });
  const whole = errors.length === 0 && isScalar(contents) && contents.range?.[1] === value.length;
  return whole && isText(contents.value) ? contents.value : undefined;
}

/** Notes what no resource may be tagged with: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions */
export function checkTags(reader: Reader, input: string, tags: Record<string, string>): Record<string, string> {
  for (const [key, value] of Object.entries(tags)) {
    const shown = `${key}=${value}`;
    if (key.length < 1 || key.length > 128) reader.note(input, shown, 'a tag key has 1 to 128 characters');
    if (value.length > 256) reader.note(input, shown, 'a tag value has at most 256 characters');
    if (/^aws:/i.test(key)) reader.note(input, shown, 'tag keys that begin with aws: are reserved by AWS');
    if (key.startsWith(tagPrefix))
      reader.note(input, shown, `tag keys that begin with ${tagPrefix} are this action's own`);
    reader.templateValue(input, value);
  }
  if (Object.keys(tags).length > maxTags - ownTagCount) {
    reader.note(
      input,
      `${Object.keys(tags).length} tags`,
      `expected at most ${maxTags - ownTagCount}, since AWS allows ${maxTags} and this action sets up to ${ownTagCount}`,
    );
  }
  return tags;
}
