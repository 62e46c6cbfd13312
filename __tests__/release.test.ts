import { describe, expect, test } from '@jest/globals';
import { amiIdOf, keyArnOf, type RegionScenario, type VolumeScenario } from '../simulator/scenario.ts';
import { placeName } from '../src/aws/errors.ts';
import { type Policy, withStatements } from '../src/aws/key-policy.ts';
import { encryptedCopyName } from '../src/encrypted-copy.ts';
import { leaseTag, readerOf, shareTags, targetMarks } from '../src/lease.ts';
import { emptyLedger, type LedgerState } from '../src/ledger.ts';
import { thisMachine } from '../src/machine.ts';
import { grantName } from '../src/operations/allow.ts';
import type { ReleaseReport } from '../src/outcome.ts';
import { copyDescription, encryptedDescription } from '../src/plan/evidence.ts';
import { replacedByTag } from '../src/plan/replaced.ts';
import { nothing } from '../src/release/notes.ts';
import { release } from '../src/release/release.ts';
import type { KnownGrant, Releasing } from '../src/release/releasing.ts';
import { releaseFrom } from '../src/release/target.ts';
import { endedLease, tagKeys } from '../src/tags.ts';
import { type Account, openAccount } from './account.ts';
import { settledMs } from './in-process.ts';

const account = '111111111111';
const region = 'us-east-1';
const hub = 'eu-west-1';
const amiId = amiIdOf(account, region, 'golden');
const keyArn = keyArnOf(account, region, 'golden');
const copyName = encryptedCopyName(amiId, keyArn);
const copyId = amiIdOf(account, region, copyName);
const [target, other, stranger] = ['222222222222', '333333333333', '444444444444'];

/** The lease of the run that ends, of one that lives beside it, and of one that has died. */
const [own, live, dead] = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb', 'dddddddddddd'];

const now = Date.now();
/** Before anything of these scenarios was made. */
const began = Date.parse('2026-10-31T00:00:00Z');

function lease(id: string, over: Partial<Parameters<typeof leaseTag>[0]> = {}): Record<string, string> {
  const expiresAt = id === dead ? now - 1000 : now + 200_000;
  const { Key = '', Value = '' } = leaseTag({
    ...{ id, expiresAt, since: began, runId: '1', attempt: 1, machine: '', process: '', targets: '', regions: [] },
    ...over,
  });
  return { [Key]: Value };
}

/** What a lease's shares look like on a snapshot. */
function sharesBy(id: string, ...accounts: string[]): Record<string, string> {
  return Object.fromEntries(shareTags(id, accounts).map(({ Key = '', Value = '' }) => [Key, Value]));
}

const marks = { [tagKeys.sourceAmi]: amiId, [tagKeys.intermediate]: 'true' };
const sourceSnapshot = 'snap-0a';
/** What AWS keeps of an encrypted copy, and of its snapshots. */
const attributes = { SourceImageId: amiId, SourceImageRegion: region };
const copied = `Copied for DestinationAmi ${copyId} from SourceAmi ${amiId} for SourceSnapshot ${sourceSnapshot}. Task created on 1.`;
/** What AWS keeps of the encrypted copy of a single snapshot. */
const encrypted = encryptedDescription(sourceSnapshot, amiId);

/** A region with an encrypted copy of the golden AMI, whose snapshot is shared. */
function withCopy(sharedWith: readonly string[], tags: Record<string, string> = {}): RegionScenario {
  const volumes = [{ device: '/dev/xvda', copied, sharedWith, tags: { ...marks, ...tags } }];
  return { keys: { golden: {} }, amis: [{ name: copyName, attributes, volumes, tags: marks }] };
}

type Given = {
  leases?: Record<string, string>;
  /** What the source AMI's own snapshot is like. */
  volume?: Partial<VolumeScenario>;
  here?: RegionScenario;
  there?: RegionScenario;
};

/** The source account: the golden AMI, and what runs have there. */
function open({ leases = lease(own), volume, here = withCopy([target], sharesBy(own, target)), there }: Given = {}) {
  const golden = { name: 'golden', volumes: [{ device: '/dev/xvda', ...volume }], tags: { team: 'x', ...leases } };
  return openAccount(account, {
    [region]: { ...here, amis: [golden, ...(here.amis ?? [])] },
    ...(there && { [hub]: there }),
  });
}

function grant(there: Account, name: string | undefined, at = region): string {
  const { grants } = there.key(at, 'golden');
  const GrantId = `grant-${grants.length}-${at}`;
  grants.push({
    GrantId,
    ...(name !== undefined && { Name: name }),
    GranteePrincipal: `arn:aws:iam::${target}:role/ami-target`,
    Operations: ['Decrypt'],
    CreationDate: new Date(),
    IssuingAccount: account,
    activeAt: 0,
  });
  return GrantId;
}

const grantsIn = (there: Account, at = region) => there.key(at, 'golden').grants.map(({ GrantId }) => GrantId);

function state(over: Partial<LedgerState> = {}): LedgerState {
  const held = { imageId: amiId, leaseId: own, leased: true, since: began, grantKeys: [keyArn] };
  return { ...emptyLedger, ...held, account, region, ...over };
}

type Over = Partial<Omit<LedgerState, 'targets'> & Omit<Releasing, 'state' | 'grants'>>;

/** What the run `own` does at its end with the grants that it knows of; undefined where only the ledger knows. */
function cleanUp(
  there: Account,
  grants: readonly KnownGrant[] | undefined,
  { targets = [], ...over }: Over = {},
): Promise<ReleaseReport> {
  return release({
    source: there.at,
    sourceRegion: region,
    state: state(over),
    grants,
    stated: [],
    unproven: new Set(),
    keyAccess: 'grant',
    keepIntermediates: false,
    reached: targets.map(placeName),
    reader: (time) => readerOf({ machine: thisMachine() }, { runId: '4711', runAttempt: 1 }, time),
    superseding: false,
    torn: 'warned',
    ready: new Set(),
    patient: false,
    isLast: true,
    targets,
    ...over,
  });
}

const tagKeysOf = (there: Account) => there.imageIn(region, amiId).data.Tags.map(({ Key }) => Key);
const sharesIn = (there: Account, at = region) => there.snapshots(at).map(({ shares }) => [...shares]);
const bothLeases = { ...lease(own), ...lease(dead) };
const leaseKey = (id: string) => `${tagKeys.lease}:${id}`;

test('grants are found on every page, though they go', async () => {
  await using there = await open();
  grant(there, grantName(amiId, own));
  const theirs = Array.from({ length: 99 }, () => grant(there, 'theirs'));
  grant(there, grantName(amiId, own));
  const { done, failed } = await cleanUp(there, undefined);
  expect(done).toContain(`revoked 2 grants that an earlier run left on ${keyArn}`);
  expect(failed).toEqual([]);
  expect(grantsIn(there)).toEqual(theirs);
});

