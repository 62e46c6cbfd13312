import { isRecord, isText } from '../plain-data.ts';
import { maxTags, maxTagValue, ownTagCount, tagPrefix } from '../tags.ts';
import type { Reader } from './reader.ts';

/** The tags that a resource is to bear. */
export function readTags(reader: Reader, input: string, text: string): Record<string, string> {
  return checkTags(reader, input, readPairs(reader, input, text));
}

/**
 * The tags that a session is to have, which has none of this action's own, and whose keys differ by more than their case:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
 */
export function readSessionTags(reader: Reader, input: string, text: string): Record<string, string> {
  const tags = readPairs(reader, input, text);
  const keys = Object.keys(tags);
  for (const [key, value] of Object.entries(tags)) {
    checkTag(reader, input, [key, value]);
    // https://docs.aws.amazon.com/STS/latest/APIReference/API_Tag.html
    if (!/^[\p{L}\p{Z}\p{N}_.:/=+@-]*$/u.test(key))
      reader.note(input, key, 'the key of a session tag has letters, digits, spaces and _.:/=+-@');
    const other = keys.find((one) => one !== key && one.toLowerCase() === key.toLowerCase());
    if (other !== undefined) reader.note(input, key, `AWS takes it for the same key as ${other}`);
  }
  if (keys.length > maxTags) reader.note(input, `${keys.length} tags`, `AWS allows ${maxTags}`);
  return tags;
}

/**
 * `key=value` lines, or a JSON object. A comma belongs to the value; a line that reads as several pairs is noted, for the
 * user may mean either.
 */
function readPairs(reader: Reader, input: string, text: string): Record<string, string> {
  return /^\{\s*["}]|^\[/.test(text.trim()) ? readJson(reader, input, text) : readLines(reader, input, text);
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
    else if (/^["'#]/.test(key))
      reader.note(input, line, 'a line is taken as it stands: there are no comments, and no quotes around a key');
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
    checkTag(reader, input, [key, value]);
    if (key.startsWith(tagPrefix))
      reader.note(input, `${key}=${value}`, `tag keys that begin with ${tagPrefix} are this action's own`);
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

/** Notes what is no tag, whatever it is of. */
function checkTag(reader: Reader, input: string, [key, value]: readonly [string, string]): void {
  const shown = `${key}=${value}`;
  if (key.length < 1 || key.length > 128) reader.note(input, shown, 'a tag key has 1 to 128 characters');
  if (value.length > maxTagValue) reader.note(input, shown, `a tag value has at most ${maxTagValue} characters`);
  if (/^aws:/i.test(key)) reader.note(input, shown, 'tag keys that begin with aws: are reserved by AWS');
  if (/\{[a-z-]+\}/.test(key)) reader.note(input, shown, 'placeholders are filled in only in values');
  reader.templateValue(input, value);
}
