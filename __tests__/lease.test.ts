import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import type { Image } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  isAlive,
  type LeaseRecord,
  leasesOf,
  leaseTag,
  leaseTagKeys,
  newLeaseId,
  type Reader,
  readerOf,
  sharesOf,
  shareTags,
  sortLeases,
} from '../src/lease.ts';
import { thisMachine } from '../src/machine.ts';
import { systemClock } from '../src/time.ts';

const now = Date.parse('2026-11-24T12:00:00Z');

function lease(over: Partial<LeaseRecord> = {}): LeaseRecord {
  return {
    id: 'aaaaaaaaaaaa',
    expiresAt: now + 300_000,
    runId: '4711',
    attempt: 1,
    machine: 'machine',
    process: '77.1234',
    regions: [],
    ...over,
  };
}

/** Another run's reader, on another machine. */
function reader(over: Partial<Reader> = {}): Reader {
  return { now, runId: '4712', attempt: 1, machine: 'elsewhere', isRunning: () => false, ...over };
}

test('every run has a lease ID of its own', () => {
  const ids = Array.from({ length: 100 }, newLeaseId);
  expect(new Set(ids).size).toBe(100);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{12}$/);
});

describe('a lease is a tag of the AMI', () => {
  test('that tells when it ends, whose it is, and in what regions there may be encrypted copies', () => {
    expect(leaseTag(lease({ expiresAt: 1_800_000_000_999, regions: ['eu-west-1', 'us-west-2'] }))).toEqual({
      Key: 'share-encrypted-ami:lease:aaaaaaaaaaaa',
      Value: '1800000000 4711 1 machine 77.1234 eu-west-1,us-west-2',
    });
  });

  test('that holds as many regions as fit into 256 characters, each whole', () => {
    const regions = Array.from({ length: 40 }, (_, index) => `region-${String(index).padStart(2, '0')}`);
    const text = leaseTag(lease({ regions })).Value ?? '';
    expect(text.length).toBeLessThanOrEqual(256);
    const kept = leasesOf([leaseTag(lease({ regions }))])[0]?.regions ?? [];
    expect(kept).toEqual(regions.slice(0, kept.length));
    expect(text.length + ',region-00'.length).toBeGreaterThan(256);
    // To the last character.
    const rest = 256 - (leaseTag(lease()).Value ?? '').length - 1;
    expect(leaseTag(lease({ regions: ['x'.repeat(rest)] })).Value).toHaveLength(256);
    expect(leasesOf([leaseTag(lease({ regions: ['x'.repeat(rest + 1)] }))])[0]?.regions).toEqual([]);
  });

  test('that is found by one filter, whosever it is', () => {
    expect(leaseTagKeys).toBe('share-encrypted-ami:lease:*');
  });

  test('that is read as it was written', () => {
    const word = fc.stringMatching(/^[a-z0-9.-]{0,16}$/);
    const records = fc.record({
      id: fc.stringMatching(/^[0-9a-f]{12}$/),
      expiresAt: fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => seconds * 1000),
      runId: word,
      attempt: fc.integer({ min: 0, max: 1000 }),
      machine: word,
      process: word,
      regions: fc.array(fc.stringMatching(/^[a-z]{2}-[a-z]{4,9}-\d$/), { maxLength: 9 }),
    });
    fc.assert(fc.property(records, (record) => expect(leasesOf([leaseTag(record)])).toEqual([record])));
  });

  test('beside others, which are none', () => {
    const tags = [{ Key: 'team', Value: 'platform' }, { Key: 'share-encrypted-ami:run', Value: 'x' }, { Value: 'x' }];
    expect(leasesOf([...tags, leaseTag(lease())]).map(({ id }) => id)).toEqual(['aaaaaaaaaaaa']);
    expect(leasesOf(undefined)).toEqual([]);
  });

  test.each([undefined, '', 'soon', 'a b c d e f'])(
    'with the value %j, has expired and tells nothing wrong',
    (Value) => {
      const tag = { Key: 'share-encrypted-ami:lease:aaaaaaaaaaaa', ...(Value !== undefined && { Value }) };
      const [record] = leasesOf([tag]);
      expect(record).toMatchObject({ id: 'aaaaaaaaaaaa', expiresAt: 0, attempt: 0 });
      expect(record && isAlive(record, reader())).toBe(false);
    },
  );

  test('that has ended tells nothing but that, and ends in no space', () => {
    const ended = lease({ expiresAt: 0, runId: '', attempt: 0, machine: '', process: '' });
    expect(leaseTag(ended).Value).toBe('0  0');
    expect(leaseTag({ ...ended, regions: ['eu-west-1'] }).Value).toBe('0  0   eu-west-1');
  });

  test('with nothing but its end, is nobody in particular', () => {
    const nobody = { id: 'aaaaaaaaaaaa', runId: '', attempt: 0, machine: '', process: '', regions: [] };
    const Key = 'share-encrypted-ami:lease:aaaaaaaaaaaa';
    expect(leasesOf([{ Key, Value: '1800000000' }])).toEqual([{ ...nobody, expiresAt: 1_800_000_000_000 }]);
    expect(leasesOf([{ Key }, { Key, Value: '' }])).toEqual([
      { ...nobody, expiresAt: 0 },
      { ...nobody, expiresAt: 0 },
    ]);
  });
});

