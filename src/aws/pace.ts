import type { Clock } from '../time.ts';
import { isRead, type Where } from './errors.ts';

/*
 * AWS refuses calls beyond a rate, for each account and region. A call that would be refused waits here instead, behind
 * those that the copies wait for. Others may take of the same rate: what is refused all the same slows us down to what is
 * left, and from there we ask for a little more each second.
 */

/** A token bucket: so many calls at once, and so many more a second. */
type Rate = Readonly<{ capacity: number; perSecond: number }>;

/** Actions that share a bucket, and its rate. */
type Bucket = Readonly<{ name: string; rate: Rate }>;

const ownBucket = /^(CreateSnapshot|DeleteSnapshot|DeregisterImage|ModifyImageAttribute|ModifySnapshotAttribute)$/;

/** https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html */
function ec2Bucket(action: string): Bucket {
  if (action === 'CopyImage') return { name: action, rate: { capacity: 100, perSecond: 1 } };
  if (action === 'CreateTags') return { name: action, rate: { capacity: 100, perSecond: 10 } };
  if (ownBucket.test(action)) return { name: action, rate: { capacity: 100, perSecond: 5 } };
  if (isRead(action)) return { name: 'reads', rate: { capacity: 100, perSecond: 20 } };
  return { name: 'writes', rate: { capacity: 50, perSecond: 5 } };
}

/** Calls a second: https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html */
const kmsRates: ReadonlyMap<string, number> = new Map([
  ['CreateGrant', 50],
  ['ListGrants', 100],
  ['PutKeyPolicy', 15],
  ['RevokeGrant', 30],
]);

function bucketOf(service: string, action: string): Bucket | undefined {
  if (service === 'ec2') return ec2Bucket(action);
  const perSecond = service === 'kms' ? kmsRates.get(action) : undefined;
  return perSecond === undefined ? undefined : { name: action, rate: { capacity: perSecond, perSecond } };
}

/** Which call waits, of which service. */
export type Paced = Readonly<{ where: Where; service: string; action: string; canWait: boolean; signal: AbortSignal }>;

export type Pacer = Readonly<{
  /** Waits until a call is within its rate. @throws the signal's reason, when that ends the wait */
  turn(call: Paced): Promise<void>;
  /** Tells that AWS refused a call for its rate: the others of its bucket hold back for so many ms. */
  refused(call: Paced, holdMs: number): void;
}>;

export function openPacer(clock: Clock): Pacer {
  const gates = new Map<string, Gate>();
  const gateOf = ({ where, service, action }: Paced): Gate => {
    const bucket = bucketOf(service, action) ?? { name: service, rate: unlimited };
    const name = `${where.account}/${where.region}/${service}/${bucket.name}`;
    const gate = gates.get(name) ?? openGate(clock, bucket.rate);
    gates.set(name, gate);
    return gate;
  };
  return {
    turn: (call) => gateOf(call).turn(call.canWait, call.signal),
    refused: (call, holdMs) => gateOf(call).refused(holdMs),
  };
}

/** Of services whose rates no run comes near: they are slowed down only when AWS says so. */
const unlimited: Rate = { capacity: Number.POSITIVE_INFINITY, perSecond: Number.POSITIVE_INFINITY };

type Gate = Readonly<{
  turn(canWait: boolean, signal: AbortSignal): Promise<void>;
  refused(holdMs: number): void;
}>;

/** The part of a rate that is asked for at least, whatever is refused, and how much more of it each second. */
const leastShare = 1 / 16;
const shareBackPerSecond = 1 / 120;

/** A call may reach AWS by so much later than the one before, which has its bucket fill later: that much is kept back. */
const arrivalSeconds = 1;

function openGate(clock: Clock, rate: Rate): Gate {
  const { perSecond } = rate;
  // KMS has no bucket: it counts the calls of a second.
  const capacity = Math.max(perSecond, rate.capacity - arrivalSeconds * perSecond);
  let tokens = capacity;
  let at = clock.now();
  let heldUntil = 0;
  let share = 1;
  const first: object[] = [];
  const later: object[] = [];

  const refill = (): void => {
    const seconds = Math.max(0, clock.now() - at) / 1000;
    at = clock.now();
    share = Math.min(1, share + seconds * shareBackPerSecond);
    if (seconds > 0) tokens = Math.min(capacity, tokens + seconds * perSecond * share);
  };

  /** How long until a call that so many are before may go, in ms. */
  const delay = (before: number): number => {
    refill();
    const lacking = before + 1 - tokens;
    return Math.max(heldUntil - at, lacking > 0 ? (1000 * lacking) / (perSecond * share) : 0);
  };

  return {
    async turn(canWait, signal) {
      const self = {};
      const queue = canWait ? later : first;
      queue.push(self);
      try {
        for (;;) {
          const ms = delay(queue.indexOf(self) + (canWait ? first.length : 0));
          if (ms <= 0) break;
          // Somebody before it may give up; and a timer may fire a moment early.
          await clock.sleep(Math.max(1, delay(0), ms / 2), signal);
        }
        tokens -= 1;
      } finally {
        queue.splice(queue.indexOf(self), 1);
      }
    },
    refused(holdMs) {
      refill();
      // Calls that were under way together are refused together: that is one refusal.
      if (at >= heldUntil) share = Math.max(leastShare, share / 2);
      if (Number.isFinite(capacity)) tokens = 0;
      heldUntil = Math.max(heldUntil, at + holdMs);
    },
  };
}
