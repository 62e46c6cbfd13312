import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';

const root = join(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'dist-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function filesIn(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    names.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(folder.length), readFileSync(path, 'utf8')];
    }),
  );
}

test('dist/ is what src/ builds, byte for byte, in any checkout', () => {
  // Deeper than this one, and with its packages elsewhere.
  const checkout = join(scratch, 'of/another');
  mkdirSync(checkout, { recursive: true });
  for (const name of ['src', 'scripts', 'package.json'])
    cpSync(join(root, name), join(checkout, name), { recursive: true });
  symlinkSync(realpathSync(join(root, 'node_modules')), join(checkout, 'node_modules'));
  execFileSync(process.execPath, ['scripts/build.mjs'], { cwd: checkout, stdio: 'pipe' });
  const [built, committed] = [filesIn(join(checkout, 'dist')), filesIn(join(root, 'dist'))];
  expect(Object.keys(committed).sort()).toEqual(Object.keys(built).sort());
  for (const [name, text] of Object.entries(built)) {
    // Two megabytes make no readable difference.
    if (committed[name] !== text) throw new Error(`dist${name} is stale: npm run build`);
  }
});

/** Tells, as the process ends, what it has loaded: files of the bundle, and modules of Node's own. */
const telling = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  import { writeSync } from 'node:fs';
  const files = [];
  registerHooks({ load(url, context, next) { files.push(url); return next(url, context); } });
  const own = () => process.moduleLoadList.map((name) => name.replace('NativeModule ', ''));
  process.on('exit', () => writeSync(2, JSON.stringify({ files, own: own() })));
`)}`;

/** What an entry loads: the texts of the bundle's files, and of some of Node's modules the names. */
function loadedBy(entry: string, inputs: Record<string, string>) {
  const args = ['--import', telling, join(root, 'dist', entry, 'index.js')];
  const env = Object.fromEntries(Object.entries(inputs).map(([name, text]) => [`INPUT_${name.toUpperCase()}`, text]));
  const { stderr, stdout } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  const { files, own } = JSON.parse(stderr) as { files: string[]; own: string[] };
  const bundle = files.filter((url) => url.includes('/dist/bundle/')).map((url) => readFileSync(new URL(url), 'utf8'));
  return { stdout, bundle, own: ['http', 'https', 'zlib'].filter((name) => own.includes(name)) };
}

describe('what a run takes is loaded, and no more', () => {
  test.each(['main', 'post', 'audit', 'recall', 'sweep'])('%s with nothing to do loads the start alone', (entry) => {
    const { stdout, bundle, own } = loadedBy(entry, {});
    expect(stdout.includes('::error::')).toBe(entry !== 'post');
    expect(own).toEqual([]);
    expect(bundle.map((text) => /@(aws-sdk|smithy)\/|[\\/]yaml[\\/]/.exec(text)?.[0])).toEqual([undefined]);
  });

  test('YAML is loaded for an input that may hold some', () => {
    const { stdout, bundle, own } = loadedBy('main', { targets: '- {account: ' });
    expect(stdout).toContain('is not YAML');
    expect(own).toEqual([]);
    expect(bundle.map((text) => text.includes('BLOCK_AS_IMPLICIT_KEY'))).toEqual([false, true]);
  });
});
