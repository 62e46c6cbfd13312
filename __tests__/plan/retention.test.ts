import type { Image } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import { encryptedCopyName } from '../../src/encrypted-copy.ts';
import { removalObstacle } from '../../src/plan/removal.ts';
import { formerOf, isPublishedAgain, planRetention, type RetentionFacts } from '../../src/plan/retention.ts';
import { reportedTypes } from '../../src/plan/usage-report.ts';
import { recalledTag, tagKeys } from '../../src/tags.ts';

describe('which AMIs of a lineage stay', () => {
  const ami = (day: number, over: Image = {}): Image => ({
    ImageId: `ami-${day}`,
    Name: `golden-${day}`,
    State: 'available',
    CreationDate: `2026-11-${day}T00:00:00.000Z`,
    Tags: [],
    ...over,
  });
  /** What is asked of AWS, and read of its reports. */
  const nothing = { ask: [], reports: new Map() };
  const [first, second, third] = [ami(11), ami(12), ami(13)] as const;
  const facts = {
    days: 0,
    now: Date.parse('2026-11-26T00:00:00Z'),
    reused: undefined,
    users: new Map(),
    reports: undefined,
    sharing: { retainShared: 'keep' as const, launchPermissions: [] },
    locks: new Map(),
    mayLift: true,
  };
  const retained = (count: number, existing: readonly Image[], over: Partial<RetentionFacts> = {}) =>
    planRetention({ ...facts, tie: () => ({ is: 'proven' }), count, existing, ...over });

  test('the newest do, the new AMI being one of them', () => {
    expect(retained(2, [first, third, second])).toEqual({
      keep: [third],
      remove: [second, first],
      held: [],
      protect: [],
      ...nothing,
      foreign: [],
    });
    expect(retained(1, [first, third, second])).toEqual({
      keep: [],
      remove: [third, second, first],
      held: [],
      protect: [],
      ...nothing,
      foreign: [],
    });
    expect(retained(4, [first, third, second])).toEqual({
      keep: [third, second, first],
      remove: [],
      held: [],
      protect: [],
      ...nothing,
      foreign: [],
    });
  });

  test('what uses an AMI is told in few words, however much it is', () => {
    const instances = Array.from({ length: 5000 }, (_, at) => ({ by: `i-${at}`, launches: false }));
    const [held] = retained(1, [first], { users: new Map([['ami-11', instances]]) }).held;
    expect(held?.why).toBe('it is used by i-0, i-1, i-2, i-3, i-4, i-5, i-6, i-7, i-8, i-9 and 4990 more');
  });

  test('the AMI that is reused counts as the newest', () => {
    expect(retained(2, [first, second, third], { reused: first })).toEqual({
      keep: [third],
      remove: [second],
      held: [],
      protect: [],
      ...nothing,
      foreign: [],
    });
  });

  test('an AMI without a date is the oldest', () => {
    const { CreationDate: _, ...dateless } = ami(20);
    for (const existing of [
      [dateless, first],
      [first, dateless],
    ])
      expect(retained(2, existing)).toEqual({
        keep: [first],
        remove: [dateless],
        held: [],
        protect: [],
        ...nothing,
        foreign: [],
      });
  });

  test('one that is disabled, still being made, or failed, is neither counted nor removed', () => {
    const states = (['disabled', 'pending', 'failed', 'deregistered'] as const).map((State, index) =>
      ami(21 + index, { State }),
    );
    expect(retained(2, [...states, second, first])).toEqual({
      keep: [second],
      remove: [first],
      held: [],
      protect: [],
      ...nothing,
      foreign: [],
    });
  });

  test('one that was recalled stays, whatever its state, and takes no place', () => {
    const recalled = ami(13, { Tags: [{ Key: recalledTag, Value: 'CVE-2026-1' }] });
    expect(retained(2, [recalled, second, first])).toEqual(retained(2, [second, first]));
  });

  test('one that failed its boot test isn’t counted, and goes once a newer one is published', () => {
    const failed = ami(13, { Tags: [{ Key: tagKeys.bootTest, Value: 'failed: status' }] });
    expect(retained(3, [failed, second, first])).toEqual({
      keep: [second, first],
      remove: [failed],
      held: [],
      protect: [],
      ...nothing,
      foreign: [],
    });
  });

  describe('with retain-days', () => {
    const day = 24 * 3_600_000;
    const at = (daysAgo: number) => new Date(facts.now - daysAgo * day).toISOString();
    const tagged = (image: Image, key: 'published' | 'superseded', value: string): Image => ({
      ...image,
      Tags: [...(image.Tags ?? []), { Key: tagKeys[key], Value: value }],
    });
    const whyHeld = (existing: readonly Image[], over: Partial<RetentionFacts> = {}) =>
      retained(1, existing, { days: 7, ...over }).held.map(({ image, why }) => [image.ImageId, why]);

    test('one goes when what came after it has been published for so long, by the tag of either', () => {
      const newer = tagged(third, 'published', at(8));
      expect(whyHeld([newer, second])).toEqual([['ami-13', 'its successor has been published for 0 of 7 days']]);
      expect(whyHeld([tagged(third, 'published', at(6)), second])).toEqual([
        ['ami-13', 'its successor has been published for 0 of 7 days'],
        ['ami-12', 'its successor has been published for 6 of 7 days'],
      ]);
      // On the day itself.
      expect(whyHeld([tagged(third, 'published', at(7)), second]).map(([id]) => id)).toEqual(['ami-13']);
      // The successor's own tag was lost, or is yet to be written; that of another one's says nothing of it.
      const said = (superseded: string) => whyHeld([third, tagged(second, 'superseded', superseded)])[1];
      expect(said(`ami-13 ${at(8)}`)).toBeUndefined();
      expect(said(`ami-13 ${at(6)}`)).toEqual(['ami-12', 'its successor has been published for 6 of 7 days']);
      const untold = ['ami-12', 'nothing says since when its successor has been published'];
      for (const other of [`ami-99 ${at(8)}`, 'ami-13', 'ami-13 yesterday', '']) expect(said(other)).toEqual(untold);
    });

    test('the successor that a tag names counts from when it is published; one that is gone proves nothing', () => {
      const newer = tagged(third, 'published', at(8));
      const fourth = tagged(ami(14), 'published', at(3));
      const why = (superseded: string, more: readonly Image[] = [newer]) =>
        whyHeld([fourth, ...more, tagged(second, 'superseded', superseded)])
          .filter(([id]) => id === 'ami-12')
          .map(([, text]) => text);
      expect(why(`ami-13 ${at(9)}`)).toEqual([]);
      expect(why(`ami-14 ${at(9)}`)).toEqual(['its successor has been published for 3 of 7 days']);
      // The tag says that it was so later.
      expect(why(`ami-13 ${at(5)}`)).toEqual(['its successor has been published for 5 of 7 days']);
      // Without it, what comes after decides.
      expect(why(`ami-99 ${at(9)}`)).toEqual([]);
      expect(why(`ami-99 ${at(9)}`, [])).toEqual(['its successor has been published for 3 of 7 days']);
      expect(whyHeld([tagged(second, 'superseded', `ami-99 ${at(9)}`)])).toEqual([
        ['ami-12', 'its successor has been published for 0 of 7 days'],
      ]);
      // What was published before it is not what came after it, nor is it itself.
      expect(why(`ami-11 ${at(9)}`, [tagged(first, 'published', at(20))])).toEqual([
        'its successor has been published for 3 of 7 days',
      ]);
      expect(
        whyHeld([fourth, tagged(tagged(second, 'published', at(9)), 'superseded', `ami-12 ${at(9)}`)]),
      ).toContainEqual(['ami-12', 'its successor has been published for 3 of 7 days']);
    });

    test('an older AMI that is used again counts from now, and what it comes after from then on', () => {
      const back = tagged(tagged(first, 'published', at(20)), 'superseded', `ami-12 ${at(10)}`);
      const current = tagged(second, 'published', at(10));
      expect(whyHeld([back, current], { reused: back })).toEqual([
        ['ami-12', 'its successor has been published for 0 of 7 days'],
      ]);
      // Days later, by another run on the same AMI.
      const returned = tagged(first, 'published', at(6));
      const replaced = tagged(current, 'superseded', `ami-11 ${at(6)}`);
      expect(whyHeld([returned, replaced], { reused: returned })).toEqual([
        ['ami-12', 'its successor has been published for 6 of 7 days'],
      ]);
    });

    test('one that was published between keeps its successor while an older AMI is used again', () => {
      const back = tagged(first, 'published', at(20));
      const current = tagged(third, 'published', at(9));
      expect(whyHeld([back, tagged(second, 'published', at(12)), current], { reused: back })).toEqual([
        ['ami-13', 'its successor has been published for 0 of 7 days'],
      ]);
    });

    test('a tag can’t say that it was published before it was made', () => {
      const ancient = '2001-01-01T00:00:00Z';
      const made = { now: Date.parse(third.CreationDate ?? '') + 2 * day };
      for (const forged of [
        [tagged(third, 'published', ancient), second],
        [third, tagged(second, 'superseded', `ami-13 ${ancient}`)],
      ])
        expect(whyHeld(forged, made)).toContainEqual(['ami-12', 'its successor has been published for 2 of 7 days']);
    });

    test('what was made after the one that is used again was published has had that as its successor since then only', () => {
      const published = tagged(first, 'published', at(13));
      const unpublished = ami(22);
      expect(whyHeld([published, unpublished], { reused: published })).toEqual([
        ['ami-22', 'its successor has been published for 4 of 7 days'],
      ]);
    });

    test('of no days, nothing is to wait for, whatever the clocks say', () => {
      const ahead = tagged(third, 'published', at(-1));
      expect(retained(1, [ahead, second]).remove).toEqual([ahead, second]);
    });

    test('where nothing says since when, it stays', () => {
      expect(whyHeld([third, second])).toContainEqual([
        'ami-12',
        'nothing says since when its successor has been published',
      ]);
    });
  });

  test('what was launched after its successor was published is in use', () => {
    const newer = { ...third, Tags: [{ Key: tagKeys.published, Value: '2026-11-20T00:00:00.000Z' }] };
    const launched = (when: string) =>
      retained(1, [newer, { ...second, LastLaunchedTime: `2026-11-${when}T00:00:00Z` }]).held.map(({ why }) => why);
    expect(launched('19')).toEqual([]);
    expect(launched('20')).toEqual([]);
    expect(launched('21')).toEqual(['it was launched at 2026-11-21T00:00:00Z, after its successor was published']);
  });

  test('what was launched since its successor was made is in use, where nothing says when that was published', () => {
    const launched = (LastLaunchedTime: string) =>
      retained(1, [third, { ...second, LastLaunchedTime }]).held.map(({ image }) => image.ImageId);
    expect(launched('2026-11-13T00:00:00Z')).toEqual([]);
    expect(launched('2026-11-13T00:00:01Z')).toEqual(['ami-12']);
  });

  test('one that was gone back to is kept as the newest by publication, beside the newest that was made', () => {
    const published = (image: Image, on: number) => ({
      ...image,
      Tags: [{ Key: tagKeys.published, Value: `2026-11-${on}T00:00:00Z` }],
    });
    const [back, middle, newest] = [published(first, 20), published(second, 12), published(third, 13)];
    const { keep, remove } = retained(2, [newest, middle, back]);
    expect([keep, remove]).toEqual([[newest, back], [middle]]);
  });

  describe('what others may launch', () => {
    const day = 24 * 3_600_000;
    const newer = { ...third, Tags: [{ Key: tagKeys.published, Value: '2026-11-13T00:00:00Z' }] };
    const users = new Map([['ami-12', [{ by: 'others', launches: false, others: ['222222222222'] }]]]);
    const sharing = { retainShared: 'by-report' as const, launchPermissions: [{ UserId: '222222222222' }] };
    const report = (daysAgo: number, usedBy: readonly string[] = []) => ({
      report: {
        ReportId: `report-${daysAgo}`,
        State: 'available',
        CreationTime: new Date(facts.now - daysAgo * day),
        ResourceTypes: reportedTypes,
        Tags: [{ Key: tagKeys.sourceAmi, Value: 'ami-12' }],
      },
      usedBy,
    });
    const judged = (over: Partial<RetentionFacts>) => {
      const { remove, held, ask, reports } = retained(2, [newer, second, first], {
        ...{ users, sharing, reports: new Map() },
        ...over,
      });
      return { remove, held, ask, reports };
    };
    const stays = (why: string) => ({ remove: [first], held: [{ image: second, why }], ...nothing });

    test('goes with the report by which nobody does; what nobody may needs none', () => {
      expect(judged({ reports: new Map([['ami-12', [report(2), report(1)]]]) })).toEqual({
        remove: [second, first],
        held: [],
        ask: [],
        reports: new Map([['ami-12', 'report-1']]),
      });
    });

    test('is asked about in place of the reports that are there, where none shows that', () => {
      const asked = 'others may launch it: a usage report is asked for, which a later run reads';
      const ask = (...replaces: string[]) => [{ image: second, replaces }];
      expect(judged({})).toEqual({ ...stays(asked), ask: ask() });
      // Of before its successor was published; and of another AMI.
      expect(judged({ reports: new Map([['ami-12', [report(14)]]]) })).toEqual({
        ...stays(asked),
        ask: ask('report-14'),
      });
      expect(judged({ reports: new Map([['ami-11', [report(1)]]]) })).toEqual({ ...stays(asked), ask: ask() });
      const { held, ...rest } = judged({ reports: new Map([['ami-12', [report(1, ['222222222222'])]]]) });
      expect(held.map(({ why }) => why)).toEqual([expect.stringMatching(/^it is used in 222222222222, says the/)]);
      expect(rest).toEqual({ remove: [first], ask: ask('report-1'), reports: new Map() });
    });

    test('stays, and is not asked about, where reports can’t be read, come too early, or are not wanted', () => {
      expect(judged({ reports: undefined })).toEqual(
        stays('others may launch it, and usage reports could not be read'),
      );
      expect(judged({ now: Date.parse('2026-11-15T00:00:00Z') })).toEqual(
        stays('others may launch it, and a usage report is asked for 3 days after its successor was published'),
      );
      expect(judged({ days: 30 })).toMatchObject({
        held: [{ image: second, why: 'its successor has been published for 13 of 30 days' }, { image: first }],
        ...nothing,
      });
      expect(judged({ sharing: { ...sharing, retainShared: 'keep' } })).toEqual(stays('it is used by others'));
    });
  });

  test('one that came into use after its own protection was lifted is protected again', () => {
    const marked = (over: Image): Image => ({ ...first, ...over, Tags: [{ Key: tagKeys.protection, Value: 'on' }] });
    const users = new Map([['ami-11', [{ by: 'lt-1', launches: true }]]]);
    const protecting = (image: Image, over: Partial<RetentionFacts> = {}) =>
      retained(1, [image], { users, ...over }).protect;
    for (const DeregistrationProtection of ['disabled', 'disabled-with-cooldown', undefined]) {
      const lifted = marked({ DeregistrationProtection });
      expect(protecting(lifted)).toEqual([lifted]);
    }
    expect(protecting(marked({ DeregistrationProtection: 'enabled-with-cooldown' }))).toEqual([]);
    expect(protecting(first)).toEqual([]);
    expect(protecting(marked({}), { users: new Map() })).toEqual([]);
    expect(protecting(marked({}), { users: undefined })).toEqual([]);
    expect(protecting(marked({}), { tie: () => ({ is: 'claimed', why: '' }) })).toEqual([]);
  });

  test('its own protection holds none, though it has a cooldown', () => {
    const own = {
      ...first,
      DeregistrationProtection: 'enabled-with-cooldown',
      Tags: [{ Key: tagKeys.protection, Value: 'on-with-cooldown' }],
    };
    expect(retained(1, [own]).remove).toEqual([own]);
    // Unless the inputs ask for none: then it is not theirs to lift.
    const why = 'it is protected from deregistration (enabled-with-cooldown)';
    expect(retained(1, [own], { mayLift: false }).held).toEqual([{ image: own, why }]);
  });

  test('the former ones are those of the lineage before it of which nothing says so yet', () => {
    const said = { ...first, Tags: [{ Key: tagKeys.superseded, Value: 'ami-12 2026-11-12T00:00:00Z' }] };
    const former = (over: object) =>
      formerOf({ existing: [third, second, said], reused: undefined, tie: () => ({ is: 'proven' }), ...over });
    expect(former({})).toEqual([third, second]);
    expect(former({ reused: third })).toEqual([second]);
    // One made at the same time comes before none.
    const twin = { ...third, ImageId: 'ami-twin' };
    expect(former({ existing: [twin], reused: third })).toEqual([]);
    // An older AMI that is used again comes after none that is newer, unless that is published.
    expect(former({ reused: second })).toEqual([]);
    const published = { ...third, Tags: [{ Key: tagKeys.published, Value: '2026-11-13T00:00:00Z' }] };
    expect(former({ existing: [published, second], reused: second })).toEqual([published]);
    expect(former({ tie: () => ({ is: 'claimed', why: '' }) })).toEqual([]);
  });

  test('one is published again where something came after it, and not where it is the last, or the first', () => {
    const marked = (image: Image, key: 'published' | 'superseded', Value: string) => ({
      ...image,
      Tags: [{ Key: tagKeys[key], Value }],
    });
    const again = (reused: Image | undefined, ...existing: readonly Image[]) =>
      isPublishedAgain({ existing, reused, tie: () => ({ is: 'proven' }) });
    const later = marked(third, 'published', '2026-11-13T00:00:00Z');
    expect(again(second, first, later)).toBe(true);
    expect(again(marked(second, 'superseded', 'ami-13 2026-11-13T00:00:00Z'), first)).toBe(true);
    expect(again(second, first, third)).toBe(false);
    expect(again(later, first, second)).toBe(false);
    // A new AMI is published for the first time.
    expect(again(undefined, first, later)).toBe(false);
  });

  test('what a run is making, and what runs make on the way, is not looked at', () => {
    const inTheMaking = ami(21, { Tags: [{ Key: tagKeys.lease, Value: 'dddddddddddd' }] });
    const name = encryptedCopyName('ami-601d', 'key-1');
    const onTheWay = ami(22, { Name: name, Tags: [{ Key: tagKeys.lineage, Value: 'golden' }] });
    expect(retained(1, [inTheMaking, onTheWay])).toEqual({
      keep: [],
      remove: [],
      held: [],
      protect: [],
      ...nothing,
      foreign: [],
    });
  });

  test('what AWS lets not be removed is held, and told why', () => {
    const protectedOne = ami(12, { DeregistrationProtection: 'enabled-without-cooldown' });
    const locked = ami(11, { BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: 'snap-11' } }] });
    const locks = new Map([['snap-11', { SnapshotId: 'snap-11', LockState: 'governance' as const }]]);
    expect(retained(2, [third, protectedOne, locked, ami(10)], { locks })).toEqual({
      keep: [third],
      remove: [ami(10)],
      held: [
        { image: protectedOne, why: 'it is protected from deregistration (enabled-without-cooldown)' },
        { image: locked, why: 'its snapshot snap-11 is locked (governance)' },
      ],
      protect: [],
      ...nothing,
      foreign: [],
    });
  });

  test('what something uses is held, and told by what; what holds it besides comes first', () => {
    const protectedOne = ami(12, { DeregistrationProtection: 'enabled-without-cooldown' });
    const running = (by: string) => ({ by, launches: false });
    const users = new Map([
      ['ami-11', [running('i-1'), { by: 'lt-1', launches: true }]],
      ['ami-12', [running('i-2')]],
      ['ami-13', [running('i-3')]],
    ]);
    expect(retained(2, [third, protectedOne, first, ami(10)], { users })).toEqual({
      keep: [third],
      remove: [ami(10)],
      held: [
        { image: protectedOne, why: 'it is protected from deregistration (enabled-without-cooldown)' },
        { image: first, why: 'it is used by i-1, lt-1' },
      ],
      protect: [],
      ...nothing,
      foreign: [],
    });
  });

  test('what is foreign does not count, and is told; it takes no place from what is ours', () => {
    const why = 'it was copied from ami-1, not from ami-2';
    const tie = ({ ImageId }: Image) =>
      ImageId === 'ami-13' ? { is: 'foreign' as const, why } : { is: 'proven' as const };
    expect(retained(2, [first, second, third], { tie })).toEqual({
      keep: [second],
      remove: [first],
      held: [],
      protect: [],
      ...nothing,
      foreign: [third],
    });
  });

  test.each(['claimed', 'unknown'] as const)(
    'what is %s is held, with the reason, before any other; it takes no place from what is proven',
    (is) => {
      const protectedOne = ami(12, { DeregistrationProtection: 'enabled-without-cooldown' });
      const why = 'only a tag says so';
      const tie = ({ ImageId }: Image) => (ImageId === 'ami-11' ? { is: 'proven' as const } : { is, why });
      expect(retained(2, [third, protectedOne, first], { tie, users: undefined })).toEqual({
        keep: [first],
        remove: [],
        held: [
          { image: third, why },
          { image: protectedOne, why },
        ],
        protect: [],
        ...nothing,
        foreign: [],
      });
    },
  );

  test('where what uses them is not known, all are held', () => {
    const protectedOne = ami(12, { DeregistrationProtection: 'enabled-without-cooldown' });
    expect(retained(1, [first, protectedOne], { users: undefined })).toEqual({
      keep: [],
      remove: [],
      held: [
        { image: protectedOne, why: 'it is protected from deregistration (enabled-without-cooldown)' },
        { image: first, why: 'what uses it is not known' },
      ],
      protect: [],
      ...nothing,
      foreign: [],
    });
  });
});

