import { describe, expect, test } from '@jest/globals';
import type { RecordedCall } from '../simulator/simulator.ts';
import { checkDeeds, checkUndoing, type Operation, operationsOf, type Stock } from './deeds.ts';

const source = { account: '111111111111', region: 'us-east-1' };
const target = { account: '999999999999', region: 'eu-west-1' };
const none: Stock = new Map();

function call(action: string, place: typeof source, request: object = {}): RecordedCall {
  const mutating = !/^(Describe|Get|List)/.test(action);
  const service = /Grant|Key/.test(action) ? 'kms' : 'ec2';
  return { at: 0, service, action, ...place, request: { ...request }, outcome: 'ok', mutating };
}

function operation(kind: string, place: typeof source, more: Partial<Operation> = {}): Operation {
  return { id: `${kind} 1`, kind, ...place, of: [], after: [], why: '', outcome: 'done', ...more };
}

const tags = (...keys: string[]) => ({
  Resources: ['snap-0aaaaaaaaaaaaaaaa'],
  Tags: keys.map((key) => ({ Key: `share-encrypted-ami:${key}` })),
});
const add = { CreateVolumePermission: { Add: [{ UserId: target.account }] } };
const remove = { CreateVolumePermission: { Remove: [{ UserId: target.account }] } };

describe('the operations of a plan', () => {
  test('are none where it tells of none', () => {
    for (const plan of [undefined, '', '{"version":1,"steps":[]}']) expect(operationsOf(plan)).toBeUndefined();
    expect(operationsOf('{"operations":[]}')).toEqual([]);
  });

  test('say their place in one way or another', () => {
    const written = [
      { id: 'a', kind: 'copy', ...target, of: 'snap-1', after: ['b'], why: 'so', outcome: 'done' },
      { id: 'a', kind: 'copy', place: target, of: ['snap-1'], after: ['b'], why: 'so', outcome: 'done' },
      {
        id: 'a',
        kind: 'copy',
        place: '999999999999/eu-west-1',
        of: ['snap-1'],
        after: ['b'],
        why: 'so',
        outcome: 'done',
      },
    ];
    const read = { id: 'a', kind: 'copy', ...target, of: ['snap-1'], after: ['b'], why: 'so', outcome: 'done' };
    expect(operationsOf(JSON.stringify({ operations: written }))).toEqual([read, read, read]);
    expect(operationsOf('{"operations":[{"id":"a","kind":"ready","of":null}]}')).toMatchObject([
      { of: [], after: [], outcome: undefined },
    ]);
  });
});

test('without operations, nothing is checked', () => {
  expect(checkDeeds([call('CopySnapshot', target)], undefined, none)).toEqual([]);
  expect(checkUndoing([call('CopySnapshot', target)], undefined, none)).toEqual([]);
});

describe('a call that changed something', () => {
  test('belongs to an operation of its kind at its place', () => {
    const calls = [
      call('CopySnapshot', target),
      call('CreateGrant', source),
      call('ModifySnapshotAttribute', source, add),
    ];
    const operations = [operation('copy', target), operation('allow', source), operation('share', source)];
    expect(checkDeeds(calls, operations, none)).toEqual([]);
    expect(checkDeeds([...calls, call('RegisterImage', target)], operations, none)).toEqual([
      'RegisterImage in 999999999999/eu-west-1 () belongs to no operation',
    ]);
    const elsewhere = call('CopySnapshot', { ...target, region: 'us-west-2' }, { SourceSnapshotId: 'snap-0123' });
    expect(checkDeeds([...calls, elsewhere], operations, none)).toEqual([
      'CopySnapshot in 999999999999/us-west-2 (snap-0123) belongs to no operation',
    ]);
  });

  test('is no matter where it was refused, or asked for in vain', () => {
    const calls = [
      { ...call('CopySnapshot', target), outcome: 'ResourceLimitExceeded' },
      { ...call('CopySnapshot', target), mutating: false },
    ];
    expect(checkDeeds(calls, [], none)).toEqual([]);
  });

  test('or undoes one', () => {
    const calls = [
      call('RevokeGrant', source),
      call('ModifySnapshotAttribute', source, remove),
      call('DeleteTags', source, tags('shares:a:0')),
      call('DeleteTags', source, tags('lease:a')),
      call('CreateTags', source, tags('lease:a')),
      call('DeleteSnapshot', target, { SnapshotId: 'snap-0123' }),
      call('DeregisterImage', source, { ImageId: 'ami-0123' }),
    ];
    const operations = ['allow', 'share', 'lease', 'encrypt'].map((kind) =>
      operation(kind, source, { outcome: 'failed' }),
    );
    const all = [...operations, operation('copy', target, { outcome: 'failed' })];
    expect(checkDeeds(calls, all, none)).toEqual([]);
    expect(checkUndoing(calls, all, none)).toEqual([]);
    expect(checkUndoing([call('CopySnapshot', target)], all, none)).toEqual([
      'CopySnapshot in 999999999999/eu-west-1 () undoes no operation',
    ]);
    expect(checkDeeds(calls.slice(0, 2), [], none)).toHaveLength(2);
  });

  test('takes what a dead run left with the lease, in every region of the source account', () => {
    const hub = { ...source, region: 'eu-west-1' };
    const calls = [call('RevokeGrant', hub), call('ModifySnapshotAttribute', hub, remove)];
    expect(checkDeeds(calls, [operation('lease', source, { outcome: 'failed' })], none)).toEqual([]);
    expect(checkDeeds(calls, [operation('allow', source, { outcome: 'failed' })], none)).toHaveLength(2);
  });
});

