import { RunInstancesCommand } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import { amiIdOf, type RegionScenario } from '../simulator/scenario.ts';
import { longestJobMs } from '../src/lease.ts';
import { emptyLedger } from '../src/ledger.ts';
import { launchToken } from '../src/operations/instances.ts';
import { copyDescription } from '../src/plan/evidence.ts';
import { replacedByTag, staysUntil } from '../src/plan/replaced.ts';
import { noNotes, nothing, reportOf } from '../src/release/notes.ts';
import { type Owners, releaseFrom, releaseTarget } from '../src/release/target.ts';
import { endedLease, tagKeys } from '../src/tags.ts';
import { type Account, openAccount } from './account.ts';
import { settledMs } from './in-process.ts';

/* What is taken back in a target: instances of boot tests, what was replaced, and what is finished but for its lease. */

const account = '222222222222';
const at = 'eu-west-1';
const where = `${account}/${at}`;
const amiId = amiIdOf('111111111111', 'us-east-1', 'golden');
const began = Date.parse('2026-10-31T00:00:00Z');

/** The lease of the run that ends, of one that lives beside it, and of one that has died. */
const [own, live, dead] = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb', 'dddddddddddd'];

const copied = copyDescription('snap-0a', amiId, { account: '111111111111', region: 'us-east-1' });
const parts = { [tagKeys.sourceAmi]: amiId, [tagKeys.sourceSnapshot]: 'snap-0a' };
const leasedBy = (lease: string) => ({ ...parts, [tagKeys.lease]: lease });
const imageOf = (name: string, tags: Record<string, string>, ofCopy = tags) => ({
  ...{ name, tags },
  volumes: [{ device: '/dev/xvda', copied, tags: ofCopy }],
});
const idOf = (name: string) => amiIdOf(account, at, name);

type Options = Parameters<typeof openAccount>[2];
const open = (amis: RegionScenario['amis'] = [], options: Options = {}) =>
  openAccount(account, { [at]: { amis } }, options);

/** Deregisters an AMI, long since: its snapshots are no AMI's. */
const loosen = (there: Account, name: string) => {
  there.imageIn(at, idOf(name)).deregisteredAt = began;
};

type Over = Partial<Omit<Owners, 'state'>> & Partial<Owners['state']>;

/** What the run `own` takes back, and `dead` with it; a last look with time, and nothing that it made is right. */
async function takeBack(there: Account, { finished = [], boots = false, keepPending = false, ...over }: Over = {}) {
  const notes = noNotes();
  const state = { ...emptyLedger, imageId: amiId, leaseId: own, finished, boots, keepPending };
  const gone = new Map([own, dead].map((id) => [id, began]));
  const looks = { othersLive: false, superseding: true, ready: false, mayWait: true, isLast: true, isSweep: false };
  const owners = { ...looks, gone, parents: async () => new Map<string, string>(), ...over, state };
  const isGone = await releaseTarget(there.at(at), owners, notes);
  return { isGone, ...reportOf(notes) };
}

/** What a sweep takes back of the lease `dead`. */
function sweep(there: Account, parents: Owners['parents'] = async () => new Map()) {
  return releaseFrom(there.at(at), { imageId: amiId, gone: new Map([[dead, began]]), finished: [], parents });
}

const tagKeysIn = (there: Account) => there.snapshots(at).map(({ data }) => data.Tags.map(({ Key }) => Key));
const imageTagKeys = (there: Account, name: string) => there.imageIn(at, idOf(name)).data.Tags.map(({ Key }) => Key);
const snapshotIds = (there: Account) => there.snapshots(at).map(({ data }) => data.SnapshotId);
const untold = { isGone: true, ...nothing };

