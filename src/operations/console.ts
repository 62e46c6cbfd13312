import { GetConsoleOutputCommand, GetConsoleScreenshotCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';
import { hasCode } from '../aws/errors.ts';

/* What an instance that didn't come up shows: the last lines of its console, and a picture of it. */

/** So much is told of a console. */
const mostLines = 20;
const mostCharacters = 200;

/** A private key, of several lines; the end of its last may not have been written. */
const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;

/** What looks like a secret in a console: what stands before it is kept, so that a reader sees what it was. */
const secrets: readonly (readonly [pattern: RegExp, masked: string])[] = [
  [/<(Password|Passphrase)>[^<]*/gi, '<$1>***'],
  [/\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b/g, '***'],
  [/\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?/g, '***'],
  [/\b(?:gh[a-z]_|github_pat_|glpat-|xox[a-z]-|sk-)[\w-]{10,}/g, '***'],
  [/\b([a-z][a-z\d+.-]*:\/\/[^\s:/@]*:)[^\s@/]+@/gi, '$1***@'],
  [/\b((?:authorization|bearer)\b[=:\s]+(?:bearer\s+|basic\s+)?)\S+/gi, '$1***'],
  [
    /\b([\w.-]*(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api[_-]?key|access[_-]?key|private[_-]?key)[\w.-]*["']?\s*(?:=>|[=:])\s*)("[^"]*"|'[^']*'|\S+)/gi,
    '$1***',
  ],
  // A long run of letters and digits that is no path: a key, a hash, a cipher text.
  [/(?<![\w/+.-])(?=[A-Za-z+/]*\d)(?=[\d+/]*[A-Za-z])[A-Za-z0-9+/]{32,}={0,2}(?![\w.-])/g, '***'],
];

/** A text without what looks like a secret in it. */
export function withoutSecrets(text: string): string {
  return secrets.reduce((masked, [pattern, by]) => masked.replace(pattern, by), text.replace(privateKey, '***'));
}

/** So much of a console, and of a line, is looked at: what the machine writes decides how long that takes. */
const readCharacters = 32_768;
const lineCharacters = 1000;

/** The last lines of a console, without terminal sequences, and without what looks like a secret. */
export function lastLines(console: string): string[] {
  return (
    console
      .slice(-readCharacters)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal sequences begin with one
      .replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])/g, '')
      .replace(privateKey, '***')
      .split(/[\r\n]+/)
      .map((line) => line.replace(/[^\P{C}\t]/gu, '').trim())
      .filter((line) => line !== '')
      .slice(-mostLines)
      .map((line) => withoutSecrets(line.slice(0, lineCharacters)))
      .map((line) => (line.length > mostCharacters ? `${line.slice(0, mostCharacters)}…` : line))
  );
}

/** The last lines of an instance's console, `isNitro` as it is now; none where AWS gives none. */
export async function consoleLines(place: Place, InstanceId: string, isNitro: boolean): Promise<string[]> {
  const read = async (Latest: boolean): Promise<string> => {
    const { Output = '' } = await place.ec2(new GetConsoleOutputCommand({ InstanceId, ...(Latest && { Latest }) }));
    return Buffer.from(Output, 'base64').toString('utf8');
  };
  let text = '';
  try {
    text = await read(isNitro);
  } catch (error) {
    if (!isNitro || !hasCode(error, 'UnsupportedOperation')) throw error;
    text = await read(false);
  }
  return lastLines(text);
}

/** A picture of an instance's screen, a JPEG. */
export async function screenshot(place: Place, InstanceId: string): Promise<Uint8Array | undefined> {
  // It must not wake the machine up, whose state is looked for.
  const { ImageData = '' } = await place.ec2(new GetConsoleScreenshotCommand({ InstanceId }));
  return ImageData === '' ? undefined : Buffer.from(ImageData, 'base64');
}
