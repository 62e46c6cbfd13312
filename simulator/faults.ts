import { Refusal, throttled } from './refusal.ts';
import { expired } from './sessions.ts';

/** Something that goes wrong, at the calls that fit; fields that are left out fit everything. */
export type Fault = Readonly<{
  kind:
    | 'throttle'
    | 'server-error'
    /** The connection ends before anything happened. */
    | 'reset'
    /** The call takes effect, and its answer is lost. */
    | 'lost-response'
    /** The call takes effect, and its answer is cut off in the middle, or is another one: the `body` that is named. */
    | 'garbled'
    | 'delay'
    /** No answer ever comes. */
    | 'hang'
    | 'expired-session'
    /** The service refuses, with the `code` that is named. */
    | 'refusal'
    /** A copy that this call begins ends in error. */
    | 'copy-fails'
    | 'token-endpoint';
  service?: 'ec2' | 'kms' | 'sts' | 'ssm' | 'token';
  action?: string;
  account?: string;
  region?: string;
  /** Text that the request's body holds, such as a snapshot's ID. */
  holds?: string;
  /** The first fitting call that it strikes, from 1 on, and how many from there. */
  nth?: number;
  times?: number;
  probability?: number;
  /** Whether dry runs are spared. */
  mutating?: boolean;
  /** For `delay`: the call takes effect only so many ms later, by the simulator's clock. */
  ms?: number;
  /** For `token-endpoint`, `refusal` and `garbled`, the HTTP status. */
  status?: number;
  /** For `garbled`: what is answered, instead of the answer cut off; for `token-endpoint`, the body of the refusal. */
  body?: string;
  /** For `refusal`, the error's code. */
  code?: string;
  /** For `copy-fails`, the StateMessage; for `refusal`, the error's message. */
  message?: string;
  /** For `copy-fails`: the copy is pending for so long before; at once unless named. */
  afterSeconds?: number;
}>;

export type CallSite = Readonly<{
  service: string;
  action: string;
  account?: string;
  region?: string;
  mutating: boolean;
  body: string;
}>;

/** Draws the faults that strike each call; with one seed, the same calls are struck. */
export function openFaults(faults: readonly Fault[], seed: number) {
  const random = randomFrom(seed);
  const armed = faults.map((fault) => ({ fault, seen: 0 }));
  return {
    add(fault: Fault): void {
      armed.push({ fault, seen: 0 });
    },
    strike(site: CallSite): Fault | undefined {
      for (const entry of armed) {
        if (!fits(entry.fault, site)) continue;
        entry.seen += 1;
        if (isDue(entry.fault, entry.seen, random)) return entry.fault;
      }
      return undefined;
    },
  };
}

function fits(fault: Fault, site: CallSite): boolean {
  const isThere = (['service', 'action', 'account', 'region'] as const).every(
    (field) => fault[field] === undefined || fault[field] === site[field],
  );
  return (
    isThere &&
    (fault.mutating !== true || site.mutating) &&
    (fault.holds === undefined || site.body.includes(fault.holds))
  );
}

/** Whether a fault strikes the `count`th call that fits it; only where chance decides is a number drawn. */
function isDue({ nth, times, probability }: Fault, count: number, random: () => number): boolean {
  const first = nth ?? 1;
  const most = times ?? (nth === undefined ? Number.POSITIVE_INFINITY : 1);
  if (count < first || count >= first + most) return false;
  return probability === undefined || random() < probability;
}

/** mulberry32: a small generator whose numbers depend on the seed alone. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The refusal that a fault makes of a call, in the service's own words. */
export function refusalOf(fault: Fault, service: string): Refusal | undefined {
  switch (fault.kind) {
    case 'throttle':
      return throttled(service);
    case 'server-error':
      return new Refusal(
        service === 'kms' ? 'KMSInternalException' : 'InternalError',
        'An internal error has occurred',
        500,
      );
    case 'refusal':
      return new Refusal(fault.code ?? 'UnauthorizedOperation', fault.message ?? 'Refused.', fault.status);
    case 'expired-session':
      return expired(service);
    default:
      return undefined;
  }
}
