import fc from 'fast-check';

/*
 * Text as somebody might write it who wants more of it than that it is read: signs of Markdown, HTML, mermaid and the
 * runner's commands, what GitHub makes links of, and characters that aren't seen. Tests look at what becomes of it;
 * pictures/check.ts has it rendered.
 */
const bits = [
  ...['www.evil.example.com', 'http://evil.example', 'https://a.b/c?d', 'mailto:a@b.co', 'a@b.co', 'www.', 'ftp://x.y'],
  ...['@octocat', '@acme/team', '#123', 'GH-26', 'a/b#1', 'a/b@deadbee1', '0123456789abcdef0123456789abcdef01234567'],
  ...[
    '~~x~~',
    '# h',
    '## h',
    '**x**',
    '_x_',
    '[a](http://b)',
    '![a](b)',
    '[^1]',
    '- [ ] x',
    '- ',
    '1. ',
    '1)',
    '+',
    '> ',
  ],
  ...['===', '---', '`', '``', '```', '~~~', '$x$', ':smile:', '[!NOTE]', '|', '\\|', '\\', '*', '    '],
  ...['<b>', '<script>', '</details>', '<!--', '-->', '&lt;', '&#64;', '<http://x.y>', '<br/>'],
  ...['"]', '%%', '%%{init: {}}%%', 'end', ';', '#59;', 'click a "http://b"', '$$x$$', 'fa:fa-ban'],
  ...['::error::x', '::add-mask::x', '##[error]x', '##[group]', '\n::warning::x', '\r\n', '\n\n', '\t'],
  ...['\u202e', '\u2066', '\u200b', '\ufeff', '\u0000', '\u001b[31m', '\u2028', '\u{e0041}', '\ud800'],
  ...['word', "don't", 'multi-Region', '(', ')', '"', "'", ',', '.', '!', 'é', '日本', '🙂', '7', '1.5'],
];

export const foreignText: fc.Arbitrary<string> = fc
  .array(fc.oneof(fc.constantFrom(...bits), fc.constantFrom(' ', ''), fc.string({ unit: 'grapheme' })), {
    maxLength: 12,
  })
  .map((parts) => parts.join(''));

/** So many of them, the same each time. */
export function foreignTexts(count: number): string[] {
  return fc.sample(foreignText, { numRuns: count, seed: 1 });
}

/** A text without its blanks, by which it is told whether all of it is still there. */
export function withoutBlanks(text: string): string {
  return text.replace(/\s/g, '');
}
