import type {
  BootModeType,
  DescribeInstanceTypeOfferingsRequest,
  DescribeInstanceTypesRequest,
  InstanceTypeInfo,
} from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import { authorize, type Handler } from './call.ts';
import { checkFilters, type Filterable, matches, pageOf } from './filters.ts';

/* Some instance types, as https://docs.aws.amazon.com/ec2/latest/instancetypes/ has them. */

export type Model = Readonly<{
  type: string;
  architectures: readonly string[];
  vcpus: number;
  memoryMiB: number;
  current: boolean;
  hypervisor: 'nitro' | 'xen' | undefined;
  ena: 'required' | 'supported' | 'unsupported';
  bootModes: readonly BootModeType[];
  tpm: boolean;
  burstable: boolean;
  bareMetal: boolean;
  /** The letters of the zones that have it. */
  zones: string;
}>;

type Family = Omit<Model, 'type' | 'vcpus' | 'memoryMiB'>;

const nitro: Family = {
  ...{ architectures: ['x86_64'], current: true, burstable: false, bareMetal: false, zones: 'abc' },
  ...{ hypervisor: 'nitro', ena: 'required', bootModes: ['legacy-bios', 'uefi'], tpm: true },
};
const burstable: Family = { ...nitro, burstable: true };
const graviton: Family = { ...nitro, architectures: ['arm64'], bootModes: ['uefi'] };
const xen: Family = {
  ...{ ...burstable, architectures: ['i386', 'x86_64'], bootModes: ['legacy-bios'] },
  ...{ hypervisor: 'xen', ena: 'unsupported', tpm: false },
};
const old: Family = { ...xen, architectures: ['x86_64'], burstable: false, current: false };
const metal: Family = { ...nitro, hypervisor: undefined, tpm: false, bareMetal: true };

export const models: readonly Model[] = [
  { ...xen, type: 't1.micro', vcpus: 1, memoryMiB: 627, current: false },
  { ...xen, type: 't2.small', vcpus: 1, memoryMiB: 2048 },
  { ...xen, type: 't2.medium', vcpus: 2, memoryMiB: 4096 },
  { ...burstable, type: 't3.micro', vcpus: 2, memoryMiB: 1024 },
  { ...burstable, type: 't3.small', vcpus: 2, memoryMiB: 2048, zones: 'ab' },
  { ...burstable, type: 't3a.small', vcpus: 2, memoryMiB: 2048, zones: 'bc' },
  { ...burstable, type: 't3.medium', vcpus: 2, memoryMiB: 4096 },
  { ...burstable, type: 't3.large', vcpus: 2, memoryMiB: 8192 },
  { ...nitro, type: 'm7i.large', vcpus: 2, memoryMiB: 8192 },
  { ...old, type: 'm4.large', vcpus: 2, memoryMiB: 8192 },
  { ...metal, type: 'c5.metal', vcpus: 96, memoryMiB: 196_608 },
  { ...graviton, type: 't4g.small', vcpus: 2, memoryMiB: 2048, burstable: true },
  { ...graviton, type: 'c7g.medium', vcpus: 1, memoryMiB: 2048 },
  { ...graviton, type: 't4g.medium', vcpus: 2, memoryMiB: 4096, burstable: true },
];

export function modelOf(type: string): Model | undefined {
  return models.find((model) => model.type === type);
}

function infoOf(model: Model): InstanceTypeInfo {
  const { type, architectures, vcpus, memoryMiB, current, hypervisor, ena, bootModes, tpm, burstable, bareMetal } =
    model;
  return {
    InstanceType: type as never,
    CurrentGeneration: current,
    SupportedUsageClasses: ['on-demand', 'spot'],
    SupportedRootDeviceTypes: ['ebs'],
    SupportedVirtualizationTypes: ['hvm'],
    BareMetal: bareMetal,
    ...(hypervisor && { Hypervisor: hypervisor }),
    ProcessorInfo: { SupportedArchitectures: architectures as never },
    VCpuInfo: { DefaultVCpus: vcpus },
    MemoryInfo: { SizeInMiB: memoryMiB },
    NetworkInfo: { EnaSupport: ena },
    BurstablePerformanceSupported: burstable,
    SupportedBootModes: [...bootModes],
    NitroTpmSupport: tpm ? 'supported' : 'unsupported',
  };
}

/** Some of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypes.html */
const typeFilters: Filterable<Model> = {
  complete: false,
  fields: {
    'instance-type': ({ type }) => [type],
    'current-generation': ({ current }) => [String(current)],
    'bare-metal': ({ bareMetal }) => [String(bareMetal)],
    'processor-info.supported-architecture': ({ architectures }) => architectures,
    'supported-boot-mode': ({ bootModes }) => bootModes,
    'supported-virtualization-type': () => ['hvm'],
    'supported-root-device-type': () => ['ebs'],
    'nitro-tpm-support': ({ tpm }) => [tpm ? 'supported' : 'unsupported'],
  },
};

export const describeInstanceTypes: Handler<DescribeInstanceTypesRequest> = async (call, input) => {
  const { InstanceTypes, Filters } = input;
  checkFilters(Filters, typeFilters);
  await authorize(call, 'DescribeInstanceTypes', { dryRun: input.DryRun });
  const unknown = InstanceTypes?.filter((type) => modelOf(type) === undefined) ?? [];
  if (unknown.length > 0)
    throw new Refusal(
      'InvalidInstanceType',
      `The following supplied instance types do not exist: [${unknown.join(', ')}]`,
    );
  const found = models
    .filter(({ type }) => InstanceTypes?.some((one) => one === type) ?? true)
    .filter((model) => matches(model, Filters, typeFilters));
  const { items, more } = pageOf(call, found, input);
  return { InstanceTypes: items.map(infoOf), ...more };
};

type Offering = Readonly<{ InstanceType: string; LocationType: string; Location: string }>;

const offeringFilters: Filterable<Offering> = {
  complete: true,
  fields: { 'instance-type': ({ InstanceType }) => [InstanceType], location: ({ Location }) => [Location] },
};

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html */
export const describeInstanceTypeOfferings: Handler<DescribeInstanceTypeOfferingsRequest> = async (call, input) => {
  const { LocationType = 'region', Filters } = input;
  checkFilters(Filters, offeringFilters);
  await authorize(call, 'DescribeInstanceTypeOfferings', { dryRun: input.DryRun });
  const all = models.flatMap(({ type, zones }): Offering[] =>
    LocationType === 'region'
      ? [{ InstanceType: type, LocationType, Location: call.region }]
      : [...zones].map((letter) => ({ InstanceType: type, LocationType, Location: `${call.region}${letter}` })),
  );
  const { items, more } = pageOf(
    call,
    all.filter((offering) => matches(offering, Filters, offeringFilters)),
    input,
  );
  return { InstanceTypeOfferings: items, ...more };
};