describe('a run that ends', () => {
  test('takes back its grants, its shares, the encrypted copy, and last its lease', async () => {
    await using there = await open();
    const made = [
      { keyArn, grantId: grant(there, grantName(amiId, own)) },
      { keyArn, grantId: grant(there, grantName(amiId, own)) },
    ];
    const [, copied] = there.snapshots(region);
    const { done, ...others } = await cleanUp(there, made);
    expect({ ...nothing, ...others }).toEqual(nothing);
    expect(done.toSorted()).toEqual([`removed the encrypted copy ${copyId}`, 'revoked 2 grants', 'took back 1 share']);
    // Nobody else is asked whom the AMI is shared with.
    expect(there.simulator.calls.filter(({ action }) => action === 'DescribeSnapshotAttribute')).toEqual([]);
    expect(grantsIn(there)).toEqual([]);
    expect([...(copied?.shares ?? [])]).toEqual([]);
    expect(there.images(region)).toEqual(['golden']);
    expect(there.snapshots(region)).toHaveLength(1);
    expect(tagKeysOf(there)).toEqual(['team']);
    // Access goes first, and the lease last.
    const actions = there.writes().map(({ action }) => action);
    for (const access of ['ModifySnapshotAttribute', 'RevokeGrant'])
      expect(actions.lastIndexOf(access)).toBeLessThan(actions.indexOf('DeregisterImage'));
    expect(actions.at(-1)).toBe('DeleteTags');
  });

  test('finds nothing more to do when it does it again', async () => {
    await using there = await open();
    const made = [{ keyArn, grantId: grant(there, grantName(amiId, own)) }];
    await cleanUp(there, made);
    await there.simulator.clock.sleep(settledMs);
    expect(await cleanUp(there, made)).toEqual({ ...nothing, done: ['revoked 1 grant'] });
    expect(await cleanUp(there, [])).toEqual(nothing);
    expect(await cleanUp(there, undefined)).toEqual(nothing);
    expect(tagKeysOf(there)).toEqual(['team']);
  });

  test('looks for no grants by name where it knows all of its own and nobody died', async () => {
    await using there = await open();
    const nameless = grant(there, undefined);
    const similar = grant(there, grantName(amiId, own));
    await cleanUp(there, [{ keyArn, grantId: grant(there, grantName(amiId, own)) }]);
    expect(grantsIn(there)).toEqual([nameless, similar]);
    // Once, for what others granted meanwhile.
    expect(there.simulator.calls.filter(({ action }) => action === 'ListGrants')).toHaveLength(1);
  });

  test('finds a grant by its name whose ID it was never told', async () => {
    await using there = await open();
    const others = [grant(there, undefined), grant(there, grantName(amiId, live)), grant(there, 'backup')];
    grant(there, grantName(amiId, own));
    const known = { keyArn, grantId: grant(there, grantName(amiId, own)) };
    const { done, failed } = await cleanUp(there, [known, { keyArn, grantId: undefined }]);
    expect(failed).toEqual([]);
    expect(done).toEqual(
      expect.arrayContaining(['revoked 1 grant', `revoked 1 grant that an earlier run left on ${keyArn}`]),
    );
    expect(grantsIn(there)).toEqual(others);
  });

  test('finds its grant among any number of others', async () => {
    await using there = await open();
    for (let count = 0; count < 250; count += 1) grant(there, `other-${count}`);
    grant(there, grantName(amiId, own));
    await cleanUp(there, undefined);
    expect(grantsIn(there)).toHaveLength(250);
  });

  test('with keep-intermediates, leaves the encrypted copy, but no access to it', async () => {
    await using there = await open();
    const { done } = await cleanUp(there, [], { keepIntermediates: true });
    expect(done).toEqual(['took back 1 share']);
    expect(there.images(region)).toEqual(['golden', copyName]);
    expect(sharesIn(there)).toEqual([[], []]);
    expect(tagKeysOf(there)).toEqual(['team']);
  });

  test('takes back what the ledger says it shared, although no tag tells of it; what was shared before stays', async () => {
    await using there = await open({ volume: { sharedWith: [target, stranger] } });
    const [first] = there.snapshots(region);
    const id = first?.data.SnapshotId ?? '';
    const shares = [
      { region, resources: [id], accounts: [target] },
      { region, resources: ['snap-0ffffffffffffffff'], accounts: [stranger] },
      { region: hub, resources: [id], accounts: [stranger] },
    ];
    expect((await cleanUp(there, [], { shares })).done).toContain('took back 2 shares');
    expect([...(first?.shares ?? [])]).toEqual([stranger]);
  });

  test('cleans the regions of hubs too', async () => {
    const arn = keyArnOf(account, hub, 'golden');
    await using there = await open({ there: withCopy([target], sharesBy(own, target)) });
    grant(there, grantName(amiId, own), hub);
    const { failed } = await cleanUp(there, undefined, { regions: [hub], grantKeys: [keyArn, arn] });
    expect(failed).toEqual([]);
    expect([there.images(hub), there.snapshots(hub), grantsIn(there, hub)]).toEqual([[], [], []]);
    expect(there.images(region)).toEqual(['golden']);
  });

  test('deletes encrypted snapshots that no AMI has, and none that is not such a copy', async () => {
    const amis = [
      {
        name: 'loose',
        volumes: [1, 2].map((at) => ({ device: `/dev/sd${at}`, copied: encrypted, tags: marks })),
        tags: {},
      },
      { name: 'backup', volumes: [{ device: '/dev/xvda', tags: marks }], tags: marks },
      {
        name: 'mine',
        volumes: [{ device: '/dev/xvda', copied: encrypted, tags: { [tagKeys.sourceAmi]: amiId } }],
        tags: {},
      },
      {
        name: 'another',
        volumes: [{ device: '/dev/xvda', copied: encrypted, tags: { ...marks, [tagKeys.sourceAmi]: 'ami-1' } }],
      },
    ];
    await using there = await open({ here: { keys: { golden: {} }, amis } });
    const [, first, second, ...others] = there.snapshots(region);
    const image = there.imageIn(region, amiIdOf(account, region, 'loose'));
    image.deregisteredAt = Date.now();
    await there.simulator.clock.sleep(settledMs);
    const { done } = await cleanUp(there, []);
    expect(done).toEqual([`deleted ${first?.data.SnapshotId}, ${second?.data.SnapshotId}`]);
    expect(there.snapshots(region).slice(1)).toEqual(others);
    expect(there.images(region)).toEqual(['golden', 'backup', 'mine', 'another']);
  });

  test('leaves a key policy alone that has no statement of its own', async () => {
    await using there = await open({ here: { keys: { golden: {} } } });
    const before = there.key(region, 'golden').policy;
    expect(await cleanUp(there, [], { keyAccess: 'policy' })).toEqual(nothing);
    expect(there.key(region, 'golden').policy).toBe(before);
  });

  test('reads no key policy where access was given otherwise', async () => {
    await using there = await open();
    await cleanUp(there, []);
    expect(there.simulator.calls.map(({ action }) => action)).not.toContain('GetKeyPolicy');
  });

  test('writes no lease onto an AMI that took none', async () => {
    await using there = await open({ leases: {} });
    expect((await cleanUp(there, [], { leased: false })).failed).toEqual([]);
    expect(there.writes().filter(({ request }) => String(request.Resources).includes(amiId))).toEqual([]);
  });

  test('until the last look, ends its lease but leaves it there', async () => {
    await using there = await open();
    await cleanUp(there, undefined, { isLast: false });
    const tag = there.imageIn(region, amiId).data.Tags.find(({ Key }) => Key === leaseKey(own));
    expect(tag?.Value).toMatch(/^0 /);
    // A lease that reads as ended isn't ended again.
    const writes = there.writes().length;
    await cleanUp(there, undefined, { isLast: false });
    expect(there.writes()).toHaveLength(writes);
  });
});

describe('of shares and grants', () => {
  const writes = (there: Account) =>
    there.writes().flatMap(({ action }) => (/^(RevokeGrant|ModifySnapshotAttribute)$/.test(action) ? [action] : []));
  const [share, revoke] = ['ModifySnapshotAttribute', 'RevokeGrant'];

  test("the shares of the source's own go first: by its grants, whoever comes next knows whose they are", async () => {
    const none = { keys: { golden: {} } };
    await using there = await open({ volume: { sharedWith: [target] }, here: none });
    const id = there.snapshots(region)[0]?.data.SnapshotId ?? '';
    const shares = [
      { region, resources: ['snap-0ffffffffffffffff'], accounts: [target] },
      { region, resources: ['snap-0ffffffffffffffff', id], accounts: [target] },
    ];
    await cleanUp(there, [{ keyArn, grantId: grant(there, grantName(amiId, own)) }], { shares });
    expect(writes(there)).toEqual([share, revoke]);
    // Of an AMI that is gone, nobody knows what was its own.
    await using gone = await open();
    gone.removeImage(region, amiId);
    await cleanUp(gone, [{ keyArn, grantId: grant(gone, grantName(amiId, own)) }], {
      shares: [{ region, resources: [gone.snapshots(region)[1]?.data.SnapshotId ?? ''], accounts: [target] }],
    });
    expect(writes(gone)).toEqual([share, revoke]);
  });

  test("those of encrypted copies go at the same time, since these are the action's", async () => {
    await using there = await open();
    const shares = [{ region, resources: [there.snapshots(region)[1]?.data.SnapshotId ?? ''], accounts: [target] }];
    await cleanUp(there, [{ keyArn, grantId: grant(there, grantName(amiId, own)) }], { shares });
    expect(writes(there)).toEqual([revoke, share]);
    await using nameless = await open();
    grant(nameless, grantName(amiId, own));
    await cleanUp(nameless, [{ keyArn, grantId: undefined }]);
    expect(writes(nameless)).toEqual([revoke, share]);
  });
});

describe('a run that died as it set what names the AMIs', () => {
  const [golden, web] = ['01234567', '89abcdef'];
  const torn = (over: Parameters<typeof lease>[1] = {}) =>
    open({ leases: { ...lease(own), ...lease(dead, { setting: golden, ...over }) }, here: { keys: { golden: {} } } });
  const told = expect.stringMatching(
    `^run 1 on ${amiId} died as it set SSM parameters and launch templates, .* take the tag ${leaseKey(dead)} off ${amiId}$`,
  );
  const recent = { since: now - 3_600_000 };

  test.each(['warned', 'failed'] as const)('is %s of until another has set the very same', async (torn_) => {
    for (const hasSet of [undefined, web]) {
      await using there = await torn(recent);
      const report = await cleanUp(there, [], { torn: torn_, hasSet });
      expect(report).toEqual({ ...nothing, [torn_]: [told] });
      expect(tagKeysOf(there)).toContain(leaseKey(dead));
    }
    // Nor is anything told of what died before that.
    for (const setting of [golden, undefined]) {
      await using there = await torn({ ...recent, setting });
      expect(await cleanUp(there, [], { torn: torn_, hasSet: golden })).toEqual(nothing);
      expect(tagKeysOf(there)).toEqual(['team']);
    }
  });

  test('is told of for five days', async () => {
    await using there = await torn({ since: now - 5 * 24 * 3_600_000 - 60_000 });
    expect((await cleanUp(there, [])).warned).toEqual([told]);
    expect(tagKeysOf(there)).toEqual(['team']);
  });

  test('as its lease lives yet, is waited for by who has set the very same, and mended; by nobody else', async () => {
    const given = {
      leases: { ...lease(own), ...lease(live, { ...recent, setting: golden, expiresAt: now + 100_000 }) },
    };
    const left = { ...given, here: { keys: { golden: {} } } };
    for (const [hasSet, patient] of [
      [golden, true],
      [golden, false],
      [web, true],
      [undefined, true],
    ] as const) {
      await using there = await open(left);
      const before = there.simulator.clock.now();
      expect(await cleanUp(there, [], { hasSet, patient })).toEqual(nothing);
      const waits = hasSet === golden && patient;
      expect(there.simulator.clock.now() - before > 60_000).toBe(waits);
      // Often at first, seldom later.
      const looks = there.simulator.calls.filter(
        ({ action, request }) => action === 'DescribeImages' && String(request.ImageIds).includes(amiId),
      );
      expect(looks.length).toBeGreaterThanOrEqual(waits ? 6 : 2);
      expect(looks.length).toBeLessThanOrEqual(waits ? 9 : 3);
      expect(tagKeysOf(there)).toEqual(waits ? ['team'] : ['team', leaseKey(live)]);
    }
  });

  test('is waited for only while its lease is there; one that sets nothing isn’t waited for', async () => {
    for (const setting of [golden, undefined]) {
      const given = lease(live, { setting, expiresAt: now + 200_000 });
      await using there = await open({ leases: { ...lease(own), ...given }, here: { keys: { golden: {} } } });
      const { data } = there.imageIn(region, amiId);
      if (setting !== undefined)
        there.simulator.onCall(({ action }) => {
          if (action === 'DescribeImages') data.Tags = data.Tags.filter(({ Key }) => Key !== leaseKey(live));
        });
      const before = there.simulator.clock.now();
      await cleanUp(there, [], { hasSet: setting, patient: true });
      expect(there.simulator.clock.now() - before).toBeLessThan(10_000);
    }
  });

  test('is waited for no longer than its lease lasts, should that be renewed', async () => {
    await using there = await open({
      leases: { ...lease(own), ...lease(live, { setting: golden, expiresAt: now + 60_000 }) },
      here: { keys: { golden: {} } },
    });
    const { data } = there.imageIn(region, amiId);
    there.simulator.onCall(({ action }) => {
      const Value = lease(live, { setting: golden, expiresAt: there.simulator.clock.now() + 300_000 })[leaseKey(live)];
      if (action === 'DescribeImages')
        data.Tags = data.Tags.map((tag) => (tag.Key === leaseKey(live) ? { ...tag, Value } : tag));
    });
    const before = there.simulator.clock.now();
    await cleanUp(there, [], { hasSet: golden, patient: true });
    expect(there.simulator.clock.now() - before).toBeLessThan(100_000);
    expect(tagKeysOf(there)).toEqual(['team', leaseKey(live)]);
  });
});

