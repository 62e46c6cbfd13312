import { GetConsoleOutputCommand, GetConsoleScreenshotCommand } from '@aws-sdk/client-ec2';
import type { Place } from '../aws/clients.ts';

/* What an instance that didn't come up shows: the last lines of its console, and a picture of it. */

/** So much is told of a console. */
const mostLines = 20;
const mostCharacters = 200;

/** A private key, of several lines; its end may not have been written, and its beginning may have been cut off. */
const privateKey =
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)|^(?:(?!-----BEGIN)[\s\S])*?-----END [A-Z ]*PRIVATE KEY-----/g;

/** Names of what is secret, as they stand in options, variables, files and sentences. */
const secretWord = 'pass(?:word|wd|phrase|code)?s?|pwd|secret|token|credentials?|cookie|signature';
const secretName = String.raw`[\w.-]*(?:${secretWord}|(?:api|access|account|private|shared)[_-]?key)[\w.-]*`;
/** A value in quotes, which may hold escaped ones, or one word. */
const quoted = String.raw`"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?`;
const secretValue = String.raw`${quoted}|\S+`;
/** In a sentence, what has a digit or a sign is no word of it; nor is it a secret where it is a number, an address or a path. */
const unlikeWord = String.raw`(?![\d.:]+(?![^\s,;)])|[\/(])(?=\S*[\d!#$%&*+=?@^~])\S+`;

/** What looks like a secret in a console: what stands before it is kept, so that a reader sees what it was. */
const secrets: readonly (readonly [pattern: RegExp, masked: string])[] = [
  [/<(Password|Passphrase)>[^<]*/gi, '<$1>***'],
  [/\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b/g, '***'],
  [/\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?/g, '***'],
  [/\b(?:gh[a-z]_|github_pat_|glpat-|xox[a-z]-|sk-)[\w-]{10,}/g, '***'],
  [/\b(?:hvs\.|npm_|pypi-|dop_v1_|AIza)[\w-]{10,}/g, '***'],
  [/(\bhooks\.[\w.-]+\/\w+\/)\S+/g, '$1***'],
  // A crypt hash: https://manpages.debian.org/crypt(5)
  [/\$(?:[1-7]|2[abxy]|y|gy|sha1)\$\S+/g, '***'],
  [/\b([a-z][a-z\d+.-]*:\/\/[^\s:/@]*:)\S+@/gi, '$1***@'],
  [/([?&](?:sig|key|code|auth)=)[^\s&]+/gi, '$1***'],
  [/\b((?:authorization|bearer)\b[=:\s]+(?:bearer\s+|basic\s+)?)\S+/gi, '$1***'],
  // What follows a colon may be several words; a variable or an option has one, unless it is in quotes.
  [new RegExp(String.raw`\b(${secretName}["']?\s*:\s+)(?!["'])\S.*`, 'gi'), '$1***'],
  [new RegExp(String.raw`\b(${secretName}["']?\s*(?:=>|[=:])\s*)(?:${secretValue})`, 'gi'), '$1***'],
  [new RegExp(String.raw`(--${secretName}\s+)(?:${secretValue})`, 'gi'), '$1***'],
  [/(\s(?:-u|--user)\s+[^\s:]+:)\S+/g, '$1***'],
  [/(\b(?:sshpass|login|mysql\w*|mariadb\w*|mongo\w*|user(?:add|mod))\s(?:.*?\s)?-p\s*)\S+/g, '$1***'],
  [/(\becho\s+).+?(?=\s*\|\s*(?:sudo\s+)?(?:ch)?passwd\b)/g, '$1***'],
  // In sentences: "Setting Bitnami application password to '…'", "A temporary password is generated for root@localhost: …".
  [
    new RegExp(String.raw`\b((?:${secretWord})\b.{0,80}?(?:\bis|\bto|\bas|:)\s+)(?:${quoted}|${unlikeWord})`, 'gi'),
    '$1***',
  ],
  [new RegExp(String.raw`\b((?:${secretWord})\s+)(?:${unlikeWord})`, 'gi'), '$1***'],
  // As chpasswd takes them, and cloud-init tells the passwords that it has made up: https://docs.cloud-init.io/en/latest/reference/modules.html#set-passwords
  [/(?<!\/)\b((?:root|admin|administrator|ubuntu|debian|centos|ec2-user|user):)(?=\S*[^\s\d])\S+/gi, '$1***'],
  [/(?<=^|\s)([a-z_][\w-]{0,31}:)(?=[^\s:/.]*[a-z])(?=[^\s:/.]*[A-Z\d])[^\s:/.]{12,}$/gm, '$1***'],
  [/(::\w+:)\S+/g, '$1***'],
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
  // Of an instance that has ended, AWS may tell no latest output, but what it kept.
  const latest = isNitro ? await read(true).catch(() => '') : '';
  return lastLines(latest === '' ? await read(false) : latest);
}

/** A picture of an instance's screen, a JPEG. */
export async function screenshot(place: Place, InstanceId: string): Promise<Uint8Array | undefined> {
  // It must not wake the machine up, whose state is looked for.
  const { ImageData = '' } = await place.ec2(new GetConsoleScreenshotCommand({ InstanceId }));
  return ImageData === '' ? undefined : Buffer.from(ImageData, 'base64');
}
