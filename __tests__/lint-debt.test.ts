import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';

/*
 * Three rules of biome.json hold for every file but those that broke them when they came, which one block of its
 * overrides lists. How often these break them is written here, and may only fall.
 */

type Rule = keyof typeof debt;
const debt = {
  'complexity/noExcessiveCognitiveComplexity': { __tests__: 5 },
  'complexity/useMaxParams': { __tests__: 14 },
  'suspicious/noImportCycles': {},
} satisfies Record<string, Record<string, number>>;
const rules = Object.keys(debt) as Rule[];

const repository = join(import.meta.dirname, '..');

type Override = { includes: string[]; linter: { rules: Record<string, Record<string, unknown>> } };
type Config = { overrides: Override[] };
const config = JSON.parse(readFileSync(join(repository, 'biome.json'), 'utf8')) as Config;
const off = {
  complexity: { useMaxParams: 'off', noExcessiveCognitiveComplexity: 'off' },
  suspicious: { noImportCycles: 'off' },
};

type Violation = { severity: string; category: string; location: { path: string } };

/** What breaks these rules in a folder, the files that the overrides let off too: `--only` turns on what is off. */
function violationsIn(folder: string): Promise<Violation[]> {
  const biome = join(repository, 'node_modules/@biomejs/biome/bin/biome');
  const only = rules.map((rule) => `--only=${rule}`);
  const args = [biome, 'lint', ...only, '--reporter=json', '--max-diagnostics=none', '.'];
  return new Promise((resolve) =>
    execFile(process.execPath, args, { cwd: folder, maxBuffer: 2 ** 26 }, (_, stdout) =>
      resolve((JSON.parse(stdout) as { diagnostics: Violation[] }).diagnostics),
    ),
  );
}

describe('what is let off', () => {
  const violations = violationsIn(repository);
  const letOff = config.overrides.filter(({ linter }) => JSON.stringify(linter.rules) === JSON.stringify(off));

  test('is no more than it was, nor less than is written here', async () => {
    const found = Map.groupBy(
      await violations,
      ({ category, location }) => `${category.replace('lint/', '')} in ${location.path.split('/')[0]}`,
    );
    const written = new Map<string, number>(
      Object.entries(debt).flatMap(([rule, folders]) =>
        Object.entries(folders).map(([folder, count]) => [`${rule} in ${folder}`, count]),
      ),
    );
    const wrong = [...new Set([...found.keys(), ...written.keys()])].flatMap((where) => {
      const [now, before] = [found.get(where)?.length ?? 0, written.get(where) ?? 0];
      if (now > before) return [`${where}: ${now}, and there may be ${before}: mend what is new`];
      return now < before ? [`${where}: only ${now} are left of ${before}: lower the number in this test`] : [];
    });
    expect(wrong).toEqual([]);
  });

  test('is listed once, by name, and nowhere else', async () => {
    const breaking = new Set((await violations).map(({ location }) => location.path));
    expect(letOff.map(({ includes }) => includes)).toEqual([[...breaking].sort()]);
    const others = JSON.stringify(config.overrides.filter((one) => !letOff.includes(one)));
    for (const rule of rules) expect(others).not.toContain(rule.split('/')[1]);
  });
});

test('the rules hold for every other file, TypeScript or not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lint-'));
  // One more than is allowed, and as many as are.
  const parameters =
    'export const four = (a, b, c, d) => [a, b, c, d];\nexport const three = (a, b, c) => [a, b, c];\n';
  const branches = (name: string, count: number) =>
    `export function ${name}(a) {\n${"  if (a) console.log('a');\n".repeat(count)}}\n`;
  const text = parameters + branches('sixteen', 16) + branches('fifteen', 15);
  const files: Record<string, string> = {
    'biome.json': JSON.stringify({ ...config, $schema: undefined, vcs: undefined, overrides: [] }),
    'a.ts': `import type { B } from './b.ts';\nexport type A = B;\n${text}`,
    'b.ts': `import type { A } from './a.ts';\nexport type B = A;\n${text}`,
    'c.mjs': `import { d } from './d.mjs';\nexport const c = d;\n${text}`,
    'd.mjs': `import { c } from './c.mjs';\nexport const d = c;\n${text}`,
  };
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    const told = (await violationsIn(folder)).map(
      ({ severity, category, location }) => `${location.path} ${severity} ${category}`,
    );
    const expected = ['a.ts', 'b.ts', 'c.mjs', 'd.mjs'].flatMap((name) =>
      rules.map((rule) => `${name} error lint/${rule}`),
    );
    expect(told.sort()).toEqual(expected.sort());
  } finally {
    rmSync(folder, { recursive: true });
  }
});
