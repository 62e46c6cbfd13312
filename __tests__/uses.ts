import type { Region, SimImage } from '../simulator/world.ts';

/** A launch template whose versions name these images; its ID. */
export function addTemplate(region: Region, images: readonly string[]): string {
  const id = `lt-${String(region.launchTemplates.size + 1).padStart(17, '0')}`;
  const versions = images.map((ImageId, index) => ({
    ...{ number: index + 1, description: '', visibleAt: 0 },
    data: { ImageId },
  }));
  region.launchTemplates.set(id, {
    id,
    name: id,
    versions,
    defaultVersion: 1,
    latest: images.length,
    tokens: new Map(),
  });
  return id;
}

const group = { MinSize: 0, MaxSize: 1, DesiredCapacity: 0, DefaultCooldown: 0, AvailabilityZones: [] };
const asGroup = { ...group, HealthCheckType: 'EC2', CreatedTime: new Date(0) };
const other = 'ami-00000000000000001';

/** Each kind of use that an AMI can be in, and what of it the log says. */
export const uses: readonly (readonly [string, (region: Region, image: SimImage, now: number) => void])[] = [
  [
    'by i-0123456789abcdef0',
    ({ instances }, { data }) => {
      const stopped = { id: 'i-0123456789abcdef0', imageId: data.ImageId, image: {}, state: 'stopped', volumes: [] };
      instances.set(stopped.id, stopped as never);
    },
  ],
  ['by lt-', (region, { data }) => void addTemplate(region, [data.ImageId, other, other])],
  [
    'by lt-',
    (region, { data }) => {
      const version = { value: data.ImageId, dataType: 'text', version: 1, labels: ['prod'] };
      const made = { type: 'String', dataType: 'text', tags: [], value: other, version: 2 };
      region.parameters.set('/pinned', { ...made, name: '/pinned', history: [version] });
      addTemplate(region, ['resolve:ssm:/pinned:prod']);
    },
  ],
  [
    'the Auto Scaling group pinned',
    (region, { data }) => {
      const LaunchTemplateId = addTemplate(region, [data.ImageId, other]);
      region.groups.push({
        ...asGroup,
        AutoScalingGroupName: 'pinned',
        LaunchTemplate: { LaunchTemplateId, Version: '1' },
      });
    },
  ],
  [
    'the Auto Scaling group mixed',
    (region, { data: { ImageId } }) => {
      const MixedInstancesPolicy = { LaunchTemplate: { Overrides: [{ ImageId }] } };
      region.groups.push({ ...asGroup, AutoScalingGroupName: 'mixed', MixedInstancesPolicy });
    },
  ],
  [
    'the launch configuration old',
    ({ launchConfigurations }, { data: { ImageId } }) => {
      const made = { InstanceType: 't3.micro', CreatedTime: new Date(0) };
      launchConfigurations.push({ ...made, LaunchConfigurationName: 'old', ImageId });
    },
  ],
  [
    'image-recipe/base',
    ({ name, recipes }, { data }) =>
      void recipes.set(`arn:aws:imagebuilder:${name}:${data.OwnerId}:image-recipe/base/1.0.0`, data.ImageId),
  ],
  [
    ':parameter/theirs',
    ({ parameters }, { data }) => {
      const made = { type: 'String', dataType: 'text', tags: [], history: [], version: 1 };
      parameters.set('/theirs', { ...made, name: '/theirs', value: data.ImageId });
    },
  ],
  [
    'it was launched',
    (_, { data }, now) => {
      data.LastLaunchedTime = new Date(now + 20 * 86_400_000).toISOString();
    },
  ],
  ['by others, who may launch it', (_, { launch }) => void launch.add(JSON.stringify({ UserId: '333333333333' }))],
  [
    'protected from deregistration',
    (_, { data }) => {
      data.DeregistrationProtection = 'enabled-without-cooldown';
    },
  ],
];
