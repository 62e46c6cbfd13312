import { join } from 'node:path';
import { errorMessage } from './aws/errors.ts';
import type { Files } from './host.ts';
import { isRecord } from './plain-data.ts';
import { sha256 } from './sha256.ts';
import { ownName } from './temporary-file.ts';

/*
 * How main leaves data to post. An entry of saved state becomes an environment variable, and where one is too long, post
 * can't be started at all: Linux ends it at 131,071 bytes (https://man7.org/linux/man-pages/man2/execve.2.html), Windows at
 * 32,767 characters (https://learn.microsoft.com/en-us/windows/win32/procthread/environment-variables).
 *
 * So the data are in parts. A head names them: a short part stands in it, a longer one is packed into entries of its own,
 * and one that no entries are left for is a file in RUNNER_TEMP. Every step of the job may change that file, and post acts
 * on it with credentials; so the head, which no other step can reach, has its hash. Entries are preferred for that: nobody
 * can take them away.
 *
 * The runner appends what is saved to a file, and main may be killed between two entries. So a part that has changed goes
 * where its former one isn't, and the head comes last: post finds the former data or the new ones, nothing between.
 */

const format = 2;
const headName = 'ledger';
const entryCharacters = 30_000;
/** Half a megabyte: an environment may have 2 MB on Linux, and 1 MB on macOS, of which inputs take some. */
const maxEntries = 16;
/** Of a part that stands in the head; all of them together are an entry. */
const plainCharacters = 7000;

type Form = Readonly<{ plain: unknown } | { entries: readonly string[] } | { file: string; sha256: string }>;

/** Saves parts by name, each anew only when it has changed. */
type SavedParts = Readonly<{
  /** @throws Error where there is no room; what was saved before stands */
  write(parts: Readonly<Record<string, unknown>>): void;
  clear(): void;
}>;

export function openSavedParts(save: (name: string, value: string) => void, files: Files): SavedParts {
  const means = { save, files, own: ownName('undo') };
  let saved = new Map<string, Readonly<{ text: string; form: Form; turn: number }>>();
  const entriesOf = (parts: typeof saved) =>
    [...parts.values()].flatMap(({ form }) => ('entries' in form ? form.entries : []));
  /** A former part's entries take no room any more. */
  const blank = (names: readonly string[]) => {
    for (const name of names) save(name, '');
  };
  return {
    write(parts) {
      const next = new Map(saved);
      for (const [part, value] of Object.entries(parts)) {
        const text = JSON.stringify(value);
        const former = saved.get(part);
        if (former?.text === text) continue;
        const turn = former?.turn === 0 ? 1 : 0;
        next.delete(part);
        const room = maxEntries - entriesOf(next).length;
        next.set(part, { text, turn, form: put({ text, value }, { name: `${part}-${turn}`, room }, means) });
      }
      if ([...next].every(([part, { text }]) => saved.get(part)?.text === text)) return;
      save(
        headName,
        JSON.stringify({ format, parts: Object.fromEntries([...next].map(([p, { form }]) => [p, form])) }),
      );
      const kept = new Set(entriesOf(next));
      const gone = entriesOf(saved).filter((name) => !kept.has(name));
      saved = next;
      blank(gone);
    },
    clear() {
      const gone = entriesOf(saved);
      saved = new Map();
      save(headName, '');
      blank(gone);
    },
  };
}

type Part = Readonly<{ text: string; value: unknown }>;
type Spot = Readonly<{ name: string; room: number }>;
type Means = Readonly<{ save: (name: string, value: string) => void; files: Files; own: string }>;

/** Puts a part where there is room for it; gives what the head says of it. */
function put({ text, value }: Part, { name, room }: Spot, { save, files, own }: Means): Form {
  if (text.length <= plainCharacters) return { plain: value };
  const packed = pack(text);
  const count = Math.ceil(packed.length / entryCharacters);
  if (count > room) {
    const file = `${own}-${name}.json`;
    const problem = fileProblem(files, file, text);
    if (problem !== undefined)
      throw new Error(
        `what would have to be undone can't be saved for the post step: it takes ${count} entries of saved state, there is room for ${room}, and ${problem}`,
      );
    return { file, sha256: sha256(text) };
  }
  const entries = Array.from({ length: count }, (_, index) => `${headName}-${name}-${index}`);
  for (const [index, entry] of entries.entries())
    save(entry, packed.slice(index * entryCharacters, (index + 1) * entryCharacters));
  return { entries };
}

/** Writes a file into RUNNER_TEMP; gives why it can't be. */
function fileProblem(files: Files, name: string, text: string): string | undefined {
  if (files.temp === undefined) return 'RUNNER_TEMP, which could hold it, is not set';
  const path = join(files.temp, name);
  try {
    files.write(path, text);
    return undefined;
  } catch (error) {
    return `${path} could not be written: ${errorMessage(error)}`;
  }
}

/** Why data of so many characters, packed, could not be saved; undefined where they can. */
export function roomProblem(packedCharacters: number, files: Files): string | undefined {
  if (packedCharacters <= maxEntries * entryCharacters) return undefined;
  return fileProblem(files, ownName('undo-room'), '');
}

/** Loaded by need: short parts go without, as do those of a run that made nothing. */
const zlib = () => process.getBuiltinModule('node:zlib');

/** Quality 5 takes a tenth of a second for a megabyte and leaves a fifth of it; 11 takes seconds and leaves little less. */
function pack(text: string): string {
  const { brotliCompressSync, constants } = zlib();
  const params = { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_LGWIN]: 22 };
  return brotliCompressSync(text, { params }).toString('base64');
}

/** What of the saved parts could be read, and of the others why not. */
type ReadParts = Readonly<{
  parts: ReadonlyMap<string, unknown>;
  unread: readonly Readonly<{ part: string | undefined; why: string }>[];
}>;

/** Reads what main saved, whatever became of it since. Never throws. */
export function readSavedParts(get: (name: string) => string, files: Files): ReadParts {
  const parts = new Map<string, unknown>();
  const unread: { part: string | undefined; why: string }[] = [];
  const attempt = (part: string | undefined, read: () => void) => {
    try {
      read();
    } catch (error) {
      unread.push({ part, why: errorMessage(error) });
    }
  };
  attempt(undefined, () => {
    const text = get(headName);
    if (text === '') return;
    for (const [part, form] of Object.entries(readHead(text)))
      attempt(part, () => parts.set(part, readForm(form, get, files)));
  });
  return { parts, unread };
}

function readHead(text: string): Record<string, unknown> {
  const head: unknown = JSON.parse(text);
  if (!isRecord(head) || !isRecord(head.parts)) throw new Error('it is not what this action saves');
  if (head.format !== format)
    throw new Error(`it is of format ${JSON.stringify(head.format)}, and this version of the action knows ${format}`);
  return head.parts;
}

function readForm(form: unknown, get: (name: string) => string, files: Files): unknown {
  if (isRecord(form) && 'plain' in form) return form.plain;
  if (isRecord(form) && Array.isArray(form.entries)) {
    const packed = form.entries.map((name) => get(String(name))).join('');
    return JSON.parse(zlib().brotliDecompressSync(Buffer.from(packed, 'base64')).toString('utf8'));
  }
  if (!isRecord(form) || typeof form.file !== 'string') throw new Error('it is not what this action saves');
  if (files.temp === undefined) throw new Error(`RUNNER_TEMP, in which ${form.file} is, is not set`);
  const text = files.read(join(files.temp, form.file));
  if (sha256(text) !== form.sha256)
    throw new Error(`the file ${form.file} is not as it was written: it is not acted on`);
  return JSON.parse(text);
}
