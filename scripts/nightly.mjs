// What takes too long for `npm test`: each way to break a run off at every place, a long soak, both readings of what KMS
// asks, every test with existence before permission, mutation tests, and mermaid's word on the diagrams. `npm test` plays a
// sample of each but the last three.
// A part that fails stops no other; the last table says how each ended.
// Usage: npm run nightly; SOAK_SECONDS and SOAK_SEED are the soak's
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const results = mkdtempSync(join(tmpdir(), 'nightly-'));

const parts = [
  ['kills', tests('killed after any call', 'resume')],
  ['kills of a recall', tests('killed at any', 'recall', 'recall-holds')],
  ['lost answers', tests('the answer to a call .* is lost', 'faults')],
  ['cancels', tests('a cancel', 'resume', 'faults', 'key-access')],
  ['many runs at once', tests('(processes|runs) at once', 'resume', 'key-access')],
  ['tags that are read late', tests('tags that are read late', 'house/leases')],
  ['soak', tests('a soak', 'faults')],
  ['forged tags', tests('forged tags', 'house/forged-tags')],
  ['what is ours, and what stays', tests('.', 'house/(known-as-ours|clocks|what-stays|leases|timeout)')],
  ['ten bakes', tests('nothing in use goes', 'house/ten-bakes')],
  ['recorded images', tests('an image', 'recorded-images')],
  ['KMS needs as measured', tests('by the measured needs', 'policies')],
  ['each action and condition', tests('one action less|a condition that is tighter', 'policies', 'policy-actions')],
  ['existence before permission', () => npm({ SIMULATOR_HARD: 'order' }, 'run', 'jest')],
  ['mutants', () => npm({}, 'run', 'mutants')],
  ['diagrams', () => npm({}, 'run', 'check', '--prefix', 'pictures')],
];

/** Plays the tests of these words in these files: all of what `npm test` plays a sample of. */
function tests(words, ...files) {
  return () => {
    const result = join(results, 'jest.json');
    const paths = files.map((file) => `__tests__/${file}.test.ts`);
    const options = ['-t', words, '--json', '--outputFile', result];
    const passed = npm({ NIGHTLY: 'true' }, 'run', 'jest', '--', ...paths, ...options);
    // Words that fit no test any more would pass, too.
    return passed && JSON.parse(readFileSync(result, 'utf8')).numPassedTests > 0;
  };
}

function npm(settings, ...args) {
  const env = { ...process.env, ...settings };
  return spawnSync('npm', args, { cwd: join(import.meta.dirname, '..'), env, stdio: 'inherit' }).status === 0;
}

const table = parts.map(([name, play]) => {
  console.log(`\n${name}`);
  const started = performance.now();
  const passed = play();
  if (!passed) process.exitCode = 1;
  return { part: name, seconds: Math.round((performance.now() - started) / 1000), ended: passed ? 'passed' : 'failed' };
});
rmSync(results, { recursive: true });
console.log();
for (const { part, seconds, ended } of table)
  console.log(`${part.padEnd(28)} ${String(seconds).padStart(6)} s  ${ended}`);
