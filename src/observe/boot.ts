import {
  DescribeInstanceTypeOfferingsCommand,
  DescribeInstanceTypesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  type Filter,
  type Image,
  type InstanceTypeInfo,
  type SecurityGroup,
  type Subnet,
} from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand } from '@aws-sdk/client-ssm';
import type { Place } from '../aws/clients.ts';
import { pages } from '../aws/describe.ts';
import { explain, hasCode, placeName } from '../aws/errors.ts';
import type { Boot } from '../inputs/boot.ts';
import { launchesOf, misfit, UntestableError, untestable } from '../plan/boot.ts';
import type { BootSite } from '../plan/facts.ts';
import type { Findings } from '../plan/problem.ts';
import { fill, type TemplateValues } from '../template.ts';
import { checkInstanceProfile } from './instance-profile.ts';

/** What is to be launched, and who is told why it can't be. */
type Asked = Readonly<{ boot: Boot; image: Image; values: TemplateValues; findings: Findings }>;

/**
 * Where an AMI is launched to see whether it boots, and as what. Where it can't be, that is a problem, or a warning where
 * the test isn't required; then there is no such place.
 */
export async function readBootSite(place: Place, asked: Asked): Promise<BootSite | undefined> {
  const { boot, findings } = asked;
  const where = placeName(place);
  try {
    return await siteOf(place, asked);
  } catch (error) {
    place.signal.throwIfAborted();
    const { message, remedy: known } = explain(error);
    const remedy = error instanceof UntestableError ? error.remedy : (known ?? 'see what AWS says');
    const what = `the AMI cannot be tested (boot-test): ${message}`;
    if (boot.required) findings.add(where, what, `${remedy}; or set boot-required to false`);
    else findings.warn(where, `${what}; it is published untested. What to do: ${remedy}`);
    return undefined;
  }
}

async function siteOf(place: Place, { boot, image, values, findings }: Asked): Promise<BootSite> {
  const never = untestable(image);
  if (never !== undefined) throw new UntestableError(never, 'set boot-test to off');
  const filled = (texts: readonly string[]) => texts.map((text) => fill(text, values));
  const subnets = await readSubnets(place, filled(boot.subnets));
  const byVpc = await readGroups(place, subnets, filled(boot.securityGroups));
  const usable = subnets.flatMap((one) => {
    const { SubnetId: subnet = '', AvailabilityZone: zone = '', VpcId = '', OwnerId = place.account } = one;
    // One of IPv6 alone gives no other address.
    const givesIpv6 = one.AssignIpv6AddressOnCreation === true && one.Ipv6Native !== true;
    // The default group of a VPC is its owner's alone: https://docs.aws.amazon.com/vpc/latest/userguide/vpc-sharing-security-groups.html
    const byDefault = OwnerId === place.account ? [] : undefined;
    const groups = byVpc === undefined ? byDefault : byVpc.get(VpcId);
    return groups === undefined ? [] : [{ subnet, zone, givesIpv6, groups }];
  });
  if (usable.length === 0) throw noGroup(boot, byVpc === undefined);
  const named = boot.instanceType === undefined ? undefined : fill(boot.instanceType, values);
  const types = await readTypes(place, image, named);
  const offered = await readOfferings(place, named);
  const sizes = launchesOf(image, types, { zonesOf: (type) => offered.get(type) ?? new Set(), subnets: usable });
  const zones = [...new Set(usable.map(({ zone }) => zone))].join(', ');
  if (sizes.length === 0) throw noType(named, image, { types, zones });
  // Whether agents may be looked for is known before anything is made.
  if (boot.test === 'ssm') await place.ssm(new DescribeInstanceInformationCommand({ MaxResults: 5 }));
  const profile = boot.instanceProfile && fill(boot.instanceProfile, values);
  if (profile !== undefined) await checkInstanceProfile(place, profile, findings);
  return { sizes, profile };
}

function noGroup({ securityGroups, subnets }: Boot, isUnnamed: boolean): UntestableError {
  const of = subnets.join(', ');
  if (isUnnamed)
    return new UntestableError(
      `other accounts share ${of} with this one, which cannot use the default security groups of their VPCs`,
      'name a security group of this account in boot-security-group',
    );
  return new UntestableError(
    `no security group of ${securityGroups.join(', ')} is in the VPC of a subnet of ${of}`,
    'correct boot-security-group or boot-subnet; a group that is associated with further VPCs counts in its own alone',
  );
}

