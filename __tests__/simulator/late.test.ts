// What a scenario may have come late or be refused: nothing of it happens unless it is asked for.
import {
  CopyImageCommand,
  CopySnapshotCommand,
  CreateTagsCommand,
  DescribeImagesCommand,
  DescribeSnapshotAttributeCommand,
  DescribeSnapshotsCommand,
  ModifySnapshotAttributeCommand,
  RegisterImageCommand,
} from '@aws-sdk/client-ec2';
import { CreateGrantCommand } from '@aws-sdk/client-kms';
import {
  AddTagsToResourceCommand,
  DeleteParameterCommand,
  DescribeParametersCommand,
  GetParametersByPathCommand,
  PutParameterCommand,
} from '@aws-sdk/client-ssm';
import { expect, test } from '@jest/globals';
import { ideal, type Timings } from '../../simulator/hardness.ts';
import { amiIdOf, keyArnOf } from '../../simulator/scenario.ts';
import { openAccount } from '../account.ts';

const account = '111111111111';
const region = 'us-east-1';
const amiId = amiIdOf(account, region, 'golden');

async function open(timings: Partial<Timings> = {}) {
  const amis = [{ name: 'golden', volumes: [{ device: '/dev/xvda', sizeGiB: 1 }], tags: { team: 'platform' } }];
  const there = await openAccount(
    account,
    { [region]: { amis, keys: { cmk: { grantQuota: 1 } } } },
    { timings: { ...ideal.timings, ...timings } },
  );
  const place = there.at(region);
  const id = there.snapshots(region)[0]?.data.SnapshotId ?? '';
  const image = async (ImageId: string) =>
    (await place.ec2(new DescribeImagesCommand({ ImageIds: [ImageId] }))).Images?.[0];
  const snapshot = async (SnapshotId: string) =>
    (await place.ec2(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }))).Snapshots?.[0];
  const register = () =>
    place.ec2(
      new RegisterImageCommand({
        Name: 'made',
        RootDeviceName: '/dev/xvda',
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: id } }],
        TagSpecifications: [{ ResourceType: 'image', Tags: [{ Key: 'a', Value: 'b' }] }],
      }),
    );
  const copy = () => place.ec2(new CopySnapshotCommand({ SourceRegion: region, SourceSnapshotId: id }));
  return { there, place, id, image, snapshot, register, copy, clock: there.simulator.clock };
}

test('RegisterImage gives an AMI that is pending for as long as the scenario says', async () => {
  const { register, image, clock } = await open({ registerSeconds: 600 });
  const { ImageId = '' } = await register();
  expect(await image(ImageId)).toMatchObject({ State: 'pending', BlockDeviceMappings: [{ Ebs: { VolumeSize: 1 } }] });
  await clock.sleep(599_000);
  expect((await image(ImageId))?.State).toBe('pending');
  await clock.sleep(1000);
  expect((await image(ImageId))?.State).toBe('available');
  const at = await open();
  expect((await at.image((await at.register()).ImageId ?? ''))?.State).toBe('available');
});

test('CopyImage gives an AMI that names no snapshots for as long as the scenario says', async () => {
  const { place, image, clock } = await open({ namesSnapshotsAfterSeconds: 5, baseSeconds: 60, secondsPerGiB: 0 });
  const { ImageId = '' } = await place.ec2(
    new CopyImageCommand({ Name: 'copy', SourceImageId: amiId, SourceRegion: region }),
  );
  const named = async () => (await image(ImageId))?.BlockDeviceMappings?.map(({ Ebs }) => Ebs?.SnapshotId);
  expect(await named()).toEqual([undefined]);
  await clock.sleep(5000);
  expect(await named()).toEqual([expect.stringMatching(/^snap-/)]);
  expect((await image(ImageId))?.State).toBe('pending');
});

test('reads show tags as they were so long ago, and none of what is new', async () => {
  const { there, place, id, image, snapshot, register, clock } = await open({ tagsVisibleAfterSeconds: 2 });
  const Tags = [{ Key: 'late', Value: '' }];
  await place.ec2(new CreateTagsCommand({ Resources: [amiId, id], Tags }));
  const { ImageId = '' } = await register();
  const seen = async () => [(await image(amiId))?.Tags, (await snapshot(id))?.Tags, (await image(ImageId))?.Tags];
  const team = { Key: 'team', Value: 'platform' };
  expect(await seen()).toEqual([[team], undefined, undefined]);
  // What is there is there for what goes by the truth.
  expect(there.imageIn(region, amiId).data.Tags).toEqual([team, ...Tags]);
  await clock.sleep(2000);
  expect(await seen()).toEqual([[team, ...Tags], Tags, [{ Key: 'a', Value: 'b' }]]);
});

