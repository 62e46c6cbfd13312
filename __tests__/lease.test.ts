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
  isWithin,
  type LeaseRecord,
  leasesOf,
  leaseTag,
  leaseTagKeys,
  longestJobMs,
  newLeaseId,
  type Reader,
  readerOf,
  sharesOf,
  shareTags,
  sortLeases,
  targetMarks,
  unreadableLeases,
} from '../src/lease.ts';
import { thisMachine } from '../src/machine.ts';

const now = Date.parse('2026-11-24T12:00:00Z');

function lease(over: Partial<LeaseRecord> = {}): LeaseRecord {
  return {
    id: 'aaaaaaaaaaaa',
    expiresAt: now + 300_000,
    since: now - 60_000,
    runId: '4711',
    attempt: 1,
    machine: 'machine',
    process: '77.1234',
    targets: '',
    regions: [],
    ...over,
  };
}

/** Another run's reader, on another machine. */
function reader(over: Partial<Reader> = {}): Reader {
  return { now, runId: '4712', attempt: 1, machine: 'elsewhere', isRunning: () => false, ...over };
}

test('a job lasts five days at most', () => {
  expect(longestJobMs).toBe(432_000_000);
});

test('every run has a lease ID of its own', () => {
  const ids = Array.from({ length: 100 }, newLeaseId);
  expect(new Set(ids).size).toBe(100);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{12}$/);
});

