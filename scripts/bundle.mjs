// How an entry of the action becomes one file: rolldown shakes the tree, ncc packs what is left of it.
import ncc from '@vercel/ncc';
import { rolldown } from 'rolldown';

/**
 * Writes `input` with what it uses of its packages into one file; `packages: false` leaves the packages out. Gives the
 * bytes that each module of it takes.
 */
export async function shake(input, file, { packages = true } = {}) {
  const bundle = await rolldown({
    input,
    platform: 'node',
    ...(!packages && { external: /^[^./]/ }),
    // The ES module builds of the SDK can be shaken; its CommonJS ones, which platform node prefers, cannot.
    resolve: { mainFields: ['module', 'main'] },
    // Of the toolkit only what is used: it doesn't say that importing it does nothing, and it doesn't.
    treeshake: {
      moduleSideEffects: [{ test: /node_modules[\\/](@actions|@octokit|undici)[\\/]/, sideEffects: false }],
    },
    onLog(level, log, handler) {
      // Dependencies' own circular imports are not ours to mend.
      if (log.code !== 'CIRCULAR_DEPENDENCY') handler(level, log);
    },
  });
  const { output } = await bundle.write({ file, format: 'esm', codeSplitting: false, comments: false });
  await bundle.close();
  return Object.entries(output[0].modules).map(([id, { renderedLength }]) => ({ id, bytes: renderedLength }));
}

/** The code of `file` and of all that it needs, as the runner loads it: with nothing else installed. */
export async function pack(file, { minify = false } = {}) {
  const { code, assets } = await ncc(file, { cache: false, target: 'es2024', quiet: true, esm: true, minify });
  const stray = Object.keys(assets).filter((asset) => asset !== 'package.json');
  return { code, stray };
}