describe('the instance of a boot test', () => {
  async function launched(there: Account, lease: string, ClientToken = launchToken(lease, there.at(at), 1)) {
    const Tags = Object.entries(leasedBy(lease)).map(([Key, Value]) => ({ Key, Value }));
    const { Instances = [] } = await there.at(at).ec2(
      new RunInstancesCommand({
        ...{ ImageId: idOf('tested'), InstanceType: 't3.micro', MinCount: 1, MaxCount: 1, ClientToken },
        TagSpecifications: [{ ResourceType: 'instance', Tags }],
      }),
    );
    return Instances[0]?.InstanceId ?? '';
  }
  const tested = imageOf('tested', parts);
  const looks = (there: Account) => there.simulator.calls.filter(({ action }) => action === 'DescribeInstances').length;
  const ends = (there: Account) => there.simulator.calls.filter(({ action }) => action === 'TerminateInstances').length;

  test('is ended, of the run and of a dead one; that of a run that lives is not, nor what only bears the tags', async () => {
    await using there = await open([tested]);
    const [ours, deads] = [await launched(there, own), await launched(there, dead)];
    await launched(there, live);
    const tagged = await launched(there, dead, 'another-token');
    await there.simulator.clock.sleep(settledMs);
    const { done, stays, failed } = await takeBack(there, { boots: true });
    expect([...done].sort()).toEqual([`ended ${ours} in ${where}`, `ended ${deads} in ${where}`].sort());
    expect([stays, failed]).toEqual([
      [`${tagged} in ${where} is left alone: its client token is not one of the action's`],
      [],
    ]);
    expect(ends(there)).toBe(2);
  });

  test('that can’t be ended is told, and keeps nothing else from being taken back', async () => {
    await using there = await open([tested, imageOf('half', leasedBy(own), leasedBy(own))]);
    const id = await launched(there, own);
    await there.simulator.clock.sleep(settledMs);
    there.refuse('TerminateInstances');
    const { isGone, done, failed } = await takeBack(there, { boots: true });
    expect([isGone, done]).toEqual([false, [`removed ${idOf('half')} in ${where}`]]);
    expect(failed).toEqual([expect.stringMatching(`^Ending the instance ${id} in ${where}, which may run on: `)]);
  });

  test('is looked for where the run has launched one, or another has died', async () => {
    await using there = await open();
    const alone = new Map([[own, began]]);
    for (const [boots, gone, found] of [
      [false, alone, 0],
      [true, alone, 1],
      [false, undefined, 2],
    ] as const) {
      expect(await takeBack(there, { boots, ...(gone && { gone }) })).toEqual(untold);
      expect(looks(there)).toBe(found);
    }
  });

  test('is nothing to tell where the role may not look, unless the run has launched one', async () => {
    const Statement = [
      { Effect: 'Allow' as const, Action: '*', Resource: '*' },
      { Effect: 'Deny' as const, Action: 'ec2:DescribeInstances', Resource: '*' },
    ];
    await using there = await open([], { policy: { Version: '2012-10-17', Statement } });
    expect(await takeBack(there)).toEqual(untold);
    const { isGone, failed } = await takeBack(there, { boots: true });
    expect([isGone, failed]).toEqual([
      false,
      [expect.stringMatching(`^Looking for instances of boot tests in ${where}: DescribeInstances in ${where}: `)],
    ]);
  });
});