describe('another run that lives', () => {
  const leases = { ...lease(own), ...lease(live) };

  test('that can’t be seen on the second look is taken to live', async () => {
    await using there = await open({ leases });
    const code = 'UnauthorizedOperation';
    there.simulator.addFault({
      ...{ kind: 'refusal', code, action: 'DescribeImages', holds: `ImageId.1=${amiId}`, nth: 2 },
    });
    const { failed, stays } = await cleanUp(there, []);
    expect(failed).toEqual([expect.stringContaining(`Reading ${amiId} in ${account}: `)]);
    expect(stays).toEqual([expect.stringContaining(`another run on ${amiId} uses it`)]);
    expect(there.images(region)).toEqual(['golden', copyName]);
    expect(tagKeysOf(there)).toEqual(['team', leaseKey(live), leaseKey(own)]);
  });

  test('has each encrypted copy told that stays', async () => {
    const second = encryptedCopyName(amiId, keyArnOf(account, region, 'other'));
    const amis = [copyName, second].map((name) => ({
      ...{ name, attributes, tags: marks },
      volumes: [{ device: '/dev/xvda', tags: marks }],
    }));
    await using there = await open({ leases, here: { keys: { golden: {} }, amis } });
    const ids = [copyId, amiIdOf(account, region, second)];
    expect((await cleanUp(there, [])).stays).toEqual([
      `${ids.join(', ')} in ${account}/${region} stays: another run on ${amiId} uses it, and takes it back`,
    ]);
  });

  test('without an encrypted copy has none that stays', async () => {
    await using there = await open({ leases, here: { keys: { golden: {} } } });
    expect(await cleanUp(there, [])).toEqual(nothing);
  });

  test('keeps the encrypted copy, its shares, its grants and its lease', async () => {
    const shared = { ...sharesBy(own, target, stranger), ...sharesBy(live, target, other) };
    await using there = await open({ leases, here: withCopy([target, other, stranger], shared) });
    const theirs = grant(there, grantName(amiId, live));
    expect(await cleanUp(there, [{ keyArn, grantId: grant(there, grantName(amiId, own)) }])).toEqual({
      ...nothing,
      done: expect.arrayContaining(['took back 1 share', 'revoked 1 grant']),
      stays: [
        expect.stringMatching(/^snap-\w+ in .* stays shared with 222222222222: another run needs it$/),
        `${copyId} in ${account}/${region} stays: another run on ${amiId} uses it, and takes it back`,
      ],
    });
    expect(grantsIn(there)).toEqual([theirs]);
    expect(there.images(region)).toEqual(['golden', copyName]);
    const [, copied] = there.snapshots(region);
    expect([...(copied?.shares ?? [])]).toEqual([target, other]);
    expect(copied?.data.Tags.map(({ Key }) => Key)).toEqual([
      ...Object.keys(marks),
      ...Object.keys(sharesBy(live, target)),
    ]);
    expect(tagKeysOf(there)).toEqual(['team', leaseKey(live)]);
  });

  test('keeps its shares of the encrypted image itself, by which CopyImage gets at it', async () => {
    const shared = { ...sharesBy(own, target), ...sharesBy(live, other) };
    const image = {
      name: copyName,
      attributes,
      volumes: [{ device: '/dev/xvda', copied, tags: marks }],
      tags: { ...marks, ...shared },
      launchPermissions: [target, other],
    };
    await using there = await open({ leases, here: { keys: { golden: {} }, amis: [image] } });
    expect((await cleanUp(there, [])).done).toEqual(['took back 1 share']);
    expect([...there.imageIn(region, copyId).launch]).toEqual([other]);
  });

  test('is not taken for this one by post, whose lease is gone', async () => {
    await using there = await open({ leases: lease(live) });
    expect((await cleanUp(there, undefined)).failed).toEqual([]);
    expect(there.writes().filter(({ action }) => action === 'CreateTags')).toEqual([]);
    expect(tagKeysOf(there)).toEqual(['team', leaseKey(live)]);
  });

  test('keeps loose snapshots too', async () => {
    const amis = [{ name: 'loose', volumes: [{ device: '/dev/xvda', copied: encrypted, tags: marks }] }];
    await using there = await open({ leases, here: { keys: { golden: {} }, amis } });
    there.imageIn(region, amiIdOf(account, region, 'loose')).deregisteredAt = Date.now();
    const { stays } = await cleanUp(there, []);
    expect(there.snapshots(region)).toHaveLength(2);
    expect(stays).toEqual([expect.stringContaining(`${there.snapshots(region)[1]?.data.SnapshotId} in `)]);
  });

  test('that ends at the same time is seen on a second look: the last takes back what both needed', async () => {
    const shared = { ...sharesBy(own, target), ...sharesBy(live, other) };
    await using there = await open({ leases, here: withCopy([target, other], shared) });
    const theirs = grant(there, grantName(amiId, live));
    const { data } = there.imageIn(region, amiId);
    let looks = 0;
    there.simulator.onCall(({ action, request }) => {
      if (action !== 'DescribeImages' || !String(request.ImageIds).includes(amiId)) return;
      looks += 1;
      // After the first look, which sees it alive.
      if (looks === 1)
        data.Tags = data.Tags.map((tag) => (tag.Key === leaseKey(live) ? { ...tag, Value: '0 1 - 0 - - -' } : tag));
    });
    const before = there.simulator.clock.now();
    const { failed, stays } = await cleanUp(there, []);
    expect([failed, stays]).toEqual([[], []]);
    expect([there.images(region), there.snapshots(region).length, tagKeysOf(there)]).toEqual([['golden'], 1, ['team']]);
    expect(grantsIn(there)).not.toContain(theirs);
    expect(there.simulator.clock.now() - before).toBeGreaterThanOrEqual(3000);
  });

  test('that does not live any more at the second look has all taken back', async () => {
    const dying = { ...lease(own), ...lease(live, { expiresAt: now + 2000 }) };
    const shared = { ...sharesBy(own, target), ...sharesBy(live, other) };
    await using there = await open({ leases: dying, here: withCopy([target, other], shared) });
    const { failed, stays } = await cleanUp(there, []);
    expect([failed, stays]).toEqual([[], []]);
    expect([there.images(region), tagKeysOf(there)]).toEqual([['golden'], ['team']]);
  });

  test.each([
    ['has time waits until the lease has expired, and takes all back', true],
    ['has none leaves what it may need', false],
  ])('as an earlier attempt of the same workflow run: one that %s', async (_, patient) => {
    const earlier = { ...lease(own), ...lease(live, { runId: '4711', attempt: 1, expiresAt: now + 100_000 }) };
    await using there = await open({ leases: earlier });
    const reader: Releasing['reader'] = (time) =>
      readerOf({ machine: thisMachine() }, { runId: '4711', runAttempt: 2 }, time);
    const before = there.simulator.clock.now();
    expect((await cleanUp(there, [], { patient, reader })).failed).toEqual([]);
    expect(there.images(region)).toEqual(patient ? ['golden'] : ['golden', copyName]);
    expect(tagKeysOf(there)).toEqual(patient ? ['team'] : ['team', leaseKey(live)]);
    expect(there.simulator.clock.now() - before > 60_000).toBe(patient);
  });

  test('of nobody is no reason to read the policies of keys, or the source’s own shares', async () => {
    await using there = await open({ leases: bothLeases, here: { keys: { golden: {} } } });
    await cleanUp(there, []);
    expect(there.simulator.calls.filter(({ action }) => action === 'GetKeyPolicy')).toEqual([]);
    await using alone = await open({ here: { keys: { golden: {} } } });
    await cleanUp(alone, []);
    const ofAmi = ({ action, request }: { action: string; request: Record<string, unknown> }) =>
      action === 'DescribeImages' && String(request.ImageIds).includes(amiId);
    expect(alone.simulator.calls.filter(ofAmi)).toHaveLength(1);
  });

  test('of nobody costs no second look', async () => {
    // Without an encrypted copy, whose snapshots would be freed late.
    await using there = await open({ here: { keys: { golden: {} } } });
    const before = there.simulator.clock.now();
    await cleanUp(there, []);
    expect(there.simulator.clock.now() - before).toBeLessThan(3000);
  });
});

