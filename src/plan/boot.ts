import type { Image, InstanceTypeInfo } from '@aws-sdk/client-ec2';
import { tagKeys, tagValue } from '../tags.ts';
import type { Launch } from './facts.ts';

/* What an AMI is launched as to see whether it boots. */

/** The least memory in MiB: Windows takes 4 GiB to come up in time, others 2. */
function leastMemory({ Platform, PlatformDetails = '' }: Image): number {
  const isWindows = String(Platform).toLowerCase() === 'windows' || PlatformDetails.includes('Windows');
  return isWindows ? 4096 : 2048;
}

/** Why an AMI can't be tested whatever the account has; undefined where it can. */
export function untestable({ Architecture = 'x86_64' }: Image): string | undefined {
  // Mac instances run on hosts that are allocated for a day at least:
  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-mac-instances.html
  return /_mac$/.test(Architecture) ? 'it is of macOS, which runs on dedicated hosts only' : undefined;
}

/** What keeps an AMI from being tested in a target, with what to do. */
export class UntestableError extends Error {
  override name = 'UntestableError';
  readonly remedy: string;

  constructor(why: string, remedy: string) {
    super(why);
    this.remedy = remedy;
  }
}

/**
 * Why an AMI can't be launched as an instance type; undefined where it can.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-type-compatibility.html
 */
export function misfit(image: Image, info: InstanceTypeInfo): string | undefined {
  const { Architecture = 'x86_64', VirtualizationType = 'hvm', EnaSupport, BootMode, TpmSupport } = image;
  const { ProcessorInfo, SupportedVirtualizationTypes, NetworkInfo, SupportedBootModes, NitroTpmSupport } = info;
  if (!ProcessorInfo?.SupportedArchitectures?.some((one) => one === Architecture))
    return `it is not of the AMI's architecture, ${Architecture}`;
  if (!SupportedVirtualizationTypes?.some((one) => one === VirtualizationType))
    return `it does not run ${VirtualizationType} images`;
  if (EnaSupport !== true && NetworkInfo?.EnaSupport === 'required')
    return 'it takes ENA, which the AMI does not support';
  if ((BootMode === 'uefi' || BootMode === 'legacy-bios') && !SupportedBootModes?.includes(BootMode))
    return `it does not boot by ${BootMode}`;
  if (TpmSupport !== undefined && NitroTpmSupport !== 'supported') return 'it has no NitroTPM, which the AMI takes';
  return isListed(image, info.InstanceType ?? '') ? undefined : 'the AMI names the instance types that it is for';
}

/** By the AMI's own list: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImageInstanceTypeSpecificationRequest.html */
function isListed({ InstanceTypeSpecification: own }: Image, type: string): boolean {
  const fits = (patterns: readonly { InstanceType?: string | undefined }[] | undefined) =>
    (patterns ?? []).some(({ InstanceType = '' }) => isLike(InstanceType, type));
  const { SupportedInstanceTypes: only, UnsupportedInstanceTypes: not } = own ?? {};
  return (only === undefined || only.length === 0 || fits(only)) && !fits(not);
}

function isLike(pattern: string, type: string): boolean {
  const expression = pattern.split('*').map((part) => part.replace(/\W/g, '\\$&'));
  return new RegExp(`^${expression.join('.*')}$`).test(type);
}

/** So many types of a size are tried, so many launches of it, and so many sizes. */
const mostTypes = 4;
const mostLaunches = 12;
const mostSizes = 2;

/** So many launches a test comes to at most. */
export const mostTries = mostSizes * mostLaunches;

/** The zones that have a type, and the subnets that there are. */
type Room = Readonly<{
  zonesOf: (type: string) => ReadonlySet<string>;
  subnets: readonly Pick<Launch, 'subnet' | 'zone' | 'groups' | 'givesIpv6'>[];
}>;

/**
 * What is launched, one try after the other: first as the smallest types that fit, by memory, then one size up. Where a
 * type is named, as that alone.
 */