describe('a lease is a tag of the AMI', () => {
  test('that tells when it ends and began, whose it is, its targets, and in what regions there may be encrypted copies', () => {
    const times = { expiresAt: 1_800_000_000_999, since: 1_799_999_999_999 };
    expect(leaseTag(lease({ ...times, targets: '0123abcd', regions: ['eu-west-1', 'us-west-2'] }))).toEqual({
      Key: 'share-encrypted-ami:lease:aaaaaaaaaaaa',
      Value: '1800000000 1799999999 4711 1 machine 77.1234 0123abcd eu-west-1,us-west-2',
    });
  });

  test('that holds as many regions as fit into 256 characters, each whole', () => {
    const regions = Array.from({ length: 40 }, (_, index) => `reg-ion-${String(index).padStart(2, '0')}`);
    const text = leaseTag(lease({ regions })).Value ?? '';
    expect(text.length).toBeLessThanOrEqual(256);
    const kept = leasesOf([leaseTag(lease({ regions }))])[0]?.regions ?? [];
    expect(kept).toEqual(regions.slice(0, kept.length));
    expect(text.length + ',reg-ion-00'.length).toBeGreaterThan(256);
    // To the last character.
    const rest = 256 - (leaseTag(lease()).Value ?? '').length - 1;
    const ofLength = (length: number) => `eu-${'x'.repeat(length - 5)}-1`;
    expect(leaseTag(lease({ regions: [ofLength(rest)] })).Value).toHaveLength(256);
    expect(leasesOf([leaseTag(lease({ regions: [ofLength(rest)] }))])[0]?.regions).toEqual([ofLength(rest)]);
    expect(leasesOf([leaseTag(lease({ regions: [ofLength(rest + 1)] }))])[0]?.regions).toEqual([]);
  });

  test('that is found by one filter, whosever it is', () => {
    expect(leaseTagKeys).toBe('share-encrypted-ami:lease:*');
  });

  test('that is read as it was written', () => {
    // A dash alone stands for what isn't told.
    const word = fc.stringMatching(/^[a-z0-9.-]{0,16}$/).filter((text) => text !== '-');
    const seconds = fc.integer({ min: 0, max: 4_000_000_000 }).map((count) => count * 1000);
    const records = fc.record({
      id: fc.stringMatching(/^[0-9a-f]{12}$/),
      expiresAt: seconds,
      since: seconds,
      runId: word,
      attempt: fc.integer({ min: 0, max: 1000 }),
      machine: word,
      process: word,
      targets: fc.stringMatching(/^\*?[0-9a-f]{4,96}$/).map((marks) => (marks.length === 5 ? '' : marks)),
      regions: fc.array(fc.stringMatching(/^[a-z]{2}-[a-z]{4,9}-\d$/), { maxLength: 9 }),
    });
    const steps = fc.constantFrom({}, { setting: '0123abcd' });
    const isRead = (record: LeaseRecord) => expect(leasesOf([leaseTag(record)])).toEqual([record]);
    fc.assert(fc.property(records, steps, (record, step) => isRead({ ...record, ...step })));
  });

  test('beside others, which are none', () => {
    const ofAnother = { ...leaseTag(lease()), Key: 'share-encrypted-ami:leash:bbbbbbbbbbbb' };
    const run = { Key: 'share-encrypted-ami:run', Value: 'x' };
    const tags = [{ Key: 'team', Value: 'platform' }, run, { Value: 'x' }, ofAnother];
    expect(leasesOf([...tags, leaseTag(lease())]).map(({ id }) => id)).toEqual(['aaaaaaaaaaaa']);
    expect(leasesOf(undefined)).toEqual([]);
  });

  const Key = 'share-encrypted-ami:lease:aaaaaaaaaaaa';
  const value = leaseTag(lease({ targets: '0123abcd', regions: ['eu-west-1'] })).Value ?? '';
  const words = value.split(' ');
  const instead = (index: number, word: string) => words.with(index, word).join(' ');

  test.each([
    ['no value', undefined],
    ['an empty one', ''],
    ['words', 'soon'],
    ['the value of an earlier format', '1800000000 4711 1 machine 77.1234 eu-west-1'],
    ['less than a run writes', words.slice(0, 6).join(' ')],
    ['more than a run writes', `${value} more`],
    ['a space before', ` ${value}`],
    ['a space after', `${value} `],
    ['two spaces', value.replace(' ', '  ')],
    ['another line', `${value}\n`],
    ['no end', instead(0, 'never')],
    ['an end that is no whole number', instead(0, '1.5')],
    ['an end before all time', instead(0, '-1')],
    ['an end of too many digits', instead(0, '1'.repeat(12))],
    ['no beginning', instead(1, 'once')],
    ['a beginning of too many digits', instead(1, '1'.repeat(12))],
    ['no attempt', instead(3, 'first')],
    ['an attempt of too many digits', instead(3, '1'.repeat(10))],
    ['targets that are no marks', instead(6, 'everywhere')],
    ['a mark of targets alone', instead(6, '*')],
    ['a bad region', instead(7, 'eu-west-1,nowhere')],
    ['no region after a comma', instead(7, 'eu-west-1,')],
    ['a region that is a host', instead(7, 'evil.example.com/x-1')],
  ])('with %s is none: it holds nothing, and it is told', (_, Value) => {
    const tag = { Key, ...(Value !== undefined && { Value }) };
    expect(leasesOf([tag])).toEqual([]);
    expect(unreadableLeases([tag], now)).toEqual([Key]);
    expect(sortLeases({ Tags: [tag] }, 'own', reader())).toEqual({ live: [], outdated: [], dead: [] });
  });

  test.each(['', 'aaaaaaaaaaa', 'aaaaaaaaaaaaa', 'AAAAAAAAAAAA', 'aaaaaaaaaaag', 'aaaaaaaaaaaa:x'])(
    'of the ID %j is none',
    (id) => {
      const tag = { Key: `share-encrypted-ami:lease:${id}`, Value: value };
      expect(leasesOf([tag])).toEqual([]);
      expect(unreadableLeases([tag], now)).toEqual([tag.Key]);
    },
  );

  test('that reads as one is told as nothing else, and neither is any other tag', () => {
    expect(
      unreadableLeases([leaseTag(lease()), { Key: 'team' }, { Key: 'share-encrypted-ami:lease' }, {}], now),
    ).toEqual([]);
    expect(unreadableLeases(undefined, now)).toEqual([]);
  });

  test('that ends later than any run writes, or begins in the future, is told, and decides nothing', () => {
    const ten = 600_000;
    for (const over of [{ expiresAt: now + ten }, { since: now + ten }, { expiresAt: 0 }, { since: 0 }]) {
      expect(unreadableLeases([leaseTag(lease(over))], now)).toEqual([]);
      const { live, dead } = sortLeases({ Tags: [leaseTag(lease(over))] }, 'own', reader());
      expect(live.length + dead.length).toBe(1);
    }
    for (const over of [{ expiresAt: now + ten + 1000 }, { since: now + ten + 1000 }]) {
      const Tags = [leaseTag(lease(over))];
      expect(unreadableLeases(Tags, now)).toEqual([Key]);
      expect(sortLeases({ Tags }, 'own', reader())).toEqual({ live: [], outdated: [], dead: [] });
      // Whether it is to be believed, only the time tells.
      expect(leasesOf(Tags)).toHaveLength(1);
    }
  });

  test('that has ended tells since when its run made things, and where', () => {
    const ended = lease({ expiresAt: 0, runId: '', attempt: 0, machine: '', process: '' });
    const since = Math.floor(ended.since / 1000);
    expect(leaseTag(ended).Value).toBe(`0 ${since} - 0 - - -`);
    expect(leaseTag({ ...ended, targets: 'abcd', regions: ['eu-west-1'] }).Value).toBe(
      `0 ${since} - 0 - - abcd eu-west-1`,
    );
    expect(leasesOf([leaseTag(ended)])).toEqual([ended]);
  });
});

