import type { DescribeInstancesRequest, DescribeRegionsRequest } from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import { authorize, type Handler } from './call.ts';

export const describeRegions: Handler<DescribeRegionsRequest> = async (call, input) => {
  await authorize(call, 'DescribeRegions', ['*'], input.DryRun);
  const account = call.world.accounts[call.caller.account];
  const enabled = [...(account?.regions.keys() ?? [])].map((RegionName) => ({
    RegionName,
    Endpoint: `ec2.${RegionName}.amazonaws.com`,
    OptInStatus: 'opt-in-not-required',
  }));
  const off = [...(account?.notOptedIn ?? [])].map((RegionName) => ({
    RegionName,
    Endpoint: `ec2.${RegionName}.amazonaws.com`,
    OptInStatus: 'not-opted-in',
  }));
  const all = input.AllRegions === true ? [...enabled, ...off] : enabled;
  return {
    Regions: all.filter(({ RegionName }) => input.RegionNames === undefined || input.RegionNames.includes(RegionName)),
  };
};

export const describeInstances: Handler<DescribeInstancesRequest> = async (call, input) => {
  await authorize(call, 'DescribeInstances', ['*'], input.DryRun);
  for (const { Name } of input.Filters ?? [])
    if (Name !== 'image-id') throw new Refusal('InvalidParameterValue', `The filter '${Name}' is invalid`);
  const images = input.Filters?.find(({ Name }) => Name === 'image-id')?.Values;
  const ids = [...call.here.instances.values()].filter(
    ({ imageId }) => images === undefined || images.includes(imageId ?? ''),
  );
  const instances = (input.InstanceIds ?? ids.map(({ id }) => id)).map((id) => {
    const instance = call.here.instances.get(id);
    if (instance === undefined)
      throw new Refusal('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
    const { Architecture, VirtualizationType, RootDeviceName, RootDeviceType = 'ebs', EnaSupport } = instance.image;
    return {
      InstanceId: id,
      ...(instance.imageId !== undefined && { ImageId: instance.imageId }),
      State: { Code: 16, Name: 'running' },
      Architecture,
      VirtualizationType,
      RootDeviceName,
      RootDeviceType,
      EnaSupport,
      BlockDeviceMappings: instance.volumes.flatMap(({ DeviceName, Ebs }) =>
        Ebs === undefined
          ? []
          : [{ DeviceName, Ebs: { DeleteOnTermination: Ebs.DeleteOnTermination, Status: 'attached' } }],
      ),
    };
  });
  return { Reservations: instances.map((instance) => ({ OwnerId: call.caller.account, Instances: [instance] })) };
};

export const getEbsEncryptionByDefault: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetEbsEncryptionByDefault', ['*'], input.DryRun);
  return { EbsEncryptionByDefault: call.here.settings.encryptionByDefault };
};

export const getEbsDefaultKmsKeyId: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetEbsDefaultKmsKeyId', ['*'], input.DryRun);
  return { KmsKeyId: call.here.settings.defaultKey };
};

export const getSnapshotBlockPublicAccessState: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetSnapshotBlockPublicAccessState', ['*'], input.DryRun);
  return { State: call.here.settings.snapshotBlockPublicAccess };
};

export const getImageBlockPublicAccessState: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetImageBlockPublicAccessState', ['*'], input.DryRun);
  return { ImageBlockPublicAccessState: call.here.settings.imageBlockPublicAccess };
};

export const getAllowedImagesSettings: Handler<{ DryRun?: boolean }> = async (call, input) => {
  await authorize(call, 'GetAllowedImagesSettings', ['*'], input.DryRun);
  const { state, providers } = call.here.settings.allowedImages;
  return { State: state, ManagedBy: 'account', ImageCriteria: [{ ImageProviders: [...providers] }] };
};