test('reads show the shares of a snapshot as they were so long ago', async () => {
  const { place, id, clock } = await open({ sharesVisibleAfterSeconds: 2 });
  const CreateVolumePermission = { Add: [{ UserId: '999999999999' }] };
  await place.ec2(new ModifySnapshotAttributeCommand({ SnapshotId: id, CreateVolumePermission }));
  const attribute = { SnapshotId: id, Attribute: 'createVolumePermission' as const };
  const seen = async () =>
    (await place.ec2(new DescribeSnapshotAttributeCommand(attribute))).CreateVolumePermissions?.length ?? 0;
  expect(await seen()).toBe(0);
  await clock.sleep(2000);
  expect(await seen()).toBe(1);
});

test('a copy may end in error only after a while; a fault may strike by what a request holds', async () => {
  const { there, id, snapshot, copy, clock } = await open({ baseSeconds: 600 });
  there.simulator.addFault({ kind: 'copy-fails', action: 'CopySnapshot', holds: 'snap-0000', afterSeconds: 60 });
  const spared = (await copy()).SnapshotId ?? '';
  there.simulator.addFault({ kind: 'copy-fails', action: 'CopySnapshot', holds: id, afterSeconds: 60 });
  const struck = (await copy()).SnapshotId ?? '';
  await clock.sleep(59_000);
  expect((await snapshot(struck))?.State).toBe('pending');
  await clock.sleep(1000);
  expect(await snapshot(struck)).toMatchObject({ State: 'error', StateMessage: 'Internal error' });
  expect((await snapshot(spared))?.State).toBe('pending');
});

test('a call is refused with the code that a fault names, and a grant beyond the quota', async () => {
  const { there, place, copy } = await open();
  there.simulator.addFault({ kind: 'refusal', action: 'CopySnapshot', code: 'Client.Odd', message: 'No.', nth: 1 });
  await expect(copy()).rejects.toThrow('Client.Odd');
  const grant = (Name: string) =>
    place.kms(
      new CreateGrantCommand({
        KeyId: keyArnOf(account, region, 'cmk'),
        GranteePrincipal: `arn:aws:iam::${account}:root`,
        Operations: ['Decrypt'],
        Name,
      }),
    );
  await grant('one');
  await grant('one');
  await expect(grant('other')).rejects.toThrow('LimitExceededException');
});

test('SSM shows parameters as they were for as long as the scenario says, and takes no name that is taken', async () => {
  const { place, clock } = await open({ parametersVisibleAfterSeconds: 5 });
  const put = (Value: string, Overwrite = false) =>
    place.ssm(new PutParameterCommand({ Name: '/a/b', Value, Type: 'String', Overwrite }));
  const values = async () =>
    (await place.ssm(new GetParametersByPathCommand({ Path: '/a' }))).Parameters?.map(({ Value }) => Value);
  const tagged = async () => {
    const ParameterFilters = [{ Key: 'tag:team', Option: 'Equals', Values: ['platform'] }];
    return (await place.ssm(new DescribeParametersCommand({ ParameterFilters }))).Parameters?.length;
  };
  await put('one');
  expect(await values()).toEqual([]);
  await expect(put('other')).rejects.toThrow('ParameterAlreadyExists');
  await clock.sleep(5000);
  expect(await values()).toEqual(['one']);
  await put('two', true);
  const Tags = [{ Key: 'team', Value: 'platform' }];
  await place.ssm(new AddTagsToResourceCommand({ ResourceType: 'Parameter', ResourceId: '/a/b', Tags }));
  expect([await values(), await tagged()]).toEqual([['one'], 0]);
  await clock.sleep(5000);
  expect([await values(), await tagged()]).toEqual([['two'], 1]);
  await place.ssm(new DeleteParameterCommand({ Name: '/a/b' }));
  expect(await values()).toEqual(['two']);
  await clock.sleep(5000);
  expect(await values()).toEqual([]);
});

test.each([0, 51])('SSM takes no filter of %i values', async (count) => {
  const { place } = await open();
  const Values = Array.from({ length: count }, (_, index) => `ami-${index}`);
  const ParameterFilters = [{ Key: 'tag:team', Option: 'Equals', Values }];
  await expect(place.ssm(new DescribeParametersCommand({ ParameterFilters }))).rejects.toThrow('ValidationException');
});
