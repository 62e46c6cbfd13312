import { isRegionName } from '../regions.ts';
import { accountId, type InputName, type Reader } from './reader.ts';

/** One account in one region. */
export type Place = Readonly<{ account: string; region: string }>;

/** Places that an input lists as `account/region`, in which `*` stands for any account or any region. */
export type Places = Readonly<{
  has(place: Place): boolean;
  /** What of the list names none of these, each as a sentence: it may be misspelt. */
  unmatched(places: readonly Place[]): string[];
}>;

/** Reads what an input lists; what has another form is noted. */
export function readPlaces(reader: Reader, name: InputName): Places {
  const patterns = reader.list(name).map((item) => {
    const [account = '', region = '', ...rest] = item.split('/');
    const isPlace = (account === '*' || accountId.test(account)) && (region === '*' || isRegionName(region));
    if (!isPlace || rest.length > 0)
      reader.note(name, item, 'expected account/region, such as 999999999999/eu-west-1, 999999999999/* or */eu-west-1');
    return { account, region };
  });
  const fits = (pattern: string, value: string) => pattern === '*' || pattern === value;
  const covers = (pattern: Place, { account, region }: Place) =>
    fits(pattern.account, account) && fits(pattern.region, region);
  return {
    has: (place) => patterns.some((one) => covers(one, place)),
    unmatched: (places) =>
      patterns
        .filter((one) => !places.some((place) => covers(one, place)))
        .map(({ account, region }) => `${name}: ${account}/${region} names none of the targets`),
  };
}
