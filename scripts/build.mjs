// Builds dist/. rolldown shakes the tree first (ncc alone would keep the whole EC2 client: 4.4 MB instead of 1.6 MB),
// then ncc makes each entry the one file that the runner loads, with nothing else installed.
// Usage: node scripts/build.mjs [folder]; the folder is dist unless named.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pack, shake } from './bundle.mjs';

const out = resolve(process.argv[2] ?? 'dist');
const entries = { main: 'src/index.ts', post: 'src/post.ts' };
const scratch = mkdtempSync(join(tmpdir(), 'share-encrypted-ami-build-'));
writeFileSync(join(scratch, 'package.json'), '{ "type": "module" }\n');
rmSync(out, { recursive: true, force: true });

/** The folder of the package that a module is in: what follows the last node_modules, and a scope has a folder more. */
function packageOf(id) {
  return /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(id)?.[0];
}

/** Name, version and licence of a package, with the text of its licence. */
function licenceOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder)
    .sort()
    .find((one) => /^licen[cs]e\b/i.test(one));
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8');
  return `${name} ${version}\n${license}\n\n${text.trim()}\n`;
}

const packages = new Set();
for (const [name, input] of Object.entries(entries)) {
  const shaken = join(scratch, `${name}.js`);
  for (const { id, bytes } of await shake(input, shaken)) if (bytes > 0) packages.add(packageOf(id));
  const { code, stray } = await pack(shaken);
  if (stray.length > 0) throw new Error(`ncc emitted ${stray}`);
  mkdirSync(join(out, name), { recursive: true });
  // ncc names the scratch file in a comment; the bytes must not depend on where they were built.
  writeFileSync(join(out, name, 'index.js'), code.replace(/[^\s'"]*share-encrypted-ami-build-\w+/g, '.'));
  writeFileSync(join(out, name, 'package.json'), '{ "type": "module" }\n');
}
packages.delete(undefined);
// Packages that are there twice in one version are named once; the order is the same on every machine.
const licences = [...new Set([...packages].map(licenceOf))].sort();
writeFileSync(join(out, 'licenses.txt'), licences.join(`\n${'-'.repeat(80)}\n\n`));
rmSync(scratch, { recursive: true });
for (const name of Object.keys(entries)) {
  console.log(`${name}/index.js ${(readFileSync(join(out, name, 'index.js')).length / 1e6).toFixed(2)} MB`);
}