describe('the targets of a lease', () => {
  const targets = ['111111111111/eu-west-1', '222222222222/eu-west-1', '222222222222/us-west-2'];
  const many = Array.from({ length: 25 }, (_, index) => `${111_111_111_111 + index}/eu-west-1`);
  const of = (names: readonly string[]) => lease({ targets: targetMarks(names) });

  test('are marks of four digits, whatever their order, each once', () => {
    const marks = targetMarks(targets);
    expect(marks).toMatch(/^([0-9a-f]{4}){3}$/);
    expect(targetMarks([...targets].reverse())).toBe(marks);
    expect(targetMarks([...targets, ...targets])).toBe(marks);
    expect(targetMarks([])).toBe('');
    expect(targetMarks(targets.slice(0, 1))).toBe(
      createHash('sha256').update('111111111111/eu-west-1').digest('hex').slice(0, 4),
    );
  });

  test('are one mark of all of them where they are more than 24, so that the tag has room', () => {
    expect(targetMarks(many.slice(0, 24))).toMatch(/^[0-9a-f]{96}$/);
    expect(targetMarks(many)).toMatch(/^\*[0-9a-f]{8}$/);
    expect(targetMarks([...many].reverse())).toBe(targetMarks(many));
    expect(leasesOf([leaseTag(of(many))])).toEqual([of(many)]);
    expect(leasesOf([leaseTag(of(many.slice(0, 24)))])).toEqual([of(many.slice(0, 24))]);
  });

  test('are within those that reach each of them', () => {
    expect(isWithin(of(targets), targets)).toBe(true);
    expect(isWithin(of(targets), [...targets, 'another/eu-west-1'].reverse())).toBe(true);
    expect(isWithin(of(targets.slice(0, 2)), targets)).toBe(true);
    expect(isWithin(of([]), [])).toBe(true);
    for (const left of targets)
      expect(
        isWithin(
          of(targets),
          targets.filter((one) => one !== left),
        ),
      ).toBe(false);
    expect(isWithin(of(targets), [])).toBe(false);
  });

  test('are within no more and no less than the very ones, where one mark is of all', () => {
    expect(isWithin(of(many), [...many].reverse())).toBe(true);
    expect(isWithin(of(many), many.slice(1))).toBe(false);
    expect(isWithin(of(many), [...many, ...targets])).toBe(false);
    expect(isWithin(of(many), targets)).toBe(false);
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
  const idOf = (digit: string) => digit.repeat(12);
  const [live, own] = [lease({ id: idOf('b') }), lease({ id: idOf('a') })];
  const dead = lease({ id: idOf('d'), expiresAt: 0 });
  const outdated = lease({ id: idOf('c'), runId: '4712', attempt: 0 });
  const expired = lease({ id: idOf('e'), runId: '4712', attempt: 0, expiresAt: now });
  // Of another job of the very attempt, and of another run that was tried less often.
  const siblings = [lease({ id: idOf('1'), runId: '4712' }), lease({ id: idOf('2'), attempt: 0 })];
  const image: Image = { Tags: [live, dead, own, outdated, expired, ...siblings].map(leaseTag) };
  expect(sortLeases(image, own.id, reader())).toEqual({
    ...{ live: [live, ...siblings], outdated: [outdated], dead: [dead, expired] },
  });
  const none = { live: [], outdated: [], dead: [] };
  expect(sortLeases(undefined, 'own', reader())).toEqual(none);
  expect(sortLeases({}, 'own', reader())).toEqual(none);
});

describe('this process', () => {
  const own = { machine: thisMachine() };
  const { machine, isRunning, ...others } = readerOf(own, { runId: '4711', runAttempt: 2 }, now);

  test("reads leases as its workflow run, at AWS's time", () => {
    expect(others).toEqual({ runId: '4711', attempt: 2, now });
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
    // More digits than an account ID has.
    expect(sharesOf([{ Key: 'share-encrypted-ami:shares:aaaa:0', Value: 'zzzzzzzz' }])).toEqual(
      new Map([['aaaa', []]]),
    );
  });
});
