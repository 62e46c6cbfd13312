// Installs the packages of a folder that has its own, unless they are there as its lock says: what most people never run
// is no part of `npm ci` at the root.
// Usage: node scripts/own-packages.mjs pictures
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';

const [name] = process.argv.slice(2);
const folder = join(import.meta.dirname, '..', name);
const changed = (path) => statSync(join(folder, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;

// npm writes this file last.
if (changed('node_modules/.package-lock.json') < changed('package-lock.json')) {
  console.log(`Installing the packages of ${name}/ (npm ci --prefix ${name})`);
  const { status } = spawnSync('npm', ['ci', '--prefix', folder, '--no-audit', '--no-fund'], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  process.exitCode = status ?? 1;
}