describe('the snapshots of an AMI that was replaced', () => {
  const replacedAt = Date.parse('2026-11-01T00:00:00Z');
  const markOf = (lease: string, imageId = amiId, time = replacedAt) => {
    const { Value = '' } = replacedByTag({ imageId, lease, at: time });
    return { ...parts, [tagKeys.replacedBy]: Value };
  };
  /** The AMI is gone, and its snapshot bears the mark. */
  async function replaced(tags: Record<string, string>, ...amis: NonNullable<RegionScenario['amis']>) {
    const there = await open([imageOf('former', {}, tags), ...amis]);
    loosen(there, 'former');
    return there;
  }
  const half = imageOf('half', leasedBy(own), leasedBy(own));
  const untilThen = staysUntil({ imageId: amiId, at: replacedAt });

  test('go once the new one is right', async () => {
    for (const lease of [own, dead]) {
      await using there = await replaced(markOf(lease));
      const [id] = snapshotIds(there);
      expect(await takeBack(there, { ready: true })).toEqual({ ...untold, done: [`deleted ${id} in ${where}`] });
      expect(there.snapshots(at)).toEqual([]);
    }
  });

  test('stay before, each told', async () => {
    await using there = await replaced(markOf(own), imageOf('second', {}, markOf(own)));
    loosen(there, 'second');
    const { failed } = await takeBack(there);
    expect(failed).toEqual([expect.stringMatching(`^${snapshotIds(there).join(', ')} in ${where} stay, of an AMI`)]);
  });

  test('stay before, and so does the new one with them; both are told, and until when', async () => {
    const [one, other] = ['half', 'another'].map((name) => `, with ${idOf(name)}, which replaces it`);
    await using there = await replaced(markOf(own), half, imageOf('another', leasedBy(own), leasedBy(own)));
    const [id] = snapshotIds(there);
    expect(await takeBack(there)).toEqual({
      ...untold,
      failed: [`${id} in ${where} stay, of an AMI that was deregistered${one}${other}: ${untilThen}`],
    });
    expect([there.images(at), there.snapshots(at).length]).toEqual([['half', 'another'], 3]);
  });

  test('go with a sweep when no job can be at work any more, and nobody has made an AMI', async () => {
    const swept = { isSweep: true };
    const old = Date.now() - longestJobMs;
    for (const [time, amis, stay] of [
      [old - 60_000, [], 0],
      [old + 600_000, [], 1],
      [old - 60_000, [half], 2],
    ] as const) {
      await using there = await replaced(markOf(dead, amiId, time), ...amis);
      const [former] = there.snapshots(at);
      if (former) former.data.StartTime = new Date(began);
      const { failed } = await takeBack(there, swept);
      expect([there.snapshots(at).length, failed.length]).toEqual([stay, stay === 0 ? 0 : 1]);
    }
    // A run that makes the AMI waits for it to be right, however old they are.
    await using there = await replaced(markOf(dead, amiId, old - 60_000));
    await takeBack(there);
    expect(there.snapshots(at)).toHaveLength(1);
  });

  test('bear the mark no more where an AMI has them', async () => {
    await using there = await open([imageOf('former', parts, markOf(own)), imageOf('gone', {}, markOf(own))]);
    loosen(there, 'gone');
    const [kept, free] = snapshotIds(there);
    expect(await takeBack(there, { ready: true })).toEqual({ ...untold, done: [`deleted ${free} in ${where}`] });
    expect([there.images(at), tagKeysIn(there)]).toEqual([['former'], [Object.keys(parts)]]);
    const taken = there.simulator.calls.filter(({ action }) => action === 'DeleteTags');
    expect(taken.map(({ request }) => request.Resources)).toEqual([[kept]]);
  });

  test('stay, as a sweep goes by, until five days have passed', async () => {
    for (const [time, stay] of [
      [Date.now() - longestJobMs - 60_000, 0],
      [Date.now() - longestJobMs + 600_000, 1],
    ] as const) {
      await using there = await replaced(markOf(dead, amiId, time));
      const [former] = there.snapshots(at);
      if (former) former.data.StartTime = new Date(began);
      await sweep(there);
      expect(there.snapshots(at)).toHaveLength(stay);
    }
  });

  test('through an encrypted copy stay, and are told: its tag proves nothing', async () => {
    const tags = { ...markOf(own), [tagKeys.encryptedCopy]: 'ami-0e' };
    const ofCopy = `Copied for DestinationAmi ${idOf('former')} from SourceAmi ami-0e for SourceSnapshot snap-0e. Task created on 1.`;
    await using there = await open([{ name: 'former', volumes: [{ device: '/dev/xvda', copied: ofCopy, tags }] }]);
    loosen(there, 'former');
    const { failed, stays } = await takeBack(there, { ready: true });
    expect([failed, stays.length, there.snapshots(at).length]).toEqual([[], 1, 1]);
  });

  test('are told where the Recycle Bin does not give their AMI back', async () => {
    const tag = replacedByTag({ imageId: amiId, lease: dead, at: replacedAt, former: idOf('former') });
    await using there = await replaced({ ...parts, [tag.Key ?? '']: tag.Value ?? '' });
    there.imageIn(at, idOf('former')).binnedUntil = there.simulator.clock.now() + longestJobMs;
    const refusal = { kind: 'refusal', code: 'UnauthorizedOperation', times: 99 } as const;
    there.simulator.addFault({ ...refusal, action: 'RestoreImageFromRecycleBin' });
    const { failed } = await takeBack(there);
    expect(failed).toEqual([
      expect.stringContaining(`Restoring an AMI from the Recycle Bin in ${where}: RestoreImageFromRecycleBin in `),
      expect.stringContaining('of an AMI that was deregistered'),
    ]);
  });

  test.each([
    ['of a run that lives', markOf(live)],
    ['on another AMI', markOf(own, 'ami-0f')],
    ['marked in no words of a run', { ...parts, [tagKeys.replacedBy]: own }],
  ])('%s are left to that', async (_, tags) => {
    await using there = await replaced(tags);
    expect(await takeBack(there, { ready: true })).toEqual(untold);
    expect(there.writes()).toEqual([]);
  });

  test('that are none of ours stay, and are told', async () => {
    const there = await open([{ name: 'former', volumes: [{ device: '/dev/xvda', tags: markOf(own) }] }]);
    await using _ = there;
    loosen(there, 'former');
    const { foreign } = await takeBack(there, { ready: true });
    expect(foreign).toEqual([
      `${snapshotIds(there)[0]} in ${where} is left alone: its description is not that of a copy by this action`,
    ]);
    expect(there.writes()).toEqual([]);
  });

  test('are given back with it, out of the Recycle Bin, where nobody made the new one; at the last look alone', async () => {
    for (const [over, amis, isBack] of [
      [{}, [], true],
      [{ isLast: false }, [], false],
      [{ ready: true }, [], false],
      [{}, [half], false],
    ] as const) {
      const tag = replacedByTag({ imageId: amiId, lease: dead, at: replacedAt, former: idOf('former') });
      await using there = await replaced({ ...parts, [tag.Key ?? '']: tag.Value ?? '' }, ...amis);
      there.imageIn(at, idOf('former')).binnedUntil = there.simulator.clock.now() + longestJobMs;
      const { warned, failed } = await takeBack(there, over);
      const told = `${idOf('former')} (former) in ${where}, which a run that died had deregistered for its name, is back from the Recycle Bin, as it was`;
      expect([there.images(at).includes('former'), warned]).toEqual([isBack, isBack ? [told] : []]);
      expect(failed).toHaveLength(isBack || over.ready ? 0 : 1);
      if (isBack) expect(tagKeysIn(there)).toEqual([Object.keys(parts)]);
    }
  });

  test('are looked for where an AMI may have been replaced, or another run has died', async () => {
    const alone = new Map([[own, began]]);
    for (const [superseding, gone, stay] of [
      [false, alone, 1],
      [true, alone, 0],
      [false, undefined, 0],
    ] as const) {
      await using there = await replaced(markOf(own));
      await takeBack(there, { superseding, ready: true, ...(gone && { gone }) });
      expect(there.snapshots(at)).toHaveLength(stay);
    }
  });
});

