import { describe, expect, test } from '@jest/globals';
import { amiIdOf } from '../simulator/scenario.ts';
import { dropLeases, endLease, isAlive, leasesOf, readerOf, takeLease, targetMarks } from '../src/lease.ts';
import { thisMachine } from '../src/machine.ts';
import { type Account, openAccount, renewals } from './account.ts';

const account = '111111111111';
const region = 'us-east-1';
const amiId = amiIdOf(account, region, 'golden');
const id = 'aaaaaaaaaaaa';
const machine = thisMachine();
const run = { runId: '4711', runAttempt: 2 };
const targets = ['222222222222/eu-west-1', '333333333333/eu-west-1'];
const request = { id, run, targets, regions: ['eu-west-1'], setting: () => undefined, machine };

function withAmi(tags: Record<string, string> = {}, policy?: object) {
  const amis = [{ name: 'golden', volumes: [{ device: '/dev/xvda' }], tags }];
  const given = policy && { policy: { Version: '2012-10-17', Statement: policy } };
  return openAccount(account, { [region]: { amis } }, given);
}

/** Fills the AMI with leases that expire so much later. */
function fill(there: Account, seconds: number): void {
  const expires = Math.floor(there.simulator.clock.now() / 1000) + seconds;
  there.imageIn(region, amiId).data.Tags = Array.from({ length: 50 }, (_, at) => ({
    Key: `share-encrypted-ami:lease:${String(at).padStart(12, '0')}`,
    Value: `${expires} ${expires - 400} 1 1 - - -`,
  }));
}

const tagsOf = ({ imageIn }: Account) => imageIn(region, amiId).data.Tags;

/** Takes a lease, and gives it with what was warned of, and whether it was said that the AMI would be written to. */
async function take(there: Account, imageId = amiId) {
  const warnings: string[] = [];
  const written: (string | number)[] = [];
  const lease = await takeLease({
    ...request,
    place: there.at(region),
    imageId,
    warn: (message) => warnings.push(message),
    beforeWrite: (since) => written.push(...there.writes().map(({ action }) => action), since),
  });
  return { lease, warnings, written };
}

describe('a lease that a run takes', () => {
  test('is on the AMI, lives for five minutes, and is told of before it is written', async () => {
    await using there = await withAmi({ team: 'platform' });
    const began = there.simulator.clock.now();
    const { lease, warnings, written } = await take(there);
    await lease?.stop();
    expect(warnings).toEqual([]);
    // Nothing was written before, but the time from which on the run makes things was told.
    expect(written).toHaveLength(1);
    const since = Number(written[0]);
    expect(Math.abs(since - began)).toBeLessThan(5000);
    const [record] = leasesOf(tagsOf(there));
    expect(record).toMatchObject({ since: Math.floor(since / 1000) * 1000, targets: targetMarks(targets) });
    const { name, isRunning } = machine;
    expect(record).toMatchObject({ id, runId: '4711', attempt: 2, machine: name, regions: ['eu-west-1'] });
    expect(name === '' ? record?.process : isRunning(record?.process ?? '')).toBe(name === '' ? '' : true);
    const seconds = ((record?.expiresAt ?? 0) - there.simulator.clock.now()) / 1000;
    expect(seconds).toBeGreaterThan(290);
    expect(seconds).toBeLessThanOrEqual(300);
    expect(tagsOf(there)).toContainEqual({ Key: 'team', Value: 'platform' });
  });

  test('is renewed every minute until it is stopped, also after a renewal that failed', async () => {
    await using there = await withAmi();
    const { clock, calls } = there.simulator;
    const { lease } = await take(there);
    const written = () => calls.filter(({ action }) => action === 'CreateTags').length - 1;
    await clock.sleep(59_999);
    expect(written()).toBe(0);
    // With every credential refused, it gives up until the next minute.
    there.refuse('CreateTags');
    await clock.sleep(1000);
    expect(written()).toBe(renewals + 1);
    await clock.sleep(60_000);
    expect(written()).toBe(renewals + 2);
    // Since when the run makes things stays what it was.
    const [record] = leasesOf(tagsOf(there));
    expect(((record?.expiresAt ?? 0) - (record?.since ?? 0)) / 1000).toBeGreaterThan(400);
    await lease?.stop();
    await clock.sleep(600_000);
    expect(written()).toBe(renewals + 2);
  });
});

