import { randomFrom } from './faults.ts';
import { type Refusal, throttled } from './refusal.ts';

/** A token bucket: so many calls at once, and so many more a second. */
export type Bucket = Readonly<{ name: string; capacity: number; perSecond: number }>;

/**
 * The buckets that EC2 keeps for each account and region:
 * https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
 */
const ec2Buckets: readonly (Bucket & Readonly<{ actions: RegExp }>)[] = [
  { name: 'CopyImage', actions: /^CopyImage$/, capacity: 100, perSecond: 1 },
  // Each of these has a bucket of its own.
  {
    name: '',
    actions: /^(CreateSnapshot|DeleteSnapshot|DeregisterImage|ModifyImageAttribute|ModifySnapshotAttribute)$/,
    capacity: 100,
    perSecond: 5,
  },
  { name: 'CreateTags', actions: /^CreateTags$/, capacity: 100, perSecond: 10 },
  { name: 'non-mutating', actions: /^(Describe|Get|List|Search)/, capacity: 100, perSecond: 20 },
  { name: 'mutating', actions: /./, capacity: 50, perSecond: 5 },
];

/** KMS counts calls a second, over a second: https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html */
const kmsRates: Readonly<Record<string, number>> = {
  CreateGrant: 50,
  DescribeKey: 2000,
  GetKeyPolicy: 1000,
  ListGrants: 100,
  PutKeyPolicy: 15,
  RetireGrant: 30,
  RevokeGrant: 30,
};

function bucketOf(service: string, action: string): Bucket | undefined {
  if (service === 'ec2') {
    const bucket = ec2Buckets.find(({ actions }) => actions.test(action));
    return bucket && { ...bucket, name: bucket.name || action };
  }
  const perSecond = service === 'kms' ? kmsRates[action] : undefined;
  return perSecond === undefined ? undefined : { name: action, capacity: perSecond, perSecond };
}

/** Who calls what, and when, in ms. */
export type Rated = Readonly<{ service: string; action: string; account?: string; region?: string; at: number }>;

export type Rates = Readonly<{
  /** What refuses a call beyond the rate of its account and region; undefined where it is within. */
  refusal(call: Rated): Refusal | undefined;
}>;

/** The request rates of one AWS, of which `share` is left by those who call there besides; 0 is none at all. */
export function openRates(share: number): Rates {
  const levels = new Map<string, { tokens: number; at: number }>();
  return {
    refusal({ service, action, account, region, at }) {
      const bucket = share === 0 ? undefined : bucketOf(service, action);
      if (bucket === undefined) return undefined;
      const name = `${account}/${region}/${service}/${bucket.name}`;
      const capacity = bucket.capacity * share;
      const level = levels.get(name) ?? { tokens: capacity, at };
      const tokens = Math.min(capacity, level.tokens + ((at - level.at) / 1000) * bucket.perSecond * share);
      const isWithin = tokens >= 1;
      levels.set(name, { tokens: isWithin ? tokens - 1 : tokens, at });
      return isWithin ? undefined : throttled(service);
    },
  };
}

/** How long calls take, in ms: each alike, or somewhere between two bounds. */
export type Latency = number | readonly [least: number, most: number];

/**
 * How long one call takes: the `count`th of an action in one account and region takes as long in each run with one seed,
 * so that the ideal can be worked out. Between bounds, most calls are near the lower one, as recorded ones are.
 */
export function latencyOf(latency: Latency, call: Readonly<{ site: string; count: number; seed: number }>): number {
  if (typeof latency === 'number') return latency;
  const [least, most] = latency;
  let mixed = call.seed;
  for (const letter of `${call.site}#${call.count}`) mixed = Math.imul(mixed ^ letter.charCodeAt(0), 0x01000193);
  return least * (most / least) ** (randomFrom(mixed)() ** 2);
}
