export default {
  // Node 24 strips the types itself; nothing is transformed, so what is tested is what is written.
  transform: {},
  extensionsToTreatAsEsm: ['.ts'],
  testMatch: ['<rootDir>/__tests__/**/*.test.ts'],
  // Where `npm run mutants` keeps its copies of this folder.
  modulePathIgnorePatterns: ['<rootDir>/.stryker-tmp/'],
  moduleNameMapper: {
    '^@aws-sdk/client-ec2$': '<rootDir>/__tests__/client-ec2.cjs',
    '^@cloud-copilot/iam-utils$': '<rootDir>/__tests__/iam-utils.ts',
  },
  testEnvironment: './__tests__/environment.mjs',
  testSequencer: './__tests__/sequencer.mjs',
  testTimeout: 60_000,
  // The tests wait for processes most of the time.
  maxWorkers: 3,
  // A test that fails leaves its simulator open; that must not keep the run from ending.
  forceExit: true,
  watchman: false,
};