test('a lease is renewed at once where it says so, and a renewal that fails is left to the next', async () => {
  await using there = await withAmi();
  const { clock } = there.simulator;
  const { lease } = await take(there);
  const expires = () => leasesOf(tagsOf(there))[0]?.expiresAt ?? 0;
  const before = expires();
  await clock.sleep(30_000);
  await lease?.renew?.();
  expect(expires() - before).toBeGreaterThanOrEqual(30_000);
  there.refuse('CreateTags');
  await expect(lease?.renew?.()).resolves.toBeUndefined();
  await lease?.stop();
});

test('a lease takes no more than to make and remove tags of this action', async () => {
  const own = { 'ForAnyValue:StringLike': { 'aws:TagKeys': 'share-encrypted-ami:*' } };
  const actions = ['ec2:CreateTags', 'ec2:DeleteTags'];
  await using there = await withAmi({}, [{ Effect: 'Allow', Action: actions, Resource: '*', Condition: own }]);
  const { lease, warnings } = await take(there);
  await lease?.stop();
  expect(warnings).toEqual([]);
  expect(leasesOf(tagsOf(there))).toHaveLength(1);
});

describe('where the AMI takes no lease, the run goes on unseen, and says so', () => {
  const allow = (...actions: string[]) => [{ Effect: 'Allow', Action: actions, Resource: '*' }];
  const unseen = `so other runs on ${amiId} cannot see this one; run them one after the other`;

  test('because its tag could not be removed again', async () => {
    await using there = await withAmi({}, allow('ec2:CreateTags'));
    const { lease, warnings, written } = await take(there);
    expect(warnings).toEqual([`the source role is not allowed to remove tags (ec2:DeleteTags), ${unseen}`]);
    expect([written, tagsOf(there)]).toEqual([[], []]);
    expect(lease).toBeUndefined();
  });

  test('because it may not be tagged', async () => {
    await using there = await withAmi({}, allow('ec2:DeleteTags'));
    expect((await take(there)).warnings).toEqual([
      `the source role is not allowed to tag the AMI (ec2:CreateTags), ${unseen}`,
    ]);
  });

  test("because it isn't this account's to tag", async () => {
    await using there = await withAmi();
    const other = 'ami-0ffffffffffffffff';
    expect((await take(there, other)).warnings).toEqual([
      `AWS takes no tags for this AMI from this account, ${unseen.replace(amiId, other)}`,
    ]);
  });

  test('because its own tags fill it', async () => {
    await using there = await withAmi(Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`tag-${at}`, ''])));
    expect((await take(there)).warnings).toEqual([`the AMI has 50 tags, none of them of a run that lives, ${unseen}`]);
  });

  test.each([
    ['dead', -1],
    ['that no run writes', 86_400],
  ])('because leases fill it, all of them %s: nobody would make room', async (_, seconds) => {
    await using there = await withAmi();
    fill(there, seconds);
    expect((await take(there)).warnings).toEqual([`the AMI has 50 tags, none of them of a run that lives, ${unseen}`]);
  });
});

test("where other runs' leases fill the AMI, a run waits until there is room, and ends when it is told to", async () => {
  await using there = await withAmi();
  fill(there, 200);
  const warnings: string[] = [];
  const warn = (message: string) => {
    warnings.push(message);
    there.stop.abort(new Error('cancelled'));
  };
  const place = there.at(region);
  await expect(takeLease({ ...request, place, imageId: amiId, warn, beforeWrite: () => {} })).rejects.toThrow(
    'cancelled',
  );
  expect(warnings).toEqual([`${amiId} has 50 tags, some of them other runs' leases; waiting for room`]);
  expect(there.simulator.calls.filter(({ action }) => action === 'CreateTags')).toHaveLength(1);
});

