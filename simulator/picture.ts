import type { Tag } from '@aws-sdk/client-ec2';
import { advance } from './ec2/copy.ts';
import { advanceImage } from './ec2/image.ts';
import { advanceInstance } from './ec2/instance.ts';
import type { Timings } from './hardness.ts';
import type { Account, Key, Region, World } from './world.ts';

/** The accounts as a person would want to see them: AMIs, snapshots with key and state, shares, grants, parameters. */
export function describeWorld(world: World): string {
  const now = world.clock.now();
  return Object.values(world.accounts)
    .flatMap((account) => describeAccount(account, now))
    .join('\n');
}

function describeAccount(account: Account, now: number): string[] {
  const regions = [...account.regions.values()].filter(
    ({ images, snapshots, keys }) =>
      images.size + snapshots.size > 0 || [...keys.values()].some(({ grants }) => grants.length > 0),
  );
  return [
    `account ${account.id}`,
    ...regions.flatMap((region) => [`  ${region.name}`, ...describeRegion(region, now).map((line) => `    ${line}`)]),
  ];
}

function describeRegion(region: Region, now: number): string[] {
  const aliasOf = (arn: string | undefined): string => {
    const id = arn?.split('/').at(-1);
    const alias = [...region.aliases].find(([, keyId]) => keyId === id)?.[0];
    return arn === undefined ? 'not encrypted' : `under ${alias ?? arn}`;
  };
  const images = [...region.images.values()]
    .filter(({ deregisteredAt }) => deregisteredAt === undefined)
    .map((image) => advanceImage(image, now));
  return [
    ...images.flatMap(({ data, launch }) => [
      `${data.ImageId}  ${data.Name}  ${data.State}${launch.size > 0 ? `, may be launched by ${[...launch].join(', ')}` : ''}`,
      ...data.BlockDeviceMappings.map(
        ({ DeviceName, Ebs, VirtualName }) =>
          `  ${DeviceName}  ${VirtualName ?? Ebs?.SnapshotId ?? 'empty'}${Ebs ? `  ${Ebs.VolumeType} ${Ebs.VolumeSize} GiB` : ''}`,
      ),
      ...tagLine(data.Tags),
    ]),
    ...[...region.snapshots.values()]
      .map((snapshot) => advance(snapshot, now))
      .flatMap(({ data, shares }) => [
        `${data.SnapshotId}  ${data.State}  ${aliasOf(data.KmsKeyId)}${shares.size > 0 ? `, shared with ${[...shares].join(', ')}` : ''}`,
        ...tagLine(data.Tags),
      ]),
    ...[...region.keys.values()].flatMap((key) => describeGrants(key, aliasOf)),
    ...[...region.parameters.values()].map(({ name, value }) => `parameter ${name} = ${value}`),
    ...[...region.launchTemplates.values()].map(
      ({ name, versions, defaultVersion }) =>
        `launch template ${name}: ${versions.map(({ number, data }) => `${number}${number === defaultVersion ? ' (default)' : ''} ${data.ImageId}`).join(', ')}`,
    ),
  ];
}

function tagLine(tags: readonly Tag[]): string[] {
  return tags.length === 0 ? [] : [`  tags: ${tags.map(({ Key, Value }) => `${Key}=${Value}`).join(', ')}`];
}

function describeGrants({ metadata, grants }: Key, aliasOf: (arn: string) => string): string[] {
  return grants.map(
    ({ GranteePrincipal, Operations }) =>
      `grant ${aliasOf(metadata.Arn)} to ${GranteePrincipal}: ${Operations.join(', ')}`,
  );
}

/** Everything that persists, as plain data that compares: no times, no progress. */
export function stateOf(world: World, timings: Timings, account?: string): unknown {
  const now = world.clock.now();
  const accounts = Object.values(world.accounts).filter(({ id }) => account === undefined || id === account);
  return Object.fromEntries(
    accounts.map(({ id, regions }) => [
      id,
      Object.fromEntries(
        [...regions]
          .map(([name, region]) => [name, regionState(region, timings, now)])
          .filter(([, state]) => state !== undefined),
      ),
    ]),
  );
}

function regionState(region: Region, timings: Timings, now: number): unknown {
  for (const instance of region.instances.values()) advanceInstance(instance, { here: region, timings, now });
  const images = [...region.images.values()]
    .filter(({ deregisteredAt }) => deregisteredAt === undefined)
    .map((image) => advanceImage(image, now));
  const snapshots = [...region.snapshots.values()].map((snapshot) => advance(snapshot, now));
  const keys = [...region.keys.values()].filter(({ grants }) => grants.length > 0);
  if (images.length + snapshots.length + keys.length + region.parameters.size + region.volumes.size === 0)
    return undefined;
  const sorted = (tags: readonly Tag[]) => tags.map(({ Key, Value }) => `${Key}=${Value}`).sort();
  return {
    images: images
      .map(({ data, launch, uefiData }) => ({ ...data, Tags: sorted(data.Tags), launch: [...launch].sort(), uefiData }))
      .sort((a, b) => a.ImageId.localeCompare(b.ImageId)),
    snapshots: snapshots
      .map(({ data: { Progress: _, StartTime: __, CompletionTime: ___, ...data }, shares }) => ({
        ...data,
        Tags: sorted(data.Tags),
        shares: [...shares].sort(),
      }))
      .sort((a, b) => a.SnapshotId.localeCompare(b.SnapshotId)),
    keys: [...region.keys.values()].map(({ metadata, policy, grants }) => ({
      arn: metadata.Arn,
      state: metadata.KeyState,
      policy,
      grants: grants.map(({ GrantId, Name, GranteePrincipal, Operations }) => ({
        GrantId,
        Name,
        GranteePrincipal,
        Operations,
      })),
    })),
    parameters: [...region.parameters.values()],
    launchTemplates: [...region.launchTemplates.values()].map(({ id, defaultVersion, versions }) => ({
      id,
      defaultVersion,
      versions: versions.map(({ number, description, data }) => ({ number, description, data })),
    })),
    volumes: [...region.volumes.values()],
    launched: [...region.instances.values()]
      .filter(({ launched, state }) => launched !== undefined && state !== 'terminated')
      .map(({ id, imageId, state }) => ({ id, imageId, state })),
  };
}
