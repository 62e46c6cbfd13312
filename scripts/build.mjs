// Builds dist/. rolldown shakes the tree first (ncc alone would keep the whole EC2 client: 4.4 MB instead of 1.6 MB),
// then ncc makes each entry the one file that the runner loads, with nothing else installed.
// Usage: node scripts/build.mjs [folder]; the folder is dist unless named.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import ncc from '@vercel/ncc';
import { rolldown } from 'rolldown';
import license from 'rollup-plugin-license';

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
  const bundle = await rolldown({
    input,
    platform: 'node',
    // The ES module builds of the SDK can be shaken; its CommonJS ones, which platform node prefers, cannot.
    resolve: { mainFields: ['module', 'main'] },
    // Of the toolkit only what is used: it doesn't say that importing it does nothing, and it doesn't.
    treeshake: {
      moduleSideEffects: [{ test: /node_modules[\\/](@actions|@octokit|undici)[\\/]/, sideEffects: false }],
    },
    plugins: [
      license({
        thirdParty: {
          output: (dependencies) => {
            for (const one of dependencies) licences.set(`${one.name}@${one.version}`, one);
          },
        },
      }),
    ],
    onLog(level, log, handler) {
      // Dependencies' own circular imports are not ours to mend.
      if (log.code !== 'CIRCULAR_DEPENDENCY') handler(level, log);
    },
  });
  const shaken = join(scratch, `${name}.js`);
  await bundle.write({ file: shaken, format: 'esm', codeSplitting: false, comments: false });
  await bundle.close();
  const { code, assets } = await ncc(shaken, { cache: false, target: 'es2024', quiet: true, esm: true });
  if (Object.keys(assets).some((asset) => asset !== 'package.json'))
    throw new Error(`ncc emitted ${Object.keys(assets)}`);
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