describe('a lease lives', () => {
  test.each([
    ['until it ends', {}, { now: now + 299_999 }],
    ["when another run's later attempt reads it", {}, { attempt: 2 }],
    ['when the same attempt reads it', {}, { runId: '4711' }],
    ['when a later attempt of its run reads it: its runner may go on', {}, { runId: '4711', attempt: 2 }],
    ['when an earlier attempt of its run reads it', { attempt: 2 }, { runId: '4711' }],
    ['on another machine, where its process cannot be seen', {}, {}],
    ['on the same machine while its process runs', {}, { machine: 'machine', isRunning: () => true }],
    ["where no machine is told, neither its own nor the reader's", { machine: '' }, { machine: '' }],
  ])('%s', (_, record, by) => expect(isAlive(lease(record), reader(by))).toBe(true));

  test.each([
    ['once it has ended', {}, { now: now + 300_000 }],
    ['on the same machine once its process is gone', {}, { machine: 'machine' }],
  ])('no more %s', (_, record, by) => expect(isAlive(lease(record), reader(by))).toBe(false));

  test('by the process that it names', () => {
    const asked: string[] = [];
    const isRunning = (name: string) => asked.push(name) > 0;
    isAlive(lease(), reader({ machine: 'machine', isRunning }));
    expect(asked).toEqual(['77.1234']);
  });
});

test('the leases on an image are those that live, an earlier attempt’s, and those that are dead, the own one left out', () => {
  const [live, dead, own] = [lease({ id: 'live' }), lease({ id: 'dead', expiresAt: 0 }), lease({ id: 'own' })];
  const outdated = lease({ id: 'outdated', runId: '4712', attempt: 0 });
  const expired = lease({ id: 'expired', runId: '4712', attempt: 0, expiresAt: now });
  const image: Image = { Tags: [live, dead, own, outdated, expired].map(leaseTag) };
  expect(sortLeases(image, 'own', reader())).toEqual({ live: [live], outdated: [outdated], dead: [dead, expired] });
  const none = { live: [], outdated: [], dead: [] };
  expect(sortLeases(undefined, 'own', reader())).toEqual(none);
  expect(sortLeases({}, 'own', reader())).toEqual(none);
});

