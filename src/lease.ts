import { randomBytes } from 'node:crypto';
import { CreateTagsCommand, DeleteTagsCommand, type Image, type Tag } from '@aws-sdk/client-ec2';
import type { Place } from './aws/clients.ts';
import { describeImages, takeOff } from './aws/describe.ts';
import { hasCode, isDenied, isUnseen } from './aws/errors.ts';
import type { Host, Machine } from './host.ts';
import { partsOf } from './parts.ts';
import { isRegionName } from './regions.ts';
import { sha256 } from './sha256.ts';
import { tagKeys, tagPrefix } from './tags.ts';

/*
 * Several runs may share one AMI at once, and what they need in the source account is common to them: the encrypted
 * copy, and the shares of its snapshots. So a run holds a lease on the source AMI from before its first write until
 * after its last undo: a tag of its own, `share-encrypted-ami:lease:<id>`, renewed every minute. Whoever finishes
 * takes back what no live lease is left to need.
 *
 * Why tags: EC2 changes each tag by itself, so two runs never overwrite each other, and a lease is where the AMI is,
 * whoever comes by it. Why this is right although reads lag behind writes: a lease only ever keeps things longer. Where
 * two runs miss each other, one loses a share it needs, its copy fails at once with "Source snapshot is not found",
 * and it shares and copies again (copy.ts). Every other temporary thing (grants, half-made copies) bears its own
 * run's lease ID and is touched by no other run while that lease lives.
 *
 * A lease is dead when it was not renewed in time, or when its process is gone from the very machine that reads it. Its
 * times are AWS's own, by the dates of its answers: a runner's clock may be half an hour off.
 *
 * Whoever may tag can write a lease, too. So a lease is believed only where it stands on the source AMI and reads as a run
 * writes it; and what it names is taken back only where evidence agrees (plan/evidence.ts).
 */

const leasePrefix = `${tagKeys.lease}:`;
/** The tag keys of all leases, as a filter takes them. */
export const leaseTagKeys = `${leasePrefix}*`;
/** The key of the tag of lease `id`. */
export const leaseTagKey = (id: string): string => leasePrefix + id;
/** No job lasts longer: https://docs.github.com/actions/reference/limits */
export const longestJobMs = 5 * 24 * 3_600_000;
const renewSeconds = 60;
const expireSeconds = 300;

/** Times are AWS's, in ms since the epoch. */
export type LeaseRecord = Readonly<{
  id: string;
  /** 0 where its run has ended. */
  expiresAt: number;
  /** When the run began to make things: what AWS made before is not the run's. */
  since: number;
  runId: string;
  attempt: number;
  machine: string;
  process: string;
  /** The run's targets, as `targetMarks` writes them. */
  targets: string;
  /** At the run's last step, the mark of the SSM parameters and launch templates that it sets for all targets. */
  setting?: string | undefined;
  /** The regions besides the source's in which the run makes encrypted copies, as many as the tag holds. */
  regions: readonly string[];
}>;

export type Lease = Readonly<{
  /** Ends the renewal; the tag stays until `dropLeases`. */
  stop: () => Promise<void>;
  /** Renews it at once, to say that what it tells of its run is another. Never throws. */
  renew?: () => Promise<void>;
}>;

export function newLeaseId(): string {
  return randomBytes(6).toString('hex');
}

/** The tag that `record` is kept as. */
export function leaseTag(record: LeaseRecord): Tag {
  const { id, expiresAt, since, runId, attempt, setting, machine, process, targets, regions } = record;
  const seconds = [expiresAt, since].map((ms) => Math.floor(ms / 1000));
  const tried = setting === undefined ? `${attempt}` : `${attempt}!${setting}`;
  let value = [...seconds, runId || '-', tried, machine || '-', process || '-', targets || '-'].join(' ');
  for (const [index, region] of regions.entries()) {
    const longer = `${value}${index === 0 ? ' ' : ','}${region}`;
    if (longer.length > 256) break;
    value = longer;
  }
  return { Key: leaseTagKey(id), Value: value };
}

const leasePattern =
  /^(\d{1,11}) (\d{1,11}) (\S+) (\d{1,9})(?:!([0-9a-f]{8}))? (\S+) (\S+) (-|\*?[0-9a-f]+)(?: (\S+))?$/;

