/** What isn't seen, or turns what is: control and format characters, bidirectional ones, zero-width ones, halves of pairs. */
export const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

const lineBreaks = /[\n\r\v\f\t\u0085\u2028\u2029]+/g;

/** `\u202e` for a character that isn't seen. */
function spelled(character: string): string {
  const digits = (character.codePointAt(0) ?? 0).toString(16);
  return digits.length > 4 ? `\\u{${digits}}` : `\\u${digits.padStart(4, '0')}`;
}

/** A text on one line, in which all is seen. */
export function oneLine(text: string): string {
  return text.replace(lineBreaks, ' ').replace(unseen, spelled);
}
