import { randomBytes } from 'node:crypto';
import { CreateTagsCommand, DeleteTagsCommand, type Image, type Tag } from '@aws-sdk/client-ec2';
import type { Place } from './aws/clients.ts';
import { describeImages } from './aws/describe.ts';
import { hasCode, isDenied } from './aws/errors.ts';
import type { Host, Machine } from './host.ts';
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
 * A lease is dead when it was not renewed in time; when a later attempt of the same workflow run reads it, since GitHub
 * re-runs only what has ended; or when its process is gone from the very machine that reads it.
 */

const leasePrefix = `${tagKeys.lease}:`;
/** The tag keys of all leases, as a filter takes them. */
export const leaseTagKeys = `${leasePrefix}*`;
/** The key of the tag of lease `id`. */
export const leaseTagKey = (id: string): string => leasePrefix + id;
const renewSeconds = 60;
const expireSeconds = 300;

export type LeaseRecord = Readonly<{
  id: string;
  expiresAt: number;
  runId: string;
  attempt: number;
  machine: string;
  process: string;
  /** The regions besides the source's in which the run makes encrypted copies, as many as the tag holds. */
  regions: readonly string[];
}>;

export type Lease = Readonly<{
  /** Ends the renewal; the tag stays until `dropLeases`. */
  stop: () => Promise<void>;
}>;

export function newLeaseId(): string {
  return randomBytes(6).toString('hex');
}

/** The tag that `record` is kept as. */
export function leaseTag(record: LeaseRecord): Tag {
  const { id, expiresAt, runId, attempt, machine, process, regions } = record;
  const fields = [Math.floor(expiresAt / 1000), runId, attempt, machine, process];
  let value = fields.join(' ');
  for (const [index, region] of regions.entries()) {
    const longer = `${value}${index === 0 ? ' ' : ','}${region}`;
    if (longer.length > 256) break;
    value = longer;
  }
  return { Key: leaseTagKey(id), Value: value.trimEnd() };
}

/** The leases among an image's tags. A tag of ours that doesn't read as a lease counts as one that has expired. */
export function leasesOf(tags: readonly Tag[] | undefined): LeaseRecord[] {
  return (tags ?? []).flatMap(({ Key, Value }) => {
    if (!Key?.startsWith(leasePrefix)) return [];
    const [expires = '0', runId = '', attempt = '0', machine = '', process = '', regions = ''] = (Value ?? '').split(
      ' ',
    );
    return [
      {
        id: Key.slice(leasePrefix.length),
        expiresAt: Number(expires) * 1000 || 0,
        runId,
        attempt: Number(attempt) || 0,
        machine,
        process,
        regions: regions.split(',').filter(Boolean),
      },
    ];
  });
}

/** Who reads leases: for telling which of them are dead. */
export type Reader = Readonly<{
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

/** This process as a reader of leases. */
export function readerOf({ clock, machine }: Pick<Host, 'clock' | 'machine'>, run: RunNumber): Reader {
  const { name, isRunning } = machine;
  return { now: clock.now(), runId: run.runId, attempt: run.runAttempt, machine: name, isRunning };
}

type RunNumber = Readonly<{ runId: string; runAttempt: number }>;

/** Whose lease it is to be, and on what. */
export type LeaseRequest = Readonly<{
  place: Place;
  imageId: string;
  id: string;
  run: RunNumber;
  /** The regions besides the source's in which the run makes encrypted copies. */
  regions: readonly string[];
  machine: Machine;
  warn: (message: string) => void;
  /** Called before the AMI is tagged, if it is. */
  beforeWrite: () => void;
}>;

function ownRecord({ id, run, regions, machine, place }: LeaseRequest): LeaseRecord {
  return {
    id,
    expiresAt: place.clock.now() + expireSeconds * 1000,
    runId: run.runId,
    attempt: run.runAttempt,
    machine: machine.name,
    process: machine.process,
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
  if (!(await mayDeleteTags(place, imageId, id))) return unseen('the source role may not remove tags (ec2:DeleteTags)');
  const write = () => place.ec2(new CreateTagsCommand({ Resources: [imageId], Tags: [leaseTag(ownRecord(request))] }));
  request.beforeWrite();
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
  };
}

/** Writes the lease, where need be once there is room for it; gives why it can't be. */
async function whyRefused(
  { place, imageId, warn }: LeaseRequest,
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
    if (leasesOf(image?.Tags).length === 0) return 'the AMI has 50 tags of its own';
    if (!full) warn(`${imageId} has 50 tags, some of them other runs' leases; waiting for room`);
    await place.sleep(10_000);
  }
}

/** Why AWS takes no lease, in words; undefined where there is only no room for it yet. @throws what else went wrong */
function refusalOf(error: unknown): string | undefined {
  if (isDenied(error)) return 'the source role may not tag the AMI (ec2:CreateTags)';
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
  const others = leasesOf(image?.Tags).filter(({ id }) => id !== own);
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
  { id, regions }: Pick<LeaseRecord, 'id' | 'regions'>,
): Promise<void> {
  const ended = leaseTag({ id, expiresAt: 0, runId: '', attempt: 0, machine: '', process: '', regions });
  try {
    await place.ec2(new CreateTagsCommand({ Resources: [imageId], Tags: [ended] }));
  } catch (error) {
    // Where there is no room for it, no right to it or no AMI, there is no lease either.
    if (!hasCode(error, 'TagLimitExceeded', 'InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable') && !isDenied(error))
      throw error;
  }
}

/** Removes the tags of leases: a run's own as its very last act, and dead ones once what they held is taken back. */
export async function dropLeases(place: Place, imageId: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await place.ec2(new DeleteTagsCommand({ Resources: [imageId], Tags: ids.map((id) => ({ Key: leaseTagKey(id) })) }));
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
  const tags: Tag[] = [];
  for (let start = 0; start < packed.length; start += accountsPerTag) {
    tags.push({
      Key: shareTagKey(id, tags.length),
      Value: packed.slice(start, start + accountsPerTag).join(''),
    });
  }
  return tags;
}

/** The accounts that each lease shares a snapshot with, by the snapshot's tags. */
export function sharesOf(tags: readonly Tag[] | undefined): Map<string, string[]> {
  const shares = new Map<string, string[]>();
  for (const { Key, Value } of tags ?? []) {
    if (!Key?.startsWith(sharePrefix)) continue;
    const [id = ''] = Key.slice(sharePrefix.length).split(':');
    const accounts = (Value?.match(/.{8}/g) ?? []).map((word) => String(Number.parseInt(word, 36)).padStart(12, '0'));
    shares.set(id, [...(shares.get(id) ?? []), ...accounts]);
  }
  return shares;
}
