import {
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DeleteVolumeCommand,
  DescribeAvailabilityZonesCommand,
  DescribeVolumesCommand,
  RegisterImageCommand,
  type TagSpecification,
} from '@aws-sdk/client-ec2';
import { placeName } from '../src/aws/errors.ts';
import { openWatchers } from '../src/aws/wait.ts';
import type { Sandbox } from './sandbox.ts';
import type { Scenario } from './scenarios.ts';

/** The tag, besides the action's own, of all that the scenarios make. */
export const ownTag = 'share-encrypted-ami-e2e';

/** Makes a scenario's AMI of empty volumes; whether it boots is nothing to the action. Gives its ID. */
export async function makeSourceAmi({ source, settings, runId, runUrl }: Sandbox, scenario: Scenario): Promise<string> {
  const watcher = openWatchers(5, (where, what) => console.log(`${placeName(where)}: ${what}`))(source);
  const tags = (ResourceType: TagSpecification['ResourceType']): TagSpecification[] => [
    { ResourceType, Tags: [{ Key: ownTag, Value: runUrl }] },
  ];
  const { AvailabilityZones: zones = [] } = await source.ec2(
    new DescribeAvailabilityZonesCommand({
      Filters: [
        { Name: 'state', Values: ['available'] },
        { Name: 'zone-type', Values: ['availability-zone'] },
      ],
    }),
  );
  const snapshotIds = await Promise.all(
    scenario.volumes.map(async (kind) => {
      const { VolumeId = '' } = await source.ec2(
        new CreateVolumeCommand({
          AvailabilityZone: zones[0]?.ZoneName ?? '',
          Size: 1,
          VolumeType: 'gp3',
          ...(kind === 'customer-key' && { Encrypted: true, KmsKeyId: settings.sourceKey }),
          TagSpecifications: tags('volume'),
        }),
      );
      try {
        await volumeAvailable(source, VolumeId);
        const { SnapshotId = '' } = await source.ec2(
          new CreateSnapshotCommand({ VolumeId, Description: scenario.name, TagSpecifications: tags('snapshot') }),
        );
        await watcher.snapshot(SnapshotId);
        return SnapshotId;
      } finally {
        await source.ec2(new DeleteVolumeCommand({ VolumeId }));
      }
    }),
  );
  const devices = ['/dev/xvda', '/dev/sdb'];
  const { ImageId = '' } = await source.ec2(
    new RegisterImageCommand({
      Name: `e2e-${runId}-${scenario.name}-${Date.now().toString(36)}`,
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      EnaSupport: true,
      RootDeviceName: devices[0],
      BlockDeviceMappings: snapshotIds.map((SnapshotId, index) => ({
        DeviceName: devices[index],
        Ebs: { SnapshotId, VolumeType: 'gp3' },
      })),
      TagSpecifications: tags('image'),
    }),
  );
  await watcher.image(ImageId);
  return ImageId;
}

async function volumeAvailable(source: Sandbox['source'], id: string): Promise<void> {
  for (let tries = 0; tries < 60; tries += 1) {
    const { Volumes = [] } = await source.ec2(
      new DescribeVolumesCommand({ Filters: [{ Name: 'volume-id', Values: [id] }] }),
    );
    if (Volumes[0]?.State === 'available') return;
    if (Volumes[0]?.State === 'error') throw new Error(`${id} ended in error: can the key be used?`);
    await source.sleep(2000);
  }
  throw new Error(`${id} has not become available in two minutes`);
}
