import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import { snapshotIdsOf, totalGiB } from '../image.ts';
import { spokenSeconds } from '../words.ts';
import type { Place } from './clients.ts';
import { describeImages, describeSnapshots, unseenMs } from './describe.ts';
import { errorMessage, hasCode, isThrottling, isTransient, placeName, type Where } from './errors.ts';

export type Progress = Readonly<{ percent: number; elapsedSeconds: number }>;

/** Waits for what is being made in one account and region; one look serves everything that waits there. */
export type Watcher = Readonly<{
  /** The snapshot once it is `completed`. @throws CopyFailedError as soon as AWS says that it isn't to be */
  snapshot(id: string, events?: SnapshotEvents): Promise<Snapshot>;
  /** The image once it is `available`; its progress is that of its snapshots together. @throws CopyFailedError */
  image(id: string, events?: ImageEvents): Promise<Image>;
  /** The image as soon as it names its snapshots, which may be long before it is available. @throws CopyFailedError */
  named(id: string): Promise<Image>;
}>;

export type SnapshotEvents = Readonly<{
  onProgress?: (progress: Progress) => void;
  /** Whether its end lets anything go on by itself (it does, unless told otherwise). Of those whose end doesn't, the last counts. */
  isUrgent?: () => boolean;
}>;

type ImageEvents = Readonly<{
  onProgress?: (progress: Progress) => void;
}>;

type Watchers = (place: Place) => Watcher;

/** Told of what keeps somebody waiting in a place. */
type Tell = (where: Where, what: string) => void;

/** A copy that AWS took on and then gave up, in AWS's own words. */
export class CopyFailedError extends Error {
  override name = 'CopyFailedError';
  readonly resourceId: string;
  /** AWS's StateMessage or StateReason. */
  readonly reason: string;

  constructor(resourceId: string, reason: string, ended: string) {
    super(`${resourceId} ${ended}: ${reason}`);
    this.resourceId = resourceId;
    this.reason = reason;
  }
}

type Waiter = {
  kind: 'snapshot' | 'image';
  id: string;
  since: number;
  seen: boolean;
  lookedAt: number;
  missed: number;
  percent: number;
  done: boolean;
  events: SnapshotEvents & ImageEvents;
  /** Whether that an image names its snapshots is all that is waited for. */
  untilNamed: boolean;
  /** Of an image: its snapshots, which are looked at for its progress as soon as it names them. */
  parts: Waiter[];
  sizeGiB: number;
  resolve: (found: never) => void;
  reject: (error: unknown) => void;
};

/** So many looks in a row without a resource that was seen before mean that it is gone. */
const goneAfterLooks = 4;

/**
 * Seconds to the next look at something `elapsed` seconds old and `percent` done: soon after its start, seldom in the
 * long middle, and near the foreseeable end again within a second or 1 % of its time.
 */
export function nextLook(elapsed: number, percent: number, ceiling: number): number {
  const least = Math.max(0.01 * elapsed, Math.min(1, Math.max(0.2, 0.3 * elapsed)));
  const guess = percent > 0 ? (0.6 * elapsed * (100 - percent)) / percent : 0.5 * elapsed;
  return Math.min(Math.max(least, guess), ceiling);
}

/** In the first minute, short copies are to be seen soon; then looks have a rate: where many volumes end, each wants some. */
const looksAtFirst = 8;
const looksPerMinute = 5.8;

/** Seconds that pass before the next look at the least, after so many looks in so many seconds. */
function leastPause(looks: number, elapsed: number): number {
  return elapsed < 60 ? 0 : Math.max(0, 60 + ((looks - looksAtFirst) * 60) / looksPerMinute - elapsed);
}

/** What is due any moment is looked at again after a third of the time that it has been due. */
const soonPercent = 66;

/** Seconds to the next look that serves all of `waiters`: what isn't urgent is only waited for until the last of it ends. */
function nextLookAtAll(waiters: readonly Waiter[], ceiling: number, now: number): number {
  const [urgent, other] = [true, false].map((wanted) =>
    waiters.filter(({ events, done }) => !done && (events.isUrgent?.() ?? true) === wanted),
  );
  const seconds = (waiter: Waiter): number => {
    // An image is there soon after its last snapshot, and how soon nothing tells.
    if (waiter.parts.some(({ done }) => !done)) return nextLookAtAll(waiter.parts, ceiling, now);
    const since = Math.max(waiter.since, ...waiter.parts.map(({ lookedAt }) => lookedAt));
    const percent = waiter.parts.length > 0 ? soonPercent : waiter.percent;
    return nextLook((now - since) / 1000, percent, ceiling);
  };
  const last = other?.length ? Math.max(...other.map(seconds)) : ceiling;
  return Math.min(last, ...(urgent ?? []).map(seconds));
}

