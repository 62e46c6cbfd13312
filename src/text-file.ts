import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** So long may a file be that an input names. */
export const maxInputFileBytes = 10 * 1024 * 1024;

/**
 * The text of a file. What is no regular file is refused before anything is read of it, and so is one that is too long: a
 * pipe would keep the run waiting, and a device never ends.
 */
export function readTextFile(path: string, maxBytes = Number.POSITIVE_INFINITY): string {
  // Without waiting for a pipe's other end: https://man7.org/linux/man-pages/man7/fifo.7.html. Windows has no such flag.
  const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    if (!fstatSync(file).isFile()) throw new Error(`${path} is no regular file`);
    const chunks: Buffer[] = [];
    // The size isn't gone by: a file may grow meanwhile, and those in /proc say 0.
    for (let length = 0; length <= maxBytes; ) {
      const chunk = Buffer.allocUnsafe(256 * 1024);
      const read = readSync(file, chunk);
      // Editors and shells on Windows begin a file with a byte order mark, which JSON has no place for.
      if (read === 0)
        return Buffer.concat(chunks)
          .toString('utf8')
          .replace(/^\uFEFF/, '');
      chunks.push(chunk.subarray(0, read));
      length += read;
    }
    throw new Error(`${path} has more than ${maxBytes / 1024 / 1024} MB`);
  } finally {
    closeSync(file);
  }
}
