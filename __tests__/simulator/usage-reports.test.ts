import {
  CreateImageUsageReportCommand,
  DeleteImageUsageReportCommand,
  DescribeImageUsageReportEntriesCommand,
  DescribeImageUsageReportsCommand,
} from '@aws-sdk/client-ec2';
import { expect, test } from '@jest/globals';
import { ideal } from '../../simulator/hardness.ts';
import { amiIdOf } from '../../simulator/scenario.ts';
import { regionOf } from '../../simulator/world.ts';
import { openAccount } from '../account.ts';

const account = '111111111111';
const region = 'us-east-1';
const ImageId = amiIdOf(account, region, 'golden');
const day = 86_400_000;
const ResourceTypes = [{ ResourceType: 'ec2:Instance' }];

test('a usage report is pending, one at a time of an image, then there for 30 days; it tells instances a day late', async () => {
  const golden = { name: 'golden', volumes: [{ device: '/dev/xvda', sizeGiB: 1 }] };
  const there = await openAccount(
    account,
    { [region]: { amis: [golden] } },
    { rules: ideal.rules, timings: { ...ideal.timings, usageReportSeconds: 600 } },
  );
  const { ec2 } = there.at(region);
  const { clock } = there.simulator;
  const image = there.imageIn(region, ImageId);
  const used = { account: '222222222222', type: 'ec2:Instance', count: 2 };
  image.usedElsewhere = [
    { ...used, since: clock.now() - day },
    { ...used, account: '333333333333', since: clock.now() },
    { ...used, account: '444444444444', type: 'ec2:LaunchTemplate', since: 0 },
  ];
  const create = (ClientToken: string) =>
    ec2(new CreateImageUsageReportCommand({ ImageId, ResourceTypes, ClientToken }));
  const states = async () =>
    (await ec2(new DescribeImageUsageReportsCommand({ ImageIds: [ImageId] }))).ImageUsageReports?.map(
      ({ State }) => State,
    );
  const entries = async () =>
    (await ec2(new DescribeImageUsageReportEntriesCommand({ ImageIds: [ImageId] }))).ImageUsageReportEntries?.map(
      ({ AccountId, UsageCount }) => [AccountId, UsageCount],
    );
  const { ReportId } = await create('once');
  expect([(await create('once')).ReportId, await states(), await entries()]).toEqual([ReportId, ['pending'], []]);
  await expect(create('again')).rejects.toThrow('ResourceLimitExceeded');
  await clock.sleep(600_000);
  expect([await states(), await entries()]).toEqual([['available'], [['222222222222', 2]]]);
  // The session is over before the report is.
  for (const report of regionOf(there.simulator.world, account, region).usageReports.values()) {
    expect(report.expiresAt - (report.data.CreationTime?.getTime() ?? 0)).toBe(30 * day);
    report.expiresAt = clock.now();
  }
  expect(await states()).toEqual([]);
  const { ReportId: second } = await create('again');
  await ec2(new DeleteImageUsageReportCommand({ ReportId: second }));
  await expect(ec2(new DeleteImageUsageReportCommand({ ReportId: second }))).rejects.toThrow('NotFound');
  const wrong = { ImageId, ResourceTypes: [{ ResourceType: 'ec2:Volume' }] };
  await expect(ec2(new CreateImageUsageReportCommand(wrong))).rejects.toThrow('InvalidParameterValue');
});