type LeaseTag = Tag & Readonly<{ Key: string }>;

/** The lease that a tag of ours is; undefined where it is none that a run of this action writes. */
function leaseOf({ Key, Value = '' }: LeaseTag): LeaseRecord | undefined {
  const id = Key.slice(leasePrefix.length);
  const [, expires, since, runId = '', attempt, setting, machine = '', process = '', targets = '', list] =
    leasePattern.exec(Value) ?? [];
  const regions = list?.split(',') ?? [];
  if (!/^[0-9a-f]{12}$/.test(id) || expires === undefined || !regions.every(isRegionName)) return undefined;
  const [ends, began] = [Number(expires) * 1000, Number(since) * 1000];
  const text = (field: string) => (field === '-' ? '' : field);
  return {
    ...{ id, expiresAt: ends, since: began, runId: text(runId), attempt: Number(attempt) },
    ...{ machine: text(machine), process: text(process), targets: text(targets), regions },
    ...(setting !== undefined && { setting }),
  };
}

const isLeaseTag = (tag: Tag): tag is LeaseTag => tag.Key?.startsWith(leasePrefix) ?? false;

/** The leases among an image's tags. */
export function leasesOf(tags: readonly Tag[] | undefined): LeaseRecord[] {
  return (tags ?? []).filter(isLeaseTag).flatMap((tag) => leaseOf(tag) ?? []);
}

/** The tags of an image that are named as leases are, and are none: nothing goes by them. */
export function unreadableLeases(tags: readonly Tag[] | undefined, now: number): string[] {
  return (tags ?? []).filter(isLeaseTag).flatMap((tag) => {
    const lease = leaseOf(tag);
    return lease === undefined || !isBelievable(lease, now) ? tag.Key : [];
  });
}

const hash = (text: string, digits: number) => sha256(text).slice(0, digits);
const markDigits = 4;
/** So many marks leave room for the rest of the tag, and for some regions. */
const mostMarks = 24;

/** Targets, as `account/region`, in short: a mark of each, or where they are many one of all. */
export function targetMarks(targets: readonly string[]): string {
  const names = [...new Set(targets)].sort();
  return names.length > mostMarks ? `*${hash(names.join(), 8)}` : names.map((name) => hash(name, markDigits)).join('');
}

/**
 * Whether all targets of a lease's run are among `targets`. What such a run left in others is found by its lease, so that
 * whoever doesn't reach them leaves it.
 */
export function isWithin({ targets: marks }: LeaseRecord, targets: readonly string[]): boolean {
  if (marks.startsWith('*')) return marks === targetMarks(targets);
  const known = new Set(targets.map((name) => hash(name, markDigits)));
  return (marks.match(/.{4}/g) ?? []).every((mark) => known.has(mark));
}

/** No run writes a lease that ends later, or that begins in the future. Answers' dates may be of two clocks of AWS's. */
function isBelievable({ expiresAt, since }: LeaseRecord, now: number): boolean {
  const most = now + 2 * expireSeconds * 1000;
  return expiresAt <= most && since <= most;
}

/** Who reads leases: for telling which of them are dead. */
export type Reader = Readonly<{
  /** AWS's time. */
  now: number;
  runId: string;
  attempt: number;
  machine: string;
  isRunning: (process: string) => boolean;
}>;

export function isAlive(lease: LeaseRecord, reader: Reader): boolean {
  if (lease.expiresAt <= reader.now) return false;
  return lease.machine !== reader.machine || reader.machine === '' || reader.isRunning(lease.process);
}

/** Whether it is an earlier attempt's of the very run: GitHub has given that up. */
function isOutdated({ runId, attempt }: LeaseRecord, reader: Reader): boolean {
  return runId === reader.runId && attempt < reader.attempt;
}

/** This process as a reader of leases, at a time of AWS's. */
export function readerOf({ machine }: Pick<Host, 'machine'>, run: RunNumber, now: number): Reader {
  const { name, isRunning } = machine;
  return { now, runId: run.runId, attempt: run.runAttempt, machine: name, isRunning };
}

type RunNumber = Readonly<{ runId: string; runAttempt: number }>;