describe('a run that died', () => {
  test('has all taken back by the next: grants, shares of whatever snapshot, encrypted copies, its lease', async () => {
    const leases = { ...lease(own), ...lease(dead, { regions: [hub] }) };
    await using there = await open({
      leases,
      volume: { sharedWith: [target, stranger], tags: sharesBy(dead, target) },
      here: withCopy([target], sharesBy(dead, target)),
      there: withCopy([target], sharesBy(dead, target)),
    });
    const made = [{ keyArn, grantId: grant(there, grantName(amiId, own)) }];
    grant(there, grantName(amiId, dead));
    const { failed } = await cleanUp(there, made);
    expect(failed).toEqual([]);
    expect(grantsIn(there)).toEqual([]);
    expect(sharesIn(there)).toEqual([[stranger]]);
    expect([there.images(region), there.images(hub)]).toEqual([['golden'], []]);
    expect(there.snapshots(hub)).toEqual([]);
    expect(tagKeysOf(there)).toEqual(['team']);
  });

  test('is known by the ledger alone where post cleans up: grants are found by their name', async () => {
    await using there = await open();
    grant(there, grantName(amiId, own));
    grant(there, grantName(amiId, own));
    const { done, failed } = await cleanUp(there, undefined);
    expect(failed).toEqual([]);
    expect(done).toContain(`revoked 2 grants that an earlier run left on ${keyArn}`);
    expect(grantsIn(there)).toEqual([]);
    expect(tagKeysOf(there)).toEqual(['team']);
  });

  test('that never came to write its lease gets none from post', async () => {
    await using there = await open({ leases: {} });
    expect((await cleanUp(there, undefined)).failed).toEqual([]);
    expect(there.writes().filter(({ action }) => action === 'CreateTags')).toEqual([]);
    expect(there.images(region)).toEqual(['golden']);
  });
});

describe("a share of the source's own snapshot that a tag says a dead run made", () => {
  const volume = { sharedWith: [target, stranger], tags: sharesBy(dead, target, stranger) };
  const given = { leases: bothLeases, volume, here: { keys: { golden: {} } } };
  const stays = (there: Account, ...accounts: string[]) =>
    `${there.snapshots(region)[0]?.data.SnapshotId} in ${account}/${region} stays shared with ${accounts.join(', ')}: a tag says that a run which died shared it, and nothing else does, so it is left alone. What to do: if nobody needs it, take it back`;
  const shareTagsIn = (there: Account) => there.snapshots(region)[0]?.data.Tags.map(({ Key }) => Key);

  test.each([
    ['no grant', undefined],
    ["another's grant", 'backup'],
    ["a live run's grant", grantName(amiId, live)],
    ["a grant of that lease on another AMI's account", grantName('ami-1', dead)],
  ])('stays with %s, and is told; the lease goes all the same', async (_, name) => {
    await using there = await open(given);
    const left = grant(there, name);
    const report = await cleanUp(there, []);
    expect(report).toEqual({ ...nothing, stays: [stays(there, target, stranger)] });
    expect([sharesIn(there), grantsIn(there), tagKeysOf(there)]).toEqual([[[target, stranger]], [left], ['team']]);
    expect(shareTagsIn(there)).toEqual(Object.keys(volume.tags));
  });

  test('is taken back from the account that a grant of its lease is for, and from no other', async () => {
    await using there = await open(given);
    grant(there, grantName(amiId, dead));
    const report = await cleanUp(there, []);
    expect(report.failed).toEqual([]);
    expect(report.done).toEqual(['took back 1 share', `revoked 1 grant that an earlier run left on ${keyArn}`]);
    expect(report.stays).toEqual([stays(there, stranger)]);
    expect([sharesIn(there), grantsIn(there)]).toEqual([[[stranger]], []]);
  });

  test('is taken back from the accounts that a statement of its lease is for; the statement goes after', async () => {
    // KMS takes no statement for an account that there isn't: here there is only one.
    const sharedWith = [account, stranger];
    await using there = await open({ ...given, volume: { sharedWith, tags: sharesBy(dead, ...sharedWith) } });
    const key = there.key(region, 'golden');
    const before = key.policy as Policy;
    const lent = withStatements(before, { leaseId: live, partition: 'aws', accounts: [account] });
    key.policy = withStatements(lent, { leaseId: dead, partition: 'aws', accounts: [account] });
    const report = await cleanUp(there, [], { keyAccess: 'policy', stated: [] });
    expect(report.failed).toEqual([]);
    expect(report.stays).toEqual([stays(there, stranger)]);
    expect([sharesIn(there), key.policy]).toEqual([[[stranger]], lent]);
    const actions = there.writes().map(({ action }) => action);
    expect(actions.indexOf('ModifySnapshotAttribute')).toBeLessThan(actions.indexOf('PutKeyPolicy'));
  });

  test('is nothing to tell where it is shared with nobody any more', async () => {
    await using there = await open({ ...given, volume: { ...volume, sharedWith: [] } });
    expect(await cleanUp(there, [])).toEqual(nothing);
  });

  test("is not taken back by the tag of the run's own lease alone; the ledger says what that shared", async () => {
    await using there = await open({ ...given, volume: { ...volume, tags: sharesBy(own, target, stranger) } });
    const id = there.snapshots(region)[0]?.data.SnapshotId ?? '';
    const report = await cleanUp(there, [], { shares: [{ region, resources: [id], accounts: [target] }] });
    expect(sharesIn(there)).toEqual([[stranger]]);
    expect(report.stays).toEqual([stays(there, stranger)]);
  });
});

describe('a share that more than one lease tells of', () => {
  const none = { keys: { golden: {} } };
  const idIn = (there: Account) => there.snapshots(region)[0]?.data.SnapshotId ?? '';
  const tagsIn = (there: Account) => there.snapshots(region)[0]?.data.Tags.map(({ Key }) => Key);

  test('is taken back by what the run has written down; what a dead run’s tag alone says stays, as the tag', async () => {
    const tags = { ...sharesBy(own, target), ...sharesBy(dead, target, other, stranger) };
    const volume = { sharedWith: [target, other, stranger], tags };
    await using there = await open({ leases: bothLeases, volume, here: none });
    const report = await cleanUp(there, [], { shares: [{ region, resources: [idIn(there)], accounts: [target] }] });
    expect([report.failed, report.done, sharesIn(there)]).toEqual([[], ['took back 1 share'], [[other, stranger]]]);
    expect(report.stays).toEqual([expect.stringContaining(`stays shared with ${other}, ${stranger}: a tag says`)]);
    expect(tagsIn(there)).toEqual(Object.keys(sharesBy(dead, target)));
  });

  test('is not taken back for a dead run because another dead run gave the account the use of a key', async () => {
    const second = 'eeeeeeeeeeee';
    const leases = { ...bothLeases, ...lease(second, { expiresAt: now - 1000 }) };
    const volume = { sharedWith: [target], tags: sharesBy(second, target) };
    await using there = await open({ leases, volume, here: none });
    grant(there, grantName(amiId, dead));
    const { stays } = await cleanUp(there, []);
    expect([sharesIn(there), stays.length, grantsIn(there)]).toEqual([[[target]], 1, []]);
  });

  test('has its tag taken off though that is not seen yet, and no other lease’s', async () => {
    await using there = await open({ leases: bothLeases, volume: { sharedWith: [target] }, here: none });
    await cleanUp(there, [], { shares: [{ region, resources: [idIn(there)], accounts: [target] }] });
    const taken = there.simulator.calls.find(
      ({ action, request }) => action === 'DeleteTags' && String(request.Resources).includes('snap-'),
    );
    expect(taken?.request.Tags).toEqual(Object.keys(sharesBy(own, target)).map((Key) => ({ Key })));
  });

  test('stays told where AWS doesn’t say whom the snapshot is shared with', async () => {
    const volume = { sharedWith: [target], tags: sharesBy(dead, target) };
    await using there = await open({ leases: bothLeases, volume, here: none });
    there.simulator.addFault({ kind: 'refusal', code: 'UnauthorizedOperation', action: 'DescribeSnapshotAttribute' });
    const { failed, stays } = await cleanUp(there, []);
    expect([failed, stays.length]).toEqual([[], 1]);
  });
});

describe('the lease of a run that died, which may have made encrypted copies elsewhere', () => {
  const recent = now - 3_600_000;
  const leases = { ...lease(own), ...lease(dead, { since: recent, regions: [hub] }) };

  test.each([
    ['they are removed', {}, {}],
    ['they are kept', { keepIntermediates: true }, {}],
    ['another run uses them', {}, lease(live)],
    ['there are none', {}, undefined],
  ])('goes where %s', async (_, over, others) => {
    await using there = await open({
      leases: { ...leases, ...others },
      here: { keys: { golden: {} } },
      there: others === undefined ? { keys: { golden: {} } } : withCopy([]),
    });
    expect((await cleanUp(there, [], over)).failed).toEqual([]);
    expect(tagKeysOf(there)).not.toContain(leaseKey(dead));
  });
});