/** Looks that fail for so long are told, and again after so long each: the log of copies that nobody sees looks dead. */
const silentMs = 180_000;
const silentAgainMs = 900_000;

/** How long no look of one kind has had an answer. */
type Silence = Readonly<{ answered(): void; failed(error: unknown, began: number): void }>;

function openSilence({ clock, account, region }: Place, tell: Tell): Silence {
  let since: number | undefined;
  let tellAt = 0;
  return {
    answered() {
      since = undefined;
    },
    failed(error, began) {
      const now = clock.now();
      if (since === undefined) tellAt = began + silentMs;
      since ??= began;
      if (now < tellAt) return;
      tellAt = now + silentAgainMs;
      const waited = spokenSeconds((now - since) / 1000);
      tell({ account, region }, `no answer for ${waited}, and waiting until timeout-minutes (${errorMessage(error)})`);
    },
  };
}

/** Gives each account and region its one watcher; looks are at most `pollSeconds` apart. */
export function openWatchers(pollSeconds: number, tell: Tell): Watchers {
  const watchers = new Map<string, { signal: AbortSignal; watcher: Watcher }>();
  return (place) => {
    const name = placeName(place);
    const known = watchers.get(name);
    // What is undone after the run was told to stop waits by another signal.
    if (known?.signal === place.signal) return known.watcher;
    const watcher = watcherOf(place, pollSeconds, tell);
    watchers.set(name, { signal: place.signal, watcher });
    return watcher;
  };
}

/** The watcher of `place`; looks are at most `pollSeconds` apart. */
function watcherOf(place: Place, pollSeconds: number, tell: Tell): Watcher {
  const waiters = new Set<Waiter>();
  const silences = { snapshot: openSilence(place, tell), image: openSilence(place, tell) };
  let running = false;
  let wake: () => void = () => {};

  const wait = (what: Pick<Waiter, 'kind' | 'id' | 'untilNamed'>, events: Waiter['events'] = {}): Promise<never> =>
    new Promise((resolve, reject) => {
      waiters.add(newWaiter({ ...what, since: place.clock.now() }, { events, resolve, reject }));
      wake();
      if (!running) {
        running = true;
        // The loop ends every waiter itself, so nothing of it is left to catch.
        void look();
      }
    });

  const look = async (): Promise<void> => {
    const began = place.clock.now();
    try {
      for (let looks = 0; waiters.size > 0; looks += 1) {
        const now = place.clock.now();
        const next = nextLookAtAll([...waiters], pollSeconds, now);
        const least = leastPause(looks, (now - began) / 1000);
        await pause(Math.min(pollSeconds, Math.max(least, next)) * 1000);
        // By what the first shows, the second is due at once.
        for (const kind of ['snapshot', 'image'] as const)
          await lookAt({ kind, silence: silences[kind] }, place, waiters);
      }
    } catch (error) {
      for (const waiter of waiters) waiter.reject(error);
      waiters.clear();
    } finally {
      running = false;
    }
  };

  /** Sleeps, but not past the moment that somebody new begins to wait. */
  const pause = async (ms: number): Promise<void> => {
    const woken = new AbortController();
    wake = () => woken.abort(wake);
    try {
      await place.until(AbortSignal.any([place.signal, woken.signal])).sleep(ms);
    } catch (reason) {
      if (!woken.signal.aborted) throw reason;
    }
  };

  return {
    snapshot: (id, events) => wait({ kind: 'snapshot', id, untilNamed: false }, events),
    image: (id, events) => wait({ kind: 'image', id, untilNamed: false }, events),
    named: (id) => wait({ kind: 'image', id, untilNamed: true }),
  };
}

function newWaiter(
  what: Pick<Waiter, 'kind' | 'id' | 'since' | 'untilNamed'>,
  rest: Pick<Waiter, 'events' | 'resolve' | 'reject'>,
): Waiter {
  return { ...what, seen: false, lookedAt: 0, missed: 0, percent: 0, done: false, parts: [], sizeGiB: 0, ...rest };
}

function age({ since }: Waiter, now: number): number {
  return (now - since) / 1000;
}

const describers = { snapshot: describeSnapshots, image: describeImages } as const;

/** An image's own state tells more than its snapshots' only once those are done; that it failed by itself is seen a minute late. */
const imageSeconds = 60;

function isToLookAt({ kind, parts, lookedAt }: Waiter, now: number): boolean {
  return kind === 'snapshot' || parts.every(({ done }) => done) || now - lookedAt >= imageSeconds * 1000;
}

