import type {
  DescribeInstanceStatusRequest,
  DescribeInstancesRequest,
  GetConsoleOutputRequest,
  GetConsoleScreenshotRequest,
  Tag,
  TerminateInstancesRequest,
} from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import { type Instance, shownOf } from '../world.ts';
import { arnOf, authorizeOn, type Ec2Call, type Handler } from './call.ts';
import { checkFilters, type Filterable, matches, pageOf } from './filters.ts';
import { checksOf, instanceOf, instancesIn, terminate } from './instance.ts';
import { modelOf } from './instance-types.ts';

/* Instances as they are seen, and ended: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html */

/** What a look at instances goes by. */
export function looking({ here, timings, world }: Ec2Call) {
  return { here, timings, now: world.clock.now() };
}

type Seen = Readonly<{ instance: Instance; tags: readonly Tag[] }>;

/** Some of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html */
const instanceFilters: Filterable<Seen> = {
  complete: false,
  fields: {
    'image-id': ({ instance }) => [instance.imageId],
    'instance-id': ({ instance }) => [instance.id],
    'instance-state-name': ({ instance }) => [instance.state],
    'client-token': ({ instance }) => [instance.launched?.token],
  },
  tags: ({ tags }) => [...tags],
};

function seen(call: Ec2Call, instance: Instance): Seen {
  const { launched } = instance;
  const now = call.world.clock.now();
  return { instance, tags: launched === undefined ? [] : shownOf(launched.tags, launched.tagsLate.read, now) };
}

export const describeInstances: Handler<DescribeInstancesRequest> = async (call, input) => {
  const { InstanceIds, Filters } = input;
  checkFilters(Filters, instanceFilters);
  const asked = await authorizeOn(call, 'DescribeInstances', {
    dryRun: input.DryRun,
    find: () => InstanceIds?.map((id) => instanceOf(looking(call), id)) ?? instancesIn(looking(call)),
  });
  const reservations = asked
    .map((instance) => seen(call, instance))
    .filter((one) => matches(one, Filters, instanceFilters))
    .map((one) => ({ OwnerId: call.caller.account, Instances: [shownInstance(one)] }));
  if (InstanceIds !== undefined) return { Reservations: reservations };
  const { items, more } = pageOf(call, reservations, input);
  return { Reservations: items, ...more };
};

export function shownInstance({ instance, tags }: Seen) {
  const { id, imageId, image, state, volumes, launched } = instance;
  const { Architecture, VirtualizationType, RootDeviceName, RootDeviceType = 'ebs', BootMode } = image;
  const { EnaSupport, SriovNetSupport, TpmSupport, PlatformDetails, UsageOperation, ProductCodes } = image;
  const byDefault = Architecture === 'arm64' ? 'uefi' : 'legacy-bios';
  const reason = launched?.reason;
  return {
    InstanceId: id,
    ...(imageId !== undefined && { ImageId: imageId }),
    State: { Name: state },
    Architecture,
    VirtualizationType,
    RootDeviceName,
    RootDeviceType,
    ...{ EnaSupport, SriovNetSupport, TpmSupport, PlatformDetails, UsageOperation, ProductCodes, BootMode },
    CurrentInstanceBootMode: BootMode === 'uefi-preferred' ? 'uefi' : (BootMode ?? byDefault),
    ...(launched && {
      InstanceType: launched.type,
      ClientToken: launched.token,
      LaunchTime: new Date(launched.at),
      SubnetId: launched.subnet.id,
      VpcId: launched.subnet.vpc,
      Placement: { AvailabilityZone: launched.subnet.zone },
      Hypervisor: 'xen',
      SecurityGroups: launched.groups.map((GroupId) => ({ GroupId })),
      Tags: [...tags],
      StateTransitionReason: reason?.transition ?? '',
      ...(reason && { StateReason: { Code: reason.code, Message: reason.message } }),
    }),
    BlockDeviceMappings: volumes.flatMap(({ mapping: { DeviceName, Ebs }, volumeId: VolumeId }) =>
      VolumeId === undefined
        ? []
        : [{ DeviceName, Ebs: { VolumeId, DeleteOnTermination: Ebs?.DeleteOnTermination, Status: 'attached' } }],
    ),
  };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceStatus.html: of running ones, unless it is asked for all */
export const describeInstanceStatus: Handler<DescribeInstanceStatusRequest> = async (call, input) => {
  const { InstanceIds, IncludeAllInstances = false } = input;
  if (input.Filters !== undefined) throw new Refusal('NotSimulated', 'The simulator knows no filters of statuses.');
  const asked = await authorizeOn(call, 'DescribeInstanceStatus', {
    dryRun: input.DryRun,
    find: () => InstanceIds?.map((id) => instanceOf(looking(call), id)) ?? instancesIn(looking(call)),
  });
  const now = call.world.clock.now();
  const shown = asked
    .filter(({ state }) => IncludeAllInstances || state === 'running')
    .map((instance) => {
      const checks = checksOf(instance, now);
      return {
        InstanceId: instance.id,
        InstanceState: { Name: instance.state },
        InstanceStatus: { Status: checks.instance },
        SystemStatus: { Status: checks.system },
        AttachedEbsStatus: { Status: checks.ebs },
      };
    });
  return { InstanceStatuses: shown };
};

/** Without `Latest`, AWS gives what it kept of the console around a boot: nothing of a first one that is under way. */
export const getConsoleOutput: Handler<GetConsoleOutputRequest> = async (call, input) => {
  const { InstanceId = '', Latest = false } = input;
  const instance = await authorizeOn(call, 'GetConsoleOutput', {
    resources: [arnOf(call, InstanceId)],
    dryRun: input.DryRun,
    find: () => instanceOf(looking(call), InstanceId),
  });
  const { launched } = instance;
  if (Latest && modelOf(launched?.type ?? '')?.hypervisor !== 'nitro')
    throw new Refusal(
      'UnsupportedOperation',
      'This instance type does not support retrieving the latest console logs.',
    );
  const text = instance.state === 'terminated' ? '' : (launched?.boot.console ?? '');
  return {
    InstanceId,
    Timestamp: new Date(call.world.clock.now()),
    ...(text !== '' && { Output: Buffer.from(text).toString('base64') }),
  };
};

export const getConsoleScreenshot: Handler<GetConsoleScreenshotRequest> = async (call, input) => {
  const { InstanceId = '' } = input;
  const instance = await authorizeOn(call, 'GetConsoleScreenshot', {
    resources: [arnOf(call, InstanceId)],
    dryRun: input.DryRun,
    find: () => instanceOf(looking(call), InstanceId),
  });
  const image = instance.launched?.boot.screenshot;
  if (instance.state !== 'running' || image === undefined)
    throw new Refusal('IncorrectInstanceState', `The instance '${InstanceId}' gives no screenshot.`);
  return { InstanceId, ImageData: image };
};

export const terminateInstances: Handler<TerminateInstancesRequest> = async (call, input) => {
  const { InstanceIds = [] } = input;
  const instances = await authorizeOn(call, 'TerminateInstances', {
    resources: InstanceIds.map((id) => arnOf(call, id)),
    dryRun: input.DryRun,
    find: () => InstanceIds.map((id) => instanceOf(looking(call), id)),
    blind: true,
  });
  const before = instances.map(({ state }) => state);
  for (const instance of instances) terminate(instance, looking(call));
  return {
    TerminatingInstances: instances.map(({ id, state }, index) => ({
      InstanceId: id,
      CurrentState: { Name: state },
      PreviousState: { Name: before[index] },
    })),
  };
};