export function launchesOf(
  image: Image,
  types: readonly InstanceTypeInfo[],
  room: Room,
): readonly (readonly Launch[])[] {
  const isNamed = types.length === 1;
  const fitting = types
    .filter((info) => misfit(image, info) === undefined)
    .filter((info) => isNamed || (memoryOf(info) >= leastMemory(image) && isPlain(info)))
    .filter(({ InstanceType = '' }) => room.subnets.some(({ zone }) => room.zonesOf(InstanceType).has(zone)))
    .toSorted(bySize);
  const sizes = [...Map.groupBy(fitting, memoryOf).values()].slice(0, mostSizes);
  return sizes
    .map((size) =>
      size.slice(0, mostTypes).flatMap((info): Launch[] => {
        const { InstanceType: type = '' } = info;
        const there = room.subnets.filter(({ zone }) => room.zonesOf(type).has(zone));
        const isNitro = info.Hypervisor === 'nitro' || info.BareMetal === true;
        return there.map((subnet) => ({ ...subnet, type, isNitro, memoryMiB: memoryOf(info) }));
      }),
    )
    .map((launches) => launches.slice(0, mostLaunches));
}

function memoryOf({ MemoryInfo }: InstanceTypeInfo): number {
  return MemoryInfo?.SizeInMiB ?? 0;
}

/** What accelerates, or is a whole machine, costs more than a test is worth. */
function isPlain({
  CurrentGeneration,
  BareMetal,
  GpuInfo,
  FpgaInfo,
  InferenceAcceleratorInfo,
}: InstanceTypeInfo): boolean {
  const accelerators = [GpuInfo, FpgaInfo, InferenceAcceleratorInfo];
  return CurrentGeneration === true && BareMetal !== true && accelerators.every((one) => one === undefined);
}

/** Nitro comes first, whose console can be read as it is now; then what is cheap. */
function bySize(a: InstanceTypeInfo, b: InstanceTypeInfo): number {
  const rank = ({ Hypervisor, BurstablePerformanceSupported, VCpuInfo }: InstanceTypeInfo): number =>
    (Hypervisor === 'nitro' ? 0 : 1000) + (BurstablePerformanceSupported ? 0 : 500) + (VCpuInfo?.DefaultVCpus ?? 0);
  const byName = (a.InstanceType ?? '').localeCompare(b.InstanceType ?? '');
  return memoryOf(a) - memoryOf(b) || rank(a) - rank(b) || byName;
}

/** What the tag of a test says, `passed ssm` or `failed status`. */
export function testTag(is: 'passed' | 'failed', test: 'status' | 'ssm'): { Key: string; Value: string } {
  return { Key: tagKeys.bootTest, Value: `${is} ${test}` };
}

/** Whether an AMI is known to have passed a test that shows as much. */
export function hasPassed(image: Image, test: 'status' | 'ssm'): boolean {
  const told = tagValue(image, tagKeys.bootTest);
  return told === 'passed ssm' || told === `passed ${test}`;
}

/**
 * Whether an AMI failed its test before it was ever published: it makes room for the next one, where nothing uses it. What was
 * published stays what it was, whatever a later test has shown. That a test failed, only a tag says, which others may write;
 * that it was published, AWS tells, too, where it is deprecated or protected.
 */
export function isRejected(image: Image): boolean {
  const isTagged = [tagKeys.published, tagKeys.superseded].some((key) => tagValue(image, key) !== undefined);
  const isSet = Boolean(image.DeprecationTime) || image.DeregistrationProtection?.startsWith('enabled') === true;
  return hasFailed(image) && !isTagged && !isSet;
}

/** Whether an AMI is known to have failed a test. */
export function hasFailed(image: Image): boolean {
  return tagValue(image, tagKeys.bootTest)?.startsWith('failed') === true;
}

/** Why an AMI that failed its test isn't published untested, and what ends that. */
export function failureOf(image: Image): Readonly<{ what: string; remedy: string }> {
  return {
    what: `${image.ImageId} failed its boot test (the tag ${tagKeys.bootTest} says ${tagValue(image, tagKeys.bootTest)}), and is not published untested`,
    remedy: `test it again (boot-test), bake the image anew, or take the tag off if the AMI is known to be good`,
  };
}
