export default {
  // Node 24 strips the types itself; nothing is transformed, so what is tested is what is written.
  transform: {},
  extensionsToTreatAsEsm: ['.ts'],
  testMatch: ['<rootDir>/__tests__/**/*.test.ts'],
  testTimeout: 60_000,
  watchman: false,
};
