import { createHash, randomBytes } from 'node:crypto';

/*
 * IDs of 17 digits have an inner structure, which nobody has decoded. What was recorded: the first digit is 0; two
 * issued IDs with one digit changed at position 3, 4 or 13 to 16 were malformed half of the time, and never for another
 * digit; of made-up IDs, `0ffffffffffffffff` and `0fedcba9876543210` are well-formed, `0123456789abcdef0`,
 * `0abcdef1234567890` and those of zeros or ones malformed. Any 8 digits will do.
 */

const digits = /^[0-9a-f]{8}(?:[0-9a-f]{9})?$/;

/** Stands in for the structure: half of all digits at those places pass, and all that was recorded comes out so. */
const mixer = 0x9d9389;

/** Whether an ID has the form of one, `ami-` and 8 or 17 digits. */
export function hasForm(prefix: string, id: string): boolean {
  return id.startsWith(`${prefix}-`) && digits.test(id.slice(prefix.length + 1));
}

/** Whether AWS could have issued an ID that has the form of one. */
export function isWellFormed(id: string): boolean {
  const own = id.slice(id.indexOf('-') + 1);
  if (own.length === 8) return true;
  const places = [own.slice(3, 5), own.slice(13)].join('');
  return own.startsWith('0') && Math.imul(Number.parseInt(places, 16) + 1, mixer) < 0;
}

/** A new ID, as AWS could have issued it. */
export function newId(prefix: string): string {
  for (;;) {
    const id = `${prefix}-0${randomBytes(8).toString('hex')}`;
    if (isWellFormed(id)) return id;
  }
}

/** The ID that a text always makes. */
export function idOf(prefix: string, text: string): string {
  for (let turn = 0; ; turn += 1) {
    const hash = createHash('sha256').update(turn === 0 ? text : `${text} ${turn}`);
    const id = `${prefix}-0${hash.digest('hex').slice(0, 16)}`;
    if (isWellFormed(id)) return id;
  }
}
