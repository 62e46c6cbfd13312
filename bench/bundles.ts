// What other ways to bundle the action would give, and what of the bundle is whose.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pack, shake } from '../scripts/bundle.mjs';
import { bundles, measureStartUp, type StartUp } from './measure.ts';

const repository = resolve(import.meta.dirname, '..');
const input = join(repository, 'src/index.ts');

export type Bundles = Readonly<{
  variants: StartUp[];
  /** Bytes of the bundle for main by package, the largest first; the rest together. */
  bytes: Readonly<Record<string, number>>;
}>;

/** Bundles the action's main in other ways too, and starts each. The files are gone afterwards. */
export async function measureBundles(): Promise<Bundles> {
  // In the repository, so that packages that are left out of a bundle are found.
  const folder = mkdtempSync(join(repository, '.bundles-'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
  const cold = () => ({ NODE_COMPILE_CACHE: mkdtempSync(join(folder, 'cache-')) });
  const warm = join(folder, 'warm');
  try {
    const modules = await shake(input, join(folder, 'shaken'));
    await shake(input, join(folder, 'ours'), { packages: false });
    const bundle = join(folder, 'bundle');
    mkdirSync(bundle);
    for (const [name, code] of Object.entries(await pack(join(folder, 'ours'))))
      writeFileSync(join(bundle, name), code);
    const file = join(folder, 'index.js');
    writeFileSync(file, "import { share } from './bundle/index.js';\nshare();\n");
    const main = bundles.find(({ entry }) => entry === 'main');
    if (main === undefined) throw new Error('dist/ has no main');
    const variants = await measureStartUp([
      { entry: 'ncc alone', file, bundle },
      { ...main, entry: 'shaken, then ncc: dist' },
      { ...main, entry: 'dist, compile cache cold', prepare: cold },
      { ...main, entry: 'dist, compile cache warm', prepare: () => ({ NODE_COMPILE_CACHE: warm }) },
    ]);
    return { variants, bytes: bytesByPackage(modules) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const shown = 10;

function bytesByPackage(modules: readonly { id: string; bytes: number }[]): Record<string, number> {
  const owner = (id: string) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(id)?.[1] ?? 'the action itself';
  const totals = [...Map.groupBy(modules, ({ id }) => owner(id))]
    .map(([name, own]) => [name, own.reduce((sum, { bytes }) => sum + bytes, 0)] as const)
    .sort(([, a], [, b]) => b - a);
  const rest = totals.slice(shown).reduce((sum, [, bytes]) => sum + bytes, 0);
  return { ...Object.fromEntries(totals.slice(0, shown)), 'the rest': rest };
}
