// Builds dist/. rolldown shakes the tree first (ncc alone would keep the whole EC2 client: 4.4 MB instead of 1.6 MB),
// then ncc makes each entry the one file that the runner loads, with nothing else installed.
// Usage: node scripts/build.mjs [folder]; the folder is dist unless named.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import license from 'rollup-plugin-license';
import { pack, shake } from './bundle.mjs';

const out = resolve(process.argv[2] ?? 'dist');
const entries = { main: 'src/index.ts', post: 'src/post.ts' };
const scratch = mkdtempSync(join(tmpdir(), 'share-encrypted-ami-build-'));
writeFileSync(join(scratch, 'package.json'), '{ "type": "module" }\n');
rmSync(out, { recursive: true, force: true });

/** The licence texts of everything bundled, in one order whatever the machine. */
function licenceText(dependencies) {
  const one = ({ name, version, license: id, licenseText }) =>
    `${name} ${version}\n${id}\n\n${(licenseText ?? '').trim()}\n`;
  return dependencies
    .map(one)
    .sort()
    .join(`\n${'-'.repeat(80)}\n\n`);
}

const licences = new Map();
for (const [name, input] of Object.entries(entries)) {
  const shaken = join(scratch, `${name}.js`);
  await shake(input, shaken, {
    plugins: [
      license({
        thirdParty: {
          output: (dependencies) => {
            for (const one of dependencies) licences.set(`${one.name}@${one.version}`, one);
          },
        },
      }),
    ],
  });
  const { code, stray } = await pack(shaken);
  if (stray.length > 0) throw new Error(`ncc emitted ${stray}`);
  mkdirSync(join(out, name), { recursive: true });
  // ncc names the scratch file in a comment; the bytes must not depend on where they were built.
  writeFileSync(join(out, name, 'index.js'), code.replace(/[^\s'"]*share-encrypted-ami-build-\w+/g, '.'));
  writeFileSync(join(out, name, 'package.json'), '{ "type": "module" }\n');
}
writeFileSync(join(out, 'licenses.txt'), licenceText([...licences.values()]));
rmSync(scratch, { recursive: true });
for (const name of Object.keys(entries)) {
  console.log(`${name}/index.js ${(readFileSync(join(out, name, 'index.js')).length / 1e6).toFixed(2)} MB`);
}