describe('what AWS lets not be removed', () => {
  const soon = { mayWait: false };
  const told = (image: Image, locks: Parameters<typeof removalObstacle>[1] = new Map()) => {
    const { why, remedy } = removalObstacle(image, locks, soon) ?? {};
    return { why, remedy: remedy?.('eu-west-1') };
  };
  const volume = (id: string) => ({ DeviceName: `/dev/${id}`, Ebs: { SnapshotId: id } });
  const ami: Image = { ImageId: 'ami-1', BlockDeviceMappings: [volume('snap-1'), volume('snap-2')] };

  test('is nothing of what is free', () => {
    const locks = new Map([['snap-3', { SnapshotId: 'snap-3', LockState: 'governance' as const }]]);
    expect(removalObstacle(ami, locks, soon)).toBeUndefined();
    expect(removalObstacle({ ...ami, DeregistrationProtection: 'disabled' }, new Map(), soon)).toBeUndefined();
  });

  test('is a protected AMI', () => {
    expect(told({ ...ami, DeregistrationProtection: 'enabled-with-cooldown' })).toEqual({
      why: 'it is protected from deregistration (enabled-with-cooldown)',
      remedy:
        'take the protection off: aws ec2 disable-image-deregistration-protection --region eu-west-1 --image-id ami-1',
    });
  });

  test('is not a protection of this action’s own, unless that has a cooldown and the AMI can’t wait', () => {
    const own = (
      DeregistrationProtection: string,
      Value = /with-/.test(DeregistrationProtection) ? 'on-with-cooldown' : 'on',
    ) => ({
      ...{ ...ami, DeregistrationProtection },
      Tags: [{ Key: tagKeys.protection, Value }],
    });
    const why = (protection: string, mayWait: boolean) => removalObstacle(own(protection), new Map(), { mayWait })?.why;
    expect(why('enabled-without-cooldown', false)).toBeUndefined();
    expect(why('enabled-with-cooldown', true)).toBeUndefined();
    expect(why('enabled-with-cooldown', false)).toMatch(/^it is protected from deregistration/);
    // One of another kind than the tag says is somebody else's.
    const other = own('enabled-without-cooldown', 'on-with-cooldown');
    expect(removalObstacle(other, new Map(), soon)?.why).toMatch(/^it is protected from deregistration/);
    expect(told(own('disabled-with-cooldown')).remedy).toBe('wait until that is over, a day at most');
    expect(why('disabled-with-cooldown', true)).toMatch(
      /^its protection from deregistration is lifted, and in its cooldown/,
    );
  });

  test('is one that AWS Backup manages', () => {
    const Tags = [{ Key: 'aws:backup:source-resource', Value: 'i-1' }];
    expect(told({ ...ami, Tags })).toEqual({
      why: 'it is managed by AWS Backup, and EC2 deregisters no such AMI',
      remedy: 'delete its recovery point in the backup vault',
    });
  });

  test('is one with a locked snapshot, for good or until somebody unlocks it', () => {
    const lock = { SnapshotId: 'snap-2', LockState: 'governance' as const };
    expect(told(ami, new Map([['snap-2', lock]]))).toEqual({
      why: 'its snapshot snap-2 is locked (governance)',
      remedy: 'unlock it: aws ec2 unlock-snapshot --region eu-west-1 --snapshot-id snap-2',
    });
    const compliance = { ...lock, LockState: 'compliance' as const, LockExpiresOn: new Date('2027-01-01T00:00:00Z') };
    expect(told(ami, new Map([['snap-2', compliance]]))).toEqual({
      why: 'its snapshot snap-2 is locked (compliance until 2027-01-01T00:00:00.000Z)',
      remedy: 'wait until the lock expires: in compliance mode nobody can take it off',
    });
  });
});