function noType(
  named: string | undefined,
  image: Image,
  { types: [info], zones }: Readonly<{ types: readonly InstanceTypeInfo[]; zones: string }>,
): UntestableError {
  if (named === undefined)
    return new UntestableError(`no current instance type fits the AMI in ${zones}`, 'name one in boot-instance-type');
  const why = (info && misfit(image, info)) ?? `it is not offered in ${zones}`;
  return new UntestableError(`${named} cannot be used, because ${why}`, 'correct boot-instance-type or boot-subnet');
}

/** Filters that find what is named by IDs, or by a tag. One list of IDs may serve several accounts: each has its own. */
function namedBy(idFilter: string, named: readonly string[]): Filter[] {
  const [first = ''] = named;
  const [, key, value] = /^tag:([^=]+)=(.*)$/s.exec(first) ?? [];
  return key === undefined ? [{ Name: idFilter, Values: [...named] }] : [{ Name: `tag:${key}`, Values: [value ?? ''] }];
}

/** Those that give no IPv6 address first, for that is a public one; of them, those with the most free addresses. */
async function readSubnets(place: Place, named: readonly string[]): Promise<Subnet[]> {
  const isDefault = named.length === 0;
  const Filters = [
    { Name: 'state', Values: ['available'] },
    ...(isDefault ? [{ Name: 'default-for-az', Values: ['true'] }] : namedBy('subnet-id', named)),
  ];
  const found = await pages(async (NextToken) => {
    const page = await place.ec2(new DescribeSubnetsCommand({ Filters, NextToken }));
    return { items: page.Subnets ?? [], next: page.NextToken };
  });
  if (found.length === 0)
    throw new UntestableError(
      isDefault ? 'there is no default VPC' : `there is no subnet ${named.join(', ')}`,
      isDefault ? 'name a subnet in boot-subnet' : 'correct boot-subnet',
    );
  const free = ({ AvailableIpAddressCount = 0 }: Subnet) => AvailableIpAddressCount;
  const gives = ({ AssignIpv6AddressOnCreation }: Subnet) => Number(AssignIpv6AddressOnCreation === true);
  return found.toSorted((a, b) => gives(a) - gives(b) || free(b) - free(a));
}

/** The groups that are named, by their VPC; undefined where none are, which means the VPC's default group. */
async function readGroups(
  place: Place,
  subnets: readonly Subnet[],
  named: readonly string[],
): Promise<Map<string, string[]> | undefined> {
  if (named.length === 0) return undefined;
  const vpcs = [...new Set(subnets.map(({ VpcId = '' }) => VpcId))];
  const Filters = [...namedBy('group-id', named), { Name: 'vpc-id', Values: vpcs }];
  const found: SecurityGroup[] = await pages(async (NextToken) => {
    const page = await place.ec2(new DescribeSecurityGroupsCommand({ Filters, NextToken }));
    return { items: page.SecurityGroups ?? [], next: page.NextToken };
  });
  const groups = [...Map.groupBy(found, ({ VpcId = '' }) => VpcId)];
  return new Map(groups.map(([vpc, ofVpc]) => [vpc, ofVpc.flatMap(({ GroupId }) => GroupId ?? [])]));
}

/** The type that is named, or all current ones of the AMI's architecture. */
async function readTypes(place: Place, image: Image, named: string | undefined): Promise<InstanceTypeInfo[]> {
  const { Architecture = 'x86_64' } = image;
  const asked =
    named === undefined
      ? {
          Filters: [
            { Name: 'current-generation', Values: ['true'] },
            { Name: 'bare-metal', Values: ['false'] },
            { Name: 'processor-info.supported-architecture', Values: [Architecture] },
          ],
        }
      : { InstanceTypes: [named as never] };
  try {
    return await pages(async (NextToken) => {
      const page = await place.ec2(new DescribeInstanceTypesCommand({ ...asked, NextToken }));
      return { items: page.InstanceTypes ?? [], next: page.NextToken };
    });
  } catch (error) {
    if (!hasCode(error, 'InvalidInstanceType')) throw error;
    throw new UntestableError(`there is no instance type ${named}`, 'correct boot-instance-type');
  }
}

/** The zones in which each type is offered. */
async function readOfferings(place: Place, named: string | undefined): Promise<Map<string, Set<string>>> {
  const Filters = named === undefined ? undefined : [{ Name: 'instance-type', Values: [named] }];
  const offered = await pages(async (NextToken) => {
    const command = new DescribeInstanceTypeOfferingsCommand({ LocationType: 'availability-zone', Filters, NextToken });
    const page = await place.ec2(command);
    return { items: page.InstanceTypeOfferings ?? [], next: page.NextToken };
  });
  const zones = new Map<string, Set<string>>();
  for (const { InstanceType = '', Location = '' } of offered)
    zones.set(InstanceType, (zones.get(InstanceType) ?? new Set()).add(Location));
  return zones;
}
