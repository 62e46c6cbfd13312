import type { Image } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { keyArnOf } from '../simulator/scenario.ts';
import {
  type Case,
  mixedVolumes,
  procedure,
  sourceAccount,
  sourceRegion,
  targetAccount,
  targetRegion,
} from '../simulator/scenarios/standard.ts';
import { type LaunchTemplate, type Region, regionOf } from '../simulator/world.ts';
import { audit, auditable, published, publishing, withTemplate } from './audited.ts';
import { runJob, startSimulator } from './in-process.ts';

/* What an audit says of an estate that a share has just made with every input, and of each change by hand to it. */

const prefix = 'share-encrypted-ami:';
const routes: Readonly<Record<string, (options: object) => Case>> = { register: mixedVolumes, copy: procedure };

/** Every input that says what there is to be. */
const asked = (route: string) => ({
  ...published,
  ...{ route, 'target-ami-name': '{name}-{region}', 'copy-tags': 'true', retain: '3', 'retain-days': '1' },
  ...{ 'boot-test': 'status', 'deregistration-protection': 'on-with-cooldown', 'on-existing': 'replace' },
  ...{ 'intermediate-tags': 'kind=intermediate', 'ssm-parameter': '/golden/{name}' },
});

/** What a share has made in one target, and an audit of it. */
async function estate(route: string) {
  const policies = [
    ...[...publishing, 'source-route-copy', 'target-route-copy', 'target-retain'],
    ...['target-boot-test', 'target-boot-role'],
  ];
  const zones = { subnets: [{ id: 'subnet-0a0a0a0a', zone: `${targetRegion}a` }] };
  const key = { defaultKey: keyArnOf(targetAccount, targetRegion, 'cmkTarget') };
  const target = { ...withTemplate, launch: zones, settings: key };
  const shared = auditable(routes[route]?.({ policies, target }) ?? procedure());
  const simulator = await startSimulator(shared.scenario);
  const inputs = asked(route);
  const run = () => runJob({ inputs: { ...shared.inputs, ...inputs }, env: simulator.env });
  const { main } = await run();
  expect(main.annotations.filter(({ level }) => level === 'error')).toEqual([]);
  const here = regionOf(simulator.world, targetAccount, targetRegion);
  const [image] = [...here.images.values()].filter(({ data }) => data.State === 'available');
  const [template] = here.launchTemplates.values();
  const source = regionOf(simulator.world, sourceAccount, sourceRegion).images.get(shared.amiId);
  if (image === undefined || template === undefined || source === undefined) throw new Error('nothing was shared');
  const look = (more: Record<string, string> = {}) => audit(shared, simulator, { ...inputs, ...more });
  return { simulator, here, image, template, source, look, run, shared };
}

type Estate = Awaited<ReturnType<typeof estate>>;

/** A change by hand, and the field that tells it. */
type Change = Readonly<{ field: string | RegExp; by: (there: Estate) => void }>;

const set =
  (field: keyof Image, value: unknown): Change['by'] =>
  ({ image }) =>
    Object.assign(image.data, { [field]: value });
const ofDevice =
  (more: object): Change['by'] =>
  ({ image }) =>
    Object.assign(image.data.BlockDeviceMappings[0]?.Ebs ?? {}, more);
const tagged =
  (key: string, value: string | undefined): Change['by'] =>
  ({ image }) => {
    const others = image.data.Tags.filter(({ Key }) => Key !== key);
    image.data.Tags = value === undefined ? others : [...others, { Key: key, Value: value }];
  };
const firstSnapshot = ({ here, image }: Estate) => {
  const snapshot = here.snapshots.get(image.data.BlockDeviceMappings[0]?.Ebs?.SnapshotId ?? '');
  if (snapshot === undefined) throw new Error('no snapshot');
  return snapshot;
};
const latest = ({ versions }: LaunchTemplate) => versions.at(-1)?.data ?? {};
const device = (field: string) => `BlockDeviceMappings[/dev/xvda].${field}`;
const parameterIn = ({ here }: Estate) => [...here.parameters.values()][0];

function changeGrants({ keys }: Region, more: object): void {
  for (const key of keys.values()) for (const [at, one] of key.grants.entries()) key.grants[at] = { ...one, ...more };
}