describe('the lease of a run that died', () => {
  const [near, far] = [`${target}/eu-west-1`, `${other}/us-west-2`];
  const open2 = (over: Parameters<typeof lease>[1]) =>
    open({ leases: { ...lease(own), ...lease(dead, over) }, here: { keys: { golden: {} } } });
  const recent = now - 3_600_000;

  test('goes with whoever reaches all its targets', async () => {
    await using there = await open2({ since: recent, targets: targetMarks([near, far]) });
    await cleanUp(there, [], { reached: [near] });
    expect(tagKeysOf(there)).toEqual(['team', leaseKey(dead)]);
    await cleanUp(there, [], { reached: [far, near], leased: false });
    expect(tagKeysOf(there)).toEqual(['team']);
  });

  test('goes when it is older than any job, whoever comes by', async () => {
    const fiveDays = 5 * 24 * 3_600_000;
    const targets = targetMarks([far]);
    await using young = await open2({ since: now - fiveDays + 60_000, targets });
    await cleanUp(young, [], { reached: [near] });
    await using old = await open2({ since: now - fiveDays - 60_000, targets });
    await cleanUp(old, [], { reached: [near] });
    expect([tagKeysOf(young), tagKeysOf(old)]).toEqual([['team', leaseKey(dead)], ['team']]);
  });

  test("stays where it doesn't read as one, and nothing goes by it", async () => {
    const forged = { [leaseKey(dead)]: '0 0', [leaseKey('x')]: '0 1 - 0 - - -' };
    await using there = await open({ leases: { ...lease(own), ...forged }, here: withCopy([target], {}) });
    const left = grant(there, grantName(amiId, dead));
    expect((await cleanUp(there, [])).failed).toEqual([]);
    expect([grantsIn(there), tagKeysOf(there)]).toEqual([[left], ['team', ...Object.keys(forged)]]);
  });

  test('that names a region where nothing can be read makes nobody fail, and it is told', async () => {
    await using there = await open2({ since: recent, regions: ['eu-north-1'] });
    there.simulator.addFault({ kind: 'refusal', code: 'UnauthorizedOperation', region: 'eu-north-1' });
    const { failed, stays } = await cleanUp(there, []);
    expect(failed).toEqual([]);
    expect(stays.join('\n')).toMatch(
      /eu-north-1.* \(only a tag of a run that died says that it made something there\)/,
    );
    // Whoever can read there goes by it; the run's own lease doesn't stay for it, nor does one that is old.
    expect(tagKeysOf(there)).toEqual(['team', leaseKey(dead)]);
    await using old = await open2({ regions: ['eu-north-1'] });
    old.simulator.addFault({ kind: 'refusal', code: 'UnauthorizedOperation', region: 'eu-north-1' });
    await cleanUp(old, []);
    expect(tagKeysOf(old)).toEqual(['team']);
  });
});

describe('what only bears the tags of an encrypted copy', () => {
  test.each([
    ['is of another name', { name: 'mine', attributes }],
    ['comes from another AMI', { name: copyName, attributes: { ...attributes, SourceImageId: 'ami-0f' } }],
    ['comes from none', { name: copyName }],
  ])('is neither removed nor unshared: it %s', async (_, facts) => {
    const shared = { ...marks, ...sharesBy(own, target) };
    const volumes = [{ device: '/dev/xvda', sharedWith: [target], tags: shared }];
    const amis = [{ ...facts, volumes, tags: shared, launchPermissions: [target] }];
    await using there = await open({ here: { keys: { golden: {} }, amis } });
    expect(await cleanUp(there, [])).toEqual(nothing);
    expect(there.images(region)).toEqual(['golden', facts.name]);
    expect(sharesIn(there)).toEqual([[], [target]]);
  });

  test('does not bear the tag that says so: somebody has made it theirs', async () => {
    const tags = { [tagKeys.sourceAmi]: amiId };
    const volumes = [{ device: '/dev/xvda', copied, sharedWith: [target], tags }];
    await using there = await open({
      here: { keys: { golden: {} }, amis: [{ name: copyName, attributes, volumes, tags }] },
    });
    expect(await cleanUp(there, [])).toEqual(nothing);
    expect([there.images(region), sharesIn(there)]).toEqual([
      ['golden', copyName],
      [[], [target]],
    ]);
  });

  test('the source AMI is never removed, whatever it bears', async () => {
    await using there = await open({ leases: { ...lease(own), ...marks }, here: { keys: { golden: {} } } });
    await cleanUp(there, []);
    expect(there.images(region)).toEqual(['golden']);
    expect(there.snapshots(region)).toHaveLength(1);
  });
});

describe('an encrypted copy’s snapshot that an AMI of somebody else has by now', () => {
  const theirs = { name: 'theirs', volumes: [{ device: '/dev/xvda' }] };
  /** The AMI `theirs` has the snapshot of the other one. */
  function lend(there: Account, name: string) {
    const [of, to] = [name, 'theirs'].map((one) => there.imageIn(region, amiIdOf(account, region, one)).data);
    if (to && of) to.BlockDeviceMappings = of.BlockDeviceMappings;
    return of?.BlockDeviceMappings?.[0]?.Ebs?.SnapshotId ?? '';
  }

  test('stays with that, and is told', async () => {
    const here = withCopy([], {});
    await using there = await open({ here: { ...here, amis: [...(here.amis ?? []), theirs] } });
    const id = lend(there, copyName);
    const { failed, stays } = await cleanUp(there, []);
    const other = amiIdOf(account, region, 'theirs');
    expect(failed).toEqual([]);
    expect(stays).toEqual([`${id} of ${copyId} in ${account}/${region} stays: ${other} has it by now`]);
    expect(there.snapshots(region).map(({ data }) => data.SnapshotId)).toContain(id);
  });

  test('is left alone where its own AMI is gone', async () => {
    const loose = { name: 'loose', volumes: [{ device: '/dev/xvda', copied: encrypted, tags: marks }] };
    await using there = await open({ here: { keys: { golden: {} }, amis: [loose, theirs] } });
    const id = lend(there, 'loose');
    there.removeImage(region, amiIdOf(account, region, 'loose'));
    expect(await cleanUp(there, [])).toEqual(nothing);
    expect(there.snapshots(region).map(({ data }) => data.SnapshotId)).toContain(id);
  });
});