test('what AWS says otherwise ends the run', async () => {
  await using there = await withAmi();
  there.deregister(region, amiId);
  await expect(take(there)).rejects.toThrow('InvalidAMIID.Unavailable');
});

test('a lease that is ended reads as dead, and still tells its regions', async () => {
  await using there = await withAmi();
  const { lease } = await take(there);
  await lease?.stop();
  await endLease(there.at(region), amiId, {
    id,
    since: 1_764_158_000_000,
    targets: 'abcd',
    regions: ['eu-west-1', 'us-west-2'],
  });
  const [record, ...others] = leasesOf(tagsOf(there));
  expect(others).toEqual([]);
  expect(record).toEqual({
    id,
    expiresAt: 0,
    since: 1_764_158_000_000,
    runId: '',
    attempt: 0,
    machine: '',
    process: '',
    targets: 'abcd',
    regions: ['eu-west-1', 'us-west-2'],
  });
  expect(record && isAlive(record, readerOf({ machine }, run, there.simulator.clock.now()))).toBe(false);
});

describe('a lease that cannot be ended is none', () => {
  const end = (there: Account, imageId = amiId) =>
    endLease(there.at(region), imageId, { id, since: 0, targets: '', regions: [] });

  test('because the AMI is gone, or full, or may not be tagged', async () => {
    await using full = await withAmi(Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`tag-${at}`, ''])));
    await end(full);
    await end(full, 'ami-0ffffffffffffffff');
    await using gone = await withAmi();
    gone.deregister(region, amiId);
    await end(gone);
    await using forbidden = await withAmi({}, [{ Effect: 'Allow', Action: 'ec2:DeleteTags', Resource: '*' }]);
    await end(forbidden);
    expect(leasesOf([full, gone, forbidden].flatMap(tagsOf))).toEqual([]);
  });

  test('but what AWS says otherwise is told', async () => {
    await using there = await withAmi();
    there.refuse('CreateTags');
    await expect(end(there)).rejects.toThrow('CreateTags');
  });
});

test('leases are dropped by their IDs; other tags stay', async () => {
  const lease = (id: string) => `share-encrypted-ami:lease:${id}`;
  await using there = await withAmi({ team: 'platform', [lease('a')]: '0', [lease('b')]: '0', [lease('c')]: '0' });
  await dropLeases(there.at(region), amiId, ['a', 'c']);
  expect(tagsOf(there).map(({ Key }) => Key)).toEqual(['team', lease('b')]);
  // DeleteTags without tags would remove all.
  await dropLeases(there.at(region), amiId, []);
  expect(tagsOf(there).map(({ Key }) => Key)).toEqual(['team', lease('b')]);
});

describe('where AWS does not find the AMI of a lease that is dropped', () => {
  const lost = { kind: 'refusal', action: 'DeleteTags', mutating: true, code: 'InvalidAMIID.NotFound' } as const;
  const tagged = () => withAmi({ 'share-encrypted-ami:lease:a': '0' });

  test('for some calls, though it is there, the tag goes all the same', async () => {
    await using there = await tagged();
    there.simulator.addFault({ ...lost, times: 5 });
    await dropLeases(there.at(region), amiId, ['a']);
    expect(tagsOf(there)).toEqual([]);
  });

  test('for good, though it is there, that the tag stays is told', async () => {
    await using there = await tagged();
    there.simulator.addFault(lost);
    await expect(dropLeases(there.at(region), amiId, ['a'])).rejects.toThrow('DeleteTags in 111111111111/us-east-1');
  });

  test('since it is gone, there is nothing to tell', async () => {
    await using there = await tagged();
    there.removeImage(region, amiId);
    const began = there.simulator.clock.now();
    await dropLeases(there.at(region), amiId, ['a']);
    expect(there.simulator.clock.now() - began).toBeLessThan(10_000);
  });
});
