import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

/* A sample of the mutation tests that `npm run mutants` makes at night: one mutant of a module. */

const root = join(import.meta.dirname, '..');

/** Some modules that only decide, and their tests. */
const modules = [
  ['image', 'image'],
  ['aws/retry', 'retry'],
  ['plan/route', 'plan/route'],
  ['plan/evidence', 'plan/evidence'],
] as const;

/** A module whose first comparison is turned around. */
function mutated(source: string): string {
  return source.replace(/ ([=!])== /, (_, sign) => (sign === '=' ? ' !== ' : ' === '));
}

type Results = Readonly<{ testResults: readonly Readonly<{ assertionResults: readonly { status: string }[] }>[] }>;

/** Runs test files of a folder that is laid out as this one. */
function runTests(folder: string, files: readonly string[]): Promise<Results> {
  const jest = [join(root, 'node_modules/jest/bin/jest.js')];
  const args = [...jest, '--json', '--runInBand', '--runTestsByPath', ...files];
  return new Promise((resolve, reject) =>
    execFile(process.execPath, args, { cwd: folder, maxBuffer: 2 ** 26 }, (error, stdout) => {
      try {
        resolve(JSON.parse(stdout) as Results);
      } catch {
        reject(error);
      }
    }),
  );
}

test("a mutant is noticed by its module's tests", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mutants-'));
  try {
    for (const path of ['src', '__tests__', 'package.json', 'jest.config.js'])
      cpSync(join(root, path), join(folder, path), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    for (const [name] of modules) {
      const path = join(folder, 'src', `${name}.ts`);
      const source = readFileSync(path, 'utf8');
      expect(mutated(source)).not.toBe(source);
      writeFileSync(path, mutated(source));
    }
    const { testResults } = await runTests(
      folder,
      modules.map(([, tests]) => `__tests__/${tests}.test.ts`),
    );
    // Some tests pass: it is not that a module could not be loaded.
    expect(
      testResults.map(({ assertionResults }) => [...new Set(assertionResults.map(({ status }) => status))].sort()),
    ).toEqual(modules.map(() => ['failed', 'passed']));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