/** Whose lease it is to be, and on what. */
type LeaseRequest = Readonly<{
  place: Place;
  imageId: string;
  id: string;
  run: RunNumber;
  /** As `account/region`. */
  targets: readonly string[];
  /** The regions besides the source's in which the run makes encrypted copies. */
  regions: readonly string[];
  /** From when on what it takes over was begun, if it takes anything over. */
  takesSince?: number | undefined;
  /** What the run sets at its last step, if it has come to that: see LeaseRecord. */
  setting: () => string | undefined;
  machine: Machine;
  warn: (message: string) => void;
  /** Called before the AMI is tagged, if it is, with the time from which on what the run makes, or takes over, was begun. */
  beforeWrite: (since: number) => void;
}>;

function ownRecord({ id, run, targets, regions, setting, machine, place }: LeaseRequest, since: number): LeaseRecord {
  return {
    id,
    setting: setting(),
    expiresAt: place.awsNow() + expireSeconds * 1000,
    since,
    runId: run.runId,
    attempt: run.runAttempt,
    machine: machine.name,
    process: machine.process,
    targets: targetMarks(targets),
    regions,
  };
}

/**
 * Takes a lease on the source AMI and keeps it renewed until it is stopped.
 * Where other runs' leases fill the AMI's 50 tags, waits for one to come free. Where it can't be tagged at all, `warn` is
 * told, there is no lease, and the run goes on unseen by others.
 */
export async function takeLease(request: LeaseRequest): Promise<Lease | undefined> {
  const { place, imageId, id, warn } = request;
  const unseen = (why: string): undefined => {
    warn(`${why}, so other runs on ${imageId} cannot see this one; run them one after the other`);
  };
  // A tag that could not be removed again is better not made.
  if (!(await mayDeleteTags(place, imageId, id)))
    return unseen('the source role is not allowed to remove tags (ec2:DeleteTags)');
  // What is older than its lease would be nobody's, should this run not finish it.
  const since = Math.min(place.awsNow(), request.takesSince ?? Number.POSITIVE_INFINITY);
  const write = () =>
    place.ec2(new CreateTagsCommand({ Resources: [imageId], Tags: [leaseTag(ownRecord(request, since))] }));
  request.beforeWrite(since);
  const refused = await whyRefused(request, write);
  if (refused !== undefined) return unseen(refused);
  const stopped = new AbortController();
  const renewing = renewUntil(AbortSignal.any([stopped.signal, place.signal]), place, write);
  return {
    async stop() {
      stopped.abort();
      // One that is under way would put the tag back after it was taken off.
      await renewing;
    },
    // One that fails is made good by the next.
    renew: () =>
      write().then(
        () => undefined,
        () => undefined,
      ),
  };
}

/** Writes the lease, where need be once there is room for it; gives why it can't be. */
async function whyRefused(
  { place, imageId, id, run, machine, warn }: LeaseRequest,
  write: () => Promise<unknown>,
): Promise<string | undefined> {
  for (let full = false; ; full = true) {
    try {
      await write();
      return undefined;
    } catch (error) {
      const why = refusalOf(error);
      if (why !== undefined) return why;
    }
    const [image] = await describeImages(place, [imageId]);
    const others = sortLeases(image, id, readerOf({ machine }, run, place.awsNow()));
    // Dead ones go only when a run ends, and no run takes off what it can't read: nobody makes room by waiting.
    if (others.live.length + others.outdated.length === 0)
      return 'the AMI has 50 tags, none of them of a run that lives';
    if (!full) warn(`${imageId} has 50 tags, some of them other runs' leases; waiting for room`);
    await place.sleep(10_000);
  }
}

/** Why AWS takes no lease, in words; undefined where there is only no room for it yet. @throws what else went wrong */
function refusalOf(error: unknown): string | undefined {
  if (isDenied(error)) return 'the source role is not allowed to tag the AMI (ec2:CreateTags)';
  if (hasCode(error, 'InvalidAMIID.NotFound')) return 'AWS takes no tags for this AMI from this account';
  if (hasCode(error, 'TagLimitExceeded')) return undefined;
  throw error;
}

/** Never throws. */
async function renewUntil(stopped: AbortSignal, { clock }: Place, write: () => Promise<unknown>): Promise<void> {
  while (!stopped.aborted) {
    try {
      await clock.sleep(renewSeconds * 1000, stopped);
      await write();
    } catch {
      // A renewal that fails is made good by the next; several in a row, and the lease expires as it should.
    }
  }
}

