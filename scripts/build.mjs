// Builds dist/. rolldown shakes the tree first (ncc alone would keep the whole EC2 client: 4.4 MB instead of 1.6 MB),
// then ncc makes of it what every entry of the actions' manifests imports, with nothing else installed.
// Usage: node scripts/build.mjs [folder]; the folder is dist unless named.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pack, scratchFolder, shake } from './bundle.mjs';

const out = resolve(process.argv[2] ?? 'dist');
/** By folder, the function of src/index.ts that the entry there calls. */
const entries = { main: 'share', post: 'post', sweep: 'sweep', audit: 'audit', recall: 'recall' };
const scratch = scratchFolder();
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
for (const { id, bytes } of await shake('src/index.ts', scratch)) if (bytes > 0) packages.add(packageOf(id));
const bundle = Object.entries(await pack(scratch));
/** Writes a file of dist/, and the folder that it is in. */
function write(file, text) {
  mkdirSync(dirname(join(out, file)), { recursive: true });
  writeFileSync(join(out, file), text);
}
write('package.json', '{ "type": "module" }\n');
for (const [name, code] of bundle) write(`bundle/${name}`, code);
for (const [folder, name] of Object.entries(entries))
  write(`${folder}/index.js`, `import { ${name} } from '../bundle/index.js';\n\n${name}();\n`);
packages.delete(undefined);
// Packages that are there twice in one version are named once; the order is the same on every machine.
const licences = [...new Set([...packages].map(licenceOf))].sort();
writeFileSync(join(out, 'licenses.txt'), licences.join(`\n${'-'.repeat(80)}\n\n`));
rmSync(scratch, { recursive: true });
for (const [name, code] of bundle) console.log(`bundle/${name} ${(code.length / 1e6).toFixed(2)} MB`);
