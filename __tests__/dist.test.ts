import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const root = join(import.meta.dirname, '..');

function filesIn(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    names.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(folder.length), readFileSync(path, 'utf8')];
    }),
  );
}

test('dist/ is what src/ builds, byte for byte, in any folder', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dist-'));
  try {
    execFileSync(process.execPath, ['scripts/build.mjs', folder], { cwd: root, stdio: 'pipe' });
    const [built, committed] = [filesIn(folder), filesIn(join(root, 'dist'))];
    expect(Object.keys(committed).sort()).toEqual(Object.keys(built).sort());
    for (const [name, text] of Object.entries(built)) {
      // Two megabytes make no readable difference.
      if (committed[name] !== text) throw new Error(`dist${name} is stale: npm run build`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
