import { isRegionName } from '../regions.ts';
import { accountId, type InputName, type Reader } from './reader.ts';

/** One account in one region. */
export type Place = Readonly<{ account: string; region: string }>;

/**
 * Whether a place is one of those that an input lists as `account/region`, in which `*` stands for any account or any
 * region. What has another form is noted.
 */
export function readPlaces(reader: Reader, name: InputName): (place: Place) => boolean {
  const patterns = reader.list(name).map((item) => {
    const [account = '', region = '', ...rest] = item.split('/');
    const isPlace = (account === '*' || accountId.test(account)) && (region === '*' || isRegionName(region));
    if (!isPlace || rest.length > 0)
      reader.note(name, item, 'expected account/region, such as 999999999999/eu-west-1, 999999999999/* or */eu-west-1');
    return { account, region };
  });
  const fits = (pattern: string, value: string) => pattern === '*' || pattern === value;
  return ({ account, region }) => patterns.some((one) => fits(one.account, account) && fits(one.region, region));
}