describe('what could not be taken back', () => {
  const made = (there: Account) => [{ keyArn, grantId: grant(there, grantName(amiId, own)) }];

  test.each([
    ['RevokeGrant', 'Revoking grants'],
    ['CreateTags', `Ending the lease on ${amiId}`],
    ['DescribeSnapshots', `Looking for shares in ${region}`],
    ['ModifySnapshotAttribute', 'Taking back shares of '],
    ['DeregisterImage', `Removing the encrypted copy ${copyId}`],
  ])('is told after a failing %s; the lease stays, for the next run to know', async (action, what) => {
    // Of the AMI itself, whose snapshot stays.
    const volume = { sharedWith: [target], tags: sharesBy(own, target) };
    const isShare = action === 'ModifySnapshotAttribute';
    await using there = await open(isShare ? { volume, here: { keys: { golden: {} } } } : {});
    const id = there.snapshots(region)[0]?.data.SnapshotId ?? '';
    const shares = isShare ? [{ region, resources: [id], accounts: [target] }] : [];
    there.refuse(action);
    const { failed } = await cleanUp(there, made(there), { shares });
    expect(failed).toHaveLength(1);
    expect(failed[0]).toContain(what);
    expect(failed[0]).toContain(` in ${account}: ${action} in ${account}/${region}: `);
    expect(tagKeysOf(there)).toEqual(expect.arrayContaining([leaseKey(own)]));
    expect(await cleanUp(there, undefined, { shares })).toMatchObject({ failed: [] });
    expect([there.images(region), tagKeysOf(there)]).toEqual([['golden'], ['team']]);
    expect(sharesIn(there)).toEqual([[]]);
  });

  test('of shares is told by the resource, and the others are taken back', async () => {
    const shared = { copied, sharedWith: [target], tags: { ...marks, ...sharesBy(own, target) } };
    const volumes = [1, 2, 3].map((one) => ({ device: `/dev/sd${one}`, ...shared }));
    const amis = [{ name: copyName, attributes, volumes, tags: marks }];
    await using there = await open({ here: { keys: { golden: {} }, amis } });
    const id = there.snapshots(region)[2]?.data.SnapshotId ?? '';
    there.simulator.addFault({ kind: 'refusal', code: 'InternalFault', action: 'ModifySnapshotAttribute', holds: id });
    const { done, failed } = await cleanUp(there, [], { keepIntermediates: true });
    expect(done).toEqual(['took back 2 shares']);
    expect(failed).toEqual([
      expect.stringContaining(`Taking back shares of ${id} in ${account}: ModifySnapshotAttribute`),
    ]);
    expect(sharesIn(there)).toEqual([[], [], [target], []]);
    expect(tagKeysOf(there)).toEqual(['team', leaseKey(own)]);
  });

  test('of shares is nothing where the resource is removed after all', async () => {
    await using there = await open();
    there.refuse('ModifySnapshotAttribute');
    expect((await cleanUp(there, [])).failed).toEqual([]);
    expect([there.images(region), there.snapshots(region).length, tagKeysOf(there)]).toEqual([['golden'], 1, ['team']]);
  });

  test('of the shares of an encrypted copy itself is nothing where that is removed', async () => {
    const shared = { ...marks, ...sharesBy(own, target) };
    const volumes = [{ device: '/dev/xvda', copied, tags: marks }];
    const image = { name: copyName, attributes, volumes, tags: shared, launchPermissions: [target] };
    await using there = await open({ here: { keys: { golden: {} }, amis: [image] } });
    there.refuse('ModifyImageAttribute');
    expect((await cleanUp(there, [])).failed).toEqual([]);
    expect(there.images(region)).toEqual(['golden']);
  });

  test('of shares is nothing where a loose snapshot is removed, too', async () => {
    const volume = {
      device: '/dev/xvda',
      copied: encrypted,
      sharedWith: [target],
      tags: { ...marks, ...sharesBy(own, target) },
    };
    await using there = await open({ here: { keys: { golden: {} }, amis: [{ name: 'loose', volumes: [volume] }] } });
    there.removeImage(region, amiIdOf(account, region, 'loose'));
    there.refuse('ModifySnapshotAttribute');
    expect((await cleanUp(there, [])).failed).toEqual([]);
    expect(there.snapshots(region)).toHaveLength(1);
  });

  test('because encrypted copies cannot be looked for, is told; the lease stays', async () => {
    await using there = await open();
    // Those who look for shares, and for the tags of what is shared, succeed.
    there.refuse('DescribeSnapshots', 3);
    const { failed } = await cleanUp(there, []);
    expect(failed).toEqual([expect.stringContaining(`Looking for encrypted copies in ${region} in ${account}: `)]);
    expect(tagKeysOf(there)).toEqual(['team', leaseKey(own)]);
  });

  test('of a dead run, because the AMI that it shared cannot be read, is told', async () => {
    await using there = await open({ leases: { ...lease(own), ...lease(dead) } });
    // The lease's look and the one for encrypted copies succeed.
    there.refuse('DescribeImages', 3);
    const { failed } = await cleanUp(there, []);
    expect(failed).toEqual([
      expect.stringContaining(`Looking for shares in ${region} in ${account}: DescribeImages in `),
    ]);
    expect(tagKeysOf(there)).toEqual(['team', leaseKey(dead), leaseKey(own)]);
  });

  test('of the lease itself is told', async () => {
    await using there = await open({ here: { keys: { golden: {} } } });
    there.refuse('DeleteTags');
    const { failed } = await cleanUp(there, []);
    expect(failed).toEqual([expect.stringContaining(`Removing leases from ${amiId} in ${account}: DeleteTags in `)]);
  });

  test.each([
    ['RevokeGrant', 'grant', `Revoking grants on ${keyArn}`],
    ['GetKeyPolicy', 'policy', `Reading the policy of ${keyArn}`],
  ] as const)('of a dead run’s access, since %s fails, is told by the key', async (action, keyAccess, what) => {
    await using there = await open({ leases: bothLeases, here: { keys: { golden: {} } } });
    grant(there, grantName(amiId, dead));
    there.refuse(action);
    const { failed } = await cleanUp(there, [], { keyAccess, stated: [] });
    expect(failed).toEqual([expect.stringContaining(`${what} in ${account}: ${action} in `)]);
    expect(tagKeysOf(there)).toContain(leaseKey(dead));
  });

  test('because the tags on what is shared cannot be read, is told by what that is', async () => {
    const shared = { copied, sharedWith: [target], tags: { ...marks, ...sharesBy(own, target) } };
    const volumes = [1, 2].map((one) => ({ device: `/dev/sd${one}`, ...shared }));
    await using there = await open({
      here: { keys: { golden: {} }, amis: [{ name: copyName, attributes, volumes, tags: marks }] },
    });
    const [, ...ids] = there.snapshots(region).map(({ data }) => data.SnapshotId);
    there.simulator.addFault({
      ...{ kind: 'refusal', code: 'UnauthorizedOperation', action: 'DescribeSnapshots', holds: 'SnapshotId.1=' },
    });
    const { failed } = await cleanUp(there, [], { keepIntermediates: true });
    expect(failed).toEqual([
      expect.stringContaining(`Reading the shares of ${[copyId, ...ids].join(', ')} in ${account}: `),
    ]);
    expect(sharesIn(there)).toEqual([[], [target], [target]]);
  });

  test('of grants found by name, and of a policy, is told by the key', async () => {
    await using there = await open();
    there.refuse('ListGrants');
    there.refuse('GetKeyPolicy');
    const { failed } = await cleanUp(there, undefined, { keyAccess: 'policy' });
    expect(failed.map((line) => line.replace(/ in .*/, '')).sort()).toEqual([
      `Looking for grants on ${keyArn}`,
      `Restoring the policy of ${keyArn}`,
    ]);
  });

  test('of loose snapshots is told by their IDs', async () => {
    const amis = [
      {
        name: 'loose',
        volumes: [1, 2].map((at) => ({
          device: `/dev/sd${at}`,
          copied: encrypted,
          tags: marks,
          lock: 'governance' as const,
        })),
      },
    ];
    await using there = await open({ here: { keys: { golden: {} }, amis } });
    there.imageIn(region, amiIdOf(account, region, 'loose')).deregisteredAt = Date.now();
    await there.simulator.clock.sleep(settledMs);
    const ids = there.snapshots(region).map(({ data }) => data.SnapshotId);
    const { failed } = await cleanUp(there, []);
    expect(failed).toEqual([expect.stringContaining(`Deleting ${ids.slice(1).join(', ')} in ${account}: `)]);
  });

  test('is everything but the grants where the leases cannot be read', async () => {
    await using there = await open();
    there.refuse('DescribeImages');
    const shares = [{ region, resources: ['snap-1'], accounts: [target] }];
    const known = made(there).map((one) => ({ ...one, account: target }));
    there.simulator.addFault({ kind: 'refusal', code: 'AccessDeniedException', action: 'ListGrants' });
    const { done, failed, unknown } = await cleanUp(there, known, { shares });
    expect(done).toEqual(['revoked 1 grant']);
    expect(failed).toEqual([
      expect.stringContaining(`Reading ${amiId} in ${account}: `),
      `snap-1 in ${account}/${region} may still be shared with ${target}`,
    ]);
    expect(unknown).toEqual([expect.stringContaining(`whether others made grants on ${keyArn} is not known`)]);
    expect(grantsIn(there)).toEqual([]);
    expect(there.images(region)).toEqual(['golden', copyName]);
  });

  test.each([
    ['a run that holds no lease', [], false],
    ['post', undefined, true],
  ])('is nothing where a grant was revoked already, or the AMI is gone: for %s', async (_, known, leased) => {
    await using there = await open();
    there.imageIn(region, amiId).deregisteredAt = Date.now();
    const made = known && [{ keyArn, grantId: 'gone' }];
    expect((await cleanUp(there, made, { leased })).failed).toEqual([]);
    expect(there.images(region)).toEqual([]);
    expect(sharesIn(there)).toEqual([[]]);
    // Of nothing, no tag is taken off.
    there.removeImage(region, amiId);
    const before = there.simulator.calls.length;
    expect((await cleanUp(there, made, { leased })).failed).toEqual([]);
    expect(there.simulator.calls.slice(before).filter(({ action }) => action === 'DeleteTags')).toEqual([]);
  });

  test.each([
    ['a snapshot', (there: Account) => there.removeSnapshot(region, 1)],
    ['an image', (there: Account) => there.removeImage(region, copyId)],
    ['an image that AWS still tells of', (there: Account) => there.deregister(region, copyId)],
  ])('is nothing where another run removes it meanwhile: %s', async (_, remove) => {
    const shared = sharesBy(own, target);
    const image = {
      name: copyName,
      attributes,
      volumes: [{ device: '/dev/xvda', copied, tags: { ...marks, ...shared }, sharedWith: [target] }],
      tags: { ...marks, ...shared },
      launchPermissions: [target],
    };
    await using there = await open({ here: { keys: { golden: {} }, amis: [image] } });
    // Between the look at its tags and the change of its shares.
    there.simulator.onCall(({ action, request }) => {
      if (action === 'DescribeImages' && String(request.ImageIds).includes(copyId)) remove(there);
    });
    expect((await cleanUp(there, [])).failed).toEqual([]);
    expect(there.images(region)).toEqual(['golden']);
    expect(there.snapshots(region)).toHaveLength(1);
    expect(tagKeysOf(there)).toEqual(['team']);
  });
});

