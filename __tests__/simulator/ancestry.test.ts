import {
  CopyImageCommand,
  CreateImageCommand,
  GetImageAncestryCommand,
  RegisterImageCommand,
} from '@aws-sdk/client-ec2';
import { expect, test } from '@jest/globals';
import { ideal } from '../../simulator/hardness.ts';
import { amiIdOf } from '../../simulator/scenario.ts';
import { openAccount } from '../account.ts';

const account = '111111111111';
const region = 'us-east-1';
const amiId = amiIdOf(account, region, 'golden');
const instanceId = 'i-0a1b2c3d4e5f60718';
const volumes = [{ device: '/dev/xvda', sizeGiB: 1 }];
const golden = {
  name: 'golden',
  volumes,
  attributes: { SourceImageId: 'ami-0ffffffffffffffff', SourceImageRegion: 'us-west-2' },
};

async function open() {
  const there = await openAccount(
    account,
    {
      [region]: { amis: [golden], instances: [{ id: instanceId, volumes, imageId: amiId }] },
    },
    { rules: ideal.rules, timings: ideal.timings },
  );
  const { ec2 } = there.at(region);
  const ancestry = async (ImageId: string | undefined) =>
    (await ec2(new GetImageAncestryCommand({ ImageId }))).ImageAncestryEntries?.map((entry) => [
      entry.ImageId,
      entry.SourceImageId,
    ]);
  const copy = async (SourceImageId: string | undefined, Name: string) =>
    (await ec2(new CopyImageCommand({ Name, SourceImageId, SourceRegion: region }))).ImageId;
  return { there, ec2, ancestry, copy };
}

test('an image tells those that it comes from, deregistered ones and ones that cannot be seen too', async () => {
  const { there, ec2, ancestry, copy } = await open();
  const made = (await ec2(new CreateImageCommand({ InstanceId: instanceId, Name: 'made' }))).ImageId;
  await there.simulator.clock.sleep(60_000);
  const copied = await copy(made, 'copied');
  there.deregister(region, made ?? '');
  const whole = [
    [copied, made],
    [made, amiId],
    [amiId, golden.attributes.SourceImageId],
    [golden.attributes.SourceImageId, undefined],
  ];
  expect(await ancestry(copied)).toEqual(whole);
  const { data } = there.imageIn(region, made ?? '');
  expect([data.SourceInstanceId, data.SourceImageRegion]).toEqual([instanceId, region]);
  expect(there.imageIn(region, copied ?? '').data.SourceInstanceId).toBeUndefined();
  await expect(ancestry('ami-0ffffffffffffffff')).rejects.toThrow('InvalidAMIID.NotFound');
});

test('an image that was registered comes from none, and no list is longer than 50', async () => {
  const { there, ec2, ancestry, copy } = await open();
  const SnapshotId = there.snapshots(region)[0]?.data.SnapshotId;
  const { ImageId } = await ec2(
    new RegisterImageCommand({
      Name: 'registered',
      RootDeviceName: '/dev/xvda',
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
    }),
  );
  await there.simulator.clock.sleep(60_000);
  expect(await ancestry(ImageId)).toEqual([[ImageId, undefined]]);
  let last = ImageId;
  for (let generation = 0; generation < 50; generation += 1) {
    last = await copy(last, `copy-${generation}`);
    await there.simulator.clock.sleep(60_000);
  }
  const entries = (await ancestry(last)) ?? [];
  expect(entries).toHaveLength(50);
  expect(entries.map(([id]) => id)).not.toContain(ImageId);
});

test('every answer has the time of the clock that all goes by', async () => {
  const { there } = await open();
  const request = { method: 'POST', path: '/', headers: {}, body: 'Action=Fly' };
  const dateOf = async () => {
    const answer = await there.simulator.answer(request);
    return typeof answer === 'string' ? answer : answer.headers.date;
  };
  const first = await dateOf();
  expect(first).toBe(new Date(there.simulator.clock.now()).toUTCString());
  await there.simulator.clock.sleep(3_600_000);
  expect(Date.parse((await dateOf()) ?? '') - Date.parse(first ?? '')).toBe(3_600_000);
});