describe('this process', () => {
  const own = { clock: systemClock, machine: thisMachine() };
  const { machine, isRunning, ...others } = readerOf(own, { runId: '4711', runAttempt: 2 });

  test('reads leases as its workflow run, now', () => {
    expect(others).toMatchObject({ runId: '4711', attempt: 2 });
    expect(Math.abs(others.now - Date.now())).toBeLessThan(60_000);
  });

  // What /proc tells; where there is none, a machine has no name and every process may be running.
  const linux = process.platform === 'linux' ? test : test.skip;
  const statOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];

  linux('knows its machine by the boot and the PID namespace', () => {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    const hash = createHash('sha256').update(boot + readlinkSync('/proc/self/ns/pid'));
    expect(machine).toBe(hash.digest('hex').slice(0, 16));
  });

  linux('has a name, which is that of a process that runs', () => {
    expect(own.machine.process).toBe(`${process.pid}.${statOf(process.pid)[19]}`);
    expect(isRunning(own.machine.process)).toBe(true);
  });

  linux('tells a process that runs from one that is gone, and from another that got its ID', () => {
    const started = statOf(process.pid)[19];
    expect(isRunning(`${process.pid}.${started}`)).toBe(true);
    expect(isRunning(`${process.pid}.${Number(started) + 1}`)).toBe(false);
    expect(isRunning('4194305.1')).toBe(false);
    expect(isRunning('')).toBe(false);
  });

  linux('tells a process that has ended from one that runs, though it keeps its ID until its parent asks', async () => {
    // The parent becomes another program, which asks for no child of its own.
    const parent = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60']);
    try {
      const [line] = (await once(parent.stdout, 'data')) as [Buffer];
      const pid = Number(String(line));
      const name = `${pid}.${statOf(pid)[19]}`;
      expect(isRunning(name)).toBe(true);
      while (statOf(pid)[0] !== 'Z') await setTimeout(10);
      expect(isRunning(name)).toBe(false);
    } finally {
      parent.kill();
    }
  });
});

describe('the shares of a snapshot', () => {
  const accounts = fc.uniqueArray(fc.stringMatching(/^\d{12}$/), { maxLength: 100 });

  test('are read from its tags as they were written, by lease', () => {
    fc.assert(
      fc.property(accounts, accounts, (one, other) => {
        const tags = [{ Key: 'team', Value: 'platform' }, ...shareTags('aaaa', one), ...shareTags('bbbb', other)];
        const shares = sharesOf(tags);
        expect(shares.get('aaaa') ?? []).toEqual(one);
        expect(shares.get('bbbb') ?? []).toEqual(other);
        expect(shares.size).toBe([one, other].filter(({ length }) => length > 0).length);
      }),
    );
  });

  test('take one tag for 32 accounts, each within what AWS allows', () => {
    const many = Array.from({ length: 33 }, (_, index) => String(999_999_999_999 - index));
    const tags = shareTags('aaaaaaaaaaaa', many);
    expect(tags.map(({ Key }) => Key)).toEqual([
      'share-encrypted-ami:shares:aaaaaaaaaaaa:0',
      'share-encrypted-ami:shares:aaaaaaaaaaaa:1',
    ]);
    expect(tags.map(({ Value }) => Value?.length)).toEqual([256, 8]);
    expect(shareTags('aaaaaaaaaaaa', many.slice(0, 32))).toHaveLength(1);
    expect(shareTags('aaaaaaaaaaaa', [])).toEqual([]);
  });

  test('keep the leading zeros of an account ID', () => {
    expect(shareTags('aaaa', ['000000000036'])).toEqual([
      { Key: 'share-encrypted-ami:shares:aaaa:0', Value: '00000010' },
    ]);
    expect(sharesOf(shareTags('aaaa', ['000000000036']))).toEqual(new Map([['aaaa', ['000000000036']]]));
  });

  test('are none where no tag tells of any', () => {
    expect(sharesOf(undefined)).toEqual(new Map());
    const odd = [{ Value: 'x' }, { Key: 'share-encrypted-ami:shares:aaaa:0' }];
    expect(sharesOf(odd)).toEqual(new Map([['aaaa', []]]));
  });
});