describe('in a target', () => {
  const at = 'eu-west-1';
  const half = { [tagKeys.sourceAmi]: amiId, [tagKeys.sourceSnapshot]: sourceSnapshot, [tagKeys.lease]: dead };
  const copy = copyDescription(sourceSnapshot, amiId, { account, region });
  const volume = (tags: Record<string, string>, device = '/dev/xvda') => ({ device, copied: copy, tags });
  const releaseOf = (there: Account, ...leases: string[]) =>
    releaseFrom(there.at(at), {
      imageId: amiId,
      gone: new Map(leases.map((id) => [id, began])),
      finished: [],
      parents: async () => new Map(),
    });
  const openTarget = (amis: RegionScenario['amis']) => openAccount(target, { [at]: { amis: amis ?? [] } });
  const loosen = (there: Account, name: string) => {
    there.imageIn(at, amiIdOf(target, at, name)).deregisteredAt = Date.now();
  };

  test('a claimed lease that is a wildcard stands for no other', async () => {
    await using there = await openTarget([{ name: 'half', volumes: [volume(half)], tags: half }]);
    expect((await releaseOf(there, '*')).done).toEqual([]);
    expect([there.images(at).length, there.snapshots(at).length]).toEqual([1, 1]);
  });

  test('what a run began and did not finish goes: the image with its snapshots, and copies that no image has', async () => {
    await using there = await openTarget([
      { name: 'begun', volumes: [volume(half)], tags: half },
      { name: 'loose', volumes: [1, 2].map((one) => volume(half, `/dev/sd${one}`)) },
    ]);
    loosen(there, 'loose');
    const [, first, second] = there.snapshots(at).map(({ data }) => data.SnapshotId);
    expect(await releaseOf(there, own, dead)).toEqual({
      ...nothing,
      done: [
        `removed ${amiIdOf(target, at, 'begun')} in ${target}/${at}`,
        `deleted ${first}, ${second} in ${target}/${at}`,
      ],
    });
    expect([there.images(at), there.snapshots(at)]).toEqual([[], []]);
  });

  /** What is in the target, none of which is to go. */
  async function expectLeft(amis: RegionScenario['amis'], report: Readonly<Record<string, unknown>>) {
    await using there = await openTarget(amis);
    const before = [there.images(at), there.snapshots(at).map(({ data }) => data)];
    expect(await releaseOf(there, dead)).toEqual({ ...nothing, ...report });
    expect([there.images(at), there.snapshots(at).map(({ data }) => data)]).toEqual(before);
    expect(there.writes()).toEqual([]);
  }
  const begunId = amiIdOf(target, at, 'begun');
  const left = (why: string) => `${begunId} in ${target}/${at} is left alone: ${why}`;

  test.each([
    [
      'its snapshot is none of ours',
      { volumes: [{ device: '/dev/xvda' }] },
      /^its snapshot snap-\w+ was not copied from ami-\w+ by this action$/,
    ],
    [
      'it was copied from another AMI',
      { volumes: [volume({})], attributes: { SourceImageId: 'ami-0f' } },
      /^it was copied from ami-0f, not from ami-\w+$/,
    ],
    [
      'it was made of an instance',
      { volumes: [volume({})], attributes: { SourceInstanceId: 'i-01' } },
      /^it was made of the instance i-01$/,
    ],
    [
      'it is older than the run',
      { volumes: [volume({})], attributes: { CreationDate: '2026-10-30T00:00:00.000Z' } },
      /^it is older than the run whose lease it bears$/,
    ],
  ])('an AMI with all the tags stays, and is told, where %s', async (_, facts, why) => {
    const foreign = [expect.stringMatching(new RegExp(`^${left(why.source.slice(1, -1))}$`))];
    await expectLeft([{ name: 'begun', tags: half, ...facts }], { foreign });
  });

  test('a snapshot with all the tags stays, and is told, by its description and by its age', async () => {
    const backup = { device: '/dev/xvda', tags: half };
    await using there = await openTarget([{ name: 'loose', volumes: [backup, volume(half, '/dev/xvdb')] }]);
    loosen(there, 'loose');
    const [first, second] = there.snapshots(at).map(({ data }) => data);
    if (second) second.StartTime = new Date('2026-10-30T00:00:00Z');
    const { done, foreign } = await releaseOf(there, dead);
    expect(done).toEqual([]);
    expect([...foreign].sort()).toEqual(
      [
        `${first?.SnapshotId} in ${target}/${at} is left alone: its description is not that of a copy by this action`,
        `${second?.SnapshotId} in ${target}/${at} is left alone: it is older than the run whose lease it bears`,
      ].sort(),
    );
    expect(there.snapshots(at)).toHaveLength(2);
  });

  test("what is of another source AMI is that AMI's runs' to see to", async () => {
    const others = { ...half, [tagKeys.sourceAmi]: 'ami-0f' };
    await expectLeft([{ name: 'begun', volumes: [volume(others)], tags: others }], {});
  });

  test('an AMI that names no snapshots yet is left to the next run, and told as left behind', async () => {
    const failed = [`${left('it names no snapshots yet')}; the next run that makes the AMI sees to it`];
    await expectLeft([{ name: 'begun', volumes: [], tags: half, attributes: { State: 'pending' } }], { failed });
  });

  describe('copied through an encrypted copy', () => {
    const tags = { ...half, [tagKeys.encryptedCopy]: 'ami-0e' };
    const attributes = { SourceImageId: 'ami-0e', SourceImageRegion: region };
    const ofCopy = `Copied for DestinationAmi ${begunId} from SourceAmi ami-0e for SourceSnapshot snap-0e. Task created on 1.`;
    const begun = { name: 'begun', attributes, volumes: [{ device: '/dev/xvda', copied: ofCopy, tags }], tags };
    const parents = new Map([['ami-0e', amiId]]);

    test('stays, and is told, where nothing but a tag ties it to the source', async () => {
      const why = `it was copied from ami-0e, and only a tag says that this was an encrypted copy of ${amiId}`;
      await using there = await openTarget([begun]);
      const { done, stays, foreign } = await releaseOf(there, dead);
      const id = there.snapshots(at)[0]?.data.SnapshotId;
      expect([done, foreign]).toEqual([[], []]);
      expect(stays).toEqual([
        left(why),
        `${id} in ${target}/${at} is left alone: it was copied with ami-0e, and only a tag says that this was an encrypted copy`,
      ]);
      expect([there.images(at), there.writes()]).toEqual([['begun'], []]);
    });

    test('goes where the encrypted copy is still there', async () => {
      await using there = await openTarget([begun]);
      const gone = new Map([[dead, began]]);
      await releaseFrom(there.at(at), {
        imageId: amiId,
        gone,
        finished: [],
        parents: async () => parents,
      });
      expect([there.images(at), there.snapshots(at)]).toEqual([[], []]);
    });

    test('goes where AWS tells that it comes from the source', async () => {
      const between = {
        id: 'ami-0e',
        name: 'between',
        volumes: [],
        attributes: { SourceImageId: amiId, SourceImageRegion: region },
      };
      await using there = await openAccount(target, { [at]: { amis: [begun] }, [region]: { amis: [between] } });
      await releaseOf(there, dead);
      expect([there.images(at), there.snapshots(at)]).toEqual([[], []]);
    });
  });

  test('the copies of a finished AMI stay, and bear no lease any more', async () => {
    await using there = await openTarget([{ name: 'finished', volumes: [volume(half)] }]);
    expect(await releaseOf(there, dead)).toEqual(nothing);
    expect(there.images(at)).toEqual(['finished']);
    expect(there.snapshots(at).map(({ data }) => data.Tags)).toEqual([
      [
        { Key: tagKeys.sourceAmi, Value: amiId },
        { Key: tagKeys.sourceSnapshot, Value: sourceSnapshot },
      ],
    ]);
  });

  test("others' copies are left alone", async () => {
    const theirs = { ...half, [tagKeys.lease]: live };
    await using there = await openTarget([
      { name: 'begun', volumes: [volume(theirs)], tags: theirs },
      { name: 'loose', volumes: [volume(theirs)] },
      { name: 'golden', volumes: [{ device: '/dev/xvda', tags: {} }] },
    ]);
    loosen(there, 'loose');
    expect(await releaseOf(there, dead, own)).toEqual(nothing);
    expect(there.snapshots(at)).toHaveLength(3);
    expect(there.writes()).toEqual([]);
    // With no copy found, nobody is asked whose it might be.
    expect(there.simulator.calls.filter(({ action }) => action === 'DescribeImages')).toHaveLength(1);
  });

  describe('by the run that ends', () => {
    const started = { ...half, [tagKeys.lease]: own };
    const volumes = [volume(started)];

    /** The source account, and a target in which copies of three snapshots were begun. */
    async function openBoth(states: readonly ('pending' | 'completed' | 'error')[] = []) {
      const source = await open();
      const there = await openTarget([
        { name: 'begun', volumes, tags: started },
        ...states.map((_, index) => ({ name: `loose-${index}`, volumes })),
      ]);
      for (const index of states.keys()) loosen(there, `loose-${index}`);
      const loose = there.snapshots(at).slice(1);
      for (const [index, { data }] of loose.entries()) data.State = states[index] ?? 'completed';
      const ids = loose.map(({ data }) => data.SnapshotId);
      return {
        source,
        there,
        ids,
        [Symbol.asyncDispose]: () => Promise.all([source, there].map(close)).then(() => {}),
      };
    }
    const close = (one: Account) => one[Symbol.asyncDispose]();
    const leaseIn = (there: Account) =>
      there.snapshots(at).map(({ data }) => data.Tags.find(({ Key }) => Key === tagKeys.lease)?.Value);

    test('half-made images and copies go, whatever else does', async () => {
      await using both = await openBoth(['pending', 'completed']);
      const { source, there, ids } = both;
      const { done, failed, stays } = await cleanUp(source, [], { targets: [there.at(at)] });
      expect([failed, stays]).toEqual([[], []]);
      expect(done).toEqual(
        expect.arrayContaining([
          `removed ${amiIdOf(target, at, 'begun')} in ${target}/${at}`,
          `deleted ${ids.join(', ')} in ${target}/${at}`,
        ]),
      );
      expect([there.images(at), there.snapshots(at), tagKeysOf(source)]).toEqual([[], [], ['team']]);
    });

    test('what could not be removed in an optional target is allowed; the lease tells the next run of it', async () => {
      for (const optional of [new Set([`${target}/${at}`]), new Set([`${other}/${at}`])]) {
        await using both = await openBoth();
        const { source, there } = both;
        there.refuse('DeregisterImage');
        const report = await cleanUp(source, [], { targets: [there.at(at)], optional });
        const told = [expect.stringMatching(`^Removing half-made copies in ${target}/${at}: `)];
        const isOptional = optional.has(`${target}/${at}`);
        expect([report.allowed, report.failed]).toEqual(isOptional ? [told, []] : [[], told]);
        expect(tagKeysOf(source)).toEqual(['team', leaseKey(own)]);
      }
      await using both = await openBoth();
      const { done, allowed } = await cleanUp(both.source, [], {
        ...{ targets: [both.there.at(at)], optional: new Set([`${target}/${at}`]) },
      });
      expect(allowed).toEqual([]);
      expect(done).toContain(`removed ${amiIdOf(target, at, 'begun')} in ${target}/${at}`);
      expect(tagKeysOf(both.source)).toEqual(['team']);
    });

    test('a copy that can’t be deleted in an optional target is told by the lease, too', async () => {
      await using both = await openBoth(['completed']);
      const { source, there } = both;
      const holds = both.ids.join();
      there.simulator.addFault({ kind: 'refusal', code: 'OperationNotPermitted', action: 'DeleteSnapshot', holds });
      const optional = new Set([`${target}/${at}`]);
      const { allowed, failed } = await cleanUp(source, [], { targets: [there.at(at)], optional });
      expect([allowed.length, failed, tagKeysOf(source)]).toEqual([1, [], ['team', leaseKey(own)]]);
    });

    test.each([
      ['goes with it', undefined],
      ['is told by the leases where it can’t', 'DeleteSnapshot'],
    ])('what another had begun that ends meanwhile %s', async (_, action) => {
      const leases = { ...lease(own), ...lease(live, { expiresAt: now + 2000 }) };
      await using source = await open({ leases, here: { keys: { golden: {} } } });
      const theirs = { ...half, [tagKeys.lease]: live };
      await using there = await openTarget([{ name: 'loose', volumes: [volume(theirs)] }]);
      loosen(there, 'loose');
      await there.simulator.clock.sleep(settledMs);
      if (action) there.simulator.addFault({ kind: 'refusal', code: 'OperationNotPermitted', action });
      const optional = new Set([`${target}/${at}`]);
      const { failed } = await cleanUp(source, [], { targets: [there.at(at)], patient: true, optional });
      const tags = action ? ['team', leaseKey(live), leaseKey(own)] : ['team'];
      expect([failed, there.snapshots(at).length, tagKeysOf(source)]).toEqual([[], action ? 1 : 0, tags]);
    });

    test('the snapshots of an AMI that was replaced long ago stay until the new one is right', async () => {
      await using source = await open({ leases: bothLeases, here: { keys: { golden: {} } } });
      const { Key = '', Value = '' } = replacedByTag({ imageId: amiId, lease: dead, at: began });
      const { [tagKeys.lease]: _, ...tags } = half;
      await using there = await openTarget([{ name: 'former', volumes: [volume({ ...tags, [Key]: Value })] }]);
      there.imageIn(at, amiIdOf(target, at, 'former')).deregisteredAt = began;
      const [former] = there.snapshots(at);
      if (former) former.data.StartTime = new Date(began);
      const { failed } = await cleanUp(source, [], { targets: [there.at(at)], patient: true });
      expect([failed, there.snapshots(at).length]).toEqual([
        [expect.stringContaining('of an AMI that was deregistered')],
        1,
      ]);
    });

    test('what was copied through the encrypted copy goes while that is there', async () => {
      await using source = await open();
      const id = amiIdOf(target, at, 'begun');
      const through = `Copied for DestinationAmi ${id} from SourceAmi ${copyId} for SourceSnapshot snap-0e. Task created on 1.`;
      const tags = { ...started, [tagKeys.encryptedCopy]: copyId };
      const facts = { SourceImageId: copyId, SourceImageRegion: region };
      const begun = {
        name: 'begun',
        attributes: facts,
        volumes: [{ device: '/dev/xvda', copied: through, tags }],
        tags,
      };
      await using there = await openTarget([begun]);
      const { failed, stays } = await cleanUp(source, [], { targets: [there.at(at)] });
      expect([failed, stays, there.images(at), there.snapshots(at)]).toEqual([[], [], [], []]);
      await using blind = await open();
      await using far = await openTarget([begun]);
      blind.simulator.addFault({
        ...{ kind: 'refusal', code: 'UnauthorizedOperation', action: 'DescribeImages', holds: 'intermediate' },
      });
      const report = await cleanUp(blind, [], { targets: [far.at(at)] });
      expect(new Set(report.failed.map((line) => line.replace(/: .*/s, '')))).toEqual(
        new Set([
          `Looking for encrypted copies in ${region} in ${account}`,
          `Looking for shares in ${region} in ${account}`,
        ]),
      );
      expect(far.images(at)).toEqual(['begun']);
    });

    test('what could not be removed is told, and the lease tells the next run of it', async () => {
      await using both = await openBoth();
      const { source, there } = both;
      there.refuse('DeregisterImage');
      const options = { targets: [there.at(at)] };
      const { failed } = await cleanUp(source, [], options);
      expect(failed).toEqual([expect.stringMatching(`^Removing half-made copies in ${target}/${at}: `)]);
      expect(tagKeysOf(source)).toEqual(['team', leaseKey(own)]);
      expect(await cleanUp(source, undefined, options)).toMatchObject({ failed: [] });
      expect([there.images(at), tagKeysOf(source)]).toEqual([[], ['team']]);
    });

    test.each([
      ['is cancelled leaves it, and waits for nothing', false],
      ['has time sees that nobody took it over, and removes it', true],
    ])('of what a dead one left, a run that %s', async (_, patient) => {
      await using source = await open({ leases: { ...lease(own), ...lease(dead) } });
      await using there = await openTarget([{ name: 'loose', volumes: [volume(half)] }]);
      loosen(there, 'loose');
      await there.simulator.clock.sleep(settledMs);
      const before = there.simulator.clock.now();
      const { failed } = await cleanUp(source, [], { targets: [there.at(at)], patient });
      expect([failed, there.snapshots(at).length]).toEqual([[], patient ? 0 : 1]);
      expect(there.simulator.clock.now() - before < 5000).toBe(!patient);
      expect(tagKeysOf(source)).toEqual(patient ? ['team'] : ['team', leaseKey(dead), leaseKey(own)]);
    });

    test.each([
      ['while another lives stays, which that may wait for', live, 'begun'],
      ['with nobody else there goes', own, ''],
    ])('an AMI that a dead one was making, %s', async (_, beside, left) => {
      await using source = await open({ leases: { ...bothLeases, ...lease(beside) } });
      await using there = await openTarget([{ name: 'begun', volumes: [volume(half)], tags: half }]);
      const { failed } = await cleanUp(source, [], { targets: [there.at(at)], patient: true });
      expect([failed, there.images(at).join()]).toEqual([[], left]);
      expect(tagKeysOf(source).includes(leaseKey(dead))).toBe(left !== '');
    });

    test('post waits at its last look to see that nobody took over what a dead one left, and not before', async () => {
      for (const isLast of [false, true]) {
        await using source = await open({ leases: bothLeases });
        await using there = await openTarget([{ name: 'loose', volumes: [volume(half)] }]);
        loosen(there, 'loose');
        await there.simulator.clock.sleep(settledMs);
        const before = there.simulator.clock.now();
        await cleanUp(source, undefined, { targets: [there.at(at)], isLast });
        expect(there.snapshots(at)).toHaveLength(isLast ? 0 : 1);
        expect(there.simulator.clock.now() - before > 25_000).toBe(isLast);
      }
    });

    describe('that had no time left', () => {
      test('copies that are on their way stay for a run that takes them over; half-made images and failed copies go', async () => {
        await using both = await openBoth(['pending', 'completed', 'error']);
        const { source, there, ids } = both;
        const [pending, completed, failed] = ids;
        const report = await cleanUp(source, [], { targets: [there.at(at)], keepPending: true });
        expect(report.failed).toEqual([]);
        expect(report.done).toEqual(expect.arrayContaining([`deleted ${failed} in ${target}/${at}`]));
        expect(there.images(at)).toEqual([]);
        expect(there.snapshots(at).map(({ data }) => data.SnapshotId)).toEqual([pending, completed]);
        // No lease that may be taken off tells whose they are.
        expect(leaseIn(there)).toEqual([endedLease, endedLease]);
        expect(report.goesOn[0]).toMatch(
          new RegExp(
            `^${pending} \\(\\d+%\\), ${completed} \\(100%\\) in ${target}/${at} go on being copied. What to do: run it again within a day, and it takes them over$`,
          ),
        );
      });

      test('the encrypted copy that they read from stays, and the lease with it; nobody gets at either', async () => {
        await using both = await openBoth(['pending']);
        const { source, there } = both;
        grant(source, grantName(amiId, own));
        const report = await cleanUp(source, [{ keyArn, grantId: undefined }], {
          targets: [there.at(at)],
          keepPending: true,
        });
        expect(report.failed).toEqual([]);
        expect(report.goesOn).toHaveLength(2);
        expect(report.goesOn[1]).toBe(
          `${copyId} in ${account}/${region} stays, since copies read from it. What to do: nothing, the next run on ${amiId} or a sweep takes it back`,
        );
        expect(source.images(region)).toEqual(['golden', copyName]);
        expect([sharesIn(source), grantsIn(source)]).toEqual([[[], []], []]);
        // The lease reads as ended, so that whoever comes next takes the encrypted copy back.
        const tag = source.imageIn(region, amiId).data.Tags.find(({ Key }) => Key === leaseKey(own));
        expect(tag?.Value).toMatch(/^0 /);
      });

      test('where no copy goes on, all is taken back', async () => {
        await using both = await openBoth(['error']);
        const { source, there } = both;
        const report = await cleanUp(source, [], { targets: [there.at(at)], keepPending: true });
        expect([report.failed, report.goesOn]).toEqual([[], []]);
        expect([source.images(region), tagKeysOf(source), there.snapshots(at)]).toEqual([['golden'], ['team'], []]);
      });

      test('post keeps the encrypted copy, though it sees no copy that reads from it', async () => {
        await using source = await open();
        const report = await cleanUp(source, undefined, { keepPending: true });
        expect(report).toEqual({ ...nothing, done: ['took back 1 share'], goesOn: [expect.stringContaining(copyId)] });
        expect([source.images(region), tagKeysOf(source)]).toEqual([
          ['golden', copyName],
          ['team', leaseKey(own)],
        ]);
        await using without = await open({ here: { keys: { golden: {} } } });
        expect(await cleanUp(without, undefined, { keepPending: true })).toEqual(nothing);
        expect(tagKeysOf(without)).toEqual(['team', leaseKey(own)]);
      });

      test('copies of runs that died go on, too', async () => {
        const leases = { ...lease(own), ...lease(dead) };
        await using source = await open({ leases });
        await using there = await openTarget([{ name: 'loose', volumes: [volume(half)] }]);
        loosen(there, 'loose');
        const { goesOn } = await cleanUp(source, [], { targets: [there.at(at)], keepPending: true });
        expect(goesOn).toHaveLength(2);
        expect(leaseIn(there)).toEqual([endedLease]);
      });

      test('post, which looks afterwards, leaves what the run left', async () => {
        await using both = await openBoth(['pending']);
        const { source, there } = both;
        const options = { targets: [there.at(at)], keepPending: true };
        await cleanUp(source, [], options);
        const report = await cleanUp(source, undefined, options);
        expect(report.failed).toEqual([]);
        expect(source.images(region)).toEqual(['golden', copyName]);
        expect([leaseIn(there), tagKeysOf(source)]).toEqual([[endedLease], ['team', leaseKey(own)]]);
      });
    });
  });

  test('what could not be removed is told', async () => {
    await using there = await openTarget([{ name: 'begun', volumes: [volume({})], tags: half }]);
    there.refuse('DeregisterImage');
    const { done, failed } = await releaseOf(there, dead);
    expect(done).toEqual([]);
    expect(failed).toEqual([
      expect.stringMatching(`^Removing half-made copies in ${target}/${at}: DeregisterImage in ${target}/${at}: `),
    ]);
  });
});
