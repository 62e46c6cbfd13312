import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Files } from '../src/host.ts';
import { type LedgerState, ledgerProblem, openLedger, type Promotion, savedLedger } from '../src/ledger.ts';

/** RUNNER_TEMP as a plain record; without it there is none. */
function filesOf(kept: Record<string, string> | null): Files {
  return {
    temp: kept === null ? undefined : '/temp',
    read(path) {
      const text = kept?.[path];
      if (text === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`);
      return text;
    },
    write(path, text) {
      if (kept === null) throw new Error('there is no RUNNER_TEMP');
      kept[path] = String(text);
    },
  };
}

/** A ledger over plain records in place of the runner's state file and its folder; `log` is what was saved, in order. */
function open(temp: Record<string, string> | null = {}) {
  const saved: Record<string, string> = {};
  const log: [string, string][] = [];
  const files = filesOf(temp);
  const ledger = openLedger((name, value) => {
    saved[name] = value;
    log.push([name, value]);
  }, files);
  const read = (from = saved) => savedLedger((name) => from[name] ?? '', files);
  const left = () => {
    const { state, unread } = read();
    expect(unread).toEqual([]);
    return state;
  };
  return { ledger, saved, log, temp, read, left };
}

const empty = {
  imageId: '',
  leaseId: '',
  leased: false,
  since: 0,
  grantKeys: [],
  unshown: [],
  shares: [],
  regions: [],
  targets: {},
  boots: false,
  promotions: [],
  versions: [],
  account: '',
  region: '',
  isSettled: false,
  keepPending: false,
  finished: [],
};

describe('what post finds', () => {
  test('is nothing where nothing was written', () => {
    const { ledger, saved, left } = open();
    expect(ledger.state).toBeUndefined();
    expect(saved).toEqual({});
    expect(left()).toBeUndefined();
  });

  test('is what was written last over what was written before', () => {
    const { ledger, left } = open();
    ledger.write({ imageId: 'ami-1', leaseId: 'aaaaaaaaaaaa' });
    expect(left()).toEqual({ ...empty, imageId: 'ami-1', leaseId: 'aaaaaaaaaaaa' });
    ledger.write({ leased: true, imageId: 'ami-2' });
    expect(left()).toEqual({ ...empty, imageId: 'ami-2', leaseId: 'aaaaaaaaaaaa', leased: true });
    expect(ledger.state).toEqual(left());
  });

  test('is nothing once all is undone, and nothing old comes back', () => {
    const { ledger, saved, left } = open();
    ledger.write({ imageId: 'ami-1' });
    ledger.clear();
    expect(saved).toEqual({ ledger: '' });
    expect(ledger.state).toBeUndefined();
    expect(left()).toBeUndefined();
    ledger.write({ account: '111111111111' });
    expect(left()).toEqual({ ...empty, account: '111111111111' });
  });

  test('is under the name that the state file of a run in progress has', () => {
    const { ledger, saved } = open();
    ledger.write({ imageId: 'ami-1' });
    expect(Object.keys(saved)).toEqual(['ledger']);
  });

  test('is not written again where nothing has changed', () => {
    const { ledger, log } = open();
    ledger.write({ imageId: 'ami-1' });
    ledger.write({ imageId: 'ami-1', shares: [] });
    expect(log).toHaveLength(1);
  });
});

const hex = (bytes: number) => randomBytes(bytes).toString('hex');

/** Targets as random as they can be: no two in one account, which is in each role's ARN and each parameter's name. */
function manyTargets(count: number): Pick<LedgerState, 'targets' | 'promotions'> {
  const regions = ['us-east-1', 'eu-west-1', 'ap-southeast-2', 'ap-northeast-1', 'sa-east-1', 'eu-central-1'];
  const places = Array.from({ length: count }, (_, index) => ({
    account: String(Number.parseInt(hex(6), 16) % 1e12).padStart(12, '0'),
    region: regions[index % regions.length] ?? '',
  }));
  return {
    targets: Object.fromEntries(
      places.map(({ account, region }) => [`arn:aws:iam::${account}:role/ami-target`, [`${account}/${region}`]]),
    ),
    promotions: places.map(({ account, region }, index) => ({
      place: `${account}/${region}`,
      name: `/golden/${account}/${region}/latest`,
      before:
        index % 9 === 0 ? null : { version: 1 + (index % 400), value: `ami-0${hex(8)}`, dataType: 'aws:ec2:image' },
      amiId: `ami-0${hex(8)}`,
    })),
  };
}

/** What is saved of a promotion: of a former value whose version is known, the version. */
const savedOf = (promotions: readonly Promotion[]) =>
  promotions.map(({ before, ...rest }) => ({ ...rest, before: before && { version: before.version } }));

/** So many promotions of values that have no version, which nothing makes shorter. */
const incompressible = (count: number): Promotion[] =>
  Array.from({ length: count }, (_, index) => ({
    place: '999999999999/eu-west-1',
    name: `/golden/${index}`,
    before: { value: hex(2000), dataType: 'text' },
    amiId: `ami-0${hex(8)}`,
  }));

describe('the state of many targets', () => {
  test('5,000 with parameters fit without a file, in entries that Windows takes too', () => {
    const { ledger, saved, left } = open();
    const many = manyTargets(5000);
    const shares = [
      {
        region: 'us-east-1',
        resources: ['snap-1'],
        accounts: Object.keys(many.targets).map((arn) => arn.slice(13, 25)),
      },
    ];
    ledger.write({ imageId: 'ami-1', leaseId: 'aaaaaaaaaaaa', shares, targets: many.targets });
    ledger.write({ promotions: many.promotions });
    expect(left()).toEqual({
      ...empty,
      imageId: 'ami-1',
      leaseId: 'aaaaaaaaaaaa',
      shares,
      targets: many.targets,
      promotions: savedOf(many.promotions),
    });
    const sizes = Object.values(saved).map(({ length }) => length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(30_000);
    expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(400_000);
    // And it is what the check beforehand says.
    expect(ledgerProblem({ targets: 5000, parameters: 5000 }, filesOf(null))).toBeUndefined();
  });

  test('what changes is written, the rest is not', () => {
    const { ledger, log } = open();
    ledger.write({ ...manyTargets(1500), imageId: 'ami-1' });
    const before = log.length;
    expect(before).toBeGreaterThan(3);
    ledger.write({ leased: true });
    ledger.addShare('us-east-1', 'snap-1', ['222222222222']);
    expect(log.slice(before).map(([name]) => name)).toEqual(['ledger', 'ledger']);
  });

  test('takes no more entries than it needs once it is less', () => {
    const { ledger, saved, left } = open();
    ledger.write(manyTargets(1500));
    ledger.write({ promotions: [], targets: {} });
    expect(Object.entries(saved).flatMap(([name, value]) => (value === '' ? [] : [name]))).toEqual(['ledger']);
    expect(left()).toEqual(empty);
    ledger.write(manyTargets(1500));
    ledger.clear();
    expect(new Set(Object.values(saved))).toEqual(new Set(['']));
  });

  test('killed between any two entries, it is one that was written whole', () => {
    const { ledger, log, read, temp } = open();
    const states: (LedgerState | undefined)[] = [undefined];
    const write = (change: Partial<LedgerState>) => {
      ledger.write(change);
      states.push(ledger.state && { ...ledger.state, promotions: savedOf(ledger.state.promotions) as Promotion[] });
    };
    write({ imageId: 'ami-1' });
    write(manyTargets(900));
    write({ promotions: manyTargets(800).promotions });
    write({ promotions: manyTargets(2000).promotions, leased: true });
    write({ promotions: manyTargets(10).promotions });
    write({ promotions: manyTargets(900).promotions });
    write({ promotions: [] });
    write({ promotions: incompressible(250).map((one) => ({ ...one, before: null, name: hex(2000) })) });
    ledger.clear();
    let at = 0;
    for (let count = 0; count <= log.length; count += 1) {
      const { state, unread } = read(Object.fromEntries(log.slice(0, count)));
      expect(unread).toEqual([]);
      const found = states.findIndex((one, index) => index >= at && JSON.stringify(one) === JSON.stringify(state));
      if (count < log.length - 1 && state !== undefined) expect(found).toBeGreaterThanOrEqual(at);
      at = Math.max(at, found);
    }
    expect(at).toBe(states.length - 1);
    expect(Object.keys(temp ?? {})).toHaveLength(1);
  });

  test('any state comes back as it was', () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 });
    const texts = fc.array(text, { maxLength: 5 });
    const state = fc.record({
      imageId: text,
      leaseId: text,
      leased: fc.boolean(),
      since: fc.nat(),
      grantKeys: texts,
      unshown: texts,
      shares: fc.array(fc.record({ region: text, resources: texts, accounts: texts })),
      regions: texts,
      targets: fc.dictionary(text, texts),
      versions: fc.array(
        fc.record({ place: text, template: text, amiId: text, latest: fc.nat(), formerDefault: fc.nat() }),
      ),
      promotions: fc.array(
        fc.record({ place: text, name: text, amiId: text, before: fc.option(fc.record({ version: fc.nat() })) }),
      ),
      account: text,
      region: text,
      isSettled: fc.boolean(),
      boots: fc.boolean(),
      keepPending: fc.boolean(),
      finished: texts,
    });
    fc.assert(
      fc.property(state, fc.constantFrom(1, 400), (given, times) => {
        const { ledger, left } = open();
        const grantKeys = Array.from({ length: times }, () => given.grantKeys).flat();
        ledger.write({ ...given, grantKeys });
        expect(left()).toEqual(JSON.parse(JSON.stringify({ ...given, grantKeys })));
      }),
    );
  });
});

describe('what no entry is left for', () => {
  const promotions = incompressible(300);
  const bulky = (temp: Record<string, string> | null = {}) => {
    const opened = open(temp);
    opened.ledger.write({ imageId: 'ami-1', leaseId: 'aaaaaaaaaaaa' });
    return opened;
  };

  test('is a file, by the hash that is in saved state', () => {
    const { ledger, saved, temp, left } = bulky();
    ledger.write({ promotions });
    expect(Object.keys(temp ?? {})).toEqual([
      expect.stringMatching(/^\/temp\/share-encrypted-ami-[0-9a-f-]{36}-undo-promotions-\d\.json$/),
    ]);
    expect(Object.keys(saved)).toEqual(['ledger']);
    expect(left()).toMatchObject({ imageId: 'ami-1', promotions });
  });

  test('is what the entries of other parts leave no room for; its own former ones make room', () => {
    const { ledger, temp, left } = open();
    // Two thirds of the room, twice.
    for (const many of [incompressible(112), incompressible(112)]) {
      ledger.write({ promotions: many });
      expect(temp).toEqual({});
    }
    const finished = Array.from({ length: 112 }, () => hex(2000));
    ledger.write({ finished });
    expect(Object.keys(temp ?? {})).toEqual([expect.stringMatching(/-undo-finished-\d\.json$/)]);
    expect(left()).toMatchObject({ finished, promotions: ledger.state?.promotions });
  });

  test('is not found where RUNNER_TEMP is not set any more', () => {
    const { ledger, saved } = bulky();
    ledger.write({ promotions });
    const { state, unread } = savedLedger((name) => saved[name] ?? '', filesOf(null));
    expect(state).toMatchObject({ imageId: 'ami-1' });
    expect(unread).toEqual([
      expect.stringMatching(/^the SSM parameters: RUNNER_TEMP, in which share-encrypted-ami-\S+ is, is not set$/),
    ]);
  });

  test.each<[string, (text: string) => string | undefined, RegExp]>([
    ['is another', (text) => text.replace('/golden/7', '/theirs/7'), /is not as it was written: it is not acted on/],
    ['is cut off', (text) => text.slice(0, -1), /is not as it was written: it is not acted on/],
    ['is gone', () => undefined, /ENOENT/],
  ])('is not acted on where the file %s, and the rest is', (_, change, why) => {
    const { ledger, temp, read } = bulky();
    ledger.write({ promotions });
    const [path = ''] = Object.keys(temp ?? {});
    if (temp === null) throw new Error('there is no RUNNER_TEMP');
    const changed = change(temp[path] ?? '');
    if (changed === undefined) delete temp[path];
    else temp[path] = changed;
    const { state, unread } = read();
    expect(state).toEqual({ ...empty, imageId: 'ami-1', leaseId: 'aaaaaaaaaaaa' });
    expect(unread).toEqual([expect.stringMatching(/^the SSM parameters: /)]);
    expect(unread.join()).toMatch(why);
  });

  test('is refused where there is no file, before anything is made, and what was saved stands', () => {
    for (const temp of [null, Object.freeze({})]) {
      const { ledger, left } = bulky(temp);
      expect(() => ledger.write({ promotions })).toThrow(/can't be saved for the post step: it takes \d+ entries/);
      expect(left()).toEqual({ ...empty, imageId: 'ami-1', leaseId: 'aaaaaaaaaaaa' });
      expect(ledger.state?.promotions).toEqual([]);
    }
  });

  test('is told beforehand', () => {
    const many = { targets: 20_000, parameters: 20_000 };
    expect(ledgerProblem(many, filesOf({}))).toBeUndefined();
    expect(ledgerProblem({ targets: 5000, parameters: 5000 }, filesOf(null))).toBeUndefined();
    expect(ledgerProblem({ targets: 20_000, parameters: 0 }, filesOf(null))).toMatch(/RUNNER_TEMP/);
    expect(ledgerProblem({ targets: 0, parameters: 20_000 }, filesOf(null))).toMatch(/RUNNER_TEMP/);
    expect(ledgerProblem(many, filesOf(null))).toMatch(
      /of 20000 targets, 20000 SSM parameters and 0 launch templates, .* RUNNER_TEMP, which could hold it, is not set/,
    );
    expect(ledgerProblem(many, filesOf(Object.freeze({})))).toMatch(/\/temp\/.* could not be written: /);
    const templates = 6000;
    expect(ledgerProblem({ targets: 0, parameters: 0, templates }, filesOf(null))).toBeUndefined();
    expect(ledgerProblem({ targets: 0, parameters: 8000 }, filesOf(null))).toBeUndefined();
    expect(ledgerProblem({ targets: 0, parameters: 8000, templates }, filesOf(null))).toMatch(
      /of 0 targets, 8000 SSM parameters and 6000 launch templates, .* RUNNER_TEMP/,
    );
  });
});

describe('saved state that is damaged', () => {
  const read = (saved: Record<string, string>) => savedLedger((name) => saved[name] ?? '', filesOf({}));

  test.each([
    ['not JSON', '{"format":2', /^all of it: /],
    [
      'of a newer format',
      '{"format":3,"parts":{}}',
      /^all of it: it is of format 3, and this version of the action knows 2$/,
    ],
    ['of no format', '{"imageId":"ami-1"}', /^all of it: it is not what this action saves$/],
    ['null', 'null', /^all of it: /],
    ['a list', '[]', /^all of it: /],
    ['of no parts', '{"format":2,"parts":7}', /^all of it: /],
  ])('%s: nothing is read, and it is told', (_, text, why) => {
    const { state, unread } = read({ ledger: text });
    expect(state).toBeUndefined();
    expect(unread).toEqual([expect.stringMatching(why)]);
  });

  /** Parts as main saves them, and what each is called where it can't be read. */
  const run = {
    imageId: 'ami-1',
    leaseId: 'a',
    leased: true,
    since: 0,
    grantKeys: ['key'],
    unshown: ['key'],
    regions: ['us-east-1'],
    account: '1',
    region: 'us-east-1',
    isSettled: true,
    boots: true,
    keepPending: true,
  };
  const share = { region: 'us-east-1', resources: ['snap-1'], accounts: ['222222222222'] };
  const promotion = { place: 'a/b', name: '/golden', amiId: 'ami-2', before: null };
  const version = { place: 'a/b', template: 'lt-1', amiId: 'ami-2', existing: 4, latest: 5, formerDefault: 3 };
  const right = {
    ...{ run, shares: [share], targets: { role: ['a/b'] }, finished: ['ami-3'] },
    ...{ promotions: [promotion], versions: [version] },
  };
  const names = {
    run: 'the AMI, its lease and the grants',
    shares: 'the shares',
    targets: 'the targets',
    finished: 'the AMIs that are finished',
    promotions: 'the SSM parameters',
    versions: 'the launch templates',
  };
  const readParts = (parts: object) => {
    const forms = Object.entries(parts).map(([part, plain]) => [part, { plain }]);
    return read({ ledger: JSON.stringify({ format: 2, parts: Object.fromEntries(forms) }) });
  };

  /** The state that these parts are. */
  const stateOf = ({ run: own, ...lists }: Partial<typeof right>) => ({ ...empty, ...own, ...lists });

  test.each([null, { version: 7 }, { value: 'ami-0' }])(
    'in nothing, with %j as a parameter’s former value: all is read',
    (before) => {
      const whole = { ...right, promotions: [{ ...promotion, before }] };
      expect(readParts(whole)).toEqual({ state: { ...stateOf(right), promotions: whole.promotions }, unread: [] });
    },
  );

  type Row = [part: keyof typeof right, value: unknown];
  /** `one` with each of its fields of another kind in turn. */
  const withWrongField = (one: object) =>
    Object.entries(one).map(([field, value]) => ({ ...one, [field]: typeof value === 'number' ? 'x' : 7 }));

  test.each<Row>([
    ...[null, [], ...withWrongField(run), { ...run, regions: ['us-east-1', 7] }].map((one): Row => ['run', one]),
    ['shares', share],
    ...[null, ...withWrongField(share)].map((one): Row => ['shares', [share, one]]),
    ['targets', []],
    ['targets', { role: 'a/b' }],
    ['finished', 'ami-3'],
    ['finished', ['ami-3', 7]],
    ...[null, ...withWrongField(promotion)].map((one): Row => ['promotions', [promotion, one]]),
    ...[null, ...withWrongField(version), { ...version, latest: 1.5 }].map((one): Row => ['versions', [version, one]]),
    ...[{}, { version: 1.5 }, { value: 7 }].map((before): Row => ['promotions', [{ ...promotion, before }]]),
  ])('in %s (%j): the rest is read', (part, value) => {
    const { state, unread } = readParts({ ...right, [part]: value });
    const rest = Object.fromEntries(Object.entries(right).filter(([name]) => name !== part));
    expect({ state, unread }).toEqual({
      state: stateOf(rest),
      unread: [`${names[part]}: it is not what this action saves`],
    });
  });

  test.each<[string, unknown, string]>([
    ['promotions', { entries: ['ledger-promotions-0-0'] }, 'the SSM parameters: '],
    ['promotions', { file: 7 }, 'the SSM parameters: it is not what this action saves'],
    ['promotions', null, 'the SSM parameters: it is not what this action saves'],
    ['news', { plain: {} }, 'news: it is not what this action saves'],
    ['constructor', { plain: {} }, 'constructor: it is not what this action saves'],
  ])('in the form of %s (%j): the rest is read', (part, form, why) => {
    const { state, unread } = read({
      ledger: JSON.stringify({ format: 2, parts: { run: { plain: run }, [part]: form } }),
    });
    expect(state).toEqual({ ...empty, ...run });
    expect(unread).toEqual([expect.stringContaining(why)]);
  });

  test('any: reading never throws, and what is not read is told', () => {
    const { ledger, saved } = open();
    ledger.write(manyTargets(700));
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(saved)), fc.nat(), fc.string(), (name, at, text) => {
        const whole = saved[name] ?? '';
        const cut = at % (whole.length + 1);
        const { state, unread } = read({ ...saved, [name]: whole.slice(0, cut) + text });
        if (unread.length === 0 && state !== undefined) expect(state.promotions).toHaveLength(700);
      }),
    );
    fc.assert(
      fc.property(fc.json(), (text) => {
        const { state, unread } = read({ ledger: text });
        expect(state === undefined || unread.length === 0).toBe(true);
      }),
    );
  });
});

describe('shares', () => {
  test('of one region with the same accounts are one entry; others have their own', () => {
    const { ledger, left } = open();
    ledger.addShare('us-east-1', 'snap-1', ['222222222222', '333333333333']);
    ledger.addShare('us-east-1', 'snap-2', ['444444444444']);
    ledger.addShare('eu-west-1', 'snap-3', ['222222222222', '333333333333']);
    ledger.addShare('us-east-1', 'snap-4', ['222222222222', '333333333333']);
    expect(left()?.shares).toEqual([
      { region: 'us-east-1', accounts: ['222222222222', '333333333333'], resources: ['snap-1', 'snap-4'] },
      { region: 'us-east-1', accounts: ['444444444444'], resources: ['snap-2'] },
      { region: 'eu-west-1', accounts: ['222222222222', '333333333333'], resources: ['snap-3'] },
    ]);
  });

  test('leave the rest of the ledger as it is', () => {
    const { ledger, left } = open();
    ledger.write({ imageId: 'ami-1', grantKeys: ['arn:aws:kms:us-east-1:111111111111:key/1'] });
    ledger.addShare('us-east-1', 'snap-1', ['222222222222']);
    expect(left()).toMatchObject({ imageId: 'ami-1', grantKeys: ['arn:aws:kms:us-east-1:111111111111:key/1'] });
  });
});