describe('what was there before the run', () => {
  const before: Stock = new Map([
    ['ami-0111', { tags: [], snapshots: ['snap-0111'] }],
    ['snap-0111', { tags: [], snapshots: [] }],
    ['snap-0222', { tags: ['share-encrypted-ami:lease'], snapshots: [] }],
    ['snap-0333', { tags: ['share-encrypted-ami:intermediate'], snapshots: [] }],
  ]);
  const gone = (id: string, place = target) =>
    id.startsWith('ami-')
      ? call('DeregisterImage', place, { ImageId: id })
      : call('DeleteSnapshot', place, { SnapshotId: id });

  test('goes by its name alone, or with its AMI', () => {
    const calls = ['ami-0111', 'snap-0111', 'snap-0222'].map((id) => gone(id));
    const copying = operation('copy', target, { outcome: 'failed' });
    expect(checkDeeds(calls, [copying], before)).toHaveLength(3);
    const operations = [
      copying,
      operation('deregister', target, { of: ['ami-0111'] }),
      operation('delete', target, { of: ['snap-0222'] }),
    ];
    expect(checkDeeds(calls, operations, before)).toEqual([]);
    expect(checkDeeds([gone('snap-0222')], [operation('delete', target, { of: ['snap-0333'] })], before)).toEqual([
      'DeleteSnapshot in 999999999999/eu-west-1 (snap-0222) belongs to no operation',
      'delete 1 is done, and no call did it',
    ]);
  });

  test('but what the run took over, which is its own from then on', () => {
    const taken = call('CreateTags', target, { ...tags('lease'), Resources: ['snap-0222'] });
    const copying = operation('copy', target, { outcome: 'failed' });
    expect(checkDeeds([taken, gone('snap-0222')], [copying], before)).toEqual([]);
    expect(checkDeeds([gone('snap-0222')], [copying], before)).toHaveLength(1);
  });

  test('but an encrypted copy, which serves for the time being', () => {
    const encrypting = operation('encrypt', source, { outcome: 'failed' });
    expect(checkDeeds([gone('snap-0333', source)], [encrypting], before)).toEqual([]);
    expect(checkDeeds([gone('snap-0222', source)], [encrypting], before)).toHaveLength(1);
  });
});

describe('an operation', () => {
  test.each(['done', 'failed', 'not begun', 'planned'])('may be %s', (outcome) => {
    expect(checkDeeds([], [operation('verify', target, { outcome })], none)).toEqual([]);
  });

  test.each([undefined, '', 'begun'])('may not be %j', (outcome) => {
    const faults = checkDeeds([], [operation('verify', target, { outcome })], none);
    expect(faults).toEqual([`verify 1 has the outcome ${outcome}`]);
  });

  test('that is done was done by a call, or was found to be', () => {
    for (const kind of ['create', 'lease', 'copy', 'copy-image', 'register', 'deregister', 'delete', 'untag', 'allow'])
      expect(checkDeeds([], [operation(kind, target)], none)).toEqual([`${kind} 1 is done, and no call did it`]);
    for (const kind of ['await', 'access', 'verify', 'reuse', 'ready'])
      expect(checkDeeds([], [operation(kind, target)], none)).toEqual([]);
    expect(checkDeeds([call('DescribeSnapshotAttribute', source)], [operation('share', source)], none)).toEqual([]);
    expect(checkDeeds([call('DescribeImages', source)], [operation('encrypt', source)], none)).toEqual([]);
    expect(checkDeeds([call('DescribeImages', source)], [operation('encrypt', target)], none)).toHaveLength(1);
    // A copy that is taken over is marked as this run's; one that was gone already was asked for all the same.
    expect(checkDeeds([call('CreateTags', target, tags('lease'))], [operation('copy', target)], none)).toEqual([]);
    const deleted = call('DeleteSnapshot', target, { SnapshotId: 'snap-0222' });
    const missed = { ...deleted, outcome: 'InvalidSnapshot.NotFound' };
    expect(checkDeeds([missed], [operation('delete', target, { of: ['snap-0222'] })], none)).toEqual([]);
  });
});
