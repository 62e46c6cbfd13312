import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  customerKey,
  procedure,
  sourceAccount,
  sourceRegion,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import { leaseTagKey, shareTagKey } from '../src/lease.ts';
import {
  endedLease,
  instanceTag,
  isMarked,
  joinIds,
  maxTags,
  mergeTags,
  ownTagCount,
  recalledTag,
  tagKeys,
  tagPrefix,
  tagValue,
  toTags,
} from '../src/tags.ts';
import { expectUntouched, share } from './shared-case.ts';

test("the action's own tags have the names that resources out there bear already", () => {
  expect(tagKeys).toEqual({
    sourceAmi: 'share-encrypted-ami:source-ami',
    sourceSnapshot: 'share-encrypted-ami:source-snapshot',
    run: 'share-encrypted-ami:run',
    commit: 'share-encrypted-ami:commit',
    kmsKey: 'share-encrypted-ami:kms-key',
    lease: 'share-encrypted-ami:lease',
    lineage: 'share-encrypted-ami:lineage',
    published: 'share-encrypted-ami:published',
    protection: 'share-encrypted-ami:protection',
    superseded: 'share-encrypted-ami:superseded',
    replacedBy: 'share-encrypted-ami:replaced-by',
    bootTest: 'share-encrypted-ami:boot-test',
    encryptedCopy: 'share-encrypted-ami:encrypted-copy',
    intermediate: 'share-encrypted-ami:intermediate',
  });
  expect(Object.values(tagKeys).filter((key) => !key.startsWith(tagPrefix))).toEqual([]);
  expect(ownTagCount).toBe(12);
});

const oddKeys = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
const odd = (value: string) => Object.fromEntries(oddKeys.map((key) => [key, value]));

test('tags whose keys every object has, of the source and of the inputs, come out as they went in', async () => {
  const volumes = [{ device: '/dev/xvda', sizeGiB: 8, tags: odd('of the snapshot') }];
  const shared = procedure({ ami: { tags: odd('of the AMI') }, volumes });
  const lines = (keys: readonly string[]) => keys.map((key) => `${key}=mine`).join('\n');
  const tagsIn = async (inputs: Record<string, string>) => {
    const { simulator, error } = await share(shared, inputs);
    expect(error).toBe('');
    const { images, snapshots } = simulator.world.accounts[targetAccount]?.regions.get(targetRegion) ?? {};
    return [...(images?.values() ?? []), ...(snapshots?.values() ?? [])].map(({ data }) =>
      oddKeys.map((key) => tagValue(data, key)),
    );
  };
  const all = (value: string) => oddKeys.map(() => value);
  expect(await tagsIn({})).toEqual([all('of the AMI'), all('of the snapshot')]);
  expect(await tagsIn({ tags: lines(oddKeys.slice(0, 1)), 'copy-tags': 'false' })).toEqual(
    Array(2).fill([
      'mine',
      ...all('')
        .slice(1)
        .map(() => undefined),
    ]),
  );
});

test("a tag of the user's may be empty; one of ours that is empty says nothing", () => {
  expect(toTags({ team: '', [tagKeys.run]: '', [tagKeys.commit]: 'c0ffee' })).toEqual([
    { Key: 'team', Value: '' },
    { Key: tagKeys.commit, Value: 'c0ffee' },
  ]);
});

test('a resource is asked for one of its tags', () => {
  const Tags = [
    { Key: 'team', Value: 'platform' },
    { Key: 'stage', Value: 'prod' },
  ];
  expect(tagValue({ Tags }, 'stage')).toBe('prod');
  expect(tagValue({ Tags }, 'owner')).toBeUndefined();
  expect(tagValue({}, 'stage')).toBeUndefined();
});

