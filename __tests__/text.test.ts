import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createStepLog } from '../simulator/runner-commands.ts';
import { createMasks } from '../simulator/runner-masks.ts';
import { fanOut } from '../simulator/scenarios/standard.ts';
import { oneLine } from '../src/one-line.ts';
import { logText, markdown, markdownCell, mermaidLabel, outputText } from '../src/report/text.ts';
import { foreignText, withoutBlanks } from './foreign-text.ts';
import { share } from './shared-case.ts';

/* That GitHub's Markdown and mermaid render it so is what pictures/check.ts looks at. */

const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Default_Ignorable_Code_Point}\u2028\u2029]/u;

/** What of a line of Markdown is no code, by GFM's rule: a run of backticks ends at the next as long; and all of it. */
function codeAndProse(line: string): { prose: string; all: string } {
  const found = { prose: '', all: '' };
  for (const [, , inside, outside = ''] of line.matchAll(/(`+)(?!`)(.*?)(?<!`)\1(?!`)|([^`]+|`+)/gsu)) {
    const text = inside?.replace(/^ (.*\S.*) $/s, '$1');
    found.prose += text === undefined ? outside : '`';
    found.all += text ?? outside;
  }
  return found;
}

test('a line of the log, or an annotation, is no command, and hides nothing', () => {
  fc.assert(
    fc.property(foreignText, (text) => {
      const log = createStepLog(createMasks([]), false, () => {});
      const line = logText(oneLine(text));
      expect(line).not.toMatch(unseen);
      log.read(line);
      expect(log.annotations).toEqual([]);
      expect(
        logText(text)
          .split('\n')
          .filter((one) => /^\s*::|##\[/.test(one) || unseen.test(one)),
      ).toEqual([]);
    }),
    { numRuns: 500 },
  );
  expect(logText('::error::x\n  a: b ##[group]\u202e')).toBe(': :error::x\n  a: b ## [group]\\u202e');
});

test('an output is the same data, and a step that prints it prints no command', () => {
  fc.assert(
    fc.property(foreignText, (text) => {
      const value = { [`key ${text}`]: [text] };
      const output = outputText(value);
      expect(JSON.parse(output)).toEqual(value);
      expect(output).not.toMatch(unseen);
      expect(output).not.toMatch(/##\[|^::/);
    }),
    { numRuns: 500 },
  );
});

describe('in Markdown', () => {
  const safe = /^[\p{L}\p{M}\d\s`"'’(),.;:?!—–…→×%-]*$/u;
  test('what is no plain word is code, and all of the text is there', () => {
    fc.assert(
      fc.property(foreignText, (text) => {
        const { prose, all } = codeAndProse(markdown(text));
        expect(prose).toMatch(safe);
        expect(prose).not.toMatch(/www\.|:\S+:|[0-9a-f]{7}|^\d+[.)]|^-/i);
        expect(withoutBlanks(all)).toBe(withoutBlanks(oneLine(text)));
      }),
      { numRuns: 1000 },
    );
  });

  test('no pipe ends a cell', () => {
    fc.assert(
      fc.property(foreignText, (text) => {
        // A backslash takes the next sign along, also in code: https://github.github.com/gfm/#tables-extension-
        expect(markdownCell(text).replaceAll(/\\./gsu, '')).not.toContain('|');
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['golden-image', 'golden-image'],
    [
      'copying snap-1 to 222222222222/eu-west-1: CopySnapshot',
      'copying `snap-1` to `222222222222/eu-west-1`: CopySnapshot',
    ],
    ['1. item', '`1`. item'],
    ['see www. or (www.evil.example.com)', 'see `www`. or (`www.evil.example.com`)'],
    ['ask @octocat about #123 in deadbeef', 'ask `@octocat` about `#123` in `deadbeef`'],
    ['a ` b `` c', 'a `` ` `` b ``` `` ``` c'],
  ])('%s', (text, expected) => {
    expect(markdown(text)).toBe(expected);
  });
});

test('a label of a diagram has no sign that mermaid, or the Markdown in its labels, reads', () => {
  fc.assert(
    fc.property(foreignText, (text) => {
      const label = mermaidLabel(text);
      expect(label).toMatch(/^(?:[\p{L}\p{M}\p{N} ]|(?<=[\p{L}\p{N}])[/_-](?=[\p{L}\p{N}])|#\d+;)*$/u);
      const read = label.replace(/#(\d+);/g, (_, number) => String.fromCodePoint(Number(number)));
      expect(read).toBe(oneLine(text).trim());
    }),
    { numRuns: 500 },
  );
});

test("a copy's failure in words of somebody's own is one annotation, and code in the summary", async () => {
  const message = 'gone\n::error::all is lost ##[error]x @octocat <img src=x> www.evil.example.com\u202e';
  const { main, post } = await share(fanOut({ faults: [{ kind: 'copy-fails', region: 'us-west-2', message }] }));
  expect(main.annotations.map(({ title }) => title)).toEqual(['999999999999/us-west-2', '222222222222/us-west-2']);
  expect(post.annotations).toEqual([]);
  expect(main.log).not.toMatch(/^\s*::error::all|##\[error\]x|\u202e/m);
  expect(main.summary).toContain(
    'gone `::error::all` is lost `##[error]x @octocat <img src=x> www.evil.example.com\\u202e`',
  );
});