describe('what is finished', () => {
  const done = imageOf('done', leasedBy(own), leasedBy(own));

  test('loses its lease, the AMI as its snapshots, and stays', async () => {
    await using there = await open([done]);
    const finished = [idOf('done'), ...snapshotIds(there).map(String)];
    expect(await takeBack(there, { finished })).toEqual(untold);
    expect([there.images(at), imageTagKeys(there, 'done')]).toEqual([['done'], Object.keys(parts)]);
    expect(there.snapshots(at)).toHaveLength(1);
  });

  test('keeps it where taking it off is denied, which was told before; any other failure is one', async () => {
    const Statement = [
      { Effect: 'Allow' as const, Action: '*', Resource: '*' },
      { Effect: 'Deny' as const, Action: 'ec2:DeleteTags', Resource: '*' },
    ];
    await using denied = await open([done], { policy: { Version: '2012-10-17', Statement } });
    expect(await takeBack(denied, { finished: [idOf('done')] })).toEqual(untold);
    await using there = await open([done]);
    there.refuse('DeleteTags');
    expect((await takeBack(there, { finished: [idOf('done')] })).failed).toEqual([
      expect.stringMatching(`^Removing half-made copies in ${where}: DeleteTags in ${where}: `),
    ]);
  });

  test('is only told apart at the last look: before it, no AMI goes, nor loses its lease', async () => {
    await using there = await open([imageOf('half', leasedBy(own), leasedBy(own))]);
    expect(await takeBack(there, { isLast: false })).toEqual(untold);
    expect([there.images(at), imageTagKeys(there, 'half')]).toEqual([['half'], Object.keys(leasedBy(own))]);
  });

  test('stays though no AMI is seen to have it', async () => {
    await using there = await open([imageOf('done', {}, leasedBy(own))]);
    loosen(there, 'done');
    expect(await takeBack(there, { finished: snapshotIds(there).map(String) })).toEqual(untold);
    expect(there.snapshots(at)).toHaveLength(1);
  });
});