describe('the tags of a copy', () => {
  test("are the user's over the source's, and ours over both", () => {
    const source = [
      { Key: 'team', Value: 'platform' },
      { Key: 'stage', Value: 'test' },
      { Key: 'note', Value: '' },
    ];
    const users = { stage: 'prod', [tagKeys.run]: 'mine' };
    const { tags, dropped } = mergeTags(source, { users, ours: { [tagKeys.run]: 'a run' } });
    expect(tags).toEqual([
      { Key: 'team', Value: 'platform' },
      { Key: 'note', Value: '' },
      { Key: 'stage', Value: 'prod' },
      { Key: tagKeys.run, Value: 'a run' },
    ]);
    expect(dropped).toEqual([]);
  });

  test("are none of AWS's, and none that say where the source itself comes from", () => {
    const source = [
      { Key: 'aws:backup', Value: 'x' },
      { Key: tagKeys.sourceAmi, Value: 'ami-1' },
      { Value: 'keyless' },
    ];
    expect(mergeTags(source, { users: {}, ours: {} })).toEqual({ tags: [], dropped: [] });
  });

  test('that has no value have an empty one', () => {
    expect(mergeTags([{ Key: 'team' }], { users: {}, ours: {} }).tags).toEqual([{ Key: 'team', Value: '' }]);
  });

  test("whatever there is: at most 50, ours and the user's among them, and the source's that are left out are named", () => {
    const keys = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,4}$/), { maxLength: 60 });
    const records = fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), fc.string(), { maxKeys: 42 });
    fc.assert(
      fc.property(keys, records, fc.integer({ min: 0, max: 50 }), (sources, users, most) => {
        const ours = { [tagKeys.sourceAmi]: 'ami-1' };
        const { tags, dropped } = mergeTags(
          sources.map((Key) => ({ Key, Value: 'source' })),
          { users, ours },
          most,
        );
        const must = Object.keys({ ...users, ...ours });
        expect(tags.length).toBeLessThanOrEqual(Math.max(most, must.length));
        expect(tags.map(({ Key }) => Key)).toEqual(expect.arrayContaining(must));
        const all = [...new Set([...sources, ...must])].sort();
        expect([...tags.map(({ Key }) => Key), ...dropped].sort()).toEqual(all);
        if (dropped.length > 0) expect(tags.length).toBe(Math.max(most, must.length));
      }),
    );
    expect(maxTags).toBe(50);
  });
});

describe('a list of IDs as a tag', () => {
  test('parts them by spaces', () => {
    expect(joinIds([])).toBe('');
    expect(joinIds(['snap-1'])).toBe('snap-1');
    expect(joinIds(['snap-1', 'snap-2'])).toBe('snap-1 snap-2');
  });

  test('holds as many as fit into 256 characters, each whole', () => {
    const ids = Array.from({ length: 20 }, (_, index) => `snap-${String(index).padStart(17, '0')}`);
    expect(joinIds(ids)).toBe(ids.slice(0, 11).join(' '));
    const full = ['a'.repeat(127), 'b'.repeat(128)];
    expect(joinIds(full)).toBe(full.join(' '));
    expect(joinIds(['a'.repeat(128), 'b'.repeat(128)])).toBe('a'.repeat(128));
  });
});

describe('a copy is marked as one of a run at work', () => {
  const { lease, replacedBy, intermediate, sourceSnapshot } = tagKeys;

  test.each([
    [[lease], true],
    [[replacedBy], true],
    [[sourceSnapshot, lease, replacedBy], true],
    [[sourceSnapshot], false],
    [[], false],
    [[lease, intermediate], false],
    [[replacedBy, intermediate], false],
  ])('%j: %s', (keys, marked) => {
    expect(isMarked({ Tags: keys.map((Key) => ({ Key, Value: 'x' })) })).toBe(marked);
  });

  test('and one without tags is not', () => {
    expect(isMarked({})).toBe(false);
    expect(isMarked({ Tags: undefined })).toBe(false);
  });
});

test('docs/how-it-works.md has every tag of the action, and no other', () => {
  const [, page = ''] = /^## Tags\n([\s\S]*?)^## /m.exec(readFileSync('docs/how-it-works.md', 'utf8')) ?? [];
  const rows = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, key = '']) => tagPrefix + key);
  const keys = [...Object.values(tagKeys), instanceTag, recalledTag, leaseTagKey('<id>')];
  expect(rows.sort()).toEqual([...keys, shareTagKey('<id>', 0).replace(/0$/, '<n>')].sort());
  expect(page).toContain(`\`${endedLease}\` on copies that outlast`);
});

describe('a value that is too long only when its placeholders are filled in', () => {
  const long = { ami: { name: 'n'.repeat(120) } };
  const value = '{name}{name}{name}';

  test.each([
    [{ tags: `image=${value}` }, 'tags', `${targetAccount}/${targetRegion}`],
    [{ targets: `- {account: "${targetAccount}", region: ${targetRegion}, tags: {image: "${value}"}}` }, 'tags', ''],
    [{ tags: `image=${value}`, 'copy-tags': 'false', 'intermediate-tags': '{}' }, 'tags', ''],
    [{ 'intermediate-tags': `image=${value}` }, 'intermediate-tags', `${sourceAccount}/${sourceRegion}`],
  ])('%j is a problem before anything is made', async (inputs, input, place) => {
    const result = await share(procedure(long), inputs);
    expect(result.error).toMatch(
      `${place}: the value of tag image has 360 characters when its placeholders are filled in, and AWS takes 256\n    What to do: shorten it in ${input}`,
    );
    expect(result.error).toMatch(/^A problem was found before anything was changed/);
    expectUntouched(result);
  });

  test('is none where no copy would bear it', async () => {
    const shared = customerKey(long);
    expect((await share(shared, { 'intermediate-tags': `image=${value}` })).error).toBe('');
  });
});
