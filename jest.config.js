export default {
  // Node 24 strips the types itself; nothing is transformed, so what is tested is what is written.
  runner: 'jest-light-runner',
  setupFiles: ['<rootDir>/__tests__/setup.mjs'],
  testMatch: ['<rootDir>/__tests__/**/*.test.ts'],
  // Where `npm run mutants` keeps its copies of this folder.
  modulePathIgnorePatterns: ['<rootDir>/.stryker-tmp/'],
  testSequencer: './__tests__/sequencer.mjs',
  // The tests wait for processes most of the time.
  maxWorkers: 3,
  // A test that fails leaves its simulator open; that must not keep the run from ending.
  forceExit: true,
  watchman: false,
};