describe('while others’ runs live', () => {
  test('what a dead one made stays, which they may wait for; its own goes, and not all is gone', async () => {
    await using there = await open([
      imageOf('ours', leasedBy(own), leasedBy(own)),
      imageOf('theirs', leasedBy(dead), leasedBy(dead)),
    ]);
    expect(await takeBack(there, { othersLive: true })).toEqual({
      ...untold,
      isGone: false,
      done: [`removed ${idOf('ours')} in ${where}`],
    });
    expect([there.images(at), there.snapshots(at).length]).toEqual([['theirs'], 1]);
  });

  test('copies of a dead one go where it made no AMI; where there is none of its, nobody waits', async () => {
    await using there = await open([
      imageOf('ours', leasedBy(own), leasedBy(own)),
      imageOf('gone', {}, leasedBy(dead)),
    ]);
    loosen(there, 'gone');
    expect((await takeBack(there, { othersLive: true })).isGone).toBe(true);
    expect([there.images(at), there.snapshots(at)]).toEqual([[], []]);
  });
});

describe('a copy', () => {
  test('that can’t be deleted is told, and the others go', async () => {
    const two = ['/dev/xvda', '/dev/xvdb'].map((device) => ({ device, copied, tags: leasedBy(own) }));
    await using there = await open([{ name: 'gone', volumes: two }]);
    loosen(there, 'gone');
    const before = snapshotIds(there);
    const refusal = {
      kind: 'refusal',
      code: 'UnsupportedOperation',
      status: 400,
      message: 'not now',
      times: 1,
    } as const;
    there.simulator.addFault({ ...refusal, action: 'DeleteSnapshot' });
    const { done, failed } = await takeBack(there);
    const [stays] = snapshotIds(there);
    const [went] = before.filter((id) => id !== stays);
    expect(done).toEqual([`deleted ${went} in ${where}`]);
    expect(failed).toEqual([expect.stringMatching(`^Deleting ${stays} in ${where}: .*not now`)]);
  });

  test('of a half-made AMI that another AMI has by now stays with that, and is told', async () => {
    await using there = await open([imageOf('half', leasedBy(own), leasedBy(own)), { name: 'theirs', volumes: [] }]);
    const { BlockDeviceMappings } = there.imageIn(at, idOf('half')).data;
    Object.assign(there.imageIn(at, idOf('theirs')).data, { BlockDeviceMappings });
    const { done, stays, failed } = await takeBack(there);
    expect([done, failed]).toEqual([[`removed ${idOf('half')} in ${where}`], []]);
    const [id] = snapshotIds(there);
    expect(stays).toEqual([`${id} of ${idOf('half')} in ${where} stays: ${idOf('theirs')} has it by now`]);
  });

  test('that an AMI has stays with it, and loses its lease; the others go', async () => {
    await using there = await open([imageOf('whole', {}, leasedBy(own)), imageOf('gone', {}, leasedBy(own))]);
    loosen(there, 'gone');
    const [kept, loose] = snapshotIds(there);
    expect(await takeBack(there)).toEqual({ ...untold, done: [`deleted ${loose} in ${where}`] });
    expect([snapshotIds(there), tagKeysIn(there)]).toEqual([[kept], [Object.keys(parts)]]);
    // What was copied from the source itself, no ancestry need prove.
    expect(there.simulator.calls.filter(({ action }) => action === 'GetImageAncestry')).toEqual([]);
  });

  test('that is gone as it is marked to go on is not told', async () => {
    await using there = await open(['one', 'two'].map((name) => imageOf(name, {}, leasedBy(own))));
    for (const name of ['one', 'two']) loosen(there, name);
    const [going, gone] = snapshotIds(there);
    there.simulator.onCall(({ action, request }) => {
      if (action === 'DescribeImages' && JSON.stringify(request).includes('snapshot-id')) there.removeSnapshot(at, 1);
    });
    const { goesOn, failed } = await takeBack(there, { keepPending: true });
    expect([failed, goesOn.join()]).toEqual([[], expect.stringContaining(`${going} (100%) in ${where} go on`)]);
    expect(goesOn.join()).not.toContain(gone);
  });

  test('goes with a sweep, finished or not; where there is none, nobody asks for encrypted copies', async () => {
    await using there = await open([imageOf('gone', {}, leasedBy(dead))]);
    loosen(there, 'gone');
    const [copy] = there.snapshots(at);
    if (copy) Object.assign(copy.data, { State: 'pending' });
    const [id] = snapshotIds(there);
    expect(await sweep(there)).toEqual({ ...nothing, done: [`deleted ${id} in ${where}`] });
    there.simulator.addFault({ kind: 'refusal', code: 'UnauthorizedOperation', action: 'DescribeInstances' });
    const unasked = () => Promise.reject(new Error('asked for'));
    expect(await sweep(there, unasked)).toEqual(nothing);
  });

  test('that goes on is told with how far it has come, which AWS may not tell yet', async () => {
    await using there = await open([imageOf('gone', {}, leasedBy(own))]);
    loosen(there, 'gone');
    const [copy] = there.snapshots(at);
    if (copy) Object.assign(copy.data, { State: 'pending', Progress: '' });
    const { goesOn } = await takeBack(there, { keepPending: true });
    expect(goesOn).toEqual([expect.stringContaining(`${snapshotIds(there)[0]} (0%) in ${where} go on being copied.`)]);
  });

  test('that went on before is nobody’s to wait for', async () => {
    await using there = await open([imageOf('gone', {}, leasedBy(endedLease))]);
    loosen(there, 'gone');
    const { isGone, goesOn } = await takeBack(there, { keepPending: true, mayWait: false });
    expect([isGone, goesOn.length]).toEqual([true, 1]);
  });

  test('through an encrypted copy stays where AWS may not, or can’t, be asked what that was of', async () => {
    const tags = { ...leasedBy(own), [tagKeys.encryptedCopy]: 'ami-0e' };
    const attributes = { SourceImageId: 'ami-0e', SourceImageRegion: 'us-east-1' };
    const refusal = { kind: 'refusal', status: 400, message: 'no', times: 9, action: 'GetImageAncestry' } as const;
    for (const [code, isTold] of [
      ['UnauthorizedOperation', true],
      ['InvalidAction', true],
      ['InvalidAMIID.NotFound', true],
      ['InvalidParameterValue', false],
    ] as const) {
      await using there = await open([{ ...imageOf('half', tags), attributes }]);
      there.simulator.addFault({ ...refusal, code });
      const { stays, failed } = await takeBack(there);
      const untied = `${idOf('half')} in ${where} is left alone: it was copied from ami-0e, and only a tag says`;
      expect([stays.map((text) => text.startsWith(untied)), failed.length]).toEqual(isTold ? [[true], 0] : [[], 1]);
      expect(there.images(at)).toEqual(['half']);
    }
  });
});
