// How the entries of the actions become a few files: rolldown shakes the tree, ncc packs what is left of it.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import ncc from '@vercel/ncc';
import { rolldown } from 'rolldown';

/**
 * What is loaded together, the first that fits: what every start takes; and by need the credentials of the environment,
 * YAML, and all that calls AWS. The names stand, so that an update of a package makes no other files.
 */
const groups = [
  { name: 'start', tags: ['$initial'] },
  // The SDK's clients hold the head of the chain, and what it finds first.
  { name: 'credentials', test: /[\\/](nested-clients|token-providers|credential-provider-(?!node|env))/ },
  { name: 'yaml', test: /node_modules[\\/]yaml[\\/]/ },
  { name: 'run', test: /./ },
].map((group, index, all) => ({ ...group, priority: all.length - index }));

/**
 * A new folder to bundle in. ncc numbers modules and files by a hash of the way from the working directory to them, and to
 * its own loaders: so it lies where that way is the same in every checkout, and what `pack` gives is the same everywhere.
 */
export function scratchFolder() {
  const packages = createRequire(import.meta.url)
    .resolve('@vercel/ncc/package.json')
    .slice(0, -'@vercel/ncc/package.json'.length);
  mkdirSync(join(packages, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(packages, '.cache', 'share-encrypted-ami-'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
  return folder;
}

/**
 * Writes `input` with what it uses of its packages into a folder, as index.js and what that loads; `packages: false` leaves
 * the packages out. Gives the bytes that each module takes.
 */
export async function shake(input, folder, { packages = true } = {}) {
  const bundle = await rolldown({
    input,
    platform: 'node',
    preserveEntrySignatures: 'allow-extension',
    ...(!packages && { external: /^[^./]/ }),
    // The ES module builds of the SDK can be shaken; its CommonJS ones, which platform node prefers, cannot.
    resolve: { mainFields: ['module', 'main'], symlinks: false },
    // Of the toolkit only what is used: it doesn't say that importing it does nothing, and it doesn't.
    treeshake: {
      moduleSideEffects: [{ test: /node_modules[\\/](@actions|@octokit|undici)[\\/]/, sideEffects: false }],
    },
    onLog(level, log, handler) {
      // Dependencies' own circular imports are not ours to mend.
      if (log.code !== 'CIRCULAR_DEPENDENCY') handler(level, log);
    },
  });
  const { output } = await bundle.write({
    ...{ dir: folder, format: 'esm', comments: false, entryFileNames: 'index.js', chunkFileNames: '[name].js' },
    codeSplitting: { groups, includeDependenciesRecursively: false },
  });
  await bundle.close();
  return output.flatMap(({ modules }) =>
    Object.entries(modules).map(([id, { renderedLength }]) => ({ id, bytes: renderedLength })),
  );
}

/** The files, by name, that index.js of a folder becomes as the runner loads it: with nothing else installed. */
export async function pack(folder) {
  const before = process.cwd();
  process.chdir(folder);
  try {
    const entry = join(process.cwd(), 'index.js');
    const { code, assets } = await ncc(entry, { cache: false, target: 'es2024', quiet: true, esm: true });
    const others = Object.entries(assets).filter(([name]) => name !== 'package.json');
    return { 'index.js': code, ...Object.fromEntries(others.map(([name, { source }]) => [name, source.toString()])) };
  } finally {
    process.chdir(before);
  }
}