async function mayDeleteTags(place: Place, imageId: string, id: string): Promise<boolean> {
  try {
    await place.ec2(new DeleteTagsCommand({ Resources: [imageId], Tags: [{ Key: leaseTagKey(id) }], DryRun: true }));
  } catch (error) {
    // A dry run always ends in an error; only a denial says no.
    return !isDenied(error);
  }
  return true;
}

/**
 * The leases on an image but for `own`: those of runs that live, those of runs that are dead, and those of earlier attempts
 * of the reader's run that have not expired. What such an attempt began may be taken over, for GitHub has given it up; it is
 * not taken back, for a runner that lost its connection goes on.
 */
export function sortLeases(
  image: Image | undefined,
  own: string,
  reader: Reader,
): Readonly<Record<'live' | 'outdated' | 'dead', LeaseRecord[]>> {
  const others = leasesOf(image?.Tags).filter((lease) => lease.id !== own && isBelievable(lease, reader.now));
  const alive = others.filter((lease) => isAlive(lease, reader));
  return {
    live: alive.filter((lease) => !isOutdated(lease, reader)),
    outdated: alive.filter((lease) => isOutdated(lease, reader)),
    dead: others.filter((lease) => !isAlive(lease, reader)),
  };
}

/**
 * Says that a run needs nothing any more: its lease, still there, reads as expired. A run says so before it looks who
 * else there is. Of several that finish at once, the last to say so then sees no other, and takes back what they shared.
 */
export async function endLease(
  place: Place,
  imageId: string,
  own: Pick<LeaseRecord, 'id' | 'since' | 'targets' | 'regions'>,
): Promise<void> {
  const ended = leaseTag({ ...own, expiresAt: 0, runId: '', attempt: 0, machine: '', process: '' });
  try {
    await place.ec2(new CreateTagsCommand({ Resources: [imageId], Tags: [ended] }));
  } catch (error) {
    // Where there is no room for it, no right to it or no AMI, there is no lease either.
    if (!hasCode(error, 'TagLimitExceeded') && !isUnseen(error) && !isDenied(error)) throw error;
  }
}

/**
 * Removes the tags of leases: a run's own as its very last act, and dead ones once what they held is taken back.
 * @throws where they may stay
 */
export async function dropLeases(place: Place, imageId: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const Tags = ids.map((id) => ({ Key: leaseTagKey(id) }));
  await takeOff(place, imageId, () => place.ec2(new DeleteTagsCommand({ Resources: [imageId], Tags })));
}

/*
 * Which accounts a run shared a snapshot with is written on the snapshot, as tags of that run's lease, before it is
 * done: so a share of ours is told from one that was there before, by any later run too.
 */

const sharePrefix = `${tagPrefix}shares:`;
/** The key of a tag of lease `id` on what it shares; a long list of accounts takes several, by `index`. */
export const shareTagKey = (id: string, index: number): string => `${sharePrefix}${id}:${index}`;
/** Eight base-36 digits hold any account ID, and a tag value 256 characters. */
const accountsPerTag = 32;

/** The tags that say that lease `id` shares a snapshot with `accounts`. */
export function shareTags(id: string, accounts: readonly string[]): Tag[] {
  const packed = accounts.map((account) => Number(account).toString(36).padStart(8, '0'));
  return partsOf(packed, accountsPerTag).map((some, index) => ({ Key: shareTagKey(id, index), Value: some.join('') }));
}

/** The accounts that each lease shares a snapshot with, by the snapshot's tags. */
export function sharesOf(tags: readonly Tag[] | undefined): Map<string, string[]> {
  const shares = new Map<string, string[]>();
  for (const { Key, Value } of tags ?? []) {
    if (!Key?.startsWith(sharePrefix)) continue;
    const [id = ''] = Key.slice(sharePrefix.length).split(':');
    const accounts = (Value?.match(/[0-9a-z]{8}/g) ?? [])
      .map((word) => String(Number.parseInt(word, 36)).padStart(12, '0'))
      .filter((account) => account.length === 12);
    shares.set(id, [...(shares.get(id) ?? []), ...accounts]);
  }
  return shares;
}
