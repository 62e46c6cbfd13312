import { maxTags, ownTagCount, tagPrefix } from '../tags.ts';
import type { Reader } from './reader.ts';

/** `key=value` lines; a comma parts two of them where what follows it is again `key=`. */
export function readTags(reader: Reader, input: string, text: string): Record<string, string> {
  // A key may be `__proto__`, which only a map takes as it is.
  const tags = new Map<string, string>();
  for (const pair of text
    .split(/\n|,(?=[^,=\n]+=)/)
    .map((part) => part.trim())
    .filter(Boolean)) {
    const at = pair.indexOf('=');
    if (at < 1) reader.note(input, pair, 'expected key=value');
    else tags.set(pair.slice(0, at).trim(), pair.slice(at + 1).trim());
  }
  return checkTags(reader, input, Object.fromEntries(tags));
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
