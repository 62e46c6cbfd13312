// Adds to each package-lock.json the optional, platform-specific packages that npm left out, and the integrity of what is
// in it without.
//
// npm writes only those optional dependencies into the lock that are there when it looks. Behind a mirror that has a new
// version's packages of other platforms late, the lock comes out incomplete, and `npm ci` refuses it ("Missing … from lock
// file"). They are asked for by name here, until the registry has them: an entry without integrity would be installed
// unseen.
// Run it after every change of dependencies: node scripts/complete-lock.mjs
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const folders = ['.', ...readdirSync(root)].filter((folder) => existsSync(join(root, folder, 'package-lock.json')));

/** Where npm looks for `name` required from `from`: the nearest node_modules upward. */
function isLocked(packages, from, name) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (packages[`${at}${at && '/'}node_modules/${name}`]) return true;
    if (at === '' || !at.includes('node_modules')) return false;
    if (!at.includes('/node_modules/')) at = '';
  }
}

/** What the registry says of the newest version in a range, as a lock has it. */
function askRegistry(name, range) {
  const fields = ['version', 'dist.integrity', 'cpu', 'libc', 'license', 'os', 'engines'];
  const answer = execFileSync('npm', ['view', `${name}@${range}`, ...fields, '--json'], { encoding: 'utf8' });
  const { 'dist.integrity': integrity, ...found } = [JSON.parse(answer)].flat().at(-1);
  if (!integrity) throw new Error(`the registry has no integrity of ${name}@${range}`);
  return { ...found, integrity };
}

for (const folder of folders) {
  const path = join(root, folder, 'package-lock.json');
  const lock = JSON.parse(readFileSync(path, 'utf8'));
  const { packages } = lock;
  const mended = [];
  for (const [from, entry] of Object.entries(packages)) {
    for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
      if (isLocked(packages, from, name)) continue;
      const { version, integrity, cpu, libc, license, os, engines } = askRegistry(name, range);
      // In npm's own order, so that npm leaves the file as it is.
      packages[`node_modules/${name}`] = {
        ...{ version, integrity, cpu, dev: entry.dev, libc, license, optional: true, os, engines },
      };
      mended.push(`${name}@${version}`);
    }
  }
  for (const [at, entry] of Object.entries(packages)) {
    if (at === '' || entry.link || entry.integrity) continue;
    const name = at.slice(at.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const { version, ...others } = entry;
    packages[at] = { version, integrity: askRegistry(name, version).integrity, ...others };
    mended.push(`${name}@${version}`);
  }
  lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(
    `${join(folder, 'package-lock.json')}: ${mended.length === 0 ? 'complete' : `added ${mended.join(', ')}`}`,
  );
}
