/*
 * How the digest of a plan is written: `v1:source=0123abcd,targets=…,…:<sha256 of the whole>`. Each part has a piece, by
 * which a plan that isn't the approved one tells where it differs; the whole is what they are compared by.
 */

export const digestParts = ['source', 'targets', 'keys', 'names', 'tags', 'publish', 'existing', 'access'] as const;
export type DigestPart = (typeof digestParts)[number];

export type Digest = Readonly<{ pieces: Readonly<Record<DigestPart, string>>; whole: string }>;

const version = 'v1';
/** Of a piece, which only points out; nobody is to be kept from making another of the same. */
export const pieceDigits = 8;

export function digestText({ pieces, whole }: Digest): string {
  return `${version}:${digestParts.map((part) => `${part}=${pieces[part]}`).join(',')}:${whole}`;
}

const pattern = new RegExp(
  `^${version}:${digestParts.map((part) => `${part}=([0-9a-f]{${pieceDigits}})`).join(',')}:([0-9a-f]{64})$`,
);

/** The digest that `text` is, or undefined. */
export function parseDigest(text: string): Digest | undefined {
  const [, ...found] = pattern.exec(text) ?? [];
  const whole = found.at(-1);
  if (whole === undefined) return undefined;
  const pieces = Object.fromEntries(digestParts.map((part, index) => [part, found[index] ?? '']));
  return { pieces: pieces as Record<DigestPart, string>, whole };
}

/** What is wrong with `text` as the digest of a plan, or undefined. */
export function digestProblem(text: string): string | undefined {
  if (parseDigest(text) !== undefined) return undefined;
  const [, other] = /^(v\d+):/.exec(text) ?? [];
  return other === undefined || other === version
    ? `expected the whole of the output plan-digest of the approved run, ${version}:source=…`
    : `this digest is of version ${other}, and this version of the action makes ${version}: have a plan of it approved`;
}
