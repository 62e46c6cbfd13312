import { expect, test } from '@jest/globals';
import { type Problem, problemLines, together } from '../src/alike.ts';

const places = Array.from({ length: 30 }, (_, index) => ({
  account: String(100_000_000_000 + index),
  region: index % 2 === 0 ? 'eu-west-1' : 'us-east-1',
}));
const inAll = (what: (place: { account: string; region: string }) => string): Problem[] =>
  places.map(({ account, region }) => {
    const where = `${account}/${region}`;
    return { where, what: what({ account, region }), remedy: `look at ${where}` };
  });
const firstFive = places.slice(0, 5).map(({ account, region }) => `${account}/${region}`);

test('problems that name nothing but their own place are one, which names five and says how many more', () => {
  expect(together(inAll(({ account, region }) => `${region} is not enabled in account ${account}`))).toEqual([
    {
      places: `${firstFive.join(', ')} and 25 more`,
      what: '{region} is not enabled in account {account}',
      remedy: 'look at {account}/{region}',
    },
  ]);
});

test('one alone, or the same in all, is told as it is', () => {
  const [first] = inAll(({ region }) => `${region} is not enabled`);
  expect(together(first ? [first] : [])).toEqual([
    { places: firstFive[0], what: 'eu-west-1 is not enabled', remedy: `look at ${firstFive[0]}` },
  ]);
  const same = ['one', 'two'].map((where) => ({ where, what: 'the key of eu-west-1 is gone', remedy: '' }));
  expect(together(same)).toEqual([{ places: 'one, two', what: 'the key of eu-west-1 is gone', remedy: '' }]);
});

test("problems that differ in more, another account's among it, are told apart, up to twenty", () => {
  const [one, other] = ['333333333333', '444444444444'].map((owner) => inAll(() => `it is of account ${owner}`));
  expect(together([...(one ?? []), ...(other ?? [])])).toHaveLength(2);
  const lines = problemLines(
    inAll(({ account }) => `ami-${Number(account) % 1000} is gone`),
    'the file has them all',
  ).split('\n');
  expect(lines).toHaveLength(41);
  expect(lines.slice(0, 2)).toEqual([`  ${firstFive[0]}: ami-0 is gone`, `    What to do: look at ${firstFive[0]}`]);
  expect(lines.at(-1)).toBe('  …and 10 different ones more; the file has them all');
});