/** One look at all of a kind that is waited for. */
async function lookAt(
  { kind, silence }: Readonly<{ kind: Waiter['kind']; silence: Silence }>,
  place: Place,
  waiters: Set<Waiter>,
): Promise<void> {
  const now = place.clock.now();
  const waiting = [...waiters].filter((waiter) => waiter.kind === kind && isToLookAt(waiter, now));
  if (waiting.length === 0) return;
  let found: readonly (Snapshot | Image)[];
  try {
    found = await describers[kind](place, [...new Set(waiting.map(({ id }) => id))]);
    silence.answered();
  } catch (error) {
    place.signal.throwIfAborted();
    // An outage of hours, or what stands between for so long, is no reason to give up a copy of hours; the run's own time-out
    // bounds this.
    if (isTransient(error) || isThrottling(error) || hasCode(error, 'NotFromAws')) return silence.failed(error, now);
    for (const waiter of waiting) waiter.reject(error);
    for (const waiter of waiting) waiters.delete(waiter);
    return;
  }
  const stateOf = ({ id }: Waiter) =>
    found.find((one) => ('SnapshotId' in one ? one.SnapshotId : (one as Image).ImageId) === id);
  for (const waiter of waiting) follow(waiter, stateOf(waiter), { place, waiters });
}

/** Ends the waiting for what has its answer, and for its parts; until then, an image's parts are waited for, too. */
function follow(
  waiter: Waiter,
  state: Snapshot | Image | undefined,
  { place, waiters }: Readonly<{ place: Place; waiters: Set<Waiter> }>,
): void {
  if (settle(waiter, state, place)) for (const gone of [waiter, ...waiter.parts]) waiters.delete(gone);
  else if (waiter.kind === 'image' && state !== undefined)
    for (const part of partsOf(waiter, state as Image)) if (!part.done) waiters.add(part);
}

/** Whether `waiter` has its answer. */
function settle(waiter: Waiter, state: Snapshot | Image | undefined, place: Place): boolean {
  const { id } = waiter;
  const elapsedSeconds = age(waiter, place.clock.now());
  waiter.lookedAt = place.clock.now();
  if (state === undefined) {
    waiter.missed += 1;
    const gone = waiter.seen ? waiter.missed >= goneAfterLooks : elapsedSeconds * 1000 > unseenMs;
    if (gone) waiter.reject(new CopyFailedError(id, `it is not there any more in ${placeName(place)}`, 'has vanished'));
    return gone;
  }
  waiter.seen = true;
  waiter.missed = 0;
  const { done, failure, percent } =
    waiter.kind === 'snapshot' ? snapshotState(state as Snapshot) : imageState(state as Image);
  if (failure !== undefined) waiter.reject(new CopyFailedError(id, failure, 'ended in error'));
  else if (done || isNamed(waiter, state)) waiter.resolve(state as never);
  else {
    waiter.percent = waiter.kind === 'snapshot' ? percent : percentOf(waiter.parts);
    waiter.events.onProgress?.({ percent: waiter.percent, elapsedSeconds });
  }
  return done || failure !== undefined || isNamed(waiter, state);
}

function isNamed({ untilNamed }: Waiter, state: Snapshot | Image): boolean {
  return untilNamed && snapshotIdsOf(state as Image).length > 0;
}

/** Waiters for an image's snapshots, once it names them. What becomes of them shows in the image. */
function partsOf(waiter: Waiter, image: Image): Waiter[] {
  if (waiter.parts.length > 0 || snapshotIdsOf(image).length === 0) return [];
  for (const { Ebs } of image.BlockDeviceMappings ?? []) {
    if (Ebs?.SnapshotId === undefined) continue;
    const part = newWaiter(
      { kind: 'snapshot', id: Ebs.SnapshotId, since: waiter.since, untilNamed: false },
      {
        events: { isUrgent: () => false },
        resolve: () => Object.assign(part, { percent: 100, done: true }),
        reject: () => Object.assign(part, { done: true }),
      },
    );
    part.sizeGiB = Ebs.VolumeSize ?? 1;
    waiter.parts.push(part);
  }
  return waiter.parts;
}

function percentOf(parts: readonly Waiter[]): number {
  const total = totalGiB(parts);
  return total === 0 ? 0 : Math.floor(parts.reduce((sum, { percent, sizeGiB }) => sum + percent * sizeGiB, 0) / total);
}

type Standing = { done: boolean; failure: string | undefined; percent: number };

function snapshotState({ State, StateMessage, Progress }: Snapshot): Standing {
  const failed = State === 'error' || State === 'recoverable';
  const percent = Number.parseInt(Progress ?? '', 10);
  return {
    done: State === 'completed',
    failure: failed ? (StateMessage ?? `its state is ${State}`) : undefined,
    percent: Number.isNaN(percent) ? 0 : percent,
  };
}

const endedImageStates = ['failed', 'error', 'invalid', 'deregistered', 'disabled'];

function imageState({ State, StateReason }: Image): Standing {
  const failed = endedImageStates.includes(State ?? '');
  return {
    done: State === 'available',
    failure: failed ? (StateReason?.Message ?? `its state is ${State}`) : undefined,
    percent: 0,
  };
}