/** Each by itself, on an estate that is put back after it. */
const changes: readonly Change[] = [
  { field: 'Architecture', by: set('Architecture', 'i386') },
  { field: 'VirtualizationType', by: set('VirtualizationType', 'paravirtual') },
  { field: 'RootDeviceName', by: set('RootDeviceName', '/dev/sda1') },
  { field: 'RootDeviceType', by: set('RootDeviceType', 'instance-store') },
  { field: 'EnaSupport', by: ({ image }) => set('EnaSupport', image.data.EnaSupport !== true)({ image } as Estate) },
  { field: 'SriovNetSupport', by: set('SriovNetSupport', 'other') },
  { field: 'BootMode', by: set('BootMode', 'uefi-preferred') },
  { field: 'TpmSupport', by: set('TpmSupport', 'v9') },
  { field: 'ImdsSupport', by: set('ImdsSupport', 'v9') },
  { field: 'ImageWatermarks', by: set('ImageWatermarks', [{ WatermarkKey: 'a' }]) },
  {
    field: 'InstanceTypeSpecification',
    by: set('InstanceTypeSpecification', { SupportedInstanceTypes: [{ InstanceType: 'm7i.large' }] }),
  },
  { field: 'Platform', by: set('Platform', 'windows') },
  { field: 'PlatformDetails', by: set('PlatformDetails', 'Windows') },
  { field: 'UsageOperation', by: set('UsageOperation', 'RunInstances:0002') },
  { field: 'ProductCodes', by: set('ProductCodes', [{ ProductCodeId: 'abc', ProductCodeType: 'marketplace' }]) },
  { field: device('Ebs.VolumeType'), by: ofDevice({ VolumeType: 'standard' }) },
  { field: device('Ebs.VolumeSize'), by: ofDevice({ VolumeSize: 99 }) },
  {
    field: device('Ebs.DeleteOnTermination'),
    by: ({ image }) =>
      ofDevice({ DeleteOnTermination: image.data.BlockDeviceMappings[0]?.Ebs?.DeleteOnTermination === false })({
        image,
      } as Estate),
  },
  {
    field: 'BlockDeviceMappings[/dev/sdz]',
    by: ({ image }) => image.data.BlockDeviceMappings.push({ DeviceName: '/dev/sdz', VirtualName: 'ephemeral1' }),
  },
  { field: /^the key of snap-/, by: (there) => Object.assign(firstSnapshot(there).data, { KmsKeyId: 'arn:other' }) },
  {
    field: /^the storage tier of snap-/,
    by: (there) => Object.assign(firstSnapshot(there).data, { StorageTier: 'archive' }),
  },
  { field: 'State', by: set('State', 'disabled') },
  { field: 'Description', by: set('Description', 'Golden of yesterday') },
  { field: 'the tag Name', by: tagged('Name', 'silver') },
  { field: 'the tag team', by: tagged('team', undefined) },
  { field: 'the tag bake', by: tagged('bake', 'by hand') },
  { field: `the tag ${prefix}lineage`, by: tagged(`${prefix}lineage`, 'silver') },
  { field: `the tag ${prefix}published`, by: tagged(`${prefix}published`, undefined) },
  { field: 'the boot test', by: tagged(`${prefix}boot-test`, 'failed status') },
  {
    field: /^the tag team of snap-/,
    by: (there) =>
      Object.assign(firstSnapshot(there).data, {
        Tags: firstSnapshot(there).data.Tags.filter(({ Key }) => Key !== 'team'),
      }),
  },
  { field: 'the launch permission of 333333333333', by: ({ image }) => image.launch.delete('333333333333') },
  { field: 'the launch permission of 444444444444', by: ({ image }) => image.launch.add('444444444444') },
  {
    field: /^the grant for .*AutoScaling on /,
    by: ({ here }) => {
      for (const key of here.keys.values()) key.grants.splice(0);
    },
  },
  {
    // One that lets nobody attach a volume.
    field: /^the grant for .*AutoScaling on /,
    by: ({ here }) => changeGrants(here, { Operations: ['Decrypt', 'DescribeKey'] }),
  },
  {
    // One that is bound to a volume.
    field: /^the grant for .*AutoScaling on /,
    by: ({ here }) => changeGrants(here, { Constraints: { EncryptionContextSubset: { 'aws:ebs:id': 'vol-0a' } } }),
  },
  {
    field: 'DeprecationTime',
    by: ({ image, simulator }) =>
      set('DeprecationTime', new Date(simulator.clock.now() + 86_400_000).toISOString())({ image } as Estate),
  },
  { field: 'DeprecationTime', by: set('DeprecationTime', undefined) },
  { field: 'DeregistrationProtection', by: set('DeregistrationProtection', 'disabled') },
  { field: 'DeregistrationProtection', by: set('DeregistrationProtection', 'enabled-without-cooldown') },
  { field: /^fast snapshot restore of snap-/, by: ({ here }) => here.fastRestores.clear() },
  { field: /^the SSM parameter \/golden\//, by: ({ here }) => here.parameters.clear() },
  {
    field: /^the SSM parameter \/golden\//,
    by: (there) => Object.assign(parameterIn(there) ?? {}, { value: 'ami-0aaaaaaaaaaaaaaaa' }),
  },
  { field: /^the latest version, 2, /, by: ({ template }) => Object.assign(latest(template), { ImageId: 'ami-0a' }) },
  { field: /^the default version, 1, /, by: ({ template }) => Object.assign(template, { defaultVersion: 1 }) },
  { field: 'the launch template web', by: ({ here }) => here.launchTemplates.clear() },
];

/** The target as it is, to be put back; what it consists of stays the same objects. */
function keep({ here }: Estate): () => void {
  const { images, snapshots, parameters, launchTemplates, fastRestores, keys } = here;
  const maps = [images, snapshots, parameters, launchTemplates, fastRestores] as Map<string, object>[];
  const was = maps.map((map) => [...map].map(([id, one]) => [id, one, structuredClone(one)] as const));
  const grants = [...keys.values()].map((key) => [key, [...key.grants]] as const);
  return () => {
    for (const [index, map] of maps.entries()) {
      map.clear();
      for (const [id, one, former] of was[index] ?? []) map.set(id, putBack(one, former));
    }
    for (const [key, own] of grants) key.grants.splice(0, Number.POSITIVE_INFINITY, ...own);
  };
}

function putBack(one: object, former: object): object {
  if (one instanceof Set && former instanceof Set) {
    one.clear();
    for (const value of former) one.add(value);
    return one;
  }
  for (const key of Object.keys(one)) Reflect.deleteProperty(one, key);
  return Object.assign(one, structuredClone(former));
}

describe.each(Object.keys(routes))('of an estate by route %s', (route) => {
  let there: Estate;
  beforeAll(async () => {
    there = await estate(route);
  });
  afterAll(() => there.simulator.close());

  test.each([{}, { 'ami-id': '' }])('nothing, whatever says of what it is to be: %j', async (more) => {
    expect(await there.look(more)).toMatchObject({ conclusion: 'success', findings: [] });
  });

  test('each change by hand by itself, and nothing but it', async () => {
    const putBackAll = keep(there);
    for (const { field, by } of changes) {
      by(there);
      const { findings } = await there.look();
      const told = findings.map(({ kind, differences = [] }) => [kind, differences.map((one) => one.field)]);
      const fields = expect.arrayContaining([typeof field === 'string' ? field : expect.stringMatching(field)]);
      expect([String(field), told]).toEqual([String(field), [['differs', fields]]]);
      putBackAll();
    }
    expect((await there.look()).findings).toEqual([]);
  });

  test('what others did beside it is not its difference', async () => {
    const putBackAll = keep(there);
    // Tags, versions that are not launched, and grants beside those of the inputs.
    tagged('cost', '7')(there);
    for (const { grants } of there.here.keys.values()) {
      const [own] = grants;
      if (own !== undefined) grants.push({ ...own, GrantId: 'other', GranteePrincipal: 'arn:aws:iam::1:role/other' });
    }
    Object.assign(there.template.versions[0]?.data ?? {}, { ImageId: 'ami-0bbbbbbbbbbbbbbbb' });
    expect((await there.look()).findings).toEqual([]);
    putBackAll();
  });

  test('a recall, by the mark of either, and of a source AMI that is disabled', async () => {
    const mark = { Key: `${prefix}recalled`, Value: 'CVE-2026-1234' };
    const { source, image } = there;
    image.data.Tags.push(mark);
    const [own] = (await there.look()).findings;
    expect(own).toMatchObject({ kind: 'recalled', id: image.data.ImageId });
    expect(own?.why).toBe(`${image.data.ImageId} was recalled: CVE-2026-1234`);
    image.data.Tags.pop();

    source.data.Tags.push(mark);
    source.data.State = 'disabled';
    const { findings } = await there.look();
    expect(findings).toMatchObject([{ kind: 'recalled', why: `${source.data.ImageId} was recalled: CVE-2026-1234` }]);
    source.data.Tags.pop();
    source.data.State = 'available';
  });

  test('an instance that a run left which died, and one that only bears its lease', async () => {
    const { here } = there;
    const [tested] = here.instances.values();
    if (tested?.launched === undefined) throw new Error('nothing was tested');
    const { endedAt: _, ...launched } = tested.launched;
    const at = there.simulator.clock.now() - 6 * 86_400_000;
    const running = { ...tested, state: 'running' as const, launched: { ...launched, at } };
    here.instances.set(tested.id, running);
    expect((await there.look()).findings).toMatchObject([{ kind: 'left-over', id: tested.id }]);
    running.launched = { ...running.launched, token: 'of a team' };
    expect((await there.look()).findings).toMatchObject([{ kind: 'foreign', id: tested.id }]);
    here.instances.set(tested.id, tested);
  });
});
