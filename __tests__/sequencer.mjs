/**
 * The files that take longest begin first, those that wait beside those that compute: else one of them is left over at
 * the end. Without a cache, as in CI, jest would go by the files' sizes.
 */
const first = [
  'built',
  'built-forged-tags',
  'policy-actions',
  'credentials',
  'every-ami',
  'e2e',
  'policies',
  'house/what-stays',
  'house/leases',
  'simulator/runner',
];

export default class Sequencer {
  sort(tests) {
    const rank = ({ path }) =>
      first.findIndex((name) => path.endsWith(`/${name}.test.ts`)) + 1 || Number.POSITIVE_INFINITY;
    const size = ({ path, context }) => context.hasteFS.getSize(path) ?? 0;
    return [...tests].sort((a, b) => rank(a) - rank(b) || size(b) - size(a));
  }

  cacheResults() {}
}
