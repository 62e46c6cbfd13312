// Mutation tests: Stryker changes the source in one place at a time, and a test must notice.
//
//   npm run mutants            all modules
//   npm run mutants -- lease   those whose path contains the word
//
// A module's mutants are tried by the module's own tests alone: whole runs of the action would take too long for each.
// A mutant that no test notices fails the run, unless harmless-mutants.mjs says why it does no harm. The report of each
// module is in reports/mutants/.
import { readFileSync } from 'node:fs';
import { Stryker } from '@stryker-mutator/core';
import { harmless } from './harmless-mutants.mjs';

const modules = [
  { mutate: 'src/tags.ts', tests: 'tags.test' },
  { mutate: 'src/image.ts', tests: 'image.test' },
  { mutate: 'src/ledger.ts', tests: 'ledger.test' },
  { mutate: 'src/lease.ts', tests: 'lease?(-tags|-room).test' },
  { mutate: 'src/machine.ts', tests: 'lease.test' },
  { mutate: 'src/saved-state.ts', tests: 'ledger.test' },
  { mutate: 'src/aws/retry.ts', tests: 'retry.test' },
  { mutate: 'src/digest.ts', tests: 'plan/digest.test' },
  { mutate: 'src/plan/approved.ts', tests: 'plan/approved.test' },
  { mutate: 'src/plan/retention.ts', tests: 'plan/retention.test' },
  { mutate: 'src/plan/removal.ts', tests: 'plan/together' },
  ...['plan', 'planning', 'encrypted-copies', 'target', 'target-tags', 'replacing', 'succession', 'naming'].map(
    (name) => ({
      mutate: `src/plan/${name}.ts`,
      tests: 'plan/together',
    }),
  ),
  { mutate: 'src/plan/route.ts', tests: 'plan/route.test' },
  { mutate: 'src/plan/earlier.ts', tests: 'plan/together' },
  { mutate: 'src/plan/intermediates.ts', tests: 'plan/encrypted-copies.test' },
  { mutate: 'src/plan/operations.ts', tests: 'plan/together' },
  { mutate: 'src/plan/supply-operations.ts', tests: 'plan/together' },
  { mutate: 'src/plan/evidence.ts', tests: 'plan/evidence.test' },
  { mutate: 'src/plan/ours.ts', tests: 'plan/together' },
  ...['release', 'access', 'encrypted-copies', 'target'].map((name) => ({
    mutate: `src/release/${name}.ts`,
    tests: 'release?(-policy|-target).test',
  })),
];

/** A mutant: the code that it changes, the line that this begins in, and what it becomes, each on one line. */
function describe(file, { location: { start, end }, replacement, status }) {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .slice(start.line - 1, end.line);
  const [first = ''] = lines;
  lines.push(lines.pop().slice(0, end.column - 1));
  lines.unshift(lines.shift().slice(start.column - 1));
  return {
    file,
    at: start.line,
    line: first.trim(),
    code: flat(lines),
    becomes: flat(replacement.split('\n')),
    status,
  };
}

const flat = (lines) => lines.map((line) => line.trim()).join(' ');

/** Stryker loads the modules anew for each mutant, which takes jest's own contexts. */
const isolated = {
  ...{ runner: 'jest-runner', transform: {}, extensionsToTreatAsEsm: ['.ts'], setupFiles: [] },
  // Stryker's own time-out ends a mutant that runs forever.
  testTimeout: 120_000,
};

async function runMutants({ mutate, tests }) {
  const file = mutate.replace(/:.*/, '');
  const report = `reports/mutants/${file.slice('src/'.length, -'.ts'.length).replaceAll('/', '-')}`;
  const stryker = new Stryker({
    mutate: [mutate],
    testRunner: 'jest',
    testRunnerNodeArgs: ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'],
    jest: { enableFindRelatedTests: false, config: { ...isolated, testMatch: [`<rootDir>/__tests__/${tests}.ts`] } },
    coverageAnalysis: 'perTest',
    concurrency: 2,
    // A busy machine makes no mutant noticed.
    timeoutMS: 20_000,
    // Every run of jest leaves its modules in memory.
    maxTestRunnerReuse: 30,
    // Stryker rewrites tsconfig.json by an API that TypeScript 7 doesn't have; the tests don't read it.
    ignorePatterns: ['/tsconfig.json', '/dist', '/bench', '/examples', '/mutants', '/pictures', '/templates'],
    logLevel: 'warn',
    reporters: ['html', 'json'],
    htmlReporter: { fileName: `${report}.html` },
    jsonReporter: { fileName: `${report}.json` },
    thresholds: { high: 100, low: 100, break: null },
  });
  const results = await stryker.runMutationTest();
  return results.filter(({ status }) => status !== 'Ignored').map((result) => describe(file, result));
}

/** Whether a test noticed: it failed, ran forever, or could not even be loaded. */
const isNoticed = ({ status }) => status === 'Killed' || status === 'Timeout' || status === 'RuntimeError';

const known = harmless.flatMap(({ mutants }) =>
  mutants.map(([file, line, code, becomes]) => ({ file, line, code, becomes })),
);
const isKnown = (survivor, { file, line, code, becomes }) =>
  survivor.file === file && survivor.line.startsWith(line) && survivor.code === code && survivor.becomes === becomes;

const asked = modules.filter(({ mutate }) => mutate.includes(process.argv[2] ?? ''));
const mutants = [];
for (const module of asked) {
  const started = Date.now();
  const found = await runMutants(module);
  mutants.push(...found);
  const noticed = found.filter(isNoticed).length;
  const minutes = ((Date.now() - started) / 60_000).toFixed(1);
  console.log(`${module.mutate}: ${noticed} of ${found.length} mutants noticed, ${minutes} minutes`);
}

const survivors = mutants.filter((mutant) => !isNoticed(mutant));
const open = survivors.filter((survivor) => !known.some((one) => isKnown(survivor, one)));
for (const { file, at, code, becomes, status } of open)
  console.log(`${file}:${at} ${status}\n  - ${code}\n  + ${becomes}`);
const files = asked.map(({ mutate }) => mutate.replace(/:.*/, ''));
const stale = known.filter((one) => files.includes(one.file) && !survivors.some((survivor) => isKnown(survivor, one)));
for (const { file, line, code, becomes } of stale)
  console.log(`no survivor any more: ${file}: ${line}\n  - ${code}\n  + ${becomes}`);
console.log(`${survivors.length - open.length} survivors do no harm, ${open.length} are open`);
if (open.length + stale.length > 0) process.exitCode = 1;
