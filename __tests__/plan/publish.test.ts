import type { Image } from '@aws-sdk/client-ec2';
import { describe, expect, test } from '@jest/globals';
import { encryptedCopyName } from '../../src/encrypted-copy.ts';
import { lineageOf, planRetention } from '../../src/plan/publish.ts';
import { tagKeys } from '../../src/tags.ts';

test('the bakes of one image have one lineage: every run of digits in the name is as one', () => {
  expect(lineageOf({ Name: 'golden-2026-11-23-v7' })).toBe('golden-#-#-#-v#');
  expect(lineageOf({ Name: 'golden-2026-12-1-v10' })).toBe('golden-#-#-#-v#');
  expect(lineageOf({ Name: 'golden' })).toBe('golden');
  expect(lineageOf({})).toBe('');
});

describe('which AMIs of a lineage stay', () => {
  const ami = (day: number, over: Image = {}): Image => ({
    ImageId: `ami-${day}`,
    Name: `golden-${day}`,
    State: 'available',
    CreationDate: `2026-11-${day}T00:00:00.000Z`,
    Tags: [],
    ...over,
  });
  const [first, second, third] = [ami(11), ami(12), ami(13)] as const;
  const retained = (count: number, existing: readonly Image[], reused?: Image) =>
    planRetention(count, 'golden-#', 'golden-14', existing, reused);

  test('the newest do, the new AMI being one of them', () => {
    expect(retained(2, [first, third, second])).toEqual({ keep: [third], remove: [second, first] });
    expect(retained(1, [first, third, second])).toEqual({ keep: [], remove: [third, second, first] });
    expect(retained(4, [first, third, second])).toEqual({ keep: [third, second, first], remove: [] });
  });

  test('the AMI that is reused counts as the newest', () => {
    expect(retained(2, [first, second, third], first)).toEqual({ keep: [third], remove: [second] });
  });

  test('an AMI without a date is the oldest', () => {
    const { CreationDate: _, ...dateless } = ami(20);
    for (const existing of [
      [dateless, first],
      [first, dateless],
    ])
      expect(retained(2, existing)).toEqual({ keep: [first], remove: [dateless] });
  });

  test('a disabled one may go; one that is still being made, or failed, does not', () => {
    const states = (['disabled', 'pending', 'failed', 'deregistered'] as const).map((State, index) =>
      ami(21 + index, { State }),
    );
    expect(retained(1, states)).toEqual({ keep: [], remove: states.slice(0, 1) });
  });

  test('the lineage is that of the tag; of an AMI that has none, and of one with the asked name, that of the name', () => {
    const lineage = (Value: string) => [{ Key: tagKeys.lineage, Value }];
    const renamed = ami(21, { Name: 'shared', Tags: lineage('golden-#') });
    const others = ami(22, { Name: 'other-22', Tags: lineage('other-#') });
    const untagged = ami(23, { Name: 'silver-23' });
    const asked = ami(24, { Tags: lineage('former-#') });
    expect(retained(1, [renamed, others, untagged, asked]).remove).toEqual([asked, renamed]);
    // The source may be called otherwise than the AMI that is made of it.
    expect(planRetention(1, 'silver-#', 'golden-14', [untagged, first, others], undefined).remove).toEqual([
      untagged,
      first,
    ]);
  });

  test('what a run is making, and what runs make on the way, is not looked at', () => {
    const inTheMaking = ami(21, { Tags: [{ Key: tagKeys.lease, Value: 'dddddddddddd' }] });
    const name = encryptedCopyName('ami-golden', 'key-1');
    const onTheWay = ami(22, { Name: name, Tags: [{ Key: tagKeys.lineage, Value: 'golden-#' }] });
    expect(retained(1, [inTheMaking, onTheWay])).toEqual({ keep: [], remove: [] });
  });
});
