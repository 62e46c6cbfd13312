import { describe, expect, test } from '@jest/globals';
import { amiIdOf } from '../simulator/scenario.ts';
import {
  type Case,
  sourceAccount,
  sourceRegion,
  standardCase,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import type { RecordedCall } from '../simulator/simulator.ts';
import { type Region, regionOf } from '../simulator/world.ts';
import { type House, killAt, messagesOf, openHouse, recordsOf } from './house/house.ts';
import { runAction, runJob } from './in-process.ts';
import { openedPolicy } from './policy-cases.ts';

/* An AMI that others may launch goes only by a report of AWS that nobody does. */

const day = 24 * 60;
const volumes = [{ device: '/dev/xvda', sizeGiB: 8, key: 'cmkSource' }];
const others = ['222222222222', '333333333333'];
const shared = { 'launch-permissions': others.join('\n') };
const byReport = { ...shared, retain: '1', 'retain-shared': 'by-report' };

function twoBakes(policies: readonly string[] = ['target-retain', 'target-retain-shared', 'target-publish']): Case {
  const [first = '', ...later] = ['golden-1', 'golden-2'];
  return standardCase({
    ...{ policies, volumes, timings: { baseSeconds: 60, secondsPerGiB: 0 } },
    // Those that may launch can use the key, one by its policy and one by a grant.
    targetKey: {
      policy: openedPolicy(targetAccount, '222222222222'),
      grantedTo: ['arn:aws:iam::333333333333:role/app'],
    },
    ...{ ami: { name: first }, source: { amis: later.map((name) => ({ name, volumes })) } },
  });
}

const placeOf = ({ simulator }: House): Region => regionOf(simulator.world, targetAccount, targetRegion);
const reportsOf = (house: House) => [...placeOf(house).usageReports.values()];
const namesIn = (house: House) =>
  [...placeOf(house).images.values()]
    .filter(({ deregisteredAt }) => deregisteredAt === undefined)
    .map(({ data }) => data.Name)
    .sort();

function asked(house: House, name: string, inputs: Record<string, string>) {
  const run_id = String(house.simulator.calls.length + 1);
  const ami = amiIdOf(sourceAccount, sourceRegion, name);
  return house.run({ lineage: 'golden', 'ami-id': ami, ...inputs }, { run_id });
}

async function bake(house: House, name: string, inputs: Record<string, string> = byReport) {
  const { main, post } = await runJob(asked(house, name, inputs));
  const plan = JSON.parse(main.outputs.plan ?? '{}') as { operations?: { kind: string; outcome: string }[] };
  const asking = plan.operations?.filter(({ kind }) => kind === 'ask-usage').map(({ outcome }) => outcome);
  return { main, asking, told: messagesOf(main) + messagesOf(post), id: recordsOf(main)[0]?.amiId ?? '' };
}

/** Two bakes, the first of which others may launch, and so many minutes after the second. */
async function baked(house: House, minutes = 4 * day): Promise<string> {
  const first = await bake(house, 'golden-1', shared);
  await bake(house, 'golden-2', shared);
  await house.settle(minutes);
  return first.id;
}

describe('retain-shared: by-report', () => {
  test('asks AWS, waits for the report, and removes what nobody else uses, with the report', async () => {
    await using house = await openHouse(twoBakes());
    const id = await baked(house, 2 * day);
    const early = await bake(house, 'golden-2');
    expect(early.main.stdout).toMatch(/golden-1\) stays: .* a usage report is asked for 3 days after its successor/);
    expect([early.told, early.asking, reportsOf(house)]).toEqual(['', [], []]);
    await house.settle(day);
    const planned = await bake(house, 'golden-2', { ...byReport, 'dry-run': 'true' });
    expect([planned.told, planned.asking, reportsOf(house)]).toEqual(['', ['planned'], []]);
    const asking = await bake(house, 'golden-2');
    expect([asking.told, asking.asking]).toEqual(['', ['done']]);
    expect(asking.main.stdout).toMatch(/golden-1\) stays: .* a usage report is asked for, which a later run reads/);
    const [report] = reportsOf(house);
    expect(report?.data).toMatchObject({ ImageId: id });
    expect(report?.data.Tags.map(({ Key }) => Key)).toContain('share-encrypted-ami:source-ami');
    const pending = await bake(house, 'golden-2');
    expect(pending.main.stdout).toMatch(/golden-1\) stays: .* AWS is still making the usage report/);
    expect([pending.told, pending.asking, reportsOf(house).length]).toEqual(['', [], 1]);
    await house.settle(day);
    const kept = await bake(house, 'golden-2', { ...byReport, 'retain-shared': 'keep' });
    expect(kept.main.stdout).toMatch(/golden-1\) stays: it is used by others, who may launch it/);
    const last = await bake(house, 'golden-2');
    expect([last.told, last.asking, reportsOf(house), namesIn(house)]).toEqual(['', [], [], ['golden-2']]);
    expect(JSON.parse(last.main.outputs['removed-amis'] ?? '')).toMatchObject([{ amiId: id }]);
    expect(house.remains().filter((line) => !/may be launched by/.test(line))).toEqual([]);
  });

  test('keeps what another account uses by the report, and asks anew each time', async () => {
    await using house = await openHouse(twoBakes());
    const id = await baked(house);
    const image = placeOf(house).images.get(id);
    const used = { account: '222222222222', type: 'ec2:LaunchTemplate', count: 1, since: 0 };
    // What its own account has is looked at as it is, not by a report.
    if (image) image.usedElsewhere = [used, { ...used, account: targetAccount }];
    await bake(house, 'golden-2');
    await house.settle(day);
    const [former] = reportsOf(house);
    const kept = await bake(house, 'golden-2');
    expect(kept.main.stdout).toMatch(/golden-1\) stays: it is used in 222222222222, says the usage report of 20/);
    expect([kept.told, kept.asking]).toEqual(['', ['done']]);
    expect(reportsOf(house).map(({ data }) => data.ReportId === former?.data.ReportId)).toEqual([false]);
    if (image) image.usedElsewhere = [];
    await house.settle(day);
    await bake(house, 'golden-2');
    await house.settle(day);
    const last = await bake(house, 'golden-2');
    expect([last.told, namesIn(house), reportsOf(house)]).toEqual(['', ['golden-2'], []]);
  });

  test('keeps what is shared with others than the inputs name, when planned or just before', async () => {
    await using house = await openHouse(twoBakes());
    const id = await baked(house);
    await bake(house, 'golden-2');
    await house.settle(day);
    const launch = placeOf(house).images.get(id)?.launch;
    launch?.add('444444444444');
    const kept = await bake(house, 'golden-2');
    expect(kept.main.stdout).toMatch(
      /golden-1\) stays: it is used by others, whom launch-permissions .*\(444444444444\)/,
    );
    launch?.delete('444444444444');
    const fewer = await bake(house, 'golden-2', { ...byReport, 'launch-permissions': '222222222222' });
    expect(fewer.main.stdout).toMatch(/golden-1\) stays: .*\(333333333333\)/);
    // Between the plan and its end.
    house.simulator.onCall(({ action }) => {
      if (action === 'DescribeImageUsageReportEntries') launch?.add('444444444444');
    });
    const late = await runAction(asked(house, 'golden-2', byReport));
    expect(late.stdout).toMatch(/golden-1\) stays: it is used by others, whom launch-permissions .*\(444444444444\)/);
    expect([namesIn(house), reportsOf(house).length]).toEqual([['golden-1', 'golden-2'], 1]);
  });

  test.each([
    ['was asked for too early', { at: -2 * day }],
    ['is not of all accounts', { AccountIds: ['222222222222'] }],
    ['looks at few versions of launch templates', { versions: '20' }],
    ['failed', { failure: 'InternalError: try again' }],
  ])('replaces a report that %s', async (_, { at = 0, AccountIds, versions, failure }: Spoilt) => {
    await using house = await openHouse(twoBakes());
    await baked(house, 3 * day + 60);
    await bake(house, 'golden-2');
    await house.settle(120);
    const [report] = reportsOf(house);
    if (report === undefined) throw new Error('no report');
    report.data.CreationTime = new Date((report.data.CreationTime?.getTime() ?? 0) + at * 60_000);
    if (AccountIds !== undefined) report.data.AccountIds = AccountIds;
    const depth = report.data.ResourceTypes?.[1]?.ResourceTypeOptions?.[0];
    if (versions !== undefined && depth !== undefined) depth.OptionValues = [versions];
    if (failure !== undefined) report.failure = failure;
    const again = await bake(house, 'golden-2');
    expect([again.told, again.asking]).toEqual(['', ['done']]);
    expect(again.main.stdout).toContain(failure ?? 'a usage report is asked for, which a later run reads');
    expect(reportsOf(house).map((one) => one === report)).toEqual([false]);
    expect(namesIn(house)).toEqual(['golden-1', 'golden-2']);
  });

  test('keeps an AMI on which somebody else has a report, which stays; and one whose reports can’t be read', async () => {
    await using house = await openHouse(twoBakes());
    await baked(house);
    await bake(house, 'golden-2');
    await house.settle(day);
    const [report] = reportsOf(house);
    if (report === undefined) throw new Error('no report');
    const { Tags } = report.data;
    report.data.Tags = [];
    await bake(house, 'golden-2');
    expect([namesIn(house), reportsOf(house).length]).toEqual([['golden-1', 'golden-2'], 2]);
    report.data.Tags = Tags;
    const refused = {
      kind: 'refusal',
      code: 'UnsupportedOperation',
      status: 400,
      message: 'not here',
      times: 9,
    } as const;
    house.simulator.addFault({ ...refused, action: 'DescribeImageUsageReports' });
    const blind = await bake(house, 'golden-2');
    expect(blind.told).toMatch(/AMIs that others may launch stay, because usage reports can't be read/);
    expect(namesIn(house)).toEqual(['golden-1', 'golden-2']);
  });

  test('keeps one whose report shows use only when it is read again', async () => {
    await using house = await openHouse(twoBakes());
    const id = await baked(house);
    await bake(house, 'golden-2');
    await house.settle(day);
    const late = { AccountId: '222222222222', ResourceType: 'ec2:Instance', UsageCount: 1, ImageId: id };
    house.simulator.onCall(({ action }) => {
      for (const { data, entries } of reportsOf(house))
        if (action === 'DescribeImageUsageReportEntries') entries.push({ ...late, ReportId: data.ReportId });
    });
    const kept = await bake(house, 'golden-2');
    expect(kept.main.stdout).toMatch(/golden-1\) stays: it is used by other accounts/);
    expect([kept.told, namesIn(house)]).toEqual(['', ['golden-1', 'golden-2']]);
  });

  test('lifts its own protection with a cooldown by a report, and the AMI goes by it a day later', async () => {
    await using house = await openHouse(twoBakes());
    const protecting = { 'deregistration-protection': 'on-with-cooldown' };
    await bake(house, 'golden-1', { ...shared, ...protecting });
    await bake(house, 'golden-2', shared);
    await house.settle(4 * day);
    const again = () => bake(house, 'golden-2', { ...byReport, ...protecting });
    await again();
    await house.settle(day);
    const lifted = await again();
    expect(lifted.main.stdout).toMatch(/golden-1\) stays a day more: its protection is lifted, and has a cooldown/);
    expect([lifted.told, reportsOf(house).length]).toEqual(['', 1]);
    await house.settle(2 * day);
    const last = await again();
    expect([last.told, namesIn(house), reportsOf(house)]).toEqual(['', ['golden-2'], []]);
  });

  test('where AWS can’t be asked, the AMI stays, and its target is none the worse', async () => {
    await using house = await openHouse(twoBakes());
    const id = await baked(house);
    const refusal = { kind: 'refusal', code: 'ResourceLimitExceeded', status: 400, message: 'too many' } as const;
    house.simulator.addFault({ ...refusal, action: 'CreateImageUsageReport', mutating: true, times: 1 });
    const refused = await bake(house, 'golden-2');
    expect(refused.told).toMatch(new RegExp(`AWS could not be asked which accounts use ${id}: .*too many`));
    expect([refused.main.conclusion, refused.asking, namesIn(house).length]).toEqual(['success', ['not possible'], 2]);
    await bake(house, 'golden-2');
    await house.settle(day);
    house.simulator.addFault({ ...refusal, action: 'DeleteImageUsageReport', mutating: true, times: 50 });
    const removed = await bake(house, 'golden-2');
    expect(removed.told).toMatch(/the usage report amiur-\w+ could not be deleted: .*too many/);
    expect([removed.main.conclusion, namesIn(house)]).toEqual(['success', ['golden-2']]);
  });

  test.each(['CreateImageUsageReport', 'DeregisterImage', 'DeleteImageUsageReport'])(
    'a run that is killed at %s leaves nothing that a later one doesn’t see to',
    async (name) => {
      await using house = await openHouse(twoBakes());
      await baked(house);
      if (name !== 'CreateImageUsageReport') {
        await bake(house, 'golden-2');
        await house.settle(day);
      }
      const isAt = ({ action, mutating, outcome }: RecordedCall) => action === name && mutating && outcome === 'ok';
      await killAt(house, asked(house, 'golden-2', byReport), isAt);
      for (let run = 0; run < 3; run += 1) {
        await house.settle(2 * day);
        expect((await bake(house, 'golden-2')).told).toBe('');
      }
      expect(namesIn(house)).toEqual(['golden-2']);
      // A report on an AMI that is gone is left to AWS, which deletes it.
      const { images } = placeOf(house);
      const isThere = (id: string) => images.has(id) && images.get(id)?.deregisteredAt === undefined;
      expect(reportsOf(house).filter(({ data }) => isThere(data.ImageId))).toEqual([]);
    },
  );
});

type Spoilt = Readonly<{ at?: number; AccountIds?: string[]; versions?: string; failure?: string }>;
